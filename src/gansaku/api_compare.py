"""The verb `compare`: trains every arm of a plan at every seed, scores them alike, and says what the differences are.

Each training runs in a process of its own, `python -m gansaku.api_compare FOLDER ARM SEED`, which `carry_out` is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gansaku import api, api_scores, files, hardware
from gansaku.data.sources import open_data
from gansaku.data.store import Dataset
from gansaku.errors import GansakuError, Stopped, UsageError
from gansaku.experiments import analysis, arms, results
from gansaku.experiments import plan as plans
from gansaku.experiments.analysis import Comparison
from gansaku.experiments.folder import Place, Training, trainings
from gansaku.experiments.plan import Plan
from gansaku.experiments.results import Curve, Result
from gansaku.experiments.runner import Runner
from gansaku.listener import Listener
from gansaku.parts import Change
from gansaku.recipe import Recipe, to_toml
from gansaku.recipes import registry
from gansaku.runs import log
from gansaku.runs.interrupts import listening
from gansaku.runs.live import Scoring
from gansaku.runs.lock import held
from gansaku.runs.run import Run

POINTS = 10  # scores on the way of each training
ANY = 1000.0  # share of the time that scores on the way may take: all arms have the same
CLOSE = 30.0  # seconds of a budget that are not worth another start


@dataclass(frozen=True)
class Outcome:
    """What a comparison has found so far."""

    folder: Path
    plan: Plan
    recipes: Mapping[str, Recipe]  # by arm
    changes: Mapping[str, list[Change]]  # of every arm but the first against the first
    results: Sequence[Result]
    comparisons: Sequence[Comparison]
    left: int  # trainings that have no result yet
    dataset: str  # what people call it
    count: int  # its training samples
    given_up: Mapping[str, str] = field(default_factory=dict)  # trainings whose process fell, and why

    def plain(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "question": self.plan.question,
            "arms": [self._arm(arm.name, dict(arm.changes)) for arm in self.plan.arms],
            "pairs": [analysis.plain(row) for row in self.comparisons],
            "left": self.left,
            "given_up": dict(self.given_up),
            "report": str(self.folder / "report.html"),
        }

    def _arm(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        own = [result for result in self.results if result.arm == name]
        return {
            "name": name,
            "changes": changes,
            "differs": [str(change) for change in self.changes.get(name, [])],
            "parameters": api.parameters(self.recipes[name]),
            "runs": [{"seed": one.seed, "seen": one.seen, "seconds": one.seconds, "broken": one.broken} for one in own],
            "scores": [{"seed": one.seed, **score.plain()} for one in own for score in one.scores],
            "health": {"broken": [{"seed": one.seed, "why": one.broken} for one in own if one.broken]},
        }


def compare(
    plan: Plan | None,
    out: str | Path | None = None,
    *,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "auto",
    dry_run: bool = False,
    until: float | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Carry out a plan in a folder, or go on with the one that is there (None, or the same with more seeds).

    `jobs` trainings run at a time, `threads` each: one for each core of a CPU, one on a GPU, as far as there is memory.
    `until` stops after so many seconds; the same call goes on. Raises a GansakuError for what a user can get wrong.
    """
    if plan is None and out is None:
        raise UsageError("compare", "give a plan, or the folder of one", "PLAN")
    listener, place = listener or Listener(), Place(usual_folder(plan) if plan is not None and out is None else Path(out or ""))
    sentence = "interrupted before anything was trained; the same command starts again"
    with listening("gansaku compare", sentence) as request:
        wanted = place.read_plan() if plan is None else plan
        for file in wanted.use:
            registry.use(Path(file))
        dataset = open_data(wanted.data, wanted.size)
        made = arms.recipes(wanted, dataset.facts)
        tell(wanted, made, listener)
        if dry_run:
            return outcome(place, wanted, made, dataset)
        going_on = place.begin(wanted)
        started = time.monotonic()
        with held(place.path), request.noted():
            runner = Runner[Training](
                start=lambda training: started_child(place, training, device, threads),
                done=lambda training: place.result(training).exists(),
                said=lambda training: last_line(place.log(training)),
                room=Memory(),
                stop=lambda: bool(request) or (until is not None and time.monotonic() - started > until),
                say=listener.say,
                jobs=jobs or usual_jobs(device, threads),
            )
            runner.work_down(trainings(going_on))
            found = replace(outcome(place, going_on, made, dataset), given_up={str(t): w for t, w in runner.given_up.items()})
        if request:
            sentence = f"interrupted with {found.left} trainings to go; everything is saved, the same command continues"
            raise request.interrupted(str(place.path), sentence)
    return found


def tell(plan: Plan, made: Mapping[str, Recipe], listener: Listener) -> None:
    """What is going to be compared."""
    first = plan.arms[0].name
    changes = arms.differences(plan, made)
    listener.say(f"{first}: the baseline, {counted(made[first])}")
    for name, told in changes.items():
        listener.say(f"{name}: {'; '.join(map(str, told))}; {counted(made[name])}")
    listener.say(f"{len(plan.arms)} arms at {len(plan.seeds)} seeds, {made[first].length:,} samples each")


def counted(recipe: Recipe) -> str:
    counts = api.parameters(recipe)
    return f"{counts['generator']:,} weights in G, {counts['discriminator']:,} in D"


def outcome(place: Place, plan: Plan, made: Mapping[str, Recipe], dataset: Dataset) -> Outcome:
    """All that is known now."""
    found = place.finished(plan)
    rows = analysis.compare(plan.pairs, found, plan.scoring.metrics)
    left = len(plan.runs) - len(found)
    return Outcome(place.path, plan, made, arms.differences(plan, made), found, rows, left, dataset.name, dataset.facts.count)


def usual_folder(plan: Plan) -> Path:
    """`comparisons/<recipe>-<data>-<hash>`: the same plan is the same comparison, however many seeds it has."""
    content = plans.to_toml(replace(plan, seeds=(0, 1), question=""))
    data = Path(plan.data).stem or "data"
    return Path("comparisons") / f"{Path(plan.recipe).stem}-{data}-{blake2b(content.encode(), digest_size=3).hexdigest()}"


def usual_jobs(device: str, threads: int) -> int:
    """One training on a GPU; on a CPU as many as its cores can carry."""
    if hardware.device(device).type == "cuda":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


class Memory:
    """The machine's, as Linux tells it."""

    def free(self) -> int | None:
        return entry(Path("/proc/meminfo"), "MemAvailable:")

    def held(self, job: Any) -> int | None:
        return entry(Path(f"/proc/{job.pid}/status"), "VmRSS:")


def entry(path: Path, name: str) -> int | None:
    """Bytes behind a name in one of Linux's tables of kB; None where there is no such table."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)


def started_child(place: Place, training: Training, device: str, threads: int) -> subprocess.Popen[bytes]:
    """A process for one training. A session of its own: signals come from us alone. What it says goes to its log."""
    path = place.log(training)
    files.make_folder(path.parent)
    told = [str(place.path), str(training.number), str(training.seed), device]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with path.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "gansaku.api_compare", *told],
            stdout=out,
            stderr=out,
            env=environment,
            start_new_session=True,
        )


def last_line(path: Path) -> str:
    """What a training said last."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")


# in the process of one training


class Attached(Listener):
    """Prints what is said; ends the training when the process that asked for it is gone, and when its time is over."""

    def __init__(self) -> None:
        self._parent = os.getppid()

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None:
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)


def carry_out(place: Place, number: int, seed: int, device: str) -> None:
    """Train, or go on, to the end; score the last state; write the result. A signal leaves a checkpoint."""
    plan = place.read_plan()
    for file in plan.use:
        registry.use(Path(file))
    training = Training(plan.arms[number], seed, number)
    dataset, folder = open_data(plan.data, plan.size), place.run(training)
    recipe = arms.recipe_of(plan, training.arm, dataset.facts, seed)
    clock, why = Spent(folder), ""
    files.make_folder(folder.parent)
    left = None if plan.budget is None else plan.budget - clock.before
    settings = {"precision": recipe.precision} if "precision" in {**plan.settings, **training.arm.changes} else {}
    try:
        if left is None or left > CLOSE:
            scoring = Scoring(every=max(1, recipe.length // POINTS), share=ANY)
            api.train(recipe, plan.data, folder, settings, size=plan.size, budget=left, device=device, use=plan.use,
                      scoring=scoring, listener=Attached())  # fmt: skip
    except Stopped as error:
        why = error.sentence
    finally:
        clock.keep()
    results.write(place.result(training), measured(plan, training, recipe, dataset, folder, why, clock, device))


class Spent:
    """The seconds that a training took, over all attempts, in a file beside its folder."""

    def __init__(self, run: Path, clock: Callable[[], float] = time.monotonic):
        self._file, self._clock, self._started = run.with_name(f"{run.name}.seconds.json"), clock, clock()
        try:
            self.before = float(json.loads(self._file.read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            self.before = 0.0

    @property
    def total(self) -> float:
        return self.before + self._clock() - self._started

    def keep(self) -> None:
        files.write_json(self._file, {"seconds": round(self.total, 1)})


def measured(
    plan: Plan, training: Training, recipe: Recipe, dataset: Dataset, folder: Path, why: str, clock: Spent, device: str
) -> Result:
    """The scores of a training that is over, and what it took."""
    run = api.load(folder)
    result = Result(
        training.arm.name, training.seed, seen=0, broken=why, seconds=round(clock.total, 1),
        attempts=log.attempts(run.folder.log), parameters=api.parameters(recipe), recipe=to_toml(run.recipe),
        machine=hardware.describe(hardware.device(device)), fingerprint=dataset.fingerprint, date=date.today().isoformat(),
        curves=curves(run),
    )  # fmt: skip
    if why:
        return result
    scores = api_scores.evaluate(run, plan.data, plan.scoring.metrics, plan.scoring.n, plan.scoring.real,
                                 extractor=plan.scoring.extractor, size=plan.size, device=device)  # fmt: skip
    return replace(result, seen=scores[0].passport.seen or 0, scores=tuple(scores))


def curves(run: Run) -> dict[str, Curve]:
    """The scores on the way, by their names."""
    found: dict[str, dict[int, float]] = {}
    for seen, score in log.scores(run.folder.log):
        found.setdefault(score.name, {})[seen] = score.value
    return {name: tuple(sorted(points.items())) for name, points in found.items()}


def main(given: Sequence[str]) -> int:
    """`FOLDER ARM SEED DEVICE`. The exit code is that of `gansaku train`."""
    try:
        carry_out(Place(Path(given[0])), int(given[1]), int(given[2]), given[3])
    except GansakuError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
