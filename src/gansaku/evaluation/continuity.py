"""How evenly samples change on a way through latent space: a jump is a place where a small step changes much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

JUMP = 3.0  # times the median or the mean


@dataclass(frozen=True)
class Continuity:
    """The speed of each step of a closed walk: how far features move for the way in latent space.

    In units of the median; of the mean, where at least half of the steps change nothing.
    """

    speeds: tuple[float, ...]  # finite
    steps: int  # from one stop to the next
    spread: float  # of the speeds: their standard deviation over their mean; 0 for a generator that is linear
    unit: Literal["median", "mean"] = "median"

    @property
    def largest(self) -> int:
        return max(range(len(self.speeds)), key=self.speeds.__getitem__)

    @property
    def jumps(self) -> list[int]:
        """Steps of more than JUMP times the unit that are the largest of those next to them."""
        n, s = len(self.speeds), self.speeds
        return [i for i in range(n) if s[i] >= JUMP and s[i] >= s[i - 1] and s[i] > s[(i + 1) % n]]

    def between(self, step: int) -> tuple[int, int]:
        """The stops on both sides of a step."""
        stops = len(self.speeds) // self.steps
        return step // self.steps, (step // self.steps + 1) % stops

    def sentence(self) -> str:
        """What a person reads."""
        if not self.speeds[self.largest] > 0:
            return "nothing changes on the way"
        a, b = self.between(self.largest)
        found = f"the largest step, {self.speeds[self.largest]:.1f} times the {self.unit}, lies between samples {a} and {b}"
        if not self.jumps:
            return f"no jumps: {found}"
        return f"{len(self.jumps)} jump{'s' if len(self.jumps) > 1 else ''} of {JUMP:g} times the {self.unit} or more; {found}"


def continuity(features: Tensor, latents: Tensor, steps: int) -> Continuity:
    """Of a closed walk's features (n, F) and latents (n, Z), n = stops · steps; the last step leads back to the first."""
    moved, gone = (torch.linalg.vector_norm((x.roll(-1, 0) - x).double(), dim=1) for x in (features, latents))
    speed = torch.where(gone > 0, moved / gone, 0.0)
    median, mean = speed.median(), speed.mean()
    if not mean > 0:
        return Continuity((0.0,) * len(speed), steps, 0.0)
    relative = speed / (median if median > 0 else mean)
    spread = float(speed.std(correction=0) / mean)
    return Continuity(tuple(relative.tolist()), steps, spread, "median" if median > 0 else "mean")
