"""`--procs N`: the processes of one training on this machine, from their start to the last one's end.

Rank 0 speaks and writes as a single process does. When one fails, the others are ended, and its error is this process's own.
`torchrun` does the same for many machines.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from gansaku import errors
from gansaku.errors import GansakuError, Interrupted, Stopped, UsageError
from gansaku.experiments.local import cores
from gansaku.parts import encode
from gansaku.processes import PARENT
from gansaku.ranks import LOST
from gansaku.recipe import Recipe, to_toml
from gansaku.runs.live import Scoring

MODULE = "gansaku.api_rank"
ENDING = 2.0  # seconds in which a process that was told to end does so
EARLY = "interrupted before it trained; nothing is lost, the same command starts again"
MOST = 256  # processes on one machine
LEAST = 10.0  # seconds of a timeout
FAILED = "\x1egansaku failed: "  # before what a process writes to its standard output as it ends with an error


def check_procs(procs: int, timeout: float) -> None:
    """Raises UsageError for a number of processes that cannot be, and for a time in which nobody can answer."""
    if timeout < LEAST:
        sentence = f"{timeout:g} s are too few: each process shows once a second that it lives; use 10s or more"
        raise UsageError("--rank-timeout", sentence, "RANKS")
    if not 1 <= procs <= MOST:
        raise UsageError("--procs", f"{procs} is no number of processes; use 1 to {MOST}, one for each core or GPU", "RANKS")


def launch(request: Mapping[str, Any], procs: int, asked: Callable[[], int | None]) -> None:
    """Train with so many processes, each of which gets the request. `asked` is the signal that asks to stop, once there is one.

    Raises what the first of them raised that failed; Stopped for one that ended without a word.
    """
    port, crew = free_port(), list[Rank]()
    try:
        for number in range(procs):
            crew.append(Rank(number, request, environment(number, procs, port)))
        watch(crew, asked)
    finally:
        end(crew)


def requested(
    recipe: str | Recipe | None,
    settings: Mapping[str, Any],
    use: Sequence[str | Path],
    scoring: Scoring,
    loud: bool,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """What every process is asked for, as JSON. Raises UsageError for what only lives in this process."""
    foreign = next((one for one in scoring.metrics if not isinstance(one, str)), None)
    if foreign is not None:
        sentence = f"scores by {type(foreign).__name__}, which other processes do not know; name it, or use torchrun"
        raise UsageError("--procs", sentence, "RANKS")
    return {
        **asked,
        "recipe": None if isinstance(recipe, Recipe) else recipe,
        "stored": to_toml(recipe) if isinstance(recipe, Recipe) else None,
        "name": recipe.name if isinstance(recipe, Recipe) else "",
        "settings": {path: encode(value) for path, value in settings.items()},
        "use": [str(Path(file).absolute()) for file in use],
        "scoring": asdict(scoring),
        "loud": loud,
    }


def environment(rank: int, procs: int, port: int) -> dict[str, str]:
    """What torchrun would set; and as many threads for each as there are cores, unless somebody has set another number."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": procs, "LOCAL_WORLD_SIZE": procs,
           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, PARENT: os.getpid()}  # fmt: skip
    threads = str(max(1, cores() // procs))
    usual = {"OMP_NUM_THREADS": threads, "GLOO_SOCKET_IFNAME": loopback(), "TORCH_CPP_LOG_LEVEL": "ERROR"}  # it says it twice
    return {**usual, **os.environ, **{name: str(value) for name, value in own.items()}}


def loopback() -> str:
    """The name of the network interface that leads nowhere else."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name in ("lo", "lo0")), names[0])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Rank:
    """One process. What it says goes to standard error, with its number before it if that is not 0."""

    def __init__(self, number: int, request: Mapping[str, Any], variables: Mapping[str, str]):
        self.number, self.failure = number, dict[str, Any]()
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE, json.dumps(dict(request))],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if number == 0 else subprocess.PIPE,  # rank 0 draws its bar on the terminal
            start_new_session=True,  # signals come from here alone
        )
        self._readers = [Thread(target=self._read, args=(pipe,), daemon=True)
                         for pipe in (self.process.stdout, self.process.stderr) if pipe]  # fmt: skip
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: Any) -> None:
        for line in pipe:
            text = line.decode("utf-8", "replace").rstrip("\n")
            if text.startswith(FAILED):  # nobody else's line does
                self.failure = json.loads(text.removeprefix(FAILED))
            else:
                text = text.removeprefix(f"[rank{self.number}]: ")  # torch says it too, of tracebacks
                print(f"rank {self.number}: {text}" if self.number else text, file=sys.stderr, flush=True)

    def error(self) -> GansakuError:
        """Why it has failed, once it has ended."""
        for reader in self._readers:
            reader.join(ENDING)
        code = self.process.returncode
        if self.failure:
            me = f"rank {self.number}, " if self.number and not self.failure["where"].startswith("rank ") else ""
            where, sentence = me + self.failure["where"], self.failure["sentence"]
            if code > 128:
                return Interrupted(where, sentence, code - 128)
            kind: type[GansakuError] = getattr(errors, self.failure["kind"])
            return kind(where, sentence, self.failure["code"])
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}" + (", perhaps for lack of memory" if code == -9 else "")
        else:
            what = "what it said" if code == Stopped.exit_code else "its traceback"
            how = f"failed with exit code {code}; {what} stands above"
        advice = "the same command goes on from the last checkpoint"
        return Stopped(f"rank {self.number}", f"{how}; all processes have ended, and {advice}", LOST)


def watch(crew: Sequence[Rank], asked: Callable[[], int | None]) -> None:
    """Until all have ended. Raises the error of the first that fails."""
    told: int | None = None
    while any(rank.process.poll() is None for rank in crew):
        number = asked()
        if number is not None and told is None:
            told = number
            crew[0].process.send_signal(number)  # it tells the others when all has been saved
        if any(rank.process.poll() for rank in crew):
            break
        time.sleep(0.05)
    if told is not None and crew[0].process.poll() == -told:  # it did not listen yet
        raise Interrupted("gansaku train", EARLY, told)
    for rank in crew:
        if rank.process.poll():
            raise rank.error()


def end(crew: Sequence[Rank]) -> None:
    """No process is left behind."""
    alive = [rank.process for rank in crew if rank.process.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + ENDING
    while any(process.poll() is None for process in alive) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in alive:
        if process.poll() is None:
            process.kill()
        process.wait()
