"""Samples of a run in files. A folder, a zip and values are written block by block: how many they are takes no memory.

Samples of several classes lie in folders of their classes, under the same numbers. Where folders would not be read back as
these classes (a lone one, one that is called like a split, a "/" in its name), there are none, and a `dataset.json` states
the classes.
"""

from __future__ import annotations

import io
import json
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
from gansaku.data.exports import safe, unique
from gansaku.data.layouts import places
from gansaku.data.stylegan import LISTING
from gansaku.data.tally import Bad
from gansaku.data.tree import Entry, Tree
from gansaku.errors import DataError, DiskError, UsageError
from gansaku.render.sheet import (
    LINE,
    Pixels,
    animation,
    by_class,
    class_sheet_of,
    origin,
    png,
    sheet_of,
    some_of,
    tiles,
)
from gansaku.runs.run import Run
from gansaku.runs.voxel_files import PICTURE, encoded, form_folders
from gansaku.sampling import BLOCK, class_grid, quantized, sample, shared, walk
from gansaku.training.by_hand import shown_generator


@dataclass(frozen=True)
class Source:
    """What makes the samples, and what every picture of them says in its text chunks."""

    make: Callable[[Sequence[int]], Tensor]  # the samples' numbers -> (n, C, *S) in [-1, 1], fp32 on the CPU
    walk: Callable[..., Tensor]  # stops on the way, label=a class -> all its pictures (N, C, *S)
    notes: Mapping[str, str]
    classes: tuple[str, ...] = ()  # of all classes in turn: sample i is of class i modulo their number; else empty
    grid: Callable[[Sequence[int], int], Tensor] | None = None  # classes, how many of each -> (classes, n, C, *S)
    forms: tuple[str, ...] = PICTURE  # the files of each sample in a folder or .zip


def source(run: Run, seed: int = 0, label: int | None = None, truncation: float | None = None) -> Source:
    """The generator of the run's checkpoint."""
    state, about = run.state(), run.folder.read_about()
    how: dict[str, Any] = {"seed": seed, "truncation": truncation, "phase": run.recipe.phase(state.seen)}
    notes = origin(about.get("name", run.path.name), run.recipe.name, state.seen, seed)
    if label is not None:
        notes["Class"] = about["data"]["classes"][label]
    if truncation is not None:
        notes["Truncation"] = f"{truncation:g}"
    generator, recipe = shown_generator(state), run.recipe
    return Source(
        partial(sample, generator, recipe, label=label, **how),
        partial(walk, generator, recipe, **{"label": label, **how}),
        notes,
        tuple(about["data"]["classes"]) if recipe.classes and label is None else (),
        partial(class_grid, generator, recipe, **how),
    )


def check(out: Path, n: int) -> None:
    """Raises UsageError for what `write` cannot write."""
    if n < 1:
        raise UsageError("-n", f"{n} is no number of samples; use 1 or more", "COUNT")
    if out.suffix not in WRITERS:
        raise UsageError(str(out), "is no folder, .zip, .png, .gif or .npy", "FILE")
    if out.exists() and out.is_dir() == bool(out.suffix):
        raise UsageError(str(out), "is a folder; name a file" if out.suffix else "is a file; name a folder", "FILE")


def write(source: Source, out: Path, n: int, progress: Progress = lambda done, total: None) -> Path:
    """Write n samples: files to a folder or .zip, a sheet to .png, a walk with n stops to .gif, fp32 values to .npy.

    Of several classes, the sheet has the same number of each under its name, n at most in all, and the walk goes the same
    way in each class, side by side. A file and a new folder are there whole or not at all; the same call writes the same
    bytes. What killed exports to the same place left is removed. Raises UsageError as `check` does, and DiskError; then
    what was there stays.
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


def entries(source: Source, n: int, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Name and content of each sample's files, and of what states their classes, if that is needed."""
    name_of, inside = partial(name_in, folders_of(source.classes)), form_folders(source.forms)
    each = (pair for block in blocks(source, n, progress) for pair in zip(block.numpy(), quantized(block).numpy(), strict=True))
    for i, (values, picture) in enumerate(each):
        kind = {"Class": source.classes[i % len(source.classes)]} if source.classes else {}
        for form, folder in zip(source.forms, inside, strict=True):
            content = encoded(form, values, picture, {**source.notes, **kind, "Sample": f"{i}"})
            yield f"{folder}{name_of(i)}.{form}", content
    if source.classes and not told([name_of(i) for i in range(min(n, 2 * len(source.classes)))], source.classes):
        for form, folder in zip(source.forms, inside, strict=True):
            labels = [[f"{name_of(i)}.{form}", i % len(source.classes)] for i in range(n)]
            yield f"{folder}{LISTING}", json.dumps({"labels": labels, "class_names": source.classes}).encode()


def folders_of(classes: Sequence[str]) -> Sequence[str]:
    """The folder of each class; "" for all where folders would not tell them, and where there are no classes."""
    folders = [f"{folder}/" for folder in unique([safe(name) for name in classes])]
    names = [name_in(folders, i) for i in range(2 * len(classes))]  # all later ones lie in the same folders
    return folders if classes and told(names, classes) else [""]


def name_in(folders: Sequence[str], i: int) -> str:
    """The name of sample i's file, without its suffix."""
    return f"{folders[i % len(folders)]}{i:06d}"


def told(names: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether samples 0, 1, … of these names are read back with their classes by the folders that they lie in."""

    def nothing(name: str) -> Entry:
        raise Bad("has not been written yet", "")

    try:
        files_of = [f"{name}.png" for name in names]
        found = places("", files_of, Tree(files_of, nothing))
    except DataError:
        return False
    return [(place.split, place.label) for place in found] == [("train", classes[i % len(classes)]) for i in range(len(names))]


def write_folder(source: Source, out: Path, n: int, progress: Progress) -> None:
    """All is made in a temporary folder, which becomes `out`; if that is taken, each file then takes its place in it."""
    mark = f"{files.TEMPORARY}{os.getpid()}-"
    temporary = out / mark if taken(out) else out.with_name(mark + out.name)  # inside, if `out` may be another disk
    try:
        files.make_folder(temporary)
        for name, content in entries(source, n, progress):
            files.make_folder((temporary / name).parent)
            with files.create(temporary / name) as file:
                file.write(content)
        made = sorted(path for path in temporary.rglob("*") if path.is_file())
        folders = sorted({path.parent for path in made} | {temporary})
        with ThreadPoolExecutor(8) as pool:  # one after the other they would take longer than all the rest
            list(pool.map(files.synchronize, made))
        for folder in folders:
            files.synchronize_folder(folder)
        if taken(out):  # asked again: something may have come since
            for path in made:
                place = out / path.relative_to(temporary)
                files.make_folder(place.parent)
                files.rename(path, place)
            for folder in folders:
                files.synchronize_folder(out / folder.relative_to(temporary))
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
        for name, content in entries(source, n, progress):
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
    if source.classes and source.grid is not None:
        labels, each = shared(n, len(source.classes))
        samples = quantized(source.grid(labels, each)).numpy()
        files.write_bytes(out, class_sheet_of(samples, labels, source.classes, source.notes))
        progress(n, n)
        return
    samples = np.concatenate([quantized(block).numpy() for block in blocks(source, n, progress)])
    files.write_bytes(out, sheet_of(samples, source.notes))


def write_walk(source: Source, out: Path, n: int, progress: Progress) -> None:
    pictures = class_walks(source, n) if source.classes else tiles(quantized(source.walk(n)).numpy(), 192)
    files.write_bytes(out, animation(pictures))
    progress(n, n)


def write_mosaic(source: Source, out: Path, size: tuple[int, int], progress: Progress = lambda done, total: None) -> Path:
    """A PNG of `size` (height, width) pixels, full of samples at their own size from the upper left on, without gaps.

    Raises UsageError for no such picture.
    """
    height, width = size
    if out.suffix != ".png":
        raise UsageError(str(out), "is no .png, which a mosaic is", "FILE")
    if not (1 <= width <= MOSAIC and 1 <= height <= MOSAIC):
        raise UsageError("--mosaic", f"{width}x{height} is no size of a picture; use 1 to {MOSAIC:,} pixels a side", "SIZE")
    paper = np.zeros((height, width, 3), np.uint8)
    high, wide = native(source.make(range(1))).shape[1:3]
    across, down = -(-width // wide), -(-height // high)
    for first in range(0, across * down, BLOCK):
        which = range(first, min(first + BLOCK, across * down))
        for i, picture in zip(which, native(source.make(which)), strict=True):
            top, left = i // across * high, i % across * wide
            part = paper[top : top + high, left : left + wide]
            part[:] = picture[: part.shape[0], : part.shape[1]]
        progress(which.stop, across * down)
    files.write_bytes(out, png(paper, {**source.notes, "Samples": f"{across * down}"}))
    return out


def native(samples: Tensor) -> Pixels:
    """Pictures (N, H, W, 3) of samples as large as they are; voxels drawn."""
    pictures = quantized(samples).numpy()
    return tiles(pictures, DRAWN if samples.ndim == 5 else 1)


def class_walks(source: Source, stops: int) -> Iterator[Pixels]:
    """The same way in each of the classes, side by side; of at most LINE of them."""
    labels, _ = shared(LINE, len(source.classes))
    walks = [tiles(quantized(source.walk(stops, label=label)).numpy(), min(192, 1152 // len(labels))) for label in labels]
    captions = some_of(labels, source.classes)
    return (by_class(np.stack(pictures)[:, None], *captions) for pictures in zip(*walks, strict=True))


MOSAIC, DRAWN = 20_000, 96  # pixels of a side at the most, and of a drawn voxel sample
WRITERS = {"": write_folder, ".zip": write_zip, ".npy": write_npy, ".png": write_sheet, ".gif": write_walk}
