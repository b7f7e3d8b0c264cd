"""One arm of a comparison at one seed, in a process of its own: `python -m gansaku.api_arm FOLDER ARM SEED DEVICE`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from gansaku import api, api_scores, files, hardware
from gansaku.data.sources import open_data
from gansaku.errors import GansakuError, Stopped
from gansaku.experiments import arms, results
from gansaku.experiments.folder import Place, Training
from gansaku.experiments.plan import Scoring, budget_of, start_of
from gansaku.experiments.results import Curve, Result
from gansaku.listener import Listener
from gansaku.recipe import to_toml
from gansaku.recipes import registry
from gansaku.runs import live, log
from gansaku.runs.looks import BUDGET
from gansaku.runs.run import Run

POINTS, ON_THE_WAY = 10, 1000  # scores on the way of each training, and samples of each side in them
ANY = 1000.0  # share of the time that they may take: all arms have the same
KEPT_EVERY = 10.0  # seconds
CLOSE = 30.0  # seconds of a budget that are not worth another start


class Attached(Listener):
    """Prints what is said; keeps the time that is spent; ends the training when the process that asked for it is gone."""

    def __init__(self, clock: Spent):
        self._parent, self._clock = os.getppid(), clock

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None:
        self._clock.now_and_then()
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)


class Spent:
    """The seconds that a training took, over all attempts, in a file beside its folder."""

    def __init__(self, run: Path, clock: Callable[[], float] = time.monotonic):
        self._file, self._clock, self._started = run.with_name(f"{run.name}.seconds.json"), clock, clock()
        try:
            self.before = float(json.loads(self._file.read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            self.before = 0.0
        self._kept = self._started

    @property
    def total(self) -> float:
        return self.before + self._clock() - self._started

    def now_and_then(self) -> None:
        """A process that is killed has spent its time as well, up to so many seconds."""
        if self._clock() - self._kept > KEPT_EVERY:
            self.keep()

    def keep(self) -> None:
        self._kept = self._clock()
        files.write_json(self._file, {"seconds": round(self.total, 1)})


def carry_out(place: Place, number: int, seed: int, device: str) -> None:
    """Train, or go on, to the end; score the last state; write the result. A signal leaves a checkpoint."""
    plan = place.read_plan()
    for file in plan.use:
        registry.use(Path(file))
    training = Training(plan.arms[number], seed, number)
    dataset, folder = open_data(plan.data, plan.size), place.run(training)
    recipe = arms.recipe_of(plan, training.arm, dataset.facts, seed)
    files.make_folder(folder.parent)
    clock, why, budget = Spent(folder), "", budget_of(plan, training.arm)
    left = None if budget is None else budget - clock.before
    settings = {"precision": recipe.precision} if "precision" in {**plan.settings, **training.arm.changes} else {}
    try:
        if left is None or not clock.before or left > CLOSE:
            scoring = live.Scoring(n=min(ON_THE_WAY, plan.scoring.n), every=max(1, recipe.length // POINTS), share=ANY)
            api.train(recipe, plan.data, folder, settings, size=plan.size, budget=left, device=device, use=plan.use,
                      scoring=scoring, begins_with=start_of(training.arm), listener=Attached(clock),
                      signals_budget=BUDGET if plan.signals is None else plan.signals)  # fmt: skip
    except Stopped as error:
        why = error.sentence
    finally:
        clock.keep()
    made = measured(plan.scoring, api.load(folder), plan.data, plan.size, why, device)
    results.write(place.result(training), replace(made, arm=training.arm.name, seed=seed, seconds=round(clock.total, 1)))


def measured(scoring: Scoring, run: Run, data: str, size: int | tuple[int, int] | None, why: str, device: str) -> Result:
    """The scores of a training that is over, and what is known of it; without scores if it broke, and `why` says so."""
    about = run.folder.read_about()
    result = Result(
        "", run.recipe.seed, seen=0, broken=why, attempts=log.attempts(run.folder.log), curves=curves(run),
        parameters=api.parameters(run.recipe), recipe=to_toml(run.recipe), fingerprint=about["data"]["fingerprint"],
        machine=hardware.describe(hardware.device(device)), date=date.today().isoformat(),
    )  # fmt: skip
    if why:
        return result
    scores = api_scores.evaluate(run, data, scoring.metrics, scoring.n, scoring.real, extractor=scoring.extractor, size=size,
                                 device=device)  # fmt: skip
    return replace(result, seen=scores[0].passport.seen or 0, scores=tuple(scores))


def curves(run: Run) -> dict[str, Curve]:
    """The scores on the way, by their names."""
    found: dict[str, dict[int, float]] = {}
    for seen, score in log.scores(run.folder.log):
        found.setdefault(score.name, {})[seen] = score.value
    return {name: tuple(sorted(points.items())) for name, points in found.items()}


def main(given: Sequence[str]) -> int:
    """The exit code is that of `gansaku train`."""
    try:
        carry_out(Place(Path(given[0])), int(given[1]), int(given[2]), given[3])
    except GansakuError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
