"""The plainest augmentations: noise, and a mirror."""

from __future__ import annotations

from torch import Tensor

from gansaku.augment.places import mirrored
from gansaku.contract import Augmentation, Turn
from gansaku.parts import part, require


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
    """Each sample mirrored left to right with probability ½."""

    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor:
        return mirrored(x, turn.draw.uniform(f"mirror/{purpose}") < 0.5)
