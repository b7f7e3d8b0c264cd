"""What a comparison shows, by results whose answer is known."""

import math

import pytest

from gansaku.errors import RunError, UsageError
from gansaku.experiments import results
from gansaku.experiments.analysis import compare, plain, sentence
from gansaku.experiments.plan import Factor, Plan
from gansaku.experiments.results import Result
from gansaku.experiments.statistics import paired_t, shared_level, sign_flip
from gansaku.metrics.passport import Passport, Score

A, B, C = "batch=1", "batch=2", "batch=4"
SEEDS = tuple(range(5))
BASE = [10.0, 12.0, 11.0, 13.0, 9.0]
BETTER = [8.0, 10.5, 9.0, 11.5, 7.0]  # by 2, 1.5, 2, 1.5, 2
NEAR = [10.5, 11.0, 11.5, 13.5, 8.0]


def score(value, metric="fid", better="lower", **passport):
    told = {"metric": metric, "n_generated": 200, "n_real": 200, "data": "abc", "split": "train", **passport}
    return Score(f"{metric}@200", value, None, better, Passport(**told))


def result(arm, seed, value, broken="", **how):
    scores = () if value is None else (score(value, **how),)
    return Result(arm, seed, 1000, broken, scores)


def plan_of(*values, seeds=SEEDS):
    return Plan("avatars", vary=(Factor("batch", values),), seeds=seeds)


def found(arms, metric="fid", better="lower", broken=()):
    values = (1, 2, 4)[: len(arms)]
    names = (A, B, C)
    runs = [
        result(name, seed, value, "not finite" if (name, seed) in broken else "", metric=metric, better=better)
        for name, each in zip(names, arms, strict=False)
        for seed, value in enumerate(each)
    ]
    return compare(plan_of(*values).pairs, runs, [metric])


def test_a_clear_difference_is_better_with_the_paired_interval_and_the_exact_p():
    (row,) = found([BASE, BETTER])
    d = [b - a for a, b in zip(BASE, BETTER, strict=True)]
    assert row.verdict == "better"
    assert row.found.interval == paired_t(d)
    assert row.p == row.found.p == sign_flip(d) == 0.0625
    assert row.center == 11
    assert sentence(row) == "batch=2 against batch=1: better, fid@200 -1.8 [-2.14, -1.46] of 11 (5 seeds)"


def test_of_a_score_that_is_better_high_the_same_numbers_are_worse():
    assert found([BASE, BETTER], "recall", "higher")[0].verdict == "worse"
    assert found([BETTER, BASE], "recall", "higher")[0].verdict == "better"


def test_of_a_score_without_better_and_worse_it_is_lower():
    assert found([BASE, BETTER], "diversity", "neither")[0].verdict == "lower"


def test_a_small_difference_cannot_be_told_and_the_seeds_are_named_that_it_would_take():
    (row,) = found([BASE, NEAR])
    assert row.verdict == "cannot tell"
    assert row.seeds > 5
    assert f"a difference as large would show with {row.seeds}" in sentence(row)


def test_intervals_of_several_pairs_hold_together_and_p_is_holms():
    rows = found([BASE, BETTER, NEAR])
    assert [row.found.level for row in rows] == [shared_level(2)] * 2
    assert rows[0].p == 2 * rows[0].found.p
    wide = [high - low for low, high in (row.found.interval for row in found([BASE, BETTER]) + rows[:1])]
    assert wide[1] > wide[0]


def test_a_broken_run_counts_as_worst_although_it_has_a_score():
    """In five of five seeds it was better, and one of them broke at its end: no longer sure."""
    (row,) = found([BASE, BETTER], broken={(B, 3)})
    assert row.values[3] == (3, 13.0, None)
    assert row.found.way == "signed ranks"
    assert row.verdict == "cannot tell"
    assert "as 1 of 5 runs of batch=2 broke (5 seeds; ranks of fewer than 6 seeds show nothing)" in sentence(row)


def test_an_arm_that_always_breaks_is_worse_from_six_seeds_on():
    runs = [result(A, seed, 10.0 + seed) for seed in range(6)] + [result(B, seed, None, "collapsed") for seed in range(6)]
    (row,) = compare(plan_of(1, 2, seeds=tuple(range(6))).pairs, runs, ["fid"])
    assert row.verdict == "worse"
    assert row.found.center == math.inf
    assert plain(row)["interval"] == [None, None]
    assert "6 of 6 runs of batch=2 broke" in sentence(row)


def test_a_broken_run_without_better_and_worse_leaves_a_pair_that_is_named():
    (row,) = found([BASE, BETTER], "diversity", "neither", broken={(A, 0)})
    assert (row.unpaired, row.found.n) == (1, 4)


def test_what_is_not_there_yet_is_not_paired():
    runs = [result(A, seed, value) for seed, value in enumerate(BASE)] + [result(B, 0, 8.0), result(B, 4, 7.0)]
    (row,) = compare(plan_of(1, 2).pairs, runs, ["fid"])
    assert [seed for seed, _, _ in row.values] == [0, 4]
    (row,) = compare(plan_of(1, 2).pairs, runs[:6], ["fid"])
    assert row.found is None
    assert sentence(row) == "batch=2 against batch=1: cannot tell by fid@200, 1 seeds are too few"


def test_scores_that_came_about_in_other_ways_are_refused():
    runs = [result(A, 0, 1.0), result(B, 0, 2.0, extractor="inception-2015")]
    with pytest.raises(UsageError, match=r"are not comparable: extractor"):
        compare(plan_of(1, 2).pairs, runs, ["fid"])


def test_a_result_comes_back_from_its_file(tmp_path):
    made = Result(
        A, 3, 1000, "", (score(1.5), score(0.5, "diversity", "neither")), {"fid@200": ((100, 2.0), (1000, 1.5))}, 12.5, 2,
        {"generator": 7}, "length = 3", {"cpu": "x"}, "abc", "2026-01-01",
    )  # fmt: skip
    results.write(tmp_path / "results" / "a.json", made)
    assert results.read(tmp_path / "results" / "a.json") == made


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"arm": "a", "seed": 0, "seen": 1, "scores": [{}]}'])
def test_a_damaged_result_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(RunError, match="is no result of a comparison"):
        results.read(path)
