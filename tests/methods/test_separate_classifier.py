"""A classifier of its own: each loss by hand, who sees whose weights, and the same training written out in plain torch."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from fixtures import separate_classifier, wasserstein_classes
from fixtures.tiny import BATCH, LATENT, PICTURES, VOXELS, Toys, copies, data
from gansaku import keys
from gansaku.contract import Phase, Weighted
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.methods.adversarial import Adversarial
from gansaku.methods.class_losses import CrossEntropy, WassersteinClasses, right
from gansaku.methods.separate_classifier import SeparateClassifier
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.networks.chainer_resnet import ChainerResNetGenerator
from gansaku.networks.dcgan import DCGANDiscriminator
from gansaku.parts import part
from gansaku.recipe import from_toml, to_toml
from gansaku.recipes.registry import find
from gansaku.terms import R1, GradientPenalty
from gansaku.training.state import begin
from gansaku.training.step import cycle

both_spaces = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
TEN = Facts("ten", (3, 32, 32), 5000, tuple("abcdefghij"))
NAMES = ["ac-wgan-gp", "ac-wgan-gp-head", "ac-wgan-gp-wasserstein", "acgan"]


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


class TestClassLosses:
    def test_cross_entropy_is_log_k_where_nothing_is_known(self):
        assert CrossEntropy()(torch.zeros(2, 10), torch.tensor([3, 7])).tolist() == pytest.approx([math.log(10)] * 2)

    def test_cross_entropy_by_hand(self):
        """-log(e / (e + 1 + 1)) and -log(1 / (e + 1 + 1))."""
        found = CrossEntropy()(double([1.0, 0, 0], [1.0, 0, 0]), torch.tensor([0, 2]))
        assert found.tolist() == pytest.approx([math.log(math.e + 2) - 1, math.log(math.e + 2)], rel=1e-12)

    def test_the_class_distance_by_hand(self):
        """Outputs 5, 1, 3: for the first class (1 + 3)/2 - 5, for the second (5 + 3)/2 - 1, for the third (5 + 1)/2 - 3."""
        found = WassersteinClasses()(double([5.0, 1, 3]).expand(3, 3), torch.arange(3))
        assert found.tolist() == [-3, 3, 0]

    def test_the_class_distance_raises_the_labels_output_and_lowers_the_others(self):
        outputs = torch.zeros(1, 4, requires_grad=True)
        WassersteinClasses()(outputs, torch.tensor([2])).sum().backward()
        assert outputs.grad[0].tolist() == pytest.approx([1 / 3, 1 / 3, -1, 1 / 3])

    def test_the_class_distance_is_linear_and_blind_to_a_common_shift(self):
        outputs, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])
        loss = WassersteinClasses()(outputs, labels)
        torch.testing.assert_close(WassersteinClasses()(3 * outputs + 7, labels), 3 * loss)

    def test_a_sample_is_right_where_its_label_has_the_largest_output(self):
        outputs = torch.tensor([[1.0, 2, 0], [1, 2, 0], [-3, -2, -1]])
        assert right(outputs, torch.tensor([1, 0, 2])).tolist() == [1, 0, 1]


def trained(recipe, cycles=1, dtype=torch.float64, change=None):
    """The networks before, the state after, and the signals of each cycle."""
    state = begin(recipe, dtype=dtype)
    if change is not None:
        change(state.nets)
    before = copy.deepcopy(state.nets)
    source = data(recipe, dtype)
    return before, state, [cycle(state, recipe, source) for _ in range(cycles)]


def uniform(turn, purpose, *each):
    return torch.rand(each, generator=keys.generator(0, turn, purpose)).double()


def slope(f, x):
    """(N, values): the gradient of each sample's number by the sample."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x, create_graph=True)[0].reshape(len(x), -1)


def penalty(f, real, fake, turn):
    mix = uniform(turn, "between", len(real)).reshape(-1, *[1] * (real.ndim - 1))
    return ((slope(f, mix * real + (1 - mix) * fake).norm(dim=1) - 1) ** 2).mean()


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@both_spaces
def test_the_four_losses_are_logged_apart_and_each_sees_the_weights_of_its_moment(shape):
    """C's and D's first step by the first weights; G's class loss by the C that has moved; D's fakes by the G that has not."""
    before, state, (signals,) = trained(separate_classifier.recipe(shape))
    real, labels, _ = Toys(shape, torch.float64)(0, 0, BATCH)
    phase = Phase(shape[1:])
    fake = before["generator"](2 * uniform(0, "latent0", BATCH, LATENT) - 1, labels, phase).detach()
    moved_g = state.nets["generator"](2 * uniform(0, "latent0", BATCH, LATENT) - 1, labels, phase)
    c, moved_c, d = (lambda x: before["classifier"](x, None, phase).classes,
                     lambda x: state.nets["classifier"](x, None, phase).classes,
                     lambda x: before["discriminator"](x, None, phase).logits)  # fmt: skip
    wanted = {
        "classifier/loss/class": cross_entropy(c(real), labels),
        "generator/loss/adversarial": -d(fake).mean(),
        "generator/loss/class": 100 * cross_entropy(moved_c(fake), labels),
        "discriminator/loss/adversarial": d(fake).mean() - d(real).mean(),
        "discriminator/loss/gradient_penalty": 10 * penalty(d, real, fake, 2),
    }
    assert {name for name in signals if "/loss/" in name} == wanted.keys()
    for name, value in wanted.items():
        assert signals[name].item() == pytest.approx(value.item(), rel=1e-12), name
    assert signals["generator/class_unweighted"].item() == pytest.approx(wanted["generator/loss/class"].item() / 100)
    accuracies = (c(real).argmax(1) == labels).double().mean(), (moved_c(fake).argmax(1) == labels).double().mean()
    assert signals["classifier/class_accuracy"].item() == accuracies[0]
    assert signals["generator/class_accuracy"].item() == accuracies[1]
    # these would have been other numbers at any other moment
    assert cross_entropy(c(fake), labels).item() != pytest.approx(signals["generator/class_unweighted"].item())
    assert (d(moved_g).mean() - d(real).mean()).item() != pytest.approx(wanted["discriminator/loss/adversarial"].item())


@both_spaces
def test_the_classifier_learns_from_real_samples_alone(shape):
    """With another generator, and with another discriminator, its weights and optimizer are the same bits."""

    def spoil(nets):
        with torch.no_grad():
            for name in ("generator", "discriminator"):
                for weight in nets[name].parameters():
                    weight.mul_(-2)

    def of(state, player):
        return {name: value for name, value in copies(state).items() if f"/{player}/" in name}

    recipe = separate_classifier.recipe(shape)
    (_, one, _), (_, other, _) = trained(recipe, 2), trained(recipe, 2, change=spoil)
    mine, theirs = of(one, "classifier"), of(other, "classifier")
    assert mine.keys() == theirs.keys()
    assert len(mine) > 4  # weights and moments
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert not any(torch.equal(value, of(other, "generator")[name]) for name, value in of(one, "generator").items()
                   if name.startswith("net/"))  # fmt: skip


@both_spaces
def test_three_cycles_of_the_class_distance_are_those_of_a_plain_loop(shape):
    """C's loss, its penalty on the margin's slope between real and fake; G's loss by the C that has moved; then D."""
    recipe = wasserstein_classes.recipe(shape)
    nets, state, _ = trained(recipe, 3)
    toys, phase = Toys(shape, torch.float64), Phase(shape[1:])
    c_step, g_step, d_step = (
        Adam(nets[n].parameters(), 1e-2, (0.5, 0.9)) for n in ("classifier", "generator", "discriminator")
    )

    def margin(x, labels):
        """Each sample's own output less the mean of the three others."""
        outputs = nets["classifier"](x, None, phase).classes
        return torch.stack(
            [row[y] - row[[k for k in range(4) if k != y]].mean() for row, y in zip(outputs, labels, strict=True)]
        )

    def d(x):
        return nets["discriminator"](x, None, phase).logits.sum(1)

    for i in range(3):
        real, labels, _ = toys(8 * i, 0, BATCH)
        fake = nets["generator"](2 * uniform(3 * i, "latent0", BATCH, LATENT) - 1, labels, phase)
        apart = fake.detach()
        pull = penalty(lambda x, labels=labels: margin(x, labels), real, apart, 3 * i)
        step(c_step, -margin(real, labels).mean() + 10 * pull)
        step(g_step, -d(fake).mean() - 3 * margin(fake, labels).mean())
        step(d_step, d(apart).mean() - d(real).mean() + 10 * penalty(d, real, apart, 3 * i + 2))
    for player, net in state.nets.items():
        for name, value in net.state_dict().items():
            torch.testing.assert_close(value, nets[player].state_dict()[name], rtol=1e-12, atol=1e-12, msg=f"{player} {name}")


def chainer(shape, **settings):
    """The Wasserstein form on piecewise-linear networks, whose D has a slope of its own."""
    base = wasserstein_classes.recipe(shape).but({"discriminator.optimizer": "SGD", "method.classifier.optimizer": "SGD"})
    d, c = (ChainerDiscriminator(shape, width=2, norm="none", logits=n, classes=k) for n, k in ((1, 0), (1, 4)))
    return base.but({"discriminator.network": d, "method.classifier.network": c, **settings})


@pytest.mark.parametrize("shape", [(3, 8, 16), (1, 8, 8, 16)], ids=["2d", "3d"])
def test_the_discriminators_own_slope_is_taken_in_its_turn_and_never_in_the_classifiers(shape, monkeypatch):
    """And the weights are those of double backward. The classifier could give a slope too: that of its unused logit."""
    asked = []
    module = type(chainer(shape).discriminator.network.build())
    explicit = module.slope
    monkeypatch.setattr(module, "slope", lambda self, *given: asked.append(self) or explicit(self, *given))
    _, fast, _ = trained(chainer(shape), 2)
    assert asked == [fast.nets["discriminator"]] * 2
    _, slow, _ = trained(chainer(shape, fast="none"), 2)
    assert len(asked) == 2
    for name, value in copies(fast).items():
        torch.testing.assert_close(value, copies(slow)[name], rtol=1e-10, atol=1e-10, msg=name)


@part
class TwiceTheLogit(SeparateClassifier):
    """D's penalties look at twice its logit."""

    def logit(self, turn, x, labels):
        return 2 * super().logit(turn, x, labels)


def test_a_logit_of_ones_own_is_what_penalties_look_at_on_the_fast_path_too():
    method = TwiceTheLogit(class_loss=WassersteinClasses(), classifier=chainer((3, 8, 16)).method.classifier)
    ways = [trained(chainer((3, 8, 16), method=method, fast=fast), 1)[2][0] for fast in ("all", "none")]
    penalties = [signals["discriminator/loss/gradient_penalty"].item() for signals in ways]
    assert penalties[0] == pytest.approx(penalties[1], rel=1e-9)


def test_a_penalty_on_the_classifier_changes_the_classifier():
    recipe = wasserstein_classes.recipe()
    (_, with_it, signals), (_, without, _) = trained(recipe), trained(recipe.but({"method.classifier.terms": ()}))
    assert signals[0]["classifier/loss/gradient_penalty"] > 0
    weights = [s.nets["classifier"].classes.weight for s in (with_it, without)]
    assert not torch.allclose(*weights)


BASE = separate_classifier.recipe()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"classes": 0}, r"^classes: SeparateClassifier tells classes apart and the recipe has 0; use 2 or more"),
        ({"classes": 1}, r"^classes: .* the recipe has 1; use 2 or more"),
        (
            {"classes": 3},
            r"^generator\.network\.classes: 4 .* 3 classes; set gen\S+ and method\.classifier\.network\.classes too",
        ),
        ({"method.classifier.network.classes": 5}, r"^method\.classifier\.network\.classes: 5 is not the recipe's 4 classes"),
        (
            {"method.classifier.network": DCGANDiscriminator(PICTURES)},
            r"^method\.classifier\.network: DCGANDiscriminator is a network for the discriminator; use one for the classifier",
        ),
        (
            {"generator.network": ChainerResNetGenerator(PICTURES, latent=LATENT)},
            r"^generator\.network: ChainerResNetGenerator knows no classes",
        ),
        ({"method.weight": -1.0}, r"method\.weight: -1 must not be negative"),
        ({"method.order": Adversarial().order}, "classifier never moves"),
        (
            {"method.classifier.terms": (Weighted(1.0, R1()),)},
            "R1 does nothing for the classifier; it is for the discriminator",
        ),
        (
            {
                "method.classifier.network": ChainerDiscriminator(PICTURES, logits=0, classes=4),
                "method.classifier.terms": (Weighted(1.0, GradientPenalty()),),
            },
            r"of the classifier ties it to the others \(batch norm, .*; set method\.classifier\.network\.norm=none",
        ),
        (
            {"generator.terms": BASE.discriminator.terms},
            "nothing for the generator; it is for the discriminator and classifier",
        ),
    ],
    ids=lambda x: None if isinstance(x, str) else "-".join(x),
)
def test_what_does_not_fit_is_refused_in_one_sentence(settings, reason):
    with pytest.raises(RecipeError, match=reason) as caught:
        BASE.but(settings)
    assert "\n" not in str(caught.value)


def test_batch_norm_in_a_classifier_without_penalties_is_no_matter():
    network = ChainerDiscriminator(PICTURES, width=2, logits=0, classes=4)
    assert network.ties_samples
    trained(BASE.but({"method.classifier.network": network}))


@pytest.mark.parametrize("name", NAMES)
class TestEveryConditionalRecipe:
    def test_needs_classes(self, name):
        with pytest.raises(RecipeError, match=f"^{name}: needs classes, and .* has none; class folders make some") as caught:
            find(name, Facts("none", (3, 32, 32), 5000, ()))
        assert caught.value.code == "CLASSES"

    def test_has_as_many_as_the_data(self, name):
        for classes in (2, 7):
            made = find(name, Facts("some", (1, 16, 24), 5000, tuple(map(str, range(classes)))))
            networks = [player.network for player in made.players.values()]
            known = [network.classes for network in networks if network.classes]
            assert (made.classes, set(known), len(known)) == (classes, {classes}, 2)
            assert made.fake_labels == "same"

    def test_comes_back_from_its_file(self, name):
        made = find(name, TEN)
        assert from_toml(to_toml(made)) == made

    def test_trains_a_cycle_on_pictures_and_on_voxels(self, name):
        """At a fraction of its width."""
        for shape in ((3, 8, 16), (1, 8, 8, 16)):
            made = find(name, Facts("four", shape, 64, tuple("abcd"))).but(batch=8)
            paths = [n if n in ("generator", "discriminator") else f"method.{n}" for n in made.players]
            recipe = made.but({f"{path}.network.width": 2 for path in paths})
            signals = cycle(begin(recipe), recipe, data(recipe))
            assert [n for n, value in signals.items() if not value.isfinite()] == []
            assert "generator/class_accuracy" in signals

    def test_the_label_changes_the_sample(self, name):
        made = find(name, TEN).but({"generator.network.width": 2})
        torch.manual_seed(0)
        generator = made.generator.network.build().eval()
        samples = generator(torch.ones(10, made.latent.size), torch.arange(10), Phase((32, 32)))
        assert torch.pdist(samples.flatten(1)).min() > 0

    def test_adapts_its_batch_to_few_samples(self, name):
        assert find(name, replace(TEN, count=10)).batch == 10


def test_article_1s_recipe_has_its_printed_numbers():
    made = find("ac-wgan-gp", TEN)
    assert made.generator.network == ChainerGenerator((3, 32, 32), leak=0.2, stem_norm=False, classes=10)
    assert made.method.weight == 100
    assert [(w.weight, w.term) for w in made.discriminator.terms] == [(10, GradientPenalty())]
    assert [move.player for move in made.cycle] == ["classifier", "generator", "discriminator"]
    assert made.length == 100_000 * 64
    assert made.method.classifier.terms == ()
    c, d = made.method.classifier.network, made.discriminator.network
    assert (c.logits, c.classes, d.logits, d.classes) == (0, 10, 1, 0)


def test_article_1s_questions_are_variants_of_its_recipe():
    """ε of 1 and 10, and its `use_bn=False`."""
    made = find("ac-wgan-gp", TEN)
    for epsilon in (1, 10):
        assert made.but({"method.weight": epsilon}).method.weight == epsilon
    plain = made.but({"generator.network.norm": "none"}).generator.network.build()
    assert not any("BatchNorm" in type(module).__name__ for module in plain.modules())
