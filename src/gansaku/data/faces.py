"""Faces: found by a cascade of OpenCV, cut out at several scales and mirrored.

Each found box is widened to a square of each scale around its middle and moved into the picture; where the picture is too
small for it, the largest square that fits is taken, and told. Faces are numbered from top to bottom, then from left to right.
A cut is named `<source>_<face>_<scale>_<flip>`, as `photo_0_2x_1`: the first face, twice its box, mirrored. With several
scales, the scale is the class.

The detector looks at the grey picture with an equalized histogram, at steps of 1.1 in size and with five neighbors asked for,
as its author's example does (github.com/nagadomi/lbpcascade_animeface); at a picture larger than 2,000 pixels, in a copy
scaled down to that. It is run on one thread, since several would find the same faces in another order.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gansaku.data.cascades import Cascade, cascade, classifier, opencv
from gansaku.data.cuts import Cut, Cutting, Picture
from gansaku.data.policy import Policy
from gansaku.data.tally import Bad, Note
from gansaku.data.tree import natural

COLUMNS = ("face", "scale", "flip")
STEP = 1.1  # of the box's size, from one pass to the next
NEIGHBORS = 5  # overlapping finds that make a face
LARGEST_SIDE = 2_000  # pixels of the picture that is looked at

Found = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Faces:
    """The cutter of faces. Columns: `face`, its number in the picture; `scale`, side of the cut / side of the found box,
    which is less than was asked for where the picture is too small; `flip`, 1 if mirrored."""

    cascade: Cascade
    policy: Policy
    scales: Mapping[str, float]  # as they are spelled
    classes: tuple[str, ...] | None
    columns: tuple[str, ...] = COLUMNS
    own: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def __call__(self, name: str, picture: Picture) -> Cutting:
        cutting = Cutting([], [], [])
        for face, found in enumerate(self.found(picture)):
            for text, scale in self.scales.items():
                self.cut(cutting, face, found, text, scale, picture.shape[1], picture.shape[0])
        if not cutting.cuts:
            cutting.skipped.append(("", Bad(f"has no face of {self.policy.min_face} pixels or more that the cascade finds",
                                            "FACE_NONE")))  # fmt: skip
        return cutting

    def found(self, picture: Picture) -> list[Found]:
        """The boxes of the faces in a picture (H, W, C)."""
        if not hasattr(self.own, "classifier"):
            opencv().setNumThreads(1)  # in each thread, since some builds count per thread
            self.own.classifier = classifier(self.cascade)
        return found_in(picture, self.own.classifier, self.policy.min_face)

    def cut(self, cutting: Cutting, face: int, found: Found, text: str, scale: float, width: int, height: int) -> None:
        """Add the crops of one face at one scale."""
        left, top, right, bottom = found
        box = max(right - left, bottom - top)
        side = min(max(1, round(scale * box)), width, height)
        start, above = placed(left + right, side, width), placed(top + bottom, side, height)
        if side < round(scale * box):
            cutting.notes.append(Note(f"has the face {face} of {box} pixels, and no room for {text} of it; it was cut at "
                                      f"{side / box:.2f}x, the largest square that fits", "FACE_EDGE"))  # fmt: skip
        for flip in (0, 1) if self.policy.mirrored else (0,):
            ending = f"_{face}_{text}_{flip}"
            columns = {"face": float(face), "scale": side / box, "flip": float(flip)}
            label = text if self.classes else None
            cutting.cuts.append(Cut(start, above, start + side, above + side, ending, bool(flip), label, columns))


def identity(name: str) -> list[str]:
    """What the faces that are found depend on. Raises UsageError where there is no such cascade."""
    return [hashlib.sha256(cascade(name).text.encode()).hexdigest(), opencv().__version__]


def cutter(policy: Policy) -> Faces:
    """The cutter by the policy's cascade. Raises UsageError where OpenCV or the cascade is missing or cannot be used."""
    found = cascade(policy.faces or "frontalface")
    classifier(found)  # OpenCV's own word on it, before a picture is opened
    scales = {spelled(scale): scale for scale in policy.face_scales}
    return Faces(found, policy, scales, tuple(sorted(scales, key=natural)) if len(scales) > 1 else None)


def found_in(picture: Picture, detector: Any, least: int) -> list[Found]:
    """The boxes of at least so many pixels in a picture (H, W, C), from top to bottom, then from left to right."""
    cv2 = opencv()
    grey = picture[:, :, 0] if picture.shape[2] == 1 else cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    shrunk = min(1.0, LARGEST_SIDE / max(grey.shape))
    if shrunk < 1:
        size = tuple(max(1, round(side * shrunk)) for side in grey.shape[::-1])
        grey = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_AREA)
    least = max(1, round(least * shrunk))
    grey = cv2.equalizeHist(np.ascontiguousarray(grey))
    boxes = detector.detectMultiScale(grey, scaleFactor=STEP, minNeighbors=NEIGHBORS, minSize=(least, least))
    across, down = picture.shape[1] / grey.shape[1], picture.shape[0] / grey.shape[0]
    edges = [(round(x * across), round(y * down), round((x + w) * across), round((y + h) * down)) for x, y, w, h in boxes]
    return sorted(edges, key=lambda box: (box[1], box[0], box))


def placed(doubled: int, side: int, most: int) -> int:
    """Where a stretch of this side begins whose middle is `doubled` / 2, moved to lie in 0 to `most`."""
    return min(max((doubled - side) // 2, 0), most - side)


def spelled(scale: float) -> str:
    """2x, 1.5x."""
    return f"{scale:g}x"
