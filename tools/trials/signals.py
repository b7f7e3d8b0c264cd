"""What the losses of one training showed: pure functions of the log that its result keeps."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from .verdict import Result, best, last_stretch, mad_since

D_LOSS = "discriminator/loss/adversarial"
# What a player minimizes, with the words for it. Each value is the mean since the last row of the log.
LOSSES = {
    D_LOSS: "D's loss",
    "discriminator/loss/gradient_penalty": "D's gradient penalty",
    "discriminator/loss/class": "D's class loss",
    "classifier/loss/class": "C's class loss",
    "classifier/loss/gradient_penalty": "C's gradient penalty",
    "generator/loss/adversarial": "G's adversarial loss",
    "generator/class_unweighted": "G's class loss before ε",
}
ACCURACIES = {"real": ("classifier/class_accuracy", "discriminator/class_accuracy"), "fakes": ("generator/class_accuracy",)}
TENTH = 10  # part of the points that stands for the start, and for the end
WIDENED = 0.5  # of its own width, on either side: a range that a loss has to leave to count
ENOUGH = 4  # points, without which there is no range

Points = list[tuple[int, float]]


class Span(NamedTuple):
    """Samples seen: when a run was at its best, and the two scores between which it changed."""

    best: int
    before: int
    after: int


class Departure(NamedTuple):
    """A loss that left its range: the range until the run's best, its mean afterwards, and since when it lies outside."""

    name: str
    low: float
    high: float
    value: float
    since: int


def points(result: Result, name: str) -> Points:
    """A logged number over samples seen, without its gaps; empty if there is none of this name."""
    return [(seen, value) for seen, value in result["losses"].get(name, []) if value is not None]


def course(result: Result, name: str) -> tuple[float, float] | None:
    """Its mean over the first tenth of the points and over the last; None if there is none of this name."""
    values = [value for _, value in points(result, name)]
    part = max(1, len(values) // TENTH)
    return (sum(values[:part]) / part, sum(values[-part:]) / part) if values else None


def sign_changes(result: Result, name: str = D_LOSS) -> list[int]:
    """After how many samples it was found on the other side of 0; its first tenth, when all is new, left out."""
    found = points(result, name)
    settled = found[max(1, len(found) // TENTH) - 1 :]
    return [seen for (_, before), (seen, after) in pairwise(settled) if (before < 0) != (after < 0)]


def going_mad(result: Result) -> Span | None:
    """Its best moment, the last score before it counts as mad and the first one of it; None if it did not go mad."""
    since = mad_since(result)
    if since is None:
        return None
    before = [(seen, value) for seen, value in result["curve"] if seen < since]
    least = best(before)
    return Span(least[0] if least else 0, before[-1][0] if before else 0, since)


def staying_sane(result: Result) -> Span | None:
    """Half-time and its last two scores, to look at a sane run in the same way; None if there are too few scores."""
    moments = [seen for seen, _ in result["curve"]]
    half = [seen for seen in moments if seen <= result["length"] / 2]
    return Span(half[-1], *moments[-2:]) if half and len(moments) > 2 else None


def departures(result: Result, span: Span) -> list[Departure] | None:
    """The losses whose mean over (before, after] lies outside the range that they had over (best / 4, best], widened.

    None if there are too few points to know a range, or none to compare.
    """
    found, known = [], False
    for name in LOSSES:
        logged = points(result, name)
        usual = [value for seen, value in logged if span.best / 4 < seen <= span.best]
        then = [value for seen, value in logged if span.before < seen <= span.after]
        if len(usual) < ENOUGH or not then:
            continue
        known, low, high, value = True, min(usual), max(usual), sum(then) / len(then)
        room = WIDENED * (high - low)
        if not low - room <= value <= high + room:
            later = [point for point in logged if span.best < point[0] <= span.after]
            since = last_stretch(later, [not low - room <= one <= high + room for _, one in later])
            found.append(Departure(name, low, high, value, span.after if since is None else since))
    return found if known else None


def accuracy(result: Result, of: str) -> tuple[float, float] | None:
    """`course` of the share of `real` samples, or of G's `fakes`, whose class the trained classifier or head sees."""
    return next((found for name in ACCURACIES[of] if (found := course(result, name))), None)
