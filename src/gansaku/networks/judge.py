"""What SNGAN's and BigGAN's discriminators share: residual halvings, and a projection that ends in one logit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from gansaku.contract import Phase, Verdict
from gansaku.networks.blocks import Norm, bound_spectra
from gansaku.networks.conditional import Projection, bound_projections
from gansaku.networks.residual import Halvings


class Table(Protocol):
    """The settings that it is built from: channels `width` · `multiples`, of whose blocks the first `halvings` halve."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def width(self) -> int: ...
    @property
    def multiples(self) -> tuple[int, ...]: ...
    @property
    def halvings(self) -> int: ...
    @property
    def attention(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def norm(self) -> Norm: ...


class Judge(nn.Module):
    """(N, *shape) -> logits (N, 1) and features; `start` sets the weights, before their spectra are bounded."""

    def __init__(self, table: Table, wide: bool, start: Callable[[nn.Module], None]):
        super().__init__()
        channels, *space = table.shape
        widths = [table.width * multiple for multiple in table.multiples]
        self.layers = Halvings(len(space), channels, widths, table.halvings, wide=wide, attention=table.attention)
        self.head = Projection(widths[-1], table.classes)
        start(self)
        if table.norm == "spectral":
            bound_spectra(self)
            bound_projections(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features = self.layers(x)
        return Verdict(self.head(features, labels), features=features)
