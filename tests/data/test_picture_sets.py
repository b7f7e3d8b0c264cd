"""Many pictures, from a folder or a zip, become samples of one shape; those that cannot are refused by name, with a code."""

import io

import numpy as np
import pytest
from making import BLUE, RED, error_of, everything, folder_of, picture, shared, zip_of
from PIL import Image

from gansaku.data.sources import open_data
from gansaku.data.store import Facts
from gansaku.errors import DataError, Stopped


def noise():
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


NOISE = noise()


@pytest.fixture(params=["folder", "zip"])
def packed(request, tmp_path):
    """Make a source of {name: bytes}, once as a folder and once as a zip of it, and open it."""

    def opened(content, size=None, **options):
        source = folder_of(tmp_path / "d", content) if request.param == "folder" else zip_of(tmp_path / "d.zip", content)
        return open_data(str(source), size, cache=tmp_path / "cache", **options)

    return opened


class TestPictures:
    def test_come_in_natural_order_with_their_pixels(self, packed):
        dataset = packed({f"a{n}.png": picture((n, 0, 0)) for n in (10, 9, 100, 1)})
        assert everything(dataset)[:, 0, 0, 0].tolist() == [1, 9, 10, 100]
        assert dataset.facts == Facts("d", (3, 4, 6), 4, ())

    def test_class_folders_are_labels(self, packed):
        dataset = packed({"dog/a.png": picture(RED), "cat/b.png": picture(BLUE), "cat/deep/c.png": picture(BLUE)})
        assert dataset.classes == ("cat", "dog")
        assert dataset.labels.tolist() == [0, 0, 1]
        assert everything(dataset)[2, 0, 0].tolist() == list(RED)

    def test_train_and_test_folders_are_splits_and_training_comes_first(self, packed):
        content = {"val/cat/1.png": picture(RED), "train/cat/2.png": picture(BLUE), "train/dog/3.png": picture(BLUE)}
        dataset = packed(content | {"test/dog/4.png": picture(RED)})
        assert dataset.counts == {"train": 2, "test": 2}
        assert dataset.classes == ("cat", "dog")
        assert everything(dataset)[:, 0, 0, 2].tolist() == [255, 255, 0, 0]

    def test_all_grey_stays_grey(self, packed):
        dataset = packed({"a.png": picture(3), "b.png": picture(200)})
        assert dataset.shape == (1, 4, 6)
        assert everything(dataset)[:, 0, 0, 0].tolist() == [3, 200]

    def test_grey_among_colour_becomes_colour_and_is_counted(self, packed):
        dataset = packed({"a.png": picture(3), "b.png": picture(RED)})
        assert everything(dataset)[:, 0, 0].tolist() == [[3, 3, 3], [255, 0, 0]]
        assert dataset.report["converted"] == {"grey to colour": 1}

    def test_mixed_sizes_need_a_size(self, packed):
        content = {"a.png": picture(RED, 8, 6), "b.png": picture(BLUE, 30, 40), "c.png": picture((0, 9, 0), 9, 9)}
        error = error_of(DataError, packed, content)
        assert error.code == "IMG_SIZES"
        assert "3 sizes, from 6x8 to 40x30" in str(error)
        assert "--size" in str(error)
        dataset = packed(content, size=8)
        assert dataset.shape == (3, 8, 8)
        assert everything(dataset)[:, 0, 0, 0].tolist() == [255, 0, 0]
        assert dataset.report["warned"] == {"IMG_UPSCALED": 1}

    def test_other_files_are_ignored_and_counted(self, packed):
        others = ["Thumbs.db", ".hidden.png", "._a.png", "__MACOSX/a.png", "readme.txt", "labels.xml", "noending"]
        dataset = packed({f"images/{name}": b"x" for name in others} | {"images/a.png": picture(RED)})
        assert (dataset.facts.count, dataset.classes) == (1, ())
        assert dataset.report["ignored"] == len(others)

    def test_bad_pictures_stop_beyond_the_share_that_is_allowed(self, packed):
        content = {f"{n}.png": picture(RED) for n in range(8)}
        content |= {"bad1.png": b"", "bad2.jpg": b"<html>404</html>"}
        error = error_of(Stopped, packed, content)
        assert error.exit_code == 4
        assert "2 of 10" in str(error)
        assert "bad1.png: is an empty file [IMG_EMPTY]" in str(error)
        assert "bad2.jpg: is a web page, as a failed download leaves it [IMG_NOT_IMAGE]" in str(error)
        dataset = packed(content, max_bad=0.2)
        assert dataset.facts.count == 8
        assert dataset.report["skipped"] == {"IMG_EMPTY": 1, "IMG_NOT_IMAGE": 1}

    def test_a_picture_cut_short_in_its_pixels_is_bad(self, packed):
        content = {"a.jpg": NOISE[:-300], "b.jpg": NOISE}
        assert "a.jpg: is cut short" in str(error_of(Stopped, packed, content))
        assert packed(content, max_bad=0.5).report["skipped"] == {"IMG_TRUNCATED": 1}

    @pytest.mark.parametrize("good", [{}, {"test/c.jpg"}], ids=["nothing", "only a test picture"])
    def test_no_training_picture_that_decodes_stops_whatever_is_allowed(self, packed, good):
        content = {"train/a.jpg": NOISE[:-300], "train/b.jpg": NOISE[:-300]} | dict.fromkeys(good, NOISE)
        assert "no training sample is left" in str(error_of(Stopped, packed, content, max_bad=1))

    def test_a_format_that_is_never_opened_is_bad(self, packed):
        assert "a.svg: is a .svg file; convert it to PNG or JPEG [IMG_FORMAT]" in str(
            error_of(Stopped, packed, {"a.svg": b"<svg/>", "b.png": picture(RED)})
        )

    @pytest.mark.parametrize(("height", "width", "code"), [(90, 10, "IMG_ASPECT"), (3, 16, "IMG_TOO_SMALL")])
    def test_pictures_that_would_be_mostly_invented_are_bad(self, packed, height, width, code):
        content = {"a.png": picture(RED, height, width), "b.png": picture(RED, 16, 16)}
        assert packed(content, size=16, max_bad=0.5).report["skipped"] == {code: 1}

    def test_pictures_beside_class_folders_are_ambiguous(self, packed):
        error = error_of(DataError, packed, {"a.png": picture(RED), "cat/b.png": picture(RED)})
        assert error.code == "DATA_LAYOUT"
        assert "'a.png' and 'cat/b.png'" in str(error)

    def test_nothing_to_train_on_is_said(self, packed):
        error = error_of(DataError, packed, {"readme.txt": b"hello"})
        assert error.code == "DATA_EMPTY"
        assert "other files: 1" in str(error)

    def test_progress_ends_at_the_number_of_pictures(self, packed):
        calls = []
        packed({f"{n}.png": picture(RED) for n in range(5)}, progress=lambda *call: calls.append(call))
        assert calls[-1] == (5, 5)


class TestPolicy:
    """Each choice, on sets of pictures whose right answer is plain."""

    def test_a_size_may_be_no_square(self, packed):
        dataset = packed({"a.png": picture(RED, 40, 20), "b.png": picture(BLUE, 20, 40)}, size=(8, 12))
        assert dataset.shape == (3, 8, 12)

    def test_pad_shows_the_background_and_stretch_and_crop_do_not(self, packed):
        content = {"a.png": picture(RED, 10, 20)}
        corners = {fit: everything(packed(content, size=20, fit=fit, background=(0, 9, 0)))[0, 0, 0].tolist()
                   for fit in ("pad", "stretch", "crop")}  # fmt: skip
        assert corners == {"pad": [0, 9, 0], "stretch": [255, 0, 0], "crop": [255, 0, 0]}

    def test_fit_keeps_the_aspect_and_needs_one_common_shape(self, packed):
        assert packed({"a.png": picture(RED, 10, 20), "b.png": picture(RED, 30, 60)}, size=10, fit="fit").shape == (3, 5, 10)
        error = error_of(DataError, packed, {"a.png": picture(RED, 10, 20), "b.png": picture(RED, 30, 30)}, size=10, fit="fit")
        assert error.code == "IMG_SIZES"
        assert "--fit crop" in str(error)

    def test_channels_are_what_was_asked_for(self, packed):
        content = {"a.png": picture(RED), "b.png": picture(99)}
        assert [packed(content, channels=channels).shape[0] for channels in ("auto", 1, 3)] == [3, 1, 3]
        grey = everything(packed(content, channels=1))[:, 0, 0, 0].tolist()
        assert grey == [76, 99]  # 0.299 of red

    def test_a_share_is_held_out_where_the_source_has_no_test_split(self, packed):
        content = {f"{name}/{i}.png": picture((i, 0, 0)) for i in range(10) for name in ("cat", "dog")}
        assert packed(content, held_out=0.25).counts == {"train": 15, "test": 5}

    def test_a_test_split_of_the_source_is_the_one(self, packed):
        own = {f"train/{i}.png": picture((i, 0, 0)) for i in range(8)} | {"test/a.png": picture(BLUE)}
        assert packed(own, held_out=0.25).counts == {"train": 8, "test": 1}

    def test_repetitions_are_left_out_when_asked(self, packed):
        content = {"a.png": picture(RED), "b.bmp": picture(RED, form="BMP"), "c.png": picture(BLUE)}
        assert packed(content).report["warned"] == {"DUPLICATE": 1}
        assert [*packed(content, dedupe=True).names] == ["a.png", "c.png"]

    def test_without_two_classes_conditional_is_refused(self, packed):
        content = {"cat/a.png": picture(RED), "cat/b.png": picture(BLUE)}
        assert error_of(DataError, packed, content, conditional=True).code == "DATA_CLASSES"
        assert packed(content | {"dog/c.png": picture(BLUE)}, conditional=True).classes == ("cat", "dog")

    def test_a_class_of_one_picture_is_warned_of(self, packed):
        content = {"cat/a.png": picture(RED), "cat/b.png": picture(BLUE), "dog/c.png": picture((0, 9, 0))}
        assert packed(content).report["warned"] == {"CLASS_TINY": 1}

    def test_flat_makes_class_folders_mean_nothing(self, packed):
        content = {"cat/a.png": picture(RED), "b.png": picture(BLUE)}
        assert packed(content, layout="flat").classes == ()
        assert packed(content, layout="classes").classes == ("cat", "unlabelled")

    @pytest.mark.parametrize(("aspect", "count"), [(2.0, 1), (8.0, 2)])
    def test_the_aspect_that_is_allowed_may_be_set(self, packed, aspect, count):
        content = {"a.png": picture(RED, 40, 10), "b.png": picture(BLUE, 20, 20)}
        assert packed(content, size=8, max_aspect=aspect, max_bad=0.5).facts.count == count

    def test_smaller_pictures_than_asked_for_are_left_out(self, packed):
        content = {"a.png": picture(RED, 10, 10), "b.png": picture(BLUE, 20, 20)}
        assert packed(content, size=16, min_side=12, max_bad=0.5).report["skipped"] == {"IMG_TOO_SMALL": 1}

    def test_every_frame_becomes_a_sample_when_asked(self, packed):
        stream = io.BytesIO()
        frames = [Image.new("RGB", (6, 4), colour) for colour in (RED, BLUE)]
        frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
        content = {"a.gif": stream.getvalue(), "b.png": picture((0, 9, 0))}
        assert packed(content).facts.count == 2
        assert [*packed(content, frames="all").names] == ["a.gif#0", "a.gif#1", "b.png"]

    def test_the_formats_and_modes_of_the_files_are_told(self, packed):
        report = packed({"a.jpg": picture(RED, form="JPEG"), "b.png": picture(BLUE), "c.png": picture(9)}).report
        assert report["formats"] == {"PNG": 2, "JPEG": 1}
        assert report["modes"] == {"RGB": 2, "L": 1}


def test_an_empty_class_folder_is_told_and_kept_only_when_asked(tmp_path):
    root = folder_of(tmp_path / "d", {"cat/a.png": picture(RED), "dog/b.png": picture(BLUE)})
    (root / "bird").mkdir()
    dataset = open_data(str(root), cache=tmp_path / "cache")
    assert (dataset.classes, dataset.report["warned"]["CLASS_EMPTY"]) == (("cat", "dog"), 1)
    assert open_data(str(root), cache=tmp_path / "cache", keep_empty=True).classes == ("bird", "cat", "dog")


def test_dogs_in_the_layout_of_stanford_have_six_breeds(tmp_path):
    dataset = open_data(shared("dogs_stanford_layout.zip"), cache=tmp_path)
    assert (dataset.facts.count, len(dataset.classes), dataset.report["ignored"]) == (3000, 6, 3000)
