"""XML as elements, read so that no file can do harm: no DTD, no entity, nothing fetched, bounded in size and depth.

The encoding is found and undone here, since the parser knows no Japanese one: a byte order mark counts, then what the file
declares, else UTF-8.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from xml.parsers import expat

from gansaku.data.tally import Bad, Note
from gansaku.errors import DataError

LARGEST = 1 << 22  # bytes
MOST_ELEMENTS = 200_000
DEEPEST = 64
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
UNMARKED = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
# Windows programs that declare Shift_JIS write its superset CP932.
CODECS = {"utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8", "utf-16": "utf-8", "ks_c_5601-1987": "cp949"} | dict.fromkeys(
    ("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j", "ms932", "ms_kanji"), "cp932"
)  # utf-16 without a mark or a zero byte is another encoding with a wrong declaration
FAMILIES = re.compile(r"utf-8|cp932|euc-(jp|kr)|iso-2022-jp|gbk|gb2312|gb18030|big5|iso-8859-\d+|windows-125\d|koi8-[ru]")


@dataclass(slots=True)
class Element:
    """An element: its tag, the line that it begins in, its children, and the text that lies in it and not in them."""

    tag: str
    line: int
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts).strip()

    def all(self, tag: str) -> list[Element]:
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> Element | None:
        return next((child for child in self.children if child.tag == tag), None)

    def said(self, tag: str) -> str:
        """The text of the first such child, or ""."""
        found = self.first(tag)
        return found.text if found else ""


def read(content: bytes, name: str, largest: int = LARGEST) -> tuple[Element, list[Note]]:
    """The root element of an XML file. Raises Bad for what is no XML, DataError for what only an attack has."""
    if len(content) > largest:
        raise Bad(f"is {len(content):,} bytes long, and at most {largest:,} of XML are read", "XML_LARGE")
    if not content.strip():
        raise Bad("is empty, at line 1; save it again", "XML_SYNTAX")
    text, notes = decoded(content)
    return Reading(name).root(text), notes


def decoded(content: bytes) -> tuple[str, list[Note]]:
    """The text, without a mark, and a note where its encoding was not Unicode's. Raises Bad, with a hint where one fits."""
    found = next((codec for mark, codec in (*MARKS, *UNMARKED) if content.startswith(mark)), None)
    stated = match[1].decode().lower() if (match := DECLARED.match(content)) else "utf-8"
    codec = found or CODECS.get(stated, stated)
    if found is None and not FAMILIES.fullmatch(codec):
        raise Bad(f"declares the encoding {stated!r}, which is not supported; save it as UTF-8", "XML_ENCODING")
    try:
        text = content.decode(codec).removeprefix("\ufeff")
    except LookupError as error:
        raise Bad(f"declares the encoding {stated!r}, which is unknown; save it as UTF-8", "XML_ENCODING") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Bad(f"is not in {codec}, as {'it declares' if match else 'XML is if it declares nothing'}, at line {line}; "
                  f"{likely(content)}save it as UTF-8", "XML_ENCODING") from error  # fmt: skip
    return text, [] if codec.startswith("utf") else [Note(f"XML decoded from {codec}")]


def likely(content: bytes) -> str:
    """A phrase that names the Japanese encoding in which the bytes read best, or ""."""
    read = {}
    for codec in ("euc-jp", "cp932"):
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        read[codec] = sum("\uff61" <= letter <= "\uff9f" for letter in text)  # each EUC byte is a half-width letter in CP932
    if not read:
        return ""
    best = min(read, key=lambda codec: read[codec])
    return f"it reads well as {'CP932 (Shift_JIS)' if best == 'cp932' else 'EUC-JP'}, so declare that, or "


class Reading:
    """One pass of the parser, which is stopped at the first thing that is not allowed."""

    def __init__(self, name: str):
        self.name, self.count = name, 0
        self.open = [Element("", 0)]
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.begun
        self.parser.EndElementHandler = self.ended
        self.parser.CharacterDataHandler = self.written
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.EntityDeclHandler = self.entity

    def root(self, text: str) -> Element:
        try:
            self.parser.Parse(text, True)  # of text, its declaration of an encoding is not heeded
        except expat.ExpatError as error:
            kind = {"{": "JSON", "[": "JSON"}.get(text.lstrip()[:1])
            what = f"is {kind}, not XML" if kind else "is no whole XML"
            reason = expat.errors.messages.get(error.code, "error")
            raise Bad(f"{what}: {reason} at line {error.lineno}; export it again", "XML_SYNTAX") from error
        return self.open[0].children[0]

    def begun(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        line = self.parser.CurrentLineNumber
        if len(self.open) > DEEPEST:
            raise DataError(self.name, f"nests elements more than {DEEPEST} deep at line {line}, as no honest file does; "
                            "remove it", "XML_DEPTH")  # fmt: skip
        if self.count > MOST_ELEMENTS:
            raise Bad(f"has more than {MOST_ELEMENTS:,} elements; split it", "XML_LARGE")
        element = Element(tag, line)
        self.open[-1].children.append(element)
        self.open.append(element)

    def ended(self, tag: str) -> None:
        self.open.pop()

    def written(self, text: str) -> None:
        self.open[-1].parts.append(text)

    def doctype(self, name: str, system: str | None, public: str | None, inner: int) -> None:
        if name.lower() == "html" and not inner:
            raise Bad(f"is HTML, not XML, at line {self.parser.CurrentLineNumber}; it may be a failed download", "XML_SYNTAX")
        self.entity(name)

    def entity(self, name: str, *rest: object) -> None:
        raise DataError(self.name, f"has a document type or an entity at line {self.parser.CurrentLineNumber}, by which XML "
                        "can fetch and blow up; no annotation needs one: remove the declaration", "XML_DTD")  # fmt: skip
