"""The step: one cycle of the method on one state. No files, no clock, no printing, no waiting for the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gansaku import ranks
from gansaku.contract import Draw, Fakes, Move, Phase, Piece, Player, Signals, Turn, Verdict
from gansaku.errors import RecipeError, nearest
from gansaku.keys import key
from gansaku.parts import part_name
from gansaku.recipe import Recipe
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
    """The moves that share one batch of real samples, with the signals of each."""
    played = []
    state.seen += phase.batch
    for i, move in enumerate(moves):
        if move.fake == "new":
            for piece in pieces:
                deal(state, recipe, phase, piece, graph=generator_reuses(moves[i:]))
        played.append(play(state, recipe, phase, move, pieces))
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
    reseed(state.device, key(recipe.seed, state.turns))  # what a network draws by itself, as dropout does
    for name in state.nets:
        thaw(state, name, name == move.player)  # nobody would use the other players' weight gradients
    turns, means = [], Signals()
    for piece in pieces:
        turn = Turn(
            recipe, move.player, moves[move.player], state.seen, phase, piece, state.nets, state.memory,
            Draw(recipe.seed, state.turns, piece.rows, piece.real),
        )  # fmt: skip
        with autocast(recipe, piece.real):
            losses = joined(recipe.method.losses(turn), due(player, turn))
            judged = dict(turn.verdicts)  # what the losses saw; signals may look at more
            numbers = joined(losses, recipe.method.signals(turn))
        for name, value in numbers.items():
            check_shape(f"{move.player}/{name}", value, piece)
        torch.stack([loss.sum() for loss in losses.values()]).sum().div(piece.rows.total).backward()  # type: ignore[no-untyped-call]
        for name, value in numbers.items():
            mean = value.detach().sum() / piece.rows.total
            means[name] = means[name] + mean if name in means else mean
        piece.earlier |= {which: detached(verdict) for which, verdict in judged.items()}
        turns.append(turn)
    update(state, recipe, move, player, means)
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
        if move.gate.signal not in means:
            known = nearest(move.gate.signal, list(means))
            raise RecipeError("gate.signal", f"there is no signal {move.gate.signal!r}{known}", "SIGNAL")
        step_unless(optimizer, means[move.gate.signal] >= move.gate.below)
    optimizer.zero_grad(set_to_none=True)
    if player.clip is not None:
        with torch.no_grad():
            torch._foreach_clamp_min_([*state.trained[move.player]], -player.clip)
            torch._foreach_clamp_max_([*state.trained[move.player]], player.clip)


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
        moving = state.trained["generator"][0].requires_grad
        thaw(state, "generator", want_graph)
        with torch.set_grad_enabled(want_graph), autocast(recipe, piece.real):
            fakes: Tensor = net(z, labels, phase).to(piece.real.dtype)
        thaw(state, "generator", moving)
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
            losses[name] = weighted.weight * weighted.every * weighted.term(turn)
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
    for parameter in state.trained[player]:
        parameter.requires_grad_(moving)


def autocast(recipe: Recipe, like: Tensor) -> torch.autocast:
    """bf16 for what is safe in it (convolutions, products), where the recipe says so."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


def detached(verdict: Verdict) -> Verdict:
    return Verdict(*[None if x is None else x.detach() for x in verdict])
