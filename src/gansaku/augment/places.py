"""Values of a sample at other places: linear in the sample, made of torch's own gather, so differentiable any number of times.

Pictures are (C, H, W) and voxels (C, D, H, W) = (left to right, front to back, floor to top): axes 0 and 1 of space are the
plane in which things turn and stay upright. Nothing here is a matrix product, which autocast would compute in bf16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gansaku.terms import spread

LEFT_TO_RIGHT = {2: 1, 3: 0}
"""By the number of space's dimensions: which of its axes runs from left to right."""

EMPTY = {2: 0.0, 3: -1.0}
"""What stands where nothing is: mid grey in pictures, and no voxel, since 0 would be half of one."""

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def dims_of(x: Tensor) -> int:
    """How many dimensions space has."""
    return x.ndim - 2


def laid_out(x: Tensor, like: Tensor) -> Tensor:
    """x with its channels last in memory where `like` has them so, which a network after it reads without a copy."""
    last = CHANNELS_LAST[like.ndim]
    return x.contiguous(memory_format=last) if like.is_contiguous(memory_format=last) and not like.is_contiguous() else x


def whole(uniform: Tensor, n: int) -> Tensor:
    """0 … n - 1, all equally likely, from U[0, 1); n itself, which rounding could give, never."""
    return (uniform * n).floor().clamp(max=n - 1)


def mirrored(x: Tensor, which: Tensor) -> Tensor:
    """The samples with `which` (N,) set, mirrored left to right."""
    return x.where(~spread(which, x), x.flip(2 + LEFT_TO_RIGHT[dims_of(x)]))


def shifted(x: Tensor, steps: Tensor, fill: float | None) -> Tensor:
    """Each sample moved by whole `steps` (N, dims); `fill` comes in, or the sample mirrored at its edge where that is None."""
    index, inside = torch.zeros((), dtype=torch.long, device=x.device), torch.ones((), dtype=torch.bool, device=x.device)
    for i, side in enumerate(x.shape[2:]):
        axis = along(torch.arange(side, device=x.device), i, x)
        place = axis - spread(steps[:, i].long(), axis)
        index = index * side + (folded(place, side) if fill is None else place.clamp(0, side - 1))
        inside = inside & (place >= 0) & (place < side)
    values = taken(x, index)
    return values if fill is None else values.where(inside[:, None], fill)


def transformed(x: Tensor, inverse: Tensor, fill: float | None) -> Tensor:
    """y(p) = x(A p + t) for A, t of `inverse` (N, dims, dims + 1), interpolated linearly between the 2^dims values around.

    Places are counted in steps from the middle. Outside is as for `shifted`. Where A and t lead to whole places, values
    are copied to the bit.
    """
    sides = x.shape[2:]
    axes = [along(torch.arange(n, device=x.device, dtype=inverse.dtype) - (n - 1) / 2, i, x) for i, n in enumerate(sides)]
    corners: list[tuple[Tensor, Tensor]] = []  # the linear index of each of the values around, and its share
    for i, side in enumerate(sides):
        place = spread(inverse[:, i, -1] + (side - 1) / 2, axes[0])
        for j, axis in enumerate(axes):
            place = place + spread(inverse[:, i, j], axis) * axis
        pair = neighbors(place, side, fill is None)
        corners = [(a * side + b, u * v) for a, u in corners for b, v in pair] if corners else pair
    result = torch.zeros_like(x, memory_format=torch.contiguous_format)
    inside = torch.zeros_like(corners[0][1])
    for index, share in corners:
        result = result + share[:, None].to(x) * taken(x, index)
        inside = inside + share
    return result if not fill else result + (fill * (1 - inside))[:, None].to(x)


def transformed_upright(x: Tensor, inverse: Tensor, fill: float | None) -> Tensor:
    """`transformed` for voxels whose last axis mixes with no other: the plane first, then that axis. The same, in less time."""
    layers = x.movedim(-1, 2)
    plane = transformed(layers.flatten(1, 2), torch.cat([inverse[:, :2, :2], inverse[:, :2, 3:]], 2), fill)
    columns = plane.view(layers.shape).movedim(2, -1).flatten(1, 3)
    return transformed(columns, inverse[:, 2:, 2:], fill).view(x.shape)


def neighbors(place: Tensor, side: int, mirror: bool) -> list[tuple[Tensor, Tensor]]:
    """The two whole places around a place on one axis, with their shares: 0 for one outside, where nothing is mirrored."""
    if mirror:
        place = folded(place, side)
        low = place.floor()
        share = place - low
        return [(low.long(), 1 - share), ((low + 1).clamp(max=side - 1).long(), share)]
    place = place.clamp(-1, side)
    low = place.floor()
    share = place - low
    found = [(low, 1 - share), (low + 1, share)]
    return [(at.clamp(0, side - 1).long(), part * ((at >= 0) & (at < side))) for at, part in found]


def folded(place: Tensor, side: int) -> Tensor:
    """A place beyond an edge becomes the one as far inside: -1 is 1, and `side` is side - 2."""
    period = max(1, 2 * (side - 1))
    place = place.abs() % period
    return place.where(place <= side - 1, period - place)


def taken(x: Tensor, index: Tensor) -> Tensor:
    """(N, C, *S): what x has at linear places of space, (N, *S) or what broadcasts to it."""
    everywhere = index.expand(len(x), *x.shape[2:]).flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, everywhere).view(x.shape)


def boxed(x: Tensor, first: Tensor, last: Tensor, fill: float) -> Tensor:
    """Each sample with a box of `fill`, from place `first` to `last` (N, dims), both within; what is outside is not cut."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for i, side in enumerate(x.shape[2:]):
        axis = along(torch.arange(side, device=x.device), i, x)
        inside = inside & (axis >= spread(first[:, i], axis)) & (axis <= spread(last[:, i], axis))
    return x.where(~inside[:, None], fill)


def along(values: Tensor, axis: int, x: Tensor) -> Tensor:
    """(side,) -> (1, 1, …, side, …, 1), along one of the axes of x's space."""
    return values.view(1, *[-1 if i == axis else 1 for i in range(dims_of(x))])
