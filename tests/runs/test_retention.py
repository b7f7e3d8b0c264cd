"""Once a checkpoint was saved there is always a sound one, and what people or scores chose stays."""

import math
import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from test_disk import fast_folder

from gansaku import faults, files
from gansaku.runs import checkpoint, manifest
from gansaku.runs.manifest import Notes, Score

SEQUENCES = 10_000
PIECES = 8  # side by side
STARTS = (1, 7, 9, 96, 998, 99_999, 999_999_999_998, 10**15 - 2)  # where names get longer
SCORES = {"fid": True, "kid": True, "inception": False}  # whether lower is better
FILES = (manifest.TENSORS, manifest.NUMBERS, manifest.MANIFEST)
VALUES = (math.nan, math.inf, -math.inf, 0.0, 1.0, 1.0, 2.0, -3.5)


class Killed(BaseException):
    """As SIGKILL: nothing that would clean up may run after it."""


@dataclass
class Tiny:
    """A state that is its number of samples and one tensor."""

    seen: int


@pytest.fixture
def tiny(monkeypatch):
    """The checkpoints of `Tiny` states, written by the real code; a disk that syncs in no time."""
    monkeypatch.setattr(checkpoint, "tensors", lambda state: {"x": torch.tensor([state.seen])})
    monkeypatch.setattr(checkpoint, "counts", lambda state: {"seen": state.seen})
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@dataclass
class Watched:
    """Follows, operation by operation, which checkpoints are whole, and kills at one of them."""

    folder: Path
    whole: set = field(default_factory=set)
    kill_at: int | None = None
    operations: int = 0
    dead: bool = False

    def __call__(self, operation, path, content):
        if self.dead:
            raise Killed  # cleaning up is writing, too: a process that was killed does none
        if self.kill_at == self.operations:
            self.dead = True
            raise Killed
        self.operations += 1
        if operation == "rename" and content.parent == self.folder:
            self.whole.add(content.name)
        elif operation in ("unlink", "rmdir", "rename") and path.name in (*FILES, *self.whole):
            before, self.whole = self.whole, self.whole - {path.name, path.parent.name}
            assert self.whole or not before, f"{operation} of {path} leaves no sound checkpoint"


def score(draw):
    return {name: Score(draw.choice(VALUES), lower) for name, lower in SCORES.items() if draw.random() < 0.5}


def best(noted, name, lower):
    """The places of the best by a score, written down another way: nobody is better, and it is a number."""
    values = [(place, one.scores[name].value) for place, one in noted if name in one.scores]
    good = [(place, value) for place, value in values if value == value]
    return [place for place, value in good if all((value <= other) if lower else (value >= other) for _, other in good)]


def check(there, keep, pruned):
    """What holds after a pruning that came to its end; `pruned` are the notes before it."""
    there = {manifest.seen(path) for path in there}
    newest = sorted(pruned)[-keep:]
    assert there.issuperset(newest), "one of the newest is gone"
    assert there.issuperset(seen for seen, one in pruned.items() if one.pinned), "a pinned one is gone"
    chosen = set(newest) | {seen for seen, one in pruned.items() if one.pinned}
    for name, lower in SCORES.items():
        places = best(sorted(pruned.items()), name, lower)
        if places:
            assert min(places) in there, f"the best by {name} is gone"
            chosen.add(min(places))
    assert there == chosen, "one stays that nobody wants"


def sequence(folder, seed):
    """Random saves, kills, prunings, pins, scores and clock jumps. Returns how many operations on the disk it was."""
    draw = random.Random(seed)
    seen, keep = draw.choice(STARTS), draw.choice((1, 1, 2, 3))
    watched = Watched(folder)
    saved, there = False, []
    for _ in range(draw.randint(2, 6)):
        watched.kill_at = watched.operations + draw.randrange(25) if draw.random() < 0.3 else None
        watched.dead = False
        pruned, act = None, draw.choice(("save", "save", "save", "prune", "pin", "score", "clock", "again"))
        faults.watcher = watched
        try:
            if act == "save" or not there:
                seen += draw.choice((1, 1, 2, 900))
                checkpoint.save(folder, Tiny(seen), "id")
                saved = True
            elif act == "again":
                checkpoint.save(folder, Tiny(manifest.seen(there[-1])), "id")
            elif act == "prune":
                before = {manifest.seen(path): manifest.notes(path) for path in there}
                manifest.prune(folder, keep)
                pruned = before
            elif act == "clock":
                for path in there:
                    os.utime(path, (draw.randrange(2 * 10**9),) * 2)
                    os.utime(path / "manifest.json", (draw.randrange(2 * 10**9),) * 2)
            else:
                path = draw.choice(there)
                noted = manifest.notes(path)
                scores = {**noted.scores, **score(draw)} if act == "score" else noted.scores
                manifest.note(path, Notes(noted.pinned or act == "pin", scores))
        except Killed:
            pass
        finally:
            faults.watcher = None
        if watched.dead:
            files.sweep(folder) if folder.exists() else None  # the next start
            assert all(map(manifest.sound, manifest.found(folder))), "half of a checkpoint is taken for one"
        found, damaged = manifest.newest_sound(folder)
        there = manifest.found(folder)
        assert damaged == []
        assert found is not None or not saved, "no sound checkpoint is left"
        if found is not None:
            assert manifest.seen(found) == max(map(manifest.seen, there))
            assert found.name in watched.whole
            saved, seen = True, manifest.seen(found)
        if pruned is not None:
            check(there, keep, pruned)
    return watched.operations


@pytest.mark.parametrize("piece", range(PIECES))
def test_whatever_is_saved_killed_pruned_pinned_and_scored_a_sound_checkpoint_and_the_chosen_ones_are_there(piece, tiny):
    operations = 0
    with fast_folder() as root:
        for seed in range(piece, SEQUENCES, PIECES):
            operations += sequence(root / "checkpoints", seed)
            shutil.rmtree(root / "checkpoints", ignore_errors=True)
    print(f"{operations} operations")
    assert operations > 15 * SEQUENCES / PIECES


def test_the_newest_stay_by_number_and_not_by_name_or_time(tiny):
    with fast_folder() as root:
        for seen in (9, 10, 999, 1000, 999_999_999_999, 1_000_000_000_000):
            path = checkpoint.save(root, Tiny(seen))
            os.utime(path, (10**9 - seen % 997,) * 2)
            manifest.prune(root, 2)
            assert manifest.seen(manifest.newest_sound(root)[0]) == seen
        assert [manifest.seen(path) for path in manifest.found(root)] == [999_999_999_999, 1_000_000_000_000]


NAN, PINNED = Notes(scores={"fid": Score(math.nan)}), Notes(True)


def scored(*values, lower=True):
    return [Notes(scores={"fid": Score(value, lower)}) for value in values]


@pytest.mark.parametrize(
    ("noted", "newest", "stay"),
    [
        ([], 1, set()),
        ([Notes()] * 3, 1, {2}),
        ([Notes()] * 3, 0, {2}),
        ([Notes()] * 3, 2, {1, 2}),
        ([Notes()] * 3, 9, {0, 1, 2}),
        ([PINNED, Notes(), Notes()], 1, {0, 2}),
        ([*scored(2.0, 1.0, 1.0), Notes()], 1, {1, 3}),
        ([*scored(2.0, 1.0, 2.0, lower=False), Notes()], 1, {0, 3}),
        ([NAN, NAN, Notes()], 1, {2}),
        ([NAN, *scored(5.0), Notes()], 1, {1, 2}),
        ([*scored(math.inf, -math.inf), Notes()], 1, {1, 2}),
        ([Notes(scores={"a": Score(1.0), "b": Score(9.0)}), Notes(scores={"a": Score(2.0), "b": Score(8.0)}), Notes()], 1,
         {0, 1, 2}),
    ],
)  # fmt: skip
def test_the_newest_the_pinned_and_the_best_of_each_score_stay(noted, newest, stay):
    assert manifest.kept(noted, newest) == stay


def test_of_fifty_random_scores_the_best_stays_whatever_else_there_is():
    draw = random.Random(0)
    for _ in range(SEQUENCES):
        noted = [Notes(draw.random() < 0.1, score(draw)) for _ in range(draw.randint(1, 8))]
        newest = draw.randint(1, 3)
        stay = manifest.kept(noted, newest)
        expected = {*range(len(noted))[-newest:], *(i for i, one in enumerate(noted) if one.pinned)}
        for name, lower in SCORES.items():
            expected.update(best(list(enumerate(noted)), name, lower)[:1])
        assert stay == expected


def test_a_checkpoint_that_is_pinned_stays_and_goes_when_it_is_let_go(tiny):
    with fast_folder() as root:
        for seen in range(1, 5):
            checkpoint.save(root, Tiny(seen))
        manifest.note(root / "000000000001", Notes(True))
        manifest.prune(root, 1)
        assert [manifest.seen(path) for path in manifest.found(root)] == [1, 4]
        manifest.note(root / "000000000001", Notes(False))
        manifest.prune(root, 1)
        assert [manifest.seen(path) for path in manifest.found(root)] == [4]
