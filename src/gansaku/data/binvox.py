"""`.binvox`: a header of words and the voxels as run lengths, read and written exactly.

    #binvox 1
    dim 64 64 64                    x, z and y, as the voxels lie in the file: y changes fastest
    translate -0.5 -0.5 -0.5        where the grid's corner lies in the model's own coordinates
    scale 1                         the length of the grid's longest side there
    data                            pairs of bytes follow: a value, 0 or 1, and how often it comes, 1 to 255

The header is read by its keywords: their order, CRLF, further spaces and comment lines do not matter.
P. Min's description of the format, https://www.patrickmin.com/binvox/binvox.html.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansaku.data.content import Bytes
from gansaku.data.grids import MOST_VOXELS, standing
from gansaku.data.store import sides
from gansaku.data.tally import Bad, Note

MAGIC = b"#binvox"
LARGEST_HEADER = 1 << 14  # bytes; comments may be long

Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Binvox:
    """What a file holds: the grid (D, H, W) of 0/1 in the file's own order [x][z][y], and where it lies in the model."""

    grid: Bytes
    translate: Point
    scale: float
    notes: tuple[Note, ...] = ()


class Header(NamedTuple):
    """`start` is where the run lengths begin."""

    shape: tuple[int, int, int]
    translate: Point
    scale: float
    start: int
    notes: tuple[Note, ...]


def read(content: bytes) -> Binvox:
    """The file whose bytes these are. No memory is taken for voxels before header and run lengths agree.

    Raises Bad for another format (BVX_MAGIC), sizes that are none (BVX_DIM) or beyond 512x512x512 voxels (BVX_LARGE), and
    runs that do not fill the grid (BVX_SHORT), overfill it (BVX_OVERRUN), end within a pair (BVX_ODD) or hold other
    values (BVX_VALUE).
    """
    head = header(content)
    count = math.prod(head.shape)
    if (len(content) - head.start) % 2:
        raise Bad("ends in the middle of a pair of value and count; copy or download it again", "BVX_ODD")
    pairs = np.frombuffer(content, np.uint8, offset=head.start)
    values, counts = pairs[0::2], pairs[1::2]
    held = int(counts.sum(dtype=np.int64))
    if held < count:
        raise Bad(f"is cut short: its header says {sides(head.shape)}, which is {count:,} voxels, and it holds {held:,}; copy "
                  "or download it again", "BVX_SHORT")  # fmt: skip
    if held > count:
        raise Bad(f"holds {held:,} voxels, and its header says {sides(head.shape)}, which is {count:,}; write it again",
                  "BVX_OVERRUN")  # fmt: skip
    if values.max() > 1:
        raise Bad(f"holds the value {values.max()}; voxels are 0 or 1, so write it again with 1", "BVX_VALUE")
    notes = head.notes
    if not counts.all():
        notes += (Note("has runs of no voxels, which were passed over", "BVX_ZERO_RUN"),)
    return Binvox(np.repeat(values, counts).reshape(head.shape), head.translate, head.scale, notes)


def header(content: bytes) -> Header:
    """The header at the beginning of a file; the rest need not be there. Raises Bad as `read`."""
    if not content.startswith(MAGIC):
        what = "is empty" if not content else "does not begin with #binvox"
        raise Bad(f"{what}, so it is no .binvox file; copy or download it again", "BVX_MAGIC")
    end = re.search(rb"^[ \t]*data[ \t]*\r?\n", content[:LARGEST_HEADER], re.MULTILINE)
    if end is None:
        raise Bad("is cut short: its header has no line 'data'; copy or download it again", "BVX_SHORT")
    lines = [line.split() for line in content[: end.start()].decode("latin-1").split("\n")[1:]]
    words = {line[0].lower(): line[1:] for line in lines if line and not line[0].startswith("#")}
    translate, scale = numbers(words.get("translate", []), 3), numbers(words.get("scale", []), 1)
    missing = [name for name, found in (("translate", translate), ("scale", scale)) if found is None]
    notes = [Note(f"has no {' and no '.join(missing)} in its header; 0 and 1 were taken", "BVX_HEADER")] if missing else []
    x, y, z = translate or (0.0, 0.0, 0.0)
    return Header(shape_of(words.get("dim", [])), (x, y, z), (scale or (1.0,))[0], end.end(), tuple(notes))


def shape_of(words: list[str]) -> tuple[int, int, int]:
    """The three sizes. Raises Bad unless they are whole numbers from 1, at most 512^3 voxels together."""
    if len(words) != 3 or not all(re.fullmatch("[0-9]{1,18}", word) and int(word) for word in words):
        found = f"the sizes {' '.join(words)[:60]!r}" if words else "no sizes"
        raise Bad(f"has {found} in its header; three numbers from 1 belong there, as 'dim 64 64 64'", "BVX_DIM")
    d, h, w = (int(word) for word in words)
    if d * h * w > MOST_VOXELS:
        raise Bad(f"is {d}x{h}x{w} by its header, and at most 512x512x512 voxels are read", "BVX_LARGE")
    return d, h, w


def numbers(words: list[str], count: int) -> tuple[float, ...] | None:
    """So many finite numbers, or None."""
    try:
        found = tuple(float(word) for word in words)
    except ValueError:
        return None
    return found if len(found) == count and all(math.isfinite(one) for one in found) else None


def up(grid: Bytes, file_up: str) -> Bytes:
    """A grid in the file's order [x][z][y] as the store has it, when the model's axis "y" or "z" points up.

    With y up it is (-x, z, y): what looks along -z, as ShapeNet's models do, faces the front, and -x is then from left to
    right. Without the minus all would be mirrored, as it is in many readers. With y up it is its own inverse.
    """
    return grid[::-1] if file_up == "y" else standing(grid.transpose(0, 2, 1), file_up)


def write(grid: NDArray[np.uint8 | np.bool_], translate: Point = (0.0, 0.0, 0.0), scale: float = 1.0) -> bytes:
    """The bytes of the file of a grid [x][z][y] of 0/1, the inverse of `read`: each run as long as it may be."""
    flat = np.ascontiguousarray(grid).reshape(-1).astype(np.uint8, copy=False)
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    lengths = np.diff(begins)
    parts = -(-lengths // 255)
    counts = np.full(int(parts.sum()), 255)
    counts[np.cumsum(parts) - 1] = lengths - 255 * (parts - 1)
    pairs = np.stack([np.repeat(flat[begins[:-1]], parts), counts.astype(np.uint8)], axis=1)
    words = {"dim": grid.shape, "translate": translate, "scale": (scale,)}
    lines = ["#binvox 1", *(f"{name} {' '.join(map(shortest, values))}" for name, values in words.items()), "data\n"]
    return "\n".join(lines).encode() + pairs.tobytes()


def shortest(value: float) -> str:
    """The number in as few digits as give it back, and 1 for 1.0, as binvox itself writes."""
    return repr(float(value)).removesuffix(".0")
