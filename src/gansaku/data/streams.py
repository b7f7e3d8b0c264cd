"""Data larger than a disk: shards that stay where they are, fetched, prepared and forgotten again while training goes on.

`gansaku prepare 'https://host/faces-{0000..0999}.tar' faces.h5 --stream` goes through all shards once. The store that it
writes holds some samples of each, which are what everybody looks at and scores by, and the list of the shards.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple

import fsspec
import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.cache import cache_folder
from gansaku.data.content import Bytes
from gansaku.data.lanes import WINDOW
from gansaku.data.store import Dataset, open_store
from gansaku.errors import DataError, DiskError, UsageError

LANES = 16  # unless there are fewer shards
TRIES = (1.0, 4.0, 16.0)  # seconds before a shard is fetched again
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 20
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
    """All shards, in how many lanes they are read, and the policy by which they are prepared, as JSON."""

    shards: tuple[Shard, ...]
    lanes: int
    policy: dict[str, Any]

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
        return {"shards": [list(shard) for shard in self.shards], "lanes": self.lanes, "policy": self.policy}


def listing(plain: Any) -> Listing:
    """The inverse of `plain`. Raises ValueError for what is none."""
    shards = tuple(Shard(str(place), int(count), str(fingerprint)) for place, count, fingerprint in plain["shards"])
    lanes = int(plain["lanes"])
    if not 1 <= lanes <= len(shards) or any(shard.samples < 1 for shard in shards) or not isinstance(plain["policy"], dict):
        raise ValueError(f"{len(shards)} shards in {lanes} lanes")
    return Listing(shards, lanes, plain["policy"])


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

    Threads may fetch side by side.
    """

    def __init__(
        self, shards: Listing, classes: Sequence[str], shape: tuple[int, ...], make: Make, most: int, folder: Path | None = None
    ):
        self._listing, self._classes, self._shape, self._make = shards, list(classes), shape, make
        self._most, self._folder = most, folder or streams_folder()
        self._open: dict[int, Dataset] = {}
        self._locks = [threading.Lock() for _ in range(64)]
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

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
                self._forget()
            return found

    def soon(self, numbers: Sequence[int]) -> None:
        """Fetch these in the background; what goes wrong is told when they are needed."""
        waiting = [number for number in numbers if number not in self._open]
        if waiting and self._pool is None:
            self._pool = ThreadPoolExecutor(WINDOW, thread_name_prefix="fetch")
        for number in waiting:
            assert self._pool is not None
            self._pool.submit(self._quietly, number)

    def _quietly(self, number: int) -> None:
        with suppress(DataError, DiskError):
            self(number)

    def _made(self, number: int) -> Dataset:
        shard = self._listing.shards[number]
        dataset = prepared(shard.place, self._listing.policy, self._folder, self._make)
        if dataset.fingerprint != shard.fingerprint or dataset.shape != self._shape:
            raise DataError(
                shard.place, "holds other samples than when the data were prepared; prepare them again with --stream", "STREAM"
            )
        return dataset

    def _forget(self) -> None:
        """Close the oldest until the rest fits; what is mapped stays readable for whoever still reads it."""
        while len(self._open) > 1 and sum(map(size, self._open.values())) > self._most:
            oldest = next(iter(self._open))
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


def streams_folder() -> Path:
    return cache_folder() / "streams"


def prepared(place: str, policy: dict[str, Any], folder: Path, make: Make) -> Dataset:
    """The store of one archive. What lies elsewhere is fetched first, and tried again when the network fails."""
    key = blake2b(json.dumps([place, policy], sort_keys=True).encode(), digest_size=10).hexdigest()
    target = folder / f"{key}.h5"
    if target.is_file():
        with suppress(DataError):  # damaged in the cache: made again
            return open_store(target)
    if "://" not in place:
        return make(Path(place), policy, target)
    local = folder / f"{os.getpid()}-{threading.get_ident()}-{key}{''.join(Path(place).suffixes[-2:])}"
    for wait in (*TRIES, None):
        try:
            fetch(place, local)
            return make(local, policy, target)
        except DataError as error:
            if wait is None or error.code not in ("NETWORK", "TAR_CORRUPT", "ZIP_CORRUPT"):
                raise DataError(place, error.sentence, error.code) from error
            time.sleep(wait)
        finally:
            with suppress(DiskError):
                files.remove(local)
    raise AssertionError("the last try raises")


def fetch(place: str, path: Path) -> None:
    """Copy a file of the network. Raises DataError when it cannot be read whole."""
    try:
        with opened(place) as source, files.replacing(path) as temporary, files.create(temporary) as file:
            done, total = 0, int(getattr(source, "headers", {}).get("Content-Length") or 0)
            while part := source.read(CHUNK):
                file.write(part)
                done += len(part)
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
