"""Shards that stay where they are: their order as laws, and the way from an address to a batch. Loopback only."""

import io
import json
import tarfile
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import gansaku
from gansaku.data import streams
from gansaku.data.lanes import WINDOW, Lanes
from gansaku.data.policy import Policy
from gansaku.data.sources import open_data
from gansaku.data.streaming import Streamed, prepare_stream
from gansaku.errors import DataError, RecipeError, Stopped, UsageError

SIZES = [7, 5, 9, 4, 6, 8, 5]


def of_lane(lanes, lane, first, last):
    return lanes.stretch(lane, first, last)[0]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_sample_comes_once_in_a_pass_of_the_lanes(count):
    lanes = Lanes(SIZES, count, 0)
    for number in range(3):
        low, high = lanes.ends(number), lanes.ends(number + 1)
        rows = np.concatenate([of_lane(lanes, lane, low[lane], high[lane]) for lane in range(count)])
        assert sorted(rows) == list(range(sum(SIZES)))


def test_no_lane_has_more_than_one_shard_more_than_another_for_up_to_1024_ranks():
    for shards, count in ((1024, 1024), (10_000, 1024), (10_000, 64), (1000, 7)):
        lanes = Lanes([10_000] * shards, count, 0)
        held = [lanes.shards(3, lane) for lane in range(count)]
        assert max(map(len, held)) - min(map(len, held)) <= 1
        assert sorted(np.concatenate(held)) == list(range(shards))


@pytest.mark.parametrize("ranks", [1, 2, 4, 8, 16])
def test_the_batches_are_the_same_for_any_number_of_ranks(ranks):
    lanes, batch = Lanes(SIZES * 3, 8, 1), 16
    for seen in (0, 16, 160, 1600):
        whole = [of_lane(lanes, *place) for place in lanes.places(seen, 0, batch, batch)]
        each = batch // ranks
        parts = [of_lane(lanes, *place) for rank in range(ranks)
                 for place in lanes.places(seen, rank * each, (rank + 1) * each, batch)]  # fmt: skip
        assert np.concatenate(whole).tolist() == np.concatenate(parts).tolist()


def test_a_rank_needs_the_shards_of_its_own_lanes_only():
    """1,024 ranks of a batch of 4,096 from 10,000 shards: for a thousand batches each reads at most WINDOW + 1 at a time."""
    lanes, batch = Lanes([1000] * 10_000, 1024, 0), 4096
    for rank in (0, 511, 1023):
        own = set()
        for seen in range(0, 200 * batch, batch):
            (place,) = lanes.places(seen, 4 * rank, 4 * rank + 4, batch)
            assert place[0] == rank
            own |= set(lanes.stretch(*place)[2])
        assert own <= set(lanes.shards(0, rank).tolist())
        assert len(own) <= WINDOW


def test_a_lane_goes_through_its_samples_in_one_stretch_as_in_many_and_the_next_pass_is_shuffled_anew():
    lanes = Lanes(SIZES, 2, 0)
    whole, mirrored, _ = lanes.stretch(1, 0, 100)
    parts = [lanes.stretch(1, first, min(100, first + 7)) for first in range(0, 100, 7)]
    assert whole.tolist() == np.concatenate([rows for rows, _, _ in parts]).tolist()
    assert mirrored.tolist() == np.concatenate([turned for _, turned, _ in parts]).tolist()
    assert 20 < mirrored.sum() < 80
    first, second = int(lanes.ends(1)[1]), int(lanes.ends(2)[1])
    assert whole[:first].tolist() != whole[first:second].tolist()


def test_what_comes_next_is_known_before_it_is_needed():
    lanes = Lanes(SIZES, 2, 0)
    for lane in range(2):
        windows = [tuple(own[at : at + WINDOW].tolist()) for own in (lanes.shards(number, lane) for number in range(4))
                   for at in range(0, len(own), WINDOW)]  # fmt: skip
        sample = 0
        for now, later in pairwise(windows[:6]):
            for _ in range(sum(SIZES[shard] for shard in now)):
                assert lanes.stretch(lane, sample, sample + 1)[2] == now
                assert lanes.after(lane, sample) == later
                sample += 1


def slow_stretch(lanes, lane, first, last):
    """Windows counted through from the beginning of each pass."""
    rows, mirrored, shards = [np.empty(0, np.int64)], [np.empty(0, np.bool_)], []
    while first < last:
        number = lanes.pass_of(lane, first)
        at = first - int(lanes.ends(number)[lane])
        for window in range(0, len(lanes.shards(number, lane)), WINDOW):
            found = lanes.window(number, lane, window)
            if at < len(found.rows):
                break
            at -= len(found.rows)
        taken = min(last - first, len(found.rows) - at)
        rows.append(found.rows[at : at + taken])
        mirrored.append(found.mirrored[at : at + taken])
        shards += found.shards
        first += taken
    return np.concatenate(rows), np.concatenate(mirrored), tuple(dict.fromkeys(shards))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_window_is_found_where_counting_through_all_of_them_finds_it(count):
    lanes, slow = Lanes(SIZES, count, 3), Lanes(SIZES, count, 3)
    for lane in range(count):
        for first in range(90):
            for last in (first, first + 1, first + 6, first + 40):
                found, counted = lanes.stretch(lane, first, last), slow_stretch(slow, lane, first, last)
                assert [list(part) for part in found] == [list(part) for part in counted]


def test_late_in_a_pass_only_the_window_that_is_read_is_made():
    lanes = Lanes([50] * 200, 1, 0)
    lanes.stretch(0, 9_010, 9_020)
    assert lanes.window.cache_info().misses == 1


@pytest.mark.parametrize(("pattern", "found"), [
    ("a.tar", ["a.tar"]), ("a{08..10}.tar", ["a08.tar", "a09.tar", "a10.tar"]),
    ("{0..1}/{0..1}", ["0/0", "0/1", "1/0", "1/1"]),
])  # fmt: skip
def test_braces_count(pattern, found):
    assert list(streams.spread(pattern)) == found


@pytest.mark.parametrize(
    "source", ["pipe:cat x.tar", "{3..1}.tar", "{0..9999999}.tar", "simplecache::s3://a/b.tar", "none.txt"]
)
def test_what_is_no_plain_address_is_refused(source):
    with pytest.raises(UsageError):
        streams.places(source)


# From an address to a batch


def shard(path, number, count=12, classes=("cat", "dog"), broken=0):
    """A .tar of WebDataset: sample i is one grey, its class beside it; the last `broken` are no pictures."""
    with tarfile.open(path, "w") as file:
        for i in range(count):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (10 * number + i, 0, 0)).save(picture, "PNG")
            png = b"none" if i >= count - broken else picture.getvalue()
            for suffix, content in (("png", png), ("cls", classes[i % len(classes)].encode())):
                info = tarfile.TarInfo(f"{number}-{i:03d}.{suffix}")
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))


class Handler(SimpleHTTPRequestHandler):
    """Breaks off the first answer for what is called `short`."""

    broken = 0

    def copyfile(self, source, outputfile):
        content = source.read()
        if "short" in self.path and Handler.broken < 1:
            Handler.broken += 1
            content = content[:1000]
        outputfile.write(content)

    def log_message(self, *told):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """(folder, address) of a server with four shards."""
    monkeypatch.setattr(streams, "TRIES", (0.01, 0.01))
    folder = tmp_path / "served"
    folder.mkdir()
    for number in range(4):
        shard(folder / f"short-{number}.tar" if number == 2 else folder / f"s-{number}.tar", number)
    (folder / "s-2.tar").symlink_to(folder / "short-2.tar")
    Handler.broken = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def prepared(source, path, **how):
    return prepare_stream(source, path, Policy(), lambda done, total: None, **how)


def test_shards_behind_addresses_become_data_that_are_trained_on(served, tmp_path):
    """Every sample once in a pass, with its class; the store holds some of each to look at."""
    _, address = served
    dataset = prepared(f"{address}/s-{{0..3}}.tar", tmp_path / "greys.h5", look=8)
    assert dataset.facts.count == 48
    assert dataset.counts == {"train": 8}
    assert dataset.classes == ("cat", "dog")
    again = open_data(str(tmp_path / "greys.h5"))
    assert (again.fingerprint, again.stream) == (dataset.fingerprint, dataset.stream)
    batches = Streamed(again, 0)
    greys, classes = [], []
    for seen in range(0, 48, 8):
        real, labels, columns = batches(seen, 0, 8, 8)
        assert (real.shape, columns) == ((8, 3, 8, 8), {})
        greys += ((real[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()
        classes += labels.tolist()
    assert sorted(greys) == sorted(10 * number + i for number in range(4) for i in range(12))
    assert all((grey - 10 * n) % 2 == label for grey, label in zip(greys, classes, strict=True) for n in [0])
    parts = [batches(16, start, start + 2, 8)[0] for start in range(0, 8, 2)]
    assert torch.equal(torch.cat(parts), batches(16, 0, 8, 8)[0])


def test_a_download_that_broke_off_is_tried_again(served, tmp_path):
    _, address = served
    (tmp_path / "list.txt").write_text(f"# two\n{address}/short-2.tar\n{address}/s-1.tar\n")
    assert prepared(str(tmp_path / "list.txt"), tmp_path / "two.h5").facts.count == 24
    assert Handler.broken == 1


def test_a_shard_that_is_not_there_is_named(served, tmp_path):
    _, address = served
    with pytest.raises(DataError, match=r"s-4\.tar: was refused by the server with 404"):
        prepared(f"{address}/s-{{3..4}}.tar", tmp_path / "x.h5")


def test_a_shard_that_has_changed_is_not_trained_on(served, tmp_path):
    folder, address = served
    dataset = prepared(f"{address}/s-{{0..1}}.tar", tmp_path / "x.h5")
    shard(folder / "s-0.tar", 9)
    batches = Streamed(dataset, 0)
    with pytest.raises(DataError, match=r"s-0\.tar: holds other samples than when the data were prepared"):
        batches(0, 0, 24, 24)


def test_a_preparation_that_was_stopped_goes_on_with_the_shard_it_was_at(served, tmp_path, monkeypatch):
    _, address = served
    source, fetched, fetch = f"{address}/s-{{0..3}}.tar", [], streams.fetch

    def failing(place, path, stop):
        fetched.append(place)
        if len(fetched) == 3:
            raise KeyboardInterrupt
        fetch(place, path, stop)

    monkeypatch.setattr(streams, "fetch", failing)
    with pytest.raises(KeyboardInterrupt):
        prepared(source, tmp_path / "x.h5")
    assert prepared(source, tmp_path / "x.h5").facts.count == 48
    assert [place[-5] for place in fetched] == ["0", "1", "2", "2", "3"]


def test_the_cache_holds_no_more_than_it_may(served, tmp_path):
    _, address = served
    dataset = prepared(f"{address}/s-{{0..3}}.tar", tmp_path / "x.h5")
    batches = Streamed(dataset, 0, most=1)
    for seen in range(0, 96, 4):
        batches(seen, 0, 4, 4)
    left = list(streams.streams_folder().glob("*.h5"))
    assert len(left) <= 1 + 4 * WINDOW  # what is being read, and what is fetched ahead


def test_a_training_from_shards_goes_on_with_the_same_bits(served, tmp_path):
    _, address = served
    gansaku.prepare(f"{address}/s-{{0..3}}.tar", tmp_path / "x.h5", stream=True, lanes=4)
    settings = {"batch": 8, "precision": "fp32", "generator.network.width": 4, "discriminator.network.width": 4}

    def train(run, length):
        return gansaku.train("dcgan", str(tmp_path / "x.h5"), run, settings | {"length": length}, signals_budget=0)

    straight = train("straight", 160).state().nets["generator"].state_dict()
    train("parts", 80)
    parts = train("parts", 160).state().nets["generator"].state_dict()
    assert all(torch.equal(straight[name], value) for name, value in parts.items())


def test_a_batch_that_the_lanes_do_not_divide_is_refused(served, tmp_path):
    _, address = served
    gansaku.prepare(f"{address}/s-{{0..3}}.tar", tmp_path / "x.h5", stream=True, lanes=4)
    with pytest.raises(RecipeError, match="6 does not divide by 4 lanes of the streamed data; use 4 or 8"):
        gansaku.train("dcgan", str(tmp_path / "x.h5"), "run", {"batch": 6})


@pytest.mark.parametrize(("more", "says"), [
    ({"lanes": 5}, "5 is not possible with 2 shards"), ({"held_out": 0.5}, "is not possible with --stream"),
    ({"destination": "x.npz"}, "is no .h5"),
])  # fmt: skip
def test_what_cannot_be_streamed_is_refused(tmp_path, more, says):
    for number in range(2):
        shard(tmp_path / f"s-{number}.tar", number)
    with pytest.raises(UsageError, match=says):
        gansaku.prepare(str(tmp_path / "s-{0..1}.tar"), more.pop("destination", "x.h5"), stream=True, **more)


def test_an_address_without_stream_says_what_to_do():
    with pytest.raises(DataError, match="is an address; `gansaku prepare https://host/a"):
        open_data("https://host/a.tar")


def test_a_list_of_shards_that_contradicts_itself_is_refused():
    for plain in ({"shards": [], "lanes": 1, "policy": {}}, {"shards": [["a", 0, "f"]], "lanes": 1, "policy": {}}):
        with pytest.raises(ValueError, match="shards in"):
            streams.listing(plain)
    whole = {"shards": [["a", 3, "f"]], "lanes": 1, "policy": {}, "max_bad": 0.2}
    assert streams.listing(json.loads(json.dumps(whole))).plain() == whole


# What is in the cache


class Cache:
    """Shards of 10 samples of 48 bytes, prepared by nothing but a file; `made` counts how often each was."""

    def __init__(self, folder, room, count=24, lanes=4, each=480):
        self.made, self.open, self.each = Counter(), threading.Event(), each
        self.open.set()
        shards = tuple(streams.Shard(str(folder / f"{i}.tar"), 10, str(i)) for i in range(count))
        self.lanes = Lanes([10] * count, lanes, 0)
        listing = streams.Listing(shards, lanes, {})
        self.fetched = streams.Fetched(listing, [], (3, 4, 4), self.make, room * each, folder / "cache")

    def make(self, path, policy, target):
        assert self.open.wait(60)
        number = int(path.stem)
        self.made[number] += 1
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(bytes(self.each))
        return SimpleNamespace(path=target, fingerprint=str(number), shape=(3, 4, 4))

    def read(self, batches, batch=8):
        for seen in range(0, batches * batch, batch):
            places = [(lane, last, self.lanes.stretch(lane, first, last)[2])
                      for lane, first, last in self.lanes.places(seen, 0, batch, batch)]  # fmt: skip
            for lane, _, shards in places:
                self.fetched.hold(lane, shards)
            for lane, last, shards in places:
                for number in shards:
                    self.fetched(number)
                self.fetched.soon(lane, self.lanes.after(lane, last - 1))


@pytest.mark.parametrize("room", [0, 9, 11, 16, 20])
def test_in_a_pass_no_shard_is_fetched_twice_however_little_room_there_is(tmp_path, room):
    cache = Cache(tmp_path, room)
    cache.read(19)  # the last windows of the pass are fetched ahead, and not yet those of the next one
    cache.fetched.close()
    assert set(cache.made.values()) == {1}


def test_what_is_not_read_any_more_leaves_the_cache(tmp_path):
    cache = Cache(tmp_path, room=9)
    cache.read(28)
    cache.fetched.close()
    assert len(list((tmp_path / "cache").iterdir())) <= 9


def test_what_does_not_fit_beside_the_windows_is_not_fetched_ahead(tmp_path):
    cache = Cache(tmp_path, room=9, lanes=4)
    for lane in range(4):
        cache.fetched.hold(lane, (2 * lane, 2 * lane + 1))
    for lane in range(4):
        cache.fetched.soon(lane, (8 + 2 * lane, 9 + 2 * lane))
    cache.fetched._waiting.put(None)
    cache.fetched._workers[0].join(60)
    cache.fetched.close()
    assert set(cache.made) <= {8}


def test_what_is_being_fetched_is_not_asked_for_again(tmp_path):
    cache = Cache(tmp_path, room=99)
    cache.open.clear()
    for _ in range(10):
        cache.fetched.soon(0, (1, 2, 3, 4))
    assert cache.fetched._waiting.qsize() <= 4
    cache.open.set()
    cache.fetched.close()


def test_at_the_end_nothing_is_tried_again_and_no_thread_holds_the_process(tmp_path, monkeypatch):
    begun = threading.Event()

    def failing(place, path, stop):
        begun.set()
        raise DataError(place, "cannot be fetched", "NETWORK")

    monkeypatch.setattr(streams, "TRIES", (1000.0,))
    monkeypatch.setattr(streams, "fetch", failing)
    listing = streams.Listing((streams.Shard("http://127.0.0.1/a.tar", 1, ""),), 1, {})
    fetched = streams.Fetched(listing, [], (3, 4, 4), None, 1000, tmp_path)
    fetched.soon(0, (0,))
    workers = fetched._workers
    assert begun.wait(60)
    assert all(worker.daemon for worker in workers)
    fetched.close()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)


def test_a_download_ends_when_nobody_needs_it(served, tmp_path):
    _, address = served
    stop = threading.Event()
    stop.set()
    with pytest.raises(DataError, match="is needed no more"):
        streams.fetch(f"{address}/s-1.tar", tmp_path / "x.tar", stop)
    assert not (tmp_path / "x.tar").exists()


def test_without_its_batches_nothing_is_fetched_any_more(tmp_path):
    for number in range(2):
        shard(tmp_path / f"s-{number}.tar", number)
    batches = Streamed(prepared(str(tmp_path / "s-{0..1}.tar"), tmp_path / "x.h5"), 0)
    fetched = batches.fetched
    assert not fetched._stop.is_set()
    del batches
    assert fetched._stop.is_set()


def test_a_store_that_another_process_removed_before_it_was_opened_is_made_again(tmp_path):
    (tmp_path / "a.tar").touch()
    tries = []

    def make(path, policy, target):
        tries.append(path)
        if len(tries) < 3:
            raise DataError(str(target), "is not there", "DATA_MISSING")
        return "a store"

    assert streams.prepared(str(tmp_path / "a.tar"), {}, tmp_path, make) == "a store"
    tries.clear()
    with pytest.raises(DataError, match="is not there"):
        streams.prepared(str(tmp_path / "b.tar"), {}, tmp_path, make)
    assert len(tries) == 1


def test_windows_that_no_cache_holds_are_told_before_the_training():
    shards = tuple(streams.Shard(f"{i}.tar", 10_000, "") for i in range(100))
    listing = streams.Listing(shards, 16, {})
    said = streams.crowded(listing, (3, 256, 256), 1, 20 << 30)
    assert "2 of each of 16 lanes, take up to 62.9 GB of disk, more than the 21.5 GB of the cache" in said
    assert "fewer --lanes" in said
    assert streams.crowded(listing, (3, 256, 256), 8, 20 << 30) == ""
    assert streams.crowded(listing, (3, 64, 64), 1, 20 << 30) == ""


def test_the_share_that_may_be_bad_holds_for_every_shard_and_in_training_too(tmp_path):
    for number in range(2):
        shard(tmp_path / f"s-{number}.tar", number, broken=2)
    source, tell = str(tmp_path / "s-{0..1}.tar"), lambda done, total: None
    with pytest.raises(Stopped):
        prepared(source, tmp_path / "x.h5")
    dataset = prepare_stream(source, tmp_path / "x.h5", Policy(max_bad=0.2), tell)
    assert dataset.facts.count == 20
    assert len(Streamed(dataset, 0)(0, 0, 20, 20)[0]) == 20
