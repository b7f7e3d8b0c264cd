"""The log of a run: SQLite, one writer, many readers.

Numbers are keyed (attempt, samples seen, name). An attempt is one start of the training; rows that a later attempt
overtook (it began before them) are hidden, never deleted.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gansaku.errors import RunError

SCHEMA = """
create table if not exists attempts (attempt integer primary key, start integer not null, time real not null);
create table if not exists numbers (attempt integer, seen integer, name text, value real, primary key (attempt, seen, name))
    without rowid;
create table if not exists events (attempt integer, seen integer, time real, kind text, sentence text);
"""
# What no later attempt overtook.
STANDING = "not exists (select 1 from attempts a where a.attempt > t.attempt and a.start < t.seen)"


class Log:
    """The writer's end. One process at a time has it."""

    def __init__(self, path: Path):
        self._connection = connect(path)
        with self._connection:
            self._connection.executescript(SCHEMA)
        self.attempt = 0

    def begin(self, seen: int) -> None:
        """A new attempt that starts after `seen` samples."""
        (last,) = self._connection.execute("select coalesce(max(attempt), 0) from attempts").fetchone()
        self.attempt = last + 1
        with self._connection:
            self._connection.execute("insert into attempts values (?, ?, ?)", (self.attempt, seen, time.time()))

    def write(self, seen: int, numbers: Mapping[str, float]) -> None:
        rows = [(self.attempt, seen, name, value) for name, value in numbers.items()]
        with self._connection:
            self._connection.executemany("insert or replace into numbers values (?, ?, ?, ?)", rows)

    def event(self, seen: int, kind: str, sentence: str) -> None:
        with self._connection:
            self._connection.execute(
                "insert into events values (?, ?, ?, ?, ?)", (self.attempt, seen, time.time(), kind, sentence)
            )

    def close(self) -> None:
        self._connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """Write-ahead logging where the file system has it, so that readers never wait for the writer."""
    try:
        connection = sqlite3.connect(path, timeout=10)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
    except sqlite3.Error as error:
        raise RunError(str(path), f"the log cannot be opened: {error}", "LOG") from error
    return connection


def curve(path: Path, name: str) -> list[tuple[int, float]]:
    """(samples seen, value) of one name, in order, without what a later attempt overtook."""
    return _read(path, f"select seen, value from numbers t where name = ? and {STANDING} order by seen", (name,))


def names(path: Path) -> list[str]:
    """Every name in the log."""
    return [name for (name,) in _read(path, "select distinct name from numbers order by name", ())]


def events(path: Path) -> list[tuple[int, str, str]]:
    """(samples seen, kind, sentence), in the order they happened."""
    return _read(path, "select seen, kind, sentence from events order by time", ())


def attempts(path: Path) -> int:
    """How many times the training was started."""
    return len(_read(path, "select attempt from attempts", ()))


def _read(path: Path, query: str, values: tuple[object, ...]) -> list[Any]:
    if not path.is_file():
        return []
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise RunError(str(path), f"the log cannot be read: {error}", "LOG") from error
    finally:
        connection.close()
