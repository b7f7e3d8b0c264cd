"""A convolution beside a halving or a doubling, as one convolution: less than half of the products, the same numbers.

A 3 × 3 convolution and a mean over 2 × 2 are together one 4 × 4 convolution of stride 2, whose kernel is the mean of the
3 × 3 one at four places; a nearest-neighbour doubling and a 3 × 3 convolution are one transposed 4 × 4 convolution. The
weight stays 3 × 3: it is what is stored, trained, and bounded by spectral norm.

Training lays weights out with channels last, and not so where the recipe says fast=none. That decides here as well: with
weights laid out plainly the pair is computed step by step.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from gansaku.networks.blocks import CONV, in_safe_precision
from gansaku.networks.piecewise import TRANSPOSED

CONVOLVED: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}
MEAN: dict[int, Callable[[Tensor, int], Tensor]] = {2: functional.avg_pool2d, 3: functional.avg_pool3d}


SMALLEST = 8  # sides of a map below which the transposed convolution was not faster (fp32 and bf16, one core, AVX-512)


def fast(weight: Tensor) -> bool:
    """Whether a weight is laid out for the fast ways."""
    return not weight.is_contiguous()


def halved(x: Tensor) -> Tensor:
    """(N, C, *2S) -> (N, C, *S): means of two in each direction."""
    return MEAN[x.ndim - 2](x, 2)


def doubled(x: Tensor) -> Tensor:
    """(N, C, *S) -> (N, C, *2S): each value twice in each direction."""
    return functional.interpolate(x, scale_factor=2)


def spread_kernel(weight: Tensor) -> Tensor:
    """(…, 3, 3) -> (…, 4, 4): the sum of the kernel at the four places of a 2 × 2; of eight places in 3D."""
    for axis in range(weight.ndim - 2):
        ends = [0, 0] * axis
        weight = functional.pad(weight, (*ends, 0, 1)) + functional.pad(weight, (*ends, 1, 0))
    return weight


class Halving(nn.Module):
    """(N, inside, *2S) -> (N, outside, *S): a 3 × 3 convolution, then means of two in each direction."""

    def __init__(self, dims: int, inside: int, outside: int, bias: bool = True):
        super().__init__()
        self.conv = CONV[dims](inside, outside, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        dims, weight = x.ndim - 2, self.conv.weight  # read once: spectral norm moves its vectors with every reading
        with in_safe_precision(x, (4,) * dims, x.shape[2:]) as safe:
            if fast(weight):
                return CONVOLVED[dims](safe, spread_kernel(weight) / 2**dims, self.conv.bias, stride=2, padding=1)
            return halved(CONVOLVED[dims](safe, weight, self.conv.bias, padding=1))


class Doubling(nn.Module):
    """(N, inside, *S) -> (N, outside, *2S): nearest-neighbour doubling, then a 3 × 3 convolution."""

    def __init__(self, dims: int, inside: int, outside: int, bias: bool = True):
        super().__init__()
        self.conv = CONV[dims](inside, outside, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        dims, weight = x.ndim - 2, self.conv.weight
        if fast(weight) and min(x.shape[2:]) >= SMALLEST:
            turned = spread_kernel(weight).flip(*range(2, weight.ndim)).transpose(0, 1)
            return TRANSPOSED[dims](x, turned, self.conv.bias, stride=2, padding=1)  # type: ignore[no-any-return]
        x = doubled(x)
        with in_safe_precision(x, (3,) * dims, x.shape[2:]) as safe:
            return CONVOLVED[dims](safe, weight, self.conv.bias, padding=1)
