"""A short run of a recipe, and the few numbers that tell whether it trained as it should."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gansaku.contract import Signals, Turn
from gansaku.data.batches import Batches
from gansaku.data.store import Dataset
from gansaku.draws import Draw
from gansaku.evaluation.samples import Generated, Samples, Stored
from gansaku.extractors import registry as extractors
from gansaku.listener import Listener
from gansaku.methods.class_losses import right
from gansaku.metrics.diversity import distance_sums, mean_distance
from gansaku.metrics.frechet import distance, fitted
from gansaku.recipe import Recipe
from gansaku.recipes import registry
from gansaku.sampling import class_grid, sample
from gansaku.terms import spread
from gansaku.training.feed import feed
from gansaku.training.state import State, begin
from gansaku.training.step import Data, cycle, deal

SAMPLES = 256  # of each side
EACH = 64  # of each class
TICK = 2.0  # seconds between two words about the progress
# What says again, as a share or times a weight, what another signal says.
SAID_ELSEWHERE = ("probability", "accuracy", "unweighted", "/sign")

Figures = dict[str, float | None]


def reduced(name: str, dataset: Dataset, settings: Mapping[str, Any], seed: int) -> Recipe:
    """The recipe as it is run here: for this dataset, with the declared settings, and a seed."""
    return registry.find(name, dataset.facts).but({**settings, "seed": seed})


def short_run(recipe: Recipe, dataset: Dataset, cycles: int, listener: Listener | None = None) -> Figures:
    """The figures of so many cycles, on the CPU; None for one that is not finite.

        PLAYER/loss/NAME, PLAYER/NAME   losses and what the method records, their means over the last third of the cycles
        discriminator/gap               what it says of real samples less what it says of fakes, likewise
        PLAYER/gradient                 the norm of its gradient, likewise
        PLAYER/moved                    how far its weights have come, the root mean square over them
        slope                           the mean norm of the slope of D by x, half-way between real samples and fakes
        samples/spread                  the standard deviation of samples at each place, averaged
        samples/distance                Fréchet distance of samples to data, by random convolutions
        samples/diversity               the mean distance of two samples by these features, over that of two real ones
        samples/class                   how far class means of samples are apart where those of data are; 1 as there
        PLAYER/told                     the share of samples whose class, as it was asked for, the player tells

    It runs on one thread, and torch's own random numbers are as they were afterwards. Nothing is written. Two calls on one
    machine give the same figures.
    """
    with alone():
        found = figures(recipe, dataset, cycles, listener or Listener())
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


@contextmanager
def alone() -> Iterator[None]:
    """One thread: networks this small gain nothing from more, and figures shall not depend on the machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def figures(recipe: Recipe, dataset: Dataset, cycles: int, listener: Listener) -> dict[str, float]:
    """The figures of a short run, as they come."""
    state = begin(recipe)
    data = feed(Batches(dataset, recipe.seed, channels_last=recipe.fast == "all", mirror=recipe.mirror), recipe)
    before = {name: copies(parameters.values()) for name, parameters in state.trained.items()}
    played = trained(state, recipe, data, cycles, listener)
    moved = {f"{name}/moved": change(before[name], state.trained[name].values()) for name in before}
    return {**means(played), **moved, **of_samples(state, recipe, dataset), "slope": slope(state, recipe, data)}


def trained(state: State, recipe: Recipe, data: Data, cycles: int, listener: Listener) -> list[Signals]:
    """The signals of the last third of so many cycles."""
    played: list[Signals] = []
    started = said = time.monotonic()
    length = cycles * sum(move.real == "new" for move in recipe.cycle) * recipe.batch
    listener.begin(0, length)
    try:
        for i in range(cycles):
            signals = cycle(state, recipe, data)
            if i >= cycles - cycles // 3:
                played.append(signals)
            now = time.monotonic()
            if now - said > TICK:
                said = now
                numbers = {name: float(value) for name, value in signals.items()}
                listener.tick(state.seen, length, {**numbers, "samples_per_second": state.seen / (now - started)})
    finally:
        listener.end()
    return played


def means(played: Sequence[Signals]) -> dict[str, float]:
    """The mean of each signal, without those that say again what others say."""
    again = {f"generator/{which}" for which in ("real", "fake") if f"discriminator/{which}" in played[0]}
    kept = [name for name in played[0] if name not in again and not name.endswith(SAID_ELSEWHERE)]
    found = {name: torch.stack([signals[name].double() for signals in played]).mean().item() for name in kept}
    real, fake = found.get("discriminator/real"), found.get("discriminator/fake")
    return found if real is None or fake is None else {**found, "discriminator/gap": real - fake}


def copies(weights: Any) -> list[Tensor]:
    return [weight.detach().clone() for weight in weights]


def change(before: Sequence[Tensor], after: Any) -> float:
    """√(mean of (after - before)²) over all weights of a network."""
    gaps = [(now.detach() - then).square().sum().double() for then, now in zip(before, after, strict=True)]
    return math.sqrt(sum(float(gap) for gap in gaps) / sum(then.numel() for then in before))


def slope(state: State, recipe: Recipe, data: Data) -> float:
    """The mean norm of the method's slope half-way between the next batch's real samples and fakes."""
    phase = recipe.phase(state.seen)
    norms = []
    for piece in data(state.seen, phase):
        deal(state, recipe, phase, piece, graph=False)
        draw = Draw(recipe.seed, state.turns, piece.rows, piece.real)
        turn = Turn(recipe, "discriminator", 0, state.seen, phase, piece, state.nets, state.memory, draw)
        half = spread(torch.full((len(piece.real),), 0.5), piece.real)
        found = turn.slope(torch.lerp(turn.fake(), piece.real, half))
        norms.append(found.detach().flatten(1).norm(dim=1))
    return torch.cat(norms).mean().item()


def of_samples(state: State, recipe: Recipe, dataset: Dataset) -> dict[str, float]:
    """What the raw generator makes, beside the data."""
    made = sample(state.nets["generator"], recipe, range(SAMPLES), recipe.seed)
    if not made.isfinite().all():
        return dict.fromkeys(("samples/spread", "samples/distance", "samples/diversity"), math.nan)
    real, fake = looked_at(Stored(dataset)), looked_at(generated(made, recipe))
    found = {
        "samples/spread": made.std(0).mean().item(),
        "samples/distance": distance(fitted(real), fitted(fake)),
        "samples/diversity": float(mean_distance(distance_sums(fake)) / mean_distance(distance_sums(real))),
    }
    if recipe.classes:
        found["samples/class"] = class_gap(state, recipe, real, Stored(dataset).labels(0, SAMPLES))
        found |= told(state, recipe, made)
    return found


def looked_at(samples: Samples, n: int = SAMPLES) -> Tensor:
    """(n, F) features of the first n samples by random convolutions."""
    extractor = extractors.find(f"random-{len(samples.shape) - 1}d", shape=samples.shape)
    return extractor(samples.block(0, n)).features.double()


def class_gap(state: State, recipe: Recipe, real: Tensor, labels: Tensor | None) -> float:
    """How far the class means of fakes follow those of real samples: Σ_k a_k · b_k / Σ_k |b_k|², in features.

    a_k and b_k are what class k's mean differs by from the mean over classes, of fakes and of real samples. 1 where they
    agree, 0 where the generator does not listen to classes, below it where it makes others than it is asked for. Every
    class is made of the same latents, so that a small answer shows.
    """
    assert labels is not None
    classes = range(recipe.classes)
    grid = class_grid(state.nets["generator"], recipe, classes, EACH, recipe.seed)
    fakes = torch.stack([looked_at(generated(made, recipe), EACH).mean(0) for made in grid])
    reals = torch.stack([real[labels == k].mean(0) for k in classes])
    a, b = fakes - fakes.mean(0), reals - reals.mean(0)
    return float((a * b).sum() / b.square().sum())


@torch.no_grad()
def told(state: State, recipe: Recipe, made: Tensor) -> dict[str, float]:
    """For each network that tells classes, in training mode: in which share of the samples it tells the class asked for."""
    wanted, found = torch.arange(len(made)) % recipe.classes, {}
    for name, player in recipe.players.items():
        if name != "generator" and getattr(player.network, "classes", None):
            classes = state.nets[name](made, wanted, recipe.phase(state.seen)).classes
            if classes is not None:  # a network may read classes and not tell them
                found[f"{name}/told"] = right(classes, wanted).mean().item()
    return found


def generated(made: Tensor, recipe: Recipe) -> Samples:
    """What was made (n, C, *S), as the samples of a source."""
    return Generated("samples", {}, recipe.shape, lambda which: made[list(which)])
