"""Two and four gloo ranks on this machine against one process on the same global batch: the same weights, up to rounding.

Each way in which this is known to go silently wrong has a test here or in test_procs.py: docs/how-to/many-processes.md lists
them. One spawn of each for everything. The ranks write what they find; the tests compare. Loopback only.
"""

import os
from datetime import timedelta
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from fixtures import methods
from fixtures.tiny import PICTURES, VOXELS, copies, data
from gansaku import ranks
from gansaku.contract import AdversarialLoss, Phase, Weighted
from gansaku.data.batches import Batches
from gansaku.data.sources import open_data
from gansaku.errors import DataError, RecipeError, Stopped
from gansaku.evaluation.features import extracted
from gansaku.evaluation.samples import Generated
from gansaku.evaluation.sharing import extracted_by_all, help_extract
from gansaku.extractors.contract import Extracted, Extractor, Identity
from gansaku.losses import RelativisticAverage
from gansaku.methods.adversarial import Adversarial
from gansaku.optimizers import SGD
from gansaku.parts import part, parts
from gansaku.ranks import Order
from gansaku.regularizers import Consistency, LeCam
from gansaku.terms import R1, R2, Dragan, Drift, GradientPenalty
from gansaku.training import step
from gansaku.training.feed import feed
from gansaku.training.state import begin, counts
from gansaku.training.step import cycle
from gansaku.training.together import agree, share, take

torch.set_num_threads(1)

MODULES = methods()
CYCLES, TIMEOUT = 5, 60  # seconds without an answer from another rank; ten times that for all
DIFFER_OVER_RANKS = {"dropout": "every rank draws the masks of its rows from a seed of its own"}
OWN = ["penalty_alone", "micro_batches"]  # recipes of this file
TRAINED = [*[name for name in MODULES if name not in DIFFER_OVER_RANKS], *OWN]
BY_SGD = ["batch_norm", "wgan_gp", "relativistic_average", "lazy_r1"]
SHAPES = {"batch_norm": [PICTURES, VOXELS], "wgan_gp": [PICTURES, VOXELS], "relativistic_average": [PICTURES, VOXELS]}


TERMS = {"GradientPenalty": GradientPenalty(), "Dragan": Dragan(), "R1": R1(), "R2": R2(), "Drift": Drift("both"),
         "Consistency": Consistency("both"), "LeCam": LeCam()}  # fmt: skip


@part
class PenaltyAlone(Adversarial):
    """Every second move of D has no loss but its penalty: nothing of it passes what D says of a batch."""

    def losses(self, turn):
        return {} if turn.player == "discriminator" and turn.index % 2 else super().losses(turn)


def recipe_of(name, shape):
    if name == "relativistic_average":
        return MODULES[name].recipe(shape).but(loss=RelativisticAverage())
    if name == "penalty_alone":
        recipe = MODULES["wgan_gp"].recipe(shape)
        return recipe.but(method=PenaltyAlone(recipe.cycle))
    if name == "micro_batches":  # several backward passes for one step of the optimizer
        return MODULES["lazy_r1"].recipe(shape).but(micro=1)
    return MODULES[name].recipe(shape)


def of_pair(loss, term):
    """A recipe of a loss and a term; None where the two do not go together."""
    try:
        return MODULES["lazy_r1"].recipe().but({"loss": loss, "discriminator.terms": (Weighted(0.5, term),)})
    except RecipeError:
        return None


def trained(name, shape):
    """After some cycles: all tensors, all signals of the last cycle, the counts; float64, the recipe's own optimizer."""
    return after_cycles(recipe_of(name, shape), CYCLES)


def after_cycles(recipe, cycles):
    state, source = begin(recipe, dtype=torch.float64), data(recipe, torch.float64)
    for _ in range(cycles):
        signals = cycle(state, recipe, source)
    return {"tensors": copies(state), "signals": signals, "counts": counts(state)}


def every_pair():
    """Every loss with every term that it goes with, for two cycles: the second one sees what the first has left in memory."""
    recipes = {(term, loss.__name__): of_pair(loss(), made) for term, made in TERMS.items()
               for loss in parts(AdversarialLoss).values() if loss.__module__ == "gansaku.losses"}  # fmt: skip
    return {pair: after_cycles(recipe, 2)["tensors"] for pair, recipe in recipes.items() if recipe is not None}


def by_sgd(name):
    """All tensors after 20 cycles of plain SGD in fp32."""
    recipe = recipe_of(name, PICTURES)
    recipe = recipe.but({f"{player}.optimizer": SGD() for player in recipe.players})
    state, source = begin(recipe), data(recipe)
    for _ in range(20):
        cycle(state, recipe, source)
    return copies(state)


def everything(names=TRAINED):
    return {f"{name} {len(shape) - 1}d": trained(name, shape) for name in names for shape in SHAPES.get(name, [PICTURES])}


def test_what_a_network_draws_by_itself_comes_from_another_seed_on_every_rank(monkeypatch):
    """The same masks on all ranks would drop the same places of all their samples."""
    recipe, seeds = MODULES["dropout"].recipe(PICTURES), []
    pieces = data(recipe)(0, recipe.phase(0))
    monkeypatch.setattr(step, "reseed", lambda device, seed: seeds.append(seed))
    for rank in (0, 1):
        monkeypatch.setattr(ranks, "mine", lambda rank=rank: rank)
        cycle(begin(recipe), recipe, lambda seen, phase: pieces)
    assert len(set(seeds)) == len(seeds) == 2 * len(recipe.cycle)


def numbers():
    """(12, 2): what all ranks hold together."""
    return torch.arange(24, dtype=torch.float64).reshape(12, 2).sin()


def weights():
    return torch.arange(12, dtype=torch.float64).cos()


def slopes(rows, everyone):
    """A function of my rows and of everyone's: its gradient by x, and that of the gradient's squared length.

    `everyone(x)` is all rows; the loss is summed over the ranks, so each gradient is of the whole.
    """
    x = numbers()[rows].requires_grad_()
    apart = (x - (weights()[:, None] * everyone(x)).mean(0)) ** 3
    (first,) = torch.autograd.grad((apart * weights()[rows, None]).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    return first.detach(), second


def sums(rows, over_all):
    """The same for a sum over all rows."""
    x = numbers()[rows].requires_grad_()
    apart = (x - over_all((x**2).sum(0))) ** 3
    (first,) = torch.autograd.grad((apart * weights()[rows, None]).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    return first.detach(), second


def not_agreeing():
    """What is said when the last rank's state is one bit off."""
    state = begin(MODULES["lazy_r1"].recipe())
    agree_now(state)  # nothing is said of equal ones
    if ranks.mine() == ranks.count() - 1:
        first = next(iter(state.nets["generator"].parameters()))
        first.view(torch.int32).view(-1)[3] ^= 1
    try:
        agree_now(state)
    except Stopped as error:
        return str(error)
    return ""


def agree_now(state):
    if ranks.mine():
        assert ranks.told() == Order.AGREE
    agree(state)


def taken():
    """Rank 0's state after a cycle by itself, on all ranks."""
    recipe = MODULES["batch_norm"].recipe()
    state = begin(recipe)
    if ranks.mine() == 0:
        with ranks.alone():
            cycle(state, recipe, data(recipe))
        share(state)
    else:
        assert ranks.told() == Order.STATE
        take(state)
    return {"tensors": copies(state), "counts": counts(state)}


class Means(Extractor):
    """One feature and one logit of each sample; fails where it sees `broken`."""

    identity, resize, precision, features, classes = Identity("means", ""), "none", "fp32", 1, 1
    broken = False

    def __call__(self, samples):
        if self.broken:
            raise ZeroDivisionError("no features today")
        means = samples.float().flatten(1).mean(1, keepdim=True)
        return Extracted(means, -means)


def samples():
    """Sample i is grey i modulo 256."""

    def make(numbers):
        return torch.tensor([(i % 256) / 127.5 - 1 for i in numbers]).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)

    return Generated("greys", {}, (3, 2, 2), make, kept=False)


def features(n, broken=False):
    """Of all ranks together on rank 0, beside one rank alone; what went wrong on the others."""
    extractor = Means()
    extractor.broken = broken and ranks.mine() == 1
    if ranks.mine():
        assert ranks.told() == Order.SCORE
        return help_extract(samples(), n, extractor)
    with ranks.alone():
        try:
            return tuple(extracted_by_all(samples(), n, extractor))
        except DataError as error:
            return str(error)


def work(rank, folder, world):
    """What one rank does."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world, timeout=timedelta(seconds=TIMEOUT)
    )
    ranks.take_orders(distributed.new_group(backend="gloo", timeout=timedelta(seconds=TIMEOUT)))
    each = 12 // world
    rows = slice(each * rank, each * rank + each)
    several = [torch.full((2,), rank + 1.0), torch.full((2, 3), 4.0 * rank), torch.tensor(10.0 * rank)]
    ranks.add_up(several)
    try:
        data(MODULES["lazy_r1"].recipe().but(batch=7))
        refused = ""
    except RecipeError as error:
        refused = str(error)
    source = data(MODULES["lazy_r1"].recipe().but(micro=3))
    pieces = source(0, Phase((8, 8), batch=8, micro=3))
    found = {
        "count": ranks.count(),
        "mine": ranks.mine(),
        "gathered": ranks.gather(numbers()[rows]),
        "gather": slopes(rows, ranks.gather),
        "total": sums(rows, ranks.total),
        "several": several,
        "rows": [tuple(piece.rows) for piece in pieces],
        "refused": refused,
        "trained": everything(),
        "pairs": every_pair() if world == 2 else {},
        "by_sgd": {name: by_sgd(name) for name in BY_SGD},
        "not_agreeing": not_agreeing(),
        "taken": taken(),
        "features": [features(n) for n in (5, 64, 300)],
        "failed": features(100, broken=True),
        "text": ranks.tell_text("貝 of rank 0" if rank == 0 else "another"),
    }
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def crews(tmp_path_factory):
    """What all of so many ranks found, found once."""
    found = {}

    def of(world):
        if world not in found:
            found[world] = together(world, tmp_path_factory.mktemp("ranks"))
        return found[world]

    return of


@pytest.fixture(params=[2, 4], ids=["2 ranks", "4 ranks"])
def both(request, crews):
    return crews(request.param)


def together(world, folder):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, str(folder), world), daemon=True) for rank in range(world)]
    end = monotonic() + 10 * TIMEOUT
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes) and monotonic() < end:
            processes[0].join(0.05)
            if any(process.exitcode for process in processes):  # the other one would wait for it
                break
        assert {process.exitcode for process in processes} == {0}, "a rank failed or hung; its message is above"
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


@pytest.fixture(scope="module")
def alone():
    """What one process finds."""
    return everything()


@pytest.fixture(scope="module")
def pairs():
    return every_pair()


CASES = [
    pytest.param(world, f"{name} {len(shape) - 1}d", id=f"{world} ranks-{name} {len(shape) - 1}d")
    for world in (2, 4)
    for name in TRAINED
    for shape in SHAPES.get(name, [PICTURES])
]


@pytest.mark.parametrize(("both", "case"), CASES, indirect=["both"])
def test_ranks_train_what_one_process_trains(both, alone, case):
    """Weights, buffers, averages, moments and memory within 1e-9. The three that matter most run in 2D and in 3D:
    batch norm's statistics over the global batch, WGAN-GP's second order, the relativistic average's gathered means."""
    for found in both:
        theirs, mine = found["trained"][case], alone[case]
        assert theirs["counts"] == mine["counts"]
        assert theirs["tensors"].keys() == mine["tensors"].keys()
        for name, value in mine["tensors"].items():
            torch.testing.assert_close(
                theirs["tensors"][name], value, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.parametrize("term", TERMS)
def test_every_loss_with_every_term_is_trained_as_by_one_process(crews, pairs, term):
    losses = [loss for of, loss in pairs if of == term]
    assert len(losses) >= 7
    for found in crews(2):
        assert found["pairs"].keys() == pairs.keys()
        for loss in losses:
            theirs, mine = found["pairs"][term, loss], pairs[term, loss]
            for name, value in mine.items():
                torch.testing.assert_close(
                    theirs[name], value, rtol=1e-9, atol=1e-9, msg=lambda text, at=(loss, name): f"{at}: {text}"
                )


@pytest.mark.parametrize(("both", "case"), CASES, indirect=["both"])
def test_all_ranks_end_with_the_same_bits(both, case):
    first, *others = (found["trained"][case] for found in both)
    for other in others:
        assert [n for n, value in first["tensors"].items() if not torch.equal(value, other["tensors"][n])] == []
        assert [n for n, value in first["signals"].items() if not torch.equal(value, other["signals"][n])] == []


@pytest.mark.parametrize("name", BY_SGD)
def test_in_fp32_with_sgd_twenty_cycles_are_those_of_one_process(both, name):
    """Within 1e-6 of the largest weight: the order of sums is another, nothing else."""
    mine = by_sgd(name)
    for found in both:
        for tensor, value in mine.items():
            if value.is_floating_point() and value.numel():
                apart = (found["by_sgd"][name][tensor] - value).abs().max()
                assert apart <= 1e-6 * max(1.0, float(value.abs().max())), tensor


@pytest.mark.parametrize(("both", "case"), CASES, indirect=["both"])
def test_signals_are_means_over_the_global_batch(both, alone, case):
    for found in both:
        theirs, mine = found["trained"][case]["signals"], alone[case]["signals"]
        assert theirs.keys() == mine.keys()
        for name, value in mine.items():
            torch.testing.assert_close(theirs[name], value, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def test_with_four_then_two_then_one_rank_the_samples_come_in_the_order_of_one(tmp_path, monkeypatch):
    """With the turns of mirrored samples, over the borders between passes of 30, in micro-batches and in one."""
    np.save(tmp_path / "greys.npy", np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8))
    dataset = open_data(str(tmp_path / "greys.npy"))

    def seen_by(count, seen, micro):
        """The real samples of the global batch, as the ranks' pieces hold them."""
        found = []
        for rank in range(count):
            monkeypatch.setattr(ranks, "count", lambda: count)
            monkeypatch.setattr(ranks, "mine", lambda rank=rank: rank)
            recipe = MODULES["lazy_r1"].recipe().but(micro=micro)
            found += feed(Batches(dataset, 5, mirror=True), recipe)(seen, recipe.phase(seen))
        assert [row for piece in found for row in range(piece.rows.start, piece.rows.stop)] == list(range(8))
        return torch.cat([piece.real for piece in found])

    whole = torch.cat([seen_by(1, seen, None) for seen in range(0, 96, 8)])
    plan = [(4, None)] * 4 + [(2, 3)] * 4 + [(1, 8)] * 2 + [(4, 1)] * 2
    assert torch.equal(torch.cat([seen_by(count, 8 * i, micro) for i, (count, micro) in enumerate(plan)]), whole)
    assert len({tuple(sample.sort().values.tolist()) for sample in whole[:30].flatten(1)}) == 30, "each once in a pass"


def test_every_rank_knows_its_place_and_its_rows(both):
    world = len(both)
    assert [(found["count"], found["mine"]) for found in both] == [(world, rank) for rank in range(world)]
    rows = {2: [[(0, 3, 8), (3, 4, 8)], [(4, 7, 8), (7, 8, 8)]], 4: [[(2 * i, 2 * i + 2, 8)] for i in range(4)]}
    assert [found["rows"] for found in both] == rows[world]
    assert all(f"7 does not divide by {world} processes" in found["refused"] for found in both)


def test_ranks_whose_states_differ_by_one_bit_all_stop_and_say_where(both):
    last = len(both) - 1
    for found in both:
        assert found["not_agreeing"].startswith(f"rank {last}: has another net/generator/")
        assert "than rank 0 after 0 samples" in found["not_agreeing"]


def test_the_state_of_rank_0_is_everyones(both):
    first, *others = (found["taken"] for found in both)
    assert first["counts"]["seen"] > 0
    for other in others:
        assert other["counts"] == first["counts"]
        assert other["tensors"].keys() == first["tensors"].keys()
        assert [n for n, value in first["tensors"].items() if not torch.equal(value, other["tensors"][n])] == []


def test_features_of_all_ranks_are_those_of_one_in_their_order(both):
    first, *others = (found["features"] for found in both)
    for n, found in zip((5, 64, 300), first, strict=True):
        wanted = extracted(samples(), n, Means())
        assert torch.equal(found[0], wanted.features)
        assert torch.equal(found[1], wanted.logits)
    assert others == [[[], [], []]] * len(others)


def test_a_rank_whose_features_fail_says_so_and_keeps_nobody_waiting(both):
    assert "has features that are not finite" in both[0]["failed"]
    assert both[1]["failed"] == ["ZeroDivisionError: no features today"]


def test_a_text_of_rank_0_reaches_all(both):
    assert {found["text"] for found in both} == {"貝 of rank 0"}


def test_one_process_is_one_rank_and_its_seam_the_identity():
    x = numbers()
    assert (ranks.count(), ranks.mine()) == (1, 0)
    assert ranks.gather(x) is x
    assert ranks.total(x) is x


def test_gather_gives_all_rows_in_the_order_of_the_ranks(both):
    assert all(torch.equal(found["gathered"], numbers()) for found in both)


@pytest.mark.parametrize(
    ("seam", "whole"),
    [("gather", lambda: slopes(slice(0, 12), lambda x: x)), ("total", lambda: sums(slice(0, 12), lambda x: x))],
)
def test_gradients_through_the_seam_are_those_of_the_whole_twice(both, seam, whole):
    """The loss is the sum over the ranks; so is the penalty on its gradient."""
    for order, wanted in enumerate(whole()):
        found = torch.cat([result[seam][order] for result in both])
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_add_up_replaces_each_tensor_by_its_sum_in_one_message(both):
    for found in both:
        assert [t.shape for t in found["several"]] == [(2,), (2, 3), ()]
        wanted = {2: [[3.0] * 2, [4.0] * 6, [10.0]], 4: [[10.0] * 2, [24.0] * 6, [60.0]]}
        assert [t.flatten().tolist() for t in found["several"]] == wanted[len(both)]


def test_add_up_sends_its_dtypes_in_an_order_that_all_ranks_share(monkeypatch):
    """Else one rank sums float32 while the other sums float64: gloo aborts, now and then."""
    sent = []
    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda flat: sent.append(flat.dtype))
    kinds = [torch.float32, torch.float64, torch.bfloat16, torch.int64]
    for order in (kinds, kinds[::-1]):
        ranks.add_up([torch.zeros(1, dtype=kind) for kind in order])
    assert sent == [*kinds, *kinds[::-1]]
