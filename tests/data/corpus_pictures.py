"""I01 to I44: picture files that are damaged, hostile, or of a kind that must be converted."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Case, near, sample
from PIL import Image, ImageCms, TiffImagePlugin

SIDE = 16
GOOD = 3
COLOURS = ((200, 40, 30), (30, 190, 60), (40, 60, 210))


def encoded(pixels: Any, form: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    """The bytes of a file."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode) if mode else Image.fromarray(pixels)
    image.save(stream, form, **options)
    return stream.getvalue()


def flat(colour: Any, height: int = SIDE, width: int = SIDE) -> Any:
    """(height, width, C), or (height, width) for a number."""
    shape = (height, width) if np.isscalar(colour) else (height, width, len(colour))
    return np.broadcast_to(np.array(colour, np.uint8), shape).copy()


def scene(height: int = 64, width: int = 48) -> Any:
    """(height, width, 3) of gradients with some noise, so that a JPEG of it has content everywhere."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([255 * y / height, 255 * x / width, 128 + 100 * np.sin((x + y) / 9)], -1)
    return np.clip(smooth + np.random.default_rng(0).normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def good(folder: Path, form: str = "PNG") -> Path:
    """A folder `source` with three good pictures."""
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(COLOURS):
        (source / f"good_{number}.{form.lower()}").write_bytes(encoded(flat(colour), form))
    return source


def beside_good(folder: Path, files: dict[str, bytes | Callable[[], bytes]]) -> Path:
    """The same with these files in it."""
    source = good(folder)
    for name, content in files.items():
        (source / name).write_bytes(content() if callable(content) else content)
    return source


def picture(
    number: int, what: str, name: str, content: bytes | Callable[[], bytes], kind: str, code: str = "", **more: Any
) -> Case:
    """A case of one bad picture file among good ones."""
    more.setdefault("choices", {"size": SIDE})
    names = (name,) if kind in "SW" and code else ()
    return Case(f"I{number:02}", what, partial(beside_good, files={name: content}), kind, code, names=names, **more)


# PNG by hand: what no library writes


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colours: int, rows: bytes = b"", *before: bytes, end: bool = True) -> bytes:
    """A PNG file; `rows` are filter bytes and samples, `before` are chunks between IHDR and IDAT."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    body = chunk(b"IDAT", rows if rows[:1] == b"\x78" else zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + body + (chunk(b"IEND", b"") if end else b"")


def png_of(values: Any, colours: int) -> bytes:
    """16-bit samples (H, W) or (H, W, 3) as a PNG."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], 16, colours, rows)


@lru_cache
def zeros(count: int) -> bytes:
    """So many zero bytes, packed by zlib, never whole in memory."""
    pack, part = zlib.compressobj(1), bytes(1 << 20)
    packed = [pack.compress(part[: min(len(part), count - at)]) for at in range(0, count, len(part))]
    return b"".join(packed) + pack.flush()


def blank(width: int, height: int) -> bytes:
    """A complete PNG of one bit a pixel."""
    return png(width, height, 1, 0, zeros((1 + -(-width // 8)) * height))


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def jpeg(**options: Any) -> bytes:
    return encoded(scene(), "JPEG", quality=90, **options)


def header_only(content: bytes) -> bytes:
    """A JPEG up to where its scan begins."""
    return content[: content.index(b"\xff\xda")]


def zeroed(content: bytes, count: int = 40) -> bytes:
    """A JPEG with bytes in the middle of its scan set to zero."""
    middle = (content.index(b"\xff\xda") + len(content)) // 2
    return content[:middle] + bytes(count) + content[middle + count :]


def wrong_crc(content: bytes) -> bytes:
    at = content.index(b"IDAT") + 8
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def huge_second_frame() -> bytes:
    """A GIF whose second frame claims 65,535 x 65,535 pixels."""
    frames = [Image.fromarray(flat(60 * i + 40)) for i in range(2)]
    content = bytearray(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, optimize=False))
    _, second = descriptors(content)
    content[second + 5 : second + 9] = b"\xff\xff\xff\xff"
    return bytes(content)


def descriptors(gif: bytes | bytearray) -> list[int]:
    """Where each frame's descriptor begins."""

    def table(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    at, found = 13 + table(gif[10]), []
    while gif[at] != 0x3B:
        if gif[at] == 0x2C:
            found.append(at)
            at += 10 + table(gif[at + 9]) + 1
        else:
            at += 2
        while gif[at]:
            at += gif[at] + 1
        at += 1
    return found


def animated(form: str) -> bytes:
    """Three frames, red, green and blue."""
    frames = [Image.fromarray(flat(colour)) for colour in COLOURS]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], **({"lossless": True} if form == "WEBP" else {}))


def cmyk(colour: tuple[int, int, int, int], adobe: bool) -> bytes:
    """A JPEG of one colour: with Adobe's mark its values are stored inverted, as Photoshop does."""
    content = encoded(Image.new("CMYK", (SIDE, SIDE), colour), "JPEG", quality=100)
    at = content.index(b"\xff\xee")
    length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    if adobe:
        return content
    plain = Image.new("CMYK", (SIDE, SIDE), tuple(255 - part for part in colour))
    content = encoded(plain, "JPEG", quality=100)  # the library inverts, and without the mark nobody inverts back
    return content[:at] + content[at + length :]


def palette(transparent: bytes | None = None) -> bytes:
    """A picture of palette colours 0 (left half, red) and 1 (right half, blue)."""
    image = Image.new("P", (SIDE, SIDE), 0)
    image.putpalette([200, 0, 0, 0, 0, 200, *[0] * 6])
    image.paste(1, (SIDE // 2, 0, SIDE, SIDE))
    return encoded(image, "PNG", **({} if transparent is None else {"transparency": transparent}))


def halves(left: Any, right: Any) -> Any:
    """(16, 16, C): one colour left, another right."""
    pixels = flat(left)
    pixels[:, SIDE // 2 :] = right
    return pixels


def corner() -> Any:
    """(16, 16, 3) that no turn or mirror maps to itself: four quarters, each of 8 x 8 pixels, so that JPEG keeps them."""
    pixels = flat((0, 0, 0))
    for (top, left), colour in zip(((0, 0), (0, 8), (8, 0)), COLOURS, strict=True):
        pixels[top : top + 8, left : left + 8] = colour
    return pixels


# What each value of EXIF's orientation does to the stored pixels, by the standard's own table (TIFF 6.0, page 36).
UPRIGHT: dict[int, Callable[[Any], Any]] = {
    1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}  # fmt: skip


def oriented(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(corner(), "PNG", exif=exif)


def upright(dataset: Any) -> None:
    for value, turn in UPRIGHT.items():
        near(sample(dataset, f"turned_{value}.png"), turn(corner()), 0)


def profile(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], gamma: float) -> bytes:
    """An ICC version 2 display profile by its primaries (chromaticities, white D65) and gamma."""
    white = np.array([0.95047, 1.0, 1.08883])
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    matrix = columns * np.linalg.solve(columns, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    adapted = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ white)) @ bradford @ matrix

    def xyz(values: Any) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"wide\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78 + (-len(text) % 4)),
        b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz(d50),
        b"rXYZ": xyz(adapted[:, 0]), b"gXYZ": xyz(adapted[:, 1]), b"bXYZ": xyz(adapted[:, 2]),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + xyz(d50)[8:] + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), 563 / 256)  # Adobe RGB (1998)


def wide() -> bytes:
    """A green that sRGB has not, in Adobe RGB."""
    return encoded(flat((60, 180, 80)), "PNG", icc_profile=profile(*ADOBE))


def in_srgb(dataset: Any) -> None:
    """By the formulas: decode Adobe's gamma, to XYZ, to linear sRGB, encode."""
    linear = (np.array([60, 180, 80]) / 255) ** (563 / 256)
    adobe = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    out = np.clip(srgb @ adobe @ linear, 0, 1)
    wanted = 255 * np.where(out <= 0.0031308, 12.92 * out, 1.055 * out ** (1 / 2.4) - 0.055)
    near(sample(dataset, "bad.png"), wanted, 3)


def tiff(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "TIFF", **options)


def numbers(values: Any) -> bytes:
    """A TIFF of the array's own type: int32 or float32."""
    return tiff(Image.fromarray(values))


def pages() -> bytes:
    first, *rest = (Image.fromarray(flat(colour)) for colour in COLOURS)
    return tiff(first, save_all=True, append_images=rest)


def lab() -> bytes:
    """TIFF in CIE L*a*b* of a mid red."""
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return tiff(ImageCms.applyTransform(Image.fromarray(flat((180, 60, 60))), to_lab))


def ycbcr() -> bytes:
    return tiff(Image.fromarray(flat((180, 60, 60))).convert("YCbCr"), compression=None)


def polyglot(tail: str) -> bytes:
    content = encoded(flat((200, 40, 30)), "JPEG", quality=100)
    if tail == "html":
        note = b"<html><script>alert(1)</script>"
        return content[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + content[2:]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("inside.txt", "text")
    return content + stream.getvalue()


def raw(maker: bytes = b"") -> bytes:
    """A TIFF as a camera's RAW file is one: Canon's mark after the header, or Adobe's DNG version tag."""
    if maker:
        return b"II*\0\x10\0\0\0CR\x02\0" + bytes(200)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[50706] = b"\1\4\0\0"
    info.tagtype[50706] = 1
    return tiff(Image.fromarray(flat(90)), tiffinfo=info)


FOREIGN = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\nshowpage\n",
    "pdf": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF",
    "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 16, 16, 8, 3) + bytes(64),
    "fits": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"/>',
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "avif": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100),
    "cr2": raw(b"CR"),
    "ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + bytes(60),
    "pcx": b"\x0a\5\1\x08" + bytes(124),
    "ppm": b"P6 16 16 255\n" + bytes(768),
    "tga": b"\0\0\2" + bytes(9) + b"\x10\0\x10\0\x18\0" + bytes(768),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
}  # fmt: skip


def grey_is(value: float, name: str = "bad.png", most: float = 1.0) -> Callable[[Any], None]:
    return lambda dataset: near(sample(dataset, name), [value] * dataset.shape[0], most)


def colour_is(*colour: float, name: str = "bad.png", most: float = 1.0) -> Callable[[Any], None]:
    return lambda dataset: near(sample(dataset, name), colour, most)


def halves_are(left: Any, right: Any, name: str = "bad.png", most: float = 1.0) -> Callable[[Any], None]:
    return lambda dataset: near(sample(dataset, name), halves(left, right), most)


def count_is(count: int) -> Callable[[Any], None]:
    def holds(dataset: Any) -> None:
        assert sum(dataset.counts.values()) == count

    return holds


def frames_are_all(dataset: Any) -> None:
    assert sum(dataset.counts.values()) == GOOD + 3
    for number, colour in enumerate(COLOURS):
        near(sample(dataset, f"bad.webp#{number}"), colour, 3)


MIXED = {
    "grey.png": encoded(flat(90)), "alpha.png": encoded(flat((10, 20, 30, 255))), "two.png": encoded(flat((90, 255))),
    "bits.png": encoded(Image.new("1", (SIDE, SIDE), 1)), "palette.png": palette(),
}  # fmt: skip


def mixed(dataset: Any) -> None:
    assert dataset.shape == (3, SIDE, SIDE)
    assert {"L": 1, "LA": 1, "RGBA": 1, "1": 1, "P": 1}.items() <= dataset.report["modes"].items()
    near(sample(dataset, "grey.png"), (90, 90, 90), 0)


JUNK = {"Thumbs.db": b"\xd0\xcf", ".DS_Store": b"\0\0\0\1Bud1", "._good_0.png": b"\0\5\x16\7", "desktop.ini": b"[x]"}


def junk_is_ignored(dataset: Any) -> None:
    assert dataset.report["ignored"] == len(JUNK)
    assert dataset.report["skipped"] == {}


TRUNCATED, FORMAT = "IMG_TRUNCATED", "IMG_FORMAT"
CASES = [
    picture(1, "zero bytes", "bad.png", b"", "S", "IMG_EMPTY"),
    picture(2, "one byte", "bad.png", b"\x89", "S", "IMG_UNREADABLE"),
    picture(3, "text", "bad.jpg", b"this is only a text\n" * 9, "S", "IMG_NOT_IMAGE"),
    picture(
        4, "a page 404", "bad.jpg", b"<!DOCTYPE html><html><h1>404 Not Found</h1></html>", "S", "IMG_NOT_IMAGE", says="download"
    ),
    picture(5, "JPEG cut in half", "bad.jpg", lambda: cut(jpeg(), 0.5), "S", TRUNCATED),
    picture(6, "JPEG without its last two bytes", "bad.jpg", lambda: jpeg()[:-2], "S", TRUNCATED),
    picture(7, "JPEG of a header alone", "bad.jpg", lambda: header_only(jpeg()), "S", TRUNCATED),
    picture(8, "JPEG with zeros inside", "bad.jpg", lambda: zeroed(jpeg()), "W", "IMG_DECODER_WARNING"),
    picture(9, "PNG cut in half", "bad.png", lambda: cut(encoded(scene()), 0.5), "S", TRUNCATED),
    picture(
        10, "PNG without IEND", "bad.png", png(SIDE, SIDE, 8, 0, bytes(17 * 16), end=False), "W", "IMG_NO_END", holds=grey_is(0)
    ),
    picture(11, "PNG of a wrong checksum", "bad.png", lambda: wrong_crc(encoded(scene())), "S", "IMG_CORRUPT"),
    picture(12, "PNG of no pixels", "bad.png", png(0, 0, 8, 0), "S", "IMG_ZERO_SIZE"),
    picture(13, "one pixel", "bad.png", encoded(flat(9, 1, 1)), "S", "IMG_TOO_SMALL"),
    picture(14, "8,000 x 1", "bad.png", encoded(flat(9, 1, 8000)), "S", "IMG_ASPECT"),
    picture(15, "smaller than asked for", "bad.png", encoded(flat(77, 8, 8)), "W", "IMG_UPSCALED", holds=grey_is(77)),
    picture(16, "100 megapixels", "bad.png", partial(blank, 10_000, 10_000), "S", "IMG_TOO_LARGE"),
    picture(17, "196 megapixels", "bad.png", partial(blank, 14_000, 14_000), "S", "IMG_BOMB"),
    picture(17, "900 megapixels", "bad.png", png(30_000, 30_000, 8, 2, bytes(99)), "S", "IMG_BOMB"),
    picture(18, "2,147,483,647 x 1", "bad.png", png((1 << 31) - 1, 1, 8, 0, bytes(99)), "S", "IMG_BOMB"),
    picture(
        19,
        "200 MB of text",
        "bad.png",
        lambda: png(SIDE, SIDE, 8, 0, bytes(17 * 16), chunk(b"zTXt", b"k\0\0" + zeros(200_000_000))),
        "S",
        "IMG_BOMB",
    ),
    picture(
        20,
        "GIF with a huge second frame, which is not taken",
        "bad.gif",
        huge_second_frame,
        "W",
        "IMG_FRAMES",
        holds=colour_is(40, 40, 40, name="bad.gif"),
    ),
    picture(
        20,
        "GIF with a huge second frame, all frames",
        "bad.gif",
        huge_second_frame,
        "S",
        "IMG_BOMB",
        choices={"size": SIDE, "frames": "all"},
    ),
    *[
        picture(
            21,
            f"animated {form}",
            f"bad.{end}",
            partial(animated, form),
            "W",
            "IMG_FRAMES",
            holds=colour_is(*COLOURS[0], name=f"bad.{end}", most=3),
        )
        for form, end in (("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp"))
    ],
    picture(
        21,
        "animated, all frames",
        "bad.webp",
        partial(animated, "WEBP"),
        "C",
        choices={"size": SIDE, "frames": "all"},
        holds=frames_are_all,
    ),
    picture(22, "TIFF of three pages", "bad.tif", pages, "W", "IMG_FRAMES", holds=colour_is(*COLOURS[0], name="bad.tif")),
    picture(
        23,
        "CMYK without Adobe's mark",
        "bad.jpg",
        partial(cmyk, (255, 0, 0, 0), False),
        "W",
        "IMG_CMYK",
        holds=colour_is(0, 255, 255, name="bad.jpg", most=4),
    ),
    picture(
        24,
        "CMYK as Adobe inverts it",
        "bad.jpg",
        partial(cmyk, (0, 255, 255, 0), True),
        "W",
        "IMG_CMYK",
        holds=colour_is(255, 0, 0, name="bad.jpg", most=4),
    ),
    picture(25, "16-bit grey", "bad.png", png_of(np.full((SIDE, SIDE), 32_896), 0), "C", holds=grey_is(128, most=0)),
    picture(
        26,
        "16-bit RGB",
        "bad.png",
        png_of(np.tile(np.array([65_535, 32_896, 257]), (SIDE, SIDE, 1)), 2),
        "C",
        holds=colour_is(255, 128, 1, most=0),
    ),
    picture(
        27,
        "32-bit integers out of range",
        "bad.tif",
        partial(numbers, np.full((SIDE, SIDE), 1 << 20, np.int32)),
        "S",
        "IMG_RANGE",
    ),
    picture(28, "floating point", "bad.tif", partial(numbers, np.full((SIDE, SIDE), 0.5, np.float32)), "S", "IMG_RANGE"),
    picture(29, "not a number", "bad.tif", partial(numbers, np.full((SIDE, SIDE), np.nan, np.float32)), "S", "IMG_NONFINITE"),
    picture(30, "one bit", "bad.png", encoded(Image.new("1", (SIDE, SIDE), 1)), "C", holds=grey_is(255)),
    picture(31, "palette", "bad.png", palette(), "C", holds=halves_are((200, 0, 0), (0, 0, 200), most=0)),
    picture(
        32,
        "palette with transparency",
        "bad.png",
        partial(palette, b"\xff\x80"),
        "C",
        choices={"size": SIDE, "background": (0, 100, 0)},
        holds=halves_are((200, 0, 0), (0, 50, 100)),
    ),
    picture(
        33,
        "grey with alpha",
        "bad.png",
        encoded(flat((100, 128))),
        "C",
        choices={"size": SIDE, "background": (255, 255, 255)},
        holds=grey_is(255 + (100 - 255) * 128 / 255),
    ),
    picture(
        34, "all transparent", "bad.png", encoded(flat((200, 40, 30, 0))), "W", "IMG_TRANSPARENT", holds=grey_is(255, most=0)
    ),
    Case(
        "I35",
        "grey, colour, alpha, palette and bits together",
        partial(beside_good, files=MIXED),
        "C",
        choices={"size": SIDE},
        holds=mixed,
    ),
    picture(36, "TIFF in YCbCr", "bad.tif", ycbcr, "C", holds=colour_is(180, 60, 60, name="bad.tif", most=3)),
    picture(36, "TIFF in L*a*b*", "bad.tif", lab, "C", holds=colour_is(180, 60, 60, name="bad.tif", most=4)),
    Case(
        "I37",
        "EXIF orientation 1 to 8",
        partial(beside_good, files={f"turned_{v}.png": partial(oriented, v) for v in UPRIGHT}),
        "C",
        choices={"size": SIDE},
        holds=upright,
    ),
    picture(
        38,
        "EXIF orientation 99",
        "bad.png",
        partial(oriented, 99),
        "W",
        "IMG_ORIENTATION",
        holds=lambda dataset: near(sample(dataset, "bad.png"), corner(), 0),
    ),
    picture(39, "EXIF that is none", "bad.jpg", lambda: jpeg(exif=b"Exif\0\0" + b"\xff" * 60), "W", "IMG_METADATA"),
    picture(
        39,
        "ICC profile that is none",
        "bad.png",
        encoded(flat((9, 99, 9)), icc_profile=b"\xff" * 300),
        "W",
        "IMG_METADATA",
        holds=colour_is(9, 99, 9),
    ),
    picture(40, "wide gamut", "bad.png", wide, "C", holds=in_srgb),
    picture(
        41,
        "JPEG called PNG",
        "bad.png",
        encoded(flat((200, 40, 30)), "JPEG", quality=100),
        "W",
        "IMG_SUFFIX",
        holds=colour_is(200, 40, 30, most=4),
    ),
    *[
        picture(
            42, f"{form} called PNG", "bad.png", content, "S", "IMG_UNREADABLE" if form in ("pcx", "ppm", "tga") else FORMAT
        )
        for form, content in FOREIGN.items()
    ],
    *[
        picture(42, f"{form} by its name", f"bad.{form}", FOREIGN[form], "S", FORMAT)
        for form in ("eps", "pdf", "svg", "heic", "cr2", "tga")
    ],
    picture(42, "DNG called TIFF", "bad.tif", raw, "S", FORMAT),
    *[
        picture(
            43,
            f"JPEG and {tail} at once",
            "bad.jpg",
            partial(polyglot, tail),
            "C",
            holds=colour_is(200, 40, 30, name="bad.jpg", most=4),
        )
        for tail in ("zip", "html")
    ],
    Case(
        "I44", "what file managers leave", partial(beside_good, files=JUNK), "ok", choices={"size": SIDE}, holds=junk_is_ignored
    ),
]
