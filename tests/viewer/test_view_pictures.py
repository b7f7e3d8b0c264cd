"""`gansaku view` to a picture or a turn: what is drawn, from where, and what is refused."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from fixtures.tiny import discriminator, generator
from gansaku.cli import main
from gansaku.data import binvox, bundled
from gansaku.latents import Gaussian
from gansaku.recipe import Recipe, to_toml
from gansaku.render.drawings import Drawing, still, turning
from gansaku.render.sheet import animation
from gansaku.render.voxels import draw
from gansaku.runs import checkpoint
from gansaku.runs.folder import Folder
from gansaku.training.state import begin


def noise(*shape, share=0.3, seed=0):
    return np.random.default_rng(seed).random(shape) < share


def soft(*shape):
    """Probabilities that are levels, so that a page and a picture hold the same."""
    return ((np.random.default_rng(0).integers(0, 256, shape) + 0.5) / 256).astype(np.float32)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def run(capsys, *arguments):
    code = main(["view", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_file_is_drawn_as_it_stands_in_the_page(tmp_path, capsys):
    grid = noise(7, 6, 5)
    (tmp_path / "chair.binvox").write_bytes(binvox.write(grid))
    assert run(capsys, "chair.binvox", "--out", "y.png") == (0, "y.png\n", "")
    assert (pixels("y.png") == draw(grid[::-1], 512)).all()
    assert run(capsys, "chair.binvox", "--out", "z.png", "--up", "z", "--pixels", 90)[0] == 0
    assert (pixels("z.png") == draw(grid.transpose(0, 2, 1), 90)).all()


def test_every_flag_is_the_field_of_that_name(tmp_path, capsys):
    np.save("soft.npy", soft(6, 7, 8))
    flags = ["--pixels", 80, "--turn", 200, "--height", -30, "--threshold", 0.25, "--color", "probability", "--background",
             "#102030", "--opacity", 0.5]  # fmt: skip
    assert run(capsys, "soft.npy", "--out", "x.png", *flags)[0] == 0
    how = Drawing(80, 200, -30, 0.25, "probability", (16, 32, 48), 0.5)
    assert (pixels("x.png") == still([2 * soft(6, 7, 8) - 1], how)).all()
    assert run(capsys, "soft.npy", "--out", "x.webp", *flags, "--frames", 3)[0] == 0
    with Image.open("x.webp") as turned:
        assert turned.n_frames == 3
        assert (np.asarray(turned.convert("RGB")) == pixels("x.png")).all()
    assert gansaku.view("soft.npy", "python.png", pixels=80, turn=200, height=-30, threshold=0.25, color="probability",
                        background=(16, 32, 48), opacity=0.5).read_bytes() == (tmp_path / "x.png").read_bytes()  # fmt: skip


def test_without_flags_it_is_the_drawing_without_settings(tmp_path, monkeypatch):
    monkeypatch.setattr("gansaku.data.sources.CHAIRS", 5)
    gansaku.view("chairs", "sheet.png", size=16)
    chairs = list(bundled.chairs(5, 16))
    assert (pixels("sheet.png") == still(chairs, Drawing())).all()
    gansaku.view("chairs", "turn.gif", n=2, size=16, frames=3)
    ends = [chairs[0], chairs[4]]
    assert (tmp_path / "turn.gif").read_bytes() == animation(turning(ends, Drawing(frames=3)))


def test_a_transparent_picture_has_nothing_behind_it(tmp_path, capsys):
    np.save("x.npy", noise(5, 5, 5))
    assert run(capsys, "x.npy", "--out", "x.png", "--background", "none")[0] == 0
    picture = pixels("x.png")
    assert picture.shape == (512, 512, 4)
    assert (picture[0, 0, 3], picture[256, 256, 3]) == (0, 255)


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75])
def test_what_is_above_the_threshold_is_drawn_exactly(threshold, tmp_path):
    values = np.random.default_rng(1).random((5, 5, 5)).astype(np.float32)
    values[0, 0] = threshold
    np.save("x.npy", values)
    gansaku.view("x.npy", "x.png", threshold=threshold, pixels=100)
    assert (pixels("x.png") == draw(values > threshold, 100)).all()


class TestRuns:
    @pytest.fixture
    def trained(self, tmp_path):
        shape = (1, 6, 7, 8)
        recipe = Recipe(shape, generator(shape), discriminator(shape), 160, latent=Gaussian(4), name="tiny")
        folder = Folder(tmp_path / "run")
        folder.create(to_toml(recipe), {"name": "chairs", "data": {"classes": []}})
        checkpoint.save(folder.checkpoints, begin(recipe))
        return gansaku.load(tmp_path / "run")

    def test_its_samples_are_drawn_with_a_note_of_where_they_come_from(self, trained, tmp_path):
        path = gansaku.view(trained.path, "x.png", n=3, seed=4, pixels=60)
        values = trained.sample(3, seed=4)[:, 0].numpy()
        levels = np.clip(np.ceil(values * 128 + 128) - 1, 0, 255)
        assert (pixels(path) == still(list((levels + 0.5) / 128 - 1), Drawing(pixels=60))).all()
        with Image.open(path) as picture:
            notes = picture.text
        assert notes == {"Software": "Gansaku", "Run": "chairs", "Recipe": "tiny", "Samples seen": "0", "Seed": "4",
                         "Samples": "sample 0, sample 1, sample 2", "View": "turn 30, height 25, above 0.5, wood"}  # fmt: skip

    def test_values_that_are_not_finite_are_said_and_nothing_is_written(self, trained, tmp_path, monkeypatch):
        monkeypatch.setattr("gansaku.runs.samples.sample", lambda *a, **k: torch.full((len(a[2]), 1, 6, 7, 8), torch.nan))
        with pytest.raises(gansaku.errors.DataError, match=r"run: makes values that are not finite, first in sample 0"):
            gansaku.view(trained, "x.png")
        assert not (tmp_path / "x.png").exists()


def test_blank_grids_are_drawn_and_said(tmp_path, capsys):
    np.save("low.npy", np.full((4, 4, 4), 0.25))
    np.save("full.npy", np.ones((4, 4, 4)))
    sentence = "low.npy is empty: it has no voxel with a probability above 0.5; a lower --threshold shows more\n"
    assert run(capsys, "low.npy", "--out", "x.png") == (0, "x.png\n", sentence)
    assert (pixels("x.png") == draw(np.zeros((4, 4, 4), bool), 512)).all()
    assert "low.npy is full" in run(capsys, "low.npy", "--out", "x.png", "--threshold", 0.2)[2]
    assert "full.npy is full: all its voxels are occupied" in run(capsys, "full.npy", "--out", "x.png")[2]


def test_wrong_requests_are_one_sentence_and_no_file(tmp_path, capsys):
    np.save("x.npy", noise(4, 4, 4))
    (tmp_path / "short.binvox").write_bytes(binvox.write(noise(4, 4, 4))[:-2])
    for arguments, sentence in {
        (
            "x.npy",
            "--out",
            "x.jpg",
        ): "x.jpg: is no name for a page or a picture; use one that ends in .html, .png",
        ("x.npy", "--turn", "3"): "--turn: is for pictures, and x.npy.html is a page with its own controls",
        ("x.npy", "--out", "x.html", "--color", "height"): "--color: is for pictures, and x.html is a page",
        ("x.npy", "--out", "x.png", "-n", "0"): "-n: 0 is no number of samples",
        ("x.npy", "--out", "x.png", "-n", "1025"): "-n: 1,025 samples are too many for a picture; use at most 1,024",
        ("x.npy", "--out", "x.png", "--height", "91"): "--height: 91 is not between -90",
        ("x.npy", "--out", "x.png", "--color", "probability"): "--color: cannot be probability: x.npy holds 0 and 1 alone",
        ("x.npy", "--out", "x.gif", "--background", "none"): "--background: cannot be none in a .gif",
        ("x.npy", "--out", "x.png", "--background", "shy"): "'shy' is no colour",
        ("x.npy", "--out", "x.gif", "--pixels", "9000"): "--pixels: 9,000 for 1 sample is 48 pictures of 9,002 x 9,002",
        ("short.binvox", "--out", "x.png"): "short.binvox: is cut short",
    }.items():
        code, out, err = run(capsys, *arguments)
        assert (code in (1, 2), out, sentence in err) == (True, "", True), (arguments, err)
        assert len(err.splitlines()) == 1
    with pytest.raises(gansaku.errors.UsageError, match=r"tunr: is no choice of a drawing; did you mean 'turn'\?"):
        gansaku.view("x.npy", "x.png", tunr=3)
    assert sorted(path.name for path in tmp_path.glob("x*")) == ["x.npy"]


def test_a_grid_that_a_page_cannot_hold_can_be_drawn(tmp_path):
    (tmp_path / "long.binvox").write_bytes(binvox.write(np.ones((2000, 2, 2), np.uint8)))
    gansaku.view("long.binvox", "long.png", pixels=64)
    assert (pixels("long.png") != 255).any()


@pytest.mark.parametrize("name", ["dimatura_chair", "pysys_bunny"])
def test_genuine_files_are_drawn_as_prepare_stands_them_up(name, genuine, tmp_path):
    grid = binvox.up(binvox.read((genuine / f"{name}.binvox").read_bytes()).grid, "y").astype(bool)
    path = gansaku.view(genuine / f"{name}.binvox", tmp_path / "x.png", pixels=128, color="height")
    assert (pixels(path) == still([grid], Drawing(pixels=128, color="height"))).all()


def test_help_names_every_field_of_a_drawing(capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        assert main(["view", "--help"]) == 0
    said = capsys.readouterr().out
    missing = [name for name in Drawing.__dataclass_fields__ if not re.search(rf"--{name}\b", said)]
    assert missing == []


def test_a_picture_is_whole_or_not_there(tmp_path, monkeypatch):
    np.save("x.npy", noise(4, 4, 4))
    (tmp_path / "x.png").write_bytes(b"older")
    monkeypatch.setattr(gansaku.faults, "_fault", gansaku.faults.parsed("ENOSPC 1+ on write"))
    monkeypatch.setattr(gansaku.faults, "_count", 0)
    with pytest.raises(gansaku.errors.DiskError):
        gansaku.view("x.npy", "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"older"
