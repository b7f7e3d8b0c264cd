"""Failpoints: every operation that changes the disk announces itself here, so that tests can make each one fail.

GANSAKU_FAULTS says what shall happen, to this process alone:

    KILL 37         the process is killed before its 37th operation, as a power cut would
    TEAR 37 4096    the 37th operation, a write, gets only 4,096 bytes done; then the process is
                    killed (half if not given; -1: all but the last)
    ENOSPC 12       the 12th operation fails with this error
    ENOSPC 12+      that one and all later ones

A word after `on` counts only operations whose name or path holds it: `KILL 2 on rename`.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

VARIABLE = "GANSAKU_FAULTS"

Watcher = Callable[[str, Path, bytes | Path | None], None]
"""Told of an operation just before it is done: its name, its path, and what is written or the new name."""

watcher: Watcher | None = None


class Fault(NamedTuple):
    """What shall happen at which operation."""

    action: str
    number: int
    lasting: bool
    argument: int | None
    word: str


def parsed(text: str) -> Fault | None:
    """The fault in the words of the module's docstring; None for an empty text."""
    if not text:
        return None
    order, _, word = text.partition(" on ")
    action, number, *rest = order.split()
    return Fault(action, int(number.rstrip("+")), number.endswith("+"), int(rest[0]) if rest else None, word)


_fault = parsed(os.environ.get(VARIABLE, ""))
_count = 0


def reached(operation: str, path: Path, content: bytes | Path | None = None) -> int | None:
    """An operation is about to be done. Returns None, or how many bytes of a write to do before `end` is called.

    Raises OSError where the fault says so.
    """
    if watcher is not None:
        watcher(operation, path, content)
    return None if _fault is None else _counted(_fault, operation, path, content)


def watched() -> bool:
    """Whether anybody wants to know what is written."""
    return watcher is not None or _fault is not None


def _counted(fault: Fault, operation: str, path: Path, content: bytes | Path | None) -> int | None:
    global _count
    if fault.word not in f"{operation} {path}":
        return None
    _count += 1
    if _count < fault.number or (_count > fault.number and not fault.lasting):
        return None
    if fault.action == "KILL":
        end()
    if fault.action == "TEAR":
        if not isinstance(content, bytes):
            end()
        assert isinstance(content, bytes)
        return len(content) // 2 if fault.argument is None else min(fault.argument, len(content))
    number = getattr(errno, fault.action)
    raise OSError(number, os.strerror(number), str(path))


def end() -> None:
    """Kill this process: nothing more of it runs, no cleaning up."""
    os.kill(os.getpid(), signal.SIGKILL)
