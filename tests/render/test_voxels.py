"""Voxels drawn as boxes: silhouettes in closed form, laws of turning and hiding, an independent slow projection."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gansaku.errors import UsageError
from gansaku.render import faces as faces_module
from gansaku.render.ramps import RAMP, ramped
from gansaku.render.voxels import WIRE, draw

WHITE = np.array([255, 255, 255])
VIEWS = [(30, 25), (0, 0), (45, 90), (100, 10), (200, -35), (350, 60), (-75, -90)]


def inked(picture: np.ndarray) -> np.ndarray:
    return (picture != WHITE).any(axis=-1)


def boxes(shape: tuple[int, int, int], *places: tuple[int, int, int]) -> np.ndarray:
    voxels = np.zeros(shape, bool)
    for place in places:
        voxels[place] = True
    return voxels


def noise(*shape: int, share: float = 0.2) -> np.ndarray:
    return np.random.default_rng(1).random(shape) < share


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 3, 1), (1, 2, 0)], ids=str)
def test_one_box_from_the_front_is_exactly_its_square(place):
    """Sides 3 and 4 have the diagonal 5, so at 250 pixels a box is 0.96 * 250 / 5 = 48 pixels wide."""
    expected = np.zeros((250, 250), bool)
    left, top = 125 - 72 + 48 * place[0], 125 - 48 * place[2]
    expected[top : top + 48, left : left + 48] = True
    assert (inked(draw(boxes((3, 4, 2), place), 250, turn=0, height=0)) == expected).all()


def test_from_above_the_front_is_at_the_bottom_of_the_picture():
    expected = np.zeros((250, 250), bool)
    expected[125 + 96 - 48 : 125 + 96, 125 - 72 : 125 - 24] = True
    assert (inked(draw(boxes((3, 4, 2), (0, 0, 0)), 250, turn=0, height=90)) == expected).all()


@pytest.mark.parametrize(("turn", "height"), VIEWS)
def test_the_silhouette_is_that_of_every_point_projected_by_itself(turn, height):
    voxels, size = noise(3, 5, 4), 96
    fill = np.linspace(1e-6, 1 - 1e-6, 60)
    inside = np.stack(np.meshgrid(fill, fill, fill), axis=-1).reshape(-1, 3)
    points = (np.argwhere(voxels)[:, None] + inside).reshape(-1, 3) - np.array(voxels.shape) / 2
    t, h = math.radians(turn), math.radians(height)
    right = points[:, 0] * math.cos(t) - points[:, 1] * math.sin(t)
    away = points[:, 0] * math.sin(t) + points[:, 1] * math.cos(t)
    up = points[:, 2] * math.cos(h) + away * math.sin(h)
    widest = math.hypot(3, 5)
    scale = 0.96 * 4 * size / max(widest, 4 * math.cos(h) + widest * abs(math.sin(h)))  # four points to a pixel's side
    fine = np.zeros((4 * size, 4 * size), bool)
    fine[np.floor(2 * size - scale * up).astype(int), np.floor(2 * size + scale * right).astype(int)] = True
    expected = fine.reshape(size, 4, size, 4).mean(axis=(1, 3))
    drawn = inked(draw(voxels, size, turn=turn, height=height))
    assert drawn[expected > 0.5].all()
    assert not drawn[expected == 0].any()
    assert 0.1 < drawn.mean() < 0.5


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_by_90_degrees_is_rotating_the_grid(quarters):
    voxels = noise(5, 7, 6)
    rotated = np.rot90(voxels, quarters, axes=(0, 1))
    assert (draw(voxels, 64, turn=20 + 90 * quarters) == draw(rotated, 64, turn=20)).all()


@pytest.mark.parametrize("turn", [0, 90, 180, 270, 360])
@pytest.mark.parametrize("height", [25, -25])
def test_turning_a_little_changes_little_also_past_a_quarter(turn, height):
    voxels = noise(5, 7, 6)
    before, after = (draw(voxels, 64, turn=turn + by, height=height).astype(int) for by in (-0.01, 0.01))
    assert abs(before - after).mean() < 0.3
    assert abs(before - draw(voxels, 64, turn=turn + 10, height=height)).mean() > 5


@pytest.mark.parametrize(("turn", "nearer"), [(45, (0, 0, 1)), (225, (2, 2, 1)), (135, (0, 2, 1)), (315, (2, 0, 1))])
def test_a_box_hides_the_one_behind_it(turn, nearer):
    farther = (2 - nearer[0], 2 - nearer[1], 1)
    both, alone, other = (boxes((3, 3, 3), *places) for places in ((nearer, farther), (nearer,), (farther,)))
    seen = draw(both, 90, turn=turn, height=0)
    assert (seen == draw(alone, 90, turn=turn, height=0)).all()
    assert (seen != draw(other, 90, turn=turn, height=0)).any()


@pytest.mark.parametrize(("height", "nearer"), [(90, (1, 1, 2)), (-90, (1, 1, 0))])
def test_the_upper_box_hides_the_lower_from_above_and_the_other_way_from_below(height, nearer):
    both = boxes((3, 3, 3), (1, 1, 0), (1, 1, 2))
    assert (draw(both, 90, height=height) == draw(boxes((3, 3, 3), nearer), 90, height=height)).all()


@pytest.mark.parametrize(("turn", "height"), VIEWS)
def test_a_hidden_voxel_changes_nothing(turn, height):
    solid = np.ones((3, 4, 5), bool)
    hollow = solid.copy()
    hollow[1, 1:3, 1:4] = False
    assert (draw(solid, 64, turn=turn, height=height) == draw(hollow, 64, turn=turn, height=height)).all()


@pytest.mark.parametrize(("turn", "height"), VIEWS)
@pytest.mark.parametrize("shape", [(8, 8, 8), (2, 9, 5), (9, 1, 2), (1, 1, 12)], ids=str)
def test_the_whole_grid_fits(shape, turn, height):
    picture = inked(draw(np.ones(shape, bool), 64, turn=turn, height=height))
    assert picture.any()
    assert not picture[[0, -1]].any()
    assert not picture[:, [0, -1]].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_no_gap_opens_between_boxes(axis):
    """A plate seen from all around is convex, so the ink of each row of pixels is in one stretch."""
    shape = [24, 24, 24]
    shape[axis] = 1
    for turn, height in [(30, 25), (71, 40), (123, -55)]:
        for row in inked(draw(np.ones(shape, bool), 100, turn=turn, height=height)):
            assert np.abs(np.diff(row.astype(int))).sum() <= 2


def test_the_memory_limit_does_not_show(monkeypatch):
    voxels = noise(6, 5, 7, share=0.5)
    at_once = draw(voxels, 64)
    monkeypatch.setattr(faces_module, "AT_ONCE", 500)
    assert (draw(voxels, 64) == at_once).all()


def test_the_three_faces_differ_in_brightness_and_the_top_is_brightest():
    picture = draw(boxes((1, 1, 1), (0, 0, 0)), 240, turn=40, height=30).astype(int)
    top, left, front = picture[80, 120, 0], picture[150, 75, 0], picture[150, 160, 0]
    assert top > front + 15 > left + 30


def test_bool_and_values_from_minus_one_to_one_draw_the_same():
    voxels = noise(6, 5, 4)
    for kind in (np.float32, np.float64, np.int8):
        assert (draw(voxels, 64) == draw(np.where(voxels, 1, -1).astype(kind), 64)).all()


def test_only_values_above_the_threshold_are_occupied():
    values = np.array([[[-1.0, 0.5, 0.500001, np.nan]]])
    expected = draw(np.array([[[False, False, True, False]]]), 64)
    assert (draw(values, 64, threshold=0.5) == expected).all()


def test_an_empty_grid_draws_no_box_but_the_wire_of_its_bounds():
    picture = draw(np.full((8, 8, 8), -1.0), 128)
    ink = inked(picture)
    assert 0.01 < ink.mean() < 0.15
    assert not ink[60:64, 66:70].any()
    assert (picture >= np.array(WIRE)).all()
    solid = inked(draw(np.ones((8, 8, 8)), 128))
    bounds = [np.flatnonzero(each.any(axis=axis))[[0, -1]] for each in (ink, solid) for axis in (0, 1)]
    assert np.abs(np.array(bounds[:2]) - np.array(bounds[2:])).max() <= 1


def test_colors_are_those_asked_for():
    picture = draw(boxes((2, 2, 2), (0, 0, 0)), 64, color=(0, 0, 200), background=(10, 20, 30))
    assert picture[0, 0].tolist() == [10, 20, 30]
    assert picture[..., 2].max() > 150
    assert picture[..., 0].max() == 10


def test_a_view_of_an_array_draws_like_its_copy_and_is_left_alone():
    values = np.asfortranarray(np.random.default_rng(2).normal(size=(5, 6, 7)))[::-1, :, ::2]
    before = values.copy()
    assert (draw(values, 48) == draw(before, 48)).all()
    assert (values == before).all()


class TestColors:
    @pytest.mark.parametrize("height", [20, -20])
    def test_height_is_that_of_the_grid_also_from_below(self, height):
        """A lone box in a row of five has the ramp's color of its middle, darkened alike in all channels."""
        for w in range(5):
            grid = boxes((1, 1, 5), (0, 0, w))
            picture = draw(grid, 120, turn=30, height=height, color="height").reshape(-1, 3).astype(float)
            seen = np.median(picture[(picture != 255).any(axis=1)], axis=0)
            assert hues(seen) == pytest.approx(hues(ramped((w + 0.5) / 5)), abs=0.02)

    def test_probability_is_that_of_each_box(self):
        values = np.full((3, 1, 1), -1.0)
        values[:, 0, 0] = [0.1, 0.5, 1.0]
        picture = draw(values, 150, turn=0, height=0, color="probability").astype(float)
        for d, value in enumerate(values[:, 0, 0]):
            middle = 75 + round((d - 1) * 0.96 * 150 / math.hypot(3, 1))
            assert hues(picture[75, middle]) == pytest.approx(hues(ramped((value + 1) / 2)), abs=0.03)

    def test_a_color_that_stands_for_numbers_changes_no_silhouette(self):
        voxels = noise(5, 6, 7)
        expected = inked(draw(voxels, 64, turn=200, height=-35))
        for color in ("height", "probability"):
            assert (inked(draw(voxels, 64, turn=200, height=-35, color=color)) == expected).all()

    def test_the_ramp_grows_brighter_all_the_way(self):
        red, green, blue = ramped(np.linspace(0, 1, 101))
        assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) > 0).all()
        assert (RAMP[[0, 0, 1, 4, 4]] == ramped(np.array([-1.0, 0.0, 0.25, 1.0, 2.0])).T).all()


def hues(color):
    """Which share of the light is red, green and blue."""
    return np.asarray(color, float) / np.sum(color)


class TestTransparency:
    @pytest.mark.parametrize(("turn", "height"), VIEWS)
    @pytest.mark.parametrize("opacity", [1.0, 0.4])
    def test_a_picture_without_a_background_laid_on_one_is_the_picture_on_it(self, turn, height, opacity):
        for voxels in (noise(5, 6, 7), np.zeros((5, 6, 7), bool)):
            how = {"turn": turn, "height": height, "opacity": opacity, "color": "height"}
            bare = draw(voxels, 64, background=None, **how).astype(float)
            assert bare.shape == (64, 64, 4)
            for background in ((255, 255, 255), (10, 60, 200)):
                cover = bare[..., 3:] / 255
                laid = bare[..., :3] * cover + (1 - cover) * np.array(background)
                assert np.abs(laid - draw(voxels, 64, background=background, **how)).max() <= 1.6

    def test_every_pixel_within_a_solid_block_is_as_opaque_as_one_face(self):
        """No sample belongs to two faces of one surface, and none to no face."""
        for size, turn, height in ((100, 30, 25), (96, 0, 0), (200, 45, 35), (77, 71, -40)):
            cover = draw(np.ones((9, 9, 9), bool), size, turn=turn, height=height, background=None, opacity=0.4)[..., 3]
            solid = draw(np.ones((9, 9, 9), bool), size, turn=turn, height=height, background=None)[..., 3]
            assert set(np.unique(cover[solid == 255])) == {102}

    @pytest.mark.parametrize("layers", [1, 2, 5])
    def test_plates_behind_each_other_hide_what_they_leave_of_the_light(self, layers):
        grid = np.zeros((3, 9, 3), bool)
        grid[:, : 2 * layers : 2] = True
        cover = draw(grid, 60, turn=0, height=0, background=None, opacity=0.4)[30, 30, 3]
        assert cover == pytest.approx(255 * (1 - 0.6**layers), abs=0.6)

    def test_what_is_inside_shows_through_and_only_then(self):
        hollow = np.ones((9, 9, 9), bool)
        hollow[1:-1, 1:-1, 1:-1] = False
        filled = hollow.copy()
        filled[4, 4, 4] = True
        assert (draw(hollow, 64) == draw(filled, 64)).all()
        changed = (draw(hollow, 64, opacity=0.5) != draw(filled, 64, opacity=0.5)).any(axis=-1)
        assert changed[30:34, 30:34].all()
        assert changed.mean() < 0.1

    def test_full_opacity_is_the_limit_of_nearly_full(self):
        voxels = noise(6, 5, 4)
        assert np.abs(draw(voxels, 64).astype(int) - draw(voxels, 64, opacity=0.999)).max() <= 1


def test_the_least_opacity_is_seen():
    assert draw(np.ones((1, 1, 1), bool), 16, color=(0, 0, 0), opacity=1 / 255).min() < 255


def test_a_larger_picture_is_the_same_picture():
    voxels = noise(6, 5, 4)
    small, large = draw(voxels, 64).astype(float), draw(voxels, 512).astype(float)
    assert np.abs(large.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3)) - small).mean() < 3


@pytest.mark.parametrize(
    ("voxels", "how", "where"),
    [
        (np.ones((1, 2, 2, 2)), {}, "voxels"),
        (np.ones((0, 2, 2)), {}, "voxels"),
        (np.ones((2, 2, 2)), {"size": 0}, "size"),
        (np.ones((2, 2, 2)), {"height": 91}, "height"),
        (np.ones((2, 2, 2)), {"turn": math.inf}, "turn"),
        (np.ones((2, 2, 2)), {"color": "hight"}, "color"),
        (np.ones((2, 2, 2)), {"opacity": 0.0}, "opacity"),
        (np.ones((2, 2, 2)), {"opacity": 1 / 600}, "opacity"),
        (np.ones((2, 2, 2)), {"opacity": 1.01}, "opacity"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(voxels, how, where):
    with pytest.raises(UsageError) as refusal:
        draw(voxels, **how)
    assert refusal.value.where == where
