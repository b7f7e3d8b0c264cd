"""Directions in latent space by closed-form factorization: those that the layers which z enters answer most to.

    a layer that z enters   z -> A z + b
    direction k             the eigenvector of AᵀA with the k-th largest eigenvalue |A n|², n of length 1

Shen & Zhou 2021, arXiv:2007.06600, eqs. 4 to 6; where z enters several layers, A is all of theirs under each other (sec. 3.2
there). Their program scales each row of A to length 1 first, the paper and this do not. A layer's other inputs, as labels,
are part of b. No sample is looked at, so whether a direction changes what a person sees is measured apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from gansaku.contract import Phase, Prior
from gansaku.draws import Draw, Rows
from gansaku.errors import UsageError
from gansaku.evaluation.projecting import frozen, kept

LAYERS = (nn.Linear, _ConvNd)
ROWS = 32  # latents in one pass
TRIED = 8  # latents on which A z + b is compared with what a layer says
EXACT = 1e-3  # how far they may be apart, as a share: single precision and its faster convolutions round


@dataclass(frozen=True)
class Directions:
    """`vectors` (Z, Z): rows, orthonormal, by falling `eigenvalues` (Z,); the largest value of each is positive.

    Both are fp64 on the CPU. `layers` are the names of those that z enters.
    """

    vectors: Tensor
    eigenvalues: Tensor
    layers: tuple[str, ...]


def directions(generator: nn.Module, prior: Prior, label: int, phase: Phase, where: str = "generator") -> Directions:
    """All directions of a generator's latent space, for one class. Raises UsageError where the closed form does not hold."""
    matrix, layers = entry(generator, prior, label, phase, where)
    values, columns = torch.linalg.eigh(matrix.T @ matrix)  # in rising order
    rows = columns.T.flip(0)
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return Directions(rows * largest.sign(), values.flip(0).clamp_min(0), layers)


def entry(generator: nn.Module, prior: Prior, label: int, phase: Phase, where: str) -> tuple[Tensor, tuple[str, ...]]:
    """A (rows, Z) of all layers that z enters, under each other, fp64 on the CPU; and their names.

    A column is what a layer says of a unit vector less what it says of 0: exact, whatever kind of layer it is and whatever
    stands beside z. Raises UsageError when z enters none, enters otherwise too, or not linearly.
    """
    like = next(generator.parameters()).new_empty(0)
    with frozen(generator), listened(generator) as heard:
        units = said(generator, heard, torch.eye(prior.size).to(like), label, phase, where)
        drawn = prior.sample(Draw(0, 0, Rows(0, TRIED, TRIED), like), "directions")
        tried = said(generator, heard, drawn, label, phase, where)
    z = drawn.double().cpu()
    for name, columns in units.items():
        expected, found = z @ columns, tried[name]
        if not (found - expected).abs().max() <= EXACT * found.abs().max():
            sentence = f"changes z on its way to its first layer {name!r}, and not linearly, so there is no closed form"
            raise UsageError(where, sentence, "LATENT")
    return torch.cat(list(units.values()), 1).T, tuple(units)


def said(generator: nn.Module, heard: dict[str, Tensor], z: Tensor, label: int, phase: Phase, where: str) -> dict[str, Tensor]:
    """What each layer that z enters says of z (n, Z) less what it says of 0: (n, rows), fp64 on the CPU."""
    parts: list[dict[str, Tensor]] = []
    for block in torch.split(z, ROWS):
        heard.clear()
        given = torch.cat([torch.zeros_like(block[:1]), block]).requires_grad_()
        labels = torch.full((len(given),), label, device=z.device)
        made = generator(given, labels, phase)
        if not heard:
            more = "; it may be in one of another kind than a linear layer or a convolution" if made.requires_grad else ""
            raise UsageError(where, f"has no layer that z enters{more}", "LATENT")
        if made.requires_grad:
            sentence = f"takes z in {', '.join(heard)} and also past every linear layer, so there is no closed form"
            raise UsageError(where, sentence, "LATENT")
        parts.append({name: out[1:] - out[:1] for name, out in heard.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def listened(generator: nn.Module) -> Iterator[dict[str, Tensor]]:
    """What the layers that z enters by no other layer said in the last pass, by their names: (n, rows), fp64 on the CPU.

    They are those whose output asks for a gradient, if z alone does and each such layer's output goes on as a constant.
    """
    heard: dict[str, Tensor] = {}

    def listening(name: str) -> object:
        def hear(module: nn.Module, given: object, out: Tensor) -> Tensor:
            if not out.requires_grad:
                return out
            again = sum(one == name or one.startswith(f"{name} ") for one in heard)
            heard[f"{name} ({again + 1})" if again else name] = out.detach().flatten(1).double().cpu()
            return out[:1].detach().expand_as(out).contiguous()

        return hear

    hooks = [
        module.register_forward_hook(listening(name))  # type: ignore[arg-type]
        for name, module in generator.named_modules()
        if isinstance(module, LAYERS)
    ]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def deviation(prior: Prior) -> float:
    """The standard deviation of a latent value, from draws."""
    rows = Rows(0, 4096, 4096)
    return float(prior.sample(Draw(0, 0, rows, torch.empty(0, dtype=torch.float64)), "deviation").std())


def moved(z: Tensor, vectors: Tensor, distances: Sequence[float], prior: Prior) -> Tensor:
    """(n, Z), (k, Z) -> (k, n, len(distances), Z): each latent moved so far along each direction, where the prior's lie."""
    way = torch.tensor(distances, dtype=z.dtype, device=z.device)[:, None] * vectors.to(z)[:, None, None, :]
    return kept(prior, (z[None, :, None] + way).flatten(0, 2)).view(len(vectors), len(z), len(distances), -1)


def unrelated(size: int, count: int, seed: int) -> Tensor:
    """(count, size) fp64: random directions, orthonormal where there are no more than there are dimensions."""
    drawn = Draw(seed, 0, Rows(0, count, count), torch.empty(0, dtype=torch.float64)).normal("directions", size)
    if count <= size:
        q, r = torch.linalg.qr(drawn.T)
        drawn = (q * r.diagonal().sign()).T
    found: Tensor = functional.normalize(drawn)
    return found
