"""Voxels that a generator makes as .binvox, picture and mesh: the same grid in each, cut and rid of islands where asked."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from fixtures.tiny import discriminator, generator
from gansaku.cli import main
from gansaku.data import binvox, surfaces
from gansaku.data.islands import largest_piece
from gansaku.data.store import open_store
from gansaku.errors import UsageError
from gansaku.latents import Gaussian
from gansaku.listener import Listener
from gansaku.recipe import Recipe, to_toml
from gansaku.render.sheet import origin, single, tiles
from gansaku.render.voxels import draw
from gansaku.runs import checkpoint, samples
from gansaku.runs.folder import Folder
from gansaku.runs.run import Run
from gansaku.runs.voxel_files import FORMS, Export, exported
from gansaku.training.state import begin

SHAPE, N = (1, 5, 6, 7), 5


def made(which):
    """Samples that depend on their numbers alone: noise with islands, of which the last one has none."""
    values = torch.stack([torch.rand(SHAPE, generator=torch.Generator().manual_seed(i)) * 2 - 1.3 for i in which])
    return torch.where(torch.tensor([i == N - 1 for i in which]).view(-1, 1, 1, 1, 1), torch.ones(SHAPE), values)


SOURCE = samples.Source(made, lambda stops, **how: made(range(3 * stops)), origin("chairs", "tiny", 640, 0))


def run_of(path, shape=SHAPE, classes=()):
    """A run with the untrained weights of a tiny recipe."""
    recipe = Recipe(shape, generator(shape, classes=len(classes)), discriminator(shape), 160, latent=Gaussian(4),
                    classes=len(classes), name="tiny")  # fmt: skip
    folder = Folder(Path(path))
    folder.create(to_toml(recipe), {"name": "chairs", "data": {"classes": list(classes)}})
    checkpoint.save(folder.checkpoints, begin(recipe))
    return Run(folder, recipe)


def written(out, **how):
    """What an export of SOURCE leaves, bytes by name."""
    source, removed = exported(SOURCE, Export(**how))
    path = samples.write(source, Path(out), N)
    found = {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}
    return found, removed


def grid_of(content):
    """The grid of a `.binvox`, stood up as its readers do."""
    return binvox.up(binvox.read(content).grid, "y").astype(bool)


def occupied(threshold=0.5):
    """(N, D, H, W)."""
    return (made(range(N)).numpy()[:, 0] + 1) / 2 > threshold


def test_pictures_alone_are_written_as_ever(tmp_path):
    """No flag: the bytes of a folder are those of the quantized values, drawn."""
    found, _ = written("out")
    assert list(found) == [f"{i:06d}.png" for i in range(N)]
    for i, content in enumerate(found.values()):
        with Image.open(io.BytesIO(content)) as picture:
            assert (np.asarray(picture) == single(samples.quantized(made([i]))[0].numpy())).all()
            assert picture.text == {**SOURCE.notes, "Sample": f"{i}"}


@pytest.mark.parametrize("form", FORMS[1:])
def test_one_form_lies_in_the_folder_itself(form):
    found, _ = written("out", forms=(form,))
    assert list(found) == [f"{i:06d}.{form}" for i in range(N)]


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.2, 0.7])
def test_every_form_holds_the_same_thresholded_grid(threshold, largest):
    found, _ = written("out", forms=FORMS, threshold=threshold, largest=largest)
    assert len(found) == len(FORMS) * N
    for i, grid in enumerate(occupied(0.5 if threshold is None else threshold)):
        grid = largest_piece(grid).grid if largest else grid
        assert (grid_of(found[f"binvox/{i:06d}.binvox"]) == grid).all()
        with Image.open(io.BytesIO(found[f"png/{i:06d}.png"])) as picture:
            assert (np.asarray(picture) == draw(grid, 256)).all()
            notes = picture.text
        assert notes["Threshold"] == f"{threshold or 0.5:g}"
        assert ("Pieces" in notes) == largest
        assert found[f"obj/{i:06d}.obj"] == surfaces.obj(grid, notes)
        assert found[f"glb/{i:06d}.glb"] == surfaces.glb(grid, notes)


def test_a_binvox_of_ours_is_prepared_back_into_the_samples(tmp_path):
    written("out", forms=("binvox",))
    gansaku.prepare("out", "back.h5", size=7, max_bad=1.0)
    back = open_store(tmp_path / "back.h5")
    assert back.counts == {"train": N - 1}, "the full one is left out"
    assert (back.rows(np.arange(N - 1)).sum((1, 2, 3, 4)) == occupied()[:-1].sum((1, 2, 3))).all()


def test_a_zip_holds_what_a_folder_does():
    folder, _ = written("out", forms=("binvox", "obj"))
    source, _ = exported(SOURCE, Export(("binvox", "obj")))
    with zipfile.ZipFile(samples.write(source, Path("all.zip"), N)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == folder


def test_values_sheets_and_walks_are_cut_too():
    source, _ = exported(SOURCE, Export(threshold=0.3, largest=True))
    kept = np.stack([largest_piece(grid).grid for grid in occupied(0.3)])
    assert (np.load(samples.write(source, Path("all.npy"), N))[:, 0] == np.where(kept, 1, -1)).all()
    drawn = tiles(np.where(kept, 255, 0).astype(np.uint8)[:, None])
    with Image.open(samples.write(source, Path("all.png"), N)) as sheet:
        assert (np.asarray(sheet)[2:162, 2:162] == drawn[0]).all()
    assert set(np.unique(source.walk(2).numpy())) == {-1, 1}


def test_what_is_removed_is_counted():
    _, removed = written("out", threshold=0.8, largest=True)
    each = [largest_piece(grid) for grid in occupied(0.8)]
    assert removed.of == N
    assert removed.islands == sum(one.islands for one in each) > N
    assert removed.voxels == sum(one.voxels for one in each)
    assert removed.samples == sum(one.islands > 0 for one in each) == N - 1
    assert str(removed) == f"removed {removed.islands} islands of {removed.voxels} voxels together, from 4 of 5 samples"
    _, removed = written("other", threshold=0.0, largest=True)
    assert str(removed) == "no islands to remove: none of 5 samples has more than one piece"


def test_classes_lie_in_folders_of_each_form_and_are_read_back():
    for names, listed in ((("chair", "sofa"), False), (("train", "test"), True)):
        source, _ = exported(replace(SOURCE, classes=names), Export(("binvox", "png")))
        out = samples.write(source, Path(f"out-{names[0]}"), 4)
        assert (out / "binvox" / "dataset.json").exists() == (out / "png" / "dataset.json").exists() == listed
        gansaku.prepare(out / "binvox", f"{names[0]}.h5", size=7)
        back = open_store(Path(f"{names[0]}.h5"))
        assert sorted(back.classes[label] for label in back.labels) == sorted(names * 2)


class TestCommand:
    def test_it_exports_says_what_it_removed_and_is_repeatable(self, tmp_path, capsys):
        run_of("run")
        arguments = ["sample", "run", "-n", "3", "--forms", "binvox,obj,glb", "--threshold", "0.45", "--largest-piece"]
        for out in ("one", "two"):
            assert main([*arguments, "--out", out]) == 0
            told = capsys.readouterr()
            assert told.out == f"{out}\n"
            assert f"{out}: " in told.err
            assert "samples" in told.err
        one, two = ([p.read_bytes() for p in sorted(Path(out).rglob("*.*"))] for out in ("one", "two"))
        assert one == two
        assert len(one) == 9

    def test_python_has_the_same(self, tmp_path):
        said = []

        class Heard(Listener):
            def say(self, sentence):
                said.append(sentence)

        run = run_of("run")
        out = gansaku.sample(run, "out", n=2, forms=["binvox"], threshold=0.4, largest_piece=True, listener=Heard())
        values = run.sample(2)[:, 0].numpy()
        for i, value in enumerate(values):
            content = (out / f"{i:06d}.binvox").read_bytes()
            assert (grid_of(content) == largest_piece(value > 2 * 0.4 - 1).grid).all()
        assert len(said) == 1

    @pytest.mark.parametrize(
        ("how", "says"),
        [
            ({"forms": ["stl"]}, r"--forms: 'stl' is no form of a sample; known: binvox, glb, obj, png \[FORM\]"),
            ({"forms": []}, r"--forms: '' does not name each form once"),
            ({"forms": ["obj", "obj"]}, r"--forms: 'obj,obj' does not name each form once"),
            ({"threshold": 1.0}, r"--threshold: 1 is no probability from 0 to below 1 \[THRESHOLD\]"),
            ({"threshold": -0.1}, r"--threshold: -0\.1 is no probability"),
            ({"forms": ["obj"], "out": "x.png"}, r"--forms: are the files in a folder or \.zip, and x\.png is one file"),
        ],
    )
    def test_what_cannot_be_is_refused(self, how, says):
        with pytest.raises(UsageError, match=says):
            gansaku.sample(run_of("run"), **{"out": "out", "n": 1, **how})
        assert not Path("out").exists()

    @pytest.mark.parametrize("how", [{"forms": ["obj"]}, {"threshold": 0.5}, {"largest_piece": True}])
    def test_a_run_of_pictures_has_no_voxels_to_cut(self, how):
        flag = f"--{next(iter(how)).replace('_', '-')}"
        with pytest.raises(UsageError, match=rf"{flag}: is for voxels, and run makes pictures \[DATA_TYPE\]"):
            gansaku.sample(run_of("run", (3, 8, 12)), "out", n=1, **how)
