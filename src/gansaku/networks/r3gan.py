"""R3GAN's pair, in 2D and 3D: residual blocks of grouped convolutions, without norms, that begin as the identity.

Huang et al. 2024, arXiv:2501.05441, sec. 4, and its authors' program.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansaku.contract import Network, Phase, Verdict
from gansaku.errors import RecipeError
from gansaku.networks.blocks import CONV, fan_in
from gansaku.parts import part, require

BASE = 4  # the sides of the smallest map
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
EXPANSION = 2
BLOCKS = 2  # at each size

CONVOLVED: dict[int, Any] = {2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED: dict[int, Any] = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def check(shape: tuple[int, ...], widths: tuple[int, ...], group: int, classes: int) -> None:
    """Raises RecipeError unless the widths lead from maps of 4 to the samples, in groups of one size."""
    side = BASE * 2 ** (len(widths) - 1)
    wanted = f"{len(widths)} widths double maps of {BASE} to {side}, and the samples are {shape[1:]}; "
    if any(s != side for s in shape[1:]):
        raise RecipeError("widths", wanted + "give one for each size from 4 up to theirs", "SIZE")
    fits = group >= 1 and all(width >= 1 and EXPANSION * width % group == 0 for width in widths)
    require(fits, "group", f"{group} channels in a group do not divide twice the widths {widths}")
    require(classes >= 0, "classes", f"{classes} is no number of classes; use 0 or more")


@part
class R3GANGenerator(Network):
    """z (N, latent), beside an embedding of the class as long -> (N, *shape): a learned map times linear, blocks, doublings.

    `widths` are the channels of the maps from 4 up to full size. Two blocks at each: to twice as many channels, a 3 × 3
    convolution in groups of `group` channels, and back, added to what came in. A 1 × 1 convolution ends it, without
    tanh: what is made while training is not bounded, as in the source; outside training it is cut to [-1, 1].
    """

    shape: tuple[int, ...]
    latent: int = 64
    widths: tuple[int, ...] = (768, 768, 768, 768)
    group: int = 16
    classes: int = 0

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check(self.shape, self.widths, self.group, self.classes)

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Generator(self)


@part
class R3GANDiscriminator(Network):
    """(N, *shape) -> logits (N, 1), features: the generator's layers the other way round.

    It ends in a depthwise 4 × 4 convolution and linear; with classes, in the product with an embedding of the class.
    """

    shape: tuple[int, ...]
    widths: tuple[int, ...] = (768, 768, 768, 768)
    group: int = 16
    classes: int = 0

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check(self.shape, self.widths, self.group, self.classes)

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Discriminator(self)


class Generator(nn.Module):
    """The module of an R3GANGenerator."""

    def __init__(self, part: R3GANGenerator):
        super().__init__()
        dims, widths = len(part.shape) - 1, part.widths
        coded = part.latent if part.classes else 0
        self.embedding = started(nn.Linear(part.classes, coded, bias=False), 1.0) if part.classes else None
        self.map = nn.Parameter(torch.randn(1, widths[0], *[BASE] * dims))
        self.linear = started(nn.Linear(part.latent + coded, widths[0], bias=False), 1.0)
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            if i > 0:
                layers += [*through(dims, widths[i - 1], width), Doubling()]
            layers += [Block(dims, width, part.group, BLOCKS * len(widths)) for _ in range(BLOCKS)]
        self.layers = nn.Sequential(*layers)
        self.last = started(CONV[dims](widths[-1], part.shape[0], 1, bias=False), 1.0)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        if self.embedding is not None:
            assert labels is not None
            z = torch.cat([z, self.embedding(one_hot(labels, self.embedding.in_features, z))], 1)
        linear = self.linear(z)
        x: Tensor = self.last(self.layers(self.map * linear.view(*linear.shape, *[1] * (self.map.ndim - 2))))
        return x if self.training else x.clamp(-1, 1)


class Discriminator(nn.Module):
    """The module of an R3GANDiscriminator."""

    def __init__(self, part: R3GANDiscriminator):
        super().__init__()
        dims, widths = len(part.shape) - 1, part.widths[::-1]
        self.first = started(CONV[dims](part.shape[0], widths[0], 1, bias=False), 1.0)
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            layers += [Block(dims, width, part.group, BLOCKS * len(widths)) for _ in range(BLOCKS)]
            if i + 1 < len(widths):
                layers += [Halving(), *through(dims, width, widths[i + 1])]
        self.layers = nn.Sequential(*layers)
        self.map = started(CONV[dims](widths[-1], widths[-1], BASE, groups=widths[-1], bias=False), 1.0)
        said = widths[-1] if part.classes else 1
        self.linear = started(nn.Linear(widths[-1], said, bias=False), 1.0)
        self.embedding = started(nn.Linear(part.classes, said, bias=False), 1 / math.sqrt(said)) if part.classes else None

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features = self.map(self.layers(self.first(x))).flatten(1)
        said = self.linear(features)
        if self.embedding is not None:
            assert labels is not None
            said = (said * self.embedding(one_hot(labels, self.embedding.in_features, said))).sum(1, keepdim=True)
        return Verdict(logits=said, features=features)


class Block(nn.Module):
    """(N, C, *S) -> the same: x + what two activations see of it, nothing at first.

    The two convolutions before them begin at N(0, gain² / (fan-in √L)), L the number of blocks, and the last at 0: Fixup
    (Zhang et al. 2019, arXiv:1901.09321), with which no norm is needed.
    """

    def __init__(self, dims: int, width: int, group: int, blocks: int):
        super().__init__()
        wide, gain = EXPANSION * width, GAIN * blocks**-0.25
        self.spread = started(CONV[dims](width, wide, 1, bias=False), gain)
        self.first = Activation(wide)
        self.grouped = started(CONV[dims](wide, wide, 3, padding=1, groups=wide // group, bias=False), gain)
        self.second = Activation(wide)
        self.gather = started(CONV[dims](wide, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.gather(self.second(self.grouped(self.first(self.spread(x)))))
        return x + change


class Activation(nn.Module):
    """Leaky ReLU of x and a bias for each channel."""

    def __init__(self, width: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.bias.to(x).view(-1, *[1] * (x.ndim - 2)), SLOPE)


class Doubling(nn.Module):
    """(N, C, *S) -> (N, C, *2S): each value spread by 1, 3, 3, 1 in every direction, which is interpolation by 3/4 and 1/4."""

    def forward(self, x: Tensor) -> Tensor:
        dims = x.ndim - 2
        kernel = lowpass(dims, x) * 2**dims
        apart = x.flatten(0, 1)[:, None]  # every channel by itself
        doubled: Tensor = TRANSPOSED[dims](apart, kernel, stride=2, padding=1)
        return doubled.view(*x.shape[:2], *doubled.shape[2:])


class Halving(nn.Module):
    """(N, C, *2S) -> (N, C, *S): means weighted by 1, 3, 3, 1 in every direction."""

    def forward(self, x: Tensor) -> Tensor:
        dims = x.ndim - 2
        halved: Tensor = CONVOLVED[dims](x.flatten(0, 1)[:, None], lowpass(dims, x), stride=2, padding=1)
        return halved.view(*x.shape[:2], *halved.shape[2:])


def lowpass(dims: int, like: Tensor) -> Tensor:
    """(1, 1, 4, …, 4) of sum 1: [1, 2, 1] over pairs, in every direction."""
    line = like.new_tensor([1, 3, 3, 1]) / 8
    kernel = torch.ones((), dtype=like.dtype, device=like.device)
    for _ in range(dims):
        kernel = kernel[..., None] * line
    return kernel[None, None]


def through(dims: int, inside: int, outside: int) -> list[nn.Module]:
    """To another number of channels, where it is another."""
    return [] if inside == outside else [started(CONV[dims](inside, outside, 1, bias=False), 1.0)]


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """(N,) -> (N, classes) of 0 and 1."""
    return functional.one_hot(labels, classes).to(like)


def started(layer: Any, gain: float) -> Any:
    """The layer with weights from N(0, gain² / fan-in) (He et al. 2015, eq. 10)."""
    inputs = layer.in_features if isinstance(layer, nn.Linear) else fan_in(layer) / layer.groups
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(inputs))
    return layer
