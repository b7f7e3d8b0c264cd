"""The rows of the table: what is compared with what, and what it is to reach."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gansaku.recipe import Recipe

from . import drawing, feeding, ours, pictures, plain, processes, scores, signals, voxel_files, watching
from .measure import Clock, Row, Side, compare

Loop = Callable[[plain.Pair], plain.Step]


@dataclass(frozen=True)
class Plan:
    """How long to measure. `full` adds what takes minutes."""

    rounds: int
    steps: int
    full: bool
    clock: Clock


def all_rows(plan: Plan, only: str = "") -> Iterator[Row]:
    """Every row whose group's name contains `only`, as it is measured."""
    groups = {"dcgan": dcgan, "wgan-gp": wgan_gp, "chainer-gan-lib": chainer, "sngan": sngan, "3d-gan": gan3d,
              "growth": growth, "auto": auto, "procs": procs, "sentinel": sentinel, "signals": looks, "feeding": feed,
              "pictures": resizing, "voxel files": voxels_in_files, "drawing": drawn, "inception": inception,
              "frechet": frechet, "mifid": mifid}  # fmt: skip
    for name, group in groups.items():
        if only in name:
            yield from group(plan)


def dcgan(plan: Plan) -> Iterator[Row]:
    recipe, against = ours.dcgan(64), "PyTorch's example; no EMA on either side"
    yield step_row(plan, "DCGAN 64 px, batch 64, bf16", recipe.but(ours.FAST), plain.dcgan, against, 1.8)
    yield step_row(plan, "DCGAN 64 px, batch 64, fp32", recipe.but(ours.FAST_FP32), plain.dcgan, against)
    yield step_row(plan, "DCGAN 64 px, batch 64, exact", recipe.but(ours.EXACT), plain.dcgan, against, 1.0)
    yield step_row(plan, "DCGAN 32 px, batch 64, bf16", ours.dcgan(32).but(ours.FAST), plain.dcgan, against)


def wgan_gp(plan: Plan) -> Iterator[Row]:
    recipe, against = ours.wgan_gp(), "the usual WGAN-GP loop, fakes detached in D's step; 1 D + 1 G step"
    yield step_row(plan, "WGAN-GP 32 px, batch 64, bf16", recipe.but(ours.FAST), plain.wgan_gp, against, 1.9)
    yield step_row(plan, "WGAN-GP 32 px, batch 64, fp32", recipe.but(ours.FAST_FP32), plain.wgan_gp, against)


def chainer(plan: Plan) -> Iterator[Row]:
    """At their full size: 9.7 million parameters. One D batch is counted as 64 images."""
    against = "its networks, losses and update order in plain eager fp32"
    dcgan, wgan = ours.chainer("dcgan-chainer"), ours.chainer("wgan-gp")
    loops: tuple[tuple[str, Recipe, Loop, float], ...] = (
        ("chainer-gan-lib's DCGAN", dcgan, plain.chainer_dcgan, 2.0),
        ("chainer-gan-lib's WGAN-GP, 5 D + 1 G", wgan, plain.chainer_wgan_gp, 1.8),
    )
    for name, recipe, loop, target in loops:
        yield step_row(plan, f"{name}, bf16", recipe.but(ours.FAST), loop, against, target)
        yield step_row(plan, f"{name}, fp32", recipe.but(ours.FAST_FP32), loop, against)
    yield slopes(plan, wgan)


def sngan(plan: Plan) -> Iterator[Row]:
    """At its full size: 5.3 million parameters, residual, spectral norm in D. One cycle is five D batches."""
    against = "its networks, loss and order in plain eager fp32; 5 D + 1 G"
    recipe = ours.sngan()
    yield step_row(plan, "SNGAN 32 px, batch 64, bf16", recipe.but(ours.FAST), plain.sngan, against, 2.2)
    yield step_row(plan, "SNGAN 32 px, batch 64, fp32", recipe.but(ours.FAST_FP32), plain.sngan, against)


def slopes(plan: Plan, recipe: Recipe) -> Row:
    """Both sides are ours: the same cycle in fp32, with the penalty's slope by double backward and written out."""
    sides = [Side(ours.cycles(recipe.but(how)), plan.steps) for how in (ours.EXACT, ours.FAST_FP32)]
    against = "our own fast=none, fp32"
    return compare(
        "the same, our paths, fp32", "img/s", batches(recipe) * recipe.batch, *sides, against, plan.rounds, plan.clock
    )


def batches(recipe: Recipe) -> int:
    """Real batches in a cycle."""
    return sum(move.real == "new" for move in recipe.cycle)


def gan3d(plan: Plan) -> Iterator[Row]:
    """The paper's networks, at 64³ with 17.6 and 11.0 million parameters. Neither side has the accuracy gate."""
    for size, batch in ((32, 16), *([(64, 4)] if plan.full else [])):
        name = f"3D-GAN {size}³, batch {batch}, bf16"
        published, against = "the published loop: fakes not detached, new ones for G", "the DCGAN example's loop in 3D"
        fresh, shared = (ours.gan3d(size, batch, fresh).but(ours.FAST) for fresh in (True, False))
        yield step_row(plan, name, fresh, plain.gan3d, published, 3.0)
        yield step_row(plan, f"{name}, shared", shared, plain.gan3d, f"{published}; ours shares them", 3.0)
        yield step_row(plan, f"{name}, shared", shared, plain.dcgan, f"{against}, which detaches and shares fakes too")
    if plan.full:
        recipe = ours.article(64, 4).but(ours.FAST)
        yield step_row(plan, "article 0 64³, batch 4, bf16", recipe, plain.article, "its networks, loss and order, plain", 2.0)


def growth(plan: Plan) -> Iterator[Row]:
    """The progressive GAN at its full width, 512 channels at these sizes, in a stable phase."""
    against = "the usual progressive loop in plain eager fp32, no weight average on either side; 1 D + 1 G step"
    for size in (8, 16, 32):
        recipe = ours.growth(size)
        yield step_row(plan, f"progressive {size} px, batch 16, bf16", recipe.but(ours.FAST), plain.progressive, against, 1.9)
        yield step_row(plan, f"progressive {size} px, batch 16, fp32", recipe.but(ours.FAST_FP32), plain.progressive, against)


def procs(plan: Plan) -> Iterator[Row]:
    """Both sides are ours: one process of one thread, and two of them, in wall time. More in `python -m bench.processes`."""
    return processes.rows(plan.rounds, plan.full)


def auto(plan: Plan) -> Iterator[Row]:
    """Both sides are ours: four steps make one round of the lazy penalties."""
    recipe = ours.auto()
    sides = [Side(ours.cycles(recipe.but(how)), 4 * plan.steps) for how in (ours.EXACT, ours.FAST)]
    against = "our own fast=none, fp32; EMA, R1 and R2 every 4th step on both sides"
    yield compare("auto 32 px, batch 64, bf16", "steps/s", 1, *sides, against, plan.rounds, plan.clock)


def sentinel(plan: Plan) -> Iterator[Row]:
    """Both sides are ours. A ratio of 0.98 is a cost of 2 %."""
    recipes = {
        "DCGAN 64 px, batch 64": ours.dcgan(64).but(ours.FAST),
        "auto 32 px, batch 64": ours.auto().but(ours.FAST),
        "3D-GAN 32³, batch 16": ours.gan3d(32, 16, fresh=False).but(ours.FAST),
    }
    for name, recipe in recipes.items():
        sides = Side(watching.unwatched(recipe), 4 * plan.steps), Side(ours.cycles(recipe), 4 * plan.steps)
        against = "the same without looking whether every number is finite"
        yield compare(f"watched: {name}", "img/s", recipe.batch, *sides, against, plan.rounds, plan.clock, 0.98)


def looks(plan: Plan) -> Iterator[Row]:
    """Both sides are ours: what is always on, and what one look takes, whose share of the time a run holds at 1 %."""
    recipes = {"DCGAN 32 px, batch 64": ours.dcgan(32).but(ours.FAST), "3D-GAN 32³, batch 16": ours.gan3d(32, 16, fresh=False)}
    for name, recipe in recipes.items():
        sides = Side(signals.ticking(recipe, updates=False)), Side(signals.ticking(recipe, updates=True))
        against = f"without the updates of the weights; a tick every {signals.TICK} cycles"
        each = signals.TICK * recipe.batch
        yield compare(f"ticks: {name}", "img/s", each, *sides, against, plan.rounds, plan.clock, 0.99)
    for name, recipe in recipes.items():
        look, one = signals.look(recipe)
        against = "one cycle; a look is taken once in 100 times as long"
        yield compare(f"look: {name}", "1/s", 1, Side(one, 2), Side(look), against, plan.rounds, plan.clock)


def feed(plan: Plan) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count, size, batch in ((2000, 64, 64),):
            files = feeding.picture_files(folder / "pictures", count, size)
            loader = feeding.loader_batches(plain.loader(plain.PictureFiles(files), batch))
            store = feeding.store_batches(folder / "pictures", folder / "cache", batch, size)
            against = "one JPEG of 64 px per sample, PIL, ToTensor, Normalize, DataLoader without workers; in the page cache"
            sides = Side(loader, 5), Side(store, 100)
            yield compare(f"pictures {size} px", "img/s", batch, *sides, against, plan.rounds, plan.clock, 20.0)
        for count, size, batch in ((500, 32, 16), *([(200, 64, 16)] if plan.full else [])):
            place = folder / f"voxels-{size}"
            place.mkdir()
            usual, array = feeding.voxel_files(place, count, size)
            loader = feeding.loader_batches(plain.loader(plain.VoxelFile(usual), batch))
            store = feeding.store_batches(array, folder / "cache", batch)
            against = "HDF5, gzip, h5py's own chunks, DataLoader without workers; in the page cache"
            sides = Side(loader, 2), Side(store, 40)
            yield compare(f"voxels {size}³", "grids/s", batch, *sides, against, plan.rounds, plan.clock, 100.0)


def resizing(plan: Plan) -> Iterator[Row]:
    """CPU time on one core; the difference from full Lanczos is in `python -m bench.pictures`."""
    files = pictures.photographs(100)
    for name, target in (("lanczos", 1.5), ("bilinear", None)):
        yield pictures.row(files, name, plan.rounds, target)


def voxels_in_files(plan: Plan) -> Iterator[Row]:
    return voxel_files.rows(plan.rounds, plan.clock)


def drawn(plan: Plan) -> Iterator[Row]:
    return drawing.rows(plan.rounds, plan.clock, plan.full)


def inception(plan: Plan) -> Iterator[Row]:
    """The 2015 Inception's features of the bundled avatars."""
    samples = scores.pictures(100)
    usual = Side(scores.plain_inception(samples))
    against = "the published TorchScript file, eager, batches of 50, resized by torch"
    for precision, target in (("fp32", 1.5), ("bf16", 3.0)):
        side = Side(scores.our_inception(samples, precision), 2)
        yield compare(f"Inception features, {precision}", "img/s", 100, usual, side, against, plan.rounds, plan.clock, target)


def frechet(plan: Plan) -> Iterator[Row]:
    """2048 features; the reference's side made before on both sides."""
    real = scores.features(10_000, 2048, 1)
    for n, target, times in ((10_000, 13.0, 1), (2000, 13.0, 2), (500, 100.0, 10)):
        generated = scores.features(n, 2048, 2)
        sides = Side(scores.plain_frechet(real, generated)), Side(scores.our_frechet(real, generated), times)
        against = "NumPy's covariance and SciPy's sqrtm, as pytorch-fid; the real side's moments made before"
        yield compare(f"Fréchet distance, n {n:,}", "1/s", 1, *sides, against, min(plan.rounds, 3), plan.clock, target)


def mifid(plan: Plan) -> Iterator[Row]:
    generated, real = scores.features(2000, 2048, 1), scores.features(20_000, 2048, 2)
    sides = Side(scores.plain_nearest(generated, real)), Side(scores.our_nearest(generated, real))
    against = "all cosine distances at once, NumPy in double precision, as the competition's code"
    yield compare("MiFID's distance, 2,000 × 20,000", "1/s", 1, *sides, against, min(plan.rounds, 3), plan.clock)


def step_row(plan: Plan, name: str, recipe: Recipe, loop: Loop, against: str, target: float | None = None) -> Row:
    """A recipe's cycle against a plain loop on the same networks, batch and real samples."""
    real = ours.real_batch(recipe)
    step = loop(plain.Pair(recipe))
    sides = Side(lambda: step(real), plan.steps), Side(ours.cycles(recipe), 2 * plan.steps)
    return compare(name, "img/s", batches(recipe) * recipe.batch, *sides, against, plan.rounds, plan.clock, target)
