"""The charts of article 1's page: results in, SVG text out, which stands by itself as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from gansaku.render.curves import Mark, Point, Series, chart

from .plan import ARMS
from .signals import ACCURACIES, D_LOSS, points
from .verdict import HALVES, Result, mad_since
from .words import counted

WIDTH, MARGIN = 1000, 24
LEFT, BETWEEN = 42, 30  # room for the numbers beside a panel, and between panels
HIGH, ABOVE, BELOW = 132, 44, 26  # a panel, its title, and the samples seen below it
HEAD, LINE = 68, 22  # title with one line of the legend, and every further line of it
GRAY = 8
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; fill: #596069 }
.page { fill: #fff } .title { font-size: 17px; font-weight: 600; fill: #1b1d21 }
.panel { font-size: 13px; font-weight: 600; fill: #1b1d21 } .name { fill: #1b1d21 }
.note { font-size: 11px; font-weight: 400; fill: #596069 } .dot { fill: currentColor }
.key, .mark { stroke-width: 2.5 } .key.s8 { stroke-width: 1.5 }
.curves { overflow: visible } .curves text { font-size: 11px }
.grid { stroke: #e9e9e6 } .hit { fill: none } .cross { visibility: hidden }
.series path { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round; vector-effect: non-scaling-stroke }
.series circle { fill: currentColor } .key { stroke: currentColor } .s8 path, .key.s8 { stroke-dasharray: 4 3 }
.mark { stroke: #b3261e; stroke-width: 1.4; stroke-opacity: .75 } .gap { fill: currentColor; font-weight: 700 }
.s1 { color: #0072b2 } .s2 { color: #d55e00 } .s3 { color: #00855f } .s4 { color: #b0478a }
.s5 { color: #9a6a00 } .s6 { color: #3c93c4 } .s7 { color: #6d6200 } .s8 { color: #8a929b }
"""


@dataclass(frozen=True)
class Panel:
    """One chart: its title, a note beside it, the lines, and the ends of its vertical axis if others share it."""

    title: str
    note: str
    series: Sequence[Series]
    bounds: tuple[float, float] | None = None


class Key(NamedTuple):
    """An entry of the legend: a colour's or a mark's class, and what it stands for."""

    kind: str
    label: str


def of_arm(arm: str, found: Sequence[Result], top: dict[str, float]) -> str:
    """One arm's losses apart, and its scores below them; a line for each seed, a hairline where one went mad.

    `top` has the upper ends of the axes that all arms share, by the score's name.
    """
    end = max(one["length"] for one in found)
    wild = [(since, 1 + one["seed"]) for one in found if (since := mad_since(one)) is not None]
    teller = "C" if any("classifier/loss/class" in one["losses"] for one in found) else "D's head"
    panels = [
        Panel("D: fakes − real pictures", "", lines(found, D_LOSS)),
        Panel("D: gradient penalty", "λ = 10 in it", lines(found, "discriminator/loss/gradient_penalty")),
        Panel(f"{teller}: class loss", "", lines(found, "classifier/loss/class", "discriminator/loss/class")),
        Panel("G: −D(fakes)", "", lines(found, "generator/loss/adversarial")),
        Panel("G: class loss", "before ε", lines(found, "generator/class_unweighted")),
        Panel(f"{teller}: accuracy", "on real pictures", lines(found, *ACCURACIES["real"]), (0, 1)),
        *scores([(f"seed {one['seed']}", 1 + one["seed"], [one]) for one in found], end, top),
    ]
    legend = [Key(f"s{1 + one['seed']}", f"seed {one['seed']}") for one in found]
    return drawn(arm, legend + [Key("mark", "went mad (the dot is its seed's)")] * bool(wild), panels, end, wild)


def of_all(arms: Mapping[str, Sequence[Result]], top: dict[str, float]) -> str:
    """The scores of all arms, each the mean of its seeds."""
    end = max(one["length"] for found in arms.values() for one in found)
    groups = [(arm, 1 + list(ARMS).index(arm), found) for arm, found in arms.items()]
    legend = [Key(f"s{colour}", f"{arm} ({counted(len(found), 'seed')})") for arm, colour, found in groups]
    return drawn("All arms: mean of the seeds", legend, scores(groups, end, top), end)


def scores(groups: Sequence[tuple[str, int, Sequence[Result]]], end: int, top: dict[str, float]) -> list[Panel]:
    """The three scores on the way. Groups are (label, colour, results)."""
    everyone = [one for _, _, found in groups for one in found]

    def curves(name: str) -> list[Series]:
        return [
            Series(label, label, mean_curve([scored(one, name) for one in found]), colour) for label, colour, found in groups
        ]

    half = HALVES * sum(one["untrained"] for one in everyone) / len(everyone)
    real = [value for one in everyone for _, value in scored(one, "class_accuracy_real")]
    known = [level("real", sum(real) / len(real), end)] if real else []
    chance = level("chance", 1 / everyone[0]["classes"], end)
    return [
        Panel("distance", "gray: half the untrained one", [level("half", half, end), *curves("distance")],
              (0, top["distance"])),
        Panel("class accuracy", "gray: real pictures, chance", [*known, chance, *curves("class_accuracy")],
              (0, top["class_accuracy"])),
        Panel("diversity", "gray: real pictures", [level("data", 1.0, end), *curves("diversity")], (0, top["diversity"])),
    ]  # fmt: skip


def scored(one: Result, name: str) -> Sequence[Point]:
    """A score on the way."""
    found: Sequence[Point] = one["curve"] if name == "distance" else one["curves"].get(name, [])
    return found


def tops(results: Sequence[Result]) -> dict[str, float]:
    """The upper ends of the axes that hold every run's scores."""

    def largest(*names: str, least: float) -> float:
        return max([least, *(value for one in results for name in names for _, value in scored(one, name))])

    return {
        "distance": largest("distance", least=max(HALVES * one["untrained"] for one in results)),
        "class_accuracy": largest("class_accuracy", "class_accuracy_real", least=0.2),
        "diversity": largest("diversity", least=1.2),
    }


def lines(found: Sequence[Result], *names: str) -> list[Series]:
    """A logged number of each run: the first of the names that it has."""
    return [Series(f"{names[0]} {one['seed']}", f"seed {one['seed']}", first(one, names), 1 + one["seed"]) for one in found]


def first(one: Result, names: Sequence[str]) -> Sequence[Point]:
    return next((known for name in names if (known := points(one, name))), [])


def level(name: str, value: float, end: int) -> Series:
    return Series(name, name, [(0, value), (end, value)], GRAY)


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean at every moment that all curves have."""
    if not curves:
        return []
    tables = [dict(curve) for curve in curves]
    moments = [seen for seen in sorted(tables[0]) if all(seen in table for table in tables)]
    return [(seen, sum(table[seen] for table in tables) / len(tables)) for seen in moments]


def drawn(
    title: str, legend: Sequence[Key], panels: Sequence[Panel], end: int, wild: Sequence[tuple[int, int]] = (), across: int = 3
) -> str:
    """The panels in rows under a title and a legend; `wild` are the moments that get a line, with the colour of its dot."""
    marks = [Mark(seen, "alarm", "went mad") for seen, _ in wild]
    rows = -(-len(panels) // across)
    wide = (WIDTH - 2 * MARGIN - across * LEFT - (across - 1) * BETWEEN) / across
    named, named_lines = keys(legend)
    head = HEAD + LINE * (named_lines - 1)
    height = head + rows * (ABOVE + HIGH + BELOW) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style><rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{MARGIN}" y="34">{escape(title)}</text>',
        named,
    ]
    for i, panel in enumerate(panels):
        x = MARGIN + LEFT + (i % across) * (wide + LEFT + BETWEEN)
        y = head + (i // across) * (ABOVE + HIGH + BELOW) + ABOVE
        note = f'<tspan class="note" dx="7">{escape(panel.note)}</tspan>' if panel.note else ""
        parts += [
            f'<text class="panel" x="{x - LEFT + 8:.1f}" y="{y - 24}">{escape(panel.title)}{note}</text>',
            f'<svg x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{HIGH}" overflow="visible">',
            chart(panel.title, panel.series, end, bounds=panel.bounds, marks=marks, ticks=4),
            *(dot(wild, j, end) for j in range(len(wild)) if any(one.points for one in panel.series)),
            "</svg>",
        ]
    parts.append(f'<text x="{WIDTH / 2:.0f}" y="{height - 10}" text-anchor="middle">samples seen</text></svg>\n')
    return "".join(parts)


def dot(wild: Sequence[tuple[int, int]], i: int, end: int) -> str:
    """One above the line of its moment, and above the dots of others of this moment."""
    seen, colour = wild[i]
    below = sum(other == seen for other, _ in wild[:i])
    return f'<circle class="dot s{colour}" cx="{100 * seen / end:.5g}%" cy="{-3 - 8 * below}" r="3.5"/>'


def keys(legend: Sequence[Key]) -> tuple[str, int]:
    """The legend, in columns where one line is too short for it, and its lines. Widths are reckoned from the letters."""
    widths = [38 + 7 * len(label) for _, label in legend]
    room = WIDTH - 2 * MARGIN
    across = len(legend) if sum(widths) <= room else max(1, room // max(widths))
    parts = []
    for i, (kind, label) in enumerate(legend):
        row, column = divmod(i, across)
        x, y = MARGIN + (sum(widths[:i]) if across == len(legend) else column * max(widths)), 55 + LINE * row
        kind = f"key {kind}" if kind != "mark" else kind
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x + 16}" y1="{y}" y2="{y}"/>'
                     f'<text class="name" x="{x + 22}" y="{y + 4}">{escape(label)}</text>')  # fmt: skip
    return "".join(parts), -(-len(legend) // across)
