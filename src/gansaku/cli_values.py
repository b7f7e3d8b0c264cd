"""How values are written on the command line, and what their flags are called."""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Any

import tyro

from gansaku.errors import UsageError

Flag = tyro.conf.arg
Positional: Any = tyro.conf.Positional
Texts = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
Use = Annotated[Texts, Flag(metavar="FILE.py", help_behavior_hint="")]
Json = Annotated[bool, Flag(name="json", help_behavior_hint="")]
Text = Annotated[str | None, Flag(metavar="TEXT", help_behavior_hint="")]
Positionals = Annotated[tuple[str, ...], Positional]


def repeated(given: list[str]) -> list[str]:
    """`--set a=1 b=2` as `--set a=1 --set b=2`, and so `--vary`."""
    result: list[str] = []
    flag = ""  # whose values follow
    for argument in given:
        if argument.startswith("-"):
            flag = argument if argument in ("--set", "--vary") else ""
        elif flag == "--set" and "=" not in argument:
            raise UsageError(f"--set {argument}", "is no PATH=VALUE, as generator.lr=1e-3", "SETTING")
        elif flag and result[-1] != flag and "=" in argument:
            result.append(flag)
        result.append(argument)
    return result


def setting(text: str) -> tuple[str, Any]:
    """`generator.lr=1e-3` -> (path, value); the value as TOML has it, else as bare text."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise UsageError(f"--set {text}", "is no PATH=VALUE, as generator.lr=1e-3", "SETTING")
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # TOMLDecodeError is a ValueError; so is a number of thousands of digits
        return path, value


def seconds(text: str, flag: str = "--budget") -> float:
    """90s, 30m, 9h, 1h30m -> seconds; a bare number is seconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return bounded(float(text), text, flag)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise UsageError(flag, f"{text!r} is no time; write 90s, 30m, 9h or 1h30m", "BUDGET")
    return bounded(sum(float(number) * units[unit] for number, unit in found), text, flag)


def bounded(time: float, text: str, flag: str) -> float:
    """The seconds. Raises UsageError for more than a person waits."""
    if time > 1e10:
        raise UsageError(flag, f"{text[:40]!r} is longer than three hundred years; leave it out", "BUDGET")
    return time


def listed(text: str | None) -> tuple[str, ...]:
    """`fid, kid` -> ("fid", "kid")."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def share(text: str, flag: str = "--max-bad", most: float = 1) -> float:
    """1% or 0.01 -> 0.01; at most 100 %, where not more is allowed."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise UsageError(flag, f"{text!r} is no share; write 10% or 0.1", "SHARE")
    return value


def size(text: str | None, flag: str = "--size") -> int | tuple[int, int] | None:
    """64 -> 64; 96x64, width by height -> (64, 96), height first as everywhere in the code."""
    if text is None or re.fullmatch(r"\d{1,6}", text):
        return None if text is None else int(text)
    found = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text)
    if not found:
        raise UsageError(flag, f"{text!r} is no size; write 64, or 96x64 for 96 wide and 64 high", "SIZE")
    return int(found[2]), int(found[1])


def colour(text: str) -> tuple[int, int, int]:
    """white, #ffffff or 255,255,255 -> (255, 255, 255)."""
    from PIL import ImageColor

    given = f"rgb({text})" if re.fullmatch(r"\d+,\d+,\d+", text.replace(" ", "")) else text
    try:
        red, green, blue = ImageColor.getrgb(given)[:3]
    except ValueError:
        raise UsageError("--background", f"{text!r} is no colour; write white, #ffffff or 255,255,255", "COLOUR") from None
    return red, green, blue


def numbers(text: str, flag: str) -> tuple[float, ...]:
    """1,2,3 -> (1.0, 2.0, 3.0)."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(flag, f"{text!r} is no list of numbers; write 1,2,3", "NUMBERS") from None


def capacity(text: str | None, flag: str) -> int | None:
    """2GB, 500MB -> bytes; a bare number is bytes."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB|)", text, re.IGNORECASE)
    if not found or float(found[1]) <= 0:
        raise UsageError(flag, f"{text!r} is no amount; write 500MB or 2GB", "AMOUNT")
    return int(float(found[1]) * {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}[found[2].lower()])
