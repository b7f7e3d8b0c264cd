"""How a run is found, begun and continued: its name, what its folder says, and what may not have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import torch

from gansaku import __version__, files, hardware
from gansaku.data.store import Dataset
from gansaku.errors import RunError
from gansaku.listener import Listener
from gansaku.parts import difference
from gansaku.recipe import Recipe, to_toml
from gansaku.runs import checkpoint
from gansaku.runs.folder import Folder
from gansaku.runs.run import stored_recipe
from gansaku.training.state import State

FREE = ("length",)  # settings that a run may change when it continues


def run_name(recipe: Recipe, dataset: Dataset) -> str:
    """`<recipe>-<data>-<hash>`: the same settings on the same data are the same run, however long it is to be."""
    content = to_toml(recipe.but(length=1)) + dataset.fingerprint
    return f"{recipe.name}-{dataset.name}-{blake2b(content.encode(), digest_size=3).hexdigest()}"


def source_of(data: str | None, folder: Folder | None) -> str:
    """What to train on: what was asked for, else what the run was made on, else the bundled avatars."""
    if data is not None:
        return data
    if folder is not None and folder.exists:
        return str(folder.read_about()["data"]["source"])
    return "avatars"


def size_of(folder: Folder | None) -> int | None:
    """The `--size` that a run's data were prepared with."""
    size = folder.read_about()["data"].get("size") if folder is not None else None
    return int(size) if size is not None else None


def continued(folder: Folder, wanted: Recipe, settings: Mapping[str, Any], dataset: Dataset, listener: Listener) -> Recipe:
    """The stored recipe, with the length that is wanted now. Raises RunError when settings or data are not the run's."""
    stored, data = stored_recipe(folder), folder.read_about()["data"]
    if data["fingerprint"] != dataset.fingerprint:
        sentence = f"was trained on other data ({data['name']}, {data['count']:,} samples); name another --run, or its data"
        raise RunError(str(folder.path), sentence, "RUN_DATA")
    if "precision" not in settings:
        wanted = wanted.but(precision=stored.precision)  # decided by the machine it began on
    changes = difference(stored, wanted)
    foreign = [change for change in changes if change.path not in FREE]
    if foreign:
        listed = "; ".join(map(str, foreign[:8]))
        raise RunError(str(folder.path), f"was made with other settings: {listed}; name another --run", "RUN_SETTINGS")
    for change in changes:
        listener.say(f"continues with {change}")
    return wanted


def check_data(recipe: Recipe, dataset: Dataset) -> None:
    """Raises RunError when the samples have another shape than the recipe's, or lack its classes."""
    if recipe.shape != dataset.shape:
        sentence = f"{recipe.shape} is not the shape of {dataset.name}, {dataset.shape}"
        raise RunError(
            "recipe.shape", f"{sentence}; `gansaku recipes show NAME --data SOURCE` prints a recipe that fits", "SHAPE"
        )
    if recipe.classes not in (0, len(dataset.classes)):
        raise RunError("recipe.classes", f"{recipe.classes}, and {dataset.name} has {len(dataset.classes)}", "CLASSES")


def about(recipe: Recipe, dataset: Dataset, where: torch.device, size: int | None) -> dict[str, Any]:
    """What run.json says."""
    return {
        "gansaku": __version__,
        "recipe": recipe.name,
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "size": size,
            "fingerprint": dataset.fingerprint,
            "shape": list(dataset.shape),
            "count": dataset.facts.count,
            "classes": list(dataset.classes),
        },
        "machine": hardware.describe(where),
    }


def continued_state(folder: Folder, state: State, where: torch.device) -> tuple[State, str]:
    """The newest checkpoint's state and a sentence on how exactly it continues; the given first state if there is none.

    Sets the thread count that the run began with: another one rounds differently.
    """
    stored, now = folder.read_about()["machine"], hardware.describe(where)
    if where.type == "cpu":
        torch.set_num_threads(stored["threads"])
        now["threads"] = stored["threads"]
    for place in (folder.path, folder.checkpoints, folder.sheets):
        files.sweep(place)
    newest = checkpoint.found(folder.checkpoints)
    if not newest:
        return state, ""
    checkpoint.load(newest[-1], state)
    changed = [f"{name} {stored[name]} → {now[name]}" for name in now if now[name] != stored.get(name)]
    exactly = f"not bit for bit: {', '.join(changed)}" if changed else "bit for bit"
    if where.type != "cpu":
        exactly = f"equal bits are not promised on {where.type}"
    return state, f"{folder.path} continues after {state.seen:,} samples, {exactly}"
