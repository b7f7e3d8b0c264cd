"""Optimizers as parts: their settings, and the torch optimizer they build."""

from __future__ import annotations

import math
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


@part
class AdaBound(Optimizer):
    """Adam whose every step size is held between two bounds that close in on `final_lr`, and so ends as SGD.

    Luo et al. 2019, arXiv:1902.09843, algorithm 2, as its authors' program has it: η = clip(α / (√v + eps), l, u) with
    α = lr √(1 - β2ᵗ) / (1 - β1ᵗ), l = f (1 - 1 / (γ t + 1)), u = f (1 + 1 / (γ t)), and f = `final_lr`, which follows the
    learning rate's schedule; the paper's 1 / √t is left out.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    final_lr: float = 0.1
    gamma: float = 1e-3
    eps: float = 1e-8

    def __post_init__(self) -> None:
        require(all(0 <= b < 1 for b in self.betas), "betas", f"{self.betas} must lie in [0, 1)")
        for name, value in (("final_lr", self.final_lr), ("gamma", self.gamma), ("eps", self.eps)):
            require(value > 0, name, f"{value:g} must be above 0")

    def build(self, parameters: Iterable[nn.Parameter], lr: float, fused: bool) -> torch.optim.Optimizer:
        return Bounded(parameters, lr, self)


class Bounded(torch.optim.Optimizer):
    """AdaBound for torch."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, settings: AdaBound):
        super().__init__(parameters, {"lr": lr})
        self._first, self._settings = lr, settings

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        (b1, b2), s = self._settings.betas, self._settings
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                t, mean, square = int(state["step"]), state["exp_avg"], state["exp_avg_sq"]
                mean.lerp_(parameter.grad, 1 - b1)
                square.mul_(b2).addcmul_(parameter.grad, parameter.grad, value=1 - b2)
                final = s.final_lr * group["lr"] / self._first
                size = group["lr"] * math.sqrt(1 - b2**t) / (1 - b1**t)
                low, high = final * (1 - 1 / (s.gamma * t + 1)), final * (1 + 1 / (s.gamma * t))
                parameter.sub_((size / square.sqrt().add_(s.eps)).clamp_(low, high).mul_(mean))
