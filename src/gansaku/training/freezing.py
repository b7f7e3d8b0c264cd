"""Layers of a network that stay as they begin."""

from __future__ import annotations

from torch import nn

from gansaku.errors import RecipeError


def freeze(net: nn.Module, layers: int, player: str) -> None:
    """Keep the lowest layers as they are (Mo et al. 2020, arXiv:2002.10964: those of D that look at pixels).

    A layer is a convolution or a linear one, in the order in which the network lists them; what stands before the next
    layer, as batch normalization, is kept with it. Raises RecipeError where nothing would be left to train.
    """
    if not layers:
        return
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
    names = [name for name, module in net.named_modules() if isinstance(module, kinds)]
    if layers >= len(names):
        raise RecipeError(f"{player}.frozen", f"{layers} of {len(names)} layers would leave nothing to train", "FROZEN")
    next_one = f"{names[layers]}."
    for name, parameter in net.named_parameters():
        if name.startswith(next_one):
            return
        parameter.requires_grad_(False)
