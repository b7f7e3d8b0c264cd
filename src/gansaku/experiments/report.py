"""The report of a comparison: `report.html`, and beside it `report.md`, `scores.csv` and `compare.json`.

Safe to send to somebody: no place, person or machine is named in it, and nothing is loaded from anywhere.
"""

from __future__ import annotations

import getpass
import json
import math
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gansaku import files
from gansaku.experiments import report_page, report_text
from gansaku.experiments.folder import Place, trainings
from gansaku.experiments.report_reading import Private, Reading, tell
from gansaku.experiments.report_sheets import Album, Albums

HTML, MARKDOWN, CSV, JSON = "report.html", "report.md", "scores.csv", "compare.json"


class Report:
    """Writes a comparison's report again and again; pictures that it has encoded once it remembers."""

    def __init__(self, folder: Path, sheets: Mapping[tuple[str, int], Path] | None = None):
        """`sheets` are the folders in which those of each arm's name and seed lie, if not in this comparison's own runs."""
        self.folder, self._sheets = folder, sheets
        self._albums = Albums()

    def write(self, reading: Reading, plain: Mapping[str, Any] | None = None) -> Path:
        """All four files, each whole or not at all; `plain` becomes compare.json. Raises DiskError."""
        reading = known(reading, self.folder)
        told = tell(reading)
        files.write_text(self.folder / CSV, report_text.csv_text(told))
        files.write_text(self.folder / MARKDOWN, report_text.markdown(told))
        if plain is not None:
            files.write_text(self.folder / JSON, json_text(reading, plain))
        album = self._albums.album(self._places(reading), len(told.sides), told.seeds)
        files.write_text(self.folder / HTML, report_page.page(told, album, time.time()))
        return self.folder / HTML

    def _places(self, reading: Reading) -> dict[tuple[int, int], Path]:
        """Where the sheets of each training lie, by its arm's number and its seed."""
        numbers = {arm.name: number for number, arm in enumerate(reading.arms or reading.plan.arms)}
        place = Place(self.folder)
        own = {(one.arm.name, one.seed): place.run(one) / "sheets" for one in trainings(reading.plan)}
        found = own if self._sheets is None else self._sheets
        return {(numbers[name], seed): path for (name, seed), path in found.items() if name in numbers}


def write(reading: Reading, folder: Path, plain: Mapping[str, Any] | None = None) -> Path:
    """The report of a comparison in its folder, once."""
    return Report(folder).write(reading, plain)


def html(reading: Reading, album: Album | None = None, now: float = 0.0) -> str:
    """The page, with the pictures of an album."""
    return report_page.page(tell(reading), album or Album((), (), {}), now)


def markdown(reading: Reading) -> str:
    return report_text.markdown(tell(reading))


def csv_text(reading: Reading) -> str:
    return report_text.csv_text(tell(reading))


def json_text(reading: Reading, plain: Mapping[str, Any]) -> str:
    """What `gansaku compare --json` prints, without places."""
    hide, told = Private.of(reading), tell(reading)
    renamed = {arm.name: side.name for arm, side in zip(reading.arms or reading.plan.arms, told.sides, strict=True)}
    content = cleaned({**plain, "report": HTML}, hide, renamed)
    return json.dumps(content, indent=1, ensure_ascii=False, default=str).encode(errors="replace").decode() + "\n"


def cleaned(value: Any, hide: Private, renamed: Mapping[str, str]) -> Any:
    """Every text without places, and what is no number as null; an arm is called as in the rest of the report."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return renamed[value] if value in renamed else hide.sentence(value)
    if isinstance(value, Mapping):
        return {cleaned(key, hide, renamed): cleaned(inner, hide, renamed) for key, inner in value.items()}
    return [cleaned(inner, hide, renamed) for inner in value] if isinstance(value, list | tuple) else value


def known(reading: Reading, folder: Path) -> Reading:
    """With what must not be told: where the comparison lies, who made it, and on which machine."""
    paths, names = [str(folder), str(folder.absolute()), os.path.expanduser("~"), os.getcwd()], [platform.node()]
    with suppress(KeyError, OSError, ImportError):  # a process may have a user that has no name
        names.append(getpass.getuser())
    return replace(reading, paths=(*reading.paths, *paths), names=(*reading.names, *names))
