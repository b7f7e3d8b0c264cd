"""The verbs about scores: evaluate samples against data, and look at scores that were made."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gansaku import hardware
from gansaku.cache import cache_folder
from gansaku.data.policy import Size
from gansaku.data.sources import open_data
from gansaku.data.store import Dataset
from gansaku.errors import DataError, UsageError, nearest
from gansaku.evaluation.budget import COUNTS, affordable
from gansaku.evaluation.samples import Samples, Stored
from gansaku.evaluation.scorer import Scorer, Told
from gansaku.extractors import registry as extractors
from gansaku.extractors.weights import get as download
from gansaku.listener import Listener, duration
from gansaku.metrics import registry as metrics
from gansaku.metrics.contract import Metric
from gansaku.metrics.passport import Difference, Score, difference, from_plain, unlike
from gansaku.recipes import registry as recipes
from gansaku.runs import log, scoring
from gansaku.runs.folder import Folder, opened
from gansaku.runs.opening import size_of
from gansaku.runs.phase_samples import Shrunk, at_size, compared_small
from gansaku.runs.phases import named
from gansaku.runs.run import Run, label_of, stored_recipe

N = {2: 10_000, 3: 1_000}  # samples that are scored when nobody says how many, by dimensions of space


class Source(NamedTuple):
    """Samples to score; the run that they come from, if it is one."""

    samples: Samples
    told: Told
    run: Run | None

    @property
    def small(self) -> tuple[int, ...] | None:
        """The size of its samples where the run has not grown to its full size; else None."""
        size = self.samples.shape[1:]
        return size if self.run is not None and size != self.run.recipe.shape[1:] else None


def evaluate(
    what: str | Path | Run | Sequence[str | Path | Run],
    against: str | None = None,
    names: Sequence[str | Metric] = (),
    n: int | None = None,
    real: int | None = None,
    *,
    extractor: str | None = None,
    resize: str | None = None,
    precision: str = "fp32",
    split: str = "train",
    seed: int = 0,
    weights: str | None = None,
    truncation: float | None = None,
    class_name: str | None = None,
    at: int | None = None,
    size: Size = None,
    samples_split: str = "all",
    per_class: bool = False,
    bias_curve: bool = False,
    intervals: bool = True,
    budget: float | None = None,
    device: str = "auto",
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> list[Score]:
    """Score runs, or pictures and voxels that any program made, against data; each score has a passport.

    `what` is a run, a folder, zip, `.h5` or array file of samples, or several of them. `against` is data as `train` takes
    them; a run's own if not given. `names` are metrics by name, or metrics. `n` samples of each side are used, at most
    those there are; `real` says another number of real ones. `budget` (seconds) picks n. Features lie in the cache: a
    stopped evaluation goes on, and real ones are computed once. A run's scores are noted in its log. A checkpoint of a phase
    before the last one of a growth is scored at its own size, the data shrunk to it as its training did.
    """
    started, listener, where = time.monotonic(), listener or Listener(), hardware.device(device)
    for file in use:
        recipes.use(Path(file))
    given = [what] if isinstance(what, str | Path | Run) else list(what)
    if not given:
        raise UsageError("evaluate", "name a run, or a folder or file of samples", "USAGE")
    for flag, count in (("-n", n), ("--real", real)):
        if count is not None and count < 1:
            raise UsageError(flag, f"{count} is no number of samples; use 2 or more", "COUNT")
    sources = [
        source_of(one, seed=seed, weights=weights, truncation=truncation, class_name=class_name, at=at, size=size,
                  split=samples_split, device=where, listener=listener) for one in given
    ]  # fmt: skip
    dataset = real_data(against, sources[0], size, listener)
    shape = sources[0].samples.shape
    found = extractors.find(extractor, resize, precision, where, shape)
    standard = found.identity.name == extractors.STANDARD
    chosen = chosen_metrics(names or metrics.default(len(shape) - 1, standard))
    check_class(class_name, per_class, chosen)
    reads = any({"features", "logits"} & set(metric.needs) for metric in chosen)
    scorer = Scorer(
        chosen, Stored(dataset, split, label=class_in(dataset, class_name)), found if reads else None,
        n or N[len(shape) - 1], real, intervals,
        cache_folder(), listener.scoring, where.type,
    )  # fmt: skip
    if budget is not None:
        if n is not None:
            raise UsageError("--budget", "picks the number of samples by itself; give it or -n", "BUDGET")
        if budget <= 0:
            raise UsageError("--budget", "is over before anything could be looked at; give it a minute", "BUDGET")
        scorer.n = affordable(scorer, sources[0].samples, budget - (time.monotonic() - started), sources=len(sources))
        few = ", the fewest that are scored: it may take longer" if scorer.n == COUNTS[0] else ""
        listener.say(f"{scorer.n:,} samples of each side in {duration(budget)}{few}")
    scores, scorers = [], {None: scorer, **small_scorers(scorer, sources, bool(names), listener)}
    for source in sources:
        judge = scorers[source.small]
        made = judge.by_class(source.samples, source.told) if per_class else judge.score(source.samples, source.told)
        if bias_curve:
            made += judge.bias_curve(source.samples, source.told)
        made = [score for score in made if metrics.asked_for(score.metric.removesuffix("@∞"), names)]
        if source.small is not None:
            made = [at_size(score, source.small) for score in made]
        if source.run is not None:
            scoring.noted(source.run, made)
        scores += made
    scorer.tidy(*(source.samples for source in sources))
    return scores


def small_scorers(
    scorer: Scorer, sources: Iterable[Source], named_metrics: bool, listener: Listener
) -> dict[tuple[int, ...] | None, Scorer]:
    """A scorer for each size that a growth has not left yet, against real samples shrunk to it.

    Shrunk voxels are shares of what is filled, no shapes. Raises UsageError for a metric of shapes that was asked for.
    """
    found: dict[tuple[int, ...] | None, Scorer] = {}
    for source in sources:
        if source.small is None:
            continue
        shapes = [metric for metric in scorer.metrics if "samples" in metric.needs and len(source.small) == 3]
        if shapes and named_metrics:
            sentence = f"compares whole voxels, and {source.samples.name} makes {named(source.small)}, where data are shares"
            raise UsageError(f"--metrics {', '.join(shapes[0].gives)}", f"{sentence}; use fid, or a later checkpoint", "METRIC")
        chosen = [metric for metric in scorer.metrics if metric not in shapes]
        found[source.small] = replace(scorer, metrics=chosen, real=Shrunk(scorer.real, source.small))
        listener.say(f"{source.samples.name} makes {named(source.small)}: the data are shrunk to it, as in its training")
    return found


def metric_names() -> list[dict[str, str]]:
    """Every metric's numbers: name, title, which way is better, what it takes, and what it is."""
    takes = {2: "pictures", 3: "voxels"}
    return [
        {
            "name": name,
            "title": kind.gives[name].title,
            "better": kind.gives[name].better,
            "takes": " and ".join(takes[d] for d in kind.dimensions),
            "summary": kind.gives[name].means or (kind.__doc__ or "").splitlines()[0],
        }
        for name, kind in sorted(metrics.known().items())
    ]


def weights() -> list[dict[str, Any]]:
    """Every extractor: what it takes, where its weights are, and how to get them."""
    return extractors.listing()


def get_weights(name: str, listener: Listener | None = None) -> Path:
    """Download an extractor's weights into the cache, where they are checked by their SHA-256."""
    return download(name, (listener or Listener()).downloading)


def check_class(class_name: str | None, per_class: bool, chosen: Sequence[Metric]) -> None:
    """Raises UsageError for one class where all are needed."""
    if class_name is None:
        return
    if per_class:
        raise UsageError("--per-class", "scores every class; leave out --class", "USAGE")
    for metric in chosen:
        if "labels" in metric.needs:
            sentence = f"{', '.join(metric.gives)} learns from all classes; --per-class tells each one's"
            raise UsageError("--class", sentence, "USAGE")


def class_in(dataset: Dataset, name: str | None) -> int | None:
    """The number of a class of data, so that samples of one class meet their like; None where no name is given.

    Data without classes are all of one: None, too. Raises UsageError for a name that is none of theirs.
    """
    if name is None or not dataset.classes:
        return None
    if name not in dataset.classes:
        raise UsageError("--class", f"{dataset.name} has no class {name!r}{nearest(name, list(dataset.classes))}", "CLASS")
    return dataset.classes.index(name)


def chosen_metrics(names: Sequence[str | Metric]) -> tuple[Metric, ...]:
    """Metrics by name, and those that are metrics already."""
    own = tuple(name for name in names if isinstance(name, Metric))
    return metrics.find([name for name in names if isinstance(name, str)]) + own


def source_of(
    what: str | Path | Run,
    *,
    seed: int = 0,
    weights: str | None = None,
    truncation: float | None = None,
    class_name: str | None = None,
    at: int | None = None,
    size: Size = None,
    split: str = "all",
    device: torch.device | None = None,
    listener: Listener,
) -> Source:
    """The samples of a run's checkpoint, or those in a file or a folder; of one class, if its name is given."""
    if isinstance(what, Run) or Folder(Path(what)).exists:
        run = what if isinstance(what, Run) else opened_run(what, at)
        samples, told = scoring.generated(run, seed, weights, truncation, label_of(run, class_name), device)
        source = Source(samples, told, run)
        return source if source.small is None else source._replace(samples=compared_small(samples))
    if weights or truncation is not None or at is not None:
        raise UsageError(str(what), "is no run: weights, truncation and checkpoint are a run's", "RUN_FOLDER")
    dataset = open_data(str(what), size, progress=listener.preparing)
    if class_name is not None and not dataset.classes:
        sentence = f"{dataset.name} has no classes; leave it out, or put the samples into folders of their classes"
        raise UsageError("--class", sentence, "CLASS")
    return Source(Stored(dataset, split, label=class_in(dataset, class_name)), Told(label=class_name or ""), None)


def opened_run(path: str | Path, at: int | None = None) -> Run:
    folder = opened(path)
    return Run(folder, stored_recipe(folder), at)


def real_data(against: str | None, source: Source, size: Size, listener: Listener) -> Dataset:
    """The data to compare with: those named, else those that the run was trained on."""
    told = source.run.folder.read_about()["data"] if source.run else {}
    if against is None and source.run is None:
        raise UsageError("--against", "name the data to compare with, as `gansaku train --data` takes them", "DATA_MISSING")
    try:
        own = size_of(source.run.folder if source.run else None)
        dataset = open_data(against or told["source"], size or own, progress=listener.preparing)
    except DataError as error:
        if against is None:
            raise UsageError("--against", f"the run's own data are not there ({error}); name them", "DATA_MISSING") from None
        raise
    if against is None and dataset.fingerprint != told["fingerprint"]:
        raise UsageError("--against", f"{told['source']} has changed since the run was trained; name the data", "DATA_CHANGED")
    return dataset


def scores(what: Sequence[str | Path]) -> list[Score]:
    """Scores that were made: those in runs' logs, the last of each kind, and in files that `evaluate --json` wrote."""
    found: list[Score] = []
    for one in map(Path, what):
        if Folder(one).exists:
            last = {(score.name, score.passport.digest): score for _, score in log.scores(Folder(one).log)}
            if not last:
                raise UsageError(str(one), f"has no scores yet; `gansaku evaluate {one}` makes some", "SCORES")
            found += last.values()
        else:
            found += from_file(one)
    return found


def from_file(path: Path) -> list[Score]:
    """The scores in a file of JSON. Raises UsageError for what is none."""
    try:
        content = json.loads(path.read_text())
        listed = content["scores"]
        return [from_plain(score) for score in listed]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(str(path), "is no run, and no file that `gansaku evaluate --json` wrote", "SCORES") from None


def differences(all_scores: Sequence[Score], force: bool = False) -> list[Difference]:
    """Each score of another source against the first like one; of a metric that has no like ones, the first, if forced.

    Raises UsageError with the reason otherwise.
    """
    found: list[Difference] = []
    refused: dict[tuple[str, str], tuple[Score, Score]] = {}
    for i, score in enumerate(all_scores):
        kind = (score.metric, score.passport.label)
        others = [one for one in all_scores[:i] if (one.metric, one.passport.label) == kind]
        others = [one for one in others if one.passport.generated != score.passport.generated or len(all_scores) == 2]
        like = next((one for one in others if not unlike(one.passport, score.passport)), None)
        if like is not None:
            found.append(difference(like, score))
        elif others:
            refused.setdefault(kind, (others[0], score))
    told = {(one.other.metric, one.other.passport.label) for one in found}
    return found + [difference(a, b, force) for kind, (a, b) in refused.items() if kind not in told]
