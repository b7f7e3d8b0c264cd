"""When a score is flat: surely, and not where nobody can tell."""

import numpy as np
import pytest

import gansaku
from gansaku.cli import main
from gansaku.evaluation.flatness import flat, trend
from gansaku.runs import log

SMALL = ["batch=16", "generator.network.width=4", "discriminator.network.width=4"]


def curve(values):
    return [(100 * i, float(value)) for i, value in enumerate(values)]


def test_a_score_that_still_falls_is_not_flat():
    found = trend(curve(np.linspace(40, 20, 20)), "lower")
    assert found.scores == 10
    assert found.improvement == pytest.approx((40 - 20) * 9 / 19 / ((20 + 20 + 20 * 9 / 19) / 2))
    assert (found.low, found.high) == pytest.approx((found.improvement, found.improvement))
    assert flat(curve(np.linspace(40, 20, 20)), "lower", 0.05) is None


def test_a_score_that_fell_and_stays_is_flat_and_one_that_becomes_worse_too():
    stays = curve([*np.linspace(40, 20, 10), *[20.0] * 10])
    assert flat(stays, "lower", 0.05).improvement == pytest.approx(0)
    worse = curve([*np.linspace(40, 20, 10), *np.linspace(20, 25, 10)])
    assert flat(worse, "lower", 0.05).improvement == pytest.approx(-5 / 22.5)
    assert flat(worse, "higher", 0.05) is None


def test_where_scores_jump_about_nobody_can_tell():
    noise = np.random.default_rng(0).normal(0, 6, 20)
    assert trend(curve(20 + noise), "lower").high > 0.05
    assert flat(curve(20 + noise), "lower", 0.05) is None


def test_it_takes_twelve_scores_and_numbers_that_are_none_do_not_count():
    assert flat(curve([20.0] * 11), "lower", 0.05) is None
    assert flat(curve([20.0] * 12), "lower", 0.05).scores == 6
    assert flat(curve([20.0] * 11 + [float("nan")]), "lower", 0.05) is None


def test_the_interval_holds_the_true_change_in_about_95_of_100_curves():
    random, held = np.random.default_rng(1), 0
    line = 20 - 0.1 * np.arange(20)
    true = 0.9 / line[10:].mean()
    for _ in range(1000):
        found = trend(curve(line + random.normal(0, 0.5, 20)), "lower")
        held += found.low <= true <= found.high
    assert 930 <= held <= 970


def test_a_training_ends_once_its_score_is_flat_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gansaku.evaluation.flatness.trend", lambda points, better: FLAT if len(points) >= 3 else None)
    command = ["train", "dcgan", "--data", "avatars", "--run", "run", "--set", "length=1600", *SMALL, "--score-n", "8",
               "--score-every", "16", "--eval-budget", "100%", "--stop-when-flat", "5%"]  # fmt: skip
    monkeypatch.setattr("gansaku.runs.live.Live._allows", lambda self, seconds: True)
    monkeypatch.setattr("gansaku.runs.live.Live._ready", lambda self: True)
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "is flat: over the last 6 scores it improved by +1.0 %, 95 % interval −1.0 to +3.0 %" in said
    run = gansaku.load("run")
    assert 0 < run.state().seen < 1600
    assert 3 <= len(log.scores(run.folder.log)) <= 4
    assert "is flat" in log.events(run.folder.log)[-1].sentence


FLAT = trend(curve([20.0] * 12), "lower")._replace(improvement=0.01, low=-0.01, high=0.03)


@pytest.mark.parametrize("given", [["--stop-when-flat", "0%"], ["--stop-when-flat", "5%", "--eval-budget", "0%"]])
def test_what_can_never_be_flat_is_refused(given, capsys):
    assert main(["train", "--data", "avatars", "--run", "run", *given]) == 2
    assert "--stop-when-flat" in capsys.readouterr().err
