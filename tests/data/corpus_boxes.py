"""X73 to X92: Pascal-VOC annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Case, near, sample
from corpus_pictures import encoded
from PIL import Image

BOXES = {"boxes": "xml", "size": 8}
HEIGHT, WIDTH = 32, 48
BOX = (8, 4, 24, 20)  # left, top, right, bottom: a square inside, of one colour


def photo(red: int = 200) -> Any:
    """(32, 48, 3): grey, and red within BOX."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    left, top, right, bottom = BOX
    pixels[top:bottom, left:right] = (red, 40, 30)
    return pixels


def box(edges: Iterable[Any] = BOX, name: str = "cat", more: str = "") -> str:
    """An object."""
    inside = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{inside}</bndbox></object>"


def voc(objects: str | None = None, size: tuple[int, int] | None = (WIDTH, HEIGHT), filename: str = "", head: str = "") -> str:
    """An annotation."""
    stated = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    name = f"<filename>{filename}</filename>" if filename else ""
    return f"{head}<annotation>{name}{stated}{box() if objects is None else objects}</annotation>"


def source(folder: Path, xml: dict[str, str | bytes], pictures: Iterable[str] = ("bad",), **options: Any) -> Path:
    """Three good pictures with their boxes, pictures of these stems, and these annotations."""
    root = folder / "source"
    for name in ("images", "xml"):
        (root / name).mkdir(parents=True)
    for number in range(3):
        stem = f"good_{number}"
        (root / "images" / f"{stem}.png").write_bytes(encoded(photo(100 + 30 * number)))
        (root / "xml" / f"{stem}.xml").write_text(voc())
    for stem in pictures:
        (root / "images" / f"{stem}.png").write_bytes(encoded(photo(), **options))
    for stem, content in xml.items():
        (root / "xml" / f"{stem}.xml").write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def case(number: int, what: str, content: str | bytes | dict[str, Any], kind: str, code: str = "", **more: Any) -> Case:
    """A case of one bad annotation, or of several files."""
    options = more.pop("options", {})
    files = content if isinstance(content, dict) else {"bad": content}
    pictures = more.pop("pictures", ("bad",))
    more.setdefault("choices", BOXES)
    if kind in "SEW" and code and not isinstance(content, dict):
        more.setdefault("names", ("bad",))
    return Case(f"X{number}", what, partial(source, xml=files, pictures=pictures, **options), kind, code, **more)


def laughs(levels: int, times: int, word: str = "ha") -> str:
    """Entities of entities: times^levels words."""
    lines = [f'<!ENTITY l0 "{word}">', *(f'<!ENTITY l{i + 1} "{f"&l{i};" * times}">' for i in range(levels))]
    return f"<?xml version='1.0'?><!DOCTYPE annotation [{''.join(lines)}]><annotation>&l{levels};</annotation>"


def quadratic() -> str:
    return f'<!DOCTYPE a [<!ENTITY x "{"x" * 50_000}">]><annotation>{"&x;" * 20_000}</annotation>'


def nested(depth: int) -> str:
    return f"{'<a>' * depth}{'</a>' * depth}"


def is_the_box(name: str = "images/bad_0") -> Callable[[Any], None]:
    """The sample is what lies within BOX."""
    return lambda dataset: near(sample(dataset, name)[2:-2, 2:-2], (200, 40, 30), 2)  # at its edge the filter looks beyond


def counts(count: int) -> Callable[[Any], None]:
    def holds(dataset: Any) -> None:
        assert sum(dataset.counts.values()) == count

    return holds


def whole_is_taken(dataset: Any) -> None:
    """The picture without a box, cropped to the middle: grey at the right edge, as the box is not."""
    assert sum(dataset.counts.values()) == 4
    found = sample(dataset, "images/bad.png" if "images/bad.png" in list(dataset.names) else "images/bad")
    assert found[:, -1].max() < 120


def classes(*names: str) -> Callable[[Any], None]:
    def holds(dataset: Any) -> None:
        assert dataset.classes == names

    return holds


def turned() -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


JAPANESE = "猫表"
DTD, SYNTAX = "XML_DTD", "XML_SYNTAX"
CASES = [
    case(73, "a billion laughs", laughs(9, 10), "E", DTD),
    case(73, "three megabytes of laughs in six levels", laughs(6, 10, "ha" * 1), "E", DTD),
    case(74, "quadratic blow-up", quadratic(), "E", DTD),
    case(
        75,
        "an external entity",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation>&x;</annotation>',
        "E",
        DTD,
    ),
    case(75, "a DTD on the net", '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation/>', "E", DTD),
    case(75, "a parameter entity", '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/a.dtd">%x;]><annotation/>', "E", DTD),
    case(76, "nested 200,000 deep", nested(200_000), "E", "XML_DEPTH"),
    case(77, "empty", "", "S", SYNTAX, says="line 1"),
    case(77, "cut short", voc()[:-20], "S", SYNTAX, says="line 1"),
    case(77, "cut short in line 3", voc().replace("<object>", "\n\n<object>")[:-20], "S", SYNTAX, says="line 3"),
    case(78, "UTF-16", voc(head='<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16"), "ok", holds=is_the_box()),
    case(78, "a byte order mark", b"\xef\xbb\xbf" + voc().encode(), "ok", holds=is_the_box()),
    *[
        case(
            79,
            codec,
            voc(box(name=JAPANESE), head=f'<?xml version="1.0" encoding="{codec}"?>').encode(codec),
            "C",
            holds=classes("cat", JAPANESE),
        )
        for codec in ("Shift_JIS", "EUC-JP")
    ],
    case(
        80,
        "said to be UTF-8 and in CP932",
        voc(box(name=JAPANESE), head='<?xml version="1.0" encoding="UTF-8"?>').encode("cp932"),
        "S",
        "XML_ENCODING",
        says="CP932",
    ),
    case(81, "HTML", "<!DOCTYPE html><html><body><p>404</body></html>", "S", SYNTAX),
    case(81, "JSON", '{"annotation": {"object": []}}', "S", SYNTAX),
    case(82, "another root", "<labels><label/></labels>", "W", "XML_NO_BOX", holds=counts(3)),
    case(82, "no object", voc(""), "W", "XML_NO_BOX", holds=counts(3)),
    case(
        82,
        "no object, taken whole",
        voc(""),
        "W",
        "XML_NO_BOX",
        choices={**BOXES, "without_box": "whole"},
        holds=whole_is_taken,
    ),
    case(83, "no bndbox", voc("<object><name>cat</name></object>"), "S", "XML_ELEMENT", says="<bndbox>"),
    case(83, "no xmin", voc(box().replace("xmin", "x")), "S", "XML_ELEMENT", says="<xmin>"),
    case(83, "no name", voc(box().replace("name", "title")), "S", "XML_ELEMENT", says="<name>"),
    *[
        case(84, f"an edge of {edge or 'nothing'}", voc(box((edge, *BOX[1:]))), "S", "BOX_NUMBER")
        for edge in ("left", "nan", "inf", "1e9", "", "0x10", "9" * 400)
    ],
    case(84, "edges between pixels", voc(box((8.4, 3.6, 24.2, 19.7))), "W", "BOX_ROUNDED", holds=is_the_box()),
    case(85, "no width", voc(box((8, 4, 8, 20))), "S", "BOX_EMPTY"),
    case(86, "swapped edges", voc(box((24, 20, 8, 4))), "S", "BOX_EMPTY", says="--fix-boxes"),
    case(86, "swapped edges, mended", voc(box((24, 20, 8, 4))), "C", choices={**BOXES, "fix_boxes": True}, holds=is_the_box()),
    case(87, "partly outside", voc(box((-4, -4, 24, 20))), "W", "BOX_CLIPPED", holds=counts(4)),
    case(88, "wholly outside", voc(box((60, 4, 80, 20))), "S", "BOX_OUTSIDE"),
    case(89, "another size stated", voc(size=(WIDTH * 2, HEIGHT * 2)), "W", "BOX_SIZE", holds=is_the_box()),
    case(
        89,
        "another size stated, scaled to",
        voc(box([2 * edge for edge in BOX]), (WIDTH * 2, HEIGHT * 2)),
        "W",
        "BOX_SIZE",
        choices={**BOXES, "rescale_boxes": True},
        holds=is_the_box(),
    ),
    case(89, "a size of 0 x 0 stated", voc(size=(0, 0)), "W", "BOX_SIZE", holds=is_the_box()),
    case(89, "turned by EXIF, stated as it is stored", voc(), "W", "BOX_SIZE", options=turned()),
    case(89, "turned by EXIF, stated upright", voc(size=(HEIGHT, WIDTH)), "ok", options=turned(), holds=counts(4)),
    case(90, "two pixels", voc(box((8, 4, 9, 6))), "W", "BOX_SMALL", holds=counts(4)),
    case(
        90,
        "two pixels, and four are asked for",
        voc(box((8, 4, 10, 6))),
        "L",
        "BOX_FILTERED",
        choices={**BOXES, "min_box": 4},
        holds=counts(3),
    ),
    case(91, "a file name that leads out", voc(filename="../../../etc/passwd"), "W", "XML_FILENAME", holds=is_the_box()),
    case(91, "another picture's file name", voc(filename="good_1.png"), "W", "XML_FILENAME", holds=is_the_box()),
    case(92, "an annotation without a picture", {"alone": voc()}, "W", "XML_ALONE", pictures=(), holds=counts(3)),
    case(92, "a picture without an annotation", {}, "W", "XML_NO_BOX", pictures=("bad",), holds=counts(3)),
    case(92, "no annotation at all", {}, "E", "XML_MISSING", pictures=("bad",), choices={**BOXES, "boxes": "images"}),
]
