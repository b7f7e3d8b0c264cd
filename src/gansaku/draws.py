"""The rows of a batch that are mine, and the random numbers of a turn: the same for any number of ranks and micro-batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gansaku.keys import generator


class Rows(NamedTuple):
    """My part of the global batch: a rank's and a micro-batch's part are the same thing."""

    start: int
    stop: int
    total: int


class Draw(NamedTuple):
    """Random numbers of one turn, keyed by (seed, turn, purpose): no draw moves another.

    The whole batch is drawn and my rows are returned, so ranks and micro-batches see the numbers of one big batch.
    Drawn on the CPU in float32 and then moved, so that they are the same beside every device and dtype.
    """

    seed: int
    turn: int
    rows: Rows
    like: Tensor  # where and in which dtype

    def normal(self, purpose: str, *each: int) -> Tensor:
        """(N, *each) from N(0, 1)."""
        return self._mine(torch.randn(self.rows.total, *each, generator=self._generator(purpose)))

    def uniform(self, purpose: str, *each: int) -> Tensor:
        """(N, *each) from U[0, 1)."""
        return self._mine(torch.rand(self.rows.total, *each, generator=self._generator(purpose)))

    def scalar(self, purpose: str) -> Tensor:
        """One number from U[0, 1) for the whole batch."""
        return self._moved(torch.rand((), generator=self._generator(purpose)))

    def _generator(self, purpose: str) -> torch.Generator:
        return generator(self.seed, self.turn, purpose)

    def _mine(self, x: Tensor) -> Tensor:
        return self._moved(x[self.rows.start : self.rows.stop])

    def _moved(self, x: Tensor) -> Tensor:
        if self.like.device.type == "cuda":  # from pinned memory nobody waits
            x = x.pin_memory()
        return x.to(self.like.device, self.like.dtype, non_blocking=True)
