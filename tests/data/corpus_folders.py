"""F45 to F72: names, folders and archives."""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from corpus import Case
from corpus_pictures import SIDE, beside_good, encoded, flat, good, zeros

SIZE = {"size": SIDE}
PICTURE = encoded(flat((120, 60, 20)))


def case(number: int, what: str, build: Callable[[Path], Path], kind: str, code: str = "", **more: Any) -> Case:
    more.setdefault("choices", SIZE)
    return Case(f"F{number}", what, build, kind, code, **more)


def put(source: Path, names: dict[str, bytes] | list[str]) -> Path:
    """These files below a folder; only names are pictures of different colours."""
    content = names if isinstance(names, dict) else {name: encoded(flat(10 * i + 5)) for i, name in enumerate(names)}
    for name, data in content.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return source


def tree(*names: str, empty: str = "") -> Callable[[Path], Path]:
    """A folder of pictures by these names, and an empty folder."""

    def build(folder: Path) -> Path:
        if empty:
            (folder / "source" / empty).mkdir(parents=True)
        return put(folder / "source", list(names))

    return build


def one(name: str, content: bytes = b"") -> Callable[[Path], Path]:
    """The source is this one file."""

    def build(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return build


def with_(make: Callable[[Path], None]) -> Callable[[Path], Path]:
    """Good pictures, and what is done to their folder."""

    def build(folder: Path) -> Path:
        source = good(folder)
        make(source)
        return source

    return build


def empty(folder: Path) -> Path:
    (folder / "source").mkdir()
    return folder / "source"


@contextmanager
def denied(name: str) -> Iterator[None]:
    """As if it may not be read: a superuser, who runs tests in containers, may read everything."""
    allowed, listing = Path.open, os.scandir

    def opened(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == name:
            raise PermissionError(13, "Permission denied", str(self))
        return allowed(self, *arguments, **named)

    def listed(path: Any = ".") -> Any:
        if os.path.basename(os.fspath(path)) == name:
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    with mock.patch.object(Path, "open", opened), mock.patch.object(os, "scandir", listed):
        yield


@contextmanager
def after_its_header(name: str, then: Callable[[str], None]) -> Iterator[None]:
    """Something befalls a picture once its header was read."""
    from gansaku.data import pictures

    header, done = pictures.header, set[str]()

    def watching(stream: Any) -> Any:
        found, path = header(stream), str(getattr(stream, "name", ""))
        if path.endswith(name) and path not in done:
            done.add(path)
            then(path)
        return found

    with mock.patch.object(pictures, "header", watching):
        yield


def emptied(path: str) -> None:
    with open(path, "wb"):
        pass


def deep(source: Path) -> None:
    """A picture below folders whose path is longer than any system call takes."""
    descriptor = os.open(source, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=descriptor)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    file = os.open("bad.png", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor)
    os.write(file, PICTURE)
    os.close(file)
    os.close(descriptor)


def long_name(source: Path) -> None:
    (source / f"{'n' * 251}.png").write_bytes(PICTURE)


def outside(source: Path) -> None:
    (source.parent / "secret.png").write_bytes(PICTURE)
    (source / "bad.png").symlink_to("../secret.png")


def nowhere(source: Path) -> None:
    (source / "bad.png").symlink_to("gone.png")


def link_to_itself(source: Path) -> None:
    (source / "bad.png").symlink_to("bad.png")


def link_to_above(source: Path) -> None:
    (source / "loop").symlink_to(".")


def listening(source: Path) -> None:
    """A socket; its path must be short, so it is made from where it lies."""
    before = os.getcwd()
    os.chdir(source)
    try:
        with socket.socket(socket.AF_UNIX) as one_end:
            one_end.bind("bad.png")
    finally:
        os.chdir(before)


# Zips


def zipped(
    files: dict[str, bytes], *, packed: bool = False, change: Callable[[bytes], bytes] = bytes
) -> Callable[[Path], Path]:
    """Good pictures and these entries in a zip, whose bytes are then changed."""

    def build(folder: Path) -> Path:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
            for i in range(3):
                archive.writestr(f"good_{i}.png", encoded(flat(40 * i)))
            for name, data in files.items():
                archive.writestr(name, data)
        (folder / "source.zip").write_bytes(change(stream.getvalue()))
        return folder / "source.zip"

    return build


def zip_of(content: Callable[[], bytes]) -> Callable[[Path], Path]:
    """A zip of these bytes, made when it is needed."""
    return lambda folder: one("source.zip", content())(folder)


def linked_zip(folder: Path) -> Path:
    """A zip with a symbolic link to a file of the system."""
    path = zipped({})(folder)
    info = zipfile.ZipInfo("bad.png")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/hostname")
    return path


class Packed(NamedTuple):
    """An entry: its name, its deflated content, and what is said of the size and checksum of that."""

    name: bytes
    content: bytes
    size: int
    crc: int


def by_hand(entries: list[Packed], in_one_place: bool = False) -> bytes:
    """A zip of these, or one whose directory leads each of them to the content of the first."""
    body, directory = b"", b""
    for i, (name, content, size, crc) in enumerate(entries):
        place = 0 if in_one_place else len(body)
        numbers = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, crc, len(content), size, len(name), 0)
        if i == 0 or not in_one_place:
            body += b"PK\3\4" + numbers + name + content
        directory += b"PK\1\2" + struct.pack("<H", 20) + numbers + struct.pack("<HHHII", 0, 0, 0, 0, place) + name
    end = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def deflated(count: int) -> bytes:
    """So many zeros as zip has them: without zlib's header and checksum."""
    return zeros(count)[2:-4]


def overlapping() -> bytes:
    """A thousand entries of 1 MB each, all in the same kilobyte (Fifield 2019)."""
    content, crc = deflated(1 << 20), zlib.crc32(bytes(1 << 20))
    return by_hand([Packed(b"%04d.png" % i, content, 1 << 20, crc) for i in range(1000)], in_one_place=True)


def huge(said: int) -> bytes:
    """Good pictures, and an entry that unpacks to 200 MB and is said to have so many bytes."""
    return by_hand([Packed(b"bad.png", deflated(200_000_000), said, 0), *map(stored, range(3))])


def stored(number: int) -> Packed:
    content, pack = encoded(flat(40 * number)), zlib.compressobj(9, zlib.DEFLATED, -15)
    return Packed(b"good_%d.png" % number, pack.compress(content) + pack.flush(), len(content), zlib.crc32(content))


def nested() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.png", bytes(1 << 20))
    return stream.getvalue()


def encrypted(content: bytes) -> bytes:
    """With the bit set that says so, in all local and central headers."""
    changed = bytearray(content)
    for mark, bit in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(mark)
        while at >= 0:
            changed[at + bit] |= 1
            at = content.find(mark, at + 4)
    return bytes(changed)


def renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    assert len(old) == len(new)
    return lambda content: content.replace(old, new)


def wrong_byte(content: bytes) -> bytes:
    """A changed byte in the last entry's content, so that its checksum is wrong."""
    at = content.rindex(b"IDAT") + 6
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def twice(folder: Path) -> Path:
    path = zipped({})(folder)
    with zipfile.ZipFile(path, "a") as archive:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr("good_1.png", PICTURE)
    return path


def claiming(count: int) -> Callable[[bytes], bytes]:
    """A directory that says to have so many entries, in zip64's form."""

    def change(content: bytes) -> bytes:
        at = content.rindex(b"PK\5\6")
        length, start = struct.unpack("<II", content[at + 12 : at + 20])
        wide = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, length, start)
        locator = b"PK\6\7" + struct.pack("<IQI", 0, at, 1)
        end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        return content[:at] + wide + locator + end

    return change


# Tars


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[Path], Path]:
    """Good pictures and these members in an uncompressed tar."""

    def build(folder: Path) -> Path:
        with tarfile.open(folder / "source.tar", "w") as archive:
            for i in range(3):
                archive.addfile(*member(f"good_{i}.png", encoded(flat(40 * i))))
            for info, content in members:
                archive.addfile(info, io.BytesIO(content))
        return folder / "source.tar"

    return build


def member(name: str, content: bytes = PICTURE, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, Any]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(content) if not link else io.BytesIO()


def tar_with(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Path], Path]:
    info, _ = member(name, PICTURE, kind, link)
    return tarred((info, PICTURE if kind == tarfile.REGTYPE else b""))


def cut_tar(folder: Path) -> Path:
    path = tarred()(folder)
    path.write_bytes(path.read_bytes()[:1200])
    return path


def has(**wanted: Any) -> Callable[[Any], None]:
    """Classes, counts or names as they must be."""

    def holds(dataset: Any) -> None:
        for name, value in wanted.items():
            found = sorted(dataset.names) if name == "names" else getattr(dataset, name)
            assert found == value, f"{name}: {found}"

    return holds


def repetitions_are_left_out(dataset: Any) -> None:
    assert list(dataset.report["converted"].values()) == [2]
    assert dataset.counts == {"train": 4}


HOSTILE = ("new\nline.png", "\x1b[31mred.png", "\u202egnp.png", "tab\there.png", "smile\U0001f600.png", "bell\a.png")
ESCAPED = ("new\\nline.png", "\\x1b[31mred.png", "\\u202egnp.png", "tab\\there.png", "bell\\x07.png")
COMPOSED, APART = "\u30ac.png", "\u30ab\u3099.png"
CORRUPT, UNSAFE = "ZIP_CORRUPT", "ZIP_UNSAFE_PATH"
CASES = [
    case(45, "a path that is not there", lambda folder: folder / "nowhere", "E", "DATA_MISSING"),
    case(45, "a path of 5,000 characters", lambda folder: folder / ("p" * 5000), "E", "DATA_MISSING"),
    case(45, "one picture", one("only.png", PICTURE), "E", "DATA_TYPE", says="give the folder"),
    case(45, "a file of another type", one("notes.txt", b"text"), "E", "DATA_TYPE"),
    case(45, "a folder that may not be listed", good, "E", "DATA_DENIED", while_=partial(denied, "source")),
    case(46, "an empty folder", empty, "E", "DATA_EMPTY"),
    case(
        46, "a folder without pictures", lambda folder: put(folder / "source", {"a.txt": b"", "b.md": b""}), "E", "DATA_EMPTY"
    ),
    case(
        47,
        "an empty class",
        tree("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", empty="bird"),
        "W",
        "CLASS_EMPTY",
        names=("bird",),
        holds=has(classes=("cat", "dog")),
    ),
    case(
        47,
        "an empty class that is kept",
        tree("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", empty="bird"),
        "W",
        "CLASS_EMPTY",
        choices={**SIZE, "keep_empty": True},
        holds=has(classes=("bird", "cat", "dog")),
    ),
    case(
        48,
        "one class where classes are needed",
        tree("cat/1.png", "cat/2.png"),
        "E",
        "DATA_CLASSES",
        choices={**SIZE, "conditional": True},
    ),
    case(49, "a class of one", tree("cat/1.png", "cat/2.png", "dog/1.png"), "W", "CLASS_TINY", names=("dog",)),
    case(50, "pictures beside class folders", tree("1.png", "cat/2.png", "dog/3.png"), "E", "DATA_LAYOUT", says="--layout"),
    case(
        50,
        "the same said to be flat",
        tree("1.png", "cat/2.png", "dog/3.png"),
        "ok",
        choices={**SIZE, "layout": "flat"},
        holds=has(classes=(), counts={"train": 3}),
    ),
    case(
        51,
        "folders within class folders",
        tree("cat/a/1.png", "cat/b/2.png", "dog/a/3.png", "dog/4.png"),
        "W",
        "DATA_NESTED",
        holds=has(classes=("cat", "dog")),
    ),
    case(52, "a name that is no UTF-8", tree("a\udcff.png", "b.png"), "ok", holds=has(names=["a\udcff.png", "b.png"])),
    case(
        52,
        "a bad file of such a name",
        partial(beside_good, files={"\udcff.png": b""}),
        "S",
        "IMG_EMPTY",
        names=("\\udcff.png",),
    ),
    case(53, "names that a terminal would obey", tree(*HOSTILE), "ok", holds=has(names=sorted(HOSTILE))),
    case(
        53,
        "bad files of such names",
        partial(beside_good, files=dict.fromkeys(HOSTILE[:3], b"")),
        "S",
        "IMG_EMPTY",
        bad=3,
        names=ESCAPED[:3],
    ),
    case(
        54,
        "two ways to compose an accent",
        tree(COMPOSED, APART),
        "W",
        "NAME_FORM",
        bad=2,
        holds=has(names=sorted((APART, COMPOSED))),
    ),
    case(
        55, "names that differ in capitals", tree("Cat.png", "cat.png"), "W", "NAME_CASE", bad=2, holds=has(counts={"train": 2})
    ),
    case(56, "a name of 255 bytes", with_(long_name), "ok", holds=has(counts={"train": 4})),
    case(56, "a path of 5,000 bytes", with_(deep), "S", "UNREADABLE", says="File name too long"),
    case(57, "a link to the outside", with_(outside), "S", "LINK_OUTSIDE", names=("bad.png",)),
    case(57, "a link to nothing", with_(nowhere), "S", "LINK_BROKEN", names=("bad.png",)),
    case(58, "a link to itself", with_(link_to_itself), "S", "LINK_BROKEN", names=("bad.png",)),
    case(
        58,
        "a link to the folder above",
        with_(link_to_above),
        "W",
        "LINK_LOOP",
        names=("loop",),
        holds=has(counts={"train": 3}),
    ),
    case(59, "a pipe", with_(lambda source: os.mkfifo(source / "bad.png")), "S", "NOT_REGULAR", names=("bad.png",)),
    case(59, "a socket", with_(listening), "S", "NOT_REGULAR", names=("bad.png",)),
    case(59, "a link to a device", with_(lambda source: (source / "bad.png").symlink_to("/dev/zero")), "S", "LINK_OUTSIDE"),
    case(
        60,
        "a file that may not be read",
        partial(beside_good, files={"bad.png": PICTURE}),
        "S",
        "UNREADABLE",
        names=("bad.png",),
        while_=partial(denied, "bad.png"),
    ),
    case(
        61,
        "a file that vanishes meanwhile",
        partial(beside_good, files={"bad.png": PICTURE}),
        "S",
        "UNREADABLE",
        names=("bad.png",),
        while_=partial(after_its_header, "bad.png", os.unlink),
    ),
    case(
        61,
        "a file that is emptied meanwhile",
        partial(beside_good, files={"bad.png": PICTURE}),
        "S",
        "IMG_EMPTY",
        names=("bad.png",),
        while_=partial(after_its_header, "bad.png", emptied),
    ),
    case(
        62,
        "the same picture three times",
        partial(beside_good, files=dict.fromkeys(("a.png", "b.png", "c.png"), PICTURE)),
        "W",
        "DUPLICATE",
        bad=2,
        holds=has(counts={"train": 6}),
    ),
    case(
        62,
        "the same, left out",
        partial(beside_good, files=dict.fromkeys(("a.png", "b.png", "c.png"), PICTURE)),
        "C",
        choices={**SIZE, "dedupe": True},
        holds=repetitions_are_left_out,
    ),
    *[
        case(63, f"a zip with {name}", zipped({name: PICTURE}), "E", UNSAFE)
        for name in ("../../slip.png", "/slip.png", "C:/slip.png", "a/../../slip.png")
    ],
    case(63, "a zip with ..\\slip.png", zipped({"..@slip.png": PICTURE}, change=renamed(b"..@slip", b"..\\slip")), "E", UNSAFE),
    case(64, "a zip with a link", linked_zip, "S", "LINK_OUTSIDE", names=("bad.png",)),
    case(65, "an entry that unpacks to 200 MB", zip_of(partial(huge, 200_000_000)), "E", "ZIP_BOMB"),
    case(65, "a thousand entries in one place", zip_of(overlapping), "E", "ZIP_BOMB"),
    case(65, "an entry that says to be small", zip_of(partial(huge, 100)), "S", "ZIP_ENTRY", names=("bad.png",)),
    case(65, "a zip in a zip", zipped({"inner.zip": nested()}), "ok", holds=has(counts={"train": 3})),
    case(66, "a zip cut short", zipped({}, change=lambda content: content[: len(content) // 2]), "E", CORRUPT),
    case(
        66, "a zip without its directory", zipped({}, change=lambda content: content[: content.index(b"PK\1\2")]), "E", CORRUPT
    ),
    case(66, "a zip of zero bytes", one("source.zip"), "E", CORRUPT),
    case(66, "text called zip", one("source.zip", b"text" * 99), "E", CORRUPT),
    case(
        67,
        "an entry of a wrong checksum",
        zipped({"bad.png": PICTURE}, change=wrong_byte),
        "S",
        "ZIP_ENTRY",
        names=("bad.png",),
    ),
    case(68, "an encrypted zip", zipped({}, change=encrypted), "E", "ZIP_ENCRYPTED"),
    case(69, "an entry twice", twice, "W", "ZIP_TWICE", names=("good_1.png",), holds=has(counts={"train": 3})),
    case(
        70,
        "a name in Shift-JIS",
        zipped({"AAAA.png": PICTURE}, change=renamed(b"AAAA.png", "画像.png".encode("cp932"))),
        "W",
        "NAME_ENCODING",
        names=("画像.png",),
        holds=has(names=["good_0.png", "good_1.png", "good_2.png", "画像.png"]),
    ),
    case(71, "a directory of five million", zipped({}, change=claiming(5_000_000)), "E", "ZIP_ENTRIES"),
    case(71, "a directory of 10^18", zipped({}, change=claiming(10**18)), "E", "ZIP_ENTRIES"),
    case(
        71, "a directory that says 10 where there are 3", zipped({}, change=claiming(10)), "ok", holds=has(counts={"train": 3})
    ),
    case(72, "a 7z", one("source.7z", b"7z\xbc\xaf\x27\x1c" + bytes(40)), "E", "DATA_TYPE", says=".zip"),
    case(72, "a rar", one("source.rar", b"Rar!\x1a\x07\1\0" + bytes(40)), "E", "DATA_TYPE", says=".zip"),
    case(72, "a tar.gz", one("source.tar.gz", b"\x1f\x8b\x08" + bytes(40)), "E", "TAR_CORRUPT"),
    case(72, "a tar", tarred(), "ok", holds=has(counts={"train": 3})),
    case(72, "a tar with ..", tar_with("../slip.png"), "E", "TAR_UNSAFE_PATH"),
    case(72, "a tar with an absolute name", tar_with("/slip.png"), "E", "TAR_UNSAFE_PATH"),
    case(72, "a tar with a link", tar_with("bad.png", tarfile.SYMTYPE, "/etc/hostname"), "E", "TAR_UNSAFE_PATH"),
    case(72, "a tar with a hard link", tar_with("bad.png", tarfile.LNKTYPE, "../../etc/hostname"), "E", "TAR_UNSAFE_PATH"),
    case(72, "a tar with a device", tar_with("bad.png", tarfile.CHRTYPE), "E", "TAR_UNSAFE_PATH"),
    case(72, "a tar cut short", cut_tar, "E", "TAR_CORRUPT"),
]
