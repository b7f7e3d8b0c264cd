"""What the folders of a source mean: the split and the class of each sample.

Rules, in this order. Labels that the source states itself count (`dataset.json`, a `.cls` file). `meta/train.txt` beside
`images/` is Food-101's layout. A `.binvox` in `<class>/<model>/models/` is ShapeNet's. Otherwise: a folder around
everything counts for nothing; `train/` beside `test/`, `val/` or `valid/`, above the classes or within each, are splits; the
folders below are classes, in natural order, and what lies deeper belongs to them. `n02085620-Chihuahua` is Chihuahua.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gansaku.data.tally import Account, Bad
from gansaku.data.tree import Tree, natural, side_file
from gansaku.errors import DataError

SPLIT_OF = {"train": "train", "training": "train"} | dict.fromkeys(("test", "testing", "val", "valid", "validation"), "test")
WORDNET = re.compile(r"n\d{8}-(.+)")


class Place(NamedTuple):
    """Of a sample: its split, and its class or ""."""

    split: str
    label: str


def places(source: str, names: Sequence[str], tree: Tree, layout: str = "auto", tally: Account | None = None) -> list[Place]:
    """The place of each of these files of the tree. `layout` is a policy's. Raises DataError when it is ambiguous."""
    tally = tally or Account()
    if layout == "flat":
        return [Place("train", "")] * len(names)
    found = stated(names, tree, tally) or food(names, tree) or shapenet(names) or by_folders(source, names, layout, tally)
    if any(place.label for place in found):
        for name, place in zip(names, found, strict=True):
            if not place.label:
                tally.warn(name, "has no class where others have one; it was put into the class 'unlabelled'", "LABEL_MISSING")
        found = [place if place.label else Place(place.split, "unlabelled") for place in found]
    return tidied(found)


def stated(names: Sequence[str], tree: Tree, tally: Account) -> list[Place] | None:
    """By labels that the source states; a split by a folder above. None where it states none."""
    if not any(name in tree.labels for name in names):
        return None
    splits = [next((SPLIT_OF[part.lower()] for part in name.split("/")[:-1] if part.lower() in SPLIT_OF), "") for name in names]
    known = {split for split in splits if split}
    return [
        Place(split or "train" if known == {"train", "test"} else "train", tree.labels.get(name, ""))
        for name, split in zip(names, splits, strict=True)
    ]


def food(names: Sequence[str], tree: Tree) -> list[Place] | None:
    """Food-101: `images/<class>/<number>.jpg`, and `meta/test.txt` lists `<class>/<number>` of the test split."""
    listing = next((name for name in tree.names if re.fullmatch(r"(.*/)?meta/train\.txt", name)), None)
    if listing is None:
        return None
    root = listing.removesuffix("meta/train.txt")
    if f"{root}meta/test.txt" not in tree.names or not all(name.startswith(f"{root}images/") for name in names):
        return None
    try:
        test = set(side_file(tree.entry(f"{root}meta/test.txt")).decode().split())
    except (Bad, UnicodeDecodeError) as error:
        raise DataError(f"{root}meta/test.txt", f"cannot be read as a list of names ({error})", "DATA_LAYOUT") from error
    inner = [name.removeprefix(f"{root}images/") for name in names]
    return [Place("test" if name.rpartition(".")[0] in test else "train", name.split("/")[0] if "/" in name else "")
            for name in inner]  # fmt: skip


def shapenet(names: Sequence[str]) -> list[Place] | None:
    """`<class>/<model>/models/<file>`, or `<model>/models/<file>` of one class: a model is no class."""
    parts = [name.split("/")[:-1] for name in names]
    if not all(len(folders) >= 2 and folders[-1] == "models" for folders in parts):
        return None
    return [Place("train", folders[-3] if len(folders) > 2 else "") for folders in parts]


def by_folders(source: str, names: Sequence[str], layout: str, tally: Account) -> list[Place]:
    """By the folders that the files lie in."""
    folders = without_common([name.split("/")[:-1] for name in names])
    splits = ["train"] * len(names)
    for level in (0, 1):  # train/<class>/…, or <class>/train/…
        found = {parts[level].lower() for parts in folders if len(parts) > level}
        whole = all(len(parts) > level for parts in folders)
        if (
            whole
            and {SPLIT_OF.get(name) for name in found} >= {"train", "test"}
            and layout == "auto"
            and found - SPLIT_OF.keys()
        ):
            beside = min(found - SPLIT_OF.keys())
            raise DataError(source, f"has the folder {beside!r} beside those of the splits, so whether they are classes is "
                            "unclear; move it elsewhere, or say --layout classes", "DATA_LAYOUT")  # fmt: skip
        if folders and whole and found <= SPLIT_OF.keys() and "train" in {SPLIT_OF[name] for name in found}:
            splits = [SPLIT_OF[parts[level].lower()] for parts in folders]
            folders = without_common([parts[:level] + parts[level + 1 :] for parts in folders])
            break
    if any(folders) and not all(folders) and layout == "auto":
        beside, within = (next(n for n, parts in zip(names, folders, strict=True) if bool(parts) == w) for w in (0, 1))
        raise DataError(source, f"has files beside folders of files ({beside!r} and {within!r}), so whether the folders are "
                        "classes is unclear; put every file into a folder of its class, or say --layout classes or "
                        "--layout flat", "DATA_LAYOUT")  # fmt: skip
    deep = next((name for name, parts in zip(names, folders, strict=True) if len(parts) > 1), None)
    if deep is not None:
        tally.warn(deep, "lies in a folder within a class folder; the outer folder is its class", "DATA_NESTED")
    return [Place(split, parts[0] if parts else "") for split, parts in zip(splits, folders, strict=True)]


def without_common(folders: list[list[str]]) -> list[list[str]]:
    """The same without the folders that all share: a lone `images/` is no class."""
    while folders and all(folders) and len({parts[0] for parts in folders}) == 1:
        folders = [parts[1:] for parts in folders]
    return folders


def tidied(found: list[Place]) -> list[Place]:
    """The same with WordNet's numbers taken off the class names, where every class has one."""
    found = [Place(*place) for place in found]
    names = {place.label for place in found}
    short = {name: match[1] for name in names if (match := WORDNET.fullmatch(name))}
    if len(short) < len(names) or len(set(short.values())) < len(names):
        return found
    return [place._replace(label=short[place.label]) for place in found]


def classes_of(found: Sequence[Place], empty: Sequence[str] = (), order: Sequence[str] = ()) -> tuple[str, ...]:
    """The class names in the order that the source states, then in natural order, with those of classes that hold nothing."""
    present = {place.label for place in found if place.label} | set(empty)
    return (*(name for name in order if name in present), *sorted(present - set(order), key=natural))


def empty_classes(found: Sequence[Place], names: Sequence[str], tree: Tree) -> list[str]:
    """The folders beside class folders that hold no sample, not even deeper: their names."""
    above: set[str] = set()
    held: set[str] = set()
    for place, name in zip(found, names, strict=True):
        parts = name.split("/")[:-1]
        held.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        depth = next((i for i, part in enumerate(parts) if place.label and part in (place.label, wordnet(part, place))), None)
        if depth is not None:
            above.add("/".join(parts[:depth]))
    known = {place.label for place in found}
    beside = [folder for folder in tree.folders if folder.rpartition("/")[0] in above and folder not in held]
    names_of = {folder.rpartition("/")[2] for folder in beside if not folder.rpartition("/")[2].startswith((".", "__MACOSX"))}
    return sorted(names_of - known, key=natural)


def wordnet(part: str, place: Place) -> str:
    """The folder's name, if the class is it without WordNet's number."""
    match = WORDNET.fullmatch(part)
    return part if match and match[1] == place.label else ""
