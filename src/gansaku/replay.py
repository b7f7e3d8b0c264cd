"""Replay: what players are shown of the past now and then, beside or in the place of what is there now.

soumith/ganhacks, item 8. A part of the recipe, `replay`; what it remembers is saved in checkpoints.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gansaku import ranks
from gansaku.contract import Fakes, Memory, Piece, Player, Remembers, Signals, Turn
from gansaku.parts import part, require
from gansaku.terms import spread

if TYPE_CHECKING:
    from gansaku.recipe import Recipe


class Replay(Remembers, ABC):
    """The rule that says what a turn is shown of the past."""

    @abstractmethod
    def shown(self, turn: Turn) -> Turn:
        """The turn, or one with other fakes or another opponent."""

    def check(self, recipe: Recipe) -> None:
        require(recipe.growth is None, "replay", f"{type(self).__name__} keeps what has one size; set growth=none")


@part
class PastSamples(Replay):
    """In D's turns a `share` of each batch of fakes are earlier ones, of the last `size` before those that G last moved on.

    None is shown twice in a batch: they stand evenly over the buffer, from a place that is drawn, and G's last batch, which
    may be D's as well, is not yet among them. Before there are so many all fakes are new. G moves on new ones alone, also
    where it shares D's. Half of the batch, as in Shrivastava et al. 2017 (arXiv:1612.07828, sec. 2.3); that the buffer gives
    up its oldest samples first is ours.
    """

    share: float = 0.5
    size: int = 512

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, "share", f"{self.share:g} is no share; use 0 to 1")
        require(self.size >= 1, "size", f"{self.size} is no number of samples; use 1 or more")

    def check(self, recipe: Recipe) -> None:
        super().check(recipe)
        short = f"{self.size} samples are less than a batch; use {recipe.batch} or more"
        require(self.size >= recipe.batch, "replay.size", short)

    def memory(self, recipe: Recipe) -> Memory:
        held = self.size + recipe.batch
        return {
            "replay/samples": torch.zeros(held, *recipe.shape),
            "replay/labels": torch.zeros(held, dtype=torch.int64),
            "replay/given": torch.zeros((), dtype=torch.int64),  # so far
        }

    def shown(self, turn: Turn) -> Turn:
        rows, memory = turn.piece.rows, turn.memory
        old = round(self.share * rows.total)
        if turn.player != "discriminator" or not old:
            return turn
        row, given = torch.arange(rows.start, rows.stop, device=turn.real.device), memory["replay/given"]
        held = len(memory["replay/labels"])
        replaced = (row < old) & (given >= held)

        def places(i: int) -> Tensor:
            first = (turn.draw.scalar(f"replay{i}") * self.size).long()
            return (given + (first + row * (self.size // old)) % self.size) % held  # counted from the oldest

        def mixture(i: int, graph: bool) -> Tensor:
            new = turn.piece.fakes(i, False)
            return torch.where(spread(replaced, new), memory["replay/samples"].to(new)[places(i)], new)

        labels = memory["replay/labels"][places(0)].where(replaced, turn.piece.fake_labels)
        return dataclasses.replace(turn, piece=with_fakes(turn.piece, Fakes(mixture, graph=False), labels))

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        if turns[0].player != "generator":
            return memory
        fakes = ranks.gather(torch.cat([turn.fake().detach() for turn in turns]))
        labels = ranks.gather(torch.cat([turn.piece.fake_labels for turn in turns]))
        given = memory["replay/given"]
        places = (given + torch.arange(len(fakes), device=given.device)) % len(memory["replay/labels"])
        return memory | {
            "replay/samples": memory["replay/samples"].to(fakes).index_copy(0, places, fakes),
            "replay/labels": memory["replay/labels"].index_copy(0, places, labels),
            "replay/given": given + len(fakes),
        }


@part
class PastPlayers(Replay):
    """Every `every` samples both networks are kept, and for the last `span` samples of each such stretch they come back.

    Then D learns from fakes of the kept G, with latents of their own, and G is judged by the kept D; those that learn are the
    present ones. In the first stretch there is nothing kept yet. Both numbers are ours.
    """

    every: int = 50_000
    span: int = 1000

    def __post_init__(self) -> None:
        require(self.span >= 1, "span", f"{self.span} is no number of samples; use 1 or more")

    def check(self, recipe: Recipe) -> None:
        super().check(recipe)
        rare = f"{self.span} samples are less than a batch, which could miss them; use {recipe.batch} or more"
        require(self.span >= recipe.batch, "replay.span", rare)
        least = self.span + recipe.batch
        require(self.every >= least, "replay.every", f"{self.every} samples leave none beside `span`; use {least} or more")

    def memory(self, recipe: Recipe) -> Memory:
        with torch.random.fork_rng(devices=[]):
            nets = {name: player.network.build() for name, player in opponents(recipe).items()}
        return {name: torch.zeros_like(value) for name, value in tensors(nets).items()}

    def shown(self, turn: Turn) -> Turn:
        back = turn.seen > self.every and turn.seen % self.every >= self.every - self.span
        if not back or turn.player not in ("generator", "discriminator"):
            return turn
        if turn.player == "generator":
            judge = past(turn, "discriminator")
            piece = with_fakes(turn.piece, turn.piece.fakes, turn.piece.fake_labels)
            piece.earlier = {}  # what D as it is now said
            return dataclasses.replace(turn, nets={**turn.nets, "discriminator": judge}, piece=piece)
        maker, labels = past(turn, "generator"), turn.piece.fake_labels

        def made(i: int, graph: bool) -> Tensor:
            z = turn.recipe.latent.sample(turn.draw, f"replay/latent{i}")
            with torch.no_grad():
                x: Tensor = maker(z, labels, turn.phase)
            return x.to(turn.real.dtype)

        return dataclasses.replace(turn, piece=with_fakes(turn.piece, Fakes(made, graph=False), labels))

    def remember(self, memory: Memory, turns: list[Turn], means: Signals) -> Memory:
        """In all turns on the batch in which another `every` samples are full; the last one stays."""
        seen, batch = turns[0].seen, turns[0].phase.batch
        if seen // self.every == (seen - batch) // self.every:
            return memory
        nets = {name: turns[0].nets[name] for name in opponents(turns[0].recipe)}
        plain = torch.contiguous_format  # as a checkpoint gives it back
        return memory | {name: value.detach().clone(memory_format=plain) for name, value in tensors(nets).items()}


class Past(nn.Module):
    """A network with other weights and buffers, in its own mode; what it changes in them is lost."""

    def __init__(self, net: nn.Module, values: dict[str, Tensor]):
        super().__init__()
        self.net, self.values = net, values

    def forward(self, *given: object) -> object:
        return torch.func.functional_call(self.net, self.values, given)


def opponents(recipe: Recipe) -> dict[str, Player]:
    return {"generator": recipe.generator, "discriminator": recipe.discriminator}


def tensors(nets: dict[str, nn.Module]) -> Memory:
    """All tensors of some networks, as they are remembered."""
    return {f"replay/{player}/{name}": value for player, net in nets.items() for name, value in net.state_dict().items()}


def past(turn: Turn, player: str) -> Past:
    """A network as it was kept. The copies lie in memory as its own tensors do, or its kernels would round otherwise."""
    net = turn.nets[player]
    own, kept = net.state_dict(), f"replay/{player}/"
    return Past(net, {name: torch.empty_like(value).copy_(turn.memory[kept + name]) for name, value in own.items()})


def with_fakes(piece: Piece, fakes: Fakes, labels: Tensor) -> Piece:
    """The same piece with other fakes; what it notes of verdicts and arrivals is noted in the same place."""
    other = dataclasses.replace(piece)
    other.fakes, other.fake_labels = fakes, labels
    return other
