"""The form that StyleGAN2 and 3 read: a zip of PNG files, stored without compression, and their labels in `dataset.json`.

    00000/img00000000.png …     a thousand to a folder, below train/ and test/ where there is a test split
    dataset.json                {"labels": [["00000/img00000000.png", 6], …], "class_names": ["cat", …]}

`labels` is null where there are no classes. StyleGAN itself has no splits and no names of classes, and passes over them.
Karras et al., `dataset_tool.py` of NVlabs/stylegan3.
"""

from __future__ import annotations

import io
import json
import reprlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gansaku import files
from gansaku.data.content import BLOCK, SPLITS, WORKERS, Bytes, Progress, at_once
from gansaku.data.store import Dataset
from gansaku.data.tally import Account, Bad, Note
from gansaku.data.tree import LARGEST_SIDE_FILE, Tree, hidden, side_file
from gansaku.errors import DataError, UsageError
from gansaku.render.sheet import png

LISTING = "dataset.json"
LARGEST_CLASS = 1_000_000


def labelled(tree: Tree, tally: Account | None = None) -> Tree:
    """The same tree with the labels that its `dataset.json` states, and the order of the classes if it names them."""
    labels, classes = stated(tree, tally)
    return replace(tree, labels=labels, classes=classes)


def stated(tree: Tree, tally: Account | None = None) -> tuple[dict[str, str], Sequence[str]]:
    """The class of each file that a `dataset.json` states; "" for all where it says that there are none.

    Numbers are named by `class_names`, or as "0" to "9", "00" to "99". Empty where the tree has no such file. Raises
    DataError when it is damaged or holds what are no classes.
    """
    listings = [name for name in tree.names if name.rpartition("/")[2] == LISTING and not hidden(name)]
    if not listings:
        return {}, ()
    where = min(listings, key=lambda name: name.count("/"))
    folder = where.removesuffix(LISTING)
    names = {name for name in tree.names if name.startswith(folder) and name != where}
    found = listing(tree, where, len(names))
    if not isinstance(found, dict) or "labels" not in found:
        return {}, ()
    if found["labels"] is None:
        return dict.fromkeys(names, ""), ()
    numbers = numbers_of(found["labels"], where)
    classes = names_of(numbers, found.get("class_names"), where)
    for name in numbers:
        if folder + name not in names and tally is not None:
            tally.warn(folder + name, f"is labelled in {LISTING}, but is not there", "LABEL_UNKNOWN")
    labels = {folder + name: classes[number] for name, number in numbers.items() if folder + name in names}
    return labels, [classes[number] for number in sorted(classes)]


def listing(tree: Tree, where: str, count: int) -> Any:
    """The JSON of a file that states labels for so many files, and so cannot be arbitrarily large."""
    most = min(LARGEST_SIDE_FILE, (1 << 22) + 512 * count)
    try:
        entry = tree.entry(where)
        if entry.size > most:
            raise DataError(where, f"has {entry.size:,} bytes for {count:,} files, and at most {most:,} are read; leave out "
                            "what are no labels", "DATASET_JSON")  # fmt: skip
        return json.loads(side_file(entry))
    except (Bad, OSError, ValueError, RecursionError) as error:
        raise DataError(where, f"cannot be read as JSON ({error}); download it again, or remove it to go by folders",
                        "DATASET_JSON") from error  # fmt: skip


def numbers_of(labels: Any, where: str) -> dict[str, int]:
    """The number of each name's class. Raises DataError."""
    found: dict[str, int] = {}
    kinds = set()
    for row in labels if isinstance(labels, list) else [labels]:
        if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], str)):
            raise refused(where, f"has the label {shown(row)}, which is no pair of a name and a class")
        name, number = row[0].replace("\\", "/"), class_number(row[1])
        if number is None:
            raise refused(where, f"labels {shown(row[0])} with {shown(row[1])}, which is neither a class number nor a vector "
                          "with a single 1")  # fmt: skip
        if found.setdefault(name, number) != number:
            raise refused(where, f"labels {shown(row[0])} twice, with {found[name]} and {number}")
        kinds.add(len(row[1]) if isinstance(row[1], list) else 0)
    if len(kinds) > 1:
        raise refused(where, "has labels of several lengths")
    return found


def class_number(label: Any) -> int | None:
    """The number of a class, given so or as a vector with a single 1; None for anything else."""
    if isinstance(label, list):
        ones = [place for place, value in enumerate(label) if value == 1]
        return ones[0] if len(ones) == 1 and sum(value == 0 for value in label) == len(label) - 1 else None
    if isinstance(label, bool) or not isinstance(label, int | float) or not 0 <= label <= LARGEST_CLASS:
        return None
    return int(label) if label == int(label) else None


def names_of(numbers: dict[str, int], names: Any, where: str) -> dict[int, str]:
    """The name of each class number that occurs. Raises DataError."""
    used, most = set(numbers.values()), max(numbers.values(), default=0)
    if names is None:
        return {number: f"{number:0{len(str(most))}d}" for number in used}
    if not (isinstance(names, list) and most < len(names) and all(isinstance(name, str) for name in names)):
        raise refused(where, f"has class_names {shown(names)}, which do not fit to labels up to {most}")
    return {number: names[number] for number in used}


def refused(where: str, sentence: str) -> DataError:
    return DataError(where, f"{sentence}; correct it, or remove it to go by folders", "DATASET_JSON")


def shown(value: Any) -> str:
    """The value in a message: shortened, also where it is nested."""
    return reprlib.repr(value)


def notes(dataset: Dataset) -> list[Note]:
    """What StyleGAN will not take, or take otherwise than it is meant."""
    found = []
    _, height, width = dataset.shape
    if height != width or height & (height - 1):
        found.append(Note(f"holds pictures of {width}x{height}, and StyleGAN takes squares of 32, 64, 128 …; prepare them with "
                          "--size", "STYLEGAN_SIZE"))  # fmt: skip
    if dataset.counts.get("test"):
        found.append(Note(f"holds a test split of {dataset.counts['test']:,}, and StyleGAN trains on all of a zip; remove its "
                          "test/ there", "STYLEGAN_SPLIT"))  # fmt: skip
    return found


def write_zip(dataset: Dataset, path: Path, progress: Progress) -> None:
    """The dataset in StyleGAN's form, whole or not at all; the same dataset gives the same bytes. Raises UsageError."""
    if dataset.voxels:
        raise UsageError(str(path), "is StyleGAN's form, which holds pictures, not voxels; give a folder or a .npz", "FORM")
    names = [f"{folder}{number // 1000:05d}/img{number:08d}.png" for number, folder in enumerate(folders_of(dataset))]
    with stored_zip(path) as archive:
        for number, content in encoded(dataset, png_of, progress):
            archive.writestr(member(names[number]), content)
        archive.writestr(member(LISTING), listed(dataset, names))


def folders_of(dataset: Dataset) -> list[str]:
    """The folder of each sample's split; "" where there is but one."""
    if not dataset.counts.get("test"):
        return [""] * dataset.counts["train"]
    return [f"{split}/" for split in SPLITS for _ in range(dataset.counts[split])]


def listed(dataset: Dataset, names: Sequence[str]) -> bytes:
    """The `dataset.json` of these files."""
    rows = [[name, int(label)] for name, label in zip(names, dataset.labels, strict=True)] if dataset.classes else None
    return json.dumps({"labels": rows, **({"class_names": list(dataset.classes)} if dataset.classes else {})}).encode("ascii")


def png_of(sample: Bytes) -> bytes:
    """A picture (H, W, 1) or (H, W, 3) as a file."""
    return png(sample[..., 0] if sample.shape[-1] == 1 else sample)


def encoded(dataset: Dataset, encode: Callable[[Bytes], bytes], progress: Progress) -> Iterator[tuple[int, bytes]]:
    """The number and the encoded content of each sample (*S, C), made on all cores."""
    count = sum(dataset.counts.values())
    step = min(BLOCK, at_once(int(np.prod(dataset.shape))))
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, count, step):
            rows = dataset.rows(np.arange(start, min(start + step, count)))
            yield from enumerate(pool.map(encode, rows), start)
            progress(start + len(rows), count)


@contextmanager
def stored_zip(path: Path, needs: int | None = None) -> Iterator[zipfile.ZipFile]:
    """A zip without compression to be filled, there under its name when the context ends well."""
    with (
        files.replacing(path, needs) as temporary,
        files.create(temporary) as file,
        io.BufferedWriter(file, files.CHUNK) as buffered,
        zipfile.ZipFile(buffered, "w", zipfile.ZIP_STORED) as archive,
    ):
        yield archive


def member(name: str) -> zipfile.ZipInfo:
    """An entry of a fixed date, which all may read when it is unpacked."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry
