"""The scores of a report: each metric's table and picture, how it was made, and its curves on the way. Text in, text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gansaku.experiments.analysis import value
from gansaku.experiments.report_forest import Span, badge, forest, strip
from gansaku.experiments.report_reading import Side, Told
from gansaku.experiments.report_sentences import BETTER, Write, answer, best, means, number, seeds, stands
from gansaku.experiments.results import Curve, Result
from gansaku.experiments.statistics import LEVEL, paired_t
from gansaku.metrics.passport import PROTOCOL, Score, protocol
from gansaku.render.curves import Series, chart, drawable, legend
from gansaku.runs.report_charts import wide
from gansaku.runs.report_scores import value_text
from gansaku.runs.report_words import e

TOGETHER = 5  # arms in one chart; of more, each has its own, beside the baseline
BANDS_FROM = 3  # seeds: an interval of two is wider than any picture
WIDEST = 10  # seeds whose values stand in a table that is not folded away


def scores(told: Told) -> str:
    """A part for every metric that has scores."""
    parts = [metric_part(told, metric) for metric in told.metrics if any(means(side, metric)[2] for side in told.sides)]
    if not parts:
        return '<section id="scores"><h2>Scores</h2><p class="lead">No training has a score yet.</p></section>'
    lead = "Each arm's seeds, their mean, and their deviation. “Best” stands only where intervals show it."
    return f'<section id="scores"><h2>Scores</h2><p class="lead">{lead}</p>{"".join(parts)}</section>'


def metric_part(told: Told, metric: str) -> str:
    """Table, passport, and, but for the metric that answers the question, its pairs."""
    found = {side.number: means(side, metric)[2] for side in told.sides}
    like = next(score for scores in found.values() for score in scores)
    every = [score.value for scores in found.values() for score in scores]
    room = 0.03 * (max(every) - min(every)) or abs(every[0]) or 1.0
    span, winner = Span(min(every) - room, max(every) + room), best(told, metric)
    rows = "".join(arm_row(told, side, metric, like, span, side.name == winner) for side in told.sides)
    head = (
        '<tr><th>Arm</th><th class="wide">Seeds</th><th class="number">Mean</th><th class="number">Deviation</th><th></th></tr>'
    )
    pairs = told.rows_of(metric)
    more = "" if pairs == told.first else f"{answers(told, metric)}{forest(told, pairs)}"
    return (
        f'<div class="metric"><h3>{e(like.name)} <span class="unit">{BETTER[like.better]}</span></h3>'
        f'<table class="arms-table"><thead>{head}</thead><tbody>{rows}</tbody></table>{more}'
        f"{each_seed(told, metric)}{made(like)}</div>"
    )


def arm_row(told: Told, side: Side, metric: str, like: Score, span: Span, winner: bool) -> str:
    mean, deviation, _ = means(side, metric)
    values = [(seed, v) for seed, result in sorted(side.results.items()) if (v := value(result, metric)) is not None]
    broke = len(side.broken)
    told_broken = f"<br><small>of {len(values)}, {broke} broke</small>" if broke else ""
    verdict = stands(told, side, metric)
    said = '<span class="badge open">baseline</span>' if verdict == "baseline" else badge(verdict) if verdict else ""
    if winner:
        said += ' <span class="badge best">best</span>'
    return (
        f'<tr><td class="name"><i class="dot s{side.colour}"></i>{e(side.name)}</td>'
        f'<td class="wide">{strip(side, values, broke, span, mean, like.better)}</td>'
        f'<td class="number"><b>{"–" if mean is None else number(mean, zeros=True)}</b>{told_broken}</td>'
        f'<td class="number">{"–" if deviation is None else number(deviation, 3, zeros=True)}</td>'
        f'<td class="said">{said}</td></tr>'
    )


def answers(told: Told, metric: str) -> str:
    said = "".join(f"<li>{answer(row, bold(told), e)}</li>" for row in told.rows_of(metric))
    return f'<ul class="answers small">{said}</ul>'


def bold(told: Told) -> Write:
    """How arms stand in sentences."""
    return lambda name: f"<b>{e(told.called(name))}</b>"


def each_seed(told: Told, metric: str) -> str:
    """Every score, with its own interval where it has one; folded away where there are many."""
    head = "".join(f'<th class="number">seed {seed}</th>' for seed in told.seeds)
    rows = "".join(
        f'<tr><td class="name">{e(side.name)}</td>'
        + "".join(f'<td class="number">{cell(side.results.get(seed), metric)}</td>' for seed in told.seeds)
        + "</tr>"
        for side in told.sides
    )
    table = (
        f'<div class="scroll"><table class="each"><thead><tr><th>Arm</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    unfolded = " open" if len(told.seeds) <= WIDEST else ""
    return f"<details{unfolded}><summary>Every seed</summary>{table}</details>"


def cell(result: Result | None, metric: str) -> str:
    """A score, or why there is none."""
    if result is None:
        return '<span class="none">–</span>'
    if result.broken:
        return '<span class="broke">broke</span>'
    score = result.score(metric)
    if score is None:
        return '<span class="broke">no score</span>'
    low_high = f' title="[{number(score.interval[0])}, {number(score.interval[1])}]"' if score.interval else ""
    return f"<span{low_high}>{number(score.value, zeros=True)}</span>"


def made(score: Score) -> str:
    """The passport: in a line, and every field that all scores of the metric share."""
    fields = vars(score.passport)
    shown = [(name, fields[name]) for name in PROTOCOL if fields[name] not in ("", None, {})]
    listed = "".join(
        f"<div><dt>{e(name.replace('_', ' '))}</dt><dd>{e(value_text(content))}</dd></div>" for name, content in shown
    )
    warned = "".join(f" {e(warning[:1].upper() + warning[1:])}." for warning in score.warnings)
    return (
        f'<p class="note">{e(protocol(score))}.{warned}</p>'
        f'<details><summary>Passport</summary><dl class="list">{listed}</dl></details>'
    )


# on the way


def curves(told: Told) -> str:
    """A chart of each score that was made on the way; where arms are many, one for each of them."""
    names = dict.fromkeys(name for result in told.results for name, points in result.curves.items() if points)
    title = '<section id="charts"><h2>On the way</h2>'
    if not names:
        return f'{title}<p class="lead">No scores were made on the way.</p></section>'
    many = len(told.sides) > TOGETHER
    levels, apart_by = ([one for name in names for one in made(told, name)] for made in (score_figures, difference_figures))
    band = f"a {100 * LEVEL:g} % interval of that mean at each point by itself (from {BANDS_FROM} seeds on)"
    lead = f"A line is an arm's mean over its seeds, the shade {band}, thin lines are the seeds. "
    lead += "Shades that overlap do not make arms alike: the answer goes by differences of the same seed."
    if any(side.broken for side in told.sides):
        lead += " A cross on the floor is where a run broke; from there the line is the mean of the others."
    if many:
        lead += " Each arm stands beside the baseline, which is grey, on the same axes."
    if not many:
        return f'{title}<p class="lead">{lead}</p><div class="charts">{"".join(levels + apart_by)}</div></section>'
    parts = [f'{title}<p class="lead">{lead}</p><div class="charts small">{"".join(levels)}</div>']
    if apart_by:
        parts.append(f'<h3 class="more">Differences to the baseline</h3><div class="charts small">{"".join(apart_by)}</div>')
    return "".join([*parts, "</section>"])


def score_figures(told: Told, name: str) -> list[str]:
    lines = {side.number: series(side, name) for side in told.sides if any(r.curves.get(name) for r in side.results.values())}
    points = [point for line in lines.values() for strand in (line.points, *line.strands) for point in strand]
    end = max(x for x, _ in points)
    values = [y for _, y in points if drawable(y)]
    log = wide({"": points}, [""]) and min(values) > 0
    if len(told.sides) <= TOGETHER:
        return [figure(name, list(lines.values()), end, log, None, 5)]
    bounds = (min(values), max(values)) if values else None
    others = [line for number, line in lines.items() if number]
    first = [replace(lines[0], label="baseline")] if 0 in lines else []
    return [figure(line.label, [*first, line], end, log, bounds, 3, f"{name} ") for line in others] or [
        figure(name, first, end, log, None, 5)
    ]


def difference_figures(told: Told, name: str) -> list[str]:
    """The same as differences to the baseline, seed by seed: what the answer goes by."""
    base = {seed: dict(result.curves.get(name, ())) for seed, result in told.sides[0].results.items()}
    lines = []
    for side in told.sides[1:]:
        own = {seed: apart(base.get(seed, {}), result.curves.get(name, ())) for seed, result in side.results.items()}
        found = {seed: points for seed, points in own.items() if points}
        if found:
            lines.append(averaged(name, side, found, {}))
    points = [point for line in lines for strand in (line.points, *line.strands) for point in strand]
    if not points:
        return []
    end = max(x for x, _ in points)
    if len(told.sides) <= TOGETHER:
        return [figure("Difference to the baseline", lines, end, False, None, 5, f"{name} ")]
    values = [0.0, *(y for _, y in points if drawable(y))]
    bounds = (min(values), max(values))
    return [figure(line.label, [line], end, False, bounds, 3, f"{name} ") for line in lines]


def apart(base: Mapping[int, float], points: Curve) -> Curve:
    """b - a where both have a value."""
    return tuple((seen, y - base[seen]) for seen, y in points if seen in base)


def figure(
    title: str, lines: Sequence[Series], end: float, log: bool, bounds: tuple[float, float] | None, ticks: int, of: str = ""
) -> str:
    unit = f' <span class="unit">{e(of)}{"log scale" if log else ""}</span>'
    return (
        f'<figure class="chart"><figcaption><h3>{e(title)}{unit}</h3><output></output></figcaption>'
        f"{legend(lines)}{chart(title, lines, end, log=log, bounds=bounds, ticks=ticks)}</figure>"
    )


def series(side: Side, name: str) -> Series:
    """An arm's mean over its seeds, the band around it, and the seeds; a seed that broke ends with a cross."""
    own = {seed: result.curves[name] for seed, result in side.results.items() if result.curves.get(name)}
    return averaged(name, side, own, {result.seed: True for result in side.broken})


def averaged(name: str, side: Side, own: Mapping[int, Curve], broke: Mapping[int, bool]) -> Series:
    strands = [ended(points, broke.get(seed, False)) for seed, points in own.items()]
    points, band = meant(own)
    return Series(name, side.name, points, side.colour, band, strands if len(strands) > 1 or not points else ())


def ended(points: Curve, broke: bool) -> list[tuple[float, float]]:
    """With a gap at its end where the run broke."""
    return [*points, (points[-1][0], math.nan)] if broke else list(points)


def meant(found: Mapping[int, Curve]) -> tuple[list[tuple[float, float]], list[tuple[float, float, float]]]:
    """The mean at each number of samples at which more than half of the seeds that got there have one, and its interval."""
    at: dict[int, list[float]] = {}
    for curve in found.values():
        for seen, y in curve:
            if drawable(y):
                at.setdefault(seen, []).append(y)
    last = [curve[-1][0] for curve in found.values()]
    kept = {seen: ys for seen, ys in sorted(at.items()) if 2 * len(ys) > sum(end >= seen for end in last)}
    points = [(float(seen), sum(ys) / len(ys)) for seen, ys in kept.items()]
    band = [(float(seen), *paired_t(ys, LEVEL)) for seen, ys in kept.items() if len(ys) >= BANDS_FROM]
    return points, band


def counted(told: Told) -> str:
    """2 arms at 5 seeds."""
    return f"{len(told.sides)} arms at {seeds(len(told.seeds))}"
