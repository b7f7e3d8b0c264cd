"""Make the bands that `gansaku verify NAME` compares with: runs at several seeds, and runs that were broken on purpose.

    python tools/bands.py [NAME …] [--seconds 9] [--cycles N] [--set path=value …] [--again]

Without names: every recipe that has no band file. Each run's figures are kept in build/bands as they come, so a stopped
command goes on; `--again` forgets them. What is run is what the band file says; for a recipe without one, or with flags
that change it: every width a quarter (at least 8), batch 16, fp32, no dropout or noise in the networks, and so many cycles as
take about --seconds on one core.

The breaks: every learning rate times ten; real samples and fakes exchanged in D's losses; the generator trained for the
next class than the one it is told; and what holds the method together taken away. Bands come from the seeds alone: a
break that stays inside them is written down, and no band is moved for it.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tomli_w
import torch
from torch import Tensor, nn

from gansaku import hardware
from gansaku.cli_values import setting
from gansaku.contract import Network, Turn
from gansaku.data.store import Dataset
from gansaku.errors import RecipeError
from gansaku.parts import changed, encode
from gansaku.recipe import Recipe, to_toml
from gansaku.recipes import registry
from gansaku.verification import bands
from gansaku.verification.figures import Figures, reduced, short_run
from gansaku.verification.material import material

SEEDS = 8
SECONDS = 9.0
ROUGHLY_NOTHING = 1e-12
KEPT = Path(__file__).parents[1] / "build" / "bands"

# breaks


class Broken(NamedTuple):
    """A recipe with a break, and what was done; None where the break does not apply, and why."""

    recipe: Recipe | None
    how: str


def learning_rates(recipe: Recipe) -> Broken:
    """All learning rates times ten."""
    settings = {path: 10 * lr for path, lr in found(recipe, "lr")}
    return Broken(recipe.but(settings), ", ".join(f"{path}={lr:g}" for path, lr in settings.items()))


def real_and_fake(recipe: Recipe) -> Broken:
    """In D's losses real samples and fakes are exchanged, as if their labels were."""

    class Exchanged(Turn):
        def verdict(self, which: Any, i: int = 0) -> Any:
            if i == 0:
                which = "fake" if which == "real" else "real"
            return super().verdict(which, i)

    class Swapped(type(recipe.method)):
        def losses(self, turn: Turn) -> dict[str, Tensor]:
            return super().losses(Exchanged(**fields(turn)) if turn.player == "discriminator" else turn)

    return Broken(dataclasses.replace(recipe, method=Swapped(**fields(recipe.method))), "in the discriminator's losses")


def classes(recipe: Recipe) -> Broken:
    """While training the generator is told the next class than the one its fakes are judged as."""
    if not recipe.classes:
        return Broken(None, "the recipe knows no classes")
    count, player = recipe.classes, recipe.generator

    class Misled(type(player.network)):
        def build(self) -> nn.Module:
            return Misleading(super().build(), count)

    network: Network = Misled(**fields(player.network))
    return Broken(dataclasses.replace(recipe, generator=dataclasses.replace(player, network=network)), "while training")


class Misleading(nn.Module):
    """A generator that takes each label for the next one, in training mode alone."""

    def __init__(self, generator: nn.Module, classes: int):
        super().__init__()
        self.generator, self.classes = generator, classes

    def forward(self, z: Tensor, labels: Tensor, phase: Any) -> Tensor:
        made: Tensor = self.generator(z, (labels + 1) % self.classes if self.training else labels, phase)
        return made


def no_penalty(recipe: Recipe) -> Broken:
    """Terms, clipping, spectral norm and gates taken away, minibatch kernels, the denoiser's pull, and BEGAN's balance."""
    settings: dict[str, Any] = {path: [] for path, terms in found(recipe, "terms") if terms}
    settings |= {path: "none" for path, clip in found(recipe, "clip") if clip != "none"}
    settings |= {path: "none" for path, norm in found(recipe, "norm") if norm == "spectral"}
    settings |= {path: "none" for path, gate in found(recipe, "gate") if gate != "none"}
    settings |= {path: 0 for path, kernels in found(recipe, "kernels") if kernels}
    settings |= {"BEGAN": {"method.gain": 1e-30}, "DenoisingFeatureMatching": {"method.weight": 0.0}}.get(
        type(recipe.method).__name__, {}
    )  # k begins at 0
    if not settings:
        return Broken(None, "the method has no penalty, no clipping, no bound on a network and no gate")
    return Broken(recipe.but(settings), ", ".join(f"{path}={value}" for path, value in settings.items()))


BREAKS: dict[str, Callable[[Recipe], Broken]] = {
    "learning rates × 10": learning_rates,
    "real and fake swapped": real_and_fake,
    "classes swapped": classes,
    "no penalty": no_penalty,
}


def fields(part: Any) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


def found(recipe: Recipe, name: str) -> Iterator[tuple[str, Any]]:
    """Path and value of every setting of a name, at any depth of the recipe."""

    def look(data: Any, path: str) -> Iterator[tuple[str, Any]]:
        items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        for key, value in items:
            here = f"{path}.{key}" if path else str(key)
            if key == name:
                yield here, value
            yield from look(value, here)

    return look(encode(recipe, Recipe), "")


# what is run


class Plan(NamedTuple):
    """What the runs of a recipe have in common."""

    name: str
    data: str
    cycles: int
    settings: dict[str, Any]

    def recipe(self, dataset: Dataset, seed: int) -> Recipe:
        return reduced(self.name, dataset, self.settings, seed)


def reduction(recipe: Recipe) -> dict[str, Any]:
    """The settings that make a recipe small; a denoiser takes as many features as the smaller D then has.

    Dropout and noise in the networks are turned off: to learn through them takes minutes. Narrower, weights that start at
    N(0, 0.02) pass on so little that seeds differ in when they take off, which such a run would measure above all.
    """
    settings: dict[str, Any] = {path: max(8, width // 4) for path, width in found(recipe, "width")}
    settings |= {
        path: 0.0 for name in ("dropout", "noise") for path, much in found(recipe, name) if much and ".network." in path
    }
    settings |= {"batch": min(16, recipe.batch), "precision": "fp32"}
    network = recipe.discriminator.network
    inside = "discriminator.network."
    small: Any = changed(network, {path.removeprefix(inside): n for path, n in settings.items() if path.startswith(inside)})
    before = getattr(network, "features", None)
    return settings | {path: small.features for path, features in found(recipe, "features") if features == before}


def planned(name: str, cycles: int | None, seconds: float | None, more: Mapping[str, Any], again: bool) -> Plan:
    """As the runs that are kept say, or the band file; anew where there is none or something else is asked."""
    if cycles is None and seconds is None and not more:
        if kept(name).is_file() and not again:
            return Plan(*json.loads(kept(name).read_text())["identity"][:-1])
        if name in bands.names():
            known = bands.read(name)
            return Plan(name, known.data, known.cycles, known.settings)
    entry = registry.recipes()[name]
    data = "chairs" if len(entry.shape) == 4 else "avatars"
    dataset = material(data, bool(entry.classes))
    settings = {**reduction(registry.find(name, dataset.facts)), **more}
    plan = Plan(name, data, 0, settings)
    if cycles is None:
        spent = [timed(plan, dataset, n) for n in (3, 3, 9)][1:]  # the first one also warms up
        cycles = max(12, round(9 + ((seconds or SECONDS) - spent[1]) / (spent[1] - spent[0]) * 6))
        cycles = round(cycles, -1) if cycles > 50 else cycles
    return plan._replace(cycles=cycles)


def kept(name: str) -> Path:
    """Where the runs of a recipe are kept."""
    return KEPT / f"{name}.json"


def timed(plan: Plan, dataset: Dataset, cycles: int) -> float:
    """Seconds of the processor that so many cycles take, with what is looked at afterwards."""
    before = time.process_time()
    short_run(plan.recipe(dataset, 0), dataset, cycles)
    return time.process_time() - before


class Runs:
    """The figures of each run by name, kept in a file of their own until all are there."""

    def __init__(self, plan: Plan, digest: str, again: bool):
        self.path = kept(plan.name)
        self.identity = [*plan, digest]
        self.done: dict[str, Figures] = {}
        if self.path.is_file() and not again:
            content = json.loads(self.path.read_text())
            self.done = content["runs"] if content["identity"] == self.identity else {}

    def of(self, what: str, make: Callable[[], Figures]) -> Figures:
        if what not in self.done:
            before = time.process_time()
            made = {figure: None if value is None else bands.rounded(value) for figure, value in make().items()}
            self.done[what] = made
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps({"identity": self.identity, "runs": self.done}))
            part.replace(self.path)
            print(f"{self.identity[0]}, {what}: {time.process_time() - before:.1f} s", file=sys.stderr, flush=True)
        return self.done[what]


def made(plan: Plan, again: bool) -> dict[str, Any]:
    """All runs of a recipe, and what its band file then holds."""
    dataset = material(plan.data, bool(registry.recipes()[plan.name].classes))
    text = to_toml(plan.recipe(dataset, 0))
    runs = Runs(plan, hashlib.sha256(text.encode()).hexdigest(), again)
    by_seed = []
    for seed in range(SEEDS):
        figures = runs.of(f"seed {seed}", lambda seed=seed: short_run(plan.recipe(dataset, seed), dataset, plan.cycles))
        bad = [figure for figure, value in figures.items() if value is None]
        if bad:
            raise RecipeError(plan.name, f"{bad[0]} is not finite at seed {seed}; run it shorter", "BANDS")
        by_seed.append(figures)
    inside = bands.bands(by_seed)
    breaks = {}
    for what, breaking in BREAKS.items():
        broken = breaking(plan.recipe(dataset, SEEDS))  # a seed that no band knows
        if broken.recipe is None:
            breaks[what] = {"applies": False, "says": f"does not apply: {broken.how}"}
            continue
        figures = runs.of(what, lambda recipe=broken.recipe: short_run(recipe, dataset, plan.cycles))
        outside = fell_out(inside, figures, what)
        says = f"falls out of {len(outside)} of {len(inside)}"
        if not outside:
            sound = runs.of(f"seed {SEEDS}", lambda: short_run(plan.recipe(dataset, SEEDS), dataset, plan.cycles))
            why = ": its figures are those of the same run without it" if sound == figures else ""
            says = f"{what} is not told apart in so short a run{why}"
        values = {figure: "nan" if value is None else value for figure, value in figures.items()}
        breaks[what] = {"applies": True, "says": says, "how": broken.how, "outside": outside, "values": values}
    machine = hardware.describe(torch.device("cpu"))
    return {
        "recipe": plan.name, "data": plan.data, "cycles": plan.cycles, "seeds": list(range(SEEDS)),
        "date": datetime.datetime.now(datetime.UTC).date(),
        "machine": {name: machine[name] for name in ("torch", "cpu", "threads")},
        "settings": plan.settings,
        "figures": {
            figure: {"low": band.low, "high": band.high, "values": [run[figure] for run in by_seed]}
            for figure, band in inside.items()
        },
        "breaks": breaks,
    }  # fmt: skip


def fell_out(inside: Mapping[str, bands.Band], figures: Figures, what: str) -> list[str]:
    """The figures outside their bands; no loss that is missing or 0 since the break took it away: that would be no wonder."""

    def taken_away(figure: str) -> bool:
        value = figures.get(figure, 0.0)
        return what == "no penalty" and "/loss/" in figure and value is not None and abs(value) < ROUGHLY_NOTHING

    return [figure for figure, band in inside.items() if not band.holds(figures.get(figure)) and not taken_away(figure)]


def table(content: Mapping[str, Any]) -> str:
    """The bands beside the values of each break; * is outside."""
    applied = {what: one for what, one in content["breaks"].items() if one["applies"]}
    lines = [f"{content['recipe']}: {content['cycles']} cycles, {len(content['seeds'])} seeds"]
    lines.append(f"  {'':38}{'low':>12}{'high':>12}" + "".join(f"{what:>24}" for what in applied))
    for figure, one in content["figures"].items():
        line = f"  {figure:38}{one['low']:12.4g}{one['high']:12.4g}"
        for broken in applied.values():
            value = broken["values"].get(figure, "-")
            line += f"{value if isinstance(value, str) else format(value, '.4g'):>22} {' *'[figure in broken['outside']]}"
        lines.append(line)
    return "\n".join([*lines, *[f"  {what}: {one['says']}" for what, one in content["breaks"].items()], ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cycles", type=int)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    unknown = [name for name in given.names if name not in registry.recipes()]
    if unknown:
        parser.error(f"{unknown[0]} is no recipe; there are {', '.join(registry.recipes())}")
    for name in given.names or [name for name in registry.recipes() if name not in bands.names()]:
        settings = dict(map(setting, given.settings))
        content = made(planned(name, given.cycles, given.seconds, settings, given.again), given.again)
        bands.FOLDER.mkdir(exist_ok=True)
        (bands.FOLDER / f"{name}.toml").write_text(tomli_w.dumps(content), "utf-8")
        print(table(content), flush=True)


if __name__ == "__main__":
    main()
