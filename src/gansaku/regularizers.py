"""Terms that hold what D says steady: under changes that mean nothing, and over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.augment.diffaugment import part_of
from gansaku.augment.places import EMPTY, dims_of, laid_out, mirrored, shifted, whole
from gansaku.contract import Memory, Signals, Term, Turn
from gansaku.parts import part, require
from gansaku.terms import DISCRIMINATOR

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


@part
class Consistency(Term):
    """(D(x) - D(T(x)))², the mean over logits; T mirrors left to right by a coin, and moves by whole steps.

    On real samples it is CR (Zhang et al. 2020, arXiv:1910.12027, eq. 4, weight 10); on "both", the sum of the two kinds, bCR
    (Zhao et al. 2021, arXiv:2002.04724, algorithm 1, both weights 10). As there both D(x) and D(T(x)) learn. Steps are up to
    `shift` of each side, 4 of 32; a picture goes on as its mirror image at its edge, and voxels are empty there. With an
    augmentation in the recipe, x and T(x) pass it with the same random numbers.
    """

    on: Literal["real", "fake", "both"] = "real"
    shift: float = 0.125

    players: ClassVar[tuple[str, ...]] = DISCRIMINATOR

    def __post_init__(self) -> None:
        require(0 <= self.shift <= 1, "shift", f"{self.shift:g} is no share of a side; use 0 to 1")

    def __call__(self, turn: Turn) -> Tensor:
        kinds: tuple[Literal["real", "fake"], ...] = ("real", "fake") if self.on == "both" else (self.on,)
        return torch.stack([self.change(turn, which) for which in kinds]).sum(0)

    def change(self, turn: Turn, which: Literal["real", "fake"]) -> Tensor:
        """(N,): how much D's word on samples of a kind changes with T."""
        x, labels = (turn.real, turn.labels) if which == "real" else (turn.fake(), turn.piece.fake_labels)
        after = turn.judge(self.changed(x, turn.draw.uniform(f"consistency/{which}", 4)), labels, f"{which}0").logits
        assert after is not None
        return (turn.logits(which) - after).square().mean(1)

    def changed(self, x: Tensor, uniform: Tensor) -> Tensor:
        """T(x), by a coin and numbers in [0, 1) for its steps (N, 4)."""
        most = [part_of(side, self.shift) for side in x.shape[2:]]
        steps = torch.stack([whole(uniform[:, 1 + i], 2 * n + 1) - n for i, n in enumerate(most)], 1)
        fill = None if dims_of(x) == 2 else EMPTY[dims_of(x)]
        return laid_out(shifted(mirrored(x, uniform[:, 0] < 0.5), steps, fill), x)


@part
class LeCam(Term):
    """(D(x) - mean of D(G(z)))² + (D(G(z)) - mean of D(x))², each mean over D's moves so far, fading by `decay`.

    Tseng et al. 2021, arXiv:2104.03310, eq. 4 and 6, decay 0.99; the weight is 0.3 in the authors' BigGAN on CIFAR-10. Their
    programs count only what is on the right side, max(0, D(x) - mean) and max(0, mean - D(G(z))): `one_sided`. They first
    count the present batch in; here the means are those from before it, without the pull of their start at 0 (each
    is divided by what it holds, 1 - decayⁿ, as in their StyleGAN2). The first `begin` moves only count: 1000 in BigGAN.
    """

    decay: float = 0.99
    one_sided: bool = False
    begin: int = 1

    players: ClassVar[tuple[str, ...]] = DISCRIMINATOR

    def __post_init__(self) -> None:
        require(0 <= self.decay < 1, "decay", f"{self.decay:g} must lie in [0, 1)")
        require(self.begin >= 1, "begin", f"{self.begin}: there are no means before the first move; use 1 or more")

    def __call__(self, turn: Turn) -> Tensor:
        means = anchors(turn.memory)
        real, fake = turn.logits("real") - means["fake"].to(turn.real), means["real"].to(turn.real) - turn.logits("fake")
        if self.one_sided:
            real, fake = real.relu(), fake.relu()
        return (real.square() + fake.square()).mean(1) * float(turn.index >= self.begin)

    def memory(self, recipe: Recipe) -> Memory:
        """The sums, and what they hold."""
        return {f"le_cam/{name}": torch.zeros(()) for name in ("real", "fake", "holds")}

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        if turns[0].player != "discriminator":
            return memory
        now: dict[str, Tensor | float] = {"holds": 1.0, "real": mean_logit(turns, "real"), "fake": mean_logit(turns, "fake")}
        kept = {f"le_cam/{name}": self.decay * memory[f"le_cam/{name}"] for name in now}
        return memory | {f"le_cam/{name}": kept[f"le_cam/{name}"] + (1 - self.decay) * value for name, value in now.items()}

    def derived(self, turns: list[Turn], means: Signals) -> Signals:
        """The two means that this turn's term saw."""
        if turns[0].player != "discriminator":
            return {}
        return {f"le_cam_{which}": value for which, value in anchors(turns[0].memory).items()}


def anchors(memory: Memory) -> dict[str, Tensor]:
    """The means of D's outputs on real samples and on fakes; 0 before the first move."""
    return {which: memory[f"le_cam/{which}"] / memory["le_cam/holds"].clamp(min=1e-12) for which in ("real", "fake")}


@torch.no_grad()
def mean_logit(turns: list[Turn], which: Literal["real", "fake"]) -> Tensor:
    """The mean of D's outputs in a turn over the global batch, as its step saw them."""
    sums = torch.stack([turn.logits(which).detach().mean(1).sum() for turn in turns])
    return ranks.total(sums.sum()) / turns[0].piece.rows.total
