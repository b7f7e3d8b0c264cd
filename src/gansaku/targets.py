"""Targets: what the discriminator is to say about real and generated samples, (N, 1) each."""

from __future__ import annotations

import torch

from gansaku.contract import Target, Targets, Turn
from gansaku.errors import RecipeError, nearest
from gansaku.parts import part


@part
class Hard(Targets):
    """1 and 0."""

    def __call__(self, turn: Turn) -> Target:
        one = turn.real.new_ones(len(turn.real), 1)
        return Target(one, torch.zeros_like(one))


@part
class Soft(Targets):
    """`real` and `fake`, not 1 and 0: one-sided label smoothing has 0.9 and 0 (Salimans et al. 2016, sec. 3.4)."""

    real: float = 0.9
    fake: float = 0.0

    def __call__(self, turn: Turn) -> Target:
        one = turn.real.new_ones(len(turn.real), 1)
        return Target(self.real * one, self.fake * one)


@part
class Noisy(Targets):
    """1 + u and 0 + u' with u, u' ~ U(0, noise), one number each for a batch and all moves on it; the real one times `columns`.

    With columns (flags of the dataset), a sample flagged 0 has the target 0: it trains the discriminator away from it
    and the generator towards 0 as well, as in the dog-picture competition's code.
    """

    noise: float = 0.1
    columns: tuple[str, ...] = ()

    def __call__(self, turn: Turn) -> Target:
        one = turn.real.new_ones(len(turn.real), 1)
        draw = turn.draw._replace(turn=turn.seen)  # drawn once a batch, whoever moves on it
        real = (1 + self.noise * draw.scalar("target/real")) * one
        for name in self.columns:
            if name not in turn.columns:
                known = nearest(name, list(turn.columns))
                raise RecipeError("targets.columns", f"the data have no column {name!r}{known}", "COLUMN")
            real = real * turn.columns[name].to(one)[:, None]
        return Target(real, self.noise * draw.scalar("target/fake") * one)
