"""What both sides of the feeding rows read, made in a temporary folder: bundled samples, as files and as a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from gansaku.data.batches import Batches
from gansaku.data.bundled import avatars_file, chairs
from gansaku.data.sources import open_data

from .measure import Work


def picture_files(folder: Path, count: int, size: int) -> list[Path]:
    """The first avatars, enlarged, one JPEG each."""
    folder.mkdir()
    with np.load(avatars_file()) as arrays:
        pictures = arrays["x"][:count]
    paths = [folder / f"{i:05d}.jpg" for i in range(count)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def voxel_files(folder: Path, count: int, size: int) -> tuple[Path, Path]:
    """Chairs as gzip HDF5 with h5py's own choice of chunks, and as .npy for our store."""
    voxels = chairs(count, size).astype(np.uint8)
    usual, array = folder / "voxels.h5", folder / "voxels.npy"
    with h5py.File(usual, "w") as file:
        file.create_dataset("data", data=voxels, compression="gzip")
    np.save(array, voxels)
    return usual, array


def store_batches(source: Path, cache: Path, batch: int, size: int | None = None) -> Work:
    """Batch after batch of the prepared store, shuffled, channels last, float32 in [-1, 1]."""
    batches = Batches(open_data(str(source), size, cache), seed=0, channels_last=True)
    seen = 0

    def next_batch() -> Tensor:
        nonlocal seen
        real, _, _ = batches(seen, 0, batch)
        seen += batch
        return real

    return next_batch


def loader_batches(loader: DataLoader[Tensor]) -> Work:
    """Batch after batch of a DataLoader, pass after pass."""

    def forever() -> Iterator[Tensor]:
        while True:
            yield from loader

    batches = forever()
    return lambda: next(batches)
