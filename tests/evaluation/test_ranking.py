"""Two judges over the checkpoints of one run: known answers, the same from either side, and nothing said that is not known."""

import json
import math
from dataclasses import replace
from itertools import permutations

import pytest
from scipy.stats import kendalltau, spearmanr

from gansaku.errors import UsageError
from gansaku.evaluation.ranking import Pairs, agreement, decimals, halves, interval, ranked, ranking, ranks
from gansaku.evaluation.samples import Stored
from gansaku.evaluation.scorer import Scorer, Told
from gansaku.metrics.passport import Passport, Score, from_plain

from .stand_ins import Brightness, MeanDistance, Noise, Pooled, dataset

PASSPORT = Passport("fid", 5000, 5000, "d", "train")


def scores(values, wide=1.0, better="lower", name="FID@5k"):
    return [Score(name, v, None if wide is None else (v - wide, v + wide), better, PASSPORT) for v in values]


def made(public, private, **how):
    return ranking([1000 * (i + 1) for i in range(len(public))], scores(public, **how), scores(private, **how))


def test_one_is_the_best_and_equal_values_share_the_mean_of_their_ranks():
    assert ranks(scores([30, 10, 20, 10])) == [4, 1.5, 3, 1.5]
    assert ranks(scores([30, 10, 20, 10], better="higher")) == [1, 3.5, 2, 3.5]


def test_agreement_has_the_values_of_the_published_tables():
    """N = 5, ρ = 0.8: two neighbouring swaps, p = 0.133 two-sided (Zar 1972, table of exact probabilities)."""
    found = agreement([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])
    assert (found.rho, found.tau, found.orders) == (pytest.approx(0.8), pytest.approx(0.6), 120)
    assert found.p == pytest.approx(16 / 120)


@pytest.mark.parametrize("b", [[2, 4, 1, 3, 6, 5], [1.5, 1.5, 6, 4, 4, 4]], ids=["without ties", "with ties"])
def test_agreement_is_that_of_a_slow_version_over_every_order(b):
    a = [1, 2.5, 2.5, 4, 5, 6]
    found, rho = agreement(a, b), spearmanr(a, b).statistic
    large = sum(abs(spearmanr(order, b).statistic) >= abs(rho) - 1e-9 for order in permutations(a))
    assert (found.rho, found.tau) == (pytest.approx(rho), pytest.approx(kendalltau(a, b).statistic))
    assert found.p == large / 720


def test_agreement_of_many_is_from_random_orders_and_near_that_of_a_large_sample():
    a, b = list(range(1, 21)), [3, 1, 7, 2, 9, 12, 4, 5, 16, 8, 6, 10, 20, 11, 14, 13, 19, 15, 18, 17]
    b = [b[i] for i in (3, 9, 1, 12, 0, 5, 7, 15, 2, 4, 19, 6, 8, 11, 10, 13, 18, 14, 16, 17)]
    found = agreement(a, b)
    assert found.orders == 9_999
    assert found.p == pytest.approx(spearmanr(a, b).pvalue, abs=0.01)
    assert found == agreement(a, b)


def test_agreement_is_the_same_from_either_side_and_reversed_with_one_judge():
    a, b = [1, 2, 3, 4, 5, 6], [2, 1, 3, 6, 4, 5]
    one, other, reversed_ = agreement(a, b), agreement(b, a), agreement(a, [7 - rank for rank in b])
    assert (one.rho, one.p, one.tau) == (pytest.approx(other.rho), other.p, pytest.approx(other.tau))
    assert (one.rho, one.p) == (pytest.approx(-reversed_.rho), reversed_.p)
    assert one.interval == pytest.approx((-reversed_.interval[1], -reversed_.interval[0]))


def test_the_interval_is_bonett_and_wrights_and_lies_within_minus_one_and_one():
    low, high = interval(0.6, 12)
    half = 1.96 * math.sqrt(1.18 / 9)
    assert math.atanh(low) == pytest.approx(math.atanh(0.6) - half)
    assert math.atanh(high) == pytest.approx(math.atanh(0.6) + half)
    assert all(-1 < end < 1 for end in interval(-0.99, 4))


def test_a_perfect_order_has_no_interval_since_it_would_have_no_width():
    found = agreement([1, 2, 3, 4], [1, 2, 3, 4])
    assert (found.interval, found.p) == (None, 2 / 24)
    assert "95 %" not in str(made([1, 2, 3, 4], [1, 2, 3, 4])).splitlines()[-4]


def test_three_checkpoints_cannot_tell():
    found = made([3, 2, 1], [30, 20, 10])
    assert found.agreement is None
    assert found.conclusion == "Cannot tell whether the judges agree: 3 checkpoints are fewer than 4."
    assert "Spearman" not in str(found)


def test_a_judge_to_whom_all_are_equal_tells_nothing():
    found = made([1, 2, 3, 4, 5], [7, 7, 7, 7, 7])
    assert found.agreement is None
    assert found.conclusion.startswith("Cannot tell")
    assert found.cost == 0


@pytest.mark.parametrize(
    ("public", "private", "said"),
    [
        ([6, 5, 4, 3, 2, 1], [60, 50, 40, 30, 20, 10], "The judges agree more than chance would have it."),
        ([60, 50, 40, 30, 20, 10], [60, 50, 40, 30, 10, 20], "agree more than chance would have it, but not on every pair."),
        ([6, 5, 4, 3, 2, 1], [10, 20, 30, 40, 50, 60], "The judges contradict each other"),
        ([4, 3, 2, 1], [40, 30, 20, 10], "That the judges agree is not shown: 8.3 % of random orders have a |ρ| as large."),
    ],
)
def test_the_conclusion_says_what_the_numbers_say(public, private, said):
    assert said in made(public, private).conclusion


def test_the_cost_of_choosing_by_public_is_in_units_and_ranks_of_private():
    found = made([40, 30, 20, 10], [50, 20, 30, 35])
    assert (found.best_public.seen, found.best_private.seen) == (4000, 2000)
    assert (found.cost, found.cost_in_ranks) == (15, 2)
    assert "Public chooses 4,000, which has 35 by private, rank 3 of 4." in str(found)
    assert "The best by private, 2,000, has 20: the choice costs 15; the intervals do not overlap." in str(found)


def test_a_metric_that_is_better_high_gives_the_same_ranking_with_the_signs_turned():
    low, high = made([40, 30, 20, 10], [50, 20, 30, 35]), made([-40, -30, -20, -10], [-50, -20, -30, -35], better="higher")
    assert [row[3:] for row in low.rows] == [row[3:] for row in high.rows]
    assert (low.agreement, low.pairs, low.cost, low.cost_in_ranks) == (
        high.agreement,
        high.pairs,
        high.cost,
        high.cost_in_ranks,
    )


def test_of_equal_checkpoints_the_earliest_is_the_choice():
    assert made([10, 10, 10, 20], [4, 3, 2, 1]).best_public.seen == 1000


def test_pairs_that_public_tells_apart_are_counted_by_what_private_says_of_them():
    """Public: 0 and 1 overlap, both are apart from 10. Private: 5 against 4 overlap, 9 is apart from both."""
    assert made([0, 1, 10], [5, 9, 4], wide=0.75).pairs == Pairs(apart=2, reversed=2, contradicted=1)
    assert made([0, 1, 10], [4, 9, 5], wide=0.75).pairs == Pairs(apart=2, reversed=1, contradicted=1)
    assert made([0, 1, 10], [4, 4, 4], wide=0.75).pairs == Pairs(apart=2, reversed=0, contradicted=0)
    assert made([0, 1, 2], [3, 2, 1], wide=5).pairs == Pairs(0, 0, 0)


def test_without_intervals_no_pair_can_be_told_apart():
    found = made([1, 2, 3, 4], [4, 3, 2, 1], wide=None)
    assert found.pairs is None
    assert "No pair can be told apart: the scores have no intervals." in str(found)
    assert "overlap" not in str(found)


def test_the_table_has_its_columns_below_each_other():
    found = ranking([10_000 * i for i in range(1, 13)], scores([212.3 / i for i in range(1, 13)]),
                    scores([100.4 - 7 * i for i in range(12)], name="FD-random-convolution@5k"))  # fmt: skip
    lines = str(found).splitlines()[1:14]
    for places in zip(*[[i for i, c in enumerate(line) if c == "["] for line in lines[1:]], strict=True):
        assert len(set(places)) == 1
    ends = {len(line) for line in lines}
    assert len(ends) == 1
    assert lines[0].split() == ["samples", "seen", "95", "%", "rank", "95", "%", "rank"]
    assert lines[12].split() == ["120,000", "17.7", "[16.7,", "18.7]", "1", "23.4", "[22.4,", "24.4]", "1"]


def test_values_are_written_so_that_the_best_ones_can_be_told_apart():
    values = {(341.25, 106.71): 1, (341.25, 3.214): 2, (9.5, 0.0412): 4, (20_000, 12_000): 0, (0.0, 0.0): 3, (1.0, 1e-12): 6}
    assert {pair: decimals(pair) for pair in values} == values


def test_the_rows_come_by_samples_seen():
    found = ranking([3000, 1000, 2000], scores([1, 3, 2]), scores([1, 3, 2]))
    assert [(row.seen, row.public_rank) for row in found.rows] == [(1000, 3), (2000, 2), (3000, 1)]


def test_all_of_it_is_json():
    found = made([40, 30, 20, 10], [50, 20, 30, 35])
    plain = json.loads(json.dumps(found.plain()))
    assert [from_plain(row["private"]) for row in plain["checkpoints"]] == [row.private for row in found.rows]
    assert plain["pairs"] == {"apart": 6, "reversed": 3, "contradicted": 3}
    assert (plain["cost"], plain["best_public"], plain["conclusion"]) == (15, 4000, found.conclusion)


def test_unlike_scores_are_not_ranked():
    unlike = scores([1, 2])
    unlike[1] = replace(unlike[1], passport=replace(PASSPORT, n_generated=2000))
    with pytest.raises(UsageError, match="generated samples: 5000 against 2000"):
        ranking([1, 2], unlike, scores([1, 2]))


def test_one_checkpoint_cannot_be_ranked():
    with pytest.raises(UsageError, match="1 checkpoints cannot be ranked"):
        ranking([1], scores([1]), scores([1]))


class TestJudging:
    def judges(self, metrics=None):
        metrics = (MeanDistance(),) if metrics is None else metrics
        return tuple(Scorer(metrics, Noise(seed), Pooled(f"net-{seed}"), n=40) for seed in (1, 2))

    def test_each_judge_scores_each_checkpoint_against_its_own_data(self):
        """The nearer the noise is to the full range, the nearer it is to the data."""
        judges = self.judges()
        found = ranked(judges, ((1000 * i, Noise(9, low=200 - 50 * i), Told(seen=1000 * i)) for i in range(1, 5)))
        assert [row.seen for row in found.rows] == [1000, 2000, 3000, 4000]
        assert [row.public_rank for row in found.rows] == [row.private_rank for row in found.rows] == [4, 3, 2, 1]
        assert [row.private for row in found.rows][1] == judges[1].score(Noise(9, low=100), Told(seen=2000))[0]
        assert "public: MDx-net-1@40" in str(found)
        assert "private: MDx-net-2@40" in str(found)

    @pytest.mark.parametrize("metrics", [(), (MeanDistance(), MeanDistance(2.0))], ids=["none", "two"])
    def test_a_judge_has_one_metric(self, metrics):
        with pytest.raises(UsageError, match="a judge has exactly one metric"):
            ranked(self.judges(metrics), [])

    def test_a_number_that_is_neither_better_low_nor_high_ranks_nothing(self):
        with pytest.raises(UsageError, match="brightness is neither better low nor high"):
            ranked(self.judges((Brightness(),)), [])


@pytest.mark.parametrize("count", [40, 41])
def test_halves_of_a_split_are_disjoint_and_the_whole(tmp_path, count):
    data = dataset(tmp_path, train=count)
    one, other = halves(data)
    assert one.count - other.count == count % 2
    assert sorted([*one.order, *other.order]) == sorted(Stored(data).order)
    assert one.identity != other.identity
