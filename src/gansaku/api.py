"""The verbs, the same as on the command line: they join the layers."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gansaku import __version__, files, hardware
from gansaku.data.batches import Batches
from gansaku.data.sources import cache_folder, open_data
from gansaku.data.store import Dataset, Facts
from gansaku.errors import GansakuError, RunError, UsageError, nearest
from gansaku.listener import Listener
from gansaku.parts import difference
from gansaku.recipe import Recipe, from_toml, to_toml
from gansaku.recipes import registry
from gansaku.render.sheet import animation, png, sheet, tiles
from gansaku.runs import checkpoint, log
from gansaku.runs.folder import Folder, opened
from gansaku.runs.interrupts import listening
from gansaku.runs.watchers import drawing, paced, recording, sheet_moments, tick
from gansaku.sampling import quantized, walk
from gansaku.sampling import sample as sample_tensor
from gansaku.training.by_hand import shown_generator
from gansaku.training.feed import feed
from gansaku.training.loop import Watcher, every
from gansaku.training.loop import train as train_loop
from gansaku.training.state import State, begin

RUNS = Path("runs")
CHECKPOINT_SECONDS = 120.0
KEPT = 2  # checkpoints
FREE = ("length",)  # settings that a run may change when it continues


class Interrupted(GansakuError):
    """A signal ended the training; everything is saved."""

    def __init__(self, where: str, sentence: str, exit_code: int):
        super().__init__(where, sentence)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Run:
    """A trained or half-trained run."""

    folder: Folder
    recipe: Recipe

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def state(self) -> State:
        """The state of the newest checkpoint, on the CPU."""
        state = begin(self.recipe)
        newest = checkpoint.found(self.folder.checkpoints)
        if not newest:
            raise RunError(str(self.path), "has no checkpoint yet; train it first", "CKPT_NONE")
        checkpoint.load(newest[-1], state)
        return state

    @property
    def generator(self) -> nn.Module:
        """The generator whose samples to show: the weight average where the recipe has one."""
        return shown_generator(self.state).eval()

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(samples seen, value) of one logged number."""
        return log.curve(self.folder.log, name)

    def sample(self, n: int = 64, seed: int = 0) -> Tensor:
        """n samples (n, C, *S) in [-1, 1]; sample i depends on the checkpoint, the seed and i alone."""
        return sample_tensor(self.generator, self.recipe, range(n), seed)

    def _repr_png_(self) -> bytes | None:
        newest = self.folder.newest_sheet()
        return newest.read_bytes() if newest else None


def get_recipe(name: str = "auto", shape: tuple[int, ...] = (3, 64, 64), count: int = 10_000, **settings: Any) -> Recipe:
    """The recipe of a name for samples of a shape; `settings` as `Recipe.but` takes them."""
    return registry.find(name, Facts("data", shape, count, ())).but(settings)


def train(
    recipe: str | Recipe | None = None,
    data: str | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    size: int | None = None,
    budget: float | None = None,
    device: str = "auto",
    use: Iterable[str | Path] = (),
    dry_run: bool = False,
    listener: Listener | None = None,
) -> Run:
    """Train a recipe on data, or continue: the same call again goes on where the run was.

    Without a run folder it is `runs/<recipe>-<data>-<hash of all settings>`. `budget` is in seconds. Raises a
    GansakuError for everything that a user can get wrong.
    """
    started, listener = time.monotonic(), listener or Listener()
    for file in use:
        registry.use(Path(file))
    folder = Folder(Path(run)) if run is not None else None
    where = hardware.device(device)
    dataset = open_data(source_of(data, folder), size, progress=listener.preparing)
    if folder is not None and folder.exists and recipe is None and not settings:
        wanted = stored_recipe(folder)
    else:
        wanted = recipe if isinstance(recipe, Recipe) else registry.find(recipe or "auto", dataset.facts)
        wanted = wanted.but(settings)
    folder = folder or Folder(RUNS / run_name(wanted, dataset))
    if folder.exists:
        wanted = continued(folder, wanted, settings or {}, dataset, listener)
    elif wanted.precision == "bf16" and not hardware.fast_bf16(where) and "precision" not in (settings or {}):
        wanted = wanted.but(precision="fp32")
        listener.say("precision: fp32, since this processor has no bf16 of its own")
    check_data(wanted, dataset)
    batches = Batches(dataset, wanted.seed, device=where, channels_last=wanted.fast == "all", mirror=wanted.mirror)
    feeding = feed(batches, wanted)
    if dry_run:
        describe_plan(wanted, dataset, folder, where, listener)
        return Run(folder, wanted)
    if not folder.exists:
        folder.create(to_toml(wanted), about(wanted, dataset, where))
    state = begin_or_continue(folder, wanted, where, listener)
    if state.seen >= wanted.length:
        listener.say(f"{folder.path} is complete: {state.seen:,} samples seen; --set length={2 * wanted.length} goes on")
        return Run(folder, wanted)
    written = log.Log(folder.log)
    written.begin(state.seen)

    def tell(seen: int, numbers: Mapping[str, float]) -> None:
        written.write(seen, numbers)
        listener.tick(seen, wanted.length, numbers)

    def draw(seen: int, content: bytes) -> None:
        files.write_bytes(folder.sheet(seen), content)

    def save(state: State, signals: object) -> None:
        checkpoint.save(folder.checkpoints, state)
        checkpoint.prune(folder.checkpoints, KEPT)

    watchers = [
        *recording(wanted, state.seen, tell),
        drawing(wanted, sheet_moments(dataset.facts.count, wanted.length), draw),
        Watcher(paced(every(tick(wanted)), CHECKPOINT_SECONDS), save),
    ]
    try:
        with listening() as request:
            listener.begin(state.seen, wanted.length)
            train_loop(state, wanted, feeding, watchers, lambda: bool(request) or out_of_time(started, budget))
    except GansakuError as error:
        written.event(state.seen, "stopped", str(error))
        raise
    finally:
        listener.end()
        written.close()
    if request:
        sentence = f"interrupted after {state.seen:,} samples; everything is saved, the same command continues"
        raise Interrupted(str(folder.path), sentence, request.exit_code)
    listener.say(f"{folder.path}: {state.seen:,} of {wanted.length:,} samples seen; newest sheet {folder.newest_sheet()}")
    return Run(folder, wanted)


def out_of_time(started: float, budget: float | None) -> bool:
    """Whether it is time to stop, so that the last checkpoint and sheet are written inside the budget."""
    return budget is not None and time.monotonic() - started > budget - max(2.0, 0.01 * budget)


def source_of(data: str | None, folder: Folder | None) -> str:
    """What to train on: what was asked for, else what the run was made on, else the bundled avatars."""
    if data is not None:
        return data
    if folder is not None and folder.exists:
        return str(folder.read_about()["data"]["source"])
    return "avatars"


def run_name(recipe: Recipe, dataset: Dataset) -> str:
    """`<recipe>-<data>-<hash>`: the same settings on the same data are the same run, however long it is to be."""
    content = to_toml(recipe.but(length=1)) + dataset.fingerprint
    return f"{recipe.name}-{dataset.name}-{blake2b(content.encode(), digest_size=3).hexdigest()}"


def stored_recipe(folder: Folder) -> Recipe:
    registry.load_parts()
    return from_toml(folder.recipe.read_text(), str(folder.recipe))


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
        raise RunError("recipe.shape", f"{recipe.shape} is not the shape of {dataset.name}: {dataset.shape}", "SHAPE")
    if recipe.classes > max(1, len(dataset.classes)):
        raise RunError("recipe.classes", f"{recipe.classes}, and {dataset.name} has {len(dataset.classes)}", "CLASSES")


def about(recipe: Recipe, dataset: Dataset, where: torch.device) -> dict[str, Any]:
    """What run.json says."""
    return {
        "gansaku": __version__,
        "recipe": recipe.name,
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "fingerprint": dataset.fingerprint,
            "shape": list(dataset.shape),
            "count": dataset.facts.count,
            "classes": list(dataset.classes),
        },
        "machine": hardware.describe(where),
    }


def begin_or_continue(folder: Folder, recipe: Recipe, where: torch.device, listener: Listener) -> State:
    """The newest checkpoint's state, or the first. Sets the thread count that the run began with."""
    stored, now = folder.read_about()["machine"], hardware.describe(where)
    if where.type == "cpu":
        torch.set_num_threads(stored["threads"])
        now["threads"] = stored["threads"]
    state = begin(recipe, where)
    newest = checkpoint.found(folder.checkpoints)
    for place in (folder.path, folder.checkpoints, folder.sheets):
        files.sweep(place)
    if not newest:
        return state
    checkpoint.load(newest[-1], state)
    changed = [f"{name} {stored[name]} → {now[name]}" for name in now if now[name] != stored.get(name)]
    exactly = f"not bit for bit: {', '.join(changed)}" if changed else "bit for bit"
    if state.seen < recipe.length:
        listener.say(f"{folder.path} continues after {state.seen:,} samples, {exactly}")
    return state


def describe_plan(recipe: Recipe, dataset: Dataset, folder: Folder, where: torch.device, listener: Listener) -> None:
    for name, count in parameters(recipe).items():
        listener.say(f"{name}: {count:,} parameters")
    passes = recipe.length / dataset.facts.count
    listener.say(f"data: {dataset.name}, {dataset.facts.count:,} samples {dataset.shape}")
    listener.say(f"length: {recipe.length:,} samples, {passes:.1f} passes, batch {recipe.batch}, {recipe.precision} on {where}")
    listener.say(f"run: {folder.path}{' (continues)' if folder.exists else ''}")


def parameters(recipe: Recipe) -> dict[str, int]:
    """Trainable parameters of each player's network, counted without memory for them."""
    with torch.device("meta"):
        nets = {name: player.network.build() for name, player in recipe.players.items()}
    return {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}


def load(run: str | Path, use: Iterable[str | Path] = ()) -> Run:
    """The run in a folder."""
    for file in use:
        registry.use(Path(file))
    folder = opened(run)
    return Run(folder, stored_recipe(folder))


def sample(
    run: str | Path | Run,
    out: str | Path,
    n: int = 64,
    seed: int = 0,
    class_name: str | None = None,
    truncation: float | None = None,
    use: Iterable[str | Path] = (),
) -> Path:
    """Write n samples of a run's newest checkpoint: a folder or .zip of PNGs, a .png sheet, a .gif walk, .npy values."""
    loaded = run if isinstance(run, Run) else load(run, use)
    if n < 1:
        raise UsageError("-n", f"{n} is no number of samples; use 1 or more", "COUNT")
    label = label_of(loaded, class_name)
    out, generator = Path(out), loaded.generator
    if out.suffix == ".gif":
        frames = quantized(walk(generator, loaded.recipe, n, seed, label, truncation)).numpy()
        files.write_bytes(out, animation(tiles(frames, 192)))
        return out
    if out.suffix not in ("", ".zip", ".png", ".npy"):
        raise UsageError(str(out), "is no folder, .zip, .png, .gif or .npy", "FILE")
    made = sample_tensor(generator, loaded.recipe, range(n), seed, label, truncation)
    pictures = quantized(made).numpy()
    if out.suffix == ".png":
        columns = max(1, round(n**0.5))
        files.write_bytes(out, png(sheet(tiles(pictures), columns), {"Software": "Gansaku", "Seed": str(seed)}))
    elif out.suffix == ".npy":
        with files.replacing(out) as temporary, temporary.open("wb") as opened_file:
            np.save(opened_file, made.numpy(), allow_pickle=False)
    elif out.suffix == ".zip":
        with files.replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for i, content in enumerate(single_pngs(pictures)):
                archive.writestr(zipfile.ZipInfo(f"{i:06d}.png"), content)  # a fixed date: the same bytes each time
    else:
        files.make_folder(out)
        for i, content in enumerate(single_pngs(pictures)):
            files.write_bytes(out / f"{i:06d}.png", content)
    return out


def single_pngs(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterable[bytes]:
    """Each sample as a PNG at its own size; voxels are drawn."""
    for picture in pictures:
        if picture.ndim == 4:
            yield png(tiles(picture[None], 256)[0])
        else:
            yield png(np.moveaxis(picture, 0, -1) if len(picture) == 3 else picture[0])


def label_of(run: Run, class_name: str | None) -> int | None:
    """The number of a class. Raises UsageError for an unknown one, or where the generator knows no classes."""
    if class_name is None:
        return None
    if not run.recipe.classes:
        raise UsageError("--class", f"{run.path} was trained without classes", "CLASS")
    classes = run.folder.read_about()["data"]["classes"]
    if class_name not in classes:
        raise UsageError("--class", f"{class_name!r} is no class{nearest(class_name, classes)}", "CLASS")
    return int(classes.index(class_name))


def recipes(use: Iterable[str | Path] = ()) -> list[dict[str, Any]]:
    """Every recipe: name, first line, source, status, and its players' parameters at the shape that it is listed with."""
    for file in use:
        registry.use(Path(file))
    return [described(name, entry) for name, entry in registry.recipes().items()]


def described(name: str, entry: registry.Entry) -> dict[str, Any]:
    made = entry.make(Facts("example", entry.shape, 10_000, ()))
    return {
        "name": name,
        "summary": entry.text.splitlines()[0] if entry.text else "",
        "source": entry.source,
        "status": entry.status,
        "shape": list(entry.shape),
        "parameters": parameters(made),
    }


def show_recipe(name: str, use: Iterable[str | Path] = ()) -> dict[str, Any]:
    """One recipe: what `recipes` says of it, its whole text, and its settings as TOML at the shape it is listed with."""
    for file in use:
        registry.use(Path(file))
    known = registry.recipes()
    if name not in known:
        raise UsageError(name, f"is no recipe{nearest(name, list(known))}", "RECIPE")
    entry = known[name]
    made = registry.find(name, Facts("example", entry.shape, 10_000, ()))
    return {**described(name, entry), "text": entry.text, "toml": to_toml(made)}


def info() -> dict[str, Any]:
    """What this installation and this machine can do."""
    where = hardware.device()
    return {
        "gansaku": __version__,
        "python": sys.version.split()[0],
        **hardware.describe(where),
        "cuda": torch.cuda.is_available(),
        "recipes": list(registry.recipes()),
        "cache": str(cache_folder()),
    }
