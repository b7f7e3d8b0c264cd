"""What was found in pictures: a sheet of them with the boxes drawn, those without any framed in red. Arrays in, PNG out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansaku.render.sheet import PAPER, png

Pixels = NDArray[np.uint8]
Edges = tuple[float, float, float, float]  # left, top, right, bottom in the picture's pixels

FOUND, MISSED, SHADE = (0, 230, 118), (213, 0, 0), (18, 18, 18)
SIDES = ((1, 1024), (4, 512), (16, 320))  # (pictures at most, pixels of the longer side)
SMALL = 192  # pixels with more pictures
GAP = 10  # of paper between pictures


def finds(pictures: Sequence[tuple[Pixels, Sequence[Edges]]], columns: int | None = None) -> bytes:
    """Each picture (H, W, C), 0..255, with its boxes, row by row in `columns`, or as near to a square as whole rows allow.

    A box has a bright line with dark ones beside it, so that it shows on any picture. A picture without a box is paler and
    has a red frame. The counts are in the notes of the PNG.
    """
    side = next((side for most, side in SIDES if len(pictures) <= most), SMALL)
    columns = columns or max(1, round(len(pictures) ** 0.5))
    cells = [cell(picture, boxes, side) for picture, boxes in pictures]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    widths = [max(row[i].shape[1] for row in rows if i < len(row)) for i in range(min(columns, len(cells)))]
    heights = [max(one.shape[0] for one in row) for row in rows]
    paper = np.full((sum(heights) + GAP * (len(rows) + 1), sum(widths) + GAP * (len(widths) + 1), 3), PAPER, np.uint8)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        left = GAP
        for one, width in zip(row, widths, strict=False):  # the last row may be short
            y, x = top + (height - one.shape[0]) // 2, left + (width - one.shape[1]) // 2
            paper[y : y + one.shape[0], x : x + one.shape[1]] = one
            left += width + GAP
        top += height + GAP
    with_finds = sum(bool(len(boxes)) for _, boxes in pictures)
    total = sum(len(boxes) for _, boxes in pictures)
    return png(paper, {"Software": "Gansaku", "Found": f"{total} in {with_finds} of {len(pictures)} pictures"})


def cell(picture: Pixels, boxes: Sequence[Edges], side: int) -> Pixels:
    """One picture of at most this side, with its boxes, or framed in red without any."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    space = max(1, round(width * scale)), max(1, round(height * scale))
    method = Image.Resampling.LANCZOS if scale < 2 else Image.Resampling.NEAREST  # a small picture's pixels stay pixels
    small = np.asarray(
        Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture).convert("RGB").resize(space, method)
    )
    line = max(2, side // 300)
    if not len(boxes):
        return framed(small // 2 + 127, 2 * line)
    drawn = small.copy()
    edges = [tuple(round(value * scale) for value in box) for box in boxes]
    for grow, color in ((1, SHADE), (0, FOUND)):  # all shades lie under all lines
        for left, top, right, bottom in edges:
            outline(drawn, (left, top, right, bottom), line, grow, color)
    return drawn


def outline(picture: Pixels, box: tuple[int, int, int, int], line: int, grow: int, color: tuple[int, int, int]) -> None:
    """Draw a box's edges, `line` wide towards its inside and `grow` more to both sides, as far as they lie in the picture."""
    left, top, right, bottom = box
    out, into = grow, line + grow
    for first, last, low, high in (
        (top - out, top + into, left - out, right + out),
        (bottom - into, bottom + out, left - out, right + out),
        (top - out, bottom + out, left - out, left + into),
        (top - out, bottom + out, right - into, right + out),
    ):
        picture[max(0, first) : max(0, last), max(0, low) : max(0, high)] = color


def framed(picture: Pixels, line: int) -> Pixels:
    """The picture with a red frame inside of its edges."""
    picture = picture.copy()
    picture[:line] = picture[-line:] = picture[:, :line] = picture[:, -line:] = MISSED
    return picture
