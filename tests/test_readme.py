"""Every command and every piece of Python in the README and the guides does what it says, on a small folder of pictures."""

import glob
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansaku.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *[ROOT / "docs" / name for name in ("guide.md", "promises.md", "ja/start.md")]]
SHORT = {
    "compare": ["--dry-run"],
    "train": ["--set", "batch=4"],
    "sample": ["-n", "4"],
    "evaluate": ["-n", "8", "--extractor", "random-2d"],
    "project": ["--steps", "2", "--reference", "1"],
    "directions": ["--count", "1"],
}


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def commands(document):
    """The gansaku commands of a document, without comments, in order."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gansaku ")]


@pytest.fixture(autouse=True)
def one_cycle(monkeypatch):
    """Every training has had its time after the first cycle."""
    monkeypatch.setattr("gansaku.runs.session.Deadline.near", lambda self, closing: True)


@pytest.fixture
def photos(tmp_path):
    """What the documents call `photos` and `other`, of several sizes, and the file that it calls softer.py."""
    random = np.random.default_rng(0)
    for folder in ("photos", "other"):
        (tmp_path / folder).mkdir()
        for i in range(12):
            pixels = random.integers(0, 255, (70 + i, 80, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.jpg")
    softer = [block for block in blocks(ROOT / "README.md", "python") if "class Softer" in block]
    (tmp_path / "softer.py").write_text(softer[0])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_command_of_the_document_works(document, photos):
    for command in commands(document):
        given = [part for word in command for part in (sorted(glob.glob(word))[:1] if "*" in word else [word])]
        if "--budget" in given:
            del given[given.index("--budget") : given.index("--budget") + 2]
        assert main([*given, *SHORT.get(given[0], [])]) == 0, shlex.join(command)


def test_the_readmes_python_works(photos, monkeypatch):
    for block in [b for b in blocks(ROOT / "README.md", "python") if "class Softer" not in b]:  # a file of its own, used above
        short = block.replace("budget=600", 'settings={"batch": 4}').replace("(64, 3, 32, 32)", "(4, 3, 32, 32)")
        short = short.replace("torch.rand(64,", "torch.rand(4,").replace(
            '{"generator.lr": 5e-4}', '{"generator.lr": 5e-4, "batch": 4}'
        )
        exec(compile(short, "README.md", "exec"), {})


def test_the_guides_own_parts_train(photos, tmp_path):
    (own,) = [block for block in blocks(ROOT / "docs" / "guide.md", "python") if "class Flat" in block]
    (tmp_path / "mine.py").write_text(own)
    command = ["train", "mine.py", "--data", "photos", "--size", "32", "--run", "mine", "--set", "batch=4"]
    assert main(command) == 0
    assert main(["sample", "mine", "--use", "mine.py", "-n", "4", "--out", "made"]) == 0


def test_the_readme_documents_every_command():
    named = {command[0] for document in DOCUMENTS for command in commands(document)}
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "guide.md").read_text()
    from gansaku.cli import COMMANDS

    only_told = {"prepare", "probe", "blind", "verify", "view"}  # they need more than the documents' few photos, or more time
    assert set(COMMANDS) - named <= {"info", *only_told}
    assert [name for name in only_told if f"gansaku {name}" not in text] == []


def test_every_link_of_the_documents_leads_somewhere():
    broken = []
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if not target.startswith("http") and not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []
