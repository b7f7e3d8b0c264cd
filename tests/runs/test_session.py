"""A training stops in time, and knows what to do when numbers go bad."""

import math
import re

import numpy as np
import pytest

import gansaku
from gansaku.errors import Stopped, UsageError
from gansaku.listener import Listener
from gansaku.losses import Logistic
from gansaku.runs import log, manifest, recorder
from gansaku.runs.session import Deadline
from gansaku.training.sentinel import first_bad
from gansaku.training.state import tensors

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 160, "precision": "fp32"}


class Said(Listener):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0)
    random = np.random.default_rng(0)
    np.save(tmp_path / "pictures.npy", random.integers(0, 255, (40, 16, 16, 3), np.uint8))
    return str(tmp_path / "pictures.npy")


@pytest.fixture
def spoil(monkeypatch):
    """Make the discriminator's loss NaN at these calls."""

    def at(calls):
        whole, count = Logistic.discriminator, iter(range(10**9))
        monkeypatch.setattr(
            Logistic,
            "discriminator",
            lambda self, *arguments: whole(self, *arguments) * (math.nan if calls(next(count)) else 1.0),
        )

    return at


def of_logistic(data, **arguments):
    return gansaku.train("dcgan", data, "run", {**SMALL, "loss": "Logistic"}, **arguments)


def sound(path):
    from safetensors.torch import load_file

    return manifest.sound(path) and first_bad(load_file(path / manifest.TENSORS)) is None


def kinds(run="run"):
    return [event.kind for event in log.events(gansaku.load(run).folder.log)]


def test_a_bad_number_stops_with_code_4_and_nothing_after_it_is_saved(data, spoil):
    spoil(lambda call: call == 7)
    with pytest.raises(Stopped, match=r"^discriminator/adversarial: is not finite at turn 14, the discriminator's") as caught:
        of_logistic(data)
    assert caught.value.exit_code == 4
    checkpoints = manifest.found(gansaku.load("run").folder.checkpoints)
    assert [manifest.seen(path) for path in checkpoints] == [48, 56], "seven cycles of eight samples were good"
    assert all(sound(path) for path in checkpoints)
    assert "non-finite" in kinds()
    assert gansaku.load("run").state().seen == 56


def test_a_transient_fault_is_rolled_back_and_the_run_ends_well(data, spoil):
    spoil(lambda call: call == 7)
    said = Said()
    run = of_logistic(data, non_finite="rollback", listener=said)
    state = run.state()
    assert (state.seen, state.rollbacks) == (160, 1)
    assert first_bad(tensors(state)) is None
    assert run.curve("generator/rate")[-1][1] == pytest.approx(0.5 * run.recipe.generator.lr)
    assert {"non-finite", "rollback"} <= set(kinds())
    (told,) = [sentence for sentence in said.sentences if "rollback 1" in sentence]
    assert told.startswith("back to 56 samples, learning rates × 0.5, other noise; rollback 1: discriminator/adversarial")


@pytest.mark.parametrize("first", range(0, 20, 2))
def test_wherever_a_transient_fault_strikes_the_run_recovers(data, spoil, first):
    spoil(lambda call: call == first)
    assert of_logistic(data, non_finite="rollback").state().seen == 160


def test_a_permanent_fault_ends_after_three_rollbacks_with_the_last_good_checkpoint(data, spoil):
    spoil(lambda call: call >= 7)
    with pytest.raises(Stopped, match="so it was after 3 rollbacks") as caught:
        of_logistic(data, non_finite="rollback")
    assert caught.value.exit_code == 4
    assert kinds().count("rollback") == 3
    folder = gansaku.load("run").folder
    assert all(sound(path) for path in manifest.found(folder.checkpoints))
    assert gansaku.load("run").state().seen == 56
    seen = [at for at, _ in log.curve(folder.log, "discriminator/loss/adversarial")]
    assert seen == sorted(set(seen)), "what a rollback overtook is hidden"


def test_a_fault_before_the_first_checkpoint_begins_anew(data, spoil, monkeypatch):
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 1e9)
    spoil(lambda call: call == 3)
    assert of_logistic(data, non_finite="rollback").state().rollbacks == 1


def test_an_unknown_policy_names_those_there_are(data):
    with pytest.raises(UsageError, match="use stop or rollback"):
        of_logistic(data, non_finite="pray")


def test_changed_settings_go_on_only_when_allowed_and_are_kept(data):
    half = {**SMALL, "length": 80}
    gansaku.train("auto", data, "run", half)
    changed = {**SMALL, "generator.lr": 5e-4}
    with pytest.raises(gansaku.GansakuError, match=r"generator\.lr: 0\.001 → 0\.0005.*--allow"):
        gansaku.train("auto", data, "run", changed)
    said = Said()
    run = gansaku.train("auto", data, "run", changed, allow=True, listener=said)
    assert any("with other settings" in sentence for sentence in said.sentences)
    assert run.state().seen == 160
    assert gansaku.load("run").recipe.generator.lr == 5e-4
    history = run.folder.read_about()["history"]
    assert history[0]["seen"] == 80
    assert "generator.lr: 0.001 → 0.0005" in history[0]["changes"]
    assert "settings" in kinds()
    assert gansaku.train("auto", data, "run", {**changed, "length": 176}).state().seen == 176


def test_a_changed_network_is_refused_even_when_allowed_naming_the_layers(data):
    gansaku.train("auto", data, "run", {**SMALL, "length": 80})
    with pytest.raises(gansaku.GansakuError, match=r"belongs to another network: ema/generator/layers"):
        gansaku.train("auto", data, "run", {**SMALL, "generator.network.width": 8}, allow=True)
    assert gansaku.load("run").recipe.generator.network.width == 4


def test_another_optimizer_begins_with_moments_of_its_own(data):
    gansaku.train("auto", data, "run", {**SMALL, "length": 80})
    run = gansaku.train("auto", data, "run", {**SMALL, "generator.optimizer": "RMSprop"}, allow=True)
    names = [name for name in tensors(run.state()) if name.startswith("optimizer/generator/")]
    assert names
    assert not any("exp_avg" in name for name in names)


def test_other_data_go_on_only_when_allowed(data, tmp_path):
    gansaku.train("auto", data, "run", {**SMALL, "length": 80})
    np.save(tmp_path / "others.npy", np.random.default_rng(1).integers(0, 255, (30, 16, 16, 3), np.uint8))
    with pytest.raises(gansaku.GansakuError, match="other data"):
        gansaku.train("auto", str(tmp_path / "others.npy"), "run", SMALL)
    run = gansaku.train("auto", str(tmp_path / "others.npy"), "run", SMALL, allow=True)
    assert run.folder.read_about()["data"]["count"] == 30


def test_a_deadline_leaves_room_for_a_cycle_and_for_leaving_everything_in_order(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("gansaku.runs.session.time.monotonic", lambda: now[0])
    deadline = Deadline(100.0, started=0.0)
    deadline.begin()
    for _ in range(10):
        now[0] += 5.0
        assert not deadline.near(closing=2.0)
    assert [now.__setitem__(0, t) or deadline.near(closing=2.0) for t in (55, 86, 88)] == [False, True, True]


def test_a_budget_that_is_over_before_the_first_cycle_says_so(data):
    with pytest.raises(UsageError, match="over before the training began"):
        of_logistic(data, budget=0.0)


def test_a_dry_run_says_what_it_would_take(data):
    said = Said()
    of_logistic(data, dry_run=True, listener=said)
    lines = {sentence.split(":")[0]: sentence for sentence in said.sentences}
    assert {"generator", "discriminator", "time", "memory", "disk"} <= lines.keys()
    assert re.match(r"memory: [\d.]+ [MG]B, [\d.]+ kB of it data that the system may drop", lines["memory"])


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("a mistake of ours")], ids=["disk", "mistake"])
def test_what_is_no_checkpoint_never_stops_a_training(error, data, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("gansaku.runs.report.Report.write", fail)
    monkeypatch.setattr("gansaku.runs.watchers.sheet_png", fail)
    monkeypatch.setattr("gansaku.runs.log.Log.write", fail)
    said = Said()
    assert of_logistic(data, listener=said).state().seen == 160
    complaints = [sentence for sentence in said.sentences if sentence.endswith("training goes on")]
    assert sorted(sentence.split(":")[0] for sentence in complaints) == ["log", "report", "sheet"], "one a minute about each"


def test_a_run_shows_its_sheet_in_a_notebook(data):
    run = of_logistic(data)
    assert run._repr_png_().startswith(b"\x89PNG")
    assert "<iframe" in run._repr_html_()
