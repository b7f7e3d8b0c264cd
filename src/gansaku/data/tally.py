"""What preparation leaves out or converts: why, how often, and when it is too much."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gansaku.errors import DataError, Stopped

MAX_BAD = 0.01
Damaged = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)  # of reading


class Bad(Exception):
    """A sample that cannot be used: why, in a sentence that follows its name, and the code."""

    def __init__(self, sentence: str, code: str):
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


def unreadable(error: Exception) -> Bad:
    """What a damaged or vanished file raised, as the reason why it is left out."""
    if isinstance(error, OSError):
        return Bad(f"cannot be read: {error.strerror or error}", "UNREADABLE")
    return Bad(f"is damaged in the zip ({error})", "ZIP_ENTRY")


@dataclass
class Tally:
    """What became of the samples of a source: `report` is stored with the data.

    `files` counts the pictures, bad ones too, or an array's rows; `ignored` other files; `skipped` is by code and
    `converted` by kind; `examples` are the first ten that were skipped.
    """

    source: str
    max_bad: float = MAX_BAD
    report: dict[str, Any] = field(
        default_factory=lambda: {"files": 0, "ignored": 0, "skipped": Counter(), "examples": [], "converted": Counter()}
    )

    def skip(self, name: str, bad: Bad) -> None:
        self.report["skipped"][bad.code] += 1
        if len(self.report["examples"]) < 10:
            self.report["examples"].append(str(DataError(name, bad.sentence, bad.code)))

    def convert(self, what: str) -> None:
        self.report["converted"][what] += 1

    @property
    def bad(self) -> int:
        """How many were skipped by a fault of theirs; blank voxels are none."""
        return sum(number for code, number in self.report["skipped"].items() if code != "VOX_BLANK")

    def check(self) -> None:
        """Raises Stopped when more than `max_bad` of all, or all, are bad."""
        bad, files = self.bad, self.report["files"]
        if bad and (bad > self.max_bad * files or bad == files):
            raise Stopped(self.source, f"{bad:,} of {files:,} pictures cannot be used, and at most {self.max_bad:.0%} "
                          f"may be (--max-bad): {self.shown()}", "DATA_BAD")  # fmt: skip

    def nothing_left(self) -> Stopped:
        return Stopped(self.source, f"no training sample is left of {self.report['files']:,}: {self.shown()}", "DATA_BAD")

    def shown(self) -> str:
        return "; ".join(self.report["examples"][:3])
