"""Where data may be written: nothing that somebody else made is lost, and it is said before any work is done."""

from __future__ import annotations

from pathlib import Path

from gansaku.data.store import open_store
from gansaku.errors import DataError, UsageError


def check_destination(source: str, destination: Path, form: str | None) -> None:
    """Raises UsageError where something would be lost or come out wrong: before any work is done."""
    where, suffix = str(destination), destination.suffix.lower()
    try:
        place, inside = Path(source).resolve(), destination.resolve()
        place.is_dir()
    except (OSError, RuntimeError):
        return  # no path at all, which is told when it is opened
    if form is not None and suffix == ".h5":
        raise UsageError(where, "is the name of one file, and the form that was asked for is a folder; name one", "FORM")
    if suffix == ".h5" and destination.is_dir():
        raise UsageError(where, "is a folder; name a file", "DESTINATION")
    if place == inside or (place.is_dir() and inside.is_relative_to(place)):
        raise UsageError(where, f"lies in the source {source!r}, which is only read; name another place", "DESTINATION")
    above = next((parent for parent in inside.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise UsageError(where, f"cannot be made, since {above} is a file; name another place", "DESTINATION")
    if destination.is_file() and not (suffix == ".h5" and written_by_us(destination)):
        raise UsageError(where, "is there already, and is no dataset of this program; remove it, or name another file",
                         "DESTINATION")  # fmt: skip


def written_by_us(path: Path) -> bool:
    try:
        open_store(path)
    except DataError:
        return False
    return True
