"""Pictures with words: a title and sentences above, a caption below each sample, a name before each row. Arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gansaku.render.sheet import INK, PAPER, Pixels, tiles

SOFT = (89, 96, 105)
MARGIN, GAP = 24, 6  # pixels
TITLE, TEXT = 22, 14  # pixels of the letters
LINE, BELOW = 20, 18  # pixels: from one line to the next, and between the last one and what follows
LEAST = 640  # pixels that sentences have, however narrow is what stands below


def titled(body: Pixels, title: str, sentences: Sequence[str]) -> Pixels:
    """The body (H, W, 3) on paper, under a title and sentences that are broken to its width."""
    large, small = ImageFont.load_default(TITLE), ImageFont.load_default(TEXT)
    wide = max(LEAST, body.shape[1])
    lines = [line for sentence in sentences for line in wrapped(sentence, small, wide)]
    top = MARGIN + TITLE + 12 + LINE * len(lines) + BELOW
    paper = Image.new("RGB", (wide + 2 * MARGIN, top + body.shape[0] + MARGIN), (PAPER,) * 3)
    pen = ImageDraw.Draw(paper)
    pen.text((MARGIN, MARGIN), title, INK, large)
    for i, line in enumerate(lines):
        pen.text((MARGIN, MARGIN + TITLE + 12 + LINE * i), line, SOFT, small)
    paper.paste(Image.fromarray(body), (MARGIN, top))
    return np.asarray(paper)


def wrapped(sentence: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, wide: int) -> list[str]:
    """The sentence in lines of at most so many pixels; a word that is longer has a line of its own."""
    lines: list[str] = []
    for word in sentence.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= wide:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def beside(pictures: Sequence[Pixels], gap: int = GAP) -> Pixels:
    """Pictures (H, W, 3) of one height in a row, with paper between them."""
    paper = np.full((len(pictures[0]), gap, 3), PAPER, np.uint8)
    spaced = [part for picture in pictures for part in (paper, picture)][1:]
    return np.concatenate(spaced, 1)


def below(pictures: Sequence[Pixels], gap: int = GAP) -> Pixels:
    """Pictures (H, W, 3) under each other, at the left, with paper between and beside them."""
    wide = max(picture.shape[1] for picture in pictures)
    paper, rows = np.full((gap, wide, 3), PAPER, np.uint8), []
    for picture in pictures:
        rows += [paper, np.pad(picture, ((0, 0), (0, wide - picture.shape[1]), (0, 0)), constant_values=PAPER)]
    return np.concatenate(rows[1:])


def named(row: Pixels, lines: Sequence[str], width: int) -> Pixels:
    """A row (H, W, 3) with lines of text before it, in the middle of its height; the first one is dark."""
    paper = Image.new("RGB", (width, row.shape[0]), (PAPER,) * 3)
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(TEXT)
    top = (row.shape[0] - LINE * len(lines)) // 2
    for i, line in enumerate(lines):
        pen.text((0, top + LINE * i), line, SOFT if i else INK, font)
    return np.concatenate([np.asarray(paper), row], 1)


def cells(samples: Pixels, side: int) -> Pixels:
    """Samples uint8 (n, C, *S) as pictures (n, H, W, 3) of at most `side` pixels: enlarged by a whole factor, or reduced."""
    pictures = tiles(samples, side)
    longer = max(pictures.shape[1:3])
    if longer <= side:
        return pictures
    width, height = (max(1, round(length * side / longer)) for length in (pictures.shape[2], pictures.shape[1]))
    return np.stack([np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.LANCZOS)) for one in pictures])
