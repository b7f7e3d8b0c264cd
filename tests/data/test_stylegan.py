"""StyleGAN's zips: labels of any honest form are classes, hostile ones are refused, and what is written is what it reads."""

import io
import json
import zipfile

import numpy as np
import pytest
from making import error_of
from PIL import Image

from gansaku.data.content import Block
from gansaku.data.layouts import classes_of, places
from gansaku.data.preparation import write
from gansaku.data.store import open_store
from gansaku.data.stylegan import LISTING, encoded, notes, write_zip
from gansaku.data.stylegan import labelled as read_labels
from gansaku.data.tally import Account, Tally
from gansaku.data.tree import Entry, Tree, in_zip
from gansaku.errors import DataError, UsageError

NAMES = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png"]


def labels_of(tree):
    return read_labels(tree).labels


def tree_of(content, names=NAMES, where=LISTING):
    """A tree with these empty files and a listing of this content: bytes, or what its JSON says."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Tree([*names, where], lambda name: Entry(name, len(data) if name == where else 0, 0, lambda: io.BytesIO(data)))


def labelled(*labels, **more):
    return tree_of({"labels": [[name, label] for name, label in zip(NAMES, labels, strict=False)], **more})


class TestLabels:
    @pytest.mark.parametrize(("labels", "expected"), [
        ((2, 0, 2), ("2", "0", "2")),
        ((2.0, 0, 1), ("2", "0", "1")),
        ((10, 2, 0), ("10", "02", "00")),
        (([0, 1], [1, 0], [0.0, 1.0]), ("1", "0", "1")),
    ])  # fmt: skip
    def test_numbers_and_vectors_with_a_single_1_are_classes(self, labels, expected):
        assert labels_of(labelled(*labels)) == dict(zip(NAMES, expected, strict=True))

    def test_names_of_classes_are_taken_where_they_are_stated(self):
        assert labels_of(labelled(1, 0, 1, class_names=["cat", "dog"])) == dict(zip(NAMES, ["dog", "cat", "dog"], strict=True))

    def test_null_means_no_classes_whatever_the_folders(self):
        tree = tree_of({"labels": None})
        found = places("", NAMES, Tree(tree.names, tree.entry, (), labels_of(tree)))
        assert classes_of(found) == ()
        assert classes_of(places("", NAMES, tree)) == ("00000", "00001")

    def test_a_listing_in_a_folder_labels_the_files_in_it(self):
        names = [f"ffhq/{name}" for name in NAMES]
        tree = tree_of({"labels": [[NAMES[0], 1], [NAMES[1].replace("/", "\\"), 0]]}, names, f"ffhq/{LISTING}")
        assert labels_of(tree) == {names[0]: "1", names[1]: "0"}

    @pytest.mark.parametrize("content", [{}, {"items": [1]}, [], 7, None])
    def test_a_listing_of_something_else_labels_nothing(self, content):
        assert labels_of(tree_of(content)) == {}

    def test_a_tree_without_a_listing_has_no_labels(self):
        assert labels_of(tree_of(b"", where=".dataset/dataset.json")) == {}
        assert labels_of(tree_of(b"", where="metadataset.json")) == {}

    def test_names_that_are_not_there_are_warned_of(self):
        account = Account()
        tree = tree_of({"labels": [[NAMES[0], 1], ["../../etc/passwd", 0], ["x", 2]]})
        assert read_labels(tree, account).labels == {NAMES[0]: "1"}
        assert account.warned == {"LABEL_UNKNOWN": 2}

    @pytest.mark.parametrize("labels", [
        7, "ab", {"a": 1}, [7], [["a"]], [["a", 1, 2]], [[1, "a"]], [[NAMES[0], "six"]], [[NAMES[0], None]], [[NAMES[0], True]],
        [[NAMES[0], -1]], [[NAMES[0], 0.5]], [[NAMES[0], float("nan")]], [[NAMES[0], float("inf")]], [[NAMES[0], 10**30]],
        [[NAMES[0], [0.3, 0.7]]], [[NAMES[0], [1, 1]]], [[NAMES[0], [0, 0]]], [[NAMES[0], []]], [[NAMES[0], [1, "x"]]],
        [[NAMES[0], [[1]]]], [[NAMES[0], 1], [NAMES[0], 2]], [[NAMES[0], 1], [NAMES[1], [0, 1]]],
        [[NAMES[0], [1, 0]], [NAMES[1], [0, 1, 0]]],
    ], ids=str)  # fmt: skip
    def test_labels_that_are_no_classes_are_refused(self, labels):
        error = error_of(DataError, labels_of, tree_of({"labels": labels}))
        assert error.code == "DATASET_JSON"
        assert str(error).startswith(LISTING)

    @pytest.mark.parametrize("names", [7, ["a"], ["a", 3], "ab", {"0": "a", "1": "b"}])
    def test_class_names_that_do_not_fit_are_refused(self, names):
        assert error_of(DataError, labels_of, labelled(1, class_names=names)).code == "DATASET_JSON"

    @pytest.mark.parametrize("content", [
        b"", b"{", b"\xff\xfe\x00", b"[" * 1_000_000, b'{"labels": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"labels": [["a", ' + b"9" * 5000 + b"]]}",
    ], ids=["empty", "cut", "no text", "deep", "nested", "huge number"])  # fmt: skip
    def test_damaged_or_nested_json_is_refused(self, content):
        assert error_of(DataError, labels_of, tree_of(content)).code == "DATASET_JSON"

    def test_json_far_longer_than_labels_of_so_few_files_is_refused_unread(self):
        tree = Tree([*NAMES, LISTING], lambda name: Entry(name, 5_000_000, 0, lambda: pytest.fail("it was opened")))
        assert error_of(DataError, labels_of, tree).code == "DATASET_JSON"


@pytest.fixture
def dataset(tmp_path):
    """A store of random pictures: `made(train, test, shape, classes)`."""

    def made(train=5, test=0, shape=(3, 8, 8), classes=("b", "a"), voxels=False):
        dice = np.random.default_rng(0)
        blocks = [
            Block(dice.integers(2 if voxels else 256, size=(count, *shape[1:], shape[0]), dtype=np.uint8),
                  dice.integers(max(1, len(classes)), size=count), split)
            for split, count in (("train", train), ("test", test)) if count
        ]  # fmt: skip
        path = tmp_path / "d.h5"
        write(path, lambda start: iter(blocks[start:]), name="d", shape=shape, classes=classes, source="d", policy={},
              tally=Tally(), identity=None, progress=lambda done, total: None, total=train + test)  # fmt: skip
        return open_store(path)

    return made


def contents(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


class TestWriting:
    @pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8)])
    def test_pictures_and_labels_are_read_back_as_stylegans_loader_does(self, dataset, tmp_path, shape):
        given = dataset(shape=shape)
        write_zip(given, tmp_path / "s.zip", lambda done, total: None)
        files = contents(tmp_path / "s.zip")
        names = sorted(name for name in files if name.endswith(".png"))
        assert names == [f"00000/img{i:08d}.png" for i in range(5)]
        pixels = np.stack([np.array(Image.open(io.BytesIO(files[name]))) for name in names]).reshape(5, *shape[1:], shape[0])
        assert np.array_equal(pixels, given.rows(np.arange(5)))
        labels = dict(json.loads(files[LISTING])["labels"])
        assert [labels[name] for name in names] == given.labels.tolist()

    def test_classes_and_splits_come_back_by_the_readers_of_this_program(self, dataset, tmp_path):
        given = dataset(5, 3)
        write_zip(given, tmp_path / "s.zip", lambda done, total: None)
        with in_zip(tmp_path / "s.zip", Tally()) as tree:
            names = [name for name in tree.names if name != LISTING]
            found = dict(zip(names, places("", names, Tree(tree.names, tree.entry, (), labels_of(tree))), strict=True))
        for row, split in enumerate(["train"] * 5 + ["test"] * 3):
            assert found[f"{split}/00000/img{row:08d}.png"] == (split, given.classes[given.labels[row]])

    def test_without_classes_the_labels_are_null(self, dataset, tmp_path):
        write_zip(dataset(classes=()), tmp_path / "s.zip", lambda done, total: None)
        assert json.loads(contents(tmp_path / "s.zip")[LISTING]) == {"labels": None}

    def test_the_same_data_give_the_same_bytes_stored_as_they_are(self, dataset, tmp_path):
        for name in ("a", "b"):
            write_zip(dataset(), tmp_path / f"{name}.zip", lambda done, total: None)
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}

    def test_a_thousand_lie_in_a_folder(self, dataset, tmp_path):
        told = []
        write_zip(
            dataset(1001, shape=(1, 1, 1), classes=()), tmp_path / "s.zip", lambda done, total: told.append((done, total))
        )
        assert [*contents(tmp_path / "s.zip")][999:] == ["00000/img00000999.png", "00001/img00001000.png", LISTING]
        assert told == [(512, 1001), (1001, 1001)]

    def test_voxels_are_refused(self, dataset, tmp_path):
        assert error_of(UsageError, write_zip, dataset(shape=(1, 2, 2, 2), classes=(), voxels=True), tmp_path / "s.zip", None)
        assert not (tmp_path / "s.zip").exists()

    def test_nothing_is_left_when_writing_fails(self, dataset, tmp_path):
        def stop(done, total):
            raise KeyboardInterrupt

        given = dataset()
        with pytest.raises(KeyboardInterrupt):
            write_zip(given, tmp_path / "out" / "s.zip", stop)
        assert [*(tmp_path / "out").iterdir()] == []

    def test_all_rows_are_encoded_in_their_order(self, dataset):
        given = dataset(700, shape=(1, 1, 2), classes=())
        found = list(encoded(given, lambda sample: sample.tobytes(), lambda done, total: None))
        assert [number for number, _ in found] == [*range(700)]
        assert b"".join(content for _, content in found) == given.rows(np.arange(700)).tobytes()


@pytest.mark.parametrize(("shape", "test", "codes"), [
    ((3, 8, 8), 0, []),
    ((3, 6, 6), 0, ["STYLEGAN_SIZE"]),
    ((1, 4, 8), 0, ["STYLEGAN_SIZE"]),
    ((3, 8, 8), 2, ["STYLEGAN_SPLIT"]),
])  # fmt: skip
def test_what_stylegan_will_not_take_is_noted(dataset, shape, test, codes):
    assert [note.code for note in notes(dataset(test=test, shape=shape))] == codes
