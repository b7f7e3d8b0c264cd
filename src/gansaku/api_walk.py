"""The verb `walk`: from one sample to the next through latent space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gansaku import hardware
from gansaku.api import load
from gansaku.errors import UsageError
from gansaku.evaluation.continuity import Continuity, continuity
from gansaku.extractors import registry as extractors
from gansaku.latents import Way
from gansaku.runs import latent_files, walks
from gansaku.runs.run import Run, label_of
from gansaku.sampling import WALK

MOST = 10_000  # pictures on the way


@dataclass(frozen=True)
class Walk:
    """What was written, and how evenly the samples change on the way."""

    folder: Path
    way: Way
    found: Continuity

    def plain(self) -> dict[str, Any]:
        """As `--json` prints it."""
        jumps = [{"between": list(self.found.between(i)), "step": i, "times": self.found.speeds[i]} for i in self.found.jumps]
        return {"way": self.way, "steps": self.found.steps, "speeds": list(self.found.speeds), "spread": self.found.spread,
                "unit": self.found.unit, "jumps": jumps, "says": self.found.sentence()}  # fmt: skip


def walk(
    run: str | Path | Run,
    out: str | Path = "walk",
    stops: int = 6,
    steps: int = WALK,
    way: str = "linear",
    seed: int = 0,
    class_name: str | None = None,
    truncation: float | None = None,
    *,
    latents: str | Path | None = None,
    extractor: str | None = None,
    at: int | None = None,
    use: Iterable[str | Path] = (),
) -> Walk:
    """Walk from sample 0 to 1, 2, … and back: an animation, a strip, and a chart of how much each step changes.

    `way` is "linear" or "spherical"; change is measured in an extractor's features, random convolutions if none is named.
    Of a run with classes all is of one class, the first unless it is named. `latents` is a file to walk between, as `project`
    writes one: its latents are the stops, each of its own class.
    """
    loaded = run if isinstance(run, Run) else load(run, use, at)
    own = None if latents is None else latent_files.read(latents, loaded.recipe)
    if own is not None and truncation is not None:
        raise UsageError("--truncation", "is for latents that are drawn; those of a file are taken as they are", "USAGE")
    if own is not None and len(own[0]) < 2:
        raise UsageError(str(latents), "holds a single latent; a walk goes between 2 or more", "COUNT")
    stops = stops if own is None else len(own[0])
    if stops < 2 or steps < 2 or stops * steps > MOST:
        sentence = f"{stops} stops with {steps} steps between make no walk; use 2 or more of each, {MOST:,} pictures at most"
        raise UsageError("walk", sentence, "COUNT")
    if way not in get_args(Way):
        raise UsageError("--way", f"{way!r} is no way from one latent to another; use linear or spherical", "WAY")
    chosen: Way = "spherical" if way == "spherical" else "linear"
    label = label_of(loaded, class_name)
    samples, path, notes = walks.made(loaded, stops, steps, chosen, seed, label, truncation, own)
    shape = loaded.recipe.shape
    look = extractors.find(extractor or f"random-{len(shape) - 1}d", device=hardware.device("cpu"), shape=shape)
    found = Walk(Path(out), chosen, continuity(walks.features(look, samples), path.cpu(), steps))
    walks.write(found.folder, samples, found.found, notes, found.plain())
    return found
