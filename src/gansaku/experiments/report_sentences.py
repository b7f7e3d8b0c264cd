"""What a comparison says in words: an answer for each pair, and what it may not be taken for. Text in, text out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from gansaku.experiments.analysis import Comparison
from gansaku.experiments.report_reading import Side, Told
from gansaku.metrics.passport import Score

Write = Callable[[str], str]

BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": "neither way is better"}
APART = "\u00a0"  # a space at which no line ends
UNTOLD = "“Cannot tell” is not “no difference”: it says that these seeds cannot show one."


def number(value: float, digits: int = 4, zeros: bool = False) -> str:
    """A score as a person reads it: 30.12, 1,204, 0.0003, ∞; with `zeros` all digits, for columns."""
    if not math.isfinite(value):
        return "no number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    text = f"{value:#.{digits}g}".rstrip(".") if zeros and value else f"{value:.{digits}g}"
    if "e" in text and 1 <= abs(value) < 1e15:
        text = f"{value:.0f}"
    if "e" not in text and abs(value) >= 1000:
        text = f"{float(text):,.0f}"
    return "0" if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def signed(value: float, digits: int = 3, zeros: bool = True) -> str:
    """A difference: +1.23, −0.40, 0."""
    text = number(value, digits, zeros)
    return text if text[0] in "−0n" and not text.startswith("0.") else f"+{text}"


def percent(share: float) -> str:
    return f"{number(100 * share, 2 if share < 0.1 else 3)}{APART}%"


def level(row: Comparison) -> str:
    """Of the interval: 95 %, or what makes all pairs of a metric hold together at 95 %."""
    return f"{100 * row.found.level:.4g}{APART}%" if row.found else ""


def interval(row: Comparison) -> str:
    """−2.1 to −0.4; an end that so few seeds cannot bound is told as that."""
    if row.found is None:
        return "none"
    low, high = row.found.interval
    if math.isinf(low) and math.isinf(high):
        return "without ends"
    if math.isinf(low) or math.isinf(high):
        return f"{signed(low)} and more" if math.isinf(high) else f"{signed(high)} and less"
    return f"{signed(low)} to {signed(high)}"


def seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def p_text(row: Comparison) -> str:
    """The exact p, and Holm's where there are several pairs."""
    if row.found is None:
        return ""
    own = f"p{APART}={APART}{number(row.found.p, 3)}"
    return own if row.p is None or math.isclose(row.p, row.found.p) else f"{own}, {number(row.p, 3)} among all pairs"


def verdict(row: Comparison, bold: Write = str) -> str:
    """The first words: who is better than whom."""
    a, b = bold(row.pair.a.name), bold(row.pair.b.name)
    if row.verdict != "cannot tell":
        return f"{b} is {row.verdict} than {a}."
    which = "differs from" if row.better == "neither" else "is better or worse than"
    return f"Cannot tell whether {b} {which} {a}."


def answer(row: Comparison, bold: Write = str, text: Write = str) -> str:
    """The verdict, then the numbers it stands on."""
    said, title, n = verdict(row, bold), text(row.title), len(row.values)
    if row.found is None:
        return f"{said} {'No' if n == 0 else 'One'} seed of both is scored yet; it takes two or more."
    found = row.found
    if found.way == "signed ranks":
        return f"{said} {ranks(row, title, bold)}"
    of = "" if not row.center else f", {percent(abs(found.center / row.center))} of {number(row.center)}"
    size = f"{title} differs by {signed(found.center)} on average over {seeds(n)}{of}"
    if row.verdict != "cannot tell":
        return f"{said} {size}; {level(row)} interval {interval(row)}, {p_text(row)}.{within(row)}"
    fits = f"anything from {interval(row)} fits what was seen ({level(row)} interval, {p_text(row)})"
    return f"{said} {size}, and {fits}. {needed(row)}"


def ranks(row: Comparison, title: str, bold: Write = str) -> str:
    """Where a run broke there is no mean."""
    assert row.found is not None
    broke = [
        (row.pair.a.name, sum(a is None for _, a, _ in row.values)),
        (row.pair.b.name, sum(b is None for *_, b in row.values)),
    ]
    told = " and ".join(f"{count} of {bold(name)}" for name, count in broke if count)
    counts = "counts" if sum(count for _, count in broke) == 1 else "count"
    text = f"Of {seeds(len(row.values))}, {told} broke and {counts} as the worst, so ranks take the place of means: "
    if all(map(math.isinf, row.found.interval)):
        return f"{text}ranks of fewer than 6 seeds bound nothing ({p_text(row)})."
    middle = f"differs by {signed(row.found.center)}" if math.isfinite(row.found.center) else "has no bounded difference"
    return f"{text}{title} {middle} in the middle; {level(row)} interval {interval(row)}, {p_text(row)}."


def within(row: Comparison) -> str:
    """Where a difference is real and yet small beside what seeds do."""
    if row.found is None or row.floor is None or abs(row.found.center) >= row.floor:
        return ""
    less = f"less than two seeds of the baseline may differ by ({number(row.floor, 3)})"
    return f" That is {less}: one run of each would not show it."


def needed(row: Comparison) -> str:
    """How many seeds it would take, if the difference is what it seems."""
    wanted = row.seeds
    if wanted is None:
        return "No number of seeds would show so small a difference."
    return f"Were the true difference as large as it seems, {wanted:,} seeds would show it in four of five cases."


def summary(told: Told) -> str:
    """How far it is: all of it, or what is missing."""
    done, whole = len(told.results), len(told.sides) * len(told.seeds)
    if not done:
        return "No training is finished yet."
    if told.left:
        return f"{done} of {whole} trainings are finished; the answers below may still change."
    return ""


def floor(rows: Sequence[Comparison]) -> str:
    """What the shaded band is."""
    floors = [row.floor for row in rows if row.floor is not None]
    if not floors:
        return ""
    alike = max(floors) - min(floors) <= 1e-9 * max(floors)
    size = number(floors[0], 3) if alike else f"{number(min(floors), 3)} to {number(max(floors), 3)}"
    return f"Two runs of the baseline that differ by nothing but their seed lie up to {size} apart, in 95 of 100 pairs."


def means(side: Side, metric: str) -> tuple[float | None, float | None, list[Score]]:
    """Mean, deviation and scores of an arm's runs that did not break."""
    scores = [s for result in side.results.values() if not result.broken and (s := result.score(metric)) is not None]
    if not scores:
        return None, None, scores
    values = [score.value for score in scores]
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None, scores
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)), scores


def best(told: Told, metric: str) -> str | None:
    """The arm that intervals show to be better than every other; None where they do not say so."""
    beaten: dict[str, set[str]] = {}
    for row in told.rows_of(metric):
        if row.verdict in ("better", "worse"):
            a, b = row.pair.a.name, row.pair.b.name
            winner, loser = (b, a) if row.verdict == "better" else (a, b)
            beaten.setdefault(winner, set()).add(loser)
    return next((name for name, losers in beaten.items() if len(losers) == len(told.sides) - 1), None)


def stands(told: Told, side: Side, metric: str) -> Literal["baseline", "", "better", "worse", "higher", "lower", "cannot tell"]:
    """An arm's verdict against the baseline; "" where the two are no pair."""
    if side.number == 0:
        return "baseline"
    first = told.sides[0].name
    row = next((r for r in told.rows_of(metric) if r.pair.a.name == first and r.pair.b.name == side.name), None)
    return row.verdict if row else ""
