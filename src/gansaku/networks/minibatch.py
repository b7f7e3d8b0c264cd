"""Layers that let D compare the samples of a batch: how near the others are, and how much they differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gansaku import ranks


class MinibatchDiscrimination(nn.Module):
    """(N, F) -> (N, F + kernels): beside its features, each sample's Σⱼ exp(-|Mᵢ - Mⱼ|₁) over the other samples j.

    Salimans et al. 2016, arXiv:1606.03498, sec. 3.2. M is linear in the features, `size` values for each kernel. All
    samples of the global batch are seen, over ranks.
    """

    def __init__(self, features: int, kernels: int, size: int):
        super().__init__()
        self.kernels, self.size = kernels, size
        self.project = nn.Linear(features, kernels * size)

    def forward(self, x: Tensor) -> Tensor:
        mine: Tensor = self.project(x).view(len(x), self.kernels, self.size)
        mine = mine.to(torch.promote_types(mine.dtype, torch.float32))  # half precision is too coarse for distances
        everyone = ranks.gather(mine)
        apart = torch.cdist(mine.transpose(0, 1).contiguous(), everyone.transpose(0, 1).contiguous(), p=1)  # (kernels, N, all)
        near = torch.exp(-apart).sum(2).t() - 1  # itself is at no distance
        return torch.cat([x, near.to(x.dtype)], 1)


class MinibatchDeviation(nn.Module):
    """(N, C, *S) -> (N, C + 1, *S): one more map, everywhere the mean over features and places of their deviation.

    Karras et al. 2018, arXiv:1710.10196, sec. 3. Over the global batch, over ranks; the deviation is that of the whole
    batch (divided by N), from variance + 1e-8 so that equal samples have a gradient. With `group`, as in the authors'
    program, of so many samples together, or of the most that divide both: of N / group groups, sample i is in the
    (i modulo N / group)-th.
    """

    def __init__(self, group: int = 0):
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        everyone = ranks.gather(x.to(torch.promote_types(x.dtype, torch.float32)))
        size = math.gcd(self.group, len(everyone))  # of no group it is the whole batch
        deviation = (everyone.view(size, -1, *everyone.shape[1:]).var(0, correction=0) + 1e-8).sqrt().flatten(1).mean(1)
        first = ranks.mine() * len(x)
        own = deviation.repeat(size)[first : first + len(x)].to(x.dtype)
        return torch.cat([x, own.view(-1, *[1] * (x.ndim - 1)).expand(-1, 1, *x.shape[2:])], 1)
