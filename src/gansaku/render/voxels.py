"""Voxels drawn as lit boxes: arrays to pictures, with numpy alone.

A grid is (D, H, W) = (left to right, front to back, floor to top), as the bundled chairs are:
they face low H and stand on W = 0. At turn 0 and height 0 the viewer looks straight at the front.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku.errors import UsageError, nearest
from gansaku.render.faces import FINER, Faces, Floats, Plane, View, edges, floats, looking, topmost, visible
from gansaku.render.ramps import ramped

Color = tuple[int, int, int]

WOOD: Color = (226, 172, 112)
WHITE: Color = (255, 255, 255)
WIRE = (168, 172, 180)
SCALES = ("height", "probability")  # what a color may stand for

FAINTEST = 1 / 512  # of a sample: what would add less is not looked for
LEAST = 1 / 255  # opacity: less would be rounded away, and nothing drawn


def draw(
    voxels: NDArray[Any],
    size: int = 256,
    *,
    threshold: float = 0.0,
    turn: float = 30,
    height: float = 25,
    color: Color | str = WOOD,
    background: Color | None = WHITE,
    opacity: float = 1.0,
) -> NDArray[np.uint8]:
    """(D, H, W) in [-1, 1], or bool -> (size, size, 3): a box wherever a value exceeds `threshold`, seen from far away.

    `turn` degrees: the grid is turned counterclockwise as seen from above, so at 30 its front looks 30 degrees to the
    viewer's right. `height` degrees: how far the viewer stands above the grid's middle, from -90 to 90.
    The scale does not depend on `turn` or on what is occupied, so the pictures of a turntable fit together.
    A grid with nothing in it is drawn as the wire of its bounds. NaN is not occupied.

    `color` "height" shows how high each box stands, from the floor (0) to the grid's top (1), "probability" (v + 1) / 2 of
    its value v, both as `ramped` colors them. `opacity` below 1 lets faces shine through each other: each hides so much of
    what lies behind it. Without a background the picture is (size, size, 4), its last channel how much is covered.

    Raises UsageError when the grid does not have three sides, a side is 0, the color is unknown, or `size`, `height` or
    `opacity` is out of range.
    """
    checked(voxels, size, turn, height, color, opacity)
    quarters, rest = divmod(turn % 360, 90)
    seen = partial(as_seen, quarters=int(quarters), upwards=-1 if height < 0 else 1)
    occupied = seen(voxels if voxels.dtype == bool else voxels > threshold)
    view = looking(occupied.shape, size, math.radians(rest), math.radians(height))
    if not occupied.any():
        return on(background, wire(occupied.shape, view, size))
    faces = visible(occupied, view)
    own = ramped(seen(shares(voxels, color))[tuple(faces.place.T)]) if isinstance(color, str) else floats([[max(*color, 1)]])
    picture = composed(faces, np.minimum(faces.light * own, 255), view, size, opacity)
    if not isinstance(color, str):  # all have the same, so that one channel tells the others
        picture = np.concatenate([picture[:1] * floats(color)[:, None, None] / own, picture[1:]])
    return on(background, picture)


def checked(voxels: NDArray[Any], size: int, turn: float, height: float, color: Color | str, opacity: float) -> None:
    """Raises UsageError unless these can be drawn."""
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise UsageError("voxels", f"shape {voxels.shape} is not one grid of voxels; give (D, H, W), each at least 1")
    if size < 1:
        raise UsageError("size", f"{size} is not a number of pixels; give 1 or more")
    if not math.isfinite(turn):
        raise UsageError("turn", f"{turn} is not an angle; give degrees")
    if not -90 <= height <= 90:
        raise UsageError("height", f"{height} degrees is not between -90 (from below) and 90 (from above)")
    if isinstance(color, str) and color not in SCALES:
        raise UsageError("color", f"{color!r} is no color for boxes{nearest(color, list(SCALES))}")
    if not LEAST <= opacity <= 1:
        raise UsageError("opacity", f"{opacity} is not 1/255 (less is not to be seen) up to 1 (hides all behind it)")


def as_seen(values: NDArray[Any], quarters: int, upwards: int) -> NDArray[Any]:
    """The grid with every axis growing towards the viewer: nearer boxes come later, and only the far ends are looked at."""
    return np.rot90(values, quarters, axes=(0, 1))[::-1, ::-1, ::upwards]


def shares(voxels: NDArray[Any], color: str) -> NDArray[Any]:
    """(D, H, W) from 0 to 1: what a color stands for, of each box."""
    if color == "height":
        return np.broadcast_to((np.arange(voxels.shape[2]) + 0.5) / voxels.shape[2], voxels.shape)
    return np.ones(voxels.shape, np.float32) if voxels.dtype == bool else (floats(voxels) + 1) / 2


def composed(faces: Faces, paint: Floats, view: View, size: int, opacity: float) -> Floats:
    """(C + 1, size, size): the faces' paint (C, N), from 0 to 255, times the cover, and the cover itself, from 0 to 1."""
    side = FINER * size
    planes = [Plane.of(axis, view) for axis in range(3)]
    picture = np.zeros((len(paint) + 1, side * side), np.float32)
    top, weight = None, opacity
    while weight >= FAINTEST:
        top = topmost(faces, planes, side, top)
        samples = np.flatnonzero(top)
        if not len(samples):
            break
        numbers = top[samples] - 1
        light = floats(weight * edges(faces, numbers, samples, planes, side))
        for channel, own in zip(picture, paint, strict=False):
            channel[samples] += own[numbers] * light
        picture[-1, samples] += weight
        weight *= 1 - opacity
    return floats(picture.reshape(-1, size, FINER, size, FINER).sum(axis=2) @ floats([1 / FINER**2] * FINER))


def wire(shape: tuple[int, ...], view: View, size: int) -> Floats:
    """The twelve edges of the grid's bounds, the three that a solid block would hide fainter; colored."""
    ends = view.steps * np.array(shape)[:, None]
    down, right = np.mgrid[:size, :size] + 0.5
    cover = np.zeros((size, size))
    for axis in range(3):
        one, other = (ends[each] for each in range(3) if each != axis)
        for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
            start = (view.origin + a * one + b * other) / FINER
            along = ends[axis] / FINER
            x, y = right - start[0], down - start[1]
            t = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-12), 0, 1)
            distance = np.hypot(x - t * along[0], y - t * along[1])
            cover = np.maximum(cover, (1.0 if a or b else 0.4) * np.clip(1.1 - distance, 0, 1))
    return floats(cover * np.array([*WIRE, 1])[:, None, None])


def on(background: Color | None, picture: Floats) -> NDArray[np.uint8]:
    """(4, size, size), colors times the cover and the cover, on a background; without one the cover is a fourth channel."""
    ink, cover = picture[:3], picture[3:]
    if background is None:
        return rounded(np.concatenate([ink / np.maximum(cover, np.float32(1e-6)), 255 * cover]))
    return rounded(ink + (1 - cover) * floats(background)[:, None, None])


def rounded(picture: Floats) -> NDArray[np.uint8]:
    """(C, H, W) -> (H, W, C), to the nearest byte."""
    return np.ascontiguousarray(np.moveaxis((np.clip(picture, 0, 255) + np.float32(0.5)).astype(np.uint8), 0, -1))
