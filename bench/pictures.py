"""JPEG files of 256 px to 64 px: Pillow's decode and resize against ours, and how far their results differ.

`python -m bench.pictures` prints it all.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from gansaku.data.cuts import Picture
from gansaku.data.pictures import decode
from gansaku.data.policy import Policy
from gansaku.data.resizing import resized

from .measure import Row, Side, Work, compare

LARGE, SMALL = 256, 64
POLICY = Policy(size=SMALL)
AGAINST = "Pillow: full decode, {} resize, NumPy; one thread; bytes in memory"
One = Callable[[bytes], Picture]


def photographs(count: int, size: int = LARGE) -> list[bytes]:
    """JPEGs, quality 90, about 25 KB: waves of all lengths as photographs have them, the more in light than in colour."""
    rng = np.random.default_rng(0)
    length = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])[..., None] + 0.01
    files = []
    for _ in range(count):
        spectrum = rng.normal(size=(size, size, 3)) + 1j * rng.normal(size=(size, size, 3))
        waves = np.fft.ifft2(spectrum / length**1.6, axes=(0, 1)).real
        waves = (waves + 3 * waves[..., :1]) / waves.std()
        stream = io.BytesIO()
        Image.fromarray(np.clip(128 + 15 * waves, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())
    return files


def plain(how: Image.Resampling) -> One:
    """As most loaders do it."""
    return lambda content: np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((SMALL, SMALL), how))


def ours(content: bytes) -> Picture:
    """As a preparation does it, with all checks."""
    (found,) = decode(content, POLICY)
    return resized(found.pixels, (SMALL, SMALL), POLICY, found.part)


def one_by_one(files: Sequence[bytes], make: One) -> Work:
    """The next file at each call, again and again."""
    turn = itertools.cycle(files)
    return lambda: make(next(turn))


def row(files: Sequence[bytes], name: str, rounds: int, target: float | None = None) -> Row:
    """Ours against Pillow with this filter, in CPU time, since both work on one core."""
    theirs = one_by_one(files, plain(Image.Resampling[name.upper()]))
    sides = Side(theirs, len(files)), Side(one_by_one(files, ours), len(files))
    work = f"{LARGE} px JPEG to {SMALL} px"
    return compare(work, "img/s", 1, *sides, AGAINST.format(name.capitalize()), rounds, time.process_time, target)


def difference(files: Sequence[bytes], a: One, b: One) -> float:
    """Mean over all values, of 255."""
    return float(np.mean([np.abs(a(content).astype(float) - b(content)).mean() for content in files]))


def per_second(files: Sequence[bytes], threads: int) -> float:
    """Ours on so many threads, wall time, the best of five."""
    times = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(ours, files))
            times.append(time.perf_counter() - start)
    return len(files) / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pictures", description=__doc__)
    parser.add_argument("files", nargs="*", help="JPEG files of 256 px to use in place of made ones")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    files = [Path(name).read_bytes() for name in asked.files] or photographs(200)
    lanczos, bilinear = plain(Image.Resampling.LANCZOS), plain(Image.Resampling.BILINEAR)
    print(f"{len(files)} files of {np.mean([len(content) for content in files]):,.0f} bytes")
    for name, target in (("lanczos", 1.5), ("bilinear", None)):
        made = row(files, name, asked.rounds, target)
        speeds = f"{made.plain:,.0f} -> {made.ours:,.0f} img/s, {made.ratio:.2f} times, spread {made.spread:.0%}"
        print(f"{made.work}: {speeds}; against {made.against}")
    print(f"mean difference from full Lanczos, of 255: ours {difference(files, lanczos, ours):.2f}, "
          f"bilinear {difference(files, lanczos, bilinear):.2f}")  # fmt: skip
    one = per_second(files, 1)
    for threads in range(2, (os.cpu_count() or 1) + 1):
        print(f"{threads} threads: {per_second(files, threads) / one:.2f} times one")


if __name__ == "__main__":
    main()
