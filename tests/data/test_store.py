"""The store gives back what was written, maps it, and refuses what is damaged, foreign or leads elsewhere."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from gansaku.data.content import Block
from gansaku.data.preparation import write
from gansaku.data.store import Facts, open_store
from gansaku.data.tally import Account, Bad, Tally
from gansaku.errors import DataError

SHAPES = [(3, 4, 5), (1, 4, 5), (1, 3, 4, 5)]  # colour, grey, voxels; all sides differ


def samples(count, shape, seed=0):
    high = 2 if len(shape) == 4 else 256
    return np.random.default_rng(seed).integers(high, size=(count, *shape[1:], shape[0]), dtype=np.uint8)


def block(rows, split="train", label=0, **columns):
    return Block(rows, np.full(len(rows), label, np.int64), split, columns)


@pytest.fixture
def stored(tmp_path):
    """A good store of 6 pictures, to be damaged."""
    path = tmp_path / "good.h5"
    write(path, [block(samples(6, (3, 4, 5)))], name="good", shape=(3, 4, 5))
    return path


def refused(path):
    with pytest.raises(DataError) as caught:
        open_store(path)
    assert path.name in str(caught.value)
    return caught.value


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_written_is_read_back_in_any_order(tmp_path, shape):
    rows = samples(11, shape)
    parts = [block(rows[:4], label=1), block(rows[4:7]), block(rows[7:], "test", label=1)]
    tally = Tally(source="here", files=12, ignored=2)
    write(tmp_path / "a.h5", parts, name="a", shape=shape, classes=("no", "yes"), source="here", tally=tally)
    dataset = open_store(tmp_path / "a.h5")
    for indices in ([0, 1, 2], [10, 3, 3, 0], []):
        assert np.array_equal(dataset.rows(np.array(indices)), rows[indices])
    assert dataset.labels.tolist() == [1] * 4 + [0] * 3 + [1] * 4
    assert dataset.counts == {"train": 7, "test": 4}
    assert dataset.facts == Facts("a", shape, 7, ("no", "yes"))
    assert (dataset.source, dataset.report["files"], dataset.report["ignored"]) == ("here", 12, 2)


def test_columns_follow_their_samples(tmp_path):
    parts = [block(samples(2, (1, 4, 5)), size=np.array([7, 8])), block(samples(1, (1, 4, 5)), size=np.array([9.5]))]
    write(tmp_path / "a.h5", parts, name="a", shape=(1, 4, 5))
    column = open_store(tmp_path / "a.h5").columns["size"]
    assert column.tolist() == [7, 8, 9.5]
    assert column.dtype == np.float32


def test_voxels_take_one_bit_each(tmp_path):
    write(tmp_path / "a.h5", [block(samples(100, (1, 8, 8, 16)))], name="a", shape=(1, 8, 8, 16))
    assert open_store(tmp_path / "a.h5").stored.shape == (100, 128)


def test_rows_may_be_changed_without_touching_the_store(stored):
    dataset = open_store(stored)
    before = dataset.rows(np.arange(6)).copy()
    dataset.rows(np.arange(6))[:] = 0
    assert np.array_equal(dataset.rows(np.arange(6)), before)


def test_an_index_out_of_range_is_our_own_mistake(stored):
    for index in (-1, 6):
        with pytest.raises(AssertionError):
            open_store(stored).rows(np.array([index]))


def test_the_fingerprint_tells_shape_samples_labels_splits_classes_and_columns_and_nothing_else(tmp_path):
    rows = samples(4, (1, 4, 5))

    def fingerprint(parts, shape=(1, 4, 5), classes=("a", "b"), **more):
        write(tmp_path / "a.h5", parts, name="a", shape=shape, classes=classes, **more)
        return open_store(tmp_path / "a.h5").fingerprint

    one = fingerprint([block(rows)])
    assert one == fingerprint([block(rows[:1]), block(rows[1:])], source="elsewhere")
    changed = rows.copy()
    changed[3, 2, 1, 0] ^= 1
    others = {fingerprint([block(changed)]), fingerprint([block(rows, label=1)]),
              fingerprint([block(rows)], classes=("b", "a")),
              fingerprint([block(rows.reshape(4, 5, 4, 1))], (1, 5, 4)), fingerprint([block(rows, size=np.arange(4))]),
              fingerprint([block(rows[:3]), block(rows[3:], "test")])}  # fmt: skip
    assert len(others | {one}) == 7


def test_what_was_left_out_is_told_whole_even_by_names_that_are_no_utf8(tmp_path):
    account = Account()
    for number in range(20):
        account.skip(f"{number}\udcff.png", Bad("is an empty file", "IMG_EMPTY"))
    account.warn("a.png", "is odd", "IMG_ODD")
    account.convert("turned upright")
    part = replace(block(samples(2, (1, 4, 5))), account=account, names=["a\udcff.png", "b\n.png"])
    write(tmp_path / "a.h5", [part], name="a", shape=(1, 4, 5), tally=Tally(files=22, max_bad=1))
    dataset = open_store(tmp_path / "a.h5")
    assert dataset.report["skipped"] == {"IMG_EMPTY": 20}
    assert len(dataset.report["examples"]) == 10
    assert (dataset.report["warned"], dataset.report["converted"]) == ({"IMG_ODD": 1}, {"turned upright": 1})
    assert dataset.report["warnings"] == ["a.png: is odd [IMG_ODD]"]
    assert [name for name, _, _ in dataset.skipped] == [f"{number}\udcff.png" for number in range(20)]
    assert [*dataset.names] == ["a\udcff.png", "b\n.png"]


def test_a_write_that_fails_leaves_the_old_store_and_nothing_else(stored):
    old = stored.read_bytes()

    def blocks():
        yield block(samples(2, (3, 4, 5)))
        raise DataError("there", "is bad")

    with pytest.raises(DataError, match="there"):
        write(stored, blocks(), name="b", shape=(3, 4, 5))
    assert stored.read_bytes() == old
    assert list(stored.parent.iterdir()) == [stored]


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"text", lambda b: b[:-1], lambda b: b[: len(b) // 2]],
                         ids=["empty", "text", "one byte short", "half"])  # fmt: skip
def test_what_is_cut_short_or_no_hdf5_is_refused(stored, damage):
    stored.write_bytes(damage(stored.read_bytes()))
    assert refused(stored).code == "H5_CORRUPT"


def test_a_missing_store_is_said_to_be_missing(tmp_path):
    assert refused(tmp_path / "none.h5").code == "DATA_MISSING"


def test_a_foreign_file_is_refused_with_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "chairs.h5", "w") as file:
        file["deep/voxels"] = np.zeros((3, 2, 2), np.float32)
    error = refused(tmp_path / "chairs.h5")
    assert error.code == "H5_FOREIGN"
    assert "'deep/voxels' (3, 2, 2) float32" in str(error)


def test_another_version_is_refused_with_both_numbers(stored):
    with h5py.File(stored, "r+") as file:
        file.attrs["gansaku"] = 99
    error = refused(stored)
    assert error.code == "H5_VERSION"
    assert "99" in str(error)


def replaced(path, name, make):
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file)


@pytest.mark.parametrize("name", ["samples", "labels", "about"])
@pytest.mark.parametrize("link", [h5py.SoftLink("/other"), h5py.ExternalLink("other.h5", "/x")], ids=["soft", "external"])
def test_links_are_not_followed(stored, name, link):
    replaced(stored, name, lambda file: file.__setitem__(name, link))
    assert refused(stored).code == "H5_LINK"


def test_virtual_external_compressed_and_chunked_samples_are_refused(stored, tmp_path):
    virtual = h5py.VirtualLayout((6, 4, 5, 3), np.uint8)
    virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "samples", (6, 4, 5, 3))
    rows = np.zeros((6, 4, 5, 3), np.uint8)
    for make in (
        lambda file: file.create_virtual_dataset("samples", virtual),
        lambda file: file.create_dataset("samples", rows.shape, "u1", external=[(str(tmp_path / "raw"), 0, 360)]),
        lambda file: file.create_dataset("samples", data=rows, compression="gzip"),
        lambda file: file.create_dataset("samples", data=rows, chunks=(1, 4, 5, 3)),
        lambda file: file.create_dataset("samples", rows.shape, "u1"),  # declared, never written
    ):
        replaced(stored, "samples", make)
        assert refused(stored).code == "H5_LAYOUT"


@pytest.mark.parametrize(("name", "values"), [
    ("labels", np.zeros(5, np.int64)),
    ("labels", np.full(6, 3)),
    ("labels", np.full(6, -1)),
    ("labels", np.zeros(6, np.float32)),
    ("samples", np.zeros((6, 4, 5, 3), np.float32)),
    ("samples", np.zeros((5, 4, 5, 3), np.uint8)),
    ("about", np.frombuffer(b"{}", np.uint8)),
], ids=str)  # fmt: skip
def test_a_store_that_contradicts_itself_is_refused(stored, name, values):
    replaced(stored, name, lambda file: file.create_dataset(name, data=values))
    assert refused(stored).code == "H5_CORRUPT"


def test_a_group_in_place_of_the_samples_is_refused(stored):
    replaced(stored, "samples", lambda file: file.create_group("samples"))
    assert refused(stored).code == "H5_CORRUPT"


def test_a_file_that_declares_more_than_it_holds_is_refused(stored):
    """V113: 1.4 KB that declare terabytes."""
    replaced(stored, "samples", lambda file: file.create_dataset("samples", (1 << 40, 4, 5, 3), "u1"))
    assert refused(stored).code == "H5_LAYOUT"
