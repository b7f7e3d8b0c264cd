"""Single files as samples of a given shape: pictures or voxels, resized and cropped as a preparation does by default."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gansaku.data import meshes, voxel_sets
from gansaku.data.content import Bytes
from gansaku.data.picture_sets import SUFFIXES, Item, Work, header_of, samples_of
from gansaku.data.policy import Policy
from gansaku.data.store import is_voxels, sides
from gansaku.data.tally import Account, Bad, unreadable
from gansaku.data.tree import Entry, of_file, suffix
from gansaku.errors import DataError

FLATTEST = 1e6  # a preparation leaves out what is flat or small, since it might be no sample; what is named is meant


def samples_in(files: Sequence[str | Path], shape: tuple[int, ...]) -> Bytes:
    """(n, C, *S) of these files, in their order: pictures 0..255, voxels 0/1. Raises DataError for the first that is none."""
    read = voxels_in if is_voxels(shape) else picture_in
    return np.stack([np.moveaxis(read(Path(file), shape), -1, 0) for file in files])


def picture_in(path: Path, shape: tuple[int, ...]) -> Bytes:
    """(H, W, C): the middle of the picture, scaled; of an animation the first frame."""
    if shape[0] not in (1, 3):
        raise DataError(str(path), f"has 1 or 3 channels, and the samples have {shape[0]}; take them out of data (--data)",
                        "DATA_SHAPE")  # fmt: skip
    entry = entry_of(path, SUFFIXES, "no picture: PNG, JPEG, WebP, BMP, GIF or TIFF")
    chosen = Policy(size=(shape[1], shape[2]), channels=shape[0], min_side=1, max_aspect=FLATTEST)
    header, account = header_of(chosen, False, entry), Account()
    if isinstance(header, Bad):
        raise refused(path, header)
    found = [pixels for _, pixels, _ in samples_of(Work(chosen, shape), Item(entry, "train", 0), account)]
    return checked(path, found[0] if found else None, account)


def voxels_in(path: Path, shape: tuple[int, ...]) -> Bytes:
    """(D, H, W, 1), as a preparation stands it up; made as large as the samples where these are cubes."""
    entry = entry_of(path, voxel_sets.SUFFIXES, "no voxels: .binvox, .npy, .h5, .mat or a mesh")
    cube = len(set(shape[1:])) == 1
    chosen, account = Policy(size=shape[1] if cube else None), Account()
    if suffix(path.name) in meshes.SUFFIXES:
        voxel_sets.check_meshes(str(path), chosen)
    space = voxel_sets.space_of(chosen, entry)
    if isinstance(space, Bad):
        raise refused(path, space)
    grid = checked(path, voxel_sets.sample_of(chosen, entry, account), account)
    if grid.shape != shape[1:]:
        raise DataError(str(path), f"holds {sides(grid.shape)} voxels, and the samples have {sides(shape[1:])}", "DATA_SHAPE")
    return grid[..., None]


def entry_of(path: Path, suffixes: frozenset[str], otherwise: str) -> Entry:
    """The file, if it is there and is called like a sample."""
    try:
        folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:  # also a name that is too long
        raise DataError(str(path), "is not there, or may not be looked at", "DATA_MISSING") from error
    if folder:
        sentence = "is a folder; name the files in it, as FOLDER/*.png, or take some of its samples by --data and --index"
        raise DataError(str(path), sentence, "DATA_TYPE")
    if suffix(path.name) not in suffixes:
        raise DataError(str(path), f"is {otherwise}", "DATA_TYPE")
    try:
        real = path.resolve()  # what is named is meant, also where it is a link
        return of_file(real).entry(real.name)._replace(name=path.name)
    except (Bad, OSError) as error:
        raise refused(path, error if isinstance(error, Bad) else unreadable(error)) from error


def checked(path: Path, found: Bytes | None, account: Account) -> Bytes:
    """What was found, or the reason why there is nothing."""
    if found is None:
        _, sentence, code = account.skipped[0]
        raise DataError(str(path), sentence, code)
    return found


def refused(path: Path, bad: Bad) -> DataError:
    return DataError(str(path), bad.sentence, bad.code)
