"""Location documents as they leave: valid against the published schemas, read again as what they say, naming nobody."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from holdfast.core.pidf_lo import build, parse
from holdfast.core.place import (
    CIVIC_ELEMENTS,
    CIVIC_EXTENSIONS,
    FORMS,
    UNPRINTABLE,
    Place,
    Shape,
    ShapeKind,
    civic_from_mapping,
)
from holdfast.errors import InputError

DATA = Path(__file__).resolve().parents[1] / "data" / "pidf_lo"
XS = "{http://www.w3.org/2001/XMLSchema}"
NOW = {"timestamp": "2026-03-01T10:00:00Z", "retention_expiry": "2026-03-02T10:00:00Z"}
OURS: dict[str, Any] = {"entity": "sip:+12025550199@edge.example.net", **NOW}
HOUSE = Place(civic_from_mapping({"country": "US", "A1": "WA", "A3": "Redmond", "RD": "163rd", "HNO": "3910"}))


@pytest.fixture(scope="module")
def schema() -> Any:
    return etree.XMLSchema(etree.parse(str(DATA / "schemas" / "pidf-lo.xsd")))


def declared() -> set[str]:
    """Every element that a schema declares to stand anywhere: a lax wildcard lets the undeclared ones pass."""
    found = set()
    for path in (DATA / "schemas").rglob("*.xsd"):
        root = etree.parse(str(path)).getroot()
        found |= {f"{{{root.get('targetNamespace')}}}{one.get('name')}" for one in root.iterfind(f"{XS}element")}
    return found


DECLARED = declared()
WILDCARDS = ("location-info", "geopriv", "status", "presence", "msftE911PidfExtn")
GEOPRIV = "{urn:ietf:params:xml:ns:pidf:geopriv10}"


def assert_valid(schema: Any, document: str) -> Any:
    root = etree.fromstring(document.encode())
    schema.assertValid(root)
    wild = [
        child.tag for node in root.iter("*")
        if etree.QName(node).localname in WILDCARDS
        for child in node.iterchildren("*")
        if etree.QName(child).namespace != etree.QName(node).namespace
    ]  # fmt: skip
    assert set(wild) <= DECLARED
    return root


@pytest.mark.parametrize("name", ["civic.xml", "compound.xml", "several.xml", "shapes.xml", "prism.xml", "teams.xml"])
def test_l1_the_examples_are_what_the_schemas_allow(schema: Any, name: str) -> None:
    assert_valid(schema, (DATA / "examples" / name).read_text(encoding="utf-8").partition("?>")[2].lstrip())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<ca:country>US<", "<ca:country>us<"),
        ("<ca:A1>WA</ca:A1>", "<ca:A1>WA</ca:A1><ca:A1>WA</ca:A1>"),
        ("<gml:pos>47.6 -122.1<", "<gml:pos>47.6 west<"),
        ("EPSG::9001", "EPSG::9002"),
        ("<gs:radius", "<gs:diameter"),
        ("<con:confidence>95<", "<con:confidence>100<"),
        ("<gbp:retransmission-allowed>true<", "<gbp:retransmission-allowed>yes<"),
        ("gs:Circle", "gs:Round"),
        ("<ms:ConferenceMode>oneway<", "<ms:ConferenceMode>anyway<"),
    ],
)
def test_the_schemas_and_this_test_see_what_is_wrong(schema: Any, right: str, wrong: str) -> None:
    circle = Shape(ShapeKind.CIRCLE, ((47.6, -122.1),), radius_m=30, confidence_percent=95)
    document = build([Place(HOUSE.civic, circle, "GPS")], conference_uri="sip:desk@example.net", **OURS)
    assert_valid(schema, document)
    broken = document.replace(right, wrong).replace(
        "</gs:radius>", "</gs:diameter>" if "diam" in wrong else "</gs:radius>"
    )
    assert broken != document
    with pytest.raises((etree.DocumentInvalid, AssertionError)):
        assert_valid(schema, broken)


def test_l1_whom_to_notify_and_to_confer_with_stand_once_beside_the_rules(schema: Any) -> None:
    document = build(
        [HOUSE, HOUSE],
        notification_uris=["sip:security@example.net", "https://example.net/told?a=1&b=2"],
        conference_uri="sip:+12025550142@example.net;user=phone",
        conference_mode="twoway",
        **OURS,
    )
    root = assert_valid(schema, document)
    assert [len(geopriv) for geopriv in root.iter(f"{GEOPRIV}geopriv")] == [5, 2]
    found = parse(document.encode())
    assert found.notification_uris == ("sip:security@example.net", "https://example.net/told?a=1&b=2")
    assert found.conference_uri == "sip:+12025550142@example.net;user=phone"
    assert found.conference_mode == "twoway"


def test_l1_a_conference_without_a_mode_listens_only() -> None:
    assert parse(build([HOUSE], conference_uri="sip:d@h", **OURS).encode()).conference_mode == "oneway"


def test_l1_nothing_of_lyncs_is_written_when_nothing_is_given() -> None:
    document = build([HOUSE], **OURS)
    assert "msft" not in document
    assert "holdfast" not in document


def test_a2_a_document_passed_on_names_nobody_but_the_callback_number() -> None:
    came_in = (DATA / "examples" / "civic.xml").read_bytes()
    assert b"omebody" in came_in
    leaves = build(parse(came_in).places, **OURS)
    assert "omebody" not in leaves
    assert "pres:phone" not in leaves
    assert parse(leaves.encode()).entity == OURS["entity"]


def test_l1_the_coarser_of_two_descriptions_comes_first() -> None:
    """RFC 5491 §3 rule 7."""
    circle = Shape(ShapeKind.CIRCLE, ((47.6, -122.1),), radius_m=30)
    document = build([Place((("FLR", "2"),), circle)], **OURS)
    assert document.index("Circle") < document.index("civicAddress")


def test_l1_a_polygon_leaves_counter_clockwise_whichever_way_it_came() -> None:
    square = ((47.0, -122.0), (47.0, -121.0), (48.0, -121.0), (48.0, -122.0), (47.0, -122.0))
    for ring in (square, square[::-1]):
        (place,) = parse(build([Place(shape=Shape(ShapeKind.POLYGON, ring))], **OURS).encode()).places
        assert place.shape == Shape(ShapeKind.POLYGON, square)


def test_l1_coordinates_name_their_system_by_their_dimensions() -> None:
    """RFC 5491 §5.1: EPSG 4326 for latitude and longitude, 4979 with the altitude."""
    for position, system in (((47.0, -122.0), "EPSG::4326"), ((47.0, -122.0, 30.0), "EPSG::4979")):
        assert system in build([Place(shape=Shape(ShapeKind.POINT, (position,)))], **OURS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"entity": "alice"}, "the entity is 'alice'"),
        ({"entity": 'sip:a@h"><x/>'}, "the entity"),
        ({"timestamp": "yesterday"}, "the timestamp"),
        ({"timestamp": "2026-13-01T10:00:00Z"}, "the timestamp"),
        ({"retention_expiry": "2026-03-01"}, "the retention expiry"),
        ({"notification_uris": ["security desk"]}, "a notification URI"),
        ({"conference_uri": "sip:a@h\r\nX: y"}, "the conference URI"),
        ({"conference_uri": "sip:a@h", "conference_mode": "both"}, "the conference mode"),
        ({"places": []}, "without a place"),
        ({"places": [Place(method="GPS")]}, "without a place"),
        ({"places": [Place((("street", "Main"),))]}, "no element of a civic address"),
        ({"places": [Place((("A1", "W\x0bA\x01"),))]}, "cannot be printed"),
        ({"places": [Place(HOUSE.civic, method="G P S")]}, "the method"),
    ],
)
def test_l1_what_no_valid_document_could_say_is_refused(wrong: dict[str, Any], said: str) -> None:
    given_ = {"places": [HOUSE], **OURS, **wrong}
    with pytest.raises(InputError, match=said):
        build(given_.pop("places"), **given_)


def decimals(least: float, most: float, places: int) -> st.SearchStrategy[float]:
    scale = 10**places
    return st.integers(int(least * scale), int(most * scale)).map(lambda number: number / scale)


WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=60).map(
    lambda text: " ".join(UNPRINTABLE.sub("", text).split())
)
CIVICS = st.builds(
    lambda country, texts: civic_from_mapping({**texts, "country": country}),
    st.sampled_from(["US", "ca", "GB"]),
    st.dictionaries(st.sampled_from((*CIVIC_ELEMENTS[1:], *CIVIC_EXTENSIONS)), WORDS),
)
MEASURES = {"_m": decimals(0, 100_000, 3), "_degrees": decimals(0, 359.999, 3)}


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    kind = draw(st.sampled_from(list(ShapeKind)))
    form = FORMS[kind]
    axes = [decimals(-80, 80, 6), decimals(-170, 170, 6), decimals(-400, 9_000, 2)]
    position = draw(st.tuples(*axes[: draw(st.sampled_from(form.dimensions))]))
    positions = [position]
    if kind in (ShapeKind.POLYGON, ShapeKind.PRISM):
        latitude, longitude, *rest = position
        height, width = draw(decimals(0.001, 5, 6)), draw(decimals(0.001, 5, 6))
        corners = [(0.0, 0.0), (0.0, width), (height, width), (height, 0.0), (0.0, 0.0)]
        positions = [(round(latitude + up, 6), round(longitude + along, 6), *rest) for up, along in corners]
    measures = {name: draw(MEASURES["_degrees" if name.endswith("_degrees") else "_m"]) for name in form.measures}
    if kind is ShapeKind.ARC_BAND:
        radii = sorted((measures["inner_radius_m"], measures["outer_radius_m"]))
        measures |= dict(zip(("inner_radius_m", "outer_radius_m"), radii, strict=True))
    confidence = draw(st.none() | decimals(0.01, 99.99, 2))
    return Shape(kind, tuple(positions), confidence_percent=confidence, **measures)


PLACES = st.builds(Place, CIVICS, st.none() | shapes(), st.sampled_from(["", "GPS", "Manual", "802.11", "LIS"]))
URIS = st.from_regex(
    r"(sips?|https?):[a-z0-9]{1,9}(%[0-9A-F]{2})?@[a-z]{1,9}\.example(;a=[!$&'()*+]{1,3})?", fullmatch=True
)


@settings(deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=4, unique=True), st.lists(URIS, max_size=3, unique=True), st.none() | URIS)
def test_l1_what_is_built_is_valid_and_is_read_again_as_it_was(
    schema: Any, places: list[Place], notified: list[str], conference: str | None
) -> None:
    document = build(places, notification_uris=notified, conference_uri=conference, **OURS)
    assert_valid(schema, document)
    found = parse(document.encode())
    assert found.places == tuple(places)
    assert (found.notification_uris, found.conference_uri) == (tuple(notified), conference)
    assert (found.entity, found.timestamp) == (OURS["entity"], OURS["timestamp"])
    assert (found.retention_expiry, found.retransmission_allowed) == (OURS["retention_expiry"], True)
    assert found.faults == ()
