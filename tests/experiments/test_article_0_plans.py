"""Article 0's puzzles as plans, and what `tools/vanished.py` reads from their trainings."""

import math
import sys
from itertools import combinations
from pathlib import Path

import pytest

from gansaku.data.store import Facts
from gansaku.experiments import results
from gansaku.experiments.arms import recipe_of
from gansaku.experiments.folder import Place, trainings
from gansaku.experiments.plan import from_toml
from gansaku.experiments.results import Result
from gansaku.files import write_text
from gansaku.parts import difference
from gansaku.recipe import to_toml
from gansaku.runs.folder import Folder
from gansaku.runs.log import Log

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import vanished

ROOT = Path(__file__).parents[2]
CHAIRS = Facts("chairs", (1, 16, 16, 16), 2000, ())
VARIED = {
    "sigmoid": [["loss.part: BoundedLogistic → Logistic"]],
    "latent": [["latent.part: Gaussian → Uniform", "latent.size: 128 → 200"]],
    "gate": [["method.order.1.gate: none → Gate"]],
    "ganhacks": [
        ["method.batches: apart → together"],
        ["generator.network.leak: 0.0 → 0.2"],
        ["discriminator.optimizer.part: Adam → SGD", "discriminator.lr: 1e-05 → 0.01"],
        ["generator.network.dropout: 0.0 → 0.5"],
    ],
}


def plan(name):
    return from_toml((ROOT / "experiments" / f"article-0-{name}.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", VARIED)
def test_each_plan_varies_what_it_says_and_nothing_else(name):
    read = plan(name)
    base, *others = [recipe_of(read, arm, CHAIRS, 0) for arm in read.arms]
    assert (len(read.seeds), read.scoring.metrics, base.name) == (5, ("fid", "diversity"), "gan3d-article")
    found = [{change.path.removesuffix(".part") for change in difference(base, other)} for other in others]
    told = [{line.split(":")[0].removesuffix(".part") for line in lines} for lines in VARIED[name]]
    assert [paths - {"latent.size"} for paths in found] == [paths - {"latent.size"} for paths in told]
    assert [other.latent.size for other in others] == [200] * len(others)


WELL = {"health/empty": 0.0, "health/full": 0.0, "health/occupancy": 0.1, "health/occupancy_real": 0.1,
        "health/periodicity": 1.0, "health/periodicity_real": 1.0, "health/pieces": 1.0, "health/pieces_real": 1.0}  # fmt: skip
EMPTY = WELL | {"health/empty": 1.0, "health/occupancy": 0.0}
STRIPES = WELL | {"health/periodicity": 9.0}
STEEP = [WELL | {"health/periodicity": value} for value in (90.0, 40.0, 18.0, 7.0)]  # beyond, but falling
COURSES = [
    [WELL] * 12,
    [STRIPES] * 3 + [WELL] * 3 + [EMPTY] * 6,
    [WELL] * 3 + [EMPTY] * 4 + [STRIPES] * 5,  # a pattern, but late
    STEEP[:3] + [WELL] * 9,
]


@pytest.fixture
def compared(tmp_path):
    """A comparison of two arms at two seeds, with what their looks found."""
    place = Place(tmp_path / "compared")
    head = 'recipe = "gan3d-article"\ndata = "chairs"\nsize = 16\nseeds = 2\n'
    read = from_toml(head + '[vary]\nloss = ["BoundedLogistic", "Logistic"]\n')
    place.begin(read)
    for training, looks in zip(trainings(read), COURSES, strict=True):
        folder = Folder(place.run(training))
        folder.path.mkdir(parents=True)
        write_text(folder.path / "recipe.toml", to_toml(recipe_of(read, training.arm, CHAIRS, training.seed).but(length=1200)))
        book = Log(folder.log)
        book.begin(0)
        for i, numbers in enumerate(looks, 1):
            book.write(100 * i, numbers)
        book.close()
        results.write(place.result(training), Result(training.arm.name, training.seed, 1200))
    return place


def test_what_vanished_came_back_or_did_not_and_what_was_early(compared):
    found = vanished.courses_of(compared, 0.25)
    by_run = [(len(one.vanished), one.bad, one.early, one.beyond, one.looks) for one in found]
    expected = [
        (0, False, False, False, 12),
        (1, True, True, True, 12),
        (1, False, False, False, 12),
        (0, False, False, True, 12),
    ]
    assert by_run == expected
    (came_back,) = found[2].vanished
    assert (came_back.kind, came_back.since, came_back.until) == ("empty", 500, 800)


def test_its_table_has_a_row_for_each_arm_and_one_for_all(compared):
    found = vanished.courses_of(compared, 0.25)
    _, _, *rows = vanished.table(found)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [*dict.fromkeys(one.arm for one in found), "all"]
    assert cells[-1][1:8] == ["4", "48", "2 times, in 2", "1", "1", "1", "2"]
    first, second = vanished.foretold(found)
    assert "1 bad ends of 1; elsewhere 0 of 3; p = 0.25" in first
    assert "1 bad ends of 2; elsewhere 0 of 2; p = 0.5" in second


@pytest.mark.parametrize(("bad", "marked", "others_bad", "others"), [(3, 4, 1, 4), (0, 3, 2, 5), (2, 2, 0, 3), (1, 5, 1, 1)])
def test_p_is_the_share_of_all_ways_to_mark_as_many_trainings(bad, marked, others_bad, others):
    ends = [1] * (bad + others_bad) + [0] * (marked + others - bad - others_bad)
    ways = [sum(ends[i] for i in chosen) for chosen in combinations(range(len(ends)), marked)]
    assert len(ways) == math.comb(len(ends), marked)
    assert vanished.fisher(bad, marked, others_bad, others) == pytest.approx(sum(way >= bad for way in ways) / len(ways))


def test_a_share_that_is_none_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vanished.py", "x", "--early", "2"])
    with pytest.raises(SystemExit) as ended:
        vanished.arguments()
    assert ended.value.code == 2
    assert "2 is no share of a training" in capsys.readouterr().err
