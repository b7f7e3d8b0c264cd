"""Processes that carry trainings out, on this machine or on a cluster, until they are asked to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gansaku.errors import UsageError
from gansaku.experiments import local, runner
from gansaku.experiments.folder import Place, Training
from gansaku.experiments.local import Machine
from gansaku.experiments.on_ray import Cluster
from gansaku.experiments.runner import Runner


@dataclass(frozen=True)
class Crew:
    """`jobs` trainings at a time on a machine; no new one begins, and those that run are put down, once `stopped`."""

    machine: Machine | Cluster
    jobs: int
    stopped: Callable[[], bool]
    say: Callable[[str], None]

    def work_down(
        self,
        place: Place,
        waiting: Sequence[Training],
        after: Callable[[], None] = lambda: None,
        fatal: Mapping[int, Any] = runner.FATAL,
    ) -> dict[Training, str]:
        """Carry them out. Returns those that were given up, and why."""
        work = Runner[Training](
            start=lambda training: self.machine.started(place, training),
            done=lambda training: place.result(training).exists(),
            said=lambda training: local.last_line(place.log(training)),
            room=self.machine,
            stop=self.stopped,
            say=self.say,
            after=after,
            jobs=self.jobs,
            fatal=fatal,
        )
        work.work_down(waiting)
        return work.given_up


def machine_of(on: str, threads: int, device: str) -> Machine | Cluster:
    """Where trainings run. Raises UsageError for what is neither here nor a Ray cluster."""
    if on not in ("local", "ray"):
        raise UsageError("--on", f"{on!r} is no place for trainings; use local or ray", "ON")
    return Machine(threads, device) if on == "local" else Cluster(threads, device)
