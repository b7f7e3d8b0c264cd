"""Alarms: when a run's recorded signals say that something is wrong, and when they no longer do. Imports no torch.

A detector is a part with a pure function of the looks so far. It is asked at one look after the other, so that the alarms of a
run are the same whether somebody asks while it trains or long after.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from gansaku.health.meaning import PREFIX, SHARE
from gansaku.parts import part, parts, require

Numbers = Mapping[str, float]
"""What one look found, by the signals' own names: `occupancy`, not `health/occupancy`."""

LAST = 8  # looks that a detector is shown


class Looked(NamedTuple):
    """One look: after how many samples, and its numbers."""

    seen: int
    numbers: Numbers


class Alarm(NamedTuple):
    """What is wrong: its kind, the looks that it began and ended with (None: it stands), what was seen, and what may help."""

    kind: str
    since: int
    until: int | None
    evidence: str
    remedy: str


class Detector(ABC):
    """A part that says at a look whether something is wrong. It is found by being there, a user's own too.

    `kind` is one word, with which what is told of it begins. `patience`: so many looks in a row must be wrong before it is an
    alarm, since one may be chance, or a beginning.
    """

    kind: ClassVar[str]
    remedy: ClassVar[str]
    patience: ClassVar[int] = 2

    @abstractmethod
    def wrong(self, looks: Sequence[Numbers]) -> str | None:
        """What is wrong at the last of these looks, a phrase with its numbers; None where nothing is, or nothing is known."""

    def over(self, looks: Sequence[Numbers]) -> bool:
        """Whether an alarm that stands is over at the last of these looks."""
        return self.wrong(looks) is None


@part
class Emptiness(Detector):
    """Nearly all samples are empty, beside data that are ten times as full: "it vanishes, and never recovers" (article 0)."""

    share: float = 0.9
    fuller: float = 10.0

    kind: ClassVar[str] = "empty"
    remedy: ClassVar[str] = "voxels that vanish seldom come back: begin again with lower learning rates, or the recipe voxels"

    def __post_init__(self) -> None:
        check_share(self.share)

    def wrong(self, looks: Sequence[Numbers]) -> str | None:
        found = several(looks[-1], "empty", "occupancy", "occupancy_real")
        if found is None or found[0] < self.share or found[1] * self.fuller >= found[2]:
            return None
        return f"{found[0]:.0%} of the samples have no voxels to speak of, where the data are {found[2]:.1%} full"

    def over(self, looks: Sequence[Numbers]) -> bool:
        """Half of them have some again."""
        return looks[-1].get("empty", 1.0) < 0.5


@part
class Fullness(Detector):
    """Nearly all samples are full, beside data that leave ten times as much room (article 0: all voxels 1)."""

    share: float = 0.9
    emptier: float = 10.0

    kind: ClassVar[str] = "full"
    remedy: ClassVar[str] = "solid blocks seldom open again: begin again with lower learning rates, or the recipe voxels"

    def __post_init__(self) -> None:
        check_share(self.share)

    def wrong(self, looks: Sequence[Numbers]) -> str | None:
        found = several(looks[-1], "full", "occupancy", "occupancy_real")
        if found is None or found[0] < self.share or (1 - found[1]) * self.emptier >= 1 - found[2]:
            return None
        return f"{found[0]:.0%} of the samples are solid blocks, where the data are {found[2]:.1%} full"

    def over(self, looks: Sequence[Numbers]) -> bool:
        """Half of them have room again."""
        return looks[-1].get("full", 1.0) < 0.5


class Excess(Detector):
    """A number that stays above a limit and does not fall: by a fifth over three looks, as it does while a generator learns."""

    patience: ClassVar[int] = 3
    falling: ClassVar[float] = 0.8

    @abstractmethod
    def measured(self, numbers: Numbers) -> tuple[float, float] | None:
        """The number and its limit; None where they are not known."""

    @abstractmethod
    def sentence(self, numbers: Numbers) -> str:
        """What is wrong."""

    def wrong(self, looks: Sequence[Numbers]) -> str | None:
        now = self.measured(looks[-1])
        if now is None or now[0] <= now[1]:
            return None
        before = self.measured(looks[-self.patience]) if len(looks) >= self.patience else None
        falls = before is not None and now[0] < self.falling * before[0]
        return None if falls else self.sentence(looks[-1])

    def over(self, looks: Sequence[Numbers]) -> bool:
        """It is at its limit or below."""
        now = self.measured(looks[-1])
        return now is not None and now[0] <= now[1]


@part
class Pattern(Excess):
    """The slices' spectrum peaks at periods of 2, 4 and 8 voxels, by so many dB more than that of other real samples.

    Regular patterns come before failures, says article 0. Halves of the bundled chairs differ by less than 2 dB; cut by a
    checkerboard or joined with a lattice they are beyond 8.
    """

    decibels: float = 5.0

    kind: ClassVar[str] = "pattern"
    remedy: ClassVar[str] = "a pattern often foretells a failure: try generator.network.grow=resize, or lower learning rates"

    def __post_init__(self) -> None:
        require(self.decibels > 0, "decibels", f"{self.decibels:g} must be above 0")

    def measured(self, numbers: Numbers) -> tuple[float, float] | None:
        found = several(numbers, "periodicity", "periodicity_real")
        return None if found is None else (found[0], found[1] + self.decibels)

    def sentence(self, numbers: Numbers) -> str:
        real = numbers["periodicity_real"]
        return (
            f"the samples repeat themselves every 2, 4 or 8 voxels, by {numbers['periodicity']:.1f} dB (the data: {real:.1f})"
        )


@part
class Islands(Excess):
    """A sample is in more than so many times as many pieces as one of the data (article 0: lumps that float, then vanish)."""

    times: float = 2.0

    kind: ClassVar[str] = "islands"
    remedy: ClassVar[str] = "they often go by themselves; `gansaku sample --largest-piece` leaves them out"

    def __post_init__(self) -> None:
        require(self.times > 1, "times", f"{self.times:g} must be above 1")

    def measured(self, numbers: Numbers) -> tuple[float, float] | None:
        found = several(numbers, "pieces", "pieces_real")
        return None if found is None else (found[0], found[1] * self.times)

    def sentence(self, numbers: Numbers) -> str:
        return f"{numbers['pieces']:.1f} pieces a sample, where the data have {numbers['pieces_real']:.1f}, and they stay"


def several(numbers: Numbers, *names: str) -> tuple[float, ...] | None:
    """The numbers of these names; None if one is missing or not a number."""
    found = tuple(numbers.get(name, float("nan")) for name in names)
    return found if all(value == value for value in found) else None


def check_share(share: float) -> None:
    require(0.5 <= share <= 1, "share", f"{share:g} is no share of the samples; use 0.5 to 1")


def known() -> tuple[Detector, ...]:
    """Every detector with its default settings, by name."""
    return tuple(detector() for detector in parts(Detector).values())


def alarms(history: Iterable[Looked], detectors: Iterable[Detector]) -> list[Alarm]:
    """All alarms of a run, in the order they began: those that are over and those that stand."""
    history = list(history)
    found = [alarm for detector in detectors for alarm in raised(detector, history)]
    return sorted(found, key=lambda alarm: alarm.since)


def raised(detector: Detector, history: Sequence[Looked]) -> list[Alarm]:
    """The alarms of one detector."""
    found: list[Alarm] = []
    in_a_row = 0
    for i, (seen, _) in enumerate(history):
        looks = [one.numbers for one in history[max(0, i + 1 - LAST) : i + 1]]
        if found and found[-1].until is None:
            if detector.over(looks):
                found[-1] = found[-1]._replace(until=seen)
            continue
        said = detector.wrong(looks)
        in_a_row = in_a_row + 1 if said else 0
        if said and in_a_row >= detector.patience:
            found.append(Alarm(detector.kind, seen, None, said, detector.remedy))
            in_a_row = 0
    return found


def history_of(curves: Mapping[str, Sequence[tuple[float, float]]]) -> list[Looked]:
    """The looks of a run, from the curves of its log."""
    found: dict[int, dict[str, float]] = {}
    for name, points in curves.items():
        if name.startswith(PREFIX) and name != SHARE:
            for seen, value in points:
                found.setdefault(int(seen), {})[name.removeprefix(PREFIX)] = value
    return [Looked(seen, found[seen]) for seen in sorted(found)]
