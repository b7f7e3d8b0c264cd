"""Directions by closed-form factorization: the singular vectors of what z enters, found without a network saying so."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize, one_hot
from torch.nn.utils.parametrizations import spectral_norm

from gansaku.contract import Phase
from gansaku.errors import UsageError
from gansaku.evaluation.directions import deviation, directions, moved, unrelated
from gansaku.latents import Gaussian, Sphere, Uniform
from gansaku.networks.biggan import BigGANGenerator
from gansaku.networks.dcgan import DCGANGenerator
from gansaku.networks.r3gan import R3GANGenerator
from gansaku.networks.sngan import SNGANGenerator

F64, Z, PHASE = torch.float64, 5, Phase((8, 8))


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


class Made(nn.Module):
    """A generator in a line: what it makes of z is `forward`, given as a function of its layers."""

    def __init__(self, how, **layers):
        super().__init__()
        self.how, self.layers = how, nn.ModuleDict(layers).double()

    def forward(self, z, labels, phase):
        return self.how(self.layers, z, labels)


def linear(inside, outside, seed=0):
    layer = nn.Linear(inside, outside).double()
    with torch.no_grad():
        layer.weight[:] = random(outside, inside, seed=seed)
    return layer


def found(generator, prior=None, label=0):
    return directions(generator, prior or Gaussian(Z), label, PHASE, "run")


def check(answer, matrix):
    """The right singular vectors of A and its squared singular values, up to the sign of each vector."""
    singular, rows = torch.linalg.svd(matrix.detach().double())[1:]
    values = torch.cat([singular.square(), torch.zeros(len(rows) - len(singular), dtype=F64)])
    torch.testing.assert_close(answer.eigenvalues, values, atol=1e-10, rtol=1e-10)
    alike = (answer.vectors * rows).sum(1).abs()[: len(singular)]
    torch.testing.assert_close(alike, torch.ones_like(alike), atol=1e-8, rtol=0)
    torch.testing.assert_close(answer.vectors @ answer.vectors.T, torch.eye(len(rows), dtype=F64), atol=1e-10, rtol=0)


# Known answers


@pytest.mark.parametrize("outside", [12, 3], ids=["more rows than values of z", "fewer"])
def test_of_a_linear_map_they_are_its_right_singular_vectors(outside):
    layer = linear(Z, outside)
    generator = Made(lambda layers, z, labels: layers["first"](z).tanh(), first=layer)
    answer = found(generator)
    check(answer, layer.weight)
    assert answer.layers == ("layers.first",)


def test_the_largest_value_of_each_is_positive():
    vectors = found(Made(lambda layers, z, labels: layers["first"](z), first=linear(Z, 9))).vectors
    assert (vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) > 0).all()


def test_of_a_transposed_convolution_every_place_counts():
    layer = nn.ConvTranspose2d(Z, 4, 3).double()
    generator = Made(lambda layers, z, labels: layers["first"](z[:, :, None, None]).relu(), first=layer)
    check(found(generator), layer.weight.flatten(1).T)


def test_a_bounded_layer_counts_as_it_is_used():
    layer = spectral_norm(linear(Z, 9))
    answer = found(Made(lambda layers, z, labels: layers["first"](z), first=layer).eval())
    check(answer, layer.weight)
    assert answer.eigenvalues[0].item() == pytest.approx(1, rel=0.05)


def test_a_label_beside_z_has_no_direction():
    layer = linear(Z + 3, 12)

    def how(layers, z, labels):
        return layers["first"](torch.cat([z, one_hot(labels, 3).double()], 1)).relu()

    for label in (0, 2):
        check(found(Made(how, first=layer), label=label), layer.weight[:, :Z])


def test_a_gain_of_the_class_counts_for_that_class():
    layer, gains = linear(Z, 12), random(3, Z, seed=4)
    generator = Made(lambda layers, z, labels: layers["first"](z * gains[labels]), first=layer)
    for label in (0, 2):
        check(found(generator, label=label), layer.weight * gains[label])


def test_the_layers_that_z_enters_are_taken_together():
    """A hierarchical latent, as BigGAN's: one chunk into the first layer, one beside the label into a gain."""
    first, gain, last = linear(2, 4), linear(3 + 1, 4, seed=1), linear(4, 6, seed=2)

    def how(layers, z, labels):
        code = torch.cat([labels[:, None].double(), z[:, 2:]], 1)
        return layers["last"](layers["first"](z[:, :2]).relu() * layers["gain"](code))

    answer = found(Made(how, first=first, gain=gain, last=last), label=1)
    whole = torch.zeros(8, Z, dtype=F64)
    whole[:4, :2], whole[4:, 2:] = first.weight.detach(), gain.weight[:, 1:].detach()
    check(answer, whole)
    assert answer.layers == ("layers.first", "layers.gain")


def test_where_z_stands_beside_later_features_their_change_is_not_counted():
    first, second = linear(Z, 4), linear(4 + Z, 6, seed=1)

    def how(layers, z, labels):
        return layers["second"](torch.cat([layers["first"](z).relu(), z], 1))

    check(found(Made(how, first=first, second=second)), torch.cat([first.weight, second.weight[:, 4:]]))


def test_a_layer_that_is_used_twice_counts_twice():
    layer = linear(Z, 6)
    generator = Made(lambda layers, z, labels: layers["first"](z) * layers["first"](z.flip(1)), first=layer)
    answer = found(generator)
    check(answer, torch.cat([layer.weight, layer.weight.flip(1)]))
    assert answer.layers == ("layers.first", "layers.first (2)")


@pytest.mark.parametrize(
    ("part", "layers"),
    [
        (DCGANGenerator((1, 8, 8, 16), Z, width=4), 1),
        (SNGANGenerator((3, 8, 8), Z, width=4, multiples=(1, 1), classes=2, spectral=True), 1),
        (R3GANGenerator((3, 8, 8), Z, widths=(8, 8), group=4, classes=2), 1),
        (BigGANGenerator((3, 8, 8), 2, Z + 1, code=3, width=8, multiples=(1, 1), attention=0), 1 + 4),
    ],
    ids=lambda part: type(part).__name__,
)
def test_the_layers_that_z_enters_are_found_in_real_networks(part, layers):
    torch.manual_seed(0)
    generator = part.build()
    answer = directions(generator, Gaussian(part.latent), 1, Phase(part.shape[1:]))
    assert len(answer.layers) == layers
    assert (answer.eigenvalues > 0).all()
    assert not any(module._forward_hooks for module in generator.modules())
    assert (generator.training, all(p.requires_grad for p in generator.parameters())) == (True, True)


# Where there is no closed form


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda layers, z, labels: normalize(layers["first"](normalize(z))), "changes z on its way to .*, and not linearly"),
        (lambda layers, z, labels: layers["first"](z.square()), "changes z on its way to .*, and not linearly"),
        (lambda layers, z, labels: layers["first"](z) + z.sum(1, keepdim=True), "and also past every linear layer"),
        (lambda layers, z, labels: z * 2, "has no layer that z enters; it may be in one of another kind"),
        (lambda layers, z, labels: layers["first"](torch.ones_like(z)), "has no layer that z enters \\["),
    ],
)
def test_a_network_without_a_closed_form_is_refused(how, says):
    with pytest.raises(UsageError, match=says):
        found(Made(how, first=linear(Z, 6)))


# On the way


def test_latents_move_along_each_direction_and_stay_where_the_prior_has_them():
    z, vectors = torch.zeros(2, 3), torch.eye(3, dtype=F64)[:2]
    z[1] = 0.5
    way = moved(z, vectors, (-1.0, 0.0, 2.0), Gaussian(3))
    assert way.shape == (2, 2, 3, 3)
    torch.testing.assert_close(way[:, :, 1], z.expand(2, 2, 3))
    torch.testing.assert_close(way[1, 1], torch.tensor([[0.5, -0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 2.5, 0.5]]))
    assert moved(z, vectors, (-1.0, 0.0, 2.0), Uniform(3)).abs().max() == 1
    lengths = moved(z[1:], vectors, (-1.0, 0.0, 2.0), Sphere(3)).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 3**0.5))


def test_random_directions_are_orthonormal_and_always_the_same():
    rows = unrelated(16, 8, seed=1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(8, dtype=F64))
    assert torch.equal(rows, unrelated(16, 8, seed=1))
    assert not torch.equal(rows, unrelated(16, 8, seed=2))
    lengths = unrelated(3, 8, seed=1).norm(dim=1)  # more than there are dimensions
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize(("prior", "value"), [(Gaussian(64, 0.33), 0.33), (Uniform(64, 2.0), 2 / 3**0.5), (Sphere(64), 1.0)])
def test_the_deviation_of_a_latent_value_is_that_of_its_prior(prior, value):
    assert deviation(prior) == pytest.approx(value, rel=0.01)
