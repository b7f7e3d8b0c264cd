"""The dog-picture competition's first, second and third places, as far as their authors have told."""

from __future__ import annotations

from gansaku.contract import Player
from gansaku.data.store import Facts
from gansaku.latents import Gaussian
from gansaku.losses import BinaryCrossEntropy, RelativisticAverage
from gansaku.methods.adversarial import FRESH, Adversarial
from gansaku.methods.auxiliary_classifier import AuxiliaryClassifier
from gansaku.networks.dog_biggan import DogBigGANDiscriminator, DogBigGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.biggan import biggan
from gansaku.recipes.chainer_gan_lib import number_of_classes
from gansaku.recipes.registry import recipe_function
from gansaku.recipes.sngan import sagan
from gansaku.schedules import EMA, WarmRestarts
from gansaku.targets import Soft

DOGS = (3, 64, 64)
WAVES = 10  # the third place's, over the whole run


@recipe_function(shape=DOGS, classes=120)
def dogs_first(facts: Facts) -> Recipe:
    """The winner of the dog-picture competition: a BigGAN with leaky ReLUs and smoothed labels.

    gansaku train dogs-first --data dogs.h5 --budget 9h

    Prepare with `--boxes Annotation --box-aspect 0.2,4`, as the winner did, and sample with `--truncation 0.8`.

    Source: the winner's public kernel (tikutiku, "GAN dogs starter BigGAN"), as copies of it in public repositories have
            it: both networks at 36 and 42 channels, which it calls 10M and 8M parameters (it lists seven sizes); binary
            cross-entropy with 0.9 for real, also in G's loss; Adam 3e-4, β (0, 0.999), batch 32, one step each, new latents
            and classes for G's. 130 passes, no weight average, truncation 0.8: a summary of the winners' posts
            (Qiita, hrs1985, 9a48022ea7d4112f185c). Which size won is not told, nor are the boxes' margins.
    Departs: truncation goes by quantiles here, where the kernel draws again; computed in bf16 where the machine has it.
    Expect: the best honest entry had MiFID 31.10 in public and 55.42 in private, after 9 hours on one P100 (the file
            competition_results.csv of Bai et al. 2021, arXiv:2106.03062, which names nobody). MEASURED: not yet.
    """
    batch, adam = min(32, facts.count), Adam((0.0, 0.999))
    classes = number_of_classes("dogs-first", facts)
    return Recipe(
        shape=facts.shape,
        loss=BinaryCrossEntropy(),
        method=Adversarial(FRESH),
        latent=Gaussian(120),
        targets=Soft(0.9, 0.0),
        generator=Player(DogBigGANGenerator(facts.shape, classes), adam, 3e-4),
        discriminator=Player(DogBigGANDiscriminator(facts.shape, classes), adam, 3e-4),
        batch=batch,
        length=130 * facts.count,
        mirror=True,
        classes=classes,
        fake_labels="uniform",
        precision="bf16",
    )


@recipe_function(shape=DOGS, classes=120)
def dogs_second(facts: Facts) -> Recipe:
    """The competition's second place: BigGAN by projection, a class head beside it, and the relativistic least squares.

    gansaku train dogs-second --data dogs.h5 --budget 9h

    Source: a summary of the winners' posts (Qiita, hrs1985, 9a48022ea7d4112f185c): BigGAN with shared embedding,
            hierarchical latents and projection; RaLS plus an auxiliary classification loss; batch 128; G's weight average.
            All else is not told and chosen here: biggan's networks for 64 px at half of their width, Adam 2e-4, β (0,
            0.999), one step each, 130 passes, the class loss at a tenth in both players.
    Departs: the pictures get no uniform noise, whose size is not told; data of 8 bits would need 1/255 of it at most.
    Expect: second of 927. MEASURED: not yet.
    """
    base = biggan(facts)
    rate, adam = 2e-4, Adam((0.0, 0.999))
    return base.but(
        {
            "loss": RelativisticAverage("least-squares"),
            "method": AuxiliaryClassifier(FRESH, weight=0.1),
            "generator.network.width": 40,
            "discriminator.network.width": 40,
            "discriminator.network.tells": True,
            "generator.optimizer": adam,
            "discriminator.optimizer": adam,
            "generator.lr": rate,
            "discriminator.lr": rate,
            "generator.ema": EMA(half_life=100_000),
            "batch": min(128, facts.count),
            "length": 130 * facts.count,
        }
    )


@recipe_function(shape=DOGS)
def dogs_third(facts: Facts) -> Recipe:
    """The competition's third place: self-attention, two rates, warm restarts, smoothed labels.

    gansaku train dogs-third --data dogs.h5 --budget 9h

    Its author found both kinds of pictures best for the public score: boxes cut out, and the whole pictures. Whether it was
    told the breeds is not known: it is, where the data have some.

    Source: a summary of the winners' posts (Qiita, hrs1985, 9a48022ea7d4112f185c): SAGAN with attention on maps of 32 × 32,
            z of 180, binary cross-entropy ("best, LSGAN next"), label smoothing, 2e-4 for G and 4e-4 for D, batch 32 ("64 was
            worse"), cosine annealing with warm restarts, 170 passes. Not told and chosen here: sagan's networks for 64 px at
            half of their width, 0.9 for real, Adam β (0, 0.999), ten waves of equal length down to a tenth.
    Expect: third of 927. MEASURED: not yet.
    """
    base, adam = sagan(facts), Adam((0.0, 0.999))
    length = 170 * facts.count
    rate = WarmRestarts(max(1, length // WAVES), 1, 0.1)
    return base.but(
        {
            "loss": BinaryCrossEntropy(),
            "latent.size": 180,
            "targets": Soft(0.9, 0.0),
            "generator.network.latent": 180,
            "generator.network.width": 32,
            "discriminator.network.width": 32,
            "generator.optimizer": adam,
            "discriminator.optimizer": adam,
            "generator.lr": 2e-4,
            "discriminator.lr": 4e-4,
            "generator.rate": rate,
            "discriminator.rate": rate,
            "batch": min(32, facts.count),
            "length": length,
            "mirror": True,
        }
    )
