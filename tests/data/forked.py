"""Commands on bad inputs, each in a process of its own whose memory and time are watched.

`Watched` keeps a process that has imported what `gansaku prepare` needs, and not torch; every command is a fork of it. So a
crash, a hang or a flood of memory ends a child, and its peak memory is the command's own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SECONDS = 5  # of computing, then it is killed
WAITING = 60.0  # seconds by the clock, on a machine that may be busy, then it is killed, too
MODULES = ("gansaku.cli", "gansaku.cli_data", "gansaku.data.sources", "gansaku.data.summary", "PIL.ImageCms", "h5py", "corpus")


class Ended(NamedTuple):
    """How a command ended: its exit code, or minus the signal; its peak memory in bytes; what it said."""

    code: int
    memory: int
    out: str
    error: str


class Watched:
    """A context: the process that the commands are forked from."""

    def __enter__(self) -> Watched:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stdin.close()
        self.process.wait(30)

    def run(self, arguments: Sequence[str], folder: Path, case: int) -> Ended:
        """`gansaku ARGUMENTS` in this folder, while what the case of this number says happens."""
        order = {"arguments": list(arguments), "folder": str(folder), "case": case}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code, memory = json.loads(self.process.stdout.readline())
        said = [(folder / name).read_text("utf-8", "surrogateescape") for name in ("said.out", "said.err")]
        for name in ("said.out", "said.err"):
            (folder / name).unlink()
        return Ended(code, memory, *said)


def serve() -> None:
    """The life of the process that is forked from."""
    sys.path.insert(0, str(HERE))
    for name in MODULES:
        importlib.import_module(name)
    known = importlib.import_module("corpus").cases()
    with contextlib.redirect_stderr(io.StringIO()):  # imports what a command imports when it runs
        importlib.import_module("gansaku.cli").main(["prepare", "nowhere", "nothing.h5"])
    gc.freeze()
    os.write(1, b"ready\n")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            live(order, known)
        os.write(1, json.dumps(ended(pid)).encode() + b"\n")


def ended(pid: int) -> tuple[int, int]:
    """Exit code and peak memory, once it has ended or was killed for its time."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(1000 * WAITING):
        os.kill(pid, signal.SIGKILL)
    os.close(descriptor)
    _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024


def live(order: dict[str, Any], known: list[Any]) -> None:
    """The child: do it, and end with its exit code."""
    code = 70
    try:
        os.chdir(order["folder"])
        os.environ["GANSAKU_CACHE"] = "cache"
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        for name, target in (("said.out", 1), ("said.err", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), target)
        with known[order["case"]].while_():
            code = importlib.import_module("gansaku.cli").main(order["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
