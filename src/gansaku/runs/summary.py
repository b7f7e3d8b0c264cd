"""A run in a screenful, read from its folder without torch; every checkpoint is verified."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gansaku.metrics.passport import Score
from gansaku.runs import log, manifest
from gansaku.runs.alarms import standing
from gansaku.runs.folder import Folder, opened


def summarize(path: Path) -> dict[str, Any]:
    """What the run is, how far it is, its last numbers, checkpoints and newest sheet."""
    folder = opened(path)
    about, recipe = folder.read_about(), folder.read_recipe()
    checkpoints = manifest.listed(folder.checkpoints)
    good = [checkpoint["seen"] for checkpoint in checkpoints if checkpoint["state"] == "good"]
    last = {name: points[-1] for name, points in log.curves(folder.log).items()}
    seen = max([*good, *[at for at, _ in last.values()]], default=0)
    sheet = folder.newest_sheet()
    events = [event for event in log.events(folder.log) if event.kind != "save"]  # the checkpoints are listed
    return {
        "run": str(path),
        "recipe": about["recipe"],
        "data": {name: about["data"][name] for name in ("name", "source", "shape", "count")} | classes(about["data"]),
        "conditional": bool(recipe.get("classes")),
        "seen": seen,
        "length": recipe["length"],
        "passes": round(seen / about["data"]["count"], 2),
        "starts": log.attempts(folder.log),
        "alarms": [{"seen": e.seen, "sentence": e.sentence} for e in standing(events)],
        "parameters": parameters(manifest.place(folder.checkpoints, good[-1]) / manifest.TENSORS) if good else {},
        "last": {name: value for name, (_, value) in last.items()},
        "scores": [{"seen": at, "score": str(score)} for at, score in last_scores(folder)],
        "events": [{"seen": e.seen, "kind": e.kind, "sentence": e.sentence} for e in events],
        "checkpoints": checkpoints,
        "sheet": str(sheet) if sheet else None,
        "report": str(folder.report) if folder.report.is_file() else None,
        "machine": about["machine"],
    }


def classes(data: Mapping[str, Any]) -> dict[str, Any]:
    """Training samples by class, as the run was told; of a run that was made before it was, the names alone."""
    return {"classes": data.get("balance") or data["classes"]} if data.get("classes") else {}


def last_scores(folder: Folder) -> list[tuple[int, Score]]:
    """The last one of each kind."""
    last = {(score.name, score.passport.digest): (at, score) for at, score in log.scores(folder.log)}
    return list(last.values())


def parameters(file: Path) -> dict[str, int]:
    """Weights of each network (buffers included), from the header of a safetensors file alone."""
    try:
        with file.open("rb") as opened_file:
            header = json.loads(opened_file.read(int.from_bytes(opened_file.read(8), "little")))
    except OSError:  # just removed by who writes here
        return {}
    counts: dict[str, int] = {}
    for name, entry in header.items():
        if name.startswith("net/") and not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            player = name.split("/")[1]
            counts[player] = counts.get(player, 0) + math.prod(entry["shape"])
    return counts
