"""Of a folder or zip only safe files are taken, in natural order; the folders they lie in are classes and splits."""

import os
import stat
import struct
import zipfile

import pytest
from making import BLUE, RED, error_of, everything, folder_of, picture, zip_of

from gansaku.data.folders import layout, natural
from gansaku.data.sources import open_data
from gansaku.errors import DataError, Stopped


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
