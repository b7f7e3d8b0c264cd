"""Faces: the cascades that may be used, what they find, and the crops that are made of it."""

import dataclasses
import hashlib
import itertools
import re
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from making import error_of, shared
from PIL import Image

from gansaku.cache import weights_folder
from gansaku.data import cascades, faces
from gansaku.data.policy import policy
from gansaku.data.tally import Bad
from gansaku.errors import DataError, UsageError
from gansaku.extractors.published import CASCADES

cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install 'gansaku[faces]'")

ANIME = "lbpcascade_animeface.xml"
SPOT = """<opencv_storage><cascade><stageType>BOOST</stageType><featureType>HAAR</featureType>
<height>12</height><width>12</width>
<stageParams/><featureParams><maxCatCount>0</maxCatCount></featureParams><stageNum>1</stageNum><stages><_>
<maxWeakCount>1</maxWeakCount><stageThreshold>0.5</stageThreshold><weakClassifiers><_>
<internalNodes>0 -1 0 2.0</internalNodes><leafValues>-1. 1.</leafValues></_></weakClassifiers></_></stages>
<features><_><rects><_>0 0 12 12 -1.</_><_>4 4 4 4 9.</_></rects><tilted>0</tilted></_></features></cascade></opencv_storage>"""

RECTS = "<_>0 0 12 12 -1.</_><_>4 4 4 4 9.</_></rects>"


class Finder:
    """Stands in for OpenCV's classifier: finds what it is told, (left, top, width, height), and keeps what it was shown."""

    def __init__(self, *boxes):
        self.boxes = boxes

    def detectMultiScale(self, grey, **options):
        self.grey, self.options = grey, options
        return np.array(self.boxes) if self.boxes else ()


def cutter(*boxes, **choices):
    """The cutter, with a stand-in for its classifier in this thread."""
    chosen = policy(64, faces="x", **choices)
    scales = {faces.spelled(scale): scale for scale in chosen.face_scales}
    made = faces.Faces(cascades.Cascade("x", (24, 24), ""), chosen, scales, tuple(scales) if len(scales) > 1 else None)
    made.own.classifier = Finder(*boxes)
    return made


def cut(*boxes, height=80, width=100, **choices):
    return cutter(*boxes, **choices)("a.jpg", np.zeros((height, width, 3), np.uint8))


def edges(one):
    return one.left, one.top, one.right, one.bottom


@pytest.mark.parametrize(("box", "scale", "expected", "true"), [
    ((40, 30, 20, 20), 1.0, (40, 30, 60, 50), 1),
    ((40, 30, 20, 20), 2.0, (30, 20, 70, 60), 2),
    ((40, 30, 20, 20), 3.0, (20, 10, 80, 70), 3),
    ((40, 30, 20, 20), 1.5, (35, 25, 65, 55), 1.5),
    ((0, 0, 20, 20), 3.0, (0, 0, 60, 60), 3),  # moved in
    ((80, 60, 20, 20), 2.0, (60, 40, 100, 80), 2),
    ((40, 30, 40, 40), 3.0, (20, 0, 100, 80), 2),  # the largest square that fits
    ((0, 0, 80, 80), 2.0, (0, 0, 80, 80), 1),
])  # fmt: skip
def test_a_crop_is_a_square_around_the_middle_of_the_box_and_inside_the_picture(box, scale, expected, true):
    cutting = cut(box, face_scales=(scale,))
    assert ([edges(one) for one in cutting.cuts], cutting.cuts[0].columns["scale"]) == ([expected], true)
    assert [note.code for note in cutting.notes] == (["FACE_EDGE"] if true < scale else [])


def test_crops_are_named_by_face_scale_and_flip_and_their_class_is_the_scale():
    cutting = cut((40, 30, 20, 20), (10, 10, 20, 20), face_scales=(1.0, 1.5, 3.0), mirrored=True)
    assert [one.ending for one in cutting.cuts] == [
        f"_{face}_{scale}x_{flip}" for face, scale, flip in itertools.product((0, 1), (1, 1.5, 3), (0, 1))
    ]
    for one in cutting.cuts:
        _, face, scale, flip = one.ending.split("_")
        assert (one.label, one.mirrored, one.columns["face"], one.columns["flip"]) == (scale, flip == "1", int(face), int(flip))
        assert set(one.columns) == set(faces.COLUMNS)
    assert edges(cutting.cuts[0]) == (10, 10, 30, 30)  # the upper face is the first


def test_the_articles_faces_give_the_articles_number_of_pictures():
    """5,533 faces at 3 scales, each also mirrored, are 33,198 pictures (article 4)."""
    each = len(cut((40, 30, 20, 20), face_scales=(1.0, 2.0, 3.0), mirrored=True).cuts)
    assert 5_533 * each == 33_198


def test_with_one_scale_the_folders_classes_stay():
    made = cutter((40, 30, 20, 20), face_scales=(2.0,))
    assert (made.classes, made("a.jpg", np.zeros((80, 100, 3), np.uint8)).cuts[0].label) == (None, None)


def test_the_same_scale_twice_is_one():
    assert [one.ending for one in cut((40, 30, 20, 20), face_scales=(2.0, 2.0, 1.0)).cuts] == ["_0_2x_0", "_0_1x_0"]


def test_a_picture_without_a_face_is_left_out():
    cutting = cut()
    assert (cutting.cuts, [(ending, bad.code) for ending, bad in cutting.skipped]) == ([], [("", "FACE_NONE")])


def test_faces_are_numbered_from_top_to_bottom_then_from_left_to_right():
    boxes = [(50, 9, 9, 9), (3, 9, 9, 9), (70, 2, 9, 9), (0, 60, 9, 9)]
    for order in itertools.permutations(boxes):
        found = cutter(*order).found(np.zeros((80, 100, 3), np.uint8))
        assert [box[:2] for box in found] == [(70, 2), (3, 9), (50, 9), (0, 60)]


def test_a_large_picture_is_looked_at_smaller_and_its_boxes_are_in_its_own_pixels():
    made = cutter((100, 50, 40, 40), min_face=60)
    assert made.found(np.zeros((3000, 4000, 3), np.uint8)) == [(200, 100, 280, 180)]
    finder = made.own.classifier
    assert (finder.grey.shape, finder.options["minSize"]) == ((1500, 2000), (30, 30))
    made.found(np.zeros((2000, 100, 1), np.uint8))
    assert (finder.grey.shape, finder.options["minSize"]) == ((2000, 100), (60, 60))


def test_the_detector_is_shown_the_equalized_grey_picture_with_the_authors_settings():
    rng = np.random.default_rng(0)
    grey = rng.integers(90, 110, (80, 100), np.uint8)
    shown = []
    for picture in (
        grey[..., None],
        np.repeat(grey[..., None], 3, axis=2),
        np.repeat(grey[..., None], 3, axis=2)[:, ::-1][:, ::-1],
    ):
        made = cutter()
        made.found(picture)
        shown.append(made.own.classifier.grey)
        assert made.own.classifier.options == {"scaleFactor": 1.1, "minNeighbors": 5, "minSize": (24, 24)}
    counts = np.bincount(grey.ravel(), minlength=256).cumsum()  # the formula of equalization
    expected = np.rint((counts - counts[90]) * 255 / (grey.size - counts[90])).clip(0)[grey]
    assert all(np.abs(one - expected).max() <= 1 for one in shown)


def spots(*places, side=12, height=90, width=120):
    """Grey noise with bright squares at these places."""
    picture = np.random.default_rng(3).integers(0, 60, (height, width, 1), np.uint8)
    for x, y in places:
        picture[y : y + side, x : x + side] = 255
    return picture


@pytest.fixture
def spot(tmp_path):
    (tmp_path / "spot.xml").write_text(SPOT)
    return str(tmp_path / "spot.xml")


def test_a_real_cascade_finds_the_spots_it_was_made_for(spot):
    found = faces.cutter(policy(64, faces=spot)).found(spots((20, 30), (80, 50)))
    assert len(found) == 2
    for (left, top, right, bottom), (x, y) in zip(found, [(20, 30), (80, 50)], strict=True):
        assert abs((left + right) / 2 - x - 6) <= 4
        assert abs((top + bottom) / 2 - y - 6) <= 4
        assert right - left == bottom - top >= 24


def test_many_threads_find_the_same_as_one(spot):
    made = faces.cutter(policy(64, faces=spot))
    pictures = [spots((x, y)) for x, y in itertools.product((10, 50, 90), (10, 30, 60))]
    alone = [made.found(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(made.found, pictures)) == alone
    assert all(alone)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 1), (11, 11, 3), (2, 9000, 1), (24, 24, 3)])
def test_no_shape_of_a_picture_is_too_odd_to_be_looked_at(spot, shape):
    assert faces.cutter(policy(64, faces=spot)).found(np.zeros(shape, np.uint8)) == []


def test_sixty_two_of_the_sixty_four_faces_of_the_authors_sheet_are_found_and_cut():
    picture = np.asarray(Image.open(shared("anime_faces_sheet.jpg")).convert("RGB"))
    made = faces.cutter(policy(64, faces=shared(ANIME), face_scales=(1.0, 2.0, 3.0), mirrored=True))
    cutting = made("sheet.jpg", picture)
    assert (len(made.found(picture)), len(cutting.cuts)) == (62, 62 * 6)
    for one in cutting.cuts:
        assert 0 <= one.left < one.right <= picture.shape[1]
        assert one.right - one.left == one.bottom - one.top


GENUINE = ("haarcascade_frontalface_default", "haarcascade_eye_tree_eyeglasses", "haarcascade_lefteye_2splits",
           "haarcascade_smile", ANIME)  # stumps, tilted features, trees, a window that is no square, LBP  # fmt: skip


@pytest.mark.parametrize("name", GENUINE)
def test_a_cascade_that_was_checked_finds_what_opencv_finds_with_the_file(name):
    picture = np.asarray(Image.open(shared("anime_faces_sheet.jpg")).convert("L"))[:265, :265]
    path = shared(name) if name == ANIME else str(Path(cv2.data.haarcascades) / f"{name}.xml")
    cv2.setNumThreads(1)
    ours = cascades.classifier(cascades.cascade(path)).detectMultiScale(picture, 1.1, 0)
    theirs = cv2.CascadeClassifier(path).detectMultiScale(picture, 1.1, 0)
    assert np.array_equal(ours, theirs)
    assert len(ours) > 0


def test_the_words_and_names_for_cascades():
    default = str(cascades.located("haarcascade_frontalface_default"))
    assert default == str(cascades.located("frontalface")) == str(cascades.located("haarcascade_frontalface_default.xml"))
    assert cascades.cascade("haarcascade_eye").window == (20, 20)


def test_the_anime_cascade_is_taken_from_the_cache_and_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it was downloaded"))
    error = error_of(UsageError, faces.cutter, policy(64, faces="anime"))
    assert (error.code, "`gansaku weights get anime`" in str(error), "MIT" in str(error)) == ("CASCADE", True, True)
    folder = weights_folder()
    folder.mkdir(parents=True)
    (folder / CASCADES["anime"][0].file).write_text(SPOT)
    assert "is not the published file" in str(error_of(UsageError, faces.cutter, policy(64, faces="anime")))
    known = dataclasses.replace(CASCADES["anime"][0], sha256=hashlib.sha256(SPOT.encode()).hexdigest())
    monkeypatch.setitem(CASCADES, "anime", (known,))
    assert faces.cutter(policy(64, faces="anime")).cascade.window == (12, 12)


def test_the_published_cascade_is_the_one_that_is_known_by_its_digest():
    content = Path(shared(ANIME)).read_bytes()
    assert hashlib.sha256(content).hexdigest() == CASCADES["anime"][0].sha256
    assert len(content) <= CASCADES["anime"][0].most
    assert cascades.checked(content, ANIME).window == (24, 24)


@pytest.mark.parametrize(("name", "said"), [
    ("animee", "did you mean 'anime'"), ("frontalfaces", "did you mean 'frontalface'"),
    ("haarcascade_eyes.xml", "haarcascade_eye"), ("nowhere/a.xml", "no file"), (".", "no file"),
])  # fmt: skip
def test_an_unknown_cascade_is_a_mistake_of_the_request(name, said):
    error = error_of(UsageError, faces.cutter, policy(64, faces=name))
    assert (error.code, error.where) == ("CASCADE", name)
    assert said in str(error)


def test_without_opencv_the_message_names_the_extra(monkeypatch, spot):
    monkeypatch.setitem(sys.modules, "cv2", None)
    error = error_of(UsageError, faces.cutter, policy(64, faces=spot))
    assert (error.code, "gansaku[faces]" in str(error)) == ("EXTRA", True)


def test_opencv_5_is_told_to_have_no_cascades(monkeypatch, spot):
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__="5.0.0", data=None))
    error = error_of(UsageError, faces.cutter, policy(64, faces=spot))
    assert (error.code, "5.0.0" in str(error), "<5" in str(error)) == ("EXTRA", True, True)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("BOOST", "FOREST", "HAAR and LBP"), ("HAAR", "HOG", "HAAR and LBP"), ("HAAR", "LBP", "categories"),
    ("<height>12<", "<height>0<", "'0'"), ("<height>12<", "<height>100000<", "256"), ("<width>12</width>", "", "0 <width>"),
    ("<maxCatCount>0<", "<maxCatCount>64<", "categories"), ("<maxCatCount>0<", "<maxCatCount>-1<", "'-1'"),
    ("0 0 12 12 -1.", "0 0 13 12 -1.", "out of its window"), ("0 0 12 12 -1.", "-1 0 12 12 -1.", "'-1'"),
    ("0 0 12 12 -1.", "0 0 0 12 -1.", "'0'"), ("0 0 12 12 -1.", "0 0 12 12", "4 numbers"),
    ("0 0 12 12 -1.", "0 0 12 12 nan", "nan"),
    ("4 4 4 4 9.", "9 9 4 4 9.", "out of its window"),
    ("<tilted>0<", "<tilted>1<", "out of its window"),
    ("<tilted>0<", "<tilted>7<", "'7'"), ("<_>4 4 4 4 9.</_>", "<_>4 4 4 4 9.</_>" * 3, "4 rectangles"),
    (f"{RECTS}<tilted>0", "<_>1 0 2 2 -1.</_></rects><tilted>1", "out of its window"),
    (f"{RECTS}<tilted>0", "<_>9 5 4 2 -1.</_></rects><tilted>1", "out of its window"),
    (f"{RECTS}<tilted>0", "<_>5 7 4 2 -1.</_></rects><tilted>1", "out of its window"),
    ("0 -1 0 2.0", "0 -1 1 2.0", "'1'"), ("0 -1 0 2.0", "0 -1 -1 2.0", "'-1'"), ("0 -1 0 2.0", "0 -2 0 2.0", "'-2'"),
    ("0 -1 0 2.0", "1 -1 0 2.0", "'1'"), ("0 -1 0 2.0", "0 -1 0", "3 numbers"), ("0 -1 0 2.0", "0 -1 0 1e99", "'1e99'"),
    ("0 -1 0 2.0", "0 -1 0 2.0 1 -1 0 2.0", "3 leaves|2 leaves"), ("-1. 1.", "-1.", "1 leaves"), ("-1. 1.", "-1. x", "'x'"),
    ("0 -1 0 2.0</internalNodes><leafValues>-1.", "1 -1 0 2.0 1 -2 0 2.0</internalNodes><leafValues>-1. 0.", "in a circle"),
    ("<stageThreshold>0.5<", "<stageThreshold>inf<", "'inf'"), ("<stageThreshold>0.5<", "<stageThreshold><", "''"),
    ("<features>.*</features>", "<features/>", "no features"), ("<stages>.*</stages>", "<stages/>", "no stages"),
    ("<cascade>", "<cascade><width>12</width>", "2 <width>"), ("cascade>", "other>", "no <cascade>"),
    ("</opencv_storage>", "", "no whole XML"), ("<opencv_storage>.*", "", "is empty"), (".*", "\\\\x89PNG", "no whole XML"),
])  # fmt: skip
def test_a_cascade_with_a_number_that_points_to_nothing_never_reaches_opencv(tmp_path, monkeypatch, old, new, said):
    monkeypatch.setattr(faces, "classifier", lambda found: pytest.fail("OpenCV was given it"))
    text, count = re.subn(old if "*" in old else re.escape(old), lambda match: new, SPOT, flags=re.DOTALL)
    (tmp_path / "bad.xml").write_text(text)
    error = error_of(UsageError, faces.cutter, policy(64, faces=str(tmp_path / "bad.xml")))
    assert (count > 0, error.code, error.where) == (True, "CASCADE", str(tmp_path / "bad.xml"))
    assert re.search(said, error.sentence)


@pytest.mark.parametrize("corner", ["2 0 2 2", "8 4 4 4", "5 6 4 2", "6 0 6 6"])
def test_a_tilted_rectangle_may_touch_the_edges_of_its_window(corner):
    """It reaches from x - height to x + width, and down to y + width + height."""
    text = SPOT.replace(f"{RECTS}<tilted>0", f"<_>{corner} -1.</_></rects><tilted>1")
    assert f"{corner} -1.</_></rects><tilted>1" in cascades.checked(text.encode(), "x").text


def test_a_tree_whose_children_come_later_is_taken():
    text = SPOT.replace("0 -1 0 2.0", "1 -2 0 2.0 0 -1 0 1.0").replace("-1. 1.", "-1. 1. 0.5")
    assert "1 -2 0 2.0 0 -1 0 1.0" in cascades.checked(text.encode(), "x").text


def test_opencvs_old_format_is_told_as_such():
    old = b"<opencv_storage><face type_id='opencv-haar-classifier'><size>9 9</size><stages/></face></opencv_storage>"
    assert "old format" in str(error_of(Bad, cascades.checked, old, "x"))


def test_a_document_type_in_a_cascade_is_refused(tmp_path):
    (tmp_path / "a.xml").write_text("<!DOCTYPE a [<!ENTITY x 'x'>]>" + SPOT)
    assert error_of(UsageError, faces.cutter, policy(64, faces=str(tmp_path / "a.xml"))).code == "XML_DTD"


MUTATE = """
import random, re, sys, numpy as np
from gansaku.data import cascades
from gansaku.data.tally import Bad
from gansaku.errors import GansakuError
text, ends, draw = sys.stdin.read(), {"taken": 0, "refused": 0}, random.Random(0)
checked = cascades.checked if sys.argv[1] == "checked" else lambda text, name: cascades.Cascade(name, (60, 20), text.decode())
numbers = [m.span() for m in re.finditer(r"(?<=[ >])[-+]?[0-9][0-9.]*", text) if m.start() > 2000]
picture = np.random.default_rng(0).integers(0, 255, (70, 90), np.uint8)
for _ in range(150):
    start, end = draw.choice(numbers)
    if draw.random() < 0.2:
        start = draw.randrange(len(text))
        end = start + draw.randrange(4)
    new = draw.choice(["99", "-1", "-99", "12", "2147483647", "-2147483648", "1e30", "", "0", "1", "0 0", "<", "&", "5"])
    try:
        found = checked((text[:start] + new + text[end:]).encode(), "x")
        cascades.classifier(found).detectMultiScale(picture, 1.2, 3)
        ends["taken"] += 1
    except (Bad, GansakuError) if sys.argv[1] == "checked" else Exception:
        ends["refused"] += 1
print(ends["taken"] > 20, ends["refused"] > 20)
"""


def test_no_mutation_of_a_cascade_ends_the_process():
    """OpenCV itself dies of a segmentation fault within these (say "raw" instead of "checked" to see it)."""
    text = (Path(cv2.data.haarcascades) / "haarcascade_russian_plate_number.xml").read_text()
    command = [sys.executable, "-c", MUTATE, "checked"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr[-500:]) == (0, "True True\n", "")


def test_a_cascade_too_large_or_too_deep_is_refused():
    assert error_of(Bad, cascades.checked, b" " * (cascades.LARGEST + 1), "x").code == "XML_LARGE"
    assert error_of(DataError, cascades.checked, b"<a>" * 100, "x").code == "XML_DEPTH"
