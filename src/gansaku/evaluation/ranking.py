"""How two judges rank the checkpoints of one run, as a competition's public and private leaderboards do.

A judge is a scorer with one metric: its own extractor or settings, and its own part of the real data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from gansaku import keys
from gansaku.data.store import Dataset
from gansaku.errors import UsageError
from gansaku.evaluation.samples import Samples, Stored
from gansaku.evaluation.scorer import Scorer, Told
from gansaku.metrics.passport import Score, protocol, unlike

LEAST = 4  # checkpoints: with three, each order has one chance in six
ALL = 8  # checkpoints whose every order is looked at, 40,320 of them; of more, SOME random orders
SOME = 9_999
CHANCE = 0.05  # a p-value above it shows nothing

Floats = NDArray[np.float64]


class Row(NamedTuple):
    """A checkpoint under both judges. Rank 1 is the best; equal values share the mean of their ranks."""

    seen: int
    public: Score
    private: Score
    public_rank: float
    private_rank: float


class Agreement(NamedTuple):
    """Spearman's ρ with its 95 % interval and the p-value of no agreement, and Kendall's τ-b, of two rankings.

    The interval is Fisher's z ± 1.96 √((1 + ρ²/2) / (N - 3)) (Bonett & Wright 2000, Psychometrika 65); None at ρ = ±1,
    where it would have no width. p is the share of all orders, or of 9,999 random ones and the one seen, whose |ρ| is
    as large. Both take checkpoints for independent: where a whole run improves, ρ is large however the last ones compare.
    """

    rho: float
    interval: tuple[float, float] | None
    p: float
    orders: int  # that p comes from
    tau: float


class Pairs(NamedTuple):
    """Pairs of checkpoints: those whose public intervals do not overlap, and what private says of these."""

    apart: int  # public intervals do not overlap
    reversed: int  # of these: private orders them the other way
    contradicted: int  # of these: and the private intervals do not overlap either


@dataclass(frozen=True)
class Ranking:
    """The checkpoints of one run under both judges, by samples seen, two or more of them."""

    rows: tuple[Row, ...]

    @property
    def agreement(self) -> Agreement | None:
        """None for fewer than four checkpoints, and where a judge finds all of them equal."""
        return agreement([row.public_rank for row in self.rows], [row.private_rank for row in self.rows])

    @property
    def best_public(self) -> Row:
        """The best by the public judge; the earliest of equals."""
        return min(self.rows, key=lambda row: (row.public_rank, row.seen))

    @property
    def best_private(self) -> Row:
        return min(self.rows, key=lambda row: (row.private_rank, row.seen))

    @property
    def cost(self) -> float:
        """By how much the public judge's choice is worse under the private judge than the best one; never negative."""
        return abs(self.best_public.private.value - self.best_private.private.value)

    @property
    def cost_in_ranks(self) -> float:
        return self.best_public.private_rank - self.best_private.private_rank

    @property
    def pairs(self) -> Pairs | None:
        """None where a score has no interval."""
        if any(row.public.interval is None or row.private.interval is None for row in self.rows):
            return None
        told = [(a, b) for a, b in combinations(self.rows, 2) if not overlap(a.public, b.public)]
        against = [(a, b) for a, b in told if (a.public_rank - b.public_rank) * (a.private_rank - b.private_rank) < 0]
        return Pairs(len(told), len(against), sum(not overlap(a.private, b.private) for a, b in against))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        found, pairs = self.agreement, self.pairs
        return {
            "checkpoints": [
                {**row._asdict(), "public": row.public.plain(), "private": row.private.plain()} for row in self.rows
            ],
            "agreement": found and found._asdict(),
            "best_public": self.best_public.seen,
            "best_private": self.best_private.seen,
            "cost": self.cost,
            "cost_in_ranks": self.cost_in_ranks,
            "pairs": pairs and pairs._asdict(),
            "conclusion": self.conclusion,
        }

    @property
    def conclusion(self) -> str:
        """Whether the judges agree, as far as the numbers say."""
        found, n = self.agreement, len(self.rows)
        if n < LEAST:
            return f"Cannot tell whether the judges agree: {n} checkpoints are fewer than {LEAST}."
        if found is None:
            return "Cannot tell whether the judges agree: one of them finds all checkpoints equal."
        if found.p > CHANCE:
            return f"That the judges agree is not shown: {100 * found.p:.2g} % of random orders have a |ρ| as large."
        if found.rho < 0:
            return "The judges contradict each other: what one of them finds better the other finds worse."
        but = self.pairs is not None and self.pairs.contradicted
        return "The judges agree more than chance would have it" + (", but not on every pair." if but else ".")

    def __str__(self) -> str:
        """A table, what follows from it, and the conclusion."""
        judges = [f"{which}: {protocol(score)}" for which, score in zip(("public", "private"), self.rows[0][1:3], strict=True)]
        return "\n".join([*table(self.rows), "", *judges, *said(self), self.conclusion])


def ranked(judges: tuple[Scorer, Scorer], checkpoints: Iterable[tuple[int, Samples, Told]]) -> Ranking:
    """Score checkpoints (samples seen, their samples, what their passports say) under the public and the private judge.

    Where a metric gives several numbers, the first one counts. Raises UsageError where a judge has not exactly one
    metric, where that one is neither better low nor high, and for fewer than two checkpoints.
    """
    names = [judged(judge, which) for judge, which in zip(judges, ("--public", "--private"), strict=True)]
    seen: list[int] = []
    scores: tuple[list[Score], list[Score]] = ([], [])
    for at, samples, told in checkpoints:
        seen.append(at)
        for judge, name, made in zip(judges, names, scores, strict=True):
            made.append(next(score for score in judge.score(samples, told) if score.metric == name))
    return ranking(seen, *scores)


def judged(judge: Scorer, which: str) -> str:
    """The name of the number that a judge ranks by."""
    if len(judge.metrics) != 1:
        given = ", ".join(name for metric in judge.metrics for name in metric.gives) or "none"
        raise UsageError(which, f"a judge has exactly one metric, not {len(judge.metrics)} ({given})", "METRIC")
    name, output = next(iter(judge.metrics[0].gives.items()))
    if output.better == "neither":
        raise UsageError(which, f"{name} is neither better low nor high, so it ranks nothing", "METRIC")
    return name


def halves(dataset: Dataset, split: str = "train") -> tuple[Stored, Stored]:
    """A shuffled split in two disjoint parts; the first is larger by one where the number is odd."""
    middle = -(-Stored(dataset, split).count // 2)
    return Stored(dataset, split, 0, middle), Stored(dataset, split, middle)


def ranking(seen: Sequence[int], public: Sequence[Score], private: Sequence[Score]) -> Ranking:
    """The ranking by scores that were made. Raises UsageError for fewer than two, and for scores that are unlike."""
    if len(seen) < 2:
        raise UsageError("--public", f"{len(seen)} checkpoints cannot be ranked; two or more can", "COUNT")
    for scores in (public, private):
        for score in scores[1:]:
            if reasons := unlike(scores[0].passport, score.passport):
                raise UsageError(score.name, f"cannot be ranked with the others: {'; '.join(reasons)}", "UNLIKE_SCORES")
    rows = zip(seen, public, private, ranks(public), ranks(private), strict=True)
    return Ranking(tuple(sorted((Row(*row) for row in rows), key=lambda row: row.seen)))


def ranks(scores: Sequence[Score]) -> list[float]:
    """1 for the best; equal values share the mean of their ranks."""
    worse = [score.value if score.better == "lower" else -score.value for score in scores]
    return [float(rank) for rank in rankdata(worse)]


def overlap(a: Score, b: Score) -> bool:
    """Whether the intervals of two scores have a point in common."""
    assert a.interval is not None
    assert b.interval is not None
    return a.interval[0] <= b.interval[1] and b.interval[0] <= a.interval[1]


def agreement(a: Sequence[float], b: Sequence[float]) -> Agreement | None:
    """Of two rankings of the same things; None for fewer than four things, and where all have one rank."""
    if len(a) < LEAST or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    x, y = unit(a), unit(b)
    rho = float(np.clip(x @ y, -1, 1))
    others = x[orders(len(a))] @ y
    large = int((np.abs(others) >= abs(rho) - 1e-9).sum())
    p = large / len(others) if len(a) <= ALL else (large + 1) / (len(others) + 1)
    return Agreement(rho, interval(rho, len(a)), p, len(others), float(kendalltau(x, y).statistic))


def unit(ranks: Sequence[float]) -> Floats:
    """With mean 0 and length 1: the product of two such rankings is Spearman's ρ."""
    centered = np.asarray(ranks, np.float64) - np.mean(ranks)
    return np.asarray(centered / np.linalg.norm(centered), np.float64)


def orders(n: int) -> NDArray[np.int64]:
    """(orders, n): every order of n things, or random ones where there are too many."""
    if n <= ALL:
        return np.array(list(permutations(range(n))), np.int64)
    return torch.rand(SOME, n, generator=keys.generator("ranking", n)).argsort(1).numpy()


def interval(rho: float, n: int) -> tuple[float, float] | None:
    """The 95 % interval of Spearman's ρ of n things; None where all are in one order, or its reverse."""
    if abs(rho) > 1 - 1e-9:
        return None
    z, wide = math.atanh(rho), 1.96 * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(z - wide), math.tanh(z + wide)


def table(rows: Sequence[Row]) -> list[str]:
    """Samples seen, then value, interval and rank under either judge."""
    left = [f"{text:>12}" for text in ("", "samples seen", *[f"{row.seen:,}" for row in rows])]
    public = block("public", [row.public for row in rows], [row.public_rank for row in rows])
    private = block("private", [row.private for row in rows], [row.private_rank for row in rows])
    return ["    ".join(cells).rstrip() for cells in zip(left, public, private, strict=True)]


def block(judge: str, scores: Sequence[Score], ranks: Sequence[float]) -> list[str]:
    """One judge's columns under its name and the score's, all lines of one length."""
    title = f"{judge}: {scores[0].name}"
    places = decimals([abs(score.value) for score in scores])
    cells = [("", "95 %" if scores[0].interval else "", "rank")]
    for score, rank in zip(scores, ranks, strict=True):
        low_high = f"[{score.interval[0]:.{places}f}, {score.interval[1]:.{places}f}]" if score.interval else ""
        cells.append((f"{score.value:.{places}f}", low_high, f"{rank:g}"))
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines = ["  ".join([f"{v:>{widths[0]}}", f"{i:{widths[1]}}", f"{r:>{widths[2]}}"]) for v, i, r in cells]
    wide = max(map(len, [title, *lines]))
    return [f"{line:{wide}}" for line in (title, *lines)]


def decimals(values: Sequence[float]) -> int:
    """Decimal places that give the largest value four digits and the smallest three, six places at most."""
    first = [math.floor(math.log10(value)) if value else 0 for value in (max(values), min(values))]
    return min(6, max(0, 3 - first[0], 2 - first[1]))


def said(ranking: Ranking) -> list[str]:
    """What follows from the table, a line for each thing."""
    found, pairs, chosen, best = ranking.agreement, ranking.pairs, ranking.best_public, ranking.best_private
    lines = []
    if found:
        low_high = f", 95 % [{found.interval[0]:.2f}, {found.interval[1]:.2f}]" if found.interval else ""
        among = f"all {found.orders:,} orders" if len(ranking.rows) <= ALL else f"{found.orders:,} random orders"
        lines.append(f"Spearman's ρ {found.rho:.2f}{low_high}, p {found.p:.2g} ({among}); Kendall's τ {found.tau:.2f}.")
    if ranking.cost == 0:
        lines.append(f"Both judges choose {chosen.seen:,}: choosing by public costs nothing.")
    else:
        rank = f"rank {chosen.private_rank:g} of {len(ranking.rows)}"
        lines.append(f"Public chooses {chosen.seen:,}, which has {chosen.private.value:.4g} by private, {rank}.")
        they = (
            ""
            if pairs is None
            else f"; the intervals {'overlap' if overlap(chosen.private, best.private) else 'do not overlap'}"
        )
        cost = f"the choice costs {ranking.cost:.3g}"
        lines.append(f"The best by private, {best.seen:,}, has {best.private.value:.4g}: {cost}{they}.")
    if pairs is None:
        lines.append("No pair can be told apart: the scores have no intervals.")
    elif not pairs.apart:
        lines.append("Public tells no pair apart: all of its intervals overlap.")
    else:
        which = f"{pairs.apart:,} {'pair' if pairs.apart == 1 else 'pairs'} whose public intervals do not overlap"
        against = f"{pairs.reversed:,}" if pairs.reversed else "none"
        also = f", {pairs.contradicted:,} of them with intervals that do not overlap either" if pairs.reversed else ""
        lines.append(f"Of {which}, private orders {against} the other way{also}.")
    return lines
