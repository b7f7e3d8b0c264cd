"""`procs` and torchrun: several processes on this machine train what one trains, end together, and go on where they were.

Loopback only; every process that a test starts is ended by it. `make soak` kills and stops each of them in turn.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gansaku
from gansaku import cli, launch, processes
from gansaku.errors import GansakuError, Interrupted, RecipeError, Stopped, UsageError
from gansaku.optimizers import SGD
from gansaku.runs import log, manifest
from gansaku.runs.folder import Folder
from gansaku.runs.live import Scoring

LENGTH, LONG = 800, 64_000
SETTINGS = {"batch": 16, "precision": "fp32", "generator.network.width": 4, "discriminator.network.width": 4}
ENOUGH = 240.0  # seconds in which anything here has happened, on the busiest machine


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with 128 pictures; runs lie beside them."""
    place = tmp_path_factory.mktemp("procs")
    rng = np.random.default_rng(0)
    np.savez(place / "dots.npz", images=rng.integers(0, 256, (128, 16, 16, 3), np.uint8))
    return place


def trained(place, run, length, procs=2, settings=None, **more):
    """The run's folder."""
    settings = {**SETTINGS, "length": length, **(settings or {})}
    more = {"scoring": Scoring(share=0), "signals_budget": 0, **more}
    gansaku.train("auto", str(place / "dots.npz"), place / run, settings, procs=procs, **more)
    return place / run


def newest(folder):
    return manifest.newest_sound(Folder(folder).checkpoints)[0]


def weights(folder):
    """All tensors of the newest checkpoint."""
    return load_file(newest(folder) / manifest.TENSORS)


def numbers_of(rank, parent):
    """The process of a rank, by what it was told."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            told = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"RANK={rank}".encode() in told and (parent is None or f"{processes.PARENT}={parent}".encode() in told):
            return int(path.parent.name)
    raise AssertionError(f"no rank {rank}")


def once_training(folder, act):
    """A thread that waits for the first tick and then acts."""

    def wait():
        end = time.monotonic() + ENOUGH
        while not log.curve(Folder(folder).log, "samples_per_second"):
            assert time.monotonic() < end
            time.sleep(0.05)
        act()

    thread = Thread(target=wait, daemon=True)
    thread.start()
    return thread


def alive(numbers):
    """Which of these processes still run; a child that nobody has waited for does not."""
    found = []
    for number in numbers:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        found += [number] if state != "Z" else []
    return found


@pytest.fixture(scope="module")
def whole(place):
    """A run of two processes that nobody interrupted."""
    return trained(place, "whole", LENGTH)


def test_two_processes_train_what_one_trains(place):
    """With plain SGD in fp32 the same weights up to rounding; the same log, the same files, scores of all samples."""
    plain = {f"{player}.optimizer": SGD() for player in ("generator", "discriminator")}
    rates = {"generator.lr": 1e-2, "discriminator.lr": 1e-2}
    scoring = Scoring(n=100, share=1000.0, every=160)
    runs = [trained(place, f"by{procs}", 320, procs, plain | rates, scoring=scoring) for procs in (1, 2)]
    one, two = map(weights, runs)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name].double(), one[name].double(), rtol=1e-5, atol=1e-6, err_msg=name)
    logs = [log.curves(Folder(run).log) for run in runs]
    assert [[(name, seen) for seen, _ in points] for name, points in logs[0].items()] == [
        [(name, seen) for seen, _ in points] for name, points in logs[1].items()
    ]
    found = [[(seen, score.value) for seen, score in log.scores(Folder(run).log)] for run in runs]
    assert len(found[0]) >= 1
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)


@pytest.mark.parametrize("sent_to", [0, 1])
def test_a_signal_to_any_process_ends_all_at_one_step_and_what_goes_on_ends_with_the_same_bits(place, whole, sent_to):
    folder, pids = place / f"asked{sent_to}", []

    def ask():
        pids.extend(numbers_of(rank, os.getpid()) for rank in (0, 1))
        os.kill(pids[sent_to], signal.SIGTERM)

    once_training(folder, ask)
    with pytest.raises(Interrupted, match="everything is saved, the same command continues") as told:
        trained(place, folder.name, LENGTH)
    assert told.value.exit_code == 128 + signal.SIGTERM
    assert alive(pids) == []
    assert 0 < manifest.seen(newest(folder)) < LENGTH
    one, two = weights(trained(place, folder.name, LENGTH)), weights(whole)
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_one_process_goes_on_with_what_two_began_and_says_that_it_rounds_otherwise(place, whole, capsys):
    cli.main(["train", "--run", str(whole), "--set", f"length={LENGTH + 32}", "--eval-budget", "0%"])
    said = capsys.readouterr().err
    assert f"continues after {LENGTH:,} samples, not bit for bit" in said
    assert "processes 2 → 1" in said
    assert manifest.seen(newest(whole)) == LENGTH + 32


@pytest.mark.parametrize(("victim", "sign"), [(1, signal.SIGKILL), (0, signal.SIGSTOP)])
def test_when_one_process_dies_or_hangs_all_end_and_none_is_left(place, victim, sign):
    folder, pids = place / f"lost{victim}", []

    def strike():
        pids.extend(numbers_of(rank, os.getpid()) for rank in (0, 1))
        os.kill(pids[victim], sign)

    once_training(folder, strike)
    with pytest.raises(GansakuError, match="the same command goes on") as told:
        trained(place, folder.name, LONG, rank_timeout=10.0)
    assert told.value.code == "RANK_LOST"
    assert told.value.exit_code == Stopped.exit_code
    assert alive(pids) == []
    if sign == signal.SIGKILL:
        assert str(told.value).startswith("rank 1: was ended by SIGKILL")


def test_the_process_that_failed_is_told_of_and_its_traceback_comes_first(place, capfd):
    (place / "broken.py").write_text(
        "import os\nfrom gansaku.parts import part\nfrom gansaku.losses import Logistic\n"
        "@part\nclass OnOneOnly(Logistic):\n"
        "    def generator(self, real, fake, target):\n"
        "        if os.environ.get('RANK') == '1':\n            raise ZeroDivisionError('on this machine alone')\n"
        "        return super().generator(real, fake, target)\n"
    )
    with pytest.raises(Stopped, match="rank 1: failed with exit code 1; its traceback stands above"):
        trained(place, "broken", 320, settings={"loss.part": "OnOneOnly", "discriminator.terms": ()}, use=[place / "broken.py"])
    said = capfd.readouterr().err
    assert "rank 1: ZeroDivisionError: on this machine alone" in said
    assert "is gone" not in said


def test_torchrun_trains_too_and_starts_again_from_the_checkpoint_when_one_dies(place):
    """`--max-restarts` is torchrun's own."""
    folder = place / "elastic"
    settings = [f"{path}={value}" for path, value in SETTINGS.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1",
               "-m", "gansaku", "--", "train", "auto", "--data", str(place / "dots.npz"), "--run", str(folder),
               "--eval-budget", "0%", "--set", f"length={2 * LENGTH}", *settings]  # fmt: skip
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    strike = once_training(folder, lambda: os.kill(numbers_of(1, None), signal.SIGKILL))
    try:
        said = running.communicate(timeout=ENOUGH)[0].decode()
    finally:
        running.kill()
    strike.join(1)
    assert running.returncode == 0, said
    assert "1,600 of 1,600 samples seen" in said
    assert log.attempts(Folder(folder).log) == 2


@pytest.mark.parametrize("procs", [0, 257])
def test_a_number_of_processes_that_cannot_be_is_refused(procs):
    with pytest.raises(UsageError, match=f"{procs} is no number of processes; use 1 to 256"):
        gansaku.train(procs=procs)


def test_a_batch_that_cannot_be_divided_is_refused_before_anything_starts(place):
    with pytest.raises(RecipeError, match="16 does not divide by 3 processes; use 15 or 18, or another number"):
        trained(place, "odd", 320, procs=3)
    assert not (place / "odd").exists()


def test_what_only_lives_in_this_process_is_not_sent_to_others(place):
    from gansaku.metrics.diversity import Diversity

    with pytest.raises(UsageError, match="scores by Diversity, which other processes do not know; name it, or use torchrun"):
        trained(place, "own", 320, scoring=Scoring(metrics=(Diversity(),)))


def test_processes_that_do_not_find_each_other_say_so(monkeypatch):
    told = {"RANK": 1, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": launch.free_port()}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    apart = pytest.raises(UsageError, match="rank 1 of 2 did not find the others within 1 s")
    with apart, processes.joined(torch.device("cpu"), 1.0):
        raise AssertionError("they have met")


def test_each_rank_sees_when_the_one_it_watches_shows_no_life(monkeypatch):
    """Rank 0 watches all others: it may wait for them without a limit, as until all have opened their data."""
    now, store = SimpleNamespace(monotonic=lambda: now.seconds, seconds=0), torch.distributed.HashStore()
    monkeypatch.setattr(processes, "time", now)
    monkeypatch.setattr(processes.threading.Thread, "start", lambda thread: None)
    watches = [processes.Watch(store, rank, 3, 10.0, lambda number: None) for rank in range(3)]

    def silent(living):
        """When each rank misses another, and which, while only these live."""
        found = {}
        for _ in range(30):
            now.seconds += 1
            for rank in living:
                watches[rank]._beat()
                if watches[rank]._silent() is not None:
                    found.setdefault(rank, (now.seconds, watches[rank]._silent()))
        return found

    assert silent([0, 1, 2]) == {}
    assert silent([0, 1]) == {0: (41, 2)}, "ten seconds after it last saw a new one; rank 1 leaves it to rank 0"
    assert silent([1, 2])[1] == (70, 0)
