"""What a comparison shows: for each two arms and each metric the paired difference, and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gansaku.errors import UsageError
from gansaku.experiments.plan import Arm, Pair
from gansaku.experiments.results import Result, by_seed
from gansaku.experiments.statistics import LEVEL, Difference, difference, holm, noise_floor, seeds_needed, shared_level
from gansaku.metrics.passport import Score, unlike

Verdict = Literal["better", "worse", "higher", "lower", "cannot tell"]


@dataclass(frozen=True)
class Comparison:
    """b against a by one metric, over the seeds that both have."""

    pair: Pair
    metric: str  # as `--metrics` takes it
    title: str  # as its scores are called: FD-random-2d@2k
    better: Literal["lower", "higher", "neither"]
    values: tuple[tuple[int, float | None, float | None], ...]  # seed, a, b; None where the run broke
    found: Difference | None  # None where fewer than two seeds can be compared
    p: float | None  # Holm's, among all pairs of this metric
    floor: float | None  # how far apart two runs of the baseline lie by their seeds alone; None if that is not known
    unpaired: int = 0  # pairs that a metric without a better and a worse cannot rank, since a run broke

    @property
    def verdict(self) -> Verdict:
        """What the interval says: it leaves out zero, or nobody can tell."""
        if self.found is None or self.found.interval.holds_zero:
            return "cannot tell"
        rose = self.found.interval.low > 0
        if self.better == "neither":
            return "higher" if rose else "lower"
        return "better" if rose == (self.better == "higher") else "worse"

    @property
    def seeds(self) -> int | None:
        """How many seeds would show a difference as large as this one seems, in four of five cases; None if unknown."""
        if self.found is None or not self.found.deviation or not self.found.center:
            return None
        return seeds_needed(self.found.center / self.found.deviation, self.found.level)

    @property
    def center(self) -> float | None:
        """The baseline's mean; None if all of it broke."""
        known = [a for _, a, _ in self.values if a is not None]
        return sum(known) / len(known) if known else None


def compare(pairs: Sequence[Pair], results: Sequence[Result], metrics: Sequence[str], level: float = LEVEL) -> list[Comparison]:
    """Every pair by every metric. Intervals of a metric hold together at the level, over its pairs.

    Raises UsageError where scores of one metric came about in different ways.
    """
    found = []
    for metric in metrics:
        scored = [score for result in results if (score := result.score(metric)) is not None]
        check_alike(scored)
        if scored:
            rows = [compared(pair, results, metric, scored[0], shared_level(len(pairs), level)) for pair in pairs]
            found += corrected(rows)
    return found


def check_alike(scores: Sequence[Score]) -> None:
    """Raises UsageError unless all were made in the same way."""
    for score in scores[1:]:
        reasons = unlike(scores[0].passport, score.passport)
        if reasons:
            told = f"{scores[0].passport.generated} and {score.passport.generated}"
            raise UsageError(told, f"have scores that are not comparable: {'; '.join(reasons)}", "UNLIKE_SCORES")


def compared(pair: Pair, results: Sequence[Result], metric: str, like: Score, level: float) -> Comparison:
    """One pair by one metric. A broken run is worse than every other; two broken ones are alike."""
    a, b = by_seed(results, pair.a.name), by_seed(results, pair.b.name)
    seeds = sorted(a.keys() & b.keys())
    values = tuple((seed, value(a[seed], metric), value(b[seed], metric)) for seed in seeds)
    worst = {"lower": math.inf, "higher": -math.inf, "neither": math.nan}[like.better]
    differences = [apart(x, y, worst) for _, x, y in values]
    known = [d for d in differences if not math.isnan(d)]
    own = [x for _, x, _ in values if x is not None]
    return Comparison(
        pair, metric, like.name, like.better, values,
        difference(known, level) if len(known) >= 2 else None, None,
        noise_floor(own) if len(own) >= 2 else None, len(differences) - len(known),
    )  # fmt: skip


def value(result: Result, metric: str) -> float | None:
    """The score, or None where the run broke: also one that has a score."""
    score = result.score(metric)
    return None if score is None or result.broken else score.value


def apart(a: float | None, b: float | None, worst: float) -> float:
    """b - a, with the worst in the place of what broke; 0 where both did."""
    if a is None and b is None:
        return 0.0
    return (worst if b is None else b) - (worst if a is None else a)


def corrected(rows: Sequence[Comparison]) -> list[Comparison]:
    """The same, with Holm's p among them."""
    tested = [row for row in rows if row.found is not None]
    ps = dict(zip(map(id, tested), holm([row.found.p for row in tested if row.found is not None]), strict=True))
    return [replace(row, p=ps.get(id(row))) for row in rows]


# words


def sentence(row: Comparison) -> str:
    """What the numbers say, in a line: the verdict first."""
    names, count = f"{row.pair.b.name} against {row.pair.a.name}", f"{len(row.values)} seeds"
    if row.found is None:
        why = f"{row.unpaired} of {count} broke and have no {row.title}" if row.unpaired else f"{count} are too few"
        return f"{names}: cannot tell by {row.title}, {why}"
    found = row.found
    low, high = (signed(end) for end in found.interval)
    of = "" if row.center is None else f" of {row.center:.4g}"
    size = f"{row.title} {signed(found.center)} [{low}, {high}]{of}"
    if found.way == "signed ranks":
        size = f"by ranks of {row.title}, as {told_broken(row)}"
    if row.verdict != "cannot tell":
        return f"{names}: {row.verdict}, {size} ({count})"
    return f"{names}: cannot tell, {size} ({count}; {enough(row)})"


def told_broken(row: Comparison) -> str:
    """Which runs broke, in words."""
    counts = [
        (sum(entry[place] is None for entry in row.values), arm.name) for place, arm in ((1, row.pair.a), (2, row.pair.b))
    ]
    return " and ".join(f"{count} of {len(row.values)} runs of {name} broke" for count, name in counts if count)


def enough(row: Comparison) -> str:
    """How many seeds it would take."""
    if row.found is not None and row.found.way == "signed ranks":
        return "ranks of fewer than 6 seeds show nothing" if len(row.values) < 6 else f"p {row.found.p:.2g}"
    if row.seeds is None:
        return "no number of seeds would show so small a difference"
    return f"a difference as large would show with {row.seeds:,}"


def signed(value: float) -> str:
    return {math.inf: "+∞", -math.inf: "-∞"}.get(value, f"{value:+.4g}")


def broken(results: Sequence[Result], arm: Arm) -> list[Result]:
    """An arm's runs that count as worst."""
    return [result for result in results if result.arm == arm.name and result.broken]


def plain(row: Comparison) -> dict[str, Any]:
    """As JSON has it; infinite ends are null."""
    found = row.found
    return {
        "a": row.pair.a.name,
        "b": row.pair.b.name,
        "factor": row.pair.factor,
        "metric": row.metric,
        "score": row.title,
        "better": row.better,
        "n": len(row.values),
        "values": [list(entry) for entry in row.values],
        "difference": finite(found.center) if found else None,
        "interval": [finite(end) for end in found.interval] if found else None,
        "level": found.level if found else None,
        "p": found.p if found else None,
        "p_holm": row.p,
        "effect": found.effect if found else None,
        "way": found.way if found else None,
        "noise_floor": row.floor,
        "seeds_needed": row.seeds,
        "verdict": row.verdict,
        "says": sentence(row),
    }


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
