"""The samples' own values: saturation, colours, texture that repeats; how full voxels are, and in how many pieces."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from gansaku.contract import Signals
from gansaku.errors import UsageError
from gansaku.health.contract import Look, Signal
from gansaku.health.meaning import Meaning
from gansaku.health.variety import signed
from gansaku.metrics.contract import Side
from gansaku.metrics.occupancy import pieces
from gansaku.metrics.spectrum import excess, peaks, periods, power
from gansaku.parts import part

SOLID = 16  # voxel samples that are looked through for patterns: each is many slices
EMPTY, FULL = 0.001, 0.99  # shares of occupied voxels


@part
class Saturation(Signal):
    """The share of values with |x| > `edge`, beside the data's own: tanh gives no gradient there.

    Voxels are all ±1, so there it is to rise to 1; pictures have as much of it as they have pure black and white.
    """

    edge: float = 0.99

    gives: ClassVar[dict[str, Meaning]] = {
        "saturation": Meaning("samples", "Saturation", "share of values beyond ±0.99: 0 to 1", "not above the data",
                              "saturation_real"),
    }  # fmt: skip

    def reference(self, real: Side) -> Any:
        return (signed(real).abs() > self.edge).double().mean()

    def __call__(self, look: Look, reference: Any) -> Signals:
        return {"saturation": (look.fake.abs() > self.edge).double().mean(), "saturation_real": reference}


@part
class Colours(Signal):
    """Mean and standard deviation of each channel against the data's, of the channel that is worst.

    shift = |mean - mean(data)| / σ(data); spread = σ / σ(data), of the channel where it is furthest from 1 as a factor.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "colour_shift": Meaning("samples", "Colour shift", "distance of the mean colour to the data's, in their σ",
                                "below 0.2", 0.0),
        "colour_spread": Meaning("samples", "Colour spread", "σ of the colours over the data's", "0.8 to 1.2", 1.0),
    }  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def reference(self, real: Side) -> Any:
        return by_channel(signed(real))

    def __call__(self, look: Look, reference: Any) -> Signals:
        (mean, spread), (usual, usual_spread) = by_channel(look.fake.double()), reference
        there = usual_spread > 0
        if not there.any():
            return {}
        shift, ratio = ((mean - usual).abs() / usual_spread)[there], (spread / usual_spread)[there]
        furthest = torch.maximum(ratio, 1 / ratio.clamp_min(1e-12)).argmax()
        return {"colour_shift": shift.max(), "colour_spread": ratio[furthest]}


@part
class Crosses(Signal):
    """How much more the spectrum peaks at periods of 2, 4 and 8 pixels than the data's, in dB: crosses and checkerboards.

    As the metric `checkerboard`, of fewer samples: beside it the same of a fresh real batch, which is what chance makes.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "checkerboard": Meaning("samples", "Checkerboard", "excess of the spectrum at the upsampling "
                                "frequencies, in dB, 0 or more", "as the data", "checkerboard_real"),
    }  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return has_periods(*shape[1:])

    def reference(self, real: Side) -> Any:
        return peaks(power(real.known("samples")))

    def __call__(self, look: Look, reference: Any) -> Signals:
        sides = {"checkerboard": look.generated, "checkerboard_real": look.real}
        return {name: worst(reference, peaks(power(side.known("samples")))) for name, side in sides.items()}


@part
class Periodicity(Signal):
    """The same of voxels: of the slices along each axis, the worst axis. Shapes that are one pattern have it."""

    gives: ClassVar[dict[str, Meaning]] = {
        "periodicity": Meaning("samples", "Periodicity", "excess of the slices' spectrum at periods of 2, 4 and 8 "
                               "voxels, in dB, 0 or more", "as the data", "periodicity_real"),
    }  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return any(has_periods(*sides) for sides in combinations(shape[1:], 2))

    def reference(self, real: Side) -> Any:
        return [peaks(power(some)) for some in slices(real)]

    def __call__(self, look: Look, reference: Any) -> Signals:
        found = {}
        for name, side in (("periodicity", look.generated), ("periodicity_real", look.real)):
            ours = [peaks(power(some)) for some in slices(side)]
            found[name] = torch.stack([worst(usual, mine) for usual, mine in zip(reference, ours, strict=True)]).max()
        return found


@part
class Occupancy(Signal):
    """How full voxel samples are, each thresholded at 0, against the data's 1 % to 99 % quantiles; empty and full ones.

    A generator that gives empty or full samples alone never comes back (article 0).
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "occupancy": Meaning("samples", "Occupancy", "mean share of occupied voxels: 0 to 1", "as the data", "occupancy_real"),
        "occupancy_outside": Meaning("samples", "Occupancy unlike the data", "share of samples emptier or fuller than 98 % of "
                                     "the data", "below 0.2", 0.02),
        "empty": Meaning("samples", "Empty samples", "share with less than 0.1 % of the voxels", "0"),
        "full": Meaning("samples", "Full samples", "share with more than 99 % of the voxels", "0"),
    }  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def reference(self, real: Side) -> Any:
        filled = occupied(real)
        return filled.mean(), filled.quantile(0.01), filled.quantile(0.99)

    def __call__(self, look: Look, reference: Any) -> Signals:
        filled, (usual, low, high) = occupied(look.generated), reference
        return {
            "occupancy": filled.mean(),
            "occupancy_real": usual,
            "occupancy_outside": ((filled < low) | (filled > high)).double().mean(),
            "empty": (filled < EMPTY).double().mean(),
            "full": (filled > FULL).double().mean(),
        }


@part
class Debris(Signal):
    """The mean number of separate pieces of a voxel sample, beside the data's own: more is debris, fewer are lumps."""

    gives: ClassVar[dict[str, Meaning]] = {
        "pieces": Meaning("samples", "Connected pieces", "mean number of separate pieces of a sample", "as the data",
                          "pieces_real"),
    }  # fmt: skip
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return shape[0] == 1

    def reference(self, real: Side) -> Any:
        return pieces(real.known("samples")).mean()

    def __call__(self, look: Look, reference: Any) -> Signals:
        return {"pieces": pieces(look.generated.known("samples")).mean(), "pieces_real": reference}


def by_channel(x: Tensor) -> tuple[Tensor, Tensor]:
    """(n, C, *S) -> mean and standard deviation (C,) each."""
    channels = x.transpose(0, 1).flatten(1)
    return channels.mean(1), channels.std(1, correction=0)


def occupied(side: Side) -> Tensor:
    """(n,) fp64: the share of occupied voxels of each sample."""
    return side.known("samples").flatten(1).double().mean(1)


def has_periods(height: int, width: int) -> bool:
    """Whether samples of this size have room for the shortest of the patterns."""
    with suppress(UsageError):
        return bool(periods(height, width))
    return False


def slices(side: Side) -> list[Tensor]:
    """Voxels (n, 1, D, H, W) as pictures 0 and 255 across each axis that leaves a fitting size: (n · side, 1, ·, ·) each."""
    solid = side.known("samples")[:SOLID] * 255
    turned = [solid.movedim(axis, 1).flatten(0, 1) for axis in (2, 3, 4)]
    return [pictures for pictures in turned if has_periods(*pictures.shape[2:])]


def worst(real: Tensor, generated: Tensor) -> Tensor:
    """The worst period's excess in dB."""
    return torch.tensor(max(excess(real, generated).values()), dtype=torch.float64)
