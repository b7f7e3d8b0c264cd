"""Class accuracy: whether a classifier that had no part in the training sees in a sample the class that was asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gansaku import keys
from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.metrics.probe import LinearSVM, best_c, fit
from gansaku.parts import part, require

GRID = (0.1, 1.0, 10.0)  # that C is chosen from: the features are scaled, so that the same ones do for all extractors
CHOOSING = 1000  # real samples at most that it is chosen with
MANY = 20  # classes beyond which it is 1, which was the best of five for CIFAR-10, avatars and dogs: choosing takes minutes
HELD_OUT = 4  # of so many real samples of a class one is not learned from
FEW = 20  # real samples of a class, below which a reader is told
POOR = 0.8  # accuracy on real samples, below which a reader is told


class Judge(NamedTuple):
    """What the real side is needed for: a classifier, and how good it is."""

    classifier: LinearSVM
    tested: Tensor  # (K,) fp64: how many samples of each class are held out
    right: Tensor  # (K,) fp64: how many of these it tells right


@part
class ClassAccuracy(Metric):
    """The share of generated samples whose features a linear classifier of real ones takes for the class asked for.

    A one-vs-rest linear SVM (`probe`) learns on three of four real samples of each class; where `c` is None it is chosen by
    threefold cross-validation among them. `class_accuracy_real` is the same classifier's accuracy on the fourth,
    its classes weighted as the generated ones were asked for: what samples that are as good as real ones would reach, so
    above it samples are more typical of their classes than the data. `class_imbalance` is the total variation distance
    between the classes asked for and those seen, ½ Σ |p - q|.

    After the classification accuracy scores: GAN-test of Shmelkov, Schmid & Alahari 2018, arXiv:1807.09499, sec. 3, has a
    network of its own in the place of extractor and SVM.
    """

    c: float | None = None
    seed: int = 0

    gives: ClassVar[dict[str, Output]] = {
        "class_accuracy": Output(
            "Class accuracy", "higher", "Class accuracy", 0, 1, "the share of samples that a classifier takes for their class"
        ),
        "class_accuracy_real": Output(
            "Class accuracy of real samples", "neither", "Class accuracy of real samples", 0, 1,
            "the same classifier's on real samples that it has not learned from",
        ),
        "class_imbalance": Output(
            "Class imbalance", "lower", "Class imbalance", 0, 1,
            "how far the classes seen are from those asked for: total variation distance",
        ),
    }  # fmt: skip
    needs: ClassVar[tuple[Need, ...]] = ("features", "labels")
    resamples: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.c is None or self.c > 0, "c", f"{self.c} is not positive; the larger it is, the closer the fit, or none")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        judge: Judge = reference or self.reference(real)
        asked, seen = generated.known("labels"), judge.classifier.predict(generated.known("features"))
        classes = max(len(judge.tested), 1 + int(asked.max()))
        wanted, found = (torch.bincount(labels, minlength=classes) for labels in (asked, seen))
        weights, there = weighted(judge, asked)
        return {
            "class_accuracy": float((seen == asked).double().mean()),
            "class_accuracy_real": float(weights @ (judge.right[there] / judge.tested[there]) / weights.sum()),
            "class_imbalance": float((wanted - found).abs().sum() / (2 * generated.n)),
        }

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        """Of shares of n samples, the classifier taken as given: √(p (1 - p) / (n + 4)) with two right and two wrong ones more.

        So it is not 0 where all are right (Agresti & Coull 1998).
        """
        judge = self.reference(real)
        asked, seen = generated.known("labels"), judge.classifier.predict(generated.known("features"))
        weights, there = weighted(judge, asked)
        right = (seen == asked).double().sum()
        of_class = variance(judge.right[there], judge.tested[there])
        return {
            "class_accuracy": float(variance(right, torch.tensor(generated.n)).sqrt()),
            "class_accuracy_real": float((weights.square() @ of_class).sqrt() / weights.sum()),
        }

    def reference(self, real: Side) -> Judge:
        return judged(real.known("features"), real.known("labels"), self.c, self.seed)

    def remarks(self, values: dict[str, float], real: Side, generated: Side) -> tuple[str, ...]:
        said, counts = [], asked_for(real, generated)
        if values["class_accuracy_real"] < POOR:
            share = f"{values['class_accuracy_real']:.0%}"
            said.append(f"the classifier itself tells {share} of real samples right: read class accuracy beside that")
        if few := int((counts < FEW).sum()):
            said.append(
                f"{few:,} of {len(counts):,} classes have fewer than {FEW} real samples, the smallest {int(counts.min())}: "
                "--real with more makes a better classifier"
            )
        return tuple(said)

    def check(self, real: Side, generated: Side) -> None:
        super().check(real, generated)
        for which, side in (("real", real), ("generated", generated)):
            if side.labels is None:
                raise UsageError("Class accuracy", f"needs classes, and the {which} samples have none", "CLASS")
        if int((torch.bincount(real.known("labels")) > 0).sum()) < 2:
            raise UsageError("Class accuracy", "needs real samples of two classes or more to learn from", "CLASS")
        if int(most := asked_for(real, generated).max()) < 2:
            raise UsageError("Class accuracy", f"needs 2 real samples of a class asked for, and there are {most}", "COUNT")


@lru_cache(1)  # the numbers and their errors are asked for apart, and for each class
def judged(x: Tensor, y: Tensor, c: float | None, seed: int) -> Judge:
    """From real features (n, F) and labels (n,)."""
    order, out = split(y, seed)
    learned, rest = order[~out], order[out]
    classifier = fit(x[learned], y[learned], c or chosen_c(x[learned[:CHOOSING]], y[learned[:CHOOSING]]))
    classes = 1 + int(y.max())
    right = torch.bincount(y[rest], (classifier.predict(x[rest]) == y[rest]).double(), classes)
    return Judge(classifier, torch.bincount(y[rest], minlength=classes).double(), right)


def weighted(judge: Judge, asked: Tensor) -> tuple[Tensor, Tensor]:
    """How often each class with held-out samples was asked for, fp64, and which these are."""
    there = judge.tested.nonzero().flatten()
    return torch.bincount(asked, minlength=len(judge.tested))[there].double(), there


def variance(right: Tensor, n: Tensor) -> Tensor:
    """Of the share of n that are right, by Agresti & Coull."""
    share = (right + 2) / (n + 4)
    return share * (1 - share) / (n + 4)


def asked_for(real: Side, generated: Side) -> Tensor:
    """How many real samples there are of each class that was asked for, (classes asked for,)."""
    asked = torch.bincount(generated.known("labels"))
    return torch.bincount(real.known("labels"), minlength=len(asked))[: len(asked)][asked > 0]


def split(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A random order of the samples (n,), and which of them in this order are held out: each class's second of every four.

    So a class of one sample is learned, and one of two is learned and held out.
    """
    order = torch.randperm(len(labels), generator=keys.generator("class accuracy", seed))
    by_class = labels[order].argsort(stable=True)
    counts = torch.bincount(labels)
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order][by_class]]  # of each within its class
    out = torch.zeros(len(labels), dtype=torch.bool)
    out[by_class] = rank % HELD_OUT == 1
    return order, out


def chosen_c(features: Tensor, labels: Tensor) -> float:
    """The best C of the grid; 1 where there are many classes, or fewer than two with the two samples that folds need."""
    counts = torch.bincount(labels)
    return best_c(features, labels, GRID) if int((counts > 0).sum()) <= MANY and int((counts > 1).sum()) > 1 else 1.0
