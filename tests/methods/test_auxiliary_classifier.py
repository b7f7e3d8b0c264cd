"""The classifier as D's second head: each loss by hand, the same training written out in plain torch, and the refusals."""

import copy

import pytest
import torch
from torch.nn.functional import log_softmax, softplus
from torch.optim import Adam

from fixtures import auxiliary_classifier
from fixtures.tiny import BATCH, LATENT, PICTURES, VOXELS, TinyDiscriminator, Toys, data
from gansaku import keys
from gansaku.contract import Phase
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.losses import Hinge
from gansaku.methods.auxiliary_classifier import AuxiliaryClassifier
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.networks.dcgan import DCGANDiscriminator
from gansaku.networks.dogs import DogDiscriminator
from gansaku.recipes.registry import find
from gansaku.terms import GradientPenalty
from gansaku.training.state import begin
from gansaku.training.step import cycle

both_spaces = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
TEN = Facts("ten", (3, 32, 32), 5000, tuple("abcdefghij"))


class Ours:
    """A recipe trained for some cycles in float64, with copies of its networks from before."""

    def __init__(self, recipe, cycles):
        self.state = begin(recipe, dtype=torch.float64)
        self.nets, self.toys, self.phase = (
            copy.deepcopy(self.state.nets),
            Toys(recipe.shape, torch.float64),
            Phase(recipe.shape[1:]),
        )
        source = data(recipe, torch.float64)
        self.signals = [cycle(self.state, recipe, source) for _ in range(cycles)]

    def fake(self, turn, labels):
        z = torch.randn(BATCH, LATENT, generator=keys.generator(0, turn, "latent0")).double()
        return self.nets["generator"](z, labels, self.phase)

    def d(self, x, labels):
        """A logit (N,), and the class head's log-probability of the label (N,)."""
        verdict = self.nets["discriminator"](x, None, self.phase)
        return verdict.logits.sum(1), log_softmax(verdict.classes, 1)[torch.arange(len(x)), labels]


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@both_spaces
@pytest.mark.parametrize("on", ["both", "real"])
def test_three_cycles_are_those_of_a_plain_loop(shape, on):
    """Odena et al. 2017: D maximizes L_S + 2 L_C, G 5 L_C and the non-saturating form of L_S."""
    ours = Ours(auxiliary_classifier.recipe(shape).but({"method.on": on}), 3)
    d_step, g_step = (Adam(ours.nets[name].parameters(), 1e-2, (0.5, 0.9)) for name in ("discriminator", "generator"))
    for i in range(3):
        real, labels, _ = ours.toys(8 * i, 0, BATCH)
        fake = ours.fake(2 * i, labels)
        (on_real, said_real), (on_fake, said_fake) = ours.d(real, labels), ours.d(fake.detach(), labels)
        said = said_real + said_fake if on == "both" else said_real
        step(d_step, (softplus(-on_real) + softplus(on_fake) - 2 * said).mean())
        on_fake, said_fake = ours.d(fake, labels)
        step(g_step, (softplus(-on_fake) - 5 * said_fake).mean())
    for player, net in ours.state.nets.items():
        for name, value in net.state_dict().items():
            torch.testing.assert_close(value, ours.nets[player].state_dict()[name], rtol=1e-12, atol=1e-12)


@both_spaces
def test_losses_and_accuracies_are_logged_apart(shape):
    ours = Ours(auxiliary_classifier.recipe(shape), 1)
    real, labels, _ = ours.toys(0, 0, BATCH)
    fake, signals = ours.fake(0, labels), ours.signals[0]
    said_real, said_fake = -ours.d(real, labels)[1].mean(), -ours.d(fake, labels)[1].mean()
    assert {name for name in signals if "/loss/" in name} == {
        f"{player}/loss/{kind}" for player in ("generator", "discriminator") for kind in ("adversarial", "class")
    }
    assert signals["discriminator/loss/class"].item() == pytest.approx(2 * (said_real + said_fake).item(), rel=1e-12)
    assert signals["discriminator/class_unweighted"].item() == pytest.approx((said_real + said_fake).item(), rel=1e-12)
    for name, x in (("class_accuracy", real), ("fake_class_accuracy", fake)):
        classes = ours.nets["discriminator"](x, None, ours.phase).classes
        assert signals[f"discriminator/{name}"].item() == (classes.argmax(1) == labels).double().mean()
    moved = ours.state.nets["discriminator"](fake, None, ours.phase).classes  # G meets the D that has moved
    assert signals["generator/class_accuracy"].item() == (moved.argmax(1) == labels).double().mean()
    unweighted = -log_softmax(moved, 1)[torch.arange(BATCH), labels].mean().item()
    assert signals["generator/class_unweighted"].item() == pytest.approx(unweighted, rel=1e-12)
    assert signals["generator/loss/class"].item() == pytest.approx(5 * unweighted, rel=1e-12)


def test_the_generators_weight_is_the_discriminators_unless_it_is_set():
    recipe = auxiliary_classifier.recipe().but({"method.generator_weight": None})
    signals = Ours(recipe, 1).signals[0]
    assert signals["generator/loss/class"].item() == pytest.approx(2 * signals["generator/class_unweighted"].item())
    off = Ours(recipe.but({"method.generator_weight": 0}), 1).signals[0]
    assert off["generator/loss/class"] == 0


def test_uniform_labels_of_the_fakes_are_the_ones_that_both_players_are_asked_for():
    ours = Ours(auxiliary_classifier.recipe().but(fake_labels="uniform"), 1)
    real, labels, _ = ours.toys(0, 0, BATCH)
    asked = (4 * torch.rand(BATCH, generator=keys.generator(0, 0, "labels"))).long()
    assert not torch.equal(asked, labels)
    said = -ours.d(real, labels)[1].mean() - ours.d(ours.fake(0, asked), asked)[1].mean()
    assert ours.signals[0]["discriminator/class_unweighted"].item() == pytest.approx(said.item(), rel=1e-12)


def test_it_goes_with_any_adversarial_loss():
    recipe = auxiliary_classifier.recipe().but(loss=Hinge())
    real, labels, _ = (ours := Ours(recipe, 1)).toys(0, 0, BATCH)
    on_real, on_fake = ours.d(real, labels)[0], ours.d(ours.fake(0, labels), labels)[0]
    hinge = (torch.relu(1 - on_real) + torch.relu(1 + on_fake)).mean().item()
    assert ours.signals[0]["discriminator/loss/adversarial"].item() == pytest.approx(hinge, rel=1e-12)


BASE = auxiliary_classifier.recipe()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"classes": 0}, r"^classes: AuxiliaryClassifier tells classes apart and the recipe has 0; use 2 or more"),
        ({"classes": 6}, r"^generator\.network\.classes: 4 is not the recipe's 6 classes; set gen\S+ and discriminator\S+ too"),
        (
            {"discriminator.network": TinyDiscriminator(PICTURES)},
            r"^discriminator\.network\.classes: 0 is not the recipe's 4 classes; set both",
        ),
        (
            {"discriminator.network": DCGANDiscriminator(PICTURES)},
            r"^discriminator\.network\.classes: 0 is not the recipe's 4 classes; set both",
        ),
        ({"method.weight": -2.0}, r"method\.weight: -2 must not be negative"),
        ({"method.generator_weight": -2.0}, r"method\.generator_weight: -2 must not be negative"),
        ({"method.on": "fake"}, r"method\.on: 'fake' is none of the choices"),
    ],
    ids=lambda x: None if isinstance(x, str) else "-".join(x),
)
def test_what_does_not_fit_is_refused_in_one_sentence(settings, reason):
    with pytest.raises(RecipeError, match=reason) as caught:
        BASE.but(settings)
    assert "\n" not in str(caught.value)


def test_the_head_on_article_1s_networks_has_its_numbers():
    """ε of 100 is G's; both orders and the penalty are those of ac-wgan-gp."""
    made, base = find("ac-wgan-gp-head", TEN), find("ac-wgan-gp", TEN)
    assert made.method == AuxiliaryClassifier(made.method.order, weight=1, generator_weight=100, on="both")
    assert [move.player for move in made.cycle] == ["generator", "discriminator"]
    assert [move.fake for move in made.cycle] == ["new", "same"]
    assert made.discriminator.network == ChainerDiscriminator((3, 32, 32), norm="none", classes=10)
    assert made.generator == base.generator
    assert made.generator.network == ChainerGenerator((3, 32, 32), leak=0.2, stem_norm=False, classes=10)
    assert (made.discriminator.terms, made.length) == (base.discriminator.terms, base.length)
    assert made.discriminator.terms[0].term == GradientPenalty()


def test_acgans_recipe_has_the_papers_numbers():
    made = find("acgan", TEN)
    assert (made.batch, made.length, made.latent.size, made.classes) == (100, 5_000_000, 100, 10)
    assert made.method == AuxiliaryClassifier(weight=1, generator_weight=None, on="both")
    for player in (made.generator, made.discriminator):
        assert (player.lr, player.optimizer.betas) == (2e-4, (0.5, 0.999))
    assert (made.discriminator.network.dropout, made.discriminator.network.noise) == (0.5, 0.1)


def test_a_discriminator_that_is_given_the_label_cannot_tell_it():
    recipe = find("acgan", Facts("pictures", (3, 32, 32), 1000, ("a", "b", "c")))
    with pytest.raises(
        RecipeError, match=r"discriminator.network: DogDiscriminator is given the label that it would have to tell"
    ):
        recipe.but({"discriminator.network": DogDiscriminator((3, 32, 32), classes=3)})
