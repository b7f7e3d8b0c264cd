"""Samples of a growth at a size below the full one: what its phases are compared at.

Real samples are shrunk as the training shrinks them, to the means of blocks; so are those of a larger phase that is to be
compared with a smaller one. Pictures are rounded to whole values. Voxels are not: at 4³ a mean of 0.4 is a shape, and
rounded it would be nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gansaku.data.batches import shrink
from gansaku.evaluation.samples import Generated, Samples
from gansaku.metrics.passport import Score
from gansaku.runs.phases import named
from gansaku.sampling import quantized


@dataclass(frozen=True)
class Shrunk(Samples):
    """Other samples at a smaller size: pictures (n, C, *size) uint8, voxels the share of what is filled, 0 to 1."""

    whole: Samples
    size: tuple[int, ...]

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.whole.name

    @property
    def part(self) -> str:
        """Which samples of the data."""
        return str(getattr(self.whole, "part", ""))

    @property
    def identity(self) -> dict[str, Any]:  # type: ignore[override]
        return {**self.whole.identity, "size": list(self.size)}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.whole.shape[0], *self.size)

    @property
    def count(self) -> int | None:  # type: ignore[override]
        return self.whole.count

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.whole.classes

    @property
    def jpeg(self) -> float | None:  # type: ignore[override]
        return self.whole.jpeg

    @property
    def kept(self) -> bool:  # type: ignore[override]
        return self.whole.kept

    def block(self, start: int, stop: int) -> Tensor:
        small = shrink(self.whole.block(start, stop).float(), self.size)
        return small if len(self.shape) == 4 else small.round().to(torch.uint8)

    def labels(self, start: int, stop: int) -> Tensor | None:
        return self.whole.labels(start, stop)


@dataclass(frozen=True)
class Made(Generated):
    """What a generator makes, shrunk to `shape` where it makes more."""

    def block(self, start: int, stop: int) -> Tensor:
        made = shrink(self.make(range(start, stop)), self.shape[1:])
        return made.add(1).div(2).clamp(0, 1) if len(self.shape) == 4 else quantized(made)


def compared_small(samples: Generated) -> Made:
    """The same samples as they are compared below full size: of voxels the shares, before anything is cut off."""
    identity = {**samples.identity, "size": list(samples.shape[1:])}
    return Made(
        samples.name, identity, samples.shape, samples.make, samples.classes, samples.label, samples.count, samples.kept
    )


def at_size(score: Score, size: tuple[int, ...]) -> Score:
    """The score with the size in its name and its passport: it is comparable with others at this size alone."""
    passport = replace(score.passport, settings={**score.passport.settings, "size": list(size)})
    if len(size) == 3:
        passport = replace(passport, quantization="none")
    return replace(score, name=f"{score.name} at {named(size)}", passport=passport)
