"""A score says how it came about; what came about in another way is not compared with it."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansaku.errors import UsageError
from gansaku.metrics.passport import PROTOCOL, TOLD, Passport, Score, counted, difference, from_plain, named, unlike, warnings

PASSPORT = Passport(
    "fid", 10_000, 10_000, "f" * 64, "train", "inception-2015", "a" * 64, "pytorch-fid", weights="ema", real="cats"
)
OTHER = {
    "metric": "kid", "n_generated": 5000, "n_real": 50_000, "data": "e" * 64, "split": "test", "extractor": "random-2d",
    "sha256": "b" * 64, "resize": "clean", "precision": "bf16", "quantization": "binary", "weights": "raw",
    "truncation": 0.8, "label": "cat", "settings": {"subset": 100},
}  # fmt: skip


def score(value=12.5, **changes):
    return Score("FID@10k", value, (12.0, 13.0), "lower", dataclasses.replace(PASSPORT, **changes), ("few",))


def test_every_field_is_either_protocol_or_told():
    assert sorted((*PROTOCOL, *TOLD)) == sorted(field.name for field in dataclasses.fields(Passport))
    assert sorted(PROTOCOL) == sorted(OTHER)


@pytest.mark.parametrize("name", PROTOCOL)
def test_scores_that_differ_in_any_part_of_the_protocol_are_not_compared(name):
    one, other = score(), score(13.0, **{name: OTHER[name]})
    assert len(unlike(one.passport, other.passport)) == 1
    assert one.passport.digest != other.passport.digest
    with pytest.raises(UsageError, match="not comparable"):
        difference(one, other)
    assert difference(one, other, force=True).change == 0.5


@pytest.mark.parametrize("name", TOLD)
def test_scores_that_differ_only_in_what_was_scored_are_compared(name):
    changed = {"seed": 1, "seen": 5}.get(name, "another")
    one, other = score(), score(13.0, **{name: changed})
    assert unlike(one.passport, other.passport) == []
    assert one.passport.digest == other.passport.digest
    assert difference(one, other).change == 0.5


def test_the_refusal_names_both_values():
    with pytest.raises(UsageError, match=r"generated samples: 10000 against 5000.*UNLIKE_SCORES"):
        difference(score(), score(n_generated=5000))


def test_samples_in_a_file_are_compared_with_a_runs_whatever_weights_made_them():
    assert unlike(score(weights="stored").passport, score(weights="raw").passport) == []


def test_a_difference_says_what_the_intervals_allow_and_no_more():
    def said(value, reach, better="lower"):
        interval = (value - reach, value + reach)
        other = dataclasses.replace(score(value, generated="b"), interval=interval, better=better)
        first = dataclasses.replace(score(12.0, generated="a"), interval=(12 - reach, 12 + reach), better=better)
        return str(difference(first, other))

    assert said(12.1, 0.5).endswith("no difference that these samples can show")
    assert said(11.0, 0.5).endswith("b -1 [-1.707, -0.2929] against a, better")
    assert said(13.0, 0.5).endswith("against a, worse")
    assert said(13.0, 0.5, "higher").endswith("against a, better")
    assert said(13.0, 0.5, "neither").endswith("against a")


def test_a_score_survives_json():
    plain = json.loads(json.dumps(score().plain()))
    assert from_plain(plain) == score()
    assert {"name", "value", "interval", "passport"} <= plain.keys()


@pytest.mark.parametrize("broken", [
    {}, {"passport": {}}, {**score().plain(), "value": "x"}, {**score().plain(), "interval": [1]},
    {**score().plain(), "passport": 3}, {**score().plain(), "passport": {"metric": "fid"}},
])  # fmt: skip
def test_what_is_no_score_is_refused_in_a_sentence(broken):
    with pytest.raises(UsageError, match="not as `gansaku evaluate --json` writes them"):
        from_plain(broken)


def test_a_score_of_a_later_version_is_read_without_what_is_new():
    plain = score().plain()
    plain["passport"]["colour_space"] = "sRGB"
    assert from_plain(plain) == score()


def test_the_name_says_on_how_many_samples():
    assert (named("FID", 200, 9000), named("FID", 200, 200), named("IS", 200, 0)) == ("FID@200/9k", "FID@200", "IS@200")
    assert (named("FID", 10_000), named("FID", 2048), named("FID", 500)) == ("FID@10k", "FID@2048", "FID@500")


@given(st.integers(1, 10**7))
def test_no_two_counts_are_written_alike(n):
    text = counted(n)
    assert int(text[:-1]) * 1000 == n if text.endswith("k") else int(text) == n


@pytest.mark.parametrize(
    ("n", "word"), [(100, "mostly bias"), (2047, "mostly bias"), (2048, "biased upwards"), (9999, "biased")]
)
def test_few_samples_are_warned_of(n, word):
    (warning,) = warnings(dataclasses.replace(PASSPORT, n_generated=n), biased=True)
    assert word in warning
    (other,) = warnings(dataclasses.replace(PASSPORT, n_real=n), biased=True)
    assert other == warning


def test_enough_samples_and_unbiased_metrics_are_not_warned_of():
    assert warnings(PASSPORT, biased=True) == ()
    assert warnings(dataclasses.replace(PASSPORT, n_generated=10), biased=False) == ()
