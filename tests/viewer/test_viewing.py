"""`gansaku view`: what it reads, what it takes of many samples, where the page lies, and what it says of bad input."""

import io
import json
import re
import zlib
from base64 import b64decode

import h5py
import numpy as np
import pytest

import gansaku
from gansaku.cli import main
from gansaku.data import binvox, bundled, hdf5
from gansaku.data.store import open_store
from gansaku.viewer.reading import evenly

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 16, "precision": "fp32"}


def noise(*shape, share=0.3):
    return np.random.default_rng(0).random(shape) < share


def shown(path):
    """(names, grids) of a page."""
    text = path.read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="voxels">([^<]*)</script>', text)[1])["samples"]
    grids = []
    for one in found:
        content = np.frombuffer(zlib.decompress(b64decode(one["data"])), np.uint8)
        values = content if one["soft"] else np.unpackbits(content, count=int(np.prod(one["shape"]))).astype(bool)
        grids.append(values.reshape(one["shape"]))
    return [one["name"] for one in found], grids


def run(capsys, *arguments):
    code = main(["view", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


class TestFiles:
    def test_a_binvox_stands_as_prepare_stands_it_up(self, tmp_path, capsys):
        grid = noise(4, 4, 4)
        folder = tmp_path / "chairs of mine"
        folder.mkdir()
        for path in (folder, tmp_path):
            (path / "chair.binvox").write_bytes(binvox.write(grid))
        assert run(capsys, "chair.binvox") == (0, "chair.binvox.html\n", "")
        assert run(capsys, "chair.binvox", "--up", "z", "--out", "z.html")[0] == 0
        assert (shown(tmp_path / "chair.binvox.html")[1][0] == grid[::-1]).all()
        assert (shown(tmp_path / "z.html")[1][0] == grid.transpose(0, 2, 1)).all()
        gansaku.prepare(folder, "chair.h5")
        assert (open_store(tmp_path / "chair.h5").rows(np.array([0]))[0, ..., 0] == grid[::-1]).all()

    @pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 5), (3, 4, 5, 1)], ids=str)
    def test_an_array_is_one_grid_with_or_without_a_channel(self, tmp_path, shape):
        np.save(tmp_path / "one.npy", noise(3, 4, 5).reshape(shape))
        names, grids = shown(gansaku.view("one.npy"))
        assert names == ["one.npy"]
        assert (grids[0] == noise(3, 4, 5)).all()

    @pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 1, 3, 4, 5), (6, 3, 4, 5, 1)], ids=str)
    def test_an_array_is_many_grids_of_which_some_are_taken_evenly(self, tmp_path, shape):
        np.save(tmp_path / "many.npy", noise(6, 3, 4, 5).reshape(shape))
        names, grids = shown(gansaku.view(tmp_path / "many.npy", n=3))
        assert names == ["many.npy, number 0", "many.npy, number 2", "many.npy, number 5"]
        assert (np.stack(grids) == noise(6, 3, 4, 5)[[0, 2, 5]]).all()

    @pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
    def test_probabilities_keep_their_levels(self, tmp_path, low, high):
        values = np.random.default_rng(0).uniform(low, high, (2, 1, 4, 4, 4)).astype(np.float32)
        np.save(tmp_path / "soft.npy", values)
        _, grids = shown(gansaku.view("soft.npy"))
        assert grids[0].dtype == np.uint8
        assert ((np.stack(grids) >= 128) == (values[:, 0] > (low + high) / 2)).all()

    def test_a_store_the_word_chairs_and_foreign_hdf5_are_read(self, tmp_path, capsys):
        np.save(tmp_path / "many.npy", noise(5, 4, 4, 4))
        gansaku.prepare("many.npy", "many.h5")
        names, grids = shown(gansaku.view("many.h5"))
        assert names == [f"row {i}" for i in range(5)]
        assert (np.stack(grids) == noise(5, 4, 4, 4)).all()
        (tmp_path / "article.h5").write_bytes(hdf5.write_sample(noise(4, 4, 4)))
        assert (shown(gansaku.view("article.h5"))[1][0] == noise(4, 4, 4)).all()
        with h5py.File("foreign.h5", "w") as file:
            file["data"] = noise(5, 4, 4, 4)
        assert len(shown(gansaku.view("foreign.h5"))[1]) == 5

    def test_the_bundled_chairs_are_chairs(self, tmp_path, monkeypatch):
        monkeypatch.setattr("gansaku.data.sources.CHAIRS", 20)
        names, grids = shown(gansaku.view("chairs", n=2, size=16))
        assert names == ["chair 0", "chair 19"]
        assert (np.stack(grids) == bundled.chairs(20, 16)[[0, 19]]).all()

    def test_a_mesh_needs_a_size(self, tmp_path, capsys):
        pytest.importorskip("trimesh")
        (tmp_path / "box.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n")
        assert "give --size 64" in run(capsys, "box.obj")[2]
        assert shown(gansaku.view("box.obj", size=8))[1][0].shape == (8, 8, 8)


def test_some_of_many_are_the_first_the_last_and_between_them_evenly():
    assert evenly(5, 16) == [0, 1, 2, 3, 4]
    assert evenly(100, 1) == [0]
    assert evenly(100, 4) == [0, 33, 66, 99]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "two.npz", x=np.random.default_rng(0).integers(0, 2, (16, 8, 8, 8), np.uint8))
    return gansaku.train("dcgan", str(folder / "two.npz"), folder / "run", SMALL, signals_budget=0,
                             scoring=gansaku.Scoring(share=0))  # fmt: skip


class TestRuns:
    def test_its_samples_are_shown_as_probabilities(self, trained, tmp_path):
        path = gansaku.view(trained.path, tmp_path / "run.html", n=3, seed=5)
        names, grids = shown(path)
        values = trained.sample(3, seed=5)[:, 0].numpy()
        assert names == ["sample 0", "sample 1", "sample 2"]
        assert ((np.stack(grids) >= 128) == (values > 0)).all()
        assert abs((np.stack(grids) + 0.5) / 256 - (values + 1) / 2).max() <= 0.5 / 256 + 1e-6

    def test_the_page_lies_beside_the_run(self, trained, capsys):
        code, out, _ = run(capsys, trained.path, "-n", 1)
        assert (code, out.strip()) == (0, f"{trained.path}.html")

    def test_weights_that_are_not_finite_are_said(self, trained, tmp_path, monkeypatch):
        broken = noise(64, 1, 8, 8, 8).astype(np.float32)
        broken[1, 0, 0, 0, 0] = np.nan
        monkeypatch.setattr("gansaku.runs.samples.sample", lambda *a, **k: gansaku_tensor(broken[: len(a[2])]))
        with pytest.raises(
            gansaku.errors.DataError, match=r"makes values that are not finite, first in sample 1; .*\[NON_FINITE\]"
        ):
            gansaku.view(trained.path, tmp_path / "x.html", n=4)
        assert not (tmp_path / "x.html").exists()


def gansaku_tensor(values):
    import torch

    return torch.from_numpy(values)


def array_file(content):
    stream = io.BytesIO()
    np.save(stream, content, allow_pickle=True)
    return stream.getvalue()


BAD = {
    "zero.binvox": (b"", "is empty, so it is no .binvox file", "BVX_MAGIC"),
    "short.binvox": (binvox.write(noise(4, 4, 4))[:-2], "is cut short", "BVX_SHORT"),
    "huge.binvox": (b"#binvox 1\ndim 100000 100000 100000\ndata\n", "at most 512x512x512 voxels", "BVX_LARGE"),
    "long.binvox": (binvox.write(np.ones((2000, 2, 2), np.uint8)), "at most 1,023 voxels a side", "VIEW_SIDE"),
    "nan.npy": (array_file(np.full((4, 4, 4), np.nan)), "not finite", "IMG_NONFINITE"),
    "seven.npy": (array_file(np.full((4, 4, 4), 7)), "holds values from 7 to 7; voxels are 0 or 1", "VOX_VALUE"),
    "minus.npy": (array_file(np.linspace(-3, 1, 64).reshape(4, 4, 4)), "holds values from -3 to 1", "VOX_VALUE"),
    "flat.npy": (array_file(np.ones((4, 4))), "holds 4x4, which is no grid", "VOX_SHAPE"),
    "none.npy": (array_file(np.ones((0, 4, 4, 4))), "which is no grid", "VOX_SHAPE"),
    "text.npy": (array_file(np.array(["a"])), "samples are numbers", "VOX_SHAPE|NPY_TYPE"),
    "short.npy": (array_file(np.ones((4, 4, 4)))[:-9], "ends before the 64 values", "NPY_SHORT"),
    "wrong.npy": (b"GIF89a", "damaged or cut short", "NPY_CORRUPT"),
    "wrong.h5": (b"GIF89a", "cut short, damaged or of another type", "H5_CORRUPT"),
    "wrong.txt": (b"hello", "not supported", "DATA_TYPE"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_no_page(name, tmp_path, capsys):
    content, sentence, code = BAD[name]
    (tmp_path / name).write_bytes(content)
    ended, out, err = run(capsys, name)
    assert ended in (1, 2)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(f"{name}: ") or "VIEW_SIDE" in code
    assert sentence in err or "|" in code
    assert re.search(rf"\[({code})\]$", err.strip())
    assert not list(tmp_path.glob("*.html"))


def test_wrong_requests_are_one_sentence(tmp_path, capsys):
    np.save(tmp_path / "x.npy", noise(4, 4, 4))
    np.save(tmp_path / "pictures.npy", np.zeros((4, 8, 8, 3), np.uint8))
    gansaku.prepare("pictures.npy", "pictures.h5")
    for arguments, sentence in {
        ("nothing.binvox",): "is neither a file or folder",
        ("x.npy", "-n", "0"): "-n: 0 is no number of samples",
        ("x.npy", "--out", "x.npy"): "is no name for a page",
        ("x.npy", "--size", "8"): "--size: does nothing to an array of voxels",
        ("x.npy", "--up", "x"): "up",
        ("pictures.h5",): "holds pictures of 8x8; gansaku show pictures.h5 --out page.html shows them",
    }.items():
        code, out, err = run(capsys, *arguments)
        assert (code in (1, 2), out, sentence in err) == (True, "", True), (arguments, err)
    assert np.load("x.npy").shape == (4, 4, 4)


def test_blank_grids_are_shown_and_said(tmp_path, capsys):
    np.save(tmp_path / "blank.npy", np.stack([np.zeros((4, 4, 4)), np.ones((4, 4, 4))]))
    np.save(tmp_path / "low.npy", np.full((4, 4, 4), 0.25))
    code, _, err = run(capsys, "blank.npy")
    assert code == 0
    assert "blank.npy, number 0 is empty: it has no voxel that is occupied" in err
    assert "blank.npy, number 1 is full: all its voxels are occupied" in err
    assert "no voxel with a probability above 0.5; the page can lower the threshold" in run(capsys, "low.npy")[2]


def test_what_is_peculiar_is_said(tmp_path, capsys):
    (tmp_path / "old.binvox").write_bytes(binvox.write(noise(4, 4, 4)).replace(b"translate 0 0 0\n", b""))
    code, _, err = run(capsys, "old.binvox")
    assert (code, err) == (0, "old.binvox has no translate in its header; 0 and 1 were taken [BVX_HEADER]\n")
