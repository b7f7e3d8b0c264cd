"""One trial's work in a process of its own: how fast it is, its training, and what is measured of it afterwards."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gansaku import __version__, api, files, hardware
from gansaku.cache import cache_folder
from gansaku.data.batches import Batches
from gansaku.data.sources import open_data
from gansaku.data.store import Dataset
from gansaku.errors import Stopped
from gansaku.evaluation.samples import Generated, Stored
from gansaku.evaluation.scorer import Scorer
from gansaku.extractors import registry as extractors
from gansaku.listener import Listener
from gansaku.metrics import registry as metrics
from gansaku.recipe import Recipe
from gansaku.render.sheet import sheet, tiles
from gansaku.runs import log, manifest
from gansaku.runs.live import Scoring
from gansaku.runs.run import Run
from gansaku.sampling import quantized, sample
from gansaku.training.by_hand import shown_generator
from gansaku.training.feed import feed
from gansaku.training.state import State, begin
from gansaku.training.step import by_batch, cycle

from .plan import Trial, made
from .verdict import best, status

EXTRACTOR = "random-2d"
COUNT = 2000  # samples of each side
CLASS_COUNT = 9000  # real samples that the classifier of class accuracy is made with: all training avatars
SAMPLE_SEED = 1
POINTS = 20  # of the curve
LOSS_POINTS = 50
WARM, MEASURED = 4, 24  # cycles
SIDE, KILOBYTES = 8, 60  # of a sheet
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Places:
    """Where things are: unfinished runs, results, and the data that are not bundled."""

    work: Path
    results: Path
    cifar: Path
    dogs: Path = Path("dogs.h5")
    faces: Path = Path("faces.zip")

    def data(self, trial: Trial) -> str:
        given = {"cifar10": self.cifar, "dogs": self.dogs, "faces": self.faces}
        return str(given.get(trial.data, trial.data))

    def run(self, trial: Trial) -> Path:
        return self.work / "runs" / trial.name

    def result(self, trial: Trial) -> Path:
        return self.results / f"{trial.name}.json"

    def sheet(self, trial: Trial) -> Path:
        return self.results / f"{trial.name}.jpg"

    @property
    def plan(self) -> Path:
        """Each group's length, measured once."""
        return self.results / "lengths.json"


class Ticking(Listener):
    """Prints what is said and keeps the CPU time of this attempt; ends the training when the process that asked is gone."""

    def __init__(self, run: Path):
        number = len(cpu_files(run))
        self._parent, self._file = os.getppid(), run.with_name(f"{run.name}.cpu{number}.json")

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None:
        self.keep()
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)

    def keep(self) -> None:
        files.write_json(self._file, {"seconds": round(time.process_time(), 1)})


def speed(trial: Trial, places: Places) -> dict[str, float]:
    """CPU seconds of a cycle after some to warm up, and the samples it sees."""
    dataset = open_data(places.data(trial))
    recipe = made(trial, dataset.facts)
    if recipe.precision == "bf16" and not hardware.fast_bf16(CPU):
        recipe = recipe.but(precision="fp32")
    data = feed(Batches(dataset, recipe.seed, device=CPU, channels_last=recipe.fast == "all", mirror=recipe.mirror), recipe)
    state = begin(recipe, CPU)
    for _ in range(WARM):
        cycle(state, recipe, data)
    started = time.process_time()
    for _ in range(MEASURED):
        cycle(state, recipe, data)
    seconds = (time.process_time() - started) / MEASURED
    return {"seconds": seconds, "samples": recipe.batch * len(by_batch(recipe.cycle))}


def carry_out(trial: Trial, places: Places, length: int) -> None:
    """Train, or go on with the training, to its length; measure, and write the result. A signal leaves a checkpoint."""
    dataset, run = open_data(places.data(trial)), places.run(trial)
    files.make_folder(run.parent)
    recipe, listener, stopped = made(trial, dataset.facts).but(length=length), Ticking(run), ""
    chosen = {name: value for name, value in trial.settings if name == "precision"}  # else the machine's say goes
    try:
        api.train(recipe, places.data(trial), run, chosen, device="cpu", scoring=curve_of(trial, recipe), listener=listener)
    except Stopped as error:
        stopped = error.sentence
    finally:
        listener.keep()
    result = measured(trial, places, dataset, stopped)
    files.make_folder(places.results)
    files.write_text(places.result(trial), text_of(result))


def curve_of(trial: Trial, recipe: Recipe) -> Scoring:
    """What is scored on the way: at each twentieth, however long it takes."""
    also = ("diversity", "class_accuracy") if trial.plan == "B" else ()
    return Scoring(("fid", *also), every=max(1, recipe.length // POINTS), share=1.0)


def measured(trial: Trial, places: Places, dataset: Dataset, stopped: str) -> dict[str, Any]:
    """All that is kept of a run whose training is over."""
    run = api.load(places.run(trial))
    first, last = begin(run.recipe, CPU), run.state() if manifest.found(run.folder.checkpoints) else None
    scorer = scorer_of(["fid", "diversity"], dataset, COUNT)
    untrained = scores(scorer, run.recipe, first, dataset)
    trained: dict[str, float] = {} if last is None else scores(scorer, run.recipe, last, dataset)
    if last is not None and run.recipe.classes:
        trained |= scores(scorer_of(["class_accuracy"], dataset, CLASS_COUNT), run.recipe, last, dataset)
    other = Stored(dataset, first=COUNT, last=2 * COUNT)
    curves = log.curves(run.folder.log)
    scored = live_curves(run)
    if last is not None and (trial.plan in "ACDE" or (trial.plan == "B" and trial.seed == 0)):
        files.make_folder(places.results)
        files.write_bytes(places.sheet(trial), sheet_of(run.recipe, last))
    result: dict[str, Any] = {
        "name": trial.name,
        "plan": trial.plan,
        "recipe": trial.recipe,
        "data": trial.data,
        "arm": trial.arm,
        "seed": trial.seed,
        "settings": dict(trial.settings),
        "precision": run.recipe.precision,
        "parameters": api.parameters(run.recipe),
        "classes": run.recipe.classes,
        "batch": run.recipe.batch,
        "length": run.recipe.length,
        "seen": 0 if last is None else last.seen,
        "stopped": stopped,
        "cpu_seconds": round(cpu_seconds(places.run(trial))),
        "starts": log.attempts(run.folder.log),
        "count": COUNT,
        "class_count": CLASS_COUNT,
        "extractor": EXTRACTOR,
        "untrained": untrained["fid"],
        "last": trained.get("fid"),
        "real": next(score.value for score in scorer.score(other) if score.metric == "fid"),
        "diversity": trained.get("diversity"),
        "class_accuracy": trained.get("class_accuracy"),
        "class_accuracy_real": trained.get("class_accuracy_real"),
        "curve": scored.pop("fid", []),
        "curves": scored,
        "losses": {name: thinned(points) for name, points in sorted(curves.items()) if is_signal(name)},
        "machine": hardware.describe(CPU),
        "gansaku": __version__,
        "date": date.today().isoformat(),
    }
    result["best"] = best(result["curve"])
    return {**result, "status": status(result)}


def scorer_of(names: list[str], dataset: Dataset, real: int) -> Scorer:
    """Scores generators against so many of the training samples."""
    extractor = extractors.find(EXTRACTOR, shape=dataset.shape)
    return Scorer(metrics.find(names), Stored(dataset), extractor, COUNT, real, intervals=False, cache=cache_folder())


def scores(scorer: Scorer, recipe: Recipe, state: State, dataset: Dataset) -> dict[str, float]:
    """Every number of a generator as it is, by name."""
    make = partial(sample, shown_generator(state), recipe, seed=SAMPLE_SEED, phase=recipe.phase(state.seen))
    classes = dataset.classes if recipe.classes else ()
    return {
        score.metric: score.value for score in scorer.score(Generated("trial", {}, dataset.shape, make, classes, kept=False))
    }


def live_curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Each score of the way by its metric's name: (samples seen, value), the last one of each moment."""
    found: dict[str, dict[int, float]] = {}
    for seen, score in log.scores(run.folder.log):
        found.setdefault(score.metric, {})[seen] = rounded(score.value)
    return {name: sorted(points.items()) for name, points in found.items()}


def is_signal(name: str) -> bool:
    """Whether a logged number is a loss or another signal of a turn."""
    return "/" in name and not name.endswith("/rate") and not name.startswith("scores/")


def thinned(points: list[tuple[int, float]]) -> list[tuple[int, float | None]]:
    """At most LOSS_POINTS of the points, evenly, the last one among them; a gap is None."""
    step = math.ceil(len(points) / LOSS_POINTS)
    kept = points[::-1][:: max(1, step)][::-1]
    return [(seen, rounded(value) if math.isfinite(value) else None) for seen, value in kept]


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def cpu_seconds(run: Path) -> float:
    """Of all starts together."""
    return float(sum(json.loads(file.read_text())["seconds"] for file in cpu_files(run)))


def cpu_files(run: Path) -> list[Path]:
    """One for each start."""
    return list(run.parent.glob(f"{run.name}.cpu*.json"))


def sheet_of(recipe: Recipe, state: State) -> bytes:
    """Samples as a JPEG of KILOBYTES at most: 8 × 8 of them; with classes a row of eight for each, from the same latents."""
    make = partial(sample, shown_generator(state), recipe, seed=SAMPLE_SEED, phase=recipe.phase(state.seen))
    drawn: Tensor = make(range(SIDE * SIDE))
    if recipe.classes:
        drawn = torch.cat([make(range(SIDE), label=label) for label in range(recipe.classes)])
    picture = Image.fromarray(sheet(tiles(quantized(drawn).numpy(), 64), SIDE))
    for quality in range(85, 20, -5):
        buffer = BytesIO()
        picture.save(buffer, "jpeg", quality=quality, optimize=True)
        if buffer.tell() <= 1000 * KILOBYTES:
            break
    return buffer.getvalue()


def text_of(result: dict[str, Any]) -> str:
    """JSON with a line for each entry, so that curves are lines and not pages."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in result.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
