"""Article 1's question, answered from the numbers: every sentence is made of the results that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .plan import ARMS, SEEDS
from .signals import departures, going_mad, staying_sane
from .verdict import Result, came_back, mad, mad_since, status, t_interval
from .words import Interval, change, counted, interval, listed, signed, table

Arms = Mapping[str, Sequence[Result]]
NOT_RUN = "not run yet"
SCORES = {"class_accuracy": ("more accurate", "less accurate"), "last": ("farther from the data", "closer to the data"),
          "diversity": ("more diverse", "less diverse")}  # fmt: skip


class Step(NamedTuple):
    """Two arms that differ in one thing."""

    what: str
    before: str
    after: str


EPSILONS = (
    Step("classifier: ε 1 → 10", "classifier, ε 1", "classifier, ε 10"),
    Step("classifier: ε 10 → 100", "classifier, ε 10", "classifier, ε 100"),
    Step("head: ε 1 → 100", "head, ε 1", "head, ε 100"),
)
FORMS = (
    Step("head → classifier, ε 1", "head, ε 1", "classifier, ε 1"),
    Step("head → classifier, ε 100", "head, ε 100", "classifier, ε 100"),
)
DISTANCES = (Step("cross-entropy → Wasserstein, ε 100", "classifier, ε 100", "Wasserstein distance"),)


def answers(arms: Arms) -> str:
    """The questions in bold, each with what the numbers say."""
    asked: dict[str, Callable[[Arms], str]] = {
        "Does it draw what it is asked for?": classes,
        "A classifier of its own, or a head in D?": lambda arms: steps(FORMS, arms),
        "What does ε do?": lambda arms: steps(EPSILONS, arms),
        "The class distance in Wasserstein form?": lambda arms: steps(DISTANCES, arms),
        "Does it learn at all, by the rule of the methods' page?": learned,
        "Does it go mad, and when?": madness,
        "Did the losses show it?": shown,
    }
    return "\n".join(f"- **{question}** {answer(arms)}" for question, answer in asked.items()) + "\n"


def classes(arms: Arms) -> str:
    """Which arms' samples are seen as their class more often than by chance."""
    found = {arm: t_interval(values(some, "class_accuracy")) for arm, some in arms.items()}
    known = {arm: one for arm, one in found.items() if one is not None}
    if not known:
        return f"Two seeds of an arm are needed: {NOT_RUN}."
    result = next(one for one in all_runs(arms) if one["class_accuracy_real"] is not None)
    most, least = max(known, key=lambda arm: known[arm][0]), min(known, key=lambda arm: known[arm][0])
    chance = 1 / result["classes"]
    above = [arm for arm, one in known.items() if one[1] > chance]
    below = [arm for arm, one in known.items() if one[2] < chance]
    unclear = [arm for arm in known if arm not in above and arm not in below]
    some = f"The independent classifier sees the class asked for most often with {named(most)}: {interval(known[most])}"
    other = f", and least often with {named(least)}: {interval(known[least])}" if least != most else ""
    rest = [arm for arm in ARMS if arm not in known]
    sentences = [
        f"{some}{other}. Chance is {chance:.2f}; of real pictures it tells {result['class_accuracy_real']:.2f} right.",
        f"The whole interval lies above chance with {listed(map(named, above), 'and')}." if above else "",
        f"It lies below chance with {listed(map(named, below), 'and')}." if below else "",
        f"Not told from chance: {listed(map(named, unclear), 'and')}." if unclear else "",
        f"With fewer than two seeds, so without an interval: {listed(map(named, rest))}." if rest else "",
    ]
    return " ".join(filter(None, sentences))


def steps(asked: Sequence[Step], arms: Arms) -> str:
    """What each step changed, in words."""
    return " ".join(f"{capital(step.what)}: {said(step, arms)}." for step in asked)


def said(step: Step, arms: Arms) -> str:
    """`more accurate and farther from the data; diversity not told apart by 3 seeds`; or how much is missing."""
    apart, unknown, n = [], [], 0
    for name, (up, down) in SCORES.items():
        differences = paired(step, arms, name)
        n, found = max(n, len(differences)), t_interval(differences)
        if found is not None and not found[1] <= 0 <= found[2]:
            apart.append(f"{up if found[0] > 0 else down} ({change(found)})")
        else:
            unknown.append({"last": "distance"}.get(name, name.replace("_", " ")))
    if n < 2:
        return "one seed alone, which says nothing of chance" if n else NOT_RUN
    seeds = "" if n == len(SEEDS) else f", of {n} seeds"
    told = f"{listed(apart)}{seeds}" if apart else ""
    left = f"{listed(unknown)} not told apart by {counted(n, 'seed')}" if unknown else ""
    return "; ".join(filter(None, [told, left]))


def differences(arms: Arms) -> str:
    """Every step's change in each score, seed by seed, with its interval."""
    lines = []
    for step in (*FORMS, *EPSILONS, *DISTANCES):
        cells = [paired_cell(paired(step, arms, name)) for name in SCORES]
        lines.append([step.what, *cells])
    return table(["change", "class accuracy", "distance", "diversity"], lines)


def paired_cell(found: Sequence[float]) -> str:
    wide: Interval | None = t_interval(found)
    return change(wide) if wide is not None else f"{signed(found[0])} (one seed)" if found else NOT_RUN


def paired(step: Step, arms: Arms, name: str) -> list[float]:
    """After minus before, of the seeds that both arms have."""
    before, after = ({one["seed"]: one[name] for one in arms.get(arm, [])} for arm in (step.before, step.after))
    return [after[seed] - before[seed] for seed in sorted(before) if None not in (before[seed], after.get(seed))]


def learned(arms: Arms) -> str:
    """How many runs meet the rule of `trained briefly`."""
    everyone = all_runs(arms)
    good = {arm: sum(status(one) == "trained briefly" for one in some) for arm, some in arms.items() if some}
    lacking = [f"{named(arm)} ({n} of {len(arms[arm])})" for arm, n in good.items() if n < len(arms[arm])]
    many = (
        f"In {sum(good.values())} of {counted(len(everyone), 'run')} the distance at least halved, with the diversity of data."
    )
    return f"{many} Not in every seed: {listed(lacking)}." if lacking else many


def madness(arms: Arms) -> str:
    """Which arms' runs went mad, and after how many samples."""
    everyone, wild = all_runs(arms), {}
    for arm, some in arms.items():
        since = [f"{moment:,}" for one in some if (moment := mad_since(one)) is not None]
        if since:
            wild[arm] = f"{named(arm)} in {len(since)} of {counted(len(some), 'run')}, at {listed(since)} samples"
    back = sum(came_back(one) is not None for one in everyone)
    longest = max(one["seen"] for one in everyone)
    calm = f"None of {counted(len(everyone), 'run')} did within {longest:,} samples."
    many = f"In {sum(bool(mad(one)) for one in everyone)} of {counted(len(everyone), 'run')}: {'; '.join(wild.values())}."
    came = f" In {counted(back, 'run')} the distance was over twice its best on the way and came back." if back else ""
    return (many if wild else calm) + came


def shown(arms: Arms) -> str:
    """In how many mad runs a loss left its earlier range, beside how often that happens in sane ones."""
    wild, sane = [one for one in all_runs(arms) if mad(one)], [one for one in all_runs(arms) if not mad(one)]
    looked = [departures(one, span) for one in wild if (span := going_mad(one)) is not None]
    plain = [departures(one, span) for one in sane if (span := staying_sane(one)) is not None]
    known, calm = [found for found in looked if found is not None], [found for found in plain if found is not None]
    early = f"{counted(len(wild) - len(known), 'run')} went mad too soon to compare." if len(known) < len(wild) else ""
    told = (
        f"In {sum(map(bool, known))} of {counted(len(known), 'run')} that went mad a loss had left its earlier range by then."
    )
    usual = f"{sum(map(bool, calm))} of {len(calm)} that stayed sane"
    beside = f"In {usual} one had in the end, beside the first half of the run." if calm else ""
    if not wild:
        return f"There was nothing to show. {beside.replace('one had', 'a loss had left its earlier range')}".strip()
    return " ".join(filter(None, [told if known else "", early, beside if known else ""]))


def all_runs(arms: Arms) -> list[Result]:
    return [one for some in arms.values() for one in some]


def values(found: Sequence[Result], name: str) -> list[float]:
    return [one[name] for one in found if one[name] is not None]


def named(arm: str) -> str:
    return f"*{arm}*"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
