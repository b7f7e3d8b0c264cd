"""DCGAN's choices beside the usual ones: up and down, norms, slopes, labels, and what is random in the generator."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from gansaku.contract import Phase, Player, Weighted
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.networks import counted
from gansaku.networks.blocks import Shuffle, grow
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator, halving
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.sampling import sample
from gansaku.terms import GradientPenalty

torch.set_num_threads(1)

PHASE = Phase((0,))
SHAPES = [(3, 32, 48), (1, 16, 24, 16)]
both = pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])


def built(part, seed=0):
    torch.manual_seed(seed)
    return part.build().double()


def numbers(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestGrowingByShuffle:
    def test_is_torchs_pixel_shuffle_in_two_dimensions(self):
        x = numbers(3, 8, 4, 5)
        assert torch.equal(Shuffle()(x), functional.pixel_shuffle(x, 2))

    def test_puts_each_value_where_a_slow_loop_puts_it_in_three(self):
        x = numbers(2, 16, 2, 3, 4)
        y = Shuffle()(x)
        assert y.shape == (2, 2, 4, 6, 8)
        for n, c, d, h, w in itertools.product(*map(range, y.shape)):
            assert y[n, c, d, h, w] == x[n, 8 * c + 4 * (d % 2) + 2 * (h % 2) + w % 2, d // 2, h // 2, w // 2]

    def test_is_a_convolution_before_it_and_keeps_bright_and_dark_where_they_were(self):
        """With a kernel that only copies, every value stands on its own 2 × 2."""
        doubling = grow(2, 1, 1, "shuffle")
        weight = torch.zeros(4, 1, 3, 3)
        weight[:, 0, 1, 1] = 1
        doubling[0].weight.data.copy_(weight)
        article = torch.tensor([[1.0, 10], [100, 1000]])[None, None]
        assert doubling(article)[0, 0].tolist() == [[1, 1, 10, 10]] * 2 + [[100, 100, 1000, 1000]] * 2


@pytest.mark.parametrize(
    ("how", "pools"),
    [("average", (functional.avg_pool2d, functional.avg_pool3d)), ("max", (functional.max_pool2d, functional.max_pool3d))],
)
@both
def test_halving_by_pooling_is_a_convolution_and_the_pooling(how, pools, shape):
    dims, x = len(shape) - 1, numbers(2, 3, *shape[1:])
    layer = halving(dims, 3, 5, True, how).double()
    conv = next(m for m in layer.modules() if isinstance(m, nn.Conv2d | nn.Conv3d))
    nn.init.normal_(conv.bias)
    slow = (functional.conv2d, functional.conv3d)[dims - 2](x, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(layer(x), pools[dims - 2](slow, 2), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(layer.to(memory_format=(torch.channels_last, torch.channels_last_3d)[dims - 2])(x), layer(x))


@both
@pytest.mark.parametrize(
    "choice",
    [{"grow": "shuffle"}, {"norm": "instance"}, {"leak": 0.2}, {"output": "clamp"}, {"dropout": 0.5}, {"noise": 0.3},
     {"classes": 3}, {"classes": 3, "embedding": 2}], ids=str,
)  # fmt: skip
def test_every_choice_of_the_generator_gives_other_samples_in_range_and_trains_every_weight(shape, choice):
    plain, other = (built(DCGANGenerator(shape, latent=8, width=2, **more)) for more in ({}, choice))
    z, labels = numbers(4, 8), torch.tensor([0, 1, 2, 1])
    made = other(z, labels, PHASE)
    assert made.shape == (4, *shape)
    assert made.abs().max() <= 1
    assert not torch.allclose(made, plain(z, labels, PHASE))
    made.square().sum().backward()
    assert [n for n, p in other.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@both
@pytest.mark.parametrize(
    "choice",
    [{"halve": "average"}, {"halve": "max"}, {"norm": "instance"}, {"leak": 0.0}, {"label_planes": 3},
     {"label_planes": 3, "embedding": 2}], ids=str,
)  # fmt: skip
def test_every_choice_of_the_discriminator_says_something_else_and_trains_every_weight(shape, choice):
    plain, other = (built(DCGANDiscriminator(shape, width=2, init="he", **more)) for more in ({}, choice))
    x, labels = numbers(4, *shape).clamp(-1, 1), torch.tensor([0, 1, 2, 1])
    said = other(x, labels, PHASE).logits
    assert said.shape == (4, 1)
    assert not torch.allclose(said, plain(x, labels, PHASE).logits)
    said.square().sum().backward()
    assert [n for n, p in other.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


class TestInstanceNorm:
    @both
    def test_gives_each_sample_mean_zero_and_variance_one_in_every_channel(self, shape):
        network = built(DCGANDiscriminator(shape, width=4, norm="instance", init="he"))
        (norm,) = [m for m in network.layers[1] if isinstance(m, nn.GroupNorm)]
        y = norm(numbers(3, 8, *shape[1:]) * 5 + 2).flatten(2)
        torch.testing.assert_close(y.mean(2), torch.zeros(3, 8, dtype=torch.float64), atol=1e-12, rtol=0)
        torch.testing.assert_close(y.var(2, unbiased=False), torch.ones(3, 8, dtype=torch.float64), atol=1e-5, rtol=0)

    @both
    def test_judges_each_sample_by_itself_and_so_takes_a_penalty_on_its_slope(self, shape):
        part = DCGANDiscriminator(shape, width=2, norm="instance", init="he")
        network, x = built(part), numbers(5, *shape)
        alone = torch.cat([network(one[None], None, PHASE).logits for one in x])
        torch.testing.assert_close(network(x, None, PHASE).logits, alone, rtol=1e-10, atol=1e-12)
        penalty = (Weighted(10.0, GradientPenalty()),)
        Recipe(shape, Player(DCGANGenerator(shape), Adam(), 1e-4), Player(part, Adam(), 1e-4, terms=penalty), 100)

    def test_has_no_weights_and_stands_where_batch_norm_stands(self):
        for part in (DCGANGenerator, DCGANDiscriminator):
            kinds = [
                [type(m).__name__ for m in part((3, 32, 32), width=2, norm=norm).build().modules()]
                for norm in ("batch", "instance")
            ]
            assert kinds[1] == [{"BatchNorm": "GroupNorm"}.get(kind, kind) for kind in kinds[0]]
            names = [n for n, p in part((3, 32, 32), width=2, norm="instance").build().named_parameters() if p.ndim < 4]
            assert names == []


def test_the_slope_of_every_hidden_activation_is_what_was_asked_for():
    for part, usual in ((DCGANGenerator, 0.0), (DCGANDiscriminator, 0.2)):
        for choice, wanted in (({}, usual), ({"leak": 0.0}, 0.0), ({"leak": 0.3}, 0.3)):
            found = [m for m in part((3, 32, 32), **choice).build().modules() if isinstance(m, nn.ReLU | nn.LeakyReLU)]
            assert [getattr(m, "negative_slope", 0.0) for m in found] == [wanted] * 3


@pytest.mark.parametrize("leak", [0.0, 0.2, 0.7])
def test_he_weights_are_as_wide_as_the_slope_wants_them(leak):
    torch.manual_seed(0)
    networks = [part((3, 32, 32), init="he", leak=leak).build() for part in (DCGANGenerator, DCGANDiscriminator)]
    inner = [networks[0].layers[2][0][0].weight, networks[1].layers[2][0].weight]
    for weight, fan_in in zip(inner, (128 * 4, 128 * 16), strict=True):
        assert weight.std().item() == pytest.approx((2 / (1 + leak**2) / fan_in) ** 0.5, rel=0.02)


def test_a_clamped_output_is_the_linear_one_cut_off():
    network = built(DCGANGenerator((3, 32, 32), latent=8, width=8, init="he", output="clamp"))
    z = numbers(4, 8)
    linear = network.layers[:-1](z)
    assert (linear.abs() > 1).any()
    assert torch.equal(network(z, None, PHASE), linear.clamp(-1, 1))


class TestLabels:
    @both
    @pytest.mark.parametrize("embedding", [0, 2])
    def test_stand_beside_the_picture_as_channels_without_a_pattern(self, shape, embedding):
        network = built(DCGANDiscriminator(shape, width=2, label_planes=3, embedding=embedding))
        seen, labels, x = [], torch.tensor([2, 0]), numbers(2, *shape)
        network.layers.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        network(x, labels, PHASE)
        code = torch.tensor([[-1.0, -1, 1], [1, -1, -1]])
        values = network.label.embedding.weight[labels] if embedding else code
        assert torch.equal(seen[0][:, : shape[0]], x)
        for n, sample_values in enumerate(values.tolist()):
            for i, value in enumerate(sample_values):
                assert seen[0][n, shape[0] + i].unique().tolist() == [value]

    @pytest.mark.parametrize("embedding", [0, 2])
    def test_stand_beside_z(self, embedding):
        network = built(DCGANGenerator((3, 16, 16), latent=4, width=2, classes=3, embedding=embedding))
        seen, labels, z = [], torch.tensor([2, 0]), numbers(2, 4)
        network.layers[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        network(z, labels, PHASE)
        values = network.label.embedding.weight[labels] if embedding else torch.tensor([[-1.0, -1, 1], [1, -1, -1]]).double()
        assert torch.equal(seen[0], torch.cat([z, values], 1))

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"generator.network.embedding": 4}, "embedding: 4 values of no classes; set classes too"),
            ({"discriminator.network.embedding": 4}, "embedding: 4 values of no classes; set label_planes too"),
            ({"classes": 3}, "set generator.network.classes too"),
            ({"classes": 3, "generator.network.classes": 2}, "2 is not the recipe's 3 classes; set both"),
            ({"discriminator.network.label_planes": 3}, "3 is not the recipe's 0 classes; set both"),
            ({"generator.network.dropout": 1.0}, r"dropout: 1 must lie in \[0, 1\)"),
            ({"generator.network.noise": -0.1}, "noise: -0.1 must not be negative"),
            ({"discriminator.network.leak": 1.0}, "leak: 1 is no slope of a leaky ReLU"),
        ],
    )
    def test_and_numbers_that_do_not_fit_are_refused(self, settings, says):
        with pytest.raises(RecipeError, match=says):
            recipe((3, 32, 32)).but(settings)


def recipe(shape, **choices):
    generator = DCGANGenerator(shape, latent=8, width=2, init="he", **choices)
    discriminator = DCGANDiscriminator(shape, width=2)
    return Recipe(shape, Player(generator, Adam(), 1e-4), Player(discriminator, Adam(), 1e-4), 100, latent=Gaussian(8))


class TestWhatIsRandomInTheGenerator:
    def test_is_counted_as_plain_numbers_say(self):
        """The same in Python's whole numbers, one value after the other."""

        def mixed(x):
            for _ in range(2):
                x = ((x >> 16) ^ x) * 0x45D9F3B % 2**32
            return (x >> 16) ^ x

        z = torch.tensor([[1.0, -2.5, 0.1], [0.0, 3e-9, 7.0]])
        keys = []
        for row in z.view(torch.int32).tolist():
            keys.append(mixed(sum(mixed(value % 2**32 ^ mixed(i)) for i, value in enumerate(row, 1)) % 2**32))
        assert [key % 2**32 for key in counted.keys(z).tolist()] == keys
        x = torch.zeros(2, 2, 2, 3)
        for layer in (0, 5):
            slow = [((mixed(key ^ (mixed(j ^ mixed(layer + 1)))) >> 9) + 0.5) / 2**23 for key in keys for j in range(12)]
            assert counted.uniform(counted.keys(z), layer, x).flatten().tolist() == slow

    def test_is_evenly_spread_and_of_its_own_for_every_sample_layer_and_place(self):
        keys, x = counted.keys(torch.randn(256, 16, generator=torch.Generator().manual_seed(3))), torch.zeros(256, 64, 4, 4)
        first, second = counted.uniform(keys, 0, x).flatten(1) - 0.5, counted.uniform(keys, 1, x).flatten(1) - 0.5
        counts = torch.histc(first, 20, -0.5, 0.5)
        assert ((counts - counts.mean()).square() / counts.mean()).sum() < 43.8  # χ² of 19, one in a thousand
        for a, b in ((first[1:], first[:-1]), (first[:, 1:], first[:, :-1]), (first, second)):
            assert (a * b).mean().abs() * 12 < 4 / a.numel() ** 0.5

    def test_drops_a_share_and_keeps_the_mean(self):
        keys, x = counted.keys(numbers(64, 8)), torch.ones(64, 16, 8, 8)
        y = counted.dropped(x, keys, 0, 0.3)
        assert sorted(y.unique().tolist()) == pytest.approx([0, 1 / 0.7])
        assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.005)
        assert y.mean().item() == pytest.approx(1, abs=0.01)

    def test_adds_normal_noise_of_its_deviation(self):
        keys, x = counted.keys(numbers(64, 8)), torch.full((64, 16, 8, 8), 5.0)
        y = counted.noisy(x, keys, 0, 0.2) - 5
        assert y.mean().item() == pytest.approx(0, abs=0.003)
        assert y.std().item() == pytest.approx(0.2, abs=0.002)
        assert (y.abs() > 0.4).float().mean().item() == pytest.approx(0.0455, abs=0.003)

    @both
    def test_half_of_the_values_after_the_first_layers_are_dropped_while_training_and_while_sampling(self, shape):
        """None is dropped after others: of four hidden layers, the first three pass on half of what came out of them."""
        shape = (shape[0], *[4 * side for side in shape[1:]]) if len(shape) == 3 else (1, 64, 64, 64)
        network = DCGANGenerator(shape, latent=8, width=1, norm="none", leak=0.2, dropout=0.5).build()
        seen = []
        for layer in network.layers[1:]:
            layer.register_forward_pre_hook(lambda module, given: seen.append((given[0] == 0).float().mean().item()))
        for training in (True, False):
            seen.clear()
            with torch.no_grad():
                network.train(training)(torch.randn(16, 8), None, PHASE)
            hidden = len(network.layers) - 2
            assert hidden >= 4
            assert seen[:3] == pytest.approx([0.5] * 3, abs=0.1)
            assert max(seen[3:]) < 0.01

    @pytest.mark.parametrize("choice", [{"dropout": 0.5}, {"noise": 0.5}], ids=str)
    def test_sample_i_is_the_same_picture_in_any_company_and_order(self, choice):
        made = recipe((3, 32, 32), **choice)
        torch.manual_seed(0)
        network = made.generator.network.build()
        first = sample(network, made, range(5))
        torch.manual_seed(99)
        torch.rand(7)
        assert torch.equal(sample(network, made, [130, 4, 3, 2, 1, 0])[1:].flip(0), first)
        assert not torch.equal(sample(network, made, range(5), seed=1), first)
        still = recipe((3, 32, 32)).generator.network.build()
        still.load_state_dict(network.state_dict())
        assert not torch.allclose(sample(still, made, range(5)), first, atol=1e-3)

    def test_what_a_sample_loses_goes_with_its_z_wherever_that_stands(self):
        network = DCGANGenerator((3, 16, 16), latent=8, width=8, dropout=0.5, norm="none", leak=0.2).build()
        seen, z = [], torch.randn(3, 8)
        network.layers[1].register_forward_pre_hook(lambda module, given: seen.append(given[0] == 0))
        network(z, None, PHASE)
        network(z[[2, 0, 1]], None, PHASE)
        network(torch.randn(3, 8), None, PHASE)
        assert torch.equal(seen[0][[2, 0, 1]], seen[1])
        for one, other in ((seen[0][0], seen[0][1]), (seen[0][1], seen[0][2]), (seen[0][0], seen[2][0])):
            assert 0.35 < (one != other).float().mean() < 0.65
