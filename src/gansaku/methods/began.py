"""BEGAN: the discriminator is an auto-encoder, and its error is kept in balance between real samples and fakes.

Berthelot et al. 2017, arXiv:1703.10717, sec. 3.3 and 3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from gansaku.contract import Memory, Method, Move, Signals, Turn
from gansaku.methods.adversarial import generator_first
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


@part
class BEGAN(Method):
    """D lowers real - k fake, G lowers fake, and k += gain (gamma real - fake), held in [0, 1].

    `real` and `fake` are D's logits, the distance of a sample to its reconstruction. k begins at 0 and follows their
    means over the global batch, as D's step saw them; that step's loss still has the old one. `gamma`, the ratio fake / real
    that is held, trades variety (high) for quality (low).
    """

    gamma: float = 0.5
    gain: float = 0.001
    order: tuple[Move, ...] = generator_first()

    reads_loss: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(0 <= self.gamma <= 1, "gamma", f"{self.gamma:g} is no ratio of two errors; use 0 to 1")
        require(self.gain > 0, "gain", f"{self.gain:g} must be above 0, or k never moves")

    def check(self, recipe: Recipe) -> None:
        network = recipe.discriminator.network
        unfit = f"{type(network).__name__} reconstructs nothing, and BEGAN lowers that error; use ChainerAutoEncoder"
        require(getattr(network, "reconstructs", False), "discriminator.network", unfit)

    def cycle(self, recipe: Recipe) -> tuple[Move, ...]:
        return self.order

    def memory(self, recipe: Recipe) -> Memory:
        return {"k": torch.zeros(())}

    def losses(self, turn: Turn) -> Signals:
        fake = turn.logits("fake").sum(1)
        if turn.player == "generator":
            return {"reconstruction": fake}
        return {"reconstruction": turn.logits("real").sum(1), "balance": -turn.memory["k"] * fake}

    def signals(self, turn: Turn) -> Signals:
        """The distances of real samples (in D's step) and of fakes, as the step saw them."""
        signals = {"fake": turn.logits("fake").detach().sum(1)}
        if turn.player == "discriminator":
            signals["real"] = turn.logits("real").detach().sum(1)
        return signals

    def derived(self, turns: list[Turn], means: Signals) -> Signals:
        """In D's step: the k of its loss, and the convergence measure M = real + |gamma real - fake| (sec. 3.4)."""
        if turns[0].player != "discriminator":
            return {}
        return {"k": turns[0].memory["k"], "measure": means["real"] + self.imbalance(means).abs()}

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        if turns[0].player != "discriminator":
            return memory
        return {**memory, "k": (memory["k"] + self.gain * self.imbalance(means)).clamp(0, 1)}

    def imbalance(self, means: Signals) -> Tensor:
        """gamma real - fake: 0 where they are in balance, above it where fakes are too easy for the auto-encoder."""
        return self.gamma * means["real"] - means["fake"]
