"""The verbs, the same as on the command line: they join the layers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gansaku import __version__, files, hardware, processes, ranks
from gansaku.cache import cache_folder
from gansaku.data import sources
from gansaku.data.exports import remarks
from gansaku.data.finds import draw_finds
from gansaku.data.overview import overview
from gansaku.data.page import write_page
from gansaku.data.policy import Size, policy
from gansaku.data.sources import open_data
from gansaku.data.store import Dataset, Facts
from gansaku.data.streaming import LOOK, Streamed, prepare_stream
from gansaku.data.summary import described_data, warnings_of
from gansaku.errors import UsageError
from gansaku.evaluation.samples import Stored
from gansaku.launch import EARLY, check_procs, launch, requested
from gansaku.listener import Listener, duration
from gansaku.recipe import Recipe, to_toml
from gansaku.recipes import registry
from gansaku.runs import checkpoint, manifest, samples
from gansaku.runs.folder import Folder, opened
from gansaku.runs.following import batches, follow
from gansaku.runs.interrupts import listening
from gansaku.runs.live import Scoring, live
from gansaku.runs.lock import held
from gansaku.runs.looks import BUDGET, looks
from gansaku.runs.opening import Changes, about, continued, planned
from gansaku.runs.phase_ends import Lengthened
from gansaku.runs.phases import table
from gansaku.runs.recorder import KEPT
from gansaku.runs.report import render
from gansaku.runs.run import Run, label_of, stored_recipe
from gansaku.runs.session import SPARE, Deadline, checked_policy, train_in_folder
from gansaku.runs.signals import signals_of
from gansaku.runs.summary import summarize
from gansaku.runs.trial import trial
from gansaku.runs.tuning import taken_over
from gansaku.runs.voxel_files import PICTURE, Export, exported
from gansaku.training.feed import check_shares, feed
from gansaku.training.state import State, begin, full_size
from gansaku.training.step import Data


def get_recipe(
    name: str = "auto", shape: tuple[int, ...] = (3, 64, 64), count: int = 10_000, classes: int = 0, **settings: Any
) -> Recipe:
    """The recipe of a name for samples of a shape and of so many classes; `settings` as `Recipe.but` takes them."""
    return registry.find(name, Facts("data", shape, count, tuple(map(str, range(classes))))).but(settings)


def train(
    recipe: str | Recipe | None = None,
    data: str | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    size: Size = None,
    budget: float | None = None,
    non_finite: str = "stop",
    allow: bool = False,
    max_bad: float = 0.01,
    device: str = "auto",
    use: Iterable[str | Path] = (),
    dry_run: bool = False,
    scoring: Scoring = Scoring(),  # noqa: B008 - frozen
    signals_budget: float = BUDGET,
    begins_with: str | Path | Run | None = None,
    procs: int = 1,
    rank_timeout: float = processes.TIMEOUT,
    listener: Listener | None = None,
) -> Run:
    """Train a recipe on data, or continue: the same call again goes on where the run was.

    Without a run folder it is `runs/<recipe>-<data>-<hash of all settings>`. `budget` is in seconds. `non_finite` is
    what to do when a number is not finite: "stop", or "rollback". `allow` goes on with changed settings. `scoring` says
    what is scored meanwhile; the best checkpoint by its first score is kept. Of a recipe that grows it says too what to do when
    a phase ends worse than the one before. `signals_budget` is the share of the time that
    health signals may take; 0 for none but the step's own. `begins_with` is a run whose weights it begins with, and whose
    recipe it has if none is named. `procs` processes of this machine train together, each batch divided among them; what
    torchrun starts on many machines does so by itself. `rank_timeout` seconds without an answer from one of them end all.
    A signal of the system, or an interrupted notebook cell,
    ends it with a checkpoint. Raises a GansakuError for everything that a user can get wrong.
    """
    deadline, listener, policy, use = Deadline(budget), listener or Listener(), checked_policy(non_finite), tuple(use)
    check_procs(procs, rank_timeout)

    def preparing(done: int, total: int) -> None:
        deadline.check()
        listener.preparing(done, total)

    opening = partial(open_data, progress=preparing, max_bad=max_bad)
    where = hardware.device(device)
    with listening("gansaku train", EARLY) as request, processes.joined(where, rank_timeout, request.ask):
        for file in use:
            registry.use(Path(file))
        if isinstance(recipe, str) and recipe.endswith(".py"):
            registry.use(Path(recipe))
        registry.recipes()  # so that parts are known by name
        if ranks.mine():
            return Run(*follow(where, opening, scoring))
        source = begins_with if begins_with is None or isinstance(begins_with, Run) else load(begins_with)
        plan = planned(recipe, data, run, settings or {}, size, opening, where, allow, listener.say, source)
        made, dataset, folder = plan.recipe, plan.dataset, plan.folder
        check_shares(made, procs)
        if procs > 1 and not processes.launched() and not dry_run:  # this process starts the others and waits
            asked = {
                "data": data, "run": str(folder.path), "size": size, "until": deadline.until, "non_finite": non_finite,
                "allow": allow, "max_bad": max_bad, "device": device, "signals_budget": signals_budget,
                "begins_with": source and [str(source.path), source.at], "procs": procs, "rank_timeout": rank_timeout,
            }  # fmt: skip
            with request.noted():
                launch(requested(recipe, settings or {}, use, scoring, type(listener) is not Listener, asked), procs,
                       lambda: request.signal)  # fmt: skip
            return load(folder.path)
        if dry_run:
            with ranks.alone():  # the others have nothing to do
                describe_plan(made, dataset, folder, begin(made, where), feed(batches(dataset, made, where), made), listener)
            return Run(folder, made)
        given = batches(dataset, made, where)
        feeding = feed(given, made)
        if isinstance(given, Streamed) and (crowded := given.crowded(ranks.count())):
            listener.say(crowded)
        watching = live(scoring, made, Stored(dataset), where, folder.path.absolute().name)
        state = begin(made, where)  # before the folder: a recipe that cannot begin leaves none behind
        for sentence in taken_over(state, source) if source is not None and plan.new else []:
            listener.say(sentence)
        looking = looks(signals_budget, made, dataset, state)
        deadline.check()
        if plan.new:
            folder.check_free()
            files.ask_for(folder.path, (KEPT + 1) * full_size(state, made) + SPARE)
            files.make_folder(folder.path)
        with held(folder.path) as unlocked:
            if unlocked:
                listener.say(unlocked)
            if plan.new and folder.exists:  # another process was faster, and has gone
                continued(folder, made, settings or {}, dataset, allow)
            elif plan.new:
                folder.create(to_toml(made), about(plan, where, source))
                if source is not None:  # at once: another start need not find the other run again
                    checkpoint.save(folder.checkpoints, state, folder.read_about()["id"])
                listener.say(f"{folder.path}: a new run of {made.name} on {dataset.facts.count:,} samples of {dataset.name}")
            while True:
                try:
                    state = train_in_folder(plan, state, feeding, request, deadline, policy, listener, watching,
                                            looking)  # fmt: skip
                    break
                except Lengthened as longer:  # from here on as if the command had been given again
                    made = longer.recipe
                    plan, state = plan._replace(recipe=made, changes=Changes([])), begin(made, where)
                    watching = live(scoring, made, Stored(dataset), where, folder.path.absolute().name)
                    looking = looks(signals_budget, made, dataset, state)
        if request:
            sentence = f"interrupted after {state.seen:,} samples; everything is saved, the same command continues"
            raise request.interrupted(str(folder.path), sentence)
    return Run(folder, made)


def describe_plan(recipe: Recipe, dataset: Dataset, folder: Folder, state: State, data: Data, listener: Listener) -> None:
    """What would be trained, and what it would take, measured by a few cycles."""
    for name, count in parameters(recipe).items():
        listener.say(f"{name}: {count:,} parameters")
    passes = recipe.length / dataset.facts.count
    listener.say(f"data: {dataset.name}, {dataset.facts.count:,} samples {dataset.shape}")
    precision = f"{recipe.precision} on {state.device}"
    listener.say(f"length: {recipe.length:,} samples, {passes:.1f} passes, batch {recipe.batch}, {precision}")
    listener.say(f"run: {folder.path}{' (continues)' if folder.exists else ''}")
    tried = trial(recipe, state, data)
    for line in table(recipe, tried.phases) if recipe.growth is not None else []:
        listener.say(line)
    listener.say(f"time: about {duration(tried.seconds)} as this machine is now")
    mapped = dataset.path.stat().st_size  # a few batches touched little of it
    if state.device.type == "cuda":
        listener.say(f"memory: {files.amount(tried.memory)} of the GPU")
    else:
        whole = files.amount(tried.memory + mapped)
        listener.say(f"memory: {whole}, {files.amount(mapped)} of it data that the system may drop")
    disk = (KEPT + 1) * tried.checkpoint + SPARE
    room = files.free(folder.path)
    there = "" if room is None else f", {files.amount(room)} are free"
    listener.say(f"disk: {files.amount(tried.checkpoint)} a checkpoint, {files.amount(disk)} in all{there}")


def parameters(recipe: Recipe) -> dict[str, int]:
    """Trainable parameters of each player's network, counted without memory for them."""
    with torch.device("meta"):
        nets = {name: player.network.build() for name, player in recipe.players.items()}
    return {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}


def load(run: str | Path, use: Iterable[str | Path] = (), at: int | None = None) -> Run:
    """The run in a folder; `at` chooses its checkpoint after so many samples, else it is the newest."""
    for file in use:
        registry.use(Path(file))
    folder = opened(run)
    return Run(folder, stored_recipe(folder), at)


def pin(run: str | Path, seen: int | None = None, off: bool = False) -> Path:
    """Keep the checkpoint after so many samples (the newest if None) for ever, or let it go. Returns its folder."""
    return manifest.pin(Path(run), seen, off)


def sample(
    run: str | Path | Run,
    out: str | Path,
    n: int = 64,
    seed: int = 0,
    class_name: str | None = None,
    truncation: float | None = None,
    use: Iterable[str | Path] = (),
    at: int | None = None,
    listener: Listener | None = None,
    mosaic: Size = None,
    forms: Iterable[str] = PICTURE,
    threshold: float | None = None,
    largest_piece: bool = False,
) -> Path:
    """Write n samples of a run's newest checkpoint, or of the one `at` so many samples seen.

    `out` is a folder or .zip of PNGs, a .png sheet, a .gif walk, or .npy values. Of a run with classes, sample i is of class
    i modulo their number unless `class_name` says one; files lie in folders of their classes, sheets and walks show each
    class under its name. With `mosaic`, a side or (height, width), a .png of so many pixels is filled with samples
    at their own size. Of voxels a folder or .zip may have other `forms`: png, binvox, obj, glb, each in a folder of its own if
    they are several; a voxel is there where its probability is above `threshold`, and `largest_piece` removes all others.
    """
    loaded, out, told = run if isinstance(run, Run) else load(run, use, at), Path(out), listener or Listener()
    export = Export(tuple(forms), threshold, largest_piece)
    export.check(loaded, out)
    if mosaic is None:
        samples.check(out, n)  # before the checkpoint is read
    source, removed = exported(samples.source(loaded, seed, label_of(loaded, class_name), truncation), export)
    if mosaic is not None:
        pixels = (mosaic, mosaic) if isinstance(mosaic, int) else mosaic
        written = samples.write_mosaic(source, out, pixels, told.sampling)
    else:
        written = samples.write(source, out, n, told.sampling)
    if largest_piece:
        told.say(f"{out}: {removed}")
    return written


def report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write a run's report again: into its folder, or to another file. Training does so by itself."""
    folder = opened(run)
    path = folder.report if out is None else Path(out)
    files.write_text(path, render(folder))
    return path


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


def show(
    what: str | Path, size: Size = None, max_bad: float = 1.0, out: str | Path | None = None, signals: bool = False
) -> dict[str, Any]:
    """What a run or some data are: see `gansaku.runs.summary` and `gansaku.data.summary`.

    For data, `out` is where a page (.html) or a sheet of samples (.png) is written. `signals` of a run: how its training
    is, see `gansaku.runs.signals`.
    """
    if signals:
        return signals_of(what)
    if Folder(Path(what)).exists:
        return summarize(Path(what))
    dataset = open_data(str(what), size, max_bad=max_bad)
    seen = overview(dataset)
    if out is not None:
        write_page(dataset, seen, Path(out))
    return described_data(dataset, seen)


def prepare(
    source: str | Path,
    destination: str | Path,
    size: Size = None,
    max_bad: float = 0.01,
    *,
    shard_size: int | None = None,
    form: str | None = None,
    faces_sheet: str | Path | None = None,
    stream: bool = False,
    lanes: int | None = None,
    look: int = LOOK,
    listener: Listener | None = None,
    **choices: Any,
) -> Dataset:
    """Turn pictures or voxels into one `.h5` file, whole or not at all; or into another form by the destination's suffix.

    `max_bad` is the share of the files that may be skipped. `choices` are the fields of `gansaku.data.policy.Policy`, the
    flags of the command: boxes="annotations", held_out=0.1. `shard_size` is in bytes of samples. With
    `faces`, `faces_sheet` is where a picture of what was found and missed is written. With `stream` the samples stay in the
    shards that `source` names, read in so many `lanes`, and the file holds `look` of them. Returns the dataset.
    """
    chosen = policy(size, max_bad, **choices)
    if faces_sheet is not None and chosen.faces is None:
        raise UsageError("faces_sheet", "shows what faces found; give a cascade", "FACES")
    progress = (listener or Listener()).preparing
    if stream:
        made = prepare_stream(str(source), Path(destination), chosen, progress, lanes, look)
    else:
        made = sources.prepare(str(source), Path(destination), chosen, progress, shard=shard_size, form=form)
    for sentence in (*warnings_of(made.report), *remarks(made, Path(destination))):
        (listener or Listener()).say(sentence)
    if faces_sheet is not None:
        draw_finds(str(source), made, chosen, Path(faces_sheet))
    return made
