"""The verbs that look beyond one number: rank checkpoints, compare them blind, look for copies, probe what D sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gansaku import files, hardware
from gansaku.api_scores import N, chosen_metrics, opened_run, real_data, source_of
from gansaku.cache import cache_folder
from gansaku.data.policy import Size
from gansaku.data.sources import open_data
from gansaku.errors import RunError, UsageError
from gansaku.evaluation.blind import EACH, Contestant, page
from gansaku.evaluation.neighbours import Neighbours
from gansaku.evaluation.neighbours import found as nearest_of
from gansaku.evaluation.probing import Probe, probed
from gansaku.evaluation.ranking import Ranking, halves, ranked
from gansaku.evaluation.samples import Samples, Stored
from gansaku.evaluation.scorer import Scorer, Told
from gansaku.extractors import registry as extractors
from gansaku.listener import Listener
from gansaku.metrics.contract import Metric
from gansaku.metrics.memorization import Memorization
from gansaku.metrics.passport import Score
from gansaku.recipes import registry as recipes
from gansaku.runs import log, manifest, scoring
from gansaku.runs.phase_samples import Shrunk, at_size, compared_small
from gansaku.runs.phases import named
from gansaku.runs.run import Run


def rank(
    run: str | Path | Run,
    public: str,
    private: str,
    against: str | None = None,
    names: Sequence[str | Metric] = (),
    n: int | None = None,
    *,
    size: Size = None,
    precision: str = "fp32",
    split: str = "train",
    seed: int = 0,
    device: str = "auto",
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> Ranking:
    """Rank every checkpoint of a run by two judges: an extractor each, on disjoint halves of the data.

    One metric judges, fid if not named; two are the public and the private one's. `mifid` has the dog competition's
    thresholds, 0.1 in public and 0.25 in private. Of a run that grows, the checkpoints of its newest one's size are ranked.
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
            (metric,),
            part if first.small is None else Shrunk(part, first.small),
            extractors.find(name, None, precision, where, first.samples.shape),
            min(n or N[len(first.samples.shape) - 1], part.count),
            None,
            True,
            cache_folder(),
            listener.scoring,
            where.type,
        )
        for metric, name, part in zip(pair, (public, private), parts, strict=True)
    ]

    def checkpoints() -> Iterator[tuple[int, Samples, Told]]:
        for path in manifest.found(loaded.folder.checkpoints):
            try:
                samples, told = scoring.generated(replace(loaded, at=manifest.seen(path)), seed, device=where)
            except RunError as error:  # damaged, or removed by a training
                listener.say(f"left out: {error}")
                continue
            if samples.shape != first.samples.shape:
                listener.say(f"left out: {samples.name}, which makes {named(samples.shape[1:])}")
                continue
            yield manifest.seen(path), samples if first.small is None else compared_small(samples), told

    found, small = ranked((judges[0], judges[1]), checkpoints()), first.small
    if small is None:
        return found
    return Ranking(
        tuple(row._replace(public=at_size(row.public, small), private=at_size(row.private, small)) for row in found.rows)
    )


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


def neighbours(
    what: str | Path | Run,
    out: str | Path,
    against: str | None = None,
    n: int = 1000,
    *,
    at: int | None = None,
    size: Size = None,
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
    real: Samples = Stored(real_data(against, source, size, listener), split)
    if source.small is not None:
        if len(source.small) == 3:
            sentence = f"{source.samples.name} makes {named(source.small)}, where data are shares and no shapes"
            raise UsageError("--neighbours", f"{sentence}; choose a later checkpoint by --at", "SHAPE")
        real = Shrunk(real, source.small)
    looks = None if extractor is None else extractors.find(extractor, None, "fp32", where, source.samples.shape)
    found = nearest_of(
        source.samples,
        real,
        n,
        extractor=looks,
        cache=cache_folder(),
        progress=listener.scoring,
        device=where.type,
    )
    files.write_bytes(Path(out), found.picture())
    return found


def probe(
    run: str | Path | Run,
    data: str | None = None,
    *,
    at: int | None = None,
    size: Size = None,
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
