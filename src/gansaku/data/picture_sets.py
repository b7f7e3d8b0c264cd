"""Many pictures to one kind of sample: their common size and channels, their classes, decoded in blocks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np

from gansaku.data import pictures
from gansaku.data.folders import Entry, layout, natural
from gansaku.data.store import SPLITS, Block, Content, Progress, at_once
from gansaku.data.tally import Bad, Damaged, Tally, unreadable
from gansaku.errors import DataError

LARGEST_FILE = 1 << 28  # bytes
BLOCK = 512  # pictures, so that small ones show progress too


@contextmanager
def content(entries: Sequence[Entry], size: int | None, tally: Tally, progress: Progress) -> Iterator[Content]:
    """Headers of all first, so that a mistake is told at once; pixels as the blocks are asked for, a few at a time."""
    if not tally.report["files"]:
        raise DataError(tally.source, f"holds no pictures (other files: {tally.report['ignored']}); put PNG, JPEG, WebP, "
                        "BMP, GIF or TIFF files there", "DATA_EMPTY")  # fmt: skip
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        good: list[Entry] = []
        headers: list[pictures.Header] = []
        for entry, header in zip(entries, pool.map(partial(header_of, size), entries), strict=True):
            if isinstance(header, Bad):
                tally.skip(entry.name, header)
            else:
                good.append(entry)
                headers.append(header)
        tally.check()
        space = (size, size) if size is not None else common_size(tally.source, headers)
        shape = (1 if all(header.grey for header in headers) else 3, *space)
        places = layout(tally.source, [entry.name for entry in good])
        classes = sorted({label for _, label in places if label}, key=natural)
        numbers = {label: number for number, label in enumerate(classes)}

        def blocks() -> Iterator[Block]:
            done, step = 0, min(BLOCK, at_once(math.prod(shape)))
            for split in SPLITS:
                queue = [(e, numbers.get(label, 0)) for e, (own, label) in zip(good, places, strict=True) if own == split]
                for start in range(0, len(queue), step):
                    part = queue[start : start + step]
                    decoded = pool.map(partial(pixels_of, size, shape), (entry for entry, _ in part))
                    if block := taken(part, decoded, split, tally):
                        yield block
                    done += len(part)
                    progress(done, len(good))

        yield Content(shape, tuple(classes), blocks())


def header_of(size: int | None, entry: Entry) -> pictures.Header | Bad:
    """The header, or why the picture cannot be used at this size."""
    try:
        if entry.size > LARGEST_FILE:
            raise Bad(f"is a file of {entry.size:,} bytes; at most {LARGEST_FILE:,} are read", "IMG_TOO_LARGE")
        with entry.open() as stream:
            header = pictures.header(stream)
    except Bad as bad:
        return bad
    except Damaged as error:
        return unreadable(error)
    short, long = sorted((header.height, header.width))
    if size is not None and long > pictures.FLATTEST * short:
        return Bad(f"is {header.width}x{header.height}, flatter than {pictures.FLATTEST}:1; crop it", "IMG_ASPECT")
    if size is not None and 4 * short < size:
        return Bad(f"is {header.width}x{header.height}, less than a quarter of size {size}", "IMG_TOO_SMALL")
    return header


def pixels_of(size: int | None, shape: tuple[int, ...], entry: Entry) -> pictures.Decoded | Bad:
    """The picture as (*S, C), with notes of what was converted, or why it cannot be used."""
    try:
        with entry.open() as stream:
            pixels, notes = pictures.decode(stream.read())
    except Bad as bad:
        return bad
    except Damaged as error:
        return unreadable(error)
    if size is not None:
        notes += ("enlarged",) if min(pixels.shape[:2]) < size else ()
        pixels = pictures.resize(pixels, size)
    if pixels.shape[2] < shape[0]:
        pixels, notes = np.repeat(pixels, shape[0], axis=2), (*notes, "grey to colour")
    if pixels.shape != (*shape[1:], shape[0]):
        return Bad(f"decodes to {pixels.shape}, unlike its header", "IMG_CORRUPT")
    return pictures.Decoded(pixels, notes)


def taken(
    part: Sequence[tuple[Entry, int]], decoded: Iterable[pictures.Decoded | Bad], split: str, tally: Tally
) -> Block | None:
    """The good ones of these pictures with their labels, None where there are none; the others are counted."""
    pixels, labels = [], []
    for (entry, label), found in zip(part, decoded, strict=True):
        if isinstance(found, Bad):
            tally.skip(entry.name, found)
            continue
        pixels.append(found.pixels)
        labels.append(label)
        for note in found.notes:
            tally.convert(note)
    return Block(np.stack(pixels), np.array(labels, np.int64), split, {}) if pixels else None


def common_size(source: str, headers: Sequence[pictures.Header]) -> tuple[int, int]:
    """The (height, width) that all pictures have. Raises DataError when they differ."""
    sizes = {header[:2] for header in headers}
    if len(sizes) == 1:
        return sizes.pop()
    small, large = min(sizes, key=math.prod), max(sizes, key=math.prod)
    raise DataError(source, f"has pictures of {len(sizes)} sizes, from {small[1]}x{small[0]} to {large[1]}x{large[0]} "
                    "pixels; give --size 64, or another, to resize and crop them to squares", "IMG_SIZES")  # fmt: skip
