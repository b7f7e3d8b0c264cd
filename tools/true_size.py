"""Every recipe at its true size for ten cycles on the bundled data: parameters, memory, CPU time, and an exact resume.

    python tools/true_size.py run [NAME …] [--results FOLDER]     each in processes of its own; what is done is not done again
    python tools/true_size.py page [--results FOLDER]             the table, as Markdown

A run of ten cycles and one that is stopped after five and continued by another process: both checkpoints must hold the
same bits. Memory is the most that the first process held, data, sheet and report included; so is the CPU time, which other
work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gansaku import api, files
from gansaku.data.sources import open_data
from gansaku.recipe import Recipe
from gansaku.recipes.registry import find, recipes
from gansaku.runs import manifest
from gansaku.runs.folder import opened
from gansaku.runs.live import Scoring
from gansaku.training.step import by_batch

ROOT = Path(__file__).resolve().parents[1]
CYCLES = 10


def main() -> None:
    given = arguments()
    if given.verb == "train":
        print(json.dumps(train(given.names[0], Path(given.names[1]), int(given.names[2]))))
    elif given.verb == "run":
        for name in given.names or recipes():
            place = given.results / f"{name}.json"
            if not place.exists():
                files.make_folder(given.results)
                files.write_text(place, json.dumps(tried(name), indent=1) + "\n")
                print(place.name, flush=True)
    else:
        print(table([json.loads(path.read_text()) for path in sorted(given.results.glob("*.json"))]), end="")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "page", "train"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "true-size")
    return parser.parse_args()


def recipe_for(name: str) -> tuple[str, Recipe]:
    """The bundled data of the recipe's kind, and the recipe for them."""
    source = "chairs" if len(recipes()[name].shape) == 4 else "avatars"
    return source, find(name, open_data(source).facts)


def train(name: str, run: Path, cycles: int) -> dict[str, Any]:
    """Train to so many cycles, or go on to them; and the memory that it took."""
    source, recipe = recipe_for(name)
    length = cycles * recipe.batch * len(by_batch(recipe.cycle))
    started = time.process_time()
    api.train(name, source, run, {"length": length}, scoring=Scoring(share=0))
    return {
        "cpu_seconds": time.process_time() - started,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "samples": length,
    }


def tried(name: str) -> dict[str, Any]:
    """Both runs, compared."""
    source, recipe = recipe_for(name)
    with tempfile.TemporaryDirectory() as temporary:
        whole, halved = Path(temporary) / "whole", Path(temporary) / "halved"
        seen = child(name, whole, CYCLES)
        child(name, halved, CYCLES // 2)
        child(name, halved, CYCLES)
        bits = [tensors(run) for run in (whole, halved)]
    return {
        "recipe": name,
        "data": source,
        "shape": list(recipe.shape),
        "batch": recipe.batch,
        "precision": recipe.precision,
        "parameters": api.parameters(recipe),
        **seen,
        "same_bits": bits[0] == bits[1],
        "machine": {key: api.info()[key] for key in ("cpu", "torch", "threads", "device")},
        "date": time.strftime("%Y-%m-%d"),
    }


def child(name: str, run: Path, cycles: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "train", name, str(run), str(cycles)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def tensors(run: Path) -> str:
    """The SHA-256 of everything that the newest checkpoint holds."""
    newest = manifest.found(opened(run).checkpoints)[-1]
    return str(manifest.check(newest)["files"][manifest.TENSORS]["sha256"])


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| recipe | samples | parameters | memory at the peak | CPU time of ten cycles | continued with the same bits |",
        "|---|---|---|---|---|---|",
    ]
    for one in results:
        sides = " × ".join(map(str, one["shape"]))
        parameters = ", ".join(f"{player} {count:,}" for player, count in one["parameters"].items())
        same = "yes" if one["same_bits"] else "**no**"
        lines.append(
            f"| {one['recipe']} | {sides}, batch {one['batch']} | {parameters} | {files.amount(one['memory'])} "
            f"| {one['cpu_seconds']:.0f} s | {same} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
