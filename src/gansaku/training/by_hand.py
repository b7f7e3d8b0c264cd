"""Training from a script of one's own, batch by batch, without a run folder."""

from __future__ import annotations

import torch
from torch import Tensor

from gansaku.contract import Piece, Rows
from gansaku.errors import RecipeError
from gansaku.recipe import Recipe
from gansaku.sampling import sample
from gansaku.training.state import State, begin
from gansaku.training.step import by_batch, follow_all, play_batch, start_cycle


class Trainer:
    """A recipe and its state. `train_on_batch` plays the moves that the next batch is for.

    With the usual order that is one discriminator step and one generator step; with five critic steps to one of the
    generator, the generator moves at every fifth call.
    """

    def __init__(self, recipe: Recipe, device: str | torch.device = "cpu"):
        self.recipe, self.state = recipe, begin(recipe, device)
        self._waiting = by_batch(recipe.cycle)
        self._before = 0

    @property
    def generator(self) -> torch.nn.Module:
        """The generator whose samples to show: the weight average where the recipe has one."""
        return shown_generator(self.state)

    def train_on_batch(self, real: Tensor, labels: Tensor | None = None) -> dict[str, float]:
        """Train on real (N, C, *S) in [-1, 1] with labels (N,). N is the recipe's batch. Returns the signals' means."""
        recipe, state = self.recipe, self.state
        expected = (recipe.phase(state.seen).batch, *recipe.shape)
        if tuple(real.shape) != expected:
            raise RecipeError("train_on_batch", f"got samples {tuple(real.shape)}; the recipe takes {expected}", "SHAPE")
        if len(self._waiting) == len(by_batch(recipe.cycle)):
            self._before = state.seen
        phase = start_cycle(state, recipe)
        real = real.to(state.device)
        labels = torch.zeros(len(real), dtype=torch.long) if labels is None else labels
        piece = Piece(Rows(0, len(real), len(real)), real, labels.to(state.device), {})
        signals = play_batch(state, recipe, phase, self._waiting.pop(0), [piece])
        if not self._waiting:
            follow_all(state, recipe, self._before)
            self._waiting = by_batch(recipe.cycle)
        return {name: value.item() for name, value in signals.items()}

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n samples (n, C, *S) in [-1, 1]; sample i depends on the weights, the seed and i alone."""
        return sample(self.generator, self.recipe, range(n), seed)


def shown_generator(state: State) -> torch.nn.Module:
    """The generator whose samples to show: the weight average where there is one."""
    return state.ema.get("generator", state.nets["generator"])
