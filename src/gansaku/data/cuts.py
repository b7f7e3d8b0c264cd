"""Cuts: the parts of a picture that become samples of their own, as bounding boxes and found faces do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gansaku.data.tally import Bad, Note

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Cut:
    """A part of an upright picture, in its pixels; it may reach beyond the edges.

    `ending` is added to the picture's name; `label` takes the place of the class that the folder means, if not None.
    """

    left: float
    top: float
    right: float
    bottom: float
    ending: str = ""
    mirrored: bool = False
    label: str | None = None
    columns: Mapping[str, float] = field(default_factory=dict)


class Cutting(NamedTuple):
    """What became of one picture: the cuts in it, what is to be noted of it, and which parts are left out.

    A part that is left out is told by the ending that its cut would have, or by "" for the picture as a whole.
    """

    cuts: list[Cut]
    notes: list[Note]
    skipped: list[tuple[str, Bad]]


class Cutter(Protocol):
    """Finds the cuts of an upright picture (H, W, C) at full size, from many threads at once."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What every cut has a number for."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """All that the cuts may be labelled; None where the classes of the folders stay."""

    def __call__(self, name: str, picture: Picture) -> Cutting: ...
