"""One training at a time in a run folder.

The lock is the operating system's, on the file `lock`: it is gone with the process that held it, however it ended, and
does not travel with a copy. The file says who holds it, for those who are refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gansaku import files
from gansaku.errors import DiskError, RunError

NAME = "lock"


@contextmanager
def held(folder: Path) -> Iterator[str | None]:
    """Hold the folder while the block runs. Raises RunError naming the owner when another training has it.

    Yields a sentence where the file system has no locks: then nobody watches.
    """
    path = folder / NAME
    with files.in_place(path) as descriptor:
        try:
            taken = take(descriptor)
        except OSError as error:
            yield f"{folder}: no locks on this file system ({error.strerror}); see to it that one training at a time uses it"
            return
        if not taken:
            raise busy(folder, read(path))
        with suppress(DiskError):  # a full disk: the lock holds without its owner's name
            files.put_in_place(descriptor, path, json.dumps(owner()).encode())
        yield None


def take(descriptor: int) -> bool:
    """Take the lock, if nobody holds it longer than a glance at it (`check`) takes. Raises OSError without locks."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def check(folder: Path) -> None:
    """Raises RunError when a training has the folder. Imports no torch, so that the answer comes at once."""
    with suppress(OSError):
        descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several may look at once
        except BlockingIOError:
            time.sleep(0.1)  # an owner who has just come writes its name
            raise busy(folder, read(folder / NAME)) from None
        finally:
            os.close(descriptor)


def owner() -> dict[str, Any]:
    """Who I am."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now().astimezone().isoformat(" ", "seconds")}


def read(path: Path) -> dict[str, Any]:
    """Who holds the lock, as far as it is known; who has just taken it gets a moment to write that down."""
    for _ in range(25):
        with suppress(OSError, ValueError):
            content = json.loads(path.read_text())
            if isinstance(content, dict):
                return content
        time.sleep(0.02)
    return {}


def busy(folder: Path, by: dict[str, Any]) -> RunError:
    who = f"process {by.get('pid', '?')} on {by.get('host', '?')} since {by.get('since', '?')}"
    return RunError(str(folder), f"is being trained by {who}; wait for it, stop it, or name another --run", "RUN_BUSY")
