"""Cramér GAN as in chainer-gan-lib's table on CIFAR-10, and with labels, which article 1 names as its next step."""

from __future__ import annotations

from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.latents import Uniform
from gansaku.methods.cramer import Cramer
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.chainer_gan_lib import BATCH, CIFAR, ITERATIONS, number_of_classes
from gansaku.recipes.registry import recipe_function
from gansaku.terms import GradientPenalty

CRITICS = 5  # D steps in an iteration, each on a batch of its own
OUTPUTS = 256  # values of h


@recipe_function(status="trained briefly", shape=CIFAR)
def cramer(facts: Facts) -> Recipe:
    """Cramér GAN: D maps samples to 256 values, and G brings fakes and real samples together there in energy distance.

    gansaku train cramer --data cifar10.zip

    Source: chainer-gan-lib, `cramer`: Adam 1e-4, β (0.5, 0.9), λ 10, five D steps, G on the first of them with the same
            two sets of fakes. Bellemare et al. 2017, arXiv:1705.10743, algorithm 1. Departs: the penalty's gradient
            reaches the weights through h as well (double backward), where the source goes on with constants.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 32.7, Inception Score 6.4 (its README, after 100,000 iterations). MEASURED: not at this length; a quarter as
            wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 2.5, to the
            avatars from 12.5 to 1.7.
    Watch:  the log's D(x) and D(G(z)) are the critic's values; their sizes follow that of h and say nothing by themselves.
    """
    adam, batch = Adam((0.5, 0.9)), min(BATCH, facts.count)
    judge = ChainerDiscriminator(facts.shape, norm="none", logits=OUTPUTS)
    return Recipe(
        shape=facts.shape,
        loss=None,
        method=Cramer(),
        latent=Uniform(128),
        generator=Player(ChainerGenerator(facts.shape), adam, 1e-4),
        discriminator=Player(judge, adam, 1e-4, terms=(Weighted(10.0, GradientPenalty()),)),
        batch=batch,
        length=ITERATIONS * batch * CRITICS,
        precision="bf16",
    )


@recipe_function(status="trained briefly", shape=CIFAR, classes=10)
def cramer_conditional(facts: Facts) -> Recipe:
    """Cramér GAN with labels: the energy distance of samples and labels together.

    gansaku train cramer-conditional --data cifar10.zip

    Source: the next step that article 1 names. Settings of chainer-gan-lib's `cramer`; the label stands as ±1 beside z, as
            in article 1's generator, and as ±1 planes beside the picture in D. Needs data with classes.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: no published figure. MEASURED: not at this length; a quarter as wide, in a quarter of an hour
            (docs/results/methods.md), the distance to CIFAR-10 went from 11.8 to 4.1, to the avatars from 10.4 to 1.7.
    Watch:  real samples and fakes are compared within a label, so a rare class teaches slowly.
    """
    classes = number_of_classes("cramer-conditional", facts)
    labels = {"generator.network.classes": classes, "discriminator.network.label_planes": classes}
    return cramer(facts).but(labels, classes=classes)
