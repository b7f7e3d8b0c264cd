"""DCGAN in two and three dimensions (Radford et al. 2016, arXiv:1511.06434; Wu et al. 2016, arXiv:1610.07584).

One pair for every size base·2ᵏ: 32, 48, 64, 96, 128 … pixels, 16³ … 64³ voxels, sides that differ included.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, AnyNorm, Grow, Init, Stem, bound_spectra, doublings, finish, grow, halve, initialize
from gansaku.networks.chainer_gan_lib import code
from gansaku.networks.counted import dropped, keys, noisy
from gansaku.networks.piecewise import passed, slope, transposed, uncached
from gansaku.networks.resampling import Halving
from gansaku.parts import part, require

SLOPE = 0.2  # of the discriminator's leaky ReLU
DROPPED = 3  # how many of the generator's first layers dropout is for (Isola et al. 2017, arXiv:1611.07004, appendix)

Output = Literal["tanh", "clamp"]
Halve = Literal["stride", "average", "max"]
MAX_POOL: dict[int, Any] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def check_shape(shape: tuple[int, ...], width: int) -> None:
    require(len(shape) in (3, 4), "shape", f"{shape} is no (C, H, W) and no (C, D, H, W)")
    require(width >= 1, "width", f"{width} is no number of channels")
    doublings(shape[1:])


def check_choices(leak: float, classes: int, embedding: int, which: str) -> None:
    require(0 <= leak < 1, "leak", f"{leak:g} is no slope of a leaky ReLU; use 0 to below 1")
    require(classes >= 0, which, f"{classes} is no number of classes; use 0 or more")
    require(embedding >= 0, "embedding", f"{embedding} is no number of values; use 0 or more")
    require(classes > 0 or embedding == 0, "embedding", f"{embedding} values of no classes; set {which} too")


@part
class DCGANGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: a transposed convolution from one point, then doublings, then tanh.

    `width` is the channels at half size; each doubling before has twice as many, at most `most`. Article 4's choices:
    `grow`, transposed convolution or nearest upsampling + convolution; `norm_first`, before or after the activation.
    Those of soumith/ganhacks: `grow` shuffle, a convolution and a pixel shuffle; `leak`, the slope of a leaky ReLU, 0 a
    ReLU; `output` clamp, linear and cut off at ±1; with `classes` the label stands beside z as its ±1 code, or as
    `embedding` learned values. Behind their activation, while training and while sampling, all layers but the last have
    `noise` of that deviation, and the first three `dropout` of that share; z decides both, so that a sample stays the same.
    """

    shape: tuple[int, ...]
    latent: int = 128
    width: int = 64
    most: int = 512
    grow: Grow = "transpose"
    norm: AnyNorm = "batch"
    norm_first: bool = True
    init: Init = "normal"
    leak: float = 0.0
    output: Output = "tanh"
    dropout: float = 0.0
    noise: float = 0.0
    classes: int = 0
    embedding: int = 0

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        check_choices(self.leak, self.classes, self.embedding, "classes")
        require(0 <= self.dropout < 1, "dropout", f"{self.dropout:g} must lie in [0, 1)")
        require(self.noise >= 0, "noise", f"{self.noise:g} must not be negative")

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Generator(self)


@part
class DCGANDiscriminator(Network):
    """(N, *shape) -> logits (N, logits): the generator's mirror, strided convolutions and leaky ReLU 0.2.

    The first layer is not normalized. Without normalization the convolutions have biases, and the last layer starts
    at half its size, so that the first logits are small. `halve` average or max: a 3 × 3 convolution and a pooling in the
    place of the strided one; `leak` 0: ReLU. With `label_planes` classes the label's ±1 code is joined to x as that many
    channels, or as `embedding` learned ones. With `classes` the label's learned vector times the last map's mean is added to
    the logits (projection, Miyato & Koyama 2018, arXiv:1802.05637, eq. 4), and begins as small as they do.
    """

    shape: tuple[int, ...]
    width: int = 64
    most: int = 512
    logits: int = 1
    norm: AnyNorm = "batch"
    norm_first: bool = True
    init: Init = "normal"
    leak: float = SLOPE
    halve: Halve = "stride"
    label_planes: int = 0
    embedding: int = 0
    classes: int = 0

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        check_choices(self.leak, self.label_planes, self.embedding, "label_planes")
        require(self.logits >= 1, "logits", f"{self.logits} is no number of logits")
        require(self.classes >= 0, "classes", f"{self.classes} is no number of classes; use 0 or more")

    @property
    def ties_samples(self) -> bool:
        return self.norm == "batch"

    @property
    def reads_labels(self) -> bool:
        return self.label_planes + self.classes > 0

    @property
    def piecewise_linear(self) -> bool:
        return self.norm == "none" and self.halve == "stride" and self.label_planes == 0

    def build(self) -> nn.Module:
        return Discriminator(self)


def widths(width: int, most: int, levels: int) -> list[int]:
    """Channels from half size down to the base: doubled at each level, at most `most`."""
    return [min(width * 2**i, most) for i in range(levels)]


def activation(leak: float) -> nn.Module:
    """A leaky ReLU of that slope; a ReLU for 0."""
    return nn.LeakyReLU(leak) if leak else nn.ReLU()


def halving(dims: int, inside: int, outside: int, bias: bool, how: Halve) -> nn.Module:
    """(N, inside, *2S) -> (N, outside, *S): a strided convolution, or a 3 × 3 one and a pooling."""
    if how == "stride":
        return halve(dims, inside, outside, bias)
    if how == "average":
        return Halving(dims, inside, outside, bias)
    return nn.Sequential(CONV[dims](inside, outside, 3, padding=1, bias=bias), MAX_POOL[dims](2))


class Label(nn.Module):
    """(N,) -> (N, size): the class as 1 among -1, or as learned values, which begin as N(0, 1)."""

    def __init__(self, classes: int, embedding: int):
        super().__init__()
        self.classes, self.size = classes, embedding or classes
        self.embedding = nn.Embedding(classes, embedding) if embedding else None

    def forward(self, labels: Tensor, like: Tensor) -> Tensor:
        if self.embedding is None:
            return code(labels, self.classes, like)
        found: Tensor = self.embedding(labels)
        return found.to(like)


class Generator(nn.Module):
    """The module of a DCGANGenerator."""

    def __init__(self, part: DCGANGenerator):
        super().__init__()
        base, levels = doublings(part.shape[1:])
        dims = len(base)
        channels = widths(part.width, part.most, levels)[::-1]
        self.dropout, self.noise = part.dropout, part.noise
        self.label = Label(part.classes, part.embedding) if part.classes else None
        stem = Stem(part.latent + (self.label.size if self.label is not None else 0), channels[0], base)
        layers: list[nn.Module] = [finish(stem, channels[0], part.norm, activation(part.leak), part.norm_first)]
        for inside, outside in itertools.pairwise(channels):
            doubling = grow(dims, inside, outside, part.grow)
            layers.append(finish(doubling, outside, part.norm, activation(part.leak), part.norm_first))
        last = nn.Tanh() if part.output == "tanh" else nn.Hardtanh()
        self.hidden = len(layers)
        self.layers = nn.Sequential(*layers, grow(dims, channels[-1], part.shape[0], part.grow), last)
        initialize(self, part.init, part.leak)
        if part.norm == "spectral":
            bound_spectra(self)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        x = z
        if self.label is not None:
            assert labels is not None
            x = torch.cat([z, self.label(labels, z)], 1)
        own = keys(z) if self.dropout or self.noise else None
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if own is not None and self.noise and i < self.hidden:
                x = noisy(x, own, 2 * i, self.noise)
            if own is not None and self.dropout and i < min(DROPPED, self.hidden):
                x = dropped(x, own, 2 * i + 1, self.dropout)
        return x


class Discriminator(nn.Module):
    """The module of a DCGANDiscriminator."""

    def __init__(self, part: DCGANDiscriminator):
        super().__init__()
        base, levels = doublings(part.shape[1:])
        dims, normed = len(base), part.norm in ("batch", "instance")
        channels = widths(part.width, part.most, levels)
        self.label = Label(part.label_planes, part.embedding) if part.label_planes else None
        first = part.shape[0] + (self.label.size if self.label is not None else 0)
        layers: list[nn.Module] = []
        for i, (inside, outside) in enumerate(zip([first, *channels], channels, strict=False)):
            norm: AnyNorm = "none" if i == 0 and normed else part.norm
            smaller = halving(dims, inside, outside, not normed, part.halve)
            layers.append(finish(smaller, outside, norm, activation(part.leak), part.norm_first))
        last = CONV[dims](channels[-1], part.logits, base, bias=not normed)
        self.layers, self.last = nn.Sequential(*layers), last
        self.projection = nn.Embedding(part.classes, channels[-1]) if part.classes else None
        initialize(self, part.init, part.leak)
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, 0.0, 0.5 / math.sqrt(channels[-1]))
        if part.norm == "none":
            last.weight.data.mul_(0.5)
        if part.norm == "spectral":
            bound_spectra(self)
            if self.projection is not None and not self.projection.weight.is_meta:
                spectral_norm(self.projection)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        if self.label is not None:
            assert labels is not None
            planes = self.label(labels, x).view(len(x), -1, *[1] * (x.ndim - 2))
            x = torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], 1)
        features: Tensor = self.layers(x)
        logits = self.last(features).flatten(1)
        if self.projection is not None:
            logits = logits + (self.projection(labels) * features.flatten(2).mean(2)).sum(1, keepdim=True)
        return Verdict(logits=logits, features=features.flatten(1))

    def slope(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        """The gradient of the summed logits by x, for a network without norms."""
        if self.projection is None:
            return slope(nn.Sequential(self.layers, self.last), x)
        with torch.no_grad(), uncached(x):
            features, back = passed(self.layers, x)
            logits = self.last(features)
        own: Tensor = self.projection(labels) * logits.shape[1] / features[0, 0].numel()  # each logit has it in it
        gradient = transposed(self.last, torch.ones_like(logits), features.shape)
        return back(gradient + own.to(gradient.dtype).view(*features.shape[:2], *[1] * (x.ndim - 2)))
