"""Of what floats only the largest piece stays."""

import numpy as np
import torch

from gansaku.data.islands import largest_piece
from gansaku.metrics.occupancy import pieces


def noise(seed, share):
    return np.random.default_rng(seed).random((7, 6, 8)) < share


def test_the_largest_piece_stays_and_the_rest_is_counted():
    grid = np.zeros((6, 6, 6), bool)
    grid[:2, :2, :2] = grid[4, 4, 4] = grid[4, 0, 5] = grid[5, 0, 5] = True
    kept = largest_piece(grid)
    assert np.argwhere(kept.grid).max() == 1
    assert (kept.grid.sum(), kept.islands, kept.voxels) == (8, 2, 3)


def test_what_touches_by_a_corner_hangs_together():
    chain = np.eye(5, dtype=bool)[:, :, None] & np.eye(5, dtype=bool)[None]
    assert largest_piece(chain).islands == 0
    assert (largest_piece(chain).grid == chain).all()


def test_of_equally_large_ones_the_first_in_memory_stays():
    grid = np.zeros((5, 1, 1), bool)
    grid[[0, 2, 4]] = True
    assert np.flatnonzero(largest_piece(grid).grid).tolist() == [0]


def test_one_piece_is_left_of_as_many_as_the_metric_counts_and_nothing_is_added():
    for seed, share in enumerate((0.02, 0.05, 0.1, 0.2, 0.6)):
        grid = noise(seed, share)
        kept = largest_piece(grid)
        before, after = (pieces(torch.from_numpy(one[None, None].astype(np.float32))).item() for one in (grid, kept.grid))
        assert after == 1
        assert kept.islands == before - 1
        assert not (kept.grid & ~grid).any()
        assert grid.sum() == kept.grid.sum() + kept.voxels
        assert (largest_piece(kept.grid).grid == kept.grid).all()


def test_nothing_and_all_stay_as_they_are():
    for grid in (np.zeros((3, 3, 3), bool), np.ones((3, 3, 3), bool)):
        kept = largest_piece(grid)
        assert (kept.grid == grid).all()
        assert (kept.islands, kept.voxels) == (0, 0)
