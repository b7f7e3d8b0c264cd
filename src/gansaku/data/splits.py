"""Which samples are held out for scores, where a source does not say."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def held_out(names: Iterable[str], share: float) -> frozenset[str]:
    """The share of the names with the smallest hashes, rounded, one at least and all but one at most.

    Whether a name is among them hardly depends on the others, so a set that grows keeps nearly all its held-out samples.
    All parts of one file share its name: a face never trains while its mirror image scores.
    """
    ranked = sorted(set(names), key=lambda name: blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest())
    count = min(max(1, round(share * len(ranked))), len(ranked) - 1) if share > 0 and len(ranked) > 1 else 0
    return frozenset(ranked[:count])
