"""Consistency and LeCam: closed forms, and the averages against a slow loop."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fixtures.tiny import BATCH, PICTURES, VOXELS, copies, data, discriminator, generator
from gansaku.augment import DiffAugment
from gansaku.contract import Fakes, Phase, Piece, Turn, Verdict, Weighted
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.losses import Hinge
from gansaku.recipe import Recipe
from gansaku.regularizers import Consistency, LeCam
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

both = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])


class Total(nn.Module):
    """D(x) is the sum of all values."""

    def forward(self, x, labels, phase):
        return Verdict(x.flatten(1).sum(1, keepdim=True))


class Weighing(nn.Module):
    """D(x) = Σ w x, in two logits: the same, and twice it."""

    def __init__(self, shape):
        super().__init__()
        self.weight = torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def forward(self, x, labels, phase):
        once = (x * self.weight).flatten(1).sum(1, keepdim=True)
        return Verdict(torch.cat([once, 2 * once], 1))


def recipe_of(shape, **settings):
    return Recipe(
        shape, generator(shape), discriminator(shape), 1000, loss=Hinge(), latent=Gaussian(4), batch=BATCH, **settings
    )


def turn_of(network, shape, n=200, index=1, memory=None, rows=None, **settings):
    random = torch.Generator().manual_seed(0)
    real, fake = (2 * torch.rand(n, *shape, generator=random, dtype=torch.float64) - 1 for _ in range(2))
    rows = rows or Rows(0, n, n)
    piece = Piece(rows, real[rows.start : rows.stop], torch.zeros(len(range(rows.start, rows.stop)), dtype=torch.long), {})
    mine = fake[rows.start : rows.stop]
    piece.fakes, piece.fake_labels = Fakes(lambda i, graph: mine, graph=False), piece.labels
    draw = Draw(0, 0, rows, piece.real)
    nets = {"discriminator": network}
    return Turn(recipe_of(shape, **settings), "discriminator", index, n, Phase(shape[1:]), piece, nets, memory or {}, draw)


def changed_by_hand(sample, u):
    """T of one sample, from its four numbers: what is at a place comes from the place less the steps, then mirrored."""
    sides = sample.shape[1:]
    steps = [int(u[1 + i] * (2 * (side // 8) + 1)) - side // 8 for i, side in enumerate(sides)]
    if u[0] < 0.5:
        sample = sample.flip(2 if len(sides) == 2 else 1)
    result = torch.empty_like(sample)
    for place in torch.cartesian_prod(*map(torch.arange, sides)).tolist():
        source = [at - step for at, step in zip(place, steps, strict=True)]
        if len(sides) == 2:
            source = [abs(at) if at < side else 2 * (side - 1) - at for at, side in zip(source, sides, strict=True)]
        inside = all(0 <= at < side for at, side in zip(source, sides, strict=True))
        result[(slice(None), *place)] = sample[(slice(None), *source)] if inside else -1
    return result


@both
@pytest.mark.parametrize("on", ["real", "fake", "both"])
def test_consistency_is_the_squared_change_of_ds_word_by_hand(shape, on):
    network = Weighing(shape)
    turn, wanted = turn_of(network, shape, n=12), torch.zeros(12, dtype=torch.float64)
    for which, x in (("real", turn.real), ("fake", turn.fake())):
        if on in (which, "both"):
            uniform = turn.draw.uniform(f"consistency/{which}", 4).tolist()
            after = torch.stack([changed_by_hand(sample, u) for sample, u in zip(x, uniform, strict=True)])
            gap = ((x - after) * network.weight).flatten(1).sum(1)
            wanted += (gap**2 + (2 * gap) ** 2) / 2
    torch.testing.assert_close(Consistency(on)(turn), wanted)


@both
def test_a_discriminator_that_does_not_see_the_change_is_consistent(shape):
    """Without steps T is a mirror, which changes no sum."""
    assert Consistency("both", shift=0)(turn_of(Total(), shape)).abs().max() < 1e-20
    assert Consistency("both")(turn_of(Total(), shape)).max() > 1e-3


@both
def test_half_of_the_samples_are_mirrored(shape):
    still = Consistency(shift=0)(turn_of(Weighing(shape), shape, n=1000)).eq(0).double().mean()
    assert still.item() == pytest.approx(0.5, abs=0.06)


@both
def test_x_and_its_change_are_augmented_with_the_same_numbers(shape):
    """A mirror that D does not see, beside an augmentation that it does see."""
    kinds = ("translation", "color") if len(shape) == 3 else ("translation",)
    turn = turn_of(Total(), shape, augment=DiffAugment(kinds, shift=0.0 if len(shape) == 3 else 0.5))
    change = Consistency(shift=0)(turn)
    if len(shape) == 3:
        assert change.max() < 1e-20
    else:
        other = turn.logits("real") - turn.judge(turn.real, turn.labels, "other").logits
        assert change.mean() < other.square().mean(1).mean()


@both
def test_two_ranks_have_the_halves_of_one_batch(shape):
    whole = Consistency("both")(turn_of(Weighing(shape), shape, n=8))
    halves = [Consistency("both")(turn_of(Weighing(shape), shape, n=8, rows=rows)) for rows in (Rows(0, 4, 8), Rows(4, 8, 8))]
    assert torch.equal(whole, torch.cat(halves))


class Says(nn.Module):
    """D(x) is the first value of x, times a weight of 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x, labels, phase):
        return Verdict(self.weight * x.flatten(1)[:, :1])


def moved(term, history, shape=PICTURES):
    """The term's memory after turns in which D said these means of real samples and of fakes."""
    memory = term.memory(None)
    for real, fake in history:
        turn = SimpleNamespace(
            player="discriminator", memory=memory, piece=SimpleNamespace(rows=Rows(0, 2, 2)),
            logits=lambda which, said=(real, fake): torch.full((2, 1), said[which == "fake"]),
        )  # fmt: skip
        memory = term.remember(memory, [turn], {})
    return memory


HISTORY = [(1.0, -1.0), (2.0, -0.5), (0.5, 0.5), (3.0, -2.0)]


@both
@pytest.mark.parametrize("one_sided", [False, True])
def test_le_cam_is_the_squared_distance_to_the_other_kinds_mean(shape, one_sided):
    """Means as weighted averages by hand: the newest weighs 1, the one before 0.9, and so on."""
    term = LeCam(decay=0.9, one_sided=one_sided)
    weights = [0.9**age for age in (3, 2, 1, 0)]
    real_mean, fake_mean = (sum(w * pair[i] for w, pair in zip(weights, HISTORY, strict=True)) / sum(weights) for i in (0, 1))
    turn = turn_of(Says(), shape, memory=moved(term, HISTORY))
    real, fake = turn.real.flatten(1)[:, 0], turn.fake().flatten(1)[:, 0]
    above, below = real - fake_mean, real_mean - fake
    if one_sided:
        above, below = above.clamp(min=0), below.clamp(min=0)
    torch.testing.assert_close(term(turn), above**2 + below**2, rtol=1e-5, atol=1e-6)


@both
def test_le_cam_pulls_ds_word_on_each_kind_to_the_mean_of_the_other(shape):
    turn = turn_of(Says(), shape, n=1, memory=moved(LeCam(), [(4.0, -4.0)]))
    real, fake = turn.real[0].flatten()[0].item(), turn.fake()[0].flatten()[0].item()
    LeCam()(turn).sum().backward()
    wanted = 2 * (real + 4) * real - 2 * (4 - fake) * fake
    assert turn.nets["discriminator"].weight.grad.item() == pytest.approx(wanted, rel=1e-6)


@both
@pytest.mark.parametrize(("begin_at", "index", "counts"), [(1, 0, False), (1, 1, True), (1000, 999, False), (1000, 1000, True)])
def test_le_cam_begins_with_the_move_that_it_is_told_to(shape, begin_at, index, counts):
    term = LeCam(begin=begin_at)
    found = term(turn_of(Says(), shape, index=index, memory=moved(term, HISTORY)))
    assert found.gt(0).any() == counts


def test_the_means_are_in_the_log_and_follow_what_d_says():
    terms = (Weighted(0.3, LeCam(decay=0.5)),)
    recipe = recipe_of(PICTURES).but({"discriminator.terms": terms})
    state, source = begin(recipe), data(recipe)
    first, second, third = [cycle(state, recipe, source) for _ in range(3)]
    assert first["discriminator/le_cam_real"] == first["discriminator/loss/le_cam"] == 0
    for which in ("real", "fake"):
        one, two = first[f"discriminator/{which}"].item(), second[f"discriminator/{which}"].item()
        assert second[f"discriminator/le_cam_{which}"].item() == pytest.approx(one, rel=1e-5)
        assert third[f"discriminator/le_cam_{which}"].item() == pytest.approx((one + 2 * two) / 3, rel=1e-5)


def test_two_micro_batches_remember_the_mean_of_the_whole_batch():
    terms = (Weighted(0.3, LeCam(decay=0.5)),)
    found = []
    for micro in (None, 3):
        recipe = recipe_of(PICTURES, micro=micro).but({"discriminator.terms": terms})
        state = begin(recipe, dtype=torch.float64)
        cycle(state, recipe, data(recipe, torch.float64))
        found.append(copies(state)["memory/le_cam/real"])
    torch.testing.assert_close(*found, rtol=1e-12, atol=0)


def test_settings_out_of_range_are_refused():
    with pytest.raises(RecipeError, match="no means before the first move"):
        LeCam(begin=0)
    with pytest.raises(RecipeError, match=r"1 must lie in \[0, 1\)"):
        LeCam(decay=1)
    with pytest.raises(RecipeError, match="no share of a side"):
        Consistency(shift=2)
    with pytest.raises(RecipeError, match="does nothing for the generator"):
        recipe_of(PICTURES).but({"generator.terms": (Weighted(1.0, Consistency()),)})
