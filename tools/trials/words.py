"""How the pages write numbers, sentences and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

from .verdict import Result

NONE = "–"
WIDE = 128  # letters of a line that is no table
DATA_NAMES = {"cifar10": "CIFAR-10", "avatars": "the avatars", "dogs": "dogs", "faces": "drawn faces"}
Interval = tuple[float, float, float]
"""Mean, low, high."""


def number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def interval(found: Interval) -> str:
    return f"{found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]".replace("-", "−")


def change(found: Interval) -> str:
    """As `interval`, with the sign of what is a difference."""
    return f"{signed(found[0])} [{signed(found[1])}, {signed(found[2])}]"


def minutes(one: Result) -> str:
    return f"{one['cpu_seconds'] / 60:.1f} min"


def distance(one: Result) -> str:
    return f"{one['untrained']:.2f} → {number(one['last'])}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """a, b and c."""
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} {last} {found[-1]}" if found else "none"


def counted(n: int, one: str, many: str = "") -> str:
    """1 run, 2 runs."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def wrapped(text: str) -> str:
    """Paragraphs and list items, refilled to lines of WIDE; headings, tables, pictures and blocks of code as they are."""
    parts = []
    for block in re.split(r"(```.*?```)", text, flags=re.DOTALL):
        if block.startswith("```"):
            parts.append(block)
            continue
        pieces = re.split(r"\n(?=\n)|\n(?=- )", block)
        parts.append("\n".join(piece if re.match(r"\s*[#|!<]", piece) else refilled(piece) for piece in pieces))
    return re.sub(r"\n{3,}", "\n\n", "".join(parts))


def refilled(piece: str) -> str:
    """One paragraph or list item, with the line breaks around it."""
    inside = piece.strip("\n")
    start, end = piece[: len(piece) - len(piece.lstrip("\n"))], piece[len(piece.rstrip("\n")) :] if inside else ""
    indent = "  " if inside.startswith("- ") else ""
    filled = fill(" ".join(inside.split()), WIDE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return f"{start}{filled}{end}"


def table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *(f"| {' | '.join(line)} |" for line in lines)]
    return "\n".join(rows) + "\n"


def pictures(files: Mapping[str, str], across: int) -> str:
    """Pictures under their names, so many in a row: name -> file."""
    parts, names = [], list(files)
    for start in range(0, len(names), across):
        row = names[start : start + across]
        parts.append(table(row, [[f"![{name}]({files[name]})" for name in row]]))
    return "\n".join(parts)


def machine(there: Sequence[Result]) -> str:
    """When and on what results were made."""
    if not there:
        return "Nothing was run yet."
    dates = sorted({one["date"] for one in there})
    kinds = sorted({of_machine(one["machine"]) for one in there})
    return f"{dates[0] if len(dates) == 1 else f'{dates[0]} to {dates[-1]}'}; {'; '.join(kinds)}."


def of_machine(facts: Mapping[str, object]) -> str:
    fast = "fast bf16" if facts["bf16"] else "no fast bf16"
    return f"{facts['cpu']} ({fast}), torch {facts['torch']}, {counted(int(str(facts['threads'])), 'thread')} a training"
