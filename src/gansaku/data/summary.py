"""A dataset in a screenful."""

from __future__ import annotations

from typing import Any

from gansaku.data.store import Dataset


def described_data(dataset: Dataset) -> dict[str, Any]:
    """Count, shape, classes, and what preparation skipped and converted."""
    return {
        "data": dataset.name,
        "source": dataset.source,
        "shape": list(dataset.shape),
        "counts": dataset.counts,
        "classes": list(dataset.classes),
        "columns": sorted(dataset.columns),
        "fingerprint": dataset.fingerprint,
        "report": dataset.report,
        "file": str(dataset.path),
    }
