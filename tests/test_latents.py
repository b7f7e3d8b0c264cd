"""Priors have the moments they promise, and draws do not depend on how a batch is cut."""

import pytest
import torch

from gansaku.contract import Prior
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian, Sphere, Uniform
from gansaku.parts import parts

LIKE = torch.empty(0)


def drawn(prior, start=0, stop=4000, total=4000, turn=0, seed=0, purpose="z"):
    return prior.sample(Draw(seed, turn, Rows(start, stop, total), LIKE), purpose)


@pytest.mark.parametrize("kind", parts(Prior).values(), ids=parts(Prior))
class TestEveryPrior:
    def test_gives_rows_of_its_size(self, kind):
        assert drawn(kind(size=7)).shape == (4000, 7)

    def test_rows_of_a_part_are_the_rows_of_the_whole(self, kind):
        whole = drawn(kind(size=5))
        parts_of_it = [drawn(kind(size=5), start, start + 1000) for start in range(0, 4000, 1000)]
        assert torch.equal(whole, torch.cat(parts_of_it))

    def test_turn_seed_and_purpose_each_give_other_numbers(self, kind):
        one = drawn(kind(size=5))
        for other in ({"turn": 1}, {"seed": 1}, {"purpose": "w"}):
            assert not torch.equal(one, drawn(kind(size=5), **other))

    def test_the_global_generator_has_no_say(self, kind):
        torch.manual_seed(1)
        one = drawn(kind(size=5))
        torch.manual_seed(2)
        assert torch.equal(one, drawn(kind(size=5)))

    def test_no_latent_values_are_refused(self, kind):
        with pytest.raises(RecipeError, match="latent values"):
            kind(size=0)


def test_moments_are_those_of_the_formula():
    """4000 × 16 values: the standard error of a mean is 0.004, so 0.02 is five of them."""
    gaussian, uniform, sphere = drawn(Gaussian(16, 0.33)), drawn(Uniform(16)), drawn(Sphere(16))
    assert gaussian.std().item() == pytest.approx(0.33, abs=0.01)
    assert uniform.square().mean().item() == pytest.approx(1 / 3, abs=0.01)
    assert uniform.abs().max() <= 1
    assert sphere.norm(dim=1) == pytest.approx(4.0, abs=1e-5)
    for z in (gaussian, uniform, sphere):
        assert z.mean().item() == pytest.approx(0, abs=0.02)


def test_truncation_bounds_every_value_and_keeps_their_order():
    prior = Gaussian(8, scale=2.0)
    z = drawn(prior)
    inside = prior.truncated(z, 0.8)
    assert inside.abs().max() <= 1.6
    assert torch.equal(inside[:, 0].argsort(), z[:, 0].argsort())


def test_a_wide_truncation_changes_almost_nothing():
    z = drawn(Gaussian(8))
    assert (Gaussian(8).truncated(z, 6.0) - z).abs().max() < 5e-3


def test_truncating_a_sphere_is_refused():
    with pytest.raises(RecipeError, match="Sphere cannot be truncated"):
        Sphere(8).truncated(torch.zeros(1, 8), 0.8)
