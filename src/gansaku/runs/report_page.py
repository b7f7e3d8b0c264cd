"""A run's report as one HTML page that needs nothing from outside. Text in, text out.

Whatever comes from the run passes `e` on its way into the page: names, events and classes may be anybody's.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files as packaged

from gansaku.listener import duration
from gansaku.render.curves import Mark, Shade, chart, legend
from gansaku.runs.alarms import standing
from gansaku.runs.log import Event
from gansaku.runs.report_charts import Chart, main_charts, more_charts
from gansaku.runs.report_growth import growth, shades
from gansaku.runs.report_reading import Reading
from gansaku.runs.report_scores import score_charts, scores_table
from gansaku.runs.report_sheets import Shot, evenly, picture
from gansaku.runs.report_signals import signal_groups
from gansaku.runs.report_tables import checkpoints, classes, environment, events, recipe, repeat
from gansaku.runs.report_words import UNREAD, e, moment

STRIP = 6  # small sheets in print
QUIET = ("save", "phase")  # kinds of events that charts do not mark: there are many, or something else shows them


def page(reading: Reading, shots: Sequence[Shot], now: float, ended: Mapping[str, Shot] | None = None) -> str:
    """The whole report. `ended` are the sheets of a growth's phases by size."""
    script, style = asset("report.js"), asset("report.css")
    allowed = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; base-uri 'none'"
    parts = [
        header(reading, now),
        sheets(reading, shots),
        growth(reading, ended or {}),
        classes(reading),
        scores_table(reading.scores),
        charts(reading),
        signals(reading),
        events(reading),
        checkpoints(reading),
    ]
    parts += [recipe(reading), environment(reading), repeat(reading)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; form-action \'none\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">\n'
        f"<title>{e(reading.name)} · Gansaku</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer>Written by Gansaku {e(reading.about.get('gansaku', ''))} on {moment(now)}. One file; it loads nothing."
        f"</footer>\n</main>\n<script>{script}</script></body></html>\n"
    )


@cache
def asset(name: str) -> str:
    return packaged("gansaku.runs").joinpath(name).read_text(encoding="utf-8")


def header(reading: Reading, now: float) -> str:
    """What it is, how far it is, and what it said last."""
    seen, length, count = reading.seen, reading.length, reading.count
    done = min(100, 100 * seen // length) if length else 0
    speeds = reading.curves.get("samples_per_second", [])
    tiles = [("Samples seen", f"{seen:,}", f"of {length:,}, {done} %" if length else "")]
    if count:
        tiles.append(("Passes", f"{seen / count:,.1f}", f"of {length / count:,.1f}" if length else ""))
    tiles.append(("Training time", duration(reading.seconds) if reading.seconds else "–", left(reading)))
    if speeds:
        mean = f"samples/s, {seen / reading.seconds:,.0f} overall" if reading.seconds else "samples/s"
        tiles.append(("Throughput", f"{speeds[-1][1]:,.0f}", mean))
    tiles.append(("Starts", f"{len(reading.starts):,}", ""))
    return "".join(
        [
            '<header><div class="top"><p class="kicker">',
            f"Training report, written {moment(now)}</p>",
            '<button type="button" id="theme" hidden aria-label="Switch between light and dark">Light / dark</button></div>',
            f"<h1>{e(reading.name)}</h1><p class='lead'>{about_sentence(reading)}</p>",
            f'<div class="bar" role="img" aria-label="{done} % of the run"><i style="width:{done}%"></i></div>',
            '<dl class="tiles">',
            *(f"<div><dt>{e(a)}</dt><dd>{e(b)} <small>{e(c)}</small></dd></div>" for a, b, c in tiles),
            "</dl>",
            *(f'<p class="notice">{e(problem)}.</p>' for problem in reading.problems),
            notice(reading.events),
            "</header>",
        ]
    )


def about_sentence(reading: Reading) -> str:
    """Recipe auto on avatars: 9,000 samples of 3 × 32 × 32 in 2 classes (cat, dog)."""
    data, shape, classes = reading.data, reading.data.get("shape"), reading.data.get("classes")
    sentence = f"Recipe <b>{e(reading.about.get('recipe', 'unknown'))}</b> on <b>{e(data.get('name', 'unknown data'))}</b>"
    if reading.count:
        sentence += f": {reading.count:,} samples"
    if isinstance(shape, list) and shape:
        sentence += f" of {' × '.join(map(e, shape))}"
    if isinstance(classes, list) and classes:
        named = ", ".join(map(e, classes[:6])) + (", …" if len(classes) > 6 else "")
        sentence += f", {len(classes):,} {'class' if len(classes) == 1 else 'classes'} ({named})"
    return sentence + "."


def left(reading: Reading) -> str:
    """How long the rest takes at the pace so far."""
    if not reading.seconds or not reading.length:
        return ""
    rest = (reading.length - reading.seen) * reading.seconds / max(1, reading.seen)
    return f"{duration(rest)} left" if rest > 0 else "complete"


def notice(happened: Sequence[Event]) -> str:
    """The alarms that are not over, and another alarm or a stop that nothing was done about since."""
    found, last = standing(happened), next((event for event in reversed(happened) if event.kind != "save"), None)
    if last is not None and last.kind in ("alarm", "stopped") and last not in found:
        found.append(last)
    return "".join(f'<p class="notice"><b>{e(one.kind)}</b> at {one.seen:,} samples: {e(one.sentence)}</p>' for one in found)


def sheets(reading: Reading, shots: Sequence[Shot]) -> str:
    """All sheets in one place, the last one on top; a script turns the pages, and print shows the last and a strip."""
    if not shots:
        why = "The sheets could not be read." if reading.sheets else "No sheet has been drawn yet."
        return f'<section id="sheets"><h2>Samples</h2><p class="lead">{why}</p></section>'
    strip = set(map(id, evenly(shots[:-1], STRIP)))
    figures = []
    for i, shot in enumerate(shots):
        last = i == len(shots) - 1
        names = ["shot", *["now", "last"] * last, *["strip"] * (id(shot) in strip)]
        passes = f" · {shot.seen / reading.count:,.1f} passes" if reading.count else ""
        figures.append(
            f'<figure class="{" ".join(names)}">{picture(shot, f"Samples after {shot.seen:,} samples seen")}'
            f"<figcaption><b>{shot.seen:,}</b> samples seen{passes}</figcaption></figure>"
        )
    some = f" {len(shots)} of {len(reading.sheets)} sheets are shown." if len(shots) < len(reading.sheets) else ""
    return (
        '<section id="sheets"><h2>Samples</h2><p class="lead">The same latents at every moment: each place is one '
        f'sample as it develops.{some}</p>{controls(len(shots))}<div class="reel">{"".join(figures)}</div></section>'
    )


def controls(stops: int) -> str:
    """A slider with so many stops and three buttons; one sheet needs none."""
    if stops < 2:
        return ""
    return (
        '<div class="controls" id="controls" hidden>'
        '<button type="button" id="previous" aria-label="Previous sheet">←</button>'
        '<button type="button" id="next" aria-label="Next sheet">→</button>'
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="slider" min="0" max="{stops - 1}" step="1" value="{stops - 1}" aria-label="Sheet">'
        "</div>"
    )


def charts(reading: Reading) -> str:
    """The main charts, then one small one for every other number."""
    title = '<section id="charts"><h2>Numbers</h2>'
    main, more = score_charts(reading.scores) + main_charts(reading.curves), more_charts(reading.curves)
    if not main and not more:
        why = UNREAD if reading.unread else "No numbers yet: the first come at the first tick."
        return f'{title}<p class="lead">{why}</p></section>'
    marks = [Mark(event.seen, event.kind, event.sentence) for event in reading.events if event.kind not in QUIET]
    behind = shades(reading)
    figures = "".join(figure(one, reading.seen, marks, shades=behind) for one in main)
    lead = "Over samples seen. A point is the mean since the point before it."
    if any(mark.seen > 0 for mark in marks):
        lead += " A dashed line is a start, a red one trouble, a grey one another event (see Events)."
    if behind:
        lead += " A tinted stretch is a transition, named by the size that fades in."
    text = f'{title}<p class="lead">{lead}</p><div class="charts">{figures}</div>'
    if more:
        small = "".join(figure(one, reading.seen, marks, ticks=2, shades=behind) for one in more)
        text += f'<h3 class="more">More</h3><div class="charts small">{small}</div>'
    return text + "</section>"


def signals(reading: Reading) -> str:
    """The signals in their groups, a small chart each; nothing where none was looked at."""
    groups = signal_groups(reading.curves, reading.meanings)
    if not groups:
        return ""
    marks = [Mark(event.seen, event.kind, event.sentence) for event in reading.events if event.kind not in QUIET]
    behind = shades(reading)
    shown = "".join(
        f'<h3 class="more">{e(title)}</h3><div class="charts small">'
        f"{''.join(figure(one, reading.seen, marks, ticks=3, shades=behind) for one in found)}</div>"
        for title, found in groups
    )
    lead = "Cheap looks beside the training, which does not notice: leads, no verdicts. Grey is what the data themselves have."
    return f'<section id="signals"><h2>Signals</h2><p class="lead">{lead}</p>{shown}</section>'


def figure(one: Chart, end: int, marks: Sequence[Mark], ticks: int = 5, shades: Sequence[Shade] = ()) -> str:
    unit = ' <span class="unit">log scale</span>' if one.log else ""
    title = e(one.title).replace("/", "/<wbr>")
    note = f'<p class="note">{e(one.note)}</p>' if one.note else ""
    svg = chart(one.title, one.series, end, log=one.log, bounds=one.bounds, marks=marks, ticks=ticks, shades=shades)
    return (
        f'<figure class="chart"><figcaption><h3>{title}{unit}</h3><output></output></figcaption>'
        f"{legend(one.series)}{svg}{note}</figure>"
    )
