"""A dataset as a page or a sheet on the disk."""

from __future__ import annotations

from pathlib import Path

from gansaku import files
from gansaku.data.overview import Overview, overview_page, overview_sheet
from gansaku.data.store import Dataset
from gansaku.data.summary import described_data
from gansaku.errors import UsageError


def write_page(dataset: Dataset, seen: Overview, out: Path) -> None:
    """Samples, classes, duplicates and what was left out as one .html; or the samples alone as a .png."""
    suffix = out.suffix.lower()
    if suffix == ".png":
        files.write_bytes(out, overview_sheet(dataset))
    elif suffix in (".html", ".htm"):
        files.write_text(out, overview_page(described_data(dataset, seen), dataset, seen))
    else:
        raise UsageError(f"--out {out}", "is neither a page (.html) nor a sheet of samples (.png)", "OUT")
