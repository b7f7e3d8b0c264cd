"""The phases of a growth: found of any growth, printed as a table, and read again from a run's folder."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fixtures import growth as tiny
from gansaku.contract import Growth
from gansaku.data.store import Facts
from gansaku.errors import RecipeError
from gansaku.parts import part
from gansaku.recipe import from_toml, to_toml
from gansaku.recipes.registry import find
from gansaku.runs import phases
from gansaku.runs.folder import Folder
from gansaku.runs.phases import Cost, Span, read, rows, spans, table, write
from gansaku.schedules import Cosine, Doubling, Level, Levels

TINY = tiny.recipe()  # 8 × 8, from 4 × 4


def article(size=256, **changes):
    return find("progressive-article", Facts("food", (3, size, size), 5000, ())).but(changes)


def growing(*levels, **changes):
    grown = Levels(levels)
    return TINY.but({"growth": grown, "length": grown.length, **changes})


levels = st.tuples(
    st.builds(Level, st.just(4), st.just(0), st.integers(0, 60), st.integers(0, 9), added=st.integers(0, 9)),
    st.builds(Level, st.just(8), st.integers(0, 60), st.integers(0, 60), st.integers(0, 9), added=st.integers(0, 9)),
)


@settings(max_examples=30, deadline=None)
@given(levels, st.integers(1, 200))
@example((Level(4, 0, 40), Level(8, 20, 40)), 40)
@example((Level(4, 0, 40), Level(8, 20, 40)), 41)
def test_the_phases_are_what_looking_at_every_sample_finds(pair, length):
    recipe = TINY.but(growth=Levels(pair), length=length)
    found = spans(recipe)
    assert [span.start for span in found] == [0, *[span.stop for span in found[:-1]]]
    assert found[-1].stop == length
    kinds = [(phase.size, phase.fade < 1, phase.batch, phase.micro) for phase in map(recipe.phase, range(length))]
    assert [kind for span in found for kind in [tuple(span[2:])] * span.samples] == kinds
    assert len({tuple(span[2:]) for span in found}) == len(found)


@part
class Sudden(Growth):
    """A user's own: half size, then all of it."""

    when: int = 33

    def at(self, seen, shape, batch):
        return (shape[1:], 1.0, batch) if seen >= self.when else (tuple(side // 2 for side in shape[1:]), 1.0, batch)

    def check(self, shape):
        pass


@pytest.mark.parametrize(
    ("growth", "borders"),
    [(Sudden(), [(0, 33, False), (33, 160, False)]), (Doubling(4, 40, 30), [(0, 40, False), (40, 70, True), (70, 160, False)])],
)
def test_any_growth_has_phases(growth, borders):
    assert [(s.start, s.stop, s.fading) for s in spans(TINY.but(growth=growth))] == borders


def test_what_does_not_grow_is_one_phase():
    assert spans(TINY.but(growth=None)) == [Span(0, 160, (8, 8), False, 8, 8)]


def test_article_2_is_this_table():
    assert table(article()) == [
        "     size  fades in  stable  batch  learning rate",
        "    4 × 4         –  16,000     16          0.001",
        "    8 × 8    16,000  16,000     16          0.001",
        "  16 × 16    16,000  16,000     16          0.001",
        "  32 × 32    16,000  16,000     16          0.001",
        "  64 × 64    16,000  16,000     16          0.001",
        "128 × 128    16,000  16,000      8          0.001",
        "256 × 256    16,000  16,000      4          0.001",
    ]
    steps = [(span.size[0], span.samples // span.batch) for span in spans(article())]
    assert {size: {n for s, n in steps if s == size} for size, _ in steps} == {
        **{4 << n: {1000} for n in range(5)}, 128: {2000}, 256: {4000},
    }  # fmt: skip


def test_the_table_says_what_is_set_and_what_was_measured():
    recipe = growing(Level(4, 0, 400, 16, rate=0.5), Level(8, 80, 160, added=160), micro=6, batch=8)
    recipe = recipe.but({"discriminator.lr": 4e-3, "generator.lr": 2e-4, "generator.rate": Cosine()})
    costs = {span: Cost(10.0 * (i + 1), (i + 1) * 10**9) for i, span in enumerate(spans(recipe))}
    lines = table(recipe, costs, seen=450)
    assert [re.split(r"\s{2,}", line.strip()) for line in lines[1:]] == [
        ["4 × 4", "–", "400", "16 in 2 × 6 + 4", "G 0.0001 → 5e-05, D 0.002", "10 s", "1 GB"],
        ["8 × 8", "80", "160 + 160", "8 in 1 × 6 + 2", "G 0.0001 → 7.7e-10, D 0.004", "20 s + 30 s", "3 GB",
         "← fading in, 50 samples"],
    ]  # fmt: skip
    assert len({len(line.partition("←")[0].rstrip()) for line in lines[1:]}) == 1, "the columns stand below each other"


def test_a_person_writes_the_table_in_toml_and_changes_one_cell():
    text = to_toml(article(16))
    assert "{ side = 8, fade = 16000, stable = 16000, batch = 16, rate = 1.0, added = 0 }" in text
    shorter = re.sub(r"levels = \[.*?\n\]", 'levels = [{side = 4, fade = 0, stable = 100}, '
                     '{side = 8, fade = 50, stable = 100, batch = 4, rate = 0.5}, {side = 16, fade = 50, stable = 100}]',
                     text, flags=re.DOTALL)  # fmt: skip
    recipe = from_toml(shorter)
    assert recipe.growth == Levels((Level(4, 0, 100), Level(8, 50, 100, 4, 0.5), Level(16, 50, 100)))
    assert from_toml(to_toml(recipe)) == recipe
    assert recipe.but({"growth.levels.2.batch": 2, "growth.levels.1.rate": 0.1}).growth.levels[1:] == (
        Level(8, 50, 100, 4, 0.1), Level(16, 50, 100, 2),
    )  # fmt: skip


@pytest.mark.parametrize("changes", [{"rate": 0.0}, {"rate": -1.0}, {"added": -1}])
def test_a_rate_is_above_0_and_nothing_is_added_less_than_once(changes):
    with pytest.raises(RecipeError, match=next(iter(changes))):
        Level(4, 0, 10, **changes)


def test_the_factor_is_that_of_the_size():
    table = Levels((Level(4, 0, 10, rate=0.5), Level(8, 1, 10)))
    assert (table.rate((4, 8)), table.rate((8, 16)), Levels((Level(3, 0, 1),)).rate((4, 4))) == (0.5, 1.0, 1.0)


def test_what_was_added_stands_between_the_sizes():
    plain, longer = growing(Level(4, 0, 40), Level(8, 20, 40)), growing(Level(4, 0, 40, added=30), Level(8, 20, 40))
    assert longer.length == plain.length + 30
    assert [(s.start, s.stop) for s in spans(longer)] == [(0, 70), (70, 90), (90, 130)]


def test_a_runs_phases_are_read_as_they_were_written(tmp_path):
    found = spans(article())
    write(Folder(tmp_path), found)
    assert read(Folder(tmp_path)) == found
    assert [(row.fade is None, row.stable is None) for row in rows(found)] == [(True, False)] + [(False, False)] * 6


SPAN = Span(0, 10, (4, 4), False, 2, 2).plain()
BAD = ["", "[]", "{}", '{"phases": 3}', *[json.dumps({"phases": [one]}) for one in (
    3, {}, SPAN | {"size": 4}, SPAN | {"size": [4, "4"]}, SPAN | {"stop": 0}, SPAN | {"start": -1}, SPAN | {"batch": 1.5},
    SPAN | {"fading": "no"}, SPAN | {"size": []},
)]]  # fmt: skip


@pytest.mark.parametrize("content", BAD)
def test_what_is_no_list_of_phases_is_none(tmp_path, content):
    (tmp_path / phases.FILE).write_text(content)
    assert read(Folder(tmp_path)) == []
    assert read(Folder(tmp_path / "nowhere")) == []
