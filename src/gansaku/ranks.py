"""The seam to many processes: what a layer or a loss that looks across the batch calls, the identity on one rank.

Gradients follow the convention that the total loss is the sum over ranks, each rank's rows divided by the global
batch: so the gradient of a sum over ranks is again a sum over ranks.

Rank 0 leads: it alone writes, draws and decides, and tells the others by orders what they do next together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, distributed

from gansaku.errors import Stopped


class Order(IntEnum):
    """What rank 0 tells the others to do next, all at once."""

    END = 0  # the training is over, whatever came of it
    PLAN = 1  # take what is to be trained
    STATE = 2  # take rank 0's state
    CYCLE = 3  # one cycle
    AGREE = 4  # show that our states are the same
    SCORE = 5  # take part in the features of generated samples
    MORE = 6  # some more of these


class _Here:
    """What this process knows of the others."""

    alone = False  # rank 0 does something by itself
    orders: Any = None  # the group for orders: rank 0 may keep the others waiting for hours while it scores


def count() -> int:
    """How many ranks there are; 1 without `torch.distributed`, and in `alone`."""
    return 1 if _Here.alone else everyone()


def everyone() -> int:
    """How many ranks there are, in `alone` too."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mine() -> int:
    """My rank, from 0."""
    return distributed.get_rank() if count() > 1 else 0


@contextmanager
def alone(yes: bool = True) -> Iterator[None]:
    """In the block this rank is the only one: what rank 0 does beside the training. `alone(False)`: not so again."""
    before, _Here.alone = _Here.alone, yes
    try:
        yield
    finally:
        _Here.alone = before


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


# Orders


def take_orders(group: Any) -> None:
    """Orders go through this group of all ranks on the CPU from now on; None: there are none any more."""
    _Here.orders = group


def tell(order: Order) -> None:
    """Rank 0 tells the others what comes next; nothing where there are none."""
    if count() > 1 and _Here.orders is not None:
        distributed.broadcast(torch.tensor([int(order)]), 0, group=_Here.orders)


def told() -> Order:
    """What rank 0 says, however long it takes."""
    order = torch.zeros(1, dtype=torch.int64)
    distributed.broadcast(order, 0, group=_Here.orders)
    return Order(int(order))


def tell_text(text: str = "") -> str:
    """The text of rank 0, on all ranks."""
    content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) if mine() == 0 else torch.empty(0)
    size = torch.tensor([len(content)])
    distributed.broadcast(size, 0, group=_Here.orders)
    if mine():
        content = torch.empty(int(size), dtype=torch.uint8)
    distributed.broadcast(content, 0, group=_Here.orders)
    return bytes(content.tolist()).decode()


def wait_for_all() -> None:
    """Go on when all ranks are here, however long it takes."""
    distributed.barrier(group=_Here.orders)


@torch.no_grad()
def send(x: Tensor) -> None:
    """Make x what it is on rank 0, in place."""
    whole = x.contiguous()
    distributed.broadcast(whole, 0)
    if mine():
        x.copy_(whole)


def side_by_side(x: Tensor) -> Tensor:
    """(...) -> (ranks, ...): what each rank has, on all of them."""
    found = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(count())]
    distributed.all_gather(found, x.contiguous())
    return torch.stack(found)


@contextmanager
def heard() -> Iterator[None]:
    """Raises Stopped for what torch raises in the block when another rank is gone or does not answer."""
    try:
        yield
    except RuntimeError as error:
        if everyone() == 1 or not about_ranks(error):
            raise
        said = str(error).splitlines()[0].split("] ")[-1].split(". ")[0]  # gloo adds a wish and a beach
        sentence = f"another process of this training is gone, or does not answer ({said})"
        advice = "what it said stands above; the same command goes on from the last checkpoint"
        raise Stopped(f"rank {distributed.get_rank()}", f"{sentence}; {advice}", LOST) from error


LOST = "RANK_LOST"


def about_ranks(error: RuntimeError) -> bool:
    """Whether torch says that a message between ranks could not be sent; gloo has no exception of its own for it."""
    text = str(error).lower()
    words = ("gloo", "connection closed", "connection reset", "broken pipe", "timed out waiting", "timeout", "nccl")
    return isinstance(error, distributed.DistError) or any(word in text for word in words)


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
