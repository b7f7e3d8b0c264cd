"""What a source holds, on its way into a store: blocks of samples, made in order, many at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansaku.data.tally import Account

SPLITS = ("train", "test")  # in the order of their rows
AT_ONCE = 1 << 24  # bytes of samples in memory at a time while a store is prepared and written
BLOCK = 512  # samples, so that small ones show progress too
WORKERS = min(8, os.cpu_count() or 1)

Bytes = NDArray[np.uint8]
Columns = Mapping[str, NDArray[np.float32]]
Progress = Callable[[int, int], None]  # (files or rows done, of how many)


@dataclass(frozen=True)
class Block:
    """Some samples of one split: (n, *S, C), pictures 0..255, voxels 0/1; n may be 0.

    `names` says where each came from, or is empty; `read` is how many files or rows were looked at for them.
    """

    samples: Bytes
    labels: NDArray[np.int64]
    split: str
    columns: Columns = field(default_factory=dict)
    names: Sequence[str] = ()
    account: Account = field(default_factory=Account)
    read: int = 0


class Content(NamedTuple):
    """What a source holds: sample shape (C, *S), class names or (), how many files or rows will be read, and its blocks.

    `blocks(i)` makes the blocks from number i on. The i-th block is the same whenever it is made, so that an interrupted
    preparation goes on; training blocks come before test blocks.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    total: int
    blocks: Callable[[int], Iterator[Block]]


def at_once(size: int) -> int:
    """How many samples of so many bytes are held in memory at a time: at least one."""
    return max(1, AT_ONCE // max(1, size))


def block_of(files: int) -> int:
    """How many files make a block: so few that small sets keep all cores busy and show progress, by their number alone."""
    return min(BLOCK, max(8, files // 64))


def in_parallel(tasks: Sequence[Callable[[], Block]]) -> Callable[[int], Iterator[Block]]:
    """The blocks that tasks make on all cores, in their order; few are finished ahead of the one that is asked for."""

    def blocks(start: int) -> Iterator[Block]:
        pool = ThreadPoolExecutor(WORKERS)
        waiting: deque[Future[Block]] = deque()
        try:
            for task in tasks[start:]:
                waiting.append(pool.submit(task))
                if len(waiting) > WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    return blocks
