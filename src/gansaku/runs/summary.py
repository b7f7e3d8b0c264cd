"""A run in a screenful, read from its folder without torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from gansaku.runs import log
from gansaku.runs.folder import opened


def summarize(path: Path) -> dict[str, Any]:
    """What the run is, how far it is, its last numbers, checkpoints and newest sheet."""
    folder = opened(path)
    about, recipe = folder.read_about(), folder.read_recipe()
    checkpoints = sorted(p for p in folder.checkpoints.glob("*") if p.name.isdigit())
    curves = {name: log.curve(folder.log, name) for name in log.names(folder.log)}
    last = {name: points[-1] for name, points in curves.items() if points}
    seen = max((at for at, _ in last.values()), default=0)
    sheet = folder.newest_sheet()
    return {
        "run": str(path),
        "recipe": about["recipe"],
        "data": {name: about["data"][name] for name in ("name", "source", "shape", "count")},
        "seen": seen,
        "length": recipe["length"],
        "passes": round(seen / about["data"]["count"], 2),
        "starts": log.attempts(folder.log),
        "parameters": parameters(checkpoints[-1] / "tensors.safetensors") if checkpoints else {},
        "last": {name: value for name, (_, value) in last.items()},
        "events": [{"seen": seen, "kind": kind, "sentence": text} for seen, kind, text in log.events(folder.log)],
        "checkpoints": [p.name for p in checkpoints],
        "sheet": str(sheet) if sheet else None,
        "machine": about["machine"],
    }


def parameters(file: Path) -> dict[str, int]:
    """Weights of each network (buffers included), from the header of a safetensors file alone."""
    with file.open("rb") as opened_file:
        header = json.loads(opened_file.read(int.from_bytes(opened_file.read(8), "little")))
    counts: dict[str, int] = {}
    for name, entry in header.items():
        if name.startswith("net/") and not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            player = name.split("/")[1]
            counts[player] = counts.get(player, 0) + math.prod(entry["shape"])
    return counts
