"""What a dataset is: how its classes and splits are filled, what repeats, what its samples look like on average."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku.data.similar import BITS, FLAT, Near, Pair, across_splits, blocks, exact, twins
from gansaku.data.store import Dataset
from gansaku.render.overview_page import Exhibit, Twins, page
from gansaku.render.overview_pictures import chosen, contact_sheet

MOST_MEANS = 20  # classes whose means are taken
PAIRS = 12  # of a kind that are shown

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Overview:
    """Facts and arrays of a dataset, in levels 0..255, or the share that is occupied.

    `leaks` are pairs of a training and a test sample of the same content, or nearly so. `class_means` has no rows where there
    are more than MOST_MEANS classes, or none; a class without samples is zeros there.
    """

    counts: dict[str, int]
    balance: NDArray[np.int64]  # (classes, 2): training and test samples
    exact: list[list[int]]
    near: Near
    leaks: list[Pair]
    mean: Floats  # (C, *S)
    spread: Floats  # (C, *S), standard deviation over the samples
    class_means: Floats  # (classes, C, *S)
    levels: NDArray[np.int64]  # (256,): how many values of all pictures are at each level; of voxels 0 and 1
    occupancy: Floats  # (N,): of each sample of voxels; (0,) for pictures
    grey: int  # pictures stored in colour that have none
    flat: int  # pictures of one colour, and empty voxels

    @property
    def repeated(self) -> int:
        """Samples that are the same as an earlier one."""
        return sum(len(group) - 1 for group in self.exact)

    @property
    def alike(self) -> int:
        """Samples that have a twin, an exact one or a near one."""
        return len({row for pair in self.near.pairs for row in pair[:2]} | {row for group in self.exact for row in group})

    @property
    def leaked(self) -> int:
        """Test samples that are in the training split too, or nearly so."""
        return len({pair[1] for pair in self.leaks})


def overview(dataset: Dataset) -> Overview:
    """Read all samples, three times. On one core 10,000 pictures of 64 px take 4 s, 100,000 of 32 px 26 s and 230 MB."""
    copies, near = exact(dataset), twins(dataset)
    sums = added_up(dataset)
    count, shape = sum(dataset.counts.values()), dataset.shape
    mean = sums.total / count
    spread = np.sqrt(np.maximum(sums.squares / count - mean**2, 0))
    balance = class_counts(dataset)
    class_means = sums.classes / np.maximum(balance.sum(1), 1)[: len(sums.classes), None]
    return Overview(
        dict(dataset.counts),
        balance,
        copies,
        near,
        leaks_of(copies, near, dataset.counts),
        channels_first(mean[None], shape)[0],
        channels_first(spread[None], shape)[0],
        channels_first(class_means, shape),
        sums.levels,
        np.concatenate(sums.occupancy) if sums.occupancy else np.zeros(0, np.float32),
        sums.grey,
        sums.flat,
    )


def class_counts(dataset: Dataset) -> NDArray[np.int64]:
    """(classes, 2): training and test samples of each class."""
    train, many = dataset.counts["train"], len(dataset.classes)
    if not many:
        return np.zeros((0, 2), np.int64)
    return np.stack([np.bincount(part, minlength=many) for part in (dataset.labels[:train], dataset.labels[train:])], axis=1)


def leaks_of(copies: list[list[int]], near: Near, counts: dict[str, int]) -> list[Pair]:
    """One pair for each test sample that has a copy or a twin in the training split: the nearest, nearest first."""
    same = [(group[0], row, 0) for group in copies for row in group[1:]]
    nearest: dict[int, Pair] = {}
    for pair in across_splits([*same, *near.pairs], counts):
        nearest.setdefault(pair[1], pair)
    return sorted(nearest.values(), key=lambda pair: pair[2])


class Sums:
    """What one pass over the samples adds up."""

    def __init__(self, values: int, classes: int):
        self.total, self.squares = np.zeros(values), np.zeros(values)
        self.classes = np.zeros((classes, values))
        self.levels = np.zeros(256, np.int64)
        self.occupancy: list[Floats] = []
        self.grey = self.flat = 0


def added_up(dataset: Dataset) -> Sums:
    """One pass over all samples."""
    classes = len(dataset.classes) if len(dataset.classes) <= MOST_MEANS else 0
    sums = Sums(math.prod(dataset.shape), classes)
    for start, block in blocks(dataset):
        values = block.reshape(len(block), -1).astype(np.float32)
        labels = dataset.labels[start : start + len(block)]
        rows = np.stack([np.ones(len(block), bool), *(labels == label for label in range(classes))]).astype(np.float32)
        added = rows @ values
        sums.total += added[0]
        sums.classes += added[1:]
        sums.squares += np.square(values, out=values).sum(0, dtype=np.float64)
        sums.levels += np.bincount(block.reshape(-1), minlength=256)
        if dataset.voxels:
            occupied = values.mean(1, dtype=np.float64).astype(np.float32)
            sums.occupancy.append(occupied)
            sums.flat += int((occupied == 0).sum())
        else:
            pixels = block.reshape(len(block), -1, block.shape[-1])
            sums.flat += int(((pixels.max(1) - pixels.min(1)).max(1) < FLAT).sum())
            if block.shape[-1] == 3:
                sums.grey += int((pixels == pixels[..., :1]).all((1, 2)).sum())
    return sums


def channels_first(rows: NDArray[np.float64], shape: tuple[int, ...]) -> Floats:
    """(n, values) as they are stored, channels last -> (n, C, *S)."""
    return np.moveaxis(rows.reshape(len(rows), *shape[1:], shape[0]), -1, 1).astype(np.float32)


def overview_page(found: Mapping[str, Any], dataset: Dataset, seen: Overview) -> str:
    """The page of a dataset, of `described_data(dataset, seen)` and its samples."""
    rows = chosen(dataset.labels, len(dataset.classes))
    exhibit = Exhibit(
        samples_of(dataset, rows),
        dataset.labels[rows],
        [name_of(dataset, row) for row in rows.tolist()],
        seen.balance,
        seen.mean,
        seen.spread,
        seen.class_means,
        seen.levels,
        seen.occupancy,
        [twins_of(dataset, *pair) for pair in shown_pairs(seen)],
        dataset.skipped,
    )
    return page(found, exhibit)


def overview_sheet(dataset: Dataset) -> bytes:
    """64 samples as a PNG, by class where there are classes."""
    rows = chosen(dataset.labels, len(dataset.classes))
    return contact_sheet(samples_of(dataset, rows), dataset.labels[rows], dataset.classes)


def shown_pairs(seen: Overview) -> list[Pair]:
    """Leaks, then the nearest that are not the same, then those that are; a pair of each group."""
    same = [(group[0], group[1], 0) for group in seen.exact]
    group_of = {row: number for number, group in enumerate(seen.exact) for row in group}
    near = [pair for pair in seen.near.pairs if group_of.get(pair[0], -1) != group_of.get(pair[1], -2)]
    return list(dict.fromkeys([*seen.leaks[:PAIRS], *near[:PAIRS], *same[:PAIRS]]))


def twins_of(dataset: Dataset, one: int, other: int, apart: int) -> Twins:
    """Two rows beside each other, and in words how far apart they are."""
    samples = samples_of(dataset, np.array([one, other]))
    if not apart:
        words = "the same" if np.array_equal(*samples) else "no difference seen"
    else:
        words = voxels_differ(apart) if dataset.voxels else f"{apart} of {BITS} bits differ"
    leak = one < dataset.counts["train"] <= other
    return Twins(samples, (name_of(dataset, one), name_of(dataset, other)), words, leak)


def voxels_differ(number: int) -> str:
    return "1 voxel differs" if number == 1 else f"{number:,} voxels differ"


def samples_of(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(n, C, *S)"""
    return np.moveaxis(dataset.rows(rows), -1, 1)


def name_of(dataset: Dataset, row: int) -> str:
    return dataset.names[row] if len(dataset.names) else f"row {row:,}"
