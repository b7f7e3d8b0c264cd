"""Every kind of picture file decodes to known pixels, or is refused with its code."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansaku.data.picture_bytes import jpeg_marks
from gansaku.data.pictures import Header, decode, disguised, header, with_channels
from gansaku.data.policy import Policy
from gansaku.data.resizing import decode_least, resized
from gansaku.data.tally import Bad

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(256, size=(5, 7, 3), dtype=np.uint8)  # sides differ, so a swapped axis shows
GREY = COLOUR[..., 0]
PLAIN = Policy()
ALL = Policy(frames="all")
GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "pictures.json").read_text())["decoded"]
FILES = {name: base64.b64decode(golden["file"]) for name, golden in GOLDENS.items()}
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def saved(image, form="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def pixels(content, policy=PLAIN):
    (found,) = decode(content, policy)
    return found.pixels


def codes(content, policy=PLAIN):
    return {note.code for note in decode(content, policy)[0].notes if note.code}


def code_of(content, policy=PLAIN):
    with pytest.raises(Bad) as caught:
        decode(content, policy)
    return caught.value.code


def gap(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).max()


def raw(name):
    """A golden's samples as its file holds them, by Pillow alone."""
    return np.asarray(Image.open(io.BytesIO(FILES[name]))).astype(float)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth=8, kind=2, rows=b"", more=b""):
    """A PNG of that header, with no pixels to speak of if none are given."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def photograph(height, width):
    """Waves of all directions and lengths, about as much of each as photographs have, the more in light than in colour."""
    rng = np.random.default_rng(1)
    spectrum = rng.normal(size=(height, width, 3)) + 1j * rng.normal(size=(height, width, 3))
    size = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) + 0.01
    waves = np.fft.ifft2(spectrum / size[..., None] ** 1.6, axes=(0, 1)).real
    waves = (waves + 3 * waves[..., :1]) / waves.std()
    return np.clip(128 + 15 * waves, 0, 255).astype(np.uint8)


# What each kind becomes


@pytest.mark.parametrize("name", GOLDENS)
def test_every_kind_decodes_to_its_golden(name):
    golden = np.frombuffer(base64.b64decode(GOLDENS[name]["pixels"]), np.uint8).reshape(GOLDENS[name]["shape"])
    assert gap(pixels(FILES[name]), golden) <= 1  # decoders of JPEG differ


@pytest.mark.parametrize("name", GOLDENS)
def test_the_header_says_what_decoding_gives(name):
    found, head = pixels(FILES[name]), header(io.BytesIO(FILES[name]))
    assert (head.height, head.width) == found.shape[:2]
    assert head.grey == (found.shape[2] == 1)


def test_the_header_has_the_form_in_pillows_words():
    assert header(io.BytesIO(saved(COLOUR, "BMP"))) == Header(5, 7, False, "BMP", "RGB")


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_back_their_pixels(form):
    options = {"lossless": True} if form == "WEBP" else {}
    assert np.array_equal(pixels(saved(COLOUR, form, **options)), COLOUR)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "JPEG"])
def test_grey_pictures_have_one_channel(form):
    picture = np.full((5, 7), 77, np.uint8) if form == "JPEG" else GREY  # JPEG keeps only what is flat
    assert np.array_equal(pixels(saved(picture, form)), picture[..., None])


def test_jpeg_is_close():
    smooth = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 16, 1)
    assert gap(pixels(saved(smooth, "JPEG", quality=95))[..., 0], smooth) <= 3


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_turns_as_numpy_does(form, orientation):
    options = {"lossless": True} if form == "WEBP" else {}
    content = saved(COLOUR, form, exif=exif(orientation), **options)
    assert np.array_equal(pixels(content), TURNS[orientation](COLOUR))
    assert header(io.BytesIO(content))[:2] == TURNS[orientation](COLOUR).shape[:2]
    assert any(note.sentence == "turned upright" for note in decode(content, PLAIN)[0].notes) == (orientation > 1)


@pytest.mark.parametrize(("orientation", "corner"), [(1, 0), (2, 1), (3, 3), (4, 2), (5, 0), (6, 1), (7, 3), (8, 2)])
def test_exif_turns_the_marked_corner_of_a_jpeg_to_its_place(orientation, corner):
    """The marker is at the top left as stored; `corner` counts top left, top right, bottom left, bottom right."""
    stored = np.zeros((32, 48), np.uint8)
    stored[:16, :16] = 255
    content = saved(np.stack([stored] * 3, -1), "JPEG", exif=exif(orientation))
    found = pixels(content)[..., 0]
    height, width = found.shape
    assert (height, width) == ((32, 48) if orientation < 5 else (48, 32)) == header(io.BytesIO(content))[:2]
    corners = [found[4, 4], found[4, width - 5], found[height - 5, 4], found[height - 5, width - 5]]
    assert int(np.argmax(corners)) == corner


def test_the_orientation_of_a_png_is_found_behind_its_pixels_too():
    first = saved(COLOUR, exif=exif(6))
    at = first.index(b"eXIf") - 4
    length = 12 + int.from_bytes(first[at : at + 4], "big")
    last = first[:at] + first[at + length : -12] + first[at : at + length] + first[-12:]
    assert np.array_equal(pixels(last), pixels(first))
    assert header(io.BytesIO(last)) == header(io.BytesIO(first))


def test_an_unknown_orientation_is_left_and_warned_of():
    for form in ("PNG", "TIFF"):
        content = saved(COLOUR, form, exif=exif(99))
        assert np.array_equal(pixels(content), COLOUR)
        assert codes(content) == {"IMG_ORIENTATION"}


@pytest.mark.parametrize(
    "damaged", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\1", b"nonsense"]
)
def test_damaged_exif_data_are_dropped_and_the_picture_kept(damaged):
    content = saved(COLOUR, exif=damaged)
    assert np.array_equal(pixels(content), COLOUR)
    assert codes(content) == {"IMG_METADATA"}


def test_deep_grey_is_divided_by_257_and_rounded():
    deep = np.array([[0, 257, 128 * 257], [65535, 128, 129]], np.uint16)
    assert pixels(saved(deep))[..., 0].tolist() == [[0, 1, 128], [255, 0, 1]]
    for name in ("16-bit grey", "16-bit grey tiff"):
        assert np.array_equal(pixels(FILES[name])[..., 0], np.floor(raw(name) / 257 + 0.5))


def test_of_deep_colour_the_upper_byte_is_kept_which_is_within_one_of_the_division():
    samples = np.linspace(0, 65535, 5 * 7 * 4).round().reshape(5, 7, 4)[..., :3]
    found = pixels(FILES["16-bit rgb"])
    assert np.array_equal(found, samples // 256)
    assert np.abs(found - samples / 257).max() < 1
    assert codes(FILES["16-bit rgb"]) == {"IMG_DEPTH"}


def test_samples_of_12_bits_reach_white():
    rows = bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x00])  # 4095, 0, 2048, 0: two to three bytes
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, len(rows))]
    content = b"II*\0" + struct.pack("<I", 8 + len(rows)) + rows + struct.pack("<H", len(entries))
    content += b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries) + bytes(4)
    assert pixels(content)[..., 0].tolist() == [[255, 0, 128, 0]]


def test_where_a_tiff_says_that_zero_is_white_16_bits_are_turned_over():
    content = saved(np.array([[0, 257, 65535]], np.uint16), "TIFF")
    black = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert black in content
    assert pixels(content.replace(black, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))[..., 0].tolist() == [[255, 254, 0]]


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    assert pixels(saved(bits))[..., 0].tolist() == [[0, 255, 255]]


@pytest.mark.parametrize("name", ["LA", "RGBA", "16-bit grey with alpha", "16-bit rgba"])
@pytest.mark.parametrize("background", [(255, 255, 255), (200, 100, 0)])
def test_transparency_is_composited_on_the_background(name, background):
    samples = raw(name)
    colour, alpha = samples[..., :-1], samples[..., -1:] / 255
    behind = np.array(background)
    if "LA" in name or "grey" in name:
        colour, behind = colour[..., :1], np.array([0.299, 0.587, 0.114]) @ behind
    expected = colour * alpha + behind * (1 - alpha)
    assert np.abs(pixels(FILES[name], Policy(background=background)) - expected).max() <= 1


def test_transparency_shows_white_and_not_the_hidden_colour():
    image = Image.new("RGBA", (2, 1))
    image.putdata([(9, 99, 199, 0), (9, 99, 199, 255)])
    assert pixels(saved(image)).tolist() == [[[255, 255, 255], [9, 99, 199]]]


@pytest.mark.parametrize(("clear", "warned"), [(17, False), (18, True)])
def test_a_picture_that_is_transparent_for_more_than_half_is_warned_of(clear, warned):
    alpha = np.r_[np.full(clear, 127), np.full(35 - clear, 128)].astype(np.uint8).reshape(5, 7, 1)
    content = saved(np.concatenate([COLOUR, alpha], -1))
    assert codes(content) == ({"IMG_TRANSPARENT"} if warned else set())


def test_a_palette_becomes_its_colours_and_its_transparent_entry_white():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert pixels(saved(image))[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert pixels(saved(image, transparency=1))[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    half = pixels(saved(image, transparency=bytes([255, 51, 0])))[0]
    assert half.tolist() == [[255, 0, 0], [204, 255, 204], [255, 255, 255]]  # a fifth green over white


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_png_may_declare_one_value_transparent(depth):
    """White, of any depth; black stays."""
    white = (1 << depth) - 1
    rows = {1: b"\0\x80", 2: b"\0\xc0", 4: b"\0\xf0", 8: b"\0\xff\0", 16: b"\0\xff\xff\0\0"}[depth]
    content = png(2, 1, depth, 0, rows, chunk(b"tRNS", struct.pack(">H", white)))
    assert pixels(content, Policy(background=(9, 9, 9)))[..., 0].tolist() == [[9, 0]]


@pytest.mark.parametrize("name", ["cmyk jpeg with Adobe's marker", "cmyk jpeg without", "cmyk tiff"])
def test_ink_takes_away_light_whether_stored_as_ink_or_inverted(name):
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (0, 255, 255, 0), (0, 0, 0, 128)]
    light = 255 - np.array(inks, float)
    found = pixels(FILES[name])[4, 4::8]
    assert np.abs(found - light[:, :3] * light[:, 3:] / 255).max() <= 3  # as close as JPEG
    assert codes(FILES[name]) == {"IMG_CMYK"}


# Colour profiles

SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])  # to XYZ, D50
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])


def srgb(linear):
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["wide gamut", "wide gamut with alpha"])
def test_a_wide_gamut_becomes_srgb_by_its_primaries(name):
    linear = (raw(name)[..., :3] / 255) ** (563 / 256)
    expected = srgb(linear @ ADOBE.T @ np.linalg.inv(SRGB).T)
    assert np.abs(pixels(FILES[name]) - expected).max() <= 2
    assert np.abs(raw(name)[..., :3] - expected).max() > 30  # to leave it out would show


def test_linear_grey_becomes_srgb_by_its_curve_and_stays_one_channel():
    expected = srgb(raw("linear grey")[..., None] / 255)
    assert np.abs(pixels(FILES["linear grey"]) - expected).max() <= 2


def test_a_press_profile_says_what_its_inks_look_like():
    """Its table: lightness, and a and b, at the corners, in between linear; CIELAB to sRGB written out."""
    found = pixels(FILES["cmyk jpeg with a profile"])[4, 4::8]
    light = 100 * np.array([1, 5 / 6, 5 / 6, 5 / 6, 0, 4 / 6, 127 / 255])
    a, b = np.array([0, 0, 20, 0, 0, 20, 0]), np.array([0, -30, 0, 0, 0, 0, 0])
    f = np.stack([(light + 16) / 116 + a / 500, (light + 16) / 116, (light + 16) / 116 - b / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    assert np.abs(found - srgb(xyz @ np.linalg.inv(SRGB).T)).max() <= 4
    assert codes(FILES["cmyk jpeg with a profile"]) == set()


def test_a_profile_that_is_srgb_changes_nothing_and_is_not_counted():
    from PIL import ImageCms

    content = saved(COLOUR, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert np.array_equal(pixels(content), COLOUR)
    assert decode(content, PLAIN)[0].notes == ()


@pytest.mark.parametrize("profile", [b"nonsense", bytes(36) + b"acsp" + bytes(200), bytes(16) + b"RGB " + bytes(16) + b"acsp"])
def test_a_profile_that_cannot_be_used_is_left_out_and_warned_of(profile):
    content = saved(COLOUR, icc_profile=profile)
    assert np.array_equal(pixels(content), COLOUR)
    assert codes(content) == {"IMG_METADATA"}


# Ranges


def declared(values, low, high):
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in ((340, low), (341, high)):
        tags.tagtype[tag] = 12
        tags[tag] = value
    return saved(values, "TIFF", tiffinfo=tags)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_numbers_are_taken_where_the_file_declares_their_range(kind):
    content = declared(np.array([[-10, 0, 10, 20]], kind), -10.0, 10.0)
    assert pixels(content)[..., 0].tolist() == [[0, 128, 255, 255]]


def test_whole_numbers_that_are_16_bit_samples_are_taken_with_a_warning():
    content = saved(np.array([[0, 257, 65535]], np.int32), "TIFF")
    assert pixels(content)[..., 0].tolist() == [[0, 1, 255]]
    assert codes(content) == {"IMG_DEPTH"}


# More than one picture in a file


def animation(form, **options):
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue", "lime")]
    options |= {"lossless": True} if form == "WEBP" else {}
    return saved(frames[0], form, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken_or_all(form):
    content = animation(form)
    assert pixels(content)[0, 0].tolist() == [255, 0, 0]
    assert codes(content) == {"IMG_FRAMES"}
    assert [found.pixels[1, 2].tolist() for found in decode(content, ALL)] == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]
    assert len(decode(saved(COLOUR, form), ALL)) == 1


def test_all_frames_together_may_not_be_too_large(monkeypatch):
    monkeypatch.setattr("gansaku.data.pictures.LARGEST", 17)
    assert code_of(animation("GIF"), ALL) == "IMG_TOO_LARGE"
    monkeypatch.setattr("gansaku.data.pictures.LARGEST", 18)
    monkeypatch.setattr("gansaku.data.pictures.MOST_FRAMES", 2)
    assert code_of(animation("TIFF"), ALL) == "IMG_TOO_LARGE"


def test_a_frame_of_huge_extents_is_not_decoded():
    content = animation("GIF")
    second = content.rindex(b"\x2c", 0, content.rindex(b"\x2c"))
    content = content[: second + 5] + b"\xff\xff\xff\xff" + content[second + 9 :]
    assert code_of(content, ALL) == "IMG_BOMB"
    assert pixels(content)[0, 0].tolist() == [255, 0, 0]


# What is refused, and what is only warned of

NOISE = saved(RNG.integers(256, size=(40, 40, 3), dtype=np.uint8), "JPEG")
LARGE_PNG = saved(RNG.integers(256, size=(40, 40, 3), dtype=np.uint8))


def tiff_of(*entries):
    """The directory of a TIFF and nothing else; values are longs."""
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags + bytes(4)


@pytest.mark.parametrize(("content", "code"), [
    (b"", "IMG_EMPTY"),
    (b"\x89", "IMG_UNREADABLE"),
    (b"hello, this is no picture\n", "IMG_NOT_IMAGE"),
    (b"<!DOCTYPE html><html><body>404</body></html>", "IMG_NOT_IMAGE"),
    (NOISE[: len(NOISE) // 2], "IMG_TRUNCATED"),
    (NOISE[:-2], "IMG_TRUNCATED"),
    (NOISE[:300], "IMG_TRUNCATED"),
    (LARGE_PNG[: len(LARGE_PNG) // 2], "IMG_TRUNCATED"),
    (saved(np.resize(COLOUR, (40, 40, 3)), "BMP")[:-100], "IMG_TRUNCATED"),
    (LARGE_PNG[:200] + b"\xff" * 40 + LARGE_PNG[240:], "IMG_CORRUPT"),
    (png(0, 5), "IMG_ZERO_SIZE"),
    (png(10_000, 10_000), "IMG_TOO_LARGE"),
    (png(30_000, 30_000), "IMG_BOMB"),
    (png(2**31 - 1, 1), "IMG_BOMB"),
    (png(1 << 17, 1), "IMG_TOO_LARGE"),
    (saved(COLOUR, "TIFF").replace(struct.pack("<HHII", 257, 4, 1, 5), struct.pack("<HHII", 257, 4, 1, 6)), "IMG_TRUNCATED"),
    (saved(np.zeros((2, 2), np.float32), "TIFF"), "IMG_RANGE"),
    (saved(np.full((2, 2), np.nan, np.float32), "TIFF"), "IMG_NONFINITE"),
    (saved(np.full((2, 2), 70_000, np.int32), "TIFF"), "IMG_RANGE"),
    (saved(np.full((2, 2), 200, np.int32), "TIFF"), "IMG_RANGE"),
    (saved(np.full((2, 2), -1, np.int32), "TIFF"), "IMG_RANGE"),
    (declared(np.zeros((2, 2), np.float32), 5.0, 5.0), "IMG_RANGE"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n", "IMG_FORMAT"),
    (b"%PDF-1.7\n", "IMG_FORMAT"),
    (b"8BPS\0\1", "IMG_FORMAT"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "IMG_FORMAT"),
    (b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- --><svg/>", "IMG_FORMAT"),
    (b"\0\0\0\x18ftypheic\0\0\0\0", "IMG_FORMAT"),
    (b"PK\3\4" + NOISE, "IMG_FORMAT"),
    (b"II*\0\x10\0\0\0CR\2\0", "IMG_FORMAT"),
    (tiff_of((50706, 1)), "IMG_FORMAT"),
    (tiff_of((254, 1), (330, 500)), "IMG_FORMAT"),
    (tiff_of((262, 32803)), "IMG_FORMAT"),
    (tiff_of((256, 4)), "IMG_UNREADABLE"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_bad_picture_is_refused_with_its_code(content, code):
    assert code_of(content) == code


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("place", [2, 4, 8, 16, 40])
def test_a_tiff_with_a_damaged_directory_is_a_bad_picture_and_no_other_error(place):
    content = saved(COLOUR, "TIFF")
    assert code_of(content[:place]) in {"IMG_UNREADABLE", "IMG_TRUNCATED", "IMG_NOT_IMAGE"}


def test_what_is_refused_is_handed_to_no_decoder(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("was opened"))
    assert code_of(b"%!PS-Adobe-3.0\n") == code_of(tiff_of((50706, 1))) == "IMG_FORMAT"


def test_what_claims_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("was decoded"))
    assert code_of(png(10_000, 10_000)) == "IMG_TOO_LARGE"


def test_a_text_chunk_that_unpacks_to_megabytes_is_refused():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 5_000_000))
    assert code_of(LARGE_PNG[:33] + text + LARGE_PNG[33:]) == "IMG_BOMB"


def test_a_web_page_is_called_a_failed_download():
    with pytest.raises(Bad, match="failed download"):
        decode(b"<html><head><title>404</title></head></html>", PLAIN)


def test_a_png_without_its_end_is_taken_with_a_warning():
    assert np.array_equal(pixels(LARGE_PNG[:-12]), pixels(LARGE_PNG))
    assert codes(LARGE_PNG[:-12]) == {"IMG_NO_END"}


@pytest.mark.parametrize("content", [NOISE, LARGE_PNG])
def test_what_follows_a_pictures_end_is_left_out_and_counted(content):
    (found,) = decode(content + b"PK\3\4 or <html>", PLAIN)
    assert np.array_equal(found.pixels, pixels(content))
    assert [note.sentence for note in found.notes] == ["what follows the picture's end left out"]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "BMP"])
def test_a_second_format_behind_a_picture_is_not_looked_at(form):
    content = saved(Image.fromarray(COLOUR), form)
    assert np.array_equal(pixels(content + b"<html></html>"), pixels(content))


@pytest.mark.parametrize(("name", "form", "warned"), [
    ("a.png", "PNG", False), ("b/a.JPG", "JPEG", False), ("a.jfif", "MPO", False), ("a.png", "JPEG", True),
    ("a.tif", "TIFF", False), ("a.tiff", "BMP", True), ("no ending", "PNG", False),
])  # fmt: skip
def test_a_name_that_promises_another_format_is_warned_of(name, form, warned):
    note = disguised(name, form)
    assert (note is not None) == warned
    assert note is None or (note.code == "IMG_SUFFIX" and form in note.sentence)


# Damage inside a JPEG, which its decoder passes over

PHOTOGRAPH = photograph(128, 128)


@pytest.mark.parametrize("options", [{}, {"quality": 95}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_forty_zeroed_bytes_among_a_jpegs_pixels_are_warned_of(options):
    content = saved(PHOTOGRAPH, "JPEG", **options)
    assert codes(content) == set()
    middle = (content.index(b"\xff\xda") + len(content)) // 2
    damaged = content[:middle] + bytes(40) + content[middle + 40 :]
    assert codes(damaged) == {"IMG_DECODER_WARNING"}


def test_a_lost_part_between_restart_markers_is_warned_of():
    content = saved(PHOTOGRAPH, "JPEG", restart_marker_rows=1)
    cut = content[: content.index(b"\xff\xd2")] + content[content.index(b"\xff\xd3") :]
    assert "restart" in jpeg_marks(cut).doubt
    assert jpeg_marks(content).doubt == ""


def test_bytes_between_a_jpegs_segments_are_warned_of():
    assert codes(NOISE[:20] + b"junk" + NOISE[20:]) == {"IMG_DECODER_WARNING"}


@pytest.mark.parametrize("options", [{"optimize": True}, {"progressive": True}, {}, {"quality": 5, "optimize": True}])
@pytest.mark.parametrize("value", [0, 255, 128])
def test_flat_pictures_raise_no_doubt(options, value):
    content = saved(np.full((256, 256, 3), value, np.uint8), "JPEG", **options)
    assert jpeg_marks(content) == (len(content), "")


def test_the_picture_in_a_jpegs_metadata_is_not_taken_for_its_pixels():
    tags = exif(1)
    tags[0x010E] = "\xff\xd9\xff\xda" + "\0" * 100
    content = saved(PHOTOGRAPH, "JPEG", exif=tags.tobytes() + NOISE)
    assert codes(content) == set()
    assert jpeg_marks(content).end == len(content)


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded():
    content = saved(PHOTOGRAPH, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    assert code_of(content[:last] + 100 * content[last:-2] + b"\xff\xd9") == "IMG_BOMB"


# A smaller decode of a JPEG


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(("height", "width"), [(256, 256), (203, 269), (331, 258)])
def test_a_scaled_decode_ends_within_one_of_the_full_one(orientation, height, width):
    """Also where the sides are no multiples of the scale, whichever way it is turned."""
    content = saved(photograph(height, width), "JPEG", quality=90, exif=exif(orientation))
    policy, full = Policy(size=48), Policy(size=48, full_decode=True)
    (small,), (large,) = decode(content, policy), decode(content, full)
    assert small.pixels.size < large.pixels.size / 3
    assert large.part is None
    ends = [resized(found.pixels, (48, 48), policy, found.part).astype(int) for found in (small, large)]
    assert np.abs(ends[0] - ends[1]).mean() < 1


@pytest.mark.parametrize("fit", ["crop", "fit", "pad", "stretch"])
def test_a_scaled_decode_is_the_smallest_that_does_not_fall_below_what_is_needed(fit):
    for height, width in ((256, 256), (400, 999), (513, 512), (60, 61)):
        policy = Policy(size=(30, 40), fit=fit)
        least = decode_least(height, width, policy)
        found = pixels(saved(np.zeros((height, width), np.uint8), "JPEG"), policy).shape[:2]
        scale = round(height / found[0])
        assert found == (-(-height // scale), -(-width // scale))
        assert scale == max(s for s in (1, 2, 4, 8) if s == 1 or (height // s >= least[0] and width // s >= least[1]))


@pytest.mark.parametrize("policy", [Policy(), Policy(size=16, full_decode=True), Policy(size=16, filter="nearest")])
def test_a_jpeg_is_decoded_in_full_where_a_smaller_one_would_not_do(policy):
    assert pixels(NOISE, policy).shape == (40, 40, 3)


def test_a_jpeg_is_decoded_in_full_where_parts_will_be_cut_out():
    assert decode(NOISE, Policy(size=8), whole=True)[0].pixels.shape == (40, 40, 3)
    assert decode(NOISE, Policy(size=8))[0].pixels.shape == (20, 20, 3)


@pytest.mark.parametrize("side", [8, 16, 40])
@pytest.mark.parametrize("cut", [1, 2, 3, 200])
def test_a_cut_jpeg_is_found_in_a_scaled_decode_too(side, cut):
    """Even where a decoder has all its rows before it misses the end."""
    for content in (NOISE, saved(np.zeros((64, 64), np.uint8), "JPEG")):
        assert code_of(content[:-cut], Policy(size=side)) == "IMG_TRUNCATED"


# Channels


def test_grey_comes_three_times_and_colour_to_grey_by_its_weights():
    assert np.array_equal(with_channels(GREY[..., None], 3), np.stack([GREY] * 3, -1))
    grey = with_channels(COLOUR, 1)
    assert np.abs(grey[..., 0] - COLOUR @ [0.299, 0.587, 0.114]).max() <= 0.501
    assert with_channels(COLOUR, 3) is COLOUR
    assert np.array_equal(with_channels(with_channels(GREY[..., None], 3), 1), GREY[..., None])
