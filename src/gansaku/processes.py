"""The processes of one training: how they find each other, notice when one hangs, and leave together.

A launcher starts them and says to each which it is, by the variables that torchrun sets; `gansaku.launch` is one.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from gansaku import ranks
from gansaku.errors import Stopped, UsageError
from gansaku.hardware import check_ranks

TIMEOUT = 120.0  # seconds without an answer after which another process counts as lost
PATIENCE = timedelta(days=30)  # with orders: rank 0 may prepare data or score meanwhile
BEAT = 1.0  # seconds between two signs of life
PARENT = "GANSAKU_PARENT"  # the process that started this rank and watches over it
GRACE = 5.0  # seconds in which a launcher ends those who lost another one, so that its message comes first


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher has started this process as one of several."""
    check_ranks(environment)
    return int(environment.get("WORLD_SIZE") or 1) > 1


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Which of them this process is, before they have met."""
    return int(environment.get("RANK") or 0) if launched(environment) else 0


@contextmanager
def joined(where: torch.device, timeout: float = TIMEOUT, ask: Callable[[int], None] = lambda number: None) -> Iterator[None]:
    """All processes that a launcher started are ranks of one training in the block; nothing where there is one.

    When rank 0 leaves it, the others are told that this is the end. Signals that reach another rank are handed to rank 0's
    `ask`. Raises UsageError when the others do not come within `timeout` seconds.
    """
    if not launched():
        yield
        return
    patience = timedelta(seconds=timeout)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    watch = None
    try:
        store, number, count = next(rendezvous("env://", timeout=patience))
        store = PrefixStore(gathering(store, number, count, timeout), store)
        watch = Watch(store, number, count, timeout, ask)  # first: to meet may take as long as PATIENCE
        backend = "cpu:gloo,cuda:nccl" if where.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=number, world_size=count, timeout=patience)
        ranks.take_orders(distributed.new_group(backend="gloo", timeout=PATIENCE))
    except (RuntimeError, ValueError) as error:
        if watch is not None:
            watch.over.set()
        said = str(error).splitlines()[0]
        sentence = f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} did not find the others within {timeout:.0f} s"
        advice = "is MASTER_PORT taken, or MASTER_ADDR another machine's?"
        raise UsageError("ranks", f"{sentence} ({said}); {advice}", "RANKS") from error
    try:
        with ranks.heard():
            yield
    except Stopped as error:
        if error.code == ranks.LOST:
            time.sleep(GRACE)
        raise
    finally:
        watch.over.set()
        if number == 0:
            with suppress(RuntimeError), ranks.alone(False):
                ranks.tell(ranks.Order.END)
        ranks.take_orders(None)
        with suppress(RuntimeError):
            distributed.destroy_process_group()


def gathering(store: Any, number: int, count: int, timeout: float) -> str:
    """A name that exactly these processes share, and no earlier ones.

    torchrun keeps one store when it starts processes again, and what the dead wrote there, their addresses too, still
    stands. Each writes a word of its own; rank 0 names all words it sees, anew while they change, until everyone has found
    its own word among them. Raises RuntimeError when that takes longer than `timeout` seconds.
    """
    word, deadline = uuid.uuid4().hex, time.monotonic() + timeout
    store.set(f"gansaku/here/{number}", word)
    store.wait([f"gansaku/here/{other}" for other in range(count)])
    while time.monotonic() < deadline:
        if number == 0:
            store.set("gansaku/all", " ".join(store.get(f"gansaku/here/{other}").decode() for other in range(count)))
        everyone = store.get("gansaku/all").decode()
        if word in everyone:
            name = f"gansaku/{hashlib.sha256(everyone.encode()).hexdigest()[:16]}"
            store.set(f"{name}/{number}", "")
            if store.check([f"{name}/{other}" for other in range(count)]):
                return name
        time.sleep(0.02)
    raise RuntimeError("some answered and then went")


class Watch:
    """Threads beside the training: every rank shows that it lives. Rank 0 sees to all others, and they to it; what they are
    asked, rank 0 hears.

    Only a process that hangs is found so. One that has died is noticed at once, by whoever waits for its next message. The
    time is kept by a thread of its own, since asking a process that hangs may hang as well.
    """

    def __init__(self, store: Any, number: int, count: int, timeout: float, ask: Callable[[int], None]):
        self._store, self._number, self._timeout, self._ask = store, number, timeout, ask
        self._parent = int(os.environ.get(PARENT) or 0)
        watched = range(1, count) if number == 0 else (0,)
        self._beats = {other: ("", time.monotonic()) for other in watched}  # the last one of each, and since when
        self.over = threading.Event()
        self.asked = 0  # the signal that this rank got
        if number:
            self._note_signals()
        threading.Thread(target=self._time, name="time", daemon=True).start()
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _note_signals(self) -> None:
        """Rank 0 decides when training ends, so that all end at the same step."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, lambda got, frame: setattr(self, "asked", got))

    def _run(self) -> None:
        while not self.over.wait(BEAT):
            if self._parent and os.getppid() != self._parent:
                self._parent = 0  # whoever started us is gone, and nobody would know of us
                os.kill(os.getpid(), signal.SIGTERM)
            try:
                self._beat()
                self._pass_on()
            except RuntimeError:  # rank 0 is gone, which the main thread sees too, or its machine does not answer
                return

    def _beat(self) -> None:
        """Show that this rank lives, and look whether the others do."""
        self._store.set(f"gansaku/beat/{self._number}", str(time.monotonic()))
        for other, (last, _) in self._beats.items():
            name = f"gansaku/beat/{other}"
            beat = self._store.get(name).decode() if self._store.check([name]) else ""
            if beat != last:
                self._beats[other] = beat, time.monotonic()

    def _pass_on(self) -> None:
        """What another rank is asked, rank 0 is told."""
        if self._number and self.asked:
            self._store.set("gansaku/asked", str(self.asked))
            self.asked = 0
        if self._number == 0 and self._store.check(["gansaku/asked"]):
            number = int(self._store.get("gansaku/asked"))
            self._store.delete_key("gansaku/asked")
            self._ask(number)

    def _silent(self) -> int | None:
        """The rank that has shown no life for too long."""
        other, (_, since) = min(self._beats.items(), key=lambda item: item[1][1])
        return other if time.monotonic() - since >= self._timeout else None

    def _time(self) -> None:
        """End this process once nothing comes from another any more: the main thread waits for it and cannot."""
        while not self.over.wait(BEAT):
            other = self._silent()
            if other is not None:
                text = f"rank {self._number}: rank {other} has not answered for {self._timeout:.0f} s; the same command goes on"
                os.write(2, f"{text} [{ranks.LOST}]\n".encode())
                os._exit(Stopped.exit_code)
