"""Takes looks at a training, without touching it.

The generator that is shown is used in evaluation mode, as for sheets; what else is used is a copy (see `asking`). Of many
ranks, the one that looks does so by itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gansaku import ranks
from gansaku.contract import Phase
from gansaku.extractors.contract import Extractor
from gansaku.health.asking import Real, outputs
from gansaku.health.contract import Look, Nudge, Signal
from gansaku.keys import generator, key
from gansaku.metrics.contract import Side
from gansaku.recipe import Recipe
from gansaku.sampling import class_grid, generate, latents, quantized, sample
from gansaku.training.by_hand import shown_generator
from gansaku.training.state import State

SAMPLES = 64  # of each kind: a block of the generator
REFERENCE = 256  # real samples that stand for the data
SEED = 0  # of the latents: the samples are those of the sheets
NUDGED = 16  # latents that are moved
STEP = 0.01  # how far, as a share of a latent's usual length
CLASSES = 16  # that are looked at, with four samples each


class Looker:
    """Makes all signals that fit a recipe. `held_out` are samples that no training sees, where there are any."""

    def __init__(
        self, recipe: Recipe, train: Real, held_out: Real | None, extractor: Extractor | None, signals: tuple[Signal, ...]
    ):
        self.recipe, self._train, self._held_out, self._extractor = recipe, train, held_out, extractor
        self.signals = tuple(signal for signal in signals if self._serves(signal))
        self._references: dict[Signal, Any] = {}
        self._size: tuple[int, ...] = ()

    def _serves(self, signal: Signal) -> bool:
        there = {"features": self._extractor is not None, "outputs": True, "held_out": self._held_out is not None,
                 "classes": self.recipe.classes > 0}  # fmt: skip
        return len(self.recipe.shape) - 1 in signal.dimensions and all(there[need] for need in signal.needs)

    def prepare(self, state: State) -> None:
        """What signals need to know of the data at this size of the samples; nothing where it is known already."""
        phase = self.recipe.phase(state.seen)
        if phase.size == self._size:
            return
        piece = self._train.piece(0, min(REFERENCE, self._train.there), phase)
        real, shape = self._side(piece.real, piece.labels), (self.recipe.shape[0], *phase.size)
        self._references = {signal: signal.reference(real) for signal in self.signals if signal.fits(shape)}
        self._size = phase.size

    def numbers(self, state: State) -> tuple[dict[str, float], list[str]]:
        """All signals' numbers now, and a sentence for each signal that failed: one does not take the others with it."""
        self.prepare(state)
        found: dict[str, float] = {}
        problems = []
        look = self.look(state)
        for signal, reference in self._references.items():
            if look.outputs is None and {"outputs", "held_out"} & set(signal.needs):
                continue
            try:
                found |= {name: float(value) for name, value in signal(look, reference).items()}
            except Exception as error:  # a user's own may raise anything
                problems.append(f"signal {type(signal).__name__}: {type(error).__name__}: {error}")
        return found, problems

    @torch.no_grad()
    def look(self, state: State) -> Look:
        """What there is to see of a state now; of the same state always the same."""
        recipe, phase, first = self.recipe, self.recipe.phase(state.seen), state.seen + REFERENCE
        with ranks.alone(), torch.random.fork_rng([state.device] if state.device.type == "cuda" else []):
            torch.manual_seed(key("look", recipe.seed, state.turns))
            real = self._train.piece(first, min(SAMPLES, self._train.there), phase)
            shown = shown_generator(state)
            fake = sample(shown, recipe, range(SAMPLES), SEED, phase=phase)
            return Look(
                fake=fake,
                generated=self._side(fake, torch.arange(SAMPLES) % max(1, recipe.classes)),
                real=self._side(real.real, real.labels),
                nudge=nudged(shown, recipe, phase),
                outputs=outputs(state, recipe, self._train, self._held_out, first),
                by_class=self._by_class(shown, phase),
            )

    def _side(self, x: Tensor, labels: Tensor) -> Side:
        x = x.cpu().float()
        stored = x.gt(0).to(torch.uint8) if x.ndim == 5 else quantized(x)
        features = self._extractor(stored).features if self._extractor is not None else None
        return Side(len(stored), features, None, stored, labels.cpu() if self.recipe.classes else None)

    def _by_class(self, shown: nn.Module, phase: Phase) -> Side | None:
        """Four of each class that is looked at; None where samples of all classes in turn have as many of each."""
        classes, each = self.recipe.classes, SAMPLES // CLASSES
        if classes <= CLASSES:
            return None
        labels = [i * classes // CLASSES for i in range(CLASSES)]
        grid = class_grid(shown, self.recipe, labels, each, SEED, phase=phase)
        return self._side(grid.flatten(0, 1), torch.tensor(labels).repeat_interleave(each))


def nudged(shown: nn.Module, recipe: Recipe, phase: Phase) -> Nudge:
    """Some latents and the same moved by STEP of their usual length in random directions, in one pass."""
    z = latents(shown, recipe, SEED, 0)
    spread, few = z.var(0).sum().sqrt(), z[:NUDGED]
    way = torch.randn(few.shape, generator=generator("nudge", *few.shape)).to(few)
    moved = few + STEP * spread * way / way.norm(dim=1, keepdim=True)
    labels = (torch.arange(NUDGED, device=z.device) % max(1, recipe.classes)).repeat(2)
    made = generate(shown, torch.cat([few, moved]), labels, phase)
    return Nudge(made[: len(few)], made[len(few) :], (moved - few).norm(dim=1).cpu(), spread.cpu())
