"""DCGAN in two and three dimensions (Radford et al. 2016, arXiv:1511.06434; Wu et al. 2016, arXiv:1610.07584).

One pair for every size base·2ᵏ: 32, 48, 64, 96, 128 … pixels, 16³ … 64³ voxels, sides that differ included.
"""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import Tensor, nn

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, Grow, Init, Norm, Stem, bound_spectra, doublings, finish, grow, halve, initialize
from gansaku.networks.piecewise import slope
from gansaku.parts import part, require

SLOPE = 0.2  # of the discriminator's leaky ReLU


def check_shape(shape: tuple[int, ...], width: int) -> None:
    require(len(shape) in (3, 4), "shape", f"{shape} is no (C, H, W) and no (C, D, H, W)")
    require(width >= 1, "width", f"{width} is no number of channels")
    doublings(shape[1:])


@part
class DCGANGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: a transposed convolution from one point, then doublings, then tanh.

    `width` is the channels at half size; each doubling before has twice as many, at most `most`. Article 4's choices:
    `grow`, transposed convolution or nearest upsampling + convolution; `norm_first`, before or after the activation.
    """

    shape: tuple[int, ...]
    latent: int = 128
    width: int = 64
    most: int = 512
    grow: Grow = "transpose"
    norm: Norm = "batch"
    norm_first: bool = True
    init: Init = "normal"

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)

    @property
    def reads_labels(self) -> bool:
        return False

    def build(self) -> nn.Module:
        return Generator(self)


@part
class DCGANDiscriminator(Network):
    """(N, *shape) -> logits (N, logits): the generator's mirror, strided convolutions and leaky ReLU 0.2.

    The first layer is not normalized. Without normalization the convolutions have biases, and the last layer starts
    at half its size, so that the first logits are small.
    """

    shape: tuple[int, ...]
    width: int = 64
    most: int = 512
    logits: int = 1
    norm: Norm = "batch"
    norm_first: bool = True
    init: Init = "normal"

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.logits >= 1, "logits", f"{self.logits} is no number of logits")

    @property
    def ties_samples(self) -> bool:
        return self.norm == "batch"

    @property
    def piecewise_linear(self) -> bool:
        return self.norm == "none"

    def build(self) -> nn.Module:
        return Discriminator(self)


def widths(width: int, most: int, levels: int) -> list[int]:
    """Channels from half size down to the base: doubled at each level, at most `most`."""
    return [min(width * 2**i, most) for i in range(levels)]


class Generator(nn.Module):
    """The module of a DCGANGenerator."""

    def __init__(self, part: DCGANGenerator):
        super().__init__()
        base, levels = doublings(part.shape[1:])
        dims = len(base)
        channels = widths(part.width, part.most, levels)[::-1]
        layers: list[nn.Module] = [
            finish(Stem(part.latent, channels[0], base), channels[0], part.norm, nn.ReLU(), part.norm_first)
        ]
        for inside, outside in itertools.pairwise(channels):
            layers.append(finish(grow(dims, inside, outside, part.grow), outside, part.norm, nn.ReLU(), part.norm_first))
        self.layers = nn.Sequential(*layers, grow(dims, channels[-1], part.shape[0], part.grow), nn.Tanh())
        initialize(self, part.init)
        if part.norm == "spectral":
            bound_spectra(self)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        x: Tensor = self.layers(z)
        return x


class Discriminator(nn.Module):
    """The module of a DCGANDiscriminator."""

    def __init__(self, part: DCGANDiscriminator):
        super().__init__()
        base, levels = doublings(part.shape[1:])
        dims, bias = len(base), part.norm != "batch"
        channels = widths(part.width, part.most, levels)
        layers: list[nn.Module] = []
        for i, (inside, outside) in enumerate(zip([part.shape[0], *channels], channels, strict=False)):
            norm = "none" if i == 0 and part.norm == "batch" else part.norm
            layers.append(finish(halve(dims, inside, outside, bias), outside, norm, nn.LeakyReLU(SLOPE), part.norm_first))
        last = CONV[dims](channels[-1], part.logits, base, bias=bias)
        self.layers, self.last = nn.Sequential(*layers), last
        initialize(self, part.init, SLOPE)
        if part.norm == "none":
            last.weight.data.mul_(0.5)
        if part.norm == "spectral":
            bound_spectra(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features: Tensor = self.layers(x)
        return Verdict(logits=self.last(features).flatten(1), features=features.flatten(1))

    def slope(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        """The gradient of the summed logits by x, for a network without norms."""
        return slope(nn.Sequential(self.layers, self.last), x)
