"""Tar archives as trees of files, read in place: the shards of WebDataset, and the one that CIFAR is published in.

The standard library reads each header block; walking from one to the next is done here, since its own walk takes a damaged
header for the end of the archive and believes in the sizes that extended headers claim. Nothing is extracted.

A sample's files share their name up to the first dot: `0001.jpg`, `0001.cls`, `0001.json`. Shards are one tree: where
several hold the same name, the shard's name goes before the file's (not as a folder, which would mean a class).
`train-0000.tar`, `imagenet-val-07.tar`: a split in the name of a shard becomes the folder of its files.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from gansaku.data import originals
from gansaku.data.layouts import SPLIT_OF
from gansaku.data.tally import Bad, Damaged, Tally
from gansaku.data.tree import MOST_ENTRIES, Entry, Tree, natural
from gansaku.errors import DataError

BLOCK = tarfile.BLOCKSIZE
LARGEST_HEADER = 1 << 16  # bytes of an extended header: a name, and what macOS adds
LARGEST_LABEL = 1 << 16  # bytes of a .cls or .json
LARGEST_UNPACKED = 400 << 20  # bytes of a .tar.gz, which is held in memory; CIFAR has 185 MB
STRANGE = 16  # files of a .tar.gz that belong to no original set, beside them
PACKED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}
FORMS = "an uncompressed .tar, a .zip or a folder"
FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
LONG_NAME, LONG_LINK, PAX, GLOBAL = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE
LINKS = {tarfile.LNKTYPE: "a hard link", tarfile.SYMTYPE: "a link", tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device",
         tarfile.FIFOTYPE: "a pipe"}  # fmt: skip


class Member(NamedTuple):
    """A file or folder in an archive: where its bytes are. A sparse file lies there in another form."""

    name: str
    start: int
    size: int
    kind: bytes
    sparse: bool = False


@contextmanager
def in_tar(paths: Sequence[Path], tally: Tally) -> Iterator[Tree]:
    """The tree of one archive, or of several shards as one. Raises DataError for an archive that may do harm."""
    shards: list[tuple[Path, list[Member]]] = []
    left = MOST_ENTRIES
    for path in paths:
        shards.append((path, shard(path, left, tally)))
        left -= len(shards[-1][1])
    places: dict[str, tuple[Path, Member]] = {}
    folders, labels = list[str](), dict[str, str]()
    for (path, members), renamed in zip(shards, names_in(shards), strict=True):
        folders += [name for member, name in zip(members, renamed, strict=True) if member.kind == tarfile.DIRTYPE]
        found = {member.name: member for member in members if member.kind != tarfile.DIRTYPE}
        stated = labels_of(path, found, tally)
        for member, name in zip(members, renamed, strict=True):
            if member.kind == tarfile.DIRTYPE:
                continue
            if name in places:
                tally.warn(name, "is there twice; the last one was taken", "TAR_TWICE")
            places[name] = (path, member)
            if member.name in stated:
                labels[name] = stated[member.name]

    def entry(name: str) -> Entry:
        path, member = places[name]
        if member.sparse:
            raise Bad("is a sparse file, which lies in pieces in the archive; pack it again without --sparse", "TAR_SPARSE")
        return Entry(name, member.size, 0, partial(part, path, member))

    yield Tree(sorted(places, key=natural), entry, folders, labels)


def shard(path: Path, most: int, tally: Tally) -> list[Member]:
    """The members of an archive. Raises DataError when it is damaged, compressed, too long, or leads out of its folder."""
    source = str(path)
    found: list[Member] = []
    try:
        with path.open("rb") as file:
            for member in members(file, path.stat().st_size, path.name, tally):
                found.append(safe(member, source))
                if len(found) > most:
                    raise DataError(source, f"has more entries than the {MOST_ENTRIES:,} that are read; prepare it in parts",
                                    "TAR_ENTRIES")  # fmt: skip
    except (tarfile.TarError, *Damaged) as error:
        if not found and (kind := packed_by(path)):
            raise DataError(source, f"is compressed by {kind}, so nothing in it can be reached at once; unpack it and give "
                            f"{FORMS}", "DATA_TYPE") from error  # fmt: skip
        raise DataError(source, f"is no tar archive, or damaged ({error}); download it again, or give {FORMS}",
                        "TAR_CORRUPT") from error  # fmt: skip
    return found


def packed_by(path: Path) -> str:
    """What compressed a file, by its first bytes; "" if nothing known did."""
    with suppress(OSError), path.open("rb") as file:
        return PACKED.get(file.read(2), "")
    return ""


def members(file: IO[bytes], size: int | None, where: str, tally: Tally) -> Iterator[Member]:
    """The members of an archive of `size` bytes, None if unknown, in order. Raises tarfile.TarError when it is damaged.

    Whoever takes a member finds the file at its first byte and may read it; the file is only sought forward.
    """
    at, long_name, attributes = 0, "", dict[bytes, bytes]()
    while True:
        file.seek(at)
        block = file.read(BLOCK)
        if not block.strip(b"\0"):
            if not at:
                raise tarfile.ReadError("it is empty")
            if len(block) < BLOCK:
                tally.warn(where, "does not end with an empty block as an archive does; it may be cut short", "TAR_END")
            elif (file.read(BLOCK) + file.read(LARGEST_HEADER)).strip(b"\0"):
                tally.warn(where, "goes on after its end; what follows was left out", "TAR_MORE")
            return
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        start, end = at + BLOCK, at + BLOCK + -(-info.size // BLOCK) * BLOCK
        if info.size < 0 or (size is not None and start + info.size > size):
            raise tarfile.ReadError(f"{info.name!r} is cut short")
        at = end
        if size is None and start > LARGEST_UNPACKED:
            raise tarfile.ReadError(f"it unpacks to more than {LARGEST_UNPACKED:,} bytes")
        if info.type in (LONG_NAME, LONG_LINK, PAX, GLOBAL):
            if info.size > LARGEST_HEADER:
                raise tarfile.ReadError(f"an extended header of {info.size:,} bytes; at most {LARGEST_HEADER:,} are read")
            content = file.read(info.size)
            if info.type == LONG_NAME:
                long_name = text(content.rstrip(b"\0"))
            elif info.type == PAX:
                attributes = pax(content)
            continue
        name = text(attributes[b"path"]) if b"path" in attributes else long_name or info.name
        sparse = info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith(b"GNU.sparse") for key in attributes)
        length = info.size
        if b"size" in attributes:  # beyond 8 GB
            length = int(attributes[b"size"])
            at = start + -(-length // BLOCK) * BLOCK
            if length < 0 or (size is not None and start + length > size):
                raise tarfile.ReadError(f"{name!r} is cut short")
        kind = tarfile.DIRTYPE if name.endswith("/") and info.type in FILES else info.type
        file.seek(start)
        yield Member(name, start, length, kind, sparse)
        long_name, attributes = "", {}


def pax(content: bytes) -> dict[bytes, bytes]:
    """The records `<length> <key>=<value>\\n` of an extended header. Raises tarfile.ReadError."""
    found, at = dict[bytes, bytes](), 0
    while content[at : at + 1].strip(b"\0"):
        match = re.compile(rb"([1-9]\d{0,6}) ").match(content, at)
        record = content[match.end() : at + int(match[1])] if match else b""
        if match is None or not record.endswith(b"\n") or b"=" not in record:
            raise tarfile.ReadError("an extended header that is no list of records")
        key, _, value = record[:-1].partition(b"=")
        found[key] = value
        at += int(match[1])
    return found


def text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def safe(member: Member, source: str) -> Member:
    """The member with a plain name. Raises DataError for what is no file, or would lie outside of the folder."""
    if member.kind in LINKS:
        raise DataError(source, f"has the entry {member.name!r}, {LINKS[member.kind]}, which is not followed; pack the files "
                        "themselves (tar --dereference --hard-dereference)", "TAR_UNSAFE_PATH")  # fmt: skip
    name = member.name.removeprefix("./").rstrip("/")
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise DataError(source, f"has the entry {member.name!r}, which leads out of the folder; pack it again without",
                        "TAR_UNSAFE_PATH")  # fmt: skip
    return member._replace(name=name)


def names_in(shards: Sequence[tuple[Path, Sequence[Member]]]) -> list[list[str]]:
    """The name in the tree of each member of each shard."""
    splits = [split_of(path) for path, _ in shards]
    if "train" not in splits:  # a lone test split is all there is
        splits = [""] * len(shards)
    else:
        splits = [split or "train" for split in splits]
    inner = [
        [f"{split}/{member.name}" if split else member.name for member in members]
        for split, (_, members) in zip(splits, shards, strict=True)
    ]
    files = [{name for name, member in zip(names, m, strict=True) if member.kind != tarfile.DIRTYPE}
             for names, (_, m) in zip(inner, shards, strict=True)]  # fmt: skip
    times = Counter(name for names in files for name in names)
    stems = Counter(path.stem for path, _ in shards)
    marks = [path.stem if stems[path.stem] == 1 else f"{path.stem}-{number}" for number, (path, _) in enumerate(shards)]
    return [
        [
            str(PurePosixPath(name).with_name(f"{mark}-{PurePosixPath(name).name}")) if times[name] > 1 else name
            for name in names
        ]
        for mark, names in zip(marks, inner, strict=True)
    ]


def split_of(path: Path) -> str:
    """train, test, or "" for a shard whose name says neither."""
    found = {SPLIT_OF[word] for word in re.split(r"[^a-z]+", path.stem.lower()) if word in SPLIT_OF}
    return found.pop() if len(found) == 1 else ""


def part(path: Path, member: Member) -> IO[bytes]:
    """The bytes of a member, read from the archive as they are asked for."""
    return io.BufferedReader(Part(path, member.start, member.size))


class Part(io.RawIOBase):
    """Some bytes of a file as a file of their own, with a descriptor of its own, so that threads do not meet."""

    def __init__(self, path: Path, start: int, size: int):
        self.file, self.start, self.size, self.at = path.open("rb", buffering=0), start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence])
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self.size - self.at))
        self.file.seek(self.start + self.at)
        content = self.file.read(wanted) or b""
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)

    def close(self) -> None:
        self.file.close()
        super().close()


def labels_of(path: Path, found: Mapping[str, Member], tally: Tally) -> dict[str, str]:
    """The class of each file by the .cls, else the .json, of the same key."""
    keyed: dict[str, dict[str, Member]] = {}
    for name, member in found.items():
        key, ending = parted(name)
        if ending in ("cls", "json"):
            keyed.setdefault(key, {})[ending] = member
    labels: dict[str, str] = {}
    for key, sides in keyed.items():
        for ending, reader in (("cls", word), ("json", word_in_json)):
            if ending in sides and key not in labels:
                member = sides[ending]
                try:
                    with part(path, member) as stream:
                        label = reader(stream.read(LARGEST_LABEL) if member.size <= LARGEST_LABEL else b"")
                except (OSError, ValueError, RecursionError) as error:
                    tally.warn(member.name, f"cannot be read as a label ({error})", "LABEL_FILE")
                else:
                    labels |= {key: label} if label else {}
    return {
        name: labels[key] for name in found if (key := parted(name)[0]) in labels and parted(name)[1] not in ("cls", "json")
    }


def parted(name: str) -> tuple[str, str]:
    """The key of a sample and what its file is: `a/0001.seg.png` -> `a/0001`, `seg.png`."""
    folder, slash, file = name.rpartition("/")
    key, _, ending = file.partition(".")
    return f"{folder}{slash}{key}", ending.lower()


def word(content: bytes) -> str:
    """The class that a .cls states: one line, a number or a name. Raises ValueError."""
    label = content.decode().strip()
    if not label or len(label) > 200 or "\n" in label:
        raise ValueError("it is no single word or number")
    return str(int(label)) if re.fullmatch(r"\d{1,9}", label) else label


def word_in_json(content: bytes) -> str:
    """The `label` or `class` of a JSON object, or its `text` if that is a number; "" if it has none. Raises ValueError."""
    found = json.loads(content)
    for key in ("label", "class", "text"):
        value = found.get(key) if isinstance(found, dict) else None
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 0  # -1: none, as test sets have
        if number or (isinstance(value, str) and (key != "text" or re.fullmatch(r"\d{1,9}", value))):
            return word(str(value).encode())
    return ""


@contextmanager
def in_tar_gz(path: Path, tally: Tally) -> Iterator[Tree]:
    """The tree of CIFAR's own archive, its files held in memory. Raises DataError for any other, which is to be unpacked."""
    other = DataError(tally.source, "is a compressed tar, in which nothing can be reached at once, and not CIFAR's own; unpack "
                      f"it and give {FORMS}", "DATA_TYPE")  # fmt: skip
    contents: dict[str, bytes] = {}
    strange = 0
    try:
        with gzip.GzipFile(path) as file:
            for member in members(cast(IO[bytes], file), None, path.name, tally):
                strange += not originals.known(PurePosixPath(member.name).name)
                if strange > STRANGE or member.start + member.size > LARGEST_UNPACKED:
                    raise other
                if member.kind in FILES and originals.known(PurePosixPath(member.name).name):
                    content = file.read(member.size)
                    if len(content) < member.size:
                        raise tarfile.ReadError(f"{member.name!r} is cut short")
                    contents[safe(member, tally.source).name] = content
    except (tarfile.TarError, *Damaged) as error:
        raise DataError(tally.source, f"is no .tar.gz, or damaged ({error}); download it again", "TAR_CORRUPT") from error
    if not contents:
        raise other

    def entry(name: str) -> Entry:
        return Entry(name, len(contents[name]), 0, lambda: io.BytesIO(contents[name]))

    yield Tree(sorted(contents, key=natural), entry)
