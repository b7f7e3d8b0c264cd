"""Voxels drawn as lit boxes: arrays to pictures, with numpy alone.

A grid is (D, H, W) = (left to right, front to back, floor to top), as the bundled chairs are:
they face low H and stand on W = 0. At turn 0 and height 0 the viewer looks straight at the front.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansaku.errors import UsageError

Color = tuple[int, int, int]
Floats = NDArray[np.float32]
Whole = NDArray[np.integer[Any]]

WOOD: Color = (226, 172, 112)
WHITE: Color = (255, 255, 255)
WIRE = (168, 172, 180)

FILLED = 0.96  # of the picture's side, by the grid at its widest turn
FINER = 2  # samples per pixel and side
LIGHT = np.array([0.35, -0.35, 1.0]) / math.hypot(0.35, 0.35, 1.0)  # from the upper right, from the viewer's side
AT_ONCE = 2_000_000  # samples tested in one go, which bounds the memory that a noisy grid takes


def draw(
    voxels: NDArray[Any],
    size: int = 256,
    *,
    threshold: float = 0.0,
    turn: float = 30,
    height: float = 25,
    color: Color = WOOD,
    background: Color = WHITE,
) -> NDArray[np.uint8]:
    """(D, H, W) in [-1, 1], or bool -> (size, size, 3): a box wherever a value exceeds `threshold`, seen from far away.

    `turn` degrees: the grid is turned counterclockwise as seen from above, so at 30 its front looks 30 degrees to the
    viewer's right. `height` degrees: how far the viewer stands above the grid's middle, from -90 to 90.
    The scale does not depend on `turn` or on what is occupied, so the pictures of a turntable fit together.
    A grid with nothing in it is drawn as the wire of its bounds. NaN is not occupied.

    Raises UsageError when the grid does not have three sides, a side is 0, or `size` or `height` is out of range.
    """
    checked(voxels, size, turn, height)
    quarters, rest = divmod(turn % 360, 90)
    occupied = voxels if voxels.dtype == bool else voxels > threshold
    occupied = np.rot90(occupied, int(quarters), axes=(0, 1))
    view = looking(occupied.shape, size, math.radians(rest), math.radians(height))
    # From here on axis a grows towards the viewer: nearer boxes come later, and only the far ends are looked at.
    occupied = occupied[::-1, ::-1, :: view.upwards]
    if not occupied.any():
        return wire(occupied.shape, view, size, background)
    covered, light = shaded(visible(occupied, view), view, size)
    covered, light = pooled(covered, size), pooled(light, size)
    return rounded(light[..., None] * floats(color) + (1 - covered)[..., None] * floats(background))


def sheet(voxels: NDArray[Any], columns: int = 8, size: int = 128, **how: Any) -> NDArray[np.uint8]:
    """(N, D, H, W) -> (rows * size, columns * size, 3): grid i in row i // columns; `how` is handed to `draw`."""
    if voxels.ndim != 4 or not len(voxels) or columns < 1:
        raise UsageError("voxels", f"a sheet needs (N, D, H, W) and a column, not {voxels.shape} and {columns}")
    rows = -(-len(voxels) // columns)
    picture = np.empty((rows, size, columns, size, 3), np.uint8)
    picture[:] = how.get("background", WHITE)
    for index, grid in enumerate(voxels):
        picture[index // columns, :, index % columns] = draw(grid, size, **how)
    return picture.reshape(rows * size, columns * size, 3)


def checked(voxels: NDArray[Any], size: int, turn: float, height: float) -> None:
    """Raises UsageError unless these can be drawn."""
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise UsageError("voxels", f"shape {voxels.shape} is not one grid of voxels; give (D, H, W), each at least 1")
    if size < 1:
        raise UsageError("size", f"{size} is not a number of pixels; give 1 or more")
    if not math.isfinite(turn):
        raise UsageError("turn", f"{turn} is not an angle; give degrees")
    if not -90 <= height <= 90:
        raise UsageError("height", f"{height} degrees is not between -90 (from below) and 90 (from above)")


class View(NamedTuple):
    """Where the grid's axes point, each reversed where needed to grow towards the viewer."""

    upwards: int  # -1 when seen from below, where the third axis is reversed
    steps: Floats  # (3, 2): one voxel along each axis, in samples (right, down)
    origin: Floats  # (2,): the corner where all axes begin
    towards: Floats  # (3,): how much of one voxel along each axis is towards the viewer
    light: Floats  # (3,): brightness of the faces that look along each axis


def looking(shape: tuple[int, ...], size: int, turn: float, height: float) -> View:
    """The view of a grid turned by 0 to 90 degrees, in radians: its front, its left and its top or bottom are seen."""
    upwards = -1 if height < 0 else 1
    (c, s), (rise, run) = (math.cos(turn), math.sin(turn)), (math.sin(height), math.cos(height))
    widest = math.hypot(shape[0], shape[1])
    scale = FILLED * FINER * size / max(widest, shape[2] * run + widest * abs(rise))
    axes = np.array([[-c, -s, 0], [s, -c, 0], [0, 0, upwards]])  # in the room: right, away from the viewer, up
    steps = scale * axes @ np.array([[1, 0], [0, -rise], [0, -run]])
    middle = FINER * size / 2
    lit = 0.5 + 0.5 * axes @ LIGHT  # never 0, so that faces turned away from the light keep their edges
    return View(
        upwards,
        floats(steps),
        floats(middle - np.array(shape) @ steps / 2),
        floats(axes @ np.array([0, -run, rise])),
        floats(0.3 + 0.85 * lit),
    )


class Faces(NamedTuple):
    """The sides of boxes that look towards the viewer and touch no other box, from far to near."""

    axis: Whole  # (N,): where it looks
    corner: Floats  # (N, 2): where its first corner is, in samples
    light: Floats  # (N,)


def visible(occupied: NDArray[np.bool_], view: View) -> Faces:
    """Faces in the order of their boxes: no box can hide one that comes later, for all axes grow towards the viewer."""
    low = [int(occupied.any(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3)]
    padded = np.pad(occupied[low[0] :, low[1] :, low[2] :], 1)
    inner = padded[1:-1, 1:-1, 1:-1]
    seen = np.empty((*inner.shape, 3), bool)
    np.greater(inner, padded[2:, 1:-1, 1:-1], out=seen[..., 0])
    np.greater(inner, padded[1:-1, 2:, 1:-1], out=seen[..., 1])
    np.greater(inner, padded[1:-1, 1:-1, 2:], out=seen[..., 2])
    box, axis = np.divmod(np.flatnonzero(seen), 3)
    place = np.stack(np.unravel_index(box, inner.shape), axis=1)
    first = floats(place + low)
    first[np.arange(len(axis)), axis] += 1
    deep = first @ view.towards
    far, near = 0.0, float(np.array(occupied.shape) @ view.towards)
    fog = 0.86 + 0.14 * (deep - far) / (near - far)
    light = view.light[axis] * fog * (1 - 0.055 * crowding(padded, place + 1, axis))
    return Faces(axis, view.origin + first @ view.steps, floats(light))


def crowding(padded: NDArray[np.bool_], place: Whole, axis: Whole) -> Whole:
    """(N,) from 0 to 8: how many boxes stand around the spot in front of each face, which keep the light from it."""
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    spot = place @ strides + strides[axis]
    one, other = strides[(axis + 1) % 3], strides[(axis + 2) % 3]
    values = padded.ravel()
    count = np.zeros(len(spot), np.intp)
    for a, b in ((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b):
        count += values[spot + a * one + b * other]
    return count


def shaded(faces: Faces, view: View, size: int) -> tuple[Floats, Floats]:
    """Of every sample: 1 where a face covers it, else 0; and how bright it is, 0 where nothing is."""
    side = FINER * size
    top = np.zeros(side * side, np.int32)  # the number of the face on top, from 1
    planes = [Plane.of(axis, view) for axis in range(3)]
    for axis, plane in enumerate(planes):
        if plane.edge_on:
            continue
        numbers = np.flatnonzero(faces.axis == axis)
        layer = np.zeros_like(top)
        at_once = max(1, AT_ONCE // len(plane.window))
        for start in range(0, len(numbers), at_once):
            some = numbers[start : start + at_once]
            which, where = plane.fill(faces.corner[some], side)
            layer[where] = some[which] + 1  # where faces overlap the last one written stays: the nearest
        np.maximum(top, layer, out=top)
    samples = np.flatnonzero(top)
    covered, light = np.zeros(side * side, np.float32), np.zeros(side * side, np.float32)
    covered[samples] = 1
    on_top = top[samples] - 1
    light[samples] = faces.light[on_top] * edges(faces, on_top, samples, planes, side)
    return covered, light


class Plane(NamedTuple):
    """What the faces that look along one axis share: all are the same parallelogram, moved."""

    edge_on: bool
    inverse: Floats  # (2, 2): samples from the corner -> (along the first side, along the second), 0 to 1 on the face
    widths: Floats  # (2,): the parallelogram's widths across its two sides, in samples
    low: Floats  # (2,): its upper left bound from the corner
    window: Floats  # (M, 2): samples (right, down) that it can cover, from the first one right of and below the bound

    @staticmethod
    def of(axis: int, view: View) -> Plane:
        sides = view.steps[[other for other in range(3) if other != axis]].astype(np.float64)
        area = abs(float(np.linalg.det(sides)))
        lengths = np.hypot(sides[:, 0], sides[:, 1])
        if area < 1e-6 * float(lengths.max()) ** 2:
            nothing = np.zeros((2, 2), np.float32)
            return Plane(True, nothing, nothing[0], nothing[0], nothing)
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ sides
        right, down = np.floor(np.ptp(corners, axis=0)).astype(int) + 2
        window = np.stack(np.meshgrid(np.arange(right), np.arange(down)), axis=-1).reshape(-1, 2)
        return Plane(
            False,
            floats(np.linalg.inv(sides)),
            floats(area / lengths[::-1]),
            floats(corners.min(axis=0)),
            floats(window),
        )

    def fill(self, corner: Floats, side: int) -> tuple[Whole, Whole]:
        """(N, 2) corners -> pairs of a face and a sample whose middle lies on it, face by face."""
        start = np.floor(corner + self.low)
        offset = (start + np.float32(0.5) - corner) @ self.inverse
        along = self.window @ self.inverse
        slack = np.float32(1e-3)  # rounding may not open a gap between two faces that touch
        first = offset[:, :1] + along[:, 0]
        inside = (first >= -slack) & (first <= 1 + slack)
        second = offset[:, 1:] + along[:, 1]
        inside &= (second >= -slack) & (second <= 1 + slack)
        which, spot = np.nonzero(inside)
        begin = (start[:, 1] * side + start[:, 0]).astype(np.int32)
        steps = (self.window[:, 1] * side + self.window[:, 0]).astype(np.int32)
        return which, begin[which] + steps[spot]


def edges(faces: Faces, numbers: Whole, samples: Whole, planes: list[Plane], side: int) -> Floats:
    """How much of its light each sample keeps: less along the rim of its face, where two boxes meet."""
    axis = faces.axis[numbers]
    down, right = np.divmod(samples, side)
    away = np.stack([right, down], axis=1).astype(np.float32) + np.float32(0.5) - faces.corner[numbers]
    inverse, widths = (np.stack([plane[field] for plane in planes])[axis] for field in (1, 2))
    place = np.einsum("ni,nij->nj", away, inverse)
    rim = (np.minimum(place, 1 - place) * widths).min(axis=1)
    box = max(float(plane.widths.max()) for plane in planes)
    line = min(max(0.07 * box, 0.9), 3.0)
    strength = 0.34 * min(1.0, box / (4 * FINER))  # fades where boxes are hardly larger than a line
    return floats(1 - strength * np.clip(1 - rim / line, 0, 1))


def pooled(samples: Floats, size: int) -> Floats:
    """(FINER * size)^2 samples -> (size, size) means."""
    wide = samples.reshape(size, FINER, size, FINER)
    return floats(wide.sum(axis=1) @ floats([1 / FINER**2] * FINER))


def wire(shape: tuple[int, ...], view: View, size: int, background: Color) -> NDArray[np.uint8]:
    """The twelve edges of the grid's bounds, the three that a solid block would hide fainter."""
    ends = view.steps * np.array(shape)[:, None]
    down, right = np.mgrid[:size, :size] + 0.5
    ink = np.zeros((size, size))
    for axis in range(3):
        one, other = (ends[each] for each in range(3) if each != axis)
        for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
            start = (view.origin + a * one + b * other) / FINER
            along = ends[axis] / FINER
            x, y = right - start[0], down - start[1]
            t = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-12), 0, 1)
            distance = np.hypot(x - t * along[0], y - t * along[1])
            ink = np.maximum(ink, (1.0 if a or b else 0.4) * np.clip(1.1 - distance, 0, 1))
    return rounded(floats(background) + ink[..., None] * (floats(WIRE) - floats(background)))


def rounded(picture: Floats) -> NDArray[np.uint8]:
    """To the nearest byte."""
    return (np.clip(picture, 0, 255) + np.float32(0.5)).astype(np.uint8)


def floats(values: Any) -> Floats:
    """Single precision: half the memory, and enough for a picture."""
    return np.asarray(values, dtype=np.float32)
