"""What the bytes of a picture file say without a decoder: formats that are not opened, EXIF's orientation, signs of damage."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from gansaku.data.tally import Bad

REFUSED = {  # what it is -> where, and first bytes; these are never handed to a decoder
    "a PDF": ((0, b"%PDF"),),
    "PostScript": ((0, b"%!PS"), (0, b"\xc5\xd0\xd3\xc6")),
    "a Photoshop file": ((0, b"8BPS"),),
    "a GIMP file": ((0, b"gimp xcf"),),
    "a FITS file": ((0, b"SIMPLE  ="),),
    "an EXR file": ((0, b"v/1\x01"),),
    "a Radiance HDR picture": ((0, b"#?RADIANCE"), (0, b"#?RGBE")),
    "a HEIC, AVIF or CR3 file": ((4, b"ftyp"),),
    "a JPEG 2000 picture": ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
    "a JPEG XL picture": ((0, b"\0\0\0\x0cJXL "), (0, b"\xff\x0a")),
    "a DDS texture": ((0, b"DDS "),),
    "an icon": ((0, b"\0\0\1\0"),),
    "a QOI picture": ((0, b"qoif"),),
    "an archive": ((0, b"PK\x03\x04"), (0, b"Rar!"), (0, b"7z\xbc\xaf\x27\x1c"), (0, b"\x1f\x8b\x08")),
    "a raw photograph": ((0, b"FUJIFILMCCD-RAW"), (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (0, b"IIU\0"), (0, b"FOVb"),
                         (6, b"HEAPCCDR"), (8, b"CR\x02\0")),
}  # fmt: skip
PLAIN = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8")  # what is decoded and begins like nothing else
TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
KIND, SUB_DIRECTORIES, PHOTOMETRIC, ORIENTATION, DNG = 254, 330, 262, 274, 50706  # TIFF tags
RAW_PHOTOMETRIC = (32803, 34892)  # a sensor's colour filter, and linear raw
EOI, SOS, DHT = 0xD9, 0xDA, 0xC4  # JPEG markers
ALONE = frozenset(range(0xD0, 0xD9)) | {1}  # markers without a segment
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
SEQUENTIAL = (0xC0, 0xC1)  # frames whose Huffman codes stand one after the other
MARKER = re.compile(rb"\xff[\x01-\xfe]")
ZEROS = bytes(32)
MOST_SCANS, MOST_SEGMENTS = 100, 10_000  # of a JPEG; a dozen scans are usual


class Marks(NamedTuple):
    """What a walk over a JPEG's markers found; `end` is the place after the last, or -1 where the end is missing."""

    end: int
    doubt: str


def refuse(start: bytes) -> None:
    """Raise Bad for an empty file and for formats that are known and not opened, by the first bytes."""
    if not start:
        raise Bad("is an empty file", "IMG_EMPTY")
    if start.startswith(b"\x89PNG\r\n\x1a\n") and b"\0\0\0\0" in (start[16:20], start[20:24]):
        raise Bad("has no pixels: its header says a side of 0", "IMG_ZERO_SIZE")
    if start.startswith(PLAIN):
        return
    found = next((what for what, signs in REFUSED.items() if any(start.startswith(sign, at) for at, sign in signs)), "")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text):
        found = "an SVG drawing"
    if found:
        raise Bad(f"is {found}; convert it to PNG or JPEG", "IMG_FORMAT")


def refuse_raw(stream: IO[bytes]) -> None:
    """Raise Bad for a camera's raw file in the form of a TIFF, told by its tags: DNG, NEF, ARW, PEF and their like.

    They say DNG's version, a sensor's colour filter, or start with a reduced picture that has the true one below it.
    """
    try:
        tags = directory(stream)
    except ValueError:
        return  # the decoder will say what is wrong
    reduced = tags.get(KIND, 0) & 1 and SUB_DIRECTORIES in tags
    if reduced or DNG in tags or tags.get(PHOTOMETRIC) in RAW_PHOTOMETRIC:
        raise Bad("is a raw photograph; develop it to PNG or JPEG", "IMG_FORMAT")


def looks_like_text(start: bytes) -> bool:
    return len(start) > 1 and all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)


def directory(stream: IO[bytes]) -> dict[int, int]:
    """The first directory of a TIFF, or of EXIF data, from its beginning: tag -> first value, of bytes, shorts and longs.

    What lies elsewhere in the file is not followed. Raises ValueError when it is damaged.
    """
    stream.seek(0)
    order = TIFF_ORDER.get(stream.read(4))
    if order is None:
        raise ValueError("no byte order")
    try:
        stream.seek(*struct.unpack(f"{order}I", stream.read(4)))
        (count,) = struct.unpack(f"{order}H", stream.read(2))
        entries = struct.iter_unpack(f"{order}HHI4s", read_all(stream, 12 * count))
        forms = {1: f"{order}B3x", 3: f"{order}H2x", 4: f"{order}I", 7: f"{order}B3x", 13: f"{order}I"}
        return {tag: struct.unpack(forms[kind], value)[0] for tag, kind, _, value in entries if kind in forms}
    except struct.error as error:
        raise ValueError("cut short") from error


def read_all(stream: IO[bytes], length: int) -> bytes:
    """Raises ValueError when there is less."""
    content = stream.read(length)
    if len(content) < length:
        raise ValueError("cut short")
    return content


def orientation_in(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8 where it is sound, 1 where it is not stated. Raises ValueError for damaged EXIF data."""
    return directory(io.BytesIO(exif.removeprefix(b"Exif\0\0"))).get(ORIENTATION, 1)


def png_chunks(stream: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """(kind, place of its content, length) of each chunk up to the last or to IEND."""
    place = 8
    while True:
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, place + 8, length
        if kind == b"IEND":
            return
        place += length + 12


def late_exif(stream: IO[bytes]) -> bytes:
    """The EXIF data of a PNG wherever they are; a decoder has read them at the header only where they come first."""
    for kind, place, length in png_chunks(stream):
        if kind == b"eXIf":
            stream.seek(place)
            return stream.read(min(length, 1 << 20))
    return b""


def png_end(stream: IO[bytes]) -> int:
    """The place after IEND, or -1 where it is missing."""
    return next((place + length + 4 for kind, place, length in png_chunks(stream) if kind == b"IEND"), -1)


def jpeg_marks(content: bytes) -> Marks:
    """A walk over a JPEG's markers: where it ends, and a sign of damage that a decoder would pass over, or "".

    Signs are bytes between segments, restart markers out of order, and 32 or more zero bytes in sequential Huffman data,
    where zero bits are a code that no picture repeats so often (not looked for where they may stand for flat areas).
    Raises Bad when it has so many scans that decoding would take minutes.
    """
    place, scans, sequential, doubt = 2, 0, False, ""
    first: dict[int, int] = {}  # of each AC table, the symbol that zero bits stand for
    for _ in range(MOST_SEGMENTS):
        mark = MARKER.search(content, place)
        if mark is None:
            break
        kind, start = content[mark.end() - 1], mark.end()
        if mark.start() > place and content[place : mark.start()].strip(b"\xff"):
            doubt = doubt or "has bytes between its segments that belong to none"
        if kind == EOI:
            return Marks(start, doubt)
        place = start if kind in ALONE else start + int.from_bytes(content[start : start + 2], "big")
        if kind in FRAMES:
            sequential = kind in SEQUENTIAL
        elif kind == DHT:
            first |= first_symbols(content[start + 2 : place])
        elif kind == SOS:
            scans += 1
            if scans > MOST_SCANS:
                raise Bad(f"is stored in more than {MOST_SCANS} scans, which takes too long to decode", "IMG_BOMB")
            end, ordered = scan_end(content, place)
            if not ordered:
                doubt = doubt or "has restart markers out of order"
            ends = all(first.get(tables & 15, 1) == 0 for tables in content[start + 4 : place - 3 : 2])  # a block, at once
            if sequential and not ends and content.find(ZEROS, place, end) >= 0:
                doubt = doubt or "has a run of zero bytes among its pixels"
            place = end
    return Marks(-1, doubt)


def scan_end(content: bytes, place: int) -> tuple[int, bool]:
    """Where a scan's data end, and whether its restart markers count 0 to 7 again and again."""
    due, ordered = 0, True
    for mark in MARKER.finditer(content, place):
        kind = content[mark.end() - 1]
        if not 0xD0 <= kind <= 0xD7:
            return mark.start(), ordered
        ordered = ordered and kind - 0xD0 == due
        due = (due + 1) % 8
    return len(content), ordered


def first_symbols(tables: bytes) -> dict[int, int]:
    """The first symbol of each AC table in a DHT segment, which the shortest code of zero bits stands for."""
    place, found = 0, dict[int, int]()
    while place + 17 < len(tables):
        if tables[place] >> 4 == 1:
            found[tables[place] & 15] = tables[place + 17]
        place += 17 + sum(tables[place + 1 : place + 17])
    return found
