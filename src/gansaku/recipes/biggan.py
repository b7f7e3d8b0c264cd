"""BigGAN at 32 and 64 px."""

from __future__ import annotations

import math
from typing import NamedTuple

from gansaku.contract import Player
from gansaku.data.store import Facts
from gansaku.latents import Gaussian
from gansaku.losses import Hinge
from gansaku.methods.adversarial import Adversarial, critic
from gansaku.networks.biggan import BigGANDiscriminator, BigGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.chainer_gan_lib import BATCH, CIFAR, ITERATIONS, number_of_classes
from gansaku.recipes.registry import recipe_function
from gansaku.recipes.sngan import CRITICS, table
from gansaku.schedules import EMA

KEPT = 0.9999  # of the weight average by each G step


class Blocks(NamedTuple):
    """A pair's table: width, the multiples of it in G and D, D's halvings, and after which blocks attention stands."""

    width: int
    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    halvings: int
    attention: tuple[int, int]
    latent: int  # 20 for each chunk


TABLES = {  # StudioGAN's configs/CIFAR10/BigGAN and configs/Tiny_ImageNet/BigGAN
    32: Blocks(96, (4, 4, 4, 4), (2, 2, 2, 2), halvings=2, attention=(2, 1), latent=80),
    64: Blocks(80, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), halvings=4, attention=(3, 1), latent=100),
}


@recipe_function(shape=CIFAR, classes=10, sizes=(32, 64))
def biggan(facts: Facts) -> Recipe:
    """BigGAN: a wide residual pair; z enters every block beside a shared embedding of the class; for 32 and 64 px.

    gansaku train biggan --data cifar10.zip

    Needs classes: every block of G reads one. For data without, sngan and sagan are the same kind of networks.

    Source: StudioGAN, configs/CIFAR10/BigGAN: at 32 px and 10 classes G has 9,416,196 parameters, D 2,415,170, as its log
            prints them; hinge, Adam 2e-4, β (0.5, 0.999), batch 64, five D steps to one of G, 100,000 G steps, an average
            that keeps 0.9999 by each G step, real samples mirrored, attention on maps of 16 × 16, all weights orthogonal at
            the start. The networks for 64 px are those of its configs/Tiny_ImageNet/BigGAN, which trains them with batch
            1024, 1e-4 and 4e-4, β (0, 0.999) and one D step: not here. Brock et al. 2019, arXiv:1809.11096, whose smallest
            size is 128 px.
    Departs: the average begins at once and reaches over at most a twentieth of the samples seen, where the source's begins
            after 1,000 G steps; computed in bf16 where the machine has it, precision=fp32 is the source's.
    Expect: FID 8.03, Inception Score 9.75 on CIFAR-10 (StudioGAN's README, which calls it BigGAN-Mod: 10,000 samples, the
            test set, and batch norm by each batch's own statistics). MEASURED: not yet.
    """
    blocks: Blocks = table("biggan", facts, TABLES)
    classes = number_of_classes("biggan", facts)
    in_generator, in_discriminator = blocks.attention
    generator = BigGANGenerator(
        facts.shape, classes, latent=blocks.latent, width=blocks.width, multiples=blocks.generator, attention=in_generator
    )
    discriminator = BigGANDiscriminator(
        facts.shape,
        classes,
        width=blocks.width,
        multiples=blocks.discriminator,
        halvings=blocks.halvings,
        attention=in_discriminator,
    )
    adam, batch = Adam((0.5, 0.999)), min(BATCH, facts.count)
    average = EMA(half_life=round(math.log(0.5) / math.log(KEPT)) * batch * CRITICS)
    return Recipe(
        shape=facts.shape,
        loss=Hinge(),
        method=Adversarial(critic(CRITICS)),
        latent=Gaussian(blocks.latent),
        generator=Player(generator, adam, 2e-4, ema=average),
        discriminator=Player(discriminator, adam, 2e-4),
        batch=batch,
        length=ITERATIONS * batch * CRITICS,
        mirror=True,
        classes=classes,
        fake_labels="uniform",
        precision="bf16",
    )
