"""The verbs about recipes: what there is, what one of them is, and whether it still trains as it did."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gansaku.api import parameters
from gansaku.data.policy import Size
from gansaku.data.sources import open_data
from gansaku.errors import RecipeError, UsageError
from gansaku.listener import Listener
from gansaku.recipe import to_toml
from gansaku.recipes import registry
from gansaku.verification import bands
from gansaku.verification.figures import reduced, short_run
from gansaku.verification.material import material


def recipes(use: Iterable[str | Path] = ()) -> list[dict[str, Any]]:
    """Every recipe: name, first line, source, status, what was measured, and its players' parameters.

    These are counted at the shape and the classes that the recipe is listed with.
    """
    for file in use:
        registry.use(Path(file))
    return [described(name, entry) for name, entry in registry.recipes().items()]


def described(name: str, entry: registry.Entry) -> dict[str, Any]:
    """What the list says of one recipe."""
    return {
        "name": name,
        "summary": entry.text.splitlines()[0] if entry.text else "",
        "source": entry.source,
        "status": entry.status,
        "measured": measured(entry),
        "verified": name in bands.names(),
        "shape": list(entry.shape),
        "classes": entry.classes,
        "sizes": list(entry.sizes),
        "parameters": parameters(entry.make(entry.facts)),
    }


def measured(entry: registry.Entry) -> str:
    """What `Expect:` says was measured here, as one line: what follows `MEASURED:`.

    Without that word, all of it, unless the recipe's status says that nobody has seen it train: then it is what others
    published, and "" is returned.
    """
    found = re.search(r"^Expect:(.*?)(?=^\w+:|\Z)", entry.text, re.DOTALL | re.MULTILINE)
    said = " ".join(found.group(1).split()) if found else ""
    _, word, after = said.partition("MEASURED:")
    return after.strip() if word else said * (entry.status != "builds")


def show_recipe(name: str, use: Iterable[str | Path] = (), data: str | None = None, size: Size = None) -> dict[str, Any]:
    """One recipe: what `recipes` says of it, its whole text, and its settings as TOML for the data.

    Without data they are for 10,000 samples of the shape that the recipe is listed with.
    """
    for file in use:
        registry.use(Path(file))
    entry = known(name)
    facts = entry.facts if data is None else open_data(data, size).facts
    made = registry.find(name, facts)
    return {**described(name, entry), "text": entry.text, "toml": to_toml(made)}


def verify(name: str, seed: int = 0, listener: Listener | None = None) -> dict[str, Any]:
    """A short, reduced run of a recipe on bundled data, and whether its figures land in the recipe's bands.

    The bands come from the same run at several seeds: `gansaku.verification.bands` has the rule, and the figures are those
    of `gansaku.verification.figures`. A run at one of these seeds gives the same figures again where nothing has changed.
    Nothing is written. Raises UsageError for an unknown recipe, or one without bands.
    """
    entry = known(name)
    found = bands.read(name)
    dataset = material(found.data, bool(entry.classes))
    recipe = reduced(name, dataset, found.settings, seed)
    return bands.verdict(found, short_run(recipe, dataset, found.cycles, listener), seed)


def known(name: str) -> registry.Entry:
    """The recipe of a name. Raises UsageError for an unknown one, naming the nearest."""
    try:
        return registry.entry(name)
    except RecipeError as error:
        raise UsageError(error.where, error.sentence, error.code) from None
