"""Intervals of metrics: how much a number would change with other samples of the same generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from gansaku.metrics.contract import Metric, Side

SURE = 0.975  # the quantile on each side of a 95 % interval


def jackknife(
    metric: Metric,
    real: Side,
    generated: Side,
    groups: int = 10,
    resample_real: bool = False,
    seed: int = 0,
    reference: Any = None,
) -> dict[str, tuple[float, float]]:
    """95 % intervals of a metric's numbers by name: value ± t(groups - 1) · SE by the delete-a-group jackknife.

    SE² = (G - 1) / G Σ (θ_g - mean θ)² over the numbers θ_g without group g of the generated samples, in random groups
    (Shao & Tu 1995, ch. 2). With `resample_real` the same of the real samples is added, as the sides are independent.
    The interval is for the expected number *at this count of samples*: bias is not in it. It is assumed that samples are
    independent and that the number is smooth in their distribution; at a threshold (MiFID's) it is too wide or too narrow.

    A standard error that the metric knows by itself is used instead, with the normal quantile. A metric that does not
    resample has no other. `reference` is `metric.reference(real)` if somebody has it.
    """
    known = metric.error(real, generated)
    if not known and not metric.resamples:
        return {}
    if reference is None and metric.reads_real:
        reference = metric.reference(real)
    values = metric.values(real, generated, reference)
    halves = {name: float(stats.norm.ppf(SURE)) * known[name] for name in values if name in known}
    if metric.resamples and len(halves) < len(values):
        draw = torch.Generator().manual_seed(seed)
        variances = squared_error(
            [metric.values(real, generated.rows(kept), reference) for kept in left(generated.n, groups, draw)]
        )
        if resample_real and metric.reads_real:
            more = squared_error([metric.values(real.rows(kept), generated) for kept in left(real.n, groups, draw)])
            variances = {name: variance + more[name] for name, variance in variances.items()}
        quantile = float(stats.t.ppf(SURE, groups - 1))
        halves = {name: quantile * variance**0.5 for name, variance in variances.items()} | halves
    return {name: (values[name] - half, values[name] + half) for name, half in halves.items()}


def left(n: int, groups: int, draw: torch.Generator) -> list[Tensor]:
    """The numbers of n samples without those of each of the random groups."""
    order = torch.randperm(n, generator=draw)
    return [order[torch.arange(n) % groups != group].sort().values for group in range(groups)]


def squared_error(without: list[dict[str, float]]) -> dict[str, float]:
    """(G - 1) / G Σ (θ_g - mean θ)² by name."""
    groups = len(without)
    return {name: (groups - 1) * float(np.var([values[name] for values in without])) for name in without[0]}
