"""Precision, recall, density, coverage: how much of one set lies within the neighbourhoods of the other."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Output, Side
from gansaku.parts import part, require

BLOCK = 1024  # rows of distances that are held at once: 10,000 samples need 80 MB


class Radii(NamedTuple):
    """Squared distances of each of n samples to its k-th nearest other one, for both k."""

    neighbors: Tensor  # (n,) fp64
    density_neighbors: Tensor


@part
class PrecisionRecall(Metric):
    """The balls around a side's samples, out to their k-th nearest neighbour there, stand for where that side is.

    precision: the share of generated samples in any real ball; recall: of real samples in any generated ball
    (k = `neighbors`; Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1, 2). density: real balls around a generated
    sample, / k; coverage: the share of real balls that hold a generated sample (k = `density_neighbors`; Naeem et al. 2020,
    arXiv:2002.09797, sec. 3). A ball holds its border, so that samples without any spread are found too.
    """

    neighbors: int = 3
    density_neighbors: int = 5

    gives: ClassVar[dict[str, Output]] = {
        "precision": Output("Precision", "higher", "Precision", 0, 1, "the share of generated samples that lie among the data"),
        "recall": Output("Recall", "higher", "Recall", 0, 1, "the share of the data that lie among generated samples"),
        "density": Output("Density", "higher", "Density", 0, means="as precision, by how many real neighbours a sample has"),
        "coverage": Output("Coverage", "higher", "Coverage", 0, 1, "the share of real samples with a generated one close by"),
    }

    def __post_init__(self) -> None:
        for name in ("neighbors", "density_neighbors"):
            require(getattr(self, name) >= 1, name, f"{getattr(self, name)} is no number of neighbours; use 1 or more")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        x, y = real.known("features").double(), generated.known("features").double()
        around_real: Radii = reference or self.reference(real)
        around_generated = self.reference(generated)
        precise, balls, recalled, covered = (
            [],
            0.0,
            torch.zeros(real.n, dtype=torch.bool),
            torch.zeros(real.n, dtype=torch.bool),
        )
        for rows, radius in zip(torch.split(y, BLOCK), torch.split(around_generated.neighbors, BLOCK), strict=True):
            apart = squared_distances(rows, x)
            precise.append((apart <= around_real.neighbors).any(1))
            within = apart <= around_real.density_neighbors
            balls += float(within.sum())
            covered |= within.any(0)
            recalled |= (apart <= radius[:, None]).any(0)
        return {
            "precision": float(torch.cat(precise).double().mean()),
            "recall": float(recalled.double().mean()),
            "density": balls / (self.density_neighbors * generated.n),
            "coverage": float(covered.double().mean()),
        }

    def reference(self, real: Side) -> Radii:
        ks = (self.neighbors, self.density_neighbors)
        return Radii(*radii(real.known("features").double(), ks))

    def check(self, real: Side, generated: Side) -> None:
        least = max(self.neighbors, self.density_neighbors) + 1
        for which, side in (("real", real), ("generated", generated)):
            if side.n < least:
                raise UsageError(
                    "Precision, recall, density, coverage",
                    f"need {least} {which} samples or more for {least - 1} neighbours of each, and there are {side.n}",
                    "COUNT",
                )


def radii(x: Tensor, ks: tuple[int, ...]) -> list[Tensor]:
    """Squared distances of each row of x (n, F) to its k-th nearest other row, (n,) for each k < n."""
    nearest = []
    for start in range(0, len(x), BLOCK):
        apart = squared_distances(x[start : start + BLOCK], x)
        here = torch.arange(len(apart))
        apart[here, here + start] = torch.inf
        nearest.append(apart.topk(max(ks), largest=False).values)
    sorted_distances = torch.cat(nearest)
    return [sorted_distances[:, k - 1] for k in ks]


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x - y|² of x (n, F) and y (m, F), (n, m) fp64. What is within the rounding of |x|² + |y|² is 0, as of equal rows."""
    long = x.square().sum(1)[:, None] + y.square().sum(1)
    apart = torch.addmm(long, x, y.T, alpha=-2)
    return torch.where(apart <= long * (4 * torch.finfo(x.dtype).eps * x.shape[1] ** 0.5), 0.0, apart)
