"""What a dataset is as one HTML page that needs nothing from outside. Arrays and numbers in, text out.

Whatever comes from the data passes `e` on its way into the page: names, classes and reasons may be anybody's.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files as packaged
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansaku.errors import printable
from gansaku.files import amount
from gansaku.render.overview_pictures import TILE, drawn, embedded, levels, often_seen, shown, through
from gansaku.render.sheet import Pixels
from gansaku.render.voxels import draw

BARS = 64  # of a histogram
ROWS = 200  # of a table, and bars of classes

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


class Twins(NamedTuple):
    """Two samples (2, C, *S) that look the same: names, how far apart in words, and whether only the second is held out."""

    samples: Pixels
    names: tuple[str, str]
    apart: str
    leak: bool


@dataclass(frozen=True)
class Exhibit:
    """What of a dataset is shown. Samples uint8 (n, C, *S), 0..255, voxels 0/1; means and spreads in levels, or shares."""

    samples: Pixels
    labels: Whole
    names: Sequence[str]
    balance: Whole  # (classes, 2): training and test samples
    mean: Floats  # (C, *S)
    spread: Floats  # (C, *S)
    class_means: Floats  # (classes, C, *S), or none
    levels: Whole  # (256,): how many values are at each level
    occupancy: Floats  # (N,) of voxels, or none
    twins: Sequence[Twins]
    skipped: Sequence[Sequence[str]]  # [name, why, code]


def page(found: Mapping[str, Any], exhibit: Exhibit) -> str:
    """The whole page. `found` is what `gansaku show` says of the data."""
    style = packed_style()
    allowed = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    parts = [
        header(found),
        contact(found, exhibit),
        balance(found["classes"], exhibit.balance),
        average(found, exhibit),
        histogram(exhibit),
        twins(found, exhibit.twins),
        left_out(found["report"], exhibit.skipped),
        changed(found["report"]),
        provenance(found),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">\n'
        f"<title>{e(found['data'])} · Gansaku</title>\n<style>{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n<footer>Written by Gansaku. One file; it loads nothing.</footer>\n</main></body></html>\n"
    )


def e(value: object) -> str:
    """Text that is safe between tags and inside quoted attributes; what cannot be printed is written as an escape."""
    return escape(printable(str(value)), quote=True)


def count(number: int, what: str) -> str:
    """1 sample, 2,000 samples."""
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"


def header(found: Mapping[str, Any]) -> str:
    """What it is, the numbers, and what to do about it."""
    counts, shape, again = found["counts"], found["shape"], found.get("duplicates")
    total, test = sum(counts.values()), counts.get("test", 0)
    kind = "grids of voxels" if len(shape) == 4 else "pictures in colour" if shape[0] == 3 else "grey pictures"
    numbers = [
        ("Samples", f"{total:,}", f"{counts['train']:,} train, {test:,} test"),
        ("Size", " × ".join(map(str, shape[1:])), kind),
        ("Classes", f"{len(found['classes']):,}" if found["classes"] else "none", ""),
        ("Left out", f"{sum(found['report'].get('skipped', {}).values()):,}", "files or samples"),
        ("On disk", amount(found["bytes"]), ""),
    ]
    if again:
        share = f"{again['near'] / total:.1%} of all" if again["near"] else ""
        numbers[3:3] = [
            ("Repeated", f"{again['exact']:,}", "exactly"),
            ("With a twin", f"{again['near']:,}", share if again["complete"] else f"{share}, or more".lstrip(", ")),
        ]
    leaked = bool(again and again["across_splits"])
    advice = [f"<li{' class=leak' * (leaked and not i)}>{e(capital(said))}.</li>" for i, said in enumerate(found["advice"])]
    return "".join(
        [
            '<header><p class="kicker">Dataset</p>',
            f"<h1>{e(found['data'])}</h1><p class='lead'>from {e(found['source'])}</p>",
            '<dl class="numbers">',
            *(f"<div><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>" for name, value, note in numbers),
            f'</dl>{f"""<ul class="advice">{"".join(advice)}</ul>""" if advice else ""}</header>',
        ]
    )


def capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def contact(found: Mapping[str, Any], exhibit: Exhibit) -> str:
    """The samples, by class where there are classes."""
    classes, total = found["classes"], sum(found["counts"].values())
    elements = images(exhibit.samples, exhibit.names)
    title, some = '<section id="samples"><h2>Samples</h2>', f"{len(elements):,} of {total:,}, evenly from"
    if not classes:
        lead = "All of them." if total <= len(elements) else f"{some} all."
        return f'{title}<p class="lead">{lead}</p><div class="tiles">{"".join(elements)}</div></section>'
    there, figures = np.unique(exhibit.labels).tolist(), []
    alone = len(elements) == len(there)
    for label in there:
        caption = f"<figcaption>{e(classes[label])} <small>{exhibit.balance[label].sum():,}</small></figcaption>"
        row = "".join(one for one, of in zip(elements, exhibit.labels.tolist(), strict=True) if of == label)
        row = f'<div class="tiles">{row}</div>'
        figures.append(f"<figure>{row + caption if alone else caption + row}</figure>")
    lead = f"{some} each class." if len(there) == len(classes) else f"{some} {len(there)} of the {len(classes):,} classes."
    kind = "groups single" if alone else "groups"
    return f'{title}<p class="lead">{lead}</p><div class="{kind}">{"".join(figures)}</div></section>'


def balance(classes: Sequence[str], numbers: Whole) -> str:
    """A bar for each class; of very many the largest and the smallest."""
    if not classes:
        return ""
    totals = numbers.sum(1)
    order: Sequence[int] = range(len(classes))
    least, most = int(totals.min()), int(totals.max())
    lead = f"{count(len(classes), 'class')} of {f'{least:,} to {most:,}' if least < most else f'{most:,}'} samples."
    if len(classes) > ROWS:
        falling = np.argsort(-totals, kind="stable").tolist()
        order = falling[: ROWS // 2] + falling[-ROWS // 2 :]
        lead += f" The {ROWS // 2} largest and the {ROWS // 2} smallest."
    if numbers[:, 1].any():
        lead += f" {key('train')}training{key('test')}test"
    longest, rows = max(1, most), []
    for i in order:
        train, both = (f"{100 * number / longest:.4g}%" for number in (numbers[i, 0], totals[i]))
        bar = (
            '<svg aria-hidden="true"><rect class="ground" width="100%" height="100%"/>'
            f'<rect class="test" width="{both}" height="100%"/><rect class="train" width="{train}" height="100%"/></svg>'
        )
        rows.append(f'<div><span title="{e(classes[i])}">{e(classes[i])}</span>{bar}<b>{totals[i]:,}</b></div>')
    few = " few" if len(order) <= 12 else ""
    bars = f'<div class="balance{few}">{"".join(rows)}</div>'
    return f'<section id="classes"><h2>Classes</h2><p class="lead">{lead}</p>{bars}</section>'


def key(what: str) -> str:
    return f'<svg class="key" aria-hidden="true"><rect class="{what}" width="100%" height="100%"/></svg>'


def average(found: Mapping[str, Any], exhibit: Exhibit) -> str:
    """The mean and the spread of all samples, and the mean of each class."""
    if exhibit.mean.ndim == 4:
        lead = "How often each voxel is occupied, looked through from three sides: the darker, the more often."
        views = zip(("from the front", "from the side", "from above"), through(exhibit.mean[0]), strict=True)
        most = float(exhibit.mean.max())
        limit = 0.5 if most > 0.5 else most / 2
        often = draw(exhibit.mean[0], 2 * TILE, threshold=limit)
        whole = [(name, often_seen(view)) for name, view in views]
        whole.append((f"occupied in more than {limit:.0%}", often))
        each = [often_seen(through(mean[0])[0]) for mean in exhibit.class_means]
    else:
        lead = "What all have in common, and where they differ: the brighter, the more."
        most = max(1.0, float(exhibit.spread.max()))
        whole = [("mean", levels(exhibit.mean)), ("standard deviation", levels(exhibit.spread * (255 / most)))]
        each = [levels(mean) for mean in exhibit.class_means]
    figures = "".join(figure(picture, name, 2 * TILE) for name, picture in whole)
    text = f'<section id="mean"><h2>Mean sample</h2><p class="lead">{lead}</p><div class="groups single">{figures}</div>'
    if len(each) > 1:
        there = [(name, picture) for name, picture, n in zip(found["classes"], each, exhibit.balance.sum(1), strict=True) if n]
        text += f'<h3>By class</h3><div class="groups single">{"".join(figure(p, name, TILE) for name, p in there)}</div>'
    return text + "</section>"


def histogram(exhibit: Exhibit) -> str:
    """How bright the pixels are, or how full the voxels."""
    if len(exhibit.occupancy):
        share = exhibit.occupancy
        low, middle, high = (f"{value:.1%}" for value in np.quantile(share, (0.05, 0.5, 0.95)))
        top = max(float(share.max()), 1e-6)
        bars, _ = np.histogram(share, BARS, (0, top))
        lead = f"Samples by the share of their voxels that is occupied: {share.mean():.1%} on average, {middle} in the middle; "
        lead += f"nine of ten have {low} to {high}."
        title, ends = "Occupancy", ("0 %", f"{100 * top:.3g} %")
    else:
        bars = exhibit.levels.reshape(BARS, -1).sum(1)
        total = max(1, int(exhibit.levels.sum()))
        mean = (exhibit.levels * np.arange(256)).sum() / total
        black, white = exhibit.levels[0] / total, exhibit.levels[255] / total
        lead = f"Values of all pixels: {mean:.0f} of 255 on average; {black:.1%} are fully dark, {white:.1%} fully bright."
        title, ends = "Brightness", ("0", "255")
    highest = max(1, int(bars.max()))
    rects = [
        f'<rect class="train" x="{100 * i / BARS:.4g}%" width="{92 / BARS:.4g}%" '
        f'y="{100 - 100 * n / highest:.4g}%" height="{100 * n / highest:.4g}%"/>'
        for i, n in enumerate(bars.tolist())
        if n
    ]
    svg = f'<svg class="histogram" role="img" aria-label="{e(lead)}">{"".join(rects)}</svg>'
    line = f'<div class="ends"><span>{ends[0]}</span><span>{ends[1]}</span></div>'
    return f'<section id="values"><h2>{title}</h2><p class="lead">{lead}</p>{svg}{line}</section>'


def twins(found: Mapping[str, Any], pairs: Sequence[Twins]) -> str:
    """Samples that look the same, side by side, what is held out and trained on first."""
    again = found.get("duplicates")
    if again is None:
        return ""
    title = '<section id="twins"><h2>Samples that look the same</h2>'
    if not pairs:
        return f'{title}<p class="lead">None was found, neither exact repetitions nor near ones.</p></section>'
    exact, near = again["exact"], again["near"]
    lead = f"{count(exact, 'sample') if exact else 'No sample'} repeat{'s' * (exact < 2)} an earlier one exactly; "
    lead += f"{near:,} {'has' if near == 1 else 'have'} a twin."
    if again["across_splits"]:
        lead += f" <b>{count(again['across_splits'], 'test sample')} with a twin in the training split.</b>"
    if not again["complete"]:
        lead += " Not all pairs were compared: there may be more."
    return f'{title}<p class="lead">{lead}</p><div class="pairs">{"".join(map(pair, pairs))}</div></section>'


def pair(two: Twins) -> str:
    """A card of two samples with their names."""
    what = f"{two.apart}, in training and in test" if two.leak else two.apart
    names = "<br>".join(map(e, two.names))
    return (
        f'<figure class="pair{" leak" * two.leak}"><div class="tiles">{"".join(images(two.samples, two.names))}</div>'
        f"<figcaption><b>{e(capital(what))}</b>{names}</figcaption></figure>"
    )


def left_out(report: Mapping[str, Any], skipped: Sequence[Sequence[str]]) -> str:
    """Every file that was left out and why; of very many the first, and how many of each kind."""
    kinds = report.get("skipped", {})
    title = '<section id="skipped"><h2>Left out</h2>'
    if not kinds and not skipped:
        return f'{title}<p class="lead">Nothing was left out.</p></section>'
    lead = f"{count(sum(kinds.values()) or len(skipped), 'file or sample').replace('file or samples', 'files or samples')}: "
    lead += ", ".join(f"{number:,} {e(code)}" for code, number in kinds.items()) + "."
    if len(skipped) > ROWS:
        lead += f" The first {ROWS}."
    rows = [
        f'<tr><td>{e(name)}</td><td>{e(why)}</td><td class="code">{e(code)}</td></tr>' for name, why, code in skipped[:ROWS]
    ]
    head = "<tr><th>Name</th><th>Why</th><th>Code</th></tr>"
    table = f'<table class="skipped"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>' if rows else ""
    return f'{title}<p class="lead">{lead}</p>{table}</section>'


def changed(report: Mapping[str, Any]) -> str:
    """What was converted, and warnings about what is used all the same."""
    converted, warned, warnings = (report.get(name, {}) for name in ("converted", "warned", "warnings"))
    text = ""
    if converted:
        text += table("What", converted)
    if warned:
        text += table("Warning", warned) + "".join(f'<p class="lead">{e(capital(said))}.</p>' for said in warnings)
    return f'<section id="changed"><h2>Converted and warned of</h2>{text}</section>' if text else ""


def table(title: str, numbers: Mapping[str, int]) -> str:
    rows = [f'<tr><td class="number">{number:,}</td><td>{e(what)}</td></tr>' for what, number in numbers.items()]
    head = f'<tr><th class="number">Samples</th><th>{title}</th></tr>'
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def provenance(found: Mapping[str, Any]) -> str:
    """Where it came from, by which choices, and how to know it again."""
    choices = flags(found["policy"])
    rows: list[tuple[str, str]] = [
        ("Source", e(found["source"])),
        ("File", e(found["file"])),
        ("Choices", f"<code>{e(choices)}</code>" if choices else "the usual ones"),
        ("Fingerprint", f"<code>{e(found['fingerprint'])}</code>"),
        *((f"Column {e(name)}", extent(values)) for name, values in found["columns"].items()),
    ]
    wide = ("Source", "File", "Choices", "Fingerprint")
    listed = "".join(f"<div{' class=wide' * (name in wide)}><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f'<section id="provenance"><h2>Provenance</h2><dl class="list">{listed}</dl></section>'


def flags(policy: Mapping[str, Any]) -> str:
    """The choices of a preparation as the command line takes them."""
    said = []
    for name, value in policy.items():
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        said.append(f"--{name.replace('_', '-')}{'' if value is True else f' {text}'}")
    return " ".join(said)


def extent(values: Mapping[str, float | None]) -> str:
    if values["mean"] is None:
        return "no finite value"
    return f"{values['least']:.4g} to {values['most']:.4g}, mean {values['mean']:.4g}"


def figure(picture: Pixels, name: str, side: int) -> str:
    return f"<figure>{image(picture, name, side)}<figcaption>{e(name)}</figcaption></figure>"


def images(samples: Pixels, names: Sequence[str]) -> list[str]:
    """Samples (n, C, *S) as elements, each with its name."""
    return [image(drawn(sample), name, TILE) for sample, name in zip(shown(samples), names, strict=True)]


def image(picture: Pixels, name: str, side: int) -> str:
    made = embedded(picture, side)
    crisp = ' class="crisp"' if made.crisp else ""
    size = f'width="{made.width}" height="{made.height}"'
    return f'<img{crisp} {size} alt="{e(name)}" title="{e(name)}" src="{made.uri}">'


@cache
def packed_style() -> str:
    return packaged("gansaku.render").joinpath("overview_page.css").read_text(encoding="utf-8")
