"""When a training is looked at for its signals: at ticks, as many as their share of the time allows.

The first look comes a second after the start, so that short runs have one too; the others wait until all looks so far and
one more are within the share. Beside a CPU it is CPU time that counts, so that a busy machine does not make one look so dear
that no other follows. The training does not notice (`gansaku.health.looking`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gansaku.contract import Signals
from gansaku.data.batches import Batches
from gansaku.data.store import Dataset
from gansaku.errors import UsageError
from gansaku.extractors import registry as extractors
from gansaku.health import registry
from gansaku.health.asking import Real
from gansaku.health.looking import Looker
from gansaku.health.meaning import PREFIX, SHARE, Meaning
from gansaku.keys import key
from gansaku.recipe import Recipe
from gansaku.training.loop import Watcher
from gansaku.training.state import State

FIRST = 1.0  # seconds after the start
BUDGET = 0.01  # of the time

Told = Callable[[int, dict[str, float], list[str]], None]
"""Takes the samples seen, numbers as the log has them, and what went wrong, a sentence each."""


def looks(share: float, recipe: Recipe, dataset: Dataset, state: State) -> Looks | None:
    """What looks at a training on these data; None if nothing may. Raises UsageError for what is no share."""
    if not 0 <= share <= 1:
        raise UsageError("--signals-budget", f"{share:g} is no share of the time; use 0 to 1", "SHARE")
    if not share:
        return None
    order = key(recipe.seed, "signals")  # of their own: a batch that was just learned from is no test

    def real(split: str) -> Real:
        batches = Batches(dataset, order, device=state.device, split=split)
        return Real(batches, batches.order.count)

    dimensions = len(dataset.shape) - 1
    there = dimensions in (2, 3)
    extractor = extractors.find(f"random-{dimensions}d", None, "fp32", state.device, dataset.shape) if there else None
    held_out = real("test") if "test" in dataset.counts else None
    clock = time.process_time if state.device.type == "cpu" else time.monotonic  # other processes stretch both alike
    return Looks(Looker(recipe, real("train"), held_out, extractor, registry.known()), share, clock)


class Looks:
    """Lets a looker look. `share` is the part of the time that it may take."""

    def __init__(self, looker: Looker, share: float, clock: Callable[[], float] = time.monotonic):
        self._looker, self._share, self._clock = looker, share, clock
        self._began, self._spent = clock(), 0.0
        self._cost: float | None = None  # seconds of the last look; None before the first one
        self._last = -1

    @property
    def meanings(self) -> dict[str, Meaning]:
        """What the numbers are, by their names in the log."""
        return {
            PREFIX + name: meaning._replace(data=PREFIX + meaning.data if isinstance(meaning.data, str) else meaning.data)
            for signal in self._looker.signals
            for name, meaning in signal.gives.items()
        }

    def begin(self) -> None:
        """The training begins now."""
        self._began, self._spent, self._cost = self._clock(), 0.0, None

    @property
    def taken(self) -> float:
        """The share of the training's time that looks have taken."""
        return self._spent / max(1e-9, self._clock() - self._began)

    def watcher(self, tick: Callable[[int, int], bool], tell: Told, asked: Callable[[], bool] = lambda: False) -> Watcher:
        """Looks at ticks, when there is time for it; not when somebody wants the training to stop."""

        def due(before: int, after: int) -> bool:
            return tick(before, after) and self._allowed()

        def act(state: State, signals: Signals) -> None:
            if asked() or state.seen == self._last or not self._allowed():
                return
            started, self._last, self._cost = self._clock(), state.seen, 0.0  # one that fails is not tried at once again
            numbers: dict[str, float] = {}
            problems: list[str] = []
            try:
                self._looker.prepare(state)
                ready = self._clock()
                numbers, problems = self._looker.numbers(state)
                self._cost = self._clock() - ready
            finally:
                self._spent += self._clock() - started
            tell(state.seen, {PREFIX + name: value for name, value in numbers.items()} | {SHARE: self.taken}, problems)

        return Watcher(due, act)

    def _allowed(self) -> bool:
        elapsed = self._clock() - self._began
        return elapsed >= FIRST if self._cost is None else self._spent + self._cost <= self._share * elapsed
