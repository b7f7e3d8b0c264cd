"""V93 to V114: voxel files, HDF5 and arrays."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from corpus import Case, sample
from numpy.lib import format as npy

SIDE = 4


def grid(seed: int = 0, side: int = SIDE) -> Any:
    """(side, side, side) of 0/1, neither empty nor full."""
    made = (np.random.default_rng(seed).random((side,) * 3) < 0.5).astype(np.uint8)
    made[0, 0, 0], made[-1, -1, -1] = 1, 0
    return made


def pairs(values: Any) -> bytes:
    """Run-length encoded, each value a run of its own length, the plain way."""
    out, flat = bytearray(), list(np.asarray(values).reshape(-1))
    at = 0
    while at < len(flat):
        run = 1
        while at + run < len(flat) and flat[at + run] == flat[at] and run < 255:
            run += 1
        out += bytes((int(flat[at]), run))
        at += run
    return bytes(out)


def binvox(values: Any = None, *, head: str | None = None, body: bytes | None = None, dim: str | None = None) -> bytes:
    """A .binvox file."""
    values = grid() if values is None else values
    sides = dim if dim is not None else " ".join(map(str, values.shape))
    head = head if head is not None else f"#binvox 1\ndim {sides}\ntranslate 0 0 0\nscale 1\ndata\n"
    return head.encode() + (pairs(values) if body is None else body)


def beside_good(folder: Path, files: dict[str, bytes]) -> Path:
    """Three good grids, and these files."""
    source = folder / "source"
    source.mkdir()
    for seed in (1, 2, 3):
        (source / f"good_{seed}.binvox").write_bytes(binvox(grid(seed)))
    for name, content in files.items():
        (source / name).write_bytes(content)
    return source


def voxels(number: int, what: str, content: bytes, kind: str, code: str = "", **more: Any) -> Case:
    """A case of one bad grid among good ones."""
    names = ("bad.binvox",) if kind in "SW" and code else ()
    return Case(f"V{number}", what, partial(beside_good, files={"bad.binvox": content}), kind, code, names=names, **more)


def as_written(dataset: Any) -> None:
    """The grid reads as the good ones do: with the same grid in one of them, the samples are equal."""
    first = sample(dataset, "bad.binvox")
    assert first.shape == (SIDE, SIDE, SIDE, 1)
    assert int(first.sum()) == int(grid().sum())
    assert first.tobytes() == stood(grid()).tobytes()


def stood(file: Any) -> Any:
    """The file's [x][z][y] with y up as the store has it: left to right, front to back, floor to top."""
    return np.ascontiguousarray(file[::-1])


def marked() -> Any:
    """One voxel at x = 0, z = 1, y = 3 of the file."""
    made = np.zeros((SIDE,) * 3, np.uint8)
    made[0, 1, 3] = 1
    return made


def marker_stands(dataset: Any) -> None:
    """At the right (x = 0 of a model that faces us), second from the front, at the top."""
    assert np.argwhere(sample(dataset, "bad.binvox")[..., 0]).tolist() == [[3, 1, 3]]


def sides_are(side: int) -> Callable[[Any], None]:
    def holds(dataset: Any) -> None:
        assert dataset.shape == (1, side, side, side)

    return holds


# HDF5


def hdf5(fill: Callable[[Any], None], name: str = "source.h5") -> Callable[[Path], Path]:
    """A file that the function fills; beside it another that links may lead to."""

    def build(folder: Path) -> Path:
        with h5py.File(folder / "other.h5", "w") as other:
            other["data"] = np.zeros((3, 4, 4, 4), np.uint8)
        with h5py.File(folder / name, "w") as file:
            fill(file)
        return folder / name

    return build


def values(shape: tuple[int, ...] = (5, 4, 4, 4), kind: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(0, 2, shape).astype(kind)


def assigned(name: str, content: Any) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        file[name] = content

    return fill


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((3, 4, 4, 4), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "data", (3, 4, 4, 4))
    file.create_virtual_dataset("data", layout)


def stored_outside(file: Any) -> None:
    file.create_dataset("data", (3, 4, 4, 4), np.uint8, external=[("/etc/hostname", 0, 192)])


def filtered(file: Any) -> None:
    """A chunk that asks for a filter which would have to be loaded from a library."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((3, 4, 4, 4))
    plan.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL, (1,))
    made = h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((3, 4, 4, 4)), plan)
    made.write_direct_chunk((0, 0, 0, 0), bytes(192))


def enormous(file: Any) -> None:
    """610 TiB by its header, in kilobytes."""
    file.create_dataset("data", (640_000_000, 128, 64, 128), np.uint8, chunks=(1, 128, 64, 128))


def packs_well(file: Any) -> None:
    """Eight gigabytes of zeros that were never written, and one chunk that was."""
    made = file.create_dataset("data", (500, 256, 256, 256), np.uint8, chunks=(1, 64, 64, 64), compression="gzip")
    made[0, 0, 0, 0] = 1


def cut_short(folder: Path) -> Path:
    path = hdf5(assigned("data", values()))(folder)
    path.write_bytes(path.read_bytes()[:-600])
    return path


def one(name: str, content: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return build


# Arrays


def array_file(content: Any) -> bytes:
    """An .npy file, of objects too: a list is pickled, which is the trap."""
    stream = io.BytesIO()
    np.save(stream, content, allow_pickle=True)
    return stream.getvalue()


def claimed(shape: tuple[int, ...], fortran: bool = False) -> bytes:
    """An .npy file of a header that says so much."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": fortran, "shape": shape})
    return stream.getvalue()


def in_fortran_order() -> bytes:
    """What must be read whole, and unpacks to 900 MB from a kilobyte of gzip for each of them."""
    return gzip.compress(claimed((300_000, 32, 32, 3), fortran=True) + bytes(1 << 20))


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


class Trap:
    """What makes a folder when it is unpickled."""

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, ("sprung",)


def objects() -> bytes:
    content = np.empty(2, object)
    content[:] = [Trap(), Trap()]
    return array_file(content)


def matlab_73() -> bytes:
    """A .mat of version 7.3: MATLAB's own 512 bytes, then HDF5."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        file["instance"] = values((4, 4, 4))
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + struct.pack("<H", 0x0200) + b"IM"
    return head + stream.getvalue()[len(head) :]


BLANK = np.zeros((SIDE,) * 3, np.uint8)
WHOLE = pairs(grid())
HEAD = "#binvox 1\ndim 4 4 4\ntranslate 0 0 0\nscale 1\n"
LINK, OBJECT = "H5_LINK", "NPY_OBJECT"
CASES = [
    voxels(93, "zero bytes", b"", "S", "BVX_MAGIC"),
    voxels(93, "another beginning", b"#boxvin 1\n" + binvox(), "S", "BVX_MAGIC"),
    voxels(
        94,
        "a comment as version 1.38 writes it",
        binvox(head=f"#binvox 1\n# generated by binvox 1.38\n{HEAD[10:]}data\n"),
        "ok",
        holds=as_written,
    ),
    voxels(95, "CRLF", binvox(head=f"{HEAD}data\n".replace("\n", "\r\n")), "ok", holds=as_written),
    voxels(
        95,
        "spaces and another order",
        binvox(head="#binvox 1\nscale   1\ntranslate 0  0 0\n  dim  4 4\t4 \ndata\n"),
        "ok",
        holds=as_written,
    ),
    voxels(96, "neither translate nor scale", binvox(head="#binvox 1\ndim 4 4 4\ndata\n"), "W", "BVX_HEADER", holds=as_written),
    *[
        voxels(97, f"sizes {dim or 'of nothing'}", binvox(dim=dim), "S", "BVX_DIM")
        for dim in ("", "four 4 4", "-4 4 4", "4 4", "4.5 4 4", "4 4 4 4")
    ],
    voxels(97, "no sizes", binvox(head="#binvox 1\ntranslate 0 0 0\nscale 1\ndata\n"), "S", "BVX_DIM"),
    voxels(98, "sizes of -1", binvox(dim="-1 4 4"), "S", "BVX_DIM"),
    voxels(99, "sizes of 0", binvox(dim="0 4 4"), "S", "BVX_DIM"),
    voxels(100, "a million cubed", binvox(dim="1000000 1000000 1000000"), "S", "BVX_LARGE"),
    voxels(100, "sizes of 400 digits", binvox(dim=f"{'9' * 400} 4 4"), "S", "BVX_DIM"),
    voxels(101, "fewer voxels than it says", binvox(body=WHOLE[:-2]), "S", "BVX_SHORT"),
    voxels(101, "no voxels", binvox(body=b""), "S", "BVX_SHORT"),
    voxels(102, "more voxels than it says", binvox(body=WHOLE + b"\1\x20"), "S", "BVX_OVERRUN"),
    voxels(102, "a gigabyte more", binvox(body=WHOLE + b"\1\xff" * 4_000_000), "S", "BVX_OVERRUN"),
    voxels(103, "half a pair at the end", binvox(body=WHOLE + b"\1"), "S", "BVX_ODD"),
    voxels(104, "a value of 7", binvox(body=b"\7" + WHOLE[1:]), "S", "BVX_VALUE"),
    voxels(105, "a run of none", binvox(body=b"\1\0" + WHOLE), "W", "BVX_ZERO_RUN", holds=as_written),
    voxels(106, "no cube", binvox(grid()[:, :, :3]), "S", "VOX_SIZE"),
    voxels(106, "no cube, and a size is asked for", binvox(grid()[:, :, :3]), "C", choices={"size": 4}, holds=sides_are(4)),
    Case(
        "V106",
        "a grid of another size",
        partial(beside_good, files={"bad.binvox": binvox(grid(side=6))}),
        "E",
        "VOX_SIZES",
        says="--size",
    ),
    voxels(107, "all empty", binvox(BLANK), "L", "VOX_BLANK"),
    voxels(107, "all full", binvox(1 - BLANK), "L", "VOX_BLANK"),
    voxels(108, "a marker for the axes", binvox(marked()), "ok", holds=marker_stands),
    Case("V109", "HDF5 without a dataset", hdf5(lambda file: file.create_group("empty")), "E", "H5_EMPTY"),
    Case(
        "V109",
        "HDF5 with a dataset of another name",
        hdf5(assigned("weights/first", values((3, 3), np.float32))),
        "E",
        "NPY_NAMES",
        "",
        says="weights/first",
    ),
    Case("V110", "HDF5 cut short", cut_short, "E", "H5_CORRUPT"),
    Case("V110", "HDF5 of zero bytes", one("source.h5", b""), "E", "H5_CORRUPT"),
    Case("V110", "text called HDF5", one("source.h5", b"text" * 500), "E", "H5_CORRUPT"),
    Case("V111", "HDF5 of texts", hdf5(assigned("data", np.array([b"a", b"b"]))), "E", "NPY_TYPE"),
    Case("V111", "HDF5 of complex numbers", hdf5(assigned("data", values(kind=np.complex64))), "E", "H5_EMPTY"),
    Case("V111", "HDF5 of two axes", hdf5(assigned("data", values((5, 4)))), "E", "NPY_SHAPE"),
    Case("V111", "HDF5 with NaN", hdf5(assigned("data", np.full((5, 4, 4, 4), np.nan, np.float32))), "E", "IMG_NONFINITE"),
    Case("V112", "an external link", hdf5(assigned("data", h5py.ExternalLink("other.h5", "data"))), "E", LINK),
    Case("V112", "a soft link", hdf5(assigned("data", h5py.SoftLink("/gone"))), "E", LINK),
    Case("V112", "a virtual dataset", hdf5(virtual), "E", "H5_LAYOUT"),
    Case("V112", "values in another file", hdf5(stored_outside), "E", "H5_LAYOUT"),
    Case("V112", "a filter of its own", hdf5(filtered), "E", "H5_FILTER"),
    Case("V113", "610 TiB by its header", hdf5(enormous), "E", "H5_LARGE"),
    Case("V113", "eight gigabytes of nothing", hdf5(packs_well), "E", "H5_LAYOUT"),
    Case("V114", ".npy of objects", one("source.npy", objects()), "E", OBJECT),
    Case("V114", ".npz of objects", one("source.npz", zipped("x.npy", objects())), "E", OBJECT),
    Case("V114", ".mat of version 7.3", lambda folder: beside_mat(folder), "S", OBJECT),
    Case("V114", ".npy that claims exabytes", one("source.npy", claimed((1 << 40, 64, 64, 64))), "E", "NPY_SHORT"),
    Case(
        "V114",
        ".npz that claims exabytes",
        one("source.npz", zipped("x.npy", claimed((1 << 40, 64, 64, 64)))),
        "E",
        "NPY_SHORT",
    ),
    Case("V114", ".npy.gz of 900 MB in Fortran order", one("source.npy.gz", in_fortran_order()), "E", "NPY_ORDER"),
    Case("V114", ".npy of a wrong header", one("source.npy", b"\x93NUMPY\1\0\x10\0{'descr': evil()}"), "E", "NPY_CORRUPT"),
]


def beside_mat(folder: Path) -> Path:
    """The one bad file of a folder of grids."""
    return beside_good(folder, {"bad.mat": matlab_73()})
