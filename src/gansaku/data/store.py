"""The `.h5` store: one file that knows its shape, classes, splits, source and fingerprint, mapped into memory.

    attribute gansaku    the version of this layout
    samples              uint8, contiguous, not compressed: pictures (N, *S, C); voxels one row of bits each, (N, bytes)
    labels               (N,) int64, all zero where there are no classes
    columns/<name>       (N,) float32
    about                JSON as uint8: name, shape, classes, counts, fingerprint, source, report

Training rows come first, test rows after them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.errors import DataError, DiskError

VERSION = 1
SPLITS = ("train", "test")  # in the order of their rows
AT_ONCE = 1 << 24  # bytes of samples in memory at a time while a store is prepared and written

Bytes = NDArray[np.uint8]
Columns = Mapping[str, NDArray[np.float32]]
Progress = Callable[[int, int], None]  # (samples done, of how many)


@dataclass(frozen=True)
class Facts:
    """What a recipe function may know of the data: sample shape (C, *S), training samples, class names or ()."""

    name: str
    shape: tuple[int, ...]
    count: int
    classes: tuple[str, ...]


class Block(NamedTuple):
    """Some samples of one split on their way into a store: (n, *S, C), pictures 0..255, voxels 0/1."""

    samples: Bytes
    labels: NDArray[np.int64]
    split: str
    columns: Columns


class Content(NamedTuple):
    """What a source holds: sample shape (C, *S), class names or (), and its blocks, made as they are asked for."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    blocks: Iterator[Block]


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened store. `shape` is (C, *S); `counts` has "train" and, where there are some, "test".

    `report` is what preparation skipped and converted: counts by code, and the first examples.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    columns: dict[str, NDArray[np.float32]]
    counts: dict[str, int]
    fingerprint: str  # SHA-256 of shape, sample bytes and labels
    source: str
    report: dict[str, Any]
    stored: Bytes  # mapped, not read: pictures (N, *S, C), voxels (N, bytes)

    @property
    def facts(self) -> Facts:
        return Facts(self.name, self.shape, self.counts["train"], self.classes)

    @property
    def voxels(self) -> bool:
        return is_voxels(self.shape)

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
    return np.packbits(samples.reshape(len(samples), -1), axis=1)


def unpacked(rows: Bytes, shape: Sequence[int]) -> Bytes:
    """The inverse of `packed`: (n, bytes) -> (n, D, H, W, 1)."""
    return np.unpackbits(rows, axis=1, count=math.prod(shape)).reshape(len(rows), *shape[1:], 1)


def sides(space: Sequence[int]) -> str:
    """64x64: how a size is told."""
    return "x".join(map(str, space))


def at_once(size: int) -> int:
    """How many samples of so many bytes are held in memory at a time: at least one."""
    return max(1, AT_ONCE // max(1, size))


def row_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """How one sample (C, *S) lies in the file."""
    return (-(-math.prod(shape) // 8),) if is_voxels(shape) else (*shape[1:], shape[0])


def write(
    path: Path,
    blocks: Iterable[Block],
    *,
    name: str,
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    source: str = "",
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write a store whole or not at all, holding one block in memory at a time.

    How many samples there will be need not be known: they are collected in a raw file beside the store first, since
    a contiguous dataset cannot grow. `report` is read after the last block, so the producer of blocks may fill it.
    Training blocks must come before test blocks. Raises DiskError; errors of `blocks` pass through.
    """
    with files.replacing(path) as temporary:
        raw = path.with_name(f"{files.TEMPORARY}{os.getpid()}-raw-{path.name}")
        try:
            with files.create(raw) as spooled:
                labels, columns, counts, fingerprint = spool(spooled, blocks, shape)
            about = {
                "name": name,
                "shape": shape,
                "classes": classes,
                "counts": counts,
                "fingerprint": fingerprint,
                "source": source,
                "report": dict(report or {}),
            }
            with files.forgiving(temporary) as disk, h5py.File(disk, "w") as file:
                file.attrs["gansaku"] = VERSION
                samples = file.create_dataset("samples", (len(labels), *row_shape(shape)), np.uint8)
                copy_rows(raw, samples, lambda: disk.failure is None)
                file["labels"] = labels
                for column, values in columns.items():
                    file[f"columns/{column}"] = values
                # as a dataset, since attributes end at 64 KB; ASCII, since a file name may be no UTF-8
                file["about"] = np.frombuffer(json.dumps(about).encode("ascii"), np.uint8)
        finally:
            with suppress(DiskError):  # what cannot be removed now is swept later
                files.remove(raw)


def spool(
    raw: files.File, blocks: Iterable[Block], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]], dict[str, int], str]:
    """Append all samples to the raw file; labels, columns, counts and fingerprint are what is left in memory."""
    digest = hashlib.sha256(json.dumps(shape).encode())
    labels: list[NDArray[np.int64]] = []
    columns: dict[str, list[NDArray[np.float32]]] = {}
    counts: Counter[str] = Counter()
    for block in blocks:
        assert block.samples.dtype == np.uint8
        assert block.samples.shape[1:] == (*shape[1:], shape[0])
        assert block.split in SPLITS
        assert block.split == "test" or not counts["test"], "training rows come first"
        content = np.ascontiguousarray(packed(block.samples) if is_voxels(shape) else block.samples)
        raw.write(content.data)
        digest.update(content.data)
        labels.append(block.labels.astype("<i8"))
        for column, values in block.columns.items():
            columns.setdefault(column, []).append(values.astype("<f4"))
        counts[block.split] += len(content)
    assert counts["train"] > 0, "a store holds at least one training sample"
    all_labels = np.concatenate(labels)
    digest.update(all_labels.tobytes())
    return all_labels, {name: np.concatenate(parts) for name, parts in columns.items()}, +counts, digest.hexdigest()


def copy_rows(raw: Path, samples: Any, going_on: Callable[[], bool]) -> None:
    """Copy the raw file into the HDF5 dataset, some rows at a time, as long as that is of use."""
    mapped = np.memmap(raw, np.uint8, mode="r", shape=samples.shape)
    step = at_once(math.prod(samples.shape[1:]))
    for start in range(0, len(mapped), step):
        if going_on():
            samples[start : start + step] = mapped[start : start + step]


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
    except (OSError, KeyError, IndexError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(
            str(path),
            "cannot be read as an HDF5 file: cut short, damaged or of another type; prepare it again from its source",
            "H5_CORRUPT",
        ) from error


def read(path: Path, file: Any) -> Dataset:
    """The dataset in an opened HDF5 file. Whatever h5py raises here means that the file is damaged."""
    if "gansaku" not in file.attrs:
        raise DataError(
            str(path),
            f"is HDF5, but not a Gansaku store; it holds {contents(file)}. Export the samples as .npy and give that",
            "H5_FOREIGN",
        )
    version = int(file.attrs["gansaku"])
    if version != VERSION:
        raise DataError(
            str(path),
            f"is a store of version {version}, and this program reads version {VERSION}; prepare it again from its source",
            "H5_VERSION",
        )
    about = json.loads(bytes(plain(path, file, "about")))
    shape, counts = tuple(about["shape"]), {split: int(about["counts"][split]) for split in about["counts"]}
    samples = plain(path, file, "samples")
    labels = plain(path, file, "labels")[()]
    if file.get("columns", getlink=True).__class__ not in (type(None), h5py.HardLink):
        raise DataError(str(path), "'columns' is a link, which is not followed; prepare it again", "H5_LINK")
    columns = {name: plain(path, file, f"columns/{name}")[()] for name in file.get("columns", ())}
    classes = tuple(about["classes"])
    whole = (
        samples.shape == (sum(counts.values()), *row_shape(shape))
        and samples.dtype == np.uint8
        and list(counts) in (["train"], ["train", "test"])
        and labels.dtype == np.int64
        and all(values.shape == (len(samples),) for values in (labels, *columns.values()))
        and labels.min() >= 0
        and labels.max() < max(1, len(classes))
    )
    if not whole:
        raise DataError(
            str(path),
            f"contradicts itself: samples {samples.shape} {samples.dtype}, labels "
            f"{labels.shape} {labels.dtype}, said to be {counts} of shape {shape} in {len(classes)} "
            "classes; prepare it again",
            "H5_CORRUPT",
        )
    # a plain array over the map: np.memmap's own indexing costs microseconds per batch
    stored = np.asarray(np.memmap(path, np.uint8, mode="r", offset=samples.id.get_offset(), shape=samples.shape))
    name, fingerprint, source, report = (about[key] for key in ("name", "fingerprint", "source", "report"))
    return Dataset(path, name, shape, classes, labels, columns, counts, fingerprint, source, report, stored)


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


def contents(file: Any) -> str:
    """What datasets a foreign file has, the first ten: `'data' (890, 32, 32, 32) float32, ...`. Follows no link."""
    found: list[str] = []
    file.visititems(
        lambda name, item: found.append(f"{name!r} {item.shape} {item.dtype}") if isinstance(item, h5py.Dataset) else None
    )
    return ", ".join(found[:10]) + (", ..." if len(found) > 10 else "") or "no dataset"
