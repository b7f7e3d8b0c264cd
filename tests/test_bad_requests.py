"""Requests that cannot be carried out: a wrong recipe, number, checkpoint, device. Each is one sentence with its code.

K115 to K120 and K124 of the list of bad inputs; K121 to K123 are of a server, and there is none.
"""

import json
import os
import pickle
import struct

import numpy as np
import pytest
import torch

from gansaku import api, hardware
from gansaku.cli import main, seconds
from gansaku.data.store import Facts
from gansaku.errors import GansakuError, RecipeError, RunError, UsageError
from gansaku.recipe import from_toml, to_toml
from gansaku.recipes.registry import find
from gansaku.runs import checkpoint, manifest
from gansaku.runs.folder import refuse_unsafe
from gansaku.training.state import begin, counts, tensors

FACTS = Facts("pictures", (3, 16, 16), 40, ())
NARROW = {"generator.network.width": 4, "discriminator.network.width": 4, "batch": 4, "precision": "fp32"}
RECIPE = find("auto", FACTS).but(NARROW)
TOML = to_toml(RECIPE)


@pytest.fixture
def data(tmp_path):
    np.save(tmp_path / "ten.npy", np.random.default_rng(0).integers(0, 255, (10, 16, 16, 3), np.uint8))
    return "ten.npy"


def said(capsys, arguments):
    """The exit code and the last line of standard error, after a check that there is no traceback."""
    code = main(arguments)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error.strip().splitlines()[-1]


# K115: the recipe's file


@pytest.mark.parametrize(
    ("text", "where", "says", "code"),
    [
        (TOML.replace("batch = 4", "batch = 4\nbatch = 5"), "mine.toml", "at line 11, column 10", "TOML"),
        (TOML.replace("batch = 4", "batch = = 4"), "mine.toml", "at line 10, column 9", "TOML"),
        (TOML.replace("[latent]", "[latent"), "mine.toml", "Expected ']' at the end of a table declaration", "TOML"),
        (TOML + "\n[latent]\n", "mine.toml", "Cannot declare ('latent',) twice", "TOML"),
        ("\0", "mine.toml", "at line 1, column 1", "TOML"),
        ("x = " + "[" * 100_000, "mine.toml", "nested as deeply", "TOML"),
        ("batch = " + "9" * 5000, "mine.toml", "thousands of digits", "TOML"),
        (TOML.replace("batch = 4", "batch = '4'"), "mine.toml.batch", "'4' is not a whole number", "SETTING"),
        (TOML.replace("batch = 4", "batch = 4.5"), "mine.toml.batch", "4.5 is not a whole number", "SETTING"),
        (TOML.replace("mirror = false", "mirror = 0"), "mine.toml.mirror", "0 is not true or false", "SETTING"),
        (TOML.replace("batch =", "bacth ="), "mine.toml.bacth", "did you mean 'batch'?", "SETTING"),
        (TOML.replace("betas =", "beta ="), "mine.toml.generator.optimizer.beta", "did you mean 'betas'?", "SETTING"),
        (TOML.replace('part = "Adam"', 'part = "Adma"'), "mine.toml.generator.optimizer", "did you mean 'Adam'?", "PART"),
        (TOML.replace('precision = "fp32"', 'precision = "fp8"'), "mine.toml.precision", "none of the choices", "SETTING"),
        ("", "mine.toml", "needs shape, generator, discriminator, length", "SETTING"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_recipes_file_is_told_with_its_place(text, where, says, code):
    assert text != TOML
    with pytest.raises(RecipeError) as caught:
        from_toml(text, "mine.toml")
    error = caught.value
    assert (error.where, error.code) == (where, code)
    assert says in error.sentence


def test_a_recipes_file_is_read_with_a_byte_order_mark_and_refused_in_another_encoding(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf" + TOML.encode())
    assert find(str(file), FACTS) == RECIPE
    file.write_bytes(TOML.encode("utf-16"))
    with pytest.raises(UsageError, match=r"mine\.toml: is no text in UTF-8.*\[FILE\]"):
        find(str(file), FACTS)


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "MINE.YAML"])
def test_a_yaml_recipe_is_refused_by_its_name_whether_or_not_it_is_there(name, capsys, data):
    assert said(capsys, ["train", name, "--data", data]) == (
        2,
        f"{name}: recipes are TOML; YAML reads 1e-4 as text and no as false [RECIPE]",
    )


def test_a_recipe_that_is_no_file_is_neither_opened_nor_read_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "long.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    says = {"pipe": "is no file", "folder": "is no file", "long": "has 1,048,577 bytes", "loop": "cannot be read",
            "none": "cannot be read: No such file"}  # fmt: skip
    for name, sentence in says.items():
        with pytest.raises(UsageError, match=sentence) as caught:
            find(str(tmp_path / f"{name}.toml"), FACTS)
        assert caught.value.code == "FILE"


# K116: numbers out of range

NUMBERS = [
    ("generator.lr", '"1e-4"', "'1e-4' is not a number"),
    ("generator.lr", "nan", "nan is not a finite number"),
    ("generator.lr", "inf", "inf is not a finite number"),
    ("generator.lr", "-1", "-1 must be above 0"),
    ("generator.lr", "0", "0 must be above 0"),
    ("generator.clip", "-0.1", "-0.1 must be above 0"),
    ("batch", "0", "use 1 or more"),
    ("batch", "-1", "use 1 or more"),
    ("batch", "1000000000", "is too large; at most 1,048,576"),
    ("batch", "nan", "is not a whole number"),
    ("micro", "0", "use 1 or more"),
    ("length", "0", "use 1 or more"),
    ("length", "9" * 400, "is too large; at most 1,000,000,000,000,000"),
    ("seed", "9" * 30, "is too large"),
    ("classes", "-1", "use 0 or more"),
    ("latent.size", "1000000000000", "is too large; at most 1,048,576"),
    ("latent.size", "0", "is not a number of latent values"),
    ("latent.scale", "nan", "is not a finite number"),
    ("generator.network.width", "0", "is no number of channels"),
    ("generator.optimizer.betas", "[0.5, 1.0]", "must lie in [0, 1)"),
    ("generator.optimizer.betas", "[0.5]", "has 1 entries; it takes 2"),
    ("generator.ema.half_life", "-5", "must be above 0 samples"),
    ("batch", "9" * 5000, "is not a whole number"),
    ("batch", "[" * 5000, "is not a whole number"),
]


@pytest.mark.parametrize(("path", "value", "says"), NUMBERS, ids=lambda text: text[:24])
def test_a_number_out_of_range_is_told_at_its_setting_and_nothing_is_left(path, value, says, data, capsys):
    code, error = said(capsys, ["train", "--data", data, "--run", "run", "--set", f"{path}={value}"])
    assert code == 2
    assert error.startswith(f"{path}: ")
    assert says in error
    assert error.endswith("[SETTING]")
    assert not os.path.exists("run")


@pytest.mark.parametrize("side", [17, 1_000_000_000, 0, -16])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_size_that_no_doubling_reaches_is_refused_with_the_nearest(dims, side):
    shape = [1, *[side] * dims]
    with pytest.raises(RecipeError) as caught:
        RECIPE.but({"shape": shape, "generator.network.shape": shape, "discriminator.network.shape": shape})
    assert caught.value.code == "SIZE"
    assert "the nearest sizes are" in caught.value.sentence


@pytest.mark.parametrize("shape", [(0, 16, 16), (-1, 16, 16), (3, 1 << 15, 1 << 15), (5000, 16, 16)], ids=str)
def test_a_shape_out_of_range_is_refused_also_where_a_doubling_would_reach_it(shape):
    with pytest.raises(RecipeError, match="channels are 1 to 4,096, sides 1 to 16,384"):
        RECIPE.but({"shape": shape, "generator.network.shape": shape, "discriminator.network.shape": shape})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"generator.network.width": 10**8, "generator.network.most": 10**8}, "160,000,"),
        ({"generator.network.width": 10**9, "generator.network.most": 10**9}, "more weights than can be counted"),
        ({"discriminator.network.width": 10**30, "discriminator.network.most": 10**30}, "more weights than can be counted"),
        ({"generator.network.most": 0}, "has no weights; set a larger width"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_a_network_that_no_machine_holds_is_refused_before_it_is_made(settings, says, data, capsys):
    pairs = [f"{path}={value}" for path, value in settings.items()]
    code, error = said(capsys, ["train", "--data", data, "--run", "run", "--set", *pairs])
    assert code == 2
    assert error.startswith(next(iter(settings)).rpartition(".")[0])
    assert says in error
    assert not os.path.exists("run")


def test_a_budget_that_is_no_time_a_person_has_is_refused():
    for text in ("9" * 400, "9" * 400 + "h", "1e9", "-5", ""):
        with pytest.raises(UsageError, match=r"--budget: "):
            seconds(text)


# K117: fewer samples than a batch has


def test_a_batch_larger_than_the_dataset_is_refused_with_what_would_do(data, capsys):
    code, error = said(capsys, ["train", "--data", data, "--run", "run", "--set", "batch=11"])
    assert (code, error) == (2, "batch: 11 is more than the 10 training samples; use 10 or less [BATCH]")
    assert not os.path.exists("run")


def test_a_single_sample_is_a_dataset_that_trains(tmp_path):
    np.save(tmp_path / "one.npy", np.full((1, 16, 16, 3), 200, np.uint8))
    run = api.train("auto", "one.npy", "run", {**NARROW, "batch": 1, "length": 3})
    assert run.state().seen == 3


# K118: the checkpoint of another network


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of eight samples of the narrow recipe."""
    state = begin(RECIPE)
    state.seen = 8
    return checkpoint.save(tmp_path_factory.mktemp("checkpoints"), state)


def unlike(change):
    shape = change.pop("shape", None)
    if shape:
        change = {"shape": shape, "generator.network.shape": shape, "discriminator.network.shape": shape, **change}
    return RECIPE.but(change)


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        ({"generator.network.width": 8}, "point.weight is (64, 8, 4, 4) and not (64, 16, 4, 4)"),
        ({"shape": (3, 32, 32)}, "point.weight is (64, 8, 4, 4) and not (64, 16, 4, 4)"),
        ({"shape": (1, 16, 16, 16)}, "(8, 4, 4, 4)"),
        ({"generator.network.latent": 32, "latent.size": 32}, "generator/layers.0.0.point.weight is (64, "),
        ({"discriminator.network.norm": "spectral", "discriminator.terms": ()}, "parametrizations"),
    ],
    ids=["wider", "32 px", "voxels", "latent", "spectral"],
)  # fmt: skip
def test_a_checkpoint_of_another_network_names_layers_and_what_to_do(saved, change, layer):
    state = begin(unlike(change))
    before = {name: value.clone() for name, value in tensors(state).items()}
    with pytest.raises(RunError) as caught:
        checkpoint.load(saved, state)
    error = caught.value
    assert error.code == "CKPT_FOREIGN"
    assert layer in error.sentence
    assert 1 <= error.sentence.count(" and not ") <= 5
    assert error.sentence.endswith("set the recipe's networks as they were, or name a new --run")
    assert all(torch.equal(value, before[name]) for name, value in tensors(state).items())


def test_a_run_does_not_go_on_with_other_networks_even_if_it_is_allowed_to(data, capsys):
    command = ["train", "--data", data, "--run", "run", "--set", "batch=4", "generator.network.width=4"]
    assert main([*command, "discriminator.network.width=4", "length=8"]) == 0
    capsys.readouterr()
    code, error = said(capsys, [*command, "discriminator.network.width=8", "length=16"])
    assert code == 1
    assert "discriminator.network.width: 4 → 8; name another --run; --allow goes on" in error
    code, error = said(capsys, [*command, "discriminator.network.width=8", "length=16", "--allow"])
    assert code == 1
    assert "belongs to another network: " in error
    assert error.endswith("[CKPT_FOREIGN]")


# K119: a pickle


class Trap:
    """What, unpickled, would make a file."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


def pickles(folder):
    """The same trap as `torch.save` writes it now and as it did, and as the protocols of pickle do."""
    made = {}
    for name, zipped in (("new", True), ("old", False)):
        made[name] = folder / f"{name}.pt"
        torch.save({"model": Trap()}, made[name], _use_new_zipfile_serialization=zipped)
    for protocol in (2, 3, 4, 5):
        made[f"protocol {protocol}"] = folder / f"p{protocol}"
        made[f"protocol {protocol}"].write_bytes(pickle.dumps(Trap(), protocol))
    return made


def test_the_trap_would_spring(tmp_path):
    pickle.loads(pickles(tmp_path)["protocol 4"].read_bytes())
    assert os.path.isdir("sprung")


def forged(folder, content, numbers=None):
    """A checkpoint with these bytes for its tensors, and a manifest that says that they are right."""
    path = folder / f"{8:012d}"
    path.mkdir(parents=True)
    state = begin(RECIPE)
    state.seen = 8
    told = json.dumps({**counts(state), "run": ""} if numbers is None else numbers)
    (path / manifest.TENSORS).write_bytes(content)
    (path / manifest.NUMBERS).write_text(told)
    digests = {name: manifest.describe(path / name)["sha256"] for name in (manifest.TENSORS, manifest.NUMBERS)}
    manifest.write(path, digests, {"seen": 8})
    return path


def test_a_pickle_in_a_checkpoint_is_not_read_whatever_its_manifest_says(tmp_path):
    for name, file in pickles(tmp_path).items():
        path = forged(tmp_path / name, file.read_bytes())
        with pytest.raises(RunError, match="may be a pickle, which can run any program") as caught:
            checkpoint.load(path, begin(RECIPE))
        assert caught.value.code == "CKPT_UNSAFE"
    assert not os.path.exists("sprung")


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl", "model.ckpt", "model"])
def test_a_pickle_is_refused_as_a_run_by_every_command(name, tmp_path, data, capsys):
    file = tmp_path / name
    torch.save({"model": Trap()}, file)
    commands = {
        "CKPT_UNSAFE": (["train", "--data", data, "--run", name], ["sample", name], ["report", name], ["pin", name]),
        "DATA_TYPE": (["evaluate", name], ["show", name]),
    }
    for expected, given in commands.items():
        for command in given:
            code, error = said(capsys, command)
            assert code in (1, 2), command
            assert error.startswith(f"{name}: "), command
            assert error.endswith(f"[{expected}]"), command
    assert not os.path.exists("sprung")


def test_a_run_whose_only_checkpoint_is_a_pickle_says_so(data, capsys):
    command = ["train", "--data", data, "--run", "run", "--set", "batch=4", "generator.network.width=4", "length=8"]
    assert main(command) == 0
    (checkpoint_,) = manifest.found(api.load("run").folder.checkpoints)
    torch.save({"model": Trap()}, checkpoint_ / manifest.TENSORS)
    capsys.readouterr()
    code, error = said(capsys, [*command[:-1], "length=16"])
    assert code == 1
    assert error.endswith("[CKPT_UNSAFE]")
    assert not os.path.exists("sprung")


def test_a_header_whose_length_has_a_pickles_bytes_is_none(tmp_path):
    """640 is 80 02: the header of genuine safetensors may begin as protocol 2 does."""
    for length in (640, 896):
        header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(length)
        (tmp_path / manifest.TENSORS).write_bytes(struct.pack("<Q", length) + header + b"\1")
        assert (tmp_path / manifest.TENSORS).read_bytes()[0] == 0x80
        refuse_unsafe(tmp_path / manifest.TENSORS)


# K120: safetensors that are none


def described(state):
    """The header and the bytes of a right file."""
    header, body = {}, b""
    for name, value in tensors(state).items():
        content = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": checkpoint.KINDS[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(body), len(body) + len(content)]}  # fmt: skip
        body += content
    return header, body


def packed(header, body, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def with_first(header, **changes):
    first = next(iter(header))
    return {**header, first: {**header[first], **changes}}


HEADERS = {
    "length beyond the file": lambda h, b: packed(h, b, 1 << 40),
    "length of eight bytes": lambda h, b: packed(h, b, (1 << 64) - 1),
    "length too small": lambda h, b: packed(h, b, 10),
    "length zero": lambda h, b: packed(h, b, 0),
    "no header": lambda h, b: b"\x08\0\0\0",
    "empty": lambda h, b: b"",
    "no JSON": lambda h, b: packed(b"{" * 1000, b),
    "a list": lambda h, b: packed([1, 2], b),
    "overlap": lambda h, b: packed(with_first(h, data_offsets=list(h.values())[1]["data_offsets"]), b),
    "offsets beyond the file": lambda h, b: packed(with_first(h, data_offsets=[0, 1 << 40]), b),
    "offsets backwards": lambda h, b: packed(with_first(h, data_offsets=[64, 0]), b),
    "negative offsets": lambda h, b: packed(with_first(h, data_offsets=[-8, 0]), b),
    "a shape of exabytes": lambda h, b: packed(with_first(h, shape=[1 << 40, 1 << 20]), b),
    "a shape that overflows": lambda h, b: packed(with_first(h, shape=[1 << 62, 1 << 62]), b),
    "a type of another width": lambda h, b: packed(with_first(h, dtype="F64"), b),
    "a type of the same width": lambda h, b: packed(with_first(h, dtype="I32"), b),
    "an unknown type": lambda h, b: packed(with_first(h, dtype="PICKLE"), b),
    "a type that torch may not have": lambda h, b: packed(with_first(h, dtype="U32"), b),
    "a hole": lambda h, b: packed(dict(list(h.items())[1:]), b),
    "bytes left over": lambda h, b: packed(h, b + b"\0" * 64),
    "cut short": lambda h, b: packed(h, b[:-64]),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_wrong_header_is_told_as_damage_and_nothing_of_it_is_loaded(name, tmp_path):
    state = begin(RECIPE)
    path = forged(tmp_path, HEADERS[name](*described(state)))
    before = {key: value.clone() for key, value in tensors(state).items()}
    with pytest.raises(RunError) as caught:
        checkpoint.load(path, state)
    assert caught.value.code in ("CKPT_CORRUPT", "CKPT_FOREIGN")
    assert str(path) in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in tensors(state).items())


def test_the_right_header_is_loaded(tmp_path):
    """Without this the test above would show nothing."""
    state = begin(RECIPE)
    checkpoint.load(forged(tmp_path, packed(*described(state))), state)
    assert state.seen == 8


@pytest.mark.parametrize("numbers", [
    {}, {"seen": 8}, {"seen": "8"}, {"seen": -8}, {"seen": 8.5}, {"moves": {}}, {"moves": {"generator": "1"}}, {"size": []},
    {"size": [16, "x"]}, {"turns": None}, {"rollbacks": True}, {"moves": [1, 2]},
], ids=str)  # fmt: skip
def test_counts_that_are_none_are_damage_and_nothing_is_loaded(numbers, tmp_path):
    state = begin(RECIPE)
    whole = {**counts(state), "seen": 8, "run": ""}
    path = forged(tmp_path, packed(*described(state)), {**whole, **numbers} if numbers else {})
    with torch.no_grad():
        next(state.nets["generator"].parameters()).fill_(7.0)
    if numbers == {"seen": 8}:
        checkpoint.load(path, state)
        return
    with pytest.raises(RunError, match=r"does not hold the counts.*\[CKPT_CORRUPT\]"):
        checkpoint.load(path, state)
    assert (next(state.nets["generator"].parameters()) == 7).all()


# K124: the machine


def test_a_device_that_is_not_there_is_told_with_those_that_are(monkeypatch, data, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, error = said(capsys, ["train", "--data", data, "--run", "run", "--device", "cuda"])
    assert code == 2
    assert error.startswith("--device: cuda is not on this machine; usable: auto, cpu")
    assert error.endswith("[DEVICE]")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert hardware.device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match=r"cuda:2 is not on this machine; it has 2, numbered from 0 \[DEVICE\]"):
        hardware.device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cpu:x", "cpu:-1", "cpu:", "cpu:1", "cuda:99999999999999999999", "CPU", "cpu:٣"])
def test_a_name_that_is_no_device_is_told(name):
    with pytest.raises(UsageError, match=r"--device: .*\[DEVICE\]"):
        hardware.device(name)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE: is set and RANK is not; start with torchrun"),
        ({"RANK": "0"}, "RANK: is set and WORLD_SIZE is not"),
        ({"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE: is 'two', which is no number of processes"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK: is '-1'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK: is 2 of 2 processes, which are numbered from 0"),
    ],
)
def test_ranks_that_are_set_by_half_are_told_before_anything_is_made(environment, says, monkeypatch, data, capsys):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, error = said(capsys, ["train", "--data", data, "--run", "run"])
    assert code == 2
    assert error.startswith(says)
    assert error.endswith("[RANKS]")
    assert not os.path.exists("run")


def test_ranks_that_are_set_whole_or_not_at_all_are_right():
    for environment in ({}, {"RANK": "", "WORLD_SIZE": ""}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "3", "WORLD_SIZE": "8"}):
        hardware.check_ranks(environment)


# a run's own files


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b"batch = = 4", b"{}", b"9" * 5000], ids=lambda c: ascii(c[:8])
)
@pytest.mark.parametrize("name", ["recipe.toml", "run.json"])
def test_a_damaged_file_of_a_run_is_told_by_its_name(name, content, data, capsys):
    command = ["train", "--data", data, "--run", "run", "--set", "batch=4", "generator.network.width=4", "length=8"]
    if not os.path.exists("run"):
        assert main(command) == 0
    with open(f"run/{name}", "wb") as file:
        file.write(content)
    capsys.readouterr()
    for arguments in (command, ["sample", "run"], ["show", "run"]):
        code, error = said(capsys, arguments)
        assert code in (1, 2), arguments
        assert error.startswith(f"run/{name}"), arguments


def test_a_folder_whose_name_is_no_utf_8_can_be_trained_on(tmp_path, capsys):
    np.save(tmp_path / "\udcff.npy", np.random.default_rng(0).integers(0, 255, (10, 16, 16, 3), np.uint8))
    command = ["train", "--data", "\udcff.npy", "--run", "run", "--set", "batch=4", "generator.network.width=4", "length=8"]
    assert main([*command, "--json"]) == 0
    assert main(["show", "run"]) == 0
    capsys.readouterr().out.encode()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["name"] == "\udcff"


# the law of all of them


@pytest.mark.parametrize("text", ["a\nb.toml", "\x1b[31m.toml", "\u202egnp.toml", "\udcff.toml"], ids=ascii)
def test_no_name_reaches_the_terminal_raw(text, capsys, data):
    api.show(data)  # prepared once, and told of
    capsys.readouterr()
    training = ["train", "--data", data]
    for arguments in ([*training[:1], text, *training[1:]], ["train", "--data", text], ["sample", text], ["show", text],
                      [*training, "--set", f"{text}=1"], [*training, "--device", text]):  # fmt: skip
        code = main(arguments)
        error = capsys.readouterr().err
        assert code in (1, 2)
        assert len(error.strip().split("\n")) == 1
        assert error.removesuffix("\n").isprintable()


def test_every_refusal_is_of_this_programs_own_kind():
    assert issubclass(RecipeError, UsageError)
    assert issubclass(UsageError, GansakuError)
    assert (UsageError.exit_code, RunError.exit_code) == (2, 1)
