"""The verbs `project` and `directions`: where samples lie in latent space, and which ways lead from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansaku import hardware
from gansaku.api import load
from gansaku.contract import Phase
from gansaku.data.batches import shrink
from gansaku.data.content import Bytes
from gansaku.data.given import samples_in
from gansaku.data.sources import open_data
from gansaku.data.store import Dataset
from gansaku.errors import DataError, UsageError
from gansaku.evaluation import directions as closed_form
from gansaku.evaluation.projecting import STEPS, Projected, Projector
from gansaku.evaluation.samples import Stored
from gansaku.extractors import registry as extractors
from gansaku.listener import Listener
from gansaku.render.sheet import origin
from gansaku.runs import direction_sheets, latent_files, projections
from gansaku.runs.direction_sheets import Found
from gansaku.runs.opening import size_of
from gansaku.runs.projections import Projection
from gansaku.runs.run import Run, label_of
from gansaku.sampling import in_blocks, latents_of, sample
from gansaku.training.by_hand import shown_generator

MOST_STEPS, MOST_REFERENCES = 100_000, 1_000
RANDOM = 8  # directions that the others are compared with
LOOKED = 16  # samples that changes are a mean over
MOST_PICTURES = 4_000  # on a sheet of directions


def project(
    run: str | Path | Run,
    pictures: str | Path | Iterable[str | Path] = (),
    out: str | Path = "projected",
    steps: int = STEPS,
    class_name: str | None = None,
    seed: int = 0,
    *,
    data: str | None = None,
    index: Sequence[int] = (),
    reference: int = 0,
    at: int | None = None,
    device: str = "auto",
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> Projection:
    """Find the latents whose samples are nearest to pictures or voxels in files, and to samples `index` of data.

    The data are the run's own if none are named. Files are brought to the run's size as a preparation does by default. Of a
    run with classes each is of the class that comes nearest, unless one is named. `reference` says how many of the
    generator's own samples, of the training and of the held-out ones are projected too, to compare the distances with.
    Writes the pairs as a picture, the numbers, and the latents, which `walk` and `directions` take.
    """
    listener, where, folder = listener or Listener(), hardware.device(device), Path(out)
    given = [pictures] if isinstance(pictures, str | Path) else list(pictures)
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError("--steps", f"{steps} is no number of steps; use 1 to {MOST_STEPS:,}", "COUNT")
    if not 0 <= reference <= MOST_REFERENCES:
        raise UsageError("--reference", f"{reference} is no number of samples; use 0 to {MOST_REFERENCES:,}", "COUNT")
    if not given and not index:
        raise UsageError("project", "name pictures, or samples of the run's data by --index 0,1", "USAGE")
    if data is not None and not index and not reference:
        raise UsageError("--data", "is where samples are taken from; say which by --index 0,1", "USAGE")
    projections.check(folder)
    loaded = run if isinstance(run, Run) else load(run, use, at)
    recipe, label = loaded.recipe, label_of(loaded, class_name)
    dataset = run_data(loaded, data, listener) if index or reference else None
    stored, names = [samples_in([file], recipe.shape) for file in given], [str(file) for file in given]
    if dataset is not None and index:
        stored, names = [*stored, picked(dataset, index)], [*names, *(f"{dataset.name} {i}" for i in index)]
    state = loaded.state(where)
    phase, generator = recipe.phase(state.seen), shown_generator(state)
    targets = normalized(np.concatenate(stored), phase)
    projector = Projector(generator, recipe, phase, range(max(1, recipe.classes)) if label is None else (label,), seed)

    def projected(samples: Tensor, what: str) -> Projected:
        return projector(samples, steps, progress=lambda done, total: listener.projecting(what, done, total))

    found, others = projected(targets, f"{len(targets)} given samples"), dict[str, tuple[float, ...]]()
    if dataset is not None and reference:
        own = sample(generator, recipe, range(reference), seed, label, phase=phase)
        compared = {"own samples": own, **references(loaded, dataset, reference, class_name, phase)}
        others = {name: tuple(projected(samples, name).distances.tolist()) for name, samples in compared.items()}
    classes = loaded.folder.read_about()["data"]["classes"]
    of = tuple(classes[i] for i in found.labels.tolist()) if recipe.classes else ()
    made = Projection(folder, tuple(names), of, found, others)
    projections.write(made, targets, {**origin(loaded.path.name, recipe.name, state.seen, seed), "Steps": f"{steps}"})
    return made


def run_data(run: Run, data: str | None, listener: Listener) -> Dataset:
    """The data named, else those that the run was trained on. Raises UsageError for samples of another shape."""
    told = run.folder.read_about()["data"]
    try:
        dataset = open_data(data or told["source"], size_of(run.folder), progress=listener.preparing)
    except DataError as error:
        if data is not None:
            raise
        raise UsageError("--data", f"the run's own data are not there ({error}); name them", "DATA_MISSING") from None
    if data is None and dataset.fingerprint != told["fingerprint"]:
        raise UsageError("--data", f"{told['source']} has changed since the run was trained; name the data", "DATA_CHANGED")
    if dataset.shape != run.recipe.shape:
        sentence = f"{dataset.name} holds samples of {dataset.shape}, and the generator makes {run.recipe.shape}"
        raise UsageError("--data", sentence, "SHAPE")
    return dataset


def picked(dataset: Dataset, index: Sequence[int]) -> Bytes:
    """(n, C, *S): the samples with these numbers, those of training first. Raises UsageError for one that is not there."""
    count = sum(dataset.counts.values())
    for i in index:
        if not 0 <= i < count:
            raise UsageError("--index", f"{i} is none of the {count:,} samples of {dataset.name}, which count from 0", "INDEX")
    return np.moveaxis(dataset.rows(np.array(index)), -1, 1)


def references(run: Run, dataset: Dataset, n: int, class_name: str | None, phase: Phase) -> dict[str, Tensor]:
    """The first n samples of each split, shuffled, in [-1, 1]; of one class where the data know it."""
    told = run.folder.read_about()["data"]
    label = dataset.classes.index(class_name) if class_name in dataset.classes else None
    found = {}
    for split, name in (("train", "training samples"), ("test", "held-out samples")):
        if split in dataset.counts:
            those = name if dataset.fingerprint == told["fingerprint"] else f"of {dataset.name} ({split})"
            stored = Stored(dataset, split, label=label)
            if stored.count:
                found[those] = normalized(stored.block(0, min(n, stored.count)).numpy(), phase)
    return found


def normalized(stored: Bytes, phase: Phase) -> Tensor:
    """(n, C, *S) as stored -> [-1, 1], in the sides of the phase."""
    samples = torch.from_numpy(np.ascontiguousarray(stored)).float()
    return shrink(samples.mul(2).sub(1) if samples.ndim == 5 else samples.div(127.5).sub(1), phase.size)


def directions(
    run: str | Path | Run,
    out: str | Path = "directions",
    count: int = 8,
    steps: int = 7,
    scale: float = 3.0,
    seed: int = 0,
    class_name: str | None = None,
    *,
    n: int = 3,
    latents: str | Path | None = None,
    extractor: str | None = None,
    at: int | None = None,
    use: Iterable[str | Path] = (),
) -> Found:
    """Find the directions in latent space that the generator's first layer answers most to (Shen & Zhou 2021).

    Writes a sheet of n samples, or of the latents in a file, moved by up to `scale` standard deviations along each of the
    first `count` directions; how much samples change on the way, in an extractor's features, beside random directions; and
    the vectors. Of a run with classes all is of one class, the first unless it is named; latents of a file keep theirs.
    """
    folder = Path(out)
    projections.check(folder)
    loaded = run if isinstance(run, Run) else load(run, use, at)
    recipe, label = loaded.recipe, label_of(loaded, class_name) or 0
    count = min(count, recipe.latent.size)  # there are no more
    if count < 1:
        raise UsageError("--count", f"{count} is no number of directions; use 1 or more", "COUNT")
    if not (math.isfinite(scale) and scale > 0):
        raise UsageError("--scale", f"{scale:g} is no number of standard deviations; use one above 0", "RANGE")
    own = None if latents is None else latent_files.read(latents, recipe)
    n = n if own is None else min(n, len(own[0]))
    if n < 1 or steps < 2 or count * n * steps > MOST_PICTURES:
        sentence = f"{n} samples in {steps} steps along {count} directions make no sheet; use 1 or more samples, 2 or more "
        raise UsageError("directions", f"{sentence}steps, {MOST_PICTURES:,} pictures at most", "COUNT")
    state = loaded.state()
    phase, generator, prior = recipe.phase(state.seen), shown_generator(state), recipe.latent
    shape = (recipe.shape[0], *phase.size)
    look = extractors.find(extractor or f"random-{len(shape) - 1}d", device=hardware.device("cpu"), shape=shape)
    every = closed_form.directions(generator, prior, label, phase, str(loaded.path))
    vectors, unit = every.vectors[:count], closed_form.deviation(prior)
    z = latents_of(generator, recipe, max(n, LOOKED), seed, None)
    compared = torch.cat([vectors, closed_form.unrelated(prior.size, RANDOM, seed)])
    changes = direction_sheets.changes(generator, recipe, phase, z[:LOOKED], label, compared, scale * unit, look)
    shown, labels = (z[:n], torch.full((n,), label)) if own is None else (own[0][:n], own[1][:n])
    if own is not None and class_name is not None:
        labels = torch.full_like(labels, label)
    way = [scale * unit * (2 * i / (steps - 1) - 1) for i in range(steps)]
    moved = closed_form.moved(shown, vectors, way, prior)
    with torch.no_grad():
        made = in_blocks(generator, moved.flatten(0, 2), labels[None, :, None].expand(moved.shape[:3]).flatten(), phase)
    found = Found(folder, vectors, every.eigenvalues, every.layers, scale, tuple(changes[:count]), tuple(changes[count:]))
    which = [f"sample {i}" if own is None else f"latent {i}" for i in range(n)]
    notes = origin(loaded.path.name, recipe.name, state.seen, seed)
    direction_sheets.write(found, made.view(*moved.shape[:3], *made.shape[1:]), which, notes)
    return found
