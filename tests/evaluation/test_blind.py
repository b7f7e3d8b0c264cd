"""The page of the blind test: a whole that loads nothing, tells nothing before the end, and everything then."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from gansaku.errors import UsageError
from gansaku.evaluation.blind import EACH, LARGEST, Contestant, better, chance, embedded, page, sides
from gansaku.metrics.passport import Passport, Score
from gansaku.render.voxels import draw

PASSPORT = Passport("fid", 10_000, 9_000, "d", "train", "inception-2015", "ab" * 32, "pytorch-fid", weights="ema", real="faces")
ROUNDS = 3


def score(value, better="lower", name="FID@10k", **passport):
    return Score(name, value, (value - 1, value + 1), better, replace(PASSPORT, **passport), ("few",))


def contestant(name, value, seed, shape=(3, 8, 8)):
    pictures = np.random.default_rng(seed).integers(0, 256, (EACH * ROUNDS, *shape)).astype(np.uint8)
    return Contestant(name, 1000 * seed, (score(value), score(value / 1000, name="KID@10k", metric="kid")), pictures)


@pytest.fixture(scope="module")
def both():
    return contestant("early <b>& co</b>", 80.12, 1), contestant("late", 50.3, 2)


@pytest.fixture(scope="module")
def html(both):
    return page(*both, rounds=ROUNDS, seed=5)


class Read(HTMLParser):
    """A page as a browser reads it, strictly: what is opened is closed, in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag, **wanted):
        return [a for t, a in self.elements if t == tag and all(a.get(k.rstrip("_")) == v for k, v in wanted.items())]

    @property
    def words(self):
        """All that can be seen or is read out."""
        named = [a.get(name) or "" for _, a in self.elements for name in ("alt", "title", "aria-label", "class", "id")]
        return " ".join([*self.texts, *named])


def key_of(html):
    return json.loads(base64.b64decode(Read(html).all("main")[0]["data-key"]))


def panels(html):
    """(rounds, 2, EACH, H, W, 3): the pictures as they are shown."""
    found = [base64.b64decode(a["src"].split(",")[1]) for a in Read(html).all("img")]
    made = np.stack([np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in found])
    return made.reshape(-1, 2, EACH, *made.shape[1:])


def test_each_round_shows_new_samples_of_both_and_the_key_says_which_is_left(both, html):
    left = key_of(html)["left"]
    shown = panels(html)
    assert len(shown) == len(left) == ROUNDS
    for i, number in enumerate(left):
        for place, side in enumerate((both[number], both[1 - number])):
            assert np.array_equal(shown[i, place], np.moveaxis(side.pictures[i * EACH : (i + 1) * EACH], 1, -1))


def test_nothing_but_the_key_depends_on_what_the_two_are(both, html):
    others = [Contestant(f"other {i}", None, (), side.pictures) for i, side in enumerate(both)]
    without = re.compile(r'data-key="[^"]*"')
    assert without.sub("", page(*others, rounds=ROUNDS, seed=5)) == without.sub("", html)


def test_no_word_of_the_page_tells_what_is_shown(html):
    words = Read(html).words
    for telling in ("early", "late", "1,000", "2,000", "80", "50", "FID", "better-scored"):
        assert telling not in words, telling
    assert [a["aria-label"] for a in Read(html).all("div", role="img")] == [
        "Left panel: 24 samples", "Right panel: 24 samples"] * ROUNDS  # fmt: skip


def test_the_key_holds_every_score_with_value_interval_samples_and_passport(html):
    found = key_of(html)
    assert [side["name"] for side in found["sides"]] == ["early <b>& co</b> after 1,000 samples", "late after 2,000 samples"]
    assert found["sides"][1]["scores"][0] == {
        "name": "FID@10k", "value": "50.3", "interval": "95 % [49.3, 51.3]", "wanted": "lower is better",
        "how": "10,000 generated samples (ema); 9,000 real ones of faces (train); inception-2015 abababab, resize pytorch-fid, "
               "fp32",
        "warnings": ["few"],
    }  # fmt: skip
    assert found["better"] == [1, 1]


def test_the_page_loads_nothing_and_runs_only_its_own_script(html):
    read = Read(html)
    (policy,) = [a["content"] for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy
    assert "http://" not in html
    assert "https://" not in html
    assert [name for _, a in read.elements for name in a if name.startswith("on") or name == "style"] == []
    assert all(a["src"].startswith("data:image/") for a in read.all("img"))


def test_the_script_writes_text_and_never_markup(html):
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(", script) == []


def test_the_buttons_are_named_and_the_panels_are_not_read_out_one_by_one(html):
    read = Read(html)
    assert [a["data-place"] for a in read.all("button") if "data-place" in a] == ["0", "", "1"]
    for text in ("Left", "Right", "Cannot tell", "Which panel looks better?"):
        assert text in read.texts
    assert {a["alt"] for a in read.all("img")} == {""}


def test_the_same_seed_gives_the_same_sides_and_each_side_comes_about_half_the_time():
    assert sides(10, 3) == sides(10, 3)
    assert len({tuple(sides(10, seed)) for seed in range(20)}) > 15
    assert sum(sum(sides(10, seed)) for seed in range(100)) == pytest.approx(500, abs=60)


def test_chance_is_the_exact_binomial_test():
    for n in range(1, 13):
        assert chance(n) == pytest.approx([binomtest(k, n).pvalue for k in range(n + 1)])
    assert chance(0) == [1.0]


def test_the_better_score_is_the_lower_or_the_higher_one_as_the_metric_has_it():
    assert better(score(80), score(50)) == 1
    assert better(score(80, "higher"), score(50, "higher")) == 0
    assert better(score(80, "neither"), score(50, "neither")) is None
    assert better(score(50), score(50)) is None


def test_voxels_are_drawn_as_small_pngs():
    grid = np.zeros((1, 8, 9, 10), np.uint8)
    grid[0, 2:6, 2:6, :5] = 1
    uri, width, height = embedded(grid)
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))
    assert (uri[:14], width, height, drawn.shape) == ("data:image/png", 160, 160, (160, 160, 3))
    assert np.abs(drawn.astype(int) - draw(grid[0] > 0, 160)).mean() < 1
    assert len(uri) < 6000


def test_large_pictures_are_reduced_and_small_ones_are_kept_to_the_bit():
    sample = np.random.default_rng(0).integers(0, 256, (3, 64, 50)).astype(np.uint8)
    uri, width, height = embedded(sample)
    assert (width, height) == (50, 64)
    kept = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert np.array_equal(kept, np.moveaxis(sample, 0, -1))
    uri, width, height = embedded(np.zeros((1, 100, 400), np.uint8))
    assert (uri[:15], width, height) == ("data:image/jpeg", LARGEST, LARGEST // 4)


@pytest.mark.parametrize(("change", "said"), [
    ({"rounds": 4}, "4 rounds need 96 samples, and there are 72"),
    ({"rounds": 0}, "0 is too few"),
    ({"other": contestant("late", 50, 2, (3, 8, 9))}, "samples of one shape"),
    ({"other": replace(contestant("late", 50, 2), scores=())}, "have other scores each"),
    ({"other": replace(contestant("late", 50, 2), scores=(score(50, n_real=5), score(0.05, name="KID@10k", metric="kid")))},
     "real samples: 9000 against 5"),
], ids=["samples", "rounds", "shapes", "scores", "unlike"])  # fmt: skip
def test_what_cannot_be_tested_is_refused_with_the_reason(both, change, said):
    with pytest.raises(UsageError, match=said):
        page(both[0], change.get("other", both[1]), change.get("rounds", ROUNDS))
