"""The state to a checkpoint and back. What a checkpoint is, `manifest` says.

No code is ever read from a checkpoint. Which layout in memory a tensor has is the recipe's affair: on restoring,
weights keep their own, and moments take their weight's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gansaku import files
from gansaku.errors import RunError
from gansaku.runs import manifest
from gansaku.runs.folder import refuse_unsafe
from gansaku.runs.manifest import NUMBERS, TENSORS
from gansaku.training.state import State, counts, restore, tensors

KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def save(folder: Path, state: State, run: str = "") -> Path:
    """Write the state to `folder/<samples seen>`, complete or not at all. Returns the checkpoint's path.

    A sound checkpoint of the same samples stays as it is. `run` is the identity of the run that it belongs to.
    Raises DiskError.
    """
    path = manifest.place(folder, state.seen)
    held = {name: value.detach() for name, value in tensors(state).items()}
    numbers = json.dumps({**counts(state), "run": run}).encode()
    if path.exists():
        if manifest.sound(path) and (path / NUMBERS).read_bytes() == numbers:
            files.synchronize_folder(folder)  # its name may not be on the disk yet, where an attempt failed at this
            return path
        files.remove(path)
    with files.replacing(path, size(held) + len(numbers)) as temporary:
        files.make_folder(temporary)
        with files.create(temporary / TENSORS) as out:
            write_tensors(out, held)
        with files.create(temporary / NUMBERS) as out_numbers:
            out_numbers.write(numbers)
        digests = {TENSORS: out.digest.hexdigest(), NUMBERS: out_numbers.digest.hexdigest()}
        manifest.write(temporary, digests, {"seen": state.seen})
    return path


def write_tensors(out: files.File, held: Mapping[str, Tensor]) -> None:
    """The safetensors layout: the length of a JSON header, the header, all bytes in its order.

    Written here and not by the library, so that one tensor at a time is copied, hashed on the way, and every write
    passes the one place that writes.
    """
    header, at = dict[str, Any](), 0
    for name, value in held.items():
        end = at + value.numel() * value.element_size()
        header[name] = {"dtype": KINDS[value.dtype], "shape": list(value.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write(struct.pack("<Q", len(text)) + text)
    for value in held.values():
        out.write(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def size(held: Mapping[str, Tensor]) -> int:
    """Bytes of some tensors, roughly as they lie on the disk."""
    return sum(value.numel() * value.element_size() + 200 for value in held.values())


def load(path: Path, state: State, run: str = "", fresh: tuple[str, ...] = ()) -> None:
    """Set a fresh state of the same recipe to the checkpoint's; the players in `fresh` begin with new moments.

    Raises RunError when it is damaged, when it is another run's, or when its tensors are not those of this state,
    naming the first five. Then the state is as it was.
    """
    refuse_unsafe(path / TENSORS)
    manifest.check(path)
    try:
        stored = load_file(path / TENSORS)
    except (SafetensorError, OSError, ValueError, KeyError) as error:  # KeyError: a dtype that this torch has not
        raise RunError(str(path / TENSORS), f"is no safetensors file: {error}", "CKPT_CORRUPT") from None
    own = tensors(state)
    compare(path, {n: tuple(t.shape) for n, t in stored.items()}, {n: tuple(t.shape) for n, t in own.items()})
    compare_kinds(path, stored, own)
    numbers = manifest.read_json(path / NUMBERS)
    check_numbers(path / NUMBERS, numbers, counts(state))
    if run and numbers.get("run", run) not in ("", run):
        raise RunError(str(path), "is another run's checkpoint; remove it", "CKPT_FOREIGN")
    gone = tuple(f"optimizer/{player}/" for player in fresh)
    restore(state, {name: value for name, value in stored.items() if not (gone and name.startswith(gone))}, numbers)


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
        raise RunError(str(path), f"{sentence}; set the recipe's networks as they were, or name a new --run", "CKPT_FOREIGN")


def compare_kinds(path: Path, stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises RunError when a tensor is of another type of number: read as another, a weight would change."""
    wrong = [
        f"{name} is {KINDS.get(value.dtype, value.dtype)} and not {KINDS.get(own[name].dtype)}"
        for name, value in stored.items()
        if name in own and value.dtype != own[name].dtype
    ]
    if wrong:
        raise RunError(str(path / TENSORS), f"has other types of numbers: {'; '.join(wrong[:5])}", "CKPT_CORRUPT")


def check_numbers(path: Path, numbers: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raises RunError unless the counts are whole numbers from 0 under the names that a state has."""

    def whole(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    size, moves = numbers.get("size"), numbers.get("moves")
    right = (
        all(whole(numbers.get(name, 0)) for name in ("seen", "turns", "rollbacks"))
        and {"seen", "turns"} <= numbers.keys()
        and isinstance(size, list)
        and len(size) == len(own["size"])
        and all(map(whole, size))
        and isinstance(moves, dict)
        and moves.keys() == own["moves"].keys()
        and all(map(whole, moves.values()))
    )
    if not right:
        raise RunError(str(path), "does not hold the counts of a training; the checkpoint is damaged", "CKPT_CORRUPT")
