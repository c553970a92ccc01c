"""HELD without a network: what a request may say, what is cut out of a PIDF-LO, and what an Accept header means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from holdfast.core import pidf_lo_build
from holdfast.core.place import Place, Shape, ShapeKind
from holdfast.plane.held import (
    HELD_TYPE,
    MOST_REQUEST_BYTES,
    PIDF_TYPE,
    HeldError,
    LocationDocument,
    LocationRequest,
    UnusableDocumentError,
    read_request,
)
from holdfast.plane.location_api import patience_s, wants_bare_pidf

HELD = "urn:ietf:params:xml:ns:geopriv:held"
PIDF = "urn:ietf:params:xml:ns:pidf"
GP = f"{PIDF}:geopriv10"
CIVIC = f"{GP}:civicAddr"
GML = "http://www.opengis.net/gml"
CIRCLE = "http://www.opengis.net/pidflo/1.0"


def request(inside: str = "", attributes: str = "") -> bytes:
    return f'<locationRequest xmlns="{HELD}" {attributes}>{inside}</locationRequest>'.encode()


def code(body: bytes) -> str:
    with pytest.raises(HeldError) as refused:
        read_request(body)
    return refused.value.code


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (request(), LocationRequest()),
        (request(attributes='responseTime="1500"'), LocationRequest(response_time_s=1.5)),
        (request(attributes='responseTime=" 0 "'), LocationRequest(response_time_s=0.0)),
        (request(attributes='responseTime="emergencyRouting"'), LocationRequest()),
        (request(attributes='responseTime="emergencyDispatch"'), LocationRequest()),
        (request("<locationType>civic</locationType>"), LocationRequest()),
        (request('<locationType exact="false">civic</locationType>'), LocationRequest()),
        (request('<locationType exact="0">civic</locationType>'), LocationRequest()),
        (request('<locationType exact="1">civic</locationType>'), LocationRequest(frozenset({"civic"}))),
        (
            request('<locationType exact="true">\n geodetic\tlocationURI </locationType>'),
            LocationRequest(frozenset({"geodetic", "locationURI"})),
        ),
        # RFC 5985 §6.2.1: an exact "any" is as if it were not exact
        (request('<locationType exact="true">any</locationType>'), LocationRequest()),
        # RFC 6753 §3.1: what is not understood is passed over
        (request('<device xmlns="urn:ietf:params:xml:ns:geopriv:held:id"><ip v="4">192.0.2.5</ip></device>', 'x="y"'),
         LocationRequest()),
        (request('<x xmlns="urn:y"><locationType exact="true">civic</locationType></x>'), LocationRequest()),
        (b"\xef\xbb\xbf" + request(), LocationRequest()),
    ],
)  # fmt: skip
def test_a_request_is_read_as_the_rfc_says(body: bytes, read: LocationRequest) -> None:
    assert read_request(body) == read


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "xmlError"),
        (b"\x00", "xmlError"),
        (request().decode().encode("utf-16"), "xmlError"),
        (b"<?xml-stylesheet x?>" + request(), "xmlError"),
        (request() + b"<a/>", "xmlError"),
        (request("&#0;"), "xmlError"),
        (request("&x;"), "xmlError"),
        (b"<!DOCTYPE locationRequest>" + request(), "xmlError"),
        (b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + request("&b;"), "xmlError"),
        (b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x.dtd">' + request(), "xmlError"),
        (b'<?xml version="1.0" encoding="no-such-thing"?>' + request("\u00e9"), "xmlError"),
        (b'<?xml version="1.0" encoding="utf-7"?>' + request("\u00e9"), "xmlError"),
        (request("<a>" * 40 + "</a>" * 40), "xmlError"),
        (request(attributes='responseTime="soon"'), "xmlError"),
        (request(attributes='responseTime="-1"'), "xmlError"),
        (request(attributes='responseTime="' + "9" * 5000 + '"'), "xmlError"),
        (request("<locationType/>"), "xmlError"),
        (request("<locationType>here</locationType>"), "xmlError"),
        (request("<locationType>any civic</locationType>"), "xmlError"),
        (request('<locationType exact="yes">civic</locationType>'), "xmlError"),
        (request("<locationType>civic<b/></locationType>"), "xmlError"),
        (request("<locationType>civic</locationType><locationType>civic</locationType>"), "xmlError"),
        (b"<locationRequest/>", "unsupportedMessage"),
        (request().replace(b"locationRequest", b"locationResponse"), "unsupportedMessage"),
        (request().replace(b"geopriv:held", b"geopriv:hold"), "unsupportedMessage"),
        (b" " * (MOST_REQUEST_BYTES + 1), "requestError"),
    ],
)
def test_what_cannot_be_is_refused_with_its_code(body: bytes, expected: str) -> None:
    assert code(body) == expected


_pieces = st.sampled_from([
    b"<locationRequest", b' xmlns="urn:ietf:params:xml:ns:geopriv:held"', b">", b"/>", b"<locationType",
    b' exact="true"', b"civic", b" any", b"</locationType>", b"</locationRequest>", b"<!DOCTYPE a [", b"]>",
    b"<![CDATA[", b"]]>", b"<!--", b"-->", b"&amp;", b"&#x41;", b"<?x ?>", b"\xff", b"\x00", b" responseTime='9'",
    b"<?xml version='1.0' encoding='idna'?>",
])  # fmt: skip


@given(st.lists(_pieces, max_size=12).map(b"".join) | st.binary(max_size=60))
def test_whatever_comes_is_a_request_or_one_of_the_rfcs_errors(body: bytes) -> None:
    refused = None
    try:
        read_request(body)
    except HeldError as error:
        refused = error
    if refused is not None:
        assert refused.code in ("xmlError", "unsupportedMessage", "requestError")
        assert etree.fromstring(refused.document()).get("code") == refused.code


# The PIDF-LO


def pidf_lo(inside: str, before: str = "", after: str = "") -> str:
    return (
        f'{before}<p:presence xmlns:p="{PIDF}" xmlns:gp="{GP}" xmlns:c="{CIVIC}" xmlns:g="{GML}" xmlns:s="{CIRCLE}" '
        f'entity="pres:x@y"><p:tuple id="1"><p:status><gp:geopriv><gp:location-info>{inside}</gp:location-info>'
        f"</gp:geopriv></p:status></p:tuple></p:presence>{after}"
    )


def exactly(inside: str, *wanted: str) -> str:
    """What is left of a location-info for who insists on these forms."""
    answer = LocationDocument.read(pidf_lo(inside)).answer(LocationRequest(frozenset(wanted))).decode()
    etree.fromstring(answer.encode())
    return answer.partition("<gp:location-info>")[2].partition("</gp:location-info>")[0]


A = '<c:civicAddress xml:lang="de"><c:country>DE</c:country><c:RD>Straße /&gt;</c:RD></c:civicAddress>'
G = '<g:Point srsName="urn:ogc:def:crs:EPSG::4326"><g:pos>1 2</g:pos></g:Point>'
S = "<s:Circle><g:pos>1 2</g:pos><s:radius>5</s:radius></s:Circle>"


@pytest.mark.parametrize(
    ("inside", "wanted", "left"),
    [
        (A + G, ["civic"], A),
        (A + G, ["geodetic"], G),
        (G + A, ["geodetic", "civic"], G + A),
        (f" {S}\n<!-- é --> {A} ", ["civic"], f" \n<!-- é --> {A} "),
        (S + A + G, ["geodetic"], S + G),
        ("<c:civicAddress/><g:Point/>", ["geodetic"], "<g:Point/>"),
        ("<c:civicAddress/><g:Point/>", ["civic"], "<c:civicAddress/>"),
        (A + "<x xmlns='urn:other'>stays</x>" + G, ["civic"], A + "<x xmlns='urn:other'>stays</x>"),
        (f"<![CDATA[</g:Point>]]>{G}<?pi <c?>{A}]]&gt;", ["civic"], f"<![CDATA[</g:Point>]]><?pi <c?>{A}]]&gt;"),
        # RFC 4119's own address, which RFC 5139 replaced
        ('<a:civicAddress xmlns:a="urn:ietf:params:xml:ns:pidf:geopriv10:civicLoc"/>' + G, ["geodetic"], G),
        # a form within another is a part of it
        (f"<g:X>{A}</g:X>{A}", ["civic"], A),
    ],
)
def test_exactly_the_wanted_forms_are_left_and_the_rest_stays_byte_by_byte(
    inside: str, wanted: list[str], left: str
) -> None:
    assert exactly(inside, *wanted) == left


CAFE = Place((("country", "FR"), ("A3", "Paris"), ("LOC", "Café <&>")), None, "Manual")
DISC = Place((), Shape(ShapeKind.CIRCLE, ((48.85, 2.35),), radius_m=30.0, confidence_percent=68.0), "GPS")
BOTH = Place(CAFE.civic, DISC.shape, "Derived")


@pytest.mark.parametrize(
    ("places", "types", "left"),
    [
        ([BOTH], "civic", [["civicAddress"]]),
        ([BOTH], "geodetic", [["Circle", "confidence"]]),
        ([BOTH], "civic geodetic", [["Circle", "confidence", "civicAddress"]]),
        ([CAFE, DISC], "civic geodetic", [["civicAddress"], ["Circle", "confidence"]]),
        # the first tuple is the one that counts, so no tuple is left without a location
        ([CAFE, DISC], "geodetic", [["Circle", "confidence"]]),
        ([CAFE, DISC, BOTH], "civic", [["civicAddress"], ["civicAddress"]]),
        ([DISC, DISC, CAFE], "civic", [["civicAddress"]]),
    ],
)
def test_what_the_edge_node_builds_is_cut_to_what_was_asked_for(
    places: list[Place], types: str, left: list[list[str]]
) -> None:
    built = pidf_lo_build.build(
        places, entity="tel:+12025550140", timestamp="2026-01-02T03:04:05Z", retention_expiry="2026-01-03T03:04:05Z",
        notification_uris=["sip:desk@example.com"],
    )  # fmt: skip
    asked = read_request(request(f'<locationType exact="true">{types}</locationType>'))
    (presence,) = etree.fromstring(LocationDocument.read(built).answer(asked))
    infos = presence.findall(f"{{{PIDF}}}tuple/{{{PIDF}}}status/{{{GP}}}geopriv/{{{GP}}}location-info")
    assert [[etree.QName(form).localname for form in info] for info in infos] == left
    assert len(presence) == len(left)


def test_an_address_outside_a_location_is_none() -> None:
    document = LocationDocument.read(pidf_lo(G, after="").replace("</p:status>", f"</p:status>{A}"))
    with pytest.raises(HeldError, match="not known"):
        document.answer(LocationRequest(frozenset({"civic"})))


def test_declaration_comments_and_encoding_of_the_node_are_replaced_by_ours() -> None:
    document = LocationDocument.read(pidf_lo(A, before='\ufeff<?xml version="1.0" encoding="ISO-8859-1"?>\n<!-- x -->'))
    bare = document.bare()
    assert bare.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<p:presence ')
    assert "Straße" in "".join(etree.fromstring(bare).itertext())
    assert etree.fromstring(document.answer(LocationRequest()))[0].tag == f"{{{PIDF}}}presence"


@pytest.mark.parametrize(
    "text",
    ["", "x", "<presence/>", f'<tuple xmlns="{PIDF}"/>', f'<presence xmlns="{PIDF}">', pidf_lo(A, "<!DOCTYPE a>"),
     pidf_lo("&x;"), pidf_lo(A) + "<b/>", pidf_lo("\x00")],
)  # fmt: skip
def test_what_is_no_pidf_lo_is_not_passed_on(text: str) -> None:
    with pytest.raises(UnusableDocumentError):
        LocationDocument.read(text)


# What was asked for


@pytest.mark.parametrize(
    ("accept", "bare"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        (HELD_TYPE, False),
        (PIDF_TYPE, True),
        ("Application/PIDF+XML", True),
        (f"{PIDF_TYPE}, */*", True),
        (f"{PIDF_TYPE}, {HELD_TYPE}", True),
        (f"{PIDF_TYPE};q=0.5,{HELD_TYPE}", False),
        (f"{PIDF_TYPE} ; q=0.5 , {HELD_TYPE};q=0.4", True),
        (f"{PIDF_TYPE};q=0.5, */*;q=0.1", True),
        (f"{PIDF_TYPE};q=0.5, */*", False),
        (f"{PIDF_TYPE};q=0.5, */*;q=0.9, {HELD_TYPE};q=0", True),
        (f"{PIDF_TYPE};q=0", False),
        (f"{PIDF_TYPE};q=", False),
        (f"{PIDF_TYPE};q=nan", False),
        (f'{PIDF_TYPE};profile="x"', True),
        (f"text/html, {PIDF_TYPE}", True),
        (",;,q=1;=", False),
    ],
)
def test_the_bare_pidf_lo_is_for_who_names_it_and_likes_it_no_less(accept: str, bare: bool) -> None:
    assert wants_bare_pidf(accept) is bare


@pytest.mark.parametrize(("said", "waits"), [(None, 2.0), (0.0, 0.5), (0.7, 0.7), (3.0, 2.0), (999999.0, 2.0)])
def test_how_long_somebody_will_wait_is_a_hint_within_bounds(said: float | None, waits: float) -> None:
    assert patience_s(LocationRequest(response_time_s=said)) == waits
