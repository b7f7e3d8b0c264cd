"""3D-GAN's own test of a discriminator: how well a linear classifier tells the classes of data apart by what it sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gansaku.data.store import Dataset
from gansaku.errors import DataError
from gansaku.evaluation.features import Progress
from gansaku.evaluation.samples import Stored
from gansaku.metrics.probe import accuracy, best_c, pooled

STEP = 64
CHOOSING = 2000  # training samples that C is chosen with
Looked = Callable[[str, int, int], None]  # what is looked at, how many of it, of how many


def quiet(what: str, done: int, total: int) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Probe:
    """Accuracy on the test samples, beside that of always naming the most frequent class."""

    accuracy: float
    chance: float
    classes: int
    features: int
    c: float  # of the support vector machine, chosen by cross-validation on the training samples
    n_train: int
    n_test: int

    def __str__(self) -> str:
        return (
            f"A linear classifier on the discriminator's {self.features:,} features tells {self.classes} classes apart in "
            f"{self.accuracy:.1%} of {self.n_test:,} test samples; always naming the commonest, in {self.chance:.1%}. "
            f"It learned on {self.n_train:,} samples, with C = {self.c:g}."
        )

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def probed(
    discriminator: nn.Module, dataset: Dataset, device: torch.device, progress: Looked = quiet, n: int = 10_000
) -> Probe:
    """Of at most n samples of each split; without a test split, of two halves. Raises DataError for data without classes."""
    if len(dataset.classes) < 2:
        raise DataError(dataset.name, "has no classes to tell apart; class folders, or labels in an .npz, make some", "CLASS")
    if "test" in dataset.counts:
        train, test = Stored(dataset), Stored(dataset, "test")
    else:
        half = dataset.counts["train"] // 2
        train, test = Stored(dataset, "train", 0, half), Stored(dataset, "train", half)
    sides = [
        seen_by(discriminator, samples, min(n, samples.count), device, partial(progress, what))
        for what, samples in (("training samples", train), ("test samples", test))
    ]
    (x, y), (test_x, test_y) = sides
    c = best_c(x[:CHOOSING], y[:CHOOSING])
    found = accuracy(x, y, test_x, test_y, c)
    chance = float(torch.bincount(test_y).max() / len(test_y))
    return Probe(found, chance, len(dataset.classes), x.shape[1], c, len(x), len(test_x))


def seen_by(
    discriminator: nn.Module, samples: Stored, n: int, device: torch.device, progress: Progress
) -> tuple[Tensor, Tensor]:
    """Features (n, F) and labels (n,)."""
    parts = []
    for start in range(0, n, STEP):
        block = samples.block(start, min(start + STEP, n)).to(device).float()
        values = block.mul(2).sub(1) if len(samples.shape) == 4 else block.div(127.5).sub(1)
        parts.append(pooled(discriminator, values))
        progress(min(start + STEP, n), n)
    labels = samples.labels(0, n)
    assert labels is not None
    return torch.cat(parts), labels
