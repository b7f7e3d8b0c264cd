"""The command line says what it does, in one sentence where it cannot, and never with a traceback."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gansaku import cli
from gansaku.cli import main, repeated, seconds, setting
from gansaku.errors import UsageError

SMALL = ["--set", "generator.network.width=4", "discriminator.network.width=4", "batch=8", "length=80"]


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "pictures.npy"
    np.save(path, np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), np.uint8))
    return str(path)


def test_train_show_and_sample_in_three_commands(data, capsys):
    assert main(["train", "--data", data, "--run", "run", *SMALL, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["seen"], shown["length"], shown["passes"]) == (80, 80, 2.0)
    assert main(["show", "run"]) == 0
    assert "generator" in capsys.readouterr().out
    assert main(["sample", "run", "-n", "3", "--out", "made"]) == 0
    assert capsys.readouterr().out.strip() == "made"
    assert len(os.listdir("made")) == 3


def test_show_says_what_data_are(data, capsys):
    assert main(["show", data, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["shape"] == [3, 16, 16]
    assert shown["counts"] == {"train": 40}


def test_in_a_pipe_each_tick_is_one_plain_line(data, capsys):
    main(["train", "--data", data, "--run", "run", *SMALL])
    lines = [line for line in capsys.readouterr().err.splitlines() if " of 80 " in line and "D(x)" in line]
    assert len(lines) == 10
    assert "samples/s" in lines[-1]
    assert "D(G(z))" in lines[-1]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["trian"], 2, "trian: is no command; did you mean 'train'? [COMMAND]"),
        (["train", "dcgna"], 2, "dcgna: is no recipe; did you mean 'dcgan'? [RECIPE]"),
        (["train", "--data", "nowhere"], 1, "nowhere: "),
        (["train", "--set", "los=Hinge"], 2, "los: Recipe has no setting 'los'; did you mean 'loss'? [SETTING]"),
        (["train", "--set", "loss"], 2, "--set loss: is no PATH=VALUE, as generator.lr=1e-3 [SETTING]"),
        (["train", "--set", "generator.lr=fast"], 2, "generator.lr: 'fast' is not a number [SETTING]"),
        (["train", "--budget", "long"], 2, "--budget: 'long' is no time; write 90s, 30m, 9h or 1h30m [BUDGET]"),
        (["train", "--device", "gpu"], 2, "--device: 'gpu' is no device; use auto, cpu, cuda or mps [DEVICE]"),
        (["train", "--use", "none.py"], 2, "none.py: is not there [FILE]"),
        (["sample", "nowhere"], 2, "nowhere: is not there; runs are made by `gansaku train` [RUN_FOLDER]"),
        (["recipes", "sow", "dcgan"], 2, "recipes sow: say `gansaku recipes` or `gansaku recipes show NAME` [USAGE]"),
        (["recipes", "show", "dcgna"], 2, "dcgna: is no recipe; did you mean 'dcgan'? [RECIPE]"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(arguments, code, says, capsys):
    if arguments[0] == "train" and "--data" not in arguments:
        arguments = [*arguments, "--data", "chairs"] if "dcgna" not in arguments else arguments
    assert main(arguments) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(says)
    assert "Traceback" not in error


def test_an_unknown_flag_ends_with_code_2(capsys):
    assert main(["train", "--dta", "x"]) == 2
    assert "--data" in capsys.readouterr().err


def test_settings_are_toml_values_or_bare_text():
    assert setting("generator.lr=1e-3") == ("generator.lr", 1e-3)
    assert setting("loss=Hinge") == ("loss", "Hinge")
    assert setting("mirror=true") == ("mirror", True)
    assert setting("generator.optimizer.betas=[0, 0.9]") == ("generator.optimizer.betas", [0, 0.9])


def test_one_set_may_take_many_settings():
    assert repeated(["a", "--set", "x=1", "y=2", "--run", "r", "--set", "z=3"]) == [
        "a", "--set", "x=1", "--set", "y=2", "--run", "r", "--set", "z=3",
    ]  # fmt: skip


def test_times_are_read_with_their_units():
    assert [seconds(text) for text in ("90", "90s", "30m", "9h", "1h30m", "0.5h")] == [90, 90, 1800, 32400, 5400, 1800]
    with pytest.raises(UsageError):
        seconds("90x")
    with pytest.raises(UsageError, match=r"^--until: 'abc' is no time"):
        seconds("abc", "--until")


def test_less_time_than_ranks_need_to_be_heard_is_refused(capsys):
    assert main(["train", "--rank-timeout", "1s"]) == 2
    assert "--rank-timeout: 1 s are too few: each process shows once a second that it lives" in capsys.readouterr().err
    assert main(["train", "--rank-timeout", "abc"]) == 2
    assert "--rank-timeout: 'abc' is no time" in capsys.readouterr().err


def started(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "gansaku", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


@pytest.mark.parametrize("arguments", [["--help"], *[[command, "--help"] for command in cli.COMMANDS]], ids=lambda a: a[0])
def test_help_does_not_import_torch(arguments):
    code = f"import sys; from gansaku.cli import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, "torch was imported" + done.stderr
    assert "gansaku" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_and_the_same_command_continues(data, number, code):
    command = ["train", "--data", data, "--run", "run", *SMALL[:-1], "length=800000"]
    process, said = stopped(command, "D(x)", number)
    assert process.returncode == code
    assert "everything is saved" in said[-1]
    before = cli.summary(Path("run"))["checkpoints"][-1]["seen"]
    assert before > 0
    _, said = stopped(command, "D(x)", number)
    assert any(f"continues after {before:,} samples, bit for bit" in line for line in said)


def stopped(command, sign, number):
    """A command that got a signal once it had said so; all that it said."""
    process, said = started(*command), []
    try:
        for line in process.stderr:
            said.append(line)
            if sign in line:
                break
        process.send_signal(number)
        said += process.communicate(timeout=180)[1].splitlines()
    finally:
        process.kill()
    return process, said


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gansaku"]


def test_no_command_prints_the_commands_and_ends_with_2(capsys):
    assert main([]) == 2
    assert "gansaku train" in capsys.readouterr().out
    assert main(["--version"]) == 0
