"""A convolution four wide of stride 2 by matrix products, where kernels for convolutions leave a CPU idle: the same numbers.

Three products belong together. Each is linear in both of its inputs, and its derivatives are the other two:

    convolved(x, w)    (N, B, *2S), (A, B, 4, 4, 4) -> (N, A, *S)     a convolution of stride 2 with a padding of 1
    transposed(y, w)   (N, A, *S),  (A, B, 4, 4, 4) -> (N, B, *2S)    the transposed one
    correlated(x, y)   (N, B, *2S), (N, A, *S)      -> (A, B, 4, 4, 4)   the gradient of both by w

With one channel B, where voxels are made or judged, `transposed` is a matrix product and an adding up along one axis after
the other: 86 -> 18 ms for 64 -> 1 channels at 64³ (batch 4, bf16, one core with AVX-512). With many weights and few places all
three are matrix products, over the patches of 4 × 4 × 4: 150 -> 77 ms for 256 -> 512 channels at 4³. Elsewhere torch's own
convolutions were faster. In bf16 `transposed` is rounded where it is added up too: 0.35 % off, and not 0.17 %.

Training lays weights out with channels last, and not so where the recipe says fast=none. That decides here as well.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

KERNEL, STRIDE, PADDING = 4, 2, 1
WEIGHTY = 512  # A · B for each place of all the small maps, at least


# What layers ask


def laid_out(weight: Tensor) -> bool:
    """Whether a weight's channels are last in memory, on a CPU; with a single channel there are strides alone to say so."""
    return weight.stride(1) == 1 and weight.device.type == "cpu"


def pays(weight: Tensor, places: int) -> bool:
    """Whether products are sooner done here, for a weight (A, B, 4, 4, 4) and N · ∏S places."""
    return laid_out(weight) and (weight.shape[1] == 1 or weighty(weight.shape, places))


def weighty(shape: torch.Size, places: int) -> bool:
    """Whether there are so many weights beside so few places."""
    return shape[0] * shape[1] >= WEIGHTY * places


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(N, B, *2S) -> (N, A, *S), in the precision that autocast asks for."""
    return biased(convolved(in_half(x), in_half(weight)), bias)


def transposed_convolution(y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(N, A, *S) -> (N, B, *2S), likewise."""
    return biased(transposed(in_half(y), in_half(weight)), bias)


def from_points(z: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(N, A, 1, 1, 1), (A, B, *S) -> (N, B, *S), likewise: a transposed convolution of single points has no overlaps."""
    made = in_half(z).flatten(1) @ rows(in_half(weight))
    return biased(made.view(len(z), *weight.shape[2:], -1).movedim(-1, 1), bias)


def in_half(x: Tensor) -> Tensor:
    """x as autocast would hand it to a convolution."""
    kind = x.device.type
    half = torch.is_autocast_enabled(kind) and x.dtype is not torch.float64
    return x.to(torch.get_autocast_dtype(kind)) if half else x


def biased(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.to(y.dtype).view(-1, 1, 1, 1)


# The three products


def convolved(x: Tensor, w: Tensor) -> Tensor:
    y: Tensor = _Convolved.apply(x, w)  # type: ignore[no-untyped-call]
    return y


def transposed(y: Tensor, w: Tensor) -> Tensor:
    x: Tensor = _Transposed.apply(y, w)  # type: ignore[no-untyped-call]
    return x


def correlated(x: Tensor, y: Tensor) -> Tensor:
    w: Tensor = _Correlated.apply(x, y)  # type: ignore[no-untyped-call]
    return w


Two = tuple[Tensor | None, Tensor | None]


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        small = [side // STRIDE for side in x.shape[2:]]
        if not weighty(w.shape, len(x) * math.prod(small)):
            return functional.conv3d(x, w, None, STRIDE, PADDING)
        return (patches(x) @ rows(w).t()).view(len(x), *small, -1).movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Two:
        (x, w), (by_x, by_w) = ctx.saved_tensors, ctx.needs_input_grad
        return transposed(gradient, w) if by_x else None, correlated(x, gradient) if by_w else None


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(y, w)
        places, kernel = (len(y), *y.shape[2:]), w.shape[2:]
        if w.shape[1] == 1:  # a row for each value of the kernel, so that whole planes are added up
            return added_up((rows(w).t() @ points(y).t()).view(*kernel, *places, 1))
        return added_up((points(y) @ rows(w)).view(*places, *kernel, -1).permute(4, 5, 6, 0, 1, 2, 3, 7))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Two:
        (y, w), (by_y, by_w) = ctx.saved_tensors, ctx.needs_input_grad
        return convolved(gradient, w) if by_y else None, correlated(gradient, y) if by_w else None


class _Correlated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        shape = torch.Size((y.shape[1], x.shape[1], KERNEL, KERNEL, KERNEL))
        if weighty(shape, y.numel() // y.shape[1]):
            return (points(y).t() @ patches(x)).view(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
        like = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last_3d)  # of w only the layout counts
        how = [STRIDE] * 3, [PADDING] * 3, [1] * 3, False, [0] * 3, 1  # [1]: no dilation; not transposed; one group
        w: Tensor = torch.ops.aten.convolution_backward(y, x, like, None, *how, [False, True, False])[1]
        return w

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Two:
        (x, y), (by_x, by_y) = ctx.saved_tensors, ctx.needs_input_grad
        return transposed(y, gradient) if by_x else None, convolved(x, gradient) if by_y else None


# What they are made of


def points(y: Tensor) -> Tensor:
    """(N, A, *S) -> (N · ∏S, A)."""
    return y.movedim(1, -1).flatten(0, -2)


def rows(w: Tensor) -> Tensor:
    """(A, B, 4, 4, 4) -> (A, 4³ · B), without a copy where channels are last."""
    return w.movedim(1, -1).flatten(1)


def patches(x: Tensor) -> Tensor:
    """(N, B, *2S) -> (N · ∏S, 4³ · B): what the kernel reads at each place, zeros beyond the edges."""
    x = functional.pad(x.movedim(1, -1), (0, 0, *[PADDING] * 6))
    for axis in (1, 2, 3):
        x = x.unfold(axis, KERNEL, STRIDE)
    return x.movedim(4, -1).flatten(4).flatten(0, 3)


def added_up(p: Tensor) -> Tensor:
    """(4, 4, 4, N, *S, B) -> (N, B, *2S): the reverse of reading patches, where they overlap the sum, one axis after the other.

    On each axis place 2i gets value 1 of patch i and value 3 of the patch before it; place 2i + 1 gets value 2, and value 0 of
    the patch behind it.
    """
    for _ in range(3):
        x = torch.stack([p[1], p[2]], 4)  # the axis is at 3, since another value stood first and is gone
        even, odd = x.unbind(4)
        even[:, :, :, 1:] += p[3][:, :, :, :-1]
        odd[:, :, :, :-1] += p[0][:, :, :, 1:]
        p = x.flatten(3, 4)
    return p.movedim(-1, 1)
