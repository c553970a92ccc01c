"""Location documents as they come in: what phones, PBXs and Lync say, and what no document may do to us."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.pidf_lo import MAX_PLACES, PidfLo, parse
from holdfast.core.place import Place, Shape, ShapeKind, civic_from_mapping
from holdfast.errors import InputError

EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "pidf_lo" / "examples"
HEAD = (
    '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" '
    'xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr" xmlns:gml="http://www.opengis.net/gml" '
    'xmlns:gs="http://www.opengis.net/pidflo/1.0" xmlns:con="urn:ietf:params:xml:ns:geopriv:conf" '
    'entity="pres:phone@example.com">'
)
CIVIC = "<ca:civicAddress><ca:country>US</ca:country><ca:A1>WA</ca:A1></ca:civicAddress>"
WASHINGTON = Place((("country", "US"), ("A1", "WA")))


def example(name: str) -> PidfLo:
    return parse((EXAMPLES / name).read_bytes())


def document(location: str, *, before: str = "", after: str = "<gp:usage-rules/>") -> bytes:
    """A document of one tuple, with `location` as its location-info."""
    text = (
        f'{before}{HEAD}<tuple id="t"><status><gp:geopriv><gp:location-info>{location}</gp:location-info>'
        f"{after}</gp:geopriv></status></tuple></presence>"
    )
    return text.encode()


def civic(**elements: str) -> tuple[tuple[str, str], ...]:
    return civic_from_mapping(elements)


def test_l1_an_address_is_read_element_by_element() -> None:
    found = example("civic.xml")
    assert found.places == (
        Place(
            civic(
                country="AU", A1="NSW", A3="Wollongong", A4="North Wollongong", RD="Flinders", STS="Street",
                RDBR="Campbell Street", LMK="Gilligan's Island", LOC="Corner", NAM="Video Rental Store", PC="2500",
                ROOM="Westerns & Classics", PLC="store", POBOX="Private Box 15", HNP="A",
            ),
            None,
            "Manual",
        ),
    )  # fmt: skip
    assert (found.entity, found.retransmission_allowed) == ("pres:phone@example.com", False)
    assert (found.retention_expiry, found.timestamp) == ("2026-03-02T10:00:00Z", "2026-03-01T10:00:00Z")
    assert found.faults == ()


def test_l1_an_area_and_the_floor_in_it_are_one_place() -> None:
    (place,) = example("compound.xml").places
    assert place == Place((("FLR", "2"),), Shape(ShapeKind.POINT, ((-34.407, 150.883),)), "Wiremap")


def test_l1_the_device_counts_before_the_tuple_and_the_tuple_before_the_person() -> None:
    found = example("several.xml")
    assert [(place.method, dict(place.civic).get("A3")) for place in found.places] == [
        ("802.11", None), ("Manual", "Seattle"), ("Manual", "Tacoma"), ("", "Portland"),
    ]  # fmt: skip
    assert found.timestamp == "2026-03-01T10:00:00Z"  # the device's


def test_l1_a_device_that_says_nowhere_does_not_come_before_a_tuple_that_does() -> None:
    device = (
        '<dm:device xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" id="d"><gp:geopriv><gp:location-info/>'
        "<gp:usage-rules/></gp:geopriv><dm:timestamp>2026-01-01T00:00:00Z</dm:timestamp></dm:device>"
    )
    text = document(CIVIC).replace(b"</presence>", device.encode() + b"</presence>")
    assert parse(text).places == (WASHINGTON,)
    assert parse(text).timestamp is None


def test_l1_every_shape_is_read_with_its_measures() -> None:
    shapes = [place.shape for place in example("shapes.xml").places]
    assert shapes == [
        Shape(ShapeKind.POINT, ((-34.410649, 150.87651, 40),)),
        Shape(
            ShapeKind.POLYGON,
            ((43.311, -73.422), (43.111, -73.322), (43.111, -73.222), (43.311, -73.122), (43.411, -73.222),
             (43.411, -73.322), (43.311, -73.422)),
        ),
        Shape(ShapeKind.ELLIPSE, ((42.5463, -73.2512),), semi_major_m=1275, semi_minor_m=670, orientation_degrees=43.2,
              confidence_percent=67),
        Shape(ShapeKind.ARC_BAND, ((-43.5723, 153.2176),), inner_radius_m=3594, outer_radius_m=4148,
              start_angle_degrees=20, opening_angle_degrees=20),
        Shape(ShapeKind.SPHERE, ((42.5463, -73.2512, 26.3),), radius_m=850.24),
        Shape(ShapeKind.ELLIPSOID, ((42.5463, -73.2512, 26.3),), semi_major_m=7.7156, semi_minor_m=3.31,
              vertical_m=28.7, orientation_degrees=90),
    ]  # fmt: skip


def test_l1_a_storey_is_a_prism_on_a_list_of_positions() -> None:
    (place,) = example("prism.xml").places
    assert place.shape is not None
    assert (place.shape.kind, place.shape.height_m, len(place.shape.positions)) == (ShapeKind.PRISM, 2.4, 5)
    assert place.shape.positions[1] == (42.556844, -73.248, 36.6)


def test_l1_documents_of_2005_are_understood() -> None:
    found = example("rfc4119.xml")
    (place,) = found.places
    assert place.shape is not None
    assert place.shape.centre() == pytest.approx((37.775, -122.419444))
    assert place.civic == civic(
        country="US", A1="New York", A3="New York", A6="Broadway", HNO="123", LOC="Suite 75", PC="10027-0401"
    )
    assert found.retransmission_allowed is True


def test_l1_lync_says_whom_to_confer_with() -> None:
    found = example("lync.xml")
    assert found.conference_uri == "sip:+14255550100@contoso.com;user=phone"
    assert (found.conference_mode, found.notification_uris) == ("twoway", ())
    assert dict(found.places[0].civic)["LOC"] == "30/3351"
    assert "PRD" not in dict(found.places[0].civic)


def test_l1_the_uris_of_a_location_policy_are_found_inside_the_address() -> None:
    found = example("notification_uri.xml")
    assert found.notification_uris == ("sip:security1@contoso.com", "sip:security2@contoso.com")
    assert found.conference_uri == "sip:+14255550100@contoso.com;user=phone"
    assert found.conference_mode == "oneway"
    assert found.places[0].country == "US"


def test_l3_teams_tells_by_its_method_what_the_administrator_defined() -> None:
    (place,) = example("teams.xml").places
    assert (place.method, dict(place.civic)["HNO"]) == ("LIS", "3850")
    assert place.shape == Shape(ShapeKind.POINT, ((47.6429, -122.1369),))


def test_l1_a_handsets_document_is_read_whatever_its_order() -> None:
    (place,) = example("handset.xml").places
    assert place.method == "Device-Based_A-GPS"
    assert place.shape == Shape(ShapeKind.CIRCLE, ((32.924094, -97.223639),), radius_m=30, confidence_percent=95)
    assert place.country == "US"


def test_a2_nobodys_name_comes_out_of_a_document() -> None:
    assert "omebody" not in repr(example("civic.xml"))


def test_l1_text_may_stand_in_cdata_and_around_comments() -> None:
    location = (
        "<ca:civicAddress><ca:country>U<!-- -->S</ca:country><ca:A1><![CDATA[W]]>A</ca:A1><!-- x --></ca:civicAddress>"
    )
    assert parse(document(location)).places == (WASHINGTON,)


def test_l1_prefixes_are_names_of_nothing() -> None:
    text = document(CIVIC).replace(b"ca:", b"x.y-1:").replace(b"gp:", b"p:").replace(b":ca=", b":x.y-1=")
    text = text.replace(b":gp=", b":p=")
    assert parse(text).places == (WASHINGTON,)
    elsewhere = document(CIVIC).replace(b"geopriv10:civicAddr", b"geopriv10:somethingElse")
    assert parse(elsewhere).places == ()


def test_l1_an_honest_document_may_say_nothing() -> None:
    assert parse(document("")).places == ()
    assert parse(document("<ca:civicAddress/>")).places == ()
    assert parse(HEAD.encode() + b"</presence>") == PidfLo(entity="pres:phone@example.com")


def point(pos: str, attributes: str = 'srsName="urn:ogc:def:crs:EPSG::4326"') -> str:
    return f"<gml:Point {attributes}><gml:pos>{pos}</gml:pos></gml:Point>"


def polygon(*positions: str) -> str:
    ring = "".join(f"<gml:pos>{position}</gml:pos>" for position in positions)
    return f"<gml:Polygon><gml:exterior><gml:LinearRing>{ring}</gml:LinearRing></gml:exterior></gml:Polygon>"


UNUSABLE = {
    "not a number": point("NaN 0"),
    "infinite": point("inf 0"),
    "out of range": point("91 0"),
    "longitude first": point("-122.13 47.64"),
    "one number": point("47.64"),
    "no position": "<gml:Point/>",
    "digits of another script": point("\u0664\u0667 \u0661\u0662"),
    "an underscore": point("4_7 1"),
    "another datum": point("47 1", 'srsName="urn:ogc:def:crs:EPSG::27700"'),
    "an unclosed polygon": polygon("0 0", "0 1", "1 1", "1 0"),
    "a polygon of two": polygon("0 0", "0 0"),
    "a polygon of a thousand": polygon(*(["0 0"] * 200)),
    "a polygon with a hole": polygon("0 0", "0 3", "3 3", "0 0").replace(
        "</gml:exterior>",
        "</gml:exterior><gml:interior><gml:LinearRing><gml:pos>1 1</gml:pos><gml:pos>0 0</gml:pos></gml:LinearRing>"
        "</gml:interior>",
    ),
    "a circle without its radius": "<gs:Circle><gml:pos>0 0</gml:pos></gs:Circle>",
    "a circle in feet": '<gs:Circle><gml:pos>0 0</gml:pos><gs:radius uom="urn:ogc:def:uom:EPSG::9002">9</gs:radius>'
    "</gs:Circle>",
    "an unknown country": "<ca:civicAddress><ca:country>USA</ca:country></ca:civicAddress>",
    "too long a text": f"<ca:civicAddress><ca:A1>{'x' * 300}</ca:A1></ca:civicAddress>",
    "a direction mark": "<ca:civicAddress><ca:A1>x&#x202e;y</ca:A1></ca:civicAddress>",
}


@pytest.mark.parametrize("location", UNUSABLE.values(), ids=UNUSABLE)
def test_l1_a_document_of_nothing_usable_is_refused_with_the_reason(location: str) -> None:
    with pytest.raises(InputError, match="no location that can be used: "):
        parse(document(location))


@pytest.mark.parametrize("location", UNUSABLE.values(), ids=UNUSABLE)
def test_l1_what_cannot_be_used_does_not_cost_the_address_beside_it(location: str) -> None:
    found = parse(document(location + CIVIC))
    assert WASHINGTON in found.places
    assert len(found.places) == 1
    assert found.faults


def test_l1_an_element_given_twice_is_read_once_and_noted() -> None:
    twice = CIVIC.replace("</ca:civicAddress>", "<ca:A1>OR</ca:A1></ca:civicAddress>")
    found = parse(document(twice))
    assert found.places == (WASHINGTON,)
    assert found.faults == ("a second A1 in a civic address",)


@pytest.mark.parametrize("confidence", ["0", "100", "120", "sure", ""])
def test_l1_a_senseless_confidence_does_not_cost_the_shape(confidence: str) -> None:
    found = parse(document(f"{point('47 1')}<con:confidence>{confidence}</con:confidence>"))
    assert found.places == (Place(shape=Shape(ShapeKind.POINT, ((47, 1),))),)
    assert found.faults


def test_l1_an_unknown_confidence_is_none() -> None:
    found = parse(document(f"{point('47 1')}<con:confidence>unknown</con:confidence>"))
    assert found.places == (Place(shape=Shape(ShapeKind.POINT, ((47, 1),))),)
    assert found.faults == ()


@pytest.mark.parametrize(
    ("extension", "faulty"),
    [
        ("<ConferenceUri>javascript:alert(1)</ConferenceUri>", True),
        ("<ConferenceUri>+14255550100</ConferenceUri>", True),
        ("<ConferenceUri>sip:desk@h\r\nVia: x</ConferenceUri>", True),
        ("<NotificationUri>sip:a@h&gt;;x=&lt;y</NotificationUri>", True),
        ("<ConferenceMode>threeway</ConferenceMode>", True),
        ("<ConferenceMode/>", False),
        ("<NOTIFICATION_URL> </NOTIFICATION_URL>", False),
    ],
)
def test_l1_nobody_is_told_or_conferred_with_by_a_uri_that_is_none(extension: str, faulty: bool) -> None:
    found = parse(document(CIVIC, after=f"<gp:usage-rules/>{extension}"))
    assert (found.notification_uris, found.conference_uri, found.conference_mode) == ((), None, None)
    assert bool(found.faults) is faulty


def test_l1_places_and_uris_are_bounded() -> None:
    addresses = "".join(f"<ca:civicAddress><ca:A1>{n}</ca:A1></ca:civicAddress>" for n in range(40))
    uris = " ".join(f"sip:{n}@h" for n in range(40))
    found = parse(document(addresses, after=f"<gp:usage-rules/><NotificationUri>{uris}</NotificationUri>"))
    assert len(found.places) == MAX_PLACES
    assert found.places[0].civic == (("A1", "0"),)
    assert len(found.notification_uris) == 8


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE presence [<!ENTITY a0 "ha">{ENTITIES}]>',
    "an external entity": '<!DOCTYPE presence [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "a parameter entity": '<!DOCTYPE presence [<!ENTITY % x SYSTEM "http://192.0.2.1/x">%x;]>',
    "an external document type": '<!DOCTYPE presence SYSTEM "http://192.0.2.1/x.dtd">',
    "a processing instruction": '<?xml-stylesheet href="x"?>',
}


@pytest.mark.parametrize("before", HOSTILE.values(), ids=HOSTILE)
def test_l1_a_document_that_declares_anything_is_refused_at_once(before: str) -> None:
    with pytest.raises(InputError, match=r"document type|processing instruction"):
        parse(document(CIVIC.replace("WA", "&a9;&x;"), before=before))


def nested(depth: int) -> str:
    return "<ca:x>" * depth + "</ca:x>" * depth


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (document("x" * 70_000), "at most 65536"),
        (document(nested(30)), "elements deep"),
        (document(nested(9_000 // 2)), "elements deep"),
        (document("<ca:x/>" * 600), "more than 500 elements"),
        (document(f"<ca:x>{'y' * 5_000}</ca:x>"), "more than 4096 characters"),
        (document("<ca:x>" + "y<!---->" * 4_200 + "</ca:x>"), "more than 4096 characters"),
        (document("&undeclared;"), "not well-formed"),
        (document(CIVIC)[:-10], "not well-formed"),
        (document(CIVIC) + b"<x/>", "not well-formed"),
        (document("<nope:x/>"), "not well-formed"),
        (b"", "not well-formed"),
        (b"\x00" * 100, "not in UTF-8"),
        (document("x\x00"), "not in UTF-8"),
        (b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\n", "not well-formed"),
        (b"<presence/>", "not the presence"),
        (b'<html xmlns="urn:ietf:params:xml:ns:pidf"/>', "not the presence"),
    ],
)
def test_l1_what_is_too_much_or_no_document_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(text)


SUEDE = "<ca:civicAddress><ca:A3>G\u00f6teborg</ca:A3></ca:civicAddress>"


def test_l1_documents_are_utf_8_with_a_mark_or_without() -> None:
    text = document(SUEDE, before='<?xml version="1.0" encoding="UTF-8"?>')
    assert parse(text).places == parse(b"\xef\xbb\xbf" + text).places == (Place((("A3", "G\u00f6teborg"),)),)


def test_l1_an_empty_line_before_the_declaration_is_passed_over() -> None:
    assert parse(b"\r\n " + document(CIVIC, before='<?xml version="1.0"?>') + b"\r\n").places == (WASHINGTON,)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "utf-32", "cp037"])
@pytest.mark.parametrize("declared", ["UTF-8", "UTF-16", "ISO-8859-1", None])
def test_l1_other_encodings_are_refused_whatever_they_declare(encoding: str, declared: str | None) -> None:
    before = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    with pytest.raises(InputError):
        parse(document(SUEDE, before=before).decode().encode(encoding))


def test_l1_no_entity_is_smuggled_in_in_utf_16() -> None:
    """Expat reads UTF-16 even when told that it is UTF-8: a document type would pass unseen."""
    before = '<!DOCTYPE presence [<!ENTITY a9 "ha">]>'
    with pytest.raises(InputError, match="not in UTF-8"):
        parse(document(CIVIC.replace("WA", "&a9;"), before=before).decode().encode("utf-16-le"))


def test_l1_a_declared_latin_1_is_not_taken_for_utf_8() -> None:
    with pytest.raises(InputError, match="'ISO-8859-1', not in UTF-8"):
        parse(document(SUEDE, before='<?xml version="1.0" encoding="ISO-8859-1"?>'))
    ascii_only = document(CIVIC, before='<?xml version="1.0" encoding="ISO-8859-1"?>')
    assert parse(ascii_only).places == (WASHINGTON,)


@given(st.binary(max_size=400), st.integers(0, 1_200), st.integers(0, 60))
def test_l1_no_damage_to_a_document_raises_anything_but_an_input_error(junk: bytes, at: int, width: int) -> None:
    text = (EXAMPLES / "several.xml").read_bytes()
    with contextlib.suppress(InputError):
        parse(text[:at] + junk + text[at + width :])
