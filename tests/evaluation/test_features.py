"""Features in the cache: an extraction that was stopped goes on, and whatever they depend on makes other ones."""

import os

import pytest
import torch

from gansaku.evaluation.features import BLOCK, Key, extracted, key, prune
from gansaku.evaluation.samples import Stored

from .stand_ins import Noise, Pooled, dataset


class Stop(Exception):
    pass


def test_the_second_time_nothing_is_looked_at_again(tmp_path):
    first, second = Pooled(), Pooled()
    one = extracted(Noise(), 700, first, tmp_path)
    other = extracted(Noise(), 700, second, tmp_path)
    assert (first.looked, second.looked) == (700, 0)
    assert torch.equal(one.features, other.features)


def test_without_a_cache_nothing_is_kept(tmp_path):
    extracted(Noise(), 100, Pooled())
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_extraction_goes_on_after_its_last_whole_block(tmp_path):
    def stop(done, total):
        if done > BLOCK:
            raise Stop

    with pytest.raises(Stop):
        extracted(Noise(), 3 * BLOCK, Pooled(), tmp_path, stop)
    later = Pooled()
    found = extracted(Noise(), 3 * BLOCK, later, tmp_path)
    assert later.looked == 2 * BLOCK
    assert torch.equal(found.features, extracted(Noise(), 3 * BLOCK, Pooled()).features)


def test_more_samples_look_only_at_what_is_new(tmp_path):
    extracted(Noise(), BLOCK, Pooled(), tmp_path)
    more = Pooled()
    extracted(Noise(), BLOCK + 30, more, tmp_path)
    assert more.looked == 30


def test_fewer_samples_are_the_first_ones(tmp_path):
    whole = extracted(Noise(), BLOCK, Pooled(), tmp_path).features
    few = Pooled()
    assert torch.equal(extracted(Noise(), 100, few, tmp_path).features, whole[:100])
    assert few.looked == 0


def test_a_damaged_block_is_made_again(tmp_path):
    whole = extracted(Noise(), 100, Pooled(), tmp_path).features
    (block,) = tmp_path.rglob("*.safetensors")
    block.write_bytes(block.read_bytes()[:-50])
    assert torch.equal(extracted(Noise(), 100, Pooled(), tmp_path).features, whole)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "features").write_text("in the way")
    assert extracted(Noise(), 100, Pooled(), tmp_path).features.shape == (100, 6)


@pytest.mark.parametrize("field", Key._fields)
def test_each_part_of_the_key_has_a_place_of_its_own(tmp_path, field):
    base = key(Noise(), Pooled())
    value = {"noise": 1} if field == "samples" else "another"
    assert base._replace(**{field: value}).folder(tmp_path) != base.folder(tmp_path)


def test_what_the_samples_depend_on_is_in_their_key(tmp_path):
    base = dataset(tmp_path)
    sources = [
        Stored(base), Stored(base, "test"), Stored(base, "all"), Stored(base, "train", 0, 20), Stored(base, "train", 20, 40),
        Stored(dataset(tmp_path, seed=1)), Stored(dataset(tmp_path, shape=(3, 16, 16))), Stored(dataset(tmp_path, train=39)),
    ]  # fmt: skip
    keys = {key(source, Pooled()).folder(tmp_path) for source in sources}
    assert len(keys) == len(sources)


def test_the_progress_ends_with_all_of_them():
    told = []
    extracted(Noise(), 100, Pooled(), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (100, 100)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_extractors_of_other_weights_do_not_share_features(tmp_path):
    extracted(Noise(), 10, Pooled(sha256="1" * 64), tmp_path)
    other = Pooled(sha256="2" * 64)
    extracted(Noise(), 10, other, tmp_path)
    assert other.looked == 10


def test_the_cache_forgets_what_was_made_longest_ago_and_keeps_what_is_in_use(tmp_path):
    places = []
    for seed in range(4):
        extracted(Noise(seed), 10, Pooled(), tmp_path)
        places.append(key(Noise(seed), Pooled()).folder(tmp_path))
        for block in places[-1].iterdir():
            os.utime(block, (seed, seed))
    size = sum(block.stat().st_size for block in places[0].iterdir())
    prune(tmp_path, keep=[places[0]], most=2 * size)
    assert [place.exists() for place in places] == [True, False, False, True]


def test_a_cache_that_is_not_there_needs_no_pruning(tmp_path):
    prune(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
