"""What the discriminator says, and whether it has learned the data by heart."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from gansaku.contract import Signals
from gansaku.health.contract import Look, Need, Outputs, Signal
from gansaku.health.meaning import Meaning
from gansaku.parts import part


@part
class Judgement(Signal):
    """How well D tells samples apart that it is shown now: training samples, held-out ones, and fakes.

    Real samples are right above the loss's boundary and fakes not above it. Beside a relativistic loss only pairs have a
    right order, so it is the share of (real, fake) pairs with the real one higher, and fakes have no share of their own.
    Methods with losses of their own have numbers without a boundary: nothing is said of them here.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "real_accuracy": Meaning("discriminator", "Accuracy on training samples", "share that D judges real: 0 to 1",
                                 "0.5 to 0.95", chart="Accuracy of D"),
        "held_out_accuracy": Meaning("discriminator", "Accuracy on held-out samples", "the same of real samples that no "
                                     "training saw: 0 to 1", "as on training samples", chart="Accuracy of D"),
        "accuracy_gap": Meaning("discriminator", "Accuracy gap", "of training over held-out samples: D knows them by heart",
                                "below 0.1"),
        "fake_accuracy": Meaning("discriminator", "Accuracy on fakes", "share that D judges fake: 0 to 1", "0.5 to 0.95",
                                 chart="Accuracy of D"),
        "logit_gap": Meaning("discriminator", "Logit gap", "mean of D(x) - D(G(z)), before any sigmoid",
                             "above 0, and not growing without end"),
    }  # fmt: skip
    needs: ClassVar[tuple[Need, ...]] = ("outputs",)

    def __call__(self, look: Look, reference: Any) -> Signals:
        assert look.outputs is not None
        said = look.outputs
        if said.reading == "own":
            return {}
        found = {"real_accuracy": right(said, said.train), "logit_gap": said.train.mean() - said.fake.mean()}
        if said.reading != "relative":
            found["fake_accuracy"] = (said.fake <= said.boundary).double().mean()
        if said.held_out is not None:
            held = right(said, said.held_out)
            found |= {"held_out_accuracy": held, "accuracy_gap": found["real_accuracy"] - held}
        return found


@part
class Overfitting(Signal):
    """(mean D(train) - mean D(held out)) / (mean D(train) - mean D(fake)): 0 generalizes, 1 knows its samples by heart.

    Karras et al. 2020, arXiv:2006.06676, eq. 1, r_v. A ratio of differences, so it holds for whatever D gives: logits,
    plain values, BEGAN's errors. Where D tells nothing apart, it is coarse.
    """

    gives: ClassVar[dict[str, Meaning]] = {
        "overfitting": Meaning("discriminator", "Overfitting of D", "where D puts held-out samples, from training samples (0) "
                               "to fakes (1)", "below 0.4"),
    }  # fmt: skip
    needs: ClassVar[tuple[Need, ...]] = ("outputs", "held_out")

    def __call__(self, look: Look, reference: Any) -> Signals:
        assert look.outputs is not None
        assert look.outputs.held_out is not None
        train, fake, held_out = (x.mean() for x in (look.outputs.train, look.outputs.fake, look.outputs.held_out))
        return {"overfitting": (train - held_out) / (train - fake)} if train != fake else {}


def right(said: Outputs, real: Tensor) -> Tensor:
    """The share of real samples, or of pairs with a fake, that D judges right."""
    over = real[:, None] > said.fake if said.reading == "relative" else real > said.boundary
    return over.double().mean()
