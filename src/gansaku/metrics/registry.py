"""Metrics by the names of their numbers."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence

from gansaku import metrics
from gansaku.errors import UsageError, nearest
from gansaku.metrics.contract import Metric
from gansaku.parts import parts


def known() -> dict[str, type[Metric]]:
    """Every number's name and the metric that gives it, a user's own included."""
    for module in pkgutil.iter_modules(metrics.__path__):
        importlib.import_module(f"{metrics.__name__}.{module.name}")
    return {name: metric for metric in parts(Metric).values() for name in metric.gives}


def find(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics that give these numbers, each once, with their default settings. Raises UsageError for an unknown name."""
    there, found = known(), {}
    for name in names:
        if name not in there:
            raise UsageError("--metrics", f"{name!r} is no metric{nearest(name, list(there))}", "METRIC")
        found[there[name]] = there[name]()
    return tuple(found.values())


def default(dimensions: int, standard: bool) -> tuple[str, ...]:
    """What is scored when nobody says what: of pictures by the 2015 Inception, by another extractor, of voxels."""
    if dimensions == 3:
        return ("mmd_cd", "cov_cd", "nna_cd", "jsd", "fid")
    return ("fid", "kid") if standard else ("fid",)


def asked_for(metric: str, names: Sequence[str | Metric]) -> bool:
    """Whether a number was asked for by its name, or by its metric; a metric may give others beside it."""
    return not names or any(metric == name if isinstance(name, str) else metric in name.gives for name in names)
