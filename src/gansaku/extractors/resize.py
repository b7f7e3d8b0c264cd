"""Resizing as a matrix: (R_h X R_wᵀ) for each channel. One way under each name, held to the program it is named for.

Pictures in, 0..255; out comes what the 2015 Inception was given by that program:

    pytorch-fid   bilinear on floats, half-pixel centres, no antialias; values 2 x/255 - 1
    tf1           bilinear without half-pixel centres, as TensorFlow 1 and torch-fidelity; values (x - 128)/128
    clean         bicubic (a = -1/2), antialiased, clipped to 0..255, not rounded, as clean-fid; values (x - 128)/128
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

RESIZES = ("pytorch-fid", "tf1", "clean")


def resized(pictures: Tensor, size: tuple[int, int], way: str) -> Tensor:
    """(n, C, H, W) uint8 or float, 0..255 -> (n, C, *size) fp32, still 0..255."""
    pairs = zip(pictures.shape[-2:], size, strict=True)
    rows, columns = (matrix(there, wanted, way).to(pictures.device) for there, wanted in pairs)
    values = pictures.float()
    made = rows @ (values @ columns.T)
    return made.clamp(0, 255) if way == "clean" else made


def prepared(pictures: Tensor, side: int, way: str) -> Tensor:
    """(n, C, H, W) uint8 -> (n, C, side, side) fp32 in the range that the named program gives its network."""
    made = resized(pictures, (side, side), way)
    return made.mul(2 / 255).sub(1) if way == "pytorch-fid" else made.sub(128).div(128)


@cache
def matrix(size: int, side: int, way: str) -> Tensor:
    """(side, size) fp32: row i holds the weights of the pixels that make pixel i."""
    if way == "tf1":
        weights = two_taps(size, side, lambda i: i * size / side)
    elif way == "pytorch-fid":
        weights = two_taps(size, side, lambda i: max(0.0, (i + 0.5) * size / side - 0.5))
    elif way == "clean":
        weights = antialiased(size, side)
    else:
        raise ValueError(f"no resize is called {way!r}")
    return weights.float()


def two_taps(size: int, side: int, place: Callable[[int], float]) -> Tensor:
    """Linear between the two nearest pixels."""
    weights = torch.zeros(side, size, dtype=torch.float64)
    for i in range(side):
        low = min(int(place(i)), size - 1)
        share = place(i) - low if low < size - 1 else 0.0
        weights[i, low] += 1 - share
        weights[i, min(low + 1, size - 1)] += share
    return weights


def antialiased(size: int, side: int) -> Tensor:
    """Bicubic, widened by the reduction factor, each row normalized to 1, as Pillow does it."""
    scale = max(1.0, size / side)
    weights = torch.zeros(side, size, dtype=torch.float64)
    for i in range(side):
        centre = (i + 0.5) * size / side
        first = max(0, int(centre - 2 * scale + 0.5))
        last = min(size, int(centre + 2 * scale + 0.5))
        taps = [cubic((j - centre + 0.5) / scale) for j in range(first, last)]
        weights[i, first:last] = torch.tensor(taps, dtype=torch.float64) / math.fsum(taps)
    return weights


def cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0
