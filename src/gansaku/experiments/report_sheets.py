"""The sheets of all arms beside each other at equal samples seen: which moments and seeds, which part of a sheet, how large.

The whole page is to stay small: the more trainings there are, the fewer moments, seeds and samples of a sheet are shown, and
`Album.left_out` says which. What is chosen depends on the plan alone, so that a sheet is encoded once while a comparison runs.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gansaku.render.sheet import Pixels
from gansaku.runs.report_sheets import COLUMNS, GAP, WEBP, evenly, rounded, saved, taken_back

BUDGET = 5_700_000  # bytes for all pictures: base64 makes them a third larger, 7.6 MB
LEAST = 5_000  # bytes for one: below that there are to be fewer of them
MOST_ROOM = 90_000
STEPS = ((13, 1000), (9, 1000), (9, 8), (6, 8), (6, 4), (4, 3), (3, 2), (2, 1), (1, 1))  # moments, seeds: from rich to poor
CLOSE = 0.05  # of the samples seen: sheets of unlike batches stand beside each other, each with its own number
QUALITIES = (90, 80, 65, 45)
BITS = (8, 6, 5)  # of a colour, without loss of anything else

Key = tuple[int, int]
"""(arm's number, seed)"""


class Layout(NamedTuple):
    """How much of everything is shown."""

    moments: int
    seeds: int
    columns: int  # of samples in a sheet, of 8
    across: int  # arms beside each other
    side: int  # pixels, of a sheet that cannot be taken back to its own
    room: int  # bytes for one


class Picture(NamedTuple):
    """A sheet, or a part of it, as the page holds it."""

    uri: str
    width: int
    height: int
    crisp: bool  # a pixel is a pixel of a sample
    part: bool = False  # not all samples of the sheet


@dataclass(frozen=True)
class Stop:
    """A moment, and after how many samples exactly each training drew its sheet there."""

    seen: int  # by most of them
    drawn: Mapping[Key, int]


@dataclass(frozen=True)
class Album:
    """What is shown: a picture for each training at each stop, as far as it has one."""

    stops: Sequence[Stop]
    seeds: Sequence[int]
    pictures: Mapping[tuple[int, int, int], Picture]  # by arm's number, seed and samples seen
    across: int = 1
    left_out: str = ""  # in words


def layout(arms: int, seeds: int) -> Layout:
    """For so many arms and seeds."""
    across = arms if arms <= 4 else 3 if arms in (5, 6, 9) else 4 if arms <= 12 else 5
    columns = {1: 8, 2: 8, 3: 5, 4: 4}.get(across, 3)
    side = {1: 1000, 2: 800, 3: 600, 4: 480}.get(across, 360)
    for moments, most in STEPS:
        shown = min(seeds, most)
        room = BUDGET // (arms * shown * moments)
        if room >= LEAST:
            break
    return Layout(moments, shown, columns, across, side, min(room, MOST_ROOM))


class Albums:
    """Encodes sheets, and remembers those that it showed last."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, Layout], Picture | None] = {}

    def album(self, runs: Mapping[Key, Path], arms: int, seeds: Sequence[int]) -> Album:
        """Of these trainings, whose sheets lie in these folders; what cannot be read is not there."""
        how = layout(arms, len(seeds))
        shown = seeds[: how.seeds]
        found = {key: sheets(folder) for key, folder in runs.items() if key[1] in shown}
        every = stops({key: sorted(paths) for key, paths in found.items()})
        chosen = evenly(every, how.moments) if how.moments > 1 else every[-1:]
        before, self._known = self._known, {}
        pictures = {}
        for stop in chosen:
            for (arm, seed), seen in stop.drawn.items():
                made = self._picture(found[arm, seed][seen], how, before)
                if made is not None:
                    pictures[arm, seed, seen] = made
        drawn = [seed for seed in shown if any(key[1] == seed for key in pictures)]
        return Album(
            chosen,
            drawn,
            pictures,
            how.across,
            left_out(how, len(every), len(chosen), seeds, any(one.part for one in pictures.values())),
        )

    def _picture(
        self, path: Path, how: Layout, before: Mapping[tuple[str, int, int, Layout], Picture | None]
    ) -> Picture | None:
        try:
            state = path.stat()
            key = (str(path), state.st_size, state.st_mtime_ns, how)
            self._known[key] = before[key] if key in before else picture(path, how)
            return self._known[key]
        except OSError:
            return None


def sheets(folder: Path) -> dict[int, Path]:
    """By samples seen."""
    return {int(path.stem): path for path in folder.glob("*.png") if re.fullmatch(r"\d{1,18}", path.stem)}


def stops(drawn: Mapping[Key, Sequence[int]]) -> list[Stop]:
    """The moments that two arms have or more: the same number of samples, or numbers as near as two batches are.

    Where only one arm has sheets yet, all of its own.
    """
    exact: dict[int, dict[Key, int]] = {}
    for key, moments in drawn.items():
        for seen in moments:
            exact.setdefault(seen, {})[key] = seen
    together: list[dict[Key, int]] = []
    for seen, keys in sorted(exact.items()):
        last = together[-1] if together else {}
        if last and seen <= min(last.values()) * (1 + CLOSE) and not last.keys() & keys.keys():
            last.update(keys)
        else:
            together.append(dict(keys))
    several = len({arm for (arm, _), moments in drawn.items() if moments}) > 1
    kept = [keys for keys in together if not several or len({arm for arm, _ in keys}) > 1]
    return [Stop(Counter(keys.values()).most_common(1)[0][0], keys) for keys in kept]


def left_out(how: Layout, every: int, chosen: int, seeds: Sequence[int], part: bool = False) -> str:
    """In words, so that nobody takes a part for the whole."""
    parts = []
    if chosen < every:
        parts.append(f"{chosen} of {every} moments")
    if how.seeds < len(seeds):
        parts.append(f"the first {how.seeds} of {len(seeds)} seeds" if how.seeds > 1 else f"the first of {len(seeds)} seeds")
    if part:
        parts.append(f"the first {how.columns} × {how.columns} samples of each sheet")
    return f"To keep this file small it holds {', '.join(parts)}; the rest lies with the runs." if parts else ""


def picture(path: Path, how: Layout) -> Picture | None:
    """The sheet in a PNG file, or the upper left of it, in the room that there is; None when it is no picture."""
    try:
        with Image.open(path) as opened:
            by_class, whole = "Classes" in opened.info, np.asarray(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    small, times = (whole, 1) if by_class else taken_back(whole)
    shown = small if by_class else cropped(small, how.columns, 1 if times > 1 else GAP)
    part = shown.shape != small.shape
    small = shown if times > 1 else thumbnail(shown, how.side)
    kind, content = fitted(small, how.room, lossless=times > 1)
    height, width = small.shape[:2]
    return Picture(f"data:image/{kind};base64,{base64.b64encode(content).decode()}", width, height, times > 1, part)


def cropped(picture: Pixels, columns: int, gap: int) -> Pixels:
    """The first columns of the first so many rows of a sheet of COLUMNS × COLUMNS; anything else as it is."""
    pitches = [(side - gap) / COLUMNS for side in picture.shape[:2]]
    if columns >= COLUMNS or any(pitch != int(pitch) or pitch <= gap for pitch in pitches):
        return picture
    height, width = (int(pitch) * columns + gap for pitch in pitches)
    return picture[:height, :width]


def thumbnail(picture: Pixels, side: int) -> Pixels:
    """With its longer side at so many pixels at most."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def fitted(picture: Pixels, room: int, lossless: bool) -> tuple[str, bytes]:
    """Format and bytes, as good as the room allows: every pixel with as many bits of its colour as fit, or with loss."""
    if lossless:
        for bits in BITS:
            kind = "webp" if WEBP else "png"
            content = saved(rounded(picture, bits), kind, **({"lossless": True, "method": 1} if WEBP else {}))
            if len(content) <= room:
                return kind, content
            if len(content) > 1.7 * room:  # fewer bits will not do
                break
    kind = "webp" if WEBP else "jpeg"
    for quality in QUALITIES:
        content = saved(picture, kind, quality=quality, **({"method": 2, "use_sharp_yuv": True} if WEBP else {}))
        if len(content) <= room:
            return kind, content
    return fitted(picture[::2, ::2], room, lossless=False) if min(picture.shape[:2]) > 16 else (kind, content)
