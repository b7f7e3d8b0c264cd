"""Meshes as voxels: which voxels the faces of an OBJ, OFF, STL, PLY or GLB file pass through, or enclose.

The longest side of what the faces span fills the grid; the rest is in the middle from left to right and front to back,
and stands on the floor. A voxel is occupied when an edge comes near (sampled twice a voxel) or when the line between the
middles of two neighbours crosses a face within it, so that no path from voxel to neighbouring voxel leads through a face
(6-separating; Huang et al. 1998, "An accurate method for voxelizing polygon meshes").

Needs trimesh, which reads the files. No other file is opened: neither materials nor textures nor outside buffers.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku.data.content import Bytes
from gansaku.data.grids import MOST_VOXELS
from gansaku.data.tally import Bad
from gansaku.errors import UsageError

SUFFIXES = (".obj", ".off", ".stl", ".ply", ".glb")
LARGEST_FILE = 1 << 26  # bytes
MOST_FACES = 2_000_000
MOST_CELLS = 300_000_000  # that the faces cover, each from three sides: about ten seconds
CELLS_AT_ONCE = 1 << 20
HAIR = 1e-6  # of a side left free: faces that would lie between two voxels move inwards, the same on both sides of a model
SLACK = 1e-9  # voxels; a line through an edge that two faces share must not pass between them

Points = NDArray[np.float64]
Numbers = NDArray[np.int64]


def voxelized(content: bytes, suffix: str, side: int, solid: bool, up: str) -> Bytes:
    """(side, side, side) of 0/1 in the store's axes. `solid` also fills what the faces enclose; `up` is the file's axis.

    Raises Bad for what cannot be read (MESH_CORRUPT), has no faces (MESH_EMPTY), no finite extent (MESH_EXTENT), too many
    faces (MESH_LARGE) or its content in other files (MESH_EXTERNAL); UsageError where trimesh is not installed.
    """
    assert 1 <= side**3 <= MOST_VOXELS
    triangles = standing_on(faces_of(content, suffix), side, up)
    if cells(triangles).sum() > MOST_CELLS:
        raise Bad(f"has {len(triangles):,} faces that overlap too often for a grid of {side}; simplify it or give a smaller "
                  "--size", "MESH_LARGE")  # fmt: skip
    grid = np.zeros((side, side, side), np.uint8)
    for part in parts_of(triangles):
        for points in (edge_points(part), *(crossings(part, axis, side) for axis in range(3))):
            d, h, w = np.floor(points).astype(np.int64).clip(0, side - 1).T
            grid[d, h, w] = 1
    return filled(grid) if solid else grid


def reader() -> Any:
    """The library that reads meshes. Raises UsageError where it is not installed."""
    try:
        import trimesh
    except ImportError as error:
        raise UsageError("meshes", "are read by trimesh, which is not installed; install gansaku[meshes]", "EXTRA") from error
    return trimesh


def faces_of(content: bytes, suffix: str) -> Points:
    """(T, 3, 3): the corners x, y, z of each triangle. Raises Bad as `voxelized`."""
    trimesh = reader()
    if len(content) > LARGEST_FILE:
        raise Bad(f"is a mesh of {len(content):,} bytes; at most {LARGEST_FILE:,} are read", "MESH_LARGE")
    if not content:
        raise Bad("is empty; copy or download it again", "MESH_EMPTY")
    kind = suffix.lower().removeprefix(".")
    try:
        if kind == "glb":
            check_glb(content)
        if kind == "stl":
            check_stl(content)
        if kind in ("obj", "off"):  # names and comments may be in any encoding; numbers are not
            content = content.decode("ascii", "replace").encode()
        if kind == "off":  # in ModelNet the counts often follow the word in its line
            content = re.sub(rb"\A\s*(C?OFF)(?=\d)", rb"\1\n", content)
        with np.errstate(all="ignore"):
            mesh = trimesh.load(io.BytesIO(content), file_type=kind, force="mesh", process=False, skip_materials=True)
        corners = np.asarray(mesh.vertices, np.float64).reshape(-1, 3)
        faces = np.asarray(mesh.faces, np.int64).reshape(-1, 3)
    except Bad:
        raise
    except Exception as error:  # a parser of five formats raises whatever a damaged file leads it to
        raise Bad(f"cannot be read as {kind.upper()} ({str(error)[:80] or type(error).__name__}); write it again",
                  "MESH_CORRUPT") from error  # fmt: skip
    if not len(faces):
        raise Bad("has no faces; points alone enclose nothing", "MESH_EMPTY")
    if len(faces) > MOST_FACES:
        raise Bad(f"has {len(faces):,} faces, and at most {MOST_FACES:,} are read; simplify it", "MESH_LARGE")
    if faces.min() < 0 or faces.max() >= len(corners):
        raise Bad(f"has faces of corner {faces.max()}, and {len(corners):,} corners; write it again", "MESH_CORRUPT")
    return corners[faces]


def check_stl(content: bytes) -> None:
    """Raises Bad for a binary file that holds fewer triangles than it says: 80 bytes, their number, 50 bytes for each.

    The library would read such bytes as text, and find nothing, where it has something that guesses encodings.
    """
    count = int.from_bytes(content[80:84], "little") if len(content) >= 84 else 0
    text = content.lstrip().startswith(b"solid") and b"\0" not in content
    if not text and (len(content) < 84 or len(content) < 84 + 50 * count):
        held = max(0, len(content) - 84) // 50
        raise Bad(f"says that it has {count:,} triangles and holds {held:,}; copy or download it again", "MESH_CORRUPT")


def check_glb(content: bytes) -> None:
    """Raises Bad for a GLB that refers to other files, or that asks for far more memory than it has bytes."""
    tree = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    for buffer in tree.get("buffers", ()):
        if not buffer.get("uri", "data:").startswith("data:"):
            raise Bad(
                f"keeps its content in {buffer['uri'][:80]!r}, which is not opened; export it as one .glb", "MESH_EXTERNAL"
            )
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
    counts = [int(accessor["count"]) for accessor in tree.get("accessors", ())]
    values = sum(count * width[one["type"]] for count, one in zip(counts, tree.get("accessors", ()), strict=True))
    corners = [
        sum(counts[one["indices"] if "indices" in one else one["attributes"]["POSITION"]] for one in mesh["primitives"])
        for mesh in tree.get("meshes", ())
    ]
    shown = sum(corners[node["mesh"]] for node in tree.get("nodes", ()) if "mesh" in node)
    if min(counts, default=0) < 0 or values > 16 * MOST_FACES or shown > 3 * MOST_FACES:
        raise Bad(f"has {values:,} numbers and {shown // 3:,} faces by its description, and at most {MOST_FACES:,} faces are "
                  "read; simplify it", "MESH_LARGE")  # fmt: skip


def standing_on(triangles: Points, side: int, up: str) -> Points:
    """The same triangles in voxels of the store's axes, as the top of this file says. Raises Bad (MESH_EXTENT)."""
    x, y, z = np.moveaxis(triangles, -1, 0)
    turned = np.stack((-x, z, y) if up == "y" else (x, y, z), axis=-1)
    low, high = turned.min(axis=(0, 1)), turned.max(axis=(0, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        longest = float((high - low).max())
    if not math.isfinite(longest) or longest <= 0 or not math.isfinite(side / longest):
        raise Bad("has corners that are not finite numbers, or all at one place; write it again", "MESH_EXTENT")
    hair = side * HAIR
    scale = (side - 2 * hair) / longest
    free = (side - (high - low) * scale) / 2
    free[2] = 0
    stood: Points = (turned - low) * scale + free
    return stood


def cells(triangles: Points) -> Numbers:
    """(T,): about how many voxels each triangle may cross, seen along the three axes."""
    d, h, w = (np.ptp(triangles, axis=1) + 2).T
    found: Numbers = (d * h + h * w + w * d).astype(np.int64)
    return found


def parts_of(triangles: Points) -> Iterator[Points]:
    """The triangles in parts that take a bounded memory each."""
    places = np.cumsum(cells(triangles)) // CELLS_AT_ONCE
    yield from np.split(triangles, np.flatnonzero(np.diff(places)) + 1)


def edge_points(triangles: Points) -> Points:
    """(N, 3): points on all edges, from end to end, half a voxel apart or less."""
    begins, ends = triangles.reshape(-1, 3), np.roll(triangles, -1, axis=1).reshape(-1, 3)
    steps = np.ceil(2 * np.linalg.norm(ends - begins, axis=1)).astype(np.int64) + 1
    which, number = counted(steps)
    along = (number / np.maximum(1, steps[which] - 1))[:, None]
    points: Points = begins[which] + along * (ends - begins)[which]
    return points


def crossings(triangles: Points, axis: int, side: int) -> Points:
    """(N, 3): where the lines along an axis through the middles of voxels cross the triangles."""
    u, v = (other for other in range(3) if other != axis)
    low, high = triangles[:, :, v].min(axis=1), triangles[:, :, v].max(axis=1)
    first = middles_from(low).clip(0)
    which, number = counted((middles_to(high).clip(max=side - 1) - first + 1).clip(0))
    line = (first[which] + number + 0.5)[:, None]
    # Each edge that reaches the line crosses it at one point; the triangle lies between the outermost two of them.
    begins, ends = triangles[which], np.roll(triangles, -1, axis=1)[which]
    rise = ends[:, :, v] - begins[:, :, v]
    along = ((line - begins[:, :, v]) / np.where(rise == 0, 1, rise)).clip(0, 1)
    reaches = np.abs(begins[:, :, v] + along * rise - line) <= SLACK
    across = begins[:, :, u] + along * (ends - begins)[:, :, u]
    depth = begins[:, :, axis] + along * (ends - begins)[:, :, axis]
    rows = np.arange(len(which))
    left = np.where(reaches, across, np.inf).argmin(axis=1)
    right = np.where(reaches, across, -np.inf).argmax(axis=1)
    some = reaches.any(axis=1)
    begin, end = across[rows, left], across[rows, right]
    first = middles_from(begin).clip(0)
    row, number = counted(np.where(some, middles_to(end).clip(max=side - 1) - first + 1, 0).clip(0))
    place = first[row] + number + 0.5
    width = (end - begin)[row]
    share = ((place - begin[row]) / np.where(width == 0, 1, width)).clip(0, 1)
    points = np.empty((len(row), 3))
    points[:, u], points[:, v] = place, line[row, 0]
    points[:, axis] = depth[row, left[row]] * (1 - share) + depth[row, right[row]] * share
    return points


def middles_from(values: Points) -> Numbers:
    """The first voxel whose middle is at this value or after it."""
    return np.ceil(values - 0.5 - SLACK).astype(np.int64)


def middles_to(values: Points) -> Numbers:
    """The last voxel whose middle is at this value or before it."""
    return np.floor(values - 0.5 + SLACK).astype(np.int64)


def counted(counts: Numbers) -> tuple[Numbers, Numbers]:
    """[2, 0, 3] -> [0, 0, 2, 2, 2] and [0, 1, 0, 1, 2]."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)


def filled(grid: Bytes) -> Bytes:
    """The same with every empty region that no path from voxel to neighbouring voxel joins to the outside occupied."""
    from scipy import ndimage

    regions, count = ndimage.label(np.pad(grid, 1) == 0)
    inside = np.ones(count + 1, np.uint8)
    inside[regions[0, 0, 0]] = 0  # the padding, and all that it touches
    found: Bytes = inside[regions[1:-1, 1:-1, 1:-1]]
    return found
