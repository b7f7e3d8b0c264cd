"""The verb `view`: voxels as a page to look at. What is in files is looked at without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gansaku import files
from gansaku.data.policy import Size, policy
from gansaku.errors import DataError, UsageError
from gansaku.listener import Listener
from gansaku.runs.folder import Folder
from gansaku.viewer import reading
from gansaku.viewer.page import Grid, levels, page

if TYPE_CHECKING:
    from gansaku.runs.run import Run

TOLD = 3  # blank grids that are named


def view(
    what: str | Path | Run,
    out: str | Path | None = None,
    n: int = 16,
    seed: int = 0,
    class_name: str | None = None,
    truncation: float | None = None,
    *,
    size: Size = None,
    up: str = "auto",
    at: int | None = None,
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> Path:
    """Write a page that shows voxels: of a `.binvox`, `.npy` or mesh file, of data as `train --data` takes them, or of a run.

    Of many samples at most n, evenly taken; of a run its samples 0 to n - 1, as probabilities. `size` and `up` are those of
    `prepare`. Without `out` the page lies beside what it shows, under its name and `.html`. Returns its path. Raises
    DataError for what cannot be read, UsageError for what are no voxels.
    """
    listener, notes = listener or Listener(), list[str]()
    place = Path(what) if isinstance(what, str | Path) else what.path
    place = place if place.name not in ("", "..") else place.resolve()
    target = place.with_name(f"{place.name}.html") if out is None else Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise UsageError(str(target), "is no name for a page; use one that ends in .html", "FILE")
    if n < 1:
        raise UsageError("-n", f"{n} is no number of samples; use 1 or more", "COUNT")
    if isinstance(what, str | Path) and not Folder(place).exists:
        grids = reading.read(str(what), n, policy(size, 1.0, up=up), notes, listener.preparing)
    else:
        grids = of_run(what, n, seed, class_name, truncation, at, use, listener)
    blanks: list[str] = []
    text = page(place.name, watched(grids, blanks))
    more = [f"and {len(blanks) - TOLD:,} more like these"] if len(blanks) > TOLD else []
    for sentence in (*notes, *blanks[:TOLD], *more):
        listener.say(sentence)
    files.write_text(target, text)
    return target


def of_run(
    what: str | Path | Run,
    n: int,
    seed: int,
    class_name: str | None,
    truncation: float | None,
    at: int | None,
    use: Iterable[str | Path],
    listener: Listener,
) -> Iterator[Grid]:
    """Samples 0 to n - 1 of a run's shown generator, as levels of probabilities. Raises UsageError where it makes pictures."""
    from gansaku.api import load
    from gansaku.runs import samples
    from gansaku.runs.run import label_of

    run = load(what, use, at) if isinstance(what, str | Path) else what
    if len(run.recipe.shape) != 4:
        raise UsageError(str(run.path), "makes pictures, not voxels; gansaku sample writes them", "DATA_TYPE")
    source = samples.source(run, seed, label_of(run, class_name), truncation)
    index = 0
    for block in samples.blocks(source, n, listener.sampling):
        for values in block[:, 0].numpy():
            if not np.isfinite(values).all():
                raise DataError(str(run.path), f"makes values that are not finite, first in sample {index:,}; take an earlier "
                                "checkpoint with --at", "NON_FINITE")  # fmt: skip
            kind = f" ({source.classes[index % len(source.classes)]})" if source.classes else ""
            yield Grid(f"sample {index:,}{kind}", levels(values, -1.0))
            index += 1


def watched(grids: Iterable[Grid], blanks: list[str]) -> Iterator[Grid]:
    """The same grids; of those that are all empty or all full a sentence is added to `blanks`."""
    for grid in grids:
        soft = grid.voxels.dtype != np.bool_
        occupied = grid.voxels > 127 if soft else grid.voxels
        above = " with a probability above 0.5; the page can lower the threshold" if soft else ""
        if not occupied.any():
            blanks.append(f"{grid.name} is empty: it has no voxel{above or ' that is occupied'}")
        elif occupied.all():
            blanks.append(f"{grid.name} is full: all its voxels are occupied")
        yield grid
