"""Folders of voxel files: which count, how they stand, their sizes, classes and splits."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from making import error_of, folder_of, picture, shared
from scipy.io import savemat

from gansaku.data import binvox, grids, hdf5, voxel_sets
from gansaku.data.policy import Policy
from gansaku.data.tally import Tally
from gansaku.data.tree import in_folder
from gansaku.errors import DataError, Stopped, UsageError

BOX = b"OFF\n8 6 0\n" + b"".join(b"%d %d %d\n" % (x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 4)) + (
    b"4 0 1 3 2\n4 4 5 7 6\n4 0 1 5 4\n4 2 3 7 6\n4 0 2 6 4\n4 1 3 7 5\n")  # fmt: skip


def grid(seed=0, shape=(4, 4, 4)):
    return (np.random.default_rng(seed).random(shape) < 0.5).astype(np.uint8)


def saved(seed=0, shape=(4, 4, 4)):
    return binvox.write(grid(seed, shape))


def stood(seed=0, shape=(4, 4, 4)):
    return binvox.up(grid(seed, shape), "y")


def npy(content):
    stream = io.BytesIO()
    np.save(stream, content)
    return stream.getvalue()


def mat(content):
    stream = io.BytesIO()
    savemat(stream, {"instance": content})
    return stream.getvalue()


@contextmanager
def opened(folder, tally=None, **choices):
    tally = tally or Tally(source="source", max_bad=1)
    with voxel_sets.content(in_folder(folder, tally), Policy(**choices), tally) as content:
        yield content, tally


def read(folder, tally=None, **choices):
    """{name: (grid, class, split, turn)}, and what the tally has in the end."""
    with opened(folder, tally, **choices) as (content, tally):
        found, splits, done = {}, [], 0
        for block in content.blocks(0):
            assert block.samples.shape[1:] == (*content.shape[1:], 1)
            splits.append(block.split)
            done += block.read
            turns = block.columns.get("turn", [None] * len(block.names))
            for name, sample, label, turn in zip(block.names, block.samples, block.labels, turns, strict=True):
                assert name not in found
                found[name] = (sample[..., 0], content.classes[label] if content.classes else "", block.split, turn)
            tally.add(block.account)
        assert splits == sorted(splits, key=["train", "test"].index)
        assert done == content.total
    return found, tally


def names_of(found):
    return {name: one[1:3] for name, one in found.items()}


def test_each_format_stands_in_the_stores_axes(tmp_path):
    own = grid(5)
    found, tally = read(folder_of(tmp_path, {
        "a.binvox": saved(1), "b.npy": npy(own), "c.h5": hdf5.write_sample(own), "d.mat": mat(own), "e.off": BOX,
        "f.hdf5": hdf5.write_sample(grid(6)), "notes.txt": b"", ".hidden.binvox": saved(),
    }), size=4)  # fmt: skip
    assert np.array_equal(found["a.binvox"][0], stood(1))
    assert np.array_equal(found["b.npy"][0], own)
    assert np.array_equal(found["c.h5"][0], own)
    assert np.array_equal(found["d.mat"][0], grids.turned(own, 1))
    assert found["e.off"][0][:, :, 3].any()
    assert np.array_equal(found["f.hdf5"][0], grid(6))
    assert (tally.files, tally.ignored, tally.skipped) == (6, 2, [])
    assert tally.more["formats"] == {"binvox": 1, "npy": 1, "h5": 1, "mat": 1, "off": 1, "hdf5": 1}


@pytest.mark.parametrize("up", ["y", "z"])
def test_the_axis_that_points_up_may_be_said(tmp_path, up):
    """A line along x, one along y and one along z, each longer: the one that is said stands."""
    shape = (2, 3, 4)
    content = grid(1, shape)
    found, _ = read(folder_of(tmp_path, {
        "a.binvox": binvox.write(content.transpose(0, 2, 1)), "b.npy": npy(content), "c.mat": mat(content),
        "d.h5": hdf5.write_sample(grids.standing(content, "y")),
    }), up=up, size=4)  # fmt: skip
    wanted = grids.cubed(grids.standing(content, up))
    assert all(np.array_equal(one[0], wanted) for one in found.values())


def test_shapenets_own_layout_is_one_class_with_the_kind_that_is_asked_for(tmp_path):
    models = {}
    for seed, model in enumerate(("1006be65e7bc937e9141f9b58470d646", "1007e20d5e811b308351982a6e40cf41")):
        place = f"03001627/{model}/models/model_normalized"
        models |= {f"{place}.solid.binvox": saved(seed), f"{place}.surface.binvox": saved(seed + 10), f"{place}.obj": b"",
                   f"{place}.json": b"{}", f"03001627/{model}/images/texture0.png": picture(1),
                   f"03001627/{model}/screenshots/front.png": picture(1)}  # fmt: skip
    folder_of(tmp_path, models)
    assert voxel_sets.holds_voxels(in_folder(tmp_path, Tally()))
    for mesh, more in (("solid", 0), ("surface", 10)):
        found, tally = read(tmp_path, mesh=mesh)
        assert len(found) == 2
        assert all(name.endswith(f"models/model_normalized.{mesh}.binvox") for name in found)
        assert {one[1] for one in found.values()} == {"03001627"}
        assert [np.array_equal(one[0], stood(seed + more)) for seed, one in enumerate(found.values())] == [True, True]
        assert (tally.files, tally.ignored, tally.warned) == (2, 10, {})
    folder_of(tmp_path, {"02691156/a1/models/model_normalized.solid.binvox": saved(3)})
    found, _ = read(tmp_path, mesh="solid")
    assert {one[1] for one in found.values()} == {"03001627", "02691156"}


def test_a_grid_is_taken_rather_than_the_mesh_it_was_made_of(tmp_path):
    found, tally = read(folder_of(tmp_path, {"a.obj": b"", "a.binvox": saved(), "b.off": BOX}), size=4)
    assert (list(found), tally.ignored) == (["a.binvox", "b.off"], 1)


def test_modelnets_meshes_have_their_class_and_split(tmp_path):
    names = [f"{label}/{split}/{label}_000{i}.off" for label in ("chair", "sofa") for i, split in enumerate(("train", "test"))]
    found, _ = read(folder_of(tmp_path, dict.fromkeys(names, BOX)), size=8)
    assert names_of(found) == {name: tuple(name.split("/")[:2]) for name in names}
    assert all(spans(one[0]) == [(3, 4), (2, 5), (0, 7)] for one in found.values())


def spans(found):
    return [tuple(np.flatnonzero(found.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]].tolist()) for axis in range(3)]


@pytest.mark.parametrize("labels", [("chair",), ("chair", "sofa")])
def test_modelnets_grids_have_their_class_and_split_and_no_warning(tmp_path, labels):
    names = [f"{label}/30/{split}/{label}_{i}_1.mat" for label in labels for i, split in enumerate(("train", "test"))]
    found, tally = read(folder_of(tmp_path, {name: mat(grid(i)) for i, name in enumerate(names)}))
    assert names_of(found) == {name: (name.split("/")[0] if len(labels) > 1 else "", name.split("/")[2]) for name in names}
    assert not tally.warned


def test_folders_are_classes_and_the_readers_rules_hold(tmp_path):
    found, _ = read(folder_of(tmp_path, {"car/1.binvox": saved(1), "bus/1.binvox": saved(2)}))
    assert names_of(found) == {"car/1.binvox": ("car", "train"), "bus/1.binvox": ("bus", "train")}
    (tmp_path / "train").mkdir()
    assert "CLASS_EMPTY" in read(tmp_path)[1].warned
    assert (
        error_of(DataError, read, folder_of(tmp_path / "flat", {"1.binvox": saved()}), conditional=True).code == "DATA_CLASSES"
    )
    assert {one[1] for one in read(tmp_path, layout="flat")[0].values()} == {""}


def test_all_bad_files_are_told_at_once_with_their_codes(tmp_path):
    bad = {
        "a.binvox": b"", "b.binvox": saved()[:-2], "c.npy": npy(np.array([{}], object)), "d.npy": npy(grid(1))[:-1],
        "e.npy": npy(grid(1, (2, 4, 4, 4))), "f.npy": npy(np.array(["a"])), "g.npy": b"text", "h.mat": b"text",
        "i.h5": b"text", "j.off": b"text", "k.npy": npy(grid(1) * 2), "l.binvox": saved(0, (4, 4, 3)),
    }  # fmt: skip
    codes = ["BVX_MAGIC", "BVX_SHORT", "NPY_OBJECT", "NPY_SHORT", "VOX_SHAPE", "NPY_TYPE", "NPY_CORRUPT", "MAT_CORRUPT",
             "H5_CORRUPT", "MESH_CORRUPT", "VOX_VALUE", None]  # fmt: skip
    folder_of(tmp_path, {f"bad/{name}": content for name, content in bad.items()} | {"bad/z.binvox": saved()})
    found, tally = read(tmp_path, size=4)
    assert list(found) == ["bad/l.binvox", "bad/z.binvox"]
    assert {name.removeprefix("bad/"): code for name, _, code in tally.skipped} == {
        name: code for name, code in zip(bad, codes, strict=True) if code
    }
    error = error_of(Stopped, read, folder_of(tmp_path / "few", {"x.binvox": b"", "y.binvox": saved()}), Tally(source="source"))
    assert (error.code, "x.binvox" in str(error)) == ("DATA_BAD", True)


def test_a_grid_that_is_no_cube_is_left_out_unless_a_size_is_asked_for(tmp_path):
    folder_of(tmp_path, {"a.binvox": saved(0, (4, 4, 3)), "b.binvox": saved(1)})
    assert read(tmp_path)[1].skipped == [["a.binvox", "is 4x4x3, not a cube; --size 4 pads it to one", "VOX_SIZE"]]
    found, tally = read(tmp_path, size=4)
    assert np.array_equal(found["a.binvox"][0], grids.cubed(stood(0, (4, 4, 3))))
    assert tally.converted == {"4x4x3 to 4x4x4 voxels": 1}


def test_grids_of_several_sizes_need_one(tmp_path):
    folder_of(tmp_path, {"a.binvox": saved(), "b.binvox": saved(1, (6, 6, 6)), "c.binvox": saved(2, (5, 5, 5))})
    error = error_of(DataError, read, tmp_path)
    assert error.code == "VOX_SIZES"
    assert "3 sizes, from 4x4x4 to 6x6x6" in str(error)
    found, _ = read(tmp_path, size=6, resample="any")
    assert np.array_equal(found["b.binvox"][0], stood(1, (6, 6, 6)))
    assert np.array_equal(found["c.binvox"][0], grids.resampled(stood(2, (5, 5, 5)), 6, "any"))


def test_meshes_need_a_size_and_come_to_it_without_resampling(tmp_path):
    folder_of(tmp_path, {"a.off": BOX})
    assert error_of(DataError, read, tmp_path).code == "VOX_SIZES"
    assert error_of(UsageError, read, tmp_path, size=4, pad=2).code == "RANGE"
    found, _ = read(tmp_path, size=20, double=True, pad=2, mesh="solid")
    assert spans(found["a.off"][0]) == [(8, 11), (6, 13), (2, 17)]
    assert found["a.off"][0].sum() == 4 * 8 * 16


def test_doubling_and_padding_need_no_size(tmp_path):
    found, _ = read(folder_of(tmp_path, {"a.binvox": saved()}), double=True, pad=(1, 2))
    assert np.array_equal(found["a.binvox"][0][1:-2, 1:-2, 1:-2], grids.doubled(stood()))


@pytest.mark.parametrize(("turns", "angles"), [(1, [None]), (2, [0, 180]), (4, [0, 90, 180, 270])])
def test_each_grid_comes_at_each_turn_with_its_angle(tmp_path, turns, angles):
    found, _ = read(folder_of(tmp_path, {"a.binvox": saved(), "b.binvox": saved(1)}), rotations=turns, held_out=0.5)
    assert len(found) == 2 * turns
    assert [one[3] for one in found.values()] == angles * 2
    for seed, file in enumerate(("a.binvox", "b.binvox")):
        for angle in angles:
            turned = grids.turned(stood(seed), (angle or 0) // 90)
            assert np.array_equal(found[f"{file}_r{angle}" if angle else file][0], turned)
        assert len({one[2] for name, one in found.items() if name.startswith(file)}) == 1  # never in both splits
    assert {one[2] for one in found.values()} == {"train", "test"}


def test_blank_grids_are_left_out_without_fault(tmp_path):
    one = np.zeros((8, 8, 8), np.uint8)
    one[3, 3, 3] = 1
    folder_of(tmp_path, {"a.binvox": binvox.write(one * 0), "b.binvox": binvox.write(one * 0 + 1), "c.binvox": saved(),
                         "d.binvox": binvox.write(one)})  # fmt: skip
    found, tally = read(tmp_path, size=4)
    assert list(found) == ["c.binvox"]
    assert [(name, code) for name, _, code in tally.skipped] == [(f"{name}.binvox", "VOX_BLANK") for name in "abd"]
    assert "--resample any keeps thin parts" in tally.skipped[2][1]
    assert tally.bad == 0
    assert "d.binvox" in read(tmp_path, size=4, resample="any")[0]


def test_warnings_of_a_file_are_counted(tmp_path):
    plain = saved().replace(b"scale 1\n", b"")
    assert read(folder_of(tmp_path, {"a.binvox": plain}))[1].warned == {"BVX_HEADER": 1}


def test_what_is_held_out_does_not_depend_on_the_order_and_a_test_split_stays(tmp_path):
    folder_of(tmp_path / "a", {f"{i}.binvox": saved(i) for i in range(10)})
    found, _ = read(tmp_path / "a", held_out=0.2)
    assert sum(one[2] == "test" for one in found.values()) == 2
    folder_of(tmp_path / "b", {"train/1.binvox": saved(1), "test/1.binvox": saved(2)})
    found, _ = read(tmp_path / "b", held_out=0.5)
    assert names_of(found) == {"train/1.binvox": ("", "train"), "test/1.binvox": ("", "test")}


@pytest.mark.parametrize(("names", "voxels"), [
    (["a.binvox"], True), (["a/b.off", "read.me"], True), (["a.png"], False), (["a.png", "b.binvox"], False),
    ([".a.binvox"], False), ([], False), (["m/models/a.binvox", "m/images/a.png"], True),
    (["m/models/a.binvox", "n/images/a.png"], False), (["models/a.binvox", "images/a.png"], False),
])  # fmt: skip
def test_a_source_is_voxels_when_it_has_no_pictures_of_its_own(tmp_path, names, voxels):
    assert voxel_sets.holds_voxels(in_folder(folder_of(tmp_path, dict.fromkeys(names, b"")), Tally())) is voxels


def test_blocks_are_the_same_from_any_number_on(tmp_path, monkeypatch):
    monkeypatch.setattr(voxel_sets, "block_of", lambda files: 2)
    with opened(folder_of(tmp_path, {f"{i}.binvox": saved(i) for i in range(7)})) as (content, _):
        whole, rest = list(content.blocks(0)), list(content.blocks(2))
    assert [len(block.samples) for block in whole] == [2, 2, 2, 1]
    assert [list(block.names) for block in rest] == [list(block.names) for block in whole[2:]]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(rest, whole[2:], strict=True))


def test_a_file_beyond_all_measure_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(voxel_sets, "LARGEST_FILE", 200)
    folder_of(tmp_path, {"a.binvox": saved() + b"\0" * 200, "b.binvox": saved(1)})
    assert [code for _, _, code in read(tmp_path)[1].skipped] == ["FILE_LARGE"]


def test_modelnets_chairs_face_the_front(tmp_path):
    """Of 889 chairs as they lie in ModelNet's .mat, the backs are behind: high H is fuller above the seat than low H."""
    bits = np.load(shared("chairs_30_bits.npz"))["voxels_packed"][::40]
    chairs = np.unpackbits(bits, axis=1)[:, :27000].reshape(-1, 30, 30, 30)
    found, _ = read(folder_of(tmp_path, {f"{i}.mat": mat(chair) for i, chair in enumerate(chairs)}))
    mean = np.mean([one[0] for one in found.values()], axis=0)
    assert mean[:, 15:, 16:].sum() > 3 * mean[:, :15, 16:].sum()
    assert np.abs(mean - mean[::-1]).mean() < 0.1 * mean.mean()
