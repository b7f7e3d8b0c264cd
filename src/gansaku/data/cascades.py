"""Cascades: the files by which OpenCV finds faces; which are known, where they are found, and that they can do no harm.

OpenCV trusts the numbers in a cascade: one that points outside of its tables ends the process or reads foreign memory. So a
file is read here, each number is checked against what it points into, and what OpenCV is given is written anew from them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gansaku.cache import weights_folder
from gansaku.data.elements import Element, read
from gansaku.data.tally import Bad
from gansaku.errors import DataError, UsageError, nearest
from gansaku.extractors.published import CASCADES

LARGEST = 1 << 24  # bytes
LARGEST_WINDOW = 256  # pixels
MOST_TREES = 20_000
CATEGORIES = {"HAAR": 0, "LBP": 256}  # of a node's answer; 0 is a threshold
WORDS = ("anime", "frontalface")
FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
INTEGER = re.compile(r"[+-]?\d{1,10}", re.ASCII)


@dataclass(frozen=True)
class Cascade:
    """A checked cascade: the width and height of its window in pixels, and its text for OpenCV."""

    name: str
    window: tuple[int, int]
    text: str


def cascade(name: str) -> Cascade:
    """The cascade of a name or a path. Raises UsageError for what is none, with what would bring one."""
    path = located(name)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        return checked(content, str(path))
    except OSError as error:
        raise UsageError(str(path), f"cannot be read: {error.strerror or error}", "CASCADE") from error
    except Bad as bad:
        raise UsageError(str(path), f"is no cascade that can be used: it {bad}", "CASCADE") from bad
    except DataError as error:
        raise UsageError(str(path), f"is no cascade that can be used: it {error.sentence}", error.code) from error


def located(name: str) -> Path:
    """Where the file lies: `anime` in the cache, `frontalface` and others in OpenCV, or the path itself."""
    if name == "anime":
        known = CASCADES["anime"][0]
        path = weights_folder() / known.file
        if not path.is_file():
            raise UsageError("anime", f"is not on this machine; `gansaku weights get anime` downloads it ({known.licence}), or "
                             f"put {known.file} into {path.parent} by hand", "CASCADE")  # fmt: skip
        if hashlib.sha256(path.read_bytes()).hexdigest() != known.sha256:
            raise UsageError(str(path), "is not the published file; remove it, and `gansaku weights get anime` brings that",
                             "CASCADE")  # fmt: skip
        return path
    there = shipped()
    word = "haarcascade_frontalface_default" if name == "frontalface" else name.removesuffix(".xml")
    if word in there:
        return there[word]
    path = Path(name)
    if path.is_file():
        return path
    if "/" in name or path.exists():
        raise UsageError(name, "is no file", "CASCADE")
    raise UsageError(name, f"is no cascade and no file{nearest(word, [*WORDS, *there])}", "CASCADE")


def shipped() -> dict[str, Path]:
    """The cascades that OpenCV brings, by their names without .xml; none with OpenCV 5."""
    folder = getattr(getattr(opencv(), "data", None), "haarcascades", None)
    return {path.stem: path for path in sorted(Path(folder).glob("*.xml"))} if folder else {}


def opencv() -> Any:
    """The module. Raises UsageError where it is absent or has no cascades."""
    try:
        import cv2
    except ImportError as error:
        raise UsageError("--faces", "needs OpenCV 4: `pip install 'gansaku[faces]'`", "EXTRA") from error
    if not hasattr(cv2, "CascadeClassifier"):
        raise UsageError("--faces", f"needs OpenCV 4, and {cv2.__version__} is installed, which has no cascades any more: `pip "
                         "install 'opencv-python-headless<5'`", "EXTRA")  # fmt: skip
    return cv2


def classifier(found: Cascade) -> Any:
    """A new `cv2.CascadeClassifier`; it may be used by one thread at a time."""
    cv2 = opencv()
    storage = cv2.FileStorage(found.text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    made = cv2.CascadeClassifier()
    if not made.read(storage.getFirstTopLevelNode()):
        raise UsageError(found.name, "is no cascade that OpenCV can use", "CASCADE")
    return made


def checked(content: bytes, name: str) -> Cascade:
    """The cascade in a file. Raises Bad for what is none, or holds a number that points to nothing; DataError as `read`."""
    storage = read(content, name, LARGEST)[0]
    root = storage.first("cascade")
    if storage.tag != "opencv_storage" or root is None:
        old = any(child.first("stages") and child.first("size") for child in storage.children)
        raise Bad("is in OpenCV's old format; traincascade writes the new one" if old else
                  "has no <cascade> in <opencv_storage>", "CASCADE")  # fmt: skip
    kind = one(root, "featureType").text
    if one(root, "stageType").text != "BOOST" or kind not in CATEGORIES:
        raise Bad(f"has features {kind[:20]!r}; HAAR and LBP are supported", "CASCADE")
    width, height = (integer(one(root, side).text, 3, LARGEST_WINDOW) for side in ("width", "height"))
    categories = integer(one(one(root, "featureParams"), "maxCatCount").text, 0, 256)
    if categories != CATEGORIES[kind]:
        raise Bad(f"has {categories} categories; {kind} has {CATEGORIES[kind]}", "CASCADE")
    features = list(features_in(one(root, "features"), kind, width, height))
    stages = list(stages_in(one(root, "stages"), len(features), categories // 32))
    text = (
        f'<?xml version="1.0"?>\n<opencv_storage>\n<cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType>'
        f"<featureType>{kind}</featureType><height>{height}</height><width>{width}</width>"
        f"<stageParams><maxWeakCount>0</maxWeakCount></stageParams>"
        f"<featureParams><maxCatCount>{categories}</maxCatCount></featureParams><stageNum>{len(stages)}</stageNum>"
        f"<stages>{''.join(stages)}</stages><features>{''.join(features)}</features></cascade></opencv_storage>\n"
    )
    return Cascade(name, (width, height), text)


def features_in(element: Element, kind: str, width: int, height: int) -> Iterator[str]:
    """Each feature, all of whose rectangles lie in the window."""
    if not element.all("_"):
        raise Bad("has no features", "CASCADE")
    for feature in element.all("_"):
        if kind == "LBP":
            values = one(feature, "rect").text.split()
            rectangle(values, 4, lambda x, y, w, h: x + 3 * w <= width and y + 3 * h <= height)
            yield f"<_><rect>{' '.join(values)}</rect></_>\n"
            continue
        tilted = integer(feature.said("tilted") or "0", 0, 1)
        found = one(feature, "rects").all("_")
        if not 1 <= len(found) <= 3:
            raise Bad(f"has a feature of {len(found)} rectangles at line {feature.line}; it may have 1 to 3", "CASCADE")
        text = ""
        for part in found:
            values = part.text.split()
            if tilted:
                rectangle(values, 5, lambda x, y, w, h: x - h >= 0 and x + w <= width and y + w + h <= height)
            else:
                rectangle(values, 5, lambda x, y, w, h: x + w <= width and y + h <= height)
            text += f"<_>{' '.join(values)}</_>"
        yield f"<_><rects>{text}</rects><tilted>{tilted}</tilted></_>\n"


def rectangle(values: list[str], count: int, inside: Any) -> None:
    """Raises Bad unless it is x, y, width, height that lie inside the window, with a weight if five values are due."""
    if len(values) != count:
        raise Bad(f"has a rectangle of {len(values)} numbers, not {count}", "CASCADE")
    x, y = (integer(value, 0, LARGEST_WINDOW) for value in values[:2])
    w, h = (integer(value, 1, LARGEST_WINDOW) for value in values[2:4])
    if not inside(x, y, w, h):
        raise Bad(f"has the rectangle {' '.join(values[:4])}, which reaches out of its window", "CASCADE")
    for value in values[4:]:
        real(value)


def stages_in(element: Element, features: int, subset: int) -> Iterator[str]:
    """Each stage, all of whose trees end. `subset` is how many integers a node has; 0: a threshold."""
    found = element.all("_")
    if not 1 <= sum(len(one(stage, "weakClassifiers").all("_")) for stage in found) <= MOST_TREES:
        raise Bad(f"has no stages, or more than {MOST_TREES:,} trees", "CASCADE")
    for stage in found:
        trees = one(stage, "weakClassifiers").all("_")
        if not trees:
            raise Bad(f"has a stage without a tree at line {stage.line}", "CASCADE")
        text = "".join(tree_of(tree, features, subset) for tree in trees)
        threshold = real(one(stage, "stageThreshold").text)
        yield (
            f"<_><maxWeakCount>{len(trees)}</maxWeakCount><stageThreshold>{threshold}</stageThreshold>"
            f"<weakClassifiers>{text}</weakClassifiers></_>\n"
        )


def tree_of(tree: Element, features: int, subset: int) -> str:
    """A decision tree: nodes of left, right, feature and what decides; a child above 0 is a later node, else minus a leaf."""
    nodes, leaves = (one(tree, part).text.split() for part in ("internalNodes", "leafValues"))
    step = 3 + (subset or 1)
    count, rest = divmod(len(nodes), step)
    if rest or not count or len(leaves) != count + 1:
        raise Bad(f"has a tree of {len(nodes)} numbers and {len(leaves)} leaves at line {tree.line}, which is none", "CASCADE")
    for index in range(count):
        node = nodes[index * step : (index + 1) * step]
        for child in node[:2]:
            if 0 < integer(child, -count, count - 1) <= index:
                raise Bad(f"has a tree that goes in a circle at line {tree.line}", "CASCADE")
        integer(node[2], 0, features - 1)
        for value in node[3:]:
            integer(value, -(1 << 31), (1 << 31) - 1) if subset else real(value)
    for leaf in leaves:
        real(leaf)
    return f"<_><internalNodes>{' '.join(nodes)}</internalNodes><leafValues>{' '.join(leaves)}</leafValues></_>\n"


def one(element: Element, tag: str) -> Element:
    """Its only child of that tag. Raises Bad."""
    found = element.all(tag)
    if len(found) != 1:
        raise Bad(f"has {len(found)} <{tag}> in <{element.tag[:40]}> at line {element.line}, not one", "CASCADE")
    return found[0]


def integer(text: str, least: int, most: int) -> int:
    """Raises Bad unless the text is an integer in this range."""
    if not INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise Bad(f"has the number {text[:20]!r} where {least} to {most} is due", "CASCADE")
    return int(text)


def real(text: str) -> str:
    """The same text. Raises Bad unless it is a finite number of single precision."""
    if not FLOAT.fullmatch(text) or not math.isfinite(float(text)) or abs(float(text)) > 3e38:
        raise Bad(f"has {text[:20]!r} where a number is due", "CASCADE")
    return text
