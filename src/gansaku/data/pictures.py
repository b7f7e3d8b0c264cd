"""One picture: bytes of a file to uint8 (H, W, C) by a stated policy.

What is opened: PNG, JPEG, WebP, BMP, GIF and TIFF, recognized by content and not by name. Every other format is refused
without a look inside (PDF, PostScript, SVG, Photoshop, HEIC, raw photographs, …), and so is what claims more than 64
megapixels, before anything is decoded. A file that does not decode to its end is bad; nothing is filled in. What follows a
picture's end in its file is left out.

What becomes of it: turned upright by EXIF's orientation. 16-bit grey is divided by 257 and rounded, 16-bit colour loses its
lower 8 bits (within 1 of 255 of the division), 1-bit is black and white, palettes become their colours. Whole numbers of 32
bits and fractions are taken only where the file declares their range, or where they are 16-bit samples by their size.
A colour profile that is not sRGB is applied (relative colorimetric, black point compensation) and the result is sRGB; CMYK
without a profile is converted by (1 - ink)(1 - black), ink being inverted where Adobe's marker says so; PNG's gamma is not
looked at. Transparency is composited on the background, a grey picture on the background's grey. Grey stays one channel.
Damaged EXIF data or profiles are left out and warned of. Of an animation or of many pages the first is taken, or all.

Where a smaller size is asked for and no part will be cut out, a JPEG is decoded at an eighth, a quarter or half of its size if
that is at least twice the final one. Of 200 photographs it changed those concerned by 0.3 to 0.6 of 255 on average, by 1.3 in
the worst. The resize that follows works on sRGB values, not on linear light: see `resizing`.

What cannot be seen: libjpeg goes on after most damage inside a JPEG, and Pillow does not pass on its warnings. We look for
signs of it in the bytes (`jpeg_marks`, 2 to 3 % of the time of decoding and resizing a small photograph): runs of zeros, lost
restart markers, bytes that belong nowhere. 40 zeroed bytes were found in all of 100 baseline photographs, in 94 with Huffman
tables of their own, and in 2 of 100 progressive ones (4 did not decode); single wrong bits are not found. None of 19,000
sound JPEGs raised a doubt.
"""

from __future__ import annotations

import io
import itertools
import logging
import warnings
from pathlib import PurePosixPath
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from gansaku.data import picture_bytes
from gansaku.data.colours import eight_bits, is_grey
from gansaku.data.cuts import Picture
from gansaku.data.policy import Policy
from gansaku.data.resizing import Part, decode_least
from gansaku.data.tally import Bad, Note

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
LARGEST = 64_000_000  # pixels, of all frames that are taken
LONGEST = 1 << 16  # pixels of a side: Pillow's time rises with the square of a row's length
MOST_FRAMES = 10_000
BAND = 1 << 22  # pixels that are copied at a time
JPEG = ("JPEG", "MPO")  # MPO: a JPEG with a second picture that some cameras put behind it
NAMED = {  # a name's ending -> what it promises
    ".png": ("PNG",), ".jpg": JPEG, ".jpeg": JPEG, ".jpe": JPEG, ".jfif": JPEG, ".webp": ("WEBP",), ".bmp": ("BMP",),
    ".gif": ("GIF",), ".tif": ("TIFF",), ".tiff": ("TIFF",),
}  # fmt: skip
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow says these on stderr, once per process and without the file's name; we check sizes and metadata by ourselves.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Header(NamedTuple):
    """What is known before decoding: the size when upright, whether it has no colour, and Pillow's names of its form."""

    height: int
    width: int
    grey: bool
    format: str
    mode: str


class Decoded(NamedTuple):
    """(H, W, 1) grey or (H, W, 3), what was done on the way, and for `resized` the part of the pixels that is the picture.

    None is all of them. A scaled decode rounds the size up, so that the last row or column may be partly outside.
    """

    pixels: Picture
    notes: tuple[Note, ...]
    part: Part | None = None


def header(stream: IO[bytes]) -> Header:
    """The header alone: a fraction of the time of `decode`. Raises Bad."""
    with opened(stream) as image:
        width, height = image.size[::-1] if lies(image) else image.size
        grey = is_grey(image.mode, raw_mode(image)) and not (image.format == "GIF" and has_frames(image))
        return Header(height, width, grey, image.format or "", image.mode)


def decode(content: bytes, policy: Policy, whole: bool = False) -> list[Decoded]:
    """A file to pixels: one picture, or of an animation with the policy's frames "all" every one. Raises Bad.

    `whole` gives all pixels of a JPEG, as a part will be cut out; else it may come smaller by what the policy asks for.
    """
    with opened(io.BytesIO(content)) as image:
        notes = notes_on_file(image.format or "", content)
        try:
            if not has_frames(image):
                return [frame(image, policy, whole, notes)]
            if policy.frames == "first":
                notes += [Note("first frame taken"), Note("has more than one frame or page; the first was taken", "IMG_FRAMES")]
                return [frame(image, policy, whole, notes)]
            return frames(image, policy, notes)
        except (Bad, MemoryError):
            raise
        except Image.DecompressionBombError as error:  # of a frame after the first
            raise too_large() from error
        except Exception as error:  # a damaged file makes a decoder raise anything at all
            if "truncated" in str(error).lower() or isinstance(error, EOFError):
                raise Bad("is cut short; copy or download it again", "IMG_TRUNCATED") from error
            raise Bad(f"is damaged ({error}); copy or download it again", "IMG_CORRUPT") from error


def disguised(name: str, format: str) -> Note | None:
    """The warning about a picture whose name promises another format than its content has."""
    promised = NAMED.get(PurePosixPath(name).suffix.lower(), (format,))
    return None if format in promised else Note(f"is {format} by its content, whatever its name says", "IMG_SUFFIX")


def with_channels(pixels: Picture, channels: int) -> Picture:
    """(H, W, C) -> (H, W, channels): grey three times, or colour to grey by ITU-R 601 as Pillow rounds it."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def opened(stream: IO[bytes]) -> Image.Image:
    """The file with its header read and checked, nothing decoded. Raises Bad."""
    start = stream.read(512)
    picture_bytes.refuse(start)
    if start[:4] in picture_bytes.TIFF_ORDER:
        picture_bytes.refuse_raw(stream)
    stream.seek(0)
    try:
        image = Image.open(stream, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # a warning where they are errors
        raise too_large() from error
    except MemoryError:
        raise
    except Exception as error:  # UnidentifiedImageError for the most part; a hostile header can raise anything
        raise unopened(error, start) from error
    check_size(image)
    if image.format == "PNG" and "exif" not in image.info and (exif := picture_bytes.late_exif(stream)):
        image.info["exif"] = exif
    return image


def unopened(error: Exception, start: bytes) -> Bad:
    """Why a file with these first bytes could not be opened."""
    if "MAX_TEXT" in str(error) or "text chunk" in str(error).lower():
        return Bad("has a text chunk that unpacks to an excessive size", "IMG_BOMB")
    if "truncated" in str(error).lower():
        return Bad("is cut short; copy or download it again", "IMG_TRUNCATED")
    if picture_bytes.looks_like_text(start):
        page = b"<html" in start.lower() or b"<!doctype" in start.lower()
        return Bad("is a web page, as a failed download leaves it" if page else "is text, not a picture", "IMG_NOT_IMAGE")
    why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
    return Bad(f"is no {', '.join(FORMATS)} picture, or its header is damaged{why}", "IMG_UNREADABLE")


def too_large() -> Bad:
    return Bad("is far too large; at most 64 megapixels are decoded", "IMG_BOMB")


def check_size(image: Image.Image) -> None:
    """Raises Bad when there is nothing to decode, or too much."""
    width, height = image.size
    if width == 0 or height == 0:
        raise Bad(f"has no pixels ({width}x{height})", "IMG_ZERO_SIZE")
    if width * height > LARGEST or max(width, height) > LONGEST:
        raise Bad(f"has {width}x{height} pixels; at most 64 megapixels are decoded, and {LONGEST:,} on a side", "IMG_TOO_LARGE")


def notes_on_file(form: str, content: bytes) -> list[Note]:
    """What the bytes say that a decoder does not. Raises Bad for a JPEG without an end, or that takes too long to decode."""
    notes, end = [], len(content)
    if form in JPEG:
        end, doubt = picture_bytes.jpeg_marks(content)
        if end < 0:  # a decoder that has all rows already may not mind
            raise Bad("is cut short; copy or download it again", "IMG_TRUNCATED")
        if doubt:
            notes.append(Note(f"{doubt}, so some may be wrong; compare it with its original", "IMG_DECODER_WARNING"))
    elif form == "PNG":
        end = picture_bytes.png_end(io.BytesIO(content))
        if end < 0:
            notes.append(Note("has all its pixels but no end (IEND); copy or download it again", "IMG_NO_END"))
    if 0 <= end < len(content) and form != "MPO":
        notes.append(Note("what follows the picture's end left out"))
    return notes


def frames(image: Image.Image, policy: Policy, notes: list[Note]) -> list[Decoded]:
    """Every frame, in full size. Raises Bad when they have too many pixels together."""
    found: list[Decoded] = []
    taken = 0
    for number in itertools.count():
        try:
            image.seek(number)
        except EOFError:
            return found
        check_size(image)
        taken += image.width * image.height
        if taken > LARGEST or number >= MOST_FRAMES:
            raise Bad(f"has more than {number} frames, and at most 64 megapixels and {MOST_FRAMES:,} frames are decoded from "
                      "one file; split it, or take the first frame", "IMG_TOO_LARGE")  # fmt: skip
        found.append(frame(image, policy, True, notes if number == 0 else []))
    return found


def frame(image: Image.Image, policy: Policy, whole: bool, notes: list[Note]) -> Decoded:
    """The frame that an opened file is at, decoded, in 8 bits, and upright."""
    raw = raw_mode(image)
    drafted = None if whole or image.format not in JPEG else draft(image, policy)
    turn, doubts = orientation(image)  # before Pillow turns a TIFF
    check_cover(image)
    image.load()
    colour, done = eight_bits(image, raw, policy.background)
    if turn in UPRIGHT:
        done.append(Note("turned upright"))
        colour = colour if image.format == "TIFF" else colour.transpose(UPRIGHT[turn])
    pixels = array_of(colour)
    part = upright_part(drafted, turn, pixels.shape[0], pixels.shape[1]) if drafted else None
    return Decoded(pixels, (*notes, *doubts, *done), part)


def check_cover(image: Image.Image) -> None:
    """Raises Bad for a TIFF whose strips or tiles are fewer than its size needs; Pillow leaves the rest black."""
    if image.format == "TIFF":
        extents = [tile.extents or (0, 0, 0, 0) for tile in image.tile]  # type: ignore[attr-defined]
        right, bottom = (max((extent[side] for extent in extents), default=0) for side in (2, 3))
        if right * bottom < image.width * image.height:  # as an area, for it may be turned
            raise Bad("has fewer pixels than its header says; copy or download it again", "IMG_TRUNCATED")


def array_of(image: Image.Image) -> Picture:
    """(H, W, C). By parts, since Pillow holds two copies of what it hands over."""
    width, height = image.size
    pixels = np.empty((height, width, len(image.getbands())), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        band = image if rows >= height else image.crop((0, top, width, min(height, top + rows)))
        pixels[top : top + rows] = np.asarray(band).reshape(-1, width, pixels.shape[2])
    return pixels


def draft(image: Image.Image, policy: Policy) -> tuple[float, float] | None:
    """Ask for a smaller decode of a JPEG where that is enough; (height, width) of the picture in its pixels, or None."""
    width, height = image.size[::-1] if lies(image) else image.size
    least = decode_least(height, width, policy)
    if least is None:
        return None
    made = image.draft(None, least if lies(image) else least[::-1])
    return None if made is None else (made[1][3], made[1][2])


def upright_part(size: tuple[float, float], turn: int, height: int, width: int) -> Part | None:
    """Where a picture of `size` at the top left lies in (height, width) pixels after it was turned; None where it is all."""
    high, wide = size[::-1] if turn in range(5, 9) else size
    if (high, wide) == (height, width):
        return None
    left, top = width - wide if turn in (2, 3, 6, 7) else 0, height - high if turn in (3, 4, 7, 8) else 0
    return left, top, left + wide, top + high


def lies(image: Image.Image) -> bool:
    """Whether it will be turned by a quarter, which Pillow has counted in already for TIFF."""
    return image.format != "TIFF" and orientation(image)[0] in range(5, 9)


def orientation(image: Image.Image) -> tuple[int, list[Note]]:
    """EXIF's 1 to 8, and a warning where it is another or cannot be read, which counts as 1. 0 is a camera's "unknown"."""
    value: object = getattr(image, "tag_v2", {}).get(picture_bytes.ORIENTATION, 1)
    if image.format != "TIFF" and (exif := image.info.get("exif")):
        try:
            value = picture_bytes.orientation_in(exif)
        except ValueError:
            return 1, [Note("has damaged EXIF data, which were left out", "IMG_METADATA")]
    if isinstance(value, int) and 0 <= value <= 8:
        return value or 1, []
    return 1, [Note(f"has the orientation {value}, which EXIF does not know; it was left as it is", "IMG_ORIENTATION")]


def raw_mode(image: Image.Image) -> str:
    """How the samples are stored, in Pillow's words, as RGB;16B; "" where it does not say."""
    given = image.tile[0].args if image.tile else ""  # type: ignore[attr-defined]
    return str(given[0] if isinstance(given, tuple) and given else given or "")


def has_frames(image: Image.Image) -> bool:
    """Whether there is more than the first frame; the second picture that some cameras put in a JPEG is none."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # the frames that nobody will look at may be damaged
        return True
