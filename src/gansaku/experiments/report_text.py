"""A comparison's report as Markdown, and its scores as a table. Text in, text out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from gansaku.experiments.report_caveats import caveats
from gansaku.experiments.report_reading import Side, Told
from gansaku.experiments.report_scores import counted
from gansaku.experiments.report_search import Trial, lead
from gansaku.experiments.report_sentences import (
    BETTER,
    UNTOLD,
    answer,
    best,
    floor,
    interval,
    level,
    means,
    number,
    p_text,
    seeds,
    signed,
    stands,
    summary,
)
from gansaku.experiments.report_tables import environment, spent, told_changes, when
from gansaku.metrics.passport import protocol

COLUMNS = ("arm", "seed", "metric", "name", "value", "low", "high", "seen", "seconds", "broken")


def markdown(told: Told) -> str:
    """The same as the page, without pictures."""
    parts = [
        f"# {md(told.question)}",
        f"{told.recipe_word} {md(told.recipe)} on {md(told.data)}: {counted(told)}, "
        "the same seeds, data order and latents in all arms.",
        answers(told),
        *(metric_text(told, metric) for metric in told.metrics if any(means(side, metric)[2] for side in told.sides)),
        differs(told), tried(told), cost(told), broken(told), warned(told), repeat(told),
    ]  # fmt: skip
    return ("\n\n".join(part for part in parts if part) + "\n").encode(errors="replace").decode()


def md(text: object) -> str:
    """Any text as a line of Markdown that means nothing but itself."""
    flat = " ".join(str(text).encode(errors="replace").decode().split())
    return re.sub(r"([\\`*_\[\]{}#|!~$])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def strong(text: str) -> str:
    return f"**{md(text)}**"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fenced(text: str) -> str:
    """A block of code, whatever it holds."""
    fence = "`" * (1 + max([2, *map(len, re.findall(r"`+", text))]))
    return f"{fence}\n{text.rstrip()}\n{fence}"


def answers(told: Told) -> str:
    rows = told.first
    lines = [f"## The answer, by {md(rows[0].title)}" if rows else "## The answer", summary(told)]
    if told.called(told.sides[0].name) != told.sides[0].name:
        lines.append(f"The baseline is {strong(told.sides[0].name)}.")
    named = "\n".join(f"- {answer(row, lambda name: strong(told.called(name)), md)}" for row in rows)
    lines.append(named if rows else "No scores yet.")
    if rows:
        lines.append(f"{floor(rows)} {UNTOLD}".strip())
    return "\n\n".join(filter(None, lines))


def metric_text(told: Told, metric: str) -> str:
    """Arms and seeds, pairs, and how the scores were made."""
    like = next(score for side in told.sides for score in means(side, metric)[2])
    winner = best(told, metric)
    head = ["Arm", "Mean", "Deviation", *(f"seed {seed}" for seed in told.seeds), "Against the baseline"]
    rows = [
        [
            md(side.name), *(("–" if value is None else number(value)) for value in means(side, metric)[:2]),
            *(cell(side, seed, metric) for seed in told.seeds),
            "**best**" if side.name == winner else stands(told, side, metric),
        ]
        for side in told.sides
    ]  # fmt: skip
    pairs = [
        [
            f"{md(row.pair.b.name)} against {md(row.pair.a.name)}", signed(row.found.center) if row.found else "–",
            interval(row), level(row), p_text(row), seeds(len(row.values)), row.verdict,
        ]
        for row in told.rows_of(metric)
    ]  # fmt: skip
    made = f"{md(protocol(like))}. {' '.join(f'{md(w[:1].upper() + w[1:])}.' for w in like.warnings)}".strip()
    parts = [f"## {md(like.name)} ({BETTER[like.better]})", table(head, rows)]
    if pairs:
        parts.append(table(["Pair", "Mean difference", "Interval", "Level", "Exact p", "Seeds", "Verdict"], pairs))
    return "\n\n".join([*parts, made])


def cell(side: Side, seed: int, metric: str) -> str:
    result = side.results.get(seed)
    if result is None:
        return "–"
    score = result.score(metric)
    return "broke" if result.broken else "no score" if score is None else number(score.value)


def differs(told: Told) -> str:
    rows = [
        [md(side.name), md(path), md(before), md(after), "declared" if own else "comes along"]
        for side in told.sides[1:]
        for path, before, after, own in told_changes(side)
    ]
    same = ", ".join(f"{path} = {value}" for path, value in told.settings.items())
    parts = [
        "## What differs",
        f"The baseline is {strong(told.sides[0].name)}.",
        table(["Arm", "Setting", "Baseline", "Here", ""], rows) if rows else "",
        f"Set in all arms: {md(same)}." if same else "",
    ]
    return "\n\n".join(filter(None, parts))


def cost(told: Told) -> str:
    players = list(dict.fromkeys(player for side in told.sides for player in side.parameters))
    rows = [
        [md(side.name), *(f"{side.parameters[p]:,}" if p in side.parameters else "–" for p in players), *spent(side)]
        for side in told.sides
    ]
    head = ["Arm", *(f"Weights, {md(player)}" for player in players), "Samples seen", "Time each", "Samples/s", "Starts"]
    return f"## Size and cost\n\n{table(head, rows)}"


def tried(told: Told) -> str:
    """What a search tried before; nothing where there was none."""
    found = told.tried
    if found is None:
        return ""
    rows = [
        [str(number_), *map(md, trial.written), "–" if trial.value is None else number(trial.value), state(trial)]
        for number_, trial in found.ranked
    ]
    head = ["Trial", *(md(setting.name) for setting in found.settings), md(found.title), ""]
    as_is = "" if found.as_is is None else f" The recipe as it is: {number(found.as_is)}."
    return f"## What was tried before\n\n{md(lead(found) + as_is)}\n\n{table(head, rows)}"


def state(trial: Trial) -> str:
    return "**compared**" if trial.chosen else md(trial.broken)


def broken(told: Told) -> str:
    found = [[md(side.name), str(one.seed), when(one), md(one.broken)] for side in told.sides for one in side.broken]
    return f"## Runs that broke\n\n{table(['Arm', 'Seed', 'When', 'Why'], found)}" if found else ""


def warned(told: Told) -> str:
    lines = "\n".join(f"- {md(sentence)}" for sentence in caveats(told))
    return f"## Caveats\n\n{lines}" if lines else ""


def repeat(told: Told) -> str:
    facts = "\n".join(f"- {md(name)}: {md(value)}" for name, value in environment(told))
    how = f"{fenced(told.command)}\n\nplan.toml:\n\n{fenced(told.plan)}"
    if not told.command:
        how = "These runs were trained one by one: each one's own report says how to repeat it."
    return f"## How to repeat it\n\n{how}\n\n{facts}"


# as a table


def csv_text(told: Told) -> str:
    """COLUMNS: a line for each score, and one for each metric of a run that broke.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(lines(told))
    return buffer.getvalue()


def lines(told: Told) -> Iterator[list[object]]:
    for result in told.results:
        for metric in told.metrics:
            score = result.score(metric)
            if score is not None or result.broken:
                low, high = score.interval if score and score.interval else ("", "")
                yield [
                    harmless(result.arm), result.seed, harmless(metric), harmless(score.name) if score else "",
                    score.value if score else "", low, high, result.seen, result.seconds, harmless(result.broken),
                ]  # fmt: skip


def harmless(text: str) -> str:
    text = text.encode(errors="replace").decode()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
