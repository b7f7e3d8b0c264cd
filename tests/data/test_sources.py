"""Folders, zips and arrays open as one kind of dataset; what cannot be used is refused by name, with a code."""

import gzip
import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansaku.data import sources
from gansaku.data.sources import layout, natural, open_data, prepare
from gansaku.data.store import Facts, open_store
from gansaku.errors import DataError, Stopped

SHARED = Path(__file__).parents[3] / "shared" / "data"
RNG = np.random.default_rng(0)


def picture(value, height=4, width=6, form="PNG"):
    """The bytes of a file, one flat colour; grey for a number."""
    shape = (height, width) if np.isscalar(value) else (height, width, 3)
    stream = io.BytesIO()
    Image.fromarray(np.broadcast_to(np.array(value, np.uint8), shape).copy()).save(stream, form)
    return stream.getvalue()


def folder_of(root, content):
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zip_of(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(params=["folder", "zip"])
def packed(request, tmp_path):
    """Make a source of {name: bytes}, once as a folder and once as a zip of it, and open it."""

    def opened(content, size=None, **options):
        source = folder_of(tmp_path / "d", content) if request.param == "folder" else zip_of(tmp_path / "d.zip", content)
        return open_data(str(source), size, cache=tmp_path / "cache", **options)

    return opened


@pytest.fixture
def opened(tmp_path):
    """Save an array, or several as an .npz, and open it."""

    def opening(array=None, size=None, name="d.npy", **arrays):
        path = tmp_path / (name if array is not None else "d.npz")
        np.savez(path, **arrays) if array is None else np.save(path, array)
        return open_data(str(path), size, cache=tmp_path / "cache")

    return opening


def everything(dataset):
    return dataset.rows(np.arange(sum(dataset.counts.values())))


def error_of(kind, call, *args, **options):
    with pytest.raises(kind) as caught:
        call(*args, **options)
    return caught.value


RED, BLUE = (255, 0, 0), (0, 0, 255)


class TestPictures:
    def test_come_in_natural_order_with_their_pixels(self, packed):
        dataset = packed({f"a{n}.png": picture((n, 0, 0)) for n in (10, 9, 100, 1)})
        assert everything(dataset)[:, 0, 0, 0].tolist() == [1, 9, 10, 100]
        assert dataset.facts == Facts("d", (3, 4, 6), 4, ())

    def test_class_folders_are_labels(self, packed):
        dataset = packed({"dog/a.png": picture(RED), "cat/b.png": picture(BLUE), "cat/deep/c.png": picture(BLUE)})
        assert dataset.classes == ("cat", "dog")
        assert dataset.labels.tolist() == [0, 0, 1]
        assert everything(dataset)[2, 0, 0].tolist() == list(RED)

    def test_train_and_test_folders_are_splits_and_training_comes_first(self, packed):
        content = {"val/cat/1.png": picture(RED), "train/cat/2.png": picture(BLUE), "train/dog/3.png": picture(BLUE)}
        dataset = packed(content | {"test/dog/4.png": picture(RED)})
        assert dataset.counts == {"train": 2, "test": 2}
        assert dataset.classes == ("cat", "dog")
        assert everything(dataset)[:, 0, 0, 2].tolist() == [255, 255, 0, 0]

    def test_all_grey_stays_grey(self, packed):
        dataset = packed({"a.png": picture(3), "b.png": picture(200)})
        assert dataset.shape == (1, 4, 6)
        assert everything(dataset)[:, 0, 0, 0].tolist() == [3, 200]

    def test_grey_among_colour_becomes_colour_and_is_counted(self, packed):
        dataset = packed({"a.png": picture(3), "b.png": picture(RED)})
        assert everything(dataset)[:, 0, 0].tolist() == [[3, 3, 3], [255, 0, 0]]
        assert dataset.report["converted"] == {"grey to colour": 1}

    def test_mixed_sizes_need_a_size(self, packed):
        content = {"a.png": picture(RED, 8, 6), "b.png": picture(BLUE, 30, 40), "c.png": picture(BLUE, 9, 9)}
        error = error_of(DataError, packed, content)
        assert error.code == "IMG_SIZES"
        assert "3 sizes, from 6x8 to 40x30" in str(error)
        assert "--size" in str(error)
        dataset = packed(content, size=8)
        assert dataset.shape == (3, 8, 8)
        assert everything(dataset)[:, 0, 0, 0].tolist() == [255, 0, 0]
        assert dataset.report["converted"] == {"enlarged": 1}

    def test_other_files_are_ignored_and_counted(self, packed):
        others = ["Thumbs.db", ".hidden.png", "._a.png", "__MACOSX/a.png", "readme.txt", "labels.xml", "noending"]
        dataset = packed({f"images/{name}": b"x" for name in others} | {"images/a.png": picture(RED)})
        assert (dataset.facts.count, dataset.classes) == (1, ())
        assert dataset.report["ignored"] == len(others)

    def test_bad_pictures_stop_beyond_the_share_that_is_allowed(self, packed):
        content = {f"{n}.png": picture(RED) for n in range(8)}
        content |= {"bad1.png": b"", "bad2.jpg": b"<html>404</html>"}
        error = error_of(Stopped, packed, content)
        assert error.exit_code == 4
        assert "2 of 10" in str(error)
        assert "bad1.png: is an empty file [IMG_EMPTY]" in str(error)
        assert "bad2.jpg: is a web page, as a failed download leaves it [IMG_NOT_IMAGE]" in str(error)
        dataset = packed(content, max_bad=0.2)
        assert dataset.facts.count == 8
        assert dataset.report["skipped"] == {"IMG_EMPTY": 1, "IMG_NOT_IMAGE": 1}
        assert error_of(Stopped, packed, content).exit_code == 4  # although it is in the cache now

    def test_a_picture_cut_short_in_its_pixels_is_bad(self, packed):
        noise = io.BytesIO()
        Image.fromarray(RNG.integers(256, size=(64, 64, 3), dtype=np.uint8)).save(noise, "JPEG")
        content = {"a.jpg": noise.getvalue()[:-300], "b.jpg": noise.getvalue()}
        assert "a.jpg: is cut short" in str(error_of(Stopped, packed, content))
        assert packed(content, max_bad=0.5).report["skipped"] == {"IMG_TRUNCATED": 1}
        error = error_of(Stopped, packed, {"a.jpg": content["a.jpg"], "b.jpg": content["a.jpg"]}, max_bad=1)
        assert "no training sample is left" in str(error)

    def test_a_format_that_is_never_opened_is_bad(self, packed):
        assert "a.svg: is a .svg file; convert it to PNG or JPEG [IMG_FORMAT]" in str(
            error_of(Stopped, packed, {"a.svg": b"<svg/>", "b.png": picture(RED)})
        )

    @pytest.mark.parametrize(("height", "width", "code"), [(90, 10, "IMG_ASPECT"), (3, 16, "IMG_TOO_SMALL")])
    def test_pictures_that_would_be_mostly_invented_are_bad(self, packed, height, width, code):
        content = {"a.png": picture(RED, height, width), "b.png": picture(RED, 16, 16)}
        assert packed(content, size=16, max_bad=0.5).report["skipped"] == {code: 1}

    def test_pictures_beside_class_folders_are_ambiguous(self, packed):
        error = error_of(DataError, packed, {"a.png": picture(RED), "cat/b.png": picture(RED)})
        assert error.code == "DATA_LAYOUT"
        assert "'a.png' and 'cat/b.png'" in str(error)

    def test_nothing_to_train_on_is_said(self, packed):
        error = error_of(DataError, packed, {"readme.txt": b"hello"})
        assert error.code == "DATA_EMPTY"
        assert "other files: 1" in str(error)

    def test_progress_ends_at_the_number_of_pictures(self, packed):
        calls = []
        packed({f"{n}.png": picture(RED) for n in range(5)}, progress=lambda *call: calls.append(call))
        assert calls[-1] == (5, 5)


@pytest.mark.parametrize(("names", "answer"), [
    (["a.png", "b.png"], [("train", "")] * 2),
    (["images/a.png", "images/b.png"], [("train", "")] * 2),
    (["top/Images/cat/a.png", "top/Images/dog/a.png"], [("train", "cat"), ("train", "dog")]),
    (["train/images/a.png", "test/images/a.png"], [("train", ""), ("test", "")]),
    (["top/Train/a.png", "top/valid/a.png"], [("train", ""), ("test", "")]),
    (["train/a.png", "extra/a.png"], [("train", "train"), ("train", "extra")]),
    (["test/a.png", "val/a.png"], [("train", "test"), ("train", "val")]),
    (["test/a.png"], [("train", "")]),
])  # fmt: skip
def test_layouts(names, answer):
    assert layout("here", names) == answer


def test_natural_order_goes_by_the_value_of_numbers():
    names = ["a1b2", "a1b10", "a02", "a2", "a" + "9" * 5000, "b", "\udcff"]
    mixed = [names[place] for place in (3, 0, 6, 2, 5, 1, 4)]
    assert sorted(mixed, key=natural) == names


class TestFolders:
    def test_links_are_followed_only_inside(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        folder_of(tmp_path / "other", {"secret.png": picture(BLUE)})
        (root / "same.png").symlink_to("a.png")
        (root / "out.png").symlink_to(tmp_path / "other" / "secret.png")
        (root / "loop").symlink_to(root)
        (root / "dead.png").symlink_to("nowhere.png")
        dataset = open_data(str(root), cache=tmp_path / "cache", max_bad=1)
        assert everything(dataset)[:, 0, 0].tolist() == [list(RED)] * 2
        assert dataset.report["skipped"] == {"LINK_OUTSIDE": 2, "UNREADABLE": 1}

    def test_a_pipe_is_never_opened(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        os.mkfifo(root / "b.png")
        assert "b.png: is a pipe" in str(error_of(Stopped, open_data, str(root), cache=tmp_path / "cache"))
        error = error_of(DataError, open_data, str(root / "b.png"), cache=tmp_path / "cache")
        assert error.code == "NOT_REGULAR"

    def test_names_that_are_no_utf8_work_and_print(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED), os.fsdecode(b"cat\xff.png"): b""})
        error = error_of(Stopped, open_data, str(root), cache=tmp_path / "cache")
        assert r"cat\udcff.png" in str(error).encode("utf-8").decode()
        dataset = open_data(str(root), cache=tmp_path / "cache", max_bad=0.5)
        assert r"cat\udcff.png" in dataset.report["examples"][0]


class TestCache:
    def test_a_second_call_only_opens(self, tmp_path, monkeypatch):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        first = open_data(str(root), cache=tmp_path / "cache")
        monkeypatch.setattr(sources, "write_pictures", pytest.fail)
        assert open_data(str(root), cache=tmp_path / "cache").path == first.path
        assert len(list((tmp_path / "cache").iterdir())) == 1

    @pytest.mark.parametrize("change", [
        lambda root: (root / "b.png").write_bytes(picture(BLUE)),
        lambda root: (root / "a.png").write_bytes(picture(BLUE)),
        lambda root: os.utime(root / "a.png", (1, 1)),
        lambda root: (root / "a.png").rename(root / "c.png"),
    ], ids=["more", "other", "newer", "renamed"])  # fmt: skip
    def test_a_changed_source_is_prepared_again(self, tmp_path, change):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        first = open_data(str(root), cache=tmp_path / "cache")
        change(root)
        assert open_data(str(root), cache=tmp_path / "cache").path != first.path

    def test_another_size_is_prepared_beside(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        shapes = [open_data(str(root), size, cache=tmp_path / "cache").shape for size in (None, 4, 8, None)]
        assert shapes == [(3, 4, 6), (3, 4, 4), (3, 8, 8), (3, 4, 6)]

    def test_a_damaged_cache_is_prepared_again(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        path = open_data(str(root), cache=tmp_path / "cache").path
        path.write_bytes(path.read_bytes()[:-9])
        assert everything(open_data(str(root), cache=tmp_path / "cache")).shape == (1, 4, 6, 3)

    def test_the_folder_comes_from_the_environment(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GANSAKU_CACHE", str(tmp_path / "mine"))
        assert sources.cache_folder() == tmp_path / "mine"
        monkeypatch.delenv("GANSAKU_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert sources.cache_folder() == tmp_path / "gansaku"

    def test_what_a_killed_preparation_left_is_swept_after_a_day(self, tmp_path):
        for name, age in ((".part-1-old", 200_000), (".part-2-new", 0)):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (os.stat(tmp_path).st_mtime - age,) * 2)
        sources.sweep_old(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".part-2-new"]


def one_entry(path, **changes):
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(changes.pop("name", "a.png"))
        for field, value in changes.items():
            setattr(info, field, value)
        archive.writestr(info, picture(RED))
    return path


class TestZips:
    @pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/a.png", "C:/a.png", "..\\a.png"])
    def test_unsafe_paths_are_refused(self, tmp_path, name):
        error = error_of(DataError, open_data, str(one_entry(tmp_path / "d.zip", name=name)), cache=tmp_path / "cache")
        assert error.code == "ZIP_UNSAFE_PATH"

    def test_a_zip_cut_short_is_refused(self, tmp_path):
        path = one_entry(tmp_path / "d.zip")
        for content in (path.read_bytes()[:-10], b""):
            path.write_bytes(content)
            error = error_of(DataError, open_data, str(path), cache=tmp_path / "cache")
            assert error.code == "ZIP_CORRUPT"
            assert "d.zip" in str(error)

    def test_an_encrypted_zip_is_refused(self, tmp_path):
        path = one_entry(tmp_path / "d.zip")
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
        path.write_bytes(content)
        assert error_of(DataError, open_data, str(path), cache=tmp_path / "cache").code == "ZIP_ENCRYPTED"

    def test_a_bomb_is_refused_before_it_is_unpacked(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.bmp", bytes(5_000_000))
        assert error_of(DataError, open_data, str(tmp_path / "d.zip"), cache=tmp_path / "cache").code == "ZIP_BOMB"

    def test_a_link_in_a_zip_is_not_followed(self, tmp_path):
        path = one_entry(tmp_path / "d.zip", external_attr=(stat.S_IFLNK | 0o777) << 16)
        assert "LINK_OUTSIDE" in str(error_of(Stopped, open_data, str(path), cache=tmp_path / "cache"))

    def test_a_damaged_entry_is_bad(self, tmp_path):
        path = zip_of(tmp_path / "d.zip", {"a.png": picture(RED, 40, 40), "b.png": picture(BLUE, 40, 40)})
        content = bytearray(path.read_bytes())
        crc = content.index(b"PK\x01\x02") + 16
        content[crc : crc + 4] = struct.pack("<I", 123)
        path.write_bytes(content)
        dataset = open_data(str(path), cache=tmp_path / "cache", max_bad=0.5)
        assert sum(dataset.report["skipped"].values()) == 1
        assert "a.png" in dataset.report["examples"][0]

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_of_two_entries_of_a_name_the_last_counts(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.writestr("a.png", picture(RED))
            archive.writestr("a.png", picture(BLUE))
        dataset = open_data(str(tmp_path / "d.zip"), cache=tmp_path / "cache")
        assert everything(dataset)[:, 0, 0].tolist() == [list(BLUE)]
        assert dataset.report["converted"] == {"entries of a name used twice: the last taken": 1}

    def test_nothing_is_extracted(self, tmp_path):
        open_data(str(one_entry(tmp_path / "d.zip")), cache=tmp_path / "cache")
        assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".h5", ".zip"]


COLOUR = RNG.integers(256, size=(6, 5, 7, 3), dtype=np.uint8)
SOLID = RNG.integers(2, size=(6, 4, 4, 4)).astype(np.uint8)


class TestArrays:
    @pytest.mark.parametrize("change", [
        lambda x: x,
        lambda x: x.transpose(0, 3, 1, 2),
        lambda x: (x / 255).astype(np.float32),
        lambda x: x / 127.5 - 1,
        lambda x: x.astype(np.float32),
        lambda x: x.astype(np.int64),
        lambda x: np.asfortranarray(x),
    ], ids=["NHWC", "NCHW", "0..1", "-1..1", "float 0..255", "int64", "fortran"])  # fmt: skip
    def test_pictures_in_any_order_and_range_are_the_same(self, opened, change):
        dataset = opened(change(COLOUR))
        assert dataset.shape == (3, 5, 7)
        assert np.array_equal(everything(dataset), COLOUR)

    def test_three_axes_are_grey(self, opened):
        dataset = opened(COLOUR[..., 0])
        assert np.array_equal(everything(dataset), COLOUR[..., :1])

    def test_bits_are_black_and_white(self, opened):
        assert np.array_equal(everything(opened(COLOUR[..., 0] > 99))[..., 0], (COLOUR[..., 0] > 99) * np.uint8(255))

    def test_four_channels_are_composited_on_white(self, opened):
        clear = np.concatenate([COLOUR, np.zeros((6, 5, 7, 1), np.uint8)], -1)
        clear[0, ..., 3] = 255
        dataset = opened(clear)
        assert np.array_equal(everything(dataset)[0], COLOUR[0])
        assert (everything(dataset)[1:] == 255).all()

    def test_pictures_are_resized(self, opened):
        assert opened(COLOUR, size=4).shape == (3, 4, 4)

    @pytest.mark.parametrize("change", [
        lambda x: x,
        lambda x: x[:, None],
        lambda x: x[..., None],
        lambda x: x.astype(bool),
        lambda x: x.astype(np.float64),
        lambda x: x.reshape(6, 2, 4, 8),
    ], ids=["NDHW", "N1DHW", "NDHW1", "bool", "float", "unequal sides"])  # fmt: skip
    def test_voxels_are_known_by_their_rule(self, opened, change):
        given = change(SOLID)
        dataset = opened(given)
        assert dataset.voxels
        assert np.array_equal(everything(dataset).squeeze(-1), given.reshape(6, *dataset.shape[1:]))

    def test_pictures_of_few_values_are_no_voxels(self, opened):
        assert opened(np.zeros((2, 5, 5, 3), bool)).shape == (3, 5, 5)

    def test_blank_voxels_are_left_out_and_counted(self, opened):
        given = SOLID.copy()
        given[0], given[4] = 0, 1
        dataset = opened(given)
        assert np.array_equal(everything(dataset)[..., 0], SOLID[[1, 2, 3, 5]])
        assert dataset.report["skipped"] == {"VOX_BLANK": 2}
        assert dataset.report["examples"][0].startswith("row 0: is blank")

    def test_only_blank_voxels_stop(self, opened):
        assert "row 0: is blank" in str(error_of(Stopped, opened, np.zeros((2, 4, 4, 4), bool)))

    def test_voxels_grow_by_whole_factors_only(self, opened):
        dataset = opened(SOLID, size=8)
        assert np.array_equal(everything(dataset)[:, ::2, 1::2, ::2, 0], SOLID)
        assert dataset.shape == (1, 8, 8, 8)
        error = error_of(DataError, opened, SOLID, size=6)
        assert error.code == "VOX_SIZE"
        assert "4, 8" in str(error)

    def test_npz_holds_labels_names_and_columns(self, opened):
        names = np.array(["red", "green", "blue"])
        dataset = opened(x=COLOUR, y=np.array([0, 1, 1, 0, 2, 2]), y_names=names, hat=np.arange(6), hat_names=names,
                         other=np.zeros(5))  # fmt: skip
        assert dataset.classes == ("red", "green", "blue")
        assert dataset.labels.tolist() == [0, 1, 1, 0, 2, 2]
        assert {name: column.tolist() for name, column in dataset.columns.items()} == {"hat": [0, 1, 2, 3, 4, 5]}
        assert dataset.report["column_names"] == {"hat": ["red", "green", "blue"]}

    @pytest.mark.parametrize("name", ["x", "data", "images", "arr_0", "faces"])
    def test_npz_samples_go_by_known_names_or_stand_alone(self, opened, name):
        assert np.array_equal(everything(opened(**{name: COLOUR})), COLOUR)

    def test_labels_without_names_are_named_by_their_values(self, opened):
        dataset = opened(x=COLOUR, labels=np.array([7, 7, 3, 3, 7, 10])[:, None])
        assert dataset.classes == ("3", "7", "10")
        assert dataset.labels.tolist() == [1, 1, 0, 0, 1, 2]
        assert opened(x=COLOUR, labels=np.array(list("bbabba"))).classes == ("a", "b")
        assert opened(x=COLOUR, labels=np.zeros(6, int)).classes == ()

    def test_x_train_and_x_test_are_splits(self, opened):
        dataset = opened(x_train=COLOUR[:4], y_train=[0, 1, 2, 0], x_test=COLOUR[4:], y_test=[3, 3])
        assert dataset.counts == {"train": 4, "test": 2}
        assert np.array_equal(everything(dataset), COLOUR)
        assert dataset.labels.tolist() == [0, 1, 2, 0, 3, 3]
        assert dataset.columns == {}

    def test_npy_gz_is_unpacked_on_the_way(self, tmp_path):
        with gzip.open(tmp_path / "d.npy.gz", "wb") as file:
            np.save(file, SOLID)
        assert np.array_equal(everything(open_data(str(tmp_path / "d.npy.gz"), cache=tmp_path / "c"))[..., 0], SOLID)

    def test_large_arrays_pass_in_pieces(self, opened, monkeypatch):
        monkeypatch.setattr(sources, "AT_ONCE", 250)  # two pictures
        assert np.array_equal(everything(opened(COLOUR)), COLOUR)
        assert np.array_equal(everything(opened(np.asfortranarray(COLOUR), name="e.npy")), COLOUR)

    @pytest.mark.parametrize(("array", "code"), [
        (COLOUR * 2.5, "IMG_RANGE"),
        (COLOUR.astype(int) + 1, "IMG_RANGE"),
        (COLOUR + 0.5 - (COLOUR > 200), "IMG_RANGE"),
        (np.full((2, 4, 4), np.nan), "IMG_NONFINITE"),
        (SOLID[:, None] * 2, "VOX_VALUE"),
        (np.zeros((2, 5, 6, 7), np.uint8) + 9, "NPY_SHAPE"),
        (np.zeros((2, 5), np.uint8), "NPY_SHAPE"),
        (np.zeros((0, 5, 5), np.uint8), "DATA_EMPTY"),
        (np.array([["a"]])[None], "NPY_TYPE"),
        (np.array([[[None]]]), "NPY_OBJECT"),
    ], ids=["beyond 255", "256", "fractions", "nan", "voxels of 2", "no channels", "flat", "none", "text",
            "objects"])  # fmt: skip
    def test_what_is_neither_pictures_nor_voxels_is_refused(self, opened, array, code):
        error = error_of(DataError, opened, array)
        assert error.code == code
        assert "d.npy" in str(error)

    @pytest.mark.parametrize(("arrays", "code"), [
        ({"a": COLOUR, "b": COLOUR}, "NPY_NAMES"),
        ({"x": COLOUR, "y": np.zeros(5)}, "LABELS"),
        ({"x": COLOUR, "y": np.full(6, 0.5)}, "LABELS"),
        ({"x": COLOUR, "y": np.full(6, 2), "y_names": np.array(["a", "b"])}, "LABELS"),
        ({"x_train": COLOUR, "x_test": COLOUR[:, :4]}, "NPY_SHAPE"),
    ])  # fmt: skip
    def test_an_npz_that_does_not_fit_together_is_refused(self, opened, arrays, code):
        error = error_of(DataError, opened, **arrays)
        assert error.code == code
        assert "d.npz" in str(error)

    @pytest.mark.parametrize(("name", "save"), [("d.npy", np.save), ("d.npz", lambda f, x: np.savez_compressed(f, x=x))])
    @pytest.mark.parametrize("keep", [0, 20, 400, -1])
    def test_an_array_cut_short_is_refused(self, tmp_path, name, save, keep):
        with (tmp_path / name).open("wb") as file:
            save(file, COLOUR)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
        error = error_of(DataError, open_data, str(tmp_path / name), cache=tmp_path / "cache")
        assert error.code in ("NPY_CORRUPT", "NPY_SHORT")
        assert name in str(error)

    def test_a_header_that_promises_terabytes_is_refused_without_memory(self, tmp_path):
        with (tmp_path / "d.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 30, 64, 64)})
        assert error_of(DataError, open_data, str(tmp_path / "d.npy"), cache=tmp_path / "c").code == "NPY_SHORT"


class TestTheDoor:
    def test_a_source_that_is_not_there_is_said_with_the_nearest_word(self, tmp_path):
        error = error_of(DataError, open_data, "avatar", cache=tmp_path)
        assert error.code == "DATA_MISSING"
        assert "did you mean 'avatars'?" in str(error)

    @pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.7z", "a.rar", "a.png", "a"])
    def test_types_that_are_not_supported_are_named(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"x")
        error = error_of(DataError, open_data, str(tmp_path / name), cache=tmp_path)
        assert error.code == "DATA_TYPE"
        assert name in str(error)

    def test_a_store_is_opened_where_it_is(self, tmp_path):
        source = folder_of(tmp_path / "d", {"a.png": picture(RED, 4, 4)})
        prepared = prepare(str(source), tmp_path / "d.h5")
        assert open_data(str(tmp_path / "d.h5"), 4, cache=tmp_path / "none").path == prepared.path == tmp_path / "d.h5"
        assert not (tmp_path / "none").exists()
        error = error_of(DataError, open_data, str(tmp_path / "d.h5"), 8)
        assert error.code == "DATA_SIZE"
        assert "prepared at 4x4, not 8" in str(error)
        assert error_of(DataError, prepare, str(tmp_path / "d.h5"), tmp_path / "e.h5").code == "DATA_TYPE"

    def test_a_preparation_that_fails_leaves_nothing(self, tmp_path):
        error_of(DataError, prepare, str(folder_of(tmp_path / "d", {"a.txt": b""})), tmp_path / "d.h5")
        assert [path.name for path in tmp_path.iterdir()] == ["d"]

    def test_avatars_are_nine_thousand_and_a_thousand_with_hair_as_class(self, tmp_path):
        dataset = open_data("avatars", cache=tmp_path)
        assert (dataset.shape, dataset.counts) == ((3, 32, 32), {"train": 9000, "test": 1000})
        assert len(dataset.classes) == 11
        assert sorted(dataset.columns) == ["glasses", "skin"]
        assert open_store(dataset.path).source == "avatars"

    def test_chairs_are_voxels(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sources, "CHAIRS", 3)
        dataset = open_data("chairs", 16, cache=tmp_path)
        assert (dataset.shape, dataset.counts, dataset.voxels) == ((1, 16, 16, 16), {"train": 3}, True)


def shared(name):
    if not (SHARED / name).is_file():
        pytest.skip(f"{SHARED / name} is missing; it is not shipped")
    return str(SHARED / name)


def test_the_genuine_chairs_lose_only_their_blank_number_0(tmp_path):
    dataset = open_data(shared("chairs_32.npy.gz"), cache=tmp_path)
    assert dataset.facts.shape == (1, 32, 32, 32)
    assert dataset.facts.count == 889
    assert dataset.report["examples"] == ["row 0: is blank: all empty or all full [VOX_BLANK]"]


def test_dogs_in_the_layout_of_stanford_have_six_breeds(tmp_path):
    dataset = open_data(shared("dogs_stanford_layout.zip"), cache=tmp_path)
    assert (dataset.facts.count, len(dataset.classes), dataset.report["ignored"]) == (3000, 6, 3000)
