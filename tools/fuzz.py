"""Damages files at random and sees what becomes of them: `make fuzz MINUTES=10`.

    python tools/fuzz.py --minutes 10 [--targets pictures zip] [--keep FOLDER]
    python tools/fuzz.py --inputs 100 --seed 0
    python tools/fuzz.py --replay FOLDER/pictures-0-17.bin

The law: reading a damaged file gives a sound result, or an error of this program's own kind; never another exception, never
more than five seconds of computing, never 512 MiB more than before. Inputs are made from good and bad files by
(target, seed, number) alone, so that each can be made again. They are read in forks; what breaks the law is kept and told.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "tests" / "data"))

SECONDS = 5.0  # of computing
WAITING = 60.0  # seconds by the clock, on a machine that may be busy
MOST_MEMORY = 512 << 20
LARGEST_SEED = 1 << 16  # bytes of a real file that is taken
BATCH = 200  # inputs a fork
NUMBERS = (
    0,
    1,
    2,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
TOKEN = re.compile(rb'"[^"\n]*"|-?\d[\d.e+-]*|[A-Za-z_]+')
STRANGE = (b"true", b"null", b"[]", b"{}", b'""', b"-1", b"0", b"1.5", b"1e400", b"nan", b'"none"', b"[[1, 2], 3]", b'{"a": 1}',
           b'"\\u001b"', b"9" * 20, b"")  # fmt: skip
WORDS = (
    b"-1",
    b"0",
    b"1e9",
    b"nan",
    b"null",
    b"9" * 40,
    b"[[[[[[[[",
    b"]",
    b"{",
    b'"',
    b"<",
    b"\xff\xfe",
    b"\0",
    b"../",
    b"\n",
    b" ",
)


class Target(NamedTuple):
    """Good files to start from, and what reads a damaged one in an empty folder.

    `fix` mends checksums and lengths, so that not all damage is found by the first of them. `text`: tokens are exchanged.
    `library` is what may crash or loop in its own code, which is told, and not counted.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], None]
    fix: Callable[[bytes], bytes] | None = None
    text: bool = False
    library: str = ""


# What reads


def prepared(
    name: str, beside: Callable[[], dict[str, bytes]] | None, choices: dict[str, Any], content: bytes, folder: Path
) -> None:
    """`gansaku prepare`: of this file alone, or of a folder that holds it among others. Checks the dataset that is made."""
    import numpy as np

    from gansaku.data.policy import policy
    from gansaku.data.sources import prepare

    source = folder / "source"
    if beside is None:
        source = folder / name
        source.write_bytes(content)
    else:
        for other, data in {**beside(), name: content}.items():
            (source / other).parent.mkdir(parents=True, exist_ok=True)
            (source / other).write_bytes(data)
    made = prepare(str(source), folder / "made.h5", policy(max_bad=1.0, **choices))
    rows = made.rows(np.arange(min(4, sum(made.counts.values()))))
    assert rows.dtype == np.uint8
    assert rows.shape[1:] == (*made.shape[1:], made.shape[0])
    assert not made.voxels or rows.max() <= 1
    assert made.counts["train"] >= 1
    json.dumps(made.report)


def decoded(content: bytes, folder: Path) -> None:
    """The picture's header and pixels, by several policies."""
    import io

    import numpy as np

    from gansaku.data import pictures
    from gansaku.data.policy import policy

    pictures.header(io.BytesIO(content))
    for chosen, whole in ((policy(8), False), (policy(8, frames="all", full_decode=True), False), (policy(), True)):
        for frame in pictures.decode(content, chosen, whole):
            assert frame.pixels.dtype == np.uint8
            assert frame.pixels.ndim == 3
            assert frame.pixels.shape[2] in (1, 3)
            assert frame.pixels.size


def recipe(content: bytes, folder: Path) -> None:
    from gansaku.data.store import Facts
    from gansaku.recipes.registry import find

    (folder / "mine.toml").write_bytes(content)
    find(str(folder / "mine.toml"), Facts("x", (3, 16, 16), 40, ()))


def loaded(content: bytes, folder: Path) -> None:
    """A checkpoint with these tensors and a manifest that says that they are right."""
    import torch

    from gansaku.runs import checkpoint, manifest
    from gansaku.training.state import counts

    path, state = folder / f"{8:012d}", small_state()
    path.mkdir()
    (path / manifest.TENSORS).write_bytes(content)
    (path / manifest.NUMBERS).write_text(json.dumps({**counts(state), "run": ""}))
    digests = {name: manifest.describe(path / name)["sha256"] for name in (manifest.TENSORS, manifest.NUMBERS)}
    manifest.write(path, digests, {"seen": 8})
    checkpoint.load(path, state)
    assert all(value.dtype in checkpoint.KINDS for value in checkpoint.tensors(state).values())
    assert torch.is_grad_enabled()


def counted(content: bytes, folder: Path) -> None:
    """A checkpoint with these counts."""
    from gansaku.runs import checkpoint, manifest

    path, state = folder / f"{8:012d}", small_state()
    path.mkdir()
    (path / manifest.TENSORS).write_bytes(small_tensors())
    (path / manifest.NUMBERS).write_bytes(content)
    digests = {name: manifest.describe(path / name)["sha256"] for name in (manifest.TENSORS, manifest.NUMBERS)}
    manifest.write(path, digests, {"seen": 8})
    checkpoint.load(path, state)
    assert state.seen >= 0


# What to start from


def of_corpus(prefix: str, kinds: str = "SWC", suffixes: tuple[str, ...] = ()) -> list[bytes]:
    """The single bad files of the corpus' cases, and good ones."""
    found = []
    import corpus

    for case in corpus.cases():
        content = getattr(case.build, "keywords", {}).get("files", {})
        if case.id[0] == prefix and case.kind in kinds:
            found += [made for name, data in content.items() if not suffixes or name.endswith(suffixes)
                      for made in [data() if callable(data) else data] if 0 < len(made) <= LARGEST_SEED]  # fmt: skip
    return found


def shared(pattern: str) -> list[bytes]:
    """Real files, where they are there: the small ones of a folder, or of a zip by `archive.zip/*.xml`."""
    import fnmatch
    import zipfile

    archive, _, inner = pattern.partition("!")
    found = []
    for path in sorted(SHARED.glob(archive)):
        if not inner and path.stat().st_size <= LARGEST_SEED:
            found.append(path.read_bytes())
        elif inner:
            with zipfile.ZipFile(path) as opened:
                infos = [i for i in opened.infolist() if fnmatch.fnmatch(i.filename, inner) and 0 < i.file_size <= LARGEST_SEED]
                found += [opened.read(info) for info in infos[:6]]
    return found


def picture_seeds() -> list[bytes]:
    from corpus_pictures import encoded, jpeg, scene

    made = [
        jpeg(),
        jpeg(progressive=True),
        jpeg(subsampling=2, optimize=True),
        encoded(scene(20, 12)),
        encoded(scene(20, 12)[..., 0]),
    ]
    made += [encoded(scene(20, 12), form) for form in ("BMP", "GIF", "TIFF", "WEBP")]
    made += [encoded(scene(20, 12), "TIFF", compression=how) for how in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    return [*made, *of_corpus("I", "WC"), *shared("raccoon_voc.zip!*.jpg"), *shared("anime_faces_64.zip!*.jpg")]


def built(build: Callable[[Path], Path]) -> bytes:
    """The one file that a case of the corpus makes."""
    folder = Path(tempfile.mkdtemp(dir=quick()))
    try:
        return build(folder).read_bytes()
    finally:
        shutil.rmtree(folder)


def archives(suffix: str) -> list[bytes]:
    import corpus_folders

    cases = [case for case in corpus_folders.CASES if f"{suffix.strip('.')}" in case.what or "entry" in case.what]
    found = []
    for case in cases:
        folder = Path(tempfile.mkdtemp(dir=quick()))
        source = case.build(folder)
        if source.suffix == suffix and source.stat().st_size <= LARGEST_SEED:
            found.append(source.read_bytes())
        shutil.rmtree(folder)
    return found


def hdf5_seeds() -> list[bytes]:
    import corpus_voxels as voxels

    def chunked(file: Any) -> None:
        file.create_dataset("data", data=voxels.values(), chunks=(2, 4, 4, 4), compression="gzip", shuffle=True)
        file.create_dataset("label", data=[0, 1, 0, 1, 0])

    plain = [voxels.hdf5(fill) for fill in (voxels.assigned("data", voxels.values()), voxels.virtual, voxels.enormous, chunked)]
    return [built(build) for build in plain]


def npy_seeds() -> list[bytes]:
    import corpus_voxels as voxels

    kinds = ("|u1", "<i4", "<f4", ">f8", "|b1")
    made = [voxels.array_file((voxels.values((6, 8, 8, 3)) * 200).astype(kind)) for kind in kinds]
    return [*made, voxels.array_file(voxels.values()), voxels.objects(), voxels.claimed((1 << 40, 8, 8, 3))]


def npz_seeds() -> list[bytes]:
    import io

    import numpy as np
    from corpus_voxels import values

    plain, packed = io.BytesIO(), io.BytesIO()
    pictures, labels = values((6, 8, 8, 3)) * 200, np.array([0, 1, 2, 0, 1, 2])
    np.savez(plain, x_train=pictures, y_train=labels, class_names=np.array(["a", "b", "c"]))
    np.savez_compressed(packed, x_train=pictures, y_train=labels, x_test=pictures[:2], y_test=labels[:2])
    return [plain.getvalue(), packed.getvalue()]


def idx(values: Any) -> bytes:
    return b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.astype("u1").tobytes()


def idx_seeds() -> list[bytes]:
    import gzip

    from corpus_voxels import values

    content = idx(values((6, 8, 8)) * 200)
    return [content, gzip.compress(content, mtime=0)]


def idx_others() -> dict[str, bytes]:
    import numpy as np

    return {"train-labels-idx1-ubyte": idx(np.array([0, 1, 2, 0, 1, 2]))}


def listing_seeds() -> list[bytes]:
    labels = [[f"good_{i}.png", i % 2] for i in range(3)]
    flags = [[f"good_{i}.png", [float(i == j) for j in range(3)]] for i in range(3)]
    return [json.dumps(content).encode() for content in
            ({"labels": labels}, {"labels": flags}, {"labels": None}, {"labels": labels, "class_names": ["a"]})]  # fmt: skip


def good_pictures() -> dict[str, bytes]:
    from corpus_pictures import COLOURS, encoded, flat

    return {f"good_{i}.png": encoded(flat(colour)) for i, colour in enumerate(COLOURS)}


def good_boxes() -> dict[str, bytes]:
    from corpus_boxes import photo, voc
    from corpus_pictures import encoded

    return {"images/good.png": encoded(photo()), "xml/good.xml": voc().encode(), "images/bad.png": encoded(photo())}


def good_voxels() -> dict[str, bytes]:
    from corpus_voxels import binvox, grid

    return {"good.binvox": binvox(grid(1))}


def xml_seeds() -> list[bytes]:
    import corpus_boxes

    made = [case.build.keywords["xml"].get("bad", b"") for case in corpus_boxes.CASES]
    plain = [content if isinstance(content, bytes) else content.encode() for content in made]
    return [content for content in plain if 0 < len(content) <= LARGEST_SEED] + shared("raccoon_voc.zip!*.xml")


def binvox_seeds() -> list[bytes]:
    return [*of_corpus("V", "SW", (".binvox",)), *good_voxels().values(), *shared("binvox/*.binvox")]


def recipe_seeds() -> list[bytes]:
    from gansaku.data.store import Facts
    from gansaku.recipe import to_toml
    from gansaku.recipes.registry import find

    return [to_toml(find(name, Facts("x", (3, 16, 16), 40, ()))).encode() for name in ("auto", "dcgan")]


@cache
def small_recipe() -> Any:
    from gansaku.data.store import Facts
    from gansaku.recipes.registry import find

    narrow = {"generator.network.width": 1, "discriminator.network.width": 1, "latent.size": 2, "generator.network.latent": 2}
    return find("auto", Facts("x", (1, 8, 8), 40, ())).but(narrow)


def small_state() -> Any:
    from gansaku.training.state import begin

    return begin(small_recipe())


@cache
def small_tensors() -> bytes:
    """The bytes of its checkpoint."""
    from gansaku.runs import checkpoint, manifest

    folder = Path(tempfile.mkdtemp(dir=quick()))
    content = (checkpoint.save(folder, small_state()) / manifest.TENSORS).read_bytes()
    shutil.rmtree(folder)
    return content


def count_seeds() -> list[bytes]:
    from gansaku.training.state import counts

    return [json.dumps({**counts(small_state()), "run": ""}).encode()]


def parquet_seeds() -> list[bytes]:
    import io

    import pyarrow
    from pyarrow import parquet

    rows = [
        {"image": {"bytes": content, "path": name}, "label": i} for i, (name, content) in enumerate(good_pictures().items())
    ]
    stream = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), stream)
    return [stream.getvalue()]


# Mending, so that damage is not always found by the first checksum


def png_sums(content: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have."""
    out, at = bytearray(content), 8
    while content[:4] == b"\x89PNG" and at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4], "big")
        if at + 12 + length > len(out):
            break
        out[at + 8 + length : at + 12 + length] = struct.pack(">I", zlib.crc32(bytes(out[at + 4 : at + 8 + length])))
        at += 12 + length
    return bytes(out)


def header_length(content: bytes) -> bytes:
    """Safetensors whose header's length is where its JSON ends."""
    end = content.rfind(b"}", 0, 1 << 15) + 1
    return struct.pack("<Q", max(0, end - 8)) + content[8:]


def zip_sums(content: bytes) -> bytes:
    """A zip whose stored entries have the checksums that they should have."""
    out, at, sums = bytearray(content), content.find(b"PK\3\4"), dict[int, bytes]()
    while at >= 0 and at + 30 <= len(out):
        name, extra = struct.unpack("<HH", out[at + 26 : at + 30])
        start, size = at + 30 + name + extra, int.from_bytes(out[at + 18 : at + 22], "little")
        if out[at + 8 : at + 10] == b"\0\0":
            sums[at] = struct.pack("<I", zlib.crc32(bytes(out[start : start + size])))
            out[at + 14 : at + 18] = sums[at]
        at = content.find(b"PK\3\4", at + 4)
    at = content.find(b"PK\1\2")
    while at >= 0 and at + 46 <= len(out):
        out[at + 16 : at + 20] = sums.get(int.from_bytes(out[at + 42 : at + 46], "little"), bytes(out[at + 16 : at + 20]))
        at = content.find(b"PK\1\2", at + 4)
    return bytes(out)


def tar_sums(content: bytes) -> bytes:
    """A tar whose headers have the checksums that they should have."""
    out = bytearray(content)
    for at in range(0, len(out) - 511, 512):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)


PICTURES = {"size": 8}
TARGETS = {
    "pictures": Target(picture_seeds, decoded, png_sums),
    "folder": Target(picture_seeds, partial(prepared, "bad.png", good_pictures, PICTURES), png_sums),
    "zip": Target(partial(archives, ".zip"), partial(prepared, "source.zip", None, PICTURES), zip_sums),
    "tar": Target(partial(archives, ".tar"), partial(prepared, "source.tar", None, PICTURES), tar_sums),
    "xml": Target(xml_seeds, partial(prepared, "xml/bad.xml", good_boxes, {"boxes": "xml", "size": 8}), text=True),
    "binvox": Target(binvox_seeds, partial(prepared, "bad.binvox", good_voxels, {"size": 4})),
    "hdf5": Target(hdf5_seeds, partial(prepared, "source.h5", None, {}), library="libhdf5"),
    "npy": Target(npy_seeds, partial(prepared, "source.npy", None, {})),
    "npz": Target(npz_seeds, partial(prepared, "source.npz", None, {}), zip_sums),
    "idx": Target(idx_seeds, partial(prepared, "train-images-idx3-ubyte", idx_others, {})),
    "dataset.json": Target(listing_seeds, partial(prepared, "dataset.json", good_pictures, PICTURES), text=True),
    "parquet": Target(parquet_seeds, partial(prepared, "source.parquet", None, PICTURES)),
    "recipe": Target(recipe_seeds, recipe, text=True),
    "tensors": Target(lambda: [small_tensors()], loaded, header_length),
    "counts": Target(count_seeds, counted, text=True),
}


# Damaging


def damaged(target: Target, seeds: list[bytes], draw: random.Random) -> bytes:
    """One of the seeds, changed in one to eight places."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 1, 2, 3, 8))):
        way = draw.choice(IN_TEXT if target.text and draw.random() < 0.7 else WAYS)
        way(content, draw, seeds)
    made = bytes(content[: 4 * LARGEST_SEED])
    return target.fix(made) if target.fix is not None and draw.random() < 0.5 else made


def place(content: bytearray, draw: random.Random) -> int:
    """Somewhere; more often near the beginning, where headers are."""
    return draw.randrange(min(len(content), 300) if draw.random() < 0.3 else len(content)) if content else 0


def flip(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    if content:
        content[place(content, draw)] ^= 1 << draw.randrange(8)


def byte(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    if content:
        content[place(content, draw)] = draw.randrange(256)


def number(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    width, at = draw.choice((1, 2, 4, 8)), place(content, draw)
    value = draw.choice(NUMBERS) % (1 << 8 * width)
    content[at : at + width] = value.to_bytes(width, draw.choice(("little", "big")))


def digits(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    """A written number becomes another."""
    found = list(re.finditer(rb"\d+", content))
    if found:
        one = draw.choice(found)
        content[one.start() : one.end()] = draw.choice((*WORDS[:6], str(draw.choice(NUMBERS)).encode(), b"4", b"0.5"))


def token(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    """A word, number or text becomes another of the same or another file, or something else."""
    found = list(TOKEN.finditer(content))
    if found:
        others = [match[0] for match in TOKEN.finditer(draw.choice(seeds))]
        one = draw.choice(found)
        content[one.start() : one.end()] = draw.choice((*others, *STRANGE))


def line(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    """A line is left out, doubled, or moved."""
    lines = bytes(content).splitlines(keepends=True)
    at = draw.randrange(len(lines)) if lines else 0
    taken = lines[at : at + 1]
    if draw.random() < 0.7:
        del lines[at : at + 1]
    if draw.random() < 0.6:
        to = draw.randrange(len(lines) + 1)
        lines[to:to] = taken
    content[:] = b"".join(lines)


def word(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    at = place(content, draw)
    content[at:at] = draw.choice(WORDS) * draw.choice((1, 1, 1, 50))


def remove(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    at = place(content, draw)
    del content[at : at + draw.choice((1, 2, 4, 16, 300))]


def cut(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    del content[place(content, draw) :]


def zero(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    at, length = place(content, draw), draw.choice((4, 40, 400))
    content[at : at + length] = bytes(min(length, len(content) - at))


def repeat(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    at = place(content, draw)
    content[at:at] = content[at : at + draw.choice((1, 8, 64, 512))] * draw.choice((1, 1, 20))


def splice(content: bytearray, draw: random.Random, seeds: list[bytes]) -> None:
    other = draw.choice(seeds)
    at = place(content, draw)
    content[at:] = other[draw.randrange(len(other) + 1) :]


IN_TEXT = (digits, token, token, token, line)
WAYS = (flip, flip, byte, byte, number, number, number, digits, word, remove, cut, zero, repeat, splice)


# Running

TOOK = {-signal.SIGPROF: "computed for too long", -signal.SIGALRM: "waited for too long"}


class Broken(NamedTuple):
    """An input that broke the law, and the library that did, where it was not this program."""

    target: str
    seed: int
    number: int
    why: str
    library: str = ""


@cache
def quick() -> str:
    """A folder in memory where there is one: every input is written."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


@cache
def seeds_of(name: str) -> list[bytes]:
    return TARGETS[name].seeds()


def input_of(name: str, seed: int, number: int) -> bytes:
    return damaged(TARGETS[name], seeds_of(name), random.Random(f"{name}/{seed}/{number}"))


def tried(name: str, seed: int, start: int, stop: int) -> Iterator[Broken]:
    """Reads the inputs from start to stop in forks, a new one after each that broke the law."""
    seeds_of(name)
    while start < stop:
        marker, work = mmap.mmap(-1, 1 << 16), Path(tempfile.mkdtemp(prefix="fuzz-", dir=quick()))
        pid = os.fork()
        if pid == 0:
            read_all(name, seed, start, stop, marker, work)
        _, status, _ = os.wait4(pid, 0)
        shutil.rmtree(work, ignore_errors=True)
        at, length = struct.unpack("<QQ", marker[:16])
        if os.waitstatus_to_exitcode(status) == 0 and not length:
            return
        code = os.waitstatus_to_exitcode(status)
        said = marker[16 : 16 + length].decode("utf-8", "replace")
        library = "" if said else TARGETS[name].library
        yield Broken(name, seed, at, said or TOOK.get(code, f"ended with {code}"), library)
        start = at + 1


def read_all(name: str, seed: int, start: int, stop: int, marker: mmap.mmap, work: Path) -> None:
    """The fork: read one after the other; tell what broke the law, and end there."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    for ending in TOOK:
        signal.signal(-ending, signal.SIG_DFL)
    code = 0
    try:
        for at in range(start, stop):
            content = input_of(name, seed, at)
            marker[:16] = struct.pack("<QQ", at, 0)
            why = read_one(name, content, work)
            if why:
                text = why.encode()[-30_000:]
                marker[16 : 16 + len(text)] = text
                marker[:16] = struct.pack("<QQ", at, len(text))
                break
    except BaseException:
        code = 3
    finally:
        os._exit(code)


def read_one(name: str, content: bytes, work: Path) -> str:
    """What is wrong, or ""."""
    from gansaku.data.tally import Bad
    from gansaku.errors import GansakuError

    folder = Path(tempfile.mkdtemp(dir=work))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        TARGETS[name].read(content, folder)
    except Bad as bad:
        return "" if bad.sentence and bad.code else f"a Bad without sentence or code: {bad!r}"
    except GansakuError as error:
        return "" if str(error).isprintable() and error.code else f"an error without code, or not printable: {error!r}"
    except Exception:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        shutil.rmtree(folder, ignore_errors=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return f"took {grown >> 20} MiB of memory" if grown > MOST_MEMORY else ""


def told(broken: Broken, keep: Path | None) -> None:
    """Say which, and keep it."""
    name = f"{broken.target}-{broken.seed}-{broken.number}"
    lines = broken.why.strip().splitlines()
    print(f"{name}: {lines[-1]}{f', in {broken.library}' if broken.library else ''}", flush=True)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{name}.bin").write_bytes(input_of(broken.target, broken.seed, broken.number))
        (keep / f"{name}.txt").write_text(broken.why)


def replayed(file: Path) -> int:
    """Read one kept input again, here, with its traceback."""
    name = next(name for name in TARGETS if file.name.startswith(f"{name}-"))
    with tempfile.TemporaryDirectory(dir=quick()) as work:
        why = read_one(name, file.read_bytes(), Path(work))
    print(why or "it keeps the law")
    return 1 if why else 0


def main() -> int:
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--minutes", type=float, default=10, help="go on for so long")
    flags.add_argument("--inputs", type=int, help="so many for each target, and stop")
    flags.add_argument("--seed", type=int, default=0, help="other inputs")
    flags.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    flags.add_argument("--keep", type=Path, help="a folder for the inputs that break the law")
    flags.add_argument("--replay", type=Path, help="one of them")
    given = flags.parse_args()
    if given.replay:
        return replayed(given.replay)
    until = time.monotonic() + 60 * given.minutes
    rounds, count, broken = 0, 0, 0
    while True:
        for name in given.targets:
            start = rounds * BATCH
            stop = start + BATCH if given.inputs is None else given.inputs
            count += stop - start
            for one in tried(name, given.seed, start, stop):
                broken += not one.library
                told(one, given.keep)
            if given.inputs is None and time.monotonic() > until:
                break
        rounds += 1
        if given.inputs is not None or time.monotonic() > until:
            break
    print(f"{count:,} inputs, {broken} of them broke the law")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
