"""Folders and archives as trees of files: what lies in them, in what order, and which files are safe to open.

Nothing is ever extracted to the disk by its name, no link to the outside is followed, and no pipe or device is opened.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from gansaku.data.tally import Account, Bad, Damaged, Tally, unreadable
from gansaku.errors import DataError

BOMB = (1 << 22, 100)  # an entry, or an archive, larger than this that packs better than this is a bomb
MOST_ENTRIES = 1_000_000
LARGEST_DIRECTORY = 1 << 28  # bytes of a zip's list of entries
LARGEST_SIDE_FILE = 1 << 26  # bytes of a list or an annotation


class Entry(NamedTuple):
    """A file that is safe to open: its name within the source, with "/", and how to read it."""

    name: str
    size: int
    changed: int  # nanoseconds; 0 in an archive, whose own time counts
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Tree:
    """All that lies in a source: names with "/", in natural order. `entry(name)` checks one and raises Bad or OSError."""

    names: Sequence[str]
    entry: Callable[[str], Entry]
    folders: Sequence[str] = ()  # every folder, also those that hold nothing
    labels: Mapping[str, str] = field(default_factory=dict)  # classes that an archive states for some of the names
    classes: Sequence[str] = ()  # these in the order of their numbers, where it has one

    def below(self, folder: str) -> Tree:
        """The tree in one of its folders, with names from there."""
        start = f"{folder.rstrip('/')}/"
        names = [name.removeprefix(start) for name in self.names if name.startswith(start)]
        folders = [name.removeprefix(start) for name in self.folders if name.startswith(start)]

        def entry(name: str) -> Entry:
            return self.entry(start + name)._replace(name=name)

        labels = {name.removeprefix(start): label for name, label in self.labels.items() if name.startswith(start)}
        return Tree(names, entry, folders, labels, self.classes)


def side_file(entry: Entry) -> bytes:
    """The content of a list or an annotation. Raises Bad when it is too large or cannot be read."""
    try:
        if entry.size > LARGEST_SIDE_FILE:
            raise Bad(f"is a file of {entry.size:,} bytes; at most {LARGEST_SIDE_FILE:,} are read", "FILE_LARGE")
        with entry.open() as stream:
            return stream.read(LARGEST_SIDE_FILE)
    except Damaged as error:
        raise unreadable(error) from error


def in_folder(root: Path, tally: Account) -> Tree:
    """The files below a folder. No link to the outside is followed. Raises DataError when it cannot be listed."""
    inside, folders = root.resolve(), list[str]()
    names = sorted(names_below(root, inside, folders, tally), key=natural)
    return Tree(names, partial(file_entry, root, inside), sorted(folders, key=natural))


def names_below(root: Path, inside: Path, folders: list[str], tally: Account) -> Iterator[str]:
    """All that lies below a folder and is no folder; folders are added to the list."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            found = [(item, item.is_dir(follow_symlinks=False)) for item in os.scandir(root / below)]
        except OSError as error:
            if not below:
                raise DataError(str(root), f"cannot be listed: {error.strerror}", "DATA_DENIED") from error
            tally.skip(below, Bad(f"is a folder that cannot be listed: {error.strerror}", "UNREADABLE"))
            continue
        for item, is_folder in found:
            name = f"{below}{item.name}"
            if is_folder:
                waiting.append(f"{name}/")
                folders.append(name)
            elif item.is_symlink() and os.path.isdir(item):
                if Path(item).resolve().is_relative_to(inside):
                    tally.warn(name, "is a link to a folder in this one and was not followed; what is there is taken there",
                               "LINK_LOOP")  # fmt: skip
                else:
                    tally.skip(name, Bad("is a link to a folder, which is not followed; give that folder", "LINK_OUTSIDE"))
            else:
                yield name


def file_entry(root: Path, inside: Path, name: str) -> Entry:
    """A file that is safe to open. Raises Bad for links to the outside, pipes and devices."""
    path = root / name
    try:
        outside = path.is_symlink() and not path.resolve(strict=True).is_relative_to(inside)
    except (OSError, RuntimeError) as error:
        raise Bad("is a link that leads to nothing, or to itself; remove it", "LINK_BROKEN") from error
    if outside:
        raise Bad("is a link to a file outside the folder; copy that file here", "LINK_OUTSIDE")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Bad("is a pipe, device or socket, not a file", "NOT_REGULAR")
    return Entry(name, status.st_size, status.st_mtime_ns, lambda: path.open("rb"))


def of_file(path: Path) -> Tree:
    """One file alone, as a picture that holds many faces is."""
    return Tree([path.name], partial(file_entry, path.parent, path.parent.resolve()))


@contextmanager
def in_zip(path: Path, tally: Tally) -> Iterator[Tree]:
    """The tree of a zip, readable while the context lasts. Raises DataError for an archive that may do harm."""
    try:
        check_directory(path, tally.source)
        archive = zipfile.ZipFile(path)
    except Damaged as error:
        raise DataError(tally.source, f"is no zip file, or cut short ({error}); download it again", "ZIP_CORRUPT") from error
    with archive:
        infos, folders = dict[str, zipfile.ZipInfo](), list[str]()
        check_bomb(archive, path, tally.source)
        for info in archive.infolist():
            name = proper_name(info, tally)
            if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
                raise DataError(tally.source, f"has the entry {name!r}, which leads out of the folder; pack it again without",
                                "ZIP_UNSAFE_PATH")  # fmt: skip
            if not name:
                raise DataError(tally.source, "has an entry without a name; pack it again", "ZIP_CORRUPT")
            if name.endswith("/"):
                folders.append(name.rstrip("/"))
                continue
            if name in infos:
                tally.warn(name, "is there twice in the zip; the last one was taken", "ZIP_TWICE")
            infos[name] = info
        names = sorted(infos, key=natural)
        yield Tree(names, lambda name: zip_entry(archive, infos[name], name, tally.source), folders)


def check_directory(path: Path, source: str) -> None:
    """Raises DataError when the zip's list of entries is too long to be read, before it is read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise ValueError("no directory at its end")
    count, length = (int.from_bytes(tail[at + a : at + b], "little") for a, b in ((10, 12), (12, 16)))
    wide = tail.rfind(b"PK\x06\x06", 0, at)  # zip64 has its numbers there
    if wide >= 0 and count == 0xFFFF:
        count, length = (int.from_bytes(tail[wide + a : wide + b], "little") for a, b in ((32, 40), (40, 48)))
    if count > MOST_ENTRIES or length > LARGEST_DIRECTORY:
        raise DataError(source, f"has {count:,} entries in a list of {length:,} bytes, and at most {MOST_ENTRIES:,} are "
                        "read from a zip; unpack it and give the folder", "ZIP_ENTRIES")  # fmt: skip


def check_bomb(archive: zipfile.ZipFile, path: Path, source: str) -> None:
    """Raises DataError when all entries together unpack to far more than the archive."""
    total, packed = sum(info.file_size for info in archive.infolist()), path.stat().st_size
    if total > 16 * BOMB[0] and total > BOMB[1] * packed:
        raise DataError(source, f"unpacks from {packed:,} bytes to {total:,}, as a zip bomb does; unpack it and give the "
                        "folder", "ZIP_BOMB")  # fmt: skip


def proper_name(info: zipfile.ZipInfo, tally: Account) -> str:
    """The entry's name with "/". Where the zip does not say that it is UTF-8, it is tried as UTF-8 and as Shift-JIS."""
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "cp932"):
            try:
                name = raw.decode(encoding)
            except UnicodeDecodeError:
                continue
            tally.warn(name, f"has a name without a stated encoding; it was read as {encoding}", "NAME_ENCODING")
            break
    return name.replace("\\", "/")


def zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, source: str) -> Entry:
    """An entry that is safe to unpack. Raises Bad for a link, DataError for encryption and bombs."""
    if stat.S_ISLNK(info.external_attr >> 16):
        raise Bad("is a link in a zip, which is not followed", "LINK_OUTSIDE")
    if info.flag_bits & 1:
        raise DataError(source, f"is encrypted (entry {name!r}); unpack it and give the folder", "ZIP_ENCRYPTED")
    if info.file_size > BOMB[0] and info.file_size > BOMB[1] * info.compress_size:
        raise DataError(source, f"has the entry {name!r} of {info.file_size:,} bytes packed into {info.compress_size:,}, "
                        "as in a zip bomb; unpack it and give the folder", "ZIP_BOMB")  # fmt: skip
    return Entry(name, info.file_size, 0, partial(archive.open, info))


def hidden(name: str) -> bool:
    """Whether a file or a folder above it is hidden, or is what macOS puts into zips."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def checked(tree: Tree, names: Iterable[str], tally: Account) -> list[Entry]:
    """The entries of these names that are safe to open; the others are skipped, names that clash elsewhere warned of."""
    entries = []
    for name in names:
        try:
            entries.append(tree.entry(name))
        except (Bad, OSError) as error:
            tally.skip(name, error if isinstance(error, Bad) else unreadable(error))
    forms = Counter(unicodedata.normalize("NFC", entry.name) for entry in entries)
    for name in (entry.name for entry in entries if forms[unicodedata.normalize("NFC", entry.name)] > 1):
        tally.warn(name, "has the same name as another file but for how its accents are composed; both were taken", "NAME_FORM")
    cases = Counter(form.casefold() for form in forms)
    for name in (form for form in forms if cases[form.casefold()] > 1):
        tally.warn(name, "differs from another name only in capital letters; both were taken", "NAME_CASE")
    return entries


def natural(name: str) -> tuple[Any, ...]:
    """A sort key with numbers by value: a2 before a10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)), name
