"""The one place that writes files: complete under their name, or not there at all.

The protocol: a temporary name in the same folder, write, fsync, rename over the final name, fsync of the folder.
A crash at any point leaves the old content or the new one (of a folder: the old one under a temporary name, for the
blink between two renames), and at worst a temporary file that the next start sweeps. Every operation is announced to
`faults`, which is how tests kill and fail each one.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from gansaku import faults
from gansaku.errors import DiskError

TEMPORARY = ".part-"
CHUNK = 1 << 20  # bytes that are written at a time


class File(io.FileIO):
    """A new file, each write announced. Raises DiskError, with the path that the file is to have in the end."""

    def __init__(self, path: Path, mode: Literal["wb", "wb+"] = "wb"):
        self._path, self.digest = path, hashlib.sha256()
        with refusing(path):
            faults.reached("create", path)
            super().__init__(path, mode)

    def write(self, content: Any) -> int:
        """Write all of it, or raise."""
        view = memoryview(content).cast("B")
        for start in range(0, len(view), CHUNK):
            self._write(view[start : start + CHUNK])
        return len(view)

    def _write(self, part: memoryview) -> None:
        with refusing(self._path, len(part)):
            allowed = faults.reached("write", self._path, bytes(part) if faults.watched() else None)
            if allowed is not None:
                super().write(part[:allowed])
                faults.end()
            done = 0
            while done < len(part):
                done += super().write(part[done:])
        self.digest.update(part)


class Forgiving(File):
    """A new file for a library that does not survive an error while it writes: the first one is kept, the rest goes nowhere.

    HDF5 ends the whole process (a segmentation fault) when its disk is full. `forgiving` raises afterwards.
    """

    failure: BaseException | None = None

    def __init__(self, path: Path):
        super().__init__(path, "wb+")

    def write(self, content: Any) -> int:
        try:
            if self.failure is None:
                return super().write(content)
        except BaseException as error:  # a signal's too: nothing may pass through the library
            self.failure = error
        return memoryview(content).nbytes

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.failure is None:
                return super().truncate(size)
        except BaseException as error:
            self.failure = error
        return size or 0


@contextmanager
def forgiving(path: Path) -> Iterator[Forgiving]:
    """A new file for such a library. Raises DiskError, or what else befell a write, when the block has ended well."""
    with Forgiving(path) as file:
        yield file
    if file.failure is not None:
        raise file.failure


def create(path: Path) -> File:
    """A new file to be written from its beginning to its end; the SHA-256 of what was written is `digest`."""
    return File(path)


@contextmanager
def replacing(path: Path, needs: int | None = None) -> Iterator[Path]:
    """A temporary path in the same folder; what the block wrote there becomes `path` when it ends well.

    The block may create a file or a folder. On an error nothing is left, and an older `path` stays as it was.
    `needs` bytes are asked for beforehand. Raises DiskError with the path when the system refuses a write.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    make_folder(path.parent)
    remove(temporary)  # of an attempt that could not even clean up
    if needs is not None:
        ask_for(path, needs)
    try:
        yield temporary
        synchronize(temporary)
        if temporary.is_dir() and path.is_dir():  # a folder cannot be renamed over a folder that is not empty
            aside = path.with_name(f"{TEMPORARY}{os.getpid()}-old-{path.name}")
            rename(path, aside)
            rename(temporary, path)
            remove(aside)
        else:
            rename(temporary, path)
        synchronize_folder(path.parent)
    finally:
        with suppress(DiskError):  # what cannot be removed now is swept at the next start
            remove(temporary)


def make_folder(path: Path) -> None:
    """The folder and those above it. Raises DiskError when it cannot be made."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    with refusing(path):
        faults.reached("mkdir", path)
        path.mkdir(exist_ok=True)
    synchronize_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary, create(temporary) as file:
        file.write(content)


def put_json(path: Path, content: Any) -> None:
    """Write a JSON file inside a folder that is being replaced: no rename of its own."""
    with create(path) as file:
        file.write(json_bytes(content))


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """JSON as UTF-8; what is left of a name that is no UTF-8 as JSON's own escape."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


@contextmanager
def in_place(path: Path) -> Iterator[int]:
    """A descriptor of a file that is there or made now, for what is no content: a lock."""
    with refusing(path):
        faults.reached("create", path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def put_in_place(descriptor: int, path: Path, content: bytes) -> None:
    """Make this the content of an opened file; a reader may see a part of it."""
    with refusing(path, len(content)):
        faults.reached("write", path, content)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def rename(path: Path, new: Path) -> None:
    """Give a file or a folder a new name, over an older file of that name."""
    with refusing(new):
        faults.reached("rename", path, new)
        os.replace(path, new)


def sweep(folder: Path) -> None:
    """Remove what an interrupted writer left in the folder."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        remove(leftover)


def sweep_exports(out: Path) -> None:
    """Remove what dead exports to the same place left beside it or in it, and nothing else."""
    for place, name in ((out.parent, out.name), (out, "")):
        for leftover in place.glob(f"{TEMPORARY}*"):
            found = re.fullmatch(rf"{re.escape(TEMPORARY)}([1-9]\d{{0,8}})-(?:old-|raw-)?{re.escape(name)}", leftover.name)
            if found and dead(int(found[1])):
                with suppress(DiskError, OSError):  # another process was faster, or may more than we
                    remove(leftover)


def dead(process: int) -> bool:
    """Whether no other process has this number: in a container ours may have been an earlier one's."""
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return process == os.getpid()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there. A checkpoint loses its manifest first: it is one no longer."""
    if path.is_dir() and not path.is_symlink():
        for inner in sorted(path.iterdir()):
            remove(inner)
        with refusing(path):
            faults.reached("rmdir", path)
            path.rmdir()
    elif path.exists() or path.is_symlink():
        with refusing(path):
            faults.reached("unlink", path)
            path.unlink(missing_ok=True)


def synchronize(path: Path) -> None:
    """Force a file, or all the files in a folder, to the disk."""
    for file in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if file.is_dir():
            synchronize_folder(file)
        else:
            with refusing(file), file.open("rb") as opened:
                faults.reached("fsync", file)
                os.fsync(opened.fileno())


def synchronize_folder(folder: Path) -> None:
    with refusing(folder):
        faults.reached("fsync", folder)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def ask_for(path: Path, needs: int) -> None:
    """Raises DiskError when the disk that the path lies on has not so many bytes free."""
    there = free(path)
    if there is not None and there < needs:
        raise DiskError(str(path), f"needs {amount(needs)}, and {amount(there)} are free; {ADVICE}", "DISK_FULL")


def free(path: Path) -> int | None:
    """Bytes that may still be written on the disk of a path, there or not; None if the system does not say."""
    while not path.exists() and path.parent != path:
        path = path.parent
    with suppress(OSError):
        return shutil.disk_usage(path).free
    return None


ADVICE = "free some space or choose another place; nothing that was there is lost"


@contextmanager
def refusing(path: Path, needs: int | None = None) -> Iterator[None]:
    """Turns an OSError of the block into a DiskError that says what is needed and what would help."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error, needs) from error


def refusal(path: Path, error: OSError, needs: int | None = None) -> DiskError:
    """The sentence for a refused operation."""
    where, reason = str(final(path)), error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        there = free(path.parent)
        room = "" if there is None else f" ({amount(there)} free)"
        more = "" if needs is None else f" for {amount(needs)} more"
        return DiskError(where, f"cannot be written: {reason}{more}{room}; {ADVICE}", "DISK_FULL")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DiskError(where, f"may not be written: {reason}; change its permissions or choose another place", "DISK_DENIED")
    return DiskError(where, f"cannot be written: {reason}; the disk may be failing, choose another place", "DISK")


def final(path: Path) -> Path:
    """The path as it is to be called in the end; of a piece of a preparation, what is prepared."""
    parts = []
    for part in path.parts:
        found = re.match(rf"{re.escape(TEMPORARY)}(?:\d+-(?:old-|(raw-))?|(preparing-))", part)
        parts.append(part[found.end() :] if found else part)
        if found and (found[1] or found[2]):
            break
    return Path(*parts)


def amount(count: float) -> str:
    """1.5 MB: bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    return f"{count:.3g} TB"
