"""Distances between two sets of voxel shapes, and what they say together: MMD, COV and 1-NNA."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from scipy import ndimage, sparse
from torch import Tensor

from gansaku import keys
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.metrics.resampling import left, squared_error
from gansaku.parts import part

AT_ONCE = 2**24  # fp32 values that are worked on at once, 64 MiB
GROUPS = 10  # of generated shapes; leaving each out in turn gives the standard error


class Distances(NamedTuple):
    """All that n real and m generated shapes are apart."""

    real: Tensor  # (n, n)
    cross: Tensor  # (n, m)
    generated: Tensor  # (m, m)

    def of(self, kept: Tensor) -> Distances:
        """The same for some of the generated shapes, by their numbers."""
        return Distances(self.real, self.cross[:, kept], self.generated[kept][:, kept])


class Comparison(NamedTuple):
    """What the distances say."""

    mmd: float  # mean over real shapes of the distance to the nearest generated one
    cov: float  # share of real shapes that are the nearest one to any generated shape
    nna: float  # how often the nearest other shape is of one's own side, a tie half; mean of both sides


class Matching(Metric):
    """MMD, COV and 1-NNA by one distance.

    MMD (minimum matching distance) is low when every real shape has a generated one near it. COV (coverage) is the share
    of the real shapes that generated ones fall to: at most m/n, and 1 for the real shapes themselves if no two are alike,
    but about ½ for others from the same source (0.50 to 0.51 between the halves of ModelNet10's 889 chairs). 1-NNA is the
    leave-one-out accuracy of a nearest-neighbour classifier, real against generated: ½ is best; towards 1 the sides can be
    told apart, towards 0 the generated shapes are copies of real ones. So it is neither better low nor high. Both sides
    count alike, whatever n and m; for n = m this is the usual accuracy. With more generated shapes MMD falls and COV rises.

    Achlioptas et al. 2018, arXiv:1707.02392 (MMD, COV); Yang et al. 2019 (PointFlow), arXiv:1906.12320
    (1-NNA, after Lopez-Paz & Oquab 2017, arXiv:1610.06545). The standard error is a jackknife over 10 groups of generated
    shapes: it is for these real shapes.
    """

    short: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    dimensions: ClassVar[tuple[int, ...]] = (3,)
    resamples: ClassVar[bool] = False

    @abstractmethod
    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """(n, 1, D, H, W) and (m, 1, D, H, W) of 0/1 -> (n, m) fp64, symmetric in a and b."""

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        return self._named(compared(self._distances(real, generated, reference)))

    def reference(self, real: Side) -> Tensor:
        return self.between(real.known("samples"), real.known("samples"))

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        distances = self._distances(real, generated, None)
        parts = left(generated.n, min(GROUPS, generated.n), keys.generator("voxels"))
        variances = squared_error([self._named(compared(distances.of(kept))) for kept in parts])
        return {name: variance**0.5 for name, variance in variances.items()}

    def _distances(self, real: Side, generated: Side, within: Tensor | None) -> Distances:
        a, b = real.known("samples"), generated.known("samples")
        return Distances(self.between(a, a) if within is None else within, self.between(a, b), self.between(b, b))

    def _named(self, found: Comparison) -> dict[str, float]:
        return {f"{name}_{self.short}": value for name, value in found._asdict().items()}


def outputs(short: str, title: str) -> dict[str, Output]:
    """The numbers of a Matching by a distance."""
    return {
        f"mmd_{short}": Output(f"MMD-{title}", "lower", means="how far a real shape is from the nearest generated one"),
        f"cov_{short}": Output(
            f"COV-{title}", "higher", means="the share of real shapes that are some generated one's nearest"
        ),
        f"nna_{short}": Output(
            f"1-NNA-{title}", "neither", means="how well the nearest other shape tells the sides apart: ½ not at all, 1 always"
        ),
    }


@part
class MatchingByIoU(Matching):
    """MMD, COV and 1-NNA by 1 - |a ∩ b| / |a ∪ b|, exactly. Two empty shapes are alike: distance 0; see Matching.

    Its 1-NNA hardly sees scattered noise, which leaves shapes nearer to clean ones than to each other: with 5 % of the
    voxels flipped it is 0.52 on ModelNet10's chairs, and 0.99 by the Chamfer distance.
    """

    short: ClassVar[str] = "iou"
    gives: ClassVar[dict[str, Output]] = outputs("iou", "IoU")

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        return 1 - iou(a, b)


@part
class MatchingByChamfer(Matching):
    """MMD, COV and 1-NNA by the Chamfer distance of surfaces, in sides of the cube; see `chamfer` and Matching."""

    short: ClassVar[str] = "cd"
    gives: ClassVar[dict[str, Output]] = outputs("cd", "CD")

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        return chamfer(a, b)


def compared(distances: Distances) -> Comparison:
    """MMD, COV and 1-NNA of at least one shape on each side."""
    to_generated, to_real = distances.cross.min(1).values, distances.cross.min(0).values
    covered = set(distances.cross.argmin(0).tolist())  # of real shapes as near as each other the first: they count once
    told_apart = (own_side(distances.real, to_generated) + own_side(distances.generated, to_real)) / 2
    return Comparison(float(to_generated.mean()), len(covered) / len(distances.cross), told_apart)


def own_side(within: Tensor, other: Tensor) -> float:
    """How often the nearest other shape is of one's own side: (k, k) distances on it, (k,) the nearest of the other side."""
    own = within.clone().fill_diagonal_(torch.inf).min(1).values
    return float(((own < other).double() + (own == other).double() / 2).mean())


def iou(a: Tensor, b: Tensor) -> Tensor:
    """(n, 1, *S) and (m, 1, *S) of 0/1 -> (n, m) fp64 intersection over union; of two empty shapes 1.

    The counts are sums of whole numbers in fp32, exact up to 2²⁴ voxels.
    """
    both = torch.zeros(len(a), len(b))
    some = max(1, AT_ONCE // (len(a) + len(b)))
    for x, y in zip(torch.split(a.flatten(1), some, 1), torch.split(b.flatten(1), some, 1), strict=True):
        both += x.float() @ y.float().T
    sizes = [side.flatten(1).sum(1, dtype=torch.float64) for side in (a, b)]
    either = sizes[0].unsqueeze(1) + sizes[1] - both.double()
    return torch.where(either > 0, both.double() / either, 1.0)


def chamfer(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) fp64: ½ (mean over a's surface of the distance to b's surface + the same of b to a), exactly.

    Distances are Euclidean (not squared), between the centres of surface voxels, in units of the longest side. From an
    empty shape to any other it is the grid's diagonal, √3 for a cube, which no two voxels reach; between two empty ones 0.
    """
    space = a.shape[2:]
    shells = [sparse.vstack([shell(block) for block in torch.split(side, at_once(space))], "csr") for side in (a, b)]
    to_a = mean_distances(a, shells[1])  # [i, j]: of the way from b_j's surface to a_i's
    to_b = to_a if a is b else mean_distances(b, shells[0])
    found = torch.from_numpy((to_a + to_b.T) / 2) / max(space)
    empty = [side.flatten(1).amax(1) == 0 for side in (a, b)]
    found[empty[0]] = found[:, empty[1]] = float(np.linalg.norm(space)) / max(space)
    found[empty[0].outer(empty[1])] = 0.0
    return found


def mean_distances(shapes: Tensor, shells: Any) -> Any:
    """(n, 1, *S) and m surfaces -> (n, m) fp64: mean distance in voxels from each surface to that of each shape.

    The distance transform of a shape's surface holds the distance from everywhere, so the mean is one sparse product.
    """
    made = []
    for block in torch.split(shapes, at_once(shapes.shape[2:])):
        away = np.stack([ndimage.distance_transform_edt(~one).ravel() for one in surface(block).numpy()], 1)
        made.append((shells @ away).T)
    return np.concatenate(made)


def shell(shapes: Tensor) -> Any:
    """(n, 1, *S) -> (n, V) sparse: 1 / points on each point of a shape's surface, so that a row sums to 1 or is empty."""
    points = sparse.csr_matrix(surface(shapes).flatten(1).numpy(), dtype=np.float64)
    return sparse.diags(1 / np.maximum(1, points.getnnz(1))) @ points


def surface(shapes: Tensor) -> Tensor:
    """(n, 1, *S) of 0/1 -> (n, *S) bool: occupied, and one of the six voxels beside is empty or outside of the grid."""
    full = shapes.squeeze(1).bool()
    padded = torch.nn.functional.pad(full, (1,) * 6)
    return full & ~torch.stack(list(neighbours(padded))).all(0)


def neighbours(padded: Tensor) -> Iterator[Tensor]:
    """For each of the six directions what is beside each voxel; (n, D + 2, H + 2, W + 2) -> (n, D, H, W)."""
    for axis in (1, 2, 3):
        for start in (0, 2):
            beside = padded
            for each in (1, 2, 3):
                beside = beside.narrow(each, start if each == axis else 1, padded.shape[each] - 2)
            yield beside


def at_once(space: tuple[int, ...]) -> int:
    """Shapes whose distance transforms are held at once."""
    return max(1, AT_ONCE // 2 // int(np.prod(space)))
