"""Where labels enter a network: batch normalization whose gain and bias they decide, and the projection discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gansaku.networks.blocks import BatchNorm


class Standardization(BatchNorm):
    """Batch normalization without γ and β: mean 0 and variance 1 for each channel, over the global batch."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__(channels, eps, scale=False)
        del self.bias
        self.register_buffer("bias", torch.zeros(channels), persistent=False)  # in the place of β: nothing is learned


class ConditionalBatchNorm(nn.Module):
    """(1 + gain(c)) · standardized x + bias(c), for x (N, C, *S) and a condition c of each sample.

    `gain` and `bias` map the condition to (N, C): embeddings of a label, or linear layers of a code (Dumoulin et al. 2017,
    arXiv:1610.07629, eq. 5; de Vries et al. 2017, arXiv:1707.00683, sec. 3).
    """

    def __init__(self, channels: int, gain: nn.Module, bias: nn.Module, eps: float = 1e-5):
        super().__init__()
        self.norm, self.gain, self.bias = Standardization(channels, eps), gain, bias

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        shape = (*y.shape[:2], *[1] * (y.ndim - 2))
        gain, bias = (1 + self.gain(given)).view(shape), self.bias(given).view(shape)
        return torch.addcmul(bias.to(y.dtype), y, gain.to(y.dtype))


def class_wise(channels: int, classes: int, eps: float = 1e-5) -> ConditionalBatchNorm:
    """Batch normalization with a gain and a bias for each class, around 1 and 0 at the start: N(1, 0.02) and 0."""
    gain, bias = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
    nn.init.normal_(gain.weight, 0.0, 0.02)
    nn.init.zeros_(bias.weight)
    return ConditionalBatchNorm(channels, gain, bias, eps)


def code_wise(channels: int, code: int, eps: float = 1e-5) -> ConditionalBatchNorm:
    """Batch normalization with gain and bias linear in a code (N, code), as BigGAN has it (Brock et al. 2019, sec. 3)."""
    gain, bias = nn.Linear(code, channels, bias=False), nn.Linear(code, channels, bias=False)
    return ConditionalBatchNorm(channels, gain, bias, eps)


class Projection(nn.Module):
    """Features h (N, F) and labels y (N,) -> logits (N, 1): linear(h) + ⟨embedding(y), h⟩; without classes linear(h) alone.

    Miyato & Koyama 2018, arXiv:1802.05637, eq. 4: the embedding is a class's log-likelihood
    ratio, linear in h.
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Embedding(classes, features) if classes else None

    def forward(self, h: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.linear(h)
        if self.embedding is None:
            return logits
        assert labels is not None
        own: Tensor = (self.embedding(labels) * h).sum(1, keepdim=True)
        return logits + own


def bound_projections(network: nn.Module) -> None:
    """Divide the embedding (K, F) of every projection by its largest singular value, as `bound_spectra` does with layers.

    Gains and biases of batch norm are left alone: the sources bound them nowhere.
    """
    for module in list(network.modules()):
        if isinstance(module, Projection) and module.embedding is not None and not module.embedding.weight.is_meta:
            spectral_norm(module.embedding)
