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
    """(N, *shape) -> logits (N, 1), features, and classes (N, K) if it `tells` them; `start` sets the weights unbounded."""

    def __init__(self, table: Table, wide: bool, start: Callable[[nn.Module], None], tells: bool = False):
        super().__init__()
        channels, *space = table.shape
        widths = [table.width * multiple for multiple in table.multiples]
        self.layers = Halvings(len(space), channels, widths, table.halvings, wide=wide, attention=table.attention)
        self.head = Projection(widths[-1], table.classes)
        self.classes = nn.Linear(widths[-1], table.classes) if tells else None
        start(self)
        if table.norm == "spectral":
            bound_spectra(self)
            bound_projections(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        features = self.layers(x)
        told = None if self.classes is None else self.classes(features)
        return Verdict(self.head(features, labels), told, features)
