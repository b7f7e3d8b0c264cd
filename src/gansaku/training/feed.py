"""From the batches of a dataset to the pieces of a step: my rank's rows, in micro-batches, at the phase's size."""

from __future__ import annotations

from gansaku import ranks
from gansaku.contract import Phase, Piece
from gansaku.data.batches import Batches, shrink
from gansaku.data.streaming import Streamed
from gansaku.draws import Rows
from gansaku.errors import RecipeError
from gansaku.recipe import Recipe
from gansaku.schedules import Levels
from gansaku.training.step import Data


def check_shares(recipe: Recipe, parts: int, what: str = "processes") -> None:
    """Raises RecipeError where a batch of the recipe cannot be cut into as many equal parts."""
    levels = recipe.growth.levels if isinstance(recipe.growth, Levels) else ()
    for wanted in sorted({recipe.batch, recipe.phase(0).batch, *[level.batch for level in levels]} - {0}):
        if wanted % parts:
            near = [n for n in (wanted - wanted % parts, wanted + parts - wanted % parts) if n]
            advice = f"use {' or '.join(map(str, near))}, or another number of {what.split()[0]}"
            raise RecipeError("batch", f"{wanted} does not divide by {parts} {what}; {advice}", "BATCH")


def feed(batches: Batches, recipe: Recipe) -> Data:
    """The step's data: a pure function of the samples seen. Raises RecipeError where a batch cannot be made.

    A batch may not be larger than the dataset (a sample would come twice in it), and divides by the ranks.
    """
    there, wanted = batches.count, recipe.phase(0).batch
    if wanted > there:
        raise RecipeError("batch", f"{wanted} is more than the {there} training samples; use {there} or less", "BATCH")
    check_shares(recipe, ranks.count())
    if isinstance(batches, Streamed):
        check_shares(recipe, batches.lanes.count, "lanes of the streamed data")

    def data(seen: int, phase: Phase) -> list[Piece]:
        share = phase.batch // ranks.count()
        first, last = ranks.mine() * share, (ranks.mine() + 1) * share
        return [piece(seen, phase, start, min(start + phase.micro, last)) for start in range(first, last, phase.micro)]

    def piece(seen: int, phase: Phase, start: int, stop: int) -> Piece:
        real, labels, columns = batches(seen, start, stop, phase.batch)
        return Piece(Rows(start, stop, phase.batch), shrink(real, phase.size), labels, columns)

    return data
