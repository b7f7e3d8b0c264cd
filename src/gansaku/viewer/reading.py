"""Files and datasets as grids to look at: one of its own, or some of many, evenly taken.

A `.npy` file may hold probabilities: values from 0 to 1, or from -1 to 1 as a generator's samples have them. All else is
0 and 1, and read as `gansaku prepare` reads it; but nothing is left out for being blank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gansaku.data import meshes, npy, sources, voxel_sets
from gansaku.data.arrays import scanned
from gansaku.data.content import Progress
from gansaku.data.grids import MOST_VOXELS, fitted, standing
from gansaku.data.policy import Policy
from gansaku.data.store import Dataset, sides
from gansaku.data.tally import Bad, Damaged, Note, unreadable
from gansaku.errors import DataError, UsageError
from gansaku.viewer.page import Grid, levels


def read(what: str, n: int, chosen: Policy, notes: list[str], progress: Progress | None = None) -> Iterator[Grid]:
    """At most n grids of a file or of data as `train --data` takes them; what was peculiar is added to `notes`.

    Raises DataError and UsageError for what holds no voxels, before the first grid.
    """
    path, ending = Path(what), Path(what).suffix.lower()
    if ending in voxel_sets.SUFFIXES and not sources.own_store(what):
        sources.status_of(path, what)  # raises where nothing is
        if ending == ".npy" and path.is_file():
            return of_array(path, n, chosen)
        grid = of_file(path, chosen, notes) if path.is_file() else None
        if grid is not None:
            return iter([grid])
    dataset = sources.open_data(what, chosen.size, progress=progress, max_bad=1.0)
    if not dataset.voxels:
        raise UsageError(what, f"holds pictures of {sides(dataset.shape[1:])}; gansaku show {what} --out page.html shows them",
                         "DATA_TYPE")  # fmt: skip
    return of_dataset(dataset, n)


def of_file(path: Path, chosen: Policy, notes: list[str]) -> Grid | None:
    """The grid of a file; None for HDF5 that holds something else than one under `data`. Raises DataError."""
    try:
        if path.stat().st_size > voxel_sets.LARGEST_FILE:
            raise Bad(f"is a file of {path.stat().st_size:,} bytes; at most {voxel_sets.LARGEST_FILE:,} are read", "FILE_LARGE")
        if path.suffix.lower() in meshes.SUFFIXES:
            voxel_sets.check_meshes(str(path), chosen)
        grid, found = voxel_sets.grid_in(path.read_bytes(), path.name, chosen)
        if chosen.size is not None and grid.shape != (chosen.side,) * 3:
            grid = fitted(grid, chosen)
    except Bad as bad:
        if bad.code in ("H5_NAMES", "VOX_SHAPE") and path.suffix.lower() in (".h5", ".hdf5"):
            return None
        raise DataError(str(path), bad.sentence, bad.code) from bad
    except Damaged as error:
        reason = unreadable(error)
        raise DataError(str(path), reason.sentence, reason.code) from error
    notes += [told(path.name, note) for note in found]
    return Grid(path.name, grid.astype(np.bool_))


def told(name: str, note: Note) -> str:
    return f"{name} {note.sentence}" + (f" [{note.code}]" if note.code else "")


def of_array(path: Path, n: int, chosen: Policy) -> Iterator[Grid]:
    """The grids of an array: one (D, H, W), many (N, D, H, W), each also with a channel axis of 1.

    Raises DataError for another shape (VOX_SHAPE), other values (VOX_VALUE), and as `scanned` does.
    """
    source = str(path)
    if chosen.size is not None:
        raise UsageError("--size", "does nothing to an array of voxels; leave it out, or use gansaku prepare", "FLAG")
    array = npy.array(source, lambda: path.open("rb"))
    count, space = grids_in(source, array.shape)
    values = scanned([array])
    if values.low < -1 or values.high > 1:
        raise DataError(source, f"holds values from {values.low:g} to {values.high:g}; voxels are 0 or 1, or probabilities "
                        "from 0 to 1 or from -1 to 1", "VOX_VALUE")  # fmt: skip
    up = "" if chosen.up == "auto" else chosen.up

    def made() -> Iterator[Grid]:
        wanted, done = evenly(count, n), 0
        blocks = iter([array.whole()[None]]) if count == 1 else array.blocks()
        for block in blocks:
            for index in wanted:
                if done <= index < done + len(block):
                    each = block[index - done].reshape(space)
                    grid = each == 1 if values.binary else levels(each, values.low)
                    name = path.name if count == 1 else f"{path.name}, number {index:,}"
                    yield Grid(name, standing(grid, up))
            done += len(block)

    return made()


def grids_in(source: str, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """How many grids of which size an array of this shape holds. Raises DataError (VOX_SHAPE)."""
    alone = len(shape) == 3 or (len(shape) == 4 and 1 in (shape[0], shape[3]))
    many = len(shape) == 4 or (len(shape) == 5 and 1 in (shape[1], shape[4]))
    count, each = (1, shape) if alone else (shape[0], shape[1:])
    space = each if len(each) == 3 else each[1:] if each and each[0] == 1 else each[:3]
    if not (alone or many) or min(count, *space) < 1 or math.prod(space) > MOST_VOXELS:
        raise DataError(source, f"holds {sides(shape)}, which is no grid of voxels; give one, as 64x64x64 "
                        "and at most 512x512x512, or many, as 16x64x64x64", "VOX_SHAPE")  # fmt: skip
    return count, space


def of_dataset(dataset: Dataset, n: int) -> Iterator[Grid]:
    """Some samples of a dataset with their names and classes."""
    for index in evenly(len(dataset.stored), n):
        name = dataset.names[index] if dataset.names else f"sample {index:,}"
        kind = f" ({dataset.classes[dataset.labels[index]]})" if dataset.classes else ""
        yield Grid(f"{name}{kind}", dataset.rows(np.array([index]))[0, ..., 0].astype(np.bool_))


def evenly(count: int, n: int) -> list[int]:
    """At most n of so many, from the first to the last."""
    return sorted({round(float(place)) for place in np.linspace(0, count - 1, min(n, count))})
