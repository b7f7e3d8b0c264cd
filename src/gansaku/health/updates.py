"""How far an optimizer moves the weights in one cycle, in shares of the weights themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from gansaku.contract import Signals
from gansaku.training.sentinel import norms
from gansaku.training.state import State

Weights = dict[str, list[Tensor]]
"""By player."""


@torch.no_grad()
def weights(state: State) -> Weights:
    """A copy of what each player's optimizer may change."""
    return {player: [p.clone() for p in trained.values()] for player, trained in state.trained.items()}


@torch.no_grad()
def updates(before: Weights, state: State) -> Signals:
    """|w - before| / |w| over all weights of a player, as `<player>/update`, on the device. 0 where nothing moved."""
    found = {}
    for player, old in before.items():
        now: list[Tensor] = list(state.trained[player].values())
        moved, size = total_norm([new - was for new, was in zip(now, old, strict=True)]), total_norm(now)
        found[f"{player}/update"] = torch.where(moved > 0, moved / size, 0.0)
    return found


def total_norm(tensors: list[Tensor]) -> Tensor:
    """The norm of all their values together, in fp32."""
    whole: Tensor = torch.linalg.vector_norm(torch.stack([norm.float() for norm in norms(tensors)]))
    return whole
