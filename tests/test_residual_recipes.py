"""SNGAN, SAGAN and BigGAN as recipes: the sources' settings, the table of each size, and what is refused."""

import pytest
import torch

from fixtures.tiny import data
from gansaku.contract import Move
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.losses import Hinge
from gansaku.networks import resampling
from gansaku.parts import difference
from gansaku.recipes.registry import find, recipes
from gansaku.schedules import LinearDecay
from gansaku.training.state import begin
from gansaku.training.step import cycle

NAMES = ["sngan", "sngan-projection", "sagan", "biggan"]
FOUR = ("cat", "dog", "hen", "owl")


def facts(size=32, classes=FOUR):
    return Facts("pictures", (3, size, size), 5000, classes)


def numbers(recipe):
    """Rates, β, D steps to one of G, batch, G steps."""
    g, d = recipe.generator, recipe.discriminator
    steps = sum(move.player == "discriminator" for move in recipe.cycle)
    assert g.optimizer == d.optimizer
    return g.lr, d.lr, g.optimizer.betas, steps, recipe.batch, recipe.length / recipe.batch / steps


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sngan", (2e-4, 2e-4, (0.0, 0.9), 5, 64, 100_000)),
        ("sngan-projection", (2e-4, 2e-4, (0.0, 0.9), 5, 64, 100_000)),
        ("sagan", (1e-4, 4e-4, (0.0, 0.9), 1, 64, 100_000)),
        ("biggan", (2e-4, 2e-4, (0.5, 0.999), 5, 64, 100_000)),
    ],
)
def test_it_trains_with_the_settings_of_its_source(name, settings):
    recipe = find(name, facts())
    assert numbers(recipe) == settings
    assert recipe.loss == Hinge()
    assert recipe.discriminator.network.norm == "spectral"
    assert recipe.cycle[-1] == Move("generator", real="same")  # with new latents
    assert recipes()[name].status == "builds"
    decaying = name != "biggan"
    assert [player.rate for player in recipe.players.values()] == [LinearDecay() if decaying else None] * 2


def test_rates_of_sngan_fall_straight_to_nothing():
    rate = find("sngan", facts()).generator.rate
    assert [rate.at(seen, 100) for seen in (0, 25, 100)] == [1, 0.75, 0]


def test_sngan_knows_no_labels_and_the_conditional_ones_as_many_as_the_data():
    assert [find(name, facts()).classes for name in NAMES] == [0, 4, 4, 4]
    assert [find(name, facts()).fake_labels for name in NAMES] == ["same", "uniform", "uniform", "uniform"]
    assert find("sagan", facts(classes=())).classes == 0


@pytest.mark.parametrize("size", [32, 64, 128])
def test_each_size_has_its_table(size):
    """Channels from the smallest map up, and from the first block down, as in the sources."""
    recipe = find("sngan-projection", facts(size))
    g, d = recipe.generator.network, recipe.discriminator.network
    widths = {32: [256] * 4, 64: [1024, 512, 256, 128, 64], 128: [1024, 1024, 512, 256, 128, 64]}
    judging = {32: [128] * 4, 64: [64, 128, 256, 512, 1024], 128: [64, 128, 256, 512, 1024, 1024]}
    assert [g.width * multiple for multiple in g.multiples] == widths[size]
    assert [d.width * multiple for multiple in d.multiples] == judging[size]
    assert d.halvings == {32: 2, 64: 5, 128: 5}[size]
    assert size // 2 ** (len(g.multiples) - 1) == 4


@pytest.mark.parametrize(("size", "sides"), [(32, (16, 8)), (64, (32, 32)), (128, (32, 32))])
def test_sagan_attends_on_maps_of_these_sides(size, sides):
    recipe = find("sagan", facts(size))
    g, d = recipe.generator.network, recipe.discriminator.network
    assert (4 * 2**g.attention, size // 2**d.attention) == sides
    assert g.spectral
    changed = {change.path for change in difference(find("sngan-projection", facts(size)), recipe)}
    assert changed == {
        "name", "length", "generator.lr", "discriminator.lr", "method.order", "generator.network.attention",
        "generator.network.spectral", "discriminator.network.attention",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "widths"), [(32, ([384] * 4, [192] * 4)), (64, ([1280, 640, 320, 160, 80], [80, 160, 320, 640, 1280]))]
)
def test_biggan_has_studiogans_channels_and_an_average_of_ten_thousand_steps(size, widths):
    recipe = find("biggan", facts(size))
    g, d = recipe.generator.network, recipe.discriminator.network
    assert ([g.width * m for m in g.multiples], [d.width * m for m in d.multiples]) == widths
    assert (4 * 2**g.attention, size // 2**d.attention) == ((16, 16) if size == 32 else (32, 32))
    assert g.latent == recipe.latent.size == {32: 80, 64: 100}[size]
    assert recipe.mirror
    step = recipe.batch * 5  # samples for each G step
    late = 10**7
    assert recipe.generator.ema.keep(10 * late - step, 10 * late) == pytest.approx(0.9999, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_another_size_is_refused_with_those_that_it_has(name):
    has = "32, 64" if name == "biggan" else "32, 64, 128"
    with pytest.raises(RecipeError, match=f"{name}: has networks for sizes {has}, and these samples have 48 × 48; prepare"):
        find(name, facts(48))


SHAPES = [
    ("sngan", (3, 32, 32)), ("sngan-projection", (1, 32, 32, 32)), ("sagan", (3, 32, 32)), ("sagan", (3, 128, 128)),
    ("biggan", (3, 64, 64)), ("biggan", (1, 32, 32, 32)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=str)
def test_a_narrow_one_trains_and_stays_finite(name, shape, monkeypatch):
    """One cycle; in it fast=all takes the joined convolutions and fast=none not one."""
    sides = set()
    for table in (resampling.CONVOLVED, resampling.TRANSPOSED):
        for dims, plain in list(table.items()):
            monkeypatch.setitem(
                table, dims, lambda x, w, *a, plain=plain, **k: (sides.add(w.shape[2]), plain(x, w, *a, **k))[1]
            )
    narrow = {"generator.network.width": 2, "discriminator.network.width": 2, "batch": 2, "precision": "fp32", "fast": "none"}
    recipe = find(name, Facts("toys", shape, 5000, () if name == "sngan" else FOUR)).but(narrow)
    if name in ("sngan", "biggan"):
        recipe = recipe.but({"method.order": recipe.method.order[-2:]})
    found = []
    for variant, kernels in ((recipe, {3}), (recipe.but(fast="all"), {3, 4})):
        sides.clear()
        state = begin(variant)
        signals = cycle(state, variant, data(variant))
        assert sides == kernels
        assert all(value.isfinite().all() for value in signals.values())
        found.append(signals["generator/loss/adversarial"])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
