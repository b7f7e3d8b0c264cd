"""A damaged checkpoint is found whatever happened to it: no altered number is ever loaded, and the one before it is used."""

import functools
import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from test_disk import LONG, SHORT, Ears, complete, digest, fast_folder, hurry, world  # noqa: F401
from test_power_loss import same, sample

from fixtures import methods
from fixtures.tiny import data
from gansaku import api
from gansaku.errors import RunError
from gansaku.runs import checkpoint, manifest
from gansaku.runs.manifest import Notes, Score
from gansaku.training.state import begin, counts, restore, tensors
from gansaku.training.step import cycle

FLIPS = 1000
ID = "this run"


@pytest.fixture(scope="module")
def whole():
    """Two checkpoints of a run, and what their files hold."""
    with fast_folder() as root:
        for seen in (8, 16):
            checkpoint.save(root / "checkpoints", sample(seen, seen), ID)
        yield {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def place():
    with fast_folder() as root:
        yield root


def put(place, files):
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)


SAVED, BEFORE, LOADED = sample(16, 16), sample(24, 24), sample(24, 24)


def found_out(place, name="000000000016"):
    """Whether loading raises. If it does not, what it loaded must at least be right; if it does, nothing may have changed."""
    path = place / "checkpoints" / name
    try:
        checkpoint.load(path, LOADED, ID)
    except RunError as error:
        assert same(LOADED, BEFORE), "a part of a damaged checkpoint was loaded"
        assert str(path) in str(error)  # noqa: PT017
        return True
    assert same(LOADED, SAVED), "altered numbers were loaded"
    restore(LOADED, tensors(BEFORE), counts(BEFORE))
    return False


def newer(whole):
    return {path: content for path, content in whole.items() if path.parent.name == "000000000016"}


def test_undamaged_it_is_loaded(whole, place):
    put(place, whole)
    assert not found_out(place)


def test_every_truncation_is_found(whole, place):
    put(place, whole)
    cuts = 0
    for path, content in newer(whole).items():
        whole_at = len(content.rstrip()) if path.name == "manifest.json" else len(content)  # its last line break says nothing
        for size in range(0, whole_at, 1 if path.suffix == ".json" else 4096):
            (place / path).write_bytes(content[:size])
            assert found_out(place), f"{path.name} cut to {size} bytes"
            cuts += 1
        for size in (whole_at - 1, whole_at // 2):
            (place / path).write_bytes(content[:size])
            assert found_out(place), f"{path.name} cut to {size} bytes"
        (place / path).write_bytes(content)
    print(f"{cuts} truncations")
    assert cuts > 300


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_is_found(whole, place):
    put(place, whole)
    draw, missed = random.Random(0), []
    files = newer(whole)
    for _ in range(FLIPS):
        path = draw.choice(list(files))
        bit = draw.randrange(8 * len(files[path]))
        (place / path).write_bytes(flipped(files[path], bit))
        if not found_out(place):
            missed.append((path.name, bit))
        (place / path).write_bytes(files[path])
    assert missed == []


def test_every_flipped_bit_of_the_manifest_is_found_and_the_one_before_is_used(whole, place):
    put(place, whole)
    path = Path("checkpoints/000000000016/manifest.json")
    for bit in range(8 * len(whole[path])):
        (place / path).write_bytes(flipped(whole[path], bit))
        assert found_out(place), bit
        newest, sentences = manifest.newest_sound(place / "checkpoints")
        assert newest.name == "000000000008"
        assert len(sentences) == 1


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "zeros", "longer", "of the other one", "a folder"])
def test_a_file_that_is_not_its_own_is_found_and_the_one_before_is_used(whole, place, name, damage):
    put(place, whole)
    path = place / "checkpoints" / "000000000016" / name
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        other = (place / "checkpoints" / "000000000008" / name).read_bytes()
        path.write_bytes(
            {"empty": b"", "zeros": bytes(len(content)), "longer": content + b"0", "of the other one": other}[damage]
        )
    assert found_out(place)
    newest, sentences = manifest.newest_sound(place / "checkpoints")
    assert newest.name == "000000000008"
    assert all("000000000016" in sentence for sentence in sentences)
    assert len(sentences) == (0 if name == "manifest.json" and damage in ("gone", "a folder") else 1)


def test_two_checkpoints_whose_files_are_swapped_are_both_found(whole, place):
    for names in (["tensors.safetensors"], ["state.json"], ["manifest.json"], ["tensors.safetensors", "state.json"]):
        put(place, whole)
        for name in names:
            one, two = (place / "checkpoints" / folder / name for folder in ("000000000008", "000000000016"))
            content = one.read_bytes()
            one.write_bytes(two.read_bytes())
            two.write_bytes(content)
        assert found_out(place), names
        assert found_out(place, "000000000008"), names
        assert manifest.newest_sound(place / "checkpoints")[0] is None


def test_a_checkpoint_that_was_renamed_is_found_and_the_one_before_is_used(whole, place):
    put(place, whole)
    (place / "checkpoints" / "000000000016").rename(place / "checkpoints" / "000000000024")
    assert found_out(place, "000000000024")
    newest, sentences = manifest.newest_sound(place / "checkpoints")
    assert newest.name == "000000000008"
    assert "renamed" in sentences[0]


def test_a_checkpoint_of_another_run_is_refused(whole, place):
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    checkpoint.save(place / "checkpoints", sample(16, 16), "that run")
    assert found_out(place)
    with pytest.raises(RunError, match="is another run's checkpoint; remove it"):
        checkpoint.load(place / "checkpoints" / "000000000016", LOADED, ID)


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{}", b"null", b'{"version": 1}', b'{"version": 1, "files": []}', b'{"version": 1, "files": {"state.json": 7}}',
     b'{"version": 1, "files": {"tensors.safetensors": {"bytes": 1}}}', b"[" * 100_000, b'{"version": 1e999}', b"\xff\xfe",
     b'{"version": true, "files": {}}', b"1" * 5000],
)  # fmt: skip
def test_a_manifest_of_anything_else_is_damage(whole, place, content):
    put(place, whole)
    (place / "checkpoints" / "000000000016" / "manifest.json").write_bytes(content)
    assert found_out(place)
    assert manifest.newest_sound(place / "checkpoints")[0].name == "000000000008"
    assert [one["seen"] for one in manifest.listed(place / "checkpoints") if one["state"] == "good"] == [8]


def test_the_layout_of_a_newer_program_is_no_damage_and_nobody_goes_back_behind_it(whole, place):
    put(place, whole)
    path = place / "checkpoints" / "000000000016"
    content = json.loads((path / "manifest.json").read_text())
    files = {name: content["files"][name]["sha256"] for name in content["files"]}
    (path / "manifest.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "VERSION", manifest.VERSION + 1)
        manifest.write(path, files, {"seen": 16})
    with pytest.raises(RunError, match=rf"has layout {manifest.VERSION + 1}; this Gansaku reads {manifest.VERSION}"):
        manifest.newest_sound(place / "checkpoints")


def test_a_checkpoint_of_the_first_layout_is_loaded_and_its_damage_found(whole, place):
    put(place, whole)
    path = place / "checkpoints" / "000000000016" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"version": 1, "seen": 16, "files": content["files"]}))
    assert not found_out(place)
    (path.parent / "state.json").write_bytes(b"{}")
    assert found_out(place)


def test_damaged_notes_let_no_pinned_checkpoint_go(whole, place):
    for content in (b"", b"{", b"\xff", b"[]", b'{"pinned": "x", "scores": 3}', b'{"pinned": tru'):
        put(place, whole)
        manifest.note(place / "checkpoints" / "000000000008", Notes(True, {"fid": Score(2.0)}))
        (place / "checkpoints" / "000000000008" / "notes.json").write_bytes(content)
        manifest.prune(place / "checkpoints", 1)
        assert [path.name for path in manifest.found(place / "checkpoints")] == ["000000000008", "000000000016"], content


def test_nothing_is_pruned_for_a_newest_that_is_damaged(whole, place):
    put(place, whole)
    (place / "checkpoints" / "000000000016" / "tensors.safetensors").write_bytes(b"")
    manifest.prune(place / "checkpoints", 1)
    assert len(manifest.found(place / "checkpoints")) == 2


# nothing of the state may be missing

RIGS = ["batch_norm", "spectral", "growth", "ada", "replay", "lazy_r1"]
BEFORE_IT, AFTER_IT = 6, 4  # cycles, before the checkpoint and after it
# What is in a checkpoint and makes no difference: computed anew before it is used. `size` matters where it changes.
NOT_STATE = {
    "batch_norm": ["ema/generator/num_batches_tracked", "size"],  # copied from the network in every cycle
    "spectral": ["ema/generator/_u", "net/discriminator/_u", "net/generator/_u", "size"],  # made from _v in every pass
    "growth": ["optimizer/discriminator/exp_avg", "optimizer/generator/exp_avg"],  # β1 is 0
}


def trained(recipe, cycles, state):
    for _ in range(cycles):
        cycle(state, recipe, data(recipe))
    return state


def started(recipe):
    """As after a rollback."""
    state = begin(recipe)
    state.rollbacks = 1
    return state


@functools.cache
def rig(name):
    """A method's recipe, the state in the middle of its training, and the one at the end."""
    recipe = methods()[name].recipe()
    state = trained(recipe, BEFORE_IT, started(recipe))
    middle = ({name: value.clone() for name, value in tensors(state).items()}, counts(state))
    return recipe, middle, trained(recipe, AFTER_IT, state)


def group(name):
    """Which kind of tensor it is: `net/generator/weight`, `optimizer/discriminator/exp_avg`, `memory/ada_p`."""
    kind, player, *rest = name.split("/")
    if kind == "memory":
        return name
    return f"{kind}/{player}/{rest[-1].split('.')[-1]}"


def everything(state):
    """Every tensor that there is, whether or not the state itself lists it."""
    found = {f"memory/{name}": value for name, value in state.memory.items()}
    for kind, nets in (("net", state.nets), ("ema", state.ema)):
        found |= {f"{kind}/{player}/{name}": value for player, net in nets.items() for name, value in net.state_dict().items()}
    for player, optimizer in state.optimizers.items():
        for i, slots in optimizer.state_dict()["state"].items():
            found |= {f"optimizer/{player}/{i}/{slot}": value for slot, value in slots.items()}
    return found


@pytest.mark.parametrize("name", RIGS)
def test_a_training_continued_from_its_checkpoint_ends_with_the_same_bits(name, place):
    recipe, _, end = rig(name)
    state = trained(recipe, BEFORE_IT, started(recipe))
    path = checkpoint.save(place, state)
    state = begin(recipe)
    checkpoint.load(path, state)
    trained(recipe, AFTER_IT, state)
    assert counts(state) == counts(end)
    ours, theirs = everything(state), everything(end)
    assert [one for one in theirs if one not in ours or not torch.equal(ours[one], theirs[one])] == []
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("name", RIGS)
def test_whatever_kind_of_tensor_or_count_is_reset_the_training_ends_with_other_bits(name):
    recipe, (held, numbers), end = rig(name)
    fresh, first = tensors(begin(recipe)), counts(begin(recipe))
    harmless = []
    for kind in sorted({group(one) for one in held}):
        reset = {one: fresh.get(one, torch.zeros_like(value)) if group(one) == kind else value for one, value in held.items()}
        if ends_the_same(recipe, reset, numbers, end):
            harmless.append(kind)
    for count in numbers:
        if ends_the_same(recipe, held, {**numbers, count: first[count]}, end):
            harmless.append(count)
    assert harmless == NOT_STATE.get(name, ["size"]), harmless


def ends_the_same(recipe, held, numbers, end):
    state = begin(recipe)
    restore(state, {name: value.clone() for name, value in held.items()}, numbers)
    return same(trained(recipe, AFTER_IT, state), end)


# the whole command


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    hurry(monkeypatch)


def flip(path, bit=None):
    path.write_bytes(flipped(path.read_bytes(), bit or 8 * (path.stat().st_size // 2)))


DAMAGE = {
    "one bit of the tensors": (
        lambda path: flip(path / "tensors.safetensors"),
        "tensors.safetensors is not what its manifest says",
    ),
    "no state": (lambda path: (path / "state.json").unlink(), "state.json is missing"),
    "an empty manifest": (lambda path: (path / "manifest.json").write_bytes(b""), "manifest.json: cannot be read"),
    "one bit of the version": (
        lambda path: flip(path / "manifest.json", 8 * len('{\n "version": ')),
        "manifest.json is not what",
    ),
    "another number": (lambda path: path.rename(path.with_name("000000000099")), "renamed"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_same_command_goes_on_from_the_one_before_and_says_which_was_damaged_and_why(world, name):  # noqa: F811
    run, ears = world.fresh(), Ears()
    world.command(run)
    assert [manifest.seen(path) for path in manifest.found(run / "checkpoints")] == [LONG - 8, LONG]
    damage, why = DAMAGE[name]
    damage(run / "checkpoints" / f"{LONG:012d}")
    world.command(run, ears)
    told = [sentence for sentence in ears.said if "the one before it" in sentence]
    assert len(told) == 1
    assert str(run / "checkpoints") in told[0]
    assert why in told[0]
    assert told[0].endswith(f"the one before it, after {LONG - 8:,} samples, is used")
    assert (run / "checkpoints" / f"{LONG:012d}").is_dir()
    assert digest(run / "checkpoints" / f"{LONG:012d}") == world.right[f"{LONG:012d}"]


def test_with_no_sound_checkpoint_at_all_it_is_for_people_to_decide(world):  # noqa: F811
    run = world.fresh()
    flip(run / "checkpoints" / f"{SHORT:012d}" / "tensors.safetensors")
    with pytest.raises(RunError, match=r"no checkpoint is sound: .* is not what its manifest says.*; remove them to begin"):
        world.command(run)
    assert len(manifest.found(run / "checkpoints")) == 1
    shutil.rmtree(run / "checkpoints")
    world.command(run)
    assert complete(run, world)


def test_samples_come_from_the_newest_sound_one(world):  # noqa: F811
    run = world.fresh()
    world.command(run)
    flip(run / "checkpoints" / f"{LONG:012d}" / "tensors.safetensors")
    assert api.load(run).state().seen == LONG - 8
    with pytest.raises(RunError, match="is not what its manifest says"):
        api.load(run, at=LONG).state()
    assert torch.isfinite(api.load(run).sample(2)).all()
