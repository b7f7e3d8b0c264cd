"""Random convolutions: features without a download, cheap enough for a curve while training.

Three stages of fixed random filters. Each stage convolves, divides by the local contrast, keeps what is positive and halves
the map; its features are the mean and the deviation of each channel over the picture. The means over a coarse grid of the
sample itself are added, so that colour and layout count.

    filters   orthonormal and of zero mean; those of the first stage are whitened (Z = C^(-1/2), C the correlation of
              neighbouring values: 0.95 for each step of distance, 0.9 between colours), without which smooth structure
              hides noise, blur and compression
    contrast  √(ε² + the filters' mean square over a window of 5, or the largest odd one that fits)

Whitening, contrast and pooling are as in Coates, Ng & Lee 2011 ("An analysis of single-layer networks in unsupervised
feature learning"). Of the variants that were tried on corrupted CIFAR-10 this one ranks most as the 2015 Inception does;
it is no substitute for it: it sees textures, colours and layout, and no objects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from gansaku import keys
from gansaku.extractors.contract import Extracted, Extractor, Identity, Precision, exact
from gansaku.extractors.weights import digest

VERSION = 1  # to be raised when the same samples would give other features
CONVOLVE = {2: F.conv2d, 3: F.conv3d}
AVERAGE = {2: F.avg_pool2d, 3: F.avg_pool3d}
POOL_TO = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}

NEAR, COLOURS = 0.95, 0.9  # correlation of two values one step apart, and of two colours
GAIN = (0.3, math.sqrt(2), math.sqrt(2))  # of each stage's filters
EPSILON = 0.05  # contrast below which a response fades
WINDOW = 5
LEAST = 8  # a side that is shorter is enlarged: each stage halves it
GRID = 4  # means of the sample itself, for each side
GRID_GAIN = 0.3
AT_ONCE = {2: 32, 3: 4}  # samples in one pass: more do not fit the caches
STEP = 2.0**-12  # filters are multiples of this, so that no machine's rounding shows in them


class RandomConvolution(Extractor):
    """Features of samples of any size and any number of channels up to three; what is over three is left out."""

    has_weights = False
    widths: ClassVar[tuple[int, ...]]
    kernels: ClassVar[tuple[int, ...]]
    channels: ClassVar[int]
    most: ClassVar[int]  # samples with a longer side are reduced to it by averaging areas

    def __init__(self, resize: str, precision: Precision, device: torch.device, weights: str | None = None):
        self.resize, self.precision = resize, precision
        self._dims, self._device = self.dimensions[0], device
        made = filters(self.name, self._dims, self.channels, self.widths, self.kernels)
        self.identity = Identity(self.name, digest({f"{VERSION}/{i}": (each,) for i, each in enumerate(made)}))
        self._filters = [each.to(device, memory_format=LAYOUT[self._dims]) for each in made]
        grey = made[0].sum(1, keepdim=True)  # what grey gives that is three times the same
        self._grey = grey.to(device, memory_format=LAYOUT[self._dims])
        self.features = self.channels * GRID**self._dims + 2 * sum(self.widths)

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Extracted:
        with exact():
            return Extracted(torch.cat([self._features(part) for part in torch.split(samples, AT_ONCE[self._dims])]).cpu())

    def _features(self, samples: Tensor) -> Tensor:
        dims, kernel = self._dims, self.kernels[0]
        colours = samples.shape[1] >= self.channels
        x = samples[:, : self.channels if colours else 1].to(self._device).float()
        x = x.div(127.5).sub(1) if dims == 2 else x.mul(2)  # voxels: around them is nothing, as in an empty one
        x = fitted(x, self.most).contiguous(memory_format=LAYOUT[dims])
        grid = POOL_TO[dims](x, GRID).mul(GRID_GAIN)
        made = [grid.expand(-1, self.channels, *grid.shape[2:]).flatten(1)]
        if dims == 2:
            x = F.pad(x, (kernel // 2,) * 4, mode="replicate")
        for i, each in enumerate(self._filters):
            first = self._grey if i == 0 and not colours else each
            x = CONVOLVE[dims](x, first, padding=0 if i == 0 and dims == 2 else self.kernels[i] // 2)
            x = F.relu_(x.div_(around(x.square().mean(1, keepdim=True)).add_(EPSILON**2).sqrt_()))
            values = x.permute(0, *range(2, dims + 2), 1).flatten(1, -2)  # (n, places, channels) as they lie in memory
            mean = values.mean(1)
            made += [mean, values.square().mean(1).sub_(mean.square()).clamp_min_(0).sqrt_()]
            x = halved(x) if i + 1 < len(self._filters) else x
        return torch.cat(made, 1)


class Random2d(RandomConvolution):
    """496 features of pictures, reduced to 64 pixels at most."""

    name, dimensions, channels, most = "random-2d", (2,), 3, 64
    widths, kernels = (32, 64, 128), (5, 3, 3)


class Random3d(RandomConvolution):
    """288 features of voxels, reduced to 32 at most."""

    name, dimensions, channels, most = "random-3d", (3,), 1, 32
    widths, kernels = (16, 32, 64), (3, 3, 3)


def halved(x: Tensor) -> Tensor:
    """Means of pairs along each axis; the last value of an odd side is left out."""
    for axis in range(2, x.ndim):
        pairs = torch.unflatten(x.narrow(axis, 0, x.shape[axis] // 2 * 2), axis, (-1, 2))
        x = (pairs.select(axis + 1, 0) + pairs.select(axis + 1, 1)).mul_(0.5)
    return x


def around(x: Tensor) -> Tensor:
    """(n, 1, *S) -> the mean of each value's window, of what lies inside: one axis after another, which is the same."""
    dims = x.ndim - 2
    for axis in range(dims):
        side = x.shape[2 + axis]
        window = [min(WINDOW, side - 1 + side % 2) if axis == other else 1 for other in range(dims)]
        x = AVERAGE[dims](x, window, 1, [side // 2 for side in window], count_include_pad=False)
    return x


def fitted(x: Tensor, most: int) -> Tensor:
    """The same samples, reduced by averaging areas until no side is over `most`; a side under LEAST repeats its values."""
    space = x.shape[2:]
    scale = min(1.0, most / max(space))
    wanted = [max(LEAST, round(side * scale)) for side in space]
    return x if wanted == list(space) else POOL_TO[len(space)](x, wanted)  # type: ignore[arg-type]


def filters(name: str, dims: int, channels: int, widths: Sequence[int], kernels: Sequence[int]) -> list[Tensor]:
    """Each stage's filters (outside, inside, *kernel) fp32, the same on every machine."""
    made, inside = [], channels
    for i, (outside, kernel) in enumerate(zip(widths, kernels, strict=True)):
        drawn = orthonormal(f"{name}/{i}", outside, inside * kernel**dims)
        if i == 0:
            drawn = whitened(drawn, dims, channels, kernel)
        rounded = drawn.mul(GAIN[i] / STEP).round().mul(STEP)
        made.append(rounded.float().view(outside, inside, *[kernel] * dims))
        inside = outside
    return made


def orthonormal(name: str, outside: int, fan: int) -> Tensor:
    """(outside, fan) fp64: orthonormal rows of zero mean. Drawn as whole numbers, which no machine rounds."""
    whole = torch.randint(-(1 << 15), 1 << 15, (fan, outside + 1, 4), generator=keys.generator("filters", name)).sum(2)
    columns = whole.double()
    columns[:, 0] = 1
    q, r = torch.linalg.qr(columns)
    rows: Tensor = (q * r.diagonal().sign())[:, 1:].T
    return rows


def whitened(rows: Tensor, dims: int, channels: int, kernel: int) -> Tensor:
    """rows @ C^(-1/2), of zero mean for each channel, each row scaled to unit response to what has the correlation C."""
    places = torch.cartesian_prod(*[torch.arange(kernel, dtype=torch.float64)] * dims)
    among = torch.full((channels, channels), COLOURS, dtype=torch.float64).fill_diagonal_(1)
    correlation = torch.kron(among, NEAR ** torch.cdist(places, places))
    values, vectors = torch.linalg.eigh(correlation)
    made = rows @ (vectors * values.rsqrt() @ vectors.T)
    made = made - made.view(len(made), channels, -1).mean(2).repeat_interleave(kernel**dims, 1)
    scaled: Tensor = made / (made @ correlation * made).sum(1, keepdim=True).sqrt()
    return scaled
