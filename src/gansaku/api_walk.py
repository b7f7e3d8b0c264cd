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
from gansaku.runs import walks
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
                "jumps": jumps, "says": self.found.sentence()}  # fmt: skip


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
    extractor: str | None = None,
    at: int | None = None,
    use: Iterable[str | Path] = (),
) -> Walk:
    """Walk from sample 0 to 1, 2, … and back: an animation, a strip, and a chart of how much each step changes.

    `way` is "linear" or "spherical"; change is measured in an extractor's features, random convolutions if none is named.
    Of a run with classes all is of one class, the first unless it is named.
    """
    if stops < 2 or steps < 2 or stops * steps > MOST:
        sentence = f"{stops} stops with {steps} steps between make no walk; use 2 or more of each, {MOST:,} pictures at most"
        raise UsageError("walk", sentence, "COUNT")
    if way not in get_args(Way):
        raise UsageError("--way", f"{way!r} is no way from one latent to another; use linear or spherical", "WAY")
    chosen: Way = "spherical" if way == "spherical" else "linear"
    loaded = run if isinstance(run, Run) else load(run, use, at)
    label = label_of(loaded, class_name)
    samples, latents, notes = walks.made(loaded, stops, steps, chosen, seed, label, truncation)
    shape = loaded.recipe.shape
    look = extractors.find(extractor or f"random-{len(shape) - 1}d", device=hardware.device("cpu"), shape=shape)
    found = Walk(Path(out), chosen, continuity(walks.features(look, samples), latents.cpu(), steps))
    walks.write(found.folder, samples, found.found, notes, found.plain())
    return found
