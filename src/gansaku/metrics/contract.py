"""What a metric is: a part with a pure function of what is known of both sides, real and generated.

Shapes: n samples, F features, K classes of an extractor's head, C channels, S space.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from gansaku.errors import UsageError

Need = Literal["features", "logits", "samples", "labels"]
Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Side:
    """What is known of n samples, each field in the same order; what nobody needs is None."""

    n: int
    features: Tensor | None = None  # (n, F) fp32
    logits: Tensor | None = None  # (n, K) fp32
    samples: Tensor | None = None  # (n, C, *S) uint8 as stored: pictures 0..255, voxels 0/1
    labels: Tensor | None = None  # (n,) int64

    def rows(self, which: Tensor) -> Side:
        """The same of some of the samples, by their numbers (m,)."""
        fields = {name: getattr(self, name) for name in ("features", "logits", "samples", "labels")}
        picked = {name: None if value is None else value[which] for name, value in fields.items()}
        return replace(self, n=len(which), **picked)

    def known(self, need: Need) -> Tensor:
        """A field that the metric said it needs."""
        value: Tensor | None = getattr(self, need)
        assert value is not None, f"{need} were not computed"
        return value


class Output(NamedTuple):
    """One number of a metric: what it is called in print with the 2015 Inception (or no extractor), and with another one."""

    title: str  # "FID"
    better: Better
    other: str = ""  # "FD": another extractor's name is added; "" if no extractor is asked
    least: float = -math.inf  # what it cannot be below, or above: no interval goes further
    most: float = math.inf
    means: str = ""  # for people, in a phrase; the metric's first sentence if it gives one number


class Metric(ABC):
    """A part that compares two sides. Its fields are its settings and go into the passport.

    `gives` names its numbers as `--metrics` and JSON do. A metric that `reads_real` nothing gets an empty real side.
    """

    gives: ClassVar[dict[str, Output]]
    needs: ClassVar[tuple[Need, ...]] = ("features",)
    reads_real: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)  # 2 for pictures, 3 for voxels
    least: ClassVar[int] = 2  # samples on each side that it needs
    resamples: ClassVar[bool] = True  # whether its interval comes from leaving out groups of samples
    wants_all: ClassVar[bool] = False  # of the real samples, unless somebody says how many: what may have been copied
    biased: ClassVar[bool] = False  # whether its expectation depends on the number of samples

    @abstractmethod
    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        """Its numbers by name, all finite. `reference` is what `reference(real)` returned, if anybody made it."""

    def reference(self, real: Side) -> Any:
        """What depends on the real side alone and is dear, to be made once for many generated sides."""
        return None

    def remarks(self, values: dict[str, float], real: Side, generated: Side) -> tuple[str, ...]:
        """What a reader of these numbers must know, a phrase each: a warning of their score."""
        return ()

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        """Standard errors that the metric knows by itself, by name."""
        return {}

    def check(self, real: Side, generated: Side) -> None:
        """Raises UsageError when there are too few samples."""
        sides = [("generated", generated)] + ([("real", real)] if self.reads_real else [])
        for which, side in sides:
            if side.n < self.least:
                named = ", ".join(output.title for output in self.gives.values())
                raise UsageError(named, f"needs {self.least} {which} samples or more, and there are {side.n}", "COUNT")
