"""What changes over time, as pure functions of the samples seen: learning rates, weight averages, growth."""

from __future__ import annotations

import itertools
import math

from gansaku.contract import Average, Growth, Rate
from gansaku.parts import part, require


@part
class LinearDecay(Rate):
    """1 until `begin` (a share of the run), then straight down to `end` at the run's end."""

    begin: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.begin < 1, "begin", f"{self.begin:g} is no share of the run; use 0 to below 1")
        require(self.end >= 0, "end", f"{self.end:g} must not be negative")

    def at(self, seen: int, length: int) -> float:
        gone = (min(1.0, seen / length) - self.begin) / (1 - self.begin)
        return 1 + (self.end - 1) * max(0.0, gone)


@part
class Cosine(Rate):
    """Half a cosine wave from 1 down to `end` over the run, or its first `over` samples (Loshchilov & Hutter 2017)."""

    end: float = 0.0
    over: int | None = None

    def __post_init__(self) -> None:
        require(self.end >= 0, "end", f"{self.end:g} must not be negative")
        require(self.over is None or self.over >= 1, "over", f"{self.over} is no number of samples; use 1 or more, or none")

    def at(self, seen: int, length: int) -> float:
        return self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, seen / (self.over or length))))


@part
class WarmRestarts(Rate):
    """Half a cosine wave from 1 down to `end` over `period` samples, then again from 1, each wave `longer` times the last.

    SGDR (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5). The rate changes once every `step` samples, and is that of
    `lag` samples ago: a schedule that is stepped by whole passes, after each batch, has a pass as `step` and two batches
    as `lag`, since what is counted holds the batch that moves now.
    """

    period: int
    longer: int = 1
    end: float = 0.0
    step: int = 1
    lag: int = 0

    def __post_init__(self) -> None:
        require(self.period >= 1, "period", f"{self.period} is no number of samples")
        require(self.longer >= 1, "longer", f"{self.longer} would end in waves of nothing; use 1 or more")
        require(self.end >= 0, "end", f"{self.end:g} must not be negative")
        require(1 <= self.step <= self.period, "step", f"{self.step} is not within a wave of {self.period}")
        require(self.lag >= 0, "lag", f"{self.lag} must not be negative")

    def at(self, seen: int, length: int) -> float:
        gone, wave = max(0, seen - self.lag) // self.step * self.step, self.period
        if self.longer == 1:
            gone %= wave
        while gone >= wave:
            gone, wave = gone - wave, wave * self.longer
        return self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * gone / wave))


@part
class StepDecay(Rate):
    """Times `factor` once another `every` samples have been seen."""

    every: int
    factor: float = 0.5

    def __post_init__(self) -> None:
        require(self.every >= 1, "every", f"{self.every} is not a number of samples")
        require(self.factor > 0, "factor", f"{self.factor:g} must be above 0")

    def at(self, seen: int, length: int) -> float:
        return float(self.factor ** (seen // self.every))


@part
class EMA(Average):
    """Exponential moving average of the weights with a half-life in samples, at most `share` of the samples seen.

    The share keeps the average from dragging the first, unformed weights through a short run (StyleGAN2's ramp-up).
    """

    half_life: float  # samples
    share: float = 0.05

    def __post_init__(self) -> None:
        require(self.half_life > 0, "half_life", f"{self.half_life:g} must be above 0 samples")
        require(self.share > 0, "share", f"{self.share:g} must be above 0")

    def keep(self, before: int, after: int) -> float:
        return float(0.5 ** ((after - before) / min(self.half_life, self.share * after)))


@part
class Level:
    """One size of a growth: its smallest side, samples while it fades in and while it stands, the batch, 0 the recipe's, and
    the factor on all learning rates.

    `added` are samples that it stands longer than was planned: a gate writes them there (`gansaku train --growth-gate`).
    """

    side: int
    fade: int
    stable: int
    batch: int = 0
    rate: float = 1.0
    added: int = 0

    def __post_init__(self) -> None:
        require(self.side >= 1, "side", f"{self.side} is no side length")
        require(self.fade >= 0, "fade", f"{self.fade} is no number of samples")
        require(self.stable >= 0, "stable", f"{self.stable} is no number of samples")
        require(self.batch >= 0, "batch", f"{self.batch} is no batch; use 0 for the recipe's")
        require(self.rate > 0, "rate", f"{self.rate:g} must be above 0; 1 is the players' own learning rates")
        require(self.added >= 0, "added", f"{self.added} is no number of samples")

    @property
    def length(self) -> int:
        """Samples from its first to its last."""
        return self.fade + self.stable + self.added


@part
class Levels(Growth):
    """A growth as a table, one row for each size; the last one stands until the run's end.

    Article 2's: 16,000 samples a phase up to 64 px with batch 16, then 2,000 steps of 8 and 4,000 of 4.
    """

    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        require(len(self.levels) >= 1, "levels", "there are none; give one for each size")
        require(
            self.levels[0].fade == 0, "levels.0.fade", "there is nothing before the first size that it could fade from; use 0"
        )
        for i, (small, large) in enumerate(itertools.pairwise(self.levels), 1):
            wanted = f"{large.side} does not follow {small.side}; each size is twice the last, here {2 * small.side}"
            require(large.side == 2 * small.side, f"levels.{i}.side", wanted)

    @property
    def length(self) -> int:
        """Samples until the end of the last stable phase."""
        return sum(level.length for level in self.levels)

    def check(self, shape: tuple[int, ...]) -> None:
        smallest, last = min(shape[1:]), self.levels[-1].side
        require(last == smallest, "growth.levels", f"the last size is {last} and the samples' smallest side {smallest}")
        first = self.levels[0].side
        fits = all(side * first % smallest == 0 for side in shape[1:])
        require(fits, "growth.levels", f"doubling {first} does not reach {shape[1:]}")

    def at(self, seen: int, shape: tuple[int, ...], batch: int) -> tuple[tuple[int, ...], float, int]:
        space, smallest = shape[1:], min(shape[1:])
        for level in self.levels:
            if seen < level.length or level is self.levels[-1]:
                break
            seen -= level.length
        fade = seen / level.fade if seen < level.fade else 1.0
        return tuple(side * level.side // smallest for side in space), fade, level.batch or batch

    def rate(self, size: tuple[int, ...]) -> float:
        """The factor on all learning rates while samples have this size."""
        return next((level.rate for level in self.levels if level.side == min(size)), 1.0)


@part
class Doubling(Growth):
    """From sides of `start`, stable for `stable` samples, then doubled with a fade-in over `fade`, up to full size.

    Karras et al. 2018, arXiv:1710.10196, sec. 2: 600,000 and 600,000.
    """

    start: int = 4
    stable: int = 600_000
    fade: int = 600_000

    def __post_init__(self) -> None:
        require(self.start >= 1, "start", f"{self.start} is no side length")
        require(self.stable >= 0 and self.fade >= 1, "fade", "a phase must have samples")

    def check(self, shape: tuple[int, ...]) -> None:
        smallest, side = min(shape[1:]), self.start
        while side < smallest:
            side *= 2
        fits = side == smallest and all(s * self.start % smallest == 0 for s in shape[1:])
        require(fits, "growth.start", f"doubling {self.start} does not reach {shape[1:]}")

    def at(self, seen: int, shape: tuple[int, ...], batch: int) -> tuple[tuple[int, ...], float, int]:
        space, smallest = shape[1:], min(shape[1:])
        side, seen = self.start, seen - self.stable
        fade = 1.0
        while seen >= 0 and side < smallest:
            side *= 2
            if seen < self.fade:
                fade = seen / self.fade
                break
            seen -= self.fade + self.stable
        return tuple(s * side // smallest for s in space), fade, batch
