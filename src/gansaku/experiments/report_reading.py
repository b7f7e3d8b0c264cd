"""What a report of a comparison is made of, and what of it may be told: nothing that names a place, a person or a machine.

`Reading` is what is known; `tell` makes of it what the page, the Markdown and the tables say, and they see nothing else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import tomli_w

from gansaku.experiments import plan as plans
from gansaku.experiments import search
from gansaku.experiments.analysis import Comparison
from gansaku.experiments.plan import RECIPE, Arm, Pair, Plan, budget_of
from gansaku.experiments.report_search import Setting, Trial, Trials
from gansaku.experiments.results import Result
from gansaku.parts import Change, encode, shown

T = TypeVar("T")

BUNDLED = ("avatars", "chairs")  # data that `--data` knows by name
LINE = 100  # letters, up to which a list stands in one line
NOBODY = ("root", "user", "admin", "nobody", "localhost", "gansaku")  # names that say of nobody who it is

URLS = re.compile(r"\b[A-Za-z][\w+.-]*://[^\s\"'<>]+")
QUOTED = re.compile(r"([\"'`])((?:~|[A-Za-z]:|\.\.)?[/\\][^\"'`\n]*)\1")
HOMES = re.compile(
    r"(?:/home|/Users|[A-Za-z]:[/\\]+Users)[/\\]+(?:[^/\\\n\"'`:;,]+(?=[/\\])|[^/\\\s\"'`:;,()]+)|/root(?![\w.-])"
)
ABSOLUTE = re.compile(r"(?:~[\w.-]*|[A-Za-z]:|\.\.)?[/\\]")
PATHS = re.compile(r"(?<![\w.~/\\])(?:~[\w.-]*|[A-Za-z]:|\.\.)?(?:[/\\]+[\w.@+~%-][^\s/\\\"'`<>|:;,()\[\]{}]*)+[/\\]*")


@dataclass(frozen=True)
class Reading:
    """A comparison as far as it is: its plan, what came of it, and what its recipes say of themselves, by arm."""

    plan: Plan
    changes: Mapping[str, Sequence[Change]]  # of every arm but the first against the first
    results: Sequence[Result]
    comparisons: Sequence[Comparison]
    dataset: str  # what people call it
    count: int  # its training samples; 0 if that is not known
    lengths: Mapping[str, int] = field(default_factory=dict)  # samples of each training
    own_lengths: Mapping[str, int] = field(default_factory=dict)  # of the recipe as its name has it, without any setting
    parameters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by player
    version: str = ""  # of Gansaku
    arms: Sequence[Arm] = ()  # the baseline first; the plan's own if none are given
    given_up: Mapping[str, str] = field(default_factory=dict)  # trainings without a result, as `arm, seed 3`, and why
    command: str = "gansaku compare plan.toml --out again"  # that repeats it with the plan; "" where no plan made it
    paths: Sequence[str] = ()  # where things lie: told by their last name alone
    names: Sequence[str] = ()  # of the user and of the machine: told by nothing
    tried: search.Trials | None = None  # by a search, before


@dataclass(frozen=True)
class Side:
    """An arm as the report tells it."""

    number: int
    name: str
    declared: Mapping[str, str]  # what the plan sets in it, as written
    changes: Sequence[Change]  # against the baseline
    parameters: Mapping[str, int]
    length: int  # samples of each training; 0 if that is not known
    own_length: int
    budget: float | None  # seconds of each training; None where the number of samples ends it
    results: Mapping[int, Result]  # by seed
    given_up: Mapping[int, str]  # why there is no result, by seed

    @property
    def colour(self) -> int:
        """1 to 8 of the style sheet's: the baseline is grey."""
        return 8 if self.number == 0 else (self.number - 1) % 7 + 1

    @property
    def broken(self) -> list[Result]:
        return [result for result in self.results.values() if result.broken]


@dataclass(frozen=True)
class Told:
    """All that the report may say."""

    question: str
    recipes: Sequence[str]  # one, unless arms differ by their recipe
    data: str
    count: int
    seeds: Sequence[int]
    sides: Sequence[Side]
    rows: Sequence[Comparison]  # of every pair by every metric that has scores
    metrics: Sequence[str]
    settings: Mapping[str, str]  # of all arms, as written
    grid: bool
    locked: bool  # whether the baseline is that of an earlier comparison
    plan: str  # as TOML
    command: str
    version: str
    tried: Trials | None = None  # by a search, before

    @property
    def recipe(self) -> str:
        return listing(self.recipes, "and")

    @property
    def recipe_word(self) -> str:
        return "Recipe" if len(self.recipes) == 1 else "Recipes"

    @property
    def own_recipe(self) -> str:
        return self.recipes[0] if len(self.recipes) == 1 else "the recipe"

    @property
    def results(self) -> list[Result]:
        """All that are there, arm by arm."""
        return [side.results[seed] for side in self.sides for seed in self.seeds if seed in side.results]

    @property
    def left(self) -> int:
        """Trainings that have no result yet."""
        return len(self.sides) * len(self.seeds) - len(self.results)

    def called(self, name: str) -> str:
        """An arm in a sentence: the baseline has a long name where several things are varied, and is known."""
        return "the baseline" if name == self.sides[0].name and len(self.sides) > 2 and not self.grid else name

    def rows_of(self, metric: str) -> list[Comparison]:
        return [row for row in self.rows if row.metric == metric]

    @property
    def first(self) -> list[Comparison]:
        """The pairs by the first metric that has scores: the answer."""
        return next((rows for metric in self.metrics if (rows := self.rows_of(metric))), [])


def tell(reading: Reading) -> Told:
    """What may be told. Two arms whose names differ by a path alone get numbers."""
    plan, hide, arms = reading.plan, Private.of(reading), reading.arms or reading.plan.arms
    names = distinct([hide(arm.name) for arm in arms])
    renamed = {arm.name: name for arm, name in zip(arms, names, strict=True)}
    results = [told_result(result, renamed, hide) for result in reading.results if result.arm in renamed]
    sides = [
        Side(
            number, renamed[arm.name], {hide(path): written(hide(value)) for path, value in arm.changes.items()},
            [Change(hide(c.path), hide(c.before), hide(c.after)) for c in reading.changes.get(arm.name, ())],
            parameters_of(reading, arm), reading.lengths.get(arm.name, 0), reading.own_lengths.get(arm.name, 0),
            budget_of(plan, arm),
            {result.seed: result for result in results if result.arm == renamed[arm.name]},
            {seed: hide.sentence(why) for seed in plan.seeds if (why := reading.given_up.get(f"{arm.name}, seed {seed}"))},
        )
        for number, arm in enumerate(arms)
    ]  # fmt: skip
    rows = [
        replace(row, pair=told_pair(row.pair, renamed, hide), title=hide(row.title))
        for row in reading.comparisons
        if row.pair.a.name in renamed and row.pair.b.name in renamed
    ]
    return Told(
        question=hide(plan.question) or asked(plan, names, hide(reading.dataset)),
        recipes=recipe_names(plan, arms, hide), data=hide(last_name(reading.dataset)), count=reading.count, seeds=plan.seeds,
        sides=sides, rows=rows, metrics=plan.scoring.metrics,
        settings={hide(path): written(hide(value)) for path, value in plan.settings.items()},
        grid=plan.grid and not plan.listed, locked=bool(plan.against), plan=plan_text(plan, hide),
        command=hide(reading.command), version=reading.version,
        tried=told_trials(reading.tried, arms[-1], hide) if reading.tried else None,
    )  # fmt: skip


def told_trials(found: search.Trials, chosen: Arm, hide: Private) -> Trials | None:
    """What was tried, each setting by the name that its arms have; nothing where nothing has a score."""
    metric, own = found.plan.scoring.metrics[0], {result.arm: result for result in found.results}
    like = next((score for result in found.results if (score := result.score(metric))), None)
    if like is None:
        return None
    space, names = found.plan.vary, plans.short_names([factor.path for factor in found.plan.vary])
    listed = [arm for arm in found.plan.listed if arm.name in own and all(f.path in arm.changes for f in space)]
    as_is = own[plans.AS_IS].score(metric) if plans.AS_IS in own and not own[plans.AS_IS].broken else None
    settings = [
        Setting(hide(names[f.path]), bool(f.span and f.span.log), [] if f.span else [hide(written(v)) for v in f.values])
        for f in space
    ]
    trials = []
    for arm in listed:
        score = None if own[arm.name].broken else own[arm.name].score(metric)
        values = [arm.changes[f.path] for f in space]
        places = [float(v) if f.span else float(f.values.index(v)) for f, v in zip(space, values, strict=True)]
        broken = hide.sentence(own[arm.name].broken) or ("" if score else "no score")
        texts = [hide(written(value)) for value in values]
        trials.append(Trial(texts, places, score.value if score else None, broken, arm.name == chosen.name))
    return Trials(settings, trials, hide(like.name), like.better, as_is.value if as_is else None, plans.TRIED_AT)


def told_result(result: Result, renamed: Mapping[str, str], hide: Private) -> Result:
    scores = []
    for score in result.scores:
        p = score.passport
        known = replace(p, real=hide(last_name(p.real)), generated=hide(p.generated), extractor=hide(p.extractor))
        scores.append(replace(score, name=hide(score.name), passport=known, warnings=tuple(map(hide, score.warnings))))
    curves = {hide(name): points for name, points in result.curves.items()}
    machine = {hide(name): hide(value) for name, value in result.machine.items()}
    return replace(
        result, arm=renamed[result.arm], broken=hide.sentence(result.broken), scores=tuple(scores), curves=curves,
        machine=machine, recipe="", date=hide(result.date),
    )  # fmt: skip


def recipe_names(plan: Plan, arms: Sequence[Arm], hide: Private) -> list[str]:
    """Of all arms, each once."""
    return list(dict.fromkeys(hide(last_name(str(arm.changes.get(RECIPE, plan.recipe)))) for arm in arms))


def told_pair(pair: Pair, renamed: Mapping[str, str], hide: Private) -> Pair:
    return Pair(Arm(renamed[pair.a.name], {}), Arm(renamed[pair.b.name], {}), hide(pair.factor))


def parameters_of(reading: Reading, arm: Arm) -> dict[str, int]:
    """By player, as the recipe has them, or else the first result."""
    found = [result.parameters for result in reading.results if result.arm == arm.name and result.parameters]
    return dict(reading.parameters.get(arm.name) or (found[0] if found else {}))


def asked(plan: Plan, names: Sequence[str], data: str) -> str:
    """A question made of what is varied: Which is better on avatars: grow=transpose or grow=resize?"""
    if plan.vary and (len(plan.vary) > 1 or len(names) > 4):
        short = list(plans.short_names([factor.path for factor in plan.vary]).values())
        return f"What does {listing(short, 'and')} change on {data}?"
    if len(names) > 4:
        return f"Which of {len(names)} arms is better on {data}?"
    return f"Which is better on {data}: {listing(names, 'or')}?"


def listing(words: Sequence[str], joint: str) -> str:
    """a, b and c."""
    *others, last = words
    return f"{', '.join(others)} {joint} {last}" if others else last


def distinct(names: Sequence[str]) -> list[str]:
    """The same names, later ones with a number where two are alike."""
    found: list[str] = []
    for name in names:
        number, new = 1, name
        while new in found:
            number += 1
            new = f"{name} ({number})"
        found.append(new)
    return found


def written(value: Any) -> str:
    """A setting as the report writes it."""
    return shown(encode(value))


def plan_text(plan: Plan, hide: Private) -> str:
    """The plan as a file that another person can use: data, recipe and files lie beside it."""
    content = hide(tomllib.loads(plans.to_toml(plan)))
    content["data"] = plan.data if plan.data in BUNDLED else f"./{hide(last_name(plan.data))}"
    content["recipe"] = hide(last_name(plan.recipe))
    if plan.against:
        content["against"] = f"./{hide(last_name(plan.against))}"
    if plan.use:
        content["use"] = [hide(last_name(file)) for file in plan.use]
    return re.sub(r"\[\n((?: {4}[^ \n][^\n]*,\n)+)\]", in_one_line, tomli_w.dumps(content))


def in_one_line(found: re.Match[str]) -> str:
    """A list of TOML in a line, if it is not long."""
    line = f"[{', '.join(entry.strip().rstrip(',') for entry in found[1].splitlines())}]"
    return line if len(line) <= LINE else found[0]


def last_name(path: str) -> str:
    """/home/someone/faces.zip -> faces.zip; C:\\data\\faces -> faces."""
    return PureWindowsPath(PurePosixPath(path.rstrip("/\\")).name).name or path.strip("/\\")


@dataclass(frozen=True)
class Private:
    """Takes places out of texts, however deep they lie in lists and tables; a path is told by its last name."""

    paths: tuple[str, ...]  # longest first
    names: tuple[str, ...]

    @staticmethod
    def of(reading: Reading) -> Private:
        """Of a comparison, whose plan names places too."""
        plan = reading.plan
        chosen = [*plan.settings.values(), *(value for factor in plan.vary for value in factor.values)]
        chosen += [value for arm in (*plan.listed, *reading.arms) for value in arm.changes.values()]
        named = [value for value in chosen if isinstance(value, str) and ABSOLUTE.match(value)]
        named += [
            *reading.paths,
            plan.data,
            plan.recipe,
            *plan.use,
            plan.against,
            plan.scoring.extractor or "",
            reading.dataset,
        ]
        places = {path.rstrip("/\\") for path in named if re.search(r"[/\\]", path.rstrip("/\\"))} - {""}
        names = tuple(name for name in reading.names if len(name) > 2 and name.lower() not in NOBODY)
        return Private(tuple(sorted(places, key=len, reverse=True)), names)

    def __call__(self, value: T) -> T:
        found: Any = value
        if isinstance(value, str):
            found = self._text(value)
        elif isinstance(value, Mapping):
            found = {self(key): self(inner) for key, inner in value.items()}
        elif isinstance(value, list | tuple):
            found = type(value)(map(self, value)) if type(value) in (list, tuple) else value
        return found  # type: ignore[no-any-return]

    def _text(self, text: str) -> str:
        for path in self.paths:
            text = text.replace(path, last_name(path))
        text = URLS.sub(lambda found: last_name(found[0].split("?")[0]), text)
        text = HOMES.sub("~", text)
        text = QUOTED.sub(lambda found: f"{found[1]}{last_name(found[2])}{found[1]}", text)
        return PATHS.sub(lambda found: last_name(found[0]), text)

    def sentence(self, text: str) -> str:
        """A text that a program wrote: without the names of people and machines either."""
        for name in self.names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
        return self._text(text)
