"""The alarms of a run: each is told of once when it begins and once when it is over, in the log and to whoever listens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from gansaku.health.alarms import Alarm, Detector, Looked, alarms, history_of, known
from gansaku.runs import log
from gansaku.runs.log import Event

BEGINS, ENDS = "alarm", "recovered"
"""Kinds of events."""


class Told(NamedTuple):
    """An event: its kind and a sentence."""

    kind: str
    sentence: str


class Alarms:
    """Follows a training from look to look; of one that goes on, what the log has of the looks before is known."""

    def __init__(self, path: Path, detectors: Iterable[Detector] | None = None):
        self._path = path
        self._detectors = known() if detectors is None else tuple(detectors)
        self._history: list[Looked] | None = None

    def after(self, seen: int, numbers: Mapping[str, float]) -> list[Told]:
        """What changes with a look after so many samples; `numbers` have the log's names. What a rollback overtook is gone."""
        if self._history is None:
            self._history = history_of(log.curves(self._path))
        before = [one for one in self._history if one.seen < seen]
        self._history = before + history_of({name: [(seen, value)] for name, value in numbers.items()})
        return changes(alarms(before, self._detectors), alarms(self._history, self._detectors))


def changes(before: Iterable[Alarm], now: Iterable[Alarm]) -> list[Told]:
    """The alarms that are over now, then those that are new."""
    stood = {(one.kind, one.since) for one in before if one.until is None}
    over = [Told(ENDS, over_sentence(one)) for one in now if (one.kind, one.since) in stood and one.until is not None]
    new = [Told(BEGINS, sentence(one)) for one in now if (one.kind, one.since) not in stood and one.until is None]
    return over + new


def sentence(alarm: Alarm) -> str:
    """What is wrong, and what may help."""
    return f"{alarm.kind}: {alarm.evidence}; {alarm.remedy}"


def over_sentence(alarm: Alarm) -> str:
    return f"{alarm.kind}: no longer; it was so since {alarm.since:,} samples"


def standing(events: Iterable[Event]) -> list[Event]:
    """The alarms that are not over, in the order they began; a start or a rollback from before one has overtaken it.

    Other alarms, as of a phase of growth, have no end that could be told: they are not among these.
    """
    found: dict[str, Event] = {}
    for event in events:
        found = {kind: one for kind, one in found.items() if one.seen <= event.seen}
        told = re.match(r"[\w-]+(?=: )", event.sentence)
        if told and event.kind == BEGINS:
            found[told[0]] = event
        elif told and event.kind == ENDS:
            found.pop(told[0], None)
    return list(found.values())
