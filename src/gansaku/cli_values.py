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
    """`--set a=1 b=2` as `--set a=1 --set b=2`."""
    result: list[str] = []
    setting_next = False
    for argument in given:
        if argument.startswith("-"):
            setting_next = False
        elif setting_next and result[-1] != "--set":
            result.append("--set")
        if argument == "--set":
            setting_next = True
        elif setting_next and "=" not in argument:
            raise UsageError(f"--set {argument}", "is no PATH=VALUE, as generator.lr=1e-3", "SETTING")
        result.append(argument)
    return result


def setting(text: str) -> tuple[str, Any]:
    """`generator.lr=1e-3` -> (path, value); the value as TOML has it, else as bare text."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise UsageError(f"--set {text}", "is no PATH=VALUE, as generator.lr=1e-3", "SETTING")
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path, value


def seconds(text: str) -> float:
    """90s, 30m, 9h, 1h30m -> seconds; a bare number is seconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise UsageError("--budget", f"{text!r} is no time; write 90s, 30m, 9h or 1h30m", "BUDGET")
    return sum(float(number) * units[unit] for number, unit in found)


def listed(text: str | None) -> tuple[str, ...]:
    """`fid, kid` -> ("fid", "kid")."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def share(text: str, flag: str = "--max-bad") -> float:
    """1% or 0.01 -> 0.01."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(flag, f"{text!r} is no share; write 1% or 0.01", "SHARE")
    return value
