"""What a person sees while a verb works: a progress bar on a terminal, one plain line per tick in a pipe."""

from __future__ import annotations

import json
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gansaku.errors import printable
from gansaku.files import amount
from gansaku.health.meaning import TITLES
from gansaku.listener import Listener, duration
from gansaku.metrics.passport import Score, protocol
from gansaku.render.overview_page import flags

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def tick_text(numbers: Mapping[str, float]) -> str:
    """D(x) and D(G(z)) where the method has them, as probabilities if they are; else the players' losses."""
    for kind in ("_probability", ""):
        real, fake = (numbers.get(f"discriminator/{which}{kind}") for which in ("real", "fake"))
        if real is not None and fake is not None:
            return f"D(x) {real:.2f}  D(G(z)) {fake:.2f}"
    losses = [f"{name.replace('/loss/', ' ')} {value:.3g}" for name, value in numbers.items() if "/loss/" in name]
    return "  ".join(losses[:4])


MANY = 256  # samples that take long enough to be counted


def as_comment(text: str) -> str:
    """Lines that a TOML reader skips, so that what is printed is a recipe file."""
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def print_json(content: Any) -> None:
    """One JSON document, with everything that a terminal would obey, or could not encode, as JSON's own escapes."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def table(content: dict[str, Any], indent: str = "") -> str:
    """Names and values in two columns; what is inside is indented."""
    lines, labels = [], {name: indent + labelled(str(name)) for name in content}
    width = max([24, *[len(labels[name]) for name, value in content.items() if isinstance(value, int | float | str)]])
    for name, value in content.items():
        label = labels[name]
        if isinstance(value, dict):
            lines += [label, table(value, indent + "  ")] if value else []
        elif isinstance(value, list) and value and isinstance(value[0], dict | str) and len(str(value)) > 70:
            items = [
                " ".join(filter(None, map(cell, item.values()))) if isinstance(item, dict) else str(item) for item in value
            ]
            lines += [label, *[f"{indent}  {printable(item)}" for item in items]]
        elif value not in (None, "", []):
            text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(plain(value))
            lines.append(f"{label:{width}} {text}")
    return "\n".join(lines)


def labelled(name: str) -> str:
    """A name as people read it; that of a logged number stays as it is, since that is what it is asked for by."""
    return printable(name if "/" in name else name.replace("_", " "))


def cell(value: Any) -> str:
    """A value in a row of a table; what is not so, or empty, is nothing."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    return "" if value in (False, None, "") else str(value)


def plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


MOST_CLASSES = 20
BAR = 30  # columns


def dataset_text(found: Mapping[str, Any]) -> str:
    """A dataset in a screenful: what it is, its classes with bars, what was left out and why, and advice."""
    counts, again, report = found["counts"], found.get("duplicates"), found["report"]
    total, shape = sum(counts.values()), " × ".join(map(str, found["shape"]))
    lines = [
        f"{'data':12} {printable(found['data'])}",
        f"{'source':12} {printable(found['source'])}",
        f"{'samples':12} {total:,} of {shape}: " + ", ".join(f"{n:,} {split}" for split, n in counts.items()),
        f"{'file':12} {printable(found['file'])}, {amount(found['bytes'])}",
        f"{'fingerprint':12} {found['fingerprint'][:16]}",
    ]
    if found["policy"]:
        lines.append(f"{'choices':12} {printable(flags(found['policy']))}")
    if again:
        more = "" if again["complete"] else " or more"
        twins = f"{again['near']:,}{more} with a twin ({again['near'] / total:.1%})"
        held = f", {again['across_splits']:,} of test with a twin in training" if "test" in counts else ""
        lines.append(f"{'duplicates':12} {again['exact']:,} exact, {twins}{held}")
    if report.get("ignored"):
        lines.append(f"{'other files':12} {report['ignored']:,}, which are no samples by their names")
    lines += [*class_bars(found["balance"]), *column_lines(found["columns"]), *report_lines(report)]
    if found["advice"]:
        lines += ["", *(f"! {printable(said)}" for said in found["advice"])]
    return "\n".join(lines)


def class_bars(balance: Mapping[str, int]) -> list[str]:
    """`cat  ██████▌  622`, a line for each of the first classes."""
    if not balance:
        return []
    names = [printable(name) for name in balance]
    shown = [name if len(name) <= 24 else f"{name[:23]}…" for name in names[:MOST_CLASSES]]
    numbers, longest = list(balance.values())[:MOST_CLASSES], max(1, *balance.values())
    wide, digits = max(map(len, shown)), len(f"{longest:,}")
    lines = ["", f"{'classes':12} {len(names):,}"]
    for name, number in zip(shown, numbers, strict=True):
        eighths = max(round(8 * BAR * number / longest), min(number, 1))
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        lines.append(f"  {name:{wide}}  {bar:{BAR}}  {number:{digits},}")
    return lines + ([f"  and {len(names) - MOST_CLASSES:,} more"] if len(names) > MOST_CLASSES else [])


def column_lines(columns: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    if not columns:
        return []
    lines = ["", f"{'columns':12} {len(columns):,}"]
    for name, extent in columns.items():
        least, mean, most = (extent[what] for what in ("least", "mean", "most"))
        said = "no finite value" if mean is None else f"{least:.4g} to {most:.4g}, mean {mean:.4g}"
        lines.append(f"  {printable(name)}: {said}")
    return lines


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """What was converted, warned of and left out: how often, and the first messages."""
    lines: list[str] = []
    for kind, name in (("converted", "converted"), ("warned", "warned of"), ("skipped", "left out")):
        of = report.get(kind) or {}
        if of:
            lines.append(f"{name:12} " + ", ".join(f"{number:,} {printable(what)}" for what, number in of.items()))
        if of and kind == "skipped":
            shown, many = report.get("examples", []), sum(of.values())
            lines += [f"  {printable(said)}" for said in shown]
            lines += [f"  and {many - len(shown):,} more"] * (many > len(shown) > 0)
    return ["", *lines] if lines else []


def scores_table(found: Sequence[Score]) -> str:
    """Scores in columns under what was scored; how they were made and what to beware of is said once for all of a kind."""
    width = max([16, *(len(score.name) for score in found)])
    better = {"lower": "↓", "higher": "↑", "neither": " "}
    lines: list[str] = []
    told = ""
    for score in found:
        if score.passport.generated != told:
            told = score.passport.generated
            lines += ["", printable(told)] if lines else [printable(told)]
        interval = f"  [{number(score.interval[0])}, {number(score.interval[1])}]" if score.interval else ""
        lines.append(f"  {printable(score.name):{width}} {better[score.better]} {number(score.value):>9}{interval}")
    notes: dict[str, list[str]] = {}
    for score in found:
        for note in (how_made(score), *score.warnings):
            notes.setdefault(printable(note), []).append(printable(score.name))
    every = {printable(score.name) for score in found}
    return "\n".join([*lines, "", *(note if {*names} == every else f"{named(names)}: {note}" for note, names in notes.items())])


BARS = "▁▂▃▄▅▆▇█"
TREND = 16  # columns


def signals_table(found: Mapping[str, Any]) -> str:
    """A run's signals in groups: now, the data's own, how it went, and what is healthy; below each its name and what it is."""
    signals, looks, share = found["signals"], found["looks"], found["share_of_time"]
    if not signals:
        return f"{printable(found['run'])} has logged no signal yet: the first come at the first tick"
    taken = f"; looks took {share:.2%} of the time" if share is not None else ""
    lines = [f"{printable(found['run'])}: {looks:,} look{'' if looks == 1 else 's'} beside the step's own numbers{taken}"]
    group = ""
    for one in signals:
        if one["group"] != group:
            group = one["group"]
            columns = f"{'now':>9} {'data':>9}  {'trend':{TREND}}  {'least':>9} {'most':>9}  healthy"
            lines += ["", f"{TITLES[group]:{LEFT}}{columns}"]
        now, data, least, most = (cell_number(one[name]) for name in ("now", "data", "least", "most"))
        values = f"{now:>9} {data:>9}  {sparkline([value for _, value in one['points']])}  {least:>9} {most:>9}"
        lines.append(f"{printable(one['title']):{LEFT - 1}.{LEFT - 1}} {values}  {printable(one['healthy'])}".rstrip())
        lines.append(f"  {printable(one['name'])}{': ' if one['means'] else ''}{printable(one['means'])}")
    return "\n".join(lines)


LEFT = 36  # columns of a title


def cell_number(value: float | None) -> str:
    """Three digits; nothing where there is no number."""
    return "" if value is None else "0" if abs(value) < 1e-9 else f"{value:.3g}"


def sparkline(values: Sequence[float | None], columns: int = TREND) -> str:
    """The means of so many stretches of the values as bars from the least to the largest; blank where there is none."""
    parts = [values[i * len(values) // columns : max(i + 1, (i + 1) * len(values) // columns)] for i in range(columns)]
    if len(values) < columns:
        parts = [[value] for value in values]
    there = [[value for value in part if value is not None] for part in parts]
    means = [sum(part) / len(part) if part else None for part in there]
    low, high = min((m for m in means if m is not None), default=0.0), max((m for m in means if m is not None), default=0.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return "".join(" " if mean is None else BARS[3] for mean in means).ljust(columns)
    last = len(BARS) - 1
    return "".join(" " if mean is None else BARS[round((mean - low) / (high - low) * last)] for mean in means).ljust(columns)


def named(names: Sequence[str]) -> str:
    """Each name once; the first few of many."""
    once = list(dict.fromkeys(names))
    return ", ".join(once[:4]) + (f" and {len(once) - 4} more" if len(once) > 4 else "")


def number(value: float) -> str:
    """Four digits; rounding is nothing."""
    return f"{value:.4g}" if abs(value) > 1e-9 else "0"


def how_made(score: Score) -> str:
    """The protocol, and where the interval comes from."""
    return protocol(score) + (f"; intervals {score.passport.interval}" if score.passport.interval else "")


def metrics_listing(found: Sequence[Mapping[str, str]]) -> str:
    """Metrics, a line each: the name for `--metrics`, what it takes, which way is better, and what it is."""
    better = {"lower": "↓", "higher": "↑", "neither": " "}
    return "\n".join(
        f"{one['name']:18} {better[one['better']]} {one['takes']:20} {one['title']}: {one['summary']}" for one in found
    )


def weights_listing(found: Sequence[Mapping[str, Any]]) -> str:
    """Extractors: what they take, and where their weights are or how they come."""
    lines = []
    for one in found:
        there = one["path"] or one["get"] if one["here"] else f"not here; {one['get']}"
        lines += [f"{one['name']:20} {', '.join(one['takes'])}; resize {', '.join(one['resizes'])}", f"{'':20} {there}"]
    return "\n".join(lines)


WIDE = 100  # columns


def listing(found: Sequence[Mapping[str, Any]]) -> str:
    """Recipes, one a paragraph: name, status and parameters; what it is; where it comes from and what was measured."""
    left = max(len(one["name"]) for one in found) + 2
    lines = [f"{'recipe':{left}}{'status':17}parameters", ""]
    for one in found:
        counts = ", ".join(f"{name} {short(count)}" for name, count in one["parameters"].items())
        shape = "×".join(map(str, one["shape"])) + (f", {one['classes']} classes" if one["classes"] else "")
        source = f"Source: {first_clause(one['source'])}. " if one["source"] else ""
        sentences = [one["summary"], f"{source}Counted at {shape}."]
        if one["sizes"]:
            sized = [f"{one['name']}-{size}" for size in one["sizes"]]
            sentences[1] += f" By size: {', '.join(sized)}."
        if one["measured"]:
            sentences.append(f"Measured: {one['measured'].rstrip('.')}.")
        lines.append(f"{printable(one['name']):{left}}{one['status']:17}{counts}")
        lines += [filled(said) for said in sentences]
        lines.append("")
    return "\n".join([*lines, "`gansaku recipes show NAME` tells more; `gansaku verify NAME` checks it in a short run."])


def filled(text: str) -> str:
    """Text in lines that are WIDE, indented, with what goes on indented further."""
    return textwrap.fill(
        printable(text), WIDE, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False, break_long_words=False
    )


def short(count: int) -> str:
    """3,894,275 as 3.89 M: three digits are enough to compare."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:#.3g}".rstrip(".") + name
    return str(count)


def first_clause(text: str) -> str:
    """A text up to its first colon, semicolon or full stop before another clause: `et al. 2017` and `arXiv:1704` hold none."""
    return re.split(r"[:;]\s|\.\s(?=[A-Z`])", text, maxsplit=1)[0].rstrip(".")


class Terminal(Listener):
    """Everything goes to standard error: standard output is for results."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said = 0.0
        self._scored = ("", 0, 0.0, 0)  # what is looked at, how many of it at first, since when, and how many now

    def say(self, sentence: str) -> None:
        print(printable(sentence), file=sys.stderr, flush=True)

    def preparing(self, done: int, total: int) -> None:
        self._count("prepared", done, total)

    def sampling(self, done: int, total: int) -> None:
        if total > MANY:
            self._count("made", done, total)

    def downloading(self, done: int, total: int) -> None:
        self._count("downloaded", done, total)

    def projecting(self, what: str, done: int, total: int) -> None:
        self._count(f"{what}: step", done, total)

    def scoring(self, what: str, done: int, total: int) -> None:
        """`generated 512 of 10,000 looked at, 5 min 3 s left`; what took no time is not worth a word."""
        now = time.monotonic()
        if self._scored[0] != what or done <= self._scored[3]:
            self._scored = (what, done, now, done)
        _, first, since, _ = self._scored
        self._scored = (what, first, since, done)
        if now - since > 2 and now - self._said > (0.5 if sys.stderr.isatty() else 10):
            self._said = now
            left = (total - done) * (now - since) / max(1, done - first)
            rest = f", {duration(left)} left" if done < total else ""
            end = "\r" if sys.stderr.isatty() and done < total else "\n"
            print(f"{what}: {done:,} of {total:,} looked at{rest}   ", end=end, file=sys.stderr, flush=True)

    def _count(self, what: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._said > 2:
            self._said = time.monotonic()
            end = "\r" if sys.stderr.isatty() and done < total else "\n"
            print(f"{what} {done:,} of {total:,}", end=end, file=sys.stderr, flush=True)

    def begin(self, seen: int, length: int) -> None:
        if sys.stderr.isatty():
            self._start_bar(seen, length)

    def tick(self, seen: int, length: int, numbers: Mapping[str, float]) -> None:
        speed = numbers.get("samples_per_second", 0.0)
        text = tick_text(numbers)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=seen, speed=f"{speed:,.0f} samples/s", text=text)
            return
        left = f"{duration((length - seen) / speed)} left" if speed else ""
        print(f"{seen:>12,} of {length:,}  {speed:8,.0f} samples/s  {text}  {left}".rstrip(), file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start_bar(self, seen: int, length: int) -> None:
        from rich import progress
        from rich.console import Console

        columns: list[Any] = [
            progress.TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            progress.BarColumn(bar_width=None),
            progress.TextColumn("{task.fields[speed]}  {task.fields[text]}"),
            progress.TimeRemainingColumn(compact=True),
        ]
        self._bar = progress.Progress(*columns, console=Console(stderr=True), expand=True)
        self._task = self._bar.add_task("", total=length, completed=seen, speed="", text="")
        self._bar.start()
