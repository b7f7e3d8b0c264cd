"""What this machine can do."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import torch

from gansaku.errors import UsageError


def device(name: str = "auto") -> torch.device:
    """cuda where there is one, else cpu; or the one named. Raises UsageError for one that is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    kind = name.split(":")[0]
    if kind not in there:
        raise UsageError("--device", f"{name!r} is no device; use auto, cpu, cuda or mps", "DEVICE")
    if not there[kind]:
        usable = ", ".join(k for k, yes in there.items() if yes)
        raise UsageError("--device", f"{name} is not on this machine; usable: auto, {usable}", "DEVICE")
    return torch.device(name)


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
