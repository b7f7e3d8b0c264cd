"""Floating islands: what is left of a grid when only its largest piece stays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kept(NamedTuple):
    """The largest piece, and what was taken away: how many pieces, of how many voxels together."""

    grid: NDArray[np.bool_]
    islands: int
    voxels: int


def largest_piece(grid: NDArray[np.bool_]) -> Kept:
    """(D, H, W) -> its largest piece, of equally large ones the first in memory; voxels that touch by a corner hang together.

    The same pieces that the metric `pieces` counts.
    """
    from scipy import ndimage

    labels, count = ndimage.label(grid, np.ones((3, 3, 3), int))
    if count < 2:
        return Kept(grid, 0, 0)
    sizes = np.bincount(labels.ravel())[1:]
    kept = labels == 1 + sizes.argmax()
    return Kept(kept, count - 1, int(sizes.sum() - sizes.max()))
