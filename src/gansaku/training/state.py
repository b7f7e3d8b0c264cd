"""The state: all that one cycle hands to the next."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from gansaku.contract import Memory, Player
from gansaku.errors import RecipeError
from gansaku.keys import key
from gansaku.networks.blocks import CHANNELS_LAST
from gansaku.recipe import Recipe
from gansaku.training.freezing import freeze
from gansaku.training.precision import start_scales
from gansaku.training.sentinel import Found, Sentinel, first_bad


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
    rollbacks: int = 0  # each halves the learning rates and changes the noise
    trained: dict[str, dict[str, nn.Parameter]] = field(default_factory=dict)  # what each player's optimizer may change
    sentinel: Sentinel = field(default_factory=Sentinel)

    @property
    def device(self) -> torch.device:
        return next(self.nets["generator"].parameters()).device

    def noise(self, recipe: Recipe) -> int:
        """The seed of what is drawn while training: the recipe's, and another one after each rollback."""
        return key(recipe.seed, "rollback", self.rollbacks) if self.rollbacks else recipe.seed


def begin(recipe: Recipe, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> State:
    """The state before the first cycle. The weights depend on the recipe and its seed alone."""
    nets = {}
    for name, player in recipe.players.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(recipe.seed, "weights", name))
            net = player.network.build().to(device, dtype)
        freeze(net, player.frozen, name)
        nets[name] = arrange(net, recipe) if recipe.fast == "all" else net
    trained = {name: {n: p for n, p in net.named_parameters() if p.requires_grad} for name, net in nets.items()}
    ema = {name: copied(nets[name]) for name, player in recipe.players.items() if player.ema is not None}
    memory, size = start_memory(recipe, device), recipe.phase(0).size
    state = State(nets, {}, ema, memory, size, moves=dict.fromkeys(nets, 0), trained=trained, sentinel=Sentinel(device))
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
        state.optimizers[name] = player.optimizer.build(state.trained[name].values(), player.lr, fused)


def start_memory(recipe: Recipe, device: str | torch.device) -> Memory:
    """What all parts remember, in one flat dictionary. Raises RecipeError when two parts use one name."""
    memory: Memory = {name: value.to(device) for name, value in start_scales(recipe).items()}
    for remembering in recipe.remembering():
        mine = remembering.memory(recipe)
        clash = sorted(memory.keys() & mine.keys())
        if clash:
            raise RecipeError(type(remembering).__name__, f"{clash[0]!r} is remembered by another part too", "MEMORY")
        memory |= {name: value.to(device) for name, value in mine.items()}
    return memory


def diagnosed(state: State) -> Found | None:
    """The first bad number since the start, and where it came from; None if all are finite.

    What came in from outside is blamed first; then what the networks hold, since no optimizer has stepped with a bad
    number: its moments, then its weights; then what the turn computed; at last what no gradient passes.
    """
    look = state.sentinel.read()
    found, given = look if look is not None else (None, False)
    if found is not None and given:
        return found
    held = tensors(state)
    moments = {name: value for name, value in held.items() if name.startswith("optimizer/")}
    trained = {f"net/{player}/{name}" for player, parameters in state.trained.items() for name in parameters}
    weights = {name: value for name, value in held.items() if name in trained}
    cause = first_bad(moments | weights)
    if cause is None and found is not None:
        return found
    cause = cause or first_bad(held)
    if cause is None:
        return None
    if found is None:
        return Found(cause, cause.split("/")[1] if "/" in cause else "", state.turns, state.seen)
    return found._replace(name=cause)


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


def full_size(state: State, recipe: Recipe) -> int:
    """Bytes of the state once every optimizer has its moments."""
    held = sum(value.numel() * value.element_size() for value in tensors(state).values())
    if any(optimizer.state for optimizer in state.optimizers.values()):
        return held
    for name, player in recipe.players.items():
        weights = sum(p.numel() * p.element_size() for p in state.trained[name].values())
        held += weights * moments(player)
    return held


def moments(player: Player) -> int:
    """How many numbers a player's optimizer remembers of each weight: it is asked to step once with eight."""
    weight = nn.Parameter(torch.zeros(8))
    optimizer = player.optimizer.build([weight], player.lr, False)
    weight.grad = torch.zeros(8)
    optimizer.step()
    return sum(isinstance(value, Tensor) and value.shape == weight.shape for value in optimizer.state[weight].values())


def counts(state: State) -> dict[str, Any]:
    """The rest of the state, for JSON."""
    return {
        "seen": state.seen,
        "turns": state.turns,
        "size": list(state.size),
        "moves": dict(state.moves),
        "rollbacks": state.rollbacks,
    }


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
    state.seen, state.turns, state.rollbacks = numbers["seen"], numbers["turns"], numbers.get("rollbacks", 0)
    state.size, state.moves = tuple(numbers["size"]), dict(numbers["moves"])
    state.sentinel = Sentinel(state.device)


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
