"""HDF5 files of other programs."""

import io
import os
import struct
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from making import error_of

from gansaku.data import hdf5
from gansaku.data.tally import Bad
from gansaku.errors import DataError

GRID = (np.random.default_rng(0).random((3, 4, 5)) < 0.4).astype(np.uint8)
MANY = (np.random.default_rng(1).random((11, 4, 4, 4)) < 0.4).astype(np.uint8)


def bytes_of(fill):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


def holding(content, **how):
    return bytes_of(lambda file: file.create_dataset("data", data=content, **how))


def code_of(content):
    with pytest.raises(Bad) as caught:
        hdf5.sample(content)
    return caught.value.code


def test_a_sample_lies_as_3dgan_chainer_writes_it():
    """float64 under `data`; what is at our left, in front and on the floor is at high x, low y and low z there."""
    with h5py.File(io.BytesIO(hdf5.write_sample(GRID))) as file:
        assert list(file) == ["data"]
        assert file["data"].dtype == np.float64
        x, y, z = 0, 1, 2
        assert np.array_equal(np.flip(file["data"][()], x).transpose(x, z, y), GRID)


def test_a_sample_reads_back_and_is_the_same_bytes_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = hdf5.write_sample(GRID)
    assert np.array_equal(hdf5.sample(content), GRID)
    assert hdf5.sample_space(io.BytesIO(content), len(content)) == GRID.shape
    assert content == hdf5.write_sample(GRID)
    assert os.listdir() == []


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int32, np.float16, np.float64])
@pytest.mark.parametrize("how", [{}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}, {"chunks": (2, 3, 2)}],
                         ids=str)  # fmt: skip
def test_a_sample_reads_whatever_its_type_and_packing(kind, how):
    content = holding(GRID.astype(kind), **how)
    assert np.array_equal(hdf5.sample(content, "z"), GRID)
    assert np.array_equal(hdf5.sample(content, "y"), GRID[::-1].transpose(0, 2, 1))
    assert hdf5.sample_space(io.BytesIO(content), len(content), "y") == (3, 5, 4)
    assert np.array_equal(hdf5.sample(holding(GRID[None, ...]), "z"), GRID)


def plan_with(number):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((3, 4, 5))
    plan.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1,))
    return plan


def filtered(file):
    made = h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((3, 4, 5)), plan_with(32_015))
    made.write_direct_chunk((0, 0, 0), bytes(60))


def virtual(file):
    layout = h5py.VirtualLayout((3, 4, 5), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "data", (3, 4, 5))
    file.create_virtual_dataset("data", layout)


def assigned(content):
    def fill(file):
        file["data"] = content

    return fill


FAULTS = {
    "empty": (b"", "H5_CORRUPT"),
    "text": (b"text" * 500, "H5_CORRUPT"),
    "cut": (holding(GRID)[:-30], "H5_CORRUPT"),
    "soft link": (bytes_of(assigned(h5py.SoftLink("/gone"))), "H5_LINK"),
    "external link": (bytes_of(assigned(h5py.ExternalLink("other.h5", "data"))), "H5_LINK"),
    "virtual": (bytes_of(virtual), "H5_LAYOUT"),
    "outside": (bytes_of(lambda file: file.create_dataset("data", (3, 4, 5), "u1", external=[("/etc/hostname", 0, 60)])),
                "H5_LAYOUT"),
    "filter": (bytes_of(filtered), "H5_FILTER"),
    "610 TiB": (bytes_of(lambda file: file.create_dataset("data", (10**7, 8192, 8192), "f8", chunks=(1, 64, 64))), "H5_LARGE"),
    "no chunk": (bytes_of(lambda file: file.create_dataset("data", (64, 64, 64), "u1", chunks=(8, 8, 8))), "H5_LAYOUT"),
    "never written": (bytes_of(lambda file: file.create_dataset("data", (64, 64, 64), "u1")), "H5_LAYOUT"),
    "huge chunk": (bytes_of(lambda file: file.create_dataset("data", (1, 512, 512, 512), "f8", chunks=(1, 512, 512, 512))),
                   "H5_LARGE"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_what_cannot_be_trusted_is_refused_as_a_sample_and_as_a_source(what, tmp_path):
    content, code = FAULTS[what]
    assert code_of(content) == code
    with pytest.raises(Bad) as caught:
        hdf5.sample_space(io.BytesIO(content), len(content))
    assert caught.value.code == code
    path = tmp_path / "source.h5"
    path.write_bytes(content)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = GRID
    error = error_of(DataError, hdf5.arrays_in(path, "source.h5").__enter__)
    assert (error.code, error.where) == (code, "source.h5")


@pytest.mark.parametrize("what", ["virtual", "outside"])
def test_what_lies_in_other_files_is_told_as_that(what):
    with pytest.raises(Bad, match="keeps 'data' in other files"):
        hdf5.sample(FAULTS[what][0])


def test_sizes_beyond_the_file_are_refused_before_memory_is_taken():
    """The header says 300 x 400 x 500 where 3 x 4 x 5 were written: 480 MB."""
    honest, claimed = (struct.pack("<3Q", *(factor * side for side in GRID.shape)) for factor in (1, 100))
    content = holding(GRID.astype(np.float64)).replace(honest, claimed)
    content = content.replace(struct.pack("<Q", 8 * GRID.size), struct.pack("<Q", 8 * GRID.size * 100**3))
    assert claimed in content
    tracemalloc.start()
    assert code_of(content) == "H5_CORRUPT"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(("content", "code"), [
    (bytes_of(lambda file: file.create_dataset("voxels/all", data=MANY)), "H5_NAMES"),
    (bytes_of(lambda file: file.create_group("data")), "H5_NAMES"),
    (holding(np.array([b"a"])), "H5_TYPE"), (holding(GRID * 1j), "H5_TYPE"), (holding(MANY), "VOX_SHAPE"),
    (holding(GRID[0]), "VOX_SHAPE"), (holding(1), "VOX_SHAPE"), (holding(GRID * 2), "VOX_VALUE"),
    (holding(np.where(GRID, np.nan, 0)), "VOX_VALUE"),
])  # fmt: skip
def test_a_file_that_is_no_sample_says_what_it_holds(content, code):
    assert code_of(content) == code


def test_a_missing_name_is_told():
    with pytest.raises(Bad, match=r"has no dataset 'data' with a grid"):
        hdf5.sample(bytes_of(lambda file: file.create_dataset("voxels/all", data=MANY)))


CHUNKED = [(1, 4, 4, 4), (4, 2, 2, 1), (11, 1, 4, 4)]


@pytest.mark.parametrize("how", [{}, {"compression": "gzip"}, *({"chunks": chunks} for chunks in CHUNKED)], ids=str)
@pytest.mark.parametrize("at_once", [1, 200, 1 << 24])
def test_arrays_come_whole_in_bounded_blocks_whatever_their_chunks(how, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr("gansaku.data.content.AT_ONCE", at_once)
    path = tmp_path / "source.h5"
    path.write_bytes(
        bytes_of(lambda file: (file.create_dataset("g/x", data=MANY, **how), file.create_dataset("y", data=[1] * 11)))
    )
    with hdf5.arrays_in(path, "source.h5") as arrays:
        assert set(arrays) == {"g/x", "y"}
        assert (arrays["g/x"].shape, arrays["g/x"].dtype) == ((11, 4, 4, 4), np.uint8)
        blocks = list(arrays["g/x"].blocks())
        assert max(len(block) for block in blocks) == min(11, max(1, at_once // 64))
        assert np.array_equal(np.concatenate(blocks), MANY)
        assert np.array_equal(arrays["g/x"].whole(), MANY)


def test_each_chunk_is_unpacked_once(tmp_path, monkeypatch):
    monkeypatch.setattr("gansaku.data.content.AT_ONCE", 64)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=MANY, chunks=(4, 4, 4, 4), compression="gzip")
    asked = []

    class Watched:
        def __init__(self, dataset):
            self.shape, self.dtype, self.chunks, self.dataset = dataset.shape, dataset.dtype, dataset.chunks, dataset

        def __getitem__(self, rows):
            asked.append((rows.start, rows.stop))
            return self.dataset[rows]

    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(np.concatenate(list(hdf5.rows_of(Watched(file["x"])))), MANY)
    assert asked == [(0, 4), (4, 8), (8, 12)]


def test_a_chunk_that_is_damaged_is_told_with_the_name(tmp_path):
    path = tmp_path / "source.h5"
    content = bytearray(bytes_of(lambda file: file.create_dataset("x", data=MANY, compression="gzip", chunks=(11, 4, 4, 4))))
    at = content.index(b"\x78\x5e") if b"\x78\x5e" in content else content.index(b"\x78\x9c")
    content[at + 2 : at + 20] = bytes(18)
    path.write_bytes(content)
    with hdf5.arrays_in(path, "source.h5") as arrays:
        error = error_of(DataError, arrays["x"].whole)
    assert (error.code, error.where) == ("H5_CORRUPT", "source.h5:x")


def test_a_file_without_numbers_is_told_with_what_it_holds(tmp_path):
    path = Path(tmp_path / "source.h5")
    path.write_bytes(bytes_of(lambda file: file.create_dataset("x", data=GRID * 1j)))
    assert error_of(DataError, hdf5.arrays_in(path, "source.h5").__enter__).code == "H5_EMPTY"
    path.write_bytes(bytes_of(lambda file: file.create_group("g")))
    assert "it holds no dataset" in str(error_of(DataError, hdf5.arrays_in(path, "source.h5").__enter__))


def test_an_error_of_the_reader_is_its_own(tmp_path):
    path = tmp_path / "source.h5"
    path.write_bytes(holding(MANY))
    with pytest.raises(ValueError, match="mine"), hdf5.arrays_in(path, "source.h5"):
        raise ValueError("mine")


def test_a_file_whose_listing_does_not_end_is_damaged(tmp_path, monkeypatch):
    path = tmp_path / "d.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((3, 4, 4), np.uint8)
    hdf5.check_ends(path, "d.h5")
    for walk in ("while True: pass", "import os; os.abort()"):
        monkeypatch.setattr(hdf5, "WALK", walk)
        monkeypatch.setattr(hdf5, "PATIENCE", 0.5)
        assert error_of(DataError, hdf5.check_ends, path, "d.h5").code == "H5_CORRUPT"
