"""L1: a location that the phone or the PBX sent is passed on, in a document that names nobody (A2)."""

from collections.abc import Iterator

import pytest

from acceptance.devices import Device, device_of, journalled
from acceptance.location.told import (
    CIVIC_EXTENSION,
    GML,
    LYNC,
    MULTIPART,
    NOTIFICATION,
    SAYS_WHERE,
    SDP,
    answered,
    assert_plain,
    example,
    located,
    on_the_wire,
    with_document,
)
from lab.carriers import BEHIND_PBX, PBX, SCREENING, Carriers
from lab.layout import ALICE, TRUNK_GROUP
from lab.sip_messages import SipMessage, parse_address

#: A document in which everything that could name its telephone does, by a word that must not leave.
NAMING = """<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
    xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
    xmlns:gml="http://www.opengis.net/gml" entity="pres:plant-entity@example.com">
  <dm:device id="plant-device">
    <gp:geopriv>
      <gp:location-info>
        <gml:Point srsName="urn:ogc:def:crs:EPSG::4326" gml:id="plant-point"><gml:pos>30.5 -97.5</gml:pos></gml:Point>
        <ca:civicAddress>
          <ca:country>US</ca:country><ca:A1>TX</ca:A1><ca:A3>Round Rock</ca:A3><ca:RD>Main</ca:RD><ca:HNO>221</ca:HNO>
          <ca:NAM>+1 (202) 555-0101</ca:NAM><ca:LOC>Room 7</ca:LOC>
        </ca:civicAddress>
      </gp:location-info>
      <gp:usage-rules>
        <gp:retransmission-allowed>no</gp:retransmission-allowed><gp:note-well>plant-note-well</gp:note-well>
      </gp:usage-rules>
      <gp:method>DHCP</gp:method>
      <gp:provided-by><who xmlns="urn:example:who">plant-provider</who></gp:provided-by>
    </gp:geopriv>
    <dm:deviceID>mac:plant-device-id</dm:deviceID>
    <dm:note>plant-device-note</dm:note>
  </dm:device>
  <tuple id="plant-tuple">
    <status><basic>open</basic></status>
    <contact>sip:plant-contact@example.com</contact>
    <note>plant-note</note>
  </tuple>
  <dm:person id="plant-person"><dm:note>plant-person-note</dm:note></dm:person>
</presence>"""


@pytest.fixture
def everywhere(world: Carriers) -> Carriers:
    """Everybody who takes calls takes the location in the body."""
    for group in (TRUNK_GROUP, SCREENING):
        world.provisioned("trunk-group", "set", group, "--location", "value")
    return world


@pytest.fixture
def alice(everywhere: Carriers) -> Iterator[Device]:
    with device_of(everywhere.system, ALICE) as device:
        yield device


def says(device: Device, document: str, headers: str = SAYS_WHERE, number: str = "911") -> None:
    answered(
        device.sipp("call_with_body", number, content_type=MULTIPART, headers=headers, body=with_document(document))
    )


def received_by_psap(device: Device, document: str, headers: str = SAYS_WHERE) -> SipMessage:
    psap = device.system.trunk_callee("uas_answers", {}).start()
    says(device, document, headers)
    [invite] = psap.wait().received("INVITE")
    return invite


def test_l1_a_phones_location_leaves_in_a_document_of_ours(alice: Device) -> None:
    where = located(received_by_psap(alice, example("teams.xml")))
    assert where.sdp == on_the_wire(SDP)
    assert where.texts("pos", GML) == ["47.6429 -122.1369"]
    assert where.texts("A3") == ["Redmond"]
    assert where.texts("LOC") == ["Building 31"]
    assert journalled(alice.system, "call_started")["location"] == "suggested"


def test_a2_nothing_of_the_phones_document_that_names_it_leaves(alice: Device) -> None:
    invite = received_by_psap(alice, NAMING)
    where = located(invite)
    assert (where.texts("A3"), where.texts("LOC")) == (["Round Rock"], ["Room 7"])
    said = invite.raw.lower()
    for word in (b"plant", b"alice", b"doe", b"contact>", b"note>", b"deviceid", b"of-the-phone", b"where@phone"):
        assert word not in said, word
    assert b"5550101" not in bytes(byte for byte in invite.raw if chr(byte).isdigit())


def test_l1_references_already_there_are_kept_and_ours_is_the_last(alice: Device) -> None:
    """RFC 6442 §4.1; but those that name the caller go (A2), and so does the one to the phone's own document."""
    headers = (
        'Geolocation: <cid:where@phone.example.com>, <https://lis.example.net/loc/7f3a9c>;inserted-by="lis.example.net"\n'
        "Geolocation: <sips:3sdefrhy2jj7@lis.atlanta.example.com>, <pres:alice@example.com>,"
        " <https://lis.example.net/of/+1-202-555-0101>\n"
        "Geolocation-Routing: no"
    )
    invite = received_by_psap(alice, example("teams.xml"), headers)
    where = located(invite)
    assert [parse_address(value).uri for value in invite.values("Geolocation")] == [
        "https://lis.example.net/loc/7f3a9c",
        "sips:3sdefrhy2jj7@lis.atlanta.example.com",
        f"cid:{where.content_id}",
    ]


def test_l1_a_reference_alone_is_passed_on_though_the_call_is_screened(everywhere: Carriers, alice: Device) -> None:
    """Nobody looks up a reference while the call waits; whoever answers may."""
    screening = everywhere.answers(SCREENING)
    alice.calls("911", headers="Geolocation: <https://lis.example.net/loc/7f3a9c>")
    [invite] = screening.wait().received("INVITE")
    assert invite.one("Geolocation") == "<https://lis.example.net/loc/7f3a9c>"
    assert invite.one("Geolocation-Routing") == "yes"
    assert invite.one("Content-Type") == "application/sdp"


def test_l1_what_the_administrator_says_counts_and_what_the_device_says_stands_after_it(
    everywhere: Carriers, alice: Device
) -> None:
    everywhere.provisioned("user", "set", ALICE.name, "--location", "austin")
    where = located(received_by_psap(alice, example("teams.xml")))
    assert where.texts("A3") == ["Austin", "Redmond"]


@pytest.mark.parametrize("who", ["the PBX", "a phone"])
def test_l1_a_lync_style_call_is_understood_and_passed_on(everywhere: Carriers, alice: Device, who: str) -> None:
    """`sip:911;phone-context=…`, and whom to notify and to confer with inside the address."""
    screening = everywhere.answers(SCREENING)  # typed in by hand, so verified by voice (L3)
    number, document = "911;phone-context=Redmond", example("notification_uri.xml")
    if who == "a phone":
        says(alice, document, number=number)
    else:
        values = {"number": number, "from": f"<sip:{BEHIND_PBX}@pbx.example.com;user=phone>", "duration_ms": "200",
                  "content_type": MULTIPART, "headers": SAYS_WHERE, "body": with_document(document)}  # fmt: skip
        answered(everywhere.system.device("call_with_body", values, address=everywhere.places[PBX].address))
    [invite] = screening.wait().received("INVITE")
    assert invite.request_uri.startswith("sip:911@")
    where = located(invite)
    assert where.texts("HNO") == ["3910"]
    assert where.texts("NotificationUri", NOTIFICATION) == ["sip:security1@contoso.com", "sip:security2@contoso.com"]
    assert where.texts("ConferenceUri", LYNC) == ["sip:+14255550100@contoso.com;user=phone"]
    assert where.texts("ConferenceMode", LYNC) == ["oneway"]
    assert b"caller@contoso.com" not in invite.raw


def test_l1_lyncs_own_elements_are_understood_as_well(everywhere: Carriers, alice: Device) -> None:
    screening = everywhere.answers(SCREENING)
    says(alice, example("lync.xml"))
    [invite] = screening.wait().received("INVITE")
    where = located(invite)
    assert where.texts("ConferenceMode", LYNC) == ["twoway"]
    assert where.texts("LOC") == ["30/3351"]
    assert b"user-tagid" not in invite.raw


def test_l1_extensions_of_the_civic_address_stay_in_their_namespace(everywhere: Carriers, alice: Device) -> None:
    """Suggested for another country than the caller's, it is not told: US is where the node stands (A6)."""
    screening = everywhere.answers(SCREENING)
    says(alice, example("civic.xml").replace(">AU<", ">US<"))
    [invite] = screening.wait().received("INVITE")
    assert located(invite).texts("HNP", CIVIC_EXTENSION) == ["A"]
    screening = everywhere.answers(SCREENING)
    says(alice, example("civic.xml"), f"X-Emergency-Country: US\n{SAYS_WHERE}")
    [invite] = screening.wait().received("INVITE")
    assert_plain(invite, on_the_wire(SDP))
