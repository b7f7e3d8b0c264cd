"""How a report writes what it has to say, safe inside a page."""

from __future__ import annotations

import shlex
from datetime import datetime
from html import escape

UNREAD = "The log could not be read."


def e(value: object) -> str:
    """Text that is safe between tags and inside quoted attributes."""
    return escape(str(value).encode(errors="replace").decode(), quote=True)


def plain(value: object) -> str:
    """yes and no instead of True and False, lists without brackets."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def q(text: str) -> str:
    """One word for a shell."""
    return shlex.quote(text)


def code(text: str) -> str:
    return f'<div class="code"><pre>{e(text)}</pre><button type="button" class="copy" hidden>Copy</button></div>'


def moment(seconds: float) -> str:
    """2026-11-20 21:40 UTC, in this machine's time zone."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    except (OverflowError, OSError, ValueError, TypeError):
        return "unknown when"
