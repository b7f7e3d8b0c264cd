"""Runs that were trained by themselves, as arms: only what is a fair comparison, and only what was declared."""

import pytest

from gansaku.contract import Player
from gansaku.errors import UsageError
from gansaku.experiments.finished import Finished, groups
from gansaku.losses import Hinge
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe

SHAPE = (3, 32, 32)
BASE = Recipe(
    SHAPE, Player(DCGANGenerator(SHAPE), Adam(), 2e-4), Player(DCGANDiscriminator(SHAPE), Adam(), 2e-4), length=1000, name="one"
)  # fmt: skip


def run(recipe, seed, seen=1000, data="abc"):
    return Finished(f"run-{seed}", recipe.but(seed=seed, name=f"any{seed}"), seen, data)


def runs_of(*recipes, seeds=(0, 1)):
    return [run(recipe, seed) for recipe in recipes for seed in seeds]


def test_runs_of_one_recipe_at_several_seeds_are_an_arm():
    a, b = groups(runs_of(BASE, BASE.but(loss=Hinge())), ["loss"])
    assert [(group.arm.name, dict(group.runs)) for group in (a, b)] == [
        ("loss=Logistic", {0: 0, 1: 1}),
        ("loss=Hinge", {0: 2, 1: 3}),
    ]


def test_a_change_of_several_settings_is_called_by_the_first_of_them():
    changes = {"generator.lr": 1e-3, "discriminator.lr": 1e-3, "batch": 32, "mirror": True, "latent.scale": 2.0}
    _, b = groups(runs_of(BASE, BASE.but(changes)), ["recipe"])
    assert b.arm.name == "batch=32, discriminator.lr=0.001, generator.lr=0.001 and 2 more"


@pytest.mark.parametrize(
    ("runs", "declared", "says"),
    [
        (runs_of(BASE, BASE.but(loss=Hinge())), [], "by what was not declared: loss.part: Logistic → Hinge; --vary loss.part"),
        (runs_of(BASE, BASE.but({"loss": Hinge(), "batch": 32})), ["loss"], "not declared: batch: 64 → 32; --vary batch decl"),
        (runs_of(BASE), ["loss"], "these 2 runs have one recipe"),
        ([*runs_of(BASE), run(BASE, 0)], ["loss"], "has the recipe and the seed of run-0"),
        ([*runs_of(BASE), run(BASE.but(loss=Hinge()), 0)], ["loss"], "run-1: has seed 1, which not every arm has"),
        ([run(BASE, 0), run(BASE.but(loss=Hinge()), 0, seen=500)], ["loss"], "has seen 500 samples and run-0 1,000"),
        ([run(BASE, 0), run(BASE.but(loss=Hinge()), 0, data="other")], ["loss"], "was trained on other data than run-0"),
    ],
)  # fmt: skip
def test_what_is_no_fair_comparison_is_refused(runs, declared, says):
    with pytest.raises(UsageError, match=says):
        groups(runs, declared)


def test_runs_that_began_with_other_weights_are_another_arm_and_have_to_be_declared():
    new, tuned = [run(BASE, seed) for seed in (0, 1)], [run(BASE, seed)._replace(began="faces") for seed in (0, 1)]
    with pytest.raises(UsageError, match="not declared: from: none → faces; --vary from declares it"):
        groups([*new, *tuned], [])
    base, other = groups([*new, *tuned], ["from"])
    assert (base.arm.name, other.arm.name) == ("from=none", "from=faces")
    assert other.runs == {0: 2, 1: 3}


def test_a_part_that_is_declared_covers_what_it_brings_along():
    changed = BASE.but({"generator.network.grow": "resize", "generator.network.norm_first": False})
    assert len(groups(runs_of(BASE, changed), ["generator.network"])) == 2
