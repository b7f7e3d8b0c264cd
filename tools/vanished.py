"""What became of voxels that vanished: the alarms of a comparison's trainings, and whether an early pattern foretold a bad end.

    python tools/vanished.py COMPARISON … [--early SHARE]

Reads the signals that each training left in its log, at every look that it had, and asks the alarms again
(`gansaku.health.alarms`). For each arm: how often `empty` or `full` rose, how often that was over again ("it vanishes, and
never recovers", article 0), and in how many trainings one stands at the end. A bad end is that, or a training that broke. A
pattern is early if in the first SHARE of the training (a quarter) the alarm `pattern` rose; beyond early, if at any look there
the samples' periodicity was beyond its limit, falling or not. Over all arms: bad ends with and without such a pattern, and p,
how often chance alone puts as many of the bad ends where there was one (Fisher's exact test, one-sided). Trainings of one seed
in several arms share data and latents, and are counted as if they did not.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gansaku.experiments import results
from gansaku.experiments.folder import Place, trainings
from gansaku.health.alarms import Alarm, Emptiness, Fullness, Islands, Looked, Pattern, alarms, history_of
from gansaku.runs import log
from gansaku.runs.folder import Folder

FINAL = ("empty", "full")


class Course(NamedTuple):
    """One training: its arm, how many samples it saw, how often it was looked at, its alarms, and what was early."""

    arm: str
    seed: int
    seen: int
    looks: int
    alarms: tuple[Alarm, ...]
    early: bool  # the alarm `pattern` rose
    beyond: bool  # some look was beyond its limit
    broken: bool

    @property
    def vanished(self) -> list[Alarm]:
        return [one for one in self.alarms if one.kind in FINAL]

    @property
    def bad(self) -> bool:
        return self.broken or any(one.until is None for one in self.vanished)


def main() -> None:
    given = arguments()
    courses = [course for path in given.comparisons for course in courses_of(Place(path), given.early)]
    print("\n".join([*table(courses), "", *foretold(courses)]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tools/vanished.py", description="What became of voxels that vanished.")
    parser.add_argument("comparisons", nargs="+", type=Path, metavar="COMPARISON", help="folders of `gansaku compare`")
    parser.add_argument("--early", type=float, default=0.25, metavar="SHARE", help="of a training: what counts as early")
    given = parser.parse_args()
    if not 0 < given.early < 1:
        parser.error(f"--early: {given.early:g} is no share of a training; use one between 0 and 1")
    return given


def courses_of(place: Place, early: float) -> list[Course]:
    """The trainings of a comparison that are over."""
    found, plan = [], place.read_plan()
    for training in trainings(plan):
        if place.result(training).exists():
            result = results.read(place.result(training))
            folder = Folder(place.run(training))
            length = folder.read_recipe()["length"]
            history = history_of(log.curves(folder.log))
            found.append(course(training.arm.name, training.seed, history, length, early, bool(result.broken)))
    return found


def course(arm: str, seed: int, history: Sequence[Looked], length: int, early: float, broken: bool) -> Course:
    """What the looks of one training show."""
    told = tuple(alarms(history, [Emptiness(), Fullness(), Pattern(), Islands()]))
    until = early * length
    rose = any(one.kind == "pattern" and one.since <= until for one in told)
    measured = [Pattern().measured(look.numbers) for look in history if look.seen <= until]
    beyond = any(one is not None and one[0] > one[1] for one in measured)
    return Course(arm, seed, history[-1].seen if history else 0, len(history), told, rose, beyond, broken)


def table(courses: Sequence[Course]) -> list[str]:
    """A row of Markdown for each arm, and one for all."""
    heads = ["arm", "trainings", "looks", "vanished or filled up", "came back", "bad ends", "early `pattern`", "beyond early",
             "`islands`, over again"]  # fmt: skip
    rows = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    arms = list(dict.fromkeys(one.arm for one in courses))
    return (
        rows + [row(arm, [one for one in courses if one.arm == arm]) for arm in arms] + [row("all", courses)] * (len(arms) > 1)
    )


def row(name: str, courses: Sequence[Course]) -> str:
    vanished = [alarm for one in courses for alarm in one.vanished]
    islands = [alarm for one in courses for alarm in one.alarms if alarm.kind == "islands"]
    cells = [
        name,
        len(courses),
        sum(one.looks for one in courses),
        f"{len(vanished)} times, in {sum(bool(one.vanished) for one in courses)}",
        sum(one.until is not None for one in vanished),
        sum(one.bad for one in courses),
        sum(one.early for one in courses),
        sum(one.beyond for one in courses),
        f"{len(islands)}, {sum(one.until is not None for one in islands)}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def foretold(courses: Sequence[Course]) -> list[str]:
    """Two sentences: bad ends with and without an early pattern, by the alarm and by the plain limit."""
    said = []
    for name, which in (("the alarm `pattern` rose early", "early"), ("an early look was beyond its limit", "beyond")):
        marked = [one.bad for one in courses if getattr(one, which)]
        others = [one.bad for one in courses if not getattr(one, which)]
        p = fisher(sum(marked), len(marked), sum(others), len(others))
        said.append(
            f"Where {name}: {sum(marked)} bad ends of {len(marked)}; elsewhere {sum(others)} of {len(others)}; p = {p:.3g}."
        )
    return said


def fisher(bad: int, marked: int, others_bad: int, others: int) -> float:
    """P(at least `bad` of the `marked` are bad) if chance alone places them: a hypergeometric tail (Fisher 1935), in (0, 1]."""
    all_bad, total = bad + others_bad, marked + others
    ways = sum(math.comb(all_bad, k) * math.comb(total - all_bad, marked - k) for k in range(bad, min(marked, all_bad) + 1))
    return ways / math.comb(total, marked)


if __name__ == "__main__":
    main()
