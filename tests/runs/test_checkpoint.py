"""A checkpoint gives back every bit, or says what is wrong with it."""

import json

import pytest
import torch

from gansaku.contract import Piece
from gansaku.data.store import Facts
from gansaku.draws import Rows
from gansaku.errors import RunError
from gansaku.recipes.registry import find
from gansaku.runs import checkpoint, manifest
from gansaku.training.state import begin, tensors
from gansaku.training.step import cycle

PICTURES, VOXELS = Facts("p", (3, 16, 16), 40, ()), Facts("v", (1, 16, 16, 16), 40, ())
SMALL = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 4}


def small(facts=PICTURES, name="auto", **settings):
    return find(name, facts).but(SMALL).but(settings)


def data_of(recipe):
    """A batch that depends on the samples seen alone."""

    def data(seen, phase):
        random = torch.Generator().manual_seed(seen)
        real = torch.rand(phase.batch, *recipe.shape, generator=random) * 2 - 1
        return [Piece(Rows(0, phase.batch, phase.batch), real, torch.zeros(phase.batch, dtype=torch.long), {})]

    return data


def trained(recipe, cycles, state=None):
    state = state or begin(recipe)
    for _ in range(cycles):
        cycle(state, recipe, data_of(recipe))
    return state


def same(a, b):
    a, b = tensors(a), tensors(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("facts", [PICTURES, VOXELS], ids=["2D", "3D"])
@pytest.mark.parametrize("fast", ["all", "none"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["auto", "dcgan"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, facts, fast, precision, name):
    recipe = small(facts, name, fast=fast, precision=precision)
    straight = trained(recipe, 7)
    path = checkpoint.save(tmp_path, trained(recipe, 3))
    torch.manual_seed(99)  # whatever happened between the two processes
    continued = begin(recipe)
    checkpoint.load(path, continued)
    assert same(trained(recipe, 4, continued), straight)
    assert (continued.seen, continued.turns, continued.moves) == (straight.seen, straight.turns, straight.moves)


def test_moments_come_back_in_the_memory_order_of_their_weights(tmp_path):
    """Fused Adam with contiguous moments beside channels_last weights trains wrongly without a word."""
    recipe = small(fast="all")
    path = checkpoint.save(tmp_path, trained(recipe, 1))
    state = begin(recipe)
    checkpoint.load(path, state)
    strided = 0
    for name, parameter in state.nets["generator"].named_parameters():
        moments = state.optimizers["generator"].state[parameter]
        assert moments["exp_avg"].stride() == parameter.stride(), name
        assert moments["exp_avg_sq"].stride() == parameter.stride(), name
        strided += not parameter.is_contiguous()
    assert strided > 0, "no weight had channels last, so the test showed nothing"


def test_a_checkpoint_is_named_by_its_samples_and_holds_no_code(tmp_path):
    path = checkpoint.save(tmp_path, trained(small(), 2))
    assert path.name == "000000000008"
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "state.json", "tensors.safetensors"]
    assert json.loads((path / "state.json").read_text())["seen"] == 8


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "empty"])
def test_damage_is_found_before_anything_is_loaded(tmp_path, file, damage):
    recipe = small()
    path = checkpoint.save(tmp_path, trained(recipe, 1))
    target = path / file
    content = bytearray(target.read_bytes())
    if damage == "gone":
        target.unlink()
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        target.write_bytes(content)
    else:
        target.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    fresh = begin(recipe)
    with pytest.raises(RunError, match="CKPT_CORRUPT"):
        checkpoint.load(path, fresh)
    assert same(fresh, begin(recipe))


def test_a_checkpoint_of_another_network_is_refused_naming_the_layers(tmp_path):
    path = checkpoint.save(tmp_path, trained(small(), 1))
    other = small().but({"generator.network.width": 8, "discriminator.network.width": 8})
    with pytest.raises(RunError, match=r"generator/layers.* is \(.*\) and not \(.*; \d+ more") as caught:
        checkpoint.load(path, begin(other))
    assert caught.value.code == "CKPT_FOREIGN"


def test_a_newer_layout_is_refused_and_not_called_damaged(tmp_path):
    path = checkpoint.save(tmp_path, trained(small(), 1))
    content = json.loads((path / "manifest.json").read_text()) | {"version": 99, "something": "new"}
    del content["digest"]
    (path / "manifest.json").write_text(json.dumps({**content, "digest": manifest.digest(content)}))
    for read in (lambda: checkpoint.load(path, begin(small())), lambda: manifest.newest_sound(tmp_path)):
        with pytest.raises(RunError, match="layout 99"):
            read()


def test_pruning_keeps_the_newest_by_number(tmp_path):
    recipe, state = small(), None
    for _ in range(4):
        state = trained(recipe, 1, state)
        checkpoint.save(tmp_path, state)
    (tmp_path / "notes").mkdir()
    manifest.prune(tmp_path, 2)
    assert [p.name for p in manifest.found(tmp_path)] == ["000000000012", "000000000016"]
    assert (tmp_path / "notes").is_dir()
