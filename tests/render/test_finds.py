"""The sheet of what was found: where boxes are drawn, and how pictures without any look."""

import io

import numpy as np
import pytest
from PIL import Image

from gansaku.render.finds import FOUND, GAP, MISSED, SMALL, finds


def drawn(pictures, columns=None):
    image = Image.open(io.BytesIO(finds(pictures, columns)))
    return np.asarray(image.convert("RGB")), image.info


def flat(height, width, channels=3, value=90):
    return np.full((height, width, channels), value, np.uint8)


def extent(mask):
    """left, top, right, bottom of what is true."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize(("height", "width"), [(512, 1024), (1024, 512), (64, 128), (3000, 6000)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_is_drawn_along_its_edges_whatever_the_pictures_size(height, width, channels):
    scale = 1024 / max(height, width)
    sheet, _ = drawn([(flat(height, width, channels), [(width / 4, height / 2, width / 2, height * 0.75)])])
    left, top, right, bottom = extent((sheet == FOUND).all(-1))
    expected = np.array([width / 4, height / 2, width / 2, height * 0.75]) * scale + GAP
    assert np.abs(expected - (left, top, right, bottom)).max() <= 1
    inside = sheet[top + 6 : bottom - 6, left + 6 : right - 6]
    assert (inside == 90).all()  # the picture itself is left as it is


def test_a_picture_without_a_box_has_a_red_frame_and_the_others_none():
    sheet, _ = drawn([(flat(64, 64), []), (flat(64, 64), [(8, 8, 56, 56)])], columns=2)
    assert extent((sheet == MISSED).all(-1)) == (GAP, GAP, GAP + 512, GAP + 512)
    assert not (sheet[:, GAP + 512 :] == MISSED).all(-1).any()
    assert not (sheet[:, : GAP + 512] == FOUND).all(-1).any()


@pytest.mark.parametrize("box", [(0, 0, 64, 64), (-20, -20, 90, 30), (60, 60, 64, 64), (10, 10, 11, 11)])
def test_a_box_at_or_beyond_the_edges_stays_in_its_picture(box):
    sheet, _ = drawn([(flat(64, 64), [box]), (flat(64, 64, value=91), [])], columns=2)
    assert (sheet[:, GAP + 512 : 2 * GAP + 512] == 255).all()  # the paper between the pictures
    assert (sheet[:, : GAP + 512] == FOUND).all(-1).any()


def test_a_box_around_the_whole_picture_is_seen_on_all_four_sides():
    sheet, _ = drawn([(flat(64, 64), [(0, 0, 64, 64)])])
    picture = sheet[GAP : GAP + 1024, GAP : GAP + 1024]
    assert all((side == FOUND).all() for side in (picture[0], picture[-1], picture[:, 0], picture[:, -1]))


def test_of_a_box_that_reaches_out_only_the_lines_inside_are_drawn():
    sheet, _ = drawn([(flat(64, 64), [(-20, -20, 90, 30)])])
    left, top, right, bottom = extent((sheet == FOUND).all(-1))
    assert (left, right, bottom) == (GAP, GAP + 1024, GAP + 480)
    assert 0 < bottom - top < 8
    sheet, _ = drawn([(flat(1024, 1024), [(-1, -1, 500, 500)])])  # a line of which a part is inside
    assert extent((sheet == FOUND).all(-1)) == (GAP, GAP, GAP + 500, GAP + 500)


@pytest.mark.parametrize(("count", "columns", "shape"), [
    (17, None, (5, 4)), (17, 6, (3, 6)), (20, 5, (4, 5)), (24, 24, (1, 24)), (18, 100, (1, 18)),
])  # fmt: skip
def test_pictures_lie_row_by_row(count, columns, shape):
    sheet, _ = drawn([(flat(64, 64, value=2 * i + 1), [(0, 0, 1, 1)]) for i in range(count)], columns)
    assert sheet.shape == (*(GAP + side * (SMALL + GAP) for side in shape), 3)
    for i in range(count):
        row, column = divmod(i, shape[1])
        assert (sheet[GAP + row * (SMALL + GAP) + SMALL // 2, GAP + column * (SMALL + GAP) + SMALL // 2] == 2 * i + 1).all()


def test_pictures_of_any_shape_lie_in_the_middle_of_their_place():
    shapes = [(10, 400), (400, 10), (100, 100), (1, 1)]
    sheet, _ = drawn([(flat(*shape), []) for shape in shapes], columns=2)
    assert (sheet[GAP : GAP + 200, GAP : GAP + 512] == 255).all()
    assert extent((sheet[: GAP + 512, : GAP + 512] != 255).any(-1)) == (
        GAP,
        GAP + (512 - 13) // 2,
        GAP + 512,
        GAP + (512 - 13) // 2 + 13,
    )


def test_the_counts_are_in_the_notes_and_the_same_sheet_has_the_same_bytes():
    pictures = [(flat(64, 64), [(1, 1, 9, 9), (20, 20, 40, 40)]), (flat(64, 64), []), (flat(64, 64), [(0, 0, 5, 5)])]
    assert drawn(pictures)[1]["Found"] == "3 in 2 of 3 pictures"
    assert finds(pictures) == finds(pictures)


def test_a_sheet_of_nothing_is_paper():
    sheet, notes = drawn([])
    assert ((sheet == 255).all(), notes["Found"]) == (True, "0 in 0 of 0 pictures")


def test_the_pictures_that_are_given_stay_as_they_are():
    picture = flat(1024, 1024)
    finds([(picture, [(10, 10, 90, 90)])])
    assert (picture == 90).all()
