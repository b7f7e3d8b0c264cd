"""Terms have closed forms on simple discriminators, in two and three dimensions, on sides that differ."""

import math

import pytest
import torch
from torch import nn

import gansaku.regularizers  # noqa: F401  its terms are then among all
from gansaku.contract import Fakes, Phase, Piece, Player, Term, Turn, Verdict
from gansaku.draws import Draw, Rows
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.parts import parts
from gansaku.recipe import Recipe
from gansaku.terms import R1, R2, Drift, GradientPenalty

SPACES = [(8, 12), (8, 12, 16)]


class Linear(nn.Module):
    """D(x) = slope · x: its gradient is `slope` everywhere."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, x, labels, phase):
        return Verdict(logits=(x * self.slope).flatten(1).sum(1, keepdim=True))


class Quadratic(nn.Module):
    """D(x) = |x|²/2: its gradient at x is x."""

    def forward(self, x, labels, phase):
        return Verdict(logits=0.5 * x.flatten(1).square().sum(1, keepdim=True))


def turn_of(discriminator, space, n=5, player="discriminator", term=None):
    """A turn of the player, not its first, with the memory that the term begins with."""
    shape = (2, *space)
    adam = Adam()
    recipe = Recipe(
        shape=shape,
        generator=Player(DCGANGenerator(shape), adam, 1e-3),
        discriminator=Player(DCGANDiscriminator(shape, norm="none"), adam, 1e-3),
        length=10,
        fast="none",  # the networks here are stand-ins without a slope of their own
    )
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(n, *shape, generator=random, dtype=torch.float64) for _ in range(2))
    piece = Piece(Rows(0, n, n), real, torch.zeros(n, dtype=torch.long), {})
    piece.fakes, piece.fake_labels = Fakes(lambda i, graph: fake, graph=False), piece.labels
    draw = Draw(0, 0, piece.rows, real)
    memory = {} if term is None else term.memory(recipe)
    return Turn(recipe, player, 1, n, Phase(space), piece, {"discriminator": discriminator}, memory, draw)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_penalties_of_a_linear_discriminator_are_its_slope(space):
    slope = torch.randn(2, *space, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    turn, norm = turn_of(Linear(slope), space), slope.norm().item()
    assert GradientPenalty()(turn).tolist() == pytest.approx([(norm - 1) ** 2] * 5, rel=1e-12)
    assert GradientPenalty(target=750)(turn).tolist() == pytest.approx([(norm - 750) ** 2] * 5, rel=1e-12)
    assert R1()(turn).tolist() == pytest.approx([norm**2 / 2] * 5, rel=1e-12)
    assert R2()(turn).tolist() == pytest.approx([norm**2 / 2] * 5, rel=1e-12)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_r1_looks_at_real_samples_and_r2_at_generated_ones(space):
    turn = turn_of(Quadratic(), space)
    for term, samples in ((R1(), turn.real), (R2(), turn.fake())):
        torch.testing.assert_close(term(turn), 0.5 * samples.flatten(1).square().sum(1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_gradient_penalty_looks_between_real_and_fake_with_one_weight_a_sample(space):
    turn = turn_of(Quadratic(), space)
    mix = turn.draw.uniform("between")
    between = torch.stack([f + m * (r - f) for m, r, f in zip(mix, turn.real, turn.fake(), strict=True)])
    expected = (between.flatten(1).norm(dim=1) - 1) ** 2
    torch.testing.assert_close(GradientPenalty()(turn), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("on", ["real", "both"])
def test_drift_is_the_squared_logit(on):
    turn = turn_of(Quadratic(), SPACES[0])
    real, fake = (0.5 * x.flatten(1).square().sum(1) for x in (turn.real, turn.fake()))
    expected = real.square() if on == "real" else 0.5 * (real.square() + fake.square())
    torch.testing.assert_close(Drift(on)(turn), expected, rtol=1e-12, atol=0)


TERMS = {name: term for name, term in parts(Term).items() if term.__module__.startswith("gansaku.")}


@pytest.mark.parametrize("kind", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("space", SPACES, ids=str)
class TestEveryTerm:
    def test_gives_one_number_a_sample(self, kind, space):
        network = DCGANDiscriminator((2, *space), width=2, norm="none").build().double()
        assert kind()(turn_of(network, space, term=kind())).shape == (5,)

    def test_its_gradient_reaches_the_weights(self, kind, space):
        network = DCGANDiscriminator((2, *space), width=2, norm="none").build().double()
        kind()(turn_of(network, space, term=kind())).sum().backward()
        assert sum(p.grad.abs().sum().item() for p in network.parameters() if p.grad is not None) > 0

    def test_each_sample_has_its_own(self, kind, space):
        if kind.looks_across:
            return  # and a recipe with it refuses micro-batches
        network = DCGANDiscriminator((2, *space), width=2, norm="none").build().double()
        turn = turn_of(network, space, term=kind())
        before = kind()(turn)
        turn.piece.real[0] += 1
        turn.verdicts.clear()
        after = kind()(turn)
        assert torch.equal(before[1:], after[1:])


def test_a_weight_gradient_of_the_penalty_is_the_finite_difference():
    """Second order: d/dw of (|∇ₓ D| - 1)²."""
    slope = torch.full((2, 8, 12), 0.01, dtype=torch.float64)
    network = Linear(slope)
    turn = turn_of(network, SPACES[0], n=1)
    GradientPenalty()(turn).sum().backward()
    norm = 0.01 * math.sqrt(slope.numel())
    expected = 2 * (norm - 1) * 0.01 / norm
    assert network.slope.grad.flatten().tolist() == pytest.approx([expected] * slope.numel(), rel=1e-9)
