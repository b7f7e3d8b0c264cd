"""What signals cost: the step's own numbers at every tick, and one look beside one cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from unittest.mock import patch

import torch
from torch import Tensor

from gansaku.contract import Phase, Piece
from gansaku.draws import Rows
from gansaku.extractors import registry as extractors
from gansaku.health import registry
from gansaku.health.asking import Real
from gansaku.health.looking import Looker
from gansaku.health.updates import weights
from gansaku.networks.blocks import CHANNELS_LAST
from gansaku.recipe import Recipe
from gansaku.runs import watchers
from gansaku.training.loop import Watcher
from gansaku.training.state import State, begin
from gansaku.training.step import Data, cycle

from .measure import Work
from .ours import facts, real_batch

TICK = 10  # cycles: a run of 2,000


def fed(recipe: Recipe) -> Data:
    """One fixed batch, as the store hands it over."""
    real, labels = real_batch(recipe), torch.zeros(recipe.batch, dtype=torch.long)
    if recipe.fast == "all":
        real = real.contiguous(memory_format=CHANNELS_LAST[len(recipe.shape) - 1])

    def data(seen: int, phase: Phase) -> list[Piece]:
        return [Piece(Rows(0, recipe.batch, recipe.batch), real, labels, {})]

    return data


def ticking(recipe: Recipe, updates: bool) -> Work:
    """TICK cycles, with what a run notes of each and reads at the tick; with how far the weights moved, or without."""
    recipe = recipe.but(length=200 * TICK * recipe.batch)
    state, data = begin(recipe), fed(recipe)
    noting = watchers.recording(recipe, 0, lambda seen, numbers: None, start=weights(state) if updates else None)
    run = within(state, recipe, data, noting)

    def without() -> object:
        with patch.object(watchers, "weights", lambda state: {}):
            return run()

    return run if updates else without


def within(state: State, recipe: Recipe, data: Data, noting: list[Watcher]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(TICK):
            before = state.seen
            signals = cycle(state, recipe, data)
            for watcher in noting:
                if watcher.due(before, state.seen):
                    watcher.act(state, signals)

    return run


def look(recipe: Recipe) -> tuple[Work, Work]:
    """All signals once on noise, and one cycle of the same recipe."""
    state, data = begin(recipe), fed(recipe)
    samples = torch.rand((512, *recipe.shape), generator=torch.Generator().manual_seed(0)) * 2 - 1

    def source(seen: int, start: int, stop: int) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        rows = torch.arange(seen + start, seen + stop) % len(samples)
        return samples[rows], torch.zeros(len(rows), dtype=torch.long), {}

    name, real = f"random-{len(recipe.shape) - 1}d", Real(source, len(samples))
    extractor = extractors.find(name, None, "fp32", torch.device("cpu"), facts(recipe.shape).shape)
    looker = Looker(recipe, real, real, extractor, registry.known())
    looker.prepare(state)
    return lambda: looker.numbers(state), lambda: cycle(state, recipe, data)
