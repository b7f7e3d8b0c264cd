"""Progressive growing: the paper's, and article 2's."""

from __future__ import annotations

import math

from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.latents import Gaussian
from gansaku.losses import Wasserstein
from gansaku.methods.adversarial import FRESH, Adversarial
from gansaku.methods.auxiliary_classifier import AuxiliaryClassifier
from gansaku.networks.blocks import doublings
from gansaku.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import EMA, Level, Levels
from gansaku.terms import Drift, GradientPenalty

FOOD = (3, 256, 256)
KEPT = 0.999  # of the weight average by each step
PHASE, LENGTH = 600_000, 12_000_000  # samples: the paper's, with one GPU
BATCHES = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}
ARTICLES = {4: 16, 8: 16, 16: 16, 32: 16, 64: 16, 128: 8, 256: 4}
ARTICLES_PHASE = 16_000  # samples: 1,000 steps of 16, 2,000 of 8, 4,000 of 4
RETRIED = {4: 128, 8: 128, 16: 128, 32: 128, 64: 16, 128: 8, 256: 4}


@recipe_function(shape=FOOD)
def progressive(facts: Facts) -> Recipe:
    """ProGAN: both networks grow from 4 px to full size, each level faded in, with a Wasserstein loss and its penalty.

    gansaku train progressive --data faces.zip

    Pictures and voxels whose smallest side is 4 to 7 times a power of two. With classes, if the data have some, as the
    authors' program: a one-hot label beside z and an auxiliary classifier. The table of sizes is growth.levels.

    Source: Karras et al. 2018, arXiv:1710.10196, and the authors' program, preset v2-1gpu: at 1024 px 23,079,115 and 23,087,249
            parameters; λ 10, drift 0.001, Adam 1e-3, β (0, 0.99), ε 1e-8, an average that keeps 0.999 a step, 600,000
            samples while a level fades in and as many while it stands, 12 million in all, batch 128 at 4 px to 4 at 512,
            optimizers anew at each size.
    Departs: the paper's rate of 1.5e-3 at the largest sizes is 1e-3 here; batch 4 at 1024 px as at 512.
    Expect: FID 8.04 on CelebA-HQ at 256 px in two weeks of one V100 at 1024 (the program's README). MEASURED: not yet.
    Watch:  a phase that ends worse than the one before, as the log says at its end: more batch, or a longer phase; or let
            --growth-gate stop or extend see to it.
    """
    return grown(facts, BATCHES, PHASE, LENGTH)


@recipe_function(shape=FOOD)
def progressive_article(facts: Facts) -> Recipe:
    """Article 2's: progressive growing in 208,000 pictures, with batches of 16, 8 and 4.

    gansaku train progressive-article --data food-101 --size 256

    Source: article 2, whose numbers these are: 1,000 steps for each phase up to 64 px with batch 16, 2,000 at 128 px with 8,
            4,000 at 256 px with 4; and the book's code that it runs (Hands-On Image Generation with TensorFlow 2.0, chapter
            7): reflecting borders, the drift on real samples and fakes, no weight average, Adam 1e-3, β (0, 0.99).
    Departs: latents for D's step and G's step are drawn separately here.
    Expect: "fine up to 64, worse at 128, broken at 256", says the article. MEASURED: not yet.
    Watch:  the score of each phase at its own size, and what is said when 128 px ends; batches of 4.
    """
    return articles(facts, ARTICLES)


@recipe_function(shape=FOOD)
def progressive_retry(facts: Facts) -> Recipe:
    """Article 2's second try: as many steps, with batches of 128 at low resolution.

    gansaku train progressive-retry --data food-101 --size 256

    Source: article 2: "batch 128 at the low resolutions; not quite ten times as slow, four to five days to 256 px". Up to which
            size is not said: here up to 32 px, and the steps of each phase are those of the first try.
    Expect: better than the first try, hopes the article, which did not wait for it. MEASURED: not yet.
    """
    return articles(facts, RETRIED)


def articles(facts: Facts, batches: dict[int, int]) -> Recipe:
    """Article 2's recipe with these batches; a phase's steps are those of its first try."""
    base = grown(facts, ARTICLES, ARTICLES_PHASE, 0)
    assert isinstance(base.growth, Levels)
    levels = []
    for level in base.growth.levels:
        batch = nearest(batches, level.side)
        steps = ARTICLES_PHASE // nearest(ARTICLES, level.side)
        levels.append(Level(level.side, steps * batch if level.fade else 0, steps * batch, min(batch, facts.count)))
    growth = Levels(tuple(levels))
    return base.but(
        {
            "growth": growth,
            "length": growth.length,
            "generator.ema": None,
            "generator.network.padding": "reflect",
            "discriminator.network.padding": "reflect",
            "discriminator.terms.1.term": Drift("both"),
        }
    )


def grown(facts: Facts, batches: dict[int, int], phase: int, length: int) -> Recipe:
    """The paper's pair with a phase of so many samples for each fade and each size, and so long in all."""
    base, count = doublings(facts.shape[1:])
    sides = [min(base) << n for n in range(count + 1)]
    levels = Levels(
        tuple(Level(s, phase if n else 0, phase, min(nearest(batches, s), facts.count)) for n, s in enumerate(sides))
    )
    classes = len(facts.classes) if len(facts.classes) > 1 else 0
    adam, batch = Adam((0.0, 0.99), eps=1e-8), levels.levels[-1].batch
    average = EMA(half_life=round(math.log(0.5) / math.log(KEPT)) * batch)
    terms = (Weighted(10.0, GradientPenalty()), Weighted(0.001, Drift()))
    shape, start = facts.shape, sides[0]
    return Recipe(
        shape=shape,
        loss=Wasserstein(),
        method=AuxiliaryClassifier(FRESH) if classes else Adversarial(FRESH),
        latent=Gaussian(512),
        growth=levels,
        generator=Player(ProgressiveGenerator(shape, start=start, classes=classes), adam, 1e-3, ema=average),
        discriminator=Player(ProgressiveDiscriminator(shape, start=start, classes=classes), adam, 1e-3, terms=terms),
        batch=batch,
        length=max(length, levels.length),
        classes=classes,
        fake_labels="uniform" if classes else "same",
        precision="bf16",
    )


def nearest(batches: dict[int, int], side: int) -> int:
    """The batch of the largest size in the table that is not above a side; of the smallest one below all."""
    fitting = [size for size in batches if size <= side] or [min(batches)]
    return batches[max(fitting)]
