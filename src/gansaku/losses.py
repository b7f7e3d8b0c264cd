"""Adversarial losses: two pure functions of per-sample logits each, both players side by side."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from gansaku.contract import AdversarialLoss, Target
from gansaku.parts import part

Reading = Literal["logit", "relative", "value"]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-t log σ(x) - (1 - t) log(1 - σ(x)) = softplus(x) - t x: exact for any x, also for targets outside [0, 1]."""
    return softplus(logits) - target * logits


@part
class Logistic(AdversarialLoss):
    """Non-saturating logistic loss (Goodfellow et al. 2014, arXiv:1406.2661, sec. 3).

    D: softplus(-real) + softplus(fake), G: softplus(-fake), for targets 1 and 0. The discriminator must return
    logits: a sigmoid before this loss bounds both players' gradients.
    """

    reads_target: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return cross_entropy(real, target.real) + cross_entropy(fake, target.fake)

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return cross_entropy(fake, target.real)


class OfProbability(torch.autograd.Function):
    """Cross-entropy of p = σ(x) in the logits' own type, as torch's BCELoss computes it and its slope.

    Value -t log p - (1 - t) log(1 - p), no logarithm below -100; slope (p - t) s / max(s, 1e-12) with s = p (1 - p).
    """

    @staticmethod
    def forward(logits: Tensor, target: Tensor) -> Tensor:
        p = logits.sigmoid()
        return -target * p.log().clamp(min=-100) - (1 - target) * (1 - p).log().clamp(min=-100)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, None]:
        logits, target = ctx.saved_tensors
        p = logits.sigmoid()
        s = p * (1 - p)
        return wanted * (p - target) * s / s.clamp(min=1e-12), None


def clamped_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    loss: Tensor = OfProbability.apply(logits, target)  # type: ignore[no-untyped-call]
    return loss


@part
class BinaryCrossEntropy(AdversarialLoss):
    """`Logistic` as a sigmoid followed by torch's BCELoss computes it: -t log σ(x) - (1 - t) log(1 - σ(x)), each log ≥ -100.

    Its slope is that of `Logistic`, σ(x) - t, but vanishes where D is surer than numbers are fine: above x ≈ 17 in fp32,
    where σ(x) is 1, and below x ≈ -28. So a target above 1 drives x no further, and G learns nothing from a D so sure.
    Such targets torch itself takes no longer.
    """

    reads_target: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return clamped_cross_entropy(real, target.real) + clamped_cross_entropy(fake, target.fake)

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return clamped_cross_entropy(fake, target.real)


@part
class BoundedLogistic(AdversarialLoss):
    """Article 0's: `Logistic` of p = σ(x), where D's sigmoid was left in front of a softplus that has one of its own.

    D: softplus(-p_real) + softplus(p_fake), G: softplus(-p_fake). All lie in [0.31, 1.32], and no slope exceeds 0.16: the
    players are never sure of anything, and never pushed hard.
    """

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return softplus(-real.sigmoid()) + softplus(fake.sigmoid())

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return softplus(-fake.sigmoid())


@part
class Saturating(AdversarialLoss):
    """The minimax loss as first written: G minimizes log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1).

    Its slope vanishes when the discriminator is sure; it is here to be compared with.
    """

    reads_target: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return cross_entropy(real, target.real) + cross_entropy(fake, target.fake)

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return -cross_entropy(fake, target.fake)


@part
class LeastSquares(AdversarialLoss):
    """LSGAN: ½(real - 1)² + ½(fake - 0)², G ½(fake - 1)² (Mao et al. 2017, arXiv:1611.04076, eq. 9)."""

    reads_target: ClassVar[bool] = True
    reading: ClassVar[Reading] = "value"
    boundary: ClassVar[float] = 0.5

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return 0.5 * ((real - target.real).square() + (fake - target.fake).square())

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return 0.5 * (fake - target.real).square()


@part
class Hinge(AdversarialLoss):
    """max(0, 1 - real) + max(0, 1 + fake), G -fake (Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, eq. 16, 17)."""

    reading: ClassVar[Reading] = "value"

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return relu(1 - real) + relu(1 + fake)

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return -fake


@part
class Wasserstein(AdversarialLoss):
    """fake - real, G -fake (Arjovsky et al. 2017, arXiv:1701.07875). Needs a bound on D's slope: a penalty or clipping."""

    only_differences: ClassVar[bool] = True
    reading: ClassVar[Reading] = "value"

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return fake - real

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        return -fake


@part
class RelativisticPairing(AdversarialLoss):
    """RpGAN: softplus(-(real - fake)) per pair, G softplus(-(fake - real)).

    Jolicoeur-Martineau 2018, arXiv:1807.00734, sec. 4.1; with R1 and R2 it is R3GAN's loss (Huang et al. 2024).
    """

    reads_real: ClassVar[bool] = True
    reading: ClassVar[Reading] = "relative"
    only_differences: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return softplus(fake - real)

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        assert real is not None
        return softplus(real - fake)


@part
class RelativisticAverage(AdversarialLoss):
    """Each side against the other side's mean over the batch: r = real - mean(fake), f = fake - mean(real).

    RaSGAN, RaLSGAN and RaHingeGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734, table 1), by `form`; the generator's
    loss is the discriminator's with the roles exchanged. `least-squares` pulls r to the real target and f to minus the
    real target, as coded in the dog-picture competition, and the hinge has the real target as its margin. All forms are
    halved, which only scales both players alike.
    """

    form: Literal["logistic", "least-squares", "hinge"] = "logistic"

    reads_real: ClassVar[bool] = True
    reading: ClassVar[Reading] = "relative"
    only_differences: ClassVar[bool] = True
    reads_target: ClassVar[bool] = True
    looks_across: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor, target: Target) -> Tensor:
        return self._apart(real, fake, target.real)

    def generator(self, real: Tensor | None, fake: Tensor, target: Target) -> Tensor:
        assert real is not None
        return self._apart(fake, real, target.real)

    def _apart(self, up: Tensor, down: Tensor, target: Tensor) -> Tensor:
        high, low = up - down.mean(0, keepdim=True), down - up.mean(0, keepdim=True)
        if self.form == "least-squares":
            return 0.5 * ((high - target).square() + (low + target).square())
        if self.form == "hinge":
            return 0.5 * (relu(target - high) + relu(target + low))
        return 0.5 * (cross_entropy(high, target) + cross_entropy(low, 1 - target))
