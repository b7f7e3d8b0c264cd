"""CIFAR and MNIST as they are published: every byte in its place, and refused by name where they cannot be what they say."""

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest
from making import error_of, folder_of, zip_of

from gansaku.data import content, tars
from gansaku.data.originals import idx, originals
from gansaku.data.tally import Tally
from gansaku.data.tree import Entry, in_folder, in_zip
from gansaku.errors import DataError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(256, size=(10, 32, 32, 3), dtype=np.uint8)
LABELS = RNG.integers(10, size=10, dtype=np.uint8)
COARSE = LABELS // 2
DIGITS = RNG.integers(256, size=(7, 28, 20), dtype=np.uint8)  # not square, so that a turn shows
MNIST = {"train": ("train", DIGITS[:4], LABELS[:4]), "test": ("t10k", DIGITS[4:], LABELS[4:7])}


def idx_bytes(array, head=None):
    return (head or struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)) + array.tobytes()


def mnist(kind="", packed=False, dot="-", test="t10k"):
    files = {}
    for split, images, labels in MNIST.values():
        split = test if split == "t10k" else split
        files[f"{kind}{split}-images{dot}idx3-ubyte"] = idx_bytes(images)
        files[f"{kind}{split}-labels{dot}idx1-ubyte"] = idx_bytes(labels)
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()} if packed else files


def records(*columns_and_pictures):
    *columns, pictures = columns_and_pictures
    planes = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return np.concatenate([*(column[:, None] for column in columns), planes], 1).astype(np.uint8).tobytes()


CIFAR_10 = {
    **{f"data_batch_{i + 1}.bin": records(LABELS[i : i + 1], PICTURES[i : i + 1]) for i in range(5)},
    "test_batch.bin": records(LABELS[5:], PICTURES[5:]),
    "batches.meta.txt": "\n".join("abcdefghij").encode() + b"\n\n",
    "readme.html": b"",
}
CIFAR_100 = {
    "train.bin": records(COARSE[:6], LABELS[:6], PICTURES[:6]),
    "test.bin": records(COARSE[6:], LABELS[6:], PICTURES[6:]),
    "fine_label_names.txt": "\n".join(f"fine {i}" for i in range(100)).encode(),
    "coarse_label_names.txt": "\n".join(f"coarse {i}" for i in range(20)).encode(),
}


def tar_gz(path, files, folder="inner"):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def found(root, files):
    tally = Tally(source="set")
    tree = in_folder(folder_of(root, files), tally)
    given = originals(tree, tally)
    if given is None:
        return None
    with given as arrays:
        return {name: array.whole() for name, array in arrays.items()}


class TestMnist:
    @pytest.mark.parametrize("form", [{}, {"packed": True}, {"dot": "."}, {"test": "test"}], ids=str)
    def test_images_and_labels_are_as_they_were_written(self, tmp_path, form):
        arrays = found(tmp_path, mnist(**form))
        assert [*arrays] == ["x_train", "y_train", "x_test", "y_test"]
        for split, (_, images, labels) in MNIST.items():
            assert np.array_equal(arrays[f"x_{split}"], images)
            assert np.array_equal(arrays[f"y_{split}"], labels)

    def test_a_file_is_unpacked_by_what_it_is_whatever_its_name(self, tmp_path):
        swapped = {name.removesuffix(".gz"): data for name, data in mnist(packed=True).items()}
        assert np.array_equal(found(tmp_path / "a", swapped)["x_train"], DIGITS[:4])
        unpacked = {f"{name}.gz": data for name, data in mnist().items()}
        assert np.array_equal(found(tmp_path / "b", unpacked)["x_train"], DIGITS[:4])

    def test_the_unpacked_file_is_taken_where_both_are_there(self, tmp_path):
        broken = {f"{name}.gz": b"broken" for name in mnist()}
        assert np.array_equal(found(tmp_path, {**broken, **mnist()})["x_test"], DIGITS[4:])

    def test_emnist_is_turned_upright_and_its_mapping_names_the_classes(self, tmp_path):
        mapping = b"".join(f"{i + 1} {ord('A') + i} {ord('a') + i}\n".encode() for i in range(10))
        files = mnist("emnist-letters-", packed=True, test="test")
        files = {name: data if "labels" not in name else gzip.compress(idx_bytes(
            (LABELS[:4] if "train" in name else LABELS[4:7]) + np.uint8(1))) for name, data in files.items()}  # fmt: skip
        arrays = found(tmp_path, files | {"emnist-letters-mapping.txt": mapping})
        assert np.array_equal(arrays["x_train"], DIGITS[:4].transpose(0, 2, 1))
        assert arrays["class_names"].tolist()[:2] == ["Aa", "Bb"]
        assert np.array_equal(arrays["y_train"], LABELS[:4])

    def test_the_training_split_may_stand_alone_and_without_labels(self, tmp_path):
        files = {name: data for name, data in mnist().items() if "train-images" in name}
        assert [*found(tmp_path, files)] == ["x_train"]

    @pytest.mark.parametrize("pick", ["train-images", "train-labels", "t10k-labels"])
    def test_a_missing_file_is_named(self, tmp_path, pick):
        files = {name: data for name, data in mnist().items() if pick not in name}
        error = error_of(DataError, found, tmp_path, files)
        assert error.code == "DATA_MISSING"
        assert pick in str(error)

    def test_two_sets_at_once_are_refused(self, tmp_path):
        files = mnist() | mnist("emnist-digits-")
        assert error_of(DataError, found, tmp_path, files).code == "DATA_LAYOUT"

    @pytest.mark.parametrize(("data", "code"), [
        (b"", "IDX_SHORT"),
        (b"\0\0\x08\x03\0\0", "IDX_SHORT"),
        (b"<html> not found </html>", "IDX_MAGIC"),
        (b"\x89PNG" + bytes(20), "IDX_MAGIC"),
        (idx_bytes(DIGITS[:4, 0]), "IDX_MAGIC"),
        (idx_bytes(DIGITS[:4], struct.pack(">HBBIII", 0, 7, 3, 4, 28, 20)), "IDX_MAGIC"),
        (idx_bytes(DIGITS[:4])[:-1], "IDX_SHORT"),
        (idx_bytes(DIGITS[:4]) + b"\0", "IDX_COUNT"),
        (idx_bytes(DIGITS[:4], struct.pack(">HBBIII", 0, 8, 3, 1_000_000_000, 28, 20)), "IDX_SHORT"),
        (idx_bytes(DIGITS[:4], struct.pack(">HBBIII", 0, 8, 3, *[0xFFFFFFFF] * 3)), "IDX_SHORT"),
        (idx_bytes(DIGITS[:3]), "LABELS"),
        (gzip.compress(idx_bytes(DIGITS[:4])[:-1]), "IDX_SHORT"),
        (gzip.compress(idx_bytes(DIGITS[:4]) + b"\0"), "IDX_COUNT"),
        (gzip.compress(idx_bytes(DIGITS[:4]))[:-40], "IDX_CORRUPT"),
        (gzip.compress(idx_bytes(DIGITS[:4], struct.pack(">HBBIII", 0, 8, 3, 1_000_000_000, 28, 20))), "IDX_SHORT"),
        (b"\x1f\x8b garbage", "IDX_CORRUPT"),
    ])  # fmt: skip
    def test_a_file_that_is_not_what_it_says_is_refused_without_its_memory(self, tmp_path, data, code):
        error = error_of(DataError, found, tmp_path, mnist() | {"train-images-idx3-ubyte": data})
        assert error.code == code
        assert "set/train-" in str(error)

    def test_a_bomb_is_not_unpacked(self):
        data = gzip.compress(idx_bytes(np.zeros((1, 1, 1), np.uint8), struct.pack(">HBBIII", 0, 8, 3, 1 << 20, 28, 28)))
        entry = Entry("x", len(data), 0, lambda: io.BytesIO(data))
        assert "far more than pictures do" in str(error_of(DataError, idx, "x", entry, 3))


class TestCifar:
    def test_cifar_10_comes_back_from_its_records(self, tmp_path):
        arrays = found(tmp_path, CIFAR_10)
        both = np.concatenate([arrays["x_train"], arrays["x_test"]])
        assert np.array_equal(both.transpose(0, 2, 3, 1), PICTURES)
        assert np.array_equal(np.concatenate([arrays["y_train"], arrays["y_test"]]), LABELS)
        assert arrays["class_names"].tolist() == [*"abcdefghij"]

    def test_cifar_100_has_fine_labels_and_coarse_ones_beside(self, tmp_path):
        arrays = found(tmp_path, CIFAR_100)
        assert np.array_equal(arrays["x_test"].transpose(0, 2, 3, 1), PICTURES[6:])
        assert np.array_equal(np.concatenate([arrays["y_train"], arrays["y_test"]]), LABELS)
        assert np.array_equal(arrays["coarse"], COARSE)
        assert (len(arrays["class_names"]), arrays["coarse_names"][3]) == (100, "coarse 3")

    def test_blocks_are_small_and_the_same_in_all(self, tmp_path, monkeypatch):
        monkeypatch.setattr(content, "AT_ONCE", 2 * 3074)
        with originals(in_folder(folder_of(tmp_path, CIFAR_100), Tally())) as arrays:
            blocks = [*arrays["x_train"].blocks()]
            assert [len(block) for block in blocks] == [2, 2, 2]
            assert np.array_equal(np.concatenate(blocks).transpose(0, 2, 3, 1), PICTURES[:6])

    def test_zip_and_the_published_archive_hold_the_same(self, tmp_path):
        packed = zip_of(tmp_path / "c.zip", {f"cifar-10/{name}": data for name, data in CIFAR_10.items()})
        gz = tar_gz(tmp_path / "cifar-10-binary.tar.gz", CIFAR_10)
        for opened in (in_zip(packed, Tally()), tars.in_tar_gz(gz, Tally())):
            with opened as tree, originals(tree) as arrays:
                assert np.array_equal(arrays["x_test"].whole().transpose(0, 2, 3, 1), PICTURES[5:])

    @pytest.mark.parametrize("names", [
        ["data_batch_1", "data_batch_2", "test_batch", "batches.meta"], ["train", "test", "meta"],
    ])  # fmt: skip
    def test_the_python_version_is_refused_unread(self, tmp_path, names):
        error = error_of(DataError, found, tmp_path, {f"c/{name}": b"cos\nsystem\n(S'false'\ntR." for name in names})
        assert error.code == "PICKLE"
        assert "binary" in str(error)

    @pytest.mark.parametrize(("change", "code"), [
        ({"data_batch_2.bin": bytes(3072)}, "CIFAR_SIZE"),
        ({"data_batch_2.bin": b""}, "CIFAR_SIZE"),
        ({"test_batch.bin": bytes([10]) * 3073}, "LABELS"),
        ({"data_batch_7.bin": bytes(3073)}, "DATA_MISSING"),
        ({"batches.meta.txt": b"\xff\xfe"}, "LABELS"),
    ])  # fmt: skip
    def test_files_that_do_not_fit_are_refused(self, tmp_path, change, code):
        assert error_of(DataError, found, tmp_path, CIFAR_10 | change).code == code

    def test_fewer_batches_are_used_and_warned_of(self, tmp_path):
        tally = Tally()
        files = {name: CIFAR_10[name] for name in ("data_batch_1.bin", "data_batch_2.bin")}
        with originals(in_folder(folder_of(tmp_path, files), tally), tally) as arrays:
            assert arrays["x_train"].shape == (2, 3, 32, 32)
        assert tally.warned == {"CIFAR_BATCHES": 1}


@pytest.mark.parametrize(
    "names", [["a.png"], ["train.bin"], ["train", "test"], ["mapping.txt"], ["._train-images-idx3-ubyte"], []]
)
def test_other_trees_hold_no_originals(tmp_path, names):
    assert found(tmp_path, {"x/readme": b"", **dict.fromkeys(names, b"x")}) is None
