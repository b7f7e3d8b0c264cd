"""Gansaku: train a GAN on your pictures or voxels, know whether it works, and know which change made it better."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The public names and where they live. Found when first used: `gansaku --help` must not wait for torch.
PUBLIC = {
    # verbs, as on the command line
    "train": "api", "sample": "api", "show_recipe": "api_recipes", "verify": "api_recipes", "info": "api",
    "show": "api", "view": "api_view", "report": "api", "pin": "api", "prepare": "api", "load": "api", "get_recipe": "api",
    "Run": "runs.run",
    # scores
    "walk": "api_walk", "project": "api_latent", "directions": "api_latent",
    "evaluate": "api_scores", "rank": "api_trials", "scores": "api_scores", "blind": "api_trials",
    "neighbours": "api_trials", "probe": "api_trials", "weights": "api_scores",
    "Scoring": "runs.live", "Score": "metrics.passport",
    "compare": "api_compare", "compare_runs": "api_compare", "Plan": "experiments.plan",
    "Arm": "experiments.plan", "Factor": "experiments.space", "Span": "experiments.space",
    "Metric": "metrics.contract", "Output": "metrics.contract", "Side": "metrics.contract",
    # training by hand
    "Trainer": "training.by_hand",
    # recipes and parts
    "Recipe": "recipe", "recipe_function": "recipes.registry", "Facts": "data.store", "part": "parts", "difference": "parts",
    "Player": "contract", "Move": "contract", "Gate": "contract", "Weighted": "contract", "Turn": "contract",
    "Verdict": "contract", "Phase": "contract", "Target": "contract", "Network": "contract", "Optimizer": "contract",
    "AdversarialLoss": "contract", "Term": "contract", "Method": "contract", "Prior": "contract",
    "Targets": "contract", "Augmentation": "contract", "Rate": "contract", "Average": "contract", "Growth": "contract",
    # data
    "open_data": "data.sources", "Dataset": "data.store", "Batches": "data.batches",
    # errors
    "GansakuError": "errors",
}  # fmt: skip

__all__ = ["__version__", *PUBLIC]

if TYPE_CHECKING:
    from gansaku.api import get_recipe, info, load, pin, prepare, report, sample, show, train
    from gansaku.api_compare import compare, compare_runs
    from gansaku.api_latent import directions, project
    from gansaku.api_recipes import show_recipe, verify
    from gansaku.api_scores import evaluate, scores, weights
    from gansaku.api_trials import blind, neighbours, probe, rank
    from gansaku.api_view import view
    from gansaku.api_walk import walk
    from gansaku.contract import (
        AdversarialLoss,
        Augmentation,
        Average,
        Gate,
        Growth,
        Method,
        Move,
        Network,
        Optimizer,
        Phase,
        Player,
        Prior,
        Rate,
        Target,
        Targets,
        Term,
        Turn,
        Verdict,
        Weighted,
    )  # fmt: skip
    from gansaku.data.batches import Batches
    from gansaku.data.sources import open_data
    from gansaku.data.store import Dataset, Facts
    from gansaku.errors import GansakuError
    from gansaku.experiments.plan import Arm, Plan
    from gansaku.experiments.space import Factor, Span
    from gansaku.metrics.contract import Metric, Output, Side
    from gansaku.metrics.passport import Score
    from gansaku.parts import difference, part
    from gansaku.recipe import Recipe
    from gansaku.recipes.registry import recipe_function
    from gansaku.runs.live import Scoring
    from gansaku.runs.run import Run
    from gansaku.training.by_hand import Trainer


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'gansaku' has no name {name!r}")
    return getattr(import_module(f"gansaku.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
