"""SNGAN's and SAGAN's pair: the sources' parameter counts, and a slow version written step by step."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from gansaku.errors import RecipeError
from gansaku.networks import resampling
from gansaku.networks.sngan import SNGANDiscriminator, SNGANGenerator
from gansaku.recipes.sngan import TABLES

SHAPES = [(3, 16, 8), (1, 8, 16, 8)]
LABELS = torch.tensor([2, 0, 1])


# parameters, counted layer by layer


def conv(inside, outside, kernel=3):
    return inside * outside * kernel**2 + outside


def attention(channels):
    """θ, φ with an eighth, g and o with a half, and γ."""
    return 2 * channels * (channels // 8) + 2 * channels * (channels // 2) + 1


def up(inside, outside, classes=0):
    norms = 2 * (inside + outside) * max(1, classes)
    return conv(inside, outside) + conv(outside, outside) + conv(inside, outside, 1) + norms


def down(inside, outside, halve, first=False):
    hidden = outside if first else inside
    side = conv(inside, outside, 1) if halve or inside != outside else 0
    return conv(inside, hidden) + conv(hidden, outside) + side


def counted(part):
    return sum(p.numel() for p in part.build().parameters())


def pair(size, width=None, classes=0, attending=False):
    """The pair of a table, at another width where one is given."""
    (g, gm), (d, dm), halvings, places = TABLES[size]
    shape = (3, size, size)
    return (
        SNGANGenerator(shape, 128, width or g, gm, classes=classes, attention=places[0] * attending, spectral=attending),
        SNGANDiscriminator(shape, width or d, dm, halvings, classes=classes, attention=places[1] * attending),
    )


def by_hand(generator, discriminator):
    """The parameters of mimicry's layers with these channels."""
    widths = [generator.width * multiple for multiple in generator.multiples]
    judging = [discriminator.width * multiple for multiple in discriminator.multiples]
    g = (
        129 * 16 * widths[0]
        + sum(up(a, b, generator.classes) for a, b in pairwise(widths))
        + 2 * widths[-1]
        + conv(widths[-1], 3)
    )
    halvings, classes = discriminator.halvings, discriminator.classes
    blocks = [down(a, b, i < halvings, first=i == 0) for i, (a, b) in enumerate(pairwise([3, *judging]))]
    d = sum(blocks) + judging[-1] + 1 + classes * judging[-1]
    g += attention(widths[generator.attention]) if generator.attention else 0
    d += attention(judging[discriminator.attention - 1]) if discriminator.attention else 0
    return g, d


@pytest.mark.parametrize("size", TABLES)
@pytest.mark.parametrize(("classes", "attending"), [(0, False), (10, False), (10, True)])
def test_the_parameters_are_those_of_the_sources_layers(size, classes, attending):
    small = pair(size, 8, classes, attending)
    assert tuple(map(counted, small)) == by_hand(*small)


@pytest.mark.parametrize(
    ("size", "plain", "projection", "sagan"),
    [
        (32, (4_276_739, 1_053_825), (4_304_387, 1_055_105), (4_386_308, 1_075_586)),
        (64, (12_220_675, 10_141_441), (12_272_515, 10_151_681), (12_292_996, 10_156_802)),
        (128, (32_150_787, 29_017_857), (32_239_491, 29_028_097), (32_321_412, 29_048_578)),
    ],
)
def test_the_sources_layers_have_so_many_without_labels_with_ten_classes_and_with_attention(size, plain, projection, sagan):
    """The 4.28 M and 1.06 M that others report at 32 px are G without labels and D with ten classes."""
    assert by_hand(*pair(size)) == plain
    assert by_hand(*pair(size, classes=10)) == projection
    assert by_hand(*pair(size, classes=10, attending=True)) == sagan


def test_the_pair_for_32_px_has_as_many_at_its_true_width():
    assert tuple(map(counted, pair(32))) == (4_276_739, 1_053_825)


# a slow version


def run(layer, x):
    """A convolution of any kernel, padded to keep the size."""
    convolve = {4: functional.conv2d, 5: functional.conv3d}[x.ndim]
    return convolve(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def grown(x):
    for axis in range(2, x.ndim):
        x = x.repeat_interleave(2, axis)
    return x


def shrunk(x):
    for axis in range(2, x.ndim):
        x = x.unflatten(axis, (-1, 2)).mean(axis + 1)
    return x


def standardized(x):
    axes = [0, *range(2, x.ndim)]
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, unbiased=False, keepdim=True) + 1e-5).sqrt()


def normed(norm, x, labels):
    if isinstance(norm, nn.modules.batchnorm._BatchNorm):
        gain, bias = norm.weight, norm.bias
        shape = (1, -1, *[1] * (x.ndim - 2))
    else:
        gain, bias = 1 + norm.gain.weight[labels], norm.bias.weight[labels]
        shape = (*x.shape[:2], *[1] * (x.ndim - 2))
    return standardized(x) * gain.view(shape) + bias.view(shape)


def slow_generator(net, z, labels, after=0):
    x = (z @ net.stem.weight.T + net.stem.bias).view(len(z), *net.base)
    for i, block in enumerate(net.layers.blocks, 1):
        y = run(block.doubling.conv, grown(normed(block.first, x, labels).relu()))
        y = run(block.conv, normed(block.second, y, labels).relu())
        x = y + run(block.side, grown(x))
        x = net.layers.attention(x) if i == after else x
    norm, _, last, _ = net.layers.last
    return run(last, normed(norm, x, labels).relu()).tanh()


def slow_discriminator(net, x, labels, halvings):
    """In the source's order: in the shortcut of all blocks but the first the mean comes after the convolution."""
    blocks = list(net.layers.blocks)
    residuals = [block for block in blocks if hasattr(block, "main")]
    for block in blocks:
        if block not in residuals:
            x = block(x)
            continue
        i = residuals.index(block)
        first, last = [m for m in block.main if not isinstance(m, nn.ReLU)]
        y = run(first, x.relu() if i else x)
        y = run(last.conv if i < halvings else last, y.relu())
        side = [m for m in block.shortcut.modules() if hasattr(m, "weight")]
        beside = run(side[0], x) if side else x
        x = shrunk(y) + shrunk(beside) if i < halvings else y + beside
    h = x.relu().flatten(2).sum(2)
    weight = net.head.linear.weight[0] + (net.head.embedding.weight[labels] if net.head.embedding is not None else 0)
    return (h * weight).sum(1, keepdim=True) + net.head.linear.bias


def built(part, gamma=0.7):
    torch.manual_seed(0)
    network = part.build().double()
    for name, p in network.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(p, gamma)
        elif p.ndim == 1 or "bias" in name:
            nn.init.normal_(p, 0.5, 0.1)  # nothing is at its neutral value
    return network


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("classes", [0, 3])
class TestThePair:
    def test_generates_what_the_slow_version_does(self, shape, classes):
        net = built(SNGANGenerator(shape, 5, width=8, multiples=(3, 2, 1), classes=classes, attention=2))
        z = noise(3, 5)
        made = net(z, LABELS if classes else None, None)
        assert made.shape == (3, *shape)
        torch.testing.assert_close(made, slow_generator(net, z, LABELS, after=2), rtol=1e-10, atol=1e-12)

    def test_judges_as_the_slow_version_does(self, shape, classes):
        part = SNGANDiscriminator(shape, 8, (1, 2, 2), halvings=2, classes=classes, attention=1, norm="none")
        net, x = built(part), noise(3, *shape)
        verdict = net(x, LABELS if classes else None, None)
        assert verdict.features.shape == (3, 16)
        torch.testing.assert_close(verdict.logits, slow_discriminator(net, x, LABELS, 2), rtol=1e-10, atol=1e-12)

    def test_the_gradient_reaches_every_weight(self, shape, classes):
        generator = built(SNGANGenerator(shape, 5, width=8, multiples=(2, 1, 1), classes=classes, attention=1, spectral=True))
        discriminator = built(SNGANDiscriminator(shape, 8, (1, 2, 2), halvings=2, classes=classes, attention=2))
        discriminator(generator(noise(3, 5), LABELS, None), LABELS, None).logits.square().sum().backward()
        for network in (generator, discriminator):
            assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []

    def test_reads_labels_exactly_if_it_has_classes(self, shape, classes):
        parts = [
            SNGANGenerator(shape, 5, 4, (2, 1), classes=classes),
            SNGANDiscriminator(shape, 4, (1, 2), halvings=1, classes=classes),
        ]
        generator, discriminator = [built(part).eval() for part in parts]
        assert [part.reads_labels for part in parts] == [classes > 0] * 2
        z, x = noise(3, 5), noise(3, *shape)
        one, other = LABELS, (LABELS + 1) % 3
        assert torch.equal(generator(z, one, None), generator(z, other, None)) == (classes == 0)
        logits = [discriminator(x, labels, None).logits for labels in (one, other)]
        assert torch.equal(*logits) == (classes == 0)


def test_spectral_norm_stands_on_every_layer_of_d_and_where_asked_of_g():
    def bounded(part):
        layers = [m for m in part.build().modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding)]
        return [type(m).__mro__[1] for m in layers if parametrize.is_parametrized(m)], len(layers)

    shape = (3, 8, 8)
    found, layers = bounded(SNGANDiscriminator(shape, 8, (1, 2), halvings=1, classes=3, attention=1))
    assert len(found) == layers == 3 + 2 + 1 + 4 + 2
    assert found.count(nn.Embedding) == found.count(nn.Linear) == 1
    assert bounded(SNGANDiscriminator(shape, 8, (1, 2), halvings=1, classes=3, norm="none"))[0] == []
    assert bounded(SNGANGenerator(shape, 4, 8, (2, 1)))[0] == []
    found, layers = bounded(SNGANGenerator(shape, 4, 8, (2, 1), classes=3, spectral=True))
    assert len(found) == layers - 4  # gains and biases of both norms are not bounded


def test_weights_start_glorot_uniform_with_gain_root_two_in_the_blocks():
    torch.manual_seed(0)
    net = SNGANGenerator((3, 16, 16), 64, 64, (2, 2, 1)).build()

    def deviation(inside, outside, gain2):
        return (gain2 * 2 / (inside + outside)) ** 0.5

    block = net.layers.blocks[0]
    assert block.conv.weight.std().item() == pytest.approx(deviation(9 * 128, 9 * 128, 2), rel=0.02)
    assert block.doubling.conv.weight.std().item() == pytest.approx(deviation(9 * 128, 9 * 128, 2), rel=0.02)
    assert block.side.weight.std().item() == pytest.approx(deviation(128, 128, 1), rel=0.02)
    assert net.layers.last[2].weight.std().item() == pytest.approx(deviation(9 * 64, 27, 1), rel=0.05)
    assert net.stem.weight.std().item() == pytest.approx(deviation(64, 16 * 128, 1), rel=0.02)
    assert max(m.bias.abs().max().item() for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)) == 0
    assert block.conv.weight.abs().max() <= 3**0.5 * deviation(9 * 128, 9 * 128, 2)


def test_with_channels_last_the_blocks_take_the_fast_convolutions(monkeypatch):
    """Two halvings, and the doubling from 8 to 16; the one from 4 to 8 is not faster."""
    sides = []
    for table in (resampling.CONVOLVED, resampling.TRANSPOSED):
        plain = table[2]
        monkeypatch.setitem(table, 2, lambda x, w, *a, plain=plain, **k: (sides.append(w.shape[2]), plain(x, w, *a, **k))[1])
    generator = built(SNGANGenerator((3, 16, 16), 5, 8, (2, 1, 1)))
    discriminator = built(SNGANDiscriminator((3, 16, 16), 8, (1, 2, 2), norm="none"))
    z = noise(2, 5)
    made = generator(z, None, None)
    logits = discriminator(made, None, None).logits
    assert sides == [3, 3, 3, 3]
    sides.clear()
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(generator(z, None, None), made, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(discriminator(made, None, None).logits, logits, rtol=1e-10, atol=1e-12)
    assert sides == [3, 4, 4, 4]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SNGANGenerator((3, 36, 32)), "must be multiples of 8 for 3 halvings or doublings; 36 is none"),
        (lambda: SNGANDiscriminator((3, 30, 32)), "multiples of 4 for 2 halvings or doublings; 30 is none"),
        (lambda: SNGANGenerator((3, 32)), "is no .C, H, W. and no .C, D, H, W."),
        (lambda: SNGANGenerator((3, 32, 32), attention=4), "there are 3 doublings, and none is number 4"),
        (lambda: SNGANDiscriminator((3, 32, 32), attention=5), "no block 5 to stand after; use 0 .nowhere. to 4"),
        (lambda: SNGANDiscriminator((3, 32, 32), halvings=0), "0 of 4 blocks cannot halve; use 1 to 4"),
        (lambda: SNGANDiscriminator((3, 64, 64), halvings=5), "5 of 4 blocks cannot halve"),
        (lambda: SNGANGenerator((3, 32, 32), multiples=(1, 0, 1, 1)), "two or more whole numbers from 1 up"),
        (lambda: SNGANGenerator((3, 32, 32), width=0), "0 is no number of channels"),
        (lambda: SNGANGenerator((3, 32, 32), classes=-1), "-1 is no number of classes"),
    ],
)
def test_what_cannot_be_built_is_refused(make, says):
    with pytest.raises(RecipeError, match=says):
        make()
