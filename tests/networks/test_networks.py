"""The networks give what the contract says, in two and three dimensions, and the numbers printed in their sources."""

import pytest
import torch
from torch import nn

from gansaku import ranks
from gansaku.contract import Phase
from gansaku.errors import RecipeError
from gansaku.networks.blocks import BatchNorm, doublings, fan_in, grow, initialize
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator, Generator

SHAPES = [(3, 32, 32), (3, 96, 96), (1, 32, 48), (1, 16, 16, 16), (2, 16, 24, 16)]
PHASE = Phase((0,))

ARTICLE_4 = torch.tensor([[1.0, 10], [100, 1000]])[None, None]
TRANSPOSED = [[1, 11, 11, 10], [101, 1111, 1111, 1010], [101, 1111, 1111, 1010], [100, 1100, 1100, 1000]]
RESIZED = [[4, 24, 42, 40], [204, 1224, 2142, 2040], [402, 2412, 4221, 4020], [400, 2400, 4200, 4000]]


@pytest.mark.parametrize(("how", "answer"), [("transpose", TRANSPOSED), ("resize", RESIZED)])
def test_growing_the_articles_square_gives_the_articles_table(how, answer):
    doubling = grow(2, 1, 1, how)
    for weight in doubling.parameters():
        nn.init.ones_(weight)
    assert doubling(ARTICLE_4)[0, 0].tolist() == answer


@pytest.mark.parametrize("how", ["transpose", "resize"])
def test_growing_doubles_every_side_in_two_and_three_dimensions(how):
    assert grow(2, 2, 3, how)(torch.zeros(1, 2, 4, 5)).shape == (1, 3, 8, 10)
    assert grow(3, 2, 3, how)(torch.zeros(1, 2, 3, 4, 5)).shape == (1, 3, 6, 8, 10)


def count(network):
    return sum(p.numel() for p in network.build().parameters())


def test_3d_gan_has_the_papers_parameter_count():
    assert count(DCGANGenerator((1, 64, 64, 64), latent=200)) == 17_569_664


def test_dcgan_64_has_the_parameter_counts_of_the_usual_example():
    """z 100, 64 px, widths 64 … 512: 3,576,704 and 2,765,568 in PyTorch's own example."""
    assert count(DCGANGenerator((3, 64, 64), latent=100)) == 3_576_704
    assert count(DCGANDiscriminator((3, 64, 64))) == 2_765_568


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
@pytest.mark.parametrize("norm_first", [True, False])
class TestThePair:
    def test_makes_samples_in_range_and_judges_them(self, shape, norm, norm_first):
        torch.manual_seed(0)
        generator = DCGANGenerator(shape, latent=8, width=2, norm=norm, norm_first=norm_first).build()
        discriminator = DCGANDiscriminator(shape, width=2, logits=3, norm=norm, norm_first=norm_first).build()
        made = generator(torch.randn(2, 8), None, PHASE)
        assert made.shape == (2, *shape)
        assert made.abs().max() <= 1
        verdict = discriminator(made, None, PHASE)
        assert verdict.logits.shape == (2, 3)
        assert verdict.features.shape[0] == 2

    def test_the_gradient_reaches_every_weight_of_both(self, shape, norm, norm_first):
        torch.manual_seed(0)
        generator = DCGANGenerator(shape, latent=8, width=2, norm=norm, norm_first=norm_first).build()
        discriminator = DCGANDiscriminator(shape, width=2, norm=norm, norm_first=norm_first, init="he").build()
        discriminator(generator(torch.randn(3, 8), None, PHASE), None, PHASE).logits.square().sum().backward()
        for network in (generator, discriminator):
            silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert silent == []


def test_different_latents_give_different_samples():
    made = DCGANGenerator((1, 16, 16, 16), latent=8, width=2).build()(torch.randn(4, 8), None, PHASE)
    assert torch.pdist(made.flatten(1)).min() > 0


SIZES = [((32, 32), (4, 4), 3), ((96, 96), (6, 6), 4), ((28, 28), (7, 7), 2), ((80, 80), (5, 5), 4), ((64, 128), (4, 8), 4)]


@pytest.mark.parametrize(("space", "base", "k"), [*SIZES, ((16, 16, 16), (4, 4, 4), 2)])
def test_sizes_are_a_base_of_four_to_seven_times_a_power_of_two(space, base, k):
    assert doublings(space) == (base, k)


@pytest.mark.parametrize(
    ("space", "advice"),
    [((100, 100), "96 and 112"), ((33, 33), "32 and 40"), ((5, 5), "the nearest sizes are 8"), ((64, 72), "multiples of 16")],
)
def test_a_size_that_cannot_be_reached_is_refused_with_the_nearest(space, advice):
    with pytest.raises(RecipeError, match=advice):
        DCGANGenerator((3, *space))


def test_article_4s_choices_change_the_layers_and_nothing_else():
    def kinds(**choices):
        return [type(m) for m in Generator(DCGANGenerator((3, 96, 96), **choices)).modules() if not list(m.children())]

    plain = kinds()
    assert nn.ConvTranspose2d in plain
    resized = kinds(grow="resize")
    assert resized.count(nn.ConvTranspose2d) == 1  # the first layer stays a transposed convolution
    assert resized.count(nn.Upsample) == 4
    later = kinds(norm_first=False)
    assert sorted(map(str, later)) == sorted(map(str, plain))
    assert plain.index(BatchNorm) < plain.index(nn.ReLU)
    assert later.index(BatchNorm) > later.index(nn.ReLU)


def test_spectral_norm_bounds_the_gain_of_every_convolution():
    torch.manual_seed(0)
    network = DCGANDiscriminator((3, 16, 16), width=8, norm="spectral", init="he").build()
    for _ in range(30):
        network(torch.randn(2, 3, 16, 16), None, PHASE)  # each pass is one power iteration
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(
                1, abs=0.02
            )  # a few power iterations


def test_batch_norm_gives_zero_mean_and_unit_variance_in_any_space():
    for space in ((5, 7), (3, 4, 5)):
        y = BatchNorm(2)(torch.randn(6, 2, *space) * 3 + 1).transpose(0, 1).flatten(1)
        torch.testing.assert_close(y.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(y.var(1, unbiased=False), torch.ones(2), atol=1e-3, rtol=0)


def test_batch_norm_refuses_a_single_value_for_each_channel_and_only_in_training():
    norm = BatchNorm(3)
    with pytest.raises(RecipeError, match=r"batch: .* use 2 or more"):
        norm(torch.randn(1, 3))
    assert norm(torch.randn(1, 3, 2)).shape == (1, 3, 2)
    assert norm.eval()(torch.randn(1, 3)).shape == (1, 3)


def test_batch_norm_over_ranks_counts_in_full_precision_and_answers_in_bf16(monkeypatch):
    """Two ranks with the same rows: mean and variance are those of one. Values near 100 have steps of 0.5 in bf16."""
    x = (torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(0)) + 100).bfloat16()
    one, many = BatchNorm(2), BatchNorm(2)
    wanted = one(x.float())
    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(ranks, "total", lambda values: 2 * values)
    made = many(x)
    assert made.dtype == torch.bfloat16
    assert many.running_mean.dtype == torch.float32
    torch.testing.assert_close(made.float(), wanted, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(many.running_mean, one.running_mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(many.running_var - 0.9, (one.running_var - 0.9) * (2048 / 2047) / (1024 / 1023))


def test_initial_weights_have_the_stated_spread():
    torch.manual_seed(0)
    conv, transposed = nn.Conv3d(16, 64, 4), nn.ConvTranspose2d(64, 64, 4, stride=2)
    initialize(nn.Sequential(conv, transposed), "he", slope=0.2)
    assert conv.weight.std().item() == pytest.approx((2 / 1.04 / (16 * 64)) ** 0.5, rel=0.02)
    assert transposed.weight.std().item() == pytest.approx((2 / 1.04 / (64 * 16 / 4)) ** 0.5, rel=0.02)
    assert fan_in(transposed) == 256
    initialize(conv, "normal")
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert conv.bias.abs().max() == 0
