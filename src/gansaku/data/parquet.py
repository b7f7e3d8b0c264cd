"""Parquet files with pictures, as Hugging Face's datasets are published: each row a file of its own.

The pictures are a column `image` (or `img`, `picture`, or the only one that fits) of the files' bytes, or of structs with
`bytes`; the classes a column `label`, `labels`, `fine_label` or `class`: numbers, by the names that the metadata state, or
text. The split is in the file's name or its folder's: `train-00000-of-00004.parquet`, `test/0000.parquet`. Rows are named
`<split>/<row>.png`, counted through all files of a split, with the ending that fits the bytes. Nothing is downloaded.

A row group is decoded a few rows at a time. To come to a row in its middle, those before it are decoded again, so a few
places in a file are kept open for readers that move forward. Needs pyarrow: `pip install 'gansaku[parquet]'`.
"""

from __future__ import annotations

import io
import json
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from gansaku.data.layouts import SPLIT_OF
from gansaku.data.tally import Bad, Damaged, Tally
from gansaku.data.tree import BOMB, MOST_ENTRIES, Entry, Tree, natural
from gansaku.errors import DataError, UsageError

PICTURES = ("image", "img", "picture", "images")
LABELS = ("label", "labels", "fine_label", "class")
KEPT = 1 << 26  # bytes of decoded rows that stay in memory, and that are decoded together
ROWS = 64  # decoded together at most
PLACES = 12  # from which readers go on
KINDS = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif",
         b"MM\0*": ".tif"}  # fmt: skip


@contextmanager
def in_parquet(paths: Sequence[Path], tally: Tally) -> Iterator[Tree]:
    """The rows of all files as one tree. Raises DataError for what is no such file, UsageError where pyarrow is missing."""
    with ExitStack() as opened:
        shards = [opened.enter_context(shard(path)) for path in paths]
        if sum(one.starts[-1] for one in shards) > MOST_ENTRIES:
            raise DataError(tally.source, f"has more than {MOST_ENTRIES:,} rows; prepare it in parts", "PARQUET_ROWS")
        splits = [split_of(path) for path in paths]
        if "train" not in splits:  # a lone test split is all there is
            splits = ["train"] * len(paths)
        places: dict[str, tuple[Shard, int, int]] = {}
        labels: dict[str, str] = {}
        counts = dict.fromkeys(("", *splits), 0)
        for one, split in zip(shards, (split or "train" for split in splits), strict=True):
            for row, (content, label) in enumerate(listed(one)):
                name = f"{split}/{counts[split]}{ending(content)}"
                counts[split] += 1
                places[name] = (one, row, -1 if content is None else len(content))
                if label is not None:
                    labels[name] = label
        reader = Reader()

        def entry(name: str) -> Entry:
            one, row, size = places[name]
            if size < 0:
                raise Bad("is a row without a picture's bytes; store the pictures in the file, not their paths", "PARQUET_PATH")
            return Entry(name, size, 0, lambda: io.BytesIO(reader.row(one, row)))

        classes = list(dict.fromkeys(name for one in shards for name in one.names))
        yield Tree(sorted(places, key=natural), entry, (), labels, classes)


def split_of(path: Path) -> str:
    """The split in the name of the file, else of its folder, in the publisher's word; "" if there is none."""
    for name in (path.stem, path.parent.name):
        words = [word for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_OF]
        if words:
            return "train" if SPLIT_OF[words[0]] == "train" else words[0]
    return ""


def ending(content: bytes | None) -> str:
    """The ending of a picture's name by its first bytes."""
    return next((kind for start, kind in KINDS.items() if content is not None and content.startswith(start)), ".png")


@dataclass(frozen=True)
class Shard:
    """An opened file: its columns, the number of its row at which each row group starts, and how many are decoded at once."""

    where: str
    file: Any  # pyarrow.parquet.ParquetFile
    picture: str
    label: str
    names: Sequence[str]  # of the classes; () if not stated
    starts: Sequence[int]  # and the number of rows as the last
    steps: Sequence[int]

    def batches(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of a group, some at a time. Raises ValueError when they are damaged."""
        from pyarrow import ArrowException

        try:
            step, rows = self.steps[group], self.starts[group + 1] - self.starts[group]
            done = 0
            for batch in self.file.iter_batches(step, row_groups=[group], columns=list(columns), use_threads=False):
                if len(batch) != min(step, rows - done):
                    raise ValueError(f"row group {group} has other rows than it says")
                done += len(batch)
                yield batch
            if done != rows:
                raise ValueError(f"row group {group} has {done:,} of {rows:,} rows")
        except (ArrowException, OSError, KeyError, MemoryError) as error:
            raise ValueError(str(error).partition("\n")[0]) from error


@contextmanager
def shard(path: Path) -> Iterator[Shard]:
    """The file, open while the context lasts. Raises DataError for what is no Parquet file or has no pictures."""
    where = str(path)
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UsageError(where, "needs pyarrow: `pip install 'gansaku[parquet]'`", "EXTRA") from error
    try:
        file = ParquetFile(path, pre_buffer=False, buffer_size=1 << 16)
    except (ArrowException, *Damaged) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(where, f"is no Parquet file, or cut short ({reason}); download it again", "PARQUET_CORRUPT") from error
    with file:
        try:
            schema, (starts, steps) = file.schema_arrow, groups(file.metadata, path.stat().st_size)
        except (ArrowException, *Damaged) as error:
            raise DataError(where, f"is damaged ({error}); download it again", "PARQUET_CORRUPT") from error
        picture, label = picture_column(schema, where), label_column(schema)
        yield Shard(where, file, picture, label, class_names(schema.metadata or {}, label), starts, steps)


def groups(metadata: Any, size: int) -> tuple[list[int], list[int]]:
    """At which row each group starts, with the number of all rows, and how many rows of each are decoded together.

    So many that `KEPT` bytes hold them even if all were the longest value of the group, which a dictionary of values can
    repeat in no space. Only the group is asked: pyarrow ends the whole process where a column's own statistics are damaged
    and its metadata are looked at. Raises ValueError when a file of `size` bytes cannot hold what it says.
    """
    starts, steps = [0], []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.num_rows < 0 or not 0 <= group.total_byte_size <= max(16 * BOMB[0], BOMB[1] * size):
            raise ValueError(f"row group {number} says {group.num_rows:,} rows in {group.total_byte_size:,} bytes")
        starts.append(starts[-1] + group.num_rows)
        steps.append(min(ROWS, max(1, KEPT // max(1, group.total_byte_size))))
    return starts, steps


def picture_column(schema: Any, where: str) -> str:
    """The name of the column of pictures. Raises DataError when none or several may be it."""
    from pyarrow import types

    def fits(kind: Any) -> bool:
        if types.is_struct(kind):
            return any(kind[place].name == "bytes" and fits(kind[place].type) for place in range(kind.num_fields))
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    found = [field.name for field in schema if fits(field.type)]
    named = [name for name in PICTURES if name in found]
    if len(found) != 1 and not named:
        have = ", ".join(f"{field.name!r} {field.type}" for field in list(schema)[:10]) or "none"
        raise DataError(where, f"has no column of pictures named {', '.join(PICTURES)}, of bytes or structs with bytes; its "
                        f"columns are {have}", "PARQUET_COLUMNS")  # fmt: skip
    return (named or found)[0]


def label_column(schema: Any) -> str:
    """The name of the column of classes; "" if there is none."""
    from pyarrow import types

    def fits(kind: Any) -> bool:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind))

    found = {field.name: field.type for field in schema}
    return next((name for name in LABELS if name in found and fits(found[name])), "")


def class_names(metadata: Mapping[bytes, bytes], label: str) -> Sequence[str]:
    """The names of the classes by the metadata that Hugging Face's datasets writes."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return ()
    return [str(name) for name in names] if isinstance(names, list) else ()


def listed(one: Shard) -> Iterator[tuple[bytes | None, str | None]]:
    """The bytes and the class of each row, either None where the row has none. Raises DataError when the file is damaged."""
    total, size = 0, sum(one.file.metadata.row_group(group).total_byte_size for group in range(len(one.steps)))
    try:
        for group in range(len(one.steps)):
            for batch in one.batches(group, [one.picture, one.label] if one.label else [one.picture]):
                values = batch.column(one.label).to_pylist() if one.label else [None] * len(batch)
                for content, value in zip(contents(batch.column(one.picture)), values, strict=True):
                    total += len(content or b"")
                    if total > max(16 * BOMB[0], BOMB[1] * size):
                        raise ValueError("it unpacks to far more than it says, as a bomb does")
                    yield content, class_of(value, one.names, one.where)
    except Damaged as error:
        raise DataError(one.where, f"is damaged ({error}); download it again", "PARQUET_CORRUPT") from error


def contents(column: Any) -> list[bytes | None]:
    """The bytes in a column of pictures."""
    values = column.to_pylist()
    return [value.get("bytes") if isinstance(value, dict) else value for value in values]


def class_of(value: Any, names: Sequence[str], where: str) -> str | None:
    """The name of a class; None for -1 or nothing, as test sets have. Raises DataError for a number beyond the names."""
    if value is None or (isinstance(value, int) and value < 0):
        return None
    if isinstance(value, int) and names:
        if value >= len(names):
            raise DataError(where, f"has the label {value} and {len(names)} class names", "LABELS")
        return names[value]
    return str(value)


class Reader:
    """Rows by their numbers, for many threads: the last rows that were decoded are kept, and places to go on from."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.kept: OrderedDict[tuple[str, int, int], list[bytes | None]] = OrderedDict()
        self.size = 0
        self.places: OrderedDict[tuple[str, int, int], Iterator[Any]] = OrderedDict()  # (file, group, next batch)

    def row(self, one: Shard, row: int) -> bytes:
        """The bytes of a row that has some. Raises ValueError when the file was damaged meanwhile."""
        group = bisect_right(one.starts, row) - 1
        number, place = divmod(row - one.starts[group], one.steps[group])
        with self.lock:
            return self.batch(one, group, number)[place] or b""

    def batch(self, one: Shard, group: int, number: int) -> list[bytes | None]:
        key = (one.where, group, number)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        behind = [at for at in self.places if at[:2] == key[:2] and at[2] <= number]
        at = max(behind, default=(*key[:2], 0))
        going = self.places.pop(at, None) or one.batches(group, [one.picture])
        for passed in range(at[2], number + 1):
            found = contents(next(going).column(one.picture))
            self.keep((*key[:2], passed), found)
        self.places[(*key[:2], number + 1)] = going
        if len(self.places) > PLACES:
            self.places.popitem(last=False)
        return found

    def keep(self, key: tuple[str, int, int], rows: list[bytes | None]) -> None:
        if key in self.kept:
            return
        self.kept[key] = rows
        self.size += sum(len(row or b"") for row in rows)
        while self.size > KEPT and len(self.kept) > 1:
            _, old = self.kept.popitem(last=False)
            self.size -= sum(len(row or b"") for row in old)
