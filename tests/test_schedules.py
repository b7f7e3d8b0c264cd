"""Schedules are pure functions of the samples seen."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gansaku.contract import Rate
from gansaku.parts import parts
from gansaku.schedules import EMA, Cosine, Doubling, LinearDecay, StepDecay, WarmRestarts

RATES = [LinearDecay(), LinearDecay(0.5, 0.1), Cosine(), Cosine(0.2), StepDecay(100), WarmRestarts(2000)]


def test_every_rate_is_among_those_tested():
    ours = {name for name, kind in parts(Rate).items() if kind.__module__.startswith("gansaku.")}
    assert {type(rate).__name__ for rate in RATES} == ours


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_rate_starts_at_one_and_never_rises(rate):
    factors = [rate.at(seen, 1000) for seen in range(0, 1200, 10)]
    assert factors[0] == 1
    assert all(a >= b >= 0 for a, b in pairwise(factors))


def test_rates_at_known_moments():
    assert LinearDecay(0.5, 0.1).at(500, 1000) == 1
    assert LinearDecay(0.5, 0.1).at(750, 1000) == pytest.approx(0.55)
    assert LinearDecay(0.5, 0.1).at(1000, 1000) == pytest.approx(0.1)
    assert Cosine().at(250, 1000) == pytest.approx(0.5 + math.sqrt(0.125))
    assert StepDecay(100, 0.5).at(399, 1000) == 0.125


@pytest.mark.parametrize("longer", [1, 2])
def test_warm_restarts_are_those_of_torch_stepped_by_whole_passes_after_each_batch(longer):
    passes, batches, batch = 70, 3, 10
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], 2e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 8, longer, 5e-5)
    once = batches * batch
    mine = WarmRestarts(8 * once, longer, end=0.25, step=once, lag=2 * batch)
    seen = 0
    for epoch in range(passes):
        for _ in range(batches):
            seen += batch
            assert 2e-4 * mine.at(seen, 10**6) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
            optimizer.step()
            theirs.step(epoch)


def test_warm_restarts_begin_again_from_one():
    waves = WarmRestarts(100, 2, end=0.1)
    assert [waves.at(seen, 1) for seen in (0, 100, 300, 700)] == [1, 1, 1, 1]
    assert [waves.at(seen, 1) for seen in (50, 200, 500)] == pytest.approx([0.55, 0.55, 0.55])
    assert waves.at(99, 1) < 0.11


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 10**4))
def test_an_average_over_two_cycles_keeps_the_product_once_past_its_ramp(start, first, second):
    ema, start = EMA(half_life=1000), start + 20_000  # beyond 1000 / 0.05 the half-life is constant
    once = ema.keep(start, start + first + second)
    twice = ema.keep(start, start + first) * ema.keep(start + first, start + first + second)
    assert once == pytest.approx(twice, rel=1e-9)


def test_an_average_forgets_half_in_its_half_life():
    assert EMA(half_life=1000).keep(50_000, 51_000) == pytest.approx(0.5)


def test_an_average_hardly_remembers_the_first_weights():
    assert EMA(half_life=10**9, share=0.05).keep(0, 64) < 1e-5


def test_doubling_goes_through_stable_and_fading_phases():
    growth = Doubling(start=4, stable=100, fade=50)
    shape = (3, 16, 16)
    assert growth.at(0, shape, 8) == ((4, 4), 1.0, 8)
    assert growth.at(99, shape, 8) == ((4, 4), 1.0, 8)
    assert growth.at(100, shape, 8) == ((8, 8), 0.0, 8)
    assert growth.at(125, shape, 8) == ((8, 8), 0.5, 8)
    assert growth.at(150, shape, 8) == ((8, 8), 1.0, 8)
    assert growth.at(275, shape, 8) == ((16, 16), 0.5, 8)
    assert growth.at(10**9, shape, 8) == ((16, 16), 1.0, 8)


def test_doubling_keeps_the_proportions_of_a_box():
    assert Doubling(start=4, stable=10, fade=10).at(25, (1, 8, 16, 8), 4)[0] == (8, 16, 8)
