"""Samples from a generator: sample i depends on the weights, the seed and i alone, not on the batch it was made in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gansaku.contract import Phase
from gansaku.draws import Draw, Rows
from gansaku.latents import Way, between
from gansaku.recipe import Recipe

BLOCK = 64  # samples are always made in full blocks of this many: another batch size would round differently
WALK = 12  # pictures from one latent to the next


@torch.no_grad()
def sample(
    generator: nn.Module,
    recipe: Recipe,
    which: Sequence[int],
    seed: int = 0,
    label: int | None = None,
    truncation: float | None = None,
    phase: Phase | None = None,
) -> Tensor:
    """(len(which), C, *S) in [-1, 1], fp32 on the CPU: the samples with these numbers, in evaluation mode.

    Sample i is of class i modulo the classes unless a label is given. `truncation` is the largest |z| in standard
    deviations; `phase` is the generator's (the last one if None).
    """
    made = {}
    for block in sorted({i // BLOCK for i in which}):
        z = latents(generator, recipe, seed, block, truncation)
        numbers = torch.arange(block * BLOCK, (block + 1) * BLOCK, device=z.device)
        labels = numbers % max(1, recipe.classes) if label is None else torch.full_like(numbers, label)
        made[block] = generate(generator, z, labels, phase or recipe.phase(recipe.length))
    return torch.stack([made[i // BLOCK][i % BLOCK] for i in which])


def shared(n: int, classes: int) -> tuple[tuple[int, ...], int]:
    """Of which classes to show n samples at most, and how many of each, all the same; if need be, n of them, evenly taken."""
    shown = min(n, classes)
    return tuple(i * classes // shown for i in range(shown)), n // shown


@torch.no_grad()
def class_grid(
    generator: nn.Module,
    recipe: Recipe,
    labels: Sequence[int],
    each: int,
    seed: int = 0,
    truncation: float | None = None,
    phase: Phase | None = None,
) -> Tensor:
    """(len(labels), each, C, *S): samples 0, 1, … as they are of each of these classes, so equal latents side by side."""
    z = latents_of(generator, recipe, each, seed, truncation).repeat(len(labels), 1)
    of = torch.tensor(labels, device=z.device).repeat_interleave(each)
    made = in_blocks(generator, z, of, phase or recipe.phase(recipe.length))
    return made.view(len(labels), each, *made.shape[1:])


@torch.no_grad()
def walk(
    generator: nn.Module,
    recipe: Recipe,
    stops: int,
    seed: int = 0,
    label: int | None = None,
    truncation: float | None = None,
    phase: Phase | None = None,
    way: Way = "linear",
    steps: int = WALK,
) -> Tensor:
    """(stops · steps, C, *S): the way through latent space from sample 0 to 1, 2, … and back to 0, of one class."""
    path = way_through(generator, recipe, stops, seed, truncation, way, steps)
    labels = torch.full((len(path),), label or 0, device=path.device)
    return in_blocks(generator, path, labels, phase or recipe.phase(recipe.length))


def way_through(
    generator: nn.Module,
    recipe: Recipe,
    stops: int,
    seed: int = 0,
    truncation: float | None = None,
    way: Way = "linear",
    steps: int = WALK,
) -> Tensor:
    """(stops · steps, Z): the latents of a walk."""
    return closed_way(latents_of(generator, recipe, stops, seed, truncation), way, steps)


def closed_way(z: Tensor, way: Way, steps: int) -> Tensor:
    """(stops, Z) -> (stops · steps, Z): from each latent to the next, and from the last one back to the first."""
    share = torch.linspace(0, 1, steps + 1, device=z.device, dtype=z.dtype)[:-1].view(1, -1, 1)
    return between(z[:, None], z.roll(-1, 0)[:, None], share, way).flatten(0, 1)


def latents(generator: nn.Module, recipe: Recipe, seed: int, block: int, truncation: float | None = None) -> Tensor:
    """(BLOCK, Z): the latents of a block."""
    like = next(generator.parameters()).new_empty(0)
    z = recipe.latent.sample(Draw(seed, block, Rows(0, BLOCK, BLOCK), like), "sample")
    return z if truncation is None else recipe.latent.truncated(z, truncation)


def latents_of(generator: nn.Module, recipe: Recipe, n: int, seed: int, truncation: float | None) -> Tensor:
    """(n, Z): the latents of samples 0 … n-1."""
    blocks = range(-(-n // BLOCK))
    return torch.cat([latents(generator, recipe, seed, block, truncation) for block in blocks])[:n]


def in_blocks(generator: nn.Module, z: Tensor, labels: Tensor, phase: Phase) -> Tensor:
    """(n, Z) and (n,) -> (n, C, *S), made in full blocks whatever n is; what fills the last one is left out."""
    n, rest = len(z), -len(z) % BLOCK
    z, labels = torch.cat([z, z[:1].expand(rest, -1)]), torch.cat([labels, labels[:1].expand(rest)])
    parts = zip(torch.split(z, BLOCK), torch.split(labels, BLOCK), strict=True)
    return torch.cat([generate(generator, *part, phase) for part in parts])[:n]


def generate(generator: nn.Module, z: Tensor, labels: Tensor, phase: Phase) -> Tensor:
    """(BLOCK, Z) -> (BLOCK, C, *S), fp32 on the CPU, with the network in evaluation mode and left as it was."""
    training = generator.training
    generator.eval()
    try:
        made: Tensor = generator(z, labels, phase)
    finally:
        generator.train(training)
    return made.float().cpu().contiguous()


def quantized(samples: Tensor) -> Tensor:
    """[-1, 1] -> the uint8 that a picture file holds, 0..255, rounded."""
    return samples.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
