"""Article 0's own 3D-GAN."""

from __future__ import annotations

from gansaku.contract import Player
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import BoundedLogistic
from gansaku.methods.adversarial import Adversarial, generator_first
from gansaku.networks.gan3d import ArticleDiscriminator, ArticleGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function

PASSES = 1000


@recipe_function(shape=(1, 64, 64, 64))
def gan3d_article(facts: Facts) -> Recipe:
    """Article 0's code for chairs of 64³: 27 logits, each through batch norm, a sigmoid and a softplus.

    gansaku train gan3d-article --data chairs.h5 --set length=350_000

    Source: the article's repository (raahii/3dgan-chainer at 2e02f0c): 17,570,627 and 11,049,795 parameters at 64³, z from
            N(0, 0.33²), Adam 2.5e-3 for G and 1e-5 for D with β1 0.5, batch 30, 1,000 passes, the sum over the 27 outputs
            of softplus(-D(x)) + softplus(D(G(z))) with a sigmoid inside D; one step each on the same fakes, G first, D by
            what it said before. Its samples on the way draw z from N(0, 0.33²) too.
    Departs: the source leaves the last batch of a pass short, here it runs on into the next one.
    Tried by the author too: latent=Uniform latent.size=200; loss=Logistic, without the sigmoid, which "does not work";
            method.order.1.gate=Gate, 3D-GAN's 80 %; generator.network.leak=0.2; discriminator.optimizer=SGD
            discriminator.lr=0.01, a rate of ours; generator.network.dropout=0.5; method.batches=together, the other way.
    Expect: chairs from 50 to 100 passes, 15 minutes each on a K80, says the article. MEASURED: not yet.
    Watch:  occupancy 0 or 1 is final: a vanished shape does not come back.
    """
    if len(facts.shape) != 4:
        raise RecipeError("gan3d-article", f"is for voxels, and the samples are {facts.shape}; use dcgan", "SHAPE")
    adam = Adam()
    return Recipe(
        shape=facts.shape,
        loss=BoundedLogistic(),
        method=Adversarial(generator_first()),
        latent=Gaussian(200, scale=0.33),
        generator=Player(ArticleGenerator(facts.shape), adam, lr=2.5e-3),
        discriminator=Player(ArticleDiscriminator(facts.shape), adam, lr=1e-5),
        batch=min(30, facts.count),
        length=PASSES * facts.count,
    )
