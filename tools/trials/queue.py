"""Working down the plan: some trials at a time, each in a process of its own; stopped in order, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gansaku import files

from .plan import Trial, trials
from .work import POINTS, Places

ROOT = Path(__file__).resolve().parents[2]  # where `python -m tools.trials` is found
PATIENCE = 180.0  # seconds that a child has to save its state
LEAST = 60.0  # seconds that must be left for another one to begin
INTERRUPTED = 143


class Job(Protocol):
    """A child at work, as `subprocess.Popen` is."""

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Asked(Exception):
    """Somebody wants all to stop."""


Start = Callable[[Trial, int], Job]
Speed = Callable[[Trial], dict[str, float]]


@dataclass
class Stopping:
    """Whether to stop: a signal came, or the time is over."""

    until: float | None = None  # seconds from now
    started: float = field(default_factory=time.monotonic)
    asked: bool = False

    def __bool__(self) -> bool:
        return self.asked or self.left() <= 0

    def left(self) -> float:
        return float("inf") if self.until is None else self.until - (time.monotonic() - self.started)

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.note)

    def note(self, number: int, frame: object) -> None:
        self.asked = True


def work_down(
    waiting: Sequence[Trial],
    places: Places,
    minutes: float,
    jobs: int,
    stopping: Stopping,
    start: Start,
    speed: Speed,
    say: Callable[[str], None] = print,
    nap: float = 0.5,
) -> int:
    """Carry out the trials that have no result yet, in order. Returns how many of them have none in the end."""  # fmt: skip
    left, running = [t for t in waiting if not places.result(t).exists()], dict[Trial, Job]()
    everything = list(left)
    while (left or running) and not stopping:
        if left and len(running) < jobs and stopping.left() > LEAST:
            trial = left.pop(0)
            try:
                length = length_of(trial, places, minutes, speed)
            except Asked:
                break
            except RuntimeError as error:  # the others go on
                say(str(error))
                continue
            say(f"{trial.name}: {length:,} samples")
            running[trial] = start(trial, length)
            continue
        for trial, job in list(running.items()):
            code = job.poll()
            if code is not None:
                del running[trial]
                done = places.result(trial).exists()
                say(f"{trial.name}: {'done' if done else f'ended with {code}, see its log in {places.work}'}")
        if not running and stopping.left() <= LEAST:
            break
        time.sleep(nap)
    put_down(running, say, nap)
    return sum(not places.result(trial).exists() for trial in everything)


def put_down(running: dict[Trial, Job], say: Callable[[str], None], nap: float) -> None:
    """Ask every child to save and end; end those that do not."""
    for trial, job in running.items():
        say(f"{trial.name}: asked to save and stop")
        job.terminate()
    end = time.monotonic() + PATIENCE
    while any(job.poll() is None for job in running.values()) and time.monotonic() < end:
        time.sleep(nap)
    for job in running.values():
        if job.poll() is None:
            job.kill()


def length_of(trial: Trial, places: Places, minutes: float, speed: Speed) -> int:
    """The samples that the trial's group sees: measured before its first training, stored, and never changed.

    The mean over the group's arms takes the minutes; whole cycles, and whole twentieths of the run.
    """
    stored: dict[str, Any] = json.loads(places.plan.read_text()) if places.plan.exists() else {}
    if trial.group not in stored:
        arms = {(one.recipe, one.arm): one for one in trials() if one.group == trial.group and one.seed == trial.seed}
        found = [speed(one) for one in arms.values()]
        each = sum(one["seconds"] / one["samples"] for one in found) / len(found)
        unit = POINTS * max(int(one["samples"]) for one in found)
        wanted = 60 * minutes * trial.minutes / each
        stored[trial.group] = {
            "samples": unit * max(1, round(wanted / unit)),
            "minutes": round(minutes * trial.minutes, 3),
            "cpu_ms_per_sample": {one.arm or one.recipe: round(1000 * s["seconds"] / s["samples"], 4)
                                  for one, s in zip(arms.values(), found, strict=True)},
        }  # fmt: skip
        files.make_folder(places.results)
        files.write_json(places.plan, stored)
    return int(stored[trial.group]["samples"])


def command(verb: str, trial: Trial, places: Places, *more: object) -> list[str]:
    """What starts a child for one trial."""
    told = ["--work", places.work, "--results", places.results, "--cifar", places.cifar,
            "--dogs", places.dogs, "--faces", places.faces]  # fmt: skip
    return [sys.executable, "-m", "tools.trials", verb, trial.name, *map(str, more), *map(str, told)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def started(trial: Trial, length: int, places: Places) -> subprocess.Popen[bytes]:
    """The child that carries out a trial; what it says goes to a file. A session of its own: signals come from us alone."""
    logs = places.work / "logs"
    files.make_folder(logs)
    with (logs / f"{trial.name}.txt").open("ab") as out:
        return subprocess.Popen(command("child", trial, places, length), stdout=out, stderr=out, env=environment(),
                                start_new_session=True, cwd=ROOT)  # fmt: skip


def speed_of(trial: Trial, places: Places, stopping: Stopping) -> dict[str, float]:
    """The child's measurement. Raises Asked when somebody wants all to stop."""
    child = subprocess.Popen(command("speed", trial, places), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=environment(), start_new_session=True, cwd=ROOT)  # fmt: skip
    while True:
        try:
            out, errors = child.communicate(timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            if stopping:
                child.kill()
                child.communicate()
                raise Asked from None
    if child.returncode:
        raise RuntimeError(f"{trial.name}: its speed cannot be measured: {errors.strip()[-2000:]}")
    measured: dict[str, float] = json.loads(out.splitlines()[-1])
    return measured
