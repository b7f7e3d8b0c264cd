"""Blocks for samples of two or three dimensions. The small tables are the only place where `Conv2d` or `Conv3d` is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import spectral_norm

from gansaku import ranks
from gansaku.errors import RecipeError
from gansaku.networks import patches


@contextmanager
def in_safe_precision(x: Tensor, kernel: tuple[int, ...], sides: tuple[int, ...]) -> Iterator[Tensor]:
    """x (N, C, *S) as a convolution between maps with these sides may take it: not in bf16 where the kernel is wider.

    There the gradient of a 3D kernel holds numbers that nobody wrote, or ends the process (oneDNN 3.12, as in torch 2.13,
    on CPUs with AVX-512 bf16: sides of 2 with kernels of 3 and 4, and of 3 and 5 transposed).
    """
    if len(sides) < 3 or min(sides) >= max(kernel) or not torch.is_autocast_enabled("cpu"):
        yield x
    else:
        with torch.autocast("cpu", enabled=False):
            yield x.to(torch.promote_types(x.dtype, torch.float32))


class Conv3d(nn.Conv3d):
    """torch's, in a precision that is safe; or as matrix products, where they are faster."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight  # read once: spectral norm moves its vectors with every reading
        if doubles(self, x.shape[2:]) and patches.pays(weight, len(x) * math.prod(x.shape[2:]) // 8):
            return patches.convolution(x, weight, self.bias)
        with in_safe_precision(x, self.kernel_size, x.shape[2:]) as safe:
            y: Tensor = self._conv_forward(safe, weight, self.bias)
            return y


class ConvTranspose3d(nn.ConvTranspose3d):
    """torch's, in a precision that is safe: kernels with even sides always were; or as matrix products."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None:
            return super().forward(x, output_size)
        weight, bias, sides, padding = self.weight, self.bias, x.shape[2:], self.padding
        if doubles(self, [2 * side for side in sides]) and patches.pays(weight, len(x) * math.prod(sides)):
            return patches.transposed_convolution(x, weight, bias)
        if max(sides) == 1 and {*padding, *self.output_padding} == {0} and self.groups == 1 and patches.laid_out(weight):
            return patches.from_points(x, weight, bias)
        odd = tuple(side for side in self.kernel_size if side % 2) or (1,)
        with in_safe_precision(x, odd, sides) as safe:
            settings: Any = self.stride, padding, self.output_padding, self.groups, self.dilation
            return functional.conv_transpose3d(safe, weight, bias, *settings)


def doubles(layer: nn.Conv3d | nn.ConvTranspose3d, large: Sequence[int]) -> bool:
    """Whether it leads to or from twice the sides as `patches` does: four wide, stride 2, padding 1; `large` are twice them."""
    wide, stride, padding = set(layer.kernel_size), set(layer.stride), set(layer.padding)
    kind = (wide, stride, padding, {*layer.dilation, layer.groups}, set(layer.output_padding), layer.padding_mode)
    usual = kind == ({patches.KERNEL}, {patches.STRIDE}, {patches.PADDING}, {1}, {0}, "zeros")
    return usual and min(large) >= patches.KERNEL and not any(side % 2 for side in large)


CONV: dict[int, Any] = {2: nn.Conv2d, 3: Conv3d}
CONV_TRANSPOSE: dict[int, Any] = {2: nn.ConvTranspose2d, 3: ConvTranspose3d}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

Grow = Literal["transpose", "resize", "shuffle"]
Norm = Literal["batch", "spectral", "none"]
AnyNorm = Literal["batch", "instance", "spectral", "none"]
Init = Literal["normal", "he"]


def grow(dims: int, inside: int, outside: int, how: Grow) -> nn.Sequential:
    """Only the doubling: (N, inside, *S) -> (N, outside, *2S), linear, no bias."""
    if how == "transpose":
        return nn.Sequential(CONV_TRANSPOSE[dims](inside, outside, 4, stride=2, padding=1, bias=False))
    if how == "shuffle":
        return nn.Sequential(CONV[dims](inside, outside * 2**dims, 3, padding=1, bias=False), Shuffle())
    return nn.Sequential(nn.Upsample(scale_factor=2), CONV[dims](inside, outside, 3, padding=1, bias=False))


def halve(dims: int, inside: int, outside: int, bias: bool) -> nn.Module:
    """(N, inside, *2S) -> (N, outside, *S), linear."""
    conv: nn.Module = CONV[dims](inside, outside, 4, stride=2, padding=1, bias=bias)
    return conv


class Shuffle(nn.Module):
    """(N, C 2^d, *S) -> (N, C, *2S): the 2^d values that stand in neighbouring channels become neighbours in space.

    Channel c 2^d + i goes to the i-th corner of a 2 × 2 (× 2), row by row: pixel shuffle (Shi et al. 2016, arXiv:1609.05158,
    sec. 3.2), in three dimensions too.
    """

    def forward(self, x: Tensor) -> Tensor:
        dims = x.ndim - 2
        apart = x.reshape(len(x), -1, *[2] * dims, *x.shape[2:])
        order = [axis for i in range(dims) for axis in (2 + dims + i, 2 + i)]
        return apart.permute(0, 1, *order).reshape(len(x), -1, *[2 * side for side in x.shape[2:]])


def finish(linear: nn.Module, outside: int, norm: AnyNorm, activation: nn.Module, norm_first: bool) -> nn.Sequential:
    """A linear layer, then normalization and activation in the asked order. Spectral norm has no layer of its own.

    Instance normalization: each sample's channel less its mean, over its deviation (Ulyanov et al. 2016, arXiv:1607.08022).
    """
    if norm in ("spectral", "none"):
        return nn.Sequential(linear, activation)
    layer = BatchNorm(outside) if norm == "batch" else nn.GroupNorm(outside, outside, affine=False)
    return nn.Sequential(linear, *((layer, activation) if norm_first else (activation, layer)))


class Stem(nn.Module):
    """Latent to the first small map: (N, Z) -> (N, width, *base), a transposed convolution of a single point."""

    def __init__(self, latent: int, width: int, base: tuple[int, ...]):
        super().__init__()
        self.dims = len(base)
        self.point = CONV_TRANSPOSE[self.dims](latent, width, base, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.point(z.view(*z.shape, *[1] * self.dims))
        return x


class BatchNorm(_BatchNorm):
    """Batch normalization for any number of dimensions, over the global batch when there are many ranks.

    Ioffe & Szegedy 2015, arXiv:1502.03167. With micro-batches each is normalized by itself. `scale` off: no γ, only β.
    """

    def __init__(self, channels: int, eps: float = 1e-5, scale: bool = True):
        super().__init__(channels, eps)
        if not scale:
            self.register_parameter("weight", None)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any (N, C, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        if ranks.count() == 1 or not self.training:
            if self.training and x.numel() == x.shape[1]:
                raise RecipeError(
                    "batch", "batch norm has nothing to compare one sample's features with; use 2 or more", "BATCH"
                )
            return super().forward(x)
        given, x = x.dtype, x.to(self.bias.dtype)
        axes = [0, *range(2, x.ndim)]
        values = x.numel() // x.shape[1] * ranks.count()
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean = ranks.total(x.sum(axes)) / values
        centred = x - mean.view(shape)
        variance = ranks.total(centred.square().sum(axes)) / values
        self._follow(mean.detach(), variance.detach() * values / max(1, values - 1))
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        return (centred * scale.view(shape) + self.bias.view(shape)).to(given)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


def initialize(network: nn.Module, how: Init, slope: float = 0.0) -> None:
    """Set all convolution weights and batch norm scales in place, from torch's global generator.

    normal: N(0, 0.02), scales N(1, 0.02) (Radford et al. 2016, arXiv:1511.06434, sec. 4). he: N(0, 2 / ((1 + slope²)
    fan-in)), scales 1 (He et al. 2015, arXiv:1502.01852, eq. 15). Biases 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            if how == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02)
            else:
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (1 + slope**2) / fan_in(module)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm) and how == "normal" and module.weight is not None:
            nn.init.normal_(module.weight, 1.0, 0.02)


def bound_spectra(network: nn.Module) -> None:
    """Divide the weight of every convolution and linear layer by its largest singular value (Miyato et al. 2018, eq. 8).

    After the weights are set: the singular vectors that are followed start from them.
    """
    for module in list(network.modules()):
        layer = isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        if layer and not module.weight.is_meta:  # on nothing, as for counting, its first steps would take seconds
            spectral_norm(module)


def fan_in(conv: nn.Module) -> float:
    """How many inputs reach one output of a convolution; of a transposed one, on average away from the borders."""
    if isinstance(conv, nn.ConvTranspose2d | nn.ConvTranspose3d):
        return conv.in_channels * math.prod(conv.kernel_size) / math.prod(conv.stride)
    assert isinstance(conv, nn.Conv2d | nn.Conv3d)
    return conv.in_channels * math.prod(conv.kernel_size)


def doublings(space: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Sides as base·2ᵏ: the base sides and k, where the smallest side's base is 4 to 7.

    Raises RecipeError for sides that no such pair reaches, naming the nearest that can be reached.
    """
    smallest = min(space)
    k = max(0, (smallest // 4).bit_length() - 1)
    if smallest < 8 or any(side % 2**k for side in space):
        wanted = " × ".join(map(str, space))
        known = [base * 2**i for i in range(1, 10) for base in (4, 5, 6, 7)]
        if smallest in known:
            raise RecipeError(
                "network", f"size {wanted}: beside {smallest} the other sides must be multiples of {2**k}", "SIZE"
            )
        near = [*[s for s in known if s < smallest][-1:], *[s for s in known if s > smallest][:1]]
        advice = f"the nearest sizes are {' and '.join(map(str, near))}"
        raise RecipeError("network", f"size {wanted} cannot be reached by doubling a base of 4 to 7; {advice}", "SIZE")
    return tuple(side // 2**k for side in space), k
