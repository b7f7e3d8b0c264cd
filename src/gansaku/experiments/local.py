"""Trainings as processes of this machine, and how much memory it has for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gansaku import files, hardware
from gansaku.experiments.folder import Place, Training

MODULE = "gansaku.api_arm"  # what a process for one training runs


def command(place: Place, training: Training, device: str) -> list[str]:
    return [sys.executable, "-m", MODULE, str(place.path.absolute()), str(training.number), str(training.seed), device]


def environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_line(path: Path) -> str:
    """What a training said last."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")


class Machine:
    """This machine: `threads` cores for each training, or its GPU."""

    def __init__(self, threads: int, device: str):
        self._threads, self._device = threads, device

    def started(self, place: Place, training: Training) -> subprocess.Popen[bytes]:
        """A process for one training. A session of its own: signals come from us alone. What it says goes to its log."""
        path = place.log(training)
        files.make_folder(path.parent)
        told, variables = command(place, training, self._device), environment(self._threads)
        with path.open("ab") as out:
            return subprocess.Popen(told, stdout=out, stderr=out, env=variables, start_new_session=True)

    def jobs(self) -> int:
        """Trainings at a time: one on a GPU, else as many as the cores can carry."""
        return 1 if hardware.device(self._device).type == "cuda" else max(1, cores() // self._threads)

    def free(self) -> int | None:
        """Bytes of memory that nobody uses, as Linux tells it."""
        return entry(Path("/proc/meminfo"), "MemAvailable:")

    def held(self, job: Any) -> int | None:
        """Bytes that a training's process holds."""
        return entry(Path(f"/proc/{job.pid}/status"), "VmRSS:")

    def close(self) -> None:
        """Nothing is left behind."""


def entry(path: Path, name: str) -> int | None:
    """Bytes behind a name in one of Linux's tables of kB; None where there is no such table."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)
