"""The passport of a score: everything that the number depends on, so that unlike scores are never compared.

Looking at scores imports no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from gansaku.errors import UsageError

FEW, SOME = 2048, 10_000  # below these a Fréchet distance is mostly bias, and noticeably biased


@dataclass(frozen=True)
class Passport:
    """How a number came about. What is called `protocol` must agree before two numbers may be compared."""

    metric: str  # as `--metrics` takes it
    n_generated: int
    n_real: int  # 0 where the metric reads none
    data: str  # fingerprint of the real data, "" where none are read
    split: str
    extractor: str = ""  # "" where none is asked
    sha256: str = ""  # of the extractor's weights
    resize: str = ""
    precision: str = "fp32"  # the extractor's
    quantization: str = "uint8"  # how samples are rounded before they are looked at
    weights: str = "stored"  # "ema" or "raw" of a run; "stored" for samples from a file
    truncation: float | None = None
    label: str = ""  # of the one class that was scored; "" for all
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the metric
    seed: int = 0
    real: str = ""  # what people call the real data
    generated: str = ""  # what was scored: a run and its samples seen, or a file
    seen: int | None = None  # samples seen by the checkpoint
    interval: str = ""  # how the interval came about
    version: str = ""  # of Gansaku and torch
    device: str = "cpu"

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that scores of the same protocol share."""
        content = json.dumps([getattr(self, name) for name in PROTOCOL], sort_keys=True, default=dict)
        return hashlib.sha256(content.encode()).hexdigest()[:8]


TOLD = ("seed", "real", "generated", "seen", "interval", "version", "device")
PROTOCOL = tuple(f.name for f in dataclasses.fields(Passport) if f.name not in TOLD)


@dataclass(frozen=True)
class Score:
    """A number with its name, which says on how many samples: `FID@10k`, its 95 % interval if known, and its passport."""

    name: str
    value: float
    interval: tuple[float, float] | None
    better: Literal["lower", "higher", "neither"]
    passport: Passport
    warnings: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        return self.passport.metric

    def __str__(self) -> str:
        low_high = f"  [{self.interval[0]:.4g}, {self.interval[1]:.4g}]" if self.interval else ""
        return f"{self.name} {self.value:.4g}{low_high}"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        made = dataclasses.asdict(self)
        return {"name": self.name, "metric": self.metric, **made, "passport": {**made["passport"]}}


def from_plain(content: Mapping[str, Any]) -> Score:
    """The inverse of `Score.plain`. Raises UsageError for what is no score; fields that are not known are left out."""
    try:
        known = {f.name for f in dataclasses.fields(Passport)}
        passport = Passport(**{name: value for name, value in content["passport"].items() if name in known})
        counts = [passport.n_generated, passport.n_real]
        if not all(type(n) is int for n in counts) or content["better"] not in ("lower", "higher", "neither"):
            raise ValueError(f"{counts} or {content['better']!r}")
        interval = content["interval"] and (float(content["interval"][0]), float(content["interval"][1]))
        return Score(
            str(content["name"]), float(content["value"]), interval, content["better"], passport, tuple(content["warnings"])
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError("scores", f"are not as `gansaku evaluate --json` writes them: {error!r}", "SCORES") from None


def protocol(score: Score) -> str:
    """How the number came about, in a line: 1,000 generated samples (ema); 1,000 real ones of avatars (train); …"""
    p = score.passport
    parts = [f"{p.n_generated:,} generated samples ({p.weights}{f', truncated at {p.truncation:g}' if p.truncation else ''})"]
    if p.n_real:
        parts.append(f"{p.n_real:,} real ones of {p.real} ({p.split})")
    if p.extractor:
        parts.append(f"{p.extractor} {p.sha256[:8]}, resize {p.resize}, {p.precision}")
    return "; ".join(parts)


def counted(n: int) -> str:
    """10000 -> 10k, 2048 -> 2048: how a number of samples is written in a score's name."""
    return f"{n // 1000}k" if n % 1000 == 0 and n else str(n)


def named(title: str, n: int, n_real: int = 0) -> str:
    """`FID@10k`, never a bare title; `FID@200/9k` where the real samples (0: none are read) are not as many."""
    return f"{title}@{counted(n)}" + (f"/{counted(n_real)}" if n_real not in (0, n) else "")


def unlike(a: Passport, b: Passport) -> list[str]:
    """Why two scores may not be compared, a phrase for each reason; nothing if they may."""
    words = {"n_generated": "generated samples", "n_real": "real samples", "sha256": "extractor weights", "data": "real data"}
    reasons = []
    for name in PROTOCOL:
        x, y = getattr(a, name), getattr(b, name)
        if x != y and not (name == "weights" and "stored" in (x, y)):  # what made samples in a file, nobody knows
            shown = ((a.real, b.real) if a.real != b.real else (x[:8], y[:8])) if name == "data" else (x, y)
            if name == "sha256":
                shown = (x[:8], y[:8])
            reasons.append(f"{words.get(name, name)}: {shown[0] or 'none'} against {shown[1] or 'none'}")
    return reasons


class Difference(NamedTuple):
    """How much the other score is above the first one. The interval takes the two for independent; None without theirs."""

    first: Score
    other: Score
    change: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        """What the numbers say, and no more."""
        a, b = self.first.passport.generated, self.other.passport.generated
        if self.interval is None:
            return f"{self.other.name}: {b} {self.change:+.4g} against {a}"
        low, high = self.interval
        told = f"{self.other.name}: {b} {self.change:+.4g} [{low:+.4g}, {high:+.4g}] against {a}"
        if low <= 0 <= high:
            return f"{told}, no difference that these samples can show"
        if self.first.better == "neither":
            return told
        return f"{told}, {'better' if (self.change < 0) == (self.first.better == 'lower') else 'worse'}"


def difference(a: Score, b: Score, force: bool = False) -> Difference:
    """b - a. Raises UsageError with the reasons when they are unlike, unless forced."""
    reasons = unlike(a.passport, b.passport)
    if reasons and not force:
        told = " and ".join(f"{score.name} of {score.passport.generated or 'no name'}" for score in (a, b))
        raise UsageError(
            told, f"are not comparable: {'; '.join(reasons)}. Score both the same way; --force shows the difference",
            "UNLIKE_SCORES",
        )  # fmt: skip
    change, interval = b.value - a.value, None
    if a.interval and b.interval:
        reach = math.hypot(*((high - low) / 2 for low, high in (a.interval, b.interval)))
        interval = (change - reach, change + reach)
    return Difference(a, b, change, interval)


def warnings(passport: Passport, biased: bool, features: int = FEW) -> tuple[str, ...]:
    """What a reader of the number must know; `biased` for metrics whose bias falls with the samples.

    Fewer samples than features make singular covariances.
    """
    few = min(n for n in (passport.n_generated, passport.n_real or passport.n_generated))
    if not biased or few >= SOME:
        return ()
    if few < min(FEW, features):
        return (
            f"{few:,} samples are fewer than {min(FEW, features):,}: mostly bias, compare only with scores of the same counts",
        )
    return (f"{few:,} samples are fewer than {SOME:,}: biased upwards, compare only with scores of the same counts",)
