"""A chair of voxels as a PNG: ours, by the polygons of its visible faces in Pillow, and by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gansaku.data.bundled import chairs
from gansaku.render.sheet import png
from gansaku.render.voxels import draw

from .measure import Clock, Row, Side, compare

Grid = NDArray[np.bool_]

PIXELS = 256
TARGET = 865.0  # 17.3 seconds, as once measured, against 20 milliseconds


def rows(rounds: int, clock: Clock, full: bool) -> Iterator[Row]:
    """Both sides draw the same chair from the same side; matplotlib takes seconds to a quarter of a minute for each."""
    side = 64 if full else 32
    chair = chairs(1, side)[0]
    ours = Side(lambda: png(draw(chair, PIXELS)), 20)
    plain = Side(lambda: polygons(chair), 3)
    against = "the visible faces sorted by depth, each a polygon in Pillow: no light between boxes, no smooth edges"
    yield compare(f"draw a {side}³ chair, Pillow", "chairs/s", 1, plain, ours, against, rounds, clock)
    if importlib.util.find_spec("matplotlib") is not None:
        usual = Side(lambda: matplotlib_voxels(chair))
        against = "matplotlib's ax.voxels and savefig"
        yield compare(f"draw a {side}³ chair, matplotlib", "chairs/s", 1, usual, ours, against, rounds, clock, TARGET)


def polygons(grid: Grid, turn: float = 30, height: float = 25) -> bytes:
    """A picture as one would draw it by hand: from far to near."""
    t, h = math.radians(turn), math.radians(height)
    right = np.array([math.cos(t), -math.sin(t), 0])
    away = np.array([math.sin(t), math.cos(t), 0])
    up = np.array([*(away[:2] * math.sin(h)), math.cos(h)])
    towards = np.array([*(-away[:2] * math.cos(h)), math.sin(h)])
    scale = 0.96 * PIXELS / math.hypot(*grid.shape)
    padded = np.pad(grid, 1)
    found: list[tuple[float, NDArray[Any], int]] = []
    for axis in range(3):
        sign = 1 if towards[axis] > 0 else -1
        beyond = np.roll(padded, -sign, axis)[1:-1, 1:-1, 1:-1]
        u, v = np.eye(3)[[(axis + 1) % 3, (axis + 2) % 3]]
        around = np.stack([0 * u, u, u + v, v]) + (sign > 0) * np.eye(3)[axis]
        corners = np.argwhere(grid & ~beyond)[:, None] + around - np.array(grid.shape) / 2
        places = PIXELS / 2 + scale * np.stack([corners @ right, -(corners @ up)], axis=-1)
        found += zip((corners.mean(axis=1) @ towards).tolist(), places, [axis] * len(places), strict=True)
    paper = Image.new("RGB", (PIXELS, PIXELS), "white")
    pen = ImageDraw.Draw(paper)
    shades = [(170, 130, 84), (198, 150, 98), (238, 182, 118)]
    for _, place, axis in sorted(found, key=lambda one: one[0]):
        pen.polygon(list(map(tuple, place.tolist())), fill=shades[axis], outline=(120, 90, 60))
    buffer = io.BytesIO()
    paper.save(buffer, "png")
    return buffer.getvalue()


def matplotlib_voxels(grid: Grid) -> bytes:
    """The usual way of a notebook."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PIXELS / 100, PIXELS / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot(projection="3d")
    axes.voxels(grid, facecolors="#e2ac70", edgecolor="#886644")
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return buffer.getvalue()
