"""The log of a run: SQLite, one writer, many readers.

Numbers are keyed (attempt, samples seen, name). An attempt is one start of the training; rows that a later attempt
overtook (it began before them) are hidden, never deleted. What cannot be written now waits in memory and is written
with what comes next: a full disk never stops a training.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gansaku import faults, files
from gansaku.errors import DiskError, RunError, UsageError
from gansaku.metrics.passport import Score, from_plain

SCHEMA = """
create table if not exists attempts (attempt integer primary key, start integer not null, time real not null);
create table if not exists numbers (attempt integer, seen integer, name text, value real, primary key (attempt, seen, name))
    without rowid;
create table if not exists events (attempt integer, seen integer, time real, kind text, sentence text);
create table if not exists scores (attempt integer, seen integer, time real, name text, value real, score text);
"""
# What no later attempt overtook.
STANDING = "not exists (select 1 from attempts a where a.attempt > t.attempt and a.start < t.seen)"
WAITING = 10_000  # statements that wait for a disk with room; older ones are lost then
BUSY = 10_000  # milliseconds that one process waits for another

Statement = tuple[str, tuple[object, ...]]


class Event(NamedTuple):
    """Something that happened: when by samples seen and by the clock, its kind and a sentence."""

    seen: int
    kind: str
    sentence: str
    time: float


class Log:
    """The writer's end; one process at a time has it. Raises DiskError when something has to wait."""

    def __init__(self, path: Path):
        self._path, self._connection = path, opened(path)
        self._waiting: deque[Statement] = deque(maxlen=WAITING)
        self.attempt = 0

    def begin(self, seen: int) -> None:
        """A new attempt that starts after `seen` samples."""
        if not self.attempt:
            try:
                (last,) = self._connection.execute("select coalesce(max(attempt), 0) from attempts").fetchone()
            except sqlite3.Error as error:
                raise DiskError(str(self._path), f"the log cannot be read: {error}", "LOG") from error
            self.attempt = int(last)
        self.attempt += 1
        self._write([("insert into attempts values (?, ?, ?)", (self.attempt, seen, time.time()))])

    def write(self, seen: int, numbers: Mapping[str, float]) -> None:
        """Numbers after so many samples; one that is not finite is stored as a gap."""
        statement = "insert or replace into numbers values (?, ?, ?, ?)"
        rows = [(self.attempt, seen, name, value if math.isfinite(value) else None) for name, value in numbers.items()]
        self._write([(statement, row) for row in rows])

    def event(self, seen: int, kind: str, sentence: str) -> None:
        row = (self.attempt, seen, time.time(), kind, sentence)
        self._write([("insert into events values (?, ?, ?, ?, ?)", row)])

    def score(self, seen: int, score: Score) -> None:
        """A score of the samples that the generator made after so many."""
        self._write([scored(self.attempt, seen, score)])

    def close(self) -> None:
        """Write what waits, if it can be."""
        with suppress(DiskError):
            self._write([])
        with suppress(sqlite3.Error):
            self._connection.close()

    def _write(self, statements: list[Statement]) -> None:
        self._waiting.extend(statements)
        try:
            faults.reached("log", self._path)
            with self._connection:
                for statement, values in self._waiting:
                    self._connection.execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            sentence = f"the log cannot be written: {error}; {len(self._waiting)} entries wait"
            raise DiskError(str(self._path), sentence, "LOG") from error
        self._waiting.clear()


def scored(attempt: int, seen: int, score: Score) -> Statement:
    row = (attempt, seen, time.time(), score.name, score.value, json.dumps(score.plain()))
    return "insert into scores values (?, ?, ?, ?, ?, ?)", row


def note_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write scores that somebody made beside the training, if there is one. Raises DiskError."""
    try:
        connection = connect(path)
        try:
            with connection:
                (last,) = connection.execute("select coalesce(max(attempt), 0) from attempts").fetchone()
                for score in scores:
                    connection.execute(*scored(last, score.passport.seen or 0, score))
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise DiskError(str(path), f"the scores cannot be noted: {error}", "LOG") from error


def opened(path: Path) -> sqlite3.Connection:
    """A log to write to. One that is damaged is set aside as `log.sqlite.damaged`, and a new one begun."""
    try:
        return connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # a full disk, a lock: not damage
            raise DiskError(str(path), f"the log cannot be opened: {error}", "LOG") from error
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        if (path.parent / name).exists():
            files.rename(path.parent / name, path.parent / f"{name}.damaged")
    try:
        return connect(path)
    except sqlite3.Error as error:
        raise DiskError(str(path), f"the log cannot be opened: {error}", "LOG") from error


def connect(path: Path) -> sqlite3.Connection:
    """Write-ahead logging where the file system has it, so that readers never wait for the writer."""
    connection = sqlite3.connect(path, timeout=BUSY / 1000)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        with connection:
            connection.executescript(SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def curve(path: Path, name: str) -> list[tuple[int, float]]:
    """(samples seen, value) of one name, in order, without what a later attempt overtook; a gap is NaN."""
    rows = _read(path, f"select seen, value from numbers t where name = ? and {STANDING} order by seen", (name,))
    return [(seen, math.nan if value is None else value) for seen, value in rows]


def curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Every name's `curve`, read at one moment."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, seen, value in _read(path, f"select name, seen, value from numbers t where {STANDING} order by name, seen", ()):
        found.setdefault(name, []).append((seen, math.nan if value is None else value))
    return found


def scores(path: Path) -> list[tuple[int, Score]]:
    """(samples seen, score) in the order they were made, without what a later attempt overtook, or what is no score."""
    found = []
    for seen, text in _read(path, f"select seen, score from scores t where {STANDING} order by time", ()):
        with suppress(UsageError, ValueError, TypeError):  # a log may be anybody's
            found.append((int(seen), from_plain(json.loads(text))))
    return found


def events(path: Path) -> list[Event]:
    """In the order they happened."""
    return [Event(*row) for row in _read(path, "select seen, kind, sentence, time from events order by time", ())]


def starts(path: Path) -> list[int]:
    """Samples seen at each start of the training, in order; a rollback counts as one."""
    return [start for (start,) in _read(path, "select start from attempts order by attempt", ())]


def attempts(path: Path) -> int:
    """How many times the training was started."""
    return len(starts(path))


def _read(path: Path, query: str, values: tuple[object, ...]) -> list[Any]:
    """The rows of a query. A log that nobody writes may lie where nothing can be written: it is read as it is."""
    if not path.is_file():
        return []
    problem: sqlite3.Error | None = None
    for how in ("mode=ro", "mode=ro&immutable=1"):
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY / 1000)
            try:
                return connection.execute(query, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return []  # its writer has just made the file
            problem = error
            if not isinstance(error, sqlite3.OperationalError) or "locked" in str(error):
                break  # somebody writes: as it is, it might be half of something
    raise RunError(str(path), f"the log cannot be read: {problem}", "LOG")
