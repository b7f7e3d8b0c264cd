"""The sides of boxes as a picture has them: which look at the viewer, where, how bright, and which lies on top.

Seen from far away all that look along one axis are the same parallelogram, moved. A pixel is FINER samples wide and high.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Exact = NDArray[np.float64]
Whole = NDArray[np.integer[Any]]

FILLED = 0.96  # of the picture's side, by the grid at its widest turn
FINER = 2  # samples per pixel and side
LIGHT = np.array([0.35, -0.35, 1.0]) / math.hypot(0.35, 0.35, 1.0)  # from the upper right, from the viewer's side
AT_ONCE = 200_000  # samples tested in one go, which bounds the memory that a noisy grid takes
SLACK = 1e-9  # of a face's side: rounding may not open a gap between two faces that touch


class View(NamedTuple):
    """Where the grid's axes point, each reversed where needed to grow towards the viewer."""

    upwards: int  # -1 when seen from below, where the third axis is reversed
    steps: Exact  # (3, 2): one voxel along each axis, in samples (right, down)
    origin: Exact  # (2,): the corner where all axes begin
    towards: Exact  # (3,): how much of one voxel along each axis is towards the viewer
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
        steps,
        middle - np.array(shape) @ steps / 2,
        axes @ np.array([0, -run, rise]),
        floats(0.3 + 0.85 * lit),
    )


class Faces(NamedTuple):
    """The sides of boxes that look towards the viewer and touch no other box, from far to near."""

    axis: Whole  # (N,): where it looks
    place: Whole  # (N, 3): its box
    corner: Exact  # (N, 2): where its first corner is, in samples
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
    place = np.stack(np.unravel_index(box, inner.shape), axis=1) + low
    first = place.astype(np.float64)
    first[np.arange(len(axis)), axis] += 1
    deep = first @ view.towards
    far, near = 0.0, float(np.array(occupied.shape) @ view.towards)
    fog = 0.86 + 0.14 * (deep - far) / (near - far)
    light = view.light[axis] * fog * (1 - 0.055 * crowding(padded, place - low + 1, axis))
    return Faces(axis, place, view.origin + first @ view.steps, floats(light))


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


def topmost(faces: Faces, planes: list[Plane], side: int, above: Whole | None = None) -> Whole:
    """(side * side,): the number, from 1, of the face that covers each sample nearest to the viewer; 0 where there is none.

    With `above`, such numbers of an earlier call, the one under that face.
    """
    top = np.zeros(side * side, np.int32)
    for axis, plane in enumerate(planes):
        if plane.edge_on:
            continue
        numbers = np.flatnonzero(faces.axis == axis)
        at_once = max(1, AT_ONCE // len(plane.window))
        for start in range(0, len(numbers), at_once):
            some = numbers[start : start + at_once]
            which, where = plane.fill(faces.corner[some], side)
            number = some[which] + 1
            nearer = number > top[where]
            if above is not None:
                nearer &= number < above[where]
            top[where[nearer]] = number[nearer]  # where faces overlap the last one written stays: the nearest
    return top


class Plane(NamedTuple):
    """What the faces that look along one axis share: all are the same parallelogram, moved."""

    edge_on: bool
    inverse: Exact  # (2, 2): samples from the corner -> (along the first side, along the second), 0 to 1 on the face
    widths: Exact  # (2,): the parallelogram's widths across its two sides, in samples
    low: Exact  # (2,): its upper left bound from the corner
    window: Exact  # (M, 2): samples (right, down) that it can cover, from the first one right of and below the bound

    @staticmethod
    def of(axis: int, view: View) -> Plane:
        sides = view.steps[[other for other in range(3) if other != axis]]
        area = abs(float(np.linalg.det(sides)))
        lengths = np.hypot(sides[:, 0], sides[:, 1])
        if area < 1e-6 * float(lengths.max()) ** 2:
            nothing = np.zeros((2, 2))
            return Plane(True, nothing, nothing[0], nothing[0], nothing)
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ sides
        right, down = np.floor(np.ptp(corners, axis=0)).astype(int) + 2
        window = np.stack(np.meshgrid(np.arange(right), np.arange(down)), axis=-1).reshape(-1, 2)
        return Plane(
            False,
            np.asarray(np.linalg.inv(sides), np.float64),
            np.asarray(area / lengths[::-1], np.float64),
            corners.min(axis=0),
            window.astype(np.float64),
        )

    def fill(self, corner: Exact, side: int) -> tuple[Whole, Whole]:
        """(N, 2) corners -> pairs of a face and a sample whose middle lies on it, face by face."""
        start = np.floor(corner + self.low)
        offset = (start + 0.5 - corner) @ self.inverse
        along = self.window @ self.inverse
        first = offset[:, :1] + along[:, 0]
        inside = (first >= -SLACK) & (first <= 1 + SLACK)
        second = offset[:, 1:] + along[:, 1]
        inside &= (second >= -SLACK) & (second <= 1 + SLACK)
        which, spot = np.nonzero(inside)
        begin = (start[:, 1] * side + start[:, 0]).astype(np.int32)
        steps = (self.window[:, 1] * side + self.window[:, 0]).astype(np.int32)
        return which, begin[which] + steps[spot]


def edges(faces: Faces, numbers: Whole, samples: Whole, planes: list[Plane], side: int) -> Floats:
    """How much of its light each sample keeps: less along the rim of its face, where two boxes meet."""
    down, right = np.divmod(samples, side)
    axis, corner = faces.axis[numbers], faces.corner[numbers]
    x, y = floats(right + 0.5 - corner[:, 0]), floats(down + 0.5 - corner[:, 1])
    rim = np.empty(len(samples), np.float32)
    for each, plane in enumerate(planes):
        mine = np.flatnonzero(axis == each)
        first, second = floats(plane.inverse.T) @ np.stack([x[mine], y[mine]])
        one, other = floats(plane.widths)
        rim[mine] = np.minimum(np.minimum(first, 1 - first) * one, np.minimum(second, 1 - second) * other)
    box = max(float(plane.widths.max()) for plane in planes)
    line = min(max(0.07 * box, 0.9), 3.0)
    strength = 0.34 * min(1.0, box / (4 * FINER))  # fades where boxes are hardly larger than a line
    return floats(1 - strength * np.clip(1 - rim / line, 0, 1))


def floats(values: Any) -> Floats:
    """Single precision: half the memory, and enough for a picture."""
    return np.asarray(values, dtype=np.float32)
