"""Samples of a run in files. A folder, a zip and values are written block by block: how many they are takes no memory."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gansaku import files
from gansaku.data.content import Progress
from gansaku.errors import DiskError, UsageError
from gansaku.render.sheet import animation, origin, png, sheet_of, single, tiles
from gansaku.runs.run import Run
from gansaku.sampling import BLOCK, quantized, sample, walk
from gansaku.training.by_hand import shown_generator


@dataclass(frozen=True)
class Source:
    """What makes the samples, and what every picture of them says in its text chunks."""

    make: Callable[[Sequence[int]], Tensor]  # the samples' numbers -> (n, C, *S) in [-1, 1], fp32 on the CPU
    walk: Callable[[int], Tensor]  # stops on the way -> all its pictures (N, C, *S)
    notes: Mapping[str, str]


def source(run: Run, seed: int = 0, label: int | None = None, truncation: float | None = None) -> Source:
    """The generator of the run's checkpoint."""
    state, about = run.state(), run.folder.read_about()
    how: dict[str, Any] = {"seed": seed, "label": label, "truncation": truncation, "phase": run.recipe.phase(state.seen)}
    notes = origin(about.get("name", run.path.name), run.recipe.name, state.seen, seed)
    if label is not None:
        notes["Class"] = about["data"]["classes"][label]
    if truncation is not None:
        notes["Truncation"] = f"{truncation:g}"
    generator = shown_generator(state)
    return Source(partial(sample, generator, run.recipe, **how), partial(walk, generator, run.recipe, **how), notes)


def check(out: Path, n: int) -> None:
    """Raises UsageError for what `write` cannot write."""
    if n < 1:
        raise UsageError("-n", f"{n} is no number of samples; use 1 or more", "COUNT")
    if out.suffix not in WRITERS:
        raise UsageError(str(out), "is no folder, .zip, .png, .gif or .npy", "FILE")
    if out.exists() and out.is_dir() == bool(out.suffix):
        raise UsageError(str(out), "is a folder; name a file" if out.suffix else "is a file; name a folder", "FILE")


def write(source: Source, out: Path, n: int, progress: Progress = lambda done, total: None) -> Path:
    """Write n samples: PNGs to a folder or .zip, a sheet to .png, a walk with n stops to .gif, fp32 values to .npy.

    A file and a new folder are there whole or not at all; the same call writes the same bytes. What killed exports to
    the same place left is removed. Raises UsageError as `check` does, and DiskError; then what was there stays.
    """
    check(out, n)
    files.sweep_exports(out)
    WRITERS[out.suffix](source, out, n, progress)
    return out


def blocks(source: Source, n: int, progress: Progress) -> Iterator[Tensor]:
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        yield source.make(range(start, stop))
        progress(stop, n)


def pngs(source: Source, n: int, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Name and content of each sample's file."""
    each = (picture for block in blocks(source, n, progress) for picture in quantized(block).numpy())
    for i, picture in enumerate(each):
        yield f"{i:06d}.png", png(single(picture), {**source.notes, "Sample": f"{i}"})


def write_folder(source: Source, out: Path, n: int, progress: Progress) -> None:
    """All is made in a temporary folder, which becomes `out`; if that is taken, each PNG then takes its place in it."""
    mark = f"{files.TEMPORARY}{os.getpid()}-"
    temporary = out / mark if taken(out) else out.with_name(mark + out.name)  # inside, if `out` may be another disk
    try:
        files.make_folder(temporary)
        for name, content in pngs(source, n, progress):
            with files.create(temporary / name) as file:
                file.write(content)
        with ThreadPoolExecutor(8) as pool:  # one after the other they would take longer than all the rest
            list(pool.map(files.synchronize, temporary.iterdir()))
        files.synchronize_folder(temporary)
        if taken(out):  # asked again: something may have come since
            for path in sorted(temporary.iterdir()):
                files.rename(path, out / path.name)
            files.synchronize_folder(out)
        else:
            files.rename(temporary, out)
            files.synchronize_folder(out.parent)
    finally:
        with suppress(DiskError):  # what cannot be removed now is swept by the next export
            files.remove(temporary)


def taken(out: Path) -> bool:
    """Whether a folder is there that is not empty, or may not be replaced: a link, a mount, the one that we are in."""
    with files.refusing(out):
        fixed = out.is_symlink() or out.is_mount() or not os.access(out.parent, os.W_OK)
        return out.is_dir() and (fixed or out.samefile(".") or any(out.iterdir()))


def write_zip(source: Source, out: Path, n: int, progress: Progress) -> None:
    with (
        files.replacing(out) as temporary,
        files.create(temporary) as file,
        io.BufferedWriter(file, files.CHUNK) as buffered,
        zipfile.ZipFile(buffered, "w", zipfile.ZIP_STORED) as archive,  # a PNG is compressed already
    ):
        for name, content in pngs(source, n, progress):
            entry = zipfile.ZipInfo(name)  # of a fixed date
            entry.external_attr = 0o644 << 16  # else what is unpacked is its owner's alone
            archive.writestr(entry, content)


def write_npy(source: Source, out: Path, n: int, progress: Progress) -> None:
    """The same bytes as `numpy.save` of all."""
    with files.replacing(out) as temporary, files.create(temporary) as file:
        for i, block in enumerate(blocks(source, n, progress)):
            values = block.numpy()
            if i == 0:
                files.ask_for(out, n * values[0].nbytes)
                head = np.lib.format.header_data_from_array_1_0(values)
                np.lib.format.write_array_header_1_0(file, {**head, "shape": (n, *values.shape[1:])})
            file.write(values)


def write_sheet(source: Source, out: Path, n: int, progress: Progress) -> None:
    samples = np.concatenate([quantized(block).numpy() for block in blocks(source, n, progress)])
    files.write_bytes(out, sheet_of(samples, source.notes))


def write_walk(source: Source, out: Path, n: int, progress: Progress) -> None:
    files.write_bytes(out, animation(tiles(quantized(source.walk(n)).numpy(), 192)))
    progress(n, n)


WRITERS = {"": write_folder, ".zip": write_zip, ".npy": write_npy, ".png": write_sheet, ".gif": write_walk}
