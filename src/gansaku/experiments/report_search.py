"""What a search tried before the comparison: each setting against the score, and a table. Text in, text out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gansaku.render.curves import Scale, percent, scaled, short
from gansaku.runs.report_words import e

HIGH = 170  # pixels of a picture
ACROSS, UP = 3, 4  # ticks, about


class Setting(NamedTuple):
    """One that was searched."""

    name: str
    log: bool
    listed: Sequence[str] = ()  # its values, where they were listed


class Trial(NamedTuple):
    """What was tried: a value of each setting as written, and as a place on its axis; its score, or why there is none."""

    written: Sequence[str]
    places: Sequence[float]
    value: float | None
    broken: str
    chosen: bool


class Trials(NamedTuple):
    """A search, as it may be told."""

    settings: Sequence[Setting]
    trials: Sequence[Trial]  # in the order of trying
    title: str  # of the score
    better: str
    as_is: float | None  # the score of the recipe as it is
    seed: int

    @property
    def ranked(self) -> list[tuple[int, Trial]]:
        """With their numbers, from 1; the best first, those without a score last."""
        sign = -1 if self.better == "higher" else 1
        numbered = list(enumerate(self.trials, 1))
        return sorted(numbered, key=lambda pair: math.inf if pair[1].value is None else sign * pair[1].value)


def lead(found: Trials) -> str:
    """What it was, and what it is worth."""
    broke = sum(trial.value is None for trial in found.trials)
    text = f"Before the comparison, {len(found.trials)} settings were tried, once each, at seed {found.seed}"
    text += f"; {broke} of them broke or could not be trained. " if broke else ". "
    return f"{text}The best score of so many is partly luck: what it is worth is said above, at other seeds."


def section(found: Trials | None) -> str:
    """Nothing where nothing was searched."""
    if found is None:
        return ""
    drawn = "".join(figure(found, i) for i in range(len(found.settings)))
    head = "".join(f'<th class="number">{e(setting.name)}</th>' for setting in found.settings)
    rows = "".join(
        f'<tr><td class="number">{number}</td>{"".join(f"""<td class="number">{e(text)}</td>""" for text in trial.written)}'
        f'<td class="number">{"–" if trial.value is None else short(trial.value, 4)}</td>'
        f'<td class="said">{"<b>compared</b>" if trial.chosen else f"<small>{e(trial.broken)}</small>"}</td></tr>'
        for number, trial in found.ranked
    )
    dashed = f" The dashed line is the recipe as it is, {short(found.as_is, 4)}." if found.as_is is not None else ""
    return (
        f'<section id="search"><h2>What was tried before</h2><p class="lead">{e(lead(found))}</p>'
        f'<div class="tried card">{drawn}</div><p class="note">Each dot is a training, by {e(found.title)}; the ring is '
        f"the one that was compared.{dashed}</p>"
        f'<details><summary>Every setting tried</summary><div class="scroll"><table><thead><tr><th class="number">Trial</th>'
        f'{head}<th class="number">{e(found.title)}</th><th></th></tr></thead><tbody>{rows}</tbody></table></div></details>'
        "</section>"
    )


def figure(found: Trials, i: int) -> str:
    """One setting against the score."""
    setting = found.settings[i]
    scored = [trial for trial in found.trials if trial.value is not None]
    values = [trial.value for trial in scored if trial.value is not None]
    up = scaled([*values, *([] if found.as_is is None else [found.as_is])], False, None, UP)
    along = scaled([trial.places[i] for trial in scored], setting.log, None, ACROSS)
    if setting.listed:
        along = Scale(-0.5, len(setting.listed) - 0.5, False, list(range(len(setting.listed))))
    parts = [f'<svg class="plot s1" height="{HIGH}" role="img" aria-label="{e(setting.name)} against {e(found.title)}">']
    for tick in up.ticks:
        y = percent(1 - up.place(tick))
        parts.append(f'<line class="grid" x2="100%" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="-8" y="{y}" dy=".32em" text-anchor="end">{short(tick)}</text>')
    for tick in along.ticks:
        label = setting.listed[int(tick)] if setting.listed else short(tick)
        parts.append(f'<text x="{percent(along.place(tick))}" y="100%" dy="1.6em" text-anchor="middle">{e(label)}</text>')
    if found.as_is is not None:
        y = percent(1 - up.place(found.as_is))
        parts.append(f'<line class="as-is" x2="100%" y1="{y}" y2="{y}"/>')
    for trial in scored:
        assert trial.value is not None
        x, y = percent(along.place(trial.places[i])), percent(1 - up.place(trial.value))
        said = f"<title>{e(trial.written[i])}: {short(trial.value, 4)}</title>"
        parts.append(f'<circle class="seed" cx="{x}" cy="{y}" r="4">{said}</circle>')
        if trial.chosen:
            parts.append(f'<circle class="chosen" cx="{x}" cy="{y}" r="8"/>')
    return f"<figure>{''.join(parts)}</svg><figcaption><code>{e(setting.name)}</code></figcaption></figure>"
