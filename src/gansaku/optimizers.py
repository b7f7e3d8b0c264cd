"""Optimizers as parts: their settings, and the torch optimizer they build."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from gansaku.contract import Optimizer
from gansaku.parts import part, require


@part
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980). GANs take β1 of 0.5 (Radford et al. 2016) or 0, not 0.9."""

    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0  # decoupled, as AdamW

    def __post_init__(self) -> None:
        require(all(0 <= b < 1 for b in self.betas), "betas", f"{self.betas} must lie in [0, 1)")
        require(self.eps > 0, "eps", f"{self.eps:g} must be above 0")
        require(self.weight_decay >= 0, "weight_decay", f"{self.weight_decay:g} must not be negative")

    def build(self, parameters: Iterable[nn.Parameter], lr: float, fused: bool) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        b1, b2 = self.betas
        return kind(parameters, lr, (float(b1), float(b2)), self.eps, self.weight_decay, fused=fused)


@part
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked."""

    momentum: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.momentum < 1, "momentum", f"{self.momentum:g} must lie in [0, 1)")

    def build(self, parameters: Iterable[nn.Parameter], lr: float, fused: bool) -> torch.optim.Optimizer:
        made = torch.optim.SGD(parameters, lr, self.momentum, fused=fused)
        if self.momentum:
            for parameter in made.param_groups[0]["params"]:
                # torch makes it in the first step, uninitialized where that step is skipped (a gate, an overflow)
                made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
        return made


@part
class RMSprop(Optimizer):
    """RMSprop, the original WGAN's optimizer (Arjovsky et al. 2017, algorithm 1)."""

    alpha: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        require(0 <= self.alpha < 1, "alpha", f"{self.alpha:g} must lie in [0, 1)")
        require(self.eps > 0, "eps", f"{self.eps:g} must be above 0")

    def build(self, parameters: Iterable[nn.Parameter], lr: float, fused: bool) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr, self.alpha, self.eps)
