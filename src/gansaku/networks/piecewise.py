"""The slope of a piecewise-linear network without double backward: the way back is written out, with constant masks.

Between the kinks of its ReLUs such a network is linear, so its gradient by x is a chain of transposed layers. A penalty on
it then takes one backward pass and no second derivative (as chainer-gan-lib did, when its framework had none).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansaku.networks.blocks import in_safe_precision

Back = Callable[[Tensor], Tensor]
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
TRANSPOSED: dict[int, Any] = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


class Residual(nn.Module):
    """main(x) + shortcut(x)."""

    def __init__(self, main: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.main(x) + self.shortcut(x)
        return y


def slope(layers: nn.Module, x: Tensor) -> Tensor:
    """The gradient by x of the sum of what `layers` make of it, in x's shape; differentiable by the weights, not by x.

    Exact wherever the network has a gradient; at a kink it is the one that autograd takes. Layers may be nn.Sequential,
    Residual, nn.Identity, convolutions, nn.Linear, nn.Flatten, nn.ReLU and nn.LeakyReLU. Raises TypeError for others.
    """
    with torch.no_grad(), uncached(x):  # only the masks are needed of the way there
        y, back = passed(layers, x)
    return back(torch.ones_like(y))


def uncached(x: Tensor) -> torch.autocast:
    """Autocast as it is, less its cache: a bf16 copy of a weight that is made without gradients must not be met again.

    torch 2.13 takes care of that by itself; versions before it are not known to.
    """
    kind = x.device.type
    return torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False)


def passed(layer: nn.Module, x: Tensor) -> tuple[Tensor, Back]:
    """What a layer makes of x, and how a gradient comes back through it."""
    if isinstance(layer, nn.Sequential):
        return through(layer, x)
    if isinstance(layer, Residual):
        (main, main_back), (side, side_back) = passed(layer.main, x), passed(layer.shortcut, x)
        return main + side, lambda g: main_back(g) + side_back(g)
    shape = x.shape  # and not x itself, which nobody needs any more
    if isinstance(layer, CONVOLUTIONS):
        return layer(x), lambda g: transposed(layer, g, shape)
    if isinstance(layer, nn.Linear):
        return layer(x), lambda g: functional.linear(g, layer.weight.t())
    if isinstance(layer, nn.ReLU | nn.LeakyReLU):
        y = layer(x)
        one = y.new_ones(())  # in y's dtype, and so the slope beside it: 0.2 is another number in fp32
        factor = torch.where(x > 0, one, getattr(layer, "negative_slope", 0.0))
        return y, lambda g: g * factor
    if isinstance(layer, nn.Flatten):
        return layer(x), lambda g: g.reshape(shape)
    if isinstance(layer, nn.Identity):
        return x, lambda g: g
    raise TypeError(f"{type(layer).__name__} is no layer whose way back is known")


def through(layers: nn.Sequential, x: Tensor) -> tuple[Tensor, Back]:
    """One layer after the other."""
    backs: list[Back] = []
    for layer in layers:
        x, back = passed(layer, x)
        backs.append(back)

    def whole(g: Tensor) -> Tensor:
        for back in reversed(backs):
            g = back(g)
        return g

    return x, whole


def transposed(conv: nn.Module, g: Tensor, shape: torch.Size) -> Tensor:
    """The gradient by a convolution's input, of this shape."""
    assert isinstance(conv, CONVOLUTIONS)
    dims, more = len(shape) - 2, []
    for i, side in enumerate(shape[2:]):
        padding = conv.padding[i]
        assert isinstance(padding, int)
        reached = (g.shape[2 + i] - 1) * conv.stride[i] - 2 * padding + conv.dilation[i] * (conv.kernel_size[i] - 1) + 1
        more.append(side - reached)
    with in_safe_precision(g, conv.kernel_size, shape[2:]) as safe:
        settings = conv.stride, conv.padding, tuple(more), conv.groups, conv.dilation
        back: Tensor = TRANSPOSED[dims](safe, conv.weight, None, *settings)
    return back
