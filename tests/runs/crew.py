"""Trainings of several processes of which one is killed or stopped, and what must be true of the others.

A `Strike` is a signal to one rank at a moment of the training. `straight` is a training that nobody disturbs, `struck` one
that is struck again and again, continued each time, and at last left alone.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nursery import end_of, until

from gansaku.processes import PARENT
from gansaku.runs import log

WORLDS = (2, 4)
SIGNALS = (signal.SIGKILL, signal.SIGSTOP)
MOMENTS = ("while it starts", "after the first tick", "while it scores", "while it saves")
GONE = 10.0  # seconds in which all are gone once one is dead, or once the timeout is over for one that hangs
PATIENCE = 600.0  # seconds in which a moment comes, or a training ends, on the busiest machine
COMMAND = ["auto", "--set", "batch=16", "precision=fp32", "generator.network.width=4", "discriminator.network.width=4"]
MARKS = """\
import os, time
from pathlib import Path

from gansaku.evaluation import sharing
from gansaku.runs import checkpoint, live, recorder

recorder.CHECKPOINT_SECONDS = 0.5
live.TRIAL = 0.01
HERE, RANK = Path(os.environ["GANSAKU_MARKS"]), os.environ.get("RANK", "none")


def marked(owner, name, mark):
    \"\"\"A file says that this rank is in the function; it stays there for a moment, so that it can be met.\"\"\"
    original = getattr(owner, name)
    if hasattr(original, "original"):  # this file is used twice in a process
        return

    def marking(*arguments, **named):
        path = HERE / f"{mark} {RANK}"
        path.touch()
        time.sleep(0.1)
        try:
            return original(*arguments, **named)
        finally:
            path.unlink(missing_ok=True)

    marking.original = original
    setattr(owner, name, marking)


marked(sharing, "together", "while it scores")
marked(checkpoint, "save", "while it saves")
"""


class Strike(NamedTuple):
    """One signal to one rank of so many."""

    world: int
    rank: int
    signal: signal.Signals
    moment: str
    delay: float  # share of a start, or seconds, after the moment has come

    def __str__(self) -> str:
        what = "killed" if self.signal == signal.SIGKILL else "stopped"
        return f"rank {self.rank} of {self.world} {what} {self.moment}"


class Seen(NamedTuple):
    """What came of it."""

    strike: Strike
    seconds: float  # until all were gone
    most: float  # that it may take
    code: int
    said: str


class Straight(NamedTuple):
    """What so many processes leave that nobody disturbs."""

    end: dict[str, str]
    start: float  # seconds until its first tick


class Failed(Exception):
    """Not as promised."""


def strikes(draw: random.Random) -> list[Strike]:
    """Each rank of each world killed and stopped once, at a moment of its own: all moments come about as often."""
    pairs = [(world, rank, sign) for world in WORLDS for rank in range(world) for sign in SIGNALS]
    moments = list(MOMENTS) * (len(pairs) // len(MOMENTS) + 1)
    draw.shuffle(moments)
    made = [Strike(*pair, moment, draw.random()) for pair, moment in zip(pairs, moments, strict=False)]
    return draw.sample(made, len(made))


def started(place: Path, run: str, world: int, length: int, timeout: float) -> subprocess.Popen[bytes]:
    """`gansaku train --procs` in a session of its own."""
    marks = place / f"marks-{run}"
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir()
    command = [sys.executable, "-m", "gansaku", "train", *COMMAND, f"length={length}", "--data", str(place / "dots.npz"),
               "--run", str(place / run), "--procs", str(world), "--rank-timeout", f"{timeout:g}s",
               "--use", str(place / "marks.py"), "--eval-budget", "100%", "--score-n", "128"]  # fmt: skip
    environment = {**os.environ, "GANSAKU_MARKS": str(marks), "GANSAKU_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    with open(place / f"{run}.txt", "ab") as said:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment,
                                start_new_session=True)  # fmt: skip


def crew_of(launcher: int) -> dict[int, int]:
    """The processes that a launcher has started and that still run, by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = dict(line.split(b"=", 1) for line in (path / "environ").read_bytes().split(b"\0") if b"=" in line)
            state = (path / "stat").read_text().rpartition(") ")[2].split()[0]
        except OSError:
            continue
        if told.get(PARENT.encode()) == str(launcher).encode() and state != "Z":
            found[int(told[b"RANK"])] = int(path.name)
    return found


def ticks(run: Path) -> int:
    return len(log.curve(run / "log.sqlite", "samples_per_second")) if (run / "log.sqlite").exists() else 0


def straight(place: Path, world: int, length: int, timeout: float) -> Straight:
    """Trained by so many, undisturbed."""
    began, run = time.monotonic(), place / f"straight-{world}"
    child = started(place, run.name, world, length, timeout)
    try:
        until(lambda: ticks(run) or child.poll() is not None, PATIENCE)
        start = time.monotonic() - began
        if child.wait(PATIENCE) != 0:
            raise Failed(f"{run} ended with {child.returncode}")
    finally:
        cleared(child)
    return Straight(end_of(run), start)


def cleared(child: subprocess.Popen[bytes]) -> list[int]:
    """Nothing of a training runs on; the ranks that still did."""
    left = crew_of(child.pid)
    for number in [*left.values(), *([child.pid] if child.poll() is None else [])]:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    child.wait()
    return sorted(left)


def struck(
    place: Path, run: str, planned: list[Strike], length: int, timeout: float, whole: Straight, tell: Callable[[Seen], None]
) -> list[Seen]:
    """A training that each of these strikes ends, continued each time. Raises Failed where anything is not as promised."""
    found = []
    for strike in planned:
        child = started(place, run, strike.world, length, timeout)
        try:
            seen = one(place, run, child, strike, timeout, whole)
        finally:
            left = cleared(child)
        if seen is None:  # the training was over before the moment came
            break
        tell(seen)
        found.append(seen)
        if left:
            raise Failed(f"{strike}: ranks {left} were left {seen.seconds:.1f} s later")
        if seen.seconds > seen.most:
            raise Failed(f"{strike}: all were gone only after {seen.seconds:.1f} s; {seen.most:.0f} s are promised")
        if seen.code == 0 or not ("the same command" in seen.said or "RANKS" in seen.said):
            raise Failed(f"{strike}: ended with {seen.code} and said {seen.said[-400:]!r}")
    child = started(place, run, planned[0].world, length, timeout)
    try:
        code = child.wait(PATIENCE)
    finally:
        cleared(child)
    if code != 0:
        raise Failed(f"continued after {found[-1].strike if found else 'nothing'}, it ended with {code}")
    end = end_of(place / run)
    other = sorted(name for name in end.keys() | whole.end.keys() if end.get(name) != whole.end.get(name))
    if other:
        raise Failed(f"other bits in {len(other)} tensors, such as {other[0]}")
    return found


def one(place: Path, run: str, child: subprocess.Popen[bytes], strike: Strike, timeout: float, whole: Straight) -> Seen | None:
    """Wait for the moment, strike, and wait until all are gone; None where the training has ended before."""
    before, said = ticks(place / run), (place / f"{run}.txt").stat().st_size
    until(lambda: strike.rank in crew_of(child.pid) or child.poll() is not None, PATIENCE)
    moment: dict[str, Callable[[], bool]] = {
        "while it starts": lambda: True,
        "after the first tick": lambda: ticks(place / run) > before,
    }
    marked = place / f"marks-{run}" / f"{strike.moment} {strike.rank if strike.moment == 'while it scores' else 0}"
    until(lambda: moment.get(strike.moment, marked.exists)() or child.poll() is not None, PATIENCE)
    starts = strike.moment == "while it starts"
    time.sleep(strike.delay * (whole.start if starts else 0.1))
    victim = crew_of(child.pid).get(strike.rank)
    if child.poll() is not None or victim is None:
        return None
    os.kill(victim, strike.signal)
    began = time.monotonic()
    most = GONE + (timeout if strike.signal == signal.SIGSTOP else 0) + (whole.start if starts else 0)
    while time.monotonic() - began < most + GONE and (child.poll() is None or crew_of(child.pid)):
        time.sleep(0.02)
    seconds = time.monotonic() - began
    return Seen(
        strike, seconds, most, child.returncode or 0, (place / f"{run}.txt").read_bytes()[said:].decode("utf-8", "replace")
    )


def rounds(count: int, seed: int, place: Path, length: int = 3200, timeout: float = 20.0) -> dict[str, Any]:
    """So many rounds: in each of them every rank of two and of four processes is killed and stopped once."""
    draw, began, failures, done = random.Random(seed), time.monotonic(), list[dict[str, Any]](), list[Seen]()
    place.mkdir(parents=True, exist_ok=True)
    pictures = np.random.default_rng(0).integers(0, 256, (128, 16, 16, 3), np.uint8)
    np.savez(place / "dots.npz", images=pictures)
    (place / "marks.py").write_text(MARKS)
    whole = {world: straight(place, world, length, timeout) for world in WORLDS}

    def tell(seen: Seen) -> None:
        done.append(seen)
        print(f"{seen.strike}: all gone after {seen.seconds:4.1f} s, code {seen.code}", flush=True)

    for number in range(1, count + 1):
        left = strikes(draw)
        while left:  # three in a life, or the training would be over before the moments come
            world = left[0].world
            planned = [strike for strike in left if strike.world == world][:3]
            left = [strike for strike in left if strike not in planned]
            run = f"round-{number}-{len(left)}"
            try:
                struck(place, run, planned, length, timeout, whole[world], tell)
            except (Failed, AssertionError, subprocess.TimeoutExpired) as error:
                failures.append({"round": number, "run": run, "error": str(error)})
                print(f"FAILED {run}: {error}", flush=True)
    kinds = {f"{strike} {moment}": sum(strike in str(s.strike) and s.strike.moment == moment for s in done)
             for strike in ("killed", "stopped") for moment in MOMENTS}  # fmt: skip
    slowest = {what: max([s.seconds for s in done if what in str(s.strike)], default=0.0) for what in ("killed", "stopped")}
    return {"rounds": count, "strikes": len(done), "seed": seed, "timeout": timeout, "seconds": round(time.monotonic() - began),
            "kinds": kinds, "slowest": slowest, "failures": failures}  # fmt: skip
