"""`gansaku verify`: the rule of the bands, their files, a sound run, and runs that were broken on purpose."""

import json
import math
import random
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gansaku import api_recipes
from gansaku.cli import main
from gansaku.losses import Wasserstein
from gansaku.recipes import registry
from gansaku.training.feed import feed
from gansaku.training.state import begin
from gansaku.training.step import cycle
from gansaku.verification import bands, figures
from gansaku.verification.bands import Band, band
from gansaku.verification.material import material

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import bands as tool

CHEAP = "dcgan"
SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "precision": "fp32"}


data = cache(material)


def small(name=CHEAP, **more):
    dataset = data("avatars", bool(registry.recipes()[name].classes))
    return figures.reduced(name, dataset, {**SMALL, **more}, 0), dataset


def as_verified(name):
    known = bands.read(name)
    return figures.reduced(name, data(known.data, bool(registry.recipes()[name].classes)), known.settings, 0)


# the rule


def test_a_band_of_two_seeds_by_hand():
    """Student's t for one degree of freedom is a Cauchy quantile: tan(π (p - ½)); s = √2, √(1 + 1/2)."""
    reach = math.tan(math.pi * 0.4995) * math.sqrt(2) * math.sqrt(1.5)
    low, high = band("discriminator/real", [4.0, 6.0])
    assert low == pytest.approx(5 - reach, rel=1e-5)
    assert high == pytest.approx(5 + reach, rel=1e-5)


def test_a_further_run_is_inside_as_often_as_the_rule_says(monkeypatch):
    monkeypatch.setattr(bands, "SHARE", 0.8)
    monkeypatch.setattr(bands, "FLOOR", 0.0)
    draw = random.Random(0)
    inside = 0
    for _ in range(4000):
        *seeds, further = [draw.gauss(3.0, 2.0) for _ in range(9)]
        inside += band("discriminator/real", seeds).holds(further)
    assert inside / 4000 == pytest.approx(0.8, abs=0.02)


def test_a_positive_figure_has_the_same_band_upside_down():
    """In logarithms 1/x is -x, so its band is (1/high, 1/low), and no band reaches 0."""
    values = [0.02, 0.05, 0.03, 0.01, 0.04]
    low, high = band("slope", values)
    assert band("slope", [1 / value for value in values]) == pytest.approx((1 / high, 1 / low), rel=1e-5)
    assert 0 < low < min(values) < max(values) < high
    assert band("discriminator/real", values).low < 0


def test_a_figure_that_never_varies_has_the_floor():
    assert band("discriminator/real", [-5.0] * 5) == pytest.approx((-5.1, -4.9))
    assert band("samples/spread", [5.0] * 5) == pytest.approx((5 / 1.02, 5.1))
    assert band("slope", [0.0] * 5) == (0, 0)  # which has no logarithm


def test_a_share_that_all_seeds_have_in_full_may_be_a_tenth_less():
    assert band("classifier/told", [1.0] * 8) == pytest.approx((0.9, 1.1))
    assert band("classifier/told", [0.5, 0.9] * 4).low < 0.2


def test_what_a_break_took_away_is_no_sign_of_it():
    inside = dict.fromkeys(("discriminator/loss/r1", "discriminator/loss/drift", "discriminator/k", "slope"), Band(1, 2))
    seen = {"discriminator/loss/drift": 0.0, "discriminator/k": 0.0, "slope": 1.5}
    assert tool.fell_out(inside, seen, "no penalty") == ["discriminator/k"]
    assert tool.fell_out(inside, {**seen, "slope": None}, "no penalty") == ["discriminator/k", "slope"]
    assert tool.fell_out(inside, seen, "classes swapped") == [*list(inside)[:3]]


def test_what_is_missing_or_not_finite_is_outside():
    assert Band(0, 1).holds(0)
    assert not Band(0, 1).holds(1.01)
    assert not Band(0, 1).holds(None)


# the files


@pytest.mark.parametrize("name", bands.names())
class TestEveryBandFile:
    def content(self, name):
        return tomllib.loads((bands.FOLDER / f"{name}.toml").read_text("utf-8"))

    def test_belongs_to_a_recipe_and_says_what_was_run_where(self, name):
        content = self.content(name)
        assert content["recipe"] == name
        entry = registry.recipes()[name]
        dataset = data(content["data"], bool(entry.classes))
        recipe = figures.reduced(name, dataset, content["settings"], 3)
        assert (recipe.seed, recipe.precision, bool(recipe.classes)) == (3, "fp32", bool(entry.classes))
        assert content["cycles"] >= 12
        assert {"torch", "cpu", "threads"} <= content["machine"].keys()
        assert content["date"].year >= 2025

    def test_has_the_bands_that_its_seeds_give(self, name):
        content = self.content(name)
        assert len(set(content["seeds"])) >= bands.LEAST_SEEDS
        for figure, one in content["figures"].items():
            assert len(one["values"]) == len(content["seeds"]), figure
            assert band(figure, one["values"]) == (one["low"], one["high"]), figure

    def test_each_break_falls_out_of_it_or_it_says_which_does_not(self, name):
        content = self.content(name)
        inside = bands.read(name).figures
        assert content["breaks"].keys() == tool.BREAKS.keys()
        recipe = as_verified(name)
        for what, one in content["breaks"].items():
            assert one["applies"] == (tool.BREAKS[what](recipe).recipe is not None), what
            if not one["applies"]:
                assert one["says"].startswith("does not apply: ")
                continue
            values = {figure: None if value == "nan" else value for figure, value in one["values"].items()}
            assert one["outside"] == tool.fell_out(inside, values, what), what
            assert one["outside"] or "is not told apart" in one["says"], what


def test_recipes_without_bands_are_refused_by_name(capsys, monkeypatch):
    monkeypatch.setattr(bands, "names", lambda: ["auto", "dcgan"])
    monkeypatch.setattr(bands, "FOLDER", Path("nowhere"))
    assert main(["verify", "auto"]) == 2
    sentence = "auto: has no bands to land in, so it cannot be verified; there are some of auto, dcgan [BANDS]"
    assert capsys.readouterr().err.strip() == sentence
    assert main(["verify", "dcgna"]) == 2
    assert capsys.readouterr().err.strip() == "dcgna: is no recipe; did you mean 'dcgan'? [RECIPE]"


# the verdict


def test_a_sound_run_lands_in_its_bands_and_leaves_nothing(capsys, tmp_path):
    assert main(["verify", CHEAP, "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["name"], found["ok"], found["seed"]) == (CHEAP, True, 0)
    assert {"settings", "seeds", "cycles", "data"} <= found.keys()
    assert len(found["figures"]) >= 10
    for one in found["figures"]:
        assert one["ok"] is (one["low"] <= one["value"] <= one["high"]) is True
    assert list(tmp_path.rglob("*")) == []


def test_a_broken_run_does_not(capsys, monkeypatch):
    """The real break at a seed of the bands: without the exchange this run lands inside, as the test above shows."""

    def broken(*given):
        return tool.real_and_fake(figures.reduced(*given)).recipe

    monkeypatch.setattr(api_recipes, "reduced", broken)
    assert main(["verify", CHEAP]) == 1
    printed = capsys.readouterr()
    outside = [line.split()[0] for line in printed.out.splitlines() if line.endswith("  outside")]
    assert "discriminator/gap" in outside
    last = printed.err.splitlines()[-1]
    of = len(bands.read(CHEAP).figures)
    assert last == f"{CHEAP}: {len(outside)} of {of} figures lie outside their bands: {', '.join(outside)} [BAND]"


def test_a_run_that_is_not_finite_is_outside_and_still_json(capsys, monkeypatch):
    monkeypatch.setattr(api_recipes, "short_run", lambda *given: {"slope": None})
    assert main(["verify", CHEAP, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert [one["value"] for one in found["figures"] if one["name"] == "slope"] == [None]


# the run


def test_the_same_run_twice_gives_the_same_figures_another_seed_others_and_all_else_stays():
    recipe, dataset = small()
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    try:
        first = figures.short_run(recipe, dataset, 3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert figures.short_run(recipe, dataset, 3) == first
    assert figures.short_run(recipe.but(seed=1), dataset, 3) != first


def test_a_rate_so_large_that_numbers_overflow_gives_figures_that_are_none():
    recipe, dataset = small(**{"generator.lr": 1e30, "discriminator.lr": 1e30})
    found = figures.short_run(recipe, dataset, 6)
    assert None in found.values()
    assert all(value is None or math.isfinite(value) for value in found.values())


def test_figures_are_means_over_the_signals_without_what_says_them_again():
    names = ("discriminator/real", "discriminator/fake", "generator/fake", "generator/gradient", "discriminator/accuracy",
             "discriminator/real_probability", "generator/loss/class", "generator/class_unweighted")  # fmt: skip
    played = [{name: torch.tensor(i + scale) for i, name in enumerate(names)} for scale in (0.0, 4.0)]
    assert figures.means(played) == {
        "discriminator/real": 2, "discriminator/fake": 3, "generator/gradient": 5, "generator/loss/class": 8,
        "discriminator/gap": -1,
    }  # fmt: skip


def test_the_change_of_weights_is_the_root_of_their_mean_square():
    before = [torch.zeros(3), torch.ones(1)]
    assert figures.change(before, [torch.tensor([3.0, 0.0, 0.0]), torch.tensor([6.0])]) == pytest.approx(math.sqrt(34 / 4))


class Painter(nn.Module):
    """A generator that answers class k with the k-th picture."""

    def __init__(self, pictures):
        super().__init__()
        self.pictures = nn.Parameter(pictures)

    def forward(self, z, labels, phase):
        return self.pictures[labels]


@pytest.mark.parametrize(("order", "gap"), [([0, 1], 1.0), ([1, 0], -1.0), ([0, 0], 0.0)])
def test_the_class_figure_is_1_for_the_classes_of_the_data_minus_1_for_exchanged_ones_and_0_for_none(order, gap):
    recipe, _ = small("ac-wgan-gp")
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels = torch.tensor([0, 1] * 32)
    real = figures.looked_at(figures.generated(pictures[labels], recipe), 64)
    state = SimpleNamespace(nets={"generator": Painter(pictures[order])})
    assert figures.class_gap(state, recipe, real, labels) == pytest.approx(gap, abs=1e-6)


def test_the_chairs_are_voxels_without_classes_and_an_unknown_set_is_refused():
    chairs = material("chairs", True)
    assert (chairs.shape, chairs.classes, len(chairs.stored)) == ((1, 16, 16, 16), (), 400)
    with pytest.raises(api_recipes.UsageError, match="there are avatars and chairs"):
        material("cars", False)
    avatars = material("avatars", True)
    assert (len(avatars.classes), avatars.labels.min(), avatars.labels.max()) == (2, 0, 1)
    dark, light = (avatars.stored[avatars.labels == k].mean() for k in (0, 1))
    assert dark < light


# the breaks


@pytest.mark.parametrize("name", bands.names())
def test_the_breaks_of_every_recipe_are_what_they_say(name):
    recipe = as_verified(name)
    faster = tool.learning_rates(recipe).recipe
    assert {who: player.lr for who, player in faster.players.items()} == {
        who: pytest.approx(10 * player.lr) for who, player in recipe.players.items()
    }
    free = tool.no_penalty(recipe).recipe
    if free is not None:
        assert not any(player.terms or player.clip for player in free.players.values())
        assert not any(move.gate for move in free.cycle)
        assert "spectral" not in [norm for _, norm in tool.found(free, "norm")]


def test_swapped_labels_turn_a_wasserstein_discriminators_loss_around():
    recipe, dataset = small(loss=Wasserstein())
    swapped = tool.real_and_fake(recipe).recipe
    first = [cycle(begin(r), r, feed(figures.Batches(dataset, 0), r)) for r in (recipe, swapped)]
    sound, broken = (signals["discriminator/loss/adversarial"] for signals in first)
    assert sound != 0
    assert broken == -sound


def test_swapped_classes_mislead_the_generator_while_it_trains_and_only_then():
    recipe, _ = small("ac-wgan-gp")
    network = tool.classes(recipe).recipe.generator.network
    net = network.build()
    z, labels = torch.randn(4, recipe.latent.size), torch.tensor([0, 1, 1, 0])
    asked = net.eval()(z, labels, None)
    inner = net.generator
    assert torch.equal(asked, inner(z, labels, None))
    for module in (net.train(), inner.train()):
        made = module(z, labels if module is net else 1 - labels, None)
        assert made.shape == asked.shape
    torch.testing.assert_close(net.train()(z, labels, None), inner(z, 1 - labels, None))


def test_runs_are_kept_so_that_a_stopped_making_goes_on_and_others_are_not_mixed_in(monkeypatch, tmp_path):
    monkeypatch.setattr(tool, "KEPT", tmp_path / "kept")
    plan = tool.Plan("dcgan", "avatars", 3, {"batch": 8})
    assert tool.Runs(plan, "digest", again=False).of("seed 0", lambda: {"slope": 1.23456789}) == {"slope": 1.23457}

    def never():
        raise AssertionError("it was there")

    later = tool.Runs(plan, "digest", again=False)
    assert later.of("seed 0", never) == {"slope": 1.23457}
    assert tool.planned("dcgan", None, None, {}, again=False) == plan
    for other in (tool.Runs(plan, "another recipe", again=False), tool.Runs(plan, "digest", again=True)):
        assert other.done == {}
    with pytest.raises(AssertionError, match="it was there"):
        tool.Runs(plan._replace(cycles=4), "digest", again=False).of("seed 0", never)
