"""Every kind of picture file decodes to known pixels, or is refused with its code."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gansaku.data.pictures import decode, header, resize
from gansaku.data.tally import Bad

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(256, size=(5, 7, 3), dtype=np.uint8)  # sides differ, so a swapped axis shows
GREY = COLOUR[..., 0]


def saved(image, form="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def code_of(content):
    with pytest.raises(Bad) as caught:
        decode(content)
    return caught.value.code


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height):
    """A PNG of that header with no pixels to speak of."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_back_their_pixels(form):
    options = {"lossless": True} if form == "WEBP" else {}
    assert np.array_equal(decode(saved(COLOUR, form, **options)).pixels, COLOUR)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "JPEG"])
def test_grey_pictures_have_one_channel(form):
    picture = np.full((5, 7), 77, np.uint8) if form == "JPEG" else GREY  # JPEG keeps only what is flat
    assert np.array_equal(decode(saved(picture, form)).pixels, picture[..., None])


def test_jpeg_is_close():
    smooth = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 16, 1)
    assert np.abs(decode(saved(smooth, "JPEG", quality=95)).pixels[..., 0].astype(int) - smooth).max() <= 3


def test_the_format_is_known_by_content_alone():
    assert header(io.BytesIO(saved(COLOUR, "BMP")))[:2] == (5, 7)


def test_deep_grey_is_divided_by_257_and_not_clipped_to_white():
    deep = np.array([[0, 257, 128 * 257], [65535, 128, 129]], np.uint16)
    assert decode(saved(deep)).pixels[..., 0].tolist() == [[0, 1, 128], [255, 0, 1]]


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    assert decode(saved(bits)).pixels[..., 0].tolist() == [[0, 255, 255]]


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_transparency_shows_white_and_not_the_hidden_colour(mode, channels):
    values = {"RGBA": [(9, 99, 199, 0), (9, 99, 199, 255), (0, 0, 0, 51)], "LA": [(9, 0), (9, 255), (0, 51)]}[mode]
    image = Image.new(mode, (3, 1))
    image.putdata(values)
    pixels = decode(saved(image)).pixels[0]
    assert pixels.shape == (3, channels)
    assert pixels[0].tolist() == [255] * channels
    assert pixels[1].tolist() == list(values[1][:channels])
    assert pixels[2].tolist() == [204] * channels  # a fifth black over white


def test_a_palette_becomes_its_colours_and_its_transparent_entry_white():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert decode(saved(image)).pixels[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert decode(saved(image, transparency=1)).pixels[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (2, 2), (0, 255, 255, 0))  # no cyan: red
    pixels, notes = decode(saved(image, "TIFF"))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert notes == ("CMYK converted",)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "corner"), [(1, 0), (2, 1), (3, 3), (4, 2), (5, 0), (6, 1), (7, 3), (8, 2)])
def test_exif_turns_the_marked_corner_to_its_place(form, orientation, corner):
    """The marker is at the top left as stored; `corner` counts top left, top right, bottom left, bottom right."""
    stored = np.zeros((32, 48), np.uint8)
    stored[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(np.stack([stored] * 3, -1), form, exif=exif)
    pixels = decode(content).pixels[..., 0]
    height, width = pixels.shape
    assert (height, width) == ((32, 48) if orientation < 5 else (48, 32)) == header(io.BytesIO(content))[:2]
    corners = [pixels[4, 4], pixels[4, width - 5], pixels[height - 5, 4], pixels[height - 5, width - 5]]
    assert int(np.argmax(corners)) == corner


def test_an_unknown_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 99
    assert np.array_equal(decode(saved(COLOUR, exif=exif)).pixels, COLOUR)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    for form in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        content = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
        pixels, notes = decode(content)
        assert pixels[0, 0].tolist() == [255, 0, 0]
        assert "first frame taken" in notes


NOISE = saved(RNG.integers(256, size=(40, 40, 3), dtype=np.uint8), "JPEG")
LARGE_PNG = saved(RNG.integers(256, size=(40, 40, 3), dtype=np.uint8))


@pytest.mark.parametrize(("content", "code"), [
    (b"", "IMG_EMPTY"),
    (b"\x89", "IMG_UNREADABLE"),
    (b"hello, this is no picture\n", "IMG_NOT_IMAGE"),
    (b"<!DOCTYPE html><html><body>404</body></html>", "IMG_NOT_IMAGE"),
    (NOISE[: len(NOISE) // 2], "IMG_TRUNCATED"),
    (NOISE[:-2], "IMG_TRUNCATED"),
    (LARGE_PNG[: len(LARGE_PNG) // 2], "IMG_TRUNCATED"),
    (saved(np.resize(COLOUR, (40, 40, 3)), "BMP")[:-100], "IMG_TRUNCATED"),
    (LARGE_PNG[:200] + b"\xff" * 40 + LARGE_PNG[240:], "IMG_CORRUPT"),
    (png(0, 5), "IMG_ZERO_SIZE"),
    (png(10_000, 10_000), "IMG_TOO_LARGE"),
    (png(30_000, 30_000), "IMG_BOMB"),
    (saved(np.zeros((2, 2), np.float32), "TIFF"), "IMG_RANGE"),
    (saved(np.full((2, 2), np.nan, np.float32), "TIFF"), "IMG_NONFINITE"),
    (saved(np.full((2, 2), 70_000, np.int32), "TIFF"), "IMG_RANGE"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n", "IMG_FORMAT"),
    (b"8BPS\0\1", "IMG_FORMAT"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "IMG_FORMAT"),
    (b"\0\0\0\x18ftypheic\0\0\0\0", "IMG_FORMAT"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bad_picture_is_refused_with_its_code(content, code):
    assert code_of(content) == code


def test_a_text_chunk_that_unpacks_to_megabytes_is_refused():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 5_000_000))
    assert code_of(LARGE_PNG[:33] + text + LARGE_PNG[33:]) == "IMG_BOMB"


def test_a_web_page_is_called_a_failed_download():
    with pytest.raises(Bad, match="failed download"):
        decode(b"<html><head><title>404</title></head></html>")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(12, 28), (28, 12)])
def test_resize_is_the_middle_of_the_whole_made_smaller(height, width, channels):
    picture = RNG.integers(256, size=(height, width, channels), dtype=np.uint8)
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    whole = np.asarray(image.resize((width // 2, height // 2), Image.Resampling.LANCZOS)).reshape(height // 2, -1, channels)
    middle = whole[4:10] if height > width else whole[:, 4:10]
    assert np.abs(resize(picture, 6).astype(int) - middle).max() <= 1


def test_resize_to_its_own_size_changes_nothing():
    square = np.ascontiguousarray(COLOUR[:, :5])
    assert np.array_equal(resize(square, 5), square)


def test_resize_does_not_alias():
    """A checkerboard finer than the new pixels becomes its mean, not stripes."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    assert np.abs(resize(board, 8).astype(int) - 127).max() <= 2
