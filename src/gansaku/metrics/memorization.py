"""Memorization: whether generated samples are training samples, in features (MiFID) and as they look (Replayed)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.metrics.frechet import Normal, distance, fitted
from gansaku.parts import part, require

BLOCK = 1024  # generated samples whose distances to all real ones are held at once

SIDE = 8  # cells on each side that samples are reduced to: keeps what is where, and loses what JPEG changes
LARGEST = {2: 64, 3: 32}  # pixels, voxels along the longest side that are looked at
ROUNDING = 16 * torch.finfo(torch.float32).eps
SHIFT = 2  # pixels or voxels that a copy may be moved by on each axis
FLAGGED = 2.0  # percent over real samples' own: held-out avatars and CIFAR pictures reach 0.2 and 0.6, a 5 % replay 4 to 5.5
CHANCE = 1e-3


@part
class Memorization(Metric):
    """MiFID = Fréchet distance / d, where the mean 1 - |cos| to the nearest training feature is below `threshold`, else / 1.

    `threshold` is 0.1 as in the public ranking of Kaggle's Generative Dog Images on Inception features, and was 0.25 in its
    private one on NASNet's (Bai et al. 2021, arXiv:2106.03062; `competition_scoring.py`).
    """

    threshold: float = 0.1

    gives: ClassVar[dict[str, Output]] = {"mifid": Output("MiFID", "lower", "MiFD", least=0)}
    wants_all: ClassVar[bool] = True
    biased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.threshold <= 1, "threshold", f"{self.threshold} is not within 0 and 1, as the distances are")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        y = generated.known("features")
        apart = distance(reference or self.reference(real), fitted(y))
        near = memorization_distance(y, real.known("features"))
        return {"mifid": apart / ((near if near < self.threshold else 1.0) + 1e-15)}

    def reference(self, real: Side) -> Normal:
        return fitted(real.known("features"))


def memorization_distance(generated: Tensor, real: Tensor) -> float:
    """mean_i min_j 1 - |cos(generated_i, real_j)|, without rows that sum to 0; 1 where no row is left."""
    y, x = (rows[rows.sum(1) != 0] for rows in (generated, real))
    return float(nearest(y, x, 1).distances.mean()) if len(x) and len(y) else 1.0


class Nearest(NamedTuple):
    """The k nearest real samples of each generated one, the nearest first."""

    distances: Tensor  # (n, k) fp64
    indices: Tensor  # (n, k) int64


def nearest(generated: Tensor, real: Tensor, k: int) -> Nearest:
    """By 1 - |cos| of features (n, F) and (m, F), at most m of them; a feature of zeros is at 1 from all.

    In fp64, where a copy is at 1e-16: fp32 would see it at 1e-7, and orders what is nearer than that by chance.
    """
    y, x = normalize(generated.double(), dim=1), normalize(real.double(), dim=1)
    blocks = [(rows @ x.T).abs_().topk(min(k, len(x)), 1) for rows in torch.split(y, BLOCK)]
    cosines, indices = (torch.cat([block[i] for block in blocks]) for i in (0, 1))
    return Nearest((1 - cosines).clamp_min_(0), indices)


@part
class Replayed(Metric):
    """The percentage of generated samples that copy a training sample: flipped, moved by 2 pixels or re-encoded as they may be.

    A copy is `ratio` times as far from the nearest training sample as from the sixth nearest, or less: what is merely like
    the data is about as far from both (the idea of Carlini et al. 2023, arXiv:2301.13188, sec. 5). Distances are
    between samples reduced to 8 cells on a side, at the best of 2 flips of the last axis and 5 shifts along each. Voxels alike:
    the squared distance of shapes is the volume where they differ.

    `replayed_real` is the same percentage of training samples that copy another training sample, among 1,000 of them:
    a generator without memory replays as much, and `flagged` says when it is more.
    """

    ratio: float = 0.35
    rank: int = 6
    checked: int = 1000

    gives: ClassVar[dict[str, Output]] = {
        "replayed": Output("Replayed", "lower", least=0, most=100),
        "replayed_real": Output("Replayed by real samples", "neither", means="the same of training samples among themselves"),
    }
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    resamples: ClassVar[bool] = False
    wants_all: ClassVar[bool] = True
    least: ClassVar[int] = 3

    def __post_init__(self) -> None:
        require(0 < self.ratio < 1, "ratio", f"{self.ratio} is not between 0 and 1; 0.35 is strict, 0.5 is lenient")
        require(self.rank >= 2, "rank", f"{self.rank} leaves no other sample to compare with; use 6")
        require(self.checked >= 1, "checked", f"{self.checked} real samples say nothing; use 1000")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        among_real = self.reference(real) if reference is None else reference
        copies = self.copies(generated.known("samples"), real.known("samples"))
        return {"replayed": 100 * float(copies.double().mean()), "replayed_real": among_real}

    def reference(self, real: Side) -> float:
        """The percentage of real samples, evenly taken from all, that copy another one."""
        samples = real.known("samples")
        own = torch.linspace(0, real.n - 1, min(self.checked, real.n)).round().long()
        return 100 * float(self.copies(samples[own], samples, own).double().mean())

    def remarks(self, values: dict[str, float], real: Side, generated: Side) -> tuple[str, ...]:
        checked = min(self.checked, real.n)
        if not flagged(values["replayed"], values["replayed_real"], generated.n, checked):
            return ()
        own = f"{values['replayed_real']:.3g} % of the training samples copy one another"
        return (f"the generator repeats its training set: {values['replayed']:.3g} % are copies, and {own}",)

    def copies(self, generated: Tensor, real: Tensor, own: Tensor | None = None) -> Tensor:
        """Which of the generated samples are copies of real ones, (n,) bool.

        Where they are real ones themselves, `own` (n,) are their numbers, which are not looked at.
        """
        nearest, other = look_alikes(generated, real, (1, self.rank), own).unbind(1)
        return torch.le(nearest, self.ratio * other)

    def check(self, real: Side, generated: Side) -> None:
        super().check(real, generated)
        if min(real.known("samples").shape[2:]) < SIDE:
            sizes = "x".join(map(str, real.known("samples").shape[2:]))
            raise UsageError("Replayed", f"needs samples of {SIDE} pixels or more on each side, and they have {sizes}", "SHAPE")


def flagged(replayed: float, replayed_real: float, n: int, n_real: int) -> bool:
    """Whether a generator repeats its training set: more than real samples do by 2 points, and not by chance.

    The percentages are of n generated and of n_real real samples (`checked`, or all if they are fewer). By chance is when a
    difference as large comes once in 1,000 times from equal rates (Fisher's exact test, one-sided).
    """
    hits, hits_real = round(replayed * n / 100), round(replayed_real * n_real / 100)
    chance = float(stats.hypergeom.sf(hits - 1, n + n_real, hits + hits_real, n))
    return replayed - replayed_real > FLAGGED and chance < CHANCE


def look_alikes(generated: Tensor, real: Tensor, ranks: tuple[int, ...], own: Tensor | None = None) -> Tensor:
    """Distances of generated samples (n, C, *S) to those of real ones (m, C, *S) at some ranks, 1 the nearest, (n, ranks)."""
    y, x = shrunk(generated), reduced(inside(shrunk(real), (0,) * (real.ndim - 2)))
    middle = x.mean(0)
    x -= middle
    squares = x.square().sum(1)
    others = len(x) - (own is not None)
    found = []
    for start in range(0, len(y), BLOCK):
        rows = y[start : start + BLOCK]
        best = torch.full((len(rows), len(x)), torch.inf)
        for cells in (reduced(window) - middle for window in moved(rows)):
            long = cells.square().sum(1)[:, None]
            apart = torch.addmm(squares, cells, x.T, alpha=-2).add_(long)
            apart.masked_fill_(apart <= ROUNDING * (squares.max() + long), 0.0)  # so that equal ones are
            torch.minimum(best, apart, out=best)
        if own is not None:
            best[torch.arange(len(rows)), own[start : start + BLOCK]] = torch.inf
        ordered = best.topk(min(max(ranks), others), 1, largest=False).values.sqrt_()
        found.append(ordered[:, [min(rank, others) - 1 for rank in ranks]])
    return torch.cat(found)


def shrunk(samples: Tensor) -> Tensor:
    """Samples (n, C, *S) uint8 with a side over 64 pixels, or 32 voxels, as means of equal boxes of theirs; fp32 then."""
    factor = -(-max(samples.shape[2:]) // LARGEST[samples.ndim - 2])
    if factor == 1:
        return samples
    sizes = tuple(-(-size // factor) for size in samples.shape[2:])
    blocks = (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))
    return torch.cat([interpolate(block.float(), sizes, mode="area") for block in blocks])


def moved(samples: Tensor) -> Iterator[Tensor]:
    """Samples (n, C, *S) as they are and flipped, moved by every shift, without the border."""
    for flipped in (samples, samples.flip(-1)):
        for shift in itertools.product(range(-SHIFT, SHIFT + 1), repeat=samples.ndim - 2):
            yield inside(flipped, shift)


def inside(samples: Tensor, shift: tuple[int, ...]) -> Tensor:
    """Without `SHIFT` pixels all around, seen from a place that is moved by `shift`."""
    windows = tuple(slice(SHIFT + by, size - SHIFT + by) for by, size in zip(shift, samples.shape[2:], strict=True))
    return samples[(slice(None), slice(None), *windows)]


def reduced(samples: Tensor) -> Tensor:
    """The mean of each of at most 8 cells along each axis, (n, C · cells) fp32."""
    cells = tuple(min(SIDE, size) for size in samples.shape[2:])
    blocks = (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))
    return torch.cat([interpolate(block.float(), cells, mode="area").flatten(1) for block in blocks])
