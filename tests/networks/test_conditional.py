"""Conditional batch normalization and the projection discriminator, against their formulas."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from gansaku import ranks
from gansaku.networks.blocks import BatchNorm, bound_spectra
from gansaku.networks.conditional import Projection, Standardization, bound_projections, class_wise, code_wise

SPACES = [(5, 3), (2, 3, 4)]
LABELS = torch.tensor([0, 2, 2, 1])


def samples(space, channels=3):
    return torch.randn(4, channels, *space, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 + 1


def standardized(x):
    """Channel by channel, over samples and places."""
    columns = x.transpose(0, 1).flatten(1)
    mean, variance = columns.mean(1), columns.var(1, unbiased=False)
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (x - mean.view(shape)) / (variance + 1e-5).sqrt().view(shape)


@pytest.mark.parametrize("space", SPACES, ids=str)
class TestConditionalBatchNorm:
    def test_takes_gain_and_bias_of_each_samples_class(self, space):
        norm, x = class_wise(3, 4).double(), samples(space)
        nn.init.normal_(norm.bias.weight)
        made = norm(x, LABELS)
        for i, label in enumerate(LABELS.tolist()):
            for c in range(3):
                gain, bias = 1 + norm.gain.weight[label, c], norm.bias.weight[label, c]
                torch.testing.assert_close(made[i, c], gain * standardized(x)[i, c] + bias, rtol=1e-10, atol=1e-12)

    def test_takes_gain_and_bias_linear_in_a_code(self, space):
        torch.manual_seed(0)
        norm, x, code = code_wise(3, 5).double(), samples(space), torch.randn(4, 5, dtype=torch.float64)
        gain, bias = 1 + code @ norm.gain.weight.T, code @ norm.bias.weight.T
        shape = (4, 3, *[1] * len(space))
        wanted = gain.view(shape) * standardized(x) + bias.view(shape)
        torch.testing.assert_close(norm(x, code), wanted, rtol=1e-10, atol=1e-12)

    def test_is_plain_batch_norm_where_all_classes_are_alike(self, space):
        norm, plain, x = class_wise(3, 4).double(), BatchNorm(3).double(), samples(space)
        nn.init.zeros_(norm.gain.weight)
        torch.testing.assert_close(norm(x, LABELS), plain(x), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(norm.norm.running_var, plain.running_var)
        torch.testing.assert_close(norm.eval()(2 * x, LABELS), plain.eval()(2 * x), rtol=1e-12, atol=1e-12)

    def test_over_ranks_is_the_norm_of_all_their_samples(self, space, monkeypatch):
        """Two ranks with the same rows have the mean and variance of one."""
        one, two, x = class_wise(3, 4).double(), class_wise(3, 4).double(), samples(space)
        two.load_state_dict(one.state_dict())
        wanted = one(x, LABELS)
        monkeypatch.setattr(ranks, "count", lambda: 2)
        monkeypatch.setattr(ranks, "total", lambda values: 2 * values)
        torch.testing.assert_close(two(x, LABELS), wanted, rtol=1e-10, atol=1e-12)


def test_standardization_learns_and_stores_nothing_but_its_statistics():
    norm = Standardization(3)
    assert list(norm.parameters()) == []
    assert norm.state_dict().keys() == {"running_mean", "running_var", "num_batches_tracked"}
    assert norm.double().bias.dtype == torch.float64


def test_classes_start_with_gains_around_one_and_no_bias():
    torch.manual_seed(0)
    norm = class_wise(64, 100)
    assert norm.gain.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert norm.gain.weight.mean().item() == pytest.approx(0, abs=0.001)
    assert norm.bias.weight.abs().max() == 0


def test_conditional_batch_norm_answers_in_the_precision_it_is_asked_in():
    norm = class_wise(3, 4)
    assert norm(samples((4, 4)).bfloat16(), LABELS).dtype == torch.bfloat16


def test_the_projection_adds_the_product_with_the_classs_embedding():
    torch.manual_seed(0)
    head, h = Projection(6, 3).double(), torch.randn(4, 6, dtype=torch.float64)
    for i, label in enumerate(LABELS.tolist()):
        wanted = (head.linear.weight[0] + head.embedding.weight[label]) @ h[i] + head.linear.bias[0]
        torch.testing.assert_close(head(h, LABELS)[i, 0], wanted, rtol=1e-12, atol=1e-12)


def test_a_projection_without_classes_is_linear_and_needs_no_labels():
    head, h = Projection(6, 0), torch.randn(4, 6)
    assert torch.equal(head(h, None), head.linear(h))
    assert head(h, None).shape == (4, 1)


def test_spectral_norm_bounds_the_embedding_of_a_projection_and_of_nothing_else():
    torch.manual_seed(0)
    network = nn.ModuleList([Projection(6, 3), class_wise(4, 3)]).double()
    before = network[0].embedding.weight.detach().clone()
    bound_spectra(network)
    bound_projections(network)
    for _ in range(200):
        network[0](torch.randn(4, 6, dtype=torch.float64), LABELS)
    network.eval()
    wanted = before / torch.linalg.matrix_norm(before, 2)
    torch.testing.assert_close(network[0].embedding.weight, wanted, rtol=1e-6, atol=0)
    assert parametrize.is_parametrized(network[0].linear)
    assert not any(parametrize.is_parametrized(m) for m in network[1].modules())
