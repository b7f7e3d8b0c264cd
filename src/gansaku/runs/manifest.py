"""What makes a folder a checkpoint, which of them stay, and which one to go on from. Looking at them imports no torch.

checkpoints/000000012800/    named by the samples seen
    tensors.safetensors, state.json
    manifest.json            size and SHA-256 of both; written last, it makes the checkpoint one
    notes.json               pinned or not, and scores: may change, so it is not in the manifest
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gansaku import files
from gansaku.errors import GansakuError, RunError, UsageError
from gansaku.runs.folder import opened

VERSION = 1
TENSORS, NUMBERS, MANIFEST, NOTES = "tensors.safetensors", "state.json", "manifest.json", "notes.json"


@dataclass(frozen=True)
class Score:
    """A number that a checkpoint got, and whether a lower one is better."""

    value: float
    lower: bool = True


@dataclass(frozen=True)
class Notes:
    """What people and metrics say of a checkpoint."""

    pinned: bool = False
    scores: dict[str, Score] = field(default_factory=dict)


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; whether they are sound, `check` says."""
    return sorted((p for p in folder.glob("*") if p.name.isdecimal() and (p / MANIFEST).is_file()), key=seen)


def place(folder: Path, samples: int) -> Path:
    """Where the checkpoint after so many samples lies, if there is one."""
    return folder / f"{samples:012d}"


def seen(path: Path) -> int:
    """The samples seen by a checkpoint."""
    return int(path.name)


def write(folder: Path, digests: dict[str, str], about: dict[str, Any]) -> None:
    """The manifest over files just written, with their SHA-256. `about` says whose state it is."""
    described = {name: {"bytes": (folder / name).stat().st_size, "sha256": digest} for name, digest in digests.items()}
    content = {"version": VERSION, **about, "files": described}
    files.put_json(folder / MANIFEST, {**content, "digest": digest(content)})


def digest(content: dict[str, Any]) -> str:
    """The manifest's own SHA-256: without it, a damaged version could not be told from a newer one."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check(path: Path) -> dict[str, Any]:
    """The manifest. Raises RunError when a file of the checkpoint is not what it says, or it is not what it says itself."""
    manifest = read_json(path / MANIFEST)
    first = manifest.keys() <= {"version", "seen", "files"}  # the first ones had no digest
    if not first and manifest.pop("digest", None) != digest(manifest):
        raise RunError(str(path), f"{MANIFEST} is not what its digest says; the checkpoint is damaged", "CKPT_CORRUPT")
    if first and manifest.get("version") != 1:
        raise RunError(str(path), f"{MANIFEST} is no manifest; the checkpoint is damaged", "CKPT_CORRUPT")
    if manifest.get("version") != VERSION:
        raise RunError(str(path), f"has layout {manifest.get('version')}; this Gansaku reads {VERSION}", "CKPT_VERSION")
    if manifest.get("seen", seen(path)) != seen(path):
        raise RunError(str(path), f"is the one after {manifest.get('seen')} samples; it was renamed", "CKPT_CORRUPT")
    listed = manifest.get("files")
    listed = listed if isinstance(listed, dict) else {}
    for name in (TENSORS, NUMBERS):
        if not (path / name).is_file():
            raise RunError(str(path), f"{name} is missing; the checkpoint cannot be used", "CKPT_CORRUPT")
        if describe(path / name) != listed.get(name):
            raise RunError(str(path), f"{name} is not what its manifest says; the checkpoint is damaged", "CKPT_CORRUPT")
    return manifest


def describe(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    try:
        with file.open("rb") as opened:
            return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}
    except OSError as error:
        raise RunError(str(file), f"cannot be read: {error.strerror or error}", "CKPT_CORRUPT") from error


def sound(path: Path) -> bool:
    """Whether it is a checkpoint of this version and every byte of it is right."""
    try:
        check(path)
    except RunError:
        return False
    return True


def newest_sound(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint whose every byte is right, and a sentence on each newer one that is damaged."""
    sentences = []
    for path in reversed(found(folder)):
        try:
            check(path)
        except RunError as error:
            if error.code == "CKPT_VERSION":  # not damage: an older Gansaku must not go on from before it
                raise
            if (path / MANIFEST).is_file():  # else it was just removed by who writes here
                sentences.append(str(error))
        else:
            return path, sentences
    return None, sentences


def at(folder: Path, samples: int | None) -> Path:
    """The checkpoint after so many samples; None: the newest sound one. Raises RunError or UsageError if there is none."""
    if samples is None:
        path, damaged = newest_sound(folder)
        if path is None:
            reason = f"; {damaged[0]}" if damaged else ""
            raise RunError(str(folder.parent), f"has no checkpoint to read; train it first{reason}", "CKPT_NONE")
        return path
    there = {seen(path): path for path in found(folder)}
    if samples not in there:
        listed = ", ".join(map(str, there)) or "none"
        raise UsageError("--at", f"there is no checkpoint after {samples} samples; there are: {listed}", "CKPT_NONE")
    return there[samples]


def notes(path: Path) -> Notes:
    """What is noted of a checkpoint; nothing where nobody did. Where it cannot be read, it is as good as pinned."""
    if not (path / NOTES).exists():
        return Notes()
    try:
        stored = read_json(path / NOTES)
        scores = {name: Score(float(s["value"]), bool(s["lower"])) for name, s in stored.get("scores", {}).items()}
        return Notes(bool(stored.get("pinned", False)), scores)
    except (RunError, AttributeError, KeyError, TypeError, ValueError):
        return Notes(pinned=True)


def note(path: Path, noted: Notes) -> None:
    """Write what is noted of a checkpoint."""
    scores = {name: {"value": score.value, "lower": score.lower} for name, score in noted.scores.items()}
    files.write_json(path / NOTES, {"pinned": noted.pinned, "scores": scores})


def pin(run: Path, samples: int | None, off: bool = False) -> Path:
    """Keep the checkpoint `at` so many samples for ever, or let it go. Returns its folder."""
    path = at(opened(run).checkpoints, samples)
    note(path, replace(notes(path), pinned=not off))
    return path


def kept(noted: Sequence[Notes], newest: int) -> set[int]:
    """Which of some checkpoints, oldest first, stay: the `newest` last ones, pinned ones, and the best by each score.

    Of equal scores the earlier one is the best; a score that is not a number is never the best.
    """
    places = range(len(noted))
    stay = {*places[-max(1, newest) :], *[i for i in places if noted[i].pinned]}
    for name in {name for one in noted for name in one.scores}:
        scored = [(one.scores[name], i) for i, one in enumerate(noted) if name in one.scores]
        good = [(s.value if s.lower else -s.value, i) for s, i in scored if not math.isnan(s.value)]
        if good:
            stay.add(min(good)[1])
    return stay


def prune(folder: Path, newest: int) -> None:
    """Remove the checkpoints that need not stay; none before the newest has been read again and is right."""
    there = found(folder)
    if not there or not sound(there[-1]):
        return
    stay = kept([notes(path) for path in there], newest)
    for i, old in enumerate(there):
        if i not in stay:
            files.remove(old)


def listed(folder: Path) -> list[dict[str, Any]]:
    """Every checkpoint, verified: samples seen, bytes, state in words, pinned, scores."""
    result = []
    for path in found(folder):
        noted = notes(path)
        try:
            manifest, state = check(path), "good"
        except GansakuError as error:
            if not (path / MANIFEST).is_file():
                continue  # just removed by who writes here
            manifest, state = {}, error.sentence
        result.append(
            {
                "seen": seen(path),
                "bytes": sum(file["bytes"] for file in manifest.get("files", {}).values()),
                "state": state,
                "pinned": noted.pinned,
                "scores": {name: score.value for name, score in noted.scores.items()},
            }
        )
    return result


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(str(path), f"cannot be read: {error}", "CKPT_CORRUPT") from None
    if not isinstance(content, dict):
        raise RunError(str(path), "holds no JSON object", "CKPT_CORRUPT")
    return content
