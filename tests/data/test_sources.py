"""Every source comes through one door, is prepared once, and prepared again when it changes."""

import os

import numpy as np
import pytest
from making import BLUE, RED, error_of, everything, folder_of, picture, zip_of

from gansaku.data import pieces, sources
from gansaku.data.policy import policy
from gansaku.data.sources import open_data, prepare
from gansaku.data.store import open_store
from gansaku.errors import DataError, Stopped, UsageError


class TestCache:
    def test_a_second_call_only_opens(self, tmp_path, monkeypatch):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        first = open_data(str(root), cache=tmp_path / "cache")
        monkeypatch.setattr(sources, "carried_out", pytest.fail)
        assert open_data(str(root), cache=tmp_path / "cache").path == first.path
        assert len(list((tmp_path / "cache").iterdir())) == 1

    @pytest.mark.parametrize("change", [
        lambda root: (root / "b.png").write_bytes(picture(BLUE)),
        lambda root: (root / "a.png").write_bytes(picture(BLUE)),
        lambda root: os.utime(root / "a.png", (1, 1)),
        lambda root: (root / "a.png").rename(root / "c.png"),
    ], ids=["more", "other", "newer", "renamed"])  # fmt: skip
    def test_a_changed_source_is_prepared_again(self, tmp_path, change):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        first = open_data(str(root), cache=tmp_path / "cache")
        change(root)
        assert open_data(str(root), cache=tmp_path / "cache").path != first.path

    def test_another_size_is_prepared_beside(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        shapes = [open_data(str(root), size, cache=tmp_path / "cache").shape for size in (None, 4, 8, None)]
        assert shapes == [(3, 4, 6), (3, 4, 4), (3, 8, 8), (3, 4, 6)]

    def test_a_damaged_cache_is_prepared_again(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        path = open_data(str(root), cache=tmp_path / "cache").path
        path.write_bytes(path.read_bytes()[:-9])
        assert everything(open_data(str(root), cache=tmp_path / "cache")).shape == (1, 4, 6, 3)

    def test_what_was_allowed_once_is_not_allowed_from_then_on(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED), "b.png": b""})
        assert open_data(str(root), cache=tmp_path / "cache", max_bad=0.5).facts.count == 1
        assert "1 of 2" in str(error_of(Stopped, open_data, str(root), cache=tmp_path / "cache"))

    def test_the_folder_comes_from_the_environment(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GANSAKU_CACHE", str(tmp_path / "mine"))
        assert sources.cache_folder() == tmp_path / "mine"
        monkeypatch.delenv("GANSAKU_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert sources.cache_folder() == tmp_path / "gansaku"

    def test_what_a_killed_preparation_left_is_swept_after_a_day(self, tmp_path):
        for name, age in ((".part-1-old", 200_000), (".part-2-new", 0)):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (os.stat(tmp_path).st_mtime - age,) * 2)
        sources.sweep_old(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".part-2-new"]


class TestTheDoor:
    def test_a_source_that_is_not_there_is_said_with_the_nearest_word(self, tmp_path):
        error = error_of(DataError, open_data, "avatar", cache=tmp_path)
        assert error.code == "DATA_MISSING"
        assert "did you mean 'avatars'?" in str(error)

    @pytest.mark.parametrize("name", ["a.7z", "a.rar", "a.tar.xz", "a.png", "a.off", "a"])
    def test_types_that_are_not_supported_are_named(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"x")
        error = error_of(DataError, open_data, str(tmp_path / name), cache=tmp_path)
        assert error.code == "DATA_TYPE"
        assert name in str(error)

    def test_a_store_is_opened_where_it_is(self, tmp_path):
        source = folder_of(tmp_path / "d", {"a.png": picture(RED, 4, 4)})
        prepared = prepare(str(source), tmp_path / "d.h5")
        assert open_data(str(tmp_path / "d.h5"), 4, cache=tmp_path / "none").path == prepared.path == tmp_path / "d.h5"
        assert not (tmp_path / "none").exists()
        error = error_of(DataError, open_data, str(tmp_path / "d.h5"), 8)
        assert error.code == "DATA_SIZE"
        assert "prepared at 4x4, not 8" in str(error)
        assert error_of(DataError, prepare, str(tmp_path / "d.h5"), tmp_path / "e.h5").code == "DATA_TYPE"

    def test_a_preparation_that_fails_leaves_nothing(self, tmp_path):
        error_of(DataError, prepare, str(folder_of(tmp_path / "d", {"a.txt": b""})), tmp_path / "d.h5")
        assert [path.name for path in tmp_path.iterdir()] == ["d"]

    def test_avatars_are_nine_thousand_and_a_thousand_with_hair_as_class(self, tmp_path):
        dataset = open_data("avatars", cache=tmp_path)
        assert (dataset.shape, dataset.counts) == ((3, 32, 32), {"train": 9000, "test": 1000})
        assert len(dataset.classes) == 11
        assert sorted(dataset.columns) == ["glasses", "skin"]
        assert open_store(dataset.path).source == "avatars"

    def test_chairs_are_voxels(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sources, "CHAIRS", 3)
        dataset = open_data("chairs", 16, cache=tmp_path)
        assert (dataset.shape, dataset.counts, dataset.voxels) == ((1, 16, 16, 16), {"train": 3}, True)


class TestDestinations:
    """Nothing that somebody else made is lost, and it is said before any work."""

    @pytest.fixture
    def zipped(self, tmp_path):
        return zip_of(tmp_path / "d.zip", {f"{n}.png": picture((n, 0, 0)) for n in range(3)})

    def refused(self, source, destination):
        before = {path: path.read_bytes() for path in (source, destination) if path.is_file()}
        error = error_of(UsageError, prepare, str(source), destination)
        assert all(path.read_bytes() == content for path, content in before.items())
        return error.code

    def test_the_source_is_never_overwritten(self, zipped):
        assert self.refused(zipped, zipped) == "DESTINATION"

    def test_a_file_that_is_no_dataset_of_ours_is_never_overwritten(self, zipped, tmp_path):
        for name in ("other.zip", "other.npz", "other.h5"):
            (tmp_path / name).write_bytes(b"mine")
            assert self.refused(zipped, tmp_path / name) == "DESTINATION"

    def test_a_dataset_of_ours_is_replaced(self, zipped, tmp_path):
        first = prepare(str(zipped), tmp_path / "d.h5").path.read_bytes()
        assert prepare(str(zipped), tmp_path / "d.h5").path.read_bytes() == first

    def test_nothing_is_written_into_the_source(self, tmp_path):
        root = folder_of(tmp_path / "d", {"a.png": picture(RED)})
        assert self.refused(root, root / "d.h5") == "DESTINATION"

    def test_a_place_below_a_file_and_an_unknown_form_are_refused(self, zipped, tmp_path):
        (tmp_path / "file").touch()
        assert self.refused(zipped, tmp_path / "file" / "d.h5") == "DESTINATION"
        assert self.refused(zipped, tmp_path / "d.png") == "FORM"


def test_the_same_source_gives_the_same_bytes_wherever_it_lies(tmp_path):
    for place in ("a", "b"):
        folder_of(tmp_path / place / "d", {"x.png": picture(RED), "y.png": picture(BLUE)})
        prepare(str(tmp_path / place / "d"), tmp_path / place / "d.h5")
    assert (tmp_path / "a" / "d.h5").read_bytes() == (tmp_path / "b" / "d.h5").read_bytes()
    assert open_store(tmp_path / "a" / "d.h5").source == "d"


def test_what_opens_a_store_again_is_the_store_itself(tmp_path):
    root = folder_of(tmp_path / "d", {"x.png": picture(RED)})
    prepare(str(root), tmp_path / "d.h5", policy(8))
    assert open_data(str(tmp_path / "d.h5")).again == str(tmp_path / "d.h5")
    assert open_data(str(root), cache=tmp_path / "cache").source == str(root)


@pytest.mark.parametrize(("source", "choices"), [
    ("chairs", {"rotations": 4}), ("avatars", {"faces": "anime"}), ("d.npy", {"boxes": "nowhere"}), ("d.h5", {"dedupe": True}),
])  # fmt: skip
def test_choices_that_would_do_nothing_are_refused(tmp_path, source, choices):
    if source.startswith("d."):
        np.save(tmp_path / "d.npy", np.zeros((3, 4, 4), np.uint8))
        prepare(str(tmp_path / "d.npy"), tmp_path / "d.h5")
        source = str(tmp_path / source)
    error = error_of(UsageError, open_data, source, cache=tmp_path / "cache", **choices)
    assert "does nothing to" in str(error)


def test_two_kinds_of_samples_in_one_folder_are_refused(tmp_path):
    root = folder_of(tmp_path / "d", {"a.tar": b"", "b.npy": b""})
    assert error_of(DataError, open_data, str(root), cache=tmp_path / "cache").code == "DATA_LAYOUT"


def test_an_empty_class_folder_that_is_new_is_seen_although_no_file_has_changed(tmp_path):
    root = folder_of(tmp_path / "d", {"a/x.png": picture(RED), "b/y.png": picture(BLUE)})
    assert open_data(str(root), cache=tmp_path / "cache", keep_empty=True).classes == ("a", "b")
    (root / "c").mkdir()
    assert open_data(str(root), cache=tmp_path / "cache", keep_empty=True).classes == ("a", "b", "c")


def test_a_folder_that_a_living_process_prepares_in_is_never_swept(tmp_path):
    folder = tmp_path / ".part-preparing-a.h5"
    with pieces.held(folder):
        os.utime(folder, (1, 1))
        sources.sweep_old(tmp_path)
        assert folder.is_dir()
    os.utime(folder, (1, 1))
    sources.sweep_old(tmp_path)
    assert not folder.exists()


def test_a_store_that_is_passed_on_tells_no_folder_of_its_maker(tmp_path):
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    xml = f"<annotation><object><name>dog</name><bndbox>{box}</bndbox></object></annotation>".encode()
    root = folder_of(tmp_path / "d", {"a.png": picture(RED, 12, 12)})
    beside = folder_of(tmp_path / "secret" / "xml", {"a.xml": xml})
    dataset = prepare(str(root), tmp_path / "d.h5", policy(8, boxes=str(beside)))
    assert dataset.policy == {"size": 8, "boxes": "xml"}
    assert b"secret" not in dataset.path.read_bytes()
