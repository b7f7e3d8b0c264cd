"""The competition's first three places: the winner's networks by their table, and what the other two change."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, one_hot

from fixtures.tiny import data
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.losses import BinaryCrossEntropy, RelativisticAverage
from gansaku.networks.dog_biggan import DogBigGANDiscriminator, DogBigGANGenerator, ToldNorm
from gansaku.recipes.registry import find
from gansaku.training.state import begin
from gansaku.training.step import cycle

BREEDS = tuple(f"breed {i}" for i in range(120))
LABELS = torch.tensor([2, 0, 1])


def facts(size=64, classes=BREEDS):
    return Facts("dogs", (3, size, size), 2000, classes)


def count(part):
    return sum(p.numel() for p in part.build().parameters())


def attention(channels):
    return 2 * channels * (channels // 8) + 2 * channels * (channels // 2) + 1


def test_the_winners_networks_have_the_parameters_of_the_kernels_layers():
    """For 120 breeds: the kernel calls widths of 36 and 42 "G:10M, D:8M params"."""
    g, chunk, told = [36 * i for i in (16, 16, 8, 4, 2)], 24, 24 + 120
    generator = (chunk + 1) * 16 * g[0] + 9 * g[-1] * 3 + attention(g[3])
    for a, b in pairwise(g):
        generator += 9 * a * b + 9 * b * b + a * b + 2 * (told + 1) * (a + b)
    d = [3, *[42 * i for i in (1, 2, 4, 8, 16)]]
    discriminator = d[-1] + 1 + 120 * d[-1] + attention(d[1])
    discriminator += sum(9 * a * b + 9 * b * b + a * b for a, b in pairwise(d))
    assert count(DogBigGANGenerator((3, 64, 64), 120)) == generator == 10_491_625
    assert count(DogBigGANDiscriminator((3, 64, 64), 120)) == discriminator == 8_497_274


@pytest.mark.parametrize("shape", [(3, 32, 16), (1, 16, 16, 32)])
def test_they_take_and_give_samples_of_their_shape(shape):
    x = DogBigGANGenerator(shape, classes=3, latent=10, width=2).build()(torch.randn(3, 10), LABELS, None)
    assert x.shape == (3, *shape)
    assert x.abs().max() <= 1
    assert DogBigGANDiscriminator(shape, classes=3, width=2).build()(x, LABELS, None).logits.shape == (3, 1)


def slowly_up(block, x, given):
    """A block of G, step by step."""
    y = interpolate(leaky_relu(block.first(x, given), 0.01), scale_factor=2)
    y = torch.conv2d(y, block.doubling.conv.weight, padding=1)
    y = torch.conv2d(leaky_relu(block.second(y, given), 0.01), block.conv.weight, padding=1)
    return y + torch.conv2d(interpolate(x, scale_factor=2), block.side.weight)


def test_each_block_of_g_is_told_its_own_chunk_of_z_beside_the_class():
    torch.manual_seed(0)
    g = DogBigGANGenerator((3, 32, 32), classes=3, latent=20, width=2).build().double().eval()
    z = torch.randn(3, 20, dtype=torch.float64)
    chunks = z.split(4, 1)
    x = g.stem(chunks[0]).view(3, 32, 2, 2)
    for i, block in enumerate(g.blocks):
        x = slowly_up(block, x, torch.cat([chunks[i + 1], one_hot(LABELS, 3)], 1))
        x = g.attention(x) if i == 2 else x
    torch.testing.assert_close(g(z, LABELS, None), torch.tanh(g.out(leaky_relu(x, 0.01))))


def slowly_down(block, x, halve):
    """A block of D, step by step; the mean after the 1 × 1 convolution, as the kernel has it."""
    first, last = block.main[1], block.main[3]
    y = torch.conv2d(leaky_relu(x, 0.2), first.weight, padding=1)
    y = torch.conv2d(leaky_relu(y, 0.2), getattr(last, "conv", last).weight, padding=1)
    beside = torch.conv2d(x, block.shortcut[-1].weight)
    return avg_pool2d(y, 2) + avg_pool2d(beside, 2) if halve else y + beside


def test_d_is_its_blocks_one_after_the_other_and_a_projection():
    torch.manual_seed(0)
    d = DogBigGANDiscriminator((3, 32, 32), classes=3, width=4).build().double().eval()
    x = h = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    for i, layer in enumerate(d.layers):
        h = layer(h) if i == 1 else slowly_down(layer, h, halve=i != 5)
    h = leaky_relu(h, 0.2).sum((2, 3))
    wanted = h @ d.head.linear.weight.T + d.head.linear.bias + (h * d.head.embedding.weight[LABELS]).sum(1, keepdim=True)
    torch.testing.assert_close(d(x, LABELS, None).logits, wanted)


def test_gains_start_orthogonal_and_blind_to_what_stands_beyond_their_channels():
    torch.manual_seed(0)
    weight = ToldNorm(8, 12).gains.weight
    torch.testing.assert_close(weight[:, :8].T @ weight[:, :8], torch.eye(8))
    assert (weight[:, 8:] == 0).all()


def test_spectral_norm_bounds_all_layers_but_the_gains_and_the_embedding():
    d, g = DogBigGANDiscriminator((3, 16, 16), 3, width=4).build(), DogBigGANGenerator((3, 16, 16), 3, 10, width=2).build()
    bare = [name for module in (g, d) for name, _ in module.named_parameters() if name.endswith("weight")]
    assert bare == [*[f"blocks.{i}.{n}.gains.weight" for i in range(4) for n in ("first", "second")], "head.embedding.weight"]


def test_the_class_head_of_the_second_place_sees_no_label_although_its_logits_do():
    d = find("dogs-second", facts()).but({"discriminator.network.width": 4}).discriminator.network.build().eval()
    x = torch.randn(3, 3, 64, 64)
    one, other = d(x, LABELS, None), d(x, LABELS + 1, None)
    assert one.classes.shape == (3, 120)
    assert torch.equal(one.classes, other.classes)
    assert not torch.equal(one.logits, other.logits)


def test_a_method_that_asks_for_classes_refuses_a_biggan_that_does_not_tell_them():
    with pytest.raises(RecipeError, match=r"discriminator\.network\.tells: off, and AuxiliaryClassifier wants"):
        find("dogs-second", facts()).but({"discriminator.network.tells": False})


@pytest.mark.parametrize(
    ("name", "loss", "rates", "batch", "passes", "latent"),
    [
        ("dogs-first", BinaryCrossEntropy(), (3e-4, 3e-4), 32, 130, 120),
        ("dogs-second", RelativisticAverage("least-squares"), (2e-4, 2e-4), 128, 130, 100),
        ("dogs-third", BinaryCrossEntropy(), (2e-4, 4e-4), 32, 170, 180),
    ],
)
def test_they_train_with_the_settings_that_are_told(name, loss, rates, batch, passes, latent):
    recipe = find(name, facts())
    assert recipe.loss == loss
    assert (recipe.generator.lr, recipe.discriminator.lr) == rates
    assert (recipe.batch, recipe.length, recipe.latent.size) == (batch, passes * 2000, latent)
    assert (recipe.classes, recipe.mirror) == (120, True)


@pytest.mark.parametrize("name", ["dogs-first", "dogs-second", "dogs-third"])
def test_narrow_ones_train(name):
    recipe = find(name, facts(classes=("cat", "dog", "hen"))).but(
        {"generator.network.width": 2, "discriminator.network.width": 8, "batch": 3, "precision": "fp32"}
    )
    state = begin(recipe)
    before = {path: [p.detach().clone() for p in net.parameters()] for path, net in state.nets.items()}
    cycle(state, recipe, data(recipe))
    for path, net in state.nets.items():
        assert all(p.isfinite().all() for p in net.parameters()), path
        assert any(not torch.equal(a, b) for a, b in zip(before[path], net.parameters(), strict=True)), path
