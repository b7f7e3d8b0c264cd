"""Working down a list of trainings, some at a time, each in a process of its own: stopped in order, and gone on with.

What a training is, and how it is started, its caller knows; here is the order, the room for them, and who is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gansaku.errors import DiskError, GansakuError, UsageError

T = TypeVar("T")

RETRIES = 2  # of a training that ended by itself without a result: each goes on from its last checkpoint
PATIENCE = 300.0  # seconds that a training has to save and end
SETTLED = 20.0  # seconds after which a training holds the memory that it will hold
SPARE = 1.25  # of what the largest one holds must be free before another one begins


FATAL: dict[int, Callable[[str, str, str], GansakuError]] = {2: UsageError, 3: DiskError}
"""Exit codes that another try would not change."""


class Job(Protocol):
    """A training at work in a process of its own, as `subprocess.Popen` is."""

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass
class Worker:
    """One training that is running."""

    job: Job
    since: float
    held: int = 0  # bytes, at the most so far


class Room(Protocol):
    """How much memory the machine has for another training."""

    def free(self) -> int | None:
        """Bytes that nobody uses; None where the system does not say."""

    def held(self, job: Job) -> int | None:
        """Bytes that a training holds."""


@dataclass
class Runner(Generic[T]):
    """Carries out what is waiting. `done` says whether a training has its result.

    One whose process ends without a result is tried again, and then left: that a process fell says nothing of what it
    trained. A training that broke by itself has a result that says so.
    """

    start: Callable[[T], Job]
    done: Callable[[T], bool]
    said: Callable[[T], str]  # the last line of what a training said
    room: Room
    stop: Callable[[], bool]
    say: Callable[[str], None]
    after: Callable[[], None] = lambda: None  # called when another result is there
    jobs: int = 1
    fatal: Mapping[int, Callable[[str, str, str], GansakuError]] = field(default_factory=lambda: FATAL)
    largest: int = 0  # bytes that a training was seen to hold
    given_up: dict[T, str] = field(default_factory=dict)  # and why
    clock: Callable[[], float] = time.monotonic
    nap: Callable[[float], None] = time.sleep

    def work_down(self, waiting: Sequence[T]) -> int:
        """Every training in order. Returns how many are left without a result: given up, or since `stop` wanted it.

        Raises what no other try would change: a mistake in the plan, a full disk.
        """
        left = [one for one in waiting if not self.done(one)]
        running: dict[T, Worker] = {}
        failed: dict[T, int] = {}
        try:
            while (left or running) and not self.stop():
                while left and len(running) < self.jobs and self._fits(running):
                    one = left.pop(0)
                    running[one] = Worker(self.start(one), self.clock())
                    self.say(f"{one}: begins" if one not in failed else f"{one}: tried again")
                for one, worker in list(running.items()):
                    code = worker.job.poll()
                    if code is None:
                        worker.held = max(worker.held, self.room.held(worker.job) or 0)
                        continue
                    del running[one]
                    self.largest = max(self.largest, worker.held)
                    if self.done(one):
                        self.say(f"{one}: done, {sum(not self.done(other) for other in waiting)} to go")
                        self.after()
                    elif self._again(one, code, failed):
                        left.insert(0, one)
                self.nap(0.2)
        finally:
            self._put_down(running)
        return sum(not self.done(one) for one in waiting)

    def _again(self, one: T, code: int, failed: dict[T, int]) -> bool:
        """Whether a training that ended without a result is to be tried again."""
        why = self.said(one) or f"ended with code {code}"
        if code in self.fatal:
            raise self.fatal[code](str(one), f"cannot be trained: {why}", "ARM")
        if code > 128 and self.stop():  # the signal came to all of us
            return True
        failed[one] = failed.get(one, 0) + 1
        if failed[one] <= RETRIES:
            self.say(f"{one}: {why}; going on from its last checkpoint, {failed[one]} of {RETRIES} tries")
            return True
        self.given_up[one] = why
        self.say(f"{one}: {why}; given up, the same command tries it again")
        return False

    def _fits(self, running: dict[T, Worker]) -> bool:
        """Whether another training has room: the first always, a second once it is known what the first one takes."""
        settled = [worker for worker in running.values() if self.clock() - worker.since >= SETTLED]
        self.largest = max([self.largest, *[worker.held for worker in settled]])
        if not running:
            return True
        free = self.room.free()
        if free is None:
            return True
        if not self.largest:
            return bool(settled)  # a system that does not say what a process holds has to do without
        return free > SPARE * self.largest

    def _put_down(self, running: dict[T, Worker]) -> None:
        """Ask every training to save and end; end those that do not."""
        for worker in running.values():
            worker.job.terminate()
        if running:
            self.say(f"{len(running)} asked to save and stop; the same command continues")
        end = self.clock() + PATIENCE
        while any(worker.job.poll() is None for worker in running.values()) and self.clock() < end:
            self.nap(0.2)
        for worker in running.values():
            if worker.job.poll() is None:
                worker.job.kill()
