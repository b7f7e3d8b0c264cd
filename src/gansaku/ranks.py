"""The seam to many processes: what a layer or a loss that looks across the batch calls, the identity on one rank.

Gradients follow the convention that the total loss is the sum over ranks, each rank's rows divided by the global
batch: so the gradient of a sum over ranks is again a sum over ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def count() -> int:
    """How many ranks there are; 1 without `torch.distributed`."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mine() -> int:
    """My rank, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def gather(x: Tensor) -> Tensor:
    """(N, ...) -> (N of all ranks, ...), in the order of the ranks; differentiable, twice."""
    return x if count() == 1 else _Gather.apply(x)  # type: ignore[no-untyped-call]


def total(x: Tensor) -> Tensor:
    """The sum over all ranks of a tensor of one shape; differentiable, twice."""
    return x if count() == 1 else _Total.apply(x)  # type: ignore[no-untyped-call]


@torch.no_grad()
def add_up(tensors: list[Tensor]) -> None:
    """Replace each tensor by its sum over the ranks, in one flat message per dtype."""
    if count() == 1:
        return
    for dtype in dict.fromkeys(t.dtype for t in tensors):  # in one order on every rank
        same = [t for t in tensors if t.dtype == dtype]
        flat = torch.cat([t.reshape(-1) for t in same])
        distributed.all_reduce(flat)
        for t, part in zip(same, torch.split(flat, [t.numel() for t in same]), strict=True):
            t.copy_(part.view_as(t))


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        everyone = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(count())]
        distributed.all_gather(everyone, x.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = mine() * ctx.rows
        return total(gradient)[start : start + ctx.rows]
