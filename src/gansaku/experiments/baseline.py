"""A locked baseline: the results of one arm in a file that nobody changes, for later recipes to be held against.

The file says by its SHA-256 what it held when it was locked; one that was changed since is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gansaku import files
from gansaku.errors import RunError, UsageError
from gansaku.experiments import results
from gansaku.experiments.plan import Arm, Pair, Plan
from gansaku.experiments.results import Result
from gansaku.recipe import Recipe, from_toml

SEAL = "sha256"


@dataclass(frozen=True)
class Baseline:
    """What later arms are held against."""

    name: str  # as its arm is called in reports
    results: tuple[Result, ...]  # one for each seed
    date: str

    @property
    def arm(self) -> Arm:
        return Arm(self.name, {})

    @property
    def recipe(self) -> Recipe:
        """Of its first seed."""
        return from_toml(self.results[0].recipe, self.name)

    @property
    def fingerprint(self) -> str:
        """Of its data."""
        return self.results[0].fingerprint


def lock(path: Path, name: str, found: Sequence[Result], date: str) -> Baseline:
    """Write an arm's results as a baseline. Raises UsageError for a file that is there, or an arm without results."""
    if path.exists():
        raise UsageError(str(path), "is there already, and a baseline stays as it is; name another file", "BASELINE")
    if len(found) < 2 or any(not one.recipe for one in found):
        raise UsageError(
            "--lock", f"{name!r} has {len(found)} finished trainings; a baseline needs two seeds or more", "BASELINE"
        )
    locked = tuple(replace(one, arm=name) for one in found)
    content: dict[str, Any] = {"name": name, "date": date, "results": [one.plain() for one in locked]}
    files.write_json(path, {**content, SEAL: seal(content)})
    return Baseline(name, locked, date)


def seal(content: dict[str, Any]) -> str:
    """The SHA-256 of everything in it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=dict).encode()).hexdigest()


def read(path: Path) -> Baseline:
    """Raises RunError for a file that is no baseline, or was changed since it was locked."""
    try:
        content = json.loads(path.read_text("utf-8"))
        kept = content.pop(SEAL)
        found = tuple(results.from_plain(one) for one in content["results"])
        made = Baseline(str(content["name"]), found, str(content["date"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
        raise RunError(str(path), f"is no locked baseline: {error}", "BASELINE") from None
    if seal(content) != kept:
        raise RunError(str(path), "was changed since it was locked; lock it again from its comparison", "BASELINE")
    return made


def check(baseline: Baseline, plan: Plan, fingerprint: str, where: str) -> None:
    """Raises UsageError where a plan cannot be held against the baseline: other data, or seeds that it has not."""
    if baseline.fingerprint != fingerprint:
        raise UsageError(where, f"was made on other data than {plan.data}; give its data", "BASELINE")
    missing = sorted(set(plan.seeds) - {one.seed for one in baseline.results})
    if missing:
        has = ", ".join(str(one.seed) for one in baseline.results)
        raise UsageError("--seeds", f"{missing[0]} is none of the baseline's ({has}); use these", "BASELINE")


def pairs(baseline: Baseline, plan: Plan) -> tuple[Pair, ...]:
    """Every arm of the plan against the baseline."""
    return tuple(Pair(baseline.arm, arm, "") for arm in plan.arms)
