"""Several processes as one training: rank 0's state on all of them, and whether their states are still the same."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.errors import Stopped
from gansaku.ranks import Order
from gansaku.training.state import State, counts, restore, tensors


def share(state: State) -> None:
    """Rank 0's state becomes everyone's. The others call `take`."""
    if ranks.count() == 1:
        return
    ranks.tell(Order.STATE)
    held = tensors(state)
    shapes = {name: [list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in held.items()}
    ranks.tell_text(json.dumps([shapes, counts(state)]))
    for value in held.values():
        ranks.send(value.detach().to(state.device))  # some counters of torch's optimizers stay on the CPU


def take(state: State) -> None:
    """Set a state, as this rank began it, to rank 0's."""
    shapes, numbers = json.loads(ranks.tell_text())
    stored: dict[str, Tensor] = {}
    for name, (shape, dtype) in shapes.items():
        stored[name] = torch.empty(shape, dtype=getattr(torch, dtype), device=state.device)
        ranks.send(stored[name])
    restore(state, stored, numbers)


def agree(state: State) -> None:
    """Raises Stopped, on all ranks, where a state is not bit for bit rank 0's. Rank 0 tells, the others call it when told.

    Weights, averages, moments and memory are looked at through the sum of their bits.
    """
    if ranks.count() == 1:
        return
    if ranks.mine() == 0:
        ranks.tell(Order.AGREE)
    held = dict(sorted(tensors(state).items()))
    mine = torch.stack([bits(value).to(state.device) for value in held.values()])
    everyone = ranks.side_by_side(mine).cpu()
    for rank, theirs in enumerate(everyone):
        different = [name for name, same in zip(held, (theirs == everyone[0]).tolist(), strict=True) if not same]
        if different:
            more = f" and {len(different) - 1} more" if len(different) > 1 else ""
            sentence = f"has another {different[0]}{more} than rank 0 after {state.seen:,} samples"
            advice = "the last checkpoint is sound; unequal processors, libraries or memory errors do this"
            raise Stopped(f"rank {rank}", f"{sentence}; {advice}", "RANKS_DIFFER")


def bits(x: Tensor) -> Tensor:
    """The sum of a tensor's bits, taken as whole numbers modulo 2^64: one flipped bit changes it."""
    as_whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    if x.dtype == torch.bool:
        return x.sum(dtype=torch.int64)
    return x.detach().contiguous().view(as_whole).sum(dtype=torch.int64)
