"""The policy: every choice by which the files of a source become samples. Each field is a flag of `gansaku prepare`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from gansaku.errors import UsageError, nearest

FITS = ("crop", "fit", "pad", "stretch")
FILTERS = ("lanczos", "bicubic", "bilinear", "box", "nearest")
RESAMPLINGS = ("majority", "any", "trilinear")
LARGEST_SIDE = 1 << 14
Size = int | tuple[int, int] | None  # side, or (height, width); None: as it is
CHOICES: dict[str, tuple[Any, ...]] = {
    "fit": FITS,
    "filter": FILTERS,
    "channels": ("auto", 1, 3),
    "frames": ("first", "all"),
    "layout": ("auto", "classes", "flat"),
    "difficult": ("keep", "drop"),
    "truncated": ("keep", "drop"),
    "intruders": ("keep", "drop"),
    "without_box": ("skip", "whole"),
    "mesh": ("solid", "surface"),
    "resample": RESAMPLINGS,
    "up": ("auto", "y", "z"),
    "rotations": (1, 2, 4),
}


@dataclass(frozen=True)
class Policy:
    """What becomes of a source. The defaults are what `train --data` does.

    Only `max_bad` does not change the samples themselves. Raises UsageError for a value out of range.
    """

    # all sources
    size: Size = None  # None: as they are, and all must agree
    held_out: float = 0.0  # share of the samples that becomes the test split where a source has none
    layout: str = "auto"  # what folders mean: classes, nothing (flat), or by the rules of `layouts`
    keep_empty: bool = False  # a class whose folder holds no sample stays a class
    conditional: bool = False  # refuse data without at least two classes
    dedupe: bool = False  # leave out exact repetitions of a sample
    max_bad: float = 0.01  # share of the files that may be unusable
    # pictures
    fit: str = "crop"  # crop the middle, fit whole, pad to the size, or stretch
    filter: str = "lanczos"  # antialiased when smaller; on stored sRGB values, as FID's own resize works
    channels: str | int = "auto"  # auto: grey if all pictures are
    background: tuple[int, int, int] = (255, 255, 255)  # under transparency and around `pad`
    min_side: int | None = None  # pixels; a quarter of the size if not given
    max_aspect: float = 8.0  # longer side : shorter side
    frames: str = "first"  # of animations and multi-page files
    full_decode: bool = False  # decode JPEG at full size, not at the next eighth, quarter or half above twice the size
    # boxes (Pascal VOC)
    boxes: str | None = None  # folder of XML files: in the source, or a path
    objects: tuple[str, ...] = ()  # names of objects to cut out; all if empty
    margin: float = 0.0  # added on each side, as a share of the box's side
    square: bool = False  # widen the shorter side of the box
    min_box: int = 1  # pixels of the shorter side
    box_aspect: tuple[float, float] = (0.0, 1000.0)  # width : height, least and most
    difficult: str = "keep"
    truncated: str = "keep"
    intruders: str = "keep"  # boxes that another object reaches into
    without_box: str = "skip"  # a picture without a box: leave it out, or take it whole
    fix_boxes: bool = False  # swap edges given in the wrong order
    rescale_boxes: bool = False  # boxes are in the pixels of the size that the XML states
    # faces
    faces: str | None = None  # a cascade, by name or path
    face_scales: tuple[float, ...] = (1.0,)  # crops of so many times the found box
    mirrored: bool = False  # each crop a second time, mirrored
    min_face: int = 24  # pixels of the found box
    # voxels
    pad: int | tuple[int, int] = 0  # empty voxels added on each side
    resample: str = "majority"  # how voxels come to another size: occupied where most, any, or the interpolated half is
    double: bool = False  # each voxel becomes eight before padding, as 30³ becomes 64³ in 3D-GAN (double, pad 2)
    mesh: str = "solid"  # what of a mesh is occupied
    up: str = "auto"  # axis of the file that points up: auto is z for .off, which ModelNet uses, else y
    rotations: int = 1  # turns about the vertical axis, each a sample of its own

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            require(getattr(self, name) in allowed, name, getattr(self, name), f"give {', '.join(map(str, allowed))}")
        for side in (self.size,) if isinstance(self.size, int) else self.size or ():
            require(1 <= side <= LARGEST_SIDE, "size", self.size, f"a side is 1 to {LARGEST_SIDE:,}")
        for name in ("held_out", "max_bad"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share is 0 to 1, as 0.01 or 1%")
        require(self.held_out < 1, "held_out", self.held_out, "some samples must be left to train on")
        require(all(0 <= part <= 255 for part in self.background), "background", self.background, "parts are 0 to 255")
        require(self.max_aspect >= 1, "max_aspect", self.max_aspect, "the longer side : the shorter is 1 or more")
        require(self.min_side is None or self.min_side >= 1, "min_side", self.min_side, "give 1 or more")
        require(0 <= self.margin <= 10, "margin", self.margin, "give 0 to 10")
        require(self.min_box >= 1, "min_box", self.min_box, "give 1 or more")
        require(
            0 <= self.box_aspect[0] < self.box_aspect[1] < float("inf"),
            "box_aspect",
            self.box_aspect,
            "give the least and the most",
        )
        require(self.min_face >= 8, "min_face", self.min_face, "give 8 or more")
        scales = self.face_scales
        require(bool(scales) and all(0.5 <= scale <= 10 for scale in scales), "face_scales", scales, "give 0.5 to 10")
        padding = (self.pad,) if isinstance(self.pad, int) else self.pad
        require(all(0 <= width <= 512 for width in padding), "pad", self.pad, "give 0 to 512")
        require(not (self.boxes and self.faces), "faces", self.faces, "boxes are given already; choose one of both")

    @property
    def space(self) -> tuple[int, int] | None:
        """(height, width) of a picture."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def side(self) -> int | None:
        """Of voxels, which are cubes."""
        if isinstance(self.size, tuple):
            require(self.size[0] == self.size[1], "size", self.size, "voxels take one side, as 64")
            return self.size[0]
        return self.size

    @property
    def identity(self) -> dict[str, Any]:
        """JSON of all that the samples depend on, defaults left out."""
        plain = asdict(Policy())
        return {name: value for name, value in asdict(self).items() if name != "max_bad" and value != plain[name]}


def policy(size: Size | list[int] = None, max_bad: float = 0.01, **choices: Any) -> Policy:
    """The policy with these choices. Raises UsageError for a name that is none of its fields, or a value of another type."""
    known = [field.name for field in fields(Policy)]
    for name in choices:
        if name not in known:
            raise UsageError(name, f"is no choice of a preparation{nearest(name, known)}", "FLAG")
    side = (size[0], size[1]) if isinstance(size, list) else size
    try:
        return Policy(size=side, max_bad=max_bad, **choices)
    except TypeError as error:
        raise UsageError("prepare", f"has a choice of the wrong type: {error}", "RANGE") from error


def require(true: bool, name: str, value: Any, sentence: str) -> None:
    if not true:
        raise UsageError(f"--{name.replace('_', '-')}", f"cannot be {value}; {sentence}", "RANGE")
