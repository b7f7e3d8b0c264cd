"""That both sides do the same: the same latents and batch give the same weights. `python -m bench.check`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gansaku.contract import Move, Phase, Piece
from gansaku.draws import Draw, Rows
from gansaku.recipe import Recipe
from gansaku.training.state import begin
from gansaku.training.step import cycle

from . import ours, plain
from .rows import Loop

STEPS = 3


def main() -> None:
    torch.set_num_threads(1)
    for size in (16, 64):
        both("DCGAN", ours.dcgan(size, 4), plain.dcgan)
    both("3D-GAN, shared fakes", ours.gan3d(16, 4, fresh=False), plain.dcgan)
    both("3D-GAN, new fakes", ours.gan3d(16, 4, fresh=True), plain.gan3d)
    both("article 0's 3D-GAN", ours.article(16, 4), plain.article)
    recipe = ours.wgan_gp(16, 8)
    both("WGAN-GP", recipe, lambda pair: plain.wgan_gp(pair, mix=mixes(recipe)))
    grown = ours.growth(16, 4, widest=8)
    both("progressive", grown, lambda pair: plain.progressive(pair, mix=mixes(grown)))
    both("chainer-gan-lib's DCGAN", ours.chainer("dcgan-chainer", 4, 8), plain.chainer_dcgan)
    five = ours.chainer("wgan-gp", 8, 8)
    still = {"generator.rate": None, "discriminator.rate": None}  # as the plain loop's rates
    both("SNGAN", ours.sngan(4, 8).but(still), plain.sngan)
    both("chainer-gan-lib's WGAN-GP", five, lambda pair: plain.chainer_wgan_gp(pair, mix=mixes(five)))


def turns(recipe: Recipe, wanted: Callable[[Move], bool]) -> Iterator[int]:
    """The numbers of the turns whose move is wanted."""
    return (n for n in itertools.count() if wanted(recipe.cycle[n % len(recipe.cycle)]))


def latents(recipe: Recipe) -> plain.Noise:
    """The latents that the step draws, at every move with new fakes."""
    numbers = turns(recipe, lambda move: move.fake == "new")
    return lambda: recipe.latent.sample(draw(recipe, next(numbers)), "latent0")


def mixes(recipe: Recipe) -> plain.Noise:
    """The penalty's mixing weights, drawn in the discriminator's turns."""
    numbers = turns(recipe, lambda move: move.player == "discriminator")
    return lambda: draw(recipe, next(numbers)).uniform("between")


def draw(recipe: Recipe, turn: int) -> Draw:
    return Draw(recipe.seed, turn, Rows(0, recipe.batch, recipe.batch), torch.empty(0, dtype=torch.float64))


def both(name: str, recipe: Recipe, loop: Loop) -> None:
    """Train the exact path and the loop in double precision, and print how far their weights are apart, as a share of the way.

    In fp32 Adam makes whole steps of the rounding of gradients that are zero, as those of biases before batch norm.
    """
    recipe = recipe.but(ours.EXACT)
    pair = plain.Pair(recipe, latents(recipe))
    for net in (pair.generator, pair.discriminator):
        net.double()
    step, state, real = loop(pair), begin(recipe, dtype=torch.float64), ours.real_batch(recipe).double()
    first = {player: weights(net) for player, net in state.nets.items()}

    def data(seen: int, phase: Phase) -> list[Piece]:
        rows = Rows(0, recipe.batch, recipe.batch)
        return [Piece(rows, real, torch.zeros(recipe.batch, dtype=torch.long), {})]

    for _ in range(STEPS):
        cycle(state, recipe, data)
        step(real)
    for player, theirs in (("generator", pair.generator), ("discriminator", pair.discriminator)):
        mine = weights(state.nets[player])
        apart = (mine - weights(theirs)).norm() / (mine - first[player]).norm()
        shape = "x".join(map(str, recipe.shape))
        print(f"{name:22} {shape:12} {player:14} {apart.item():.1e} of the way gone in {STEPS} steps")


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()]).clone()


if __name__ == "__main__":
    main()
