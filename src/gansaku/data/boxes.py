"""Bounding boxes: the parts of pictures that Pascal VOC annotations name, cut out as the policy says.

The steps, per object: filters by name, difficulty, truncation, aspect and size; a box that reaches out of the picture is
clipped to it; `margin` is added on each side, as a share of the box's side; `square` widens the shorter side around the
middle; the window is moved into the picture where it fits and clipped where it does not. Windows are whole pixels.

Boxes are taken as pixels of the upright picture, as viewers show it. Where the XML states another size, that is warned of
and the boxes are used as they are; `rescale_boxes` scales them by the two sizes. If the stated size is that of the picture
before its EXIF orientation, no scaling can help, and with `rescale_boxes` its boxes are left out.

Each cut is named by its object's number in the file, from 0 (`photo_0`), and is of the class that its object is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansaku.data.cuts import Cut, Cutting, Picture
from gansaku.data.policy import Policy
from gansaku.data.tally import Account, Bad, Note
from gansaku.data.tree import Tree, natural
from gansaku.data.voc import Annotation, Box, Object, annotated, names_of
from gansaku.errors import UsageError, nearest

COLUMNS = ("aspect", "classes", "ratio", "objects", "truncated", "difficult", "intruders")
FLAGS = ("classes", "aspect")  # of these, 0 for what is no plain picture of one dog
PLAIN_ASPECT = (0.2, 4.0)  # width : height, outside of which the dog-picture competition's code set the flag `aspect` to 0
INTRUSION = 0.1  # share of a cut
Edges = NDArray[np.int64]
UNBOXED = "unlabelled"  # class of a whole picture among classes of objects, as `layouts` has it


@dataclass(frozen=True)
class Boxes:
    """The cutter of annotated pictures. Columns, for `targets.Noisy` and for whoever looks at the data:

    `aspect` is 1 if width / height of the box is 0.2 to 4, else 0; `classes` is 1 if no other object intrudes, else 0 (that
    this is what the competition's flag of that name means is an assumption); `ratio` is width / height; `objects` counts
    those in the picture; `truncated` and `difficult` are the annotation's flags; `intruders` counts the other objects whose
    boxes cover more than a tenth of the cut.
    """

    annotations: Mapping[str, Annotation | None]
    policy: Policy
    classes: tuple[str, ...] | None
    columns: tuple[str, ...] = COLUMNS

    def __call__(self, name: str, picture: Picture) -> Cutting:
        cutting = Cutting([], [], [])
        found = self.annotations.get(name, self.annotations.get(name.rpartition("#")[0], NOTHING))  # a frame has its number
        if found is None:  # its file was told
            return cutting
        height, width = picture.shape[:2]
        if not found.boxed:
            self.unboxed(cutting, width, height)
            return cutting
        found = self.in_pixels(found, width, height, cutting)
        inner = np.array([clipped(thing.box, width, height) for thing in found.objects], np.int64).reshape(-1, 4)
        for index, thing in enumerate(found.objects):
            self.cut(cutting, thing, np.delete(inner, index, axis=0), width, height)
        return cutting

    def unboxed(self, cutting: Cutting, width: int, height: int) -> None:
        """A picture without a box: left out, or taken whole."""
        if self.policy.without_box == "skip":
            cutting.skipped.append(("", Bad("has no box; --without-box whole takes such pictures whole", "XML_NO_BOX")))
            return
        box = Box(0, 0, width, height)
        columns = described(box, objects=0, truncated=False, difficult=False, intruders=0)
        cutting.cuts.append(Cut(*box, label=UNBOXED, columns=columns))

    def in_pixels(self, found: Annotation, width: int, height: int, cutting: Cutting) -> Annotation:
        """The annotation with its boxes in the pixels of a picture of this size."""
        if found.size is None or found.size == (width, height):
            return found
        stated = "x".join(map(str, found.size))
        differs = f"is {width}x{height}, but its annotation is of {stated}"
        turned = found.size == (height, width)
        if turned and self.policy.rescale_boxes:
            sentence = f"{differs}, before it was turned upright, so scaling does not help; annotate it upright"
            cutting.skipped.append(("", Bad(sentence, "BOX_SIZE")))
            return found._replace(objects=())
        if not self.policy.rescale_boxes or 0 in found.size:
            help_ = "" if turned or 0 in found.size else ", and --rescale-boxes scales them"
            cutting.notes.append(Note(f"{differs}; the boxes were used as they are{help_}", "BOX_SIZE"))
            return found
        cutting.notes.append(Note(f"{differs}; the boxes were scaled", "BOX_SIZE"))
        across, down = width / found.size[0], height / found.size[1]
        return found._replace(objects=tuple(
            thing._replace(box=Box(*map(round, (box.left * across, box.top * down, box.right * across, box.bottom * down))))
            for thing in found.objects for box in [thing.box]
        ))  # fmt: skip

    def cut(self, cutting: Cutting, thing: Object, others: Edges, width: int, height: int) -> None:
        """Add the cut of one object, or why there is none. `others` are the boxes of the other objects, (n, 4)."""
        ending = f"_{thing.number}"
        try:
            filtered(thing, self.policy)
            inner = Box(*clipped(thing.box, width, height))
            if inner.width < 1 or inner.height < 1:
                raise Bad(f"is the box {spelled(thing.box)}, outside of the picture of {width}x{height}; draw it again",
                          "BOX_OUTSIDE")  # fmt: skip
            window = placed(widened(inner, self.policy), width, height)
            count = intruders(window, others)
            if count and self.policy.intruders == "drop":
                raise Bad(
                    f"has {count} other object{'' if count == 1 else 's'} in it; --intruders keep takes it all the same",
                    "BOX_FILTERED",
                )
        except Bad as bad:
            cutting.skipped.append((ending, bad))
            return
        if inner != thing.box:
            cutting.notes.append(Note(f"has the box {spelled(thing.box)} ({ending}) that reaches out of its {width}x{height} "
                                      "pixels; it was clipped", "BOX_CLIPPED"))  # fmt: skip
        if min(window.width, window.height) < (least := least_side(self.policy)):
            cutting.notes.append(Note(f"has the cut {ending} of {window.width}x{window.height} pixels, less than {least}; "
                                      "--min-box leaves small boxes out", "BOX_SMALL"))  # fmt: skip
        columns = described(thing.box, len(others) + 1, thing.truncated, thing.difficult, count)
        cutting.cuts.append(Cut(*window, ending, label=thing.name, columns=columns))


NOTHING = Annotation(None, (), False)


def cutter(tree: Tree, names: Sequence[str], policy: Policy, tally: Account) -> Boxes:
    """The cutter of these pictures, whose annotations lie in the tree; all of them are read now, and told of if they are bad.

    Raises UsageError when no object has a name that is asked for, DataError when there are no annotations.
    """
    found = annotated(tree, names, policy.fix_boxes, tally)
    known = names_of(found)
    for name in policy.objects:
        if name not in known:
            raise UsageError("--objects", f"cannot find {name!r}: no object is called so{nearest(name, sorted(known))}",
                             "OBJECTS")  # fmt: skip
    classes = set(policy.objects) or known
    bare = any(name not in found or (one is not None and not one.boxed) for name in names for one in [found.get(name)])
    if policy.without_box == "whole" and bare:
        classes.add(UNBOXED)
    return Boxes(found, policy, tuple(sorted(classes, key=natural)))


def filtered(thing: Object, policy: Policy) -> None:
    """Raises Bad, with a code that is no fault, for an object that the policy leaves out."""
    box, (least, most) = thing.box, policy.box_aspect
    if policy.objects and thing.name not in policy.objects:
        raise Bad(f"is {thing.name!r}, which is not asked for", "BOX_FILTERED")
    if thing.difficult and policy.difficult == "drop":
        raise Bad("is marked difficult", "BOX_FILTERED")
    if thing.truncated and policy.truncated == "drop":
        raise Bad("is marked truncated", "BOX_FILTERED")
    if not least <= box.width / max(1, box.height) <= most:
        raise Bad(f"is {box.width}x{box.height}, and width : height is to be {least:g} to {most:g}", "BOX_FILTERED")
    if min(box.width, box.height) < policy.min_box:
        raise Bad(f"is {box.width}x{box.height}, and the shorter side is to be {policy.min_box} or more", "BOX_FILTERED")


def clipped(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of the box in a picture; without area where there is none."""
    left, top = max(0, box.left), max(0, box.top)
    return left, top, max(left, min(width, box.right)), max(top, min(height, box.bottom))


def widened(box: Box, policy: Policy) -> Box:
    """The box with its margin, and square if that is asked for."""
    across, down = round(policy.margin * box.width), round(policy.margin * box.height)
    left, top, right, bottom = box.left - across, box.top - down, box.right + across, box.bottom + down
    if policy.square:
        side = max(right - left, bottom - top)
        left -= (side - (right - left)) // 2
        top -= (side - (bottom - top)) // 2
        right, bottom = left + side, top + side
    return Box(left, top, right, bottom)


def placed(box: Box, width: int, height: int) -> Box:
    """The box moved into the picture, as little as may be; cut off on an axis on which it is larger than the picture."""
    left, right = moved(box.left, box.right, width)
    top, bottom = moved(box.top, box.bottom, height)
    return Box(left, top, right, bottom)


def moved(low: int, high: int, most: int) -> tuple[int, int]:
    if high - low >= most:
        return 0, most
    start = min(max(low, 0), most - (high - low))
    return start, start + high - low


def intruders(window: Box, others: Edges) -> int:
    """How many of the other boxes (n, 4) cover more than a tenth of the window."""
    across = np.minimum(window.right, others[:, 2]) - np.maximum(window.left, others[:, 0])
    down = np.minimum(window.bottom, others[:, 3]) - np.maximum(window.top, others[:, 1])
    covered = across.clip(0) * down.clip(0)
    return int((covered > INTRUSION * window.width * window.height).sum())


def least_side(policy: Policy) -> int:
    """Pixels below which a cut is told to be small: as for whole pictures, a quarter of the size if nothing else is said."""
    if policy.min_side is not None:
        return policy.min_side
    return math.ceil(min(policy.space) / 4) if policy.space else 0


def described(box: Box, objects: int, truncated: bool, difficult: bool, intruders: int) -> dict[str, float]:
    """The columns of a cut."""
    ratio = box.width / max(1, box.height)
    return {
        "aspect": float(PLAIN_ASPECT[0] <= ratio <= PLAIN_ASPECT[1]),
        "classes": float(not intruders),
        "ratio": ratio,
        "objects": float(objects),
        "truncated": float(truncated),
        "difficult": float(difficult),
        "intruders": float(intruders),
    }


def spelled(box: Box) -> str:
    return f"{box.left}, {box.top} to {box.right}, {box.bottom}"
