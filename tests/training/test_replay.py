"""Replay: what D and G are shown of the past, seen from the outside, by what they were given and what they said."""

import copy
import itertools

import pytest
import torch

from fixtures import growth
from fixtures.tiny import BATCH, LATENT, PICTURES, VOXELS, copies, data, discriminator, generator
from gansaku.contract import Move, Player, Signals, Turn
from gansaku.draws import Draw, Rows
from gansaku.errors import RecipeError
from gansaku.latents import Gaussian
from gansaku.methods.adversarial import SHARED, Adversarial, critic, generator_first
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.parts import part
from gansaku.recipe import Recipe
from gansaku.replay import PastPlayers, PastSamples
from gansaku.runs import checkpoint
from gansaku.schedules import Doubling
from gansaku.training.state import begin
from gansaku.training.step import cycle

torch.set_num_threads(1)

both = pytest.mark.parametrize("shape", [PICTURES, VOXELS], ids=["2d", "3d"])


@part
class Watched(Adversarial):
    """The usual method, which shows `seen` each turn and what D said of its fakes."""

    def losses(self, turn: Turn) -> Signals:
        losses = super().losses(turn)
        SEEN.append((turn, turn.fake().detach().clone(), turn.logits("fake").detach().clone()))
        return losses


SEEN: list = []


def recipe(replay, shape=PICTURES, order=SHARED, **settings):
    return Recipe(
        shape, generator(shape, settings.get("classes", 0)), discriminator(shape), 4000, method=Watched(order),
        latent=Gaussian(LATENT), batch=BATCH, replay=replay, **settings,
    )  # fmt: skip


def played(made, cycles, each=lambda state: None):
    """All turns of so many cycles, and the state; `each` is called with it after every cycle."""
    SEEN.clear()
    state, source = begin(made), data(made)
    for _ in range(cycles):
        cycle(state, made, source)
        each(state)
    return list(SEEN), state


def of(turns, player):
    return [one for one in turns if one[0].player == player]


def rows_of(x):
    """Each sample as something that can be in a set."""
    return [row.numpy().tobytes() for row in x]


class TestPastSamples:
    @both
    @pytest.mark.parametrize("order", [SHARED, generator_first(2), critic(2)], ids=["shared", "generator first", "critic"])
    def test_d_sees_a_share_of_fakes_that_g_moved_on_before_once_the_buffer_is_full(self, shape, order):
        """Every shown fake is known to the bit: one of the 24 before those that G last moved on, or a new one."""
        turns, _ = played(recipe(PastSamples(0.25, size=24), shape, order), 12)
        past, told = [], []
        for turn, fakes, _ in turns:
            if turn.player == "generator":
                past += rows_of(fakes)
                continue
            buffer = past[-32:-8] if len(past) >= 32 else []
            old = [row in buffer for row in rows_of(fakes)]
            assert old == ([True] * 2 + [False] * 6 if buffer else [False] * 8)
            assert len(set(rows_of(fakes))) == 8
            told += old
        assert sum(told) > 8

    def test_g_always_moves_on_new_ones_also_where_it_shares_them_with_d(self):
        turns, _ = played(recipe(PastSamples(0.5, size=16)), 8)
        for (_, judged, _), (_, moved, _) in zip(of(turns, "discriminator"), of(turns, "generator"), strict=True):
            assert rows_of(judged)[4:] == rows_of(moved)[4:]
        every = [row for _, fakes, _ in of(turns, "generator") for row in rows_of(fakes)]
        assert len(set(every)) == len(every)

    def test_each_batch_begins_at_another_place_and_all_of_the_buffer_is_shown_in_time(self):
        turns, state = played(recipe(PastSamples(0.5, size=16)), 60)
        shown = [tuple(rows_of(fakes)[:4]) for _, fakes, _ in of(turns, "discriminator")[3:]]
        past = [rows_of(fakes) for _, fakes, _ in of(turns, "generator")]
        places = [[(past[i] + past[i + 1]).index(row) for row in batch] for i, batch in enumerate(shown)]
        assert {place for batch in places for place in batch} == set(range(16))
        assert {len(batch) for batch in map(set, places)} == {4}
        assert all((b - a) % 16 == 4 for batch in places for a, b in itertools.pairwise(batch))
        assert state.memory["replay/given"] == 60 * BATCH

    def test_an_old_sample_keeps_its_class(self):
        made = recipe(PastSamples(1.0, size=16), classes=4, fake_labels="uniform")
        turns, _ = played(made, 12)
        label = {
            row: int(of_it)
            for turn, fakes, _ in of(turns, "generator")
            for row, of_it in zip(rows_of(fakes), turn.piece.fake_labels, strict=True)
        }
        for turn, fakes, _ in of(turns, "discriminator")[3:]:
            assert [label[row] for row in rows_of(fakes)] == turn.piece.fake_labels.tolist()

    def test_a_share_of_zero_trains_what_no_replay_trains(self):
        with_it, without = (played(recipe(replay), 5)[1] for replay in (PastSamples(0.0, size=16), None))
        ends = [{n: x for n, x in copies(state).items() if not n.startswith("memory/")} for state in (with_it, without)]
        assert ends[0].keys() == ends[1].keys()
        assert all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0])
        used = copies(played(recipe(PastSamples(0.5, size=16)), 5)[1])
        assert not torch.equal(used["net/discriminator/logits.weight"], ends[1]["net/discriminator/logits.weight"])

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda: PastSamples(share=1.5), "share: 1.5 is no share; use 0 to 1"),
            (lambda: PastSamples(size=0), "size: 0 is no number of samples; use 1 or more"),
            (lambda: recipe(PastSamples(size=4)), "replay.size: 4 samples are less than a batch; use 8 or more"),
        ],
    )
    def test_numbers_that_do_not_fit_are_refused(self, make, says):
        with pytest.raises(RecipeError, match=says):
            make()


class TestPastPlayers:
    """Kept at 24, 48, 72 samples; back in the batches that end at 40, 64 and 88: the second of three after each."""

    replay = PastPlayers(every=24, span=8)

    def known(self, shape, nets=None):
        """All turns of eleven cycles, and both networks after each."""
        kept = {}
        made = recipe(self.replay, shape)
        if nets is not None:
            made = made.but({"generator.network": nets[0], "discriminator.network": nets[1]})
        turns, state = played(made, 11, lambda state: kept.update({state.seen: copy.deepcopy(state.nets)}))
        return made, turns, kept, state

    @both
    def test_d_is_shown_fakes_of_the_g_that_was_kept_with_latents_of_their_own(self, shape):
        made, turns, kept, _ = self.known(shape)
        back = {}
        for turn, fakes, _ in of(turns, "discriminator"):
            draw = Draw(0, 2 * (turn.seen // 8 - 1), Rows(0, 8, 8), turn.real)
            new = kept[turn.seen - 8]["generator"](made.latent.sample(draw, "latent0"), None, None) if turn.seen > 8 else None
            if new is not None and torch.equal(fakes, new):
                continue
            z = made.latent.sample(draw, "replay/latent0")
            back[turn.seen] = [seen for seen in kept if torch.equal(kept[seen]["generator"](z, None, None), fakes)]
        assert back == {8: [], 40: [24], 64: [48], 88: [72]}  # the first G of all is nobody's after a cycle

    @both
    def test_g_is_judged_by_the_d_that_was_kept(self, shape):
        """By D as it was after the cycle before that; where none is back, by D as it is after its move."""
        _, turns, kept, _ = self.known(shape)
        back = {}
        for turn, fakes, logits in of(turns, "generator"):
            said = [seen for seen in kept if torch.equal(kept[seen]["discriminator"](fakes, None, None).logits, logits)]
            assert len(said) == 1
            if said != [turn.seen]:
                back[turn.seen] = said
        assert back == {40: [24], 64: [48], 88: [72]}

    def test_the_networks_of_now_are_those_that_learn(self):
        _, _, kept, _ = self.known(PICTURES)
        for player in ("generator", "discriminator"):
            before, after = kept[32][player].state_dict(), kept[40][player].state_dict()
            assert not any(torch.equal(before[n], after[n]) for n in before)

    @pytest.mark.parametrize("norm", ["batch", "spectral", "instance"])
    def test_what_moves_in_a_network_by_being_asked_does_not_move_in_what_is_kept(self, norm):
        """Batch norm's statistics and spectral norm's vectors are those of the day it was kept."""
        shape = (3, 16, 16)
        nets = DCGANGenerator(shape, LATENT, width=4, norm=norm), DCGANDiscriminator(shape, width=4, norm=norm)
        made = Recipe(
            shape, Player(nets[0], Adam(), 1e-2), Player(nets[1], Adam(), 1e-2), 4000, latent=Gaussian(LATENT),
            batch=BATCH, replay=self.replay,
        )  # fmt: skip
        state, source, kept = begin(made), data(made), {}
        for seen in range(8, 64, 8):
            cycle(state, made, source)
            if seen in (24, 48):
                kept = {
                    f"replay/{player}/{n}": x.clone() for player, net in state.nets.items() for n, x in net.state_dict().items()
                }
            for name, value in kept.items():
                assert torch.equal(state.memory[name], value), (seen, name)
        assert kept.keys() == state.memory.keys()

    def test_it_begins_with_nothing_and_without_touching_the_random_numbers_of_others(self):
        torch.manual_seed(5)
        state = begin(recipe(self.replay))
        after = torch.rand(3)
        torch.manual_seed(5)
        begin(recipe(None))
        assert torch.equal(after, torch.rand(3))
        assert not any(value.any() for value in state.memory.values())

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda: PastPlayers(span=0), "span: 0 is no number of samples; use 1 or more"),
            (lambda: recipe(PastPlayers(every=64, span=4)), "replay.span: 4 samples are less than a batch"),
            (
                lambda: recipe(PastPlayers(every=12, span=8)),
                "replay.every: 12 samples leave none beside `span`; use 16 or more",
            ),
        ],
    )
    def test_numbers_that_do_not_fit_are_refused(self, make, says):
        with pytest.raises(RecipeError, match=says):
            make()


@pytest.mark.parametrize("replay", [PastSamples(size=16), PastPlayers(24, 8)], ids=lambda one: type(one).__name__)
def test_samples_that_grow_have_no_past_that_fits(replay):
    with pytest.raises(RecipeError, match="keeps what has one size; set growth=none"):
        growth.recipe().but(replay=replay)
    assert isinstance(growth.recipe().growth, Doubling)


def test_g_alone_in_a_cycle_is_judged_by_the_past_in_every_one_of_its_moves():
    """Two G steps on a batch: in the second, D is still the kept one."""
    order = (Move("discriminator"), Move("generator", real="same"), Move("generator", real="same"))
    kept = {}
    turns, _ = played(
        recipe(PastPlayers(24, 8), order=order), 5, lambda state: kept.update({state.seen: copy.deepcopy(state.nets)})
    )
    last = of(turns, "generator")[-2:]
    assert [turn.seen for turn, _, _ in last] == [40, 40]
    for _, fakes, logits in last:
        assert torch.equal(kept[24]["discriminator"](fakes, None, None).logits, logits)


@pytest.mark.parametrize("replay", [PastSamples(size=16), PastPlayers(24, 8)], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 16, 16)], ids=["2d", "3d"])
def test_a_checkpoint_goes_on_with_the_same_bits_whatever_the_layout_in_memory(replay, shape, tmp_path):
    """A file holds tensors in their plain order, and convolutions take weights with channels last by other kernels."""
    nets = DCGANGenerator(shape, LATENT, width=8), DCGANDiscriminator(shape, width=8)
    made = Recipe(
        shape, Player(nets[0], Adam(), 1e-2), Player(nets[1], Adam(), 1e-2), 4000, latent=Gaussian(LATENT), batch=BATCH,
        replay=replay,
    )  # fmt: skip
    states, source = [begin(made), begin(made)], data(made)
    assert not states[0].nets["generator"].layers[1][0][0].weight.is_contiguous()
    for _ in range(4):
        cycle(states[0], made, source)
    checkpoint.load(checkpoint.save(tmp_path, states[0]), states[1])
    assert states[1].seen == 32
    for state in states:
        for _ in range(4):
            cycle(state, made, source)
    first, second = map(copies, states)
    assert [n for n in first if not torch.equal(first[n], second[n])] == []
    assert [n for n in first if first[n].stride() != second[n].stride()] == []
