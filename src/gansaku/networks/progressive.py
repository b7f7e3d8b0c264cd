"""The pair that grows: ProGAN's networks, from a smallest map to full size, in 2D and 3D.

Karras et al. 2018, arXiv:1710.10196, table 2 and sec. 4; channels as in the authors' program, min(8192 / 2ⁿ, 512) at
2ⁿ⁺¹ px. Level 0 has the smallest sides; each next level doubles them.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import leaky_relu, one_hot

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.dogs import pixel_norm
from gansaku.networks.minibatch import MinibatchDeviation
from gansaku.networks.resampling import doubled, halved
from gansaku.parts import part, require

SLOPE = 0.2
GAIN = math.sqrt(2)
WIDEST, OVER = 512, 8192  # channels at most, and channels times sides, halved
CONVOLVED: dict[int, Any] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}

Padding = Literal["zeros", "reflect"]


def channels_at(side: int, most: int) -> int:
    """The channels of maps whose smallest side is this: min(8192 / (side / 2), most); 512, 512, 512, 512, 256 … from 4 px."""
    return max(1, min(2 * OVER // side, most))


def levels(shape: tuple[int, ...], start: int) -> int:
    """How often `start` is doubled until the smallest side is reached. Raises RecipeError where it never is."""
    smallest, count = min(shape[1:]), 0
    while start << count < smallest:
        count += 1
    fits = start << count == smallest and all(side * start % smallest == 0 for side in shape[1:])
    require(fits, "start", f"doubling {start} does not reach {shape[1:]}; start at a side that does")
    return count


class Equalized(nn.Module):
    """A convolution or a linear layer whose weight, from N(0, 1), is scaled by gain / √fan-in whenever it is used.

    Adam moves every weight by about its rate: so all layers learn equally fast (sec. 4.1). Biases start at 0.
    """

    def __init__(
        self, inside: int, outside: int, kernel: tuple[int, ...] = (), gain: float = GAIN, padding: Padding = "zeros",
        bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside, *kernel))
        self.bias = nn.Parameter(torch.zeros(outside)) if bias else None
        self.scale = gain / math.sqrt(inside * math.prod(kernel))
        self.around = [side // 2 for side in kernel if side % 2]  # even kernels are as large as the map
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if x.ndim == 2:
            return functional.linear(x, weight, self.bias)
        convolved = CONVOLVED[x.ndim - 2]
        if self.padding == "reflect" and any(self.around):
            x = functional.pad(x, [side for side in reversed(self.around) for _ in (0, 1)], mode="reflect")
            return convolved(x, weight, self.bias)  # type: ignore[no-any-return]
        return convolved(x, weight, self.bias, padding=self.around or 0)  # type: ignore[no-any-return]


def check(shape: tuple[int, ...], start: int, widest: int, classes: int) -> None:
    """Raises RecipeError unless such a pair can be built."""
    require(len(shape) in (3, 4), "shape", f"{shape} is no (C, H, W) and no (C, D, H, W)")
    require(start >= 2, "start", f"{start} is no side of a smallest map; use 4, or 2 or more")
    require(widest >= 1, "widest", f"{widest} is no number of channels")
    require(classes >= 0, "classes", f"{classes} is no number of classes; use 0 or more")
    levels(shape, start)


@part
class ProgressiveGenerator(Network):
    """z (N, latent) -> (N, C, *S) at the phase's size: z at length √latent, linear, two convolutions a level, 1 × 1.

    Each level but the first doubles by nearest neighbours; leaky ReLU 0.2, then each place's features are divided by their
    root mean square. While a level fades in, its samples are mixed with the doubled ones of the level before. Nothing
    bounds the samples while it trains, as in the source; outside training they are cut to [-1, 1]. With `classes` a
    one-hot label stands beside z. `start` is the smallest level's smallest side, `widest` the most channels.
    """

    shape: tuple[int, ...]
    latent: int = 512
    start: int = 4
    widest: int = WIDEST
    classes: int = 0
    padding: Padding = "zeros"

    players: ClassVar[tuple[str, ...]] = ("generator",)
    grows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self.shape, self.start, self.widest, self.classes)
        require(self.latent >= 1, "latent", f"{self.latent} is no number of latent values")

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Generator(self)


class Growing(nn.Module):
    """Which level a phase is at."""

    def __init__(self, shape: tuple[int, ...], start: int):
        super().__init__()
        self.top, self.full = levels(shape, start), shape[1:]
        self.sides = [tuple(side >> self.top - n for side in self.full) for n in range(self.top + 1)]

    def level(self, phase: Phase | None) -> tuple[int, float]:
        """Its number and how much of it is there; all of the last one where no phase is told."""
        return (self.top, 1.0) if phase is None else (self.sides.index(phase.size), phase.fade)


class Generator(Growing):
    """The module of a ProgressiveGenerator."""

    def __init__(self, part: ProgressiveGenerator):
        super().__init__(part.shape, part.start)
        dims, self.classes = len(part.shape) - 1, part.classes
        widths = [channels_at(min(sides), part.widest) for sides in self.sides]
        first = self.sides[0]
        self.base = (widths[0], *first)
        self.stem = Equalized(part.latent + part.classes, math.prod(self.base), gain=GAIN / 4, bias=False)
        self.bias = nn.Parameter(torch.zeros(widths[0]))  # of the stem: one for each map
        three = (3,) * dims
        self.first = Equalized(widths[0], widths[0], three, padding=part.padding)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Equalized(a, b, three, padding=part.padding), Equalized(b, b, three, padding=part.padding)])
            for a, b in pairwise(widths)
        )
        self.out = nn.ModuleList(Equalized(width, part.shape[0], (1,) * dims, gain=1.0) for width in widths)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        level, fade = self.level(phase)
        if self.classes:
            assert labels is not None
            z = torch.cat([z, one_hot(labels, self.classes).to(z)], 1)
        x = self.stem(pixel_norm(z)).unflatten(1, self.base)
        x = activated(x + self.bias.view(-1, *[1] * (x.ndim - 2)))
        x = before = activated(self.first(x))
        for block in list(self.blocks)[:level]:
            before, x = x, doubled(x)
            for layer in block:  # type: ignore[attr-defined]
                x = activated(layer(x))
        made: Tensor = self.out[level](x)
        if level and fade < 1:
            made = torch.lerp(doubled(self.out[level - 1](before)), made, fade)
        return made if self.training else made.clamp(-1, 1)


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU, then each place's features at a root mean square of 1."""
    return pixel_norm(leaky_relu(x, SLOPE))


@part
class ProgressiveDiscriminator(Network):
    """(N, C, *S) at the phase's size -> one logit, and K class outputs with `classes`: the generator's mirror.

    1 × 1, two convolutions a level, the second of which leads to the next one's channels, means of two; at the smallest size
    the deviation over groups of samples as one more map, a convolution, linear layers. Leaky ReLU 0.2 everywhere. While a
    level fades in, what comes out of it is mixed with what the level below sees of the halved samples.
    """

    shape: tuple[int, ...]
    start: int = 4
    widest: int = WIDEST
    classes: int = 0
    group: int = 4  # samples whose deviation is taken together; 0: the whole batch
    padding: Padding = "zeros"

    players: ClassVar[tuple[str, ...]] = ("discriminator",)
    grows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self.shape, self.start, self.widest, self.classes)
        require(self.group >= 0, "group", f"{self.group} is no number of samples; use 4, or 0 for the whole batch")

    @property
    def ties_samples(self) -> bool:
        """Its map of deviations ties them a little; the penalty takes the slope of their sum all the same, as published."""
        return False

    @property
    def looks_across(self) -> bool:
        return True

    @property
    def reads_labels(self) -> bool:
        return False

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(Growing):
    """The module of a ProgressiveDiscriminator."""

    def __init__(self, part: ProgressiveDiscriminator):
        super().__init__(part.shape, part.start)
        dims, self.classes = len(part.shape) - 1, part.classes
        widths = [channels_at(min(sides), part.widest) for sides in self.sides]
        one, three, w = (1,) * dims, (3,) * dims, widths[0]
        self.into = nn.ModuleList(Equalized(part.shape[0], width, one) for width in widths)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Equalized(b, b, three, padding=part.padding), Equalized(b, a, three, padding=part.padding)])
            for a, b in pairwise(widths)
        )
        self.deviation = MinibatchDeviation(part.group)
        self.last = Equalized(w + 1, w, three, padding=part.padding)
        self.linear = Equalized(w * math.prod(self.sides[0]), w)
        self.out = Equalized(w, 1 + part.classes, gain=1.0)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        level, fade = self.level(phase)
        h = leaky_relu(self.into[level](x), SLOPE)
        for n in range(level, 0, -1):
            for layer in self.blocks[n - 1]:  # type: ignore[attr-defined]
                h = leaky_relu(layer(h), SLOPE)
            h = halved(h)
            if n == level and fade < 1:
                h = torch.lerp(leaky_relu(self.into[level - 1](halved(x)), SLOPE), h, fade)
        h = leaky_relu(self.last(self.deviation(h)), SLOPE)
        features = leaky_relu(self.linear(h.flatten(1)), SLOPE)
        said: Tensor = self.out(features)
        return Verdict(said[:, :1], said[:, 1:] if self.classes else None, features)
