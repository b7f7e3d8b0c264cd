"""`compare` from the command to the numbers: tiny trainings, most of them in this process."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import pytest

from gansaku import api, api_arm, api_compare
from gansaku.cli import main
from gansaku.cli_compare import parted, varied
from gansaku.errors import UsageError
from gansaku.experiments import local
from gansaku.experiments.folder import Place, Training, trainings
from gansaku.experiments.plan import Factor, Plan, Scoring, to_toml
from gansaku.listener import Listener

GROW = Factor("generator.network.grow", ("transpose", "resize"))
SMALL = {"length": 192, "batch": 32, "generator.network.width": 8, "discriminator.network.width": 8, "precision": "fp32"}
SCORING = Scoring(("fid", "diversity"), 40, "random-2d")
PLAN = Plan("avatars", "dcgan", (GROW,), settings=SMALL, seeds=(0, 1), scoring=SCORING)
FLAGS = ["--vary", "generator.network.grow=transpose,resize", "--set", *[f"{k}={v}" for k, v in SMALL.items()],
         "-n", "40", "--extractor", "random-2d"]  # fmt: skip


class Here:
    """A training that was carried out in this process, as a process that has ended."""

    pid = 0

    def __init__(self, code):
        self.code = code

    def poll(self):
        return self.code

    def terminate(self):
        pass

    kill = terminate


@pytest.fixture
def begun(monkeypatch):
    """Trainings run in this process; the list of those that began."""
    names = []

    def started(machine, place, training):
        names.append(str(training))
        place.log(training).parent.mkdir(parents=True, exist_ok=True)
        with place.log(training).open("a") as out, redirect_stdout(out), redirect_stderr(out):
            return Here(api_arm.main([str(place.path), str(training.number), str(training.seed), "cpu"]))

    monkeypatch.setattr(local.Machine, "started", started)
    return names


class Saying(Listener):
    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def test_a_search_tries_settings_and_compares_the_best_at_seeds_of_its_own(tmp_path, begun, capsys):
    command = ["compare", "dcgan", "--vary", "generator.lr=1e-5..1e-3", "--search", "2", "--seeds", "2", "--jobs", "1",
               *FLAGS[2:], "--out", str(tmp_path / "c")]  # fmt: skip
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names, values = [[one["name"] for one in told["tried"]], [one["scores"][0]["value"] for one in told["tried"]]]
    best = names[1 + (values[2] < values[1])]
    assert [arm["name"] for arm in told["arms"]] == ["as it is", best]
    assert begun == [f"{name}, seed 1000" for name in names] + [f"{n}, seed {s}" for s in (0, 1) for n in ("as it is", best)]
    assert [pair["n"] for pair in told["pairs"]] == [2, 2]
    page = (tmp_path / "c" / "report.html").read_text()
    assert "Before the comparison, 2 settings were tried, once each, at seed 1000." in page
    assert json.loads((tmp_path / "c" / "compare.json").read_text())["tried"] == told["tried"]

    begun.clear()
    assert main(["compare", "--out", str(tmp_path / "c"), "--json"]) == 0
    assert begun == []
    assert json.loads(capsys.readouterr().out) == told
    assert main([*command[:-1], str(tmp_path / "d"), "--dry-run"]) == 0
    assert begun == []


def test_every_arm_is_trained_at_every_seed_scored_alike_and_never_twice(tmp_path, begun, capsys):
    command = ["compare", "dcgan", *FLAGS, "--out", str(tmp_path / "c"), "--json", "--seeds"]
    assert main([*command, "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert begun == [f"grow={how}, seed {seed}" for seed in (0, 1) for how in ("transpose", "resize")]
    assert [arm["name"] for arm in told["arms"]] == ["grow=transpose", "grow=resize"]
    assert told["arms"][1]["changes"] == {"generator.network.grow": "resize"}
    assert told["arms"][1]["differs"] == ["generator.network.grow: transpose → resize"]
    assert [one["seen"] for arm in told["arms"] for one in arm["runs"]] == [192] * 4
    assert [(pair["metric"], pair["n"]) for pair in told["pairs"]] == [("fid", 2), ("diversity", 2)]
    values = {(arm["name"], s["seed"]): s["value"] for arm in told["arms"] for s in arm["scores"] if s["metric"] == "fid"}
    fid = told["pairs"][0]
    assert fid["values"] == [[seed, values["grow=transpose", seed], values["grow=resize", seed]] for seed in (0, 1)]
    assert fid["difference"] == pytest.approx(sum(b - a for _, a, b in fid["values"]) / 2)
    assert fid["interval"][0] < fid["difference"] < fid["interval"][1]
    assert fid["p"] in (0.5, 1.0)

    begun.clear()
    assert main([*command, "2"]) == 0
    assert begun == []
    assert json.loads(capsys.readouterr().out) == told

    assert main([*command, "0,1,5"]) == 0
    assert begun == ["grow=transpose, seed 5", "grow=resize, seed 5"]
    assert json.loads(capsys.readouterr().out)["pairs"][0]["n"] == 3


def test_runs_differ_by_the_change_or_by_the_seed_alone_and_have_the_same_data(tmp_path, begun):
    """Data order and latents are functions of the seed, the batch and the samples seen, so they are the same too."""
    found = api_compare.carry_out(PLAN, tmp_path / "c")
    runs = [api.load(Place(tmp_path / "c").run(training)) for training in trainings(PLAN)]
    recipes = [run.recipe for run in runs]
    assert recipes[1] == recipes[0].but({"generator.network.grow": "resize"})
    assert recipes[2] == recipes[0].but(seed=1)
    assert {result.fingerprint for result in found.results} == {runs[0].folder.read_about()["data"]["fingerprint"]}


def test_a_training_that_broke_counts_and_says_why(tmp_path, begun):
    plan = Plan("avatars", "dcgan", (Factor("generator.lr", (1e-3, 1e30)),), settings=SMALL, seeds=(0, 1), scoring=SCORING)
    found = api_compare.carry_out(plan, tmp_path / "c")
    broken = [result for result in found.results if result.broken]
    assert [(result.arm, result.seed) for result in broken] == [("lr=1e+30", 0), ("lr=1e+30", 1)]
    assert "not finite" in broken[0].broken
    assert found.comparisons[0].found.center == float("inf")
    assert found.left == 0


def test_a_short_time_for_each_training_is_time_to_train(tmp_path, begun):
    plan = Plan("avatars", "dcgan", (Factor("budget", (20.0, 25.0)),), settings=SMALL, seeds=(0, 1), scoring=SCORING)
    found = api_compare.carry_out(plan, tmp_path / "c")
    assert [(one.arm, one.seen > 0, one.broken) for one in found.results[:2]] == [
        ("budget=20", True, ""),
        ("budget=25", True, ""),
    ]
    assert found.left == 0


def test_arms_may_differ_in_the_run_whose_weights_they_begin_with(tmp_path, begun):
    source = api.train("dcgan", "avatars", tmp_path / "source", SMALL)
    factor = Factor("from", ("none", str(source.path)))
    plan = Plan("avatars", "dcgan", (factor,), settings=SMALL, seeds=(0, 1), scoring=SCORING)
    found = api_compare.carry_out(plan, tmp_path / "c")
    (told,) = found.changes.values()
    assert [(change.path, change.before, change.after) for change in told] == [("from", "none", str(source.path))]
    new, tuned = (api.load(Place(tmp_path / "c").run(Training(arm, 0, i))) for i, arm in enumerate(plan.arms))
    assert new.recipe == tuned.recipe
    assert new.folder.read_about().get("from") is None
    assert tuned.folder.read_about()["from"]["run"] == "source"


def test_a_run_to_begin_with_that_is_not_there_is_said_before_anything_is_trained(tmp_path):
    plan = Plan("avatars", "dcgan", (Factor("from", ("none", str(tmp_path / "gone"))),), settings=SMALL, seeds=(0, 1))
    with pytest.raises(UsageError, match="gone: is not there"):
        api_compare.carry_out(plan, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_time_that_was_spent_counts_though_the_process_was_killed(tmp_path):
    now = [100.0]
    first = api_arm.Spent(tmp_path / "run", clock=lambda: now[0])
    for moment in (104.0, 111.0, 118.0):  # kept after 11 s, and not again 7 s later
        now[0] = moment
        first.now_and_then()
    assert api_arm.Spent(tmp_path / "run", clock=lambda: 0.0).before == 11.0
    first.keep()
    second = api_arm.Spent(tmp_path / "run", clock=lambda: now[0])
    now[0] += 2
    assert second.total == 20.0


def test_a_mistake_in_an_arm_is_one_sentence_before_anything_is_trained(tmp_path, begun, capsys):
    assert main(["compare", "dcgan", "--vary", "loss=Logistic,Hindge", "--out", str(tmp_path / "c")]) == 2
    assert "loss=Hindge: loss: " in capsys.readouterr().err
    assert main(["compare", "dcgan", "--vary", "loss", "--out", str(tmp_path / "c")]) == 2
    assert main(["compare", "dcgan", "--vary", "loss=Logistic,Hinge", "--seeds", "many", "--out", str(tmp_path / "c")]) == 2
    assert main(["compare", "dcgan", "--vary", "loss=Logistic,Hinge", "--on", "mars", "--out", str(tmp_path / "c")]) == 2
    assert begun == []


def test_a_dry_run_says_what_the_arms_are_and_leaves_nothing(tmp_path, begun, capsys):
    assert main(["compare", "dcgan", *FLAGS, "--out", str(tmp_path / "c"), "--dry-run"]) == 0
    assert "grow=resize: generator.network.grow: transpose → resize" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    assert begun == []


@pytest.fixture(params=["file", "folder"])
def planned(request, tmp_path):
    """What names a plan on the command line: its file, or the folder where it lies."""
    folder = tmp_path / "c"
    if request.param == "folder":
        Place(folder).begin(PLAN)
        return ["--out", str(folder)]
    (tmp_path / "plan.toml").write_text(to_toml(PLAN))
    return [str(tmp_path / "plan.toml"), "--out", str(folder)]


def test_seeds_beside_a_plan_are_trained_too(planned, begun, capsys):
    assert main(["compare", *planned, "--seeds", "0,1,5", "--dry-run"]) == 0
    assert "2 arms at 3 seeds" in capsys.readouterr().err
    assert main(["compare", *planned, "--seeds", "4", "--dry-run"]) == 0
    assert "2 arms at 4 seeds" in capsys.readouterr().err


def test_seeds_are_added_to_those_that_are_there(tmp_path):
    Place(tmp_path).begin(PLAN)
    assert api_compare.compare(out=tmp_path, seeds=(7, 1), dry_run=True).plan.seeds == (0, 1, 7)


@pytest.mark.parametrize("flag", [
    ["--budget", "5m"], ["--size", "32"], ["--metrics", "kid"], ["-n", "9"], ["--real", "9"], ["--extractor", "random-2d"],
    ["--question", "why?"], ["--use", "x.py"], ["--set", "length=9"], ["--data", "chairs"], ["--search", "3"], ["--grid"],
])  # fmt: skip
def test_a_flag_that_a_plan_answers_is_refused_by_name(planned, flag, begun, capsys):
    assert main(["compare", *planned, *flag]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{flag[0]}: does nothing beside ")
    assert "plan.toml, which is a plan" in error
    assert begun == []


def test_runs_that_are_there_are_compared_by_what_was_declared(tmp_path, begun, capsys):
    api_compare.carry_out(PLAN, tmp_path / "c")
    runs = [str(Place(tmp_path / "c").run(training)) for training in trainings(PLAN)]
    begun.clear()
    score = ["-n", "40", "--extractor", "random-2d", "--out", str(tmp_path / "d")]
    assert main(["compare", *runs, *score]) == 2
    error = capsys.readouterr().err
    assert "generator.network.grow: transpose → resize; --vary generator.network.grow declares it [UNDECLARED]" in error
    assert main(["compare", *runs, *score, "--vary", "generator.network.grow", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first = json.loads(api_json(tmp_path / "c"))
    assert [arm["name"] for arm in told["arms"]] == ["grow=transpose", "grow=resize"]
    assert told["pairs"][0]["values"] == first["pairs"][0]["values"]
    assert begun == []


def api_json(folder):
    return json.dumps(api_compare.carry_out(None, folder).plain())


def test_a_locked_baseline_takes_the_place_of_a_trained_one(tmp_path, begun, capsys):
    api_compare.carry_out(PLAN, tmp_path / "c")
    begun.clear()
    base = str(tmp_path / "base.json")
    assert main(["compare", "--out", str(tmp_path / "c"), "--lock", base, "--arm", "grow=transpose"]) == 0
    command = ["compare", "dcgan", "--set", *[f"{k}={v}" for k, v in SMALL.items()], "loss=Hinge", "-n", "40", "--extractor",
               "random-2d", "--metrics", "fid", "--seeds", "2", "--against", base, "--json"]  # fmt: skip
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "d")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert begun == ["this, seed 0", "this, seed 1"]
    assert [arm["name"] for arm in told["arms"]] == ["grow=transpose", "this"]
    assert told["arms"][1]["differs"] == ["loss.part: Logistic → Hinge"]
    assert told["pairs"][0]["a"] == "grow=transpose"


class TestWhatIsWritten:
    def test_between_brackets_and_quotes_no_comma_parts(self):
        assert parted('a, "b,c", [1,2], {x=1,y="},"}') == ["a", '"b,c"', "[1,2]", '{x=1,y="},"}']

    def test_values_are_what_set_takes(self):
        assert varied("generator.lr=1e-4,2e-4") == ("generator.lr", (1e-4, 2e-4))
        assert varied("loss=Hinge,Logistic") == ("loss", ("Hinge", "Logistic"))
        assert varied("generator.network.norm_first=true,false") == ("generator.network.norm_first", (True, False))
        assert varied("budget=90s,1h") == ("budget", (90.0, 3600.0))

    def test_a_setting_alone_is_no_variation(self):
        with pytest.raises(UsageError, match="is no PATH=A,B"):
            varied("loss")


def children():
    """Trainings of comparisons that run now, by their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode().split("\0")
        except OSError:
            continue
        if local.MODULE in words:
            found.append((int(pid), words))
    return found


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_killed_anywhere_it_leaves_no_orphan_and_goes_on_to_the_same_numbers(tmp_path, begun):
    """Real processes: the comparison is killed while a training runs; the next one ends as if nothing had been."""
    plan = Plan("avatars", "dcgan", (GROW,), settings={**SMALL, "length": 1280}, seeds=(0, 1), scoring=SCORING)
    place = Place(tmp_path / "c")
    place.begin(plan)
    ours = lambda: [pid for pid, words in children() if str(place.path) in words]  # noqa: E731
    command = [sys.executable, "-m", "gansaku", "compare", "--out", str(place.path), "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        first = place.run(trainings(plan)[0])
        wait_for(lambda: (first / "log.sqlite").exists() and ours())
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not ours())
    assert not any(place.result(training).exists() for training in trainings(plan))
    found = api_compare.carry_out(None, place.path)
    alone = api_compare.carry_out(plan, tmp_path / "alone")
    for a, b in zip(found.results, alone.results, strict=True):
        assert [score.value for score in a.scores] == [score.value for score in b.scores]
    assert found.left == 0
