"""Arrays are pictures or voxels by rule, whole or in pieces; what cannot be used is refused by name, with a code."""

import gzip

import numpy as np
import pytest
from making import error_of, everything, shared

from gansaku.data import content
from gansaku.data.sources import open_data
from gansaku.errors import DataError, Stopped

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(256, size=(6, 5, 7, 3), dtype=np.uint8)
SOLID = RNG.integers(2, size=(6, 4, 4, 4)).astype(np.uint8)


@pytest.fixture
def opened(tmp_path):
    """Save an array, or several as an .npz, and open it."""

    def opening(array=None, size=None, name="d.npy", **arrays):
        choices = {name: arrays.pop(name) for name in ("double", "pad", "rotations", "held_out") if name in arrays}
        path = tmp_path / (name if array is not None else "d.npz")
        np.savez(path, **arrays) if array is None else np.save(path, array)
        return open_data(str(path), size, cache=tmp_path / "cache", **choices)

    return opening


class TestArrays:
    @pytest.mark.parametrize("change", [
        lambda x: x,
        lambda x: x.transpose(0, 3, 1, 2),
        lambda x: (x / 255).astype(np.float32),
        lambda x: x / 127.5 - 1,
        lambda x: x.astype(np.float32),
        lambda x: x.astype(np.int64),
        lambda x: np.asfortranarray(x),
    ], ids=["NHWC", "NCHW", "0..1", "-1..1", "float 0..255", "int64", "fortran"])  # fmt: skip
    def test_pictures_in_any_order_and_range_are_the_same(self, opened, change):
        dataset = opened(change(COLOUR))
        assert dataset.shape == (3, 5, 7)
        assert np.array_equal(everything(dataset), COLOUR)

    def test_three_axes_are_grey(self, opened):
        dataset = opened(COLOUR[..., 0])
        assert np.array_equal(everything(dataset), COLOUR[..., :1])

    def test_bits_are_black_and_white(self, opened):
        assert np.array_equal(everything(opened(COLOUR[..., 0] > 99))[..., 0], (COLOUR[..., 0] > 99) * np.uint8(255))

    def test_four_channels_are_composited_on_white(self, opened):
        clear = np.concatenate([COLOUR, np.zeros((6, 5, 7, 1), np.uint8)], -1)
        clear[0, ..., 3] = 255
        dataset = opened(clear)
        assert np.array_equal(everything(dataset)[0], COLOUR[0])
        assert (everything(dataset)[1:] == 255).all()

    def test_pictures_are_resized(self, opened):
        assert opened(COLOUR, size=4).shape == (3, 4, 4)

    @pytest.mark.parametrize("change", [
        lambda x: x,
        lambda x: x[:, None],
        lambda x: x[..., None],
        lambda x: x.astype(bool),
        lambda x: x.astype(np.float64),
        lambda x: x.reshape(6, 2, 4, 8),
    ], ids=["NDHW", "N1DHW", "NDHW1", "bool", "float", "unequal sides"])  # fmt: skip
    def test_voxels_are_known_by_their_rule(self, opened, change):
        given = change(SOLID)
        dataset = opened(given)
        assert dataset.voxels
        assert np.array_equal(everything(dataset).squeeze(-1), given.reshape(6, *dataset.shape[1:]))

    def test_pictures_of_few_values_are_no_voxels(self, opened):
        assert opened(np.zeros((2, 5, 5, 3), bool)).shape == (3, 5, 5)

    def test_blank_voxels_are_left_out_and_counted(self, opened):
        given = SOLID.copy()
        given[0], given[4] = 0, 1
        dataset = opened(given)
        assert np.array_equal(everything(dataset)[..., 0], SOLID[[1, 2, 3, 5]])
        assert dataset.report["skipped"] == {"VOX_BLANK": 2}
        assert dataset.report["examples"][0].startswith("row 0: is blank")

    def test_only_blank_voxels_stop(self, opened):
        for blank in ({"x": np.zeros((2, 4, 4, 4), bool)}, {"x_train": np.ones((2, 4, 4, 4), bool), "x_test": SOLID}):
            error = str(error_of(Stopped, opened, **blank))
            assert "no training sample is left" in error
            assert "row 0: is blank" in error

    def test_voxels_grow_by_whole_factors_voxel_by_voxel_and_take_any_size(self, opened):
        dataset = opened(SOLID, size=8)
        assert np.array_equal(everything(dataset)[:, ::2, 1::2, ::2, 0], SOLID)
        assert dataset.shape == (1, 8, 8, 8)
        assert opened(SOLID, size=6).shape == (1, 6, 6, 6)

    def test_voxels_of_30_become_64_as_3d_gan_did_it_doubled_and_padded_by_2(self, opened):
        dataset = opened(SOLID, double=True, pad=2)
        assert dataset.shape == (1, 12, 12, 12)
        assert np.array_equal(everything(dataset)[:, 2:-2:2, 3:-2:2, 2:-2:2, 0], SOLID)
        assert everything(dataset).sum() == 8 * SOLID.sum()

    def test_each_turn_of_a_grid_is_a_sample_with_its_label(self, opened):
        dataset = opened(x=SOLID, y=np.arange(6), rotations=4)
        grids = everything(dataset)[..., 0]
        assert len(grids) == 24
        assert np.array_equal(grids[::4], SOLID)
        assert all(np.array_equal(grids[i], np.rot90(grids[i - 1], axes=(0, 1))) or
                   np.array_equal(grids[i], np.rot90(grids[i - 1], -1, axes=(0, 1))) for i in (1, 2, 3))  # fmt: skip
        assert dataset.columns["turn"].tolist() == [0, 90, 180, 270] * 6
        assert dataset.labels.tolist() == [i for i in range(6) for _ in range(4)]

    def test_a_share_of_the_rows_is_held_out(self, opened):
        given = np.arange(40, dtype=np.uint8)[:, None, None] + np.zeros((1, 5, 5), np.uint8)
        dataset = opened(given, held_out=0.25)
        assert dataset.counts == {"train": 30, "test": 10}
        rows = everything(dataset)[:, 0, 0, 0].tolist()
        assert sorted(rows) == list(range(40))
        assert rows[:30] == sorted(rows[:30])
        assert [*dataset.names] == [f"row {row}" for row in rows]

    def test_npz_holds_labels_names_and_columns(self, opened):
        names = np.array(["red", "green", "blue"])
        dataset = opened(x=COLOUR, y=np.array([0, 1, 1, 0, 2, 2]), y_names=names, hat=np.arange(6), hat_names=names,
                         other=np.zeros(5))  # fmt: skip
        assert dataset.classes == ("red", "green", "blue")
        assert dataset.labels.tolist() == [0, 1, 1, 0, 2, 2]
        assert {name: column.tolist() for name, column in dataset.columns.items()} == {"hat": [0, 1, 2, 3, 4, 5]}
        assert dataset.report["column_names"] == {"hat": ["red", "green", "blue"]}

    @pytest.mark.parametrize("name", ["x", "data", "images", "arr_0", "faces"])
    def test_npz_samples_go_by_known_names_or_stand_alone(self, opened, name):
        assert np.array_equal(everything(opened(**{name: COLOUR})), COLOUR)

    def test_labels_without_names_are_named_by_their_values(self, opened):
        dataset = opened(x=COLOUR, labels=np.array([7, 7, 3, 3, 7, 10])[:, None])
        assert dataset.classes == ("3", "7", "10")
        assert dataset.labels.tolist() == [1, 1, 0, 0, 1, 2]
        assert opened(x=COLOUR, labels=np.array(list("bbabba"))).classes == ("a", "b")
        assert opened(x=COLOUR, labels=np.zeros(6, int)).classes == ()

    def test_x_train_and_x_test_are_splits(self, opened):
        dataset = opened(x_train=COLOUR[:4], y_train=[0, 1, 2, 0], x_test=COLOUR[4:], y_test=[3, 3])
        assert dataset.counts == {"train": 4, "test": 2}
        assert np.array_equal(everything(dataset), COLOUR)
        assert dataset.labels.tolist() == [0, 1, 2, 0, 3, 3]
        assert dataset.columns == {}

    def test_npy_gz_is_unpacked_on_the_way(self, tmp_path):
        with gzip.open(tmp_path / "d.npy.gz", "wb") as file:
            np.save(file, SOLID)
        assert np.array_equal(everything(open_data(str(tmp_path / "d.npy.gz"), cache=tmp_path / "c"))[..., 0], SOLID)

    def test_large_arrays_pass_in_pieces(self, opened, monkeypatch):
        monkeypatch.setattr(content, "AT_ONCE", 250)  # two pictures
        assert np.array_equal(everything(opened(COLOUR)), COLOUR)
        assert np.array_equal(everything(opened(np.asfortranarray(COLOUR), name="e.npy")), COLOUR)

    @pytest.mark.parametrize(("array", "code"), [
        (COLOUR * 2.5, "IMG_RANGE"),
        (COLOUR.astype(int) + 1, "IMG_RANGE"),
        (COLOUR + 0.5 - (COLOUR > 200), "IMG_RANGE"),
        (np.full((2, 4, 4), np.nan), "IMG_NONFINITE"),
        (SOLID[:, None] * 2, "VOX_VALUE"),
        (np.zeros((2, 5, 6, 7), np.uint8) + 9, "NPY_SHAPE"),
        (np.zeros((2, 5), np.uint8), "NPY_SHAPE"),
        (np.zeros((0, 5, 5), np.uint8), "DATA_EMPTY"),
        (np.array([["a"]])[None], "NPY_TYPE"),
        (np.array([[[None]]]), "NPY_OBJECT"),
    ], ids=["beyond 255", "256", "fractions", "nan", "voxels of 2", "no channels", "flat", "none", "text",
            "objects"])  # fmt: skip
    def test_what_is_neither_pictures_nor_voxels_is_refused(self, opened, array, code):
        error = error_of(DataError, opened, array)
        assert error.code == code
        assert "d.npy" in str(error)

    @pytest.mark.parametrize(("arrays", "code"), [
        ({"a": COLOUR, "b": COLOUR}, "NPY_NAMES"),
        ({"x": COLOUR, "y": np.zeros(5)}, "LABELS"),
        ({"x": COLOUR, "y": np.full(6, 2**63, np.uint64)}, "LABELS"),
        ({"x": COLOUR, "y": np.full(6, 1e300)}, "LABELS"),
        ({"x": COLOUR, "y": np.arange(6) % 2, "y_names": np.array(["a", "a"])}, "LABELS"),
        ({"x_train": COLOUR, "x_test": COLOUR, "y_train": np.zeros(6)}, "LABELS"),
        ({"x": COLOUR, "y": np.zeros(0)}, "LABELS"),
        ({"x": COLOUR, "y": np.array(3)}, "LABELS"),
        ({"x": COLOUR, "y": np.arange(6), "y_names": np.array("a single one")}, "LABELS"),
        ({"x": COLOUR, "y": np.full(6, 0.5)}, "LABELS"),
        ({"x": COLOUR, "y": np.full(6, 2), "y_names": np.array(["a", "b"])}, "LABELS"),
        ({"x_train": COLOUR, "x_test": COLOUR[:, :4]}, "NPY_SHAPE"),
    ])  # fmt: skip
    def test_an_npz_that_does_not_fit_together_is_refused(self, opened, arrays, code):
        error = error_of(DataError, opened, **arrays)
        assert error.code == code
        assert "d.npz" in str(error)

    @pytest.mark.parametrize(("name", "save"), [("d.npy", np.save), ("d.npz", lambda f, x: np.savez_compressed(f, x=x))])
    @pytest.mark.parametrize("keep", [0, 20, 400, -1])
    def test_an_array_cut_short_is_refused(self, tmp_path, name, save, keep):
        with (tmp_path / name).open("wb") as file:
            save(file, COLOUR)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
        error = error_of(DataError, open_data, str(tmp_path / name), cache=tmp_path / "cache")
        assert error.code in ("NPY_CORRUPT", "NPY_SHORT")
        assert name in str(error)

    def test_a_header_that_promises_terabytes_is_refused_without_memory(self, tmp_path):
        with (tmp_path / "d.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 30, 64, 64)})
        assert error_of(DataError, open_data, str(tmp_path / "d.npy"), cache=tmp_path / "c").code == "NPY_SHORT"


def test_the_genuine_chairs_lose_only_their_blank_number_0(tmp_path):
    dataset = open_data(shared("chairs_32.npy.gz"), cache=tmp_path)
    assert dataset.facts.shape == (1, 32, 32, 32)
    assert dataset.facts.count == 889
    assert dataset.report["examples"] == ["row 0: is blank: all empty or all full [VOX_BLANK]"]


def test_bits_of_voxels_are_unpacked(opened):
    grids = RNG.integers(2, size=(5, 7, 5, 6), dtype=np.uint8)
    dataset = opened(voxels_packed=np.packbits(grids.reshape(5, -1), axis=1), shape=np.array([7, 5, 6]))
    assert np.array_equal(everything(dataset)[..., 0], grids)
    error = error_of(DataError, opened, packed=np.zeros((5, 8), np.uint8), shape=np.array([3, 4, 6]))
    assert error.code == "NPY_SHAPE"
