"""A run with classes: its sheets are grids of named classes, its files know their classes, and scores tell each one's."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

import gansaku
from gansaku import faults, keys
from gansaku.cli import main
from gansaku.contract import Player
from gansaku.data.sources import open_data
from gansaku.errors import DiskError, UsageError
from gansaku.latents import Gaussian
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe, to_toml
from gansaku.render.sheet import LINE, arranged, drawable, tiles
from gansaku.runs import checkpoint, log, samples
from gansaku.runs.folder import Folder
from gansaku.runs.report_sheets import shot
from gansaku.runs.run import Run, label_of
from gansaku.runs.summary import summarize
from gansaku.runs.watchers import SHEET, sheet_png
from gansaku.sampling import WALK, class_grid, quantized, sample, shared
from gansaku.training.by_hand import shown_generator
from gansaku.training.state import begin

PICTURES, VOXELS = (3, 16, 24), (1, 8, 16, 8)
NAMES = ("cat", "dog", "frog")
ODD = [
    ("a/b", "c\\d", "..", "CON"),
    ("train", "test", "frog"),
    ("train", "test"),
    ("frog",),
    ("x", "X", "x "),
    ("é", "猫", " "),
]


def recipe_of(classes, shape=PICTURES):
    players = ChainerGenerator(shape, latent=4, width=4, classes=classes), ChainerDiscriminator(shape, width=4, norm="none")
    generator, discriminator = (Player(network, Adam(), 1e-3) for network in players)
    return Recipe(shape, generator, discriminator, 160, latent=Gaussian(4), classes=classes, batch=8, name="tiny")


def run_of(path, names=NAMES, shape=PICTURES, conditional=True, **data):
    """A run with the untrained weights of a recipe with these classes."""
    recipe, folder = recipe_of(len(names) if conditional else 0, shape), Folder(Path(path))
    about = {"name": "animals", "count": 60, "source": "animals.npz", "shape": list(shape), "classes": list(names), **data}
    folder.create(to_toml(recipe), {"name": "pets", "recipe": "tiny", "data": about, "machine": {}})
    checkpoint.save(folder.checkpoints, begin(recipe))
    return Run(folder, recipe)


def content(path):
    """All files below a folder by name."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def picture(data):
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB")), dict(opened.info)


def panels(pixels, classes, each, tile):
    """What stands on a sheet, cut out by its measures: (classes, each, H, W, 3), and the lines of text above the classes."""
    height, width = tile
    wide, across = arranged(classes, each)
    rows = -(-each // wide)
    panel = 20 + rows * (height + 2) + 2 + 10, max(64, wide * (width + 2) + 2 + 10)
    found, texts = [], []
    for k in range(classes):
        top, left = (k // across) * panel[0], (k % across) * panel[1]
        texts.append(pixels[top : top + 20, left : left + panel[1]])
        for i in range(each):
            y, x = top + 22 + (i // wide) * (height + 2), left + 2 + (i % wide) * (width + 2)
            found.append(pixels[y : y + height, x : x + width])
    return np.stack(found).reshape(classes, each, height, width, 3), texts


def text(name, width):
    """A line of text as Pillow writes it."""
    paper = Image.new("RGB", (width, 20), (255, 255, 255))
    ImageDraw.Draw(paper).text((2, 3), name, (27, 29, 33), ImageFont.load_default(13))
    return np.asarray(paper)


# grids


@pytest.mark.parametrize("n", [1, 5, 12, 64, 300])
@pytest.mark.parametrize("classes", [1, 2, 10, 11, 64, 120])
def test_each_class_is_shown_as_often_and_no_more_than_asked_for_in_all(n, classes):
    labels, each = shared(n, classes)
    assert list(labels) == sorted(set(labels))
    assert set(labels) <= set(range(classes))
    assert len(labels) == min(n, classes)
    assert len(labels) * each <= n < len(labels) * (each + 1)
    gaps = np.diff([*labels, classes])
    assert gaps.max() - gaps.min() <= 1, "not evenly taken"


@pytest.mark.parametrize("each", [1, 2, 6, 40])
@pytest.mark.parametrize("classes", [1, 2, 3, 10, 11, 12, 13, 40, 64, 120])
def test_a_few_classes_stand_in_a_line_and_many_as_near_to_a_square_as_whole_rows_allow(classes, each):
    wide, across = arranged(classes, each)
    assert 1 <= wide <= each
    assert (across == classes) or classes > LINE
    columns, rows = across * wide, -(-classes // across) * -(-each // wide)
    assert max(columns, rows) < 2 * (classes * each) ** 0.5 + 12


@pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2D", "3D"])
def test_the_same_place_in_each_class_is_the_same_latent(tmp_path, shape):
    """Up to rounding, it is that sample as it is when this class alone is asked for."""
    run = run_of(tmp_path / "run", shape=shape)
    generator = run.generator()
    grid = class_grid(generator, run.recipe, [2, 0], 70, seed=5)
    assert grid.shape == (2, 70, *shape)
    for place, label in ((0, 2), (1, 0)):
        torch.testing.assert_close(grid[place], sample(generator, run.recipe, range(70), 5, label), rtol=0, atol=1e-5)
    assert not torch.allclose(grid[0], grid[1])


@pytest.mark.parametrize("count", [1, 2, 10, 11, 120])
def test_a_sheet_shows_each_class_under_its_name(tmp_path, count):
    names = [f"kind {i}" for i in range(count)]
    source = samples.source(run_of(tmp_path / "run", names), seed=3)
    pixels, said = picture(samples.write(source, Path("all.png"), 24).read_bytes())
    labels, each = shared(24, count)
    found, texts = panels(pixels, len(labels), each, (80, 120))
    for k, label in enumerate(labels):
        wanted = quantized(source.grid([label], each))[0].numpy()
        np.testing.assert_array_equal(found[k], tiles(wanted))
        np.testing.assert_array_equal(texts[k], text(f"kind {label}", texts[k].shape[1]))
    if count > 24:
        np.testing.assert_array_equal(pixels[-20:], text("24 of 120 classes", pixels.shape[1]))
    assert said["Sample"] == (f"0–{each - 1}" if each > 1 else "0") + " of each class"
    assert said["Classes"] == ", ".join(names[label] for label in labels)
    assert "Class" not in said


def test_voxels_stand_under_their_names_too(tmp_path):
    source = samples.source(run_of(tmp_path / "run", NAMES[:2], VOXELS))
    pixels, _ = picture(samples.write(source, Path("all.png"), 4).read_bytes())
    found, texts = panels(pixels, 2, 2, (160, 160))
    np.testing.assert_array_equal(found[1], tiles(quantized(source.grid([1], 2))[0].numpy()))
    np.testing.assert_array_equal(texts[1], text("dog", texts[1].shape[1]))


def test_the_sheet_of_a_training_is_the_one_that_is_exported(tmp_path):
    run = run_of(tmp_path / "run")
    exported = samples.write(samples.source(run), Path("all.png"), SHEET).read_bytes()
    assert sheet_png(run.recipe, run.state(), "pets", NAMES) == exported
    nameless, said = picture(sheet_png(run.recipe, run.state(), "pets"))
    assert said["Classes"] == "class 0, class 1, class 2"
    np.testing.assert_array_equal(nameless[20:], picture(exported)[0][20:])


def test_names_are_written_as_the_font_can_and_stand_whole_in_the_notes(tmp_path):
    assert [drawable(name) for name in ("frog", "#28150a", "café", "猫", "Größe", "a\nb", "")] == [
        "frog", "#28150a", "cafe", "", "", "a\\nb", "",
    ]  # fmt: skip
    long = "Nova Scotia duck tolling retriever"
    source = samples.source(run_of(tmp_path / "run", ("猫", long)))
    pixels, said = picture(samples.write(source, Path("all.png"), 2).read_bytes())
    _, (first, second) = panels(pixels, 2, 1, (80, 120))
    np.testing.assert_array_equal(first, text("class 0", 134))
    cut = [long[:i].rstrip() + "…" for i in range(len(long))]
    assert sum(np.array_equal(second, text(one, 134)) for one in cut) == 1, "not cut where the room ends"
    assert said["Classes"] == f"猫, {long}"


def test_a_sheet_of_one_class_is_a_plain_one(tmp_path):
    run = run_of(tmp_path / "run")
    pixels, said = picture(samples.write(samples.source(run, label=2), Path("frogs.png"), 4).read_bytes())
    assert pixels.shape == (2 * 82 + 2, 2 * 122 + 2, 3)
    assert (said["Class"], said["Sample"], "Classes" in said) == ("frog", "0–3", False)


def test_the_report_shows_a_sheet_by_class_as_it_is(tmp_path):
    run = run_of(tmp_path / "run")
    flat = tmp_path / "000000000100.png"
    flat.write_bytes(sheet_png(run.recipe, run.state(), "pets", NAMES))
    made = shot(flat)
    whole, _ = picture(flat.read_bytes())
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))).convert("RGB"))
    assert (made.width, made.height, made.times) == (whole.shape[1], whole.shape[0], 1)
    assert np.abs(shown.astype(int) - whole).mean() < 3


# walks


def test_a_walk_goes_the_same_way_in_each_class(tmp_path):
    source = samples.source(run_of(tmp_path / "run"))
    frames = list(samples.class_walks(source, 2))
    assert len(frames) == 2 * WALK
    for k in range(3):
        wanted = tiles(quantized(source.walk(2, label=k)).numpy(), 192)
        for i in (0, 7, 23):
            found, texts = panels(frames[i], 3, 1, (128, 192))
            np.testing.assert_array_equal(found[k, 0], wanted[i])
            np.testing.assert_array_equal(texts[k], text(NAMES[k], texts[k].shape[1]))
    with Image.open(samples.write(source, Path("walk.gif"), 2)) as opened:
        assert opened.n_frames == 2 * WALK
        assert opened.size == frames[0].shape[1::-1]


def test_a_walk_of_one_class_is_that_classes_and_of_many_it_shows_some(tmp_path):
    run = run_of(tmp_path / "run")
    alone, every = samples.source(run, label=1), samples.source(run)
    assert torch.equal(alone.walk(1), every.walk(1, label=1))
    with Image.open(samples.write(alone, Path("dogs.gif"), 1)) as opened:
        assert opened.size == (192, 128)
    many = samples.source(run_of(tmp_path / "many", [str(i) for i in range(30)]))
    frame = next(samples.class_walks(many, 1))
    np.testing.assert_array_equal(frame[-20:], text("12 of 30 classes", frame.shape[1]))


# files


def test_samples_lie_in_folders_of_their_classes_under_the_same_numbers(tmp_path):
    source = samples.source(run_of(tmp_path / "run"))
    found = content(samples.write(source, Path("made"), 7))
    assert list(found) == sorted(f"{NAMES[i % 3]}/{i:06d}.png" for i in range(7))
    for i, name in enumerate(sorted(found, key=lambda name: name[-10:])):
        pixels, said = picture(found[name])
        np.testing.assert_array_equal(pixels, np.moveaxis(quantized(source.make([i]))[0].numpy(), 0, -1))
        assert (said["Class"], said["Sample"]) == (NAMES[i % 3], str(i))
    with zipfile.ZipFile(samples.write(source, Path("made.zip"), 7)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == found
        assert [name[-10:] for name in archive.namelist()] == [f"{i:06d}.png" for i in range(7)]


@pytest.mark.parametrize("out", ["made", "made.zip"])
@pytest.mark.parametrize("names", [NAMES, ("10", "9", "a"), *ODD], ids=str)
def test_what_was_written_is_read_back_with_its_classes(tmp_path, names, out):
    source = samples.source(run_of(tmp_path / "run", names))
    written = samples.write(source, Path(out), 2 * len(names) + 1)
    data = open_data(str(written))
    assert data.counts == {"train": 2 * len(names) + 1}
    assert sorted(data.classes) == sorted(names)
    at = [int(re.search(r"(\d{6})", name)[1]) for name in data.names]
    assert [data.classes[label] for label in data.labels] == [names[i % len(names)] for i in at]
    expected = np.moveaxis(quantized(source.make(at)).numpy(), 1, -1)
    np.testing.assert_array_equal(data.rows(np.arange(len(at))), expected)


@pytest.mark.parametrize(
    ("names", "n", "files", "listed"),
    [
        (NAMES, 2, ["cat/000000.png", "dog/000001.png"], False),
        (NAMES, 1, ["cat/000000.png"], True),
        (("train", "test"), 2, ["000000.png", "000001.png"], True),
        (("frog",), 2, ["000000.png", "000001.png"], True),
    ],
    ids=str,
)
def test_a_list_of_labels_is_written_only_where_folders_do_not_tell(tmp_path, names, n, files, listed):
    found = content(samples.write(samples.source(run_of(tmp_path / "run", names)), Path("made"), n))
    labels = [[name, i % len(names)] for i, name in enumerate(files)]
    if listed:
        assert json.loads(found.pop("dataset.json")) == {"labels": labels, "class_names": list(names)}
    assert list(found) == files


def test_one_class_is_written_without_folders(tmp_path):
    run = run_of(tmp_path / "run")
    assert list(content(samples.write(samples.source(run, label=0), Path("cats"), 2))) == ["000000.png", "000001.png"]


def with_files(names):
    for name in names:
        path = Path("made", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"older")


@pytest.mark.parametrize("older", [(), ("frog/000002.png", "frog/thesis.txt", "000000.png")], ids=["new", "taken"])
def test_class_folders_are_filled_whole_or_not_at_all(tmp_path, older, monkeypatch):
    source, seen = samples.source(run_of(tmp_path / "run")), []
    expected = content(samples.write(source, Path("aside"), 4))
    with_files(older)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "watcher", lambda *about: seen.append(about))
        assert content(samples.write(source, Path("made"), 4)) == dict.fromkeys(older, b"older") | expected
    waiting = set()
    for operation, path, new in seen:
        if operation in ("create", "write", "mkdir"):
            waiting.add(path)
        elif operation == "fsync":
            waiting.discard(path)
        elif operation == "rename":
            assert path not in waiting, "named before it was on the disk"
            waiting.add(new.parent)
    assert waiting == set()
    last = sum(operation != "rmdir" for operation, _, _ in seen)  # what cannot be tidied up is left to the next export
    for k in range(1, last + bool(older), 3):
        gansaku.files.remove(Path("made"))
        with_files(older)
        monkeypatch.setattr(faults, "_fault", faults.parsed(f"ENOSPC {k}"))
        monkeypatch.setattr(faults, "_count", 0)
        with pytest.raises(DiskError) as caught:
            samples.write(source, Path("made"), 4)
        monkeypatch.setattr(faults, "_fault", None)
        assert ".part-" not in caught.value.where, "the error names a temporary path"
        left = content(Path("made")) if Path("made").exists() else {}
        assert all(data in (b"older", expected.get(name)) for name, data in left.items())
        assert older or left in ({}, expected)
        assert not list(Path().rglob(".part-*"))


# names of classes


def test_a_class_is_matched_exactly_and_a_misspelt_one_gets_a_proposal(tmp_path):
    run = run_of(tmp_path / "run")
    assert [label_of(run, name) for name in (*NAMES, None)] == [0, 1, 2, None]
    with pytest.raises(UsageError, match=r"--class: 'frgo' is no class; did you mean 'frog'\? \[CLASS\]"):
        gansaku.sample(run, "x.png", class_name="frgo")
    with pytest.raises(UsageError, match="'Cat' is no class"):
        gansaku.sample(run, "x.png", class_name="Cat")
    plain = run_of(tmp_path / "plain", conditional=False)
    with pytest.raises(UsageError, match="plain was trained without classes"):
        gansaku.sample(plain, "x.png", class_name="cat")
    assert not Path("x.png").exists()


def test_a_run_of_data_with_classes_that_knows_none_shows_plain_sheets(tmp_path):
    source = samples.source(run_of(tmp_path / "run", conditional=False))
    assert picture(samples.write(source, Path("all.png"), 4).read_bytes())[0].shape == (2 * 82 + 2, 2 * 122 + 2, 3)
    assert list(content(samples.write(source, Path("made"), 1))) == ["000000.png"]


def test_show_says_how_many_samples_each_class_has_and_whether_the_run_knows_them(tmp_path):
    told = summarize(run_of(tmp_path / "run", balance={"cat": 30, "dog": 20, "frog": 10}).path)
    assert (told["data"]["classes"], told["conditional"]) == ({"cat": 30, "dog": 20, "frog": 10}, True)
    told = summarize(run_of(tmp_path / "old", conditional=False).path)
    assert (told["data"]["classes"], told["conditional"]) == (list(NAMES), False)
    assert "classes" not in summarize(run_of(tmp_path / "none", ()).path)["data"]


def test_a_training_draws_named_classes_and_tells_how_many_samples_each_has(tmp_path, capsys):
    draw = np.random.default_rng(0)
    labels, x = np.array([0] * 20 + [1] * 12 + [2] * 8), draw.integers(0, 256, (40, 16, 24, 3), np.uint8)
    np.savez("animals.npz", x=x, y=labels, class_names=np.array(NAMES))
    run = gansaku.train(recipe_of(3).but(length=16), "animals.npz", "trained", scoring=gansaku.Scoring(share=0))
    exported = samples.write(samples.source(run), Path("all.png"), SHEET).read_bytes()
    assert run.folder.newest_sheet().read_bytes() == exported
    assert picture(exported)[1]["Classes"] == "cat, dog, frog"
    assert main(["show", "trained"]) == 0
    said = capsys.readouterr().out
    for name, count in (("cat", 20), ("dog", 12), ("frog", 8)):
        assert re.search(rf"^  {name} +█.* {count}$", said, re.MULTILINE)
        assert f"<dt>{name}</dt><dd>{count}</dd>" in run.folder.report.read_text()
    with pytest.raises(UsageError, match=r"class_accuracy, .* needs a recipe with classes, and tiny makes samples without"):
        gansaku.train(recipe_of(0), "animals.npz", "other", scoring=gansaku.Scoring(("class_accuracy",)))


def test_what_was_not_asked_for_is_not_scored_on_the_way(tmp_path):
    """Class accuracy comes with that of real samples and with the balance of classes: asked for alone, it stands alone."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (40, 16, 24, 3), np.uint8)
    np.savez("animals.npz", x=x, y=np.arange(40) % 3, class_names=np.array(NAMES))
    scoring = gansaku.Scoring(("class_accuracy",), n=30, every=1, share=1e9)
    run = gansaku.train(recipe_of(3).but(length=64), "animals.npz", "trained", scoring=scoring)
    assert {score.metric for _, score in log.scores(run.folder.log)} == {"class_accuracy"}


def test_a_class_in_other_letters_is_proposed_and_samples_of_one_are_had_in_python(tmp_path):
    run = run_of(tmp_path / "run")
    with pytest.raises(UsageError, match=r"'FROG' is no class; did you mean 'frog'\?"):
        label_of(run, "FROG")
    assert torch.equal(run.sample(4, 1, "frog"), samples.source(run, 1, 2).make(range(4)))


# scores


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs and samples of theirs, beside data whose classes are in another order: flat pictures, each of its class's colour."""
    folder, draw = tmp_path_factory.mktemp("scores"), np.random.default_rng(0)
    labels, colours = np.arange(90) % 3, np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
    x = np.clip(colours[labels][:, None, None] + draw.integers(-30, 30, (90, 16, 24, 3)), 0, 255).astype(np.uint8)
    np.savez(folder / "animals.npz", x=x, y=labels, class_names=np.array(["frog", "cat", "dog"]))
    runs = {"run": run_of(folder / "run"), "plain": run_of(folder / "plain", conditional=False)}
    samples.write(samples.source(runs["run"]), folder / "made", 60)
    samples.write(samples.source(runs["run"]), folder / "made.zip", 60)
    samples.write(samples.source(runs["plain"]), folder / "flat", 6)
    samples.write(samples.source(run_of(folder / "two", ("bird", "cat"))), folder / "birds", 6)
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("GANSAKU_CACHE", str(place / "cache"))


def evaluated(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments), "--extractor", "random-2d", "--json"]) == 0
    return {
        (score["metric"], score["passport"]["label"]): score
        for score in json.loads(capsys.readouterr().out)["scores"]
    }  # fmt: skip


METRICS = "fid,class_accuracy,class_accuracy_real,class_imbalance,diversity"
DATA = ("--against", "animals.npz")


@pytest.mark.parametrize("per_class", [(), ("--per-class",)], ids=["whole", "per class"])
@pytest.mark.parametrize("out", ["made", "made.zip"])
def test_samples_score_the_same_in_their_files_as_in_their_run(here, capsys, out, per_class):
    how = (*DATA, "--metrics", METRICS, *per_class, "-n", 60)
    ours, theirs = evaluated(capsys, "run", *how), evaluated(capsys, out, *how)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 5 * (3 if per_class else 1)
    for kind, score in ours.items():
        assert theirs[kind]["value"] == pytest.approx(score["value"], rel=1e-4, abs=1e-9), kind
        assert theirs[kind]["name"] == score["name"]


def test_samples_that_are_the_data_are_seen_as_their_classes_whatever_their_order_is(here, capsys):
    """Written as class folders, the classes come in the order of the alphabet; two of them alone are understood, too."""
    assert main(["prepare", "animals.npz", "copied"]) == 0
    capsys.readouterr()
    found = evaluated(capsys, "copied", *DATA, "--metrics", "class_accuracy,class_imbalance,diversity")
    assert [found[name, ""]["value"] for name in ("class_accuracy", "class_imbalance", "diversity")] == pytest.approx([1, 0, 1])
    gansaku.files.remove(Path("copied/train/cat"))
    found = evaluated(capsys, "copied", *DATA, "--metrics", "class_accuracy", "--per-class")
    assert {label: score["value"] for (_, label), score in found.items()} == {"dog": 1, "frog": 1}


def test_each_class_is_a_row_of_a_table_with_its_counts(here, capsys):
    command = ["evaluate", "run", *DATA, "--extractor", "random-2d", "-n", "61", "--per-class"]
    assert main([*command, "--metrics", "fid,class_accuracy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pets at 0"
    assert re.split(r"\s\s+", lines[1].strip()) == [
        "class",
        "generated",
        "real",
        "↓ FD-random-2d",
        "↑ Class accuracy-random-2d",
    ]
    rows = [re.split(r"\s\s+", line.strip())[:3] for line in lines[2:5]]
    first = torch.randperm(90, generator=keys.generator("evaluation", "train", 90))[:61].numpy()
    counts = np.bincount(open_data("animals.npz").labels[first]).tolist()
    real = {name: str(count) for name, count in zip(["frog", "cat", "dog"], counts, strict=True)}
    assert rows == [["cat", "21", real["cat"]], ["dog", "20", real["dog"]], ["frog", "20", real["frog"]]]
    assert lines[5] == ""
    assert "61 generated samples" in lines[6]
    assert "61 real ones of animals (train)" in lines[6]
    assert sum("more like it" in line for line in lines) == 1, "a warning for each class"


def test_a_class_with_too_few_samples_is_left_out_and_named(here):
    how = {"extractor": "random-2d", "per_class": True, "intervals": False, "real": 90}
    found = gansaku.evaluate("run", "animals.npz", ["fid"], n=5, **how)
    assert [score.passport.label for score in found] == ["cat", "dog"]
    assert all("left out for lack of samples: frog" in score.warnings[-1] for score in found)
    with pytest.raises(UsageError, match="--per-class: no class has samples enough: cat"):
        gansaku.evaluate("run", "animals.npz", ["fid"], n=3, **how)


@pytest.mark.parametrize(("what", "n"), [("run", 7), ("made", 20)])
def test_one_class_meets_real_samples_of_it_from_a_run_and_from_files(here, capsys, what, n):
    ((kind, score),) = evaluated(capsys, what, *DATA, "--class", "dog", "-n", n, "--metrics", "fid").items()
    assert kind == ("fid", "dog")
    assert (score["passport"]["split"], score["passport"]["n_generated"]) == ("train, class dog", n)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--class", "frgo"), "'frgo' is no class; did you mean 'frog'?"),
        (("made", "--class", "frgo"), "made has no class 'frgo'; did you mean 'frog'?"),
        (("flat", "--class", "frog"), "flat has no classes; leave it out"),
        (("run", "--class", "frog", "--per-class"), "scores every class; leave out --class"),
        (("run", "--class", "frog", "--metrics", "class_accuracy"), "learns from all classes; --per-class tells each one's"),
        (("flat", "--metrics", "class_accuracy"), "needs to know classes, and flat has none"),
        (("plain", "--metrics", "class_imbalance"), "needs to know classes, and pets at 0 has none"),
        (("flat", "--per-class"), "flat has no classes"),
        (("birds", "--per-class"), "animals has no class 'bird'"),
        (("birds", "--metrics", "class_accuracy"), "animals has no class 'bird'"),
        (("birds", "--class", "bird"), "animals has no class 'bird'"),
        (("made", "--against", "flat", "--metrics", "class_accuracy"), "needs to know classes, and flat has none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused_in_a_sentence(here, capsys, arguments, says):
    against = () if "--against" in arguments else DATA
    assert main(["evaluate", *arguments, *against, "--extractor", "random-2d", "-n", "6"]) == 2
    assert says in capsys.readouterr().err


def test_the_names_of_all_numbers_of_classes_are_listed(capsys):
    assert main(["scores", "--names"]) == 0
    out = capsys.readouterr().out
    for name in ("class_accuracy ", "class_accuracy_real", "class_imbalance", "diversity"):
        assert f"\n{name}" in out


def test_unconditional_runs_are_sampled_as_they_always_were(tmp_path):
    """The numbers of a grid and of a walk come from the same latents as the samples do."""
    run = run_of(tmp_path / "run", conditional=False)
    state = run.state()
    generator = shown_generator(state)
    plain = sample(generator, run.recipe, range(3))
    source = samples.source(run)
    assert torch.equal(source.make(range(3)), plain)
    torch.testing.assert_close(source.walk(3)[::WALK], plain, rtol=0, atol=1e-5)
