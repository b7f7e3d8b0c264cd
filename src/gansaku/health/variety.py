"""Variety: whether samples differ from each other as the data do, and whether the latent decides what they are."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gansaku.contract import Signals
from gansaku.extractors.random_convolution import fitted
from gansaku.health.contract import Look, Need, Signal
from gansaku.health.meaning import Meaning
from gansaku.metrics.contract import Side
from gansaku.metrics.kernel import KernelDistance
from gansaku.metrics.precision_recall import squared_distances
from gansaku.parts import part, require

LARGEST = 32  # values along a side that pictures are compared with; larger ones are averaged down to it
LEAST = 4  # samples of a class that its diversity is taken of


@part
class Variety(Signal):
    """The mean distance of two generated samples over that of two real ones: 1 as the data, 0 where all are one.

    Two-sided: noise is diverse too, and above 1 is more spread than the data have. In random features, which see textures
    and layout, and in the values themselves. Two training samples the same as each other count, as in the data.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "diversity": Meaning("variety", "Diversity", "mean distance of two samples in random features, over that in the data",
                             "0.8 to 1.2", 1.0),
        "diversity_pixels": Meaning("variety", "Diversity of values", "the same distance in pixels or voxels", "0.8 to 1.2",
                                    1.0),
    }  # fmt: skip
    needs: ClassVar[tuple[Need, ...]] = ("features",)

    def reference(self, real: Side) -> Any:
        return distances(features(real)).mean(), distances(values(real)).mean()

    def __call__(self, look: Look, reference: Any) -> Signals:
        kinds = zip(self.gives, reference, (features(look.generated), values(look.generated)), strict=True)
        return {name: distances(fake).mean() / real for name, real, fake in kinds if real > 0}


@part
class Duplicates(Signal):
    """The share of pairs of generated samples that are no further apart than the closest thousandth of real pairs.

    Distances of values. 1 where all samples are one. Beside it the data's own share: 0.001, more where they repeat themselves.
    """

    quantile: float = 0.001

    gives: ClassVar[dict[str, Meaning]] = {
        "duplicates": Meaning("variety", "Near-duplicates", "share of pairs as close as the closest 0.1 % of real pairs",
                              "near the data's",
                              "duplicates_real"),
    }  # fmt: skip

    def __post_init__(self) -> None:
        require(0 < self.quantile < 1, "quantile", f"{self.quantile:g} is no share between 0 and 1")

    def reference(self, real: Side) -> Any:
        apart = distances(values(real))
        edge = apart.quantile(self.quantile)
        return edge, (apart <= edge).double().mean()

    def __call__(self, look: Look, reference: Any) -> Signals:
        edge, usual = reference
        return {"duplicates": (distances(values(look.generated)) <= edge).double().mean(), "duplicates_real": usual}


@part
class Sensitivity(Signal):
    """√(mean |G(z + ε) - G(z)|² / |ε|²) · σ(z) / σ(x): how much a small step in latent space changes a sample.

    σ is the root of the summed variances, of latents and of real samples: 1 where G is linear and its samples spread as the
    data; 0 where G does not look at z. Before rounding and thresholds.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "sensitivity": Meaning("variety", "Sensitivity to z", "change of a sample for a small step of z, 1 for a linear G",
                               "0.3 to 5, and steady"),
    }  # fmt: skip

    def reference(self, real: Side) -> Any:
        return signed(real).flatten(1).var(0).sum().sqrt()

    def __call__(self, look: Look, reference: Any) -> Signals:
        nudge = look.nudge
        change = (nudge.after - nudge.before).flatten(1).double().square().sum(1)
        slope = (change / nudge.moved.double().square()).mean().sqrt()
        return {"sensitivity": slope * nudge.spread.double() / reference} if reference > 0 else {}


@part
class ClassDiversity(Signal):
    """The least diversity within a class, over the classes that are looked at (16 at most): one class alone may collapse.

    In random features, over the mean distance of two real samples of the class, or, where the reference has few of it, of
    any one class. Few pairs of each class are seen, so the least of them is below 1 also where all is well.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "class_diversity": Meaning("variety", "Diversity of the poorest class", "least diversity within a class, over "
                                   "the data's", "above 0.5", 1.0),
    }  # fmt: skip
    needs: ClassVar[tuple[Need, ...]] = ("features", "classes")

    def reference(self, real: Side) -> Any:
        within = within_classes(real, 2)
        pooled = torch.cat(list(within.values())).mean() if within else torch.zeros(())
        own = {label: apart.mean() for label, apart in within_classes(real, 2 * LEAST).items()}
        return {label: apart for label, apart in own.items() if apart > 0}, pooled

    def __call__(self, look: Look, reference: Any) -> Signals:
        own, pooled = reference
        found = within_classes(look.by_class or look.generated, LEAST)
        ratios = [apart.mean() / own.get(label, pooled) for label, apart in found.items() if own.get(label, pooled) > 0]
        return {"class_diversity": torch.stack(ratios).min()} if ratios else {}


@part
class RandomKernelDistance(Signal):
    """The kernel distance (KID's, unbiased) of random features between generated samples and a fresh batch of real ones.

    With some tens of samples it is coarse. Beside it the same of that batch against other real samples, which is 0 but for
    chance: what lies within its swings cannot be told from the data.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "kernel_distance": Meaning("variety", "Kernel distance", "of random features to a fresh real batch; about 0 is as "
                                   "the data", "falling towards the data's", "kernel_distance_real"),
    }  # fmt: skip
    needs: ClassVar[tuple[Need, ...]] = ("features",)

    def reference(self, real: Side) -> Any:
        return real

    def __call__(self, look: Look, reference: Any) -> Signals:
        sides = {"kernel_distance": look.generated, "kernel_distance_real": reference}
        return {name: torch.tensor(KernelDistance().values(look.real, side)["kid"]) for name, side in sides.items()}


def distances(x: Tensor) -> Tensor:
    """(n, F) -> (n (n - 1) / 2,) fp64: the Euclidean distances of all pairs of different rows."""
    x = x.double() - x.double().mean(0)
    row, column = torch.triu_indices(len(x), len(x), 1)
    return squared_distances(x, x)[row, column].clamp_min(0).sqrt()


def features(side: Side) -> Tensor:
    return side.known("features").double()


def signed(side: Side) -> Tensor:
    """(n, C, *S) fp64 in [-1, 1]: stored samples as networks see them."""
    samples = side.known("samples").double()
    return samples.mul(2).sub(1) if samples.ndim == 5 else samples.div(127.5).sub(1)


def values(side: Side) -> Tensor:
    """(n, V) fp64: the samples' own values in [-1, 1], averaged down to LARGEST along a side."""
    return fitted(signed(side), LARGEST).flatten(1)


def within_classes(side: Side, least: int) -> dict[int, Tensor]:
    """Distances of features of all pairs of one class, for each class with so many samples."""
    labels, found = side.known("labels"), features(side)
    picked = {label: found[labels == label] for label in sorted(set(labels.tolist()))}
    return {label: distances(mine) for label, mine in picked.items() if len(mine) >= least}
