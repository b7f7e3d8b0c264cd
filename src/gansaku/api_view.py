"""The verb `view`: voxels as a page to look at, or as a picture. What is in files is looked at without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.data.policy import Size, policy
from gansaku.errors import DataError, UsageError, nearest
from gansaku.listener import Listener
from gansaku.render.drawings import Drawing, still, turning
from gansaku.render.sheet import animation, png
from gansaku.runs.folder import Folder
from gansaku.viewer import reading
from gansaku.viewer.page import Grid, levels, page

if TYPE_CHECKING:
    from gansaku.runs.run import Run
    from gansaku.runs.samples import Source

TOLD = 3  # blank grids that are named
PAGES, PICTURES = (".html", ".htm"), (".png", ".gif", ".webp")
MOST = 1024  # grids in a picture


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
    **drawing: Any,
) -> Path:
    """Write what voxels look like: of a `.binvox`, `.npy` or mesh file, of data as `train --data` takes them, or of a run.

    `out` is a page (.html), a picture (.png), or a whole turn (.gif, .webp); `drawing` are the fields of
    `gansaku.render.drawings.Drawing` for the last three: turn=60, color="height". Of many samples at most n, evenly taken; of
    a run its samples 0 to n - 1, as probabilities. `size` and `up` are those of `prepare`. Without `out` the page lies beside
    what it shows, under its name and `.html`. Returns its path. Raises DataError for what cannot be read, UsageError for what
    are no voxels.
    """
    listener, notes = listener or Listener(), list[str]()
    place = Path(what) if isinstance(what, str | Path) else what.path
    place = place if place.name not in ("", "..") else place.resolve()
    target = place.with_name(f"{place.name}.html") if out is None else Path(out)
    how = how_drawn(target, n, drawing)
    about: Mapping[str, str] = {"Software": "Gansaku", "Shows": place.name}
    if isinstance(what, str | Path) and not Folder(place).exists:
        grids = reading.read(str(what), n, policy(size, 1.0, up=up), notes, listener.preparing)
    else:
        source = source_of(what, seed, class_name, truncation, at, use)
        grids, about = of_run(place, source, n, listener), source.notes
    blanks: list[str] = []
    if how is None:
        content = page(place.name, watched(grids, blanks, 0.5, "the page can lower the threshold")).encode()
    else:
        shown = list(watched(grids, blanks, how.threshold, "a lower --threshold shows more"))
        content = picture(target, shown, how, about)
    more = [f"and {len(blanks) - TOLD:,} more like these"] if len(blanks) > TOLD else []
    for sentence in (*notes, *blanks[:TOLD], *more):
        listener.say(sentence)
    files.write_bytes(target, content)
    return target


def how_drawn(target: Path, n: int, drawing: Mapping[str, Any]) -> Drawing | None:
    """How the picture at this path is to be drawn, None for a page. Raises UsageError for what neither can be."""
    known, suffix = [field.name for field in fields(Drawing)], target.suffix.lower()
    for name in drawing:
        if name not in known:
            raise UsageError(name, f"is no choice of a drawing{nearest(name, known)}", "FLAG")
    if suffix not in (*PAGES, *PICTURES):
        raise UsageError(str(target), "is no name for a page or a picture; use one that ends in .html, .png, .gif or .webp",
                         "FILE")  # fmt: skip
    if n < 1:
        raise UsageError("-n", f"{n} is no number of samples; use 1 or more", "COUNT")
    if suffix in PAGES:
        if drawing:
            raise UsageError(f"--{next(iter(drawing))}", f"is for pictures, and {target} is a page with its own controls; "
                             "use a name that ends in .png, .gif or .webp", "FLAG")  # fmt: skip
        return None
    if n > MOST:
        raise UsageError("-n", f"{n:,} samples are too many for a picture; use at most {MOST:,}", "COUNT")
    how = Drawing(**drawing)
    if suffix == ".gif" and how.background is None:
        raise UsageError("--background", "cannot be none in a .gif, which knows no half; use .webp, or give a color", "FILE")
    return how


def picture(target: Path, grids: list[Grid], how: Drawing, about: Mapping[str, str]) -> bytes:
    """A PNG of the grids with notes of what it shows, or a whole turn of them."""
    hard = [grid.name for grid in grids if grid.voxels.dtype == np.bool_]
    if how.color == "probability" and hard:
        raise UsageError("--color", f"cannot be probability: {hard[0]} holds 0 and 1 alone; use height or wood", "VIEW_COLOR")
    values = [values_of(grid) for grid in grids]
    suffix = target.suffix.lower()
    if suffix != ".png":
        return animation(turning(values, how), kind=suffix[1:])
    view = f"turn {how.turn:g}, height {how.height:g}, above {how.threshold:g}, {how.color}"
    return png(still(values, how), {**about, "Samples": ", ".join(grid.name for grid in grids), "View": view})


def values_of(grid: Grid) -> NDArray[Any]:
    """As `draw` takes them; level k, which is above k/256 up to (k+1)/256, as the middle, so that k/256 cuts exactly."""
    return grid.voxels if grid.voxels.dtype == np.bool_ else ((grid.voxels + 0.5) / 128 - 1).astype(np.float16)


def source_of(
    what: str | Path | Run,
    seed: int,
    class_name: str | None,
    truncation: float | None,
    at: int | None,
    use: Iterable[str | Path],
) -> Source:
    """What makes a run's samples. Raises UsageError where it makes pictures."""
    from gansaku.api import load
    from gansaku.runs import samples
    from gansaku.runs.run import label_of

    run = load(what, use, at) if isinstance(what, str | Path) else what
    if len(run.recipe.shape) != 4:
        raise UsageError(str(run.path), "makes pictures, not voxels; gansaku sample writes them", "DATA_TYPE")
    return samples.source(run, seed, label_of(run, class_name), truncation)


def of_run(place: Path, source: Source, n: int, listener: Listener) -> Iterator[Grid]:
    """Samples 0 to n - 1 of a run, as levels of probabilities. Raises DataError for values that are not finite."""
    from gansaku.runs import samples

    index = 0
    for block in samples.blocks(source, n, listener.sampling):
        for values in block[:, 0].numpy():
            if not np.isfinite(values).all():
                raise DataError(str(place), f"makes values that are not finite, first in sample {index:,}; take an earlier "
                                "checkpoint with --at", "NON_FINITE")  # fmt: skip
            kind = f" ({source.classes[index % len(source.classes)]})" if source.classes else ""
            yield Grid(f"sample {index:,}{kind}", levels(values, -1.0))
            index += 1


def watched(grids: Iterable[Grid], blanks: list[str], threshold: float, advice: str) -> Iterator[Grid]:
    """The same grids; of those that are all empty or all full a sentence is added to `blanks`."""
    for grid in grids:
        soft = grid.voxels.dtype != np.bool_
        occupied = values_of(grid) > 2 * threshold - 1 if soft else grid.voxels
        above = f" with a probability above {threshold:g}; {advice}" if soft else ""
        if not occupied.any():
            blanks.append(f"{grid.name} is empty: it has no voxel{above or ' that is occupied'}")
        elif occupied.all():
            blanks.append(f"{grid.name} is full: all its voxels are occupied")
        yield grid
