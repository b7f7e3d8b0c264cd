"""Sheets: many samples in one picture. Arrays in, arrays and bytes out."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from gansaku.errors import printable
from gansaku.render.voxels import draw

Pixels = NDArray[np.uint8]
PAPER = 255
INK = (27, 29, 33)
LETTERS, CAPTION = 13, 20  # pixels: the size of the letters, and the room for a line of them
APART, NARROWEST = 10, 64  # pixels between classes, and the width of one: of narrow samples the name needs more
LINE = 12  # classes that stand in one line; more are in several
EFFORT = 4  # of zlib-ng's 9: takes an eighth to a half less time than its usual 6, for files 2 to 8 % larger


def tiles(samples: Pixels, side: int | None = None) -> Pixels:
    """Samples uint8 (N, C, *S) as pictures (N, H, W, 3): voxels drawn as boxes, small pictures enlarged.

    Enlarged by a whole factor, nearest neighbour, towards `side` pixels (128 by default, 160 for voxels): a pixel
    stays a pixel.
    """
    if samples.ndim == 5:
        drawn = [draw(grid[0].astype(np.float32) / 127.5 - 1, side or 160) for grid in samples]
        return np.stack(drawn)
    pictures = np.moveaxis(samples, 1, -1)
    if pictures.shape[-1] != 3:
        pictures = np.repeat(pictures[..., :1], 3, axis=-1)
    times = max(1, (side or 128) // max(pictures.shape[1:3]))
    return pictures.repeat(times, 1).repeat(times, 2)


def sheet(pictures: Pixels, columns: int, gap: int = 2, color: int | tuple[int, ...] = PAPER) -> Pixels:
    """Pictures (N, H, W, C) row by row in one (H', W', C), of this color between them and in what is left of the last row."""
    n, height, width, channels = pictures.shape
    rows = -(-n // columns)
    paper = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), color, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        paper[top : top + height, left : left + width] = picture
    return paper


def by_class(pictures: Pixels, names: Sequence[str], note: str = "") -> Pixels:
    """Pictures (K, n, H, W, 3) in one (H', W', 3): under each name the n of its class, the same place in each the same n.

    A few classes stand in a line, each in a column or as many as make the whole nearest to a square; many in several lines.
    The note stands below.
    """
    classes, each = pictures.shape[:2]
    wide, across = arranged(classes, each)
    panels = [captioned(name, group, wide) for name, group in zip(names, pictures, strict=True)]
    panels += [np.full_like(panels[0], PAPER)] * (-classes % across)
    lines = [np.concatenate(panels[i : i + across], 1) for i in range(0, len(panels), across)]
    if note:
        lines.append(written(note, lines[0].shape[1]))
    return np.concatenate(lines)


def arranged(classes: int, each: int) -> tuple[int, int]:
    """The columns of each class, and how many classes stand beside each other."""
    wide = max(1, round((each / classes) ** 0.5))
    rows = -(-each // wide)
    if classes <= LINE:
        return wide, classes
    return wide, min(range(1, classes + 1), key=lambda across: max(across * wide, -(-classes // across) * rows))


def captioned(name: str, pictures: Pixels, columns: int) -> Pixels:
    """Pictures (n, H, W, 3) row by row under a name."""
    below = sheet(pictures, columns)
    below = np.pad(below, ((0, APART), (0, max(APART, NARROWEST - below.shape[1])), (0, 0)), constant_values=PAPER)
    return np.concatenate([written(name, below.shape[1], APART), below])


@lru_cache(64)
def written(text: str, width: int, margin: int = 0) -> Pixels:
    """A line of text on paper (CAPTION, width, 3), cut to what there is room for, with a margin on the right."""
    paper = Image.new("RGB", (width, CAPTION), (PAPER,) * 3)
    while len(text) > 1 and font().getlength(text) > width - margin - 2:
        text = f"{text.rstrip('…')[:-1]}…"
    ImageDraw.Draw(paper).text((2, 3), text, INK, font())
    return np.asarray(paper)


@cache
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(LETTERS)


def some_of(labels: Sequence[int], classes: Sequence[str]) -> tuple[list[str], str]:
    """What stands above each of these classes, by its name or else its number; and a note where they are not all."""
    names = [drawable(classes[label]) or f"class {label}" for label in labels]
    return names, f"{len(labels):,} of {len(classes):,} classes" if len(labels) < len(classes) else ""


@lru_cache(1024)
def drawable(name: str) -> str:
    """The name as the font can write it, without accents if need be; "" where it has no such letters."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", printable(name)) if not unicodedata.combining(c))
    missing = bytes(font().getmask("\uffff"))
    return "" if any(bytes(font().getmask(c)) == missing for c in plain if c != " ") else plain.strip()


def single(sample: Pixels) -> Pixels:
    """One sample uint8 (C, *S) as a picture of its own size, grey unless it has three channels; voxels drawn as boxes."""
    if sample.ndim == 4:
        drawn: Pixels = tiles(sample[None], 256)[0]
        return drawn
    return np.moveaxis(sample, 0, -1) if len(sample) == 3 else sample[0]


def origin(run: str, recipe: str, seen: int, seed: int) -> dict[str, str]:
    """Where samples come from, as the notes of a PNG: the run's and the recipe's name, samples seen in training, seed."""
    return {"Software": "Gansaku", "Run": run, "Recipe": recipe, "Samples seen": str(seen), "Seed": str(seed)}


def sheet_of(samples: Pixels, notes: Mapping[str, str]) -> bytes:
    """The samples 0, 1, … uint8 (N, C, *S) as a sheet, as near to a square as whole rows allow, with their numbers noted."""
    n = len(samples)
    return png(sheet(tiles(samples), max(1, round(n**0.5))), {**notes, "Sample": f"0–{n - 1}" if n > 1 else "0"})


def class_sheet_of(samples: Pixels, labels: Sequence[int], classes: Sequence[str], notes: Mapping[str, str]) -> bytes:
    """Samples 0, 1, … of each of these classes, uint8 (len(labels), n, C, *S), under their names; `classes` names all."""
    count, each = samples.shape[:2]
    pictures = tiles(samples.reshape(-1, *samples.shape[2:]))
    shown = by_class(pictures.reshape(count, each, *pictures.shape[1:]), *some_of(labels, classes))
    numbers = f"{'0' if each == 1 else f'0–{each - 1}'} of each class"
    return png(shown, {**notes, "Sample": numbers, "Classes": ", ".join(classes[label] for label in labels)})


def png(picture: Pixels, notes: Mapping[str, str] | None = None, effort: int = EFFORT) -> bytes:
    """A PNG (H, W, 3) or (H, W), with notes in its text chunks; what cannot be printed in them is escaped."""
    chunks = PngImagePlugin.PngInfo()
    for name, text in (notes or {}).items():
        chunks.add_itxt(name, printable(text))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", pnginfo=chunks, compress_level=effort)
    return buffer.getvalue()


def animation(pictures: Iterable[Pixels], milliseconds: int = 60, kind: str = "gif") -> bytes:
    """Pictures (H, W, 3) that repeat for ever, as a GIF of 256 colors each, or as a "webp" without a loss, also (H, W, 4)."""
    frames = (Image.fromarray(picture) for picture in pictures)
    first, rest = next(frames), frames
    buffer = io.BytesIO()
    how = {"lossless": True, "method": 1} if kind == "webp" else {}
    first.save(buffer, kind, save_all=True, append_images=rest, duration=milliseconds, loop=0, **how)
    return buffer.getvalue()
