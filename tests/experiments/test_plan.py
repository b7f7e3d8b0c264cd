"""Plans: which arms and pairs they make, that files say the same, and that mistakes are named."""

from dataclasses import replace

import pytest

from gansaku.data.store import Facts
from gansaku.errors import GansakuError, RecipeError, RunError, UsageError
from gansaku.experiments.arms import differences, recipe_of, recipes
from gansaku.experiments.folder import Place, extended, trainings
from gansaku.experiments.plan import Arm, Factor, Plan, Scoring, from_toml, to_toml

GROW = Factor("generator.network.grow", ("transpose", "resize"))
ORDER = Factor("generator.network.norm_first", (True, False))
FACTS = Facts("avatars", (3, 32, 32), 9000, ())
PLAN = Plan("avatars", "dcgan", (GROW, ORDER), settings={"length": 6400})
GRID = replace(PLAN, grid=True)


def names(pairs):
    return [(pair.a.name, pair.b.name, pair.factor) for pair in pairs]


def test_one_factor_at_a_time_changes_one_thing_of_the_baseline_in_each_arm():
    assert [arm.name for arm in PLAN.arms] == ["grow=transpose, norm_first=True", "grow=resize", "norm_first=False"]
    assert [dict(arm.changes) for arm in PLAN.arms] == [
        {GROW.path: "transpose", ORDER.path: True},
        {GROW.path: "resize", ORDER.path: True},
        {GROW.path: "transpose", ORDER.path: False},
    ]
    base = "grow=transpose, norm_first=True"
    assert names(PLAN.pairs) == [(base, "grow=resize", GROW.path), (base, "norm_first=False", ORDER.path)]


def test_a_grid_has_every_combination_and_pairs_those_that_differ_in_one_factor():
    assert len(GRID.arms) == 4
    both, order, grow, neither = [arm.name for arm in GRID.arms]
    assert both == "grow=transpose, norm_first=True"
    assert names(GRID.pairs) == [
        (both, grow, GROW.path), (order, neither, GROW.path), (both, order, ORDER.path), (grow, neither, ORDER.path),
    ]  # fmt: skip


def test_a_third_value_is_paired_with_the_first():
    plan = Plan("avatars", vary=(Factor("batch", (32, 64, 128)),), grid=True)
    assert names(plan.pairs) == [("batch=32", "batch=64", "batch"), ("batch=32", "batch=128", "batch")]


def test_arms_are_called_by_as_little_of_a_path_as_tells_them_apart():
    plan = Plan("avatars", vary=(Factor("generator.lr", (1e-4, 2e-4)), Factor("discriminator.lr", (1e-4, 4e-4))))
    assert [arm.name for arm in plan.arms][1:] == ["generator.lr=0.0002", "discriminator.lr=0.0004"]


def test_all_arms_of_a_seed_come_before_the_next_seed():
    order = [(t.number, t.seed) for t in trainings(replace(PLAN, seeds=(3, 1)))]
    assert order == [(0, 3), (1, 3), (2, 3), (0, 1), (1, 1), (2, 1)]


LISTED = Plan(
    "faces.zip", listed=(Arm("old", {}), Arm("new & bold", {"loss": "Hinge", "generator.lr": 1e-3})), seeds=(0, 5),
    question="New?", budget=600.0, size=(64, 96), scoring=Scoring(("kid",), 500, "inception-2015", 1000), use=("mine.py",),
)  # fmt: skip


@pytest.mark.parametrize("plan", [PLAN, GRID, LISTED], ids=["one at a time", "grid", "listed"])
def test_a_plan_comes_back_from_its_file(plan):
    assert from_toml(to_toml(plan)) == plan


def test_a_short_file_is_a_plan_with_five_seeds():
    plan = from_toml('data = "avatars"\n[vary]\nloss = ["Logistic", "Hinge"]')
    assert plan == Plan("avatars", vary=(Factor("loss", ("Logistic", "Hinge")),))
    assert plan.seeds == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[vary", "is no TOML: "),
        ("[vary]\nloss = [1, 2]", 'says nothing of data; add data = "faces.zip"'),
        ('data = "x"\nvery = 1', "plan.very: means nothing in a plan; did you mean 'vary'"),
        ('data = "x"\n[vary]\nloss = "Hinge"', "plan.vary.loss: Hinge is no list of values; write .a, b."),
        ('data = "x"\nseeds = "many"\n[vary]\nloss = [1, 2]', "plan.seeds: many is no number of seeds"),
        ('data = "x"\narms = 3', "plan.arms: 3 is no list"),
        ('data = "x"\n[[arms]]\nsets = {}', "plan.arms.0.sets: means nothing in a plan; did you mean 'set'"),
        ('data = "x"\n[score]\nmetric = "fid"\n[vary]\nloss = [1, 2]', "plan.score.metric: .* did you mean 'metrics'"),
    ],
)
def test_mistakes_in_a_file_are_named_with_their_place(text, says):
    with pytest.raises(RecipeError, match=says):
        from_toml(text)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vary": ()}, "nothing is varied; say what with --vary path=a,b"),
        ({"vary": (Factor("loss", ("Hinge",)),)}, "--vary loss: has 1 value; give two or more"),
        ({"vary": (Factor("batch", (1, 2, 1)),)}, "has a value twice: 1, 2, 1"),
        ({"vary": (GROW, GROW)}, "has a setting twice"),
        ({"vary": (Factor("seed", (1, 2)),)}, "--vary seed: every arm has all seeds; say which with --seeds"),
        ({"settings": {"seed": 3}}, "--set seed: every arm has all seeds"),
        ({"settings": {GROW.path: "resize"}}, "is varied too; leave out one of both"),
        ({"seeds": (0,)}, "one seed shows no difference from chance; use 5"),
        ({"seeds": (0, 1, 0)}, "has a seed twice"),
        ({"budget": 0.0}, "leaves no time to train"),
        ({"listed": (Arm("a", {}), Arm("b", {}))}, "has arms and factors to vary"),
        ({"vary": (), "listed": (Arm("a", {}),)}, "has 1 arm; a comparison needs two"),
        ({"vary": (), "listed": (Arm("a", {}), Arm("a", {"batch": 3}))}, "has two arms called 'a'"),
        ({"vary": tuple(Factor(f"x{i}", tuple(range(9))) for i in range(3)), "grid": True}, "more than 100 arms"),
    ],
)
def test_what_makes_no_comparison_is_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        replace(PLAN, **changes)


def test_arms_differ_from_the_baseline_by_what_was_declared_and_nothing_else():
    made = recipes(PLAN, FACTS)
    told = {name: [str(change) for change in changes] for name, changes in differences(PLAN, made).items()}
    assert told == {
        "grow=resize": ["generator.network.grow: transpose → resize"],
        "norm_first=False": ["generator.network.norm_first: True → False"],
    }


def test_what_a_declared_recipe_brings_along_is_told():
    plan = Plan("avatars", "dcgan", (Factor("recipe", ("dcgan", "wgan-gp")),), settings={"length": 6400, "batch": 32})
    made = recipes(plan, FACTS)
    told = [change.path for change in differences(plan, made)["recipe=wgan-gp"]]
    assert {"loss.part", "latent.part"} <= set(told)
    assert not {"length", "batch", "seed", "name"} & set(told)


def test_an_arms_recipe_at_a_seed_has_that_seed():
    assert [recipe_of(PLAN, PLAN.arms[1], FACTS, seed).seed for seed in (0, 7)] == [0, 7]


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (replace(PLAN, vary=(Factor("loss", ("Logistic", "Hindge")),)), "loss=Hindge: loss: .*did you mean 'Hinge'"),
        (
            Plan("avatars", "dcgan", (Factor("recipe", ("dcgan", "wgan-gp")),)),
            "length: arms would see different numbers of samp",
        ),
        (replace(PLAN, vary=(), listed=(Arm("a", {}), Arm("b", {"batch": 64}))), "b: is the same recipe as a"),
    ],
)
def test_an_unfair_plan_is_refused(plan, says):
    with pytest.raises(UsageError, match=says):
        recipes(replace(plan, settings={} if "recipe" in str(plan.vary) else plan.settings), FACTS)


def test_a_length_that_is_varied_may_differ():
    assert len(recipes(Plan("avatars", "dcgan", (Factor("length", (6400, 12800)),)), FACTS)) == 2


class TestAFolder:
    def test_goes_on_with_the_same_plan(self, tmp_path):
        place = Place(tmp_path / "c")
        assert place.begin(PLAN) == place.begin(PLAN) == place.read_plan() == PLAN

    def test_takes_more_seeds_and_keeps_those_it_has(self, tmp_path):
        place = Place(tmp_path)
        place.begin(replace(PLAN, seeds=(0, 1)))
        assert place.begin(replace(PLAN, seeds=(1, 2), question="Again?")).seeds == (0, 1, 2)
        assert place.read_plan().question == "Again?"

    def test_refuses_another_plan_and_says_what_differs(self, tmp_path):
        place = Place(tmp_path)
        place.begin(PLAN)
        with pytest.raises(RunError, match=r"holds another comparison: '.*6400.* there, '.*9600.* now; name another --out"):
            place.begin(replace(PLAN, settings={"length": 9600}))
        assert place.read_plan() == PLAN

    def test_refuses_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "holiday.jpg").write_text("")
        with pytest.raises(UsageError, match="holds other things than a comparison"):
            Place(tmp_path).begin(PLAN)

    def test_says_that_it_is_none(self, tmp_path):
        with pytest.raises(GansakuError, match="is no comparison"):
            Place(tmp_path).read_plan()

    def test_a_line_more_is_a_difference_too(self):
        with pytest.raises(RunError, match=r"\(nothing\)|holds another"):
            extended(PLAN, replace(PLAN, use=("mine.py",)), "here")

    def test_gives_every_training_files_of_its_own(self, tmp_path):
        plan = Plan("avatars", listed=(Arm("a/b", {}), Arm("A B", {"batch": 1}), Arm("../../x", {"batch": 2})), seeds=(0, 1))
        paths = [Place(tmp_path).run(training) for training in trainings(plan)]
        assert len(set(paths)) == 6
        assert {path.parent for path in paths} == {tmp_path / "runs"}
