"""The training loop: order and timing only. Saving, sampling, logging and alarms are watchers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gansaku import ranks
from gansaku.contract import Signals
from gansaku.ranks import Order
from gansaku.recipe import Recipe
from gansaku.training.state import State
from gansaku.training.step import Data, cycle

Moments = Callable[[int, int], bool]
"""Whether something is due, by the samples seen before and after a cycle."""


class Watcher(NamedTuple):
    """Call `act` when due, and once at the end."""

    due: Moments
    act: Callable[[State, Signals], None]


def every(samples: int) -> Moments:
    """Each time another so many samples have been seen."""
    return lambda before, after: after // samples > before // samples


def at(moments: Sequence[int]) -> Moments:
    """Once after each of these numbers of samples."""
    return lambda before, after: any(before < moment <= after for moment in moments)


def always(before: int, after: int) -> bool:
    """After every cycle."""
    return True


def train(
    state: State,
    recipe: Recipe,
    data: Data,
    watchers: Iterable[Watcher] = (),
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Train until `recipe.length` real samples have been seen, or until `stop` says so between two cycles.

    Of many ranks this is what rank 0 does; the others follow (`gansaku.runs.following`). It watches by itself: nothing that
    a watcher computes waits for another rank, unless it says so.
    """
    watchers = list(watchers)
    while state.seen < recipe.length:
        before = state.seen
        with ranks.heard():
            ranks.tell(Order.CYCLE)
            signals = cycle(state, recipe, data)
        with ranks.alone():
            done = state.seen >= recipe.length or stop()
            for watcher in watchers:
                if done or watcher.due(before, state.seen):
                    watcher.act(state, signals)
        if done:
            break
    return state
