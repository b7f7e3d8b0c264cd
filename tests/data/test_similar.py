"""Samples that a dataset holds more than once: known answers, laws, and a slow search that compares every pair."""

import io
import itertools
import math

import numpy as np
import pytest
from making import shared
from PIL import Image

from gansaku.data import similar
from gansaku.data.similar import LIMIT, Best, across_splits, cosines, exact, hashes, means, near, search_pictures, twins

WAVES = 12
SPACES = [(32, 32), (40, 28), (12, 20), (64, 64)]


class Rows:
    """Samples (N, *S, C) in memory, the first `train` of them to train on."""

    def __init__(self, samples, train=None):
        self.samples, train = samples, len(samples) if train is None else train
        self.shape = (samples.shape[-1], *samples.shape[1:-1])
        self.counts = {"train": train} | ({"test": len(samples) - train} if train < len(samples) else {})

    def rows(self, indices):
        return self.samples[indices]


def scenes(count, space=(32, 32), channels=3, seed=0):
    """Pictures, none like another: sums of random waves, the longer the stronger."""
    rng = np.random.default_rng(seed)
    size = 1 / (1 + np.add.outer(np.arange(WAVES), np.arange(WAVES)))[..., None]
    low = rng.normal(0, 1, (count, WAVES, WAVES, 1)) * size + rng.normal(0, 0.3, (count, WAVES, WAVES, channels)) * size
    down, right = (np.cos(np.pi * np.outer(np.arange(side) + 0.5, np.arange(WAVES)) / side) for side in space)
    made = np.einsum("yi,nijc,xj->nyxc", down, low, right)
    spread = np.abs(made).max((1, 2, 3), keepdims=True)
    return np.rint(128 + 110 * made / spread).astype(np.uint8)


def jpeg(picture, quality):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "jpeg", quality=quality, subsampling=0)
    return np.asarray(Image.open(stream))


def noisy(picture):
    return np.clip(picture + np.random.default_rng(5).normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def lighter(picture):
    return np.clip(picture * 0.9 + 24, 0, 255).astype(np.uint8)


COPIES = {
    "the same": lambda p: p,
    "mirrored": lambda p: p[:, ::-1],
    "JPEG 75": lambda p: jpeg(p, 75),
    "JPEG 75, mirrored": lambda p: jpeg(np.ascontiguousarray(p[:, ::-1]), 75),
    "with noise": noisy,
    "lighter": lighter,
}


class TestExact:
    @pytest.mark.parametrize("space", [(4, 6), (3, 4, 5)], ids=str)
    def test_groups_hold_the_rows_of_equal_bytes_in_order(self, space):
        samples = np.random.default_rng(0).integers(0, 2, (7, *space, 1), np.uint8)
        samples[5] = samples[2]
        samples[6] = samples[2]
        samples[3] = samples[0]
        assert exact(Rows(samples)) == [[0, 3], [2, 5, 6]]

    def test_one_value_apart_is_not_the_same(self):
        samples = np.zeros((2, 4, 6, 3), np.uint8)
        samples[1, 3, 5, 2] = 1
        assert exact(Rows(samples)) == []

    def test_groups_reach_over_the_blocks_that_are_read(self, monkeypatch):
        samples = scenes(9)
        samples[8] = samples[0]
        monkeypatch.setattr(similar, "BLOCK", 1)
        assert exact(Rows(samples)) == [[0, 8]]


class TestTwinPictures:
    @pytest.mark.parametrize("space", SPACES, ids=str)
    @pytest.mark.parametrize("copy", COPIES)
    def test_a_copy_is_found_and_nothing_else(self, copy, space):
        samples = scenes(40, space)
        copies = np.stack([COPIES[copy](samples[i]) for i in (3, 17)])
        found = near(Rows(np.concatenate([samples, copies])))
        assert sorted(pair[:2] for pair in found) == [(3, 40), (17, 41)]

    def test_grey_pictures_have_twins_too(self):
        samples = scenes(20, (28, 28), 1)
        assert near(Rows(np.concatenate([samples, samples[7:8, :, ::-1]]))) == [(7, 20, 0)]

    def test_pictures_that_differ_in_one_cell_are_no_twins(self):
        """As drawings of one template do: few bits of the hash see it."""
        one = scenes(1)
        other = one.copy()
        patch = other[0, 8:12, 12:16].astype(int) + np.array([100, -51, 0])  # as light as before
        other[0, 8:12, 12:16] = np.clip(patch, 0, 255)
        assert hashed_apart(one, other) <= LIMIT
        assert near(Rows(np.concatenate([one, other]))) == []

    def test_another_colour_is_another_picture(self):
        one = scenes(1)
        assert near(Rows(np.concatenate([one, one[..., ::-1]]))) == []

    def test_a_flat_picture_has_no_twin(self):
        levels = np.arange(0, 250, 50, dtype=np.uint8)
        flat = np.broadcast_to(levels[:, None, None, None], (5, 8, 8, 3))
        assert near(Rows(np.concatenate([flat, flat]))) == []

    def test_the_limit_is_the_bits_that_may_differ(self):
        samples = scenes(1)
        both = Rows(np.concatenate([samples, jpeg(samples[0], 50)[None]]))
        ((_, _, apart),) = near(both)
        assert apart > 0
        assert near(both, limit=apart - 1) == []

    def test_reading_in_small_blocks_changes_nothing(self, monkeypatch):
        samples = scenes(30)
        both = Rows(np.concatenate([samples, np.stack([jpeg(one, 75) for one in samples])]))
        whole = near(both)
        monkeypatch.setattr(similar, "BLOCK", 5000)
        monkeypatch.setattr(similar, "AT_ONCE", 7)
        assert near(both) == whole
        assert len(whole) == 30

    def test_of_a_crowd_all_have_a_twin_and_it_is_said_that_not_all_pairs_were_compared(self):
        crowd = np.repeat(scenes(1), 400, axis=0)
        found = twins(Rows(crowd))
        assert {row for pair in found.pairs for row in pair[:2]} == set(range(400))
        assert not found.complete
        assert twins(Rows(scenes(50))).complete

    def test_work_ends_when_it_is_too_much_and_says_so(self, monkeypatch):
        monkeypatch.setattr(similar, "MOST", 0)
        assert not twins(Rows(scenes(3))).complete


def hashed_apart(one, other):
    return int(
        (np.unpackbits(hashes(one).words[0].view(np.uint8)) != np.unpackbits(hashes(other).words[0].view(np.uint8))).sum()
    )


class TestHashes:
    @pytest.mark.parametrize("space", SPACES, ids=str)
    def test_the_second_hash_is_that_of_the_mirrored_picture(self, space):
        samples = scenes(50, space)
        here, there = hashes(samples), hashes(np.ascontiguousarray(samples[:, :, ::-1]))
        apart = np.unpackbits((here.words[1] ^ there.words[0]).view(np.uint8), axis=-1).sum(-1)
        assert (apart <= 1).all()  # a cosine at the very threshold may be rounded to the other side
        assert np.abs(here.cells[1].astype(int) - there.cells[0]).max() <= 1

    def test_bands_hold_the_bits_of_the_words(self):
        bits = np.random.default_rng(0).random((3, 255)) < 0.4
        words, bands = similar.packed(bits), similar.banded(bits)
        assert words.shape == (3, 4)
        assert (similar.ones(words) == bits.sum(1)).all()
        used = [[int(bits[i, (k * 101) % 255]) for k in range(252)] for i in range(3)]
        assert [[(bands[i, k // 21] >> (k % 21)) & 1 for k in range(252)] for i in range(3)] == used

    @pytest.mark.parametrize("pixels", [8, 32, 50, 96])
    def test_cells_are_means_of_equal_shares(self, pixels):
        weights = means(32, pixels)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(weights.sum(0), 32 / pixels, rtol=1e-6)

    def test_three_pixels_a_cell_are_their_mean_and_half_a_pixel_is_itself(self):
        values = np.random.default_rng(0).random(96).astype(np.float32)
        np.testing.assert_allclose(means(32, 96) @ values, values.reshape(32, 3).mean(1), rtol=1e-5)
        np.testing.assert_allclose(means(32, 16) @ values[:16], values[:16].repeat(2), rtol=1e-6)

    def test_the_waves_are_at_right_angles(self):
        product = cosines(16, 32).astype(float) @ cosines(16, 32).T.astype(float)
        np.testing.assert_allclose(product, np.diag([32.0, *[16.0] * 15]), atol=1e-5)


class TestSearch:
    def hashes_of(self, bits):
        both = np.stack([bits, bits[:, ::-1]])
        n = len(bits)
        cells = np.zeros((2, n, 8, 8, 1), np.int8)
        return similar.Hashes(similar.packed(both), similar.banded(both), cells, np.zeros(n, np.int16), np.zeros(n, bool))

    def planted(self, apart, count=40):
        """Random hashes, each second one that of the one before with `apart` bits turned."""
        rng = np.random.default_rng(apart)
        bits = rng.random((2 * count, 255)) < 0.5
        bits[1::2] = bits[::2]
        for one in bits[1::2]:
            one[rng.permutation(255)[:apart]] ^= True
        return bits

    @pytest.mark.parametrize("apart", [0, 1, 12, 22, 23])
    def test_every_pair_of_up_to_23_bits_is_found(self, apart):
        bits = self.planted(apart)
        best = Best(np.zeros(len(bits), np.int64))
        assert search_pictures(self.hashes_of(bits), LIMIT, best)
        assert sorted(best.pairs) == [(i, i + 1, apart) for i in range(0, len(bits), 2)]

    def test_of_31_bits_nine_of_ten_are_found_and_of_32_none(self):
        for apart, least, most in ((31, 36, 40), (32, 0, 0)):
            best = Best(np.zeros(80, np.int64))
            search_pictures(self.hashes_of(self.planted(apart)), LIMIT, best)
            assert least <= len(best.pairs) <= most

    def test_the_nearest_of_each_is_what_comparing_every_pair_finds(self):
        rng = np.random.default_rng(3)
        bits = (rng.random((12, 255)) < 0.5)[rng.integers(0, 12, 90)]
        bits ^= rng.random(bits.shape) < 0.03
        split = (np.arange(90) >= 70).astype(np.int64)
        best = Best(split)
        search_pictures(self.hashes_of(bits), 23, best)
        slow = Best(split)
        for i, j in itertools.combinations(range(90), 2):
            for one in (bits[i], bits[i, ::-1]):
                if (apart := int((one ^ bits[j]).sum())) <= 23:
                    slow.add(*(np.array([value]) for value in (i, j, apart)))
        assert best.pairs == slow.pairs
        assert len(best.pairs) > 60


class TestPairs:
    def test_the_nearest_in_each_split_is_kept(self):
        best = Best(np.array([0, 0, 0, 1]))
        for i, j, apart in ((0, 1, 9), (0, 2, 4), (0, 3, 20), (1, 2, 7)):
            best.add(*(np.array([value]) for value in (i, j, apart)))
        assert best.pairs == [(0, 2, 4), (1, 2, 7), (0, 3, 20)]

    def test_a_twin_in_the_other_split_is_kept_beside_a_nearer_one_in_its_own(self):
        best = Best(np.array([0, 0, 1, 1]))
        for i, j, apart in ((0, 1, 1), (0, 2, 5), (2, 3, 2)):
            best.add(*(np.array([value]) for value in (i, j, apart)))
        assert best.pairs == [(0, 1, 1), (2, 3, 2), (0, 2, 5)]

    def test_a_leak_is_a_pair_with_one_side_in_each_split(self):
        pairs = [(0, 1, 0), (2, 7, 3), (7, 9, 1), (6, 7, 2)]
        assert across_splits(pairs, {"train": 7, "test": 3}) == [(2, 7, 3), (6, 7, 2)]
        assert across_splits(pairs, {"train": 10}) == []

    def test_a_mirrored_training_picture_in_the_test_split_is_a_leak(self):
        samples = scenes(10)
        both = Rows(np.concatenate([samples, samples[4:5, :, ::-1], scenes(3, seed=9)]), train=10)
        assert [pair[:2] for pair in across_splits(near(both), both.counts)] == [(4, 10)]


class TestTwinVoxels:
    def slow(self, grids):
        """Of each grid the nearest other by the voxels that differ, where these are 5 % of the union or less."""
        found = set()
        for i in range(len(grids)):
            of_i = []
            for j in range(len(grids)):
                apart, union = int((grids[i] ^ grids[j]).sum()), int((grids[i] | grids[j]).sum())
                if i != j and union and grids[i].any() and apart <= 0.05 * union:
                    of_i.append((apart, j))
            if of_i:
                apart, j = min(of_i)
                found.add((min(i, j), max(i, j), apart))
        return sorted(found, key=lambda pair: (pair[2], pair[0], pair[1]))

    @pytest.mark.parametrize("space", [(6, 7, 9), (8, 8, 8), (3, 12, 5)], ids=str)
    def test_the_nearest_of_each_is_what_comparing_every_pair_finds(self, space):
        rng = np.random.default_rng(1)
        grids = (rng.random((9, *space, 1)) < rng.uniform(0.1, 0.8, (9, 1, 1, 1, 1)))[rng.integers(0, 9, 60)]
        grids = (grids ^ (rng.random(grids.shape) < rng.choice([0, 0.004, 0.02, 0.05], (60, 1, 1, 1, 1)))).astype(np.uint8)
        found = twins(Rows(grids))
        assert found.complete
        assert found.pairs == self.slow(grids)
        assert len(found.pairs) > 10

    def test_empty_grids_have_no_twin(self):
        grids = np.zeros((4, 5, 5, 5, 1), np.uint8)
        grids[2:] = 1
        assert near(Rows(grids)) == [(2, 3, 0)]

    def test_five_percent_is_a_twin_and_a_voxel_more_is_none(self):
        grids = np.zeros((2, 10, 10, 1, 1), np.uint8)
        grids[0] = 1
        grids[1].reshape(-1)[:95] = 1
        assert near(Rows(grids)) == [(0, 1, 5)]
        grids[1].reshape(-1)[94] = 0
        assert near(Rows(grids)) == []

    def test_work_ends_when_it_is_too_much_and_says_so(self, monkeypatch):
        monkeypatch.setattr(similar, "MOST", 0)
        assert not twins(Rows(np.ones((3, 4, 4, 4, 1), np.uint8))).complete

    @pytest.mark.parametrize("space", [(1, 2, 9), (8, 8, 8)], ids=str)
    def test_parts_hold_every_voxel_once(self, space):
        grids = np.random.default_rng(0).integers(0, 2, (5, *space), np.uint8)
        parts = similar.parted(grids)
        assert (parts.sum(1) == grids.reshape(5, -1).sum(1)).all()
        assert parts.shape == (5, math.prod(min(4, side) for side in space))


def test_the_twins_in_cifar_are_those_that_the_eye_finds():
    """Two of 6,102 pictures were seen to be there twice: a horse in training, and a police car in both splits."""
    with np.load(shared("cifar10_lossless_6k.npz")) as file:
        train, test = file["x_train"], file["x_test"]
    found = Rows(np.concatenate([train, test]), len(train))
    assert sorted(pair[:2] for pair in near(found)) == [(1531, 3940), (2338, 5189)]
