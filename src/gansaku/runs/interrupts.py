"""Signals that ask a training to stop: the running cycle is finished, then a checkpoint is written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Empty until a signal came; then its number. True once it came."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        return 128 + (self.signal or 0)


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Notes the first signal; the second one ends the process as it always did."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers; whoever runs us there stops us another way
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        for asked, handler in before.items():
            signal.signal(asked, handler)

    # One that is ignored stays ignored: `nohup` means it.
    asked_here = [s for s in ASKING if signal.getsignal(s) not in (signal.SIG_IGN, None)]
    before = {asked: signal.signal(asked, note) for asked in asked_here}
    try:
        yield request
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)
