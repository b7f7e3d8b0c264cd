"""DCGAN for pictures, 3D-GAN for voxels: one pair of networks, one code path."""

from __future__ import annotations

from gansaku.contract import Gate, Move, Player
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian, Uniform
from gansaku.losses import Hinge, LeastSquares, RelativisticAverage
from gansaku.methods.adversarial import Adversarial
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import EMA


@recipe_function(status="builds")
def dcgan(facts: Facts) -> Recipe:
    """DCGAN with the settings that everybody starts from, for any size base·2ᵏ, in 2D and 3D.

    gansaku train dcgan --data FOLDER

    Source: Radford et al. 2016, arXiv:1511.06434, sec. 4: Adam 2e-4 with β1 0.5, N(0, 0.02), leaky ReLU 0.2, batch
            norm in both. Fakes shared by both steps and widths 64 … 512 as in the usual PyTorch example; latent N(0, 1).
            Added: a weight average for what is shown.
    Expect: MEASURED: not at these settings; narrower and at 5e-4, faces after 10 passes (docs/results/first-runs.md).
    """
    return Recipe(
        shape=facts.shape,
        latent=Gaussian(100),
        generator=Player(DCGANGenerator(facts.shape, latent=100), Adam(), lr=2e-4, ema=EMA(half_life=64_000)),
        discriminator=Player(DCGANDiscriminator(facts.shape), Adam(), lr=2e-4),
        batch=min(64, facts.count),
        length=25 * facts.count,
        precision="bf16",
    )


@recipe_function(status="builds", shape=(3, 96, 96))
def dcgan_96(facts: Facts) -> Recipe:
    """Article 4's DCGAN for faces of 96 px: transposed convolutions, or upsampling; batch norm before, or after.

    gansaku train dcgan-96 --data faces.zip --size 96

    Source: article 4: transposed convolutions 4 wide with stride 2, or upsampling and 3 × 3 convolutions
            (generator.network.grow=resize), batch norm before the activation or after it (generator.network.norm_first=false),
            60 passes; one discriminator for all. Its two drawings of the networks are not in its text; read here as 96 =
            6 · 2⁴, so 512 maps of 6², 256, 128, 64 and the picture, weights from N(0, 0.02). Not said, and as usual: latent
            N(0, 1) of 100, batch 64, Adam 2e-4 with β1 0.5, one step each on the same fakes.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's. Other sizes than 96 work as well.
    Expect: says the article, transposed convolution clearly better, upsampling broken by pass 60, batch norm after the
            activation worse. MEASURED: not at this size.
    Watch:  crosses (the signal `checkerboard`) that fade while it learns; jumps between sizes of faces (`gansaku walk`).
    """
    return dcgan(facts).but({"generator.ema": None, "length": 60 * facts.count})


@recipe_function(status="builds")
def lsgan(facts: Facts) -> Recipe:
    """`dcgan` with the least-squares loss.

    gansaku train lsgan --data FOLDER

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9 (targets 1, 0 and 1). Networks and all else are those of `dcgan`,
            not the paper's, so that losses are compared with nothing else changed.
    Expect: MEASURED: not yet.
    """
    return dcgan(facts).but(loss=LeastSquares())


@recipe_function(status="builds")
def hinge(facts: Facts) -> Recipe:
    """`dcgan` with the hinge loss.

    gansaku train hinge --data FOLDER

    Source: Lim & Ye 2017, arXiv:1705.02894; Tran et al. 2017, arXiv:1702.08896. Networks and all else are those of `dcgan`.
    Expect: MEASURED: not yet.
    """
    return dcgan(facts).but(loss=Hinge())


@recipe_function(status="builds")
def ralsgan(facts: Facts) -> Recipe:
    """`dcgan` with the relativistic average least-squares loss.

    gansaku train ralsgan --data FOLDER

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, table 1 (RaLSGAN). Networks and all else are those of `dcgan`.
    Expect: MEASURED: not yet.
    """
    return dcgan(facts).but(loss=RelativisticAverage("least-squares"))


@recipe_function(status="builds", shape=(1, 64, 64, 64))
def gan3d(facts: Facts) -> Recipe:
    """3D-GAN: the same pair on voxels, with the paper's learning rates and its accuracy gate.

    gansaku train gan3d --data chairs

    Source: Wu et al. 2016, arXiv:1610.07584, sec. 3: z of 200 values from U(0, 1) (here U(-1, 1)), Adam with β1 0.5,
            2.5e-3 for the generator and 1e-5 for the discriminator, which steps only while it is right on less than
            80 % of the batch; batch 100. At 64³ the generator has 17,569,664 parameters.
    Expect: chairs from about 50 passes. MEASURED: not yet; `auto` is the recipe that was measured on voxels.
    Watch:  occupancy 0 or 1 is final: a vanished shape does not come back.
    """
    if len(facts.shape) != 4:
        raise RecipeError("gan3d", f"is for voxels, and the samples are {facts.shape}; use dcgan", "SHAPE")
    gated = Move("discriminator", gate=Gate("accuracy", below=0.8))
    return Recipe(
        shape=facts.shape,
        method=Adversarial((gated, Move("generator", real="same", fake="same"))),
        latent=Uniform(200),
        generator=Player(DCGANGenerator(facts.shape, latent=200), Adam(), lr=2.5e-3),
        discriminator=Player(DCGANDiscriminator(facts.shape), Adam(), lr=1e-5),
        batch=min(100, facts.count),
        length=100 * facts.count,
        precision="bf16",
    )
