"""Where somebody is: a civic address (RFC 5139, RFC 6848), a shape on the earth (RFC 5491 §5.2), or both."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

from holdfast.errors import InputError

#: In the order of the schema: RFC 5139 §4, and after them RFC 6848 §5's, which stand in a namespace of their own.
CIVIC_ELEMENTS = (
    "country", "A1", "A2", "A3", "A4", "A5", "A6", "PRM", "PRD", "RD", "STS", "POD", "POM", "RDSEC", "RDBR", "RDSUBBR",
    "HNO", "HNS", "LMK", "LOC", "FLR", "NAM", "PC", "BLD", "UNIT", "ROOM", "SEAT", "PLC", "PCN", "POBOX", "ADDCODE",
)  # fmt: skip
CIVIC_EXTENSIONS = ("PN", "MP", "STP", "HNP")
#: RFC 4776 §3.3 gives a civic element one octet for its length.
MAX_CIVIC_TEXT = 255
_CANONICAL = MappingProxyType({name.lower(): name for name in (*CIVIC_ELEMENTS, *CIVIC_EXTENSIONS)})
_COUNTRY = re.compile("[A-Z]{2}")
#: What XML 1.0 §2.2 does not allow, and the other control characters, the line ends and direction marks with them.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

#: RFC 5491 §5.2.2 wants few; a document of our size limit could bring thousands.
MAX_POSITIONS = 64
_METRES_PER_DEGREE = 111_319.5  # of latitude, WGS84's equatorial radius

#: IANA, "Method Tokens" (RFC 4119 §6.1) as of 2022-09-15, in lower case: those by which an instrument or the network
#: finds a place. Left out are Manual and its kin, best-guess, and the Derived ones, whose origin nobody knows.
_MEASURED = frozenset({
    "802.11", "a-gnss", "a-gps", "aoa", "cell", "dbh", "dbh2", "dbh_helo", "device-assisted_a-gps",
    "device-assisted_eotd", "device-based_a-gps", "device-based_eotd", "dhcp", "e-cid", "els-ble", "els-wifi", "gnss",
    "gps", "handset_aflt", "handset_ble", "handset_eflt", "handset_wifi", "hybrid_a-gps", "hybridagps_aflt",
    "hybridcellsector_aflt", "hybridcellsector_agps", "hybridotdoa_a-gnss", "hybridotdoa_agps",
    "hybridrfpatternmatch_agps", "hybridtdoa_a-gnss", "hybridtdoa_aoa", "hybridtdoa_agps", "hybridtdoa_agps_aoa",
    "hybridwifi_agps", "ipdl", "lldp-med", "mbs", "mpl", "nead-ble", "nead-wifi", "networkrffingerprinting",
    "networktdoa", "networktoa", "nmr", "otdoa", "proximity", "rfid", "rssi", "rssi-rtt", "rtt", "ta", "ta-nmr",
    "triangulation", "utdoa", "wiremap",
})  # fmt: skip
#: What Teams writes there: the administrator's network map, and what the device measured and its user then confirmed.
#: Its CLS (measured, nobody confirmed it) goes to screening by Microsoft's own advice, and so does MANUAL.
_CONFIRMED = frozenset({"lis", "assist"})


def measured(method: str) -> bool:
    """Whether a method (RFC 4119 §2.2.3) says that a machine determined the place; unknown ones do not."""
    return method.strip().lower() in _MEASURED | _CONFIRMED


def confidence_percent(value: float) -> float:
    """A confidence that may stand in a document. InputError for 0, 100 and beyond, which RFC 7459 §7 excludes."""
    if not 0.01 <= value <= 99.99:
        raise InputError(f"a confidence of {value} is not between 0 and 100 per cent")
    return value


class ShapeKind(StrEnum):
    """RFC 5491 §5.2's shapes."""

    POINT = "point"
    CIRCLE = "circle"
    ELLIPSE = "ellipse"
    ARC_BAND = "arc_band"
    POLYGON = "polygon"
    SPHERE = "sphere"
    ELLIPSOID = "ellipsoid"
    PRISM = "prism"


@dataclass(frozen=True, slots=True)
class Form:
    """What a kind of shape is made of: the measures it has, and how many numbers a position may have."""

    measures: tuple[str, ...]
    dimensions: tuple[int, ...] = (2, 3)


FORMS: Mapping[ShapeKind, Form] = MappingProxyType(
    {
        ShapeKind.POINT: Form(()),
        ShapeKind.CIRCLE: Form(("radius_m",)),
        ShapeKind.ELLIPSE: Form(("semi_major_m", "semi_minor_m", "orientation_degrees")),
        ShapeKind.ARC_BAND: Form(("inner_radius_m", "outer_radius_m", "start_angle_degrees", "opening_angle_degrees")),
        ShapeKind.POLYGON: Form(()),
        ShapeKind.SPHERE: Form(("radius_m",), (3,)),
        ShapeKind.ELLIPSOID: Form(("semi_major_m", "semi_minor_m", "vertical_m", "orientation_degrees"), (3,)),
        ShapeKind.PRISM: Form(("height_m",), (3,)),
    }
)
_RINGS = (ShapeKind.POLYGON, ShapeKind.PRISM)
_MEASURES = tuple(dict.fromkeys(name for form in FORMS.values() for name in form.measures))


@dataclass(frozen=True, slots=True)
class Shape:
    """A region of WGS84 that somebody is in, 2D or 3D. One that exists is sound: InputError says what is not.

    `positions` are (latitude, longitude) or (latitude, longitude, altitude), in degrees and metres: one of them, or a
    polygon's ring, whose last is its first. Angles are degrees clockwise from north.
    """

    kind: ShapeKind
    positions: tuple[tuple[float, ...], ...]
    radius_m: float | None = None
    semi_major_m: float | None = None
    semi_minor_m: float | None = None
    vertical_m: float | None = None
    orientation_degrees: float | None = None
    inner_radius_m: float | None = None
    outer_radius_m: float | None = None
    start_angle_degrees: float | None = None
    opening_angle_degrees: float | None = None
    height_m: float | None = None
    #: how likely they are inside, in per cent; None: nobody says, which RFC 5491 §5.2 reads as 95 (RFC 7459 §5)
    confidence_percent: float | None = None

    def __post_init__(self) -> None:
        self._check_positions()
        self._check_measures()
        if self.confidence_percent is not None:
            confidence_percent(self.confidence_percent)

    def _check_positions(self) -> None:
        dimensions = {len(position) for position in self.positions}
        if len(dimensions) != 1 or not dimensions <= set(FORMS[self.kind].dimensions):
            raise InputError(f"the positions of a {self.kind} are not all latitude and longitude, alike with altitude")
        for latitude, longitude, *altitude in self.positions:
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                raise InputError(
                    f"latitude {latitude}, longitude {longitude} is nowhere on earth",
                    mend="give degrees, the latitude first: -90 to 90, then -180 to 180",
                )
            if altitude and not -20_000 <= altitude[0] <= 100_000:
                raise InputError(f"an altitude of {altitude[0]} metres is nowhere near the earth")
        if self.kind not in _RINGS:
            if len(self.positions) != 1:
                raise InputError(f"a {self.kind} has one position, not {len(self.positions)}")
        elif not 4 <= len(self.positions) <= MAX_POSITIONS:
            raise InputError(f"a polygon of {len(self.positions)} positions: 4 to {MAX_POSITIONS} can be used")
        elif self.positions[0] != self.positions[-1]:
            raise InputError(f"the {self.kind} is not closed: its last position is not its first")

    def _check_measures(self) -> None:
        needed = FORMS[self.kind].measures
        for name in _MEASURES:
            value = getattr(self, name)
            if (value is None) != (name not in needed):
                raise InputError(f"a {self.kind} has {' and '.join(needed) or 'no measures'}, not just any {name}")
            limit = 360 if name.endswith("_degrees") else 40_000_000  # once around the earth
            if value is not None and not 0 <= value <= limit:
                raise InputError(f"{name} is {value}: 0 to {limit} can be used")
        if (self.inner_radius_m or 0) > (self.outer_radius_m or 0):
            raise InputError("the inner radius of an arc band is greater than the outer one")

    def centre(self) -> tuple[float, float]:
        """Latitude and longitude of the middle: of the region, which for an arc band is not its given position."""
        if self.kind in _RINGS:
            return _centroid(self.positions)
        latitude, longitude = self.positions[0][:2]
        if self.kind is not ShapeKind.ARC_BAND:
            return latitude, longitude
        return self._arc_band_centre(latitude, longitude)

    def _arc_band_centre(self, latitude: float, longitude: float) -> tuple[float, float]:
        """RFC 7459 §5.1.1.2, on a plane that touches the earth there."""
        inner, outer = self.inner_radius_m or 0.0, self.outer_radius_m or 0.0
        opening = math.radians(self.opening_angle_degrees or 0.0)
        if outer == 0 or opening == 0:
            distance = (inner + outer) / 2
        else:
            area = outer * outer + outer * inner + inner * inner
            distance = 4 * math.sin(opening / 2) * area / (3 * opening * (outer + inner))
        bearing = math.radians(self.start_angle_degrees or 0.0) + opening / 2
        north = latitude + distance * math.cos(bearing) / _METRES_PER_DEGREE
        parallel = max(math.cos(math.radians(latitude)), 1e-6)
        east = longitude + distance * math.sin(bearing) / (_METRES_PER_DEGREE * parallel)
        return max(-90.0, min(90.0, north)), _wrapped(east)


def signed_area(ring: tuple[tuple[float, ...], ...]) -> float:
    """A closed ring's area in square degrees: positive when it runs counter-clockwise, as RFC 5491 §5.2.2 wants it."""
    points = _unwrapped(ring)
    return sum(x1 * y2 - x2 * y1 for (y1, x1), (y2, x2) in pairwise(points)) / 2


def _centroid(ring: tuple[tuple[float, ...], ...]) -> tuple[float, float]:
    points = _unwrapped(ring)
    area = signed_area(ring)
    if abs(area) < 1e-12:  # all on one line
        corners = points[:-1]
        y, x = (sum(point[axis] for point in corners) / len(corners) for axis in (0, 1))
    else:
        crossed = [(y1 + y2, x1 + x2, x1 * y2 - x2 * y1) for (y1, x1), (y2, x2) in pairwise(points)]
        y = sum(both * cross for both, _, cross in crossed) / (6 * area)
        x = sum(both * cross for _, both, cross in crossed) / (6 * area)
    return ring[0][0] + y, _wrapped(ring[0][1] + x)


def _unwrapped(ring: tuple[tuple[float, ...], ...]) -> list[tuple[float, float]]:
    """(Latitude, longitude) as offsets from the first position, so that the 180th meridian parts nothing."""
    return [(position[0] - ring[0][0], _wrapped(position[1] - ring[0][1])) for position in ring]


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is. `civic`: element names of CIVIC_ELEMENTS and CIVIC_EXTENSIONS, in that order, and texts.

    `method` is what determined it, a token of RFC 4119 §2.2.3; "" when nobody says.
    """

    civic: tuple[tuple[str, str], ...] = ()
    shape: Shape | None = None
    method: str = ""

    @property
    def country(self) -> str | None:
        """ISO 3166-1 alpha-2, in upper case."""
        return next((text for name, text in self.civic if name == "country"), None)

    @property
    def is_empty(self) -> bool:
        return not self.civic and self.shape is None


def civic_element(name: str) -> str | None:
    """The name of a civic element as the schema spells it, from any spelling; None when there is no such element."""
    return _CANONICAL.get(name.lower())


def civic_from_mapping(mapping: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """A civic address in order, white space made single and what is empty left out. Names in any case.

    InputError for an element that RFC 5139 and RFC 6848 do not know, and for texts too long or unprintable.
    """
    found: dict[str, str] = {}
    for given, text in mapping.items():
        name = civic_element(given)
        if name is None:
            raise InputError(
                f"{given[:40]!r} is no element of a civic address",
                mend=f"known are {', '.join(_CANONICAL.values())}",
            )
        if name in found:
            raise InputError(f"the civic address has two {name}")
        found[name] = civic_text(name, text)
    return civic_in_order(found)


def civic_in_order(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Elements and their texts as the schema orders them, without the empty ones; names as it spells them."""
    return tuple((name, found[name]) for name in _CANONICAL.values() if found.get(name))


def civic_text(name: str, text: str) -> str:
    """A text as xs:token has it, without white space at its ends or twice. InputError when it cannot be used."""
    text = " ".join(text.split())
    if len(text) > MAX_CIVIC_TEXT:
        raise InputError(f"{name} has {len(text)} characters", mend=f"at most {MAX_CIVIC_TEXT} can be used")
    if UNPRINTABLE.search(text):
        raise InputError(f"{name} has a character that cannot be printed")
    if name == "country" and text:
        text = text.upper()
        if not _COUNTRY.fullmatch(text):
            raise InputError(f"the country is {text!r}", mend="give two letters of ISO 3166-1, such as US")
    return text
