"""Many picture files to one kind of sample: their common size and channels, their classes, decoded on all cores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from gansaku.data import pictures
from gansaku.data.content import SPLITS, WORKERS, Block, Bytes, Content, at_once, block_of, in_parallel
from gansaku.data.cuts import Cut, Cutter
from gansaku.data.layouts import Place, classes_of, empty_classes, places
from gansaku.data.policy import Policy
from gansaku.data.resizing import fitted_space, resized
from gansaku.data.splits import held_out
from gansaku.data.tally import Account, Bad, Damaged, Note, Tally, unreadable
from gansaku.data.tree import Entry, Tree, checked, hidden, suffix
from gansaku.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
OTHER_PICTURES = frozenset({".svg", ".eps", ".ps", ".pdf", ".psd", ".heic", ".heif", ".avif", ".exr", ".hdr", ".fits", ".fit",
                            ".raw", ".dng", ".cr2", ".nef", ".arw", ".jp2", ".tga", ".ppm", ".pgm", ".pbm"})  # fmt: skip
LARGEST_FILE = 1 << 28  # bytes

MakeCutter = Callable[[Sequence[str]], Cutter]  # from the names of all pictures


class Item(NamedTuple):
    """A picture file that will be decoded, its class (a number), and whether it is trained on."""

    entry: Entry
    split: str
    label: int


@dataclass(frozen=True)
class Work:
    """What every picture of a set goes through."""

    policy: Policy
    shape: tuple[int, ...]
    classes: dict[str, int] = field(default_factory=dict)
    cutter: Cutter | None = None


@contextmanager
def content(tree: Tree, policy: Policy, tally: Tally, make_cutter: MakeCutter | None = None) -> Iterator[Content]:
    """Headers of all first, so that a mistake is told at once; pixels as the blocks are asked for."""
    entries = checked(tree, wanted(tree, tally), tally)
    tally.files = len(entries) + tally.bad
    if not tally.files:
        raise DataError(tally.source, f"holds no pictures (other files: {tally.ignored}); put PNG, JPEG, WebP, BMP, GIF or "
                        "TIFF files there", "DATA_EMPTY")  # fmt: skip
    good, headers = readable(entries, policy, make_cutter is not None, tally)
    tally.check()
    if not good:
        raise tally.nothing_left()
    cutter = make_cutter([entry.name for entry in good]) if make_cutter else None
    tally.check()
    found = places(tally.source, [entry.name for entry in good], tree, policy.layout, tally)
    classes = class_names(found, tree, [entry.name for entry in good], cutter, policy, tally)
    channels = policy.channels if isinstance(policy.channels, int) else 1 if all(h.grey for h in headers) else 3
    shape = (channels, *common_space(tally.source, headers, policy, cutter))
    tally.more["formats"] = dict(Counter(header.format for header in headers).most_common())
    tally.more["modes"] = dict(Counter(header.mode for header in headers).most_common())
    numbers = {label: number for number, label in enumerate(classes)}
    named = cutter is not None and cutter.classes is not None  # its cuts have classes of their own
    items = [Item(entry, place.split, numbers[place.label] if numbers and not named else 0)
             for entry, place in zip(good, with_held_out(good, found, policy), strict=True)]  # fmt: skip
    work = Work(policy, shape, numbers, cutter)
    copies = len(policy.face_scales) * 2 if policy.faces else 1
    step = min(block_of(len(items)), at_once(math.prod(shape) * copies))
    tasks = []
    for split in SPLITS:
        queue = [item for item in items if item.split == split]
        tasks += [partial(block, work, queue[start : start + step], split) for start in range(0, len(queue), step)]
    yield Content(shape, classes, len(items), in_parallel(tasks))


def wanted(tree: Tree, tally: Tally) -> Iterator[str]:
    """The names that should be pictures. Counts the others; skips those of formats that are never opened."""
    for name in tree.names:
        if not hidden(name) and suffix(name) in SUFFIXES:
            yield name
        elif not hidden(name) and suffix(name) in OTHER_PICTURES:
            tally.skip(name, Bad(f"is a {suffix(name)} file; convert it to PNG or JPEG", "IMG_FORMAT"))
        else:
            tally.ignored += 1


def readable(
    entries: Sequence[Entry], policy: Policy, cutting: bool, tally: Tally
) -> tuple[list[Entry], list[pictures.Header]]:
    """The entries whose headers can be used, with these; the others are skipped."""
    good: list[Entry] = []
    headers: list[pictures.Header] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for entry, header in zip(entries, pool.map(partial(header_of, policy, cutting), entries), strict=True):
            if isinstance(header, Bad):
                tally.skip(entry.name, header)
                continue
            good.append(entry)
            headers.append(header)
            if not cutting and enlarges(header.height, header.width, policy):
                tally.note(entry.name, enlarged(header.height, header.width))
            if other := pictures.disguised(entry.name, header.format):
                tally.note(entry.name, other)
    return good, headers


def header_of(policy: Policy, cutting: bool, entry: Entry) -> pictures.Header | Bad:
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
    if policy.space is None or cutting:
        return header
    short, long = sorted((header.height, header.width))
    if long > policy.max_aspect * short:
        return Bad(f"is {header.width}x{header.height}, flatter than {policy.max_aspect:g}:1; crop it, or allow it with "
                   "--max-aspect", "IMG_ASPECT")  # fmt: skip
    least = policy.min_side if policy.min_side is not None else -(-min(policy.space) // 4)
    if short < least:
        return Bad(f"is {header.width}x{header.height}, and at least {least} pixels are asked for on its shorter side; "
                   "--min-side changes that", "IMG_TOO_SMALL")  # fmt: skip
    return header


def enlarges(height: float, width: float, policy: Policy) -> bool:
    """Whether pixels must be invented to bring this to the policy's size."""
    if policy.space is None:
        return False
    scales = (policy.space[0] / height, policy.space[1] / width)
    return (min(scales) if policy.fit in ("fit", "pad") else max(scales)) > 1


def enlarged(height: int, width: int, flag: str = "min-side") -> Note:
    return Note(
        f"is {width}x{height} and was enlarged; leave it out with --{flag}, or ask for a smaller --size", "IMG_UPSCALED"
    )


def common_space(source: str, headers: Sequence[pictures.Header], policy: Policy, cutter: Cutter | None) -> tuple[int, int]:
    """The (height, width) that all pictures come to. Raises DataError when they differ."""
    if policy.space is not None and policy.fit != "fit":
        return policy.space
    if cutter is not None:
        raise DataError(source, "is cut into parts of many sizes; give --size 64, or another", "IMG_SIZES")
    spaces = Counter(fitted_space(h.height, h.width, policy) for h in headers)
    if len(spaces) == 1:
        return next(iter(spaces))
    small, large = min(spaces, key=math.prod), max(spaces, key=math.prod)
    help_ = "--fit crop, pad or stretch makes them one" if policy.space else "give --size 64, or another"
    raise DataError(source, f"has pictures of {len(spaces)} sizes, from {small[1]}x{small[0]} to {large[1]}x{large[0]} "
                    f"pixels; {help_}", "IMG_SIZES")  # fmt: skip


def class_names(
    found: Sequence[Place], tree: Tree, names: Sequence[str], cutter: Cutter | None, policy: Policy, tally: Tally
) -> tuple[str, ...]:
    """The classes by folders, or those that the cuts have. Raises DataError when classes are asked for and there are none."""
    if cutter is not None and cutter.classes is not None:
        classes = cutter.classes if len(cutter.classes) > 1 else ()
    else:
        empty = empty_classes(found, names, tree)
        for name in empty:
            what = "it stays a class" if policy.keep_empty else "it is left out; --keep-empty keeps it as a class"
            tally.warn(name, f"is a class folder without a sample; {what}", "CLASS_EMPTY")
        classes = classes_of(found, empty if policy.keep_empty else (), tree.classes)
    if policy.conditional and len(classes) < 2:
        raise DataError(tally.source, f"has {len(classes) or 'no'} class, and --conditional needs two or more; put the "
                        "files into a folder for each class", "DATA_CLASSES")  # fmt: skip
    return classes


def with_held_out(entries: Sequence[Entry], found: Sequence[Place], policy: Policy) -> Sequence[Place]:
    """The same places, with a test split where there is none and one is asked for."""
    if not policy.held_out or any(place.split == "test" for place in found):
        return found
    chosen = held_out((entry.name for entry in entries), policy.held_out)
    return [
        place._replace(split="test") if entry.name in chosen else place for entry, place in zip(entries, found, strict=True)
    ]


def block(work: Work, items: Sequence[Item], split: str) -> Block:
    """The samples of these pictures; what cannot be used is in the account."""
    account = Account()
    samples: list[Bytes] = []
    labels: list[int] = []
    names: list[str] = []
    columns: dict[str, list[float]] = {name: [] for name in (work.cutter.columns if work.cutter else ())}
    for item in items:
        for name, pixels, cut in samples_of(work, item, account):
            samples.append(pixels)
            names.append(name)
            own = cut.label if cut is not None else None
            labels.append(item.label if own is None else work.classes.get(own, 0))
            for column, values in columns.items():
                values.append(cut.columns[column] if cut is not None else float("nan"))
    stacked = np.stack(samples) if samples else np.empty((0, *work.shape[1:], work.shape[0]), np.uint8)
    given = {name: np.array(values, np.float32) for name, values in columns.items()}
    return Block(stacked, np.array(labels, np.int64), split, given, names, account, len(items))


def samples_of(work: Work, item: Item, account: Account) -> Iterator[tuple[str, Bytes, Cut | None]]:
    """(name, (*S, C), cut) of each sample in a picture file."""
    try:
        with item.entry.open() as stream:
            frames = pictures.decode(stream.read(), work.policy, whole=work.cutter is not None)
    except Bad as bad:
        account.skip(item.entry.name, bad)
        return
    except Damaged as error:
        account.skip(item.entry.name, unreadable(error))
        return
    for number, frame in enumerate(frames):
        name = item.entry.name if len(frames) == 1 else f"{item.entry.name}#{number}"
        for note in frame.notes:
            account.note(name, note)
        cuts: Iterable[Cut | None] = (None,)
        if work.cutter is not None:
            cutting = work.cutter(name, frame.pixels)
            cuts = cutting.cuts
            for note in cutting.notes:
                account.note(name, note)
            for ending, why in cutting.skipped:
                account.skip(name + ending, why, item.entry.name)
        for cut in cuts:
            yield from finished(work, name, frame, cut, account)


def finished(
    work: Work, name: str, frame: pictures.Decoded, cut: Cut | None, account: Account
) -> Iterator[tuple[str, Bytes, Cut | None]]:
    """The sample of a picture or of a part of it, in the set's size and channels; nothing where it cannot have them."""
    file, sign, frame_number = name.partition("#") if name.endswith(tuple("0123456789")) else (name, "", "")
    full = name if cut is None else f"{stem(file)}{sign}{frame_number}{cut.ending}"
    part = frame.part if cut is None else (cut.left, cut.top, cut.right, cut.bottom)
    if cut is not None and enlarges(cut.bottom - cut.top, cut.right - cut.left, work.policy):
        flag = "min-face" if work.policy.faces else "min-box"
        account.note(full, enlarged(round(cut.bottom - cut.top), round(cut.right - cut.left), flag))
    sample = resized(frame.pixels, (work.shape[1], work.shape[2]), work.policy, part)
    if cut is not None and cut.mirrored:
        sample = np.ascontiguousarray(sample[:, ::-1])
    if sample.shape[2] != work.shape[0]:
        account.convert("grey to colour" if work.shape[0] == 3 else "colour to grey")
        sample = pictures.with_channels(sample, work.shape[0])
    if sample.shape != (*work.shape[1:], work.shape[0]):
        account.skip(full, Bad(f"decodes to {sample.shape}, unlike its header", "IMG_CORRUPT"))
        return
    yield full, sample, cut


def stem(name: str) -> str:
    """The name without its last suffix: what a part's name begins with."""
    head, dot, tail = name.rpartition(".")
    return head if dot and "/" not in tail and head and not head.endswith("/") else name
