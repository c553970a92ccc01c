"""Location documents of ours, valid against the schemas of RFC 3863, 4119, 5139, 5491 and 7459."""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from holdfast.core.pidf_lo_names import (
    CIVIC,
    CIVIC_EXTENSION,
    CONFIDENCE,
    CRS_2D,
    CRS_3D,
    DEGREES,
    GEOPRIV,
    GEOSHAPE,
    GML,
    LYNC,
    MEASURE_ELEMENTS,
    METRES,
    NOTIFICATION,
    PIDF,
    POLICY,
    SHAPE_ELEMENTS,
)
from holdfast.core.place import (
    CIVIC_EXTENSIONS,
    FORMS,
    Place,
    Shape,
    ShapeKind,
    civic_from_mapping,
    signed_area,
)
from holdfast.errors import InputError

#: RFC 3986's characters, with a scheme; no more than a header could carry.
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}){1,250}")
DATE_TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
)
_METHOD = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_PREFIXES = {
    "gp": GEOPRIV, "gbp": POLICY, "ca": CIVIC, "cae": CIVIC_EXTENSION, "gml": GML, "gs": GEOSHAPE, "con": CONFIDENCE,
    "ms": LYNC, "hf": NOTIFICATION,
}  # fmt: skip
_PREFIX_OF = {namespace: prefix for prefix, namespace in _PREFIXES.items()}


def build(
    places: Sequence[Place],
    *,
    entity: str,
    timestamp: str,
    retention_expiry: str,
    notification_uris: Sequence[str] = (),
    conference_uri: str | None = None,
    conference_mode: str | None = None,
) -> str:
    """A document of these places, the one that counts first. InputError for what no valid document could say.

    `entity` is whose location it is, a URI: the callback number's, never the caller's own (A2). Times are RFC 3339.
    Each place has a tuple of its own (RFC 5491 §3 rule 2): a device would need an identity of its own (RFC 4479 §3.3).
    """
    if not any(not place.is_empty for place in places):
        raise InputError("a location document without a place")
    extensions = "".join(_extensions(notification_uris, conference_uri, conference_mode))  # once, in the first
    expiry = _matching(DATE_TIME, "the retention expiry", retention_expiry)
    made = _matching(DATE_TIME, "the timestamp", timestamp)
    tuples = "".join(
        f'<tuple id="location-{place_number}"><status><gp:geopriv>'
        f"<gp:location-info>{''.join(_location(place))}</gp:location-info>"
        # Whoever carries an emergency call passes its location on; RFC 4119 §2.2.2 would have them ask otherwise.
        f"<gp:usage-rules><gbp:retransmission-allowed>true</gbp:retransmission-allowed>"
        f"<gbp:retention-expiry>{expiry}</gbp:retention-expiry></gp:usage-rules>"
        f"{_method(place)}{extensions if place_number == 1 else ''}"
        f"</gp:geopriv></status><timestamp>{made}</timestamp></tuple>"
        for place_number, place in enumerate((place for place in places if not place.is_empty), start=1)
    )
    declared = "".join(
        f' xmlns:{prefix}="{namespace}"' for prefix, namespace in _PREFIXES.items() if f"<{prefix}:" in tuples
    )
    whose = escape(_matching(URI, "the entity", entity))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="{PIDF}"{declared} entity="{whose}">'
        f"{tuples}</presence>\n"
    )


def _matching(pattern: re.Pattern[str], name: str, text: str) -> str:
    if not pattern.fullmatch(text):
        raise InputError(f"{name} is {text[:80]!r}, which cannot be used")
    return text


def _method(place: Place) -> str:
    return f"<gp:method>{_matching(_METHOD, 'the method', place.method)}</gp:method>" if place.method else ""


def _location(place: Place) -> Iterator[str]:
    """The shape before the address: the coarser first (RFC 5491 §3 rule 7)."""
    if place.shape is not None:
        yield from _shape(place.shape)
        if place.shape.confidence_percent is not None:
            yield f"<con:confidence>{_decimal(place.shape.confidence_percent, 2)}</con:confidence>"
    if place.civic:
        yield "<ca:civicAddress>"
        for name, text in civic_from_mapping(dict(place.civic)):
            element = f"cae:{name}" if name in CIVIC_EXTENSIONS else f"ca:{name}"
            yield f"<{element}>{escape(text, quote=False)}</{element}>"
        yield "</ca:civicAddress>"


def _shape(shape: Shape) -> Iterator[str]:
    namespace, name = SHAPE_ELEMENTS[shape.kind]
    element = f"{_PREFIX_OF[namespace]}:{name}"
    crs = CRS_3D if len(shape.positions[0]) == 3 else CRS_2D
    yield f'<{element} srsName="{crs}">'
    if shape.kind is ShapeKind.POLYGON:
        yield _ring(shape)
    elif shape.kind is ShapeKind.PRISM:
        yield f'<gs:base><gml:Polygon srsName="{crs}">{_ring(shape)}</gml:Polygon></gs:base>'
    else:
        yield _pos(shape.positions[0])
    for field in FORMS[shape.kind].measures:
        unit = DEGREES if field.endswith("_degrees") else METRES
        value = _decimal(getattr(shape, field), 3)
        yield f'<gs:{MEASURE_ELEMENTS[field]} uom="{unit}">{value}</gs:{MEASURE_ELEMENTS[field]}>'
    yield f"</{element}>"


def _ring(shape: Shape) -> str:
    # Its upper side up: counter-clockwise (RFC 5491 §5.2.2).
    ring: Iterable[tuple[float, ...]] = shape.positions
    if signed_area(shape.positions) < 0:
        ring = reversed(shape.positions)
    return f"<gml:exterior><gml:LinearRing>{''.join(map(_pos, ring))}</gml:LinearRing></gml:exterior>"


def _pos(position: tuple[float, ...]) -> str:
    return f"<gml:pos>{' '.join(_decimal(number, 7) for number in position)}</gml:pos>"


def _decimal(value: float, places: int) -> str:
    """A number without an exponent, which not every reader of xs:double expects. 7 decimals of a degree are 1 cm."""
    text = f"{round(value, places) + 0.0:.{places}f}"
    return text.rstrip("0").rstrip(".")


def _extensions(
    notification_uris: Sequence[str], conference_uri: str | None, conference_mode: str | None
) -> Iterator[str]:
    """What RFC 4119 §2.2.5 lets follow in geopriv: Lync's conference elements, and ours for those to be notified."""
    if conference_uri is not None:
        mode = conference_mode or "oneway"  # the default of Lync's location policy
        if mode not in ("oneway", "twoway"):
            raise InputError(f"the conference mode is {mode[:20]!r}", mend="give oneway or twoway")
        uri = escape(_matching(URI, "the conference URI", conference_uri))
        yield (
            f"<ms:msftE911PidfExtn><ms:ConferenceUri>{uri}</ms:ConferenceUri>"
            f"<ms:ConferenceMode>{mode}</ms:ConferenceMode></ms:msftE911PidfExtn>"
        )
    for uri in notification_uris:
        yield f"<hf:NotificationUri>{escape(_matching(URI, 'a notification URI', uri))}</hf:NotificationUri>"
