"""Priors: distributions of the latent z (N, Z)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gansaku.contract import Prior
from gansaku.draws import Draw
from gansaku.parts import part, require

Way = Literal["linear", "spherical"]


def between(a: Tensor, b: Tensor, share: Tensor, way: Way) -> Tensor:
    """(…, Z): where one is after a share (…, 1) of the way from a to b, each (…, Z).

    linear: (1 - t) a + t b, which for Gaussian latents passes nearer to 0 than any sample lies. spherical: along the great
    arc, sin((1 - t) Ω) / sin Ω · a + sin(t Ω) / sin Ω · b with Ω the angle between a and b (Shoemake 1985; White 2016,
    arXiv:1609.04468, sec. 2); linear where a and b lie on one line.
    """
    straight = torch.lerp(a, b, share)
    if way == "linear":
        return straight
    cosine = functional.cosine_similarity(a, b, dim=-1).unsqueeze(-1).double().clamp(-1, 1)
    angle = cosine.acos()
    sine = angle.sin()
    arc = ((1 - share) * angle).sin() / sine * a + (share * angle).sin() / sine * b
    return torch.where(sine > 1e-6, arc, straight.double()).to(straight)


@part
class Gaussian(Prior):
    """z ~ N(0, scale²) in each of `size` values. Article 0's code has scale 0.33."""

    size: int = 128
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check(self.size, self.scale)

    def sample(self, draw: Draw, purpose: str) -> Tensor:
        return draw.normal(purpose, self.size) * self.scale

    def truncated(self, z: Tensor, threshold: float) -> Tensor:
        """The truncated normal by its quantiles: each value keeps its rank, so each sample stays near its own self."""
        require(threshold > 0, "truncation", f"{threshold:g} must be above 0")
        edge = torch.special.ndtr(torch.tensor(threshold, dtype=torch.float64))
        rank = torch.special.ndtr(z.double() / self.scale)
        moved: Tensor = torch.special.ndtri(1 - edge + rank * (2 * edge - 1)) * self.scale
        return moved.to(z)


@part
class Uniform(Prior):
    """z ~ U(-scale, scale) in each of `size` values."""

    size: int = 128
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check(self.size, self.scale)

    def sample(self, draw: Draw, purpose: str) -> Tensor:
        return (2 * draw.uniform(purpose, self.size) - 1) * self.scale


@part
class Sphere(Prior):
    """z uniform on the sphere of radius √size, so that each value has variance 1."""

    size: int = 128

    def __post_init__(self) -> None:
        _check(self.size, 1)

    def sample(self, draw: Draw, purpose: str) -> Tensor:
        z = draw.normal(purpose, self.size)
        return functional.normalize(z) * math.sqrt(self.size)


def _check(size: int, scale: float) -> None:
    require(size >= 1, "size", f"{size} is not a number of latent values; use 1 or more")
    require(scale > 0, "scale", f"{scale:g} must be above 0")
