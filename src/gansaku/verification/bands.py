"""Bands: where the figures of a recipe's short run must land, and the files that hold them (`recipes/bands/NAME.toml`).

A band comes from the same run at several seeds. `python tools/bands.py NAME` makes the file.
"""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scipy.special import stdtrit

from gansaku.errors import UsageError

FOLDER = Path(__file__).parents[1] / "recipes" / "bands"
LEAST_SEEDS = 5
SHARE = 0.999  # of sound runs that one band is to hold
FLOOR = 0.02  # a band reaches at least this share of the figure to both sides
TOLD = 0.1  # and this far for the share of samples whose class is told: it saturates at 1, where seeds do not differ
DIGITS = 6
# Figures that are positive by what they are vary by factors: their band is made of logarithms, so it cannot reach 0.
POSITIVE = ("gradient", "moved", "slope", "spread", "distance", "diversity")


class Band(NamedTuple):
    """The lowest and the highest value of a figure that a sound run has."""

    low: float
    high: float

    def holds(self, value: float | None) -> bool:
        """Whether a value lies in it; one that is not there or not finite does not."""
        return value is not None and self.low <= value <= self.high


@dataclass(frozen=True)
class Bands:
    """A recipe's band file: what is run, its bands, and `content`, the whole file, with every seed's values."""

    name: str
    data: str  # "avatars" or "chairs"
    cycles: int
    settings: dict[str, Any]  # by path, over the recipe's own: the declared reduction
    seeds: list[int]
    figures: dict[str, Band]
    content: dict[str, Any]


def band(figure: str, values: Sequence[float]) -> Band:
    """mean ± max(t s √(1 + 1/n), FLOOR |mean|) of n seeds' values, s their standard deviation; of positive ones in logarithms.

    t is Student's for n - 1 degrees of freedom, so the first is the interval that a further run falls into with
    probability SHARE, if runs are normally distributed (Hahn & Meeker 1991, "Statistical Intervals", sec. 4.7): the fewer
    the seeds, the wider. It counts for other machines, too: where arithmetic rounds otherwise, training soon goes ways as
    different as those of two seeds, and no further. The floor is for figures that hardly vary with the seed, where that
    is not so.
    """
    last = figure.rsplit("/", 1)[-1]
    positive = last in POSITIVE and min(values) > 0
    numbers = [math.log(value) if positive else value for value in values]
    n, mean = len(numbers), statistics.fmean(numbers)
    reach = float(stdtrit(n - 1, (1 + SHARE) / 2)) * statistics.stdev(numbers) * math.sqrt(1 + 1 / n)
    reach = max(reach, TOLD if last == "told" else math.log1p(FLOOR) if positive else FLOOR * abs(mean))
    ends = (mean - reach, mean + reach)
    return Band(*(rounded(math.exp(end) if positive else end) for end in ends))


def bands(runs: Sequence[Mapping[str, float]]) -> dict[str, Band]:
    """The bands of all figures, from the figures of each seed's run."""
    return {figure: band(figure, [run[figure] for run in runs]) for figure in runs[0]}


def rounded(value: float) -> float:
    """As it is stored: so many digits say all, and the same is computed of it everywhere."""
    return float(f"{value:.{DIGITS}g}")


def names() -> list[str]:
    """The recipes that have a band file."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Bands:
    """The bands of a recipe. Raises UsageError where there are none."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        sentence = f"has no bands to land in, so it cannot be verified; there are some of {', '.join(names()) or 'no recipe'}"
        raise UsageError(name, sentence, "BANDS")
    content = tomllib.loads(path.read_text("utf-8"))
    figures = {figure: Band(one["low"], one["high"]) for figure, one in content["figures"].items()}
    run = {field: content[field] for field in ("data", "cycles", "settings", "seeds")}
    return Bands(name=content["recipe"], figures=figures, content=content, **run)


def verdict(found: Bands, figures: Mapping[str, float | None], seed: int) -> dict[str, Any]:
    """What `gansaku verify --json` prints. A figure that is missing or not finite is `null`, and not ok."""
    rows = []
    for figure, band in found.figures.items():
        value = figures.get(figure)
        rows.append({"name": figure, "low": band.low, "high": band.high, "value": value, "ok": band.holds(value)})
    return {
        "name": found.name, "ok": all(row["ok"] for row in rows), "figures": rows, "data": found.data, "cycles": found.cycles,
        "settings": found.settings, "seeds": found.seeds, "seed": seed,
    }  # fmt: skip
