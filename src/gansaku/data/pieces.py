"""Finished pieces of a preparation: a file a block, so that a preparation that was killed goes on where it was.

They lie in one folder beside the store that they are for, with what identifies source and policy; a folder of another
preparation is emptied. Whoever finds the folder held by another process works in one of its own.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.data.content import Block
from gansaku.data.store import packed, unpacked
from gansaku.data.tally import Account
from gansaku.errors import DiskError, Interrupted

IDENTITY = "identity.json"


class Pieces:
    """The pieces in a folder, numbered from 0 without gaps."""

    def __init__(self, folder: Path):
        self.folder, self.count = folder, 0
        while self.path(self.count).is_file():
            self.count += 1

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def append(self, block: Block) -> None:
        files.write_bytes(self.path(self.count), encoded(block))
        self.count += 1

    def __iter__(self) -> Iterator[Block]:
        return (self[number] for number in range(self.count))

    def __getitem__(self, number: int) -> Block:
        return decoded(self.path(number).read_bytes())


@contextmanager
def workplace(destination: Path, identity: Any) -> Iterator[Pieces]:
    """The pieces of this preparation. They are removed when the block ends, well or in an error, but not when it is killed
    or interrupted by a signal: then the next one with the same identity finds them."""
    files.make_folder(destination.parent)
    folder = destination.with_name(f"{files.TEMPORARY}preparing-{destination.name}")
    with held(folder) as mine:
        if not mine:
            folder = destination.with_name(f"{files.TEMPORARY}{os.getpid()}-raw-{destination.name}")
            files.remove(folder)
            make(folder)
        text = json.dumps(identity)
        try:
            if not same(folder / IDENTITY, text):
                for old in folder.iterdir():
                    files.remove(old)
                files.write_text(folder / IDENTITY, text)
            files.sweep(folder)
            yield Pieces(folder)
        except Interrupted:
            raise
        except Exception:
            with suppress(DiskError):  # the error that ended it is the one to tell
                files.remove(folder)
            raise
        with suppress(DiskError):  # the store is written; what cannot be removed now is found by the next preparation
            files.remove(folder)


def same(path: Path, text: str) -> bool:
    with suppress(OSError, ValueError):
        return path.read_text() == text
    return False


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the folder, made if need be; False when another process holds it. The system's lock ends with its process."""
    descriptor = opened(folder)
    try:
        yield locked(descriptor)
    finally:
        os.close(descriptor)


def opened(folder: Path) -> int:
    """A descriptor of the folder, made if need be: whoever held it may remove it at the same moment."""
    while True:
        make(folder)
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            if not locked(descriptor) or same_place(descriptor, folder):
                return descriptor
            os.close(descriptor)


def same_place(descriptor: int, folder: Path) -> bool:
    """Whether the folder that was opened is still the one of that name."""
    with suppress(FileNotFoundError):
        return os.fstat(descriptor).st_ino == folder.stat().st_ino
    return False


def locked(descriptor: int) -> bool:
    """Take the lock, or have it already; False when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody watches
        return True
    return True


def in_use(folder: Path) -> bool:
    """Whether a process is preparing there now."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not locked(descriptor)
    finally:
        os.close(descriptor)


def make(folder: Path) -> None:
    """The folder; where the disk refuses half-way, nothing."""
    try:
        files.make_folder(folder)
    except DiskError:
        with suppress(DiskError, OSError):
            if not any(folder.iterdir()):
                files.remove(folder)
        raise


def encoded(block: Block) -> bytes:
    """The bytes of an .npz, uncompressed; every part has a checksum there. Voxels are one bit each."""
    about = {
        "split": block.split,
        "names": [*block.names],
        "columns": [*block.columns],
        "account": block.account.plain(),
        "read": block.read,
        "grid": list(block.samples.shape[1:-1]) if block.samples.ndim == 5 else None,
    }
    samples = packed(block.samples) if about["grid"] else block.samples
    parts: dict[str, NDArray[Any]] = {"samples": samples, "labels": block.labels}
    parts |= {f"column{number}": values for number, values in enumerate(block.columns.values())}
    parts["about"] = np.frombuffer(json.dumps(about).encode("ascii"), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **parts)  # type: ignore[arg-type]
    return stream.getvalue()


def decoded(content: bytes) -> Block:
    """The inverse of `encoded`. Raises DiskError when the piece was damaged meanwhile."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            about = json.loads(bytes(found["about"]))
            columns = {name: found[f"column{number}"] for number, name in enumerate(about["columns"])}
            account = Account.from_plain(about["account"])
            samples = found["samples"]
            if about["grid"]:
                samples = unpacked(samples, (1, *about["grid"]))
            return Block(samples, found["labels"], about["split"], columns, about["names"], account, about["read"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DiskError("a finished piece", f"of the preparation is damaged ({error}); prepare it again", "DISK") from error
