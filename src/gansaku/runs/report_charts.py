"""Which numbers of the log a report shows in which chart, and what they are called there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from gansaku.render.curves import COLOURS, Point, Series, drawable
from gansaku.runs.signals import is_signal

Curves = Mapping[str, Sequence[Point]]

SIDES = "Each value is what the step saw before it changed the weights: D's values show the result of the last G step"
SECOND = ", and the value of the second G step shows the result of the first"
RAW = " These are no probabilities: what D gives, as it is."
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}
WIDE = 30  # a largest value of so many times the middle one wants a logarithmic axis


class Chart(NamedTuple):
    """One picture: its title, its lines, its vertical axis, and a sentence that explains it."""

    title: str
    series: list[Series]
    log: bool = False
    bounds: tuple[float, float] | None = None
    note: str = ""


def main_charts(curves: Curves) -> list[Chart]:
    """Those that every GAN has, as far as they were logged."""
    losses = matching(curves, r"[^/]+/loss/.+")
    kind = "_probability" if "discriminator/real_probability" in curves else ""
    judged = verdicts(curves, kind)
    norms, rates = matching(curves, r"[^/]+/gradient(_\d+)?"), matching(curves, r"[^/]+/rate(_\d+)?")
    speed = matching(curves, "samples_per_second")
    note = SIDES + (SECOND if f"generator/fake{kind}_2" in judged else "") + "." + ("" if kind else RAW)
    charts = [
        Chart("Losses", drawn(curves, {name: name.replace("/loss/", " ") for name in losses}), wide(curves, losses)),
        Chart("D(x) and D(G(z))", drawn(curves, judged), False, (0, 1) if kind else None, note),
        Chart("Gradient norms", drawn(curves, {name: name.replace("/gradient", "") for name in norms}), True),
        Chart(
            "Learning rates", drawn(curves, {name: name.replace("/rate", "") for name in rates}), False, from_0(curves, rates)
        ),
        Chart("Throughput", drawn(curves, dict.fromkeys(speed, "samples per second")), False, from_0(curves, speed)),
    ]
    return [chart for chart in charts if chart.series]


def more_charts(curves: Curves) -> list[Chart]:
    """One for each number that no main chart shows, titled as it is logged."""
    shown = {one.name for chart in main_charts(curves) for one in chart.series} | {name for name in curves if is_signal(name)}
    rest = [name for name in sorted(curves) if name not in shown]
    return [Chart(name, drawn(curves, {name: ""}), wide(curves, [name])) for name in rest]


def verdicts(curves: Curves, kind: str) -> dict[str, str]:
    """D's verdicts with what they are called: on real samples, on fakes before D's step, and before each G step."""
    steps = [name for name in curves if re.fullmatch(rf"generator/fake{kind}(_\d+)?", name)]
    steps.sort(key=lambda name: step_of(name))
    labels = {f"discriminator/real{kind}": "D(x)", f"discriminator/fake{kind}": "D(G(z)) in D's step"}
    for name in steps:
        which = ORDINALS.get(step_of(name), f"{step_of(name)}th")
        labels[name] = f"D(G(z)) before the {which} G step" if len(steps) > 1 else "D(G(z)) before G's step"
    return {name: label for name, label in labels.items() if name in curves}


def step_of(name: str) -> int:
    """generator/fake_probability_2 -> 2; without a number it is the first."""
    number = name.rpartition("_")[2]
    return int(number) if number.isdigit() else 1


def matching(curves: Curves, pattern: str) -> list[str]:
    return [name for name in sorted(curves) if re.fullmatch(pattern, name)]


def drawn(curves: Curves, labels: Mapping[str, str]) -> list[Series]:
    """The lines. D's first one has the first colour and G's the second in every chart; the others take what is left."""
    firsts = {1: "discriminator/", 2: "generator/"}
    colours: dict[str, int] = {}
    for colour, player in firsts.items():
        first = next((name for name in labels if name.startswith(player)), None)
        if first is not None:
            colours[first] = colour
    left = [colour for colour in range(1, COLOURS + 1) if colour not in colours.values()]
    others = [name for name in labels if name not in colours]
    colours |= {name: left[i % len(left)] for i, name in enumerate(others)}
    return [Series(name, label, curves[name], colours[name]) for name, label in labels.items()]


def wide(curves: Curves, names: Sequence[str]) -> bool:
    """Whether a few large values would press the others flat on an even axis; what is not positive needs an even one."""
    values = [value for name in names for _, value in curves[name] if drawable(value)]
    return bool(values) and min(values) > 0 and max(values) > WIDE * median(values)


def from_0(curves: Curves, names: Sequence[str]) -> tuple[float, float]:
    """0 and the largest value: for what is read by its height."""
    values = [value for name in names for _, value in curves[name] if drawable(value)]
    return min([0.0, *values]), max([0.0, *values])
