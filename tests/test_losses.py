"""Every adversarial loss keeps the same laws; each has a known answer of its own."""

import math
from functools import partial

import pytest
import torch
from torch import tensor

from gansaku import losses
from gansaku.contract import AdversarialLoss, Target
from gansaku.losses import (
    BinaryCrossEntropy,
    BoundedLogistic,
    Hinge,
    LeastSquares,
    Logistic,
    RelativisticAverage,
    RelativisticPairing,
    Saturating,
    Wasserstein,
)
from gansaku.parts import parts

EVERY = [cls() for cls in parts(AdversarialLoss).values() if cls.__module__ == losses.__name__]
EVERY += [RelativisticAverage("least-squares"), RelativisticAverage("hinge")]


def targets(n, real=1.0, fake=0.0):
    return Target(torch.full((n, 1), real, dtype=torch.float64), torch.full((n, 1), fake, dtype=torch.float64))


def logits(n=7, m=3, seed=0):
    return torch.randn(n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", EVERY, ids=lambda o: f"{type(o).__name__}-{getattr(o, 'form', '')}")
class TestEveryAdversarialLoss:
    """A new loss is picked up here by being registered; it needs no test of its own to start with."""

    def test_gives_one_loss_per_logit(self, loss):
        real, fake = logits(seed=1), logits(seed=2)
        assert loss.discriminator(real, fake, targets(7)).shape == (7, 3)
        assert loss.generator(real, fake, targets(7)).shape == (7, 3)

    def test_the_players_pull_in_opposite_directions(self, loss):
        real, fake = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64, requires_grad=True)
        real = real + 0.25
        (discriminator_wants,) = torch.autograd.grad(loss.discriminator(real, fake + 0.25, targets(4)).sum(), fake)
        (generator_wants,) = torch.autograd.grad(loss.generator(real, fake + 0.25, targets(4)).sum(), fake)
        assert (discriminator_wants > 0).all()
        assert (generator_wants < 0).all()

    def test_the_discriminator_wants_real_samples_higher(self, loss):
        real = torch.zeros(4, 1, dtype=torch.float64, requires_grad=True)
        (wants,) = torch.autograd.grad(loss.discriminator(real, real.detach(), targets(4)).sum(), real)
        assert (wants < 0).all()

    def test_is_finite_for_huge_logits(self, loss):
        huge = tensor([[1e4], [-1e4]], dtype=torch.float64)
        for value in (loss.discriminator(huge, -huge, targets(2)), loss.generator(huge, -huge, targets(2))):
            assert value.isfinite().all()

    def test_says_whether_its_generator_reads_the_real_logits(self, loss):
        fake = logits()
        one, other = loss.generator(logits(seed=1), fake, targets(7)), loss.generator(logits(seed=2), fake, targets(7))
        assert loss.reads_real == (not torch.equal(one, other))

    def test_says_whether_it_reads_targets(self, loss):
        real, fake = logits(seed=1), logits(seed=2)
        one, other = (loss.discriminator(real, fake, targets(7, t, 1 - t)) for t in (1.0, 0.8))
        assert loss.reads_target or torch.equal(one, other)
        if loss.reads_target and not isinstance(loss, RelativisticAverage):
            assert not torch.equal(one, other)

    def test_says_whether_it_looks_across_the_batch(self, loss):
        real, fake, changed = logits(seed=1), logits(seed=2), logits(seed=2)
        changed[0] += 1
        one, other = (loss.discriminator(real, f, targets(7))[1:] for f in (fake, changed))
        assert loss.looks_across == (not torch.equal(one, other))


def test_logistic_at_zero_is_two_coin_flips():
    """With D(x) = 1/2 everywhere the discriminator's loss is 2 log 2 (Goodfellow 2014, theorem 1)."""
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert Logistic().discriminator(zero, zero, targets(1)).item() == pytest.approx(2 * math.log(2), abs=1e-12)


def test_logistic_is_binary_cross_entropy_also_with_soft_and_too_large_targets():
    real, fake = logits(seed=1), logits(seed=2)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    for t, f in ((0.9, 0.1), (1.07, 0.03)):
        expected = entropy(real, torch.full_like(real, t), reduction="none")
        expected = expected + entropy(fake, torch.full_like(fake, f), reduction="none")
        torch.testing.assert_close(Logistic().discriminator(real, fake, targets(7, t, f)), expected, rtol=1e-12, atol=0)


def test_binary_cross_entropy_is_that_of_torch_for_a_sigmoid_with_its_gradients():
    for t in (0.0, 0.3, 1.0, 1.1):
        x = tensor([[-200.0], [-40.0], [-17.5], [-3.0], [0.0], [2.0], [16.0], [17.5], [40.0], [200.0]], requires_grad=True)
        found = BinaryCrossEntropy().generator(None, x, targets(10, t))
        one, zero = (
            torch.nn.functional.binary_cross_entropy(x.sigmoid(), torch.full_like(x, v), reduction="none") for v in (1, 0)
        )
        expected = t * one + (1 - t) * zero  # what it is of a target above 1, which torch takes no longer
        torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=1e-5)
        (mine,), (theirs,) = (torch.autograd.grad(loss.sum(), x) for loss in (found, expected))
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert mine[-3:].tolist() == [[0.0], [0.0], [0.0]]  # beyond 17 σ(x) is 1, and a target of 1.1 pulls no more
    assert BinaryCrossEntropy().generator(None, tensor([[math.nan]]), targets(1)).isnan().all()


def test_binary_cross_entropy_is_the_logistic_loss_where_nothing_is_clamped():
    real, fake, target = logits(seed=1), logits(seed=2), targets(7, 1.05, 0.02)
    one, other = BinaryCrossEntropy(), Logistic()
    close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)
    close(one.discriminator(real, fake, target), other.discriminator(real, fake, target))
    close(one.generator(None, fake, target), other.generator(None, fake, target))


def test_a_sigmoid_before_the_softplus_bounds_losses_and_slopes():
    """At 0 p is ½; far out it is 0 or 1, whose softplus is ln 2 and ln(1 + e)."""
    loss, far = BoundedLogistic(), tensor([[-40.0], [0.0], [40.0]], dtype=torch.float64, requires_grad=True)
    half, none, whole = math.log(1 + math.exp(-0.5)), math.log(2), math.log(1 + math.exp(-1))
    torch.testing.assert_close(loss.generator(None, far, targets(3)).detach().flatten().tolist(), [none, half, whole])
    worst = loss.discriminator(-far, far, targets(3))[2].item()
    assert worst == pytest.approx(none + math.log(1 + math.e))
    x = torch.linspace(-9, 9, 2001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss.discriminator(x.detach(), x, targets(1)).sum(), x)
    assert 0.156 < slope.max() < 0.16
    (slope,) = torch.autograd.grad(loss.generator(None, x, targets(1)).sum(), x)
    assert -0.097 < slope.min() < -0.096


def test_the_saturating_generator_minimizes_log_of_one_minus_d():
    fake = logits()
    expected = (1 - fake.sigmoid()).log()
    torch.testing.assert_close(Saturating().generator(None, fake, targets(7)), expected, rtol=1e-10, atol=1e-12)


def test_least_squares_at_its_targets_is_zero():
    one, zero = torch.ones(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    assert LeastSquares().discriminator(one, zero, targets(2)).abs().max() == 0
    assert LeastSquares().discriminator(zero, one, targets(2)).tolist() == [[1.0], [1.0]]
    assert LeastSquares().generator(None, zero, targets(2)).tolist() == [[0.5], [0.5]]


def test_hinge_stops_at_the_margin():
    real, fake = tensor([[2.0], [0.0]]), tensor([[-3.0], [0.5]])
    assert Hinge().discriminator(real, fake, targets(2)).tolist() == [[0.0], [2.5]]
    assert Hinge().generator(None, fake, targets(2)).tolist() == [[3.0], [-0.5]]


def test_wasserstein_is_the_difference():
    assert Wasserstein().discriminator(tensor([[3.0]]), tensor([[1.0]]), targets(1)).item() == -2
    assert Wasserstein().generator(None, tensor([[1.0]]), targets(1)).item() == -1


def test_relativistic_pairing_reads_only_the_pairs_difference():
    real, fake = logits(seed=1), logits(seed=2)
    one = RelativisticPairing().discriminator(real, fake, targets(7))
    torch.testing.assert_close(one, RelativisticPairing().discriminator(real + 5, fake + 5, targets(7)), rtol=1e-12, atol=0)
    torch.testing.assert_close(one, RelativisticPairing().generator(fake, real, targets(7)), rtol=0, atol=0)
    torch.testing.assert_close(one, -(real - fake).sigmoid().log(), rtol=1e-12, atol=1e-12)


def test_relativistic_average_least_squares_is_as_coded_in_the_dog_competition():
    """½[mean((Dr − mean Df − t)²) + mean((Df − mean Dr + t)²)], G with the signs of t exchanged."""
    real, fake, t = logits(m=1, seed=1), logits(m=1, seed=2), 1.07
    loss = RelativisticAverage("least-squares")
    d = 0.5 * (((real - fake.mean() - t) ** 2).mean() + ((fake - real.mean() + t) ** 2).mean())
    g = 0.5 * (((real - fake.mean() + t) ** 2).mean() + ((fake - real.mean() - t) ** 2).mean())
    assert loss.discriminator(real, fake, targets(7, t)).mean().item() == pytest.approx(d.item(), rel=1e-12)
    assert loss.generator(real, fake, targets(7, t)).mean().item() == pytest.approx(g.item(), rel=1e-12)
