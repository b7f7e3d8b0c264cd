"""The run folder: the interface between training, command line and dashboard. Looking at one imports no torch.

recipe.toml     every setting; written again only when a run goes on with others
run.json        data source, fingerprint and classes; machine; versions; no absolute path that matters
log.sqlite      numbers and events
signals.json    what the signals of health mean, for those who look without torch
checkpoints/    a folder each, named by samples seen
sheets/         a picture each, named by samples seen
report.html     all of it to look at, in one file
lock            held by the training that writes here
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gansaku import files
from gansaku.errors import RunError, UsageError

RECIPE, ABOUT, LOG, REPORT = "recipe.toml", "run.json", "log.sqlite", "report.html"
CHECKPOINTS, SHEETS = "checkpoints", "sheets"
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


@dataclass(frozen=True)
class Folder:
    """A run's folder and the places in it."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / RECIPE

    @property
    def about(self) -> Path:
        return self.path / ABOUT

    @property
    def log(self) -> Path:
        return self.path / LOG

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def sheets(self) -> Path:
        return self.path / SHEETS

    @property
    def report(self) -> Path:
        return self.path / REPORT

    @property
    def exists(self) -> bool:
        """Whether it is a run. Raises UsageError for a path that cannot be one."""
        try:
            return self.about.is_file()
        except OSError as error:  # a name that is too long
            raise UsageError(str(self.path), f"cannot be a run's folder: {error.strerror}", "RUN_FOLDER") from None

    def check_free(self) -> None:
        """Raises UsageError when the folder holds something that is not a run."""
        taken = self.path.exists() and (not self.path.is_dir() or any(not ours(p) for p in self.path.iterdir()))
        if taken and not self.exists:  # asked last: another process may just have made it one
            raise UsageError(str(self.path), "holds other things than a run; name a new folder", "RUN_FOLDER")

    def create(self, recipe_toml: str, about: dict[str, Any]) -> None:
        """Make it a run."""
        for place in (self.path, self.checkpoints, self.sheets):
            files.make_folder(place)
        files.write_text(self.recipe, recipe_toml)
        files.write_json(self.about, about)  # last: it makes the folder a run

    def read_recipe(self) -> dict[str, Any]:
        """The recipe as plain data."""
        try:
            recipe = tomllib.loads(self.recipe.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(str(self.recipe), f"cannot be read: {error}", "RUN") from None
        if "length" not in recipe:
            raise RunError(str(self.recipe), "is no whole recipe; it is damaged", "RUN")
        return recipe

    def read_about(self) -> dict[str, Any]:
        try:
            about = json.loads(self.about.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(str(self.about), f"cannot be read: {error}", "RUN") from None
        if not isinstance(about, dict) or not isinstance(about.get("data"), dict):
            raise RunError(str(self.about), "does not say what a run is; it is damaged", "RUN")
        return about

    def sheet(self, seen: int) -> Path:
        return self.sheets / f"{seen:012d}.png"

    def newest_sheet(self) -> Path | None:
        return max(
            (p for p in self.sheets.glob("*.png") if not p.name.startswith(".")), default=None
        )  # one half-written is none


def ours(path: Path) -> bool:
    """Whether it may lie in a folder that becomes a run: hidden files, and what an interrupted start left."""
    return path.name.startswith(".") or path.name in (RECIPE, CHECKPOINTS, SHEETS, "lock")


def opened(path: str | Path) -> Folder:
    """The run at a path. Raises UsageError when there is none."""
    folder = Folder(Path(path))
    if not folder.exists:
        if folder.path.is_file():
            refuse_unsafe(folder.path)
        there = "is no run: it has no run.json" if folder.path.exists() else "is not there"
        raise UsageError(str(path), f"{there}; runs are made by `gansaku train`", "RUN_FOLDER")
    return folder


def refuse_unsafe(path: Path) -> None:
    """Raises RunError for a file that begins, or is called, as `torch.save` and pickle have it. Nothing else of it is read."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return  # what is missing or unreadable is told by who needs it
    ours = start[8:] == b"{"  # after the header's length, which may be the same bytes as a pickle's start
    unsafe = not ours and start.startswith((b"PK\3\4", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"))
    if unsafe or path.suffix.lower() in PICKLES:
        raise RunError(str(path), "may be a pickle, which can run any program when it is read, so it is not opened; a "
                       "run's folder is what continues", "CKPT_UNSAFE")  # fmt: skip
