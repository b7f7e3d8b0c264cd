"""The notebook of the dog competition: its commands are run, in order and small, on data in the competition's layout."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansaku import cli
from gansaku.data.sources import open_data

NOTEBOOK = Path(__file__).parents[1] / "docs" / "how-to" / "dogs-kaggle.ipynb"
XML = (
    "<annotation><size><width>32</width><height>32</height><depth>3</depth></size><object><name>{breed}</name>"
    "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object></annotation>"
)
SMALLER = {  # what is the competition's size in the notebook, and what is run here
    "/kaggle/input/generative-dog-images": "input",
    "--budget 8h20m": "--set length=16 batch=4 generator.network.width=2 discriminator.network.width=8",
    "-n 10000": "-n 24",
    "--extractor inception-2015": "--extractor random-2d",
}


def cells(kind):
    return ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def commands():
    """The notebook's lines for the shell that are ours."""
    return re.findall(r"^!(gansaku .*)$", "\n".join(cells("code")).replace("\\\n", ""), re.MULTILINE)


@pytest.fixture
def competition(tmp_path, monkeypatch):
    """Pictures in one folder, XML without a suffix in folders by breed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANSAKU_CACHE", str(tmp_path / "cache"))
    pictures, boxes = tmp_path / "input" / "all-dogs" / "all-dogs", tmp_path / "input" / "annotation" / "Annotation"
    pictures.mkdir(parents=True)
    pixels = open_data("avatars").rows(np.arange(40))
    for i in range(40):
        breed, name = ("akita", "borzoi")[i % 2], f"n{i % 2}_{i}"
        Image.fromarray(pixels[i]).save(pictures / f"{name}.jpg")
        (boxes / f"n{i % 2}-{breed}").mkdir(parents=True, exist_ok=True)
        (boxes / f"n{i % 2}-{breed}" / name).write_text(XML.format(breed=breed))


def test_every_command_of_the_notebook_runs_where_its_inputs_lie_and_pictures_come_out(competition, tmp_path, capsys):
    for line in commands():
        for there, here in SMALLER.items():
            line = line.replace(there, here)
        assert cli.main(shlex.split(line)[1:]) == 0, line
    assert (tmp_path / "images.zip").stat().st_size > 0
    assert "MiFD-random-2d" in capsys.readouterr().out


def test_the_notebook_says_all_that_it_is_made_smaller_by_here():
    text = "\n".join(commands())
    assert all(there in text for there in SMALLER)


def test_the_notebook_was_never_run_and_holds_nobodys_output():
    assert all(not cell.get("outputs") for cell in json.loads(NOTEBOOK.read_text())["cells"])
