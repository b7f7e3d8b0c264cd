"""The rows of chainer-gan-lib's table on CIFAR-10 (README.md, example.sh, train.py) that the usual method holds.

What they share: its DCGAN generator, z of 128 values from U(-1, 1), batch 64, 100,000 iterations, Adam with its own numbers,
no weight average. An iteration draws as many batches as D has steps, and the length counts every one of them.
"""

from __future__ import annotations

from gansaku.contract import AdversarialLoss, Move, Player, Term, Weighted
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Uniform
from gansaku.losses import Logistic, Wasserstein
from gansaku.methods.adversarial import Adversarial, critic, generator_first
from gansaku.networks.blocks import Norm
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.networks.chainer_resnet import ChainerResNetDiscriminator, ChainerResNetGenerator
from gansaku.optimizers import Adam, RMSprop
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.terms import Dragan, GradientPenalty

CIFAR = (3, 32, 32)
ITERATIONS = 100_000
BATCH = 64
FIRST = (0.0, 0.9)  # Adam's β where example.sh names none


def number_of_classes(name: str, facts: Facts) -> int:
    """K. Raises RecipeError where the data have no classes."""
    if not facts.classes:
        raise RecipeError(name, f"needs classes, and {facts.name} has none; class folders make some", "CLASSES")
    return len(facts.classes)


def adversarial(
    facts: Facts,
    loss: AdversarialLoss,
    lr: float = 2e-4,
    betas: tuple[float, float] = FIRST,
    steps: int = 1,
    norm: Norm = "none",
    penalty: Term | None = None,
) -> Recipe:
    """Its pair of networks; G moves on the first of `steps` D batches, and D takes the same fakes there."""
    adam, batch = Adam(betas), min(BATCH, facts.count)
    terms = () if penalty is None else (Weighted(10.0, penalty),)
    return Recipe(
        shape=facts.shape,
        loss=loss,
        method=Adversarial(generator_first(steps)),
        latent=Uniform(128),
        generator=Player(ChainerGenerator(facts.shape), adam, lr),
        discriminator=Player(ChainerDiscriminator(facts.shape, norm=norm), adam, lr, terms=terms),
        batch=batch,
        length=ITERATIONS * batch * steps,
        precision="bf16",
    )


@recipe_function(status="trained briefly", shape=CIFAR)
def dcgan_chainer(facts: Facts) -> Recipe:
    """DCGAN as chainer-gan-lib has it: more layers in D than the usual example, and a linear layer with batch norm first in G.

    gansaku train dcgan-chainer --data cifar10.zip

    Source: chainer-gan-lib, `dcgan`: Adam 2e-4, β (0, 0.9), softplus losses, one step each on the same fakes, G first.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 34.3, Inception Score 6.7 (its README, after 100,000 iterations). MEASURED: not at this length; a quarter as
            wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 1.8, to the
            avatars from 12.5 to 3.1, there few faces over and over.
    """
    return adversarial(facts, Logistic(), norm="batch")


@recipe_function(status="trained briefly", shape=CIFAR)
def minibatch(facts: Facts) -> Recipe:
    """Minibatch discrimination: D sees how near a sample is to the others of its batch, so that collapse is noticed.

    gansaku train minibatch --data cifar10.zip

    Source: chainer-gan-lib, `minibatch_discrimination`: 100 kernels of 5 values, Adam 1e-4, β (0, 0.9), one step each on
            the same fakes, G first. Salimans et al. 2016, arXiv:1606.03498, sec. 3.2.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 31.3, Inception Score 7.0 (its README, after 100,000 iterations). MEASURED: not at this length; a quarter as
            wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 3.0, to the
            avatars from 12.5 to 3.7, there few faces over and over.
    """
    base = adversarial(facts, Logistic(), lr=1e-4, norm="batch")
    return base.but({"discriminator.network.kernels": 100})


@recipe_function(shape=CIFAR)
def wgan(facts: Facts) -> Recipe:
    """The first Wasserstein GAN: D's weights are clipped, which article 1 tells "did not converge well".

    gansaku train wgan --data cifar10.zip

    Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1: RMSprop 5e-5, weights in [-0.01, 0.01], five D steps and
            then G with new latents, batch 64. chainer-gan-lib has no clipping; the networks are its DCGAN pair, with batch
            norm in D as the paper's DCGAN has.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: no published figure for these networks. MEASURED: not at this length; a quarter as wide, in a quarter of an hour
            (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 7.7, not half of it; to the avatars from
            12.5 to 3.7, without a face in sight. With both rates four times as high, CIFAR-10's fell to 4.0.
    Watch:  the loss says little of the pictures while D is held so tightly.
    """
    base = adversarial(facts, Wasserstein(), lr=5e-5, steps=5, norm="batch")
    rms, order = RMSprop(), Adversarial(critic(5))
    return base.but({"method": order, "generator.optimizer": rms, "discriminator.optimizer": rms, "discriminator.clip": 0.01})


@recipe_function(status="trained briefly", shape=CIFAR)
def wgan_gp(facts: Facts) -> Recipe:
    """WGAN-GP: a Wasserstein D whose slope is pulled to 1 between real and fake.

    gansaku train wgan-gp --data cifar10.zip

    Source: chainer-gan-lib, `wgan_gp`: Adam 2e-4, β (0, 0.9), λ 10, five D steps, G on the first of them with the same
            fakes. Gulrajani et al. 2017, arXiv:1704.00028, where G moves last, with new latents.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 28.2, Inception Score 6.8 (its README, after 100,000 iterations). MEASURED: not at this length; a quarter as
            wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 2.7, to the
            avatars from 12.5 to 1.3.
    """
    return adversarial(facts, Wasserstein(), steps=5, penalty=GradientPenalty())


@recipe_function(status="trained briefly", shape=CIFAR)
def wgan_gp_resnet(facts: Facts) -> Recipe:
    """WGAN-GP on chainer-gan-lib's residual pair, which its command line never reached.

    gansaku train wgan-gp-resnet --data cifar10.zip

    Source: chainer-gan-lib, `ResnetGenerator` and `ResnetDiscriminator` of common/net.py, z from N(0, 1) as their default
            is; everything else as wgan-gp.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: Inception Score 7.86 for the paper's own residual pair (Gulrajani et al. 2017, table 3). MEASURED: not at this
            length; a quarter as wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from
            11.8 to 1.0, to the avatars from 11.4 to 1.3.
    """
    networks = ChainerResNetGenerator(facts.shape), ChainerResNetDiscriminator(facts.shape)
    return wgan_gp(facts).but(
        {"generator.network": networks[0], "discriminator.network": networks[1], "latent": {"part": "Gaussian", "size": 128}}
    )


@recipe_function(status="trained briefly", shape=CIFAR)
def dragan(facts: Facts) -> Recipe:
    """DRAGAN: the logistic game, with D's slope pulled to 1 around the real samples.

    gansaku train dragan --data cifar10.zip

    Source: chainer-gan-lib, `dragan`: Adam 1e-4, β (0, 0.9), λ 10, two D steps, G on the first of them with the same
            fakes; the penalty looks at x + 0.5 u s, s the deviation of each value over the batch. The source takes the
            slope of the logit: its sigmoid has no effect there. Kodali et al. 2017, arXiv:1705.07215.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 31.5, Inception Score 7.1 (its README, after 100,000 iterations). MEASURED: not at this length; a quarter as
            wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 3.8, to the
            avatars from 12.5 to 3.5, there few faces over and over.
    """
    return adversarial(facts, Logistic(), lr=1e-4, steps=2, penalty=Dragan())


@recipe_function(status="trained briefly", shape=CIFAR)
def sn_dcgan(facts: Facts) -> Recipe:
    """Spectral norm on every layer of D, which bounds its slope without a penalty.

    gansaku train sn-dcgan --data cifar10.zip

    Source: chainer-gan-lib, `stdgan` with `sndcgan`: Adam 2e-4, β (0.5, 0.999), softplus losses, G first, then D with new
            fakes of the G that has moved. Miyato et al. 2018, arXiv:1802.05957.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: FID 23.6, Inception Score 7.5, the best DCGAN of its README. MEASURED: not at this length; a quarter as wide, in
            a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 13.5 to 1.1, to the avatars
            from 12.5 to 3.4, there few faces over and over.
    """
    base = adversarial(facts, Logistic(), betas=(0.5, 0.999), norm="spectral")
    return base.but(method=Adversarial((Move("generator"), Move("discriminator", real="same"))))
