"""BigGAN's pair: the parameter counts that the source's own log prints, and a slow version of what a block is told."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from gansaku.errors import RecipeError
from gansaku.networks.biggan import BigGANDiscriminator, BigGANGenerator
from gansaku.networks.conditional import ConditionalBatchNorm
from gansaku.networks.residual import Up
from gansaku.recipes.biggan import TABLES

SHAPES = [(3, 16, 8), (1, 8, 16, 8)]
LABELS = torch.tensor([2, 0, 1])


def counted(part):
    return sum(p.numel() for p in part.build().parameters())


def test_the_pair_for_32_px_and_ten_classes_has_the_parameters_of_the_sources_log():
    """PyTorch-StudioGAN, logs/CIFAR10/BigGAN-train-2021_01_15_14_48_48.log: 9416196 and 2415170."""
    assert counted(BigGANGenerator((3, 32, 32), 10)) == 9_416_196
    assert counted(BigGANDiscriminator((3, 32, 32), 10)) == 2_415_170


def conv(inside, outside, kernel=3):
    return inside * outside * kernel**2 + outside


def attention(channels):
    return 2 * channels * (channels // 8) + 2 * channels * (channels // 2) + 1


@pytest.mark.parametrize("size", TABLES)
def test_the_parameters_are_those_of_the_sources_layers(size):
    """Its tables by hand, at a width that is quickly built."""
    table, width = TABLES[size], 8
    shape, code, chunk, g_at, d_at = (3, size, size), 128, 20, *table.attention
    assert table.latent == chunk * len(table.generator)
    g = [width * multiple for multiple in table.generator]
    generator = (chunk + 1) * 16 * g[0] + 10 * code + 2 * g[-1] + conv(g[-1], 3) + attention(g[g_at])
    for a, b in pairwise(g):
        generator += conv(a, b) + conv(b, b) + conv(a, b, 1) + 2 * (code + chunk) * (a + b)
    d = [3, *[width * multiple for multiple in table.discriminator]]
    discriminator = 11 * d[-1] + 1 + attention(d[d_at])
    for i, (a, b) in enumerate(pairwise(d)):
        discriminator += conv(a, b) + conv(b, b) + (conv(a, b, 1) if i < table.halvings or a != b else 0)
    made = BigGANGenerator(shape, 10, table.latent, code, width, table.generator, g_at)
    judging = BigGANDiscriminator(shape, 10, width, table.discriminator, table.halvings, d_at)
    assert counted(made) == generator
    assert counted(judging) == discriminator


def built(part):
    torch.manual_seed(0)
    return part.build().double()


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestThePair:
    def test_each_block_is_told_its_chunk_of_z_beside_the_one_embedding(self, shape):
        net, told = built(BigGANGenerator(shape, 3, 6, code=5, width=4, multiples=(2, 2, 1), attention=1)), []
        for module in net.modules():
            if isinstance(module, ConditionalBatchNorm):
                module.register_forward_hook(lambda module, given, made: told.append(given[1]))
        first = []
        net.stem.register_forward_hook(lambda module, given, made: first.append(given[0]))
        z = noise(3, 6)
        made = net(z, LABELS, None)
        assert made.shape == (3, *shape)
        assert torch.equal(first[0], z[:, :2])
        code = net.embedding.weight[LABELS]
        wanted = [torch.cat([code, z[:, 2 * i : 2 * i + 2]], 1) for i in (1, 1, 2, 2)]
        assert [torch.equal(a, b) for a, b in zip(told, wanted, strict=True)] == [True] * 4

    def test_the_gradient_reaches_every_weight(self, shape):
        generator = built(BigGANGenerator(shape, 3, 6, code=5, width=8, multiples=(2, 2, 1), attention=1))
        discriminator = built(BigGANDiscriminator(shape, 3, 8, (1, 2, 2), halvings=2, attention=2))
        for network in (generator, discriminator):
            nn.init.constant_(network.get_parameter(next(n for n, _ in network.named_parameters() if "gamma" in n)), 0.7)
        discriminator(generator(noise(3, 6), LABELS, None), LABELS, None).logits.square().sum().backward()
        for network in (generator, discriminator):
            assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []

    def test_both_read_the_label(self, shape):
        generator = built(BigGANGenerator(shape, 3, 6, code=5, width=4, multiples=(2, 2, 1), attention=0)).eval()
        discriminator = built(BigGANDiscriminator(shape, 3, 4, (1, 2), halvings=1, attention=0)).eval()
        z, x, other = noise(3, 6), noise(3, *shape), (LABELS + 1) % 3
        assert not torch.equal(generator(z, LABELS, None), generator(z, other, None))
        verdict = discriminator(x, LABELS, None)
        assert verdict.logits.shape == (3, 1)
        assert verdict.features.shape == (3, 8)
        assert not torch.equal(verdict.logits, discriminator(x, other, None).logits)


def test_a_block_of_d_has_as_many_channels_between_its_convolutions_as_come_out():
    blocks = list(BigGANDiscriminator((3, 16, 16), 3, 4, (1, 2, 4), halvings=2, attention=0).build().layers.blocks)
    convolutions = [[m for m in block.main.modules() if isinstance(m, nn.Conv2d)] for block in blocks]
    assert [[m.weight.shape[0] for m in pair] for pair in convolutions] == [[4, 4], [8, 8], [16, 16]]


def test_weights_start_orthogonal_and_spectral_norm_leaves_the_shared_embedding_alone():
    torch.manual_seed(0)
    net = BigGANGenerator((3, 16, 16), 3, 6, code=5, width=8, multiples=(2, 2, 1), attention=1).build()
    original = {name: p for name, p in net.named_parameters() if p.ndim > 1}
    for name, p in original.items():
        matrix = p.flatten(1)
        matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        gram = matrix @ matrix.T
        torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5, msg=name)
    layers = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert all(map(parametrize.is_parametrized, layers))
    assert not parametrize.is_parametrized(net.embedding)
    assert len(layers) == 1 + 1 + 4 + sum(3 + 4 for m in net.modules() if isinstance(m, Up))


def test_gains_are_around_one_whatever_the_code():
    """1 + linear(code): with a code of zeros the norm is plain."""
    net = built(BigGANGenerator((3, 16, 16), 3, 6, code=5, width=4, multiples=(2, 2, 1), attention=0))
    norm, x = net.layers.blocks[0].first, noise(4, 8, 4, 4) + 3
    plain = norm(x, torch.zeros(4, 7, dtype=torch.float64))
    assert plain.mean().item() == pytest.approx(0, abs=1e-9)
    assert plain.var(unbiased=False).item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BigGANGenerator((3, 32, 32), 10, latent=81), "81 cannot be cut into 4 equal chunks; 80 can"),
        (lambda: BigGANGenerator((3, 32, 32), 10, latent=2), "2 cannot be cut into 4 equal chunks; 4 can"),
        (lambda: BigGANGenerator((3, 32, 32), 0), "0 is no number of classes; use 1 or more"),
        (lambda: BigGANGenerator((3, 32, 32), 10, code=0), "0 is no number of values"),
        (lambda: BigGANGenerator((3, 32, 32), 10, attention=4), "there are 3 doublings, and none is number 4"),
        (lambda: BigGANGenerator((3, 36, 32), 10), "must be multiples of 8"),
        (lambda: BigGANDiscriminator((3, 32, 32), 0), "0 is no number of classes"),
        (lambda: BigGANDiscriminator((3, 32, 32), 10, halvings=0), "0 of 4 blocks cannot halve"),
    ],
)
def test_what_cannot_be_built_is_refused(make, says):
    with pytest.raises(RecipeError, match=says):
        make()
