"""Minibatch discrimination has closed forms, and equals the paper's sums written as loops over single numbers."""

import math

import pytest
import torch

from gansaku.networks.minibatch import MinibatchDeviation, MinibatchDiscrimination

KERNELS, SIZE, FEATURES = 3, 2, 5


def layer(dtype=torch.float64):
    torch.manual_seed(0)
    return MinibatchDiscrimination(FEATURES, KERNELS, SIZE).to(dtype)


def batch(n, dtype=torch.float64):
    return torch.randn(n, FEATURES, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_it_is_the_sum_over_the_other_samples():
    """Salimans et al. 2016, sec. 3.2: oᵢᵦ = Σⱼ exp(-|Mᵢᵦ - Mⱼᵦ|₁), here over j ≠ i; the features stand before it."""
    module, x = layer(), batch(4)
    weight, bias, rows = module.project.weight.tolist(), module.project.bias.tolist(), x.tolist()

    def value(row, k, s):
        """M of one sample at kernel k, place s."""
        out = k * SIZE + s
        return sum(w * v for w, v in zip(weight[out], row, strict=True)) + bias[out]

    expected = []
    for i, mine in enumerate(rows):
        near = []
        for k in range(KERNELS):
            total = 0.0
            for j, other in enumerate(rows):
                if j != i:
                    total += math.exp(-sum(abs(value(mine, k, s) - value(other, k, s)) for s in range(SIZE)))
            near.append(total)
        expected.append([*mine, *near])
    torch.testing.assert_close(module(x), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_collapsed_batch_is_as_near_as_can_be(n):
    """N - 1 in each kernel, so kernels · (N - 1) in all; a sample far from all others has nothing."""
    same = batch(1).expand(n, -1)
    near = layer()(same)[:, FEATURES:]
    torch.testing.assert_close(near, torch.full((n, KERNELS), n - 1.0, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert near.sum(1).tolist() == pytest.approx([KERNELS * (n - 1)] * n, abs=1e-11)
    far = torch.cat([same, 1e4 * torch.ones(1, FEATURES, dtype=torch.float64)])
    assert layer()(far)[-1, FEATURES:].abs().max() < 1e-12
    spread = layer()(batch(n))[:, FEATURES:]
    assert (spread <= n - 1).all()


def test_who_stands_where_in_the_batch_does_not_matter():
    x, order = batch(6), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(layer()(x[order]), layer()(x)[order], rtol=1e-12, atol=1e-14)


def test_a_sample_feels_the_others():
    """The nearness of the first depends on the last sample's features, with a gradient."""
    x = batch(4).requires_grad_()
    (gradient,) = torch.autograd.grad(layer()(x)[0, FEATURES:].sum(), x)
    assert (gradient.abs().sum(1) > 0).all()


def test_its_gradients_are_the_finite_differences():
    module = layer()
    assert torch.autograd.gradcheck(lambda x, w: torch.func.functional_call(module, {"project.weight": w}, x),
                                    (batch(4).requires_grad_(), module.project.weight))  # fmt: skip


def test_in_half_precision_a_distance_is_rounded_once_at_the_end():
    """65 values apart by 81/1024 each: 5.1416 in all, which bf16 would make 5.156, and the nearness 1.5 % less."""
    module, x = MinibatchDiscrimination(1, 1, 65), torch.tensor([[0.0], [1.0]], dtype=torch.bfloat16)
    torch.nn.init.constant_(module.project.weight, 81 / 1024)
    torch.nn.init.zeros_(module.project.bias)
    near = module.bfloat16()(x)[:, 1]
    assert near.dtype == torch.bfloat16
    assert near.tolist() == pytest.approx([math.exp(-65 * 81 / 1024)] * 2, rel=4e-3)


@pytest.mark.parametrize("space", [(2, 3), (2, 3, 2)])
def test_the_deviation_over_the_batch_is_the_mean_of_every_places_own(space):
    x = torch.randn(5, 4, *space, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    places = x.flatten(1).t().tolist()
    deviations = []
    for place in places:
        mean = sum(place) / len(place)
        deviations.append(math.sqrt(sum((v - mean) ** 2 for v in place) / len(place) + 1e-8))
    y = MinibatchDeviation()(x)
    assert y.shape == (5, 5, *space)
    torch.testing.assert_close(y[:, :4], x, rtol=0, atol=0)
    torch.testing.assert_close(y[:, 4], torch.full((5, *space), sum(deviations) / len(places), dtype=torch.float64))


def test_equal_samples_deviate_by_nothing_and_have_a_gradient():
    x = torch.ones(3, 2, 2, 2, requires_grad=True)
    y = MinibatchDeviation()(x)
    y[:, 2].sum().backward()
    assert y[:, 2].max() < 2e-4
    assert x.grad.isfinite().all()
