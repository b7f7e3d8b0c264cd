"""Meshes as voxels."""

import json
import struct
import sys
from itertools import product

import numpy as np
import pytest

from gansaku.data import meshes
from gansaku.data.tally import Bad
from gansaku.errors import UsageError

trimesh = pytest.importorskip("trimesh")


def saved(mesh, kind):
    content = mesh.export(file_type=kind)
    return content.encode() if isinstance(content, str) else content


def box(*sides):
    return trimesh.creation.box(sides)


def spans(grid):
    """The first and last occupied voxel along each axis."""
    return [tuple(np.flatnonzero(grid.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]].tolist()) for axis in range(3)]


def code_of(content, suffix=".off", **how):
    with pytest.raises(Bad) as caught:
        meshes.voxelized(content, suffix, how.get("side", 8), False, "y")
    return caught.value.code


@pytest.mark.parametrize(("up", "found"), [("y", [(3, 4), (0, 7), (0, 3)]), ("z", [(3, 4), (2, 5), (0, 7)])])
def test_a_box_of_1_2_4_fills_its_share_in_the_middle_and_on_the_floor(up, found):
    """x is 1, y is 2, z is 4 long; the longest fills the eight voxels."""
    solid = meshes.voxelized(saved(box(1, 2, 4), "off"), ".off", 8, True, up)
    assert spans(solid) == found
    assert solid.sum() == 2 * 4 * 8
    assert solid.dtype == np.uint8


@pytest.mark.parametrize("kind", ["obj", "off", "stl", "stl_ascii", "ply", "glb"])
def test_every_format_gives_the_same_voxels(kind):
    mesh = trimesh.util.concatenate([box(1, 2, 3), trimesh.creation.icosphere(2, 0.8)])
    mesh.apply_translation((5, -7, 11))
    found = meshes.voxelized(saved(mesh, kind), f".{kind.split('_')[0].upper()}", 20, False, "y")
    assert np.array_equal(found, meshes.voxelized(saved(mesh, "off"), ".off", 20, False, "y"))
    assert spans(found)[1] == (0, 19)


def test_solid_fills_what_the_surface_encloses():
    surface, solid = (meshes.voxelized(saved(box(2, 2, 2), "off"), ".off", 10, how, "y") for how in (False, True))
    assert solid.all()
    assert surface.sum() == 10**3 - 8**3
    assert not surface[1:-1, 1:-1, 1:-1].any()


def test_a_bowl_is_not_filled():
    open_box = box(2, 2, 2)
    open_box.update_faces(open_box.face_normals[:, 1] < 0.5)
    found = meshes.voxelized(saved(open_box, "off"), ".off", 10, True, "y")
    assert not found[1:-1, 1:-1, 1:].any()
    assert found[:, :, 0].all()


def test_a_sphere_has_its_volume_and_its_symmetry():
    found = meshes.voxelized(saved(trimesh.creation.icosphere(4), "ply"), ".ply", 40, True, "y")
    assert 1 < found.sum() / (4 / 3 * np.pi * 20**3) < 1.1
    for axis in range(2):
        assert np.array_equal(found, np.flip(found, axis))


def test_models_stand_as_binvox_files_of_them_do():
    """A marker at high x, on the floor, at low z (y up) or low y (z up): at our left or right, in front."""
    for up, place, seen in (("y", (1, 0, 0), (0, 0, 0)), ("z", (1, 0, 0), (7, 0, 0))):
        mesh = trimesh.util.concatenate([box(0.9, 0.9, 0.9).apply_translation(np.array(corner) * 7) for corner in
                                         [(0, 0, 0), (1, 1, 1), place]])  # fmt: skip
        found = meshes.voxelized(saved(mesh, "off"), ".off", 8, True, up)
        others = {"y": {(7, 0, 0), (0, 7, 7)}, "z": {(0, 0, 0), (7, 7, 7)}}[up]
        assert {tuple(one) for one in np.argwhere(found).tolist()} == {seen, *others}


def crossed(a, b, triangle):
    """Whether the segment from a to b meets the triangle (Moeller and Trumbore)."""
    e1, e2 = triangle[1] - triangle[0], triangle[2] - triangle[0]
    p = np.cross(b - a, e2)
    det = e1 @ p
    if abs(det) < 1e-12:
        return False
    t = a - triangle[0]
    u, q = t @ p / det, np.cross(t, e1)
    v, w = (b - a) @ q / det, e2 @ q / det
    return u >= 0 and v >= 0 and u + v <= 1 and 0 <= w <= 1


def marked(triangles, side):
    grid = np.zeros((side,) * 3, bool)
    for points in (meshes.edge_points(triangles), *(meshes.crossings(triangles, axis, side) for axis in range(3))):
        grid[tuple(np.floor(points).astype(int).clip(0, side - 1).T)] = True
    return grid


@pytest.mark.parametrize("seed", range(6))
def test_no_path_leads_through_a_face_and_no_voxel_is_far_from_one(seed):
    side = 6
    triangle = np.random.default_rng(seed).random((3, 3)) * side
    grid = marked(triangle[None], side)
    for place in product(range(side), repeat=3):
        for axis in range(3):
            other = tuple(at + (number == axis) for number, at in enumerate(place))
            if other[axis] < side and crossed(np.array(place) + 0.5, np.array(other) + 0.5, triangle):
                assert grid[place] or grid[other]
    steps = np.linspace(0, 1, 200)
    first, second = (part.reshape(-1, 1) for part in np.meshgrid(steps, steps))
    inside = (first + second <= 1).ravel()
    dense = (triangle[0] + first * (triangle[1] - triangle[0]) + second * (triangle[2] - triangle[0]))[inside]
    touched = np.zeros((side,) * 3, bool)
    for shift in product((-0.05, 0, 0.05), repeat=3):
        touched[tuple(np.floor(dense + shift).astype(int).clip(0, side - 1).T)] = True
    assert not (grid & ~touched).any()
    assert grid.any()


def test_parts_of_a_large_mesh_give_the_same_as_the_whole(monkeypatch):
    content = saved(trimesh.creation.torus(1, 0.4), "ply")
    whole = meshes.voxelized(content, ".ply", 24, False, "y")
    monkeypatch.setattr(meshes, "CELLS_AT_ONCE", 50)
    assert np.array_equal(meshes.voxelized(content, ".ply", 24, False, "y"), whole)


def test_thin_rods_are_not_lost():
    rods = trimesh.util.concatenate([box(0.001, 10, 0.001).apply_translation((x, 0, x)) for x in (0.0, 3.3, 9.7)])
    found = meshes.voxelized(saved(rods, "off"), ".off", 16, True, "y")
    assert (found.any(axis=(0, 1))).all()
    assert found[:, :, 5].sum() == 3


def test_modelnets_header_with_the_counts_in_its_line_is_read():
    content = saved(box(1, 2, 4), "off")
    glued = content.replace(b"OFF\n", b"OFF", 1)
    assert glued.startswith(b"OFF8 12")
    assert np.array_equal(*(meshes.voxelized(one, ".off", 8, True, "z") for one in (content, glued)))


@pytest.mark.parametrize("encoding", ["latin-1", "cp932", "utf-8"])
def test_comments_may_be_in_any_encoding(encoding):
    word = "é".encode(encoding) if encoding == "latin-1" else "椅子".encode(encoding)
    content = b"# " + word + b"\n" + saved(box(1, 2, 4), "obj").replace(b"\nf ", b"\ng " + word + b"\nf ", 1)
    assert meshes.voxelized(content, ".obj", 8, True, "y").sum() == 64


def glb(change):
    """A box as GLB with its description changed."""
    content = saved(box(1, 2, 4), "glb")
    length = int.from_bytes(content[12:16], "little")
    tree = json.loads(content[20 : 20 + length])
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + length :]
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + rest


def test_a_glb_that_keeps_its_content_elsewhere_is_refused():
    assert meshes.voxelized(glb(lambda tree: None), ".glb", 8, True, "y").sum() == 64
    assert code_of(glb(lambda tree: tree["buffers"][0].update(uri="../secret.bin")), ".glb") == "MESH_EXTERNAL"


@pytest.mark.parametrize("change", [
    lambda tree: tree["accessors"].append({"type": "MAT4", "componentType": 5126, "count": 10**12}),
    lambda tree: tree["nodes"].extend([{"mesh": 0}] * 600_000),
    lambda tree: tree["accessors"].append({"type": "SCALAR", "componentType": 5126, "count": -1}),
])  # fmt: skip
def test_a_glb_that_asks_for_more_than_it_has_is_refused(change):
    assert code_of(glb(change), ".glb") == "MESH_LARGE"


OFF = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 {}\n3 0 1 2\n"


@pytest.mark.parametrize(("suffix", "content", "code"), [
    (".off", b"", "MESH_EMPTY"), (".off", b"nothing of the kind", "MESH_CORRUPT"), (".off", b"OFF\n9 9 9\n", "MESH_CORRUPT"),
    (".off", OFF.format("1 0").replace("3 0 1 2", "3 0 1 7").encode(), "MESH_CORRUPT"),
    (".off", OFF.format("nan 0").encode(), "MESH_EXTENT"), (".off", OFF.format("inf 0").encode(), "MESH_EXTENT"),
    (".off", b"OFF\n3 1 0\n1 1 1\n1 1 1\n1 1 1\n3 0 1 2\n", "MESH_EXTENT"),
    (".off", b"OFF\n999999999 999999999 0\n0 0 0\n", "MESH_CORRUPT"),
    (".off", b"OFF\n3 1 0\n1e308 0 0\n-1e308 0 0\n0 1 0\n3 0 1 2\n", "MESH_EXTENT"),
    (".obj", b"v 0 0 0\nv 1 0 0\n", "MESH_EMPTY"), (".obj", b"v 0 0 0\nf 1 2 9\n", "MESH_CORRUPT"),
    (".stl", b"\0" * 80 + b"\xff\xff\xff\x7f" + b"\0" * 50, "MESH_CORRUPT"), (".stl", b"solid x\n", "MESH_EMPTY"),
    (".ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
             b"end_header\n0 0 0\n", "MESH_EMPTY"),
    (".ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 3000000000\nproperty float x\nend_header\n0",
     "MESH_CORRUPT"),
    (".glb", b"glTF", "MESH_CORRUPT"), (".glb", b"glTF\2\0\0\0\x14\0\0\0\xff\xff\xff\xff", "MESH_CORRUPT"),
])  # fmt: skip
def test_each_fault_has_its_code(suffix, content, code):
    assert code_of(content, suffix) == code


def test_materials_are_not_looked_for(tmp_path, monkeypatch):
    (tmp_path / "secret.mtl").write_text("newmtl a\nmap_Kd secret.png\n")
    monkeypatch.chdir(tmp_path)
    opened = []
    usual = open
    monkeypatch.setattr("builtins.open", lambda *given, **named: opened.append(given) or usual(*given, **named))
    content = b"mtllib secret.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    assert meshes.voxelized(content, ".obj", 4, False, "y").any()
    assert not [one for one in opened if "secret" in str(one)]


@pytest.mark.parametrize(("limit", "value"), [("LARGEST_FILE", 100), ("MOST_FACES", 11), ("MOST_CELLS", 100)])
def test_what_would_take_too_long_is_refused(limit, value, monkeypatch):
    monkeypatch.setattr(meshes, limit, value)
    assert code_of(saved(box(1, 2, 4), "off")) == "MESH_LARGE"


def test_without_the_library_the_message_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(UsageError, match=r"gansaku\[meshes\]"):
        meshes.voxelized(b"OFF", ".off", 8, False, "y")
