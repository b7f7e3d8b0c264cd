"""Optimizers against their papers' algorithms, written as loops over single numbers."""

import math
from itertools import pairwise

import pytest
import torch

from gansaku.errors import RecipeError
from gansaku.optimizers import AdaBound

START = (0.5, -1.0, 3.0)


def gradient(w):
    """Of w⁴ / 4 + sin w."""
    return w**3 + torch.cos(w)


def followed(rates, **settings):
    """Weights after each step at these learning rates."""
    weight = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    made, found = AdaBound(**settings).build([weight], rates[0], fused=False), []
    for lr in rates:
        made.param_groups[0]["lr"] = lr
        weight.grad = gradient(weight.detach())
        made.step()
        found.append(weight.tolist())
    return found


def by_hand(rates, betas=(0.9, 0.999), final_lr=0.1, gamma=1e-3, eps=1e-8):
    """Luo et al. 2019, algorithm 2, with bias correction and without the square root of t."""
    w, m, v, found = list(START), [0.0] * 3, [0.0] * 3, []
    for t, lr in enumerate(rates, 1):
        for i in range(3):
            g = w[i] ** 3 + math.cos(w[i])
            m[i] = betas[0] * m[i] + (1 - betas[0]) * g
            v[i] = betas[1] * v[i] + (1 - betas[1]) * g * g
            alpha = lr * math.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t)
            end = final_lr * lr / rates[0]
            low, high = end * (1 - 1 / (gamma * t + 1)), end * (1 + 1 / (gamma * t))
            w[i] -= min(max(alpha / (math.sqrt(v[i]) + eps), low), high) * m[i]
        found.append(list(w))
    return found


@pytest.mark.parametrize(
    ("rates", "settings"),
    [
        ([1e-3] * 30, {}),
        ([1e-3] * 30, {"betas": (0.5, 0.9), "final_lr": 0.02, "gamma": 0.5}),
        ([2e-3, 1e-3, 5e-4] * 5, {"gamma": 0.1}),
    ],
    ids=["defaults", "others", "a schedule"],
)
def test_adabound_is_its_algorithm(rates, settings):
    for mine, expected in zip(followed(rates, **settings), by_hand(rates, **settings), strict=True):
        assert mine == pytest.approx(expected, rel=1e-12)


def test_adabound_ends_as_plain_descent_with_momentum_at_its_final_rate():
    rates, betas = [1e-3] * 3, (0.0, 0.999)
    weights = [list(START), *followed(rates, betas=betas, final_lr=0.01, gamma=1e9)]
    for before, after in pairwise(weights):
        assert after == pytest.approx([w - 0.01 * (w**3 + math.cos(w)) for w in before], rel=1e-6)


@pytest.mark.parametrize("wrong", [{"betas": (0.5, 1.0)}, {"final_lr": 0.0}, {"gamma": 0.0}, {"eps": -1.0}])
def test_adabound_refuses_what_is_no_setting(wrong):
    with pytest.raises(RecipeError, match=f"{next(iter(wrong))}: "):
        AdaBound(**wrong)
