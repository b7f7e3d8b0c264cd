"""Searches: what is proposed, that a search goes on, and that its best is compared at other seeds."""

import math
import sys
from dataclasses import replace
from statistics import median

import pytest

from gansaku.data.store import Facts
from gansaku.errors import RecipeError, RunError, UsageError
from gansaku.experiments import results, search, space
from gansaku.experiments.folder import Place
from gansaku.experiments.plan import AS_IS, TRIED_AT, Arm, Factor, Plan, Scoring, from_toml, to_toml
from gansaku.experiments.proposals import Tried, proposed
from gansaku.experiments.results import Result
from gansaku.experiments.space import Span
from gansaku.metrics.passport import Passport, Score

LR, GROW = Factor("generator.lr", (Span(1e-5, 1e-1),)), Factor("generator.network.grow", ("transpose", "resize"))
FACTS = Facts("avatars", (3, 32, 32), 9000, ())
PLAN = Plan("avatars", "dcgan", (LR, GROW), settings={"length": 6400}, seeds=(0, 1), search=12, scoring=Scoring(("fid",)))


def distance(changes):
    """Least at a learning rate of 0.001 and upsampling: 1."""
    lr, grow = changes.get(LR.path, 2e-4), changes.get(GROW.path, "transpose")
    return 1 + (math.log10(lr) + 3) ** 2 + (grow == "transpose")


class Crew:
    """Carries trainings out at once: their scores are those of a formula. Stops after so many."""

    def __init__(self, most=10_000, value=distance, better="lower", jobs=2):
        self.most, self.value, self.better, self.jobs = most, value, better, jobs
        self.done, self.said = [], []
        self.say = self.said.append

    def stopped(self):
        return len(self.done) >= self.most

    def work_down(self, place, waiting, fatal):
        for training in waiting:
            if self.stopped():
                return {}
            self.done.append(training)
            value = self.value(training.arm.changes)
            passport = Passport("fid", 50, 50, "f", "train", "random-2d", "c", "none", weights="ema", real="avatars")
            score = Score("FD@50", value or 0.0, None, self.better, passport, ())
            why = "not finite" if value is None else ""
            scores = () if why else (score,)
            results.write(place.result(training), Result(training.arm.name, training.seed, 6400, why, scores))
        return {}


def carried_on(path, crew, plan=PLAN):
    return search.carry_on(Place(path), plan, FACTS, crew)


class TestProposals:
    def test_lie_in_their_ranges_and_are_never_twice_the_same(self):
        whole = Factor("batch", (Span(8, 64),))
        tried = []
        for _ in range(10):
            tried += [Tried(one, distance(one)) for one in proposed((LR, GROW, whole), tried, 3, "lower")]
        settings = [one.changes for one in tried]
        assert len(settings) == 30
        assert all(1e-5 <= one[LR.path] <= 1e-1 and one[GROW.path] in GROW.values for one in settings)
        assert all(type(one["batch"]) is int and 8 <= one["batch"] <= 64 for one in settings)
        assert len({tuple(one.items()) for one in settings}) == 30

    @pytest.mark.parametrize("better", ["lower", "higher"])
    def test_come_to_lie_where_scores_are_good(self, better):
        sign = 1 if better == "lower" else -1
        tried = []
        while len(tried) < 40:
            tried += [Tried(one, sign * distance(one)) for one in proposed((LR, GROW), tried, 2, better)]
        first, last = (median(distance(one.changes) - 1 for one in part) for part in (tried[:10], tried[-10:]))
        assert last < first / 3

    def test_are_the_same_for_the_same_past(self):
        past = [Tried({LR.path: 1e-3, GROW.path: "resize"}, 2.0), Tried({LR.path: 1e-2, GROW.path: "resize"}, None)]
        assert proposed((LR, GROW), past, 4, "lower") == proposed((LR, GROW), past, 4, "lower")

    def test_end_where_all_values_were_tried(self):
        assert sorted(one[GROW.path] for one in proposed((GROW,), [], 5, "lower")) == ["resize", "transpose"]

    def test_keep_away_from_what_broke(self):
        past = [Tried({LR.path: 10.0**-e}, None if e < 3 else float(e)) for e in (1.2, 1.6, 2, 2.4, 2.8, 3.1, 3.5, 4, 4.5, 4.8)]
        new = [one[LR.path] for _ in range(10) for one in proposed((LR,), past, 1, "lower")]
        assert max(new) < 1e-2

    def test_may_be_of_values_that_are_lists(self):
        betas = Factor("generator.optimizer.betas", ([0.5, 0.9], [0.0, 0.9]))
        past = [Tried({betas.path: [0.5, 0.9]}, 1.0)]
        assert proposed((betas,), past, 3, "lower") == [{betas.path: [0.0, 0.9]}]

    def test_want_optuna(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(UsageError, match=r"Optuna is not installed; pip install 'gansaku\[search\]'"):
            carried_on(tmp_path, Crew())


class TestASearch:
    def test_compares_the_best_with_the_recipe_as_it_is_at_the_seeds_that_are_wanted(self, tmp_path):
        crew = Crew()
        plan = carried_on(tmp_path, crew)
        assert str(crew.done[0]) == f"{AS_IS}, seed {TRIED_AT}"
        assert [training.seed for training in crew.done] == [TRIED_AT] * 13
        leader = min((training.arm for training in crew.done[1:]), key=lambda arm: distance(arm.changes))
        assert plan == replace(PLAN, search=0, vary=(), listed=(Arm(AS_IS, {}), leader))
        assert plan.seeds == (0, 1)

    def test_takes_the_highest_where_higher_is_better(self, tmp_path):
        crew = Crew(value=lambda changes: -distance(changes), better="higher")
        leader = carried_on(tmp_path, crew).listed[1]
        assert distance(leader.changes) == min(distance(training.arm.changes) for training in crew.done[1:])

    @pytest.mark.parametrize("most", [1, 2, 6])
    def test_goes_on_where_it_was_stopped_and_ends_as_if_it_had_not_been(self, tmp_path, most):
        whole, first, then = Crew(), Crew(most), Crew()
        plan = carried_on(tmp_path / "whole", whole)
        assert carried_on(tmp_path / "stopped", first) is None
        assert carried_on(tmp_path / "stopped", then) == plan
        assert [*map(str, first.done), *map(str, then.done)] == [*map(str, whole.done)]

    def test_that_is_over_tries_no_more_unless_more_is_wanted(self, tmp_path):
        carried_on(tmp_path, Crew())
        again, more = Crew(), Crew()
        carried_on(tmp_path, again)
        carried_on(tmp_path, more, replace(PLAN, search=15))
        assert (len(again.done), len(more.done)) == (0, 3)

    def test_takes_what_broke_for_no_answer_and_never_for_the_best(self, tmp_path):
        crew = Crew(value=lambda changes: None if changes.get(LR.path, 1) < 1e-2 else distance(changes))
        assert carried_on(tmp_path, crew).listed[1].changes[LR.path] >= 1e-2

    def test_of_which_everything_broke_compares_nothing(self, tmp_path):
        with pytest.raises(RunError, match=r"nothing that was tried can be trained.*not finite"):
            carried_on(tmp_path, Crew(value=lambda changes: None))

    def test_tries_what_is_listed_first(self, tmp_path):
        own = Arm("mine", {LR.path: 3e-3, GROW.path: "resize"})
        crew = Crew()
        carried_on(tmp_path, crew, replace(PLAN, listed=(own,)))
        assert [training.arm.name for training in crew.done[:2]] == [AS_IS, "mine"]
        assert len(crew.done) == 13

    def test_tells_what_the_recipe_refuses_and_goes_on(self, tmp_path):
        crew = Crew()
        with pytest.raises(RunError, match="would see 9,600 samples instead of"):
            carried_on(tmp_path, crew, replace(PLAN, vary=(Factor("length", (9600, 12800)),), settings={}, search=5))
        assert [str(training) for training in crew.done] == [f"{AS_IS}, seed {TRIED_AT}"]
        assert any("would see 9,600 samples" in sentence for sentence in crew.said)

    def test_refuses_a_folder_of_another_search(self, tmp_path):
        carried_on(tmp_path, Crew(1))
        with pytest.raises(RunError, match=r"holds another comparison: .*1e-05\.\.0\.1"):
            carried_on(tmp_path, Crew(), replace(PLAN, vary=(Factor(LR.path, (Span(1e-4, 1e-1),)), GROW)))

    def test_is_found_in_its_folder(self, tmp_path):
        assert search.begun(Place(tmp_path)) is None
        assert search.tried(Place(tmp_path)) is None
        carried_on(tmp_path, Crew(3))
        assert search.begun(Place(tmp_path)) == PLAN
        assert search.tried(Place(tmp_path)).results[0].arm == AS_IS

    def test_names_the_end_of_a_range_that_the_recipe_refuses(self):
        search.check(PLAN, FACTS)
        with pytest.raises(RecipeError, match=r"--vary generator.network.width: generator.network.width"):
            search.check(replace(PLAN, vary=(Factor("generator.network.width", (Span(0, 8),)),)), FACTS)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1e-5..1e-3", Span(1e-5, 1e-3)),
        ("8..64", Span(8, 64)),
        ("-1..0.5", Span(-1, 0.5)),
        ("a..b", None),
        ("1e-5", None),
        ("..", None),
    ],
)
def test_a_range_is_two_numbers_with_two_dots_between(text, span):
    assert space.read(text) == span
    assert span is None or space.read(str(span)) == span


def test_wide_ranges_above_zero_are_searched_by_their_logarithm():
    assert [span.log for span in (Span(1e-5, 1e-3), Span(1, 10), Span(1, 9), Span(0, 100), Span(-1, 10))] == [
        True,
        True,
        *[False] * 3,
    ]


def test_a_search_comes_back_from_its_file():
    listed = replace(PLAN, listed=(Arm("mine", {LR.path: 3e-3}),))
    assert from_toml(to_toml(listed)) == listed
    assert list(from_toml(to_toml(listed)).vary) == [LR, GROW]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"search": -1}, "--search: -1 is no number of settings to try; use 1 to 1,000"),
        ({"search": 0}, "is a range; say how many values to try with --search 20"),
        ({"vary": ()}, "--search: of which settings is not said"),
        ({"grid": True}, "--search: takes the place of --grid"),
        ({"seeds": (0, TRIED_AT)}, "1000 is the seed at which a search tries"),
        ({"vary": (LR, Factor("budget", (60.0, 120.0)))}, "would find that more time is better"),
    ],
)
def test_what_makes_no_search_is_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        replace(PLAN, **changes)


@pytest.mark.parametrize("text", ["3..1", "1..1", "1..inf"])
def test_a_range_that_holds_nothing_is_refused(text):
    with pytest.raises(UsageError, match="is no range; write the smaller number first"):
        space.read(text)


def test_a_name_is_no_list_of_values():
    with pytest.raises(RecipeError, match="--vary loss: Hinge is no list of values"):
        space.factor("loss", "Hinge", "--vary loss")
