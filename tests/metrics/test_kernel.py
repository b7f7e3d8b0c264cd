"""Kernel distance: against torchmetrics, a slow version, and the laws of an unbiased estimate."""

import itertools
import math

import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from gansaku.errors import RecipeError
from gansaku.metrics import kernel
from gansaku.metrics.contract import Side
from gansaku.metrics.kernel import KernelDistance, jackknifed, squared_mmd


def features(n, f=6, seed=0, shift=0.0):
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed)) + shift


def side(x):
    return Side(len(x), x)


def kid(real, generated, metric=KernelDistance()):  # noqa: B008
    return metric.values(side(real), side(generated))["kid"]


class PassThrough(torch.nn.Module):
    def forward(self, x):
        return x


def slowly(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    x, y = x.double().tolist(), y.double().tolist()
    same = [sum(k(a, b) for a, b in itertools.permutations(z, 2)) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return sum(same) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


def test_is_what_the_formula_says_pair_by_pair():
    x, y = features(7), features(5, seed=1, shift=0.3)
    assert kid(x, y) == pytest.approx(slowly(x, y), rel=1e-12)


def test_agrees_with_torchmetrics_on_one_subset_of_all():
    x, y = features(60), features(60, seed=1, shift=0.3)
    theirs = KernelInceptionDistance(PassThrough(), subsets=2, subset_size=60)
    theirs.update(x.double(), real=True)
    theirs.update(y.double(), real=False)
    assert kid(x, y) == pytest.approx(float(theirs.compute()[0]), rel=1e-8)


def test_subsets_of_all_samples_give_the_same_as_all_samples():
    x, y = features(60), features(60, seed=1, shift=0.3)
    metric = KernelDistance(subsets=3, subset=60)
    assert metric._of_subsets(x.double(), y.double()).tolist() == pytest.approx([kid(x, y)] * 3, rel=1e-12)


def test_all_samples_give_the_mean_over_every_subset():
    x, y = features(5), features(4, seed=1)
    pairs = itertools.product(itertools.combinations(range(5), 3), itertools.combinations(range(4), 3))
    over_all = [float(squared_mmd(x.double()[list(a)], y.double()[list(b)])) for a, b in pairs]
    assert kid(x, y) == pytest.approx(sum(over_all) / len(over_all), rel=1e-12)


def test_blocks_change_nothing(monkeypatch):
    x, y = features(20), features(30, seed=1)
    whole = kid(x, y)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    assert kid(x, y) == pytest.approx(whole, rel=1e-12)


def test_beyond_the_cost_of_the_subsets_it_is_their_mean_from_a_seed():
    x, y = features(400), features(400, seed=1, shift=0.5)
    few = KernelDistance(subsets=60, subset=50)
    assert kid(x, y, few) == kid(x, y, few)
    assert kid(x, y, few) != kid(x, y, KernelDistance(subsets=60, subset=50, seed=1))
    error = few.error(side(x), side(y))["kid"]
    assert abs(kid(x, y, few) - kid(x, y)) < 4 * error
    assert error == pytest.approx(KernelDistance().error(side(x), side(y))["kid"], rel=0.5)


def test_is_zero_on_average_for_equal_distributions():
    """Unbiased: of either sign, and within the error of the mean of many."""
    values = torch.tensor([kid(features(20, seed=2 * i), features(20, seed=2 * i + 1)) for i in range(200)])
    assert (values < 0).any()
    assert abs(float(values.mean())) < 3 * float(values.std()) / 200**0.5


def test_its_error_is_how_much_it_varies():
    drawn = [(features(60, seed=2 * i).double(), features(60, seed=2 * i + 1, shift=0.4).double()) for i in range(100)]
    values, errors = (torch.stack([f(*pair) for pair in drawn]) for f in (squared_mmd, jackknifed))
    assert float(errors.square().mean().sqrt()) == pytest.approx(float(values.std()), rel=0.25)


def test_its_error_is_that_of_leaving_each_sample_out():
    x, y = features(5).double(), features(4, seed=1).double()
    variance = 0.0
    for n, without in ((5, lambda i: (x[torch.arange(5) != i], y)), (4, lambda i: (x, y[torch.arange(4) != i]))):
        values = torch.stack([squared_mmd(*without(i)) for i in range(n)])
        variance += (n - 1) * float(values.var(correction=0))
    assert float(jackknifed(x, y)) == pytest.approx(variance**0.5, rel=1e-12)


@pytest.mark.parametrize(
    "x", [features(2), features(30).repeat(3, 1), torch.zeros(9, 6), features(1).repeat(8, 1)], ids=["2", "dup", "zero", "mode"]
)
def test_is_finite_for_odd_features(x):
    for a, b in ((x, x), (x, features(10, seed=3)), (features(10, seed=3), x)):
        assert math.isfinite(kid(a, b))
        assert all(math.isfinite(e) for e in KernelDistance().error(side(a), side(b)).values())


def test_a_reference_made_once_gives_the_same_number():
    real, generated = side(features(30)), side(features(20, seed=1))
    assert KernelDistance().values(real, generated, KernelDistance().reference(real)) == KernelDistance().values(
        real, generated
    )


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(RecipeError, match="no pairs"):
        KernelDistance(subset=1)
