"""Data larger than a disk: shards that stay where they are, fetched, prepared and forgotten again while training goes on.

`gansaku prepare 'https://host/faces-{0000..0999}.tar' faces.h5 --stream` goes through all shards once. The store that it
writes holds some samples of each, which are what everybody looks at and scores by, and the list of the shards.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

import fsspec
import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.cache import cache_folder
from gansaku.data.content import Bytes
from gansaku.data.lanes import WINDOW
from gansaku.data.policy import Policy
from gansaku.data.store import Dataset, is_voxels, open_store
from gansaku.errors import DataError, DiskError, UsageError

LANES = 16  # unless there are fewer shards
TRIES = (1.0, 4.0, 16.0)  # seconds before a shard is fetched again
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 20
PATIENCE = 2.0  # seconds that an end waits for what is being fetched
MOST_PLACES = 1_000_000
FORBIDDEN = re.compile(r"^(pipe|simplecache|filecache|blockcache|shell)\b|::|[\x00-\x1f]")


Make = Callable[[Path, dict[str, Any], Path], Dataset]
"""Prepares an archive by a policy into a store."""


class Shard(NamedTuple):
    """One archive: where it is, how many training samples it has, and what they are (the prepared store's fingerprint)."""

    place: str
    samples: int
    fingerprint: str


@dataclass(frozen=True)
class Listing:
    """All shards, in how many lanes they are read, and the policy by which they are prepared, as JSON.

    `max_bad`, which changes no sample, stands beside the policy: the share of a shard's files that may be unusable.
    """

    shards: tuple[Shard, ...]
    lanes: int
    policy: dict[str, Any]
    max_bad: float = Policy.max_bad

    @property
    def count(self) -> int:
        return sum(shard.samples for shard in self.shards)

    @property
    def fingerprint(self) -> str:
        """Of what the samples are, wherever the shards lie."""
        content = json.dumps([[(shard.samples, shard.fingerprint) for shard in self.shards], self.lanes])
        return blake2b(content.encode(), digest_size=32).hexdigest()

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        shards = [list(shard) for shard in self.shards]
        return {"shards": shards, "lanes": self.lanes, "policy": self.policy, "max_bad": self.max_bad}


def listing(plain: Any) -> Listing:
    """The inverse of `plain`. Raises ValueError for what is none."""
    shards = tuple(Shard(str(place), int(count), str(fingerprint)) for place, count, fingerprint in plain["shards"])
    lanes, max_bad = int(plain["lanes"]), float(plain.get("max_bad", Policy.max_bad))
    if not 1 <= lanes <= len(shards) or any(shard.samples < 1 for shard in shards) or not isinstance(plain["policy"], dict):
        raise ValueError(f"{len(shards)} shards in {lanes} lanes")
    return Listing(shards, lanes, plain["policy"], max_bad)


def places(source: str) -> list[str]:
    """The shards that a source names: `faces-{000..999}.tar`, an address or a path; or a .txt file with one on each line.

    Raises UsageError where it names none, or one that is no plain address.
    """
    if source.endswith(".txt"):
        try:
            lines = [line.strip() for line in Path(source).read_text().splitlines()]
        except (OSError, ValueError) as error:
            raise UsageError(source, "cannot be read; give a text file with an address on each line", "STREAM") from error
        found = [line for line in lines if line and not line.startswith("#")]
    else:
        found = list(spread(source))
    for place in found:
        if FORBIDDEN.search(place):
            raise UsageError(place, "is no plain address of a file; a shard is a path, https://…, s3://… or gs://…", "STREAM")
    if not found:
        raise UsageError(source, "names no shard", "STREAM")
    return [place if "://" in place else str(Path(place).absolute()) for place in found]


def spread(pattern: str) -> Iterator[str]:
    """a{08..10}b -> a08b, a09b, a10b; several braces count like digits."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if found is None:
        yield pattern
        return
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < MOST_PLACES:
        raise UsageError(pattern, f"counts from {first} to {last}; write {{0000..0999}}, at most {MOST_PLACES:,}", "STREAM")
    for number in range(first, last + 1):
        for rest in spread(pattern[found.end() :]):
            yield f"{pattern[: found.start()]}{number:0{len(found[1])}d}{rest}"


class Fetched:
    """Shards as prepared stores in the cache, at most `most` bytes of them; the one used longest ago goes first.

    The windows that are read (`hold`) stay whatever they take, and what is fetched ahead of them (`soon`) stays too: of that
    no more is fetched than has room beside them. Threads may fetch side by side.
    """

    def __init__(
        self, shards: Listing, classes: Sequence[str], shape: tuple[int, ...], make: Make, most: int, folder: Path | None = None
    ):
        self._listing, self._classes, self._shape, self._make = shards, list(classes), shape, make
        self._most, self._folder = most, folder or streams_folder()
        self._open: dict[int, Dataset] = {}
        self._now: dict[int, frozenset[int]] = {}  # by lane
        self._next: dict[int, frozenset[int]] = {}  # by lane
        self._pending: set[int] = set()  # to be fetched in the background, or being fetched
        self._each = float(sample_bytes(shape))  # bytes that a sample takes in a store, with what belongs to it
        self._locks = [threading.Lock() for _ in range(64)]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._waiting: SimpleQueue[int | None] = SimpleQueue()
        self._workers: list[threading.Thread] = []

    def __call__(self, number: int) -> Dataset:
        """The shard's store. Raises DataError where it cannot be fetched, or is not what it was."""
        with self._locks[number % len(self._locks)]:
            with self._lock:
                if number in self._open:
                    self._open[number] = self._open.pop(number)  # used last
                    return self._open[number]
            found = self._made(number)
            with self._lock:
                self._open[number] = found
                self._each = max(self._each, size(found) / self._listing.shards[number].samples)
                self._forget(number)
            return found

    def hold(self, lane: int, numbers: Sequence[int]) -> None:
        """These are what a lane reads now, and no others."""
        with self._lock:
            self._now[lane] = frozenset(numbers)

    def soon(self, lane: int, numbers: Sequence[int]) -> None:
        """Fetch these of a lane in the background, as far as there is room; what goes wrong is told when they are needed."""
        with self._lock:
            self._next.pop(lane, None)
            for number in numbers:
                if self._fits(self._wanted() | {number}):
                    self._next[lane] = self._next.get(lane, frozenset()) | {number}
            missing = self._next.get(lane, frozenset()) - self._open.keys() - self._pending
            if self._stop.is_set() or not missing:
                return
            self._pending |= missing
            for number in sorted(missing, key=list(numbers).index):
                self._waiting.put(number)
            while len(self._workers) < WINDOW:  # daemons: no download keeps a process from ending
                self._workers.append(threading.Thread(target=self._fetch_waiting, name="fetch", daemon=True))
                self._workers[-1].start()

    def close(self) -> None:
        """Fetch no more: nobody waits, and what is being fetched is given up."""
        self._stop.set()
        for _ in self._workers:
            self._waiting.put(None)
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join(PATIENCE / WINDOW)

    def _fetch_waiting(self) -> None:
        while (number := self._waiting.get()) is not None and not self._stop.is_set():
            with self._lock:
                wanted = number in self._wanted()
            with suppress(DataError, DiskError):
                if wanted:
                    self(number)
            with self._lock:
                self._pending.discard(number)

    def _wanted(self) -> frozenset[int]:
        return frozenset().union(*self._now.values(), *self._next.values())

    def _fits(self, numbers: frozenset[int]) -> bool:
        """Whether the prepared shards are within the bound, those not seen yet reckoned by those that were."""
        samples = (self._listing.shards[n].samples for n in numbers if n not in self._open)
        return sum(size(self._open[n]) for n in numbers if n in self._open) + self._each * sum(samples) <= self._most

    def _made(self, number: int) -> Dataset:
        shard = self._listing.shards[number]
        dataset = prepared(shard.place, self._listing.policy, self._folder, self._make, self._stop)
        if dataset.fingerprint != shard.fingerprint or dataset.shape != self._shape:
            raise DataError(
                shard.place, "holds other samples than when the data were prepared; prepare them again with --stream", "STREAM"
            )
        return dataset

    def _forget(self, newest: int) -> None:
        """Close the oldest that nobody wants until the rest fits; what is mapped stays readable for who still reads it."""
        wanted = self._wanted() | {newest}
        for oldest in [number for number in self._open if number not in wanted]:
            if sum(map(size, self._open.values())) <= self._most:
                return
            dataset = self._open.pop(oldest)
            if dataset.path.is_relative_to(self._folder):
                with suppress(DiskError):
                    files.remove(dataset.path)

    def rows(self, wanted: NDArray[np.int64], starts: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.int64]]:
        """Samples (n, *S, C) and labels of these rows of all shards together, in their order."""
        samples = np.empty((len(wanted), *self._shape[1:], self._shape[0]), np.uint8)
        labels = np.zeros(len(wanted), np.int64)
        shards = np.searchsorted(starts, wanted, side="right") - 1
        for shard in np.unique(shards):
            where, dataset = shards == shard, self(int(shard))
            own = wanted[where] - starts[shard]
            samples[where] = dataset.rows(own)
            if dataset.classes:
                known = np.array([self._classes.index(name) for name in dataset.classes])
                labels[where] = known[dataset.labels[own]]
        return samples, labels


def size(dataset: Dataset) -> int:
    """Bytes of a store."""
    try:
        return dataset.path.stat().st_size
    except OSError:
        return 0


def sample_bytes(shape: Sequence[int]) -> int:
    """What a sample takes in a store: a byte for each value of a picture, a bit for each voxel."""
    return -(-math.prod(shape) // 8) if is_voxels(shape) else math.prod(shape)


def crowded(shards: Listing, shape: Sequence[int], parts: int, most: int) -> str:
    """What to say where the windows that one of `parts` processes reads take more than `most` bytes; "" where they fit."""
    lanes, largest = -(-shards.lanes // parts), max(shard.samples for shard in shards.shards)
    needed = lanes * WINDOW * largest * sample_bytes(shape)
    if needed <= most:
        return ""
    return (
        f"the shards that are read at a time, {WINDOW} of each of {lanes} lanes, take up to {files.amount(needed)} of disk, "
        f"more than the {files.amount(most)} of the cache, and none is fetched ahead; "
        "prepare with fewer --lanes, or make smaller shards"
    )


def streams_folder() -> Path:
    return cache_folder() / "streams"


def prepared(place: str, policy: dict[str, Any], folder: Path, make: Make, stop: threading.Event | None = None) -> Dataset:
    """The store of one archive. What lies elsewhere is fetched first, and tried again when the network fails, until `stop`."""
    key = blake2b(json.dumps([place, policy], sort_keys=True).encode(), digest_size=10).hexdigest()
    target = folder / f"{key}.h5"
    if target.is_file():
        with suppress(DataError):  # damaged in the cache: made again
            return open_store(target)
    if "://" not in place:
        return made(Path(place), policy, target, make)
    stop = stop or threading.Event()
    local = folder / f"{os.getpid()}-{threading.get_ident()}-{key}{''.join(Path(place).suffixes[-2:])}"
    for wait in (*TRIES, None):
        try:
            fetch(place, local, stop)
            return made(local, policy, target, make)
        except DataError as error:
            if wait is None or stop.is_set() or error.code not in ("NETWORK", "TAR_CORRUPT", "ZIP_CORRUPT"):
                raise DataError(place, error.sentence, error.code) from error
            stop.wait(wait)
        finally:
            with suppress(DiskError):
                files.remove(local)
    raise AssertionError("the last try raises")


def made(archive: Path, policy: dict[str, Any], target: Path, make: Make) -> Dataset:
    """An archive's store. Another process that shares the cache may remove the store before it is open: then made again."""
    for _ in TRIES:
        try:
            return make(archive, policy, target)
        except DataError as error:
            if error.code != "DATA_MISSING" or not archive.exists():
                raise
    return make(archive, policy, target)


def fetch(place: str, path: Path, stop: threading.Event) -> None:
    """Copy a file of the network. Raises DataError when it cannot be read whole, or is stopped."""
    try:
        with opened(place) as source, files.replacing(path) as temporary, files.create(temporary) as file:
            done, total = 0, int(getattr(source, "headers", {}).get("Content-Length") or 0)
            while part := source.read(CHUNK):
                file.write(part)
                done += len(part)
                if stop.is_set():
                    raise DataError(place, "is needed no more", "STOPPED")
            if done < total:
                raise DataError(place, f"ended after {files.amount(done)} of {files.amount(total)}", "NETWORK")
    except DiskError:
        raise
    except urllib.error.HTTPError as error:
        raise DataError(place, f"was refused by the server with {error.code} {error.reason}", "NETWORK") from error
    except ImportError as error:
        raise DataError(place, f"needs a package for such addresses: {error}", "STREAM") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(place, f"cannot be fetched: {error or type(error).__name__}", "NETWORK") from error


def opened(place: str) -> IO[bytes]:
    """The bytes behind an address: http by the standard library, all others by fsspec."""
    if place.startswith(("http://", "https://")):
        answer: IO[bytes] = urllib.request.urlopen(place, timeout=TIMEOUT)
        return answer
    return fsspec.open(place, "rb").open()  # type: ignore[no-any-return]
