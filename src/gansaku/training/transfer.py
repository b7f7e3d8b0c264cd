"""Beginning with another training's weights: what fits is taken over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gansaku.training.state import State


class Taken(NamedTuple):
    """Of one player: how many numbers were taken over, and the names of the weights that were not."""

    numbers: int
    left: tuple[str, ...]


@torch.no_grad()
def adopt(state: State, given: State) -> dict[str, Taken]:
    """Copy each player's weights, buffers and weight average from another state, where name and shape are the same.

    A player that the other one lacks keeps its own; a weight average begins as the other's, or as its weights where it has
    none. Optimizers, counts and memory stay new.
    """
    found = {}
    for player, net in state.nets.items():
        if player not in given.nets:
            found[player] = Taken(0, tuple(name for name, _ in net.named_parameters()))
            continue
        found[player] = copied_into(net, given.nets[player].state_dict(), [name for name, _ in net.named_parameters()])
        if player in state.ema:
            source = given.ema.get(player, given.nets[player])
            copied_into(state.ema[player], net.state_dict(), [])
            copied_into(state.ema[player], source.state_dict(), [])
    return found


def copied_into(net: nn.Module, source: dict[str, Tensor], weights: Iterable[str]) -> Taken:
    """What fits, in place."""
    mine, numbers, left = net.state_dict(), 0, []
    for name, value in mine.items():
        if name in source and source[name].shape == value.shape:
            value.copy_(source[name])
            numbers += value.numel()
        elif name in weights:
            left.append(name)
    return Taken(numbers, tuple(left))
