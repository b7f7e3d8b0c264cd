"""Random numbers inside a generator that its z decides: the same sample has the same ones wherever and whenever it is made.

They are counted, not drawn: place j of layer l has a hash of z's bits, of l and of j. So they are the same beside every
batch, rank, micro-batch and device, while training and while sampling; two z, however near, share none of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FACTOR = 0x45D9F3B  # of a known mixing of 32 bits: afterwards all of them depend on all of them
HALF = 0xFFFF
DIGITS = 23  # bits of a number in (0, 1) that fp32 holds exactly, with a half added


def mixed(x: Tensor) -> Tensor:
    """int32 in place: every number becomes another one, in no visible order; 0 stays 0. Products are taken modulo 2³²."""
    for _ in range(2):
        x ^= (x >> 16).bitwise_and_(HALF)  # of a negative number the shift repeats the sign
        x *= FACTOR
    x ^= (x >> 16).bitwise_and_(HALF)
    return x


def keys(z: Tensor) -> Tensor:
    """(N, Z) -> (N,) int32: each sample's own, of the bits that its z has in fp32."""
    bits = z.detach().to(torch.float32).contiguous().view(torch.int32)
    places = mixed(torch.arange(1, z.shape[1] + 1, dtype=torch.int32, device=z.device))
    return mixed(mixed(bits ^ places).sum(1).to(torch.int32))


def uniform(keys: Tensor, layer: int, x: Tensor) -> Tensor:
    """x's shape (N, C, *S), fp32, from U(0, 1), whose ends are never reached. Each layer has numbers of its own."""
    own = mixed(torch.full((), layer + 1, dtype=torch.int32, device=x.device))
    places = mixed(torch.arange(x[0].numel(), dtype=torch.int32, device=x.device) ^ own)
    numbers = (mixed(keys[:, None] ^ places) >> 32 - DIGITS).bitwise_and_(2**DIGITS - 1)
    return numbers.to(torch.float32).add_(0.5).div_(2**DIGITS).view(x.shape)


def dropped(x: Tensor, keys: Tensor, layer: int, share: float) -> Tensor:
    """Dropout: a share of the values is 0, the others are larger by 1 / (1 - share), so that the mean stays."""
    kept = (uniform(keys, layer, x) >= share).to(x.dtype)
    return x * kept.div_(1 - share)


def noisy(x: Tensor, keys: Tensor, layer: int, deviation: float) -> Tensor:
    """x + N(0, deviation²)."""
    normal = uniform(keys, layer, x).mul_(2).sub_(1).erfinv_().mul_(math.sqrt(2) * deviation)
    return x + normal.to(x.dtype)
