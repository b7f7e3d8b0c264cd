"""Who wants to hear what a verb is doing, and how a time is told."""

from __future__ import annotations

from collections.abc import Mapping


def duration(seconds: float) -> str:
    """42 s, 4 min 12 s, 3 h 7 min, 12 days."""
    whole_seconds = round(seconds)
    if whole_seconds < 60:
        return f"{whole_seconds} s"
    minutes, rest = divmod(whole_seconds, 60)
    if minutes >= 72 * 60:
        return f"{round(minutes / (24 * 60)):,} days"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


class Listener:
    """Who wants to hear what a verb is doing; this one says nothing."""

    def say(self, sentence: str) -> None: ...

    def preparing(self, done: int, total: int) -> None: ...

    def sampling(self, done: int, total: int) -> None: ...

    def downloading(self, done: int, total: int) -> None: ...

    def scoring(self, what: str, done: int, total: int) -> None: ...

    def projecting(self, what: str, done: int, total: int) -> None: ...

    def begin(self, seen: int, length: int) -> None: ...

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...
