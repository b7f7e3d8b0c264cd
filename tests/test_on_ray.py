"""A comparison on a real Ray cluster, started here for the test: the same numbers as on this machine, whatever falls."""

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from gansaku import api_arm
from gansaku.errors import UsageError
from gansaku.experiments import on_ray, results
from gansaku.experiments.crew import Crew, machine_of
from gansaku.experiments.folder import Place, trainings
from gansaku.experiments.plan import Plan, Scoring
from gansaku.experiments.space import Factor

SMALL = {"length": 192, "batch": 32, "generator.network.width": 4, "discriminator.network.width": 4, "precision": "fp32"}
PLAN = Plan(
    "avatars", "dcgan", (Factor("generator.network.grow", ("transpose", "resize")),), settings=SMALL, seeds=(0, 1),
    scoring=Scoring(("fid",), 40, "random-2d"),
)  # fmt: skip


def processes(place):
    """Of trainings in a place."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "gansaku.api_arm" in words and str(place.path) in words:
            found[int(path.parent.name)] = words
    return found


def test_trainings_on_ray_end_in_the_same_numbers_though_one_is_killed_and_none_is_left_behind(tmp_path):
    here, there = Place(tmp_path / "here"), Place(tmp_path / "there")
    for place in (here, there):
        place.begin(PLAN)
    one, other, third, _ = trainings(PLAN)
    api_arm.carry_out(here, one.number, one.seed, "cpu")
    killed, said = [], []

    def stopped():
        """Asked again and again: kills the first training once, and stops when the second one is done."""
        for pid, words in processes(there).items():
            if not killed and words[-4:-1] == [str(one.number), str(one.seed), "cpu"]:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
        return there.result(one).exists() and there.result(other).exists()

    with closing(machine_of("ray", 1, "cpu")) as machine:
        assert machine.jobs() >= 1
        given_up = Crew(machine, 2, stopped, said.append).work_down(there, [one, other, third])
    assert given_up == {}
    assert len(killed) == 1
    assert any("going on from its last checkpoint, 1 of 2 tries" in sentence for sentence in said)
    made, again = results.read(here.result(one)), results.read(there.result(one))
    assert [score.value for score in again.scores] == [score.value for score in made.scores]
    assert again.seen == 192
    assert processes(there) == {}


def test_without_ray_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(on_ray, "import_module", missing)
    with pytest.raises(UsageError, match=r"Ray is not installed; pip install 'gansaku\[ray\]'"):
        machine_of("ray", 1, "cpu")
    with pytest.raises(UsageError, match="--on: 'cluster' is no place for trainings; use local or ray"):
        machine_of("cluster", 1, "cpu")
