"""Extractors by name or by file. A file of this package with an `Extractor` that has a name adds one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import torch

from gansaku import extractors, hardware
from gansaku.errors import UsageError, nearest
from gansaku.extractors.contract import Extractor, Precision
from gansaku.extractors.foreign import SUFFIXES, Foreign
from gansaku.extractors.published import PUBLISHED
from gansaku.extractors.weights import found, recognized, sha256, way_to_get

STANDARD = "inception-2015"  # the extractor that FID, KID, MiFID and the Inception Score are defined on
WEIGHTS = (".pth", ".pt", ".safetensors", ".jit", ".torchscript")
KINDS = {2: "pictures", 3: "voxels"}


def known() -> dict[str, type[Extractor]]:
    """All named extractors."""
    for module in pkgutil.iter_modules(extractors.__path__):
        importlib.import_module(f"{extractors.__name__}.{module.name}")
    waiting, made = [Extractor], {}
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.name and cls.__module__.startswith(f"{extractors.__name__}."):
            made[cls.name] = cls
    return dict(sorted(made.items()))


def names() -> dict[str, bool]:
    """All names, with whether the weights are on this machine."""
    return {name: not cls.has_weights or found(name) is not None for name, cls in known().items()}


def find(
    name_or_file: str | None = None,
    resize: str | None = None,
    precision: str = "fp32",
    device: torch.device = torch.device("cpu"),  # noqa: B008
    shape: Sequence[int] = (3, 64, 64),
    weights: str | None = None,
) -> Extractor:
    """The extractor for samples of a shape (C, *S), by its name, a file of published weights, or an .onnx or TorchScript file.

    None is the 2015 Inception for pictures if its weights are here, else random convolutions. `weights` is the file of a
    named extractor that lies elsewhere than in the cache. Raises UsageError for what does not exist or does not fit.
    """
    cls, weights, where = chosen(name_or_file, weights, len(shape) - 1)
    kind = Foreign if cls is None else cls
    fits(kind, where, len(shape) - 1)
    if resize is not None and resize not in kind.resizes:
        raise UsageError(
            "--resize", f"{resize!r} is no way in which {where} resizes{nearest(resize, list(kind.resizes))}", "RESIZE"
        )
    exact = precise(kind, where, precision, device)
    if cls is None:
        return Foreign(Path(where), resize, exact, device, tuple(shape), reserved=list(known()))
    make = cast(Any, cls)  # each has the constructor that the contract names
    return cast(Extractor, make(resize or cls.resizes[0], exact, device, weights))


def chosen(name_or_file: str | None, weights: str | None, dimensions: int) -> tuple[type[Extractor] | None, str | None, str]:
    """The class (None for a file with a network of its own), its file of weights if one was named, and what to call it."""
    every = known()
    if name_or_file is None:
        standard = dimensions == 2 and (weights is not None or found(STANDARD) is not None)
        name_or_file = STANDARD if standard else f"random-{dimensions}d"
    if name_or_file in every:
        return every[name_or_file], weights, name_or_file
    path = Path(name_or_file)
    if not path.is_file():
        raise UsageError(
            "--extractor",
            f"{name_or_file!r} is neither an extractor nor a file{nearest(name_or_file, list(every))}",
            "EXTRACTOR",
        )
    if path.suffix.lower() in WEIGHTS and (name := recognized(sha256(path))):
        return every[name], str(path), name
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            name_or_file, "holds no published weights (its SHA-256 is not known) and is no network: an .onnx or a TorchScript "
            f"file ({', '.join(SUFFIXES)}) is one", "EXTRACTOR"
        )  # fmt: skip
    return None, None, name_or_file


def fits(cls: type[Extractor], where: str, dimensions: int) -> None:
    """Raises UsageError when the extractor takes other samples than these."""
    if dimensions not in cls.dimensions:
        takes = " and ".join(KINDS[d] for d in cls.dimensions)
        others = [name for name, other in known().items() if dimensions in other.dimensions]
        raise UsageError(
            "--extractor", f"{where} takes {takes}, and these are {KINDS.get(dimensions, f'{dimensions}-dimensional')}; "
            f"use {' or '.join(others) or 'no extractor'}", "EXTRACTOR"
        )  # fmt: skip


def precise(cls: type[Extractor], where: str, precision: str, device: torch.device) -> Precision:
    """The same precision. Raises UsageError when the extractor or the device has not got it."""
    if precision not in get_args(Precision):
        raise UsageError(
            "--precision", f"{precision!r} is no precision{nearest(precision, list(get_args(Precision)))}", "PRECISION"
        )
    if precision not in cls.precisions:
        raise UsageError("--precision", f"{where} runs in {' or '.join(cls.precisions)}, not in {precision}", "PRECISION")
    if precision == "bf16" and not hardware.fast_bf16(device):
        raise UsageError("--precision", f"{device.type} has no bf16 in hardware here, so it would be slower than fp32",
                         "PRECISION")  # fmt: skip
    return precision


def listing() -> list[dict[str, Any]]:
    """Each extractor: its name, what it takes, whether its weights are here, where, how to get them, and their licence."""
    rows = []
    for name, cls in known().items():
        there = found(name)
        rows.append({
            "name": name,
            "takes": [KINDS[d] for d in cls.dimensions],
            "resizes": list(cls.resizes),
            "precisions": list(cls.precisions),
            "here": there is not None or not cls.has_weights,
            "path": None if there is None else str(there),
            "get": way_to_get(name) if cls.has_weights else "needs no file: its weights are made from a seed",
            "licence": next((one.licence for one in PUBLISHED.get(name, ())), ""),
        })  # fmt: skip
    return rows
