"""From two sides to numbers with passports."""

import dataclasses

import pytest
import torch

from gansaku.errors import UsageError
from gansaku.evaluation import budget
from gansaku.evaluation.features import extracted
from gansaku.evaluation.samples import Stored
from gansaku.evaluation.scorer import Scorer, Told, titled
from gansaku.extractors.registry import STANDARD
from gansaku.metrics.contract import Metric, Output, Side
from gansaku.metrics.passport import unlike
from gansaku.parts import part

from .stand_ins import Brightness, MeanDistance, Noise, Pooled, dataset

USUAL = (MeanDistance(),)


def scorer(metrics=USUAL, **changes):
    given = {"real": Noise(1), "extractor": Pooled(), "n": 200, "intervals": False, **changes}
    return Scorer(metrics, **given)


def test_the_score_is_the_metric_of_both_sides():
    (score,) = scorer().score(Noise(2))
    a, b = (extracted(Noise(seed), 200, Pooled()).features for seed in (1, 2))
    assert score.value == MeanDistance().values(Side(200, a), Side(200, b))["mean_distance"]


def test_the_passport_tells_everything_that_was_done():
    told = Told("ema", 0.8, "cat", seed=7, seen=1000)
    (score,) = scorer((MeanDistance(3.0),), n_real=150, device="cpu").score(Noise(2), told)
    p = score.passport
    assert (p.n_generated, p.n_real, p.metric) == (200, 150, "mean_distance")
    assert (p.extractor, p.sha256, p.resize, p.precision) == ("pooled", "0" * 64, "none", "fp32")
    assert (p.weights, p.truncation, p.label, p.seed, p.seen) == ("ema", 0.8, "cat", 7, 1000)
    assert (p.settings, p.quantization, p.real, p.generated) == ({"scale": 3.0}, "uint8", "noise", "noise")


def test_the_passport_says_which_part_of_the_data_it_was(tmp_path):
    data = dataset(tmp_path)
    parts = [Stored(data), Stored(data, "test"), Stored(data, "train", 0, 20), Stored(data, "train", 20)]
    found = [scorer(real=part, n=12).score(Noise(2))[0].passport for part in parts]
    assert [passport.split for passport in found] == ["train", "test", "train[0:20]", "train[20:]"]
    assert len({passport.digest for passport in found}) == 4


def test_never_a_bare_title():
    (score,) = scorer().score(Noise(2))
    assert score.name == "MDx-pooled@200"


def test_only_the_2015_inceptions_distance_has_the_plain_title():
    output = Output("FID", "lower", "FD")
    assert titled(output, Pooled(STANDARD)) == "FID"
    assert titled(output, Pooled("efficientnet-lite0")) == "FD-efficientnet-lite0"
    assert titled(output, Pooled(STANDARD, precision="bf16")) == "FID-bf16"
    assert titled(Output("Precision", "higher"), Pooled("random-2d")) == "Precision-random-2d"
    assert titled(Output("SWD", "lower"), None) == "SWD"


def test_a_metric_that_reads_nothing_real_says_so():
    (score,) = scorer((Brightness(),), extractor=None).score(Noise(2))
    assert (score.passport.n_real, score.passport.data, score.passport.extractor) == (0, "", "")
    assert score.value == float(Noise(2).block(0, 200).double().mean())


def test_real_features_are_made_once_for_many_generated_sides():
    extractor = Pooled()
    made = scorer(extractor=extractor)
    for seed in (2, 3, 4):
        made.score(Noise(seed))
    assert extractor.looked == 4 * 200


def test_no_more_samples_are_used_than_there_are():
    (score,) = scorer(real=Noise(1, count=150)).score(Noise(2, count=120))
    assert (score.passport.n_generated, score.passport.n_real) == (120, 150)


def test_the_interval_holds_the_value_and_says_where_it_comes_from():
    (score,) = scorer(intervals=True, real=Noise(1, count=200)).score(Noise(2))
    assert score.interval[0] < score.value < score.interval[1]
    assert score.passport.interval == "95 %, over generated samples"


def test_where_the_real_samples_are_some_of_more_the_interval_counts_them_too():
    (score,) = scorer(intervals=True, real=Noise(1, count=5000)).score(Noise(2))
    assert score.passport.interval == "95 %, over generated and real samples"


def test_scores_of_unlike_protocols_are_told_apart_by_their_passports():
    (one,), (other,) = scorer().score(Noise(2)), scorer(n=100).score(Noise(2))
    assert unlike(one.passport, other.passport) == ["generated samples: 200 against 100", "real samples: 200 against 100"]


def test_each_class_is_scored_against_its_own_samples(tmp_path):
    data = dataset(tmp_path)
    made = scorer(real=Stored(data), n=40)
    first, second = made.by_class(Noise(2, classes=("a", "b")))
    assert [score.passport.label for score in (first, second)] == ["a", "b"]
    assert first.name == "MDx-pooled@20 (a)"
    a = Stored(data)
    real = a.block(0, 40)[a.labels(0, 40) == 0]
    generated = Noise(2).block(0, 40)[::2]
    sides = [Side(20, Pooled()(block).features) for block in (real, generated)]
    assert first.value == MeanDistance().values(*sides)["mean_distance"]


def test_a_class_that_the_data_do_not_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match="has no class 'c'"):
        scorer(real=Stored(dataset(tmp_path)), n=40).by_class(Noise(2, classes=("a", "b", "c")))
    with pytest.raises(UsageError, match="noise has no classes"):
        scorer(real=Noise(1)).by_class(Noise(2))


@part
class ForVoxels(Metric):
    """Nothing."""

    dimensions = (3,)
    gives = {"for_voxels": Output("V", "lower")}  # noqa: RUF012

    def values(self, real, generated, reference=None):
        return {"for_voxels": 0.0}


@part
class OfClasses(ForVoxels):
    """Nothing."""

    dimensions = (2,)
    needs = ("logits",)
    gives = {"of_classes": Output("C", "higher")}  # noqa: RUF012


def test_what_cannot_be_had_of_such_samples_is_refused_before_anything_is_looked_at():
    with pytest.raises(UsageError, match="for_voxels: is for voxels, not for pictures"):
        scorer((ForVoxels(),))
    with pytest.raises(UsageError, match="needs the 2015 Inception's 1008 classes, and pooled as it is here has 0"):
        scorer((OfClasses(),))


def test_samples_of_another_shape_are_refused_or_warned_of():
    with pytest.raises(UsageError, match="samples of"):
        scorer().score(Noise(2, shape=(1, 4, 4, 4)))
    with pytest.raises(UsageError, match="give --size"):
        scorer((Brightness(),), extractor=None).score(Noise(2, shape=(3, 4, 4)))
    (score,) = scorer().score(Noise(2, shape=(3, 16, 16)))
    assert any("resized" in warning for warning in score.warnings)


def test_too_few_samples_are_a_sentence():
    with pytest.raises(UsageError, match="needs 2 generated samples or more, and there are 1"):
        scorer().score(Noise(2, count=1))


class Clock:
    """A second for each sample that is looked at."""

    def __init__(self, extractor):
        self.extractor = extractor

    def __call__(self):
        return float(self.extractor.looked)


@pytest.mark.parametrize("seconds", [1000, 2000, 5000, 20_000])
def test_a_budget_picks_the_largest_count_that_fits(seconds):
    extractor = Pooled()
    n = budget.affordable(scorer(extractor=extractor, n=10_000), Noise(2), seconds, Clock(extractor))
    tried = 2 * 64  # a block of each side, which takes long
    assert n in budget.COUNTS
    assert 2 * n <= 0.8 * (seconds - tried)
    assert 2 * budget.COUNTS[budget.COUNTS.index(n) + 1] > 0.8 * (seconds - tried)


def test_a_budget_counts_real_features_in_the_cache_as_done(tmp_path):
    extracted(Noise(1), 1024, Pooled(), tmp_path)
    extractor = Pooled()
    n = budget.affordable(scorer(extractor=extractor, cache=tmp_path, n=10_000), Noise(2), 2000, Clock(extractor))
    assert n == 1000


def test_a_budget_picks_no_more_samples_than_there_are():
    extractor = Pooled()
    assert budget.affordable(scorer(extractor=extractor), Noise(2, count=70), 10_000, Clock(extractor)) == 70


def test_order_and_block_size_of_the_extraction_do_not_matter():
    whole = extracted(Noise(2), 100, Pooled()).features
    pieces = torch.cat([Pooled()(Noise(2).block(i, i + 7)).features for i in range(0, 98, 7)])
    assert torch.allclose(whole[:98], pieces, rtol=1e-6)


def test_told_has_a_field_in_every_passport():
    (score,) = scorer().score(Noise(2), Told())
    assert {field.name for field in dataclasses.fields(Told)} <= vars(score.passport).keys()


def test_jpeg_against_other_formats_is_warned_of(tmp_path):
    def stored(seed, **formats):
        made = dataset(tmp_path, seed=seed)
        return Stored(dataclasses.replace(made, report={**made.report, "formats": formats}))

    jpeg, png, unknown = stored(1, JPEG=52), stored(2, PNG=50, JPEG=2), Stored(dataset(tmp_path, seed=3))
    assert jpeg.jpeg == 1.0
    for generated, real, warned in (
        (jpeg, png, True),
        (png, jpeg, True),
        (jpeg, jpeg, False),
        (png, unknown, False),
        (jpeg, unknown, True),
        (Noise(4), jpeg, False),
    ):
        (score,) = scorer(real=real, n=40).score(generated)
        assert any("JPEG" in warning for warning in score.warnings) == warned
