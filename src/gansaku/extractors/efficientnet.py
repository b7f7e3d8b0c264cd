"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; the "lite" networks of Google's TPU repository): ImageNet features.

Inverted bottlenecks without squeeze-and-excitation, ReLU6 throughout, "same" padding as TensorFlow pads: at stride 2 the
odd pixel is added at the end. Batch normalization (ε 1e-3) is folded into the convolutions in fp64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansaku.errors import DataError
from gansaku.extractors.contract import Extracted, Extractor, Identity, Precision, dtype, exact, three_channels
from gansaku.extractors.resize import resized
from gansaku.extractors.weights import digest, located, normalized, read_tensors

SIDE, FEATURES = 224, 1280
EPSILON = 1e-3
AT_ONCE = 16  # pictures in one pass
BLOCKS = 16
STRIDED = (1, 3, 5, 11)  # blocks that halve the map

Folded = dict[str, tuple[Tensor, Tensor]]


class Convolution(nn.Module):
    """A convolution with its batch normalization in it, depthwise where its weight has one input channel for many outputs."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1, relu: bool = True):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
        self.stride, self.relu = stride, relu
        self.groups = len(weight) if weight.shape[1] == 1 else 1
        self.kernel = weight.shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        padding = self.kernel // 2
        if self.stride == 2:
            before = (self.kernel - 2) // 2  # for even sides: kernel - 2 pixels are added, the odd one at the end
            x, padding = F.pad(x, (before, self.kernel - 2 - before) * 2), 0
        made = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return F.relu6(made, inplace=True) if self.relu else made


class Bottleneck(nn.Module):
    """Expand, filter each channel, project; added to its input where it keeps size and width."""

    def __init__(self, folded: Folded, number: int):
        super().__init__()
        name, stride = f"_blocks.{number}", 2 if number in STRIDED else 1
        stages = [Convolution(*folded[f"{name}._expand_conv"])] if f"{name}._expand_conv" in folded else []
        stages += [Convolution(*folded[f"{name}._depthwise_conv"], stride=stride)]
        stages += [Convolution(*folded[f"{name}._project_conv"], relu=False)]
        self.stages = nn.Sequential(*stages)
        self.adds = (
            stride == 1 and folded[f"{name}._project_conv"][0].shape[0] == stages[0].weight.shape[1] and len(stages) == 3
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.stages(x)
        return made + x if self.adds else made


class Lite0(nn.Module):
    """(n, 3, 224, 224) of (x - 127)/128 -> features (n, 1280)."""

    def __init__(self, folded: Folded):
        super().__init__()
        blocks = (Bottleneck(folded, i) for i in range(BLOCKS))
        self.layers = nn.Sequential(Convolution(*folded["_conv_stem"], stride=2), *blocks, Convolution(*folded["_conv_head"]))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return made.float().mean((2, 3))


class EfficientNetLite0(Extractor):
    """1280 pooled features and 1000 ImageNet logits at a fourteenth of the Inception's work."""

    name = "efficientnet-lite0"
    resizes = ("clean", "pytorch-fid")
    precisions = ("fp32", "bf16")

    def __init__(self, resize: str, precision: Precision, device: torch.device, weights: str | None = None):
        path = located(self.name, weights)
        folded, head = fold(read_tensors(path), str(path))
        self.identity = Identity(self.name, digest({**folded, "_fc": head}))
        self.resize, self.precision, self.features, self.classes = resize, precision, FEATURES, len(head[1])
        self._device = device
        self._net = Lite0(folded).to(device, dtype(precision)).eval()
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._head = tuple(part.to(device) for part in head)

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Extracted:
        with exact():
            features = torch.cat([self._features(part) for part in torch.split(samples, AT_ONCE)])
        return Extracted(features.cpu(), F.linear(features, *self._head).cpu())

    def _features(self, pictures: Tensor) -> Tensor:
        x = resized(three_channels(pictures).to(self._device), (SIDE, SIDE), self.resize).sub(127).div(128)
        made: Tensor = self._net(x.to(dtype(self.precision), memory_format=torch.channels_last))
        return made


def normalizations() -> dict[str, str]:
    """Each convolution with the batch normalization after it, as the file names them."""
    names = {"_conv_stem": "_bn0"}
    for i in range(BLOCKS):
        place = f"_blocks.{i}."
        names |= {f"{place}_expand_conv": f"{place}_bn0"} if i else {}  # the first block has nothing to expand
        names |= {f"{place}_depthwise_conv": f"{place}_bn1", f"{place}_project_conv": f"{place}_bn2"}
    return {**names, "_conv_head": "_bn1"}


def fold(tensors: Mapping[str, Tensor], where: str) -> tuple[Folded, tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution, and those of the head. Raises DataError for a file that is not this network."""
    try:
        folded = {}
        for name, norm in normalizations().items():
            gamma, beta, mean, var = (tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
            folded[name] = normalized(tensors[f"{name}.weight"], gamma, beta, mean, var, EPSILON)
        head = (tensors["_fc.weight"].float(), tensors["_fc.bias"].float())
    except KeyError as error:
        raise DataError(where, f"is no EfficientNet-Lite0: it has no tensor {error.args[0]}", "WEIGHTS") from None
    if head[0].shape[1] != FEATURES or folded["_conv_head"][0].shape[:2] != (FEATURES, 320):
        raise DataError(where, "is another EfficientNet: its last convolution is not 320 to 1280 wide", "WEIGHTS")
    return folded, head
