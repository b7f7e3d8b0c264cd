"""Voxels in files: one at random out of many, and a large `.binvox`. Both sides read what lies in the page cache."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from gansaku.data import binvox, preparation
from gansaku.data.bundled import chairs
from gansaku.data.content import Block
from gansaku.data.store import open_store

from .measure import Clock, Row, Side, Work, compare

Grids = NDArray[np.uint8]

COUNT, SIDE = 6700, 64  # ShapeNet's chairs
DIFFERENT = 100


def rows(rounds: int, clock: Clock, count: int = COUNT) -> Iterator[Row]:
    """One voxel chair at random out of so many, from the store and from what people have; a 256³ `.binvox`.

    To make the files of 6,700 takes 15 seconds, of which the store's preparation is most.
    """
    grids = chairs(DIFFERENT, SIDE).astype(np.uint8)
    order = np.random.default_rng(0).permutation(count)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store, packed, single = (
            store_of(folder, grids, count),
            gzip_file(folder, grids, count),
            binvox_files(folder, grids, count),
        )
        ours = Side(one_of_store(store, order), 400)
        size = f"{megabytes(store)} as store, {megabytes(packed)} as gzip, {megabytes(*single)} as .binvox"
        for name, side, how in (
            ("gzip HDF5", Side(one_of_gzip(packed, order), 40), "one dataset, a chunk a sample"),
            (".binvox", Side(one_of_binvox(single, order), 40), "a file a sample, the usual reader"),
        ):
            yield compare(f"one {SIDE}³ of {count:,}, {name}", "grids/s", 1, side, ours, f"{how}; {size}", rounds, clock)
    content = binvox.write(sphere(256))
    usual = Side(lambda: usual_binvox(content), 5)
    against = "np.repeat of all runs, then bool, as binvox_rw; no check of header or runs there"
    yield compare("read a 256³ .binvox", "files/s", 1, usual, Side(lambda: binvox.read(content), 5), against, rounds, clock)


def numbers(count: int) -> Iterator[int]:
    """Which of the different chairs each sample is."""
    return (number % DIFFERENT for number in range(count))


def store_of(folder: Path, grids: Grids, count: int) -> Path:
    """The store, as `prepare` writes it."""
    path = folder / "store.h5"
    blocks = (
        Block(grids[[*part], ..., None], np.zeros(len(part), np.int64), "train")
        for part in np.array_split(np.fromiter(numbers(count), np.int64), -(-count // 64))
    )
    preparation.write(path, blocks, name="chairs", shape=(1, SIDE, SIDE, SIDE))
    return path


def gzip_file(folder: Path, grids: Grids, count: int) -> Path:
    """`data` (6700, 64, 64, 64) uint8, gzip at h5py's own level, a chunk a sample; each different grid packed once."""
    path = folder / "packed.h5"
    packed = [zlib.compress(grid.tobytes(), 4) for grid in grids]
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data", (count, SIDE, SIDE, SIDE), np.uint8, chunks=(1, SIDE, SIDE, SIDE), compression="gzip"
        )
        for row, number in enumerate(numbers(count)):
            data.id.write_direct_chunk((row, 0, 0, 0), packed[number])
    return path


def binvox_files(folder: Path, grids: Grids, count: int) -> list[Path]:
    """A file a sample."""
    contents = [binvox.write(grid) for grid in grids]
    paths = [folder / f"{row:04d}.binvox" for row in range(count)]
    for path, number in zip(paths, numbers(count), strict=True):
        path.write_bytes(contents[number])
    return paths


def one_of_store(path: Path, order: NDArray[np.int64]) -> Work:
    data, places = open_store(path), cycle(order)
    return lambda: data.rows(np.array([next(places)]))


def one_of_gzip(path: Path, order: NDArray[np.int64]) -> Work:
    data, places = h5py.File(path, "r")["data"], cycle(order)
    return lambda: data[next(places)]


def one_of_binvox(paths: list[Path], order: NDArray[np.int64]) -> Work:
    places = cycle(order)
    return lambda: usual_binvox(paths[next(places)].read_bytes())


def usual_binvox(content: bytes) -> NDArray[np.bool_]:
    """As binvox_rw reads, mended for today's NumPy: a header of fixed lines, all runs repeated."""
    lines = content.split(b"\n", 5)
    shape = [int(word) for word in lines[1].split()[1:]]
    pairs = np.frombuffer(lines[5], np.uint8)
    return np.repeat(pairs[::2], pairs[1::2]).astype(np.bool_).reshape(shape).transpose(0, 2, 1)


def sphere(side: int) -> Grids:
    """A solid ball, with runs of all lengths."""
    place = np.square(np.arange(side) - (side - 1) / 2)
    inside = place[:, None, None] + place[:, None] + place < side**2 / 5
    return inside.astype(np.uint8)


def megabytes(*paths: Path) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:,.0f} MB"
