"""A preparation goes on where it was killed, gives the same bytes however it went, and fills shards as one file."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from making import everything, folder_of, picture

from gansaku import files
from gansaku.data import sources
from gansaku.data.content import Block, in_parallel
from gansaku.data.policy import policy
from gansaku.data.preparation import write
from gansaku.data.splits import held_out
from gansaku.data.store import open_store
from gansaku.data.tally import Tally
from gansaku.errors import DataError, Interrupted, Stopped

SHAPES = [(3, 4, 5), (1, 3, 4, 5)]


def blocks_of(shape, counts, seed=0):
    """Blocks of so many samples each, the last one held out."""
    random = np.random.default_rng(seed)
    made = []
    for number, count in enumerate(counts):
        rows = random.integers(2 if len(shape) == 4 else 256, size=(count, *shape[1:], shape[0]), dtype=np.uint8)
        split = "test" if number == len(counts) - 1 else "train"
        made.append(Block(rows, np.full(count, number % 2), split, {"number": np.full(count, number, np.float32)},
                          [f"{number}/{i}" for i in range(count)], read=count))  # fmt: skip
    return made


def prepared(path, blocks, shape, **more):
    write(path, blocks, name="a", shape=shape, classes=("even", "odd"), **more)
    return open_store(path)


class TestGoingOn:
    def test_pieces_that_are_finished_are_not_made_again(self, tmp_path):
        parts, made = blocks_of(SHAPES[0], [3, 4, 2, 3]), []

        def blocks(start, stop_at=None):
            for number in range(start, len(parts)):
                if number == stop_at:
                    raise Interrupted("here", "interrupted", signal.SIGTERM)
                made.append(number)
                yield parts[number]

        with pytest.raises(Interrupted):
            prepared(tmp_path / "a.h5", lambda start: blocks(start, 2), SHAPES[0], identity="x")
        assert not (tmp_path / "a.h5").exists()
        dataset = prepared(tmp_path / "a.h5", blocks, SHAPES[0], identity="x")
        assert made == [0, 1, 2, 3]
        assert np.array_equal(everything(dataset), np.concatenate([part.samples for part in parts]))
        assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]

    def test_pieces_of_another_preparation_are_not_used(self, tmp_path):
        def stopped(start):
            yield blocks_of(SHAPES[0], [3, 4], seed=1)[0]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            prepared(tmp_path / "a.h5", stopped, SHAPES[0], identity="x")
        parts = blocks_of(SHAPES[0], [3, 4])
        dataset = prepared(tmp_path / "a.h5", lambda start: iter(parts[start:]), SHAPES[0], identity="y")
        assert np.array_equal(everything(dataset), np.concatenate([part.samples for part in parts]))

    def test_an_error_leaves_nothing(self, tmp_path):
        def failing(start):
            yield blocks_of(SHAPES[0], [3, 4])[0]
            raise DataError("there", "is bad")

        with pytest.raises(DataError, match="there"):
            prepared(tmp_path / "a.h5", failing, SHAPES[0], identity="x")
        assert list(tmp_path.iterdir()) == []

    def test_two_at_once_do_not_disturb_each_other(self, tmp_path):
        parts = blocks_of(SHAPES[0], [3, 4])

        def nested(start):
            yield parts[0]
            prepared(tmp_path / "a.h5", lambda start: iter(parts[start:]), SHAPES[0], identity="x")
            yield parts[1]

        dataset = prepared(tmp_path / "a.h5", nested, SHAPES[0], identity="x")
        assert np.array_equal(everything(dataset), np.concatenate([part.samples for part in parts]))
        assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]

    def test_the_cache_forgets_what_nobody_went_on_with_after_a_day(self, tmp_path):
        for name, age in ((f"{files.TEMPORARY}preparing-a.h5", 200_000), (f"{files.TEMPORARY}preparing-b.h5", 0)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "000000.npz").touch()
            os.utime(tmp_path / name, (os.stat(tmp_path).st_mtime - age,) * 2)
        sources.sweep_old(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [f"{files.TEMPORARY}preparing-b.h5"]


COMMAND = """
import sys
from gansaku.data import content, picture_sets
picture_sets.block_of = lambda files: 4
from gansaku.cli import main
sys.exit(main(["prepare", sys.argv[1], sys.argv[2], "--size", "8", "--held-out", "20%"]))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Twenty pictures, and the store that they become."""
    top, random = tmp_path_factory.mktemp("undisturbed"), np.random.default_rng(0)
    root = folder_of(top / "d", {f"{name}/{i}.png": picture(tuple(random.integers(256, size=3)), 9 + i % 3, 9)
                                 for i in range(10) for name in ("cat", "dog")})  # fmt: skip
    assert command(root, top / "whole.h5").returncode == 0
    return root, (top / "whole.h5").read_bytes()


def command(source, out, **environment):
    return subprocess.run([sys.executable, "-c", COMMAND, str(source), str(out)], capture_output=True, text=True,
                          env={**os.environ, **environment})  # fmt: skip


@pytest.mark.parametrize("operation", [2, 7, 12, 19, 26, 33, 38])
def test_killed_anywhere_the_same_command_ends_with_the_same_bytes(undisturbed, tmp_path, operation):
    source, whole = undisturbed
    killed = command(source, tmp_path / "made.h5", GANSAKU_FAULTS=f"KILL {operation}")
    assert killed.returncode == -signal.SIGKILL
    made = tmp_path / "made.h5"
    assert not made.exists() or made.read_bytes() == whole
    assert command(source, made).returncode == 0
    assert made.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["made.h5"]


SIGNALLED = COMMAND.replace(
    "from gansaku.cli",
    """
from gansaku.data.pieces import Pieces
append = Pieces.append
def counted(self, block):
    append(self, block)
    if self.count == 2:
        import os, signal
        os.kill(os.getpid(), signal.SIGTERM)
Pieces.append = counted
from gansaku.cli""",
)


def test_a_signal_keeps_the_finished_pieces_for_the_same_command(undisturbed, tmp_path):
    source, whole = undisturbed
    made = tmp_path / "made.h5"
    ended = subprocess.run([sys.executable, "-c", SIGNALLED, str(source), str(made)], capture_output=True, text=True)
    assert ended.returncode == 128 + signal.SIGTERM
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.glob("*.npz"))) >= 2
    assert "prepared 8 of 20" in command(source, made).stderr
    assert made.read_bytes() == whole


@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestShards:
    def test_shards_hold_what_one_file_holds(self, tmp_path, shape):
        parts = blocks_of(shape, [3, 4, 2, 3])
        whole = prepared(tmp_path / "a.h5", parts, shape)
        row = whole.stored.nbytes // 12
        for rows in (1, 5, 11):
            dataset = prepared(tmp_path / "b.h5", parts, shape, shard=row * rows)
            folders = [path for path in tmp_path.iterdir() if path.is_dir()]
            assert len(folders) == 1
            assert len(list(folders[0].iterdir())) == -(-12 // rows)
            assert dataset.fingerprint == whole.fingerprint
            order = np.array([11, 0, 5, 5, 4, 10])
            assert np.array_equal(dataset.rows(order), whole.rows(order))
            assert (dataset.labels == whole.labels).all()
        assert prepared(tmp_path / "b.h5", parts, shape, shard=row * 12).stored.shape == whole.stored.shape
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5"]

    def test_open_shards_stay_readable_when_the_data_are_prepared_again(self, tmp_path, shape):
        row = 60 if len(shape) == 3 else 8
        dataset = prepared(tmp_path / "a.h5", blocks_of(shape, [6, 6]), shape, shard=row * 3)
        before = dataset.rows(np.arange(12))
        prepared(tmp_path / "a.h5", blocks_of(shape, [6, 6], seed=1), shape, shard=row * 3)
        assert np.array_equal(dataset.rows(np.arange(12)), before)
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1

    def test_folders_of_such_a_name_that_are_no_shards_are_left_alone(self, tmp_path, shape):
        for name in ("a-photos_2024x.shards", "a-0123456789ab.shards"):
            (tmp_path / name).mkdir()
        prepared(tmp_path / "a.h5", blocks_of(shape, [6, 6]), shape)
        assert len(list(tmp_path.iterdir())) == 3

    def test_a_shard_that_is_missing_foreign_or_cut_short_is_named(self, tmp_path, shape):
        row = 60 if len(shape) == 3 else 8
        prepared(tmp_path / "a.h5", blocks_of(shape, [3, 3]), shape, shard=row * 2)
        prepared(tmp_path / "b.h5", blocks_of(shape, [3, 3], seed=1), shape, shard=row * 2)
        one, other = (next(path for path in tmp_path.glob(f"{name}-*.shards")) / "00001.h5" for name in "ab")
        good = one.read_bytes()
        one.write_bytes(other.read_bytes())
        with pytest.raises(DataError, match="another preparation"):
            open_store(tmp_path / "a.h5")
        one.write_bytes(good[:-20])
        with pytest.raises(DataError, match=r"00001\.h5: cannot be read"):
            open_store(tmp_path / "a.h5")
        one.unlink()
        with pytest.raises(DataError, match=r"00001\.h5: is missing"):
            open_store(tmp_path / "a.h5")


class TestRepetitions:
    def test_are_counted_and_left_out_only_when_asked(self, tmp_path):
        parts = blocks_of(SHAPES[0], [4, 4])
        parts[1] = replace(parts[1], samples=np.concatenate([parts[0].samples[:2], parts[1].samples[2:]]))
        tally = Tally(source="here")
        dataset = prepared(tmp_path / "a.h5", parts, SHAPES[0], tally=tally)
        assert (dataset.counts, dataset.report["warned"]) == ({"train": 4, "test": 4}, {"DUPLICATE": 2, "TEST_REPEATED": 2})
        without = prepared(tmp_path / "b.h5", parts, SHAPES[0], dedupe=True)
        assert (without.counts, without.report["warned"]) == ({"train": 4, "test": 2}, {})
        assert [*without.names] == ["0/0", "0/1", "0/2", "0/3", "1/2", "1/3"]
        assert without.columns["number"].tolist() == [0] * 4 + [1] * 2


def test_without_a_training_sample_nothing_is_written(tmp_path):
    empty = replace(blocks_of(SHAPES[0], [1])[0], samples=np.empty((0, 4, 5, 3), np.uint8), labels=np.empty(0, np.int64),
                    columns={}, names=[], split="train")  # fmt: skip
    with pytest.raises(Stopped, match="no training sample is left"):
        prepared(tmp_path / "a.h5", [empty], SHAPES[0])
    assert list(tmp_path.iterdir()) == []


def test_blocks_made_in_parallel_come_in_their_order_from_any_start():
    parts = blocks_of(SHAPES[0], [1] * 40)
    blocks = in_parallel([lambda part=part: part for part in parts])
    for start in (0, 1, 39, 40):
        assert [block.names for block in blocks(start)] == [part.names for part in parts[start:]]


class TestHeldOut:
    def test_the_share_is_exact_and_leaves_something_on_both_sides(self):
        names = [f"{i}.png" for i in range(1000)]
        assert [len(held_out(names, share)) for share in (0, 0.001, 0.1, 0.5, 0.9999)] == [0, 1, 100, 500, 999]
        assert held_out(["a"], 0.5) == frozenset()

    def test_a_set_that_grows_keeps_its_held_out_samples(self):
        names = [f"{i}.png" for i in range(1000)]
        before, after = held_out(names[:990], 0.1), held_out(names, 0.1)
        assert len(before & after) >= 95

    def test_all_crops_of_a_picture_are_on_one_side(self, tmp_path):
        root = folder_of(tmp_path / "d", {f"{i}.png": picture((i, 9, 9), 8, 8) for i in range(20)})
        dataset = sources.prepare(str(root), tmp_path / "d.h5", policy(held_out=0.25))
        assert dataset.counts == {"train": 15, "test": 5}
        assert {*dataset.names[15:]} == held_out([f"{i}.png" for i in range(20)], 0.25)


def test_the_same_source_gives_the_same_bytes_twice(tmp_path):
    root = folder_of(tmp_path / "d", {f"{i}.png": picture((i, 9, 9), 8, 8) for i in range(20)})
    for name in ("a.h5", "b.h5"):
        sources.prepare(str(root), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
