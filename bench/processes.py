"""What a second process gives: the same global batch by one process of one thread and by two, and what they tell each other.

    python -m bench.processes [--rounds 5] [--seconds 4] [--only progressive] [--json FILE]

Messages and bytes are counted, and are the same on every machine. Speeds are wall time and need two quiet cores: both processes
wait for the slower one in every message, so what else the machine does shows as time in messages. `CPU` is the CPU time of all
processes for a sample, which other programs do not stretch: what two processes do twice stands there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from gansaku.contract import Phase, Piece
from gansaku.draws import Rows
from gansaku.networks.blocks import CHANNELS_LAST
from gansaku.recipe import Recipe
from gansaku.training.state import begin
from gansaku.training.step import Data, cycle

from . import ours
from .measure import Row

WORLDS = (1, 2)
TALK = ("all_reduce", "all_gather", "broadcast")  # what the training calls of torch.distributed


def works(full: bool) -> dict[str, Callable[[], Recipe]]:
    """Recipes in fp32, and in article 2's batches where they grow; `full` adds what takes minutes."""
    found: dict[str, Callable[[], Recipe]] = {
        "DCGAN 32 px, batch 64": partial(in_fp32, partial(ours.dcgan, 32)),
        "WGAN-GP 32 px, 5 D + 1 G, small": partial(in_fp32, partial(ours.chainer, "wgan-gp", 64, 16)),
    }
    for size, batch in ((8, 16), (16, 16), (32, 16), *([(8, 128), (64, 16)] if full else [])):
        found[f"progressive {size} px, batch {batch}"] = partial(in_fp32, partial(ours.growth, size, batch))
    return found


def in_fp32(recipe: Callable[[], Recipe]) -> Recipe:
    """In fp32, on the fast path."""
    return recipe().but(ours.FAST_FP32)


@dataclass(frozen=True)
class Told:
    """Of so many processes on one global batch: wall time, what went to and fro, for a real sample."""

    samples_per_second: float
    cpu: float  # seconds of all processes for a sample
    talking: float  # share of the wall time in messages, waiting for the other included
    messages: float  # of one process, for a sample
    kilobytes: float  # that one process hands to its messages, for a sample


class Counter:
    """Counts and times what a process says to the others."""

    def __init__(self) -> None:
        self.messages, self.bytes, self.seconds = 0, 0, 0.0
        for name in TALK:
            setattr(distributed, name, self.counted(getattr(distributed, name)))

    def counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def talk(*arguments: Any, **named: Any) -> Any:
            own = next(a for a in reversed(arguments) if isinstance(a, torch.Tensor))  # what this process brings
            started = time.perf_counter()
            try:
                return original(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - started
                self.messages += 1
                self.bytes += own.numel() * own.element_size()

        return talk

    def reset(self) -> None:
        self.messages, self.bytes, self.seconds = 0, 0, 0.0


def feeding(recipe: Recipe, rank: int, world: int) -> Data:
    """This rank's rows of one fixed batch of noise."""
    real = ours.real_batch(recipe).contiguous(memory_format=CHANNELS_LAST[len(recipe.shape) - 1])
    each = recipe.batch // world
    rows = Rows(rank * each, (rank + 1) * each, recipe.batch)
    real, labels = real[rows.start : rows.stop], torch.zeros(each, dtype=torch.long)

    def data(seen: int, phase: Phase) -> list[Piece]:
        return [Piece(rows, real, labels, {})]

    return data


def rank_of(rank: int, world: int, name: str, port: int, orders: Any) -> None:
    """One process: does as many cycles as it is told, and tells what they took."""
    torch.set_num_threads(1)
    os.environ.update(GLOO_SOCKET_IFNAME="lo", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    counter = Counter()
    if world > 1:
        distributed.init_process_group("gloo", rank=rank, world_size=world, timeout=timedelta(seconds=300))
    recipe = works(full=True)[name]()
    state, data = begin(recipe), feeding(recipe, rank, world)
    while (cycles := orders.recv()) > 0:
        counter.reset()
        began, cpu, seen = time.perf_counter(), time.process_time(), state.seen
        for _ in range(cycles):
            cycle(state, recipe, data)
        orders.send({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "samples": state.seen - seen,
                     "messages": counter.messages, "bytes": counter.bytes, "talking": counter.seconds})  # fmt: skip
    if world > 1:
        distributed.destroy_process_group()


class Crew:
    """So many processes that do the same work together."""

    def __init__(self, name: str, world: int, port: int):
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe() for _ in range(world)]
        self.ends = [mine for mine, _ in pipes]
        self.processes = [
            context.Process(target=rank_of, args=(rank, world, name, port, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process in self.processes:
            process.start()

    def go(self, cycles: int) -> list[dict[str, float]]:
        for end in self.ends:
            end.send(cycles)
        return [end.recv() for end in self.ends]

    def end(self) -> None:
        for end in self.ends:
            end.send(0)
        for process in self.processes:
            process.join(30)
            if process.is_alive():
                process.kill()


def told(found: list[dict[str, float]]) -> Told:
    """Of one round, by rank."""
    samples, seconds = found[0]["samples"], max(one["seconds"] for one in found)
    talking = statistics.mean(one["talking"] / one["seconds"] for one in found)
    return Told(samples / seconds, sum(one["cpu"] for one in found) / samples, talking, found[0]["messages"] / samples,
                found[0]["bytes"] / samples / 1000)  # fmt: skip


def measured(name: str, rounds: int, wanted: float) -> dict[int, list[Told]]:
    """By number of processes, what each round gave; they work in turn, `wanted` seconds each."""
    crews = {world: Crew(name, world, 29_600 + world) for world in WORLDS}
    try:
        cycles = {}
        for world, crew in crews.items():
            crew.go(1)
            taken = max(one["seconds"] for one in crew.go(1))
            cycles[world] = max(1, round(wanted / taken))
        found: dict[int, list[Told]] = {world: [] for world in WORLDS}
        for _ in range(rounds):
            for world, crew in crews.items():
                found[world].append(told(crew.go(cycles[world])))
        return found
    finally:
        for crew in crews.values():
            crew.end()


def median(rounds: list[Told]) -> Told:
    names = asdict(rounds[0])
    return Told(**{name: statistics.median(getattr(one, name) for one in rounds) for name in names})


def rows(rounds: int, full: bool, only: str = "", seconds: float = 4.0) -> Iterator[Row]:
    """One process of one thread against two; the messages stand in the last column."""
    for name in works(full):
        if only not in name:
            continue
        found = measured(name, rounds, seconds)
        one, two = (median(found[world]) for world in WORLDS)
        ratios = [b.samples_per_second / a.samples_per_second for a, b in zip(*found.values(), strict=True)]
        middle = statistics.median(ratios)
        talk = f"{two.messages:.2f} messages and {two.kilobytes:,.0f} kB a sample, {two.talking:.0%} of the time in them"
        against = f"one process of one thread; {talk}; CPU {1e3 * one.cpu:.2f} → {1e3 * two.cpu:.2f} ms a sample"
        yield Row(f"1 → 2 processes: {name}", "img/s", one.samples_per_second, two.samples_per_second, middle,
                  (max(ratios) - min(ratios)) / middle, None, against)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.processes", description="One process of one thread against two.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each side in a round")
    parser.add_argument("--only", default="", metavar="NAME")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores; wall time")
    made = []
    for row in rows(asked.rounds, True, asked.only, asked.seconds):
        print(
            f"{row.work:50} {row.plain:8.1f} → {row.ours:8.1f} img/s  {row.ratio:.2f}× ±{row.spread / 2:.0%}  {row.against}",
            flush=True,
        )
        made.append(row.as_json())
    if asked.json:
        asked.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
