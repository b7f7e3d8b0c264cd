"""The page as a file: what is in it comes out again, nothing gets out of its place, and thresholds are exact."""

import json
import re
import zlib
from base64 import b64decode
from hashlib import sha256

import numpy as np
import pytest

from gansaku.errors import DataError, UsageError
from gansaku.viewer import page as module
from gansaku.viewer.page import Grid, asset, levels, page

NASTY = '</script><script>alert(1)</script> & "quotes" ${x} $title \x1b[31m'


def held(text):
    return json.loads(re.search(r'<script type="application/json" id="voxels">([^<]*)</script>', text)[1])["samples"]


def noise(*shape, share=0.3):
    return np.random.default_rng(0).random(shape) < share


def test_bits_and_levels_come_out_as_they_went_in():
    hard, soft = noise(3, 5, 7), np.random.default_rng(1).integers(0, 256, (4, 2, 6), np.uint8)
    one, other = held(page("x", [Grid("hard", hard), Grid("soft", soft)]))
    bits = np.unpackbits(np.frombuffer(zlib.decompress(b64decode(one["data"])), np.uint8), count=hard.size)
    assert (one["name"], one["shape"], one["soft"]) == ("hard", [3, 5, 7], False)
    assert (bits.reshape(hard.shape) == hard).all()
    assert (other["shape"], other["soft"]) == ([4, 2, 6], True)
    assert zlib.decompress(b64decode(other["data"])) == soft.tobytes()


def test_a_view_of_a_larger_array_is_taken_in_its_own_order():
    grid = noise(4, 3, 5)[::-1].transpose(0, 2, 1)
    (one,) = held(page("x", [Grid("turned", grid)]))
    assert (
        np.unpackbits(np.frombuffer(zlib.decompress(b64decode(one["data"])), np.uint8), count=60).tolist()
        == grid.ravel().tolist()
    )


def test_names_stay_text():
    text = page(NASTY, [Grid(NASTY, noise(2, 2, 2))])
    assert text.count("<script") == 2
    assert "<title>&lt;/script&gt;&lt;script&gt;alert(1)" in text
    assert held(text)[0]["name"] == NASTY.replace("\x1b", "\\x1b")


def test_the_policy_allows_the_page_its_own_script_and_style_and_nothing_else():
    text = page("x", [Grid("x", noise(2, 2, 2))])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    script, style = re.search(r"<script>(.*)</script>", text, re.S)[1], re.search(r"<style>(.*)</style>", text, re.S)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    hashes = {kind: module.hashed(content) for kind, content in (("script-src", script), ("style-src", style))}
    assert rules["default-src"] == "'none'"
    assert {kind: rules[kind] for kind in hashes} == {kind: f"'{value}'" for kind, value in hashes.items()}
    assert sha256(script.encode()).digest() == b64decode(hashes["script-src"].removeprefix("sha256-"))
    assert not re.search(r"https?://|@import|\burl\(|\bfetch\(|XMLHttpRequest|\bimport\(", text)


@pytest.mark.parametrize("threshold", [1, 2, 64, 127, 128, 129, 254, 255])
def test_a_level_says_exactly_whether_a_probability_is_above_a_threshold(threshold):
    share = threshold / 256
    values = np.concatenate(
        [np.random.default_rng(threshold).random(2000), [0, 1, share, np.nextafter(share, 0), np.nextafter(share, 1)]]
    )
    assert ((levels(values) >= threshold) == (values > share)).all()


def test_level_128_begins_where_a_samples_value_exceeds_0():
    tiny = np.array([0.0, -0.0, 1e-12, -1e-12, 1e-6, -1e-6, 1, -1], np.float32)
    values = np.concatenate([tiny, np.random.default_rng(0).normal(0, 0.3, 2000).clip(-1, 1).astype(np.float32)])
    assert ((levels(values, -1.0) >= 128) == (values > 0)).all()
    assert levels(np.array([-1.0, 1.0]), -1.0).tolist() == [0, 255]


def test_what_a_page_cannot_hold_is_said(monkeypatch):
    with pytest.raises(DataError, match=r"long: is 1024x1x1, and a page shows at most 1,023 voxels a side.*\[VIEW_SIDE\]"):
        page("x", [Grid("long", noise(1024, 1, 1))])
    with pytest.raises(UsageError, match=r"holds no samples to show \[VIEW_EMPTY\]"):
        page("x", [])
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(UsageError, match=r"-n: 2 samples and more are too much for a page"):
        page("x", (Grid(str(i), noise(16, 16, 16)) for i in range(9)))


def test_a_page_of_a_chair_is_small():
    assert len(page("x", [Grid("x", noise(32, 32, 32))])) < 90_000
    assert sum(len(asset(name)) for name in module.SCRIPTS) < 70_000
