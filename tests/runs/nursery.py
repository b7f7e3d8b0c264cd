"""Commands that can be killed by the dozen: each is forked from a process that has imported everything.

Importing torch takes seconds. `Nursery` keeps a process that has imported Gansaku and computed nothing; every command is a
fork of it, in a session, a working folder and an environment of its own, and from there on goes the way of
`python -m gansaku`: the same handlers, the same main, the same exit code.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
SHEET = 2  # samples on a sheet: sixty-four voxel grids take seconds to draw
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A command that runs, or has ended, as the process that asked for it sees it."""

    def __init__(self, nursery: Nursery, pid: int, folder: Path, said: Path):
        self._nursery, self.pid, self.folder, self._said = nursery, pid, folder, said
        self.code: int | None = None

    def wait(self, seconds: float = 120.0) -> int:
        """Its exit code; -9 when it was killed. Raises AssertionError when it still runs after so many seconds."""
        if self.code is None:
            self.code = self._nursery.ask({"wait": self.pid, "seconds": seconds})
        assert self.code is not None, f"still running after {seconds} s; it said: {self.said[-500:]}"
        return self.code

    @property
    def running(self) -> bool:
        if self.code is None:
            self.code = self._nursery.ask({"wait": self.pid, "seconds": 0})
        return self.code is None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> int:
        """Kill it and all that it has started."""
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    @property
    def said(self) -> str:
        """Standard error."""
        return self._said.read_text()

    def paused(self, seconds: float = 60.0) -> None:
        """Wait until it stands at its pause."""
        until(lambda: (self.folder / "paused").exists() or not self.running, seconds)
        assert self.running, f"ended with {self.code} before its pause: {self.said[-500:]}"

    def go_on(self) -> None:
        (self.folder / "paused").unlink(missing_ok=True)

    @property
    def family(self) -> list[int]:
        """The processes of its session that live."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if alive_in(pid, self.pid)]


def alive_in(pid: int, session: int) -> bool:
    try:
        state, _, _, own = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[:4]
    except (OSError, ValueError):
        return False
    return int(own) == session and state != "Z"


def until(true: Any, seconds: float) -> None:
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.005)


class Nursery:
    """A context: the process that all commands are forked from. None of them outlives it."""

    def __enter__(self) -> Nursery:
        environment = {name: value for name, value in os.environ.items() if name != "GANSAKU_FAULTS"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._count = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def ask(self, order: dict[str, Any]) -> Any:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self,
        *arguments: str,
        folder: Path,
        faults: str = "",
        seconds: float = 0.0,
        record: str = "",
        pause: tuple[str, int] | None = None,
    ) -> Child:
        """`gansaku ARGUMENTS` in this folder, with a cache of its own there.

        A checkpoint is due every `seconds`: with 0 after each cycle. `record` is a file that every operation on the disk
        is written to. `pause` is a function (`module:name`) and at which call of it to wait until told to go on.
        """
        self._count += 1
        said = folder / f"said-{self._count}"
        order = {
            "arguments": arguments, "folder": str(folder), "said": str(said), "seconds": seconds, "record": record,
            "pause": pause, "environment": {"GANSAKU_FAULTS": faults, "GANSAKU_CACHE": "cache"},
        }  # fmt: skip
        return Child(self, self.ask(order), folder, said)


def serve() -> None:
    """The nursery's own life: fork when asked to, and say how a child ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the tests: they close us
    sys.path.insert(0, str(TESTS))  # where a user's file finds the methods of `fixtures`
    for name in ("api", "cli", "__main__", "runs.lock", "runs.summary", "terminal"):
        importlib.import_module(f"gansaku.{name}")
    importlib.import_module("torch._dynamo")  # the first optimizer imports it
    importlib.import_module("gansaku.recipes.registry").recipes()
    living: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = ended(order["wait"], order["seconds"])
            living -= {order["wait"]} if answer is not None else set()
        else:
            answer = born(order)
            living.add(answer)
        os.write(1, json.dumps(answer).encode() + b"\n")
    for pid in living:
        os.killpg(pid, signal.SIGKILL)


def born(order: dict[str, Any]) -> int:
    """Fork; the process number, once the child has its own session."""
    ready, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(there)
        live(order)
    os.close(there)
    os.read(ready, 1)
    os.close(ready)
    return pid


def ended(pid: int, seconds: float) -> int | None:
    """The exit code, or minus the signal; None when it still runs."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(1000 * seconds):
            return None
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def live(order: dict[str, Any]) -> None:
    """The child: become `python -m gansaku ARGUMENTS`, and end as it ends."""
    code = 1
    try:
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor, target in ((os.open(os.devnull, os.O_RDWR), (0, 1)), (said, (2,))):
            for number in target:
                os.dup2(descriptor, number)
        for number in ASKING:
            signal.signal(number, signal.SIG_DFL)
        arrange(order)
        sys.argv = ["gansaku", *order["arguments"]]
        code = importlib.import_module("gansaku.__main__").main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def arrange(order: dict[str, Any]) -> None:
    """What the order wants to be otherwise than on the command line."""
    from gansaku import api, faults
    from gansaku.runs import recorder, watchers

    faults._fault, faults._count = faults.parsed(os.environ["GANSAKU_FAULTS"]), 0
    api.Recorder = functools.partial(recorder.Recorder, seconds=order["seconds"])
    watchers.SHEET = SHEET
    if order["record"]:
        faults.watcher = recorder_of(order["record"])
    if order["pause"]:
        stop_at(*order["pause"])


def recorder_of(file: str) -> Any:
    """A watcher that writes each operation down, with the size of what is written and all of the file's digest so far."""
    import hashlib

    out, digests = open(file, "a", buffering=1), {}  # noqa: SIM115

    def watch(operation: str, path: Path, content: bytes | Path | None) -> None:
        size, digest = 0, ""
        if isinstance(content, bytes):
            digests.setdefault(path, hashlib.sha256()).update(content)
            size, digest = len(content), digests[path].hexdigest()
        out.write(json.dumps([operation, str(path), size, digest]) + "\n")

    return watch


def stop_at(where: str, number: int) -> None:
    """Let the n-th call of a function wait, with the file `paused` beside it, until that is gone."""
    module, _, names = where.partition(":")
    owner: Any = importlib.import_module(module)
    *inner, name = names.split(".")
    for part in inner:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), 0

    @functools.wraps(original)
    def waiting(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            mark = Path("paused").absolute()
            mark.touch()
            while mark.exists():
                time.sleep(0.005)
        return original(*arguments, **named)

    setattr(owner, name, waiting)


if __name__ == "__main__":
    serve()
