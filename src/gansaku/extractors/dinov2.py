"""DINOv2 (Oquab et al. 2023, arXiv:2304.07193): self-supervised vision transformers with patches of 14, without registers.

Pictures at 224 px, antialiased bicubic, ImageNet's mean and deviation; the feature is the class token after the last
normalization (ε 1e-6). The position embeddings are learned for 37 × 37 patches and are interpolated to 16 × 16 as the
published code does: bicubic without antialiasing, with the scale (16 + 0.1)/37. The arithmetic is held to an independent
slow version on random weights; that it gives the published networks' features was not checked, for want of their files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansaku.errors import DataError
from gansaku.extractors.contract import Extracted, Extractor, Identity, Precision, dtype, exact, three_channels
from gansaku.extractors.resize import resized
from gansaku.extractors.weights import digest, located, read_tensors

SIDE, PATCH = 224, 14
EPSILON = 1e-6
OFFSET = 0.1  # patches that the published code adds to the side before it divides, against rounding
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
AT_ONCE = 16  # pictures in one pass


class Attention(nn.Module):
    """Softmax attention of all tokens to all, in heads of equal width."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        made = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
        projected: Tensor = self.proj(made)
        return projected


class Scale(nn.Module):
    """One learned factor per channel ("layer scale")."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """x + s1·attention(norm x), then x + s2·MLP(norm x). Modules are named as the published files name them."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width, heads)
        self.ls1, self.ls2 = Scale(width), Scale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        made: Tensor = x + self.ls2(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)))))
        return made


class Transformer(nn.Module):
    """(n, 3, S, S) normalized, S a multiple of 14 -> class tokens (n, width)."""

    def __init__(self, width: int, depth: int, heads: int, patches: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + positions(self.pos_embed, patches.shape[-1]).to(tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens)
        made: Tensor = self.norm(tokens[:, 0])
        return made.float()


def positions(learned: Tensor, side: int) -> Tensor:
    """Position embeddings (1, 1 + M², width) -> (1, 1 + side², width), as the published code interpolates them."""
    there = math.isqrt(learned.shape[1] - 1)
    if there == side:
        return learned
    grid = learned[:, 1:].float().reshape(1, there, there, -1).permute(0, 3, 1, 2)
    scale = (side + OFFSET) / there
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([learned[:, :1].float(), grid.flatten(2).transpose(1, 2)], 1)


def built(tensors: Mapping[str, Tensor], heads: int, where: str) -> Transformer:
    """The network that holds these tensors. Raises DataError when they are not those of a DINOv2 without registers."""
    own = {name: value.float() for name, value in tensors.items() if name != "mask_token"}  # used in its training alone
    try:
        width, patches = own["cls_token"].shape[-1], own["pos_embed"].shape[1] - 1
        depth = 1 + max(int(name.split(".")[1]) for name in own if name.startswith("blocks."))
        with torch.device("meta"):
            net = Transformer(width, depth, heads, patches)
        net.load_state_dict(own, assign=True)
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise DataError(where, f"is no DINOv2 without registers: {' '.join(str(error).split())[:200]}", "WEIGHTS") from error
    return net.requires_grad_(False).eval()


class DINOv2(Extractor):
    """The three sizes differ in width and depth alone."""

    resizes = ("clean",)
    precisions = ("fp32", "bf16")
    width: ClassVar[int]
    depth: ClassVar[int]

    def __init__(self, resize: str, precision: Precision, device: torch.device, weights: str | None = None):
        path = located(self.name, weights)
        net = built(read_tensors(path), self.width // 64, str(path))
        if (net.pos_embed.shape[-1], len(net.blocks)) != (self.width, self.depth):
            raise DataError(
                str(path), f"has {len(net.blocks)} blocks of width {net.pos_embed.shape[-1]}; {self.name} has {self.depth} of "
                f"width {self.width}", "WEIGHTS"
            )  # fmt: skip
        self.identity = Identity(self.name, digest({name: (value,) for name, value in net.state_dict().items()}))
        self.resize, self.precision, self.features = resize, precision, self.width
        self._device = device
        self._net = net.to(device, dtype(precision))
        self._mean, self._std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Extracted:
        with exact():
            return Extracted(torch.cat([self._features(part) for part in torch.split(samples, AT_ONCE)]).cpu())

    def _features(self, pictures: Tensor) -> Tensor:
        x = resized(three_channels(pictures).to(self._device), (SIDE, SIDE), self.resize)
        made: Tensor = self._net(x.sub(self._mean).div(self._std).to(dtype(self.precision)))
        return made


class Small(DINOv2):
    """ViT-S/14: 384 features."""

    name, width, depth = "dinov2-vits14", 384, 12


class Base(DINOv2):
    """ViT-B/14: 768 features."""

    name, width, depth = "dinov2-vitb14", 768, 12


class Large(DINOv2):
    """ViT-L/14: 1024 features; the extractor of FD-DINOv2 (Stein et al. 2023, arXiv:2306.04675)."""

    name, width, depth = "dinov2-vitl14", 1024, 24
