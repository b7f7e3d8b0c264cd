"""What single voxel shapes and their mean look like: where they are, whether they hang together, whether they are symmetric."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from gansaku.metrics.contract import Metric, Need, Output, Side
from gansaku.parts import part

BLOCK = 64  # shapes at once


@part
class OccupancyDivergence(Metric):
    """The Jensen-Shannon divergence, in bits, of where the voxels of real and of generated samples are: 0 to 1.

    Each side's mean occupancy, divided by its sum, is a distribution over the grid. How full the samples are is not compared.
    A side of empty samples only is 1 from any other one, and 0 from another such.

    Achlioptas et al. 2018, arXiv:1707.02392.
    """

    gives: ClassVar[dict[str, Output]] = {"jsd": Output("JSD", "lower", least=0, most=1)}
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    dimensions: ClassVar[tuple[int, ...]] = (3,)
    biased: ClassVar[bool] = True

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        p = self.reference(real) if reference is None else reference
        return {"jsd": divergence(p, occupancy(generated.known("samples")))}

    def reference(self, real: Side) -> Tensor:
        return occupancy(real.known("samples"))


@part
class Pieces(Metric):
    """The mean number of separate pieces a sample; voxels that touch by a corner hang together. Empty samples have none.

    More pieces than real samples have are floating debris, fewer are lumps, so the real mean is given beside it.
    """

    gives: ClassVar[dict[str, Output]] = {
        "pieces": Output("Pieces", "neither", least=0),
        "pieces_real": Output("Pieces (real)", "neither", means="the same of the real shapes"),
    }
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        usual = self.reference(real) if reference is None else reference
        return {"pieces": float(pieces(generated.known("samples")).mean()), "pieces_real": usual}

    def reference(self, real: Side) -> float:
        return float(pieces(real.known("samples")).mean())


@part
class Symmetry(Metric):
    """The mean over samples of the best IoU of a sample with its mirror image, over the grid's three middle planes.

    1 for a symmetric or an empty sample. Real samples need not be symmetric, so their mean is given beside it.
    """

    gives: ClassVar[dict[str, Output]] = {
        "symmetry": Output("Symmetry", "neither", least=0, most=1),
        "symmetry_real": Output("Symmetry (real)", "neither", means="the same of the real shapes"),
    }
    needs: ClassVar[tuple[Need, ...]] = ("samples",)
    dimensions: ClassVar[tuple[int, ...]] = (3,)

    def values(self, real: Side, generated: Side, reference: Any = None) -> dict[str, float]:
        usual = self.reference(real) if reference is None else reference
        return {"symmetry": float(symmetry(generated.known("samples")).mean()), "symmetry_real": usual}

    def reference(self, real: Side) -> float:
        return float(symmetry(real.known("samples")).mean())


def occupancy(samples: Tensor) -> Tensor:
    """(n, 1, *S) of 0/1 -> (V,) fp64: the share of all occupied voxels that is at each place; zeros if there are none."""
    counts = samples.flatten(1).sum(0, dtype=torch.float64)
    return counts / counts.sum().clamp_min(1)


def divergence(p: Tensor, q: Tensor) -> float:
    """Σ ½ p log₂ (p / m) + ½ q log₂ (q / m), m = ½ (p + q): Jensen-Shannon, with zeros for an empty side."""
    if not (p.any() and q.any()):
        return float(bool(p.any()) != bool(q.any()))
    m = (p + q) / 2
    terms = torch.xlogy(p, p) + torch.xlogy(q, q) - 2 * torch.xlogy(m, m)
    return min(1.0, max(0.0, float(terms.sum()) / (2 * math.log(2))))


def pieces(samples: Tensor) -> Tensor:
    """(n, 1, *S) of 0/1 -> (n,) fp64: how many pieces each has, with 26 neighbours a voxel."""
    touching = np.ones((3, 3, 3), int)
    return torch.tensor([ndimage.label(sample, touching)[1] for sample in samples.squeeze(1).numpy()], dtype=torch.float64)


def symmetry(samples: Tensor) -> Tensor:
    """(n, 1, *S) of 0/1 -> (n,) fp64: the best of the IoUs with the mirror images along each axis; 1 if empty."""
    return torch.cat([block_symmetry(block.squeeze(1).bool()) for block in torch.split(samples, BLOCK)])


def block_symmetry(full: Tensor) -> Tensor:
    """(n, *S) bool -> (n,)."""
    found = []
    for axis in (1, 2, 3):
        mirrored = full.flip(axis)
        both, either = (op(full, mirrored).flatten(1).sum(1).double() for op in (torch.logical_and, torch.logical_or))
        found.append(torch.where(either > 0, both / either, 1.0))
    return torch.stack(found).amax(0)
