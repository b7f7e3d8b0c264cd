"""Boxes: from an annotation and a picture to cuts, by the policy's choices."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from making import error_of, folder_of, picture, shared
from PIL import Image

from gansaku.data import boxes, pictures
from gansaku.data.cuts import Cut
from gansaku.data.policy import policy
from gansaku.data.sources import open_data
from gansaku.data.tally import Account, Tally
from gansaku.data.tree import in_folder, in_zip
from gansaku.data.voc import Annotation, Box, Object
from gansaku.errors import DataError, UsageError

WIDTH, HEIGHT = 60, 40
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def thing(left, top, right, bottom, name="dog", number=0, difficult=False, truncated=False):
    return Object(number, name, Box(left, top, right, bottom), difficult, truncated)


def cut(*things, size=None, picture=PICTURE, **choices):
    """What becomes of a picture with these objects."""
    things = [one._replace(number=number) for number, one in enumerate(things)]
    annotations = {"a.jpg": Annotation(size, tuple(things), bool(things))}
    return boxes.Boxes(annotations, policy(16, boxes="x", **choices), ("dog",))("a.jpg", picture)


def edges(one: Cut):
    return one.left, one.top, one.right, one.bottom


def codes(cutting):
    return [(ending, bad.code) for ending, bad in cutting.skipped]


def test_each_object_is_a_cut_with_its_number_its_name_and_its_columns():
    cutting = cut(thing(10, 5, 40, 35), thing(0, 0, 4, 40, "cat", difficult=True, truncated=True))
    assert cutting.cuts == [
        Cut(10, 5, 40, 35, "_0", False, "dog", {"aspect": 1, "classes": 1, "ratio": 1, "objects": 2, "truncated": 0,
                                                "difficult": 0, "intruders": 0}),
        Cut(0, 0, 4, 40, "_1", False, "cat", {"aspect": 0, "classes": 1, "ratio": 0.1, "objects": 2, "truncated": 1,
                                              "difficult": 1, "intruders": 0}),
    ]  # fmt: skip
    assert [note.code for note in cutting.notes] == []


@pytest.mark.parametrize(("choices", "box", "expected"), [
    ({}, (10, 5, 40, 35), (10, 5, 40, 35)),
    ({"margin": 0.1}, (10, 10, 40, 30), (7, 8, 43, 32)),  # 3 of 30 across, 2 of 20 down
    ({"square": True}, (10, 10, 40, 30), (10, 5, 40, 35)),
    ({"square": True}, (10, 10, 20, 33), (4, 10, 27, 33)),
    ({"square": True, "margin": 0.5}, (20, 10, 30, 20), (15, 5, 35, 25)),
    ({"square": True}, (0, 0, 5, 30), (0, 0, 30, 30)),  # moved in
    ({"square": True}, (55, 10, 60, 40), (30, 10, 60, 40)),
    ({"square": True}, (0, 10, 60, 20), (0, 0, 60, 40)),  # larger than the picture: clipped
    ({"margin": 1.0}, (40, 30, 50, 40), (30, 10, 60, 40)),
])  # fmt: skip
def test_margin_and_square_are_known_answers(choices, box, expected):
    cutting = cut(thing(*box), **choices)
    assert edges(cutting.cuts[0]) == expected
    assert "BOX_CLIPPED" not in {note.code for note in cutting.notes}  # the box itself is inside


def test_a_window_is_moved_as_little_as_may_be():
    """Against every place of a window in the picture."""
    for side, low in itertools.product(range(1, 13), range(-8, 12)):
        start, end = boxes.moved(low, low + side, 10)
        if side >= 10:
            assert (start, end) == (0, 10)
        else:
            assert abs(start - low) == min(abs(other - low) for other in range(10 - side + 1))
            assert (end - start, start >= 0, end <= 10) == (side, True, True)


def test_every_cut_lies_in_the_picture_and_a_square_is_one_where_it_fits():
    rng = np.random.default_rng(0)
    for _ in range(300):
        left, top, right, bottom = (int(v) for v in rng.integers(-30, 90, 4))
        if left >= right or top >= bottom:
            continue
        for one in cut(thing(left, top, right, bottom), square=True, margin=0.25).cuts:
            assert 0 <= one.left < one.right <= WIDTH
            assert 0 <= one.top < one.bottom <= HEIGHT
            assert one.right - one.left == one.bottom - one.top or one.bottom - one.top == HEIGHT


@pytest.mark.parametrize(("box", "expected"), [
    ((-5, -5, 20, 20), (0, 0, 20, 20)), ((50, 30, 61, 41), (50, 30, 60, 40)), ((-9, -9, 99, 99), (0, 0, 60, 40)),
])  # fmt: skip
def test_a_box_that_reaches_out_is_clipped_and_warned_of(box, expected):
    cutting = cut(thing(*box))
    assert (edges(cutting.cuts[0]), [note.code for note in cutting.notes]) == (expected, ["BOX_CLIPPED"])


@pytest.mark.parametrize("box", [(60, 0, 70, 10), (-9, 0, 0, 10), (0, 40, 10, 50), (0, -9, 10, 0), (200, 200, 300, 300)])
def test_a_box_outside_is_left_out_and_the_other_objects_stay(box):
    cutting = cut(thing(*box), thing(10, 5, 40, 35))
    assert (codes(cutting), [one.ending for one in cutting.cuts]) == ([("_0", "BOX_OUTSIDE")], ["_1"])


@pytest.mark.parametrize(("choices", "one"), [
    ({"objects": ("cat",)}, thing(10, 5, 40, 35)),
    ({"difficult": "drop"}, thing(10, 5, 40, 35, difficult=True)),
    ({"truncated": "drop"}, thing(10, 5, 40, 35, truncated=True)),
    ({"box_aspect": (0.2, 4.0)}, thing(0, 0, 41, 10)),
    ({"box_aspect": (0.2, 4.0)}, thing(0, 0, 7, 36)),
    ({"min_box": 11}, thing(0, 0, 30, 10)),
])  # fmt: skip
def test_what_a_filter_leaves_out_is_no_fault(choices, one):
    others = thing(20, 20, 40, 40, "cat"), thing(20, 20, 60, 40, "cat")
    cutting = cut(one, *others, **choices)
    assert (codes(cutting), [one.ending for one in cutting.cuts]) == ([("_0", "BOX_FILTERED")], ["_1", "_2"])
    assert Tally(skipped=[["a", "x", "BOX_FILTERED"]]).bad == 0


@pytest.mark.parametrize("box", [(0, 0, 40, 10), (0, 0, 8, 40), (0, 0, 30, 30)])
def test_the_flag_of_aspect_and_the_filter_of_the_same_bounds_agree(box):
    assert cut(thing(*box), box_aspect=boxes.PLAIN_ASPECT).cuts[0].columns["aspect"] == 1
    assert cut(thing(0, 0, 41, 10)).cuts[0].columns["aspect"] == cut(thing(0, 0, 7, 40)).cuts[0].columns["aspect"] == 0


def test_intruders_are_the_boxes_over_more_than_a_tenth_of_the_cut():
    """Against a mask of pixels, at boxes drawn at random and one at exactly a tenth."""
    exact = [Box(0, 0, 10, 10), Box(9, 0, 40, 10)], [Box(0, 0, 10, 10), Box(8, 0, 40, 10)]
    assert [boxes.intruders(one, np.array([other])) for one, other in exact] == [0, 1]
    rng = np.random.default_rng(1)
    for _ in range(100):
        corners = np.sort(rng.integers(0, 41, (5, 2, 2)), axis=1).reshape(5, 4)
        corners[:, 2:] += 1
        window, others = Box(*map(int, corners[0])), corners[1:]
        shares = []
        for other in others:
            mask = np.zeros((42, 42), bool)
            mask[other[1] : other[3], other[0] : other[2]] = True
            shares.append(mask[window.top : window.bottom, window.left : window.right].mean())
        assert boxes.intruders(window, others) == sum(share > 0.1 for share in shares)


def test_intruded_cuts_are_flagged_or_dropped():
    pair = thing(0, 0, 30, 30), thing(15, 0, 59, 30, "cat")
    kept = cut(*pair)
    assert [(one.columns["classes"], one.columns["intruders"]) for one in kept.cuts] == [(0, 1), (0, 1)]
    assert codes(cut(*pair, intruders="drop")) == [("_0", "BOX_FILTERED"), ("_1", "BOX_FILTERED")]
    only = cut(*pair, objects=("dog",))  # what is not cut out intrudes all the same
    assert [one.columns["intruders"] for one in only.cuts] == [1]


def test_a_small_cut_is_warned_of():
    assert [note.code for note in cut(thing(0, 0, 3, 30)).notes] == ["BOX_SMALL"]
    assert cut(thing(0, 0, 4, 30)).notes == []
    assert cut(thing(0, 0, 3, 30), min_side=3).notes == []


@pytest.mark.parametrize("size", [None, (WIDTH, HEIGHT)])
def test_the_stated_size_may_be_the_pictures_or_missing(size):
    assert cut(thing(10, 5, 40, 35), size=size).notes == []


@pytest.mark.parametrize("size", [(120, 80), (0, 0), (59, 40), (HEIGHT, WIDTH)])
def test_another_size_is_warned_of_and_the_box_is_used_as_it_is(size):
    cutting = cut(thing(10, 5, 40, 35), size=size)
    assert (edges(cutting.cuts[0]), [note.code for note in cutting.notes]) == ((10, 5, 40, 35), ["BOX_SIZE"])


def test_boxes_are_scaled_if_that_is_asked_for():
    cutting = cut(thing(20, 10, 80, 70), size=(120, 80), rescale_boxes=True)
    assert (edges(cutting.cuts[0]), [note.code for note in cutting.notes]) == ((10, 5, 40, 35), ["BOX_SIZE"])
    assert [note.code for note in cut(thing(10, 5, 40, 35), size=(0, 0), rescale_boxes=True).notes] == ["BOX_SIZE"]
    assert codes(cut(thing(10, 5, 11, 70), size=(6_000, 80), rescale_boxes=True)) == [("_0", "BOX_FILTERED")]  # no pixel left


def test_the_size_of_a_picture_that_lay_on_its_side_is_never_scaled_away():
    cutting = cut(thing(5, 10, 35, 40), size=(HEIGHT, WIDTH), rescale_boxes=True)
    assert (cutting.cuts, codes(cutting)) == ([], [("", "BOX_SIZE")])


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_an_upright_annotation_of_a_turned_photograph_finds_its_object(orientation):
    """The pixels are those that a viewer shows: a red object stays red in its cut, whichever way the camera was held."""
    shown = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    shown[5:35, 10:40] = (255, 0, 0)
    stored = Image.fromarray(np.rot90(shown, {1: 0, 6: 1, 8: 3}[orientation]).copy())
    exif = Image.Exif()
    exif[0x112] = orientation
    stream = io.BytesIO()
    stored.save(stream, "png", exif=exif)
    ((upright, *_),) = pictures.decode(stream.getvalue(), policy(16), whole=True)
    (one,) = cut(thing(10, 5, 40, 35), size=(WIDTH, HEIGHT), picture=upright).cuts
    assert (upright[one.top : one.bottom, one.left : one.right] == (255, 0, 0)).all()


def test_a_picture_without_a_box_is_left_out_or_taken_whole():
    assert codes(cut()) == [("", "XML_NO_BOX")]
    whole = cut(without_box="whole")
    assert (whole.skipped, [edges(one) for one in whole.cuts], whole.cuts[0].label) == ([], [(0, 0, 60, 40)], "unlabelled")
    assert set(whole.cuts[0].columns) == set(boxes.COLUMNS)


def xml(*names):
    things = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>{i + 9}</xmax><ymax>9</ymax></bndbox></object>"
        for i, name in enumerate(names)
    )
    return f"<annotation>{things}</annotation>".encode()


def cutter(tmp_path, files, **choices):
    tally = Account()
    pictures = [name for name in files if name.endswith(".jpg")]
    return boxes.cutter(in_folder(folder_of(tmp_path, files), tally), pictures, policy(16, boxes="x", **choices), tally), tally


FILES = {"a.jpg": b"", "b.jpg": b"", "c.jpg": b"", "a.xml": xml("dog10", "dog9"), "b.xml": xml(), "c.xml": b"<broken"}


def test_the_classes_are_the_names_of_the_objects_in_natural_order(tmp_path):
    assert cutter(tmp_path, FILES)[0].classes == ("dog9", "dog10")
    assert cutter(tmp_path, FILES, objects=("dog10",))[0].classes == ("dog10",)
    assert cutter(tmp_path, FILES, without_box="whole")[0].classes == ("dog9", "dog10", "unlabelled")
    assert cutter(tmp_path / "all", FILES | {"b.xml": xml("x")}, without_box="whole")[0].classes == ("dog9", "dog10", "x")


def test_every_label_of_a_cut_is_a_class(tmp_path):
    for choices in ({}, {"objects": ("dog9",)}, {"without_box": "whole"}):
        made, _ = cutter(tmp_path, FILES, **choices)
        labels = {one.label for name in ("a.jpg", "b.jpg", "c.jpg") for one in made(name, PICTURE).cuts}
        assert labels == set(made.classes)


def test_a_bad_annotation_is_told_once(tmp_path):
    made, tally = cutter(tmp_path, FILES)
    assert [(name, code) for name, _, code in tally.skipped] == [("c.xml", "XML_SYNTAX")]
    assert made("c.jpg", PICTURE) == ([], [], [])
    assert tally.warned == {"XML_NO_BOX": 1}


def test_a_frame_of_an_animation_has_the_boxes_of_its_picture(tmp_path):
    made, _ = cutter(tmp_path, FILES)
    assert len(made("a.jpg#3", PICTURE).cuts) == 2


def test_an_object_that_nothing_is_called_by_is_a_mistake_of_the_request(tmp_path):
    error = error_of(UsageError, cutter, tmp_path, FILES, objects=("dog9", "dogg10"))
    assert (error.code, "did you mean 'dog10'" in str(error)) == ("OBJECTS", True)


def test_a_folder_of_other_things_is_an_error(tmp_path):
    assert error_of(DataError, cutter, tmp_path, {"a.jpg": b"", "z.xml": xml()}).code == "XML_MISSING"


@pytest.mark.parametrize(("source", "pictures", "count", "classes"), [
    ("raccoon_voc.zip", 200, 217, ("raccoon",)),
    ("dogs_stanford_layout.zip", 3000, 3000, ("Chihuahua", "German_shepherd", "Labrador_retriever", "Yorkshire_terrier",
                                              "golden_retriever", "standard_poodle")),
])  # fmt: skip
def test_every_box_of_genuine_sets_is_found(source, pictures, count, classes):
    path, tally = Path(shared(source)), Tally(source=source)
    with in_zip(path, tally) as tree:
        names = [name for name in tree.names if name.endswith(".jpg")]
        made = boxes.cutter(tree, names, policy(64, boxes="annotations"), tally)
        assert (len(names), made.classes, tally.skipped, dict(tally.warned)) == (pictures, classes, [], {})
        found = 0
        for name in names:
            with Image.open(tree.entry(name).open()) as image:
                cutting = made(name, np.broadcast_to(np.uint8(0), (image.height, image.width, 3)))
            found += len(cutting.cuts)
            assert {note.code for note in cutting.notes} <= {"BOX_SMALL"}
    assert found == count


def test_faults_of_boxes_count_by_picture(tmp_path):
    edges = "<xmin>{0}</xmin><ymin>1</ymin><xmax>{1}</xmax><ymax>9</ymax>"
    xml = "".join(f"<object><name>dog</name><bndbox>{edges.format(x, x + 8)}</bndbox></object>" for x in (1, 90, 95))
    content = {f"{n}.png": picture((n, 0, 0), 20, 20) for n in range(3)}
    content |= {f"xml/{n}.xml": f"<annotation>{xml}</annotation>".encode() for n in range(3)}
    dataset = open_data(str(folder_of(tmp_path / "d", content)), 8, cache=tmp_path / "cache", boxes="xml", max_bad=1)
    assert (dataset.facts.count, dataset.report["bad"], dataset.report["skipped"]) == (3, 3, {"BOX_OUTSIDE": 6})
