"""The scores of a report: a table with every passport, and a chart of each score that was made more than once."""

from __future__ import annotations

from collections.abc import Sequence

from gansaku.metrics.passport import PROTOCOL, Score, protocol
from gansaku.render.curves import COLOURS, Series
from gansaku.runs.report_charts import Chart
from gansaku.runs.report_words import e

Scored = tuple[int, Score]  # samples seen, score

BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": "to be read beside the data's own"}
AT_SIZE = " at "  # between a score's name and the size of a growth that it was made at
PRINTED = 12  # digits of a fingerprint


def by_protocol(scores: Sequence[Scored]) -> dict[tuple[str, str], list[Scored]]:
    """Like scores together, each in the order of the samples seen; of two at one place the later one."""
    groups: dict[tuple[str, str], dict[int, Score]] = {}
    for seen, score in scores:
        groups.setdefault((score.name, score.passport.digest), {})[seen] = score
    return {kind: sorted(found.items(), key=lambda one: one[0]) for kind, found in groups.items()}


def score_charts(scores: Sequence[Scored]) -> list[Chart]:
    """Each kind of score over samples seen, where there are two or more; those of a growth's sizes in one picture."""
    bases: dict[str, list[list[Scored]]] = {}
    for (name, _), found in by_protocol(scores).items():
        bases.setdefault(name.partition(AT_SIZE)[0], []).append(found)
    charts: list[Chart] = []
    for base, kinds in bases.items():
        if any(AT_SIZE in found[-1][1].name for found in kinds):
            charts.append(by_size(base, kinds))
        else:
            charts += [over_time(found) for found in kinds if len(found) > 1]
    return charts


def over_time(found: Sequence[Scored]) -> Chart:
    """One kind of score, as it was made."""
    score, points = found[-1][1], [(seen, one.value) for seen, one in found]
    return Chart(score.name, [Series(score.name, "", points)], note=f"{protocol(score)}; {BETTER[score.better]}.")


def by_size(base: str, kinds: Sequence[Sequence[Scored]]) -> Chart:
    """A line for each size of a growth, as they were made."""
    series = []
    for i, found in enumerate(kinds):
        name, points = found[-1][1].name, [(seen, one.value) for seen, one in found]
        series.append(Series(name, name.partition(AT_SIZE)[2] or "full size", points, 1 + i % COLOURS))
    score, values = kinds[0][-1][1], [value for one in series for _, value in one.points]
    note = (
        "Each phase at its own size; when it ends, its samples at the size before too. Lines of different sizes say nothing of "
        f"each other; one whose last point is worse says that the growth did harm. {protocol(score)}; {BETTER[score.better]}."
    )
    return Chart(f"{base} at each size", series, min(values) > 0 and max(values) > 4 * min(values), note=note)


def scores_table(scores: Sequence[Scored]) -> str:
    """The last and the best of each kind of score, with its passport; nothing where there are no scores."""
    groups = by_protocol(scores)
    if not groups:
        return ""
    rows = []
    for (name, _), found in groups.items():
        seen, last = found[-1]
        best_seen, best = best_of(found)
        warned = "".join(f"<br><small>{e(warning)}</small>" for warning in last.warnings)
        rows.append(
            f'<tr><td><b>{unbroken(name)}</b></td><td class="number">{told(last)}<br><small>at {seen:,}</small></td>'
            f'<td class="number">{told(best)}<br><small>at {best_seen:,}</small></td>'
            f"<td>{e(protocol(last))}{warned}<details><summary>Passport</summary>{passport(last)}</details></td></tr>"
        )
    head = '<tr><th>Score</th><th class="number">Last</th><th class="number">Best</th><th>How it was made</th></tr>'
    lead = '<p class="lead">Only scores that were made the same way may be compared: a passport says how.</p>'
    body = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<section id="scores"><h2>Scores</h2>{lead}{body}</section>'


def unbroken(name: str) -> str:
    """A score's name that is not broken within a size."""
    return e(name).replace(" × ", "&nbsp;×&nbsp;")


def best_of(found: Sequence[Scored]) -> Scored:
    """The best; the last where neither way is better. Of equal ones the earlier."""
    better = found[-1][1].better
    if better == "neither":
        return found[-1]
    return min(found, key=lambda one: one[1].value if better == "lower" else -one[1].value)


def told(score: Score) -> str:
    interval = f" <small>[{score.interval[0]:.4g}, {score.interval[1]:.4g}]</small>" if score.interval else ""
    return f"{score.value:.4g}{interval}"


def passport(score: Score) -> str:
    """Every field; what decides whether scores may be compared comes first."""
    fields = vars(score.passport)
    names = [*PROTOCOL, *(name for name in fields if name not in PROTOCOL)]
    shown = [(name, fields[name]) for name in names if fields[name] not in ("", None, {})]
    listed = "".join(f"<div><dt>{e(name.replace('_', ' '))}</dt><dd>{e(value_text(value))}</dd></div>" for name, value in shown)
    return f'<dl class="list">{listed}</dl>'


def value_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    text = str(value)
    return text[:PRINTED] if len(text) == 64 else text  # a fingerprint
