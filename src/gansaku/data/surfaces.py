"""The surface of voxels as a mesh of triangles that closes, written as OBJ or GLB.

Every visible side of a box is two triangles, so that volume and area are those of the boxes. Two boxes that touch along an edge
alone, as stairs of thin parts do, have corners of their own there: each edge belongs to exactly two triangles, which run
along it in opposite directions, as solid modelling and printing want it.

In the file y points up and what looks along -z faces the front, as in ShapeNet and in a `.binvox`; the longest side of the
grid is 1 long and the grid begins at 0, as a `.binvox` of translate 0 and scale 1 has it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansaku.errors import printable
from gansaku.render.voxels import WOOD

Whole = NDArray[np.int64]


class Surface(NamedTuple):
    """`points` (V, 3) in half voxels of the grid, `triangles` (T, 3) of points, counterclockwise as seen from outside."""

    points: Whole
    triangles: Whole
    shape: tuple[int, ...]


class Sides(NamedTuple):
    """The visible sides of boxes: `corners` (F, 4, 3) around each, counterclockwise as seen from outside; `box` (F,)."""

    corners: Whole
    box: Whole


def surface(grid: NDArray[np.bool_]) -> Surface:
    """(D, H, W) -> the surface of its boxes; no triangles for an empty grid."""
    sides = sides_of(grid)
    count = len(sides.box)
    if not count:
        return Surface(np.zeros((0, 3), np.int64), np.zeros((0, 3), np.int64), grid.shape)
    first, second = paired(sides, grid.shape)
    of_corner = joined(first, second, count)
    points = np.empty((of_corner.max() + 1, 3), np.int64)
    points[of_corner.ravel()] = 2 * sides.corners.reshape(-1, 3)
    triangles = [of_corner[:, [0, 1, 2]], of_corner[:, [0, 2, 3]]]
    twice = doubled(of_corner, first)
    if len(twice):
        middles = of_corner.max() + 1 + np.arange(len(twice))
        ends = of_corner.ravel()[np.stack([first[twice], following(first[twice])])]
        points = np.concatenate([points, points[ends].sum(axis=0) // 2])
        split = dict(zip(np.concatenate([first[twice], second[twice]]).tolist(), [*middles, *middles], strict=True))
        changed = sorted({slot // 4 for slot in split})
        triangles = [np.delete(part, changed, axis=0) for part in triangles]
        triangles += [np.array(fan(of_corner[side].tolist(), side, split)) for side in changed]
    return Surface(points, np.concatenate(triangles), grid.shape)


def sides_of(grid: NDArray[np.bool_]) -> Sides:
    """Where a box has no neighbour."""
    padded, shape = np.pad(grid, 1), grid.shape
    corners, boxes = [], []
    for axis in range(3):
        u, v = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
        for up in (0, 1):
            beyond = np.roll(padded, -1 if up else 1, axis)[1:-1, 1:-1, 1:-1]
            place = np.argwhere(grid & ~beyond)
            start = place + up * np.eye(3, dtype=np.int64)[axis]
            around = [0 * u, u, u + v, v] if up else [0 * u, v, u + v, u]  # u x v looks up the axis
            corners.append(start[:, None] + np.stack(around))
            boxes.append(np.ravel_multi_index(place.T, shape))
    return Sides(np.concatenate(corners), np.concatenate(boxes))


def paired(sides: Sides, shape: tuple[int, ...]) -> tuple[Whole, Whole]:
    """(E,), (E,): the slots that meet along an edge. Slot 4 f + k goes from corner k of side f to the next.

    Where two boxes touch along an edge alone four meet; there the two of the same box do.
    """
    strides = np.array([(shape[1] + 1) * (shape[2] + 1), shape[2] + 1, 1])
    begins = sides.corners @ strides
    ends = np.roll(begins, -1, axis=1)
    edge = np.minimum(begins, ends) * 3 + np.searchsorted(strides[::-1], abs(ends - begins))
    order = np.lexsort([sides.box.repeat(4), edge.ravel()])
    return order[0::2], order[1::2]


def following(slots: Whole) -> Whole:
    """The slots of the same sides that begin where these end."""
    return slots - slots % 4 + (slots + 1) % 4


def joined(first: Whole, second: Whole, count: int) -> Whole:
    """(F, 4): the point of each corner of each side. Corners that meet along an edge are one point."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = np.concatenate([first, following(first)]), np.concatenate([following(second), second])
    links = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(4 * count, 4 * count))
    found: Whole = connected_components(links, directed=False)[1].astype(np.int64).reshape(count, 4)
    return found


def doubled(of_corner: Whole, first: Whole) -> Whole:
    """Which edges have the same two points as another one, and so need a point between them to be told apart.

    Two boxes that touch along an edge alone may hang together around both of its ends.
    """
    ends = np.sort(np.stack([of_corner.ravel()[first], of_corner.ravel()[following(first)]], axis=1), axis=1)
    _, which, times = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    return np.flatnonzero(times[which.ravel()] > 1)


def fan(corners: list[int], side: int, split: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """The triangles of a side with points in the middle of some of its edges, from the first of these."""
    around: list[int] = []
    for slot, corner in enumerate(corners):
        around += [corner, *([split[4 * side + slot]] if 4 * side + slot in split else [])]
    start = next(at for at, point in enumerate(around) if point not in corners)
    around = around[start:] + around[:start]
    return [(around[0], one, other) for one, other in pairwise(around[1:])]


def placed(found: Surface) -> NDArray[np.float64]:
    """(V, 3): x, y and z of the points in the file."""
    d, h, w = (found.points / (2 * max(found.shape))).T
    return np.stack([found.shape[0] / max(found.shape) - d, w, h], axis=1)


def obj(grid: NDArray[np.bool_], notes: Mapping[str, str]) -> bytes:
    """The bytes of an OBJ of the grid's surface, with the notes as comments."""
    found = surface(grid)
    lines = [f"# {printable(name)}: {printable(text)}" for name, text in notes.items()]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in placed(found).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (found.triangles + 1).tolist()]
    return "\n".join([*lines, ""]).encode()


def glb(grid: NDArray[np.bool_], notes: Mapping[str, str]) -> bytes:
    """The bytes of a GLB, binary glTF 2.0, of the grid's surface in the colour of wood, with the notes as `asset.extras`.

    Without normals, which readers then take from the faces: flat, as boxes are. An empty grid is a scene with nothing in it.
    """
    found = surface(grid)
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Gansaku", "extras": dict(notes)},
        "scene": 0,
        "scenes": [{"nodes": [0]} if len(found.triangles) else {}],
    }
    content = b""
    if len(found.triangles):
        points, corners = placed(found).astype("<f4"), found.triangles.astype("<u4")
        content = points.tobytes() + corners.tobytes()
        wood = [round((part / 255) ** 2.2, 4) for part in WOOD]  # glTF's colours are linear light
        tree |= {
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
            "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [*wood, 1], "metallicFactor": 0}}],
            "buffers": [{"byteLength": len(content)}],
            "bufferViews": [
                {"buffer": 0, "byteOffset": 0, "byteLength": points.nbytes, "target": 34962},
                {"buffer": 0, "byteOffset": points.nbytes, "byteLength": corners.nbytes, "target": 34963},
            ],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": len(points), "type": "VEC3",
                 "min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()},
                {"bufferView": 1, "componentType": 5125, "count": corners.size, "type": "SCALAR"},
            ],
        }  # fmt: skip
    return packed(json.dumps(tree).encode(), content)


def packed(tree: bytes, content: bytes) -> bytes:
    """The two chunks of a GLB, each filled up to whole words, behind its head; an empty second one is left out."""
    tree += b" " * (-len(tree) % 4)
    chunks = struct.pack("<I4s", len(tree), b"JSON") + tree
    if content:
        chunks += struct.pack("<I4s", len(content), b"BIN\0") + content
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
