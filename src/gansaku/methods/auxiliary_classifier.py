"""The classifier as a second head of the discriminator: ACGAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor

from gansaku.contract import Signals, Turn
from gansaku.methods.adversarial import Adversarial
from gansaku.methods.class_losses import CrossEntropy, check_classes, right
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


@part
class AuxiliaryClassifier(Adversarial):
    """Both players also want D's class head to see each sample's class: cross-entropy of real samples and of fakes.

    Odena et al. 2017, arXiv:1610.09585, eq. 2 and 3: D: adversarial + weight · (real + fakes), G: adversarial +
    weight · fakes. With on="real", D learns classes from real samples only. `generator_weight` is G's where it differs.
    Signals beside the losses: `class_unweighted`, `class_accuracy` (D's on real samples, G's on its fakes) and, where D
    learns from both, `fake_class_accuracy`.
    """

    weight: float = 1.0
    generator_weight: float | None = None
    on: Literal["real", "both"] = "both"

    def __post_init__(self) -> None:
        for name, weight in (("weight", self.weight), ("generator_weight", self.generator_weight or 0.0)):
            require(weight >= 0, name, f"{weight:g} must not be negative: the player would flee from the classes")

    def check(self, recipe: Recipe) -> None:
        check_classes(recipe, {"generator": recipe.generator, "discriminator": recipe.discriminator})

    def losses(self, turn: Turn) -> Signals:
        losses, weight = super().losses(turn), self.weight
        if turn.player == "generator":
            mistakes = self.judged(turn, "fake", "class_accuracy")
            weight = self.weight if self.generator_weight is None else self.generator_weight
        else:
            mistakes = self.judged(turn, "real", "class_accuracy")
            if self.on == "both":
                mistakes = mistakes + self.judged(turn, "fake", "fake_class_accuracy")
        turn.notes["class_unweighted"] = mistakes
        return {**losses, "class": weight * mistakes}

    def judged(self, turn: Turn, which: Literal["real", "fake"], accuracy: str) -> Tensor:
        """(N,): the class head's cross-entropy on real samples or on fakes, with the accuracy noted under its name."""
        classes = turn.verdict(which).classes
        assert classes is not None
        labels = turn.labels if which == "real" else turn.piece.fake_labels
        turn.notes[accuracy] = right(classes, labels)
        return CrossEntropy()(classes, labels)

    def signals(self, turn: Turn) -> Signals:
        return super().signals(turn) | {name: value.detach() for name, value in turn.notes.items()}
