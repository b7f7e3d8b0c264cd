"""What came of each training of a comparison: a small file for every arm and seed, written once."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gansaku import files
from gansaku.errors import RunError, UsageError
from gansaku.metrics.passport import Score
from gansaku.metrics.passport import from_plain as score_from_plain

Curve = tuple[tuple[int, float], ...]
"""(samples seen, value), in order."""


@dataclass(frozen=True)
class Result:
    """One training that is over: its scores, or why it has none."""

    arm: str
    seed: int
    seen: int  # samples, at its end
    broken: str = ""  # why it counts as broken; "" if it does not
    scores: tuple[Score, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)  # of the scores on the way, by their names
    seconds: float = 0.0  # of training, over all attempts
    attempts: int = 1
    parameters: Mapping[str, int] = field(default_factory=dict)  # by player
    recipe: str = ""  # as TOML
    machine: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""  # of the data
    date: str = ""

    def score(self, metric: str) -> Score | None:
        """The score that `--metrics` calls so, if it was made and is a number."""
        return next((s for s in self.scores if s.metric == metric and math.isfinite(s.value)), None)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        made = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        curves = {name: [list(point) for point in points] for name, points in self.curves.items()}
        return {**made, "scores": [score.plain() for score in self.scores], "curves": curves}


def write(path: Path, result: Result) -> None:
    """The whole file or none."""
    files.make_folder(path.parent)
    files.write_text(path, json.dumps(result.plain(), indent=1, ensure_ascii=False, default=dict) + "\n")


def read(path: Path) -> Result:
    """The inverse of `write`. Raises RunError for a file that is no result."""
    try:
        return from_plain(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
        sentence = f"is no result of a comparison: {error}; remove it, and the same command makes it again"
        raise RunError(str(path), sentence, "RESULT") from None


def from_plain(content: Mapping[str, Any]) -> Result:
    """The inverse of `Result.plain`; what is not known is left out. Raises ValueError and the like for anything else."""
    known = {f.name for f in dataclasses.fields(Result)}
    told = {name: value for name, value in content.items() if name in known}
    curves = {name: tuple((int(x), float(y)) for x, y in points) for name, points in told.get("curves", {}).items()}
    return Result(**{**told, "scores": tuple(map(score_from_plain, told.get("scores", ()))), "curves": curves})


def by_seed(results: Sequence[Result], arm: str) -> dict[int, Result]:
    """An arm's results."""
    return {result.seed: result for result in results if result.arm == arm}
