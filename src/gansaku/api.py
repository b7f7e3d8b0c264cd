"""The verbs, the same as on the command line: they join the layers."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gansaku import __version__, files, hardware
from gansaku.data import sources
from gansaku.data.batches import Batches
from gansaku.data.sources import cache_folder, open_data
from gansaku.data.store import Dataset, Facts
from gansaku.data.summary import described_data
from gansaku.errors import GansakuError, UsageError, nearest
from gansaku.listener import Listener
from gansaku.recipe import Recipe, to_toml
from gansaku.recipes import registry
from gansaku.render.sheet import animation, png, sheet, tiles
from gansaku.runs import checkpoint, log
from gansaku.runs.folder import Folder, opened
from gansaku.runs.interrupts import listening
from gansaku.runs.opening import about, check_data, continued, continued_state, run_name, size_of, source_of
from gansaku.runs.run import Run, stored_recipe
from gansaku.runs.summary import summarize
from gansaku.runs.watchers import check_sound, drawing, paced, recording, sheet_moments
from gansaku.sampling import quantized, walk
from gansaku.sampling import sample as sample_tensor
from gansaku.training.by_hand import shown_generator
from gansaku.training.feed import feed
from gansaku.training.loop import Watcher, always
from gansaku.training.loop import train as train_loop
from gansaku.training.state import State, begin

RUNS = Path("runs")
CHECKPOINT_SECONDS = 120.0
KEPT = 2  # checkpoints


class Interrupted(GansakuError):
    """A signal ended the training; everything is saved."""

    def __init__(self, where: str, sentence: str, exit_code: int):
        super().__init__(where, sentence)
        self.exit_code = exit_code


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
    max_bad: float = 0.01,
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
    stored = stored_recipe(folder) if folder is not None and folder.exists else None
    if stored is not None and size is None:
        size = size_of(folder)
    dataset = open_data(source_of(data, folder), size, progress=listener.preparing, max_bad=max_bad)
    if stored is not None and recipe is None:
        wanted = stored.but(settings)
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
    first = begin(wanted, where)  # before the folder: a recipe that cannot begin leaves none behind
    if not folder.exists:
        folder.create(to_toml(wanted), about(wanted, dataset, where, size))
        listener.say(f"{folder.path}: a new run of {wanted.name} on {dataset.facts.count:,} samples of {dataset.name}")
    state, news = continued_state(folder, first, where)
    if news and state.seen < wanted.length:
        listener.say(news)
    if state.seen >= wanted.length:
        listener.say(f"{folder.path} is complete: {state.seen:,} samples seen; --set length={2 * wanted.length} goes on")
        return Run(folder, wanted)
    written = log.Log(folder.log)
    written.begin(state.seen)
    written.event(state.seen, "start", news or f"begins on {hardware.describe(where)['device']}")

    def tell(seen: int, numbers: Mapping[str, float]) -> None:
        written.write(seen, numbers)
        listener.tick(seen, wanted.length, numbers)

    def draw(seen: int, content: bytes) -> None:
        files.write_bytes(folder.sheet(seen), content)

    def save(state: State, signals: object) -> None:
        check_sound(state)
        checkpoint.save(folder.checkpoints, state)
        checkpoint.prune(folder.checkpoints, KEPT)

    watchers = [
        *recording(wanted, state.seen, tell),
        Watcher(paced(always, CHECKPOINT_SECONDS), save),
        drawing(wanted, sheet_moments(dataset.facts.count, wanted.length), draw),
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
    out, state = Path(out), loaded.state()
    generator, phase = shown_generator(state), loaded.recipe.phase(state.seen)
    if out.suffix == ".gif":
        frames = quantized(walk(generator, loaded.recipe, n, seed, label, truncation, phase)).numpy()
        files.write_bytes(out, animation(tiles(frames, 192)))
        return out
    if out.suffix not in ("", ".zip", ".png", ".npy"):
        raise UsageError(str(out), "is no folder, .zip, .png, .gif or .npy", "FILE")
    made = sample_tensor(generator, loaded.recipe, range(n), seed, label, truncation, phase)
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


def show_recipe(name: str, use: Iterable[str | Path] = (), data: str | None = None, size: int | None = None) -> dict[str, Any]:
    """One recipe: what `recipes` says of it, its whole text, and its settings as TOML for the data.

    Without data they are for 10,000 samples of the shape that the recipe is listed with.
    """
    for file in use:
        registry.use(Path(file))
    known = registry.recipes()
    if name not in known:
        raise UsageError(name, f"is no recipe{nearest(name, list(known))}", "RECIPE")
    entry = known[name]
    facts = Facts("example", entry.shape, 10_000, ()) if data is None else open_data(data, size).facts
    made = registry.find(name, facts)
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


def show(what: str | Path, size: int | None = None, max_bad: float = 1.0) -> dict[str, Any]:
    """What a run or some data are: see `gansaku.runs.summary` and `gansaku.data.summary`."""
    return summarize(Path(what)) if Folder(Path(what)).exists else described_data(open_data(str(what), size, max_bad=max_bad))


def prepare(source: str, destination: str | Path, size: int | None = None, max_bad: float = 0.01) -> Dataset:
    """Turn pictures or voxels into one `.h5` file, whole or not at all; `max_bad` is the share that may be skipped."""
    return sources.prepare(source, Path(destination), size, max_bad=max_bad)
