"""The verbs `project` and `directions`: what they write, what they say, and that one verb takes what another found."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import gansaku
from gansaku.cli import main
from gansaku.contract import Player
from gansaku.data.sources import open_data
from gansaku.errors import UsageError
from gansaku.latents import Gaussian
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe, to_toml
from gansaku.runs import checkpoint, direction_sheets, latent_files
from gansaku.runs.direction_sheets import Found
from gansaku.runs.folder import Folder
from gansaku.runs.projections import quantiles
from gansaku.runs.run import Run
from gansaku.sampling import quantized
from gansaku.training.state import begin

PICTURES, VOXELS = (3, 16, 24), (1, 8, 8, 8)
NAMES = ("0", "1")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Random samples that a search begins with."""
    monkeypatch.setattr("gansaku.evaluation.projecting.CANDIDATES", {2: 64, 3: 64})


def source(folder, shape=PICTURES):
    """A file of 16 samples in two classes, 4 of them held out."""
    draw = np.random.default_rng(0)
    path = folder / "animals.npz"
    made = (
        draw.integers(0, 256, (16, *shape[1:], shape[0]), np.uint8) if len(shape) == 3 else draw.random((16, *shape[1:])) < 0.4
    )
    labels = np.arange(16) % 2
    np.savez(path, x_train=made[:12], y_train=labels[:12], x_test=made[12:], y_test=labels[12:])
    return path


def run_of(folder, shape=PICTURES, names=NAMES):
    """A run with untrained weights that make strong samples."""
    players = ChainerGenerator(shape, latent=6, width=4, classes=len(names)), ChainerDiscriminator(shape, width=4, norm="none")
    generator, discriminator = (Player(network, Adam(), 1e-3) for network in players)
    recipe = Recipe(shape, generator, discriminator, 160, latent=Gaussian(6), classes=len(names), batch=8, name="tiny")
    path = source(folder, shape)
    about = {"name": "animals", "count": 12, "source": str(path), "shape": list(shape), "classes": list(names),
             "fingerprint": open_data(str(path)).fingerprint}  # fmt: skip
    place, state = Folder(folder / "run"), begin(recipe)
    with torch.no_grad():
        for weight in state.nets["generator"].parameters():
            weight.mul_(6 if weight.ndim > 1 else 1)
    place.create(to_toml(recipe), {"name": "pets", "id": "1", "recipe": "tiny", "data": about, "machine": {}})
    checkpoint.save(place.checkpoints, state, "1")
    return Run(place, recipe)


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path)


def exported(run, path, numbers=(0,)):
    """Samples of the generator as files."""
    found = []
    for i in numbers:
        pixels = quantized(run.sample(i + 1, seed=5)[i]).movedim(0, -1).numpy()
        found.append(path / f"sample-{i}.png")
        Image.fromarray(pixels).save(found[-1])
    return found


# project


def test_a_projection_is_a_picture_numbers_and_latents(run, tmp_path, capsys):
    files = [str(file) for file in exported(run, tmp_path, (0, 3))]
    assert main(["project", str(run.path), *files, "--index", "0,15", "--steps", "8", "--out", "p", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "p" / "projected.json").read_text())
    assert (written.pop("notes")["Samples seen"], written) == ("0", told)
    assert [one["name"] for one in told["pictures"]] == [*files, "animals 0", "animals 15"]
    assert all(set(one) == {"name", "class", "distance", "nearest_random", "error", "length"} for one in told["pictures"])
    latents, labels = latent_files.read(tmp_path / "p" / "latents.safetensors", run.recipe)
    assert (latents.shape, [NAMES[i] for i in labels]) == ((4, 6), [one["class"] for one in told["pictures"]])
    with Image.open(tmp_path / "p" / "projected.png") as picture:
        assert (picture.text["Run"], picture.text["Steps"]) == ("run", "8")
        shown = np.asarray(picture)
    given = np.asarray(Image.open(files[0]))
    assert any(  # the first given picture, five times as large
        np.array_equal(shown[top : top + 80 : 5, 24 : 24 + 120 : 5], given) for top in range(60, 200)
    )


def test_a_picture_that_the_generator_made_is_found_again_by_its_file(run, tmp_path):
    found = gansaku.project(run, exported(run, tmp_path, (0, 1, 3)), "p", steps=60)
    assert (found.found.distances < 0.3 * found.found.nearest).all()
    assert found.classes == ("0", "1", "1")  # sample i is of class i modulo their number
    again = run.recipe, found.found.latents, found.found.labels
    made = run.generator()(*again[1:], None).detach()
    torch.testing.assert_close(made, found.found.samples, atol=1e-5, rtol=0)


def test_the_class_that_is_named_is_taken(run, tmp_path):
    found = gansaku.project(run, exported(run, tmp_path)[0], "p", steps=4, class_name="1")
    assert (found.classes, found.found.labels.tolist()) == (("1",), [1])


def test_the_same_call_writes_the_same_bytes(run, tmp_path):
    for name in ("a", "b"):
        gansaku.project(run, out=name, index=[1, 2], steps=6, seed=3)
    for name in ("projected.png", "projected.json", "latents.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_voxels_are_projected_too(tmp_path):
    run = run_of(tmp_path, VOXELS, ())
    np.save(tmp_path / "mine.npy", (run.sample(1, seed=5)[0, 0] > 0).numpy())
    found = gansaku.project(run, "mine.npy", "p", steps=30)
    assert found.classes == ()
    assert (found.found.distances < found.found.nearest).all()
    assert gansaku.directions(run, "d", count=2, steps=3, n=1).layers == ("stem.0",)


def test_distances_are_compared_with_those_of_other_samples(run, tmp_path):
    found = gansaku.project(run, exported(run, tmp_path), "p", steps=20, reference=3, class_name="0")
    assert {name: len(values) for name, values in found.reference.items()} == {
        "own samples": 3, "training samples": 3, "held-out samples": 2,
    }  # fmt: skip
    plain = found.plain()
    assert plain["pictures"][0]["further_than"]["training samples"] == 0  # nearer than noise that it never made
    assert max(found.reference["own samples"]) < min(found.reference["training samples"])
    assert plain["reference"]["own samples"]["quantiles"] == quantiles(found.reference["own samples"])
    assert "For comparison, in the median: 3 own samples" in plain["says"][1]


def test_quantiles_of_a_line():
    assert quantiles([float(i) for i in range(11)]) == {"10%": 1.0, "50%": 5.0, "90%": 9.0}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "name pictures, or samples of the run's data by --index"),
        ({"pictures": "gone.png"}, "gone.png: is not there"),
        ({"index": [16]}, "16 is none of the 16 samples of animals, which count from 0"),
        ({"index": [0], "steps": 0}, "0 is no number of steps; use 1 to 100,000"),
        ({"index": [0], "reference": -1}, "-1 is no number of samples; use 0 to 1,000"),
        ({"index": [0], "class_name": "2"}, "'2' is no class"),
        ({"index": [0], "out": "p.png"}, "is no folder; several files are written"),
        ({"index": [0], "data": "other.npz"}, r"other holds samples of \(3, 8, 8\), and the generator makes \(3, 16, 24\)"),
        ({"pictures": "gone.png", "data": "other.npz"}, "is where samples are taken from; say which by --index"),
    ],
)  # fmt: skip
def test_what_cannot_be_projected_is_refused(run, tmp_path, settings, says):
    np.savez(tmp_path / "other.npz", x=np.arange(3 * 8 * 8 * 4, dtype=np.uint8).reshape(4, 8, 8, 3))
    with pytest.raises(gansaku.GansakuError, match=says):
        gansaku.project(run, **settings)


def test_data_that_are_gone_or_have_changed_are_asked_for(run, tmp_path):
    kept = (tmp_path / "animals.npz").read_bytes()
    (tmp_path / "animals.npz").unlink()
    with pytest.raises(UsageError, match=r"the run's own data are not there .*; name them"):
        gansaku.project(run, index=[0])
    (tmp_path / "moved.npz").write_bytes(kept)
    assert gansaku.project(run, index=[0], data="moved.npz", steps=1).names == ("moved 0",)
    np.savez(tmp_path / "animals.npz", x=np.zeros((4, 16, 24, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None])
    with pytest.raises(UsageError, match="has changed since the run was trained; name the data"):
        gansaku.project(run, index=[0])


def test_a_list_of_numbers_that_is_none_is_refused(run, capsys):
    assert main(["project", str(run.path), "--index", "0,a"]) == 2
    assert "--index: '0,a' is no list of whole numbers; write 0,1,2" in capsys.readouterr().err


# walk between what was found


def test_a_walk_goes_through_latents_of_a_file_each_of_its_class(run, tmp_path, capsys):
    z, labels = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 0])
    (tmp_path / "mine.safetensors").write_bytes(latent_files.content(z, labels, {}))
    assert main(["walk", str(run.path), "--latents", "mine.safetensors", "--steps", "4", "--out", "w"]) == 0
    assert capsys.readouterr().out.startswith("w: 3 samples, 12 pictures, linear")
    strip = np.asarray(Image.open(tmp_path / "w" / "strip.png"))
    path = torch.stack([torch.lerp(z[i], z[(i + 1) % 3], j / 4) for i in range(3) for j in range(4)])
    classes = torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0])  # half way the next one's begins
    made = quantized(run.generator()(path, classes, None).detach()).movedim(1, -1).numpy()
    for row in range(3):
        for column in range(4):
            top, left = 2 + row * 66, 2 + column * 98
            shown = strip[top : top + 64 : 4, left : left + 96 : 4].astype(int)
            assert np.abs(shown - made[4 * row + column]).max() <= 1


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (None, "is no file of latents; `gansaku project` writes one"),
        ({"weights": torch.zeros(3)}, "holds weights and no `latents`"),
        ({"latents": torch.zeros(3, 5)}, r"holds latents \(3, 5\), and the generator takes rows of 6 finite numbers"),
        ({"latents": torch.full((3, 6), torch.nan)}, "and the generator takes rows of 6 finite numbers"),
        ({"latents": torch.zeros(3, 6), "labels": torch.tensor([0, 1, 2])}, "labels that do not fit 3 latents of 2 classes"),
        ({"latents": torch.zeros(1, 6)}, "holds a single latent; a walk goes between 2 or more"),
    ],
)
def test_files_without_latents_for_this_generator_are_refused(run, tmp_path, tensors, says):
    (tmp_path / "mine.safetensors").write_bytes(b"words" if tensors is None else safetensors.torch.save(tensors))
    with pytest.raises(UsageError, match=says):
        gansaku.walk(run, latents="mine.safetensors")


def test_latents_of_a_file_are_not_truncated(run, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(latent_files.content(torch.zeros(2, 6), torch.zeros(2), {}))
    with pytest.raises(UsageError, match="--truncation: is for latents that are drawn"):
        gansaku.walk(run, latents="mine.safetensors", truncation=0.5)


# directions


def test_directions_are_a_sheet_numbers_and_vectors(run, tmp_path, capsys):
    command = ["directions", str(run.path), "--count", "2", "--steps", "3", "-n", "2", "--scale", "2", "--class", "1"]
    assert main([*command, "--out", "d", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "d" / "directions.json").read_text())
    assert (written.pop("notes")["Seed"], written) == ("0", told)
    stored = safetensors.torch.load_file(tmp_path / "d" / "directions.safetensors")
    weight = run.generator().stem[0].weight[:, :6].detach().double()
    singular, rows = torch.linalg.svd(weight)[1:]
    torch.testing.assert_close(stored["eigenvalues"], singular.square(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        (stored["directions"].double() * rows[:2]).sum(1).abs(), torch.ones(2).double(), rtol=1e-4, atol=0
    )
    assert [one["eigenvalue"] for one in told["directions"]] == stored["eigenvalues"][:2].tolist()
    assert (told["layers"], len(told["random"]), told["scale"]) == (["stem.0"], 8, 2.0)
    sheet = np.asarray(Image.open(tmp_path / "d" / "directions.png"))
    middle = quantized(run.sample(1, class_name="1")[0]).movedim(0, -1).numpy()
    assert any(
        np.array_equal(sheet[top : top + 32 : 2, 24 + 84 + 2 + 50 : 24 + 84 + 2 + 98 : 2], middle) for top in range(60, 200)
    )


def test_directions_are_shown_from_the_latents_of_a_file(run, tmp_path):
    z, labels = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)), torch.tensor([1, 1, 0])
    (tmp_path / "mine.safetensors").write_bytes(latent_files.content(z, labels, {}))
    gansaku.directions(run, "d", 1, 3, latents="mine.safetensors", n=2)
    sheet = np.asarray(Image.open(tmp_path / "d" / "directions.png"))
    middle = quantized(run.generator()(z[:1], labels[:1], None).detach()[0]).movedim(0, -1).numpy().astype(int)
    shown = [sheet[top : top + 32 : 2, 24 + 84 + 2 + 50 : 24 + 84 + 2 + 98 : 2].astype(int) for top in range(60, 200)]
    assert min(np.abs(one - middle).max() for one in shown) <= 1


def found(changes, random):
    return Found(None, torch.eye(3)[: len(changes)], torch.ones(3), ("first",), 3.0, changes, random)


def test_a_change_is_told_as_a_multiple_of_that_along_random_directions():
    one = found((3.0, 2.2), (1.0, 2.0, 3.0))
    assert one.times == (1.5, 1.1)
    assert one.sentence().startswith(
        "no direction changes samples more than random ones do: direction 1 changes samples most, 1.50 t"
    )
    better = found((4.0, 2.2), (1.0, 2.0, 3.0)).sentence()
    assert better.startswith(
        "1 of 2 change samples more than every random direction; direction 1 changes samples most, 2.00 times"
    )
    assert better.endswith("(3 random ones: 0.50 to 1.50 times)")
    assert found((0.0, 0.0), (0.0, 0.0)).sentence() == "nothing changes along any direction"


def test_the_change_of_a_linear_generator_is_the_length_of_its_way(run, monkeypatch):
    """Features that are the samples, samples A z: the mean of |A v| times twice the distance."""
    matrix = torch.randn(12, 6, generator=torch.Generator().manual_seed(2))
    monkeypatch.setattr(direction_sheets, "in_blocks", lambda generator, z, labels, phase: z @ matrix.T)
    monkeypatch.setattr(direction_sheets, "features", lambda look, samples: samples)
    z, vectors = torch.randn(5, 6, generator=torch.Generator().manual_seed(3)), torch.eye(6)[:2]
    changed = direction_sheets.changes(run.generator(), run.recipe, None, z, 0, vectors, 1.5, None)
    assert changed == pytest.approx((3 * matrix[:, :2].norm(dim=0)).tolist(), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"count": 0}, "0 is no number of directions; use 1 or more"),
        ({"scale": 0.0}, "0 is no number of standard deviations; use one above 0"),
        ({"scale": float("nan")}, "nan is no number of standard deviations"),
        ({"count": 1, "steps": 1}, "3 samples in 1 steps along 1 directions make no sheet"),
        ({"count": 6, "n": 1000}, "4,000 pictures at most"),
        ({"count": 1, "out": "d.png"}, "is no folder; several files are written"),
        ({"count": 1, "class_name": "2"}, "'2' is no class"),
    ],
)
def test_what_is_no_sheet_of_directions_is_refused(run, settings, says):
    with pytest.raises(UsageError, match=says):
        gansaku.directions(run, **settings)
