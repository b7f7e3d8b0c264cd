"""From blocks to a store: piece by piece, going on after a kill, whole under its name or not there at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.data.content import SPLITS, Block, Bytes, Progress, at_once
from gansaku.data.pieces import Pieces, workplace
from gansaku.data.store import VERSION, is_voxels, packed, row_shape
from gansaku.data.tally import Tally
from gansaku.errors import DiskError


def write(
    path: Path,
    blocks: Iterable[Block] | Callable[[int], Iterator[Block]],
    *,
    name: str,
    shape: tuple[int, ...],
    classes: tuple[str, ...] = (),
    source: str = "",
    policy: Mapping[str, Any] | None = None,
    tally: Tally | None = None,
    dedupe: bool = False,
    shard: int | None = None,
    identity: Any = None,
    progress: Progress = lambda done, total: None,
    total: int = 0,
    stream: Mapping[str, Any] | None = None,
) -> None:
    """Write a store whole or not at all, holding one block in memory at a time.

    With an `identity`, `blocks(i)` makes the blocks from number i on, and a preparation that was killed goes on. `dedupe`
    leaves out repetitions of a sample. `shard` is how many bytes of samples a file may hold; more go into several.
    `tally` gets the accounts of all blocks. `stream` is the list of shards that the samples are taken from. Raises Stopped
    when too much was bad, DiskError; errors of `blocks` pass through.
    """
    tally = tally if tally is not None else Tally(source=source)
    with workplace(path, [os.getpid(), os.urandom(8).hex()] if identity is None else identity) as pieces:
        done = sum(block.read for block in pieces)
        if done:
            progress(done, total)
        make = blocks(pieces.count) if callable(blocks) else islice(blocks, pieces.count, None)
        for block in make:
            pieces.append(checked(block, shape))
            done += block.read
            progress(done, total)
        content = gathered(pieces, shape, classes, dedupe, tally)
        warn_of_tiny_classes(content, classes, tally)
        tally.check()
        if content.counts.get("train", 0) == 0:
            raise tally.nothing_left()
        about = {
            "name": name,
            "shape": shape,
            "classes": classes,
            "counts": content.counts,
            "fingerprint": content.fingerprint,
            "source": source,
            "policy": dict(policy or {}),
            "report": tally.report,
        }
        if stream is not None:
            listed = json.dumps([content.fingerprint, stream["fingerprint"]])
            about |= {"stream": dict(stream), "fingerprint": hashlib.sha256(listed.encode()).hexdigest()}
        row = math.prod(row_shape(shape))
        ends = list(range(per_file, len(content.labels), per_file)) if (per_file := (shard or 0) // row) else []
        folder = path.with_name(f"{path.stem}-{content.fingerprint[:12]}.shards")
        if ends:
            ends.append(len(content.labels))
            about["shards"] = {"folder": folder.name, "ends": ends}
            files.sweep_exports(folder)
            write_shards(folder, pieces, content, shape, ends)
        with files.replacing(path) as temporary:
            write_file(temporary, about, content, None if ends else rows(pieces, content), shape, tally.skipped)
        for old in path.parent.glob(f"{glob_safe(path.stem)}-{'[0-9a-f]' * 12}.shards"):
            if (not ends or old.name != folder.name) and (old / "00000.h5").is_file():
                with suppress(DiskError):  # an older store's, which nobody needs any more
                    files.remove(old)


def checked(block: Block, shape: tuple[int, ...]) -> Block:
    """The same block. What it promises is our own to keep."""
    assert block.samples.dtype == np.uint8
    assert block.samples.shape[1:] == (*shape[1:], shape[0])
    assert block.split in SPLITS
    assert len(block.labels) == len(block.samples)
    assert len(block.names) in (0, len(block.samples))
    return block


@dataclass
class Gathered:
    """All but the samples themselves. `kept` has, for each piece, which of its rows go into the store."""

    labels: NDArray[np.int64]
    columns: dict[str, NDArray[np.float32]]
    names: list[bytes]
    counts: dict[str, int]
    fingerprint: str
    kept: list[NDArray[np.bool_]] = field(default_factory=list)


def gathered(pieces: Pieces, shape: tuple[int, ...], classes: tuple[str, ...], dedupe: bool, tally: Tally) -> Gathered:
    """Look through all pieces once: labels, columns, names, counts, fingerprint, repetitions."""
    digest = hashlib.sha256(json.dumps(shape).encode())
    labels: list[NDArray[np.int64]] = []
    columns: dict[str, list[NDArray[np.float32]]] = {}
    names: list[bytes] = []
    counts = dict.fromkeys(SPLITS, 0)
    kept: list[NDArray[np.bool_]] = []
    seen = Repetitions(tally, dedupe)
    for block in pieces:
        tally.add(block.account)
        content = stored(block.samples, shape)
        keep = seen.kept(block, content)
        kept.append(keep)
        content = content[keep]
        assert block.split == "test" or not counts["test"] or not len(content), "training rows come first"
        digest.update(content.data)
        labels.append(block.labels[keep].astype("<i8"))
        for column, values in block.columns.items():
            columns.setdefault(column, []).append(values[keep].astype("<f4"))
        names += [name.encode("utf-8", "surrogateescape") for name, taken in zip(block.names, keep, strict=False) if taken]
        counts[block.split] += len(content)
    all_labels = np.concatenate([np.empty(0, np.int64), *labels])
    digest.update(all_labels.tobytes())
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    present = {split: count for split, count in counts.items() if count}
    digest.update(json.dumps([present, classes]).encode())
    for name, values in sorted(joined.items()):
        digest.update(name.encode("utf-8", "surrogateescape") + values.tobytes())
    return Gathered(all_labels, joined, names, present, digest.hexdigest(), kept)


def warn_of_tiny_classes(content: Gathered, classes: tuple[str, ...], tally: Tally) -> None:
    counts = np.bincount(content.labels[: content.counts.get("train", 0)], minlength=len(classes))
    for name in (name for name, count in zip(classes, counts, strict=False) if count == 1):
        tally.warn(name, "is a class with a single training sample, which a generator can only repeat", "CLASS_TINY")


class Repetitions:
    """Samples that were there before, bit for bit: they are warned of, or left out where that is asked for."""

    def __init__(self, tally: Tally, dedupe: bool):
        self.tally, self.dedupe = tally, dedupe
        self.seen: dict[bytes, str] = {}  # digest of a sample -> the split it was first in
        self.count = self.repeated = 0

    def kept(self, block: Block, content: Bytes) -> NDArray[np.bool_]:
        """(n,) which of these samples go into the store."""
        new = np.ones(len(content), np.bool_)
        for place, row in enumerate(content):
            key = hashlib.blake2b(row, digest_size=16).digest()
            first = self.seen.setdefault(key, block.split)
            self.count += 1
            if len(self.seen) + self.repeated < self.count:
                self.repeated += 1
                new[place] = not self.dedupe
                self.tell(block.names[place] if block.names else f"sample {self.count - 1}", block.split, first)
        return new

    def tell(self, name: str, split: str, first: str) -> None:
        if self.dedupe:
            self.tally.convert("repetitions left out")
        else:
            self.tally.warn(name, "repeats an earlier sample exactly; --dedupe leaves such out", "DUPLICATE")
            if split != first:
                self.tally.warn(name, "is held out, and the same as a training sample; scores against it say too much. "
                                "--dedupe leaves such out", "TEST_REPEATED")  # fmt: skip


def stored(samples: Bytes, shape: tuple[int, ...]) -> Bytes:
    """Samples as they lie in the file."""
    return np.ascontiguousarray(packed(samples) if is_voxels(shape) else samples)


def rows(pieces: Pieces, content: Gathered) -> Iterator[Bytes]:
    """The samples that go into the store, in their order."""
    for block, keep in zip(pieces, content.kept, strict=True):
        if keep.any():
            yield block.samples[keep]


def write_shards(folder: Path, pieces: Pieces, content: Gathered, shape: tuple[int, ...], ends: list[int]) -> None:
    """The folder of shards, whole. Shard i holds the rows up to ends[i]."""
    with files.replacing(folder) as temporary:
        files.make_folder(temporary)
        source = rows(pieces, content)
        left = np.empty((0, *shape[1:], shape[0]), np.uint8)
        start = 0
        for number, end in enumerate(ends):

            def some(wanted: int = end - start) -> Iterator[Bytes]:
                nonlocal left
                while wanted:
                    if not len(left):
                        left = next(source)
                    part, left = left[:wanted], left[wanted:]
                    wanted -= len(part)
                    yield part

            about = {"fingerprint": content.fingerprint, "shard": number}
            write_samples(temporary / f"{number:05d}.h5", about, end - start, some(), shape)
            start = end


def write_samples(path: Path, about: Any, count: int, source: Iterable[Bytes], shape: tuple[int, ...]) -> None:
    """One shard."""
    with files.forgiving(path) as disk, h5py.File(disk, "w") as file:
        file.attrs["gansaku"] = VERSION
        fill(file, count, source, shape, lambda: disk.failure is None)
        file["about"] = as_bytes(about)


def write_file(
    path: Path, about: Any, content: Gathered, source: Iterable[Bytes] | None, shape: tuple[int, ...], skipped: Any
) -> None:
    """The store's own file, with the samples unless they are in shards."""
    with files.forgiving(path) as disk, h5py.File(disk, "w") as file:
        file.attrs["gansaku"] = VERSION
        if source is not None:
            fill(file, len(content.labels), source, shape, lambda: disk.failure is None)
        file["labels"] = content.labels
        for column, values in content.columns.items():
            file[f"columns/{column}"] = values
        if content.names:
            file["names"] = np.frombuffer(b"".join(content.names) or b"\0", np.uint8)
            file["name_ends"] = np.cumsum([len(name) for name in content.names], dtype=np.int64)
        if skipped:
            file["skipped"] = as_bytes(skipped)
        file["about"] = as_bytes(about)


def fill(file: Any, count: int, source: Iterable[Bytes], shape: tuple[int, ...], going_on: Callable[[], bool]) -> None:
    """The dataset of samples, some rows at a time, as long as that is of use."""
    samples = file.create_dataset("samples", (count, *row_shape(shape)), np.uint8)
    start = 0
    step = at_once(math.prod(row_shape(shape)))
    for block in source:
        if going_on():
            for place in range(0, len(block), step):
                part = stored(block[place : place + step], shape)
                samples[start : start + len(part)] = part
                start += len(part)


def as_bytes(content: Any) -> NDArray[np.uint8]:
    """JSON as a dataset, since attributes end at 64 KB; ASCII, since a file name may be no UTF-8."""
    return np.frombuffer(json.dumps(content).encode("ascii"), np.uint8)


def glob_safe(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
