"""One resize: filters against their formulas, fits against what they promise, and what a scaled decode may fall to."""

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansaku.data.policy import FILTERS, FITS, Policy
from gansaku.data.resizing import decode_least, fitted_space, resized

RNG = np.random.default_rng(0)
GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "pictures.json").read_text())
CALM = RNG.integers(80, 176, size=(13, 22, 3), dtype=np.uint8)  # no filter leaves 0..255 on the way


def stored(golden):
    return np.frombuffer(base64.b64decode(golden["pixels"]), np.uint8).reshape(golden["shape"])


def stretch(how, size):
    return Policy(size=size, fit="stretch", filter=how)


@pytest.mark.parametrize("name", GOLDENS["resized"])
def test_every_fit_and_filter_gives_its_golden(name):
    fit, how, size = name.split()
    space = tuple(map(int, size.split("x")))
    found = resized(stored(GOLDENS["picture"]), space, Policy(size=space, fit=fit, filter=how))
    golden = stored(GOLDENS["resized"][name])
    assert found.shape == golden.shape
    assert np.abs(found.astype(int) - golden).max() <= 1


KERNELS = {  # weight at a distance from the middle, in pixels of the smaller picture
    "lanczos": lambda d: np.where(np.abs(d) < 3, np.sinc(d) * np.sinc(d / 3), 0),
    "bicubic": lambda d: np.select(  # Keys 1981 with a = -1/2
        [np.abs(d) < 1, np.abs(d) < 2],
        [1.5 * np.abs(d) ** 3 - 2.5 * d**2 + 1, -0.5 * np.abs(d) ** 3 + 2.5 * d**2 - 4 * np.abs(d) + 2],
    ),
    "bilinear": lambda d: np.maximum(1 - np.abs(d), 0),
    "box": lambda d: ((d > -0.5) & (d <= 0.5)).astype(float),
}


def slow(picture, size, kernel, axis, start=0.0, end=None):
    """One axis of a picture, each new pixel the weighted mean of all old ones; (start, end) is the part that is taken."""
    old = np.arange(picture.shape[axis]) + 0.5
    scale = ((picture.shape[axis] if end is None else end) - start) / size
    middles = start + (np.arange(size) + 0.5) * scale
    weights = kernel((old[None] - middles[:, None]) / max(scale, 1))
    return np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), picture.astype(float), (1, axis)), 0, axis)


@pytest.mark.parametrize("size", [(5, 7), (4, 11), (13, 9), (20, 30)])
@pytest.mark.parametrize("how", KERNELS)
def test_a_filter_is_the_weighted_mean_that_its_formula_says(how, size):
    expected = slow(slow(CALM, size[1], KERNELS[how], 1), size[0], KERNELS[how], 0)
    assert np.abs(resized(CALM, size, stretch(how, size)) - expected).max() <= 1.5  # rounded twice


def test_a_part_is_filtered_as_inside_the_whole():
    expected = slow(slow(CALM, 6, KERNELS["lanczos"], 1, 3.25, 19.0), 4, KERNELS["lanczos"], 0, 2.0, 12.5)
    found = resized(CALM, (4, 6), stretch("lanczos", (4, 6)), (3.25, 2.0, 19.0, 12.5))
    assert np.abs(found - expected).max() <= 1.5


def test_box_is_the_mean_of_blocks():
    means = CALM[:12, :20].reshape(4, 3, 5, 4, 3).mean((1, 3))
    assert np.abs(resized(CALM[:12, :20], (4, 5), stretch("box", (4, 5))) - means).max() <= 1


def test_nearest_takes_pixels_of_the_picture():
    assert np.array_equal(resized(CALM[:12, :20], (4, 4), stretch("nearest", (4, 4))), CALM[1:12:3, 2:20:5])


@pytest.mark.parametrize("how", [how for how in FILTERS if how != "nearest"])
def test_a_board_finer_than_the_new_pixels_becomes_its_mean_and_not_stripes(how):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    assert np.abs(resized(board, (8, 8), Policy(size=8, filter=how)).astype(int) - 127).max() <= 2


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("fit", FITS)
def test_a_flat_picture_stays_flat(fit, how):
    flat = np.full((9, 14, 3), (250, 3, 128), np.uint8)
    found = resized(flat, (6, 7), Policy(size=(6, 7), fit=fit, filter=how, background=(250, 3, 128)))
    assert (found == (250, 3, 128)).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_its_own_size_changes_nothing(fit, channels):
    picture = CALM[..., :channels]
    assert np.array_equal(resized(picture, (13, 22), Policy(size=(13, 22), fit=fit)), picture)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(12, 28), (28, 12)])
def test_crop_is_the_middle_of_the_whole_made_smaller(height, width, channels):
    picture = RNG.integers(256, size=(height, width, channels), dtype=np.uint8)
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    whole = np.asarray(image.resize((width // 2, height // 2), Image.Resampling.LANCZOS)).reshape(height // 2, -1, channels)
    middle = whole[4:10] if height > width else whole[:, 4:10]
    assert np.abs(resized(picture, (6, 6), Policy(size=6)).astype(int) - middle).max() <= 1


def test_crop_without_scaling_takes_whole_pixels():
    assert np.array_equal(resized(CALM, (13, 13), Policy(size=13)), CALM[:, 4:17])


def test_crop_keeps_the_shape_that_is_asked_for():
    """A wide strip of a tall picture: all of its width, the middle of its height."""
    tall = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None] * 6, (40, 20, 1)).copy()
    found = resized(tall, (5, 10), Policy(size=(5, 10), filter="box"))[:, 0, 0]
    assert found.tolist() == [6 * (15 + 2 * i) + 3 for i in range(5)]


@pytest.mark.parametrize(("height", "width", "space", "expected"), [
    (300, 400, (64, 64), (48, 64)), (400, 300, (64, 64), (64, 48)), (300, 403, (64, 64), (48, 64)),
    (10, 10, (64, 48), (48, 48)), (1, 8000, (64, 64), (1, 64)), (64, 64, (64, 64), (64, 64)),
])  # fmt: skip
def test_fit_stays_inside_with_the_nearest_shape_and_has_no_side_of_zero(height, width, space, expected):
    policy = Policy(size=space, fit="fit")
    assert fitted_space(height, width, policy) == expected
    assert resized(np.zeros((height, width, 1), np.uint8), space, policy).shape == (*expected, 1)


def test_a_size_that_fit_has_found_is_found_again():
    """So that a set's common space, which came from the header, is what its pixels come to."""
    policy = Policy(size=(64, 48), fit="fit")
    for height, width in RNG.integers(1, 700, size=(2000, 2)).tolist():
        space = fitted_space(height, width, policy)
        assert fitted_space(height, width, Policy(size=space, fit="fit")) == space
        gaps = space[0] - space[1] * height / width, space[1] - space[0] * width / height
        assert min(map(abs, gaps)) <= 0.5 or 1 in space
        assert space[0] == 64 or space[1] == 48


def test_pad_sets_the_whole_on_the_background():
    policy = Policy(size=(9, 11), fit="pad", background=(10, 200, 30))
    found = resized(CALM, (9, 11), policy)
    whole = resized(CALM, (6, 11), stretch("lanczos", (6, 11)))
    assert np.array_equal(found[1:7], whole)
    assert (found[[0, 7, 8]] == (10, 200, 30)).all()
    grey = resized(CALM[..., :1], (9, 11), policy)
    assert (grey[[0, 7, 8]] == round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)).all()


def test_without_a_size_a_picture_stays_as_it_is():
    assert fitted_space(13, 22, Policy()) == (13, 22)
    assert fitted_space(13, 22, Policy(size=(5, 6))) == (5, 6)


@pytest.mark.parametrize(("fit", "least"), [
    ("crop", (160, 240)), ("stretch", (160, 100)), ("fit", (67, 100)), ("pad", (67, 100)),
])  # fmt: skip
def test_a_scaled_decode_keeps_twice_the_size_that_all_of_the_picture_comes_to(fit, least):
    assert decode_least(200, 300, Policy(size=(80, 50), fit=fit)) == least


@pytest.mark.parametrize("policy", [Policy(), Policy(size=8, full_decode=True), Policy(size=8, filter="nearest")])
def test_no_scaled_decode_where_all_pixels_are_asked_for(policy):
    assert decode_least(200, 300, policy) is None


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_half_size_comes_to_the_same_size(fit):
    """As a scaled decode gives it, with the part of its pixels that is the picture."""
    policy = Policy(size=(31, 40), fit=fit)
    for height, width in RNG.integers(90, 400, size=(300, 2)).tolist():
        space = fitted_space(height, width, policy)
        half = np.zeros((math.ceil(height / 2), math.ceil(width / 2), 1), np.uint8)
        assert resized(half, space, policy, (0, 0, width / 2, height / 2)).shape == (*space, 1)
