"""MATLAB files (.mat, version 5) that hold a grid of voxels, as ModelNet's do: `instance`, (30, 30, 30) of 0/1.

Only what is needed of the format is read, and no memory is taken by what a header says: "MAT-File Format", MathWorks,
chapter 1. Version 7.3 is HDF5 inside and may hold objects; it is refused.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from gansaku.data.content import Bytes
from gansaku.data.grids import MOST_VOXELS, binary
from gansaku.data.store import sides
from gansaku.data.tally import Bad

HEADER = 128  # bytes
MATRIX, COMPRESSED = 14, 15  # kinds of elements
KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC = range(6, 16)  # classes of arrays: from double to uint64
COMPLEX = 0x800
MOST_UNPACKED = 1 << 28  # bytes of all that is compressed in a file

Order = Literal["<", ">"]
Element = tuple[int, memoryview]


class Matrix(NamedTuple):
    """A variable of numbers, not yet decoded. `kind` is how its values are stored."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype[np.generic]
    values: memoryview


def read(content: bytes) -> Bytes:
    """(D, H, W) of 0/1: `instance`, or the only three-dimensional variable, as it is stored.

    Raises Bad for what is no .mat file (MAT_CORRUPT), version 7.3 (NPY_OBJECT), a file without such a variable
    (MAT_NAMES), beyond 512x512x512 voxels (MAT_LARGE), and for values other than 0 and 1 (VOX_VALUE).
    """
    found = chosen(list(matrices(content)))
    if len(found.values) < math.prod(found.shape) * found.kind.itemsize:
        raise Bad(f"ends before the {sides(found.shape)} values that it promises; copy or download it again", "MAT_CORRUPT")
    values = np.frombuffer(found.values, found.kind, math.prod(found.shape))
    return binary(values.reshape(found.shape, order="F"))


def chosen(found: list[Matrix]) -> Matrix:
    """The variable that is the grid. Raises Bad when it is none, or too large."""
    solid = [one for one in found if len(one.shape) == 3]
    named = [one for one in solid if one.name == "instance"] or solid
    if len(named) != 1:
        have = ", ".join(f"{one.name[:40]!r} {sides(one.shape)}" for one in found[:8]) or "no array of numbers"
        raise Bad(f"has no grid of voxels named 'instance'; it holds {have}", "MAT_NAMES")
    if math.prod(named[0].shape) > MOST_VOXELS or min(named[0].shape) < 1:
        raise Bad(f"has a grid of {sides(named[0].shape)}; 1 to 512x512x512 voxels are read", "MAT_LARGE")
    return named[0]


def matrices(content: bytes) -> Iterator[Matrix]:
    """The arrays of real numbers in a file; others are passed over. Raises Bad for a damaged file, or of another version."""
    if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise Bad("is a MATLAB 7.3 file, which can hold objects and is not loaded; save it with -v7 or as .npy", "NPY_OBJECT")
    mark = content[126:128]
    if mark not in (b"IM", b"MI"):
        raise Bad("is no MATLAB file of version 5; save it with -v7, or copy or download it again", "MAT_CORRUPT")
    order: Order = "<" if mark == b"IM" else ">"
    left = MOST_UNPACKED
    for kind, data in elements(memoryview(content)[HEADER:], order):
        if kind == COMPRESSED:
            made = unpacked(data, left)
            left -= len(made)
            inside = list(elements(memoryview(made), order))
        else:
            inside = [(kind, data)]
        yield from filter(None, (matrix_of(matrix, order) for inner, matrix in inside if inner == MATRIX))


def elements(data: memoryview, order: Order) -> Iterator[Element]:
    """(kind, data) one after the other, each behind a tag of 8 bytes, or of 4 with up to 4 bytes of data behind it."""
    at = 0
    while at + 8 <= len(data):
        kind, size = (int(word) for word in np.frombuffer(data[at : at + 8], f"{order}u4"))
        begin, end = at + 8, at + 8 + size
        after = end if kind == COMPRESSED else at + 8 + -(-size // 8) * 8
        if kind >> 16:  # the short form
            kind, begin, end, after = kind & 0xFFFF, at + 4, at + 4 + (kind >> 16), at + 8
        if end > min(len(data), after):
            raise Bad("is cut short or damaged; copy or download it again", "MAT_CORRUPT")
        yield kind, data[begin:end]
        at = after


def unpacked(data: memoryview, most: int) -> bytes:
    """A compressed element. Raises Bad for what is damaged, and for more than so many bytes."""
    machine = zlib.decompressobj()
    try:
        made = machine.decompress(data, max(1, most))
    except zlib.error as error:
        raise Bad(f"is damaged ({error}); copy or download it again", "MAT_CORRUPT") from error
    if machine.unconsumed_tail:
        raise Bad(f"unpacks to more than {MOST_UNPACKED:,} bytes; save the grid alone, as uint8", "MAT_LARGE")
    return made


def matrix_of(data: memoryview, order: Order) -> Matrix | None:
    """A variable: flags, sizes, name and values. None for one that is no array of real numbers."""
    parts = list(islice(elements(data, order), 4))
    if len(parts) < 4 or len(parts[0][1]) < 4:
        return None
    flags = int(np.frombuffer(parts[0][1][:4], f"{order}u4")[0])
    if flags & 0xFF not in NUMERIC or flags & COMPLEX or parts[3][0] not in KINDS or len(parts[1][1]) % 4:
        return None
    shape = tuple(int(side) for side in np.frombuffer(parts[1][1], f"{order}i4"))
    kind = np.dtype(KINDS[parts[3][0]]).newbyteorder(order)
    return Matrix(bytes(parts[2][1]).decode("latin-1"), shape, kind, parts[3][1])
