"""Cramér GAN: the discriminator maps samples to vectors, and the energy distance between their distributions is played for.

Bellemare et al. 2017, arXiv:1705.10743, algorithm 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from gansaku.contract import Method, Move, Signals, Turn
from gansaku.methods.adversarial import generator_first
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


@part
class Cramer(Method):
    """G narrows the energy distance of h(real), h(fake) and h(fake'); D widens critic(real) - critic(fake). h is D's output.

    critic(x) = |h(x) - h(fake')| - |h(x)|, where fake' are further fakes, independent of the first. Gradients reach D's
    weights through every h in it, also where a penalty looks at its slope: that is a true double backward, while
    chainer-gan-lib, whose framework had none, goes on with both h as constants there.

    With labels, the three samples of a row have the same one, so it is the energy distance within each label, averaged
    over labels: 0 only where the joint distributions of h and label agree. With fake labels of their own the two fakes
    would share a label that the real sample has not, and then it is no distance: that is refused.
    """

    order: tuple[Move, ...] = generator_first(5)

    reads_loss: ClassVar[bool] = False

    def check(self, recipe: Recipe) -> None:
        """Raises RecipeError for fake labels of their own."""
        same = recipe.fake_labels == "same" or not recipe.classes
        require(same, "fake_labels", f"Cramer compares samples of one label, not {recipe.fake_labels} ones; set it to same")

    def cycle(self, recipe: Recipe) -> tuple[Move, ...]:
        return self.order

    def losses(self, turn: Turn) -> Signals:
        real, fake, other = turn.logits("real"), turn.logits("fake"), turn.logits("fake", 1)
        if turn.player == "generator":
            return {"energy": energy(real, fake, other)}
        return {"surrogate": critic(fake, other) - critic(real, other)}

    def signals(self, turn: Turn) -> Signals:
        """critic(x), which is between -|h(fake')| and |h(fake')|, of `real` and `fake` samples as the step saw them."""
        with torch.no_grad():
            other = turn.logits("fake", 1)
            return {which: critic(turn.logits(which), other) for which in ("real", "fake")}

    def logit(self, turn: Turn, x: Tensor, labels: Tensor) -> Tensor:
        """(N,): critic(x)."""
        h = turn.judge(x, labels, "logit").logits
        assert h is not None
        return critic(h, turn.logits("fake", 1))


def energy(real: Tensor, fake: Tensor, other: Tensor) -> Tensor:
    """|r - f| + |r - f'| - |f - f'|, (N, M) each -> (N,): its mean is the energy distance, less what only depends on r."""
    return norm(real - fake) + norm(real - other) - norm(fake - other)


def critic(a: Tensor, other: Tensor) -> Tensor:
    """|a - other| - |a|, (N, M) each -> (N,)."""
    return norm(a - other) - norm(a)


def norm(a: Tensor) -> Tensor:
    """|a|, (N, M) -> (N,). At 0, where it has no derivative, the first and the second are taken as 0.

    torch.linalg.vector_norm does so for the first alone, and a penalty's double backward becomes NaN: that happens, since
    bf16 networks give the same h for samples that are nearly the same.
    """
    squared = a.square().sum(1)
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)
