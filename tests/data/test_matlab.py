"""MATLAB files, against those that SciPy writes."""

import io
import struct
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from gansaku.data import matlab
from gansaku.data.tally import Bad

GRID = (np.random.default_rng(0).random((3, 4, 5)) < 0.4).astype(np.uint8)


def saved(packed=False, **variables):
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=packed)
    return stream.getvalue()


def code_of(content):
    with pytest.raises(Bad) as caught:
        matlab.read(content)
    return caught.value.code


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_the_grid_reads_whatever_its_type_and_its_neighbours(kind, packed):
    content = saved(packed, weight=np.eye(3), text="chair", instance=GRID.astype(kind), more={"a": 1}, cells=[[1, "b"]])
    found = matlab.read(content)
    assert np.array_equal(found, GRID)
    assert found.dtype == np.uint8


def test_the_only_grid_reads_whatever_its_name():
    assert np.array_equal(matlab.read(saved(voxels=GRID, x=np.eye(2))), GRID)
    assert code_of(saved(a=GRID, b=GRID)) == "MAT_NAMES"


def big_endian(content):
    """The same little file in the other order of bytes, by hand: an int8 array."""

    def tag(kind, data):
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    inner = tag(6, struct.pack(">II", 9, 0)) + tag(5, struct.pack(">3i", *GRID.shape)) + tag(1, b"instance")
    inner += tag(2, GRID.tobytes(order="F"))
    return content[:124] + b"\1\0MI" + tag(14, inner)


def test_the_other_order_of_bytes_reads_too():
    assert np.array_equal(matlab.read(big_endian(saved(instance=GRID))), GRID)


def seven_three():
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        file["instance"] = GRID
    return b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128) + stream.getvalue()[128:]


@pytest.mark.parametrize(("content", "code"), [
    (b"", "MAT_CORRUPT"), (b"text" * 100, "MAT_CORRUPT"), (saved(instance=GRID)[:-20], "MAT_CORRUPT"),
    (saved(True, instance=GRID)[:-10], "MAT_CORRUPT"), (saved(instance=GRID)[:128], "MAT_NAMES"),
    (saved(instance=np.eye(3)), "MAT_NAMES"), (saved(instance="text"), "MAT_NAMES"), (saved(instance=GRID * 1j), "MAT_NAMES"),
    (saved(instance=GRID * 2), "VOX_VALUE"), (saved(instance=np.where(GRID, np.nan, 0)), "VOX_VALUE"),
    (seven_three(), "NPY_OBJECT"),
])  # fmt: skip
def test_each_fault_has_its_code(content, code):
    assert code_of(content) == code


@pytest.mark.parametrize("sides", [(600, 600, 600), (2**31 - 1,) * 3, (-3, 4, 5), (0, 4, 5)], ids=str)
def test_sizes_that_the_header_claims_are_checked_first(sides):
    content = saved(instance=GRID)
    at = content.index(struct.pack("<3i", *GRID.shape))
    assert code_of(content[:at] + struct.pack("<3i", *sides) + content[at + 12 :]) == "MAT_LARGE"


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(matlab, "MOST_UNPACKED", 1 << 20)
    bomb = zlib.compress(struct.pack("<II", 2, 1 << 26) + bytes(1 << 26), 9)
    content = saved(instance=GRID)[:128] + struct.pack("<II", 15, len(bomb)) + bomb
    tracemalloc.start()
    assert code_of(content) == "MAT_LARGE"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    half = zlib.compress(struct.pack("<II", 2, 600_000) + bytes(600_000), 9)
    both = struct.pack("<II", 15, len(half)) + half
    assert code_of(content[:128] + both * 2) == "MAT_LARGE"


def test_damage_anywhere_raises_nothing_but_its_code():
    rng = np.random.default_rng(1)
    codes = set()
    for packed in (False, True):
        content = np.frombuffer(saved(packed, instance=GRID, more=np.eye(3)), np.uint8)
        for _ in range(300):
            broken = content.copy()
            broken[rng.integers(0, len(broken), 3)] = rng.integers(0, 256, 3)
            try:
                assert set(np.unique(matlab.read(broken.tobytes()))) <= {0, 1}
            except Bad as bad:
                codes.add(bad.code)
    assert {"MAT_CORRUPT", "MAT_NAMES"} < codes
