"""Samples of a dataset as small pictures: which of them, how large, as one sheet or each inside a page."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansaku.errors import printable
from gansaku.render.sheet import CAPTION, PAPER, Pixels, drawable, png, sheet, single, tiles, written
from gansaku.render.voxels import WOOD

SAMPLES = 64
ACROSS, BESIDE = 8, 5  # tiles across a page; of a class beside another one
TILE = 96  # pixels on the page, about
DRAWN = 160  # pixels of a drawing of voxels
MOST = 4 / 3  # of that, for pictures that cannot be enlarged
EXACT = 64  # pixels: larger pictures are embedded with a little loss
LARGEST = 192  # pixels of the longer side of an embedded one
DARK = tuple(level // 3 for level in WOOD)  # what is occupied most often, in a view through voxels

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


def contact_sheet(samples: Pixels, labels: Whole, classes: Sequence[str]) -> bytes:
    """A PNG of these samples (n, C, *S), under the names of their classes where there are some."""
    pictures = tiles(shown(samples), TILE)
    if max(pictures.shape[1:3]) > LARGEST:
        pictures = np.stack([np.asarray(reduced(Image.fromarray(picture))) for picture in pictures])
    if not len(classes):
        return png(sheet(pictures, max(1, round(len(pictures) ** 0.5))))
    groups = [(classes[label], pictures[labels == label]) for label in np.unique(labels).tolist()]
    most = max(len(group) for _, group in groups)
    wide, rows = min(most, ACROSS), -(-most // ACROSS)
    across = math.ceil((len(groups) * rows / wide) ** 0.5)
    strips = [captioned(name, group, wide, rows) for name, group in groups]
    strips += [np.full_like(strips[0], PAPER)] * (-len(strips) % across)
    return png(np.concatenate([np.concatenate(strips[i : i + across], 1) for i in range(0, len(strips), across)]))


def captioned(name: str, pictures: Pixels, wide: int, rows: int) -> Pixels:
    """Pictures (n, H, W, 3) under a name, with room for so many across and so many rows."""
    height, width = (side + 2 for side in pictures.shape[1:3])
    paper = np.full((rows * height + 24, wide * width + 12, 3), PAPER, np.uint8)
    paper[:CAPTION] = written(drawable(name) or printable(name), paper.shape[1], 12)
    below = sheet(pictures, wide)
    paper[CAPTION : CAPTION + below.shape[0], : below.shape[1]] = below
    return paper


def chosen(labels: Whole, classes: int) -> Whole:
    """Rows of at most 64 samples, evenly from all; where there are classes, the same number of each that has so many."""
    if not classes:
        return evenly(np.arange(len(labels)), SAMPLES)
    there = evenly(np.unique(labels), SAMPLES)
    each = SAMPLES // len(there)
    each = each if each >= ACROSS else min(each, BESIDE)
    return np.concatenate([evenly(np.flatnonzero(labels == label), each) for label in there])


def evenly(rows: Whole, most: int) -> Whole:
    """At most so many of the rows, the first and the last among them, in steps of the same length."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)]


def shown(samples: Pixels) -> Pixels:
    """Samples as they are drawn: voxels 0/1 become 0/255."""
    return samples if samples.ndim == 4 else np.where(samples > 0, 255, 0).astype(np.uint8)


class Embedded(NamedTuple):
    """A picture inside the page: a data URI, its size on the page, and whether its pixels keep hard edges."""

    uri: str
    width: int
    height: int
    crisp: bool


def drawn(sample: Pixels) -> Pixels:
    """A sample (C, *S) as a picture (H, W) or (H, W, 3); voxels as boxes."""
    return tiles(sample[None], DRAWN)[0] if sample.ndim == 4 else single(sample)


def embedded(picture: Pixels, side: int) -> Embedded:
    """A picture (H, W) or (H, W, 3): small ones enlarged by a whole factor to about `side`, with hard edges."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    times = max(1.0, round(side / longer)) if longer <= MOST * side else MOST * side / longer
    made, kind, buffer = Image.fromarray(picture), "png", BytesIO()
    if longer <= EXACT:
        made.save(buffer, kind, optimize=True)
    elif few(picture):
        made.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(buffer, kind)
    else:
        kind = "jpeg"
        reduced(made).save(buffer, kind, quality=92, subsampling=0)
    uri = f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
    return Embedded(uri, max(1, round(width * times)), max(1, round(height * times)), times > 1)


def few(picture: Pixels) -> bool:
    """Whether it is drawn, not taken: most of it is one colour."""
    return bool((picture.reshape(-1, picture.shape[-1]) == picture[0, 0]).all(-1).mean() > 0.3) if picture.ndim == 3 else False


def reduced(picture: Image.Image) -> Image.Image:
    """With its longer side at LARGEST pixels at most."""
    small = picture.copy()
    small.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return small


def through(mean: Floats) -> list[Floats]:
    """(D, H, W) -> means along each line of sight: front (W, D), side (W, H) and above (H, D), the top first."""
    return [mean.mean(1).T[::-1], mean.mean(0).T[::-1], mean.mean(2).T[::-1]]


def often_seen(shares: Floats) -> Pixels:
    """(H, W) -> (H, W, 3): white where never occupied, dark where most often."""
    light = 1 - np.sqrt(shares / max(1e-9, float(shares.max())))[..., None]
    return np.asarray(np.rint(light * 255 + (1 - light) * np.array(DARK)), np.uint8)


def levels(picture: Floats) -> Pixels:
    """(C, H, W) in levels -> what `single` gives."""
    return single(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
