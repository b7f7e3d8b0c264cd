"""Article 1: a WGAN-GP that draws what it is asked for, by a classifier of its own, and the two forms that failed before it.

All on chainer-gan-lib's networks and numbers, as the article builds on them. It prints G, λ = 10, ε = 100 and the order of
the steps; the learning rates, C and D are not printed. Assumed: the rates, β and length of chainer-gan-lib's `wgan_gp`, and
for D and C its WGAN discriminator, with one output and with one for each class.
"""

from __future__ import annotations

from gansaku.contract import Player, Weighted
from gansaku.data.store import Facts
from gansaku.losses import Wasserstein
from gansaku.methods.adversarial import generator_first
from gansaku.methods.auxiliary_classifier import AuxiliaryClassifier
from gansaku.methods.class_losses import ClassLoss, CrossEntropy, WassersteinClasses
from gansaku.methods.separate_classifier import SeparateClassifier
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.chainer_gan_lib import CIFAR, FIRST, adversarial, number_of_classes
from gansaku.recipes.registry import recipe_function
from gansaku.terms import GradientPenalty

EPSILON = 100.0
PENALTY = Weighted(10.0, GradientPenalty())


def separate(name: str, facts: Facts, class_loss: ClassLoss, *terms: Weighted) -> Recipe:
    """Article 1's three networks, with a class loss and the classifier's terms."""
    classes = number_of_classes(name, facts)
    network = ChainerDiscriminator(facts.shape, norm="none", logits=0, classes=classes)
    classifier = Player(network, Adam(FIRST), lr=2e-4, terms=terms)
    method = SeparateClassifier(weight=EPSILON, class_loss=class_loss, classifier=classifier)
    return adversarial(facts, Wasserstein(), penalty=GradientPenalty()).but(
        {"method": method, "generator.network": mt_generator(facts, classes), "classes": classes}
    )


def mt_generator(facts: Facts, classes: int) -> ChainerGenerator:
    """The article's MTGenerator: labels as ±1 beside z, leaky ReLU 0.2, no batch norm after the linear layer."""
    return ChainerGenerator(facts.shape, leak=0.2, stem_norm=False, classes=classes)


@recipe_function(status="trained briefly", shape=CIFAR, classes=10)
def ac_wgan_gp(facts: Facts) -> Recipe:
    """AC-WGAN-GP: beside a Wasserstein D a classifier C learns the real samples' classes, and G is to please both.

    gansaku train ac-wgan-gp --data cifar10.zip

    Source: article 1: G's network, λ 10, ε 100, C → G → D with one step each on one batch, the real samples' labels also
            for the fakes, z of 128 from U(-1, 1). C and D are not printed in the article:
            assumed to be chainer-gan-lib's WGAN discriminator with 1 and with 10 outputs. Learning rates are not printed
            either: Adam 2e-4, β (0, 0.9), batch 64 and 100,000 iterations are chainer-gan-lib's `wgan_gp`.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: the article calls its own result a failure, shows pictures and prints no figure. MEASURED: not at this length; a
            quarter as wide, in a quarter of an hour (docs/results/methods.md), the distance to CIFAR-10 went from 11.5 to
            4.9, to the avatars from 10.2 to 1.7.
    Watch:  it "goes mad at once", says the article: G's loss is a hundred parts class to one part looks.
            method.weight=1 or 10 shifts that, generator.network.norm=none is its `use_bn=False`.
    """
    return separate("ac-wgan-gp", facts, CrossEntropy())


@recipe_function(shape=CIFAR, classes=10)
def ac_wgan_gp_wasserstein(facts: Facts) -> Recipe:
    """AC-WGAN-GP with the class distance in Wasserstein form: C's outputs are critics, one for each class.

    gansaku train ac-wgan-gp-wasserstein --data cifar10.zip

    Source: article 1 says that it tried to measure everything by Wasserstein distances, that it failed, and prints nothing
            of it. The form is ours: C raises its output for a real sample's class over the mean of the others, G does the
            same for its fakes with weight ε 100, and C's slope is pulled to 1 between real and fake, λ 10, as D's is.
            Everything else as ac-wgan-gp.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: failure, as the article reports it. MEASURED: so it was here, a quarter as wide, in three of three seeds; the
            classes drawn could not be told from chance (docs/results/article-1.md).
    Watch:  class_accuracy of classifier and generator: whether C learns at all, and whether G follows.
    """
    return separate("ac-wgan-gp-wasserstein", facts, WassersteinClasses(), PENALTY)


@recipe_function(status="trained briefly", shape=CIFAR, classes=10)
def ac_wgan_gp_head(facts: Facts) -> Recipe:
    """AC-WGAN-GP as it was first tried: the classifier is a second head of D, as in ACGAN.

    gansaku train ac-wgan-gp-head --data cifar10.zip

    Source: article 1 says that ACGAN's D, with WGAN-GP, "did not go well" and prints nothing of it. Here D has one logit
            and K class outputs on the same layers, and learns classes from real samples and fakes with weight 1 (Odena et
            al. 2017, arXiv:1610.09585, eq. 3); G's weight is the article's ε 100. G first, then D on the same fakes.
            Everything else as ac-wgan-gp.
    Departs: computed in bf16 where the machine has it; precision=fp32 is the source's.
    Expect: failure, as the article reports it. MEASURED: not at this length; a quarter as wide, in a quarter of an hour
            (docs/results/methods.md), the distance to CIFAR-10 went from 11.5 to 4.6, to the avatars from 10.2 to 1.7.
    Watch:  it "goes mad at once"; D's two tasks share all of its layers, so one may drown the other.
    """
    classes = number_of_classes("ac-wgan-gp-head", facts)
    method = AuxiliaryClassifier(generator_first(), generator_weight=EPSILON)
    return adversarial(facts, Wasserstein(), penalty=GradientPenalty()).but(
        {
            "method": method,
            "generator.network": mt_generator(facts, classes),
            "discriminator.network.classes": classes,
            "classes": classes,
        }
    )
