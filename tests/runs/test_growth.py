"""A growing run: its phases are looked at when they end, one that does harm is seen at once, and it continues exactly."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from fixtures import growth as tiny
from fixtures.tiny import data as toys
from gansaku.contract import Rate
from gansaku.data.batches import shrink
from gansaku.data.sources import open_data
from gansaku.errors import Stopped, UsageError
from gansaku.evaluation.samples import Samples, Stored
from gansaku.listener import Listener
from gansaku.metrics.passport import Passport, Score
from gansaku.parts import part
from gansaku.runs import live, log, recorder, trial, watchers
from gansaku.runs.live import Scoring
from gansaku.runs.phase_ends import PhaseEnds
from gansaku.runs.phase_samples import Made, Shrunk
from gansaku.runs.phase_verdicts import Found, judged, of_phases
from gansaku.runs.phases import Span, spans
from gansaku.schedules import Doubling, Level, Levels
from gansaku.training.state import begin, tensors
from gansaku.training.step import cycle, rate

GROWTH = Levels((Level(4, 0, 240, 8), Level(8, 80, 240, 8), Level(16, 80, 160, 8)))
NARROW = {f"{player}.network.widest": 4 for player in ("generator", "discriminator")}
SMALL = {**NARROW, "latent.size": 8, "generator.network.latent": 8, "precision": "fp32", "growth": GROWTH,
         "length": GROWTH.length}  # fmt: skip
ENDS = [240, 560, 800]
SHORT = Levels((Level(4, 0, 160, 8), Level(8, 40, 80, 8), Level(16, 40, 40, 8)))
FEW = {"growth": SHORT, "length": SHORT.length}
SCORED = Scoring(n=60, share=1.0)
UNSCORED = {"scoring": Scoring(share=0), "signals_budget": 0.0}


@part
class Leap(Rate):
    """A rate that is a thousand times as high from some moment on: no growth survives it."""

    when: int

    def at(self, seen, length):
        return 1000.0 if seen > self.when else 1.0


class Said(Listener):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


def blobs(n=80, side=16, dims=2):
    """Discs of one colour on another, or balls: what a narrow network learns the colours of in a few steps."""
    random = np.random.default_rng(0)
    places = np.meshgrid(*[np.linspace(0, 1, side)] * dims, indexing="ij")
    inside = [sum((place - random.random()) ** 2 for place in places) < 0.15 for _ in range(n)]
    if dims == 3:
        return np.array(inside, np.uint8)
    colours = random.integers(0, 100, (n, 2, 3))
    colours[:, 1] += 150
    return np.array([pair[where.astype(int)] for pair, where in zip(colours, inside, strict=True)], np.uint8)


@pytest.fixture(scope="module", autouse=True)
def small_sheets():
    """Sixty-four voxel grids take seconds to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchers, "SHEET", 4)
        yield


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "TRIAL", 1e9)  # no scores but those of the phases
    np.save(tmp_path / "blobs.npy", blobs())
    return str(tmp_path / "blobs.npy")


def train(data, run="run", settings=None, **arguments):
    return gansaku.train("progressive-article", data, run, {**SMALL, **(settings or {})}, **{"scoring": SCORED, **arguments})


def broken_from(seen):
    return {"generator.rate": Leap(seen)}


def told(run, *kinds):
    return [(event.seen, event.sentence) for event in log.events(run.folder.log) if event.kind in kinds]


class TestTheGate:
    def test_is_quiet_while_all_is_well_and_tells_of_each_phase(self, data):
        run = train(data)
        assert told(run, "alarm") == []
        assert [seen for seen, _ in told(run, "phase")] == ENDS
        sentences = [sentence for _, sentence in told(run, "phase")]
        assert re.match(r"4 × 4 ends after 240 samples with FD-random-2d@60 at 4 × 4 [\d.]+ \[[\d.]+, [\d.]+\]$", sentences[0])
        assert re.search(r"16 × 16 ends .* FD-random-2d@60 [\d.]+ .*; FD-random-2d@60 at 8 × 8 .* when shrunk, ", sentences[2])
        assert re.search(r": (better|no worse) than 8 × 8$", sentences[2])
        scored = [(seen, score.name.partition(" at ")[2], score.passport.settings.get("size")) for seen, score in
                  log.scores(run.folder.log)]  # fmt: skip
        assert scored == [(240, "4 × 4", [4, 4]), (560, "8 × 8", [8, 8]), (560, "4 × 4", [4, 4]), (800, "", None),
                          (800, "8 × 8", [8, 8])]  # fmt: skip
        sheets = {path.name: Image.open(path) for path in (run.path / "phases").iterdir()}
        assert sorted(sheets) == ["16x16.png", "4x4.png", "8x8.png"]
        for name, sheet in sheets.items():
            times = 128 // int(name.partition("x")[0])
            tile = np.asarray(sheet)[2 : 2 + 128, 2 : 2 + 128]
            assert np.array_equal(tile, tile[::times, ::times].repeat(times, 0).repeat(times, 1)), "pixels stay pixels"

    def test_warns_of_a_phase_that_does_harm_when_it_ends_and_not_before(self, data):
        said = Said()
        run = train(data, settings={**FEW, **broken_from(280)}, listener=said)
        ((seen, sentence),) = told(run, "alarm")
        assert seen == 360
        assert sentence in said.sentences
        harm = r"at 8 × 8 [\d.]+ \[.*\] when shrunk, [\d.]+ \[.*\] a phase before: worse than 8 × 8; a larger batch"
        assert re.search(harm, sentence)
        assert run.state().seen == 360

    def test_stops_with_code_4_at_once_and_the_same_command_goes_on(self, data):
        with pytest.raises(Stopped, match=r"8 × 8 ends .*: worse than 4 × 4; .* \[GROWTH_GATE\]") as caught:
            train(data, settings={**FEW, **broken_from(160)}, scoring=replace(SCORED, growth_gate="stop"))
        assert caught.value.exit_code == 4
        stopped = gansaku.load("run")
        assert stopped.state().seen == 280
        assert told(stopped, "stopped")[0][0] == 280
        assert train(data, settings={**FEW, **broken_from(160)}).state().seen == 360
        assert [seen for seen, _ in told(stopped, "alarm", "phase")] == [160, 280, 360], "nothing is looked at twice"

    def test_lengthens_a_phase_by_its_own_length_twice_and_not_more(self, data):
        settings = {**FEW, **broken_from(160)}
        run = train(data, settings=settings, scoring=replace(SCORED, growth_gate="extend"))
        assert [level.added for level in gansaku.load("run").recipe.growth.levels] == [0, 160, 0]
        told_at = told(run, "alarm")
        assert [seen for seen, _ in told_at] == [280, 360, 440]
        assert [sentence.rpartition("; ")[2] for _, sentence in told_at] == [
            "it goes on for another 80 samples", "it goes on for another 80 samples", "it was lengthened 2 times already",
        ]  # fmt: skip
        assert run.recipe == gansaku.load("run").recipe
        assert [seen for seen, _ in told(run, "phase")] == [160, 520], "as bad as the one before is not worse"
        assert run.state().seen == run.recipe.length == SHORT.length + 160

    def test_a_lengthened_run_that_is_killed_ends_with_the_same_bits(self, data, monkeypatch):
        """Killed in a fade, and in the middle of what the gate added."""
        monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0.0)
        how = {"scoring": replace(SCORED, growth_gate="extend"), "signals_budget": 0.0}
        settings = {**FEW, **broken_from(160)}
        whole = train(data, "whole", settings, **how)

        class Killer(Listener):
            def __init__(self, at):
                self.at = at

            def tick(self, seen, length, numbers):
                if seen == self.at:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(data, "killed", settings, **how, listener=Killer(192))
        with pytest.raises(KeyboardInterrupt):
            gansaku.train(data=data, run="killed", **how, listener=Killer(400))
        killed = gansaku.train(data=data, run="killed", **how)
        assert killed.recipe == whole.recipe
        assert_same(killed, whole)

    def test_the_same_command_goes_on_with_what_the_gate_has_added(self, data):
        arguments = {"settings": {**FEW, **broken_from(160)}, "scoring": replace(SCORED, growth_gate="extend")}
        run = train(data, **arguments)
        assert train(data, **arguments).recipe == run.recipe
        longer = arguments["settings"] | {"length": SHORT.length + 40}
        assert train(data, **{**arguments, "settings": longer}).state().seen == run.recipe.length + 40

    @pytest.mark.parametrize("alarm", [None, "empty: 100% of the samples"])
    def test_a_phase_that_ended_with_the_last_start_is_looked_at_by_the_next_one(self, data, monkeypatch, alarm):
        """Also where an alarm about the samples fell on the same moment."""

        def stopped(self, state, span):
            if alarm:
                self._recorder.event(state.seen, "alarm", alarm)

        with monkeypatch.context() as blind:
            blind.setattr(PhaseEnds, "_look", stopped)
            train(data, settings={**FEW, "length": 160})
        assert told(gansaku.load("run"), "phase") == []
        run = train(data, settings={**FEW, "length": 280})
        assert [seen for seen, _ in told(run, "phase")] == [160, 280]

    @pytest.mark.parametrize(
        ("recipe", "settings", "gate", "says"),
        [
            ("dcgan", {}, "warn", "warn looks at phases, and dcgan does not grow"),
            ("progressive-article", {**SMALL, "growth": Doubling(4, 80, 80)}, "extend", "which Doubling has not; use Levels"),
        ],
    )
    def test_is_refused_where_there_is_nothing_to_look_at(self, data, recipe, settings, gate, says):
        with pytest.raises(UsageError, match=says):
            gansaku.train(recipe, data, "run", settings, scoring=replace(SCORED, growth_gate=gate))

    def test_is_refused_where_it_is_unknown_or_nothing_may_be_scored(self):
        with pytest.raises(UsageError, match="'halt' is no gate; use warn, stop, extend"):
            Scoring(growth_gate="halt")
        with pytest.raises(UsageError, match="stop needs scores"):
            Scoring(growth_gate="stop", share=0)


def assert_same(run, other):
    found, wanted = tensors(run.state()), tensors(other.state())
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def score(value, reach, better="lower", **passport):
    interval = None if reach is None else (value - reach, value + reach)
    return Score("FD", value, interval, better, Passport("fid", 60, 60, "data", "train", **passport))


class TestTheVerdict:
    @pytest.mark.parametrize(
        ("before", "after", "word"),
        [
            (score(10, 1), score(10, 1), "no worse"),
            (score(10, 1), score(7, 1), "better"),
            (score(10, 1), score(9, 1), "no worse"),  # nobody can tell
            (score(10, 1), score(15, 1), "worse"),
            (score(10, 0.1), score(12, 0.1), "no worse"),  # surely, but not much
            (score(10, 0.1), score(12.6, 0.1), "worse"),
            (score(10, 4), score(15, 4), "no worse"),  # much, but not surely
            (score(0.0, 0.01), score(0.2, 0.01), "worse"),
            (score(0.0, 0), score(0.0, 0), "no worse"),
            (score(5, 0.1, "higher"), score(3, 0.1, "higher"), "worse"),
            (score(5, 0.1, "higher"), score(7, 0.1, "higher"), "better"),
        ],
    )
    def test_needs_both_a_sure_and_a_large_change(self, before, after, word):
        assert judged(before, after).word == word

    def test_there_is_none_of_unlike_scores(self):
        span = Span(0, 1, (4, 4), False, 1, 1)
        found = Found(span, None, score(1, 0.1), score(9, 0.1, extractor="another"))
        assert found.verdict is None
        assert Found(span, None, None, score(9, 0.1)).verdict is None

    def test_belongs_to_the_scores_of_the_phases_ends(self):
        """The others have no interval, and those of an end that was put off came too early."""
        at = [score(float(i), 0.1, settings={"size": [4, 4]} if i % 2 == 0 else {}) for i in range(6)]
        plan = [Span(0, 10, (4, 4), False, 1, 1), Span(10, 20, (8, 8), True, 1, 1), Span(20, 30, (8, 8), False, 1, 1)]
        live = [(10, replace(at[4], interval=None)), (30, replace(at[3], interval=None))]
        first, second = of_phases(plan, [(5, at[4]), *live, (10, at[0]), (30, at[1]), (30, at[2])])
        assert (first.own, first.before, first.after) == (at[0], None, None)
        assert (second.own, second.before, second.after, second.last) == (at[1], at[0], at[2], plan[0])


class Given(Samples):
    """Some samples as they are stored."""

    name, identity, classes = "given", {"data": "given"}, ()

    def __init__(self, stored):
        self.stored, self.shape, self.count = stored, tuple(stored.shape[1:]), len(stored)

    def block(self, start, stop):
        return self.stored[start:stop]

    def labels(self, start, stop):
        return None


@pytest.mark.parametrize("shape", [(3, 8, 16), (1, 4, 8, 8)], ids=str)
def test_what_a_perfect_generator_makes_is_shrunk_to_what_the_data_are_shrunk_to(shape):
    top = 256 if len(shape) == 3 else 2
    stored = torch.from_numpy(np.random.default_rng(0).integers(0, top, (6, *shape), np.uint8))
    size = tuple(side // 2 for side in shape[1:])
    made = Made("made", {}, (shape[0], *size), lambda which: (stored.float() / (top - 1) * 2 - 1)[list(which)])
    wanted = Shrunk(Given(stored), size)
    assert wanted.shape == made.shape
    assert torch.allclose(made.block(1, 5).float(), wanted.block(1, 5).float(), atol=1.0 if top == 256 else 1e-6)
    exact = shrink(stored.float(), size)
    assert torch.equal(wanted.block(0, 6).float(), exact.round() if top == 256 else exact)


def test_a_perfect_generator_scores_next_to_nothing_at_every_size(data, monkeypatch):
    """Its own size or a smaller one, while it grows and when a phase ends: like is compared with like."""
    pictures = torch.from_numpy(blobs()).movedim(-1, 1) / 127.5 - 1
    monkeypatch.setattr(live, "sample", lambda net, recipe, which, phase: shrink(pictures, phase.size)[list(which)])
    recipe = gansaku.get_recipe("progressive-article", (3, 16, 16), 80).but(SMALL)
    state, watching = begin(recipe), live.live(Scoring(n=80, share=1.0), recipe, Stored(open_data(data)), torch.device("cpu"))
    for state.seen, sides in ((0, (4,)), (400, (4, 8)), (700, (4, 8, 16))):
        (found,) = watching.scores(state)
        ends = [watching.at_end(state, recipe.phase(state.seen), (side, side)) for side in sides]
        assert max(one.value for one in (found, *ends)) < 0.05
        assert (found.name, found.passport.digest) == (ends[-1].name, ends[-1].passport.digest)
        assert [one.name.partition(" at ")[2] for one in ends] == [f"{side} × {side}" if side < 16 else "" for side in sides]


GROW_3D = {**SMALL, "growth": Levels((Level(4, 0, 64, 8), Level(8, 64, 64, 8))), "length": 192}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same growth from 4 to 8, undisturbed, of pictures and of voxels."""
    place, made = tmp_path_factory.mktemp("whole"), {}
    for dims in (2, 3):
        np.save(place / f"{dims}d.npy", blobs(40, 8, dims))
        made[dims] = gansaku.train("progressive", str(place / f"{dims}d.npy"), place / f"whole-{dims}", GROW_3D, **UNSCORED)
    return place, made


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("stop", [64, 96])
def test_stopped_at_a_change_of_size_or_in_a_fade_it_ends_with_the_same_bits(whole, dims, stop):
    """After 64 samples the next batch is the first of 8 px, with new optimizers; after 96 it is half faded in."""
    place, made = whole
    run, source = place / f"stopped-{dims}-{stop}", str(place / f"{dims}d.npy")
    stopped = gansaku.train("progressive", source, run, {**GROW_3D, "length": stop}, **UNSCORED).state()
    assert (stopped.seen, min(stopped.size)) == (stop, 4 if stop == 64 else 8)
    assert_same(gansaku.train("progressive", source, run, GROW_3D, **UNSCORED), made[dims])


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8)], ids=str)
def test_micro_batches_make_up_each_levels_own_batch(shape):
    """8 as 3 + 3 + 2 at half size, 4 as 3 + 1 at full size; with plain gradient descent in fp64 nothing else differs."""
    half = min(shape[1:]) // 2
    rows = Levels((Level(half, 0, 16, 8), Level(2 * half, 8, 8, 4)))
    recipe = tiny.recipe(shape).but({"growth": rows, "length": 32, "generator.ema": None})
    recipe = recipe.but({f"{p}.{k}": v for p in recipe.players for k, v in (("optimizer", "SGD"), ("lr", 0.005))})
    micro = recipe.but(micro=3)
    source = toys(micro, torch.float64)
    assert [[len(piece.real) for piece in source(seen, micro.phase(seen))] for seen in (0, 16, 28)] == [
        [3, 3, 2],
        [3, 1],
        [3, 1],
    ]
    ends = []
    for setting in (recipe, micro):
        state = begin(setting, dtype=torch.float64)
        while state.seen < setting.length:
            cycle(state, setting, toys(setting, torch.float64))
        ends.append(tensors(state))
    gaps = [(ends[0][name] - ends[1][name]).abs().max().item() for name in ends[0] if name.startswith("net/")]
    assert max(gaps) < 1e-12


def test_a_dry_run_measures_each_phase_by_itself_and_a_start_says_where_it_stands(data):
    said = Said()
    train(data, settings=FEW, dry_run=True, listener=said)
    lines = [re.split(r"\s{2,}", line.strip()) for line in said.sentences if " × " in line]
    assert [line[:5] for line in lines] == [
        ["4 × 4", "–", "160", "8", "0.001"], ["8 × 8", "40", "80", "8", "0.001"], ["16 × 16", "40", "40", "8", "0.001"],
    ]  # fmt: skip
    assert all(re.fullmatch(r"(\d+ s \+ )?\d+ s", line[5]) and re.fullmatch(r"[\d.]+ [MG]B", line[6]) for line in lines)
    assert len([line for line in said.sentences if line.startswith("time: about ")]) == 1
    said = Said()
    train(data, settings={**FEW, "length": 176}, listener=said)
    train(data, settings={**FEW, "length": 184}, listener=said)
    assert [line.partition("←")[2] for line in said.sentences if "←" in line] == [
        " stable, 0 samples",
        " fading in, 16 samples",
    ]


def test_a_trial_has_looked_at_every_phase_and_adds_them_up(monkeypatch):
    recipe = tiny.recipe()
    moments = []
    monkeypatch.setattr(trial, "cycle", lambda state, recipe, data: moments.append(state.seen))
    found = trial.trial(recipe, begin(recipe), toys(recipe))
    assert list(found.phases) == spans(recipe)
    assert sorted(set(moments)) == [16, 44, 108], "in the middle of 0 to 32, of 32 to 56, and of 56 to 160"
    assert found.seconds == sum(cost.seconds for cost in found.phases.values()) > 0
    assert all(0 < cost.memory <= found.memory for cost in found.phases.values())


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8)], ids=str)
def test_each_level_has_its_own_learning_rate_and_the_log_says_so(shape):
    half = min(shape[1:]) // 2
    plain = tiny.recipe(shape).but(growth=Levels((Level(half, 0, 16, 8), Level(2 * half, 8, 8, 8))), length=32)
    plain = plain.but({f"{p}.{k}": v for p in plain.players for k, v in (("optimizer", "SGD"), ("lr", 0.005), ("ema", None))})
    slower = plain.but({"growth.levels.1.rate": 0.5})
    moved, rates = [], []
    for recipe in (plain, slower):
        state = begin(recipe, dtype=torch.float64)
        for _ in range(2):
            cycle(state, recipe, toys(recipe, torch.float64))
        rates.append(rate(state, recipe, recipe.discriminator))
        before = {name: value.clone() for name, value in tensors(state).items() if name.startswith("net/discriminator/")}
        cycle(state, recipe, toys(recipe, torch.float64))
        rates.append(rate(state, recipe, recipe.discriminator))
        moved.append({name: tensors(state)[name] - value for name, value in before.items()})
    assert rates == [0.005, 0.005, 0.005, 0.0025], "the last batch of a size is that size's"
    assert max(change.abs().max() for change in moved[0].values()) > 1e-5
    assert all(torch.allclose(0.5 * change, moved[1][name], rtol=1e-9, atol=1e-12) for name, change in moved[0].items())


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 16, 8)], ids=str)
def test_the_papers_pair_takes_micro_batches_of_whole_groups(shape):
    """Groups are formed within a micro-batch: where D does not look at their deviation, its gradient is the whole batch's."""
    recipe = gansaku.get_recipe("progressive", shape, 100).but(NARROW).but(
        {"generator.ema": None, "precision": "fp32", "growth": Levels((Level(4, 0, 16, 16), Level(8, 8, 8, 8))), "batch": 8,
         "length": 32, "latent.size": 5, "generator.network.latent": 5, "discriminator.optimizer": "SGD"}
    )  # fmt: skip
    for micro in (2, 6):
        with pytest.raises(gansaku.GansakuError, match=r"looks at groups of 4, .* set micro=a multiple of 4, or none"):
            recipe.but(micro=micro)
    for seen in (0, 16):
        found = []
        for setting in (recipe, recipe.but(micro=4)):
            state = begin(setting, dtype=torch.float64)
            state.seen = seen
            last = state.nets["discriminator"].last.weight
            last.data[:, -1] = 0
            cycle(state, setting, toys(setting, torch.float64))
            last.data[:, -1] = 0
            found.append(tensors(state))
        names = [name for name in found[0] if name.startswith("net/discriminator/")]
        assert max((found[0][name] - found[1][name]).abs().max().item() for name in names) < 1e-12


def test_micro_batches_are_refused_where_a_small_size_has_a_larger_batch():
    recipe = gansaku.get_recipe("progressive", (3, 8, 8), 100).but({"discriminator.network.group": 0, "batch": 4})
    with pytest.raises(gansaku.GansakuError, match="looks at the whole batch"):
        recipe.but({"growth.levels.0.batch": 16, "growth.levels.1.batch": 4, "micro": 4})
