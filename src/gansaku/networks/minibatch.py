"""Minibatch discrimination (Salimans et al. 2016, arXiv:1606.03498, sec. 3.2): each sample sees how near the others are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gansaku import ranks


class MinibatchDiscrimination(nn.Module):
    """(N, F) -> (N, F + kernels): beside its features, each sample's Σⱼ exp(-|Mᵢ - Mⱼ|₁) over the other samples j.

    M is linear in the features, `size` values for each kernel. All samples of the global batch are seen, over ranks.
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
