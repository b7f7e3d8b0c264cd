"""Checkpoints: a folder each, named by the samples seen.

    tensors.safetensors    every tensor of the state, optimizer moments included
    state.json             the counts
    manifest.json          size and SHA-256 of both; written last, it makes the checkpoint one

No code is ever read from a checkpoint. Which layout in memory a tensor has is the recipe's affair: on restoring,
weights keep their own, and moments take their weight's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gansaku import files
from gansaku.errors import DiskError, RunError
from gansaku.training.state import State, counts, restore, tensors

VERSION = 1
TENSORS, NUMBERS, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


def save(folder: Path, state: State) -> Path:
    """Write the state to `folder/<samples seen>`, complete or not at all. Returns the checkpoint's path."""
    path = folder / f"{state.seen:012d}"
    with files.replacing(path) as temporary:
        temporary.mkdir()
        copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors(state).items()}
        try:
            save_file(copies, temporary / TENSORS)
        except SafetensorError as error:  # it does not raise OSError when a disk is full
            raise DiskError(str(path), f"cannot be written: {error}; free space or choose another place", "DISK") from error
        (temporary / NUMBERS).write_text(json.dumps(counts(state)))
        described = {name: describe(temporary / name) for name in (TENSORS, NUMBERS)}
        (temporary / MANIFEST).write_text(json.dumps({"version": VERSION, "files": described}, indent=1))
    return path


def describe(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with file.open("rb") as opened:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; whether they are sound, `check` says."""
    return sorted(p for p in folder.glob("*") if p.name.isdigit() and (p / MANIFEST).is_file())


def check(path: Path) -> None:
    """Raises RunError when a file of the checkpoint is not what its manifest says."""
    manifest = read_json(path / MANIFEST)
    version = manifest.get("version")
    if version != VERSION:
        raise RunError(str(path), f"has layout {version}; this Gansaku reads {VERSION}", "CKPT_VERSION")
    for name in (TENSORS, NUMBERS):
        expected = manifest.get("files", {}).get(name)
        if not (path / name).is_file():
            raise RunError(str(path), f"{name} is missing; the checkpoint cannot be used", "CKPT_CORRUPT")
        if describe(path / name) != expected:
            raise RunError(str(path), f"{name} is not what its manifest says; the checkpoint is damaged", "CKPT_CORRUPT")


def load(path: Path, state: State) -> None:
    """Set a fresh state of the same recipe to the checkpoint's.

    Raises RunError when it is damaged, or when its tensors are not those of this state, naming the first five.
    """
    check(path)
    try:
        stored = load_file(path / TENSORS)
    except SafetensorError as error:
        raise RunError(str(path / TENSORS), f"is no safetensors file: {error}", "CKPT_CORRUPT") from None
    compare(path, {n: tuple(t.shape) for n, t in stored.items()}, {n: tuple(t.shape) for n, t in tensors(state).items()})
    restore(state, stored, read_json(path / NUMBERS))


def compare(path: Path, stored: dict[str, Any], own: dict[str, Any]) -> None:
    """Raises RunError when weights are missing, foreign or of another shape. Moments come and go with the first step."""
    weights = {name: shape for name, shape in stored.items() if not name.startswith("optimizer/")}
    wanted = {name: shape for name, shape in own.items() if not name.startswith("optimizer/")}
    wrong = [
        f"{name} is {weights.get(name, 'missing')} and not {wanted.get(name, 'expected')}"
        for name in sorted(weights.keys() | wanted.keys())
        if weights.get(name) != wanted.get(name)
    ]
    if wrong:
        sentence = f"belongs to another network: {'; '.join(wrong[:5])}" + (f"; {len(wrong) - 5} more" if wrong[5:] else "")
        raise RunError(str(path), sentence, "CKPT_FOREIGN")


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest checkpoints. The newest was just written, so one sound checkpoint always stays."""
    for old in found(folder)[:-keep]:
        files.remove(old)


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(str(path), f"cannot be read: {error}", "CKPT_CORRUPT") from None
    if not isinstance(content, dict):
        raise RunError(str(path), "holds no JSON object", "CKPT_CORRUPT")
    return content
