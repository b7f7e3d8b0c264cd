"""What is tried, in which order: article 1's methods for some minutes each (A), its question (B), what else was tried where
a method failed (C), the methods that came with articles 3 and 4 and with today (D), and what `auto` should choose (E)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from gansaku.data.store import Facts
from gansaku.parts import encode
from gansaku.recipe import Recipe
from gansaku.recipes import registry
from gansaku.recipes.auto import large_pictures, small_samples

PLANS = {"A": "methods", "B": "article-1", "C": "instead", "D": "today", "E": "auto"}
METHODS = ("dcgan-chainer", "wgan-gp", "ac-wgan-gp", "acgan", "ac-wgan-gp-head", "sn-dcgan", "dragan", "minibatch", "dfm",
           "wgan", "wgan-gp-resnet", "cramer", "cramer-conditional", "began")  # fmt: skip
CLASSES = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "avatars": ("#009bbd", "#28150a", "#603015", "#603a14", "#611c17", "#612616", "#83623b", "#91cb15", "#a78961", "#bd1700",
                "#cab188"),
}  # fmt: skip
FACTS = {"cifar10": Facts("cifar10", (3, 32, 32), 50_000, CLASSES["cifar10"]),
         "avatars": Facts("avatars", (3, 32, 32), 9_000, CLASSES["avatars"], ("glasses", "skin"))}  # fmt: skip
DATA = tuple(FACTS)  # that plan A is tried on, and statuses are said of
BREEDS = ("Chihuahua", "German_shepherd", "Labrador_retriever", "Yorkshire_terrier", "golden_retriever", "standard_poodle")
FLAGS = ("aspect", "classes", "difficult", "intruders", "objects", "ratio", "truncated")
FACTS |= {"dogs": Facts("dogs", (3, 64, 64), 2_700, BREEDS, FLAGS), "faces": Facts("faces", (3, 64, 64), 9_992, ())}
SEEDS = (0, 1, 2)
# Article 1's arms: what gives the class, and with which weight in G's loss.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "classifier, ε 100": ("ac-wgan-gp", {"method.weight": 100.0}),
    "classifier, ε 10": ("ac-wgan-gp", {"method.weight": 10.0}),
    "classifier, ε 1": ("ac-wgan-gp", {"method.weight": 1.0}),
    "head, ε 100": ("ac-wgan-gp-head", {"method.generator_weight": 100.0}),
    "head, ε 1": ("ac-wgan-gp-head", {"method.generator_weight": 1.0}),
    "Wasserstein distance": ("ac-wgan-gp-wasserstein", {}),
}
# Where a method failed: recipe, data, what was tried instead, and its settings before widths are divided.
INSTEAD: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("acgan", "cifar10", "D at its full width", {"discriminator.network.width": 64}),
    ("wgan", "cifar10", "four times the rates", {"generator.lr": 2e-4, "discriminator.lr": 2e-4}),
    ("began", "avatars", "γ 0.75", {"method.gamma": 0.75}),
)
# Recipe, data, what was changed, and the settings of that.
DIFF_AUGMENT, ADA = {"augment": "DiffAugment"}, {"augment": "Adaptive"}
TODAY: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("sngan", "cifar10", "", {}),
    ("sngan-projection", "cifar10", "", {}),
    ("sagan", "cifar10", "", {}),
    ("biggan", "cifar10", "", {}),
    ("r3gan", "cifar10", "batch 64", {"batch": 64}),
    ("dcgan-96", "faces", "", {}),
    ("dogs", "dogs", "", {}),
    ("dogs", "dogs", "labels by projection", {"discriminator.network.labels": "projection"}),
    ("dogs-first", "dogs", "", {}),
    ("dogs-second", "dogs", "", {}),
    ("dogs-third", "dogs", "", {}),
    ("lsgan", "cifar10", "", {}),
    ("hinge", "cifar10", "", {}),
    ("ralsgan", "cifar10", "", {}),
    ("dcgan", "dogs", "", {}),
    ("dcgan", "dogs", "DiffAugment", DIFF_AUGMENT),
    ("dcgan", "dogs", "ADA", ADA),
)
# What `auto` may choose: pairs of networks at their full size, data, what was changed, and the settings of that.
PAIRS = {"norm-free": small_samples, "classic": large_pictures}
DOUBLE = {"generator.network.width": 64, "discriminator.network.width": 64}
WEAK = {"discriminator.terms.0.weight": 0.2, "discriminator.terms.1.weight": 0.2}
CHOICES: tuple[tuple[str, str, str, dict[str, Any]], ...] = tuple(
    (pair, data, arm, settings)
    for data in ("avatars", "faces", "cifar10", "dogs")
    for pair, arm, settings in (
        ("norm-free", "", {}),
        ("classic", "", {}),
        ("norm-free", "DiffAugment", DIFF_AUGMENT),
        ("norm-free", "width 64", DOUBLE),
        ("norm-free", "γ 0.2", WEAK),
        ("classic", "DiffAugment", DIFF_AUGMENT),
    )
)
SHARES = {"A": 1.0, "B": 4 / 15, "C": 1.0, "D": 1.0, "E": 2 / 3}  # of the minutes that are asked for
REDUCTION = 4  # widths are divided by it
WIDTHS = ("width", "widths", "kernels", "features")  # settings of networks that are widths


@dataclass(frozen=True)
class Trial:
    """One training. Those of one `group` see the same number of samples."""

    plan: str
    recipe: str
    data: str
    seed: int = 0
    arm: str = ""  # what tells it from others of its plan
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        words = [self.arm] if self.plan == "B" else [self.data, self.recipe, *([self.arm] if self.arm else [])]
        plain = (
            "-".join([PLANS[self.plan], *words])
            .lower()
            .replace("ε", "epsilon")
            .replace("γ", "gamma")
            .replace(",", "")
            .replace(" ", "-")
        )
        return f"{plain}-seed{self.seed}" if self.plan == "B" else plain

    @property
    def group(self) -> str:
        return PLANS["B"] if self.plan == "B" else self.name

    @property
    def minutes(self) -> float:
        """Its share of the minutes that plan A's trainings take."""
        return SHARES[self.plan]


def trials(only: str = "".join(PLANS)) -> list[Trial]:
    """All of them, in an order that is useful wherever it ends: each method on one dataset first."""
    methods = {data: [Trial("A", recipe, data) for recipe in METHODS] for data in DATA}
    arms = [Trial("B", recipe, "cifar10", seed, arm, tuple(settings.items()))
            for seed in SEEDS for arm, (recipe, settings) in ARMS.items()]  # fmt: skip
    instead = [Trial("C", recipe, data, 0, arm, tuple(settings.items())) for recipe, data, arm, settings in INSTEAD]
    today = [Trial("D", recipe, data, 0, arm, tuple(settings.items())) for recipe, data, arm, settings in TODAY]
    choices = [Trial("E", recipe, data, 0, arm, tuple(settings.items())) for recipe, data, arm, settings in CHOICES]
    ordered = chain(methods["cifar10"], arms, methods["avatars"], instead, today, choices)
    return [trial for trial in ordered if trial.plan in only]


def made(trial: Trial, facts: Facts) -> Recipe:
    """The trial's recipe for these data, reduced but in plan E; its length is the recipe's own.

    Raises RecipeError for an unknown name.
    """
    registry.recipes()  # so that parts are known by name
    recipe = PAIRS[trial.recipe](facts) if trial.plan == "E" else registry.find(trial.recipe, facts)
    changed = recipe.but({"seed": trial.seed, **dict(trial.settings)})
    return changed if trial.plan == "E" else reduced(changed)


def full_length(recipe: str, data: str) -> int:
    """The samples that the recipe as it is sees of these data."""
    return registry.find(recipe, FACTS[data]).length


def reduced(recipe: Recipe) -> Recipe:
    """The same recipe with every network's widths divided by REDUCTION; all else as it is."""
    return recipe.but(dict(divided(encode(recipe))))


def divided(settings: Any, path: str = "") -> Iterator[tuple[str, int | tuple[int, ...]]]:
    """The paths of all settings that are widths and are used, with a REDUCTION-th of their values."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            here = f"{path}.{name}".lstrip(".")
            if name in WIDTHS and isinstance(value, int) and value:
                yield here, max(1, value // REDUCTION)
            elif name in WIDTHS and isinstance(value, list):
                yield here, tuple(max(1, one // REDUCTION) for one in value)
            else:
                yield from divided(value, here)
