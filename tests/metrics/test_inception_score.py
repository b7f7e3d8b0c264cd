"""Inception Score: against torchmetrics, and where it is known."""

import pytest
import torch
from torchmetrics.image.inception import InceptionScore as Theirs

from gansaku.errors import UsageError
from gansaku.metrics.contract import Side
from gansaku.metrics.inception_score import InceptionScore

NOTHING = Side(0)


def logits(n=60, k=12, seed=0):
    return 3 * torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def made(x, splits=10):
    metric, side = InceptionScore(splits), Side(len(x), logits=x)
    return metric.values(NOTHING, side)["is"], metric.error(NOTHING, side).get("is")


class PassThrough(torch.nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize("splits", [1, 10])
@pytest.mark.filterwarnings("ignore:Metric `InceptionScore`", "ignore:std")
def test_agrees_with_torchmetrics_in_its_order(splits):
    x = logits()
    theirs = Theirs(PassThrough(), splits=splits)
    theirs.update(x.double())
    torch.manual_seed(3)
    mean, std = theirs.compute()
    torch.manual_seed(3)
    value, error = made(x[torch.randperm(len(x))], splits)
    assert value == pytest.approx(float(mean), rel=1e-8)
    if splits > 1:
        assert error == pytest.approx(float(std) / splits**0.5, rel=1e-8)


def test_is_one_where_every_sample_looks_alike():
    assert made(logits(1).repeat(40, 1))[0] == pytest.approx(1, rel=1e-12)


def test_is_the_number_of_classes_where_each_is_certain_and_as_frequent():
    certain = 1e4 * torch.eye(7).repeat(10, 1)
    assert made(certain)[0] == pytest.approx(7, rel=1e-12)


def test_parts_take_the_samples_in_order_and_leave_none_out():
    """23 samples in 10 parts: two or three each, as in the authors' program."""
    x = logits(23)
    alone = [made(x[i * 23 // 10 : (i + 1) * 23 // 10], 1)[0] for i in range(10)]
    assert made(x)[0] == pytest.approx(sum(alone) / 10, rel=1e-12)


def test_one_part_has_no_error():
    assert made(logits(), 1)[1] is None


def test_fewer_samples_than_parts_are_refused_with_a_sentence():
    with pytest.raises(UsageError, match="IS: needs 10 generated samples or more, and there are 9"):
        InceptionScore().check(NOTHING, Side(9, logits=logits(9)))
    InceptionScore().check(NOTHING, Side(10, logits=logits(10)))
