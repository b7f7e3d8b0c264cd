"""Voxels that are none, or peculiar, through every door: a sentence with a code, an exit code, and nothing believed."""

import io
import json
import re
import tracemalloc
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from gansaku.cli import main
from gansaku.data import binvox
from gansaku.viewer.page import Grid
from gansaku.viewer.page import page as text_of


def npy(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def claimed(*shape):
    """A header that promises so much, and nothing behind it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def picture():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


class Case(NamedTuple):
    """A file, and the codes that `view`, `prepare` of its folder, and the page give it; none for what they take."""

    content: bytes
    viewed: str
    prepared: str
    dropped: str


NOISE = np.random.default_rng(0).random((8, 8, 8)) < 0.3
FULL, BLANK = np.ones((8, 8, 8), np.uint8), np.zeros((8, 8, 8), np.uint8)
HUGE = b"#binvox 1\ndim 4096 4096 4096\ntranslate 0 0 0\nscale 1\ndata\n\1\xff"
CASES = {
    "nothing.binvox": Case(b"", "BVX_MAGIC", "BVX_MAGIC", "BVX_MAGIC"),
    "nothing.npy": Case(b"", "NPY_CORRUPT", "NPY_CORRUPT", "NPY_CORRUPT"),
    "short.binvox": Case(binvox.write(NOISE)[:-2], "BVX_SHORT", "BVX_SHORT", "BVX_SHORT"),
    "short.npy": Case(npy(NOISE)[:-9], "NPY_SHORT", "NPY_SHORT", "NPY_SHORT"),
    "huge.binvox": Case(HUGE, "BVX_LARGE", "BVX_LARGE", "BVX_LARGE"),
    "huge.npy": Case(claimed(4096, 4096, 4096), "VOX_SHAPE", "VOX_SHAPE", "VOX_SHAPE"),
    "many.npy": Case(claimed(4096, 64, 64, 64), "NPY_SHORT", "VOX_SHAPE", "NPY_SHORT"),
    "a picture.binvox": Case(picture(), "BVX_MAGIC", "BVX_MAGIC", "BVX_MAGIC"),
    "words.npy": Case(b"these are words\n" * 9, "NPY_CORRUPT", "NPY_CORRUPT", "NPY_CORRUPT"),
    "voxels.png": Case(binvox.write(NOISE), "DATA_TYPE", "IMG_UNREADABLE", "DATA_TYPE"),
    "full.binvox": Case(binvox.write(FULL), "", "VOX_BLANK", ""),
    "full.npy": Case(npy(FULL), "", "VOX_BLANK", ""),
    "blank.binvox": Case(binvox.write(BLANK), "", "VOX_BLANK", ""),
    "blank.npy": Case(npy(BLANK), "", "VOX_BLANK", ""),
    "oblong.binvox": Case(binvox.write(NOISE[:4, :6]), "", "VOX_SIZE", ""),
    "oblong.npy": Case(npy(NOISE[:4, :6]), "", "VOX_SIZE", ""),
}
BAD = [name for name, case in CASES.items() if case.viewed]


def run(capsys, *arguments):
    """Exit code, output, errors; and the most memory that was held, in bytes, where a file claims to be large."""
    claims = any(word in str(argument) for argument in arguments for word in ("huge", "many"))
    if claims:
        tracemalloc.start()
    try:
        code = main([str(argument) for argument in arguments])
        peak = tracemalloc.get_traced_memory()[1] if claims else 0
    finally:
        tracemalloc.stop()
    told = capsys.readouterr()
    return code, told.out, told.err, peak


def in_folder(name):
    folder = Path(f"folder of {name}")
    folder.mkdir()
    (folder / name).write_bytes(CASES[name].content)
    return folder


@pytest.mark.parametrize("name", BAD)
def test_view_refuses_it_in_a_sentence_without_taking_the_memory_that_it_claims(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(CASES[name].content)
    for out in ("out.html", "out.png"):
        code, said, err, peak = run(capsys, "view", name, "--out", out)
        assert (code, said, len(err.splitlines())) == (1, "", 1)
        assert re.fullmatch(rf"{re.escape(name)}: .*\[{CASES[name].viewed}\]\n", err)
        assert peak < 32e6
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [name]


@pytest.mark.parametrize("name", CASES)
def test_prepare_says_which_file_and_why_and_writes_nothing(name, tmp_path, capsys):
    code, said, err, peak = run(capsys, "prepare", in_folder(name), "out.h5")
    assert (code, said) == (4, "")
    sentence = err.splitlines()[-1]
    assert f": {name}: " in sentence
    assert f"[{CASES[name].prepared}] [DATA_BAD]" in sentence
    assert ("--size 8 pads it to one" in sentence) == name.startswith("oblong")
    assert peak < 64e6
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith(".npy") and CASES[name].viewed])
def test_show_and_prepare_refuse_an_array_by_itself_too(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(CASES[name].content)
    for command in (["show", name], ["prepare", name, "out.h5"]):
        code, _, err, peak = run(capsys, *command)
        assert code == 1
        assert re.fullmatch(rf"{re.escape(name)}: .*\[NPY_\w+\]", err.splitlines()[-1])
        assert peak < 64e6
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].viewed])
def test_what_is_full_blank_or_oblong_is_drawn_and_said(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(CASES[name].content)
    for out in ("out.html", "out.png"):
        code, said, err, _ = run(capsys, "view", name, "--out", out)
        assert (code, said) == (0, f"{out}\n")
        told = {"full": f"{name} is full: all its voxels are occupied\n",
                "blank": f"{name} is empty: it has no voxel that is occupied\n", "oblong": ""}  # fmt: skip
        assert err == told[name.partition(".")[0]]


DROP = """new Promise((done) => {
    const data = new DataTransfer(), before = samples.length;
    data.items.add(FILE);
    $("messages").replaceChildren();
    $("stage").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    const look = () => {
        const told = [...$("messages").querySelectorAll("span:first-child")].map((one) => one.textContent);
        if (told.length || samples.length > before) done([samples.length - before, told]); else setTimeout(look, 5);
    };
    look();
})"""


def test_the_page_says_of_a_dropped_file_what_is_wrong_and_goes_on(browser, tmp_path):
    (tmp_path / "page.html").write_text(text_of("dropped", [Grid("one", np.ones((2, 2, 2), bool))]), encoding="utf-8")
    browser.open(tmp_path / "page.html", 400, 300)
    found, expected = {}, {}
    for name, case in CASES.items():
        text = json.dumps(b64encode(case.content).decode())
        file = f"new File([Uint8Array.from(atob({text}), (c) => c.charCodeAt(0))], {json.dumps(name)})"
        new, told = browser.run(DROP.replace("FILE", file))
        browser.drawn()
        assert [sentence.startswith(f"{name} ") for sentence in told] == [True] * len(told)
        found[name] = new, [re.search(r"\[(\w+)\]$", sentence)[1] for sentence in told]
        expected[name] = (0, [case.dropped]) if case.dropped else (1, [])
        if not case.dropped:
            says = {"full": "Every voxel is occupied.", "blank": "No voxel is occupied.", "oblong": "8 voxels; "}
            assert says[name.partition(".")[0]] in browser.run("views[0].says.innerText")
    assert found == expected
    assert browser.heap() < 32e6
