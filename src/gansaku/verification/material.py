"""The data of a verification: bundled samples in memory, so that it needs no preparation and leaves no file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gansaku.data.bundled import avatars_file, chairs
from gansaku.data.store import Dataset, packed
from gansaku.errors import UsageError

SIDE = 16  # of the chairs
CHAIRS = 400


def material(name: str, labelled: bool) -> Dataset:
    """`avatars`: 2,539 pictures (3, 32, 32), with two classes where `labelled`; `chairs`: 400 voxels (1, 16, 16, 16).

    The avatars are those of the darkest and of the lightest skin: classes that a generator learns to tell in seconds.
    """
    classes: tuple[str, ...] = ()
    if name == "chairs":
        shape, stored = (1, SIDE, SIDE, SIDE), packed(chairs(CHAIRS, SIDE)[..., None].astype(np.uint8))
        labels = np.zeros(CHAIRS, np.int64)
    elif name == "avatars":
        with np.load(avatars_file(), allow_pickle=False) as file:
            samples, skin, tones = file["x"], file["skin"].astype(np.int64), file["skin_names"].tolist()
        lightest = len(tones) - 1
        rows = np.flatnonzero((skin == 0) | (skin == lightest))
        stored, labels, classes = samples[rows], skin[rows] // lightest, (tones[0], tones[lightest])
        shape = (3, *stored.shape[1:3])
    else:
        raise UsageError(name, "is no bundled set; there are avatars and chairs", "DATA")
    if not labelled:
        labels, classes = np.zeros_like(labels), ()
    return Dataset(Path(name), name, shape, classes, labels, {}, {"train": len(stored)}, "", name, {}, stored)
