"""What a report says, read from a run's folder: numbers, events, checkpoints, recipe. What is missing becomes a sentence.

Nothing in it names anyone's home folder: `/home/someone/runs` becomes `~/runs`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from gansaku.errors import RunError
from gansaku.health.meaning import Meaning
from gansaku.metrics.passport import Score
from gansaku.runs import log, manifest, phases
from gansaku.runs.folder import ABOUT, LOG, RECIPE, Folder
from gansaku.runs.log import Event
from gansaku.runs.phases import Span
from gansaku.runs.signals import read_meanings

T = TypeVar("T")
Curve = list[tuple[int, float]]
Logged = tuple[dict[str, Curve], list[int], list[Event]]

HOMES = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\+Users\\+)[^/\\\s\"':;,]+|/root(?![\w.-])")


SLOWEST = 1e-6  # samples per second: anything slower is no speed


@dataclass(frozen=True)
class Checkpoint:
    """One that is kept: samples seen, its size in bytes, and whether it is pinned."""

    seen: int
    size: int
    pinned: bool


@dataclass(frozen=True)
class Reading:
    """A run as its folder has it now."""

    name: str
    about: dict[str, Any]
    recipe: str  # the text of recipe.toml
    length: int  # samples; 0 where the recipe does not say
    curves: dict[str, Curve]
    starts: list[int]  # samples seen at each start of the training
    events: list[Event]
    checkpoints: list[Checkpoint]
    sheets: list[Path]
    scores: list[tuple[int, Score]] = field(default_factory=list)  # (samples seen, score) in the order they were made
    problems: list[str] = field(default_factory=list)  # what could not be read, a sentence each
    meanings: dict[str, Meaning] = field(default_factory=dict)  # of the signals that the run names
    phases: list[Span] = field(default_factory=list)  # of a growth
    phase_sheets: dict[str, Path] = field(default_factory=dict)  # from the end of each phase, by its size as it is called

    @property
    def data(self) -> dict[str, Any]:
        return table(self.about.get("data"))

    @property
    def count(self) -> int:
        """Samples in the data; 0 where it is not known."""
        return whole(self.data.get("count"))

    @property
    def unread(self) -> bool:
        """Whether the log could not be read."""
        return any(problem.startswith(LOG) for problem in self.problems)

    @property
    def seen(self) -> int:
        """The last row of the log; without rows, the newest checkpoint or sheet."""
        logged = [points[-1][0] for points in self.curves.values() if points]
        there = [*(one.seen for one in self.checkpoints[-1:]), *(sheet_seen(path) for path in self.sheets[-1:])]
        return int(max(logged or there, default=0))

    @property
    def seconds(self) -> float:
        """Spent on training, without the pauses between starts and what was overtaken."""
        return training_seconds(self.curves.get("samples_per_second", []), self.starts)


def read(folder: Folder) -> Reading:
    """Everything but the pictures."""
    problems: list[str] = []

    def tried(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except RunError as error:
            problems.append(f"{what}: {error.sentence}")
            return otherwise

    path = folder.path.absolute()
    hidden = Hidden(path)
    nothing: dict[str, Any] = {}
    empty: Logged = ({}, [], [])
    about = tried(ABOUT, folder.read_about, nothing)
    recipe = tried(RECIPE, folder.read_recipe, nothing)
    curves, starts, events = tried(LOG, lambda: logged(folder.log), empty)
    none: list[tuple[int, Score]] = []
    scores = tried(LOG, lambda: log.scores(folder.log), none)
    return Reading(
        name=path.name,
        about=hidden(table(about)),
        recipe=hidden(recipe_text(folder)),
        length=whole(recipe.get("length")),
        curves={hidden(name): points for name, points in curves.items()},
        starts=starts,
        events=[event._replace(kind=hidden(event.kind), sentence=hidden(event.sentence)) for event in events],
        checkpoints=checkpoints(folder),
        scores=[(seen, hidden_score(score, hidden)) for seen, score in scores],
        sheets=sorted((p for p in folder.sheets.glob("*.png") if p.stem.isdecimal()), key=sheet_seen),
        problems=[hidden(problem) for problem in problems],
        phases=(spans := phases.read(folder)),
        phase_sheets=phase_sheets(folder, spans),
        meanings={hidden(name): hidden_meaning(meaning, hidden) for name, meaning in read_meanings(folder).items()},
    )


def logged(path: Path) -> Logged:
    """Numbers, samples seen at each start, and events, without what is of another type: SQLite's columns hold anything."""
    starts = [start for start in log.starts(path) if counted(start)]
    curves = {
        name: [(seen, value) for seen, value in points if counted(seen) and isinstance(value, float)]
        for name, points in log.curves(path).items()
        if isinstance(name, str)
    }
    told = [event for event in log.events(path) if counted(event.seen) and isinstance(event.time, float)]
    return curves, starts, [event._replace(kind=str(event.kind), sentence=str(event.sentence)) for event in told]


def hidden_meaning(meaning: Meaning, hidden: Hidden) -> Meaning:
    told: dict[str, Any] = hidden(meaning.plain())
    return Meaning(**told)


def hidden_score(score: Score, hidden: Hidden) -> Score:
    passport = replace(score.passport, real=hidden(score.passport.real), generated=hidden(score.passport.generated))
    return replace(score, passport=passport)


@dataclass(frozen=True)
class Hidden:
    """Takes the run's own folder and home folders out of texts, however deep they lie in lists and tables."""

    path: Path

    def __call__(self, value: T) -> T:
        found: Any = value
        if isinstance(value, str):
            home = os.path.expanduser("~")  # where there is none it stays as it is
            text = value.replace(str(self.path), self.path.name)
            found = HOMES.sub("~", text.replace(home, "~") if len(home) > 1 else text)
        elif isinstance(value, Mapping):
            found = {self(key): self(inner) for key, inner in value.items()}
        elif isinstance(value, list):
            found = [self(inner) for inner in value]
        return found  # type: ignore[no-any-return]


def recipe_text(folder: Folder) -> str:
    try:
        return folder.recipe.read_text()
    except (OSError, ValueError):
        return ""


def checkpoints(folder: Folder) -> list[Checkpoint]:
    """Those that are there, oldest first; one that is removed meanwhile is not."""
    found = []
    for path in manifest.found(folder.checkpoints):
        try:
            size = sum(file.stat().st_size for file in path.iterdir())
        except OSError:
            continue
        found.append(Checkpoint(manifest.seen(path), size, manifest.notes(path).pinned))
    return found


def phase_sheets(folder: Folder, spans: Sequence[Span]) -> dict[str, Path]:
    """The sheets that are there, small samples first."""
    there = {phases.named(span.size): folder.path / phases.SHEETS / phases.sheet_name(span.size) for span in phases.ends(spans)}
    return {name: path for name, path in there.items() if path.is_file()}


def sheet_seen(path: Path) -> int:
    """The samples seen that a sheet is named by; 0 for one that is named otherwise."""
    return int(path.stem) if path.stem.isdecimal() else 0


def training_seconds(speeds: Sequence[tuple[int, float]], starts: Sequence[int]) -> float:
    """Samples over speed, summed over the ticks: each lasted from the tick or the start before it.

    A tick that stands belongs to the last attempt that started before it.
    """
    total, before = 0.0, 0.0
    for seen, speed in speeds:
        began = next((start for start in reversed(starts) if start < seen), 0)
        if SLOWEST < speed < math.inf:
            total += (seen - max(before, began)) / speed
        before = seen
    return total


def table(value: Any) -> dict[str, Any]:
    """The value if it is a table, else an empty one: run.json may be anybody's."""
    return value if isinstance(value, dict) else {}


def counted(value: Any) -> bool:
    """Whether it is a number of samples."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def whole(value: Any) -> int:
    """The value if it is a number of samples, else 0."""
    return int(value) if counted(value) else 0
