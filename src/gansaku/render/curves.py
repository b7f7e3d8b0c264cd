"""Curves: numbers over samples seen as a line chart. Lists in, SVG text out.

The picture fills the width that it is given, while letters and lines keep their size: positions are percentages, and
the lines lie in an inner picture that is stretched. Labels stand outside the plot, so whoever shows it leaves room around
it. Colours `.s1` … `.s8` and all other looks are the style sheet's affair (`runs/report.css`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import NamedTuple

Point = tuple[float, float]
"""(samples seen, value)"""

COLOURS = 8
COLUMNS = 600  # of pixels, that a chart's points are thinned out to
WIDE, HIGH = 2000, 1000  # the inner picture, in whole steps finer than a pixel
LARGEST = 1e300  # beyond it a number counts as infinite: ranges would overflow
NAME_ROOM = 0.25  # of the width, divided by the vertical steps: a small chart has fewer of them, and less room for a name
MARKS = ("start", "alarm", "non-finite", "stopped")  # kinds of events that have their own looks


@dataclass(frozen=True)
class Series:
    """One line: the name it is logged under, what a person reads, its points in order, and its colour, 1 to 8.

    Where it stands for several others: a band around it, and these others as thin strands of its colour.
    """

    name: str
    label: str
    points: Sequence[Point]
    colour: int = 1
    band: Sequence[tuple[float, float, float]] = ()  # (samples seen, low, high); cut where the chart ends
    strands: Sequence[Sequence[Point]] = ()


class Mark(NamedTuple):
    """Something that happened: a hairline."""

    seen: float
    kind: str
    sentence: str


class Shade(NamedTuple):
    """A stretch of the run that stands behind the lines: tinted up to `tinted`, and with its name above."""

    start: float
    tinted: float
    stop: float
    name: str
    sentence: str


class Scale(NamedTuple):
    """The vertical axis: its two ends, their logarithms if it is logarithmic, and the values at its ticks."""

    bottom: float
    top: float
    log: bool
    ticks: list[float]

    def place(self, value: float) -> float:
        """0 at the bottom, 1 at the top."""
        return ((math.log10(value) if self.log else value) - self.bottom) / (self.top - self.bottom)


def chart(
    title: str,
    series: Sequence[Series],
    end: float,
    *,
    log: bool = False,
    bounds: tuple[float, float] | None = None,
    marks: Sequence[Mark] = (),
    ticks: int = 5,
    shades: Sequence[Shade] = (),
) -> str:
    """The curves from 0 to `end` samples seen. The vertical axis is `bounds`, or holds all values, in so many steps or fewer.

    On a log axis what is not positive is left out. NaN and infinities are gaps, each with a cross on the floor.
    """
    end = max(end, 1)
    last = "; ".join(f"{one.label or one.name} {last_text(one)}" for one in series)
    head = f'<svg class="curves" role="img" aria-label="{escape(f"{title}, over samples seen; last values: {last}")}"'
    if not any(one.points or one.strands for one in series):
        return f'{head}><text class="nothing" x="50%" y="50%" text-anchor="middle">no numbers yet</text></svg>'
    lines = [points for one in series for points in (one.points, *one.strands)]
    scale = scaled([value for points in lines for _, value in points if drawable(value, log)], log, bounds, ticks)
    return "".join(
        [
            f'{head} data-end="{end:.0f}" data-bottom="{scale.bottom:.6g}" data-top="{scale.top:.6g}" data-log="{int(log)}">',
            *shaded(shades, end, NAME_ROOM / ticks),
            *axes(scale, end, ticks + 1),
            *hairlines(marks, end),
            *(area(one, scale, end) for one in series if one.band),
            *(strand(points, one.colour, scale, end) for one in series for points in one.strands),
            *(line(one, scale, end, dashed=covered(series, i)) for i, one in enumerate(series)),
            '<line class="cross" y1="0" y2="100%" visibility="hidden"/>',
            '<rect class="hit" width="100%" height="100%"/></svg>',
        ]
    )


def legend(series: Sequence[Series]) -> str:
    """Each line's key, label and last value, as an HTML list."""
    items = []
    for i, one in enumerate(series):
        key = f'<i class="key s{one.colour}{" same" if covered(series, i) else ""}"></i>'
        items.append(f"<li>{key}{escape(one.label)} <b>{escape(last_text(one))}</b></li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def short(value: float, digits: int = 3) -> str:
    """As a person writes it: 10000 is 10k, 1500000 is 1.5M, 0.00025 is 2.5e−4."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size, text = abs(value), f"{value:.{digits}g}"
    rounded = abs(float(text))
    if size >= 1e15 or 0 < rounded < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}e{int(exponent)}"
    elif rounded >= 1000:
        power, letter = next((p, c) for p, c in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if rounded >= p)
        text = f"{value / power:.{digits}g}{letter}"
    return "0" if rounded == 0 else text.replace("-", "−")


def last_text(one: Series) -> str:
    return short(one.points[-1][1]) if one.points else "none yet"


def drawable(value: float, log: bool = False) -> bool:
    """Finite, and on a log axis positive."""
    return abs(value) <= LARGEST and (not log or value > 1 / LARGEST)


def thinned(points: Sequence[Point], end: float, columns: int = COLUMNS) -> list[Point]:
    """Of each column of pixels the first point, the lowest, the highest, the last and the first that is not finite, in order.

    So no extreme is lost. Where points are no more than columns all stay.
    """
    if len(points) <= columns:
        return list(points)
    kept: list[Point] = []
    for _, together in groupby(points, key=lambda point: int(point[0] / end * columns)):
        column = list(together)
        finite = [i for i, (_, value) in enumerate(column) if drawable(value)]
        broken = [i for i, (_, value) in enumerate(column) if not drawable(value)]
        extremes = [pick(finite, key=lambda i: column[i][1]) for pick in (min, max)] if finite else []
        kept += [column[i] for i in sorted({0, len(column) - 1, *extremes, *broken[:1]})]
    return kept


def pieces(points: Iterable[Point], log: bool = False) -> list[list[Point]]:
    """The stretches between gaps."""
    return [list(some) for fits, some in groupby(points, key=lambda point: drawable(point[1], log)) if fits]


def nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides the span into no more than `count` steps."""
    power = 10.0 ** math.floor(math.log10(span / count))
    return next(m * power for m in (1, 2, 5, 10, 20) if m * power * count >= span * (1 - 1e-9))


def ticks_between(low: float, high: float, count: int) -> list[float]:
    """The multiples of a nice step from low to high."""
    step = nice_step(high - low, count)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [i * step for i in range(first, last + 1)]


def scaled(values: Sequence[float], log: bool, bounds: tuple[float, float] | None, count: int) -> Scale:
    """The axis that holds the values, widened to ticks."""
    low, high = bounds or (min(values, default=1 if log else 0), max(values, default=1))
    if log:
        return log_scaled(low, high, count)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-200):  # a constant, or as good as one
        room = abs(high) if abs(high) > 1e-200 else 1.0
        low, high = low - room, high + room
    step = nice_step(high - low, count)
    low, high = math.floor(low / step + 1e-6) * step, math.ceil(high / step - 1e-6) * step
    return Scale(low, high, False, ticks_between(low, high, count + 2))


def log_scaled(low: float, high: float, count: int) -> Scale:
    """From one of 1, 2, 5 times a power of ten to another; ticks there, or at powers of ten alone where that is enough."""
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    steps = [float(f"{m}e{power}") for power in range(first, last + 1) for m in (1, 2, 5)]
    bottom = max(step for step in steps if step <= low)
    top = min(step for step in steps if step >= high and step > bottom)
    ticks = [step for step in steps if bottom <= step <= top]
    if len(ticks) > count + 2:
        powers = [power for power in range(first, last + 1) if bottom <= float(f"1e{power}") <= top]
        ticks = [float(f"1e{power}") for power in powers[:: -(-len(powers) // (count + 1))]]
    return Scale(math.log10(bottom), math.log10(top), True, ticks)


def axes(scale: Scale, end: float, across: int) -> Iterator[str]:
    """Grid lines and the numbers at them."""
    finest = min((b - a for a, b in zip(scale.ticks, scale.ticks[1:], strict=False)), default=1.0)
    largest = max(abs(scale.bottom), abs(scale.top))
    digits = 3 if scale.log else max(3, 1 + math.floor(math.log10(largest)) - math.floor(math.log10(finest)))
    for tick in scale.ticks:
        y = percent(1 - scale.place(tick))
        yield f'<line class="grid" x2="100%" y1="{y}" y2="{y}"/>'
        yield f'<text x="-8" y="{y}" dy=".32em" text-anchor="end">{short(tick, digits)}</text>'
    for tick in ticks_between(0, end, across):
        yield f'<text x="{percent(tick / end)}" y="100%" dy="1.6em" text-anchor="middle">{short(tick)}</text>'


def shaded(shades: Sequence[Shade], end: float, room: float) -> Iterator[str]:
    """Each stretch that has begun, its name where it takes up so much of the width."""
    for one in shades:
        if one.start >= end:
            continue
        stop = min(one.stop, end)
        if one.tinted > one.start:
            x, width = percent(one.start / end), percent((min(one.tinted, stop) - one.start) / end)
            yield f'<rect class="shade" x="{x}" width="{width}" height="100%"><title>{escape(one.sentence)}</title></rect>'
        if one.start > 0:
            yield f'<line class="border" x1="{percent(one.start / end)}" x2="{percent(one.start / end)}" y2="100%"/>'
        if (stop - one.start) / end >= room:
            x = percent((one.start + stop) / 2 / end)
            yield f'<text class="name" x="{x}" y="0" dy="-4" text-anchor="middle">{escape(one.name)}</text>'


def hairlines(marks: Sequence[Mark], end: float) -> Iterator[str]:
    """One for each kind and column of pixels, and none at 0, which is the axis itself."""
    seen_already = set()
    for mark in marks:
        kind = mark.kind if mark.kind in MARKS else "other"
        place = (kind, round(mark.seen / end * COLUMNS))
        if 0 < mark.seen <= end and place not in seen_already:
            seen_already.add(place)
            x = percent(mark.seen / end)
            said = escape(f"{mark.kind} at {mark.seen:,}: {mark.sentence}")
            yield f'<line class="mark {kind}" x1="{x}" x2="{x}" y2="100%"><title>{said}</title></line>'


def line(one: Series, scale: Scale, end: float, dashed: bool = False) -> str:
    """The series with its points for whoever reads along: where a stretch has one point alone, a dot."""
    points = thinned(one.points, end)
    return "".join(
        [
            f'<g class="series s{one.colour}{" same" if dashed else ""}" data-name="{escape(one.name)}"',
            f' data-x="{" ".join(f"{x:.0f}" for x, _ in points)}" data-y="{" ".join(f"{y:.4g}" for _, y in points)}">',
            *strokes(points, scale, end),
            "</g>",
        ]
    )


def strand(points: Sequence[Point], colour: int, scale: Scale, end: float) -> str:
    """One of those that a line stands for: it has no label, and nobody reads values off it."""
    return f'<g class="strand s{colour}">{"".join(strokes(thinned(points, end), scale, end))}</g>'


def strokes(points: Sequence[Point], scale: Scale, end: float) -> Iterator[str]:
    """The stretches of a line, dots where one is a single point, and a cross for each gap."""
    path, dots = [], []
    for piece in pieces(points, scale.log):
        places = [(x / end, 1 - scale.place(y)) for x, y in piece]
        if len(places) > 1:
            path.append("M" + " ".join(f"{WIDE * x:.0f} {HIGH * y:.0f}" for x, y in places))
        else:
            dots += [f'<circle cx="{percent(x)}" cy="{percent(y)}" r="3"/>' for x, y in places]
    yield stretched(path)
    yield from dots
    for x in [x for x, y in points if not drawable(y)]:
        yield f'<text class="gap" x="{percent(x / end)}" y="100%" dy="-3" text-anchor="middle">×'
        yield f"<title>not finite at {x:,}</title></text>"


def stretched(path: Sequence[str]) -> str:
    """The inner picture with these pieces of a path."""
    return f'<svg viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">' + (
        f'<path d="{"".join(path)}"/></svg>' if path else "</svg>"
    )


def area(one: Series, scale: Scale, end: float) -> str:
    """The band: forth along its upper edge and back along the lower one, held to the chart; a bar where it is one point."""
    ends = at_least(scale), at_most(scale)
    held = [(x, *(min(max(bound, ends[0]), ends[1]) for bound in (low, high))) for x, low, high in one.band]
    if len(held) == 1:
        x, low, high = held[0]
        held = [(x - end / 100, low, high), (x + end / 100, low, high)]
    edge = [(x, high) for x, _, high in held] + [(x, low) for x, low, _ in reversed(held)]
    places = " ".join(f"{WIDE * x / end:.0f} {HIGH * (1 - scale.place(y)):.0f}" for x, y in edge)
    return f'<g class="band s{one.colour}">{stretched([f"M{places}Z"])}</g>'


def at_least(scale: Scale) -> float:
    return float(10**scale.bottom) if scale.log else scale.bottom


def at_most(scale: Scale) -> float:
    return float(10**scale.top) if scale.log else scale.top


def covered(series: Sequence[Series], i: int) -> bool:
    """Whether it lies exactly on an earlier one, which then shows through its dashes."""
    return any(list(series[i].points) == list(earlier.points) for earlier in series[:i])


def percent(share: float) -> str:
    return f"{100 * share:.5g}%"
