"""Class losses: how far a classifier's K outputs are from saying the label; and the checks that methods with classes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from gansaku.contract import Network, Player
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


class ClassLoss(ABC):
    """A pure function of outputs (N, K) and labels (N,) -> (N,); the smaller, the surer is the label."""

    @abstractmethod
    def __call__(self, classes: Tensor, labels: Tensor) -> Tensor: ...


@part
class CrossEntropy(ClassLoss):
    """-log softmax(f)_y, in nats; log K where all outputs are equal."""

    def __call__(self, classes: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(classes, labels, reduction="none")


@part
class WassersteinClasses(ClassLoss):
    """mean of f_k(x) over k ≠ y, minus f_y(x): each output is a critic of one class, and their distance is to grow.

    Article 1 measured classes by a Wasserstein distance, could not make it work, and printed nothing of it: this form is
    ours. It has no bound below, so the classifier needs one on its slope by x, as a Wasserstein discriminator does: give
    it a GradientPenalty.
    """

    def __call__(self, classes: Tensor, labels: Tensor) -> Tensor:
        own = classes.gather(1, labels[:, None]).squeeze(1)
        others = (classes.sum(1) - own) / (classes.shape[1] - 1)
        return others - own


def right(classes: Tensor, labels: Tensor) -> Tensor:
    """(N,): 1 where the largest of (N, K) outputs is the label's, else 0; the mean is the accuracy."""
    return (classes.argmax(1) == labels).to(classes)


def check_classes(recipe: Recipe, players: dict[str, Player]) -> None:
    """The networks of the players at these paths know as many classes as the recipe, which are two or more.

    A network says how many in a field or property `classes`, and in `tells` whether it has class outputs where that is a
    setting. Raises RecipeError for the first that does not fit.
    """
    method, wanted = type(recipe.method).__name__, recipe.classes
    require(wanted >= 2, "classes", f"{method} tells classes apart and the recipe has {wanted}; use 2 or more")
    for path, player in players.items():
        network = player.network
        unfit = f"{type(network).__name__} knows no classes, which {method} needs; ChainerGenerator and others do"
        require(hasattr(network, "classes"), f"{path}.network", unfit)
        told = path != "generator" and type(network).reads_labels is not Network.reads_labels and network.reads_labels
        given = f"{type(network).__name__} is given the label that it would have to tell; use a network that tells classes"
        require(not told, f"{path}.network", given)
        silent = path != "generator" and not getattr(network, "tells", True)
        require(not silent, f"{path}.network.tells", f"off, and {method} wants the network to tell classes; set it to true")
    wrong = [f"{path}.network.classes" for path, player in players.items() if getattr(player.network, "classes", 0) != wanted]
    if wrong:
        known = getattr(players[wrong[0].removesuffix(".network.classes")].network, "classes", 0)
        cure = "set both" if len(wrong) == 1 else f"set {' and '.join(wrong)} too"
        require(False, wrong[0], f"{known} is not the recipe's {wanted} classes; {cure}, to as many as the data have")
