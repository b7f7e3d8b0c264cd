"""Parts: frozen dataclasses whose fields are their settings, found by name, written to and read from plain data.

`encode` and `decode` turn a tree of parts into dicts, lists, numbers and strings (what TOML holds) and back.
`changed` sets one field deep inside such a tree; `difference` lists what two trees do not share.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, TypeVar, cast, dataclass_transform

from gansaku.errors import RecipeError, nearest

T = TypeVar("T")
_registry: dict[str, type] = {}


@dataclass_transform(frozen_default=True)
def part(cls: type[T]) -> type[T]:
    """Make the class a frozen dataclass and register it under its name, so that files and `--set` can name it."""
    made = dataclasses.dataclass(frozen=True)(cls)
    other = _registry.get(cls.__name__)
    if other is not None and other.__module__ != cls.__module__:  # the same module again is a notebook cell run twice
        raise TypeError(f"two parts are called {cls.__name__}: {other.__module__} and {cls.__module__}")
    _registry[cls.__name__] = made
    return made


def parts(kind: type[T] | None = None) -> dict[str, type[T]]:
    """All registered parts by name, or those of one kind."""
    return {name: cls for name, cls in sorted(_registry.items()) if kind is None or issubclass(cls, kind)}


def require(condition: bool, field: str, sentence: str) -> None:
    """For `__post_init__`: RecipeError at `field` unless the condition holds; `decode` puts the path before it."""
    if not condition:
        raise RecipeError(field, sentence, "SETTING")


def is_part(value: object) -> bool:
    return type(value).__name__ in _registry and dataclasses.is_dataclass(value)


def part_name(value: object) -> str:
    """The part's class name as signals and files write it: GradientPenalty -> gradient_penalty, R1 -> r1."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(value).__name__).lower()


def encode(value: Any, declared: Any = None) -> Any:
    """Plain data for a part, with its class under the key `part` unless that is exactly the declared class.

    None becomes the string "none", which TOML can hold.
    """
    if is_part(value):
        hints = typing.get_type_hints(type(value))
        fields = {f.name: encode(getattr(value, f.name), hints[f.name]) for f in dataclasses.fields(value)}
        return fields if type(value) is _only(declared) else {"part": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [encode(item, _item(declared, i)) for i, item in enumerate(value)]
    if value is None:
        return "none"
    return value


def decode(data: Any, declared: Any, path: str = "recipe") -> Any:
    """The value of the declared type that the plain data describe.

    Raises RecipeError at the path of an unknown key or part, of a wrong type, or of a value out of range.
    """
    options = _options(declared)
    if data == "none" and type(None) in options:
        return None
    origin = typing.get_origin(options[0])
    if origin is Literal:
        known = [str(choice) for choice in typing.get_args(options[0])]
        if data in typing.get_args(options[0]):
            return data
        raise RecipeError(path, f"{data!r} is none of the choices{nearest(str(data), known)}", "SETTING")
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise RecipeError(path, f"{data!r} is not a list", "SETTING")
        inside = typing.get_args(options[0])
        if Ellipsis not in inside and len(inside) != len(data):
            raise RecipeError(path, f"{shown(data)} has {len(data)} entries; it takes {len(inside)}", "SETTING")
        return tuple(decode(item, _item(declared, i), f"{path}.{i}") for i, item in enumerate(data))
    if options[0] in (int, float, str, bool):
        return _number_or_text(data, options[0], path)
    return _decode_part(data, options, path)


def changed(value: T, settings: Mapping[str, Any]) -> T:
    """The same part with fields at dotted paths replaced, all at once: what only fits together may be set together.

    A new value is a value, a part, or plain data to decode. Steps into a tuple are its indices:
    `discriminator.terms.0.weight`. A step into a part by its name alone takes that part's defaults.
    """
    data = encode(value, type(value))
    for path, new in settings.items():
        data = _with(data, path.split("."), encode(new), "")
    return cast(T, decode(data, type(value), ""))


class Change(NamedTuple):
    """One setting that differs: its dotted path and both values as they are written."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {shown(self.before)} → {shown(self.after)}"


def difference(a: Any, b: Any) -> list[Change]:
    """What must be set on `a` to get `b`. Where a part was exchanged: its name, and what is not that part's default."""
    return list(_difference(encode(a), encode(b), ""))


def shown(value: Any) -> str:
    """A setting as a person writes it: parts by name, lists in brackets, numbers short."""
    if isinstance(value, dict):
        inside = ", ".join(f"{k}={shown(v)}" for k, v in value.items() if k != "part")
        return f"{value.get('part', '')}({inside})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _difference(a: Any, b: Any, path: str) -> Iterator[Change]:
    if a == b:
        return
    if not isinstance(a, dict) or not isinstance(b, dict):
        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                yield from _difference(x, y, f"{path}.{i}".lstrip("."))
        else:
            yield Change(path, a, b)
        return
    if a.get("part") != b.get("part"):
        yield Change(f"{path}.part".lstrip("."), a.get("part"), b.get("part"))
        a = _defaults(b.get("part"))
    for key in b:
        if key != "part" and (key not in a or a[key] != b[key]):
            yield from _difference(a.get(key, "unset"), b[key], f"{path}.{key}".lstrip("."))


def _defaults(name: Any) -> dict[str, Any]:
    cls = _registry.get(str(name))
    if cls is None:
        return {}
    hints = typing.get_type_hints(cls)
    return {f.name: encode(f.default, hints[f.name]) for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}


def _with(data: Any, steps: list[str], new: Any, path: str) -> Any:
    """Plain data with what is at the end of the steps replaced."""
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    here = _join(path, step)
    if isinstance(data, str) and data in _registry:
        data = {"part": data}
    if isinstance(data, list):
        if not step.isdigit() or int(step) >= len(data):
            raise RecipeError(here, f"there are {len(data)} entries, numbered from 0", "SETTING")
        return [_with(item, rest, new, here) if i == int(step) else item for i, item in enumerate(data)]
    if not isinstance(data, dict):
        raise RecipeError(here, f"{path} is {shown(data)} and has no settings of its own", "SETTING")
    if step == "part" and not rest:
        return {"part": new}
    if rest and step not in data and not _has_field(data.get("part"), step):
        known = [name for name in data if name != "part"]
        raise RecipeError(here, f"{path or 'the recipe'} has no setting {step!r}{nearest(step, known)}", "SETTING")
    inside = data.get(step, _defaults(data.get("part")).get(step))
    return {**data, step: _with(inside, rest, new, here)}


def _has_field(part_name: Any, field: str) -> bool:
    cls: Any = _registry.get(str(part_name))
    return cls is not None and field in {f.name for f in dataclasses.fields(cls)}


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _decode_part(data: Any, options: list[Any], path: str) -> Any:
    if isinstance(data, str):
        data = {"part": data}
    if not isinstance(data, Mapping):
        raise RecipeError(path, f"{data!r} is not a part; write its name or a table", "SETTING")
    kind = options[0]
    known = parts(kind)
    name = data.get("part", kind.__name__)
    if not isinstance(name, str) or name not in _registry:
        own = "; a part from a file of your own needs --use FILE"
        raise RecipeError(path, f"unknown part {name!r}{nearest(str(name), list(known))}{own}", "PART")
    if name not in known:
        raise RecipeError(path, f"{name} is no {kind.__name__}; known: {', '.join(known)}", "PART")
    cls: Any = known[name]
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in data:
        if key != "part" and key not in fields:
            raise RecipeError(_join(path, key), f"{name} has no setting {key!r}{nearest(key, list(fields))}", "SETTING")
    missing = [f for f, field in fields.items() if f not in data and _required(field)]
    if missing:
        raise RecipeError(path, f"{name} needs {', '.join(missing)}", "SETTING")
    values = {key: decode(item, hints[key], _join(path, key)) for key, item in data.items() if key != "part"}
    with _prefixed(path):
        return cls(**values)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@contextmanager
def _prefixed(path: str) -> Iterator[None]:
    """Put the path before the field that a part's own check complained about."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(_join(path, error.where), error.sentence, error.code) from None


def _number_or_text(data: Any, kind: Any, path: str) -> Any:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    fits = isinstance(data, kind) and not (isinstance(data, bool) and kind is not bool)
    if kind is int and isinstance(data, float) and data.is_integer():
        data, fits = int(data), True  # 1e6, as a person writes a million
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        data, fits = float(data), True  # a whole number where a float belongs: torch refuses Adam(betas=(0, 0.9))
    if not fits:
        raise RecipeError(path, f"{data!r} is not {words[kind]}", "SETTING")
    if isinstance(data, float) and not math.isfinite(data):
        raise RecipeError(path, f"{data} is not a finite number", "SETTING")
    return data


def _options(declared: Any) -> list[Any]:
    """The members of a union, the one that is not None first."""
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return sorted(typing.get_args(declared), key=lambda option: option is type(None))
    return [declared]


def _only(declared: Any) -> Any:
    return None if declared is None else _options(declared)[0]


def _item(declared: Any, index: int) -> Any:
    if declared is None:
        return None
    inside = typing.get_args(_options(declared)[0])
    return inside[0] if len(inside) == 2 and inside[1] is Ellipsis else inside[min(index, len(inside) - 1)]
