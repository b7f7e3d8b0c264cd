"""chainer-gan-lib's networks against layer lists written down here: parameter counts, and what they make of their input.

A list tells (kind, in, out, kernel), from that library's description and not from our modules; `played` carries it out with
plain functions of torch, on the module's own parameters in their order.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from gansaku.errors import RecipeError
from gansaku.networks.blocks import CONV, CONV_TRANSPOSE, BatchNorm
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator, ChainerGenerator
from gansaku.networks.chainer_resnet import ChainerResNetDiscriminator, ChainerResNetGenerator
from gansaku.networks.denoising import FeatureDenoiser, FeatureDiscriminator

CONVOLUTION = {2: functional.conv2d, 3: functional.conv3d}
DECONVOLUTION = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
PICTURE, VOXELS = (3, 16, 32), (1, 16, 16, 32)  # sides that differ
BOTH = pytest.mark.parametrize("shape", [PICTURE, VOXELS], ids=["2d", "3d"])


def eighth(shape, part=8):
    return math.prod(side // part for side in shape[1:])


def generator(shape, w=64, norm=True, stem_norm=True, classes=0, activation="relu"):
    first = 8 * w * eighth(shape)
    norms = lambda n: [("norm", n, n, 0)] if norm else []  # noqa: E731
    layers = [("linear", 128 + classes, first, 0), *(norms(first) if stem_norm else []), (activation,), ("unflatten", 8 * w)]
    for inside, outside in ((8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w)):
        layers += [("deconv", inside, outside, 4), *norms(outside), (activation,)]
    return [*layers, ("deconv", w, shape[0], 3), ("tanh",)]


def discriminator(shape, w=64, norm="none", outputs=1, kernels=0, size=5, planes=0):
    """`shift`: batch norm without γ. Minibatch discrimination: on what the last convolution gives, which has no norm then."""
    layers = [("conv", shape[0] + planes, w, 3), ("leaky",)]
    convolutions = [
        (w, 2 * w, 4),
        (2 * w, 2 * w, 3),
        (2 * w, 4 * w, 4),
        (4 * w, 4 * w, 3),
        (4 * w, 8 * w, 4),
        (8 * w, 8 * w, 3),
    ]
    for i, (inside, outside, kernel) in enumerate(convolutions):
        normed = norm == "shift" and not (kernels and i == 5)
        layers += [("conv", inside, outside, kernel), *([("shift", outside, outside, 0)] if normed else []), ("leaky",)]
    features = 8 * w * eighth(shape)
    minibatch = [("minibatch", features, kernels, size)] if kernels else []
    return [*layers, ("flatten",), *minibatch, ("linear", features + kernels, outputs, 0)]


def residual_generator(shape, w=128):
    main = [("norm", w, w, 0), ("relu",), ("unpool",), ("conv", w, w, 3), ("norm", w, w, 0), ("relu",), ("conv", w, w, 3)]
    blocks = [("residual", main, [("unpool",), ("conv", w, w, 3)])] * 3
    stem = [("linear", 128, w * eighth(shape), 0), ("relu",), ("unflatten", w)]
    return [*stem, *blocks, ("relu",), ("norm", w, w, 0), ("conv", w, shape[0], 3), ("tanh",)]


def residual_discriminator(shape, w=128, outputs=1):
    c = shape[0]
    first = ("residual", [("conv", c, w, 3), ("relu",), ("conv", w, w, 4)], [("conv", c, w, 4)])
    second = ("residual", [("relu",), ("conv", w, w, 3), ("relu",), ("conv", w, w, 4)], [("conv", w, w, 4)])
    flat = ("residual", [("relu",), ("conv", w, w, 3), ("relu",), ("conv", w, w, 3)], [])
    return [first, second, flat, flat, ("relu",), ("flatten",), ("linear", w * eighth(shape, 4), outputs, 0)]


def feature_layers(shape, w=32):
    layers = [("conv", shape[0], w, 3), ("leaky",)]
    for inside, outside, kind in ((w, 2 * w, "norm"), (2 * w, 4 * w, "norm"), (4 * w, 8 * w, "norm")):
        layers += [("conv", inside, outside, 4), (kind, outside, outside, 0), ("leaky",)]
    return [*layers, ("conv", 8 * w, 16 * w, 4), ("shift", 16 * w, 16 * w, 0), ("flatten",)]


def feature_discriminator(shape, w=32):
    return [*feature_layers(shape, w), ("leaky",), ("linear", 16 * w * eighth(shape, 16), 1, 0)]


def denoiser(features, layers=10):
    block = [("linear", features, features, 0), ("norm", features, features, 0), ("leaky",)]
    return [*block * (layers - 1), ("linear", features, features, 0)]


def count(layers, dims):
    """Parameters: every convolution and linear layer has a bias, `norm` γ and β, `shift` β."""
    total = 0
    for kind, *numbers in layers:
        if kind in ("conv", "deconv", "linear"):
            inside, outside, kernel = numbers
            total += inside * outside * (kernel**dims if kernel else 1) + outside
        elif kind == "residual":
            total += sum(count(inner, dims) for inner in numbers)
        elif kind == "minibatch":
            features, kernels, size = numbers
            total += (features + 1) * kernels * size
        else:
            total += {"norm": 2, "shift": 1}.get(kind, 0) * (numbers[0] if numbers else 0)
    return total


def played(layers, weights, x, base):
    """What the layers make of x. `weights` gives the parameters one after the other; `base` are the sides after the stem."""
    for kind, *numbers in layers:
        if kind == "conv":
            x = CONVOLUTION[x.ndim - 2](x, next(weights), next(weights), stride=2 if numbers[2] == 4 else 1, padding=1)
        elif kind == "deconv":
            x = DECONVOLUTION[x.ndim - 2](x, next(weights), next(weights), stride=2 if numbers[2] == 4 else 1, padding=1)
        elif kind == "linear":
            x = x @ next(weights).T + next(weights)
        elif kind in ("norm", "shift"):
            axes = [axis for axis in range(x.ndim) if axis != 1]
            apart = x - x.mean(axes, keepdim=True)
            x = apart / (apart.square().mean(axes, keepdim=True) + 2e-5).sqrt()
            each = [1, -1, *[1] * (x.ndim - 2)]
            x = (x * next(weights).view(each) if kind == "norm" else x) + next(weights).view(each)
        elif kind == "minibatch":
            m = (x @ next(weights).T + next(weights)).view(len(x), numbers[1], numbers[2])
            near = [sum((-(m[i] - m[j]).abs().sum(1)).exp() for j in range(len(x)) if j != i) for i in range(len(x))]
            x = torch.cat([x, torch.stack(near)], 1)
        elif kind == "residual":
            x = played(numbers[0], weights, x, base) + played(numbers[1], weights, x, base)
        elif kind == "unpool":
            for axis in range(2, x.ndim):
                x = x.repeat_interleave(2, axis)
        elif kind == "unflatten":
            x = x.reshape(len(x), numbers[0], *base)
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        elif kind == "tanh":
            x = 1 - 2 / ((2 * x).exp() + 1)
        else:
            x = torch.where(x > 0, x, {"relu": 0.0, "leaky": 0.2}[kind] * x)
    return x


def built(part):
    """The module in float64, every parameter at random: also those that start at 0 or 1, so that none is left out."""
    torch.manual_seed(0)
    network = part.build().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5))
    return network


def assert_plays(network, layers, made, given, shape):
    """The module's output and its weight gradients are those of the list."""
    base = [side // 8 for side in shape[1:]]
    weights = list(network.parameters())
    rest = iter(weights)
    wanted = played(layers, rest, given, base)
    assert list(rest) == []
    torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-11)
    toward = torch.randn(made.shape, dtype=made.dtype, generator=torch.Generator().manual_seed(3))
    for found, right in zip(*[torch.autograd.grad((out * toward).sum(), weights) for out in (made, wanted)], strict=True):
        torch.testing.assert_close(found, right, rtol=1e-8, atol=1e-10)


def samples(shape, n=4):
    return torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


CIFAR, CUBE = (3, 32, 32), (1, 32, 32, 32)
COUNTS = {
    "ChainerGenerator": (ChainerGenerator(CIFAR), generator(CIFAR), 3_828_739),
    "MTGenerator of article 1": (
        ChainerGenerator(CIFAR, leak=0.2, stem_norm=False, classes=10),
        generator(CIFAR, stem_norm=False, classes=10),
        3_894_275,
    ),
    "MTGenerator without batch norm": (
        ChainerGenerator(CIFAR, leak=0.2, norm="none", classes=10),
        generator(CIFAR, norm=False, stem_norm=False, classes=10),
        3_893_379,
    ),
    "WGANDiscriminator": (ChainerDiscriminator(CIFAR, norm="none"), discriminator(CIFAR), 5_860_865),
    "WGANDiscriminator of Cramér": (
        ChainerDiscriminator(CIFAR, norm="none", logits=256),
        discriminator(CIFAR, outputs=256),
        5_860_865 + 255 * 8193,
    ),
    "DCGANDiscriminator": (ChainerDiscriminator(CIFAR), discriminator(CIFAR, norm="shift"), 5_860_865 + 1_792),
    "SNDCGANDiscriminator": (ChainerDiscriminator(CIFAR, norm="spectral"), discriminator(CIFAR), 5_860_865),
    "minibatch discriminator": (
        ChainerDiscriminator(CIFAR, kernels=100),
        discriminator(CIFAR, norm="shift", kernels=100),
        5_860_865 + 1_792 - 512 + 8193 * 500 + 100,
    ),
    "label planes": (ChainerDiscriminator(CIFAR, norm="none", label_planes=10), discriminator(CIFAR, planes=10), 5_866_625),
    "ResnetGenerator": (ChainerResNetGenerator(CIFAR), residual_generator(CIFAR), None),
    "ResnetDiscriminator": (ChainerResNetDiscriminator(CIFAR), residual_discriminator(CIFAR), None),
    "DFM's discriminator": (FeatureDiscriminator(CIFAR), feature_discriminator(CIFAR), None),
    "DFM's denoiser": (FeatureDenoiser(2048), denoiser(2048), 42_000_384),
    "ChainerGenerator in 3D": (ChainerGenerator(CUBE), generator(CUBE), None),
    "WGANDiscriminator in 3D": (ChainerDiscriminator(CUBE, norm="none"), discriminator(CUBE), None),
    "DFM's discriminator in 3D": (FeatureDiscriminator(CUBE), feature_discriminator(CUBE), None),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_parameter_count_is_that_of_the_layer_list(name):
    """And where the source or the article gives a number, that one."""
    part, layers, stated = COUNTS[name]
    with torch.device("meta"):  # no memory, no numbers
        found = sum(p.numel() for p in part.build().parameters())
    assert found == count(layers, len(getattr(part, "shape", CIFAR)) - 1)
    assert stated in (None, found)


GENERATORS = {"batch": {}, "none": {"norm": "none"}, "no stem norm, leaky": {"stem_norm": False, "leak": 0.2}}


@BOTH
@pytest.mark.parametrize("settings", GENERATORS.values(), ids=GENERATORS)
def test_the_generator_is_its_layer_list(shape, settings):
    network = built(ChainerGenerator(shape, width=2, **settings))
    normed, stem = settings.get("norm") != "none", settings.get("stem_norm", True)
    layers = generator(shape, 2, normed, normed and stem, activation="leaky" if "leak" in settings else "relu")
    z = samples((128,))
    made = network(z, None, None)
    assert made.shape == (4, *shape)
    assert_plays(network, layers, made, z, shape)


@BOTH
def test_the_label_stands_beside_z_as_one_and_minus_one(shape):
    network = built(ChainerGenerator(shape, width=2, leak=0.2, stem_norm=False, classes=3))
    z, labels = samples((128,)), torch.tensor([2, 0, 1, 2])
    code = torch.tensor([[-1, -1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    layers = generator(shape, 2, stem_norm=False, classes=3, activation="leaky")
    assert_plays(network, layers, network(z, labels, None), torch.cat([z, code], 1), shape)


DISCRIMINATORS = {
    "batch": ({}, {"norm": "shift"}),
    "none, several logits": ({"norm": "none", "logits": 5}, {"outputs": 5}),
    "minibatch": ({"kernels": 3, "kernel_size": 2}, {"norm": "shift", "kernels": 3, "size": 2}),
}


@BOTH
@pytest.mark.parametrize(("settings", "wanted"), DISCRIMINATORS.values(), ids=DISCRIMINATORS)
def test_the_discriminator_is_its_layer_list(shape, settings, wanted):
    network, x = built(ChainerDiscriminator(shape, width=2, **settings)), samples(shape)
    verdict = network(x, None, None)
    assert verdict.features.shape == (4, ChainerDiscriminator(shape, width=2).features)
    assert_plays(network, discriminator(shape, 2, **wanted), verdict.logits, x, shape)


@BOTH
def test_the_discriminator_may_say_classes_beside_its_logit(shape):
    """Each head sees the same features."""
    network, x = built(ChainerDiscriminator(shape, width=2, norm="none", classes=3)), samples(shape)
    verdict = network(x, None, None)
    assert verdict.logits.shape == (4, 1)
    weights = list(network.parameters())  # the convolutions', then the logit's two and the classes' two
    layers = discriminator(shape, 2, outputs=3)
    torch.testing.assert_close(verdict.classes, played(layers, iter(weights[:-4] + weights[-2:]), x, ()), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(verdict.logits, played(discriminator(shape, 2), iter(weights), x, ()), rtol=1e-9, atol=1e-11)


@BOTH
def test_label_planes_are_channels_of_one_and_minus_one(shape):
    network, x = built(ChainerDiscriminator(shape, width=2, norm="none", label_planes=3)), samples(shape)
    planes = -torch.ones(4, 3, *shape[1:], dtype=torch.float64)
    for row, label in enumerate((2, 0, 1, 2)):
        planes[row, label] = 1
    found = network(x, torch.tensor([2, 0, 1, 2]), None).logits
    assert_plays(network, discriminator(shape, 2, planes=3), found, torch.cat([x, planes], 1), shape)


@BOTH
def test_the_residual_pair_is_its_layer_list(shape):
    network, z = built(ChainerResNetGenerator(shape, width=3)), samples((128,))
    assert_plays(network, residual_generator(shape, 3), network(z, None, None), z, shape)
    network, x = built(ChainerResNetDiscriminator(shape, width=3, logits=2)), samples(shape)
    assert_plays(network, residual_discriminator(shape, 3, outputs=2), network(x, None, None).logits, x, shape)


@BOTH
def test_the_networks_of_denoising_feature_matching_are_their_layer_lists(shape):
    """The features are the last batch norm's output, before the leaky ReLU."""
    part = FeatureDiscriminator(shape, width=2)
    network, x = built(part), samples(shape)
    verdict = network(x, None, None)
    assert_plays(network, feature_discriminator(shape, 2), verdict.logits, x, shape)
    features = played(feature_layers(shape, 2), iter(network.parameters()), x, ())
    assert features.shape == (4, part.features)
    assert (features < -0.1).any()
    torch.testing.assert_close(verdict.features, features, rtol=1e-9, atol=1e-11)
    network, x = built(FeatureDenoiser(6, layers=4)), samples((6,))
    assert_plays(network, denoiser(6, 4), network(x, None, None).features, x, shape)


PARTS = {
    "generator": ChainerGenerator(PICTURE, width=2, classes=3),
    "discriminator": ChainerDiscriminator(PICTURE, width=2, classes=3, kernels=3, label_planes=3),
    "spectral": ChainerDiscriminator(VOXELS, width=2, norm="spectral"),
    "residual generator": ChainerResNetGenerator(VOXELS, width=3),
    "residual discriminator": ChainerResNetDiscriminator(PICTURE, width=3),
    "feature discriminator": FeatureDiscriminator(VOXELS, width=2),
    "denoiser": FeatureDenoiser(6, layers=4),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_gradients_reach_every_parameter(part):
    """In evaluation mode: batch norm's own mean takes out what the bias before it adds."""
    torch.manual_seed(0)
    network = part.build().double().eval()
    shape = (128,) if "Generator" in type(part).__name__ else getattr(part, "shape", (6,))
    made = network(samples(shape), torch.tensor([2, 0, 1, 2]), None)
    outputs = [made] if isinstance(made, torch.Tensor) else [x for x in made if x is not None]
    sum(x.square().sum() for x in outputs).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ChainerGenerator((3, 32, 36)), "multiples of 8; 36 is none"),
        (lambda: ChainerDiscriminator((1, 12, 16, 16)), "multiples of 8; 12 is none"),
        (lambda: ChainerResNetGenerator((3, 30, 32)), "multiples of 8; 30 is none"),
        (lambda: ChainerResNetDiscriminator((3, 32, 33)), "multiples of 8; 33 is none"),
        (lambda: FeatureDiscriminator((3, 32, 40)), "multiples of 16; 40 is none"),
        (lambda: ChainerGenerator((32, 32)), "is no"),
        (lambda: ChainerGenerator(CIFAR, width=0), "0 is no number of channels"),
        (lambda: ChainerGenerator(CIFAR, norm="spectral"), "use batch or none"),
        (lambda: ChainerDiscriminator(CIFAR, logits=0), "nothing comes out"),
        (lambda: ChainerDiscriminator(CIFAR, kernels=-1), "-1 is no number of outputs"),
        (lambda: ChainerDiscriminator(CIFAR, kernels=3, kernel_size=0), "0 is no number of values"),
        (lambda: ChainerResNetDiscriminator(CIFAR, logits=0), "0 is no number of logits"),
        (lambda: FeatureDenoiser(0), "0 is no number of features"),
        (lambda: FeatureDenoiser(8, layers=0), "0 is no number of layers"),
    ],
)
def test_what_cannot_be_built_is_refused(make, says):
    with pytest.raises(RecipeError, match=says):
        make()


SPREADS = {
    "generator": (ChainerGenerator(PICTURE, width=16), {}),
    "discriminator": (ChainerDiscriminator(VOXELS, width=8), {}),
    "residual generator": (ChainerResNetGenerator(PICTURE, width=32), {"stem.0": 128**-0.5}),
    "residual discriminator": (ChainerResNetDiscriminator(PICTURE, width=32), {}),
    "feature discriminator": (FeatureDiscriminator(PICTURE, width=16), {}),
    "denoiser": (FeatureDenoiser(200), {f"layers.{3 * i}": 200**-0.5 for i in range(10)}),
}


@pytest.mark.parametrize(("part", "others"), SPREADS.values(), ids=SPREADS)
def test_weights_start_from_a_deviation_of_a_fiftieth_and_biases_from_zero(part, others):
    """But for what has Chainer's default: a variance of one over the inputs."""
    torch.manual_seed(0)
    seen = set()
    for name, module in part.build().named_modules():
        if isinstance(module, BatchNorm):
            assert module.eps == 2e-5
            assert module.weight is None or (module.weight == 1).all()
            assert (module.bias == 0).all()
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            wanted, n = others.get(name, 0.02), module.weight.numel()
            seen.add(name)
            assert module.weight.std().item() == pytest.approx(wanted, rel=4 * (2 * n) ** -0.5)
            assert abs(module.weight.mean().item()) < 4 * wanted * n**-0.5
            assert (module.bias == 0).all()
    assert others.keys() <= seen


def test_batch_norm_without_scale_has_none():
    """Neither as a parameter nor in what is saved; D's norms are so, all but DFM's first three."""
    norm = BatchNorm(3, scale=False)
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
    assert "weight" not in norm.state_dict()
    y = norm(5 * torch.randn(50, 3, 4)).transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.std(1, unbiased=False), torch.ones(3), rtol=1e-3, atol=0)
    for part, scaled in ((ChainerDiscriminator(PICTURE, width=2), []), (FeatureDiscriminator(PICTURE, width=2), [4, 8, 16])):
        norms = [module for module in part.build().modules() if isinstance(module, BatchNorm)]
        assert [module.num_features for module in norms if module.weight is not None] == scaled
        assert len(norms) == len(scaled) + (6 if not scaled else 1)


@pytest.mark.parametrize("sides", [(2, 2, 2), (2, 4, 4), (4, 2, 2)], ids=str)
@pytest.mark.parametrize(
    ("made", "kernel", "stride"), [(CONV, 3, 1), (CONV, 4, 2), (CONV_TRANSPOSE, 3, 1), (CONV_TRANSPOSE, 5, 2)]
)
def test_kernels_wider_than_the_voxels_have_a_right_gradient_in_bf16_too(sides, made, kernel, stride):
    """oneDNN alone reads memory that nobody wrote there: filled with a thousand first, so that it shows."""
    torch.manual_seed(0)
    conv, x = made[3](16, 16, kernel, stride, padding=(kernel - 1) // 2), torch.randn(4, 16, *sides)

    def gradient(half):
        for size in (2_000, 7_000, 20_000, 70_000):
            torch.full((size,), 1e3)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = conv(x)
        return torch.autograd.grad(y.float().square().sum(), conv.weight)[0]

    exact = gradient(half=False)
    assert (gradient(half=True) - exact).abs().max() < 0.03 * exact.abs().max()
