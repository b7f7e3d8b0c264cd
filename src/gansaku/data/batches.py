"""From a dataset to tensors: the data order, the batch after so many samples, held-out samples.

Everything here is a pure function of (dataset, seed, samples seen): nothing is remembered, so a run that continues
needs no state of the data, and ranks and micro-batches ask for their rows of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansaku.data.content import Bytes
from gansaku.data.store import Dataset
from gansaku.errors import DataError
from gansaku.keys import generator

Indices = NDArray[np.int64]


class Order:
    """Which sample comes when: in each pass every one of `count` samples once, in that pass's own order.

    Position p is samples seen plus place in the batch, and lies in pass p // count. So a batch may cross the border
    between passes, and the order does not depend on the batch size.
    """

    def __init__(self, count: int, seed: int):
        assert count > 0
        self.count, self.seed = count, seed
        # two: the passes on both sides of a border
        self.permutation = lru_cache(maxsize=2)(self.draw_permutation)
        self.coins = lru_cache(maxsize=2)(self.draw_coins)

    def indices(self, seen: int, n: int) -> Indices:
        """(n,) which samples come after `seen` samples."""
        parts = [self.permutation(number)[start:stop] for number, start, stop in self.spans(seen, n)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def mirrored(self, seen: int, n: int) -> NDArray[np.bool_]:
        """(n,) which of these samples are mirrored: a fair coin for each (seed, pass, index)."""
        parts = [self.coins(number)[self.permutation(number)[start:stop]] for number, start, stop in self.spans(seen, n)]
        return np.concatenate([np.empty(0, np.bool_), *parts])

    def spans(self, seen: int, n: int) -> Iterator[tuple[int, int, int]]:
        """(pass, start, stop) of the stretches that n positions cover, in their order."""
        assert min(seen, n) >= 0
        at, end = seen, seen + n
        while at < end:
            number, start = divmod(at, self.count)
            stop = min(self.count, start + end - at)
            yield number, start, stop
            at += stop - start

    def draw_permutation(self, number: int) -> Indices:
        drawn: Indices = torch.randperm(self.count, generator=generator(self.seed, number, "order")).numpy()
        return drawn

    def draw_coins(self, number: int) -> NDArray[np.bool_]:
        drawn: Indices = torch.randint(2, (self.count,), generator=generator(self.seed, number, "mirror")).numpy()
        return drawn.astype(np.bool_)


class Batches:
    """The batch after `seen` samples: `batches(seen, start, stop)` gives its rows start to stop.

    A batch is (real (N, C, *S) in [-1, 1], labels (N,) int64, columns {name: (N,)}). `mirror` turns a sample
    left to right by a fair coin of (seed, pass, index): W of pictures; D of voxels, as the bundled chairs stand.
    `channels_last` is the memory format of 2D and 3D.
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        mirror: bool = False,
        split: str = "train",
    ):
        self.dataset, self.split, self.mirror = dataset, split, mirror
        self.device, self.dtype, self.channels_last = torch.device(device), dtype, channels_last
        self.order = Order(len(split_rows(dataset, split)), seed)

    @property
    def count(self) -> int:
        """Samples of a pass."""
        return self.order.count

    def __call__(self, seen: int, start: int, stop: int, batch: int = 0) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Rows start to stop of the `batch` samples that come after `seen` ones; only streamed data ask how many it has."""
        places = (seen + start, stop - start)
        rows = self.order.indices(*places) + split_rows(self.dataset, self.split).start
        return (
            self.samples(rows, self.order.mirrored(*places) if self.mirror else None),
            self.moved(self.dataset.labels[rows]),
            {name: self.moved(column[rows]) for name, column in self.dataset.columns.items()},
        )

    def held_out(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """n different samples and their labels that no training saw, never mirrored, the same for the same seed.

        Of the test split where there is one, else of the training split (then they were seen). Where there are fewer
        than n, all of them.
        """
        held = split_rows(self.dataset, "test" if "test" in self.dataset.counts else "train")
        rows = Order(len(held), seed).indices(0, min(n, len(held))) + held.start
        return self.samples(rows), self.moved(self.dataset.labels[rows])

    def everything(self, split: str = "train", block: int = 256) -> Iterator[tuple[Tensor, Tensor]]:
        """All samples of a split and their labels once, in stored order, at most `block` at a time, never mirrored."""
        held = split_rows(self.dataset, split)
        for start in range(held.start, held.stop, block):
            rows = np.arange(start, min(start + block, held.stop))
            yield self.samples(rows), self.moved(self.dataset.labels[rows])

    def samples(self, rows: Indices, mirrored: NDArray[np.bool_] | None = None) -> Tensor:
        """Rows of the store as (N, C, *S) in [-1, 1]; `mirrored` (N,) says which are turned left to right."""
        return self.made(self.dataset.rows(rows), mirrored)

    def made(self, stored: Bytes, mirrored: NDArray[np.bool_] | None) -> Tensor:
        """The same of samples (N, *S, C) that are nobody else's."""
        if mirrored is not None and mirrored.any():
            axis = 1 if self.dataset.voxels else 2  # of (n, *S, C)
            backwards = np.arange(stored.shape[axis])[::-1]
            stored[mirrored] = np.take(stored[mirrored], backwards, axis)  # twice as fast as np.flip
        return self.normalized(self.moved(stored))

    def normalized(self, stored: Tensor) -> Tensor:
        """(N, *S, C) uint8 -> (N, C, *S) in [-1, 1]: 0..255 / 127.5 - 1, or voxels 0/1 -> -1/+1."""
        # bf16 has no 1/127.5: compute in fp32 and round once
        precise = torch.float64 if self.dtype == torch.float64 else torch.float32
        # the store's order is channels_last
        form = torch.preserve_format if self.channels_last else torch.contiguous_format
        real = stored.movedim(-1, 1).to(precise, memory_format=form)
        middle = 0.5 if self.dataset.voxels else 127.5
        return real.sub_(middle).mul_(1 / middle).to(self.dtype)  # exactly -1 and 1 at the ends

    def moved(self, values: Bytes | Indices | NDArray[np.float32]) -> Tensor:
        tensor = torch.from_numpy(values)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def split_rows(dataset: Dataset, split: str) -> range:
    """The rows of a split: training rows come first. Raises DataError when the dataset has no such split."""
    if split not in dataset.counts:
        raise DataError(str(dataset.path), f"has no split {split!r}; it has {', '.join(dataset.counts)}", "DATA_SPLIT")
    start = 0 if split == "train" else dataset.counts["train"]
    return range(start, start + dataset.counts[split])


def shrink(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """(N, C, *S) -> (N, C, *size), the mean over each block of S / size values; any number of space axes.

    The memory format is kept.
    Raises DataError when a side does not divide.
    """
    space = tuple(x.shape[2:])
    if space == size:
        return x
    if len(space) != len(size) or any(whole % part for whole, part in zip(space, size, strict=True)):
        raise DataError("data", f"samples of {space} cannot be averaged to {size}: each side must divide", "DATA_SIZE")
    factors = [whole // part for whole, part in zip(space, size, strict=True)]
    split = x.reshape(*x.shape[:2], *(side for pair in zip(size, factors, strict=True) for side in pair))
    small = split.mean(dim=tuple(range(3, split.ndim, 2)))
    if x.movedim(1, -1).is_contiguous():  # channels_last, which mean() loses
        return small.movedim(1, -1).contiguous().movedim(-1, 1)
    return small
