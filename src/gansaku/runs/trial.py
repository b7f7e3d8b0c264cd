"""What a training will need, found out by a few of its own cycles."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple

import torch

from gansaku.recipe import Recipe
from gansaku.runs.phases import Cost, Span, spans
from gansaku.runs.watchers import sheet_png
from gansaku.training.state import State, full_size
from gansaku.training.step import Data, by_batch, cycle

CYCLES = 3  # after one to warm up
LONG = 10.0  # seconds of a cycle beside which warming up is nothing


class Trial(NamedTuple):
    """Measured on this machine: seconds of the whole training, bytes of memory at its peak, bytes of one checkpoint.

    And of each phase: one where nothing grows.
    """

    seconds: float
    memory: int
    checkpoint: int
    phases: dict[Span, Cost]


def trial(recipe: Recipe, state: State, data: Data) -> Trial:
    """Train a few cycles of every phase, draw a sheet, and forget all of it. The state is not the one it was."""
    costs: dict[Span, Cost] = {}
    for span in spans(recipe):
        each = seconds_each(recipe, state, data, (span.start + span.stop) // 2)
        cycles = span.samples / (span.batch * len(by_batch(recipe.cycle)))
        costs[span] = Cost(cycles * each, peak(state.device))
    sheet_png(recipe, state, "")
    return Trial(sum(cost.seconds for cost in costs.values()), peak(state.device), full_size(state, recipe), costs)


def seconds_each(recipe: Recipe, state: State, data: Data, seen: int) -> float:
    """Seconds of one cycle after so many samples: the mean of a few."""

    def timed(cycles: int) -> float:
        started = time.perf_counter()
        for _ in range(cycles):
            state.seen = seen
            cycle(state, recipe, data)
        if state.device.type == "cuda":
            torch.cuda.synchronize(state.device)  # until it has done what it was asked for
        return (time.perf_counter() - started) / cycles

    first = timed(1)
    return first if first > LONG else timed(CYCLES)


def peak(device: torch.device) -> int:
    """The most bytes this process has held: of the GPU's memory, else of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
