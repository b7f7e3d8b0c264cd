"""Streamed data, on the way into training: what of many shards becomes a store, and the batches that come from the shards."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansaku import files
from gansaku.data import preparation, sources
from gansaku.data.batches import Batches
from gansaku.data.content import Block, Progress
from gansaku.data.destinations import check_destination
from gansaku.data.lanes import Lanes
from gansaku.data.policy import Policy, policy
from gansaku.data.store import Dataset, open_store
from gansaku.data.streams import LANES, Fetched, Listing, Shard, crowded, listing, places, prepared, streams_folder
from gansaku.errors import DataError, UsageError
from gansaku.keys import generator

LOOK = 10_000  # samples that the store itself holds
MOST = 20 << 30  # bytes of prepared shards in the cache


class Streamed(Batches):
    """Batches whose training samples come from shards; everything else comes from the store's own samples, as ever.

    `most` is how many bytes of prepared shards may lie in the cache of this process, beside those that it is reading.
    Nothing is fetched any more once nobody has the batches.
    """

    def __init__(self, dataset: Dataset, seed: int, *, most: int = MOST, **how: Any):
        super().__init__(dataset, seed, **how)
        assert dataset.stream is not None
        try:
            self.listing = listing(dataset.stream)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(str(dataset.path), f"has no list of shards that can be used: {error}", "STREAM") from error
        self.lanes = Lanes([shard.samples for shard in self.listing.shards], self.listing.lanes, seed)
        self.most, made = most, partial(make, max_bad=self.listing.max_bad)
        self.fetched = Fetched(self.listing, dataset.classes, dataset.shape, made, most)
        weakref.finalize(self, self.fetched.close)

    @property
    def count(self) -> int:
        return self.listing.count

    def crowded(self, parts: int) -> str:
        """What to say before a training of `parts` processes whose cache is too small for what each reads at a time."""
        return crowded(self.listing, self.dataset.shape, parts, self.most)

    def __call__(self, seen: int, start: int, stop: int, batch: int = 0) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        samples, labels, stretches = [], [], []
        for lane, first, last in self.lanes.places(seen, start, stop, batch):
            rows, mirrored, shards = self.lanes.stretch(lane, first, last)
            self.fetched.hold(lane, shards)  # of all lanes, before the first of them makes room for itself
            stretches.append((lane, last, rows, mirrored))
        for lane, last, rows, mirrored in stretches:
            stored, own = self.fetched.rows(rows, self.lanes.starts)
            samples.append(self.made(stored, mirrored if self.mirror else None))
            labels.append(self.moved(own))
            self.fetched.soon(lane, self.lanes.after(lane, last - 1))
        return torch.cat(samples), torch.cat(labels), {}


def make(path: Path, chosen: dict[str, Any], target: Path, max_bad: float = Policy.max_bad) -> Dataset:
    """A shard's store. Raises as `sources.open_data`."""
    if sources.own_store(str(path)):
        return open_store(path)
    choices: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    how = policy(max_bad=max_bad, **choices)
    return sources.carried_out(sources.planned(str(path), how), target, how, None)


def prepare_stream(
    source: str, destination: Path, chosen: Policy, progress: Progress, lanes: int | None = None, look: int = LOOK
) -> Dataset:
    """Go through all shards once, and write a store with some samples of each and the list of them.

    Killed at any moment, the same call goes on with the shard that it was at. Raises as `sources.open_data`.
    """
    if destination.suffix.lower() != ".h5":
        raise UsageError(str(destination), "is no .h5, which --stream writes", "STREAM")
    if chosen.held_out or chosen.dedupe:
        flag = "--held-out" if chosen.held_out else "--dedupe"
        sentence = "is not possible with --stream: leave whole shards out of the list, and prepare them as data of their own"
        raise UsageError(flag, sentence, "STREAM")
    check_destination(source, destination, None)
    found, each = places(source), max(1, -(-look // len(places(source))))
    lanes = lanes or max(n for n in range(1, LANES + 1) if n <= len(found) and LANES % n == 0)
    if not 1 <= lanes <= len(found):
        raise UsageError("--lanes", f"{lanes} is not possible with {len(found)} shards; use 1 to {len(found)}", "STREAM")
    plain = json.loads(json.dumps(chosen.identity))
    work = streams_folder() / blake2b(json.dumps([found, plain, each]).encode(), digest_size=10).hexdigest()
    seen = []
    for number, place in enumerate(found):
        progress(number, len(found))
        seen.append(looked_at(place, plain, each, work / f"{number:06d}.npz", chosen.max_bad))
    progress(len(found), len(found))
    shapes, names = {one.shape for one in seen}, sorted({name for one in seen for name in one.classes})
    if len(shapes) > 1:
        raise DataError(source, f"has shards of unlike samples, {' and '.join(map(str, sorted(shapes)))}; give --size", "SHAPE")
    shards = Listing(tuple(one.shard for one in seen), lanes, plain, chosen.max_bad)

    def blocks(start: int) -> Iterator[Block]:
        for one in seen[start:]:
            labels = np.array([names.index(name) for name in one.classes] or [0], np.int64)[one.labels]
            yield Block(one.samples, labels, "train", read=1)

    preparation.write(
        destination,
        blocks,
        name=destination.stem,
        shape=seen[0].shape,
        classes=tuple(names),
        source=Path(source).name if "://" not in source else source,
        policy=sources.told(chosen),
        identity=[str(work)],
        total=len(seen),
        stream={**shards.plain(), "fingerprint": shards.fingerprint},
    )
    for number in range(len(found)):
        files.remove(work / f"{number:06d}.npz")
    return open_store(destination)


class Looked:
    """What is kept of a shard that was looked at: its samples are read when they are asked for."""

    def __init__(self, path: Path):
        self._path = path
        with np.load(path, allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            self.labels = kept["labels"]
        self.shard, self.classes, self.shape = Shard(*about["shard"]), tuple(about["classes"]), tuple(about["shape"])

    @property
    def samples(self) -> Any:
        with np.load(self._path, allow_pickle=False) as kept:
            return kept["samples"]


def looked_at(place: str, chosen: dict[str, Any], each: int, path: Path, max_bad: float) -> Looked:
    """Some samples of a shard and what it is, kept in a file, so that no shard is fetched twice."""
    if path.is_file():
        return Looked(path)
    store = prepared(place, chosen, streams_folder(), partial(make, max_bad=max_bad))
    there = store.counts["train"]
    rows = torch.randperm(there, generator=generator("look", store.fingerprint)).numpy()[:each]
    about = {"shard": [place, there, store.fingerprint], "classes": store.classes, "shape": store.shape}
    content = io.BytesIO()
    np.savez(content, samples=store.rows(rows), labels=store.labels[rows], about=np.array(json.dumps(about)))
    files.write_bytes(path, content.getvalue())
    if store.path.parent == streams_folder():
        files.remove(store.path)
    return Looked(path)
