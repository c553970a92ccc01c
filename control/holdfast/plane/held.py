"""HELD as a location URI speaks it (RFC 5985, RFC 6753): requests are read with suspicion, answers built around a
PIDF-LO that stays as it was, byte by byte.

The requests come from anybody. A document type, and with it every entity, ends the reading.
"""

import re
from dataclasses import dataclass
from typing import NoReturn, Self
from xml.parsers import expat

from holdfast.errors import HoldfastError

HELD_TYPE = "application/held+xml"
PIDF_TYPE = "application/pidf+xml"

#: A whole request needs a few hundred bytes; RFC 6155 and RFC 7840 let a client say more, which is passed over.
MOST_REQUEST_BYTES = 16384
MOST_DEPTH = 32

CIVIC, GEODETIC, LOCATION_URI, ANY = "civic", "geodetic", "locationURI", "any"

_HELD = "urn:ietf:params:xml:ns:geopriv:held"
_REQUEST = f"{_HELD} locationRequest"
_LOCATION_TYPE = f"{_HELD} locationType"
_PRESENCE = "urn:ietf:params:xml:ns:pidf presence"
_LOCATION_INFO = "urn:ietf:params:xml:ns:pidf:geopriv10 location-info"
_CIVIC_ADDRESS = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr civicAddress"
_SHAPES = "http://www.opengis.net/"  # GML, and the shapes of RFC 5491

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
            + f'<error xmlns="{_HELD}" code="{self.code}"><message xml:lang="en">{self}</message></error>\n'.encode()
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
    reader = _RequestReader()
    parser = _parser()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        _parse(parser, body)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an encoding that Python has not
        raise HeldError("xmlError", "the request is not well-formed XML without a document type") from error
    return reader.request()


class _RequestReader:
    """Collects what matters of a locationRequest while it is parsed."""

    def __init__(self) -> None:
        self._depth = 0
        self._response_time = ""
        self._exact = ""
        self._types: list[str] | None = None  # pieces of the text of locationType
        self._inside_type = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH or self._inside_type:
            raise HeldError("xmlError", "the request has an element where none can be")
        if self._depth == 1:
            if name != _REQUEST:
                raise HeldError("unsupportedMessage", "only a locationRequest is answered here")
            self._response_time = attributes.get("responseTime", "")
        elif self._depth == 2 and name == _LOCATION_TYPE:
            if self._types is not None:
                raise HeldError("xmlError", "the request has two locationTypes")
            self._types, self._inside_type = [], True
            self._exact = attributes.get("exact", "false")

    def end(self, _name: str) -> None:
        self._depth -= 1
        self._inside_type = False

    def text(self, data: str) -> None:
        if self._types is not None and self._inside_type:
            self._types.append(data)

    def request(self) -> LocationRequest:
        return LocationRequest(self._exactly(), _response_time_s(self._response_time.strip()))

    def _exactly(self) -> frozenset[str] | None:
        if self._types is None:
            return None
        types = "".join(self._types).split()
        exact = _BOOLEANS.get(self._exact.strip())
        if exact is None or not types or not (types == [ANY] or set(types) <= {CIVIC, GEODETIC, LOCATION_URI}):
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
        opening = f'<held:locationResponse xmlns:held="{_HELD}">'.encode()
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
        self._parser = _parser("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._anything
        self._parser.DefaultHandlerExpand = self._anything

    def read(self) -> tuple[bytes, tuple[tuple[int, int, str], ...]]:
        try:
            _parse(self._parser, self._data)
        except (expat.ExpatError, ValueError) as error:
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
    if name == _CIVIC_ADDRESS:
        return CIVIC
    return GEODETIC if name.startswith(_SHAPES) else ""


def _parser(encoding: str | None = None) -> expat.XMLParserType:
    parser = expat.ParserCreate(encoding, " ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    return parser


def _parse(parser: expat.XMLParserType, whole: bytes) -> None:
    parser.Parse(whole, True)  # noqa: FBT003  expat knows no keywords


def _refuse(*_: object) -> NoReturn:
    raise ValueError("a document type")
