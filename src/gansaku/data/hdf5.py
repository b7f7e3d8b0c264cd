"""HDF5 files of other programs: arrays of many samples, or one grid of voxels a file under `data`.

A foreign file is not trusted. No link is followed, no other file is opened, no filter is run but gzip, lzf and shuffle, and
all that is declared must have been written: so nothing read here exceeds what the file can hold.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from gansaku.data.content import Bytes, at_once
from gansaku.data.grids import MOST_VOXELS, Space, binary, one_grid, standing
from gansaku.data.npy import Array, Blocks
from gansaku.data.store import sides
from gansaku.data.tally import Bad
from gansaku.errors import DataError

KEY = "data"  # of one sample, as 3dgan-chainer names it
FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF)
MOST_BYTES = 1 << 42  # of a dataset as declared
LARGEST_CHUNK = 1 << 27  # bytes
LARGEST_READ = 1 << 28  # bytes that are read at a time where chunks hold many rows
MOST_DATASETS = 1000
PATIENCE = 5  # seconds for another process to list a file
WALK = "import h5py, sys; h5py.File(sys.argv[1], 'r', locking=False).visititems(lambda *item: None)"
UNREADABLE = "cannot be read as HDF5: cut short, damaged or of another type; copy or download it again"
Broken = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError, SystemError)  # of damage


@contextmanager
def arrays_in(path: Path, source: str) -> Iterator[dict[str, Array]]:
    """The datasets of numbers or of short texts by name, those in groups as `group/name`; readable while the context lasts.

    Raises DataError for what is no HDF5 file, cut short or damaged (H5_CORRUPT); links (H5_LINK); data in other files or
    never written (H5_LAYOUT); filters (H5_FILTER); sizes beyond any use (H5_LARGE); and no dataset at all (H5_EMPTY).
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(h5py.File(path, "r", locking=False))
            arrays = checked_arrays(file, path.stat().st_size, source)
        except Bad as bad:
            raise DataError(source, bad.sentence, bad.code) from bad
        except Broken as error:
            raise DataError(source, UNREADABLE, "H5_CORRUPT") from error
        yield arrays


def check_ends(path: Path, source: str) -> None:
    """List the file in another process first. Raises DataError when that does not end, or ends in a crash.

    HDF5 walks in circles through some damaged files, where nothing in the same process could stop it.
    """
    command = [sys.executable, "-c", WALK, str(path)]
    try:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE).returncode
    except subprocess.TimeoutExpired as error:
        raise DataError(source, UNREADABLE, "H5_CORRUPT") from error
    if code < 0:
        raise DataError(source, UNREADABLE, "H5_CORRUPT")


def checked_arrays(file: Any, size: int, source: str) -> dict[str, Array]:
    """The datasets of a file of so many bytes, each safe to read. Raises Bad."""
    check_links(file)
    found = {name: item for name, item in datasets(file).items() if item.dtype.kind in "biufS" and item.shape}
    if not found:
        raise Bad(f"has no dataset of numbers; it holds {listing(file)}", "H5_EMPTY")
    for name, item in found.items():
        check(name, item, size)
    return {
        name: Array(f"{source}:{name}", item.shape, item.dtype, partial(rows_of, item), "H5") for name, item in found.items()
    }


def rows_of(dataset: Any) -> Blocks:
    """All rows, some at a time, each chunk unpacked once."""
    rows, row = dataset.shape[0], math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    some = at_once(row)
    deep = dataset.chunks[0] if dataset.chunks else 1
    step = max(deep, some // deep * deep) if deep * row <= LARGEST_READ else some
    for start in range(0, rows, step):
        part = dataset[start : start + step]
        yield from (part[place : place + some] for place in range(0, len(part), some))


def sample(content: bytes, up: str = "y") -> Bytes:
    """(D, H, W) of 0/1 in the store's axes from a file with one grid under `data`, [x][y][z] with that axis up.

    3dgan-chainer made such files of ShapeNet's `.binvox`, where y points up. Raises Bad with the codes of `arrays_in`,
    without `data` (H5_NAMES), for other sizes than (D, H, W) (VOX_SHAPE) and other values than 0 and 1 (H5_TYPE, VOX_VALUE).
    """
    with opened(content) as file:
        item = the_sample(file, len(content))
        grid = item[()].reshape(one_grid(item.shape))
    return standing(binary(grid), up)


def sample_space(stream: IO[bytes], size: int, up: str = "y") -> Space:
    """The size that `sample` will give a file of so many bytes, without reading the grid. Raises Bad as it does."""
    with opened(stream) as file:
        x, y, z = one_grid(the_sample(file, size).shape)
    return (x, z, y) if up == "y" else (x, y, z)


@contextmanager
def opened(content: bytes | IO[bytes]) -> Iterator[Any]:
    """The file whose bytes or stream this is. Raises Bad for what is none."""
    try:
        with h5py.File(h5py.h5f.open_file_image(content) if isinstance(content, bytes) else content, "r") as file:
            yield file
    except Broken as error:
        raise Bad(UNREADABLE, "H5_CORRUPT") from error


def the_sample(file: Any, size: int) -> Any:
    """The dataset `data`, checked. Raises Bad."""
    link = file.get(KEY, getlink=True)
    if link is None or (isinstance(link, h5py.HardLink) and not isinstance(file[KEY], h5py.Dataset)):
        raise Bad(f"has no dataset {KEY!r} with a grid", "H5_NAMES")
    if not isinstance(link, h5py.HardLink):
        raise Bad(f"has a link in the place of {KEY!r}, which is not followed; copy the data into the file", "H5_LINK")
    item = file[KEY]
    if item.dtype.kind not in "biuf":
        raise Bad(f"holds {item.dtype} under {KEY!r}; voxels are numbers, 0 or 1", "H5_TYPE")
    check(KEY, item, size)
    return item


def check(name: str, item: Any, size: int) -> None:
    """Raises Bad unless a dataset lies, whole, in a file of so many bytes, and can be read without plugins."""
    if item.is_virtual or item.external:
        raise Bad(f"keeps {name!r} in other files, which are not opened; copy the data into the file", "H5_LAYOUT")
    if item.size * item.dtype.itemsize > MOST_BYTES or math.prod(item.shape[1:]) > MOST_VOXELS:
        raise Bad(f"declares {name!r} as {sides(item.shape)} {item.dtype}, beyond all that is read; write only what there is",
                  "H5_LARGE")  # fmt: skip
    about = item.id.get_create_plist()
    filters = [about.get_filter(number) for number in range(about.get_nfilters())]
    strange = next((one for one in filters if one[0] not in FILTERS), None)
    if strange:
        raise Bad(f"packs {name!r} by the filter {strange[0]} {strange[3].decode('latin-1')[:40]!r}; write it again with gzip, "
                  "lzf or none", "H5_FILTER")  # fmt: skip
    if not item.size or about.get_layout() == h5py.h5d.COMPACT:
        return
    if not item.chunks:
        offset = item.id.get_offset()
        if offset is None:
            raise Bad(f"declares {name!r} as {sides(item.shape)}, and nothing of it was written", "H5_LAYOUT")
        if offset + item.nbytes > size:
            raise Bad(f"is cut short within {name!r}; copy or download it again", "H5_CORRUPT")
        return
    if math.prod(item.chunks) * item.dtype.itemsize > LARGEST_CHUNK:
        raise Bad(f"has chunks of {sides(item.chunks)} in {name!r}, beyond {LARGEST_CHUNK:,} bytes; write it again with "
                  "smaller ones", "H5_LARGE")  # fmt: skip
    chunks = math.prod(-(-side // own) for side, own in zip(item.shape, item.chunks, strict=True))
    if (written := item.id.get_num_chunks()) < chunks:
        raise Bad(f"declares {name!r} as {sides(item.shape)}, and {written:,} of {chunks:,} chunks were written; write only "
                  "what there is", "H5_LAYOUT")  # fmt: skip


def check_links(file: Any) -> None:
    """Raises Bad when any name stands for something in another place, or in another file."""
    found = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
    if found is not None:
        raise Bad(f"has the link {found!r}, which is not followed; copy the data into the file", "H5_LINK")


def datasets(file: Any, most: int = MOST_DATASETS) -> dict[str, Any]:
    """The first datasets by name; no link is followed."""
    found: dict[str, Any] = {}

    def look(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset):
            found[name] = item
        return True if len(found) >= most else None

    file.visititems(look)
    return found


def listing(file: Any) -> str:
    """`'x' 890x32x32x32 float32, ...`"""
    found = [f"{name!r} {sides(item.shape)} {item.dtype}" for name, item in datasets(file, 9).items()]
    return ", ".join(found[:8]) + (", ..." if len(found) > 8 else "") or "no dataset"


def write_sample(grid: Bytes) -> bytes:
    """The bytes of a file with this grid (D, H, W) under `data`, as 3dgan-chainer writes it: float64, [x][y][z], y up.

    The inverse of `sample`; the same grid gives the same bytes.
    """
    memory = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    memory.set_fapl_core(backing_store=False)
    with h5py.File(h5py.h5f.create(b"sample.h5", h5py.h5f.ACC_TRUNC, fapl=memory)) as file:
        file[KEY] = np.ascontiguousarray(grid[::-1].transpose(0, 2, 1), np.float64)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image
