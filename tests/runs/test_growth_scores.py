"""A checkpoint from a phase before the last one is scored at that phase's size, against data shrunk as they were trained on."""

import numpy as np
import pytest
import torch

import gansaku
from gansaku import api_trials
from gansaku.data.batches import shrink
from gansaku.data.sources import open_data
from gansaku.errors import UsageError
from gansaku.evaluation.samples import Stored
from gansaku.listener import Listener
from gansaku.runs import live, log, recorder, scoring, watchers
from gansaku.runs.live import Scoring
from gansaku.schedules import Level, Levels

GROWTH = Levels((Level(4, 0, 32, 8), Level(8, 16, 16, 8)))
SMALL = {
    **{f"{player}.network.widest": 4 for player in ("generator", "discriminator")},
    "latent.size": 8, "generator.network.latent": 8, "precision": "fp32", "growth": GROWTH, "length": GROWTH.length,
}  # fmt: skip
STOPS = (16, 48, 64)  # the first at 4, the others at 8
N = 40


class Said(Listener):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


def samples(dims):
    """Discs of one colour on another, (40, 8, 8, 3), or balls (40, 8, 8, 8)."""
    random = np.random.default_rng(0)
    places = np.meshgrid(*[np.linspace(0, 1, 8)] * dims, indexing="ij")
    inside = np.array([sum((place - random.random()) ** 2 for place in places) < 0.15 for _ in range(N)])
    return inside.astype(np.uint8) if dims == 3 else np.where(inside[..., None], [250, 90, 10], [0, 60, 99]).astype(np.uint8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same growth from 4 to 8 of pictures and of voxels, with a checkpoint at each stop."""
    folder, made = tmp_path_factory.mktemp("growth"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANSAKU_CACHE", str(folder / "cache"))
        patch.setattr(recorder, "KEPT", 99)
        patch.setattr(watchers, "SHEET", 2)
        for dims in (2, 3):
            np.save(folder / f"{dims}d.npy", samples(dims))
            quiet = {"scoring": Scoring(share=0), "signals_budget": 0.0}
            for stop in STOPS if dims == 2 else STOPS[::2]:
                data, run = str(folder / f"{dims}d.npy"), folder / f"run{dims}"
                made[dims] = gansaku.train("progressive", data, run, {**SMALL, "length": stop}, **quiet)
        yield made


def name_of(size, dims):
    return " × ".join([str(size)] * dims)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_small_checkpoint_scores_what_the_training_would_have_said_of_it(runs, dims):
    run, said = runs[dims], Said()
    (found,) = gansaku.evaluate(run.path, n=N, extractor=f"random-{dims}d", at=16, listener=said)
    watching = live.live(Scoring(n=N, share=1.0), run.recipe, Stored(open_data(str(run.path.parent / f"{dims}d.npy"))),
                         torch.device("cpu"))  # fmt: skip
    (meanwhile,) = watching.scores(gansaku.load(run.path, at=16).state())
    assert found.name == meanwhile.name == f"FD-random-{dims}d@{N} at {name_of(4, dims)}"
    assert found.passport.digest == meanwhile.passport.digest
    assert found.value == pytest.approx(meanwhile.value, rel=1e-9)
    assert not [warning for warning in found.warnings if "resized" in warning]
    assert f"run{dims} at 16 makes {name_of(4, dims)}: the data are shrunk to it, as in its training" in said.sentences
    assert (16, found.name) in [(seen, score.name) for seen, score in log.scores(run.folder.log)]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_perfect_generator_scores_nothing_at_each_phases_size_and_at_no_other(runs, dims, monkeypatch):
    whole = torch.from_numpy(samples(dims)).float()
    whole = whole.movedim(-1, 1) / 127.5 - 1 if dims == 2 else whole[:, None] * 2 - 1
    monkeypatch.setenv("GANSAKU_CACHE", str(runs[dims].path / f"perfect{dims}"))

    def perfect(net, recipe, which, seed, label, truncation, phase):
        return shrink(whole, phase.size)[list(which)]

    monkeypatch.setattr(scoring, "sample", perfect)
    asked = {"n": N, "extractor": f"random-{dims}d", "names": ["fid"]}
    small, full = (gansaku.evaluate(runs[dims].path, at=at, **asked)[0] for at in (16, 64))
    assert max(abs(small.value), abs(full.value)) < 5e-3
    assert (small.name.partition(" at ")[2], full.name.partition(" at ")[2]) == (name_of(4, dims), "")
    monkeypatch.setattr(scoring, "sample", lambda *a, phase, **k: shrink(whole, phase.size)[list(a[2])] ** 3)
    assert gansaku.evaluate(runs[dims].path, at=16, seed=1, **asked)[0].value > 10 * (small.value + 1e-3)


def test_checkpoints_of_two_sizes_are_scored_each_at_its_own_and_never_compared(runs):
    from gansaku.api_scores import differences

    both = [gansaku.load(runs[2].path, at=at) for at in (16, 64)]
    found = gansaku.evaluate(both, n=N, extractor="random-2d")
    assert [score.name.partition(" at ")[2] for score in found] == ["4 × 4", ""]
    with pytest.raises(UsageError, match="not comparable: settings"):
        differences(found)


def test_while_voxels_are_shares_only_what_needs_no_shapes_is_scored(runs):
    (found,) = gansaku.evaluate(runs[3].path, n=N, at=16, extractor="random-3d")
    assert (found.metric, found.passport.quantization) == ("fid", "none")
    with pytest.raises(UsageError, match=r"compares whole voxels, and run3 at 16 makes 4 × 4 × 4, .*; use fid"):
        gansaku.evaluate(runs[3].path, names=["mmd_cd"], n=N, at=16)
    with pytest.raises(UsageError, match="data are shares and no shapes"):
        api_trials.neighbours(runs[3].path, runs[3].path / "neighbours.png", at=16)


def test_only_checkpoints_of_the_newest_ones_size_are_ranked(runs):
    said = Said()
    ranking = api_trials.rank(runs[2].path, "random-2d", "random-2d", n=20, listener=said)
    assert [row.seen for row in ranking.rows] == [48, 64]
    assert "left out: run2 at 16, which makes 4 × 4" in said.sentences
