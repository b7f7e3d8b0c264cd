"""R3GAN at 32 and 64 px, with its schedules."""

from __future__ import annotations

from typing import NamedTuple

from gansaku.annealing import AnnealedAdam, RampedEMA
from gansaku.augment import Scheduled, Transforms
from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import RelativisticPairing
from gansaku.methods.adversarial import FRESH, Adversarial
from gansaku.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import Cosine
from gansaku.terms import R1, R2


class Preset(NamedTuple):
    """What the source sets by the data."""

    widths: tuple[int, ...]
    batch: int
    gamma: float  # at the start; a tenth of it in the end
    augment: float  # in the end
    half_life: int  # of the weight average, in the end


PRESETS = {
    32: Preset((768,) * 4, 512, 0.05, 0.55, 5_000_000),  # its CIFAR10
    64: Preset((768,) * 4 + (384,), 256, 2.0, 0.3, 500_000),  # its FFHQ-64
}
OVER = 20_000_000  # samples in which everything changes
LENGTH = 250_000_000  # the program's default has no end before that on CIFAR-10; schedules have long ended


@recipe_function(shape=(3, 32, 32), sizes=(32, 64))
def r3gan(facts: Facts) -> Recipe:
    """R3GAN: relativistic pairs, R1 and R2 on every step, and residual networks without norms or tricks.

    gansaku train r3gan --data cifar10.zip

    Pictures of 32 or 64 px, and voxels as wide. With classes, if the data have some: an embedding beside z, and the product
    with one in D.

    Source: Huang et al. 2024, arXiv:2501.05441, and its program (brownvc/R3GAN), presets CIFAR10 and FFHQ-64: widths 768 and
            384 at full 64 px, groups of 16, two blocks at each size (at 32 px with ten classes G has 20,781,952 parameters, D
            21,280,512); batch 512 or 256; over 20 million samples, on half a cosine wave, Adam's rate 2e-4 to 5e-5 and β2
            0.9 to 0.99 (β1 0), γ 0.05 to 0.005 or 2 to 0.2, ADA's changes with p 0 to 0.55 or 0.3 (color half as often, with
            cutout), the average's half-life 0 to 5 million or 500,000. Pictures are mirrored.
    Departs: G's step is paired with the real samples of D's, where the source draws others; changes between pixels are
            interpolated linearly, as Transforms says; computed in bf16 where the machine has it, the source in fp16 at the
            three or four largest sizes.
    Expect: FID 1.96 on CIFAR-10 with classes and 1.95 on FFHQ at 64 px (its README), in four days of eight L40. MEASURED:
            not yet.
    """
    channels, side, *others = facts.shape
    if any(other != side for other in others) or side not in PRESETS:
        raise RecipeError("r3gan", f"is for sides of 32 or 64, and the samples are {facts.shape}; use --size 64", "SHAPE")
    preset, classes = PRESETS[side], len(facts.classes)
    color = 0.5 if len(others) == 1 and channels in (1, 3) else 0.0
    rate = Cosine(end=0.25, over=OVER)
    adam = AnnealedAdam(over=OVER)
    gamma = Cosine(end=0.1, over=OVER)
    penalties = tuple(Weighted(preset.gamma, term, rate=gamma) for term in (R1(), R2()))
    made = R3GANGenerator(facts.shape, widths=preset.widths, classes=classes)
    judge = R3GANDiscriminator(facts.shape, widths=preset.widths, classes=classes)
    return Recipe(
        shape=facts.shape,
        loss=RelativisticPairing(),
        method=Adversarial(FRESH),
        latent=Gaussian(64),
        generator=Player(made, adam, 2e-4, rate=rate, ema=RampedEMA(preset.half_life, OVER)),
        discriminator=Player(judge, adam, 2e-4, rate=rate, terms=penalties),
        augment=Scheduled(end=preset.augment, over=OVER, transforms=Transforms(color=color, cutout=1.0)),
        batch=min(preset.batch, facts.count),
        length=LENGTH,
        mirror=True,
        classes=classes,
        precision="bf16",
    )
