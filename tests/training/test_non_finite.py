"""Wherever a number goes bad, the next tick names it: the first bad tensor, the player and the turn."""

import math

import pytest
import torch

from gansaku.contract import Piece, Turn, Verdict
from gansaku.data.store import Facts
from gansaku.draws import Rows
from gansaku.errors import Stopped
from gansaku.latents import Gaussian
from gansaku.losses import Logistic
from gansaku.recipes.registry import find
from gansaku.schedules import EMA
from gansaku.terms import R1
from gansaku.training.by_hand import Trainer
from gansaku.training.sentinel import LOOKS, Look, Sentinel
from gansaku.training.state import begin, diagnosed, tensors
from gansaku.training.step import cycle

RECIPE = find("dcgan", Facts("pictures", (3, 16, 16), 40, ())).but(
    {
        "generator.network.width": 4,
        "discriminator.network.width": 4,
        "discriminator.network.norm": "none",
        "discriminator.terms": [{"weight": 0.1, "term": {"part": "R1"}}],
        "generator.ema": EMA(100),
        "batch": 4,
    }
)
TICK = 4  # cycles
CYCLE = 3  # during or after which the injection happens; its turns are 6 (discriminator) and 7 (generator)
VALUES = {"nan": math.nan, "inf": math.inf, "huge": 1e38}


def spoiled(x, value):
    """A copy with one bad element."""
    x = x.clone()
    x[(-1,) * x.ndim] = value
    return x


def batch(seen, phase):
    random = torch.Generator().manual_seed(seen)
    real = torch.rand(phase.batch, *RECIPE.shape, generator=random) * 2 - 1
    labels = torch.zeros(phase.batch, dtype=torch.long)
    return [Piece(Rows(0, phase.batch, phase.batch), real, labels, {"crop": torch.rand(phase.batch, generator=random)})]


class Injection:
    """Bad values at one site, in cycle CYCLE; gradients of fp16 in each cycle from there on."""

    def __init__(self, site, value, patch):
        self.site, self.value, self.patch, self.now = site, value, patch, False
        getattr(self, site)()

    def data(self, seen, phase):
        pieces = batch(seen, phase)
        if self.now and self.site == "input":
            pieces[0].real = spoiled(pieces[0].real, self.value)
        if self.now and self.site == "column":
            pieces[0].columns = {"crop": spoiled(pieces[0].columns["crop"], self.value)}
        return pieces

    def input(self): ...
    def column(self): ...
    def d_gradient(self): ...
    def g_gradient(self): ...
    def d_weight(self): ...
    def g_weight(self): ...
    def running_mean(self): ...
    def ema(self): ...
    def moment(self): ...

    def wrap(self, owner, name, player=None):
        """What a function returns, spoiled while the injection is on, in the turn of a player."""
        whole = getattr(owner, name)

        def wrapped(*arguments, **named):
            result = whole(*arguments, **named)
            return spoiled(result, self.value) if self.now else result

        self.patch.setattr(owner, name, wrapped)

    def latents(self):
        self.wrap(Gaussian, "sample")

    def d_loss(self):
        self.wrap(Logistic, "discriminator")

    def g_loss(self):
        self.wrap(Logistic, "generator")

    def penalty(self):
        self.wrap(R1, "__call__")

    def logits(self, purpose):
        judge = Turn.judge

        def judged(turn, x, labels, why):
            verdict = judge(turn, x, labels, why)
            hit = self.now and why == purpose and turn.player == "discriminator"
            return Verdict(spoiled(verdict.logits, self.value), *verdict[1:]) if hit else verdict

        self.patch.setattr(Turn, "judge", judged)

    def real_logits(self):
        self.logits("real0")

    def fake_logits(self):
        self.logits("fake0")

    def into(self, state):
        """What is set in the state itself, after the cycle."""
        places = {
            "d_weight": "net/discriminator/layers.1.weight",
            "g_weight": "net/generator/layers.1.weight",
            "running_mean": NORM,
            "ema": "ema/generator/layers.1.weight",
            "moment": "optimizer/generator/layers.1.weight/exp_avg",
        }
        if self.site in places:
            with torch.no_grad():
                held = tensors(state)[self.name(places[self.site], state)]
                held[(0,) * held.ndim] = self.value

    @staticmethod
    def name(wanted, state):
        """The state's own name for it: networks number their layers as they like."""
        if wanted is NORM:
            return next(name for name in tensors(state) if name.startswith("net/generator/") and name.endswith("running_mean"))
        head, tail = wanted.split("layers.1.weight")
        return next(
            n for n in tensors(state) if n.startswith(head) and n.endswith("weight" + tail) and tensors(state)[n].ndim == 4
        )


NORM = "the first running mean"
EXPECTED = {
    "input": ("real samples", 6),
    "column": ("column crop", 6),
    "latents": ("latents", 6),
    "real_logits": ("discriminator/logits on real samples", 6),
    "fake_logits": ("discriminator/logits on generated samples", 6),
    "d_loss": ("discriminator/adversarial", 6),
    "g_loss": ("generator/adversarial", 7),
    "penalty": ("discriminator/r1", 6),
    "d_gradient": ("discriminator/gradient of ", 6),
    "g_gradient": ("generator/gradient of ", 7),
    "d_weight": ("net/discriminator/", 8),
    "g_weight": ("net/generator/", 8),
    "running_mean": ("net/generator/", 8),
    "ema": ("ema/generator/", 8),
    "moment": ("optimizer/generator/", 8),
}


def found_at_the_next_tick(site, value, precision, monkeypatch, cycles=2 * TICK):
    recipe = RECIPE.but(precision=precision)
    state, injection = begin(recipe), Injection(site, value, monkeypatch)
    hooked = {"d_gradient": "discriminator", "g_gradient": "generator"}.get(site)
    if hooked is not None:
        weight = next(p for p in state.trained[hooked].values() if p.ndim == 4)
        weight.register_hook(lambda g: spoiled(g, value) if injection.now else g)
    lasting = hooked is not None and precision == "fp16"
    for i in range(cycles):
        injection.now = i >= CYCLE if lasting else i == CYCLE
        cycle(state, recipe, injection.data)
        if i == CYCLE:
            injection.into(state)
        if (i + 1) % TICK == 0:
            found = diagnosed(state)
            if found is not None:
                return found, i
            assert i < CYCLE or lasting, "the tick after the injection said nothing"
    raise AssertionError("nobody said anything")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("site", EXPECTED)
def test_a_bad_number_is_found_by_the_next_tick_and_named_right(site, kind, precision, monkeypatch):
    name, turn = EXPECTED[site]
    lasting = "gradient" in site and precision == "fp16" and kind != "huge"
    found, _ = found_at_the_next_tick(site, VALUES[kind], precision, monkeypatch, 40 if lasting else 2 * TICK)
    assert found.name.startswith(name)
    assert ("running_mean" in found.name) == (site == "running_mean")
    assert ("exp_avg" in found.name) == (site == "moment")
    if lasting:
        assert found.turn == turn + 2 * 16, "an overflow is an alarm when the loss scale has come down to 1, and not before"
    elif site in ("running_mean", "ema"):
        assert found.turn >= turn, "no turn is touched by it: found where the tick looked"
    elif site == "moment":
        assert turn <= found.turn <= turn + 2, "the first turn that steps with it, or the next that sees its weight"
    else:
        assert found.turn == turn
    assert found.sentence().startswith(f"is not finite at turn {found.turn:,}, the {found.player}'s, after ")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_sound_training_is_never_blamed(precision):
    recipe = RECIPE.but(precision=precision)
    state = begin(recipe)
    for _ in range(6):
        cycle(state, recipe, batch)
        assert diagnosed(state) is None


def test_an_overflow_of_fp16_halves_the_scale_skips_the_step_and_is_no_alarm():
    recipe = RECIPE.but(precision="fp16")
    state = begin(recipe)
    state.memory["loss_scale/generator"].fill_(2.0**40)
    before = {name: value.clone() for name, value in tensors(state).items() if name.startswith("net/generator")}
    signals = cycle(state, recipe, batch)
    assert signals["generator/skipped"] == 1
    assert state.memory["loss_scale/generator"] == 2.0**39
    assert diagnosed(state) is None
    weights = [name for name in before if name.removeprefix("net/generator/") in state.trained["generator"]]
    assert weights
    assert all(torch.equal(before[name], tensors(state)[name]) for name in weights)


def test_fp16_trains_as_fp32_does_but_for_its_rounding():
    losses = {}
    for precision in ("fp32", "fp16"):
        recipe = RECIPE.but(precision=precision)
        state = begin(recipe)
        losses[precision] = [cycle(state, recipe, batch)["discriminator/loss/adversarial"].item() for _ in range(5)]
    assert losses["fp16"] == pytest.approx(losses["fp32"], rel=2e-2)


@pytest.mark.parametrize("fast", ["all", "none"])
def test_nothing_that_is_trained_moves_after_a_bad_number(fast, monkeypatch):
    recipe = RECIPE.but(fast=fast)
    state, injection = begin(recipe), Injection("d_loss", math.nan, monkeypatch)
    for i in range(5):
        injection.now = i == 2
        if i == 2:
            before = {name: p.detach().clone() for name, p in state.trained["discriminator"].items()}
        cycle(state, recipe, injection.data)
    assert all(torch.equal(before[name], p) for name, p in state.trained["discriminator"].items())


def test_the_sentinel_keeps_the_first_bad_look_however_many_follow():
    sentinel = Sentinel()
    for turn in range(LOOKS + 50):
        sentinel.look(Look("generator", turn, turn, ("a", "/b"), torch.tensor([1.0, math.nan if turn >= 20 else 1.0])))
    found, given = sentinel.read()
    assert (found.name, found.turn, given) == ("generator/b", 20, False)


def test_the_sentinel_forgets_good_looks():
    sentinel = Sentinel()
    for turn in range(3 * LOOKS):
        sentinel.look(Look("generator", turn, turn, ("a",), torch.tensor([1.0])))
    assert len(sentinel._looks) <= LOOKS
    assert sentinel.read() is None
    assert sentinel._looks == []


def test_a_loop_by_hand_is_told_at_once():
    trainer = Trainer(RECIPE)
    real = torch.zeros(4, *RECIPE.shape)
    trainer.train_on_batch(real)
    with pytest.raises(Stopped, match=r"^real samples: is not finite at turn 2, the discriminator's"):
        trainer.train_on_batch(spoiled(real, math.nan))
