"""Whether a score still becomes better while training: how much the newer half of its curve improves, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST = 6  # scores of the newer half that an interval is made of


class Trend(NamedTuple):
    """The improvement from the first to the last of the newer half of all scores, as a share of their mean; 95 % interval."""

    improvement: float
    low: float
    high: float
    scores: int

    def sentence(self, name: str) -> str:
        """What a person reads."""
        found = f"{100 * self.improvement:+.1f} %, 95 % interval {100 * self.low:+.1f} to {100 * self.high:+.1f} %"
        return f"{name} is flat: over the last {self.scores} scores it improved by {found}".replace("-", "−")


def trend(points: Sequence[tuple[int, float]], better: str) -> Trend | None:
    """Of (samples seen, score) in order; None for fewer than 2 · LEAST finite scores.

    A straight line by least squares, with Student's t for its slope: scores of one run hang together, so the interval is
    too narrow rather than too wide.
    """
    from scipy import stats

    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if len(finite) < 2 * LEAST:
        return None
    half = finite[len(finite) // 2 :]
    x, y = (np.array(part, dtype=np.float64) for part in zip(*half, strict=True))
    apart = x - x.mean()
    slope = apart @ (y - y.mean()) / (apart @ apart)
    left = y - y.mean() - slope * apart
    error = math.sqrt(left @ left / (len(half) - 2) / (apart @ apart))
    scale = (x[-1] - x[0]) / (abs(y.mean()) or 1.0)
    improvement = float(slope * scale) * (1 if better == "higher" else -1)
    reach = float(stats.t.ppf(0.975, len(half) - 2) * error * scale)
    return Trend(improvement, improvement - reach, improvement + reach, len(half))


def flat(points: Sequence[tuple[int, float]], better: str, share: float) -> Trend | None:
    """The trend, if its whole interval lies below this share: more of the same is not worth waiting for."""
    found = trend(points, better)
    return found if found is not None and found.high < share else None
