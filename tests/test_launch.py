"""`--procs` without processes: what they are asked for, and what is made of how they end."""

import io
import json
import signal
import time

import numpy as np
import pytest

import gansaku
from gansaku import api, api_rank, launch
from gansaku.errors import Interrupted, UsageError
from gansaku.launch import EARLY, FAILED, Rank, watch
from gansaku.runs.live import Scoring

SETTINGS = {"batch": 4, "length": 4, "generator.network.width": 2, "discriminator.network.width": 2}


class Ended:
    """A process that has ended with a code; what it is sent."""

    def __init__(self, code):
        self.returncode, self.sent = code, []

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        self.sent.append(number)


class Dying(Ended):
    """One that a signal ends."""

    def __init__(self):
        super().__init__(None)

    def send_signal(self, number):
        super().send_signal(number)
        self.returncode = -number


def ended(number, process, said=b""):
    rank = Rank.__new__(Rank)
    rank.number, rank.failure, rank.process, rank._readers = number, {}, process, []
    rank._read(io.BytesIO(said))
    return rank


def test_processes_begin_with_the_checkpoint_that_was_asked_for_and_end_at_the_same_time(tmp_path, monkeypatch):
    np.savez(tmp_path / "dots.npz", images=np.zeros((8, 8, 8, 3), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None, None])
    quiet = {"scoring": Scoring(share=0), "signals_budget": 0}
    first = gansaku.train("auto", str(tmp_path / "dots.npz"), tmp_path / "first", SETTINGS, **quiet)
    asked, carried = [], []
    monkeypatch.setattr(api, "launch", lambda request, procs, signal: asked.append(json.loads(json.dumps(request))))
    monkeypatch.setattr(api, "load", lambda path, use=(), at=None: (carried.append(at), first)[1])
    before = time.time()
    earlier = gansaku.api.Run(first.folder, first.recipe, at=4)
    gansaku.train(
        "auto", str(tmp_path / "dots.npz"), tmp_path / "second", SETTINGS, begins_with=earlier, procs=2, budget=600, **quiet
    )
    assert asked[0]["begins_with"] == [str(first.path), 4]
    assert before + 590 < asked[0]["until"] < time.time() + 600
    given = {}
    monkeypatch.setattr(api, "train", lambda **request: given.update(request))
    carried.clear()
    api_rank.carry_out(asked[0])
    assert carried == [4]
    assert 0 < given["budget"] <= 600


def test_a_signal_that_reaches_processes_before_they_listen_is_an_interruption():
    crew = [ended(0, Dying()), ended(1, Ended(None))]
    with pytest.raises(Interrupted, match=EARLY) as told:
        watch(crew, lambda: signal.SIGINT)
    assert told.value.exit_code == 130
    assert crew[0].process.sent == [signal.SIGINT]


def test_a_line_that_looks_like_a_failure_is_passed_on_and_only_the_last_word_of_a_process_is_one(capsys):
    word = {"kind": "UsageError", "where": "there", "sentence": "is wrong", "code": "DEVICE"}
    rank = ended(1, Ended(2), b"failed: to open a file\n" + (FAILED + json.dumps(word) + "\n").encode())
    assert capsys.readouterr().err == "rank 1: failed: to open a file\n"
    assert isinstance(rank.error(), UsageError)
    assert str(rank.error()).startswith("rank 1, there: is wrong")


@pytest.mark.parametrize(("code", "what"), [(1, "its traceback"), (4, "what it said")])
def test_where_to_look_is_said_of_a_process_that_left_no_word(code, what):
    assert f"failed with exit code {code}; {what} stands above" in str(ended(1, Ended(code)).error())


def test_a_timeout_that_no_process_could_keep_is_refused():
    with pytest.raises(UsageError, match="1 s are too few: each process shows once a second that it lives; use 10s or more"):
        launch.check_procs(2, 1.0)
