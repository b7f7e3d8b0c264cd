"""Networks in files that somebody brings: what they are given is what was said, and what they give is checked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gansaku.errors import DataError, UsageError
from gansaku.extractors import foreign, registry
from gansaku.extractors.foreign import GREY
from gansaku.extractors.resize import resized

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SHAPE = (3, 6, 5)


def pictures(n=3, shape=SHAPE, seed=0):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def written(path, nodes, given, made, constants=()):
    """A model with one input and float outputs, as small as one can be."""
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (given, *made)]
    held = [onnx.numpy_helper.from_array(value, name) for name, value in constants]
    graph = onnx.helper.make_graph(nodes, "tiny", values[:1], values[1:], held)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def node(kind, inputs, outputs, **attributes):
    return onnx.helper.make_node(kind, inputs, outputs, **attributes)


def passing(path, shape=("n", 3, 6, 5)):
    """Gives what it is given."""
    return written(path, [node("Identity", ["x"], ["y"])], ("x", shape), [("y", shape)])


def flat(path, shape=("n", 3, 6, 5)):
    """Gives what it is given, flattened."""
    return written(path, [node("Flatten", ["x"], ["y"])], ("x", shape), [("y", ("n", "f"))])


def said(path, text):
    Path(f"{path}.toml").write_text(text)


def test_an_onnx_file_is_given_values_from_minus_one_to_one(tmp_path):
    samples = pictures()
    found = registry.find(flat(tmp_path / "net.onnx"), shape=SHAPE)
    made = found(samples)
    torch.testing.assert_close(made.features, samples.float().div(127.5).sub(1).flatten(1))
    assert found.features == 90
    assert made.logits is None
    assert found.identity.name == "net"
    assert len(found.identity.sha256) == 64


def test_pictures_are_resized_to_the_size_that_the_file_says(tmp_path):
    samples = pictures(shape=(3, 9, 4))
    found = registry.find(flat(tmp_path / "net.onnx"), resize="pytorch-fid", shape=(3, 9, 4))
    expected = resized(samples, (6, 5), "pytorch-fid").div(127.5).sub(1).flatten(1)
    torch.testing.assert_close(found(samples).features, expected, rtol=1e-5, atol=1e-5)
    assert found.resize == "pytorch-fid"
    free = registry.find(flat(tmp_path / "free.onnx", ("n", 3, "h", "w")), shape=(3, 9, 4))
    assert (free.resize, free.features) == ("none", 108)
    with pytest.raises(UsageError, match=r"`size` in free\.onnx\.toml says one"):
        registry.find(str(tmp_path / "free.onnx"), resize="clean", shape=(3, 9, 4))
    with pytest.raises(UsageError, match=r"takes \(6, 5\) alone"):
        registry.find(str(tmp_path / "net.onnx"), resize="none", shape=(3, 9, 4))


def test_the_settings_beside_it_are_followed(tmp_path):
    path = flat(tmp_path / "net.onnx", ("n", 6, 5, 3))
    plain = registry.find(path, shape=SHAPE)
    said(path, 'order = "bgr"\nmean = [104, 117, 123]\nstd = 2\n')
    samples = pictures()
    found = registry.find(path, shape=SHAPE)
    expected = (samples.float().permute(0, 2, 3, 1).flip(3) - torch.tensor([104.0, 117, 123])) / 2
    torch.testing.assert_close(found(samples).features, expected.flatten(1))
    assert found.identity != plain.identity  # the same file, other features


def test_maps_are_averaged_over_their_space(tmp_path):
    samples = pictures()
    found = registry.find(passing(tmp_path / "net.onnx"), shape=SHAPE)
    torch.testing.assert_close(found(samples).features, samples.float().div(127.5).sub(1).mean((2, 3)), rtol=1e-5, atol=1e-5)


def test_a_network_of_one_channel_is_given_grey(tmp_path):
    samples = pictures()
    found = registry.find(flat(tmp_path / "net.onnx", ("n", 1, 6, 5)), shape=SHAPE)
    grey = sum(share * samples[:, i].float() for i, share in enumerate(GREY))
    torch.testing.assert_close(found(samples).features, grey.div(127.5).sub(1).flatten(1), rtol=1e-5, atol=1e-5)


def test_a_fixed_number_of_samples_is_filled_up(tmp_path):
    path = written(tmp_path / "net.onnx", [node("Flatten", ["x"], ["y"])], ("x", (4, 3, 6, 5)), [("y", (4, 90))])
    found = registry.find(path, shape=SHAPE)
    samples = pictures(6)
    torch.testing.assert_close(found(samples).features, samples.float().div(127.5).sub(1).flatten(1))


def test_an_output_is_picked_by_number_or_name(tmp_path):
    nodes = [node("Flatten", ["x"], ["first"]), node("Neg", ["first"], ["second"])]
    path = written(tmp_path / "net.onnx", nodes, ("x", ("n", 3, 6, 5)), [("first", ("n", "f")), ("second", ("n", "f"))])
    samples = pictures()
    first = registry.find(path, shape=SHAPE)(samples).features
    for which in ("1", '"second"'):
        said(path, f"output = {which}\n")
        assert torch.equal(registry.find(path, shape=SHAPE)(samples).features, -first)
    said(path, 'output = "third"\n')
    with pytest.raises(DataError, match="has the outputs first, second; `output = 'third'` is none of them"):
        registry.find(path, shape=SHAPE)


def test_a_value_inside_an_onnx_file_can_be_the_output(tmp_path):
    """Inside it maps are (n, F, h, w), also where pictures come in as (n, h, w, C)."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Neg", ["t"], ["inside"]),
        node("Flatten", ["inside"], ["y"]),
    ]
    path = written(tmp_path / "net.onnx", nodes, ("x", ("n", 6, 5, 3)), [("y", ("n", "f"))])
    said(path, 'output = "inside"\n')
    samples = pictures()
    expected = -samples.float().div(127.5).sub(1).mean((2, 3))
    torch.testing.assert_close(registry.find(path, shape=SHAPE)(samples).features, expected, rtol=1e-5, atol=1e-5)


class Net(nn.Module):
    def forward(self, x: torch.Tensor):
        return x.mean((2, 3)), x.flatten(1)


def test_a_torchscript_file_is_run(tmp_path):
    torch.jit.script(Net()).save(str(tmp_path / "net.pt"))
    samples = pictures()
    values = samples.float().div(127.5).sub(1)
    torch.testing.assert_close(registry.find(str(tmp_path / "net.pt"), shape=SHAPE)(samples).features, values.mean((2, 3)))
    said(tmp_path / "net.pt", "output = 1\nsize = 8\n")
    found = registry.find(str(tmp_path / "net.pt"), shape=SHAPE)
    torch.testing.assert_close(found(samples).features, resized(samples, (8, 8), "clean").div(127.5).sub(1).flatten(1))


def test_a_file_may_not_pass_for_a_built_in_extractor(tmp_path):
    assert registry.find(flat(tmp_path / "inception-2015.onnx"), shape=SHAPE).identity.name == "inception-2015.onnx"


def test_files_that_cannot_be_used_are_refused_with_a_sentence(tmp_path):
    def refused(path, match, shape=SHAPE):
        with pytest.raises(DataError, match=match):
            registry.find(str(path), shape=shape)

    (tmp_path / "text.onnx").write_text("no network")
    refused(tmp_path / "text.onnx", "is no ONNX that can be run")
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    refused(tmp_path / "state.pt", "is no TorchScript")
    flat_input = written(tmp_path / "flat.onnx", [node("Identity", ["x"], ["y"])], ("x", ("n", 3)), [("y", ("n", 3))])
    refused(flat_input, "takes 2 dimensions; pictures have 4")
    lying = written(tmp_path / "lying.onnx", [node("Reshape", ["x", "to"], ["y"])], ("x", ("n", 3, 6, 5)), [("y", ("n", 7))],
                    [("to", np.array([-1, 7]))])  # fmt: skip
    refused(lying, "cannot look at")
    many = written(tmp_path / "many.onnx", [node("Reshape", ["x", "to"], ["y"])], ("x", ("n", 3, 6, 5)), [("y", ("m", 9))],
                   [("to", np.array([-1, 9]))])  # fmt: skip
    refused(many, r"gives \(20, 9\) for 2 samples; one row for each is needed")
    nodes = [node("Flatten", ["x"], ["a"]), node("Mul", ["a", "c"], ["b"]), node("Sqrt", ["b"], ["y"])]
    bad = written(tmp_path / "bad.onnx", nodes, ("x", ("n", 3, 6, 5)), [("y", ("n", "f"))], [("c", np.array([-1], np.float32))])
    refused(bad, "numbers that are not finite for 2 of 2 samples")


@pytest.mark.parametrize(("text", "match"), [
    ("sizes = 3", "has no setting 'sizes'; did you mean 'size'"), ("size = 0", "size = .* is not pixels"),
    ("size = [1, 2, 3]", "is not pixels"), ('layout = "chwn"', "'chwn' is not nchw or nhwc"), ("std = 0", "is not a number"),
    ("mean = [1, 2]", "is not a number, or one for each of 3 channels"), ("output = true", "is not a number or a name"),
    ("size", "is no TOML"), ('resize = "lanczos"', "'lanczos' is not pytorch-fid or tf1 or clean"),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(tmp_path, text, match):
    path = flat(tmp_path / "net.onnx")
    said(path, text)
    with pytest.raises(DataError, match=match):
        registry.find(path, shape=SHAPE)


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch):
    path = flat(tmp_path / "net.onnx")
    monkeypatch.setattr(foreign, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'gansaku\[onnx\]'"):
        registry.find(path, shape=SHAPE)
