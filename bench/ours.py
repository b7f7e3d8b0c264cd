"""Gansaku's side: the recipes as they stand, with only that changed which makes the work the same as the plain loop's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gansaku.contract import Phase, Piece, Player, Weighted
from gansaku.data.store import Facts
from gansaku.draws import Rows
from gansaku.losses import Wasserstein
from gansaku.methods.adversarial import FRESH, SHARED, Adversarial
from gansaku.networks.blocks import CHANNELS_LAST
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import find
from gansaku.schedules import Level, Levels
from gansaku.terms import GradientPenalty
from gansaku.training.state import begin
from gansaku.training.step import cycle

from .measure import Work

EXACT: dict[str, Any] = {"fast": "none", "precision": "fp32"}
FAST_FP32: dict[str, Any] = {"fast": "all", "precision": "fp32"}
FAST: dict[str, Any] = {"fast": "all", "precision": "bf16"}


def dcgan(size: int, batch: int = 64) -> Recipe:
    """The recipe without its weight average: PyTorch's example has none."""
    recipe = find("dcgan", facts((3, size, size)))
    return recipe.but({"generator.ema": "none", "batch": batch})


def gan3d(size: int, batch: int, fresh: bool) -> Recipe:
    """The recipe without its gate; with `fresh`, new latents for G's step, as the published loops draw them."""
    recipe = find("gan3d", facts((1, size, size, size)))
    return recipe.but(method=Adversarial(FRESH if fresh else SHARED), batch=batch)


def article(size: int, batch: int) -> Recipe:
    """Article 0's recipe, whole but for the batch."""
    return find("gan3d-article", facts((1, size, size, size))).but(batch=batch)


def wgan_gp(size: int = 32, batch: int = 64) -> Recipe:
    """WGAN-GP on DCGAN's pair, the critic without normalization; one critic step to one of the generator."""
    shape, adam = (3, size, size), Adam(betas=(0.5, 0.9))
    penalty = (Weighted(10.0, GradientPenalty()),)
    return Recipe(
        shape=shape,
        loss=Wasserstein(),
        method=Adversarial(FRESH),
        generator=Player(DCGANGenerator(shape), adam, lr=1e-4),
        discriminator=Player(DCGANDiscriminator(shape, norm="none"), adam, lr=1e-4, terms=penalty),
        length=1_000_000,
        batch=batch,
        precision="bf16",
    )


def chainer(name: str, batch: int = 64, width: int | None = None) -> Recipe:
    """A recipe of chainer-gan-lib, whole, on CIFAR-10's shape."""
    recipe = find(name, facts((3, 32, 32))).but(batch=batch)
    widths = {f"{player}.network.width": width for player in recipe.players}
    return recipe if width is None else recipe.but(widths)


def sngan(batch: int = 64, width: int | None = None) -> Recipe:
    """SNGAN at 32 px, whole."""
    recipe = find("sngan", facts((3, 32, 32))).but(batch=batch)
    return recipe if width is None else recipe.but({f"{player}.network.width": width for player in recipe.players})


def auto(size: int = 32) -> Recipe:
    """What trains when nobody names a recipe, all of it: weight average, R1 and R2 at every fourth step."""
    return find("auto", facts((3, size, size)))


def growth(size: int, batch: int = 16, widest: int | None = None) -> Recipe:
    """The progressive GAN in the stable phase of a size, without its weight average, as article 2 had none."""
    levels = tuple(Level(4 << n, 0, 0) for n in range((size // 4).bit_length()))
    recipe = find("progressive", facts((3, size, size)))
    recipe = recipe.but({"generator.ema": "none", "batch": batch, "growth": Levels(levels), "length": 1_000_000})
    return recipe if widest is None else recipe.but({f"{player}.network.widest": widest for player in recipe.players})


def facts(shape: tuple[int, ...]) -> Facts:
    return Facts("bench", shape, 10_000, ())


def real_batch(recipe: Recipe) -> Tensor:
    """(N, C, *S) in [-1, 1], noise, in plain memory order."""
    shape = (recipe.batch, *recipe.shape)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def cycles(recipe: Recipe) -> Work:
    """One cycle of the recipe on one fixed batch: drawing latents, all moves, the weight average where there is one."""
    state, real = begin(recipe), real_batch(recipe)
    if recipe.fast == "all":
        real = real.contiguous(memory_format=CHANNELS_LAST[len(recipe.shape) - 1])  # as the store hands it over
    labels = torch.zeros(recipe.batch, dtype=torch.long)

    def data(seen: int, phase: Phase) -> list[Piece]:
        return [Piece(Rows(0, recipe.batch, recipe.batch), real, labels, {})]

    return lambda: {name: value.item() for name, value in cycle(state, recipe, data).items()}
