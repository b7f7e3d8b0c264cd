"""The tool that trains every method briefly: its plan, its order, what it calls a success, and its pages."""

import json
import math
import re
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gansaku.data.sources import open_data
from gansaku.parts import difference
from gansaku.recipes import registry

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.trials import __main__ as trials_tool  # noqa: E402
from tools.trials import answer, article, choice, figure, page, plan, queue, signals, verdict, words, work  # noqa: E402
from tools.trials.plan import Trial  # noqa: E402
from tools.trials.work import Places  # noqa: E402

RESULTS = ROOT / "docs" / "results"
CIFAR = plan.FACTS["cifar10"]
ONCE = [trial for trial in plan.trials("ABCD") if trial.data == "cifar10" and not trial.seed]


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "work", tmp_path / "results", tmp_path / "cifar10.zip")


def result(**changes):
    """A result as `work.measured` makes it, of a training that went well."""
    plain = {
        "name": "methods-cifar10-wgan-gp", "plan": "A", "recipe": "wgan-gp", "data": "cifar10", "arm": "", "seed": 0,
        "settings": {}, "precision": "bf16", "parameters": {"generator": 441_091, "discriminator": 368_961}, "classes": 0,
        "batch": 64, "length": 6400, "seen": 6400, "stopped": "", "cpu_seconds": 930, "starts": 1, "count": 2000,
        "class_count": 9000, "extractor": "random-2d", "untrained": 12.0, "last": 3.0, "real": 0.1, "diversity": 0.9,
        "class_accuracy": None, "class_accuracy_real": None, "curve": [[3200, 5.0], [6400, 3.1]], "curves": {}, "losses": {},
        "machine": {"device": "cpu", "threads": 1, "torch": "2.13.0", "cpu": "x86_64 AVX512", "bf16": True},
        "gansaku": "0.1.0", "date": "2026-11-21", "best": [6400, 3.1],
    }  # fmt: skip
    made = {**plain, **changes}
    return {**made, "status": verdict.status(made)}


class TestThePlan:
    def test_is_the_same_whenever_it_is_made_and_names_each_trial_once(self):
        names = [trial.name for trial in plan.trials()]
        assert names == [trial.name for trial in plan.trials()]
        assert len(set(names)) == len(names) == 2 * 14 + 6 * 3 + len(plan.INSTEAD) + len(plan.TODAY) + len(plan.CHOICES)

    def test_shows_each_method_on_one_dataset_before_anything_else(self):
        first = plan.trials()[: len(plan.METHODS)]
        assert {trial.recipe for trial in first} == set(plan.METHODS)
        assert {trial.data for trial in first} == {"cifar10"}

    def test_runs_all_arms_of_a_seed_before_the_next_seed(self):
        assert [trial.seed for trial in plan.trials("B")] == sorted(3 * [*range(3)] * 2)

    @pytest.mark.parametrize("trial", ONCE, ids=lambda trial: trial.name)
    def test_changes_nothing_but_widths_the_seed_and_what_the_arm_says(self, trial):
        changes = {c.path: c for c in difference(registry.find(trial.recipe, CIFAR), plan.made(trial, CIFAR))}
        told = {path for path, _ in trial.settings} | {"seed"}
        widths = [c for path, c in changes.items() if path not in told]
        for player in ("generator", "discriminator"):
            assert any(path.startswith(f"{player}.network.width") for path in {c.path for c in widths} | told)
        assert all(set(c.path.split(".")) & {*plan.WIDTHS} and c.after == c.before // 4 for c in widths)

    def test_reduces_what_else_is_a_width(self):
        made = {recipe: plan.made(Trial("A", recipe, "cifar10"), CIFAR) for recipe in ("minibatch", "dfm")}
        assert made["minibatch"].discriminator.network.kernels == 25
        assert made["dfm"].players["denoiser"].network.features == made["dfm"].discriminator.network.features

    def test_sees_the_same_samples_in_all_arms_of_a_comparison(self):
        assert len({trial.group for trial in plan.trials("B")}) == 1
        assert len({trial.group for trial in plan.trials("A")}) == 28

    def test_knows_the_avatars_as_they_are(self):
        assert plan.FACTS["avatars"] == open_data("avatars").facts

    def test_says_how_much_of_a_recipes_own_length_was_seen(self):
        """chainer-gan-lib's 100,000 iterations with a batch of 64 and, for WGAN-GP, five batches each."""
        assert plan.full_length("ac-wgan-gp", "cifar10") == 100_000 * 64
        assert page.shares(result(seen=3_200_000)) == "10.0 %"  # wgan-gp


class TestTheLength:
    def test_takes_the_minutes_on_the_mean_of_its_arms_in_whole_cycles_and_is_never_changed(self, places):
        trial = plan.trials("B")[0]
        seconds = {arm: float(i + 1) for i, arm in enumerate(plan.ARMS)}  # 3.5 on average, for 64 samples
        length = queue.length_of(trial, places, 15, lambda one: {"seconds": seconds[one.arm], "samples": 64})
        assert length % (64 * work.POINTS) == 0
        assert length == pytest.approx(4 * 60 / 3.5 * 64, abs=64 * work.POINTS / 2)
        other = next(one for one in plan.trials("B") if one.seed == 2)
        assert queue.length_of(other, places, 99, lambda one: pytest.fail("measured again")) == length


class Training:
    """A job that is done after some looks at it, unless it is stopped."""

    def __init__(self, finish, looks):
        self.finish, self.looks, self.code = finish, looks, None

    def poll(self):
        self.looks -= 1
        if self.code is None and self.looks <= 0:
            self.finish()
            self.code = 0
        return self.code

    def terminate(self):
        self.code = 143

    def kill(self):
        self.code = -9


class TestWorkingDownThePlan:
    def work(self, places, trials, stopping=None, looks=1, jobs=2):
        """Started trials' names, with the most that ran at once."""
        begun, running, most = [], [], [0]
        self.jobs = []

        def start(trial, length):
            def finish():
                places.results.mkdir(exist_ok=True)
                places.result(trial).write_text("{}")
                running.remove(trial)

            begun.append(trial.name)
            running.append(trial)
            most[0] = max(most[0], len(running))
            self.jobs.append(Training(finish, looks))
            return self.jobs[-1]

        left = queue.work_down(trials, places, 15, jobs, queue.Stopping() if stopping is None else stopping, start,
                               lambda trial: {"seconds": 0.1, "samples": 64}, lambda sentence: None, nap=0)  # fmt: skip
        return begun, left, most[0]

    def test_starts_each_trial_once_in_order_and_so_many_at_a_time(self, places):
        trials = plan.trials("A")[:5]
        begun, left, most = self.work(places, trials, looks=3)
        assert begun == [trial.name for trial in trials]
        assert (left, most) == (0, 2)

    def test_goes_on_with_what_has_no_result(self, places):
        trials = plan.trials("A")[:4]
        places.results.mkdir()
        places.result(trials[1]).write_text("{}")
        begun, left, _ = self.work(places, trials)
        assert begun == [trials[0].name, trials[2].name, trials[3].name]
        assert left == 0

    def test_stops_its_children_when_it_is_asked_and_starts_no_more(self, places):
        trials = plan.trials("A")[:4]

        class After(queue.Stopping):
            looks = 0

            def __bool__(self):
                self.looks += 1
                return self.looks > 6

        begun, left, _ = self.work(places, trials, After(), looks=10**6)
        assert begun == [trials[0].name, trials[1].name]
        assert [job.code for job in self.jobs] == [143, 143]
        assert left == 4

    def test_begins_nothing_in_the_last_minute(self, places):
        begun, left, _ = self.work(places, plan.trials("A")[:2], queue.Stopping(until=queue.LEAST / 2))
        assert (begun, left) == ([], 2)

    def test_goes_on_with_the_others_where_one_cannot_be_measured(self, places):
        trials, tried = plan.trials("A")[:3], []

        def speed(trial):
            if trial == trials[0]:
                raise RuntimeError("no speed")
            return {"seconds": 0.1, "samples": 64}

        def start(trial, length):
            tried.append(trial)
            return Training(lambda: None, 1)

        left = queue.work_down(trials, places, 15, 1, queue.Stopping(), start, speed, lambda sentence: None, nap=0)
        assert (tried, left) == (trials[1:], 3)

    def test_leaves_out_a_failure_until_the_next_time(self, places):
        class Failing(Training):
            def poll(self):
                return 1

        tried = []

        def start(trial, length):
            tried.append(trial)
            return Failing(None, 0)

        left = queue.work_down(plan.trials("A")[:2], places, 15, 1, queue.Stopping(), start,
                               lambda trial: {"seconds": 0.1, "samples": 64}, lambda sentence: None, nap=0)  # fmt: skip
        assert (len(tried), left) == (2, 2)


class TestTheVerdict:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"last": 6.0, "diversity": 0.5}, "trained briefly"),
            ({"last": 6.001}, "failed here"),
            ({"diversity": 0.499}, "failed here"),
            ({"diversity": 1.5}, "trained briefly"),
            ({"diversity": 1.501}, "failed here"),
            ({"stopped": "a number was not finite"}, "failed here"),
            ({"last": None, "diversity": None}, "failed here"),
            ({"last": float("nan")}, "failed here"),
        ],
    )
    def test_asks_for_half_the_distance_and_the_diversity_of_the_data(self, changes, status):
        assert result(**changes)["status"] == status
        assert bool(verdict.shortfall(result(**changes))) == (status != "trained briefly")

    def test_calls_mad_what_ends_over_twice_its_best_or_draws_one_picture(self):
        assert verdict.mad(result(curve=[[1, 4.0], [2, 8.0]])) == []
        assert verdict.mad(result(curve=[[1, 4.0], [2, 8.01]])) == ["the curve ends at 2.0 times its best"]
        assert len(verdict.mad(result(diversity=0.29))) == 1
        assert verdict.mad(result(diversity=0.3)) == []

    def test_dates_madness_from_the_doubling_that_stayed(self):
        curve = [[1, 9.0], [2, 4.0], [3, 8.1], [4, 5.0], [5, 8.1], [6, 9.0]]
        assert verdict.mad_since(result(curve=curve)) == 5
        assert verdict.mad_since(result(curve=curve[:4])) is None
        assert verdict.came_back(result(curve=curve[:4])) == 3
        assert verdict.came_back(result(curve=curve)) is None
        assert verdict.came_back(result(curve=[[1, 9.0], [2, 18.0], [3, 9.0]])) is None

    def test_dates_madness_from_the_samples_that_grew_alike(self):
        spread = [[1, 0.2], [2, 0.5], [3, 0.29], [4, 0.1]]
        assert verdict.mad_since(result(diversity=0.1, curves={"diversity": spread})) == 3
        assert verdict.mad_since(result(diversity=0.1, curves={"diversity": [*spread, [5, 0.31]]})) == 6400  # the end alone is

    def test_dates_a_stop_from_the_last_that_was_written_down(self):
        logged = {"generator/loss/adversarial": [[64, 1.0], [6720, None]]}
        assert verdict.mad_since(result(stopped="is not finite", losses=logged)) == 6720

    def test_names_as_trained_what_succeeded_in_each_of_its_unchanged_runs(self):
        made = [
            result(name="a"),
            result(name="b", data="avatars", last=9.0),
            result(name="c", recipe="dfm", settings={"method.weight": 1.0}),
            result(name="d", recipe="wgan", seed=0),
            result(name="e", recipe="wgan", seed=1, diversity=0.4),
        ]
        assert verdict.trained({one["name"]: one for one in made}, "cifar10") == ["wgan-gp"]
        assert verdict.trained({one["name"]: one for one in made}, "avatars") == []

    def test_takes_the_first_of_equal_bests_and_no_gap_for_one(self):
        assert verdict.best([(1, float("nan")), (2, 3.0), (3, 3.0)]) == (2, 3.0)

    def test_gives_the_t_interval_of_three_seeds(self):
        """1, 2, 3: mean 2, deviation 1, error 1/√3, and t of two degrees of freedom is 4.303."""
        mean, low, high = verdict.t_interval([1.0, 2.0, 3.0])
        assert (mean, low, high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
        assert verdict.t_interval([1.0]) is None


def test_a_log_is_thinned_to_its_last_point_and_tells_its_gaps():
    points = [(i, float(i)) for i in range(199)] + [(199, float("nan"))]
    kept = work.thinned(points)
    assert len(kept) <= work.LOSS_POINTS
    assert kept[-1] == (199, None)
    assert {b[0] - a[0] for a, b in pairwise(kept)} == {4}


def test_a_result_is_read_back_as_it_was():
    assert json.loads(work.text_of(result())) == result()


def steady(level, jump=None, at=35, points=50, every=128):
    """A logged loss that stays within ±0.1 of a level, but for a jump from a point on."""
    moved = [level + 0.1 * math.sin(i) + (jump if jump and i > at else 0) for i in range(1, points + 1)]
    return [[every * i, value] for i, value in enumerate(moved, start=1)]


def mad_curve(best=20, since=36, points=50, every=128):
    """A distance that is best after so many points, and over twice that since another."""
    falling = [[every * i, 10 - 0.1 * i] for i in range(1, best)]
    later = [[every * i, 5.0 if i == best else 6.0 if i < since else 11.0] for i in range(best, points + 1)]
    return falling + later


class TestTheSignals:
    def test_compare_the_first_tenth_of_a_run_with_the_last(self):
        logged = [[i, float(i)] for i in range(1, 21)]
        logged[0][1] = None
        assert signals.course(result(losses={"a": logged}), "a") == (2.0, 20.0)  # of 19 points a tenth is one
        assert signals.course(result(), "a") is None

    def test_see_where_a_loss_crossed_zero_but_not_how_it_began(self):
        logged = [[i, -1.0 if i < 15 else 1.0] for i in range(1, 21)]
        assert signals.sign_changes(result(losses={signals.D_LOSS: [[0, 9.0], *logged]})) == [15]
        assert signals.sign_changes(result(losses={signals.D_LOSS: logged[:10]})) == []

    def test_find_the_loss_that_left_its_range_before_the_run_went_mad_and_when(self):
        losses = {signals.D_LOSS: steady(-4, jump=-3, at=30), "generator/loss/adversarial": steady(2)}
        one = result(curve=mad_curve(), losses=losses)
        span = signals.going_mad(one)
        assert span == (128 * 20, 128 * 35, 128 * 36)
        (found,) = signals.departures(one, span)
        assert (found.name, found.since) == (signals.D_LOSS, 128 * 31)
        assert -4.1 <= found.low < found.high <= -3.9
        assert found.value == pytest.approx(-7, abs=0.1)

    def test_find_nothing_where_each_loss_stays_in_its_range_or_moves_only_afterwards(self):
        losses = {signals.D_LOSS: steady(-4, jump=-3, at=36), "generator/loss/adversarial": steady(2)}
        one = result(curve=mad_curve(), losses=losses)
        assert signals.departures(one, signals.going_mad(one)) == []

    def test_say_nothing_of_a_run_that_went_mad_too_soon(self):
        one = result(curve=mad_curve(best=2, since=3), losses={signals.D_LOSS: steady(-4, jump=-3, at=2)})
        assert signals.departures(one, signals.going_mad(one)) is None

    def test_look_at_a_sane_run_in_the_same_way(self):
        curve = [[320 * i, 5.0] for i in range(1, 21)]
        one = result(curve=curve, losses={signals.D_LOSS: steady(-4, jump=-3, at=45)})
        assert signals.going_mad(one) is None
        assert signals.staying_sane(one) == (3200, 6080, 6400)
        assert len(signals.departures(one, signals.staying_sane(one))) == 1


def run_of(arm, seed, **changes):
    """A result of one of article 1's arms."""
    trial = next(t for t in plan.trials("B") if (t.arm, t.seed) == (arm, seed))
    plain = {"name": trial.name, "plan": "B", "recipe": trial.recipe, "arm": arm, "seed": seed, "classes": 10,
             "settings": dict(trial.settings), "class_accuracy": 0.2, "class_accuracy_real": 0.5}  # fmt: skip
    return result(**{**plain, **changes})


def arms_of(*runs):
    return article.arms_of({one["name"]: one for one in runs})


SEEDED = [0.0, 0.01, -0.01]


class TestTheAnswers:
    @pytest.mark.parametrize(
        ("accuracy", "distance", "said"),
        [
            (0.4, 2.0, "more accurate (+0.20 [+0.18, +0.22]) and closer to the data (−1.00 [−1.02, −0.98])"),
            (0.1, 4.0, "less accurate (−0.10 [−0.12, −0.08]) and farther from the data (+1.00 [+0.98, +1.02])"),
            (0.2, 3.0, "class accuracy, distance and diversity not told apart by 3 seeds"),
        ],
    )
    def test_say_which_way_a_change_went_or_that_seeds_do_not_tell(self, accuracy, distance, said):
        """Differences of d - 0.01, d, d + 0.01 have the error 0.01 / √3, and t is 4.303: ± 0.025."""
        before = [run_of("head, ε 100", seed) for seed in range(3)]
        after = [run_of("classifier, ε 100", seed, class_accuracy=accuracy + 0.8 * e, last=distance + 0.8 * e)
                 for seed, e in enumerate(SEEDED)]  # fmt: skip
        assert said in answer.said(answer.FORMS[1], arms_of(*before, *after))

    def test_pair_the_seeds(self):
        """Seeds that differ much, and always by the same: the difference is told although the means are not."""
        step = answer.EPSILONS[1]
        runs = [run_of(arm, seed, last=3.0 + 5 * seed + more) for seed in range(3)
                for arm, more in ((step.before, 0.0), (step.after, 1 + SEEDED[seed]))]  # fmt: skip
        assert answer.paired(step, arms_of(*runs), "last") == pytest.approx([1.0, 1.01, 0.99])
        assert "farther from the data" in answer.said(step, arms_of(*runs))

    def test_draw_no_conclusion_from_one_seed_or_none(self):
        step = answer.DISTANCES[0]
        assert answer.said(step, arms_of()) == "not run yet"
        one = [run_of(step.before, 0), run_of(step.after, 0, last=11.0)]
        assert answer.said(step, arms_of(*one)) == "one seed alone, which says nothing of chance"
        assert answer.said(step, arms_of(one[0], run_of(step.after, 1))) == "not run yet"

    def test_tell_accuracies_from_chance(self):
        runs = [run_of(arm, seed, class_accuracy=value + SEEDED[seed]) for seed in range(3)
                for arm, value in (("classifier, ε 1", 0.4), ("head, ε 1", 0.11), ("head, ε 100", 0.05))]  # fmt: skip
        said = answer.classes(arms_of(*runs))
        assert "most often with *classifier, ε 1*: 0.40 [0.38, 0.42], and least often with *head, ε 100*: 0.05" in said
        assert "above chance with *classifier, ε 1*." in said
        assert "below chance with *head, ε 100*." in said
        assert "Not told from chance: *head, ε 1*." in said
        assert "without an interval: *classifier, ε 100*, *classifier, ε 10* and *Wasserstein distance*." in said

    def test_count_what_went_mad_and_when(self):
        mad = run_of("head, ε 1", 0, curve=mad_curve())
        back = run_of("head, ε 1", 1, curve=[[1, 4.0], [2, 9.0], [3, 5.0]])
        said = answer.madness(arms_of(mad, back, run_of("classifier, ε 1", 0)))
        assert said.startswith("In 1 of 3 runs: *head, ε 1* in 1 of 2 runs, at 4,608 samples.")
        assert "In 1 run the distance was over twice its best on the way and came back." in said
        assert answer.madness(arms_of(run_of("head, ε 1", 2))) == "None of 1 run did within 6,400 samples."

    def test_hold_what_losses_showed_of_mad_runs_beside_sane_ones(self):
        curve = [[320 * i, 5.0] for i in range(1, 21)]
        shown = run_of("head, ε 1", 0, curve=mad_curve(), losses={signals.D_LOSS: steady(-4, jump=-3, at=30)})
        hidden = run_of("head, ε 1", 1, curve=mad_curve(), losses={signals.D_LOSS: steady(-4)})
        soon = run_of("head, ε 1", 2, curve=mad_curve(2, 3), losses={signals.D_LOSS: steady(-4)})
        sane = run_of("head, ε 100", 0, curve=curve, losses={signals.D_LOSS: steady(-4)})
        said = answer.shown(arms_of(shown, hidden, soon, sane))
        assert "In 1 of 2 runs that went mad a loss had left its earlier range by then." in said
        assert "1 run went mad too soon to compare." in said
        assert "In 0 of 1 that stayed sane" in said
        assert answer.shown(arms_of(sane)).startswith("There was nothing to show.")


class TestTheStories:
    def test_tell_what_losses_showed_when_a_run_went_mad(self):
        losses = {signals.D_LOSS: steady(-4, jump=8, at=30), "generator/loss/adversarial": steady(2)}
        said = article.story([run_of("head, ε 1", 0, curve=mad_curve(), losses=losses)])
        assert "seed 0 at 4,608 samples (the curve ends at 2.2 times its best)" in said
        assert "D's loss was 3.9, above the −4.1 to −3.9 of before (since 3,968 samples)" in said
        assert "D's loss changed its sign at 3,968 samples (seed 0)." in said
        assert "G's adversarial loss was" not in said

    def test_say_so_where_they_showed_nothing(self):
        losses = {signals.D_LOSS: steady(-4)}
        said = article.story([run_of("head, ε 1", 0, curve=mad_curve(), losses=losses)])
        assert "the losses showed nothing" in said
        assert "D's loss kept its sign." in said

    def test_hold_the_trained_classifier_beside_the_independent_one(self):
        losses = {"classifier/loss/class": steady(2), "classifier/class_accuracy": [[1, 0.1], [2, 0.6]],
                  "generator/class_accuracy": [[1, 0.1], [2, 0.99]]}  # fmt: skip
        said = article.story([run_of("classifier, ε 1", seed, losses=losses, class_accuracy=0.3) for seed in range(2)])
        assert "C told 0.10 and then 0.60 of the real pictures right, and in the end takes 0.99 of G's fakes" in said.replace(
            "\n  ", " "
        )
        assert "the independent classifier does for 0.30 of the samples" in said
        assert "Did not go mad in 2 seeds." in said


class TestTheCharts:
    def drawn(self):
        losses = {signals.D_LOSS: steady(-4), "classifier/loss/class": steady(1), "generator/class_unweighted": steady(2)}
        wild = run_of("classifier, ε 1", 1, curve=mad_curve(), losses=losses, curves={"diversity": [[1, 0.9]]})
        sane = run_of("classifier, ε 1", 0, losses=losses)
        return article.charts({one["name"]: one for one in (sane, wild)}), sane, wild

    def test_are_pictures_of_their_own_for_what_was_run(self):
        charts, _, _ = self.drawn()
        assert charts.keys() == {"article-1/arms.svg", "article-1/classifier-epsilon-1.svg"}
        for text in charts.values():
            root = ElementTree.fromstring(text)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert "nan" not in text
        assert article.charts({}) == {}

    def test_show_every_seeds_losses_and_distance_as_they_are(self):
        charts, sane, wild = self.drawn()
        groups = ElementTree.fromstring(charts["article-1/classifier-epsilon-1.svg"]).iter("{http://www.w3.org/2000/svg}g")
        shown = [(g.get("class").split()[1], [*map(float, g.get("data-y").split())]) for g in groups]
        for one in (sane, wild):
            colour = f"s{1 + one['seed']}"
            assert (colour, pytest.approx([value for _, value in one["curve"]], rel=1e-3)) in shown
            for name in one["losses"]:
                assert (colour, pytest.approx([value for _, value in one["losses"][name]], rel=1e-3)) in shown

    def test_mark_where_a_seed_went_mad_in_each_panel(self):
        charts, _, wild = self.drawn()
        text = charts["article-1/classifier-epsilon-1.svg"]
        panels = text.count('class="panel"') - text.count("no numbers yet")
        assert panels == 6  # three losses and three scores
        place = f"{100 * verdict.mad_since(wild) / 6400:.5g}%"
        assert text.count(f'class="mark alarm" x1="{place}"') == panels
        assert text.count(f'class="dot s2" cx="{place}"') == panels
        assert 'class="dot' not in charts["article-1/arms.svg"]

    def test_take_the_mean_of_seeds_at_the_moments_they_share(self):
        assert figure.mean_curve([[(1, 4.0), (2, 8.0), (3, 1.0)], [(1, 2.0), (2, 4.0)]]) == [(1, 3.0), (2, 6.0)]

    def test_keep_an_arms_colour_whatever_else_was_run(self):
        for arm, i in zip(plan.ARMS, range(1, 7), strict=True):
            text = figure.of_all({arm: [run_of(arm, 0)]}, figure.tops([run_of(arm, 0)]))
            assert f'class="key s{i}"' in text


class TestThePages:
    def results(self):
        arms = {"plan": "B", "recipe": "ac-wgan-gp", "arm": "classifier, ε 10", "classes": 10, "class_accuracy_real": 0.5}
        alike = {"health/duplicates": [[3200, 0.1], [6400, 0.312]]}
        made = [
            result(),
            result(name="methods-cifar10-dfm", recipe="dfm", last=9.0, diversity=0.2, losses=alike),
            result(name="article-1-classifier-epsilon-10-seed0", class_accuracy=0.2, last=2.0, **arms),
            result(name="article-1-classifier-epsilon-10-seed1", seed=1, class_accuracy=0.4, last=4.0, **arms),
        ]
        return {one["name"]: one for one in made}

    def test_show_each_result_and_why_it_failed_and_name_what_was_not_run(self):
        text = page.methods(self.results(), {})
        assert (
            "| `wgan-gp` | 441,091 / 368,961 | 6,400 (0.0 %) | 15.5 min | 12.00 → 3.00 | 3.10 (100 %) | 0.90 | – | – |"
            " trained briefly |" in text
        )
        assert "| 12.00 → 9.00 | 3.10 (100 %) | 0.20 | 31.2 % | – | failed here, went mad |" in text
        assert "- `dfm`: the distance is 0.75 of the untrained one, not 0.5; diversity 0.20 is outside 0.5 to 1.5;" in text
        assert "![dfm](methods/methods-cifar10-dfm.jpg)" in text
        unrun = text.split("## Not run yet")[1]
        assert "cifar10-began" in unrun
        assert "cifar10-dfm" not in unrun

    def test_show_what_was_changed_of_a_recipe_and_name_the_substitute_for_the_articles_data(self):
        name, where = "today-dogs-dogs-labels-by-projection", {"plan": "D", "recipe": "dogs", "data": "dogs", "seen": 54_000}
        one = result(name=name, arm="labels by projection", **where)
        text = page.methods({name: one}, {})
        section = text.split("## Articles 3 and 4, and today: dogs")[1].split("##")[0]
        assert "Six breeds of Tiny ImageNet" in section
        assert "| `dogs`, labels by projection | 441,091 / 368,961 | 54,000 (10.0 %) |" in section
        assert f"![dogs, labels by projection](methods/{name}.jpg)" in section

    def test_read_a_candidates_curve_at_minutes_of_its_own_speed(self):
        """At 0.5 ms a sample a minute is 120,000 samples; the curve has points at 100,000, 250,000 and 1,200,000."""
        name = "auto-avatars-norm-free-gamma-0.2"
        curve = [[100_000, 9.0], [250_000, 7.0], [1_200_000, 4.0]]
        one = result(name=name, plan="E", recipe="norm-free", arm="γ 0.2", data="avatars", curve=curve, last=3.9)
        assert name in {t.name for t in plan.trials("E")}
        lengths = {name: {"minutes": 10.0, "samples": 1_200_000, "cpu_ms_per_sample": {"γ 0.2": 0.5}}}
        text = choice.choice({name: one}, lengths)
        assert "| `norm-free`, γ 0.2 | 2,000 | 9.00 | 9.00 | 7.00 | 7.00 | 4.00 | 3.90 | 0.90 | – |" in text

    def test_tell_what_was_tried_where_a_method_failed(self):
        other = result(
            name="instead-cifar10-dfm-half", plan="C", recipe="dfm", arm="half the rate", settings={"denoiser.lr": 5e-5}
        )
        text = " ".join(page.methods(self.results() | {other["name"]: other}, {}).split())
        assert (
            "nearly alike (diversity 0.20); 31 % of pairs of samples are near-duplicates: few pictures, over and over. Tried "
            "instead: half the rate (`denoiser.lr=5e-05` before widths are divided;" in text
        )
        assert "12.00 → 3.00, diversity 0.90, trained briefly ([samples](methods/instead-cifar10-dfm-half.jpg))." in text

    def test_show_the_true_sizes_that_were_measured(self, places):
        folder = places.results.parent / "true-size"
        folder.mkdir(parents=True)
        one = {"recipe": "dfm", "shape": [3, 32, 32], "batch": 64, "parameters": {"generator": 5}, "memory": 10**9,
               "cpu_seconds": 17.2, "same_bits": True}  # fmt: skip
        (folder / "dfm.json").write_text(json.dumps(one))
        trials_tool.write_pages(places)
        text = (places.results.parent / "methods.md").read_text()
        assert "| dfm | 3 × 32 × 32, batch 64 | generator 5 | 1 GB | 17 s | yes |" in text.split("## At true size")[1]

    def test_say_the_minutes_that_were_stored(self):
        text = page.methods(self.results(), {"methods-cifar10-dfm": {"minutes": 20.0, "samples": 6400}})
        assert "--minutes 20 " in text
        assert "minutes 15" not in text

    def test_give_an_arms_mean_with_its_interval(self):
        """Of 0.2 and 0.4: mean 0.3, error 0.1, and t of one degree of freedom is 12.706."""
        text = article.article(self.results(), {})
        assert "| classifier, ε 10 | 2 | 0.30 [−0.97, 1.57] |" in text
        assert "| classifier, ε 10 | 1 | 0.40 | 12.00 → 4.00 | 0.90 | 6,400 | 15.5 min | – |" in text
        assert "Classifier: ε 1 → 10: not run yet." in text
        assert "head-epsilon-1-seed2" in text.split("## Not run yet")[1]

    def test_show_the_sheet_of_each_arms_first_seed(self):
        text = article.article({one["name"]: one for one in (run_of("head, ε 1", 0), run_of("head, ε 1", 1))}, {})
        assert re.findall(r"\((.*jpg)\)", text) == ["methods/article-1-head-epsilon-1-seed0.jpg"]

    def test_are_written_beside_the_results_also_while_there_are_none(self, places):
        trials_tool.write_pages(places)
        written = places.results.parent
        assert "\nNothing was run yet." in (written / "methods.md").read_text()
        assert "Not run yet." in (written / "article-1.md").read_text()
        assert not (written / "article-1").exists()
        places.results.mkdir()
        for one in (result(), run_of("head, ε 1", 0)):
            (places.results / f"{one['name']}.json").write_text(work.text_of(one))
        trials_tool.write_pages(places)
        assert "| `wgan-gp` |" in (written / "methods.md").read_text()
        assert "(article-1/head-epsilon-1.svg)" in (written / "article-1.md").read_text()
        assert (written / "article-1" / "head-epsilon-1.svg").exists()

    def test_survive_a_run_of_which_nothing_was_left(self):
        stopped = {"stopped": "is not finite at turn 3", "last": None, "diversity": None, "class_accuracy": None,
                   "class_accuracy_real": None, "curve": [], "best": None, "seen": 0}  # fmt: skip
        made = [run_of("head, ε 1", 0, **stopped), result(name="methods-cifar10-dfm", recipe="dfm", **stopped)]
        found = {one["name"]: one for one in made}
        assert "stopped: is not finite at turn 3" in article.article(found, {})
        assert article.charts(found)
        assert "jpg" not in article.article(found, {})
        text = page.methods(found, {})
        assert "- `dfm`: stopped: is not finite at turn 3.\n" in text
        assert "dfm.jpg" not in text

    def test_keep_prose_in_lines_and_leave_tables_and_commands_as_they_are(self):
        for text in (page.methods(self.results(), {}), article.article(self.results(), {})):
            plain = [line for line in text.splitlines() if not line.startswith(("|", "!["))]
            assert max(map(len, plain)) <= 128
            assert "\n\n\n" not in text
        long = " ".join(["word"] * 40)
        kept = f"| {long} |\n|---|"
        text = words.wrapped(f"# Title\n\n{long}\n\n- {long}\n- short\n\n{kept}\n\n```\n{long}\n```\n")
        assert text.replace("\n  ", " ").startswith("# Title\n\nword")
        assert f"\n\n{kept}\n\n```\n{long}\n```\n" in text
        assert "word\n- short\n" in text
        assert text.split() == f"# Title {long} - {long} - short {kept} ``` {long} ```".split()

    def test_tell_nothing_of_the_machine_they_were_made_on_but_its_kind(self):
        for name in ("methods.md", "article-1.md"):
            if (RESULTS / name).exists():
                assert re.findall(r"/(?:home|tmp|root|work|Users)\b", (RESULTS / name).read_text()) == []

    def test_end_with_the_recipes_that_may_be_called_trained(self, capsys):
        made = [result(), result(name="a", recipe="auto", data="avatars"), result(name="b", recipe="dfm", last=9.0)]
        trials_tool.tell_statuses({one["name"]: one for one in made})
        cifar, avatars, _dogs, _faces, said, _ = capsys.readouterr().out.splitlines()
        assert cifar == "may be called trained briefly, on CIFAR-10: wgan-gp"
        assert avatars == "may be called trained briefly, on the avatars: auto"
        assert said.startswith("of these the product says so of: auto")


class TestStartingAChild:
    def test_reads_back_what_it_was_told(self, places, monkeypatch):
        trial = plan.trials()[3]
        program, module, name, *told = queue.command("child", trial, places, 6400)
        assert (program, module, name) == (sys.executable, "-m", "tools.trials")
        monkeypatch.setattr(sys, "argv", ["trials", *told])
        given = trials_tool.arguments()
        assert (given.verb, given.trial, given.length) == ("child", trial.name, 6400)
        assert Places(given.work, given.results, given.cifar, given.dogs, given.faces) == places

    def test_finds_the_tool_from_where_it_is_started(self):
        assert (queue.ROOT / "tools" / "trials" / "__main__.py").samefile(trials_tool.__file__)


class TestTheProduct:
    """What `gansaku recipes` says of a recipe was seen."""

    @pytest.mark.parametrize("name", [name for name, entry in registry.recipes().items() if entry.status != "builds"])
    def test_calls_nothing_trained_without_a_result_or_a_page(self, name):
        trial_results = trials_tool.results(Places(RESULTS, RESULTS / "methods", RESULTS))
        trained = {name for data in plan.FACTS for name in verdict.trained(trial_results, data)}
        pages = [path for path in RESULTS.glob("*.md") if path.name not in ("methods.md", "article-1.md")]
        said = [path.name for path in pages if f"recipe `{name}`" in path.read_text()]
        status = registry.recipes()[name].status
        assert said or (status == "trained briefly" and name in trained)
