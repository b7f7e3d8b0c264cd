"""A training from its first cycle to its last: stopping in time, and what happens when numbers go bad."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from gansaku.errors import Stopped, UsageError
from gansaku.recipe import Recipe
from gansaku.runs import checkpoint, manifest
from gansaku.runs.folder import Folder
from gansaku.runs.recorder import Recorder
from gansaku.training.loop import train
from gansaku.training.state import State, begin
from gansaku.training.step import Data

Policy = Literal["stop", "rollback"]
POLICIES: tuple[str, ...] = get_args(Policy)
ROLLBACKS = 3


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

    def begin(self) -> None:
        """The first cycle begins now."""
        self._last = time.monotonic()


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
            return train(state, recipe, data, recorder.watchers(state.seen), stop)
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
            recorder.rolled_back(state, str(error))


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
