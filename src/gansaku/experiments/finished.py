"""Arms out of runs that are there already: runs whose recipes differ by no more than the seed are one arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gansaku.errors import UsageError
from gansaku.experiments.plan import FROM, NOTHING, RECIPE, Arm, short_names
from gansaku.parts import Change, difference, shown
from gansaku.recipe import Recipe


class Finished(NamedTuple):
    """A run that was trained by itself."""

    name: str  # as people call it, for errors
    recipe: Recipe
    seen: int  # samples, by the checkpoint that is scored
    fingerprint: str  # of its data
    began: str = NOTHING  # the run whose weights it began with


class Group(NamedTuple):
    """An arm, and its runs by their seeds, as numbers in the list they came in."""

    arm: Arm
    runs: Mapping[int, int]


def groups(runs: Sequence[Finished], declared: Sequence[str]) -> list[Group]:
    """The arms of these runs, that of the first run first.

    Raises UsageError where they are no fair comparison: other data, other numbers of samples seen, seeds that not all have,
    or settings that differ and were not declared (`recipe` declares everything).
    """
    check_alike(runs, declared)
    found: dict[tuple[Recipe, str], dict[int, int]] = {}
    for number, run in enumerate(runs):
        seeds = found.setdefault((plainest(run.recipe), run.began), {})
        if run.recipe.seed in seeds:
            first = runs[seeds[run.recipe.seed]].name
            raise UsageError(run.name, f"has the recipe and the seed of {first}; a pair needs another arm", "UNFAIR")
        seeds[run.recipe.seed] = number
    if len(found) < 2:
        raise UsageError("compare", f"these {len(runs)} runs have one recipe; name runs of another one too", "UNFAIR")
    (base, start), *others = found
    changes = [difference(base, other) + ([] if began == start else [Change(FROM, start, began)]) for other, began in others]
    check_declared([change for each in changes for change in each], declared)
    check_seeds(runs, list(found.values()))
    names = short_names(sorted({change.path for each in changes for change in each}))
    varied = {change.path: change.before for each in changes for change in each}
    arms = [arm_of(varied, names), *[arm_of({change.path: change.after for change in each}, names) for each in changes]]
    return [Group(arm, seeds) for arm, seeds in zip(arms, found.values(), strict=True)]


def plainest(recipe: Recipe) -> Recipe:
    """The recipe without what tells runs of one arm apart."""
    return recipe.but(seed=0, name="")


def arm_of(values: Mapping[str, Any], names: Mapping[str, str]) -> Arm:
    """An arm called by what it sets; of many settings the first ones are told."""
    told = [f"{names[path]}={shown(value)}" for path, value in sorted(values.items())]
    more = f" and {len(told) - 3} more" if len(told) > 4 else ""
    return Arm(", ".join(told[:3] if more else told) + more, dict(values))


def check_alike(runs: Sequence[Finished], declared: Sequence[str]) -> None:
    """Raises UsageError unless all have the same data and have seen as much of them."""
    first = runs[0]
    for run in runs[1:]:
        if run.fingerprint != first.fingerprint:
            raise UsageError(run.name, f"was trained on other data than {first.name}", "UNFAIR")
        if run.seen != first.seen and "length" not in declared:
            sentence = f"has seen {run.seen:,} samples and {first.name} {first.seen:,}"
            raise UsageError(run.name, f"{sentence}; train it on, or declare that by --vary length", "UNFAIR")


def check_declared(changes: Sequence[Change], declared: Sequence[str]) -> None:
    """Raises UsageError naming what differs and was not declared, and how to declare it."""
    if RECIPE in declared:
        return
    foreign = {c.path: c for c in changes if not any(c.path == path or c.path.startswith(f"{path}.") for path in declared)}
    foreign = {path: change for path, change in foreign.items() if path != "length" or "length" not in declared}
    if foreign:
        told = "; ".join(map(str, list(foreign.values())[:5])) + (f"; {len(foreign) - 5} more" if len(foreign) > 5 else "")
        flags = " ".join(f"--vary {path}" for path in foreign) if len(foreign) <= 3 else f"--vary {RECIPE}"
        raise UsageError("compare", f"the runs differ by what was not declared: {told}; {flags} declares it", "UNDECLARED")


def check_seeds(runs: Sequence[Finished], found: Sequence[Mapping[int, int]]) -> None:
    """Raises UsageError unless every arm has the same seeds."""
    for seeds in found[1:]:
        odd = sorted(found[0].keys() ^ seeds.keys())
        if odd:
            has = found[0] if odd[0] in found[0] else seeds
            raise UsageError(
                runs[has[odd[0]]].name, f"has seed {odd[0]}, which not every arm has; pairs need the same seeds", "UNFAIR"
            )
