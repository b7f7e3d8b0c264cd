"""Diversity: how far apart generated samples are from one another, beside how far apart the data are."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Output, Side
from gansaku.metrics.precision_recall import squared_distances
from gansaku.parts import part

BLOCK = 1024  # rows of distances that are held at once: 10,000 samples need 80 MB


@part
class Diversity(Metric):
    """The mean distance between two generated samples over that between two real ones: 1 as the data, 0 where all are one.

    Euclidean distances of features, exact, over all pairs of different samples of a side. The ratio of the mean *squared*
    distances would be cheaper, since it is that of the total variances (the traces of the covariances), but there a sample
    that is k times as far out as the others weighs k² times as much: a few broken ones would pass for variety. It says
    nothing about being like the data: noise is diverse. Above 1 is more spread than the data have.
    """

    gives: ClassVar[dict[str, Output]] = {"diversity": Output("Diversity", "neither", "Diversity", least=0)}

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        sums = self.reference(real) if reference is None else reference
        return {"diversity": float(mean_distance(distance_sums(features(generated))) / mean_distance(sums))}

    def reference(self, real: Side) -> Tensor:
        """Raises UsageError where there is nothing to compare with."""
        sums = distance_sums(features(real))
        if not float(sums.sum()):
            raise UsageError("Diversity", f"the {real.n:,} real samples have the same features, so they have none", "SPREAD")
        return sums

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        """Over both sides, as both are samples: the delete-one jackknife, exact from each sample's sum of distances."""
        if min(real.n, generated.n) < 3:
            return {}
        ours, theirs = distance_sums(features(generated)), self.reference(real)
        ratios = (without_one(ours) / mean_distance(theirs), mean_distance(ours) / without_one(theirs))
        variance = sum(float((r - r.mean()).square().sum()) * (len(r) - 1) / len(r) for r in ratios)
        return {"diversity": variance**0.5}


def distance_sums(x: Tensor) -> Tensor:
    """(n, F) fp64 -> (n,): the distances of each row to all others, added up; each pair is looked at once."""
    x = x - x.mean(0)  # distances stay, and the products that they come from lose fewer digits
    sums = torch.zeros(len(x), dtype=x.dtype)
    for start in range(0, len(x), BLOCK):
        apart = squared_distances(x[start : start + BLOCK], x[start:]).sqrt_()
        sums[start : start + BLOCK] += apart.sum(1)
        sums[start + BLOCK :] += apart[:, BLOCK:].sum(0)
    return sums


def mean_distance(sums: Tensor) -> Tensor:
    """The mean over all pairs, from (n,) sums of distances."""
    n = len(sums)
    return sums.sum() / (n * (n - 1))


def without_one(sums: Tensor) -> Tensor:
    """(n,): the mean over all pairs that one sample is not in, for each."""
    n = len(sums)
    return (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))


def features(side: Side) -> Tensor:
    return side.known("features").double()
