"""Exported samples are the same bytes each time, and are there whole or not at all, whatever happens on the way."""

import io
import os
import signal
import subprocess
import sys
import weakref
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures.tiny import discriminator, generator
from gansaku import faults, files
from gansaku.errors import DiskError, UsageError
from gansaku.latents import Gaussian
from gansaku.recipe import Recipe
from gansaku.render.sheet import origin, png, sheet_of
from gansaku.runs import checkpoint, samples
from gansaku.runs.folder import Folder
from gansaku.runs.run import Run
from gansaku.sampling import quantized
from gansaku.training.state import begin

PICTURES, VOXELS = (3, 8, 12), (1, 4, 8, 12)
KINDS = ["folder", "all.zip", "all.npy", "all.png", "all.gif"]
N = 5


def made(which, shape=(3, 4, 6)):
    """Samples that depend on their numbers alone."""
    return torch.stack([torch.rand(shape, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in which])


SOURCE = samples.Source(made, lambda stops: made(range(3 * stops)), origin("faces", "tiny", 640, 0))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(samples, "BLOCK", 2)


def run_of(path, shape=PICTURES, classes=0):
    """A run with the untrained weights of a tiny recipe."""
    first = generator(shape, classes=classes)
    recipe = Recipe(shape, first, discriminator(shape), 160, latent=Gaussian(4), classes=classes, name="tiny")
    folder = Folder(path)
    folder.create("", {"name": "faces", "data": {"classes": ["cat", "dog"][:classes]}})
    checkpoint.save(folder.checkpoints, begin(recipe))
    return Run(folder, recipe)


def content(path):
    """All that is at a path: bytes, or bytes by name, temporary names left out; None for nothing."""
    if path.is_dir():
        return {p.name: content(p) for p in sorted(path.iterdir()) if not p.name.startswith(files.TEMPORARY)}
    return path.read_bytes() if path.exists() else None


def leftovers():
    return sorted(str(p) for p in Path().rglob(f"{files.TEMPORARY}*"))


def written(out, source=SOURCE, n=N, **how):
    return content(samples.write(source, Path(out), n, **how))


def whole(kind):
    """What an undisturbed export of this kind leaves."""
    Path("aside").mkdir(exist_ok=True)
    return written(f"aside/{kind}")


def picture(data):
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened), dict(opened.text)


# the same bytes


@pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2D", "3D"])
def test_sample_i_of_a_run_is_the_same_file_however_many_are_made(tmp_path, shape):
    source = samples.source(run_of(tmp_path / "run", shape), seed=3)
    few, many = written("few", source, 3), written("many", source, 66)
    assert {name: many[name] for name in few} == few
    assert len(many) == len(set(many.values())) == 66


@pytest.mark.parametrize("block", [1, 7, 64])
def test_folder_zip_and_values_do_not_depend_on_how_many_samples_a_block_has(monkeypatch, block):
    expected = [written(f"first/{kind}", n=20) for kind in KINDS[:3]]
    monkeypatch.setattr(samples, "BLOCK", block)
    assert [written(f"other/{kind}", n=20) for kind in KINDS[:3]] == expected


def test_a_folder_and_a_zip_hold_the_same_files_in_the_order_of_their_numbers(small_blocks):
    folder, archive = written("folder"), samples.write(SOURCE, Path("all.zip"), N)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == list(folder) == [f"{i:06d}.png" for i in range(N)]
        assert {name: opened.read(name) for name in opened.namelist()} == folder
        about = opened.infolist()
    assert {(e.date_time, e.compress_type, e.external_attr >> 16) for e in about} == {((1980, 1, 1, 0, 0, 0), 0, 0o644)}


def test_a_zip_of_more_than_the_old_format_holds_can_be_read(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    archive = written("all.zip")
    assert b"PK\x06\x06" in archive, "no ZIP64 record"
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert len(opened.namelist()) == N


def test_values_are_what_numpy_would_save(small_blocks):
    expected = io.BytesIO()
    np.save(expected, made(range(N)).numpy())
    assert written("all.npy") == expected.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_call_writes_the_same_bytes_over_the_old_ones(kind):
    assert written(kind) == written(kind) == whole(kind)
    assert leftovers() == []


@pytest.mark.parametrize(("shape", "mode"), [((3, 4, 6), 3), ((1, 4, 6), 2)])
def test_a_png_loses_nothing(shape, mode):
    pixels, _ = picture(written("folder", replace(SOURCE, make=partial(made, shape=shape)))["000003.png"])
    expected = quantized(made([3], shape))[0].numpy()
    assert pixels.ndim == mode
    np.testing.assert_array_equal(pixels, np.moveaxis(expected, 0, -1) if mode == 3 else expected[0])


# what a picture says


@pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2D", "3D"])
def test_every_picture_says_where_it_comes_from(tmp_path, shape):
    run = run_of(tmp_path / "run", shape, classes=2)
    source = samples.source(run, seed=3, label=1, truncation=0.5)
    said = {"Software": "Gansaku", "Run": "faces", "Recipe": "tiny", "Samples seen": "0", "Seed": "3"}
    said |= {"Class": "dog", "Truncation": "0.5"}
    assert picture(written("folder", source, 2)["000001.png"])[1] == {**said, "Sample": "1"}
    assert picture(written("all.png", source, 2))[1] == {**said, "Sample": "0–1"}
    assert picture(written("one.png", source, 1))[1]["Sample"] == "0"
    plain = picture(written("plain", samples.source(run), 2)["dog"]["000001.png"])[1]
    assert plain.keys() == said.keys() - {"Truncation"} | {"Sample"}
    assert plain["Class"] == "dog"
    without = run_of(tmp_path / "without", shape)
    assert picture(written("single", samples.source(without), 1)["000000.png"])[1].keys() == plain.keys() - {"Class"}


def test_a_label_and_a_truncation_change_the_samples(tmp_path):
    run = run_of(tmp_path / "run", classes=2)
    sources = [samples.source(run), samples.source(run, label=0), samples.source(run, label=1), samples.source(run, seed=1)]
    values = [source.make(range(4)) for source in [*sources, samples.source(run, truncation=0.1)]]
    assert torch.equal(values[0][::2], values[1][::2])
    assert torch.equal(values[0][1::2], values[2][1::2])
    assert [torch.equal(values[0], value) for value in values] == [True, False, False, False, False]


def test_the_sheet_of_a_training_is_the_one_that_is_exported():
    pictures = quantized(made(range(64))).numpy()
    assert written("all.png", n=64) == sheet_of(pictures, SOURCE.notes)
    pixels, said = picture(sheet_of(pictures, SOURCE.notes))
    assert said["Sample"] == "0–63"
    assert pixels.shape == (8 * (4 * 21 + 2) + 2, 8 * (6 * 21 + 2) + 2, 3), "not eight by eight"


def test_a_name_that_cannot_be_printed_is_escaped():
    odd = os.fsdecode(b"run\xff\n")
    assert picture(png(np.zeros((2, 2), np.uint8), {"Run": odd}))[1]["Run"] == r"run\udcff\n"


# whole or not at all


def operations(kind):
    """How many operations on the disk an export is."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "watcher", lambda *about: seen.append(about))
        samples.write(SOURCE, Path(f"counted/{kind}"), N)
    return len(seen) - 2  # the folder `counted` and its entry are two


@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
@pytest.mark.parametrize("kind", KINDS)
def test_before_every_operation_there_is_the_older_content_or_the_whole(kind, older, small_blocks, monkeypatch):
    expected, out, before = whole(kind), Path(kind), None
    if older and kind == "folder":
        out.mkdir()
        before = {}
    elif older:
        out.write_bytes(b"older")
        before = b"older"
    found = []
    monkeypatch.setattr(faults, "watcher", lambda *about: found.append(content(out)))
    assert written(out) == expected
    assert all(state in (before, expected) for state in found)
    assert found[0] == before
    assert found[-1] == expected
    assert leftovers() == []


@pytest.mark.parametrize("kind", [*KINDS, "taken"])
def test_everything_is_on_the_disk_before_it_gets_its_name(kind, small_blocks, monkeypatch):
    if kind == "taken":
        Path(kind).mkdir()
        Path(kind, "thesis.txt").write_text("mine")
    waiting, named = set(), []

    def watch(operation, path, new):
        if operation in ("create", "write", "mkdir"):
            waiting.add(path)
        elif operation == "fsync":
            waiting.discard(path)
        elif operation == "rename":
            named.append(new.name)
            assert waiting <= {new.parent}, "named before it was on the disk"
            waiting.add(new.parent)

    monkeypatch.setattr(faults, "watcher", watch)
    written(kind)
    assert waiting == set()
    assert named == ([f"{i:06d}.png" for i in range(N)] if kind == "taken" else [kind])


def forked(fault, out):
    """Write in a process of its own with this fault; how it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faults._fault, faults._count = faults.parsed(fault), 0
            samples.write(SOURCE, Path(out), N)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_export_leaves_nothing_or_the_whole_and_the_repeat_cleans_up(kind, small_blocks):
    expected, last = whole(kind), operations(kind)
    for k in sorted({1, 2, 3, last // 2, last - 2, last - 1, last}):
        for fault in (f"KILL {k}", f"TEAR {k}"):
            assert forked(fault, kind) == -signal.SIGKILL, fault
            assert content(Path(kind)) in (None, expected), fault
            assert written(kind) == expected, fault
            assert leftovers() == [], fault
            files.remove(Path(kind))


def test_a_killed_export_into_a_folder_that_is_not_empty_leaves_each_file_old_or_new(small_blocks):
    expected, out = whole("folder"), Path("folder")
    for k in range(1, operations("folder") + N, 3):
        out.mkdir()
        for name in ("000001.png", "thesis.txt"):
            (out / name).write_bytes(b"older")
        assert forked(f"KILL {k}", out) == -signal.SIGKILL
        left = content(out)
        assert left.pop("thesis.txt") == b"older"
        assert all(data in (expected[name], b"older") for name, data in left.items())
        assert written(out) == {**expected, "thesis.txt": b"older"}
        assert leftovers() == []
        files.remove(out)


def test_the_environment_kills_an_export_in_its_middle_too(tmp_path):
    code = (
        "import torch; from pathlib import Path; from gansaku.runs import samples;"
        "samples.write(samples.Source(lambda which: torch.zeros(len(which), 3, 8, 8), None, {}), Path('all.zip'), 300)"
    )
    environment = {**os.environ, "GANSAKU_FAULTS": "TEAR 40 10 on write"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -signal.SIGKILL
    assert len(leftovers()) == 1
    assert leftovers()[0].endswith("-all.zip")
    assert not Path("all.zip").exists()
    assert written("all.zip") == whole("all.zip")
    assert leftovers() == []


@pytest.mark.parametrize(("error", "lasting"), [("ENOSPC", ""), ("ENOSPC", "+"), ("EACCES", "")])
@pytest.mark.parametrize("kind", [*KINDS, "taken"])
def test_a_disk_error_at_any_operation_leaves_what_was_there(kind, lasting, error, small_blocks, monkeypatch):
    out, count = Path(kind), operations("folder" if kind == "taken" else kind)
    older = {"thesis.txt": b"older"} if kind == "taken" else {} if kind == "folder" else b"older"
    for k in range(1, count):  # the last one comes after the rename
        if isinstance(older, dict):
            out.mkdir(exist_ok=True)
            for name, data in older.items():
                (out / name).write_bytes(data)
        else:
            out.write_bytes(older)
        monkeypatch.setattr(faults, "_fault", faults.parsed(f"{error} {k}{lasting}"))
        monkeypatch.setattr(faults, "_count", 0)
        with pytest.raises(DiskError) as caught:
            samples.write(SOURCE, out, N)
        monkeypatch.setattr(faults, "_fault", None)
        assert (Path(caught.value.where).parts or ".")[0] in (kind, "."), "the error names a temporary path"
        assert content(out) == older
        if not lasting:
            assert leftovers() == []
        files.sweep_exports(out)
        assert leftovers() == []


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_in_the_middle_leaves_what_was_there(kind, error, small_blocks):
    def interrupted(which):
        if which[0] >= 2:
            raise error
        return made(which)

    for older in (False, True):
        if older and kind != "folder":
            Path(kind).write_bytes(b"older")
        before = content(Path(kind))
        with pytest.raises(error):
            samples.write(replace(SOURCE, make=interrupted), Path(kind), N)
        assert content(Path(kind)) == before
        assert leftovers() == []


def test_values_that_cannot_fit_are_refused_before_they_are_written(monkeypatch):
    monkeypatch.setattr(files, "free", lambda path: 1000)
    with pytest.raises(DiskError, match=r"all\.npy: needs 1\.44 kB, and 1 kB are free"):
        written("all.npy")
    assert content(Path()) == {}


# folders that are there


def test_a_folder_keeps_what_else_is_in_it():
    out = Path("folder")
    (out / "inner").mkdir(parents=True)
    for name in ("000001.png", "000099.png", "thesis.txt", "inner/000000.png"):
        (out / name).write_bytes(b"older")
    expected = {**whole("folder"), "000099.png": b"older", "thesis.txt": b"older", "inner": {"000000.png": b"older"}}
    assert written(out) == expected
    assert leftovers() == []


def test_what_comes_into_an_empty_folder_meanwhile_is_kept(small_blocks):
    Path("folder").mkdir()
    thesis = Path("folder/thesis.txt")
    assert written("folder", progress=lambda done, total: thesis.write_text("mine")) == {
        **whole("folder"),
        "thesis.txt": b"mine",
    }


@pytest.mark.parametrize("kind", ["link", "here", "here by its whole name"])
def test_a_folder_that_may_not_be_replaced_is_filled(kind, monkeypatch):
    expected, place = whole("folder"), Path("place").absolute()
    place.mkdir()
    Path("link").symlink_to(place)
    node = place.stat().st_ino
    if kind != "link":
        monkeypatch.chdir(place)
    assert written({"link": "link", "here": "."}.get(kind, place)) == expected
    assert content(place) == expected
    assert place.stat().st_ino == node
    assert leftovers() == []


def test_only_what_dead_processes_left_of_this_export_is_swept():
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    Path("out").mkdir()
    swept = [f".part-{ended}-out", f"out/.part-{ended}-", f".part-{os.getpid()}-out"]
    kept = [f".part-{os.getppid()}-out", f".part-{ended}-other", f".part-{ended}-out.zip", ".part-out", f".part-{ended}0x-out",
            f"out/.part-{os.getppid()}-", f"out/.part-{ended}-000001.png", f"x.part-{ended}-out"]  # fmt: skip
    for path in (*swept, *kept):
        Path(path).mkdir()
        Path(path, "000000.png").write_bytes(b"half")
    written("out")
    assert [path for path in swept if Path(path).exists()] == []
    assert [path for path in kept if not Path(path, "000000.png").exists()] == []


@pytest.mark.parametrize(
    ("out", "n", "says"),
    [
        ("all.mp4", 1, r"all\.mp4: is no folder, \.zip, \.png, \.gif or \.npy"),
        ("new", 0, "-n: 0 is no number of samples; use 1 or more"),
        ("folder.zip", 1, r"folder\.zip: is a folder; name a file"),
        ("file", 1, "file: is a file; name a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_made(out, n, says):
    Path("folder.zip").mkdir()
    Path("file").write_text("mine")
    with pytest.raises(UsageError, match=says):
        samples.write(replace(SOURCE, make=None), Path(out), n)
    assert content(Path()) == {"folder.zip": {}, "file": b"mine"}


# memory and progress


@pytest.mark.parametrize("kind", KINDS[:3])
def test_no_more_than_two_blocks_are_in_memory_at_a_time(kind):
    alive, most = weakref.WeakSet(), []

    def counted(which):
        most.append(len(alive))
        block = made(which)
        alive.add(block)
        return block

    samples.write(replace(SOURCE, make=counted), Path(kind), 10 * samples.BLOCK)
    assert len(most) == 10
    assert max(most) <= 1  # and the one that is being made


@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told_block_by_block_up_to_the_end(kind, small_blocks):
    told = []
    written(kind, progress=lambda done, total: told.append((done, total)))
    assert told == ([(5, 5)] if kind == "all.gif" else [(2, 5), (4, 5), (5, 5)])
