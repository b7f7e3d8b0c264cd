"""The movements of ADA as matrices on places, drawn for each sample. Karras et al. 2020, arXiv:2006.06676, appendix B."""

from __future__ import annotations

import math
from itertools import permutations, product
from typing import NamedTuple

import torch
from torch import Tensor

from gansaku.augment.places import LEFT_TO_RIGHT, whole
from gansaku.draws import Draw
from gansaku.terms import spread

SHIFT = 0.125  # of a side: the range of whole steps, and the standard deviation of others
SCALE = 0.2  # standard deviation of the binary logarithm


class Movement(NamedTuple):
    """Where the values of each sample come from, and which samples are moved at all."""

    inverse: Tensor  # (N, dims, dims + 1): the place that a place's value is taken from
    moved: Tensor  # (N,) bool


def movement(draw: Draw, purpose: str, space: torch.Size, blit: Tensor, geometry: Tensor, upright: bool) -> Movement:
    """All movements one after the other, each done with a probability: `blit` those that copy, `geometry` the others.

        blit      mirrored left to right, or not; turned by 0, 90, 180 or 270 degrees; moved by whole steps, up to 1/8 of a side
        geometry  scaled by 2^N(0, 0.2²); turned by any angle; stretched, the volume kept; turned again; moved by N(0, 1/8²) of
                  a side. Each of the two turns is done with the probability that makes it `geometry` for one of them.

    Turns are in the plane of the first two axes, which is the picture, or the ground of voxels: these stay upright. Without
    `upright`, voxels are mirrored along each axis, turned into one of 24 poses, and about any axis.
    """
    dims = len(space)
    uniform, normal = draw.uniform(f"movement/{purpose}", 17), draw.normal(f"movement/{purpose}", 13)
    gates, rolls, bells = (iter(x.unbind(1)) for x in (uniform[:, :8], uniform[:, 8:], normal))
    free = dims == 3 and not upright
    eye = torch.eye(dims, dtype=uniform.dtype, device=uniform.device).expand(len(uniform), -1, -1)
    sides = uniform.new_tensor(list(space))
    result = Movement(torch.cat([eye, torch.zeros_like(eye[..., :1])], 2), torch.zeros_like(uniform[:, 0], dtype=torch.bool))

    flips = torch.stack([1 - 2 * whole(next(rolls), 2) for _ in space], 1)
    only = torch.zeros(dims, dtype=torch.bool, device=uniform.device)
    only[LEFT_TO_RIGHT[dims]] = True
    result = then(result, next(gates) < blit, torch.diag_embed(flips if free else flips.where(only, 1)))
    result = then(
        result, next(gates) < blit, poses(eye, whole(next(rolls), 24)) if free else quarters(eye, whole(next(rolls), 4))
    )
    steps = torch.stack([((2 * next(rolls) - 1) * SHIFT * side).round() for side in sides], 1)
    result = then(result, next(gates) < blit, eye, -steps)

    result = then(result, next(gates) < geometry, spread((-SCALE * next(bells)).exp2(), eye) * eye)
    each = 1 - (1 - geometry).clamp(0, 1).sqrt()
    for stretch in (True, False):
        angle = math.pi * (2 * next(rolls) - 1)
        axis = torch.stack([next(bells) for _ in range(3)], 1)
        turn = about(axis, angle) if free else in_plane(eye, angle.cos(), angle.sin())
        result = then(result, next(gates) < each, turn)
        if stretch:
            logs = torch.stack([next(bells) for _ in space], 1)
            result = then(result, next(gates) < geometry, torch.diag_embed((-SCALE * balanced(logs)).exp2()))
    away = torch.stack([next(bells) for _ in space], 1) * SHIFT * sides
    return then(result, next(gates) < geometry, eye, -away)


def then(before: Movement, gate: Tensor, matrix: Tensor, step: Tensor | None = None) -> Movement:
    """One more movement, by the inverse of its matrix (N, dims, dims) and step (N, dims), for samples whose gate is open."""
    a, t = before.inverse[..., :-1], before.inverse[..., -1]
    t = t if step is None else t + (a * step[:, None, :]).sum(2)
    product_ = (a[:, :, :, None] * matrix[:, None, :, :]).sum(2)
    inverse = torch.cat([product_, t[..., None]], 2)
    return Movement(inverse.where(gate[:, None, None], before.inverse), before.moved | gate)


def balanced(logs: Tensor) -> Tensor:
    """N(0, 1) for each axis -> N(0, 1) whose sum over the axes is 0. Of two axes the one is minus the other."""
    dims = logs.shape[1]
    return math.sqrt(dims / (dims - 1)) * (logs - logs.mean(1, keepdim=True))


def in_plane(eye: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(N, dims, dims): turned in the plane of the first two axes."""
    matrix = eye.clone()
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = cos, -sin, sin, cos
    return matrix


def quarters(eye: Tensor, turns: Tensor) -> Tensor:
    """Turned by so many right angles, with sine and cosine that are exactly 0, 1 or -1."""
    table = eye.new_tensor([1, 0, -1, 0])
    return in_plane(eye, table[turns.long()], table[(turns.long() - 1) % 4])


def poses(eye: Tensor, which: Tensor) -> Tensor:
    """(N, 3, 3): one of the 24 ways to turn a cube into itself."""
    found = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        even = sum(order[i] > order[j] for i in range(3) for j in range(i + 1, 3)) % 2 == 0
        if math.prod(signs) == (1 if even else -1):
            found.append([[sign if at == column else 0 for column in range(3)] for at, sign in zip(order, signs, strict=True)])
    return eye.new_tensor(found)[which.long()]


def about(axis: Tensor, angle: Tensor) -> Tensor:
    """(N, 3, 3): turned by an angle about an axis (N, 3) of any length (Rodrigues' formula)."""
    x, y, z = (axis / torch.linalg.vector_norm(axis, dim=1, keepdim=True)).unbind(1)
    zero, cos, sin = torch.zeros_like(x), angle.cos(), angle.sin()
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    unit = torch.stack([x, y, z], 1)
    along = unit[:, :, None] * unit[:, None, :]
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    result: Tensor = spread(cos, cross) * eye + spread(sin, cross) * cross + spread(1 - cos, cross) * along
    return result
