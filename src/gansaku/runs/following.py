"""What the ranks of a training do that do not lead it: as rank 0 says, and nothing of their own.

They open no run folder: recipe and state come from rank 0. Data they open themselves.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gansaku import __version__, ranks
from gansaku.data.batches import Batches
from gansaku.data.policy import Size
from gansaku.data.store import Dataset
from gansaku.data.streaming import Streamed
from gansaku.errors import GansakuError, RunError, Stopped
from gansaku.evaluation.samples import Stored
from gansaku.ranks import Order
from gansaku.recipe import Recipe, from_toml, to_toml
from gansaku.runs.folder import Folder
from gansaku.runs.live import Scoring, live
from gansaku.runs.opening import Plan, described
from gansaku.training.feed import feed
from gansaku.training.state import begin
from gansaku.training.step import cycle
from gansaku.training.together import agree, take


class Shared(NamedTuple):
    """What rank 0 tells of its plan."""

    recipe: str  # TOML
    name: str
    source: str  # of the data
    size: Size
    fingerprint: str  # of the data
    threads: int
    version: str
    folder: str  # the run's


def tell_plan(plan: Plan) -> None:
    """Tell the others what is to be trained, and wait until all have their data; nothing where there are none."""
    if ranks.count() == 1:
        return
    ranks.tell(Order.PLAN)
    recipe, data = plan.recipe, described(plan)
    version, threads = f"gansaku {__version__}, torch {torch.__version__}", torch.get_num_threads()
    ranks.tell_text(
        json.dumps(Shared(to_toml(recipe), recipe.name, data["source"], data["size"], data["fingerprint"], threads, version,
                          str(plan.folder.path)))
    )  # fmt: skip
    ranks.wait_for_all()


def follow(where: torch.device, open_data: Callable[[str, Size], Dataset], scoring: Scoring) -> tuple[Folder, Recipe]:
    """Do what rank 0 says until it says that this is the end. Returns the run's folder, which may be another machine's.

    Raises a GansakuError where this rank cannot take part, or rank 0 has ended before there was anything to do.
    """
    recipe = state = data = watching = None
    folder = ""
    while (order := ranks.told()) != Order.END:
        if order == Order.PLAN:
            recipe, dataset, folder = taken_plan(open_data)
            data = feed(batches(dataset, recipe, where), recipe)
            watching = live(scoring, recipe, Stored(dataset), where)
            ranks.wait_for_all()
            continue
        assert recipe is not None
        if order == Order.STATE:
            state = begin(recipe, where)
            take(state)
            continue
        assert state is not None
        if order == Order.CYCLE:
            assert data is not None
            cycle(state, recipe, data)
        elif order == Order.AGREE:
            agree(state)
        elif order == Order.SCORE:
            assert watching is not None
            for sentence in watching.help(state):
                print(f"[rank{ranks.mine()}]: {sentence}", file=sys.stderr, flush=True)  # as torch names them
    if recipe is None:
        raise Stopped(f"rank {ranks.mine()}", "rank 0 has ended before the training; what it said stands above", ranks.LOST)
    return Folder(Path(folder)), recipe


def taken_plan(open_data: Callable[[str, Size], Dataset]) -> tuple[Recipe, Dataset, str]:
    """Rank 0's recipe, its data as this rank sees them, and the run's folder. Raises RunError where they are not the same."""
    given: list[Any] = json.loads(ranks.tell_text())
    size = tuple(given[3]) if isinstance(given[3], list) else given[3]
    plan, me = Shared(*given)._replace(size=size), f"rank {ranks.mine()}"
    mine = f"gansaku {__version__}, torch {torch.__version__}"
    if plan.version != mine:
        raise RunError(me, f"has {mine}, and rank 0 has {plan.version}; install the same on all machines", "RANKS_DIFFER")
    torch.set_num_threads(plan.threads)
    try:
        dataset = open_data(plan.source, plan.size)
    except GansakuError as error:
        raise RunError(me, f"has no such data: {error}; all machines need them", "RANKS_DATA") from error
    if dataset.fingerprint != plan.fingerprint:
        sentence = f"finds other data than rank 0 in {plan.source} ({dataset.facts.count:,} samples)"
        raise RunError(me, f"{sentence}; bring the same to all machines, or prepare one .h5 and copy it", "RANKS_DATA")
    return from_toml(plan.recipe).but(name=plan.name), dataset, plan.folder


def batches(dataset: Dataset, recipe: Recipe, where: torch.device) -> Batches:
    """The training's batches, the same on all ranks."""
    kind = Batches if dataset.stream is None else Streamed
    return kind(dataset, recipe.seed, device=where, channels_last=recipe.fast == "all", mirror=recipe.mirror)
