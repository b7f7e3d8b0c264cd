"""Trains every method for some minutes on real data, and writes the pages of results.

    python -m tools.trials plan                    what is to be done, and what is done
    python -m tools.trials run [--until MINUTES]   work down the plan; the same command goes on, wherever it was stopped
    python -m tools.trials page                    docs/results/methods.md and article-1.md, from the results that are there

Plan A: each recipe at a quarter of the width on CIFAR-10 and on the bundled avatars, --minutes of CPU time each. Plan B:
article 1's question. Plan C: what else was tried where a method failed. Plan D: the methods of articles 3 and 4 and of today.
Plan E: what `auto` should choose, at full width.
A run's length in samples is measured once and stored with the results;
unfinished runs lie in --work, results (small files) in --results. What was finished is never done again.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from tools import true_size

from gansaku import files
from gansaku.data.sources import open_data
from gansaku.errors import GansakuError
from gansaku.recipes import registry

from . import article, choice, page, plan, queue, verdict, words, work
from .plan import Trial
from .verdict import Results
from .work import Places

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    given = arguments()
    places = Places(
        given.work.resolve(), given.results.resolve(), given.cifar.resolve(), given.dogs.resolve(), given.faces.resolve()
    )
    by_name = {trial.name: trial for trial in plan.trials()}
    try:
        if given.verb == "child":
            work.carry_out(by_name[given.trial], places, given.length)
        elif given.verb == "speed":
            print(json.dumps(work.speed(by_name[given.trial], places)))
        elif given.verb == "run":
            return run(given, places)
        elif given.verb == "plan":
            show(given, places)
        elif given.verb == "page":
            write_pages(places)
            tell_statuses(results(places))
    except GansakuError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tools.trials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("plan", "run", "page", "child", "speed"):
        one = verbs.add_parser(verb)
        if verb in ("child", "speed"):  # what `run` starts
            one.add_argument("trial")
        if verb == "child":
            one.add_argument("length", type=int)
        one.add_argument("--work", type=Path, default=ROOT / "build" / "trials", help="where unfinished runs lie")
        one.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "methods")
        one.add_argument("--cifar", type=Path, default=Path("cifar10.zip"), help="CIFAR-10 as pictures in class folders")
        one.add_argument("--dogs", type=Path, default=Path("dogs.h5"), help="Stanford Dogs, prepared: docs/how-to/dogs.md")
        one.add_argument("--faces", type=Path, default=Path("faces.zip"), help="drawn faces of 64 px")
        one.add_argument(
            "--only", default="ABCDE", help="plans, as A or BC; and of one dataset or recipe: A:cifar10, A:wgan-gp"
        )
        one.add_argument("--minutes", type=float, default=15.0, help="CPU time of a training of plan A")
        one.add_argument("--jobs", type=int, default=2, help="trainings at a time")
        one.add_argument("--until", type=float, help="minutes from now at which to stop; the same command goes on")
    return parser.parse_args()


def chosen(only: str) -> list[Trial]:
    """The trials of `A`, `BC`, `A:wgan-gp,dfm` or `A:cifar10`."""
    letters, _, rest = only.partition(":")
    words = set(rest.split(",")) if rest else set()
    return [t for t in plan.trials(letters) if not words or words & {t.recipe, t.data, t.arm, t.name}]


def run(given: argparse.Namespace, places: Places) -> int:
    """0 when all that was asked for has a result, 1 when something is left."""
    stopping = queue.Stopping(None if given.until is None else 60 * given.until)
    stopping.listen()
    reasons = {trial: reason(trial, places) for trial in plan.trials()}
    lacking = {trial.group: f"{trial.name}: {why}" for trial, why in reasons.items() if why}  # a group is compared as a whole
    wanted = [trial for trial in chosen(given.only) if trial.group not in lacking]
    missing = [trial for trial in chosen(given.only) if trial.group in lacking]
    for sentence in sorted({lacking[trial.group] for trial in missing}):
        print(f"left out: {sentence}", flush=True)
    left = queue.work_down(
        wanted, places, given.minutes, given.jobs, stopping, partial(queue.started, places=places),
        partial(queue.speed_of, places=places, stopping=stopping), partial(print, flush=True),
    )  # fmt: skip
    print(f"{len(wanted) - left} of {len(wanted) + len(missing)} done", flush=True)
    return int(left + len(missing) > 0)


def reason(trial: Trial, places: Places) -> str:
    """Why a trial cannot be carried out as things are; empty if it can."""
    try:
        plan.made(trial, open_data(places.data(trial)).facts)
    except GansakuError as error:
        return str(error)
    return ""


def show(given: argparse.Namespace, places: Places) -> None:
    lengths = json.loads(places.plan.read_text()) if places.plan.exists() else {}
    for trial in chosen(given.only):
        state = "done" if places.result(trial).exists() else "begun" if places.run(trial).exists() else "not run yet"
        samples = f"{lengths[trial.group]['samples']:,} samples" if trial.group in lengths else "not measured"
        print(f"{trial.name:55} {given.minutes * trial.minutes:5.1f} min  {samples:20} {state}")


def write_pages(places: Places) -> None:
    """The pages and charts beside the folder of results."""
    found = results(places)
    lengths = json.loads(places.plan.read_text()) if places.plan.exists() else {}
    pages = {
        "methods.md": page.methods(found, lengths, true_sizes(places.results.parent / "true-size")),
        "article-1.md": article.article(found, lengths),
        "auto.md": choice.choice(found, lengths),
        **article.charts(found),
    }
    for name, text in pages.items():
        path = places.results.parent / name
        files.make_folder(path.parent)
        files.write_text(path, text)


def true_sizes(folder: Path) -> str:
    """The table of what tools/true_size.py has measured; "" if nothing."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return true_size.table(found) if found else ""


def results(places: Places) -> Results:
    """What was finished, by the trial's name, in the plan's order."""
    return {t.name: json.loads(places.result(t).read_text()) for t in plan.trials() if places.result(t).exists()}


def tell_statuses(found: Results) -> None:
    """Which recipes may be called `trained briefly`, and which are called so."""
    said = {name: entry.status for name, entry in registry.recipes().items()}
    seen = {data: verdict.trained(found, data) for data in plan.FACTS}
    for data, names in seen.items():
        print(f"may be called trained briefly, on {words.DATA_NAMES[data]}: {words.listed(names)}")
    either = sorted({name for names in seen.values() for name in names})
    print(f"of these the product says so of: {words.listed(name for name in either if said[name] != 'builds')}")
    print(f"and not yet of: {words.listed(name for name in either if said[name] == 'builds')}")


if __name__ == "__main__":
    sys.exit(main())
