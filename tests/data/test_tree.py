"""Of a folder or zip only safe files are taken, in natural order."""

import os
import stat
import struct
import unicodedata
import zipfile

import pytest
from making import BLUE, RED, error_of, everything, folder_of, picture, zip_of

from gansaku.data import tree
from gansaku.data.sources import open_data
from gansaku.data.tree import natural
from gansaku.errors import DataError, Stopped


def test_natural_order_goes_by_the_value_of_numbers():
    names = ["a", "a1b2", "a1b10", "a02", "a2", "a" + "9" * 5000, "b", "\udcff"]
    mixed = [names[place] for place in (4, 1, 7, 0, 3, 6, 2, 5)]
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
        assert dataset.report["skipped"] == {"LINK_OUTSIDE": 1, "LINK_BROKEN": 1}
        assert dataset.report["warned"]["LINK_LOOP"] == 1

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
        assert dataset.report["warned"] == {"ZIP_TWICE": 1}

    def test_nothing_is_extracted(self, tmp_path):
        open_data(str(one_entry(tmp_path / "d.zip")), cache=tmp_path / "cache")
        assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".h5", ".zip"]

    def test_many_small_entries_that_unpack_to_far_more_are_a_bomb_too(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(30):
                archive.writestr(f"{number}.bmp", bytes(3_000_000))
        assert error_of(DataError, open_data, str(tmp_path / "d.zip"), cache=tmp_path / "cache").code == "ZIP_BOMB"

    def test_a_list_of_entries_that_is_too_long_is_not_read(self, tmp_path, monkeypatch):
        path = zip_of(tmp_path / "d.zip", {f"{number}.png": picture(RED) for number in range(11)})
        monkeypatch.setattr(tree, "MOST_ENTRIES", 10)
        monkeypatch.setattr(zipfile, "ZipFile", pytest.fail)
        error = error_of(DataError, open_data, str(path), cache=tmp_path / "cache")
        assert error.code == "ZIP_ENTRIES"
        assert "11 entries" in str(error)

    @pytest.mark.parametrize("encoding", ["cp932", "utf-8"])
    def test_names_without_a_stated_encoding_are_read_as_utf8_or_shift_jis(self, tmp_path, encoding):
        path = zip_of(tmp_path / "d.zip", {"aXXXXXX.png": picture(RED)})
        name = "ガ犬".encode(encoding).ljust(6, b"_")[:6]
        path.write_bytes(path.read_bytes().replace(b"XXXXXX", name))
        dataset = open_data(str(path), cache=tmp_path / "cache")
        assert dataset.names[0].startswith("aガ犬")
        assert dataset.report["warned"] == {"NAME_ENCODING": 1}


def test_names_that_clash_on_other_systems_are_warned_of(tmp_path):
    composed, apart = unicodedata.normalize("NFC", "ガ"), unicodedata.normalize("NFD", "ガ")
    content = {f"{composed}.png": RED, f"{apart}.png": BLUE, "A.png": RED, "a.png": BLUE}
    dataset = open_data(str(zip_of(tmp_path / "d.zip", {name: picture(value) for name, value in content.items()})),
                        cache=tmp_path / "cache")  # fmt: skip
    assert dataset.facts.count == 4
    assert {code: dataset.report["warned"][code] for code in ("NAME_FORM", "NAME_CASE")} == {"NAME_FORM": 2, "NAME_CASE": 2}


def test_an_entry_without_a_name_is_refused(tmp_path):
    path = zip_of(tmp_path / "d.zip", {"a.png": picture(RED)})
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    path.write_bytes(content[: start + 28] + b"\0\0" + content[start + 30 : start + 46] + content[start + 51 :])
    path.write_bytes(path.read_bytes()[:-10] + struct.pack("<I", 46) + path.read_bytes()[-6:])
    assert error_of(DataError, open_data, str(path), cache=tmp_path / "cache").code == "ZIP_CORRUPT"
