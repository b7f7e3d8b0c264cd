"""docs/results/methods.md from the results that are there: text in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import verdict
from .plan import DATA, PLANS, REDUCTION, SHARES, Trial, full_length, trials
from .verdict import DIVERSITY, HALVES, MAD, ONE_PICTURE, Result, Results, mad, shortfall, status
from .words import DATA_NAMES, NONE, distance, listed, machine, minutes, number, pictures, table, wrapped

ACROSS = 3  # sheets in a row

HEAD = """# Every method, trained briefly

Whether each method learns at all, in minutes on one CPU thread. **The figures say nothing of how good a method can be**:
the networks have a quarter of their width and see a fraction of the samples that their source asks for. One seed each, so a
small difference between two methods means nothing.

```
make methods CIFAR10=cifar10.zip
```

which is `python -m tools.trials run --cifar cifar10.zip --dogs dogs.h5 --faces faces.zip --minutes {minutes:g} --jobs 2` and
then `python -m tools.trials page`.
Stopped, the same command goes on: each training from its last checkpoint, and what has a result is never done again.

{machine} Two trainings at a time. The data are CIFAR-10's 50,000 training pictures and the 9,000 bundled avatars.

**Length.** Each method's CPU time for a sample was measured once, which gave the samples that it sees in {minutes:g}
minutes ([lengths.json](methods/lengths.json)); from then on samples count and not the clock. *CPU* in the tables is what
the training took in the end, with its scores on the way and its starts. In the same way each training of [article 1's
question](article-1.md) got {minutes_b:g} minutes.

**Reduction.** Every width is divided by {reduction}: `width` of G, of D and of the classifier, the denoiser's `features`,
and minibatch discrimination's `kernels`. Everything else is the recipe's: batch, learning rates, order of the moves,
penalties, the size of z, the code of 128 of BEGAN's auto-encoder, Cramér's 256 outputs, 32 px.

**Numbers.** *Distance* is the Fréchet distance in the features of random convolutions (random-2d): {count:,} samples of the
last state, seed 1, against {count:,} training pictures. It is no FID. So many other pictures against the same ones:
{real}. *Untrained* is the same generator after 0 samples. *Best* is the lowest value on the way, with its
moment as a share of the run; there are twenty, of 1,000 samples each, so that they stand a little higher. *Diversity* is the
mean distance between two samples over that between two pictures, in the same features: 1 is the data's. *Alike* is the share of
pairs of samples as close as the closest 0.1 % of pairs of pictures, by the signal `duplicates` when it was last looked at:
0.1 % is the data's, and more is the same few pictures over and over. *Class accuracy* is
the share of samples in which a linear classifier of the same features sees the class asked for; it had no part in the
training, learns from three quarters of {class_count:,} pictures, and in brackets stands its accuracy on the last quarter.
Chance is 0.10 on CIFAR-10, and 0.09 on the avatars, whose classes are their eleven colours of hair.

**Status.** *Trained briefly*: the distance fell to {halves:g} of the untrained one or below, and diversity is {least:g} to
{most:g}. Otherwise *failed here*. *Went mad*: the curve ends above {mad:g} times its best, diversity is below {one:g}, or a
number was not finite.
"""


TRUE_SIZES = """## At true size

Every recipe as it is, for ten cycles on the bundled data (`python tools/true_size.py run`), one thread. Memory is the most
that the process held, data and libraries included. Stopped after five cycles and continued by another process, the
checkpoint has the same SHA-256.
"""


def methods(results: Results, lengths: Mapping[str, Any], sizes: str = "") -> str:
    """The page of plans A and C, with the table of true sizes. What has no result is listed as not run yet."""
    there = [one for one in results.values() if one["plan"] in "ACD"]
    parts = [head(there, lengths)]
    for data in DATA:
        found = [results[t.name] for t in trials("A") if t.data == data and t.name in results]
        if found:
            title = DATA_NAMES[data]
            parts += [f"## {title[0].upper()}{title[1:]}\n", table_of(found), failures(found, results), sheets(found)]
    parts += today(results)
    if sizes:
        parts += [TRUE_SIZES, sizes]
    parts.append(missing([t for t in trials("ACD") if t.name not in results]))
    return wrapped("\n".join(part for part in parts if part))


SUBSTITUTES = {
    "cifar10": "CIFAR-10 itself, as JPEG: figures differ from those of the lossless pictures.",
    "dogs": "Six breeds of Tiny ImageNet, 2,700 boxes, in the place of the competition's 120 breeds and 20,579 pictures.",
    "faces": "9,992 faces of 64 px in the place of article 4's of 96.",
}


def today(results: Results) -> list[str]:
    """The sections of plan D, one for each dataset."""
    parts = []
    for data, substitute in SUBSTITUTES.items():
        found = [results[t.name] for t in trials("D") if t.data == data and t.name in results]
        if found:
            title = f"## Articles 3 and 4, and today: {DATA_NAMES[data]}\n"
            parts += [title, f"{substitute}\n", table_of(found), failures(found, results), sheets(found)]
    return parts


def head(there: Sequence[Result], lengths: Mapping[str, Any]) -> str:
    order = list(DATA_NAMES)
    reals = {one["data"]: one["real"] for one in sorted(there, key=lambda one: order.index(one["data"]))}
    first = there[0] if there else {"count": 2000, "class_count": 9000}
    real = [f"{value:.2f} on {DATA_NAMES[data]}" for data, value in reals.items()]
    a, b = (minutes_of(plan, lengths) for plan in "AB")
    return HEAD.format(
        minutes=a, minutes_b=b, machine=machine(there),
        count=first["count"], class_count=first["class_count"], real=listed(real) if real else "not measured yet",
        halves=HALVES, least=DIVERSITY[0], most=DIVERSITY[1], mad=MAD, one=ONE_PICTURE, reduction=REDUCTION,
    )  # fmt: skip


def minutes_of(plan: str, lengths: Mapping[str, Any]) -> float:
    """The CPU time that a training of this plan was to take: what is stored, or else the plan's."""
    groups = {t.group for t in trials(plan)} & lengths.keys()
    stored = [float(lengths[group]["minutes"]) for group in groups]
    return max(stored, default=15 * SHARES[plan])


def table_of(found: Sequence[Result]) -> str:
    titles = ["recipe", "weights G / D", "samples seen (of the recipe's)", "CPU", "distance: untrained → last", "best (at)",
              "diversity", "alike", "class accuracy", "status"]  # fmt: skip
    lines = []
    for one in found:
        g, d = one["parameters"]["generator"], one["parameters"]["discriminator"]
        lines.append([called(one), f"{g:,} / {d:,}", seen(one), minutes(one), distance(one), best(one),
                      number(one["diversity"]), alike(one), classes(one), told(one)])  # fmt: skip
    return table(titles, lines)


def called(one: Result) -> str:
    """The recipe, and what was changed of it."""
    return f"`{one['recipe']}`" + (f", {one['arm']}" if one["arm"] else "")


def alike(one: Result) -> str:
    """The signal of near-duplicates when it was last looked at."""
    share = verdict.alike(one)
    return NONE if share is None else f"{100 * share:.1f} %"


def seen(one: Result) -> str:
    """How far it came, and which share of the recipe's own length that is."""
    short = "" if one["seen"] >= one["length"] else f" of {one['length']:,}"
    return f"{one['seen']:,}{short} ({shares(one)})"


def shares(one: Result) -> str:
    return f"{one['seen'] / full_length(one['recipe'], one['data']):.1%}".replace("%", " %")


def best(one: Result) -> str:
    return f"{one['best'][1]:.2f} ({one['best'][0] / one['length']:.0%})".replace("%", " %") if one["best"] else NONE


def classes(one: Result) -> str:
    return NONE if one["class_accuracy"] is None else f"{one['class_accuracy']:.2f} ({one['class_accuracy_real']:.2f})"


def told(one: Result) -> str:
    return status(one) + (", went mad" if mad(one) else "")


def failures(found: Sequence[Result], results: Results) -> str:
    """A line for each that failed, went mad or repeats itself: why, and what came of what was tried instead."""
    lines = []
    for one in found:
        reasons = [phrase for phrase in (shortfall(one), *mad(one), verdict.repetitive(one)) if phrase]
        if reasons:
            lines.append(f"- {called(one)}: {'; '.join(dict.fromkeys(reasons))}.{tried(one, results)}")
    return "\n".join(lines) + "\n" if lines else ""


def tried(failed: Result, results: Results) -> str:
    """What plan C tried of the same recipe on the same data, as a sentence each."""
    others = [one for one in results.values() if one["plan"] == "C"]
    same = [one for one in others if (one["recipe"], one["data"]) == (failed["recipe"], failed["data"])]
    sentences = []
    for one in same:
        settings = ", ".join(f"`{path}={value}`" for path, value in one["settings"].items())
        sentences.append(
            f" Tried instead: {one['arm']} ({settings} before widths are divided; {seen(one)}): {distance(one)}, diversity "
            f"{number(one['diversity'])}, {told(one)} ([samples](methods/{one['name']}.jpg))."
        )
    return "".join(sentences)


def sheets(found: Sequence[Result]) -> str:
    """The samples of each at the end, some in a row."""
    files = {
        one["recipe"] + (f", {one['arm']}" if one["arm"] else ""): f"methods/{one['name']}.jpg"
        for one in found
        if one["last"] is not None
    }
    rows = " With classes, each row is one, from the same eight latents." if any(one["classes"] for one in found) else ""
    return f"Samples of the last state, chosen by nobody (seed 1).{rows}\n\n{pictures(files, ACROSS)}" if files else ""


def missing(left: Sequence[Trial]) -> str:
    """Which trials have no result."""
    if not left:
        return ""
    names = {letter: [t.name.removeprefix(f"{PLANS[letter]}-") for t in left if t.plan == letter] for letter in PLANS}
    lines = [f"- {PLANS[letter]}: {', '.join(found)}" for letter, found in names.items() if found]
    return "\n## Not run yet\n\n" + "\n".join(lines) + "\n"
