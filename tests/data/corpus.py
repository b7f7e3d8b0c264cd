"""The corpus of bad inputs: every case of images, names and archives, annotations and voxels, built into a folder.

A case is made when it is asked for, from nothing but its code; no file of it is stored. `ALL` has them in their order:
I01 … I44 pictures, F45 … F72 names, folders and archives, X73 … X92 bounding boxes, V93 … V114 voxels and arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {
    "E": "the source is refused",
    "S": "some files are left out, and too many of them end the work",
    "L": "some samples are left out for no fault of theirs",
    "W": "all is used, and a warning says what is wrong",
    "C": "all is used, converted by the policy",
    "ok": "all is used",
}


@dataclass(frozen=True)
class Case:
    """One bad input, and what must come of it.

    `build(folder)` makes it and gives SOURCE. `code` stands in the message or the report, `bad` times; `names` are files
    that the message shows, as it shows them; `says` is a part of the sentence. `choices` are the policy's. `holds` looks
    at the dataset that is made. `exit` is the exit code where the kind does not say it. `while_` is what happens meanwhile.
    """

    id: str
    what: str
    build: Callable[[Path], Path]
    kind: str
    code: str = ""
    bad: int = 1
    names: tuple[str, ...] = ()
    says: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)
    holds: Callable[[Any], None] | None = None
    exit: int | None = None
    while_: Callable[[], AbstractContextManager[Any]] = nullcontext

    def __str__(self) -> str:
        return f"{self.id} {self.what}"

    @property
    def flags(self) -> list[str]:
        """The choices as they are written on the command line."""
        return [part for name, value in self.choices.items() for part in flag(name, value)]

    @property
    def exit_code(self) -> int:
        """Of the command with its usual `--max-bad`."""
        return self.exit if self.exit is not None else {"E": 1, "S": 4}.get(self.kind, 0)


def flag(name: str, value: Any) -> list[str]:
    """One choice as it is written on the command line."""
    written = f"--{name.replace('_', '-')}"
    if value is True:
        return [written]
    if isinstance(value, tuple):
        return [written, ("x" if name == "size" else ",").join(map(str, value))]
    return [written, str(value)]


def sample(dataset: Any, name: str) -> Any:
    """(*S, C) of the sample that came from the file of this name."""
    place = list(dataset.names).index(name)
    return dataset.rows(np.array([place]))[0]


def near(found: Any, wanted: Any, most: float = 1.0) -> None:
    """Raises AssertionError when any value is further off."""
    gap = np.abs(np.asarray(found, np.float64) - np.asarray(wanted, np.float64)).max()
    assert gap <= most, f"off by {gap}: {np.asarray(found).reshape(-1, np.shape(found)[-1])[0]} and not {wanted}"


def cases() -> list[Case]:
    """All of them, in the order of their numbers."""
    import corpus_boxes
    import corpus_folders
    import corpus_pictures
    import corpus_voxels

    return [*corpus_pictures.CASES, *corpus_folders.CASES, *corpus_boxes.CASES, *corpus_voxels.CASES]
