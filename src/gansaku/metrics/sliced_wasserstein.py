"""Sliced Wasserstein distance between the patches of two sets of pictures, at each level of a Laplacian pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from gansaku import keys
from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.metrics.resampling import left, squared_error
from gansaku.parts import part, require

Floats = NDArray[np.float32]

PATCH = 7  # pixels on a side
SMALLEST = 16  # a level is halved while both of its sides stay this long
LAYOUTS = 1021  # sets of patch positions to choose from
BLOCK = 256  # pictures at once
GROUPS, FEW = 10, 16  # parts of the generated set that are left out in turn for the standard error, and directions for it
AT_ONCE = 2**23  # projections that are sorted at once


@part
class SlicedWasserstein(Metric):
    """1000 · the mean over pyramid levels and directions of |sorted projections of real - of generated patches|.

    Each picture gives `descriptors` patches of 7 × 7 per level. A level's patches are normalized per channel to mean 0 and
    variance 1 over the set, each side by its own, so neither brightness nor contrast is compared. `directions` random unit
    vectors are drawn `repeats` times. Where one side has more pictures, its first ones are taken. A picture's patches are
    chosen by its content, not by its place: the order changes nothing, and a set has distance 0 to itself; Karras et al.
    place them anew at each look. Memory: n · descriptors · 49 C values of 4 bytes for each side, 0.75 GB for 10,000 RGB.
    The standard error is a jackknife over 10 groups of generated pictures in 16 directions: a little too large.

    Karras et al. 2018, arXiv:1710.10196, sec. 5.
    """

    descriptors: int = 128
    directions: int = 128
    repeats: int = 4
    seed: int = 0

    gives: ClassVar[dict[str, Output]] = {"swd": Output("SWD", "lower")}
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    resamples: ClassVar[bool] = False
    biased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("descriptors", "directions", "repeats"):
            require(getattr(self, name) >= 1, name, f"{getattr(self, name)} is too few; use 1 or more")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        levels = self.levels(real.known("samples"), generated.known("samples"))
        return {"swd": sum(levels.values()) / len(levels)}

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        rough = replace(self, directions=min(self.directions, FEW), repeats=1)
        parts = left(generated.n, min(GROUPS, generated.n), keys.generator("sliced wasserstein", self.seed, "groups"))
        variances = squared_error([rough.values(real, generated.rows(kept)) for kept in parts])
        return {name: variance**0.5 for name, variance in variances.items()}

    def levels(self, real: Tensor, generated: Tensor) -> dict[tuple[int, int], float]:
        """The distance at each level by its height and width, the full size first. (n, C, H, W) uint8 each."""
        height, width = real.shape[2:]
        if min(height, width) < PATCH:
            raise UsageError("SWD", f"pictures of {height} × {width} hold no patch of {PATCH} × {PATCH}", "SIZE")
        n = min(len(real), len(generated))
        return {size: self._distance(real[:n], generated[:n], i) for i, size in enumerate(sizes(height, width))}

    def _distance(self, real: Tensor, generated: Tensor, level: int) -> float:
        a, b = (normalized(self._patches(side, level)) for side in (real, generated))
        random = keys.generator("sliced wasserstein", self.seed, "directions", level)
        directions = torch.randn(self.repeats * self.directions, a.shape[1], generator=random)
        directions /= torch.linalg.vector_norm(directions, dim=1, keepdim=True)
        means = [
            np.abs(sorted_projections(a, some) - sorted_projections(b, some)).mean(1, dtype=np.float64)
            for some in torch.split(directions, max(1, AT_ONCE // len(a)))
        ]
        return 1e3 * float(np.concatenate(means).mean())

    def _patches(self, pictures: Tensor, level: int) -> Tensor:
        """(n · descriptors, C · 49): the patches of one level."""
        random = keys.generator("sliced wasserstein", self.seed, "places", level)
        places = torch.rand(2, LAYOUTS, self.descriptors, generator=random)
        return torch.cat([patches(pyramid(block)[level], layout(block), places) for block in torch.split(pictures, BLOCK)])


def sizes(height: int, width: int) -> list[tuple[int, int]]:
    """The sides of each pyramid level, the full size first; one level where halving would leave less than 16."""
    found = [(height, width)]
    while min(halved := (-(-found[-1][0] // 2), -(-found[-1][1] // 2))) >= SMALLEST:
        found.append(halved)
    return found


def pyramid(pictures: Tensor) -> list[Tensor]:
    """(n, C, H, W) -> the Laplacian pyramid (Burt & Adelson 1983): each level less the next one enlarged; the last is whole."""
    level, levels = pictures.float(), []
    for _ in sizes(*pictures.shape[2:])[1:]:
        smaller = blurred(level)[..., ::2, ::2]
        spread = torch.zeros_like(level)
        spread[..., ::2, ::2] = smaller
        levels.append(level - 4 * blurred(spread))
        level = smaller
    return [*levels, level]


def blurred(x: Tensor) -> Tensor:
    """Filtered with (1 4 6 4 1) / 16 along both axes, mirrored at the borders."""
    for axis, margin in ((2, (0, 0, 2, 2)), (3, (2, 2, 0, 0))):
        padded = pad(x, margin, "reflect")
        total = torch.zeros_like(x)
        for i, share in enumerate((1, 4, 6, 4, 1)):
            total.add_(padded.narrow(axis, i, x.shape[axis]), alpha=share / 16)
        x = total
    return x


def layout(pictures: Tensor) -> Tensor:
    """(n,): which of the layouts a picture's patches follow, by the sum of its values."""
    return pictures.flatten(1).sum(1, dtype=torch.int64) % LAYOUTS


def patches(level: Tensor, layouts: Tensor, places: Tensor) -> Tensor:
    """(n, C, H, W) -> (n · descriptors, C · 49): patches at the places (2, LAYOUTS, descriptors) in [0, 1) of each layout."""
    windows = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    y, x = ((places[axis] * windows.shape[2 + axis]).long()[layouts] for axis in (0, 1))
    found = windows[torch.arange(len(level)).unsqueeze(1), :, y, x]  # (n, descriptors, C, 7, 7)
    return found.flatten(2).flatten(0, 1)


def normalized(found: Tensor) -> Tensor:
    """(N, C · 49) in place: mean 0 and variance 1 of each channel. A channel that never varies becomes 0."""
    for channel in channels(found):
        deviation, mean = torch.std_mean(channel, correction=0)
        channel.sub_(mean).div_(deviation if deviation > 0 else torch.ones(()))
    return found


def channels(found: Tensor) -> Iterator[Tensor]:
    yield from found.view(len(found), -1, PATCH * PATCH).unbind(1)


def sorted_projections(found: Tensor, directions: Tensor) -> Floats:
    """(N, F) on (d, F) -> (d, N), ascending."""
    made: Floats = (directions @ found.T).numpy()
    made.sort(axis=1)  # four times as fast as torch's
    return made
