"""What looks across the batch, on two gloo ranks and on one: minibatch discrimination, batch norm without γ, DRAGAN's point.

Each alone, with its outputs and gradients; `test_ranks.py` trains a whole recipe of them. One spawn, loopback only.
"""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from gansaku.contract import Fakes, Phase, Piece, Player, Turn, Weighted
from gansaku.draws import Draw, Rows
from gansaku.networks.blocks import BatchNorm
from gansaku.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansaku.networks.minibatch import MinibatchDeviation, MinibatchDiscrimination
from gansaku.optimizers import Adam
from gansaku.recipe import Recipe
from gansaku.terms import Dragan

torch.set_num_threads(1)

N, TIMEOUT = 6, 60  # samples in the global batch; seconds
LAYERS = {
    "minibatch discrimination": (lambda: MinibatchDiscrimination(5, 3, 2), (5,)),
    "deviation over the batch": (lambda: MinibatchDeviation(), (2, 3, 4)),
    "batch norm without scale, of features": (lambda: BatchNorm(5, 2e-5, scale=False), (5,)),
    "batch norm without scale, of voxels": (lambda: BatchNorm(2, 2e-5, scale=False), (2, 3, 4, 2)),
}
WITHOUT_WEIGHTS = ("deviation over the batch",)


def numbers(*shape):
    return torch.randn(N, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 + 1


def layered(name, rows):
    """Outputs, gradients by the input and by the weights, and buffers, for the loss that weighs every output by its own."""
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = make().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    x = numbers(*shape)[rows].requires_grad_()
    y = layer(x)
    toward = numbers(*y.shape[1:]).cos()[rows]
    by_x, *by_weights = torch.autograd.grad((y * toward).sum(), [x, *layer.parameters()])
    buffers = [buffer.clone() for buffer in layer.buffers()]
    return {"outputs": y.detach(), "by_x": by_x, "by_weights": by_weights, "buffers": buffers}


def penalized(rows):
    """DRAGAN's penalty for these rows and its weight gradients; most of the deviation lies between the two halves."""
    shape = (2, 8, 12)
    torch.manual_seed(0)
    network = DCGANDiscriminator(shape, width=2, norm="none").build().double()
    players = Player(DCGANGenerator(shape), Adam(), 1e-3), Player(DCGANDiscriminator(shape, norm="none"), Adam(), 1e-3)
    recipe = Recipe(shape, *players, length=10).but({"discriminator.terms": (Weighted(10.0, Dragan()),)})
    real = (numbers(*shape) + 3 * (torch.arange(N) >= N // 2).view(-1, 1, 1, 1))[rows]
    piece = Piece(Rows(rows.start, rows.stop, N), real, torch.zeros(len(real), dtype=torch.long), {})
    piece.fakes, piece.fake_labels = Fakes(lambda i, graph: real, graph=False), piece.labels
    draw = Draw(0, 0, piece.rows, real)
    turn = Turn(recipe, "discriminator", 0, N, Phase(shape[1:]), piece, {"discriminator": network}, {}, draw)
    penalty = Dragan(strength=5.0)(turn)
    weights = [p for p in network.parameters() if p.ndim > 1]
    by_weights = torch.autograd.grad(penalty.sum(), weights)
    return {"outputs": penalty.detach(), "by_weights": list(by_weights)}


def everything(rows):
    return {name: layered(name, rows) for name in LAYERS} | {"dragan": penalized(rows)}


def work(rank, folder):
    """What one rank finds for its half of the batch."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=TIMEOUT)
    )
    torch.save(everything(slice(rank * N // 2, (rank + 1) * N // 2)), Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, str(folder)), daemon=True) for rank in range(2)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(3 * TIMEOUT)
        assert [process.exitcode for process in processes] == [0, 0], "a rank failed or hung; its message is above"
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    return everything(slice(0, N))


@pytest.mark.parametrize("name", [*LAYERS, "dragan"])
def test_two_ranks_find_what_one_finds(both, alone, name):
    """Each its own rows of the outputs and of the gradient by the input; weight gradients add up over the ranks."""
    first, second = (found[name] for found in both)
    wanted = alone[name]
    for per_row in wanted.keys() & {"outputs", "by_x"}:
        torch.testing.assert_close(torch.cat([first[per_row], second[per_row]]), wanted[per_row], rtol=1e-10, atol=1e-12)
    assert wanted["by_weights"] or name in WITHOUT_WEIGHTS
    for mine, theirs, whole in zip(first["by_weights"], second["by_weights"], wanted["by_weights"], strict=True):
        torch.testing.assert_close(mine + theirs, whole, rtol=1e-10, atol=1e-12)
    for held in zip(first.get("buffers", []), second.get("buffers", []), wanted.get("buffers", []), strict=True):
        assert torch.equal(held[0], held[1])
        torch.testing.assert_close(held[0], held[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*LAYERS, "dragan"])
def test_a_half_of_the_batch_alone_would_find_something_else(alone, name):
    """So the law above is about the seam."""
    half = everything(slice(0, N // 2))[name]["outputs"]
    assert (half - alone[name]["outputs"][: N // 2]).abs().max() > 1e-3
