"""The command `compare`, one call into the api."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from gansaku.cli_values import Flag, Json, Positional, Text, Texts, Use, listed, seconds, setting, size
from gansaku.errors import RunError, UsageError, printable
from gansaku.terminal import Terminal, print_json

BRACKETS = {"[": "]", "{": "}", "(": ")"}


def compare(
    what: Annotated[tuple[str, ...], Positional, Flag(metavar="RECIPE|PLAN.toml|RUN…", help_behavior_hint="")] = (),
    /,
    *,
    data: Annotated[Text, Flag(metavar="SOURCE")] = None,
    vary: Annotated[Texts, Flag(metavar="PATH=A,B", help_behavior_hint="")] = (),
    grid: Annotated[bool, Flag(help_behavior_hint="")] = False,
    search: Annotated[int, Flag(metavar="N", help_behavior_hint="")] = 0,
    seeds: Annotated[Text, Flag(metavar="N|0,1,7")] = None,
    set_: Annotated[Texts, Flag(name="set", metavar="PATH=VALUE", help_behavior_hint="")] = (),
    out: Annotated[Text, Flag(metavar="FOLDER")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    budget: Annotated[Text, Flag(metavar="TIME")] = None,
    question: Annotated[Text, Flag(metavar="TEXT")] = None,
    metrics: Annotated[Text, Flag(metavar="fid,…")] = None,
    n: Annotated[int | None, Flag(aliases=["-n"], metavar="N", help_behavior_hint="")] = None,
    real: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    extractor: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    against: Annotated[Text, Flag(metavar="BASELINE.json")] = None,
    lock: Annotated[Text, Flag(metavar="BASELINE.json")] = None,
    arm: Annotated[Text, Flag(metavar="NAME")] = None,
    jobs: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    threads: Annotated[int, Flag(metavar="N")] = 1,
    on: Annotated[str, Flag(metavar="local|ray")] = "local",
    until: Annotated[Text, Flag(metavar="TIME")] = None,
    device: str = "auto",
    use: Use = (),
    dry_run: Annotated[bool, Flag(help_behavior_hint="")] = False,
    as_json: Json = False,
) -> None:
    """Compare changes fairly: each arm at the same seeds, paired, with intervals and the pictures side by side.

    The same command goes on where it was stopped; with more --seeds it adds them. A report lies in the folder.

    Args:
        what: A recipe as `gansaku train` takes it; or a plan file (.toml with [vary] or [[arms]]); or runs that are there.
        data: What to train on, as `gansaku train --data` takes it; the bundled avatars if not given.
        vary: A setting and its values, the baseline's first: generator.network.grow=transpose,resize; also recipe=dcgan,wgan-gp
            and budget=10m,40m, and from=none,runs/faces: the run to begin with. Of runs that are there, the setting alone.
        grid: Every combination of what is varied; else one thing at a time against the baseline.
        search: Try so many settings, of ranges too as generator.lr=1e-5..1e-3, each at one seed; then compare the best with the
            recipe as it is, at --seeds (pip install gansaku[search]).
        seeds: How many, or which; 5 if not given. Beside a plan file, in the place of its own.
        set_: Settings of all arms, as --set length=200000 generator.network.width=16.
        out: The comparison's folder; by default comparisons/<recipe>-<data>-<hash of the plan>.
        size_: Resize pictures to squares of this side, or to WIDTHxHEIGHT.
        budget: Give each training this time instead of the same number of samples: 10m.
        question: What is asked, in words, for the report.
        metrics: What to score at the end, by name: `gansaku scores --names`; the first one answers the question. By default
            fid,diversity.
        n: Samples of each side; 2000 if not given.
        real: Another number of real samples.
        extractor: What looks at the samples, as in `gansaku evaluate`.
        against: Hold the arms against a locked baseline, which takes the place of one that is trained.
        lock: Lock an arm of the comparison in --out as a baseline in this file, and stop.
        arm: The arm to lock; the first if not named.
        jobs: Trainings at a time; by default one for each core, or one on a GPU, as far as there is memory.
        threads: Of each training.
        on: This machine, or a Ray cluster (pip install gansaku[ray]) that sees the same folders; RAY_ADDRESS names it.
        until: Stop after this time; the same command goes on.
        device: auto, cpu, cuda or mps.
        use: A Python file of your own with parts or recipes.
        dry_run: Say what the arms are and how they differ, and stop.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_compare
    from gansaku.experiments import plan as plans

    scoring = plans.Scoring(listed("fid,diversity" if metrics is None else metrics), 2000 if n is None else n, extractor, real)
    if lock:
        if out is None or what:
            raise UsageError("--lock", "locks an arm of the comparison in --out FOLDER", "USAGE")
        made = api_compare.lock(out, lock, arm)
        print(printable(f"{lock}: {made.name}, {len(made.results)} seeds"))
        return
    if what and all((Path(one) / "run.json").is_file() for one in what):
        told = [text.partition("=") for text in vary]
        if any(values for _, _, values in told) or set_ or data or grid or against or search or seeds or size_ or budget:
            raise UsageError("compare", "runs that are there are as they are; --vary PATH says what may differ", "USAGE")
        if out is None:
            raise UsageError("--out", "name a folder for the report", "USAGE")
        found = api_compare.compare_runs(
            what,
            out,
            [path for path, _, _ in told],
            scoring,
            question=question or "",
            device=device,
            use=use,
            listener=Terminal(),
        )
    else:
        told_seeds = None if seeds is None else seeds_of(seeds)
        how: dict[str, Any] = {
            "jobs": jobs, "threads": threads, "device": device, "on": on, "dry_run": dry_run,
            "until": None if until is None else seconds(until, "--until"), "listener": Terminal(),
        }  # fmt: skip
        plan = recipe_or_plan(what)
        if isinstance(plan, plans.Plan) or (plan is None and out is not None and not vary and against is None):
            where = what[0] if what else str(Path(str(out)) / "plan.toml")
            api_compare.refuse(
                {"--data": data, "--vary": vary, "--grid": grid, "--search": search, "--set": set_, "--size": size_,
                 "--budget": budget, "--question": question, "--metrics": metrics, "-n": n, "--real": real,
                 "--extractor": extractor, "--against": against, "--use": use}, where,
            )  # fmt: skip
            found = api_compare.compare(plan, out=out, seeds=told_seeds, **how)
        else:
            found = api_compare.compare(
                plan, data, by_path(vary), out, grid=grid, seeds=told_seeds, settings=dict(map(setting, set_)),
                budget=None if budget is None else seconds(budget), size=size(size_), question=question or "",
                scoring=scoring, use=use, against=against, search=search, **how,
            )  # fmt: skip
    if as_json:
        print_json(found.plain())
    elif not dry_run:
        print(printed(found))
    if found.given_up:
        raise RunError(
            "compare",
            f"{len(found.given_up)} trainings ended without a result; their logs lie in {found.folder / 'logs'}",
            "GIVEN_UP",
        )


def recipe_or_plan(what: Sequence[str]) -> Any:
    """The recipe's name, or the plan in a file; None if nothing is named."""
    from gansaku.experiments import plan as plans

    if len(what) > 1:
        raise UsageError(what[1], "one recipe, one plan, or runs; what is compared with a recipe is said by --vary", "USAGE")
    if not what or not is_plan(what[0]):
        return what[0] if what else None
    return plans.from_toml(Path(what[0]).read_text("utf-8"), what[0])


def by_path(vary: Sequence[str]) -> dict[str, Any]:
    """The values of every setting that is varied. Raises UsageError for one that is named twice."""
    found = list(map(varied, vary))
    if len(dict(found)) < len(found):
        raise UsageError("--vary", "names a setting twice; give all of its values in one --vary", "PLAN")
    return dict(found)


def is_plan(name: str) -> bool:
    """Whether a TOML file is a plan and no recipe."""
    import tomllib

    if not name.lower().endswith(".toml") or not Path(name).is_file():
        return False
    try:
        content = tomllib.loads(Path(name).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return "vary" in content or "arms" in content


def varied(text: str) -> tuple[str, Any]:
    """`path=a,b` -> (path, (a, b)); `path=1e-5..1e-3` -> (path, Span(1e-5, 1e-3)).

    A comma inside brackets or quotes parts nothing.
    """
    from gansaku.experiments import space

    path, sign, values = text.partition("=")
    if not sign or not path:
        raise UsageError(f"--vary {text}", "is no PATH=A,B, as generator.network.grow=transpose,resize", "PLAN")
    if path == "budget":
        return path, tuple(seconds(value, "--vary budget") for value in parted(values))
    span = space.read(values)
    return path, span or tuple(setting(f"{path}={value}")[1] for value in parted(values))


def parted(text: str) -> list[str]:
    """The text between the commas that stand in no brackets and no quotes."""
    found, closing, quote = [""], list[str](), ""
    for c in text:
        if c == "," and not closing and not quote:
            found.append("")
            continue
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in BRACKETS:
            closing.append(BRACKETS[c])
        elif closing and c == closing[-1]:
            closing.pop()
        found[-1] += c
    return [value.strip() for value in found]


def seeds_of(text: str) -> tuple[int, ...]:
    """5 -> 0 to 4; 0,1,7 -> these."""
    from gansaku.experiments.plan import seeds_of as checked

    try:
        given = [int(word) for word in text.split(",")]
    except ValueError:
        raise UsageError("--seeds", f"{text!r} is no number of seeds and no list of them; write 5, or 0,1,7", "PLAN") from None
    return checked(given if "," in text else given[0])


def printed(found: Any) -> str:
    """The arms with their scores, then what the differences say."""
    from gansaku.experiments.analysis import sentence

    lines = []
    for metric in found.plan.scoring.metrics:
        rows = [row for row in found.comparisons if row.metric == metric]
        if rows:
            lines += [
                *map(printable, score_rows(found, metric, rows[0].title)),
                "",
                *[printable(sentence(r)) for r in rows],
                "",
            ]
    lines += [printable(f"{training}: given up, {why}") for training, why in found.given_up.items()]
    if found.left:
        lines.append(f"{found.left} trainings to go: the same command goes on")
    lines.append(f"report: {printable(str(found.folder / 'report.html'))}")
    return "\n".join(lines)


def score_rows(found: Any, metric: str, title: str) -> list[str]:
    """A line for each arm: mean ± deviation over its seeds, and each seed's score."""
    rows: list[Sequence[str]] = [["arm", title, *[f"seed {seed}" for seed in found.plan.seeds]]]
    for arm in found.arms:
        own = {result.seed: result for result in found.results if result.arm == arm.name}
        values = {seed: one.score(metric) for seed, one in own.items() if not one.broken}
        known = [score.value for score in values.values() if score is not None]
        cells = ["broken" if own.get(s) and own[s].broken else shown(values.get(s)) for s in found.plan.seeds]
        rows.append([arm.name, spread(known), *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def shown(score: Any) -> str:
    return "–" if score is None else f"{score.value:.4g}"


def spread(values: Sequence[float]) -> str:
    """12.3 ± 0.4: mean and deviation."""
    if not values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.4g}"
    return f"{mean:.4g} ± {(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5:.2g}"
