"""Scores while a training runs: at their moments, as far as their share of the time allows, and without touching it.

Nothing here changes what is trained: samples come from their own seed, networks are left in the mode they were in, and
torch's global generator is seeded anew in every turn anyway.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast, get_args

import torch

from gansaku import hardware
from gansaku.cache import cache_folder
from gansaku.contract import Phase, Signals
from gansaku.errors import UsageError
from gansaku.evaluation.budget import cached, cost
from gansaku.evaluation.features import extracted
from gansaku.evaluation.samples import Generated, Samples
from gansaku.evaluation.scorer import Scorer, Told
from gansaku.evaluation.sharing import extracted_by_all, help_extract
from gansaku.extractors import registry as extractors
from gansaku.extractors.contract import Precision
from gansaku.listener import duration
from gansaku.metrics import registry as metrics
from gansaku.metrics.contract import Metric
from gansaku.metrics.passport import Score
from gansaku.recipe import Recipe
from gansaku.runs.phase_samples import Made, Shrunk, at_size
from gansaku.sampling import sample
from gansaku.schedules import Levels
from gansaku.training.by_hand import shown_generator
from gansaku.training.loop import Moments, Watcher, every
from gansaku.training.state import State

TRIAL = 1.0  # seconds of its share before the cost of a score is tried: until then nothing is known of it
FEW = 8  # samples that it is tried with
TENTH = 10  # part of the samples that slow arithmetic is tried with
MARGIN = 1.2  # features are not all that a score takes

Gate = Literal["warn", "stop", "extend"]
GATES: tuple[str, ...] = get_args(Gate)
"""What to do when a phase of a growth ends worse than the one before."""

Scored = Callable[[State, Callable[[], list[Score]]], None]
"""Takes the state and what makes its scores: whoever keeps them also bears what goes wrong while they are made."""


@dataclass(frozen=True)
class Scoring:
    """What to score while a training runs: by default a Fréchet distance of random convolutions, which is cheap."""

    metrics: tuple[str | Metric, ...] = ()
    extractor: str | None = None  # a name or a file; random convolutions if None
    n: int = 1000  # samples of each side
    every: int | None = None  # samples seen between two scores; a twentieth of the run if None
    share: float = 0.05  # of the time that scores may take; 0 for none
    until_flat: float | None = None  # end once the first score surely improves by less than this share (`evaluation.flatness`)
    growth_gate: str | None = None  # of GATES: when a phase ends worse than the one before; warn if None

    def __post_init__(self) -> None:
        if self.n < 2:
            raise UsageError("--score-n", f"{self.n} is too few samples to score; use 2 or more", "COUNT")
        if self.every is not None and self.every < 1:
            raise UsageError("--score-every", f"{self.every} is no number of samples; use 1 or more", "COUNT")
        if self.until_flat is not None and not (0 < self.until_flat < 1 and self.share > 0):
            sentence = f"{self.until_flat:g} is no share of a score, or nothing is scored; use 5%, and an --eval-budget"
            raise UsageError("--stop-when-flat", sentence, "SHARE")
        if self.growth_gate is not None and self.growth_gate not in GATES:
            raise UsageError("--growth-gate", f"{self.growth_gate!r} is no gate; use {', '.join(GATES)}", "GATE")
        if self.growth_gate is not None and self.share <= 0:
            raise UsageError(
                "--growth-gate", f"{self.growth_gate} needs scores, and may take no time; use an --eval-budget", "GATE"
            )


def live(scoring: Scoring, recipe: Recipe, real: Samples, where: torch.device, name: str = "") -> Live | None:
    """What scores a training on these data; None if nothing may. Raises UsageError for what cannot be scored."""
    check_gate(scoring.growth_gate, recipe)
    if scoring.share <= 0:
        return None
    dimensions = len(real.shape) - 1
    cheap = scoring.extractor is None
    precision: Precision = "bf16" if not cheap and hardware.fast_bf16(where) else "fp32"
    extractor = extractors.find(scoring.extractor or f"random-{dimensions}d", None, precision, where, real.shape)
    own = tuple(metric for metric in scoring.metrics if isinstance(metric, Metric))
    named = metrics.find([name for name in scoring.metrics if isinstance(name, str)])
    chosen = own + named or metrics.find(["fid"])
    for metric in chosen:
        if "labels" in metric.needs and not recipe.classes:
            sentence = f"{', '.join(metric.gives)} needs a recipe with classes, and {recipe.name} makes samples without"
            raise UsageError("--scores", sentence, "CLASS")
    reads = any({"features", "logits"} & set(metric.needs) for metric in chosen)
    scorer = Scorer(
        chosen, real, extractor if reads else None, scoring.n, intervals=False, cache=cache_folder(), device=where.type,
        extract=extracted_by_all,
    )  # fmt: skip
    every_so_many = scoring.every or max(recipe.batch, recipe.length // 20)
    classes = real.classes if recipe.classes else ()
    made = Live(scorer, recipe, every(every_so_many), scoring.share, classes, name, scoring.metrics, scoring.until_flat)
    made.gate = cast(Gate, scoring.growth_gate or "warn")
    return made


def check_gate(gate: str | None, recipe: Recipe) -> None:
    """Raises UsageError for a gate where there are no phases, or none that could be made longer."""
    if gate is not None and recipe.growth is None:
        raise UsageError("--growth-gate", f"{gate} looks at phases, and {recipe.name} does not grow; leave it out", "GATE")
    if gate == "extend" and not isinstance(recipe.growth, Levels):
        kind = type(recipe.growth).__name__
        raise UsageError("--growth-gate", f"extend lengthens a row of growth.levels, which {kind} has not; use Levels", "GATE")


class Abandoned(Exception):
    """Somebody wants the training to stop while it is scored."""


class Live:
    """Scores a training's generator with a scorer. `share` is the part of the time that it may take."""

    def __init__(
        self,
        scorer: Scorer,
        recipe: Recipe,
        moments: Moments,
        share: float,
        classes: tuple[str, ...] = (),
        name: str = "",
        asked: tuple[str | Metric, ...] = (),
        until_flat: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.until_flat = until_flat
        self.gate: Gate = "warn"
        self._asked = asked  # a metric may give other numbers beside the one that was asked for
        self._scorer, self._recipe, self._moments, self._share, self._clock = scorer, recipe, moments, share, clock
        self._classes, self._name = classes, name
        self._began, self._spent = clock(), 0.0
        self._pending, self._last = False, -1
        self.cost: float | None = None  # seconds of one score; None until it was tried
        self._size: tuple[int, ...] = ()  # of the samples when it was tried
        self._small: dict[tuple[int, ...], Scorer] = {}  # for sizes that a growth goes through

    def begin(self) -> None:
        """The training begins now."""
        self._began, self._spent = self._clock(), 0.0

    def watcher(self, report: Scored, asked: Callable[[], bool]) -> Watcher:
        """Scores when a moment has come and there is time for it; not when somebody wants the training to stop."""

        def look(what: str, done: int, total: int) -> None:
            if asked():
                raise Abandoned

        for scorer in (self._scorer, *self._small.values()):
            scorer.progress = look

        def act(state: State, signals: Signals) -> None:
            if asked() or state.seen == self._last:
                return
            size = self._recipe.phase(state.seen).size
            if size != self._size:
                self._size, self.cost = size, None
            if self.cost is None and self._ready():
                self.cost = math.inf  # if the trial fails, it is not made again
                report(state, partial(self._tried, state))
            if self.cost is not None and self._allows(self.cost):
                self._pending, self._last = False, state.seen
                started = self._clock()
                report(state, partial(self.scores, state))
                taken = self._clock() - started
                self._spent += taken
                self.cost = taken  # with the real side done, it is less than the first guess

        return Watcher(self._due, act)

    @property
    def taken(self) -> float:
        """The share of the training's time that scores have taken."""
        return self._spent / max(1e-9, self._clock() - self._began)

    def why_none(self) -> str:
        """A sentence if nothing was scored although a moment had come; else nothing."""
        if self._last >= 0 or not self._pending:
            return ""
        if self.cost is None:
            return "nothing was scored: the training was too short to try"
        allowed = self._share * (self._clock() - self._began)
        return (
            f"nothing was scored: a score takes about {duration(self.cost)}, and {self._share:.0%} of the time are "
            f"{duration(allowed)}; --eval-budget allows more"
        )

    def closing(self) -> float:
        """Seconds that a last score would take now; 0 where its share does not allow one."""
        return self.cost if self.cost is not None and self._allows(self.cost) else 0.0

    def scores(self, state: State) -> list[Score]:
        """The scores of the generator as it is; while it grows, at its size."""
        phase = self._recipe.phase(state.seen)
        samples, told = self._samples(state)
        found = self._scorer_at(phase.size).score(samples, told)
        wanted = [score for score in found if metrics.asked_for(score.metric, self._asked)]
        return wanted if self.grown(state.seen) else [at_size(score, phase.size) for score in wanted]

    def grown(self, seen: int) -> bool:
        """Whether samples have their full size after so many."""
        return self._recipe.phase(seen).size == self._recipe.shape[1:]

    def at_end(self, state: State, phase: Phase, size: tuple[int, ...]) -> Score | None:
        """The first score of the generator at the end of a phase, its samples shrunk to a size, with an interval.

        None where somebody wants the training to stop, or where neither way is better.
        """
        started, scorer = self._clock(), self._scorer_at(size)
        scorer = replace(scorer, metrics=scorer.metrics[:1], intervals=True, extract=extracted)
        try:
            samples, told = self._samples(state, phase, size)
            found = [score for score in scorer.score(samples, told) if metrics.asked_for(score.metric, self._asked)]
        except Abandoned:
            return None
        finally:
            self._spent += self._clock() - started
        if size == phase.size and len(self._scorer.metrics) == 1:
            self._last = state.seen  # there is nothing more to be scored at this moment
        if not found or found[0].better == "neither":
            return None
        return found[0] if size == self._recipe.shape[1:] else at_size(found[0], size)

    def _scorer_at(self, size: tuple[int, ...]) -> Scorer:
        """The scorer of samples of a size, against real ones shrunk to it."""
        if size == self._scorer.real.shape[1:]:
            return self._scorer
        if size not in self._small:
            self._small[size] = replace(self._scorer, real=Shrunk(self._scorer.real, size))
        return self._small[size]

    def help(self, state: State) -> list[str]:
        """What another rank than 0 does while that one scores. Returns what went wrong."""
        assert self._scorer.extractor is not None
        return help_extract(self._samples(state)[0], self._scorer.n, self._scorer.extractor)

    def _due(self, before: int, after: int) -> bool:
        self._pending = self._pending or self._moments(before, after)
        return self._pending and (self._ready() if self.cost is None else self._allows(self.cost))

    def _ready(self) -> bool:
        return self._share * (self._clock() - self._began) > TRIAL

    def _allows(self, seconds: float) -> bool:
        return self._spent + seconds <= self._share * (self._clock() - self._began)

    def _tried(self, state: State) -> list[Score]:
        """Find out what a score costs; nothing is scored."""
        started, samples = self._clock(), self._samples(state)[0]
        scorer = self._scorer_at(self._recipe.phase(state.seen).size)
        features = 0.0
        if scorer.extractor is not None:
            missing = max(0, scorer.real_count - cached(scorer))
            features = cost(scorer, samples, self._clock, FEW) * scorer.n
            features += cost(scorer, scorer.real, self._clock, FEW) * missing if missing else 0.0
        slow = [metric for metric in scorer.metrics if "samples" in metric.needs]
        arithmetic = 0.0
        if slow:
            few = max(FEW, scorer.n // TENTH)
            small = Scorer(slow, scorer.real, None, few, few, intervals=False)
            begun = self._clock()
            small.score(samples)
            arithmetic = (self._clock() - begun) * TENTH ** (
                1 if len(samples.shape) == 3 else 2
            )  # shapes are compared by pairs
        self.cost = MARGIN * (features + arithmetic)
        self._spent += self._clock() - started
        return []

    def _samples(self, state: State, phase: Phase | None = None, size: tuple[int, ...] | None = None) -> tuple[Generated, Told]:
        """What the generator makes in a phase (the one it stands in), at a size (its own)."""
        recipe, real, phase = self._recipe, self._scorer.real, phase or self._recipe.phase(state.seen)
        size, name = size or phase.size, f"{self._name} at {state.seen:,}"
        make = partial(sample, shown_generator(state), recipe, phase=phase)
        kind = Generated if size == real.shape[1:] else Made
        samples = kind(name, {}, (real.shape[0], *size), make, self._classes, kept=False)
        return samples, Told("ema" if "generator" in state.ema else "raw", seen=state.seen)
