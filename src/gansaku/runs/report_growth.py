"""The growth in a report: its phases behind every chart, a sheet of each from its end, and what the scores say of them."""

from __future__ import annotations

from collections.abc import Mapping

from gansaku.render.curves import Shade
from gansaku.runs.phase_verdicts import WORSE, Found, number, of_phases
from gansaku.runs.phases import Row, Span, at, named, rows
from gansaku.runs.report_reading import Reading
from gansaku.runs.report_sheets import Shot, picture
from gansaku.runs.report_words import e

POWERS = {1: "", 2: "²", 3: "³"}


def shades(reading: Reading) -> list[Shade]:
    """One stretch for each size, tinted while it fades in."""
    found = []
    for row in rows(reading.phases):
        spans = [span for span in row if span is not None]
        start, stop, size = spans[0].start, spans[-1].stop, named(row.first.size)
        tinted = start if row.fade is None else row.fade.stop
        found.append(Shade(start, tinted, stop, short(row.first.size), f"{size} fades in from {start:,} to {tinted:,}"))
    return found


def short(size: tuple[int, ...]) -> str:
    """8² and 8³; what is longer than high as it is."""
    return f"{size[0]}{POWERS[len(size)]}" if len(set(size)) == 1 and len(size) in POWERS else named(size)


def growth(reading: Reading, ended: Mapping[str, Shot]) -> str:
    """All phases in a table and the sheets from their ends; nothing where nothing grows."""
    if not reading.phases:
        return ""
    found = {one.span.size: one for one in of_phases(reading.phases, reading.scores)}
    here = at(reading.phases, reading.seen)
    lines = [line(row, found.get(row.first.size), here, reading.seen) for row in rows(reading.phases)]
    head = "".join(
        f'<th{" class=number" if right else ""}>{title}</th>'
        for title, right in (("Size", 0), ("Fades in", 1), ("Stable", 1), ("Batch", 1), ("Score at its size", 1),
                             ("At the size before", 1), ("", 0))
    )  # fmt: skip
    figures = [card(name, shot, found) for name, shot in ended.items()]
    lead = (
        "Scores at different sizes say nothing of each other, so the samples of a phase are also shrunk to the size before and "
        "compared with what that phase had at its end. <i>Worse</i> is what is surely so, and by more than "
        f"{100 / (1 - WORSE) - 100:.0f}&nbsp;%."
    )
    sheets = f'<div class="phases">{"".join(figures)}</div>' if figures else ""
    return (
        f'<section id="growth"><h2>Growth</h2><p class="lead">{lead}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{sheets}</section>"
    )


def line(row: Row, found: Found | None, here: Span, seen: int) -> str:
    """One size of the table."""
    spans = [span for span in row if span is not None]
    if spans[-1].stop <= seen:
        stands = verdict(found)
    elif here in spans:
        stands = f"{'fading in' if here.fading else 'stable'} now"
    else:
        stands = "to come"
    own = "–" if found is None or found.own is None else number(found.own)
    shrunk = "–"
    if found is not None and found.after is not None:
        before = "" if found.before is None else f"<br><small>it was {e(number(found.before))}</small>"
        shrunk = f"{e(number(found.after))}{before}"
    cells = [count(row.fade), count(row.stable), batch(row.first), e(own), shrunk]
    return (
        f"<tr><td><b>{e(named(row.first.size))}</b></td>"
        + "".join(f'<td class="number">{cell}</td>' for cell in cells)
        + f"<td>{stands}</td></tr>"
    )


def count(span: Span | None) -> str:
    return "–" if span is None else f"{span.samples:,}"


def batch(span: Span) -> str:
    """16, with the micro-batches below where there are some."""
    return f"{span.batch:,}" + (f"<br><small>{span.micro:,} at once</small>" if span.micro < span.batch else "")


def verdict(found: Found | None) -> str:
    """What is said of a phase that is over: better than 4 × 4."""
    judged = None if found is None else found.verdict
    if found is None or judged is None:
        return "over"
    than = "" if found.last is None else f" than {named(found.last.size)}"
    return f'<span class="verdict {judged.word.replace(" ", "-")}">{e(judged.word + than)}</span>'


def card(name: str, shot: Shot, found: Mapping[tuple[int, ...], Found]) -> str:
    """The sheet of one phase."""
    one = next((f for f in found.values() if named(f.span.size) == name), None)
    said = "" if one is None else f" after {one.span.stop:,} samples"
    score = "" if one is None or one.own is None else f"<br>{e(one.own.name)} {one.own.value:.4g}"
    judged = None if one is None else one.verdict
    sign = f"<br>{verdict(one)}" if judged is not None and judged.word == "worse" else ""
    alt = f"Samples of {name} at the end of its phase"
    return f'<figure class="phase">{picture(shot, alt)}<figcaption><b>{e(name)}</b>{e(said)}{score}{sign}</figcaption></figure>'
