"""Makes pictures.json: small picture files of every kind with the pixels that they decode to, and a picture in other sizes.

The files are kept with their pixels, since encoders differ; what is expected of the pixels beyond their staying the same is
computed by the tests. Run it by hand: python tests/goldens/make_pictures.py
"""

import base64
import io
import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from gansaku.data.pictures import decode
from gansaku.data.policy import FILTERS, FITS, Policy
from gansaku.data.resizing import resized

HEIGHT, WIDTH = 5, 7
SIZES = [(4, 3), (11, 6)]  # smaller and on one side larger than 9 x 14


def colours(height=HEIGHT, width=WIDTH):
    """Smooth, of all hues, unlike itself however it is turned."""
    down, right = np.mgrid[0:height, 0:width] / (max(height, width) - 1)
    parts = [right, down, (1 - right) * (1 - 0.6 * down)]
    return np.rint(255 * np.stack(parts, -1) ** 0.8).astype(np.uint8)


def saved(image, form="PNG", **options):
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, form, **options)
    return stream.getvalue()


def turned(orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(colours(), form, exif=exif)


def profile(kind, space, pcs, tags):
    """An ICC profile, version 2.1, of these tags."""
    start, directory, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        directory += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    illuminant = fixed(0.9642, 1.0, 0.8249)
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(body), 0x02100000, kind, space, pcs, b"acsp") + illuminant
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + directory + body


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def gamma(value):
    return struct.pack(">4s4xIH2x", b"curv", 1, round(value * 256))


def xyz(*values):
    return b"XYZ \0\0\0\0" + fixed(*values)


def wide():
    """Adobe RGB (1998): its primaries, adapted to D50, and a gamma of 563/256."""
    tags = {b"wtpt": xyz(0.9642, 1, 0.8249), b"rXYZ": xyz(0.60974, 0.31111, 0.01947), b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
            b"bXYZ": xyz(0.14919, 0.06322, 0.74457)}  # fmt: skip
    return profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(563 / 256)))


def linear_grey():
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(1)})


def inks():
    """A press whose lightness falls with the mean of its inks, and a and b with two of them, in 8-bit CIELAB."""
    identity = bytes(range(256))
    corners = np.array([[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)])
    light = 255 * (1 - corners[:, 3]) * (1 - 0.5 * corners[:, :3].mean(1))
    lab = np.stack([light, 128 + 20 * corners[:, 1] * (1 - corners[:, 3]), 128 - 30 * corners[:, 0] * (1 - corners[:, 3])], -1)
    table = np.rint(lab).astype(np.uint8).tobytes()
    lut = struct.pack(">4s4x4B", b"mft1", 4, 3, 2, 0) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + identity * 4 + table + identity * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": lut})


def four_inks():
    """Large flat areas, so that JPEG keeps them: no ink, each ink alone, two together, half black."""
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (0, 255, 255, 0), (0, 0, 0, 128)]
    return Image.fromarray(np.repeat(np.repeat(np.array([inks], np.uint8), 8, 0), 8, 1), "CMYK")


def without_adobe(content):
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def deep_png(samples, kind):
    """A 16-bit PNG, which Pillow writes for grey only: (H, W, channels) uint16; kind 2 is RGB, 4 grey with alpha, 6 RGBA."""
    import zlib

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def palette(**options):
    image = Image.fromarray((np.arange(HEIGHT * WIDTH) % 4).astype(np.uint8).reshape(HEIGHT, WIDTH), "P")
    image.putpalette([200, 10, 20, 30, 210, 40, 50, 60, 220, 90, 90, 0])
    return saved(image, **options)


def with_alpha(mode):
    alpha = np.linspace(0, 255, HEIGHT * WIDTH).round().astype(np.uint8).reshape(HEIGHT, WIDTH, 1)
    colour = colours() if mode == "RGBA" else colours()[..., :1]
    return saved(Image.fromarray(np.concatenate([colour, alpha], -1), mode))


def files():
    deep = np.linspace(0, 65535, HEIGHT * WIDTH * 4).round().astype(np.uint16).reshape(HEIGHT, WIDTH, 4)
    adobe = saved(four_inks(), "JPEG", quality=100)
    found = {f"orientation {n} {form}": turned(n, form) for n in range(1, 9) for form in ("PNG", "TIFF")}
    return found | {
        "cmyk jpeg with Adobe's marker": adobe,
        "cmyk jpeg without": without_adobe(saved(ImageChops.invert(four_inks()), "JPEG", quality=100)),
        "cmyk tiff": saved(four_inks(), "TIFF"),
        "cmyk jpeg with a profile": saved(four_inks(), "JPEG", quality=100, icc_profile=inks()),
        "wide gamut": saved(colours(), icc_profile=wide()),
        "wide gamut with alpha": saved(Image.fromarray(colours()).convert("RGBA"), icc_profile=wide()),
        "linear grey": saved(colours()[..., 0], icc_profile=linear_grey()),
        "16-bit grey": saved(deep[..., 0]),
        "16-bit grey tiff": saved(deep[..., 0], "TIFF"),
        "16-bit rgb": deep_png(deep[..., :3], 2),
        "16-bit grey with alpha": deep_png(deep[..., [3, 0]], 4),
        "16-bit rgba": deep_png(deep, 6),
        "palette": palette(),
        "palette with a transparent entry": palette(transparency=2),
        "palette with alpha": palette(transparency=bytes([255, 0, 128, 51])),
        "LA": with_alpha("LA"),
        "RGBA": with_alpha("RGBA"),
        "1-bit": saved(Image.fromarray(colours()).convert("1")),
        "YCbCr tiff": saved(Image.fromarray(colours()).convert("YCbCr"), "TIFF"),
        "LAB tiff": saved(Image.fromarray(np.full((2, 3, 3), (160, 20, 200), np.uint8), "LAB"), "TIFF"),
        "webp": saved(colours(), "WEBP", lossless=True),
        "gif": saved(Image.fromarray(colours()).quantize(8), "GIF"),
        "bmp": saved(colours(), "BMP"),
        "jpeg": saved(colours(40, 56), "JPEG", quality=95),
    }


def plain(pixels):
    return {"shape": list(pixels.shape), "pixels": base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()}


def main():
    decoded = {
        name: {"file": base64.b64encode(content).decode(), **plain(decode(content, Policy())[0].pixels)}
        for name, content in files().items()
    }
    picture = colours(9, 14)
    sizes = {
        f"{fit} {how} {size[0]}x{size[1]}": plain(resized(picture, size, Policy(size=size, fit=fit, filter=how)))
        for fit in FITS
        for how in FILTERS
        for size in SIZES
    }
    path = Path(__file__).with_name("pictures.json")
    path.write_text(json.dumps({"decoded": decoded, "picture": plain(picture), "resized": sizes}, indent=1) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
