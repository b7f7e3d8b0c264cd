"""Denoising feature matching, the row of chainer-gan-lib's table with a third network."""

from __future__ import annotations

from gansaku.contract import Player
from gansaku.data.store import Facts
from gansaku.losses import Logistic
from gansaku.methods.denoising import DenoisingFeatureMatching
from gansaku.networks.denoising import FeatureDenoiser, FeatureDiscriminator
from gansaku.recipe import Recipe
from gansaku.recipes.chainer_gan_lib import CIFAR, adversarial
from gansaku.recipes.registry import recipe_function


@recipe_function(status="trained briefly", shape=CIFAR)
def dfm(facts: Facts) -> Recipe:
    """Denoising feature matching: G also follows a denoiser of D's features towards those that real samples have.

    gansaku train dfm --data cifar10.zip

    Source: chainer-gan-lib, `dfm`: Adam 1e-4, β (0.5, 0.9), softplus losses, 0.03 times the features' mean squared error,
            noise N(0, 1), one step each on the same batch and fakes, ten layers of denoiser; the order as the method says.
            Warde-Farley & Bengio 2017, OpenReview S1X7nhsxl.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 30.1, Inception Score 7.3 (its README, after 100,000 iterations). MEASURED: not at this length; a quarter as
            wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 4.3, to the
            avatars from 12.5 to 2.7.
    Watch:  the denoiser has ten times the square of the features: 42,000,384 weights at 32 px, 671 million at 64 px. A
            narrower D needs a narrower denoiser, both set at once: discriminator.network.width=8 and
            method.denoiser.network.features=512.
    """
    base = adversarial(facts, Logistic(), lr=1e-4, betas=(0.5, 0.9))
    judge = FeatureDiscriminator(facts.shape)
    denoiser = Player(FeatureDenoiser(judge.features), base.generator.optimizer, base.generator.lr)
    return base.but({"discriminator.network": judge, "method": DenoisingFeatureMatching(denoiser=denoiser)})
