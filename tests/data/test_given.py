"""Single files become the samples that a preparation of their folder makes of them."""

import io

import numpy as np
import pytest
from PIL import Image

from gansaku.data import binvox
from gansaku.data.given import samples_in
from gansaku.data.sources import open_data
from gansaku.errors import DataError

DRAW = np.random.default_rng(0)
COLOUR, GREY = DRAW.integers(0, 256, (40, 61, 3), np.uint8), DRAW.integers(0, 256, (48, 33), np.uint8)
GRID = (DRAW.random((6, 8, 4)) < 0.5).astype(np.uint8)


def as_prepared(folder, space, **choices):
    """(n, C, *S) of the folder's files in the order of their names."""
    dataset = open_data(str(folder), space, **choices)
    return np.moveaxis(dataset.rows(np.arange(len(dataset.labels))), -1, 1)


@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 24, 16), (1, 16, 24), (3, 96, 96)], ids=str)
def test_pictures_are_cropped_and_scaled_as_when_they_are_prepared(tmp_path, shape):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(COLOUR).save(folder / "a.png")
    Image.fromarray(COLOUR).save(folder / "b.jpg")
    Image.fromarray(GREY).save(folder / "c.png")
    turned = Image.Exif()
    turned[0x112] = 6
    Image.fromarray(COLOUR).save(folder / "d.jpg", exif=turned)
    Image.fromarray(GREY).convert("P").save(folder / "e.gif", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    found = samples_in(sorted(folder.iterdir()), shape)
    assert found.shape == (5, *shape)
    np.testing.assert_array_equal(found, as_prepared(folder, shape[1:], channels=shape[0], min_side=1))


@pytest.mark.parametrize("side", [8, 12, 4])
def test_voxels_stand_and_are_resized_as_when_they_are_prepared(tmp_path, side):
    folder = tmp_path / "voxels"
    folder.mkdir()
    (folder / "a.binvox").write_bytes(binvox.write(GRID))
    np.save(folder / "b.npy", GRID)
    np.save(folder / "c.npy", DRAW.random((1, 8, 8, 8)) < 0.5)
    found = samples_in(sorted(folder.iterdir()), (1, side, side, side))
    assert set(np.unique(found)) == {0, 1}
    np.testing.assert_array_equal(found, as_prepared(folder, side))


def test_a_flat_and_a_small_picture_are_meant_where_they_are_named(tmp_path):
    Image.fromarray(COLOUR[:2]).save(tmp_path / "flat.png")
    assert samples_in([tmp_path / "flat.png"], (3, 64, 64)).shape == (1, 3, 64, 64)


def test_a_link_is_what_it_leads_to(tmp_path):
    for folder in ("here", "elsewhere"):
        (tmp_path / folder).mkdir()
    Image.fromarray(COLOUR).save(tmp_path / "elsewhere" / "blob", "png")
    (tmp_path / "here" / "a.png").symlink_to(tmp_path / "elsewhere" / "blob")
    assert samples_in([tmp_path / "here" / "a.png"], (3, 8, 8)).shape == (1, 3, 8, 8)


def png_of(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "shape", "says", "code"),
    [
        ("gone.png", None, (3, 8, 8), "is not there", "DATA_MISSING"),
        ("x" * 300, None, (3, 8, 8), "is not there", "DATA_MISSING"),
        (".", None, (3, 8, 8), "is a folder; name the files in it", "DATA_TYPE"),
        ("a.txt", b"words", (3, 8, 8), "is no picture: PNG, JPEG", "DATA_TYPE"),
        ("a.png", png_of(COLOUR), (1, 8, 8, 8), "is no voxels: .binvox, .npy", "DATA_TYPE"),
        ("a.png", b"words", (3, 8, 8), "is text, not a picture", "IMG_NOT_IMAGE"),
        ("a.png", png_of(COLOUR)[:900], (3, 8, 8), "is cut short", "IMG_TRUNCATED"),
        ("a.png", png_of(COLOUR), (2, 8, 8), "has 1 or 3 channels, and the samples have 2", "DATA_SHAPE"),
        ("a.npy", b"words", (1, 8, 8, 8), "is no .npy file", "NPY_CORRUPT"),
        ("a.binvox", binvox.write(0 * GRID), (1, 8, 8, 8), "is blank", "VOX_BLANK"),
        ("a.binvox", binvox.write(GRID[:4, :4]), (1, 8, 8, 16), "holds 4x4x4 voxels, and the samples have", "DATA_SHAPE"),
    ],
)  # fmt: skip
def test_what_is_no_sample_is_told_with_its_name(tmp_path, name, content, shape, says, code):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        samples_in([tmp_path / name], shape)
    assert (error.value.where, error.value.code) == (str(tmp_path / name), code)
