"""The report of a run: `report.html` in its folder, one file that shows what it is, how far it is and how it went."""

from __future__ import annotations

import html
import time
from pathlib import Path

from gansaku import files
from gansaku.runs.folder import Folder
from gansaku.runs.report_page import page
from gansaku.runs.report_reading import read
from gansaku.runs.report_sheets import Sheets


class Report:
    """Writes a run's report again and again; pictures that it has encoded once it remembers."""

    def __init__(self, folder: Folder):
        self.folder = folder
        self._sheets, self._phases = Sheets(), Sheets()

    def render(self) -> str:
        """The page. What is missing or broken in the folder is said in it and raises nothing."""
        reading = read(self.folder)
        ended = self._phases.named(reading.phase_sheets)
        return page(reading, self._sheets.shots(reading.sheets), time.time(), ended)

    def write(self) -> Path:
        """Write it, whole or not at all. Raises DiskError."""
        files.write_text(self.folder.report, self.render())
        return self.folder.report


def render(folder: Folder) -> str:
    """The report of a run as HTML."""
    return Report(folder).render()


def card(folder: Folder) -> str:
    """The report with its newest sheet alone, in a frame, as a notebook shows it."""
    reading = read(folder)
    text = page(reading, Sheets().shots(reading.sheets[-1:]), time.time())
    return f'<iframe srcdoc="{html.escape(text)}" style="width: 100%; height: 720px; border: 0" title="{CARD}"></iframe>'


CARD = "Training report"
