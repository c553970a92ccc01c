"""Location documents (PIDF-LO: RFC 3863, 4119, 5139, 5491, 7459) as phones, PBXs and Lync send them, taken apart.

Nobody's name comes out: contacts, notes and who provided the location are dropped here (A2).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from holdfast.core.pidf_lo_build import DATE_TIME, URI, build
from holdfast.core.pidf_lo_names import (
    CIVIC,
    CIVIC_4119,
    CIVIC_EXTENSION,
    CONFIDENCE,
    DATA_MODEL,
    DEGREES,
    GEOPRIV,
    GEOSHAPE,
    GML,
    GML_4119,
    MEASURE_ELEMENTS,
    METRES,
    PIDF,
    RADIANS,
    SHAPE_ELEMENTS,
)
from holdfast.core.place import (
    FORMS,
    Place,
    Shape,
    ShapeKind,
    civic_element,
    civic_in_order,
    civic_text,
    confidence_percent,
)
from holdfast.core.xml_tree import Bounds, Node, read
from holdfast.errors import InputError

__all__ = ["PidfLo", "build", "parse"]

_BOUNDS = Bounds(octets=65_536, depth=24, elements=500, text=4_096)
MAX_PLACES = 8
MAX_URIS = 8

#: RFC 5491 §3 rule 8: the first device's location counts, then the first tuple's; a person's is the last resort.
_PRECEDENCE = {(DATA_MODEL, "device"): 0, (PIDF, "tuple"): 1, (DATA_MODEL, "person"): 2}
_SHAPES = {element: kind for kind, element in SHAPE_ELEMENTS.items()}
_SHAPES |= {(GML_4119, name): kind for (space, name), kind in _SHAPES.items() if space == GML}
_GMLS = (GML, GML_4119)
_CIVICS = (CIVIC, CIVIC_4119)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?")
#: Degrees, minutes and seconds, as RFC 4119 §2.3 writes them.
_SEXAGESIMAL = re.compile(r"([0-9]{1,3}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,9})?)([NSEW])")
_WGS84 = re.compile(r".*epsg.*[:#/](?:4326|4979)", re.ASCII | re.IGNORECASE)
_METHOD = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_SEPARATORS = re.compile(r"[\s,]+")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}  # "yes": RFC 4119 §2.3
#: Lync's elements, in whatever namespace and spelling: NOTIFICATION-URI, ConferenceUri, … ([MS-SIPRE] appendix D).
_EXTENSIONS = {
    "notificationuri": "notified", "notificationurl": "notified", "conferenceuri": "conference",
    "conferencemode": "mode",
}  # fmt: skip
_REACHABLE = ("sip:", "sips:", "tel:", "http:", "https:", "mailto:", "im:")


@dataclass(frozen=True, slots=True)
class PidfLo:
    """What a location document says. `places` are in order of precedence, the one that counts first.

    `conference_mode` is "oneway" or "twoway"; times are as written (RFC 3339). `faults` says what was there and could
    not be used: a bad shape does not cost the address beside it.
    """

    places: tuple[Place, ...] = ()
    entity: str = ""
    notification_uris: tuple[str, ...] = ()
    conference_uri: str | None = None
    conference_mode: str | None = None
    #: None: it does not say, which RFC 4119 §2.2.2 reads as no
    retransmission_allowed: bool | None = None
    retention_expiry: str | None = None
    timestamp: str | None = None
    faults: tuple[str, ...] = ()


def parse(document: bytes) -> PidfLo:
    """Read a document. InputError when it is none, is too much, or has locations of which none can be used."""
    root = read(document, _BOUNDS)
    if (root.namespace, root.name) != (PIDF, "presence"):
        raise InputError(f"the document is {root.name[:40]!r}, not the presence of RFC 3863")
    return _Reading().presence(root)


class _Reading:
    """One document's reading, and what was wrong with it."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def presence(self, root: Node) -> PidfLo:
        holders = [child for child in root.children if (child.namespace, child.name) in _PRECEDENCE]
        holders.sort(key=lambda holder: _PRECEDENCE[holder.namespace, holder.name])
        # Rule 8 names one location to act on; the others are kept behind it, for whoever reads on (RFC 5491 §3 rule 3).
        located = [(holder, node) for holder in holders for node in _named(holder, GEOPRIV, "geopriv")]
        places: list[Place] = []
        source: tuple[Node, Node] | None = None
        for holder, geopriv in located:
            some = self.places(geopriv)
            if some and source is None:
                source = holder, geopriv
            places += some
        if self.faults and not places:
            raise InputError(f"the document has no location that can be used: {self.faults[0]}")
        if len(places) > MAX_PLACES:
            self.faults.append(f"{len(places)} places, of which {MAX_PLACES} are kept")
        notified, conference_uri, conference_mode = self.extensions(geopriv for _, geopriv in located)
        holder, geopriv = source or (located[0] if located else (root, root))
        rules = _children(geopriv, "usage-rules")
        return PidfLo(
            places=tuple(dict.fromkeys(places))[:MAX_PLACES],
            entity=self.matching(URI, "entity", root.attributes.get("entity", "")) or "",
            notification_uris=notified,
            conference_uri=conference_uri,
            conference_mode=conference_mode,
            retransmission_allowed=_BOOLEANS.get(_text_of(rules, "retransmission-allowed").lower()),
            retention_expiry=self.matching(DATE_TIME, "retention-expiry", _text_of(rules, "retention-expiry")),
            timestamp=self.matching(DATE_TIME, "timestamp", _text_of([holder], "timestamp")),
            faults=tuple(self.faults),
        )

    def matching(self, pattern: re.Pattern[str], name: str, text: str) -> str | None:
        if text and not pattern.fullmatch(text):
            self.faults.append(f"{name} is not what it should be")
            return None
        return text or None

    def places(self, geopriv: Node) -> list[Place]:
        """The places of one geopriv element: its address and its shape are one place (RFC 5491 §3 rule 6)."""
        method = self.matching(_METHOD, "method", _text_of([geopriv], "method")) or ""
        information = [node for info in _children(geopriv, "location-info") for node in info.children]
        civics = [self.civic(node) for node in information if node.namespace in _CIVICS and node.name == "civicAddress"]
        confidence = self.confidence(information)
        shapes = [self.shape(node, kind, confidence) for node, kind in _shapes(information)]
        both = zip_longest((civic for civic in civics if civic), (shape for shape in shapes if shape))
        return [Place(civic or (), shape, method) for civic, shape in both]

    def confidence(self, information: list[Node]) -> float | None:
        """RFC 7459 §5: a number, or the word that it is unknown."""
        text = next((node.text.strip() for node in information if node.namespace == CONFIDENCE), "unknown")
        if text == "unknown":
            return None
        try:
            return confidence_percent(_number(text))
        except InputError as error:
            self.faults.append(str(error))
            return None

    def civic(self, address: Node) -> tuple[tuple[str, str], ...]:
        found: dict[str, str] = {}
        for node in address.children:
            name = civic_element(node.name) if node.namespace in (*_CIVICS, CIVIC_EXTENSION) else None
            if name is None:
                continue  # somebody's extension: RFC 5139 §3.6 lets everybody have theirs
            if name in found:
                self.faults.append(f"a second {name} in a civic address")
                continue
            try:
                found[name] = civic_text(name, node.text)
            except InputError as error:
                self.faults.append(str(error))
        return civic_in_order(found)

    def shape(self, node: Node, kind: ShapeKind, confidence: float | None) -> Shape | None:
        try:
            srs_name = node.attributes.get("srsName", "")
            if srs_name and not _WGS84.fullmatch(srs_name):
                raise InputError(f"a {kind} in coordinates of {srs_name[:60]!r}, not of WGS84")
            measures = {
                field: _measure(node, MEASURE_ELEMENTS[field], is_angle=field.endswith("_degrees"))
                for field in FORMS[kind].measures
            }
            return Shape(kind, _positions(node), **measures, confidence_percent=confidence)
        except InputError as error:
            self.faults.append(str(error))
            return None

    def extensions(self, geoprivs: Iterator[Node]) -> tuple[tuple[str, ...], str | None, str | None]:
        """Whom to tell, whom to confer with, and how: the first of each, and every notification URI."""
        found: dict[str, list[str]] = {}
        for geopriv in geoprivs:
            for node in geopriv.walk():
                name = _EXTENSIONS.get(node.name.lower().replace("-", "").replace("_", ""))
                if name is not None and node.text.strip():
                    found.setdefault(name, []).append(node.text.strip())
        notified = self.uris([uri for text in found.get("notified", ()) for uri in _SEPARATORS.split(text)])
        conference = self.uris(found.get("conference", []))
        mode = next(iter(found.get("mode", ())), "").lower().replace("-", "")
        if mode not in ("", "oneway", "twoway"):
            self.faults.append("a conference mode that is neither one-way nor two-way")
            mode = ""
        return notified[:MAX_URIS], next(iter(conference), None), mode or None

    def uris(self, texts: list[str]) -> tuple[str, ...]:
        usable = [text for text in texts if URI.fullmatch(text) and text.lower().startswith(_REACHABLE)]
        if len(usable) != len(texts):
            self.faults.append("a URI to notify or to confer with that cannot be used")
        return tuple(dict.fromkeys(usable))


def _named(node: Node, namespace: str, name: str) -> Iterator[Node]:
    return (found for found in node.walk() if found.name == name and found.namespace == namespace)


def _children(node: Node, name: str) -> list[Node]:
    """The children of this name, in whatever namespace: there is no other that it could mean here."""
    return [child for child in node.children if child.name == name]


def _text_of(nodes: list[Node], name: str) -> str:
    """The text of the first child of this name that any of the elements has."""
    return next((child.text.strip() for node in nodes for child in _children(node, name)), "")


def _shapes(information: list[Node]) -> Iterator[tuple[Node, ShapeKind]]:
    for node in information:
        kind = _SHAPES.get((node.namespace, node.name))
        if kind is not None:
            yield node, kind
        elif node.namespace in _GMLS and node.name == "location":  # RFC 4119 §2.3 puts its points into one
            yield from _shapes(node.children)


def _positions(shape: Node) -> tuple[tuple[float, ...], ...]:
    """Latitude first, always (RFC 5491 §5.1). A list of them is three by three only where the element says so."""
    found: list[tuple[float, ...]] = []
    three = "4979" in shape.attributes.get("srsName", "")
    for node in shape.walk():
        if node.namespace not in _GMLS:
            continue
        if node.name == "interior":
            raise InputError("a polygon with a hole, which RFC 5491 §5.2.2 does not allow")
        three = three or node.attributes.get("srsDimension") == "3" or "4979" in node.attributes.get("srsName", "")
        if node.name == "pos":
            found.append(tuple(map(_number, node.text.split())))
        elif node.name == "posList":
            numbers = list(map(_number, node.text.split()))
            size = 3 if three else 2
            found += [tuple(numbers[first : first + size]) for first in range(0, len(numbers), size)]
        elif node.name == "coordinates":
            found.append(tuple(map(_coordinate, node.text.replace(",", " ").split())))
    return tuple(found)


def _measure(shape: Node, name: str, *, is_angle: bool) -> float:
    node = next(_named(shape, GEOSHAPE, name), None)
    if node is None:
        raise InputError(f"a {shape.name} without its {name}")
    value = _number(node.text.strip())
    unit = node.attributes.get("uom", "")
    if is_angle and unit == RADIANS:
        value = math.degrees(value)
    elif unit not in ("", DEGREES if is_angle else METRES):
        raise InputError(f"{name} in {unit[:60]!r}, which RFC 5491 §5.2 does not know")
    return value % 360 if is_angle and name != "openingAngle" else value


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise InputError(f"{text[:20]!r} is not a number")
    return float(text)


def _coordinate(text: str) -> float:
    found = _SEXAGESIMAL.fullmatch(text)
    if found is None:
        return _number(text)
    degrees, minutes, seconds, side = found.groups()
    value = int(degrees) + int(minutes) / 60 + float(seconds) / 3600
    return -value if side in "SW" else value
