"""The residual pair of SNGAN, of the projection discriminator and of SAGAN, in 2D and 3D.

Miyato et al. 2018 (arXiv:1802.05957), tables 3 to 5; Miyato & Koyama 2018 (arXiv:1802.05637); Zhang et al. 2019
(arXiv:1805.08318). Channels and parameter counts as in mimicry (torch_mimicry/nets: sngan, cgan_pd, sagan).
"""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from gansaku.contract import Network, Phase
from gansaku.networks.blocks import BatchNorm, bound_spectra
from gansaku.networks.conditional import class_wise
from gansaku.networks.judge import Judge
from gansaku.networks.residual import Bound, Doublings, check_blocks, start_glorot
from gansaku.parts import part, require


@part
class SNGANGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: linear, residual doublings with batch norm, conv, tanh.

    The maps have `width` · `multiples` channels, from the smallest to full size, so there is one doubling less than
    multiples. With `classes` each block's batch norm has a gain and a bias for each class. `attention` n: self-attention
    after the n-th doubling, 0 for none. `spectral`: spectral norm on all layers as well, as in SAGAN.
    """

    shape: tuple[int, ...]
    latent: int = 128
    width: int = 256
    multiples: tuple[int, ...] = (1, 1, 1, 1)
    classes: int = 0
    attention: int = 0
    spectral: bool = False

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        doublings = len(self.multiples) - 1
        check_blocks(self.shape, self.width, self.multiples, doublings, self.attention)
        require(
            self.attention <= doublings, "attention", f"there are {doublings} doublings, and none is number {self.attention}"
        )
        require(self.classes >= 0, "classes", f"{self.classes} is no number of classes; use 0 or more")

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of an SNGANGenerator."""

    def __init__(self, part: SNGANGenerator):
        super().__init__()
        channels, *space = part.shape
        widths = [part.width * multiple for multiple in part.multiples]
        self.doublings = len(widths) - 1
        self.base = (widths[0], *[side // 2**self.doublings for side in space])
        self.stem = nn.Linear(part.latent, math.prod(self.base))

        def norm(width: int) -> nn.Module:
            return class_wise(width, part.classes) if part.classes else BatchNorm(width)

        self.layers = Doublings(len(space), widths, channels, norm, part.attention)
        start_glorot(self)
        if part.spectral:
            bound_spectra(self)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        x: Tensor = self.layers(self.stem(z).unflatten(1, self.base), [labels] * self.doublings)
        return x


@part
class SNGANDiscriminator(Network):
    """(N, *shape) -> logits (N, 1), features (N, F): residual blocks, ReLU, the sum over space, linear; F the last width.

    The maps have `width` · `multiples` channels, from the first to the last block; the first `halvings` blocks halve the
    sides. With `classes` a label's logit is added by projection. `attention` n: self-attention after the n-th block, 0 for
    none. `norm` spectral bounds all layers and the embedding; none bounds nothing, for penalties on the slope.
    """

    shape: tuple[int, ...]
    width: int = 128
    multiples: tuple[int, ...] = (1, 1, 1, 1)
    halvings: int = 2
    classes: int = 0
    attention: int = 0
    norm: Bound = "spectral"

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_blocks(self.shape, self.width, self.multiples, self.halvings, self.attention)
        blocks = len(self.multiples)
        require(1 <= self.halvings <= blocks, "halvings", f"{self.halvings} of {blocks} blocks cannot halve; use 1 to {blocks}")
        require(self.classes >= 0, "classes", f"{self.classes} is no number of classes; use 0 or more")

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Judge(self, wide=False, start=start_glorot)
