"""A dataset in a screenful, and what to do about what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansaku.data.overview import Overview, class_counts
from gansaku.data.store import Dataset

MANY = 0.01  # share of samples that is worth a word
UNEVEN = 10  # the largest class : the smallest


def described_data(dataset: Dataset, overview: Overview | None = None, written: Path | None = None) -> dict[str, Any]:
    """Count, shape, classes, what preparation skipped and converted, and advice; with an overview what repeats, too.

    JSON. `duplicates` counts samples: `exact` repeat an earlier one, `near` have a twin (exact ones too), `across_splits` are
    test samples with a twin in training; `complete` is false where so many look alike that not all pairs were compared.
    `written` is where the dataset was written out in another form.
    """
    balance = class_counts(dataset) if overview is None else overview.balance
    found: dict[str, Any] = {
        "data": dataset.name,
        "source": dataset.source,
        "shape": list(dataset.shape),
        "counts": dict(dataset.counts),
        "classes": list(dataset.classes),
        "balance": dict(zip(dataset.classes, balance.sum(1).tolist(), strict=True)),
        "columns": {name: extent(dataset.columns[name]) for name in sorted(dataset.columns)},
        "fingerprint": dataset.fingerprint,
        "report": dataset.report,
        "policy": dict(dataset.policy or {}),
        "file": str(written or dataset.path),
        "bytes": size(dataset) if written in (None, dataset.path) else size_of(written),
    }
    if overview is not None:
        found["duplicates"] = {
            "exact": overview.repeated,
            "near": overview.alike,
            "across_splits": overview.leaked,
            "complete": overview.near.complete,
        }
    return {**found, "advice": advice(found, balance, overview)}


def warnings_of(report: Mapping[str, Any]) -> Iterator[str]:
    """The first warning of each kind, and how many more there are."""
    for code, count in report["warned"].items():
        first = next((warning for warning in report["warnings"] if warning.endswith(f"[{code}]")), code)
        yield first + (f" and {count - 1:,} more" if count > 1 else "")


def size_of(written: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    return sum(path.stat().st_size for path in (written, *written.rglob("*")) if path.is_file())


def size(dataset: Dataset) -> int:
    """Bytes of the store, its shards too."""
    return sum(path.stat().st_size for path in (dataset.path, *getattr(dataset.stored, "paths", ())))


def extent(values: NDArray[np.float32]) -> dict[str, float | None]:
    """The least, mean and most of what is finite; None where nothing is."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return {"least": None, "mean": None, "most": None}
    return {"least": float(finite.min()), "mean": float(finite.mean()), "most": float(finite.max())}


def advice(found: Mapping[str, Any], balance: NDArray[np.int64], overview: Overview | None) -> list[str]:
    """Sentences about what would spoil training or scores, the worst first, each with what helps."""
    return [
        *(about_twins(overview, copies(found["policy"])) if overview else []),
        *about_splits(found["counts"], found["policy"]),
        *about_classes(found, balance),
        *about_faces(found["report"]),
    ]


def copies(policy: Mapping[str, Any]) -> bool:
    """Whether the preparation itself made samples that are much alike."""
    return bool(policy.get("mirrored") or policy.get("rotations") or len(policy.get("face_scales", ())) > 1)


def about_faces(report: Mapping[str, Any]) -> list[str]:
    """Many pictures without a face."""
    missed = report.get("skipped", {}).get("FACE_NONE", 0)
    if missed * 2 < report.get("files", 0) or not missed:
        return []
    said = f"no face was found in {missed:,} of {report['files']:,} pictures"
    return [f"{said}; a cascade needs some room around a face, and one that is made for such faces"]


def about_twins(overview: Overview, copies: bool = False) -> list[str]:
    """Leaks, repetitions, twins and samples that show nothing."""
    said, count = [], sum(overview.counts.values())
    if overview.leaked:
        held, same = overview.counts["test"], sum(apart == 0 for _, _, apart in overview.leaks)
        verb, alike = "looks" if overview.leaked == 1 else "look", f", {same:,} without a difference" if same else ""
        said.append(
            f"{overview.leaked:,} of {held:,} test samples {verb} the same as a training sample, or nearly so{alike}: where "
            "they are copies, scores against held-out samples come out too good; leave them out of one of the splits (--dedupe "
            "leaves out exact copies)"
        )
    if overview.repeated:
        one = overview.repeated == 1
        said.append(
            f"{overview.repeated:,} sample{' repeats' if one else 's repeat'} an earlier one exactly; --dedupe leaves "
            f"{'it' if one else 'them'} out"
        )
    if overview.alike >= MANY * count and not copies:
        said.append(
            f"{overview.alike / count:.0%} of the samples have a twin that looks the same or nearly so: training sees them "
            "more often, and memorization is harder to tell"
        )
    if not overview.near.complete:
        said.append("so many samples look alike that not all pairs were compared; there may be more twins")
    if overview.flat:
        voxels, one = len(overview.occupancy), overview.flat == 1
        verb = ("is" if one else "are") if voxels else ("shows" if one else "show")
        what = "empty" if voxels else "one colour only"
        said.append(f"{overview.flat:,} sample{'' if one else 's'} {verb} {what}; look at the source")
    return said + about_colour(overview, count)


def about_colour(overview: Overview, count: int) -> list[str]:
    """Pictures without colour that are stored in colour."""
    if overview.grey == count:
        return ["no picture has any colour; with --channels 1 they take a third of the room, and networks one channel"]
    if overview.grey >= MANY * count:
        verb = " is" if overview.grey == 1 else "s are"
        return [f"{overview.grey:,} picture{verb} grey among those in colour; a network will make such, too"]
    return []


def about_splits(counts: Mapping[str, int], policy: Mapping[str, Any]) -> list[str]:
    if counts.get("test"):
        return []
    if policy.get("held_out"):
        return ["there is no test split although one was asked for: all samples come from one file"]
    return ["there is no test split, which scores against held-out samples need; prepare again with --held-out 10% to make one"]


def about_classes(found: Mapping[str, Any], balance: NDArray[np.int64]) -> list[str]:
    """Classes that are too small to learn, or that are drowned by others."""
    said, classes, train = [], found["classes"], balance[:, 0]
    for few, what in ((0, "no training sample is"), (1, "a single training sample is")):
        which = [name for name, many in zip(classes, train.tolist(), strict=True) if many == few]
        if which:
            more = f" and {len(which) - 3:,} more" if len(which) > 3 else ""
            each = "the class" if len(which) == 1 else "each of the classes"
            said.append(f"{what} in {each} {', '.join(which[:3])}{more}; add some, or remove it")
    if len(train) > 1 and 1 < train.min() * UNEVEN < train.max():
        said.append(
            f"the largest class, {classes[int(train.argmax())]}, has {train.max() / train.min():.0f} times as many training "
            f"samples as the smallest, {classes[int(train.argmin())]}"
        )
    if len(classes) == 1:
        said.append("there is only one class, so nothing can be learned about classes")
    return said
