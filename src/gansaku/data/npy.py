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
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from gansaku.data.store import at_once, sides
from gansaku.data.tally import Damaged
from gansaku.errors import DataError


@dataclass(frozen=True)
class Array:
    """An array in a file, of which only the header has been read. A single value counts as one row."""

    where: str
    open: Callable[[], IO[bytes]]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All of it, some rows at a time. Raises DataError when the file is cut short or damaged."""
        rows, row = self.shape[0], self.shape[1:]
        step = at_once(math.prod(row) * self.dtype.itemsize)
        with readable(self.where), self.open() as stream:
            read_head(stream)
            if self.fortran:  # a row lies scattered over all of the file
                whole = self.formed(stream.read(), self.shape)
                yield from (whole[start : start + step] for start in range(0, rows, step))
                return
            for start in range(0, rows, step):
                shape = (min(step, rows - start), *row)
                yield self.formed(stream.read(math.prod(shape) * self.dtype.itemsize), shape)

    def formed(self, content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        if len(content) < math.prod(shape) * self.dtype.itemsize:
            raise DataError(self.where, f"ends before the {self.shape} values that its header promises; copy or "
                            "download it again", "NPY_SHORT")  # fmt: skip
        return np.frombuffer(content, self.dtype, math.prod(shape)).reshape(shape, order="F" if self.fortran else "C")

    def whole(self) -> NDArray[Any]:
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.blocks()])


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
    if math.prod(shape[1:]) > 512**3:
        raise DataError(where, f"has samples of {sides(shape[1:])}, beyond 512x512x512 values", "NPY_LARGE")
    return Array(where, open_stream, shape or (1,), dtype, fortran)


def read_head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, fortran order, dtype) of an .npy stream, which is left at its first value."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version} of the .npy format")


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what a damaged file raises into a DataError, before the writer around takes it for a full disk."""
    try:
        yield
    except Damaged as error:
        raise DataError(where, f"is damaged or cut short ({error}); copy or download it again", "NPY_CORRUPT") from error
