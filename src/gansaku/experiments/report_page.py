"""A comparison's report as one HTML page that needs nothing from outside. Text in, text out.

It sees only what may be told (`report_reading.tell`), and all of that passes `e` on its way into the page.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from functools import cache
from importlib.resources import files as packaged

from gansaku.experiments.report_caveats import caveats, early
from gansaku.experiments.report_forest import badge, forest
from gansaku.experiments.report_reading import Side, Told
from gansaku.experiments.report_scores import bold, counted, curves, scores
from gansaku.experiments.report_search import section as search
from gansaku.experiments.report_sentences import UNTOLD, answer, floor, summary
from gansaku.experiments.report_sheets import Album, Picture, Stop
from gansaku.experiments.report_tables import broken, cost, differences, repeat
from gansaku.listener import duration
from gansaku.runs.report_words import e, moment


def page(told: Told, album: Album, now: float) -> str:
    """The whole report."""
    scripts = [asset("gansaku.runs", "report.js"), asset("gansaku.experiments", "report.js")]
    style = asset("gansaku.runs", "report.css") + asset("gansaku.experiments", "report.css")
    hashes = [b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'"
    parts = [header(told, now), answers(told), sheets(told, album), curves(told), scores(told), differences(told)]
    parts += [search(told.tried), cost(told), broken(told), warned(told), repeat(told)]
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; form-action \'none\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">\n'
        f"<title>{e(told.question)} · Gansaku</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer>Written by Gansaku {e(told.version)} on {moment(now)}. One file; it loads nothing.</footer>\n</main>\n"
        + "".join(f"<script>{script}</script>" for script in scripts)
        + "</body></html>\n"
    )
    return text.encode(errors="replace").decode()  # a name may be half a letter


@cache
def asset(package: str, name: str) -> str:
    return packaged(package).joinpath(name).read_text(encoding="utf-8")


def header(told: Told, now: float) -> str:
    """The question, what is compared, and how far it is."""
    done, whole = len(told.results), len(told.sides) * len(told.seeds)
    share, broke = 100 * done // max(1, whole), sum(len(side.broken) for side in told.sides)
    seconds = sum(result.seconds for result in told.results)
    tiles = [
        ("Trainings", f"{done:,}", f"of {whole:,}{', finished' if not told.left else ' are finished'}"),
        ("Arms × seeds", f"{len(told.sides)} × {len(told.seeds)}", "a grid" if told.grid else ""),
        each(told),
        ("Training time", duration(seconds) if seconds else "–", "all trainings together"),
        ("Broke", f"{broke:,}", "counted as the worst" if broke else ""),
    ]
    return "".join(
        [
            f'<header><div class="top"><p class="kicker">Comparison, written {moment(now)}</p>',
            '<button type="button" id="theme" hidden aria-label="Switch between light and dark">Light / dark</button></div>',
            f'<h1>{e(told.question)}</h1><p class="lead">{told.recipe_word} <b>{e(told.recipe)}</b> on <b>{e(told.data)}</b>',
            f"{f', {told.count:,} training samples' if told.count else ''}: {counted(told)}, the same seeds, data order and ",
            "latents in all arms.</p>",
            f'<div class="bar" role="img" aria-label="{share} % of the trainings"><i style="width:{share}%"></i></div>',
            '<dl class="tiles">',
            *(f"<div><dt>{e(a)}</dt><dd>{e(b)} <small>{e(c)}</small></dd></div>" for a, b, c in tiles),
            "</dl></header>",
        ]
    )


def each(told: Told) -> tuple[str, str, str]:
    """What every training has: samples, or time."""
    times = sorted({side.budget for side in told.sides if side.budget is not None})
    if times:
        return "Time each", " – ".join(duration(time) for time in dict.fromkeys((times[0], times[-1]))), "by the clock"
    lengths = sorted({side.length or max((r.seen for r in side.results.values()), default=0) for side in told.sides})
    text = f"{lengths[0]:,}" if len(lengths) == 1 else f"{lengths[0]:,} – {lengths[-1]:,}"
    passes = f"{lengths[-1] / told.count:,.1f} passes through the data" if told.count else ""
    return "Samples each", text, passes


def answers(told: Told) -> str:
    """One sentence for each pair by the first metric, the picture of them, and how to read it."""
    rows = told.first
    title = f'<section id="answer"><h2>The answer{f", by {e(rows[0].title)}" if rows else ""}</h2>'
    unfinished = f'<p class="caution">{e(summary(told))}</p>' if summary(told) else ""
    if not rows:
        why = "Every training so far broke." if told.results and all(r.broken for r in told.results) else "No scores yet."
        return f'{title}{unfinished or ""}<p class="lead">{why}</p></section>'
    said = "".join(f"<li>{badge(row.verdict)}<p>{answer(row, bold(told), e)}</p></li>" for row in rows)
    short, base = next(early(told), ""), ""
    if told.called(told.sides[0].name) != told.sides[0].name:
        base = f'<p class="lead">The baseline is <b>{e(told.sides[0].name)}</b>.</p>'
    return "".join(
        [
            f'{title}{base}{unfinished}<ul class="answers">{said}</ul>',
            f'<p class="caution">{e(short)} <a href="#caveats">All caveats</a></p>' if short else "",
            f'<figure class="card">{forest(told, rows)}<figcaption class="note">{e(legend_text(told))}</figcaption></figure>',
            "</section>",
        ]
    )


def legend_text(told: Told) -> str:
    """How to read the picture."""
    rows = told.first
    several = len(rows) > 1
    text = "Each dot is one seed's difference; the bar is the interval of their mean"
    text += ", wide enough that all of them hold together at 95 %. " if several else ", at 95 %. "
    text += "A bar that leaves out zero shows a difference. "
    if any(row.found is not None and row.found.way == "signed ranks" for row in rows):
        text += "Where a run broke (×), the bar is that of the pseudo-median, by ranks. "
    if floor(rows):
        text += f"Shaded is the noise floor: {floor(rows)[0].lower()}{floor(rows)[1:]} "
    return text + "p is that of the exact sign-flip test of the same differences. " + UNTOLD


# the sheets


def sheets(told: Told, album: Album) -> str:
    """All arms at one moment and one seed; a script changes both. Without it, and in print: the last moment, the first seed."""
    title = '<section id="sheets"><h2>Samples side by side</h2>'
    if not album.pictures:
        return f'{title}<p class="lead">No sheet has been drawn yet.</p></section>'
    lead = "All arms after the same number of samples seen, from the same latents: each place is one latent as it develops. "
    first = next(seed for seed in album.seeds if any((a, seed, s) in album.pictures for a, s in places(album, seed)))
    stop = next(s for s in reversed(album.stops) if any(key[1] == first for key in s.drawn))
    figures = "".join(arm_figure(told, album, side, first, stop) for side in told.sides)
    passes = f" · {stop.seen / told.count:,.1f} passes" if told.count else ""
    return (
        f'{title}<p class="lead">{lead}{e(album.left_out)}</p>{controls(album, first, stop)}'
        f'<div class="arms" style="--across:{album.across}">{figures}</div>'
        f'<p class="at" id="at"><b>{stop.seen:,}</b> samples seen{passes} · seed {first}</p>'
        f'<script type="application/json" id="pictures">{pictures_json(told, album)}</script></section>'
    )


def places(album: Album, seed: int) -> list[tuple[int, int]]:
    return [(arm, seen) for stop in album.stops for (arm, other), seen in stop.drawn.items() if other == seed]


def controls(album: Album, first: int, stop: Stop) -> str:
    """A slider over the moments, buttons, and a choice of the seed."""
    if len(album.stops) < 2 and len(album.seeds) < 2:
        return ""
    seeds = "".join(
        f'<option value="{i}"{" selected" * (seed == first)}>seed {seed}</option>' for i, seed in enumerate(album.seeds)
    )
    return (
        '<div class="controls" id="controls" hidden>'
        '<button type="button" id="previous" aria-label="Previous moment">←</button>'
        '<button type="button" id="next" aria-label="Next moment">→</button>'
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="moment" min="0" max="{len(album.stops) - 1}" step="1" value="{album.stops.index(stop)}" '
        f'aria-label="Samples seen"><select id="seed" aria-label="Seed">{seeds}</select></div>'
    )


def arm_figure(told: Told, album: Album, side: Side, seed: int, stop: Stop) -> str:
    """An arm's place: its picture, or why there is none."""
    seen = stop.drawn.get((side.number, seed))
    shown = album.pictures.get((side.number, seed, seen)) if seen is not None else None
    like = shown or next(iter(album.pictures.values()))
    own = f"{seen:,} here" if shown and seen != stop.seen else ""
    source = f'src="{shown.uri}"' if shown else "hidden"
    return (
        f'<figure class="arm"><figcaption><i class="dot s{side.colour}"></i><b>{e(side.name)}</b> '
        f"<small>{own}</small></figcaption>"
        f'<img alt="{e(side.name)}" width="{like.width}" height="{like.height}"{crisp(like)} {source}>'
        f'<p class="missing"{" hidden" if shown else ""}>{e(why_missing(side, seed))}</p></figure>'
    )


def crisp(picture: Picture) -> str:
    """A sheet of single pixels is shown at whole multiples of its size."""
    return f' class="crisp" style="--step:{picture.width}px"' if picture.crisp else ""


def why_missing(side: Side, seed: int) -> str:
    result = side.results.get(seed)
    if result is not None and result.broken:
        return f"broke: {result.broken}"
    if seed in side.given_up:
        return f"given up for now: {side.given_up[seed]}"
    return "no sheet at this moment" if result is not None else "not trained so far yet"


def pictures_json(told: Told, album: Album) -> str:
    """What the script shows: for each seed and stop a picture of every arm, null where there is none."""

    def found(side: Side, seed: int, stop: Stop) -> list[object] | None:
        seen = stop.drawn.get((side.number, seed))
        shown = album.pictures.get((side.number, seed, seen)) if seen is not None else None
        return None if shown is None else [shown.uri, f"{seen:,} here" if seen != stop.seen else ""]

    passes = [f" · {stop.seen / told.count:,.1f} passes" if told.count else "" for stop in album.stops]
    content = {
        "stops": [[f"{stop.seen:,}", text] for stop, text in zip(album.stops, passes, strict=True)],
        "seeds": list(album.seeds),
        "missing": [[why_missing(side, seed) for side in told.sides] for seed in album.seeds],
        "pictures": [
            [[found(side, seed, stop) for side in told.sides] for stop in album.stops] for seed in album.seeds
        ],
    }  # fmt: skip
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return text.replace(">", "\\u003e").replace("&", "\\u0026")


def warned(told: Told) -> str:
    """What the numbers may not be taken for."""
    said = "".join(f"<li>{e(sentence)}</li>" for sentence in caveats(told))
    return f'<section id="caveats"><h2>Caveats</h2><ul class="caveats">{said}</ul></section>' if said else ""
