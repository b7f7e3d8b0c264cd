"""What trains on voxels today: stable by its loss and its penalties, on few samples too, and by class where there are some."""

from __future__ import annotations

from gansaku.augment import DiffAugment
from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import RelativisticPairing
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import EMA
from gansaku.terms import R1, R2

EVERY = 4  # moves of D between two times with penalties


@recipe_function(shape=(1, 32, 32, 32), sizes=(16, 32, 64))
def voxels(facts: Facts) -> Recipe:
    """Relativistic pairs with R1 and R2 and augmented samples, on 3D-GAN's networks with a norm-free discriminator.

    gansaku train voxels --data chairs --size 32

    16³, 32³, 64³, and any other sides base · 2ᵏ, all alike or not. With classes, if the data have some: the label's code
    beside z, and in D the product with its learned vector.

    Source: R3GAN's loss (Huang et al. 2024, arXiv:2501.05441), DiffAugment (Zhao et al. 2020, arXiv:2006.10738) in space, the
            networks of 3D-GAN (Wu et al. 2016, arXiv:1610.07584, sec. 3), above 16³ at half their width, projection (Miyato &
            Koyama 2018, arXiv:1802.05637). Penalties on every fourth step (StyleGAN2, arXiv:1912.04958, sec. 3.1); learning
            rates as in `auto`.
    Expect: bundled chairs of 16³ with legs, backs and arms after some 40,000 samples, seven minutes of one core, and an island
            or two beside most of them; seen in one run. MEASURED: not yet; no other size and no classes were tried.
    Watch:  the alarms `empty`, `full`, `pattern` and `islands`; the last one is usual while it learns.
    """
    if len(facts.shape) != 4:
        raise RecipeError("voxels", f"is for voxels, and the samples are {facts.shape}; use auto", "SHAPE")
    classes, adam = len(facts.classes), Adam(betas=(0.0, 0.99))
    penalties = (Weighted(1.0, R1(), every=EVERY), Weighted(1.0, R2(), every=EVERY))
    width = 64 if max(facts.shape[1:]) <= 16 else 32
    made = DCGANGenerator(facts.shape, 64, width=width, classes=classes)
    judge = DCGANDiscriminator(facts.shape, width, norm="none", init="he", classes=classes)
    return Recipe(
        shape=facts.shape,
        loss=RelativisticPairing(),
        latent=Gaussian(64),
        generator=Player(made, adam, lr=1e-3, ema=EMA(half_life=64_000)),
        discriminator=Player(judge, adam, lr=1e-3, terms=penalties),
        augment=DiffAugment(),
        batch=min(32, facts.count),
        length=max(250_000, 100 * facts.count),
        classes=classes,
        precision="bf16",
    )
