"""What to try next, by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011). `pip install gansaku[search]`.

Optuna keeps nothing: it is told all that was tried, each time, so that a search goes on wherever it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from gansaku.errors import UsageError
from gansaku.experiments.space import Factor


class Tried(NamedTuple):
    """Settings by their paths, and their score; None where the training broke."""

    changes: Mapping[str, Any]
    value: float | None


def proposed(space: Sequence[Factor], tried: Sequence[Tried], count: int, better: str) -> list[dict[str, Any]]:
    """`count` settings to try at a time, none of them twice; fewer where a space of listed values is used up.

    The same arguments give the same settings. Raises UsageError where Optuna is not installed.
    """
    optuna = engine()
    study = optuna.create_study(
        direction="maximize" if better == "higher" else "minimize",
        sampler=optuna.samplers.TPESampler(seed=len(tried), constant_liar=True),
    )
    kinds = {factor.path: distribution(optuna, factor) for factor in space}
    known = [one.value for one in tried if one.value is not None]
    worst = (min(known) if better == "higher" else max(known)) if known else None  # what broke counts as no better than that
    for one in tried:
        told = {factor.path: inner(factor, one.changes[factor.path]) for factor in space if factor.path in one.changes}
        if len(told) == len(space):
            study.add_trial(trial(optuna, told, kinds, worst if one.value is None else one.value))
    seen, found = [dict(one.changes) for one in tried], list[dict[str, Any]]()
    for _ in range(count * ASKED):
        if len(found) == count:
            break
        asked = study.ask(kinds).params
        new = {factor.path: outer(factor, asked[factor.path]) for factor in space}
        if new not in seen:
            seen.append(new)
            found.append(new)
    return found


ASKED = 50  # times for each of them, before a space counts as used up


def engine() -> Any:
    """Optuna, silent. Raises UsageError where it is not installed."""
    try:
        optuna: Any = import_module("optuna")
    except ImportError:
        raise UsageError("--search", "Optuna is not installed; pip install 'gansaku[search]'", "SEARCH") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distribution(optuna: Any, factor: Factor) -> Any:
    """Listed values are told by their places in the list, as Optuna knows plain values only."""
    kinds, span = optuna.distributions, factor.span
    if span is None:
        return kinds.CategoricalDistribution(range(len(factor.values)))
    kind = kinds.IntDistribution if span.whole else kinds.FloatDistribution
    return kind(span.low, span.high, log=span.log)


def inner(factor: Factor, value: Any) -> Any:
    """A setting's value as Optuna is told it."""
    return value if factor.span else factor.values.index(value)


def outer(factor: Factor, value: Any) -> Any:
    """The inverse of `inner`, rounded as it is tried."""
    return factor.span.rounded(value) if factor.span else factor.values[value]


def trial(optuna: Any, told: dict[str, Any], kinds: dict[str, Any], value: float | None) -> Any:
    """One that is over; without a value it has failed, and Optuna learns nothing of it but that it was asked."""
    state = optuna.trial.TrialState
    return optuna.trial.create_trial(
        params=told, distributions=kinds, value=value, state=state.FAIL if value is None else state.COMPLETE
    )
