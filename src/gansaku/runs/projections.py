"""A projection in files: each given sample beside the nearest one that the generator makes, the numbers, the latents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansaku import files
from gansaku.errors import UsageError
from gansaku.evaluation.projecting import Projected
from gansaku.render.sheet import Pixels, drawable, png, written
from gansaku.render.titled import below, beside, cells, titled
from gansaku.runs import latent_files
from gansaku.sampling import quantized

PICTURE, NUMBERS, LATENTS = "projected.png", "projected.json", "latents.safetensors"
QUANTILES = (0.1, 0.5, 0.9)
PAIRS, FEW = 4, 12  # beside each other; small where there are more than a few
SIDE, SMALL, APART = 128, 96, 24  # pixels of a sample, and between pairs


@dataclass(frozen=True)
class Projection:
    """What was found for samples with these names; `reference` has the distances of other samples, by where they are from."""

    folder: Path
    names: tuple[str, ...]
    classes: tuple[str, ...]  # of each; empty where the generator knows none
    found: Projected
    reference: Mapping[str, tuple[float, ...]]

    @property
    def distances(self) -> tuple[float, ...]:
        """0: the same; 1: as far apart as two random samples of the generator."""
        return tuple(self.found.distances.tolist())

    def plain(self) -> dict[str, Any]:
        """As `--json` prints it."""
        f, levels = self.found, self.found.samples.ndim == 4
        pictures = [
            {"name": name, **({"class": self.classes[i]} if self.classes else {}), "distance": f.distances[i].item(),
             "nearest_random": f.nearest[i].item(), "error": f.errors[i].item() * (127.5 if levels else 0.5),
             "length": f.lengths[i].item(), **self.shares(f.distances[i].item())}
            for i, name in enumerate(self.names)
        ]  # fmt: skip
        told = {
            name: {"n": len(values), "quantiles": quantiles(values), "distances": list(values)}
            for name, values in self.reference.items()
        }
        return {"pictures": pictures, "reference": told, "says": self.sentences()}

    def shares(self, distance: float) -> dict[str, Any]:
        """Of each kind of reference, the share that is nearer than this."""
        if not self.reference:
            return {}
        return {"further_than": {name: float(np.mean(np.less(v, distance))) for name, v in self.reference.items()}}

    def sentences(self) -> list[str]:
        """What a person reads."""
        middle, nearest = (float(np.median(values)) for values in (self.distances, self.found.nearest.tolist()))
        n = len(self.names)
        lines = [
            (f"The {n:,} given ones lie at {middle:.2f} in the median" if n > 1 else f"The given one lies at {middle:.2f}")
            + f"; the nearest random samples, where the search began, at {nearest:.2f}. "
            "0 is the same sample, 1 as far as two random samples of this generator are apart."
        ]
        told = [
            f"{len(values)} {name} {q['50%']:.2f} (80 % of them {q['10%']:.2f} to {q['90%']:.2f})"
            for name, values in self.reference.items()
            for q in [quantiles(values)]
        ]
        if told:
            lines.append(f"For comparison, in the median: {', '.join(told)}.")
        return lines


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """By their names: 10%, 50%, 90%."""
    found = np.quantile(values, QUANTILES).tolist()
    return {f"{share:.0%}": value for share, value in zip(QUANTILES, found, strict=True)}


def check(out: Path) -> None:
    """Raises UsageError for what can be no folder of several files."""
    if out.is_file() or out.suffix in (".png", ".json", ".safetensors", ".npz"):
        raise UsageError(str(out), "is no folder; several files are written, so name a folder", "FILE")


def write(projection: Projection, given: Tensor, notes: Mapping[str, str]) -> None:
    """The three files; `given` (n, C, *S) in [-1, 1] are the samples that were projected."""
    out = projection.folder
    files.make_folder(out)
    files.write_bytes(out / PICTURE, png(drawn(projection, given), notes))
    files.write_text(out / NUMBERS, json.dumps({**projection.plain(), "notes": dict(notes)}, indent=1) + "\n")
    found = projection.found
    files.write_bytes(out / LATENTS, latent_files.content(found.latents, found.labels, notes))


def drawn(projection: Projection, given: Tensor) -> Pixels:
    """The whole picture (H, W, 3): pairs, the given sample on the left, what was found on the right."""
    n, side = len(given), SIDE if len(given) <= FEW else SMALL
    pictures = cells(quantized(torch.cat([given, projection.found.samples])).numpy(), side)
    right = [f"{distance:.2f}" for distance in projection.distances]
    if projection.classes:
        right = [f"{text}  {drawable(name)}" for text, name in zip(right, projection.classes, strict=True)]
    pairs = [
        beside([captioned(pictures[i], drawable(Path(name).name) or f"{i}"), captioned(pictures[n + i], right[i])])
        for i, name in enumerate(projection.names)
    ]
    rows = [beside(pairs[i : i + PAIRS], APART) for i in range(0, n, PAIRS)]
    lines = ["Left what was given, right the nearest that the generator makes, with its distance.", *projection.sentences()]
    return titled(below(rows, APART // 2), "Projected into latent space", lines)


def captioned(picture: Pixels, text: str) -> Pixels:
    """A picture (H, W, 3) with a line below it."""
    return np.concatenate([picture, written(text, picture.shape[1])])
