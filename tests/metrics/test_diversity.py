"""Diversity: against scipy pair by pair, and what is known of distances."""

import math

import pytest
import torch
from scipy.spatial.distance import pdist

from gansaku.errors import UsageError
from gansaku.metrics import diversity as module
from gansaku.metrics.contract import Side
from gansaku.metrics.diversity import Diversity


def features(n, f=6, seed=0):
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def side(x):
    return Side(len(x), x)


def diversity(real, generated):
    return Diversity().values(side(real), side(generated))["diversity"]


def test_is_the_ratio_of_mean_distances_pair_by_pair():
    x, y = features(13), 2 * features(9, seed=1) + 5
    assert diversity(x, y) == pytest.approx(pdist(y.double()).mean() / pdist(x.double()).mean(), rel=1e-12)


def test_a_set_is_as_diverse_as_itself_in_any_order():
    x = features(50)
    assert diversity(x, x) == 1
    assert diversity(x, x[torch.randperm(50)]) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equal_samples_have_none(offset):
    assert diversity(features(20), (features(1) + offset).repeat(30, 1)) == 0


@pytest.mark.parametrize("factor", [0.01, 0.5, 3.0])
def test_features_so_many_times_as_far_apart_are_so_many_times_as_diverse(factor):
    x = features(40).double()
    assert diversity(x, factor * x) == pytest.approx(factor, rel=1e-12)


def test_neither_a_shift_nor_a_turn_changes_it():
    x, y = features(30).double(), features(20, seed=1).double()
    turn, _ = torch.linalg.qr(features(6, seed=2).double())
    assert diversity(x, y @ turn + 1e6) == pytest.approx(diversity(x, y), rel=1e-8)


def test_normal_numbers_are_two_over_root_pi_apart():
    """E|x - y| = 2σ/√π on the line; the real pair is at 1."""
    found = diversity(torch.tensor([[0.0], [1.0]]), 3 * features(4000, f=1))
    assert found == pytest.approx(6 / math.sqrt(math.pi), rel=0.03)


def test_a_lone_sample_far_out_counts_by_its_distance_and_not_by_the_square():
    x = features(1000)
    y = x.clone()
    y[0] *= 100
    assert diversity(x, y) < 1.25 < 2 < float(y.var(0).sum() / x.var(0).sum())


def test_a_generator_of_few_samples_is_as_diverse_as_they_are_often():
    """Half of the samples at each of two places: half of all pairs are no distance apart."""
    y = torch.tensor([[0.0], [1.0]]).repeat(500, 1)
    assert diversity(torch.tensor([[0.0], [1.0]]), y) == pytest.approx(500 / 999, rel=1e-12)


def test_blocks_change_nothing(monkeypatch):
    x, y = features(20), features(30, seed=1)
    whole = diversity(x, y)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert diversity(x, y) == pytest.approx(whole, rel=1e-12)


def test_its_error_is_that_of_leaving_each_sample_out():
    x, y = features(6), features(5, seed=1)
    variance = 0.0
    for n, without in ((6, lambda i: (x[torch.arange(6) != i], y)), (5, lambda i: (x, y[torch.arange(5) != i]))):
        values = torch.tensor([diversity(*without(i)) for i in range(n)], dtype=torch.float64)
        variance += (n - 1) * float(values.var(correction=0))
    assert Diversity().error(side(x), side(y))["diversity"] == pytest.approx(variance**0.5, rel=1e-9)


def test_its_error_is_how_much_it_varies():
    drawn = [(side(features(60, seed=2 * i)), side(features(60, seed=2 * i + 1))) for i in range(100)]
    values = torch.tensor([Diversity().values(*pair)["diversity"] for pair in drawn])
    errors = torch.tensor([Diversity().error(*pair)["diversity"] for pair in drawn])
    assert float(errors.square().mean().sqrt()) == pytest.approx(float(values.std()), rel=0.2)


def test_a_reference_made_once_gives_the_same_number():
    real, generated = side(features(30)), side(features(20, seed=1))
    assert Diversity().values(real, generated, Diversity().reference(real)) == Diversity().values(real, generated)


def test_data_without_any_spread_are_refused():
    with pytest.raises(UsageError, match="the 9 real samples have the same features"):
        diversity(torch.ones(9, 3), features(5, f=3))
    assert Diversity().error(side(features(2)), side(features(9))) == {}
