"""The Inception-v3 of 2015-12-05, whose distance is called FID: 2048 pooled features, and 1008 classes where the file has them.

Every published file of it holds the same network under other names; batch normalization (ε 1e-3) is folded into the
convolutions in fp64. The 1×1 convolutions that read the same input are one, the average-pooled branch's too: pooling
and a 1×1 convolution commute, so the few outputs are pooled and not the many inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansaku.errors import DataError, UsageError
from gansaku.extractors.contract import Extracted, Extractor, Identity, Precision, dtype, exact, three_channels
from gansaku.extractors.resize import RESIZES, prepared
from gansaku.extractors.weights import digest, located, normalized, published, read_tensors

SIDE, FEATURES = 299, 2048
EPSILON = 1e-3
AT_ONCE = 16  # pictures in one pass: more does not fit the caches
SHA256 = "b1058a1ab44751fa7e901e2c7072efa9ca169e3610e5530c1134a9d9c3f6cd0b"  # of the folded weights' values

A, B, C, D, E = "ABCDE"
MIXED = {"5b": A, "5c": A, "5d": A, "6a": B, "6b": C, "6c": C, "6d": C, "6e": C, "7a": D, "7b": E, "7c": E}
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
# The convolutions of each kind of block, as pytorch-fid names them and as the TorchScript files do.
BRANCHES: dict[str, dict[str, str]] = {
    A: {
        "branch1x1": "conv",
        "branch5x5_1": "tower.conv",
        "branch5x5_2": "tower.conv_1",
        "branch3x3dbl_1": "tower_1.conv",
        "branch3x3dbl_2": "tower_1.conv_1",
        "branch3x3dbl_3": "tower_1.conv_2",
        "branch_pool": "tower_2.conv",
    },
    B: {
        "branch3x3": "conv",
        "branch3x3dbl_1": "tower.conv",
        "branch3x3dbl_2": "tower.conv_1",
        "branch3x3dbl_3": "tower.conv_2",
    },
    C: {
        "branch1x1": "conv",
        "branch7x7_1": "tower.conv",
        "branch7x7_2": "tower.conv_1",
        "branch7x7_3": "tower.conv_2",
        "branch7x7dbl_1": "tower_1.conv",
        "branch7x7dbl_2": "tower_1.conv_1",
        "branch7x7dbl_3": "tower_1.conv_2",
        "branch7x7dbl_4": "tower_1.conv_3",
        "branch7x7dbl_5": "tower_1.conv_4",
        "branch_pool": "tower_2.conv",
    },
    D: {
        "branch3x3_1": "tower.conv",
        "branch3x3_2": "tower.conv_1",
        "branch7x7x3_1": "tower_1.conv",
        "branch7x7x3_2": "tower_1.conv_1",
        "branch7x7x3_3": "tower_1.conv_2",
        "branch7x7x3_4": "tower_1.conv_3",
    },
    E: {
        "branch1x1": "conv",
        "branch3x3_1": "tower_conv",
        "branch3x3_2a": "tower_mixed_conv",
        "branch3x3_2b": "tower_mixed_conv_1",
        "branch3x3dbl_1": "tower_1_conv",
        "branch3x3dbl_2": "tower_1_conv_1",
        "branch3x3dbl_3a": "tower_1_mixed_conv",
        "branch3x3dbl_3b": "tower_1_mixed_conv_1",
        "branch_pool": "tower_2_conv",
    },
}


def convolutions() -> dict[str, str]:
    """All 94 by pytorch-fid's names, with the TorchScript files' names."""
    names = {name: "conv" if i == 0 else f"conv_{i}" for i, name in enumerate(STEM)}
    for i, (block, kind) in enumerate(MIXED.items()):
        place = "mixed" if i == 0 else f"mixed_{i}"
        names |= {f"Mixed_{block}.{ours}": f"{place}.{theirs}" for ours, theirs in BRANCHES[kind].items()}
    return names


class Folded(nn.Module):
    """A convolution with its batch normalization in it, then ReLU; "same" padding unless told otherwise."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1, padded: bool = True):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
        self.stride = stride
        self.padding = (weight.shape[2] // 2, weight.shape[3] // 2) if padded else (0, 0)

    def linear(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.linear(x))


class Heads(nn.Module):
    """Several 1×1 convolutions of one input as one; the last is average-pooled before its ReLU if it is `pooled`."""

    def __init__(self, each: Sequence[tuple[Tensor, Tensor]], pooled: bool):
        super().__init__()
        self.all = Folded(torch.cat([w for w, _ in each]), torch.cat([b for _, b in each]))
        self.widths = [len(b) for _, b in each]
        self.pooled = pooled

    def forward(self, x: Tensor) -> list[Tensor]:
        if not self.pooled:
            return list(torch.split(self.all(x), self.widths, 1))
        made = self.all.linear(x)
        *others, pool = torch.split(made, self.widths, 1)
        smooth = F.avg_pool2d(pool, 3, 1, 1, count_include_pad=False)
        return [*(F.relu(part) for part in others), F.relu_(smooth)]


class Inception(nn.Module):
    """(n, 3, 299, 299) in [-1, 1] -> features (n, 2048). Takes folded weights by pytorch-fid's names."""

    def __init__(self, folded: Mapping[str, tuple[Tensor, Tensor]]):
        super().__init__()
        unpadded = {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3"}
        strided = {"Conv2d_1a_3x3", "Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_3",
                   "Mixed_7a.branch3x3_2", "Mixed_7a.branch7x7x3_4"}  # fmt: skip

        def conv(name: str) -> Folded:
            return Folded(*folded[name], stride=2 if name in strided else 1, padded=name not in unpadded | strided)

        def chain(block: str, stem: str, first: int, last: int) -> nn.Sequential:
            return nn.Sequential(*(conv(f"Mixed_{block}.{stem}_{i}") for i in range(first, last + 1)))

        def heads(block: str, names: Sequence[str], pooled: bool = True) -> Heads:
            return Heads([folded[f"Mixed_{block}.{name}"] for name in names], pooled)

        self.stem = nn.ModuleList(map(conv, STEM))
        self.blocks = nn.ModuleDict()
        for block, kind in MIXED.items():
            parts: dict[str, nn.Module] = {}
            if kind == A:
                parts["heads"] = heads(block, ("branch1x1", "branch5x5_1", "branch3x3dbl_1", "branch_pool"))
                parts |= {"b5": conv(f"Mixed_{block}.branch5x5_2"), "b3": chain(block, "branch3x3dbl", 2, 3)}
            elif kind == B:
                parts |= {"b3": conv(f"Mixed_{block}.branch3x3"), "dbl": chain(block, "branch3x3dbl", 1, 3)}
            elif kind == C:
                parts["heads"] = heads(block, ("branch1x1", "branch7x7_1", "branch7x7dbl_1", "branch_pool"))
                parts |= {"b7": chain(block, "branch7x7", 2, 3), "dbl": chain(block, "branch7x7dbl", 2, 5)}
            elif kind == D:
                parts["heads"] = heads(block, ("branch3x3_1", "branch7x7x3_1"), pooled=False)
                parts |= {"b3": conv(f"Mixed_{block}.branch3x3_2"), "b7": chain(block, "branch7x7x3", 2, 4)}
            else:
                names = ("branch1x1", "branch3x3_1", "branch3x3dbl_1")
                average = block == "7b"  # the last block pools by the maximum, which does not commute
                parts["heads"] = heads(block, (*names, "branch_pool") if average else names, average)
                tails = ("branch3x3_2a", "branch3x3_2b", "branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b")
                parts |= {tail: conv(f"Mixed_{block}.{tail}") for tail in tails}
                if not average:
                    parts["pool"] = conv(f"Mixed_{block}.branch_pool")
            self.blocks[block] = nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        for i, conv in enumerate(self.stem):
            x = conv(x)
            if i in (2, 4):
                x = F.max_pool2d(x, 3, 2)
        for block, kind in MIXED.items():
            x = torch.cat(self.branches(kind, self.blocks[block], x), 1)
        return x.float().mean((2, 3))

    @staticmethod
    def branches(kind: str, block: nn.Module, x: Tensor) -> list[Tensor]:
        part: nn.ModuleDict = block  # type: ignore[assignment]
        if kind == B:
            return [part["b3"](x), part["dbl"](x), F.max_pool2d(x, 3, 2)]
        heads = part["heads"](x)
        if kind == A:
            return [heads[0], part["b5"](heads[1]), part["b3"](heads[2]), heads[3]]
        if kind == C:
            return [heads[0], part["b7"](heads[1]), part["dbl"](heads[2]), heads[3]]
        if kind == D:
            return [part["b3"](heads[0]), part["b7"](heads[1]), F.max_pool2d(x, 3, 2)]
        deep = part["branch3x3dbl_2"](heads[2])
        last = heads[3] if "pool" not in part else part["pool"](F.max_pool2d(x, 3, 1, 1))
        return [heads[0], part["branch3x3_2a"](heads[1]), part["branch3x3_2b"](heads[1]),
                part["branch3x3dbl_3a"](deep), part["branch3x3dbl_3b"](deep), last]  # fmt: skip


class Inception2015(Extractor):
    """The 2015 Inception from any of its published files: its distance, and only its, is called FID."""

    name = "inception-2015"
    resizes = RESIZES
    precisions = ("fp32", "bf16")

    def __init__(self, resize: str, precision: Precision, device: torch.device, weights: str | None = None):
        path = located(self.name, weights)
        folded, head = fold(read_tensors(path), str(path))
        if digest(folded) != SHA256 and not published(self.name, path):
            raise UsageError(
                str(path), f"has another SHA-256 than every published {self.name}, so what it measures is no FID", "WEIGHTS"
            )
        self.identity = Identity(self.name, SHA256)
        self.resize, self.precision, self.features, self.classes = resize, precision, FEATURES, 0 if head is None else len(head)
        self._device = device
        self._net = Inception(folded).to(device, dtype(precision)).eval()
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._head = None if head is None else head.to(device)

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Extracted:
        with exact():
            features = torch.cat([self._features(part) for part in torch.split(samples, AT_ONCE)])
        logits = None if self._head is None else F.linear(features, self._head).cpu()
        return Extracted(features.cpu(), logits)

    def _features(self, pictures: Tensor) -> Tensor:
        x = prepared(three_channels(pictures).to(self._device), SIDE, self.resize)
        made: Tensor = self._net(x.to(dtype(self.precision), memory_format=torch.channels_last))
        return made


Weights = Mapping[str, Tensor]


def fold(tensors: Weights, where: str) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor | None]:
    """Any published file's tensors -> weight and bias of each convolution, and the head's weight if it has one.

    The head's bias is left out, as the Inception Score is computed everywhere (Salimans et al. 2016's code multiplies the
    pooled features by the weight alone). Raises DataError for a file that is not this network.
    """
    names = convolutions()
    script = next((name.removesuffix("conv.weight") for name in tensors if name.endswith("layers.conv.weight")), None)
    folded = {}
    try:
        for ours, theirs in names.items():
            if script is None:
                weight, norm = tensors[f"{ours}.conv.weight"], f"{ours}.bn."
                mean, var, beta, gamma = (tensors[norm + part] for part in ("running_mean", "running_var", "bias", "weight"))
            else:
                place = f"{script}{theirs}."
                weight, mean, var, beta = (tensors[place + part] for part in ("weight", "mean", "var", "beta"))
                gamma = torch.ones(len(weight))
            folded[ours] = normalized(weight, gamma, beta, mean, var, EPSILON)
    except KeyError as error:
        raise DataError(where, f"is no 2015 Inception: it has no tensor {error.args[0]}", "WEIGHTS") from None
    place = "fc." if script is None else script.removesuffix("layers.") + "output."
    head = tensors.get(f"{place}weight")
    return folded, None if head is None else head.float()
