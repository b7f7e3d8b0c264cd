"""The `.h5` store: one file that knows its shape, classes, splits, source and fingerprint, mapped into memory.

    attribute gansaku    the version of this layout
    samples              uint8, contiguous, not compressed: pictures (N, *S, C); voxels one row of bits each, (N, bytes)
    labels               (N,) int64, all zero where there are no classes
    columns/<name>       (N,) float32
    names, name_ends     UTF-8 of where each sample came from, one after the other, and (N,) int64 where each ends
    skipped              JSON: every file that was left out, [name, why, code]
    about                JSON: name, shape, classes, counts, fingerprint, source, policy, report

Training rows come first, test rows after them. A store in shards has no `samples`: `about` names a folder beside it, whose
files 00000.h5, … hold some rows each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np
from numpy.typing import NDArray

from gansaku.data.content import Bytes
from gansaku.errors import DataError

VERSION = 2
READABLE = (1, 2)


@dataclass(frozen=True)
class Facts:
    """What a recipe function may know of the data: sample shape (C, *S), training samples, names of classes and columns."""

    name: str
    shape: tuple[int, ...]
    count: int
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()


class Names(Sequence[str]):
    """Where each sample came from. As bytes in memory, since a million names as text would take a hundred megabytes."""

    def __init__(self, text: bytes, ends: NDArray[np.int64]):
        self.text, self.ends = text, ends

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = int(self.ends[place - 1]) if place else 0
        return self.text[start : int(self.ends[place])].decode("utf-8", "surrogateescape")


class Shards:
    """The rows of all shards as one array. All are mapped at once: so they stay readable when the data are prepared again."""

    def __init__(self, paths: Sequence[Path], ends: Sequence[int], row: tuple[int, ...], fingerprint: str):
        self.paths, self.ends, self.row = paths, [*ends], row
        starts = [0, *self.ends]
        self.maps = [
            open_shard(one, end - start, row, fingerprint) for one, start, end in zip(paths, starts, ends, strict=False)
        ]

    def __len__(self) -> int:
        return self.ends[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.row)

    def __getitem__(self, indices: NDArray[np.int64]) -> Bytes:
        found = np.empty((len(indices), *self.row), np.uint8)
        shards = np.searchsorted(self.ends, indices, side="right")
        for shard in np.unique(shards):
            where = shards == shard
            start = self.ends[shard - 1] if shard else 0
            found[where] = self.maps[int(shard)][indices[where] - start]
        return found


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened store. `shape` is (C, *S); `counts` has "train" and, where there are some, "test".

    `report` is what preparation skipped, warned of and converted: counts by code, and the first messages; `skipped` is all
    of the first, [name, why, code]. `policy` has the choices that were not the usual ones.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    columns: dict[str, NDArray[np.float32]]
    counts: dict[str, int]
    fingerprint: str  # SHA-256 of shape, samples, labels, splits, class names and columns
    source: str
    report: dict[str, Any]
    stored: Bytes | Shards  # mapped, not read: pictures (N, *S, C), voxels (N, bytes)
    names: Sequence[str] = ()  # where each sample came from; () where that is not known
    policy: dict[str, Any] | None = None
    stream: dict[str, Any] | None = None  # where the training samples are, if these are but some of them (`data.streams`)
    again: str = ""  # what opens it again, as `train --data` takes it; the source where it is empty

    @property
    def facts(self) -> Facts:
        count = self.counts["train"] if self.stream is None else sum(count for _, count, _ in self.stream["shards"])
        return Facts(self.name, self.shape, count, self.classes, tuple(self.columns))

    @property
    def voxels(self) -> bool:
        return is_voxels(self.shape)

    @cached_property
    def skipped(self) -> list[list[str]]:
        """Every file that was left out: [name, why, code]."""
        with h5py.File(self.path, "r", locking=False) as file:
            return list(json.loads(text_in(self.path, file, "skipped"))) if "skipped" in file else []

    def rows(self, indices: NDArray[np.int64]) -> Bytes:
        """Samples (n, *S, C) in the order asked for, a copy: pictures 0..255, voxels 0/1."""
        indices = np.asarray(indices, dtype=np.int64)
        assert indices.size == 0 or (indices.min() >= 0 and indices.max() < len(self.stored)), "a row out of range"
        picked = self.stored[indices]
        return unpacked(picked, self.shape) if self.voxels else picked


def is_voxels(shape: Sequence[int]) -> bool:
    """(1, D, H, W) are voxels, (C, H, W) a picture."""
    return len(shape) == 4


def packed(samples: Bytes) -> Bytes:
    """Voxels (n, D, H, W, 1) of 0/1 -> (n, bytes), eight to a byte, the last byte filled with zeros."""
    return np.packbits(samples.reshape(len(samples), math.prod(samples.shape[1:])), axis=1)


def unpacked(rows: Bytes, shape: Sequence[int]) -> Bytes:
    """The inverse of `packed`: (n, bytes) -> (n, D, H, W, 1)."""
    return np.unpackbits(rows, axis=1, count=math.prod(shape)).reshape(len(rows), *shape[1:], 1)


def sides(space: Sequence[int]) -> str:
    """64x64: how a size is told."""
    return "x".join(map(str, space))


def row_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """How one sample (C, *S) lies in the file."""
    return (-(-math.prod(shape) // 8),) if is_voxels(shape) else (*shape[1:], shape[0])


def open_store(path: Path) -> Dataset:
    """Open a store; its samples are mapped, not read.

    Raises DataError for what is no HDF5 file or cut short (H5_CORRUPT), not one of ours (H5_FOREIGN), of another
    version (H5_VERSION), or laid out so that reading it would follow links or need filters (H5_LINK, H5_LAYOUT).
    """
    if not path.is_file():
        raise DataError(str(path), "is not there, or is not a file", "DATA_MISSING")
    try:
        with h5py.File(path, "r", locking=False) as file:  # a store is never written in place, so no lock is needed
            return read(path, file)
    except (OSError, KeyError, IndexError, RuntimeError, ValueError, TypeError, SystemError) as error:
        raise DataError(
            str(path),
            "cannot be read as an HDF5 file: cut short, damaged or of another type; prepare it again from its source",
            "H5_CORRUPT",
        ) from error


def is_store(path: Path) -> bool:
    """Whether it is an HDF5 file that this program wrote; what cannot be read at all counts as one, and is told when opened."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return "gansaku" in file.attrs
    except (OSError, KeyError, RuntimeError, ValueError, SystemError):
        return True


def read(path: Path, file: Any) -> Dataset:
    """The dataset in an opened HDF5 file. Whatever h5py raises here means that the file is damaged."""
    if "gansaku" not in file.attrs:
        raise DataError(
            str(path),
            f"is HDF5, but not a Gansaku store; it holds {contents(file)}. Prepare it, or export the samples as .npy",
            "H5_FOREIGN",
        )
    version = int(file.attrs["gansaku"])
    if version not in READABLE:
        raise DataError(
            str(path),
            f"is a store of version {version}, and this program reads version {VERSION}; prepare it again from its source",
            "H5_VERSION",
        )
    about = json.loads(text_in(path, file, "about"))
    shape, counts = tuple(about["shape"]), {split: int(about["counts"][split]) for split in about["counts"]}
    fingerprint = str(about["fingerprint"])
    labels = plain(path, file, "labels")[()]
    if file.get("columns", getlink=True).__class__ not in (type(None), h5py.HardLink):
        raise DataError(str(path), "'columns' is a link, which is not followed; prepare it again", "H5_LINK")
    columns = {name: plain(path, file, f"columns/{name}")[()] for name in file.get("columns", ())}
    classes, names = tuple(about["classes"]), names_in(path, file, len(labels))
    stored = shards_of(path, about, row_shape(shape)) if "shards" in about else mapped(path, file, row_shape(shape))
    whole = (
        stored.shape == (sum(counts.values()), *row_shape(shape))
        and list(counts) in (["train"], ["train", "test"])
        and labels.dtype == np.int64
        and isinstance(about["report"], dict)
        and isinstance(about.get("policy", {}), dict)
        and isinstance(about.get("stream", {}), dict)
        and all(isinstance(name, str) for name in (*classes, about["name"], about["source"]))
        and all(values.shape == (len(stored),) for values in (labels, *columns.values()))
        and labels.min() >= 0
        and labels.max() < max(1, len(classes))
    )
    if not whole:
        raise DataError(
            str(path),
            f"contradicts itself: samples {stored.shape}, labels {labels.shape} {labels.dtype}, said to be {counts} of "
            f"shape {shape} in {len(classes)} classes; prepare it again",
            "H5_CORRUPT",
        )
    name, source, report = (about[key] for key in ("name", "source", "report"))
    policy, stream = about.get("policy"), about.get("stream")
    return Dataset(
        path, name, shape, classes, labels, columns, counts, fingerprint, source, report, stored, names, policy, stream
    )


def mapped(path: Path, file: Any, row: tuple[int, ...]) -> Bytes:
    """The samples of a file, mapped. Raises ValueError when they are of another type or shape."""
    samples = plain(path, file, "samples")
    if samples.dtype != np.uint8 or samples.shape[1:] != row:
        raise ValueError(f"samples {samples.shape} {samples.dtype}")
    # a plain array over the map: np.memmap's own indexing costs microseconds per batch
    return np.asarray(np.memmap(path, np.uint8, mode="r", offset=samples.id.get_offset(), shape=samples.shape))


def names_in(path: Path, file: Any, count: int) -> Sequence[str]:
    """The names of the samples; () where the file has none. Raises ValueError when they contradict themselves."""
    if "names" not in file:
        return ()
    text, ends = text_in(path, file, "names"), plain(path, file, "name_ends")[()]
    if ends.shape != (count,) or (np.diff(ends, prepend=0) < 0).any() or ends[-1] != len(text):
        raise ValueError("names that do not fit the samples")
    return Names(text, ends)


def shards_of(path: Path, about: Any, row: tuple[int, ...]) -> Shards:
    """The shards that an index names, none opened yet. Raises DataError when one is not there."""
    folder, ends = str(about["shards"]["folder"]), [int(end) for end in about["shards"]["ends"]]
    if "/" in folder or "\\" in folder or folder in ("", ".", "..") or sorted(set(ends)) != ends or ends[0] < 1:
        raise ValueError(f"shards in {folder!r} that end at {ends}")
    paths = [path.with_name(folder) / f"{number:05d}.h5" for number in range(len(ends))]
    for one in paths:
        if not one.is_file():
            raise DataError(str(one), f"is missing; it is a part of {path.name}, which needs the folder {folder} beside it",
                            "SHARD_MISSING")  # fmt: skip
    return Shards(paths, ends, row, str(about["fingerprint"]))


def open_shard(path: Path, count: int, row: tuple[int, ...], fingerprint: str) -> Bytes:
    """The rows of one shard, mapped. Raises DataError when it is damaged or belongs to another store."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            about = json.loads(text_in(path, file, "about"))
            rows = mapped(path, file, row)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(str(path), "cannot be read: cut short or damaged; prepare the data again", "H5_CORRUPT") from error
    if about["fingerprint"] != fingerprint or len(rows) != count:
        raise DataError(str(path), "belongs to another preparation; prepare the data again", "SHARD_FOREIGN")
    return rows


def plain(path: Path, file: Any, name: str) -> Any:
    """The dataset of that name, which lies in one piece in the file's own bytes.

    Refuses what would open other files (links, virtual and external datasets), run filters, or is declared larger
    than the file: so nothing read from here can exceed it.
    """
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise DataError(str(path), f"{name!r} is a link, which is not followed; prepare it again", "H5_LINK")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name!r} is no dataset")
    if found.size == 0:
        return np.empty(found.shape, found.dtype)
    offset = None if found.is_virtual or found.external or found.chunks else found.id.get_offset()
    if offset is None:
        raise DataError(
            str(path),
            f"{name!r} lies in other files, in chunks or was never written, where one plain block is needed; prepare it again",
            "H5_LAYOUT",
        )
    if offset + found.nbytes > path.stat().st_size:
        raise ValueError(f"{name!r} is longer than the file")
    return found


def text_in(path: Path, file: Any, name: str) -> bytes:
    """The bytes of a dataset of text."""
    found: bytes = plain(path, file, name)[()].tobytes()  # bytes(dataset) would ask for each byte by itself
    return found


def contents(file: Any) -> str:
    """What datasets a foreign file has, the first ten: `'data' (890, 32, 32, 32) float32, ...`. Follows no link."""
    found: list[str] = []
    file.visititems(
        lambda name, item: found.append(f"{name!r} {item.shape} {item.dtype}") if isinstance(item, h5py.Dataset) else None
    )
    return ", ".join(found[:10]) + (", ..." if len(found) > 10 else "") or "no dataset"
