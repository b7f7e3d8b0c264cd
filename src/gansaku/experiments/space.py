"""Where a search looks for better settings: from one number to another, or among listed values."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from gansaku.errors import RecipeError, UsageError
from gansaku.parts import shown

DECADE = 10.0
DIGITS = 3  # significant ones of a proposal: 0.000213
RANGE = re.compile(r"(?P<low>[^\s.].*?)\.\.(?P<high>.+)")


@dataclass(frozen=True)
class Span:
    """All numbers from `low` to `high`, both included; whole ones if both are whole. `str` writes it as `read` reads it."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)) or self.low >= self.high:
            raise UsageError(str(self), "is no range; write the smaller number first, as 1e-5..1e-3", "PLAN")

    def __str__(self) -> str:
        return f"{self.low!r}..{self.high!r}"

    @property
    def whole(self) -> bool:
        return type(self.low) is int and type(self.high) is int

    @property
    def log(self) -> bool:
        """Whether it is searched by its logarithm, as numbers of unlike size are meant."""
        return self.low > 0 and self.high / self.low >= DECADE

    def rounded(self, value: float) -> float:
        """The value as it is tried: within the span, and short enough to be written."""
        if self.whole:
            return round(value)
        return min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))


class Factor(NamedTuple):
    """A setting and its values; the first one is the baseline's. In a search it may be a `Span` alone."""

    path: str
    values: tuple[Any, ...]

    @property
    def span(self) -> Span | None:
        return self.values[0] if len(self.values) == 1 and isinstance(self.values[0], Span) else None


def factor(path: str, values: Any, where: str) -> Factor:
    """Of a list of values, a span, or a range as `read` takes it. Raises RecipeError for anything else."""
    span = read(values) if isinstance(values, str) else values if isinstance(values, Span) else None
    if span is None and not isinstance(values, list | tuple):
        raise RecipeError(where, f"{shown(values)} is no list of values; write [a, b]", "PLAN")
    return Factor(path, tuple(values) if span is None else (span,))


def read(text: str) -> Span | None:
    """`1e-5..1e-3` as a span; None for anything else. Raises UsageError for a range that is none."""
    found = RANGE.fullmatch(text.strip())
    low, high = (number(found[name]) for name in ("low", "high")) if found else (None, None)
    return None if low is None or high is None else Span(low, high)


def number(text: str) -> float | None:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return None
