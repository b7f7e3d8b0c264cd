"""Fine-tuning: another run's recipe for other data, and what the new run says of where it began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gansaku.data.store import Facts
from gansaku.errors import RecipeError, RunError
from gansaku.parts import encode
from gansaku.recipe import Recipe
from gansaku.recipes import registry
from gansaku.runs import manifest
from gansaku.runs.run import Run
from gansaku.schedules import EMA
from gansaku.training.state import State
from gansaku.training.transfer import adopt

CLASSES = ("classes", "label_planes")  # what networks call their number
SHARE = 0.05  # of the new run: the longest half-life of its weight average


def tuned(recipe: Recipe, facts: Facts) -> Recipe:
    """The recipe for other data of the same shape: their number of classes, a length as its name has it for them.

    The weight average goes on from the one that is taken over, so it does not begin short; its half-life is at most a
    twentieth of the run. Raises RunError for data of another shape, or without the classes that it was trained with.
    """
    if facts.shape != recipe.shape:
        sentence = f"was trained on {recipe.shape}, and {facts.name} is {facts.shape}; --size or another model may do"
        raise RunError("--from", sentence, "SHAPE")
    settings: dict[str, Any] = {"length": own_length(recipe, facts), "batch": min(recipe.batch, facts.count)}
    if recipe.classes:
        if len(facts.classes) < 2:
            raise RunError("--from", f"was trained with {recipe.classes} classes, and {facts.name} has none", "CLASSES")
        settings |= dict.fromkeys(paths_of_classes(encode(recipe), recipe.classes), len(facts.classes))
    average = recipe.generator.ema
    if isinstance(average, EMA):
        half_life = min(average.half_life, max(1.0, SHARE * settings["length"]))
        settings["generator.ema"] = EMA(half_life, share=1e9)
    return recipe.but(settings)


def own_length(recipe: Recipe, facts: Facts) -> int:
    """How long the recipe of this name would be for these data; as long as it was where nothing has its name."""
    try:
        return registry.find(recipe.name, facts).length
    except RecipeError:
        return recipe.length


def paths_of_classes(content: Mapping[str, Any], classes: int, where: str = "") -> list[str]:
    """Where a recipe says how many classes there are."""
    found = []
    for key, value in content.items():
        path = f"{where}.{key}" if where else key
        if key in CLASSES and value == classes:
            found.append(path)
        elif isinstance(value, Mapping):
            found += paths_of_classes(value, classes, path)
    return found


def taken_over(state: State, source: Run) -> list[str]:
    """Put the other run's weights into a fresh state. Returns what is to be told of each player.

    Raises RunError where the generators share less than half.
    """
    found, told = adopt(state, source.state()), []
    whole = sum(value.numel() for value in state.nets["generator"].state_dict().values())
    if found["generator"].numbers < whole / 2:
        raise RunError("--from", f"{source.path} has a generator of another kind; use its recipe, or none of its own", "FROM")
    for player, taken in found.items():
        new = f"; new: {', '.join(taken.left[:4])}{' …' if len(taken.left) > 4 else ''}" if taken.left else ""
        told.append(f"{player}: {taken.numbers:,} numbers from {source.path}{new}")
    return told


def origin(source: Run) -> dict[str, Any]:
    """What run.json says of it."""
    about = source.folder.read_about()
    seen = manifest.seen(manifest.at(source.folder.checkpoints, source.at))
    return {"run": about.get("name", source.path.name), "id": about.get("id", ""), "seen": seen}


def check_origin(about: Mapping[str, Any], source: Run) -> None:
    """Raises RunError where a run that goes on began otherwise."""
    began = about.get("from")
    if began is None or began["id"] != origin(source)["id"]:
        what = "with new weights" if began is None else f"from {began['run']}"
        raise RunError("--from", f"this run began {what}, and goes on; name another --run, or leave out --from", "FROM")
