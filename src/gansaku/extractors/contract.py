"""What an extractor is: samples as they are stored go in, features come out, and its identity says which network it was."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16"]


class Extracted(NamedTuple):
    """What an extractor says of n samples: features (n, F) fp32, and logits (n, K) fp32 where it has a classification head."""

    features: Tensor
    logits: Tensor | None = None


class Identity(NamedTuple):
    """Which network it was: two scores may be compared only if these agree. `sha256` is that of its weights' values."""

    name: str
    sha256: str


class Extractor(ABC):
    """A fixed network on one device. One with a `name` is found by it, and made as `cls(resize, precision, device, weights)`.

    `resizes` are the ways that it can bring pictures to its size, the default first; "none" where it takes any size.
    """

    name: ClassVar[str] = ""  # as `--extractor` takes it
    dimensions: ClassVar[tuple[int, ...]] = (2,)  # 2 takes pictures, 3 voxels
    resizes: ClassVar[tuple[str, ...]] = ("none",)
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    has_weights: ClassVar[bool] = True  # in a file, not made from a seed

    resize: str
    precision: Precision
    identity: Identity
    features: int  # F
    classes: int = 0  # K; 0 without a head

    @abstractmethod
    def __call__(self, samples: Tensor) -> Extracted:
        """(n, C, *S) uint8 as stored, pictures 0..255 and voxels 0/1 -> features and logits on the CPU."""


def three_channels(pictures: Tensor) -> Tensor:
    """(n, C, H, W) -> (n, 3, H, W): grey becomes three times the same; a channel beside grey or colour is left out."""
    return pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1].expand(-1, 3, -1, -1)


def exact() -> AbstractContextManager[None]:
    """Within it convolutions on CUDA are fp32 where fp32 was asked (their default there is TF32), always by the same method."""
    cudnn = torch.backends.cudnn
    made: AbstractContextManager[None] = cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False)
    return made


def dtype(precision: Precision) -> torch.dtype:
    return torch.bfloat16 if precision == "bf16" else torch.float32
