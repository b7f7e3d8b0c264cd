"""XML that people have, and XML that would do harm: what is read of it, and what each bad file is told."""

import random
import re

import pytest
from making import error_of, folder_of

from gansaku.data import elements, voc
from gansaku.data.tally import Account, Bad
from gansaku.data.tree import in_folder
from gansaku.errors import DataError, printable


def annotation(*boxes, size=(60, 40), filename="photo.jpg", root="annotation", declaration=""):
    """The text of an annotation with these (name, left, top, right, bottom, *more XML)."""
    things = "".join(
        f"<object><name>{name}</name>{''.join(more)}<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox></object>\n"
        for name, left, top, right, bottom, *more in boxes
    )
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"{declaration}<{root}><filename>{filename}</filename>{stated}\n{things}</{root}>"


DOG = ("dog", 10, 5, 40, 35)
BOMB = "<!DOCTYPE a [<!ENTITY x 'xx'>" + "".join(
    f"<!ENTITY {'x' * i} '&{'x' * (i - 1)};&{'x' * (i - 1)};'>" for i in range(2, 30)
)
HTML = "<!DOCTYPE html>\n<html><head><title>404</title></head><body>not here</body></html>"


def read_one(tmp_path, content, name="photo", fix=False):
    """What is found in `notes/photo.xml` for `photo.jpg`, and the account."""
    content = content if isinstance(content, bytes) else content.encode()
    root, tally = folder_of(tmp_path, {f"{name}.jpg": b"", f"notes/{name}.xml": content}), Account()
    return voc.annotated(in_folder(root, tally), [f"{name}.jpg"], fix, tally)[f"{name}.jpg"], tally


def test_an_element_knows_its_line_its_children_and_its_own_text():
    root, notes = elements.read(b"<a>\n one<b>x &amp; y</b>\n<b/>two <c>3</c></a>", "a.xml")
    assert (root.tag, [child.tag for child in root.children], root.said("b"), root.said("c")) == (
        "a",
        ["b", "b", "c"],
        "x & y",
        "3",
    )
    assert [child.line for child in root.children] == [2, 3, 3]
    assert ("".join(root.text.split()), notes) == ("onetwo", [])


@pytest.mark.parametrize("content", [
    BOMB + "]><a>&xxxxxxxx;</a>",
    "<!DOCTYPE a [<!ENTITY x '" + "x" * 50_000 + "'>]><a>" + "&x;" * 50_000 + "</a>",
    "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
    "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
    "<!DOCTYPE html [<!ENTITY x 'x'>]><html>&x;</html>",
    "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/x'> %x;]><a/>",
    "<!DOCTYPE annotation><annotation/>",
], ids=["laughs", "quadratic", "url", "file", "html with entities", "parameter", "bare"])  # fmt: skip
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_a_document_type_stops_the_work(tmp_path, content, codec):
    error = error_of(DataError, read_one, tmp_path, content.encode(codec))
    assert (error.where, error.code) == ("notes/photo.xml", "XML_DTD")


def test_a_thousand_levels_stop_the_work_and_sixty_four_do_not(tmp_path):
    assert error_of(DataError, read_one, tmp_path, "<a>" * 200_000).code == "XML_DEPTH"
    assert error_of(DataError, elements.read, b"<a>" * 65 + b"</a>" * 65, "x").code == "XML_DEPTH"
    assert elements.read(b"<a>" * 64 + b"</a>" * 64, "x")[0].tag == "a"


@pytest.mark.parametrize(("content", "code", "said"), [
    (b"", "XML_SYNTAX", "is empty"),
    (b" \n", "XML_SYNTAX", "is empty"),
    (annotation(DOG)[:120].encode(), "XML_SYNTAX", "at line 2"),
    (b"<a>\n<b></a>", "XML_SYNTAX", "mismatched tag at line 2"),
    (b"<a>&nothing;</a>", "XML_SYNTAX", "undefined entity at line 1"),
    (HTML.encode(), "XML_SYNTAX", "is HTML"),
    (b"<html><body><p>one<br></body></html>", "XML_SYNTAX", "mismatched tag"),
    (b'{"boxes": [1, 2]}', "XML_SYNTAX", "is JSON"),
    (b'[{"boxes": 1}]', "XML_SYNTAX", "is JSON"),
    (b"\x89PNG\r\n\x1a\n" + bytes(90), "XML_ENCODING", "at line 1"),
    (b"<?xml version='1.0' encoding='zlib'?><a/>", "XML_ENCODING", "'zlib'"),
    (b"<?xml version='1.0' encoding='ebcdic-cp-us'?><a/>", "XML_ENCODING", "UTF-8"),
    (b"<?xml version='1.0' encoding='iso-8859-12'?><a/>", "XML_ENCODING", "unknown"),
    (b"<a>" + b"<b/>" * 200_001 + b"</a>", "XML_LARGE", "200,000"),
    (b"<a>" + b" " * (1 << 22) + b"</a>", "XML_LARGE", "4,194,304"),
    (annotation(*[DOG] * 2_001).encode(), "XML_LARGE", "2,001"),
])  # fmt: skip
def test_what_is_no_xml_is_left_out_with_its_reason(tmp_path, content, code, said):
    found, tally = read_one(tmp_path, content)
    ((name, sentence, given),) = tally.skipped
    assert (found, name, given) == (None, "notes/photo.xml", code)
    assert said in sentence


@pytest.mark.parametrize(
    ("codec", "stated", "notes"),
    [
        ("utf-8", "UTF-8", 0),
        ("utf-8-sig", "utf-8", 0),
        ("utf-8-sig", "Shift_JIS", 0),
        ("utf-16", "UTF-16", 0),
        ("utf-8", "utf-16", 0),
        ("utf-16-le", "utf-16", 0),
        ("utf-16-be", "utf-16", 0),
        ("utf-32", "utf-32", 0),
        ("cp932", "Shift_JIS", 1),
        ("cp932", "windows-31J", 1),
        ("euc-jp", "EUC-JP", 1),
        ("iso-2022-jp", "ISO-2022-JP", 1),
        ("gb18030", "GB2312", 1),
    ],
)
def test_a_file_in_any_common_encoding_is_read(tmp_path, codec, stated, notes):
    text = annotation(("柴犬", *DOG[1:]), declaration=f'<?xml version="1.0" encoding="{stated}"?>\n')
    found, tally = read_one(tmp_path, text.encode(codec))
    assert ([thing.name for thing in found.objects], tally.skipped) == (["柴犬"], [])
    assert sum(tally.converted.values()) == notes


@pytest.mark.parametrize(("codec", "hint"), [("cp932", "CP932"), ("euc-jp", "EUC-JP"), ("latin-1", "save it as UTF-8")])
@pytest.mark.parametrize("declaration", ['<?xml version="1.0" encoding="UTF-8"?>\n', ""])
def test_bytes_that_are_not_utf8_are_told_with_the_line_and_what_they_may_be(tmp_path, codec, hint, declaration):
    name = "dögö" if codec == "latin-1" else "アライグマ洗熊"
    found, tally = read_one(tmp_path, annotation((name, *DOG[1:]), declaration=declaration).encode(codec))
    ((_, sentence, code),) = tally.skipped
    assert (found, code) == (None, "XML_ENCODING")
    assert hint in sentence
    assert f"at line {3 if declaration else 2}" in sentence


def test_a_genuine_annotation_is_read_as_it_stands(tmp_path):
    flags = "<pose>Left</pose><truncated>1</truncated><difficult>0</difficult>"
    found, tally = read_one(tmp_path, annotation(("raccoon", 130, 2, 446, 488, flags), DOG, size=(450, 495)))
    assert found == voc.Annotation((450, 495), (
        voc.Object(0, "raccoon", voc.Box(130, 2, 446, 488), False, True),
        voc.Object(1, "dog", voc.Box(10, 5, 40, 35), False, False),
    ), True)  # fmt: skip
    assert (tally.skipped, tally.warned) == ([], {})


@pytest.mark.parametrize(("text", "root"), [("<annotation/>", "annotation"), (annotation(root="Annotations"), "Annotations")])
def test_a_file_without_objects_states_no_box_and_is_warned_of(tmp_path, text, root):
    found, tally = read_one(tmp_path, text)
    assert (found.objects, found.boxed, tally.skipped, dict(tally.warned)) == ((), False, [], {"XML_NO_BOX": 1})
    assert ("<object>" if root == "annotation" else root) in tally.warnings[0][1]


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("<bndbox>.*</bndbox>", "", "XML_ELEMENT", "<bndbox> in object 0, at line 2"),
        ("<xmin>10</xmin>", "", "XML_ELEMENT", "<xmin>"),
        ("<ymax>35</ymax>", "", "XML_ELEMENT", "<ymax>"),
        ("<name>dog</name>", "", "XML_ELEMENT", "<name>"),
        ("<name>dog</name>", "<name> </name>", "XML_ELEMENT", "<name>"),
        ("40</xm", "ten</xm", "BOX_NUMBER", "'ten'"),
        ("40</xm", "nan</xm", "BOX_NUMBER", "'nan'"),
        ("40</xm", "inf</xm", "BOX_NUMBER", "'inf'"),
        ("40</xm", "1e9</xm", "BOX_NUMBER", "'1e9'"),
        ("40</xm", "4_0</xm", "BOX_NUMBER", "'4_0'"),
        ("40</xm", "４０</xm", "BOX_NUMBER", "xmax"),
        ("40</xm", "</xm", "BOX_NUMBER", "''"),
        ("40</xm", "9" * 5000 + "</xm", "BOX_NUMBER", "…"),
        ("40</xm", "1e999</xm", "BOX_NUMBER", "xmax"),
        ("40</xm", "10</xm", "BOX_EMPTY", "without area"),
        ("40</xm", "9</xm", "BOX_EMPTY", "--fix-boxes"),
        ("35</ym", "4</ym", "BOX_EMPTY", "--fix-boxes"),
    ],
)
def test_an_object_without_a_usable_box_is_left_out_and_the_others_stay(tmp_path, old, new, code, said):
    text = re.sub(old, lambda match: new, annotation(DOG), count=1)
    other = annotation(("cat", 1, 2, 3, 4)).partition("<object>")[2].partition("</object>")[0]
    found, tally = read_one(tmp_path, text.replace("</annotation>", f"<object>{other}</object></annotation>"))
    ((name, sentence, given),) = tally.skipped
    assert (name, given, [thing[:2] for thing in found.objects], found.boxed) == ("notes/photo.xml", code, [(1, "cat")], True)
    assert said in sentence
    assert len(sentence) < 200


def test_edges_between_pixels_are_rounded_and_warned_of_and_whole_ones_are_not(tmp_path):
    found, tally = read_one(tmp_path, annotation(("dog", "9.6", "5.0", "4e1", "+35.")))
    assert (found.objects[0].box, dict(tally.warned)) == (voc.Box(10, 5, 40, 35), {"BOX_ROUNDED": 1})


def test_edges_in_the_wrong_order_are_swapped_if_that_is_asked_for(tmp_path):
    text = annotation(("dog", 40, 35, 10, 5))
    assert read_one(tmp_path / "a", text, fix=False)[0].objects == ()
    found, tally = read_one(tmp_path / "b", text, fix=True)
    assert (found.objects[0].box, sum(tally.converted.values()), tally.skipped) == (voc.Box(10, 5, 40, 35), 1, [])
    assert read_one(tmp_path / "c", annotation(("dog", 10, 5, 10, 35)), fix=True)[1].skipped[0][2] == "BOX_EMPTY"


@pytest.mark.parametrize(("stated", "warned"), [
    ("photo.jpg", 0), ("photo", 0), ("", 0), ("C:\\dogs\\photo.png", 0), ("../../etc/photo.jpg", 0),
    ("other.jpg", 1), ("../../etc/passwd", 1), ("%s", 1),
])  # fmt: skip
def test_the_file_name_in_the_annotation_is_never_followed_but_warned_of(tmp_path, stated, warned):
    found, tally = read_one(tmp_path, annotation(DOG, filename=stated))
    assert (len(found.objects), tally.skipped, tally.warned["XML_FILENAME"]) == (1, [], warned)


def match(tmp_path, *files):
    """Which annotation each picture has, and the account."""
    root, tally = folder_of(tmp_path, dict.fromkeys(files, b"")), Account()
    pictures = [name for name in files if name.endswith((".jpg", ".png"))]
    return voc.matched(in_folder(root, tally), pictures, tally), tally


@pytest.mark.parametrize("pairs", [
    {"a.jpg": "a.xml", "b.c.png": "b.c.xml"},
    {"images/a.jpg": "annotations/a.xml", "images/b.jpg": "annotations/b.XML"},
    {"Images/n02085620-Chihuahua/n1_0.jpg": "Annotation/n02085620-Chihuahua/n1_0"},
    {"images/pug/1.jpg": "notes/pug/1.xml", "images/corgi/1.jpg": "notes/corgi/1.xml"},
    {"train/images/1.jpg": "train/labels/1.xml", "test/images/1.jpg": "test/labels/1.xml"},
    {"train/1.jpg": "notes/train/1.xml", "test/1.jpg": "notes/test/1.xml"},
    {"pug/1.jpg": "pug/1.xml", "corgi/1.jpg": "corgi/1.xml"},
    {"pug/only.jpg": "elsewhere/only.xml"},
    {"\u30ac.jpg": "notes/\u30ab\u3099.xml"},  # composed, and as macOS writes it
])  # fmt: skip
def test_annotations_are_matched_by_stem_and_by_folders_of_the_same_name(tmp_path, pairs):
    found, tally = match(tmp_path, *pairs, *pairs.values())
    assert (found, tally.warned) == (pairs, {})


def test_pictures_and_annotations_without_each_other_are_warned_of(tmp_path):
    found, tally = match(tmp_path, "a.jpg", "b.jpg", "a.xml", "c.xml", "LICENSE", ".a.xml", "._b.xml")
    assert (found, dict(tally.warned)) == ({"a.jpg": "a.xml"}, {"XML_NO_BOX": 1, "XML_ALONE": 1})
    assert [name for name, _, _ in tally.warnings] == ["b.jpg", "c.xml"]


def test_a_picture_never_takes_the_annotation_of_a_namesake(tmp_path):
    found, tally = match(tmp_path, "train/1.jpg", "test/1.jpg", "train/1.xml")
    assert (found, dict(tally.warned)) == ({"train/1.jpg": "train/1.xml"}, {"XML_NO_BOX": 1})


def test_of_two_annotations_the_first_counts_and_xml_before_none(tmp_path):
    found, tally = match(tmp_path, "x/a.jpg", "m/a.xml", "n/a.xml", "m/b", "n/b.xml", "x/b.jpg")
    assert (found, dict(tally.warned)) == ({"x/a.jpg": "m/a.xml", "x/b.jpg": "n/b.xml"}, {"XML_TWICE": 2, "XML_ALONE": 1})


def test_two_pictures_that_differ_in_their_suffix_share_an_annotation_and_are_warned_of(tmp_path):
    found, tally = match(tmp_path, "a.jpg", "a.png", "a.xml")
    assert (found, dict(tally.warned)) == ({"a.jpg": "a.xml", "a.png": "a.xml"}, {"XML_SHARED": 2})


def test_a_folder_without_any_annotation_of_the_pictures_is_an_error(tmp_path):
    root, tally = folder_of(tmp_path, {"a.jpg": b"", "b.xml": b"<annotation/>"}), Account()
    error = error_of(DataError, voc.annotated, in_folder(root, tally), ["a.jpg"], False, tally)
    assert (error.code, "1 .xml" in str(error), "a.jpg" in str(error)) == ("XML_MISSING", True, True)


def test_every_bad_file_is_told_in_one_pass(tmp_path):
    bad = {
        "a.xml": b"",
        "b.xml": b"<a",
        "c.xml": HTML.encode(),
        "d.xml": b"{}",
        "e.xml": annotation(("x", 5, 5, 5, 5)).encode(),
    }
    pictures = [f"{name[0]}.jpg" for name in bad]
    root, tally = folder_of(tmp_path, bad | dict.fromkeys(pictures, b"")), Account()
    found = voc.annotated(in_folder(root, tally), pictures, False, tally)
    assert [name for name, _, _ in tally.skipped] == list(bad)
    assert [found[name] is None for name in pictures] == [True, True, True, True, False]


def test_hostile_names_are_told_without_obeying_them(tmp_path):
    found, tally = read_one(tmp_path, annotation(DOG, filename="\u202egpj.exe\n&#9;"))
    shown = str(DataError(*tally.warnings[0]))
    assert (len(found.objects), printable(shown)) == (1, shown)


def test_no_mutation_of_a_file_leads_to_anything_but_a_result_or_a_reason():
    seed = annotation(DOG, ("cat", 1, 1, 9, 9), declaration='<?xml version="1.0" encoding="utf-8"?>').encode()
    random_, ends = random.Random(0), set()
    for _ in range(1_500):
        content = bytearray(seed)
        for _ in range(random_.choice((1, 2, 8))):
            at = random_.randrange(len(content))
            content[at : at + random_.randrange(4)] = random_.choice(
                (b"<", b">", b"&", b"\0", b"\xff", b"<!DOCTYPE a>", b"", b"]]>")
            )
        try:
            elements.read(bytes(content), "x")
            ends.add("read")
        except (Bad, DataError) as error:
            ends.add(error.code)
    assert ends == {"read", "XML_SYNTAX", "XML_ENCODING", "XML_DTD"}
