"""Intervals that cover as often as they say, exact p by brute force, and seeds that are enough."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from gansaku.experiments.statistics import (
    Interval,
    bootstrap,
    difference,
    effect,
    holm,
    noise_floor,
    null_of_ranks,
    paired_t,
    power,
    ranked,
    seeds_needed,
    shared_level,
    sign_flip,
    signed_ranks,
)

SIMULATED = 1000
D = [0.3, -0.1, 0.8, 0.5, 0.2]


def normal(draw, n):
    """A recipe's scores at n seeds."""
    return draw.normal(30, 4, n)


def skewed(draw, n):
    """The same where a seed is sometimes much worse, as distances are: log-normal."""
    return 20 * np.exp(draw.normal(0, 0.5, n))


def share_covered(n, scores, truth=0.0, interval=paired_t, seed=0, trials=SIMULATED):
    """In how many of so many comparisons the interval of the seeds' differences holds the true one."""
    draw = np.random.default_rng(seed)
    covered = 0
    for _ in range(trials):
        low, high = interval(scores(draw, n) - scores(draw, n) + truth)
        covered += low <= truth <= high
    return covered / trials


@pytest.mark.parametrize("scores", [normal, skewed])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_of_a_recipe_against_itself_the_interval_holds_zero_as_often_as_it_says(n, scores):
    assert 0.93 <= share_covered(n, scores) <= 0.97


@pytest.mark.parametrize("n", [3, 5, 8])
def test_where_differences_themselves_are_skewed_t_covers_less_and_ninety_in_a_hundred_at_least(n):
    """Exponential differences, as of a change that harms some seeds a lot. A recipe against itself has none such."""
    draw = np.random.default_rng(1)
    held = [paired_t(draw.exponential(1, n) - 1).holds_zero for _ in range(SIMULATED)]
    assert 0.87 <= np.mean(held) < 0.95


def test_the_bootstrap_follows_skewed_differences_better_than_t():
    """Of 20 exponential differences; means over 200 comparisons."""
    draw = np.random.default_rng(2)
    samples = [draw.exponential(1, 20) - 1 for _ in range(200)]
    by_t, by_bootstrap = (np.mean([how(d).holds_zero for d in samples]) for how in (paired_t, bootstrap))
    assert by_t < by_bootstrap
    assert 0.92 <= by_bootstrap <= 0.98


def test_the_interval_is_scipys():
    wanted = stats.ttest_1samp(D, 0).confidence_interval(0.9)
    assert paired_t(D, 0.9) == pytest.approx((wanted.low, wanted.high))


def test_a_planted_difference_is_found_with_the_promised_power():
    draw = np.random.default_rng(3)
    for size in (0.8, 1.5):
        n = seeds_needed(size)
        found = np.mean([not paired_t(draw.normal(size, 1, n)).holds_zero for _ in range(2000)])
        assert power(n - 1, size) < 0.8 <= power(n, size)
        assert found == pytest.approx(power(n, size), abs=0.03)


@pytest.mark.parametrize(("size", "n"), [(1.0, 10), (0.5, 34), (0.2, 199)])
def test_seeds_needed_are_those_of_the_tables(size, n):
    """Paired t, two-sided 5 %, power 0.8: as Cohen's tables and their programs have it."""
    assert seeds_needed(size) == seeds_needed(-size) == n


def test_no_number_of_seeds_shows_nothing():
    assert seeds_needed(0.0) is None
    assert seeds_needed(1e-4) is None


@pytest.mark.parametrize("d", [D, [1.0] * 5, [1.0, -1.0, 2.0], [0.1, 0.2, 0.3], [0.0, 0.0, 1.0]])
def test_the_exact_p_is_the_share_of_sign_patterns_at_least_as_far_from_zero(d):
    far = [abs(sum(s * v for s, v in zip(signs, d, strict=True))) >= abs(sum(d)) - 1e-12
           for signs in itertools.product((1, -1), repeat=len(d))]  # fmt: skip
    assert sign_flip(d) == pytest.approx(np.mean(far))


def test_the_least_p_of_five_seeds_is_a_sixteenth():
    assert sign_flip([1, 2, 3, 4, 5]) == 2 / 2**5 == 0.0625


def test_of_many_seeds_the_p_is_near_that_of_t():
    d = np.random.default_rng(4).normal(0.4, 1, 30)
    assert sign_flip(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)


def test_ranks_give_scipys_exact_p_and_an_interval_that_holds_zero_where_that_p_is_large():
    draw = np.random.default_rng(5)
    for _ in range(50):
        d = draw.normal(0.7, 1, 8)
        p = stats.wilcoxon(d, method="exact").pvalue
        assert sign_flip(ranked(d)) == pytest.approx(p)
        assert signed_ranks(d)[1].holds_zero == (p > 0.05)


def test_the_null_of_ranks_is_the_count_of_subsets():
    sums = [
        sum(rank for rank, heads in zip(range(1, 5), coins, strict=True) if heads)
        for coins in itertools.product((0, 1), repeat=4)
    ]
    assert null_of_ranks(4).tolist() == [sums.count(w) / 16 for w in range(11)]


class TestABrokenRun:
    def test_counts_as_worse_than_every_other(self):
        """Six seeds are a little better with the change, and one broke: no longer better for sure."""
        better = [-1.0, -2.0, -1.5, -0.5, -3.0, -2.5]
        found = difference([*better, math.inf])
        assert difference(better).interval.high < 0
        assert (found.way, found.effect, found.deviation) == ("signed ranks", None, None)
        assert found.interval == Interval(-2.5, math.inf)  # the third of 28 means from each end: P(W <= 2) = 3 of 128
        assert found.center == pytest.approx(-1.5, abs=0.3)

    def test_makes_nothing_certain_of_five_seeds(self):
        assert difference([1.0, 2.0, 3.0, 4.0, math.inf]).interval == Interval(-math.inf, math.inf)

    def test_has_the_largest_rank_and_shares_it_with_another(self):
        assert ranked([0.5, -math.inf, 1.0, math.inf]).tolist() == [1.0, -3.5, 2.0, 3.5]

    def test_in_both_arms_is_no_difference(self):
        """One infinite difference each way: the middle is that of the rest."""
        found = difference([0.0, math.inf, -math.inf, 1.0, -1.0, 0.0, 0.0])
        assert found.center == 0
        assert found.p == 1

    def test_in_every_seed_makes_the_other_arm_better_for_sure(self):
        found = difference([math.inf] * 6)
        assert found.center == found.interval.low == math.inf
        assert found.p == 2 / 2**6


def test_numbers_that_are_none_are_refused():
    for d in ([1.0], [], [1.0, math.nan]):
        with pytest.raises(ValueError, match="no differences of two seeds or more"):
            difference(d)


def test_the_effect_is_free_of_bias():
    """Of 5 seeds, mean / s alone would say 1.25 where the truth is 1."""
    draw = np.random.default_rng(6)
    found = [effect(draw.normal(1, 1, 5)) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=0.04)
    assert effect([2.0, 2.0, 2.0]) is None


def test_two_runs_of_a_recipe_lie_within_the_noise_floor_in_95_of_100():
    draw = np.random.default_rng(7)
    inside = []
    for _ in range(4000):
        *scores, one, other = normal(draw, 7)
        inside.append(abs(one - other) <= noise_floor(scores))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_from_twenty_seeds_on_the_bootstrap_is_taken():
    draw = np.random.default_rng(8)
    d = draw.normal(0, 1, 20)
    assert difference(d[:19]).way == "paired t"
    assert difference(d).way == "bootstrap"
    assert difference(d).interval == bootstrap(d)
    assert bootstrap(d) == pytest.approx(paired_t(d), abs=0.1)


def test_a_difference_that_is_always_the_same_is_certain():
    found = difference([0.5, 0.5, 0.5])
    assert found.interval == pytest.approx((0.5, 0.5))
    assert bootstrap([0.5] * 20) == Interval(0.5, 0.5)


def test_holm_multiplies_the_smallest_by_all_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_shared_intervals_hold_together_as_often_as_one():
    assert shared_level(1) == 0.95
    assert shared_level(5) == pytest.approx(0.99)
    draw = np.random.default_rng(9)
    held = [all(paired_t(draw.normal(0, 1, 5), shared_level(3)).holds_zero for _ in range(3)) for _ in range(SIMULATED)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
