"""Whatever a power loss leaves on the disk, there is the old checkpoint or the new one.

What a training writes is recorded and replayed on a model of a disk that keeps only what it was told to keep: the bytes
of a file once the file was synced, the names in a folder once the folder was. Of all the rest it may keep any part: each
name as it was at any moment since, bytes cut anywhere or turned to zeros, and everything in any order.
"""

import errno
import hashlib
import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from test_disk import RECIPE, fast_folder

from gansaku import faults, files
from gansaku.errors import DiskError, GansakuError
from gansaku.recipe import to_toml
from gansaku.runs import checkpoint, manifest
from gansaku.runs.folder import Folder
from gansaku.runs.manifest import Notes, Score
from gansaku.training.state import begin, counts, tensors

# the model


@dataclass
class Inode:
    """A file: its bytes, and those that are surely on the disk."""

    content: bytes = b""
    synced: bytes = b""

    def sync(self):
        self.synced = self.content


@dataclass
class Directory:
    """A folder: its names, and what each name that changed since the last sync may be: all it has been since."""

    names: dict = field(default_factory=dict)
    since: dict = field(default_factory=dict)

    def put(self, name, node):
        self.since.setdefault(name, [self.names.get(name)]).append(node)
        self.names[name] = node

    def sync(self):
        self.since.clear()


def model_of(path):
    """A file or folder as it is, all of it surely on the disk."""
    if path.is_dir():
        return Directory({inner.name: model_of(inner) for inner in path.iterdir()})
    return Inode(path.read_bytes(), path.read_bytes())


def at(disk, parts):
    for part in parts:
        disk = disk.names[part]
    return disk


def do(disk, operation, parts, content):
    """Carry out one recorded operation; `parts` is the path from the disk's root."""
    if operation == "fsync":
        at(disk, parts).sync()
        return
    folder, name = at(disk, parts[:-1]), parts[-1]
    match operation:
        case "create":
            folder.put(name, Inode())
        case "mkdir":
            folder.put(name, Directory())
        case "write":
            folder.names[name].content += content
        case "rename":
            at(disk, content[:-1]).put(content[-1], folder.names[name])
            folder.put(name, None)
        case "unlink" | "rmdir":
            folder.put(name, None)
        case _:
            raise AssertionError(f"the model does not know {operation}")


# how the power is lost


@dataclass
class Loss:
    """Chooses what is kept: of a name one of its nodes, of a file that was not synced some bytes."""

    name: object  # options, oldest first -> one of them
    data: object  # (synced, content) -> bytes


def oldest(options):
    return options[0]


def newest(options):
    return options[-1]


def lost(synced, content):
    return synced


def kept(synced, content):
    return content


def cut(synced, content):
    return content[: len(content) // 2]


def zeros(synced, content):
    return bytes(len(content))


def at_random(seed):
    draw = random.Random(seed)

    def data(synced, content):
        start = draw.randint(0, len(content))
        return draw.choice(
            [synced, content, content[:start], bytes(len(content)), content[:start] + bytes(len(content) - start)]
        )

    return Loss(draw.choice, data)


def one_name(which, rest, only):
    """Each name with a past is asked for in turn: the one numbered `which` is chosen by `only`, all others by `rest`."""
    asked = iter(range(10_000))
    return lambda options: (only if next(asked) == which else rest)(options)


def losses(count):
    """Systematic ones, then `count` at random."""
    yield from (Loss(name, data) for name in (oldest, newest) for data in (lost, kept, cut, zeros))
    for which in range(6):
        yield Loss(one_name(which, newest, oldest), zeros)
        yield Loss(one_name(which, oldest, newest), lost)
    yield from (at_random(seed) for seed in range(count))


def after(node, loss):
    """What is on the disk once the power is back: nested dictionaries of bytes."""
    if isinstance(node, Inode):
        return node.content if node.content == node.synced else loss.data(node.synced, node.content)
    found = {}
    for name in sorted(node.names):
        survivor = loss.name(node.since[name]) if name in node.since else node.names[name]
        if survivor is not None:
            found[name] = after(survivor, loss)
    return found


def put(path, content):
    """Make what `after` says."""
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    path.mkdir()
    for name, inner in content.items():
        put(path / name, inner)


# what is tried


@dataclass
class Act:
    """Something that writes below a folder, and what must hold there after a power loss.

    `prepare` makes what is there before; `holds(folder, done)` asserts, `done` telling whether `work` had returned.
    """

    prepare: object
    work: object
    holds: object


def sample(seen, seed):
    """A state with moments, of random numbers."""
    torch.manual_seed(seed)
    state = begin(RECIPE)
    for optimizer in state.optimizers.values():
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.data.normal_()
            if "momentum_buffer" in optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"].normal_()
    state.seen, state.turns = seen, seed
    return state


OLD, NEW = sample(8, 1), sample(16, 2)
LOADED = begin(RECIPE)


def same(a, b):
    a_tensors, b_tensors = tensors(a), tensors(b)
    return counts(a) == counts(b) and all(torch.equal(a_tensors[name], b_tensors[name]) for name in b_tensors)


def old_or_new(folder, done, place="run"):
    """What the next start does: sweep, look for the newest sound checkpoint, load it."""
    files.sweep(folder / place / "checkpoints")
    found, _ = manifest.newest_sound(folder / place / "checkpoints")
    assert found is not None, "no sound checkpoint is left"
    assert found.name == "000000000016" or not done, "the checkpoint was said to be saved, and is not"
    checkpoint.load(found, LOADED)
    assert same(LOADED, NEW if found.name == "000000000016" else OLD), "other weights than were saved"


def with_old(folder):
    (folder / "run").mkdir()
    checkpoint.save(folder / "run" / "checkpoints", OLD, "id")


def save(folder):
    checkpoint.save(folder / "run" / "checkpoints", NEW, "id")


def save_and_prune(folder):
    save(folder)
    manifest.prune(folder / "run" / "checkpoints", 1)


def with_a_damaged_one(folder):
    with_old(folder)
    save(folder)
    (folder / "run" / "checkpoints" / "000000000016" / "tensors.safetensors").write_bytes(b"damaged")


def save_twice(folder):
    """The new name cannot be synced at first, as when a disk fails for a moment: the checkpoint is tried again."""
    told, inner = [], faults.watcher

    def failing_once(operation, path, content):
        if (operation, path.name, told) == ("fsync", "checkpoints", ["renamed"]):
            told.append("failed")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        inner(operation, path, content)
        if operation == "rename" and not told:
            told.append("renamed")

    faults.watcher = failing_once
    try:
        save(folder)
    except DiskError:
        save_and_prune(folder)
    finally:
        faults.watcher = inner
    assert told == ["renamed", "failed"]


ABOUT = {"data": {}, "name": "run", "id": "id"}


def begin_run(folder):
    run = Folder(folder / "runs" / "mine")
    run.create(to_toml(RECIPE), ABOUT)
    checkpoint.save(run.checkpoints, NEW, "id")


def a_run_or_none(folder, done):
    run = Folder(folder / "runs" / "mine")
    assert run.exists or not done, "the run was begun, and is not there"
    if run.exists:
        assert run.read_about() == ABOUT
        assert run.recipe.read_text() == to_toml(RECIPE), "a run without its recipe"
    if done:
        old_or_new(folder, done, "runs/mine")


def with_settings(folder):
    Folder(folder / "run").create(to_toml(RECIPE), ABOUT)


LONGER = to_toml(RECIPE.but(length=400))


def settle(folder):
    run = Folder(folder / "run")
    files.write_json(run.about, {**ABOUT, "history": [{"seen": 8}]})
    files.write_text(run.recipe, LONGER)


def settled_or_not(folder, done):
    run = Folder(folder / "run")
    about, recipe = run.read_about(), run.recipe.read_text()
    assert about in (ABOUT, {**ABOUT, "history": [{"seen": 8}]})
    assert recipe in (to_toml(RECIPE), LONGER), "the recipe is lost"
    assert not done or recipe == LONGER


def write_report(folder, text="new " * 50_000):
    files.write_text(folder / "run" / "report.html", text)


def with_report(folder):
    (folder / "run").mkdir()
    write_report(folder, "old")


def report_old_or_new(folder, done):
    text = (folder / "run" / "report.html").read_text()
    assert text in ("old", "new " * 50_000), "the report is cut"


def pin(folder):
    path = folder / "run" / "checkpoints" / "000000000008"
    manifest.note(path, Notes(True, {"fid": Score(2.0)}))


def pinned_or_not(folder, done):
    old_or_new(folder, False)
    noted = manifest.notes(folder / "run" / "checkpoints" / "000000000008")
    assert noted in (Notes(), Notes(True, {"fid": Score(2.0)}))
    assert noted.pinned or not done


ACTS = {
    "a checkpoint over an older one": Act(with_old, save, old_or_new),
    "a checkpoint, and the older one removed": Act(with_old, save_and_prune, old_or_new),
    "a checkpoint in the place of a damaged one": Act(with_a_damaged_one, save, old_or_new),
    "a checkpoint tried again, and the older one removed": Act(with_old, save_twice, old_or_new),
    "a new run and its first checkpoint": Act(lambda folder: None, begin_run, a_run_or_none),
    "other settings": Act(with_settings, settle, settled_or_not),
    "a report": Act(with_report, write_report, report_old_or_new),
    "a pin": Act(with_old, pin, pinned_or_not),
}
RANDOM = 50  # losses at random after each operation


def recorded(act, root):
    """The disk before, as it is after, and the operations between."""
    if root.exists():
        shutil.rmtree(root)
    root.mkdir()
    act.prepare(root)
    before, operations = model_of(root), []

    def watch(operation, path, content):
        whither = content.relative_to(root).parts if isinstance(content, Path) else content
        operations.append((operation, path.relative_to(root).parts, whither))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "watcher", watch)
        act.work(root)
    return before, operations


def tried(act, root):
    """Replay every prefix of the act with every loss. Returns how many different states of the disk there were."""
    disk, operations = recorded(act, root / "real")
    states = set()
    for done in range(len(operations) + 1):
        for loss in losses(RANDOM):
            content = after(disk, loss)
            key = hashlib.sha256(repr((content, done == len(operations))).encode()).digest()
            if key not in states:
                states.add(key)
                shutil.rmtree(root / "after", ignore_errors=True)
                put(root / "after", content)
                act.holds(root / "after", done == len(operations))
        if done < len(operations):
            do(disk, *operations[done])
    assert after(disk, Loss(newest, kept)) == after(model_of(root / "real"), None), "something was written and not announced"
    return len(states)


@pytest.fixture
def root():
    with fast_folder() as folder:
        yield folder


@pytest.mark.parametrize("name", ACTS)
def test_a_power_loss_at_any_moment_leaves_the_old_or_the_new(name, root):
    states = tried(ACTS[name], root)
    print(f"{states} states")
    assert states >= (150 if "checkpoint" in name else 10), "so few states show little"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not tell which file a descriptor is of")
def test_what_is_said_to_be_synced_is_synced(root, monkeypatch):
    said, done = [], []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    monkeypatch.setattr(faults, "watcher", lambda operation, path, content: operation == "fsync" and said.append(str(path)))
    begin_run(root)
    assert len(said) > 10
    assert done == said


# each part of the protocol is needed: without it the same test fails


def without(owner, name):
    return lambda patch: patch.setattr(owner, name, lambda path: None)


def renamed_before_it_is_synced(patch):
    synchronize, rename = files.synchronize, files.rename

    def late(path, new):
        rename(path, new)
        synchronize(new)

    patch.setattr(files, "synchronize", lambda path: None)
    patch.setattr(files, "rename", late)


def removed_before_it_is_written(patch):
    whole = checkpoint.save

    def early(folder, state, run=""):
        for path in manifest.found(folder):
            files.remove(path)
        return whole(folder, state, run)

    patch.setattr(checkpoint, "save", early)


def nobody_compares(patch):
    """Any file is as good as another."""
    patch.setattr(manifest, "check", lambda path: manifest.read_json(path / manifest.MANIFEST))


def nothing_synced_and_nobody_compares(patch):
    nobody_compares(patch)
    patch.setattr(files, "synchronize", lambda path: None)


def manifest_first_and_nobody_compares(patch):
    """A checkpoint written under its own name, its manifest first, and all of it synced at the end."""
    whole, aside = checkpoint.save, Path("aside")

    def in_place(folder, state, run=""):
        inner, faults.watcher = faults.watcher, None
        made = whole(aside, state, run)
        faults.watcher = inner
        path = folder / made.name
        files.make_folder(path)
        for name in (manifest.MANIFEST, manifest.NUMBERS, manifest.TENSORS):
            with files.create(path / name) as file:
                file.write((made / name).read_bytes())
        files.synchronize(path)
        files.synchronize_folder(folder)

    nobody_compares(patch)
    patch.setattr(checkpoint, "save", in_place)


CUT = r"tensors\.safetensors"
NONE_LEFT = "no sound checkpoint is left"
BROKEN = {
    "no file is synced": (without(files, "synchronize"), "a checkpoint, and the older one removed", NONE_LEFT),
    "no folder is synced": (without(files, "synchronize_folder"), "a checkpoint, and the older one removed", NONE_LEFT),
    "synced after the rename": (renamed_before_it_is_synced, "other settings", "cannot be read"),
    "a report that is not synced": (without(files, "synchronize"), "a report", "the report is cut"),
    "the older one is removed first": (removed_before_it_is_written, "a checkpoint over an older one", NONE_LEFT),
    "the manifest first, and no digest compared": (manifest_first_and_nobody_compares, "a checkpoint over an older one", CUT),
    "nothing synced, and no digest compared": (nothing_synced_and_nobody_compares, "a checkpoint over an older one", CUT),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_same_replay_fails_without_one_part_of_the_protocol(name, root, monkeypatch):
    breaking, act, says = BROKEN[name]
    breaking(monkeypatch)
    with pytest.raises((AssertionError, GansakuError, OSError), match=says):
        tried(ACTS[act], root)
