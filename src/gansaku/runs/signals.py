"""The signals of a run, read from its folder: what they are now, how they went, and what is healthy. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gansaku import files
from gansaku.health.meaning import PREFIX, SHARE, TITLES, Meaning, from_plain, step_meaning
from gansaku.runs import log
from gansaku.runs.folder import Folder, opened

FILE = "signals.json"
"""In a run's folder: what its signals mean, a user's own included."""

Point = tuple[float, float]


class Row(NamedTuple):
    """One signal: its name in the log, what it means, its points in order, and the data's own ones where there are."""

    name: str
    meaning: Meaning
    points: Sequence[Point]
    data: Sequence[Point]

    def plain(self) -> dict[str, Any]:
        """For JSON. What is not finite is null."""
        values = [value for _, value in self.points if math.isfinite(value)]
        return {
            "name": self.name,
            "group": self.meaning.group,
            "title": self.meaning.title,
            "means": self.meaning.means,
            "healthy": self.meaning.healthy,
            "now": finite(self.points[-1][1]),
            "at": int(self.points[-1][0]),
            "data": finite(self.data[-1][1]) if self.data else None,
            "first": values[0] if values else None,
            "least": min(values, default=None),
            "most": max(values, default=None),
            "points": [[int(seen), finite(value)] for seen, value in self.points],
        }


def write_meanings(folder: Folder, meanings: Mapping[str, Meaning]) -> None:
    """What the signals of this run mean, beside its log. Raises DiskError."""
    files.write_json(folder.path / FILE, {name: meaning.plain() for name, meaning in meanings.items()})


def read_meanings(folder: Folder) -> dict[str, Meaning]:
    """What the run says of its signals; of a run without, or with something else in the file, nothing."""
    try:
        content = json.loads((folder.path / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    found = {name: from_plain(one) for name, one in content.items()} if isinstance(content, dict) else {}
    return {name: meaning for name, meaning in found.items() if meaning is not None}


def rows(curves: Mapping[str, Sequence[Point]], meanings: Mapping[str, Meaning]) -> list[Row]:
    """Every signal that was logged, by groups; one whose meaning nobody wrote down is called by its name."""
    companions = {SHARE, *(meaning.data for meaning in meanings.values())}
    places, groups = {name: i for i, name in enumerate(meanings)}, list(TITLES)
    found: list[tuple[tuple[int, int, int], Row]] = []
    for name, points in curves.items():
        step = step_meaning(name)
        if name in meanings:
            kind, place, meaning = 1, places[name], meanings[name]
        elif step is not None:
            kind, place, meaning = 0, *step
        elif name.startswith(PREFIX) and name not in companions:
            kind, place, meaning = 2, 0, Meaning("samples", name.removeprefix(PREFIX), "", "")
        else:
            continue
        row = Row(name, meaning, points, data_points(meaning.data, points, curves))
        found.append(((groups.index(meaning.group), kind, place), row))
    return [row for _, row in sorted(found, key=lambda one: (one[0], one[1].name)) if row.points]


def data_points(data: str | float | None, points: Sequence[Point], curves: Mapping[str, Sequence[Point]]) -> Sequence[Point]:
    """The data's own value at the signal's moments: a constant, or what was logged under its name."""
    if data is None:
        return []
    return curves.get(data, []) if isinstance(data, str) else [(seen, float(data)) for seen, _ in points]


def signals_of(path: str | Path) -> dict[str, Any]:
    """The run's signals for JSON, and the share of the time that looking took. Raises a GansakuError where there is no run."""
    folder = opened(path)
    curves = log.curves(folder.log)
    share = curves.get(SHARE, [])
    return {
        "run": str(path),
        "looks": len(share),
        "share_of_time": finite(share[-1][1]) if share else None,
        "signals": [row.plain() for row in rows(curves, read_meanings(folder))],
    }


def is_signal(name: str) -> bool:
    """Whether a number of the log is told of among the signals, and not with the step's other numbers."""
    return name.startswith(PREFIX) or name.endswith("/update")


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
