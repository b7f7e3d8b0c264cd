"""Divergence, pieces and symmetry of voxel shapes with known answers."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from gansaku.data.bundled import chairs
from gansaku.metrics.contract import Side
from gansaku.metrics.occupancy import OccupancyDivergence, Pieces, Symmetry, occupancy, pieces, symmetry

SPACE = (4, 6, 8)


def shapes(n, seed=0, filled=0.3):
    return (torch.rand(n, 1, *SPACE, generator=torch.Generator().manual_seed(seed)) < filled).to(torch.uint8)


def empty(n=1):
    return torch.zeros(n, 1, *SPACE, dtype=torch.uint8)


def values(metric, real, generated):
    sides = [Side(len(x), samples=x) for x in (real, generated)]
    found = metric.values(*sides)
    assert metric.values(*sides, metric.reference(sides[0])) == found
    return found


def jsd(real, generated):
    return values(OccupancyDivergence(), real, generated)["jsd"]


def test_the_divergence_is_scipys_squared():
    real, generated = shapes(9), shapes(5, 1, filled=0.6)
    expected = jensenshannon(occupancy(real).numpy(), occupancy(generated).numpy(), base=2) ** 2
    assert jsd(real, generated) == pytest.approx(expected, rel=1e-9)
    assert jsd(generated, real) == pytest.approx(expected, rel=1e-9)


def test_it_is_0_for_the_same_places_and_1_for_places_apart():
    real = shapes(9)
    assert jsd(real, real.flip(0)) == pytest.approx(0, abs=1e-12)
    assert jsd(real, real.repeat(2, 1, 1, 1, 1)) == pytest.approx(0, abs=1e-12)
    left = empty(3)
    left[:, :, :2] = 1
    assert jsd(left, left.flip(2)) == pytest.approx(1)


def test_empty_sides_are_defined():
    assert jsd(empty(2), empty(3)) == 0
    assert jsd(empty(2), shapes(3)) == jsd(shapes(3), empty(2)) == 1


def test_pieces_touch_by_corners():
    some = empty(4)
    some[1] = 1
    some[2, 0, 0, 0, 0] = some[2, 0, 1, 1, 1] = 1
    some[3, 0, 0, 0, 0] = some[3, 0, 2, 0, 0] = some[3, 0, 3, 5, 7] = 1
    assert pieces(some).tolist() == [0, 1, 1, 3]
    assert values(Pieces(), some[1:], some) == {"pieces": 1.25, "pieces_real": pytest.approx(5 / 3)}


def test_symmetry_is_the_best_plane_of_each_sample():
    some = empty(5)
    some[1] = 1
    some[2, 0, 0, 1, 2] = some[2, 0, 3, 1, 2] = 1  # along the first axis only
    some[3, 0, 0, 1, 2] = 1
    some[4, 0, :2, 1, 2], some[4, 0, 3, 1, 2] = 1, 1  # 3 of its voxels, 2 of them with their image
    assert symmetry(some).tolist() == [1, 1, 1, 0, 0.5]
    assert values(Symmetry(), some[:3], some) == {"symmetry": pytest.approx(0.7), "symmetry_real": 1.0}


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_a_shape_and_its_mirror_image_are_symmetric_along_every_axis(axis):
    some = shapes(6)
    assert symmetry(some | some.flip(axis)).tolist() == [1.0] * 6


def test_the_bundled_chairs_are_whole_and_symmetric():
    some = torch.from_numpy(chairs(20, 32)).to(torch.uint8).unsqueeze(1)
    assert pieces(some).tolist() == [1] * 20
    assert symmetry(some).tolist() == [1] * 20


def test_debris_is_counted_and_breaks_the_symmetry():
    some = torch.from_numpy(chairs(20, 32)).to(torch.uint8).unsqueeze(1)
    dusty = some | (torch.rand(some.shape, generator=torch.Generator().manual_seed(0)) < 0.002)
    found = values(Pieces(), some, dusty) | values(Symmetry(), some, dusty)
    assert found["pieces"] > 10 > found["pieces_real"]
    assert found["symmetry"] < found["symmetry_real"]
    assert np.isfinite(list(found.values())).all()
