"""What a training will need, found out by a few of its own cycles."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple

import torch

from gansaku.contract import Phase
from gansaku.recipe import Recipe
from gansaku.runs.watchers import sheet_png
from gansaku.training.state import State, full_size
from gansaku.training.step import Data, by_batch, cycle

CYCLES = 3  # after one to warm up
POINTS = 64  # where the length is looked at for phases


class Trial(NamedTuple):
    """Measured on this machine: seconds of the whole training, bytes of memory at its peak, bytes of one checkpoint."""

    seconds: float
    memory: int
    checkpoint: int


def trial(recipe: Recipe, state: State, data: Data) -> Trial:
    """Train a few cycles of every phase, draw a sheet, and forget all of it. The state is not the one it was."""
    seconds = 0.0
    for phase, share in phases(recipe):
        cycle(at(state, recipe, phase), recipe, data)
        waited(state.device)
        started = time.perf_counter()
        for _ in range(CYCLES):
            cycle(at(state, recipe, phase), recipe, data)
        waited(state.device)
        each = (time.perf_counter() - started) / CYCLES
        seconds += share * recipe.length / (phase.batch * len(by_batch(recipe.cycle))) * each
    sheet_png(recipe, state, "")
    return Trial(seconds, peak(state.device), full_size(state, recipe))


def phases(recipe: Recipe) -> list[tuple[Phase, float]]:
    """The phases of different cost, and each one's share of the samples."""
    points = [recipe.phase(recipe.length * i // POINTS)._replace(fade=1.0) for i in range(POINTS)]
    return [(phase, points.count(phase) / POINTS) for phase in dict.fromkeys(points)]


def at(state: State, recipe: Recipe, phase: Phase) -> State:
    """The state, moved to a moment of this phase."""
    first = next(i for i in range(POINTS) if recipe.phase(recipe.length * i // POINTS)._replace(fade=1.0) == phase)
    state.seen = recipe.length * first // POINTS
    return state


def waited(device: torch.device) -> None:
    """Wait for a GPU to have done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device) -> int:
    """The most bytes this process has held: of the GPU's memory, else of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
