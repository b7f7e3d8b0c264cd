"""Training from a script of one's own, batch by batch, without a run folder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gansaku.contract import Piece
from gansaku.data.batches import shrink
from gansaku.draws import Rows
from gansaku.errors import RecipeError, Stopped
from gansaku.recipe import Recipe
from gansaku.sampling import sample
from gansaku.training.state import State, begin, diagnosed
from gansaku.training.step import averaged, by_batch, follow_all, play_batch, start_cycle


class Trainer:
    """A recipe and its state. `train_on_batch` plays the moves that the next batch is for.

    With the usual order that is one discriminator step and one generator step; with five critic steps to one of the
    generator, the generator moves at every fifth call.
    """

    def __init__(self, recipe: Recipe, device: str | torch.device = "cpu"):
        self.recipe, self.state = recipe, begin(recipe, device)
        self._waiting = by_batch(recipe.cycle)
        self._before, self._phase = 0, recipe.phase(0)

    @property
    def generator(self) -> torch.nn.Module:
        """The generator whose samples to show: the weight average where the recipe has one."""
        return shown_generator(self.state)

    def train_on_batch(
        self, real: Tensor, labels: Tensor | None = None, columns: Mapping[str, Tensor] | None = None
    ) -> dict[str, float]:
        """Train on real (N, C, *S) in [-1, 1] with labels and columns (N,). N is the recipe's batch.

        Returns the signals' means. Raises Stopped once a number is not finite; the weights are those before it then.
        """
        recipe, state = self.recipe, self.state
        expected = (recipe.phase(state.seen).batch, *recipe.shape)
        if tuple(real.shape) != expected:
            raise RecipeError("train_on_batch", f"got samples {tuple(real.shape)}; the recipe takes {expected}", "SHAPE")
        if len(self._waiting) == len(by_batch(recipe.cycle)):
            self._before = state.seen
            self._phase = start_cycle(state, recipe)
        if labels is None and recipe.classes:
            raise RecipeError("train_on_batch", f"the recipe has {recipe.classes} classes; give labels (N,)", "LABELS")
        real = shrink(real.to(state.device), self._phase.size)
        labels = torch.zeros(len(real), dtype=torch.long) if labels is None else labels
        pieces = split(real, labels.to(state.device), columns or {}, self._phase.micro)
        with torch.random.fork_rng(devices=[]):  # the script's own random numbers are its own
            signals = averaged(play_batch(state, recipe, self._phase, self._waiting.pop(0), pieces))
        if not self._waiting:
            follow_all(state, recipe, self._before)
            self._waiting = by_batch(recipe.cycle)
        if self.state.sentinel.bad.item():
            found = diagnosed(self.state)
            assert found is not None
            raise Stopped(found.name, found.sentence(), "NON_FINITE")
        values = torch.stack(list(signals.values())).tolist()
        return dict(zip(signals, values, strict=True))

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n samples (n, C, *S) in [-1, 1]; sample i depends on the weights, the seed and i alone."""
        return sample(self.generator, self.recipe, range(n), seed, phase=self.recipe.phase(self.state.seen))


def split(real: Tensor, labels: Tensor, columns: Mapping[str, Tensor], micro: int) -> list[Piece]:
    """A whole batch as pieces of `micro` samples."""
    ends = [(start, min(start + micro, len(real))) for start in range(0, len(real), micro)]
    return [
        Piece(
            Rows(start, stop, len(real)),
            real[start:stop],
            labels[start:stop],
            {name: column[start:stop].to(real.device) for name, column in columns.items()},
        )
        for start, stop in ends
    ]


def shown_generator(state: State) -> torch.nn.Module:
    """The generator whose samples to show: the weight average where there is one."""
    return state.ema.get("generator", state.nets["generator"])
