"""What trains when nobody names a recipe, chosen by the data alone."""

from __future__ import annotations

from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.latents import Gaussian
from gansaku.losses import RelativisticPairing
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.dcgan import dcgan
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import EMA
from gansaku.terms import R1, R2


@recipe_function(status="measured", shape=(3, 32, 32))
def auto(facts: Facts) -> Recipe:
    """A small pair of networks that shows recognizable samples within minutes on a laptop, for pictures and voxels.

    gansaku train --data FOLDER

    Pictures up to 32 px and voxels: DCGAN's networks, the discriminator without batch norm; relativistic pairing with
    R1 and R2 on every fourth step. Larger pictures: the dcgan recipe, narrower and at a higher learning rate, since the
    former pair learned much more slowly at 64 px (docs/results/first-runs.md has both).

    Source: R3GAN's loss (Huang et al. 2024, arXiv:2501.05441) and DCGAN (Radford et al. 2016, arXiv:1511.06434); the
            learning rates come from short trials here.
    Expect: avatars, 32 px: recognizable and varied after three minutes on two cores (docs/results/demo.md); chairs, 32³,
            after five; faces, 64 px, after ten (docs/results/first-runs.md).
    Watch:  the raw generator swings more than its weight average, which is what sheets and samples show.
    """
    if len(facts.shape) == 3 and max(facts.shape[1:]) > 32:
        return large_pictures(facts)
    return small_samples(facts)


def small_samples(facts: Facts) -> Recipe:
    """The norm-free pair."""
    penalties = (Weighted(1.0, R1(), every=4), Weighted(1.0, R2(), every=4))
    adam = Adam(betas=(0.0, 0.99))
    return Recipe(
        shape=facts.shape,
        loss=RelativisticPairing(),
        latent=Gaussian(64),
        generator=Player(DCGANGenerator(facts.shape, 64, width=32), adam, lr=1e-3, ema=EMA(half_life=128_000)),
        discriminator=Player(DCGANDiscriminator(facts.shape, 32, norm="none", init="he"), adam, lr=1e-3, terms=penalties),
        batch=min(32 if len(facts.shape) == 4 else 64, facts.count),
        length=max(250_000, 25 * facts.count),
        precision="bf16",
    )


def large_pictures(facts: Facts) -> Recipe:
    """The classic pair."""
    narrow = {"generator.network.width": 48, "discriminator.network.width": 48, "length": max(250_000, 25 * facts.count)}
    return dcgan(facts).but({**narrow, "generator.lr": 5e-4, "discriminator.lr": 5e-4})
