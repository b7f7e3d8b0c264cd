"""Alarms of a run: in its log and report, told of once, across continuing and rollbacks."""

import re

import numpy as np
import pytest

import gansaku
from gansaku.cli import main
from gansaku.health.looking import Looker
from gansaku.listener import Listener
from gansaku.parts import _registry
from gansaku.runs import log, looks, watchers
from gansaku.runs.alarms import Alarms, standing
from gansaku.runs.log import Event, Log
from gansaku.runs.report import render

WELL = {"health/empty": 0.0, "health/occupancy": 0.3, "health/occupancy_real": 0.3}
EMPTY = {"health/empty": 1.0, "health/occupancy": 0.0, "health/occupancy_real": 0.3}


SMALL = ["--set", "generator.network.width=4", "discriminator.network.width=4", "batch=8", "length=48", "precision=fp32",
         "--signals-budget", "100%", "--eval-budget", "0%"]  # fmt: skip


def told(alarms, *numbers, start=0):
    return [(at, one.kind) for at, found in enumerate(numbers, start) for one in alarms.after(100 * at, found)]


def test_each_alarm_is_told_of_once_when_it_begins_and_once_when_it_is_over(tmp_path):
    alarms = Alarms(tmp_path / "none.sqlite")
    assert told(alarms, WELL, EMPTY, EMPTY, EMPTY, EMPTY, WELL, WELL, EMPTY, EMPTY) == [
        (2, "alarm"), (5, "recovered"), (8, "alarm"),
    ]  # fmt: skip


def test_a_sentence_has_kind_evidence_and_remedy_and_the_end_says_since_when(tmp_path):
    alarms = Alarms(tmp_path / "none.sqlite")
    alarms.after(100, EMPTY)
    ((kind, sentence),) = alarms.after(1200, EMPTY)
    assert (kind, sentence.split(";")[0]) == (
        "alarm", "empty: 100% of the samples have no voxels to speak of, where the data are 30.0% full",
    )  # fmt: skip
    assert alarms.after(2400, WELL) == [("recovered", "empty: no longer; it was so since 1,200 samples")]


def written(path, *numbers):
    """A log with these looks, after 0, 100, 200, … samples."""
    book = Log(path)
    book.begin(0)
    for i, found in enumerate(numbers):
        book.write(100 * i, found)
    book.close()
    return path


def test_a_run_that_goes_on_knows_what_stood(tmp_path):
    path = written(tmp_path / "log.sqlite", WELL, EMPTY, EMPTY)
    assert told(Alarms(path), EMPTY, EMPTY, WELL, start=3) == [(5, "recovered")]
    path = written(tmp_path / "other.sqlite", WELL, EMPTY)
    assert told(Alarms(path), EMPTY, start=2) == [(2, "alarm")]


def test_what_a_rollback_overtook_is_forgotten(tmp_path):
    alarms = Alarms(tmp_path / "none.sqlite")
    assert told(alarms, WELL, EMPTY, EMPTY, EMPTY) == [(2, "alarm")]
    assert told(alarms, WELL, WELL, EMPTY, EMPTY, start=1) == [(4, "alarm")]


class Said(Listener):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


@pytest.fixture
def voxels(tmp_path, monkeypatch):
    monkeypatch.setattr(looks.Looks, "_allowed", lambda self: True)  # a look at each tick
    monkeypatch.setattr(watchers, "sheet_png", lambda *arguments: b"")
    np.save(tmp_path / "voxels.npy", np.random.default_rng(0).integers(0, 2, (24, 8, 8, 8), np.uint8))
    return str(tmp_path / "voxels.npy")


def test_a_generator_that_makes_nothing_is_told_of_in_log_report_and_table(voxels, tmp_path, monkeypatch, capsys):
    real, broken = Looker.numbers, range(1, 4)
    count = iter(range(100))

    def numbers(self, state):
        found, problems = real(self, state)
        return found | ({"empty": 1.0, "occupancy": 0.0} if next(count) in broken else {"empty": 0.0}), problems

    monkeypatch.setattr(Looker, "numbers", numbers)
    settings = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 48, "precision": "fp32"}
    said = Said()
    run = gansaku.train("dcgan", voxels, str(tmp_path / "run"), settings, signals_budget=1.0, scoring=gansaku.Scoring(share=0),
                        listener=said)  # fmt: skip
    mine = [event for event in log.events(run.folder.log) if event.kind in ("alarm", "recovered") and "empty" in event.sentence]
    assert [event.kind for event in mine] == ["alarm", "recovered"]
    assert [s for s in said.sentences if re.match(r"alarm after [\d,]+ samples: empty: 100% of the samples", s)] != []
    assert "no voxels to speak of" in render(run.folder)
    capsys.readouterr()
    assert main(["show", str(tmp_path / "run")]) == 0
    assert "alarm empty: 100% of the samples have no voxels to speak of" in capsys.readouterr().out


def event(seen, kind, sentence):
    return Event(seen, kind, sentence, 0.0)


def test_an_alarm_stands_until_it_is_over_or_something_from_before_it_overtakes_it():
    empty, islands = event(300, "alarm", "empty: all of it"), event(400, "alarm", "islands: many")
    other = [event(400, "save", "saved"), event(500, "recovered", "pattern: no longer"), event(500, "end", "stopped")]
    assert standing([empty, islands, *other]) == [empty, islands]
    assert standing([empty, islands, event(500, "recovered", "empty: no longer; it was so"), *other]) == [islands]
    assert standing([empty, islands, event(400, "start", "goes on")]) == [empty, islands]
    assert standing([empty, islands, event(300, "rollback", "back")]) == [empty]
    again = event(800, "alarm", "empty: once more")
    assert standing([empty, event(500, "recovered", "empty: no longer"), again]) == [again]
    assert standing([event(300, "alarm", "8 x 8 ended worse than it began: it stands nowhere")]) == []


def test_what_stands_is_at_the_top_of_report_and_table_after_the_training_too(voxels, tmp_path, monkeypatch, capsys):
    real = Looker.numbers
    monkeypatch.setattr(Looker, "numbers", lambda self, state: (real(self, state)[0] | {"empty": 1.0, "occupancy": 0.0}, []))
    run = str(tmp_path / "run")
    assert main(["train", "dcgan", "--data", voxels, "--run", run, *SMALL]) == 0
    head = (tmp_path / "run" / "report.html").read_text(encoding="utf-8").partition("</header>")[0]
    assert re.search(r'class="notice"><b>alarm</b> at [\d,]+ samples: empty: 100% of the samples have no voxels', head)
    capsys.readouterr()
    assert main(["show", run]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^alarms\n  \d+ empty: 100% of the samples have no voxels", shown, re.M)


OWN = """
from typing import ClassVar

from gansaku.health.alarms import Detector
from gansaku.parts import part


@part
class Sameness(Detector):
    kind: ClassVar[str] = "sameness"
    remedy: ClassVar[str] = "ask somebody"

    def wrong(self, looks):
        return f"diversity is {looks[-1]['diversity']:.1f}" if looks[-1].get("diversity", 9.0) < 5 else None
"""


def test_a_detector_in_a_file_of_ones_own_raises_its_alarm_on_the_terminal_in_table_and_report(voxels, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(OWN)
    run = str(tmp_path / "run")
    try:
        assert main(["train", "dcgan", "--data", voxels, "--run", run, "--use", str(tmp_path / "mine.py"), *SMALL]) == 0
    finally:
        _registry.pop("Sameness", None)
    printed = capsys.readouterr()
    pattern = r"alarm after [\d,]+ samples: sameness: diversity is \d\.\d; ask somebody"
    assert len(re.findall(pattern, printed.out + printed.err)) == 1
    assert main(["show", run]) == 0
    assert "sameness: diversity is" in capsys.readouterr().out
    assert "sameness: diversity is" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
