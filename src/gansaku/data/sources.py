"""The one door to data: `open_data(SOURCE)`, where SOURCE is a folder or an archive, an array file, a store or a word.

Everything but a store is prepared into a store in the cache, under a name made of what identifies its content: so a
second call only opens it, and a changed source is prepared again. What a source means is said in `layouts` and `arrays`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gansaku import files
from gansaku.cache import cache_folder
from gansaku.data import (
    arrays,
    boxes,
    bundled,
    faces,
    hdf5,
    parquet,
    picture_sets,
    preparation,
    stylegan,
    tars,
    tree,
    voxel_sets,
)
from gansaku.data.content import SPLITS, Block, Content, Progress, at_once
from gansaku.data.cuts import Cutter
from gansaku.data.destinations import check_destination
from gansaku.data.exports import export
from gansaku.data.originals import originals
from gansaku.data.pieces import in_use
from gansaku.data.policy import Policy, Size, policy
from gansaku.data.splits import held_out
from gansaku.data.store import Dataset, is_store, open_store, sides
from gansaku.data.tally import MAX_BAD, Bad, Tally, check_share
from gansaku.data.tree import Tree
from gansaku.errors import DataError, UsageError, nearest

PREPARATION = 3  # to be raised when the same source would give other samples
WORDS = ("avatars", "chairs")
SUPPORTED = (
    "a folder, .zip or .tar of pictures or voxels, .parquet, .npz, .npy, .npy.gz, .h5, the original files of CIFAR or MNIST, "
    "or the words avatars and chairs"
)
CHAIRS = 2000
SAMPLES = picture_sets.SUFFIXES | voxel_sets.SUFFIXES | {".tar", ".parquet"}


def open_data(
    source: str,
    size: Size = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    max_bad: float = MAX_BAD,
    **choices: Any,
) -> Dataset:
    """The dataset that SOURCE names, prepared if it was not before; `size` resizes pictures, `choices` are a Policy's.

    `avatars` and `chairs` are always the bundled sets; a folder of that name is `./avatars`. `progress(done, total)`
    is called while samples are prepared. Raises DataError for what cannot be used, Stopped when more than `max_bad`
    of the files are bad or none is good.
    """
    if own_store(source):
        refuse_choices(source, choices, "it is prepared already")
        return replace(of_size(open_store(Path(source)), size), again=str(Path(source).resolve()))
    chosen = policy(size, max_bad, **choices)
    plan = planned(source, chosen)
    key = hashlib.sha256(json.dumps(plan.identity).encode()).hexdigest()[:20]
    folder = cache or cache_folder()
    target = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', plan.name)[:40]}-{key}.h5"
    if target.is_file():
        with suppress(DataError):  # damaged in the cache: prepared again
            dataset = open_store(target)
            check(dataset, max_bad)
            return dataset
    sweep_old(folder)
    return carried_out(plan, target, chosen, progress)


def check(dataset: Dataset, max_bad: float) -> None:
    """Raises Stopped when more of the source was bad than is allowed now."""
    bad = dataset.report.get("bad", 0)
    check_share(dataset.source, bad, dataset.report["files"], max_bad, dataset.report["examples"][:3])


def prepare(
    source: str,
    destination: Path,
    chosen: Policy = Policy(),  # noqa: B008 - frozen
    progress: Progress | None = None,
    *,
    shard: int | None = None,
    form: str | None = None,
    cache: Path | None = None,
) -> Dataset:
    """Prepare SOURCE into a store of that name, whole or not at all; or write it out in another form (see `exports`).

    `shard` is how many bytes of samples a file may hold. Raises as `open_data`.
    """
    check_destination(source, destination, form)
    files.sweep_exports(destination)
    if destination.suffix.lower() != ".h5" or form is not None:
        choices = {name: getattr(chosen, name) for name in chosen.identity if name != "size"}
        dataset = open_data(source, chosen.size, cache, progress, chosen.max_bad, **choices)
        export(dataset, destination, form, progress or (lambda done, total: None))
        return dataset
    if own_store(source):
        open_store(Path(source))  # raises for what is no HDF5 at all
        raise DataError(source, "is prepared already; give what it was made from, or another destination than .h5", "DATA_TYPE")
    plan = planned(source, chosen)
    # the name alone: the same source gives the same bytes wherever it lies, and a file that is passed on tells no home
    return carried_out(plan._replace(origin=Path(plan.origin).name), destination, chosen, progress, shard)


def refuse_choices(source: str, choices: Mapping[str, Any], why: str) -> None:
    """Raises UsageError for choices that would do nothing, and yet be written down as if they had."""
    for name in choices:
        raise UsageError(f"--{name.replace('_', '-')}", f"does nothing to {source!r}, since {why}; leave it out", "FLAG")


def own_store(source: str) -> bool:
    """Whether the source is a store of this program."""
    path = Path(source)
    try:
        return path.suffix.lower() in (".h5", ".hdf5") and path.is_file() and is_store(path)
    except OSError:  # a name that is too long
        return False


class Plan(NamedTuple):
    """How a source will be prepared. `identity` is JSON that changes whenever its content may have."""

    name: str
    origin: str  # what would find the source again from anywhere
    identity: Any
    tally: Tally
    content: Callable[[], AbstractContextManager[Content]]


def planned(source: str, chosen: Policy) -> Plan:
    """Look at the source as far as its content must be identified. Raises DataError for what is not supported."""
    tally = Tally(source=source, max_bad=chosen.max_bad)

    def plan(name: str, origin: str, identity: Any, content: Callable[[], AbstractContextManager[Content]]) -> Plan:
        beside = [stamps(chosen.boxes)] if chosen.boxes else []
        beside += [faces.identity(chosen.faces)] if chosen.faces else []
        return Plan(name, origin, [PREPARATION, chosen.identity, beside, identity], tally, content)

    if source in WORDS or source.lower().endswith((".npz", ".npy", ".npy.gz", ".hdf5", ".h5")):
        cutting = {name: value for name, value in chosen.identity.items() if name in ("boxes", "faces", "objects", "frames")}
        refuse_choices(source, cutting, "it holds no files of pictures")
    if source == "chairs":
        refuse_choices(
            source,
            {name: value for name, value in chosen.identity.items() if name not in ("size", "held_out", "dedupe")},
            "the chairs are made as they are; prepare them into a folder of files first",
        )
        return plan(source, source, [bundled.CHAIRS_VERSION, CHAIRS], partial(chairs, chosen, tally))
    if source == "avatars":
        path = bundled.avatars_file()
        content = partial(arrays.content, path, chosen, tally, label="hair", test=1000)
        return plan(source, source, [source, stamp(path.stat())], content)
    path = Path(source)
    status = status_of(path, source)
    # a link keeps its own name, so that whoever trains on it and whoever goes on with the run mean one dataset
    origin, name = str(path.parent.resolve() / path.name if path.name else path.resolve()), path.name.lower()
    if stat.S_ISDIR(status.st_mode):
        listed = tree.in_folder(path, tally)
        folders = list(listed.folders) if chosen.keep_empty else []
        return plan(
            Path(origin).name, origin, [origin, contents(listed), folders], partial(of_folder, path, listed, chosen, tally)
        )
    if not stat.S_ISREG(status.st_mode):
        raise DataError(source, "is a device, pipe or socket; give " + SUPPORTED, "NOT_REGULAR")
    for ending, opener in ARCHIVES.items():
        if name.endswith(ending):
            whole = partial(of_tree, partial(opener, path, tally), chosen, tally)
            return plan(path.name[: -len(ending)] or path.name, origin, [origin, stamp(status)], whole)
    if name.endswith((".npz", ".npy", ".npy.gz")):
        content = partial(arrays.content, path, chosen, tally)
        return plan(path.name.split(".")[0], origin, [origin, stamp(status)], content)
    if name.endswith((".h5", ".hdf5")):
        return plan(path.stem, origin, [origin, stamp(status)], partial(foreign, path, chosen, tally))
    if path.suffix.lower() in picture_sets.SUFFIXES and (chosen.faces or chosen.boxes or chosen.frames == "all"):
        alone = partial(of_tree, lambda: nullcontext(tree.of_file(path)), chosen, tally)
        return plan(path.stem, origin, [origin, stamp(status)], alone)
    if path.suffix.lower() in picture_sets.SUFFIXES | voxel_sets.SUFFIXES:
        raise DataError(source, "is one sample; give the folder that holds all of them", "DATA_TYPE")
    raise DataError(source, f"is of a type that is not supported ({path.suffix or 'no suffix'}); give {SUPPORTED}",
                    "DATA_TYPE")  # fmt: skip


ARCHIVES: dict[str, Callable[[Path, Tally], AbstractContextManager[Tree]]] = {
    ".zip": tree.in_zip,
    ".tar.gz": tars.in_tar_gz,
    ".tgz": tars.in_tar_gz,
    ".tar": lambda path, tally: tars.in_tar([path], tally),
    ".parquet": lambda path, tally: parquet.in_parquet([path], tally),
}


@contextmanager
def files_of(source: str) -> Iterator[Tree]:
    """The files in a folder or an archive, for another look at them. Raises DataError for a source that has none."""
    path, tally = Path(source), Tally(source=source)
    opener = next((opener for ending, opener in ARCHIVES.items() if path.name.lower().endswith(ending)), None)
    if path.is_dir():
        yield tree.in_folder(path, tally)
    elif path.suffix.lower() in picture_sets.SUFFIXES:
        yield tree.of_file(path)
    elif opener is not None:
        with opener(path, tally) as found:
            yield found
    else:
        raise DataError(source, "holds no files to look at again; give a folder or an archive", "DATA_TYPE")


def status_of(path: Path, source: str) -> os.stat_result:
    try:
        return path.stat()
    except PermissionError as error:
        raise DataError(source, "may not be read; change its permissions", "DATA_DENIED") from error
    except (OSError, ValueError) as error:
        why = f"is neither a file or folder nor a bundled set{nearest(source, list(WORDS))}"
        address = f"is an address; `gansaku prepare {source} DEST.h5 --stream` makes data of it"
        raise DataError(source, address if "://" in source else why, "DATA_MISSING") from error


def stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns]


def stamps(place: str) -> Any:
    """What identifies the content of a path beside the source; None for what is no path."""
    path = Path(place)
    if path.is_dir():
        return contents(tree.in_folder(path, Tally()))
    return stamp(path.stat()) if path.is_file() else None


def contents(listed: Tree) -> list[list[Any]]:
    """Name, size and time of every file that is not hidden."""
    found: list[list[Any]] = []
    for name in listed.names:
        if tree.hidden(name):
            continue
        try:
            entry = listed.entry(name)
        except (Bad, OSError) as error:
            found.append([name, str(error)])
        else:
            found.append([name, entry.size, entry.changed])
    return found


@contextmanager
def of_folder(path: Path, listed: Tree, chosen: Policy, tally: Tally) -> Iterator[Content]:
    """A folder of shards is their content; any other is the tree it is."""
    for ending, opener in ((".tar", tars.in_tar), (".parquet", parquet.in_parquet)):
        shards = [name for name in listed.names if tree.suffix(name) == ending and not tree.hidden(name)]
        others = [name for name in listed.names if tree.suffix(name) in SAMPLES - {ending} and not tree.hidden(name)]
        if shards and others and not any(tree.suffix(name) in picture_sets.SUFFIXES for name in others):
            raise DataError(tally.source, f"has {shards[0]!r} beside {others[0]!r}, and only one kind of samples can be taken; "
                            "give the one, or move the other elsewhere", "DATA_LAYOUT")  # fmt: skip
        if shards and not others:
            tally.ignored += len(listed.names) - len(shards)
            paths = [path / entry.name for entry in tree.checked(listed, shards, tally)]
            with of_tree(partial(opener, paths, tally), chosen, tally) as content:
                yield content
            return
    with of_tree(lambda: nullcontext(listed), chosen, tally) as content:
        yield content


@contextmanager
def of_tree(opener: Callable[[], AbstractContextManager[Tree]], chosen: Policy, tally: Tally) -> Iterator[Content]:
    """Original files, voxels or pictures, whichever the tree holds."""
    with opener() as found:
        original = originals(found, tally)
        labelled = found if found.labels else stylegan.labelled(found, tally)
        if original is not None:
            with original as named:
                yield arrays.content_of(named, chosen, tally)
        elif voxel_sets.holds_voxels(found):
            with voxel_sets.content(labelled, chosen, tally) as content:
                yield content
        else:
            with cutters(labelled, chosen, tally) as make, picture_sets.content(labelled, chosen, tally, make) as content:
                yield content


@contextmanager
def cutters(found: Tree, chosen: Policy, tally: Tally) -> Iterator[picture_sets.MakeCutter | None]:
    """What cuts pictures into parts by the policy; None where they are taken whole."""

    def by_boxes(annotations: Tree, names: Sequence[str]) -> Cutter:
        return boxes.cutter(annotations, names, chosen, tally)

    if chosen.faces is not None:
        finder = faces.cutter(chosen)
        yield lambda names: finder
    elif chosen.boxes is None:
        yield None
    elif any(name.startswith(f"{chosen.boxes.rstrip('/')}/") for name in found.names):
        yield partial(by_boxes, found.below(chosen.boxes))
    elif Path(chosen.boxes).is_dir():
        yield partial(by_boxes, tree.in_folder(Path(chosen.boxes), tally))
    elif Path(chosen.boxes).suffix.lower() == ".zip":
        with tree.in_zip(Path(chosen.boxes), Tally(source=chosen.boxes)) as annotations:
            yield partial(by_boxes, annotations)
    else:
        known = sorted({name.split("/")[0] for name in found.names if "/" in name})
        raise UsageError(f"--boxes {chosen.boxes}", "is no folder in the source and no folder or .zip"
                         f"{nearest(chosen.boxes, known)}", "BOXES")  # fmt: skip


@contextmanager
def foreign(path: Path, chosen: Policy, tally: Tally) -> Iterator[Content]:
    """The arrays in another program's HDF5 file."""
    hdf5.check_ends(path, tally.source)
    with hdf5.arrays_in(path, tally.source) as named:
        yield arrays.content_of(named, chosen, tally)


def carried_out(plan: Plan, destination: Path, chosen: Policy, progress: Progress | None, shard: int | None = None) -> Dataset:
    """The store, prepared as planned. Raises Stopped when no training sample is left, or too many were bad."""
    with plan.content() as content:
        preparation.write(
            destination,
            content.blocks,
            name=plan.name,
            shape=content.shape,
            classes=content.classes,
            source=plan.origin,
            policy=told(chosen),
            tally=plan.tally,
            dedupe=chosen.dedupe,
            shard=shard,
            identity=plan.identity,
            progress=progress or (lambda done, total: None),
            total=content.total,
        )
    return open_store(destination)


def told(chosen: Policy) -> dict[str, Any]:
    """The choices that the store tells: of a path beside the source the last name alone, as of the source."""
    return {name: Path(value).name if name in ("boxes", "faces") else value for name, value in chosen.identity.items()}


@contextmanager
def chairs(chosen: Policy, tally: Tally) -> Iterator[Content]:
    """The voxel chairs, drawn when the context is entered."""
    grids = bundled.chairs(CHAIRS, chosen.side or 32, 0)
    side, tally.files = grids.shape[1], len(grids)
    test = held_out(map(str, range(len(grids))), chosen.held_out)
    rows = {
        split: np.array([i for i in range(len(grids)) if (str(i) in test) == (split == "test")], np.int64) for split in SPLITS
    }

    def blocks(start: int) -> Iterator[Block]:
        step = at_once(side**3)
        parts = [(split, rows[split][at : at + step]) for split in SPLITS for at in range(0, len(rows[split]), step)]
        for split, part in parts[start:]:
            names = [f"chair {row}" for row in part]
            samples = grids[part][..., None].astype(np.uint8)
            yield Block(samples, np.zeros(len(part), np.int64), split, {}, names, read=len(part))

    yield Content((1, side, side, side), (), len(grids), blocks)


def of_size(dataset: Dataset, size: Size) -> Dataset:
    """The same dataset. Raises DataError when it was prepared at another size."""
    wanted = (size,) * len(dataset.shape[1:]) if isinstance(size, int) else size
    if wanted is not None and dataset.shape[1:] != wanted:
        raise DataError(str(dataset.path), f"was prepared at {sides(dataset.shape[1:])}, not {sides(wanted)}; prepare it again "
                        f"from {dataset.source!r} with --size, or leave --size out", "DATA_SIZE")  # fmt: skip
    return dataset


def sweep_old(folder: Path) -> None:
    """Remove what killed preparations left a day ago; younger ones may still be written by another process."""
    for leftover in folder.glob(f"{files.TEMPORARY}*"):
        with suppress(OSError):  # another process was faster
            if time.time() - leftover.stat().st_mtime > 86_400 and not in_use(leftover):
                files.remove(leftover)
