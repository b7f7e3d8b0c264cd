"""What the discriminator says now of training samples, held-out samples and fakes, asked of a copy.

Batch norm follows its means and spectral norm turns its vectors even where no gradient flows: so the networks are copied,
and so is what the parts remember.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from gansaku.contract import Fakes, Phase, Piece, Signals, Turn
from gansaku.data.batches import shrink
from gansaku.draws import Draw, Rows
from gansaku.health.contract import Outputs, Reading
from gansaku.recipe import Recipe
from gansaku.training.precision import autocast
from gansaku.training.state import State

ASKED = 64  # samples of each kind at least, where there are so many

Source = Callable[[int, int, int], tuple[Tensor, Tensor, Mapping[str, Tensor]]]
"""Real samples, labels and columns as `data.batches.Batches` gives them: rows start to stop of what comes after `seen`."""


class Real(NamedTuple):
    """Where real samples come from, in an order of their own, and how many there are."""

    source: Source
    there: int

    def piece(self, seen: int, n: int, phase: Phase) -> Piece:
        """n samples after so many, of the phase's size."""
        x, labels, columns = self.source(seen, 0, n)
        return Piece(Rows(0, n, n), shrink(x, phase.size), labels, columns)


@torch.no_grad()
def outputs(state: State, recipe: Recipe, train: Real, held_out: Real | None, first: int) -> Outputs | None:
    """D's numbers as its own step would see them: in training mode, its precision, on fakes of the raw generator.

    Samples come in batches as large as the step's, as far as there are so many held out, since layers that look across
    the batch see it; real ones from the place `first` of their order. None where the method's signals have no `real` and
    `fake`.
    """
    nets = {name: copy.deepcopy(net) for name, net in state.nets.items()}
    memory = {name: value.clone() for name, value in state.memory.items()}
    phase, kinds = recipe.phase(state.seen), [train] if held_out is None else [train, held_out]
    least = min(kind.there for kind in kinds)
    batch = min(phase.micro, least)
    said: list[tuple[Tensor, ...]] = []
    for i in range(max(1, min(-(-ASKED // batch), least // batch))):
        pieces = [kind.piece(first + i * batch, batch, phase) for kind in kinds]
        draw = Draw(state.noise(recipe), state.turns + i, pieces[0].rows, pieces[0].real)
        turn = Turn(recipe, "discriminator", state.moves["discriminator"], state.seen, phase, pieces[0], nets, memory, draw)
        deal(turn, phase)
        found = judged(turn)
        if found is None:
            return None
        numbers = [found["real"], found["fake"]]
        for piece in pieces[1:]:
            piece.fakes, piece.fake_labels = turn.piece.fakes, turn.piece.fake_labels
            same = {which: verdict for which, verdict in turn.verdicts.items() if which[0] == "fake"}
            other = judged(dataclasses.replace(turn, piece=piece, verdicts=same, notes={}))
            assert other is not None
            numbers.append(other["real"])
        said.append(tuple(numbers))
    joined = [torch.cat(parts).cpu() for parts in zip(*said, strict=True)]
    reading: Reading = "own" if recipe.loss is None else recipe.loss.reading
    boundary = 0.0 if recipe.loss is None else recipe.loss.boundary
    return Outputs(joined[0], joined[1], joined[2] if held_out is not None else None, reading, boundary)


def deal(turn: Turn, phase: Phase) -> None:
    """Fakes of the raw generator for the turn's piece, with new latents, in the mode that it trains in."""
    recipe, piece, labels = turn.recipe, turn.piece, turn.labels
    if recipe.fake_labels == "uniform":
        labels = (turn.draw.uniform("labels") * max(1, recipe.classes)).to(labels.dtype)

    def make(i: int, graph: bool) -> Tensor:
        z = recipe.latent.sample(turn.draw, f"latent{i}")
        with autocast(recipe, piece.real):
            made: Tensor = turn.nets["generator"](z, labels, phase)
        return made.to(piece.real.dtype)

    piece.fakes, piece.fake_labels = Fakes(make, graph=False), labels


def judged(turn: Turn) -> Signals | None:
    """(n,) each: what the method says of the `real` and the `fake` samples of D's turn; None if it says it of neither."""
    with autocast(turn.recipe, turn.real):
        found = turn.recipe.method.signals(turn)
    return {which: found[which].float() for which in ("real", "fake")} if {"real", "fake"} <= found.keys() else None
