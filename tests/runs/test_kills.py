"""`kill -9` at any moment, then the same command: the end is the same, bit for bit. Signals, locks and readers beside it."""

import dataclasses
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from nursery import (
    ASKING,
    CASES,
    TEARS,
    Nursery,
    at_random,
    before,
    check_ended,
    check_killed,
    continued,
    lived,
    straight,
    torn,
    until,
)
from PIL import Image

from gansaku.runs import log, manifest
from gansaku.runs.folder import Folder
from gansaku.runs.summary import summarize

KILLS = 4  # of each case
WRITING = [  # for a third of the kills: the moments of a checkpoint's writing, and what is written beside it
    *TEARS,
    "fsync tensors.safetensors", "rename a checkpoint", "fsync checkpoints", "unlink manifest.json",
    "unlink tensors.safetensors", "rmdir a checkpoint", "log log.sqlite", "rename a sheet",
]  # fmt: skip
LONG = ("length=4000000",)
GONE = 10.0  # seconds after a signal


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as opened:
        yield opened


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def undisturbed(nursery, sources, tmp_path_factory):
    """What the first case leaves."""
    return straight(nursery, CASES[0], sources, tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.fixture(scope="module")
def folder_of_pictures(tmp_path_factory):
    """300 small pictures, in two class folders."""
    root, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for i in range(300):
        path = root / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 16, 3), np.uint8)).save(path)
    return root


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_killed_anywhere_and_started_again_it_ends_with_the_same_bits(number, nursery, sources, tmp_path):
    """40 kills: 27 of the process group at random times, 13 in the midst of writing."""
    case, draw = CASES[number], random.Random(zlib.crc32(CASES[number].name.encode()))
    reference = straight(nursery, case, sources, tmp_path / "straight")

    def writing():
        what = WRITING[(number + len(CASES) * lives) % len(WRITING)]
        return torn(reference, draw, what) if what in TEARS else before(reference, draw, what)

    delivered, lives = [], 0
    while len(delivered) < KILLS:
        assert lives < 20, f"it ended before its kills; those that came: {delivered}"
        first = writing() if lives == 0 or number + len(CASES) * lives < len(WRITING) else at_random(draw)
        second = continued(draw) if (number, lives) in ((3, 1), (6, 1), (9, 1)) else at_random(draw)
        delivered += lived(nursery, case, reference, sources, tmp_path / str(lives), [first, second])
        lives += 1


def test_with_a_checkpoint_now_and_then_what_was_done_twice_is_seen_once(nursery, sources, tmp_path, undisturbed):
    """Rows that were overtaken are hidden: the curves are those of an undisturbed run."""
    draw = random.Random(5)
    kills = [at_random(draw)._replace(share=0.6) for _ in range(3)]
    lived(nursery, CASES[0], undisturbed, sources, tmp_path / "run", kills, seconds=0.1)


def test_the_real_command_goes_the_same_way(nursery, sources, tmp_path):
    """`python -m gansaku`: asked to stop, then killed in its last checkpoint's writing, then left alone."""
    case = dataclasses.replace(CASES[0], settings=("precision=fp32", "length=160"))
    reference = straight(nursery, case, sources, tmp_path / "straight", seconds=120.0, sheet=64)

    def started(faults=""):
        return subprocess.Popen(
            [sys.executable, "-m", "gansaku", *case.command(sources)], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "GANSAKU_CACHE": "cache", "GANSAKU_FAULTS": faults, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    first = started()
    next(line for line in first.stderr if "D(x)" in line)
    first.send_signal(signal.SIGTERM)
    assert "everything is saved" in first.communicate(timeout=60)[1]
    assert first.returncode == 128 + signal.SIGTERM
    assert started("TEAR 5 on tensors").wait(60) == -signal.SIGKILL
    last = started()
    said = last.communicate(timeout=60)[1]
    assert last.returncode == 0, said
    assert "bit for bit" in said
    check_ended(tmp_path / "run", reference)


@pytest.mark.parametrize("number", ASKING, ids=lambda n: n.name)
def test_a_signal_while_the_command_imports_ends_it_at_once_without_a_word(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "gansaku", "train", "--run", "run"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: [signal.signal(asked, signal.SIG_DFL) for asked in ASKING],
    )  # fmt: skip
    until(lambda: catches(process.pid, number), 30)
    process.send_signal(number)
    assert process.communicate(timeout=GONE)[1] == ""
    assert process.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def catches(pid, number):
    """Whether the process has a handler for all of the signals that ask."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return all(int(caught.split()[1], 16) >> (asked - 1) & 1 for asked in ASKING)


PHASES = {  # where a training stands when the signal comes: a function, and at which call of it
    "preparation": ("gansaku.terminal:Terminal.preparing", 1),
    "the networks are built": ("gansaku.training.state:renew_optimizers", 1),
    "the first batch": ("gansaku.training.loop:cycle", 1),
    "in the midst of a cycle": ("gansaku.training.step:update", 4),
    "a sheet is drawn": ("gansaku.runs.watchers:sheet_png", 2),
    "a checkpoint is written": ("gansaku.runs.manifest:write", 2),
    "a checkpoint is removed": ("gansaku.runs.manifest:kept", 3),
    "resuming": ("gansaku.runs.checkpoint:load", 1),
}


@pytest.mark.parametrize("number", ASKING, ids=lambda n: n.name)
@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_ends_it_with_a_checkpoint_and_one_sentence(phase, number, nursery, sources, tmp_path, undisturbed):
    command = CASES[0].command(sources)
    if phase == "resuming":
        assert nursery.start(*command, folder=tmp_path, faults="KILL 3 on rename run/checkpoints").wait() == -signal.SIGKILL
    child = nursery.start(*command, folder=tmp_path, pause=PHASES[phase])
    child.paused()
    child.send(number)
    child.go_on()
    assert child.wait(GONE) == 128 + number
    assert child.family == []
    assert "Traceback" not in child.said
    assert [line for line in child.said.splitlines() if "interrupted" in line] == child.said.splitlines()[-1:]
    run = Folder(tmp_path / "run")
    if phase in ("preparation", "the networks are built"):
        assert not run.path.exists()
    else:
        seen = max((points[-1][0] for points in log.curves(run.log).values()), default=0)
        assert seen >= undisturbed.interval
        wanted = 2 * undisturbed.interval if phase == "resuming" else seen  # what the kill overtook is still shown
        assert manifest.seen(manifest.at(run.checkpoints, None)) == wanted
    left = [path.name[:16] for path in tmp_path.rglob(".part-*")]
    assert left == ([".part-preparing-"] if phase == "preparation" else [])  # what was finished of it, for the next time
    if number == signal.SIGTERM:  # what the others leave is no different
        assert nursery.start(*command, folder=tmp_path).wait() == 0
        check_ended(tmp_path / "run", undisturbed)


@pytest.mark.parametrize(("first", "second"), [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP)])
def test_a_second_signal_ends_it_at_once_with_the_checkpoint_before(first, second, nursery, sources, tmp_path, undisturbed):
    child = nursery.start(*CASES[0].command(sources), folder=tmp_path, pause=("gansaku.runs.manifest:write", 3))
    child.paused()
    child.send(first)
    time.sleep(0.2)
    assert child.running
    child.send(second)
    assert child.wait(GONE) == 128 + second
    child.go_on()
    assert child.family == []
    assert "Traceback" not in child.said
    check_killed(tmp_path / "run", undisturbed, every_cycle=True)
    assert manifest.seen(manifest.at(tmp_path / "run" / "checkpoints", None)) == 2 * undisturbed.interval
    assert nursery.start(*CASES[0].command(sources), folder=tmp_path).wait() == 0
    check_ended(tmp_path / "run", undisturbed)


@pytest.mark.parametrize("seconds", [4.0, 4.5, 5.0, 5.5])
def test_a_budget_is_kept_with_checkpoint_sheet_and_report(seconds, nursery, sources, tmp_path):
    """Five trainings of different sizes at once, so that each waits for the others."""
    children = []
    for i, case in enumerate([*CASES[:4], CASES[7]]):
        place = tmp_path / str(i)
        place.mkdir()
        command = [*case.command(sources), *LONG, "--budget", f"{seconds}s"]
        children.append((nursery.start(*command, folder=place, seconds=120.0), time.monotonic()))
    for child, started in children:
        assert child.wait(seconds - (time.monotonic() - started)) == 0, child.said
        run = Folder(child.folder / "run")
        assert manifest.listed(run.checkpoints)[-1]["state"] == "good"
        assert run.newest_sheet() is not None
        assert run.report.is_file()


class TestPreparing:
    def test_killed_it_leaves_nothing_or_all_and_the_repeat_gives_the_same_bytes(self, nursery, folder_of_pictures, tmp_path):
        def prepared(place, **how):
            place.mkdir(exist_ok=True)
            return nursery.start("prepare", str(folder_of_pictures), "made.h5", "--size", "16", folder=place, **how)

        draw, untouched = random.Random(0), hashes(folder_of_pictures)
        started, first = time.monotonic(), prepared(tmp_path / "straight", record="operations")
        assert first.wait() == 0
        whole = time.monotonic() - started
        wanted = (tmp_path / "straight" / "made.h5").read_bytes()
        count = len((tmp_path / "straight" / "operations").read_text().splitlines())
        for i in range(20):
            place = tmp_path / str(i)
            if i < 10:
                assert prepared(place, faults=f"KILL {1 + i * count // 10} on made").wait() == -signal.SIGKILL
            else:
                child = prepared(place)
                time.sleep(draw.random() * whole)
                child.kill()
            assert not (place / "made.h5").exists() or (place / "made.h5").read_bytes() == wanted
            assert prepared(place).wait() == 0
            assert (place / "made.h5").read_bytes() == wanted
            assert list(place.glob(".part-*")) == []
        assert hashes(folder_of_pictures) == untouched


def hashes(folder):
    return {p: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in folder.rglob("*.png")}


class TestOneTrainingAtATime:
    def test_of_eight_at_once_one_trains_and_the_others_name_it(self, nursery, sources, tmp_path):
        """Ten rounds: at first in a new folder, then in the one that the killed owner left."""
        for number in range(10):
            place = tmp_path / str(number // 5)
            place.mkdir(exist_ok=True)
            children = [nursery.start(*CASES[0].command(sources), *LONG, folder=place) for _ in range(8)]
            until(lambda: sum(child.running for child in children) <= 1, 60)  # noqa: B023
            (owner,) = [child for child in children if child.running]
            for child in children:
                if child is not owner:
                    assert child.code == 1
                    assert f"is being trained by process {owner.pid} on {socket.gethostname()}" in child.said
                    assert "Traceback" not in child.said
            until(lambda: log.events(place / "run" / "log.sqlite"), 60)  # noqa: B023
            assert owner.running
            assert owner.kill() == -signal.SIGKILL

    def test_one_that_found_a_new_folder_and_comes_too_late_names_the_faster_one(self, nursery, sources, tmp_path):
        command = [*CASES[0].command(sources), *LONG]
        pause = ("gansaku.training.state:renew_optimizers", 1)
        late = nursery.start(*command, "generator.lr=0.5", folder=tmp_path, pause=pause)
        late.paused()
        owner = nursery.start(*command, folder=tmp_path)
        until(lambda: log.events(tmp_path / "run" / "log.sqlite"), 60)
        settings = (tmp_path / "run" / "recipe.toml").read_bytes()
        late.go_on()
        assert late.wait() == 1
        assert f"is being trained by process {owner.pid} on {socket.gethostname()}" in late.said
        assert (tmp_path / "run" / "recipe.toml").read_bytes() == settings
        assert owner.kill() == -signal.SIGKILL

    @pytest.mark.parametrize("host", ["here", "elsewhere"])
    def test_a_lock_file_that_nobody_holds_keeps_nobody_out(self, host, nursery, sources, tmp_path, undisturbed):
        """Of a process that is gone, or copied from another machine."""
        (tmp_path / "run").mkdir()
        owner = {"pid": 2**22 - 1, "host": socket.gethostname() if host == "here" else host, "since": "yesterday"}
        (tmp_path / "run" / "lock").write_text(json.dumps(owner))
        assert nursery.start(*CASES[0].command(sources), folder=tmp_path).wait() == 0
        check_ended(tmp_path / "run", undisturbed)


class TestReaders:
    def test_eight_of_them_see_whole_things_only_while_a_training_is_killed_and_started_again(self, nursery, sources, tmp_path):
        draw, stop, problems, looks = random.Random(3), threading.Event(), [], []
        readers = [threading.Thread(target=watch, args=(tmp_path / "run", stop, problems, looks)) for _ in range(8)]
        for reader in readers:
            reader.start()
        end = time.monotonic() + 8
        while time.monotonic() < end:
            child = nursery.start(*CASES[0].command(sources), "length=20000", folder=tmp_path, seconds=0.1)
            time.sleep(0.3 + draw.random())
            child.kill()
        stop.set()
        for reader in readers:
            reader.join()
        assert sorted(set(problems)) == []
        assert len(looks) > 100


def watch(run, stop, problems, looks):
    """Look at a run twenty times a second, as a dashboard would, and note whatever is not as it should be."""
    starts, seen = 0, 0
    while not stop.wait(0.05):
        try:
            starts, seen = look(Folder(run), starts, seen)
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")
        looks.append(seen)


def look(run, starts, seen):
    """Raises AssertionError for what is torn, or has gone back without a new start."""
    before = log.attempts(run.log)
    newest = max((points[-1][0] for points in log.curves(run.log).values()), default=0)
    again = before != starts or log.attempts(run.log) != before
    assert again or newest >= seen, f"{newest} samples after {seen}"
    times = [event.time for event in log.events(run.log)]
    assert times == sorted(times)
    if run.exists:
        torn = [c for c in summarize(run.path)["checkpoints"] if c["state"] != "good"]
        assert torn == []
    if (sheet := run.newest_sheet()) is not None:
        Image.open(sheet).load()
    if run.report.exists():
        assert run.report.read_text().rstrip().endswith("</html>")
    return before, newest
