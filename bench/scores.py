"""What scoring is compared with: the same pictures and features through the code that people usually use."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch.nn import functional as F

from gansaku.data.sources import open_data
from gansaku.evaluation.samples import Stored
from gansaku.extractors.inception import Inception2015
from gansaku.extractors.weights import located
from gansaku.metrics.contract import Side
from gansaku.metrics.frechet import FrechetDistance, distance, fitted
from gansaku.metrics.memorization import memorization_distance

from .measure import Work

BATCH = 50  # pictures in the usual loop's batch


def pictures(count: int) -> Tensor:
    """(count, 3, 32, 32) uint8."""
    return Stored(open_data("avatars")).block(0, count)


def plain_inception(samples: Tensor) -> Work:
    """The published network as it is, eager, in batches of 50, resized by torch."""
    net = torch.jit.load(str(located("inception-2015"))).eval()

    def work() -> Tensor:
        with torch.no_grad():
            parts = [net(plain_resized(part)) for part in samples.split(BATCH)]
        return torch.cat(parts)

    return work


def plain_resized(part: Tensor) -> Tensor:
    return 2 * F.interpolate(part.float() / 255, size=(299, 299), mode="bilinear", align_corners=False) - 1


def our_inception(samples: Tensor, precision: str) -> Work:
    extractor = Inception2015("pytorch-fid", "bf16" if precision == "bf16" else "fp32", torch.device("cpu"))
    return lambda: extractor(samples).features


def features(n: int, width: int, seed: int) -> Tensor:
    """Features with a spectrum as real ones have it: a few directions hold most of the variance, none is negative."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, width + 1).float().pow(-0.7)
    basis = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(0))).Q
    return (torch.randn(n, width, generator=generator) * scale @ basis + 0.4).relu()


def plain_frechet(real: Tensor, generated: Tensor) -> Work:
    """From features, as pytorch-fid does it: covariances by NumPy, then SciPy's square root of their product."""
    mean, covariance = moments(real)

    def work() -> float:
        other, spread = moments(generated)
        root = sqrtm(covariance @ spread)
        return float(((mean - other) ** 2).sum() + np.trace(covariance) + np.trace(spread) - 2 * np.trace(root.real))

    return work


def moments(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    values = rows.double().numpy()
    return values.mean(0), np.cov(values, rowvar=False)


def our_frechet(real: Tensor, generated: Tensor) -> Work:
    """With the reference's factor made before, as for every checkpoint but the first."""
    reference = FrechetDistance().reference(Side(len(real), real))
    return lambda: distance(reference, fitted(generated))


def plain_nearest(generated: Tensor, real: Tensor) -> Work:
    """As the competition's code: normalized rows in double precision, all distances at once."""

    def work() -> float:
        a, b = (rows.double().numpy() for rows in (generated, real))
        a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
        return float((1 - np.abs(a @ b.T)).min(1).mean())

    return work


def our_nearest(generated: Tensor, real: Tensor) -> Work:
    return lambda: memorization_distance(generated, real)
