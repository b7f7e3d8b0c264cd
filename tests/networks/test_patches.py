"""Convolutions as matrix products: torch's numbers, and their derivatives' derivatives, in the places where they pay."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import conv3d, conv_transpose3d

from gansaku.networks import patches
from gansaku.networks.blocks import CHANNELS_LAST, CONV, CONV_TRANSPOSE, bound_spectra
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.networks.gan3d import ArticleDiscriminator, ArticleGenerator

LARGE = (4, 6, 8)
HALF = tuple(side // 2 for side in LARGE)
CHANNELS = {"one channel": (5, 1), "many weights": (96, 160)}  # A and B; at HALF with a batch of 1 they are many
BOTH = pytest.mark.parametrize("channels", CHANNELS.values(), ids=list(CHANNELS))
UP = pytest.mark.parametrize("up", [False, True], ids=["halving", "doubling"])
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def layer(channels, up, fast=True, bias=True):
    torch.manual_seed(0)
    a, b = channels
    made = (CONV_TRANSPOSE[3](a, b, 4, 2, 1, bias=bias) if up else CONV[3](b, a, 4, 2, 1, bias=bias)).double()
    return made.to(memory_format=CHANNELS_LAST[3]) if fast else made


def given(channels, up, n=1):
    shape = (channels[0], *HALF) if up else (channels[1], *LARGE)
    return torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def in_torchs_words(one, x):
    if isinstance(one, nn.ConvTranspose3d):
        return conv_transpose3d(x, one.weight, one.bias, one.stride, one.padding)
    return conv3d(x, one.weight, one.bias, one.stride, one.padding)


def derivatives(one, x, make):
    """Values, first derivatives by all inputs, and of a function of these the derivatives again."""
    x = x.clone().requires_grad_()
    inputs = [x, *one.parameters()]
    y = make(x)
    first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
    return [y, *first, *torch.autograd.grad(sum(g.square().sum() for g in first), inputs)]


def ways(monkeypatch):
    """The matrix products that are made from now on."""
    seen = []
    for name in ("patches", "added_up", "from_points"):
        real = getattr(patches, name)
        monkeypatch.setattr(patches, name, lambda *a, name=name, real=real: seen.append(name) or real(*a))
    return seen


@BOTH
@UP
def test_values_and_derivatives_twice_over_are_torchs(channels, up):
    one, x = layer(channels, up), given(channels, up)
    for mine, theirs in zip(derivatives(one, x, one), derivatives(one, x, lambda x: in_torchs_words(one, x)), strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)


def test_the_gradients_of_all_three_products_are_those_of_small_steps():
    y, w, x = (torch.randn(*shape, dtype=torch.float64) for shape in ((1, 2, 2, 1, 2), (2, 1, 4, 4, 4), (1, 1, 4, 2, 4)))
    for product, pair in ((patches.convolved, (x, w)), (patches.transposed, (y, w)), (patches.correlated, (x, y))):
        inputs = [one.requires_grad_() for one in pair]
        assert torch.autograd.gradcheck(product, inputs, fast_mode=True)
        assert torch.autograd.gradgradcheck(product, inputs, fast_mode=True)


@UP
def test_an_end_of_one_channel_is_added_up_and_many_weights_are_multiplied(up, monkeypatch):
    seen = ways(monkeypatch)
    for channels, expected in (((5, 1), {"added_up"}), ((96, 160), {"added_up", "patches"}), ((5, 2), set())):
        seen.clear()
        one, x = layer(channels, up), given(channels, up).requires_grad_()
        one(x).sum().backward()
        assert set(seen) == expected


def test_many_weights_are_many_only_beside_few_places(monkeypatch):
    seen, one = ways(monkeypatch), layer((96, 160), False)
    one(given((96, 160), False, n=3))
    assert seen == []


@BOTH
@UP
def test_a_weight_that_is_laid_out_plainly_is_convolved_by_torch_to_the_bit(channels, up, monkeypatch):
    seen = ways(monkeypatch)
    one, x = layer(channels, up, fast=False), given(channels, up)
    assert torch.equal(one(x), in_torchs_words(one, x))
    assert seen == []


@pytest.mark.parametrize("settings", [(3, 2, 1), (4, 2, 0), (4, 1, 1), (4, 4, 1)], ids=str)
def test_other_kernels_are_torchs(settings, monkeypatch):
    seen = ways(monkeypatch)
    one = CONV[3](1, 5, *settings).to(memory_format=CHANNELS_LAST[3])
    other = CONV_TRANSPOSE[3](5, 1, *settings).to(memory_format=CHANNELS_LAST[3])
    x, y = torch.randn(2, 1, 6, 6, 6), torch.randn(2, 5, 3, 3, 3)
    torch.testing.assert_close(one(x), conv3d(x, one.weight, one.bias, *settings[1:]))
    torch.testing.assert_close(other(y), conv_transpose3d(y, other.weight, other.bias, *settings[1:]))
    assert seen == []


def test_odd_sides_are_halved_by_torch(monkeypatch):
    seen, one = ways(monkeypatch), layer((5, 1), False)
    x = torch.randn(1, 1, 5, 6, 8, dtype=torch.float64)
    for mine, theirs in zip(derivatives(one, x, one), derivatives(one, x, lambda x: in_torchs_words(one, x)), strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)
    assert seen == []


def test_a_single_point_is_widened_by_one_product(monkeypatch):
    seen = ways(monkeypatch)
    torch.manual_seed(0)
    one = CONV_TRANSPOSE[3](7, 3, (4, 5, 6)).double().to(memory_format=CHANNELS_LAST[3])
    z = torch.randn(2, 7, 1, 1, 1, dtype=torch.float64)
    for mine, theirs in zip(derivatives(one, z, one), derivatives(one, z, lambda x: in_torchs_words(one, x)), strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)
    assert set(seen) == {"from_points"}


def test_added_up_ones_count_how_many_patches_reach_a_place():
    """Along an axis of two patches: places 0 and 3 lie in one, places 1 and 2 in both; in space the counts multiply."""
    counts = torch.tensor([1.0, 2, 2, 1])
    found = patches.added_up(torch.ones(4, 4, 4, 1, 2, 2, 2, 1))
    assert torch.equal(found[0, 0], counts[:, None, None] * counts[:, None] * counts)


def test_adding_up_is_the_reverse_of_reading_patches():
    """⟨patches(x), p⟩ = ⟨x, added_up(p)⟩ for all x and p."""
    x, p = torch.randn(2, 3, *LARGE, dtype=torch.float64), torch.randn(4, 4, 4, 2, *HALF, 3, dtype=torch.float64)
    there = (patches.patches(x) * p.permute(3, 4, 5, 6, 0, 1, 2, 7).flatten(4).flatten(0, 3)).sum()
    torch.testing.assert_close(there, (x * patches.added_up(p)).sum(), **CLOSE)


@BOTH
@UP
def test_in_bf16_they_are_as_near_as_bf16_is(channels, up):
    one, x = layer(channels, up).float(), given(channels, up).float()
    with torch.autocast("cpu", torch.bfloat16):
        made = one(x)
    assert made.dtype == torch.bfloat16
    exact = in_torchs_words(one, x)
    assert (made.float() - exact).norm() < 0.01 * exact.norm()


@UP
def test_spectral_norm_moves_its_vectors_once_in_a_pass(up):
    vectors = []
    for fast in (True, False):
        one = nn.Sequential(layer((5, 1), up, fast=False))
        bound_spectra(one)
        one = one.to(memory_format=CHANNELS_LAST[3]) if fast else one
        one(given((5, 1), up))
        vectors.append(one[0].parametrizations.weight[0]._u)
    torch.testing.assert_close(*vectors, **CLOSE)


SHAPE = (1, 16, 32, 16)
PAIRS = {
    "3D-GAN": (DCGANGenerator(SHAPE, 5, width=3), DCGANDiscriminator(SHAPE, width=3, norm="none")),
    "article 0": (ArticleGenerator(SHAPE, 5, width=3), ArticleDiscriminator(SHAPE, width=3)),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=list(PAIRS))
def test_a_network_of_voxels_has_the_same_weights_and_numbers_both_ways(pair, monkeypatch):
    seen, z = ways(monkeypatch), torch.randn(3, 5, dtype=torch.float64)
    found = []
    for layout in (torch.contiguous_format, CHANNELS_LAST[3]):
        torch.manual_seed(0)
        g, d = (part.build().double().to(memory_format=layout) for part in pair)
        x = g(z, None, None)
        d(x, None, None).logits.square().mean().backward()
        names = [name for net in (g, d) for name, _ in net.named_parameters()]
        found.append([x, *[p.grad for net in (g, d) for p in net.parameters()]])
        assert names == [name for net in (part.build() for part in pair) for name, _ in net.named_parameters()]
        assert bool(seen) is (layout is CHANNELS_LAST[3])
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, **CLOSE)


def test_the_slope_that_is_written_out_is_autograds_through_the_products():
    torch.manual_seed(0)
    d = PAIRS["3D-GAN"][1].build().double().to(memory_format=CHANNELS_LAST[3])
    x = torch.randn(2, *SHAPE, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(d(x, None, None).logits.sum(), x, create_graph=True)[0]
    explicit = d.slope(x, None, None)
    torch.testing.assert_close(explicit, slope, **CLOSE)
    penalties = [torch.autograd.grad(one.square().sum(), list(d.parameters()), allow_unused=True) for one in (slope, explicit)]
    for a, b in zip(*penalties, strict=True):
        torch.testing.assert_close(torch.zeros(()).double() if a is None else a.sum(), torch.zeros(()).double() if b is None
                                   else b.sum(), **CLOSE)  # fmt: skip


def test_a_weight_average_goes_the_same_way_as_its_network(monkeypatch):
    seen, net = ways(monkeypatch), PAIRS["3D-GAN"][0].build().to(memory_format=CHANNELS_LAST[3])
    twin = copy.deepcopy(net).eval()
    twin(torch.randn(2, 5), None, None)
    assert {"added_up", "from_points"} <= set(seen)
