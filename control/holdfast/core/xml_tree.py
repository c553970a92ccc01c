"""XML from strangers as a small tree, strictly bounded: no document type, so no entities, so nothing to expand."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat

from holdfast.errors import InputError


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that a document may have; `text` is characters of one element, its children's not counted."""

    octets: int
    depth: int
    elements: int
    text: int


class Node:
    """An element: namespace and local name (prefixes are gone), attributes without a namespace, children, own text."""

    __slots__ = ("attributes", "children", "name", "namespace", "text")

    def __init__(self, namespace: str, name: str, attributes: dict[str, str]) -> None:
        self.namespace = namespace
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.text = ""

    def walk(self) -> Iterator["Node"]:
        """This element and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


def read(document: bytes, bounds: Bounds) -> Node:
    """The root element. InputError for what is too much, not XML, not UTF-8, or more than elements, text and comments.

    Whether names are known is for the caller to judge.
    """
    if len(document) > bounds.octets:
        raise InputError(f"the document has {len(document)} bytes; at most {bounds.octets} are read")
    document = document.strip()  # an empty line before the declaration is all that some PBXs get wrong
    # expat finds out UTF-16 by itself, whatever it was told; its "<" has a zero byte in UTF-16.
    if b"\x00" in document or not _is_utf_8(document):
        raise InputError("the document is not in UTF-8")
    # XML 1.0 §2.8 allows entities nowhere else, and expat would expand what was declared before a handler could object.
    if b"<!DOCTYPE" in document:
        raise InputError("the document declares a document type, which may hold entities")
    builder = _Builder(bounds, is_ascii=document.isascii())
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.XmlDeclHandler = builder.declaration
    parser.ProcessingInstructionHandler = builder.instruction
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    try:
        parser.Parse(document, True)  # noqa: FBT003
    except expat.ExpatError as error:
        raise InputError(f"the document is not well-formed XML: {error}") from error
    return builder.top.children[0]


def _is_utf_8(document: bytes) -> bool:
    try:
        document.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Builder:
    __slots__ = ("bounds", "elements", "is_ascii", "open", "top")

    def __init__(self, bounds: Bounds, *, is_ascii: bool) -> None:
        self.bounds = bounds
        self.is_ascii = is_ascii
        self.elements = 0
        self.top = Node("", "", {})
        self.open = [self.top]

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        # A declaration of UTF-16 before bytes that are ASCII is what .NET writes, and does no harm.
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii") and not self.is_ascii:
            raise InputError(f"the document is in {encoding[:20]!r}, not in UTF-8")

    def instruction(self, target: str, _data: str) -> None:
        raise InputError(f"the document has a processing instruction, {target[:20]!r}")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if self.elements > self.bounds.elements:
            raise InputError(f"the document has more than {self.bounds.elements} elements")
        if len(self.open) > self.bounds.depth:
            raise InputError(f"the document is more than {self.bounds.depth} elements deep")
        namespace, _, name = tag.rpartition(" ")
        node = Node(namespace, name, attributes)
        self.open[-1].children.append(node)
        self.open.append(node)

    def end(self, _tag: str) -> None:
        self.open.pop()

    def text(self, data: str) -> None:
        node = self.open[-1]
        node.text += data
        if len(node.text) > self.bounds.text:
            raise InputError(f"{node.name[:40]} has more than {self.bounds.text} characters")
