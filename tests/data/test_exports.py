"""Round trips are the law: what is exported in any form and prepared again are the same samples, splits and classes."""

import hashlib
import string

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import error_of, everything

from gansaku.data.content import Block
from gansaku.data.exports import LONGEST, export, file_names, safe, stem, unique
from gansaku.data.preparation import write
from gansaku.data.sources import open_data
from gansaku.data.store import open_store
from gansaku.data.tally import Tally
from gansaku.data.tree import hidden
from gansaku.errors import DataError, UsageError


def quiet(done, total):
    pass


@pytest.fixture
def store(tmp_path):
    """A store of random samples, none twice: `store(shape, train, test, classes, names, columns)`."""

    def made(shape=(3, 6, 6), train=7, test=4, classes=("cat", "dog"), names=(), columns=(), high=256):
        dice, count = np.random.default_rng(0), train + test
        samples = dice.integers(2 if len(shape) == 4 else high, size=(count, *shape[1:], shape[0]), dtype=np.uint8)
        labels = np.arange(count) * 5 % 3 % max(1, len(classes))
        values = {name: dice.normal(size=count).astype(np.float32) for name in columns}

        def part(rows, split):
            return Block(samples[rows], labels[rows], split, {name: v[rows] for name, v in values.items()}, names[rows])

        blocks = [part(slice(0, train), "train"), *([part(slice(train, count), "test")] if test else [])]
        tally = Tally(more={"column_names": {name: ["x", "y"] for name in columns[:1]}})
        path = tmp_path / "given.h5"
        write(path, lambda start: iter(blocks[start:]), name="given", shape=shape, classes=classes, source="s", policy={},
              tally=tally, identity=None, progress=quiet, total=count)  # fmt: skip
        return open_store(path)

    return made


def described(dataset):
    """All that must survive: for each sample its split, class name and content, in an order of its own."""
    splits = np.repeat([*dataset.counts], [*dataset.counts.values()])
    classes = [dataset.classes[label] if dataset.classes else "" for label in dataset.labels]
    return sorted(zip(splits, classes, (sample.tobytes() for sample in everything(dataset)), strict=True))


def round_trip(dataset, destination, form=None):
    return open_data(str(export(dataset, destination, form, quiet)))


PICTURES, GREY, VOXELS = (3, 6, 6), (1, 4, 9), (1, 4, 4, 4)


class TestRoundTrips:
    @pytest.mark.parametrize("classes", [("cat", "dog"), (), ("a", "b", "c")], ids=len)
    @pytest.mark.parametrize("test", [4, 0])
    @pytest.mark.parametrize(("shape", "name"), [
        (PICTURES, "d.zip"), (PICTURES, "d.npz"), (PICTURES, "d"), (GREY, "d.zip"), (GREY, "d.npz"), (GREY, "d"),
        (VOXELS, "d.npz"), (VOXELS, "d"), ((1, 3, 4, 1), "d.npz"),
    ], ids=str)  # fmt: skip
    def test_samples_splits_and_classes_are_the_same(self, store, tmp_path, shape, name, classes, test):
        dataset = store(shape, test=test, classes=classes)
        again = round_trip(dataset, tmp_path / name)
        assert (again.shape, again.classes) == (dataset.shape, classes)
        assert described(again) == described(dataset)

    @pytest.mark.parametrize("shape", [PICTURES, VOXELS])
    def test_an_npz_keeps_order_columns_and_their_names_too(self, store, tmp_path, shape):
        dataset = store(shape, classes=("z", "a"), columns=("classes", "labels", "x", "y"))
        again = round_trip(dataset, tmp_path / "d.npz")
        assert again.fingerprint == dataset.fingerprint
        assert again.classes == ("z", "a")
        assert again.columns.keys() == dataset.columns.keys()
        assert all(np.array_equal(again.columns[name], values) for name, values in dataset.columns.items())
        assert again.report["column_names"] == {"classes": ["x", "y"]}

    def test_an_npz_without_classes_keeps_a_column_called_classes(self, store, tmp_path):
        assert [*round_trip(store(classes=(), columns=("classes",)), tmp_path / "d.npz").columns] == ["classes"]

    def test_stylegans_zip_keeps_the_order(self, store, tmp_path):
        dataset = store()
        assert np.array_equal(everything(round_trip(dataset, tmp_path / "d.zip")), everything(dataset))

    def test_more_than_a_thousand_in_a_zip_without_classes_have_none(self, store, tmp_path):
        again = round_trip(store((1, 5, 5), 1100, 5, ()), tmp_path / "d.zip")
        assert (again.classes, again.counts) == ((), {"train": 1100, "test": 5})

    @pytest.mark.parametrize("name", ["d.npz", "d.zip", "d"])
    def test_nearly_black_pictures_stay_so(self, store, tmp_path, name):
        dataset = store(high=2)
        assert described(round_trip(dataset, tmp_path / name)) == described(dataset)

    @pytest.mark.parametrize("classes", [
        ("cat",), ("train", "test"), ("T-shirt/top", "Trouser"), ("a", "A"), ("..", "."), (".hidden", "b\x1b[31m"), ("é", "é"),
        ("a" * 300, "a" * 301), ("con", "nul"), ("10", "9"), ("\udcff", "b"), ("n00000001-a", "n00000002-a"),
    ], ids=ascii)  # fmt: skip
    def test_classes_of_any_name_come_back(self, store, tmp_path, classes):
        dataset = store(classes=classes)
        again = round_trip(dataset, tmp_path / "d")
        assert set(again.classes) == set(classes)
        assert described(again) == described(dataset)

    def test_a_listing_is_there_only_where_folders_do_not_say_it_all(self, store, tmp_path):
        export(store(), tmp_path / "plain", None, quiet)
        assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["test", "train"]
        export(store(classes=("a/b", "c")), tmp_path / "more", None, quiet)
        assert sorted(path.name for path in (tmp_path / "more").iterdir()) == ["dataset.json", "test", "train"]

    def test_voxels_as_one_h5_a_sample_are_as_article_0_had_them(self, store, tmp_path):
        dataset = store((1, 5, 5, 5))
        export(dataset, tmp_path / "d", "h5", quiet)
        paths = [*(tmp_path / "d").rglob("*.h5")]
        assert len(paths) == 11
        with h5py.File(paths[0]) as file:
            assert (*file,) == ("data",)
            assert file["data"].shape == (5, 5, 5)
        assert described(open_data(str(tmp_path / "d"))) == described(dataset)


HOSTILE = [
    "../../x", "/etc/passwd", "a\\..\\b", "C:evil", "x\n\x1b[2J", "\u202egnp.exe", ".hidden", "con", "a" * 999, "猫" * 300,
    "\udcff\udcfe", "", "..", "train/x.png",
]  # fmt: skip


class TestNames:
    def test_files_have_the_names_that_the_samples_had(self, store, tmp_path):
        names = ["train/cats/a.png", "b.c.jpg", "b.c.png", "B.C", "photo_1_2x_0", "row 5"]
        dataset = store(train=6, test=0, classes=(), names=names)
        assert file_names(dataset, ".png") == [
            f"train/{name}.png" for name in ("a", "b.c", "b.c-2", "B.C-3", "photo_1_2x_0", "row 5")
        ]
        export(dataset, tmp_path / "d", None, quiet)
        assert sorted(path.name for path in (tmp_path / "d/train").iterdir()) == [
            "B.C-3.png", "a.png", "b.c-2.png", "b.c.png", "photo_1_2x_0.png", "row 5.png"]  # fmt: skip

    def test_hostile_names_stay_inside_and_lose_nothing(self, store, tmp_path):
        dataset = store(train=len(HOSTILE), test=0, classes=("../up", "\x1bb"), names=HOSTILE)
        again = round_trip(dataset, tmp_path / "out" / "d")
        assert described(again) == described(dataset)
        assert {path.name for path in tmp_path.iterdir()} == {"given.h5", "out", "cache"}
        assert {path.parent.parent.parent for path in (tmp_path / "out").rglob("*.png")} == {tmp_path / "out" / "d"}

    @given(st.text())
    @settings(max_examples=100, deadline=None)
    def test_a_safe_name_is_one_short_visible_part_of_a_path(self, name):
        found = safe(name)
        assert found.isprintable()
        assert not set(found) & set('<>:"/\\|?*')
        assert 0 < len(found.encode()) <= LONGEST + 1
        assert not hidden(found)
        assert found.rstrip(". ") == found

    @pytest.mark.parametrize("name", ["con", "NUL.txt", "lpt1", "__MACOSX"])
    def test_names_that_a_system_keeps_for_itself_are_changed(self, name):
        assert safe(name) == f"_{name}"

    @pytest.mark.parametrize("name", ["cat", "n02085620-Chihuahua", "猫", "a b", "a.b-c_d", "100%"])
    def test_a_harmless_name_stays_as_it_is(self, name):
        assert safe(name) == name

    @given(st.lists(st.text(string.ascii_letters + "-2é", max_size=4)))
    @settings(max_examples=100, deadline=None)
    def test_unique_names_are_so_for_systems_that_fold_capitals(self, names):
        found = unique(names)
        assert len({name.casefold() for name in found}) == len(names)
        assert all(new == old or new.startswith(f"{old}-") for new, old in zip(found, names, strict=True))

    @pytest.mark.parametrize(("name", "expected"), [
        ("a/b.png", "b"), ("b.tar.gz", "b.tar.gz"), (".png", ".png"), ("a.b", "a.b"), ("x\\y.JPEG", "y"),
        ("a.png_0_1x_1", "a.png_0_1x_1"),
    ])  # fmt: skip
    def test_a_stem_is_without_folders_and_known_endings(self, name, expected):
        assert stem(name) == expected


class TestRefusals:
    @pytest.mark.parametrize(("name", "form", "shape"), [
        ("d.tar", None, PICTURES), ("d.png", None, PICTURES), ("d", "tiff", PICTURES), ("d.zip", "npz", PICTURES),
        ("d.zip", None, VOXELS), ("d", "h5", PICTURES), ("full", None, PICTURES), ("file", None, PICTURES),
        ("full.zip", None, PICTURES), ("link", None, PICTURES), (".", None, PICTURES),
    ])  # fmt: skip
    def test_what_cannot_be_written_is_refused_and_nothing_changes(self, store, tmp_path, name, form, shape):
        dataset = store(shape, classes=())
        for folder in ("full", "full.zip"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "mine").write_bytes(b"1")
        (tmp_path / "file").write_bytes(b"2")
        (tmp_path / "link").symlink_to("nowhere")
        before = sorted(tmp_path.rglob("*"))
        error = error_of(UsageError, export, dataset, tmp_path / name, form, quiet)
        assert error.code in ("FORM", "FILE")
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_column_that_would_mean_something_else_is_refused(self, store, tmp_path):
        assert error_of(DataError, export, store(columns=("x_train",)), tmp_path / "d.npz", None, quiet).code == "COLUMN"

    def test_an_empty_folder_is_filled(self, store, tmp_path):
        (tmp_path / "d").mkdir()
        assert len([*export(store(), tmp_path / "d", None, quiet).rglob("*.png")]) == 11

    @pytest.mark.parametrize("name", ["d.zip", "d.npz", "d"])
    def test_an_export_that_is_interrupted_leaves_nothing(self, store, tmp_path, name):
        def stop(done, total):
            raise KeyboardInterrupt

        dataset = store()
        with pytest.raises(KeyboardInterrupt):
            export(dataset, tmp_path / "out" / name, None, stop)
        assert [*(tmp_path / "out").iterdir()] == []

    @pytest.mark.parametrize("name", ["d.zip", "d.npz", "d"])
    def test_the_same_data_give_the_same_bytes(self, store, tmp_path, name):
        dataset, digests = store(columns=("a",)), set()
        for place in ("one", "two"):
            out = export(dataset, tmp_path / place / name, None, quiet)
            paths = sorted(path for path in (out, *out.rglob("*")) if path.is_file())
            digests.add(hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest())
        assert len(digests) == 1
