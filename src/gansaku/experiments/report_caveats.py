"""What the numbers of a comparison may not be taken for, each thing as far as it is so here. Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gansaku.experiments.report_reading import Told, listing
from gansaku.experiments.report_sentences import number, percent, seeds
from gansaku.experiments.statistics import LEVEL
from gansaku.listener import duration

FID = "inception-2015"
ALIKE = 0.01  # of the weights: as near counts as the same capacity
SHOWN = 4  # things that a sentence lists


def caveats(told: Told) -> list[str]:
    """Each in a sentence or two, the weightiest first; no markup."""
    parts: list[Callable[[Told], Iterator[str]]] = [
        missing, broken, early, few_seeds, several, extractor, few_samples, budget, capacity, settings, machines, shape,
    ]  # fmt: skip
    return [sentence for part in parts for sentence in part(told)]


def missing(told: Told) -> Iterator[str]:
    if told.left:
        whole = len(told.sides) * len(told.seeds)
        yield f"Not finished: {told.left} of {whole} trainings have no result yet; more of them may change every answer."
    fell = [f"{side.name}, seed {seed} ({why})" for side in told.sides for seed, why in side.given_up.items()]
    if fell:
        yield f"Given up for now, and tried again by the same command: {some(fell)}."
    if told.locked:
        yield "The baseline is a locked one: its trainings were made earlier, at the same seeds, and are not made again."
    alone = [seed for seed in told.seeds if 0 < sum(seed in side.results for side in told.sides) < len(told.sides)]
    if alone:
        yield (
            f"Unpaired: of {'seed' if len(alone) == 1 else 'seeds'} {some(map(str, alone))} only some arms are finished. "
            "A pair counts the seeds that both its arms have."
        )
    unscored = [
        f"{side.name}, seed {result.seed}, {metric}"
        for side in told.sides for result in side.results.values() for metric in told.metrics
        if not result.broken and result.score(metric) is None
    ]  # fmt: skip
    if unscored:
        yield f"Without a score though it did not break, and counted as the worst: {some(unscored)}."


def broken(told: Told) -> Iterator[str]:
    """Runs that broke count in the verdicts, and not in means."""
    count = sum(len(side.broken) for side in told.sides)
    if count:
        yield (
            f"{count} of {len(told.results)} trainings broke. None is left out: each counts as worse than every run that did "
            "not break, and ranks take the place of means. The means in the table are of the runs that did not break."
        )
        dropped = [row for row in told.rows if row.unpaired]
        if dropped:
            titles = dict.fromkeys(row.title for row in dropped)
            yield f"{some(titles)}: no value is the worst one there, so pairs with a broken run could not be counted."


def early(told: Told) -> Iterator[str]:
    """How much of the recipe's own training this is."""
    for own, length, names in lengths(told):
        if own and length < own:
            passes = (
                f", {number(length / told.count, 2)} passes through the {told.count:,} training samples" if told.count else ""
            )
            whose = "" if len(names) == len(told.sides) else f" ({some(names)})"
            kind = "Early training only" if 2 * length < own else "Shorter than the recipe's own training"
            yield (
                f"{kind}: {length:,} samples are {percent(length / own)} of the {own:,} that "
                f"{told.own_recipe} takes by itself{passes}{whose}. What is ahead early need not be ahead at the end."
            )
    different = {side.length for side in told.sides if side.length}
    if len(different) > 1 and not any(side.budget for side in told.sides):
        told_lengths = some(f"{side.name} {side.length:,}" for side in told.sides)
        yield f"Unequal lengths: the arms see different numbers of samples, as the plan says: {told_lengths}."


def lengths(told: Told) -> list[tuple[int, int, list[str]]]:
    """Own length, length, and the arms that have them."""
    found: dict[tuple[int, int], list[str]] = {}
    for side in told.sides:
        seen = max((result.seen for result in side.results.values()), default=0)
        length = seen if side.budget is not None else side.length or seen
        if length:
            found.setdefault((side.own_length, length), []).append(side.name)
    return [(own, length, names) for (own, length), names in found.items()]


def few_seeds(told: Told) -> Iterator[str]:
    """How small a p can get, and how well an interval of so few covers."""
    counts = [len(row.values) for row in told.first if row.values]
    if not counts:
        return
    n, pairs = min(counts), len(told.first)
    least = 2 / 2**n
    if least * pairs > 1 - LEVEL:
        held = f" ({number(min(1.0, least * pairs), 2)} among {pairs} pairs)" if pairs > 1 else ""
        yield (
            f"Few seeds: with {seeds(n)} the exact p cannot fall below {number(least, 2)}{held}, whatever the difference. "
            "The interval takes differences for normally distributed; the p does not."
        )
    elif n < 10:
        yield f"Few seeds: {n}. With them the exact p cannot fall below {number(least, 2)}."


def several(told: Told) -> Iterator[str]:
    """Looking at more, one finds more."""
    pairs, metrics = len(told.first), len({row.metric for row in told.rows})
    if pairs > 1:
        each = 1 - (1 - LEVEL) / pairs
        yield (
            f"{pairs} pairs: the intervals of a metric hold together at {100 * LEVEL:g} %, so each one is wider, at "
            f"{100 * each:.4g} % (Bonferroni); p is told beside Holm's."
        )
    if metrics > 1:
        yield f"{metrics} metrics: the first one answers the question. Between metrics nothing is corrected."


def extractor(told: Told) -> Iterator[str]:
    """What looked at the samples."""
    used = dict.fromkeys(s.passport.extractor for r in told.results for s in r.scores if s.passport.extractor)
    for name in used:
        if name.startswith("random-"):
            yield (
                f"A cheap extractor: {name} are convolutions with random weights. Its distances are no FID, know nothing of "
                "what pictures show, and may put arms in another order than FID would."
            )
        elif FID not in name:
            yield f"Scores by {name} are no FID, and cannot be held against published ones."


def few_samples(told: Told) -> Iterator[str]:
    """What the scores themselves warn of."""
    for warning in dict.fromkeys(w for result in told.results for score in result.scores for w in score.warnings):
        yield f"In the scores: {warning}."


def budget(told: Told) -> Iterator[str]:
    times = {side.name: side.budget for side in told.sides if side.budget is not None}
    if times:
        seen = {
            side.name: sum(counts) / len(counts)
            for side in told.sides
            if (counts := [result.seen for result in side.results.values() if not result.broken])
        }
        much = f" On average they saw {some(f'{name} {count:,.0f}' for name, count in seen.items())} samples." if seen else ""
        alike = len(set(times.values())) == 1 and len(times) == len(told.sides)
        each = duration(next(iter(times.values()))) if alike else some(f"{name} {duration(t)}" for name, t in times.items())
        kind = "Equal time, not equal samples: each training had" if alike else "Unequal time: by the plan it was"
        yield f"{kind} {each} by the clock. What else the machine did meanwhile is in the result.{much}"


def capacity(told: Told) -> Iterator[str]:
    """Arms with more weights than the baseline."""
    first, unequal = told.sides[0].parameters, []
    for side in told.sides[1:]:
        for player, count in side.parameters.items():
            if first.get(player) and abs(count / first[player] - 1) > ALIKE:
                share = abs(count / first[player] - 1)
                more = "more" if count > first[player] else "fewer"
                unequal.append(f"{side.name} has {percent(share)} {more} in its {player}")
    if unequal:
        yield f"Unequal numbers of weights: {some(unequal, ', ')}. A difference may be one of capacity."


def settings(told: Told) -> Iterator[str]:
    changed = [path for path in told.settings if path != "length"]
    if changed:
        yield f"Not {told.own_recipe} as it is: in all arms the plan sets {some(changed)} too."


def machines(told: Told) -> Iterator[str]:
    """What was made in different places."""
    for key, what in (("torch", "versions of torch"), ("device", "devices"), ("cpu", "processors")):
        found = dict.fromkeys(str(result.machine[key]) for result in told.results if key in result.machine)
        if len(found) > 1:
            yield f"Several {what} among the results: {some(found)}. A run is repeatable on the same machine only."
    prints = dict.fromkeys(result.fingerprint for result in told.results if result.fingerprint)
    if len(prints) > 1:
        yield f"The data changed meanwhile: {len(prints)} different fingerprints among the results."


def shape(told: Told) -> Iterator[str]:
    """What differences of single seeds look like."""
    if any(row.found is not None and row.found.way == "paired t" and len(row.values) > 2 for row in told.first):
        yield (
            "Where a change harms a few seeds a lot, differences are skewed, and t intervals of few seeds cover less than they "
            "say: 87 to 95 of 100 instead of 95, in simulations of exponential differences."
        )


def some(words: Iterable[str], joint: str = "") -> str:
    """a, b, c and 5 more."""
    listed = list(words)
    if len(listed) <= SHOWN + 1:
        return joint.join(listed) if joint else listing(listed, "and") if listed else ""
    return f"{', '.join(listed[:SHOWN])} and {len(listed) - SHOWN} more"
