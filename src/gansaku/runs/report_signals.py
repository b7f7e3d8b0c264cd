"""The signals of a report: a small chart each in groups, with what is healthy, and the data's own value beside it."""

from __future__ import annotations

from collections.abc import Mapping

from gansaku.health.meaning import TITLES, Meaning
from gansaku.render.curves import COLOURS, Series
from gansaku.runs.report_charts import Chart, Curves, wide
from gansaku.runs.signals import Row, is_signal, rows

DATA = 8  # the colour of the data's own values: grey


def signal_groups(curves: Curves, meanings: Mapping[str, Meaning]) -> list[tuple[str, list[Chart]]]:
    """The title of each group that has signals, with its charts."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows(curves, meanings):
        if is_signal(row.name):
            shared = row.meaning.chart or row.meaning.title
            found.setdefault(row.meaning.group, {}).setdefault(shared, []).append(row)
    groups = [group for group in TITLES if group in found]
    return [(TITLES[group], [chart(title, mine, curves) for title, mine in found[group].items()]) for group in groups]


def chart(title: str, together: list[Row], curves: Curves) -> Chart:
    """The rows in one picture. A lone one needs no label, unless the data's own stands beside it."""
    lone = len(together) == 1
    series = []
    for i, row in enumerate(together):
        label = ("samples" if row.data else "") if lone else row.meaning.title
        series.append(Series(row.name, label, row.points, 1 + i % (COLOURS - 1)))
        if row.data:
            series.append(Series(f"{row.name} of the data", "data", row.data, DATA))
    means, healthy = ([*dict.fromkeys(getattr(row.meaning, what) for row in together)] for what in ("means", "healthy"))
    notes = [sentence(means[0]) if len(means) == 1 else "", f"Healthy: {'; '.join(healthy)}." if any(healthy) else ""]
    return Chart(title, series, wide(curves, [row.name for row in together]), note=" ".join(filter(None, notes)))


def sentence(text: str) -> str:
    """`share of pairs` -> `Share of pairs.`"""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
