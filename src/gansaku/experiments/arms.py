"""The recipes of a plan's arms, held to what a fair comparison needs: they differ by what was declared, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from gansaku.data.store import Facts
from gansaku.errors import RecipeError, UsageError
from gansaku.experiments.plan import BUDGET, FROM, NOTHING, RECIPE, Arm, Plan, budget_of, start_of
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
    changes = {path: value for path, value in arm.changes.items() if path not in (BUDGET, FROM)}
    base = registry.find(str(changes.pop(RECIPE, plan.recipe)), facts)
    return base.but({**plan.settings, **changes, "seed": seed})


def check_fair(plan: Plan, found: Mapping[str, Recipe]) -> None:
    """Raises UsageError where arms would see different numbers of samples by themselves, or are all alike."""
    lengths = {recipe.length: name for name, recipe in found.items()}
    declared = any({"length", BUDGET} & arm.changes.keys() for arm in plan.arms)
    if len(lengths) > 1 and plan.budget is None and not declared:
        told = " and ".join(f"{name} {length:,}" for length, name in lengths.items())
        raise UsageError(
            "length", f"arms would see different numbers of samples ({told}); --set length=N gives all the same", "UNFAIR"
        )
    for (name, recipe), (other, like) in itertools.combinations(found.items(), 2):
        one, two = (arm for arm in plan.arms if arm.name in (name, other))
        if recipe.but(name="") == like.but(name="") and not beside(plan, one, two):
            raise UsageError(other, f"is the same recipe as {name}: the change changes nothing", "UNFAIR")


def beside(plan: Plan, a: Arm, b: Arm) -> list[Change]:
    """How two arms differ in what no recipe tells."""
    pairs = ((BUDGET, budget_of(plan, a), budget_of(plan, b)), (FROM, start_of(a) or NOTHING, start_of(b) or NOTHING))
    return [Change(path, before, after) for path, before, after in pairs if before != after]


def differences(plan: Plan, found: Mapping[str, Recipe]) -> dict[str, list[Change]]:
    """What every arm but the first has otherwise than the first, by its name; `found` has the recipes of the plan's arms."""
    own = {arm.name: arm for arm in plan.arms}
    (base, first), *others = found.items()
    changes = {name: [c for c in difference(first, recipe) if c.path not in ("name", "seed")] for name, recipe in others}
    return {name: told + (beside(plan, own[base], own[name]) if base in own else []) for name, told in changes.items()}
