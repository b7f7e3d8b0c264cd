"""Spectral norm (Miyato et al. 2018, arXiv:1802.05957, eq. 8) against the singular value decomposition."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from gansaku.networks.blocks import CONV, CONV_TRANSPOSE, bound_spectra
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator

PICTURE, VOXELS = (3, 16, 8), (1, 8, 16, 8)
NETWORKS = {
    "chainer-gan-lib's": (ChainerDiscriminator(PICTURE, width=2, norm="spectral"), PICTURE, 8),
    "chainer-gan-lib's in 3D": (ChainerDiscriminator(VOXELS, width=2, norm="spectral"), VOXELS, 8),
    "DCGAN's discriminator": (DCGANDiscriminator(VOXELS, width=2, norm="spectral"), VOXELS, 2),
    "DCGAN's generator": (DCGANGenerator(VOXELS, latent=6, width=2, norm="spectral"), (6,), 2),
}
LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EVERY = pytest.mark.parametrize(("part", "given", "layers"), NETWORKS.values(), ids=NETWORKS)


def built(part):
    torch.manual_seed(0)
    return part.build().double()


def batch(given):
    return torch.randn(1, *given, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def matrix(module, weight):
    """(out, rest): a transposed convolution holds its weight as (in, out, kernel)."""
    return (weight.transpose(0, 1) if "Transpose" in type(module).__name__ else weight).flatten(1)


def bounded(network):
    """The layers with a bounded weight, with that weight and the one behind it."""
    network.eval()  # looking at a weight in training would move the vectors
    return [(m, m.weight, m.parametrizations.weight.original) for m in network.modules() if parametrize.is_parametrized(m)]


def vectors(network):
    return {name: value.clone() for name, value in network.named_buffers() if name.endswith(("._u", "._v"))}


@EVERY
def test_the_largest_singular_value_of_every_layer_becomes_one(part, given, layers):
    network, x = built(part), batch(given)
    for _ in range(400):  # one iteration a pass; two singular values may lie close together
        network(x, None, None)
    found = bounded(network)
    assert len(found) == layers == sum(isinstance(m, LAYERS) for m in network.modules())
    for module, weight, behind in found:
        assert torch.linalg.svdvals(matrix(module, weight))[0].item() == pytest.approx(1, abs=1e-4)
        exact = behind / torch.linalg.svdvals(matrix(module, behind))[0]
        torch.testing.assert_close(weight, exact, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", ["linear", "convolution", "transposed convolution"])
def test_the_layers_of_every_kind_are_seen_as_out_by_the_rest(dims, kind):
    """One that another reading would bound by another number: the two singular values differ."""
    torch.manual_seed(2)
    makers = {"linear": lambda: nn.Linear(5, 3), "convolution": lambda: CONV[dims](2, 5, 3, padding=1)}
    module = makers.get(kind, lambda: CONV_TRANSPOSE[dims](2, 5, 4))().double()
    before = module.weight.detach().clone()
    x = torch.randn(1, *((5,) if kind == "linear" else (2, *[4] * dims)), dtype=torch.float64)
    bound_spectra(module)
    for _ in range(200):
        module(x)
    module.eval()
    sigma = torch.linalg.svdvals(matrix(module, before))[0]
    torch.testing.assert_close(module.weight, before / sigma, rtol=1e-6, atol=0)
    if kind != "linear":
        other = torch.linalg.svdvals(before.transpose(0, 1).flatten(1) if kind == "convolution" else before.flatten(1))[0]
        assert abs(sigma / other - 1) > 0.01


@EVERY
def test_the_first_pass_is_close_to_it_already(part, given, layers):
    """The vectors start from fifteen iterations on the weights as they are set, not from those of torch's own start."""
    network = built(part)
    network(batch(given), None, None)
    for module, weight, _ in bounded(network):
        assert torch.linalg.svdvals(matrix(module, weight))[0].item() == pytest.approx(1, abs=0.1)


@EVERY
def test_the_vectors_move_in_a_frozen_network_and_rest_in_evaluation(part, given, layers):
    network, x = built(part).requires_grad_(False), batch(given)
    before = vectors(network)
    network(x, None, None)
    after = vectors(network)
    assert len(before) == 2 * layers
    assert [name for name in before if torch.equal(before[name], after[name]) and before[name].numel() > 1] == []
    network.eval()(x, None, None)
    assert all(torch.equal(after[name], value) for name, value in vectors(network).items())


def test_the_gradient_holds_the_vectors_constant():
    """W / σ with σ = uᵀWv: dL/dW = (G - (G·W/σ) uvᵀ) / σ (Miyato et al. 2018, eq. 12)."""
    torch.manual_seed(0)
    module = nn.Linear(5, 3).double()
    bound_spectra(module)
    module.eval()
    x, toward = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    (module(x) * toward).sum().backward()
    how, original = module.parametrizations.weight[0], module.parametrizations.weight.original
    sigma = how._u @ original @ how._v
    direct = toward.T @ x
    expected = (direct - (direct * original / sigma).sum() * torch.outer(how._u, how._v)) / sigma
    torch.testing.assert_close(original.grad, expected, rtol=1e-10, atol=1e-12)
