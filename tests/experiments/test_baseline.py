"""A locked baseline stays what it was, and is what later arms are held against."""

import json

import pytest

from gansaku.data.store import Facts
from gansaku.errors import RunError, UsageError
from gansaku.experiments import baseline
from gansaku.experiments.analysis import compare
from gansaku.experiments.plan import Factor, Plan
from gansaku.experiments.results import Result
from gansaku.metrics.passport import Passport, Score
from gansaku.recipe import to_toml
from gansaku.recipes.registry import find

RECIPE = find("dcgan", Facts("avatars", (3, 32, 32), 9000, ()))


def result_of(arm, seed, value):
    score = Score("FD@200", value, None, "lower", Passport("fid", 200, 200, "abc", "train"))
    return Result(arm, seed, 1000, scores=(score,), recipe=to_toml(RECIPE), fingerprint="abc")


@pytest.fixture
def locked(tmp_path):
    path = tmp_path / "base.json"
    baseline.lock(path, "dcgan", [result_of("batch=64", seed, 10.0 + seed) for seed in range(3)], "2026-01-01")
    return path


def test_it_comes_back_with_its_recipe_and_results(locked):
    found = baseline.read(locked)
    assert (found.name, found.date, found.fingerprint) == ("dcgan", "2026-01-01", "abc")
    assert found.recipe == RECIPE
    assert [one.score("fid").value for one in found.results] == [10.0, 11.0, 12.0]
    assert {one.arm for one in found.results} == {"dcgan"}


def test_one_number_changed_and_it_is_refused(locked):
    content = json.loads(locked.read_text())
    content["results"][1]["scores"][0]["value"] = 9.0
    locked.write_text(json.dumps(content))
    with pytest.raises(RunError, match="was changed since it was locked"):
        baseline.read(locked)


def test_it_is_never_written_over(locked):
    with pytest.raises(UsageError, match="is there already, and a baseline stays as it is"):
        baseline.lock(locked, "dcgan", [result_of("a", seed, 1.0) for seed in range(3)], "2026-01-02")


def test_an_arm_without_results_cannot_be_locked(tmp_path):
    with pytest.raises(UsageError, match="a baseline needs two seeds or more"):
        baseline.lock(tmp_path / "b.json", "x", [], "2026-01-01")


@pytest.mark.parametrize("content", ["", "{}", '{"sha256": "0", "results": [1], "name": "a", "date": "b"}'])
def test_what_is_no_baseline_is_named(tmp_path, content):
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(RunError, match="is no locked baseline"):
        baseline.read(path)


def test_other_data_and_other_seeds_are_refused(locked):
    found, plan = baseline.read(locked), Plan("avatars", vary=(Factor("batch", (32, 16)),), seeds=(0, 1, 2))
    baseline.check(found, plan, "abc", "b.json")
    with pytest.raises(UsageError, match="was made on other data than avatars"):
        baseline.check(found, plan, "other", "b.json")
    with pytest.raises(UsageError, match=r"--seeds: 3 is none of the baseline's \(0, 1, 2\)"):
        baseline.check(found, Plan("avatars", vary=plan.vary, seeds=(0, 3)), "abc", "b.json")


def test_arms_are_held_against_it_seed_by_seed(locked):
    found = baseline.read(locked)
    plan = Plan("avatars", vary=(Factor("batch", (32, 16)),), seeds=(0, 1, 2))
    runs = [*found.results, *[result_of("batch=32", seed, 8.0 + seed) for seed in range(3)]]
    (row, _) = compare(baseline.pairs(found, plan), runs, ["fid"])
    assert (row.pair.a.name, row.pair.b.name, row.verdict) == ("dcgan", "batch=32", "better")
    assert row.found.center == -2
