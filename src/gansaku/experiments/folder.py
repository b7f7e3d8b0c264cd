"""A comparison's folder: its plan, its trainings, their results, and the report.

plan.toml  runs/0-grow-transpose-seed0/  results/0-grow-transpose-seed0.json  logs/…txt
report.html  report.md  scores.csv  compare.json
trials/  the same again, of a search: what it tried
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from gansaku import files
from gansaku.errors import RunError, UsageError
from gansaku.experiments import plan as plans
from gansaku.experiments import results
from gansaku.experiments.plan import Arm, Plan
from gansaku.experiments.results import Result
from gansaku.runs import lock

PLAN, TRIALS = "plan.toml", "trials"
OURS = (TRIALS, lock.NAME)  # what may lie in a folder before its plan


@dataclass(frozen=True)
class Training:
    """One arm at one seed."""

    arm: Arm
    seed: int
    number: int  # of the arm

    def __str__(self) -> str:
        return f"{self.arm.name}, seed {self.seed}"

    def __hash__(self) -> int:
        return hash((self.number, self.seed))

    @property
    def slug(self) -> str:
        """What its files are called."""
        plain = re.sub(r"[^a-z0-9.]+", "-", self.arm.name.lower()).strip("-.")[:60]
        return f"{self.number}-{plain}-seed{self.seed}"


@dataclass(frozen=True)
class Place:
    """The folder, and the places in it."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / PLAN

    @property
    def exists(self) -> bool:
        return self.plan.is_file()

    def run(self, training: Training) -> Path:
        return self.path / "runs" / training.slug

    def result(self, training: Training) -> Path:
        return self.path / "results" / f"{training.slug}.json"

    def log(self, training: Training) -> Path:
        return self.path / "logs" / f"{training.slug}.txt"

    def read_plan(self) -> Plan:
        """Raises RunError where there is none."""
        try:
            return plans.from_toml(self.plan.read_text("utf-8"), str(self.plan))
        except OSError as error:
            raise RunError(str(self.path), f"is no comparison: {error.strerror}: {PLAN}", "PLAN") from None

    def begin(self, wanted: Plan) -> Plan:
        """Write the plan down, or go on with the one that is there: with more seeds, if it is the same otherwise."""
        if not self.exists:
            self.check_empty()
            files.make_folder(self.path)
            files.write_text(self.plan, plans.to_toml(wanted))
            return wanted
        stored = self.read_plan()
        going_on = extended(stored, wanted, str(self.path))
        if going_on != stored:
            files.write_text(self.plan, plans.to_toml(going_on))
        return going_on

    def check_empty(self) -> None:
        """Raises UsageError for a file, and for a folder that holds anything but a search of ours."""
        own = self.path.iterdir() if self.path.is_dir() else ()
        if self.path.is_file() or any(not p.name.startswith(".") and p.name not in OURS for p in own):
            raise UsageError(str(self.path), "holds other things than a comparison; name a new --out", "PLAN")

    def finished(self, plan: Plan) -> list[Result]:
        """The results that are there, in the plan's order."""
        paths = [self.result(training) for training in trainings(plan)]
        return [results.read(path) for path in paths if path.exists()]


def trainings(plan: Plan) -> list[Training]:
    """All of a plan, in the order in which they are carried out."""
    numbers = {arm.name: number for number, arm in enumerate(plan.arms)}
    return [Training(arm, seed, numbers[arm.name]) for arm, seed in plan.runs]


def extended(stored: Plan, wanted: Plan, where: str) -> Plan:
    """The stored plan with all seeds of both. Raises RunError naming the first line that differs otherwise."""
    seeds = (*stored.seeds, *[seed for seed in wanted.seeds if seed not in stored.seeds])
    merged = replace(wanted, seeds=seeds, question=wanted.question or stored.question)
    before, after = (plans.to_toml(replace(p, seeds=seeds, question="")).splitlines() for p in (stored, merged))
    for old, new in zip([*before, "(nothing)"], [*after, "(nothing)"], strict=False):
        if old != new:
            sentence = f"holds another comparison: {old!r} there, {new!r} now; name another --out"
            raise RunError(where, sentence, "PLAN")
    return merged
