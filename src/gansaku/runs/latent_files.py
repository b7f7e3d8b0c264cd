"""Latents in a file: what `project` found, and what `walk` and `directions` take. Safetensors: numbers and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from gansaku.errors import UsageError
from gansaku.recipe import Recipe


def content(latents: Tensor, labels: Tensor, notes: Mapping[str, str]) -> bytes:
    """`latents` (n, Z) fp32 and `labels` (n,) int64; the notes say which run they belong to."""
    return saved({"latents": latents.float(), "labels": labels.long()}, notes)


def saved(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> bytes:
    """Safetensors, the same bytes each time: several notes of its own kind would come in any order, so they are one."""
    return safetensors.torch.save(
        {name: each.contiguous() for name, each in tensors.items()}, {"notes": json.dumps(dict(notes))}
    )


def read(path: str | Path, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Latents (n, Z) and labels (n,), zeros where the file has none. Raises UsageError for what does not fit the recipe."""
    where = str(path)
    try:
        found = safetensors.torch.load_file(where)
    except (OSError, ValueError, SafetensorError):
        raise UsageError(where, "is no file of latents; `gansaku project` writes one", "LATENTS") from None
    if "latents" not in found:
        raise UsageError(
            where, f"holds {', '.join(found) or 'nothing'} and no `latents`; `gansaku project` writes some", "LATENTS"
        )
    latents, size = found["latents"].float(), recipe.latent.size
    if latents.ndim != 2 or len(latents) < 1 or latents.shape[1] != size or not latents.isfinite().all():
        raise UsageError(where, f"holds latents {tuple(latents.shape)}, and the generator takes rows of {size} finite numbers",
                         "LATENTS")  # fmt: skip
    labels = found.get("labels", torch.zeros(len(latents))).long()
    if labels.shape != latents.shape[:1] or labels.min() < 0 or labels.max() >= max(1, recipe.classes):
        raise UsageError(where, f"has labels that do not fit {len(latents)} latents of {max(1, recipe.classes)} classes",
                         "LATENTS")  # fmt: skip
    return latents, labels
