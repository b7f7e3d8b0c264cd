"""Every method of `fixtures/` against the same training written out by hand: plain modules, torch.optim and autograd.

In float64, weights equal to 1e-12 after some cycles. A loop shares with the method under test only its starting weights,
the samples and the documented draws: N(0, 1) and U[0, 1) keyed (seed, turn, purpose), turns counted over all players.
"""

import copy
import importlib

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, avg_pool3d, cross_entropy, normalize, relu, softplus
from torch.optim import SGD, Adam, RMSprop

from fixtures.tiny import BATCH, LATENT, LENGTH, PICTURES, VOXELS, Toys, data
from gansaku import keys
from gansaku.contract import Phase
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)


@pytest.fixture(params=[PICTURES, VOXELS], ids=["2d", "3d"])
def shape(request):
    return request.param


class Ours:
    """A fixture trained for some cycles by the code under test, with copies of its networks from before for the hand loop."""

    def __init__(self, name, shape, cycles, **settings):
        recipe = importlib.import_module(f"fixtures.{name}").recipe(shape).but(settings)
        self.state = begin(recipe, dtype=torch.float64)
        self.nets, self.averages = copy.deepcopy(self.state.nets), copy.deepcopy(self.state.ema)
        self.toys, self.cycles, self.space = Toys(recipe.shape, torch.float64), cycles, recipe.shape[1:]
        source = data(recipe, torch.float64)
        self.signals = [cycle(self.state, recipe, source) for _ in range(cycles)]

    def pair(self):
        """G as samples of latents, D as logits of samples, at full size, and their networks' parameters."""
        g, d, phase = self.nets["generator"], self.nets["discriminator"], Phase(self.space)
        return (
            lambda z: g(z, None, phase), lambda x: d(x, None, phase).logits, list(g.parameters()), list(d.parameters()),
        )  # fmt: skip

    def real(self, seen):
        """The batch after so many samples."""
        return self.toys(seen, 0, BATCH)[0]

    def assert_equals_the_loop(self, **memory):
        """Weights, buffers and averages are the hand loop's, and so is what is remembered."""
        for theirs, by_hand in ((self.state.nets, self.nets), (self.state.ema, self.averages)):
            for player, net in theirs.items():
                for name, value in by_hand[player].state_dict().items():
                    assert_equal(net.state_dict()[name], value, f"{player} {name}")
        assert self.state.memory.keys() == memory.keys()
        for name, value in memory.items():
            assert_equal(self.state.memory[name], value, name)


DESCENT = {"generator.optimizer": "SGD", "discriminator.optimizer": "SGD"}
"""For losses that do not feel D's last bias: its gradient is rounding alone, which Adam would make as large as any other."""


def assert_equal(found, wanted, name):
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12, check_dtype=False, msg=lambda text: f"{name}: {text}")


def latent(turn, i=0):
    """The i-th latents of the fakes dealt at a turn."""
    return torch.randn(BATCH, LATENT, generator=keys.generator(0, turn, f"latent{i}")).double()


def uniform(turn, purpose, *each):
    return torch.rand(each, generator=keys.generator(0, turn, purpose)).double()


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def slope(d, x):
    """(N, values): the gradient of each sample's logits by the sample, with its graph."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(d(x).sum(), x, create_graph=True)[0].reshape(len(x), -1)


def penalty(d, real, fake, turn):
    """WGAN-GP's, between real and fake."""
    mix = uniform(turn, "between", len(real)).reshape(-1, *[1] * (real.ndim - 1))
    return ((slope(d, mix * real + (1 - mix) * fake).square().sum(1).sqrt() - 1) ** 2).mean()


def mean(values):
    """A sample's logits added up, then the mean over the samples."""
    return values.sum(1).mean()


def test_a_logistic_dcgan_with_shared_fakes_and_batch_norm(shape):
    """One G(z) for both steps, D run on it again after its step; the average's half-life is 50 samples, at most half of all."""
    ours = Ours("batch_norm", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 2e-3, (0.5, 0.999)), Adam(d_weights, 2e-3, (0.5, 0.999))
    for i in range(ours.cycles):
        fake = g(latent(2 * i))
        on_fake = d(fake.detach())  # before the real ones: batch norm's buffers tell
        step(d_step, -mean(torch.log(1 - on_fake.sigmoid())) - mean(torch.log(d(ours.real(8 * i)).sigmoid())))
        step(g_step, -mean(torch.log(d(fake).sigmoid())))
        keep = 0.5 ** (8 / min(50, 0.5 * 8 * (i + 1)))
        average = ours.averages["generator"].state_dict()
        for name, value in ours.nets["generator"].state_dict().items():
            average[name].copy_(keep * average[name] + (1 - keep) * value if value.is_floating_point() else value)
    ours.assert_equals_the_loop()


def test_spectral_norm_moves_its_vectors_in_every_pass_of_a_network(shape):
    """One iteration a pass, also in a network that does not move: fakes, then real samples, then G's fresh fakes."""
    ours = Ours("spectral", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 2e-3, (0.5, 0.999)), Adam(d_weights, 2e-3, (0.5, 0.999))
    for i in range(ours.cycles):
        on_fake, on_real = d(g(latent(2 * i)).detach()), d(ours.real(8 * i))
        step(d_step, relu(1 + on_fake).mean() + relu(1 - on_real).mean())
        step(g_step, -d(g(latent(2 * i + 1))).mean())
    ours.averages = ours.state.ema  # test_contract.py says what the average of such a network must be
    ours.assert_equals_the_loop()


def test_wgan_gp_with_three_critic_steps_to_one_of_the_generator(shape):
    ours = Ours("wgan_gp", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))
    for i in range(ours.cycles):
        for j in range(3):
            turn, real = 4 * i + j, ours.real(24 * i + 8 * j)
            fake = g(latent(turn)).detach()
            step(d_step, mean(d(fake)) - mean(d(real)) + 10 * penalty(d, real, fake, turn))
        step(g_step, -mean(d(g(latent(4 * i + 3)))))
    ours.assert_equals_the_loop()


def test_the_cramer_gan(shape):
    """chainer-gan-lib: the first critic step has both fakes from before G's step; the penalty's critic is |h - h'| - |h|."""
    ours = Ours("cramer", shape, cycles=4)
    g, h, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))

    def norm(x):
        return x.square().sum(1, keepdim=True).sqrt()

    for i in range(ours.cycles):
        for j, turn in enumerate((3 * i + 1, 3 * i + 2)):
            real, dealt = ours.real(16 * i + 8 * j), 3 * i if j == 0 else turn
            one, other = g(latent(dealt, 0)), g(latent(dealt, 1))
            if j == 0:
                step(g_step, mean(norm(h(real) - h(one)) + norm(h(real) - h(other)) - norm(h(one) - h(other))))
            one, other = one.detach(), other.detach()

            def critic(x, other=other):
                return norm(h(x) - h(other)) - norm(h(x))

            step(d_step, mean(critic(one)) - mean(critic(real)) + 10 * penalty(critic, real, one, turn))
    ours.assert_equals_the_loop()


def test_began_with_its_balance(shape):
    """chainer-gan-lib: G's step, D's step with the same fakes and the old k, then k."""
    ours = Ours("began", shape, cycles=6)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step, k = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9)), 0.0
    for i in range(ours.cycles):
        fake = g(latent(2 * i))
        step(g_step, d(fake).mean())
        y_real, y_fake = d(ours.real(8 * i)).mean(), d(fake.detach()).mean()
        step(d_step, y_real - k * y_fake)
        k = min(1.0, max(0.0, k + 0.1 * (0.9 * y_real.item() - y_fake.item())))
    assert 0 < k < 1
    ours.assert_equals_the_loop(k=torch.tensor(k, dtype=torch.float64))


def test_denoising_feature_matching(shape):
    """chainer-gan-lib: all three losses are computed before the first of the three steps."""
    ours = Ours("denoising", shape, cycles=4)
    g, _, g_weights, d_weights = ours.pair()
    nets, phase = ours.nets, Phase(ours.space)
    optimizers = [Adam(w, 1e-2, (0.5, 0.9)) for w in (g_weights, nets["denoiser"].parameters(), d_weights)]
    for i in range(ours.cycles):
        fake, real = g(latent(3 * i)), ours.real(8 * i)
        on_fake, on_real = nets["discriminator"](fake, None, phase), nets["discriminator"](real, None, phase)
        apart = nets["discriminator"](fake.detach(), None, phase).logits
        noise = torch.randn(on_real.features.shape, generator=keys.generator(0, 3 * i + 1, "noise")).double()
        denoised = nets["denoiser"](on_fake.features, None, phase).features.detach()
        again = nets["denoiser"](on_real.features.detach() + noise, None, phase).features
        losses = [
            softplus(-on_fake.logits).mean() + 0.03 * nn.functional.mse_loss(on_fake.features, denoised),
            nn.functional.mse_loss(again, on_real.features.detach()),
            softplus(-on_real.logits).mean() + softplus(apart).mean(),
        ]
        weights = [optimizer.param_groups[0]["params"] for optimizer in optimizers]
        gradients = [torch.autograd.grad(loss, w) for loss, w in zip(losses, weights, strict=True)]
        for optimizer, w, gradient in zip(optimizers, weights, gradients, strict=True):
            for parameter, value in zip(w, gradient, strict=True):
                parameter.grad = value
            optimizer.step()
    ours.assert_equals_the_loop()


def test_a_separate_classifier_then_the_generator_then_the_discriminator(shape):
    """Article 1: D's logits of the fakes are those from before G's step, and D's loss uses them."""
    ours = Ours("separate_classifier", shape, cycles=4)
    nets, phase = ours.nets, Phase(ours.space)
    _, d, g_weights, d_weights = ours.pair()
    c_weights = nets["classifier"].parameters()
    g_step, d_step, c_step = (Adam(w, 1e-2, (0.5, 0.9)) for w in (g_weights, d_weights, c_weights))
    for i in range(ours.cycles):
        real, labels, _ = ours.toys(8 * i, 0, BATCH)
        step(c_step, cross_entropy(nets["classifier"](real, None, phase).classes, labels))
        z = 2 * uniform(3 * i, "latent0", BATCH, LATENT) - 1
        fake = nets["generator"](z, labels, phase)
        on_fake = d(fake.detach())
        wrong = cross_entropy(nets["classifier"](fake, None, phase).classes, labels)
        step(g_step, -mean(d(fake)) + 100 * wrong)
        step(d_step, mean(on_fake) - mean(d(real)) + 10 * penalty(d, real, fake.detach(), 3 * i + 2))
    ours.assert_equals_the_loop()


def test_uniform_fake_labels_are_drawn_beside_the_latents(shape):
    ours = Ours("separate_classifier", shape, cycles=3, fake_labels="uniform")
    nets, phase = ours.nets, Phase(ours.space)
    _, d, g_weights, d_weights = ours.pair()
    c_weights = nets["classifier"].parameters()
    g_step, d_step, c_step = (Adam(w, 1e-2, (0.5, 0.9)) for w in (g_weights, d_weights, c_weights))
    for i in range(ours.cycles):
        real, labels, _ = ours.toys(8 * i, 0, BATCH)
        step(c_step, cross_entropy(nets["classifier"](real, None, phase).classes, labels))
        asked = (4 * uniform(3 * i, "labels", BATCH)).long()
        fake = nets["generator"](2 * uniform(3 * i, "latent0", BATCH, LATENT) - 1, asked, phase)
        step(g_step, -mean(d(fake)) + 100 * cross_entropy(nets["classifier"](fake, None, phase).classes, asked))
        fake = fake.detach()
        step(d_step, mean(d(fake)) - mean(d(real)) + 10 * penalty(d, real, fake, 3 * i + 2))
    ours.assert_equals_the_loop()


def test_twenty_seven_logits_are_added_up_and_the_mean_is_over_samples(shape):
    ours = Ours("many_logits", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))
    for i in range(ours.cycles):
        fake, real = g(latent(2 * i)), ours.real(8 * i)
        squares = 0.5 * ((d(real) - 1) ** 2).sum() / 8 + 0.5 * (d(fake.detach()) ** 2).sum() / 8
        step(d_step, squares + 0.1 * 0.5 * slope(d, fake).square().sum() / 8)
        step(g_step, 0.5 * ((d(fake) - 1) ** 2).sum() / 8)
    ours.assert_equals_the_loop()


def noisy(seen, columns):
    """(N, 1): article 3's target for real samples, drawn once a batch."""
    return ((1 + 0.1 * uniform(seen, "target/real")) * (columns["classes"] * columns["aspect"]).double())[:, None]


def test_the_dogs_loop_with_two_generator_steps(shape):
    """Requirement 3-30: relativistic average least squares as coded, with D's word on real samples from before its step."""
    ours = Ours("dogs", shape, cycles=4, **DESCENT)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = SGD(g_weights, 1e-2), SGD(d_weights, 1e-2)
    for i in range(ours.cycles):
        real, _, columns = ours.toys(8 * i, 0, BATCH)
        t, on_real, on_fake = noisy(8 * (i + 1), columns), d(real), d(g(latent(3 * i)).detach())
        step(d_step, (((on_real - on_fake.mean() - t) ** 2).mean() + ((on_fake - on_real.mean() + t) ** 2).mean()) / 2)
        on_real = on_real.detach()
        for turn in (3 * i + 1, 3 * i + 2):
            t, on_fake = noisy(8 * (i + 1), columns), d(g(latent(turn)))
            step(g_step, (((on_real - on_fake.mean() + t) ** 2).mean() + ((on_fake - on_real.mean() - t) ** 2).mean()) / 2)
    ours.assert_equals_the_loop()


def test_noisy_targets_times_two_columns(shape):
    """Requirements 3-07 and 3-25: the flagged target is D's on real samples and G's on fakes; it may be above 1."""
    ours = Ours("noisy_targets", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))

    def entropy(logits, target):
        return -mean(target * logits.sigmoid().log() + (1 - target) * (1 - logits.sigmoid()).log())

    for i in range(ours.cycles):
        real, _, columns = ours.toys(8 * i, 0, BATCH)
        off = 0.1 * uniform(8 * (i + 1), "target/fake")
        step(d_step, entropy(d(real), noisy(8 * (i + 1), columns)) + entropy(d(g(latent(2 * i)).detach()), off))
        step(g_step, entropy(d(g(latent(2 * i + 1))), noisy(8 * (i + 1), columns)))
    ours.assert_equals_the_loop()


@pytest.mark.parametrize("fast", ["all", "none"])
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_the_gate_skips_exactly_where_the_accuracy_reaches_the_bound(shape, fast, optimizer):
    """With fused optimizers, which skip on the device, and with plain ones. A skipped step leaves no trace in the moments."""
    ours = Ours("gate", shape, 10, **{"fast": fast, "generator.optimizer": optimizer, "discriminator.optimizer": optimizer})
    g, d, g_weights, d_weights = ours.pair()
    make = (lambda w: Adam(w, 1e-2, (0.5, 0.999))) if optimizer == "Adam" else (lambda w: SGD(w, 1e-2))
    g_step, d_step, skipped = make(g_weights), make(d_weights), []
    for i in range(ours.cycles):
        fake = g(latent(2 * i))
        on_real, on_fake = d(ours.real(8 * i)), d(fake.detach())
        accuracy = ((on_real > 0).sum().item() + (on_fake <= 0).sum().item()) / 16
        assert ours.signals[i]["discriminator/accuracy"].item() == accuracy
        skipped.append(accuracy >= 0.5)
        if not skipped[-1]:
            step(d_step, softplus(-on_real).mean() + softplus(on_fake).mean())
        step(g_step, softplus(-d(fake)).mean())
    assert {True, False} <= set(skipped)
    ours.assert_equals_the_loop()


def test_weight_clipping_with_the_generator_on_the_first_critic_steps_fakes(shape):
    """chainer-gan-lib: G's step within the first critic step, which keeps its fakes and D's word on them."""
    ours = Ours("clipping", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = RMSprop(g_weights, 1e-2), RMSprop(d_weights, 1e-2)
    for i in range(ours.cycles):
        for j in range(3):
            fake = g(latent(4 * i if j == 0 else 4 * i + j + 1))
            on_fake = d(fake.detach())
            if j == 0:
                step(g_step, -mean(d(fake)))
            step(d_step, mean(on_fake) - mean(d(ours.real(24 * i + 8 * j))))
            with torch.no_grad():
                for weight in d_weights:
                    weight.copy_(weight.clip(-0.05, 0.05))
    assert max(weight.abs().max().item() for weight in ours.state.nets["discriminator"].parameters()) == 0.05
    assert max(weight.abs().max().item() for weight in ours.state.nets["generator"].parameters()) > 0.05
    ours.assert_equals_the_loop()


def test_lazy_r1_with_a_falling_rate(shape):
    """Moves 0, 3, 6 of D with three times the weight; both rates fall to 0 over the run."""
    ours = Ours("lazy_r1", shape, cycles=7)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))
    for i in range(ours.cycles):
        for optimizer in (g_step, d_step):
            optimizer.param_groups[0]["lr"] = 1e-2 * (1 - 8 * (i + 1) / LENGTH)
        fake, real = g(latent(2 * i)), ours.real(8 * i)
        loss = softplus(-d(real)).mean() + softplus(d(fake.detach())).mean()
        assert ("discriminator/loss/r1" in ours.signals[i]) == (i in (0, 3, 6))
        if i in (0, 3, 6):
            loss = loss + 3 * 2.0 * 0.5 * slope(d, real).square().sum(1).mean()
        step(d_step, loss)
        step(g_step, softplus(-d(fake)).mean())
    ours.assert_equals_the_loop()


def test_a_replay_buffer(shape):
    """D judges again the batch of fakes from two cycles before, as soon as there is one."""
    ours = Ours("replay", shape, cycles=5)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step, shown = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9)), []
    for i in range(ours.cycles):
        fake = g(latent(2 * i))
        loss = softplus(-d(ours.real(8 * i))).mean() + softplus(d(fake.detach())).mean()
        step(d_step, loss + softplus(d(shown[i - 2])).mean() if i >= 2 else loss)
        step(g_step, softplus(-d(fake)).mean())
        shown.append(fake.detach())
    ours.assert_equals_the_loop(kept=torch.cat(shown[-2:]), filled=torch.tensor(40))


def test_adaptive_augmentation_with_its_controller(shape):
    """What D sees is mirrored with probability p: real and fake samples, in both turns, and R1's points as well."""
    ours = Ours("ada", shape, cycles=6)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step, p = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9)), torch.tensor(0.4)
    history = [p]

    def seen(x, turn, purpose):
        turned = uniform(turn, f"ada/{purpose}", BATCH) < p
        return torch.stack([sample.flip(-1) if flip else sample for sample, flip in zip(x, turned, strict=True)])

    for i in range(ours.cycles):
        turn, fake, real = 2 * i, g(latent(2 * i)), ours.real(8 * i)
        on_real, on_fake = d(seen(real, turn, "real0")), d(seen(fake.detach(), turn, "fake0"))
        r1 = slope(lambda x, turn=turn: d(seen(x, turn, "logit")), real).square().sum(1).mean() / 2
        step(d_step, softplus(-on_real).mean() + softplus(on_fake).mean() + 0.5 * r1)
        p = (p + 0.1 * (on_real.detach().sign().mean() - 0.2).sign()).clip(0, 0.8)
        step(g_step, softplus(-d(seen(fake, turn + 1, "fake0"))).mean())
        history.append(p)
    assert len(set(history)) > 2
    ours.assert_equals_the_loop(ada_p=p)


def test_lecam_with_its_two_averages(shape):
    """Beside the hinge loss. The averages are from before the step."""
    ours = Ours("lecam", shape, cycles=5)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))
    real_mean, fake_mean = 0.0, 0.0
    for i in range(ours.cycles):
        fake = g(latent(2 * i))
        on_real, on_fake = d(ours.real(8 * i)), d(fake.detach())
        lecam = ((on_real - fake_mean) ** 2 + (on_fake - real_mean) ** 2).mean()
        step(d_step, relu(1 - on_real).mean() + relu(1 + on_fake).mean() + 0.3 * lecam)
        real_mean = 0.8 * real_mean + 0.2 * on_real.detach().mean()
        fake_mean = 0.8 * fake_mean + 0.2 * on_fake.detach().mean()
        step(g_step, -d(fake).mean())
    ours.assert_equals_the_loop(lecam_real=real_mean, lecam_fake=fake_mean)


def test_growth_with_a_fade_and_fresh_optimizers(shape):
    """Four cycles at half size, three of fading in from 0 by thirds, then full size; latents on a sphere of radius 2."""
    ours = Ours("growth", shape, cycles=9)
    nets, full, pool = ours.nets, shape[1:], avg_pool2d if len(shape) == 3 else avg_pool3d
    half = tuple(side // 2 for side in full)
    for i, fade in enumerate([None, None, None, None, 0.0, 1 / 3, 2 / 3, 1.0, 1.0]):
        if i in (0, 4):
            g_step, d_step = (Adam(nets[n].parameters(), 1e-2, (0.0, 0.99)) for n in ("generator", "discriminator"))
        phase = Phase(half) if fade is None else Phase(full, fade)
        real = pool(ours.real(8 * i), 2) if fade is None else ours.real(8 * i)

        def d(x, phase=phase):
            return nets["discriminator"](x, None, phase).logits

        fake = nets["generator"](2 * normalize(latent(2 * i)), None, phase)
        apart, on_real = fake.detach(), d(real)
        drift = (on_real**2).mean()
        step(d_step, d(apart).mean() - on_real.mean() + 10 * penalty(d, real, apart, 2 * i) + 0.001 * drift)
        step(g_step, -d(fake).mean())
        keep = 0.5 ** (8 / min(50, 0.5 * 8 * (i + 1)))
        with torch.no_grad():
            for average, weight in zip(ours.averages["generator"].parameters(), nets["generator"].parameters(), strict=True):
                average.copy_(keep * average + (1 - keep) * weight)
    ours.assert_equals_the_loop()


def test_dropout_masks_come_from_a_generator_that_is_seeded_anew_in_every_turn(shape):
    """D judges the fakes first and then the real samples: the masks come in that order."""
    ours = Ours("dropout", shape, cycles=4)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = Adam(g_weights, 1e-2, (0.5, 0.9)), Adam(d_weights, 1e-2, (0.5, 0.9))
    for i in range(ours.cycles):
        fake = g(latent(2 * i))
        torch.manual_seed(keys.key(0, 2 * i))
        on_fake, on_real = d(fake.detach()), d(ours.real(8 * i))
        step(d_step, softplus(-on_real).mean() + softplus(on_fake).mean())
        torch.manual_seed(keys.key(0, 2 * i + 1))
        step(g_step, softplus(-d(fake)).mean())
    ours.assert_equals_the_loop()


def test_relativistic_average_least_squares(shape):
    """RaLSGAN (Jolicoeur-Martineau 2018, table 1), halved, with the same fakes in both steps; G's loss reads D(real) anew."""
    ours = Ours("relativistic_average", shape, cycles=4, **DESCENT)
    g, d, g_weights, d_weights = ours.pair()
    g_step, d_step = SGD(g_weights, 1e-2), SGD(d_weights, 1e-2)

    def apart(up, down):
        return (((up - down.mean() - 1) ** 2).mean() + ((down - up.mean() + 1) ** 2).mean()) / 2

    for i in range(ours.cycles):
        fake, real = g(latent(2 * i)), ours.real(8 * i)
        step(d_step, apart(d(real), d(fake.detach())))
        step(g_step, apart(d(fake), d(real)))
    ours.assert_equals_the_loop()
