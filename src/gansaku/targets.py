"""Targets: what the discriminator is to say about real and generated samples, (N, 1) each."""

from __future__ import annotations

import torch

from gansaku.contract import Target, Targets, Turn
from gansaku.errors import RecipeError, nearest
from gansaku.parts import part, require


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


@part
class Ranged(Targets):
    """A number of its own for each sample: real ones from U(real), fakes from U(fake), in D's turns; in others 1 and 0.

    soumith/ganhacks, item 6, whose example the ranges are.
    """

    real: tuple[float, float] = (0.7, 1.2)
    fake: tuple[float, float] = (0.0, 0.3)

    def __post_init__(self) -> None:
        for name, (low, high) in (("real", self.real), ("fake", self.fake)):
            require(low <= high, name, f"{low:g} to {high:g} is no range; write the smaller number first")

    def __call__(self, turn: Turn) -> Target:
        if turn.player != "discriminator":
            return Hard()(turn)
        sides = ("real", *self.real), ("fake", *self.fake)
        return Target(*[low + (high - low) * turn.draw.uniform(f"target/{name}", 1) for name, low, high in sides])


@part
class Flipped(Targets):
    """Those of `of`, but in D's turns each sample has with probability `share` the other kind's target of its place.

    soumith/ganhacks, item 6, which says "occasionally"; 0.05 is ours.
    """

    share: float = 0.05
    of: Targets = Hard()

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, "share", f"{self.share:g} is no share; use 0 to 1")

    def __call__(self, turn: Turn) -> Target:
        given = self.of(turn)
        if turn.player != "discriminator":
            return given
        real, fake = (turn.draw.uniform(f"flip/{name}", 1) < self.share for name in ("real", "fake"))
        return Target(given.fake.where(real, given.real), given.real.where(fake, given.fake))
