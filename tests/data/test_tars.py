"""Tar shards are one tree, read in place: every member's own bytes, its label and its split; what may do harm is refused."""

import gzip
import io
import json
import os
import random
import re
import struct
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from making import BLUE, RED, error_of, picture

from gansaku.data.layouts import places
from gansaku.data.tally import Bad, Tally
from gansaku.data.tars import LARGEST_HEADER, in_tar, in_tar_gz, pax
from gansaku.errors import DataError, GansakuError

FILES = {"cat/0001.png": picture(RED), "cat/0010.png": picture(BLUE), "dog/0002.png": bytes(512), "dog/empty.txt": b""}


def tar_of(path, files, form=tarfile.GNU_FORMAT):
    """A tar of files by name; a TarInfo in place of bytes is added as it is."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in files.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            info.size = 0 if data is info else len(data)
            archive.addfile(info, None if data is info else io.BytesIO(data))
    return path


def special(kind, target=""):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def block(name, size=0, kind=b"0", magic=b"ustar\000"):
    """One header as it is in the file, with a right checksum."""
    length = size if isinstance(size, bytes) else b"%011o" % size
    fields = (name.encode(), b"644", b"0", b"0", length, b"0", b" " * 8, kind, b"", magic, b"")
    content = struct.pack("100s8s8s8s12s12s8s1s100s8s247s", *fields)
    return content[:148] + b"%06o\0 " % sum(content) + content[156:]


def raw(path, *parts, end=bytes(1024)):
    path.write_bytes(b"".join(parts) + end)
    return path


def read(paths, tally=None):
    with in_tar(paths if isinstance(paths, list) else [paths], tally or Tally(source="data.tar")) as tree:
        content = {}
        for name in tree.names:
            with tree.entry(name).open() as stream:
                content[name] = stream.read()
            assert tree.entry(name).size == len(content[name])
        return content, tree


class TestContent:
    @pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_every_member_has_its_own_bytes(self, tmp_path, form):
        content, tree = read(tar_of(tmp_path / "d.tar", FILES, form))
        assert content == FILES
        assert tree.names == ["cat/0001.png", "cat/0010.png", "dog/0002.png", "dog/empty.txt"]

    @pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    @pytest.mark.parametrize(
        "name", ["a" * 99, "b" * 150 + ".png", "c/" * 150 + "d.png", "猫/ガ.png", "x\udcff.png", "a\nb\x1b.png"]
    )
    def test_names_of_any_length_and_letters_stay(self, tmp_path, form, name):
        content, _ = read(tar_of(tmp_path / "d.tar", {name: b"1", "after": b"2"}, form))
        assert content == {name: b"1", "after": b"2"}

    def test_a_dot_before_the_names_counts_for_nothing_and_folders_are_known(self, tmp_path):
        content, tree = read(tar_of(tmp_path / "d.tar", {".": special(tarfile.DIRTYPE), "./cat": special(tarfile.DIRTYPE),
                                                          "./cat/a.png": b"1"}))  # fmt: skip
        assert content == {"cat/a.png": b"1"}
        assert "cat" in tree.folders

    def test_threads_read_different_members_at_once(self, tmp_path):
        files = {f"{i:04d}.bin": random.Random(i).randbytes(3000 + i) for i in range(200)}
        with in_tar([tar_of(tmp_path / "d.tar", files)], Tally()) as tree, ThreadPoolExecutor(8) as pool:
            read_all = pool.map(lambda name: tree.entry(name).open().read(), list(files) * 3)
            assert list(read_all) == list(files.values()) * 3

    def test_a_part_can_be_sought_like_a_file(self, tmp_path):
        with in_tar([tar_of(tmp_path / "d.tar", {"a": b"zz", "b": b"0123456789", "c": b"zz"})], Tally()) as tree:
            stream = tree.entry("b").open()
            assert (stream.seek(-3, os.SEEK_END), stream.read()) == (7, b"789")
            assert (stream.seek(2), stream.read(3), stream.tell()) == (2, b"234", 5)
            assert (stream.seek(99), stream.read()) == (99, b"")

    def test_a_name_twice_is_warned_of_and_the_last_counts(self, tmp_path):
        tally = Tally()
        path = tar_of(tmp_path / "d.tar", {"a.png": b"first"})
        with tarfile.open(path, "a") as archive:
            info = tarfile.TarInfo("a.png")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"last"))
        assert read(path, tally)[0] == {"a.png": b"last"}
        assert tally.warned == {"TAR_TWICE": 1}


class TestShards:
    def test_shards_are_one_tree_and_only_names_that_clash_carry_their_shard(self, tmp_path):
        first = tar_of(tmp_path / "s-0.tar", {"k/1.png": b"a", "k/2.png": b"b", "k/1.cls": b"5"})
        second = tar_of(tmp_path / "s-1.tar", {"k/1.png": b"c", "k/3.png": b"d", "k/1.cls": b"6"})
        content, tree = read([first, second])
        assert content == {"k/s-0-1.png": b"a", "k/2.png": b"b", "k/s-0-1.cls": b"5",
                           "k/s-1-1.png": b"c", "k/3.png": b"d", "k/s-1-1.cls": b"6"}  # fmt: skip
        assert tree.labels == {"k/s-0-1.png": "5", "k/s-1-1.png": "6"}

    def test_shards_of_one_name_are_told_apart(self, tmp_path):
        paths = []
        for place in ("a", "b"):
            (tmp_path / place).mkdir()
            paths.append(tar_of(tmp_path / place / "s.tar", {"1.png": place.encode()}))
        assert read(paths)[0] == {"s-0-1.png": b"a", "s-1-1.png": b"b"}

    @pytest.mark.parametrize(("shards", "expected"), [
        (["train-0000", "train-0001", "test-0000"], ["train/0.png", "train/1.png", "test/2.png"]),
        (["imagenet-train-00", "imagenet-val-00"], ["train/0.png", "test/1.png"]),
        (["train-00", "more-00"], ["train/0.png", "train/1.png"]),
        (["test-00"], ["0.png"]),
        (["latest-00", "strain-01"], ["0.png", "1.png"]),
    ])  # fmt: skip
    def test_a_split_in_the_name_of_a_shard_is_a_folder(self, tmp_path, shards, expected):
        paths = [tar_of(tmp_path / f"{stem}.tar", {f"{i}.png": b""}) for i, stem in enumerate(shards)]
        content, tree = read(paths)
        assert [*content] == sorted(expected, key=lambda name: name.split("/"))
        splits = {name: place.split for name, place in zip(tree.names, places("", tree.names, tree), strict=True)}
        assert splits == {name: "test" if name.startswith("test") else "train" for name in expected}

    @pytest.mark.parametrize(("side", "label"), [
        ({"cls": b"7"}, "7"),
        ({"cls": b" 007\n"}, "7"),
        ({"cls": "猫".encode()}, "猫"),
        ({"json": b'{"label": 3, "text": "a cat on a mat"}'}, "3"),
        ({"json": b'{"class": "dog"}'}, "dog"),
        ({"json": b'{"text": "12"}'}, "12"),
        ({"cls": b"1", "json": b'{"label": 2}'}, "1"),
        ({"json": b'{"text": "a cat on a mat"}'}, None),
        ({"json": b'{"label": -1}'}, None),
        ({"json": b'{"label": true}'}, None),
        ({"json": b"[1, 2]"}, None),
        ({"txt": b"7"}, None),
    ])  # fmt: skip
    def test_the_class_is_in_the_cls_or_the_json_of_the_same_key(self, tmp_path, side, label):
        files = {"a/01.png": b"x", "a/01.seg.png": b"y", "a/02.png": b"z"} | {f"a/01.{end}": data for end, data in side.items()}
        assert read(tar_of(tmp_path / "d.tar", files))[1].labels == (
            {"a/01.png": label, "a/01.seg.png": label} | ({"a/01.txt": label} if "txt" in side else {}) if label else {}
        )

    @pytest.mark.parametrize("side", [
        {"cls": b""}, {"cls": b"\xff"}, {"cls": b"1\n2"}, {"cls": bytes(100_000)}, {"json": b"{"}, {"json": b"[" * 60_000},
        {"json": b'{"label": ' + b"9" * 5000 + b"}"},
    ], ids=lambda side: str(side)[:30])  # fmt: skip
    def test_a_label_that_cannot_be_read_is_warned_of(self, tmp_path, side):
        tally = Tally()
        files = {"01.png": b"x"} | {f"01.{end}": data for end, data in side.items()}
        assert read(tar_of(tmp_path / "d.tar", files), tally)[1].labels == {}
        assert tally.warned == {"LABEL_FILE": 1}


class TestHostile:
    @pytest.mark.parametrize(("name", "info"), [
        ("../x.png", b""), ("a/../../x.png", b""), ("/etc/x.png", b""), ("C:x.png", b""), ("x/..", b""), ("a\0/../b", b""),
        ("x.png", special(tarfile.SYMTYPE, "/etc/passwd")), ("x.png", special(tarfile.LNKTYPE, "a.png")),
        ("x.png", special(tarfile.CHRTYPE)), ("x.png", special(tarfile.BLKTYPE)), ("x.png", special(tarfile.FIFOTYPE)),
    ], ids=range(11))  # fmt: skip
    def test_what_leads_out_or_is_no_file_is_refused(self, tmp_path, name, info):
        given = tar_of(tmp_path / "d.tar", {"a.png": b"1", name: info}, tarfile.PAX_FORMAT)
        if "\0" in name:  # the library would end the name there
            given = raw(given, extended(b"path", b"a\0/../b"), block("x"))
        error = error_of(DataError, read, given)
        assert error.code == "TAR_UNSAFE_PATH"

    def test_a_sparse_file_is_skipped_not_read_as_it_lies(self, tmp_path):
        old = block("a.png", 512, b"S", b"ustar  \0") + bytes(512)
        new = extended(b"GNU.sparse.major", b"1") + block("b.png", 512) + bytes(512)
        path = raw(tmp_path / "d.tar", old, new, block("c.png", 1), b"1" + bytes(511))
        with in_tar([path], Tally()) as tree:
            for name in ("a.png", "b.png"):
                assert error_of(Bad, tree.entry, name).code == "TAR_SPARSE"
            assert tree.entry("c.png").open().read() == b"1"

    @pytest.mark.parametrize("parts", [
        [block("a.png", 1 << 33)],
        [block("a.png", b"\x80" + b"\0" * 3 + b"\x7f" * 8)],
        [block("a.png", b"\xff" * 12)],
        [block("a.png", b"\xff" * 11 + b"\0")],
        [block("x", LARGEST_HEADER + 1, b"L", b"ustar  \0"), bytes(LARGEST_HEADER + 1)],
        [block("x", 1 << 33, b"L", b"ustar  \0")],
        [block("x", 1 << 33, b"x")],
        [block("x", 20, b"x"), b"9999999 path=a\n".ljust(512, b"\0"), block("a")],
        [block("x", 20, b"x"), b"0 path=a\n".ljust(512, b"\0"), block("a")],
        [block("x", 20, b"x"), b"no record at all    ".ljust(512, b"\0"), block("a")],
        [block("a.png", 100), b"cut"],
        [block("a.png"), block("b.png")[:300]],
        [block("a.png"), b"\1" * 512],
        [b"\1" * 512],
        [b"text in place of an archive"],
    ], ids=range(15))  # fmt: skip
    def test_a_damaged_archive_is_refused_without_the_memory_it_claims(self, tmp_path, parts):
        error = error_of(DataError, read, raw(tmp_path / "d.tar", *parts, end=b""))
        assert error.code == "TAR_CORRUPT"
        assert ".zip" in str(error)

    def test_an_empty_archive_is_refused(self, tmp_path):
        for content in (b"", bytes(10240)):
            assert error_of(DataError, read, raw(tmp_path / "d.tar", content, end=b"")).code == "TAR_CORRUPT"

    @pytest.mark.parametrize(("end", "code"), [(b"", "TAR_END"), (bytes(1024) + block("b"), "TAR_MORE")])
    def test_an_end_that_is_none_is_warned_of(self, tmp_path, end, code):
        tally = Tally()
        assert read(raw(tmp_path / "d.tar", block("a"), end=end), tally)[0] == {"a": b""}
        assert tally.warned == {code: 1}

    def test_many_extended_headers_are_walked_not_recursed_into(self, tmp_path):
        path = raw(tmp_path / "d.tar", *[extended(b"comment", b"x")] * 5000, block("a.png"))
        assert read(path)[0] == {"a.png": b""}

    def test_digits_without_end_take_no_time(self, tmp_path):
        digits = b"1" * LARGEST_HEADER
        path = raw(tmp_path / "d.tar", *[block("x", len(digits), b"x") + digits] * 20, block("a.png"))
        assert error_of(DataError, read, path).code == "TAR_CORRUPT"

    @pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
    def test_a_compressed_tar_is_to_be_unpacked(self, tmp_path, mode):
        with tarfile.open(tmp_path / "d.tar", mode) as archive:
            archive.addfile(tarfile.TarInfo("a.png"))
        error = error_of(DataError, read, tmp_path / "d.tar")
        assert error.code == "DATA_TYPE"
        assert "unpack" in str(error)

    def test_any_byte_changed_gives_a_tree_or_a_sentence(self, tmp_path):
        path = tar_of(tmp_path / "d.tar", {**FILES, "e" * 150: b"1", "0003.json": json.dumps({"label": 1}).encode()})
        given, dice = path.read_bytes().rstrip(b"\0") + bytes(1024), random.Random(0)
        ends = set()
        for _ in range(300):
            changed = bytearray(given)
            for _ in range(dice.randint(1, 4)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            path.write_bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.2 else changed)
            try:
                ends.add(len(read(path)[0]))
            except (GansakuError, Bad) as error:
                ends.add(error.code)
        assert {6, "TAR_CORRUPT"} <= ends


def extended(key, value):
    """A pax header that holds for the next member."""
    length = len(key) + len(value) + 3
    while len(str(length)) + len(key) + len(value) + 3 != length:
        length = len(str(length)) + len(key) + len(value) + 3
    record = str(length).encode() + b" " + key + b"=" + value + b"\n"
    return block("PaxHeader", len(record), b"x") + record + bytes(-len(record) % 512)


def test_pax_records_are_read_as_the_library_writes_them():
    info = tarfile.TarInfo("猫" * 50)
    content = info.create_pax_header(info.get_info(), "utf-8")
    assert pax(content[512:-512].rstrip(b"\0")) == {b"path": ("猫" * 50).encode()}


class TestTarGz:
    @pytest.mark.parametrize("files", [FILES, {f"{i}.bin": b"" for i in range(40)} | {"train.bin": b""}], ids=["few", "many"])
    def test_any_other_than_cifars_own_is_to_be_unpacked(self, tmp_path, files):
        tar = tar_of(tmp_path / "d.tar", files).read_bytes()
        (tmp_path / "d.tar.gz").write_bytes(gzip.compress(tar))
        with pytest.raises(DataError, match="unpack") as caught, in_tar_gz(tmp_path / "d.tar.gz", Tally(source="d.tar.gz")):
            pass
        assert caught.value.code == "DATA_TYPE"

    @pytest.mark.parametrize(("content", "code"), [
        (gzip.compress(block("train.bin", 1 << 33)), "DATA_TYPE"),
        (gzip.compress(block("train.bin", 3074) + bytes(100)), "TAR_CORRUPT"),
        (gzip.compress(block("train.bin", 3074) + bytes(3074))[:-20], "TAR_CORRUPT"),
        (gzip.compress(block("../train.bin", 0)), "TAR_UNSAFE_PATH"),
        (gzip.compress(b"no tar"), "TAR_CORRUPT"),
        (b"no gzip", "TAR_CORRUPT"),
        (b"", "TAR_CORRUPT"),
    ], ids=range(7))  # fmt: skip
    def test_a_damaged_one_is_refused(self, tmp_path, content, code):
        (tmp_path / "d.tar.gz").write_bytes(content)
        with pytest.raises(DataError) as caught, in_tar_gz(tmp_path / "d.tar.gz", Tally(source="d.tar.gz")):
            pass
        assert caught.value.code == code
        assert re.match(r"d\.tar\.gz: ", str(caught.value))
