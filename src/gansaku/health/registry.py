"""Signals: all that there are, a user's own included."""

from __future__ import annotations

import importlib
import pkgutil

from gansaku import health
from gansaku.errors import RecipeError
from gansaku.health.contract import Signal
from gansaku.health.meaning import Meaning
from gansaku.parts import parts


def known() -> tuple[Signal, ...]:
    """Every signal with its default settings. Raises RecipeError when two give a number of one name."""
    for module in pkgutil.iter_modules(health.__path__):
        importlib.import_module(f"{health.__name__}.{module.name}")
    order = Signal.__subclasses__()  # as they are written down
    found = sorted(parts(Signal).values(), key=lambda one: order.index(one) if one in order else len(order))
    made = tuple(signal() for signal in found)
    given: dict[str, str] = {}
    for signal in made:
        mine = type(signal).__name__
        for name in signal.gives:
            if name in given:
                raise RecipeError(mine, f"gives {name!r}, which {given[name]} gives; rename one", "NAME")
            given[name] = mine
    return made


def meanings() -> dict[str, Meaning]:
    """What every number of every signal is."""
    return {name: meaning for signal in known() for name, meaning in signal.gives.items()}
