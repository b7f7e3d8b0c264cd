"""Grids of voxels at another size, turned and padded."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from gansaku.data import grids
from gansaku.data.policy import Policy
from gansaku.data.tally import Bad
from gansaku.render.voxels import draw

SHAPE = (5, 6, 7)


def some(shape=SHAPE, share=0.4, seed=0):
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def shares(old, new, place):
    """{old voxel: how much of the new one at this place it covers}."""
    low, high = Fraction(place * old, new), Fraction((place + 1) * old, new)
    covered = {i: min(high, i + 1) - max(low, i) for i in range(old) if i < high and i + 1 > low}
    return {i: part / (high - low) for i, part in covered.items() if part > 0}


def between(old, new, place):
    """{old voxel: its weight at the middle of the new one}, the outermost going on beyond the edge."""
    middle = Fraction(2 * place + 1, 2 * new) * old - Fraction(1, 2)
    low = middle.numerator // middle.denominator
    found = {}
    for i, part in ((low, 1 - (middle - low)), (low + 1, middle - low)):
        i = min(max(i, 0), old - 1)
        found[i] = found.get(i, 0) + part
    return found


def slowly(grid, space, how):
    """An independent version: voxel by voxel, in fractions."""
    made = np.zeros(space, np.uint8)
    weight = between if how == "trilinear" else shares
    for place in product(*map(range, space)):
        axes = [weight(old, new, at).items() for old, new, at in zip(grid.shape, space, place, strict=True)]
        held = sum(a * b * c * int(grid[i, j, k]) for (i, a), (j, b), (k, c) in product(*axes))
        made[place] = held > 0 if how == "any" else held >= Fraction(1, 2)
    return made


@pytest.mark.parametrize("how", ["majority", "any", "trilinear"])
@pytest.mark.parametrize("space", [(3, 3, 3), (2, 5, 9), (7, 7, 7), (10, 12, 14), (1, 1, 1), (5, 6, 7)], ids=str)
def test_another_size_is_what_fractions_say(space, how):
    for seed in range(3):
        grid = some(seed=seed)
        assert np.array_equal(grids.resampled(grid, space, how), slowly(grid, space, how))


@pytest.mark.parametrize("how", ["majority", "any"])
def test_twice_the_size_is_each_voxel_as_eight_and_back(how):
    grid = some()
    twice = grids.resampled(grid, (10, 12, 14), how)
    assert np.array_equal(twice, grids.doubled(grid))
    assert np.array_equal(grids.resampled(twice, SHAPE, how), grid)


@pytest.mark.parametrize("how", ["majority", "any", "trilinear"])
@pytest.mark.parametrize("side", [3, 4, 8, 11])
def test_the_mirror_image_comes_to_the_mirror_image(how, side):
    grid = some((6, 6, 6), 0.5)
    for axis in range(3):
        assert np.array_equal(np.flip(grids.resampled(grid, side, how), axis), grids.resampled(np.flip(grid, axis), side, how))


@pytest.mark.parametrize("side", [2, 3, 5, 9])
def test_any_loses_nothing_that_majority_keeps(side):
    grid = some((6, 6, 6), 0.2)
    assert (grids.resampled(grid, side, "any") >= grids.resampled(grid, side, "majority")).all()
    assert grids.resampled(np.pad(np.ones((1, 1, 1), np.uint8), (2, 3)), side, "any").any()


def test_a_sheet_of_one_voxel_outlives_halving():
    grid = np.zeros((8, 8, 8), np.uint8)
    grid[:, :, 3] = 1
    assert grids.resampled(grid, 4, "majority")[:, :, 1].all()


def test_sums_stay_exact_where_single_precision_would_not_do():
    """One voxel less than half of 512 x 512 x 130: an odd number beyond 2^24."""
    grid = np.zeros((512, 512, 130), np.uint8)
    grid[:256] = 1
    assert grids.resampled(grid, 1, "majority").tolist() == [[[1]]]
    grid[0, 0, 0] = 0
    assert grids.resampled(grid, 1, "majority").tolist() == [[[0]]]


def test_a_quarter_turn_brings_the_front_to_the_right_as_drawing_does():
    grid = np.zeros((5, 5, 5), np.uint8)
    grid[2, 0, 1] = 1
    assert np.argwhere(grids.turned(grid, 1)).tolist() == [[4, 2, 1]]
    grid = some((6, 6, 6))
    for quarters in range(4):
        assert np.array_equal(draw(grids.turned(grid, quarters) > 0, 64, turn=20), draw(grid > 0, 64, turn=20 + 90 * quarters))
    assert grids.turned(some(), 1).shape == (6, 5, 7)


def test_padding_adds_empty_voxels_at_both_ends():
    grid = some()
    assert np.array_equal(grids.padded(grid, (1, 2))[1:-2, 1:-2, 1:-2], grid)
    assert grids.padded(grid, (1, 2)).shape == (8, 9, 10)
    assert grids.padded(grid, 2).sum() == grid.sum()


def test_a_cube_is_made_around_the_middle_and_on_the_floor():
    grid = np.ones((2, 5, 3), np.uint8)
    cube = grids.cubed(grid)
    assert cube.shape == (5, 5, 5)
    assert np.array_equal(cube[1:3, :, :3], grid)
    assert cube.sum() == grid.sum()


@pytest.mark.parametrize(("policy", "side"), [
    (Policy(), 30), (Policy(pad=1), 32), (Policy(double=True, pad=2), 64), (Policy(size=64, double=True, pad=2), 64),
    (Policy(size=16), 16), (Policy(size=64), 64), (Policy(pad=(0, 2)), 32),
])  # fmt: skip
def test_a_grid_comes_to_the_size_of_the_policy(policy, side):
    assert grids.fitted(some((30, 30, 30)), policy).shape == (side,) * 3 == grids.fitted_space((30, 30, 30), policy)


def test_30_becomes_64_as_in_3d_gan_by_doubling_and_two_empty_voxels_around():
    grid = some((30, 30, 30))
    large = grids.fitted(grid, Policy(double=True, pad=2))
    assert np.array_equal(large[2:62:2, 2:62:2, 2:62:2], grid)
    assert np.array_equal(large[3:62:2, 3:62:2, 3:62:2], grid)
    assert large.sum() == 8 * grid.sum()


def test_what_is_no_cube_is_padded_to_one_when_a_size_is_asked_for():
    grid = some((4, 6, 5))
    assert np.array_equal(grids.fitted(grid, Policy(size=6)), grids.cubed(grid))
    with pytest.raises(Bad, match=r"is 4x6x5, not a cube; --size 6 pads it to one") as caught:
        grids.fitted(grid, Policy())
    assert caught.value.code == "VOX_SIZE"


def test_nothing_becomes_larger_than_512():
    with pytest.raises(Bad) as caught:
        grids.fitted_space((257, 257, 257), Policy(double=True))
    assert caught.value.code == "VOX_SIZE"


@pytest.mark.parametrize("value", [2, -1, 0.5, float("nan"), float("inf")])
def test_voxels_are_0_or_1(value):
    assert grids.binary(np.array([0.0, 1.0, 1.0])).tolist() == [0, 1, 1]
    assert grids.binary(np.array([False, True])).dtype == np.uint8
    with pytest.raises(Bad) as caught:
        grids.binary(np.array([0.0, value]))
    assert caught.value.code == "VOX_VALUE"


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 5, 6, 7), (5, 6, 7, 1)], ids=str)
def test_one_grid_may_have_a_channel_axis_of_one(shape):
    assert grids.one_grid(shape) == (5, 6, 7)


@pytest.mark.parametrize("shape", [(), (5,), (5, 6), (2, 5, 6, 7), (0, 6, 7), (1024, 1024, 1024)], ids=str)
def test_other_shapes_are_no_grid(shape):
    with pytest.raises(Bad) as caught:
        grids.one_grid(shape)
    assert caught.value.code == "VOX_SHAPE"
