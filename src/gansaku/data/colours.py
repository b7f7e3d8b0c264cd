"""A decoded picture of any kind to 8-bit grey or sRGB: depth, palette, transparency, colour profile, and what was done."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

from gansaku.data.resizing import grey_of
from gansaku.data.tally import Bad, Note

GREY = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
SPELLED = {"1": "black and white", "P": "palette", "PA": "palette", "LA": "grey with transparency", "I": "deep grey",
           "RGBA": "transparency", "RGBa": "transparency", "I;16": "16-bit grey", "I;16B": "16-bit grey",
           "I;16L": "16-bit grey", "F": "fractions", "LAB": "Lab"}  # fmt: skip
SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}  # of a profile, for the pictures that it may describe
LARGEST_PROFILE = 1 << 22  # bytes
NEAR = 2  # of 255: a profile that changes no colour by more is sRGB
HUGE = 1e300  # what a range may reach without its width being infinite
SHORT_GREY = {"L;2": 85, "L;4": 17}  # what Pillow multiplies samples of 2 and 4 bits by
SIGNED, LOWEST, HIGHEST, PHOTOMETRIC, DEPTH = 339, 340, 341, 262, 258  # TIFF tags
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE  # without a cache, threads may share a transform


def is_grey(mode: str, raw: str) -> bool:
    """Whether a picture of this mode is grey, `raw` being how it is stored: Pillow makes 16-bit grey with alpha RGBA."""
    return mode in GREY or raw == "LA;16B"


def eight_bits(image: Image.Image, raw: str, background: tuple[int, int, int]) -> tuple[Image.Image, list[Note]]:
    """A decoded picture as mode L where it is grey, else RGB, and what was done. Raises Bad."""
    notes = [Note(f"{SPELLED.get(image.mode, image.mode)} converted")] if image.mode not in ("RGB", "L") else []
    if ";16" in raw and image.mode in ("RGB", "RGBA", "CMYK"):
        notes = [Note(f"16-bit {image.mode} converted"), Note("has 16 bits a channel; the upper 8 were kept", "IMG_DEPTH")]
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every JPEG to hold inverted ink, as only Adobe's do
    profile = image.info.get("icc_profile")
    colour, alpha = parted(image, raw, notes)
    colour = in_srgb(colour, profile, notes)
    if alpha is None:
        return colour, notes
    if 2 * sum(alpha.histogram()[:128]) > alpha.width * alpha.height:
        notes.append(Note("is transparent for more than half; there the background was put", "IMG_TRANSPARENT"))
    colour.paste(grey_of(background) if colour.mode == "L" else background, mask=ImageChops.invert(alpha))
    return colour, notes


def parted(image: Image.Image, raw: str, notes: list[Note]) -> tuple[Image.Image, Image.Image | None]:
    """Colour (L, RGB or CMYK) and alpha (L), which is None where there is none."""
    clear = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        alpha = Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)) if clear is not None else None
        return from_16_bits(image, raw), alpha
    if image.mode in ("I", "F"):
        return by_range(image, notes), None
    if tag(image, SIGNED) == 2:
        raise Bad("holds signed values and does not say what white is; save it with 8 bits without sign", "IMG_RANGE")
    if clear is not None or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        if raw in SHORT_GREY and isinstance(clear, int):
            image = image.copy()  # whose own value would be multiplied again at the next frame
            image.info["transparency"] = clear * SHORT_GREY[raw]
        kind = "LA" if is_grey(image.mode, raw) else "RGBA"
        both = image if image.mode == kind else image.convert(kind)
        return both.convert(both.mode.removesuffix("A")), both.getchannel("A")
    if image.mode in SPACES:
        return image, None
    return image.convert("L" if is_grey(image.mode, raw) else "RGB"), None


def from_16_bits(image: Image.Image, raw: str) -> Image.Image:
    """Divided by 257 and rounded, or as much less as a TIFF's samples have fewer than 16 bits."""
    white = 4095 if raw == "I;12" else 65535
    scaled = ((np.asarray(image).astype(np.uint32) * 510 + white) // (2 * white)).astype(np.uint8)
    return Image.fromarray(255 - scaled if tag(image, PHOTOMETRIC) == 0 else scaled)


def by_range(image: Image.Image, notes: list[Note]) -> Image.Image:
    """Whole or fractional numbers to 0..255 by the lowest and highest that a TIFF declares (SMinSampleValue, SMaxSampleValue).

    Whole numbers from 0 to between 256 and 65,535 without that are taken for 16-bit samples. Raises Bad for all others.
    """
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise Bad("holds values that are not finite", "IMG_NONFINITE")
    low, high = values.min(), values.max()
    black, white = tag(image, LOWEST), tag(image, HIGHEST)
    if black is None or white is None or not -HUGE < black < white < HUGE:
        if image.mode == "F" or low < 0 or not 255 < high <= 65535:
            raise Bad(f"holds {values.dtype} values from {low:g} to {high:g} and does not say what white is; save it with "
                      "8 bits", "IMG_RANGE")  # fmt: skip
        black, white = 0, 65535
        notes.append(Note(f"holds whole numbers up to {high:,} without saying what white is; 65,535 was taken", "IMG_DEPTH"))
    shares = (np.clip(values.astype(np.float64), black, white) - black) / (white - black)
    scaled = np.rint(255 * shares).astype(np.uint8)
    return Image.fromarray(255 - scaled if tag(image, PHOTOMETRIC) == 0 else scaled)


def tag(image: Image.Image, number: int) -> float | None:
    """A TIFF's tag where it is a number, the same for all channels; else None."""
    values = getattr(image, "tag_v2", {}).get(number)
    found = set(values if isinstance(values, tuple) else (values,))
    value = found.pop() if len(found) == 1 else None
    return value if isinstance(value, int | float) else None


def in_srgb(colour: Image.Image, profile: bytes | None, notes: list[Note]) -> Image.Image:
    """L or RGB in sRGB by the profile, where there is one that describes such a picture."""
    if profile:
        try:
            transform = to_srgb(profile, colour.mode)
        except Exception as error:  # a damaged profile is no reason to lose the picture
            notes.append(Note(f"has a colour profile that cannot be used and was left out ({error})", "IMG_METADATA"))
        else:
            if transform is None:
                return colour
            made = ImageCms.applyTransform(colour, transform)
            notes.append(Note("converted to sRGB by its profile"))
            assert made is not None  # as it is not done in place
            return made.getchannel("G") if colour.mode == "L" else made
    if colour.mode == "CMYK":
        notes.append(Note("has CMYK colours without a usable profile; they were converted by the simple formula", "IMG_CMYK"))
        return colour.convert("RGB")
    return colour


@lru_cache(maxsize=16)
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB, relative colorimetric with black point compensation, as browsers do; None where it is sRGB.

    Raises ValueError or what the colour library does for a profile that is damaged or describes other pictures.
    """
    if len(profile) > LARGEST_PROFILE or profile[36:40] != b"acsp":
        raise ValueError("it is damaged")
    if profile[16:20] != SPACES[mode]:
        raise ValueError(f"it is for {profile[16:20].decode('ascii', 'replace').strip()} pictures")
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = ImageCms.buildTransform(source, target, mode, "RGB", intent, FLAGS)
    return None if mode != "CMYK" and changes_nothing(transform, mode) else transform


def changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether it leaves the colours of a fine grid as they are."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    colours = Image.fromarray(grid if mode == "RGB" else levels[None])
    made = ImageCms.applyTransform(colours, transform)
    assert made is not None
    gap = np.asarray(made).astype(int) - np.asarray(colours.convert("RGB"))
    return bool(np.abs(gap).max() <= NEAR)
