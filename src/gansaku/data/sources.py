"""The one door to data: `open_data(SOURCE)`, where SOURCE is a folder or zip of pictures, an array file, a store or a word.

Everything but a store is prepared into a store in the cache, under a name made of what identifies its content: so a
second call only opens it, and a changed source is prepared again. What a source means is said in `folders` and `arrays`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gansaku import files
from gansaku.data import arrays, bundled, folders, picture_sets
from gansaku.data.store import Block, Content, Dataset, Progress, at_once, open_store, sides, write
from gansaku.data.tally import MAX_BAD, Tally
from gansaku.errors import DataError, nearest

PREPARATION = 1  # to be raised when the same source would give other samples
WORDS = ("avatars", "chairs")
SUPPORTED = "a folder or .zip of pictures, .npz, .npy, .npy.gz, .h5 of this program, or the words avatars and chairs"
CHAIRS = 2000


def open_data(
    source: str,
    size: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    max_bad: float = MAX_BAD,
) -> Dataset:
    """The dataset that SOURCE names, prepared if it was not before; `size` resizes pictures to squares.

    `avatars` and `chairs` are always the bundled sets; a folder of that name is `./avatars`. `progress(done, total)`
    is called while samples are prepared. Raises DataError for what cannot be used, Stopped when more than `max_bad`
    of the pictures are bad or none is good.
    """
    if is_store(source):
        return of_size(open_store(Path(source)), size)
    plan = planned(source, size, max_bad)
    key = hashlib.sha256(json.dumps([PREPARATION, size, plan.identity]).encode()).hexdigest()[:20]
    folder = cache or cache_folder()
    target = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', plan.name)[:40]}-{key}.h5"
    if target.is_file():
        with suppress(DataError):  # damaged in the cache: prepared again
            dataset = open_store(target)
            Tally(source, max_bad, dataset.report).check()
            return dataset
    sweep_old(folder)
    return carried_out(plan, target, progress)


def prepare(
    source: str,
    destination: Path,
    size: int | None = None,
    progress: Progress | None = None,
    max_bad: float = MAX_BAD,
) -> Dataset:
    """Prepare SOURCE into a store of that name, whole or not at all. Raises as `open_data`."""
    if is_store(source):
        raise DataError(source, "is prepared already; give what it was made from", "DATA_TYPE")
    files.sweep_exports(destination)
    return carried_out(planned(source, size, max_bad), destination, progress)


def is_store(source: str) -> bool:
    return Path(source).suffix.lower() == ".h5"


class Plan(NamedTuple):
    """How a source will be prepared. `identity` is JSON that changes whenever its content may have."""

    name: str
    origin: str  # what would find the source again from anywhere
    identity: Any
    tally: Tally
    content: Callable[[Progress], AbstractContextManager[Content]]


def planned(source: str, size: int | None, max_bad: float) -> Plan:
    """Look at the source as far as its content must be identified. Raises DataError for what is not supported."""
    if size is not None and size < 1:
        raise DataError(source, f"cannot be resized to {size}; a size is 1 or more", "DATA_SIZE")
    tally = Tally(source, max_bad)
    if source == "chairs":
        return Plan(source, source, [bundled.CHAIRS_VERSION, CHAIRS], tally, partial(chairs, size or 32))
    if source == "avatars":
        path = bundled.avatars_file()
        content = partial(arrays.content, path, size, tally, label="hair", test=1000)
        return Plan(source, source, [source, stamp(path.stat())], tally, content)
    path = Path(source)
    status = status_of(path, source)
    origin, name = str(path.resolve()), path.name.lower()
    if stat.S_ISDIR(status.st_mode):
        entries = folders.in_folder(path, tally)
        identity = [origin, [entry[:3] for entry in entries]]
        return Plan(Path(origin).name, origin, identity, tally, partial(picture_sets.content, entries, size, tally))
    if not stat.S_ISREG(status.st_mode):
        raise DataError(source, "is a device, pipe or socket; give " + SUPPORTED, "NOT_REGULAR")
    if name.endswith(".zip"):
        return Plan(path.stem, origin, [origin, stamp(status)], tally, partial(zipped, path, size, tally))
    if name.endswith((".npz", ".npy", ".npy.gz")):
        content = partial(arrays.content, path, size, tally)
        return Plan(path.name.split(".")[0], origin, [origin, stamp(status)], tally, content)
    if path.suffix.lower() in folders.SUFFIXES:
        raise DataError(source, "is one picture; give the folder that holds all of them", "DATA_TYPE")
    raise DataError(source, f"is of a type that is not supported ({path.suffix or 'no suffix'}); give {SUPPORTED}",
                    "DATA_TYPE")  # fmt: skip


def status_of(path: Path, source: str) -> os.stat_result:
    try:
        return path.stat()
    except PermissionError as error:
        raise DataError(source, "may not be read; change its permissions", "DATA_DENIED") from error
    except (OSError, ValueError) as error:
        raise DataError(source, f"is neither a file or folder nor a bundled set{nearest(source, list(WORDS))}",
                        "DATA_MISSING") from error  # fmt: skip


def stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns]


def carried_out(plan: Plan, destination: Path, progress: Progress | None) -> Dataset:
    """The store, prepared as planned. Raises Stopped when no training sample is left, or too many were bad."""
    with plan.content(progress or (lambda done, total: None)) as content:
        write(destination, sound(content.blocks, plan.tally), name=plan.name, shape=content.shape,
              classes=content.classes, source=plan.origin, report=plan.tally.report)  # fmt: skip
    return open_store(destination)


def sound(blocks: Iterator[Block], tally: Tally) -> Iterator[Block]:
    """The same blocks. Raises Stopped unless training samples come first, and when too many were bad at the end."""
    first = next(blocks, None)
    if first is None or first.split != "train":
        raise tally.nothing_left()
    yield first
    yield from blocks
    tally.check()


@contextmanager
def zipped(path: Path, size: int | None, tally: Tally, progress: Progress) -> Iterator[Content]:
    with folders.in_zip(path, tally) as entries, picture_sets.content(entries, size, tally, progress) as content:
        yield content


@contextmanager
def chairs(size: int, progress: Progress) -> Iterator[Content]:
    """The voxel chairs, drawn when the context is entered."""
    grids = bundled.chairs(CHAIRS, size, 0)

    def blocks() -> Iterator[Block]:
        step = at_once(size**3)
        for start in range(0, len(grids), step):
            part = grids[start : start + step, ..., None].astype(np.uint8)
            yield Block(part, np.zeros(len(part), np.int64), "train", {})
            progress(start + len(part), len(grids))

    yield Content((1, size, size, size), (), blocks())


def of_size(dataset: Dataset, size: int | None) -> Dataset:
    """The same dataset. Raises DataError when it was prepared at another size."""
    if size is not None and set(dataset.shape[1:]) != {size}:
        raise DataError(str(dataset.path), f"was prepared at {sides(dataset.shape[1:])}, not {size}; prepare it again "
                        f"from {dataset.source!r} with --size {size}, or leave --size out", "DATA_SIZE")  # fmt: skip
    return dataset


def cache_folder() -> Path:
    if own := os.environ.get("GANSAKU_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gansaku"


def sweep_old(folder: Path) -> None:
    """Remove what killed preparations left a day ago; younger ones may still be written by another process."""
    for leftover in folder.glob(f"{files.TEMPORARY}*"):
        with suppress(OSError):  # another process was faster
            if time.time() - leftover.stat().st_mtime > 86_400:
                files.remove(leftover)
