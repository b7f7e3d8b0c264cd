"""From a folder of pictures or an array of voxels to samples, stopped and continued on the way."""

import io
import json
import shutil
import zipfile
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from gansaku.errors import RecipeError, RunError, UsageError
from gansaku.runs import manifest
from gansaku.runs.session import Deadline
from gansaku.training.state import tensors

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 80}


@pytest.fixture
def pictures(tmp_path):
    """40 pictures of 16 px in two class folders."""
    random = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "pictures" / ("cat" if i % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{i}.png")
    return str(tmp_path / "pictures")


@pytest.fixture
def voxels(tmp_path):
    path = tmp_path / "voxels.npy"
    np.save(path, np.random.default_rng(0).random((40, 16, 16, 16)) < 0.1)
    return str(path)


def one_cycle(*arguments):
    """Train until the time is over, which it is after the first cycle."""
    with patch.object(Deadline, "near", lambda self, closing: True):
        return gansaku.train(*arguments)


def same(a, b):
    a, b = tensors(a.state()), tensors(b.state())
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", ["pictures", "voxels"])
@pytest.mark.parametrize("plain", [{}, {"fast": "none", "precision": "fp32"}], ids=["fast", "exact"])
def test_a_run_continued_by_the_same_command_ends_as_one_that_was_never_stopped(kind, plain, request):
    data, settings = request.getfixturevalue(kind), {**SMALL, **plain, "mirror": True}
    straight = gansaku.train("auto", data, "straight", settings)
    one_cycle("auto", data, "stopped", settings)  # stops after one cycle
    assert gansaku.load("stopped").state().seen == 8
    continued = gansaku.train("auto", data, "stopped", settings)
    assert continued.state().seen == 80
    assert same(straight, continued)


def test_without_a_name_the_same_command_finds_its_own_run(pictures):
    first = gansaku.train("dcgan", pictures, settings=SMALL)
    assert first.path.parent.name == "runs"
    assert first.path.name.startswith("dcgan-pictures-")
    assert gansaku.train("dcgan", pictures, settings=SMALL).path == first.path
    assert gansaku.train("dcgan", pictures, settings={**SMALL, "seed": 1}).path != first.path


def test_a_longer_run_goes_on_where_the_shorter_one_ended(pictures):
    gansaku.train("dcgan", pictures, "run", SMALL)
    longer = gansaku.train("dcgan", pictures, "run", {**SMALL, "length": 120})
    straight = gansaku.train("dcgan", pictures, "straight", {**SMALL, "length": 120})
    assert same(longer, straight)


def test_a_run_has_its_recipe_its_log_its_sheets_and_its_checkpoints(pictures):
    run = gansaku.train("auto", pictures, "run", SMALL)
    assert gansaku.load("run").recipe == run.recipe
    seen, losses = zip(*run.curve("discriminator/loss/adversarial"), strict=True)
    assert list(seen) == list(range(8, 88, 8))
    assert all(np.isfinite(losses))
    sheets = sorted(p.name for p in run.folder.sheets.glob("*"))
    assert sheets[-1] == "000000000080.png"
    assert len(sheets) >= 3
    with Image.open(run.folder.newest_sheet()) as picture:
        assert picture.text["Recipe"] == "auto"
        assert picture.text["Samples seen"] == "80"
    assert "/" not in json.dumps(run.folder.read_about()["machine"])


def test_a_run_copied_elsewhere_goes_on_where_its_data_are_now(pictures, tmp_path):
    straight = gansaku.train("auto", pictures, "straight", SMALL)
    one_cycle("auto", pictures, "here", SMALL)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "here", tmp_path / "elsewhere" / "there")
    shutil.move(pictures, tmp_path / "elsewhere" / "data")
    moved = gansaku.train(run=tmp_path / "elsewhere" / "there", data=str(tmp_path / "elsewhere" / "data"))
    assert same(straight, moved)


def test_other_settings_or_data_in_a_run_are_refused_and_named(pictures, voxels):
    gansaku.train("auto", pictures, "run", SMALL)
    with pytest.raises(RunError, match=r"generator\.lr: 0\.001 → 0\.002"):
        gansaku.train("auto", pictures, "run", {**SMALL, "generator.lr": 2e-3})
    with pytest.raises(RunError, match="other data"):
        gansaku.train("auto", voxels, "run", SMALL)


def test_a_run_alone_continues_with_its_own_recipe_and_data(pictures):
    one_cycle("dcgan", pictures, "run", SMALL)
    assert gansaku.train(run="run").state().seen == 80


def test_a_folder_with_other_things_in_it_becomes_no_run(pictures, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all my work")
    with pytest.raises(UsageError, match="holds other things than a run"):
        gansaku.train("auto", pictures, "mine", SMALL)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_batch_of_more_samples_than_there_are_is_refused(pictures):
    with pytest.raises(RecipeError, match="64 is more than the 40 training samples; use 40 or less"):
        gansaku.train("auto", pictures, "run", {**SMALL, "batch": 64})


def test_a_size_that_the_network_cannot_reach_is_refused_with_the_nearest(tmp_path):
    np.save(tmp_path / "odd.npy", np.zeros((9, 30, 30, 3), np.uint8))
    with pytest.raises(RecipeError, match="nearest sizes are 28 and 32"):
        gansaku.train("auto", str(tmp_path / "odd.npy"))


def test_another_runs_checkpoint_is_refused(pictures):
    run = one_cycle("auto", pictures, "run", SMALL)
    for number, (changes, why) in enumerate(
        [({"seed": 5}, "another run's checkpoint"), ({"generator.network.width": 8}, "another network")]
    ):
        other = one_cycle("auto", pictures, f"other{number}", {**SMALL, **changes})
        (own,), (foreign,) = (manifest.found(one.folder.checkpoints) for one in (run, other))
        shutil.rmtree(own)
        shutil.copytree(foreign, own)
        with pytest.raises(RunError, match=why):
            gansaku.train("auto", pictures, "run", SMALL)


def test_checkpoints_that_were_renamed_are_refused_when_no_other_is_sound(pictures):
    run = one_cycle("auto", pictures, "run", SMALL)
    other = one_cycle("auto", pictures, "other", {**SMALL, "generator.network.width": 8})
    for path in manifest.found(run.folder.checkpoints):
        path.rename(path.with_name(path.name[:-1] + "0"))
    newest = manifest.found(other.folder.checkpoints)[-1]
    newest.rename(run.folder.checkpoints / "000000000016")
    with pytest.raises(RunError, match=r"no checkpoint is sound: .* is the one after 8 samples; it was renamed"):
        gansaku.train("auto", pictures, "run", SMALL)


def test_a_dry_run_writes_nothing(pictures, tmp_path):
    gansaku.train("auto", pictures, "run", SMALL, dry_run=True)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def run(pictures):
    return gansaku.train("auto", pictures, "run", SMALL)


def test_sample_i_depends_on_the_seed_and_i_alone(run):
    assert torch.equal(run.sample(3), run.sample(70)[:3])
    assert not torch.equal(run.sample(3), run.sample(3, seed=1))


def test_samples_to_a_folder_and_to_a_zip_are_the_same_pictures(run, tmp_path):
    folder, archive = gansaku.sample("run", "out", n=5), gansaku.sample("run", "out.zip", n=5)
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == [f"{i:06d}.png" for i in range(5)]
        for name in opened.namelist():
            assert opened.read(name) == (folder / name).read_bytes()
    with Image.open(folder / "000000.png") as picture:
        assert picture.size == (16, 16)
    first = archive.read_bytes()
    assert gansaku.sample("run", "again.zip", n=5).read_bytes() == first


def test_samples_as_values_a_sheet_and_a_walk(run):
    values = np.load(gansaku.sample("run", "out.npy", n=5))
    torch.testing.assert_close(torch.from_numpy(values), run.sample(5), rtol=0, atol=0)
    with Image.open(gansaku.sample("run", "out.png", n=4)) as sheet:
        assert sheet.size[0] == sheet.size[1] > 2 * 96
    with Image.open(io.BytesIO(gansaku.sample("run", "out.gif", n=3).read_bytes())) as walk:
        assert walk.n_frames == 3 * 12


def test_a_mosaic_has_the_asked_pixels_and_is_full_of_samples_at_their_own_size(run):
    pictures = run.sample(12).add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    with Image.open(gansaku.sample("run", "wall.png", mosaic=(40, 60))) as wall:
        pixels = np.asarray(wall)
    assert pixels.shape == (40, 60, 3)
    for i, picture in enumerate(pictures):
        top, left = i // 4 * 16, i % 4 * 16
        shown = pixels[top : top + 16, left : left + 16]
        np.testing.assert_array_equal(shown, picture[: shown.shape[0], : shown.shape[1]])
    for out, size, says in (
        ("wall.gif", 40, "is no .png, which a mosaic is"),
        ("wall.png", (0, 5), "5x0 is no size of a picture"),
    ):
        with pytest.raises(gansaku.GansakuError, match=says):
            gansaku.sample("run", out, mosaic=size)


def test_voxel_samples_are_drawn_and_their_values_are_kept(voxels):
    gansaku.train("auto", voxels, "run", SMALL)
    assert np.load(gansaku.sample("run", "out.npy", n=2)).shape == (2, 1, 16, 16, 16)
    folder = gansaku.sample("run", "out", n=2)
    with Image.open(folder / "000001.png") as picture:
        assert picture.mode == "RGB"


def test_truncated_samples_come_from_a_smaller_part_of_latent_space(run):
    near, far = (np.load(gansaku.sample("run", f"{t}.npy", n=16, truncation=t)) for t in (0.05, 4.0))
    assert near.std(axis=0).mean() < far.std(axis=0).mean()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"out": "out.mp4"}, "is no folder"),
        ({"out": "out", "n": 0}, "use 1 or more"),
        ({"out": "out", "class_name": "cat"}, "was trained without classes"),
    ],
)
def test_samples_that_cannot_be_made_are_refused(run, options, says):
    with pytest.raises(UsageError, match=says):
        gansaku.sample("run", **options)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not there"):
        gansaku.sample("nowhere", "out")
    with pytest.raises(UsageError, match=r"it has no run\.json"):
        gansaku.load(tmp_path)


def test_training_in_ten_lines_of_ones_own():
    recipe = gansaku.get_recipe("dcgan", shape=(3, 16, 16), batch=8).but(
        {"generator.network.width": 4, "discriminator.network.width": 4}
    )
    trainer = gansaku.Trainer(recipe)
    for _ in range(3):
        numbers = trainer.train_on_batch(torch.rand(8, 3, 16, 16) * 2 - 1)
    assert {"discriminator/loss/adversarial", "generator/loss/adversarial"} <= numbers.keys()
    assert trainer.state.moves == {"generator": 3, "discriminator": 3}
    assert trainer.sample(4).shape == (4, 3, 16, 16)
    with pytest.raises(RecipeError, match=r"got samples \(9, 3, 16, 16\)"):
        trainer.train_on_batch(torch.zeros(9, 3, 16, 16))


def test_a_run_of_the_first_layout_goes_on_with_the_same_bits(pictures):
    """Its run.json had no name and no identity, its checkpoints no digest, no samples seen and no rollbacks."""
    straight = gansaku.train("auto", pictures, "straight", SMALL)
    folder = one_cycle("auto", pictures, "run", SMALL).folder
    about = folder.read_about()
    folder.about.write_text(json.dumps({k: v for k, v in about.items() if k not in ("name", "id", "changes", "versions")}))
    (path,) = manifest.found(folder.checkpoints)
    numbers = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({k: v for k, v in numbers.items() if k not in ("rollbacks", "run")}))
    described = {name: manifest.describe(path / name) for name in ("tensors.safetensors", "state.json")}
    (path / "manifest.json").write_text(json.dumps({"version": 1, "files": described}))
    assert same(straight, gansaku.train(run="run"))
