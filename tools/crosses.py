"""Draws docs/how-to/crosses.png: noise around one through a transposed convolution, and through upsampling and convolution.

    python tools/crosses.py

The operations are those of docs/how-to/upsampling.md, run as they stand there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku import files
from gansaku.render.sheet import png, sheet

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "upsampling.md"
SIDE, SHOWN, TIMES = 100, 72, 5  # of the noise, of the part that is shown, and how much it is enlarged


def operations() -> dict[str, Any]:
    """The page's Python, run."""
    found: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        exec(block, found)
    return found


def picture(y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey, three deviations to both sides of the mean."""
    part = y[2 : 2 + SHOWN, 2 : 2 + SHOWN]
    grey = np.clip(128 + 127 * (part - part.mean()) / (3 * part.std()), 0, 255).astype(np.uint8)
    return np.repeat(grey.repeat(TIMES, 0).repeat(TIMES, 1)[..., None], 3, 2)


def main() -> None:
    page = operations()
    noise = np.random.default_rng(1).normal(1, 0.1, (SIDE, SIDE))
    one = page["convolve_transposed"](noise, page["four"], 2, 1)
    other = page["convolve"](page["upsample"](noise), page["three"], 1)
    files.write_bytes(PAGE.with_name("crosses.png"), png(sheet(np.stack([picture(one), picture(other)]), 2, 12)))


if __name__ == "__main__":
    main()
