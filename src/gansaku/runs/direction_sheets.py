"""Directions in files: samples moved along each, what each is worth beside a random direction, and the vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gansaku import files
from gansaku.contract import Phase
from gansaku.evaluation.directions import moved
from gansaku.extractors.contract import Extractor
from gansaku.recipe import Recipe
from gansaku.render.sheet import Pixels, png, sheet
from gansaku.render.titled import below, beside, cells, named, titled
from gansaku.runs import latent_files
from gansaku.runs.walks import features
from gansaku.sampling import in_blocks, quantized

PICTURE, NUMBERS, VECTORS = "directions.png", "directions.json", "directions.safetensors"
SIDES, APART, NAMES = {2: 64, 3: 96}, 16, 84  # pixels of a picture or drawn voxels, between samples, of the rows' names


@dataclass(frozen=True)
class Found:
    """The first directions `vectors` (k, Z), all `eigenvalues` (Z,), and how far features move along each.

    `changes` are means over samples of the way in an extractor's features from -scale to scale, and `random` those of
    random directions.
    """

    folder: Path
    vectors: Tensor
    eigenvalues: Tensor
    layers: tuple[str, ...]
    scale: float
    changes: tuple[float, ...]
    random: tuple[float, ...]

    @property
    def times(self) -> tuple[float, ...]:
        """Each change as a multiple of the mean change along a random direction; 0 where nothing changes at all."""
        middle = sum(self.random) / len(self.random)
        return tuple(change / middle if middle else 0.0 for change in self.changes)

    def plain(self) -> dict[str, Any]:
        """As `--json` prints it."""
        rows = [
            {"direction": i + 1, "eigenvalue": self.eigenvalues[i].item(), "change": self.changes[i], "times_random": times}
            for i, times in enumerate(self.times)
        ]
        return {"layers": list(self.layers), "scale": self.scale, "directions": rows, "random": list(self.random),
                "eigenvalues": self.eigenvalues.tolist(), "says": self.sentence()}  # fmt: skip

    def sentence(self) -> str:
        """What a person reads."""
        middle = sum(self.random) / len(self.random)
        if not middle > 0:
            return "nothing changes along any direction"
        low, high = min(self.random) / middle, max(self.random) / middle
        best = max(range(len(self.times)), key=self.times.__getitem__)
        found = f"direction {best + 1} changes samples most, {self.times[best]:.2f} times as much as a random one does"
        range_ = f"{len(self.random)} random ones: {low:.2f} to {high:.2f} times"
        if self.times[best] <= high:
            return f"no direction changes samples more than random ones do: {found} ({range_})"
        more = sum(times > high for times in self.times)
        return f"{more} of {len(self.times)} change samples more than every random direction; {found} ({range_})"


@torch.no_grad()
def changes(
    generator: nn.Module, recipe: Recipe, phase: Phase, z: Tensor, label: int, vectors: Tensor, distance: float, look: Extractor
) -> list[float]:
    """For each of the vectors (k, Z): the mean way in features from -distance to distance along it, over latents z (n, Z)."""
    ends = moved(z, vectors, (-distance, distance), recipe.latent)
    labels = torch.full(ends.shape[:3], label, device=z.device).flatten()
    seen = features(look, in_blocks(generator, ends.flatten(0, 2), labels, phase)).view(*ends.shape[:3], -1).double()
    found: list[float] = torch.linalg.vector_norm(seen[:, :, 1] - seen[:, :, 0], dim=2).mean(1).tolist()
    return found


def write(found: Found, samples: Tensor, which: Sequence[str], notes: Mapping[str, str]) -> None:
    """The three files; `samples` (k, n, steps, C, *S) are n samples, called `which`, moved along k directions."""
    files.make_folder(found.folder)
    files.write_bytes(found.folder / PICTURE, png(drawn(found, samples, which), notes))
    files.write_text(found.folder / NUMBERS, json.dumps({**found.plain(), "notes": dict(notes)}, indent=1) + "\n")
    tensors = {"directions": found.vectors.float(), "eigenvalues": found.eigenvalues}
    files.write_bytes(found.folder / VECTORS, latent_files.saved(tensors, notes))


def drawn(found: Found, samples: Tensor, which: Sequence[str]) -> Pixels:
    """The whole picture (H, W, 3): a row for each direction, in it each sample on its way."""
    count, n, steps = samples.shape[:3]
    pictures = cells(quantized(samples.flatten(0, 2)).numpy(), SIDES[samples.ndim - 4])
    pictures = pictures.reshape(count, n, steps, *pictures.shape[1:])
    rows = []
    for i in range(count):
        row = beside([sheet(pictures[i, j], steps) for j in range(n)], APART)
        rows.append(named(row, [f"{i + 1}", f"{found.times[i]:.2f} times"], NAMES))
    shown = f"{', '.join(which[:-1])} and {which[-1]}" if n > 1 else which[0]
    lines = [
        f"In each row {shown} from {-found.scale:g} to {found.scale:g} standard deviations of a latent value along one "
        "direction. Below its number: how much samples change along it, in multiples of the change along a random one.",
        f"{found.sentence()[0].upper()}{found.sentence()[1:]}.",
    ]
    return titled(below(rows, 2), "Directions by closed-form factorization", lines)
