"""docs/results/auto.md from the results that are there: which pair of networks is ahead after how much CPU time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .page import alike, called, sheets
from .plan import CHOICES, trials
from .verdict import Curve, Result, Results
from .words import DATA_NAMES, NONE, machine, number, table, wrapped

MOMENTS = (1.0, 2.0, 4.0, 6.0, 10.0)  # minutes of CPU time at which the curves are read

HEAD = """# What `auto` chooses, and why

`auto` is what trains when nobody names a recipe. It should show something recognizable within minutes and not fall
apart within the hour. These are its candidates, each at full width for {minutes:g} minutes of CPU time on one thread, one seed:
**differences of a tenth mean nothing**.

```
python -m tools.trials run --only E --cifar cifar10.zip --dogs dogs.h5 --faces faces.zip
python -m tools.trials page
```

{machine} Two trainings at a time.

*norm-free* is DCGAN's generator against its discriminator without batch norm, relativistic pairs, R1 and R2 on every
fourth step (γ 1), Adam (0, 0.99) at 1e-3, width 32. *classic* is DCGAN with batch norm in both, width 48, Adam (0.5, 0.999)
at 5e-4. Batch 64, bf16 where the machine has it, samples of the weight average. The numbers are Fréchet distances in the
features of random convolutions, 1,000 samples each, after so many minutes of training alone: the scores' own time is not
counted. Where a curve has no point, the next one before it. *Alike* is what [the methods' page](methods.md) says of it.
"""


def choice(results: Results, lengths: Mapping[str, Any]) -> str:
    """The page of plan E: a table for each dataset, and the sheets."""
    there = [one for one in results.values() if one["plan"] == "E"]
    minutes = max((float(lengths[one["name"]]["minutes"]) for one in there if one["name"] in lengths), default=10.0)
    parts = [HEAD.format(minutes=minutes, machine=machine(there))]
    for data in dict.fromkeys(data for _, data, _, _ in CHOICES):
        found = [results[t.name] for t in trials("E") if t.data == data and t.name in results]
        if found:
            title = DATA_NAMES[data]
            parts += [f"## {title[0].upper()}{title[1:]}\n", table_of(found, lengths), sheets(found)]
    left = [t.name for t in trials("E") if t.name not in results]
    if left:
        parts.append(f"\n## Not run yet\n\n{', '.join(left)}.\n")
    return wrapped("\n".join(parts))


def table_of(found: Sequence[Result], lengths: Mapping[str, Any]) -> str:
    titles = ["pair", "samples a second", *(f"{m:g} min" for m in MOMENTS), "at the end", "diversity", "alike"]
    return table(titles, [row(one, lengths.get(one["name"])) for one in found])


def row(one: Result, length: Mapping[str, Any] | None) -> list[str]:
    """Its line: the curve read at the moments."""
    cost = each(one, length)
    at = [NONE if cost is None else number(read(one["curve"], 60_000 * minutes / cost)) for minutes in MOMENTS]
    speed = NONE if cost is None else f"{1000 / cost:,.0f}"
    return [called(one), speed, *at, number(one["last"]), number(one["diversity"]), alike(one)]


def each(one: Result, length: Mapping[str, Any] | None) -> float | None:
    """Milliseconds of CPU time for a sample, as measured before the training."""
    return None if length is None else float(length["cpu_ms_per_sample"][one["arm"] or one["recipe"]])


def read(curve: Curve, seen: float) -> float | None:
    """The last value of a curve that was there after so many samples; None before the first."""
    there = [value for moment, value in curve if moment <= seen * 1.001]
    return there[-1] if there else None
