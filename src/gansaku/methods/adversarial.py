"""The usual method: a generator against a discriminator, with the recipe's adversarial loss."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.contract import AdversarialLoss, Method, Move, Signals, Target, Turn, Verdict
from gansaku.parts import part, require

if TYPE_CHECKING:
    from gansaku.recipe import Recipe

SHARED = (Move("discriminator"), Move("generator", real="same", fake="same"))
"""One D step, one G step on the same real batch and the same fakes: the order of the DCGAN example, and the fastest."""

FRESH = (Move("discriminator"), Move("generator", real="same"))
"""The same with new latents for G's step (Goodfellow et al. 2014, algorithm 1)."""


def critic(steps: int) -> tuple[Move, ...]:
    """`steps` D steps on new batches, then one G step with new latents (Gulrajani et al. 2017, algorithm 1)."""
    return (*[Move("discriminator")] * steps, Move("generator", real="same"))


def generator_first(steps: int = 1) -> tuple[Move, ...]:
    """chainer-gan-lib's order: `steps` D batches; G moves on the first, and D takes the fakes from before G's step there."""
    return (Move("generator"), Move("discriminator", real="same", fake="same"), *[Move("discriminator")] * (steps - 1))


@part
class Adversarial(Method):
    """`order` is the cycle of moves; the losses are the recipe's.

    Where the generator's loss looks at the real samples' logits, they are those of D as it is `now`, or `earlier`, as D's
    last step on this batch saw them: without another pass, and as one computation of both players has it.

    In D's turn real samples and fakes pass it `apart`, or `together` as one batch (soumith/ganhacks, item 4, advises against
    it): where D has batch norm, that mixes their means and deviations. In G's turn there are fakes alone either way.
    """

    order: tuple[Move, ...] = SHARED
    real_logits: Literal["now", "earlier"] = "now"
    batches: Literal["apart", "together"] = field(default="apart", kw_only=True)

    gives: ClassVar[tuple[str, ...]] = ("sign",)

    def check(self, recipe: Recipe) -> None:
        tied = recipe.discriminator.network.ties_samples or recipe.discriminator.network.looks_across
        lone = f"{self.batches} would change nothing: this discriminator judges each sample by itself; use apart"
        require(tied or self.batches == "apart", "method.batches", lone)
        judged = False
        for move in self.order:
            judged = (judged and move.real == "same") or move.player == "discriminator"
            require(
                judged or self.real_logits == "now",
                "method.real_logits",
                "there are none from earlier where the generator moves before the discriminator has seen the batch; use now",
            )

    def cycle(self, recipe: Recipe) -> tuple[Move, ...]:
        return self.order

    def losses(self, turn: Turn) -> Signals:
        return {"adversarial": self.adversarial(turn).sum(1)}

    def adversarial(self, turn: Turn) -> Tensor:
        """(N, M): the recipe's adversarial loss of the moving player."""
        loss = turn.recipe.loss
        assert loss is not None
        self.meet(turn)
        fake, target = turn.logits("fake"), turn.recipe.targets(turn)
        real = self.real(turn) if turn.player != "generator" or loss.reads_real else None
        if loss.looks_across:  # a mean over my rows alone would be another loss on every rank
            fake, target = ranks.gather(fake), Target(*map(ranks.gather, target))
            real = None if real is None else ranks.gather(real)
        if turn.player == "generator":
            result = loss.generator(real, fake, target)
        else:
            assert real is not None
            result = loss.discriminator(real, fake, target)
        return result[turn.piece.rows.start : turn.piece.rows.stop] if loss.looks_across else result

    def meet(self, turn: Turn) -> None:
        """Where both kinds are to pass D together, let them, unless they have: it leaves their verdicts in the turn."""
        if self.batches == "together" and turn.player == "discriminator" and ("real", 0) not in turn.verdicts:
            real, fake = together(turn)
            turn.verdicts["real", 0] = real
            turn.verdicts.setdefault(("fake", 0), fake)

    def real(self, turn: Turn) -> Tensor:
        """(N, M): D's logits of the real samples."""
        before = turn.earlier("real") if turn.player == "generator" and self.real_logits == "earlier" else None
        return turn.logits("real") if before is None or before.logits is None else before.logits

    def signals(self, turn: Turn) -> Signals:
        """D's outputs as the moving player's step saw them: `real`, `fake`, and where they mean probabilities, those.

        Beside a relativistic loss only the distance to the other kind means anything: the probability that a sample
        is more real than the other kind's mean, and the accuracy over pairs. `sign`, of D's word on real samples, is that
        of D(real) less the loss's boundary, or less D of the fake beside it where only differences mean anything.
        """
        loss = turn.recipe.loss
        assert loss is not None
        if turn.player not in ("generator", "discriminator"):
            return {}
        with torch.no_grad():
            self.meet(turn)
            fake = turn.logits("fake").mean(1)
            if turn.player == "generator" and not loss.reads_real:
                return {"fake": fake, **probability(loss, "fake", fake)}
            real = self.real(turn).mean(1)
            signals = {"real": real, "fake": fake}
            if loss.reading == "relative":
                right = (real > fake).to(real)
                signals |= {
                    "real_probability": (real - ranks.gather(fake).mean()).sigmoid(),
                    "fake_probability": (fake - ranks.gather(real).mean()).sigmoid(),
                }
            else:
                right = 0.5 * ((real > loss.boundary).to(real) + (fake <= loss.boundary).to(real))
                signals |= probability(loss, "real", real) | probability(loss, "fake", fake)
            above = real - (fake if loss.only_differences else loss.boundary)
            return signals if turn.player == "generator" else {**signals, "accuracy": right, "sign": above.sign()}


def probability(loss: AdversarialLoss, name: str, logit: Tensor) -> Signals:
    """D(x) as a probability, where the loss makes logits of it."""
    return {f"{name}_probability": logit.sigmoid()} if loss.reading == "logit" else {}


def together(turn: Turn) -> tuple[Verdict, Verdict]:
    """What D says of the real samples and of the fakes, as `turn.verdict` would, but in one pass of all of them."""
    given, labels = (turn.real, turn.fake()), (turn.labels, turn.piece.fake_labels)
    augment = turn.recipe.augment
    if augment is not None:
        given = augment(given[0], turn, "real0"), augment(given[1], turn, "fake0")
    both: Verdict = turn.nets["discriminator"](torch.cat(given), torch.cat(labels), turn.phase)
    halves = [(None, None) if said is None else said.to(turn.real.dtype).chunk(2) for said in both]
    return Verdict(*[half[0] for half in halves]), Verdict(*[half[1] for half in halves])
