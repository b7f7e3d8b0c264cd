"""The sheets of a run as small pictures inside a page: which of them, how large, in which format.

A sheet of small samples holds each pixel many times over. Taken back to one pixel each it is a sixteenth as large at
32 px, small enough to lose next to nothing; the browser enlarges it again, by whole factors, with hard edges. A sheet by
class stays as large as it is, or its names could not be read.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, features

from gansaku.render.sheet import Pixels, sheet
from gansaku.runs.report_reading import sheet_seen

T = TypeVar("T")

MOST = 24  # sheets in a report
ROOM = 115_000  # bytes for each: base64 makes them a third larger, 3.7 MB in all
SIDE = 1000  # pixels, of a sheet that cannot be taken back to its own
COLUMNS, GAP = 8, 2  # as `watchers.sheet_png` lays them out
SMALLEST = 8  # pixels, that a sample's longer side is taken back to: a plain one could be taken back to a single one
ENLARGED = 265  # pixels, about which a sheet is enlarged by: that of 32 px samples, with a pixel between them
BITS = (8, 7, 6, 5)  # of a colour that are kept: with 6 it is wrong by 1 of 255 on average
QUALITIES = (88, 70, 45)
HOPELESS = 2.5  # times the room: no quality will do
WEBP = features.check("webp")
FAST: dict[str, int | bool] = {"method": 1} if WEBP else {}  # a third of the time for a tenth more bytes


@dataclass(frozen=True)
class Shot:
    """A sheet as the page holds it: samples seen, a data URI, its size in pixels, and of how many of them one was made."""

    seen: int
    uri: str
    width: int
    height: int
    times: int


def picture(shot: Shot, says: str) -> str:
    """The sheet as an image; one that was taken back to its samples' own pixels is enlarged by whole factors."""
    how = ""
    if shot.times > 1:
        step = shot.width / max(1, round(shot.width / ENLARGED))
        how = f' class="crisp{" half" if step < shot.width else ""}" style="--step:{step:g}px"'
    return f'<img alt="{escape(says)}" width="{shot.width}" height="{shot.height}"{how} decoding="sync" src="{shot.uri}">'


class Sheets:
    """Encodes sheets and remembers those that it showed last: each is encoded once as long as it stays in."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], Shot | None] = {}

    def shots(self, sheets: Sequence[Path]) -> list[Shot]:
        """At most MOST of the sheets, oldest first, without those that cannot be read."""
        before, self._known = self._known, {}
        found = [self._shot(path, before) for path in spread(sheets, MOST)]
        return [shot for shot in found if shot is not None]

    def named(self, sheets: Mapping[str, Path]) -> dict[str, Shot]:
        """Each of the sheets under its name, without those that cannot be read."""
        before, self._known = self._known, {}
        found = {name: self._shot(path, before) for name, path in sheets.items()}
        return {name: shot for name, shot in found.items() if shot is not None}

    def _shot(self, path: Path, before: dict[tuple[str, int, int], Shot | None]) -> Shot | None:
        try:
            state = path.stat()
            key = (path.name, state.st_size, state.st_mtime_ns)
            self._known[key] = before[key] if key in before else shot(path)
            return self._known[key]
        except OSError:
            return None


def spread(items: Sequence[T], most: int) -> list[T]:
    """The first, every second, fourth, eighth, … after it, and the last: one more item changes little of it."""
    step = 1
    while -(-len(items) // step) >= most and len(items) > most:
        step *= 2
    chosen = list(items[::step])
    return chosen if (len(items) - 1) % step == 0 else [*chosen, items[-1]]


def evenly(items: Sequence[T], most: int) -> list[T]:
    """The first, the last, and what lies evenly between them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def shot(path: Path) -> Shot | None:
    """The sheet in a PNG file, in ROOM bytes or less; None when it is no picture."""
    try:
        with Image.open(path) as opened:
            by_class, picture = "Classes" in opened.info, np.asarray(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    small, times = (picture, 1) if by_class else taken_back(picture)
    if times > 1 or by_class:
        kind, content = encoded(small)
    else:
        small = resized(small)
        kind, content = lossy(small)
    height, width = small.shape[:2]
    return Shot(sheet_seen(path), f"data:image/{kind};base64,{base64.b64encode(content).decode()}", width, height, times)


def taken_back(picture: Pixels) -> tuple[Pixels, int]:
    """The sheet with one pixel for each of its samples' pixels, and of how many across one was made; 1: as it is."""
    height, width = ((side - GAP) / COLUMNS - GAP for side in picture.shape[:2])
    if height < 1 or width < 1 or height != int(height) or width != int(width):
        return picture, 1
    tiles = picture[GAP:, GAP:].reshape(COLUMNS, int(height) + GAP, COLUMNS, int(width) + GAP, 3)
    tiles = tiles[:, : int(height), :, : int(width)].swapaxes(1, 2).reshape(-1, int(height), int(width), 3)
    for times in range(int(max(height, width)) // SMALLEST, 1, -1):
        if height % times or width % times:
            continue
        once = tiles[:, ::times, ::times]
        if np.array_equal(once.repeat(times, 1).repeat(times, 2), tiles):
            return sheet(once, COLUMNS, gap=1), times
    return picture, 1


def encoded(picture: Pixels) -> tuple[str, bytes]:
    """Format and bytes: every pixel as it is, with as many bits of its colour as there is room for; photos with loss."""
    for bits in BITS:
        kind, content = exact(rounded(picture, bits))
        if len(content) <= ROOM:
            return kind, content
        if len(content) > 2 * ROOM:  # noise or photos: fewer bits will not do
            break
    return lossy(picture)


def rounded(picture: Pixels, bits: int) -> Pixels:
    """Colours with so many bits; black and white stay."""
    steps = (1 << bits) - 1
    return np.asarray(np.rint(np.rint(picture * (steps / 255)) * (255 / steps)), np.uint8)


def exact(picture: Pixels) -> tuple[str, bytes]:
    return ("webp", saved(picture, "webp", lossless=True, method=1)) if WEBP else ("png", saved(picture, "png"))


def lossy(picture: Pixels) -> tuple[str, bytes]:
    """In the best of QUALITIES that there is room for; half as large where none will do."""
    kind = "webp" if WEBP else "jpeg"
    for quality in QUALITIES:
        content = saved(picture, kind, quality=quality, **FAST)
        if len(content) <= ROOM:
            return kind, content
        if len(content) > HOPELESS * ROOM:
            break
    return lossy(picture[::2, ::2])


def resized(picture: Pixels) -> Pixels:
    """With its longer side at SIDE pixels at most."""
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def saved(picture: Pixels, kind: str, **how: int | bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **how)
    return buffer.getvalue()
