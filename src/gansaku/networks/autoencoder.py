"""chainer-gan-lib's auto-encoder (began/net.py), BEGAN's discriminator, in 2D and 3D."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, CONV_TRANSPOSE
from gansaku.networks.chainer_gan_lib import SLOPE, THREE_HALVINGS, check_shape, set_weights
from gansaku.parts import part, require


@part
class ChainerAutoEncoder(Network):
    """(N, *shape) -> logits (N, 1), the mean absolute error of the reconstruction, and features (N, hidden), its code.

    To an eighth of the size by three strided convolutions, to the code by a linear layer, and the mirror image back to tanh;
    leaky ReLU 0.2. `width` is the channels at full size. All weights from N(0, 0.02), biases 0.
    """

    shape: tuple[int, ...]
    width: int = 64
    hidden: int = 128

    players: ClassVar[tuple[str, ...]] = ("discriminator",)
    reconstructs: ClassVar[bool] = True  # its logits are errors of a reconstruction, which BEGAN needs

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.hidden >= 1, "hidden", f"{self.hidden} is no number of values; use 1 or more")

    def build(self) -> nn.Module:
        return AutoEncoder(self)


class AutoEncoder(nn.Module):
    """The module of a ChainerAutoEncoder."""

    def __init__(self, part: ChainerAutoEncoder):
        super().__init__()
        dims, channels = len(part.shape) - 1, part.shape[0]
        widths = [part.width * 2**i for i in range(4)]
        smallest = (widths[-1], *[side // THREE_HALVINGS for side in part.shape[1:]])
        down: list[nn.Module] = [CONV[dims](channels, part.width, 3, padding=1), nn.LeakyReLU(SLOPE)]
        up: list[nn.Module] = []
        for outer, inner in pairwise(widths):
            down += [CONV[dims](outer, inner, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            up = [CONV_TRANSPOSE[dims](inner, outer, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE), *up]
        last = CONV_TRANSPOSE[dims](part.width, channels, 3, padding=1)
        values = math.prod(smallest)
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(values, part.hidden), nn.LeakyReLU(SLOPE))
        start = (nn.Linear(part.hidden, values), nn.LeakyReLU(SLOPE), nn.Unflatten(1, smallest))
        self.decoder = nn.Sequential(*start, *up, last, nn.Tanh())
        set_weights(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        code = self.encoder(x)
        error = (self.decoder(code) - x).abs().flatten(1).mean(1, keepdim=True)
        return Verdict(error, features=code)
