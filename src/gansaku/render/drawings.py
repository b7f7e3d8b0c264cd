"""Drawings of voxels: one grid or a sheet of many, still or turning, with a scale where colors stand for numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gansaku.errors import UsageError, nearest
from gansaku.render.ramps import ramped
from gansaku.render.sheet import INK, Pixels, font, sheet
from gansaku.render.voxels import LEAST, SCALES, WHITE, WOOD, Color, draw

Grid = NDArray[Any]

ALONE, AMONG = 512, 160  # pixels of a side where none are asked for: of one grid, and of each of several
GAP = 2  # pixels between them
MOST_SIDE = 16_383  # pixels: what a WebP can be
MOST_PIXELS = 200_000_000  # of a picture, or of all pictures of a turn together
BAR, MARGIN, LETTERS = 10, 8, 20  # pixels: the height of a scale's bar, what is around it, and of the line below
WIDEST = 280  # pixels of a bar
BRIGHT, MIDDLE = (236, 238, 240), (122, 126, 132)  # ink on dark paper, and where the paper is not known


@dataclass(frozen=True)
class Drawing:
    """How voxels are drawn: from where, which of them, in which colors.

    `pixels` are of a grid's side; 512 of one, 160 of each of several if None. `turn` and `height` are degrees, as `draw` has
    them. A box stands wherever a probability, (v + 1) / 2 of a value v, is above `threshold`. `color` is "wood", "height" or
    "probability". Without a background all that is not covered is transparent. `opacity` below 1 shows what is inside.
    `frames` are the pictures of a whole turn.

    Raises UsageError for what cannot be drawn.
    """

    pixels: int | None = None
    turn: float = 30
    height: float = 25
    threshold: float = 0.5
    color: str = "wood"
    background: Color | None = WHITE
    opacity: float = 1.0
    frames: int = 48

    def __post_init__(self) -> None:
        if self.pixels is not None and not 1 <= self.pixels <= MOST_SIDE:
            raise UsageError("--pixels", f"{self.pixels:,} is no side of a picture; use 1 to {MOST_SIDE:,}", "SIZE")
        if not math.isfinite(self.turn):
            raise UsageError("--turn", f"{self.turn} is no angle; give degrees", "VIEW_TURN")
        if not -90 <= self.height <= 90:
            raise UsageError("--height", f"{self.height:g} is not between -90, from below, and 90, from above", "VIEW_HEIGHT")
        if not 0 <= self.threshold < 1:
            raise UsageError("--threshold", f"{self.threshold:g} is no probability from 0 to below 1", "THRESHOLD")
        if self.color not in COLORS:
            raise UsageError("--color", f"{self.color!r} is no color of boxes{nearest(self.color, list(COLORS))}", "VIEW_COLOR")
        if not LEAST <= self.opacity <= 1:
            sentence = f"{self.opacity:g} is not 0.004, the faintest that is seen, up to 1, which hides all"
            raise UsageError("--opacity", sentence, "VIEW_OPACITY")
        if not 2 <= self.frames <= 720:
            raise UsageError("--frames", f"{self.frames:,} is no number of pictures for a turn; use 2 to 720", "COUNT")


COLORS = ("wood", *SCALES)


def still(grids: Sequence[Grid], how: Drawing) -> Pixels:
    """Grids (D, H, W) in [-1, 1] or bool in one picture (H', W', 3), or 4 without a background.

    Several stand row by row, as near to a square as whole rows allow. Raises UsageError for a picture that is too large.
    """
    bounded(len(grids), how, 1)
    return drawn(grids, how, how.turn)


def turning(grids: Sequence[Grid], how: Drawing) -> Iterator[Pixels]:
    """The pictures of a whole turn, counterclockwise as seen from above; the first is `still`'s. Raises as it does, at once."""
    bounded(len(grids), how, how.frames)
    return (drawn(grids, how, how.turn + 360 * frame / how.frames) for frame in range(how.frames))


def bounded(count: int, how: Drawing, frames: int) -> None:
    """Raises UsageError for nothing to draw, for what would be too large a picture, or too many large ones."""
    if count < 1:
        raise UsageError("voxels", "there are none to draw; give one grid or more")
    side, columns = side_of(count, how), columns_of(count)
    width, height = columns * (side + GAP), -(-count // columns) * (side + GAP)
    if max(width, height) > MOST_SIDE or width * height * frames > MOST_PIXELS:
        what = f"{frames} pictures of {width:,} x {height:,}" if frames > 1 else f"a picture of {width:,} x {height:,}"
        samples = f"{count:,} sample{'' if count == 1 else 's'}"
        raise UsageError("--pixels", f"{side:,} for {samples} is {what} pixels; give fewer, or fewer samples with -n",
                         "VIEW_LARGE")  # fmt: skip


def side_of(count: int, how: Drawing) -> int:
    """Pixels of each grid's side."""
    return how.pixels or (ALONE if count == 1 else AMONG)


def columns_of(count: int) -> int:
    return math.ceil(math.sqrt(count))


def drawn(grids: Sequence[Grid], how: Drawing, turn: float) -> Pixels:
    """One picture of all grids from there, with its scale."""
    pictures = [
        draw(grid, side_of(len(grids), how), threshold=2 * how.threshold - 1, turn=turn, height=how.height,
             color=WOOD if how.color == "wood" else how.color, background=how.background, opacity=how.opacity)
        for grid in grids
    ]  # fmt: skip
    body = pictures[0] if len(grids) == 1 else sheet(np.stack(pictures), columns_of(len(grids)), GAP, paper_of(how.background))
    if how.color == "wood":
        return body
    tops = {grid.shape[2] for grid in grids}
    end = "1" if how.color == "probability" else f"{tops.pop()}" if len(tops) == 1 else "top"
    return np.concatenate([body, scale(how.color, end, body.shape[1], how.background)])


def paper_of(background: Color | None) -> tuple[int, ...]:
    """What lies between pictures."""
    return (0, 0, 0, 0) if background is None else background


def scale(title: str, end: str, width: int, background: Color | None) -> Pixels:
    """(38, width, 3), or 4 without a background: the ramp from 0 to `end`, and what it stands for where there is room."""
    wide = min(WIDEST, max(1, width - 2 * MARGIN))
    left, high = (width - wide) // 2, BAR + LETTERS + MARGIN
    ink = ink_on(background)
    paper = Image.new("RGB", (width, high), background) if background else Image.new("RGBA", (width, high), (*ink, 0))
    bar = np.broadcast_to(np.moveaxis(ramped(np.linspace(0, 1, wide)), 0, -1), (BAR, wide, 3))
    paper.paste(Image.fromarray(bar.round().astype(np.uint8)), (left, 0))
    pen, length = ImageDraw.Draw(paper), font().getlength
    pen.text((left, BAR + 2), "0", ink, font())
    pen.text((left + wide - length(end), BAR + 2), end, ink, font())
    if length(title) + 2 * length(f"{end}  ") < wide:
        pen.text((left + (wide - length(title)) / 2, BAR + 2), title, ink, font())
    return np.asarray(paper)


def ink_on(background: Color | None) -> Color:
    """What can be read on it."""
    if background is None:
        return MIDDLE
    red, green, blue = background
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else BRIGHT
