"""How much two samples look alike, differentiably: by their values, and by what random convolutions see at each place.

The filters are those of the extractor `random-2d` or `random-3d`, applied as there (convolution, division by the local
contrast, what is positive). That extractor keeps each channel's mean and deviation over the whole sample; here it is the
map of each channel that counts, so that what is elsewhere is not alike, in means over a grid, so that a small move
costs little.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gansaku.extractors.random_convolution import (
    CONVOLVE,
    EPSILON,
    POOL_TO,
    Random2d,
    Random3d,
    around,
    filters,
    fitted,
    halved,
)

KINDS: dict[int, Any] = {2: Random2d, 3: Random3d}
GRID = {2: 16, 3: 8}  # means of each map, for each side; of a map that is smaller its own values


class Resemblance:
    """Vectors of samples (N, C, *S) in [-1, 1]; half the sum of both squared distances is how unlike two samples are.

    `values` (N, C·S): the samples themselves. `maps` (N, F): what the convolutions see. Both are scaled such that a squared
    distance is a mean over the values, and over the channels and places of each stage, the stages equal. Gradients pass
    through both.
    """

    def __init__(self, shape: tuple[int, ...], like: Tensor):
        self._dims = len(shape) - 1
        kind = KINDS[self._dims]
        made = filters(kind.name, self._dims, kind.channels, kind.widths, kind.kernels)
        self._colours, self._most, self._kernels = kind.channels, kind.most, kind.kernels
        first = made[0] if shape[0] >= kind.channels else made[0].sum(1, keepdim=True)  # grey is three times the same
        self._filters = [each.to(like) for each in (first, *made[1:])]

    def values(self, samples: Tensor) -> Tensor:
        """(N, C, *S) -> (N, C·S)."""
        return samples.flatten(1) / math.sqrt(samples[0].numel())

    def maps(self, samples: Tensor) -> Tensor:
        """(N, C, *S) -> (N, F)."""
        parts = []
        for map_ in self.stages(samples):
            sides: Any = [min(GRID[self._dims], side) for side in map_.shape[2:]]
            grid = POOL_TO[self._dims](map_, sides)
            parts.append(grid.flatten(1) / math.sqrt(grid[0].numel() * len(self._filters)))
        return torch.cat(parts, 1)

    def stages(self, samples: Tensor) -> list[Tensor]:
        """(N, C, *S) -> the map (N, C', *S') of each stage."""
        dims, kernel = self._dims, self._kernels[0]
        x = samples[:, : self._colours if samples.shape[1] >= self._colours else 1]
        x = fitted(x if dims == 2 else x + 1, self._most)  # voxels: around them is nothing, as in an empty one
        x = F.pad(x, (kernel // 2,) * 4, mode="replicate") if dims == 2 else x
        made = []
        for i, each in enumerate(self._filters):
            x = CONVOLVE[dims](x, each, padding=0 if i == 0 and dims == 2 else self._kernels[i] // 2)
            x = (x / (around(x.square().mean(1, keepdim=True)) + EPSILON**2).sqrt()).relu()
            made.append(x)
            x = halved(x) if i + 1 < len(self._filters) else x
        return made
