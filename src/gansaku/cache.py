"""Where what can be made or fetched again is kept: prepared data, features, weights."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$GANSAKU_CACHE`, else `gansaku` in the user's cache."""
    if own := os.environ.get("GANSAKU_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gansaku"


def weights_folder() -> Path:
    """Where downloaded weights and cascades lie."""
    return cache_folder() / "weights"
