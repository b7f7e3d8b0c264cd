"""What a signal is: a part with a pure function of one look at a training, and what there is to see in a look.

Shapes: n samples, C channels, S space, Z latent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from gansaku.contract import Signals
from gansaku.health.meaning import Meaning
from gansaku.metrics.contract import Side

Need = Literal["features", "outputs", "held_out", "classes"]
Reading = Literal["logit", "value", "relative", "own"]


class Outputs(NamedTuple):
    """What D says of samples, one number each, in the mode and precision of its own step.

    `reading` is that of the adversarial loss; "own" of a method without one, whose numbers only have differences.
    """

    train: Tensor  # (n,) training samples
    fake: Tensor  # (n,) fakes of the raw generator, as D's step sees them
    held_out: Tensor | None  # (n,) real samples that no training saw
    reading: Reading
    boundary: float = 0.0  # above it a sample counts as judged real; unused where it is relative or own


class Nudge(NamedTuple):
    """The same few latents twice, the second time moved a little in random directions, and what becomes of them."""

    before: Tensor  # (m, C, *S) in [-1, 1]
    after: Tensor  # (m, C, *S)
    moved: Tensor  # (m,) |ε|
    spread: Tensor  # () standard deviation of z, all its values together: the root of their summed variances


@dataclass(frozen=True, eq=False)
class Look:
    """What there is to see at one moment. Everything is on the CPU.

    The generator is the one that is shown, its weight average where there is one, as users get its samples.
    """

    fake: Tensor  # (n, C, *S) in [-1, 1]: what the generator gives for latents that are the same in every look
    generated: Side  # the same as a file holds them, with their features and labels
    real: Side  # a fresh batch of training samples
    nudge: Nudge
    outputs: Outputs | None = None  # None where the method's discriminator says nothing of single samples
    by_class: Side | None = None  # with many classes, generated samples of some of them; else those of `generated` do


class Signal(ABC):
    """A part that makes numbers of a look. Pure: no file, no clock. It is found by being there, a user's own too.

    `gives` names its numbers, as the log has them after `health/`, with what they mean. It may leave some out where they
    have no meaning. The data's own value of a number has a name too, in its `Meaning.data`.
    """

    gives: ClassVar[dict[str, Meaning]]
    needs: ClassVar[tuple[Need, ...]] = ()
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)  # 2 for pictures, 3 for voxels

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it can look at samples (C, *S)."""
        return True

    def reference(self, real: Side) -> Any:
        """What depends on the data alone, made once for each size of the samples, of a few hundred of them."""
        return None

    @abstractmethod
    def __call__(self, look: Look, reference: Any) -> Signals:
        """Its numbers by name, one value each. `reference` is what `reference(real)` returned."""
