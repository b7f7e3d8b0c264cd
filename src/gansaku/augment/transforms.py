"""The changes that ADA makes to samples, each with a probability of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gansaku.augment.color import coloring, painted
from gansaku.augment.geometry import movement
from gansaku.augment.places import EMPTY, boxed, dims_of, laid_out, transformed, transformed_upright
from gansaku.contract import Turn
from gansaku.parts import part, require
from gansaku.terms import spread

if TYPE_CHECKING:
    from gansaku.recipe import Recipe

CUT = 0.5  # of each side


@part
class Transforms:
    """ADA's changes: each is made with probability p times the number of its group here (Karras et al. 2020, appendix B).

        blit      what copies values: mirrored, turned by right angles, moved by whole steps
        geometry  what comes between them: scaled, turned, stretched, moved; once, together with blit
        color     brightness, contrast, luma, hue and saturation. By default 1 for pictures of three channels or one, and 0 for
                  others: an occupancy has no color
        cutout    a box with half of each side; 0, since the source's default, `bgc`, is without

    Distributions and order in pictures are the source's; `geometry.movement` and `color.coloring` have them. Departs: values
    between places are interpolated linearly, where the source doubles the picture by a wavelet first; and a picture goes
    on as its own mirror image beyond its edges for ever, there for one length.

    Voxels stay `upright`: mirrored left to right, turned about the vertical axis. Beyond their edges they are empty, since a
    mirror would show a second shape. `fill` is another value for what is beyond edges and in the box, which in pictures
    are by default the mirror image, and 0.
    """

    blit: float = 1.0
    geometry: float = 1.0
    color: float | None = None
    cutout: float = 0.0
    upright: bool = True
    fill: float | None = None

    def __post_init__(self) -> None:
        for name in ("blit", "geometry", "color", "cutout"):
            value = getattr(self, name)
            require(value is None or 0 <= value <= 1, name, f"{value} is no share of p; use 0 to 1")
        require(
            self.blit + self.geometry + (1.0 if self.color is None else self.color) + self.cutout > 0, "blit", "is 0 as all are"
        )

    def check(self, recipe: Recipe, where: str) -> None:
        """Raises RecipeError where a change means nothing for the recipe's samples."""
        pale = f"{recipe.shape} are no pictures with one channel or three, and other samples have no color; set it to 0"
        require(not self.color or colored(len(recipe.shape) - 1, recipe.shape[0]), f"{where}.color", pale)

    def __call__(self, x: Tensor, turn: Turn, purpose: str, p: Tensor) -> Tensor:
        """x with every change made with probability p; at 0, x to the bit."""
        dims, p = dims_of(x), p.to(x)
        edge = self.fill if self.fill is not None or dims == 2 else EMPTY[dims]
        moves = movement(turn.draw, purpose, x.shape[2:], self.blit * p, self.geometry * p, self.upright)
        resampled = transformed_upright if dims == 3 and self.upright else transformed
        result = resampled(x, moves.inverse, edge).where(spread(moves.moved, x), x)
        color = float(colored(dims, x.shape[1])) if self.color is None else self.color
        if color:
            paint = coloring(turn.draw, purpose, color * p, x.shape[1])
            result = painted(result, paint.matrix).where(spread(paint.changed, x), result)
        if self.cutout:
            result = self.cut(result, turn, purpose, self.cutout * p)
        return laid_out(result, x)

    def cut(self, x: Tensor, turn: Turn, purpose: str, p: Tensor) -> Tensor:
        """A box whose middle is anywhere on the sample."""
        dims = dims_of(x)
        uniform = turn.draw.uniform(f"cutout/{purpose}", 1 + dims)
        sides = uniform.new_tensor(list(x.shape[2:]))
        first, last = ((uniform[:, 1:] + half) * sides - 0.5 for half in (-CUT / 2, CUT / 2))
        last = last.where(uniform[:, :1] < p, -torch.ones_like(last))
        return boxed(x, first, last, EMPTY[dims] if self.fill is None else self.fill)


def colored(dims: int, channels: int) -> bool:
    """Whether such samples have a color."""
    return dims == 2 and channels in (1, 3)
