"""Recipes by name. One file in this package, or a file of the user's own, adds a recipe: a function with
`@recipe_function()` over it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import stat
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gansaku.data.store import Facts
from gansaku.errors import GansakuError, RecipeError, UsageError, nearest
from gansaku.keys import key
from gansaku.recipe import Recipe, from_toml

RecipeFunction = Callable[[Facts], Recipe]
PART_PACKAGES = ("gansaku.methods", "gansaku.networks")
PART_MODULES = ("annealing", "augment", "latents", "losses", "optimizers", "regularizers", "schedules", "targets", "terms")

LONGEST = 1 << 20  # bytes of a recipe's file

Status = Literal["measured", "trained briefly", "builds"]


@dataclass(frozen=True)
class Entry:
    """A recipe function, what has been seen of it, and the sample shape and classes that lists describe it with."""

    make: RecipeFunction
    status: Status
    shape: tuple[int, ...]
    classes: int = 0
    sizes: tuple[int, ...] = ()  # that it has networks for: `sngan-64` is sngan, held to 64 px

    @property
    def facts(self) -> Facts:
        """The data that lists describe it for."""
        return Facts("example", self.shape, 10_000, tuple(map(str, range(self.classes))))

    @property
    def text(self) -> str:
        return inspect.getdoc(self.make) or ""

    @property
    def source(self) -> str:
        """What stands after `Source:` in the docstring, as one line."""
        found = re.search(r"^Source:(.*?)(?=^\w+:|\Z)", self.text, re.DOTALL | re.MULTILINE)
        return " ".join(found.group(1).split()) if found else ""


_recipes: dict[str, Entry] = {}


def recipe_function(
    status: Status = "builds", shape: tuple[int, ...] = (3, 64, 64), classes: int = 0, sizes: tuple[int, ...] = ()
) -> Callable[[RecipeFunction], RecipeFunction]:
    """Register a function of the data's facts that returns a complete recipe; `gan3d_article` is called gan3d-article.

    `status` is what was really seen: "measured" has a page in docs/results, "trained briefly" ran on real data.
    With `sizes` the recipe is known by `name-size` as well, and then refuses samples of another.
    """

    def register(function: RecipeFunction) -> RecipeFunction:
        name = function.__name__.replace("_", "-")
        other = _recipes.get(name)
        if other is not None and other.make.__module__ != function.__module__:
            raise RecipeError(name, f"there is a recipe of this name in {other.make.__module__}; choose another", "RECIPE")
        _recipes[name] = Entry(function, status, shape, classes, sizes)
        return function

    return register


def recipes() -> dict[str, Entry]:
    """All recipes by name."""
    load_parts()
    _load_package("gansaku.recipes")
    return dict(sorted(_recipes.items()))


def find(name: str, facts: Facts) -> Recipe:
    """The recipe of this name for these data; or from a TOML file; or the last one in a user's Python file.

    Raises RecipeError for an unknown name, naming the nearest.
    """
    if name.lower().endswith((".yaml", ".yml")):
        raise RecipeError(name, "recipes are TOML; YAML reads 1e-4 as text and no as false", "RECIPE")
    if name.endswith(".toml"):
        load_parts()
        return from_toml(text_of(Path(name)), name)
    if name.endswith(".py"):
        module = use(Path(name))
        own = [n for n, entry in _recipes.items() if entry.make.__module__ == module]
        if not own:
            raise RecipeError(
                name, "holds no recipe; put @gansaku.recipe_function() over a function that returns one", "RECIPE"
            )
        name = own[-1]
    return entry(name, facts).make(facts).but(name=name)


def entry(name: str, facts: Facts | None = None) -> Entry:
    """The recipe of this name, or of this name and size. Raises RecipeError for an unknown one, or samples of another size."""
    known = recipes()
    if name in known:
        return known[name]
    base, _, size = name.rpartition("-")
    sizes = known[base].sizes if base in known else ()
    if size not in map(str, sizes):
        have = f"; {base} has {', '.join(map(str, sizes))}" if sizes else nearest(name, list(known))
        raise RecipeError(name, f"is no recipe{have}", "RECIPE")
    if facts is not None and min(facts.shape[1:]) != int(size):
        sides = " × ".join(map(str, facts.shape[1:]))
        raise RecipeError(name, f"is for {size} px, and these samples have {sides}; --size {size}, or {base}", "SIZE")
    return replace(known[base], shape=(known[base].shape[0], *[int(size)] * (len(known[base].shape) - 1)))


def load_parts() -> None:
    """Import every module that registers parts, so that files may name them."""
    for module in PART_MODULES:
        importlib.import_module(f"gansaku.{module}")
    for package in PART_PACKAGES:
        _load_package(package)


def use(path: Path) -> str:
    """Run a Python file of the user's own: its parts and recipes are then known. Only ever on the user's word.

    Returns the name of its module, which is the same whenever the same file is used again.
    """
    if not path.is_file():
        raise UsageError(str(path), "is not there", "FILE")
    recipes()  # the built-in names first, so that a clash is found
    name = f"gansaku_user_{path.stem}_{key(path.resolve()) % 16**6:06x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(str(path), "is no Python file", "FILE")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except GansakuError:
        raise
    except Exception as error:
        line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), None)
        place = f"line {line}: " if line is not None else ""
        raise UsageError(str(path), f"{place}{type(error).__name__}: {error}", "FILE") from error
    return name


def _load_package(name: str) -> None:
    package = importlib.import_module(name)
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{name}.{found.name}")


def text_of(path: Path) -> str:
    """A recipe's text, UTF-8, with or without a byte order mark. Raises UsageError for what cannot be a recipe."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(str(path), "is no file; give a recipe's own file", "FILE")
        if status.st_size > LONGEST:
            raise UsageError(str(path), f"has {status.st_size:,} bytes; a recipe has at most {LONGEST:,}", "FILE")
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(str(path), f"cannot be read: {error.strerror}", "FILE") from None
    except ValueError:  # of the decoder, or of a path that no system has
        raise UsageError(str(path), "is no text in UTF-8; save it as such", "FILE") from None
