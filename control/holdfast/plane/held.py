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
_LOCATION_INFO = f"{pidf_lo_names.GEOPRIV} location-info"
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
class LocationDocument:
    """A PIDF-LO: UTF-8 without its XML declaration, and where the location stands in it, by form."""

    content: bytes
    places: tuple[tuple[int, int, str], ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """UnusableDocumentError: it is no PIDF-LO."""
        return cls(*_DocumentReader(text.encode("utf-8", "replace")).read())

    def answer(self, request: LocationRequest) -> bytes:
        """The locationResponse to a request. HeldError: it insists on what is not there."""
        wanted = request.exactly
        content = self.content
        if wanted is not None:
            if not wanted <= {form for _, _, form in self.places}:
                raise HeldError("cannotProvideLiType", "the location is not known in every form that was asked for")
            for start, end, form in reversed(self.places):
                if form not in wanted:
                    content = content[:start] + content[end:]
        # a prefix: nothing in the PIDF-LO that has no namespace comes into one
        opening = f'<held:locationResponse xmlns:held="{HELD}">'.encode()
        return _DECLARATION + opening + content + b"</held:locationResponse>\n"

    def bare(self) -> bytes:
        """The PIDF-LO itself, as a document."""
        return _DECLARATION + self.content


class _DocumentReader:
    """Finds the location's forms in a PIDF-LO.

    An element ends where the next thing begins, which is why every kind of thing is heard of: expat says where an
    end tag begins, but not where it ends.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._path: list[str] = []
        self._begins = -1  # of the document's element
        self._open: tuple[int, int, str] | None = None  # depth, beginning and form of the location that is being read
        self._ended: tuple[int, str] | None = None  # beginning and form of the one that ends here
        self._places: list[tuple[int, int, str]] = []
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._anything
        self._parser.DefaultHandlerExpand = self._anything

    def read(self) -> tuple[bytes, tuple[tuple[int, int, str], ...]]:
        if b"<!DOCTYPE" in self._data:
            raise UnusableDocumentError  # entities would be declared in it
        try:
            self._parser.Parse(self._data, True)  # noqa: FBT003  expat knows no keywords
        except expat.ExpatError as error:
            raise UnusableDocumentError from error
        return self._data[self._begins :], tuple(self._places)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._anything()
        here = self._parser.CurrentByteIndex
        if not self._path:
            if name != _PRESENCE:
                raise UnusableDocumentError
            self._begins = here
        form = _form(name)
        if self._open is None and form and self._path[-1] == _LOCATION_INFO:
            self._open = (len(self._path), here - self._begins, form)
        self._path.append(name)

    def _end(self, _name: str) -> None:
        self._anything()
        self._path.pop()
        if self._open is not None and self._open[0] == len(self._path):
            self._ended, self._open = self._open[1:], None

    def _anything(self, _data: str = "") -> None:
        if self._ended is not None:
            begins, form = self._ended
            self._places.append((begins, self._parser.CurrentByteIndex - self._begins, form))
            self._ended = None


def _form(name: str) -> str:
    namespace, _, local_name = name.rpartition(" ")
    if local_name == "civicAddress" and namespace in (pidf_lo_names.CIVIC, pidf_lo_names.CIVIC_4119):
        return CIVIC
    return GEODETIC if namespace in _SHAPES else ""
