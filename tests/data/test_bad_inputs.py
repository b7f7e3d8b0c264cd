"""Every case of the corpus of bad inputs gets what it must: by the API, by the command, and in a watched process."""

import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import corpus
import corpus_boxes
import corpus_pictures
import corpus_voxels
import pytest
from forked import Watched
from PIL import Image

import gansaku
from gansaku.cli import main
from gansaku.errors import GansakuError, printable

CASES = corpus.cases()
MOST_MEMORY = 512 << 20
ALLOWED = {"PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"}
WITH_CODE = re.compile(r".+: .+ \[[A-Z][A-Z0-9_]*\]", re.DOTALL)


@pytest.fixture(scope="module")
def watched():
    with Watched() as process:
        yield process


@pytest.fixture
def place():
    """A folder in memory where there is one: every store is forced to the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(params=range(len(CASES)), ids=lambda i: str(CASES[i]))
def number(request):
    return request.param


@contextmanager
def built(case, folder):
    """SOURCE in a folder of its own, which is as it was when the block ends, but for what is in `out`."""
    (folder / "out").mkdir(parents=True)
    source = case.build(folder)
    before = sorted(path.name for path in folder.iterdir())
    yield source, folder / "out" / "made.h5"
    assert sorted(path.name for path in folder.iterdir() if path.name != "cache") == before, "something was left behind"
    assert not Path("sprung").exists()
    assert not (folder / "sprung").exists(), "a pickle was read"
    shutil.rmtree(folder)


def check_sentence(text, case):
    """One line that a terminal can show, with the path, the code and the files of the case."""
    line = text.removesuffix("\n")
    assert line.isprintable(), ascii(line)
    assert WITH_CODE.fullmatch(line), line
    for word in (f"[{case.code}]", case.says, *case.names):
        assert word in line, f"{word!r} is not in: {line}"


class TestEveryCase:
    """A case is picked up here by being in the table."""

    def test_by_the_api_it_is_refused_or_reported(self, number, place):
        case = CASES[number]
        with built(case, place / "case") as (source, destination), case.while_():
            if case.kind == "E":
                with pytest.raises(GansakuError) as caught:
                    gansaku.prepare(source, destination, max_bad=1.0, **case.choices)
                check_sentence(str(caught.value), case)
                assert not list(destination.parent.iterdir())
                return
            made = gansaku.prepare(source, destination, max_bad=1.0, **case.choices)
            check_report(made, case)
            assert [path.name for path in destination.parent.iterdir()] == ["made.h5"]

    def test_by_the_command_it_has_its_exit_code_and_its_sentence(self, number, place, capsys):
        case = CASES[number]
        with built(case, place / "case") as (source, destination), case.while_():
            code = main(["prepare", str(source), str(destination), *case.flags])
            said = capsys.readouterr()
        check_command(case, code, said.out, said.err)

    def test_in_a_process_of_its_own_it_needs_little_time_and_memory(self, number, place, watched):
        case, folder = CASES[number], place / "case"
        with built(case, folder) as (source, destination):
            ended = watched.run(["prepare", str(source), str(destination), *case.flags], folder, number)
            assert ended.code >= 0, f"ended by the signal {-ended.code}: crashed, or took too long; it said: {ended.error}"
            assert ended.memory < MOST_MEMORY, f"{ended.memory >> 20} MiB"
            there = [path.name for path in destination.parent.iterdir()]
            assert there == (["made.h5"] if ended.code == 0 else [])
        check_command(case, ended.code, ended.out, ended.error)


def check_report(made, case):
    """What the dataset's report says of the case."""
    report = made.report
    if case.kind in "SL":
        assert report["skipped"] == {case.code: case.bad}, report
        shown = [printable(name) for name, _, _ in made.skipped]
        assert all(any(name in one for one in shown) for name in case.names), shown
        assert any(case.says in sentence for _, sentence, _ in made.skipped)
    elif case.kind == "W":
        assert report["warned"].get(case.code) == case.bad, report
        assert any(case.says in warning and f"[{case.code}]" in warning for warning in report["warnings"]), report["warnings"]
        assert all(any(name in warning for warning in report["warnings"]) for name in case.names), report["warnings"]
    else:
        assert report["skipped"] == {}
        assert case.kind == "C" or report["warned"] == {}, report
        assert case.kind == "ok" or report["converted"] or case.holds, report
    if case.holds:
        case.holds(made)


def check_command(case, code, out, error):
    assert "Traceback" not in error
    assert "Warning" not in error
    assert all(line.isprintable() for line in error.removesuffix("\n").split("\n")), ascii(error)
    assert all(line.isprintable() for line in out.split("\n")), ascii(out)
    (out + error).encode()
    assert code == case.exit_code or (case.kind == "E" and case.exit is None and code in (1, 2)), error
    last = error.strip().split("\n")[-1]
    if code:
        check_sentence(last, case)
        assert out == ""
        assert code != 4 or last.endswith("[DATA_BAD]")
    elif case.kind in "LW":
        assert case.code in out + error, "nothing was said of it"


def test_the_table_has_every_number():
    wanted = {f"I{i:02}" for i in range(1, 45)} | {f"F{i}" for i in range(45, 73)}
    wanted |= {f"X{i}" for i in range(73, 93)} | {f"V{i}" for i in range(93, 115)}
    assert {case.id for case in CASES} == wanted
    assert len({str(case) for case in CASES}) == len(CASES)
    assert {case.kind for case in CASES} == set(corpus.KINDS)
    assert [str(case) for case in CASES if bool(case.code) != (case.kind in "ESLW")] == []


# all at once


def together(folder, prefix):
    """The bad files of all cases of one kind in one folder, under names of their own: {name: code}."""
    codes = {}
    for number, case in enumerate(case for case in CASES if case.id[0] == prefix and case.kind == "S" and case.code):
        if prefix == "I" and (case.id == "I20" or case.choices.get("size") != corpus_pictures.SIDE):
            continue
        source = case.build(folder / f"part_{number}")
        for path in sorted(source.rglob("bad*")):
            name = f"{number:03}_{path.name}"
            place = folder / "all" / path.relative_to(source).with_name(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            codes[name] = case.code
    return codes


@pytest.mark.parametrize(
    ("prefix", "good", "choices"),
    [
        ("I", lambda folder: corpus_pictures.good(folder), {"size": corpus_pictures.SIDE}),
        ("V", lambda folder: corpus_voxels.beside_good(folder, {}), {}),
    ],
    ids=["pictures", "voxels"],
)
def test_all_bad_files_are_told_in_one_pass(prefix, good, choices, tmp_path, capsys):
    for number in range(60):
        (tmp_path / f"part_{number}").mkdir()
    codes = together(tmp_path, prefix)
    for path in good(tmp_path).iterdir():
        shutil.move(path, tmp_path / "all" / path.name)
    assert len(codes) > 15
    made = gansaku.prepare(tmp_path / "all", tmp_path / "made.h5", max_bad=1.0, **choices)
    assert {name: code for name, _, code in made.skipped} == codes
    assert made.counts == {"train": 3}
    assert main(["prepare", str(tmp_path / "all"), str(tmp_path / "more.h5"), *(["--size", "16"] if choices else [])]) == 4
    error = capsys.readouterr().err
    found = int(re.search(rf": (\d+) of {len(codes) + 3} files cannot be used", error)[1])  # by their headers alone
    assert len(codes) / 2 < found <= len(codes)
    assert not (tmp_path / "more.h5").exists()


def test_all_bad_annotations_are_told_in_one_pass(tmp_path):
    bad = {
        f"bad_{i}": case.build.keywords["xml"]["bad"]
        for i, case in enumerate(corpus_boxes.CASES)
        if case.kind == "S" and case.choices == corpus_boxes.BOXES
    }
    source = corpus_boxes.source(tmp_path, bad, bad)
    made = gansaku.prepare(source, tmp_path / "made.h5", max_bad=1.0, **corpus_boxes.BOXES)
    told = {Path(name).stem.removesuffix("_0"): code for name, _, code in made.skipped}
    wanted = {f"bad_{i}": case.code for i, case in enumerate(corpus_boxes.CASES) if f"bad_{i}" in bad}
    assert told == wanted
    assert made.counts == {"train": 3}


# what no decoder sees


def test_no_file_of_a_format_outside_the_list_reaches_a_decoder(tmp_path):
    starts, asked = [], []
    opened = Image.open

    def watching(stream, mode="r", formats=None):
        at = stream.tell()
        starts.append(stream.read(64))
        stream.seek(at)
        asked.append(set(formats or ()))
        return opened(stream, mode, formats)

    foreign = {f"bad_{i}.png": content for i, content in enumerate(corpus_pictures.FOREIGN.values())}
    good = corpus_pictures.encoded(corpus_pictures.scene(), "JPEG")
    source = corpus_pictures.beside_good(tmp_path, {**foreign, "fine.jpg": good})
    with mock.patch.object(Image, "open", watching):
        made = gansaku.prepare(source, tmp_path / "made.h5", size=16, max_bad=1.0)
    assert made.counts == {"train": 4}
    assert sum(made.report["skipped"].values()) == len(foreign)
    assert starts
    assert all(formats and formats <= ALLOWED for formats in asked), asked
    known = {name: content for name, content in corpus_pictures.FOREIGN.items() if name not in UNKNOWN_TO_US}
    assert not any(start[:8] and content.startswith(start[:16]) for start in starts for content in known.values())


UNKNOWN_TO_US = ("tga", "pcx", "ppm")  # have no sign of their own; the decoders of the list are asked, and none knows them


def test_nothing_of_pillow_is_changed_for_others(tmp_path):
    """Neither truncated pictures are allowed nor limits lifted for the rest of the program."""
    from PIL import ImageFile, PngImagePlugin

    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)
    source = corpus_pictures.beside_good(tmp_path, {"bad.jpg": corpus_pictures.cut(corpus_pictures.jpeg(), 0.5)})
    gansaku.prepare(source, tmp_path / "made.h5", size=16, max_bad=1.0)
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


# names


@pytest.mark.parametrize("name", ["new\nline", "\x1b[2Jclear", "\u202egnp", "\udcff", "\x9b31m", "\u2028"], ids=ascii)
def test_no_name_of_a_folder_a_class_or_a_file_reaches_the_terminal_raw(name, tmp_path, capsys, monkeypatch):
    for part, count in ((name, 2), ("other", 1)):
        (tmp_path / name / part).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (tmp_path / name / part / f"{i}{name}.png").write_bytes(corpus_pictures.encoded(corpus_pictures.flat(40 * i)))
    (tmp_path / name / part / f"bad{name}.png").write_bytes(b"")
    for choices in (["--max-bad", "100%"], [], ["--max-bad", "100%", "--json"]):
        main(["prepare", str(tmp_path / name), str(tmp_path / f"{name}.h5"), "--size", "16", *choices])
        said = capsys.readouterr()
        (said.out + said.err).encode()
        assert all(line.isprintable() for line in said.err.split("\n")), ascii(said.err)
        assert "--json" in choices or all(line.isprintable() for line in said.out.split("\n")), ascii(said.out)
        if "--json" in choices:
            assert json.loads(said.out)["counts"] == {"train": 3}
