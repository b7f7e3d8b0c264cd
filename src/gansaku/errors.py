"""The errors that a user can cause, each a sentence that is complete without its traceback."""

from __future__ import annotations


class GansakuError(Exception):
    """`where: sentence with the value and what would work [CODE]`: all that the command line prints.

    `where` is a path in the recipe, a file or a row. `exit_code` is what the command ends with.
    """

    exit_code = 1

    def __init__(self, where: str, sentence: str, code: str = ""):
        self.where, self.sentence, self.code = where, sentence, code
        super().__init__(f"{printable(where)}: {printable(sentence)}" + (f" [{code}]" if code else ""))


class UsageError(GansakuError):
    """The request itself cannot be carried out: an unknown name, a flag out of range."""

    exit_code = 2


class RecipeError(UsageError):
    """A setting is unknown, of the wrong type, out of range, or may not be combined with another."""


class DataError(GansakuError):
    """The data cannot be used as they are: nothing there, unreadable, the wrong shape."""


class DiskError(GansakuError):
    """A file could not be written."""

    exit_code = 3


class RunError(GansakuError):
    """A run folder or a checkpoint is damaged, foreign, or belongs to other settings."""


class Stopped(GansakuError):
    """A policy ended the work: non-finite values, too many bad files."""

    exit_code = 4


class Interrupted(GansakuError):
    """A signal ended the work; everything is saved."""

    def __init__(self, where: str, sentence: str, number: int):
        super().__init__(where, sentence)
        self.exit_code = 128 + number


def printable(text: str) -> str:
    """The text with everything that a terminal would obey, or could not encode, written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` when a known word is close, else the list of what is known."""
    from difflib import get_close_matches  # not needed until something is wrong

    close = get_close_matches(word, known, n=1, cutoff=0.6) or [name for name in known if name.casefold() == word.casefold()]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(known)) or 'none'}"
