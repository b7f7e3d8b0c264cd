"""Are they chairs? A classifier that knows real chairs and what are none looks at a run's samples.

    python -m tools.chairs CHAIRS.h5 RUN [--at SEEN] [--json FILE]

CHAIRS.h5 has 32³ grids with a test split (`gansaku prepare … --held-out 20%`), z up. The classifier learns on the training
split and on as many grids that are no chairs: tables, smooth lumps, chairs that are turned, cut in half, strewn with voxels
or worn, and two chairs at once. So a sample must be one chair, whole and upright. What it says of the test split, which it
never saw, stands beside what it says of the samples; so does the largest overlap (IoU) of a sample with a training chair,
which tells copies.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import gansaku
from gansaku import files
from gansaku.data.store import Dataset, open_store
from gansaku.metrics.voxels import iou

Grids = NDArray[np.bool_]
SIDE, SEED, SAMPLES = 32, 0, 256
PASSES, BATCH, RATE = 24, 32, 1e-3


def table(rng: np.random.Generator) -> Grids:
    """A top on four legs, on a column, or on two boards."""
    grid = np.zeros((SIDE, SIDE, SIDE), bool)
    wide, deep, high = rng.integers(5, 14), rng.integers(5, 14), rng.integers(8, 26)
    thick, low = rng.integers(1, 3), (SIDE - int(high)) // 2
    top, left, front = low + int(high), SIDE // 2 - int(wide), SIDE // 2 - int(deep)
    right, rear = SIDE // 2 + int(wide), SIDE // 2 + int(deep)
    grid[left:right, front:rear, top - thick : top] = True
    leg, kind = int(rng.integers(1, 3)), rng.integers(3)
    if kind == 0:
        for x in (left, right - leg):
            for y in (front, rear - leg):
                grid[x : x + leg, y : y + leg, low:top] = True
    elif kind == 1:
        grid[15 - leg : 17 + leg, 15 - leg : 17 + leg, low:top] = True
        grid[left + 2 : right - 2, front + 2 : rear - 2, low : low + 1] = True
    else:
        grid[left : left + leg, front:rear, low:top] = True
        grid[right - leg : right, front:rear, low:top] = True
    return grid


def lumps(rng: np.random.Generator) -> Grids:
    """Smooth noise above a level that leaves about as much as a chair has."""
    noise = np.fft.rfftn(rng.normal(size=(SIDE, SIDE, SIDE)))
    k = np.sqrt(
        sum(np.square(f) for f in np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    )
    smooth = np.fft.irfftn(noise * np.exp(-((k / rng.uniform(0.05, 0.2)) ** 2)), s=(SIDE,) * 3, axes=(0, 1, 2))
    return np.asarray(smooth > np.quantile(smooth, 1 - rng.uniform(0.02, 0.12)))


def turned(chair: Grids, rng: np.random.Generator) -> Grids:
    """Upside down, on its back, or on its side."""
    return [chair[:, :, ::-1], np.rot90(chair, 1, (1, 2)), np.rot90(chair, 3, (1, 2)), np.rot90(chair, 1, (0, 2))][
        rng.integers(4)
    ]


def halved(chair: Grids, rng: np.random.Generator) -> Grids:
    """What is below or what is above a plane at a third to two thirds of its height."""
    rows = np.flatnonzero(chair.any((0, 1)))
    cut, found = int(rows[0] + rng.uniform(1 / 3, 2 / 3) * (rows[-1] - rows[0])), chair.copy()
    found[:, :, cut:] &= rng.random() < 0.5
    if not found[:, :, cut:].any():
        return found
    found[:, :, :cut] = False
    return found


def strewn(chair: Grids, rng: np.random.Generator) -> Grids:
    """With lumps of one to eight voxels about it, half as many voxels as it has at most."""
    found = chair.copy()
    for _ in range(int(rng.integers(10, 40))):
        x, y, z = rng.integers(0, SIDE - 2, 3)
        a, b, c = rng.integers(1, 3, 3)
        found[x : x + a, y : y + b, z : z + c] = True
    return found


def worn(chair: Grids, rng: np.random.Generator) -> Grids:
    """A quarter to a half of its voxels gone, in lumps."""
    return chair & ~lumps_of(rng, rng.uniform(0.25, 0.5))


def lumps_of(rng: np.random.Generator, share: float) -> Grids:
    coarse = rng.random((SIDE // 4,) * 3) < share
    return coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)


def two(chair: Grids, other: Grids, rng: np.random.Generator) -> Grids:
    """Both, one of them moved."""
    return chair | np.roll(other, tuple(rng.integers(-6, 7, 3)), (0, 1, 2))


def no_chairs(chairs: Grids, rng: np.random.Generator) -> Grids:
    """As many grids as there are chairs, (N, 32, 32, 32)."""
    ways: list[Callable[[Grids, Grids], Grids]] = [
        lambda chair, other: table(rng),
        lambda chair, other: turned(chair, rng) if rng.random() < 0.7 else turned(table(rng), rng),
        lambda chair, other: lumps(rng),
        lambda chair, other: halved(chair, rng),
        lambda chair, other: strewn(chair, rng),
        lambda chair, other: worn(chair, rng),
        lambda chair, other: two(chair, other, rng),
        lambda chair, other: table(rng),
    ]
    others = rng.permutation(len(chairs))
    return np.stack([ways[i % len(ways)](chairs[i], chairs[others[i]]) for i in range(len(chairs))])


def classifier() -> nn.Sequential:
    """(N, 1, 32, 32, 32) in 0..1 -> (N, 1): a logit, above 0 for a chair."""
    return nn.Sequential(
        nn.Conv3d(1, 16, 4, 2, 1), nn.LeakyReLU(0.1),
        nn.Conv3d(16, 32, 4, 2, 1), nn.LeakyReLU(0.1),
        nn.Conv3d(32, 64, 4, 2, 1), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * 4**3, 1),
    )  # fmt: skip


def trained(chairs: Grids, rng: np.random.Generator) -> nn.Sequential:
    """The classifier after its passes; other non-chairs in each, and every grid mirrored at random."""
    net = classifier()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=PASSES * -(-2 * len(chairs) // BATCH))
    for number in range(PASSES):
        x = np.concatenate([chairs, no_chairs(chairs, rng)])
        y, mean = np.repeat([1.0, 0.0], len(chairs)), 0.0
        for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // BATCH)):
            grids = x[rows][:, :: 1 if rng.random() < 0.5 else -1]
            loss = nn.functional.binary_cross_entropy_with_logits(net(as_input(grids))[:, 0], torch.tensor(y[rows]).float())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
            mean += loss.item() * len(rows) / len(x)
        print(f"pass {number + 1} of {PASSES}: loss {mean:.3f}", flush=True)
    return net.eval()


def as_input(grids: Grids) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(grids)).float()[:, None]


@torch.no_grad()
def accepted(net: nn.Module, grids: Grids) -> float:
    """The share that it takes for chairs."""
    return float(np.mean([bool((net(as_input(grid[None])) > 0).item()) for grid in grids]))


def split(dataset: Dataset, first: int, last: int) -> Grids:
    return np.asarray(dataset.rows(np.arange(first, last))[..., 0] > 0)


def found(net: nn.Module, chairs: Grids, run: Path, at: int | None) -> dict[str, Any]:
    """What is said of a run's samples."""
    one = gansaku.load(run, at=at)
    samples = (one.sample(SAMPLES, seed=1)[:, 0] > 0).numpy()
    shapes = torch.from_numpy(samples)
    nearest = torch.cat([iou(part, torch.from_numpy(chairs)).amax(1) for part in shapes.split(32)])
    return {
        "run": run.name,
        "seen": one.state().seen,
        "accepted": accepted(net, samples),
        "occupancy": float(samples.mean()),
        "nearest_iou_largest": float(nearest.max()),
        "nearest_iou_median": float(nearest.median()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--at", type=int, nargs="*", help="checkpoints; the newest if none")
    parser.add_argument("--net", type=Path, help="where the classifier is kept")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    dataset = open_store(given.data)
    count, test = dataset.counts["train"], dataset.counts.get("test", 0)
    chairs, held_out = split(dataset, 0, count), split(dataset, count, count + test)
    if given.net and given.net.is_file():
        net = classifier()
        net.load_state_dict(torch.load(given.net, weights_only=True))
        net.eval()
    else:
        net = trained(chairs, rng)
        if given.net:
            torch.save(net.state_dict(), given.net)
    fresh = np.random.default_rng(SEED + 1)
    told = {
        "train": count,
        "accepted_of_test_chairs": accepted(net, held_out),
        "accepted_of_no_chairs": accepted(net, no_chairs(held_out, fresh)),
        "accepted_of_tables": accepted(net, np.stack([table(fresh) for _ in range(SAMPLES)])),
        "runs": [found(net, chairs, given.run, at) for at in given.at or [None]],
    }
    print(json.dumps(told, indent=1))
    if given.json:
        files.write_bytes(given.json, json.dumps(told, indent=1).encode())


if __name__ == "__main__":
    main()
