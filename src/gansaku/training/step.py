"""The step: one cycle of the method on one state. No files, no clock, no printing, no waiting for the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.contract import Draw, Fakes, Move, Phase, Piece, Player, Signals, Turn, Verdict
from gansaku.keys import key
from gansaku.parts import part_name
from gansaku.recipe import Recipe
from gansaku.training.state import State, follow, renew_optimizers

Data = Callable[[int, Phase], list[Piece]]
"""My rows of the batch that begins after `seen` samples, in micro-batches: a pure function."""


def cycle(state: State, recipe: Recipe, data: Data) -> Signals:
    """All the moves of the method once. Returns the signals' means over the global batch, left on the device."""
    before, signals = state.seen, Signals()
    phase = start_cycle(state, recipe)
    for moves in by_batch(recipe.cycle):
        signals |= play_batch(state, recipe, phase, moves, data(state.seen, phase))
    follow_all(state, recipe, before)
    return signals


def by_batch(moves: tuple[Move, ...]) -> list[tuple[Move, ...]]:
    """The moves of a cycle, cut before each one that wants a new batch."""
    starts = [i for i, move in enumerate(moves) if move.real == "new"]
    return [moves[start:stop] for start, stop in zip(starts, [*starts[1:], None], strict=True)]


def start_cycle(state: State, recipe: Recipe) -> Phase:
    """The phase of the cycle that begins; where the samples have grown, the optimizers start anew."""
    phase = recipe.phase(state.seen)
    if phase.size != state.size:
        state.size = phase.size
        renew_optimizers(state, recipe)
    return phase


def play_batch(state: State, recipe: Recipe, phase: Phase, moves: tuple[Move, ...], pieces: list[Piece]) -> Signals:
    """The moves that share one batch of real samples."""
    signals: Signals = {}
    state.seen += phase.batch
    for i, move in enumerate(moves):
        if move.fake == "new":
            for piece in pieces:
                deal(state, recipe, phase, piece, graph=generator_reuses(moves[i:]))
        signals |= play(state, recipe, phase, move, pieces)
    return signals


def follow_all(state: State, recipe: Recipe, before: int) -> None:
    """Let the weight averages follow, over the samples of the cycle that began after `before`."""
    for name, average in state.ema.items():
        how = recipe.players[name].ema
        assert how is not None
        follow(average, state.nets[name], how.keep(before, state.seen))


def play(state: State, recipe: Recipe, phase: Phase, move: Move, pieces: list[Piece]) -> Signals:
    """Let one player take one optimizer step on the current batch.

    The loss is the sum of the method's losses and the player's due terms, (N,) each, averaged over the
    global batch, whatever the number of ranks and micro-batches it is split into.
    """
    player, moves = recipe.players[move.player], state.moves
    torch.manual_seed(key(recipe.seed, state.turns))  # what a network draws by itself, as dropout does
    for name, net in state.nets.items():
        net.requires_grad_(name == move.player)  # nobody would use the other players' weight gradients
    turns, means = [], Signals()
    for piece in pieces:
        turn = Turn(
            recipe, move.player, moves[move.player], state.seen, phase, piece, state.nets, state.memory,
            Draw(recipe.seed, state.turns, piece.rows, piece.real),
        )  # fmt: skip
        with autocast(recipe, piece.real):
            losses = recipe.method.losses(turn) | due(player, turn)
            signals = recipe.method.signals(turn)
        torch.stack([loss.sum() for loss in losses.values()]).sum().div(piece.rows.total).backward()  # type: ignore[no-untyped-call]
        for name, value in (losses | signals).items():
            mean = value.detach().sum() / piece.rows.total
            means[name] = means[name] + mean if name in means else mean
        piece.earlier |= {which: detached(verdict) for which, verdict in turn.verdicts.items()}
        turns.append(turn)
    update(state, recipe, move, player, means)
    if move.player == "generator":
        for piece in pieces:
            piece.fakes.release()
    for remembering in recipe.remembering():
        state.memory = remembering.remember(state.memory, turns, means)
    state.turns += 1
    moves[move.player] += 1
    return {f"{move.player}/{name}": value for name, value in means.items()}


def update(state: State, recipe: Recipe, move: Move, player: Player, means: Signals) -> None:
    """The one place that steps an optimizer. Gradients and means are first added up over the ranks."""
    net, optimizer = state.nets[move.player], state.optimizers[move.player]
    ranks.add_up([p.grad for p in net.parameters() if p.grad is not None])
    ranks.add_up(list(means.values()))
    for group in optimizer.param_groups:
        group["lr"] = player.lr * (player.rate.at(state.seen, recipe.length) if player.rate is not None else 1.0)
    if move.gate is None:
        optimizer.step()
    else:
        step_unless(optimizer, means[move.gate.signal] >= move.gate.below)
    optimizer.zero_grad(set_to_none=True)
    if player.clip is not None:
        with torch.no_grad():
            torch._foreach_clamp_min_(list(net.parameters()), -player.clip)
            torch._foreach_clamp_max_(list(net.parameters()), player.clip)


def step_unless(optimizer: torch.optim.Optimizer, skip: Tensor) -> None:
    """Step unless the device says to skip. A fused optimizer is told so without waiting for the device."""
    if optimizer.defaults.get("fused"):
        optimizer.found_inf = skip.to(torch.float32)  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
    elif not skip.item():
        optimizer.step()


def deal(state: State, recipe: Recipe, phase: Phase, piece: Piece, graph: bool) -> None:
    """New latents and labels for a piece. With `graph`, a generator's move to come goes back through these fakes."""
    draw, net = Draw(recipe.seed, state.turns, piece.rows, piece.real), state.nets["generator"]
    labels = piece.labels
    if recipe.fake_labels == "uniform":
        labels = (draw.uniform("labels") * max(1, recipe.classes)).to(labels.dtype)

    def make(i: int, want_graph: bool) -> Tensor:
        z = recipe.latent.sample(draw, f"latent{i}")
        moving = next(net.parameters()).requires_grad
        net.requires_grad_(want_graph)
        with torch.set_grad_enabled(want_graph), autocast(recipe, piece.real):
            fakes: Tensor = net(z, labels, phase).to(piece.real.dtype)
        net.requires_grad_(moving)
        return fakes

    piece.fakes, piece.fake_labels = Fakes(make, graph), labels
    for which in [which for which in piece.earlier if which[0] == "fake"]:
        del piece.earlier[which]  # a verdict on fakes that are gone


def generator_reuses(moves: tuple[Move, ...]) -> bool:
    """Whether the generator moves on the fakes that the first of these moves makes."""
    for i, move in enumerate(moves):
        if i > 0 and move.fake == "new":
            return False
        if move.player == "generator":
            return True
    return False


def due(player: Player, turn: Turn) -> Signals:
    """The player's terms whose turn it is, weighted; lazy ones times the number of moves between."""
    losses: Signals = {}
    for i, weighted in enumerate(player.terms):
        if turn.index % weighted.every == 0:
            name = part_name(weighted.term)
            weight = weighted.weight * weighted.every
            losses[name if name not in losses else f"{name}_{i}"] = weight * weighted.term(turn)
    return losses


def autocast(recipe: Recipe, like: Tensor) -> torch.autocast:
    """bf16 for what is safe in it (convolutions, products), where the recipe says so."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


def detached(verdict: Verdict) -> Verdict:
    return Verdict(*[None if x is None else x.detach() for x in verdict])
