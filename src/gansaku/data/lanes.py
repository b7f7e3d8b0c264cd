"""The order of samples that lie in many shards: a pure function of seed and samples seen, and near each other in few shards.

The data are dealt to **lanes**, and each lane goes through its own shards. Every batch takes as many samples from each lane
as from any other, the first rows from the first lane: so a rank, whose rows are one part of the batch, needs the shards of
its own lanes only, and yet the batches are the same for any number of ranks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gansaku.keys import generator

Indices = NDArray[np.int64]
WINDOW = 2  # shards of a lane that are shuffled together


class Window(NamedTuple):
    """Neighbouring shards of a lane in one pass; the samples come in a random order."""

    shards: tuple[int, ...]
    rows: Indices  # of the samples of all shards, in the order in which they come
    mirrored: NDArray[np.bool_]


class Lanes:
    """Shards of `sizes` samples in `count` lanes. In each pass every sample comes once, and no lane has more than one shard
    more than another; a lane that is through begins its next pass without waiting for the others.
    """

    def __init__(self, sizes: Sequence[int], count: int, seed: int):
        assert 1 <= count <= len(sizes)
        self.sizes, self.count, self.seed = np.asarray(sizes, np.int64), count, seed
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.dealt = lru_cache(maxsize=8)(self._dealt)
        self.window = lru_cache(maxsize=2 * count)(self._window)
        self._ends = [np.zeros(count, np.int64)]  # samples of each lane at the end of so many passes

    def _dealt(self, number: int) -> Indices:
        """(shards,): the shards in the order of a pass; lane l has those at l, l + count, …"""
        drawn: Indices = torch.randperm(len(self.sizes), generator=generator(self.seed, number, "shards")).numpy()
        return drawn

    def shards(self, number: int, lane: int) -> Indices:
        """The shards of a lane in a pass, in their order."""
        return self.dealt(number)[lane :: self.count]

    def ends(self, passes: int) -> Indices:
        """(lanes,): samples that each lane has given after so many passes."""
        while len(self._ends) <= passes:
            number = len(self._ends) - 1
            lengths = [int(self.sizes[self.shards(number, lane)].sum()) for lane in range(self.count)]
            self._ends.append(self._ends[-1] + lengths)
        return self._ends[passes]

    def _window(self, number: int, lane: int, first: int) -> Window:
        shards = tuple(map(int, self.shards(number, lane)[first : first + WINDOW]))
        rows = np.concatenate([np.arange(self.starts[shard], self.starts[shard + 1]) for shard in shards])
        made = generator(self.seed, number, "order", lane, first)
        order = torch.randperm(len(rows), generator=made).numpy()
        return Window(shards, rows[order], torch.randint(2, (len(rows),), generator=made).numpy().astype(np.bool_))

    def places(self, seen: int, start: int, stop: int, batch: int) -> list[tuple[int, int, int]]:
        """(lane, first, last): which samples of which lanes are the rows start to stop of the batch after `seen` samples."""
        each = batch // self.count
        found = []
        for lane in range(start // each, -(-stop // each)):
            low, high = max(start, lane * each), min(stop, (lane + 1) * each)
            before = seen // self.count - lane * each
            found.append((lane, before + low, before + high))
        return found

    def stretch(self, lane: int, first: int, last: int) -> tuple[Indices, NDArray[np.bool_], tuple[int, ...]]:
        """Samples first to last of a lane, which of them are mirrored, and the shards that they lie in."""
        rows, mirrored, shards = [np.empty(0, np.int64)], [np.empty(0, np.bool_)], list[int]()
        while first < last:
            number = self.pass_of(lane, first)
            place, at = self.place(number, lane, first)
            found = self.window(number, lane, place * WINDOW)
            taken = min(last - first, len(found.rows) - at)
            rows.append(found.rows[at : at + taken])
            mirrored.append(found.mirrored[at : at + taken])
            shards += found.shards
            first += taken
        return np.concatenate(rows), np.concatenate(mirrored), tuple(dict.fromkeys(shards))

    def place(self, number: int, lane: int, sample: int) -> tuple[int, int]:
        """In which window of a lane in a pass a sample of the lane lies, and which one of the window's it is."""
        own = self.shards(number, lane)
        ends = np.cumsum(np.add.reduceat(self.sizes[own], np.arange(0, len(own), WINDOW)))
        at = sample - int(self.ends(number)[lane])
        window = int(np.searchsorted(ends, at, side="right"))
        return window, at - (int(ends[window - 1]) if window else 0)

    def pass_of(self, lane: int, sample: int) -> int:
        """The pass that a sample of a lane belongs to."""
        while self._ends[-1][lane] <= sample:
            self.ends(len(self._ends))
        return bisect_right(self._ends, sample, key=lambda ends: int(ends[lane])) - 1

    def after(self, lane: int, last: int) -> tuple[int, ...]:
        """The shards of the window that follows the one with this sample of a lane: those to fetch meanwhile."""
        number = self.pass_of(lane, last)
        window, _ = self.place(number, lane, last)
        following = self.shards(number, lane)[(window + 1) * WINDOW :]
        return tuple(map(int, (following if len(following) else self.shards(number + 1, lane))[:WINDOW]))
