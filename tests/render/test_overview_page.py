"""The page of a dataset: whole, self-contained, safe whatever the data are called, and its pictures are the samples."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from gansaku.render.overview_page import Exhibit, Twins, flags, page, through
from gansaku.render.overview_pictures import chosen, contact_sheet, embedded, evenly, often_seen

EVIL = "a<script>alert(1)</script>\"'&\n\x1b[31m\u202eb\udc80"


def found(**more):
    told = {
        "data": "set",
        "source": "photos.zip",
        "shape": [3, 8, 9],
        "counts": {"train": 10, "test": 2},
        "classes": [],
        "balance": {},
        "columns": {},
        "fingerprint": "00ff" * 16,
        "report": {"skipped": {}, "converted": {}, "warned": {}, "warnings": [], "examples": []},
        "policy": {},
        "file": "set.h5",
        "bytes": 5000,
        "duplicates": {"exact": 0, "near": 0, "across_splits": 0, "complete": True},
        "advice": [],
    }
    return told | more


def exhibit(space=(8, 9), channels=3, count=12, **more):
    rng = np.random.default_rng(0)
    voxels = len(space) == 3
    samples = rng.integers(0, 2 if voxels else 256, (count, channels, *space), np.uint8)
    told = {
        "samples": samples,
        "labels": np.zeros(count, np.int64),
        "names": [f"{i}.png" for i in range(count)],
        "balance": np.zeros((0, 2), np.int64),
        "mean": samples.mean(0, dtype=np.float32),
        "spread": samples.std(0, dtype=np.float32),
        "class_means": np.zeros((0, channels, *space), np.float32),
        "levels": np.bincount(samples.reshape(-1), minlength=256),
        "occupancy": samples.reshape(count, -1).mean(1, dtype=np.float32) if voxels else np.zeros(0, np.float32),
        "twins": [],
        "skipped": [],
    }
    return Exhibit(**told | more)


def classed(classes, count=12):
    """What is found, and the exhibit, of so many samples in classes by turns."""
    labels = np.arange(count) % len(classes)
    balance = np.stack([np.bincount(labels, minlength=len(classes)), np.ones(len(classes), np.int64)], axis=1)
    return found(classes=classes), exhibit(count=count, labels=labels, balance=balance)


class Reader(HTMLParser):
    """Tags in and out of order, and what they hold."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.wrong = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.wrong == []
    assert reader.open == []
    return reader


def hostile():
    two = Twins(np.zeros((2, 3, 8, 9), np.uint8), (EVIL, EVIL), "the same", True)
    told = found(
        data=EVIL,
        source=EVIL,
        file=EVIL,
        classes=[EVIL, "b"],
        columns={EVIL: {"least": 0.0, "mean": 1.0, "most": 2.0}},
        policy={"boxes": EVIL},
        advice=[EVIL],
        report={"skipped": {EVIL: 1}, "converted": {EVIL: 2}, "warned": {EVIL: 3}, "warnings": [EVIL], "examples": [EVIL]},
    )
    _, shown = classed([EVIL, "b"])
    means = np.zeros((2, 3, 8, 9), np.float32)
    changed = {"names": [EVIL] * 12, "twins": [two], "skipped": [(EVIL, EVIL, EVIL)], "class_means": means}
    return page(told, Exhibit(**vars(shown) | changed))


PAGES = {
    "pictures": lambda: page(found(), exhibit()),
    "grey": lambda: page(found(shape=[1, 28, 28]), exhibit((28, 28), 1)),
    "large": lambda: page(found(shape=[3, 200, 130]), exhibit((200, 130))),
    "voxels": lambda: page(found(shape=[1, 4, 5, 6]), exhibit((4, 5, 6), 1)),
    "classes": lambda: page(*classed(["a", "b", "c"])),
    "120 classes": lambda: page(*classed([f"c{i}" for i in range(120)], 240)),
    "300 classes": lambda: page(*classed([f"c{i}" for i in range(300)], 300)),
    "hostile": hostile,
}


@pytest.mark.parametrize("which", PAGES)
class TestEveryPage:
    def test_is_whole_and_loads_nothing(self, which):
        text = PAGES[which]()
        reader = read(text)
        sources = [value for name, value in reader.attributes if name in ("src", "href", "action", "data", "srcset")]
        assert all(value.startswith("data:") for value in sources)
        assert "script" not in reader.tags
        assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "style"]
        style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
        assert "url(" not in style
        assert "@import" not in style
        allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = next(value for name, value in reader.attributes if name == "content")
        assert policy.split("; ") == [
            "default-src 'none'", "img-src data:", f"style-src 'sha256-{allowed}'", "base-uri 'none'", "form-action 'none'"
        ]  # fmt: skip

    def test_can_be_written_as_utf8_and_holds_nothing_invisible(self, which):
        text = PAGES[which]()
        assert text.encode("utf-8")
        assert {letter for letter in text if not letter.isprintable()} <= {"\n"}

    def test_every_picture_says_what_it_is_and_how_large(self, which):
        text = PAGES[which]()
        images = re.findall(r"<img[^>]*>", text)
        assert len(images) >= 12
        assert all(re.search(r' width="[1-9]\d*" height="[1-9]\d*" alt=', one) for one in images)


def test_hostile_names_are_written_as_escapes():
    text = hostile()
    assert "<script" not in text
    assert text.count("a&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;\\n\\x1b[31m\\u202eb") >= 12


class TestWhatItSays:
    def test_advice_is_said_and_a_leak_is_the_first_and_red(self):
        again = {"exact": 0, "near": 2, "across_splits": 1, "complete": True}
        text = page(found(advice=["one of both", "more"], duplicates=again), exhibit())
        assert "<li class=leak>One of both.</li><li>More.</li>" in text
        assert "class=leak" not in page(found(advice=["one of both"]), exhibit())

    def test_bars_are_as_long_as_their_classes_are_large(self):
        numbers = np.array([[30, 10], [20, 0], [0, 0]])
        text = page(found(classes=["a", "b", "c"]), exhibit(balance=numbers))
        both = re.findall(r'class="test" width="([\d.]+)%" height="100%"/><rect class="train" width="([\d.]+)%"', text)
        assert both == [("100", "75"), ("50", "50"), ("0", "0")]
        assert re.findall(r"</svg><b>([\d,]+)</b>", text) == ["40", "20", "0"]

    def test_of_300_classes_the_largest_and_the_smallest_have_bars(self):
        classes = [f"c{i}" for i in range(300)]
        numbers = np.stack([np.arange(300), np.zeros(300, int)], axis=1)
        text = page(found(classes=classes), exhibit(balance=numbers))
        shown = re.findall(r'<span title="c(\d+)">', text)
        assert sorted(map(int, shown)) == [*range(100), *range(200, 300)]

    def test_of_300_files_that_were_left_out_200_are_listed(self):
        skipped = [(f"{i}.jpg", "is cut short", "IMG_TRUNCATED") for i in range(300)]
        text = page(found(report={"skipped": {"IMG_TRUNCATED": 300}}), exhibit(skipped=skipped))
        assert text.count('<td class="code">IMG_TRUNCATED</td>') == 200
        assert "300 files or samples: 300 IMG_TRUNCATED. The first 200." in text

    def test_nothing_left_out_and_no_twin_is_said(self):
        text = page(found(), exhibit())
        assert "Nothing was left out." in text
        assert "None was found" in text

    def test_without_a_search_nothing_is_said_of_twins(self):
        told = found()
        del told["duplicates"]
        assert "look the same" not in page(told, exhibit())

    def test_choices_are_flags(self):
        policy = {"size": [64, 48], "held_out": 0.1, "dedupe": True, "faces": "anime"}
        assert flags(policy) == "--size 64,48 --held-out 0.1 --dedupe --faces anime"

    def test_a_histogram_has_a_bar_for_each_sixty_fourth_that_holds_something(self):
        levels = np.zeros(256, int)
        levels[[0, 3, 4, 255]] = (1, 2, 6, 3)
        text = page(found(), exhibit(levels=levels))
        section = text[text.index('id="values"') : text.index('id="twins"')]
        places = re.findall(r'x="([\d.]+)%" width="[\d.]+%" y="[\d.]+%" height="([\d.]+)%"', section)
        assert places == [("0", "50"), ("1.562", "100"), ("98.44", "50")]


class TestPictures:
    def decoded(self, made):
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", made.uri).groups()
        return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))

    @pytest.mark.parametrize("shape", [(8, 9, 3), (64, 40, 3), (28, 28)], ids=str)
    def test_a_small_sample_is_embedded_as_it_is_and_enlarged_by_a_whole_factor(self, shape):
        picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        made = embedded(picture, 96)
        kind, there = self.decoded(made)
        assert kind == "png"
        assert (there == picture).all()
        times = made.width // shape[1]
        assert (made.width, made.height) == (times * shape[1], times * shape[0])
        assert 70 <= max(made.width, made.height) <= 128

    def test_a_large_sample_is_reduced(self):
        made = embedded(np.random.default_rng(0).integers(0, 256, (600, 300, 3), np.uint8), 96)
        kind, there = self.decoded(made)
        assert (kind, there.shape) == ("jpeg", (192, 96, 3))
        assert (made.width, made.height, made.crisp) == (64, 128, False)

    def test_one_pixel_wide_is_not_nothing(self):
        made = embedded(np.zeros((5000, 1, 3), np.uint8), 96)
        assert made.width == 1

    def test_views_look_along_each_axis_with_the_top_first(self):
        """(left to right, front to back, floor to top): a box on the left, at the back, on the floor."""
        mean = np.zeros((4, 5, 6), np.float32)
        mean[0, 4, 0] = 1
        front, side, above = through(mean)
        assert [view.shape for view in (front, side, above)] == [(6, 4), (6, 5), (5, 4)]
        assert [tuple(np.argwhere(view)[0].tolist()) for view in (front, side, above)] == [(5, 0), (5, 4), (0, 0)]

    def test_what_is_never_occupied_is_white_and_the_most_often_is_darkest(self):
        view = often_seen(np.array([[0, 0.25], [0.5, 1]], np.float32))
        assert (view[0, 0] == 255).all()
        assert (view[0, 1] > view[1, 0]).all()
        assert (view[1, 0] > view[1, 1]).all()


class TestChosen:
    @pytest.mark.parametrize(("count", "most"), [(5, 64), (64, 64), (100, 64), (9_999, 64), (7, 1), (0, 3)])
    def test_rows_are_taken_in_even_steps_from_the_first(self, count, most):
        rows = evenly(np.arange(count), most)
        assert len(rows) == min(count, most)
        if len(rows) > 1:
            assert rows[0] == 0
            steps = np.diff(rows)
            assert steps.min() >= 1
            assert steps.max() - steps.min() <= 1

    @pytest.mark.parametrize(("classes", "each"), [(1, 64), (2, 32), (8, 8), (10, 5), (11, 5), (20, 3), (64, 1), (120, 1)])
    def test_each_class_has_as_many(self, classes, each):
        labels = np.arange(200 * classes) % classes
        of = np.bincount(labels[chosen(labels, classes)], minlength=classes)
        assert set(of.tolist()) <= {0, each}
        assert (of > 0).sum() == min(classes, 64)

    def test_a_class_with_fewer_gives_all_and_an_empty_one_none(self):
        labels = np.array([0] * 50 + [2] * 3)
        assert np.bincount(labels[chosen(labels, 3)]).tolist() == [32, 0, 3]


class TestContactSheet:
    def opened(self, content):
        return np.asarray(Image.open(io.BytesIO(content)))

    def test_without_classes_it_is_a_square_of_samples(self):
        samples = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), np.uint8)
        picture = self.opened(contact_sheet(samples, np.zeros(64, np.int64), ()))
        assert picture.shape == (8 * 98 + 2, 8 * 98 + 2, 3)
        assert (picture[2:98:3, 2:98:3] == np.moveaxis(samples[0], 0, -1)).all()

    @pytest.mark.parametrize(("classes", "of", "shape"), [(1, 64, (8, 8)), (10, 5, (5, 10)), (64, 1, (8, 8)), (2, 32, (8, 8))])
    def test_classes_are_arranged_as_near_to_a_square_as_their_rows_allow(self, classes, of, shape):
        labels = np.arange(classes * of) % classes
        picture = self.opened(contact_sheet(np.zeros((len(labels), 1, 96, 96), np.uint8), labels, ["c"] * classes))
        dark = (picture[..., 0] == 0).reshape(picture.shape[:2])
        assert dark.any(1).sum() == 96 * shape[0]
        assert dark.any(0).sum() == 96 * shape[1]

    def test_classes_stand_under_their_names(self):
        samples = np.zeros((10, 1, 16, 16), np.uint8)
        picture = self.opened(contact_sheet(samples, np.arange(10) % 2, ("cat", EVIL * 9)))
        assert (picture[:, :, 0] == 0).sum() >= 10 * 96 * 96
        assert ((picture[:20] < 200).any(-1)).any()

    @pytest.mark.parametrize("space", [(8, 8, 8), (300, 200)], ids=str)
    def test_voxels_are_drawn_and_large_pictures_reduced(self, space):
        samples = np.ones((4, 1, *space), np.uint8)
        picture = self.opened(contact_sheet(samples, np.zeros(4, np.int64), ()))
        assert max(picture.shape) <= 2 * 194 + 2
