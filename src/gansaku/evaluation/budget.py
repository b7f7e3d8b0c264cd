"""How many samples can be scored in a time: measured on the first block, rounded down to a number that others use too."""

from __future__ import annotations

import time
from collections.abc import Callable

from gansaku.evaluation.features import BLOCK, STEP, Key, key, rows_in
from gansaku.evaluation.samples import Samples
from gansaku.evaluation.scorer import Scorer

COUNTS = (64, 100, 128, 200, 256, 300, 400, 500, 600, 750, 1000, 1500, 2000, 3000, 4000, 5000, 7500, 10_000, 15_000, 20_000,
          30_000, 50_000)  # fmt: skip
LONG = 2.0  # seconds of a block beside which warming up is nothing
SHARE = 0.8  # of the time left may go into features; the rest is for the arithmetic and its interval


def affordable(
    scorer: Scorer, generated: Samples, seconds: float, clock: Callable[[], float] = time.monotonic, sources: int = 1
) -> int:
    """The largest of COUNTS whose features both sides can have in so many seconds; at least the smallest.

    Real samples whose features lie in the cache cost nothing.
    """
    started = clock()
    per_generated = sources * cost(scorer, generated, clock)
    there = cached(scorer) if scorer.real_count else 0
    per_real = cost(scorer, scorer.real, clock) if there < max(COUNTS) else 0.0
    left = SHARE * (seconds - (clock() - started))
    limits = [count for count in (generated.count, scorer.real.count) if count is not None]
    fitting = [n for n in COUNTS if n * per_generated + max(0, n - there) * per_real <= left]
    return min([max(fitting, default=COUNTS[0]), *limits])


def cost(scorer: Scorer, samples: Samples, clock: Callable[[], float], size: int = STEP) -> float:
    """Seconds that one sample takes, from the second of two blocks: the first one warms up, unless it takes long already."""
    for _ in range(2):
        started = clock()
        block = samples.block(0, size if samples.count is None else min(size, samples.count))
        if scorer.extractor is not None:
            scorer.extractor(block)
        taken = clock() - started
        if taken > LONG:
            break
    return taken / len(block)


def cached(scorer: Scorer) -> int:
    """How many real samples' features lie in the cache without a gap."""
    if scorer.cache is None or scorer.extractor is None:
        return 0
    named: Key = key(scorer.real, scorer.extractor, scorer.device)
    folder, rows = named.folder(scorer.cache), 0
    while (there := rows_in(folder / f"{rows // BLOCK:06d}.safetensors")) == BLOCK:
        rows += there
    return rows + there
