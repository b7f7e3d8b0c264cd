"""docs/results/article-1.md and its charts from the results that are there: text in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gansaku.render.curves import short

from . import figure
from .answer import answers, differences, values
from .page import minutes_of, missing, shares
from .plan import ARMS, CLASSES, trials
from .signals import LOSSES, Departure, accuracy, course, departures, going_mad, sign_changes
from .verdict import Result, Results, came_back, mad, mad_since, status, t_interval
from .words import NONE, counted, distance, interval, listed, machine, minutes, number, pictures, table, wrapped

ACROSS = 3  # sheets in a row
HEAD = """# Article 1's question: how to get the picture that was asked for

Article 1 gives G, beside a Wasserstein discriminator D with gradient penalty, a classifier C of its own, after an ACGAN head in
D and a class distance in Wasserstein form had failed; this, too, "goes mad at once", it says. ε is the weight of the class in
G's loss, 100 there; a head learns in D with weight 1. Here all forms see the same CIFAR-10 pictures in the same order, with
networks of a quarter of their width: {samples}. So what follows
is said of small networks and of the first minutes alone. Protocol, reduction and words as in [methods](methods.md).

```
make methods CIFAR10=cifar10.zip
```

{machine}

## What the numbers say

{answers}
"""
TABLES = """
A change is told where its 95 % interval leaves 0 out: t of the differences seed by seed. **Three seeds make it wide** (t of two
degrees of freedom is 4.30, not 1.96): what it does not tell may still be there. Of intervals like those of the second table
one in twenty leaves 0 out by chance alone.

## The numbers

Distance, diversity and class accuracy of 2,000 samples of the last state: mean over the seeds with its 95 % t interval.

{summary}
What changes from one form to another, the mean of the differences seed by seed:

{differences}
Each run:

{each}
![Distance, class accuracy and diversity over samples seen, the mean of each arm's seeds](article-1/arms.svg)

These are the scores on the way, of 1,000 samples against 1,000 pictures, so they stand apart from the tables a little: the
classifier of class accuracy has learned from 750 pictures, not 6,750.

## What went on in each

D's loss is its mean output for fakes minus that for real pictures, without the penalty. A loss *showed* something if, while a
run went mad (between its last sane score and the next), its mean lay outside the range that it had been in before the run's
best moment (over the last three quarters of the samples seen until then), widened by half its width on either side. The red
line stands where a run counts as gone mad. Every point of a loss is a mean over a 200th of the run. In Wasserstein form a class
loss has no bound below, and C has a gradient penalty of its own, which the chart leaves out.
"""


def article(results: Results, lengths: Mapping[str, Any]) -> str:
    """The page of plan B."""
    found = arms_of(results)
    runs = [one for some in found.values() for one in some]
    head = HEAD.format(
        samples=budget(lengths, runs), machine=machine(runs), answers=answers(found) if runs else "Not run yet.\n"
    )
    parts = [head]
    if runs:
        parts.append(TABLES.format(summary=summary(found), differences=differences(found), each=each(runs)))
        for arm, some in found.items():
            if some:
                drawing = f"![Losses and scores of {arm}, a line for each seed]({chart_file(arm)})"
                parts += [f"\n### {arm[0].upper()}{arm[1:]}\n", story(some), f"\n{drawing}\n"]
        parts.append(sheets(found))
    parts.append(missing([t for t in trials("B") if t.name not in results]))
    return wrapped("\n".join(part for part in parts if part))


def charts(results: Results) -> dict[str, str]:
    """The page's pictures: file name -> SVG."""
    found = {arm: some for arm, some in arms_of(results).items() if some}
    if not found:
        return {}
    top = figure.tops([one for some in found.values() for one in some])
    return {"article-1/arms.svg": figure.of_all(found, top)} | {
        chart_file(arm): figure.of_arm(arm, some, top) for arm, some in found.items()
    }


def chart_file(arm: str) -> str:
    name = next(t.name for t in trials("B") if t.arm == arm)
    return f"article-1/{name.removeprefix('article-1-').removesuffix('-seed0')}.svg"


def arms_of(results: Results) -> dict[str, list[Result]]:
    """Every arm with its results in the order of their seeds."""
    found = [results[t.name] for t in trials("B") if t.name in results]
    return {arm: [one for one in found if one["arm"] == arm] for arm in ARMS}


def budget(lengths: Mapping[str, Any], runs: Sequence[Result]) -> str:
    """How many samples they see, and in which time."""
    if "article-1" in lengths:
        one = lengths["article-1"]
        share = f", {shares(runs[0])} of the recipe's own" if runs else ""
        return f"{one['samples']:,} samples{share}, in {one['minutes']:g} minutes of CPU time on average"
    return (
        f"{max(one['length'] for one in runs):,} samples" if runs else f"{minutes_of('B', lengths):g} minutes of CPU time each"
    )


def summary(arms: Mapping[str, Sequence[Result]]) -> str:
    """Each arm's numbers: the seeds' mean and the 95 % t interval."""
    lines = []
    for arm, found in arms.items():
        if found:
            scores = [mean(values(found, name)) for name in ("class_accuracy", "last", "diversity")]
            wild, good = (sum(map(test, found)) for test in (lambda one: bool(mad(one)), is_trained))
            lines.append([arm, str(len(found)), *scores, f"{wild} of {len(found)}", f"{good} of {len(found)}"])
    return table(["arm", "seeds", "class accuracy", "distance", "diversity", "went mad", "trained briefly"], lines)


def is_trained(one: Result) -> bool:
    return status(one) == "trained briefly"


def mean(found: Sequence[float]) -> str:
    wide = t_interval(found)
    return interval(wide) if wide is not None else number(found[0] if found else None)


def each(found: Sequence[Result]) -> str:
    """Every run's numbers, and when it went mad."""
    titles = ["arm", "seed", "class accuracy", "distance: untrained → last", "diversity", "samples seen", "CPU", "mad since"]
    lines = []
    for one in sorted(found, key=lambda one: list(ARMS).index(one["arm"])):
        since = mad_since(one)
        lines.append([one["arm"], str(one["seed"]), number(one["class_accuracy"]), distance(one), number(one["diversity"]),
                      f"{one['seen']:,}", minutes(one), NONE if since is None else f"{since:,}"])  # fmt: skip
    return table(titles, lines)


def story(found: Sequence[Result]) -> str:
    """What one arm's runs did and what their losses said, a list."""
    parts = [fate(found), *(at_madness(one) for one in found if mad(one)), courses(found), classifiers(found)]
    return "\n".join(f"- {part}" for part in parts if part) + "\n"


def fate(found: Sequence[Result]) -> str:
    """Whether it went mad, when and why; and who came back."""
    wild = [one for one in found if mad(one)]
    lead = f"Went mad in {len(wild)} of {counted(len(found), 'seed')}" if wild else (
        f"Did not go mad in {counted(len(found), 'seed')}"
    )  # fmt: skip
    why = [f"seed {one['seed']} at {mad_since(one):,} samples ({'; '.join(mad(one))})" for one in wild]
    back = [f"Seed {one['seed']}'s distance was over twice its best at {moment:,} samples and came back"
            for one in found if (moment := came_back(one)) is not None]  # fmt: skip
    return " ".join(f"{sentence}." for sentence in (f"{lead}{': ' if why else ''}{', '.join(why)}", *back))


def at_madness(one: Result) -> str:
    """What one run's losses showed when it went mad."""
    span = going_mad(one)
    assert span is not None
    found, who = departures(one, span), f"Seed {one['seed']}, then"
    if found is None:
        return f"{who}: too soon to say what its losses showed."
    if not found:
        return f"{who}: the losses showed nothing; each was in the range of before its best moment, {span.best:,} samples."
    return f"{who}: {listed(map(departed, found))}. The best moment was {span.best:,} samples."


def departed(one: Departure) -> str:
    side = "above" if one.value > one.high else "below"
    was = f"{LOSSES[one.name]} was {short(one.value)}, {side} the {short(one.low)} to {short(one.high)} of before"
    return f"{was} (since {one.since:,} samples)"


def courses(found: Sequence[Result]) -> str:
    """Each loss over the whole run, the mean of the seeds; and whether D's crossed 0."""
    phrases = []
    for name, words in LOSSES.items():
        spans = [span for one in found if (span := course(one, name)) is not None]
        if spans:
            start, end = (sum(values) / len(spans) for values in zip(*spans, strict=True))
            phrases.append(f"{words} {short(start)} → {short(end)}")
    whose = f", the mean of {len(found)} seeds" if len(found) > 1 else ""
    return f"From the first tenth of the run to the last{whose}: {', '.join(phrases)}. {signs(found)}" if phrases else ""


def classifiers(found: Sequence[Result]) -> str:
    """What the trained classifier says beside what the independent one says."""
    said = {of: [span for one in found if (span := accuracy(one, of)) is not None] for of in ("real", "fakes")}
    if not said["real"] or not said["fakes"]:
        return ""
    (first, last), fakes = ((sum(v) / len(v) for v in zip(*said[of], strict=True)) for of in ("real", "fakes"))
    _, seen = fakes
    own = "C" if any("classifier/loss/class" in one["losses"] for one in found) else "D's head"
    independent = values(found, "class_accuracy")
    beside = (
        f"; the independent classifier does for {sum(independent) / len(independent):.2f} of the samples" if independent else ""
    )
    return (
        f"{own} told {first:.2f} and then {last:.2f} of the real pictures right, and in the end takes {seen:.2f} of G's fakes "
        f"for the class asked for{beside}."
    )


def signs(found: Sequence[Result]) -> str:
    """Whether D's loss crossed 0."""
    crossed = {one["seed"]: sign_changes(one) for one in found}
    phrases = [f"{'at' if len(moments) == 1 else f'{len(moments)} times, first at'} {moments[0]:,} samples (seed {seed})"
               for seed, moments in crossed.items() if moments]  # fmt: skip
    return f"D's loss changed its sign {listed(phrases)}." if phrases else "D's loss kept its sign."


def sheets(arms: Mapping[str, Sequence[Result]]) -> str:
    """The samples of each arm's first seed, by class."""
    found = {one["arm"]: f"methods/{one['name']}.jpg" for some in arms.values() for one in some
             if one["seed"] == 0 and one["last"] is not None}  # fmt: skip
    rows = f"Each row is a class, from the top: {listed(CLASSES['cifar10'])}; each column one latent."
    return f"\n## Samples\n\nSeed 0, the last state, chosen by nobody. {rows}\n\n{pictures(found, ACROSS)}" if found else ""
