"""Two gloo ranks on this machine against one process on the same global batch: the same weights, up to rounding.

One spawn for everything. The ranks write what they find; the tests compare. Loopback only.
"""

import os
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
import torch
from torch import distributed, multiprocessing

from fixtures import methods
from fixtures.tiny import PICTURES, VOXELS, copies, data
from gansaku import ranks
from gansaku.contract import Phase
from gansaku.errors import RecipeError
from gansaku.losses import RelativisticAverage
from gansaku.training import step
from gansaku.training.state import begin, counts
from gansaku.training.step import cycle

torch.set_num_threads(1)

MODULES = methods()
CYCLES, TIMEOUT = 5, 60  # seconds without an answer from the other rank; three times that for all
DIFFER_OVER_RANKS = {"dropout": "every rank draws the masks of its rows from a seed of its own"}
TRAINED = [name for name in MODULES if name not in DIFFER_OVER_RANKS]
SHAPES = {"batch_norm": [PICTURES, VOXELS], "wgan_gp": [PICTURES, VOXELS], "relativistic_average": [PICTURES, VOXELS]}


def recipe_of(name, shape):
    recipe = MODULES[name].recipe(shape)
    return recipe.but(loss=RelativisticAverage()) if name == "relativistic_average" else recipe


def trained(name, shape):
    """After some cycles: all tensors, all signals of the last cycle, the counts; float64, the recipe's own optimizer."""
    recipe = recipe_of(name, shape)
    state, source = begin(recipe, dtype=torch.float64), data(recipe, torch.float64)
    for _ in range(CYCLES):
        signals = cycle(state, recipe, source)
    return {"tensors": copies(state), "signals": signals, "counts": counts(state)}


def everything():
    return {f"{name} {len(shape) - 1}d": trained(name, shape) for name in TRAINED for shape in SHAPES.get(name, [PICTURES])}


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
    """(6, 2): what both ranks hold together."""
    return torch.arange(12, dtype=torch.float64).reshape(6, 2).sin()


def weights():
    return torch.arange(6, dtype=torch.float64).cos()


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


def work(rank, folder):
    """What one rank does."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=TIMEOUT)
    )
    rows = slice(3 * rank, 3 * rank + 3)
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
    }
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two ranks found."""
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, str(folder)), daemon=True) for rank in range(2)]
    end = monotonic() + 3 * TIMEOUT
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes) and monotonic() < end:
            processes[0].join(0.05)
            if any(process.exitcode for process in processes):  # the other one would wait for it
                break
        assert [process.exitcode for process in processes] == [0, 0], "a rank failed or hung; its message is above"
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    """What one process finds."""
    return everything()


CASES = [f"{name} {len(shape) - 1}d" for name in TRAINED for shape in SHAPES.get(name, [PICTURES])]


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_what_one_process_trains(both, alone, case):
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


@pytest.mark.parametrize("case", CASES)
def test_both_ranks_end_with_the_same_bits(both, case):
    first, second = (found["trained"][case] for found in both)
    assert [n for n, value in first["tensors"].items() if not torch.equal(value, second["tensors"][n])] == []
    assert [n for n, value in first["signals"].items() if not torch.equal(value, second["signals"][n])] == []


@pytest.mark.parametrize("case", CASES)
def test_signals_are_means_over_the_global_batch(both, alone, case):
    for found in both:
        theirs, mine = found["trained"][case]["signals"], alone[case]["signals"]
        assert theirs.keys() == mine.keys()
        for name, value in mine.items():
            torch.testing.assert_close(theirs[name], value, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def test_every_rank_knows_its_place_and_its_rows(both):
    assert [(found["count"], found["mine"]) for found in both] == [(2, 0), (2, 1)]
    assert [found["rows"] for found in both] == [[(0, 3, 8), (3, 4, 8)], [(4, 7, 8), (7, 8, 8)]]
    assert all("7 does not divide by 2 processes" in found["refused"] for found in both)


def test_one_process_is_one_rank_and_its_seam_the_identity():
    x = numbers()
    assert (ranks.count(), ranks.mine()) == (1, 0)
    assert ranks.gather(x) is x
    assert ranks.total(x) is x


def test_gather_gives_all_rows_in_the_order_of_the_ranks(both):
    assert all(torch.equal(found["gathered"], numbers()) for found in both)


@pytest.mark.parametrize(
    ("seam", "whole"), [("gather", lambda: slopes(slice(0, 6), lambda x: x)), ("total", lambda: sums(slice(0, 6), lambda x: x))]
)
def test_gradients_through_the_seam_are_those_of_the_whole_twice(both, seam, whole):
    """The loss is the sum over the ranks; so is the penalty on its gradient."""
    for order, wanted in enumerate(whole()):
        found = torch.cat([result[seam][order] for result in both])
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_add_up_replaces_each_tensor_by_its_sum_in_one_message(both):
    for found in both:
        assert [t.shape for t in found["several"]] == [(2,), (2, 3), ()]
        assert [t.flatten().tolist() for t in found["several"]] == [[3.0, 3.0], [4.0] * 6, [10.0]]


def test_add_up_sends_its_dtypes_in_an_order_that_all_ranks_share(monkeypatch):
    """Else one rank sums float32 while the other sums float64: gloo aborts, now and then."""
    sent = []
    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda flat: sent.append(flat.dtype))
    kinds = [torch.float32, torch.float64, torch.bfloat16, torch.int64]
    for order in (kinds, kinds[::-1]):
        ranks.add_up([torch.zeros(1, dtype=kind) for kind in order])
    assert sent == [*kinds, *kinds[::-1]]
