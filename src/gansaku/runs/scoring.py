"""What scoring needs of a run: the samples of a checkpoint as they are compared, and where its scores are noted."""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import torch

from gansaku.errors import DiskError, RunError, UsageError
from gansaku.evaluation.samples import Generated
from gansaku.evaluation.scorer import Told
from gansaku.metrics.passport import Score
from gansaku.runs import log, manifest
from gansaku.runs.run import Run
from gansaku.sampling import sample
from gansaku.training.by_hand import shown_generator

Weights = Literal["ema", "raw"]


def generated(
    run: Run,
    seed: int = 0,
    weights: str | None = None,
    truncation: float | None = None,
    label: int | None = None,
    device: torch.device | None = None,
) -> tuple[Generated, Told]:
    """The samples of the run's checkpoint, and what their passport says. The weight average is the default, if there is one.

    While a run grows they have the size of the phase that it stands in.
    """
    path = manifest.at(run.folder.checkpoints, run.at)
    state, told = replace(run, at=manifest.seen(path)).state(device), run.folder.read_about()
    averaged = "generator" in state.ema
    which = cast(Weights, weights or ("ema" if averaged else "raw"))
    if which not in ("ema", "raw") or (which == "ema" and not averaged):
        usable = "ema or raw" if averaged else "raw: the recipe has no weight average"
        raise UsageError("--weights", f"{which!r} is not there; use {usable}", "WEIGHTS")
    generator = shown_generator(state) if which == "ema" else state.nets["generator"]
    classes = tuple(told["data"]["classes"]) if run.recipe.classes else ()
    identity = {
        "checkpoint": manifest.check(path)["files"][manifest.TENSORS]["sha256"],
        "recipe": hashlib.sha256(run.folder.recipe.read_bytes()).hexdigest(),
        "seed": seed,
        "weights": which,
        "truncation": truncation,
        "label": label,
    }
    name = f"{told.get('name', run.path.name)} at {state.seen:,}"
    phase = run.recipe.phase(state.seen)
    make = partial(sample, generator, run.recipe, seed=seed, label=label, truncation=truncation, phase=phase)
    samples = Generated(name, identity, (run.recipe.shape[0], *phase.size), make, classes, label)
    return samples, Told(which, truncation, "" if label is None else classes[label], seed, state.seen)


def noted(run: Run, scores: list[Score]) -> None:
    """Write the scores into the run's log and beside the checkpoint, where the disk allows it."""
    if not scores:
        return
    with suppress(DiskError, RunError):
        log.note_scores(run.folder.log, scores)
        place = manifest.place(run.folder.checkpoints, scores[0].passport.seen or 0)
        if place.is_dir():  # a training may have removed it meanwhile
            note_best(place, scores)


def note_best(place: Path, scores: list[Score]) -> None:
    """What keeps the best checkpoint: each score under a name that only like scores share."""
    judged = {key_of(s): manifest.Score(s.value, s.better == "lower") for s in scores if s.better != "neither"}
    old = manifest.notes(place)
    manifest.note(place, replace(old, scores={**old.scores, **judged}))


def is_best(checkpoints: Path, score: Score) -> bool:
    """Whether no kept checkpoint has a better score of this kind."""
    if score.better == "neither":
        return False
    noted = [manifest.notes(path).scores.get(key_of(score)) for path in manifest.found(checkpoints)]
    values = [one.value for one in noted if one is not None and math.isfinite(one.value)]
    return all(score.value < value if score.better == "lower" else score.value > value for value in values)


def key_of(score: Score) -> str:
    return f"{score.name} {score.passport.digest}"
