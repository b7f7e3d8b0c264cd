"""R3GAN: the source's parameter counts, its blocks by closed forms, and its schedules."""

import math

import numpy as np
import pytest
import torch

from fixtures.tiny import BATCH, data
from gansaku.annealing import AnnealedAdam, RampedEMA
from gansaku.contract import Phase
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.networks.r3gan import Activation, Block, Doubling, Halving, R3GANDiscriminator, R3GANGenerator
from gansaku.recipe import from_toml, to_toml
from gansaku.recipes.registry import find
from gansaku.schedules import Cosine
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

SPACES = [(3, 8, 8), (1, 8, 8, 8)]
both = pytest.mark.parametrize("shape", SPACES, ids=["2d", "3d"])
CIFAR = Facts("cifar", (3, 32, 32), 50_000, tuple("0123456789"))
FFHQ = Facts("faces", (3, 64, 64), 70_000, ())


def counted(network):
    return sum(p.numel() for p in network.build().parameters())


def block(width):
    """Weights of one block as the source's table has it: to twice the width, 3 × 3 in groups of 16, back, two biases."""
    return 2 * width * 2 * width + 2 * width * 16 * 9 + 2 * 2 * width


@pytest.mark.parametrize(
    ("facts", "generator", "discriminator"),
    [
        (CIFAR, 8 * block(768) + 16 * 768 + 128 * 768 + 10 * 64 + 768 * 3, 8 * block(768) + 3 * 768 + 16 * 768 + 768**2 + 7680),
        (FFHQ, 8 * block(768) + 2 * block(384) + 16 * 768 + 64 * 768 + 768 * 384 + 384 * 3,
         8 * block(768) + 2 * block(384) + 384 * 3 + 768 * 384 + 16 * 768 + 768),
    ],
    ids=["CIFAR10", "FFHQ-64"],
)  # fmt: skip
def test_has_the_sources_parameters(facts, generator, discriminator):
    recipe = find("r3gan", facts)
    assert counted(recipe.generator.network) == generator
    assert counted(recipe.discriminator.network) == discriminator
    if facts is CIFAR:
        assert (generator, discriminator) == (20_781_952, 21_280_512)  # as the recipe says


@both
def test_a_block_begins_as_the_identity_and_its_other_weights_spread_as_fixup_says(shape):
    dims = len(shape) - 1
    made = Block(dims, 64, 16, 8)
    x = torch.randn(2, 64, *shape[1:])
    assert torch.equal(made(x), x)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    assert made.spread.weight.std().item() == pytest.approx(gain / 8, rel=0.05)
    assert made.grouped.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 3**dims), rel=0.05)
    assert made.grouped.groups == 8


def test_an_activation_adds_its_bias_first():
    made = Activation(2)
    made.bias.data = torch.tensor([1.0, -1.0])
    assert made(torch.zeros(1, 2, 1, 1)).flatten().tolist() == pytest.approx([1.0, -0.2])


@both
def test_a_doubling_interpolates_by_three_quarters_and_one(shape):
    x = torch.randn(2, 3, *shape[1:], dtype=torch.float64)
    y = Doubling()(x)
    assert y.shape[2:] == tuple(2 * side for side in shape[1:])
    near = x
    for axis in range(2, x.ndim):
        middle = near.narrow(axis, 1, near.shape[axis] - 2)
        below, above = near.narrow(axis, 0, near.shape[axis] - 2), near.narrow(axis, 2, near.shape[axis] - 2)
        pair = torch.stack([0.75 * middle + 0.25 * below, 0.75 * middle + 0.25 * above], axis + 1)
        near = pair.flatten(axis, axis + 1)
    inside = (..., *[slice(2, -2)] * (x.ndim - 2))
    torch.testing.assert_close(y[inside], near)


@both
def test_a_halving_is_the_doublings_adjoint_up_to_its_scale_and_keeps_what_is_level(shape):
    x, y = (
        torch.randn(2, 3, *shape[1:], dtype=torch.float64),
        torch.randn(2, 3, *[s // 2 for s in shape[1:]], dtype=torch.float64),
    )
    dims = len(shape) - 1
    assert (Halving()(x) * y).sum().item() == pytest.approx((x * Doubling()(y)).sum().item() / 2**dims, rel=1e-9)
    inside = (..., *[slice(1, -1)] * dims)
    torch.testing.assert_close(Halving()(torch.ones_like(x))[inside], torch.ones_like(y)[inside])


@both
def test_generated_samples_are_cut_to_their_range_outside_training_alone(shape):
    made = R3GANGenerator(shape, 8, (16, 16)).build()
    z = 50 * torch.randn(4, 8)
    assert made(z, None, Phase(shape[1:])).abs().max() > 1
    assert made.eval()(z, None, Phase(shape[1:])).abs().max() == 1


@both
def test_only_with_classes_labels_change_anything(shape):
    phase, labels = Phase(shape[1:]), torch.tensor([0, 1])
    for classes in (0, 2):
        made, judge = (
            R3GANGenerator(shape, 8, (16, 16), 16, classes).build(),
            R3GANDiscriminator(shape, (16, 16), 16, classes).build(),
        )
        z, x = torch.randn(1, 8).expand(2, -1), torch.randn(1, *shape).expand(2, *[-1] * len(shape))
        for one, other in (made(z, labels, phase), judge(x, labels, phase).logits):
            assert torch.allclose(one, other) == (classes == 0)


@both
def test_trains_some_cycles_with_every_schedule(shape):
    small = {
        "generator.network": R3GANGenerator(shape, 8, (16, 16)),
        "discriminator.network": R3GANDiscriminator(shape, (16, 16)),
    }
    recipe = find("r3gan", FFHQ).but(
        small, shape=shape, batch=BATCH, latent=Gaussian(8), length=160, **{"augment.transforms.color": None}
    )
    state = begin(recipe)
    before = [p.clone() for p in state.nets["generator"].parameters()]
    for _ in range(3):
        signals = cycle(state, recipe, data(recipe))
    assert all(value.isfinite() for value in signals.values())
    assert any(not torch.equal(a, b) for a, b in zip(before, state.nets["generator"].parameters(), strict=True))


def source_schedule(seen, base, final, total):
    """cosine_decay_with_warmup of the source, without warm-up."""
    decay = 0.5 * (1 + np.cos(np.pi * seen / total))
    return final if seen > total else base + (1 - decay) * (final - base)


@pytest.mark.parametrize("seen", [0, 1_000_000, 10_000_000, 19_999_999, 20_000_000, 90_000_000])
def test_all_schedules_are_the_sources(seen):
    recipe = find("r3gan", CIFAR)
    over, length, player = 2e7, recipe.length, recipe.discriminator
    assert player.lr * player.rate.at(seen, length) == pytest.approx(source_schedule(seen, 2e-4, 5e-5, over))
    penalty = player.terms[0]
    assert penalty.weight * penalty.rate.at(seen, length) == pytest.approx(source_schedule(seen, 0.05, 0.005, over))
    assert player.optimizer.at(seen)["betas"] == pytest.approx((0.0, source_schedule(seen, 0.9, 0.99, over)))
    assert recipe.augment.p(seen, length) == pytest.approx(source_schedule(seen, 0, 0.55, over), abs=1e-12)
    half_life = source_schedule(seen, 0, 5e6, over)
    assert recipe.generator.ema.keep(seen, seen + 512) == pytest.approx(0.5 ** (512 / max(half_life, 1e-8)))


def test_a_term_and_an_optimizer_change_while_they_train():
    shape = (3, 8, 8)
    small = {
        "generator.network": R3GANGenerator(shape, 8, (16, 16)),
        "discriminator.network": R3GANDiscriminator(shape, (16, 16)),
    }
    recipe = find("r3gan", FFHQ).but(small, shape=shape, batch=BATCH, latent=Gaussian(8), augment=None)
    quick = {"discriminator.optimizer.over": 16, "discriminator.terms.0.rate.over": 16, "discriminator.terms.1.rate.over": 16}
    first = {}
    for name, variant in (("slow", recipe), ("quick", recipe.but(quick))):
        state = begin(variant)
        signals = [cycle(state, variant, data(variant)) for _ in range(2)]
        first[name] = signals[1]["discriminator/loss/r1"].item()
        beta = state.optimizers["discriminator"].param_groups[0]["betas"][1]
        assert beta == pytest.approx(0.99 if name == "quick" else 0.9, abs=1e-6)
    assert first["quick"] < 0.3 * first["slow"]


def test_comes_back_from_its_file_and_fits_only_its_sizes():
    for facts in (CIFAR, FFHQ):
        recipe = find("r3gan", facts)
        assert from_toml(to_toml(recipe)) == recipe
    with pytest.raises(RecipeError, match="is for sides of 32 or 64"):
        find("r3gan", Facts("faces", (3, 48, 48), 10, ()))
    with pytest.raises(RecipeError, match=r"2 widths double maps of 4 to 8, and the samples are \(16, 16\)"):
        R3GANGenerator((3, 16, 16), 8, (16, 16))
    with pytest.raises(RecipeError, match="12 channels in a group do not divide"):
        R3GANDiscriminator((3, 8, 8), (16, 16), 12)


@pytest.mark.parametrize(
    "bad", [lambda: AnnealedAdam(end=1.0), lambda: AnnealedAdam(over=0), lambda: RampedEMA(0), lambda: Cosine(over=0)]
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError):
        bad()
