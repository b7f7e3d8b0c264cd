"""How a run is found, begun and continued: its name, what its folder says, and what may not have changed since."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gansaku import __version__, files, hardware, ranks
from gansaku.contract import Network
from gansaku.data.policy import Size
from gansaku.data.store import Dataset
from gansaku.errors import RecipeError, RunError
from gansaku.listener import Listener
from gansaku.parts import Change, difference, shown
from gansaku.recipe import Recipe, to_toml
from gansaku.recipes import registry
from gansaku.runs import checkpoint, manifest
from gansaku.runs.folder import Folder, refuse_unsafe
from gansaku.runs.phases import with_added
from gansaku.runs.run import Run, stored_recipe
from gansaku.runs.tuning import check_origin, origin, tuned
from gansaku.training.state import State

FREE = ("length",)  # settings that a run may change when it continues


RUNS = Path("runs")


class Changes(NamedTuple):
    """What a continued run does differently from now on."""

    settings: list[Change]
    data: str = ""  # a sentence, where it goes on with other data

    def __str__(self) -> str:
        return "; ".join([*map(str, self.settings), *([self.data] if self.data else [])])

    def __bool__(self) -> bool:
        return bool(self.settings or self.data)


class Plan(NamedTuple):
    """What is to be trained where."""

    recipe: Recipe
    base: Recipe  # the recipe before any setting was changed
    dataset: Dataset
    folder: Folder
    size: Size  # that pictures were resized to, if they were
    changes: Changes  # against the run that is there already
    new: bool  # none is there


def planned(
    recipe: str | Recipe | None,
    data: str | None,
    run: str | Path | None,
    settings: Mapping[str, Any],
    size: Size,
    open_data: Callable[[str, Size], Dataset],
    where: torch.device,
    allow: bool,
    say: Callable[[str], None],
    begins_with: Run | None = None,
) -> Plan:
    """Recipe, data and folder from what was asked for and what is there. Raises a GansakuError when they do not fit."""
    hardware.check_ranks()
    folder = Folder(Path(run)) if run is not None else None
    if folder is not None and not folder.exists and folder.path.is_file():
        refuse_unsafe(folder.path)
    if isinstance(recipe, str) and recipe.endswith(".py"):
        registry.use(Path(recipe))  # the stored recipe may have its parts
    stored = stored_recipe(folder) if folder is not None and folder.exists else None
    if stored is not None and size is None:
        size = size_of(folder)
    dataset = open_data(source_of(data, folder), size)
    if stored is not None and recipe is None:
        base = stored
    elif begins_with is not None and recipe is None:
        base = tuned(begins_with.recipe, dataset.facts)
    else:
        base = recipe if isinstance(recipe, Recipe) else registry.find(recipe or "auto", dataset.facts)
    wanted, changes = base.but(settings), Changes([])
    folder = folder or Folder(RUNS / run_name(wanted, dataset))
    new = not folder.exists
    if not new:
        if begins_with is not None:
            check_origin(folder.read_about(), begins_with)
        wanted, changes = continued(folder, wanted, settings, dataset, allow)
    elif wanted.precision == "bf16" and not hardware.fast_bf16(where) and "precision" not in settings:
        wanted = wanted.but(precision="fp32")
        say("precision: fp32, since this processor has no bf16 of its own")
    check_data(wanted, dataset)
    check_memory(wanted, where)
    return Plan(wanted, base, dataset, folder, size, changes, new)


def run_name(recipe: Recipe, dataset: Dataset) -> str:
    """`<recipe>-<data>-<hash>`: the same settings on the same data are the same run, however long it is to be."""
    return f"{recipe.name}-{dataset.name}-{identity(recipe, dataset, 3)}"


def identity(recipe: Recipe, dataset: Dataset, size: int) -> str:
    """A hash of so many bytes of all settings but the length, and of the data."""
    content = to_toml(recipe.but(length=1)) + dataset.fingerprint
    return blake2b(content.encode(), digest_size=size).hexdigest()


def source_of(data: str | None, folder: Folder | None) -> str:
    """What to train on: what was asked for, else what the run was made on, else the bundled avatars."""
    if data is not None:
        return data
    if folder is not None and folder.exists:
        return str(folder.read_about()["data"]["source"])
    return "avatars"


def size_of(folder: Folder | None) -> Size:
    """The `--size` that a run's data were prepared with."""
    size = folder.read_about()["data"].get("size") if folder is not None else None
    return (int(size[0]), int(size[1])) if isinstance(size, list) else None if size is None else int(size)


def continued(
    folder: Folder, wanted: Recipe, settings: Mapping[str, Any], dataset: Dataset, allow: bool
) -> tuple[Recipe, Changes]:
    """The recipe to go on with, and what is different from the stored one.

    Raises RunError when that is more than the length, unless it is allowed.
    """
    stored, data = stored_recipe(folder), folder.read_about()["data"]
    wanted = with_added(wanted, stored)
    if "precision" not in settings:
        wanted = wanted.but(precision=stored.precision)  # decided by the machine it began on
    other = ""
    if data["fingerprint"] != dataset.fingerprint:
        other = f"data {data['name']} ({data['count']:,} samples) → {dataset.name} ({dataset.facts.count:,} samples)"
    changes = Changes(difference(stored, wanted), other)
    if allow:
        return wanted, changes
    if other:
        sentence = f"was trained on other data ({data['name']}, {data['count']:,} samples); name another --run, or its data"
        raise RunError(str(folder.path), f"{sentence}; --allow goes on with these", "RUN_DATA")
    foreign = [change for change in changes.settings if change.path not in FREE]
    if foreign:
        listed = "; ".join(map(str, foreign[:8]))
        sentence = f"was made with other settings: {listed}; name another --run; --allow goes on with these"
        raise RunError(str(folder.path), sentence, "RUN_SETTINGS")
    return wanted, changes


def settle(plan: Plan, seen: int) -> None:
    """Store what a run goes on with: its recipe, its data, and since when."""
    about = plan.folder.read_about()
    history = [*about.get("history", []), {"seen": seen, "changes": str(plan.changes)}]
    files.write_json(plan.folder.about, {**about, "data": described(plan), "history": history})
    files.write_text(plan.folder.recipe, to_toml(plan.recipe))


def described_machine(where: torch.device) -> dict[str, Any]:
    """What decides whether a run continues with the same bits: the machine, and how many processes train."""
    return {**hardware.describe(where), "processes": ranks.everyone()}


def new_optimizers(changes: Changes) -> tuple[str, ...]:
    """Players whose optimizer is another kind now: the old one's moments mean nothing to it."""
    end = ".optimizer.part"
    return tuple(change.path.removesuffix(end) for change in changes.settings if change.path.endswith(end))


def check_data(recipe: Recipe, dataset: Dataset) -> None:
    """Raises RunError when the samples have another shape than the recipe's, or lack its classes."""
    if recipe.shape != dataset.shape:
        sentence = f"{recipe.shape} is not the shape of {dataset.name}, {dataset.shape}"
        raise RunError(
            "recipe.shape", f"{sentence}; `gansaku recipes show NAME --data SOURCE` prints a recipe that fits", "SHAPE"
        )
    if recipe.classes not in (0, len(dataset.classes)):
        raise RunError("recipe.classes", f"{recipe.classes}, and {dataset.name} has {len(dataset.classes)}", "CLASSES")


def check_memory(recipe: Recipe, where: torch.device) -> None:
    """Raises RecipeError for a network that no memory of this machine holds, before torch tries to make it, or an empty one."""
    there = hardware.memory(where)
    for name, player in recipe.players.items():
        weights = weights_of(player.network)
        if weights == 0:
            raise RecipeError(f"{name}.network", "has no weights; set a larger width", "SETTING")
        needed = 16 * (weights or 0)  # with a gradient and two moments, 4 bytes each
        if there is not None and needed > there:
            held = "more weights than can be counted" if weights == math.inf else f"{weights:,} weights"
            raise RecipeError(
                f"{name}.network",
                f"has {held}, and this machine has {files.amount(there)} of memory; set a smaller width or latent",
                "MEMORY",
            )


def weights_of(network: Network) -> float | None:
    """How many weights a network would have; infinite where torch cannot count them, None where it must be built to know."""
    try:
        with torch.device("meta"):  # no memory
            return sum(parameter.numel() for parameter in network.build().parameters())
    except Exception as error:  # whatever else is wrong, building it says
        return math.inf if "overflow" in str(error).lower() else None


def about(plan: Plan, where: torch.device, begins_with: Run | None = None) -> dict[str, Any]:
    """What run.json says."""
    began = {} if begins_with is None else {"from": origin(begins_with)}
    recipe, changes = plan.recipe, difference(plan.base, plan.recipe)
    return {
        "gansaku": __version__,
        "name": plan.folder.path.absolute().name,
        "id": identity(recipe, plan.dataset, 8),
        "recipe": recipe.name,
        "changes": [{"path": c.path, "before": shown(c.before), "after": shown(c.after)} for c in changes],
        "data": described(plan),
        "machine": described_machine(where),
        "versions": hardware.versions(),
        **began,
    }


def described(plan: Plan) -> dict[str, Any]:
    """What run.json says of the data."""
    dataset = plan.dataset
    return {
        "name": dataset.name,
        "source": dataset.again or dataset.source,
        "size": plan.size,
        "fingerprint": dataset.fingerprint,
        "shape": list(dataset.shape),
        "count": dataset.facts.count,
        "classes": list(dataset.classes),
        "balance": balance(dataset),
    }


def balance(dataset: Dataset) -> dict[str, int]:
    """Training samples of each class by its name."""
    counts = np.bincount(dataset.labels[: dataset.counts["train"]], minlength=len(dataset.classes))
    return dict(zip(dataset.classes, counts.tolist(), strict=False))


def continued_state(folder: Folder, state: State, changes: Changes, listener: Listener) -> tuple[State, str]:
    """The newest sound checkpoint's state and a sentence on how exactly it continues; the given one if there is none.

    Sets the thread count that the run began with: another one rounds differently.
    """
    told, where = folder.read_about(), state.device
    stored, now = {"processes": 1, **told["machine"]}, described_machine(where)
    if where.type == "cpu":
        torch.set_num_threads(stored["threads"])
        now["threads"] = stored["threads"]
    for place in (folder.path, folder.checkpoints, folder.sheets, *manifest.found(folder.checkpoints)):
        files.sweep(place)
    newest, damaged = manifest.newest_sound(folder.checkpoints)
    if newest is None and damaged:
        for path in manifest.found(folder.checkpoints):
            refuse_unsafe(path / manifest.TENSORS)
        raise RunError(
            str(folder.checkpoints), f"no checkpoint is sound: {damaged[0]}; remove them to begin anew", "CKPT_CORRUPT"
        )
    if newest is None:
        return state, ""
    for sentence in damaged:
        listener.say(f"{sentence}; the one before it, after {manifest.seen(newest):,} samples, is used")
    checkpoint.load(newest, state, told.get("id", ""), new_optimizers(changes))
    different = [f"{name} {stored[name]} → {now[name]}" for name in now if now[name] != stored.get(name)]
    if different:
        exactly = f"not bit for bit: {', '.join(different)}"
    elif any(change.path not in FREE for change in changes.settings) or changes.data:
        exactly = "with other settings"
    else:
        exactly = "bit for bit"
    if where.type != "cpu":
        exactly = f"equal bits are not promised on {where.type}"
    return state, f"{folder.path} continues after {state.seen:,} samples, {exactly}"
