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
    what: Annotated[tuple[str, ...], Positional, Flag(metavar="RECIPE|PLAN.toml", help_behavior_hint="")] = (),
    /,
    *,
    data: Annotated[Text, Flag(metavar="SOURCE")] = None,
    vary: Annotated[Texts, Flag(metavar="PATH=A,B", help_behavior_hint="")] = (),
    grid: Annotated[bool, Flag(help_behavior_hint="")] = False,
    seeds: Annotated[str, Flag(metavar="N|0,1,7")] = "5",
    set_: Annotated[Texts, Flag(name="set", metavar="PATH=VALUE", help_behavior_hint="")] = (),
    out: Annotated[Text, Flag(metavar="FOLDER")] = None,
    size_: Annotated[Text, Flag(name="size", metavar="SIDE|WxH")] = None,
    budget: Annotated[Text, Flag(metavar="TIME")] = None,
    question: Annotated[Text, Flag(metavar="TEXT")] = None,
    metrics: Annotated[str, Flag(metavar="fid,…")] = "fid,diversity",
    n: Annotated[int, Flag(aliases=["-n"], metavar="N")] = 2000,
    real: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    extractor: Annotated[Text, Flag(metavar="NAME|FILE")] = None,
    jobs: Annotated[int | None, Flag(metavar="N", help_behavior_hint="")] = None,
    threads: Annotated[int, Flag(metavar="N")] = 1,
    until: Annotated[Text, Flag(metavar="TIME")] = None,
    device: str = "auto",
    use: Use = (),
    dry_run: Annotated[bool, Flag(help_behavior_hint="")] = False,
    as_json: Json = False,
) -> None:
    """Compare changes fairly: each arm at the same seeds, paired, with intervals and the pictures side by side.

    The same command goes on where it was stopped; with more --seeds it adds them. A report lies in the folder.

    Args:
        what: A recipe as `gansaku train` takes it, or a plan file (.toml with [vary] or [[arms]]).
        data: What to train on, as `gansaku train --data` takes it; the bundled avatars if not given.
        vary: A setting and its values, the baseline's first: generator.network.grow=transpose,resize, or recipe=dcgan,wgan-gp.
        grid: Every combination of what is varied; else one thing at a time against the baseline.
        seeds: How many, or which.
        set_: Settings of all arms, as --set length=200000 generator.network.width=16.
        out: The comparison's folder; by default comparisons/<recipe>-<data>-<hash of the plan>.
        size_: Resize pictures to squares of this side, or to WIDTHxHEIGHT.
        budget: Give each training this time instead of the same number of samples: 10m.
        question: What is asked, in words, for the report.
        metrics: What to score at the end, by name: `gansaku scores --names`; the first one answers the question.
        n: Samples of each side.
        real: Another number of real samples.
        extractor: What looks at the samples, as in `gansaku evaluate`.
        jobs: Trainings at a time; by default one for each core, or one on a GPU, as far as there is memory.
        threads: Of each training.
        until: Stop after this time; the same command goes on.
        device: auto, cpu, cuda or mps.
        use: A Python file of your own with parts or recipes.
        dry_run: Say what the arms are and how they differ, and stop.
        as_json: One JSON document on standard output.
    """
    from gansaku import api_compare
    from gansaku.experiments import plan as plans

    if len(what) > 1:
        raise UsageError(what[1], "one recipe, or one plan; what is compared with it is said by --vary", "USAGE")
    plan: plans.Plan | None
    if what and is_plan(what[0]):
        if vary or set_ or data or grid:
            raise UsageError(what[0], "is a plan: what is varied, set and trained on stands in it", "USAGE")
        plan = plans.from_toml(Path(what[0]).read_text("utf-8"), what[0])
    elif not what and not vary and out is not None:
        plan = None  # go on with what is there
    else:
        plan = plans.Plan(
            data=data or "avatars",
            recipe=what[0] if what else "auto",
            vary=tuple(plans.Factor(*varied(text)) for text in vary),
            grid=grid,
            seeds=seeds_of(seeds),
            settings=dict(map(setting, set_)),
            budget=None if budget is None else seconds(budget),
            size=size(size_),
            question=question or "",
            scoring=plans.Scoring(listed(metrics), n, extractor, real),
            use=tuple(use),
        )
    found = api_compare.compare(
        plan, out, jobs=jobs, threads=threads, device=device, dry_run=dry_run,
        until=None if until is None else seconds(until), listener=Terminal(),
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


def varied(text: str) -> tuple[str, tuple[Any, ...]]:
    """`path=a,b` -> (path, (a, b)); a comma inside brackets or quotes parts nothing."""
    path, sign, values = text.partition("=")
    if not sign or not path:
        raise UsageError(f"--vary {text}", "is no PATH=A,B, as generator.network.grow=transpose,resize", "PLAN")
    return path, tuple(setting(f"{path}={value}")[1] for value in parted(values))


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
    for arm in found.plan.arms:
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
