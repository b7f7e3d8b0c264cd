"""The verbs about scores: evaluate samples against data, and look at scores that were made."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gansaku import files, hardware
from gansaku.data.sources import cache_folder, open_data
from gansaku.data.store import Dataset
from gansaku.errors import DataError, UsageError
from gansaku.evaluation.blind import EACH, Contestant, page
from gansaku.evaluation.budget import COUNTS, affordable
from gansaku.evaluation.neighbours import Neighbours
from gansaku.evaluation.neighbours import found as nearest_of
from gansaku.evaluation.probing import Probe, probed
from gansaku.evaluation.ranking import Ranking, halves, ranked
from gansaku.evaluation.samples import Samples, Stored
from gansaku.evaluation.scorer import STANDARD, Scorer, Told
from gansaku.extractors import registry as extractors
from gansaku.extractors.weights import get as download
from gansaku.listener import Listener, duration
from gansaku.metrics import registry as metrics
from gansaku.metrics.contract import Metric
from gansaku.metrics.memorization import Memorization
from gansaku.metrics.passport import Difference, Score, difference, from_plain
from gansaku.recipes import registry as recipes
from gansaku.runs import log, manifest, scoring
from gansaku.runs.folder import Folder, opened
from gansaku.runs.run import Run, label_of, stored_recipe

N = {2: 10_000, 3: 1_000}  # samples that are scored when nobody says how many, by dimensions of space


class Source(NamedTuple):
    """Samples to score; the run that they come from, if it is one."""

    samples: Samples
    told: Told
    run: Run | None


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
    size: int | None = None,
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
    stopped evaluation goes on, and real ones are computed once. A run's scores are noted in its log.
    """
    started, listener, where = time.monotonic(), listener or Listener(), hardware.device(device)
    for file in use:
        recipes.use(Path(file))
    given = [what] if isinstance(what, str | Path | Run) else list(what)
    sources = [
        source_of(one, seed=seed, weights=weights, truncation=truncation, class_name=class_name, at=at, size=size,
                  split=samples_split, listener=listener) for one in given
    ]  # fmt: skip
    dataset = real_data(against, sources[0], size, listener)
    shape = sources[0].samples.shape
    found = extractors.find(extractor, resize, precision, where, shape)
    standard = found.identity.name == STANDARD
    chosen = chosen_metrics(names or metrics.default(len(shape) - 1, standard))
    reads = any({"features", "logits"} & set(metric.needs) for metric in chosen)
    scorer = Scorer(
        chosen, Stored(dataset, split), found if reads else None, n or N[len(shape) - 1], real, intervals,
        cache_folder(), listener.scoring, where.type,
    )  # fmt: skip
    if budget is not None:
        if n is not None:
            raise UsageError("--budget", "picks the number of samples by itself; give it or -n", "BUDGET")
        if budget <= 0:
            raise UsageError("--budget", "is over before anything could be looked at; give it a minute", "BUDGET")
        scorer.n = affordable(scorer, sources[0].samples, budget - (time.monotonic() - started))
        few = ", the fewest that are scored: it may take longer" if scorer.n == COUNTS[0] else ""
        listener.say(f"{scorer.n:,} samples of each side in {duration(budget)}{few}")
    scores = []
    for source in sources:
        made = scorer.by_class(source.samples, source.told) if per_class else scorer.score(source.samples, source.told)
        if bias_curve:
            made += scorer.bias_curve(source.samples, source.told)
        made = [score for score in made if asked_for(score.metric.removesuffix("@∞"), names)]
        if source.run is not None:
            scoring.noted(source.run, made)
        scores += made
    scorer.tidy(*(source.samples for source in sources))
    return scores


def rank(
    run: str | Path | Run,
    public: str,
    private: str,
    against: str | None = None,
    names: Sequence[str | Metric] = (),
    n: int | None = None,
    *,
    size: int | None = None,
    precision: str = "fp32",
    split: str = "train",
    seed: int = 0,
    device: str = "auto",
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> Ranking:
    """Rank every checkpoint of a run by two judges: an extractor each, on disjoint halves of the data.

    One metric judges, fid if not named; two are the public and the private one's. `mifid` has the dog competition's
    thresholds, 0.1 in public and 0.25 in private.
    """
    listener, where = listener or Listener(), hardware.device(device)
    for file in use:
        recipes.use(Path(file))
    loaded = run if isinstance(run, Run) else opened_run(run)
    pair = judging(names)
    first = source_of(loaded, seed=seed, listener=listener)
    dataset = real_data(against, first, size, listener)
    parts = halves(dataset, split)
    judges = [
        Scorer(
            (metric,), part, extractors.find(name, None, precision, where, first.samples.shape),
            min(n or N[len(first.samples.shape) - 1], part.count), None, True, cache_folder(), listener.scoring,
            where.type,
        )
        for metric, name, part in zip(pair, (public, private), parts, strict=True)
    ]  # fmt: skip

    def checkpoints() -> Iterator[tuple[int, Samples, Told]]:
        for path in manifest.found(loaded.folder.checkpoints):
            samples, told = scoring.generated(replace(loaded, at=manifest.seen(path)), seed)
            yield manifest.seen(path), samples, told

    return ranked((judges[0], judges[1]), checkpoints())


def judging(names: Sequence[str | Metric]) -> tuple[Metric, Metric]:
    """What the public and the private judge compute. Raises UsageError for more than two."""
    if tuple(names) == ("mifid",):
        return Memorization(0.1), Memorization(0.25)
    found = chosen_metrics(names or ("fid",))
    if len(found) > 2:
        raise UsageError("--metrics", "name one metric to rank by, or one for each judge", "METRIC")
    return found[0], found[-1]


def blind(
    run: str | Path | Run,
    first: int,
    second: int,
    out: str | Path,
    seed: int = 0,
    use: Iterable[str | Path] = (),
    rounds: int = 10,
) -> Path:
    """Write a page that shows samples of two checkpoints, 24 against 24, and asks before it tells which is which.

    It tells the like scores that both have in the run's log; there must be at least one.
    """
    for file in use:
        recipes.use(Path(file))
    loaded = run if isinstance(run, Run) else opened_run(run)
    logged = [(score.passport.digest, score) for seen, score in log.scores(loaded.folder.log) if seen in (first, second)]
    sides = []
    for at in (first, second):
        samples, told = scoring.generated(replace(loaded, at=at), seed)
        own = {digest: score for digest, score in logged if score.passport.seen == at and shown(score, told)}
        sides.append((at, samples.block(0, EACH * rounds).numpy(), own))
    alike = [digest for digest in sides[0][2] if digest in sides[1][2]]
    if not alike:
        raise UsageError(
            str(loaded.path), f"has no like scores of the checkpoints after {first} and {second} samples; "
            f"`gansaku evaluate {loaded.path} --at {first}` and the same of the other one make them", "SCORES"
        )  # fmt: skip
    name = loaded.path.name
    contestants = [Contestant(name, at, tuple(own[digest] for digest in alike), pictures) for at, pictures, own in sides]
    files.write_text(Path(out), page(contestants[0], contestants[1], rounds, seed))
    return Path(out)


def probe(
    run: str | Path | Run,
    data: str | None = None,
    *,
    at: int | None = None,
    size: int | None = None,
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> Probe:
    """How well a linear support vector machine tells classes apart by what the run's discriminator sees (Wu et al. 2016).

    It learns on the data's training samples and is tested on their test samples; the run's own data if none are named.
    """
    for file in use:
        recipes.use(Path(file))
    loaded = run if isinstance(run, Run) else opened_run(run, at)
    told = loaded.folder.read_about()["data"]
    dataset = open_data(data or told["source"], size or told.get("size"), progress=(listener or Listener()).preparing)
    if list(dataset.shape) != told["shape"]:
        raise UsageError(
            dataset.name, f"holds samples of {dataset.shape}, the discriminator takes {tuple(told['shape'])}", "SHAPE"
        )
    state = loaded.state()
    listener = listener or Listener()
    return probed(state.nets["discriminator"], dataset, state.device, listener.scoring)


def shown(score: Score, told: Told) -> bool:
    """Whether the score is one of the samples as they are shown."""
    p = score.passport
    return (p.weights, p.truncation, p.label) == (told.weights, told.truncation, told.label)


def neighbours(
    what: str | Path | Run,
    out: str | Path,
    against: str | None = None,
    n: int = 1000,
    *,
    at: int | None = None,
    size: int | None = None,
    seed: int = 0,
    split: str = "train",
    extractor: str | None = None,
    device: str = "auto",
    listener: Listener | None = None,
) -> Neighbours:
    """Draw the generated samples that are most like training samples, each with its nearest ones, into a PNG.

    They are compared as they look, or by the features of an extractor.
    """
    listener, where = listener or Listener(), hardware.device(device)
    source = source_of(what, seed=seed, at=at, size=size, listener=listener)
    looks = None if extractor is None else extractors.find(extractor, None, "fp32", where, source.samples.shape)
    found = nearest_of(
        source.samples,
        Stored(real_data(against, source, size, listener), split),
        n,
        extractor=looks,
        cache=cache_folder(),
        progress=listener.scoring,
        device=where.type,
    )
    files.write_bytes(Path(out), found.picture())
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


def asked_for(metric: str, names: Sequence[str | Metric]) -> bool:
    """Whether a number was asked for by its name, or by its metric; a metric may give others beside it."""
    return not names or any(metric == name if isinstance(name, str) else metric in name.gives for name in names)


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
    size: int | None = None,
    split: str = "all",
    listener: Listener,
) -> Source:
    """The samples of a run's checkpoint, or those in a file or a folder."""
    if isinstance(what, Run) or Folder(Path(what)).exists:
        run = what if isinstance(what, Run) else opened_run(what, at)
        samples, told = scoring.generated(run, seed, weights, truncation, label_of(run, class_name))
        return Source(samples, told, run)
    if weights or truncation is not None or class_name or at is not None:
        raise UsageError(str(what), "is no run: weights, truncation, class and checkpoint are a run's", "RUN_FOLDER")
    dataset = open_data(str(what), size, progress=listener.preparing)
    return Source(Stored(dataset, split), Told(), None)


def opened_run(path: str | Path, at: int | None = None) -> Run:
    folder = opened(path)
    return Run(folder, stored_recipe(folder), at)


def real_data(against: str | None, source: Source, size: int | None, listener: Listener) -> Dataset:
    """The data to compare with: those named, else those that the run was trained on."""
    told = source.run.folder.read_about()["data"] if source.run else {}
    if against is None and source.run is None:
        raise UsageError("--against", "name the data to compare with, as `gansaku train --data` takes them", "DATA_MISSING")
    try:
        dataset = open_data(against or told["source"], size or told.get("size"), progress=listener.preparing)
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
            last = {(seen, score.name, score.passport.digest): score for seen, score in log.scores(Folder(one).log)}
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
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(str(path), "is no run, and no file that `gansaku evaluate --json` wrote", "SCORES") from None
    return [from_plain(score) for score in listed]


def differences(all_scores: Sequence[Score], force: bool = False) -> list[Difference]:
    """The first score of each metric against every other one of it.

    Raises UsageError with the reason for scores that are unlike, unless forced.
    """
    first: dict[tuple[str, str], Score] = {}
    found = []
    for score in all_scores:
        base = first.setdefault((score.metric, score.passport.label), score)
        if base is not score:
            found.append(difference(base, score, force))
    return found
