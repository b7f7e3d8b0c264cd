"""DRAGAN's penalty by hand: where it looks, what it is there, and that it needs the whole batch."""

import math

import pytest
import torch
from torch import nn

from gansaku import keys
from gansaku.contract import Fakes, Phase, Piece, Player, Turn, Verdict, Weighted
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.terms import Dragan

SPACES = pytest.mark.parametrize("space", [(8, 12), (8, 12, 16)], ids=["2d", "3d"])
N, CHANNELS, SEED, TURN = 5, 2, 3, 7


class Linear(nn.Module):
    """D(x) = slope · x: its gradient is `slope` everywhere."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, x, labels, phase):
        return Verdict(logits=(x * self.slope).flatten(1).sum(1, keepdim=True))


class Quadratic(nn.Module):
    """D(x) = |x|²/2: its gradient at x is x. Remembers where it was asked."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, labels, phase):
        self.seen.append(x.detach().clone())
        return Verdict(logits=0.5 * x.flatten(1).square().sum(1, keepdim=True))


def recipe_of(space, **settings):
    shape, adam = (CHANNELS, *space), Adam()
    return Recipe(
        shape=shape,
        generator=Player(DCGANGenerator(shape), adam, 1e-3),
        discriminator=Player(DCGANDiscriminator(shape, norm="none"), adam, 1e-3, terms=(Weighted(10.0, Dragan()),)),
        length=10,
        fast="none",  # the networks here are stand-ins without a slope of their own
        **settings,
    )


def turn_of(discriminator, space, real=None):
    if real is None:
        random = torch.Generator().manual_seed(0)
        real = torch.randn(N, CHANNELS, *space, generator=random, dtype=torch.float64)
    piece = Piece(Rows(0, len(real), len(real)), real, torch.zeros(len(real), dtype=torch.long), {})

    def no_fakes(i, graph):
        raise AssertionError("DRAGAN looks at real samples alone")

    piece.fakes, piece.fake_labels = Fakes(no_fakes, graph=False), piece.labels
    nets = {"discriminator": discriminator}
    draw = Draw(SEED, TURN, piece.rows, real)
    return Turn(recipe_of(space), "discriminator", 0, N, Phase(space), piece, nets, {}, draw)


def perturbed(real, strength=0.5):
    """Value by value: x + strength · u · s, s the deviation of that one value over the batch, not of all values together."""
    u = torch.rand(real.shape, generator=keys.generator(SEED, TURN, "around")).double().flatten(1)
    flat, found = real.flatten(1), torch.empty_like(real.flatten(1))
    for place in range(flat.shape[1]):
        column = flat[:, place].tolist()
        mean = sum(column) / len(column)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
        for row, value in enumerate(column):
            found[row, place] = value + strength * u[row, place].item() * deviation
    return found.view_as(real)


@SPACES
@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_the_gradient_is_taken_at_the_perturbed_points_and_nowhere_else(space, strength):
    """A quadratic discriminator has the slope x at x, so the penalty tells where it was taken."""
    network = Quadratic()
    turn = turn_of(network, space)
    found = Dragan(strength)(turn)
    points = perturbed(turn.real, strength)
    torch.testing.assert_close(found, (points.flatten(1).norm(dim=1) - 1) ** 2, rtol=1e-12, atol=0)
    (asked,) = network.seen
    torch.testing.assert_close(asked, points, rtol=1e-12, atol=1e-14)


@SPACES
def test_every_value_is_moved_by_a_draw_of_its_own_up_to_half_its_deviation(space):
    network = Quadratic()
    turn = turn_of(network, space)
    Dragan()(turn)
    deviation = turn.real.std(0, unbiased=False)
    share = (network.seen[0] - turn.real) / deviation
    assert (share > 0).all()
    assert (share < 0.5).all()
    assert share.mean().item() == pytest.approx(0.25, abs=0.02)
    assert share.flatten().unique().numel() == pytest.approx(share.numel(), abs=2)


@SPACES
def test_the_penalty_of_a_linear_discriminator_is_its_slopes(space):
    """(|w| - target)² for every sample, and 2 (|w| - target) w / |w| its gradient, wherever it is taken."""
    slope = torch.randn(CHANNELS, *space, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    norm = slope.norm().item()
    for target in (1.0, 20.0):
        network = Linear(slope.clone())
        found = Dragan(target=target)(turn_of(network, space))
        assert found.tolist() == pytest.approx([(norm - target) ** 2] * N, rel=1e-12)
        found.mean().backward()
        torch.testing.assert_close(network.slope.grad, 2 * (norm - target) * slope / norm, rtol=1e-12, atol=1e-14)


def test_samples_that_are_all_the_same_are_not_moved():
    """No deviation over the batch, however much the values of a sample differ."""
    network = Quadratic()
    one = torch.randn(1, CHANNELS, 8, 12, dtype=torch.float64)
    turn = turn_of(network, (8, 12), one.expand(N, -1, -1, -1).clone())
    Dragan()(turn)
    torch.testing.assert_close(network.seen[0], turn.real, rtol=1e-12, atol=1e-14)


def test_it_needs_the_whole_batch():
    base = recipe_of((8, 12), batch=8)
    assert base.but(micro=8).micro == 8
    with pytest.raises(RecipeError, match="Dragan looks at the whole batch, which micro-batches do not see; set micro=none"):
        base.but(micro=4)


def test_it_is_refused_beside_batch_norm_in_the_discriminator():
    with pytest.raises(RecipeError, match="Dragan looks at the slope for each sample"):
        recipe_of((8, 12)).but({"discriminator.network.norm": "batch"})
