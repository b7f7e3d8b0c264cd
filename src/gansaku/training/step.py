"""The step: one cycle of the method on one state. No files, no clock, no printing, no waiting for the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.contract import Fakes, Move, Phase, Piece, Player, Signals, Turn, Verdict
from gansaku.draws import Draw
from gansaku.errors import RecipeError, nearest
from gansaku.keys import key
from gansaku.parts import part_name
from gansaku.recipe import Recipe
from gansaku.training.precision import autocast, scaled, unscale
from gansaku.training.sentinel import Look, norms
from gansaku.training.state import State, follow, renew_optimizers

Data = Callable[[int, Phase], list[Piece]]
"""My rows of the batch that begins after `seen` samples, in micro-batches: a pure function."""


def cycle(state: State, recipe: Recipe, data: Data) -> Signals:
    """All the moves of the method once. Returns the signals' means over the global batch, left on the device."""
    before, played = state.seen, list[Signals]()
    phase = start_cycle(state, recipe)
    for moves in by_batch(recipe.cycle):
        played += play_batch(state, recipe, phase, moves, data(state.seen, phase))
    follow_all(state, recipe, before)
    return averaged(played)


def averaged(played: list[Signals]) -> Signals:
    """The signals of some moves; a name that several of them gave is their mean."""
    found: dict[str, list[Tensor]] = {}
    for signals in played:
        for name, value in signals.items():
            found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else torch.stack(values).mean() for name, values in found.items()}


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


def play_batch(state: State, recipe: Recipe, phase: Phase, moves: tuple[Move, ...], pieces: list[Piece]) -> list[Signals]:
    """The moves that share one batch of real samples, with the signals of each.

    A player's second move on the same batch has names of its own: `generator/fake_2`.
    """
    played = []
    state.seen += phase.batch
    for piece in pieces:
        piece.arrived |= {"real samples": piece.real} | {f"column {name}": c for name, c in piece.columns.items()}
    for i, move in enumerate(moves):
        if move.fake == "new":
            for piece in pieces:
                deal(state, recipe, phase, piece, graph=generator_reuses(moves[i:]))
        number = 1 + sum(earlier.player == move.player for earlier in moves[:i])
        signals = play(state, recipe, phase, move, pieces)
        played.append({name + (f"_{number}" if number > 1 else ""): value for name, value in signals.items()})
    return played


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
    rank = [ranks.mine()] if ranks.mine() else []
    reseed(state.device, key(state.noise(recipe), state.turns, *rank))  # what a network draws by itself, as dropout does
    for name in state.nets:
        thaw(state, name, name == move.player)  # nobody would use the other players' weight gradients
    turns, means, looked = [], Signals(), Signals()
    for piece in pieces:
        turn = Turn(
            recipe, move.player, moves[move.player], state.seen, phase, piece, state.nets, state.memory,
            Draw(state.noise(recipe), state.turns, piece.rows, piece.real),
        )  # fmt: skip
        turn = turn if recipe.replay is None else recipe.replay.shown(turn)
        with autocast(recipe, piece.real):
            losses = joined(recipe.method.losses(turn), due(player, turn))
            judged = dict(turn.verdicts)  # what the losses saw; signals may look at more
            numbers = joined(losses, recipe.method.signals(turn))
        for name, value in numbers.items():
            check_shape(f"{move.player}/{name}", value, piece)
        loss = torch.stack([loss.sum() for loss in losses.values()]).sum().div(piece.rows.total)
        scaled(loss, state.memory, move.player).backward()  # type: ignore[no-untyped-call]
        add(means, {name: value.detach().sum() / piece.rows.total for name, value in numbers.items()})
        piece.earlier |= {which: detached(verdict) for which, verdict in judged.items()}
        add(looked, look_at(piece, judged))
        turns.append(turn)
    update(state, recipe, move, player, means, looked)
    for remembering in recipe.remembering():
        means = joined(means, remembering.derived(turns, means))
    if move.player == "generator":
        for piece in pieces:
            piece.fakes.release()
    for remembering in recipe.remembering():
        memory = remembering.remember(state.memory, turns, means)
        new = sorted(memory.keys() - state.memory.keys())
        if new:
            sentence = f"remembers {new[0]!r}, which its memory() does not announce: it would be lost when a run continues"
            raise RecipeError(type(remembering).__name__, sentence, "MEMORY")
        state.memory = memory
    state.turns += 1
    moves[move.player] += 1
    return {f"{move.player}/{'loss/' if name in losses else ''}{name}": value for name, value in means.items()}


def update(state: State, recipe: Recipe, move: Move, player: Player, means: Signals, looked: Signals) -> None:
    """The one place that steps an optimizer. Gradients and numbers are first added up over the ranks.

    It does not step once a number was not finite, nor where the move's gate or the loss scale of fp16 says so.
    """
    optimizer = state.optimizers[move.player]
    named = {name: p.grad for name, p in state.trained[move.player].items() if p.grad is not None}
    gradients = list(named.values())
    ranks.add_up(gradients)
    ranks.add_up([*means.values(), *looked.values()])
    overflowed = unscale(gradients, state.memory, move.player)
    each = norms(gradients)
    if overflowed is not None:
        overflow, expected = overflowed
        each = [torch.where(expected, 0, norm) for norm in each]
    names = (*looked, *[f"/{name}" for name in means], *[f"/gradient of {name}" for name in named])
    seen_now = torch.stack(
        [value.to(state.sentinel.bad.device, torch.float32) for value in (*looked.values(), *means.values(), *each)]
    )
    skip = state.sentinel.look(Look(move.player, state.turns, state.seen, names, seen_now.square()))
    means["gradient"] = torch.linalg.vector_norm(torch.stack(each)) if each else torch.zeros_like(skip, dtype=torch.float32)
    if overflowed is not None:
        skip = skip | overflow
        means |= {"skipped": overflow.float(), "scale": state.memory[f"loss_scale/{move.player}"].clone()}
    if move.gate is not None:
        if move.gate.signal not in means:
            known = nearest(move.gate.signal, list(means))
            raise RecipeError("gate.signal", f"there is no signal {move.gate.signal!r}{known}", "SIGNAL")
        skip = skip | (means[move.gate.signal] >= move.gate.below)
    for group in optimizer.param_groups:
        group |= {"lr": rate(state, recipe, player), **player.optimizer.at(state.seen)}
    step_unless(optimizer, skip)
    optimizer.zero_grad(set_to_none=True)
    if player.clip is not None:
        with torch.no_grad():
            torch._foreach_clamp_min_([*state.trained[move.player].values()], -player.clip)
            torch._foreach_clamp_max_([*state.trained[move.player].values()], player.clip)


def rate(state: State, recipe: Recipe, player: Player) -> float:
    """The learning rate now: the player's, on its schedule, times the growth's factor, halved by each rollback."""
    scheduled = player.rate.at(state.seen, recipe.length) if player.rate is not None else 1.0
    grown = recipe.growth.rate(state.size) if recipe.growth is not None else 1.0
    return float(player.lr * scheduled * grown * 0.5**state.rollbacks)


def step_unless(optimizer: torch.optim.Optimizer, skip: Tensor) -> None:
    """Step unless the device says to skip. A fused optimizer is told so without waiting for the device."""
    if optimizer.defaults.get("fused"):
        optimizer.found_inf = skip.to(torch.float32)  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
    elif not skip.item():
        optimizer.step()


def look_at(piece: Piece, judged: dict[tuple[str, int], Verdict]) -> Signals:
    """Norms by name of what came into the turn, and of what the networks made of it, in the order they came about."""
    found = dict(piece.arrived)
    piece.arrived.clear()
    for (which, i), verdict in judged.items():
        kind = f"{'real' if which == 'real' else 'generated'} samples{f' {i}' if i else ''}"
        found |= {f"/{part} on {kind}": value.detach() for part, value in verdict._asdict().items() if value is not None}
    return dict(zip(found, norms(found.values()), strict=True))


def add(sums: Signals, more: Signals) -> None:
    """Add each number to its sum, in place."""
    for name, value in more.items():
        sums[name] = sums[name] + value if name in sums else value


def deal(state: State, recipe: Recipe, phase: Phase, piece: Piece, graph: bool) -> None:
    """New latents and labels for a piece. With `graph`, a generator's move to come goes back through these fakes."""
    draw, net = Draw(state.noise(recipe), state.turns, piece.rows, piece.real), state.nets["generator"]
    labels = piece.labels
    if recipe.fake_labels == "uniform":
        labels = (draw.uniform("labels") * max(1, recipe.classes)).to(labels.dtype)

    def make(i: int, want_graph: bool) -> Tensor:
        z = recipe.latent.sample(draw, f"latent{i}")
        moving = next(iter(state.trained["generator"].values())).requires_grad
        thaw(state, "generator", want_graph)
        with torch.set_grad_enabled(want_graph), autocast(recipe, piece.real):
            fakes: Tensor = net(z, labels, phase).to(piece.real.dtype)
        thaw(state, "generator", moving)
        piece.arrived |= {f"latents{f' {i}' if i else ''}": z, f"generator/samples{f' {i}' if i else ''}": fakes.detach()}
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
    names = [part_name(weighted.term) for weighted in player.terms]
    for i, weighted in enumerate(player.terms):
        if turn.index % weighted.every == 0:
            name = names[i] if names.count(names[i]) == 1 else f"{names[i]}_{i}"
            factor = 1.0 if weighted.rate is None else weighted.rate.at(turn.seen, turn.recipe.length)
            losses[name] = factor * weighted.weight * weighted.every * weighted.term(turn)
    return losses


def joined(a: Signals, b: Signals) -> Signals:
    """Both. Raises RecipeError when a name is in both: one would silently replace the other."""
    both = sorted(a.keys() & b.keys())
    if both:
        raise RecipeError("method", f"{both[0]!r} is the name of two losses or signals; rename one", "NAME")
    return a | b


def check_shape(name: str, value: Tensor, piece: Piece) -> None:
    """Raises RecipeError unless there is one number per sample: a mean would be divided by the batch once more."""
    if value.shape != (len(piece.real),):
        wanted = f"one number per sample, ({len(piece.real)},), is needed"
        raise RecipeError(name, f"gave {tuple(value.shape)}; {wanted}", "SHAPE")


def reseed(device: torch.device, seed: int) -> None:
    """Seed torch's global generator. On a CPU only the CPU's: to seed all devices takes a hundred times as long."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def thaw(state: State, player: str, moving: bool) -> None:
    """Let gradients reach the weights that the player's optimizer changes, or no longer."""
    for parameter in state.trained[player].values():
        parameter.requires_grad_(moving)


def detached(verdict: Verdict) -> Verdict:
    return Verdict(*[None if x is None else x.detach() for x in verdict])
