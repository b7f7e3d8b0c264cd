"""Whether all numbers are finite: looked at on the device in every turn, read at the ticks.

A number counts as bad when it is not finite or so large that its square is not (1.8e19 in fp32): what is looked at is
the norm of each tensor. From the first bad turn on no optimizer steps, so the weights stay as they were, and what is
bad among them was bad before: that is how a cause is told from what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

LOOKS = 512  # turns that are remembered before somebody must read them


class Found(NamedTuple):
    """The first bad number: `name` is a checkpoint's tensor, or `player/what`."""

    name: str
    player: str
    turn: int
    seen: int

    def sentence(self) -> str:
        return f"is not finite at turn {self.turn:,}, the {self.player}'s, after {self.seen:,} samples"


class Look(NamedTuple):
    """The norms of what one turn saw and made, in the order in which they came about."""

    player: str
    turn: int
    seen: int
    names: tuple[str, ...]  # "/what" is the player's own, "what" comes from outside
    norms: Tensor  # one each


class Sentinel:
    """Remembers on the device whether any look so far was bad, and the looks since they were last read."""

    def __init__(self, device: str | torch.device = "cpu"):
        self.bad = torch.zeros((), dtype=torch.bool, device=device)
        self._looks: list[Look] = []

    def look(self, look: Look) -> Tensor:
        """Whether anything was bad up to now, on the device."""
        self.bad = self.bad | ~look.norms.isfinite().all()
        self._looks.append(look)
        if len(self._looks) > LOOKS:
            self.read()
        return self.bad

    def read(self) -> tuple[Found, bool] | None:
        """The first bad number, and whether it came from outside the networks. This waits for the device."""
        if not self.bad:
            self._looks.clear()
            return None
        for look in self._looks:
            for place, finite in enumerate(look.norms.isfinite().tolist()):
                if not finite:
                    name = look.names[place]
                    whole = look.player + name if name.startswith("/") else name
                    return Found(whole, look.player, look.turn, look.seen), "/" not in name
        raise AssertionError("a bad look is kept until it is read")


def norms(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The Euclidean norm of each."""
    tensors = list(tensors)
    return list(torch._foreach_norm(tensors)) if tensors else []


def first_bad(tensors: dict[str, Tensor]) -> str | None:
    """The name of the first tensor that is bad; None if none is. This waits for the device."""
    floating = {name: value for name, value in tensors.items() if value.is_floating_point()}
    if not floating:
        return None
    device = next(iter(floating.values())).device
    found = torch.stack([norm.to(device, torch.float32) for norm in norms(floating.values())]).isfinite().tolist()
    return next((name for name, good in zip(floating, found, strict=True) if not good), None)
