"""The phases of a growth: from where to where each goes, as a table that people read, and as a run's folder holds them.

Looking at them imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gansaku import files
from gansaku.listener import duration
from gansaku.runs.folder import Folder

if TYPE_CHECKING:
    from gansaku.contract import Player
    from gansaku.recipe import Recipe

FILE = "phases.json"
"""In the folder of a run that grows: its phases, as they were planned when it last started."""
SHEETS = "phases"
"""In the same folder: a sheet from the end of each stable phase, named by its size."""


class Span(NamedTuple):
    """One phase: the samples seen before its first batch and after its last one, and what is trained in between."""

    start: int
    stop: int
    size: tuple[int, ...]
    fading: bool  # in transition: the newest level is being faded in
    batch: int
    micro: int

    @property
    def samples(self) -> int:
        return self.stop - self.start

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**self._asdict(), "size": list(self.size)}


class Row(NamedTuple):
    """One size of the table: its transition, which the first one has not, and its stable phase, which may have no samples."""

    fade: Span | None
    stable: Span | None

    @property
    def first(self) -> Span:
        found = self.fade or self.stable
        assert found is not None
        return found


class Cost(NamedTuple):
    """What a phase takes: seconds of all of it, and bytes of memory at the peak until then; measured by `runs.trial`."""

    seconds: float
    memory: int


def spans(recipe: Recipe) -> list[Span]:
    """All phases until the recipe's length, in order; one where nothing grows.

    Where one ends is found by halving, of any growth: sizes never go back, so between two equal moments nothing changes.
    """

    def kind(seen: int) -> tuple[tuple[int, ...], bool, int, int]:
        phase = recipe.phase(seen)
        return phase.size, phase.fade < 1, phase.batch, phase.micro

    starts, last = [0], kind(recipe.length - 1)
    while kind(starts[-1]) != last:
        low, high = starts[-1], recipe.length - 1  # of these, the first is in the phase and the second beyond it
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if kind(middle) == kind(starts[-1]) else (low, middle)
        starts.append(high)
    return [Span(start, stop, *kind(start)) for start, stop in zip(starts, [*starts[1:], recipe.length], strict=True)]


def rows(found: Sequence[Span]) -> list[Row]:
    """The phases by size."""
    sizes = dict.fromkeys(span.size for span in found)
    pairs = [[span for span in found if span.size == size] for size in sizes]
    return [Row(next((s for s in pair if s.fading), None), next((s for s in pair if not s.fading), None)) for pair in pairs]


def ends(found: Sequence[Span]) -> list[Span]:
    """The stable phases: what is looked at when they end."""
    return [span for span in found if not span.fading]


def at(found: Sequence[Span], seen: int) -> Span:
    """The phase that the batch after so many samples belongs to; the last one when all is over."""
    return next((span for span in found if seen < span.stop), found[-1])


def named(size: Sequence[int]) -> str:
    """8 × 8, as people write it."""
    return " × ".join(map(str, size))


def sheet_name(size: Sequence[int]) -> str:
    """8x8.png, as files are called."""
    return f"{'x'.join(map(str, size))}.png"


def write(folder: Folder, found: Sequence[Span]) -> None:
    """Beside the run's log, for those who look without torch. Raises DiskError."""
    files.write_json(folder.path / FILE, {"phases": [span.plain() for span in found]})


def read(folder: Folder) -> list[Span]:
    """What the run says of its phases; of a run that does not grow, or with something else in the file, nothing."""
    try:
        content = json.loads((folder.path / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    listed = content.get("phases") if isinstance(content, dict) else None
    found = [from_plain(one) for one in listed] if isinstance(listed, list) else []
    return [span for span in found if span is not None]


def from_plain(content: Any) -> Span | None:
    """The inverse of `Span.plain`; None for what is no phase."""
    if not isinstance(content, Mapping):
        return None
    counts: list[Any] = [content.get(name) for name in ("start", "stop", "batch", "micro")]
    size: Any = content.get("size")
    sides = isinstance(size, list) and 1 <= len(size) <= 3 and all(counted(side) for side in size)
    if not sides or not all(map(counted, counts)) or not isinstance(content.get("fading"), bool) or counts[0] >= counts[1]:
        return None
    return Span(counts[0], counts[1], tuple(size), content["fading"], counts[2], counts[3])


def counted(value: Any) -> bool:
    """Whether it is a number of samples or pixels."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def with_added(recipe: Recipe, stored: Recipe) -> Recipe:
    """The recipe with all that a gate has added to the phases of the stored one, and longer by as much.

    So the command that began a run goes on with it: what the gate did is no other setting.
    """
    mine, theirs = ({level.side: level for level in getattr(one.growth, "levels", ())} for one in (recipe, stored))
    settings, missing = {}, 0
    for i, (side, level) in enumerate(mine.items()):
        if side in theirs and theirs[side].added > level.added:
            settings[f"growth.levels.{i}.added"] = theirs[side].added
            missing += theirs[side].added - level.added
    return recipe.but({**settings, "length": recipe.length + missing}) if missing else recipe


# The table


def table(recipe: Recipe, costs: Mapping[Span, Cost] | None = None, seen: int | None = None) -> list[str]:
    """The growth, a line for each size: samples, batch, learning rates; with what was measured, and where a run stands."""
    found = spans(recipe)
    here = None if seen is None else at(found, seen)
    lines = [["size", "fades in", "stable", "batch", "learning rate", *(["time", "memory"] if costs else []), ""]]
    for row in rows(found):
        pair = [span for span in row if span is not None]
        stands = ""
        if here in pair and seen is not None:
            stands = f"← {'fading in' if here.fading else 'stable'}, {seen - here.start:,} samples"
        measured = [costs[span] for span in pair] if costs else []
        lines.append(
            [
                named(row.first.size),
                f"{row.fade.samples:,}" if row.fade else "–",
                stable_text(recipe, row.stable) if row.stable else "–",
                batch_text(row.first),
                rates_text(recipe, pair),
                *(
                    [" + ".join(duration(cost.seconds) for cost in measured), files.amount(measured[-1].memory)]
                    if costs
                    else []
                ),
                stands,
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line[:-1], widths, strict=False)) + f"  {line[-1]}".rstrip()
            for line in lines]  # fmt: skip


def stable_text(recipe: Recipe, span: Span) -> str:
    """16,000, or 16,000 + 16,000 where a gate has added some."""
    added = sum(level.added for level in getattr(recipe.growth, "levels", ()) if level.side == min(span.size))
    return f"{span.samples - added:,} + {added:,}" if 0 < added < span.samples else f"{span.samples:,}"


def batch_text(span: Span) -> str:
    """16, or 128 in 8 × 16 where micro-batches make it up."""
    if span.micro >= span.batch:
        return f"{span.batch}"
    whole, rest = divmod(span.batch, span.micro)
    return f"{span.batch} in {whole} × {span.micro}" + (f" + {rest}" if rest else "")


def rates_text(recipe: Recipe, pair: Sequence[Span]) -> str:
    """0.001, or G 0.0002, D 0.0004: what each player learns with, from the first batch to the last."""
    told: dict[str, str] = {}
    for name, player in recipe.players.items():
        first, last = (learning_rate(recipe, player, seen) for seen in (pair[0].start, pair[-1].stop - 1))
        told[name] = f"{first:.3g}" if first == last else f"{first:.2g} → {last:.2g}"
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    letters = {"generator": "G", "discriminator": "D"}
    return ", ".join(f"{letters.get(name, name)} {text}" for name, text in told.items())


def learning_rate(recipe: Recipe, player: Player, seen: int) -> float:
    """A player's, in the batch after so many samples: its own, on its schedule, times the factor of this size."""
    scheduled = 1.0 if player.rate is None else player.rate.at(seen, recipe.length)
    grown = 1.0 if recipe.growth is None else recipe.growth.rate(recipe.phase(seen).size)
    return float(player.lr * scheduled * grown)
