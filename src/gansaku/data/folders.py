"""Folders and zips of pictures: which files are taken, in what order, and the classes and splits that folders mean.

A folder around everything counts for nothing; `train/` beside `test/`, `val/` or `valid/` are splits; the folders
below are classes, in natural order, and what lies deeper belongs to them. Hidden files and files whose name does not
end like a picture's are ignored and counted. A zip is read as the folder it holds and never extracted.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from gansaku.data.tally import Bad, Damaged, Tally, unreadable
from gansaku.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
OTHER_PICTURES = frozenset({".svg", ".eps", ".psd", ".heic", ".heif", ".avif", ".exr", ".hdr", ".fits", ".raw", ".dng",
                            ".cr2", ".nef", ".arw", ".jp2", ".tga", ".ppm", ".pgm"})  # fmt: skip
SPLIT_OF = {"train": "train", "training": "train"} | dict.fromkeys(("test", "testing", "val", "valid", "validation"), "test")
BOMB = (1 << 22, 100)  # a zip entry larger than this that packs better than this is a bomb


class Entry(NamedTuple):
    """A file that should be a picture: its name within the source, with "/", and how to read it."""

    name: str
    size: int
    changed: int  # nanoseconds; 0 in a zip, whose own time counts
    open: Callable[[], IO[bytes]]


def in_folder(root: Path, tally: Tally) -> list[Entry]:
    """The files below a folder that should be pictures, in natural order. No link to the outside is followed."""
    inside = root.resolve()
    return chosen(((name, partial(file_entry, root, name, inside)) for name in names_below(root, tally)), tally)


@contextmanager
def in_zip(path: Path, tally: Tally) -> Iterator[list[Entry]]:
    """The same of a zip, readable while the context lasts. Raises DataError for an archive that may do harm."""
    try:
        archive = zipfile.ZipFile(path)
    except Damaged as error:
        raise DataError(tally.source, f"is no zip file, or cut short ({error}); download it again", "ZIP_CORRUPT") from error
    with archive:
        names = names_in(archive, tally.source)
        yield chosen(((name, partial(zip_entry, archive, info, name, tally.source)) for name, info in names), tally)


def chosen(found: Iterable[tuple[str, Callable[[], Entry]]], tally: Tally) -> list[Entry]:
    """Those (name, checked entry) that should be pictures, in natural order; what is left out is counted."""
    entries: dict[str, Entry] = {}
    for name, checked in found:
        try:
            if not wanted(name, tally):
                continue
            entry = checked()
        except (Bad, OSError) as error:
            tally.skip(name, error if isinstance(error, Bad) else unreadable(error))
            continue
        if name in entries:
            tally.convert("entries of a name used twice: the last taken")
        entries[name] = entry
    tally.report["files"] = len(entries) + tally.bad
    return sorted(entries.values(), key=lambda entry: natural(entry.name))


def wanted(name: str, tally: Tally) -> bool:
    """Whether the file should be a picture by its name. Counts the others; raises Bad for formats never opened."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    suffix = path.suffix.lower()
    if not hidden and suffix in SUFFIXES:
        return True
    if not hidden and suffix in OTHER_PICTURES:
        raise Bad(f"is a {suffix} file; convert it to PNG or JPEG", "IMG_FORMAT")
    tally.report["ignored"] += 1
    return False


def names_below(root: Path, tally: Tally) -> Iterator[str]:
    """All that lies below a folder and is no folder. Raises DataError when the folder itself cannot be listed."""
    folders = [""]
    while folders:
        below = folders.pop()
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
                folders.append(f"{name}/")
            elif item.is_symlink() and os.path.isdir(item):
                tally.skip(name, Bad("is a link to a folder, which is not followed; give that folder", "LINK_OUTSIDE"))
            else:
                yield name


def file_entry(root: Path, name: str, inside: Path) -> Entry:
    """A file that is safe to open. Raises Bad for links to the outside, pipes and devices."""
    path = root / name
    if path.is_symlink() and not path.resolve().is_relative_to(inside):
        raise Bad("is a link to a file outside the folder; copy that file here", "LINK_OUTSIDE")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Bad("is a pipe, device or socket, not a file", "NOT_REGULAR")
    return Entry(name, status.st_size, status.st_mtime_ns, lambda: path.open("rb"))


def names_in(archive: zipfile.ZipFile, source: str) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """All that is no folder. Raises DataError for names that lead out of the folder, wherever they are."""
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
            raise DataError(source, f"has the entry {name!r}, which leads out of the folder; pack it again without",
                            "ZIP_UNSAFE_PATH")  # fmt: skip
        if not info.is_dir():
            yield name, info


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


def natural(name: str) -> tuple[Any, ...]:
    """A sort key with numbers by value: a2 before a10."""
    parts = re.split(r"([0-9]+)", name)
    return (*((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)), name)


def layout(source: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """(split, class or "") of each picture by the folders it lies in. Raises DataError when that is ambiguous."""
    folders = without_common([name.split("/")[:-1] for name in names])
    splits = ["train"] * len(names)
    tops = {parts[0].lower() for parts in folders if parts}
    if all(folders) and tops <= SPLIT_OF.keys() and "train" in {SPLIT_OF[top] for top in tops}:
        splits = [SPLIT_OF[parts[0].lower()] for parts in folders]
        folders = without_common([parts[1:] for parts in folders])
    if any(folders) and not all(folders):
        beside, within = (next(n for n, parts in zip(names, folders, strict=True) if bool(parts) == w) for w in (0, 1))
        raise DataError(source, f"has pictures beside folders of pictures ({beside!r} and {within!r}), so whether the "
                        "folders are classes is unclear; put every picture into a folder of its class, or all into "
                        "one folder", "DATA_LAYOUT")  # fmt: skip
    return [(split, parts[0] if parts else "") for split, parts in zip(splits, folders, strict=True)]


def without_common(folders: list[list[str]]) -> list[list[str]]:
    """The same without the folders that all share: a lone `images/` is no class."""
    while folders and all(folders) and len({parts[0] for parts in folders}) == 1:
        folders = [parts[1:] for parts in folders]
    return folders
