"""Sheets: many samples in one picture. Arrays in, arrays and bytes out."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from gansaku.errors import printable
from gansaku.render.voxels import draw

Pixels = NDArray[np.uint8]
PAPER = 255
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


def sheet(pictures: Pixels, columns: int, gap: int = 2) -> Pixels:
    """Pictures (N, H, W, 3) row by row in one (H', W', 3), white between them; what is left of the last row is white."""
    n, height, width, channels = pictures.shape
    rows = -(-n // columns)
    paper = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        paper[top : top + height, left : left + width] = picture
    return paper


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


def png(picture: Pixels, notes: Mapping[str, str] | None = None, effort: int = EFFORT) -> bytes:
    """A PNG (H, W, 3) or (H, W), with notes in its text chunks; what cannot be printed in them is escaped."""
    chunks = PngImagePlugin.PngInfo()
    for name, text in (notes or {}).items():
        chunks.add_itxt(name, printable(text))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", pnginfo=chunks, compress_level=effort)
    return buffer.getvalue()


def animation(pictures: Pixels, milliseconds: int = 60) -> bytes:
    """A GIF of (N, H, W, 3) that repeats for ever."""
    first, *rest = [Image.fromarray(p) for p in pictures]
    buffer = io.BytesIO()
    first.save(buffer, "gif", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return buffer.getvalue()
