"""Who wants to hear what a verb is doing."""

from __future__ import annotations

from collections.abc import Mapping


class Listener:
    """Who wants to hear what a verb is doing; this one says nothing."""

    def say(self, sentence: str) -> None: ...

    def preparing(self, done: int, total: int) -> None: ...

    def begin(self, seen: int, length: int) -> None: ...

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...
