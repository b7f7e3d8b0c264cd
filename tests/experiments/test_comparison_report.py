"""The report of a comparison: numbers that are right, words that claim no more, whatever is missing, and nothing that leaks."""

import base64
import csv
import hashlib
import io
import json
import math
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from gansaku.experiments import analysis, report, report_sheets
from gansaku.experiments import plan as plans
from gansaku.experiments.folder import Place, trainings
from gansaku.experiments.plan import Arm, Factor, Plan, Scoring
from gansaku.experiments.report_caveats import caveats
from gansaku.experiments.report_forest import forest, spanned
from gansaku.experiments.report_reading import Private, Reading, tell
from gansaku.experiments.report_scores import meant
from gansaku.experiments.report_sentences import answer, best, number
from gansaku.experiments.report_sheets import BUDGET, CLOSE, Albums, fitted, layout, stops
from gansaku.experiments.report_tables import told_changes
from gansaku.experiments.results import Result
from gansaku.experiments.search import Trials
from gansaku.experiments.space import Span
from gansaku.experiments.statistics import paired_t, seeds_needed
from gansaku.metrics.passport import Passport, Score
from gansaku.parts import Change
from gansaku.render.sheet import png, sheet, tiles

VOID = {"meta", "link", "input", "img", "br", "wbr", "hr"}
GROW = "generator.network.grow"
MACHINE = {"device": "cpu", "threads": 1, "torch": "2.13.0", "bf16": True}


class Page(HTMLParser):
    """Reads a page as a browser would, and is strict: every tag that is opened is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def scored(metric, value, better="lower", n=2000, extractor="random-2d", **passport):
    """A score of so many samples."""
    name = {"fid": f"FD-{extractor}", "diversity": "Diversity"}.get(metric, metric)
    warnings = ("2,000 samples are fewer than 2,048: mostly bias",) if n < 2048 else ()
    passport = {"weights": "ema", "real": "faces"} | passport
    made = Passport(metric, n, n, "f" * 64, "train", extractor, "c" * 64, "none", **passport)
    return Score(f"{name}@{n}", value, (value - 0.1, value + 0.1), better, made, warnings)


def result(arm, seed, value, **changed):
    """A training with that FID, or one that broke where it is None."""
    made = Result(
        arm, seed, 2000, scores=() if value is None else (scored("fid", value),), broken="not finite" if value is None else "",
        curves={"FD-random-2d@1k": ((1000, 20.0 + seed), (2000, 10.0 + seed))}, seconds=100.0, parameters={"generator": 1000},
        machine=MACHINE, fingerprint="f" * 64, date="2026-11-21",
    )  # fmt: skip
    return replace(made, **changed)


def reading(values, metrics=("fid",), results=None, **plan):
    """A comparison whose FIDs are {arm: one for each seed}; the arms are listed unless the plan says what is varied."""
    how = {"listed": tuple(Arm(name, {GROW: name}) for name in values)} | plan
    seeds = tuple(range(max(2, *(len(row) for row in values.values()))))
    made = Plan("faces.zip", "dcgan", seeds=seeds, settings={"length": 2000}, scoring=Scoring(metrics, n=2000), **how)
    if results is None:
        results = [
            result(arm.name, seed, value)
            for arm, row in zip(made.arms, values.values(), strict=True)
            for seed, value in enumerate(row)
            if value != "missing"
        ]
    changes = {arm.name: [Change(GROW, "transpose", "resize")] for arm in made.arms[1:]}
    rows = analysis.compare(made.pairs, results, metrics)
    lengths, own = ({arm.name: length for arm in made.arms} for length in (2000, 50_000))
    return Reading(made, changes, results, rows, "faces", 1000, lengths, own, version="0.1.0")


A = [10.0, 11.0, 12.0, 13.0, 14.0]
BETTER = {"old": A, "new": [9.0, 9.0, 10.5, 12.5, 13.0]}
TOLD = {"old": A, "new": [9.0, 12.5, 11.0, 12.5, 13.0]}


def written(given, folder, **how):
    """The four files."""
    report.write(given, folder, how.get("plain", {"arms": [], "report": str(folder / "report.html")}))
    return {name: (folder / name).read_text() for name in ("report.html", "report.md", "scores.csv", "compare.json")}


def draw(folder, given, moments=(64, 128, 2000), side=8, arms=None, seed=0):
    """Sheets of noise for all trainings, or those of some arms."""
    rng = np.random.default_rng(seed)
    for training in trainings(given.plan):
        if arms is None or training.number in arms:
            place = Place(folder).run(training) / "sheets"
            place.mkdir(parents=True)
            for moment in moments:
                samples = rng.integers(0, 256, (64, 3, side, side), np.uint8)
                (place / f"{moment:012d}.png").write_bytes(png(sheet(tiles(samples, side=2 * side), columns=8)))


# what it says


def test_the_answer_has_the_mean_difference_its_interval_its_exact_p_and_the_seeds(tmp_path):
    d = np.subtract(BETTER["new"], BETTER["old"])
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    files = written(reading(BETTER), tmp_path)
    for text in (Page(files["report.html"]).text, files["report.md"].replace("*", "").replace("\u00a0", " ")):
        assert (
            f"new is better than old. FD-random-2d@2000 differs by −1.20 on average over 5 seeds, 10 % of 12; 95 % interval "
            f"{number(low, 3)} to {number(high, 3)}, p = 0.0625."
        ) in text
    assert (round(d.mean(), 6), round(low, 3), round(high, 3)) == (-1.2, -1.908, -0.492)


def test_where_the_interval_holds_zero_the_answer_is_that_nobody_can_tell_and_what_it_would_take():
    told = tell(reading(TOLD))
    d = np.subtract(TOLD["new"], TOLD["old"])
    wanted = seeds_needed(d.mean() / d.std(ddof=1), 0.95)
    said = answer(told.rows[0])
    assert said.startswith("Cannot tell whether new is better or worse than old.")
    assert f"as large as it seems, {wanted:,} seeds would show it in four of five cases" in said
    assert "“Cannot tell” is not “no difference”" in Page(report.html(reading(TOLD))).text
    assert "no difference" not in said


def test_higher_can_be_better_and_where_neither_way_is_it_says_higher_or_lower():
    for better, word in (("lower", "better"), ("higher", "worse"), ("neither", "lower")):
        results = [
            result(arm, seed, 1.0, scores=(scored("fid", value, better),))
            for arm, row in BETTER.items()
            for seed, value in enumerate(row)
        ]
        assert answer(tell(reading(BETTER, results=results)).rows[0]).startswith(f"new is {word} than old.")


def test_a_difference_below_the_noise_floor_is_said_to_be_small():
    assert "less than two seeds of the baseline may differ by" in answer(tell(reading(BETTER)).rows[0])
    far = {"old": A, "new": [value - 9 for value in BETTER["new"]]}
    assert "less than two seeds" not in answer(tell(reading(far)).rows[0])


def test_every_pair_has_its_sentence_and_intervals_of_several_share_their_level():
    values = {name: [value + k + 0.1 * (seed % 2) for seed, value in enumerate(A)] for k, name in enumerate("abcd")}
    text = Page(report.html(reading(values))).text
    for name in "bcd":
        assert f"{name} is worse than the baseline." in text
    assert text.count("98.33 % interval") >= 3
    assert "3 pairs: the intervals of a metric hold together at 95 %, so each one is wider, at 98.33 % (Bonferroni)" in text


def test_a_run_that_broke_is_listed_counts_as_the_worst_and_is_in_no_mean():
    given = reading({"old": A, "new": [9.0, 9.0, None, 12.0, 13.0]})
    page, text = report.html(given), Page(report.html(given)).text
    assert "Of 5 seeds, 1 of new broke and counts as the worst, so ranks take the place of means" in text
    assert "ranks of fewer than 6 seeds bound nothing" in text
    assert "new2after 2,000, 2026-11-21not finite" in text
    assert "10.75of 4, 1 broke" in text
    assert "seed 2: a run broke" in text
    assert page.count('class="interval') == 1  # without ends: no stroke at either
    assert "| new | 10.75 | 2.062 | 9 | 9 | broke | 12 | 13 |" in report.markdown(given)


def test_in_the_picture_zero_seeds_interval_and_noise_floor_stand_where_they_are():
    told = tell(reading(BETTER))
    row, drawn = told.rows[0], forest(told, told.rows)
    span = spanned(told.rows)
    at = {name: float(x) for name, x in re.findall(r'class="(zero|interval sure|floor)" (?:x1|x)="([\d.]+)%"', drawn)[:3]}
    dots = [float(x) for x in re.findall(r'class="seed" cx="([\d.]+)%"', drawn)]

    def value(place):
        return span.low + place / 100 * (span.high - span.low)

    assert [round(value(x), 3) for x in dots] == [-1.0, -2.0, -1.5, -0.5, -1.0]
    assert value(at["zero"]) == pytest.approx(0, abs=1e-3)
    assert value(at["interval sure"]) == pytest.approx(row.found.interval.low, abs=1e-3)
    assert value(at["floor"]) == pytest.approx(max(-row.floor, span.low), abs=1e-3)
    assert drawn.index("better") < drawn.index("worse")  # lower is better, and lower is left


def test_one_wide_interval_does_not_press_the_seeds_together():
    told = tell(reading({"old": A[:2], "new": [9.0, 10.9]}))
    span = spanned(told.rows)
    assert span.high - span.low < 5
    assert told.rows[0].found.interval.high > 4
    assert forest(told, told.rows).count('class="arrow"') == 2


def test_best_stands_only_where_intervals_show_it_against_every_other_arm():
    assert best(tell(reading(BETTER)), "fid") == "new"
    assert best(tell(reading({"old": BETTER["new"], "new": A})), "fid") == "old"
    assert best(tell(reading(TOLD)), "fid") is None
    noisy = {name: [value + k + 0.1 * (k * seed % 3) for seed, value in enumerate(A)] for k, name in enumerate("abc")}
    assert best(tell(reading(noisy)), "fid") == "a"
    assert best(tell(reading({"c": noisy["c"], "a": noisy["a"], "b": noisy["b"]})), "fid") is None  # a and b are no pair


def test_a_curve_is_the_mean_over_seeds_in_the_interval_of_that_mean():
    curves = {seed: ((100, 5.0 + seed), (200, 1.0 + seed * seed)) for seed in range(4)}
    points, band = meant(curves)
    assert points == [(100.0, 6.5), (200.0, 4.5)]
    assert band == [(100.0, *paired_t([5, 6, 7, 8])), (200.0, *paired_t([1, 2, 5, 10]))]
    assert meant({0: curves[0], 1: curves[1]})[1] == []
    assert meant({0: curves[0], 1: curves[1][:1], 2: curves[2][:1]})[0] == [(100.0, 6.0), (200.0, 1.0)]
    assert meant({0: curves[0], 1: curves[1], 2: (*curves[2][:1], (150, 3.0), curves[2][1])})[0][1][0] == 200.0


def test_the_table_holds_every_score_and_every_run_that_broke():
    given = reading({"old": A, "new": [9.0, 9.25, None, 12.0, 13.0]})
    rows = list(csv.DictReader(io.StringIO(report.csv_text(given))))
    assert list(rows[0]) == ["arm", "seed", "metric", "name", "value", "low", "high", "seen", "seconds", "broken"]
    assert [(row["arm"], int(row["seed"])) for row in rows] == [(arm, seed) for arm in ("old", "new") for seed in range(5)]
    assert [float(row["value"]) for row in rows if row["value"]] == [*A, 9.0, 9.25, 12.0, 13.0]
    assert (rows[7]["value"], rows[7]["broken"]) == ("", "not finite")
    assert (rows[6]["low"], rows[6]["high"], rows[6]["name"], rows[6]["seen"]) == ("9.15", "9.35", "FD-random-2d@2000", "2000")


def test_the_plan_in_the_report_reads_back_as_the_plan():
    plan = Plan(
        "avatars", "dcgan", (Factor(GROW, ("transpose", "resize")), Factor("batch", (32, 64))), grid=True, seeds=(0, 3, 9),
        settings={"length": 2000}, question="a\nb [\n    1,\n]?", scoring=Scoring(("fid", "diversity"), 500),
    )  # fmt: skip
    told = tell(replace(reading(BETTER), plan=plan, results=[], comparisons=[]))
    assert plans.from_toml(told.plan) == plan
    assert "seeds = [0, 3, 9]" in told.plan


# what it warns of


RESULTS = reading(BETTER).results


def but(value=10.0, **changed):
    """The results, but of the old arm's first seed another."""
    return {"results": [*RESULTS[1:], result("old", 0, value, **changed)]}


def said(given):
    return " ".join(caveats(tell(given))).replace("\u00a0", " ")


def test_early_training_is_told_as_a_share_of_the_recipes_own_length_and_in_passes():
    text = "Early training only: 2,000 samples are 4 % of the 50,000 that dcgan takes by itself, 2 passes through the 1,000"
    assert text in said(reading(BETTER))
    assert text in Page(report.html(reading(BETTER))).text
    whole = replace(reading(BETTER), own_lengths={"old": 2000, "new": 2000})
    assert "takes by itself" not in said(whole)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "with 5 seeds the exact p cannot fall below 0.062"),
        ({}, "2,000 samples are fewer than 2,048"),
        ({}, "A cheap extractor: random-2d"),
        ({"parameters": {"old": {"generator": 1000}, "new": {"generator": 1130}}}, "new has 13 % more in its generator"),
        ({"lengths": {"old": 2000, "new": 3000}}, "Unequal lengths"),
        ({"plan": replace(reading(BETTER).plan, budget=600.0)}, "each training had 10 min 0 s by the clock"),
        ({"plan": replace(reading(BETTER).plan, settings={"batch": 8})}, "Not dcgan as it is: in all arms the plan sets batch"),
        ({"results": RESULTS[:7]}, "Not finished: 3 of 10 trainings"),
        ({"results": RESULTS[:7]}, "Unpaired: of seeds 2, 3 and 4 only some arms are finished"),
        (but(machine={**MACHINE, "torch": "2.9"}), "Several versions of torch among the results: 2.9 and 2.13.0"),
        (but(fingerprint="0" * 64), "The data changed meanwhile"),
        (but(None), "1 of 10 trainings broke"),
        (but(scores=()), "old, seed 0, fid"),
    ],
)  # fmt: skip
def test_each_caveat_is_told_where_it_is_so(changed, sentence):
    assert sentence in said(replace(reading(BETTER), **changed))


def test_what_is_not_so_is_no_caveat():
    many = {name: [20.0 + k + seed % 3 for seed in range(12)] for k, name in enumerate(("old", "new"))}
    results = [
        result(arm, seed, value, scores=(scored("fid", value, n=10_000, extractor="inception-2015"),), seen=50_000)
        for arm, row in many.items()
        for seed, value in enumerate(row)
    ]
    given = replace(reading(many, results=results), lengths={"old": 50_000, "new": 50_000})
    assert [text for text in caveats(tell(given)) if "skewed" not in text] == []


# what is missing

PARTIAL = {
    "nothing is finished": reading(BETTER, results=[]),
    "one training is finished": reading(BETTER, results=[result("new", 0, 9.0)]),
    "one seed is finished": reading(BETTER, results=[result("old", 0, 10.0), result("new", 0, 9.0)]),
    "an arm has nothing": reading({"old": A, "new": ["missing"] * 5}),
    "all broke": reading({"old": [None] * 5, "new": [None] * 5}),
    "the baseline broke": reading({"old": [None] * 5, "new": A}),
    "the change broke": reading({"old": A * 2, "new": [None] * 10}),
    "no curves": reading(BETTER, results=[replace(r, curves={}) for r in RESULTS]),
    "no machine is known": reading(BETTER, results=[Result(r.arm, r.seed, 0, scores=r.scores) for r in RESULTS]),
    "scores are no numbers": reading(BETTER, results=[result(r.arm, r.seed, math.nan) for r in RESULTS]),
    "all scores are alike": reading({"old": [1.0] * 5, "new": [1.0] * 5}),
    "two seeds": reading({"old": A[:2], "new": [9.0, 11.5]}),
    "thirty seeds": reading({name: [10 + seed % k / k for seed in range(30)] for k, name in ((7, "old"), (5, "new"))}),
    "twenty arms": reading({f"arm {k}": [10 + (k * seed) % 7 / 7 for seed in range(5)] for k in range(20)}),
    "a curve of one point": reading(BETTER, results=[replace(r, curves={"FD": ((100, 3.0),)}) for r in RESULTS]),
    "curves that are no numbers": reading(BETTER, results=[replace(r, curves={"FD": ((9, math.nan),)}) for r in RESULTS]),
    "a grid": reading(dict.fromkeys("abcd", A), listed=(), grid=True, vary=(Factor(GROW, (1, 2)), Factor("batch", (1, 2)))),
}  # fmt: skip


@pytest.mark.parametrize("given", PARTIAL.values(), ids=PARTIAL)
def test_a_report_is_whole_while(given, tmp_path):
    files = written(given, tmp_path)
    page = Page(files["report.html"])
    assert "What differs" in page.text
    assert "nan" not in page.text.lower()
    assert "How to repeat it" in files["report.md"]
    for line in files["report.md"].splitlines():
        assert not line.startswith("|") or line.endswith("|")
    assert len(files["scores.csv"].splitlines()) <= 1 + len(given.results)


def test_it_says_what_is_missing():
    assert "No training is finished yet." in Page(report.html(PARTIAL["nothing is finished"])).text
    assert "One seed of both is scored yet; it takes two or more." in Page(report.html(PARTIAL["one seed is finished"])).text
    assert "Every training so far broke." in Page(report.html(PARTIAL["all broke"])).text
    assert "No scores were made on the way." in Page(report.html(PARTIAL["no curves"])).text
    assert "No sheet has been drawn yet." in Page(report.html(reading(BETTER))).text
    assert "new is worse than old. Of 10 seeds, 10 of new broke" in Page(report.html(PARTIAL["the change broke"])).text


# other ways of comparing


def test_arms_may_be_held_against_a_locked_baseline_that_has_no_runs_here(tmp_path):
    given = reading({"new": A, "other": [9.5, 10.0, 11.5, 12.0, 13.0]}, against="locked/base.json")
    base = Arm("locked", {})
    results = [*[result("locked", seed, value + 3) for seed, value in enumerate(A)], *given.results]
    rows = analysis.compare([plans.Pair(base, arm, "") for arm in given.plan.arms], results, ("fid",))
    given = replace(given, arms=(base, *given.plan.arms), results=results, comparisons=rows)
    draw(tmp_path, given, [64])
    page = Page(written(given, tmp_path)["report.html"])
    assert "The baseline is locked." in page.text
    assert "new is better than the baseline." in page.text
    assert "The baseline is a locked one: its trainings were made earlier" in page.text
    pictures = json.loads(page.scripts[0])["pictures"]
    assert [[arm is not None for arm in stop] for seed in pictures for stop in seed] == [[False, True, True]] * 5
    assert tomllib.loads(tell(given).plan)["against"] == "./base.json"


def test_runs_that_were_there_show_the_sheets_of_their_own_folders_and_no_plan(tmp_path):
    given = replace(reading({"old": A[:2], "new": A[1:3]}), command="")
    draw(tmp_path / "elsewhere", given, [64])
    place = Place(tmp_path / "elsewhere")
    sheets = {(one.arm.name, one.seed): place.run(one) / "sheets" for one in trainings(given.plan)}
    report.Report(tmp_path / "here", sheets).write(given)
    text = (tmp_path / "here" / "report.html").read_text()
    assert len([1 for tag, found in Page(text).elements if tag == "img" and found.get("src")]) == 2
    assert "plan.toml" not in text
    assert not (tmp_path / "here" / "compare.json").exists()


def searched():
    """Three settings that were tried before: one broke, one has the better score and was compared."""
    space = (Factor("generator.lr", (Span(1e-5, 1e-3),)), Factor("recipe", ("/home/someone/a.toml", "wgan-gp")))
    values = {"a": ({"generator.lr": 1e-4, "recipe": "wgan-gp"}, 9.0),
              "b": ({"generator.lr": 3e-4, "recipe": "/home/someone/a.toml"}, 7.0),
              "c": ({"generator.lr": 9e-4, "recipe": "wgan-gp"}, None)}  # fmt: skip
    plan = Plan("faces.zip", "dcgan", space, tuple(Arm(name, changes) for name, (changes, _) in values.items()), search=3)
    results = [result(plans.AS_IS, 1000, 8.0), *[result(name, 1000, value) for name, (_, value) in values.items()]]
    return replace(reading({plans.AS_IS: [8.1, 8.2], "b": [7.5, 7.6]}), tried=Trials(plan, results))


def test_what_a_search_tried_is_ranked_and_drawn_and_what_was_compared_is_marked():
    made = searched()
    found = tell(made).tried
    assert [(number, trial.value, trial.chosen) for number, trial in found.ranked] == [
        (2, 7, True),
        (1, 9, False),
        (3, None, False),
    ]
    assert [(setting.name, setting.log) for setting in found.settings] == [("lr", True), ("recipe", False)]
    page = report.html(made)
    assert (page.count('class="chosen"'), page.count('class="as-is"')) == (2, 2)
    text = Page(page).text
    assert "3 settings were tried, once each, at seed 1000; 1 of them broke" in text
    assert "The dashed line is the recipe as it is, 8." in text
    lines = report.markdown(made).splitlines()
    assert [line for line in lines if "compared" in line and line.startswith("|")] == [
        "| 2 | 0.0003 | a.toml | 7 | **compared** |"
    ]
    assert "| 3 | 0.0009 | wgan-gp | – | not finite |" in lines
    assert "someone" not in page + report.markdown(made)


def test_a_comparison_without_a_search_says_nothing_of_one():
    assert "tried before" not in report.html(reading({"a": [1.0, 2.0], "b": [1.0, 3.0]})) + report.markdown(
        reading({"a": [1.0, 2.0], "b": [1.0, 3.0]})
    )


def test_trainings_that_were_given_up_are_told_with_their_reason():
    given = reading({"old": A[:2], "new": [9.0, "missing"]})
    given = replace(given, given_up={"new, seed 1": "ended with code 137 in /home/someone/x"})
    assert "Given up for now, and tried again by the same command: new, seed 1 (ended with code 137 in x)." in said(given)


def test_arms_with_a_time_of_their_own_are_told_by_it():
    given = reading({"short": A, "long": A}, listed=(Arm("short", {"budget": 60}), Arm("long", {"budget": 120.0})))
    given = replace(given, changes={"long": [Change("budget", 60, 120)]})
    page = Page(report.html(given))
    assert "1 min 0 s – 2 min 0 s" in page.text
    assert "long budget60120declared" in " ".join(page.text.split()).replace("longbudget", "long budget")
    assert "Unequal time: by the plan it was short 1 min 0 s and long 2 min 0 s by the clock." in said(given)


def test_what_the_plan_names_is_told_from_what_comes_along():
    given = replace(
        reading(BETTER), changes={"new": [Change(GROW, 1, 2), Change(f"{GROW}.part", 1, 2), Change(f"{GROW}n", 1, 2)]}
    )
    assert [own for *_, own in told_changes(tell(given).sides[1])] == [True, True, False]


# the sheets

MOMENTS = st.lists(st.integers(1, 10**7), max_size=8, unique=True)


@given(st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 2)), MOMENTS, max_size=8))
@settings(max_examples=100, deadline=None)
def test_in_each_stop_all_arms_have_seen_as_many_samples_up_to_a_batch(drawn):
    found = stops(drawn)
    for stop in found:
        counts = stop.drawn.values()
        assert max(counts) <= min(counts) * (1 + CLOSE)
        assert all(seen in drawn[key] for key, seen in stop.drawn.items())
    several = sum(any(moments for (arm, _), moments in drawn.items() if arm == k) for k in range(4)) > 1
    assert all(len({arm for arm, _ in stop.drawn}) > 1 for stop in found) or not several
    assert [stop.seen for stop in found] == sorted({stop.seen for stop in found})


def test_arms_of_the_same_moments_stand_at_exactly_these():
    found = stops({(arm, seed): [64, 66, 128, 2000] for arm in range(3) for seed in range(2)})
    assert [stop.seen for stop in found] == [64, 66, 128, 2000]
    assert all(set(stop.drawn.values()) == {stop.seen} and len(stop.drawn) == 6 for stop in found)


def test_arms_of_unlike_batches_stand_beside_each_other_with_their_own_numbers(tmp_path):
    given = reading({"old": A[:2], "new": A[:2]})
    draw(tmp_path, given, (1000, 2000), arms=[0])
    draw(tmp_path, given, (1024, 3000), arms=[1])
    page = Page(written(given, tmp_path)["report.html"])
    found = json.loads(page.scripts[0])
    assert found["stops"] == [["1,000", " · 1.0 passes"]]
    assert [[own for _, own in stop] for seed in found["pictures"] for stop in seed] == [["", "1,024 here"]] * 2


def test_the_slider_holds_each_training_at_each_moment_and_says_where_there_is_none(tmp_path):
    given = reading({"old": [10.0, 11.0], "new": [9.0, None], "other": [9.0, "missing"]})
    draw(tmp_path, given, arms=[0, 1])
    page = Page(written(given, tmp_path)["report.html"])
    found = json.loads(page.scripts[0])
    assert [count for count, _ in found["stops"]] == ["64", "128", "2,000"]
    assert found["seeds"] == [0, 1]
    none = "no sheet at this moment"
    assert found["missing"] == [[none] * 3, [none, "broke: not finite", "not trained so far yet"]]
    pictures = [[[arm is not None for arm in stop] for stop in seed] for seed in found["pictures"]]
    assert pictures == [[[True, True, False]] * 3] * 2
    shown = [found for tag, found in page.elements if tag == "img"]
    assert [one.get("src") for one in shown] == [*(arm[0] for arm in found["pictures"][0][2][:2]), None]
    assert len({arm[0] for seed in found["pictures"] for stop in seed for arm in stop if arm}) == 12


def test_a_picture_is_the_upper_left_of_its_sheet_one_pixel_for_each(tmp_path):
    given = reading(dict.fromkeys("abc", A[:2]))
    draw(tmp_path, given, [64])
    album = Albums().album(report.Report(tmp_path)._places(given), 3, [0, 1])
    assert "the first 5 × 5 samples of each sheet" in album.left_out
    one = album.pictures[0, 0, 64]
    with Image.open(io.BytesIO(base64.b64decode(one.uri.split(",")[1]))) as opened:
        small = np.asarray(opened.convert("RGB"))
    whole = np.asarray(Image.open(Place(tmp_path).run(trainings(given.plan)[0]) / "sheets" / f"{64:012d}.png"))
    assert one.crisp
    assert (one.width, one.height) == (46, 46) == small.shape[1::-1]
    assert np.array_equal(small[1:9, 1:9], whole[2:18:2, 2:18:2])


def test_all_pictures_together_keep_to_the_budget_and_what_is_left_out_is_said():
    for arms in (2, 3, 6, 20, 100):
        for seeds in (2, 5, 8, 30, 1000):
            how = layout(arms, seeds)
            assert arms * how.seeds * how.moments * how.room <= BUDGET
            assert how.room >= report_sheets.LEAST
            if how.seeds < seeds:
                assert f"of {seeds} seeds" in report_sheets.left_out(how, 1, 1, range(seeds))
    assert "3 of 12 moments" in report_sheets.left_out(layout(2, 5), 12, 3, range(5))
    assert report_sheets.left_out(layout(2, 5), 12, 12, range(5)) == ""


def test_a_picture_of_noise_fits_into_its_room():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    for room in (90_000, 5_000):
        assert len(fitted(noise, room, lossless=True)[1]) <= room


def test_a_sheet_is_encoded_once_however_often_the_report_is_written(tmp_path, monkeypatch):
    given, encoded = reading({"old": A[:2], "new": A[:2]}), []
    real = report_sheets.picture
    monkeypatch.setattr(report_sheets, "picture", lambda path, how: encoded.append(path) or real(path, how))
    draw(tmp_path, given, (64,), arms=[0])
    made = report.Report(tmp_path)
    made.write(given)
    assert len(encoded) == 2
    draw(tmp_path, given, (64,), arms=[1])
    made.write(given)
    assert len(encoded) == 4
    (Place(tmp_path).run(trainings(given.plan)[0]) / "sheets" / f"{64:012d}.png").write_bytes(b"broken")
    made.write(given)
    assert len(encoded) == 5


# what it must not say

SECRET = ["someone", "somewhere", "else where", "bobs-laptop", "Jo Doe", "corp"]
LEAKY = {
    "/home/someone/somewhere/faces.zip is not there": "faces.zip is not there",
    "'/srv/Jo Doe/some where/x.npz' is not there": "'x.npz' is not there",
    "/home/someone": "~",
    "in /home/someone, or ~someone/x": "in ~, or x",
    r"C:\Users\Jo Doe\runs\a.png broke": "a.png broke",
    "file:///home/someone/x.toml": "x.toml",
    "see https://corp.example/a/b?token=1": "see b",
    "PATH=/opt/someone/bin:/usr/someone/sbin": "PATH=bin:sbin",
    "../../someone/faces.zip": "faces.zip",
    "in /a/someone/torch/nn.py:12: and/or 1/2 N/A a / b ./x": "in nn.py:12: and/or 1/2 N/A a / b ./x",
    "[/mnt/someone/a.pt, /mnt/someone/b.pt]": "[a.pt, b.pt]",
    "no path here: loss/adversarial = 3": "no path here: loss/adversarial = 3",
}


@pytest.mark.parametrize("text", LEAKY)
def test_a_path_is_told_by_its_last_name(text):
    assert Private((), ())(text) == LEAKY[text]


def test_nothing_in_any_file_names_a_place_a_person_or_a_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(report.platform, "node", lambda: "bobs-laptop")
    monkeypatch.setattr(report.getpass, "getuser", lambda: "someone")
    folder = tmp_path / "somewhere" / "compared"
    recipes = ("/home/someone/somewhere/mine.toml", "/home/someone/else where/mine.toml")
    plan = Plan(
        "/home/someone/somewhere/faces.zip", "/srv/someone/own.py", (Factor("recipe", recipes),), seeds=(0, 1),
        settings={"generator.start": "/home/someone/else where/g.pt"}, use=("/home/someone/parts.py",),
        scoring=Scoring(("fid",), extractor="/srv/somewhere/net.onnx"),
    )  # fmt: skip
    results = [
        result(arm.name, seed, None if seed else 3.0 + k, broken=f"someone@bobs-laptop: {folder}/x: refused" if seed else "",
               scores=() if seed else (scored("fid", 3.0 + k, extractor="/srv/somewhere/net.onnx", generated=f"{folder}/run"),),
               recipe='name = "/home/someone"', machine={"cpu": "/proc/somewhere/cpu"})
        for k, arm in enumerate(plan.arms) for seed in plan.seeds
    ]  # fmt: skip
    rows = analysis.compare(plan.pairs, results, ("fid",))
    given = Reading(plan, {plan.arms[1].name: [Change("recipe", *recipes)]}, results, rows, plan.data, 10)
    draw(folder, given, [64])
    why = [{"name": arm.name, "why": f"{folder} on bobs-laptop"} for arm in plan.arms]
    files = written(given, folder, plain={"report": f"{folder}/report.html", "arms": why})
    for name, text in files.items():
        for secret in [*SECRET, str(tmp_path), tmp_path.name]:
            assert secret not in text, (name, secret)
    page = Page(files["report.html"])
    assert "recipe=mine.toml (2) is better or worse than recipe=mine.toml." in page.text
    content = tomllib.loads(tell(given).plan)
    assert (content["data"], content["recipe"], content["use"]) == ("./faces.zip", "own.py", ["parts.py"])
    assert json.loads(files["compare.json"])["report"] == "report.html"


EVIL = [
    "<script>alert(1)<!-- & &amp; \u2028 ]]>",
    "\"'><img src=x onerror=alert(1)>",
    "![x](evil.png) `a` ``` | [b](javascript:alert) *c*\n# d",
    "=HYPERLINK(1)",
    "\udcff\x00",
    "</script></title><script>alert(1)</script>",
]


@pytest.mark.parametrize("question", range(len(EVIL)))
def test_hostile_names_are_text_and_nothing_else(question, tmp_path):
    arms = tuple(Arm(name, {EVIL[0]: EVIL[1], "x": k}) for k, name in enumerate(EVIL))
    results = [
        result(
            arm.name, seed, 3.0 + seed, broken=EVIL[(k + seed) % 2] if (k, seed) in ((1, 1), (2, 0)) else "",
            scores=(replace(scored("fid", 3.0 + seed + k, real=EVIL[0], weights=EVIL[1]), name=EVIL[1], warnings=(EVIL[0],)),),
            curves={EVIL[0]: ((1, 2.0), (2, 1.0)), EVIL[1]: ((1, 2.0), (2, 1.0))}, parameters={EVIL[1]: 3},
            machine={EVIL[0]: EVIL[1], "torch": EVIL[1]}, date=EVIL[0], fingerprint=EVIL[1],
        )
        for k, arm in enumerate(arms) for seed in range(2)
    ]  # fmt: skip
    plan = Plan("faces", EVIL[0], listed=arms, seeds=(0, 1), settings={EVIL[2]: EVIL[1]}, question=EVIL[question])
    changes = {name: [Change(EVIL[0], EVIL[1], EVIL[0])] for name in EVIL[1:]}
    rows = analysis.compare(plan.pairs, results, ("fid",))
    given = Reading(plan, changes, results, rows, EVIL[1], 5, version=EVIL[0], given_up={f"{EVIL[1]}, seed 1": EVIL[1]})
    draw(tmp_path, given, [64], arms=[0, 1, 2])
    files = written(given, tmp_path)
    page = Page(files["report.html"])
    tags = {tag for tag, _ in page.elements}
    assert len(page.scripts) == [tag for tag, _ in page.elements].count("script") == 3
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    for tag, attributes in page.elements:
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        assert (attributes.get("href") or "#").startswith(("#", "data:")), tag
    assert not tags & {"iframe", "object", "embed", "base", "form"}
    for name in EVIL[:2]:
        assert page.text.count(" ".join(name.split())) > 5
    assert not set(page.scripts[0]) & set("<>&")
    cells = [cell for row in csv.reader(io.StringIO(files["scores.csv"])) for cell in row]
    assert not any(cell[:1] in ("=", "@", "+") for cell in cells)
    shown = files["report.md"].split("```")[0]  # before the plan, which is code
    assert "<script" not in shown
    assert "<img" not in shown
    assert re.findall(r"(?<!\\)[\[`]", shown) == []
    assert not re.search(r"^# d", shown, re.MULTILINE)
    json.loads(files["compare.json"])


def test_the_json_is_what_the_command_prints_without_places_and_with_nothing_that_is_no_json():
    plain = {
        "report": "/home/someone/x/report.html",
        "pairs": [{"p": 0.5, "interval": [math.nan, math.inf], "n": 3}],
        "left": 0,
    }
    wanted = {"report": "report.html", "pairs": [{"p": 0.5, "interval": [None, None], "n": 3}], "left": 0}
    assert json.loads(report.json_text(reading(BETTER), plain)) == wanted


def test_nothing_comes_from_outside_and_only_its_own_scripts_run(tmp_path):
    given = reading(BETTER)
    draw(tmp_path, given, [64])
    text = written(given, tmp_path)["report.html"]
    page = Page(text)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    data, *run = page.scripts
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in run}
    assert set(re.search(r"script-src ([^;]*)", policy)[1].split()) == hashes
    assert "default-src 'none'" in policy
    assert json.loads(data)["seeds"] == [0, 1, 2, 3, 4]
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[\w+/=]+|// .*", "", text))
