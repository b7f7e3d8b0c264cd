"""Names turned into random numbers: the same key gives the same numbers, whatever was drawn before."""

from __future__ import annotations

from hashlib import blake2b

import torch


def key(*names: object) -> int:
    """A 63-bit seed for any sequence of names and numbers."""
    text = "/".join(map(str, names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*names: object) -> torch.Generator:
    """A fresh CPU generator at its start: drawing on the CPU gives the same numbers beside every device."""
    return torch.Generator().manual_seed(key(*names))
