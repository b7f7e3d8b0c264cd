"""Fréchet distance: against scipy's matrix root and torchmetrics, laws, and the features that break other programs."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from gansaku.errors import UsageError
from gansaku.metrics import frechet
from gansaku.metrics.contract import Side
from gansaku.metrics.frechet import FrechetDistance, Moments, Normal, curve, distance, extrapolated, fitted, nuclear_norm


def features(n, f=24, seed=0, shift=0.0, scale=1.0):
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(f, f, dtype=torch.float64, generator=draw) * torch.logspace(0, -2, f, dtype=torch.float64)
    return (torch.randn(n, f, dtype=torch.float64, generator=draw) @ mixing * scale + shift).float()


def by_scipy(a, b):
    """As the formula is written, with the principal root of the product."""
    a, b = a.double().numpy(), b.double().numpy()
    ca, cb = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(ca @ cb).real
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * np.trace(root)


def fid(real, generated):
    return FrechetDistance().values(Side(len(real), real), Side(len(generated), generated))["fid"]


class PassThrough(torch.nn.Module):
    num_features = 24

    def forward(self, x):
        return x


@pytest.mark.parametrize(("n", "m"), [(200, 150), (200, 25), (60, 300)])
def test_agrees_with_the_matrix_root_of_scipy(n, m):
    a, b = features(n), features(m, seed=1, shift=0.1)
    assert fid(a, b) == pytest.approx(by_scipy(a, b), rel=1e-8)


@pytest.mark.parametrize(("n", "m"), [(12, 200), (200, 12), (12, 9), (2, 2)])
def test_agrees_below_as_many_samples_as_dimensions(n, m):
    """The root of a singular product is the limit of those of regular ones."""
    a, b = features(n), features(m, seed=1, shift=0.1)
    root = np.sqrt(np.clip(np.linalg.eigvals(np.cov(a.double().T) @ np.cov(b.double().T)).real, 0, None)).sum()
    gap = (a.double().mean(0) - b.double().mean(0)).square().sum()
    expected = float(gap) + np.cov(a.double().T).trace() + np.cov(b.double().T).trace() - 2 * root
    assert fid(a, b) == pytest.approx(expected, rel=1e-6)  # the eigenvalues that are zero are off by 1e-16, their roots by 1e-8


def test_agrees_with_torchmetrics():
    a, b = features(120), features(90, seed=1, shift=0.2)
    theirs = FrechetInceptionDistance(PassThrough()).set_dtype(torch.float64)
    theirs.update(a.double(), real=True)
    theirs.update(b.double(), real=False)
    assert fid(a, b) == pytest.approx(float(theirs.compute()), rel=1e-8)


def test_of_two_normal_distributions_on_the_same_axes_has_a_closed_form():
    a = Normal(torch.tensor([1.0, 0.0]).double(), torch.diag(torch.tensor([2.0, 3.0]).double()))
    b = Normal(torch.tensor([0.0, 2.0]).double(), torch.diag(torch.tensor([1.0, 5.0]).double()))
    assert distance(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 5) ** 2, rel=1e-14)


def test_does_not_depend_on_the_factor():
    a, b = fitted(features(100)), fitted(features(90, seed=1))
    turned = Normal(a.mean, torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64)).Q @ a.factor)
    assert distance(turned, b) == pytest.approx(distance(a, b), rel=1e-12)


def test_large_and_small_matrices_take_the_same_value(monkeypatch):
    a, b = fitted(features(100)), fitted(features(20, seed=1))
    straight = distance(a, b)
    monkeypatch.setattr(frechet, "STRAIGHT", 0)
    assert distance(a, b) == pytest.approx(straight, rel=1e-7)
    assert distance(b, a) == pytest.approx(straight, rel=1e-7)


def test_is_symmetric_and_does_not_see_the_order():
    a, b = features(100), features(18, seed=1)
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-12)
    assert fid(a, b.flip(0)) == pytest.approx(fid(a, b), rel=1e-12)


ODD = {
    "many": features(100),
    "few": features(10),
    "two": features(2),
    "duplicated": features(30).repeat(4, 1),
    "one mode": features(1).repeat(60, 1),
    "some features constant": features(100) * (torch.arange(24) < 5),
    "all zero": torch.zeros(50, 24),
    "large": features(100) * 1e6,
    "far from zero": features(100) + 1e4,
}


@pytest.mark.parametrize("name", ODD)
def test_of_a_set_against_itself_is_zero(name):
    trace = float(fitted(ODD[name]).trace)
    assert 0 <= fid(ODD[name], ODD[name].flip(0)) <= 1e-6 * trace


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations(ODD, 2)))
def test_is_finite_and_positive_for_odd_features(a, b):
    value = fid(ODD[a], ODD[b])
    assert math.isfinite(value)
    assert value >= 0
    assert value == pytest.approx(fid(ODD[b], ODD[a]), rel=1e-6, abs=1e-9)


def test_one_sample_is_refused_with_a_sentence():
    with pytest.raises(UsageError, match="FID: needs 2 generated samples or more, and there are 1"):
        FrechetDistance().check(Side(5, features(5)), Side(1, features(1)))
    with pytest.raises(UsageError, match="there are 1"):
        fitted(features(1))


def test_a_reference_made_once_gives_the_same_number():
    real, generated = Side(90, features(90)), Side(40, features(40, seed=2))
    metric = FrechetDistance()
    assert metric.values(real, generated, metric.reference(real)) == metric.values(real, generated)


class TestMoments:
    def test_are_those_of_numpy(self):
        x = features(100) + 1000
        made = Moments.of(x)
        np.testing.assert_allclose(made.mean, x.double().numpy().mean(0), rtol=1e-13)
        np.testing.assert_allclose(made.covariance, np.cov(x.double().numpy().T), rtol=1e-9, atol=1e-12)

    def test_of_parts_merge_into_those_of_the_whole_in_any_order(self):
        x = features(100) + 1000
        whole = Moments.of(x)
        parts = [Moments.of(part) for part in (x[:1], x[1:40], x[40:41], x[41:])]
        for order in itertools.permutations(parts):
            merged = order[0].merged(order[1]).merged(order[2].merged(order[3]))
            assert merged.n == 100
            torch.testing.assert_close(merged.mean, whole.mean, rtol=1e-13, atol=0)
            torch.testing.assert_close(merged.scatter, whole.scatter, rtol=1e-10, atol=1e-9)

    def test_streamed_in_blocks_are_those_of_the_whole(self, monkeypatch):
        x = features(100)
        whole = Moments.of(x)
        monkeypatch.setattr(frechet, "BLOCK", 7)
        torch.testing.assert_close(Moments.of(x).scatter, whole.scatter, rtol=1e-11, atol=1e-11)
        assert whole.added(x[:0]) is whole

    @pytest.mark.parametrize("name", ODD)
    def test_lead_to_the_same_distance_as_the_features(self, name):
        b = fitted(features(50, seed=3))
        assert distance(Moments.of(ODD[name]).normal(), b) == pytest.approx(distance(fitted(ODD[name]), b), rel=1e-6)


def test_the_nuclear_norm_is_the_trace_of_the_root_of_the_gram_matrix():
    m = torch.randn(5, 9, dtype=torch.float64)
    assert float(nuclear_norm(m)) == pytest.approx(np.trace(scipy.linalg.sqrtm((m @ m.T).numpy()).real), rel=1e-10)


def test_extrapolation_of_a_line_in_one_over_n_is_exact():
    sizes = [250, 400, 700, 1000]
    made = extrapolated(sizes, [3 + 50 / n for n in sizes])
    assert made.value == pytest.approx(3, rel=1e-12)
    assert made.slope == pytest.approx(50, rel=1e-9)
    assert made.error == pytest.approx(0, abs=1e-10)


def test_the_error_of_an_extrapolation_is_that_of_ordinary_least_squares():
    from scipy.stats import linregress

    sizes, values = [100, 150, 250, 500], [3.4, 3.3, 3.25, 3.1]
    theirs = linregress([1 / n for n in sizes], values)
    made = extrapolated(sizes, values)
    assert (made.value, made.error) == pytest.approx((theirs.intercept, theirs.intercept_stderr), rel=1e-10)


def test_two_sizes_make_no_curve():
    with pytest.raises(UsageError, match="fewer than 3"):
        extrapolated([100, 200, 200], [1.0, 2.0, 2.0])


def test_the_curve_of_equal_distributions_leads_nearer_to_zero_than_its_end():
    real, generated = Side(20_000, features(20_000)), Side(800, features(20_800)[20_000:])
    made = curve(FrechetDistance(), "fid", real, generated, points=8)
    assert made.sizes[0] == 200
    assert made.sizes[-1] == 800
    assert made == curve(FrechetDistance(), "fid", real, generated, points=8)
    assert made.values[0] > 2 * made.values[-1]
    assert abs(extrapolated(*made).value) < 0.25 * made.values[-1]
