"""DiffAugment: three random changes that all samples pass, real and generated, with the gradient through them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from gansaku.augment.places import EMPTY, boxed, dims_of, laid_out, shifted, whole
from gansaku.contract import Augmentation, Turn
from gansaku.parts import part, require
from gansaku.terms import spread

if TYPE_CHECKING:
    from gansaku.recipe import Recipe

Kind = Literal["color", "translation", "cutout"]


@part
class DiffAugment(Augmentation):
    """Color, translation and cutout, one after the other, as `policy` names them (Zhao et al. 2020, arXiv:2006.10738).

        color        + U(-½, ½); the distance to the mean over channels × U(0, 2); that to the sample's mean × U(½, 1½)
        translation  by whole steps, all equally likely up to `shift` of each side
        cutout       a box with `cut` of each side, anywhere, over the edge too: a quarter of a picture, an eighth of voxels

    Ranges, order and defaults are those of the authors' program. With policy=none a picture passes all three and voxels
    the last two: an occupancy has no color, and half-bright voxels would tell D what is augmented and not what is real.

    `fill` comes in at the edge and stands in the box: by default 0 for pictures, as there, and -1 for voxels, where 0
    would be half a voxel.
    """

    policy: tuple[Kind, ...] | None = None
    shift: float = 0.125
    cut: float = 0.5
    fill: float | None = None

    def __post_init__(self) -> None:
        require(self.policy != (), "policy", "is empty, which changes nothing; set augment=none")
        twice = f"{list(self.policy or ())} names a change twice; name each once"
        require(self.policy is None or len(set(self.policy)) == len(self.policy), "policy", twice)
        require(0 <= self.shift <= 1, "shift", f"{self.shift:g} is no share of a side; use 0 to 1")
        require(0 <= self.cut <= 1, "cut", f"{self.cut:g} is no share of a side; use 0 to 1")

    def check(self, recipe: Recipe) -> None:
        colored = len(recipe.shape) == 4 and "color" in self.kinds(3)
        flat = "voxels have no color: half-bright ones would only tell D what is augmented; leave it out"
        require(not colored, "augment.policy", flat)

    def kinds(self, dims: int) -> tuple[Kind, ...]:
        """What samples of so many dimensions pass."""
        everything: tuple[Kind, ...] = ("color", "translation", "cutout") if dims == 2 else ("translation", "cutout")
        return everything if self.policy is None else self.policy

    def __call__(self, x: Tensor, turn: Turn, purpose: str) -> Tensor:
        dims, result = dims_of(x), x
        fill = EMPTY[dims] if self.fill is None else self.fill
        for kind in self.kinds(dims):
            uniform = turn.draw.uniform(f"diffaugment/{kind}/{purpose}", 3)
            if kind == "color":
                result = colored(result, uniform)
            elif kind == "translation":
                result = shifted(result, self.steps(uniform, x.shape[2:]), fill)
            else:
                result = boxed(result, *self.box(uniform, x.shape[2:]), fill)
        return laid_out(result, x)

    def steps(self, uniform: Tensor, space: torch.Size) -> Tensor:
        """(N, dims): whole numbers between plus and minus the largest step of each side."""
        most = [part_of(side, self.shift) for side in space]
        return torch.stack([whole(uniform[:, i], 2 * n + 1) - n for i, n in enumerate(most)], 1)

    def box(self, uniform: Tensor, space: torch.Size) -> tuple[Tensor, Tensor]:
        """(N, dims) each: the first and the last place that is cut. Its middle is anywhere on the sample."""
        cuts = [part_of(side, self.cut) for side in space]
        middles = zip(uniform.unbind(1), space, cuts, strict=False)
        first = torch.stack([whole(u, side + 1 - n % 2) - n // 2 for u, side, n in middles], 1)
        return first, first + first.new_tensor(cuts) - 1


def part_of(side: int, share: float) -> int:
    """So many whole steps are within this share of a side."""
    return math.floor(side * share + 1e-9)


def colored(x: Tensor, uniform: Tensor) -> Tensor:
    """Brightness, saturation and contrast from three numbers in [0, 1) a sample."""
    brightness, saturation, contrast = (spread(u, x) for u in uniform.unbind(1))
    x = x + (brightness - 0.5)
    x = x.mean(1, keepdim=True).lerp(x, 2 * saturation)
    every = tuple(range(1, x.ndim))
    return x.mean(every, keepdim=True).lerp(x, contrast + 0.5)
