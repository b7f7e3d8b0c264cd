"""The state: all that one cycle hands to the next."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from gansaku.contract import Memory
from gansaku.errors import RecipeError
from gansaku.keys import key
from gansaku.networks.blocks import CHANNELS_LAST
from gansaku.recipe import Recipe


@dataclass
class State:
    """Networks, optimizers, weight averages, memory, and the counts. Everything that a checkpoint holds."""

    nets: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    ema: dict[str, nn.Module]
    memory: Memory
    size: tuple[int, ...]  # of the phase: when it grows, the optimizers start anew
    seen: int = 0  # real samples
    turns: int = 0
    moves: dict[str, int] = field(default_factory=dict)  # optimizer steps of each player
    trained: dict[str, list[nn.Parameter]] = field(default_factory=dict)  # what each player's optimizer may change

    @property
    def device(self) -> torch.device:
        return next(self.nets["generator"].parameters()).device


def begin(recipe: Recipe, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> State:
    """The state before the first cycle. The weights depend on the recipe and its seed alone."""
    nets = {}
    for name, player in recipe.players.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(recipe.seed, "weights", name))
            net = player.network.build().to(device, dtype)
        nets[name] = arrange(net, recipe) if recipe.fast == "all" else net
    trained = {name: [p for p in net.parameters() if p.requires_grad] for name, net in nets.items()}
    ema = {name: copied(nets[name]) for name, player in recipe.players.items() if player.ema is not None}
    memory, size = start_memory(recipe, device), recipe.phase(0).size
    state = State(nets, {}, ema, memory, size, moves=dict.fromkeys(nets, 0), trained=trained)
    renew_optimizers(state, recipe)
    return state


def arrange(net: nn.Module, recipe: Recipe) -> nn.Module:
    """The network's convolution weights with channels last, which the fast kernels read without a copy."""
    return net.to(memory_format=CHANNELS_LAST[len(recipe.shape) - 1])  # type: ignore[call-overload, no-any-return]


def copied(net: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode."""
    twin = copy.deepcopy(net).requires_grad_(False)
    return twin.eval()


def renew_optimizers(state: State, recipe: Recipe) -> None:
    """Fresh optimizers: at the start, and where the network grows."""
    fused = recipe.fast == "all"
    for name, player in recipe.players.items():
        state.optimizers[name] = player.optimizer.build(state.trained[name], player.lr, fused)


def start_memory(recipe: Recipe, device: str | torch.device) -> Memory:
    """What all parts remember, in one flat dictionary. Raises RecipeError when two parts use one name."""
    memory: Memory = {}
    for remembering in recipe.remembering():
        mine = remembering.memory(recipe)
        clash = sorted(memory.keys() & mine.keys())
        if clash:
            raise RecipeError(type(remembering).__name__, f"{clash[0]!r} is remembered by another part too", "MEMORY")
        memory |= {name: value.to(device) for name, value in mine.items()}
    return memory


def first_bad(state: State) -> str | None:
    """The name of the first tensor of the state that is not finite; None if all are."""
    floating = {name: value for name, value in tensors(state).items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all().to(state.device) for value in floating.values()]).tolist()
    return next((name for name, good in zip(floating, finite, strict=True) if not good), None)


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, keep: float) -> None:
    """average ← keep · average + (1 - keep) · net, batch norm statistics included; counts are copied."""
    mine, theirs = average.state_dict(), net.state_dict()
    floating = [name for name, value in mine.items() if value.is_floating_point()]
    torch._foreach_lerp_([mine[n] for n in floating], [theirs[n] for n in floating], 1 - keep)
    for name in mine.keys() - set(floating):
        mine[name].copy_(theirs[name])
    for module in average.modules():
        renew_spectrum(module)


def renew_spectrum(module: nn.Module) -> None:
    """Turn the singular vectors of spectral norm, where a module has it, to the weight as it is now, at unit length.

    An average of unit vectors is none, and the averaged weight would be divided by too little.
    """
    for parametrized in getattr(module, "parametrizations", {}).values():
        for how in parametrized:
            if isinstance(how, _SpectralNorm):
                how._power_method(how._reshape_weight_to_matrix(parametrized.original), 1)


def tensors(state: State) -> dict[str, Tensor]:
    """Every tensor of the state under a name of its own. A player's optimizer is named as its parameters are."""
    found: dict[str, Tensor] = {f"memory/{name}": value for name, value in state.memory.items()}
    for kind, nets in (("net", state.nets), ("ema", state.ema)):
        for player, net in nets.items():
            found |= {f"{kind}/{player}/{name}": value for name, value in net.state_dict().items()}
    for player, optimizer in state.optimizers.items():
        for name, parameter in state.nets[player].named_parameters():
            for slot, value in optimizer.state.get(parameter, {}).items():
                if not isinstance(value, Tensor):
                    sentence = f"keeps {slot!r}, which is no tensor, so a run could not continue exactly"
                    raise RecipeError(f"{player}.optimizer", sentence, "OPTIMIZER")
                found[f"optimizer/{player}/{name}/{slot}"] = value
    return found


def counts(state: State) -> dict[str, Any]:
    """The rest of the state, for JSON."""
    return {"seen": state.seen, "turns": state.turns, "size": list(state.size), "moves": dict(state.moves)}


def restore(state: State, stored: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Set a fresh state to a stored one, in place. The names must be the state's own (the caller has checked)."""
    with torch.no_grad():
        for name, value in tensors(state).items():
            if not name.startswith(("memory/", "optimizer/")):
                value.copy_(stored[name])
    state.memory = {name: stored[f"memory/{name}"].to(state.device) for name in state.memory}
    for player, optimizer in state.optimizers.items():
        for name, parameter in state.nets[player].named_parameters():
            restore_slots(optimizer, parameter, slots(stored, f"optimizer/{player}/{name}/"))
    state.seen, state.turns = numbers["seen"], numbers["turns"]
    state.size, state.moves = tuple(numbers["size"]), dict(numbers["moves"])


def restore_slots(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, stored: dict[str, Tensor]) -> None:
    """One parameter's moments, laid out in memory exactly as the parameter is.

    Fused Adam reads weights and moments side by side in memory order: contiguous moments beside channels_last weights
    train wrongly without a word.
    """
    if not stored:
        return
    mine = optimizer.state[parameter]
    for slot, value in stored.items():
        if value.shape == parameter.shape:
            mine[slot] = torch.empty_like(parameter, requires_grad=False).copy_(value)
        else:
            on_device = slot != "step" or optimizer.defaults.get("fused")  # torch keeps a plain step count on the CPU
            mine[slot] = value.to(parameter.device) if on_device else value


def slots(stored: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What is stored right under a prefix: exp_avg, exp_avg_sq, step, …"""
    return {n[len(prefix) :]: v for n, v in stored.items() if n.startswith(prefix) and "/" not in n[len(prefix) :]}
