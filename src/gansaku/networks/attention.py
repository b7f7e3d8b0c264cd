"""Self-attention between the places of a feature map, as SAGAN has it, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansaku.networks.blocks import CONV

MEGABYTE = 1 << 20
MAX_POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}


class SelfAttention(nn.Module):
    """(N, C, *S) -> (N, C, *S): xⱼ + γ · o(Σᵢ βⱼᵢ g(x)ᵢ) for each place j, where β is the softmax over i of θ(x)ⱼ · φ(x)ᵢ.

    θ and φ have C/8 channels, g has C/2 and o has C again, all 1 × 1 without bias; φ and g are max-pooled by 2, so each
    place looks at a fourth of the places in 2D, at an eighth in 3D. γ starts at 0: the layer begins as the identity.
    Zhang et al. 2019, arXiv:1805.08318, eq. 1 to 3; channels and pooling as in its published code, which eq. 1 has not.
    Not torch's fused attention, which has no second derivative: penalties on a slope need one.
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
        seen = attended(query, key, value).transpose(1, 2).reshape(*value.shape[::2], *x.shape[2:])
        y: Tensor = self.o(seen)
        return x + self.gamma.to(y.dtype) * y


def plainly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query · key) · value, for query (N, L, c), key (N, c, M) and value (N, M, h) -> (N, L, h)."""
    scores = torch.matmul(query, key)
    share = scores.to(torch.promote_types(scores.dtype, torch.float32)).softmax(2)
    return torch.matmul(share.to(value.dtype), value)


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """As `plainly`; on a CPU some rows at a time, since all L · M scores together do not fit its caches."""
    if query.device.type != "cpu":
        return plainly(query, key, value)
    if torch.is_autocast_enabled("cpu"):  # as it would do with each product, forward and backward
        query, key, value = (x.to(torch.get_autocast_dtype("cpu")) for x in (query, key, value))
    found: Tensor = InRows.apply(query, key, value)  # type: ignore[no-untyped-call]
    return found


class InRows(torch.autograd.Function):
    """Attention that keeps no scores: they are made again for the gradient, or plainly where that is differentiated too."""

    @staticmethod
    def forward(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        found = query.new_empty(*query.shape[:2], value.shape[2])
        for n, rows in pieces(query, key):
            found[n, rows] = plainly(query[n : n + 1, rows], key[n : n + 1], value[n : n + 1])[0]
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = plainly(query, key, value)
            by_query, by_key, by_value = torch.autograd.grad(found, (query, key, value), wanted, create_graph=True)
            return by_query, by_key, by_value
        by_query, exact = torch.empty_like(query), torch.promote_types(query.dtype, torch.float32)
        by_key, by_value = torch.zeros_like(key, dtype=exact), torch.zeros_like(value, dtype=exact)
        for n, rows in pieces(query, key):
            q, k, v, w = query[n, rows], key[n], value[n], wanted[n, rows]
            share = torch.matmul(q, k).to(exact).softmax(1)
            by_share = torch.matmul(w, v.t()).to(exact)
            by_scores = (share * (by_share - (share * by_share).sum(1, keepdim=True))).to(q.dtype)
            by_query[n, rows] = torch.matmul(by_scores, k.t())
            by_key[n] += torch.matmul(q.t(), by_scores)
            by_value[n] += torch.matmul(share.to(w.dtype).t(), w)
        return by_query, by_key.to(key.dtype), by_value.to(value.dtype)


def pieces(query: Tensor, key: Tensor) -> Iterator[tuple[int, slice]]:
    """Sample by sample, so many rows that their scores take a megabyte."""
    step = max(1, MEGABYTE // (4 * key.shape[2]))
    for n in range(len(query)):
        for start in range(0, query.shape[1], step):
            yield n, slice(start, start + step)
