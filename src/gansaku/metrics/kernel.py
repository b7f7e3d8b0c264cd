"""Kernel distance: the unbiased squared maximum mean discrepancy of features, KID with the 2015 Inception's."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gansaku.metrics.contract import Metric, Output, Side
from gansaku.parts import part, require

BLOCK = 1024  # rows of the kernel matrix that are held at once


class Sums(NamedTuple):
    """The kernel matrix of x (n, F) and y (m, F), added up."""

    rows: Tensor  # (n,)
    columns: Tensor  # (m,)

    @property
    def total(self) -> Tensor:
        return self.rows.sum()


@part
class KernelDistance(Metric):
    """Squared MMD with the kernel (x·y / F + 1)³, unbiased, so it may be negative (Bińkowski et al. 2018, arXiv:1801.01401).

    The mean over all subsets of any size is the estimate from all samples. As long as that needs no more kernel values
    than `subsets` random subsets of `subset` samples of each side (10,000 against 10,000 as set), it is what is computed:
    the same expectation, the least variance, and no seed. Beyond, it is the mean over those subsets.
    """

    subsets: int = 100
    subset: int = 1000
    seed: int = 0

    gives: ClassVar[dict[str, Output]] = {"kid": Output("KID", "lower", "KD")}

    def __post_init__(self) -> None:
        require(self.subsets >= 2, "subsets", f"{self.subsets} is too few to see them vary; use 2 or more")
        require(self.subset >= 2, "subset", f"{self.subset} samples have no pairs; use 2 or more")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        x, y = _features(real), _features(generated)
        if not self._all(real, generated):
            return {"kid": float(self._of_subsets(x, y).mean())}
        within = self.reference(real) if reference is None else reference
        pairs = generated.n * (generated.n - 1)
        return {"kid": float(within + pair_sums(y).total / pairs - 2 * kernel_sums(x, y).total / (real.n * generated.n))}

    def reference(self, real: Side) -> Any:
        """The mean kernel of two different real samples."""
        return pair_sums(_features(real)).total / (real.n * (real.n - 1)) if self._all(real, real) else None

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        """Over both sides, as both are samples: the delete-one jackknife, exact from the row sums of the kernel matrices.

        Of a mean over subsets of m of n samples: their variance times m/n, and what their number leaves of it.
        """
        least = min(real.n, generated.n)
        if self._all(real, generated):
            return {"kid": float(jackknifed(_features(real), _features(generated)))} if least > 2 else {}
        part = min(self.subset, least) / least
        spread = self._of_subsets(_features(real), _features(generated)).std()
        return {"kid": float(spread * (part + (1 - part) / self.subsets) ** 0.5)}

    def _all(self, real: Side, generated: Side) -> bool:
        return max(real.n, generated.n) ** 2 <= self.subsets * self.subset**2

    def _of_subsets(self, x: Tensor, y: Tensor) -> Tensor:
        draw = torch.Generator().manual_seed(self.seed)
        n = min(self.subset, len(x), len(y))
        picked = ([torch.randperm(len(side), generator=draw)[:n] for side in (x, y)] for _ in range(self.subsets))
        return torch.stack([squared_mmd(x[a], y[b]) for a, b in picked])


def squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased estimate from x (n, F) and y (m, F): mean k(x, x') + mean k(y, y') - 2 mean k(x, y), no x with itself."""
    n, m = len(x), len(y)
    return pair_sums(x).total / (n * (n - 1)) + pair_sums(y).total / (m * (m - 1)) - 2 * kernel_sums(x, y).total / (n * m)


def jackknifed(x: Tensor, y: Tensor) -> Tensor:
    """The standard error of `squared_mmd`: leaving out each sample once, the variances of both sides added."""
    across = kernel_sums(x, y)
    variance = torch.zeros((), dtype=torch.float64)
    for within, between, other in ((pair_sums(x), across.rows, len(y)), (pair_sums(y), across.columns, len(x))):
        n = len(between)
        left_out = (within.total - 2 * within.rows) / ((n - 1) * (n - 2)) - 2 * (across.total - between) / (other * (n - 1))
        variance = variance + (left_out - left_out.mean()).square().sum() * (n - 1) / n
    return variance.sqrt()


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y / F + 1)³ of x (n, F) and y (m, F), (n, m)."""
    base = (x @ y.T / x.shape[1]).add_(1)
    return base.square().mul_(base)


def kernel_sums(x: Tensor, y: Tensor) -> Sums:
    """Row and column sums of the kernel matrix, block by block."""
    columns, rows = torch.zeros(len(y), dtype=torch.float64), []
    for block in torch.split(x, BLOCK):
        values = kernel(block, y)
        columns += values.sum(0)
        rows.append(values.sum(1))
    return Sums(torch.cat(rows), columns)


def pair_sums(x: Tensor) -> Sums:
    """The same of x with itself, no sample being paired with itself."""
    itself = ((x * x).sum(1) / x.shape[1] + 1) ** 3
    sums = kernel_sums(x, x)
    return Sums(sums.rows - itself, sums.columns - itself)


def _features(side: Side) -> Tensor:
    return side.known("features").double()
