"""BEGAN as in chainer-gan-lib's table on CIFAR-10."""

from __future__ import annotations

from gansaku.contract import Player
from gansaku.data.store import Facts
from gansaku.latents import Uniform
from gansaku.methods.began import BEGAN
from gansaku.networks.autoencoder import ChainerAutoEncoder
from gansaku.networks.chainer_gan_lib import ChainerGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.chainer_gan_lib import BATCH, CIFAR, FIRST, ITERATIONS
from gansaku.recipes.registry import recipe_function


@recipe_function(shape=CIFAR)
def began(facts: Facts) -> Recipe:
    """BEGAN: D is an auto-encoder that learns to copy real samples and, as far as k says, not to copy fakes.

    gansaku train began --data cifar10.zip

    Source: chainer-gan-lib, `began`: Adam 2e-4, β (0, 0.9), γ 0.5, k moves by 0.001 of the imbalance, no batch norm in
            either network, one step each on the same fakes, G first. Berthelot et al. 2017, arXiv:1703.10717.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 84.0, Inception Score 5.4 (its README, after 100,000 iterations), the farthest of its table. MEASURED: not
            at this length; a quarter as wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10
            went from 13.5 to 4.1; on the avatars it drew one face, blurred, and with method.gamma=0.75 many.
    Watch:  discriminator/measure falls while it converges, but tells nothing of variety; a k that stays at 0 or 1 has lost
            the balance. The log's D(x) and D(G(z)) are errors of the auto-encoder: lower is more real.
    """
    adam, batch = Adam(FIRST), min(BATCH, facts.count)
    return Recipe(
        shape=facts.shape,
        loss=None,
        method=BEGAN(),
        latent=Uniform(128),
        generator=Player(ChainerGenerator(facts.shape, norm="none"), adam, 2e-4),
        discriminator=Player(ChainerAutoEncoder(facts.shape), adam, 2e-4),
        batch=batch,
        length=ITERATIONS * batch,
        precision="bf16",
    )
