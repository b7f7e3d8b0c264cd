"""Data that need no download: the packaged avatars, and voxel chairs made by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gansaku.data.chair_parts import right_half
from gansaku.data.chair_plans import FINEST, Dice, Voxels
from gansaku.errors import UsageError

SIZES = (16, 32, 64)
CHAIRS_VERSION = 1  # of the chairs that a seed gives: what was prepared from another is prepared again


def avatars_file() -> Path:
    """The 10,000 bundled avatars: `x` (N, 32, 32, 3) uint8 and the labels hair, skin and glasses. See AVATARS.md."""
    return Path(__file__).with_name("avatars_32.npz")


def chairs(count: int = 1000, size: int = 32, seed: int = 0) -> Voxels:
    """(N, D, H, W) = (N, left to right, front to back, floor to top): chairs that face low H and stand on W = 0.

    Chair i depends on `seed` and i alone. At 32 it is chair i at 64 with each block of eight voxels joined: occupied
    where any of the eight is, so that thin parts stay whole; at 16 likewise. Each chair is one piece, and the mirror
    image of itself from left to right.

    Raises UsageError for another size, a negative count or a negative seed.
    """
    if size not in SIZES:
        raise UsageError("size", f"chairs are made at 16, 32 and 64 voxels per side, not at {size}")
    for name, value in (("count", count), ("seed", seed)):
        if value < 0:
            raise UsageError(name, f"{value} is negative; give 0 or more")
    made = np.empty((count, size, size, size), bool)
    for index in range(count):
        half = coarser(right_half(Dice(seed, index)), FINEST // size)
        made[index] = np.concatenate([half[::-1], half])
    return made


def coarser(voxels: Voxels, times: int) -> Voxels:
    """Each block of times^3 voxels as one, occupied where any of them is; keeps what is connected connected."""
    for axis in range(3):
        parts = [voxels[(slice(None),) * axis + (slice(start, None, times),)] for start in range(times)]
        voxels = np.logical_or.reduce(parts)
    return voxels
