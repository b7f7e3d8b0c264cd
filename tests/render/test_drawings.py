"""Drawings of voxels: sheets, turns, scales, and what is refused; the page's colours are the same."""

import io
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from gansaku.errors import UsageError
from gansaku.render.drawings import ALONE, AMONG, BAR, GAP, MOST_SIDE, Drawing, ink_on, scale, still, turning
from gansaku.render.ramps import RAMP
from gansaku.render.sheet import animation
from gansaku.render.voxels import draw


def noise(*shape, seed=1):
    return np.random.default_rng(seed).random(shape) < 0.3


GRIDS = [noise(5, 6, 7, seed=i) for i in range(5)]


def frames(content):
    """(n, H, W, 4) of an animation, and what it says of itself."""
    with Image.open(io.BytesIO(content)) as opened:
        found = []
        for i in range(opened.n_frames):
            opened.seek(i)
            found.append(np.asarray(opened.convert("RGBA")))
        return np.stack(found), opened.info


class TestStill:
    def test_one_grid_is_what_draw_gives(self):
        how = Drawing(turn=70, height=-10, opacity=0.5, background=(1, 2, 3), pixels=90)
        expected = draw(GRIDS[0], 90, turn=70, height=-10, opacity=0.5, background=(1, 2, 3))
        assert (still(GRIDS[:1], how) == expected).all()

    @pytest.mark.parametrize("background", [(255, 255, 255), (20, 30, 40), None])
    def test_a_sheet_holds_the_pictures_row_by_row_on_their_background(self, background):
        picture = still(GRIDS, Drawing(pixels=40, background=background))
        paper = (0, 0, 0, 0) if background is None else background
        assert picture.shape == (2 * 42 + 2, 3 * 42 + 2, len(paper))
        rest = np.ones(picture.shape[:2], bool)
        for index, grid in enumerate(GRIDS):
            top, left = GAP + index // 3 * 42, GAP + index % 3 * 42
            part = slice(top, top + 40), slice(left, left + 40)
            assert (picture[part] == draw(grid, 40, background=background)).all()
            rest[part] = False
        assert (picture[rest] == paper).all()

    def test_one_grid_has_more_pixels_than_one_of_many(self):
        assert still(GRIDS[:1], Drawing()).shape == (ALONE, ALONE, 3)
        assert still(GRIDS[:4], Drawing()).shape == (2 * (AMONG + GAP) + GAP,) * 2 + (3,)

    def test_a_threshold_is_of_probabilities(self):
        values = np.random.default_rng(0).uniform(-1, 1, (5, 5, 5))
        for threshold in (0.0, 0.3, 0.5, 0.9):
            expected = draw((values + 1) / 2 > threshold, 64)
            assert (still([values], Drawing(threshold=threshold, pixels=64)) == expected).all()


class TestTurning:
    def test_the_pictures_go_once_around_and_begin_with_the_still_one(self):
        how = Drawing(pixels=48, frames=8, turn=20)
        pictures = list(turning(GRIDS[:1], how))
        assert len(pictures) == 8
        assert (pictures[0] == still(GRIDS[:1], how)).all()
        for i, picture in enumerate(pictures):
            assert (picture == draw(GRIDS[0], 48, turn=20 + 45 * i)).all()

    def test_a_webp_loses_nothing_and_keeps_transparency(self):
        for background in ((255, 255, 255), None):
            pictures = list(turning(GRIDS[:2], Drawing(pixels=32, frames=5, background=background, color="height")))
            found, about = frames(animation(pictures, 60, "webp"))
            drawn = np.stack(pictures)
            cover = drawn[..., 3:] if background is None else np.full_like(drawn[..., :1], 255)
            assert (found[..., 3:] == cover).all()
            assert (found[..., :3] == drawn[..., :3])[cover[..., 0] > 0].all()
            assert about["loop"] == 0

    def test_a_gif_is_near_and_repeats_for_ever(self):
        pictures = list(turning(GRIDS[:1], Drawing(pixels=64, frames=4)))
        found, about = frames(animation(pictures))
        assert about["loop"] == 0
        assert found.shape == (4, 64, 64, 4)
        assert np.abs(found[..., :3].astype(int) - np.stack(pictures)).mean() < 1.5


class TestScale:
    @pytest.mark.parametrize("background", [(255, 255, 255), (20, 22, 26), None])
    def test_its_bar_is_the_ramp_and_its_words_can_be_read(self, background):
        picture = scale("height", "32", 400, background).astype(int)
        bar = picture[BAR // 2, :, :3]
        left = np.flatnonzero((bar == RAMP[0]).all(axis=1))[0]
        assert (bar[left + 279] == RAMP[-1]).all()
        assert np.abs(bar[left : left + 280 : 93] - RAMP[0]).max() > 100
        below = picture[BAR:]
        if background is None:
            assert below[..., 3].max() == 255
            assert (below[..., :3] == ink_on(None)).all()
        else:
            assert np.abs(below - background).max() > 150
            assert (below[-1] == background).all()

    @pytest.mark.parametrize("width", [1, 12, 40, 100, 1000])
    def test_it_is_as_wide_as_what_it_stands_under(self, width):
        assert scale("probability", "1", width, None).shape == (38, width, 4)

    @pytest.mark.parametrize("color", ["height", "probability"])
    def test_it_stands_under_what_is_colored_by_numbers_alone(self, color):
        how = Drawing(pixels=64, color=color)
        assert still(GRIDS[:1], how).shape == (64 + 38, 64, 3)
        assert still(GRIDS[:1], Drawing(pixels=64)).shape == (64, 64, 3)
        assert (still(GRIDS[:1], how)[:64] == draw(GRIDS[0], 64, color=color)).all()

    def test_the_end_of_height_is_the_number_of_voxels_where_all_have_the_same(self):
        same, other = (still([grid, grid], Drawing(pixels=99, color="height"))[-38:] for grid in (GRIDS[0], noise(5, 6, 9)))
        mixed = still([GRIDS[0], noise(5, 6, 9)], Drawing(pixels=99, color="height"))[-38:]
        assert (same == scale("height", "7", same.shape[1], (255, 255, 255))).all()
        assert (other == scale("height", "9", same.shape[1], (255, 255, 255))).all()
        assert (mixed == scale("height", "top", same.shape[1], (255, 255, 255))).all()


def test_the_page_has_the_same_ramp():
    """In its shader as numbers, in its style as #rrggbb."""
    shader, style = (files("gansaku.viewer").joinpath(name).read_text() for name in ("scene.js", "page.css"))
    ramp = re.search(r"ramp\[5\] = (.*?);", shader, re.DOTALL)[1]
    assert re.findall(r"vec3\((\d+), (\d+), (\d+)\)", ramp) == [tuple(f"{part:.0f}" for part in stop) for stop in RAMP]
    gradient = re.search(r"linear-gradient\(90deg, (.*?)\)", style)[1]
    assert gradient.split(", ") == ["#" + "".join(f"{int(part):02x}" for part in stop) for stop in RAMP]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"pixels": 0}, r"--pixels: 0 is no side of a picture; use 1 to 16,383 \[SIZE\]"),
        ({"pixels": MOST_SIDE + 1}, r"--pixels: 16,384 is no side"),
        ({"turn": float("nan")}, r"--turn: nan is no angle"),
        ({"height": 90.5}, r"--height: 90\.5 is not between -90, from below, and 90"),
        ({"threshold": 1.0}, r"--threshold: 1 is no probability from 0 to below 1"),
        ({"threshold": float("nan")}, r"--threshold: nan is no probability"),
        ({"color": "hight"}, r"--color: 'hight' is no color of boxes; did you mean 'height'\?"),
        ({"opacity": 0.0}, r"--opacity: 0 is not 0.004, the faintest that is seen"),
        ({"frames": 1}, r"--frames: 1 is no number of pictures for a turn"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_the_flag_that_says_it(how, says):
    with pytest.raises(UsageError, match=says):
        Drawing(**how)


def test_a_picture_that_would_be_too_large_is_refused_before_it_is_drawn():
    with pytest.raises(UsageError, match=r"--pixels: 9,000 for 4 samples is a picture of 18,004 x 18,004 pixels"):
        still(GRIDS[:4], Drawing(pixels=9000))
    with pytest.raises(UsageError, match=r"is 720 pictures of 1,002 x 1,002 pixels; give fewer"):
        turning(GRIDS[:1], Drawing(pixels=1000, frames=720))
    with pytest.raises(UsageError, match="there are none to draw"):
        still([], Drawing())
