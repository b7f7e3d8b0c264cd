"""Self-attention against loops over places, in two and three dimensions."""

from functools import partial

import pytest
import torch

from gansaku.networks import attention
from gansaku.networks.attention import SelfAttention
from gansaku.networks.blocks import bound_spectra

SPACES = [(4, 6), (2, 4, 6)]


def made(space, channels=16, gamma=0.7):
    torch.manual_seed(0)
    layer = SelfAttention(len(space), channels).double()
    torch.nn.init.constant_(layer.gamma, gamma)
    return layer, torch.randn(2, channels, *space, dtype=torch.float64)


def places(space):
    return list(torch.cartesian_prod(*[torch.arange(side) for side in space]).tolist())


def mapped(conv, vector):
    """A 1 × 1 convolution at one place."""
    return conv.weight.flatten(1) @ vector


def pooled(conv, sample, corner):
    """The largest value of each channel among the 2 × 2 places from a corner on."""
    near = [[c + step for c, step in zip(corner, steps, strict=True)] for steps in places([2] * len(corner))]
    return torch.stack([mapped(conv, sample[(slice(None), *place)]) for place in near]).amax(0)


def slow(layer, x):
    """One place after the other, as the paper writes it."""
    space, result = x.shape[2:], x.clone()
    for sample, out in zip(x, result, strict=True):
        corners = [[2 * c for c in place] for place in places([side // 2 for side in space])]
        keys = [pooled(layer.phi, sample, corner) for corner in corners]
        values = [pooled(layer.g, sample, corner) for corner in corners]
        for place in places(space):
            at = (slice(None), *place)
            query = mapped(layer.theta, sample[at])
            weights = torch.stack([(query * key).sum() for key in keys]).exp()
            seen = sum(w / weights.sum() * value for w, value in zip(weights, values, strict=True))
            out[at] += layer.gamma.detach() * mapped(layer.o, seen)
    return result


@pytest.mark.parametrize("space", SPACES, ids=str)
class TestSelfAttention:
    def test_is_the_identity_at_the_start(self, space):
        layer, x = made(space)
        torch.nn.init.zeros_(layer.gamma)
        assert torch.equal(layer(x), x)
        assert SelfAttention(len(space), 8).gamma.item() == 0

    def test_gives_what_loops_over_all_places_give(self, space):
        layer, x = made(space)
        with torch.no_grad():
            x = x[:1]
            wanted = slow(layer, x)
            assert (wanted - x).abs().max() > 0.01
            torch.testing.assert_close(layer(x), wanted, rtol=1e-12, atol=1e-12)

    def test_has_the_gradient_that_small_steps_show_and_that_gradients_gradient(self, space):
        layer, x = made(space, channels=8)
        small = x[:1, :, ..., :2].requires_grad_()
        layer = layer.requires_grad_(False)
        assert torch.autograd.gradcheck(layer, small, fast_mode=True)
        assert torch.autograd.gradgradcheck(layer, small, fast_mode=True)

    def test_has_the_channels_of_the_source_and_no_biases(self, space):
        shapes = {name: tuple(p.shape[:2]) for name, p in made(space, channels=64)[0].named_parameters() if p.ndim}
        assert shapes == {
            "theta.weight": (8, 64), "phi.weight": (8, 64), "g.weight": (32, 64), "o.weight": (64, 32),
        }  # fmt: skip

    def test_takes_the_spectral_norm_of_all_its_maps(self, space):
        layer, x = made(space)
        bound_spectra(layer)
        for _ in range(100):
            layer(x)
        layer.eval()
        for conv in (layer.theta, layer.phi, layer.g, layer.o):
            assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_a_place_sees_all_others_wherever_they_are():
    """Moving two whole pooled blocks about moves the result with them."""
    layer, x = made((4, 6))
    moved = x.roll((2, 4), (2, 3))
    torch.testing.assert_close(layer(moved), layer(x).roll((2, 4), (2, 3)), rtol=1e-12, atol=1e-12)


def test_in_bf16_it_gives_nearly_the_same():
    layer, x = made((4, 6))
    layer, x = layer.float(), x.float()
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(x)
    torch.testing.assert_close(rough.float(), layer(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("bytes_", [1, 100, 10_000])
def test_some_rows_at_a_time_it_is_the_same_attention_with_the_same_gradients(monkeypatch, bytes_):
    monkeypatch.setattr(attention, "MEGABYTE", bytes_)
    shapes = ((2, 10, 3), (2, 3, 7), (2, 7, 5))
    given = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    toward = torch.randn(2, 10, 5, dtype=torch.float64)
    close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-13)
    close(attention.attended(*given), attention.plainly(*given))
    mine, theirs = (torch.autograd.grad((way(*given) * toward).sum(), given) for way in (attention.attended, attention.plainly))
    for one, other in zip(mine, theirs, strict=True):
        close(one, other)
    assert torch.autograd.gradgradcheck(attention.attended, given, fast_mode=True)


def test_under_autocast_its_inputs_may_be_of_several_types():
    given = [torch.randn(1, 4, 3, requires_grad=True), torch.randn(1, 3, 5).bfloat16().requires_grad_(), torch.randn(1, 5, 2)]
    with torch.autocast("cpu", torch.bfloat16):
        rough, plain = attention.attended(*given), attention.plainly(*given)
    torch.testing.assert_close(rough, plain)
    by_query, by_key = torch.autograd.grad(rough.sum(), given[:2])
    assert (by_query.dtype, by_key.dtype) == (torch.float32, torch.bfloat16)
