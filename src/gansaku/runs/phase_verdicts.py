"""Whether a phase of a growth ended worse than the one before, by scores of the log. Imports no torch.

Scores at different sizes say nothing of each other. So the samples of a phase are also shrunk to the size of the phase before
and scored there, against the real ones shrunk likewise, as that phase's own samples were when it ended: the same number of
samples, the same real ones, the same size. A growth that does harm is worse at a size that it had already learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from gansaku.metrics.passport import Score, difference, unlike
from gansaku.runs.phases import Span, ends

WORSE = 0.2  # of the larger score: less is no reason, however sure, since from one tick to the next GANs swing by a tenth


class Verdict(NamedTuple):
    """How a phase compares with the one before, at that one's size; the change is a share of the larger score."""

    word: Literal["better", "no worse", "worse"]
    change: float  # above 0: in the direction that is worse


class Found(NamedTuple):
    """What is known of a stable phase that has ended: its score, and at the size before, the two that are compared."""

    span: Span
    own: Score | None = None
    before: Score | None = None  # of the phase before, when it ended
    after: Score | None = None  # of this one's samples, shrunk
    last: Span | None = None  # the phase before

    @property
    def verdict(self) -> Verdict | None:
        """None where nothing can be compared."""
        alike = self.before is not None and self.after is not None and not unlike(self.before.passport, self.after.passport)
        return judged(self.before, self.after) if alike and self.before is not None and self.after is not None else None


def judged(before: Score, after: Score) -> Verdict:
    """`before` is the last phase's score when it ended, `after` this one's at that size, made the same way.

    Worse is what is surely so (the 95 % interval of the change, both scores taken for independent, lies above 0) and by more
    than WORSE. The interval knows nothing of how a training swings; that is what WORSE is for.
    """
    found = difference(before, after)
    sign = 1 if before.better == "lower" else -1
    change = sign * found.change / (max(abs(before.value), abs(after.value)) or 1.0)
    low, high = sorted(sign * bound for bound in found.interval or (found.change, found.change))
    if low > 0 and change > WORSE:
        return Verdict("worse", change)
    return Verdict("better" if high < 0 else "no worse", change)


def of_phases(spans: Sequence[Span], scores: Iterable[tuple[int, Score]]) -> list[Found]:
    """What the log has of each stable phase, in order: (samples seen, score), of which those with intervals count."""
    known = [(seen, score) for seen, score in scores if score.interval is not None]
    stable = ends(spans)
    full = spans[-1].size if spans else ()
    found: list[Found] = []
    for i, span in enumerate(stable):
        until = stable[i + 1].stop if i + 1 < len(stable) else None
        then = [score for seen, score in known if span.stop <= seen and (until is None or seen < until)]
        own = next((score for score in then if size_of(score, full) == span.size), None)
        last = found[-1] if found else None
        after = next((score for score in then if last is not None and size_of(score, full) == last.span.size), None)
        found.append(Found(span, own, *(() if last is None else (last.own, after, last.span))))
    return found


def size_of(score: Score, full: tuple[int, ...]) -> tuple[int, ...]:
    """The size at which samples were compared; where the passport has none, the full one."""
    settings = score.passport.settings
    size = settings.get("size") if isinstance(settings, Mapping) else None  # a log may be anybody's
    return tuple(size) if isinstance(size, list) else full


def number(score: Score) -> str:
    """12.5 [12, 13]."""
    interval = "" if score.interval is None else f" [{score.interval[0]:.4g}, {score.interval[1]:.4g}]"
    return f"{score.value:.4g}{interval}"
