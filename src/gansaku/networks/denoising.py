"""chainer-gan-lib's networks for denoising feature matching (dfm/net.py), in 2D and 3D: D with features, and the denoiser."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, BatchNorm, halve
from gansaku.networks.chainer_gan_lib import EPS, SLOPE, check_shape, set_weights
from gansaku.parts import part, require

FOUR_HALVINGS = 16


@part
class FeatureDiscriminator(Network):
    """(N, *shape) -> a logit (N, 1) and features (N, F): one convolution, four halvings, leaky ReLU 0.2, linear.

    `width` is the channels at full size, doubled by each halving. The halvings have batch norm, the last one without γ, and
    the features are what comes out of that one, before its leaky ReLU: 2,048 of them at 32 × 32. Weights from N(0, 0.02).
    """

    shape: tuple[int, ...]
    width: int = 32

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width, FOUR_HALVINGS)

    @property
    def features(self) -> int:
        """F."""
        return 16 * self.width * math.prod(side // FOUR_HALVINGS for side in self.shape[1:])

    @property
    def ties_samples(self) -> bool:
        return True

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of a FeatureDiscriminator."""

    def __init__(self, part: FeatureDiscriminator):
        super().__init__()
        dims, width = len(part.shape) - 1, part.width
        layers: list[nn.Module] = [CONV[dims](part.shape[0], width, 3, padding=1)]
        for i in range(4):
            layers += [nn.LeakyReLU(SLOPE), halve(dims, width, 2 * width, bias=True), BatchNorm(2 * width, EPS, scale=i < 3)]
            width *= 2
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Linear(part.features, 1))
        set_weights(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features: Tensor = self.layers(x)
        return Verdict(self.last(features), features=features)


@part
class FeatureDenoiser(Network):
    """Features with noise (N, features) -> without it, (N, features): linear layers of the same width.

    Batch norm and leaky ReLU 0.2 after each but the last. Weights from N(0, 1/features), which is Chainer's default.
    """

    features: int
    layers: int = 10

    players: ClassVar[tuple[str, ...]] = ("denoiser",)

    def __post_init__(self) -> None:
        for name in ("features", "layers"):
            value = getattr(self, name)
            require(value >= 1, name, f"{value} is no number of {name}; use 1 or more")

    @property
    def ties_samples(self) -> bool:
        return self.layers > 1

    def build(self) -> nn.Module:
        return Denoiser(self)


class Denoiser(nn.Module):
    """The module of a FeatureDenoiser."""

    def __init__(self, part: FeatureDenoiser):
        super().__init__()
        size, layers = part.features, list[nn.Module]()
        for _ in range(part.layers - 1):
            layers += [nn.Linear(size, size), BatchNorm(size, EPS), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Linear(size, size))
        set_weights(self, size**-0.5)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        return Verdict(features=self.layers(x))
