"""Grids of voxels, (D, H, W) of 0/1: stood up, turned, padded and brought to another size, by whole-number arithmetic.

The store has (D, H, W) = (left to right, front to back, floor to top).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gansaku.data.content import Bytes
from gansaku.data.policy import Policy
from gansaku.data.store import sides
from gansaku.data.tally import Bad

MOST_VOXELS = 512**3

Space = tuple[int, int, int]


def binary(values: NDArray[np.generic]) -> Bytes:
    """The same as uint8. Raises Bad (VOX_VALUE) unless all are 0 or 1."""
    ones = values == 1
    if not (ones | (values == 0)).all():
        raise Bad(f"holds the value {values[~(ones | (values == 0))].flat[0]}; voxels are 0 or 1, so cut them at a threshold "
                  "first", "VOX_VALUE")  # fmt: skip
    found: Bytes = ones.astype(np.uint8)
    return found


def one_grid(shape: tuple[int, ...]) -> Space:
    """(D, H, W) of an array that is one grid, also with a channel axis of 1 in front or at the end. Raises Bad (VOX_SHAPE)."""
    space = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape[:-1] if len(shape) == 4 and shape[-1] == 1 else shape
    if len(space) != 3 or math.prod(space) > MOST_VOXELS or min(space) < 1:
        raise Bad(f"holds {sides(shape) or 'a single number'} where a file is one grid of voxels, as 64x64x64 and at most "
                  "512x512x512; give a file of many samples by itself", "VOX_SHAPE")  # fmt: skip
    d, h, w = space
    return d, h, w


def standing(grid: Bytes, up: str) -> Bytes:
    """A grid [x][y][z] of right-handed coordinates in the store's axes, turned but not mirrored.

    Up "y": what looks along -z, as ShapeNet's models do, faces the front: (-x, z, y). Up "z": what looks along -y, as
    ModelNet's do, faces the front: (x, y, z).
    """
    return grid[::-1].transpose(0, 2, 1) if up == "y" else grid


def quarters(turns: int) -> range:
    """The quarter turns of 1, 2 or 4 equal turns."""
    return range(0, 4, 4 // turns)


def turned_name(name: str, quarter: int) -> str:
    """What a sample is called when turned by so many quarters."""
    return f"{name}_r{90 * quarter}" if quarter else name


def turned(grid: Bytes, quarter_turns: int) -> Bytes:
    """Turned about the vertical axis, counterclockwise as seen from above: one quarter brings the front to the right.

    The sides D and H change places with each quarter.
    """
    return np.rot90(grid, quarter_turns, axes=(0, 1))


def padded(grid: Bytes, pad: int | tuple[int, int]) -> Bytes:
    """So many empty voxels more at the low and the high end of each axis."""
    return np.pad(grid, pad)


def doubled(grid: Bytes) -> Bytes:
    """Each voxel as eight: (D, H, W) -> (2D, 2H, 2W)."""
    return grid.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)


def cubed(grid: Bytes) -> Bytes:
    """The shorter sides padded to the longest: in the middle from left to right and front to back, and on the floor."""
    side = max(grid.shape)
    d, h, w = (side - own for own in grid.shape)
    return np.pad(grid, ((d // 2, d - d // 2), (h // 2, h - h // 2), (0, w)))


def resampled(grid: Bytes, space: int | Space, how: str) -> Bytes:
    """(D, H, W) at another size, larger or smaller. A new voxel is occupied

    - "majority": where at least half of its volume was, so that a sheet of one voxel outlives halving;
    - "any": where any of its volume was, so that no thin part is lost, and all becomes thicker;
    - "trilinear": where the old voxels, interpolated at its middle, come to 1/2.

    The weights are whole numbers and the sums exact, so mirror images stay mirror images.
    """
    space = (space,) * 3 if isinstance(space, int) else space
    if grid.shape == space:
        return grid
    (first, d), (second, h), (third, w) = (weights(old, new, how) for old, new in zip(grid.shape, space, strict=True))
    exact = np.float32 if d * h * w <= 1 << 24 else np.float64  # all sums are whole numbers up to d * h * w
    least = 1 if how == "any" else -(-d * h * w // 2)
    made = np.empty(space, np.uint8)
    across, along = second.astype(exact), third.T.astype(exact)
    for place, row in enumerate(first):  # one slice at a time, so that the memory stays that of the grids
        taken = np.flatnonzero(row)
        parts = grid[taken[0] : taken[-1] + 1].reshape(-1, grid.shape[1] * grid.shape[2])
        slab = (row[taken[0] : taken[-1] + 1].astype(exact) @ parts.astype(exact)).reshape(grid.shape[1:])
        np.greater_equal(across @ slab @ along, least, out=made[place], casting="unsafe")
    return made


@lru_cache(maxsize=64)
def weights(old: int, new: int, how: str) -> tuple[NDArray[np.int64], int]:
    """((new, old) how much each old voxel of a row counts in each new one, and the sum for one new voxel)."""
    if how == "trilinear":
        middle = (2 * np.arange(new) + 1) * old - new  # of each new voxel, in old ones times 2 * new
        low, part = np.divmod(middle, 2 * new)
        found = np.zeros((new, old), np.int64)
        np.add.at(found, (np.arange(new), low.clip(0, old - 1)), 2 * new - part)
        np.add.at(found, (np.arange(new), (low + 1).clip(0, old - 1)), part)
        return found, 2 * new
    begins, ends = np.arange(new)[:, None] * old, np.arange(old) * new  # in old * new parts of the whole row
    return (np.minimum(begins + old, ends + new) - np.maximum(begins, ends)).clip(0), old


def fitted_space(space: Space, policy: Policy) -> Space:
    """The size that `fitted` brings a grid of this size to. Raises Bad as it does."""
    if policy.side is None and len(set(space)) > 1:
        raise Bad(f"is {sides(space)}, not a cube; --size {max(space)} pads it to one", "VOX_SIZE")
    low, high = (policy.pad, policy.pad) if isinstance(policy.pad, int) else policy.pad
    side = max(space) * (2 if policy.double else 1) + low + high
    if side**3 > MOST_VOXELS:
        raise Bad(f"is {sides(space)} and would become {sides((side,) * 3)}, beyond 512x512x512 voxels; leave out --double or "
                  "--pad", "VOX_SIZE")  # fmt: skip
    return (policy.side or side,) * 3


def fitted(grid: Bytes, policy: Policy) -> Bytes:
    """The grid at the size of the policy: made a cube, doubled, padded, resampled, in this order, each if asked for.

    Double and pad by 2 is how 3D-GAN brought 30^3 to 64^3. Raises Bad (VOX_SIZE) for what is no cube where no size is
    given, and for what would become larger than 512^3.
    """
    space = fitted_space(grid.shape, policy)
    grid = cubed(grid) if len(set(grid.shape)) > 1 else grid
    grid = doubled(grid) if policy.double else grid
    return resampled(padded(grid, policy.pad) if policy.pad else grid, space, policy.resample)
