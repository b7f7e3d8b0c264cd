"""Numbers from 0 to 1 as colours: viridis, which grows evenly brighter for every eye, also in print."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RAMP = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float32)
# Five of viridis's 256 colours, evenly taken (S. van der Walt and N. Smith 2015, CC0), as the viewer's page has them.


def ramped(shares: NDArray[Any] | float) -> NDArray[np.float32]:
    """(*,) -> (3, *) from 0 to 255: dark violet at 0, yellow at 1, straight between five stops; what lies beyond is cut off."""
    stops = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(shares, stops, channel) for channel in RAMP.T]).astype(np.float32)
