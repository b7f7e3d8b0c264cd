"""Real samples and fakes in one batch of D's, or apart: the same but for what looks across a batch."""

import pytest
import torch

from fixtures.tiny import BATCH, LATENT, copies, data
from gansaku.augment import Noise
from gansaku.contract import Player
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.methods.adversarial import Adversarial
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.parts import part
from gansaku.recipe import Recipe
from gansaku.training.state import begin, counts, restore
from gansaku.training.step import cycle

torch.set_num_threads(1)

both = pytest.mark.parametrize("shape", [(3, 16, 24), (1, 16, 16, 16)], ids=["2d", "3d"])
TURNS: list = []


@part
class Kept(Adversarial):
    """Keeps its turns."""

    def losses(self, turn):
        losses = super().losses(turn)
        TURNS.append(turn)
        return losses


def recipe(shape, batches="together", norm="batch", **settings):
    generator = DCGANGenerator(shape, LATENT, width=2)
    discriminator = DCGANDiscriminator(shape, width=2, norm=norm, init="he")
    return Recipe(
        shape, Player(generator, Adam(), 1e-3), Player(discriminator, Adam(), 1e-3), 4000, method=Kept(batches=batches),
        latent=Gaussian(LATENT), batch=BATCH, **settings,
    )  # fmt: skip


def normalized(x, layer):
    """Batch norm by its formula, over all samples and places."""
    axes = [0, *range(2, x.ndim)]
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (x - mean) / (variance + layer.eps).sqrt() * layer.weight.view(shape) + layer.bias.view(shape)


def judged_slowly(net, x):
    """D of a whole batch, with batch norm written out."""
    for block in net.layers:
        for layer in block:
            x = normalized(x, layer) if hasattr(layer, "running_mean") else layer(x)
    return net.last(x).flatten(1)


def first_turns(made):
    TURNS.clear()
    state, source = begin(made, dtype=torch.float64), data(made, torch.float64)
    net = begin(made, dtype=torch.float64).nets["discriminator"]  # as it was
    signals = cycle(state, made, source)
    return TURNS[0], TURNS[1], net, state, signals


@both
def test_together_both_kinds_share_mean_and_deviation_and_apart_each_has_its_own(shape):
    for batches in ("together", "apart"):
        turn, _, net, _, _ = first_turns(recipe(shape, batches))
        real, fake = turn.real, turn.fake()
        if batches == "together":
            wanted = judged_slowly(net, torch.cat([real, fake])).split(BATCH)
        else:
            wanted = judged_slowly(net, real), judged_slowly(net, fake)
        for which, logits in zip(("real", "fake"), wanted, strict=True):
            torch.testing.assert_close(turn.logits(which), logits, rtol=1e-9, atol=1e-11)


@both
def test_together_is_one_pass_in_ds_turn_and_the_fakes_alone_in_gs(shape):
    passes = {}
    for batches in ("together", "apart"):
        _, second, _, state, _ = first_turns(recipe(shape, batches))
        assert ("real", 0) not in second.verdicts
        passes[batches] = int(state.nets["discriminator"].layers[1][1].num_batches_tracked)
    assert passes == {"together": 2, "apart": 3}


@both
def test_what_is_recorded_is_what_the_step_saw(shape):
    turn, _, _, _, signals = first_turns(recipe(shape))
    for which in ("real", "fake"):
        assert signals[f"discriminator/{which}"].item() == pytest.approx(turn.logits(which).mean().item(), rel=1e-12)


def test_real_samples_and_fakes_pass_the_augmentation_with_the_numbers_that_they_have_apart():
    turn, _, net, _, _ = first_turns(recipe((3, 16, 24), augment=Noise(0.3)))
    noise = turn.recipe.augment
    given = torch.cat([noise(turn.real, turn, "real0"), noise(turn.fake(), turn, "fake0")])
    torch.testing.assert_close(torch.cat([turn.logits("real"), turn.logits("fake")]), judged_slowly(net, given))
    assert not torch.equal(given[:BATCH], turn.real)


def test_signals_that_are_asked_for_without_losses_meet_together_too_and_what_is_known_stays():
    """As signals of health ask, of a fresh batch and then of held-out samples beside the same fakes."""
    turn, _, net, _, _ = first_turns(recipe((3, 16, 24)))
    wanted = judged_slowly(net, torch.cat([turn.real, turn.fake()]))[:BATCH].mean(1)
    before = turn.verdicts["fake", 0]
    for known in ({}, {("fake", 0): before}):
        turn.nets["discriminator"].load_state_dict(net.state_dict())
        turn.verdicts.clear()
        turn.verdicts.update(known)
        torch.testing.assert_close(turn.recipe.method.signals(turn)["real"], wanted)
        assert (turn.verdicts["fake", 0] is before) == bool(known)


def test_a_discriminator_that_judges_each_sample_by_itself_refuses_it():
    with pytest.raises(RecipeError, match=r"method\.batches: together would change nothing: this discriminator judges each"):
        recipe((3, 16, 24), norm="instance")
    assert recipe((3, 16, 24), batches="apart", norm="instance").method.batches == "apart"


def test_stopped_and_continued_it_ends_with_the_same_bits():
    made = recipe((3, 16, 24))
    state, source = begin(made), data(made)
    for _ in range(2):
        cycle(state, made, source)
    other = begin(made)
    restore(other, copies(state), counts(state))
    for one in (state, other):
        torch.manual_seed(1)
        cycle(one, made, source)
    first, second = copies(state), copies(other)
    assert all(torch.equal(first[n], second[n]) for n in first)
