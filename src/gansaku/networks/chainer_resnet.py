"""chainer-gan-lib's residual pair (common/net.py), in 2D and 3D: 128 channels everywhere, three doublings, two halvings."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, BatchNorm
from gansaku.networks.chainer_gan_lib import EPS, THREE_HALVINGS, check_shape, set_weights
from gansaku.networks.piecewise import Residual, slope
from gansaku.parts import part, require

TWO_HALVINGS = 4


@part
class ChainerResNetGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: linear and ReLU, three residual doublings, ReLU, batch norm, conv, tanh.

    A block is BN-ReLU-unpool-conv-BN-ReLU-conv beside unpool-conv; all convolutions are 3 × 3 with bias. The linear layer
    starts with N(0, 1/latent), Chainer's default, and all else with N(0, 0.02).
    """

    shape: tuple[int, ...]
    latent: int = 128
    width: int = 128

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)

    @property
    def reads_labels(self) -> bool:
        return False

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of a ChainerResNetGenerator."""

    def __init__(self, part: ChainerResNetGenerator):
        super().__init__()
        dims, width = len(part.shape) - 1, part.width
        self.base = (width, *[side // THREE_HALVINGS for side in part.shape[1:]])
        linear = nn.Linear(part.latent, math.prod(self.base))
        self.stem = nn.Sequential(linear, nn.ReLU())
        blocks = [up(dims, width) for _ in range(3)]
        last = CONV[dims](width, part.shape[0], 3, padding=1)
        self.layers = nn.Sequential(*blocks, nn.ReLU(), BatchNorm(width, EPS), last, nn.Tanh())
        set_weights(self)
        nn.init.normal_(linear.weight, 0.0, part.latent**-0.5)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        x: Tensor = self.layers(self.stem(z).unflatten(1, self.base))
        return x


def up(dims: int, width: int) -> Residual:
    """(N, width, *S) -> (N, width, *2S)."""

    def conv() -> nn.Module:
        made: nn.Module = CONV[dims](width, width, 3, padding=1)
        return made

    main = nn.Sequential(
        BatchNorm(width, EPS), nn.ReLU(), nn.Upsample(scale_factor=2), conv(), BatchNorm(width, EPS), nn.ReLU(), conv()
    )
    return Residual(main, nn.Sequential(nn.Upsample(scale_factor=2), conv()))


@part
class ChainerResNetDiscriminator(Network):
    """(N, *shape) -> logits (N, logits): two residual halvings, two residual blocks, ReLU, linear; no normalization.

    The first block has no ReLU before its first convolution; a halving is a 4 × 4 convolution of stride 2 in both ways.
    """

    shape: tuple[int, ...]
    width: int = 128
    logits: int = 1

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.logits >= 1, "logits", f"{self.logits} is no number of logits; use 1 or more")

    @property
    def piecewise_linear(self) -> bool:
        return True

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of a ChainerResNetDiscriminator."""

    def __init__(self, part: ChainerResNetDiscriminator):
        super().__init__()
        dims, width = len(part.shape) - 1, part.width

        def conv(inside: int, kernel: int) -> nn.Module:
            made: nn.Module = CONV[dims](inside, width, kernel, stride=2 if kernel == 4 else 1, padding=1)
            return made

        channels = part.shape[0]
        first = Residual(nn.Sequential(conv(channels, 3), nn.ReLU(), conv(width, 4)), conv(channels, 4))
        second = Residual(nn.Sequential(nn.ReLU(), conv(width, 3), nn.ReLU(), conv(width, 4)), conv(width, 4))
        flat = [Residual(nn.Sequential(nn.ReLU(), conv(width, 3), nn.ReLU(), conv(width, 3)), nn.Identity()) for _ in range(2)]
        features = width * math.prod(side // TWO_HALVINGS for side in part.shape[1:])
        self.layers = nn.Sequential(first, second, *flat, nn.ReLU(), nn.Flatten())
        self.last = nn.Linear(features, part.logits)
        set_weights(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features: Tensor = self.layers(x)
        return Verdict(self.last(features), features=features)

    def slope(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        """The gradient of the summed logits by x."""
        return slope(nn.Sequential(self.layers, self.last), x)
