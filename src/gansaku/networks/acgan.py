"""ACGAN's pair for CIFAR-10 (Odena et al. 2017, arXiv:1610.09585, appendix A, table 2), in 2D and 3D and for any classes.

The table names operation, kernel, stride, feature maps, batch norm, dropout and activation of each layer, weights from
N(0, 0.02) and biases 0. It does not say: how z and the class are coded (its 110 inputs are taken as z of 100 beside a
one-hot class of ten), where a layer's dropout and noise stand (here after its activation, the noise first), nor how
wide a start the first layer has (an eighth of the size follows from its three doublings).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, CONV_TRANSPOSE, BatchNorm
from gansaku.networks.chainer_gan_lib import SLOPE, THREE_HALVINGS, check_shape, set_weights
from gansaku.parts import part, require


@part
class ACGANGenerator(Network):
    """z (N, latent) beside a one-hot label -> (N, *shape) in [-1, 1]: linear, three 5-wide doublings, tanh.

    Channels 4w, 2w, w and those of the samples, w the `width`; batch norm after the two inner transposed convolutions.
    """

    shape: tuple[int, ...]
    classes: int
    latent: int = 100
    width: int = 96

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.classes >= 1, "classes", f"{self.classes} is no number of classes; use 1 or more")

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of an ACGANGenerator."""

    def __init__(self, part: ACGANGenerator):
        super().__init__()
        dims, w, self.classes = len(part.shape) - 1, part.width, part.classes
        self.base = (4 * w, *[side // THREE_HALVINGS for side in part.shape[1:]])
        self.stem = nn.Sequential(nn.Linear(part.latent + part.classes, math.prod(self.base)), nn.ReLU())
        layers: list[nn.Module] = []
        for inside, outside in ((4 * w, 2 * w), (2 * w, w), (w, part.shape[0])):
            layers.append(CONV_TRANSPOSE[dims](inside, outside, 5, stride=2, padding=2, output_padding=1))
            layers += [nn.Tanh()] if inside == w else [BatchNorm(outside), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        set_weights(self)

    def forward(self, z: Tensor, labels: Tensor, phase: Phase | None) -> Tensor:
        z = torch.cat([z, one_hot(labels, self.classes).to(z)], 1)
        x: Tensor = self.layers(self.stem(z).unflatten(1, self.base))
        return x


@part
class ACGANDiscriminator(Network):
    """(N, *shape) -> one logit and K class outputs: six 3-wide convolutions, every other one halving, then linear.

    Channels w, 2w, … 32w, w the `width`; batch norm on all but the first; leaky ReLU 0.2; then noise N(0, noise²) and
    dropout. The paper swept the noise over 0, 0.1 and 0.2 and does not say which was best: here it is the middle one.
    """

    shape: tuple[int, ...]
    classes: int
    width: int = 16
    dropout: float = 0.5
    noise: float = 0.1

    players: ClassVar[tuple[str, ...]] = ("discriminator", "classifier")

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.classes >= 1, "classes", f"{self.classes} is no number of classes; use 1 or more")
        require(0 <= self.dropout < 1, "dropout", f"{self.dropout:g} must lie in [0, 1)")
        require(self.noise >= 0, "noise", f"{self.noise:g} must not be negative")

    @property
    def features(self) -> int:
        """Of the last convolution, F."""
        return 32 * self.width * math.prod(side // THREE_HALVINGS for side in self.shape[1:])

    @property
    def ties_samples(self) -> bool:
        return True

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of an ACGANDiscriminator."""

    def __init__(self, part: ACGANDiscriminator):
        super().__init__()
        dims, layers = len(part.shape) - 1, list[nn.Module]()
        channels = [part.shape[0], *[part.width * 2**i for i in range(6)]]
        for i, (inside, outside) in enumerate(pairwise(channels)):
            layers.append(CONV[dims](inside, outside, 3, stride=1 if i % 2 else 2, padding=1))
            layers += [BatchNorm(outside)] if i else []
            layers += [nn.LeakyReLU(SLOPE), Noise(part.noise), nn.Dropout(part.dropout)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.logits = nn.Linear(part.features, 1)
        self.classes = nn.Linear(part.features, part.classes)
        set_weights(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features: Tensor = self.layers(x)
        return Verdict(self.logits(features), self.classes(features), features)


class Noise(nn.Module):
    """x + N(0, deviation²) while training, x otherwise. Drawn, as dropout's masks are, from torch's global generator."""

    def __init__(self, deviation: float):
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.deviation * torch.randn_like(x) if self.training and self.deviation else x
