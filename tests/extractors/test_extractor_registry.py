"""Extractors by name and by file, and what is refused."""

import hashlib
from pathlib import Path

import pytest
import torch

from gansaku.errors import UsageError
from gansaku.extractors import published, registry
from gansaku.extractors.contract import Extractor
from gansaku.extractors.published import Published

BUILT_IN = ["dinov2-vitb14", "dinov2-vitl14", "dinov2-vits14", "efficientnet-lite0", "inception-2015", "random-2d", "random-3d"]


def test_every_file_of_the_package_adds_its_extractors():
    assert list(registry.known()) == BUILT_IN
    assert all(issubclass(cls, Extractor) for cls in registry.known().values())
    assert set(published.PUBLISHED) == {name for name, cls in registry.known().items() if cls.has_weights}


def test_the_default_is_the_inception_if_it_is_here_and_random_convolutions_else(monkeypatch):
    assert registry.find(None, shape=(1, 8, 8, 8)).identity.name == "random-3d"
    monkeypatch.setattr(registry, "found", lambda name: None)
    assert registry.find(None, shape=(3, 8, 8)).identity.name == "random-2d"
    monkeypatch.setattr(registry, "found", lambda name: Path("here"))
    assert registry.chosen(None, None, 2)[2] == "inception-2015"


def test_every_name_says_whether_its_weights_are_here(monkeypatch):
    names = registry.names()
    assert names["random-2d"]
    assert names["random-3d"]
    assert not names["dinov2-vitl14"]
    rows = {row["name"]: row for row in registry.listing()}
    assert list(rows) == BUILT_IN
    assert rows["random-3d"]["takes"] == ["voxels"]
    assert rows["dinov2-vitl14"]["get"] == "`gansaku weights get dinov2-vitl14` downloads them"
    assert rows["dinov2-vitl14"]["licence"] == "Apache-2.0"
    assert not rows["dinov2-vitl14"]["here"]


def test_a_published_file_is_recognized_by_its_content(monkeypatch, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "any name.pth")
    digest = hashlib.sha256((tmp_path / "any name.pth").read_bytes()).hexdigest()
    monkeypatch.setitem(published.PUBLISHED, "efficientnet-lite0", (Published("x.pth", digest),))
    cls, weights, name = registry.chosen(str(tmp_path / "any name.pth"), None, 2)
    assert (cls, weights, name) == (
        registry.known()["efficientnet-lite0"],
        str(tmp_path / "any name.pth"),
        "efficientnet-lite0",
    )


@pytest.mark.parametrize(("asked", "match"), [
    ({"name_or_file": "inception"}, "neither an extractor nor a file; did you mean 'inception-2015'"),
    ({"name_or_file": "random-2d", "shape": (1, 8, 8, 8)}, "takes pictures, and these are voxels; use random-3d"),
    ({"name_or_file": "random-3d"}, "takes voxels, and these are pictures; use .* random-2d"),
    ({"name_or_file": "random-2d", "resize": "clean"}, "'clean' is no way in which random-2d resizes; known: none"),
    ({"name_or_file": "inception-2015", "resize": "lanczos"}, "resizes; known: clean, pytorch-fid, tf1"),
    ({"name_or_file": "random-2d", "precision": "bf16"}, "random-2d runs in fp32, not in bf16"),
    ({"name_or_file": "random-2d", "precision": "fp8"}, "'fp8' is no precision"),
    ({"name_or_file": "dinov2-vits14"}, "`gansaku weights get dinov2-vits14` downloads them"),
    ({"name_or_file": "dinov2-vits14", "weights": "nowhere.pth"}, "nowhere.pth: is no file of weights"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_what_would_work(asked, match):
    with pytest.raises(UsageError, match=match):
        registry.find(**asked)


def test_bf16_without_hardware_for_it_is_refused(monkeypatch):
    monkeypatch.setattr(registry.hardware, "fast_bf16", lambda device: False)
    with pytest.raises(UsageError, match="cpu has no bf16 in hardware here"):
        registry.find("inception-2015", precision="bf16")


def test_a_file_of_weights_that_nobody_published_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "own.pth")
    with pytest.raises(UsageError, match="holds no published weights"):
        registry.find(str(tmp_path / "own.pth"))
