"""From the batches of a dataset to the pieces of a step: my rank's rows, in micro-batches, at the phase's size."""

from __future__ import annotations

from gansaku import ranks
from gansaku.contract import Phase, Piece
from gansaku.data.batches import Batches, shrink
from gansaku.draws import Rows
from gansaku.errors import RecipeError
from gansaku.recipe import Recipe
from gansaku.training.step import Data


def feed(batches: Batches, recipe: Recipe) -> Data:
    """The step's data: a pure function of the samples seen. Raises RecipeError where a batch cannot be made.

    A batch may not be larger than the dataset (a sample would come twice in it), and divides by the ranks.
    """
    there, wanted, processes = batches.order.count, recipe.phase(0).batch, ranks.count()
    if wanted > there:
        raise RecipeError("batch", f"{wanted} is more than the {there} training samples; use {there} or less", "BATCH")
    if wanted % processes:
        raise RecipeError("batch", f"{wanted} does not divide by {processes} processes", "BATCH")

    def data(seen: int, phase: Phase) -> list[Piece]:
        share = phase.batch // ranks.count()
        first, last = ranks.mine() * share, (ranks.mine() + 1) * share
        return [piece(seen, phase, start, min(start + phase.micro, last)) for start in range(first, last, phase.micro)]

    def piece(seen: int, phase: Phase, start: int, stop: int) -> Piece:
        real, labels, columns = batches(seen, start, stop)
        return Piece(Rows(start, stop, phase.batch), shrink(real, phase.size), labels, columns)

    return data
