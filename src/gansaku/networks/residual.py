"""What the residual networks of SNGAN, SAGAN and BigGAN share: blocks that double or halve, in a row, and how they start."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gansaku.networks.attention import SelfAttention
from gansaku.networks.blocks import CONV, BatchNorm
from gansaku.networks.conditional import Projection
from gansaku.networks.piecewise import Residual
from gansaku.networks.resampling import Doubling, Halving, doubled, halved
from gansaku.parts import require

Normalization = Callable[[int], nn.Module]
Bound = Literal["spectral", "none"]


class Up(nn.Module):
    """(N, inside, *S) -> (N, outside, *2S): norm, ReLU, doubling, conv, norm, ReLU, conv; beside it a doubled 1 × 1 conv.

    `norm` makes a normalization of so many channels, plain or conditional: the latter gets the condition of each sample.
    """

    def __init__(self, dims: int, inside: int, outside: int, norm: Normalization):
        super().__init__()
        self.first, self.second = norm(inside), norm(outside)
        self.doubling = Doubling(dims, inside, outside)
        self.conv = CONV[dims](outside, outside, 3, padding=1)
        self.side = CONV[dims](inside, outside, 1)

    def forward(self, x: Tensor, given: Tensor | None) -> Tensor:
        y: Tensor = self.doubling(relu(normalized(self.first, x, given)))
        y = self.conv(relu(normalized(self.second, y, given)))
        beside: Tensor = self.side(x)
        return y + doubled(beside)  # a 1 × 1 convolution and a doubling in either order are the same


def normalized(norm: nn.Module, x: Tensor, given: Tensor | None) -> Tensor:
    """x by a plain norm, or by a conditional one."""
    y: Tensor = norm(x) if isinstance(norm, BatchNorm) else norm(x, given)
    return y


class Doublings(nn.Module):
    """(N, widths[0], *S) -> (N, channels, *2ᵏS) in [-1, 1]: k = len(widths) - 1 blocks `Up`, batch norm, ReLU, conv, tanh.

    With `attention` n there is self-attention after the n-th block; with 0 nowhere. Each block has a condition of its own.
    """

    def __init__(self, dims: int, widths: Sequence[int], channels: int, norm: Normalization, attention: int, eps: float = 1e-5):
        super().__init__()
        self.blocks = nn.ModuleList(Up(dims, inside, outside, norm) for inside, outside in pairwise(widths))
        self.attention = SelfAttention(dims, widths[attention]) if attention else None
        self.after = attention
        last = CONV[dims](widths[-1], channels, 3, padding=1)
        self.last = nn.Sequential(BatchNorm(widths[-1], eps), nn.ReLU(), last, nn.Tanh())

    def forward(self, x: Tensor, given: Sequence[Tensor | None]) -> Tensor:
        for i, (block, condition) in enumerate(zip(self.blocks, given, strict=True), 1):
            x = block(x, condition)
            if self.attention is not None and i == self.after:
                x = self.attention(x)
        made: Tensor = self.last(x)
        return made


class Mean(nn.Module):
    """(N, C, *2S) -> (N, C, *S): means of two in each direction."""

    def forward(self, x: Tensor) -> Tensor:
        return halved(x)


def down(dims: int, inside: int, outside: int, wide: bool, halve: bool, first: bool) -> Residual:
    """(N, inside, *S) -> (N, outside, *S) or half of S: ReLU, conv, ReLU, conv, mean; beside it mean and 1 × 1 conv.

    Between both convolutions are as many channels as come out where it is `wide` or `first`, else as many as come in. The
    first block of a network has no ReLU before the sample. The mean stands before the 1 × 1 convolution in every block: in
    either order they are the same.
    """
    hidden = outside if wide or first else inside
    last = Halving(dims, hidden, outside) if halve else CONV[dims](hidden, outside, 3, padding=1)
    layers = [CONV[dims](inside, hidden, 3, padding=1), nn.ReLU(), last]
    side: nn.Module = nn.Identity()
    if halve or inside != outside:
        side = nn.Sequential(*[Mean()] * halve, CONV[dims](inside, outside, 1))
    return Residual(nn.Sequential(*layers) if first else nn.Sequential(nn.ReLU(), *layers), side)


class Halvings(nn.Module):
    """(N, channels, *2ᵏS) -> (N, widths[-1]): residual blocks, of which the first k halve, ReLU, and the sum over space.

    With `attention` n there is self-attention after the n-th block; with 0 nowhere.
    """

    def __init__(self, dims: int, channels: int, widths: Sequence[int], halvings: int, wide: bool, attention: int):
        super().__init__()
        layers: list[nn.Module] = []
        for i, (inside, outside) in enumerate(pairwise((channels, *widths)), 1):
            layers.append(down(dims, inside, outside, wide, halve=i <= halvings, first=i == 1))
            layers += [SelfAttention(dims, outside)] if i == attention else []
        self.blocks = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        h = self.blocks(x).relu().flatten(2)
        summed: Tensor = h.sum(2, dtype=torch.promote_types(h.dtype, torch.float32))
        return summed


def check_blocks(shape: tuple[int, ...], width: int, multiples: tuple[int, ...], halvings: int, attention: int) -> None:
    """Raises RecipeError unless samples of this shape can be halved so often, and attention stands after one of the blocks."""
    require(len(shape) in (3, 4), "shape", f"{shape} is no (C, H, W) and no (C, D, H, W)")
    factor = 2**halvings
    wrong = [side for side in shape[1:] if side % factor or side < factor]
    have = f"sides must be multiples of {factor} for {halvings} halvings or doublings"
    require(not wrong, "shape", f"{shape}: {have}; {wrong[0] if wrong else 0} is none")
    require(width >= 1, "width", f"{width} is no number of channels")
    bad = [multiple for multiple in multiples if multiple < 1]
    require(len(multiples) >= 2 and not bad, "multiples", f"{list(multiples)} must be two or more whole numbers from 1 up")
    most = len(multiples)
    require(0 <= attention <= most, "attention", f"there is no block {attention} to stand after; use 0 (nowhere) to {most}")


def layers_of(network: nn.Module) -> list[nn.Linear | nn.Conv2d | nn.Conv3d]:
    """Every linear layer and convolution."""
    return [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d)]


def start_glorot(network: nn.Module) -> None:
    """Weights uniform with variance g² · 2 / (fan-in + fan-out), in place, from torch's global generator; biases 0.

    g is √2 in the 3 × 3 convolutions of residual blocks and 1 elsewhere, as in Miyato's code (Glorot & Bengio 2010, eq. 16).
    """
    inner = {id(layer) for block in network.modules() if isinstance(block, Up | Residual) for layer in layers_of(block)}
    for layer in layers_of(network):
        strong = id(layer) in inner and layer.weight.ndim > 2 and layer.weight.shape[-1] == 3
        nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if strong else 1.0)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for module in network.modules():
        if isinstance(module, Projection) and module.embedding is not None:
            nn.init.xavier_uniform_(module.embedding.weight)


def start_orthogonal(network: nn.Module) -> None:
    """Weights of layers and embeddings as orthogonal matrices, in place, from torch's global generator; biases 0.

    Saxe et al. 2014, arXiv:1312.6120; a convolution's weight is seen as (out, rest).
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d | nn.Embedding):
            if not module.weight.is_meta:  # where nothing is held, as for counting, it would take seconds
                nn.init.orthogonal_(module.weight)
            if not isinstance(module, nn.Embedding) and module.bias is not None:
                nn.init.zeros_(module.bias)
