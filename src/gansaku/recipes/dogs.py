"""Article 3: the team's own networks and loop for the dog-picture competition."""

from __future__ import annotations

from gansaku.contract import Move, Player
from gansaku.data.boxes import FLAGS
from gansaku.data.store import Facts
from gansaku.latents import Gaussian
from gansaku.losses import BinaryCrossEntropy
from gansaku.methods.adversarial import Adversarial
from gansaku.networks.dogs import DogDiscriminator, DogGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import recipe_function
from gansaku.schedules import WarmRestarts
from gansaku.targets import Noisy

PASSES = 200
WAVE = 8  # passes until the first restart
END = 0.25  # 5e-5 of 2e-4
TWO_STEPS = (Move("discriminator"), Move("generator", real="same"), Move("generator", real="same"))
"""D once, then G twice with new latents on the same real batch."""


@recipe_function(shape=(3, 64, 64))
def dogs(facts: Facts) -> Recipe:
    """Article 3's pair for pictures of dogs by breed: spectral norm, self-attention, two G steps, flags in the targets.

    gansaku train dogs --data dogs.h5 --budget 9h

    Source: article 3, as its code is printed: both networks, Adam 2e-4 with β (0.5, 0.999), 200 passes, warm restarts over 8
            passes down to 5e-5 (D's waves twice as long each time), two G steps for each D step, targets 1 and 0 plus
            U(0, 0.1), the real one times the flags `classes` and `aspect` where the data have them, binary cross-entropy
            of a sigmoid. The label mask in D, which cannot learn, is as printed: discriminator.network.labels=picture mends it.
            Not printed, and chosen here: batch 32, pictures mirrored at random, and the layers that networks/dogs.py names.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's. The last batch of a pass runs on
            into the next one.
    Tried by the team too: loss=RelativisticAverage loss.form=least-squares; loss=LeastSquares; loss=RelativisticAverage
            loss.form=hinge; generator.network.attention=false discriminator.network.attention=false; `….spectral=false`;
            generator.optimizer=AdaBound; without breeds: classes=0 generator.network.classes=0 discriminator.network.classes=0.
    Expect: a public MiFID of about 60 after 9 hours on one P100, says the article. MEASURED: not at this length.
    Watch:  "D wins, its loss goes to 0, and G draws tiles"; flags of 0, which train G towards 0 as well.
    """
    batch, classes = min(32, facts.count), len(facts.classes) if len(facts.classes) > 1 else 0
    adam, wave = Adam((0.5, 0.999)), WAVE * facts.count
    rate = WarmRestarts(wave, 1, END, step=facts.count, lag=2 * batch)
    longer = WarmRestarts(wave, 2, END, step=facts.count, lag=2 * batch)
    return Recipe(
        shape=facts.shape,
        loss=BinaryCrossEntropy(),
        method=Adversarial(TWO_STEPS, real_logits="earlier"),
        latent=Gaussian(128),
        targets=Noisy(0.1, tuple(name for name in FLAGS if name in facts.columns)),
        generator=Player(DogGenerator(facts.shape, classes=classes), adam, 2e-4, rate),
        discriminator=Player(DogDiscriminator(facts.shape, classes=classes), adam, 2e-4, longer),
        batch=batch,
        length=PASSES * facts.count,
        mirror=True,
        classes=classes,
        precision="bf16",
    )
