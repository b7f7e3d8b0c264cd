"""What preparation leaves out, warns of or converts: why, how often, and when it is too much."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gansaku.errors import DataError, Stopped

MAX_BAD = 0.01
EXAMPLES = 10  # messages that the report shows
SHOWN = 3  # warnings of a kind that it shows
FAULTLESS = frozenset({"VOX_BLANK", "BOX_FILTERED", "XML_NO_BOX", "FACE_NONE"})  # left out as asked, not for a fault
Damaged = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)  # of reading


class Bad(Exception):
    """A file or sample that cannot be used: why, in a sentence that follows its name, and the code."""

    def __init__(self, sentence: str, code: str):
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


class Note(NamedTuple):
    """Something about a sample that is used all the same: a conversion, which is counted, or with a code a warning."""

    sentence: str
    code: str = ""


def unreadable(error: Exception) -> Bad:
    """What a damaged or vanished file raised, as the reason why it is left out."""
    if isinstance(error, OSError):
        return Bad(f"cannot be read: {error.strerror or error}", "UNREADABLE")
    return Bad(f"is damaged in the archive ({error})", "ZIP_ENTRY")


@dataclass
class Account:
    """What was left out, warned of and converted in some part of the work; parts are added up in their order.

    `skipped` has every one, [name, sentence, code]; of the warnings all are counted and the first of a kind kept.
    """

    skipped: list[list[str]] = field(default_factory=list)
    warned: Counter[str] = field(default_factory=Counter)
    warnings: list[list[str]] = field(default_factory=list)
    converted: Counter[str] = field(default_factory=Counter)
    faulty: set[str] = field(default_factory=set)  # files with a fault

    def skip(self, name: str, bad: Bad, file: str | None = None) -> None:
        """Leave out a file, or a part of one."""
        self.skipped.append([name, bad.sentence, bad.code])
        if bad.code not in FAULTLESS:
            self.faulty.add(file or name)

    def note(self, name: str, note: Note) -> None:
        if not note.code:
            self.converted[note.sentence] += 1
            return
        self.warned[note.code] += 1
        self.show([name, note.sentence, note.code])

    def show(self, warning: list[str]) -> None:
        """Keep the warning among the first of its kind."""
        if sum(code == warning[2] for _, _, code in self.warnings) < SHOWN:
            self.warnings.append(warning)

    def convert(self, what: str) -> None:
        self.note("", Note(what))

    def warn(self, name: str, sentence: str, code: str) -> None:
        self.note(name, Note(sentence, code))

    def add(self, other: Account) -> None:
        self.skipped += other.skipped
        self.warned += other.warned
        for one in other.warnings:
            self.show(one)
        self.converted += other.converted
        self.faulty |= other.faulty

    def plain(self) -> dict[str, Any]:
        """JSON, the inverse of `from_plain`."""
        return {
            "skipped": self.skipped,
            "warned": self.warned,
            "warnings": self.warnings,
            "converted": self.converted,
            "faulty": sorted(self.faulty),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Account:
        warned, converted = Counter(plain["warned"]), Counter(plain["converted"])
        return cls(plain["skipped"], warned, plain["warnings"], converted, set(plain["faulty"]))


@dataclass
class Tally(Account):
    """The account of a whole source. `files` counts the samples' files, bad ones too, or an array's rows; `ignored` others."""

    source: str = ""
    max_bad: float = MAX_BAD
    files: int = 0
    ignored: int = 0
    more: dict[str, Any] = field(default_factory=dict)  # what else the report of this source says

    @property
    def report(self) -> dict[str, Any]:
        """What is stored with the data: counts by code and kind, and the first messages."""
        return {
            "files": self.files,
            "ignored": self.ignored,
            "bad": self.bad,
            "skipped": dict(Counter(code for _, _, code in self.skipped)),
            "warned": dict(self.warned),
            "converted": dict(self.converted),
            "examples": [message(*one) for one in self.skipped[:EXAMPLES]],
            "warnings": [message(*one) for one in self.warnings],
            **self.more,
        }

    @property
    def bad(self) -> int:
        """How many files have a fault; what was left out as asked is none, nor blank voxels."""
        return len(self.faulty)

    def check(self) -> None:
        """Raises Stopped when more than `max_bad` of all files are bad."""
        check_share(self.source, self.bad, self.files, self.max_bad, [message(*one) for one in self.faults[:3]])

    @property
    def faults(self) -> list[list[str]]:
        return [one for one in self.skipped if one[2] not in FAULTLESS]

    def nothing_left(self) -> Stopped:
        shown = "; ".join(message(*one) for one in self.skipped[:3]) or "no file is a sample"
        return Stopped(self.source, f"no training sample is left of {self.files:,}: {shown}", "DATA_BAD")


def check_share(source: str, bad: int, files: int, most: float, examples: list[str]) -> None:
    """Raises Stopped when more than the share `most` of all files are bad."""
    if bad > most * files:
        more = "; --max-bad 100% goes on without them and lists all" if bad > len(examples) else ""
        raise Stopped(source, f"{bad:,} of {files:,} files cannot be used, and at most {most:.0%} may be (--max-bad): "
                      f"{'; '.join(examples)}{more}", "DATA_BAD")  # fmt: skip


def message(name: str, sentence: str, code: str) -> str:
    return str(DataError(name, sentence, code))
