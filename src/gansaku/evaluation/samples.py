"""Where samples come from, in an order that never changes: the first n of them are the same n, however many are asked for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansaku import keys
from gansaku.data.content import SPLITS
from gansaku.data.store import Dataset
from gansaku.errors import UsageError
from gansaku.sampling import quantized


class Samples(ABC):
    """Samples numbered 0, 1, …; `count` is how many there are, None for as many as anybody wants."""

    name: str  # for people
    identity: dict[str, Any]  # JSON; two of the same identity give the same samples
    shape: tuple[int, ...]  # (C, *S)
    count: int | None
    classes: tuple[str, ...] = ()
    jpeg: float | None = None  # share of JPEG among the files that they come from; nan where that is not known
    kept: bool = True  # whether features may lie in the cache: not of weights that nobody stored

    @abstractmethod
    def block(self, start: int, stop: int) -> Tensor:
        """(stop - start, C, *S) uint8: pictures 0..255, voxels 0/1."""

    @abstractmethod
    def labels(self, start: int, stop: int) -> Tensor | None:
        """(stop - start,) int64; None where there are no classes."""


@dataclass(frozen=True)
class Stored(Samples):
    """Samples of a dataset: its split ("train", "test", or "all"), shuffled once and for ever; `rows` picks some of it."""

    dataset: Dataset
    split: str = "train"
    first: int = 0  # the shuffled samples before this one are left out: how a split is cut into disjoint parts
    last: int | None = None
    label: int | None = None  # only samples of this class
    order: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        low, high = bounds(self.dataset, self.split)
        shuffled = torch.randperm(high - low, generator=keys.generator("evaluation", self.split, high - low)).numpy() + low
        if self.label is not None:
            shuffled = shuffled[self.dataset.labels[shuffled] == self.label]
        object.__setattr__(self, "order", shuffled[self.first : self.last])

    @property
    def jpeg(self) -> float | None:  # type: ignore[override]
        formats: dict[str, int] = self.dataset.report.get("formats") or {}
        return (formats.get("JPEG", 0) + formats.get("MPO", 0)) / sum(formats.values()) if formats else math.nan

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.dataset.name

    @property
    def part(self) -> str:
        """Which samples of the data: `train`, or `train[4500:9000]` of the shuffled split."""
        whole = (self.first, self.last) == (0, None)
        rows = "" if whole else f"[{self.first}:{'' if self.last is None else self.last}]"
        return f"{self.split}{rows}" + ("" if self.label is None else f", class {self.classes[self.label]}")

    @property
    def identity(self) -> dict[str, Any]:  # type: ignore[override]
        part = {} if (self.first, self.last) == (0, None) else {"first": self.first, "last": self.last}
        only = {} if self.label is None else {"label": self.label}
        return {"data": self.dataset.fingerprint, "split": self.split, **part, **only}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.dataset.shape

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self.order)

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.dataset.classes

    def block(self, start: int, stop: int) -> Tensor:
        return torch.from_numpy(np.moveaxis(self.dataset.rows(self.order[start:stop]), -1, 1).copy())

    def labels(self, start: int, stop: int) -> Tensor | None:
        return torch.from_numpy(self.dataset.labels[self.order[start:stop]]) if self.classes else None


@dataclass(frozen=True)
class Generated(Samples):
    """Samples that a generator makes: `make` takes their numbers and returns (n, C, *S) in [-1, 1]."""

    name: str
    identity: dict[str, Any]
    shape: tuple[int, ...]
    make: Callable[[Sequence[int]], Tensor]
    classes: tuple[str, ...] = ()
    label: int | None = None
    count: int | None = None
    kept: bool = True

    def block(self, start: int, stop: int) -> Tensor:
        made = self.make(range(start, stop))
        return made.gt(0).to(torch.uint8) if len(self.shape) == 4 else quantized(made)

    def labels(self, start: int, stop: int) -> Tensor | None:
        if not self.classes:
            return None
        numbers = torch.arange(start, stop)
        return numbers % len(self.classes) if self.label is None else torch.full_like(numbers, self.label)


def bounds(dataset: Dataset, split: str) -> tuple[int, int]:
    """The rows of a split. Raises UsageError for one that the data do not have."""
    train, total = dataset.counts["train"], sum(dataset.counts.values())
    found = {"train": (0, train), "test": (train, total), "all": (0, total)}
    if split not in found:
        raise UsageError("--split", f"{split!r} is no split; use {', '.join((*SPLITS, 'all'))}", "SPLIT")
    if split == "test" and total == train:
        raise UsageError("--split", f"{dataset.name} has no test split; use train or all", "SPLIT")
    return found[split]
