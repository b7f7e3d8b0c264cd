"""Denoising feature matching: cases by hand, the training written out, what its turns leave alone, and its recipe."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.optim import SGD

from fixtures.tiny import BATCH, LATENT, LENGTH, Toys, copies, data, discriminator, generator
from gansaku import keys
from gansaku.contract import Fakes, Phase, Piece, Player, Turn, Verdict
from gansaku.data.store import Facts
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian, Uniform
from gansaku.losses import Logistic
from gansaku.methods.denoising import DenoisingFeatureMatching
from gansaku.networks.chainer_gan_lib import ChainerGenerator
from gansaku.networks.dcgan import DCGANDiscriminator
from gansaku.networks.denoising import FeatureDenoiser, FeatureDiscriminator
from gansaku.optimizers import SGD as Descent
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.recipes.registry import find
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

SHAPES = [(1, 16, 32), (1, 16, 16, 16)]
BOTH = pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
RATE = 0.02


def recipe_of(shape, optimizer=None, **settings):
    """The product's own networks, tiny."""
    judge, optimizer = FeatureDiscriminator(shape, width=1), optimizer or Descent()
    denoiser = Player(FeatureDenoiser(judge.features, layers=3), optimizer, RATE)
    return Recipe(
        shape,
        Player(generator(shape).network, optimizer, RATE),
        Player(judge, optimizer, RATE),
        LENGTH,
        method=DenoisingFeatureMatching(denoiser=denoiser, **settings),
        latent=Gaussian(LATENT),
        batch=BATCH,
    )


@BOTH
def test_training_is_the_three_steps_written_out(shape):
    """All three gradients are of the networks before the cycle. Where the denoiser speaks to G it uses its running means."""
    recipe = recipe_of(shape, weight=0.7, noise=0.5)
    state = begin(recipe, dtype=torch.float64)
    nets, phase, toys = copy.deepcopy(state.nets), Phase(shape[1:]), Toys(shape, torch.float64)
    source = data(recipe, torch.float64)
    for _ in range(4):
        signals = cycle(state, recipe, source)
    g, d, r = nets["generator"], nets["discriminator"], nets["denoiser"]
    steps = [SGD(net.parameters(), RATE) for net in (g, r, d)]
    for i in range(4):
        z = torch.randn(BATCH, LATENT, generator=keys.generator(0, 3 * i, "latent0")).double()
        fake, real = g(z, None, phase), toys(8 * i, 0, BATCH)[0]
        judged, clean = d(fake, None, phase), d(real, None, phase).features.detach()
        r.eval()
        wanted = r(judged.features, None, phase).features.detach()
        r.train()
        drawn = torch.randn(clean.shape, generator=keys.generator(0, 3 * i + 1, "noise")).double()
        restored = r(clean + 0.5 * drawn, None, phase).features
        apart = [d(x, None, phase).logits for x in (fake.detach(), real)]
        squares = (judged.features - wanted).square().mean()
        losses = [
            softplus(-judged.logits).mean() + 0.7 * squares,
            (restored - clean).square().mean(),
            softplus(apart[0]).mean() + softplus(-apart[1]).mean(),
        ]
        weights = [optimizer.param_groups[0]["params"] for optimizer in steps]
        gradients = [torch.autograd.grad(loss, w) for loss, w in zip(losses, weights, strict=True)]
        for optimizer, w, gradient in zip(steps, weights, gradients, strict=True):
            for parameter, value in zip(w, gradient, strict=True):
                parameter.grad = value
            optimizer.step()
    for name, net in nets.items():
        for key, value in net.state_dict().items():
            found = state.nets[name].state_dict()[key]
            torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-12, msg=lambda text, key=key: f"{key}: {text}")
    assert signals["generator/loss/features"].item() == pytest.approx(0.7 * squares.item(), rel=1e-10)
    assert signals["denoiser/loss/denoising"].item() == pytest.approx(losses[1].item(), rel=1e-10)


class Judge(nn.Module):
    """Two features: the first value of the sample and its double; their sum is the logit."""

    def forward(self, x, labels, phase):
        first = x.flatten(1)[:, :1]
        features = torch.cat([first, 2 * first], 1)
        return Verdict(features.sum(1, keepdim=True), features=features)


class Share(nn.Module):
    """Gives back a share of the features, one in training and another one in test mode. Dropout stands for a part at rest."""

    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.resting, self.modes = nn.Dropout().eval(), []

    def forward(self, x, labels, phase):
        self.modes.append((self.training, self.resting.training))
        return Verdict(features=(self.share if self.training else self.share / 2) * x)


def turn_of(player, denoiser, **settings):
    """Two real samples that begin with 1 and -2, two fakes with 3 and 4; the fakes carry a gradient in G's turn."""
    shape = (1, 16, 16)
    recipe = recipe_of(shape, **settings)
    real, fake = (torch.zeros(2, *shape, dtype=torch.float64) for _ in range(2))
    real[:, 0, 0, 0], fake[:, 0, 0, 0] = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])
    piece = Piece(Rows(0, 2, 2), real, torch.zeros(2, dtype=torch.long), {})
    piece.fakes, piece.fake_labels = Fakes(lambda i, graph: fake.requires_grad_(graph), graph=False), piece.labels
    nets = {"discriminator": Judge(), "denoiser": denoiser}
    return Turn(recipe, player, 0, 2, Phase(shape[1:]), piece, nets, {}, Draw(0, 5, piece.rows, real)), fake


def test_the_generators_loss_by_hand():
    """Features (3, 6) and (4, 8), of which a quarter is left: 0.03 · (0.75² · (9 + 36) / 2) and 0.03 · (0.75² · (16 + 64) / 2).

    Held constant, the denoised features leave the gradient 0.03 · 2 · 0.75 · f · df/dx / 2, over both features.
    """
    turn, fake = turn_of("generator", Share())
    losses = turn.recipe.method.losses(turn)
    assert losses.keys() == {"adversarial", "features"}
    assert losses["features"].tolist() == pytest.approx([0.03 * 0.5625 * 22.5, 0.03 * 0.5625 * 40], rel=1e-12)
    assert losses["adversarial"].tolist() == pytest.approx(softplus(torch.tensor([-9.0, -12.0]).double()).tolist(), rel=1e-12)
    (gradient,) = torch.autograd.grad(losses["features"].sum(), fake)
    by_hand = [0.03 * 0.75 * (3 + 6 * 2), 0.03 * 0.75 * (4 + 8 * 2)]
    assert gradient[:, 0, 0, 0].tolist() == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("noise", [1.0, 0.25])
def test_the_denoisers_loss_by_hand(noise):
    """Features (1, 2) and (-2, -4) plus noise, halved, against themselves."""
    turn, _ = turn_of("denoiser", Share(), noise=noise)
    drawn = torch.randn(2, 2, generator=keys.generator(0, 5, "noise")).tolist()
    expected = []
    for clean, more in zip([(1.0, 2.0), (-2.0, -4.0)], drawn, strict=True):
        gaps = [0.5 * (c + noise * m) - c for c, m in zip(clean, more, strict=True)]
        expected.append(sum(gap**2 for gap in gaps) / 2)
    losses = turn.recipe.method.losses(turn)
    assert losses.keys() == {"denoising"}
    assert losses["denoising"].tolist() == pytest.approx(expected, rel=1e-12)
    assert turn.recipe.method.signals(turn) == {}


def test_the_discriminator_hears_nothing_of_the_denoiser():
    turn, _ = turn_of("discriminator", Share())
    assert turn.recipe.method.losses(turn).keys() == {"adversarial"}
    assert turn.nets["denoiser"].modes == []


def test_in_the_generators_turn_the_denoiser_is_in_test_mode_and_left_as_it_was():
    """Part by part; and nothing reaches its weights, even where nobody froze them."""
    denoiser = Share()
    turn, _ = turn_of("generator", denoiser)
    turn.recipe.method.losses(turn)["features"].sum().backward()
    assert denoiser.modes == [(False, False)]
    assert (denoiser.training, denoiser.resting.training) == (True, False)
    assert denoiser.share.grad is None


def test_it_is_left_as_it_was_after_an_error_too():
    class Broken(Share):
        def forward(self, x, labels, phase):
            raise RuntimeError("broken")

    denoiser = Broken()
    turn, _ = turn_of("generator", denoiser)
    with pytest.raises(RuntimeError, match="broken"):
        turn.recipe.method.losses(turn)
    assert (denoiser.training, denoiser.resting.training) == (True, False)


def test_the_generators_turn_moves_no_running_statistics_of_the_denoiser():
    """They are there after the denoiser's own turn alone: one batch counted in each cycle."""
    recipe = recipe_of(SHAPES[0], Adam((0.5, 0.9)))
    state, source = begin(recipe), data(recipe)
    for _ in range(3):
        cycle(state, recipe, source)
    counted = {n: value.item() for n, value in copies(state).items() if "denoiser" in n and n.endswith("num_batches_tracked")}
    assert counted == {f"net/denoiser/layers.{i}.num_batches_tracked": 3 for i in (1, 4)}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_to_denoise(precision):
    """With D and G at rest the denoiser's loss falls below that of the noisy features themselves, 1 on average."""
    recipe = recipe_of(SHAPES[0], Adam((0.5, 0.9))).but(
        {"generator.lr": 1e-12, "discriminator.lr": 1e-12, "precision": precision}
    )
    state, source = begin(recipe), data(recipe)
    losses = [cycle(state, recipe, source)["denoiser/loss/denoising"].item() for _ in range(40)]
    assert sum(losses[-10:]) / 10 < 0.8
    assert losses[0] > 1.0


# The recipe


def cifar(shape=(3, 32, 32)):
    return Facts("cifar10", shape, 50_000, ())


def test_the_recipe_has_the_sources_settings():
    recipe = find("dfm", cifar())
    assert recipe.loss == Logistic()
    assert (recipe.latent, recipe.batch, recipe.length) == (Uniform(128), 64, 100_000 * 64)
    assert (recipe.method.weight, recipe.method.noise) == (0.03, 1.0)
    assert list(recipe.players) == ["generator", "discriminator", "denoiser"]
    assert {(player.lr, player.optimizer) for player in recipe.players.values()} == {(1e-4, Adam((0.5, 0.9)))}
    assert [(move.player, move.real, move.fake) for move in recipe.cycle] == [
        ("generator", "new", "new"),
        ("denoiser", "same", "same"),
        ("discriminator", "same", "same"),
    ]
    assert recipe.generator.network == ChainerGenerator((3, 32, 32))
    assert recipe.discriminator.network == FeatureDiscriminator((3, 32, 32), width=32)
    assert recipe.method.denoiser.network == FeatureDenoiser(2048, layers=10)


@pytest.mark.parametrize(("shape", "features"), [((3, 64, 32), 4096), ((1, 32, 32, 32), 4096), ((1, 16, 16, 16), 512)])
def test_the_denoiser_of_the_recipe_is_as_wide_as_the_samples_need(shape, features):
    recipe = find("dfm", cifar(shape))
    assert recipe.discriminator.network.features == recipe.method.denoiser.network.features == features


def test_another_width_is_set_on_both_networks_at_once():
    narrow = find("dfm", cifar()).but({"discriminator.network.width": 8, "method.denoiser.network.features": 512})
    assert narrow.discriminator.network.features == narrow.method.denoiser.network.features == 512


@pytest.mark.parametrize(
    ("settings", "where", "says"),
    [
        (
            {"discriminator.network.width": 8},
            "method.denoiser.network.features",
            "the denoiser takes 2048 features and the discriminator gives 512; set this to 512",
        ),
        (
            {"method.denoiser.network.features": 100},
            "method.denoiser.network.features",
            "takes 100 features and the discriminator gives 2048",
        ),
        (
            {"discriminator.network": DCGANDiscriminator((3, 32, 32))},
            "discriminator.network",
            "DCGANDiscriminator does not say how many features it gives the denoiser; FeatureDiscriminator does",
        ),
        ({"method.weight": -1.0}, "method.weight", "must not be negative"),
        ({"method.noise": 0.0}, "method.noise", "must be above 0"),
    ],
    ids=["D narrower", "denoiser narrower", "D without features", "weight", "noise"],
)
def test_what_does_not_fit_is_refused_when_the_recipe_is_made(settings, where, says):
    with pytest.raises(RecipeError, match=says) as caught:
        find("dfm", cifar()).but(settings)
    assert caught.value.where == where


def test_a_discriminator_of_ones_own_may_stand_in_for_it():
    """Any that says how many features it gives, as the fixtures' does."""
    shape = (3, 8, 8)
    network = discriminator(shape).network
    denoiser = Player(FeatureDenoiser(network.features, 2), Adam(), 1e-3)
    recipe = Recipe(
        shape, generator(shape), discriminator(shape), LENGTH, method=DenoisingFeatureMatching(denoiser=denoiser),
        latent=Gaussian(LATENT), batch=BATCH,
    )  # fmt: skip
    assert cycle(begin(recipe), recipe, data(recipe))["generator/loss/features"] > 0
