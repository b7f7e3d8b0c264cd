"""The colors of ADA as matrices on channels, drawn for each sample. Karras et al. 2020, arXiv:2006.06676, appendix B."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gansaku.augment.geometry import about
from gansaku.draws import Draw
from gansaku.terms import spread

BRIGHTNESS = 0.2  # standard deviation
CONTRAST = 0.5  # standard deviation of the binary logarithm
SATURATION = 1.0  # likewise


class Coloring(NamedTuple):
    """What each sample's color becomes, and which samples are changed at all."""

    matrix: Tensor  # (N, 3, 4): the last column is added
    changed: Tensor  # (N,) bool


def coloring(draw: Draw, purpose: str, p: Tensor, channels: int) -> Coloring:
    """All changes of color one after the other, each with probability p; gray samples pass the first three.

    + N(0, 0.2²); × 2^N(0, 0.5²); luma turned to its negative, or not; hue turned by any angle; saturation × 2^N(0, 1).
    Luma is along (1, 1, 1)/√3, hue is the angle around it and saturation the distance from it.
    """
    uniform, normal = draw.uniform(f"coloring/{purpose}", 7), draw.normal(f"coloring/{purpose}", 3)
    gates, bells = uniform < p, normal.unbind(1)
    eye = torch.eye(3, dtype=uniform.dtype, device=uniform.device).expand(len(uniform), -1, -1)
    luma = torch.full_like(eye, 1 / 3)  # the projection on the luma axis
    flip = (2 * uniform[:, 5]).floor()
    angle = math.pi * (2 * uniform[:, 6] - 1)
    changes = [
        (eye, spread(BRIGHTNESS * bells[0], eye[..., :1]).expand(-1, 3, 1)),
        (spread((CONTRAST * bells[1]).exp2(), eye) * eye, None),
        (eye - 2 * spread(flip, eye) * luma, None),
        (about(torch.ones_like(eye[..., 0]), angle), None),
        (luma + spread((SATURATION * bells[2]).exp2(), eye) * (eye - luma), None),
    ]
    count = 5 if channels == 3 else 3
    matrix = torch.cat([eye, torch.zeros_like(eye[..., :1])], 2)
    for i, (factor, plus) in enumerate(changes[:count]):
        new = (factor[:, :, :, None] * matrix[:, None]).sum(2)
        if plus is not None:
            new = torch.cat([new[..., :3], new[..., 3:] + plus], 2)
        matrix = new.where(gates[:, i, None, None], matrix)
    return Coloring(matrix, gates[:, :count].any(1))


def painted(x: Tensor, matrix: Tensor) -> Tensor:
    """(N, 3, *S) or gray (N, 1, *S) with its colors changed; a gray sample as the mean of what three equal channels become."""
    if x.shape[1] == 1:
        factor, plus = matrix[..., :3].sum(2).mean(1), matrix[..., 3].mean(1)
        return x * spread(factor, x) + spread(plus, x)
    columns = [column.view(*column.shape, *[1] * (x.ndim - 2)) for column in matrix.unbind(2)]
    return columns[0] * x[:, :1] + columns[1] * x[:, 1:2] + columns[2] * x[:, 2:] + columns[3]
