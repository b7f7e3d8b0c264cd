"""Many voxel files to one kind of sample: which files count, how they stand, their common size, their classes.

A file is a grid: `.binvox`; a mesh (`.off .obj .stl .ply .glb`); ModelNet's `.mat`; `.h5` with one grid under `data`;
`.npy`. Of files that are the same but for their endings, as ShapeNet has them, one is taken: a `.binvox` rather than a
mesh, and of `x.solid.binvox` and `x.surface.binvox` the one that the policy asks for.

How they stand, where the policy does not say: in `.off` z points up and in other meshes and `.binvox` y, in `.h5` the
second axis; `.mat` are turned by a quarter, so that ModelNet's models face the front; `.npy` are taken as they are.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import IO, NamedTuple

import numpy as np

from gansaku.data import binvox, hdf5, matlab, meshes
from gansaku.data.content import SPLITS, WORKERS, Block, Bytes, Columns, Content, at_once, block_of, in_parallel
from gansaku.data.grids import Space, binary, fitted, fitted_space, one_grid, quarters, standing, turned, turned_name
from gansaku.data.layouts import places
from gansaku.data.npy import read_head
from gansaku.data.picture_sets import SUFFIXES as PICTURES
from gansaku.data.picture_sets import class_names, with_held_out
from gansaku.data.policy import Policy
from gansaku.data.store import sides
from gansaku.data.tally import Account, Bad, Damaged, Note, Tally, unreadable
from gansaku.data.tree import Entry, Tree, checked, hidden, suffix
from gansaku.errors import DataError, UsageError

SUFFIXES = frozenset({".binvox", ".h5", ".hdf5", ".npy", ".mat", *meshes.SUFFIXES})
LARGEST_FILE = (1 << 28) + (1 << 20)  # bytes: 512^3 voxels in runs of one, or as uint8
NPY_HEAD = 1 << 16  # bytes
NUMBERED = re.compile(r"((?:.*/)?)\d+/((?:train|test)/[^/]+\.mat)")  # ModelNet: <class>/30/train/<file>.mat


class Item(NamedTuple):
    """A file that will be read, its class (a number), and the split it belongs to."""

    entry: Entry
    split: str
    label: int


def holds_voxels(tree: Tree) -> bool:
    """Whether a source is voxels: it has voxel files and no pictures, but those that ShapeNet keeps beside a model."""
    names = [name for name in tree.names if not hidden(name)]
    voxels = [name for name in names if suffix(name) in SUFFIXES]
    models = {name.rsplit("/", 2)[0] for name in voxels if f"/{name}".rsplit("/", 2)[1] == "models" and name.count("/") > 1}
    beside = (name.rsplit("/", 2)[0] in models for name in names if suffix(name) in PICTURES)
    return bool(voxels) and all(beside)


@contextmanager
def content(tree: Tree, policy: Policy, tally: Tally) -> Iterator[Content]:
    """Headers of all first, so that all bad files and the common size are told at once; voxels as the blocks are asked for.

    Raises DataError when sizes differ (VOX_SIZES), UsageError when the policy leaves no voxel or trimesh is missing.
    """
    entries = checked(tree, wanted(tree, policy, tally), tally)
    tally.files = len(entries) + tally.bad
    if any(suffix(entry.name) in meshes.SUFFIXES for entry in entries):
        check_meshes(tally.source, policy)
    good, spaces = readable(entries, policy, tally)
    tally.check()
    if not good:
        raise tally.nothing_left()
    names = [entry.name for entry in good]
    found = places(tally.source, without_numbers(names, tree), tree, policy.layout, tally)
    classes = class_names(found, tree, names, None, policy, tally)
    numbers = {label: number for number, label in enumerate(classes)}
    shape = (1, *common_space(tally.source, spaces))
    tally.more["formats"] = dict(Counter(suffix(name).removeprefix(".") for name in names).most_common())
    items = [Item(entry, place.split, numbers[place.label] if numbers else 0)
             for entry, place in zip(good, with_held_out(good, found, policy), strict=True)]  # fmt: skip
    step = min(block_of(len(items)), at_once(math.prod(shape) * policy.rotations))
    tasks = []
    for split in SPLITS:
        queue = [item for item in items if item.split == split]
        tasks += [partial(block, policy, shape, queue[at : at + step], split) for at in range(0, len(queue), step)]
    yield Content(shape, classes, len(items), in_parallel(tasks))


def wanted(tree: Tree, policy: Policy, tally: Tally) -> list[str]:
    """The names of the files that are samples, one of each object. Counts the others as ignored."""
    chosen: dict[str, str] = {}
    for name in tree.names:
        if hidden(name) or suffix(name) not in SUFFIXES:
            continue
        thing = name[: -len(suffix(name))].removesuffix(".solid").removesuffix(".surface")
        if thing not in chosen or rank(name, policy) < rank(chosen[thing], policy):
            chosen[thing] = name
    tally.ignored += len(tree.names) - len(chosen)
    kept = set(chosen.values())
    return [name for name in tree.names if name in kept]


def rank(name: str, policy: Policy) -> int:
    """The lowest is taken of files that are the same but for their endings."""
    if suffix(name) == ".binvox":
        return 0 if name.endswith(f".{policy.mesh}.binvox") else 1
    return 3 if suffix(name) in meshes.SUFFIXES else 2


def without_numbers(names: Sequence[str], tree: Tree) -> list[str]:
    """The names for `layouts`: ModelNet's `chair/30/train/x.mat` as `chair/train/x.mat`."""
    if tree.labels or not all(NUMBERED.fullmatch(name) for name in names):
        return [*names]
    return [NUMBERED.sub(r"\1\2", name) for name in names]


def check_meshes(source: str, policy: Policy) -> None:
    """Raises DataError or UsageError when meshes cannot become voxels by this policy, or here."""
    meshes.reader()
    if policy.side is None:
        raise DataError(source, "holds meshes, which have no number of voxels; give --size 64, or 32", "VOX_SIZES")
    if mesh_side(policy) < 1:
        raise UsageError("--pad", f"of {policy.pad} leaves no voxel of a size of {policy.side}", "RANGE")


def mesh_side(policy: Policy) -> int:
    """The side at which a mesh is made voxels, so that doubling and padding bring it to the policy's size."""
    low, high = (policy.pad, policy.pad) if isinstance(policy.pad, int) else policy.pad
    return ((policy.side or 0) - low - high) // (2 if policy.double else 1)


def readable(entries: Sequence[Entry], policy: Policy, tally: Tally) -> tuple[list[Entry], list[Space]]:
    """The entries whose headers can be used, with the size that each will have; the others are skipped."""
    good: list[Entry] = []
    spaces: list[Space] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for entry, space in zip(entries, pool.map(partial(space_of, policy), entries), strict=True):
            if isinstance(space, Bad):
                tally.skip(entry.name, space)
            else:
                good.append(entry)
                spaces.append(space)
    return good, spaces


def space_of(policy: Policy, entry: Entry) -> Space | Bad:
    """The size of the sample that a file will give, or why it cannot be used. Little more than its header is read."""
    try:
        if entry.size > LARGEST_FILE:
            raise Bad(f"is a file of {entry.size:,} bytes; at most {LARGEST_FILE:,} are read", "FILE_LARGE")
        with entry.open() as stream:
            return fitted_space(space_in(stream, entry, policy), policy)
    except Bad as bad:
        return bad
    except Damaged as error:
        return unreadable(error)


def space_in(stream: IO[bytes], entry: Entry, policy: Policy) -> Space:
    """The size of the grid in a file, in the store's axes. Raises Bad."""
    ending, up = suffix(entry.name), upwards(entry.name, policy)
    if ending in meshes.SUFFIXES:
        return (mesh_side(policy),) * 3
    if ending == ".binvox":
        x, z, y = binvox.header(stream.read(binvox.LARGEST_HEADER)).shape
        return (x, z, y) if up == "y" else (x, y, z)
    if ending in (".h5", ".hdf5"):
        return hdf5.sample_space(stream, entry.size, up)
    if ending == ".npy":
        x, y, z = one_grid(npy_head(stream.read(NPY_HEAD))[0])
        return (x, z, y) if up == "y" else (x, y, z)
    d, h, w = grid_in(stream.read(), entry.name, policy)[0].shape
    return d, h, w


def upwards(name: str, policy: Policy) -> str:
    """Which of a file's axes points up; "" for arrays that are taken as they are."""
    if policy.up != "auto":
        return policy.up
    return {".off": "z", ".mat": "", ".npy": ""}.get(suffix(name), "y")


def grid_in(content: bytes, name: str, policy: Policy) -> tuple[Bytes, tuple[Note, ...]]:
    """(D, H, W) of 0/1 in the store's axes, and what was peculiar about the file. Raises Bad."""
    ending, up = suffix(name), upwards(name, policy)
    if ending == ".binvox":
        found = binvox.read(content)
        return binvox.up(found.grid, up), found.notes
    if ending in meshes.SUFFIXES:
        return meshes.voxelized(content, ending, mesh_side(policy), policy.mesh == "solid", up), ()
    if ending in (".h5", ".hdf5"):
        return hdf5.sample(content, up), ()
    if ending == ".npy":
        return standing(npy_grid(content), up), ()
    grid = matlab.read(content)
    return (standing(grid, up) if up else turned(grid, 1)), ()


def npy_grid(content: bytes) -> Bytes:
    """The grid in an .npy file, in its own axes. Raises Bad."""
    shape, fortran, kind, start = npy_head(content)
    if len(content) - start < math.prod(shape) * kind.itemsize:
        raise Bad(f"ends before the {sides(shape)} values that its header promises; copy or download it again", "NPY_SHORT")
    space = one_grid(shape)
    values = np.frombuffer(content, kind, math.prod(shape), start)
    return binary(values.reshape(shape, order="F" if fortran else "C").reshape(space))


def npy_head(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """(shape, fortran order, dtype, where the values begin). Raises Bad for what is no .npy, and for Python objects."""
    stream = io.BytesIO(content)
    try:
        shape, fortran, kind = read_head(stream)
    except Damaged as error:
        raise Bad(f"is no .npy file ({error}); copy or download it again", "NPY_CORRUPT") from error
    if kind.hasobject:
        raise Bad("holds Python objects, which are not loaded; save plain numbers", "NPY_OBJECT")
    if kind.kind not in "buif":
        raise Bad(f"holds {kind}; voxels are numbers, 0 or 1", "NPY_TYPE")
    return shape, fortran, kind, stream.tell()


def common_space(source: str, spaces: Sequence[Space]) -> Space:
    """The size that all grids come to. Raises DataError when they differ."""
    if len(set(spaces)) == 1:
        return spaces[0]
    small, large = min(spaces, key=math.prod), max(spaces, key=math.prod)
    raise DataError(source, f"has grids of {len(set(spaces))} sizes, from {sides(small)} to {sides(large)}; give --size "
                    f"{max(small)}, or another", "VOX_SIZES")  # fmt: skip


def block(policy: Policy, shape: tuple[int, ...], items: Sequence[Item], split: str) -> Block:
    """The samples of these files; what cannot be used is in the account."""
    account, every = Account(), quarters(policy.rotations)
    grids: list[Bytes] = []
    names: list[str] = []
    labels: list[int] = []
    for item in items:
        grid = sample_of(policy, item.entry, account)
        if grid is None:
            continue
        for quarter in every:
            grids.append(turned(grid, quarter))
            names.append(turned_name(item.entry.name, quarter))
            labels.append(item.label)
    stacked = np.stack(grids)[..., None] if grids else np.empty((0, *shape[1:], 1), np.uint8)
    turns = np.tile(np.array([90 * quarter for quarter in every], np.float32), len(grids) // len(every))
    columns: Columns = {"turn": turns} if len(every) > 1 else {}
    return Block(stacked, np.array(labels, np.int64), split, columns, names, account, len(items))


def sample_of(policy: Policy, entry: Entry, account: Account) -> Bytes | None:
    """The grid of a file at the size of the policy, or None, with the reason in the account."""
    try:
        with entry.open() as stream:
            grid, notes = grid_in(stream.read(), entry.name, policy)
        if blank(grid):
            raise Bad("is blank: all empty or all full", "VOX_BLANK")
        made = fitted(grid, policy)
        if blank(made):
            raise Bad(f"is blank at {sides(made.shape)}: all empty or all full; --resample any keeps thin parts", "VOX_BLANK")
    except Bad as bad:
        account.skip(entry.name, bad)
        return None
    except Damaged as error:
        account.skip(entry.name, unreadable(error))
        return None
    for note in notes:
        account.note(entry.name, note)
    if made.shape != grid.shape:
        account.convert(f"{sides(grid.shape)} to {sides(made.shape)} voxels")
    return made


def blank(grid: Bytes) -> bool:
    """Whether nothing or everything is occupied."""
    return bool(grid.all()) or not grid.any()
