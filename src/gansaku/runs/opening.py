"""How a run is found, begun and continued: its name, what its folder says, and what may not have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import torch

from gansaku import __version__, files, hardware
from gansaku.data.store import Dataset
from gansaku.errors import RunError
from gansaku.listener import Listener
from gansaku.parts import Change, difference, shown
from gansaku.recipe import Recipe, to_toml
from gansaku.runs import checkpoint, manifest
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


class Changes(NamedTuple):
    """What a continued run does differently from now on."""

    settings: list[Change]
    data: str = ""  # a sentence, where it goes on with other data

    def __str__(self) -> str:
        return "; ".join([*map(str, self.settings), *([self.data] if self.data else [])])


def continued(
    folder: Folder, wanted: Recipe, settings: Mapping[str, Any], dataset: Dataset, allow: bool
) -> tuple[Recipe, Changes]:
    """The recipe to go on with, and what is different from the stored one.

    Raises RunError when that is more than the length, unless it is allowed.
    """
    stored, data = stored_recipe(folder), folder.read_about()["data"]
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


def settle(folder: Folder, recipe: Recipe, dataset: Dataset, changes: Changes, seen: int) -> None:
    """Store what a run goes on with: its recipe, its data, and since when."""
    about = folder.read_about()
    history = [*about.get("history", []), {"seen": seen, "changes": str(changes)}]
    kept = {"size": about["data"].get("size")}
    files.write_json(folder.about, {**about, "data": {**described(dataset), **kept}, "history": history})
    files.write_text(folder.recipe, to_toml(recipe))


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


def about(
    folder: Folder, recipe: Recipe, base: Recipe, dataset: Dataset, where: torch.device, size: int | None
) -> dict[str, Any]:
    """What run.json says. `base` is the recipe before any setting was changed."""
    return {
        "gansaku": __version__,
        "name": folder.path.absolute().name,
        "id": blake2b((to_toml(recipe.but(length=1)) + dataset.fingerprint).encode(), digest_size=8).hexdigest(),
        "recipe": recipe.name,
        "changes": [{"path": c.path, "before": shown(c.before), "after": shown(c.after)} for c in difference(base, recipe)],
        "data": {**described(dataset), "size": size},
        "machine": hardware.describe(where),
        "versions": hardware.versions(),
    }


def described(dataset: Dataset) -> dict[str, Any]:
    """What run.json says of the data."""
    return {
        "name": dataset.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "shape": list(dataset.shape),
        "count": dataset.facts.count,
        "classes": list(dataset.classes),
    }


def continued_state(
    folder: Folder, state: State, where: torch.device, changes: Changes, listener: Listener
) -> tuple[State, str]:
    """The newest sound checkpoint's state and a sentence on how exactly it continues; the given one if there is none.

    Sets the thread count that the run began with: another one rounds differently.
    """
    told = folder.read_about()
    stored, now = told["machine"], hardware.describe(where)
    if where.type == "cpu":
        torch.set_num_threads(stored["threads"])
        now["threads"] = stored["threads"]
    for place in (folder.path, folder.checkpoints, folder.sheets):
        files.sweep(place)
    newest, damaged = manifest.newest_sound(folder.checkpoints)
    for sentence in damaged:
        before = f"the one before it, after {manifest.seen(newest):,} samples, is used" if newest else "it begins anew"
        listener.say(f"{sentence}; {before}")
    if newest is None:
        return state, ""
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
