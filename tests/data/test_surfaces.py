"""The surface of voxels closes, encloses exactly them, and is read back as the same voxels."""

import io
import json
import struct

import numpy as np
import pytest

from gansaku.data import bundled
from gansaku.data.binvox import up
from gansaku.data.surfaces import glb, obj, surface

trimesh = pytest.importorskip("trimesh")


def noise(*shape, share=0.35, seed=0):
    return np.random.default_rng(seed).random(shape) < share


def boxes(shape, *places):
    grid = np.zeros(shape, bool)
    for place in places:
        grid[place] = True
    return grid


def exposed(grid):
    """How many sides of boxes touch no other box."""
    return sum(int(np.abs(np.diff(np.pad(grid, 1).astype(int), axis=axis)).sum()) for axis in range(3))


PILLARS = np.ones((3, 3, 3), bool)  # two that touch along an edge, between two plates: both ends of the edge hang together
PILLARS[:, :, 1] = boxes((3, 3), (0, 0), (1, 1))

GRIDS = {
    "one box": boxes((1, 1, 1), (0, 0, 0)),
    "two that touch along an edge": boxes((2, 2, 1), (0, 0, 0), (1, 1, 0)),
    "two that touch at a corner": boxes((2, 2, 2), (0, 0, 0), (1, 1, 1)),
    "pillars between plates": PILLARS,
    "every second": np.indices((5, 4, 3)).sum(0) % 2 == 0,
    "a hollow one": np.pad(np.zeros((2, 3, 2), bool), 1, constant_values=True),
    **{f"noise of {share:.0%}": noise(5, 6, 7, share=share) for share in (0.1, 0.35, 0.5, 0.65, 0.9)},
    "a chair": bundled.chairs(3, 32)[2],
}


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def grid(request):
    return request.param


class TestSurface:
    def test_each_edge_is_met_by_two_triangles_in_opposite_directions(self, grid):
        triangles = surface(grid).triangles
        ways = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
        unique, times = np.unique(ways, axis=0, return_counts=True)
        assert (times == 1).all()
        back = {(b, a) for a, b in unique.tolist()}
        assert back == set(map(tuple, unique.tolist()))

    def test_its_volume_is_that_of_the_boxes_and_its_area_that_of_their_sides(self, grid):
        found = surface(grid)
        a, b, c = (found.points / 2)[found.triangles].transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        assert np.linalg.norm(normals, axis=1).min() > 0
        assert (a * normals).sum() / 6 == pytest.approx(grid.sum())
        assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(exposed(grid))

    def test_no_point_is_there_for_nothing(self, grid):
        found = surface(grid)
        assert set(found.triangles.ravel().tolist()) == set(range(len(found.points)))


def test_a_box_is_twelve_triangles_of_eight_points():
    found = surface(GRIDS["one box"])
    assert (found.points.shape, found.triangles.shape) == ((8, 3), (12, 3))


def test_boxes_that_touch_along_an_edge_or_at_a_corner_share_no_point():
    for name in ("two that touch along an edge", "two that touch at a corner"):
        assert len(surface(GRIDS[name]).points) == 16


def test_only_an_edge_whose_ends_both_hang_together_has_points_in_its_middle():
    odd = {name: (surface(grid).points % 2).any(axis=1).sum() for name, grid in GRIDS.items()}
    assert odd["pillars between plates"] == 2
    assert odd["two that touch along an edge"] == odd["a chair"] == 0


@pytest.mark.parametrize(("kind", "write"), [("obj", obj), ("glb", glb)])
class TestFiles:
    def test_another_reader_finds_a_watertight_mesh_of_the_same_volume(self, kind, write, grid):
        found = trimesh.load(io.BytesIO(write(grid, {})), file_type=kind, force="mesh", process=False)
        side = max(grid.shape)
        assert found.is_watertight
        assert found.is_winding_consistent
        assert found.volume * side**3 == pytest.approx(grid.sum(), rel=1e-5)
        assert found.area * side**2 == pytest.approx(exposed(grid), rel=1e-5)
        assert found.bounds.min() >= 0
        assert found.bounds.max() <= 1 + 1e-6

    def test_it_winds_once_around_the_middle_of_each_voxel_and_not_around_others(self, kind, write):
        grid = noise(5, 6, 7, share=0.5)
        found = trimesh.load(io.BytesIO(write(grid, {})), file_type=kind, force="mesh", process=False)
        x, y, z = (7 * np.asarray(found.vertices)[np.asarray(found.faces)]).transpose(2, 0, 1)
        corners = np.stack([5 - x, z, y], axis=-1)
        assert (windings(corners, np.argwhere(np.ones_like(grid)) + 0.5).round(3).reshape(grid.shape) == grid).all()

    def test_y_is_up_and_the_front_looks_along_minus_z(self, kind, write):
        """D from left to right is -x, H away from the viewer z, W from the floor y, as in a `.binvox`."""
        grid = boxes((4, 3, 2), (0, 2, 1))
        found = trimesh.load(io.BytesIO(write(grid, {})), file_type=kind, force="mesh", process=False)
        np.testing.assert_allclose(found.bounds * 4, [[3, 1, 2], [4, 2, 3]])
        assert np.argwhere(up(grid, "y")).tolist() == [[3, 2, 1]]  # [x][z][y] of the file

    def test_an_empty_grid_is_a_file_without_faces(self, kind, write):
        content = write(np.zeros((3, 3, 3), bool), {"Run": "mine"})
        assert b"mine" in content
        assert b"\nf " not in content
        if kind == "glb":
            assert "meshes" not in tree_of(content)


def windings(triangles, points):
    """(P,): how often the triangles (T, 3, 3) wind around each point, by the solid angles under which it sees them.

    Van Oosterom and Strackee 1983.
    """
    a, b, c = (triangles[None] - points[:, None, None]).transpose(2, 0, 1, 3)
    la, lb, lc = (np.linalg.norm(one, axis=-1) for one in (a, b, c))
    above = (a * np.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.arctan2(above, below).sum(1) / (2 * np.pi)


def tree_of(content):
    """The JSON of a GLB."""
    magic, version, length = struct.unpack("<4sII", content[:12])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack("<I4s", content[12:20])
    assert kind == b"JSON"
    assert size % 4 == 0
    return json.loads(content[20 : 20 + size])


def test_a_glb_says_what_its_bytes_are_and_where_it_comes_from():
    content = glb(GRIDS["a chair"], {"Run": "mine", "Sample": "7"})
    tree, found = tree_of(content), surface(GRIDS["a chair"])
    points, corners = tree["accessors"]
    assert tree["asset"]["extras"] == {"Run": "mine", "Sample": "7"}
    assert (points["count"], corners["count"]) == (len(found.points), 3 * len(found.triangles))
    assert sum(view["byteLength"] for view in tree["bufferViews"]) == tree["buffers"][0]["byteLength"]
    assert (np.array(points["min"]) >= 0).all()
    assert (np.array(points["max"]) <= 1).all()


def test_notes_of_an_obj_cannot_become_lines_of_their_own():
    assert obj(GRIDS["one box"], {"Run": "a\nv 9 9 9\x1b"}).split(b"\n")[0] == rb"# Run: a\nv 9 9 9\x1b"
