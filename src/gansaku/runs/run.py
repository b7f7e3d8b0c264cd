"""A trained or half-trained run, as Python code holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gansaku.errors import UsageError, nearest
from gansaku.recipe import Recipe, from_toml
from gansaku.recipes import registry
from gansaku.runs import checkpoint, log, manifest, report
from gansaku.runs.folder import Folder
from gansaku.sampling import sample
from gansaku.training.by_hand import shown_generator
from gansaku.training.state import State, begin


@dataclass(frozen=True)
class Run:
    """A trained or half-trained run."""

    folder: Folder
    recipe: Recipe
    at: int | None = None  # which checkpoint, by its samples seen; None: the newest sound one

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.recipe.name})"

    @property
    def path(self) -> Path:
        return self.folder.path

    def state(self, device: torch.device | None = None) -> State:
        """The state of the checkpoint, read from the disk, on the CPU if no device is named."""
        state = begin(self.recipe, device or torch.device("cpu"))
        checkpoint.load(manifest.at(self.folder.checkpoints, self.at), state)
        return state

    def generator(self) -> nn.Module:
        """The checkpoint's generator whose samples to show: the weight average where the recipe has one."""
        return shown_generator(self.state()).eval()

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(samples seen, value) of one logged number. Raises UsageError for a name that the log does not have."""
        points = log.curve(self.folder.log, name)
        known = [] if points else list(log.curves(self.folder.log))
        if known:
            raise UsageError(str(self.path), f"has no number {name!r} in its log{nearest(name, known)}", "NAME")
        return points

    def sample(self, n: int = 64, seed: int = 0, class_name: str | None = None) -> Tensor:
        """n samples (n, C, *S) in [-1, 1], of one class if it is named; else sample i is of class i modulo the classes.

        Sample i depends on the checkpoint, the seed and i alone.
        """
        label, state = label_of(self, class_name), self.state()
        return sample(shown_generator(state), self.recipe, range(n), seed, label, phase=self.recipe.phase(state.seen))

    def _repr_html_(self) -> str:
        return report.card(self.folder)

    def _repr_png_(self) -> bytes | None:
        newest = self.folder.newest_sheet()
        return newest.read_bytes() if newest else None


def stored_recipe(folder: Folder) -> Recipe:
    registry.load_parts()
    return from_toml(registry.text_of(folder.recipe), str(folder.recipe))


def label_of(run: Run, class_name: str | None) -> int | None:
    """The number of a class. Raises UsageError for an unknown one, or where the generator knows no classes."""
    if class_name is None:
        return None
    if not run.recipe.classes:
        raise UsageError("--class", f"{run.path} was trained without classes", "CLASS")
    classes = run.folder.read_about()["data"]["classes"]
    if class_name not in classes:
        raise UsageError("--class", f"{class_name!r} is no class{nearest(class_name, classes)}", "CLASS")
    return int(classes.index(class_name))
