"""DINOv2's arithmetic, written again with plain formulas, on random weights under the published names."""

import math

import pytest
import torch
from torch.nn import functional as F

from gansaku.errors import DataError
from gansaku.extractors import published, weights
from gansaku.extractors.dinov2 import MEAN, STD, DINOv2, Large, Small, built, positions
from gansaku.extractors.resize import resized

CPU = torch.device("cpu")


def state(width=8, depth=2, patches=9, seed=0):
    """A state dictionary as the published files have it, `mask_token` included."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 1 + patches, width), "mask_token": (1, width),
              "patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,),
              "norm.weight": (width,), "norm.bias": (width,)}  # fmt: skip
    for i in range(depth):
        for name, shape in {"norm1": (width,), "norm2": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width),
                            "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}.items():  # fmt: skip
            shapes |= {f"blocks.{i}.{name}.weight": shape, f"blocks.{i}.{name}.bias": shape[:1]}
        shapes |= {f"blocks.{i}.{name}.gamma": (width,) for name in ("ls1", "ls2")}
    return {name: torch.randn(shape, generator=draw) * 0.3 for name, shape in shapes.items()}


def slowly(t, x, heads):
    """Token by token and head by head, fp64."""
    t = {name: value.double() for name, value in t.items()}
    width, side = t["cls_token"].shape[-1], x.shape[-1] // 14

    def norm(v, name):
        centred = v - v.mean()
        return centred / (centred.square().mean() + 1e-6).sqrt() * t[f"{name}.weight"] + t[f"{name}.bias"]

    def linear(v, name):
        return t[f"{name}.weight"] @ v + t[f"{name}.bias"]

    tokens = [t["cls_token"][0, 0] + t["pos_embed"][0, 0]]
    for i in range(side):
        for j in range(side):
            patch = x[:, i * 14 : i * 14 + 14, j * 14 : j * 14 + 14]
            seen = (t["patch_embed.proj.weight"] * patch).sum((1, 2, 3)) + t["patch_embed.proj.bias"]
            tokens.append(seen + t["pos_embed"][0, 1 + i * side + j])
    for b in range(1 + max(int(name.split(".")[1]) for name in t if name.startswith("blocks"))):
        name, d = f"blocks.{b}", width // heads
        made = [linear(norm(v, f"{name}.norm1"), f"{name}.attn.qkv") for v in tokens]
        mixed = []
        for m in made:
            out = []
            for h in range(heads):
                q = m[h * d : h * d + d]
                scores = torch.stack([q @ o[width + h * d : width + h * d + d] for o in made]) / math.sqrt(d)
                share = (scores - scores.max()).exp()
                share = share / share.sum()
                out.append(sum(s * o[2 * width + h * d : 2 * width + h * d + d] for s, o in zip(share, made, strict=True)))
            mixed.append(linear(torch.cat(out), f"{name}.attn.proj"))
        tokens = [v + t[f"{name}.ls1.gamma"] * m for v, m in zip(tokens, mixed, strict=True)]
        for k, v in enumerate(tokens):
            hidden = linear(norm(v, f"{name}.norm2"), f"{name}.mlp.fc1")
            hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
            tokens[k] = v + t[f"{name}.ls2.gamma"] * linear(hidden, f"{name}.mlp.fc2")
    return norm(tokens[0], "norm")


def test_the_class_token_is_that_of_the_plain_formulas():
    tensors = state()
    x = torch.randn(2, 3, 42, 42, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = built(tensors, 2, "file")(x)
    expected = torch.stack([slowly(tensors, each.double(), 2) for each in x])
    torch.testing.assert_close(made.double(), expected, rtol=1e-5, atol=1e-5)


def test_positions_are_read_at_places_scaled_by_the_offset_side():
    """Place i of 16 reads the learned ones at (i + ½)·37/16.1 - ½ with Keys' cubic (a = -¾), clamped at the border."""

    def cubic(x, a=-0.75):
        x = abs(x)
        if x < 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0

    weights = torch.zeros(16, 37, dtype=torch.float64)
    for i in range(16):
        place = (i + 0.5) * 37 / 16.1 - 0.5
        for j in range(math.floor(place) - 1, math.floor(place) + 3):
            weights[i, min(max(j, 0), 36)] += cubic(place - j)
    learned = torch.randn(1, 1 + 37 * 37, 4, generator=torch.Generator().manual_seed(0))
    grid = torch.einsum("ia,jb,abc->ijc", weights, weights, learned[0, 1:].double().view(37, 37, 4))
    made = positions(learned, 16)
    assert torch.equal(made[0, 0], learned[0, 0])
    torch.testing.assert_close(made[0, 1:].double(), grid.reshape(256, 4), rtol=0, atol=1e-4)
    assert positions(learned, 37) is learned


def test_pictures_come_in_antialiased_with_imagenets_mean_and_deviation(tmp_path, monkeypatch):
    class Tiny(DINOv2):
        width, depth = 64, 1

    monkeypatch.setattr(Tiny, "name", "tiny")
    tensors = state(64, 1, 37 * 37)
    torch.save(tensors, tmp_path / "tiny.pth")
    network = Tiny("clean", "fp32", CPU, str(tmp_path / "tiny.pth"))
    samples = torch.randint(0, 256, (2, 1, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    x = resized(samples.expand(-1, 3, -1, -1), (224, 224), "clean")
    x = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        expected = built(tensors, 1, "file")(x)
    made = network(samples)
    torch.testing.assert_close(made.features, expected, rtol=1e-5, atol=1e-5)
    assert made.features.shape == (2, 64) == (2, network.features)
    assert F.cosine_similarity(made.features[:1], made.features[1:]).item() < 1 - 1e-4
    assert network.identity.sha256 != Tiny.__name__


def test_a_file_in_the_cache_is_found_by_its_name_and_the_wrong_size_is_refused():
    folder = weights.weights_folder()
    folder.mkdir(parents=True)
    torch.save(state(64, 1), folder / "dinov2_vits14_pretrain.pth")
    with pytest.raises(DataError, match="has 1 blocks of width 64; dinov2-vits14 has 12 of width 384"):
        Small("clean", "fp32", CPU)
    assert published.PUBLISHED["dinov2-vitl14"][0].file == "dinov2_vitl14_pretrain.pth"
    assert Large.width == 1024


@pytest.mark.parametrize("change", ["register_tokens", "missing", "shape"])
def test_other_networks_are_refused(change):
    tensors = state()
    if change == "register_tokens":
        tensors["register_tokens"] = torch.zeros(1, 4, 8)
    elif change == "missing":
        del tensors["blocks.1.ls2.gamma"]
    else:
        tensors["norm.bias"] = torch.zeros(9)
    with pytest.raises(DataError, match="is no DINOv2 without registers"):
        built(tensors, 2, "file")
