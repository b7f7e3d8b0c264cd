"""Which chair: dice that a seed rolls, kinds of chairs, and the measures of one. Lengths are in voxels of a 64-voxel grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Voxels = NDArray[np.bool_]
Floats = NDArray[np.float64]
Range = tuple[int, int]  # both ends included
Point = tuple[float, float, float]

FINEST = 64  # every chair is built at this size; all lengths below are in its voxels
HALF = FINEST // 2  # only the right half of a chair is built: x counts from its middle plane
DEEP = 96  # room for a leaning back, before the chair is moved to the middle of the grid
MIDDLE = DEEP // 2


class Dice:
    """The choices of one chair. Takes plain uniform draws only: what numpy makes of them may change between versions."""

    def __init__(self, *key: int):
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def whole(self, ends: Range) -> int:
        return math.floor(self.between(ends[0], ends[1] + 1))

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, shares: Mapping[str, float]) -> str:
        """One of the names, as often as its share of the sum says."""
        mark = self.rng.random() * sum(shares.values())
        for name, share in shares.items():
            mark -= share
            if mark < 0:
                return name
        return next(iter(shares))


@dataclass(frozen=True)
class Kind:
    """Measures and parts that go together. `wide` is half a seat's width, `top` where the back ends."""

    share: float
    wide: Range
    seat: Range
    top: Range
    thick: Range  # the seat
    leg: Range
    lean: float  # the most that a back leans, per voxel of height
    bases: Mapping[str, float]
    backs: Mapping[str, float]
    arms: Mapping[str, float]
    soft: bool = False
    round: float = 0.1  # how often the seat is round


KINDS = {
    "dining": Kind(
        share=0.52,
        wide=(15, 22),
        seat=(27, 33),
        top=(60, 64),
        thick=(2, 5),
        leg=(2, 4),
        lean=0.25,
        bases={"legs": 0.8, "sled": 0.12, "pedestal": 0.04, "panels": 0.04},
        backs={"solid": 0.32, "slats": 0.22, "ladder": 0.2, "frame": 0.12, "splat": 0.14},
        arms={"none": 0.68, "posts": 0.32},
    ),
    "office": Kind(
        share=0.17,
        wide=(15, 20),
        seat=(26, 33),
        top=(58, 64),
        thick=(4, 7),
        leg=(2, 3),
        lean=0.25,
        bases={"star": 0.85, "pedestal": 0.15},
        backs={"raised": 0.65, "solid": 0.35},
        arms={"tee": 0.45, "posts": 0.2, "none": 0.35},
        soft=True,
    ),
    "lounge": Kind(
        share=0.13,
        wide=(17, 24),
        seat=(19, 26),
        top=(48, 62),
        thick=(4, 8),
        leg=(2, 4),
        lean=0.5,
        bases={"legs": 0.45, "sled": 0.4, "pedestal": 0.15},
        backs={"solid": 0.6, "ladder": 0.2, "slats": 0.2},
        arms={"posts": 0.55, "none": 0.45},
        soft=True,
        round=0,
    ),
    "club": Kind(
        share=0.09,
        wide=(18, 24),
        seat=(19, 25),
        top=(38, 54),
        thick=(6, 10),
        leg=(3, 4),
        lean=0.15,
        bases={"block": 0.6, "legs": 0.4},
        backs={"solid": 1},
        arms={"panels": 1},
        soft=True,
        round=0,
    ),
    "stool": Kind(
        share=0.09,
        wide=(9, 14),
        seat=(34, 60),
        top=(0, 0),
        thick=(2, 6),
        leg=(2, 3),
        lean=0,
        bases={"legs": 0.6, "pedestal": 0.25, "star": 0.15},
        backs={"none": 1},
        arms={"none": 1},
        round=0.6,
    ),
}


@dataclass(frozen=True)
class Chair:
    """What the parts of one chair have to agree on."""

    kind: Kind
    wide: int
    front: int  # where the seat begins
    rear: int  # one past where it ends
    seat: int  # its upper side
    under: int  # its lower side
    top: int
    leg: int  # the thickness of legs and posts
    corner: float  # the radius of the seat's corners
    narrow: float  # how much narrower the seat is at its rear, as a share
    lean: float
    bow: float  # how far the sides of the back come forward
    back: int  # its thickness
    back_wide: float  # half its width at the seat

    def wide_at(self, y: float) -> float:
        """Half the seat's width there."""
        return self.wide * (1 - self.narrow * (y - self.front) / (self.rear - self.front))

    def behind(self, z: float) -> float:
        """How far back the front of the back is, in the middle plane, at a height."""
        return self.rear - self.back + self.lean * max(0.0, z - self.seat)


def planned(kind: Kind, dice: Dice) -> Chair:
    """A chair of a kind, whose depth with the leaning back fits into the grid."""
    wide, seat, top = dice.whole(kind.wide), dice.whole(kind.seat), dice.whole(kind.top)
    is_round = dice.chance(kind.round)
    deep = 2 * wide if is_round else round(2 * wide * dice.between(0.85, 1.1))
    front = MIDDLE - deep // 2
    leaning, narrow = dice.between(0, kind.lean), dice.between(0, 0.18)
    bow = dice.between(1, 6) if dice.chance(0.35) else 0.0
    across = 0.75 * wide  # on a round seat the back follows the rim, as far as that does not run steeper than 1
    return Chair(
        kind=kind,
        wide=wide,
        front=front,
        rear=front + deep,
        seat=seat,
        under=seat - dice.whole(kind.thick),
        top=top,
        leg=dice.whole(kind.leg),
        corner=wide if is_round else dice.between(0, 0.35) * wide,
        narrow=0.0 if is_round else narrow,
        lean=min(leaning, (54 - deep) / max(1, top - seat)),
        bow=wide - math.sqrt(wide**2 - across**2) if is_round else bow,
        back=dice.whole((4, 7)) if kind.soft else dice.whole((2, 3)),
        back_wide=across if is_round else wide * (1 - narrow),
    )
