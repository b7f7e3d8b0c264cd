"""A convolution beside a halving or a doubling: computed as one convolution, it is still the pair."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gansaku.networks import resampling
from gansaku.networks.blocks import CHANNELS_LAST, CONV, bound_spectra
from gansaku.networks.resampling import Doubling, Halving, fast, spread_kernel

SPACES = [(8, 12), (10, 8), (8, 8, 10)]
BOTH = pytest.mark.parametrize("kind", [Halving, Doubling], ids=["halving", "doubling"])


def twins(kind, space, spectral=False):
    """One layer with its weight laid out plainly, the other with channels last, and a batch."""
    dims, layers = len(space), []
    for layout in (torch.contiguous_format, CHANNELS_LAST[dims]):
        torch.manual_seed(0)
        layer = kind(dims, 3, 5).double()
        if spectral:
            bound_spectra(layer)
        layers.append(layer.to(memory_format=layout))
    return *layers, torch.randn(2, 3, *space, dtype=torch.float64)


def counted(monkeypatch):
    """The sides of the kernels that are convolved with from now on."""
    sides = []
    for table in (resampling.CONVOLVED, resampling.TRANSPOSED):
        for dims, convolve in list(table.items()):

            def noting(x, weight, *rest, convolve=convolve, **more):
                sides.append(weight.shape[2])
                return convolve(x, weight, *rest, **more)

            monkeypatch.setitem(table, dims, noting)
    return sides


def pair(kind, conv, x):
    """In torch's own words."""
    if kind is Doubling:
        return conv(nn.Upsample(scale_factor=2)(x))
    return {4: functional.avg_pool2d, 5: functional.avg_pool3d}[x.ndim](conv(x), 2)


def gradients(layer, made):
    return torch.autograd.grad(made.sin().sum(), list(layer.parameters()))


@BOTH
@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("spectral", [False, True], ids=["plain weights", "spectral norm"])
class TestBothWays:
    def test_give_the_same_values_and_weight_gradients_as_the_pair(self, kind, space, spectral, monkeypatch):
        plain, quick, x = twins(kind, space, spectral)
        sides = counted(monkeypatch)
        made = [plain(x), quick(x)]
        assert sides == [3, 4]
        monkeypatch.undo()
        twin = twins(kind, space, spectral)[0]
        wanted = pair(kind, twin.conv, x)
        assert made[0].shape == made[1].shape == wanted.shape
        for layer, result in zip((plain, quick), made, strict=True):
            torch.testing.assert_close(result, wanted, rtol=1e-12, atol=1e-12)
            for found, right in zip(gradients(layer, result), gradients(twin, pair(kind, twin.conv, x)), strict=True):
                if not spectral:  # its vectors have moved once more here
                    torch.testing.assert_close(found, right, rtol=1e-11, atol=1e-11)
        for found, right in zip(gradients(plain, plain(x)), gradients(quick, quick(x)), strict=True):
            torch.testing.assert_close(found, right, rtol=1e-11, atol=1e-11)

    def test_keep_a_weight_of_three_by_three_whose_norm_is_bounded(self, kind, space, spectral):
        _, quick, x = twins(kind, space, spectral)
        held = [p for p in quick.parameters() if p.ndim > 1]
        assert [tuple(p.shape[2:]) for p in held] == [(3,) * len(space)]
        if spectral:
            for _ in range(200):
                quick(x)
            quick.eval()
            exact = held[0] / torch.linalg.matrix_norm(held[0].flatten(1), 2)
            torch.testing.assert_close(quick.conv.weight, exact, rtol=1e-6, atol=1e-10)


@BOTH
def test_the_gradient_by_x_and_its_gradient_are_those_of_the_pair(kind):
    plain, quick, x = twins(kind, (8, 8))
    found = []
    for layer in (plain, quick):
        point = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layer(point).sin().sum(), point, create_graph=True)
        found.append((slope, *torch.autograd.grad(slope.square().sum(), layer.conv.weight)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@BOTH
def test_spectral_norm_moves_once_in_a_pass(kind):
    plain, quick, x = twins(kind, (8, 8), spectral=True)
    plain(x)
    quick(x)
    vectors = [layer.conv.parametrizations.weight[0]._u for layer in (plain, quick)]
    torch.testing.assert_close(*vectors, rtol=1e-12, atol=1e-12)


def test_small_maps_are_doubled_the_plain_way(monkeypatch):
    _, quick, x = twins(Doubling, (4, 8))
    sides = counted(monkeypatch)
    quick(x)
    assert sides == [3]


@pytest.mark.parametrize("dims", [2, 3])
def test_only_a_weight_with_channels_last_asks_for_the_fast_way(dims):
    conv = CONV[dims](4, 4, 3)
    assert not fast(conv.weight)
    assert fast(conv.to(memory_format=CHANNELS_LAST[dims]).weight)


def test_the_spread_kernel_of_ones_counts_how_often_a_place_is_read():
    """Once at the corners, twice along the edges, four times inside."""
    assert spread_kernel(torch.ones(1, 1, 3, 3))[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


@BOTH
def test_voxels_in_bf16_come_out_alike_both_ways(kind):
    plain, quick, x = twins(kind, (2, 4, 8))
    made = []
    for layer in (plain, quick):
        with torch.autocast("cpu", torch.bfloat16):
            made.append(layer.float()(x.float()).float())
    torch.testing.assert_close(*made, rtol=0.05, atol=0.05)
