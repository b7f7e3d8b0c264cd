"""Terms: weighted extra parts of one player's loss, one number per sample, for samples of any number of dimensions."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.contract import Term, Turn
from gansaku.parts import part, require

DISCRIMINATOR = ("discriminator",)


def spread(per_sample: Tensor, like: Tensor) -> Tensor:
    """(N,) -> (N, 1, ..., 1) with as many axes as `like`, so that it broadcasts over any space."""
    return per_sample.view(-1, *[1] * (like.ndim - 1))


@part
class GradientPenalty(Term):
    """(|slope of D| - target)² at points between real and fake.

    Gulrajani et al. 2017, arXiv:1704.00028, eq. 3: one mixing weight per sample, norm over all of a sample's values,
    two-sided. A separate classifier's slope is that of its class loss for the sample's label.
    """

    target: float = 1.0

    per_sample: ClassVar[bool] = True
    players: ClassVar[tuple[str, ...]] = ("discriminator", "classifier")

    def __call__(self, turn: Turn) -> Tensor:
        mix = turn.draw.uniform("between")
        between = torch.lerp(turn.fake(), turn.real, spread(mix, turn.real))
        gradient = turn.slope(between)
        norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return (norm - self.target).square()


@part
class Dragan(Term):
    """(|slope of D| - target)² at x + strength · u · s around each real sample x, u ~ U[0, 1) for each of its values.

    s is the standard deviation of each value over the batch, as chainer-gan-lib takes it; Kodali et al. 2017
    (arXiv:1705.07215, sec. 2.2) have normal noise, and their published code one deviation for all values.
    """

    strength: float = 0.5
    target: float = 1.0

    per_sample: ClassVar[bool] = True
    looks_across: ClassVar[bool] = True
    players: ClassVar[tuple[str, ...]] = DISCRIMINATOR

    def __post_init__(self) -> None:
        require(self.strength >= 0, "strength", f"{self.strength:g} must not be negative; 0 looks at the samples themselves")

    def __call__(self, turn: Turn) -> Tensor:
        deviation = ranks.gather(turn.real).std(0, unbiased=False)
        around = turn.real + self.strength * deviation * turn.draw.uniform("around", *turn.real.shape[1:])
        norm: Tensor = torch.linalg.vector_norm(turn.slope(around).flatten(1), dim=1)
        return (norm - self.target).square()


@part
class R1(Term):
    """½ |slope of D|² on real samples (Mescheder et al. 2018, arXiv:1801.04406, eq. 9); the weight is their γ."""

    per_sample: ClassVar[bool] = True
    players: ClassVar[tuple[str, ...]] = DISCRIMINATOR

    def __call__(self, turn: Turn) -> Tensor:
        gradient = turn.slope(turn.real)
        return 0.5 * gradient.flatten(1).square().sum(1)


@part
class R2(Term):
    """½ |slope of D|² on generated samples (Mescheder et al. 2018, arXiv:1801.04406, eq. 10)."""

    per_sample: ClassVar[bool] = True
    players: ClassVar[tuple[str, ...]] = DISCRIMINATOR

    def __call__(self, turn: Turn) -> Tensor:
        gradient = turn.slope(turn.fake(), turn.piece.fake_labels)
        return 0.5 * gradient.flatten(1).square().sum(1)


@part
class Drift(Term):
    """D(x)², which keeps the logits of a Wasserstein discriminator from wandering off.

    On real samples as published (Karras et al. 2018, arXiv:1710.10196, appendix A.1), or on both kinds.
    """

    on: Literal["real", "both"] = "real"

    players: ClassVar[tuple[str, ...]] = DISCRIMINATOR

    def __call__(self, turn: Turn) -> Tensor:
        drift = turn.logits("real").square().mean(1)
        if self.on == "both":
            drift = 0.5 * (drift + turn.logits("fake").square().mean(1))
        return drift
