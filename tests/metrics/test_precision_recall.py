"""Precision, recall, density, coverage against a version without matrices, and where they are known."""

import math

import pytest
import torch

from gansaku.errors import UsageError
from gansaku.metrics import precision_recall
from gansaku.metrics.contract import Side
from gansaku.metrics.precision_recall import PrecisionRecall, squared_distances


def features(n, seed=0, shift=0.0, f=4):
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed)) + shift


def made(x, y, metric=PrecisionRecall()):  # noqa: B008
    return metric.values(Side(len(x), x), Side(len(y), y))


def slowly(x, y, k=3, k_density=5):
    def radius(points, i, k):
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    def inside(center, points, k):
        return [[math.dist(p, points[i]) <= radius(points, i, k) for i in range(len(points))] for p in center]

    x, y = x.double().tolist(), y.double().tolist()
    in_real, in_real_wider, in_generated = inside(y, x, k), inside(y, x, k_density), inside(x, y, k)
    return {
        "precision": sum(map(any, in_real)) / len(y),
        "recall": sum(map(any, in_generated)) / len(x),
        "density": sum(map(sum, in_real_wider)) / (k_density * len(y)),
        "coverage": sum(map(any, zip(*in_real_wider, strict=True))) / len(x),
    }


@pytest.mark.parametrize("settings", [(3, 5), (2, 7)])
def test_agrees_with_the_definitions_ball_by_ball(settings, monkeypatch):
    monkeypatch.setattr(precision_recall, "BLOCK", 7)
    x, y = features(40), features(30, seed=1, shift=0.5)
    assert made(x, y, PrecisionRecall(*settings)) == pytest.approx(slowly(x, y, *settings), rel=1e-12)
    assert len(set(made(x, y).values())) == 4


def test_blocks_change_nothing(monkeypatch):
    x, y = features(40), features(30, seed=1, shift=0.5)
    whole = made(x, y)
    monkeypatch.setattr(precision_recall, "BLOCK", 7)
    assert made(x, y) == whole


@pytest.mark.parametrize(
    "x",
    [
        features(20),
        features(20) + 1000,
        features(1).repeat(20, 1),
        torch.zeros(20, 4),
        features(5, f=50),
        features(7).repeat(9, 1),
    ],
    ids=["plain", "far from zero", "one mode", "zero", "few", "duplicated"],
)
def test_a_set_covers_itself(x):
    x = x if len(x) > 5 else x.repeat(2, 1)
    values = made(x, x.flip(0))
    assert values["precision"] == values["recall"] == values["coverage"] == 1
    assert values["density"] >= 1


def test_sets_far_apart_share_nothing():
    assert made(features(20), features(20, seed=1, shift=100)) == dict.fromkeys(
        ("precision", "recall", "density", "coverage"), 0
    )


def test_one_mode_is_precise_and_recalls_little():
    x = features(200)
    values = made(x, x[:1].repeat(100, 1))
    assert values["precision"] == 1
    assert values["recall"] == pytest.approx(1 / 200)
    assert values["coverage"] < 0.1


def test_exchanging_the_sides_exchanges_precision_and_recall():
    x, y = features(40), features(30, seed=1, shift=0.5)
    assert made(x, y)["precision"] == made(y, x)["recall"]


def test_distances_of_equal_rows_are_zero_and_others_are_exact():
    x = features(30, f=64).double() + 100
    apart = squared_distances(x, x)
    assert (apart.diagonal() == 0).all()
    assert (apart == 0).sum() == 30
    torch.testing.assert_close(apart, torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") ** 2, rtol=1e-9, atol=1e-9)


def test_a_reference_made_once_gives_the_same_numbers():
    x, y = Side(40, features(40)), Side(30, features(30, seed=1))
    assert PrecisionRecall().values(x, y, PrecisionRecall().reference(x)) == PrecisionRecall().values(x, y)


def test_too_few_samples_for_so_many_neighbours_are_refused_with_a_sentence():
    with pytest.raises(UsageError, match="need 6 generated samples or more for 5 neighbours of each, and there are 5"):
        PrecisionRecall().check(Side(9), Side(5))
    with pytest.raises(UsageError, match="need 10 real"):
        PrecisionRecall(density_neighbors=9).check(Side(9), Side(50))
