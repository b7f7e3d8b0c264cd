"""What a chair is built of: seats, bases, backs and arms, as voxels of its right half."""

from __future__ import annotations

import math

import numpy as np

from gansaku.data.chair_plans import DEEP, FINEST, HALF, KINDS, MIDDLE, Chair, Dice, Point, Voxels, planned


def right_half(dice: Dice) -> Voxels:
    """(32, 64, 64): what is right of the middle plane, front and rear equally far from the grid's sides."""
    kind = KINDS[dice.pick({name: kind.share for name, kind in KINDS.items()})]
    chair = planned(kind, dice)
    half = np.zeros((HALF, DEEP, FINEST), bool)
    upholster(half, chair, dice)
    BASES[dice.pick(kind.bases)](half, chair, dice)
    BACKS[dice.pick(kind.backs)](half, chair, dice)
    ARMS[dice.pick(kind.arms)](half, chair, dice)
    rows = np.flatnonzero(half.any(axis=(0, 2)))
    padded = np.pad(half, ((0, 0), (FINEST // 2, FINEST // 2), (0, 0)))
    start = (int(rows[0]) + int(rows[-1]) + 1) // 2  # the middle of what is occupied, less half a grid, plus the padding
    return padded[:, start : start + FINEST]


# The shapes that parts are made of.


def box(half: Voxels, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> None:
    """Occupies it, at least one voxel thick each way."""
    half[span(*x), span(*y), span(*z)] = True


def span(low: float, high: float) -> slice:
    start = max(0, math.floor(low + 0.5))
    return slice(start, max(start + 1, math.floor(high + 0.5)))


def beam(half: Voxels, start: Point, end: Point, thick: float, tall: float | None = None) -> None:
    """Occupies a bar between two points, cut square to the axis along which it is longest. One piece at any slope."""
    long = max(range(3), key=lambda axis: abs(end[axis] - start[axis]))
    if start[long] > end[long]:
        start, end = end, start
    radius = [thick / 2, thick / 2, (tall or thick) / 2]
    first, last = math.floor(start[long] + 0.5), max(math.floor(start[long] + 0.5) + 1, math.floor(end[long] + 0.5))
    for step in range(first, last):
        # What the bar sweeps in this layer, both ends included, so that it overlaps with the next layer.
        shares = [min(max((at - start[long]) / max(1e-9, end[long] - start[long]), 0), 1) for at in (step, step + 1)]
        cut = [slice(step, step + 1)] * 3
        for axis in {0, 1, 2} - {long}:
            ends = [start[axis] + share * (end[axis] - start[axis]) for share in shares]
            cut[axis] = span(min(ends) - radius[axis], max(ends) + radius[axis])
        half[tuple(cut)] = True


def disk(radius: float) -> Voxels:
    """(32, 96): a round outline about the middle."""
    x, y = np.arange(HALF)[:, None] + 0.5, np.arange(DEEP) + 0.5 - MIDDLE
    return np.asarray(x**2 + y**2 < radius**2)


# Seats.


def outline(chair: Chair, inset: float = 0) -> Voxels:
    """(32, 96): the seat from above: a rectangle with round corners, narrower towards the rear."""
    x, y = np.arange(HALF)[:, None] + 0.5, np.arange(DEEP) + 0.5
    wide = np.array([chair.wide_at(at) for at in y]) - inset
    middle, deep = (chair.front + chair.rear) / 2, (chair.rear - chair.front) / 2 - inset
    radius = max(0.5, chair.corner - inset)
    past_x, past_y = np.maximum(x - wide + radius, 0), np.maximum(abs(y - middle) - deep + radius, 0)
    return np.asarray(past_x**2 + past_y**2 < radius**2)


def upholster(half: Voxels, chair: Chair, dice: Dice) -> None:
    half[:, :, chair.under : chair.seat] |= outline(chair)[..., None]
    if dice.chance(0.7 if chair.kind.soft else 0.15):
        cushion = outline(chair, inset=dice.between(1, 2.5))
        half[:, :, chair.seat : chair.seat + dice.whole((1, 3))] |= cushion[..., None]


# Bases: from the floor into the seat.


def spots(chair: Chair, inset: float = 0) -> tuple[Point, Point]:
    """Where the front and the rear leg meet the seat: under its corners, further in where these are round."""
    inset += chair.leg / 2 + 0.3 * chair.corner
    front, rear = chair.front + inset, chair.rear - inset
    return (chair.wide_at(front) - inset, front, chair.seat), (chair.wide_at(rear) - inset, rear, chair.seat)


def along(start: Point, end: Point, share: float) -> Point:
    x, y, z = (a + share * (b - a) for a, b in zip(start, end, strict=True))
    return x, y, z


def legs(half: Voxels, chair: Chair, dice: Dice) -> None:
    """Four legs, straight or splayed, with or without rails between them."""
    front, rear = spots(chair, inset=dice.between(0, 2))
    out, ahead, back = (dice.between(0, 4) if dice.chance(0.5) else 0.0 for _ in range(3))
    front_foot, rear_foot = (front[0] + out, front[1] - ahead, 0.0), (rear[0] + out, rear[1] + back, 0.0)
    beam(half, front_foot, front, chair.leg)
    beam(half, rear_foot, rear, chair.leg)
    if chair.under >= 12 and dice.chance(0.45):
        share, rail = dice.between(0.15, 0.55), max(1.5, chair.leg - 1)
        one, other = along(front_foot, front, share), along(rear_foot, rear, share)
        beam(half, one, other, rail)
        if dice.chance(0.5):
            crossbar(half, along(one, other, 0.5), rail)
        else:
            crossbar(half, one, rail)
            crossbar(half, other, rail)


def crossbar(half: Voxels, end: Point, thick: float) -> None:
    """From the middle plane to a point right of it."""
    beam(half, (0, end[1], end[2]), end, thick)


def sled(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A runner on the floor at each side; without rear legs it is a cantilever chair."""
    front, rear = spots(chair)
    ahead, back = dice.between(0, 3), dice.between(0, 4)
    toe = front[0], front[1] - ahead, chair.leg / 2
    heel = rear[0], rear[1] + back, chair.leg / 2
    beam(half, (toe[0], toe[1], 0), front, chair.leg)
    beam(half, toe, heel, chair.leg)
    if dice.chance(0.55):
        beam(half, (heel[0], heel[1], 0), rear, chair.leg)
        if dice.chance(0.4):
            crossbar(half, toe, chair.leg)
    crossbar(half, heel, chair.leg)


def pedestal(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A column on a round or square plate."""
    plate = dice.between(0.6, 0.9) * chair.wide
    thick = dice.whole((1, 3))
    if dice.chance(0.7):
        half[:, :, :thick] |= disk(plate)[..., None]
    else:
        box(half, (0, plate), (MIDDLE - plate, MIDDLE + plate), (0, thick))
    half[:, :, : chair.seat] |= disk(dice.between(1.5, 4))[..., None]


def star(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A column on five spokes, one of them straight ahead or straight back, or on four; with castors."""
    reach = max(13.0, dice.between(0.8, 1.05) * chair.wide)
    castor = dice.whole((2, 4))
    hub = castor + dice.between(2, 5)
    start = dice.pick({"ahead": 0.35, "back": 0.35, "four": 0.3})
    angles = {"ahead": (0, 72, 144), "back": (36, 108, 180), "four": (45, 135)}[start]
    for angle in angles:
        x, y = reach * math.sin(math.radians(angle)), MIDDLE - reach * math.cos(math.radians(angle))
        beam(half, (0, MIDDLE, hub), (x, y, castor + 0.5), chair.leg)
        box(half, (x - 1.5, x + 1.5), (y - 1.5, y + 1.5), (0, castor + 1))
    half[:, :, castor + 1 : chair.seat] |= disk(dice.between(1.2, 2.4))[..., None]
    half[:, :, math.floor(hub) : chair.under] |= disk(2.8 if dice.chance(0.5) else 1)[..., None]


def panels(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A board at each side."""
    inset = 0.3 * chair.corner
    wide = chair.wide_at(chair.rear) - inset
    box(half, (wide - chair.leg, wide), (chair.front + inset, chair.rear - inset), (0, chair.seat))


def block(half: Voxels, chair: Chair, dice: Dice) -> None:
    """Walls down to the floor, or to short feet. Hollow, as the meshes that people voxelize are."""
    feet, inset = dice.whole((0, 5)), dice.between(0, 1.5)
    walls = outline(chair, inset) & ~outline(chair, inset + 3)
    half[:, :, feet : chair.seat] |= walls[..., None]
    for x, y, _ in spots(chair, inset=1.5):
        beam(half, (x, y, 0), (x, y, feet + 2), chair.leg)


# Backs: a pattern of width and height, bent into place.


def bent(half: Voxels, chair: Chair, pattern: Voxels) -> None:
    """Occupies what the pattern (32, 64), seen from the front, says: leaning, with the sides bowed forward.

    Neighbors in the pattern are at most one voxel apart in depth, so a connected pattern stays connected.
    """
    x, z = np.nonzero(pattern)
    lean = chair.lean * np.maximum(0, z - chair.seat)
    begin = np.floor(chair.rear - chair.back + lean - chair.bow * (x / chair.back_wide) ** 2 + 0.5).astype(int)
    for depth in range(chair.back):
        half[x, begin + depth, z] = True


def arch(chair: Chair, dice: Dice) -> tuple[Voxels, Voxels]:
    """(32, 64) each: the whole of the back from the front, and what is inside its posts and its rails."""
    flare, corner = dice.between(-0.15, 0.15), dice.between(0, 0.5) * chair.back_wide
    rail, low = dice.between(3, 8), dice.between(0, 9)
    x, z = np.arange(HALF)[:, None] + 0.5, np.arange(FINEST) + 0.5

    def within(inset: float, down: float, bottom: float) -> Voxels:
        share = np.clip((z - chair.seat) / (chair.top - chair.seat), 0, 1)
        radius = max(0.5, corner - inset)
        past_x = np.maximum(x - chair.back_wide * (1 + flare * share) + inset + radius, 0)
        past_z = np.maximum(z - chair.top + down + radius, 0)
        return np.asarray((past_x**2 + past_z**2 < radius**2) & (z > bottom))

    return within(0, 0, chair.under), within(chair.leg, rail, chair.seat + low)


def solid(half: Voxels, chair: Chair, dice: Dice) -> None:
    bent(half, chair, arch(chair, dice)[0])


def raised(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A board that a bar in the middle holds above the seat."""
    whole, _ = arch(chair, dice)
    gap = chair.seat + dice.whole((4, 10))
    whole[dice.whole((2, 4)) :, :gap] = False
    bent(half, chair, whole)


def slats(half: Voxels, chair: Chair, dice: Dice) -> None:
    whole, inside = arch(chair, dice)
    wide = dice.whole((1, 3))
    pitch = wide + dice.whole((2, 4))
    gaps = (np.arange(HALF) + (wide // 2 if dice.chance(0.5) else pitch)) % pitch >= wide
    bent(half, chair, whole & ~(inside & gaps[:, None]))


def ladder(half: Voxels, chair: Chair, dice: Dice) -> None:
    whole, inside = arch(chair, dice)
    tall = dice.whole((2, 5))
    pitch = tall + dice.whole((3, 6))
    gaps = (chair.top - np.arange(FINEST)) % pitch >= tall
    bent(half, chair, whole & ~(inside & gaps))


def frame(half: Voxels, chair: Chair, dice: Dice) -> None:
    whole, inside = arch(chair, dice)
    bent(half, chair, whole & ~inside)


def splat(half: Voxels, chair: Chair, dice: Dice) -> None:
    """One broad board in the middle of a frame."""
    whole, inside = arch(chair, dice)
    inside[: dice.whole((3, 6))] = False
    bent(half, chair, whole & ~inside)


# Arms.


def posts(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A rest from the back to a post that stands on the seat, upright or leaning forward."""
    (x, y, _), _ = spots(chair)
    height = chair.seat + dice.between(10, 15)
    y += dice.between(0, 6)
    end = chair.back_wide - chair.leg / 2, chair.behind(height) + 1 - chair.bow, height
    start = x, y - dice.between(0, 3), height
    beam(half, (x, y, chair.under), start, chair.leg)
    beam(half, (start[0], start[1] - 2, height), end, dice.between(chair.leg, chair.leg + 2), dice.between(1.5, 3))


def tee(half: Voxels, chair: Chair, dice: Dice) -> None:
    """A pad on one post at each side, held from under the seat."""
    middle, height, far = (chair.front + chair.rear) / 2, chair.seat + dice.whole((9, 14)), chair.wide + 3
    box(half, (0, far), (middle - 1, middle + 1), (chair.under - 1, chair.under + 1))
    box(half, (far - 2, far), (middle - 1, middle + 1), (chair.under - 1, height))
    long = dice.between(6, 10)
    box(half, (far - 3, far + 1), (middle - long, middle + long), (height, height + 2))


def closed(half: Voxels, chair: Chair, dice: Dice) -> None:
    """Upholstered sides."""
    thick, low = dice.whole((3, 6)), dice.whole((0, 5))
    top = min(chair.seat + dice.whole((6, 13)), chair.top)
    box(half, (chair.wide - 1, chair.wide - 1 + thick), (chair.front, chair.rear), (min(low, chair.under - 2), top))
    for y in (chair.front, chair.rear - 3):  # feet
        box(half, (chair.wide - 1, chair.wide + 2), (y, y + 3), (0, low + 2))


def none(half: Voxels, chair: Chair, dice: Dice) -> None:
    """Leaves it out."""


BASES = {"legs": legs, "sled": sled, "pedestal": pedestal, "star": star, "panels": panels, "block": block}
BACKS = {
    "solid": solid,
    "raised": raised,
    "slats": slats,
    "ladder": ladder,
    "frame": frame,
    "splat": splat,
    "none": none,
}
ARMS = {"posts": posts, "tee": tee, "panels": closed, "none": none}
