"""What the numbers of one training say: pure functions of its result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

HALVES = 0.5  # the most that may be left of the untrained generator's distance
DIVERSITY = (0.5, 1.5)  # of the real samples' own
MAD = 2.0  # times its best distance
FEW = 0.1  # share of near-duplicates above which samples are few pictures over and over: a hundred times the data's
ONE_PICTURE = 0.3  # diversity below which samples are nearly alike

Curve = Sequence[tuple[int, float]]
Result = dict[str, Any]
Results = Mapping[str, Result]
"""By the trial's name."""


def best(curve: Curve) -> tuple[int, float] | None:
    """The moment of the smallest distance, and the distance; None for an empty curve."""
    finite = [(seen, value) for seen, value in curve if math.isfinite(value)]
    return min(finite, key=lambda point: (point[1], point[0]), default=None)


def doubled(curve: Curve) -> list[bool]:
    """For each moment whether the distance is more than MAD times the best before it, or no number."""
    found, least = [], math.inf
    for _, value in curve:
        found.append(value > MAD * least or not math.isfinite(value))
        least = min(least, value)
    return found


def last_stretch(curve: Curve, is_so: Sequence[bool]) -> int | None:
    """The moment since which it is so until the end; None if it is not so at the end."""
    since = None
    for (seen, _), so in zip(reversed(curve), reversed(is_so), strict=True):
        if not so:
            break
        since = seen
    return since


def mad(result: Result) -> list[str]:
    """Why a training counts as gone mad, a phrase for each reason; empty if it does not."""
    reasons, found = [], best(result["curve"])
    if result.get("stopped"):
        reasons.append(f"stopped: {result['stopped']}")
    if found is not None and result["curve"][-1][1] > MAD * found[1]:
        reasons.append(f"the curve ends at {result['curve'][-1][1] / found[1]:.1f} times its best")
    if result["diversity"] is not None and result["diversity"] < ONE_PICTURE:
        reasons.append(f"samples are nearly alike (diversity {result['diversity']:.2f})")
    return reasons


def alike(result: Result) -> float | None:
    """The share of near-duplicates among pairs of samples, when it was last looked at; None if it never was."""
    points = [value for _, value in result["losses"].get("health/duplicates", []) if value is not None]
    return points[-1] if points else None


def repetitive(result: Result) -> str:
    """What to say of samples that are the same few pictures, as a phrase; empty if they are not."""
    share = alike(result)
    if share is None or share <= FEW:
        return ""
    passes = "passes by the rule, but " if status(result) == "trained briefly" else ""
    return f"{passes}{100 * share:.0f} % of pairs of samples are near-duplicates: few pictures, over and over"


def mad_since(result: Result) -> int | None:
    """The samples seen at the first score of the stretch that made it count as gone mad; None if it did not."""
    if not mad(result):
        return None
    curve, spread = result["curve"], result["curves"].get("diversity", [])
    moments = [last_stretch(curve, doubled(curve))]
    if result["diversity"] is not None and result["diversity"] < ONE_PICTURE:
        moments.append(last_stretch(spread, [value < ONE_PICTURE for _, value in spread]))
    known = [moment for moment in moments if moment is not None]
    return min(known) if known else last_moment(result)


def last_moment(result: Result) -> int:
    """The samples seen when anything was last written down."""
    ends = [int(points[-1][0]) for points in (result["curve"], *result["losses"].values()) if points]
    return max([int(result["seen"]), *ends])


def came_back(result: Result) -> int | None:
    """The first moment at which the distance was over MAD times its best, of a run that recovered; None of others."""
    if mad(result):
        return None
    return next((seen for (seen, _), so in zip(result["curve"], doubled(result["curve"]), strict=True) if so), None)


def status(result: Result) -> str:
    """`trained briefly` if the distance at least halved and diversity is that of the real samples, else `failed here`."""
    last, untrained, diversity = result["last"], result["untrained"], result["diversity"]
    if last is None or diversity is None or result.get("stopped"):
        return "failed here"
    halved, varied = last <= HALVES * untrained, DIVERSITY[0] <= diversity <= DIVERSITY[1]
    return "trained briefly" if halved and varied else "failed here"


def shortfall(result: Result) -> str:
    """Which demand was not met, as a phrase; empty if all were."""
    if status(result) == "trained briefly":
        return ""
    if result.get("stopped"):
        return f"stopped: {result['stopped']}"
    if result["last"] is None:
        return "nothing was left to measure"
    phrases, left = [], result["last"] / result["untrained"]
    if not left <= HALVES:
        phrases.append(f"the distance is {left:.2f} of the untrained one, not {HALVES:g}")
    if not DIVERSITY[0] <= result["diversity"] <= DIVERSITY[1]:
        phrases.append(f"diversity {result['diversity']:.2f} is outside {DIVERSITY[0]:g} to {DIVERSITY[1]:g}")
    return "; ".join(phrases)


def trained(results: Results, data: str) -> list[str]:
    """The recipes that may be called `trained briefly` by what was seen on these data, in order.

    Every run counts that changed nothing of the recipe but widths, batch, seed and length; all of a recipe's have to succeed.
    """
    verdicts: dict[str, list[bool]] = {}
    for one in results.values():
        if one["data"] == data and not one["settings"].keys() - {"batch"}:
            verdicts.setdefault(one["recipe"], []).append(status(one) == "trained briefly")
    return sorted(recipe for recipe, found in verdicts.items() if all(found))


def t_interval(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Mean and 95 % t interval (low, high) of independent values; None for fewer than two."""
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
    reach = T_95[n - 1] * error
    return mean, mean - reach, mean + reach


T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}  # two-sided, by freedom
