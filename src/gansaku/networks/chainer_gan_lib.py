"""chainer-gan-lib's DCGAN pair (common/net.py, minibatch_discrimination/net.py), which article 1 builds on, in 2D and 3D.

Three doublings between an eighth of the size and the whole. All weights from N(0, 0.02), biases 0, batch norm's ε 2e-5.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gansaku.contract import Network, Phase, Verdict
from gansaku.networks.blocks import CONV, CONV_TRANSPOSE, BatchNorm, Norm, bound_spectra
from gansaku.networks.minibatch import MinibatchDiscrimination
from gansaku.networks.piecewise import slope
from gansaku.parts import part, require

EPS = 2e-5  # of Chainer's batch normalization
SLOPE = 0.2  # of its leaky ReLU
THREE_HALVINGS = 8


def check_shape(shape: tuple[int, ...], width: int, divisor: int = THREE_HALVINGS) -> None:
    """Sides are multiples of eight, or of another number, in two or three dimensions."""
    require(len(shape) in (3, 4), "shape", f"{shape} is no (C, H, W) and no (C, D, H, W)")
    wrong = [side for side in shape[1:] if side % divisor]
    require(not wrong, "shape", f"{shape}: sides must be multiples of {divisor}; {wrong[0] if wrong else 0} is none")
    require(width >= 1, "width", f"{width} is no number of channels")


def code(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """(N,) -> (N, K): 1 for the class and -1 for the others, as article 1 has it."""
    return 2 * one_hot(labels, classes).to(like) - 1


def set_weights(network: nn.Module, deviation: float = 0.02) -> None:
    """Weights of convolutions and linear layers from N(0, deviation²), biases 0, from torch's global generator."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.normal_(module.weight, 0.0, deviation)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@part
class ChainerGenerator(Network):
    """z (N, latent) -> (N, *shape) in [-1, 1]: linear, three doublings by transposed convolution, tanh.

    `width` is the channels at full size. With `classes`, the label stands beside z as ±1: with leak 0.2 and stem_norm off
    that is article 1's MTGenerator. `leak` is the slope of its leaky ReLU; 0 is a ReLU.
    """

    shape: tuple[int, ...]
    latent: int = 128
    width: int = 64
    norm: Norm = "batch"
    stem_norm: bool = True  # also after the linear layer, over each of its features
    leak: float = 0.0
    classes: int = 0

    players: ClassVar[tuple[str, ...]] = ("generator",)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        require(self.norm != "spectral", "norm", "spectral is not built here; use batch or none")
        require(self.classes >= 0, "classes", f"{self.classes} is no number of classes; use 0 or more")
        require(0 <= self.leak < 1, "leak", f"{self.leak:g} is no slope of a leaky ReLU; use 0 to below 1")

    @property
    def reads_labels(self) -> bool:
        return self.classes > 0

    def build(self) -> nn.Module:
        return Generator(self)


class Generator(nn.Module):
    """The module of a ChainerGenerator."""

    def __init__(self, part: ChainerGenerator):
        super().__init__()
        self.classes, dims, normed = part.classes, len(part.shape) - 1, part.norm == "batch"
        self.base = (8 * part.width, *[side // THREE_HALVINGS for side in part.shape[1:]])
        features = math.prod(self.base)
        activation = nn.LeakyReLU(part.leak) if part.leak else nn.ReLU()
        stem_norm = BatchNorm(features, EPS) if normed and part.stem_norm else nn.Identity()
        self.stem = nn.Sequential(nn.Linear(part.latent + part.classes, features), stem_norm, activation)
        layers: list[nn.Module] = []
        for inside in (8 * part.width, 4 * part.width, 2 * part.width):
            layers += [CONV_TRANSPOSE[dims](inside, inside // 2, 4, stride=2, padding=1)]
            layers += [BatchNorm(inside // 2, EPS)] if normed else []
            layers += [activation]
        last = CONV_TRANSPOSE[dims](part.width, part.shape[0], 3, stride=1, padding=1)
        self.layers = nn.Sequential(*layers, last, nn.Tanh())
        set_weights(self)

    def forward(self, z: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        if self.classes:
            assert labels is not None
            z = torch.cat([z, code(labels, self.classes, z)], 1)
        x: Tensor = self.layers(self.stem(z).unflatten(1, self.base))
        return x


@part
class ChainerDiscriminator(Network):
    """(N, *shape) -> logits (N, logits), classes (N, classes), or both: seven convolutions, leaky ReLU 0.2, linear.

    `norm`: batch (without γ, not on the first layer), spectral (on all), or none, which is the source's WGANDiscriminator.
    `kernels` of minibatch discrimination, `kernel_size` values each (B and C there), before the linear layer; the
    convolution before it is then not normalized. `label_planes`: the label's ±1 code is joined to x as that many channels.
    The source's minibatch discriminator also holds a batch norm that it never calls (512 values); it is not built here.
    """

    shape: tuple[int, ...]
    width: int = 64
    norm: Norm = "batch"
    logits: int = 1
    classes: int = 0
    kernels: int = 0
    kernel_size: int = 5
    label_planes: int = 0

    players: ClassVar[tuple[str, ...]] = ("discriminator", "classifier")

    def __post_init__(self) -> None:
        check_shape(self.shape, self.width)
        for name in ("logits", "classes", "kernels", "label_planes"):
            value = getattr(self, name)
            require(value >= 0, name, f"{value} is no number of outputs; use 0 or more")
        require(self.kernel_size >= 1, "kernel_size", f"{self.kernel_size} is no number of values; use 1 or more")
        require(self.logits + self.classes > 0, "logits", "without logits and classes nothing comes out; use 1")

    @property
    def features(self) -> int:
        """Of the last convolution, F."""
        return 8 * self.width * math.prod(side // THREE_HALVINGS for side in self.shape[1:])

    @property
    def ties_samples(self) -> bool:
        return self.norm == "batch" or self.kernels > 0

    @property
    def looks_across(self) -> bool:
        return self.kernels > 0

    @property
    def piecewise_linear(self) -> bool:
        return self.norm == "none" and self.kernels == 0 and self.label_planes == 0 and self.logits > 0

    def build(self) -> nn.Module:
        return Discriminator(self)


class Discriminator(nn.Module):
    """The module of a ChainerDiscriminator."""

    def __init__(self, part: ChainerDiscriminator):
        super().__init__()
        dims, w, self.label_planes = len(part.shape) - 1, part.width, part.label_planes
        convolutions = [(part.shape[0] + part.label_planes, w, 3), (w, 2 * w, 4), (2 * w, 2 * w, 3), (2 * w, 4 * w, 4),
                        (4 * w, 4 * w, 3), (4 * w, 8 * w, 4), (8 * w, 8 * w, 3)]  # fmt: skip
        layers: list[nn.Module] = []
        for i, (inside, outside, kernel) in enumerate(convolutions):
            layers.append(CONV[dims](inside, outside, kernel, stride=2 if kernel == 4 else 1, padding=1))
            normed = part.norm == "batch" and i > 0 and not (part.kernels and i == len(convolutions) - 1)
            layers += [BatchNorm(outside, EPS, scale=False)] if normed else []
            layers.append(nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers, nn.Flatten())
        seen = part.features + part.kernels
        self.minibatch = MinibatchDiscrimination(part.features, part.kernels, part.kernel_size) if part.kernels else None
        self.logits = nn.Linear(seen, part.logits) if part.logits else None
        self.classes = nn.Linear(seen, part.classes) if part.classes else None
        set_weights(self)
        if part.norm == "spectral":
            bound_spectra(self)

    def forward(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Verdict:
        if self.label_planes:
            assert labels is not None
            planes = code(labels, self.label_planes, x).view(len(x), -1, *[1] * (x.ndim - 2))
            x = torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], 1)
        features: Tensor = self.layers(x)
        seen = features if self.minibatch is None else self.minibatch(features)
        logits = None if self.logits is None else self.logits(seen)
        return Verdict(logits, None if self.classes is None else self.classes(seen), features)

    def slope(self, x: Tensor, labels: Tensor | None, phase: Phase | None) -> Tensor:
        """The gradient of the summed logits by x, for a network without norms."""
        assert self.logits is not None
        return slope(nn.Sequential(self.layers, self.logits), x)
