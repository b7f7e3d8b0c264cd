"""How often samples are changed: as D overfits (ADA), or by a schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gansaku.augment.transforms import Transforms
from gansaku.contract import Augmentation, Memory, Signals, Turn
from gansaku.errors import RecipeError
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe

SIGNAL = "sign"


@part
class Adaptive(Augmentation):
    """ADA: every change of `transforms` with probability p, which rises while r = E[sign D(real)] is above `target`.

    Every `every` batches of D, p moves by their number of samples / `speed`, up where the mean of sign over these batches is
    above the target and down where it is below, within [0, `limit`] (Karras et al. 2020, arXiv:2006.06676, sec. 3.1 and
    appendix D). p begins at `start`. The source has 500,000 samples for the way from 0 to 1, and 100,000 where training goes
    on from another data set's weights; it holds p above 0 only, while no probability is above 1.

    The sign is the signal that the method gives: of D's logit, or beside losses to which only differences of D's outputs
    mean something, of a real sample's less that of the fake beside it. A method without one is refused. p is logged as
    `discriminator/augment_p`.
    """

    target: float = 0.6
    start: float = 0.0
    limit: float = 1.0
    every: int = 4
    speed: int = 500_000
    transforms: Transforms = Transforms()

    def __post_init__(self) -> None:
        require(-1 < self.target < 1, "target", f"{self.target:g} is no mean of signs that is ever left; use -1 to 1")
        require(0 <= self.limit <= 1, "limit", f"{self.limit:g} is no probability; use 0 to 1")
        require(0 <= self.start <= self.limit, "start", f"{self.start:g} must lie between 0 and the limit, {self.limit:g}")
        require(self.every >= 1, "every", f"{self.every} is no number of batches; use 1 or more")
        require(self.speed >= 1, "speed", f"{self.speed} is no number of samples; use 1 or more")

    def check(self, recipe: Recipe) -> None:
        method = type(recipe.method).__name__
        silent = (
            f"Adaptive follows the sign of D's logits, which {method} does not give as a signal; use DiffAugment, or Scheduled"
        )
        require(SIGNAL in recipe.method.gives, "augment", silent)
        self.transforms.check(recipe, "augment.transforms")

    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor:
        return self.transforms(x, turn, purpose, turn.memory["ada/p"])

    def memory(self, recipe: Recipe) -> Memory:
        """p; and of the batches since it moved: the sum of their mean signs, their number, and that of their samples."""
        return {
            "ada/p": torch.tensor(self.start),
            **{f"ada/{name}": torch.zeros(()) for name in ("signs", "batches", "samples")},
        }

    def derived(self, turns: list[Turn], means: Signals) -> Signals:
        return {"augment_p": turns[0].memory["ada/p"]} if turns[0].player == "discriminator" else {}

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        if turns[0].player != "discriminator":
            return memory
        if SIGNAL not in means:
            method = type(turns[0].recipe.method).__name__
            raise RecipeError("augment", f"{method} says that it gives the signal {SIGNAL!r}, and does not", "SIGNAL")
        p = memory["ada/p"]
        signs = memory["ada/signs"] + means[SIGNAL]
        batches, samples = memory["ada/batches"] + 1, memory["ada/samples"] + turns[0].piece.rows.total
        due = batches >= self.every
        wanted = (p + (signs / batches - self.target).sign() * samples / self.speed).clamp(0, self.limit)
        left = {"ada/signs": signs, "ada/batches": batches, "ada/samples": samples}
        return {**memory, "ada/p": wanted.where(due, p), **{name: value.masked_fill(due, 0) for name, value in left.items()}}


@part
class Scheduled(Augmentation):
    """Every change of `transforms` with probability p, which goes from `start` to `end` on half a cosine wave.

    Over the first `over` samples, or the whole run; then it stays. Equal ends hold it fixed. R3GAN's program has it so, from 0
    to 0.3 on CIFAR-10 and FFHQ (Huang et al. 2024, arXiv:2501.05441).
    """

    end: float = 0.3
    start: float = 0.0
    over: int | None = None
    transforms: Transforms = Transforms()

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            require(0 <= value <= 1, name, f"{value:g} is no probability; use 0 to 1")
        require(self.over is None or self.over >= 1, "over", f"{self.over} is no number of samples; use 1 or more, or none")

    def check(self, recipe: Recipe) -> None:
        self.transforms.check(recipe, "augment.transforms")

    def p(self, seen: int, length: int) -> float:
        """The probability after so many samples."""
        gone = min(1.0, seen / (self.over or length))
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * gone))

    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor:
        return self.transforms(x, turn, purpose, torch.full((), self.p(turn.seen, turn.recipe.length), device=x.device))

    def derived(self, turns: list[Turn], means: Signals) -> Signals:
        turn = turns[0]
        if turn.player != "discriminator":
            return {}
        return {"augment_p": torch.full((), self.p(turn.seen, turn.recipe.length), device=turn.real.device)}
