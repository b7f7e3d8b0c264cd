"""The first n samples are the same n, in the same order, however many are asked for."""

import pytest
import torch

from gansaku.errors import UsageError
from gansaku.evaluation.samples import Generated, Stored

from .stand_ins import dataset


def first_pixels(samples, start, stop):
    return samples.block(start, stop)[:, 0, 0, 0].tolist()


def test_a_split_is_shuffled_once_and_for_ever(tmp_path):
    data = dataset(tmp_path)
    train, again = Stored(data, "train"), Stored(data, "train")
    assert first_pixels(train, 0, 40) == first_pixels(again, 0, 40)
    assert first_pixels(train, 0, 40) != list(range(40))
    assert sorted(first_pixels(train, 0, 40)) == list(range(40))
    assert first_pixels(train, 10, 20) == first_pixels(train, 0, 40)[10:20]


def test_the_splits_hold_their_own_samples_and_all_holds_both(tmp_path):
    data = dataset(tmp_path)
    assert sorted(first_pixels(Stored(data, "test"), 0, 12)) == list(range(40, 52))
    assert sorted(first_pixels(Stored(data, "all"), 0, 52)) == list(range(52))


def test_two_halves_of_a_split_share_no_sample_and_have_names_of_their_own(tmp_path):
    data = dataset(tmp_path)
    low, high = Stored(data, "train", 0, 20), Stored(data, "train", 20, 40)
    assert set(first_pixels(low, 0, 20)) | set(first_pixels(high, 0, 20)) == set(range(40))
    assert (low.count, high.count) == (20, 20)
    assert low.identity != high.identity


def test_labels_go_with_their_samples(tmp_path):
    train = Stored(dataset(tmp_path), "train")
    assert [pixel % 2 for pixel in first_pixels(train, 0, 40)] == train.labels(0, 40).tolist()


def test_data_without_classes_have_no_labels(tmp_path):
    assert Stored(dataset(tmp_path, classes=())).labels(0, 4) is None


def test_voxels_are_zero_and_one_in_the_order_of_training(tmp_path):
    block = Stored(dataset(tmp_path, shape=(1, 4, 4, 4), classes=())).block(0, 5)
    assert block.shape == (5, 1, 4, 4, 4)
    assert set(block.unique().tolist()) == {0, 1}


@pytest.mark.parametrize(("split", "sentence"), [("valid", "is no split; use train, test, all"), ("test", "has no test split")])
def test_a_split_that_is_not_there_is_refused(tmp_path, split, sentence):
    with pytest.raises(UsageError, match=sentence):
        Stored(dataset(tmp_path, test=0), split)


def test_generated_pictures_are_rounded_as_a_picture_file_holds_them():
    values = torch.tensor([-1.0, -0.999, 0.0, 0.999, 1.0, 3.0]).view(6, 1, 1, 1)
    made = Generated("g", {}, (1, 1, 1), lambda which: values[list(which)])
    assert made.block(0, 6).flatten().tolist() == [0, 0, 128, 255, 255, 255]


def test_generated_voxels_are_full_above_zero():
    values = torch.tensor([-0.5, 0.0, 0.1]).view(3, 1, 1, 1, 1)
    made = Generated("g", {}, (1, 1, 1, 1), lambda which: values[list(which)])
    assert made.block(0, 3).flatten().tolist() == [0, 0, 1]


def test_generated_samples_have_the_classes_that_sampling_gives_them():
    made = Generated("g", {}, (1, 1, 1), lambda which: torch.zeros(len(which), 1, 1, 1), ("a", "b", "c"))
    assert made.labels(2, 6).tolist() == [2, 0, 1, 2]
    assert Generated("g", {}, (1, 1, 1), made.make, ("a", "b"), label=1).labels(0, 3).tolist() == [1, 1, 1]
