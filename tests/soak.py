"""Hours of what the tests do in a minute: kills by the thousand, and a long training whose memory must not grow.

    python tests/soak.py --kills 1000 --minutes 60 --ranks 10 --json soak.json

The kills are the same for the same --seed; only those at a time of the clock hit something else each time. With --ranks, each
process of two and of four that train together is killed and stopped once a round. Whatever fails stays in the folder that is
named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "runs"))

import crew
import numpy as np
from nursery import (
    TEARS,
    Case,
    Child,
    Kill,
    Nursery,
    Straight,
    at_random,
    before,
    continued,
    lived,
    straight,
    torn,
)

from gansaku.runs import log

METHODS = ("ada", "batch_norm", "began", "clipping", "cramer", "denoising", "dropout", "gate", "growth", "lazy_r1", "lecam",
           "many_logits", "relativistic_average", "replay", "spectral", "wgan_gp")  # fmt: skip
LONGER = {"growth": "length=128", "wgan_gp": "length=96", "clipping": "length=96", "cramer": "length=64"}
MOST = 2.0  # MiB an hour that a training's memory may grow
MOST_FAILURES = 20  # then it is enough
EVERY = 10.0  # seconds between two looks at it


def matrix() -> list[Case]:
    """Every recipe, method, number format and path, in 2D and in 3D."""
    cases = []
    for data in ("pictures", "voxels"):
        for recipe in ("auto", "dcgan"):
            for precision in ("fp32", "bf16"):
                for fast in ("all", "none"):
                    settings = (f"precision={precision}", f"fast={fast}")
                    cases.append(Case(f"{recipe} {data} {precision} {fast}", data, settings, recipe=recipe))
        for method in METHODS:
            settings = (LONGER[method],) if method in LONGER else ()
            cases.append(Case(f"{method} {data}", data, settings, method=method))
    return cases


def kills(count: int, seed: int, place: Path) -> dict[str, Any]:
    """So many kills; what they were and what failed."""
    draw, known, counts, cases = random.Random(seed), dict[str, Straight](), Counter[str](), Counter[str]()
    failures, lives, started, told = list[dict[str, Any]](), 0, time.monotonic(), 0
    place.mkdir(parents=True, exist_ok=True)
    with Nursery() as nursery:
        while counts.total() < count and len(failures) < MOST_FAILURES:
            case, lives = draw.choice(matrix()), lives + 1
            folder, seconds = place / f"life-{lives}", draw.choice((0.0, 0.0, 0.05))
            try:
                if case.name not in known:
                    known[case.name] = straight(nursery, case, place, place / f"straight-{lives}")
                planned = [drawn(known[case.name], draw, first=i == 0) for i in range(draw.randint(1, 4))]
                done = lived(nursery, case, known[case.name], place, folder, planned, seconds)
            except Exception:
                failures.append({"life": lives, "case": case.name, "folder": str(folder), "error": traceback.format_exc()})
                print(f"FAILED {case.name} in {folder}\n{failures[-1]['error']}", flush=True)
                continue
            counts.update(kill.kind for kill in done)
            cases.update([case.name] * len(done))
            shutil.rmtree(folder)
            if counts.total() // 50 > told:
                told = counts.total() // 50
                print(f"{counts.total():6,} kills in {lives:,} lives, {len(failures)} failed, "
                      f"{time.monotonic() - started:,.0f} s", flush=True)  # fmt: skip
    found = {"kills": counts.total(), "lives": lives, "seed": seed, "seconds": round(time.monotonic() - started),
             "failures": failures, "kinds": dict(counts.most_common()), "cases": dict(sorted(cases.items()))}  # fmt: skip
    print(table(found["kinds"]), flush=True)
    return found


def drawn(reference: Straight, draw: random.Random, first: bool) -> Kill:
    """Two of three at any time; else in the midst of a write or just before an operation."""
    if draw.random() < 2 / 3:
        return at_random(draw)
    if not first:
        return continued(draw)
    if draw.random() < 1 / 3:
        return torn(reference, draw, draw.choice(list(TEARS)))
    return before(reference, draw, draw.choice(sorted({o.kind for o in reference.operations})))


def table(counts: dict[str, int]) -> str:
    return "\n".join(f"{number:6,}  {kind}" for kind, number in counts.items())


def memory(minutes: float, place: Path) -> dict[str, Any]:
    """A training of tiny networks for so many minutes, with sheets, log, report and checkpoints every few seconds."""
    place.mkdir(parents=True, exist_ok=True)
    with Nursery() as nursery:
        case = Case("auto", "pictures", ("precision=fp32", f"length={length(nursery, place, minutes)}"))
        run = place / "long"
        run.mkdir()
        child = nursery.start(*case.command(place), folder=run, seconds=5.0, sheet=64)
        looks = watched(child, 60 * minutes)
        child.send(signal.SIGTERM)
        code = child.wait(60)
    there = looks[int(min(15 * 60, 15 * minutes) / EVERY) :]  # 15 minutes, or a quarter, to warm up
    hours, sizes = np.array([[look["seconds"] / 3600, look["MiB"]] for look in there]).T
    line, covariance = np.polyfit(hours, sizes, 1, cov=True)
    slope, error = round(float(line[0]), 3), round(float(covariance[0, 0] ** 0.5), 3)
    middle = len(there) // 2
    grown = {what: int(least(there[middle:], what) - least(there[:middle], what)) for what in ("files", "threads")}
    problems = [f"{number} more {what} at the end" for what, number in grown.items() if number > 0]
    if slope - 2 * error > MOST:
        problems.append(f"memory grew by {slope:.2f} MiB an hour")
    if code != 128 + signal.SIGTERM:
        problems.append(f"ended with {code}: {child.said[-500:]}")
    made = {what: len(list((run / "run").glob(f"{what}/*"))) for what in ("sheets", "checkpoints")}
    return {"minutes": minutes, "MiB an hour": slope, "standard error": error, "from MiB": float(sizes[0]),
            "to MiB": float(sizes[-1]), **made, "failures": problems, "looks": looks}  # fmt: skip


def length(nursery: Nursery, place: Path, minutes: float) -> int:
    """Samples for twice as long as it is to run, by the speed of a short training."""
    straight(nursery, Case("auto", "pictures", ("precision=fp32", "length=4000")), place, place / "short", seconds=5.0)
    speeds = [speed for _, speed in log.curve(place / "short" / "run" / "log.sqlite", "samples_per_second")]
    return int(2 * 60 * minutes * np.median(speeds))


def watched(child: Child, seconds: float) -> list[dict[str, float]]:
    """What the process holds, every few seconds."""
    started, looks = time.monotonic(), list[dict[str, float]]()
    while time.monotonic() - started < seconds:
        time.sleep(min(EVERY, seconds / 20))
        assert child.running, child.said[-500:]
        own = Path(f"/proc/{child.pid}")
        pages = int((own / "statm").read_text().split()[1])
        looks.append({"seconds": round(time.monotonic() - started, 1), "MiB": round(pages * 4096 / 2**20, 3),
                      "files": len(list((own / "fd").iterdir())), "threads": len(list((own / "task").iterdir()))})  # fmt: skip
    return looks


def least(looks: list[dict[str, float]], what: str) -> float:
    """The fewest at any look: what is open for a moment only does not count."""
    return min(look[what] for look in looks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--ranks", type=int, default=0, metavar="ROUNDS", help="12 kills and stops of ranks each")
    parser.add_argument("--rank-timeout", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    place, found = Path(tempfile.mkdtemp(prefix="soak-")), dict[str, Any]()
    if asked.kills:
        found["kills"] = kills(asked.kills, asked.seed, place / "kills")
    if asked.minutes:
        found["memory"] = memory(asked.minutes, place / "memory")
        print({name: value for name, value in found["memory"].items() if name != "looks"}, flush=True)
    if asked.ranks:
        found["ranks"] = crew.rounds(asked.ranks, asked.seed, place / "ranks", timeout=asked.rank_timeout)
        print({name: value for name, value in found["ranks"].items() if name != "failures"}, flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    failed = [failure for part in found.values() for failure in part["failures"]]
    if not failed:
        shutil.rmtree(place)
    print(f"{len(failed)} failed; what is left of them lies in {place}" if failed else "nothing failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
