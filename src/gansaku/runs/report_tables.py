"""The lower half of a report: what happened, what is kept, with which settings and where, and how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence

from gansaku.files import amount
from gansaku.render.curves import MARKS
from gansaku.runs.log import Event
from gansaku.runs.report_reading import Reading, counted, table, whole
from gansaku.runs.report_words import UNREAD, code, e, moment, plain, q

BUNDLED = ("avatars", "chairs")  # data that `--data` knows by name
NEWEST = 200  # rows of the events
SHOWN = 24  # classes that are not folded away


def classes(reading: Reading) -> str:
    """Training samples of each class; nothing where there are no classes, or the run does not say."""
    told = [(name, count) for name, count in table(reading.data.get("balance")).items() if counted(count)]
    if not told:
        return ""
    listed = "".join(f"<div><dt>{e(name)}</dt><dd>{count:,}</dd></div>" for name, count in told)
    listed = f'<dl class="list">{listed}</dl>'
    if len(told) > SHOWN:
        listed = f"<details><summary>All {len(told):,} classes</summary>{listed}</details>"
    return f'<section id="classes"><h2>Classes</h2><p class="lead">Training samples of each class.</p>{listed}</section>'


def events(reading: Reading) -> str:
    """What happened, oldest first; saves are counted in one row, and so is what was said more than once."""
    rows = [event_row(event) for event in collapsed(reading.events)]
    title = '<section id="events"><h2>Events</h2>'
    if not rows:
        return f'{title}<p class="lead">{UNREAD if reading.unread else "No event is noted yet."}</p></section>'
    lead = f'<p class="lead">The newest {NEWEST} of {len(rows)}.</p>' if len(rows) > NEWEST else ""
    head = "<tr><th>Samples seen</th><th>When</th><th>Kind</th><th>What</th></tr>"
    return f"{title}{lead}<table><thead>{head}</thead><tbody>{''.join(rows[-NEWEST:])}</tbody></table></section>"


def event_row(event: Event) -> str:
    """A row of the table; only kinds that have looks of their own become a class."""
    looks = event.kind if event.kind in MARKS else ""
    return (
        f'<tr><td class="number">{event.seen:,}</td><td class="when">{e(moment(event.time))}</td>'
        f'<td><span class="kind {looks}">{e(event.kind)}</span></td><td class="sentence">{e(event.sentence)}</td></tr>'
    )


def collapsed(happened: Sequence[Event]) -> list[Event]:
    """Saves, and events that say the same, as the last of them, with how many there were and since when."""
    groups: dict[tuple[str, str], list[Event]] = {}
    for event in happened:
        groups.setdefault((event.kind, "" if event.kind == "save" else event.sentence), []).append(event)
    found = []
    for first, *others in groups.values():
        last = [first, *others][-1]
        times = f"{last.sentence} ({len(others) + 1:,} times, first at {first.seen:,})" if others else first.sentence
        found.append(last._replace(sentence=times))
    return sorted(found, key=lambda event: event.time)


def checkpoints(reading: Reading) -> str:
    title = '<section id="checkpoints"><h2>Checkpoints</h2>'
    if not reading.checkpoints:
        return f'{title}<p class="lead">No checkpoint is kept yet.</p></section>'
    rows = [
        f'<tr><td class="number">{one.seen:,}</td>'
        f'<td class="number">{amount(one.size)}{", pinned" if one.pinned else ""}</td></tr>'
        for one in reading.checkpoints
    ]
    head = '<tr><th class="number">Samples seen</th><th class="number">Size</th></tr>'
    return f'{title}<table class="narrow"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></section>'


def recipe(reading: Reading) -> str:
    """The difference to the recipe it began from, then all of it."""
    text = f'<section id="recipe"><h2>Recipe</h2>{changes(reading.about.get("changes"), reading.about.get("recipe"))}'
    if not reading.recipe:
        return f'{text}<p class="lead">recipe.toml could not be read.</p></section>'
    whole_one = f"<details><summary>The whole recipe, recipe.toml</summary>{code(reading.recipe)}</details>"
    return f"{text}{whole_one}</section>"


def changes(found: object, name: object) -> str:
    """The settings that differ from the named recipe; nothing where the run does not say."""
    if not isinstance(found, list):
        return ""
    if not found:
        return '<p class="lead">As the recipe says, nothing changed.</p>'
    rows = [
        f"<tr><td><code>{e(one.get('path', ''))}</code></td><td><code>{e(one.get('before', ''))}</code></td>"
        f"<td><code>{e(one.get('after', ''))}</code></td></tr>"
        for one in map(table, found)
    ]
    head = f"<tr><th>Setting</th><th>In {e(name)}</th><th>In this run</th></tr>"
    return f"<table class='changes'><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def environment(reading: Reading) -> str:
    """Machine, versions, and which data they were."""
    about, data = reading.about, reading.data
    fingerprint = str(data["fingerprint"])[:16] if "fingerprint" in data else None
    rows = {
        "gansaku": about.get("gansaku"),
        **table(about.get("machine")),
        **table(about.get("versions")),
        "data fingerprint": fingerprint,
    }
    told = [(name, plain(value)) for name, value in rows.items() if value is not None]
    if not told:
        return '<section id="environment"><h2>Environment</h2><p class="lead">Not known: run.json does not say.</p></section>'
    listed = "".join(f"<div><dt>{e(name)}</dt><dd>{e(value)}</dd></div>" for name, value in told)
    return f'<section id="environment"><h2>Environment</h2><dl class="list">{listed}</dl></section>'


def repeat(reading: Reading) -> str:
    """Commands that make the run anew, go on with it, and sample from it."""
    name = str(reading.data.get("name", "DATA"))
    size = f" --size {whole(reading.data.get('size'))}" if whole(reading.data.get("size")) else ""
    source = name if name in BUNDLED else f"./{name}"
    run = f"./{reading.name}" if reading.name.startswith("-") else reading.name
    again = f"gansaku train recipe.toml --data {q(source)}{size}"
    steps = [
        ("Again from the start: save the recipe above as recipe.toml, then", again),
        ("Go on, in the folder that holds the run", f"gansaku train --run {q(run)}"),
        ("Make 64 samples", f"gansaku sample {q(run)} -n 64"),
    ]
    return "".join(
        [
            '<section id="repeat"><h2>How to repeat it</h2>',
            *(f"<p class='step'>{e(what)}</p>{code(command)}" for what, command in steps),
            "</section>",
        ]
    )
