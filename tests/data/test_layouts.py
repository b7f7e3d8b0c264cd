"""The folders that files lie in are classes and splits, by rules that know the usual sets."""

import pytest
from making import RED, error_of, folder_of, picture

from gansaku.data.layouts import Place, classes_of, empty_classes, places
from gansaku.data.sources import open_data
from gansaku.data.tally import Account, Tally
from gansaku.data.tree import Tree, in_folder
from gansaku.errors import DataError


def layout(names, choice="auto", labels=None):
    return places("here", names, Tree(names, lambda name: None, labels=labels or {}), choice)


@pytest.mark.parametrize(("names", "answer"), [
    (["a.png", "b.png"], [("train", "")] * 2),
    (["images/a.png", "images/b.png"], [("train", "")] * 2),
    (["top/Images/cat/a.png", "top/Images/dog/a.png"], [("train", "cat"), ("train", "dog")]),
    (["train/images/a.png", "test/images/a.png"], [("train", ""), ("test", "")]),
    (["top/Train/a.png", "top/valid/a.png"], [("train", ""), ("test", "")]),
    (["train/a.png", "extra/a.png"], [("train", "train"), ("train", "extra")]),
    (["test/a.png", "val/a.png"], [("train", "test"), ("train", "val")]),
    (["test/a.png"], [("train", "")]),
    (["chair/train/a.off", "chair/test/b.off", "desk/train/c.off"], [("train", "chair"), ("test", "chair"), ("train", "desk")]),
    (["chair/30/train/a.mat", "chair/30/test/b.mat"], [("train", ""), ("test", "")]),
    (["03001627/1a/models/m.binvox", "03001627/1b/models/m.binvox"], [("train", "03001627")] * 2),
    (["03001627/1a/models/m.binvox", "02691156/1b/models/m.binvox"], [("train", "03001627"), ("train", "02691156")]),
    (["1a/models/m.binvox", "1b/models/m.binvox"], [("train", "")] * 2),
    (["Images/n02085620-Chihuahua/n02085620_0.jpg", "Images/n02085782-Japanese_spaniel/n02085782_1.jpg"],
     [("train", "Chihuahua"), ("train", "Japanese_spaniel")]),
    (["n02085620-dog/a.jpg", "n02085782-dog/b.jpg"], [("train", "n02085620-dog"), ("train", "n02085782-dog")]),
    (["n02085620-dog/a.jpg", "cat/b.jpg"], [("train", "n02085620-dog"), ("train", "cat")]),
])  # fmt: skip
def test_layouts(names, answer):
    assert layout(names) == answer


def test_flat_means_that_folders_mean_nothing():
    assert layout(["cat/a.png", "train/b.png", "c.png"], "flat") == [Place("train", "")] * 3


def test_files_beside_class_folders_are_ambiguous_until_it_is_said_what_they_mean():
    names = ["a.png", "cat/b.png"]
    assert error_of(DataError, layout, names).code == "DATA_LAYOUT"
    assert layout(names, "classes") == [Place("train", "unlabelled"), Place("train", "cat")]


def test_a_folder_within_a_class_folder_is_warned_of():
    account, names = Account(), ["cat/a.png", "cat/deep/b.png", "dog/c.png"]
    places("here", names, Tree(names, lambda name: None), "auto", account)
    assert account.warned == {"DATA_NESTED": 1}


def test_a_folder_beside_those_of_the_splits_is_ambiguous():
    names = ["train/cat/a.png", "val/cat/b.png", "extra/c.png"]
    error = error_of(DataError, layout, names)
    assert (error.code, "'extra'" in str(error)) == ("DATA_LAYOUT", True)
    assert {place.label for place in layout(names, "classes")} == {"train", "val", "extra"}


def test_what_has_no_class_among_classes_is_told_and_never_joins_one():
    account, names = Account(), ["cat/a.png", "b.png"]
    found = places("here", names, Tree(names, lambda name: None), "classes", account)
    assert ([place.label for place in found], account.warned) == (["cat", "unlabelled"], {"LABEL_MISSING": 1})


def test_stated_labels_count_before_folders():
    labels = {"00000/a.png": "7", "00001/b.png": "3"}
    assert layout([*labels], labels=labels) == [Place("train", "7"), Place("train", "3")]
    split = {"train/a.png": "7", "test/b.png": "3"}
    assert layout([*split], labels=split) == [Place("train", "7"), Place("test", "3")]


def test_food_101_has_its_splits_in_lists(tmp_path):
    content = {f"food-101/images/{name}/{i}.jpg": picture(RED) for name in ("pie", "soup") for i in range(3)}
    lists = {"food-101/meta/train.txt": b"pie/0\npie/1\nsoup/0\nsoup/2\n", "food-101/meta/test.txt": b"pie/2\nsoup/1\n"}
    dataset = open_data(str(folder_of(tmp_path / "d", content | lists)), cache=tmp_path / "cache")
    assert dataset.counts == {"train": 4, "test": 2}
    assert dataset.classes == ("pie", "soup")
    assert [*dataset.names[4:]] == ["food-101/images/pie/2.jpg", "food-101/images/soup/1.jpg"]


def test_class_folders_without_a_picture_are_found(tmp_path):
    root = folder_of(tmp_path / "d", {"train/cat/a.png": b"", "train/dog/deep/b.png": b"", "test/cat/c.png": b""})
    for name in ("train/bird", "test/dog", "train/.hidden", "other", "train/dog/deeper"):
        (root / name).mkdir(parents=True)
    tree = in_folder(root, Tally())
    found = places("here", tree.names, tree)
    assert empty_classes(found, tree.names, tree) == ["bird"]
    assert classes_of(found, ["bird"]) == ("bird", "cat", "dog")
