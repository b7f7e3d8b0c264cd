"""The pair of article 0's code: 3D-GAN with a batch norm of one channel at either end, and 27 logits.

Convolutions have biases though batch norm follows, and weights start as Glorot & Bengio 2010 draw them. The source feeds
voxels of 0 and 1; samples here lie in [-1, 1], so both networks rescale inside, and padding still means empty.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, CONV_TRANSPOSE, BatchNorm, doublings
from gansaku.networks.counted import dropped, keys
from gansaku.networks.dcgan import DROPPED, activation, check_shape, widths
from gansaku.parts import part, require

SLOPE = 0.2
EPS = 2e-5  # Chainer's


@part
class ArticleGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: transposed convolutions, each with batch norm and ReLU, the last with a sigmoid.

    At 64³ the channels are 512, 256, 128, 64 (8, 4, 2 and 1 times the `width`) and those of the samples; smaller samples have
    fewer of the first. `last_norm`: batch norm before the sigmoid too. What the article tried: `leak`, the slope of a leaky
    ReLU, and `dropout` of that share behind the first three layers, while sampling as well.
    """

    shape: tuple[int, ...]
    latent: int = 200
    width: int = 64
    last_norm: bool = True
    leak: float = 0.0
    dropout: float = 0.0

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.latent >= 1, "latent", f"{self.latent} is no number of latent values")
        require(0 <= self.leak < 1, "leak", f"{self.leak:g} is no slope of a leaky ReLU; use 0 to below 1")
        require(0 <= self.dropout < 1, "dropout", f"{self.dropout:g} must lie in [0, 1)")

    @property
    def reads_labels(self) -> bool:
        return False

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of an ArticleGenerator."""

    def __init__(self, part: ArticleGenerator):
        super().__init__()
        channels, *space = part.shape
        dims, (base, levels) = len(space), doublings(tuple(space))
        inside = widths(part.width, part.width * 2**levels, levels)[::-1]
        convolution, self.dropout, self.dims = CONV_TRANSPOSE[dims], part.dropout, dims
        layers = [convolution(part.latent, inside[0], base)]
        layers += [convolution(a, b, 4, stride=2, padding=1) for a, b in pairwise([*inside, channels])]
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(BatchNorm(width, EPS) for width in inside)
        self.last_norm = BatchNorm(channels, EPS) if part.last_norm else None
        self.activation = activation(part.leak)
        start(self)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        own = keys(z) if self.dropout else None
        x = z.view(*z.shape, *[1] * self.dims)
        for i, norm in enumerate(self.norms):
            x = self.activation(norm(self.layers[i](x)))
            x = dropped(x, own, i, self.dropout) if own is not None and i < DROPPED else x
        x = self.layers[-1](x)
        x = x if self.last_norm is None else self.last_norm(x)
        samples: Tensor = 2 * x.sigmoid() - 1
        return samples


@part
class ArticleDiscriminator(Network):
    """(N, *shape) -> 27 logits, of 4³ as the smallest map: the generator's mirror with leaky ReLU, batch norm at the end too.

    Its last convolution is 4 wide with a padding of 1, so a map of 4³ leaves 3³ numbers, each of which is judged by itself.
    The source's sigmoid after them is the loss's: BoundedLogistic, or Logistic without it.
    """

    shape: tuple[int, ...]
    width: int = 64
    last_norm: bool = True
    leak: float = SLOPE

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(0 <= self.leak < 1, "leak", f"{self.leak:g} is no slope of a leaky ReLU; use 0 to below 1")

    @property
    def norm(self) -> str:
        return "batch"

    @property
    def ties_samples(self) -> bool:
        return True

    @property
    def reads_labels(self) -> bool:
        return False

    @property
    def logits(self) -> int:
        """How many it says of a sample."""
        base, _ = doublings(self.shape[1:])
        return math.prod(side - 1 for side in base)

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of an ArticleDiscriminator."""

    def __init__(self, part: ArticleDiscriminator):
        super().__init__()
        channels, *space = part.shape
        dims, (_, levels) = len(space), doublings(tuple(space))
        inside = widths(part.width, part.width * 2**levels, levels)
        layers: list[nn.Module] = []
        for a, b in pairwise([channels, *inside]):
            layers += [CONV[dims](a, b, 4, stride=2, padding=1), BatchNorm(b, EPS), activation(part.leak)]
        layers.append(CONV[dims](inside[-1], 1, 4, padding=1))
        layers += [BatchNorm(1, EPS)] if part.last_norm else []
        self.layers = nn.Sequential(*layers, nn.Flatten())
        start(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        logits: Tensor = self.layers((x + 1) / 2)
        return Verdict(logits)


def start(network: nn.Module) -> None:
    """Weights N(0, 2 / (fan-in + fan-out)), in place, from torch's global generator; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
