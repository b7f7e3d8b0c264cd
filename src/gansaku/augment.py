"""Augmentations of what the discriminator sees. Real and generated samples and penalty points pass alike."""

from __future__ import annotations

from torch import Tensor

from gansaku.contract import Augmentation, Turn
from gansaku.parts import part, require
from gansaku.terms import spread


@part
class Noise(Augmentation):
    """Gaussian noise on the discriminator's input, from `strength` down to 0 over the run (Sønderby et al. 2017)."""

    strength: float = 0.1

    def __post_init__(self) -> None:
        require(self.strength >= 0, "strength", f"{self.strength:g} must not be negative")

    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor:
        left = max(0.0, 1 - turn.seen / turn.recipe.length)
        return x + self.strength * left * turn.draw.normal(f"noise/{purpose}", *x.shape[1:])


@part
class Mirror(Augmentation):
    """Each sample mirrored along its last axis with probability ½."""

    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor:
        coin = turn.draw.uniform(f"mirror/{purpose}") < 0.5
        return x.where(spread(coin, x), x.flip(-1))
