"""The Cramér GAN: known answers, its penalty where h is 0, labels, and the recipes against a training written out by hand."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim import Adam

from fixtures import cramer as fixture
from fixtures.tiny import BATCH, Toys, data
from gansaku import keys
from gansaku.contract import Memory, Network, Phase, Turn, Verdict
from gansaku.data.store import Facts
from gansaku.draws import Draw
from gansaku.errors import RecipeError
from gansaku.losses import Wasserstein
from gansaku.methods.adversarial import generator_first
from gansaku.methods.cramer import Cramer, critic, energy, norm
from gansaku.parts import part
from gansaku.recipe import Recipe, from_toml, to_toml
from gansaku.recipes.registry import find, recipes
from gansaku.terms import GradientPenalty
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

PICTURES, VOXELS = (3, 8, 8), (1, 8, 8, 16)
DEEP = (1, 24, 16, 16)  # PyTorch 2.13's bf16 weight gradients are wrong on a CPU where a map is two deep, as of VOXELS
NAMES = ("cat", "dog", "eel", "fox")


def vectors(*rows):
    return torch.tensor(rows, dtype=torch.float64)


class TestKnownAnswers:
    def test_the_critic_is_the_distance_to_the_other_less_that_to_zero(self):
        """(3, 4) is 5 from 0 and 4 from (3, 0); (0, 1) is 1 from 0 and √10 from (3, 0)."""
        found = critic(vectors([3, 4], [0, 1]), vectors([3, 0], [3, 0]))
        torch.testing.assert_close(found, torch.tensor([-1, math.sqrt(10) - 1], dtype=torch.float64))

    def test_the_energy_distance_adds_both_ways_to_the_real_one_and_takes_away_what_is_between_the_fakes(self):
        """A 3-4-5 triangle, and three points in a row: 3 + 4 - 5 and 1 + 3 - 2."""
        found = energy(vectors([0, 0], [0, 0]), vectors([3, 0], [1, 0]), vectors([0, 4], [3, 0]))
        torch.testing.assert_close(found, torch.tensor([2.0, 2.0], dtype=torch.float64))

    def test_its_losses_are_the_sources(self):
        """h is the sample itself: real (3, 4), fakes (0, 1) and (3, 0). G's is 3√2 + 4 - √10, D's √10 - 1 + 1."""
        turns = {player: turn_of(player, vectors([3, 4]), vectors([0, 1]), vectors([3, 0])) for player in PLAYERS}
        method = Cramer()
        assert {p: list(method.losses(t)) for p, t in turns.items()} == {
            "discriminator": ["surrogate"],
            "generator": ["energy"],
        }
        assert method.losses(turns["generator"])["energy"].item() == pytest.approx(math.sqrt(18) + 4 - math.sqrt(10), abs=1e-12)
        assert method.losses(turns["discriminator"])["surrogate"].item() == pytest.approx(
            math.sqrt(10) - 1 - (4 - 5), abs=1e-12
        )
        signals = method.signals(turns["discriminator"])
        assert signals["real"].item() == pytest.approx(-1, abs=1e-12)
        assert signals["fake"].item() == pytest.approx(math.sqrt(10) - 1, abs=1e-12)

    def test_d_feels_all_three_and_g_pulls_its_fakes_to_the_real_sample_and_apart(self):
        """The slopes by h are differences of unit vectors; on a line they are -2 … 2."""
        real, fake, other = (vectors([x]).requires_grad_() for x in (1.0, 5.0, 7.0))
        for player, wanted in (("generator", (-2.0, 2.0, 0.0)), ("discriminator", (2.0, -2.0, 0.0))):
            loss = sum(Cramer().losses(turn_of(player, real, fake, other)).values())
            assert [g.item() for g in torch.autograd.grad(loss.sum(), (real, fake, other))] == list(wanted)
        real, fake, other = (x.detach().requires_grad_() for x in (vectors([2, 0]), vectors([0, 0.5]), vectors([0, 3])))
        loss = sum(Cramer().losses(turn_of("discriminator", real, fake, other)).values())
        found = torch.autograd.grad(loss.sum(), other)[0][0]
        away = vectors([-2, 3])[0] / math.sqrt(13)
        torch.testing.assert_close(found, vectors([0, 1])[0] - away)


PLAYERS = ("discriminator", "generator")


def turn_of(player, real, fake, other):
    """A turn in which D has said this of the samples."""
    recipe = fixture.recipe()
    verdicts = {("real", 0): Verdict(real), ("fake", 0): Verdict(fake), ("fake", 1): Verdict(other)}
    return Turn(recipe, player, 0, 8, recipe.phase(0), None, {}, Memory(), None, verdicts)


class Affine(nn.Module):
    """h(x) = W x + b of the values of x."""

    def __init__(self, values, outputs):
        super().__init__()
        self.layer = nn.Linear(values, outputs)

    def forward(self, x, labels, phase):
        return Verdict(self.layer(x.flatten(1)))


@part
class AffineCritic(Network):
    shape: tuple[int, ...]
    outputs: int = 3

    def build(self) -> nn.Module:
        return Affine(math.prod(self.shape), self.outputs)


def penalized(shape, change=None, **memory):
    """D's turn on two samples beside an affine h, which `change` may change, with the penalty's losses."""
    recipe = fixture.recipe(shape).but({"discriminator.network": AffineCritic(shape), "batch": 2})
    state = begin(recipe, dtype=torch.float64)
    piece = data(recipe, torch.float64)(0, recipe.phase(0))[0]
    d = state.nets["discriminator"]
    fakes = [-1 + 2 * torch.rand(2, *shape, dtype=torch.float64, generator=keys.generator(i)) for i in range(2)]
    piece.fakes, piece.fake_labels = lambda i, attached: fakes[i], piece.labels
    if change is not None:
        change(d, piece, fakes)
    draw = Draw(0, 3, piece.rows, piece.real)
    turn = Turn(recipe, "discriminator", 0, 2, recipe.phase(0), piece, state.nets, state.memory, draw)
    return d.layer, piece.real, fakes, draw.uniform("between"), GradientPenalty()(turn)


@pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
class TestThePenalty:
    def test_its_slope_is_the_networks_way_back_of_a_difference_of_two_unit_vectors(self, shape):
        """Between real and the first fakes, towards the second fakes: Wᵀ (u(h - h') - u(h)), u(a) = a / |a|."""
        layer, real, (one, other), mix, found = penalized(shape)
        for i in range(2):
            point = (mix[i] * real[i] + (1 - mix[i]) * one[i]).flatten()
            h, beside = layer.weight @ point + layer.bias, layer.weight @ other[i].flatten() + layer.bias
            slope = layer.weight.T @ ((h - beside) / (h - beside).norm() - h / h.norm())
            assert found[i].item() == pytest.approx((slope.norm().item() - 1) ** 2, rel=1e-12)

    def test_it_reaches_the_weights_through_h_of_the_point_and_of_the_other_fakes(self, shape):
        """Against differences of the whole, with two weights and a bias of h moved a little."""
        layer, *_, found = penalized(shape)
        weight, bias = torch.autograd.grad(found.sum(), (layer.weight, layer.bias))
        for name, gradient, at in (("weight", weight, (0, 0)), ("weight", weight, (2, 5)), ("bias", bias, (1,))):
            ends = []
            for step in (1e-6, -1e-6):

                def change(d, piece, fakes, name=name, at=at, step=step):
                    getattr(d.layer, name).data[at] += step

                ends.append(penalized(shape, change)[-1].sum().item())
            assert gradient[at].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)

    @pytest.mark.parametrize("case", ["h is 0", "no way to the other fakes", "both"])
    def test_it_is_finite_where_a_distance_is_zero(self, shape, case):
        """A dead h; generators that have collapsed, so that the point is the other fakes themselves."""

        def change(d, piece, fakes):
            if case != "no way to the other fakes":
                d.layer.weight.data.zero_()
                d.layer.bias.data.zero_()
            if case != "h is 0":
                fakes[0].copy_(fakes[1])
                piece.real.copy_(fakes[1])

        layer, *_, found = penalized(shape, change)
        assert found.isfinite().all()
        for gradient in torch.autograd.grad(found.sum(), (layer.weight, layer.bias), allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
        if case == "both":
            assert found.tolist() == [1, 1]  # no slope at all, which is to be 1


def test_the_norm_is_torchs_with_its_first_two_derivatives_away_from_zero_and_has_none_at_zero():
    a = torch.randn(5, 4, dtype=torch.float64, generator=keys.generator("a")).requires_grad_()
    direction = torch.randn(5, 4, dtype=torch.float64, generator=keys.generator("direction"))
    ours, theirs = norm(a), torch.linalg.vector_norm(a, dim=1)
    torch.testing.assert_close(ours, theirs)
    first = [torch.autograd.grad(n.sum(), a, create_graph=True)[0] for n in (ours, theirs)]
    torch.testing.assert_close(*first)
    torch.testing.assert_close(*[torch.autograd.grad((f * direction).sum(), a)[0] for f in first])
    zero = torch.zeros(2, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(norm(zero).sum(), zero, create_graph=True)
    assert slope.count_nonzero() == 0
    assert torch.autograd.grad(slope.sum(), zero)[0].count_nonzero() == 0


class TestRecipes:
    def test_cramer_has_the_sources_settings(self):
        made = find("cramer", Facts("cifar", (3, 32, 32), 50_000, ()))
        g, d = made.generator, made.discriminator
        assert (made.loss, made.method.order, made.batch) == (None, generator_first(5), 64)
        assert (made.latent.size, made.latent.scale, type(made.latent).__name__) == (128, 1, "Uniform")
        assert (g.lr, d.lr, g.optimizer.betas, d.optimizer.betas) == (1e-4, 1e-4, (0.5, 0.9), (0.5, 0.9))
        assert (d.network.logits, d.network.norm, g.network.norm) == (256, "none", "batch")
        assert [(w.weight, type(w.term).__name__, w.every) for w in d.terms] == [(10, "GradientPenalty", 1)]
        assert made.length == 100_000 * 64 * 5
        assert (made.precision, made.classes, g.ema) == ("bf16", 0, None)
        assert find("cramer", Facts("few", (3, 32, 32), 10, ())).batch == 10

    @pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
    def test_the_conditional_one_differs_by_its_labels_alone(self, shape):
        facts = Facts("animals", shape, 50, NAMES)
        plain, made = find("cramer", facts), find("cramer-conditional", facts)
        labels = {"generator.network.classes": 4, "discriminator.network.label_planes": 4, "classes": 4}
        assert made == plain.but(labels, name="cramer-conditional")
        assert from_toml(to_toml(made)) == made

    def test_the_conditional_one_is_refused_for_data_without_classes(self):
        with pytest.raises(RecipeError, match=r"^cramer-conditional: needs classes, and .* has none; class folders make some"):
            find("cramer-conditional", Facts("plain", PICTURES, 50, ()))

    def test_lists_describe_the_conditional_one_for_ten_classes(self):
        entry = recipes()["cramer-conditional"]
        assert entry.make(entry.facts).classes == 10

    def test_another_loss_is_refused(self):
        with pytest.raises(RecipeError, match="Cramer has losses of its own; set loss=none"):
            find("cramer", Facts("cifar", (3, 32, 32), 64, ())).but(loss=Wasserstein())

    def test_fake_labels_of_their_own_are_refused_where_there_are_labels(self):
        """The two fakes of a row would then share a label that its real sample has not."""
        facts = Facts("animals", PICTURES, 50, NAMES)
        with pytest.raises(RecipeError, match="Cramer compares samples of one label, not uniform ones"):
            find("cramer-conditional", facts).but(fake_labels="uniform")
        assert find("cramer", facts).but(fake_labels="uniform").fake_labels == "uniform"


def small(name, shape) -> Recipe:
    """The recipe with networks of a few channels, for batches of eight; everything else as it is."""
    made = find(name, Facts("toys", shape, 64, NAMES))
    narrow = {"generator.network.width": 1, "discriminator.network.width": 1, "discriminator.network.logits": 5}
    return made.but(narrow, batch=BATCH, precision="fp32")


def uniform(turn, purpose, *each):
    return torch.rand(each, generator=keys.generator(0, turn, purpose)).double()


@pytest.mark.parametrize("name", ["cramer", "cramer-conditional"])
@pytest.mark.parametrize("shape", [PICTURES, (1, 8, 8, 8)], ids=["2d", "3d"])
def test_the_recipes_training_is_the_one_written_out(name, shape):
    """Three cycles of five critic steps; with labels every network hears the real ones', the penalty's points too."""
    recipe = small(name, shape)
    state, cycles, turn = begin(recipe, dtype=torch.float64), 3, 0
    for net in state.nets.values():
        for p in net.parameters():
            p.data *= 5  # else D's gradients are so small that Adam makes their rounding large
    g, h = (copy.deepcopy(state.nets[player]) for player in ("generator", "discriminator"))
    toys, phase = Toys(shape, torch.float64), Phase(shape[1:])
    source = data(recipe, torch.float64)
    signals = [cycle(state, recipe, source) for _ in range(cycles)]
    g_step, d_step = Adam(g.parameters(), 1e-4, (0.5, 0.9)), Adam(h.parameters(), 1e-4, (0.5, 0.9))

    def length(a):
        return (a**2).sum(1) ** 0.5

    for i in range(cycles):
        surrogates = []
        for j in range(5):
            real, labels, _ = toys(40 * i + 8 * j, 0, BATCH)
            pair = [g(2 * uniform(turn, f"latent{k}", BATCH, 128) - 1, labels, phase) for k in range(2)]
            if j == 0:
                a, b, c = (h(x, labels, phase).logits for x in (real, *pair))
                distance = (length(a - b) + length(a - c) - length(b - c)).mean()
                g_step.zero_grad()
                distance.backward()
                assert signals[i]["generator/loss/energy"].item() == pytest.approx(distance.item(), abs=1e-12)
                turn += 1
            one, other = (x.detach() for x in pair)

            def f(x, other=other, labels=labels):
                own = h(x, labels, phase).logits
                return length(own - h(other, labels, phase).logits) - length(own)

            mix = uniform(turn, "between", BATCH).reshape(-1, *[1] * (real.ndim - 1))
            point = (mix * real + (1 - mix) * one).requires_grad_()
            (slope,) = torch.autograd.grad(f(point).sum(), point, create_graph=True)
            surrogates.append(f(real).mean() - f(one).mean())
            loss = -surrogates[-1] + 10 * ((length(slope.reshape(BATCH, -1)) - 1) ** 2).mean()
            if j == 0:  # G's gradient is from before
                g_step.step()
            d_step.zero_grad()
            loss.backward()
            d_step.step()
            turn += 1
        apart = signals[i]["discriminator/real"] - signals[i]["discriminator/fake"]
        assert apart.item() == pytest.approx(torch.stack(surrogates).mean().item(), abs=1e-12)
    for player, net in (("generator", g), ("discriminator", h)):
        for key, value in net.state_dict().items():
            torch.testing.assert_close(
                state.nets[player].state_dict()[key],
                value,
                rtol=1e-12,
                atol=1e-12,
                msg=lambda t, n=f"{player} {key}": f"{n}: {t}",
            )


@pytest.mark.parametrize("shape", [PICTURES, DEEP], ids=["2d", "3d"])
def test_in_bf16_a_cycle_leaves_everything_finite(shape):
    recipe = small("cramer-conditional", shape).but(precision="bf16")
    state = begin(recipe)
    signals = cycle(state, recipe, data(recipe))
    assert all(value.isfinite() for value in signals.values())
    assert not state.sentinel.bad.item()
