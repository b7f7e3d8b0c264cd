"""Packs what render.mjs wrote into the bundled .npz, or says how far it agrees with the one that is there.

python pack.py FOLDER DEST.npz       writes it
python pack.py FOLDER SAME.npz --compare
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

SIZE = 32


def packed(folder: Path) -> dict[str, np.ndarray]:
    """`x` (N, 32, 32, 3) uint8; `hair` and `skin` as indices into their sorted colors, `glasses` 0 or 1, (N,) uint8."""
    pixels = np.frombuffer((folder / "pixels.rgba").read_bytes(), np.uint8).reshape(-1, SIZE, SIZE, 4)
    labels = json.loads((folder / "labels.json").read_text())
    arrays = {"x": pixels[..., :3]}
    for label in ("hair", "skin"):
        names, indices = np.unique([each[label] for each in labels], return_inverse=True)
        arrays |= {label: indices.astype(np.uint8), f"{label}_names": names}
    return arrays | {"glasses": np.array([each["glasses"] for each in labels], np.uint8)}


def agreement(ours: dict[str, np.ndarray], bundled: dict[str, np.ndarray]) -> str:
    """How many of our avatars are the bundled ones of the same number, pixel for pixel and label for label."""
    count = len(ours["x"])
    same = (ours["x"] == bundled["x"][:count]).all(axis=(1, 2, 3))
    for label in ("hair", "skin"):
        same &= ours[f"{label}_names"][ours[label]] == bundled[f"{label}_names"][bundled[label][:count]]
    same &= ours["glasses"] == bundled["glasses"][:count]
    return f"{same.sum():,} of {count:,} avatars agree in every pixel and label"


if __name__ == "__main__":
    ours = packed(Path(sys.argv[1]))
    if sys.argv[3:] == ["--compare"]:
        with np.load(sys.argv[2]) as bundled:
            print(agreement(ours, dict(bundled)))
    else:
        np.savez_compressed(sys.argv[2], allow_pickle=False, **ours)
