"""Trainings on a Ray cluster: the same processes as on this machine, each beside an actor that starts and asks it.

The comparison's folder, the data and this installation must lie at the same paths on every node, as on a shared disk.
Ray's usage statistics and its dashboard are off. `pip install gansaku[ray]`.
"""

from __future__ import annotations

import os
import subprocess
from importlib import import_module
from typing import Any

from gansaku import files
from gansaku.errors import UsageError
from gansaku.experiments import local
from gansaku.experiments.folder import Place, Training

FELL = 1  # exit code of a training whose node was lost: it is tried again


class Keeper:
    """In a process of the cluster: starts a command, tells its exit code, and ends it."""

    def __init__(self, command: list[str], environment: dict[str, str], log: str):
        with open(log, "ab") as out:  # on another machine perhaps, where nothing of ours was imported
            self._process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})

    def poll(self) -> int | None:
        return self._process.poll()

    def terminate(self) -> None:
        self._process.terminate()


class RayJob:
    """A training on some node; it waits there for its cores."""

    def __init__(self, ray: Any, actor: Any):
        self._ray, self._actor, self._asked = ray, actor, None
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it waits or runs. Never blocks."""
        if self._code is None:
            self._asked = self._asked or self._actor.poll.remote()
            ready, _ = self._ray.wait([self._asked], timeout=0)
            if ready:
                self._code, self._asked = self._answer(), None
        return self._code

    def _answer(self) -> int | None:
        try:
            code: int | None = self._ray.get(self._asked)
        except self._ray.exceptions.RayError:  # the actor is gone, and its node with it
            return FELL
        if code is not None:
            self._ray.kill(self._actor)
        return code

    def terminate(self) -> None:
        self._actor.terminate.remote()

    def kill(self) -> None:
        """The training ends by itself when its parent is gone."""
        self._ray.kill(self._actor)


class Cluster:
    """A Ray cluster: that of RAY_ADDRESS, else one of this machine alone. Raises UsageError where Ray is not installed."""

    def __init__(self, threads: int, device: str):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray: Any = import_module("ray")
        except ImportError:
            raise UsageError("--on ray", "Ray is not installed; pip install 'gansaku[ray]'", "RAY") from None
        if not ray.is_initialized():
            ray.init(address=os.environ.get("RAY_ADDRESS"), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        self._ray, self._threads, self._device, self._gpu = ray, threads, device, device.startswith("cuda")

    def started(self, place: Place, training: Training) -> RayJob:
        path = place.log(training)
        files.make_folder(path.parent)
        keeper = self._ray.remote(Keeper).options(num_cpus=self._threads, num_gpus=int(self._gpu))
        environment = {name: value for name, value in local.environment(self._threads).items() if name.endswith("_NUM_THREADS")}
        actor = keeper.remote(local.command(place, training, self._device), environment, str(path.absolute()))
        return RayJob(self._ray, actor)

    def jobs(self) -> int:
        """Trainings that its nodes can carry at a time."""
        there = self._ray.cluster_resources()
        by_cores = int(there.get("CPU", 1)) // self._threads
        return max(1, min(by_cores, int(there.get("GPU", 0))) if self._gpu else by_cores)

    def free(self) -> int | None:
        """Ray knows its nodes' memory better."""
        return None

    def held(self, job: Any) -> int | None:
        return None

    def close(self) -> None:
        self._ray.shutdown()
