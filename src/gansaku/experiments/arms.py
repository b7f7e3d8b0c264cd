"""The recipes of a plan's arms, held to what a fair comparison needs: they differ by what was declared, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from gansaku.data.store import Facts
from gansaku.errors import RecipeError, UsageError
from gansaku.experiments.plan import RECIPE, Arm, Plan
from gansaku.parts import Change, difference
from gansaku.recipe import Recipe
from gansaku.recipes import registry


def recipes(plan: Plan, facts: Facts) -> dict[str, Recipe]:
    """Every arm's recipe for these data, by the arm's name. Raises RecipeError naming the arm, UsageError for unfair plans."""
    found = {}
    for arm in plan.arms:
        try:
            found[arm.name] = recipe_of(plan, arm, facts, plan.seeds[0])
        except RecipeError as error:
            raise RecipeError(f"{arm.name}: {error.where}", error.sentence, error.code) from None
    check_fair(plan, found)
    return found


def recipe_of(plan: Plan, arm: Arm, facts: Facts, seed: int) -> Recipe:
    """An arm's recipe at a seed."""
    changes = dict(arm.changes)
    base = registry.find(str(changes.pop(RECIPE, plan.recipe)), facts)
    return base.but({**plan.settings, **changes, "seed": seed})


def check_fair(plan: Plan, found: Mapping[str, Recipe]) -> None:
    """Raises UsageError where arms would see different numbers of samples by themselves, or are all alike."""
    lengths = {recipe.length: name for name, recipe in found.items()}
    declared = any("length" in arm.changes for arm in plan.arms)
    if len(lengths) > 1 and plan.budget is None and not declared:
        told = " and ".join(f"{name} {length:,}" for length, name in lengths.items())
        raise UsageError(
            "length", f"arms would see different numbers of samples ({told}); --set length=N gives all the same", "UNFAIR"
        )
    for (name, recipe), (other, like) in itertools.combinations(found.items(), 2):
        if recipe.but(name="") == like.but(name=""):
            raise UsageError(other, f"is the same recipe as {name}: the change changes nothing", "UNFAIR")


def differences(plan: Plan, found: Mapping[str, Recipe]) -> dict[str, list[Change]]:
    """What every arm but the first has otherwise than the first, by its name."""
    first, *others = [(arm.name, found[arm.name]) for arm in plan.arms]
    return {name: [c for c in difference(first[1], recipe) if c.path != "name"] for name, recipe in others}
