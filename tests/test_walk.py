"""Walks through latent space: the two ways, and that a jump on the way is found."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from gansaku.cli import main
from gansaku.errors import UsageError
from gansaku.evaluation.continuity import continuity
from gansaku.latents import between
from gansaku.runs import walks

A, B = torch.tensor([3.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 3.0], dtype=torch.float64)
HALF = torch.tensor([0.5], dtype=torch.float64)


@pytest.mark.parametrize("way", ["linear", "spherical"])
def test_a_way_begins_at_one_end_and_ends_at_the_other(way):
    a, b = torch.randn(2, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(between(a, b, torch.zeros(5, 1).double(), way), a)
    torch.testing.assert_close(between(a, b, torch.ones(5, 1).double(), way), b)


def test_half_way_is_the_mean_of_both_or_on_the_great_arc():
    assert between(A, B, HALF, "linear").tolist() == [1.5, 1.5]
    assert between(A, B, HALF, "spherical").tolist() == pytest.approx([3 / 2**0.5] * 2)


def test_the_arc_is_walked_at_an_even_speed_and_keeps_the_length():
    share = torch.linspace(0, 1, 10, dtype=torch.float64)[:, None]
    arc = between(A, B, share, "spherical")
    assert arc.norm(dim=1).tolist() == pytest.approx([3.0] * 10)
    apart = arc.diff(dim=0).norm(dim=1)
    assert apart.max().item() == pytest.approx(apart.min().item())


@pytest.mark.parametrize("b", [A, 2 * A, -A])
def test_on_one_line_the_arc_is_the_line(b):
    torch.testing.assert_close(between(A, b, HALF, "spherical"), between(A, b, HALF, "linear"))


def way(stops=4, steps=10):
    """A closed way of straight legs in a latent space of two dimensions."""
    corners = torch.randn(stops, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)[:-1].view(1, -1, 1)
    return between(corners[:, None], corners.roll(-1, 0)[:, None], share, "linear").flatten(0, 1)


def test_where_features_follow_latents_every_step_is_as_large():
    found = continuity(5 * way() @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64), way(), 10)
    assert found.speeds == pytest.approx([1.0] * 40)
    assert found.spread == pytest.approx(0)
    assert found.jumps == []
    assert found.sentence().startswith("no jumps: the largest step, 1.0 times the median")


def test_a_jump_is_found_where_it_is():
    features = way().clone()
    features[23:31] += 4  # from step 22, in the leg from 2 to 3, to step 30, in the last leg
    found = continuity(features, way(), 10)
    assert found.jumps == [22, 30]
    assert [found.between(i) for i in found.jumps] == [(2, 3), (3, 0)]
    assert found.sentence().startswith("2 jumps of 3 times the median or more; the largest step, ")


def test_a_generator_that_does_not_look_at_its_latents_has_no_speed():
    found = continuity(torch.ones(40, 3), way(), 10)
    assert (set(found.speeds), found.spread, found.jumps) == ({0.0}, 0.0, [])
    assert found.sentence() == "nothing changes on the way"


def test_where_most_steps_change_nothing_speeds_are_in_means_and_are_numbers():
    """Voxels that stand still: 39 steps of 0 and one, and the way back, of much."""
    features = torch.zeros(40, 3)
    features[7] = 1.0  # steps 6 and 7
    found = continuity(features, torch.eye(40, dtype=torch.float64), 10)
    assert found.speeds[6] == found.speeds[7] == pytest.approx(20.0)
    assert json.loads(json.dumps(found.speeds, allow_nan=False)) == list(found.speeds)
    assert "the largest step, 20.0 times the mean, lies between samples 0 and 1" in found.sentence()
    assert "20.0 times the mean" in walks.chart(found, {})
    assert "in means" in walks.chart(found, {})


def test_a_walk_on_which_nothing_changes_says_so_and_has_a_chart():
    found = continuity(torch.ones(40, 3), way(), 10)
    assert "nothing changes on the way" in walks.chart(found, {})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("walk") / "run"
    settings = {"length": 128, "batch": 32, "generator.network.width": 4, "discriminator.network.width": 4}
    gansaku.train("dcgan", "avatars", path, settings)
    return path


def test_a_walk_is_an_animation_a_strip_a_chart_and_numbers(run, tmp_path, capsys):
    assert main(["walk", str(run), "--stops", "3", "--steps", "4", "--way", "spherical", "--out", "w", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "w" / "walk.json").read_text()) == told
    assert (told["way"], told["steps"], len(told["speeds"])) == ("spherical", 4, 12)
    with Image.open(tmp_path / "w" / "walk.gif") as animation:
        assert animation.n_frames == 12
    with Image.open(tmp_path / "w" / "strip.png") as strip:
        assert strip.size == (5 * 98 + 2, 3 * 98 + 2)
        assert strip.text["Way"] == "spherical"
    chart = (tmp_path / "w" / "continuity.svg").read_text()
    assert (chart.count('class="step"') + chart.count('class="far"'), chart.count('class="stop"')) == (12, 4)
    assert told["says"] in chart


def test_both_ways_pass_the_same_stops(run):
    linear, spherical = (gansaku.walk(run, way, stops=3, steps=4, way=way) for way in ("linear", "spherical"))
    strips = [np.asarray(Image.open(f"{way}/strip.png")) for way in ("linear", "spherical")]
    stop, between_ = slice(0, 98), slice(2 * 98, 3 * 98)
    np.testing.assert_array_equal(strips[0][:, stop], strips[1][:, stop])
    assert (strips[0][:, between_] != strips[1][:, between_]).any()
    assert linear.found.speeds != spherical.found.speeds


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"stops": 1}, "1 stops with 12 steps"),
        ({"steps": 10_000}, "10,000 pictures at most"),
        ({"way": "curved"}, "use linear or spherical"),
        ({"out": "walk.gif"}, "is no folder; a walk is several files"),
    ],
)
def test_what_is_no_walk_is_refused(run, settings, says):
    with pytest.raises(UsageError, match=says):
        gansaku.walk(run, **{"stops": 2, **settings})
