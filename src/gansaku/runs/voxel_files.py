"""Samples of voxels as files: cut at a threshold, rid of floating islands, as .binvox, picture and mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansaku.data import binvox, surfaces
from gansaku.data.islands import largest_piece
from gansaku.errors import UsageError, nearest
from gansaku.render.sheet import Pixels, png, single

if TYPE_CHECKING:
    from gansaku.runs.run import Run
    from gansaku.runs.samples import Source

FORMS = ("png", "binvox", "obj", "glb")
PICTURE = ("png",)  # what a folder of samples holds where nothing else is asked for


@dataclass(frozen=True)
class Export:
    """What becomes of a run's voxels on their way into files.

    `forms` are the files of each sample in a folder or .zip; several forms lie in folders of their names. A voxel is occupied
    where its probability is above `threshold`; None leaves values as they are, and forms other than pictures cut at 0.5.
    `largest` removes all but each sample's largest piece.
    """

    forms: tuple[str, ...] = PICTURE
    threshold: float | None = None
    largest: bool = False

    @property
    def cuts(self) -> bool:
        """Whether samples become 0 and 1 before they are written."""
        return self.threshold is not None or self.largest or self.forms != PICTURE

    def check(self, run: Run, out: Path) -> None:
        """Raises UsageError for forms that there are not, a threshold out of range, and for what the run or `out` cannot be."""
        for form in self.forms:
            if form not in FORMS:
                raise UsageError("--forms", f"{form!r} is no form of a sample{nearest(form, list(FORMS))}", "FORM")
        if not self.forms or len(set(self.forms)) < len(self.forms):
            raise UsageError("--forms", f"{','.join(self.forms)!r} does not name each form once", "FORM")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise UsageError("--threshold", f"{self.threshold:g} is no probability from 0 to below 1", "THRESHOLD")
        if self.cuts and len(run.recipe.shape) != 4:
            flag = "--largest-piece" if self.largest else "--threshold" if self.threshold is not None else "--forms"
            raise UsageError(flag, f"is for voxels, and {run.path} makes pictures", "DATA_TYPE")
        if self.forms != PICTURE and out.suffix not in ("", ".zip"):
            raise UsageError("--forms", f"are the files in a folder or .zip, and {out} is one file", "FORM")


@dataclass
class Removed:
    """What was removed from samples so far."""

    samples: int = 0
    of: int = 0
    islands: int = 0
    voxels: int = 0

    def __str__(self) -> str:
        if not self.islands:
            return f"no islands to remove: none of {self.of:,} samples has more than one piece"
        islands, voxels = counted(self.islands, "island"), counted(self.voxels, "voxel")
        return f"removed {islands} of {voxels} together, from {self.samples:,} of {self.of:,} samples"


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def exported(source: Source, export: Export) -> tuple[Source, Removed]:
    """The source with its samples as they are to be written, -1 where empty and 1 where occupied; and what is removed then."""
    removed = Removed()
    if not export.cuts:
        return source, removed
    threshold = 0.5 if export.threshold is None else export.threshold

    def cut(samples: Tensor) -> Tensor:
        """(…, 1, D, H, W) -> the same shape, -1 and 1."""
        occupied = samples.numpy() > 2 * threshold - 1
        if export.largest:
            each = occupied.reshape(-1, *occupied.shape[-3:])
            occupied = np.stack([alone(grid, removed) for grid in each]).reshape(occupied.shape)
        return torch.from_numpy(np.where(occupied, np.float32(1), np.float32(-1)))

    make, walk, grid = source.make, source.walk, source.grid
    notes = {"Threshold": f"{threshold:g}", **({"Pieces": "the largest alone"} if export.largest else {})}
    changed = replace(
        source,
        make=lambda which: cut(make(which)),
        walk=lambda stops, **how: cut(walk(stops, **how)),
        grid=None if grid is None else lambda labels, each: cut(grid(labels, each)),
        notes={**source.notes, **notes},
        forms=export.forms,
    )
    return changed, removed


def alone(grid: NDArray[np.bool_], removed: Removed) -> NDArray[np.bool_]:
    """The largest piece; what was removed is counted."""
    kept = largest_piece(grid)
    removed.of += 1
    removed.samples += kept.islands > 0
    removed.islands += kept.islands
    removed.voxels += kept.voxels
    return kept.grid


def form_folders(forms: Sequence[str]) -> list[str]:
    """Where the files of each form lie."""
    return [""] if len(forms) == 1 else [f"{form}/" for form in forms]


def encoded(form: str, values: NDArray[np.float32], picture: Pixels, notes: Mapping[str, str]) -> bytes:
    """The file of one sample (C, *S) in this form; `picture` are its values as bytes."""
    if form == "png":
        return png(single(picture), notes)
    grid = values[0] > 0
    if form == "binvox":
        return binvox.write(binvox.up(grid.view(np.uint8), "y"))  # without notes, at which other readers stop
    return surfaces.obj(grid, notes) if form == "obj" else surfaces.glb(grid, notes)
