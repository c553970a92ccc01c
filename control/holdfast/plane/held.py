"""HELD as a location URI speaks it (RFC 5985, RFC 6753): requests are read with suspicion, answers built around a
PIDF-LO that stays as it was, byte by byte.

The requests come from anybody.
"""

import re
from dataclasses import dataclass
from typing import Self
from xml.parsers import expat

from holdfast.core import pidf_lo_names, xml_tree
from holdfast.core.xml_tree import Bounds, Node
from holdfast.errors import HoldfastError, InputError

HELD_TYPE = "application/held+xml"
PIDF_TYPE = "application/pidf+xml"

#: A whole request needs a few hundred bytes; RFC 6155 and RFC 7840 let a client say more, which is passed over.
MOST_REQUEST_BYTES = 16384
_REQUEST_BOUNDS = Bounds(octets=MOST_REQUEST_BYTES, depth=24, elements=200, text=4096)

CIVIC, GEODETIC, LOCATION_URI, ANY = "civic", "geodetic", "locationURI", "any"

HELD = "urn:ietf:params:xml:ns:geopriv:held"
_PRESENCE = f"{pidf_lo_names.PIDF} presence"
_TUPLE = f"{pidf_lo_names.PIDF} tuple"
_LOCATION_INFO = f"{pidf_lo_names.GEOPRIV} location-info"
_CONFIDENCE = "confidence"  # beside a shape, and about it (RFC 7459)
_SHAPES = (pidf_lo_names.GML, pidf_lo_names.GML_4119, pidf_lo_names.GEOSHAPE)

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
#: xs:nonNegativeInteger, in milliseconds; nobody waits for eleven days
_MILLISECONDS = re.compile(r"[0-9]{1,9}")


class HeldError(HoldfastError):
    """The location cannot be given."""

    def __init__(self, code: str, message: str, *, http_status: int = 200) -> None:
        super().__init__(message)
        #: of RFC 5985 §6.3
        self.code = code
        #: an error of HELD is an answer of HTTP, and a good one (RFC 5985 §8)
        self.http_status = http_status

    def document(self) -> bytes:
        """The error as HELD says it. Messages are ours, and need no escaping."""
        return (
            _DECLARATION
            + f'<error xmlns="{HELD}" code="{self.code}"><message xml:lang="en">{self}</message></error>\n'.encode()
        )


class UnusableDocumentError(HoldfastError):
    """What an edge node reported as a location is no PIDF-LO."""


@dataclass(frozen=True, slots=True)
class LocationRequest:
    """What a locationRequest asks for."""

    #: the forms that must all be there, and no others; None: whatever there is
    exactly: frozenset[str] | None = None
    #: how long whoever asks will wait, in seconds; None: not said, or in words (emergencyRouting, emergencyDispatch)
    response_time_s: float | None = None


def read_request(body: bytes) -> LocationRequest:
    """A locationRequest (RFC 5985 §5.1) without its parameters that nobody may use here (RFC 6753 §3.1).

    HeldError: it is none, or something in it cannot be.
    """
    if len(body) > MOST_REQUEST_BYTES:
        raise HeldError("requestError", "the request is too long", http_status=413)
    try:
        root = xml_tree.read(body, _REQUEST_BOUNDS)
    except InputError as error:
        raise HeldError("xmlError", "the request is no XML in UTF-8, has a document type, or is too much") from error
    if (root.namespace, root.name) != (HELD, "locationRequest"):
        raise HeldError("unsupportedMessage", "only a locationRequest is answered here")
    types = [child for child in root.children if (child.namespace, child.name) == (HELD, "locationType")]
    if len(types) > 1:
        raise HeldError("xmlError", "the request has two locationTypes")
    exactly = _exactly(types[0]) if types else None
    return LocationRequest(exactly, _response_time_s(root.attributes.get("responseTime", "").strip()))


def _exactly(location_type: Node) -> frozenset[str] | None:
    types = location_type.text.split()
    exact = _BOOLEANS.get(location_type.attributes.get("exact", "false").strip())
    known = types == [ANY] or set(types) <= {CIVIC, GEODETIC, LOCATION_URI}
    if exact is None or not types or not known or location_type.children:
        raise HeldError("xmlError", "the request's locationType has no such value")
    return frozenset(types) if exact and types != [ANY] else None


def _response_time_s(text: str) -> float | None:
    if text in ("", "emergencyRouting", "emergencyDispatch"):
        return None
    if not _MILLISECONDS.fullmatch(text):
        raise HeldError("xmlError", "the request's responseTime has no such value")
    return int(text) / 1000


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a document, in bytes from its beginning. `form`: of a location; "" for a tuple."""

    start: int
    end: int
    form: str

    def is_in(self, other: "_Part") -> bool:
        return other.start <= self.start < other.end


@dataclass(frozen=True, slots=True)
class LocationDocument:
    """A PIDF-LO: UTF-8 without its XML declaration, and where its tuples and the locations in them stand."""

    content: bytes
    tuples: tuple[_Part, ...]
    locations: tuple[_Part, ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """UnusableDocumentError: it is no PIDF-LO."""
        reader = _DocumentReader(text.encode("utf-8", "replace"))
        return cls(reader.content(), tuple(reader.tuples), tuple(reader.locations))

    def answer(self, request: LocationRequest) -> bytes:
        """The locationResponse to a request. HeldError: it insists on what is not there."""
        content = self.content if request.exactly is None else self._only(request.exactly)
        # a prefix: nothing in the PIDF-LO that has no namespace comes into one
        opening = f'<held:locationResponse xmlns:held="{HELD}">'.encode()
        return _DECLARATION + opening + content + b"</held:locationResponse>\n"

    def bare(self) -> bytes:
        """The PIDF-LO itself, as a document."""
        return _DECLARATION + self.content

    def _only(self, wanted: frozenset[str]) -> bytes:
        """The PIDF-LO without locations in other forms, and without tuples that have no location left."""
        if not wanted <= {location.form for location in self.locations}:
            raise HeldError("cannotProvideLiType", "the location is not known in every form that was asked for")
        stays = wanted | {_CONFIDENCE} if GEODETIC in wanted else wanted
        gone = [location for location in self.locations if location.form not in stays]
        left = [location for location in self.locations if location.form in wanted]
        # the first location is the one that counts (RFC 5491 §3), so none may be empty
        emptied = [
            part for part in self.tuples
            if any(location.is_in(part) for location in gone) and not any(location.is_in(part) for location in left)
        ]  # fmt: skip
        gone = [location for location in gone if not any(location.is_in(part) for part in emptied)]
        content = self.content
        for part in sorted((*gone, *emptied), key=lambda part: part.start, reverse=True):
            content = content[: part.start] + content[part.end :]
        return content


class _DocumentReader:
    """Finds tuples and locations in a PIDF-LO.

    An element ends where the next thing begins, which is why every kind of thing is heard of: expat says where an
    end tag begins, but not where it ends.
    """

    def __init__(self, data: bytes) -> None:
        self.tuples: list[_Part] = []
        self.locations: list[_Part] = []
        self._data = data
        self._path: list[str] = []
        self._starts: list[int] = []
        self._ended = ""  # the element that ends here, below what self._path then holds
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._anything
        self._parser.DefaultHandlerExpand = self._anything
        self._begins = 0

    def content(self) -> bytes:
        """Read it; from its first element on. UnusableDocumentError: it is no PIDF-LO."""
        if b"<!DOCTYPE" in self._data:
            raise UnusableDocumentError  # entities would be declared in it
        try:
            self._parser.Parse(self._data, True)  # noqa: FBT003  expat knows no keywords
        except expat.ExpatError as error:
            raise UnusableDocumentError from error
        return self._data[self._begins :]

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._anything()
        if not self._path:
            if name != _PRESENCE:
                raise UnusableDocumentError
            self._begins = self._parser.CurrentByteIndex
        self._path.append(name)
        self._starts.append(self._parser.CurrentByteIndex - self._begins)

    def _end(self, _name: str) -> None:
        self._anything()
        self._ended = self._path.pop()

    def _anything(self, _data: str = "") -> None:
        if not self._ended:
            return
        here = self._parser.CurrentByteIndex - self._begins
        start, name, self._ended = self._starts.pop(), self._ended, ""
        if self._path == [_PRESENCE] and name == _TUPLE:
            self.tuples.append(_Part(start, here, ""))
        elif self._path and self._path[-1] == _LOCATION_INFO and (form := _form(name)):
            self.locations.append(_Part(start, here, form))


def _form(name: str) -> str:
    namespace, _, local_name = name.rpartition(" ")
    if local_name == "civicAddress" and namespace in (pidf_lo_names.CIVIC, pidf_lo_names.CIVIC_4119):
        return CIVIC
    if namespace == pidf_lo_names.CONFIDENCE:
        return _CONFIDENCE
    return GEODETIC if namespace in _SHAPES else ""
