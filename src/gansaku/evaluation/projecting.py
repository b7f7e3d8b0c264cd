"""Projection: the latents whose samples come nearest to given ones, found by descent through a generator that stays as it is.

    the unlikeness of a sample to its target   ½ (values / values₀ + maps / maps₀)
    what is made small, for each target        unlikeness + λ · ½ ((|z| - length) / spread)²

`values` and `maps` are the squared distances of `Resemblance`, values₀ and maps₀ their means over pairs of random samples.
So √unlikeness, the distance that is told, is 0 for the same sample and 1 for two random ones of this generator. It depends
on the checkpoint, the seed and the target alone, but for rounding not on the other targets. Length and spread are the mean
and deviation of |z| under the recipe's prior; a latent that the prior cannot give is brought back after each step.

After Karras et al. 2020 (arXiv:1912.04958, appendix D), who look for the intermediate latents of StyleGAN with LPIPS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansaku.contract import Phase, Prior
from gansaku.draws import Draw, Rows
from gansaku.errors import UsageError
from gansaku.evaluation.resemblance import Resemblance
from gansaku.latents import Sphere, Uniform
from gansaku.recipe import Recipe
from gansaku.sampling import in_blocks

CANDIDATES = {2: 256, 3: 64}  # random samples, by dimensions of space
STEPS = 200
STARTS = 4  # the best ones for each target go the first part of the way
FIRST = 4  # that part: a quarter of the steps; then only the nearest goes on
RATE = 0.2  # at first
MOST_ROWS, MOST_VALUES = 64, 1 << 19  # latents that are optimized at once, and values of their samples

Progress = Callable[[int, int], None]


class Aim(NamedTuple):
    """What is made small: the weights of values and maps, and λ."""

    values: float = 1.0
    maps: float = 1.0
    likely: float = 0.02


class Projected(NamedTuple):
    """What was found for n targets; all on the CPU."""

    latents: Tensor  # (n, Z)
    labels: Tensor  # (n,) int64
    samples: Tensor  # (n, C, *S) in [-1, 1], as these latents always give them
    distances: Tensor  # (n,) to the target: 0 the same, 1 as far as two random samples
    nearest: Tensor  # (n,) the distance of the nearest random sample, before any step
    errors: Tensor  # (n,) root mean square difference of values, which lie in [-1, 1]
    lengths: Tensor  # (n,) |z| as standard deviations away from its mean


@dataclass(frozen=True)
class Lengths:
    """How long latents are under a prior."""

    mean: Tensor
    spread: Tensor

    def away(self, z: Tensor) -> Tensor:
        """(n,): how many standard deviations |z| is too long."""
        away: Tensor = (torch.linalg.vector_norm(z, dim=1) - self.mean) / self.spread
        return away


class Projector:
    """The latents of given samples, for one generator in one phase, of the classes in `labels`.

    `many` random samples are made once, when it is built. Raises UsageError when they are all the same.
    """

    def __init__(
        self,
        generator: nn.Module,
        recipe: Recipe,
        phase: Phase,
        labels: Sequence[int] = (0,),
        seed: int = 0,
        aim: Aim = Aim(),  # noqa: B008 - immutable
        many: int | None = None,
    ):
        like = next(generator.parameters()).new_empty(0)
        n = many or CANDIDATES[len(phase.size)]
        self._generator, self._prior, self._phase, self._aim = generator, recipe.latent, phase, aim
        self._look = Resemblance((recipe.shape[0], *phase.size), like)
        self.z = recipe.latent.sample(Draw(seed, 0, Rows(0, n, n), like), "project")
        self.labels = torch.tensor(labels, device=like.device)[torch.arange(n) % len(labels)]
        with torch.no_grad(), frozen(generator):
            made = in_blocks(generator, self.z, self.labels, phase).to(like)
            seen = [self._seen(block) for block in torch.split(made, MOST_ROWS)]
        self.values, self.maps = (torch.cat(parts) for parts in zip(*seen, strict=True))
        self._units = [(each - each.roll(1, 0)).square().sum(1).mean() for each in (self.values, self.maps)]
        if not all(unit > 0 for unit, weight in zip(self._units, aim, strict=False) if weight):
            raise UsageError("project", "all samples of this generator are the same, so no latent is nearer than another",
                             "COLLAPSED")  # fmt: skip
        self._deviation = float(self.z.std())
        length = torch.linalg.vector_norm(self.z, dim=1)
        self._lengths = Lengths(length.mean(), length.std().clamp_min(1e-3 * length.mean()))

    def __call__(
        self, targets: Tensor, steps: int = STEPS, starts: int = STARTS, progress: Progress = lambda done, total: None
    ) -> Projected:
        """Project targets (n, C, *S) in [-1, 1]; as many at once as memory is sure to hold."""
        targets = targets.to(self.z)
        rows = min(MOST_ROWS, MOST_VALUES // targets[0].numel())
        groups = torch.split(targets, max(1, rows // starts))
        early = steps // FIRST if starts > 1 else 0
        total, done, found = len(groups) * (early + steps), 0, []

        def stepped() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        with frozen(self._generator):
            for group in groups:
                found.append(self._group(group, early, steps, starts, stepped))
        return Projected(*(torch.cat(parts).cpu() for parts in zip(*found, strict=True)))

    def _group(self, targets: Tensor, early: int, steps: int, starts: int, stepped: Callable[[], None]) -> Projected:
        with torch.no_grad():
            values, maps = self._seen(targets)
            random = self._weighed(apart(values, self.values), apart(maps, self.maps))
            which = beginnings(random, self.labels, starts)
        z, labels = self.z[which].flatten(0, 1), self.labels[which].flatten()
        if starts > 1:
            again = [seen.repeat_interleave(which.shape[1], 0) for seen in (values, maps)]
            z, unlikeness = self._descend(z, labels, again[0], again[1], early, stepped)
            rivals = unlikeness.view(which.shape)
            best = torch.arange(len(rivals), device=z.device) * rivals.shape[1] + rivals.argmin(1)
            z, labels = z[best], labels[best]
        z, _ = self._descend(z, labels, values, maps, steps, stepped)
        with torch.no_grad():
            made = in_blocks(self._generator, z, labels, self._phase).to(targets)
            found = self._seen(made)
            error = (found[0] - values).square().sum(1)
            unlike = self._weighed(error, (found[1] - maps).square().sum(1))
        return Projected(z, labels, made.float(), unlike.sqrt(), random.amin(1).sqrt(), error.sqrt(), self._lengths.away(z))

    def _descend(
        self, z: Tensor, labels: Tensor, values: Tensor, maps: Tensor, steps: int, stepped: Callable[[], None]
    ) -> tuple[Tensor, Tensor]:
        """The best latents (n, Z) on each way, and what was made small there (n,): never more than where it began."""
        z = z.clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=0.0)
        best, least = z.detach().clone(), z.new_full((len(z),), torch.inf)
        for step in range(steps + 1):
            samples = self._generator(z, labels, self._phase)
            seen = self._seen(samples)
            unlike = self._weighed((seen[0] - values).square().sum(1), (seen[1] - maps).square().sum(1))
            loss = unlike + self._aim.likely * 0.5 * self._lengths.away(z).square()
            with torch.no_grad():
                better = loss < least
                best, least = torch.where(better[:, None], z, best), torch.where(better, loss, least)
            if step == steps:
                break
            (z.grad,) = torch.autograd.grad(loss.sum(), z)
            adam.param_groups[0]["lr"] = self._deviation * rate(step, steps)
            adam.step()
            with torch.no_grad():
                z.copy_(kept(self._prior, z))
            stepped()
        return best, least

    def _seen(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Values and maps; no maps where they have no weight, since they take most of the time."""
        maps = self._look.maps(samples) if self._aim.maps else samples.new_zeros(len(samples), 0)
        return self._look.values(samples), maps

    def _weighed(self, values: Tensor, maps: Tensor) -> Tensor:
        """The unlikeness, of squared distances of any shape."""
        parts = zip(self._aim, (values, maps), self._units, strict=False)
        total: Tensor = sum((weight * part / unit for weight, part, unit in parts if weight), torch.zeros_like(values))
        return total / (self._aim.values + self._aim.maps)


def rate(step: int, steps: int) -> float:
    """Of Adam, in standard deviations of a latent value: from RATE to 0 along half a cosine wave."""
    return RATE * 0.5 * (1 + math.cos(math.pi * step / steps))


def kept(prior: Prior, z: Tensor) -> Tensor:
    """The nearest latent that the prior can give: in the cube, or on the sphere; itself where it can give all."""
    if isinstance(prior, Uniform):
        return z.clamp(-prior.scale, prior.scale)
    if isinstance(prior, Sphere):
        return functional.normalize(z) * math.sqrt(prior.size)
    return z


def beginnings(distances: Tensor, labels: Tensor, count: int) -> Tensor:
    """(n, count): the candidates to begin at, for distances (n, N): the nearest one of each class, then the nearest others."""
    rows, classes = [], labels.tolist()
    for order in distances.argsort(dim=1, stable=True).tolist():
        first: dict[int, int] = {}
        for i in order:
            first.setdefault(classes[i], i)
        chosen = set(first.values())
        rows.append([*first.values(), *(i for i in order if i not in chosen)][:count])
    return torch.tensor(rows, device=distances.device)


def apart(a: Tensor, b: Tensor) -> Tensor:
    """(n, F) and (N, F) -> (n, N) squared distances."""
    return torch.addmm(b.square().sum(1), a, b.T, alpha=-2).add_(a.square().sum(1)[:, None]).clamp_min_(0)


@contextmanager
def frozen(generator: nn.Module) -> Iterator[None]:
    """In evaluation mode, no weight asking for a gradient; afterwards as it was."""
    modes = [(module, module.training) for module in generator.modules()]
    asked = [(weight, weight.requires_grad) for weight in generator.parameters()]
    generator.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for weight, each in asked:
            weight.requires_grad_(each)
