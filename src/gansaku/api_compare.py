"""The verb `compare`: arms at the same seeds, scored alike, with what their differences say."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gansaku import __version__, api, api_arm, files
from gansaku.api_scores import opened_run
from gansaku.data.policy import Size
from gansaku.data.sources import open_data
from gansaku.data.store import Dataset, Facts
from gansaku.errors import GansakuError, RunError, UsageError, nearest
from gansaku.experiments import analysis, arms, baseline, results, space
from gansaku.experiments import plan as plans
from gansaku.experiments import search as searching
from gansaku.experiments.analysis import Comparison
from gansaku.experiments.baseline import Baseline
from gansaku.experiments.crew import Crew, machine_of
from gansaku.experiments.finished import Finished, groups
from gansaku.experiments.folder import Place, Training, trainings
from gansaku.experiments.plan import RECIPE, Arm, Pair, Plan, Scoring
from gansaku.experiments.report import Report
from gansaku.experiments.report_reading import Reading
from gansaku.experiments.results import Result
from gansaku.experiments.search import Trials
from gansaku.experiments.space import Span
from gansaku.listener import Listener
from gansaku.parts import Change, encode, shown
from gansaku.recipe import Recipe
from gansaku.recipes import registry
from gansaku.runs import manifest
from gansaku.runs.interrupts import listening
from gansaku.runs.lock import held
from gansaku.runs.run import Run

REPORT_SHARE = 0.05  # of the time may go into reports while trainings run


@dataclass(frozen=True)
class Outcome:
    """What a comparison has found so far."""

    folder: Path
    plan: Plan
    arms: tuple[Arm, ...]  # the baseline first
    recipes: Mapping[str, Recipe]  # by arm
    changes: Mapping[str, list[Change]]  # of every arm but the first against the first
    results: Sequence[Result]
    comparisons: Sequence[Comparison]
    left: int  # trainings that have no result yet
    dataset: str  # what people call it
    count: int  # its training samples
    classes: tuple[str, ...] = ()
    given_up: Mapping[str, str] = field(default_factory=dict)  # trainings whose process fell, and why
    tried: Trials | None = None  # by a search, before the comparison

    def plain(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "question": self.plan.question,
            "arms": [self._arm(arm.name, dict(arm.changes)) for arm in self.arms],
            "pairs": [analysis.plain(row) for row in self.comparisons],
            **({"tried": [trial_plain(result) for result in self.tried.results]} if self.tried else {}),
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


def trial_plain(result: Result) -> dict[str, Any]:
    """What a search tried, as `--json` prints it."""
    return {"name": result.arm, "seed": result.seed, "broken": result.broken, "scores": [s.plain() for s in result.scores]}


def compare(
    recipe: str | Plan | None = None,
    data: str | None = None,
    vary: Mapping[str, Sequence[Any] | Span] | None = None,
    out: str | Path | None = None,
    *,
    grid: bool = False,
    seeds: int | Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    budget: float | None = None,
    size: Size = None,
    question: str = "",
    scoring: Scoring | None = None,
    use: Iterable[str | Path] = (),
    against: str | Path | None = None,
    search: int = 0,
    **how: Any,
) -> Outcome:
    """Train every arm at the same seeds, score all alike, and say what their differences show.

    `vary` has a setting's values by its path, the baseline's first; `grid` takes every combination. `seeds` are how many, or
    which. With `search`, so many settings are tried out of `vary`, where a `Span` may stand, and the best is compared with the
    recipe as it is. A `Plan` in the place of the recipe says all that but the seeds, which may be others. With `out` alone, the
    plan that lies there goes on, with more seeds if they are given. `how` is what `carry_out` takes.
    """
    wanted = None if seeds is None else plans.seeds_of(seeds if isinstance(seeds, int) else list(seeds))
    stored = recipe is None and not vary and against is None and out is not None
    if isinstance(recipe, Plan) or stored:
        refuse(
            {"--data": data, "--vary": vary, "--grid": grid, "--set": settings, "--budget": budget, "--size": size,
             "--question": question, "--metrics": scoring, "--use": tuple(use), "--against": against, "--search": search},
            str(Place(Path(out)).plan) if stored and out is not None else "the plan",
        )  # fmt: skip
        return carry_out(recipe if isinstance(recipe, Plan) else None, out, seeds=wanted, **how)
    plan = Plan(
        data=data or "avatars",
        recipe=recipe or "auto",
        vary=tuple(space.factor(path, values, f"--vary {path}") for path, values in (vary or {}).items()),
        grid=grid,
        seeds=tuple(range(plans.SEEDS)) if wanted is None else wanted,
        settings=dict(settings or {}),
        budget=budget,
        size=size,
        question=question,
        scoring=scoring or Scoring(),
        use=tuple(map(str, use)),
        against="" if against is None else str(against),
        search=search,
    )
    return carry_out(plan, out, **how)


def refuse(given: Mapping[str, Any], where: str) -> None:
    """Raises UsageError for the first flag with a value: a plan says all that."""
    for flag, value in given.items():
        if value not in (None, "", (), {}, False, 0):
            sentence = f"does nothing beside {where}, which is a plan: leave it out, or write a plan of its own with it"
            raise UsageError(flag, sentence, "USAGE")


def with_seeds(plan: Plan, seeds: Sequence[int] | None, more: bool) -> Plan:
    """The plan at other seeds, or at `more`: those beside its own."""
    if seeds is None:
        return plan
    return replace(plan, seeds=(*plan.seeds, *[s for s in seeds if s not in plan.seeds]) if more else tuple(seeds))


def carry_out(
    plan: Plan | None,
    out: str | Path | None = None,
    *,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "auto",
    on: str = "local",
    dry_run: bool = False,
    until: float | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Carry out a plan in a folder, or go on with the one that is there (None, or the same with more seeds).

    `seeds` take the place of the plan's, and are added to those that are there.
    `jobs` trainings run at a time, `threads` each: one for each core of a CPU, one on a GPU, as far as there is memory;
    `on` this machine ("local"), or on a Ray cluster ("ray").
    `until` stops after so many seconds; the same call goes on. Raises a GansakuError for what a user can get wrong.
    """
    place, listener, started = Place(folder_of(plan, out)), listener or Listener(), time.monotonic()
    sentence = "interrupted before anything was trained; the same command starts again"
    with listening("gansaku compare", sentence) as request:
        wanted = with_seeds(plan or searching.begun(place) or place.read_plan(), seeds, more=plan is None)
        for file in wanted.use:
            registry.use(Path(file))
        dataset = open_data(wanted.data, wanted.size)
        made: Mapping[str, Recipe] = arms.recipes(wanted, dataset.facts)
        for start in filter(None, map(plans.start_of, wanted.arms)):
            finished(api.load(start))  # raises where there is no run, or none with weights
        against = baseline.read(Path(wanted.against)) if wanted.against else None
        if against is not None:
            baseline.check(against, wanted, dataset.fingerprint, wanted.against)
            made = {against.name: against.recipe, **made}
        if wanted.search:
            searching.check(wanted, dataset.facts)
        tell(wanted, made, listener)
        if dry_run:
            return outcome(place, wanted, made, dataset, against)
        going_on = searching.begin(place, wanted) if wanted.search else place.begin(wanted)
        with held(place.path), closing(machine_of(on, threads, device)) as machine, request.noted():

            def stopped() -> bool:
                return bool(request) or (until is not None and time.monotonic() - started > until)

            crew = Crew(machine, jobs or machine.jobs(), stopped, listener.say)
            if wanted.search:
                going_on, made = searched(place, wanted, dataset, crew, made, listener)
            reports = Reports(place.path)
            known = partial(outcome, place, going_on, made, dataset, against)
            waiting = [] if going_on.search else trainings(going_on)
            given_up = crew.work_down(place, waiting, lambda: reports.now_and_then(known))
            found = replace(known(), given_up={str(training): why for training, why in given_up.items()})
            if found.results:
                reports.write(found)
        if request:
            sentence = f"interrupted with {found.left} trainings to go; everything is saved, the same command continues"
            raise request.interrupted(str(place.path), sentence)
    return found


def searched(
    place: Place, wanted: Plan, dataset: Dataset, crew: Crew, made: Mapping[str, Recipe], listener: Listener
) -> tuple[Plan, Mapping[str, Recipe]]:
    """The plan that compares what a search found, begun, with its recipes; the search itself where it was stopped before."""
    plan = searching.carry_on(place, wanted, dataset.facts, crew)
    if plan is None:
        return wanted, made
    going_on = place.begin(plan)
    made = arms.recipes(going_on, dataset.facts)
    tell(going_on, made, listener)
    return going_on, made


class Reports:
    """The reports of a comparison that is running: written again when there is something new and it costs little."""

    def __init__(self, folder: Path, sheets: Mapping[tuple[str, int], Path] | None = None):
        self._report, self._cost, self._last = Report(folder, sheets), 0.0, -math.inf

    def now_and_then(self, known: Callable[[], Outcome]) -> None:
        """Writes what is known, unless the last report took more than REPORT_SHARE of the time since then."""
        if time.monotonic() - self._last > self._cost / REPORT_SHARE:
            self.write(known())

    def write(self, found: Outcome, paths: Sequence[str] = (), command: str | None = None) -> None:
        started, plan = time.monotonic(), found.plan
        facts = Facts(found.dataset, next(iter(found.recipes.values())).shape, found.count, found.classes)
        named = {arm.name: str(arm.changes.get(RECIPE, plan.recipe)) for arm in found.arms}
        reading = Reading(
            plan=plan, changes=found.changes, results=found.results, comparisons=found.comparisons, dataset=found.dataset,
            count=found.count, arms=found.arms, given_up=found.given_up, version=__version__,
            tried=found.tried,
            lengths={name: recipe.length for name, recipe in found.recipes.items()},
            own_lengths={name: own_length(recipe, facts) for name, recipe in named.items()},
            parameters={name: api.parameters(recipe) for name, recipe in found.recipes.items()}, paths=tuple(paths),
            **({} if command is None else {"command": command}),
        )  # fmt: skip
        self._report.write(reading, found.plain())
        self._last = time.monotonic()
        self._cost = self._last - started


def own_length(recipe: str, facts: Facts) -> int:
    """The samples that a recipe as it is sees of these data; 0 where no such recipe is known any more."""
    try:
        return registry.find(recipe, facts).length
    except GansakuError:
        return 0


def compare_runs(
    runs: Sequence[str | Path],
    out: str | Path,
    declared: Sequence[str] = (),
    scoring: Scoring = Scoring(),  # noqa: B008 - frozen
    *,
    question: str = "",
    device: str = "auto",
    use: Iterable[str | Path] = (),
    listener: Listener | None = None,
) -> Outcome:
    """Compare runs that are there already: those of one recipe at several seeds are an arm, the first run's the baseline.

    `declared` are the settings in which arms may differ; anything else is refused. All are scored at their newest
    checkpoint, on their own data.
    """
    listener, place = listener or Listener(), Place(Path(out))
    for file in use:
        registry.use(Path(file))
    loaded = [opened_run(run) for run in runs]
    found = groups([finished(run) for run in loaded], declared)
    about = loaded[0].folder.read_about()["data"]
    data, size = str(about["source"]), about.get("size")
    size = (int(size[0]), int(size[1])) if isinstance(size, list) else size
    files.make_folder(place.path)
    done = []
    for number, group in enumerate(found):
        for seed, which in group.runs.items():
            path = place.result(Training(group.arm, seed, number))
            listener.say(f"{group.arm.name}, seed {seed}: {loaded[which].path}")
            result = api_arm.measured(scoring, loaded[which], data, size, "", device)
            done.append(replace(result, arm=group.arm.name))
            results.write(path, done[-1])
    base, *others = [group.arm for group in found]
    plan = Plan(data, listed=(base, *others), seeds=tuple(found[0].runs), size=size, question=question, scoring=scoring)
    made = {group.arm.name: loaded[next(iter(group.runs.values()))].recipe for group in found}
    rows = analysis.compare([Pair(base, other, plans.changed_factor(base, other)) for other in others], done, scoring.metrics)
    dataset = open_data(data, size)
    return Outcome(
        place.path, plan, (base, *others), made, arms.differences(plan, made), done, rows, 0, dataset.name, dataset.facts.count
    )


def finished(run: Run) -> Finished:
    """A run as an arm's candidate. Raises RunError for one without a checkpoint."""
    there = manifest.found(run.folder.checkpoints)
    if not there:
        raise RunError(str(run.path), "has no checkpoint to score", "CHECKPOINT")
    fingerprint = str(run.folder.read_about()["data"]["fingerprint"])
    began = run.folder.read_about().get("from", {"run": plans.NOTHING})
    return Finished(str(run.path), run.recipe, manifest.seen(there[-1]), fingerprint, str(began["run"]))


def lock(out: str | Path, file: str | Path, arm: str | None = None) -> Baseline:
    """Lock an arm of a comparison's folder (the first if it is not named) as the baseline of later ones."""
    place = Place(Path(out))
    plan = place.read_plan()
    names = [one.name for one in plan.arms]
    name = names[0] if arm is None else arm
    if name not in names:
        raise UsageError("--arm", f"{name!r} is no arm{nearest(name, names)}", "ARM")
    own = [result for result in place.finished(plan) if result.arm == name]
    return baseline.lock(Path(file), name, own, date.today().isoformat())


def folder_of(plan: Plan | None, out: str | Path | None) -> Path:
    """Where a comparison lies: if not said `comparisons/<recipe>-<data>-<hash>`, however many its seeds and trials."""
    if out is not None:
        return Path(out)
    if plan is None:
        raise UsageError("compare", "give a plan, or the folder of one", "PLAN")
    content = plans.to_toml(replace(plan, seeds=(0, 1), question="", search=min(1, plan.search)))
    data = Path(plan.data).stem or "data"
    return Path("comparisons") / f"{Path(plan.recipe).stem}-{data}-{blake2b(content.encode(), digest_size=3).hexdigest()}"


def tell(plan: Plan, made: Mapping[str, Recipe], listener: Listener) -> None:
    """What is going to be compared."""
    first, *_ = made
    listener.say(f"{first}: the baseline, {counted(made[first])}")
    if plan.search:
        listener.say(f"{plan.search} settings are tried, {made[first].length:,} samples each, at a seed of their own:")
        for factor in plan.vary:
            listener.say(f"{factor.path}: {factor.span or ', '.join(shown(encode(value)) for value in factor.values)}")
        listener.say(f"then the best of them is compared with the baseline at {len(plan.seeds)} seeds")
        return
    for name, told in arms.differences(plan, made).items():
        listener.say(f"{name}: {'; '.join(map(str, told)) or 'nothing'}; {counted(made[name])}")
    listener.say(f"{len(plan.arms)} arms at {len(plan.seeds)} seeds, {made[first].length:,} samples each")


def counted(recipe: Recipe) -> str:
    counts = api.parameters(recipe)
    return f"{counts['generator']:,} weights in G, {counts['discriminator']:,} in D"


def outcome(place: Place, plan: Plan, made: Mapping[str, Recipe], dataset: Dataset, against: Baseline | None) -> Outcome:
    """All that is known now."""
    own = [] if plan.search else place.finished(plan)
    found = own if against is None else [*(one for one in against.results if one.seed in plan.seeds), *own]
    pairs = plan.pairs if against is None else baseline.pairs(against, plan)
    rows = analysis.compare(pairs, found, plan.scoring.metrics)
    every = plan.arms if against is None else (against.arm, *plan.arms)
    tried = searching.tried(place)
    left = len(plan.runs) - len(own)
    if plan.search:
        left = 2 * len(plan.seeds) + plan.search + 1 - (len(tried.results) if tried else 0)
    differs, facts = arms.differences(plan, made), dataset.facts
    return Outcome(
        place.path, plan, every, made, differs, found, rows, left, dataset.name, facts.count, facts.classes, tried=tried
    )
