"""Pictures with words around them."""

import numpy as np
import pytest
from PIL import ImageFont

from gansaku.render.titled import GAP, MARGIN, TEXT, below, beside, cells, named, titled, wrapped

DRAW = np.random.default_rng(0)


def pixels(*shape):
    return DRAW.integers(0, 200, shape, np.uint8)


def test_lines_are_as_wide_as_there_is_room_and_say_the_whole_sentence():
    font, sentence = (
        ImageFont.load_default(TEXT),
        "Every line is as long as it can be, and a-word-that-is-too-long stands alone.",
    )
    lines = wrapped(sentence, font, 120)
    assert " ".join(lines) == sentence
    assert all(font.getlength(line) <= 120 or " " not in line for line in lines)
    firsts = [line.split()[0] for line in lines[1:]]
    assert all(font.getlength(f"{line} {first}") > 120 for line, first in zip(lines, firsts, strict=False))


@pytest.mark.parametrize("width", [900, 30])
def test_a_title_stands_above_a_body_that_is_left_as_it_is(width):
    body = pixels(50, width, 3)
    page = titled(body, "Title", ["One sentence.", "Another one."])
    np.testing.assert_array_equal(page[-50 - MARGIN : -MARGIN, MARGIN : MARGIN + width], body)
    assert (page[: -50 - MARGIN] < 255).any()  # ink
    assert (page[-MARGIN:] == 255).all()


def test_pictures_stand_beside_and_below_each_other_with_paper_between():
    a, b = pixels(4, 5, 3), pixels(4, 3, 3)
    row, column = beside([a, b]), below([a, b])
    assert (row.shape, column.shape) == ((4, 8 + GAP, 3), (8 + GAP, 5, 3))
    np.testing.assert_array_equal(row[:, -3:], b)
    np.testing.assert_array_equal(column[-4:, :3], b)
    assert (row[:, 5:-3] == 255).all()
    assert (column[-4:, 3:] == 255).all()


def test_a_row_has_its_name_before_it():
    row = pixels(60, 10, 3)
    found = named(row, ["1", "1.20 times"], 90)
    np.testing.assert_array_equal(found[:, 90:], row)
    assert (found[:, :90] < 255).any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 8, 16), (32, 64)), ((1, 40, 20), (40, 20)), ((3, 100, 200), (32, 64)), ((1, 8, 8, 8), (64, 64))],
    ids=str,
)
def test_samples_come_as_near_to_the_asked_size_as_whole_pixels_allow(shape, expected):
    """Small ones by a whole factor, large ones reduced, voxels drawn."""
    samples = pixels(2, *shape)
    made = cells(samples, 64)
    assert made.shape == (2, *expected, 3)
    if shape == (3, 8, 16):
        np.testing.assert_array_equal(made[1, ::4, ::4].transpose(2, 0, 1), samples[1])
