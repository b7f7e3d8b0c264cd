"""A policy holds only what can be carried out, and its identity tells all that samples depend on."""

from dataclasses import fields, replace

import pytest
from making import error_of

from gansaku.data.policy import CHOICES, Policy, policy
from gansaku.errors import UsageError

OTHER = {
    "size": 64, "held_out": 0.1, "layout": "flat", "keep_empty": True, "conditional": True, "dedupe": True, "fit": "pad",
    "filter": "box", "channels": 1, "background": (0, 0, 0), "min_side": 4, "max_aspect": 2.0, "frames": "all",
    "full_decode": True, "boxes": "xml", "objects": ("dog",), "margin": 0.2, "square": True, "min_box": 9,
    "box_aspect": (0.2, 4.0), "difficult": "drop", "truncated": "drop", "intruders": "drop", "without_box": "whole",
    "fix_boxes": True, "rescale_boxes": True, "faces": "anime", "face_scales": (1.0, 2.0), "mirrored": True, "min_face": 30,
    "pad": 2, "resample": "any", "double": True, "mesh": "surface", "up": "z", "rotations": 4,
}  # fmt: skip


def test_every_field_but_the_allowed_share_changes_the_identity():
    assert {field.name for field in fields(Policy)} == {*OTHER, "max_bad"}
    assert Policy(max_bad=0.5).identity == Policy().identity == {}
    for name, value in OTHER.items():
        assert replace(Policy(), **{name: value}).identity == {name: value}


@pytest.mark.parametrize(("name", "value"), [
    ("size", 0), ("size", -1), ("size", 10**9), ("size", (4, 0)), ("held_out", 1.0), ("held_out", -0.1), ("max_bad", 1.5),
    ("max_bad", float("nan")), ("background", (0, 0, 256)), ("max_aspect", 0.5), ("min_side", 0), ("margin", -1.0),
    ("min_box", 0), ("box_aspect", (4, 0.2)), ("min_face", 1), ("face_scales", ()), ("face_scales", (99.0,)), ("pad", -1),
    ("pad", (0, 1000)), *((name, "no such") for name in CHOICES),
])  # fmt: skip
def test_a_value_out_of_range_is_refused_with_its_flag_and_what_would_work(name, value):
    error = error_of(UsageError, policy, **{name: value})
    assert str(error).startswith(f"--{name.replace('_', '-')}: cannot be {value}; ")
    assert error.exit_code == 2


def test_boxes_and_faces_exclude_each_other():
    assert "choose one" in str(error_of(UsageError, policy, boxes="a", faces="b"))


def test_an_unknown_choice_is_refused_with_the_nearest():
    assert "did you mean 'held_out'?" in str(error_of(UsageError, policy, heldout=0.1))


def test_a_list_from_json_is_a_size():
    assert policy([4, 6]) == policy((4, 6))
    assert (policy(4).space, policy((4, 6)).space, policy((4, 4)).side) == ((4, 4), (4, 6), 4)
    assert "--size" in str(error_of(UsageError, getattr, policy((4, 6)), "side"))


def test_a_value_of_another_type_is_refused():
    assert "wrong type" in str(error_of(UsageError, policy, "64"))
