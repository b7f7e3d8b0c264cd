"""A classifier of its own beside the discriminator: article 1's AC-WGAN-GP, with three networks and three optimizers."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from torch import Tensor

from gansaku.contract import Move, Player, Signals, Turn, Verdict
from gansaku.methods.adversarial import Adversarial
from gansaku.methods.class_losses import ClassLoss, CrossEntropy, check_classes, right
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe

CLASSIFIER_FIRST = (
    Move("classifier"),
    Move("generator", real="same", fake="same"),
    Move("discriminator", real="same", fake="same"),
)
"""Article 1's `Updater.update`: G meets the C that has moved, and D takes the fakes from before G's step."""


@part
class SeparateClassifier(Adversarial):
    """C: its class loss on real samples. G: adversarial + weight · C's class loss on G's fakes. D: adversarial alone.

    Article 1, where the weight is ε ≈ 100. C learns from real samples only. Signals beside the losses: `class_accuracy`
    of C, on real samples in C's turn and on fakes in G's; and `class_unweighted`, G's class loss before its weight.
    Penalties in C's turn see the slope of its class loss by x: with WassersteinClasses it is the margin's.
    """

    order: tuple[Move, ...] = CLASSIFIER_FIRST
    weight: float = 100.0
    class_loss: ClassLoss = CrossEntropy()
    classifier: Player = field(kw_only=True)

    def __post_init__(self) -> None:
        require(self.weight >= 0, "weight", f"{self.weight:g} must not be negative: G would flee from its classes")

    def players(self, recipe: Recipe) -> dict[str, Player]:
        return {**super().players(recipe), "classifier": self.classifier}

    def check(self, recipe: Recipe) -> None:
        check_classes(recipe, {"generator": recipe.generator, "method.classifier": self.classifier})

    def losses(self, turn: Turn) -> Signals:
        if turn.player == "classifier":
            return {"class": self.judged(turn, turn.real, turn.labels)}
        losses = super().losses(turn)
        if turn.player == "generator":
            turn.notes["class_unweighted"] = self.judged(turn, turn.fake(), turn.piece.fake_labels)
            losses["class"] = self.weight * turn.notes["class_unweighted"]
        return losses

    def judged(self, turn: Turn, x: Tensor, labels: Tensor) -> Tensor:
        """(N,): C's class loss, with the accuracy noted."""
        classes = self.classes(turn, x, labels)
        turn.notes["class_accuracy"] = right(classes, labels)
        return self.class_loss(classes, labels)

    def classes(self, turn: Turn, x: Tensor, labels: Tensor) -> Tensor:
        """(N, K): C's outputs, in the samples' dtype also beside a bf16 network. C sees samples as they are."""
        verdict: Verdict = turn.nets["classifier"](x, labels, turn.phase)
        assert verdict.classes is not None
        return verdict.classes.to(turn.real.dtype)

    def signals(self, turn: Turn) -> Signals:
        return super().signals(turn) | {name: value.detach() for name, value in turn.notes.items()}

    def logit(self, turn: Turn, x: Tensor, labels: Tensor) -> Tensor:
        if turn.player != "classifier":
            return super().logit(turn, x, labels)
        return -self.class_loss(self.classes(turn, x, labels), labels)

    def sums_logits(self, turn: Turn) -> bool:
        return type(self).logit is SeparateClassifier.logit and turn.player == "discriminator"
