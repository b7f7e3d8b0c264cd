"""Generated samples beside their nearest training samples, the most suspicious first: memorization to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gansaku.errors import UsageError, printable
from gansaku.evaluation.features import STEP, extracted
from gansaku.evaluation.samples import Samples
from gansaku.evaluation.scorer import check_shapes
from gansaku.extractors.contract import Extractor
from gansaku.metrics.memorization import SHIFT, SIDE, Nearest, Replayed, inside, moved, nearest, reduced, shrunk
from gansaku.render.sheet import PAPER, Pixels, png, tiles

Progress = Callable[[str, int, int], None]

COPY = Replayed()  # says from which ratio on a sample is a copy, and to which neighbour the nearest one is compared
INK, SOFT, ACCENT, BAD = (27, 29, 33), (89, 96, 105), (10, 100, 173), (179, 38, 30)
TILE, LARGE = 96, 128  # pixels that samples are enlarged towards; those of more than half of TILE towards LARGE
MARGIN, GAP, FRAME, CAPTION, BETWEEN = 24, 6, 3, 20, 36  # pixels
BLOCKS, FEW = 2, 8  # columns of rows, where there are more than a few


class Found(NamedTuple):
    """A generated sample and its nearest real ones."""

    number: int  # of the generated sample
    sample: Pixels  # (C, *S)
    near: Pixels  # (k, C, *S), the nearest first
    distances: tuple[float, ...]  # of each
    levels: bool  # whether distances are 0..255
    ratio: float  # distance of the nearest / of the sixth nearest
    copy: bool

    def written(self, distance: float) -> str:
        """Levels of 255 to a tenth, which single precision allows; what lies within 0 and 1 to a thousandth."""
        return f"{distance:.1f}" if self.levels else f"{distance:.3f}"


@dataclass(frozen=True)
class Neighbours:
    """The most suspicious of some generated samples with their nearest real ones; `copies` counts among all of them.

    By looks a distance is the root mean square difference of 8 cells on a side, 0..255 (voxels: 0..1), at the best flip and
    small move, and a copy is what `Replayed` counts as one. By features it is 1 - |cos|, and nothing is called a copy.
    """

    rows: tuple[Found, ...]
    looked: int
    copies: int | None
    real_count: int
    generated: str
    real: str
    how: str

    def __str__(self) -> str:
        against = (
            f"{self.looked:,} samples of {printable(self.generated)} against {self.real_count:,} of {printable(self.real)}"
        )
        return against if self.copies is None else f"{against}: {self.verdict}"

    @property
    def verdict(self) -> str:
        """How many copies there are."""
        many = "None is a copy" if not self.copies else "1 is a copy" if self.copies == 1 else f"{self.copies:,} are copies"
        limit = f"at most {COPY.ratio:g} times as far from the nearest as from the sixth nearest"
        return f"{many} as Replayed counts them: {limit}."

    @property
    def sentences(self) -> list[str]:
        """What the picture shows."""
        some = f"The {len(self.rows):,} most suspicious of" if len(self.rows) < self.looked else "All"
        lines = [
            f"{some} {self.looked:,} samples of {printable(self.generated)}, framed, and their nearest of {self.real_count:,} "
            f"training samples of {printable(self.real)} with their distances: {self.how}.",
            "The first rows are those whose nearest stands out most from the sixth nearest.",
        ]
        return lines if self.copies is None else [*lines, self.verdict]

    def picture(self) -> bytes:
        """A PNG: a row for each sample, the sample in a frame, its neighbours with their distances below."""
        return png(drawn(self))


def found(
    generated: Samples,
    real: Samples,
    n: int = 1000,
    shown: int = 24,
    k: int = 5,
    extractor: Extractor | None = None,
    cache: Path | None = None,
    progress: Progress = lambda what, done, total: None,
    device: str = "cpu",
) -> Neighbours:
    """The first n generated samples against all real ones: the `shown` ones whose nearest stands out most, k neighbours each.

    Standing out is the distance of the nearest over that of the sixth nearest. Without an extractor samples are compared
    as they look, reduced to 8 cells on a side. Raises UsageError for samples of another shape, or under 8 pixels.
    """
    check_shapes({"samples"}, generated, real)
    assert real.count is not None
    n, m = (n if generated.count is None else min(n, generated.count)), real.count
    ranks = min(max(k, COPY.rank), m)
    if extractor is None:
        apart = by_looks(generated, n, real, ranks, progress)
        unit, most = ("pixels", 255) if len(real.shape) == 3 else ("voxels", 1)
        how = f"the difference of {SIDE} cells on a side, 0 to {most}, at the best flip and move by up to {SHIFT} {unit}"
    else:
        made = extracted(generated, n, extractor, cache, lambda done, total: progress("generated", done, total), device)
        there = extracted(real, m, extractor, cache, lambda done, total: progress("real", done, total), device)
        apart, how = nearest(made.features, there.features, ranks), f"1 - |cos| of the features of {extractor.identity.name}"
    first, other = apart.distances[:, 0], apart.distances[:, min(COPY.rank, ranks) - 1]
    ratios = torch.where(other > 0, first / other, torch.zeros_like(first))
    copies = (ratios <= COPY.ratio) if extractor is None else torch.zeros_like(ratios, dtype=torch.bool)
    rows = []
    for i in ratios.argsort(stable=True)[:shown].tolist():
        near = torch.cat([real.block(j, j + 1) for j in apart.indices[i, :k].tolist()])
        distances = tuple(apart.distances[i, :k].tolist())
        sample, levels = generated.block(i, i + 1)[0].numpy(), extractor is None and len(real.shape) == 3
        rows.append(Found(i, sample, near.numpy(), distances, levels, float(ratios[i]), bool(copies[i])))
    total = int(copies.sum()) if extractor is None else None
    return Neighbours(tuple(rows), n, total, m, generated.name, real.name, how)


def by_looks(generated: Samples, n: int, real: Samples, k: int, progress: Progress = lambda what, done, total: None) -> Nearest:
    """The k nearest real samples of the first n generated ones, as `Replayed` compares them, in root mean square per cell."""
    if min(real.shape[1:]) < SIDE:
        sizes = " × ".join(map(str, real.shape[1:]))
        raise UsageError("--neighbours", f"needs samples of {SIDE} pixels or more on each side, and they have {sizes}", "SHAPE")
    assert real.count is not None
    parts = []
    for start in range(0, real.count, STEP):
        stop = min(start + STEP, real.count)
        parts.append(reduced(inside(shrunk(real.block(start, stop)), (0,) * (len(real.shape) - 1))))
        progress("real", stop, real.count)
    cells = torch.cat(parts)
    squares = cells.square().sum(1)
    distances, indices = [], []
    for start in range(0, n, STEP):
        stop = min(start + STEP, n)
        best = torch.full((stop - start, len(cells)), torch.inf)
        for rows in map(reduced, moved(shrunk(generated.block(start, stop)))):
            apart = torch.addmm(squares, rows, cells.T, alpha=-2).add_(rows.square().sum(1)[:, None])
            torch.minimum(best, apart, out=best)
        these = best.topk(k, 1, largest=False)
        distances.append(these.values.clamp_min(0).div(cells.shape[1]).sqrt().double())
        indices.append(these.indices)
        progress("generated", stop, n)
    return Nearest(torch.cat(distances), torch.cat(indices))


def drawn(neighbours: Neighbours) -> Pixels:
    """The whole picture (H, W, 3)."""
    rows = [strip(row) for row in neighbours.rows]
    blocks = BLOCKS if len(rows) > FEW else 1
    each = -(-len(rows) // blocks)
    height, width = rows[0].shape[:2]
    wide = 2 * MARGIN + blocks * width + (blocks - 1) * BETWEEN
    title, text = ImageFont.load_default(22), ImageFont.load_default(14)
    lines = [line for sentence in neighbours.sentences for line in wrapped(sentence, text, wide - 2 * MARGIN)]
    top = MARGIN + 34 + 20 * len(lines) + 16
    paper = Image.new("RGB", (wide, top + each * height + MARGIN), (PAPER,) * 3)
    pen = ImageDraw.Draw(paper)
    pen.text((MARGIN, MARGIN), "Generated samples and their nearest training samples", INK, title)
    for i, line in enumerate(lines):
        pen.text((MARGIN, MARGIN + 34 + 20 * i), line, SOFT, text)
    for i, row in enumerate(rows):
        paper.paste(Image.fromarray(row), (MARGIN + i // each * (width + BETWEEN), top + i % each * height))
    return np.asarray(paper)


def strip(row: Found) -> Pixels:
    """One row (H, W, 3): the generated sample in its frame, its neighbours, and below each what is known of it."""
    pictures = enlarged(np.concatenate([row.sample[None], row.near]))
    n, height, width = pictures.shape[:3]
    step, color = width + GAP, BAD if row.copy else ACCENT
    paper = Image.new("RGB", (FRAME * 2 + n * step + GAP, FRAME * 2 + height + CAPTION + GAP), (PAPER,) * 3)
    pen, text = ImageDraw.Draw(paper), ImageFont.load_default(13)
    pen.rectangle((0, 0, width + 2 * FRAME - 1, height + 2 * FRAME - 1), color)
    captions = [f"#{row.number}{' copy' if row.copy else ''}", *[row.written(distance) for distance in row.distances]]
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = FRAME if i == 0 else 2 * FRAME + GAP + i * step
        paper.paste(Image.fromarray(picture), (left, FRAME))
        pen.text((left + width / 2, 2 * FRAME + height + 1), caption, SOFT if i else color, text, anchor="ma")
    return np.asarray(paper)


def enlarged(samples: NDArray[np.uint8]) -> Pixels:
    """Samples (n, C, *S) as pictures (n, H, W, 3): small ones by a whole factor, those larger than LARGE reduced to it."""
    if samples.ndim == 5:
        return tiles(np.where(samples > 0, 255, 0).astype(np.uint8), LARGE)
    longer = max(samples.shape[2:])
    pictures = tiles(samples, TILE if longer <= TILE // 2 else LARGE)
    if longer <= LARGE:
        return pictures
    size = tuple(max(1, round(side * LARGE / longer)) for side in samples.shape[:1:-1])
    return np.stack([np.asarray(Image.fromarray(p).resize((size[0], size[1]), Image.Resampling.LANCZOS)) for p in pictures])


def wrapped(sentence: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, wide: int) -> list[str]:
    """The sentence in lines of at most so many pixels."""
    lines = [""]
    for word in sentence.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > wide:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
