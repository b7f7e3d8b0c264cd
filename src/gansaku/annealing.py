"""What R3GAN lets change over its first samples, beside rates and weights: Adam's memory, and the weight average's."""

from __future__ import annotations

import math
from typing import Any

from gansaku.contract import Average
from gansaku.optimizers import Adam
from gansaku.parts import part, require


def half_wave(start: float, end: float, over: int, seen: int) -> float:
    """From start to end on half a cosine wave over so many samples; then it stays."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, seen / over)))


@part
class AnnealedAdam(Adam):
    """Adam whose β2 goes to `end` on half a cosine wave over `over` samples (Huang et al. 2024, arXiv:2501.05441, sec. 4)."""

    betas: tuple[float, float] = (0.0, 0.9)
    end: float = 0.99
    over: int = 20_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.end < 1, "end", f"{self.end:g} must lie in [0, 1)")
        require(self.over >= 1, "over", f"{self.over} is no number of samples; use 1 or more")

    def at(self, seen: int) -> dict[str, Any]:
        return {"betas": (float(self.betas[0]), half_wave(self.betas[1], self.end, self.over, seen))}


@part
class RampedEMA(Average):
    """Exponential moving average whose half-life in samples grows from 0 on half a cosine wave over `over` samples."""

    half_life: float
    over: int = 20_000_000

    def __post_init__(self) -> None:
        require(self.half_life > 0, "half_life", f"{self.half_life:g} must be above 0")
        require(self.over >= 1, "over", f"{self.over} is no number of samples; use 1 or more")

    def keep(self, before: int, after: int) -> float:
        half_life = half_wave(0.0, self.half_life, self.over, before)
        return float(0.5 ** ((after - before) / max(half_life, 1e-8)))
