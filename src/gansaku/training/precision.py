"""Half precision: what is computed in it, and the loss scale that fp16 needs.

fp16 ends at 65,504 and loses what is below 6e-8, so each player's loss is multiplied by a scale before it is
differentiated (Micikevicius et al. 2018, sec. 3.2). A gradient that overflows skips the step and halves the scale;
2,000 good steps double it. That is usual and no alarm, until the scale is 1 and it still overflows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gansaku.contract import Memory
from gansaku.recipe import Recipe

FIRST, GROW, SHRINK, AFTER = 2.0**16, 2.0, 0.5, 2000


def autocast(recipe: Recipe, like: Tensor) -> torch.autocast:
    """Half precision for what is safe in it (convolutions, products), where the recipe says so."""
    half = torch.float16 if recipe.precision == "fp16" else torch.bfloat16
    return torch.autocast(like.device.type, half, enabled=recipe.precision != "fp32")


def start_scales(recipe: Recipe) -> Memory:
    """What the loss scales remember: nothing but in fp16."""
    if recipe.precision != "fp16":
        return {}
    scales = {f"loss_scale/{name}": torch.tensor(FIRST) for name in recipe.players}
    return scales | {f"loss_scale_steps/{name}": torch.zeros((), dtype=torch.int32) for name in recipe.players}


def scaled(loss: Tensor, memory: Memory, player: str) -> Tensor:
    scale = memory.get(f"loss_scale/{player}")
    return loss if scale is None else loss * scale


def unscale(gradients: list[Tensor], memory: Memory, player: str) -> tuple[Tensor, Tensor] | None:
    """Divide the gradients by the scale in place, and set the scale for the next turn.

    Returns whether they overflowed, and whether that is to be expected: a smaller scale may help. None without scales.
    """
    scale, steps = memory.get(f"loss_scale/{player}"), memory.get(f"loss_scale_steps/{player}")
    if scale is None or steps is None:
        return None
    overflow = torch.zeros((), device=scale.device)
    torch._amp_foreach_non_finite_check_and_unscale_(gradients, overflow, 1 / scale)
    expected = overflow.bool() & (scale > 1)
    torch._amp_update_scale_(scale, steps, overflow, GROW, SHRINK, AFTER)
    return overflow.bool(), expected
