"""The whole way from pictures to the number, against a number that other code has made (tests/goldens/make_fid.py)."""

import json
from pathlib import Path

import pytest

from gansaku.data.sources import open_data
from gansaku.evaluation.samples import Stored
from gansaku.evaluation.scorer import Scorer
from gansaku.extractors import registry
from gansaku.metrics import registry as metrics

GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "fid.json").read_text())


@pytest.mark.skipif(not registry.names()["inception-2015"], reason="the 2015 Inception's weights are not on this machine")
def test_fid_and_kid_of_256_pictures_against_256_are_what_the_published_network_and_scipy_say():
    avatars, n = open_data("avatars"), GOLDEN["n"]
    scorer = Scorer(
        metrics.find(("fid", "kid")), Stored(avatars, "train", 0, n), registry.find("inception-2015"), n, intervals=False
    )
    found = {score.name: score.value for score in scorer.score(Stored(avatars, "train", n, 2 * n))}
    assert found["FID@256"] == pytest.approx(GOLDEN["fid"], rel=1e-5)
    assert found["KID@256"] == pytest.approx(GOLDEN["kid"], abs=1e-6)
