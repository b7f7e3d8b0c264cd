"""Two ways of doing the same work, timed in turn: A B A B …, so that what else the machine does meets both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Work = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Side:
    """One way: `work()` once, and how often it is done in a round (the fast side more often, to be timed well)."""

    work: Work
    times: int = 1


@dataclass(frozen=True)
class Row:
    """`plain` and `ours` are units of work per second (medians over rounds); a ratio above 1 means that ours is faster.

    `ratio` is the median of the rounds' own ratios, `spread` (largest - smallest) / median of them.
    """

    work: str
    unit: str
    plain: float
    ours: float
    ratio: float
    spread: float
    target: float | None
    against: str  # what stands on the plain side, and what is left out on both

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def seconds(side: Side, clock: Clock) -> float:
    """For one `work()`."""
    start = clock()
    for _ in range(side.times):
        side.work()
    return (clock() - start) / side.times


def compare(
    name: str,
    unit: str,
    each: float,
    plain: Side,
    ours: Side,
    against: str,
    rounds: int,
    clock: Clock,
    target: float | None = None,
) -> Row:
    """Time both in turn, after one round of each that does not count. `each` is the units in one `work()`."""
    for side in (plain, ours):
        seconds(side, clock)
    pairs = [(seconds(plain, clock), seconds(ours, clock)) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    middle = statistics.median(ratios)
    slow, fast = (each / statistics.median(times) for times in zip(*pairs, strict=True))
    return Row(name, unit, slow, fast, middle, (max(ratios) - min(ratios)) / middle, target, against)


def clock_for(threads: int) -> Clock:
    """CPU time for one thread, which other processes do not stretch; wall time for more."""
    return time.process_time if threads == 1 else time.perf_counter
