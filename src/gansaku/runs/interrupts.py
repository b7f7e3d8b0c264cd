"""Signals that ask a verb to stop: at once while nothing can be lost, after the running cycle while it trains."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gansaku.errors import Interrupted

NOTHING = "interrupted; nothing half-done is left"
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Empty until a signal came; then its number. True once it came."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.noting = False  # a signal is noted; else it is raised where the process is

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self, number: int) -> None:
        """A signal that reached another process of this training."""
        self.signal = self.signal or number

    @contextmanager
    def noted(self) -> Iterator[None]:
        """In the block a signal is noted and not raised: whoever works there looks at the request."""
        self.noting = True
        try:
            yield
        finally:
            self.noting = False

    def interrupted(self, where: str, sentence: str) -> Interrupted:
        return Interrupted(where, sentence, self.signal or 0)


@contextmanager
def listening(where: str, sentence: str = NOTHING) -> Iterator[StopRequest]:
    """Raises the first signal, with this sentence, or notes it; the second one ends the process as it always did."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers; whoever runs us there stops us another way
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        for asked, handler in before.items():
            signal.signal(asked, handler)
        if not request.noting:
            raise request.interrupted(where, sentence)

    # One that is ignored stays ignored: `nohup` means it.
    asked_here = [s for s in ASKING if signal.getsignal(s) not in (signal.SIG_IGN, None)]
    before = {asked: signal.signal(asked, note) for asked in asked_here}
    try:
        yield request
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)
