"""Arrays in files, read some samples at a time: .npy, .npy.gz, and the arrays of an .npz by name.

A header is not trusted: Python objects and samples beyond 512x512x512 values are refused, and no memory is taken for
more rows than the file delivers.
"""

from __future__ import annotations

import gzip
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from gansaku.data.content import at_once
from gansaku.data.tally import Damaged
from gansaku.errors import DataError

LARGEST_SCATTERED = 1 << 27  # bytes of an array in Fortran order, which must be read whole, and is copied

Blocks = Iterator[NDArray[Any]]


@dataclass(frozen=True)
class Array:
    """Rows of values in one file or several, of which only the heads have been read. A single value counts as one row.

    `made` gives all rows in their order, some at a time; what it raises for a damaged file is told under `code`.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    made: Callable[[], Blocks]
    code: str = "NPY"

    def blocks(self) -> Blocks:
        """All of it, some rows at a time. Raises DataError when a file is cut short or damaged."""
        with readable(self.where, self.code):
            yield from self.made()

    def whole(self) -> NDArray[Any]:
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.blocks()])


def held(where: str, values: NDArray[Any]) -> Array:
    """What is in memory already, as an array of a file."""
    return Array(where, values.shape, values.dtype, lambda: iter([values]))


def rows_of(where: str, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], code: str = "NPY") -> Blocks:
    """The rows that follow in a stream, some at a time. Raises DataError when it ends before."""
    step = at_once(math.prod(shape[1:]) * dtype.itemsize)
    for start in range(0, shape[0], step):
        part = (min(step, shape[0] - start), *shape[1:])
        size = math.prod(part) * dtype.itemsize
        content = stream.read(size)
        if len(content) < size:
            raise DataError(where, f"ends before the {math.prod(shape):,} values that its header promises; copy or "
                            "download it again", f"{code}_SHORT")  # fmt: skip
        yield np.frombuffer(content, dtype).reshape(part)


@contextmanager
def arrays_in(path: Path, source: str) -> Iterator[dict[str, Array]]:
    """The arrays of an .npz by name, the one of an .npy under "x"; readable while the context lasts."""
    lower = path.name.lower()
    if lower.endswith(".npz"):
        with readable(source):
            archive = zipfile.ZipFile(path)
        with archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            yield {name: array(f"{source}:{name}", partial(archive.open, f"{name}.npy")) for name in names}
    elif lower.endswith(".gz"):
        yield {"x": array(source, lambda: cast(IO[bytes], gzip.GzipFile(path)))}
    else:
        yield {"x": array(source, lambda: path.open("rb"))}


def array(where: str, open_stream: Callable[[], IO[bytes]]) -> Array:
    """Read the header. Raises DataError for what is no .npy, too large, or Python objects, which could run code."""
    with readable(where), open_stream() as stream:
        shape, fortran, dtype = read_head(stream)
    if dtype.hasobject:
        raise DataError(where, "holds Python objects, which are not loaded; save plain numbers", "NPY_OBJECT")
    if fortran and math.prod(shape) * dtype.itemsize > LARGEST_SCATTERED:
        raise DataError(where, "is in Fortran order, where a sample lies scattered over all of it, and too large to be read "
                        "whole; save it with numpy.ascontiguousarray", "NPY_ORDER")  # fmt: skip
    if math.prod(shape[1:]) > 512**3:
        raise DataError(where, f"has samples of {'x'.join(map(str, shape[1:]))}, beyond 512x512x512 values", "NPY_LARGE")
    shape = shape or (1,)

    def made() -> Blocks:
        with open_stream() as stream:
            read_head(stream)
            yield from (scattered if fortran else rows_of)(where, stream, shape, dtype)

    return Array(where, shape, dtype, made)


def scattered(where: str, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Blocks:
    """The rows of an array in Fortran order, where a row lies scattered over all of the file."""
    rows = np.concatenate([*rows_of(where, stream, shape[::-1], dtype)]).T
    step = at_once(math.prod(shape[1:]) * dtype.itemsize)
    yield from (rows[start : start + step] for start in range(0, len(rows), step))


def read_head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, fortran order, dtype) of an .npy stream, which is left at its first value."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format")
    try:
        return readers[version](stream)
    except (TokenError, SyntaxError, TypeError, RecursionError, MemoryError) as error:  # numpy parses it as Python's text
        raise ValueError("a header that is none") from error


@contextmanager
def readable(where: str, code: str = "NPY") -> Iterator[None]:
    """Turn what a damaged file raises into a DataError, before the writer around takes it for a full disk."""
    try:
        yield
    except Damaged as error:
        raise DataError(where, f"is damaged or cut short ({error}); copy or download it again",
                        f"{code}_CORRUPT") from error  # fmt: skip
