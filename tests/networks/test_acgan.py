"""ACGAN's pair: the layer list of the paper's table, counted by hand, in two and three dimensions and for any classes."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from gansaku.contract import Phase
from gansaku.errors import RecipeError
from gansaku.networks.acgan import ACGANDiscriminator, ACGANGenerator, Noise

SHAPES = [(3, 32, 32), (1, 16, 24), (1, 8, 16, 8), (2, 16, 8, 8)]
PHASE = Phase((0,))


def count(network):
    return sum(p.numel() for p in network.build().parameters())


def test_the_generators_parameters_are_those_of_its_layers():
    """Linear 110 → 384 · 4 · 4; transposed 5 × 5: 384 → 192 → 96 → 3, each with biases; batch norm on 192 and 96."""
    linear = 110 * 6144 + 6144
    transposed = (384 * 192 * 25 + 192) + (192 * 96 * 25 + 96) + (96 * 3 * 25 + 3)
    assert count(ACGANGenerator((3, 32, 32), 10)) == linear + transposed + 2 * (192 + 96) == 2_994_051


def test_the_discriminators_parameters_are_those_of_its_layers():
    """3 × 3 convolutions 3 → 16 → 32 → 64 → 128 → 256 → 512 with biases, batch norm on all but the first, 8192 → 1 + 10."""
    widths = [3, 16, 32, 64, 128, 256, 512]
    convolutions = sum(9 * a * b + b for a, b in pairwise(widths))
    heads = 11 * (512 * 4 * 4) + 11
    assert count(ACGANDiscriminator((3, 32, 32), 10)) == convolutions + 2 * sum(widths[2:]) + heads == 1_664_875


def test_every_other_convolution_halves_and_dropout_follows_each():
    kinds = [m for m in ACGANDiscriminator((3, 32, 32), 10).build().modules() if not list(m.children())]
    convolutions = [m for m in kinds if isinstance(m, nn.Conv2d)]
    assert [m.stride[0] for m in convolutions] == [2, 1, 2, 1, 2, 1]
    assert [m.p for m in kinds if isinstance(m, nn.Dropout)] == [0.5] * 6
    assert [m.deviation for m in kinds if isinstance(m, Noise)] == [0.1] * 6
    assert {m.negative_slope for m in kinds if isinstance(m, nn.LeakyReLU)} == {0.2}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("classes", [1, 5])
class TestThePair:
    def test_makes_samples_in_range_and_judges_them_and_their_class(self, shape, classes):
        torch.manual_seed(0)
        labels = torch.arange(3) % classes
        made = ACGANGenerator(shape, classes, latent=6, width=2).build()(torch.randn(3, 6), labels, PHASE)
        assert made.shape == (3, *shape)
        assert made.abs().max() <= 1
        part = ACGANDiscriminator(shape, classes, width=2)
        verdict = part.build()(made, labels, PHASE)
        assert [tuple(x.shape) for x in verdict] == [(3, 1), (3, classes), (3, part.features)]

    def test_the_gradient_reaches_every_weight_of_both(self, shape, classes):
        torch.manual_seed(0)
        generator = ACGANGenerator(shape, classes, latent=6, width=2).build()
        discriminator = ACGANDiscriminator(shape, classes, width=2).build()
        for network in (generator, discriminator):  # from N(0, 0.02) so narrow a network would pass on next to nothing
            for weight in network.parameters():
                nn.init.normal_(weight, 0.5, 0.5)
        verdict = discriminator(generator(torch.randn(6, 6), torch.arange(6) % classes, PHASE), None, PHASE)
        (verdict.logits.square().sum() + verdict.classes.square().sum()).backward()
        for network in (generator, discriminator):
            weights = {n: p.grad for n, p in network.named_parameters() if p.ndim > 1}  # a bias before batch norm moves nothing
            silent = [n for n, gradient in weights.items() if gradient is None or not gradient.abs().sum() > 0]
            assert silent == []

    def test_the_label_is_a_one_hot_code_beside_z(self, shape, classes):
        """Label k adds the k-th of the last columns of the first layer's weight to what z gives."""
        generator = ACGANGenerator(shape, classes, latent=6, width=2).build().double()
        linear, z, k = generator.stem[0], torch.randn(1, 6, dtype=torch.float64), classes - 1
        seen = []
        linear.register_forward_hook(lambda module, given, made: seen.append(made))
        generator(z, torch.tensor([k]), PHASE)
        wanted = linear.weight[:, :6] @ z[0] + linear.weight[:, 6 + k] + linear.bias
        torch.testing.assert_close(seen[0][0], wanted)


def test_weights_start_from_a_deviation_of_two_hundredths_and_biases_from_zero():
    torch.manual_seed(0)
    for network in (ACGANGenerator((3, 32, 32), 10), ACGANDiscriminator((3, 32, 32), 10)):
        for module in network.build().modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                if module.weight.numel() > 10_000:
                    assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert not module.bias.any()


def test_noise_has_its_deviation_while_training_and_is_gone_afterwards():
    torch.manual_seed(0)
    noise, x = Noise(0.3), torch.full((100, 100), 5.0)
    assert (noise(x) - x).std().item() == pytest.approx(0.3, rel=0.03)
    assert (noise(x) - x).mean().abs().item() < 0.02
    assert torch.equal(noise.eval()(x), x)
    assert torch.equal(Noise(0)(x), x)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: ACGANGenerator((3, 30, 32), 10), "multiples of 8; 30 is none"),
        (lambda: ACGANDiscriminator((3, 32), 10), r"no \(C, H, W\)"),
        (lambda: ACGANGenerator((3, 32, 32), 0), "classes: 0 is no number of classes"),
        (lambda: ACGANDiscriminator((3, 32, 32), -1), "classes: -1 is no number of classes"),
        (lambda: ACGANDiscriminator((3, 32, 32), 10, dropout=1.0), r"dropout: 1 must lie in \[0, 1\)"),
        (lambda: ACGANDiscriminator((3, 32, 32), 10, noise=-0.1), "noise: -0.1 must not be negative"),
    ],
)
def test_settings_out_of_range_are_refused(make, reason):
    with pytest.raises(RecipeError, match=reason):
        make()
