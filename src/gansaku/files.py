"""The one place that writes files: complete under their name, or not there at all.

The protocol: a temporary name in the same folder, write, fsync, rename over the final name, fsync of the folder.
A crash at any point leaves the old content or the new one (of a folder: the old one under a temporary name, for the
blink between two renames), and at worst a temporary file that the next start sweeps.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gansaku.errors import DiskError

TEMPORARY = ".part-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder; what the block wrote there becomes `path` when it ends well.

    The block may create a file or a folder. On an error nothing is left, and an older `path` stays as it was.
    Raises DiskError with the path when the system refuses a write.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        synchronize(temporary)
        if temporary.is_dir() and path.is_dir():  # a folder cannot be renamed over a folder that is not empty
            aside = path.with_name(f"{TEMPORARY}{os.getpid()}-old-{path.name}")
            os.replace(path, aside)
            os.replace(temporary, path)
            shutil.rmtree(aside)
        else:
            os.replace(temporary, path)
        synchronize_folder(path.parent)
    except OSError as error:
        raise DiskError(
            str(path), f"cannot be written: {error.strerror or error}; free space or choose another place", "DISK"
        ) from error
    finally:
        remove(temporary)


def make_folder(path: Path) -> None:
    """Raises DiskError when it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(str(path), f"cannot be made: {error.strerror or error}", "DISK") from error


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def sweep(folder: Path) -> None:
    """Remove what an interrupted writer left in the folder."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        remove(leftover)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def synchronize(path: Path) -> None:
    """Force a file, or all the files in a folder, to the disk."""
    for file in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if file.is_dir():
            synchronize_folder(file)
        else:
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def synchronize_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
