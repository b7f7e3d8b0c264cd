"""Trying settings out of ranges, and the plan that compares the best of them with the recipe as it is, at other seeds.

The best of many scores is flattered by chance, so it counts only as far as the comparison afterwards bears it out.
Trials lie in a folder of the comparison, as trainings of one seed; a search goes on wherever it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gansaku import files
from gansaku.data.store import Facts
from gansaku.errors import DiskError, RecipeError, RunError
from gansaku.experiments import arms, proposals, results
from gansaku.experiments import plan as plans
from gansaku.experiments.crew import Crew
from gansaku.experiments.folder import TRIALS, Place, Training, extended
from gansaku.experiments.plan import AS_IS, TRIED_AT, Arm, Plan
from gansaku.experiments.proposals import Tried
from gansaku.experiments.results import Result

FATAL = {3: DiskError}
"""Exit codes that end a search: that a training cannot be carried out with its settings does not."""


class Trials(NamedTuple):
    """A search: what was and is being tried as the plan's listed arms, and what came of it, the recipe as it is first."""

    plan: Plan
    results: Sequence[Result]


def begun(place: Place) -> Plan | None:
    """The search of a comparison's folder, without what was tried; None where there is none."""
    own = trials(place)
    return replace(own.read_plan(), listed=()) if own.exists else None


def trials(place: Place) -> Place:
    return Place(place.path / TRIALS)


def trainings(plan: Plan) -> list[Training]:
    """Every setting that was or is being tried, that of the recipe as it is first."""
    return [Training(arm, TRIED_AT, number) for number, arm in enumerate(plan.arms)]


def tried(place: Place) -> Trials | None:
    """What a comparison's folder holds of a search, as far as it is; None if nothing was searched."""
    own = trials(place)
    if not own.exists:
        return None
    plan = own.read_plan()
    paths = [own.result(training) for training in trainings(plan)]
    return Trials(plan, tuple(results.read(path) for path in paths if path.exists()))


def carry_on(place: Place, wanted: Plan, facts: Facts, crew: Crew) -> Plan | None:
    """Try settings to the number that is wanted. Returns the plan that compares the best; None if it was stopped before.

    Raises UsageError where Optuna is not installed or the recipe refuses an end of a range, RunError where all broke.
    """
    proposals.engine()
    plan, own = begin(place, wanted), trials(place)
    while True:
        done = [training for training in trainings(plan) if own.result(training).exists()]
        found = [results.read(own.result(training)) for training in done]
        waiting = [training for training in trainings(plan) if training not in done]
        # Only whole batches are asked for, so that a search that was stopped asks the same as one that was not.
        room = crew.jobs - len(waiting) if not waiting or plan.listed == wanted.listed else 0
        new = next_arms(plan, found, min(wanted.search - len(plan.listed), room))
        if new:
            plan = asked(own, plan, new, facts, crew.say)
            continue
        told(plan, found, crew.say)
        if not waiting:
            return confirming(plan, found)
        given_up = crew.work_down(own, waiting, fatal=FATAL)
        if crew.stopped():
            return None
        for training, why in given_up.items():
            results.write(own.result(training), Result(training.arm.name, TRIED_AT, seen=0, broken=why))


def asked(own: Place, plan: Plan, new: Sequence[Arm], facts: Facts, say: Callable[[str], None]) -> Plan:
    """The plan with more to try, written down; what cannot be trained has its result already."""
    plan = replace(plan, listed=(*plan.listed, *new))
    files.write_text(own.plan, plans.to_toml(plan))
    for training in trainings(plan)[-len(new) :]:
        why = refusal(plan, training.arm, facts)
        if why:
            say(f"{training.arm.name}: {why}")
            results.write(own.result(training), Result(training.arm.name, TRIED_AT, seen=0, broken=why))
    return plan


def begin(place: Place, wanted: Plan) -> Plan:
    """Write the plan of the trials down, or go on with the one that is there. Raises RunError if that is another search."""
    own = trials(place)
    if not own.exists:
        place.check_empty()
        return own.begin(wanted)
    stored = own.read_plan()
    merged = extended(replace(stored, listed=wanted.listed, search=wanted.search), wanted, str(place.path))
    plan = replace(merged, listed=stored.listed)
    files.write_text(own.plan, plans.to_toml(plan))
    return plan


def told(plan: Plan, found: Sequence[Result], say: Callable[[str], None]) -> None:
    """How far it is."""
    leader = best(plan, found)
    if leader is not None and (score := leader.score(plan.scoring.metrics[0])):
        say(f"{len(plan.listed)} of {plan.search} settings tried; the best so far is {leader.arm}: {score.value:.4g}")


def next_arms(plan: Plan, found: Sequence[Result], count: int) -> list[Arm]:
    """What to try next: as many settings as are wanted, or as have not been tried."""
    if count <= 0:
        return []
    own, metric = {result.arm: result for result in found}, plan.scoring.metrics[0]
    known = []
    for arm in plan.listed:
        score = own[arm.name].score(metric) if arm.name in own and not own[arm.name].broken else None
        known.append(Tried(arm.changes, None if score is None else score.value))
    changes = proposals.proposed(plan.vary, known, count, better(found, metric))
    names = plans.short_names([factor.path for factor in plan.vary])
    return [Arm(plans.name_of(one, {}, names, True), one) for one in changes]


def better(found: Sequence[Result], metric: str) -> str:
    """Which way a metric is better, as the scores that are there say."""
    scores = [score for result in found if (score := result.score(metric))]
    return scores[0].better if scores else "lower"


def refusal(plan: Plan, arm: Arm, facts: Facts) -> str:
    """Why an arm cannot be trained, or not be held against the others; "" if it can."""
    try:
        base, recipe = (arms.recipe_of(plan, one, facts, TRIED_AT) for one in (plan.arms[0], arm))
    except RecipeError as error:
        return str(error)
    if recipe.length != base.length and plan.budget is None:
        return f"would see {recipe.length:,} samples instead of {base.length:,}"
    return ""


def check(plan: Plan, facts: Facts) -> None:
    """Raises RecipeError if the recipe refuses an end of a range, or a listed value, of one setting alone."""
    for factor in plan.vary:
        span = factor.span
        for value in (span.low, span.high) if span else factor.values:
            where = f"--vary {factor.path}"
            try:
                arms.recipe_of(plan, Arm(where, {factor.path: value}), facts, TRIED_AT)
            except RecipeError as error:
                raise RecipeError(f"{where}: {error.where}", error.sentence, error.code) from None


def best(plan: Plan, found: Sequence[Result]) -> Result | None:
    """Of all that was tried besides the recipe as it is."""
    metric, names = plan.scoring.metrics[0], {arm.name for arm in plan.listed}
    scored = [
        (score.value, result)
        for result in found
        if result.arm in names and not result.broken and (score := result.score(metric))
    ]
    sign = -1 if better(found, metric) == "higher" else 1
    return min(scored, key=lambda pair: sign * pair[0])[1] if scored else None


def confirming(plan: Plan, found: Sequence[Result]) -> Plan:
    """The best against the recipe as it is, at the seeds that are wanted. Raises RunError if all broke."""
    leader = best(plan, found)
    if leader is None:
        why = next((result.broken for result in reversed(found) if result.broken), "none has a score")
        raise RunError(
            "--search", f"nothing that was tried can be trained, so nothing is compared; the last one: {why}", "SEARCH"
        )
    changes = next(arm.changes for arm in plan.listed if arm.name == leader.arm)
    return replace(plan, search=0, vary=(), listed=(Arm(AS_IS, {}), Arm(leader.arm, changes)))
