"""Distances of voxel shapes against slow versions; MMD, COV and 1-NNA where the answer is known."""

import numpy as np
import pytest
import torch
from scipy.spatial import distance as scipy_distance

from gansaku.data.bundled import chairs
from gansaku.metrics import voxels
from gansaku.metrics.contract import Side
from gansaku.metrics.voxels import Distances, MatchingByChamfer, MatchingByIoU, chamfer, compared, iou, surface

SPACE = (5, 6, 8)
METRICS = [MatchingByIoU(), MatchingByChamfer()]
every = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.short)


def shapes(n, seed=0, space=SPACE, filled=0.3):
    random = torch.rand(n, 1, *space, generator=torch.Generator().manual_seed(seed))
    return (random < filled).to(torch.uint8)


def special(space=SPACE):
    """An empty shape, a full one, and one of a single voxel."""
    made = torch.zeros(3, 1, *space, dtype=torch.uint8)
    made[1], made[2, 0, 1, 2, 3] = 1, 1
    return made


def values(metric, real, generated):
    """mmd, cov, nna."""
    return tuple(metric.values(Side(len(real), samples=real), Side(len(generated), samples=generated)).values())


def slow_surface(shape):
    points = []
    for at in np.argwhere(shape):
        for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int)):
            beside = at + step
            if (beside < 0).any() or (beside >= shape.shape).any() or not shape[tuple(beside)]:
                points.append(tuple(at))
                break
    return points


def slow_chamfer(a, b):
    x, y = slow_surface(a), slow_surface(b)
    if not x or not y:
        return 0.0 if not x and not y else np.linalg.norm(a.shape) / max(a.shape)
    apart = scipy_distance.cdist(x, y)
    return (apart.min(0).mean() + apart.min(1).mean()) / 2 / max(a.shape)


def slow_iou_distance(a, b):
    either = np.logical_or(a, b).sum()
    return 1 - np.logical_and(a, b).sum() / either if either else 0.0


@pytest.mark.parametrize(("metric", "slow"), [(METRICS[0], slow_iou_distance), (METRICS[1], slow_chamfer)], ids=["iou", "cd"])
@pytest.mark.parametrize("at_once", [2**24, 500], ids=["whole", "in blocks"])
def test_distances_are_those_of_a_loop_over_pairs(metric, slow, at_once, monkeypatch):
    monkeypatch.setattr(voxels, "AT_ONCE", at_once)
    a = torch.cat([shapes(3, filled=0.15), special(), shapes(2, seed=1, filled=0.8)])
    b = torch.cat([special(), shapes(4, seed=2)])
    expected = [[slow(x[0].numpy(), y[0].numpy()) for y in b] for x in a]
    np.testing.assert_allclose(metric.between(a, b).numpy(), expected, rtol=1e-12, atol=1e-15)
    assert torch.equal(metric.between(a, a), metric.between(a, a.clone()))


def test_the_surface_is_what_a_loop_over_voxels_finds():
    some = torch.cat([shapes(3, filled=0.8), special()])
    for shape, found in zip(some, surface(some), strict=True):
        assert {tuple(at) for at in np.argwhere(found.numpy())} == set(slow_surface(shape[0].numpy()))


def test_two_voxels_are_as_far_as_their_centres_in_sides_of_the_cube():
    a, b = (torch.zeros(1, 1, 8, 8, 8, dtype=torch.uint8) for _ in range(2))
    a[0, 0, 0, 0, 0], b[0, 0, 2, 3, 6] = 1, 1
    assert float(chamfer(a, b)) == pytest.approx(7 / 8)
    assert float(iou(a, b)) == 0


def test_nothing_is_farther_than_an_empty_shape():
    some = torch.cat([special((6, 6, 6)), shapes(4, space=(6, 6, 6))])
    apart = chamfer(some, some)
    assert float(apart[0, 0]) == 0
    assert apart[0, 1:].tolist() == pytest.approx([3**0.5] * 6)
    assert float(apart[1:, 1:].max()) < 3**0.5
    assert iou(some, some)[0].tolist() == [1.0] + [0.0] * 6


def slow_comparison(apart, n):
    """MMD, COV and the usual 1-NN accuracy, from the (2n, 2n) distances of n real and n generated shapes."""
    cross = apart[:n, n:]
    alone = apart + np.diag([np.inf] * (2 * n))
    own = sum((alone[i].argmin() < n) == (i < n) for i in range(2 * n))
    return cross.min(1).mean(), len({int(cross[:, j].argmin()) for j in range(n)}) / n, own / (2 * n)


@every
def test_the_comparison_is_that_of_the_papers(metric):
    real, generated = shapes(9), shapes(9, seed=1, filled=0.35)
    everything = torch.cat([real, generated])
    expected = slow_comparison(metric.between(everything, everything).numpy(), 9)
    if metric.short == "cd":  # IoU of small shapes has ties, which the papers leave to chance
        assert values(metric, real, generated) == pytest.approx(expected)
    assert values(metric, real, generated)[:2] == pytest.approx(expected[:2])


@every
def test_a_perfect_copy_covers_all_and_is_given_away_by_its_nearest_neighbours(metric):
    real = shapes(10)
    assert values(metric, real, real.flip(0)) == (0.0, 1.0, 0.0)


@every
def test_a_single_repeated_shape_covers_one_and_is_told_apart(metric):
    real = torch.from_numpy(chairs(12, 16)).to(torch.uint8).unsqueeze(1)
    mmd, cov, nna = values(metric, real, real[:1].roll(3, 2).expand(12, -1, -1, -1, -1))
    assert mmd > 0
    assert cov == pytest.approx(1 / 12)
    assert nna == 1.0


@every
@pytest.mark.parametrize("content", [0, 1])
def test_generators_of_nothing_and_of_blocks_get_finite_and_bad_numbers(metric, content):
    real = torch.from_numpy(chairs(12, 16)).to(torch.uint8).unsqueeze(1)
    mmd, cov, nna = values(metric, real, torch.full_like(real, content))
    assert np.isfinite(mmd)
    assert (cov, nna) == (pytest.approx(1 / 12), 1.0)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (60, 20)])
@every
def test_two_samples_of_one_population_cannot_be_told_apart_however_many_each_has(metric, n, m):
    found = []
    for seed in range(6):
        some = shapes(n + m, seed, (3, 3, 4), filled=0.5)
        found.append(values(metric, some[:n], some[n:])[2])
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


@every
def test_noise_is_farther_and_told_apart(metric):
    both = torch.from_numpy(chairs(80, 16)).to(torch.uint8).unsqueeze(1)
    real, other = both[:40], both[40:]
    damaged = other ^ shapes(40, space=(16, 16, 16), filled=0.05)
    good, bad = values(metric, real, other), values(metric, real, damaged)
    assert bad[0] > 1.2 * good[0]
    assert abs(good[2] - 0.5) < 0.15
    if metric.short == "cd":  # by IoU noisy shapes are nearer to clean ones than to each other
        assert bad[2] > 0.8


def test_ties_between_the_sides_count_half():
    one = torch.ones(3, 3, dtype=torch.float64)
    assert compared(Distances(one, one, one)).nna == 0.5


@every
def test_the_order_of_the_shapes_changes_nothing(metric):
    real, generated = shapes(9), shapes(7, seed=1)
    assert values(metric, real, generated) == pytest.approx(values(metric, real.flip(0), generated.flip(0)))


@every
def test_a_reference_made_before_gives_the_same_numbers_and_each_has_a_standard_error(metric):
    real, generated = (Side(30, samples=shapes(30, seed)) for seed in (0, 1))
    assert metric.values(real, generated, metric.reference(real)) == metric.values(real, generated)
    errors = metric.error(real, generated)
    assert errors.keys() == metric.gives.keys()
    assert all(0 < error < 0.5 for error in errors.values())
