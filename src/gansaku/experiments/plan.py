"""What is compared: recipes that differ by declared changes, at the same seeds; from flags or a TOML file.

    question = "Transposed convolution, or upsampling and convolution?"
    recipe = "dcgan"
    data = "faces.zip"
    seeds = 5                       # 0 to 4, or a list
    grid = true                     # every combination; else one factor at a time
    signals = 0.1                   # share of the time for looks at signals, if not 1 %: alarms need several
    [vary]                          # the first value of each is the baseline's
    "generator.network.grow" = ["transpose", "resize"]
    [set]                           # of all arms
    length = 500000
    [score]                         # as the flags of `gansaku evaluate`
    metrics = ["fid"]
    n = 2000

Instead of [vary], arms may be listed, each with a name, and what it sets: `[[arms]]`, `name = "…"`, `set = {…}`; the first is
the baseline. The setting `recipe` is the recipe itself, `budget` a time for each training, and `from` a run whose weights it
begins with (`from = ["none", "runs/faces"]`).

With `search = 20`, that many settings are tried out of [vary], where ranges may stand as `"1e-5..1e-3"`; the best is then
compared with the recipe as it is.
"""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import tomli_w

from gansaku.errors import RecipeError, UsageError, nearest
from gansaku.experiments import space
from gansaku.experiments.space import Factor
from gansaku.parts import encode, shown

# Factors that are no settings: the whole recipe, the seconds of each training, and the run whose weights it begins with.
RECIPE, BUDGET, FROM = "recipe", "budget", "from"
NOTHING = "none"  # what an arm says that begins with new weights
MOST_ARMS, MOST_TRIALS = 100, 1000
TRIED_AT = 1000  # the seed of every trial of a search: what is found is compared at others
AS_IS = "as it is"  # the arm of a search that sets nothing
SEEDS = 5


@dataclass(frozen=True)
class Arm:
    """One of the recipes that are compared: what it sets, and what it is called for that."""

    name: str
    changes: Mapping[str, Any]


class Pair(NamedTuple):
    """Two arms to be compared: b against a, and the one setting in which they differ; "" if arms were listed."""

    a: Arm
    b: Arm
    factor: str


@dataclass(frozen=True)
class Scoring:
    """How every run is scored at its end, as `gansaku evaluate` does it."""

    metrics: tuple[str, ...] = ("fid",)
    n: int = 2000
    extractor: str | None = None
    real: int | None = None


@dataclass(frozen=True)
class Plan:
    """All that decides a comparison. The same plan gives the same numbers on the same machine."""

    data: str
    recipe: str = "auto"
    vary: tuple[Factor, ...] = ()
    listed: tuple[Arm, ...] = ()
    grid: bool = False
    seeds: tuple[int, ...] = tuple(range(SEEDS))
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget: float | None = None  # seconds of each training; None: all see the same number of samples
    size: int | tuple[int, int] | None = None
    question: str = ""
    scoring: Scoring = Scoring()
    use: tuple[str, ...] = ()  # Python files of one's own
    against: str = ""  # the file of a locked baseline, which takes the place of one that is trained
    search: int = 0  # settings to try out of `vary`; those of listed arms first
    signals: float | None = None  # share of each training's time that looks at its signals may take; None: as ever

    def __post_init__(self) -> None:
        check(self)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Those that are trained, the baseline first if it is not a locked one."""
        if self.search:
            return (Arm(AS_IS, {}), *self.listed)
        if not self.listed and not self.vary:
            return (Arm("this", {}),)
        return self.listed or arms_of(self.vary, self.grid)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every arm against the baseline; in a grid, every two that differ in one factor, one of them by its first value."""
        if self.listed or not self.grid or not self.vary:
            baseline, *others = self.arms
            return tuple(Pair(baseline, other, changed_factor(baseline, other)) for other in others)
        return tuple(
            Pair(a, b, factor.path)
            for factor in self.vary
            for a, b in itertools.product(self.arms, repeat=2)
            if a.changes[factor.path] == factor.values[0] and b.changes == {**a.changes, factor.path: b.changes[factor.path]}
            and a.changes != b.changes
        )  # fmt: skip

    @property
    def runs(self) -> tuple[tuple[Arm, int], ...]:
        """Every training, all arms of a seed before the next seed: whenever it is stopped, what is there is paired."""
        return tuple((arm, seed) for seed in self.seeds for arm in self.arms)


def budget_of(plan: Plan, arm: Arm) -> float | None:
    """The seconds of an arm's trainings; None where the number of samples ends them."""
    own = arm.changes.get(BUDGET, plan.budget)
    return None if own is None else float(own)


def start_of(arm: Arm) -> str | None:
    """The run whose weights an arm's trainings begin with; None where they are new."""
    own = arm.changes.get(FROM)
    return None if own in (None, NOTHING) else str(own)


def arms_of(vary: Sequence[Factor], grid: bool) -> tuple[Arm, ...]:
    """One factor at a time: the baseline, and one arm for each other value. As a grid: one for each combination."""
    base = {factor.path: factor.values[0] for factor in vary}
    if grid:
        combinations = [dict(zip(base, values, strict=True)) for values in itertools.product(*[f.values for f in vary])]
    else:
        combinations = [base, *[{**base, factor.path: value} for factor in vary for value in factor.values[1:]]]
    names = short_names(list(base))
    return tuple(Arm(name_of(changes, base, names, grid), changes) for changes in combinations)


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Each path's last steps, as few as tell it from the others; `loss.part` is the loss."""
    found = {}
    for path in paths:
        steps = path.removesuffix(".part").split(".")
        tails = [".".join(steps[-count:]) for count in range(1, len(steps) + 1)]
        others = [f".{other.removesuffix('.part')}" for other in paths]
        alone = [tail for tail in tails if sum(other.endswith(f".{tail}") for other in others) == 1]
        found[path] = alone[0] if alone else path
    return found


def name_of(changes: Mapping[str, Any], base: Mapping[str, Any], names: Mapping[str, str], grid: bool) -> str:
    """`grow=resize`; of a grid all factors, of one factor at a time the one that is changed, or all of the baseline."""
    told = changes if grid or changes == base else {path: value for path, value in changes.items() if value != base[path]}
    return ", ".join(f"{names[path]}={shown(encode(value))}" for path, value in told.items())


def changed_factor(a: Arm, b: Arm) -> str:
    """The one setting in which two arms differ; "" if there are several or none."""
    paths = [path for path in {**a.changes, **b.changes} if a.changes.get(path) != b.changes.get(path)]
    return paths[0] if len(paths) == 1 else ""


def check(plan: Plan) -> None:
    """Raises UsageError at the first thing that makes no comparison."""
    check_search(plan)
    if plan.listed and plan.vary and not plan.search:
        raise UsageError("plan", "has arms and factors to vary; keep one of both", "PLAN")
    for factor in plan.vary:
        if factor.span and not plan.search:
            sentence = f"{factor.span} is a range; say how many values to try with --search 20, or list them as a,b"
            raise UsageError(f"--vary {factor.path}", sentence, "PLAN")
        if len(factor.values) < (1 if plan.against or factor.span else 2):
            raise UsageError(f"--vary {factor.path}", f"has {len(factor.values)} value; give two or more, as a,b", "PLAN")
        written = [shown(encode(value)) for value in factor.values]
        if len(set(written)) < len(written):
            raise UsageError(f"--vary {factor.path}", f"has a value twice: {', '.join(written)}", "PLAN")
    paths = [factor.path for factor in plan.vary]
    if len(set(paths)) < len(paths):
        raise UsageError("--vary", f"has a setting twice: {', '.join(paths)}; give its values in one --vary", "PLAN")
    for path in (*paths, *(path for arm in plan.listed for path in arm.changes)):
        if path == "seed":
            raise UsageError("--vary seed", "every arm has all seeds; say which with --seeds", "PLAN")
        if path in plan.settings:
            raise UsageError(f"--set {path}", "is varied too; leave out one of both", "PLAN")
    if "seed" in plan.settings:
        raise UsageError("--set seed", "every arm has all seeds; say which with --seeds", "PLAN")
    if not plan.vary and not plan.listed and not plan.against:
        raise UsageError("compare", "nothing is varied; say what with --vary path=a,b", "PLAN")
    check_counts(plan)


def check_search(plan: Plan) -> None:
    """Raises UsageError for a search that is none."""
    if not plan.search:
        return
    if not 1 <= plan.search <= MOST_TRIALS:
        raise UsageError("--search", f"{plan.search:,} is no number of settings to try; use 1 to {MOST_TRIALS:,}", "PLAN")
    if not plan.vary:
        raise UsageError("--search", "of which settings is not said; add --vary generator.lr=1e-5..1e-3", "PLAN")
    if plan.grid or plan.against:
        which = "--grid" if plan.grid else "--against"
        raise UsageError("--search", f"takes the place of {which}; leave out one of both", "PLAN")
    if TRIED_AT in plan.seeds:
        raise UsageError("--seeds", f"{TRIED_AT} is the seed at which a search tries; use others", "PLAN")
    if any(factor.path == BUDGET for factor in plan.vary):
        raise UsageError("--search", "would find that more time is better; --budget gives each training the same", "PLAN")


def check_counts(plan: Plan) -> None:
    """Raises UsageError for too few or too many arms and seeds, and for arms with one name."""
    combinations = 1
    for factor in plan.vary if plan.grid else ():
        combinations *= len(factor.values)
    alone = 1 + sum(len(f.values) - 1 for f in plan.vary)
    if not plan.search and max(combinations, len(plan.listed), alone) > MOST_ARMS:
        raise UsageError("plan", f"makes more than {MOST_ARMS} arms; vary fewer things at once", "PLAN")
    if len(plan.listed) == 1 and not plan.against and not plan.search:
        raise UsageError("plan", f"has {len(plan.listed)} arm; a comparison needs two", "PLAN")
    names = [arm.name for arm in plan.arms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError("plan", f"has two arms called {twice[0]!r}", "PLAN")
    if len(set(plan.seeds)) < len(plan.seeds):
        raise UsageError("--seeds", f"{list(plan.seeds)} has a seed twice", "PLAN")
    if len(plan.seeds) < 2:
        raise UsageError("--seeds", "one seed shows no difference from chance; use 5, or 2 at the least", "PLAN")
    if plan.signals is not None and not 0 <= plan.signals <= 1:
        raise UsageError("signals", f"{plan.signals:g} is no share of the time; use 0 to 1", "PLAN")
    if plan.budget is not None and plan.budget <= 0:
        raise UsageError("--budget", "leaves no time to train", "PLAN")


# as TOML

KEYS = [
    "question",
    "recipe",
    "data",
    "size",
    "seeds",
    "grid",
    "budget",
    "use",
    "against",
    "search",
    "signals",
    "vary",
    "arms",
    "set",
    "score",
]


def to_toml(plan: Plan) -> str:
    """The plan as a file that `from_toml` reads."""
    content: dict[str, Any] = {"question": plan.question} if plan.question else {}
    content |= {"recipe": plan.recipe, "data": plan.data, "seeds": list(plan.seeds), "grid": plan.grid}
    if plan.size is not None:
        content["size"] = list(plan.size) if isinstance(plan.size, tuple) else plan.size
    if plan.budget is not None:
        content["budget"] = plan.budget
    if plan.use:
        content["use"] = list(plan.use)
    if plan.against:
        content["against"] = plan.against
    if plan.search:
        content["search"] = plan.search
    if plan.signals is not None:
        content["signals"] = plan.signals
    if plan.vary:
        content["vary"] = {f.path: str(f.span) if f.span else [encode(v) for v in f.values] for f in plan.vary}
    content["set"] = {path: encode(value) for path, value in plan.settings.items()}
    scoring = dataclasses.asdict(plan.scoring)
    content["score"] = {name: value for name, value in scoring.items() if value is not None}
    if plan.listed:
        content["arms"] = [{"name": arm.name, "set": {p: encode(v) for p, v in arm.changes.items()}} for arm in plan.listed]
    return tomli_w.dumps(content)


def from_toml(text: str, where: str = "plan") -> Plan:
    """The plan in a file. Raises RecipeError at the key that is wrong, with the line where it is no TOML at all."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(where, f"is no TOML: {error}", "PLAN") from None
    known(content, KEYS, where)
    if "data" not in content:
        raise RecipeError(where, 'says nothing of data; add data = "faces.zip"', "PLAN")
    score = taken(content, "score", dict, where)
    known(score, [f.name for f in dataclasses.fields(Scoring)], f"{where}.score")
    if isinstance(score.get("metrics"), list):
        score["metrics"] = tuple(map(str, score["metrics"]))
    size = content.get("size")
    return Plan(
        data=str(content["data"]),
        recipe=str(content.get("recipe", "auto")),
        vary=tuple(space.factor(p, values, f"{where}.vary.{p}") for p, values in taken(content, "vary", dict, where).items()),
        listed=tuple(listed_arm(arm, f"{where}.arms.{i}") for i, arm in enumerate(taken(content, "arms", list, where))),
        grid=bool(content.get("grid", False)),
        seeds=seeds_of(content.get("seeds", SEEDS), f"{where}.seeds"),
        settings=taken(content, "set", dict, where),
        budget=None if content.get("budget") is None else float(content["budget"]),
        size=tuple(size) if isinstance(size, list) else size,
        question=str(content.get("question", "")),
        scoring=Scoring(**score),
        use=tuple(map(str, taken(content, "use", list, where))),
        against=str(content.get("against", "")),
        search=whole(content.get("search", 0), f"{where}.search"),
        signals=None if content.get("signals") is None else float(content["signals"]),
    )


def whole(value: Any, where: str) -> int:
    """Raises RecipeError for anything but a whole number."""
    if type(value) is not int:
        raise RecipeError(where, f"{shown(value)} is no whole number", "PLAN")
    return value


def known(content: Mapping[str, Any], keys: list[str], where: str) -> None:
    """Raises RecipeError for the first key that means nothing."""
    for key in content:
        if key not in keys:
            raise RecipeError(f"{where}.{key}", f"means nothing in a plan{nearest(key, keys)}", "PLAN")


def taken(content: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    """A table or a list of the file, empty if it is not there. Raises RecipeError for anything else."""
    value = content.get(key, kind())
    if not isinstance(value, kind):
        raise RecipeError(f"{where}.{key}", f"{shown(value)} is no {'table' if kind is dict else 'list'}", "PLAN")
    return value


def listed_arm(content: Any, where: str) -> Arm:
    """An entry of [[arms]]."""
    if not isinstance(content, dict) or not isinstance(content.get("set", {}), dict):
        raise RecipeError(where, f'{shown(content)} is no arm; write name = "…" and set = {{…}}', "PLAN")
    known(content, ["name", "set"], where)
    changes = content.get("set", {})
    return Arm(str(content.get("name") or name_of(changes, {}, short_names(list(changes)), True) or "baseline"), changes)


def seeds_of(value: Any, where: str = "--seeds") -> tuple[int, ...]:
    """5 -> 0 to 4; a list as it is. Raises RecipeError for anything else."""
    if type(value) is int and 1 <= value <= 1000:
        return tuple(range(value))
    if isinstance(value, list | tuple) and value and all(type(seed) is int and seed >= 0 for seed in value):
        return tuple(value)
    raise RecipeError(where, f"{shown(value)} is no number of seeds and no list of them; write 5 or [0, 1, 7]", "PLAN")
