"""Scores while a training runs: they take their share of the time, keep the best checkpoint, and change nothing."""

import numpy as np
import pytest
import torch

import gansaku
from gansaku.contract import Phase
from gansaku.errors import Stopped, UsageError
from gansaku.extractors.random_convolution import RandomConvolution
from gansaku.listener import Listener
from gansaku.losses import Logistic
from gansaku.metrics.contract import Metric, Output
from gansaku.parts import part
from gansaku.runs import live, log, manifest, recorder
from gansaku.runs.live import Live, Scoring
from gansaku.runs.scoring import key_of
from gansaku.sampling import generate
from gansaku.training.state import tensors

SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 8, "length": 160, "precision": "fp32"}
OFTEN = Scoring(n=16, every=8, share=1.0)


@part
class Countdown(Metric):
    """Told values, one after the other; the first one is for the trial."""

    told: tuple[float, ...] = ()
    gives = {"countdown": Output("Countdown", "lower")}  # noqa: RUF012
    needs = ("samples",)
    calls = [0]  # noqa: RUF012

    def values(self, real, generated, reference=None):
        self.calls[0] += 1
        return {"countdown": float(self.told[min(self.calls[0], len(self.told)) - 1])}


@part
class Broken(Metric):
    """Fails."""

    gives = {"broken": Output("Broken", "lower")}  # noqa: RUF012

    def values(self, real, generated, reference=None):
        raise RuntimeError("no number today")


class Said(Listener):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "TRIAL", -1.0)
    random = np.random.default_rng(0)
    np.save(tmp_path / "pictures.npy", random.integers(0, 255, (40, 16, 16, 3), np.uint8))
    return str(tmp_path / "pictures.npy")


@pytest.fixture
def patient(monkeypatch):
    """Time never is too short."""
    monkeypatch.setattr(Live, "_allows", lambda self, seconds: True)


def train(data, run="run", scoring=OFTEN, **arguments):
    return gansaku.train("dcgan", data, run, SMALL, scoring=scoring, **arguments)


def test_the_final_weights_are_the_same_with_and_without_scores(data, patient):
    with_scores, without = train(data, "with"), train(data, "without", Scoring(share=0))
    assert len(log.scores(with_scores.folder.log)) > 5
    assert log.scores(without.folder.log) == []
    one, other = tensors(with_scores.state()), tensors(without.state())
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_every_score_in_the_log_has_its_passport(data, patient):
    found = log.scores(train(data).folder.log)
    for seen, score in found:
        assert (score.name, score.passport.seen) == ("FD-random-2d@16", seen)
        assert (score.passport.n_real, score.passport.extractor, score.passport.weights) == (16, "random-2d", "ema")
    assert [seen for seen, _ in found] == sorted({seen for seen, _ in found})


def test_the_log_says_what_share_of_the_time_the_scores_took(data, patient):
    shares = [value for _, value in train(data).curve("scores/share_of_time")]
    assert len(shares) > 5
    assert all(0 < value < 1 for value in shares)


def test_the_live_score_is_the_one_that_evaluate_gives(data, patient):
    run = train(data)
    seen, score = log.scores(run.folder.log)[-1]
    (again,) = gansaku.evaluate(run, data, ["fid"], 16, extractor="random-2d")
    assert again.value == score.value
    assert again.passport.digest == score.passport.digest
    assert seen == manifest.seen(manifest.at(run.folder.checkpoints, None))


def test_the_best_checkpoint_by_score_is_kept(data, patient, monkeypatch):
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0)
    Countdown.calls[0] = 0
    run = train(data, scoring=Scoring((Countdown((9.0, 5.0, 4.0, 1.0, 3.0, 2.0)),), n=16, every=8, share=1.0))
    (best,) = [seen for seen, score in log.scores(run.folder.log) if score.value == 1.0]
    kept = {manifest.seen(path): manifest.notes(path).scores for path in manifest.found(run.folder.checkpoints)}
    assert sorted(kept) == [best, 152, 160]
    assert [score.value for score in kept[best].values()] == [1.0]


def test_a_checkpoint_is_made_for_a_score_that_is_the_best_so_far(data, patient):
    Countdown.calls[0] = 0
    said = Said()
    metric = Countdown((9.0, 5.0, 1.0, 3.0))
    run = train(data, scoring=Scoring((metric,), n=16, every=64, share=1.0), listener=said)
    assert [manifest.seen(path) for path in manifest.found(run.folder.checkpoints)] == [128, 160]
    assert [s for s in said.sentences if s.startswith("after")] == [
        "after 64 samples: Countdown@16 5, the best so far",
        "after 128 samples: Countdown@16 1, the best so far",
        "after 160 samples: Countdown@16 3",
    ]
    (name,) = manifest.notes(manifest.place(run.folder.checkpoints, 128)).scores
    assert name == key_of(log.scores(run.folder.log)[0][1])


def test_a_metric_that_fails_never_stops_a_training(data, patient):
    said = Said()
    run = train(data, scoring=Scoring((Broken(),), n=16, every=8, share=1.0), listener=said)
    assert run.state().seen == 160
    assert any("no number today; training goes on" in sentence for sentence in said.sentences)
    assert log.scores(run.folder.log) == []


def test_an_extractor_that_fails_never_stops_a_training(data, patient, monkeypatch):
    def broken(self, samples):
        raise RuntimeError("no eyes today")

    monkeypatch.setattr(RandomConvolution, "__call__", broken)
    said = Said()
    assert train(data, listener=said).state().seen == 160
    assert any("no eyes today; training goes on" in sentence for sentence in said.sentences)


def test_two_runs_that_share_a_cache_have_scores_of_their_own(data, patient):
    one = train(data, "one")
    other = gansaku.train("dcgan", data, "other", {**SMALL, "seed": 1}, scoring=OFTEN)
    first, second = (dict(log.scores(run.folder.log)) for run in (one, other))
    assert first.keys() == second.keys()
    assert all(first[seen].value != second[seen].value for seen in first)
    (again,) = gansaku.evaluate(other, data, ["fid"], 16, extractor="random-2d")
    assert again.value == second[160].value


def test_a_number_that_is_none_is_no_score_and_no_best(data, patient):
    Countdown.calls[0] = 0
    said = Said()
    metric = Countdown((9.0, 5.0, float("nan"), 3.0))
    run = train(data, scoring=Scoring((metric,), n=16, every=64, share=1.0), listener=said)
    assert [score.value for _, score in log.scores(run.folder.log)] == [5.0, 3.0]
    assert any("countdown is nan" in sentence for sentence in said.sentences)


def test_a_generator_that_fails_to_sample_is_left_in_the_mode_it_was_in():
    class Failing(torch.nn.Module):
        def forward(self, z, labels, phase):
            raise RuntimeError("no")

    net = Failing().train()
    with pytest.raises(RuntimeError):
        generate(net, torch.zeros(64, 2), torch.zeros(64, dtype=torch.long), None)
    assert net.training


@pytest.mark.parametrize("wrong", [{"n": 1}, {"n": -4}, {"every": 0}])
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError):
        Scoring(**wrong)


def test_a_state_that_is_not_finite_is_not_scored_but_stops(data, patient, monkeypatch):
    whole = Logistic.discriminator
    monkeypatch.setattr(Logistic, "discriminator", lambda self, *arguments: whole(self, *arguments) * float("nan"))
    with pytest.raises(Stopped, match="is not finite"):
        gansaku.train("dcgan", data, "run", {**SMALL, "loss": "Logistic"}, scoring=OFTEN)
    assert log.scores(gansaku.load("run").folder.log) == []


def test_what_cannot_be_scored_is_refused_before_the_training_begins(data, tmp_path):
    with pytest.raises(UsageError, match="'fud' is no metric"):
        train(data, scoring=Scoring(("fud",)))
    with pytest.raises(UsageError, match="'inceptoin' is neither an extractor nor a file"):
        train(data, scoring=Scoring(extractor="inceptoin"))
    assert not (tmp_path / "run").exists()


class Ticking:
    """A clock that a fake scorer advances."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow(Live):
    """Scores cost 4 seconds, a cycle one."""

    def scores(self, state):
        self._clock.now += 4
        return []

    def _tried(self, state):
        self.cost = 4.0
        return []


class Sized:
    """A recipe whose samples always have the same size."""

    def phase(self, seen):
        return Phase((8, 8))


class Nobody:
    """A scorer that is never asked."""


class Stated:
    seen = 0


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_scores_take_no_more_than_their_share_of_the_time(share):
    clock, state = Ticking(), Stated()
    watch = Slow(Nobody(), Sized(), lambda before, after: True, share, clock=clock)
    watch.begin()
    watcher = watch.watcher(lambda state, make: make(), lambda: False)
    spent, scored = 0.0, 0
    for cycle in range(1, 400):
        clock.now += 1
        state.seen = cycle
        before = clock.now
        if watcher.due(cycle - 1, cycle):
            watcher.act(state, {})
        spent, scored = spent + clock.now - before, scored + (clock.now > before)
        assert spent <= share * clock.now + 1e-9
    assert scored > 0.8 * share * clock.now / 4


def test_a_moment_that_came_too_early_is_made_up_for_as_soon_as_there_is_time():
    clock, state = Ticking(), Stated()
    watch = Slow(Nobody(), Sized(), lambda before, after: before < 10 <= after, 0.1, clock=clock)
    watcher, seen = watch.watcher(lambda state, make: make(), lambda: False), []
    for cycle in range(1, 100):
        clock.now += 1
        state.seen = cycle
        before = clock.now
        if watcher.due(cycle - 1, cycle):
            watcher.act(state, {})
        if clock.now > before:
            seen.append(cycle)
    assert seen == [40]


def test_nobody_is_scored_when_the_training_is_to_stop():
    clock, state, made = Ticking(), Stated(), []
    watch = Slow(Nobody(), Sized(), lambda before, after: True, 1.0, clock=clock)
    watcher = watch.watcher(lambda state, make: made.append(state), lambda: True)
    clock.now = 100
    watcher.act(state, {})
    assert made == []


def test_a_score_in_the_making_is_given_up_when_the_training_is_to_stop(data, patient, monkeypatch):
    """A signal comes while samples are looked at: nobody waits for the rest, nothing is scored, nothing is said."""
    from gansaku.runs.interrupts import StopRequest

    said, looked = Said(), []
    whole = Live.scores

    def interrupted(self, state):
        monkeypatch.setattr(StopRequest, "__bool__", lambda self: True)
        looked.append(state.seen)
        return whole(self, state)

    monkeypatch.setattr(Live, "scores", interrupted)
    with pytest.raises(BaseException, match="interrupted after"):
        train(data, scoring=Scoring(n=16, every=64, share=1.0), listener=said)
    run = gansaku.load("run")
    assert looked == [64]
    assert log.scores(run.folder.log) == []
    assert not any("score" in sentence for sentence in said.sentences)
    assert manifest.seen(manifest.at(run.folder.checkpoints, None)) >= 64
