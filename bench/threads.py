"""What waiting threads cost beside other processes: one recipe under several OpenMP settings, wall time, in turn.

    python -m bench.threads [--busy 1] [--rounds 7]

Each setting needs a process of its own, since OpenMP reads it once; only one of them works at a time, in turns
A B C A B C …, beside `--busy` processes that do nothing but count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from . import ours

Settings = dict[str, str]

VARIANTS: dict[str, tuple[int, Settings]] = {
    "2 threads, torch's default": (2, {}),
    "1 thread": (1, {}),
    "2, OMP_WAIT_POLICY=PASSIVE": (2, {"OMP_WAIT_POLICY": "PASSIVE"}),
    "2, GOMP_SPINCOUNT=0": (2, {"GOMP_SPINCOUNT": "0"}),
    "2, GOMP_SPINCOUNT=10000000": (2, {"GOMP_SPINCOUNT": "10000000"}),
    "2, GOMP_SPINCOUNT=100000000": (2, {"GOMP_SPINCOUNT": "100000000"}),
    "2, OMP_WAIT_POLICY=ACTIVE": (2, {"OMP_WAIT_POLICY": "ACTIVE"}),
    "2, KMP_BLOCKTIME=0": (2, {"KMP_BLOCKTIME": "0"}),
}
READY = "ready"
CYCLES = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.threads")
    parser.add_argument("--busy", type=int, default=1, help="processes that only count beside it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=32, help="of DCGAN, in pixels")
    parser.add_argument("--serve", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.size)
        return
    with busy(asked.busy):
        print(f"busy {asked.busy}, load {os.getloadavg()[0]:.2f}, DCGAN {asked.size} px, batch 64, bf16: ms per cycle, wall")
        print(f"{'setting':30} {'median':>7} {'least':>7} {'most':>7}  against the first")
        times = measured(asked.rounds, asked.size)
    first = next(iter(times.values()))
    for name, row in times.items():
        ratio = statistics.median(a / b for a, b in zip(first, row, strict=True))
        print(f"{name:30} {1e3 * statistics.median(row):7.0f} {1e3 * min(row):7.0f} {1e3 * max(row):7.0f}  {ratio:.2f}×")


def measured(rounds: int, size: int) -> dict[str, list[float]]:
    """Seconds for one cycle in each round, by variant."""
    servers = {}
    for name, (threads, settings) in VARIANTS.items():
        command = [sys.executable, "-m", "bench.threads", "--serve", str(threads), "--size", str(size)]
        pipe = subprocess.PIPE
        servers[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | settings)
        answer(servers[name])
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name, server in servers.items():
            assert server.stdin is not None
            server.stdin.write("go\n")
            server.stdin.flush()
            times[name].append(float(answer(server)))
            print(f"  {name}: {1e3 * times[name][-1]:.0f} ms", file=sys.stderr, flush=True)
    for server in servers.values():
        server.communicate()
    return times


def answer(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return server.stdout.readline().strip()


def serve(threads: int, size: int) -> None:
    """Time some cycles at each line of input."""
    torch.set_num_threads(threads)
    work = ours.cycles(ours.dcgan(size).but(ours.FAST))
    work()
    print(READY, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(CYCLES):
            work()
        print((time.perf_counter() - start) / CYCLES, flush=True)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes beside this one that each keep a core busy."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
