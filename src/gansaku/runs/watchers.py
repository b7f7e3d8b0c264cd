"""What happens beside the training: the log at every tick, sheets at their moments, checkpoints now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch

from gansaku.contract import Phase, Signals
from gansaku.errors import Stopped
from gansaku.health.updates import Weights, updates, weights
from gansaku.recipe import Recipe
from gansaku.render.sheet import class_sheet_of, origin, sheet_of
from gansaku.sampling import class_grid, quantized, sample, shared
from gansaku.training.by_hand import shown_generator
from gansaku.training.loop import Moments, Watcher, always, at, every
from gansaku.training.state import State, diagnosed
from gansaku.training.step import rate

PASSES = (1 / 3, 1, 2, 3, 5, 10, 15, 20, 40, 60, 120, 160)
"""When article 4 looked at its samples: dense at first."""

SHEET = 64  # samples on a sheet
SHEET_SEED = 0

Report = Callable[[int, Mapping[str, float]], None]
"""Called at every tick with the samples seen and the numbers."""


def sheet_moments(count: int, length: int) -> list[int]:
    """After how many samples to draw: PASSES through the data and then every 40, or their share of a short run."""
    passes = length / count
    if passes < 20:
        return sorted({max(1, round(length * p / PASSES[-1])) for p in PASSES})
    later = range(200, int(passes) + 1, 40)
    return [round(p * count) for p in (*PASSES, *later) if p <= passes]


def tick(recipe: Recipe) -> int:
    """Samples between two rows of the log: a two-hundredth of the run."""
    return max(recipe.batch, recipe.length // 200)


class Averages:
    """Means of the signals since the last tick, kept on the device until they are read."""

    def __init__(self) -> None:
        self._sums: Signals = {}
        self._counts: dict[str, int] = {}

    def add(self, state: State, signals: Signals) -> None:
        for name, value in signals.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """The means, and start anew. This waits for the device."""
        values = torch.stack(list(self._sums.values())).tolist() if self._sums else []
        means = {name: value / self._counts[name] for name, value in zip(self._sums, values, strict=True)}
        self._sums, self._counts = {}, {}
        return means


def recording(
    recipe: Recipe,
    seen: int,
    report: Report,
    clock: Callable[[], float] = time.perf_counter,
    start: Weights | None = None,
) -> list[Watcher]:
    """Report at every tick the means of all signals, the learning rates, samples per second, and each player's update.

    The run stands at `seen` samples, with the weights `start`. An update is that of one cycle, the first one after a tick:
    so long a copy of the weights is kept. Raises Stopped at the first tick after something was not finite.
    """
    averages = Averages()
    last = {"time": clock(), "seen": seen}
    kept = [] if start is None else [start]

    def measure(state: State, signals: Signals) -> None:
        averages.add(state, signals)
        if kept:
            averages.add(state, updates(kept.pop(), state))

    def note(state: State, signals: Signals) -> None:
        means, now = averages.read(), clock()
        means |= {f"{name}/rate": rate(state, recipe, player) for name, player in recipe.players.items()}
        means["samples_per_second"] = (state.seen - last["seen"]) / max(1e-9, now - last["time"])
        last.update(time=now, seen=state.seen)
        report(state.seen, means)
        check_sound(state)
        kept.append(weights(state))

    return [Watcher(always, measure), Watcher(every(tick(recipe)), note)]


def check_sound(state: State) -> None:
    """Raises Stopped when anything was or is not finite: nothing after it may be saved."""
    found = diagnosed(state)
    if found is not None:
        raise Stopped(found.name, found.sentence(), "NON_FINITE")


def drawing(
    recipe: Recipe,
    moments: list[int],
    write: Callable[[int, Callable[[], bytes]], None],
    run: str,
    classes: Sequence[str] = (),
) -> Watcher:
    """Draw a sheet from the same latents at each of the moments, with the weight average where there is one."""

    def draw(state: State, signals: Signals) -> None:
        write(state.seen, lambda: sheet_png(recipe, state, run, classes))

    return Watcher(at(moments), draw)


def sheet_png(recipe: Recipe, state: State, run: str, classes: Sequence[str] = (), phase: Phase | None = None) -> bytes:
    """The sheet of a state, as PNG with its origin in the text chunks; of a recipe with classes, by class.

    `classes` are the names of all of them, without which they are numbers; `phase` is another than the state stands in.
    """
    generator, phase = shown_generator(state), phase or recipe.phase(state.seen)
    notes = origin(run, recipe.name, state.seen, SHEET_SEED)
    if recipe.classes:
        labels, each = shared(SHEET, recipe.classes)
        grid = quantized(class_grid(generator, recipe, labels, each, SHEET_SEED, phase=phase)).numpy()
        return class_sheet_of(grid, labels, classes or [f"class {i}" for i in range(recipe.classes)], notes)
    return sheet_of(quantized(sample(generator, recipe, range(SHEET), SHEET_SEED, phase=phase)).numpy(), notes)


def paced(moments: Moments, seconds: float, clock: Callable[[], float] = time.monotonic) -> Moments:
    """Of these moments only those that come so many seconds after the last one taken."""
    last = clock()

    def due(before: int, after: int) -> bool:
        nonlocal last
        if not moments(before, after) or clock() - last < seconds:
            return False
        last = clock()
        return True

    return due
