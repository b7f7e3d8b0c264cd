"""The slope without double backward is autograd's, values and weight gradients, for every network that offers one."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import nn

from gansaku.augment import Noise
from gansaku.contract import Fakes, Method, Phase, Piece, Player, Turn
from gansaku.draws import Draw, Rows
from gansaku.networks.chainer_gan_lib import ChainerDiscriminator
from gansaku.networks.chainer_resnet import ChainerResNetDiscriminator
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.networks.piecewise import Residual, slope
from gansaku.optimizers import Adam
from gansaku.parts import part
from gansaku.recipe import Recipe
from gansaku.terms import GradientPenalty

NETWORKS = {
    "DCGAN 2d": DCGANDiscriminator((3, 20, 28), width=3, norm="none"),  # 20, 10, 5 and 28, 14, 7
    "DCGAN 3d": DCGANDiscriminator((1, 14, 10, 8), width=3, norm="none", logits=2),
    "chainer-gan-lib 2d": ChainerDiscriminator((3, 24, 8), width=3, norm="none", logits=5, classes=2),
    "chainer-gan-lib 3d": ChainerDiscriminator((2, 8, 16, 24), width=2, norm="none"),
    "residual 2d": ChainerResNetDiscriminator((3, 24, 8), width=3, logits=2),
    "residual 3d": ChainerResNetDiscriminator((2, 8, 16, 24), width=2),
}


def by_autograd(logits, x):
    """The gradient of all logits by x, with its graph."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(logits(x).sum(), x, create_graph=True)[0]


def samples(shape, n=3):
    return torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def weight_gradients(module, gradient):
    """Of the penalty (|slope| - 1)², by name."""
    penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    named = dict(module.named_parameters())
    return dict(zip(named, torch.autograd.grad(penalty, list(named.values()), allow_unused=True), strict=True))


def assert_close(found, wanted, name=""):
    """To 1e-10 of the largest."""
    assert (found - wanted).abs().max().item() <= 1e-10 * wanted.abs().max().item(), name


def assert_same_penalty(module, explicit, logits, x):
    wanted = by_autograd(logits, x)
    found = explicit(x)
    assert wanted.abs().max() > 0
    assert found.shape == x.shape
    assert_close(found, wanted)
    mine, theirs = weight_gradients(module, found), weight_gradients(module, wanted)
    for name, gradient in theirs.items():
        if gradient is None or gradient.abs().max() == 0:  # biases move the masks' edges only; a head of its own, nothing
            assert mine[name] is None or mine[name].abs().max() == 0
        else:
            assert_close(mine[name], gradient, name)
    assert sum(gradient is not None and gradient.abs().max() > 0 for gradient in theirs.values()) >= 2


def built(made):
    """In float64, with weights of a size that keeps the slope's norm near 1 and biases that open and shut its masks."""
    torch.manual_seed(0)
    module = made.build().double()
    with torch.no_grad():
        for parameter in module.parameters():
            each = 0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(each * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("made", NETWORKS.values(), ids=NETWORKS)
def test_every_slope_is_autograds(made):
    assert made.piecewise_linear
    module = built(made)
    assert_same_penalty(
        module, lambda x: module.slope(x, None, None), lambda x: module(x, None, None).logits, samples(made.shape)
    )


OTHERS = {"norm": ("batch", "spectral"), "kernels": (3,), "label_planes": (2,), "logits": (0,)}


@pytest.mark.parametrize("setting", OTHERS)
def test_a_network_with_anything_else_in_it_offers_none(setting):
    for value in OTHERS[setting]:
        plain = ChainerDiscriminator((3, 8, 8), width=2, norm="none", classes=2)
        assert plain.piecewise_linear
        assert not dataclasses.replace(plain, **{setting: value}).piecewise_linear
    for norm in ("batch", "spectral"):
        assert not DCGANDiscriminator((3, 8, 8), norm=norm).piecewise_linear


STACKS = {
    "odd sides, stride 2": ((2, 7, 9), lambda: [nn.Conv2d(2, 4, 4, 2, 1), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(48, 2)]),
    "odd sides, stride 3": ((2, 11, 8), lambda: [nn.Conv2d(2, 4, 3, 3), nn.ReLU(), nn.Conv2d(4, 1, (3, 2))]),
    "sides that differ in stride, padding and kernel": (
        (1, 5, 8, 9),
        lambda: [nn.Conv3d(1, 3, (3, 4, 2), (1, 2, 3), (1, 0, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(180, 1)],
    ),
    "dilation and groups": (
        (4, 9, 10),
        lambda: [nn.Conv2d(4, 6, 3, 2, 2, dilation=2, groups=2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(150, 1)],
    ),
    "nested, with a shortcut of no layers": (
        (2, 5, 7, 6),
        lambda: [
            Residual(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv3d(2, 2, 3, padding=1))), nn.Identity()),
            nn.LeakyReLU(0.3), nn.Flatten(), nn.Linear(420, 3),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("shape", "layers"), STACKS.values(), ids=STACKS)
def test_layers_of_every_kind_go_back_as_autograd_does(shape, layers):
    torch.manual_seed(0)
    stack = nn.Sequential(*layers()).double()
    assert_same_penalty(stack, lambda x: slope(stack, x), stack, samples(shape))


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.2)], ids=repr)
def test_at_a_kink_it_takes_autograds_side(activation):
    """A picture of zeros lies on the kink of every unit without a bias."""
    stack = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), activation, nn.Flatten(), nn.Linear(24, 1)).double()
    x = torch.zeros(2, 1, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(slope(stack, x), by_autograd(stack, x), rtol=1e-12, atol=0)


def test_a_layer_whose_way_back_is_not_known_is_an_error():
    with pytest.raises(TypeError, match="BatchNorm2d is no layer whose way back is known"):
        slope(nn.Sequential(nn.BatchNorm2d(1)), torch.zeros(2, 1, 3, 3))


def test_it_is_no_function_of_x_to_autograd():
    """A piecewise-linear network's second derivative by x is zero, so none is offered."""
    stack, x = nn.Sequential(nn.Flatten(), nn.Linear(6, 1)), torch.randn(2, 6, requires_grad=True)
    (by_x,) = torch.autograd.grad(slope(stack, x).sum(), x, allow_unused=True)
    assert by_x is None


# Who uses it


@part
class Halved(Method):
    """A method whose penalties look at half the logit."""

    reads_loss: ClassVar[bool] = False

    def cycle(self, recipe):
        return ()

    def losses(self, turn):
        return {}

    def logit(self, turn, x, labels):
        return 0.5 * super().logit(turn, x, labels)


class Counted(nn.Module):
    """Counts how often the slope that the network offers is asked for."""

    def __init__(self, module):
        super().__init__()
        self.module, self.asked = module, 0

    def forward(self, x, labels, phase):
        return self.module(x, labels, phase)

    def slope(self, x, labels, phase):
        self.asked += 1
        return self.module.slope(x, labels, phase)


def turn_of(settings, norm="none"):
    """D's turn with some settings of the recipe replaced, and its module."""
    made = DCGANDiscriminator((3, 8, 12), width=3, norm=norm)
    players = Player(DCGANGenerator(made.shape), Adam(), 1e-3), Player(made, Adam(), 1e-3)
    recipe = Recipe(made.shape, *players, length=10)
    for name, value in settings.items():
        object.__setattr__(recipe, name, value)  # without the checks: the stand-in method has no moves
    real, fake = samples(made.shape), samples(made.shape).flip(0)
    piece = Piece(Rows(0, 3, 3), real, torch.zeros(3, dtype=torch.long), {})
    piece.fakes, piece.fake_labels = Fakes(lambda i, graph: fake, graph=False), piece.labels
    module = Counted(built(made))
    nets = {"discriminator": module}
    return Turn(recipe, "discriminator", 0, 3, Phase((8, 12)), piece, nets, {}, Draw(0, 0, piece.rows, real)), module


USES = {
    "as it is": ({}, 1, 1.0),
    "fast=none": ({"fast": "none"}, 0, 1.0),
    "an augmentation": ({"augment": Noise(1e-9)}, 0, 1.0),
    "a method's own logit": ({"method": Halved()}, 0, 0.5),
}


@pytest.mark.parametrize(("settings", "asked", "factor"), USES.values(), ids=USES)
def test_a_turn_takes_it_only_where_it_is_the_methods_slope(settings, asked, factor):
    """And what it gives is the slope of the method's logit in each case."""
    turn, module = turn_of(settings)
    found = turn.slope(turn.real)
    assert module.asked == asked
    wanted = factor * by_autograd(lambda x: module.module(x, None, None).logits, turn.real)
    torch.testing.assert_close(found, wanted, rtol=1e-6 if "augment" in settings else 1e-10, atol=1e-12)


def test_a_network_that_offers_none_is_differentiated_twice():
    turn, module = turn_of({}, norm="spectral")
    module.eval()
    assert turn.slope(turn.real).grad_fn is not None
    assert module.asked == 0


def test_a_penalty_trains_the_same_with_and_without_it():
    found = []
    for fast in ("all", "none"):
        turn, module = turn_of({"fast": fast})
        GradientPenalty()(turn).sum().backward()
        found.append({name: p.grad for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().max() > 0})
    assert found[0].keys() == found[1].keys() != set()
    for name, gradient in found[0].items():
        assert_close(gradient, found[1][name], name)


WIDE = {
    "plain": ChainerDiscriminator((1, 8, 16, 8), width=4, norm="none"),
    "residual": ChainerResNetDiscriminator((1, 8, 16, 8), 16),
}


@pytest.mark.parametrize("made", WIDE.values(), ids=WIDE)
def test_in_bf16_it_is_near_the_slope_in_full_precision(made):
    """Where kernels are wider than the voxels too, of which oneDNN alone makes numbers that nobody wrote."""
    module, x = built(made).float(), samples(made.shape).float()
    exact = weight_gradients(module, module.slope(x, None, None))
    for size in (2_000, 7_000, 20_000, 70_000):
        torch.full((size,), 1e3)
    with torch.autocast("cpu", torch.bfloat16):
        half = module.slope(x, None, None)
    found = weight_gradients(module, half.float())
    assert [n for n in exact if (found[n] is None) != (exact[n] is None)] == []  # as from a cache of copies
    weights = [name for name, gradient in exact.items() if gradient is not None and gradient.abs().max() > 0]
    assert len(weights) >= 8
    for name in weights:
        assert (found[name] - exact[name]).norm() < 0.2 * exact[name].norm(), name  # masks near 0 turn over
