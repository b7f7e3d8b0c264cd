"""A walk through a run's latent space in files: an animation, a strip of its pictures, and how evenly they change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansaku import files
from gansaku.errors import UsageError
from gansaku.evaluation.continuity import JUMP, Continuity
from gansaku.extractors.contract import Extractor
from gansaku.latents import Way
from gansaku.render.curves import percent, scaled, short
from gansaku.render.sheet import Pixels, animation, origin, png, sheet, tiles
from gansaku.runs.run import Run
from gansaku.sampling import closed_way, in_blocks, quantized, walk, way_through
from gansaku.training.by_hand import shown_generator

ANIMATION, STRIP, CHART, NUMBERS = "walk.gif", "strip.png", "continuity.svg", "walk.json"
LARGE, SMALL = 192, 96  # pixels of a sample: in the animation, and on the strip
AT_ONCE = 64
WIDE, HIGH, LEFT, TOP, BELOW = 900, 260, 46, 46, 46  # pixels of the chart, and the room around its plot


def made(
    run: Run,
    stops: int,
    steps: int,
    way: Way,
    seed: int,
    label: int | None,
    truncation: float | None,
    own: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Samples (n, C, *S) and latents (n, Z) of the walk, and what its pictures say of themselves.

    `own` are latents (stops, Z) and labels (stops,) to walk between; if no label is named, half way to the next stop its
    class begins.
    """
    state, recipe = run.state(), run.recipe
    generator, phase = shown_generator(state), recipe.phase(state.seen)
    if own is not None:
        path, places = closed_way(own[0], way, steps), torch.arange(stops * steps)
        nearer = (2 * places + steps) // (2 * steps) % stops
        labels = own[1][nearer] if label is None else torch.full_like(places, label)
        with torch.no_grad():
            made = in_blocks(generator, path, labels, phase)
        return made, path, {**origin(run.path.name, recipe.name, state.seen, seed), "Way": way}
    samples = walk(generator, recipe, stops, seed, label, truncation, phase, way, steps)
    notes = {**origin(run.path.name, recipe.name, state.seen, seed), "Way": way}
    return samples, way_through(generator, recipe, stops, seed, truncation, way, steps), notes


def features(extractor: Extractor, samples: Tensor) -> Tensor:
    """(n, F), of samples as they are stored."""
    stored = samples.gt(0).byte() if samples.ndim == 5 else quantized(samples)
    parts = [extractor(stored[i : i + AT_ONCE]).features for i in range(0, len(stored), AT_ONCE)]
    return parts[0].new_tensor(np.concatenate([part.numpy() for part in parts]))


def write(out: Path, samples: Tensor, found: Continuity, notes: dict[str, str], numbers: dict[str, Any]) -> None:
    """The four files. Raises UsageError for a file in the folder's place."""
    if out.is_file() or out.suffix in (".gif", ".png"):
        raise UsageError(str(out), "is no folder; a walk is several files, so name a folder", "FILE")
    files.make_folder(out)
    pictures = quantized(samples).numpy()
    files.write_bytes(out / ANIMATION, animation(tiles(pictures, LARGE)))
    files.write_bytes(out / STRIP, png(strip(tiles(pictures, SMALL), found.steps), notes))
    files.write_text(out / CHART, chart(found, notes))
    files.write_text(out / NUMBERS, json.dumps(numbers, indent=1, allow_nan=False) + "\n")


def strip(pictures: Pixels, steps: int) -> Pixels:
    """A row for each leg of the way, from a stop to the next one, both included."""
    legs = [np.concatenate([pictures[i : i + steps], pictures[(i + steps) % len(pictures)][None]])
            for i in range(0, len(pictures), steps)]  # fmt: skip
    return sheet(np.concatenate(legs), steps + 1)


def chart(found: Continuity, notes: dict[str, str]) -> str:
    """Each step's speed, the stops as hairlines, and where a jump begins. A picture by itself, light or dark."""
    speeds: Sequence[float] = found.speeds
    scale = scaled([0.0, JUMP, *speeds], False, None, 5)
    n = len(speeds)

    def x(i: float) -> str:
        return percent(i / n)

    def y(value: float) -> str:
        return percent(1 - scale.place(value))

    lines = [
        f'<line class="grid" x2="100%" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text x="-8" y="{y(tick)}" dy=".32em" text-anchor="end">{short(tick)}</text>'
        for tick in scale.ticks
    ]
    lines += [
        f'<line class="stop" x1="{x(i)}" x2="{x(i)}" y2="100%"/>'
        f'<text x="{x(i)}" y="100%" dy="1.6em" text-anchor="middle">{i // found.steps % (n // found.steps)}</text>'
        for i in range(0, n + 1, found.steps)
    ]
    lines.append(f'<line class="jump" x2="100%" y1="{y(JUMP)}" y2="{y(JUMP)}"/>')
    bars = [
        f'<rect class="{"far" if i in found.jumps else "step"}" x="{x(i + 0.12)}" width="{percent(0.76 / n)}" '
        f'y="{y(value)}" height="{percent(scale.place(value))}"/>'
        for i, value in enumerate(speeds)
    ]
    told = f"{notes.get('Run', '')}, {notes.get('Way', '')}: {found.sentence()}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{HIGH}" role="img" aria-label="{escape(told)}">'
        f"<style>{STYLE}</style><rect class='paper' width='100%' height='100%'/>"
        f'<text class="title" x="{LEFT}" y="22">Change of each step, in {found.unit}s</text>'
        f'<text x="{WIDE - 16}" y="22" text-anchor="end">{escape(found.sentence())}</text>'
        f'<svg x="{LEFT}" y="{TOP}" width="{WIDE - LEFT - 16}" height="{HIGH - TOP - BELOW}" overflow="visible">'
        f"{''.join([*lines, *bars])}</svg>"
        f'<text x="{LEFT + (WIDE - LEFT - 16) / 2:.0f}" y="{HIGH - 8}" text-anchor="middle">samples on the way</text></svg>\n'
    )


STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#5c5f66}.title{font-weight:600;font-size:14px;fill:#1a1c20}.paper{fill:#fff}"
    ".grid{stroke:#e7e7e4}.stop{stroke:#c6c7c3}.jump{stroke:#b3403a;stroke-dasharray:5 4}.step{fill:#0072b2}.far{fill:#b3403a}"
    "@media (prefers-color-scheme:dark){text{fill:#a3a7ae}.title{fill:#eceef1}.paper{fill:#16181c}.grid{stroke:#2c3036}"
    ".stop{stroke:#474c54}.step{fill:#58a9e0}.jump{stroke:#e0756f}.far{fill:#e0756f}}"
)
