"""The viewer: grids of voxels as one HTML page that turns, cuts and thresholds them and needs nothing from outside.

Drawn with WebGL 2 itself, not with three.js: one shader, one camera and 60 kB of sources are all that a viewer of boxes takes,
so the page stays small and nobody needs Node to build it. The scripts are joined as they are.

Whatever comes from the data is text in JSON or passes `e` on its way into the page: names may be anybody's.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files as packaged
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku.data.content import Bytes
from gansaku.data.store import sides
from gansaku.errors import DataError, UsageError, printable

SCRIPTS = ("read.js", "mesh.js", "camera.js", "scene.js", "view.js", "page.js")
VERSION = 1  # of the data in a page
MOST_SIDE = 1023  # voxels: what 10 bits of a rectangle's corner hold
LARGEST = 1 << 27  # characters of data: what a browser reads without trouble


@dataclass(frozen=True, eq=False)
class Grid:
    """One sample: (D, H, W) of bool, or of uint8 `levels` of probabilities."""

    name: str
    voxels: NDArray[np.bool_] | Bytes


def levels(values: NDArray[Any], low: float = 0.0) -> Bytes:
    """Probabilities as the levels 0 to 255, level k being above k/256 up to (k+1)/256, so that a threshold of k/256 is exact.

    `values` from 0 to 1, or from -1 to 1 where `low` is negative: a sample's value v is the probability (v + 1) / 2.
    """
    scaled = values.astype(np.float64) * 128 + 128 if low < 0 else values.astype(np.float64) * 256
    found: Bytes = np.clip(np.ceil(scaled) - 1, 0, 255).astype(np.uint8)
    return found


def page(title: str, grids: Iterable[Grid]) -> str:
    """The whole page. Grids are taken one by one, and packed at once.

    Raises DataError for a side beyond 1,023 voxels, UsageError when all together are too much for a page.
    """
    samples, size = [], 0
    for grid in grids:
        samples.append(packed(grid))
        size += len(samples[-1]["data"])
        if size > LARGEST:
            raise UsageError("-n", f"{len(samples):,} samples and more are too much for a page, beyond {LARGEST >> 20} MB; "
                             "give fewer", "VIEW_LARGE")  # fmt: skip
    if not samples:
        raise UsageError(title, "holds no samples to show", "VIEW_EMPTY")
    script, style = "".join(f"// {name}\n{asset(name)}" for name in SCRIPTS), asset("page.css")
    script = f'"use strict";\n{script}'
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src '{hashed(style)}'; script-src '{hashed(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps({"version": VERSION, "samples": samples}, ensure_ascii=True).replace("<", "\\u003c")
    return Template(asset("page.html")).substitute(policy=policy, title=e(title), style=style, script=script, data=data)


def packed(grid: Grid) -> dict[str, Any]:
    """A sample as the page holds it: bits or levels, deflated, in base64."""
    if max(grid.voxels.shape) > MOST_SIDE:
        raise DataError(grid.name, f"is {sides(grid.voxels.shape)}, and a page shows at most {MOST_SIDE:,} voxels a side; make "
                        "it smaller", "VIEW_SIDE")  # fmt: skip
    soft = grid.voxels.dtype != np.bool_
    content = grid.voxels if soft else np.packbits(grid.voxels.reshape(math.prod(grid.voxels.shape)))
    data = b64encode(zlib.compress(content.tobytes(), 6)).decode()
    return {"name": printable(grid.name), "shape": list(grid.voxels.shape), "soft": soft, "data": data}


def e(text: str) -> str:
    """Text that is safe between tags; what cannot be printed is written as an escape."""
    return escape(printable(text), quote=True)


def hashed(text: str) -> str:
    """How a policy names the one text that it allows."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def asset(name: str) -> str:
    return packaged("gansaku.viewer").joinpath(name).read_text(encoding="utf-8")
