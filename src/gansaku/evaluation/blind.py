"""A blind test of two checkpoints as one HTML page that needs nothing from outside: which looks better, which scores better?

Which panel is which changes from round to round, and the page says it only after the last one: told earlier, the eye would
know what to look for in the next round. Text and pictures in, text out.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files as packaged
from io import BytesIO
from math import comb
from typing import Any

import numpy as np
import torch
from PIL import Image

from gansaku import __version__, keys
from gansaku.errors import UsageError
from gansaku.metrics.passport import Score, protocol, unlike
from gansaku.render.sheet import Pixels, single, tiles

EACH = 24  # samples in a panel
EXACT = 64  # pixels: larger pictures are embedded with a little loss, or ten rounds of them would be 30 MB
LARGEST = 192  # pixels of the longer side, twice what a place in a panel has
QUALITY = 92
COLORS = 64  # of a drawing of voxels: a third of the bytes, and the eye sees no difference
CRISP, FINE = 48, 96  # pixels: up to here whole factors fit on any screen, and on fine ones


@dataclass(frozen=True)
class Contestant:
    """One side of the test. Pictures uint8 (n, C, *S) as `Samples.block` gives them: 0..255, voxels 0/1."""

    name: str
    seen: int | None
    scores: tuple[Score, ...]
    pictures: Pixels


def page(one: Contestant, other: Contestant, rounds: int = 10, seed: int = 0) -> str:
    """The page: in each round 24 of the one's samples against as many of the other's, new ones each time.

    The seed decides the sides. Raises UsageError where there are too few samples, where they are of two shapes, and for
    scores that may not be compared.
    """
    check(one, other, rounds)
    left, (kind, step) = sides(rounds, seed), sharpness(one.pictures.shape)
    script, style = asset("blind.js"), f"{asset('blind.css')}.tiles {{ --pixels: {step}px; }}\n"
    policy = (
        f"default-src 'none'; img-src data:; style-src '{hashed(style)}'; script-src '{hashed(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    shown = ""
    for i, number in enumerate(left):
        pair = zip(("Left", "Right"), (one, other) if number == 0 else (other, one), strict=True)
        both = "".join(panel(side, kind, contestant.pictures[i * EACH : (i + 1) * EACH]) for side, contestant in pair)
        shown += f'<div class="round"{" hidden" * (i > 0)}>{both}</div>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">\n'
        f"<title>Which looks better? · Gansaku</title>\n<style>{style}</style></head>\n"
        f'<body><main id="test" data-key="{key(one, other, left)}">{TOP}'
        f'<section id="rounds" aria-label="Samples">{shown}</section>{CHOICES}'
        '<section id="result" aria-label="The two checkpoints" hidden></section>'
        f"<footer>Written by Gansaku {escape(__version__)}. One file; it loads nothing and keeps no answers.</footer>\n"
        f"</main><script>{script}</script></body></html>\n"
    )


TOP = (
    '<header><div class="top"><p class="kicker" id="at" role="status">Blind test</p>'
    '<button type="button" id="theme" hidden aria-label="Switch between light and dark">Light / dark</button></div>'
    '<div class="bar" aria-hidden="true"><i id="done"></i></div>'
    '<h1 tabindex="-1" id="title">Which panel looks better?</h1>'
    f'<p class="lead" id="lead">Each panel holds {EACH} samples of one of two checkpoints, and which one stands left changes '
    "from round to round. What they are, and how they score, is said at the end.</p>"
    "<noscript><p class='lead'>The test needs its script; allow scripts for this file.</p></noscript></header>"
)

CHOICES = (
    '<div id="choices" class="choices" role="group" aria-label="Which panel looks better?" hidden>'
    '<button type="button" data-place="0">Left</button><button type="button" data-place="">Cannot tell</button>'
    '<button type="button" data-place="1">Right</button>'
    '<div class="minor"><button type="button" id="back">Back</button><span>Or press ← or →.</span>'
    '<button type="button" id="reveal">Stop and reveal</button></div></div>'
)


def check(one: Contestant, other: Contestant, rounds: int) -> None:
    """Raises UsageError for what cannot be tested."""
    if rounds < 1:
        raise UsageError("--rounds", f"{rounds} is too few; use 1 or more", "COUNT")
    if one.pictures.shape[1:] != other.pictures.shape[1:]:
        shapes = f"{one.pictures.shape[1:]}, and {other.name} of {other.pictures.shape[1:]}"
        raise UsageError(one.name, f"holds samples of {shapes}; only samples of one shape can be told apart fairly", "SHAPE")
    for side in (one, other):
        if len(side.pictures) < EACH * rounds:
            needs = f"{rounds} {'round needs' if rounds == 1 else 'rounds need'} {EACH * rounds:,} samples"
            raise UsageError(side.name, f"{needs}, and there are {len(side.pictures):,}", "COUNT")
    if [score.name for score in one.scores] != [score.name for score in other.scores]:
        raise UsageError(f"{one.name} and {other.name}", "have other scores each; score both the same way", "UNLIKE_SCORES")
    for a, b in zip(one.scores, other.scores, strict=True):
        if reasons := unlike(a.passport, b.passport):
            raise UsageError(a.name, f"is not comparable: {'; '.join(reasons)}. Score both the same way", "UNLIKE_SCORES")


def sides(rounds: int, seed: int) -> list[int]:
    """Which contestant, 0 or 1, stands left in each round: coins, so that a habit of choosing one side wins half of them."""
    coins: list[int] = torch.randint(2, (rounds,), generator=keys.generator("blind", seed)).tolist()
    return coins


def key(one: Contestant, other: Contestant, left: list[int]) -> str:
    """All that the page says at the end, in base64, so that nobody reads it by accident."""
    content = {
        "left": left,
        "sides": [told(one), told(other)],
        "better": [better(a, b) for a, b in zip(one.scores, other.scores, strict=True)],
        "p": [chance(n) for n in range(len(left) + 1)],
    }
    return b64encode(json.dumps(content, ensure_ascii=False).encode(errors="replace")).decode()


def told(side: Contestant) -> dict[str, Any]:
    """A contestant's name and scores in words."""
    return {
        "name": side.name if side.seen is None else f"{side.name} after {side.seen:,} samples",
        "scores": [
            {
                "name": score.name,
                "value": f"{score.value:.4g}",
                "interval": f"95 % [{score.interval[0]:.4g}, {score.interval[1]:.4g}]" if score.interval else "",
                "wanted": {"lower": "lower is better", "higher": "higher is better", "neither": ""}[score.better],
                "how": protocol(score),
                "warnings": list(score.warnings),
            }
            for score in side.scores
        ],
    }


def better(a: Score, b: Score) -> int | None:
    """Which of two scores is the better one, 0 or 1; None for equal ones, and where neither direction is better."""
    if a.better == "neither" or a.value == b.value:
        return None
    return int((b.value < a.value) == (a.better == "lower"))


def chance(n: int) -> list[float]:
    """For k = 0 … n of n choices: how probably coins lie as far from n/2, or farther (exact binomial test, two-sided)."""
    return [min(1.0, sum(comb(n, i) for i in range(min(k, n - k) + 1)) / 2 ** max(0, n - 1)) for k in range(n + 1)]


def sharpness(shape: tuple[int, ...]) -> tuple[str, int]:
    """How samples (n, C, *S) are enlarged, and the pixels of a step: small ones by whole factors, with hard edges."""
    longer = max(shape[2:])
    if len(shape) == 5 or longer > FINE:
        return "smooth", 1
    return ("crisp" if longer <= CRISP else "fine"), shape[-1]


def panel(side: str, kind: str, samples: Pixels) -> str:
    """A panel of samples; what it shows is not in its words."""
    drawn = [embedded(sample) for sample in samples]
    images = "".join(f'<img alt="" width="{width}" height="{height}" src="{uri}">' for uri, width, height in drawn)
    return (
        f'<figure class="panel"><figcaption>{side}</figcaption>'
        f'<div class="tiles {kind}" role="img" aria-label="{side} panel: {len(drawn)} samples">{images}</div></figure>'
    )


def embedded(sample: Pixels) -> tuple[str, int, int]:
    """A sample (C, *S) as a data URI with its width and height: PNG, except large pictures, which are JPEG of LARGEST."""
    buffer, kind = BytesIO(), "png"
    if sample.ndim == 4:
        drawn = tiles(np.where(sample > 0, 255, 0).astype(np.uint8)[None])[0]
        image = Image.fromarray(drawn).quantize(COLORS, dither=Image.Dither.NONE)
        image.save(buffer, kind)
    elif max(sample.shape) <= EXACT:
        image = Image.fromarray(single(sample))
        image.save(buffer, kind)
    else:
        image, kind = Image.fromarray(single(sample)), "jpeg"
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        image.save(buffer, kind, quality=QUALITY, subsampling=0)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}", *image.size


def hashed(text: str) -> str:
    """As a content security policy names a script or a style."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def asset(name: str) -> str:
    return packaged("gansaku.evaluation").joinpath(name).read_text(encoding="utf-8")
