"""The files that CIFAR and MNIST are published in, as arrays with the names that `arrays` knows.

MNIST and its likes (Fashion-, K-, EMNIST): `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k`
or `test`, with or without `.gz`, also with a dot in place of the hyphen. EMNIST is stored lying on its side and is turned
upright here; its classes are named by its `-mapping.txt`.
CIFAR, the binary version: `data_batch_1.bin` …, `test_batch.bin`, `batches.meta.txt`; CIFAR-100: `train.bin`, `test.bin`,
`fine_label_names.txt`, and its coarse labels as the column `coarse`. The Python version could run code when it is loaded
and is refused. LeCun et al. 1998; Krizhevsky 2009.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from gansaku.data.npy import Array, Blocks, held, readable, rows_of
from gansaku.data.tally import Bad, Tally
from gansaku.data.tree import BOMB, Entry, Tree, hidden, side_file
from gansaku.errors import DataError

IDX = re.compile(r"(?P<kind>.*?)(?P<split>train|t10k|test)-(?P<what>images|labels)[-.]idx[13]-ubyte(\.gz)?", re.IGNORECASE)
MAPPING = re.compile(r"(.*)mapping\.txt", re.IGNORECASE)
BATCH = re.compile(r"data_batch_([1-9]\d?)\.bin")
TEN, HUNDRED = 3073, 3074  # bytes of a record: a label or two (coarse, fine), then 32x32 in red, green, blue
NAMES = ("batches.meta.txt", "fine_label_names.txt", "coarse_label_names.txt")
RUNS_CODE = ({"data_batch_1", "batches.meta"}, {"train", "test", "meta"})  # files of the Python versions of CIFAR
TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # of an idx file, by its third byte

Arrays = dict[str, Array]


def originals(tree: Tree, tally: Tally | None = None) -> AbstractContextManager[Arrays] | None:
    """The arrays of the original files in a tree: `x_train`, `y_train`, `x_test`, `y_test`, `class_names`, `coarse`.

    None when the tree holds no such files. Raises DataError when some are missing, of two sets, or contradict each other.
    """
    tally = tally or Tally()
    folders: dict[str, dict[str, str]] = {}  # folder -> the names of its files in it -> their names in the tree
    for name in tree.names:
        path = PurePosixPath(name)
        if known(path.name) and not hidden(name):
            folders.setdefault(str(path.parent), {})[path.name] = name
    found = [reader for names in folders.values() for reader in readers(Files(tally, tree, names))]
    if len(found) > 1:
        raise DataError(tally.source or "the source", f"holds {len(found)} original sets in {', '.join(folders)}; give the "
                        "folder that holds one of them", "DATA_LAYOUT")  # fmt: skip
    return nullcontext(found[0]()) if found else None


def known(name: str) -> bool:
    """Whether a file of that name may be a part of an original set."""
    plain = {"test_batch.bin", "train.bin", "test.bin", *NAMES}.union(*RUNS_CODE)
    return name in plain or any(pattern.fullmatch(name) for pattern in (IDX, MAPPING, BATCH))


@dataclass(frozen=True)
class Files:
    """The files of one folder: their names in it, and in the tree."""

    tally: Tally
    tree: Tree
    names: Mapping[str, str]

    def where(self, name: str) -> str:
        return f"{self.tally.source}/{self.names[name]}" if self.tally.source else self.names[name]

    def entry(self, name: str) -> Entry:
        with readable(self.where(name), "DATA"):
            try:
                return self.tree.entry(self.names[name])
            except Bad as bad:
                raise DataError(self.where(name), bad.sentence, bad.code) from bad

    def lines(self, name: str) -> list[str]:
        """The lines of a list of names; none if it is absent."""
        if name not in self.names:
            return []
        try:
            return side_file(self.entry(name)).decode().split("\n")
        except (Bad, UnicodeDecodeError) as error:
            raise DataError(
                self.where(name), f"cannot be read as text ({error}); copy or download it again", "LABELS"
            ) from error

    def missing(self, name: str) -> DataError:
        there = ", ".join(sorted(self.names))
        return DataError(
            self.tally.source or name, f"lacks {name}, which belongs to {there}; copy or download it", "DATA_MISSING"
        )


def readers(files: Files) -> Iterator[Callable[[], Arrays]]:
    """What reads each set that the files of a folder may be. Raises DataError for files that could run code."""
    for names in RUNS_CODE:
        if names <= files.names.keys():
            raise DataError(files.where(min(names)), "belongs to the Python version of CIFAR, which could run code and is not "
                            "loaded; download the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz)",
                            "PICKLE")  # fmt: skip
    matches = [match for name in files.names if (match := IDX.fullmatch(name))]
    for kind in sorted({match["kind"] for match in matches if match["what"].lower() == "images"}):
        yield partial(mnist, files, kind)
    if any(BATCH.fullmatch(name) for name in files.names):
        yield partial(cifar_10, files)
    if "train.bin" in files.names and {"test.bin", *NAMES} & files.names.keys():
        yield partial(cifar_100, files)


def mnist(files: Files, kind: str) -> Arrays:
    """The idx files whose names begin with `kind`, as "emnist-balanced-"."""
    found: Arrays = {}
    for split, words in (("train", ("train",)), ("test", ("t10k", "test"))):
        images, labels = (idx_named(files, kind, words, what) for what in ("images", "labels"))
        if images is None and labels is None and split == "test":
            continue
        if images is None:
            raise files.missing(f"{kind}{words[0]}-images-idx3-ubyte")
        found[f"x_{split}"] = turned(images) if kind.lower().startswith("emnist") else images
        if labels is None:
            continue
        if labels.shape != images.shape[:1]:
            raise DataError(labels.where, f"has {labels.shape} labels for {images.shape[0]:,} pictures in {images.where}; take "
                            "both from one place", "LABELS")  # fmt: skip
        found[f"y_{split}"] = labels
    if "x_test" in found and ("y_train" in found) != ("y_test" in found):
        raise files.missing(f"{kind}{'t10k' if 'y_train' in found else 'train'}-labels-idx1-ubyte")
    mapping = next((name for name in files.names if name.lower() == f"{kind}mapping.txt".lower()), "")
    return named(found, mapping_of(files, mapping)) if mapping and "y_train" in found else found


def idx_named(files: Files, kind: str, words: Sequence[str], what: str) -> Array | None:
    """The idx file of one split, the unpacked one where both are there."""
    for name in sorted(files.names, key=lambda name: (name.lower().endswith(".gz"), name)):
        match = IDX.fullmatch(name)
        if match and match["kind"] == kind and match["split"].lower() in words and match["what"].lower() == what:
            return idx(files.where(name), files.entry(name), 1 if what == "labels" else 3)
    return None


def idx(where: str, entry: Entry, axes: int) -> Array:
    """An array in an idx file: two zeros, type, number of axes, their lengths, all big-endian, then the values."""
    with readable(where, "IDX"), unpacked(entry) as (stream, packed):
        head = stream.read(4)
        lengths = stream.read(4 * axes)
    if len(head + lengths) < 4 + 4 * axes:
        raise DataError(where, "ends within its header; copy or download it again", "IDX_SHORT")
    if head[:2] != b"\0\0" or head[2] not in TYPES or head[3] != axes:
        raise DataError(where, f"begins with {head.hex(' ')}, and an idx file of {axes} {'axes' if axes > 1 else 'axis'} with "
                        f"00 00 08 0{axes}; download it again", "IDX_MAGIC")  # fmt: skip
    shape, dtype = struct.unpack(f">{axes}I", lengths), np.dtype(TYPES[head[2]])
    check_size(where, entry.size, len(head + lengths) + math.prod(shape) * dtype.itemsize, shape, packed)

    def made() -> Blocks:
        with unpacked(entry) as (stream, _):
            stream.read(4 + 4 * axes)
            yield from rows_of(where, stream, shape, dtype, "IDX")
            if stream.read(1):
                raise DataError(where, f"holds more than the {shape} values of its header; download it again", "IDX_COUNT")

    return Array(where, shape, dtype, made, "IDX")


def check_size(where: str, size: int, needed: int, shape: tuple[int, ...], packed: bool) -> None:
    """Raises DataError when a file of `size` bytes cannot be what its header says."""
    if packed and needed > max(BOMB[0], BOMB[1] * size):
        raise DataError(where, f"is said to unpack from {size:,} bytes to {needed:,}, far more than pictures do; download it "
                        "again", "IDX_SHORT")  # fmt: skip
    if not packed and size != needed:
        raise DataError(where, f"has {size:,} bytes, and its header says {shape}, {needed:,} bytes; download it again",
                        "IDX_SHORT" if size < needed else "IDX_COUNT")  # fmt: skip


@contextmanager
def unpacked(entry: Entry) -> Iterator[tuple[IO[bytes], bool]]:
    """The stream of a file and whether it is packed by gzip, by its first bytes: names lose or keep their .gz by chance."""
    with entry.open() as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        yield (cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if packed else stream), packed


def turned(images: Array) -> Array:
    """(N, H, W) -> (N, W, H)."""
    shape = (images.shape[0], *images.shape[:0:-1])
    return replace(images, shape=shape, made=lambda: (block.swapaxes(1, 2) for block in images.made()))


def mapping_of(files: Files, name: str) -> dict[int, str]:
    """EMNIST's classes: a label and the codes of the characters that it stands for, as `10 65 97`."""
    try:
        rows = [[int(number) for number in line.split()] for line in files.lines(name) if line.strip()]
        return {label: "".join(map(chr, codes)) for label, *codes in rows}
    except (ValueError, OverflowError) as error:
        raise DataError(files.where(name), f"is no list of labels and character codes ({error})", "LABELS") from error


def named(found: Arrays, names: Mapping[int, str]) -> Arrays:
    """The same with labels that count the names from 0."""
    place = {label: number for number, label in enumerate(names)}

    def counted(labels: Array) -> Array:
        def made() -> Blocks:
            for block in labels.made():
                different, inverse = np.unique(block, return_inverse=True)
                unknown = [int(label) for label in different if label not in place]
                if unknown:
                    raise DataError(labels.where, f"has the label {unknown[0]}, which the mapping lacks", "LABELS")
                yield np.array([place[label] for label in different.tolist()], np.int64)[inverse]

        return replace(labels, dtype=np.dtype(np.int64), made=made)

    changed = {name: counted(array) if name.startswith("y_") else array for name, array in found.items()}
    return {**changed, "class_names": held("the mapping", np.array([*names.values()]))}


def cifar_10(files: Files) -> Arrays:
    """The binary version of CIFAR-10."""
    numbers = sorted(int(match[1]) for name in files.names if (match := BATCH.fullmatch(name)))
    for number in range(1, numbers[-1]):
        if number not in numbers:
            raise files.missing(f"data_batch_{number}.bin")
    if len(numbers) < 5:
        files.tally.warn(
            files.names["data_batch_1.bin"], f"is one of {len(numbers)} batches, and CIFAR-10 has 5", "CIFAR_BATCHES"
        )
    return cifar(files, [f"data_batch_{number}.bin" for number in numbers], "test_batch.bin", TEN, "batches.meta.txt")


def cifar_100(files: Files) -> Arrays:
    """The binary version of CIFAR-100."""
    found = cifar(files, ["train.bin"], "test.bin", HUNDRED, "fine_label_names.txt")
    present = [name for name in ("train.bin", "test.bin") if name in files.names]
    found["coarse"] = records(files, present, HUNDRED, partial(label_of, column=0, most=20), ())
    if names := names_of(files, "coarse_label_names.txt"):
        found["coarse_names"] = names
    return found


def cifar(files: Files, train: list[str], test: str, record: int, names: str) -> Arrays:
    """Pictures (N, 3, 32, 32) and labels of both splits; `record` is the size of one in bytes."""
    found: Arrays = {}
    label = partial(label_of, column=record - TEN, most=10 if record == TEN else 100)
    for split, parts in (("train", train), ("test", [test] if test in files.names else [])):
        if parts:
            found[f"x_{split}"] = records(files, parts, record, pictures_of, (3, 32, 32))
            found[f"y_{split}"] = records(files, parts, record, label, ())
    if classes := names_of(files, names):
        found["class_names"] = classes
    return found


def records(
    files: Files,
    names: Sequence[str],
    record: int,
    part: Callable[[NDArray[np.uint8], str], NDArray[Any]],
    row: tuple[int, ...],
) -> Array:
    """One part of each record, the files one after the other."""
    entries = [(files.where(name), files.entry(name)) for name in names]
    for where, entry in entries:
        if entry.size % record or not entry.size:
            raise DataError(where, f"has {entry.size:,} bytes, no whole number of records of {record:,}; copy or download it "
                            "again", "CIFAR_SIZE")  # fmt: skip

    def made() -> Blocks:
        for where, entry in entries:
            with readable(where, "CIFAR"), entry.open() as stream:
                for block in rows_of(where, stream, (entry.size // record, record), np.dtype(np.uint8), "CIFAR"):
                    yield part(block, where)

    return Array(entries[0][0], (sum(entry.size // record for _, entry in entries), *row), np.dtype(np.uint8), made, "CIFAR")


def pictures_of(block: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    return block[:, 1 - TEN :].reshape(-1, 3, 32, 32)


def label_of(block: NDArray[np.uint8], where: str, column: int, most: int) -> NDArray[np.uint8]:
    if block[:, column].max(initial=0) >= most:
        raise DataError(where, f"has the label {block[:, column].max()} where CIFAR's are below {most}; it is another "
                        "file or damaged", "LABELS")  # fmt: skip
    return block[:, column]


def names_of(files: Files, name: str) -> Array | None:
    lines = [line.strip() for line in files.lines(name) if line.strip()]
    return held(files.where(name), np.array(lines)) if lines else None
