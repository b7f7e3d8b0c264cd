"""The pair that won the dog-picture competition, as its author's public kernel has it: a BigGAN without an embedding.

Told by a one-hot class beside each block's chunk of z; leaky ReLU everywhere; no biases in the convolutions, and none of
BigGAN's last normalization. For sides that are multiples of 16, in 2D and 3D.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.attention import SelfAttention
from gansaku.networks.blocks import CONV, bound_spectra
from gansaku.networks.chainer_gan_lib import check_shape
from gansaku.networks.conditional import Projection, Standardization
from gansaku.networks.piecewise import Residual
from gansaku.networks.resampling import Doubling, Halving, doubled
from gansaku.networks.residual import Mean
from gansaku.parts import part, require

SIXTEENTH = 16
CHUNKS = 5  # of z: one for the first map, one for each block
GROWING = (16, 16, 8, 4, 2)  # times the width
SHRINKING = (1, 2, 4, 8, 16)
G_SLOPE, D_SLOPE = 0.01, 0.2  # of the leaky ReLUs


@part
class DogBigGANGenerator(Network):
    """z (N, latent) and a one-hot class -> (N, *shape) in [-1, 1]: linear, four residual doublings, leaky ReLU, conv, tanh.

    Channels 16w, 16w, 8w, 4w, 2w, w the `width`. z is cut into five chunks: the first goes into the linear layer, one more
    into each block, where gain and bias of the batch norms are linear in it and in the class. Self-attention after the
    third block; spectral norm on all layers but those of the gains.
    """

    shape: tuple[int, ...]
    classes: int
    latent: int = 120
    width: int = 36

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width, SIXTEENTH)
        require(self.classes >= 1, "classes", f"{self.classes} is no number of classes; use 1 or more")
        even = self.latent >= CHUNKS and self.latent % CHUNKS == 0
        near = max(1, round(self.latent / CHUNKS)) * CHUNKS
        require(even, "latent", f"{self.latent} cannot be cut into {CHUNKS} equal chunks; {near} can")

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of a DogBigGANGenerator."""

    def __init__(self, part: DogBigGANGenerator):
        super().__init__()
        channels, *space = part.shape
        dims, chunk, self.classes = len(space), part.latent // CHUNKS, part.classes
        widths = [part.width * multiple for multiple in GROWING]
        self.base = (widths[0], *[side // SIXTEENTH for side in space])
        self.stem = nn.Linear(chunk, math.prod(self.base))
        self.blocks = nn.ModuleList(Up(dims, a, b, chunk + part.classes) for a, b in pairwise(widths))
        self.attention = SelfAttention(dims, widths[3])
        self.out = CONV[dims](widths[-1], channels, 3, padding=1, bias=False)
        start_and_bound(self)

    def forward(self, z: Tensor, labels: Tensor, phase: Phase | None) -> Tensor:
        first, *others = z.chunk(CHUNKS, 1)
        told = one_hot(labels, self.classes).to(z)
        x: Tensor = self.stem(first).unflatten(1, self.base)
        for i, (block, chunk) in enumerate(zip(self.blocks, others, strict=True), 1):
            x = block(x, torch.cat([chunk, told], 1))
            x = self.attention(x) if i == 3 else x
        samples: Tensor = self.out(leaky_relu(x, G_SLOPE)).tanh()
        return samples


class Linear(nn.Linear):
    """Of a gain: without spectral norm. Orthogonal in its first `outside` / 2 columns, 0 in the others, as there."""

    def __init__(self, inside: int, outside: int):
        super().__init__(inside, outside)
        half = outside // 2
        if not self.weight.is_meta:
            nn.init.orthogonal_(self.weight.data[:, :half])
            self.weight.data[:, half:].zero_()


class ToldNorm(nn.Module):
    """Batch normalization with gain and bias linear in a condition c (N, told): γ(c) x + β(c), γ not around 1."""

    def __init__(self, channels: int, told: int):
        super().__init__()
        self.norm, self.gains = Standardization(channels), Linear(told, 2 * channels)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        both: Tensor = self.gains(given).to(y.dtype)
        gain, bias = both.view(*both.shape, *[1] * (y.ndim - 2)).chunk(2, 1)
        return torch.addcmul(bias, y, gain)


class Up(nn.Module):
    """(N, inside, *S) -> (N, outside, *2S): norm, leaky ReLU, doubling, conv, norm, leaky ReLU, conv; beside it 1 × 1."""

    def __init__(self, dims: int, inside: int, outside: int, told: int):
        super().__init__()
        self.first, self.second = ToldNorm(inside, told), ToldNorm(outside, told)
        self.doubling = Doubling(dims, inside, outside, bias=False)
        self.conv = CONV[dims](outside, outside, 3, padding=1, bias=False)
        self.side = CONV[dims](inside, outside, 1, bias=False)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        y: Tensor = self.doubling(leaky_relu(self.first(x, given), G_SLOPE))
        y = self.conv(leaky_relu(self.second(y, given), G_SLOPE))
        return y + doubled(self.side(x))


@part
class DogBigGANDiscriminator(Network):
    """(N, *shape) -> logits (N, 1), features (N, 16w): residual blocks, four of them halving, a sum, linear and projection.

    Channels w, 2w, 4w, 8w, 16w, w the `width`; leaky ReLU 0.2 also on the picture itself; self-attention after the first
    block; spectral norm on all layers but the class's embedding.
    """

    shape: tuple[int, ...]
    classes: int
    width: int = 42

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width, SIXTEENTH)
        require(self.classes >= 1, "classes", f"{self.classes} is no number of classes; use 1 or more")

    @property
    def norm(self) -> str:
        return "spectral"

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of a DogBigGANDiscriminator."""

    def __init__(self, part: DogBigGANDiscriminator):
        super().__init__()
        dims, widths = len(part.shape) - 1, [part.shape[0], *[part.width * multiple for multiple in SHRINKING]]
        blocks: list[nn.Module] = [down(dims, a, b, halve=i < 4) for i, (a, b) in enumerate(pairwise(widths))]
        self.layers = nn.Sequential(blocks[0], SelfAttention(dims, widths[1]), *blocks[1:])
        self.head = Projection(widths[-1], part.classes)
        start_and_bound(self)

    def forward(self, x: Tensor, labels: Tensor, phase: Phase | None) -> Verdict:
        h = leaky_relu(self.layers(x), D_SLOPE).flatten(2)
        features = h.sum(2, dtype=torch.promote_types(h.dtype, torch.float32))
        return Verdict(self.head(features, labels), features=features)


def down(dims: int, inside: int, outside: int, halve: bool) -> Residual:
    """(N, inside, *S) -> (N, outside, *S) or half of S: leaky ReLU, conv, leaky ReLU, conv, mean; beside it a 1 × 1 conv."""
    last = Halving(dims, outside, outside, bias=False) if halve else CONV[dims](outside, outside, 3, padding=1, bias=False)
    first = CONV[dims](inside, outside, 3, padding=1, bias=False)
    side = [*[Mean()] * halve, CONV[dims](inside, outside, 1, bias=False)]
    return Residual(nn.Sequential(nn.LeakyReLU(D_SLOPE), first, nn.LeakyReLU(D_SLOPE), last), nn.Sequential(*side))


def start_and_bound(network: nn.Module) -> None:
    """Orthogonal weights of layers and embeddings, biases 0; then spectral norm on all layers but those of gains."""
    for module in list(network.modules()):
        if isinstance(module, Linear):
            continue
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d | nn.Embedding) and not module.weight.is_meta:
            nn.init.orthogonal_(module.weight)
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            bound_spectra(module)
