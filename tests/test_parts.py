"""Parts go to plain data and back, and every mistake in a setting is named where it was made."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansaku.contract import AdversarialLoss, Gate, Move, Player, Weighted
from gansaku.errors import RecipeError
from gansaku.losses import Hinge, Logistic, RelativisticAverage
from gansaku.networks.dcgan import DCGANGenerator
from gansaku.optimizers import Adam
from gansaku.parts import changed, decode, difference, encode, part, part_name, parts
from gansaku.recipes.registry import load_parts
from gansaku.terms import R1, GradientPenalty

load_parts()
PLAYER = Player(DCGANGenerator((3, 32, 32)), Adam(), 2e-4, terms=(Weighted(10.0, GradientPenalty()), Weighted(1.0, R1(), 4)))


def test_a_part_comes_back_from_plain_data_as_it_was():
    assert decode(encode(PLAYER, Player), Player) == PLAYER


@given(lr=st.floats(1e-12, 1e3), every=st.integers(1, 100), clip=st.none() | st.floats(1e-6, 10))
def test_numbers_come_back_exactly(lr, every, clip):
    player = Player(DCGANGenerator((1, 8, 8)), Adam(), lr, terms=(Weighted(1.0, R1(), every),), clip=clip)
    assert decode(encode(player), Player) == player


def test_the_class_is_written_only_where_the_declared_type_leaves_it_open():
    plain = encode(Move("generator", gate=Gate()), Move)
    assert "part" not in plain
    assert "part" not in plain["gate"]
    assert encode(PLAYER, Player)["network"]["part"] == "DCGANGenerator"


def test_a_bare_name_is_a_part_with_its_defaults():
    assert decode("Hinge", AdversarialLoss) == Hinge()


def test_a_whole_number_in_a_float_field_becomes_a_float():
    """torch refuses Adam(betas=(0, 0.9)), and a person writes 0."""
    betas = decode({"betas": [0, 0.9]}, Adam).betas
    assert betas == (0.0, 0.9)
    assert all(type(b) is float for b in betas)


@pytest.mark.parametrize(
    ("data", "where", "says"),
    [
        ("Hinges", "recipe", "did you mean 'Hinge'"),
        ({"part": "RelativisticAverage", "from": "hinge"}, "recipe.from", "did you mean 'form'"),
        ({"part": "RelativisticAverage", "form": "hing"}, "recipe.form", "did you mean 'hinge'"),
        ({"part": "R1"}, "recipe", "R1 is no AdversarialLoss"),
        (3, "recipe", "3 is not a part"),
    ],
)
def test_a_wrong_part_is_named_with_its_place_and_the_nearest_right_one(data, where, says):
    with pytest.raises(RecipeError, match=says) as caught:
        decode(data, AdversarialLoss)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("lr", "1e-4", "'1e-4' is not a number"),
        ("lr", -1.0, "must be above 0"),
        ("lr", math.nan, "not a finite number"),
        ("lr", True, "not a number"),
        ("optimizer.betas", [0.5, 1.5], r"must lie in \[0, 1\)"),
        ("terms.7.weight", 1.0, "there are 2 entries"),
        ("terms.0.every", 2.5, "not a whole number"),
        ("network.widht", 3, "did you mean 'width'"),
        ("optimizer.betas", [0.5], "has 1 entries; it takes 2"),
        ("lr.much", 3, "has no settings of its own"),
        ("optimizer", "Hinge", "Hinge is no Optimizer"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path(path, value, says):
    with pytest.raises(RecipeError, match=says) as caught:
        changed(PLAYER, {path: value})
    assert caught.value.where.startswith(path.split(".")[0])


def test_changing_one_setting_leaves_all_others_and_the_original():
    before = encode(PLAYER)
    after = changed(PLAYER, {"terms.1.every": 16})
    assert encode(PLAYER) == before
    assert [str(change) for change in difference(PLAYER, after)] == ["terms.1.every: 4 → 16"]


def test_an_exchanged_part_is_a_difference_of_its_name_and_of_what_is_not_default():
    a, b = Weighted(1.0, R1()), Weighted(1.0, GradientPenalty(target=750.0))
    assert [tuple(change) for change in difference(a, b)] == [
        ("term.part", "R1", "GradientPenalty"),
        ("term.target", 1.0, 750.0),
    ]
    assert difference(a, a) == []


def test_a_setting_to_none_and_back():
    clipped = changed(PLAYER, {"clip": 0.01})
    assert changed(clipped, {"clip": "none"}) == PLAYER


def test_two_parts_of_one_name_from_two_modules_are_refused():
    class Hinge:
        pass

    Hinge.__module__ = "elsewhere"
    with pytest.raises(TypeError, match="two parts are called Hinge"):
        part(Hinge)
    assert parts(AdversarialLoss)["Hinge"] is not Hinge


def test_part_names_are_written_with_underscores():
    assert [part_name(p) for p in (GradientPenalty(), R1(), Logistic(), RelativisticAverage())] == [
        "gradient_penalty", "r1", "logistic", "relativistic_average",
    ]  # fmt: skip


def needs_nothing(cls):
    return all(f.default is not dataclasses.MISSING for f in dataclasses.fields(cls))


OWN = [cls for cls in parts().values() if cls.__module__.startswith("gansaku.") and needs_nothing(cls)]


@pytest.mark.parametrize("cls", OWN, ids=lambda cls: cls.__name__)
def test_every_part_survives_the_round_trip(cls):
    """Those with settings that have no default are held by the round trip of every recipe."""
    assert decode(encode(cls()), cls) == cls()
