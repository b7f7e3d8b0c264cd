"""What trains when nobody names a recipe, chosen by the data alone."""

from __future__ import annotations

from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.latents import Gaussian
from gansaku.losses import RelativisticPairing
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import EMA
from gansaku.terms import R1, R2


@recipe_function(status="measured", shape=(3, 32, 32))
def auto(facts: Facts) -> Recipe:
    """A small norm-free pair that shows recognizable samples within minutes on a laptop, for pictures and voxels.

    gansaku train --data FOLDER

    Source: DCGAN's networks, the discriminator without batch norm; relativistic pairing with R1 and R2 as in R3GAN
            (Huang et al. 2024, arXiv:2501.05441), both every fourth step; learning rates from short trials.
    Expect: avatars, 32 px: recognizable and varied after two to three minutes on two cores (docs/results/demo.md).
    Watch:  the raw generator swings more than its weight average, which is what sheets and samples show.
    """
    voxels = len(facts.shape) == 4
    width = 32 if voxels or max(facts.shape[1:]) <= 32 else 48
    penalties = (Weighted(1.0, R1(), every=4), Weighted(1.0, R2(), every=4))
    adam = Adam(betas=(0.0, 0.99))
    return Recipe(
        shape=facts.shape,
        loss=RelativisticPairing(),
        latent=Gaussian(64),
        generator=Player(DCGANGenerator(facts.shape, 64, width), adam, lr=1e-3, ema=EMA(half_life=128_000)),
        discriminator=Player(DCGANDiscriminator(facts.shape, width, norm="none", init="he"), adam, lr=1e-3, terms=penalties),
        batch=min(32 if voxels else 64, facts.count),
        length=max(250_000, 25 * facts.count),
        precision="bf16",
    )
