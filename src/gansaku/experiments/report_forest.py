"""Pictures of differences: each pair's interval with its single seeds, and each arm's seeds on a line. Lists in, SVG text out.

Positions are percentages, so that a picture fills the width that it is given; looks are `report.css`'s affair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from gansaku.experiments.analysis import Comparison, apart
from gansaku.experiments.report_reading import Side, Told
from gansaku.experiments.report_sentences import interval, level, p_text, seeds, signed
from gansaku.render.curves import percent, short, ticks_between
from gansaku.runs.report_words import e

TICKS = 5
REACH = 2.5  # times what the seeds span, on both sides together: what is beyond goes out of the picture, with an arrow
INTERVAL, DOTS, HIGH = 16, 34, 46  # pixels from the top of a row
SIDES = {"lower": ("better", "worse"), "higher": ("worse", "better"), "neither": ("lower", "higher")}


class Span(NamedTuple):
    """The horizontal axis."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """0 at the left, 1 at the right; what is beyond stands at the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def forest(told: Told, rows: Sequence[Comparison]) -> str:
    """Every pair's difference by one metric, on one axis: the interval, the seeds, zero and the noise floor."""
    if not rows:
        return ""
    span, better = spanned(rows), rows[0].better
    left, right = SIDES[better]
    colours = {side.name: side.colour for side in told.sides}
    drawn = [pair(told, row, span, colours.get(row.pair.b.name, 1)) for row in rows]
    ticks = "".join(
        f'<text x="{percent(span.place(tick))}" y="14" text-anchor="middle">{signed(tick, zeros=False)}</text>'
        for tick in ticks_between(span.low, span.high, TICKS)
    )
    zero = percent(span.place(0))
    sides = (
        f'<span class="way {left}" style="width:{zero}">{"←" if span.place(0) > 0.12 else ""} {left}</span>'
        f'<span class="way {right}">{right} →</span>'
    )
    return (
        f'<div class="forest"><div class="pair head"><div></div><div class="ways">{sides}</div>'
        f"<div></div></div>{''.join(drawn)}"
        '<div class="pair axis"><div></div><svg class="plot" height="20" aria-hidden="true">'
        f"{ticks}</svg><div></div></div></div>"
    )


def pair(told: Told, row: Comparison, span: Span, colour: int) -> str:
    """A row: who against whom, the picture, and the numbers."""
    a, b = e(told.called(row.pair.a.name)), e(row.pair.b.name)
    numbers = "too few seeds"
    if row.found is not None:
        center = signed(row.found.center) if math.isfinite(row.found.center) else "no mean"
        numbers = f"<b>{center}</b> <small>{interval(row)}</small>"
    return (
        f'<div class="pair"><div class="who"><b><i class="dot s{colour}"></i>{b}</b> <small>against {a}</small></div>'
        f"{picture(row, span, colour)}"
        f'<div class="size">{numbers}<small class="also">{badge(row.verdict)}</small></div></div>'
    )


def picture(row: Comparison, span: Span, colour: int) -> str:
    told = "too few seeds"
    if row.found is not None:
        told = f"{signed(row.found.center)}, {level(row)} interval {interval(row)}, {p_text(row)}, {seeds(len(row.values))}"
    parts = [f'<svg class="plot s{colour}" height="{HIGH}" role="img" aria-label="{e(row.title)}: {told}">']
    if row.floor:
        left, right = span.place(-row.floor), span.place(row.floor)
        parts.append(f'<rect class="floor" x="{percent(left)}" width="{percent(right - left)}" height="100%"/>')
    parts += [
        f'<line class="{"zero" if tick == 0 else "grid"}" x1="{x}" x2="{x}" y2="100%"/>'
        for tick in ticks_between(span.low, span.high, TICKS)
        for x in [percent(span.place(tick))]
    ]
    if row.found is not None:
        parts += bar(row, span)
    found = differences(row)
    parts += [dot(seed, d, span) for seed, d in found if math.isfinite(d)]
    for side in (-math.inf, math.inf):
        parts += [cross(seed, d, k) for k, (seed, d) in enumerate((seed, d) for seed, d in found if d == side)]
    return "".join([*parts, "</svg>"])


def bar(row: Comparison, span: Span) -> list[str]:
    """The interval, with an arrow where it goes on, and its middle."""
    assert row.found is not None
    (low, high), center = row.found.interval, row.found.center
    left, right = percent(span.place(low)), percent(span.place(high))
    sure = "" if row.verdict == "cannot tell" else " sure"
    y = f'y1="{INTERVAL}" y2="{INTERVAL}"'
    found = [
        f'<line class="interval{sure}" x1="{left}" x2="{right}" {y}><title>{level(row)} interval {interval(row)}</title></line>'
    ]
    for end, place, arrow, anchor in ((low, left, "◂", "start"), (high, right, "▸", "end")):
        if not span.holds(end):
            found.append(f'<text class="arrow" x="{place}" y="{INTERVAL}" dy=".36em" text-anchor="{anchor}">{arrow}</text>')
        else:
            found.append(f'<line class="interval{sure}" x1="{place}" x2="{place}" y1="{INTERVAL - 4}" y2="{INTERVAL + 4}"/>')
    if math.isfinite(center):
        found.append(f'<circle class="center" cx="{percent(span.place(center))}" cy="{INTERVAL}" r="5"/>')
    return found


def dot(seed: int, d: float, span: Span) -> str:
    """One seed's difference."""
    x, said = percent(span.place(d)), f"seed {seed}: {signed(d)}"
    return f'<circle class="seed" cx="{x}" cy="{DOTS}" r="3.5"><title>{said}</title></circle>'


def cross(seed: int, d: float, before: int) -> str:
    """A seed of which one run broke, at the edge of the worse side, beside those before it."""
    x, anchor, away = ("100%", "end", -10) if d > 0 else ("0%", "start", 10)
    said = f"<title>seed {seed}: a run broke</title>"
    place = f'x="{x}" y="{DOTS}" dx="{before * away}" dy=".34em" text-anchor="{anchor}"'
    return f'<text class="broke" {place}>×{said}</text>'


def differences(row: Comparison) -> list[tuple[int, float]]:
    """Each seed's; infinite where one run broke, none where no value is the worst."""
    worst = {"lower": math.inf, "higher": -math.inf, "neither": math.nan}[row.better]
    found = [(seed, apart(a, b, worst)) for seed, a, b in row.values]
    return [(seed, d) for seed, d in found if not math.isnan(d)]


def spanned(rows: Sequence[Comparison]) -> Span:
    """An axis that holds zero and every seed, and of the intervals and noise floors what is not far beyond."""
    inner = [0.0, *(d for row in rows for _, d in differences(row) if math.isfinite(d))]
    low, high = min(inner), max(inner)
    width = high - low or abs(high) or 1.0
    ends = [end for row in rows if row.found is not None for end in row.found.interval if math.isfinite(end)]
    ends += [sign * row.floor for row in rows if row.floor for sign in (-1, 1)]
    low = min([low, *(max(end, low - REACH / 2 * width) for end in ends)])
    high = max([high, *(min(end, high + REACH / 2 * width) for end in ends)])
    room = 0.07 * (high - low or width)  # so that the edge of the noise floor is seen
    return Span(low - room, high + room)


def badge(verdict: str) -> str:
    """The verdict as a small word."""
    looks: Literal["good", "bad", "open"] = "good" if verdict == "better" else "bad" if verdict == "worse" else "open"
    return f'<span class="badge {looks}">{verdict}</span>'


def strip(side: Side, values: Sequence[tuple[int, float]], broke: int, span: Span, mean: float | None, better: str) -> str:
    """An arm's seeds on a line, a stroke at their mean, and a cross for those that broke at the end that is worse."""
    said = (
        f"{len(values)} seeds from {short(min(v for _, v in values))} to {short(max(v for _, v in values))}"
        if values
        else "none"
    )
    parts = [f'<svg class="plot strip s{side.colour}" height="24" role="img" aria-label="{said}">']
    parts.append('<line class="grid" x2="100%" y1="12" y2="12"/>')
    if mean is not None:
        x = percent(span.place(mean))
        parts.append(f'<line class="mean" x1="{x}" x2="{x}" y1="3" y2="21"/>')
    parts += [
        f'<circle class="seed" cx="{percent(span.place(v))}" cy="12" r="3.5"><title>seed {seed}: {short(v, 4)}</title></circle>'
        for seed, v in values
    ]
    if broke:
        x, anchor = ("0%", "start") if better == "higher" else ("100%", "end")
        parts.append(f'<text class="broke" x="{x}" y="12" dy=".34em" text-anchor="{anchor}">{"×" * min(broke, 5)}</text>')
    return "".join([*parts, "</svg>"])
