"""SNGAN, its conditional form with projection, and SAGAN, on the residual networks for 32, 64 and 128 px."""

from __future__ import annotations

from typing import Any, NamedTuple

from gansaku.contract import Player
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import Hinge
from gansaku.methods.adversarial import FRESH, Adversarial, critic
from gansaku.networks.sngan import SNGANDiscriminator, SNGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.chainer_gan_lib import BATCH, CIFAR, FIRST, ITERATIONS, number_of_classes
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import LinearDecay

CRITICS = 5  # D steps for each G step, each on a batch of its own


class Blocks(NamedTuple):
    """A pair's table: channels as width · multiples, D's halvings, and after which block SAGAN's attention stands."""

    generator: tuple[int, tuple[int, ...]]
    discriminator: tuple[int, tuple[int, ...]]
    halvings: int
    attention: tuple[int, int]


TABLES = {  # mimicry's; its SAGAN has no 64 px: attention there as in StudioGAN, on maps of 32 × 32
    32: Blocks((256, (1, 1, 1, 1)), (128, (1, 1, 1, 1)), halvings=2, attention=(2, 2)),
    64: Blocks((64, (16, 8, 4, 2, 1)), (64, (1, 2, 4, 8, 16)), halvings=5, attention=(3, 1)),
    128: Blocks((64, (16, 16, 8, 4, 2, 1)), (64, (1, 2, 4, 8, 16, 16)), halvings=5, attention=(3, 2)),
}


def table(name: str, facts: Facts, known: dict[int, Any]) -> Any:
    """What a table has for these samples, by their smallest side. Raises RecipeError for a size that it has not."""
    size = min(facts.shape[1:])
    if size not in known:
        sides = " × ".join(map(str, facts.shape[1:]))
        have = ", ".join(map(str, known))
        raise RecipeError(name, f"has networks for sizes {have}, and these samples have {sides}; prepare them at one", "SIZE")
    return known[size]


def residual(name: str, facts: Facts, classes: int) -> Recipe:
    """The pair for this size, as SNGAN trains it."""
    blocks: Blocks = table(name, facts, TABLES)
    (g_width, g_multiples), (d_width, d_multiples) = blocks.generator, blocks.discriminator
    generator = SNGANGenerator(facts.shape, width=g_width, multiples=g_multiples, classes=classes)
    discriminator = SNGANDiscriminator(
        facts.shape, width=d_width, multiples=d_multiples, halvings=blocks.halvings, classes=classes
    )
    adam, batch = Adam(FIRST), min(BATCH, facts.count)
    return Recipe(
        shape=facts.shape,
        loss=Hinge(),
        method=Adversarial(critic(CRITICS)),
        latent=Gaussian(128),
        generator=Player(generator, adam, 2e-4, rate=LinearDecay()),
        discriminator=Player(discriminator, adam, 2e-4, rate=LinearDecay()),
        batch=batch,
        length=ITERATIONS * batch * CRITICS,
        classes=classes,
        fake_labels="uniform" if classes else "same",
        precision="bf16",
    )


@recipe_function(shape=CIFAR, sizes=(32, 64, 128))
def sngan(facts: Facts) -> Recipe:
    """SNGAN: residual networks, D bounded by spectral norm, hinge loss; for 32, 64 and 128 px, without labels.

    gansaku train sngan --data cifar10.zip

    Source: mimicry, `sngan`: networks for each size (at 32 px G has 4,276,739 parameters, D 1,053,825), Adam 2e-4, β (0,
            0.9), batch 64, five D steps to one of G, 100,000 G steps, rates straight down to 0. Miyato et al. 2018,
            arXiv:1802.05957, tables 4 and 5. At 128 px mimicry takes other steps and no decay for some data: not here.
    Departs: G doubles by nearest neighbours, as Miyato's own code, where mimicry interpolates bilinearly; biases start at
            0; computed in bf16 where the machine has it, precision=fp32 is the source's.
    Expect: FID 16.77, Inception Score 7.97 on CIFAR-10, FID 5.71 on CelebA at 64 px (mimicry's README). MEASURED: not yet.
    """
    return residual("sngan", facts, classes=0)


@recipe_function(shape=CIFAR, classes=10, sizes=(32, 64, 128))
def sngan_projection(facts: Facts) -> Recipe:
    """SNGAN with labels: batch norm in G by class, and in D a class's embedding times the features.

    gansaku train sngan-projection --data cifar10.zip

    Source: mimicry, `cgan_pd`: everything as sngan, gains and biases of G's blocks for each class, D's projection under
            spectral norm, fakes of classes drawn evenly; at 32 px and 10 classes 4,304,387 and 1,055,105 parameters, as
            StudioGAN's log of the same networks prints them. Miyato & Koyama 2018, arXiv:1802.05637, eq. 4. mimicry has it
            at 32 and 128 px; at 64 px it stands on sngan's networks.
    Departs: as sngan.
    Expect: FID 10.84, Inception Score 8.25 on CIFAR-10 (mimicry's README). MEASURED: not yet.
    """
    return residual("sngan-projection", facts, number_of_classes("sngan-projection", facts))


@recipe_function(shape=CIFAR, sizes=(32, 64, 128))
def sagan(facts: Facts) -> Recipe:
    """SAGAN: the residual pair with self-attention, spectral norm in both, and D learning four times as fast as G.

    gansaku train sagan --data cifar10.zip

    With classes, if the data have some, as in the paper: batch norm by class and projection, as in sngan-projection.

    Source: Zhang et al. 2019, arXiv:1805.08318, sec. 3 and 4: hinge, Adam β (0, 0.9), 1e-4 for G and 4e-4 for D, one step
            each, with new latents for G's. Networks of mimicry, `sagan`: attention in G on maps of 16 × 16 at 32 px and of
            32 × 32 above, in D of 8 × 8 and 32 × 32; mimicry has none for 64 px: StudioGAN's places are taken there.
    Departs: batch 64 and 100,000 steps each with rates down to 0, as sngan, where the paper has 256 and a million on
            ImageNet; without classes there is none of that in the paper; otherwise as sngan.
    Expect: FID 18.65, Inception Score 52.52 on ImageNet at 128 px (the paper's abstract); FID 14.0 on
            CIFAR-10 in StudioGAN, with 2e-4 for both and five D steps. MEASURED: not yet.
    Watch:  γ of both attention layers: while it stays near 0, nothing is attended to.
    """
    blocks: Blocks = table("sagan", facts, TABLES)
    in_generator, in_discriminator = blocks.attention
    base = residual("sagan", facts, len(facts.classes))
    return base.but(
        {
            "method": Adversarial(FRESH),
            "generator.lr": 1e-4,
            "discriminator.lr": 4e-4,
            "length": ITERATIONS * base.batch,
            "generator.network.spectral": True,
            "generator.network.attention": in_generator,
            "discriminator.network.attention": in_discriminator,
        }
    )
