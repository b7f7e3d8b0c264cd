"""Fréchet distance: how far apart two sets of features are when each is taken for a normal distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from scipy.linalg import blas
from torch import Tensor

from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Output, Side
from gansaku.parts import part

BLOCK = 4096  # rows that are held in fp64 at once
STRAIGHT = 2**18  # entries up to which singular values are taken straight: it costs little, and loses no digits


class Normal(NamedTuple):
    """N(mean, factorᵀ factor). Any factor will do: what is asked of it does not depend on which."""

    mean: Tensor  # (F,) fp64
    factor: Tensor  # (R, F) fp64, R <= F

    @property
    def trace(self) -> Tensor:
        """Of the covariance."""
        return self.factor.square().sum()


@dataclass(frozen=True)
class Moments:
    """Count, mean and centred sum of squares Σ (x - mean)(x - mean)ᵀ of n features, in fp64.

    Moments of parts merge into those of the whole in any order, without the cancellation of Σ x xᵀ - n mean meanᵀ
    (Chan, Golub & LeVeque 1983).
    """

    n: int
    mean: Tensor  # (F,)
    scatter: Tensor  # (F, F)

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Of features (n, F)."""
        size = features.shape[1]
        made = cls(0, torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64))
        for rows in torch.split(features, BLOCK):
            made = made.added(rows)
        return made

    def added(self, batch: Tensor) -> Moments:
        """With the rows of another batch (m, F)."""
        rows = batch.double()
        if not len(rows):
            return self
        mean = rows.mean(0)
        centred = rows - mean
        return self.merged(Moments(len(rows), mean, centred.T @ centred))

    def merged(self, other: Moments) -> Moments:
        """Of both together."""
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + torch.outer(gap, gap) * (self.n * other.n / n)
        return Moments(n, self.mean + gap * (other.n / n), scatter)

    @property
    def covariance(self) -> Tensor:
        """scatter / (n - 1). Raises UsageError for fewer than two samples."""
        if self.n < 2:
            raise UsageError("covariance", f"needs 2 samples or more, and there are {self.n}", "COUNT")
        return self.scatter / (self.n - 1)

    def normal(self) -> Normal:
        """Factored by Cholesky, or where the covariance is singular by its eigenvectors."""
        covariance = self.covariance
        if self.n > len(self.mean):
            lower, failed = torch.linalg.cholesky_ex(covariance)
            if not failed:
                return Normal(self.mean, lower.T)
        values, vectors = torch.linalg.eigh(covariance)
        rounding = values[-1] * len(values) * torch.finfo(values.dtype).eps  # what is no larger is no direction of the data
        kept = values > rounding
        return Normal(self.mean, (vectors[:, kept] * values[kept].sqrt()).T)


def fitted(features: Tensor) -> Normal:
    """The normal distribution with mean and covariance of features (n, F).

    No more samples than dimensions are a factor of their covariance as they are, which needs no (F, F) matrix.
    """
    n, dimensions = features.shape
    if not 2 <= n <= dimensions:
        return Moments.of(features).normal()
    rows = features.double()
    return Normal(rows.mean(0), (rows - rows.mean(0)) / (n - 1) ** 0.5)


def distance(a: Normal, b: Normal) -> float:
    """|μa - μb|² + tr A + tr B - 2 tr (A B)^½, in squared feature units (Heusel et al. 2017, arXiv:1706.08500, eq. 6).

    Zero for equal distributions, never negative, the same in both directions. The estimate falls as samples grow.

    (A B)^½ has the trace Σ √λ(A B), and for A = aᵀa, B = bᵀb these are the singular values of a bᵀ: no complex square root
    and nothing added to a singular matrix, and no matrix larger than the smaller number of samples.
    """
    return max(0.0, float((a.mean - b.mean).square().sum() + a.trace + b.trace - 2 * nuclear_norm(a.factor @ b.factor.T)))


def nuclear_norm(matrix: Tensor) -> Tensor:
    """The sum of the singular values of a matrix (R, S).

    A large one's are the roots of its Gram matrix's eigenvalues, which takes a quarter of the time: singular values below
    1e-8 of the largest are lost in the rounding of their squares.
    """
    if matrix.numel() <= STRAIGHT:
        straight: Tensor = torch.linalg.svdvals(matrix).sum()
        return straight
    wide = (matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T).contiguous().numpy()
    lower = torch.from_numpy(blas.dsyrk(1.0, wide.T, trans=1).T)  # of wide wideᵀ: half the work of a product
    squares: Tensor = torch.linalg.eigvalsh(lower)
    return squares.clamp_min(0).sqrt().sum()


@part
class FrechetDistance(Metric):
    """The Fréchet distance of features: FID with the 2015 Inception's (Heusel et al. 2017, arXiv:1706.08500)."""

    gives: ClassVar[dict[str, Output]] = {"fid": Output("FID", "lower", "FD", least=0)}
    biased = True

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        return {"fid": distance(reference or self.reference(real), fitted(generated.known("features")))}

    def reference(self, real: Side) -> Normal:
        return fitted(real.known("features"))


class Extrapolated(NamedTuple):
    """Where a metric would be with endless samples, and how sure the line through its points is of that."""

    value: float
    error: float  # standard error of the intercept; the points share samples, so that it is a lower bound
    slope: float  # the bias at n samples is slope / n


def extrapolated(sizes: list[int], values: list[float]) -> Extrapolated:
    """The intercept of values = value + slope / n, by least squares: FID∞ (Chong & Forsyth 2020, arXiv:1911.07023).

    Raises UsageError for fewer than three sizes that differ.
    """
    if len(set(sizes)) < 3:
        raise UsageError(
            "sizes", f"{sorted(set(sizes))} are fewer than 3 numbers of samples, which no line can be tested on", "COUNT"
        )
    x, y = 1 / np.asarray(sizes, float), np.asarray(values, float)
    spread = ((x - x.mean()) ** 2).sum()
    slope = ((x - x.mean()) * y).sum() / spread
    value = y.mean() - slope * x.mean()
    variance = ((y - value - slope * x) ** 2).sum() / (len(x) - 2)
    return Extrapolated(float(value), float((variance * (1 / len(x) + x.mean() ** 2 / spread)) ** 0.5), float(slope))


class Curve(NamedTuple):
    """A number of a metric by the number of generated samples."""

    sizes: list[int]
    values: list[float]


def curve(metric: Metric, name: str, real: Side, generated: Side, points: int = 15, seed: int = 0) -> Curve:
    """A number of a metric for random subsets of n/4 … n generated samples, all real ones kept."""
    reference = metric.reference(real)
    draw = torch.Generator().manual_seed(seed)
    sizes = sorted({round(float(size)) for size in np.linspace(generated.n / 4, generated.n, points)})
    subsets = [generated.rows(torch.randperm(generated.n, generator=draw)[:size]) for size in sizes]
    for subset in subsets:
        metric.check(real, subset)
    return Curve(sizes, [metric.values(real, subset, reference)[name] for subset in subsets])
