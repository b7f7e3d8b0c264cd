"""Pascal VOC annotations: which XML file belongs to which picture, and which boxes it holds.

An annotation is a `.xml` file, or one without a suffix that has the stem of a picture, as Stanford Dogs has them. It belongs
to the picture with its stem that lies in folders of the same names, as far as such names occur on both sides
(`Images/pug/1.jpg` and `Annotation/pug/1`; `train/images/1.jpg` and `train/labels/1.xml`); or, if there is none, to the only
picture with that stem. What `<path>` and `<filename>` say is never followed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from gansaku.data.elements import LARGEST, Element, read
from gansaku.data.tally import Account, Bad, Note
from gansaku.data.tree import Tree, hidden, side_file
from gansaku.errors import DataError

EDGES = ("xmin", "ymin", "xmax", "ymax")
MOST_OBJECTS = 2_000  # in a picture
FARTHEST = 1 << 20  # pixels
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
Key = tuple[tuple[str, ...], str]


class Box(NamedTuple):
    """Edges in pixels as they are written: the part from `left` to before `right`.

    Some programs count pixels from 1 and include the last, so that a box may be a pixel off, as in most code that uses them.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


class Object(NamedTuple):
    """An object of a picture: its number, from 0 in the order of the file, its name and its box."""

    number: int
    name: str
    box: Box
    difficult: bool
    truncated: bool


class Annotation(NamedTuple):
    """What a file says of a picture: (width, height) or None if it is silent, and the objects that can be used.

    `boxed` is whether it lists objects at all, usable or not.
    """

    size: tuple[int, int] | None
    objects: tuple[Object, ...]
    boxed: bool


def annotated(tree: Tree, names: Sequence[str], fix: bool, tally: Account) -> dict[str, Annotation | None]:
    """Of each of these pictures, or None where its file cannot be used; a picture without a file is not there.

    Raises DataError when nothing here belongs to any of the pictures, or a file could do harm.
    """
    found = matched(tree, names, tally)
    if names and not found:
        there = sum(is_xml(name) for name in tree.names)
        raise DataError("--boxes", f"finds no annotation: {there:,} .xml files are there, and none has the stem of a picture "
                        f"such as {names[0]}; name the folder where they lie", "XML_MISSING")  # fmt: skip
    known: dict[str, Annotation | None] = {}  # by file, since pictures may share one
    for picture, file in found.items():
        if file not in known:
            known[file] = annotation(tree, file, picture, fix, tally)
    return {picture: known[file] for picture, file in found.items()}


def annotation(tree: Tree, file: str, picture: str, fix: bool, tally: Account) -> Annotation | None:
    """What the file says; None, and told, where it cannot be used."""
    try:
        entry = tree.entry(file)
        if entry.size > LARGEST:
            raise Bad(f"is {entry.size:,} bytes long, and at most {LARGEST:,} of XML are read", "XML_LARGE")
        root, notes = read(side_file(entry), file)
        if root.tag == "annotation" and len(root.all("object")) > MOST_OBJECTS:
            raise Bad(f"lists {len(root.all('object')):,} objects, and at most {MOST_OBJECTS:,} are taken", "XML_LARGE")
    except Bad as bad:
        tally.skip(file, bad)
        return None
    except OSError as error:
        tally.skip(file, Bad(f"cannot be read: {error.strerror or error}", "UNREADABLE"))
        return None
    for note in notes:
        tally.note(file, note)
    if root.tag != "annotation":
        tally.warn(file, f"begins with <{short(root.tag)}>, not <annotation>, so it states no box", "XML_NO_BOX")
        return Annotation(None, (), False)
    stated = root.said("filename").replace("\\", "/").rpartition("/")[2]
    if stated and stem(picture) not in (normal(stated), stem(stated)):
        tally.warn(file, f"states the file name {short(stated)!r}; it was taken for {picture} all the same, since its own name "
                   "counts", "XML_FILENAME")  # fmt: skip
    listed = root.all("object")
    if not listed:
        tally.warn(file, "has no <object>, so it states no box", "XML_NO_BOX")
    return Annotation(size(root), objects(file, listed, fix, tally), bool(listed))


def size(root: Element) -> tuple[int, int] | None:
    """(width, height) as stated, 0 for what is no number."""
    stated = root.first("size")
    if stated is None:
        return None
    width, height = (round(number(stated.said(side)) or 0) for side in ("width", "height"))
    return width, height


def objects(file: str, listed: Sequence[Element], fix: bool, tally: Account) -> tuple[Object, ...]:
    """The objects with a name and a box; the others are told."""
    found = []
    for index, element in enumerate(listed):
        try:
            name = normal(element.said("name"))
            if not name:
                raise Bad(f"has no <name> in object {index}, at line {element.line}; name it", "XML_ELEMENT")
            box, notes = box_of(index, element, fix)
        except Bad as bad:
            tally.skip(file, bad)
            continue
        for note in notes:
            tally.note(file, note)
        difficult, truncated = (element.said(flag).lower() in ("1", "true", "yes") for flag in ("difficult", "truncated"))
        found.append(Object(index, name, box, difficult, truncated))
    return tuple(found)


def box_of(index: int, element: Element, fix: bool) -> tuple[Box, list[Note]]:
    """The box of an object, with notes of what was changed. Raises Bad for one that is none."""
    where = f"object {index}, at line {element.line}"
    stated = element.first("bndbox")
    if stated is None:
        raise Bad(f"has no <bndbox> in {where}; draw its box again", "XML_ELEMENT")
    edges: list[int] = []
    notes: list[Note] = []
    for edge in EDGES:
        if stated.first(edge) is None:
            raise Bad(f"has no <{edge}> in the box of {where}; draw it again", "XML_ELEMENT")
        value = number(stated.said(edge))
        if value is None:
            raise Bad(f"has the {edge} {short(stated.said(edge))!r} in {where}; an edge is a number of pixels", "BOX_NUMBER")
        if value != round(value):
            notes = [Note(f"has edges that are no whole pixels in {where}; they were rounded", "BOX_ROUNDED")]
        edges.append(round(value))
    left, top, right, bottom = edges
    if fix and (left > right or top > bottom):
        notes.append(Note("box with its edges in the wrong order"))
        left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
    if left >= right or top >= bottom:
        swapped = "; --fix-boxes swaps its edges" if left != right and top != bottom else "; draw it again"
        raise Bad(f"has a box without area in {where}: {left} to {right} by {top} to {bottom}{swapped}", "BOX_EMPTY")
    return Box(left, top, right, bottom), notes


def number(text: str) -> float | None:
    """The number of pixels that a text means; None for what is none, or none that a picture could have."""
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) <= FARTHEST else None


def matched(tree: Tree, names: Sequence[str], tally: Account) -> dict[str, str]:
    """The annotation file of each picture that has one. Warns of pictures without, of files without, and of doubles."""
    stems = Counter(map(stem, names))
    files = [
        name for name in tree.names if not hidden(name) and (is_xml(name) or ("." not in base(name) and stem(name) in stems))
    ]
    shared = parts(names) & parts(files)
    by_key, by_stem = defaultdict[Key, list[str]](list), defaultdict[str, list[str]](list)
    for file in files:
        by_key[key(file, shared)].append(file)
        by_stem[stem(file)].append(file)
    found: dict[str, str] = {}
    for name in names:
        candidates = by_key.get(key(name, shared)) or (by_stem.get(stem(name)) if stems[stem(name)] == 1 else None)
        if candidates:
            found[name] = min(candidates, key=lambda file: not is_xml(file))  # the first, .xml before no suffix
            if len(candidates) > 1:
                tally.warn(
                    name, f"has {len(candidates)} annotations, such as {candidates[1]}; {found[name]} was taken", "XML_TWICE"
                )
        else:
            tally.warn(name, "has no annotation: no XML file with its stem belongs to it", "XML_NO_BOX")
    uses = Counter(found.values())
    for name, file in found.items():
        if uses[file] > 1:
            tally.warn(name, f"shares the annotation {file} with another picture of its stem", "XML_SHARED")
    for file in files:
        if file not in uses and is_xml(file):
            tally.warn(file, "is an annotation without a picture; it was not read", "XML_ALONE")
    return found


def parts(names: Iterable[str]) -> set[str]:
    return {part for name in names for part in PurePosixPath(name).parts[:-1]}


def key(name: str, shared: set[str]) -> Key:
    return tuple(part for part in PurePosixPath(name).parts[:-1] if part in shared), stem(name)


def stem(name: str) -> str:
    return normal(PurePosixPath(name).stem)


def base(name: str) -> str:
    return name.rpartition("/")[2]


def is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")


def normal(text: str) -> str:
    """The text with its accents composed, as macOS does not write them."""
    return unicodedata.normalize("NFC", text)


def short(text: str) -> str:
    """At most 40 letters of it, for a message."""
    return text if len(text) <= 40 else f"{text[:39]}…"


def names_of(found: Mapping[str, Annotation | None]) -> set[str]:
    """The names of all objects."""
    return {thing.name for one in found.values() if one is not None for thing in one.objects}
