"""Print the table; write JSON where asked."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from gansaku import hardware

from .measure import Row, clock_for
from .rows import Plan, all_rows

STDOUT = Path("-")


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    plan = Plan(asked.rounds, asked.steps or (1 if asked.quick else 3), not asked.quick, clock_for(asked.threads))
    about = machine(asked.threads)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(f"{'work':34} {'plain':>9} {'ours':>9} {'':8} {'ratio':>6} {'spread':>7} {'target':>7}  against")
    rows = []
    for row in all_rows(plan, asked.only):
        print(line(row), flush=True)
        rows.append(row.as_json())
        about["load after"] = load()
        if asked.json not in (None, STDOUT):  # after each row: what was measured is not lost
            asked.json.write_text(as_json(about, plan, rows))
    if asked.json == STDOUT:
        print(as_json(about, plan, rows), end="")


def as_json(about: dict[str, Any], plan: Plan, rows: list[dict[str, Any]]) -> str:
    return json.dumps({"machine": about, "rounds": plan.rounds, "steps": plan.steps, "rows": rows}, indent=1) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Gansaku against the same work in plain PyTorch.")
    parser.add_argument("--quick", action="store_true", help="one step a round, and without 64³")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="1 measures CPU time, more wall time")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="of the plain side in a round (ours: twice as many)")
    parser.add_argument(
        "--only",
        default="",
        metavar="NAME",
        help="dcgan, wgan-gp, chainer-gan-lib, sngan, 3d-gan, growth, auto, procs, sentinel, signals, feeding, pictures, "
        "voxel files, drawing, inception, frechet, mifid",
    )
    parser.add_argument("--json", type=Path, nargs="?", const=STDOUT, metavar="FILE", help="also as JSON, here or in a file")
    return parser.parse_args()


def machine(threads: int) -> dict[str, Any]:
    """What a ratio depends on. oneDNN may be held to older instructions by ONEDNN_MAX_CPU_ISA."""
    return {
        **hardware.describe(torch.device("cpu")),
        "threads": threads,
        "amx": torch.cpu._is_amx_tile_supported(),
        "isa limit": os.environ.get("ONEDNN_MAX_CPU_ISA", "none"),
        "clock": "CPU" if threads == 1 else "wall",
        "load before": load(),
        "date": time.strftime("%Y-%m-%d"),
    }


def load() -> float:
    """Of the last minute."""
    return round(os.getloadavg()[0], 2)


def line(row: Row) -> str:
    target = "" if row.target is None else f"{row.target:.1f}×"
    speeds = f"{row.plain:9.4g} {row.ours:9.4g} {row.unit:8}"
    return f"{row.work:34} {speeds} {row.ratio:5.2f}× {row.spread:6.0%} {target:>7}  {row.against}"


if __name__ == "__main__":
    main()
