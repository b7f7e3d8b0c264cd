"""No write that fails costs more than the newest checkpoint; most cost nothing but a sentence."""

import functools
import hashlib
import io
import os
import resource
import shutil
import subprocess
import tempfile
import typing
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.tiny import LATENT, PICTURES, TinyDiscriminator, TinyGenerator
from gansaku import api, cli, faults, files
from gansaku.contract import Player
from gansaku.data import sources
from gansaku.errors import DiskError, GansakuError, RunError, Stopped
from gansaku.latents import Gaussian
from gansaku.listener import Listener
from gansaku.optimizers import SGD
from gansaku.recipe import Recipe, to_toml
from gansaku.runs import lock, log, manifest, recorder, report, watchers
from gansaku.runs.folder import Folder
from gansaku.training.state import begin

ERRORS = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES"]
SHORT, LONG = 16, 40  # samples: the run that is there, with one checkpoint, and where the same run is to go
ROOT = os.geteuid() == 0

# Few tensors, so that a checkpoint is few writes.
PLAYERS = (
    Player(TinyGenerator(PICTURES), SGD(momentum=0.9), lr=1e-2),
    Player(TinyDiscriminator(PICTURES), SGD(), lr=1e-2),
)
RECIPE = Recipe(PICTURES, *PLAYERS, SHORT, latent=Gaussian(LATENT), batch=8)


class Ears(Listener):
    """Remembers what was said, and whether the training began."""

    def __init__(self, at_begin=lambda: None, at_say=lambda sentence: None):
        self.said, self.began, self._at_begin, self._at_say = [], False, at_begin, at_say

    def say(self, sentence):
        self.said.append(sentence)
        self._at_say(sentence)

    def begin(self, seen, length):
        self.began = True
        self._at_begin()

    @property
    def complaints(self):
        return [sentence for sentence in self.said if "training goes on" in sentence or "trying again" in sentence]


@contextmanager
def fast_folder():
    """A folder in memory where there is such a thing: thousands of fsyncs are made here."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)


def hurry(patch):
    """A checkpoint after every cycle, no waiting before another try, and a sheet that costs nothing."""
    patch.setattr(recorder, "paced", lambda moments, seconds: moments)
    patch.setattr(recorder, "WAITS", (0.0, 0.0, 0.0))
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "png")
    patch.setattr(watchers, "sheet_png", lambda recipe, state, run, classes: picture.getvalue())
    patch.setattr(typing, "get_type_hints", functools.cache(typing.get_type_hints))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    hurry(monkeypatch)


def numbers(path, count=24, side=8):
    np.save(path, np.random.default_rng(0).integers(0, 255, (count, side, side, 3), np.uint8))
    return str(path)


@dataclass
class World:
    """Data, a run that stands at SHORT samples, and what a run to LONG samples has in its checkpoints."""

    root: Path
    data: str
    before: Path
    right: dict[str, str]  # name of a checkpoint -> digest of its tensors and counts

    def command(self, run, listener=None):
        return api.train(RECIPE.but(length=LONG), self.data, run, listener=listener)

    def fresh(self, name="run"):
        """A copy of the run that is there."""
        run = self.root / name
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.before, run)
        return run


@pytest.fixture(scope="module")
def world():
    with fast_folder() as root, pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        numbers(root / "data.npy")
        sources.prepare(str(root / "data.npy"), root / "data.h5")
        made = World(root, str(root / "data.h5"), root / "before", {})
        with pytest.MonkeyPatch.context() as patch_more:
            patch_more.setattr(recorder, "KEPT", 99)
            api.train(RECIPE, made.data, made.before)
            made.command(made.fresh("straight"))
        made.right.update({path.name: digest(path) for path in manifest.found(root / "straight" / "checkpoints")})
        shutil.rmtree(made.before / "checkpoints" / "000000000008")
        assert len(made.right) == 5
        yield made


def digest(checkpoint):
    return hashlib.sha256(
        (checkpoint / "tensors.safetensors").read_bytes() + (checkpoint / "state.json").read_bytes()
    ).hexdigest()


@contextmanager
def failing(text):
    """The fault of these words, for the block; gives whether it came."""
    came = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "_fault", faults.parsed(text))
        patch.setattr(faults, "_count", 0)
        yield came
        assert faults._fault is not None
        came.extend(range(faults._fault.number, faults._count + 1))


def repaired(sentence):
    """The fault ends when somebody complains of it."""
    if "training goes on" in sentence or "trying again" in sentence:
        faults._fault = faults.parsed("EIO 9999")


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(files.TEMPORARY)]


def newest(run, world):
    """The newest sound checkpoint's name; that it is there, with the right bits, is what all of this is about."""
    found, _ = manifest.newest_sound(run / "checkpoints")
    assert found is not None, "no sound checkpoint is left"
    assert digest(found) == world.right[found.name]
    return found.name


def complete(run, world):
    return newest(run, world) == f"{LONG:012d}"


# every operation fails


@pytest.fixture
def plain_report(monkeypatch):
    """The report says nothing: its drawing takes a third of the time and no operation."""
    monkeypatch.setattr(report, "page", lambda *anything: "<html></html>")


def survived(world, fault):
    """Whether the fault came. What must hold in any case is asserted."""
    run, ears, error = world.fresh(), Ears(), None
    with failing(fault) as came:
        try:
            world.command(run, ears)
        except DiskError as caught:
            error = caught
    newest(run, world)
    for file in (run / "recipe.toml", run / "run.json"):
        assert file.stat().st_size > 0
    if error is None:
        assert complete(run, world)
    else:
        assert error.exit_code == 3
        assert str(run) in error.where
        assert files.TEMPORARY not in str(error), "who reads it knows nothing of temporary files"
        assert "free" in str(error) or not fault.startswith(("ENOSPC", "EDQUOT"))
        assert "+" in fault or not ears.began, "one failing write stopped a training"
    assert len(ears.complaints) + 1 <= 5, ears.complaints
    if error is not None or leftovers(run):
        world.command(run)
        assert complete(run, world)
        assert leftovers(run) == []
    return bool(came)


PIECES = 4  # of a sweep, side by side


@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("lasting", ["", "+"], ids=["once", "lasting"])
def test_a_full_disk_at_any_operation_costs_no_older_checkpoint_and_the_same_command_ends_with_the_same_bits(
    world, lasting, piece, plain_report
):
    k = 1 + piece
    while survived(world, f"ENOSPC {k}{lasting}"):
        k += PIECES
    assert k > 100, "a training of so few operations shows little"


@pytest.mark.parametrize("error", ERRORS[1:])
@pytest.mark.parametrize("lasting", ["", "+"], ids=["once", "lasting"])
def test_every_other_error_at_every_seventh_operation_costs_no_more(world, lasting, error, plain_report):
    k = 1 + ERRORS.index(error)
    while survived(world, f"{error} {k}{lasting}"):
        k += 7


# what matters and what does not


@pytest.mark.parametrize("word", ["log", "sheets", "report"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_training_whose_log_sheets_or_report_cannot_be_written_ends_with_the_same_bits(world, word, error):
    run, ears = world.fresh(), Ears()
    with failing(f"{error} 1+ on {word}") as came:
        world.command(run, ears)
    assert came
    assert complete(run, world)
    assert len(ears.complaints) == 1, "it is told of once a minute"
    assert str(run) in ears.complaints[0]


def test_a_log_that_can_be_written_again_has_every_row(world):
    run, ears = world.fresh(), Ears(at_say=repaired)
    with failing("ENOSPC 4+ on log"):
        world.command(run, ears)
    assert len(ears.complaints) == 1
    assert [event.seen for event in log.events(run / "log.sqlite") if event.kind == "save"][-3:] == [24, 32, 40]
    assert [seen for seen, _ in log.curve(run / "log.sqlite", "samples_per_second")] == list(range(8, LONG + 1, 8))


@pytest.mark.parametrize("broken", ["no database", "a folder", "a damaged page"])
def test_a_log_that_cannot_be_opened_stops_no_training(world, broken):
    run, ears = world.fresh(), Ears()
    path = run / "log.sqlite"
    if broken == "a damaged page":
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
    else:
        path.unlink()
        path.mkdir() if broken == "a folder" else path.write_bytes(b"all my notes " * 1000)
    world.command(run, ears)
    assert complete(run, world)
    if broken == "no database":
        assert (run / "log.sqlite.damaged").read_bytes() == b"all my notes " * 1000


def test_a_log_that_cannot_be_begun_still_shows_what_came_after(world):
    run = world.fresh()
    kept = run / "log.sqlite"
    aside = kept.rename(run / "log.aside")
    kept.mkdir()

    def back():
        kept.rmdir()
        aside.rename(kept)

    world.command(run, Ears(at_begin=back))
    assert [seen for seen, _ in log.curve(kept, "samples_per_second")] == list(range(8, LONG + 1, 8))
    assert log.attempts(kept) == 2


def test_a_start_that_the_log_did_not_take_is_in_it_later(world, monkeypatch):
    run, begin, tries = world.fresh(), log.Log.begin, []

    def failing_once(self, seen):
        tries.append(seen)
        if len(tries) == 1:
            raise DiskError(str(run / "log.sqlite"), "is locked", "LOG")
        begin(self, seen)

    monkeypatch.setattr(log.Log, "begin", failing_once)
    world.command(run)
    assert tries == [SHORT, SHORT]
    assert [seen for seen, _ in log.curve(run / "log.sqlite", "samples_per_second")] == list(range(8, LONG + 1, 8))
    assert log.attempts(run / "log.sqlite") == 2


@pytest.mark.parametrize("error", ERRORS)
def test_a_checkpoint_that_cannot_be_written_is_tried_three_times_again_and_then_the_command_ends_with_3(
    world, error, capsys, monkeypatch
):
    (world.root / "recipe.toml").write_text(to_toml(RECIPE.but(length=LONG)))
    run, tries = world.fresh(), []
    monkeypatch.setattr(faults, "watcher", lambda operation, path, content: tries.append((operation, path.parent.name)))
    with failing(f"{error} 1+ on checkpoints"):
        code = cli.main(["train", str(world.root / "recipe.toml"), "--data", world.data, "--run", str(run)])
    assert code == 3
    assert tries.count(("mkdir", "checkpoints")) == 4
    said = capsys.readouterr().err
    about_it = [line for line in said.splitlines() if "samples/s" not in line and "goes on with" not in line]
    assert about_it[0].endswith("bit for bit")
    about_it = about_it[1:]
    assert len(about_it) <= 5
    assert "Traceback" not in said
    assert str(run / "checkpoints" / "000000000024") in about_it[-1]
    if error in ("ENOSPC", "EDQUOT"):
        assert "free" in about_it[-1]
    assert newest(run, world) == f"{SHORT:012d}"
    assert log.events(run / "log.sqlite")[-1].kind == "stopped"


def test_a_write_that_finds_no_room_says_how_much_it_wanted_and_how_much_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "free", lambda path: 1_500_000)
    for error in ("ENOSPC", "EDQUOT"):
        with failing(f"{error} 2"), pytest.raises(DiskError) as caught:
            files.write_bytes(tmp_path / "report.html", bytes(64_000))
        said = str(caught.value)
        assert said.startswith(f"{tmp_path / 'report.html'}: cannot be written: ")
        assert "for 64 kB more (1.5 MB free); free some space or choose another place" in said


def test_nobody_waits_for_a_disk_when_the_training_is_asked_to_stop(world, monkeypatch):
    monkeypatch.setattr(recorder, "WAITS", (60.0, 60.0, 60.0))
    run = world.fresh()

    def asked(operation, path, content):
        if operation == "mkdir":
            os.kill(os.getpid(), 15)

    monkeypatch.setattr(faults, "watcher", asked)
    with failing("EIO 2+ on checkpoints"), pytest.raises(DiskError):
        world.command(run)
    assert newest(run, world) == f"{SHORT:012d}"


def test_a_temporary_file_that_could_not_be_removed_does_not_spoil_the_next_try(world, monkeypatch):
    """The failing write's own leftovers, as when a network disk is gone for a moment."""
    monkeypatch.setattr(recorder, "WAITS", (0.0,))
    run, ears = world.fresh(), Ears(at_say=repaired)
    with failing("EIO 5+ on checkpoints"):
        world.command(run, ears)
    assert len(ears.complaints) == 1
    assert complete(run, world)
    assert leftovers(run) == []


def test_what_killed_writers_left_is_gone_when_the_training_begins(world):
    run, found = world.fresh(), []
    for place in ("", "checkpoints", "sheets", f"checkpoints/{SHORT:012d}"):
        (run / place / f"{files.TEMPORARY}1-notes.json").write_text("{")
        (run / place / f"{files.TEMPORARY}2-folder").mkdir()
        (run / place / f"{files.TEMPORARY}2-folder" / "inner").write_text("")
    world.command(run, Ears(at_begin=lambda: found.extend([*leftovers(run), "began"])))
    assert found == ["began"]


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    folder, state = Folder(tmp_path / "run"), begin(RECIPE)
    folder.create(to_toml(RECIPE), {"name": "run", "id": "id", "data": {"classes": []}})
    writer = recorder.Recorder(folder, RECIPE, 24, Listener())
    next(state.nets["generator"].parameters()).data[0] = float("nan")
    with pytest.raises(Stopped, match="is not finite"):
        writer.save(state)
    writer.close()
    assert manifest.found(folder.checkpoints) == []


def test_a_folder_in_which_another_training_writes_is_left_alone(world):
    run = world.fresh()
    with lock.held(run):
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        with pytest.raises(RunError, match=f"is being trained by process {os.getpid()} on ") as caught:
            world.command(run)
        assert caught.value.code == "RUN_BUSY"
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


# preparing


@pytest.fixture(scope="module")
def pictures():
    with fast_folder() as root:
        random = np.random.default_rng(0)
        for i in range(6):
            folder = root / "pictures" / ("cat" if i % 2 else "dog")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / f"{i}.png")
        numbers(root / "pictures.npy")
        np.save(root / "voxels.npy", random.random((6, 4, 8, 8)) < 0.1)
        yield root


@pytest.mark.parametrize("lasting", ["", "+"], ids=["once", "lasting"])
@pytest.mark.parametrize("source", ["pictures", "pictures.npy", "voxels.npy"])
@pytest.mark.parametrize("older", [False, True], ids=["new", "over an older one"])
def test_data_are_prepared_whole_or_not_at_all_whatever_operation_fails(pictures, source, lasting, older):
    whole, before = prepared(pictures, source, "whole.h5"), prepared(pictures, "pictures.npy", "older.h5") if older else b""
    for error in ERRORS if older else ERRORS[:1]:
        k, came = 1, [1]
        while came:
            out = pictures / f"{source} out" / "made.h5"
            shutil.rmtree(out.parent, ignore_errors=True)
            out.parent.mkdir()
            if older:
                out.write_bytes(before)
            with failing(f"{error} {k}{lasting}") as came:
                try:
                    sources.prepare(str(pictures / source), out)
                except DiskError as caught:
                    assert caught.where in (str(out), str(out.parent))  # noqa: PT017
                    assert (out.read_bytes() if out.exists() else b"") in (before, whole)
                    assert lasting or leftovers(out.parent) == []
                else:
                    assert out.read_bytes() == whole
            sources.prepare(str(pictures / source), out)
            assert out.read_bytes() == whole
            assert leftovers(out.parent) == []
            k += 1
        assert k > 8


def prepared(pictures, source, name):
    sources.prepare(str(pictures / source), pictures / name)
    return (pictures / name).read_bytes()


# a disk that is full


@contextmanager
def files_end_at(size):
    """No file of this process may grow beyond so many bytes: write(2) fails with EFBIG. Python ignores SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_system_does_in_part_is_carried_on_or_refused(tmp_path):
    with files_end_at(5), pytest.raises(DiskError, match="File too large for 10 bytes more"):
        files.write_bytes(tmp_path / "report.html", bytes(10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 100, 2000, 4096, 6000])
def test_where_files_may_not_grow_the_training_ends_with_3_and_continues_where_they_may(world, size):
    run, ears = world.fresh(), Ears()
    try:
        with files_end_at(size):
            world.command(run, ears)
    except DiskError as error:
        assert error.exit_code == 3  # noqa: PT017
        assert "File too large" in str(error)  # noqa: PT017
    newest(run, world)
    world.command(run)
    assert complete(run, world)
    assert leftovers(run) == []


@pytest.mark.parametrize("size", [0, 1000, 3000, 6000])
def test_where_files_may_not_grow_data_are_prepared_not_at_all(pictures, size):
    out = pictures / "limited" / "made.h5"
    with files_end_at(size), pytest.raises(DiskError, match=r"made\.h5: cannot be written: File too large for .* more"):
        sources.prepare(str(pictures / "pictures.npy"), out)
    assert [path.name for path in out.parent.iterdir()] == []


@contextmanager
def small_disk(place, options):
    """A disk of its own at a place; skips where nobody may mount one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if not ROOT or shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here: that takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk):
    """Use up every byte."""
    with open(disk / "filler", "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@pytest.mark.parametrize("asked", [True, False], ids=["the system says what is free", "it does not"])
def test_a_disk_that_fills_up_while_a_run_is_trained_costs_nothing(world, tmp_path, asked, monkeypatch):
    with small_disk(tmp_path / "disk", "size=24m") as disk:
        shutil.copytree(world.before, disk / "run")
        if not asked:
            monkeypatch.setattr(files, "free", lambda path: None)
        ears = Ears(at_begin=lambda: fill(disk))
        with pytest.raises(DiskError, match="000000000024") as caught:
            world.command(disk / "run", ears)
        assert ("needs 10.3 kB, and 0 bytes are free" if asked else "No space left on device") in str(caught.value)
        assert len(ears.complaints) + 1 <= 5
        assert newest(disk / "run", world) == f"{SHORT:012d}"
        (disk / "filler").unlink()
        world.command(disk / "run")
        assert complete(disk / "run", world)
        assert leftovers(disk / "run") == []


def test_a_disk_that_gets_room_again_in_time_costs_nothing_but_a_wait(world, tmp_path):
    with small_disk(tmp_path / "disk", "size=24m") as disk:
        shutil.copytree(world.before, disk / "run")

        def tidy(sentence):
            if "trying again" in sentence:
                (disk / "filler").unlink(missing_ok=True)

        ears = Ears(at_begin=lambda: fill(disk), at_say=tidy)
        world.command(disk / "run", ears)
        assert any("trying again" in sentence for sentence in ears.complaints)
        assert complete(disk / "run", world)
        rows = [seen for seen, _ in log.curve(disk / "run" / "log.sqlite", "samples_per_second")]
        assert rows == list(range(8, LONG + 1, 8)), "rows that had to wait are lost"


def test_data_are_prepared_on_a_full_disk_not_at_all(pictures, tmp_path):
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        fill(disk)
        with open(disk / "filler", "r+b") as file:
            file.truncate(file.seek(0, 2) - 8192)  # room for the samples, not for the store
        with pytest.raises(DiskError, match=r"made\.h5: cannot be written: No space left on device"):
            sources.prepare(str(pictures / "pictures.npy"), disk / "made.h5")
        assert [path.name for path in disk.iterdir()] == ["filler"]


# room is asked for before


def test_a_run_that_cannot_fit_is_refused_before_its_folder_is_made(world, monkeypatch):
    monkeypatch.setattr(files, "free", lambda path: 1_000_000)
    with pytest.raises(DiskError, match=r"new: needs 20 MB, and 1 MB are free; free some space") as caught:
        api.train(RECIPE, world.data, "new")
    assert (caught.value.code, caught.value.exit_code) == ("DISK_FULL", 3)
    assert not Path("new").exists()


def test_a_run_that_has_no_room_to_continue_says_so_before_it_trains(world, monkeypatch):
    run, ears = world.fresh(), Ears()
    monkeypatch.setattr(files, "free", lambda path: 1_000_000)
    with pytest.raises(DiskError, match=r"run: needs 20 MB, and 1 MB are free"):
        world.command(run, ears)
    assert not ears.began
    assert newest(run, world) == f"{SHORT:012d}"


def test_a_disk_that_does_not_say_what_is_free_is_no_full_one(world, monkeypatch):
    monkeypatch.setattr(files, "free", lambda path: None)
    assert world.command(world.fresh()).state().seen == LONG


# places


NAMES = ["with some spaces", "顔 · naïve", "x" * 200, 'quote\'s "and" [brackets] {x} %41 ?a=b#c']


@pytest.mark.parametrize("name", NAMES, ids=["spaces", "unicode", "200 characters", "signs"])
def test_a_run_in_any_place_trains_and_continues(world, name, tmp_path):
    numbers(tmp_path / f"{name}.npy")
    run = tmp_path / name / name
    run.parent.mkdir()
    api.train(RECIPE, str(tmp_path / f"{name}.npy"), run)
    again = api.train(RECIPE.but(length=LONG), str(tmp_path / f"{name}.npy"), run)
    assert complete(run, world)
    assert len(again.curve("samples_per_second")) == 5
    assert (run / "report.html").stat().st_size > 1000
    sources.prepare(str(tmp_path / f"{name}.npy"), tmp_path / f"{name}.h5")
    assert api.load(run).state().seen == LONG


def test_a_name_that_no_file_system_takes_is_one_sentence(world):
    for name in ("x" * 300, "顔" * 100):
        with pytest.raises(GansakuError) as caught:
            api.train(RECIPE, world.data, name)
        assert "name too long" in str(caught.value)


def test_data_in_a_folder_that_is_read_only_are_trained_on(world, tmp_path):
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        shutil.copy(world.data, disk / "data.h5")
        numbers(disk / "numbers.npy")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for name in ("data.h5", "numbers.npy"):
            api.train(RECIPE.but(length=LONG), str(disk / name), tmp_path / f"run on {name}")
            assert complete(tmp_path / f"run on {name}", world)


def test_a_run_on_a_disk_that_is_read_only_can_be_looked_at_and_says_why_it_cannot_continue(world, tmp_path):
    with small_disk(tmp_path / "disk", "size=24m") as disk:
        shutil.copytree(world.before, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert api.load(disk / "run").state().seen == SHORT
        assert api.show(disk / "run")["seen"] == SHORT
        with pytest.raises(DiskError, match=r"run/.*: may not be written: Read-only file system") as caught:
            world.command(disk / "run")
        assert caught.value.exit_code == 3


def test_nothing_is_written_outside_the_run_and_the_cache_wherever_temporary_files_go(world, tmp_path, monkeypatch):
    elsewhere, places = tmp_path / "elsewhere", set()
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(faults, "watcher", lambda operation, path, content: operation == "fsync" or places.add(path.absolute()))
    numbers(tmp_path / "data.npy")
    api.train(RECIPE, str(tmp_path / "data.npy"), tmp_path / "run")
    assert all(path.is_relative_to(tmp_path / "run") or path.is_relative_to(tmp_path / "cache") for path in places)
    assert list(elsewhere.iterdir()) == []
    assert Folder(tmp_path / "run").exists
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert complete_after(world, tmp_path / "run", tmp_path / "data.npy")


def complete_after(world, run, data):
    api.train(RECIPE.but(length=LONG), str(data), run)
    return complete(run, world)
