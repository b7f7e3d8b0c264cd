"""The pair of article 3's team for the dog-picture competition, as printed there, for sides that are multiples of 32.

Not printed, and taken as the papers have them: the self-attention (Zhang et al. 2019), the deviation over the batch and
the normalization of each pixel's features (Karras et al. 2018). Weights start as torch sets them.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.attention import SelfAttention
from gansaku.networks.blocks import CONV, CONV_TRANSPOSE, BatchNorm, bound_spectra
from gansaku.networks.chainer_gan_lib import check_shape
from gansaku.networks.minibatch import MinibatchDeviation
from gansaku.parts import part, require

FOUR_DOUBLINGS = 16
AND_A_POOL = 32
G_SLOPE, D_SLOPE = 0.01, 0.2  # of the leaky ReLUs

Labels = Literal["mask", "picture", "projection"]
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def pixel_norm(x: Tensor) -> Tensor:
    """Each place's features divided by their root mean square (Karras et al. 2018, sec. 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


@part
class DogGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: transposed convolutions from a sixteenth of the size, spectral norm on all.

    Channels 8w, 8w, 4w, 2w, w and those of the samples, w the `width`; leaky ReLU 0.01, and from the second layer on each
    pixel's features normalized. With `classes` a label's embedding stands beside z, as long as it and of length 1.
    """

    shape: tuple[int, ...]
    latent: int = 128
    width: int = 32
    classes: int = 0
    attention: bool = True  # at full size, before the last normalization
    spectral: bool = True

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width, AND_A_POOL)
        require(self.latent >= 1, "latent", f"{self.latent} is no number of latent values")
        require(self.classes >= 0, "classes", f"{self.classes} is no number of classes; use 0 or more")

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of a DogGenerator."""

    def __init__(self, part: DogGenerator):
        super().__init__()
        dims, w = len(part.shape) - 1, part.width
        convolution, inside = CONV_TRANSPOSE[dims], part.latent * (2 if part.classes else 1)
        self.label = nn.Embedding(part.classes, part.latent) if part.classes else None
        self.stem = convolution(inside, 8 * w, tuple(s // FOUR_DOUBLINGS for s in part.shape[1:]), bias=False)
        pairs = ((8 * w, 8 * w), (8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w))
        self.grow = nn.ModuleList(convolution(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairs)
        self.out = convolution(w, part.shape[0], 3, padding=1, bias=False)
        if part.spectral:
            bound_spectra(self)
        self.attention = SelfAttention(dims, w) if part.attention else None
        self.dims = dims

    def forward(self, z: Tensor, labels: Tensor, phase: Phase | None) -> Tensor:
        if self.label is not None:
            z = torch.cat([z, normalize(self.label(labels), dim=1).to(z)], 1)
        x = leaky_relu(self.stem(z.view(*z.shape, *[1] * self.dims)), G_SLOPE)
        for i, layer in enumerate(self.grow, 1):
            x = leaky_relu(layer(x), G_SLOPE)
            if self.attention is not None and i == len(self.grow):
                x = self.attention(x)
            x = pixel_norm(x)
        samples: Tensor = self.out(x).tanh()
        return samples


@part
class DogDiscriminator(Network):
    """(N, *shape) -> one logit: four halvings, a max-pool, the deviation over the batch, and a convolution to one number.

    Channels w, 2w, 4w, 8w, w the `width`; spectral norm on all but the first, batch norm on the second and third, leaky
    ReLU 0.2. With `classes`, `labels` says how D sees them. mask: an embedding as large as a picture, each value divided
    by its own size, as printed. What is left are its signs: a fixed random mask for each class, which has no gradient.
    picture: divided by the length of the whole, which learns. projection: Miyato & Koyama 2018, arXiv:1802.05637, eq. 4.
    """

    shape: tuple[int, ...]
    width: int = 48
    classes: int = 0
    labels: Labels = "mask"
    attention: bool = True  # after the first convolution, at half size
    spectral: bool = True

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width, AND_A_POOL)
        require(self.classes >= 0, "classes", f"{self.classes} is no number of classes; use 0 or more")

    @property
    def norm(self) -> str:
        return "batch"

    @property
    def ties_samples(self) -> bool:
        return True

    @property
    def looks_across(self) -> bool:
        return True

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of a DogDiscriminator."""

    def __init__(self, part: DogDiscriminator):
        super().__init__()
        (channels, *space), dims, w, classes = part.shape, len(part.shape) - 1, part.width, part.classes
        convolution, self.how = CONV[dims], part.labels if classes else "none"
        beside = self.how in ("mask", "picture")
        self.label = nn.Embedding(classes, math.prod(space) if beside else 8 * w) if classes else None
        self.space = tuple(space)
        self.first = convolution(channels + beside, w, 4, stride=2, padding=1, bias=False)
        self.attention = SelfAttention(dims, w) if part.attention else None
        bounded = [
            convolution(a, b, 4, stride=2, padding=1, bias=False) for a, b in ((w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w))
        ]
        self.halve = nn.Sequential(
            bounded[0], BatchNorm(2 * w), nn.LeakyReLU(D_SLOPE), bounded[1], BatchNorm(4 * w), nn.LeakyReLU(D_SLOPE),
            bounded[2], POOL[dims](2), nn.LeakyReLU(D_SLOPE),
        )  # fmt: skip
        self.deviation = MinibatchDeviation()
        self.out = convolution(8 * w + 1, 1, tuple(side // AND_A_POOL for side in space), bias=False)
        if part.spectral:
            bound_spectra(self.halve)
            bound_spectra(nn.ModuleList([self.out]))

    def forward(self, x: Tensor, labels: Tensor, phase: Phase | None) -> Verdict:
        code = None if self.label is None else self.label(labels)
        if code is not None and self.how == "projection":
            h = self.features(x)
            return Verdict(self.judged(h) + (h.sum([*range(2, h.ndim)]) * code.to(h)).sum(1, keepdim=True))
        if code is not None:
            # torch's normalize would leave rounding errors as the mask's gradient, which Adam makes as large as any other
            code = code.detach().sign() if self.how == "mask" else normalize(code, dim=1)
            x = torch.cat([x, code.view(len(x), 1, *self.space).to(x)], 1)
        return Verdict(self.judged(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        x = leaky_relu(self.first(x), D_SLOPE)
        if self.attention is not None:
            x = self.attention(x)
        h: Tensor = self.halve(x)
        return h

    def judged(self, h: Tensor) -> Tensor:
        logits: Tensor = self.out(self.deviation(h)).flatten(1)
        return logits
