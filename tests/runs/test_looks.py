"""Signals of a run: looked at within their share of the time, kept in its log, and told to people."""

import hashlib
import json
import re

import numpy as np
import pytest
import torch

import gansaku
from gansaku.cli import main
from gansaku.errors import UsageError
from gansaku.health.contract import Signal
from gansaku.health.meaning import SHARE, Meaning
from gansaku.listener import Listener
from gansaku.parts import _registry, part
from gansaku.runs import log, looks, manifest, signals, watchers
from gansaku.runs.folder import Folder
from gansaku.runs.looks import Looks
from gansaku.runs.report import render
from gansaku.runs.report_charts import more_charts
from gansaku.runs.report_signals import signal_groups
from gansaku.terminal import signals_table, sparkline
from gansaku.training.loop import every

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 64, "precision": "fp32"}


class Said(Listener):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


@pytest.fixture
def eager(monkeypatch):
    """The first look comes at the first tick."""
    monkeypatch.setattr(looks, "FIRST", 0.0)


@pytest.fixture(autouse=True)
def without_sheets(monkeypatch):
    """They take longer than all else."""
    monkeypatch.setattr(watchers, "sheet_png", lambda *arguments: b"")


@pytest.fixture
def data(tmp_path):
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "pictures.npz", x_train=draw.integers(0, 255, (40, 16, 16, 3), np.uint8),
             x_test=draw.integers(0, 255, (16, 16, 16, 3), np.uint8))  # fmt: skip
    return str(tmp_path / "pictures.npz")


@pytest.fixture
def voxels(tmp_path):
    np.save(tmp_path / "voxels.npy", np.random.default_rng(0).integers(0, 2, (24, 8, 16, 8), np.uint8))
    return str(tmp_path / "voxels.npy")


def train(data, run="run", share=1.0, recipe="dcgan", **arguments):
    settings = SMALL | arguments.pop("settings", {})
    return gansaku.train(recipe, data, run, settings, signals_budget=share, scoring=gansaku.Scoring(share=0), **arguments)


def weights_of(run):
    (path,) = manifest.found(run.folder.checkpoints)[-1:]
    return hashlib.sha256((path / manifest.TENSORS).read_bytes()).hexdigest()


@pytest.mark.parametrize("recipe", ["dcgan", "auto"])
def test_the_checkpoint_has_the_same_bytes_with_and_without_signals(data, eager, recipe):
    with_them, without = (train(data, f"{share}", share, recipe) for share in (0.5, 0.0))
    assert with_them.curve("health/diversity")
    assert "health/diversity" not in log.curves(without.folder.log)
    assert weights_of(with_them) == weights_of(without)


def test_voxels_train_to_the_same_bytes_too(voxels, eager):
    with_them, without = (train(voxels, f"{share}", share, "gan3d") for share in (0.01, 0.0))
    assert {"health/occupancy", "health/pieces", "health/empty"} <= log.curves(with_them.folder.log).keys()
    assert weights_of(with_them) == weights_of(without)


def test_every_tick_has_the_updates_of_both_players_and_looks_say_what_they_took(data, eager):
    run = train(data)
    ticks = [seen for seen, _ in run.curve("samples_per_second")]
    assert [seen for seen, _ in run.curve("generator/update")] == ticks == list(range(8, 65, 8))
    assert all(value > 0 for _, value in run.curve("discriminator/update"))
    assert [0 < value <= 1 for _, value in run.curve(SHARE)] == [True] * len(run.curve("health/overfitting"))


def test_a_run_that_continues_has_an_update_at_its_first_tick(data):
    train(data, share=0)
    run = train(data, share=0, settings={"length": 80})
    assert [seen for seen, _ in run.curve("generator/update")] == list(range(8, 81, 8))


def test_without_a_budget_there_are_the_steps_own_numbers_alone(data):
    run = train(data, share=0)
    assert not [name for name in log.curves(run.folder.log) if name.startswith("health/")]
    assert not (run.path / signals.FILE).exists()
    names = [one["name"] for one in gansaku.show(run.path, signals=True)["signals"]]
    assert names == ["discriminator/real_probability", "discriminator/fake_probability", "generator/fake_probability",
                     "discriminator/accuracy", "discriminator/gradient", "generator/gradient", "discriminator/update",
                     "generator/update"]  # fmt: skip


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_what_is_no_share_is_refused_before_the_training(data, share, tmp_path):
    with pytest.raises(UsageError, match="is no share of the time"):
        train(data, share=share)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def mine():
    @part
    class Mine(Signal):
        """A user's."""

        gives = {"mine": Meaning("variety", "My <own>", "a number & more", "42", "mine_real")}  # noqa: RUF012
        fails = [False]  # noqa: RUF012

        def __call__(self, look, reference):
            if self.fails[0]:
                raise ValueError("not today")
            return {"mine": torch.tensor(41.0), "mine_real": torch.tensor(42.0)}

    yield Mine
    del _registry["Mine"]


def test_a_users_signal_is_in_log_table_and_report(data, eager, mine):
    run = train(data)
    assert {value for _, value in run.curve("health/mine")} == {41.0}
    del _registry["Mine"]  # who looks at the run need not know it
    (told,) = [one for one in gansaku.show(run.path, signals=True)["signals"] if one["name"] == "health/mine"]
    _registry["Mine"] = mine
    assert (told["title"], told["now"], told["data"], told["healthy"]) == ("My <own>", 41, 42, "42")
    assert "My &lt;own&gt;" in render(run.folder)


def test_a_signal_that_fails_is_told_of_once_and_training_goes_on(data, eager, mine):
    mine.fails[0] = True
    said = Said()
    run = train(data, listener=said)
    assert run.state().seen == 64
    assert [s for s in said.sentences if "not today" in s] == ["signal Mine: ValueError: not today; training goes on"]
    assert run.curve("health/diversity")
    assert "health/mine" not in log.curves(run.folder.log)


def test_a_look_that_fails_is_told_of_and_training_goes_on(data, eager, monkeypatch):
    def broken(self, state):
        raise RuntimeError("no eyes today")

    monkeypatch.setattr("gansaku.health.looking.Looker.look", broken)
    said = Said()
    assert train(data, listener=said).state().seen == 64
    assert any("no eyes today; training goes on" in sentence for sentence in said.sentences)


# The share of the time


class Ticking:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """A look takes 2 seconds, and the data 3 at first."""

    signals = ()

    def __init__(self, clock):
        self.clock, self.ready = clock, False

    def prepare(self, state):
        self.clock.now += 0 if self.ready else 3
        self.ready = True

    def numbers(self, state):
        self.clock.now += 2
        return {"x": 1.0}, []


class Stated:
    seen = 0


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_looks_take_no_more_than_their_share_but_for_the_first_one(share):
    clock, state, told = Ticking(), Stated(), []
    watch = Looks(Slow(clock), share, clock)
    watch.begin()
    watcher = watch.watcher(every(2), lambda seen, numbers, problems: told.append((seen, numbers)))
    spent = 0.0
    for cycle in range(1, 3000):
        clock.now += 1
        state.seen, before = cycle, clock.now
        if watcher.due(cycle - 1, cycle):
            watcher.act(state, {})
        spent += clock.now - before
        assert spent <= max(5, share * clock.now)
    assert told[0][0] == 2, "the first tick after a second"
    assert {seen % 2 for seen, _ in told} == {0}
    assert spent > 0.9 * share * clock.now - 5
    assert told[-1][1]["health/x"] == 1.0
    assert told[-1][1][SHARE] == pytest.approx(watch.taken, rel=0.1)


def test_nobody_looks_when_the_training_is_to_stop_or_twice_at_one_place():
    clock, state, told = Ticking(), Stated(), []
    watch, asked = Looks(Slow(clock), 1.0, clock), [True]
    watcher = watch.watcher(every(1), lambda *found: told.append(found), lambda: asked[0])
    clock.now = 100
    watcher.act(state, {})
    asked[0] = False
    watcher.act(state, {})
    watcher.act(state, {})
    assert len(told) == 1


# What people see


@pytest.fixture
def seen(tmp_path):
    """A run with two groups of signals, one of which nobody explained."""
    folder = Folder(tmp_path / "seen")
    folder.create('length = 1000\nname = "auto"\n', {"data": {"name": "d"}})
    signals.write_meanings(folder, {
        "health/diversity": Meaning("variety", "Diversity", "of samples", "about 1", 1.0),
        "health/pieces": Meaning("samples", "Pieces", "of a sample", "as the data", "health/pieces_real"),
    })  # fmt: skip
    writer = log.Log(folder.log)
    writer.begin(0)
    for i, value in enumerate([0.5, 0.25, float("nan"), 0.75]):
        writer.write(100 * (i + 1), {"health/diversity": value, "health/pieces": 3.0, "health/pieces_real": 1.0, SHARE: 0.01,
                                     "health/odd": 7.0, "generator/update": 0.5, "generator/rate": 1.0})  # fmt: skip
    writer.close()
    return folder


def test_signals_as_json_are_in_groups_with_their_course(seen):
    told = gansaku.show(seen.path, signals=True)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["looks"], told["share_of_time"]) == (4, 0.01)
    assert [one["name"] for one in told["signals"]] == ["health/diversity", "health/pieces", "health/odd", "generator/update"]
    diversity, pieces, odd, _ = told["signals"]
    assert {name: diversity[name] for name in ("now", "at", "data", "first", "least", "most", "healthy")} == {
        "now": 0.75, "at": 400, "data": 1.0, "first": 0.5, "least": 0.25, "most": 0.75, "healthy": "about 1"}  # fmt: skip
    assert diversity["points"] == [[100, 0.5], [200, 0.25], [300, None], [400, 0.75]]
    assert (pieces["data"], odd["title"], odd["means"]) == (1.0, "odd", "")


def test_the_table_says_each_of_them_in_two_lines(seen, capsys):
    assert main(["show", str(seen.path), "--signals"]) == 0
    text = capsys.readouterr().out
    lines = [re.sub(" +", " ", line) for line in text.splitlines()]
    assert lines[0].endswith("seen: 4 looks beside the step's own numbers; looks took 1.00% of the time")
    assert lines[2].startswith("Variety now data trend least most healthy")
    assert lines[3:5] == ["Diversity 0.75 1 ▅▁ █ 0.25 0.75 about 1", " health/diversity: of samples"]
    assert " health/odd" in lines
    assert main(["show", str(seen.path), "--signals", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["looks"] == 4


def test_a_run_without_numbers_and_a_folder_without_a_run_are_told_of(tmp_path, capsys):
    folder = Folder(tmp_path / "new")
    folder.create('length = 1000\nname = "auto"\n', {"data": {"name": "d"}})
    assert "has logged no signal yet" in signals_table(gansaku.show(folder.path, signals=True))
    assert main(["show", str(tmp_path / "no"), "--signals"]) == 2
    assert "is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"health/diversity": 3}', '{"health/diversity": {"group": 1}}', "[" * 9999]
)
def test_meanings_that_are_broken_leave_the_names(seen, content):
    (seen.path / signals.FILE).write_text(content)
    told = {one["name"]: one for one in gansaku.show(seen.path, signals=True)["signals"]}
    assert told["health/diversity"]["title"] == "diversity"
    assert 'id="signals"' in render(seen)


@pytest.mark.parametrize(("values", "bars"), [
    ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"), ([5, 5], "▄▄      "), ([None, 1, None, 2], " ▁ █    "), ([], "        "),
    ([0] * 8 + [7] * 8, "▁▁▁▁████"),
])  # fmt: skip
def test_a_sparkline_goes_from_the_least_to_the_largest(values, bars):
    assert sparkline(values, 8) == bars


def test_the_report_draws_signals_in_a_section_of_their_own_with_the_data_beside_them(seen):
    curves, meanings = log.curves(seen.log), signals.read_meanings(seen)
    groups = dict(signal_groups(curves, meanings))
    assert list(groups) == ["Variety", "Samples", "Speed of learning"]
    (diversity,) = groups["Variety"]
    assert [(one.label, one.points[-1][1]) for one in diversity.series] == [("samples", 0.75), ("data", 1.0)]
    assert diversity.note == "Of samples. Healthy: about 1."
    assert [chart.title for chart in groups["Samples"]] == ["Pieces", "odd"]
    assert [chart.title for chart in more_charts(curves)] == []
    page = render(seen)
    assert page.index('id="charts"') < page.index('id="signals"') < page.index('id="events"')


def test_a_run_without_signals_has_no_such_section(tmp_path):
    folder = Folder(tmp_path / "old")
    folder.create('length = 1000\nname = "auto"\n', {"data": {"name": "d"}})
    assert 'id="signals"' not in render(folder)
