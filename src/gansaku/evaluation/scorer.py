"""From samples to scores: what the metrics need is computed once for each side, and every number gets its passport."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from gansaku import __version__
from gansaku.errors import DataError, UsageError, nearest
from gansaku.evaluation.features import extracted, key, prune
from gansaku.evaluation.samples import Samples
from gansaku.extractors.contract import Extracted, Extractor
from gansaku.extractors.registry import STANDARD
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.metrics.frechet import curve, extrapolated
from gansaku.metrics.passport import Passport, Score, named, warnings
from gansaku.metrics.resampling import jackknife
from gansaku.parts import encode

GROUPS = 10  # parts of the samples, each left out once, that an interval comes from
MEMORY = 4 << 30  # bytes of samples that are held at once
HEAD = 1008  # classes of its head


@dataclass(frozen=True)
class Told:
    """What a passport says of the generated samples beside what their source says."""

    weights: str = "stored"
    truncation: float | None = None
    label: str = ""
    seed: int = 0
    seen: int | None = None


@dataclass
class Scorer:
    """Scores any number of generated sides against one real side, whose features and statistics are made once.

    `n` and `n_real` are the most samples of each side. Without a cache folder no features are kept.
    """

    metrics: Sequence[Metric]
    real: Samples
    extractor: Extractor | None = None
    n: int = 10_000
    n_real: int | None = None
    intervals: bool = True
    cache: Path | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    device: str = "cpu"
    extract: Callable[..., Extracted] = extracted  # as `features.extracted`
    _side: Side | None = field(default=None, init=False)
    _references: dict[int, Any] = field(default_factory=dict, init=False)
    _parts: dict[int, Side] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check(self.metrics, self.real.shape, self.extractor)
        for metric in self.by_labels:
            check_has_classes(metric, self.real)

    @property
    def by_labels(self) -> list[Metric]:
        """The metrics that need to know classes."""
        return [metric for metric in self.metrics if "labels" in metric.needs]

    @property
    def needs(self) -> set[Need]:
        return {need for metric in self.metrics for need in metric.needs}

    @property
    def real_count(self) -> int:
        """How many real samples are looked at: as many as generated ones, unless somebody says, or a metric wants all."""
        return max((self.counted(metric) for metric in self.metrics if metric.reads_real), default=0)

    def counted(self, metric: Metric) -> int:
        """How many real samples a metric gets; what else is scored changes nothing of it."""
        if self.n_real is None and metric.wants_all and self.real.count is not None:
            return self.real.count
        wanted = self.n if self.n_real is None else self.n_real
        return wanted if self.real.count is None else min(wanted, self.real.count)

    def real_side(self) -> Side:
        if self._side is None:
            reading = {need for metric in self.metrics if metric.reads_real for need in metric.needs}
            self._side = self.side(self.real, self.real_count, reading, "real")
        return self._side

    def real_for(self, metric: Metric) -> Side:
        """The real samples that a metric gets: the first ones."""
        whole, n = self.real_side(), self.counted(metric) if metric.reads_real else 0
        if n not in self._parts:
            self._parts[n] = whole if n == whole.n else whole.rows(torch.arange(n))
        return self._parts[n]

    def side(self, samples: Samples, n: int, needs: Iterable[Need], what: str) -> Side:
        """What the metrics need to know of the first n samples."""
        needs = set(needs)

        def progress(done: int, total: int) -> None:
            self.progress(what, done, total)

        features = logits = content = None
        if needs & {"features", "logits"} and n:
            assert self.extractor is not None
            cache = self.cache if samples.kept else None
            features, logits = self.extract(samples, n, self.extractor, cache, progress, self.device)
        if "samples" in needs and n:
            size = n * torch.Size(samples.shape).numel()
            if size > MEMORY:
                most = n * MEMORY // size
                flag = "-n" if samples is not self.real else "--real"
                raise UsageError(flag, f"{n:,} samples of {samples.shape} do not fit into memory; use {most:,}", "COUNT")
            content = torch.cat([samples.block(i, min(i + 64, n)) for i in range(0, n, 64)])
        labels = samples.labels(0, n) if samples.classes else None
        return Side(n, features, logits, content, labels)

    def tidy(self, *used: Samples) -> None:
        """Keep the cache within its bounds; what was used now stays."""
        if self.cache is not None and self.extractor is not None:
            kept = [key(samples, self.extractor, self.device).folder(self.cache) for samples in (self.real, *used)]
            prune(self.cache, kept)

    def reference(self, metric: Metric) -> Any:
        """What the metric makes of the real side alone, made once."""
        if id(metric) not in self._references:
            self._references[id(metric)] = metric.reference(self.real_for(metric)) if metric.reads_real else None
        return self._references[id(metric)]

    def score(self, generated: Samples, told: Told | None = None) -> list[Score]:
        """Every number of every metric. Raises UsageError for too few samples, of another shape, or without classes."""
        check_shapes(self.needs, generated, self.real)
        for metric in self.by_labels:
            check_has_classes(metric, generated)
            check_known(f"--metrics {', '.join(metric.gives)}", generated, self.real)
        n = self.n if generated.count is None else min(self.n, generated.count)
        side = self.side(generated, n, self.needs, "generated")
        if self.by_labels:
            side = numbered_alike(side, generated.classes, self.real.classes)
        return [score for metric in self.metrics for score in self.scored(metric, self.real_for(metric), side, generated, told)]

    def scored(
        self, metric: Metric, real: Side, side: Side, generated: Samples, told: Told | None = None, whole: bool = True
    ) -> list[Score]:
        """The numbers of one metric; `whole` when the real side is the one that the reference was made of."""
        metric.check(real, side)
        reference = self.reference(metric) if whole else None
        values = metric.values(real, side, reference)
        intervals: Mapping[str, tuple[float, float]] = {}
        a_sample = bool(real.n) and (self.real.count is None or real.n < self.real.count)
        if self.intervals and side.n >= 2 * GROUPS and real.n not in range(1, 2 * GROUPS):
            intervals = jackknife(metric, real, side, GROUPS, resample_real=a_sample, reference=reference)
        how = "95 %, over generated and real samples" if a_sample else "95 %, over generated samples"
        if type(metric).error is not Metric.error:
            how = "95 %, by the metric's own standard error"
        remarks = metric.remarks(values, real, side)
        found = [
            self.stamped(metric, name, value, intervals.get(name), how, real, side, generated, told or Told(), whole)
            for name, value in values.items()
        ]
        return [replace(score, warnings=score.warnings + remarks) for score in found]

    def stamped(
        self, metric: Metric, name: str, value: float, interval: tuple[float, float] | None, how: str,
        real: Side, side: Side, generated: Samples, told: Told, whole: bool = True,
    ) -> Score:  # fmt: skip
        """The number with its name and its passport."""
        output, split = metric.gives[name], getattr(self.real, "part", "")
        if told.label and not whole:
            split = f"{split}, class {told.label}"
        if not math.isfinite(value):
            raise DataError(generated.name, f"{name} is {value}: its {side.n:,} samples give no number", "SCORE")
        if interval is not None:
            interval = (max(output.least, interval[0]), min(output.most, interval[1]))
        uses = self.extractor if {"features", "logits"} & set(metric.needs) else None
        passport = Passport(
            metric=name,
            n_generated=side.n,
            n_real=real.n if metric.reads_real else 0,
            data=str(self.real.identity.get("data", "")) if metric.reads_real else "",
            split=split if metric.reads_real else "",
            extractor=uses.identity.name if uses else "",
            sha256=uses.identity.sha256 if uses else "",
            resize=uses.resize if uses else "",
            precision=uses.precision if uses else "fp32",
            quantization="binary" if len(generated.shape) == 4 else "uint8",
            settings={key: value for key, value in encode(metric, type(metric)).items() if key != "part"},
            real=self.real.name,
            generated=generated.name,
            interval=how if interval else "",
            version=f"gansaku {__version__}, torch {torch.__version__}",
            device=self.device,
            **{field: getattr(told, field) for field in ("weights", "truncation", "label", "seed", "seen")},
        )
        title = named(titled(output, uses), side.n, passport.n_real) + (f" ({told.label})" if told.label else "")
        warned = warnings(passport, metric.biased, uses.features if uses else 0)
        if generated.shape != self.real.shape:
            warned += (f"samples of {generated.shape} against {self.real.shape}: resized, which changes the number",)
        warned += about_jpeg(generated.jpeg, self.real.jpeg)
        return Score(title, value, interval, output.better, passport, warned)

    def bias_curve(self, generated: Samples, told: Told | None = None) -> list[Score]:
        """Where each biased number would be with endless generated samples, by its curve over their number.

        The real samples stay as many as they are.
        """
        n = self.n if generated.count is None else min(self.n, generated.count)
        side, scores = self.side(generated, n, self.needs, "generated"), []
        for metric in self.metrics:
            for name, output in metric.gives.items():
                if output.other and output.better == "lower" and metric.biased:
                    line = extrapolated(*curve(metric, name, self.real_for(metric), side))
                    score = self.stamped(
                        metric, name, line.value, None, "", self.real_for(metric), side, generated, told or Told()
                    )
                    passport = replace(score.passport, metric=f"{name}@∞")
                    note = (
                        f"from {n // 4:,} to {n:,} generated samples; the bias of {passport.n_real:,} real ones is still in it"
                    )
                    scores.append(
                        replace(score, name=f"{titled(output, self.extractor)}@∞", passport=passport, warnings=(note,))
                    )
        return scores

    def by_class(self, generated: Samples, told: Told | None = None) -> list[Score]:
        """The numbers of each class alone, generated against real samples of that class.

        A metric that needs classes has all real samples beside the generated ones of one class. What has too few samples is
        left out, and the others' warnings name it. Raises UsageError where nothing is left, or for unknown classes.
        """
        for samples in (self.real, generated):
            if not samples.classes:
                raise UsageError("--per-class", f"{samples.name} has no classes", "CLASS")
        check_known("--per-class", generated, self.real)
        check_shapes(self.needs, generated, self.real)
        n = self.n if generated.count is None else min(self.n, generated.count)
        side = numbered_alike(self.side(generated, n, self.needs, "generated"), generated.classes, self.real.classes)
        scores: list[Score] = []
        few: list[str] = []
        for name in generated.classes:
            number, told_class = self.real.classes.index(name), replace(told or Told(), label=name)
            made = rows_of(side, number)
            for metric in self.metrics:
                whole = metric in self.by_labels
                there = self.real_for(metric) if whole else rows_of(self.real_for(metric), number)
                try:
                    scores += self.scored(metric, there, made, generated, told_class, whole)
                except UsageError as error:
                    if error.code != "COUNT":
                        raise
                    few.append(f"{name} ({error.where} {error.sentence})")
        if few and not scores:
            raise UsageError("--per-class", f"no class has samples enough: {few[0]}; a larger -n takes more", "COUNT")
        more = f" and {len(few) - 4} more" if len(few) > 4 else ""
        note = (f"left out for lack of samples: {', '.join(few[:4])}{more}; a larger -n takes more",) if few else ()
        return [replace(score, warnings=score.warnings + note) for score in scores]


def rows_of(side: Side, label: int) -> Side:
    """The samples of one class."""
    assert side.labels is not None
    return side.rows(torch.nonzero(side.labels == label).flatten())


def numbered_alike(side: Side, names: Sequence[str], real: Sequence[str]) -> Side:
    """The same with its labels as the real side numbers them; `names` are its own classes, all of which `real` has."""
    assert side.labels is not None
    return replace(side, labels=torch.tensor([real.index(name) for name in names])[side.labels])


def titled(output: Output, extractor: Extractor | None) -> str:
    """What a number is called: `FID` is the 2015 Inception's alone, another extractor's is `FD-` and its name."""
    if extractor is None:
        return output.title
    title = output.title if extractor.identity.name == STANDARD else f"{output.other or output.title}-{extractor.identity.name}"
    return title if extractor.precision == "fp32" else f"{title}-{extractor.precision}"


def check(metrics: Sequence[Metric], shape: Sequence[int], extractor: Extractor | None) -> None:
    """Raises UsageError for a metric that cannot be had of such samples, or with such an extractor."""
    dimensions = len(shape) - 1
    for metric in metrics:
        names = ", ".join(metric.gives)
        if dimensions not in metric.dimensions:
            kind = {2: "pictures", 3: "voxels"}
            raise UsageError(f"--metrics {names}", f"is for {kind[metric.dimensions[0]]}, not for {kind[dimensions]}", "METRIC")
        if "logits" in metric.needs and (extractor is None or extractor.classes != HEAD):
            raise UsageError(
                f"--metrics {names}",
                f"needs the 2015 Inception's {HEAD} classes, and {extractor.identity.name if extractor else 'nothing'} as it "
                f"is here has {extractor.classes if extractor else 0}; "
                f"`gansaku weights get {STANDARD}` brings the file with them",
                "METRIC",
            )


def check_shapes(needs: set[Need], generated: Samples, real: Samples) -> None:
    """Raises UsageError for samples that cannot be compared as they are."""
    a, b = generated.shape, real.shape
    if len(a) != len(b):
        raise UsageError(generated.name, f"holds samples of {a}, and {real.name} of {b}", "SHAPE")
    if a != b and "samples" in needs:
        raise UsageError(generated.name, f"holds samples of {a}, and {real.name} of {b}; give --size", "SHAPE")


def check_has_classes(metric: Metric, samples: Samples) -> None:
    """Raises UsageError where a metric needs classes and there are none."""
    if not samples.classes:
        sentence = f"needs to know classes, and {samples.name} has none; class folders, or a run with classes, have some"
        raise UsageError(f"--metrics {', '.join(metric.gives)}", sentence, "CLASS")


def check_known(where: str, generated: Samples, real: Samples) -> None:
    """Raises UsageError for a class of the generated samples that the real ones do not have."""
    for name in generated.classes:
        if name not in real.classes:
            raise UsageError(where, f"{real.name} has no class {name!r}{nearest(name, list(real.classes))}", "CLASS")


def about_jpeg(a: float | None, b: float | None) -> tuple[str, ...]:
    """A warning where one side was stored as JPEG and the other was not, by the shares of JPEG; None has never been a file."""
    if a is None or b is None or (a > 0.5) == (b > 0.5):
        return ()
    other = "of the other it is not known" if math.isnan(a) or math.isnan(b) else "the other was not"
    return (f"one side was stored as JPEG and {other}: the compression alone changes the number",)
