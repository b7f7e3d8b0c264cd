"""Self-attention between the places of a feature map, as SAGAN has it, in 2D and 3D."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansaku.networks.blocks import CONV

MAX_POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}


class SelfAttention(nn.Module):
    """(N, C, *S) -> (N, C, *S): xⱼ + γ · o(Σᵢ βⱼᵢ g(x)ᵢ) for each place j, where β is the softmax over i of θ(x)ⱼ · φ(x)ᵢ.

    θ and φ have C/8 channels, g has C/2 and o has C again, all 1 × 1 without bias; φ and g are max-pooled by 2, so each
    place looks at a fourth of the places in 2D, at an eighth in 3D. γ starts at 0: the layer begins as the identity.
    Zhang et al. 2019, arXiv:1805.08318, eq. 1 to 3; channels and pooling as in its published code, which eq. 1 has not.
    Written out, and not by torch's fused attention, which has no second derivative: penalties on a slope need one.
    """

    def __init__(self, dims: int, channels: int):
        super().__init__()
        few, half = max(1, channels // 8), max(1, channels // 2)
        self.theta = CONV[dims](channels, few, 1, bias=False)
        self.phi = CONV[dims](channels, few, 1, bias=False)
        self.g = CONV[dims](channels, half, 1, bias=False)
        self.o = CONV[dims](half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        pool = MAX_POOL[x.ndim - 2]
        query = self.theta(x).flatten(2).transpose(1, 2)  # (N, places, C/8)
        key = pool(self.phi(x), 2, ceil_mode=True).flatten(2)  # (N, C/8, places looked at)
        value = pool(self.g(x), 2, ceil_mode=True).flatten(2).transpose(1, 2)
        scores = torch.matmul(query, key)
        share = scores.to(torch.promote_types(scores.dtype, torch.float32)).softmax(2)
        seen = torch.matmul(share.to(value.dtype), value).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
        y: Tensor = self.o(seen)
        return x + self.gamma.to(y.dtype) * y
