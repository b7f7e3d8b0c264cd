"""One picture: bytes of a file to uint8 (H, W, C) by a stated policy, and the resize.

Policy. PNG, JPEG, WebP, BMP, GIF and TIFF, recognized by content, not by name; no other format is opened. The first
frame; turned upright by EXIF; transparency composited on white; palette, CMYK, YCbCr to RGB; 1-bit and 16-bit grey
to 0..255 (divided by 257, not clipped). Colour profiles are ignored. A file that does not decode to its end is bad.
"""

from __future__ import annotations

import io
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gansaku.data.tally import Bad

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
LARGEST = 64_000_000  # pixels
FLATTEST = 8  # longer side : shorter side
GREY = frozenset({"1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N"})
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
REFUSED = {  # first bytes -> what it is; these are never handed to a decoder
    b"%PDF": "a PDF", b"%!PS": "PostScript", b"8BPS": "a Photoshop file", b"<svg": "an SVG drawing",
    b"SIMPLE": "a FITS file", b"v/1\x01": "an EXR file", b"PK\x03\x04": "a zip archive",
}  # fmt: skip

Picture = NDArray[np.uint8]


class Header(NamedTuple):
    """What is known before decoding: the size when upright, and whether the file has no colour."""

    height: int
    width: int
    grey: bool


class Decoded(NamedTuple):
    """(H, W, 1) grey or (H, W, 3), and what was converted on the way."""

    pixels: Picture
    notes: tuple[str, ...]


def header(stream: IO[bytes]) -> Header:
    """The header alone: a fraction of the time of `decode`. Raises Bad."""
    with opened(stream) as image:
        # 5 to 8 lie on their side, which Pillow has counted in already for TIFF
        lies = image.format != "TIFF" and orientation(image) in range(5, 9)
        width, height = image.size[::-1] if lies else image.size
        return Header(height, width, image.mode in GREY)


def decode(content: bytes) -> Decoded:
    """A whole file to pixels. Raises Bad."""
    with opened(io.BytesIO(content)) as image:
        try:
            image.load()
            turn = UPRIGHT.get(orientation(image))
            notes = [f"{image.mode} converted"] if image.mode not in ("RGB", "L") else []
            notes += ["turned upright"] if turn is not None else []
            pixels = flattened(image if turn is None else image.transpose(turn))
            notes += ["first frame taken"] if has_frames(image) else []
        except (Bad, MemoryError):
            raise
        except Exception as error:  # a damaged file makes a decoder raise anything at all
            if "truncated" in str(error).lower() or isinstance(error, EOFError):
                raise Bad("is cut short; copy or download it again", "IMG_TRUNCATED") from error
            raise Bad(f"is damaged ({error}); copy or download it again", "IMG_CORRUPT") from error
    return Decoded(pixels, tuple(notes))


def opened(stream: IO[bytes]) -> Image.Image:
    """The file with its header read and checked, nothing decoded. Raises Bad."""
    start = stream.read(512)
    refuse_by_content(start)
    stream.seek(0)
    try:
        image = Image.open(stream, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Bad("is far too large; at most 64 megapixels are decoded", "IMG_BOMB") from error
    except MemoryError:
        raise
    except Exception as error:  # UnidentifiedImageError for the most part; a hostile header can raise anything
        if "MAX_TEXT" in str(error) or "text chunk" in str(error).lower():
            raise Bad("has a text chunk that unpacks to an excessive size", "IMG_BOMB") from error
        if "truncated" in str(error).lower():
            raise Bad("is cut short; copy or download it again", "IMG_TRUNCATED") from error
        if looks_like_text(start):
            page = b"<html" in start.lower() or b"<!doctype" in start.lower()
            what = "is a web page, as a failed download leaves it" if page else "is text, not a picture"
            raise Bad(what, "IMG_NOT_IMAGE") from error
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise Bad(f"is no {', '.join(FORMATS)} picture, or its header is damaged{why}", "IMG_UNREADABLE") from error
    width, height = image.size
    if width == 0 or height == 0:
        raise Bad(f"has no pixels ({width}x{height})", "IMG_ZERO_SIZE")
    if width * height > LARGEST:
        raise Bad(f"has {width}x{height} pixels; at most 64 megapixels are decoded", "IMG_TOO_LARGE")
    return image


def refuse_by_content(start: bytes) -> None:
    """Raise Bad for an empty file and for formats that are known and not opened."""
    if not start:
        raise Bad("is an empty file", "IMG_EMPTY")
    if start.startswith(b"\x89PNG\r\n\x1a\n") and b"\0\0\0\0" in (start[16:20], start[20:24]):
        raise Bad("has no pixels: its header says a side of 0", "IMG_ZERO_SIZE")
    found = next((what for magic, what in REFUSED.items() if start.startswith(magic)), "")
    found = found or ("a HEIC or AVIF picture" if start[4:8] == b"ftyp" else "")
    found = found or ("an SVG drawing" if start.startswith(b"<?xml") and b"<svg" in start else "")
    if found:
        raise Bad(f"is {found}; convert it to PNG or JPEG", "IMG_FORMAT")


def looks_like_text(start: bytes) -> bool:
    return len(start) > 1 and all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)


def orientation(image: Image.Image) -> int:
    """EXIF's 1 to 8; 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged metadata are no reason to lose the picture
        return 1


def flattened(image: Image.Image) -> Picture:
    """A decoded image of any mode to (H, W, 1) where it is grey by its mode, else (H, W, 3)."""
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint32)
        return ((deep + 128) // 257).astype(np.uint8)[..., None]
    if image.mode in ("F", "I"):
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise Bad("holds values that are not finite", "IMG_NONFINITE")
        raise Bad(
            f"holds {values.dtype} values from {values.min():g} to {values.max():g} and does not say what white "
            "is; save it with 8 bits",
            "IMG_RANGE",
        )
    grey = image.mode in GREY
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def has_frames(image: Image.Image) -> bool:
    """Whether there is more than the first frame; the second picture that some cameras put in a JPEG is none."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # the frames that nobody will look at may be damaged
        return True


def resize(picture: Picture, size: int) -> Picture:
    """(H, W, C) -> (size, size, C): the shorter side to `size` by Lanczos, antialiased when smaller, then the middle.

    Both in one step: only the middle is computed, and its edges are filtered as parts of the whole picture.
    """
    height, width, channels = picture.shape
    if height == width == size:
        return picture
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    scaled = image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    return np.asarray(scaled).reshape(size, size, channels)
