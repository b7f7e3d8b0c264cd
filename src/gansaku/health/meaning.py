"""What the numbers of a training mean, in words: read to print and to draw them, so nothing here imports torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

PREFIX = "health/"
"""Before the names of signals in the log: `health/diversity`."""

SHARE = f"{PREFIX}share_of_time"

Group = Literal["discriminator", "variety", "samples", "learning"]
TITLES: dict[Group, str] = {
    "discriminator": "Discriminator",
    "variety": "Variety",
    "samples": "Samples",
    "learning": "Speed of learning",
}


class Meaning(NamedTuple):
    """What a number is, for people. `data` is what the data themselves have: a value, or the name of the number that is it."""

    group: Group
    title: str
    means: str  # a phrase with the range
    healthy: str  # a few words
    data: str | float | None = None
    chart: str = ""  # the title of the picture that it shares with others

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


STEP: dict[str, Meaning] = {
    r"discriminator/real_probability": Meaning(
        "discriminator", "D(x)", "how real D finds the batch in its own step, before it learns from it: 0 to 1",
        "0.5 to 0.95",
    ),
    r"discriminator/fake_probability": Meaning(
        "discriminator", "D(G(z)) after G's step", "the same of fakes: D has not moved since the last step of G",
        "0.05 to 0.5",
    ),
    r"generator/fake_probability(_\d+)?": Meaning(
        "discriminator", "D(G(z)) before G's step", "the same of the fakes that G is about to learn from; D has just moved",
        "below D(x)",
    ),
    r"discriminator/accuracy": Meaning(
        "discriminator", "Accuracy in D's step", "share of real and fake samples that D tells right, before it learns: 0 to 1",
        "0.6 to 0.95",
    ),
    r"[^/]+/gradient(_\d+)?": Meaning(
        "learning", "Gradient norm", "of the player's loss by all its weights", "neither falling to 0 nor growing without end",
        chart="Gradient norms",
    ),
    r"[^/]+/update": Meaning(
        "learning", "Update", "|Δw| / |w| of one cycle over all weights of the player", "1e-4 to 0.05; 0 is frozen",
        chart="Updates of the weights",
    ),
}  # fmt: skip
"""What the step itself says at every tick, by patterns of its names."""


def step_meaning(name: str) -> tuple[int, Meaning] | None:
    """What a number of the step is, and its place among them; None for one that says nothing of health."""
    for place, (pattern, meaning) in enumerate(STEP.items()):
        if re.fullmatch(pattern, name):
            player, number = name.partition("/")[0], re.search(r"_(\d+)$", name)
            which = f", step {number[1]}" if number else ""
            several = pattern.startswith("[^/]")
            return place, meaning._replace(title=meaning.title + (f" of the {player}{which}" if several else which))
    return None


def from_plain(content: Any) -> Meaning | None:
    """The meaning that JSON holds; None where it holds something else: a run's folder may be anybody's."""
    if not isinstance(content, Mapping) or not {"group", "title", "means", "healthy"} <= set(content):
        return None
    made = Meaning(**{name: value for name, value in content.items() if name in Meaning._fields})
    texts = all(isinstance(text, str) for text in (made.title, made.means, made.healthy, made.chart))
    return made if texts and made.group in get_args(Group) and isinstance(made.data, str | float | int | None) else None
