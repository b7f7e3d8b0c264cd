"""Features of the first n samples, block by block: kept in the cache, so that a stopped extraction goes on and the next
one with the same samples, extractor, resize and precision reads what is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gansaku import files
from gansaku.errors import DataError, DiskError
from gansaku.evaluation.samples import Samples
from gansaku.extractors.contract import Extracted, Extractor

BLOCK = 128  # samples in one file of the cache: what a stop may cost
STEP = 64  # samples between two words about the progress
MOST = 8 << 30  # bytes of features in the cache
VERSION = 1  # to be raised when the same key would give other features

Progress = Callable[[int, int], None]


class Key(NamedTuple):
    """All that features depend on."""

    samples: dict[str, Any]
    extractor: str
    sha256: str
    resize: str
    precision: str
    device: str

    def folder(self, cache: Path) -> Path:
        content = json.dumps([VERSION, BLOCK, self._asdict()], sort_keys=True)
        return cache / "features" / f"{self.extractor}-{hashlib.sha256(content.encode()).hexdigest()[:24]}"


def key(samples: Samples, extractor: Extractor, device: str = "cpu") -> Key:
    return Key(samples.identity, *extractor.identity, extractor.resize, extractor.precision, device)


def extracted(
    samples: Samples,
    n: int,
    extractor: Extractor,
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
    device: str = "cpu",
) -> Extracted:
    """Features (n, F) and logits of samples 0 … n-1. Without a cache nothing is kept."""
    folder = key(samples, extractor, device).folder(cache) if cache else None
    parts: list[Extracted] = []
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        path = folder and folder / f"{start // BLOCK:06d}.safetensors"
        block = path and read(path, stop - start, extractor)
        if not block:
            pieces = []
            for first in range(start, stop, STEP):
                last = min(first + STEP, stop)
                pieces.append(extractor(samples.block(first, last)))
                progress(last, n)
            block = joined(pieces)
            if not block.features.isfinite().all():
                sentence = f"has features that are not finite among samples {start} to {stop - 1}, by {extractor.identity.name}"
                raise DataError(samples.name, sentence, "FEATURES")
            if folder and path:
                with suppress(DiskError):  # a cache that cannot be written costs time, not the score
                    files.make_folder(folder)
                    files.write_bytes(path, safetensors.torch.save(content(block)))
        parts.append(block)
        progress(stop, n)
    return joined(parts)


def read(path: Path, rows: int, extractor: Extractor) -> Extracted | None:
    """What a block of the cache holds of the first rows; None if it is not there, damaged, or too short."""
    try:
        found = safetensors.torch.load_file(path)
    except (OSError, SafetensorError):
        return None
    features, logits = found.get("features"), found.get("logits")
    if features is None or features.shape[1:] != (extractor.features,) or len(features) < rows:
        return None
    if (logits is None) != (extractor.classes == 0):
        return None
    return Extracted(features[:rows], None if logits is None else logits[:rows])


def rows_in(path: Path) -> int:
    """How many samples a block of the cache holds; 0 if it is not there or damaged."""
    try:
        with safe_open(path, "pt") as file:
            return int(file.get_slice("features").get_shape()[0])
    except (OSError, SafetensorError):
        return 0


def content(block: Extracted) -> dict[str, Tensor]:
    named = {"features": block.features.contiguous()}
    return named if block.logits is None else {**named, "logits": block.logits.contiguous()}


def joined(parts: list[Extracted]) -> Extracted:
    logits = [part.logits for part in parts if part.logits is not None]
    return Extracted(torch.cat([part.features for part in parts]), torch.cat(logits) if logits else None)


def prune(cache: Path, keep: Collection[Path] = (), most: int = MOST) -> None:
    """Remove the features that were made longest ago until no more than `most` bytes are left; `keep` stay anyway."""
    found = []
    for folder in (cache / "features").glob("*"):
        with suppress(OSError):  # another process removes too
            stats = [block.stat() for block in folder.iterdir()]
            found.append((max((one.st_mtime for one in stats), default=0.0), sum(one.st_size for one in stats), folder))
    total = sum(size for _, size, _ in found)
    for _, size, folder in sorted(found):
        if total > most and folder not in keep:
            with suppress(DiskError, OSError):
                files.remove(folder)
            total -= size
