"""Intervals hold what they should about as often as they say."""

from typing import ClassVar

import pytest
import torch
from scipy import stats

from gansaku.metrics.contract import Metric, Output, Side
from gansaku.metrics.frechet import FrechetDistance
from gansaku.metrics.kernel import KernelDistance
from gansaku.metrics.resampling import jackknife, left


class Gap(Metric):
    """Mean of the generated minus mean of the real features: its standard error is known."""

    gives: ClassVar = {"gap": Output("Gap", "lower")}
    references = 0

    def values(self, real, generated, reference=None):
        return {"gap": float(generated.features.mean() - (self.reference(real) if reference is None else reference))}

    def reference(self, real):
        self.references += 1
        return float(real.features.mean())


def side(n, seed, f=1, shift=0.0):
    return Side(n, torch.randn(n, f, generator=torch.Generator().manual_seed(seed)).double() + shift)


def test_of_a_mean_is_that_of_the_group_means():
    """Leaving out a group of ten moves the mean by a ninth of the group's own gap, so SE is that of the ten group means."""
    real, generated = side(50, 1), side(200, 2)
    low, high = jackknife(Gap(), real, generated, seed=3)["gap"]
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    means = torch.stack([generated.features[order[g::10]].mean() for g in range(10)])
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 9) * float(means.std()) / 10**0.5, rel=1e-9)
    assert (high + low) / 2 == pytest.approx(float(generated.features.mean() - real.features.mean()), rel=1e-12)


def test_both_sides_add_their_variances():
    real, generated = side(200, 1), side(200, 2)

    def half(**more):
        low, high = jackknife(Gap(), real, generated, **more)["gap"]
        return (high - low) / 2

    swapped = half(resample_real=True) ** 2 - half() ** 2
    assert swapped > 0
    quantile = stats.t.ppf(0.975, 9)
    assert half(resample_real=True) == pytest.approx(quantile * (2 / 200) ** 0.5, rel=0.5)


def test_the_reference_is_made_once():
    metric = Gap()
    jackknife(metric, side(50, 1), side(50, 2))
    assert metric.references == 1
    jackknife(metric, side(50, 1), side(50, 2), reference=0.0)
    assert metric.references == 1


def test_groups_leave_each_sample_out_once():
    kept = left(23, 5, torch.Generator().manual_seed(0))
    out = [sorted(set(range(23)) - set(rows.tolist())) for rows in kept]
    assert sorted(number for group in out for number in group) == list(range(23))
    assert {len(group) for group in out} == {4, 5}


def test_a_known_standard_error_is_used_instead():
    class Sure(Gap):
        def error(self, real, generated):
            return {"gap": 0.5}

        def values(self, real, generated, reference=None):
            return {"gap": 3.0}

    assert jackknife(Sure(), side(9, 1), side(9, 2))["gap"] == pytest.approx((3 - 1.959964 * 0.5, 3 + 1.959964 * 0.5), rel=1e-6)


def test_what_does_not_resample_has_no_interval():
    class Still(Gap):
        resamples: ClassVar[bool] = False

    assert jackknife(Still(), side(9, 1), side(9, 2)) == {}


def test_the_same_seed_gives_the_same_interval():
    real, generated = side(40, 1, f=3), side(60, 2, f=3)
    made = [jackknife(FrechetDistance(), real, generated, seed=seed) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(("metric", "name"), [(FrechetDistance(), "fid"), (KernelDistance(), "kid")], ids=["fid", "kid"])
def test_intervals_hold_the_expected_number_at_their_count_nineteen_times_of_twenty(metric, name):
    """Normal features of 8 dimensions, 200 of each side. 60 repeats: fewer than 50 or more than 60 of 60 would be 1 in 100."""
    drawn = [(side(200, 2 * i, f=8), side(200, 2 * i + 1, f=8, shift=0.3)) for i in range(60)]
    expected = sum(metric.values(*pair)[name] for pair in drawn) / 60
    intervals = [jackknife(metric, *pair, resample_real=True)[name] for pair in drawn]
    assert 50 <= sum(low <= expected <= high for low, high in intervals) <= 60
