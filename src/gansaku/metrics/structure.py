"""Multi-scale structural similarity: of two pictures, and of random pairs in a set, where much of it means little variety."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gansaku import keys
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.parts import part, require

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
AT_ONCE = 2**20  # values of pictures that are compared at once


@part
class MSSSIM(Metric):
    """The mean MS-SSIM of random pairs of generated samples: 1 if all are alike, lower for more variety.

    It knows no real sample and nothing of quality: noise scores lowest. So it is neither better low nor high; what the
    real set has is `pair_mean` of it. The standard error, from the spread of each picture's mean over its pairs, is a
    little too large where pictures have few pairs each.

    Odena et al. 2017, arXiv:1610.09585, sec. 4.2 (within a class); Karras et al. 2018, arXiv:1710.10196 (over all).
    """

    pairs: int = 5000
    seed: int = 0

    gives: ClassVar[dict[str, Output]] = {"ms_ssim": Output("MS-SSIM", "neither")}
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    reads_real: ClassVar[bool] = False
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    resamples: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.pairs >= 1, "pairs", f"{self.pairs} is too few; use 1 or more")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        return {"ms_ssim": pair_mean(generated.known("samples"), self.pairs, self.seed)}

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        samples = generated.known("samples")
        which = drawn(len(samples), self.pairs, self.seed)
        values = similarities(samples, which)
        total, count = (torch.zeros(len(samples), dtype=torch.float64) for _ in range(2))
        for end in which:
            total.index_add_(0, end, values)
            count.index_add_(0, end, torch.ones_like(values))
        means = (total / count)[count > 0]
        return {"ms_ssim": float(2 * means.std() / len(means) ** 0.5)}


def pair_mean(samples: Tensor, pairs: int = 5000, seed: int = 0) -> float:
    """The mean MS-SSIM of random pairs of (n, C, H, W) uint8, n of 2 or more."""
    return float(similarities(samples, drawn(len(samples), pairs, seed)).mean())


def drawn(n: int, pairs: int, seed: int) -> Tensor:
    """(2, pairs): numbers of two different pictures each, at most all n (n - 1) / 2, every picture about as often.

    The pictures stand in a ring in random order; first come all neighbours, then those two apart, and so on.
    """
    ring = torch.randperm(n, generator=keys.generator("ms-ssim", seed))
    apart = [torch.stack([ring, ring.roll(-step)]) for step in range(1, min(-(-pairs // n), n // 2) + 1)]
    return torch.cat(apart, 1)[:, : min(pairs, n * (n - 1) // 2)]  # half a ring apart, the second half repeats the first


def similarities(samples: Tensor, which: Tensor) -> Tensor:
    """(2, pairs) numbers of pictures -> (pairs,) fp64."""
    some = max(1, AT_ONCE // samples[0].numel())
    return torch.cat([ms_ssim(*samples[block]).double() for block in torch.split(which, some, 1)])


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """(n,): luminance at the coarsest scale · ∏ (contrast and structure)^weight of pictures 0..255, (n, C, H, W) each.

    An 11 × 11 Gaussian window of σ 1.5, only where it fits; half the size by the mean of 2 × 2 between scales; each
    factor is the mean over places and channels, and 0 if negative. Five scales with the published weights where the
    window fits five times (from 176 px); else as many as fit, the weights divided by their sum: 4 from 88 px, 3 from
    44, 2 from 22. Below 11 px the window is as large as the picture.

    Wang et al. 2003, "Multiscale structural similarity for image quality assessment", eq. 7.
    """
    weights = torch.tensor(WEIGHTS[: scales(*a.shape[2:])])
    weights /= weights.sum()
    x, y, made = a.float(), b.float(), torch.ones(len(a))
    for i, weight in enumerate(weights):
        if i:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        luminance, structure = comparisons(x, y)
        factor = structure if i < len(weights) - 1 else luminance * structure
        made *= factor.flatten(1).mean(1).clamp_min(0) ** weight
    return made


def scales(height: int, width: int) -> int:
    """How many of the five scales still hold a window."""
    return max(1, sum(min(height, width) >> i >= WINDOW for i in range(len(WEIGHTS))))


def comparisons(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, at each place where the window fits."""
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    mean_x, mean_y, xx, yy, xy = (smoothed(z) for z in (x, y, x * x, y * y, x * y))
    variance_x, variance_y, covariance = xx - mean_x * mean_x, yy - mean_y * mean_y, xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return luminance, (2 * covariance + c2) / (variance_x + variance_y + c2)


def smoothed(x: Tensor) -> Tensor:
    """(n, C, H, W) -> (n, C, H - 10, W - 10): means under the Gaussian window. Sums of slices: conv2d is ten times slower."""
    for axis in (2, 3):
        size = min(WINDOW, x.shape[axis])
        window = torch.exp(-(torch.arange(size, dtype=torch.float64) - (size - 1) / 2).square() / (2 * SIGMA**2))
        left = x.shape[axis] - size + 1
        total = torch.zeros_like(x.narrow(axis, 0, left))
        for i, share in enumerate((window / window.sum()).tolist()):
            total.add_(x.narrow(axis, i, left), alpha=share)
        x = total
    return x
