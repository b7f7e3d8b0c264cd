"""Periodic texture in a set's mean power spectrum: the checkerboards and crosses that upsampling by two leaves."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.parts import part

PERIODS = (2, 4, 8)  # pixels: what the last layer, the one before it, and the one before that leave
APART = 4  # bins from one harmonic to the next, so that what lies between is the texture's own
BLOCK = 16  # pictures at once: what fits into a core's cache is three times as fast


@part
class Checkerboard(Metric):
    """10 log₁₀ of how much more the generated set's spectrum peaks at periods of 2, 4 or 8 pixels than the real set's, in dB.

    Upsampling by two repeats a spectrum around each multiple of half the sampling rate; transposed convolutions do not
    remove all of it, and deeper layers leave quarters and eighths (Odena et al. 2016, "Deconvolution and checkerboard
    artifacts"; Durall et al. 2020, arXiv:2003.01826). At each such frequency the peak is the mean power over the
    greater of two means, that of the neighbours halfway to the next harmonics along x and that along y. So a falling
    spectrum has no peak, and neither has a ridge along an axis, as upright edges make it. Peaks below 1 count as 1: noise
    and blur are not this fault. The excess is the peak of generated over that of real samples (JPEG blocks are in both),
    at least 1, averaged over the frequencies of a period; the number is the worst period's. 0 is as real; of two sets
    alike it is above 0 by chance, by about 0.1 dB for 1,000 pictures. Sides are even, from 8; period p from 4 p pixels.
    """

    gives: ClassVar[dict[str, Output]] = {"checkerboard": Output("Checkerboard", "lower")}
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        usual = self.reference(real) if reference is None else reference
        return {"checkerboard": max(excess(usual, peaks(power(generated.known("samples")))).values())}

    def reference(self, real: Side) -> Tensor:
        return peaks(power(real.known("samples")))


def power(samples: Tensor) -> Tensor:
    """(n, C, H, W) uint8 -> (H, W) fp64: mean power of the channels, each less its mean, under a Hann window.

    The window keeps what borders make out of the axes; a frequency reaches only the bins beside its own.
    """
    height, width = samples.shape[2:]
    window = torch.hann_window(height).view(-1, 1) * torch.hann_window(width)
    total = torch.zeros(height, width, dtype=torch.float64)
    for block in torch.split(samples, BLOCK):
        x = block.flatten(0, 1).float()
        spectrum = torch.fft.fft2((x - x.mean((1, 2), keepdim=True)) * window)
        total += spectrum.abs().square().sum(0, dtype=torch.float64)
    return total / samples.shape[0] / samples.shape[1]


def periods(height: int, width: int) -> tuple[int, ...]:
    """Those of 2, 4 and 8 that divide both sides and leave room between their harmonics.

    Raises UsageError when there is none.
    """
    found = tuple(p for p in PERIODS if height % p == width % p == 0 and min(height, width) // p >= APART)
    if not found:
        raise UsageError("Checkerboard", f"is for even sides of 8 pixels or more, not for {height} × {width}", "SIZE")
    return found


def peaks(power: Tensor) -> Tensor:
    """(P, P), P the longest period: power at the frequencies (i / P, j / P) over that of their neighbours; 0 at (0, 0).

    Neighbours have at least the power that rounding to whole numbers makes, 1/12 for each value.
    """
    height, width = power.shape
    longest = max(periods(height, width))
    y, x = (torch.arange(longest) * side // longest for side in (height, width))
    dy, dx = (side // longest // 2 for side in (height, width))  # halfway to the next harmonic
    above = (power.roll(dy, 0) + power.roll(-dy, 0)) / 2
    beside = (power.roll(dx, 1) + power.roll(-dx, 1)) / 2
    rounding = (3 / 8) ** 2 * height * width / 12  # 3/8 is the mean square of a Hann window
    found = (power / torch.maximum(above, beside).clamp_min(rounding))[y][:, x]
    found[0, 0] = 0.0
    return found


def excess(real: Tensor, generated: Tensor) -> dict[int, float]:
    """Period in pixels -> how much more the generated set's frequencies of this period peak, in dB; each 0 or more."""
    longest = len(real)
    ratios = (generated / real.clamp_min(1)).clamp_min(1)
    order = torch.arange(longest)
    made = {}
    for period in (p for p in PERIODS if p <= longest):
        coarse, coarser = order * period % longest == 0, order * period // 2 % longest == 0
        mine = coarse.outer(coarse) & ~coarser.outer(coarser)
        made[period] = 10 * float(ratios[mine].mean().log10())
    return made
