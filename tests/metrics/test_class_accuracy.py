"""Class accuracy: what a classifier must say of samples that are, are not, or could be any class."""

import math

import numpy as np
import pytest
import torch

from gansaku.errors import RecipeError, UsageError
from gansaku.metrics import class_accuracy as module
from gansaku.metrics.class_accuracy import ClassAccuracy, chosen_c, split
from gansaku.metrics.contract import Side

FAR = 40.0


def side(n, classes=4, f=5, seed=0, apart=FAR, labels=None):
    """Normal features around a middle for each class, which are `apart` or so from one another."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes if labels is None else labels
    middles = apart * torch.randn(classes, f, generator=torch.Generator().manual_seed(99))
    return Side(len(labels), middles[labels] + torch.randn(len(labels), f, generator=draw), labels=labels)


def asked(generated, labels):
    return Side(generated.n, generated.features, labels=labels)


def numbers(real, generated, metric=ClassAccuracy()):  # noqa: B008
    metric.check(real, generated)
    return metric.values(real, generated)


def test_samples_of_classes_that_lie_apart_are_all_seen_as_their_own():
    found = numbers(side(80), side(60, seed=1))
    assert found == {"class_accuracy": 1, "class_accuracy_real": 1, "class_imbalance": 0}


def test_samples_that_are_all_of_another_class_are_never_right_and_their_classes_are_still_balanced():
    generated = side(60, seed=1)
    found = numbers(side(80), asked(generated, (generated.labels + 1) % 4))
    assert found == {"class_accuracy": 0, "class_accuracy_real": 1, "class_imbalance": 0}


def test_a_generator_of_one_class_is_right_when_that_is_asked_for_and_its_classes_are_out_of_balance():
    found = numbers(side(80), asked(side(60, labels=torch.full((60,), 2)), torch.arange(60) % 4))
    assert found == {"class_accuracy": 1 / 4, "class_accuracy_real": 1, "class_imbalance": 3 / 4}


def test_labels_that_say_nothing_give_chance():
    """Either side's labels drawn anew: right is one in four, within five deviations of 2,000 coins."""
    chance, draw = pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 2000)), torch.Generator().manual_seed(5)
    real, generated = side(200), side(2000, seed=1)
    assert numbers(real, asked(generated, torch.randint(4, (2000,), generator=draw)))["class_accuracy"] == chance
    shuffled = asked(side(2000, apart=0), torch.randint(4, (2000,), generator=draw))
    found = numbers(shuffled, generated)
    assert found["class_accuracy_real"] == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_scikit_learns_classifier_on_the_same_split(seed):
    svm = pytest.importorskip("sklearn.svm")
    real, generated = side(400, apart=0.7), side(200, seed=1, apart=0.7)
    order, out = split(real.labels, seed)
    learned, rest = order[~out], order[out]
    x = real.features.double()
    mean, scale = x[learned].mean(0), x[learned].std(0, correction=0) * 5**0.5
    theirs = svm.LinearSVC(loss="squared_hinge", dual=True, C=1.0, tol=1e-10, max_iter=10**6, random_state=0)
    theirs.fit(((x[learned] - mean) / scale).numpy(), real.labels[learned].numpy())

    def right(one, rows):
        seen = theirs.predict(((one.features[rows].double() - mean) / scale).numpy())
        return float(np.mean(seen == one.labels[rows].numpy()))

    found = numbers(real, generated, ClassAccuracy(c=1.0, seed=seed))
    assert found["class_accuracy"] == right(generated, torch.arange(200))
    assert found["class_accuracy_real"] == pytest.approx(right(real, rest), abs=1e-12)
    assert 0.3 < found["class_accuracy"] < 0.9, "too easy to tell anything"


@pytest.mark.parametrize("counts", [(1, 2, 3, 4, 5, 9), (40, 0, 41, 1)])
def test_a_quarter_of_each_class_is_held_out_and_none_of_it_learned(counts):
    labels = torch.cat([torch.full((n,), label) for label, n in enumerate(counts)])
    order, out = split(labels, 3)
    assert sorted(order.tolist()) == list(range(len(labels)))
    held = torch.bincount(labels[order[out]], minlength=len(counts)).tolist()
    assert held == [(n + 2) // 4 for n in counts]
    assert all(n > h for n, h in zip(counts, held, strict=True) if n)


def test_what_it_says_of_real_samples_is_not_what_it_has_learned_by_heart():
    """With more features than samples anything can be learned by heart; new samples of noise are told by chance."""
    real = asked(side(120, classes=2, f=200, apart=0), torch.arange(120) % 2)
    assert numbers(real, real)["class_accuracy"] > 0.8
    assert numbers(real, real)["class_accuracy_real"] < 0.75


def test_real_samples_are_weighted_as_generated_ones_are_asked_for():
    """The classes 0 and 1 are told apart from the others and the classes 2 and 3, which are one, are not from each other."""
    draw, labels = torch.Generator().manual_seed(0), torch.arange(800) % 4
    x = FAR * torch.eye(3)[torch.tensor([0, 1, 2, 2])[labels]] + torch.randn(800, 3, generator=draw)
    real = Side(800, x, labels=labels)

    def accuracy(of):
        return numbers(real, real.rows(torch.isin(labels, torch.tensor(of)).nonzero().flatten()))["class_accuracy_real"]

    assert accuracy([0, 1]) == 1
    both = accuracy([2, 3])
    assert both == pytest.approx((accuracy([2]) + accuracy([3])) / 2, abs=1e-12)
    assert both == pytest.approx(0.5, abs=0.2)
    assert accuracy([0, 1, 2, 3]) == pytest.approx((1 + both) / 2, abs=1e-12)


def test_its_errors_are_those_of_shares():
    real, generated = side(400, apart=0.7), side(200, seed=1, apart=0.7)
    found, errors = numbers(real, generated), ClassAccuracy().error(real, generated)
    p = (200 * found["class_accuracy"] + 2) / 204
    assert errors["class_accuracy"] == pytest.approx(math.sqrt(p * (1 - p) / 204), rel=1e-12)
    of_classes = [numbers(real, generated.rows(torch.arange(k, 200, 4)))["class_accuracy_real"] for k in range(4)]
    shares = [(25 * share + 2) / 29 for share in of_classes]  # 25 of each are held out, and a quarter of each asked for
    assert errors["class_accuracy_real"] == pytest.approx(math.sqrt(sum(p * (1 - p) / 29 / 16 for p in shares)), rel=1e-12)
    assert errors.keys() == {"class_accuracy", "class_accuracy_real"}
    assert min(ClassAccuracy().error(side(80), side(60, seed=1)).values()) > 0


def test_the_same_data_and_seed_give_the_same_and_so_does_a_reference_made_once():
    real, generated = side(200, apart=0.7), side(100, seed=1, apart=0.7)
    again = Side(200, real.features.clone(), labels=real.labels.clone())
    found = numbers(real, generated)
    assert found == numbers(again, generated) == ClassAccuracy().values(real, generated, ClassAccuracy().reference(real))
    assert len({tuple(numbers(real, generated, ClassAccuracy(seed=seed)).values()) for seed in range(4)}) > 1


def test_no_two_real_sides_are_taken_for_one_another():
    one, other = side(80), side(80, seed=3)
    swapped = asked(one, 3 - one.labels)
    assert [numbers(real, one)["class_accuracy"] for real in (one, swapped, other, one)] == [1, 0, 1, 1]


def test_c_is_chosen_from_samples_of_which_one_class_is_too_small_to_fold():
    real = side(40)
    assert chosen_c(real.features, real.labels) in module.GRID
    assert chosen_c(real.features[:3], torch.tensor([0, 0, 1])) == 1
    many = side(90, classes=30)
    assert chosen_c(many.features, many.labels) == 1
    lone = torch.cat([torch.zeros(30), torch.ones(30), torch.full((1,), 2.0)]).long()
    assert numbers(side(61, classes=3, labels=lone), side(60, classes=2, seed=1))["class_accuracy"] == 1


def test_a_class_that_was_never_learned_is_never_seen_and_a_reader_is_told():
    real, generated = side(60, classes=4, labels=torch.arange(60) % 3), side(80, seed=1)
    found = numbers(real, generated)
    assert found == {"class_accuracy": 3 / 4, "class_accuracy_real": 1, "class_imbalance": 1 / 4}
    (said,) = ClassAccuracy().remarks(found, real, generated)
    assert said.startswith("1 of 4 classes have fewer than 20 real samples, the smallest 0")


def test_a_poor_classifier_is_told_of_and_a_good_one_is_not():
    real, generated = side(400, apart=0.7), side(200, seed=1, apart=0.7)
    (said,) = ClassAccuracy().remarks(numbers(real, generated), real, generated)
    assert "% of real samples right: read class accuracy beside that" in said
    assert ClassAccuracy().remarks(numbers(side(400), side(200)), side(400), side(200)) == ()


@pytest.mark.parametrize(
    ("real", "generated", "says"),
    [
        (Side(9, torch.zeros(9, 2)), side(9), "needs classes, and the real samples have none"),
        (side(9), Side(9, torch.zeros(9, 2)), "needs classes, and the generated samples have none"),
        (side(9, labels=torch.zeros(9).long()), side(9), "needs real samples of two classes or more to learn from"),
        (side(9, labels=torch.tensor([0, 0, 1])), side(9, labels=torch.ones(4).long()), "a class asked for, and there are 1"),
        (side(9, labels=torch.tensor([0, 0, 1])), side(9, labels=torch.full((4,), 3)), "a class asked for, and there are 0"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_in_a_sentence(real, generated, says):
    with pytest.raises(UsageError, match=says):
        ClassAccuracy().check(real, generated)


def test_a_setting_that_means_nothing_is_refused():
    with pytest.raises(RecipeError, match="not positive"):
        ClassAccuracy(c=0.0)
