"""What this machine can do."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch

from gansaku.errors import UsageError


def device(name: str = "auto") -> torch.device:
    """cuda where there is one, else cpu; or the one named. Raises UsageError for one that is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    mine = os.environ.get("LOCAL_RANK", "")  # of many processes on a machine, each has a GPU of its own
    if name in ("auto", "cuda") and there["cuda"] and mine.isdecimal():
        name = f"cuda:{mine}"
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    kind, _, number = name.partition(":")
    if kind not in there or (":" in name and not (number.isascii() and number.isdecimal() and len(number) < 4)):
        raise UsageError("--device", f"{name!r} is no device; use auto, cpu, cuda or mps", "DEVICE")
    if not there[kind]:
        usable = ", ".join(k for k, yes in there.items() if yes)
        raise UsageError("--device", f"{name} is not on this machine; usable: auto, {usable}", "DEVICE")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= count:
        raise UsageError("--device", f"{name} is not on this machine; it has {count}, numbered from 0", "DEVICE")
    return torch.device(name)


def check_ranks(environment: Mapping[str, str] = os.environ) -> None:
    """Raises UsageError when what a launcher of many processes sets is there by half, or is no number."""
    names = ("RANK", "WORLD_SIZE")
    given = {name: environment[name] for name in names if environment.get(name)}
    missing = [name for name in names if name not in given]
    if given and missing:
        raise UsageError(next(iter(given)), f"is set and {missing[0]} is not; start with torchrun, which sets both, "
                         "or set none", "RANKS")  # fmt: skip
    for name, value in given.items():
        if not (value.isascii() and value.isdecimal() and len(value) < 7):
            raise UsageError(name, f"is {value!r}, which is no number of processes; torchrun sets it", "RANKS")
    if given and int(given["RANK"]) >= int(given["WORLD_SIZE"]):
        raise UsageError("RANK", f"is {given['RANK']} of {given['WORLD_SIZE']} processes, which are numbered from 0", "RANKS")


def memory(where: torch.device) -> int | None:
    """Bytes of memory that the device has; None where the system does not say."""
    if where.type == "cuda":
        return torch.cuda.get_device_properties(where).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def fast_bf16(where: torch.device) -> bool:
    """Whether bf16 is done in hardware: emulated, it is slower than fp32."""
    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if where.type == "cpu":
        asks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
        return any(ask is not None and ask() for ask in asks)
    return False


def describe(where: torch.device) -> dict[str, Any]:
    """What decides whether a run continues with the same bits."""
    return {
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "bf16": fast_bf16(where),
    }


def versions() -> dict[str, str]:
    """What numbers come out of: Python, the libraries and the system."""
    packages = {name: metadata.version(name) for name in ("torch", "numpy", "pillow", "h5py", "safetensors")}
    return {"python": platform.python_version(), **packages, "system": f"{platform.system()} {platform.machine()}"}
