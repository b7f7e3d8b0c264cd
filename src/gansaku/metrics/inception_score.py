"""Inception Score: whether a classifier is sure of each sample and yet sees many classes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from gansaku.errors import UsageError
from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.parts import part, require


@part
class InceptionScore(Metric):
    """exp mean KL(p(y|x) ‖ p(y)), the mean over `splits` equal parts of the samples in their order.

    Between 1 and the number of classes (Salimans et al. 2016, arXiv:1606.03498, sec. 4). It looks at no real sample, and
    falls with fewer samples to a part.
    """

    splits: int = 10

    gives: ClassVar[dict[str, Output]] = {"is": Output("IS", "higher", least=1)}
    needs: ClassVar[tuple[Need, ...]] = ("logits",)
    reads_real: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.splits >= 1, "splits", f"{self.splits} is not a number of parts; use 10, or 1")

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        return {"is": float(inception_scores(generated.known("logits"), self.splits).mean())}

    def error(self, real: Side, generated: Side) -> dict[str, float]:
        """std over parts / √parts: the parts share no sample. (Papers print "± std".)"""
        scores = inception_scores(generated.known("logits"), self.splits)
        return {"is": float(scores.std() / self.splits**0.5)} if self.splits > 1 else {}

    def check(self, real: Side, generated: Side) -> None:
        if generated.n < max(self.least, self.splits):
            raise UsageError(
                "IS", f"needs {max(self.least, self.splits)} generated samples or more, and there are {generated.n}", "COUNT"
            )


def inception_scores(logits: Tensor, splits: int) -> Tensor:
    """The score of each part, (splits,) fp64, of logits (n, K) with n >= splits."""
    log_chances = logits.double().log_softmax(1)
    n = len(logits)
    parts = [log_chances[i * n // splits : (i + 1) * n // splits] for i in range(splits)]
    return torch.stack([_score(part) for part in parts])


def _score(log_chances: Tensor) -> Tensor:
    of_all = torch.logsumexp(log_chances, 0) - math.log(len(log_chances))
    return (log_chances.exp() * (log_chances - of_all)).sum(1).mean().exp()
