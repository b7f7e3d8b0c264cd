"""A dataset written out in other forms, each of which is prepared back into the same samples, splits and classes.

    x.zip       StyleGAN's form (see `stylegan`)
    x.npz       x_train, y_train, x_test, y_test, class_names and the columns; the only form that keeps columns
    x           a folder: train/<class>/<name>.png, test/…; voxels as .binvox
    x, "h5"     a folder of voxels, one .h5 each, with the key `data`

Files have the names of those that the samples came from, with all that a file system or a terminal could take amiss
written as %XX, or numbers where no names are known. Where the folders would not be read back as these splits and classes (a
lone class, a class that is called like a split, a "/" in its name), a `dataset.json` states them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.data import binvox, hdf5, stylegan
from gansaku.data.content import SPLITS, Bytes, Progress, at_once
from gansaku.data.layouts import Place, classes_of, places
from gansaku.data.store import Dataset
from gansaku.data.tally import Bad, message
from gansaku.data.tree import Entry, Tree
from gansaku.errors import DataError, UsageError

FORMS = {"stylegan": ".zip", "npz": ".npz", "folder": "", "h5": ""}
SUFFIX = re.compile(r"\.(png|jpe?g|jpe|jfif|webp|bmp|gif|tiff?|binvox|off|obj|stl|ply|glb|mat|h5|hdf5|npy)", re.IGNORECASE)
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|__macosx)(\..*)?", re.IGNORECASE)
LONGEST = 120  # bytes of a name
TAKEN = ("x_train", "y_train", "x_test", "y_test", "class_names")  # of an .npz


def export(dataset: Dataset, destination: Path, form: str | None, progress: Progress) -> Path:
    """Write the dataset out, whole or not at all, and return where; `form` is one of FORMS, None: by the suffix.

    A file that is there is replaced, a folder only if it is empty. Raises UsageError for what cannot be written so.
    """
    form = form or next((form for form, suffix in FORMS.items() if suffix == destination.suffix.lower()), "")
    check(dataset, destination, form)
    if form == "stylegan":
        stylegan.write_zip(dataset, destination, progress)
    elif form == "npz":
        write_npz(dataset, destination, progress)
    else:
        suffix, encode = encoder(dataset, form)
        write_folder(dataset, destination, suffix, encode, progress)
    return destination


def remarks(dataset: Dataset, destination: Path) -> list[str]:
    """What readers of the form will take otherwise than it is meant."""
    notes = stylegan.notes(dataset) if destination.suffix.lower() == ".zip" else []
    return [message(str(destination), note.sentence, note.code) for note in notes]


def check(dataset: Dataset, destination: Path, form: str) -> None:
    """Raises UsageError for what `export` cannot write."""
    where = str(destination)
    if form not in FORMS:
        raise UsageError(where, "is no .h5, .zip, .npz or folder, the forms that a dataset is written in", "FORM")
    if destination.suffix.lower() != FORMS[form] and FORMS[form]:
        raise UsageError(where, f"does not end in {FORMS[form]}, as the form {form} does", "FORM")
    if form == "h5" and not dataset.voxels:
        raise UsageError(where, "would hold pictures, and the form h5 is for voxels; give a folder without a form", "FORM")
    if FORMS[form]:
        if destination.is_dir():
            raise UsageError(where, "is a folder; name a file", "FILE")
    elif destination.is_dir():
        if any(destination.iterdir()) or destination.is_symlink() or destination.is_mount() or destination.samefile("."):
            raise UsageError(where, "is a folder that holds files or is in use; name a new one", "FILE")
    elif destination.exists() or destination.is_symlink():
        raise UsageError(where, "is a file; name a folder", "FILE")


def write_npz(dataset: Dataset, destination: Path, progress: Progress) -> None:
    """The arrays under the names that `arrays` reads."""
    names = {
        f"{name}_names": texts for name, texts in dataset.report.get("column_names", {}).items() if name in dataset.columns
    }
    if wrong := [name for name in dataset.columns if name in (*TAKEN, *names)]:
        raise DataError(str(dataset.path), f"has a column named {wrong[0]!r}, which means another array in a .npz", "COLUMN")
    count, start = sum(dataset.counts.values()), 0
    dim = not dataset.voxels and not any(part.max() > 1 for part in parts(dataset, range(count)))
    with stylegan.stored_zip(destination, count * int(np.prod(dataset.shape)) * (4 if dim else 1)) as archive:

        def put(name: str, array: NDArray[Any]) -> None:
            with archive.open(stylegan.member(f"{name}.npy"), "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)

        for split, length in dataset.counts.items():
            with archive.open(stylegan.member(f"x_{split}.npy"), "w", force_zip64=True) as stream:
                done = start
                for part in parts(dataset, range(start, start + length)):
                    values = as_array(part, dataset.voxels, dim)
                    if done == start:
                        head = np.lib.format.header_data_from_array_1_0(values)
                        np.lib.format.write_array_header_1_0(stream, {**head, "shape": (length, *values.shape[1:])})
                    stream.write(np.ascontiguousarray(values).data)
                    done += len(part)
                    progress(done, count)
            if dataset.classes:
                put(f"y_{split}", dataset.labels[start : start + length])
            start += length
        put("class_names", np.array(dataset.classes, np.str_))  # also if there are none: a column may be called `classes`
        for name, values in dataset.columns.items():
            put(name, values)
        for name, texts in names.items():
            put(name, np.array(texts, np.str_))


def parts(dataset: Dataset, rows: range) -> Any:
    """The samples of these rows, some at a time."""
    step = at_once(int(np.prod(dataset.shape)))
    return (dataset.rows(np.arange(at, min(at + step, rows.stop))) for at in range(rows.start, rows.stop, step))


def as_array(samples: Bytes, voxels: bool, dim: bool) -> NDArray[Any]:
    """Samples as `arrays` reads them back: voxels with five axes, pictures of 0 and 1 alone as fractions of 255."""
    if voxels:
        return samples[..., 0][:, None]
    return (samples / np.float32(255)).astype(np.float32) if dim else samples


def encoder(dataset: Dataset, form: str) -> tuple[str, Callable[[Bytes], bytes]]:
    """The suffix of a sample's file, and its content from the sample (*S, C)."""
    if form == "h5":
        return ".h5", partial(one_h5, Lock())
    if dataset.voxels:
        return ".binvox", lambda sample: binvox.write(binvox.up(sample[..., 0], "y"))
    return ".png", stylegan.png_of


def one_h5(alone: Lock, sample: Bytes) -> bytes:
    with alone:  # HDF5 takes no two files of one name at a time, not even in memory
        return hdf5.write_sample(sample[..., 0])


def write_folder(
    dataset: Dataset, destination: Path, suffix: str, encode: Callable[[Bytes], bytes], progress: Progress
) -> None:
    """A file a sample, in folders by split and class."""
    names = file_names(dataset, suffix)
    with files.replacing(destination) as temporary:
        for folder in dict.fromkeys(str(PurePosixPath(name).parent) for name in names):
            files.make_folder(temporary / folder)
        for number, content in stylegan.encoded(dataset, encode, progress):
            with files.create(temporary / names[number]) as file:
                file.write(content)
        if not tells(dataset, names):
            with files.create(temporary / stylegan.LISTING) as file:
                file.write(stylegan.listed(dataset, names))
        with ThreadPoolExecutor(8) as pool:  # one after the other they would take longer than all the rest
            list(pool.map(files.synchronize, [temporary / name for name in names]))


def file_names(dataset: Dataset, suffix: str) -> list[str]:
    """Where each sample goes: no two names differ only in capitals or accents, and none leads out of the folder."""
    folders = unique([safe(name) for name in dataset.classes]) if dataset.classes else [""]
    splits = [split for split in SPLITS for _ in range(dataset.counts.get(split, 0))]
    own = [safe(stem(name)) for name in dataset.names] if dataset.names else [f"{number:06d}" for number in range(len(splits))]
    return [f"{name}{suffix}" for name in unique([
        "/".join(part for part in (split, folders[label], name) if part)
        for split, label, name in zip(splits, dataset.labels, own, strict=True)
    ])]  # fmt: skip


def stem(name: str) -> str:
    """`cats/a.b.png` -> `a.b`."""
    last = re.split(r"[/\\]", name)[-1]
    found = SUFFIX.search(last)
    return last[: found.start()] if found and found.end() == len(last) and found.start() else last


def safe(name: str) -> str:
    """The name as one part of a path that every system takes and every terminal shows."""
    name = re.sub(r"^[. ]|[. ]$", lambda found: f"%{ord(found[0]):02X}", name)
    name = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else escaped(c) for c in name) or "_"
    if len(name.encode()) > LONGEST:
        name = name.encode()[:LONGEST].decode(errors="ignore").rstrip(". ")
    return f"_{name}" if RESERVED.fullmatch(name) else name


def escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def unique(names: Sequence[str]) -> list[str]:
    """The same names, -2, -3 … added to those that a file system could take for an earlier one."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    found = []
    for name in names:
        given, key = name, folded(name)
        while folded(given) in taken:
            last[key] = last.get(key, 1) + 1
            given = f"{name}-{last[key]}"
        taken.add(folded(given))
        found.append(given)
    return found


def folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def tells(dataset: Dataset, names: Sequence[str]) -> bool:
    """Whether the folders alone are read back as these splits and classes."""
    splits = [split for split in SPLITS for _ in range(dataset.counts.get(split, 0))]
    labels = [dataset.classes[label] if dataset.classes else "" for label in dataset.labels]

    def nothing(name: str) -> Entry:
        raise Bad("has not been written yet", "")

    try:
        found = places("", names, Tree(names, nothing))
    except DataError:
        return False
    in_order = classes_of(found) == dataset.classes or not dataset.classes
    return in_order and found == [Place(split, label) for split, label in zip(splits, labels, strict=True)]
