"""The page on voxels: each variant of article 0 that its table names is a recipe that trains, and its own alarm is a part."""

import re
from pathlib import Path

import pytest

from fixtures.tiny import data
from gansaku.cli_values import setting
from gansaku.data.store import Facts
from gansaku.health.alarms import Detector, Looked, alarms
from gansaku.parts import _registry, difference
from gansaku.recipes import registry
from gansaku.recipes.registry import find
from gansaku.training.state import begin
from gansaku.training.step import cycle

PAGES = Path(__file__).parents[1] / "docs"
CHAIRS = Facts("chairs", (1, 16, 16, 16), 40, ())
SMALL = {"generator.network.width": 2, "discriminator.network.width": 2, "batch": 4, "precision": "fp32"}
RECIPES = ("gan3d", "gan3d-article")
ARTICLE = ["uniform", "Gaussian", "80 %", "leaky ReLU", "SGD for D", "dropout in G", "apart", "a sigmoid", "no sigmoid"]


def tables(text):
    """The rows of the tables that have a column for each of the two recipes, as cells."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    (first,) = [i for i, row in enumerate(rows) if row[1:] == [f"`{name}`" for name in RECIPES]]
    rest = rows[first + 2 :]
    return rest[: next((i for i, row in enumerate(rest) if len(row) != 3), len(rest))]


ENGLISH = tables((PAGES / "how-to" / "voxels.md").read_text("utf-8"))
ROWS = [(name, row[0], row[column]) for row in ENGLISH for column, name in enumerate(RECIPES, 1)]


def settings(cell):
    """What a cell says behind --set; nothing where the recipe has it already."""
    return dict(map(setting, cell.strip("`").split())) if cell.startswith("`") else {}


def test_the_table_has_all_that_the_article_tried_and_each_recipe_has_or_lacks_it():
    assert [word for word in ARTICLE if not any(word in row[0] for row in ENGLISH)] == []
    assert {cell for _, _, cell in ROWS if not cell.startswith("`")} == {"as it is"}


@pytest.mark.parametrize("row", [row for row in ROWS if row[2].startswith("`")], ids=" ".join)
def test_each_variant_is_a_line_of_settings_that_trains_otherwise_than_the_recipe(row):
    name, _, cell = row
    base = find(name, CHAIRS)
    recipe = base.but(settings(cell))
    changed = {change.path.removesuffix(".part") for change in difference(base, recipe)}
    assert changed
    assert all(any(path.startswith(told) or told.startswith(path) for told in settings(cell)) for path in changed)
    small = recipe.but(SMALL)
    state = begin(small)
    for _ in range(2):
        signals = cycle(state, small, data(small))
    assert all(value.isfinite() for value in signals.values())


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_as_it_is_has_nothing_left_to_set(name):
    """Where one recipe has it already, the other one's settings for it do not change this one's."""
    for what, ours, theirs in [(row[0], row[RECIPES.index(name) + 1], row[2 - RECIPES.index(name)]) for row in ENGLISH]:
        if ours == "as it is" and theirs.startswith("`") and "gate" not in theirs:  # which moves at another place of the cycle
            base = find(name, CHAIRS)
            assert [str(change) for change in difference(base, base.but(settings(theirs)))] == [], what


def test_gates_are_where_the_page_says_and_nowhere_else():
    gates = {name: [move.gate and move.gate.below for move in find(name, CHAIRS).cycle] for name in RECIPES}
    assert gates == {"gan3d": [0.8, None], "gan3d-article": [None, None]}
    assert [move.player for move in find("gan3d-article", CHAIRS).cycle][1] == "discriminator"


def test_the_japanese_table_has_the_same_settings():
    japanese = tables((PAGES / "ja" / "how-to" / "voxels.md").read_text("utf-8"))
    assert [[cell if cell.startswith("`") else "" for cell in row[1:]] for row in japanese] == [
        [cell if cell.startswith("`") else "" for cell in row[1:]] for row in ENGLISH
    ]


def test_the_pages_own_detector_raises_its_alarm(tmp_path):
    (own,) = re.findall(
        r"^```python\n(.*?class Sameness.*?)^```", (PAGES / "how-to" / "voxels.md").read_text("utf-8"), re.S | re.M
    )
    (tmp_path / "mine.py").write_text(own)
    try:
        registry.use(tmp_path / "mine.py")
        made = _registry["Sameness"]()
        assert isinstance(made, Detector)
        found = alarms([Looked(100 * i, {"diversity": 0.1 if i > 1 else 0.9}) for i in range(5)], [made])
        assert [(one.kind, one.since, one.evidence) for one in found] == [("sameness", 300, "diversity is 0.10")]
    finally:
        _registry.pop("Sameness", None)
