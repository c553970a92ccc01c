"""LoST's documents (RFC 5222), without any I/O: requests are written, and answers of any server read with suspicion."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from holdfast.core.place import CIVIC_EXTENSIONS, civic_from_mapping
from holdfast.core.xml_tree import Bounds, Node, read
from holdfast.errors import HoldfastError, InputError
from holdfast.plane.routing_values import call_uri
from holdfast.plane.values import shown

CONTENT_TYPE = "application/lost+xml"
#: A mapping with a boundary of thousands of points needs a few hundred KiB, though we ask for none.
MOST_BYTES = 1 << 20
_BOUNDS = Bounds(octets=MOST_BYTES, depth=32, elements=20_000, text=MOST_BYTES)

_LOST = "urn:ietf:params:xml:ns:lost1"
_GML = "http://www.opengis.net/gml"
_CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
_CIVIC_EXTENSION = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr:ext"
_SERVICE = "urn:service:sos"
_SERVICES = re.compile(r"urn:service:sos(\.[a-z0-9-]+)*")
#: RFC 5222 §13.3: the form of a server's name; it is asked at the port and path where the first one was asked
_SERVER = re.compile(r"([0-9a-zA-Z-]+\.)+[0-9a-zA-Z]+")
#: RFC 5222 §13.1, §13.2 allow a text of any length, which somebody has to read
_LONGEST_MESSAGE = 200


class LostError(HoldfastError):
    """The LoST server gave no usable answer."""

    mend = "ask whoever runs the server, or try again later"


@dataclass(frozen=True, slots=True)
class Whereof:
    """What a LoST server is asked about: a civic address, a point (degrees, WGS84), or both of one place."""

    country: str
    civic: Mapping[str, str]
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class Validity:
    """What a server says of a civic address's elements (RFC 5222 §8.4.2), by their RFC 5139 names."""

    valid: tuple[str, ...]
    invalid: tuple[str, ...]
    unchecked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A mapping: the PSAP to call. `valid_until` in UTC seconds, None: for ever. `notes` are the server's warnings.

    `validity` None: the server did not validate.
    """

    psap_uri: str
    valid_until: float | None
    validity: Validity | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redirected:
    """The server knows another one that knows (RFC 5222 §13.3): its host name."""

    target: str


def find_service(place: Whereof, *, validate: bool) -> bytes:
    """A findService for urn:service:sos, in the profiles that every server knows (RFC 5222 §12).

    The civic address comes first: the order is the client's preference (RFC 5222 §8.3.1). The server is asked to ask
    others for us (recursive, §8.3.3), and to leave out the boundary's points.
    """
    locations = []
    if place.civic:
        locations.append(f'<location id="civic" profile="civic">{_civic(place)}</location>')
    if place.latitude is not None and place.longitude is not None:
        locations.append(
            f'<location id="point" profile="geodetic-2d"><Point xmlns="{_GML}" srsName="urn:ogc:def:crs:EPSG::4326">'
            f"<pos>{place.latitude:.7f} {place.longitude:.7f}</pos></Point></location>"
        )
    asked = ' validateLocation="true"' if validate and place.civic else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<findService xmlns="{_LOST}" recursive="true" serviceBoundary="reference"{asked}>'
        f"{''.join(locations)}<service>{_SERVICE}</service></findService>\n"
    ).encode()


def _civic(place: Whereof) -> str:
    elements = [f"<country>{escape(place.country)}</country>"]
    for name, text in civic_from_mapping(place.civic):  # the schema wants them in its order
        namespace = f' xmlns="{_CIVIC_EXTENSION}"' if name in CIVIC_EXTENSIONS else ""
        elements.append(f"<{name}{namespace}>{escape(text)}</{name}>")
    return f'<civicAddress xmlns="{_CIVIC}">{"".join(elements)}</civicAddress>'


def read_answer(body: bytes) -> Found | Redirected:
    """What the server answered. LostError: it refuses, says nothing we can use, or is no LoST server."""
    try:
        root = read(body, _BOUNDS)
    except InputError as error:
        raise LostError(f"the answer is not a LoST server's: {error}") from error
    kind = root.name if root.namespace == _LOST else ""
    if kind == "findServiceResponse":
        return _found(root)
    if kind == "redirect":
        target = root.attributes.get("target", "")
        if not _SERVER.fullmatch(target):
            raise LostError(f"the LoST server redirects to {shown(target)}, which is no server's name")
        return Redirected(target)
    if kind == "errors":
        raise LostError(f"the LoST server refuses: {'; '.join(_messages(root)) or 'it does not say why'}")
    raise LostError(f"the answer is not a LoST server's: it is a {shown(root.name)}")


def _found(response: Node) -> Found:
    notes = tuple(note for child in _children(response, "warnings") for note in _messages(child))
    unusable = []
    for mapping in _children(response, "mapping"):
        services = [child.text.strip() for child in _children(mapping, "service")]
        if not all(map(_SERVICES.fullmatch, services)):
            unusable.append(f"the service {shown(services[0])}")
            continue
        for uri in (child.text.strip() for child in _children(mapping, "uri")):
            if usable := _usable(uri):
                valid_until = _expiry(mapping.attributes.get("expires", ""))
                return Found(usable, valid_until, _validity(response), notes)
            unusable.append(shown(uri))
    told = f" but {', '.join(unusable[:4])}" if unusable else ""
    raise LostError(f"the LoST server names no PSAP that SIP can call{told}")


def _usable(uri: str) -> str | None:
    try:
        return call_uri(uri)
    except InputError:
        return None


def _expiry(text: str) -> float | None:
    """RFC 5222 §5.2: until when a mapping is valid. NO-CACHE: not beyond this moment, which is as long ago as 0."""
    if text == "NO-EXPIRATION":
        return None
    if text == "NO-CACHE":
        return 0.0
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise LostError(f"the LoST server's mapping expires at {shown(text)}, which is no time") from error


def _validity(response: Node) -> Validity | None:
    for child in _children(response, "locationValidation"):
        return Validity(*(_names(child, kind) for kind in ("valid", "invalid", "unchecked")))
    return None


def _names(validation: Node, kind: str) -> tuple[str, ...]:
    """Element names of a list of QNames. Their namespaces need no look: RFC 6848's names are none of RFC 5139's."""
    texts = " ".join(child.text for child in _children(validation, kind))
    return tuple(name.rpartition(":")[2] for name in texts.split())


def _messages(element: Node) -> list[str]:
    found = []
    for child in element.children:
        if child.namespace == _LOST:
            message = child.attributes.get("message", "")[:_LONGEST_MESSAGE]
            found.append(f"{child.name} ({shown(message)})" if message else child.name)
    return found


def _children(element: Node, name: str) -> list[Node]:
    """LoST's own children of that name; what others have added is theirs."""
    return [child for child in element.children if child.namespace == _LOST and child.name == name]
