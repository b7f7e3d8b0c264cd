"""Who wants to hear what a verb is doing, and how a time is told."""

from __future__ import annotations

from collections.abc import Mapping


def clock_text(seconds: float) -> str:
    """4 s, 3:07, 2:15:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Listener:
    """Who wants to hear what a verb is doing; this one says nothing."""

    def say(self, sentence: str) -> None: ...

    def preparing(self, done: int, total: int) -> None: ...

    def sampling(self, done: int, total: int) -> None: ...

    def begin(self, seen: int, length: int) -> None: ...

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...
