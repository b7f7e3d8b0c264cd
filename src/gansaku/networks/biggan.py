"""BigGAN's residual pair, in 2D and 3D: z in chunks, one for each block, beside one embedding of the class that all share.

Brock et al. 2019, arXiv:1809.11096, appendix B; at 32 and 64 px, which the paper has not, as StudioGAN's `big_resnet`.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from gansaku.contract import Network, Phase
from gansaku.networks.blocks import bound_spectra
from gansaku.networks.conditional import code_wise
from gansaku.networks.judge import Judge
from gansaku.networks.residual import Bound, Doublings, check_blocks, start_orthogonal
from gansaku.parts import part, require

EPS = 1e-4  # of batch normalization


@part
class BigGANGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: linear, residual doublings, batch norm, ReLU, conv, tanh.

    z is cut into equal chunks: the first goes into the linear layer, one more into each block. There it stands beside the
    class's embedding, of `code` values, and both decide the gains and biases of the block's batch norms. The maps have
    `width` · `multiples` channels, from the smallest to full size. `attention` n: self-attention after the n-th doubling,
    0 for none. Spectral norm on all layers, not on the embedding; all weights start orthogonal.
    """

    shape: tuple[int, ...]
    classes: int
    latent: int = 80
    code: int = 128
    width: int = 96
    multiples: tuple[int, ...] = (4, 4, 4, 4)
    attention: int = 2

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        chunks = len(self.multiples)
        check_blocks(self.shape, self.width, self.multiples, chunks - 1, self.attention)
        require(self.attention < chunks, "attention", f"there are {chunks - 1} doublings, and none is number {self.attention}")
        require(self.classes >= 1, "classes", f"{self.classes} is no number of classes; use 1 or more")
        require(self.code >= 1, "code", f"{self.code} is no number of values; use 1 or more")
        even = self.latent >= chunks and self.latent % chunks == 0
        near = max(1, round(self.latent / chunks)) * chunks
        require(even, "latent", f"{self.latent} cannot be cut into {chunks} equal chunks; {near} can")

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of a BigGANGenerator."""

    def __init__(self, part: BigGANGenerator):
        super().__init__()
        channels, *space = part.shape
        widths = [part.width * multiple for multiple in part.multiples]
        self.chunks = len(widths)
        chunk = part.latent // self.chunks
        self.base = (widths[0], *[side // 2 ** (self.chunks - 1) for side in space])
        self.stem = nn.Linear(chunk, math.prod(self.base))
        self.embedding = nn.Embedding(part.classes, part.code)

        def norm(width: int) -> nn.Module:
            return code_wise(width, part.code + chunk, EPS)

        self.layers = Doublings(len(space), widths, channels, norm, part.attention, EPS)
        start_orthogonal(self)
        bound_spectra(self)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        first, *others = z.chunk(self.chunks, 1)
        code = self.embedding(labels)
        x: Tensor = self.stem(first).unflatten(1, self.base)
        made: Tensor = self.layers(x, [torch.cat([code, chunk], 1) for chunk in others])
        return made


@part
class BigGANDiscriminator(Network):
    """(N, *shape) -> logits (N, 1), features (N, F): residual blocks, ReLU, the sum over space, linear, and projection.

    As SNGANDiscriminator, but both convolutions of a block have as many channels as come out of it, and all weights start
    orthogonal. With `tells` there are K class outputs as well, linear in the features, which no label has reached.
    """

    shape: tuple[int, ...]
    classes: int
    width: int = 96
    multiples: tuple[int, ...] = (2, 2, 2, 2)
    halvings: int = 2
    attention: int = 1
    norm: Bound = "spectral"
    tells: bool = False

    players: ClassVar[tuple[str, ...]] = ("discriminator",)

    def __post_init__(self) -> None:
        check_blocks(self.shape, self.width, self.multiples, self.halvings, self.attention)
        blocks = len(self.multiples)
        require(1 <= self.halvings <= blocks, "halvings", f"{self.halvings} of {blocks} blocks cannot halve; use 1 to {blocks}")
        require(self.classes >= 1, "classes", f"{self.classes} is no number of classes; use 1 or more")

    def build(self) -> nn.Module:
        return Judge(self, wide=True, start=start_orthogonal, tells=self.tells)
