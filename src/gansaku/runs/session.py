"""A training from its first cycle to its last: stopping in time, and what happens when numbers go bad."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from gansaku import files, ranks
from gansaku.contract import Signals
from gansaku.errors import DiskError, GansakuError, Stopped, UsageError
from gansaku.listener import Listener
from gansaku.recipe import Recipe
from gansaku.runs import checkpoint, following, manifest
from gansaku.runs.folder import Folder
from gansaku.runs.interrupts import StopRequest
from gansaku.runs.live import Live
from gansaku.runs.looks import Looks
from gansaku.runs.opening import Plan, continued_state, settle
from gansaku.runs.phase_ends import Lengthened
from gansaku.runs.phases import table
from gansaku.runs.recorder import Recorder
from gansaku.runs.report import Report
from gansaku.runs.watchers import tick
from gansaku.training.loop import Watcher, every, train
from gansaku.training.state import State, begin, full_size
from gansaku.training.step import Data
from gansaku.training.together import agree, share

Policy = Literal["stop", "rollback"]
POLICIES: tuple[str, ...] = get_args(Policy)
ROLLBACKS = 3
SPARE = 20_000_000  # bytes that log, sheets and report may take


@dataclass
class Deadline:
    """When a training must have left everything in order. `seconds` is None: never."""

    seconds: float | None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._last, self._longest = self.started, 0.0

    def near(self, closing: float) -> bool:
        """Whether another cycle might be too long, when `closing` seconds are needed after it. Asked between cycles."""
        now = time.monotonic()
        self._last, self._longest = now, max(self._longest * 0.99, now - self._last)
        if self.seconds is None:
            return False
        reserve = max(2.0, 0.01 * self.seconds, 1.0 + 2 * closing) + 1.5 * self._longest
        return now - self.started > self.seconds - reserve

    def check(self) -> None:
        """Raises UsageError when the time is over before the training began."""
        if self.seconds is not None and time.monotonic() - self.started > self.seconds:
            raise UsageError("--budget", f"{self.seconds:.0f} s were over before the training began; give it more", "BUDGET")

    @property
    def left(self) -> float | None:
        """Seconds until it; None: there is none."""
        return None if self.seconds is None else self.seconds - (time.monotonic() - self.started)

    @property
    def until(self) -> float | None:
        """The time of the clock at which it is, as another process takes it; None: there is none."""
        return None if self.left is None else time.time() + self.left

    def begin(self) -> None:
        """The first cycle begins now."""
        self._last = time.monotonic()


def train_in_folder(
    plan: Plan,
    state: State,
    data: Data,
    request: StopRequest,
    deadline: Deadline,
    policy: Policy,
    listener: Listener,
    live: Live | None = None,
    looks: Looks | None = None,
) -> State:
    """Go on where the run in the folder is, until its length, a signal or the deadline; all is saved then.

    The caller holds the folder's lock. `state` is the recipe's first one. Raises Lengthened where a gate has changed the
    recipe: all is saved then too, and the caller begins again with the new one.
    """
    recipe, folder = plan.recipe, plan.folder
    state, news = continued_state(folder, state, plan.changes, listener)
    following.tell_plan(plan)
    if plan.changes:
        settle(plan, state.seen)
        listener.say(f"{folder.path} goes on with {plan.changes}")
    if state.seen >= recipe.length:
        sentence = f"is complete: {state.seen:,} samples seen; --set length={2 * recipe.length} goes on"
        listener.say(f"{folder.path} {sentence}")
        with suppress(DiskError):  # a finished run may lie where nothing can be written
            Report(folder).write()
        return state
    if news:
        listener.say(news)
    share(state)
    for line in table(recipe, seen=state.seen) if recipe.growth is not None else []:
        listener.say(line)
    files.ask_for(folder.path, 2 * full_size(state, recipe) + SPARE)
    recorder = Recorder(folder, recipe, plan.dataset.facts.count, listener, lambda: bool(request), live, looks)
    recorder.begin(state.seen, news or f"begins on {state.device}")
    if plan.changes:
        recorder.event(state.seen, "settings", str(plan.changes))

    def stopping() -> bool:
        return deadline.near(recorder.closing()) or bool(request) or bool(recorder.flat)

    try:
        with request.noted():
            listener.begin(state.seen, recipe.length)
            deadline.begin()
            if live is not None:
                live.begin()
            if looks is not None:
                looks.begin()
            state = work(folder, recipe, state, data, recorder, stopping, policy)
            recorder.end(state.seen, *ending(state.seen >= recipe.length, request, recorder.flat))
    except Lengthened:
        recorder.end(state.seen, "end", "begins again with the longer phase")
        raise
    except GansakuError as error:
        recorder.end(state.seen, "stopped", str(error))
        raise
    finally:
        listener.end()
        recorder.close()
    if recorder.flat:
        listener.say(f"{recorder.flat}; the same command goes on to the next score")
    listener.say(f"{folder.path}: {state.seen:,} of {recipe.length:,} samples seen; see {folder.report}")
    return state


def ending(complete: bool, request: StopRequest, flat: str = "") -> tuple[str, str]:
    """The kind and the sentence of the event that ends an attempt."""
    if complete:
        return "end", "complete"
    if request.signal is not None:
        return "end", f"interrupted by {signal.Signals(request.signal).name}"
    return "end", flat or "the time was over"


def work(
    folder: Folder,
    recipe: Recipe,
    state: State,
    data: Data,
    recorder: Recorder,
    stop: Callable[[], bool],
    policy: Policy,
) -> State:
    """Train to the recipe's length, or until `stop`. Raises Stopped when numbers are not finite and the policy ends there.

    `rollback` goes back to the newest sound checkpoint with half the learning rates and other noise, three times.
    """
    while True:
        try:
            return train(state, recipe, data, [*agreeing(recipe), *recorder.watchers(state)], stop)
        except Stopped as error:
            if error.code != "NON_FINITE":
                raise
            recorder.event(state.seen, "non-finite", str(error))
            if policy == "stop":
                advice = "the last checkpoint is sound; try a lower learning rate, or --non-finite rollback"
                raise hopeless(error, advice) from None
            if state.rollbacks == ROLLBACKS:
                raise hopeless(error, f"so it was after {ROLLBACKS} rollbacks; the last checkpoint is sound") from None
            state = rolled_back(folder, recipe, state)
            share(state)
            recorder.rolled_back(state, str(error))


def agreeing(recipe: Recipe) -> list[Watcher]:
    """With many ranks: at every tick, and before the last checkpoint, that all have the same state. Raises Stopped."""

    def act(state: State, signals: Signals) -> None:
        with ranks.alone(False), ranks.heard():
            agree(state)

    return [Watcher(every(tick(recipe)), act)] if ranks.count() > 1 else []


def hopeless(error: Stopped, advice: str) -> Stopped:
    return Stopped(error.where, f"{error.sentence}; {advice}", error.code)


def rolled_back(folder: Folder, recipe: Recipe, bad: State) -> State:
    """The newest sound state, or the first one, to go on from with half the learning rates and other noise."""
    state = begin(recipe, bad.device)
    newest, _ = manifest.newest_sound(folder.checkpoints)
    if newest is not None:
        checkpoint.load(newest, state)
    state.rollbacks = bad.rollbacks + 1
    return state


def checked_policy(name: str) -> Policy:
    if name in POLICIES:
        return cast(Policy, name)
    raise UsageError("--non-finite", f"{name!r} is no policy; use {' or '.join(POLICIES)}", "POLICY")
