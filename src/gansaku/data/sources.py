"""The one door to data: `open_data(SOURCE)`, where SOURCE is a folder or zip of pictures, an array file, a store or a word.

Everything but a store is prepared into a store in the cache, under a name made of what identifies its content: so a
second call only opens it, and a changed source is prepared again.

Folders. A folder around everything counts for nothing; `train/` beside `test/`, `val/` or `valid/` are splits; the
folders below are classes, in natural order, and what lies deeper belongs to them. Hidden files and files whose name
does not end like a picture's are ignored and counted. A zip is read as the folder it holds and never extracted.

Arrays, in this order. Five axes, one of them a channel axis of 1 (second or last): voxels. Four axes that hold only
0 and 1, the last three equal: voxels. Four axes, the last being 1, 3 or 4: pictures (N, H, W, C). Four axes, the
second being 1, 3 or 4: pictures (N, C, H, W). Four axes that hold only 0 and 1: voxels. Three axes: grey pictures.
Values: all within [0, 1] are multiplied by 255, also 0/1 integers; all within [-1, 1] go from black to white; whole
numbers in 0..255 stay; anything else is refused. Voxels hold 0 and 1. Blank voxels (all 0 or all 1) are left out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import re
import stat
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.data import pictures
from gansaku.data.pictures import Bad
from gansaku.data.store import SPLITS, Block, Bytes, Dataset, open_store, write
from gansaku.errors import DataError, Stopped, nearest

PREPARATION = 1  # to be raised when the same source would give other samples
WORDS = ("avatars", "chairs")
SUPPORTED = "a folder or .zip of pictures, .npz, .npy, .npy.gz, .h5 of this program, or the words avatars and chairs"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
OTHER_PICTURES = frozenset({".svg", ".eps", ".psd", ".heic", ".heif", ".avif", ".exr", ".hdr", ".fits", ".raw", ".dng",
                            ".cr2", ".nef", ".arw", ".jp2", ".tga", ".ppm", ".pgm"})  # fmt: skip
SPLIT_OF = {"train": "train", "training": "train"} | dict.fromkeys(("test", "testing", "val", "valid", "validation"), "test")
AT_ONCE = 1 << 24  # bytes of samples in memory while preparing
LARGEST_FILE = 1 << 28
BOMB = (1 << 22, 100)  # a zip entry larger than this that packs better than this is a bomb
MAX_BAD = 0.01
CHAIRS = 2000

Progress = Callable[[int, int], None]
Damaged = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)


def open_data(
    source: str,
    size: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    max_bad: float = MAX_BAD,
) -> Dataset:
    """The dataset that SOURCE names, prepared if it was not before; `size` resizes pictures to squares.

    `avatars` and `chairs` are always the bundled sets; a folder of that name is `./avatars`. `progress(done, total)`
    is called while samples are prepared. Raises DataError for what cannot be used, Stopped when more than `max_bad`
    of the pictures are bad or none is good.
    """
    path = Path(source)
    if path.suffix.lower() == ".h5" and source not in WORDS:
        return of_size(open_store(path), size)
    plan = planned(source, size, max_bad)
    key = hashlib.sha256(json.dumps([PREPARATION, size, plan.identity]).encode()).hexdigest()[:20]
    folder = cache if cache is not None else cache_folder()
    target = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', plan.name)[:40]}-{key}.h5"
    if target.is_file():
        try:
            dataset = open_store(target)
        except DataError:
            pass  # damaged in the cache: prepared again
        else:
            stop_if_bad(source, dataset.report, max_bad)
            return dataset
    sweep_old(folder)
    plan.write(target, progress or (lambda done, total: None))
    return open_store(target)


def prepare(
    source: str,
    destination: Path,
    size: int | None = None,
    progress: Progress | None = None,
    max_bad: float = MAX_BAD,
) -> Dataset:
    """Prepare SOURCE into a store of that name, whole or not at all. Raises as `open_data`."""
    if Path(source).suffix.lower() == ".h5":
        raise DataError(source, "is prepared already; give what it was made from", "DATA_TYPE")
    planned(source, size, max_bad).write(destination, progress or (lambda done, total: None))
    return open_store(destination)


class Plan(NamedTuple):
    """How a source will be prepared; `identity` is JSON that changes whenever its content may have."""

    name: str
    identity: Any
    write: Callable[[Path, Progress], None]


class Entry(NamedTuple):
    """A file that should be a picture: its name within the source, with "/", and how to read it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


@dataclass
class Tally:
    """What preparation did not take as it was; `report` is stored with the data."""

    report: dict[str, Any] = field(
        default_factory=lambda: {"files": 0, "ignored": 0, "skipped": {}, "examples": [], "converted": {}}
    )

    def skip(self, name: str, bad: Bad) -> None:
        skipped = self.report["skipped"]
        skipped[bad.code] = skipped.get(bad.code, 0) + 1
        if len(self.report["examples"]) < 10:
            self.report["examples"].append(str(DataError(name, bad.sentence, bad.code)))

    def convert(self, what: str, count: int = 1) -> None:
        if count:
            self.report["converted"][what] = self.report["converted"].get(what, 0) + count


def planned(source: str, size: int | None, max_bad: float) -> Plan:
    """Look at the source as far as its content must be identified. Raises DataError for what is not supported."""
    if size is not None and size < 1:
        raise DataError(source, f"cannot be resized to {size}; a size is 1 or more", "DATA_SIZE")
    if source == "chairs":
        return plan_chairs(size or 32)
    if source == "avatars":
        from gansaku.data.bundled import avatars_file

        bundled = avatars_file()
        return Plan(source, [source, stamp(bundled)],
                    partial(write_arrays, bundled, source, size, label="hair", test=1000))  # fmt: skip
    path = Path(source)
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise DataError(source, "may not be read; change its permissions", "DATA_DENIED") from error
        raise DataError(source, f"is neither a file or folder nor a bundled set{nearest(source, list(WORDS))}",
                        "DATA_MISSING") from error  # fmt: skip
    if kind == stat.S_IFDIR:
        tally = Tally()
        entries = in_folder(path, tally)
        stamps = [[entry.name, entry.size, time_of(path / entry.name)] for entry in entries]
        name = path.resolve().name
        return Plan(name, [str(path.resolve()), stamps],
                    partial(write_pictures, source, name, entries, tally, size, max_bad))  # fmt: skip
    if kind != stat.S_IFREG:
        raise DataError(source, "is a device, pipe or socket; give " + SUPPORTED, "NOT_REGULAR")
    identity = [str(path.resolve()), stamp(path)]
    lower = path.name.lower()
    if lower.endswith(".zip"):
        return Plan(path.stem, identity, partial(write_zip, source, path.stem, size, max_bad))
    if lower.endswith((".npz", ".npy", ".npy.gz")):
        return Plan(path.name.split(".")[0], identity, partial(write_arrays, path, source, size))
    if path.suffix.lower() in SUFFIXES:
        raise DataError(source, "is one picture; give the folder that holds all of them", "DATA_TYPE")
    raise DataError(source, f"is of a type that is not supported ({path.suffix or 'no suffix'}); give {SUPPORTED}",
                    "DATA_TYPE")  # fmt: skip


def of_size(dataset: Dataset, size: int | None) -> Dataset:
    """The same dataset. Raises DataError when it was prepared at another size."""
    if size is not None and set(dataset.shape[1:]) != {size}:
        raise DataError(str(dataset.path), f"was prepared at {sides(dataset.shape[1:])}, not {size}; prepare it again "
                        f"from {dataset.source!r} with --size {size}, or leave --size out", "DATA_SIZE")  # fmt: skip
    return dataset


def cache_folder() -> Path:
    if own := os.environ.get("GANSAKU_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gansaku"


def sweep_old(folder: Path) -> None:
    """Remove what killed preparations left a day ago; younger ones may still be written by another process."""
    for leftover in folder.glob(f"{files.TEMPORARY}*"):
        if time.time() - time_of(leftover) / 1e9 > 86_400:
            files.remove(leftover)


def stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def time_of(path: Path) -> int:
    """Modification time in nanoseconds; 0 where the file has gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def sides(space: Sequence[int]) -> str:
    return "x".join(map(str, space))


def natural(name: str) -> tuple[Any, ...]:
    """A sort key with numbers by value: a2 before a10."""
    parts = re.split(r"([0-9]+)", name)
    return (*((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)), name)


def wanted(name: str, tally: Tally) -> bool:
    """Whether the file should be a picture by its name. Counts the others; raises Bad for formats never opened."""
    parts = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts.parts)
    suffix = parts.suffix.lower()
    if not hidden and suffix in SUFFIXES:
        return True
    if not hidden and suffix in OTHER_PICTURES:
        raise Bad(f"is a {suffix} file; convert it to PNG or JPEG", "IMG_FORMAT")
    tally.report["ignored"] += 1
    return False


def in_folder(root: Path, tally: Tally) -> list[Entry]:
    """The files below a folder that should be pictures, in natural order. No link to the outside is followed."""
    inside = root.resolve()
    entries: list[Entry] = []
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            found = list(os.scandir(root / below))
        except OSError as error:
            if not below:
                raise DataError(str(root), f"cannot be listed: {error.strerror}", "DATA_DENIED") from error
            tally.skip(below, Bad(f"is a folder that cannot be listed: {error.strerror}", "UNREADABLE"))
            continue
        for item in found:
            name = f"{below}{item.name}"
            try:
                if item.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                elif item.is_symlink() and item.is_dir():
                    raise Bad("is a link to a folder, which is not followed; give that folder", "LINK_OUTSIDE")
                elif wanted(name, tally):
                    entries.append(checked_file(root / name, name, inside))
            except (Bad, OSError) as error:
                tally.report["files"] += 1
                tally.skip(name, error if isinstance(error, Bad) else Bad(f"{error.strerror}", "UNREADABLE"))
    tally.report["files"] += len(entries)
    return sorted(entries, key=lambda entry: natural(entry.name))


def checked_file(path: Path, name: str, inside: Path) -> Entry:
    """A file that is safe to open. Raises Bad for links to the outside, pipes, devices and what is too large."""
    if path.is_symlink() and not path.resolve().is_relative_to(inside):
        raise Bad("is a link to a file outside the folder; copy that file here", "LINK_OUTSIDE")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Bad("is a pipe, device or socket, not a file", "NOT_REGULAR")
    return Entry(name, status.st_size, lambda: path.open("rb"))


def write_zip(source: str, name: str, size: int | None, max_bad: float, destination: Path, progress: Progress) -> None:
    """Prepare a zip as the folder it holds; nothing is extracted."""
    try:
        archive = zipfile.ZipFile(source)
    except Damaged as error:
        raise DataError(source, f"is no zip file, or cut short ({error}); download it again", "ZIP_CORRUPT") from error
    with archive:
        tally = Tally()
        entries = in_zip(source, archive, tally)
        write_pictures(source, name, entries, tally, size, max_bad, destination, progress)


def in_zip(source: str, archive: zipfile.ZipFile, tally: Tally) -> list[Entry]:
    """The entries that should be pictures, in natural order. Raises DataError for an archive that may do harm."""
    entries: dict[str, Entry] = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
            raise DataError(source, f"has the entry {name!r}, which leads out of the folder; pack it again without",
                            "ZIP_UNSAFE_PATH")  # fmt: skip
        if info.is_dir():
            continue
        try:
            if not wanted(name, tally):
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                raise Bad("is a link in a zip, which is not followed", "LINK_OUTSIDE")
        except Bad as bad:
            tally.report["files"] += 1
            tally.skip(name, bad)
            continue
        if info.flag_bits & 1:
            raise DataError(source, f"is encrypted (entry {name!r}); unpack it and give the folder", "ZIP_ENCRYPTED")
        if info.file_size > BOMB[0] and info.file_size > BOMB[1] * info.compress_size:
            raise DataError(source, f"has the entry {name!r} of {info.file_size:,} bytes packed into "
                            f"{info.compress_size:,}, as in a zip bomb; unpack it and give the folder",
                            "ZIP_BOMB")  # fmt: skip
        tally.convert("entries of a name used twice: the last taken", name in entries)
        entries[name] = Entry(name, info.file_size, partial(archive.open, info))
    tally.report["files"] += len(entries)
    return sorted(entries.values(), key=lambda entry: natural(entry.name))


def layout(source: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """(split, class or "") of each picture by the folders it lies in. Raises DataError when that is ambiguous."""
    folders = without_common([name.split("/")[:-1] for name in names])
    tops = {parts[0].lower() for parts in folders if parts}
    splits = ["train"] * len(names)
    if all(folders) and tops <= SPLIT_OF.keys() and "train" in {SPLIT_OF[top] for top in tops}:
        splits = [SPLIT_OF[parts[0].lower()] for parts in folders]
        folders = without_common([parts[1:] for parts in folders])
    if any(folders) and not all(folders):
        beside, within = (next(n for n, parts in zip(names, folders, strict=True) if bool(parts) == w) for w in (0, 1))
        raise DataError(source, f"has pictures beside folders of pictures ({beside!r} and {within!r}), so whether the "
                        "folders are classes is unclear; put every picture into a folder of its class, or all into "
                        "one folder", "DATA_LAYOUT")  # fmt: skip
    return [(split, parts[0] if parts else "") for split, parts in zip(splits, folders, strict=True)]


def without_common(folders: list[list[str]]) -> list[list[str]]:
    """The same without the folders that all share, unless they say the split: a lone `images/` is no class."""
    while folders and all(folders) and len({parts[0] for parts in folders}) == 1:
        folders = [parts[1:] for parts in folders]
    return folders


def write_pictures(
    source: str,
    name: str,
    entries: list[Entry],
    tally: Tally,
    size: int | None,
    max_bad: float,
    destination: Path,
    progress: Progress,
) -> None:
    """Prepare pictures: headers of all first, so that a mistake is told at once, then pixels, a few at a time."""
    if not tally.report["files"]:
        raise DataError(source, f"holds no pictures (other files: {tally.report['ignored']}); put PNG, JPEG, WebP, "
                        "BMP, GIF or TIFF files there", "DATA_EMPTY")  # fmt: skip
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        headers = list(pool.map(partial(header_of, size), entries))
        for entry, header in zip(entries, headers, strict=True):
            if isinstance(header, Bad):
                tally.skip(entry.name, header)
        stop_if_bad(source, tally.report, max_bad)
        good = [(e, h) for e, h in zip(entries, headers, strict=True) if not isinstance(h, Bad)]
        space = (size, size) if size is not None else common_size(source, [(h.height, h.width) for _, h in good])
        shape = (1 if all(header.grey for _, header in good) else 3, *space)
        places = layout(source, [entry.name for entry, _ in good])
        classes = sorted({label for _, label in places if label}, key=natural)
        queues: dict[str, list[tuple[Entry, int]]] = {split: [] for split in SPLITS}
        for (entry, _), (split, label) in zip(good, places, strict=True):
            queues[split].append((entry, classes.index(label) if label else 0))

        def blocks() -> Iterator[Block]:
            done, step = 0, max(1, min(512, AT_ONCE // math.prod(shape)))
            for split, queue in queues.items():
                kept = 0
                for start in range(0, len(queue), step):
                    part = queue[start : start + step]
                    decoded = list(pool.map(partial(pixels_of, size, shape), (entry for entry, _ in part)))
                    block = taken(part, decoded, split, tally)
                    if block is not None:
                        kept += len(block.samples)
                        yield block
                    done += len(part)
                    progress(done, len(good))
                if split == "train" and not kept:
                    raise nothing_left(source, tally.report)
            stop_if_bad(source, tally.report, max_bad)

        write(destination, blocks(), name=name, shape=shape, classes=tuple(classes), source=str(Path(source).resolve()),
              report=tally.report)  # fmt: skip


def header_of(size: int | None, entry: Entry) -> pictures.Header | Bad:
    """The header, or why the picture cannot be used at this size."""
    try:
        if entry.size > LARGEST_FILE:
            raise Bad(f"is a file of {entry.size:,} bytes; at most {LARGEST_FILE:,} are read", "IMG_TOO_LARGE")
        with entry.open() as stream:
            header = pictures.header(stream)
    except Bad as bad:
        return bad
    except Damaged as error:
        return unreadable(error)
    short, long = sorted((header.height, header.width))
    if size is not None and long > pictures.FLATTEST * short:
        return Bad(f"is {header.width}x{header.height}, flatter than {pictures.FLATTEST}:1; crop it", "IMG_ASPECT")
    if size is not None and 4 * short < size:
        return Bad(f"is {header.width}x{header.height}, less than a quarter of size {size}", "IMG_TOO_SMALL")
    return header


def pixels_of(size: int | None, shape: tuple[int, ...], entry: Entry) -> pictures.Decoded | Bad:
    """The picture as (*S, C), with notes of what was converted, or why it cannot be used."""
    try:
        with entry.open() as stream:
            pixels, notes = pictures.decode(stream.read())
    except Bad as bad:
        return bad
    except Damaged as error:
        return unreadable(error)
    if size is not None:
        notes += ("enlarged",) if min(pixels.shape[:2]) < size else ()
        pixels = pictures.resize(pixels, size)
    if pixels.shape[2] < shape[0]:
        pixels, notes = np.repeat(pixels, shape[0], axis=2), (*notes, "grey to colour")
    if pixels.shape != (*shape[1:], shape[0]):
        return Bad(f"decodes to {pixels.shape}, unlike its header", "IMG_CORRUPT")
    return pictures.Decoded(pixels, notes)


def taken(
    part: Sequence[tuple[Entry, int]], decoded: Sequence[pictures.Decoded | Bad], split: str, tally: Tally
) -> Block | None:
    """The good ones of these pictures as a block, None where there are none; the others are counted."""
    pixels, labels = [], []
    for (entry, label), found in zip(part, decoded, strict=True):
        if isinstance(found, Bad):
            tally.skip(entry.name, found)
            continue
        pixels.append(found.pixels)
        labels.append(label)
        for note in found.notes:
            tally.convert(note)
    return Block(np.stack(pixels), np.array(labels, np.int64), split, {}) if pixels else None


def unreadable(error: Exception) -> Bad:
    if isinstance(error, OSError):
        return Bad(f"cannot be read: {error.strerror or error}", "UNREADABLE")
    return Bad(f"is damaged in the zip ({error})", "ZIP_ENTRY")


def common_size(source: str, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The (height, width) that all pictures have. Raises DataError when they differ."""
    counted = Counter(sizes)
    if len(counted) == 1:
        return sizes[0]
    small, large = min(counted, key=math.prod), max(counted, key=math.prod)
    raise DataError(source, f"has pictures of {len(counted)} sizes, from {small[1]}x{small[0]} to {large[1]}x{large[0]} "
                    "pixels; give --size 64, or another, to resize and crop them to squares", "IMG_SIZES")  # fmt: skip


def stop_if_bad(source: str, report: dict[str, Any], max_bad: float) -> None:
    """Raise Stopped when more than this share of the pictures is bad, or all of them."""
    bad = sum(count for code, count in report["skipped"].items() if code != "VOX_BLANK")
    total = report["files"]
    if bad and (bad > max_bad * total or bad == total):
        shown = "; ".join(report["examples"][:3])
        raise Stopped(source, f"{bad:,} of {total:,} pictures cannot be used, and at most {max_bad:.2g} of all may be: "
                      f"{shown}", "DATA_BAD")  # fmt: skip


def nothing_left(source: str, report: dict[str, Any]) -> Stopped:
    shown = "; ".join(report["examples"][:3])
    return Stopped(source, f"no training sample is left of {report['files']:,}: {shown}", "DATA_BAD")


def plan_chairs(size: int) -> Plan:
    """Procedural voxel chairs: the file that draws them is their identity."""
    from gansaku.data import bundled

    def write_chairs(destination: Path, progress: Progress) -> None:
        grids = bundled.chairs(CHAIRS, size, 0)

        def blocks() -> Iterator[Block]:
            step = max(1, AT_ONCE // size**3)
            for start in range(0, len(grids), step):
                part = grids[start : start + step].astype(np.uint8)[..., None]
                yield Block(part, np.zeros(len(part), np.int64), "train", {})
                progress(start + len(part), len(grids))

        write(destination, blocks(), name="chairs", shape=(1, size, size, size), source="chairs", report=Tally().report)

    return Plan("chairs", [hashlib.sha256(Path(bundled.__file__).read_bytes()).hexdigest(), CHAIRS], write_chairs)


@dataclass(frozen=True)
class Array:
    """An array in a file of which only the header has been read."""

    where: str
    open: Callable[[], IO[bytes]]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All of it, some samples at a time. Raises DataError when the file is cut short or damaged."""
        row = self.shape[1:]
        step = max(1, AT_ONCE // max(1, math.prod(row) * self.dtype.itemsize))
        with readable(self.where):
            stream = self.open()
        with stream:
            with readable(self.where):
                read_head(stream)
                whole = stream.read() if self.fortran else b""  # its rows lie scattered over all of the file
            if self.fortran:
                yield from np.array_split(self.formed(whole, self.shape), -(-self.shape[0] // step))
                return
            for start in range(0, self.shape[0], step):
                shape = (min(step, self.shape[0] - start), *row)
                with readable(self.where):
                    content = stream.read(math.prod(shape) * self.dtype.itemsize)
                yield self.formed(content, shape)

    def formed(self, content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        if len(content) < math.prod(shape) * self.dtype.itemsize:
            raise DataError(self.where, f"ends before the {self.shape} values that its header promises; copy or "
                            "download it again", "NPY_SHORT")  # fmt: skip
        return np.frombuffer(content, self.dtype, math.prod(shape)).reshape(shape, order="F" if self.fortran else "C")

    def whole(self) -> NDArray[Any]:
        return np.concatenate(list(self.blocks()))


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what a damaged file raises into a DataError, before the writer around takes it for a full disk."""
    try:
        yield
    except Damaged as error:
        raise DataError(where, f"is damaged or cut short ({error}); copy or download it again", "NPY_CORRUPT") from error


def read_head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, fortran order, dtype) of an .npy stream, which is left at its first value."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version} of the .npy format")


def array(where: str, open_stream: Callable[[], IO[bytes]]) -> Array:
    """Read the header. Raises DataError for what is no .npy and for arrays of objects, which could run code."""
    with readable(where), open_stream() as stream:
        shape, fortran, dtype = read_head(stream)
    if dtype.hasobject:
        raise DataError(where, "holds Python objects, which are not loaded; save plain numbers", "NPY_OBJECT")
    if math.prod(shape[1:]) > 512**3:
        raise DataError(where, f"has samples of {sides(shape[1:])}, beyond 512x512x512 values", "NPY_LARGE")
    return Array(where, open_stream, shape, dtype, fortran)


def arrays_of(path: Path, source: str, stack: ExitStack) -> dict[str, Array]:
    """The arrays of an .npz by name; the one of an .npy under "x"."""
    lower = path.name.lower()
    if lower.endswith(".npy"):
        return {"x": array(source, lambda: path.open("rb"))}
    if lower.endswith(".gz"):
        return {"x": array(source, lambda: cast(IO[bytes], gzip.open(path, "rb")))}
    with readable(source):
        archive = stack.enter_context(zipfile.ZipFile(path))
        names = [name for name in archive.namelist() if name.endswith(".npy")]
    return {name[:-4]: array(f"{source}:{name[:-4]}", partial(archive.open, name)) for name in names}


def write_arrays(
    path: Path, source: str, size: int | None, destination: Path, progress: Progress, *, label: str = "", test: int = 0
) -> None:
    """Prepare an array file; `label` names the array of labels, and the last `test` samples become the test split."""
    with ExitStack() as stack:
        arrays = arrays_of(path, source, stack)
        parts = sample_arrays(source, arrays)
        values = scanned(parts)
        voxels, axis = meaning(source, parts[0].shape, values)
        scale = scaling(source, values, voxels)
        factor, shape = target_shape(source, parts[0].shape, voxels, axis, size)
        count = sum(part.shape[0] for part in parts)
        border = parts[0].shape[0] if len(parts) == 2 else count - test
        labels, classes, columns, names = labelled(source, arrays, count, label)
        tally = Tally()
        tally.report.update({"files": count, "column_names": names})

        def blocks() -> Iterator[Block]:
            row, trained = 0, 0
            for raw in (raw for part in parts for raw in part.blocks()):
                samples = arranged(scale(raw), axis)
                if voxels:
                    samples = enlarged(samples, factor)
                elif size is not None and samples.shape[1:3] != (size, size):
                    samples = np.stack([pictures.resize(sample, size) for sample in samples])
                kept = not_blank(samples, row, tally) if voxels else np.ones(len(samples), np.bool_)
                rows = np.arange(row, row + len(samples))
                for split, where in (("train", kept & (rows < border)), ("test", kept & (rows >= border))):
                    if split == "test" and where.any() and not trained:
                        raise nothing_left(source, tally.report)
                    if where.any():
                        trained += split == "train" and int(where.sum())
                        picked = {name: column[rows[where]] for name, column in columns.items()}
                        yield Block(samples[where], labels[rows[where]], split, picked)
                row += len(samples)
                progress(row, count)
            if not trained:
                raise nothing_left(source, tally.report)

        name = source if source in WORDS else path.name.split(".")[0]
        write(destination, blocks(), name=name, shape=shape, classes=classes, report=tally.report,
              source=source if source in WORDS else str(path.resolve()))  # fmt: skip


def sample_arrays(source: str, arrays: dict[str, Array]) -> list[Array]:
    """The array of samples, or the ones of training and test. Raises DataError when none has a known name."""
    found = [arrays[name] for name in ("x_train", "x_test") if name in arrays]
    if "x_train" not in arrays:
        many = [array for array in arrays.values() if len(array.shape) > 2]
        named = [arrays[name] for name in ("x", "data", "images", "arr_0") if name in arrays]
        found = named[:1] or (many if len(many) == 1 else [])
    if not found:
        have = ", ".join(f"{name!r} {array.shape} {array.dtype}" for name, array in arrays.items()) or "no array"
        raise DataError(source, f"has no array of samples named x, data, images, arr_0 or x_train; it holds {have}",
                        "NPY_NAMES")  # fmt: skip
    if any(array.shape[1:] != found[0].shape[1:] for array in found):
        raise DataError(source, f"has x_train {found[0].shape} and x_test {found[1].shape}, samples of two shapes",
                        "NPY_SHAPE")  # fmt: skip
    if 0 in found[0].shape or not found[0].shape:
        raise DataError(source, f"holds an empty array {found[0].shape}", "DATA_EMPTY")
    return found


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


def arranged(block: Bytes, axis: int | None) -> Bytes:
    """The channel axis last, (n, *S, C); four channels composited on white."""
    block = block[..., None] if axis is None else np.moveaxis(block, axis, -1)
    if block.shape[-1] != 4:
        return block
    colour, alpha = block[..., :3].astype(np.uint32), block[..., 3:].astype(np.uint32)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def target_shape(
    source: str, shape: tuple[int, ...], voxels: bool, axis: int | None, size: int | None
) -> tuple[int, tuple[int, ...]]:
    """(factor by which voxels grow, sample shape (C, *S)). Raises DataError when voxels cannot take the size."""
    space = tuple(side for place, side in enumerate(shape) if place not in (0, axis))
    if not voxels:
        channels = 1 if axis is None else min(3, shape[axis])
        return 1, (channels, *(space if size is None else (size, size)))
    if size is None:
        return 1, (1, *space)
    if len(set(space)) > 1 or size % space[0]:
        raise DataError(source, f"holds voxels of {sides(space)}, which cannot take size {size}; the size of a cube may "
                        f"stay or be multiplied: {space[0]}, {2 * space[0]}, ...", "VOX_SIZE")  # fmt: skip
    return size // space[0], (1, size, size, size)


def enlarged(samples: Bytes, factor: int) -> Bytes:
    """(n, D, H, W, 1) with each voxel repeated along each axis."""
    for axis in (1, 2, 3) if factor > 1 else ():
        samples = np.repeat(samples, factor, axis=axis)
    return samples


def not_blank(samples: Bytes, row: int, tally: Tally) -> NDArray[np.bool_]:
    """(n,) which voxels are neither all empty nor all full; the others are counted under their row's number."""
    flat = samples.reshape(len(samples), -1)
    full = flat.sum(axis=1, dtype=np.int64)
    kept: NDArray[np.bool_] = (full > 0) & (full < flat.shape[1])
    for place in np.flatnonzero(~kept):
        tally.skip(f"row {row + place}", Bad("is blank: all empty or all full", "VOX_BLANK"))
    return kept


def labelled(
    source: str, arrays: dict[str, Array], count: int, label: str
) -> tuple[NDArray[np.int64], tuple[str, ...], dict[str, NDArray[np.float32]], dict[str, list[str]]]:
    """Labels, class names, the other columns of numbers, and the names of columns' values where the file has them."""
    if "x_train" in arrays:
        wanted = [f"y_{split}" for split in SPLITS if f"x_{split}" in arrays]
        label = "y"
    else:
        label = label or next((name for name in ("y", "labels", "label") if name in arrays), "")
        wanted = [label] if label else []
    given = next((n for n in (f"{label}_names", "class_names", "classes") if n in arrays), "")
    labels, classes = np.zeros(count, np.int64), tuple[str, ...]()
    if wanted and all(name in arrays for name in wanted):
        found = np.concatenate([arrays[name].whole().reshape(-1) for name in wanted])
        names = [str(name) for name in arrays[given].whole()] if given else []
        labels, classes = classes_of(source, found, names, count)
    columns = {
        name: found.whole().astype(np.float32) for name, found in arrays.items()
        if found.shape == (count,) and found.dtype.kind in "buif" and name not in (*wanted, given) and "/" not in name
    }  # fmt: skip
    names_of = {name: [str(value) for value in arrays[f"{name}_names"].whole()] for name in columns
                if f"{name}_names" in arrays}  # fmt: skip
    return labels, classes, columns, names_of


def classes_of(source: str, found: NDArray[Any], names: list[str], count: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels 0..K-1 and K names. Without names, the different values in their order are the classes.

    A single class is none: the data are unlabelled.
    """
    if found.shape != (count,):
        raise DataError(source, f"has {found.size:,} labels for {count:,} samples", "LABELS")
    if found.dtype.kind == "f" and not (found == np.rint(found)).all():
        raise DataError(source, "has labels that are not whole numbers", "LABELS")
    found = found.astype(np.int64) if found.dtype.kind in "buif" else found.astype(str)
    if names and found.dtype.kind == "i":
        if found.min() < 0 or found.max() >= len(names):
            raise DataError(source, f"has labels from {found.min()} to {found.max()} and {len(names)} class names",
                            "LABELS")  # fmt: skip
        return found, tuple(names)
    different, labels = np.unique(found, return_inverse=True)
    if len(different) < 2:
        return np.zeros(count, np.int64), ()
    return labels.astype(np.int64), tuple(str(value) for value in different)
