"""What an array means: pictures or voxels, which axis is the channels, the range of values, labels and splits.

By these rules, in this order. Five axes, one of them a channel axis of 1 (second or last): voxels. Four axes that
hold only 0 and 1, the last three equal: voxels. Four axes, the last being 1, 3 or 4: pictures (N, H, W, C). Four
axes, the second being 1, 3 or 4: pictures (N, C, H, W). Four axes that hold only 0 and 1: voxels. Three axes: grey
pictures.

Values: all within [0, 1] are multiplied by 255, also 0/1 integers; all within [-1, 1] go from black to white; whole
numbers in 0..255 stay; anything else is refused. Voxels hold 0 and 1. Blank voxels (all 0 or all 1) are left out.

Samples are `x_train` and `x_test` with `y_train` and `y_test`, or one array under a usual name or alone in its file
with labels under a usual name. Bits of voxels, `<name>packed` with `shape`, are unpacked. Other numbers, one a sample, are
columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansaku.data import grids
from gansaku.data.content import SPLITS, Block, Bytes, Columns, Content, at_once
from gansaku.data.grids import quarters
from gansaku.data.npy import Array, arrays_in
from gansaku.data.pictures import with_channels
from gansaku.data.policy import Policy
from gansaku.data.resizing import fitted_space, resized
from gansaku.data.splits import held_out
from gansaku.data.tally import Account, Bad, Tally
from gansaku.errors import DataError

Arrays = Mapping[str, Array]
Labels = NDArray[np.int64]


@contextmanager
def content(path: Path, policy: Policy, tally: Tally, *, label: str = "", test: int = 0) -> Iterator[Content]:
    """The samples of an array file; `label` names the array of labels, and the last `test` samples are the test split."""
    with arrays_in(path, tally.source) as arrays:
        yield content_of(arrays, policy, tally, label=label, test=test)


def content_of(arrays: Arrays, policy: Policy, tally: Tally, *, label: str = "", test: int = 0) -> Content:
    """The samples of arrays with names, as an .npz has them."""
    source = tally.source
    parts = sample_arrays(source, arrays)
    values = scanned(parts)
    voxels, axis = meaning(source, parts[0].shape, values)
    scale = scaling(source, values, voxels)
    shape = target_shape(source, parts[0].shape, voxels, axis, policy)
    count = sum(part.shape[0] for part in parts)
    border = parts[0].shape[0] if len(parts) == 2 else count - test
    own, names = label_arrays(arrays, label)
    labels, classes = labels_of(source, [arrays[name] for name in own], arrays.get(names), count)
    if policy.conditional and len(classes) < 2:
        raise DataError(source, "has no labels of two classes or more, which --conditional needs", "DATA_CLASSES")
    columns = columns_of(arrays, count, {*own, names})
    tally.files = count
    tally.more["column_names"] = {name: texts(arrays[f"{name}_names"]) for name in columns if f"{name}_names" in arrays}
    training = np.arange(count) < border
    if policy.held_out and border == count:
        chosen = held_out(map(str, range(count)), policy.held_out)
        training = np.array([str(row) not in chosen for row in range(count)])
    plan = Making(scale, axis, shape, voxels, policy, labels, columns, names_of(arrays, count))

    def made(split: str) -> Iterator[Block]:
        done = 0
        step = at_once(math.prod(shape) * policy.rotations)
        for raw in (raw for part in parts for raw in part.blocks()):
            for start in range(0, len(raw), step):  # samples may come out larger than they went in
                rows = np.arange(done, done + len(raw[start : start + step]))
                done += len(rows)
                where = training[rows] == (split == "train")
                if where.any():
                    yield block(plan, raw[start : start + step][where], rows[where], split)

    def blocks(start: int) -> Iterator[Block]:
        present = [split for split in SPLITS if (training == (split == "train")).any()]
        return islice((block for split in present for block in made(split)), start, None)

    return Content(shape, classes, count, blocks)


class Making(NamedTuple):
    """What the rows of an array go through."""

    scale: Callable[[NDArray[Any]], Bytes]
    axis: int | None
    shape: tuple[int, ...]
    voxels: bool
    policy: Policy
    labels: Labels
    columns: Columns
    names: NDArray[np.str_] | None  # of the samples, where the file has some


def names_of(arrays: Arrays, count: int) -> NDArray[np.str_] | None:
    """The array `names`, where it has a text for each sample."""
    there = arrays.get("names")
    return there.whole() if there is not None and there.shape == (count,) and there.dtype.kind == "U" else None


def block(plan: Making, raw: NDArray[Any], rows: NDArray[np.int64], split: str) -> Block:
    """The samples of these rows of the array."""
    account = Account()
    samples = arranged(plan.scale(raw), plan.axis, plan.policy.background)
    kept = not_blank(samples, rows, account) if plan.voxels else np.ones(len(rows), np.bool_)
    samples = fitted(samples[kept], plan.shape, plan.policy)
    taken, turns = rows[kept], plan.policy.rotations if plan.voxels else 1
    columns = {name: np.repeat(column[taken], turns) for name, column in plan.columns.items()}
    names = [f"row {row}" if plan.names is None else str(plan.names[row]) for row in taken]
    if turns > 1:
        samples = np.stack([grids.turned(grid, quarter)[..., None] for grid in samples[..., 0] for quarter in quarters(turns)])
        columns["turn"] = np.tile(np.array([90 * quarter for quarter in quarters(turns)], np.float32), len(taken))
        names = [grids.turned_name(name, quarter) for name in names for quarter in quarters(turns)]
    return Block(samples, np.repeat(plan.labels[taken], turns), split, columns, names, account, len(rows))


def sample_arrays(source: str, arrays: Arrays) -> list[Array]:
    """The array of samples, or the ones of training and test. Raises DataError when none has a known name."""
    packed = next((name for name in arrays if name.endswith("packed") and "shape" in arrays), None)
    if "x_train" in arrays:
        found = [arrays[name] for name in ("x_train", "x_test") if name in arrays]
    elif packed is not None:
        found = [unpacked(source, arrays[packed], arrays["shape"])]
    else:
        named = [arrays[name] for name in ("x", "data", "images", "arr_0") if name in arrays]
        many = [array for array in arrays.values() if len(array.shape) > 2]
        found = named[:1] or (many if len(many) == 1 else [])
    if not found:
        have = ", ".join(f"{name!r} {array.shape} {array.dtype}" for name, array in arrays.items()) or "no array"
        raise DataError(source, f"has no array of samples named x, data, images, arr_0 or x_train; it holds {have}",
                        "NPY_NAMES")  # fmt: skip
    if any(array.shape[1:] != found[0].shape[1:] for array in found):
        raise DataError(source, f"has x_train {found[0].shape} and x_test {found[1].shape}, samples of two shapes",
                        "NPY_SHAPE")  # fmt: skip
    if min(found[0].shape) < 1:
        raise DataError(source, f"holds an empty array {found[0].shape}", "DATA_EMPTY")
    return found


def unpacked(source: str, packed: Array, shape: Array) -> Array:
    """Voxels of one bit each, (N, bytes) as `np.packbits` makes them, and the (D, H, W) of each. Raises DataError."""
    space = tuple(int(side) for side in shape.whole().reshape(-1)[:4])
    size = math.prod(space)
    if len(space) != 3 or min(space) < 1 or packed.dtype != np.uint8 or packed.shape[1:] != (-(-size // 8),):
        raise DataError(source, f"has bits {packed.shape} {packed.dtype} that do not hold grids of {space}", "NPY_SHAPE")

    def made() -> Iterator[NDArray[Any]]:
        step = at_once(size)
        parts = (rows[start : start + step] for rows in packed.blocks() for start in range(0, len(rows), step))
        return (np.unpackbits(rows, axis=1, count=size).reshape(-1, *space) for rows in parts)

    return Array(source, (packed.shape[0], *space), packed.dtype, made)


class Values(NamedTuple):
    """Of an array: the smallest and largest value, and whether all are whole numbers."""

    low: float
    high: float
    whole: bool

    @property
    def binary(self) -> bool:
        return self.whole and self.low >= 0 and self.high <= 1


def scanned(parts: Sequence[Array]) -> Values:
    """Read everything once for its range. Raises DataError for values that are no finite real numbers."""
    low, high, whole = math.inf, -math.inf, True
    for part in parts:
        if part.dtype.kind not in "buif":
            raise DataError(part.where, f"holds {part.dtype}; samples are numbers", "NPY_TYPE")
        for block in part.blocks():
            if not np.isfinite(block).all():
                raise DataError(part.where, "holds values that are not finite", "IMG_NONFINITE")
            low, high = min(low, float(block.min())), max(high, float(block.max()))
            whole = whole and (block.dtype.kind != "f" or bool((block == np.rint(block)).all()))
    return Values(low, high, whole)


def meaning(source: str, shape: tuple[int, ...], values: Values) -> tuple[bool, int | None]:
    """(voxels or pictures, the channel axis or None) by the rules on top of this file. Raises DataError."""
    if len(shape) == 5 and 1 in (shape[1], shape[4]):
        return True, 1 if shape[1] == 1 else 4
    if len(shape) == 4 and values.binary and shape[1] == shape[2] == shape[3]:
        return True, None
    if len(shape) == 4 and (shape[3] in (1, 3, 4) or shape[1] in (1, 3, 4)):
        return False, 3 if shape[3] in (1, 3, 4) else 1
    if len(shape) == 4 and values.binary:
        return True, None
    if len(shape) == 3:
        return False, None
    raise DataError(source, f"has the shape {shape}; pictures are (N, H, W, C), (N, C, H, W) or (N, H, W) with 1, 3 or 4 "
                    "channels, voxels (N, D, H, W) or (N, 1, D, H, W) of 0 and 1", "NPY_SHAPE")  # fmt: skip


def scaling(source: str, values: Values, voxels: bool) -> Callable[[NDArray[Any]], Bytes]:
    """How these values become uint8. Raises DataError when they are in no known range."""
    low, high, whole = values
    if voxels and not values.binary:
        raise DataError(source, f"is voxels by its shape, but holds values from {low:g} to {high:g}; voxels are 0 or 1, "
                        "so cut them at a threshold first", "VOX_VALUE")  # fmt: skip
    if voxels or (whole and low >= 0 and 1 < high <= 255):
        return lambda block: block.astype(np.uint8)
    if low >= 0 and high <= 1:
        return lambda block: np.rint(block.astype(np.float64) * 255).astype(np.uint8)
    if low >= -1 and high <= 1:
        return lambda block: np.rint((block.astype(np.float64) + 1) * 127.5).astype(np.uint8)
    raise DataError(source, f"holds {'' if whole else 'fractional '}values from {low:g} to {high:g}; pictures are whole "
                    "numbers in 0..255, or within [0, 1] or [-1, 1]", "IMG_RANGE")  # fmt: skip


def target_shape(source: str, shape: tuple[int, ...], voxels: bool, axis: int | None, policy: Policy) -> tuple[int, ...]:
    """The sample shape (C, *S) by the policy. Raises DataError when voxels cannot take its size."""
    space = tuple(side for place, side in enumerate(shape) if place not in (0, axis))
    if not voxels:
        channels = 1 if axis is None else min(3, shape[axis])
        channels = policy.channels if isinstance(policy.channels, int) else channels
        return (channels, *fitted_space(space[0], space[1], policy))
    if untouched(policy):
        return (1, *space)
    try:
        return (1, *grids.fitted_space((space[0], space[1], space[2]), policy))
    except Bad as bad:
        raise DataError(source, bad.sentence, bad.code) from bad


def arranged(block: Bytes, axis: int | None, background: tuple[int, int, int]) -> Bytes:
    """The channel axis last, (n, *S, C); four channels composited on the background."""
    block = block[..., None] if axis is None else np.moveaxis(block, axis, -1)
    if block.shape[-1] != 4:
        return block
    colour, alpha = block[..., :3].astype(np.uint32), block[..., 3:].astype(np.uint32)
    behind = np.array(background, np.uint32)
    return ((colour * alpha + behind * (255 - alpha) + 127) // 255).astype(np.uint8)


def fitted(samples: Bytes, shape: tuple[int, ...], policy: Policy) -> Bytes:
    """(n, *S, C) in another size and number of channels."""
    if len(shape) == 4 and untouched(policy):
        return samples
    if len(shape) == 4:
        made = [grids.fitted(grid, policy)[..., None] for grid in samples[..., 0]]
    else:
        space = (shape[1], shape[2])
        made = [with_channels(resized(sample, space, policy), shape[0]) for sample in samples]
    return np.stack(made) if made else np.empty((0, *shape[1:], shape[0]), np.uint8)


def untouched(policy: Policy) -> bool:
    """Whether voxels stay as they are."""
    return policy.size is None and not policy.double and policy.pad in (0, (0, 0))


def not_blank(samples: Bytes, rows: NDArray[np.int64], account: Account) -> NDArray[np.bool_]:
    """(n,) which voxels are neither all empty nor all full; the others are counted under their row's number."""
    flat = samples.reshape(len(samples), -1)
    full = flat.sum(axis=1, dtype=np.int64)
    kept: NDArray[np.bool_] = (full > 0) & (full < flat.shape[1])
    for row in rows[~kept]:
        account.skip(f"row {row}", Bad("is blank: all empty or all full", "VOX_BLANK"))
    return kept


def label_arrays(arrays: Arrays, label: str) -> tuple[list[str], str]:
    """The names of the arrays of labels, in the order of the splits, and of their classes' names; none, "" where absent."""
    if "x_train" in arrays:
        label, own = "y", [f"y_{split}" for split in SPLITS if f"x_{split}" in arrays]
    else:
        label = label or next((name for name in ("y", "labels", "label") if name in arrays), "")
        own = [label]
    names = next((name for name in (f"{label}_names", "class_names", "classes") if name in arrays), "")
    there = [name for name in own if name in arrays]
    if there and len(there) < len(own):
        missing = next(name for name in own if name not in arrays)
        raise DataError(arrays[there[0]].where, f"has labels for one split and no {missing} for the other", "LABELS")
    return there, names


def labels_of(source: str, own: Sequence[Array], names: Array | None, count: int) -> tuple[Labels, tuple[str, ...]]:
    """Labels 0..K-1 and K names. Without names, the different values in their order are the classes.

    A single class is none: the data are unlabelled. Raises DataError for labels that do not fit.
    """
    if not own:
        return np.zeros(count, np.int64), ()
    found = np.concatenate([array.whole().reshape(-1) for array in own])
    if found.shape != (count,):
        raise DataError(source, f"has {found.size:,} labels for {count:,} samples", "LABELS")
    if found.dtype.kind == "f" and not (found == np.rint(found)).all():
        raise DataError(source, "has labels that are not whole numbers", "LABELS")
    if found.dtype.kind in "uf" and (np.abs(found.astype(np.float64)) >= 2**62).any():
        raise DataError(source, "has labels that are too large to be numbers of classes", "LABELS")
    found = found.astype(np.int64) if found.dtype.kind in "buif" else found.astype(str)
    if names is not None and found.dtype.kind == "i":
        classes = texts(names)
        if len(set(classes)) < len(classes) or len(names.shape) != 1:
            raise DataError(source, "has class names that are no list of different texts", "LABELS")
        if found.min() < 0 or found.max() >= len(classes):
            raise DataError(source, f"has labels from {found.min()} to {found.max()} and {len(classes)} class names",
                            "LABELS")  # fmt: skip
        return found, tuple(classes)
    different, labels = np.unique(found, return_inverse=True)
    if len(different) < 2:
        return np.zeros(count, np.int64), ()
    return labels.astype(np.int64), tuple(str(value) for value in different)


def columns_of(arrays: Arrays, count: int, besides: set[str]) -> Columns:
    """The other arrays of one number a sample."""
    return {
        name: array.whole().astype(np.float32)
        for name, array in arrays.items()
        if array.shape == (count,) and array.dtype.kind in "buif" and name not in besides and "/" not in name
    }


def texts(names: Array) -> list[str]:
    return [str(name) for name in names.whole()]
