"""BEGAN: its k and its measure by hand, its auto-encoder layer by layer, and the recipe against a training written out."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import Adam

from fixtures import began as fixture
from fixtures.tiny import BATCH, Toys, copies, data
from gansaku import keys
from gansaku.contract import Phase, Turn, Verdict
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.losses import Logistic
from gansaku.methods.adversarial import generator_first
from gansaku.methods.began import BEGAN
from gansaku.networks.autoencoder import ChainerAutoEncoder
from gansaku.parts import parts
from gansaku.recipes.registry import find
from gansaku.runs.watchers import recording
from gansaku.training.loop import train
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

PICTURES, VOXELS = (3, 8, 16), (1, 8, 8, 16)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def turn_of(player, k, real=(), fake=()):
    """A turn in which D has reconstructed the samples this badly."""
    recipe = fixture.recipe()
    verdicts = {("real", 0): Verdict(number(real)[:, None]), ("fake", 0): Verdict(number(fake)[:, None])}
    return Turn(recipe, player, 0, 8, recipe.phase(0), None, {}, {"k": number(k)}, None, verdicts)


class TestKnownAnswers:
    def test_k_follows_the_imbalance_and_stays_between_0_and_1(self):
        """γ 0.5 and a gain of 0.25, in eighths, so that no rounding comes in: k + (real / 2 - fake) / 4."""
        method, memory, found = BEGAN(gamma=0.5, gain=0.25), {"k": number(0.0)}, []
        for real, fake in ((1, 1), (2, 0.5), (4, 0.5), (8, 1), (1, 1), (1, 2), (1, 4), (3, 1.5)):
            means = {"real": number(float(real)), "fake": number(float(fake))}
            memory = method.remember(memory, [turn_of("discriminator", 0.0)], means)
            found.append(memory["k"].item())
        assert found == [0, 0.125, 0.5, 1, 0.875, 0.5, 0, 0]

    def test_the_generators_turn_leaves_k_alone(self):
        means = {"fake": number(9.0)}
        assert BEGAN().remember({"k": number(0.5)}, [turn_of("generator", 0.5)], means) == {"k": number(0.5)}
        assert BEGAN().derived([turn_of("generator", 0.5)], means) == {}

    @pytest.mark.parametrize(("real", "fake", "measure"), [(2.0, 0.5, 2.5), (2.0, 1.0, 2.0), (2.0, 3.0, 4.0), (0.0, 0.0, 0.0)])
    def test_the_measure_is_the_real_distance_and_the_size_of_the_imbalance(self, real, fake, measure):
        turns = [turn_of("discriminator", 0.25)]
        found = BEGAN().derived(turns, {"real": number(real), "fake": number(fake)})
        assert {name: value.item() for name, value in found.items()} == {"k": 0.25, "measure": measure}

    def test_the_losses_are_real_less_k_times_fake_and_fake(self):
        losses = BEGAN().losses(turn_of("discriminator", 0.25, (1.0, 2.0), (4.0, 8.0)))
        assert {name: value.tolist() for name, value in losses.items()} == {"reconstruction": [1, 2], "balance": [-1, -2]}
        losses = BEGAN().losses(turn_of("generator", 0.25, (1.0, 2.0), (4.0, 8.0)))
        assert {name: value.tolist() for name, value in losses.items()} == {"reconstruction": [4, 8]}

    @pytest.mark.parametrize(("settings", "says"), [({"gamma": 1.5}, "1.5 is no ratio"), ({"gain": 0.0}, "k never moves")])
    def test_settings_out_of_range_are_refused(self, settings, says):
        with pytest.raises(RecipeError, match=says):
            BEGAN(**settings)


class TestTheAutoEncoder:
    def test_it_has_the_sources_parameters(self):
        """At 32 px: four convolutions, two linear layers of 8192 × 128, four transposed convolutions; all with biases."""
        convolutions = [(3, 64, 3), (64, 128, 4), (128, 256, 4), (256, 512, 4), (512, 256, 4), (256, 128, 4), (128, 64, 4),
                        (64, 3, 3)]  # fmt: skip
        wanted = sum(a * b * k * k + b for a, b, k in convolutions) + (8192 * 128 + 128) + (128 * 8192 + 8192)
        net = ChainerAutoEncoder((3, 32, 32)).build()
        assert sum(p.numel() for p in net.parameters()) == wanted == 7_615_363

    @pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
    def test_it_is_the_layers_one_after_the_other(self, shape):
        torch.manual_seed(0)
        net = ChainerAutoEncoder(shape, width=2, hidden=5).build().double()
        for p in net.parameters():
            nn.init.normal_(p, 0.0, 0.3)
        x = torch.rand(4, *shape, dtype=torch.float64) * 2 - 1
        conv, back = {
            3: (functional.conv2d, functional.conv_transpose2d),
            4: (functional.conv3d, functional.conv_transpose3d),
        }[len(shape)]
        values = iter(net.parameters())
        y = x
        for stride in (1, 2, 2, 2):
            y = functional.leaky_relu(conv(y, next(values), next(values), stride=stride, padding=1), 0.2)
        small = y.shape
        assert small[1:] == (16, *[side // 8 for side in shape[1:]])
        code = functional.leaky_relu(functional.linear(y.reshape(4, -1), next(values), next(values)), 0.2)
        y = functional.leaky_relu(functional.linear(code, next(values), next(values)), 0.2).reshape(small)
        for _ in range(3):
            y = functional.leaky_relu(back(y, next(values), next(values), stride=2, padding=1), 0.2)
        y = torch.tanh(back(y, next(values), next(values), stride=1, padding=1))
        assert next(values, None) is None
        verdict = net(x, None, None)
        assert verdict.logits.shape == (4, 1)
        wanted = [(y[i] - x[i]).abs().sum().item() / math.prod(shape) for i in range(4)]
        assert verdict.logits.flatten().tolist() == pytest.approx(wanted, rel=1e-12)
        torch.testing.assert_close(verdict.features, code)

    def test_its_weights_are_n_0_002_and_its_biases_0(self):
        torch.manual_seed(0)
        for name, p in ChainerAutoEncoder((3, 8, 8), width=16).build().named_parameters():
            if name.endswith("bias"):
                assert p.count_nonzero() == 0
            else:
                assert abs(p.mean().item()) < 5 * 0.02 / p.numel() ** 0.5
                assert p.std().item() == pytest.approx(0.02, rel=5 / (2 * p.numel()) ** 0.5)

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"shape": (3, 12, 8)}, "sides must be multiples of 8; 12 is none"),
            ({"shape": (3, 8)}, "is no"),
            ({"shape": (3, 8, 8), "hidden": 0}, "0 is no number of values"),
        ],
    )
    def test_what_cannot_be_built_is_refused(self, settings, says):
        with pytest.raises(RecipeError, match=says):
            ChainerAutoEncoder(**settings)


class TestTheRecipe:
    def test_it_has_the_sources_settings(self):
        made = find("began", Facts("cifar", (3, 32, 32), 50_000, ()))
        g, d = made.generator, made.discriminator
        assert (made.loss, made.batch, made.length, made.precision) == (None, 64, 100_000 * 64, "bf16")
        assert made.method == BEGAN(gamma=0.5, gain=0.001, order=generator_first(1))
        assert (made.latent.size, made.latent.scale, type(made.latent).__name__) == (128, 1, "Uniform")
        assert (g.lr, d.lr, g.optimizer.betas, d.optimizer.betas) == (2e-4, 2e-4, (0, 0.9), (0, 0.9))
        assert g.network == parts()["ChainerGenerator"]((3, 32, 32), norm="none")
        assert d.network == ChainerAutoEncoder((3, 32, 32), width=64, hidden=128)
        assert (d.terms, g.ema, made.classes) == ((), None, 0)
        assert find("began", Facts("few", (3, 32, 32), 10, ())).batch == 10

    def test_another_loss_is_refused(self):
        with pytest.raises(RecipeError, match="BEGAN has losses of its own; set loss=none"):
            find("began", Facts("cifar", (3, 32, 32), 64, ())).but(loss=Logistic())


def small(shape, **settings):
    """The recipe with networks of a few channels, for batches of eight; k moves enough to be seen."""
    narrow = {"generator.network.width": 1, "discriminator.network.width": 2, "discriminator.network.hidden": 5}
    made = find("began", Facts("toys", shape, 64, ())).but({**narrow, "method.gain": 0.5})
    return made.but(batch=BATCH, precision="fp32", **settings)


@pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
def test_the_recipes_training_is_the_one_written_out(shape):
    """Three cycles; k and the measure of each are those of its own batch, k in the loss is the one from before."""
    recipe = small(shape)
    state, toys, phase = begin(recipe, dtype=torch.float64), Toys(shape, torch.float64), Phase(shape[1:])
    g, d = (copy.deepcopy(state.nets[player]) for player in ("generator", "discriminator"))
    source = data(recipe, torch.float64)
    signals = [cycle(state, recipe, source) for _ in range(3)]
    g_step, d_step, k = Adam(g.parameters(), 2e-4, (0.0, 0.9)), Adam(d.parameters(), 2e-4, (0.0, 0.9)), 0.0
    for i in range(3):
        z = 2 * torch.rand(BATCH, 128, generator=keys.generator(0, 2 * i, "latent0")).double() - 1
        real, fake = toys(8 * i, 0, BATCH)[0], g(z, None, phase)
        y_fake, y_real = d(fake, None, phase).logits.mean(), d(real, None, phase).logits.mean()
        g_gradients = torch.autograd.grad(y_fake, list(g.parameters()), retain_graph=True)
        d_gradients = torch.autograd.grad(y_real - k * y_fake, list(d.parameters()))
        for optimizer, net, gradients in ((g_step, g, g_gradients), (d_step, d, d_gradients)):
            for p, gradient in zip(net.parameters(), gradients, strict=True):
                p.grad = gradient
            optimizer.step()
        wanted = {"k": k, "measure": y_real.item() + abs(0.5 * y_real.item() - y_fake.item()), "fake": y_fake.item()}
        for name, value in wanted.items():
            assert signals[i][f"discriminator/{name}"].item() == pytest.approx(value, abs=1e-12)
        k = min(1.0, max(0.0, k + 0.5 * (0.5 * y_real.item() - y_fake.item())))
    assert 0 < k < 1
    assert state.memory["k"].item() == pytest.approx(k, abs=1e-12)
    for player, net in (("generator", g), ("discriminator", d)):
        for key, value in net.state_dict().items():
            torch.testing.assert_close(
                state.nets[player].state_dict()[key], value, rtol=1e-12, atol=1e-12, msg=f"{player} {key}"
            )


def test_the_measure_is_of_the_whole_batch_however_it_is_split():
    """With γ the ratio of the means there is no imbalance, though each sample by itself has one."""
    recipe = small(PICTURES)
    before = first_signals(recipe)
    balanced = recipe.but({"method.gamma": (before["fake"] / before["real"]).item()})
    for setting in (balanced, balanced.but(micro=3), balanced.but(micro=1)):
        found = first_signals(setting)
        assert found["measure"].item() == pytest.approx(before["real"].item(), abs=1e-12)
        assert found["k"].item() == 0


def first_signals(recipe):
    """What D's step of the first cycle says, in float64."""
    signals = cycle(begin(recipe, dtype=torch.float64), recipe, data(recipe, torch.float64))
    return {name.removeprefix("discriminator/"): value for name, value in signals.items() if name.startswith("discriminator")}


def test_k_and_the_measure_come_to_the_log():
    recipe, told = small(PICTURES, length=64), []
    train(begin(recipe), recipe, data(recipe), recording(recipe, 0, lambda seen, numbers: told.append(numbers)))
    assert len(told) == 8
    for numbers in told:
        real, fake = numbers["discriminator/real"], numbers["discriminator/fake"]
        assert numbers["discriminator/measure"] == pytest.approx(real + abs(0.5 * real - fake), rel=1e-5)
    ks = [0.0]
    for numbers in told:
        assert numbers["discriminator/k"] == pytest.approx(ks[-1], abs=1e-6)
        ks.append(min(1.0, max(0.0, ks[-1] + 0.5 * (0.5 * numbers["discriminator/real"] - numbers["discriminator/fake"]))))
    assert ks[-1] > 0


@pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])
def test_in_bf16_a_cycle_changes_every_weight_and_leaves_everything_finite(shape):
    recipe = small(shape).but(precision="bf16")
    state = begin(recipe)
    before = copies(state)
    signals = cycle(state, recipe, data(recipe))
    assert all(value.isfinite() for value in signals.values())
    after = copies(state)
    assert [n for n in before if n.startswith("net/") and before[n].ndim > 1 and torch.equal(before[n], after[n])] == []
