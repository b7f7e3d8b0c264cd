"""Sheets: many samples in one picture. Arrays in, arrays and bytes out."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from gansaku.render.voxels import draw

Pixels = NDArray[np.uint8]
PAPER = 255


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


def png(picture: Pixels, notes: Mapping[str, str] | None = None) -> bytes:
    """A PNG (H, W, 3) or (H, W), with notes in its text chunks."""
    chunks = PngImagePlugin.PngInfo()
    for name, text in (notes or {}).items():
        chunks.add_itxt(name, text)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", pnginfo=chunks)
    return buffer.getvalue()


def animation(pictures: Pixels, milliseconds: int = 60) -> bytes:
    """A GIF of (N, H, W, 3) that repeats for ever."""
    first, *rest = [Image.fromarray(p) for p in pictures]
    buffer = io.BytesIO()
    first.save(buffer, "gif", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return buffer.getvalue()
