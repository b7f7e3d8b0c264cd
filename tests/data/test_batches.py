"""The data order is a pure function of (seed, samples seen); batches are the stored samples in [-1, 1]."""

import numpy as np
import pytest
import torch

from gansaku.data.batches import Batches, Order, shrink
from gansaku.data.content import Block
from gansaku.data.preparation import write
from gansaku.data.store import open_store
from gansaku.errors import DataError

SHAPES = [(3, 4, 6), (1, 4, 6), (1, 2, 4, 6)]
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


def make(tmp_path, shape, train=7, test=3):
    """A dataset whose column "row" is each sample's row, with the samples as they are stored."""
    rows = np.random.default_rng(0).integers(2 if len(shape) == 4 else 256, size=(train + test, *shape[1:], shape[0]))
    rows, numbers = rows.astype(np.uint8), np.arange(train + test)
    cut = [slice(0, train)] + ([slice(train, None)] if test else [])
    blocks = [Block(rows[c], numbers[c] % 2, s, {"row": numbers[c].astype(np.float32)})
              for c, s in zip(cut, ("train", "test"), strict=False)]  # fmt: skip
    write(tmp_path / "a.h5", blocks, name="a", shape=shape, classes=("even", "odd"))
    return open_store(tmp_path / "a.h5"), rows


class TestOrder:
    @pytest.mark.parametrize("batch", [1, 3, 7, 10, 25])
    def test_every_sample_comes_once_a_pass_whatever_the_batch_size(self, batch):
        order = Order(10, seed=4)
        drawn = np.concatenate([order.indices(seen, batch) for seen in range(0, 300, batch)])[:300]
        assert (np.sort(drawn.reshape(30, 10)) == np.arange(10)).all()
        assert np.array_equal(drawn, Order(10, seed=4).indices(0, 300))

    def test_passes_and_seeds_have_orders_of_their_own(self):
        orders = {tuple(Order(20, seed).indices(20 * number, 20)) for seed in range(5) for number in range(5)}
        assert len(orders) == 25

    def test_the_order_is_the_one_that_stored_runs_used(self):
        """Known answer: should it change, every run that continues would see other data."""
        order = Order(8, seed=0)
        assert order.indices(6, 6).tolist() == [6, 4, 6, 0, 4, 1]
        assert order.mirrored(6, 6).tolist() == [False, False, True, True, False, False]

    def test_parts_of_a_batch_are_the_batch(self):
        order = Order(10, seed=1)
        assert np.array_equal(np.concatenate([order.indices(8, 3), order.indices(11, 4)]), order.indices(8, 7))

    def test_no_samples_are_no_indices(self):
        assert Order(10, seed=1).indices(5, 0).tolist() == []

    def test_coins_belong_to_pass_and_index_and_are_fair(self):
        order = Order(1000, seed=2)
        coins, indices = order.mirrored(0, 3000), order.indices(0, 3000)
        assert np.array_equal(np.concatenate([order.mirrored(0, 1300), order.mirrored(1300, 1700)]), coins)
        by_index = np.stack([coins[p * 1000 :][:1000][np.argsort(indices[p * 1000 :][:1000])] for p in range(3)])
        assert abs(coins.mean() - 0.5) < 0.04  # 4 standard deviations
        for one, other in ((0, 1), (1, 2)):
            assert 0.4 < (by_index[one] == by_index[other]).mean() < 0.6  # independent from pass to pass


@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestBatches:
    def test_rows_labels_and_columns_belong_together(self, tmp_path, shape):
        dataset, rows = make(tmp_path, shape)
        real, labels, columns = Batches(dataset, seed=3)(5, 0, 6)
        picked = columns["row"].long()
        assert picked.tolist() == Order(7, seed=3).indices(5, 6).tolist()
        assert labels.tolist() == [row % 2 for row in picked.tolist()]
        stored = torch.from_numpy(rows)[picked].movedim(-1, 1).double()
        expected = stored * 2 - 1 if len(shape) == 4 else stored / 127.5 - 1
        assert real.dtype == torch.float32
        torch.testing.assert_close(real.double(), expected, atol=1e-6, rtol=0)

    def test_black_is_minus_one_and_white_is_one(self, tmp_path, shape):
        white = 1 if len(shape) == 4 else 255
        rows = np.stack([np.full((*shape[1:], shape[0]), value, np.uint8) for value in (0, white)])
        write(tmp_path / "b.h5", [Block(rows, np.zeros(2, np.int64), "train", {})], name="b", shape=shape)
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            ((real, _),) = Batches(open_store(tmp_path / "b.h5"), 0, dtype=dtype).everything()
            assert real.dtype == dtype
            assert (real[0] == -1).all()
            assert (real[1] == 1).all()

    def test_ranks_and_micro_batches_make_up_the_batch(self, tmp_path, shape):
        batches = Batches(make(tmp_path, shape)[0], seed=3, mirror=True)
        whole = batches(4, 0, 9)[0]
        assert torch.equal(torch.cat([batches(4, 0, 2)[0], batches(4, 2, 3)[0], batches(4, 3, 9)[0]]), whole)

    def test_the_memory_format_is_the_one_asked_for_and_the_values_the_same(self, tmp_path, shape):
        dataset, _ = make(tmp_path, shape)
        plain, last = (Batches(dataset, 0, channels_last=asked)(0, 0, 5)[0] for asked in (False, True))
        assert plain.is_contiguous()
        assert last.is_contiguous(memory_format=FORMATS[len(shape) - 1])
        assert torch.equal(plain, last)

    def test_mirroring_turns_just_the_samples_of_the_coin(self, tmp_path, shape):
        dataset, _ = make(tmp_path, shape)
        plain, turned = Batches(dataset, 5)(0, 0, 7)[0], Batches(dataset, 5, mirror=True)(0, 0, 7)[0]
        coins = torch.from_numpy(Order(7, 5).mirrored(0, 7))
        assert 0 < coins.sum() < 7
        assert torch.equal(turned[~coins], plain[~coins])
        assert torch.equal(turned[coins], plain[coins].flip(2 if len(shape) == 4 else 3))

    def test_training_never_sees_the_test_rows(self, tmp_path, shape):
        dataset, _ = make(tmp_path, shape)
        assert Batches(dataset, 0)(0, 0, 70)[2]["row"].max() == 6
        assert set(Batches(dataset, 0, split="test")(0, 0, 3)[2]["row"].tolist()) == {7, 8, 9}

    def test_everything_is_each_sample_once_in_stored_order(self, tmp_path, shape):
        dataset, rows = make(tmp_path, shape)
        batches = Batches(dataset, 0, dtype=torch.float64, mirror=True)
        for split, stored in (("train", rows[:7]), ("test", rows[7:])):
            real = torch.cat([real for real, _ in batches.everything(split, block=4)])
            values = (real + 1) * (0.5 if len(shape) == 4 else 127.5)
            assert np.array_equal(values.round().numpy().astype(np.uint8), np.moveaxis(stored, -1, 1))

    def test_held_out_samples_are_different_ones_of_the_test_split(self, tmp_path, shape):
        dataset, _ = make(tmp_path, shape)
        batches = Batches(dataset, 0, mirror=True)
        test = torch.cat([real for real, _ in batches.everything("test")])
        real, labels = batches.held_out(2, seed=1)
        assert torch.equal(real, batches.held_out(2, seed=1)[0])
        matches = (real[:, None] == test[None]).flatten(2).all(2)
        assert matches.sum(1).tolist() == [1, 1]
        assert matches.sum(0).max() == 1
        assert labels.shape == (2,)
        assert len(batches.held_out(99, seed=1)[0]) == 3


def test_without_a_test_split_samples_are_held_out_of_training(tmp_path):
    dataset, _ = make(tmp_path, (3, 4, 6), test=0)
    assert len(Batches(dataset, 0).held_out(5, seed=0)[0]) == 5
    with pytest.raises(DataError, match="no split 'test'"):
        Batches(dataset, 0, split="test")


@pytest.mark.parametrize(("size", "small"), [
    ((6,), (3,)), ((4, 6), (2, 2)), ((2, 4, 6), (1, 4, 3)), ((2, 4, 2, 6), (2, 1, 1, 3)),
])  # fmt: skip
def test_shrink_is_the_mean_of_each_block(size, small):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    factors = [whole // part for whole, part in zip(size, small, strict=True)]
    expected = torch.empty(2, 3, *small, dtype=torch.float64)
    for place in np.ndindex(*small):
        block = tuple(slice(p * f, (p + 1) * f) for p, f in zip(place, factors, strict=True))
        expected[(..., *place)] = x[(..., *block)].flatten(2).mean(2)
    torch.testing.assert_close(shrink(x, small), expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_shrink_keeps_the_memory_format(dims):
    x = torch.randn(2, 3, *[4] * dims)
    assert shrink(x, (2,) * dims).is_contiguous()
    last = x.to(memory_format=FORMATS[dims])
    assert shrink(last, (2,) * dims).is_contiguous(memory_format=FORMATS[dims])
    assert shrink(x, (4,) * dims) is x


@pytest.mark.parametrize("small", [(3, 3), (8, 6), (2,)])
def test_shrink_refuses_sides_that_do_not_divide(small):
    with pytest.raises(DataError, match="divide"):
        shrink(torch.zeros(1, 3, 4, 6), small)
