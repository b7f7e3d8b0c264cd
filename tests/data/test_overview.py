"""What a dataset is: facts against plain numpy, advice for each thing that is wrong, and the text of the terminal."""

import json
from pathlib import Path

import numpy as np
import pytest

from gansaku.data.overview import overview, overview_page, overview_sheet, shown_pairs
from gansaku.data.store import Dataset, packed
from gansaku.data.summary import described_data
from gansaku.terminal import dataset_text


def dataset(samples, labels=(), classes=(), train=None, names=(), skipped=(), columns=None, policy=None, name="set", **report):
    """A dataset in memory; samples (N, *S, C)."""
    count, train = len(samples), len(samples) if train is None else train
    shape = (samples.shape[-1], *samples.shape[1:-1])
    told = {"files": count, "ignored": 0, "skipped": {}, "warned": {}, "converted": {}, "examples": [], "warnings": []}
    made = Dataset(
        Path(__file__),
        name,
        shape,
        tuple(classes),
        np.array(labels, np.int64) if len(labels) else np.zeros(count, np.int64),
        columns or {},
        {"train": train} | ({"test": count - train} if train < count else {}),
        "0123456789abcdef" * 4,
        "photos.zip",
        told | report,
        packed(samples) if samples.ndim == 5 else samples,
        names,
        policy,
    )
    made.__dict__["skipped"] = [list(one) for one in skipped]  # what a store reads from its file
    return made


def noise(count, space=(8, 9), channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *space, channels), np.uint8)


def grids(count, space=(4, 5, 6), share=0.3):
    return (np.random.default_rng(1).random((count, *space, 1)) < share).astype(np.uint8)


class TestOverview:
    @pytest.mark.parametrize("samples", [noise(50), noise(20, (3, 5), 1), grids(30)], ids=["colour", "grey", "voxels"])
    def test_mean_and_spread_are_numpys(self, samples, monkeypatch):
        monkeypatch.setattr("gansaku.data.similar.BLOCK", 2000)
        seen = overview(dataset(samples))
        stored = np.moveaxis(samples, -1, 1).astype(np.float64)
        np.testing.assert_allclose(seen.mean, stored.mean(0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(seen.spread, stored.std(0), rtol=1e-4, atol=1e-4)

    def test_class_means_are_means_of_the_classes(self):
        samples, labels = noise(40), np.arange(40) % 3
        seen = overview(dataset(samples, labels, ("a", "b", "nothing", "c")[:3]))
        for label in range(3):
            here = np.moveaxis(samples[labels == label], -1, 1).mean(0)
            np.testing.assert_allclose(seen.class_means[label], here, rtol=1e-5)

    def test_of_more_than_twenty_classes_no_means_are_taken(self):
        seen = overview(dataset(noise(42), np.arange(42) % 21, [f"c{i}" for i in range(21)]))
        assert seen.class_means.shape == (0, 3, 8, 9)

    def test_balance_counts_each_class_in_each_split(self):
        seen = overview(dataset(noise(7), [0, 0, 2, 0, 2, 2, 0], ("a", "b", "c"), train=4))
        assert seen.balance.tolist() == [[3, 1], [0, 0], [1, 2]]

    def test_every_value_is_counted_at_its_level(self):
        samples = noise(5)
        assert (overview(dataset(samples)).levels == np.bincount(samples.reshape(-1), minlength=256)).all()

    def test_occupancy_is_the_share_of_each_grid(self):
        samples = grids(9)
        np.testing.assert_allclose(overview(dataset(samples)).occupancy, samples.mean((1, 2, 3, 4)), rtol=1e-6)
        assert overview(dataset(noise(3))).occupancy.shape == (0,)

    def test_grey_among_colour_and_flat_pictures_are_counted(self):
        samples = noise(6)
        samples[1] = samples[1][..., :1]
        samples[2] = (10, 200, 30)
        seen = overview(dataset(samples))
        assert (seen.grey, seen.flat) == (1, 1)

    def test_empty_grids_are_counted(self):
        samples = grids(6)
        samples[3] = 0
        assert overview(dataset(samples)).flat == 1


class TestRepetitions:
    def samples(self):
        """Row 8, held out, is row 1 again; 9, held out, is 2 mirrored; 5 and 6 are 4 again."""
        samples = noise(10, (16, 16))
        samples[8], samples[9] = samples[1], samples[2, :, ::-1]
        samples[5] = samples[6] = samples[4]
        return samples

    def test_copies_twins_and_leaks_are_counted_by_samples(self):
        seen = overview(dataset(self.samples(), train=8))
        assert seen.exact == [[1, 8], [4, 5, 6]]
        assert (seen.repeated, seen.alike, seen.leaked) == (3, 7, 2)
        assert seen.leaks == [(1, 8, 0), (2, 9, 0)]

    def test_a_flat_test_picture_that_is_in_training_is_a_leak_too(self):
        samples = noise(6)
        samples[0] = samples[5] = 9
        seen = overview(dataset(samples, train=5))
        assert seen.leaks == [(0, 5, 0)]
        assert seen.alike == 2

    def test_two_test_samples_of_one_training_sample_are_two_leaks(self):
        samples = noise(6, (16, 16))
        samples[4] = samples[5] = samples[2]
        assert overview(dataset(samples, train=4)).leaks == [(2, 4, 0), (2, 5, 0)]

    def test_leaks_are_shown_first_and_of_a_group_one_pair(self):
        assert shown_pairs(overview(dataset(self.samples(), train=8))) == [(1, 8, 0), (2, 9, 0), (4, 5, 0)]

    def test_the_summary_counts_them(self):
        made = dataset(self.samples(), train=8)
        found = described_data(made, overview(made))
        assert found["duplicates"] == {"exact": 3, "near": 7, "across_splits": 2, "complete": True}
        assert found["advice"][0].startswith("2 of 2 test samples look the same as a training sample")


class TestSummary:
    def test_it_is_json_and_its_keys_are_these(self):
        made = dataset(noise(4), columns={"age": np.array([1, np.nan, 3, 5], np.float32)}, policy={"size": 8})
        found = described_data(made, overview(made))
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert list(found) == [
            "data", "source", "shape", "counts", "classes", "balance", "columns", "fingerprint", "report", "policy", "file",
            "bytes", "duplicates", "advice",
        ]  # fmt: skip
        assert found["columns"] == {"age": {"least": 1.0, "mean": 3.0, "most": 5.0}}
        assert found["bytes"] == Path(__file__).stat().st_size

    def test_without_an_overview_nothing_is_said_of_duplicates(self):
        samples = noise(6)
        samples[1] = samples[0]
        found = described_data(dataset(samples, train=5))
        assert "duplicates" not in found
        assert found["advice"] == []

    def test_a_column_without_a_finite_value_has_no_extent(self):
        made = dataset(noise(2), columns={"x": np.array([np.nan, np.inf], np.float32)})
        assert described_data(made)["columns"]["x"] == {"least": None, "mean": None, "most": None}

    def test_balance_has_every_class(self):
        found = described_data(dataset(noise(5), [0, 0, 2, 0, 2], ("a", "b", "c")))
        assert found["balance"] == {"a": 3, "b": 0, "c": 2}
        assert found["classes"] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("made", "said"),
        [
            (dataset(noise(4)), "--held-out 10%"),
            (dataset(noise(4), [0, 0, 0, 1], ("cat", "dog")), "a single training sample is in the class dog"),
            (dataset(noise(4), [0, 0, 2, 2], ("cat", "dog", "elk")), "no training sample is in the class dog"),
            (dataset(noise(24), [0] * 22 + [1] * 2, ("cat", "dog")), "cat, has 11 times as many training samples"),
            (dataset(noise(4), [0] * 4, ("cat",)), "only one class"),
            (dataset(np.zeros((2, 8, 8, 3), np.uint8)), "2 samples show one colour only"),
            (dataset(np.zeros((1, 8, 8, 8, 1), np.uint8)), "1 sample is empty"),
            (dataset(np.repeat(noise(4, channels=1), 3, axis=-1)), "--channels 1"),
            (dataset(np.concatenate([noise(4), np.repeat(noise(1, channels=1), 3, axis=-1)])), "1 picture is grey among"),
            (dataset(noise(3)[[0, 1, 2, 1]]), "1 sample repeats an earlier one exactly"),
            (dataset(noise(3)[[0, 1, 2, 1]]), "50% of the samples have a twin"),
            (dataset(noise(3)[[0, 1, 2, 1]], train=3), "1 of 1 test samples looks the same as a training sample"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_would_spoil_training_is_said(self, made, said):
        assert any(said in sentence for sentence in described_data(made, overview(made))["advice"])

    def test_nothing_is_said_of_what_is_right(self):
        made = dataset(noise(30), np.arange(30) % 3, ("a", "b", "c"), train=24)
        assert described_data(made, overview(made))["advice"] == []


class TestTerminal:
    def text(self, made):
        return dataset_text(described_data(made, overview(made)))

    def test_the_largest_class_has_the_longest_bar_and_an_empty_one_has_none(self):
        lines = self.text(dataset(noise(9), [0, 0, 0, 0, 0, 0, 2, 2, 2], ("cat", "dog", "elk"))).splitlines()
        bars = [next(line for line in lines if line.strip().startswith(name)) for name in ("cat", "dog", "elk")]
        assert [line.count("█") for line in bars] == [30, 0, 15]
        assert [line.split()[-1] for line in bars] == ["6", "0", "3"]
        assert len({len(line) for line in bars}) == 1

    def test_of_many_classes_twenty_are_shown(self):
        text = self.text(dataset(noise(101), np.arange(101), [f"class {i}" for i in range(101)]))
        assert "  class 19 " in text
        assert "  class 20 " not in text
        assert "  and 81 more\n" in text

    def test_what_was_left_out_comes_last_but_advice(self):
        made = dataset(noise(3), skipped={"IMG_TRUNCATED": 12}, examples=["a.jpg: is cut short; copy it again [IMG_TRUNCATED]"])
        made.report["skipped"] = {"IMG_TRUNCATED": 12}
        lines = self.text(made).splitlines()
        start = lines.index("left out     12 IMG_TRUNCATED")
        assert lines[start + 1 : start + 3] == ["  a.jpg: is cut short; copy it again [IMG_TRUNCATED]", "  and 11 more"]
        assert lines[start + 4].startswith("! there is no test split")

    def test_hostile_names_reach_no_terminal(self):
        evil = "x\x1b[2J\n\u202ey"
        made = dataset(
            noise(3),
            [0, 1, 0],
            (evil, "b"),
            name=evil,
            columns={evil: np.zeros(3, np.float32)},
            policy={"boxes": evil},
            examples=[f"{evil}: bad"],
        )
        made.report["skipped"] = {"BAD": 1}
        text = self.text(made)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert text.count("\\x1b[2J\\n\\u202ey") >= 5


def test_the_page_and_the_sheet_of_a_dataset_name_its_samples():
    samples = noise(12, (16, 16))
    samples[11] = samples[0]
    made = dataset(samples, np.arange(12) % 2, ("even", "odd"), train=10, names=[f"photos/{i}.png" for i in range(12)])
    seen = overview(made)
    text = overview_page(described_data(made, seen), made, seen)
    assert "photos/0.png<br>photos/11.png" in text
    assert "The same, in training and in test" in text
    assert overview_sheet(made).startswith(b"\x89PNG")


def test_voxels_that_differ_are_counted_on_the_page():
    samples = grids(3, (8, 8, 8), 0.5)
    samples[2] = samples[0]
    samples[2, 0, 0, 0] ^= 1
    made = dataset(samples)
    seen = overview(made)
    text = overview_page(described_data(made, seen), made, seen)
    assert "1 voxel differs</b>row 0<br>row 2" in text
    assert "in training and in test" not in text
